/* Expressions, by falling binding: OR, AND, NOT, predicates, ||, + -, * / %, unary -, primaries. */
#include "node/sql/parse.h"

#include "proto/limits.h"

static struct expr *parse_not(struct parser *parser);

/* ---- nodes ---- */

static struct expr *expr_new(struct parser *parser, enum expr_kind kind, uint32_t at)
{
    struct expr *expr = parser_node(parser, sizeof(*expr));
    expr->kind = kind;
    expr->at = at;
    expr->depth = 1;
    return expr;
}

/* Takes `count` arguments; the node ends where the last token ended. */
static void expr_finish(struct parser *parser, struct expr *expr, struct expr *const *args,
                        size_t count)
{
    BYTES_CLEANUP struct bytes list = {0};
    bytes_append(&list, args, count * sizeof(struct expr *));
    expr->args = parser_array(parser, &list, sizeof(struct expr *), &expr->arg_count);
    expr->end = parser->last_end;
    for (size_t i = 0; i < expr->arg_count; i++) {
        if (expr->args[i]->depth >= expr->depth)
            expr->depth = expr->args[i]->depth + 1;
    }
    if (expr->depth > LIMIT_EXPRESSION_DEPTH)
        parser_fail(parser, ERR_LIMIT, expr->at, "the expression is nested deeper than %d",
                    LIMIT_EXPRESSION_DEPTH);
}

static bool parser_enter(struct parser *parser)
{
    if (++parser->depth > LIMIT_EXPRESSION_DEPTH)
        parser_fail(parser, ERR_LIMIT, parser->token.at, "the expression is nested deeper than %d",
                    LIMIT_EXPRESSION_DEPTH);
    return parser->code == ERR_OK;
}

static void parser_leave(struct parser *parser)
{
    parser->depth--;
}

/* ---- primaries ---- */

/* expr, expr, ... appended to `args` */
static void parse_arguments(struct parser *parser, struct bytes *args)
{
    do {
        struct expr *arg = parser_expr(parser);
        bytes_append(args, &arg, sizeof(struct expr *));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
}

static struct expr *parse_call(struct parser *parser, uint32_t at)
{
    struct expr *call = expr_new(parser, EXPR_CALL, at);
    BYTES_CLEANUP struct bytes args = {0};
    call->name = parser->token.text;
    parser_advance(parser);
    parser_expect_symbol(parser, SYMBOL_OPEN);
    uint32_t star_at = parser->token.at;
    if (parser_accept_symbol(parser, SYMBOL_STAR)) {
        struct expr *star = expr_new(parser, EXPR_STAR, star_at);
        bytes_append(&args, &star, sizeof(struct expr *));
    } else if (!parser_is_symbol(parser, SYMBOL_CLOSE)) {
        call->distinct = parser_accept(parser, KEYWORD_DISTINCT);
        if (!call->distinct)
            parser_accept(parser, KEYWORD_ALL);
        parse_arguments(parser, &args);
    }
    if (!parser_accept_symbol(parser, SYMBOL_CLOSE))
        parser_expected(parser, ", or )");
    expr_finish(parser, call, (struct expr **)(void *)args.data, args.len / sizeof(struct expr *));
    return call;
}

static struct expr *parse_cast(struct parser *parser, uint32_t at)
{
    struct expr *cast = expr_new(parser, EXPR_CAST, at);
    parser_expect_symbol(parser, SYMBOL_OPEN);
    struct expr *inner = parser_expr(parser);
    parser_expect(parser, KEYWORD_AS);
    cast->type = parser_type(parser);
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    expr_finish(parser, cast, &inner, 1);
    return cast;
}

static struct expr *parse_column(struct parser *parser, uint32_t at)
{
    struct expr *column = expr_new(parser, EXPR_COLUMN, at);
    column->name = parser_identifier(parser, "an expression");
    if (parser_accept_symbol(parser, SYMBOL_DOT)) {
        column->qualifier = column->name;
        column->name = parser->token.text;
        if (parser->token.kind == TOKEN_WORD)
            parser_advance(parser);
        else
            parser_expected(parser, "a column's name");
    }
    column->end = parser->last_end;
    return column;
}

static bool parser_at_literal(const struct parser *parser)
{
    if (parser->token.kind == TOKEN_STRING || parser->token.kind == TOKEN_NUMBER)
        return true;
    if (parser_is(parser, KEYWORD_NULL) || parser_is(parser, KEYWORD_TRUE) ||
        parser_is(parser, KEYWORD_FALSE))
        return true;
    return (parser_is(parser, KEYWORD_DATE) || parser_is(parser, KEYWORD_DATETIME) ||
            parser_is(parser, KEYWORD_TIMESTAMP)) &&
           parser_peek(parser).kind == TOKEN_STRING;
}

static struct expr *parse_literal(struct parser *parser, uint32_t at)
{
    struct expr *literal = expr_new(parser, EXPR_LITERAL, at);
    literal->literal = parser_literal(parser);
    literal->end = parser->last_end;
    return literal;
}

static struct expr *parse_primary(struct parser *parser)
{
    uint32_t at = parser->token.at;
    if (parser_at_literal(parser))
        return parse_literal(parser, at);
    if (parser_accept_symbol(parser, SYMBOL_OPEN)) {
        if (parser_is(parser, KEYWORD_SELECT))
            parser_fail(parser, ERR_SEMANTIC, parser->token.at, "subqueries are not supported yet");
        struct expr *inner = parser_expr(parser);
        parser_expect_symbol(parser, SYMBOL_CLOSE);
        return inner;
    }
    if (parser_accept(parser, KEYWORD_CAST))
        return parse_cast(parser, at);
    if (parser_is(parser, KEYWORD_CASE) || parser_is(parser, KEYWORD_EXISTS))
        parser_fail(parser, ERR_SEMANTIC, at, "%s is not supported yet",
                    keyword_text(parser->token.keyword));
    bool name = parser->token.kind == TOKEN_WORD && !keyword_reserved(parser->token.keyword);
    struct token next = parser_peek(parser);
    if (name && next.kind == TOKEN_SYMBOL && next.symbol == SYMBOL_OPEN)
        return parse_call(parser, at);
    return parse_column(parser, at);
}

/* ---- operators ---- */

static struct expr *parse_unary(struct parser *parser)
{
    uint32_t at = parser->token.at;
    bool minus = parser_is_symbol(parser, SYMBOL_MINUS);
    if (!minus && !parser_is_symbol(parser, SYMBOL_PLUS))
        return parse_primary(parser);
    if (parser_peek(parser).kind == TOKEN_NUMBER) /* -9223372036854775808 is one number */
        return parse_literal(parser, at);
    parser_advance(parser);
    struct expr *inner =
        parser_enter(parser) ? parse_unary(parser) : expr_new(parser, EXPR_LITERAL, at);
    parser_leave(parser);
    if (!minus)
        return inner;
    struct expr *negate = expr_new(parser, EXPR_NEGATE, at);
    expr_finish(parser, negate, &inner, 1);
    return negate;
}

static const struct operator_row {
    enum symbol symbol;
    enum binary_op op;
    unsigned binding;
} operators[] =
    {
        {SYMBOL_CONCAT, OP_CONCAT, 1}, {SYMBOL_PLUS, OP_ADD, 2},     {SYMBOL_MINUS, OP_SUBTRACT, 2},
        {SYMBOL_STAR, OP_MULTIPLY, 3}, {SYMBOL_SLASH, OP_DIVIDE, 3}, {SYMBOL_PERCENT, OP_MODULO, 3},
},
  comparisons[] = {
      {SYMBOL_EQUAL, OP_EQUAL, 0},     {SYMBOL_NOT_EQUAL, OP_NOT_EQUAL, 0},
      {SYMBOL_LESS, OP_LESS, 0},       {SYMBOL_LESS_EQUAL, OP_LESS_EQUAL, 0},
      {SYMBOL_GREATER, OP_GREATER, 0}, {SYMBOL_GREATER_EQUAL, OP_GREATER_EQUAL, 0},
};

static const struct operator_row *operator_at(const struct parser *parser,
                                              const struct operator_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (parser_is_symbol(parser, rows[i].symbol))
            return &rows[i];
    }
    return NULL;
}

static struct expr *binary_new(struct parser *parser, enum binary_op op, struct expr *left,
                               struct expr *right)
{
    struct expr *expr = expr_new(parser, EXPR_BINARY, left->at);
    struct expr *args[] = {left, right};
    expr->op = op;
    expr_finish(parser, expr, args, 2);
    return expr;
}

/* Operators that bind at least as tightly as `binding`, from the left. */
static struct expr *parse_binary(struct parser *parser, unsigned binding)
{
    struct expr *left = parse_unary(parser);
    while (parser->code == ERR_OK) {
        const struct operator_row *row = operator_at(parser, operators, ARRAY_COUNT(operators));
        if (row == NULL || row->binding < binding)
            break;
        parser_advance(parser);
        left = binary_new(parser, row->op, left, parse_binary(parser, row->binding + 1));
    }
    return left;
}

/* ---- predicates ---- */

static struct expr *parse_in(struct parser *parser, struct expr *value, bool negated)
{
    struct expr *in = expr_new(parser, EXPR_IN, value->at);
    BYTES_CLEANUP struct bytes args = {0};
    bytes_append(&args, &value, sizeof(struct expr *));
    parser_expect_symbol(parser, SYMBOL_OPEN);
    if (parser_is(parser, KEYWORD_SELECT))
        parser_fail(parser, ERR_SEMANTIC, parser->token.at, "subqueries are not supported yet");
    parse_arguments(parser, &args);
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    in->negated = negated;
    expr_finish(parser, in, (struct expr **)(void *)args.data, args.len / sizeof(struct expr *));
    return in;
}

static struct expr *parse_between(struct parser *parser, struct expr *value, bool negated)
{
    struct expr *between = expr_new(parser, EXPR_BETWEEN, value->at);
    struct expr *args[3] = {value};
    args[1] = parse_binary(parser, 0);
    parser_expect(parser, KEYWORD_AND);
    args[2] = parse_binary(parser, 0);
    between->negated = negated;
    expr_finish(parser, between, args, 3);
    return between;
}

static struct expr *parse_like(struct parser *parser, struct expr *value, bool negated)
{
    struct expr *like = expr_new(parser, EXPR_LIKE, value->at);
    struct expr *args[] = {value, parse_binary(parser, 0)};
    like->negated = negated;
    expr_finish(parser, like, args, 2);
    return like;
}

static struct expr *parse_is(struct parser *parser, struct expr *value)
{
    struct expr *is = expr_new(parser, EXPR_IS_NULL, value->at);
    is->negated = parser_accept(parser, KEYWORD_NOT);
    parser_expect(parser, KEYWORD_NULL);
    expr_finish(parser, is, &value, 1);
    return is;
}

static struct expr *parse_predicate(struct parser *parser)
{
    struct expr *left = parse_binary(parser, 0);
    while (parser->code == ERR_OK) {
        const struct operator_row *row = operator_at(parser, comparisons, ARRAY_COUNT(comparisons));
        if (row != NULL) {
            parser_advance(parser);
            left = binary_new(parser, row->op, left, parse_binary(parser, 0));
            continue;
        }
        if (parser_accept(parser, KEYWORD_IS)) {
            left = parse_is(parser, left);
            continue;
        }
        bool negated = parser_accept(parser, KEYWORD_NOT);
        if (parser_accept(parser, KEYWORD_IN)) {
            left = parse_in(parser, left, negated);
        } else if (parser_accept(parser, KEYWORD_BETWEEN)) {
            left = parse_between(parser, left, negated);
        } else if (parser_accept(parser, KEYWORD_LIKE)) {
            left = parse_like(parser, left, negated);
        } else if (negated) {
            parser_expected(parser, "IN, BETWEEN or LIKE");
        } else {
            break;
        }
    }
    return left;
}

static struct expr *parse_not(struct parser *parser)
{
    uint32_t at = parser->token.at;
    if (!parser_accept(parser, KEYWORD_NOT))
        return parse_predicate(parser);
    struct expr *inner =
        parser_enter(parser) ? parse_not(parser) : expr_new(parser, EXPR_LITERAL, at);
    parser_leave(parser);
    struct expr *not = expr_new(parser, EXPR_NOT, at);
    expr_finish(parser, not, &inner, 1);
    return not ;
}

/* operand { keyword operand }, side by side in one node */
static struct expr *parse_chain(struct parser *parser, enum keyword keyword, enum expr_kind kind,
                                struct expr *(*operand)(struct parser *parser))
{
    struct expr *first = operand(parser);
    if (!parser_is(parser, keyword))
        return first;
    BYTES_CLEANUP struct bytes args = {0};
    bytes_append(&args, &first, sizeof(struct expr *));
    while (parser_accept(parser, keyword)) {
        struct expr *next = operand(parser);
        bytes_append(&args, &next, sizeof(struct expr *));
    }
    struct expr *chain = expr_new(parser, kind, first->at);
    expr_finish(parser, chain, (struct expr **)(void *)args.data, args.len / sizeof(struct expr *));
    return chain;
}

static struct expr *parse_and(struct parser *parser)
{
    return parse_chain(parser, KEYWORD_AND, EXPR_AND, parse_not);
}

struct expr *parser_expr(struct parser *parser)
{
    struct expr *expr;
    if (parser_enter(parser))
        expr = parse_chain(parser, KEYWORD_OR, EXPR_OR, parse_and);
    else
        expr = expr_new(parser, EXPR_LITERAL, parser->token.at);
    parser_leave(parser);
    return expr;
}
