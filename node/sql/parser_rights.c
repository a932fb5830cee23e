/* PROJECT, ACCOUNT, CHANNEL, USER, ROLE, GRANT, REVOKE, TRUSTEDPROJECT. */
#include "node/sql/parse.h"

#include "proto/limits.h"

/* ---- projects and accounts ---- */

void parse_create_project(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct create_project *create = &statement->create_project;
    create->if_not_exists = parser_accept_if_not_exists(parser);
    create->project = parser_identifier(parser, "the project's name");
    if (parser_accept(parser, KEYWORD_OWNER))
        create->owner = parser_principal(parser);
}

void parse_drop_project(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct drop_project *drop = &statement->drop_project;
    drop->if_exists = parser_accept_if_exists(parser);
    drop->project = parser_identifier(parser, "the project's name");
}

void parse_create_account(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct create_account *create = &statement->create_account;
    create->if_not_exists = parser_accept_if_not_exists(parser);
    create->account = parser_principal(parser);
    parser_expect(parser, KEYWORD_PUBLIC);
    parser_expect(parser, KEYWORD_KEY);
    create->public_key = parser_string(parser, "the public key as a string");
}

void parse_alter_project(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct alter_switch *alter = &statement->alter_switch;
    alter->project = parser_identifier(parser, "the project's name");
    alter->on = parser_accept(parser, KEYWORD_ENABLE);
    if (!alter->on && !parser_accept(parser, KEYWORD_DISABLE))
        parser_expected(parser, "ENABLE or DISABLE");
    parser_expect(parser, KEYWORD_XCOPY);
}

void parse_drop_principal(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct drop_principal *drop = &statement->drop_principal;
    drop->if_exists = parser_accept_if_exists(parser);
    drop->name = parser_principal(parser);
}

/* name ADD PUBLIC KEY '...' | name DROP [LAST] PUBLIC KEY '...' */
static void parse_alter_keys(struct parser *parser, struct alter_keys *alter)
{
    alter->name = parser_principal(parser);
    alter->drop = parser_accept(parser, KEYWORD_DROP);
    if (!alter->drop && !parser_accept(parser, KEYWORD_ADD)) {
        parser_expected(parser, "ADD PUBLIC KEY or DROP PUBLIC KEY");
        return;
    }
    alter->last = alter->drop && parser_accept(parser, KEYWORD_LAST);
    parser_expect(parser, KEYWORD_PUBLIC);
    parser_expect(parser, KEYWORD_KEY);
    alter->public_key = parser_string(parser, "the public key as a string");
}

void parse_alter_user(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    statement->alter_keys.user = true;
    parse_alter_keys(parser, &statement->alter_keys);
}

void parse_alter_account(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    if (!parser_is(parser, KEYWORD_SET)) {
        statement->kind = STATEMENT_ALTER_KEYS;
        parse_alter_keys(parser, &statement->alter_keys);
        return;
    }
    parser_expect(parser, KEYWORD_SET);
    parser_expect(parser, KEYWORD_XCOPY);
    parser_expect(parser, KEYWORD_CHANNEL);
    if (parser_accept(parser, KEYWORD_OFF))
        return;
    if (!parser_accept(parser, KEYWORD_ON)) {
        parser_expected(parser, "ON ACKNOWLEDGE COMPLIANCE or OFF");
        return;
    }
    statement->alter_switch.on = true;
    if (!parser_accept(parser, KEYWORD_ACKNOWLEDGE)) {
        parser_expected(parser, "ACKNOWLEDGE COMPLIANCE: you state that the account's data may "
                                "leave the region, and answer for it");
        return;
    }
    parser_expect(parser, KEYWORD_COMPLIANCE);
}

void parse_alter_channel(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct alter_channel *alter = &statement->alter_channel;
    parser_expect(parser, KEYWORD_FROM);
    alter->region = parser_string(parser, "the source region as a string");
    parser_expect(parser, KEYWORD_SET);
    parser_expect(parser, KEYWORD_BANDWIDTH);
    alter->is_default = parser_accept(parser, KEYWORD_DEFAULT);
    if (!alter->is_default)
        alter->bandwidth =
            parser_string(parser, "DEFAULT, or the bandwidth as a string, such as '2 Gbit/s'");
    alter->in_window = parser_accept(parser, KEYWORD_BETWEEN);
    if (!alter->in_window)
        return;
    alter->from = parser_string(parser, "the window's begin as a string, such as '22:00'");
    parser_expect(parser, KEYWORD_AND);
    alter->to = parser_string(parser, "the window's end as a string, such as '06:00'");
    if (!parser_is_word(parser, "TIMEZONE"))
        return;
    parser_advance(parser);
    alter->timezone = parser_string(parser, "the time zone as a string; 'UTC' is the one there is");
}

/* ---- users and rights ---- */

void parse_user(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    statement->user = parser_principal(parser);
}

void parse_role(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    statement->role = parser_identifier(parser, "the role's name");
    if (statement->kind != STATEMENT_CREATE_ROLE || !parser_is_word(parser, "PRIVILEGEPROPERTIES"))
        return;
    uint32_t at = parser->token.at;
    parser_advance(parser);
    struct option_list options = parser_options(parser, NULL);
    const struct option *type = option_find(&options, "type");
    if (options.count != (type != NULL) ||
        (type != NULL && !name_equal(type->value.text, span_text("resource"))))
        parser_fail(parser, ERR_SEMANTIC, at,
                    "a role is of \"type\"=\"resource\"; the role that manages is admin");
}

/* Actions or roles: words, separated by commas. */
static void parse_words(struct parser *parser, struct span **ret_words, size_t *ret_count)
{
    BYTES_CLEANUP struct bytes words = {0};
    do {
        if (parser->token.kind != TOKEN_WORD) {
            parser_expected(parser, "an action such as Select or CreateTable, or a role");
            return;
        }
        if (words.len >= LIMIT_GRANT_ACTIONS * sizeof(struct span))
            parser_fail(parser, ERR_LIMIT, parser->token.at, "found more than %d actions or roles",
                        LIMIT_GRANT_ACTIONS);
        if (parser->token.text.len == 0 || parser->token.text.len > LIMIT_NAME_BYTES)
            parser_fail(parser, ERR_PARSE, parser->token.at,
                        "found a name of %zu bytes, expected 1 to %d", parser->token.text.len,
                        LIMIT_NAME_BYTES);
        bytes_append(&words, &parser->token.text, sizeof(parser->token.text));
        parser_advance(parser);
        if (parser_is_symbol(parser, SYMBOL_OPEN))
            parser_fail(parser, ERR_SEMANTIC, parser->token.at,
                        "rights on columns are not supported; grant them on the table");
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    *ret_words = parser_array(parser, &words, sizeof(struct span), ret_count);
}

/* A kind of object that is documented elsewhere and not here; a table may have such a name. */
static void object_kind_check(struct parser *parser)
{
    static const char *const kinds[] = {"FUNCTION", "RESOURCE", "INSTANCE"};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct token next = parser_peek(parser);
        if (parser_is_word(parser, kinds[i]) && next.kind == TOKEN_WORD &&
            next.keyword != KEYWORD_TO && next.keyword != KEYWORD_FROM)
            parser_fail(parser, ERR_SEMANTIC, parser->token.at,
                        "rights are granted ON PROJECT or ON TABLE, which snapshots are as well; "
                        "there are no %s objects",
                        kinds[i]);
    }
}

static void parse_grant_object(struct parser *parser, struct grant *grant)
{
    if (parser_accept(parser, KEYWORD_PROJECT)) {
        grant->object = GRANT_ON_PROJECT;
        grant->name.at = parser->token.at;
        grant->name.object = parser_identifier(parser, "the project's name");
        return;
    }
    object_kind_check(parser);
    parser_accept(parser, KEYWORD_TABLE);
    grant->name = parser_name(parser, "the table's name");
    if (parser_is_symbol(parser, SYMBOL_OPEN) || parser_is(parser, KEYWORD_PARTITION))
        parser_fail(parser, ERR_SEMANTIC, parser->token.at,
                    "rights on columns and partitions are not supported; grant them on the table");
}

/* privilegeproperties("expires"="30"): days. */
static void parse_properties(struct parser *parser, struct grant *grant)
{
    if (!parser_is_word(parser, "PRIVILEGEPROPERTIES"))
        return;
    uint32_t at = parser->token.at;
    parser_advance(parser);
    struct option_list options = parser_options(parser, NULL);
    const struct option *expires = option_find(&options, "expires");
    struct value days = {0};
    if (expires == NULL || options.count != 1) {
        parser_fail(parser, ERR_SEMANTIC, at,
                    "of privilegeproperties \"expires\" is supported: \"expires\"=\"30\" (days); "
                    "conditions and policies are not");
        return;
    }
    if (value_parse((struct type){.kind = TYPE_BIGINT}, expires->value.text, &days, NULL) !=
            ERR_OK ||
        days.null || days.i64 < 1 || days.i64 > LIMIT_GRANT_DAYS)
        parser_fail(parser, ERR_SEMANTIC, at, "\"expires\" is a number of days from 1 to %d",
                    LIMIT_GRANT_DAYS);
    grant->expires_days = days.i64;
}

/* GRANT r1, r2 TO [USER] x; REVOKE r1 FROM x: behind the roles. */
static void parse_grant_role(struct parser *parser, struct statement *statement, struct span *roles,
                             size_t role_count)
{
    bool revoke = statement->kind == STATEMENT_REVOKE;
    statement->kind = revoke ? STATEMENT_REVOKE_ROLE : STATEMENT_GRANT_ROLE;
    parser_advance(parser);
    parser_accept(parser, KEYWORD_USER);
    statement->grant_role = (struct grant_role){roles, role_count, parser_principal(parser)};
}

void parse_grant(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    bool revoke = statement->kind == STATEMENT_REVOKE;
    struct span *words = NULL;
    size_t word_count = 0;
    parse_words(parser, &words, &word_count);
    if (parser_is(parser, revoke ? KEYWORD_FROM : KEYWORD_TO)) {
        parse_grant_role(parser, statement, words, word_count);
        return;
    }
    struct grant *grant = &statement->grant;
    grant->actions = words;
    grant->action_count = word_count;
    parser_expect(parser, KEYWORD_ON);
    parse_grant_object(parser, grant);
    parser_expect(parser, revoke ? KEYWORD_FROM : KEYWORD_TO);
    grant->to_role = parser_accept(parser, KEYWORD_ROLE);
    if (grant->to_role) {
        grant->user = parser_identifier(parser, "the role's name");
    } else {
        parser_accept(parser, KEYWORD_USER);
        grant->user = parser_principal(parser);
    }
    if (!revoke)
        parse_properties(parser, grant);
}

/* A project of this region, or 'region.project'. */
void parse_trusted(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct trusted *trusted = &statement->trusted;
    if (parser->token.kind != TOKEN_STRING) {
        trusted->project = parser_identifier(parser, "the project's name, or 'region.project'");
        return;
    }
    uint32_t at = parser->token.at;
    struct span text = parser_string(parser, "'region.project'");
    const uint8_t *dot = text.len > 0 ? memchr(text.data, '.', text.len) : NULL;
    size_t region_bytes = dot == NULL ? 0 : (size_t)(dot - text.data);
    trusted->region = span_slice(text, 0, region_bytes);
    trusted->project =
        dot == NULL ? text : span_slice(text, region_bytes + 1, text.len - region_bytes - 1);
    if ((dot != NULL && region_bytes == 0) || region_bytes > LIMIT_REGION_BYTES ||
        trusted->project.len == 0 || trusted->project.len > LIMIT_NAME_BYTES)
        parser_fail(parser, ERR_SEMANTIC, at,
                    "a project of another region is written 'region.project'");
}
