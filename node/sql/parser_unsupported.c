/* What people write in queries and we do not have: said so with what to write instead, where "expected
 * ..." would leave them to guess. */
#include "node/sql/parse.h"

static const struct unsupported {
    const char *first;
    const char *second; /* or "(" */
    const char *instead;
} unsupported[] = {
    {"NATURAL", "JOIN", "write JOIN ... ON a.x = b.x"},
    {"USING", "(", "write ON a.x = b.x"},
    {"LATERAL", "VIEW", "there are no arrays to take apart"},
    {"TABLESAMPLE", "(", "write WHERE HASH(x) % 100 = 0, or LIMIT"},
    {"DISTRIBUTE", "BY", "leave it out: rows are not distributed"},
    {"CLUSTER", "BY", "write ORDER BY"},
    {"SORT", "BY", "write ORDER BY"},
    {"ROLLUP", "(", "write a query for each grouping and UNION ALL"},
    {"CUBE", "(", "write a query for each grouping and UNION ALL"},
    {"GROUPING", "SETS", "write a query for each grouping and UNION ALL"},
    {"WITH", "ROLLUP", "write a query for each grouping and UNION ALL"},
    {"WITH", "CUBE", "write a query for each grouping and UNION ALL"},
    {"NULLS", "FIRST", "NULL is the least value; write ORDER BY x IS NULL, x for another place"},
    {"NULLS", "LAST", "NULL is the least value; write ORDER BY x IS NULL, x for another place"},
};

static bool token_is(const struct token *token, const char *word)
{
    if (strcmp(word, "(") == 0)
        return token->kind == TOKEN_SYMBOL && token->symbol == SYMBOL_OPEN;
    return token->kind == TOKEN_WORD && !token->quoted && name_equal(token->text, span_text(word));
}

static const struct unsupported *unsupported_find(const struct parser *parser)
{
    for (size_t i = 0; i < ARRAY_COUNT(unsupported); i++) {
        if (!token_is(&parser->token, unsupported[i].first))
            continue;
        struct token next = parser_peek(parser);
        if (token_is(&next, unsupported[i].second))
            return &unsupported[i];
    }
    return NULL;
}

bool parser_at_unsupported(const struct parser *parser)
{
    return unsupported_find(parser) != NULL;
}

void parser_refuse_unsupported(struct parser *parser)
{
    const struct unsupported *row = unsupported_find(parser);
    if (row == NULL)
        return;
    bool word = strcmp(row->second, "(") != 0;
    parser_fail(parser, ERR_SEMANTIC, parser->token.at, "%s%s%s is not supported: %s", row->first,
                word ? " " : "", word ? row->second : "", row->instead);
}
