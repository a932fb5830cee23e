/* SELECT [DISTINCT] items [FROM t [alias]] [WHERE] [GROUP BY] [HAVING] [ORDER BY] [LIMIT]. */
#include "node/sql/parse.h"

#include "proto/limits.h"

static struct span parse_alias(struct parser *parser)
{
    if (parser_accept(parser, KEYWORD_AS))
        return parser_identifier(parser, "an alias");
    if (parser->token.kind == TOKEN_WORD &&
        (parser->token.quoted || !keyword_reserved(parser->token.keyword)))
        return parser_identifier(parser, "an alias");
    return (struct span){0};
}

/* qualifier.* : the word, the dot and the star; false if that is not what comes. */
static bool parse_qualified_star(struct parser *parser, struct select_item *item)
{
    if (parser->token.kind != TOKEN_WORD)
        return false;
    struct lexer ahead = parser->lexer;
    struct token dot, star;
    if (lexer_next(&ahead, &dot, NULL) != ERR_OK || dot.symbol != SYMBOL_DOT ||
        lexer_next(&ahead, &star, NULL) != ERR_OK || star.symbol != SYMBOL_STAR)
        return false;
    item->qualifier = parser_identifier(parser, "a table's name or alias");
    parser_advance(parser);
    parser_advance(parser);
    return true;
}

static void parse_items(struct parser *parser, struct select *select)
{
    BYTES_CLEANUP struct bytes items = {0};
    do {
        struct select_item item = {.at = parser->token.at};
        if (items.len >= LIMIT_COLUMNS * sizeof(item))
            parser_fail(parser, ERR_LIMIT, item.at, "found more than %d result columns",
                        LIMIT_COLUMNS);
        if (!parser_accept_symbol(parser, SYMBOL_STAR) && !parse_qualified_star(parser, &item)) {
            item.expr = parser_expr(parser);
            item.alias = parse_alias(parser);
        }
        bytes_append(&items, &item, sizeof(item));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    select->items = parser_array(parser, &items, sizeof(struct select_item), &select->item_count);
}

static void parse_from(struct parser *parser, struct select *select)
{
    static const enum keyword joins[] = {KEYWORD_JOIN, KEYWORD_INNER, KEYWORD_LEFT, KEYWORD_RIGHT,
                                         KEYWORD_FULL, KEYWORD_CROSS, KEYWORD_OUTER};
    if (parser_is_symbol(parser, SYMBOL_OPEN)) {
        parser_fail(parser, ERR_SEMANTIC, parser->token.at, "subqueries are not supported yet");
        return;
    }
    select->has_from = true;
    select->from = parser_name(parser, "a table's name");
    select->from_alias = parse_alias(parser);
    bool join = parser_is_symbol(parser, SYMBOL_COMMA);
    for (size_t i = 0; i < ARRAY_COUNT(joins); i++)
        join = join || parser_is(parser, joins[i]);
    if (join)
        parser_fail(parser, ERR_SEMANTIC, parser->token.at, "joins are not supported yet");
}

static void parse_group_by(struct parser *parser, struct select *select)
{
    BYTES_CLEANUP struct bytes keys = {0};
    parser_expect(parser, KEYWORD_BY);
    do {
        struct expr *key = parser_expr(parser);
        bytes_append(&keys, &key, sizeof(struct expr *));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    select->group_by = parser_array(parser, &keys, sizeof(struct expr *), &select->group_by_count);
}

static void parse_order_by(struct parser *parser, struct select *select)
{
    BYTES_CLEANUP struct bytes keys = {0};
    parser_expect(parser, KEYWORD_BY);
    do {
        struct order_item key = {.expr = parser_expr(parser)};
        key.descending = parser_accept(parser, KEYWORD_DESC);
        if (!key.descending)
            parser_accept(parser, KEYWORD_ASC);
        bytes_append(&keys, &key, sizeof(key));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    select->order_by =
        parser_array(parser, &keys, sizeof(struct order_item), &select->order_by_count);
}

/* LIMIT n [OFFSET m] or LIMIT m, n */
static void parse_limit(struct parser *parser, struct select *select)
{
    select->has_limit = true;
    select->limit = parser_count(parser, INT64_MAX, "the number of rows");
    if (parser_accept_symbol(parser, SYMBOL_COMMA)) {
        select->offset = select->limit;
        select->limit = parser_count(parser, INT64_MAX, "the number of rows");
    } else if (parser_accept(parser, KEYWORD_OFFSET)) {
        select->offset = parser_count(parser, INT64_MAX, "the number of rows to skip");
    }
}

void parse_select(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct select *select = &statement->select;
    select->at = parser->token.at;
    select->distinct = parser_accept(parser, KEYWORD_DISTINCT);
    if (!select->distinct)
        parser_accept(parser, KEYWORD_ALL);
    parse_items(parser, select);
    if (parser_accept(parser, KEYWORD_FROM))
        parse_from(parser, select);
    if (parser_accept(parser, KEYWORD_WHERE))
        select->where = parser_expr(parser);
    if (parser_accept(parser, KEYWORD_GROUP))
        parse_group_by(parser, select);
    if (parser_accept(parser, KEYWORD_HAVING))
        select->having = parser_expr(parser);
    if (parser_accept(parser, KEYWORD_ORDER))
        parse_order_by(parser, select);
    if (parser_accept(parser, KEYWORD_LIMIT))
        parse_limit(parser, select);
    if (parser_is(parser, KEYWORD_UNION))
        parser_fail(parser, ERR_SEMANTIC, parser->token.at, "UNION is not supported yet");
}
