/* ALTER TABLE: name, comment, lifecycle, TOUCH, a partition's name. TRUNCATE TABLE. Not here: ADD and
 * DROP PARTITION (parser_table.c). */
#include "node/sql/parse.h"

#include "proto/limits.h"

int64_t parser_lifecycle(struct parser *parser)
{
    static const char expected[] = "the lifecycle in days, 1 to 37231";
    _Static_assert(LIMIT_LIFECYCLE_DAYS == 37231, "as the text says");
    uint32_t at = parser->token.at;
    int64_t days = parser_count(parser, LIMIT_LIFECYCLE_DAYS, expected);
    if (days == 0)
        parser_fail(parser, ERR_PARSE, at, "found 0, expected %s", expected);
    return days;
}

static void parse_rename(struct parser *parser, struct alter_table *alter)
{
    alter->kind = ALTER_RENAME;
    parser_expect(parser, KEYWORD_TO);
    alter->renamed = parser_name(parser, "the table's new name");
}

static void parse_set_of_table(struct parser *parser, struct alter_table *alter)
{
    if (parser_accept(parser, KEYWORD_COMMENT)) {
        alter->kind = ALTER_COMMENT;
        alter->comment = parser_comment(parser);
    } else if (parser_accept(parser, KEYWORD_LIFECYCLE)) {
        alter->kind = ALTER_LIFECYCLE;
        alter->lifecycle_days = parser_lifecycle(parser);
    } else {
        parser_expected(parser, "COMMENT or LIFECYCLE");
    }
}

static void parse_lifecycle_switch(struct parser *parser, struct alter_table *alter, bool on)
{
    alter->kind = ALTER_LIFECYCLE_SWITCH;
    alter->on = on;
    parser_expect(parser, KEYWORD_LIFECYCLE);
}

/* Behind PARTITION(...). */
static void parse_of_partition(struct parser *parser, struct alter_table *alter)
{
    if (parser_accept(parser, KEYWORD_RENAME)) {
        alter->kind = ALTER_RENAME_PARTITION;
        parser_expect(parser, KEYWORD_TO);
        alter->renamed_partition = parser_partition(parser);
    } else if (parser_accept(parser, KEYWORD_ENABLE)) {
        parse_lifecycle_switch(parser, alter, true);
    } else if (parser_accept(parser, KEYWORD_DISABLE)) {
        parse_lifecycle_switch(parser, alter, false);
    } else {
        parser_expected(parser, "RENAME TO PARTITION, ENABLE or DISABLE LIFECYCLE");
    }
}

bool parse_alter(struct parser *parser, struct statement *statement, struct name table)
{
    struct alter_table alter = {.table = table};
    if (parser_accept(parser, KEYWORD_RENAME)) {
        parse_rename(parser, &alter);
    } else if (parser_accept(parser, KEYWORD_SET)) {
        parse_set_of_table(parser, &alter);
    } else if (parser_accept(parser, KEYWORD_ENABLE)) {
        parse_lifecycle_switch(parser, &alter, true);
    } else if (parser_accept(parser, KEYWORD_DISABLE)) {
        parse_lifecycle_switch(parser, &alter, false);
    } else if (parser_accept(parser, KEYWORD_TOUCH)) {
        alter.kind = ALTER_TOUCH;
        if (parser_is(parser, KEYWORD_PARTITION))
            alter.partition = parser_partition(parser);
    } else if (parser_is(parser, KEYWORD_PARTITION)) {
        alter.partition = parser_partition(parser);
        parse_of_partition(parser, &alter);
    } else {
        return false;
    }
    statement->kind = STATEMENT_ALTER_TABLE;
    statement->alter_table = alter;
    return true;
}

void parse_truncate(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct truncate_table *truncate = &statement->truncate;
    truncate->table = parser_name(parser, "the table's name");
    if (parser_is(parser, KEYWORD_PARTITION))
        truncate->partitions = parser_partitions(parser);
}
