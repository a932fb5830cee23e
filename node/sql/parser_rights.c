/* PROJECT, ACCOUNT, CHANNEL, USER, GRANT, REVOKE. */
#include "node/sql/parse.h"

#include "proto/limits.h"

#define GRANT_ACTIONS_MAX 32

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
    statement->project = parser_identifier(parser, "the project's name");
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

void parse_alter_account(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
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
        parser_expected(parser, "ACKNOWLEDGE COMPLIANCE (you state that the data may leave the "
                                "region)");
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
    alter->bandwidth = parser_string(parser, "the bandwidth as a string, such as '2 Gbit/s'");
}

/* ---- users and rights ---- */

void parse_user(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    statement->user = parser_principal(parser);
}

static void parse_actions(struct parser *parser, struct grant *grant)
{
    BYTES_CLEANUP struct bytes actions = {0};
    do {
        if (parser->token.kind != TOKEN_WORD) {
            parser_expected(parser, "an action such as Select or CreateTable");
            return;
        }
        if (actions.len >= GRANT_ACTIONS_MAX * sizeof(struct span))
            parser_fail(parser, ERR_LIMIT, parser->token.at, "found more than %d actions",
                        GRANT_ACTIONS_MAX);
        bytes_append(&actions, &parser->token.text, sizeof(parser->token.text));
        parser_advance(parser);
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    grant->actions = parser_array(parser, &actions, sizeof(struct span), &grant->action_count);
}

void parse_grant(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct grant *grant = &statement->grant;
    bool revoke = statement->kind == STATEMENT_REVOKE;
    uint32_t at = parser->token.at;
    parse_actions(parser, grant);
    if (parser_is(parser, revoke ? KEYWORD_FROM : KEYWORD_TO)) {
        parser_fail(parser, ERR_SEMANTIC, at, "roles are not supported yet");
        return;
    }
    parser_expect(parser, KEYWORD_ON);
    if (parser_accept(parser, KEYWORD_PROJECT)) {
        grant->object = GRANT_ON_PROJECT;
        grant->name.at = parser->token.at;
        grant->name.object = parser_identifier(parser, "the project's name");
    } else {
        parser_accept(parser, KEYWORD_TABLE);
        grant->name = parser_name(parser, "the table's name");
    }
    parser_expect(parser, revoke ? KEYWORD_FROM : KEYWORD_TO);
    if (parser_is(parser, KEYWORD_ROLE)) {
        parser_fail(parser, ERR_SEMANTIC, parser->token.at, "roles are not supported yet");
        return;
    }
    parser_accept(parser, KEYWORD_USER);
    grant->user = parser_principal(parser);
}
