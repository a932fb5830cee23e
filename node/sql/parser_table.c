/* CREATE TABLE, ALTER TABLE, DROP TABLE and DROP SNAPSHOT TABLE. */
#include "node/sql/parse.h"

#include "proto/limits.h"

/* ---- CREATE TABLE ---- */

struct span parser_comment(struct parser *parser)
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
            column.comment = parser_comment(parser);
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
            parser_fail(parser, ERR_SEMANTIC, parser->token.at,
                        "PRIMARY KEY makes a Delta table, which is not supported yet");
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

static void parse_table_comment(struct parser *parser, struct create_table *table)
{
    table->comment = parser_comment(parser);
}

static void parse_table_lifecycle(struct parser *parser, struct create_table *table)
{
    table->lifecycle_days = parser_lifecycle(parser);
}

static void parse_table_properties(struct parser *parser, struct create_table *table)
{
    table->properties = parser_options(parser, NULL);
}

/* [[RANGE] CLUSTERED BY ...] is the one with two first words. */
static const struct table_clause {
    enum keyword keyword;
    const char *name;
    void (*parse)(struct parser *parser, struct create_table *table);
} table_clauses[] = {
    {KEYWORD_COMMENT, "COMMENT", parse_table_comment},
    {KEYWORD_PARTITIONED, "PARTITIONED BY", parse_partitioned_by},
    {KEYWORD_LIFECYCLE, "LIFECYCLE", parse_table_lifecycle},
    {KEYWORD_TBLPROPERTIES, "TBLPROPERTIES", parse_table_properties},
};

/* One clause behind the columns; false where there is none. *seen: a bit for each kind that was. */
static bool parse_table_clause(struct parser *parser, struct create_table *table, unsigned *seen)
{
    uint32_t at = parser->token.at;
    const char *name = "CLUSTERED BY";
    size_t i = 0;
    while (i < ARRAY_COUNT(table_clauses) && !parser_accept(parser, table_clauses[i].keyword))
        i++;
    if (i < ARRAY_COUNT(table_clauses)) {
        name = table_clauses[i].name;
        table_clauses[i].parse(parser, table);
    } else if (!parse_cluster_clause(parser, &table->clustering)) {
        return false;
    }
    if ((*seen & 1U << i) != 0) /* one of them would be lost */
        parser_fail(parser, ERR_PARSE, at, "found %s for the second time", name);
    *seen |= 1U << i;
    return true;
}

/* In any order: the original's pages disagree on it. */
static void parse_table_clauses(struct parser *parser, struct create_table *table, unsigned *seen)
{
    while (parse_table_clause(parser, table, seen))
        ;
}

static void parse_restore(struct parser *parser, struct statement *statement)
{
    const struct create_table create = statement->create_table;
    statement->kind = STATEMENT_RESTORE_TABLE;
    statement->restore_table = (struct restore_table){.name = create.name,
                                                      .or_replace = create.or_replace,
                                                      .if_not_exists = create.if_not_exists};
    parser_expect(parser, KEYWORD_CLONE);
    statement->restore_table.source = parser_name(parser, "the snapshot's name");
    parse_as_of(parser, &statement->restore_table);
}

/* LIKE s or AS SELECT ..., behind the clauses: where the columns come from when none are written. */
static void parse_columns_source(struct parser *parser, struct create_table *table)
{
    bool is_like = parser_is(parser, KEYWORD_LIKE);
    uint32_t at = parser->token.at;
    if (!is_like && !parser_is(parser, KEYWORD_AS)) {
        if (table->column_count == 0)
            parser_expected(parser, "(, AS, LIKE or CLONE");
        return;
    }
    if (table->column_count > 0 || table->partition_column_count > 0)
        parser_fail(parser, ERR_SEMANTIC, at,
                    is_like ? "LIKE brings all columns: CREATE TABLE %.*s LIKE ... alone"
                            : "AS brings all columns, and none is a partition's: CREATE TABLE "
                              "%.*s AS SELECT ... alone",
                    SPAN_PRINTF(table->name.object));
    if (is_like && table->clustering.kind != CLUSTER_BY_NOTHING)
        parser_fail(parser, ERR_SEMANTIC, table->clustering.at,
                    "LIKE brings the clustering, too; ALTER TABLE ... CLUSTERED BY changes it");
    parser_advance(parser);
    table->has_like = is_like;
    if (is_like)
        table->like = parser_name(parser, "the name of a table");
    else if (!parser_at_query(parser) && !parser_is_symbol(parser, SYMBOL_OPEN))
        parser_expected(parser, "SELECT");
    else
        table->query = parser_query(parser);
}

/* [IF NOT EXISTS] name */
static void parse_create_name(struct parser *parser, struct create_table *table, int variant)
{
    uint32_t at = parser->token.at;
    *table = (struct create_table){.or_replace = variant != 0};
    table->if_not_exists = parser_accept_if_not_exists(parser);
    if (table->or_replace && table->if_not_exists)
        parser_fail(parser, ERR_SEMANTIC, at,
                    "OR REPLACE and IF NOT EXISTS exclude each other: write one of them");
    table->name = parser_name(parser, "the table's name");
}

void parse_create_table(struct parser *parser, struct statement *statement, int variant)
{
    struct create_table *table = &statement->create_table;
    unsigned seen = 0;
    parse_create_name(parser, table, variant);
    if (parser_is(parser, KEYWORD_CLONE)) {
        parse_restore(parser, statement);
        return;
    }
    if (parser_accept_symbol(parser, SYMBOL_OPEN)) {
        table->columns = parse_columns(parser, false, &table->column_count);
        parser_expect_symbol(parser, SYMBOL_CLOSE);
    }
    parse_table_clauses(parser, table, &seen);
    parse_columns_source(parser, table);
}

/* STORED BY 'handler' | AS format [WITH SERDEPROPERTIES (...)] LOCATION '...' */
static void parse_stored(struct parser *parser, struct create_table *table)
{
    uint32_t at = parser->token.at;
    parser_advance(parser);
    if (parser_accept(parser, KEYWORD_BY))
        parser_string(parser, "the storage handler's class as a string");
    else if (parser_accept(parser, KEYWORD_AS))
        parser_identifier(parser, "a file format such as PARQUET");
    else
        parser_expected(parser, "BY or AS");
    if (parser_accept(parser, KEYWORD_WITH)) {
        if (!parser_is_word(parser, "SERDEPROPERTIES"))
            parser_expected(parser, "SERDEPROPERTIES");
        parser_advance(parser);
        parser_options(parser, NULL);
    }
    if (parser->code == ERR_OK)
        table->external = span_slice(parser->lexer.text, at, parser->last_end - at);
    if (!parser_is_word(parser, "LOCATION"))
        parser_expected(parser, "LOCATION '...'");
    parser_advance(parser);
    uint32_t location_at = parser->token.at;
    table->location = parser_string(parser, "the location as a string");
    if (table->external.len > LIMIT_EXTERNAL_BYTES || table->location.len > LIMIT_EXTERNAL_BYTES)
        parser_fail(parser, ERR_LIMIT, location_at,
                    "found more than %zu bytes of STORED or LOCATION",
                    (size_t)LIMIT_EXTERNAL_BYTES);
}

void parse_create_external(struct parser *parser, struct statement *statement, int variant)
{
    struct create_table *table = &statement->create_table;
    unsigned seen = 0;
    parse_create_name(parser, table, variant);
    parser_expect_symbol(parser, SYMBOL_OPEN);
    table->columns = parse_columns(parser, false, &table->column_count);
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    parse_table_clauses(parser, table, &seen);
    if (!parser_is_word(parser, "STORED")) {
        parser_expected(parser, "STORED BY 'handler' or STORED AS format, and LOCATION '...'");
        return;
    }
    parse_stored(parser, table);
    parse_table_clauses(parser, table, &seen);
    if (table->lifecycle_days > 0)
        parser_fail(parser, ERR_SEMANTIC, parser->last_end,
                    "an external table has no LIFECYCLE: its rows are not here");
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
        if (!parse_alter(parser, statement, alter->table) &&
            !parse_alter_clustering(parser, statement, alter->table))
            parser_expected(parser, "ADD, DROP, RENAME TO, SET COMMENT, SET LIFECYCLE, ENABLE or "
                                    "DISABLE LIFECYCLE, TOUCH, PARTITION, [RANGE] CLUSTERED BY or "
                                    "NOT CLUSTERED");
        return;
    }
    alter->partitions = parser_partitions(parser);
}
