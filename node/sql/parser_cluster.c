/* [RANGE] CLUSTERED BY ... of CREATE TABLE and ALTER TABLE, NOT CLUSTERED. What columns there are is
 * looked up elsewhere (node/statement/cluster.c). */
#include "node/sql/parse.h"

#include "proto/limits.h"

static bool accept_word(struct parser *parser, const char *word)
{
    bool is = parser_is_word(parser, word);
    if (is)
        parser_advance(parser);
    return is;
}

/* (name [ASC | DESC], ...); without `sorts` names alone. */
static struct cluster_column *parse_cluster_columns(struct parser *parser, bool sorts,
                                                    size_t *ret_count)
{
    BYTES_CLEANUP struct bytes columns = {0};
    parser_expect(parser, KEYWORD_BY);
    parser_expect_symbol(parser, SYMBOL_OPEN);
    do {
        struct cluster_column column = {.at = parser->token.at};
        if (columns.len >= LIMIT_CLUSTERING_COLUMNS * sizeof(column)) {
            parser_fail(parser, ERR_LIMIT, parser->token.at, "found more than %d columns",
                        LIMIT_CLUSTERING_COLUMNS);
            break;
        }
        column.name = parser_identifier(parser, "a column's name");
        if (sorts && !parser_accept(parser, KEYWORD_ASC))
            column.descending = parser_accept(parser, KEYWORD_DESC);
        bytes_append(&columns, &column, sizeof(column));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    return parser_array(parser, &columns, sizeof(struct cluster_column), ret_count);
}

static void parse_buckets(struct parser *parser, struct cluster_clause *clause)
{
    uint32_t at = parser->token.at;
    _Static_assert(LIMIT_BUCKETS == 4096, "as the text says");
    clause->bucket_count = parser_count(parser, LIMIT_BUCKETS, "a number of buckets, 1 to 4096");
    if (clause->bucket_count == 0)
        parser_fail(parser, ERR_PARSE, at, "found 0, expected a number of buckets, 1 to 4096");
    if (!accept_word(parser, "BUCKETS"))
        parser_expected(parser, "BUCKETS");
}

bool parse_cluster_clause(struct parser *parser, struct cluster_clause *clause)
{
    struct cluster_clause found = {.kind = CLUSTER_BY_HASH, .at = parser->token.at};
    if (parser_is_word(parser, "RANGE")) {
        parser_advance(parser);
        found.kind = CLUSTER_BY_RANGE;
    } else if (!parser_is(parser, KEYWORD_CLUSTERED)) {
        return false;
    }
    parser_expect(parser, KEYWORD_CLUSTERED);
    found.columns = parse_cluster_columns(parser, false, &found.column_count);
    if (accept_word(parser, "SORTED"))
        found.sort_columns = parse_cluster_columns(parser, true, &found.sort_count);
    if (found.kind == CLUSTER_BY_HASH)
        parser_expect(parser, KEYWORD_INTO);
    if (found.kind == CLUSTER_BY_HASH || parser_accept(parser, KEYWORD_INTO))
        parse_buckets(parser, &found);
    *clause = found;
    return true;
}

bool parse_alter_clustering(struct parser *parser, struct statement *statement, struct name table)
{
    struct alter_clustering alter = {.table = table};
    if (parser_accept(parser, KEYWORD_NOT))
        parser_expect(parser, KEYWORD_CLUSTERED);
    else if (!parse_cluster_clause(parser, &alter.clause))
        return false;
    statement->kind = STATEMENT_ALTER_CLUSTERING;
    statement->alter_clustering = alter;
    return true;
}
