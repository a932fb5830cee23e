/* Queries: WITH, blocks (SELECT items FROM ... HAVING), set operations, ORDER BY, LIMIT. */
#include "node/sql/parse.h"

#include "proto/limits.h"

/* qualifier.* or project.qualifier.* ; false if that is not what comes. */
static bool parse_qualified_star(struct parser *parser, struct select_item *item)
{
    struct lexer ahead = parser->lexer;
    struct token dot, next = parser->token;
    int words = 0;
    while (next.kind == TOKEN_WORD && words < 3) {
        words++;
        if (lexer_next(&ahead, &dot, NULL) != ERR_OK || dot.symbol != SYMBOL_DOT ||
            lexer_next(&ahead, &next, NULL) != ERR_OK)
            return false;
    }
    if (words == 0 || words > 2 || next.symbol != SYMBOL_STAR)
        return false;
    item->qualifier = parser_identifier(parser, "a table's name or alias");
    parser_advance(parser);
    if (words == 2) {
        item->project = item->qualifier;
        item->qualifier = parser->token.text;
        parser_advance(parser);
        parser_advance(parser);
    }
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
            item.alias = parser_alias(parser);
        }
        bytes_append(&items, &item, sizeof(item));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    select->items = parser_array(parser, &items, sizeof(struct select_item), &select->item_count);
}

static void parse_group_by(struct parser *parser, struct select *select)
{
    BYTES_CLEANUP struct bytes keys = {0};
    parser_expect(parser, KEYWORD_BY);
    do {
        parser_refuse_unsupported(parser);
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
        parser_refuse_unsupported(parser);
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

/* ---- blocks ---- */

static struct select *select_new(struct parser *parser)
{
    struct select *select = parser_node(parser, sizeof(*select));
    select->at = parser->token.at;
    return select;
}

static struct select *parse_block(struct parser *parser)
{
    struct select *select = select_new(parser);
    parser_expect(parser, KEYWORD_SELECT);
    select->distinct = parser_accept(parser, KEYWORD_DISTINCT);
    if (!select->distinct)
        parser_accept(parser, KEYWORD_ALL);
    parse_items(parser, select);
    if (parser_accept(parser, KEYWORD_FROM))
        select->from = parser_from(parser);
    if (parser_accept(parser, KEYWORD_WHERE))
        select->where = parser_expr(parser);
    if (parser_accept(parser, KEYWORD_GROUP))
        parse_group_by(parser, select);
    if (parser_accept(parser, KEYWORD_HAVING))
        select->having = parser_expr(parser);
    parser_refuse_unsupported(parser);
    return select;
}

/* ---- set operations ---- */

/* A block, or a query in parentheses. */
static struct select *parse_branch(struct parser *parser)
{
    if (!parser_accept_symbol(parser, SYMBOL_OPEN))
        return parse_block(parser);
    struct select *select = parser_query(parser);
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    return select;
}

/* UNION [DISTINCT], UNION ALL, INTERSECT [DISTINCT], EXCEPT and MINUS [DISTINCT] */
static bool parse_set_op(struct parser *parser, bool intersect, enum set_op *ret_op)
{
    uint32_t at = parser->token.at;
    if (intersect && !parser_accept(parser, KEYWORD_INTERSECT))
        return false;
    *ret_op = SET_INTERSECT;
    if (!intersect && parser_accept(parser, KEYWORD_UNION))
        *ret_op = SET_UNION;
    else if (!intersect &&
             (parser_accept(parser, KEYWORD_EXCEPT) || parser_accept(parser, KEYWORD_MINUS)))
        *ret_op = SET_EXCEPT;
    else if (!intersect)
        return false;
    if (parser_accept(parser, KEYWORD_ALL)) {
        if (*ret_op != SET_UNION)
            parser_fail(parser, ERR_SEMANTIC, at,
                        "%s ALL is not supported: write %s, which drops equal rows",
                        intersect ? "INTERSECT" : "EXCEPT", intersect ? "INTERSECT" : "EXCEPT");
        *ret_op = SET_UNION_ALL;
    } else {
        parser_accept(parser, KEYWORD_DISTINCT);
    }
    return true;
}

/* Queries side by side that operators of one binding connect. */
static struct select *parse_set_operation(struct parser *parser, bool intersect)
{
    uint32_t at = parser->token.at;
    struct select *first = intersect ? parse_branch(parser) : parse_set_operation(parser, true);
    BYTES_CLEANUP struct bytes branches = {0};
    BYTES_CLEANUP struct bytes ops = {0};
    enum set_op op;
    bytes_append(&branches, &first, sizeof(struct select *));
    while (parse_set_op(parser, intersect, &op)) {
        if (branches.len >= LIMIT_SET_BRANCHES * sizeof(struct select *))
            parser_fail(parser, ERR_LIMIT, parser->token.at,
                        "a set operation has more than %d queries", LIMIT_SET_BRANCHES);
        struct select *next = intersect ? parse_branch(parser) : parse_set_operation(parser, true);
        bytes_append(&branches, &next, sizeof(struct select *));
        bytes_append(&ops, &op, sizeof(op));
    }
    if (ops.len == 0)
        return first;
    size_t op_count;
    struct select *set = select_new(parser);
    set->at = at;
    set->branches = parser_array(parser, &branches, sizeof(struct select *), &set->branch_count);
    set->ops = parser_array(parser, &ops, sizeof(op), &op_count);
    return set;
}

/* ---- queries ---- */

/* WITH name AS (query), ... */
static void parse_with(struct parser *parser, struct bytes *items)
{
    do {
        struct with_item item = {.at = parser->token.at};
        item.name = parser_identifier(parser, "a name for the query");
        parser_expect(parser, KEYWORD_AS);
        parser_expect_symbol(parser, SYMBOL_OPEN);
        item.query = parser_query(parser);
        parser_expect_symbol(parser, SYMBOL_CLOSE);
        bytes_append(items, &item, sizeof(item));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
}

/* A query with clauses of its own cannot take those behind its parentheses. */
static struct select *select_enclose(struct parser *parser, struct select *inner, bool closed)
{
    BYTES_CLEANUP struct bytes branches = {0};
    if (!closed)
        return inner;
    bytes_append(&branches, &inner, sizeof(struct select *));
    struct select *select = select_new(parser);
    select->at = inner->at;
    select->branches =
        parser_array(parser, &branches, sizeof(struct select *), &select->branch_count);
    return select;
}

static struct select *parse_query(struct parser *parser)
{
    BYTES_CLEANUP struct bytes with = {0};
    if (parser_accept(parser, KEYWORD_WITH))
        parse_with(parser, &with);
    bool open = parser_is_symbol(parser, SYMBOL_OPEN);
    uint32_t at = parser->token.at;
    struct select *select = parse_set_operation(parser, false);
    bool closed = open && select->at != at; /* the very query in the parentheses */
    bool clauses =
        with.len > 0 || parser_is(parser, KEYWORD_ORDER) || parser_is(parser, KEYWORD_LIMIT);
    select = select_enclose(parser, select, closed && clauses);
    select->with = parser_array(parser, &with, sizeof(struct with_item), &select->with_count);
    if (parser_accept(parser, KEYWORD_ORDER))
        parse_order_by(parser, select);
    if (parser_accept(parser, KEYWORD_LIMIT))
        parse_limit(parser, select);
    return select;
}

bool parser_at_query(const struct parser *parser)
{
    return parser_is(parser, KEYWORD_SELECT) || parser_is(parser, KEYWORD_WITH);
}

struct select *parser_query(struct parser *parser)
{
    struct select *select;
    if (++parser->queries > LIMIT_QUERY_DEPTH)
        parser_fail(parser, ERR_LIMIT, parser->token.at, "queries are nested deeper than %d",
                    LIMIT_QUERY_DEPTH);
    select = parser->code == ERR_OK ? parse_query(parser) : select_new(parser);
    parser->queries--;
    return select;
}
