/* SHOW, DESC, USE, SET, CANCEL TASK. */
#include "node/sql/parse.h"

static void parse_show_tables(struct parser *parser, struct show *show)
{
    if (parser_accept(parser, KEYWORD_IN) || parser_accept(parser, KEYWORD_FROM))
        show->project = parser_identifier(parser, "the project's name");
    show->has_like = parser_accept(parser, KEYWORD_LIKE);
    if (show->has_like)
        show->like = parser_string(parser, "a pattern as a string");
}

static void parse_show_grantee(struct parser *parser, struct show *show)
{
    show->of_role = parser_accept(parser, KEYWORD_ROLE);
    if (show->of_role) {
        show->user = parser_identifier(parser, "the role's name");
        return;
    }
    parser_accept(parser, KEYWORD_USER);
    show->user = parser_principal(parser);
}

/* SHOW ACL FOR name [ON TYPE TABLE | PROJECT] */
static void parse_show_acl(struct parser *parser, struct show *show)
{
    show->name = parser_name(parser, "the name of a table or project");
    if (!parser_accept(parser, KEYWORD_ON))
        return;
    if (!parser_is_word(parser, "TYPE")) {
        parser_expected(parser, "TYPE");
        return;
    }
    parser_advance(parser);
    if (parser_accept(parser, KEYWORD_PROJECT))
        show->object = GRANT_ON_PROJECT;
    else if (!parser_accept(parser, KEYWORD_TABLE))
        parser_expected(parser, "TABLE or PROJECT");
}

void parse_show(struct parser *parser, struct statement *statement, int variant)
{
    struct show *show = &statement->show;
    show->kind = (enum show_kind)variant;
    switch (show->kind) {
    case SHOW_TABLES:
    case SHOW_SNAPSHOT_TABLES:
    case SHOW_SCHEDULES:
        parse_show_tables(parser, show);
        break;
    case SHOW_PARTITIONS:
        show->name = parser_name(parser, "the table's name");
        if (parser_is(parser, KEYWORD_PARTITION))
            show->partition = parser_partition(parser);
        break;
    case SHOW_CREATE_TABLE:
    case SHOW_HISTORY:
        show->name = parser_name(parser, "the table's name");
        break;
    case SHOW_CREATE_SCHEDULE:
        show->name = parser_name(parser, "the schedule's name");
        break;
    case SHOW_GRANTS:
    case SHOW_PUBLIC_KEYS:
        if (parser_accept(parser, KEYWORD_FOR))
            parse_show_grantee(parser, show);
        break;
    case SHOW_ACL:
        parse_show_acl(parser, show);
        break;
    case SHOW_SCHEDULE_RUNS:
        parse_show_runs(parser, show);
        break;
    case SHOW_PROJECTS:
    case SHOW_TASKS:
    case SHOW_CHANNELS:
    case SHOW_XCOPY_TOKENS:
    case SHOW_XCOPY_CHANNEL:
    case SHOW_ACCOUNTS:
    case SHOW_RAM_USERS:
        break;
    }
}

void parse_desc(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    if (parser_is(parser, KEYWORD_ROLE) && parser_peek(parser).kind == TOKEN_WORD) {
        parser_advance(parser); /* alone it is a table's name */
        statement->kind = STATEMENT_DESC_ROLE;
        statement->role = parser_identifier(parser, "the role's name");
        return;
    }
    struct desc *desc = &statement->desc;
    if (parser_is(parser, KEYWORD_EXTENDED)) {
        /* a table may have that name */
        enum token_kind next = parser_peek(parser).kind;
        desc->extended = next == TOKEN_WORD && parser_peek(parser).keyword != KEYWORD_PARTITION;
    }
    if (desc->extended)
        parser_advance(parser);
    else
        parser_accept(parser, KEYWORD_TABLE);
    desc->name = parser_name(parser, "the table's name");
    if (parser_is(parser, KEYWORD_PARTITION))
        desc->partition = parser_partition(parser);
}

void parse_use(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    statement->project = parser_identifier(parser, "the project's name");
}

/* SET ProjectProtection = true | false: a property of the project, not of the session. */
static void protection_take(struct parser *parser, struct statement *statement, uint32_t at)
{
    struct span value = statement->set.value;
    bool on = name_equal(value, span_text("true"));
    if (!on && !name_equal(value, span_text("false")))
        parser_fail(parser, ERR_SEMANTIC, at,
                    "SET ProjectProtection takes true or false; exceptions are whole projects: ADD "
                    "TRUSTEDPROJECT");
    statement->kind = STATEMENT_SET_PROTECTION;
    statement->protect = on;
}

/* key.with.dots = rest of the statement */
void parse_set(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct setting *set = &statement->set;
    uint32_t at = parser->token.at;
    do {
        if (parser->token.kind != TOKEN_WORD) {
            parser_expected(parser, "the name of a setting");
            return;
        }
        parser_advance(parser);
    } while (parser_accept_symbol(parser, SYMBOL_DOT));
    set->key = span_slice(parser->lexer.text, at, parser->last_end - at);
    if (!parser_is_symbol(parser, SYMBOL_EQUAL)) {
        parser_expected(parser, "=");
        return;
    }
    uint32_t value_at = parser->token.end;
    enum err_code code = lexer_rest(&parser->lexer, value_at, &set->value, parser->err);
    if (code != ERR_OK) {
        parser_stop(parser, code);
        return;
    }
    parser_advance(parser);
    if (name_equal(set->key, span_text("ProjectProtection")))
        protection_take(parser, statement, at);
}

/* In quotes or without. */
static struct span parse_id(struct parser *parser, const char *what)
{
    struct token word;
    if (parser->token.kind == TOKEN_STRING)
        return parser_string(parser, what);
    if (parser->code == ERR_OK && parser->token.kind != TOKEN_END &&
        lexer_bare_word(&parser->lexer, parser->token.at, &word)) {
        parser_advance(parser);
        return word.text;
    }
    parser_expected(parser, what);
    return (struct span){0};
}

void parse_cancel(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    statement->task = parse_id(parser, "the task's id");
}

void parse_revoke_token(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    statement->xcopy_token = parse_id(parser, "the token's id; SHOW XCOPY TOKENS lists them");
}
