/* FROM: tables, names of WITH and queries in parentheses, joined from the left; a comma binds less
 * than JOIN.
 *
 *     a, b LEFT JOIN c ON x = y        (a, (b LEFT JOIN c))
 */
#include "node/sql/parse.h"

#include "proto/limits.h"

/* ---- aliases ---- */

/* Not reserved, but behind a table or a result column they begin something else, and taken as an
 * alias they would change what the statement means. */
static bool alias_barred(enum keyword keyword)
{
    static const enum keyword barred[] = {KEYWORD_ANTI,  KEYWORD_EXCEPT,  KEYWORD_INTERSECT,
                                          KEYWORD_MINUS, KEYWORD_NATURAL, KEYWORD_SEMI,
                                          KEYWORD_USING};
    for (size_t i = 0; i < ARRAY_COUNT(barred); i++) {
        if (keyword == barred[i])
            return true;
    }
    return keyword_reserved(keyword);
}

struct span parser_alias(struct parser *parser)
{
    if (parser_accept(parser, KEYWORD_AS))
        return parser_identifier(parser, "an alias");
    if (parser->token.kind == TOKEN_WORD &&
        (parser->token.quoted || !alias_barred(parser->token.keyword)) &&
        !parser_at_unsupported(parser))
        return parser_identifier(parser, "an alias");
    return (struct span){0};
}

/* ---- joins ---- */

static struct from *from_new(struct parser *parser, enum from_kind kind, uint32_t at)
{
    struct from *from = parser_node(parser, sizeof(*from));
    from->kind = kind;
    from->at = at;
    from->depth = 1;
    return from;
}

static struct from *join_new(struct parser *parser, enum join_kind kind, struct from *left,
                             struct from *right)
{
    struct from *join = from_new(parser, FROM_JOIN, right->at);
    join->join = kind;
    join->left = left;
    join->right = right;
    join->depth = 1 + (left->depth > right->depth ? left->depth : right->depth);
    if (join->depth > LIMIT_JOIN_TABLES)
        parser_fail(parser, ERR_LIMIT, right->at, "FROM joins more than %d tables",
                    LIMIT_JOIN_TABLES);
    return join;
}

static struct from *parse_table(struct parser *parser)
{
    uint32_t at = parser->token.at;
    if (!parser_accept_symbol(parser, SYMBOL_OPEN)) {
        struct from *table = from_new(parser, FROM_TABLE, at);
        table->name = parser_name(parser, "a table's name");
        table->alias = parser_alias(parser);
        return table;
    }
    struct from *from = from_new(parser, FROM_QUERY, at);
    if (!parser_at_query(parser) && !parser_is_symbol(parser, SYMBOL_OPEN))
        parser_expected(parser, "SELECT");
    from->query = parser_query(parser);
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    from->alias = parser_alias(parser);
    if (from->alias.len == 0)
        parser_expected(parser, "an alias for the query");
    return from;
}

/* [INNER] JOIN, CROSS JOIN, LEFT [OUTER | SEMI | ANTI] JOIN, RIGHT and FULL [OUTER] JOIN */
static bool parse_join_words(struct parser *parser, enum join_kind *ret_kind)
{
    *ret_kind = JOIN_INNER;
    if (parser_accept(parser, KEYWORD_JOIN))
        return true;
    bool outer = true;
    if (parser_accept(parser, KEYWORD_LEFT)) {
        bool semi = parser_accept(parser, KEYWORD_SEMI);
        bool anti = !semi && parser_accept(parser, KEYWORD_ANTI);
        *ret_kind = semi ? JOIN_SEMI : anti ? JOIN_ANTI : JOIN_LEFT;
        outer = !semi && !anti;
    } else if (parser_accept(parser, KEYWORD_RIGHT)) {
        *ret_kind = JOIN_RIGHT;
    } else if (parser_accept(parser, KEYWORD_FULL)) {
        *ret_kind = JOIN_FULL;
    } else {
        outer = false;
        if (parser_accept(parser, KEYWORD_CROSS))
            *ret_kind = JOIN_CROSS;
        else if (!parser_accept(parser, KEYWORD_INNER))
            return false;
    }
    if (outer)
        parser_accept(parser, KEYWORD_OUTER);
    parser_expect(parser, KEYWORD_JOIN);
    return true;
}

static struct from *parse_joins(struct parser *parser)
{
    struct from *left = parse_table(parser);
    enum join_kind kind;
    while (parse_join_words(parser, &kind)) {
        left = join_new(parser, kind, left, parse_table(parser));
        if (kind == JOIN_CROSS)
            continue;
        parser_refuse_unsupported(parser);
        parser_expect(parser, KEYWORD_ON);
        left->on = parser_expr(parser);
    }
    parser_refuse_unsupported(parser);
    return left;
}

struct from *parser_from(struct parser *parser)
{
    struct from *left = parse_joins(parser);
    while (parser_accept_symbol(parser, SYMBOL_COMMA))
        left = join_new(parser, JOIN_CROSS, left, parse_joins(parser));
    return left;
}
