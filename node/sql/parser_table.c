/* CREATE TABLE, ALTER TABLE, DROP TABLE and DROP SNAPSHOT TABLE. */
#include "node/sql/parse.h"

#include "proto/limits.h"

#define LIFECYCLE_DAYS_MAX 37231

/* ---- CREATE TABLE ---- */

static struct span parse_comment(struct parser *parser)
{
    uint32_t at = parser->token.at;
    struct span comment = parser_string(parser, "the comment as a string");
    if (comment.len > LIMIT_COMMENT_BYTES)
        parser_fail(parser, ERR_LIMIT, at, "found a comment of %zu bytes, at most %d are allowed",
                    comment.len, LIMIT_COMMENT_BYTES);
    return comment;
}

/* name TYPE [NOT NULL] [DEFAULT literal] [COMMENT 'x']; partition columns have the comment alone. */
static struct column_def parse_column(struct parser *parser, bool partition)
{
    struct column_def column = {.at = parser->token.at};
    column.name = parser_identifier(parser, "a column's name");
    column.type = parser_type(parser);
    while (parser->code == ERR_OK) {
        if (!partition && parser_accept(parser, KEYWORD_NOT)) {
            parser_expect(parser, KEYWORD_NULL);
            column.not_null = true;
        } else if (!partition && parser_accept(parser, KEYWORD_NULL)) {
            column.not_null = false;
        } else if (!partition && parser_accept(parser, KEYWORD_DEFAULT)) {
            column.has_default = true;
            column.default_value = parser_literal(parser);
        } else if (parser_accept(parser, KEYWORD_COMMENT)) {
            column.comment = parse_comment(parser);
        } else {
            break;
        }
    }
    return column;
}

static struct column_def *parse_columns(struct parser *parser, bool partition, size_t *ret_count)
{
    BYTES_CLEANUP struct bytes columns = {0};
    do {
        if (!partition && parser_is(parser, KEYWORD_PRIMARY) &&
            parser_peek(parser).keyword == KEYWORD_KEY) {
            parser_fail(parser, ERR_SEMANTIC, parser->token.at, "PRIMARY KEY is not supported yet");
            break;
        }
        if (columns.len >= LIMIT_COLUMNS * sizeof(struct column_def))
            parser_fail(parser, ERR_LIMIT, parser->token.at, "found more than %d columns",
                        LIMIT_COLUMNS);
        struct column_def column = parse_column(parser, partition);
        bytes_append(&columns, &column, sizeof(column));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    return parser_array(parser, &columns, sizeof(struct column_def), ret_count);
}

static void parse_partitioned_by(struct parser *parser, struct create_table *table)
{
    parser_expect(parser, KEYWORD_BY);
    parser_expect_symbol(parser, SYMBOL_OPEN);
    table->partition_columns = parse_columns(parser, true, &table->partition_column_count);
    parser_expect_symbol(parser, SYMBOL_CLOSE);
}

/* One clause behind the columns; false where there is none. Any order, the last one of a kind counts:
 * the original's pages disagree on the order. */
static bool parse_table_clause(struct parser *parser, struct create_table *table)
{
    if (parser_accept(parser, KEYWORD_COMMENT)) {
        table->comment = parse_comment(parser);
    } else if (parser_accept(parser, KEYWORD_PARTITIONED)) {
        parse_partitioned_by(parser, table);
    } else if (parser_accept(parser, KEYWORD_LIFECYCLE)) {
        table->lifecycle_days =
            parser_count(parser, LIFECYCLE_DAYS_MAX, "the lifecycle in days, 1 to 37231");
        if (table->lifecycle_days == 0)
            parser_expected(parser, "a lifecycle of at least one day");
    } else if (parser_accept(parser, KEYWORD_TBLPROPERTIES)) {
        table->properties = parser_options(parser, NULL);
    } else if (parser_is(parser, KEYWORD_CLUSTERED)) {
        parser_fail(parser, ERR_SEMANTIC, parser->token.at, "CLUSTERED BY is not supported yet");
    } else {
        return false;
    }
    return true;
}

static void parse_restore(struct parser *parser, struct statement *statement, struct name name,
                          bool if_not_exists, bool or_replace)
{
    statement->kind = STATEMENT_RESTORE_TABLE;
    statement->restore_table = (struct restore_table){
        .name = name, .or_replace = or_replace, .if_not_exists = if_not_exists};
    parser_expect(parser, KEYWORD_CLONE);
    statement->restore_table.source = parser_name(parser, "the snapshot's name");
    if (parser_is(parser, KEYWORD_TIMESTAMP))
        parser_fail(parser, ERR_SEMANTIC, parser->token.at, "TIMESTAMP AS OF is not supported yet");
}

void parse_create_table(struct parser *parser, struct statement *statement, int variant)
{
    bool or_replace = variant != 0;
    bool if_not_exists = parser_accept_if_not_exists(parser);
    struct name name = parser_name(parser, "the table's name");
    if (or_replace || parser_is(parser, KEYWORD_CLONE)) {
        parse_restore(parser, statement, name, if_not_exists, or_replace);
        return;
    }
    if (parser_is(parser, KEYWORD_AS) || parser_is(parser, KEYWORD_LIKE)) {
        parser_fail(parser, ERR_SEMANTIC, parser->token.at,
                    "CREATE TABLE ... %s is not supported yet",
                    keyword_text(parser->token.keyword));
        return;
    }
    struct create_table *table = &statement->create_table;
    *table = (struct create_table){.name = name, .if_not_exists = if_not_exists};
    if (!parser_accept_symbol(parser, SYMBOL_OPEN))
        parser_expected(parser, "( or CLONE");
    table->columns = parse_columns(parser, false, &table->column_count);
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    while (parse_table_clause(parser, table))
        ;
}

/* ---- DROP ---- */

void parse_drop(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    statement->drop.if_exists = parser_accept_if_exists(parser);
    statement->drop.name = parser_name(parser, "a name");
}

/* ---- ALTER TABLE ---- */

void parse_alter_table(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct alter_partitions *alter = &statement->partitions;
    alter->table = parser_name(parser, "the table's name");
    if (parser_accept(parser, KEYWORD_ADD)) {
        statement->kind = STATEMENT_ADD_PARTITIONS;
        alter->if_exists = parser_accept_if_not_exists(parser);
        if (!alter->if_exists &&
            (parser_is(parser, KEYWORD_COLUMN) || parser_is(parser, KEYWORD_COLUMNS))) {
            parser_fail(parser, ERR_SEMANTIC, parser->token.at,
                        "ALTER TABLE ADD COLUMNS is not supported yet");
            return;
        }
    } else if (parser_accept(parser, KEYWORD_DROP)) {
        statement->kind = STATEMENT_DROP_PARTITIONS;
        alter->if_exists = parser_accept_if_exists(parser);
    } else {
        parser_expected(parser, "ADD or DROP");
        return;
    }
    alter->partitions = parser_partitions(parser);
}
