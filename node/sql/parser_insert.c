/* INSERT INTO [TABLE] | OVERWRITE TABLE t [PARTITION(...)] [(columns)] VALUES (...), ... | SELECT ... */
#include "node/sql/parse.h"

#include "proto/limits.h"

/* At SELECT or WITH, or at a query in parentheses. */
static bool at_written_query(const struct parser *parser)
{
    if (!parser_is_symbol(parser, SYMBOL_OPEN))
        return parser_at_query(parser);
    struct token next = parser_peek(parser);
    return (next.kind == TOKEN_SYMBOL && next.symbol == SYMBOL_OPEN) ||
           (next.kind == TOKEN_WORD &&
            (next.keyword == KEYWORD_SELECT || next.keyword == KEYWORD_WITH));
}

static void parse_insert_columns(struct parser *parser, struct insert *insert)
{
    BYTES_CLEANUP struct bytes columns = {0};
    if (at_written_query(parser) || !parser_accept_symbol(parser, SYMBOL_OPEN))
        return;
    do {
        if (columns.len >= LIMIT_COLUMNS * sizeof(struct span))
            parser_fail(parser, ERR_LIMIT, parser->token.at, "found more than %d columns",
                        LIMIT_COLUMNS);
        struct span column = parser_identifier(parser, "a column's name");
        bytes_append(&columns, &column, sizeof(column));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    insert->columns = parser_array(parser, &columns, sizeof(struct span), &insert->column_count);
}

static size_t parse_row(struct parser *parser, struct bytes *values)
{
    size_t width = 0;
    parser_expect_symbol(parser, SYMBOL_OPEN);
    do {
        struct literal literal = parser_literal(parser);
        bytes_append(values, &literal, sizeof(literal));
        width++;
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    if (!parser_accept_symbol(parser, SYMBOL_CLOSE))
        parser_expected(parser, ", or )");
    return width;
}

static void parse_rows(struct parser *parser, struct insert *insert)
{
    BYTES_CLEANUP struct bytes values = {0};
    size_t rows = 0;
    do {
        uint32_t at = parser->token.at;
        size_t width = parse_row(parser, &values);
        if (rows == 0)
            insert->row_width = width;
        if (width != insert->row_width)
            parser_fail(parser, ERR_PARSE, at,
                        "found %zu values in row %zu, expected %zu as in row 1", width, rows + 1,
                        insert->row_width);
        rows++;
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    size_t count;
    insert->values = parser_array(parser, &values, sizeof(struct literal), &count);
    insert->row_count = rows;
}

void parse_insert(struct parser *parser, struct statement *statement, int variant)
{
    struct insert *insert = &statement->insert;
    insert->overwrite = variant != 0;
    if (insert->overwrite)
        parser_expect(parser, KEYWORD_TABLE);
    else
        parser_accept(parser, KEYWORD_TABLE);
    insert->table = parser_name(parser, "the table's name");
    if (parser_is(parser, KEYWORD_PARTITION))
        insert->partition = parser_partition_dynamic(parser);
    parse_insert_columns(parser, insert);
    if (at_written_query(parser)) {
        insert->query = parser_query(parser);
        return;
    }
    if (!parser_accept(parser, KEYWORD_VALUES))
        parser_expected(parser, "VALUES or SELECT");
    parse_rows(parser, insert);
    size_t width = insert->column_count;
    if (width > 0 && insert->row_width != width)
        parser_fail(parser, ERR_PARSE, insert->table.at,
                    "found %zu values for %zu columns, expected as many", insert->row_width, width);
}
