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
    if (count > 0)
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

/* WITHIN GROUP (ORDER BY key [ASC | DESC], ...) behind a call */
static void parse_within(struct parser *parser, struct expr *call)
{
    BYTES_CLEANUP struct bytes keys = {0};
    parser_expect(parser, KEYWORD_GROUP);
    parser_expect_symbol(parser, SYMBOL_OPEN);
    parser_expect(parser, KEYWORD_ORDER);
    parser_expect(parser, KEYWORD_BY);
    do {
        size_t count = keys.len / sizeof(struct expr *);
        if (count == WITHIN_KEYS_MAX) {
            parser_fail(parser, ERR_LIMIT, parser->token.at, "more than %d keys", WITHIN_KEYS_MAX);
            break;
        }
        struct expr *key = parser_expr(parser);
        bytes_append(&keys, &key, sizeof(struct expr *));
        if (parser_accept(parser, KEYWORD_DESC))
            call->descending |= UINT32_C(1) << count;
        else
            parser_accept(parser, KEYWORD_ASC);
        if (key->depth >= call->depth)
            call->depth = key->depth + 1;
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    call->within = parser_array(parser, &keys, sizeof(struct expr *), &call->within_count);
}

static struct expr *call_new(struct parser *parser, const char *name, uint32_t at,
                             struct expr *const *args, size_t count)
{
    struct expr *call = expr_new(parser, EXPR_CALL, at);
    call->name = span_text(name);
    expr_finish(parser, call, args, count);
    return call;
}

/* EXTRACT(part FROM x) is DATEPART(x, 'part') */
static struct expr *parse_extract(struct parser *parser, uint32_t at)
{
    parser_advance(parser);
    parser_expect_symbol(parser, SYMBOL_OPEN);
    struct expr *part = expr_new(parser, EXPR_LITERAL, parser->token.at);
    part->literal.kind = LITERAL_STRING;
    part->literal.at = part->at;
    part->literal.text = parser_identifier(parser, "a part: year, month, day, hour ...");
    part->end = parser->last_end;
    parser_expect(parser, KEYWORD_FROM);
    struct expr *args[] = {parser_expr(parser), part};
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    return call_new(parser, "DATEPART", at, args, 2);
}

static struct expr *parse_call(struct parser *parser, uint32_t at)
{
    if (name_equal(parser->token.text, span_text("EXTRACT")))
        return parse_extract(parser, at);
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
    if (parser_is(parser, KEYWORD_WITHIN) && parser_peek(parser).keyword == KEYWORD_GROUP) {
        parser_advance(parser);
        parse_within(parser, call);
    }
    if (parser_is_word(parser, "OVER") && parser_peek(parser).symbol == SYMBOL_OPEN)
        parser_fail(parser, ERR_SEMANTIC, parser->token.at,
                    "window functions (OVER) are not supported: join with a query that groups");
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

/* CASE [operand] WHEN x THEN y ... [ELSE z] END */
static struct expr *parse_case(struct parser *parser, uint32_t at)
{
    struct expr *expr = expr_new(parser, EXPR_CASE, at);
    BYTES_CLEANUP struct bytes args = {0};
    expr->simple = !parser_is(parser, KEYWORD_WHEN);
    if (expr->simple) {
        struct expr *operand = parser_expr(parser);
        bytes_append(&args, &operand, sizeof(struct expr *));
    }
    parser_expect(parser, KEYWORD_WHEN);
    do {
        struct expr *pair[2];
        pair[0] = parser_expr(parser);
        parser_expect(parser, KEYWORD_THEN);
        pair[1] = parser_expr(parser);
        bytes_append(&args, pair, sizeof(pair));
    } while (parser_accept(parser, KEYWORD_WHEN));
    expr->has_else = parser_accept(parser, KEYWORD_ELSE);
    if (expr->has_else) {
        struct expr *otherwise = parser_expr(parser);
        bytes_append(&args, &otherwise, sizeof(struct expr *));
    }
    if (!parser_accept(parser, KEYWORD_END))
        parser_expected(parser, expr->has_else ? "END" : "WHEN, ELSE or END");
    expr_finish(parser, expr, (struct expr **)(void *)args.data, args.len / sizeof(struct expr *));
    return expr;
}

/* column, table.column, project.table.column */
static struct expr *parse_column(struct parser *parser, uint32_t at)
{
    struct expr *column = expr_new(parser, EXPR_COLUMN, at);
    column->name = parser_identifier(parser, "an expression");
    for (int dots = 0; dots < 2 && parser_accept_symbol(parser, SYMBOL_DOT); dots++) {
        column->project = column->qualifier;
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

/* ( query ), behind '(' */
static struct expr *parse_subquery(struct parser *parser, enum expr_kind kind, uint32_t at,
                                   struct expr *value)
{
    struct expr *expr = expr_new(parser, kind, at);
    expr->query = parser_query(parser);
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    expr_finish(parser, expr, &value, value == NULL ? 0 : 1);
    return expr;
}

static struct expr *parse_exists(struct parser *parser, uint32_t at)
{
    parser_expect_symbol(parser, SYMBOL_OPEN);
    return parse_subquery(parser, EXPR_EXISTS, at, NULL);
}

static struct expr *parse_primary(struct parser *parser)
{
    uint32_t at = parser->token.at;
    if (parser_at_literal(parser))
        return parse_literal(parser, at);
    if (parser_accept_symbol(parser, SYMBOL_OPEN)) {
        if (parser_at_query(parser))
            return parse_subquery(parser, EXPR_QUERY, at, NULL);
        struct expr *inner = parser_expr(parser);
        parser_expect_symbol(parser, SYMBOL_CLOSE);
        return inner;
    }
    if (parser_accept(parser, KEYWORD_CAST))
        return parse_cast(parser, at);
    if (parser_accept(parser, KEYWORD_CASE))
        return parse_case(parser, at);
    if (parser_accept(parser, KEYWORD_EXISTS))
        return parse_exists(parser, at);
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

#define MULTIPLY_BINDING 3 /* of * / % DIV */

static const struct operator_row {
    enum symbol symbol;
    enum binary_op op;
    unsigned binding;
} operators[] =
    {
        {SYMBOL_CONCAT, OP_CONCAT, 1},
        {SYMBOL_PLUS, OP_ADD, 2},
        {SYMBOL_MINUS, OP_SUBTRACT, 2},
        {SYMBOL_STAR, OP_MULTIPLY, MULTIPLY_BINDING},
        {SYMBOL_SLASH, OP_DIVIDE, MULTIPLY_BINDING},
        {SYMBOL_PERCENT, OP_MODULO, MULTIPLY_BINDING},
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
        if (parser_is(parser, KEYWORD_DIV) && binding <= MULTIPLY_BINDING) {
            parser_advance(parser);
            struct expr *args[] = {left, parse_binary(parser, MULTIPLY_BINDING + 1)};
            left = call_new(parser, "DIV", left->at, args, 2);
            continue;
        }
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
    parser_expect_symbol(parser, SYMBOL_OPEN);
    if (parser_at_query(parser)) {
        struct expr *query = parse_subquery(parser, EXPR_IN_QUERY, value->at, value);
        query->negated = negated;
        return query;
    }
    struct expr *in = expr_new(parser, EXPR_IN, value->at);
    BYTES_CLEANUP struct bytes args = {0};
    bytes_append(&args, &value, sizeof(struct expr *));
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

/* The second operand, and the node of both: LIKE, RLIKE, IS DISTINCT FROM. */
static struct expr *parse_second(struct parser *parser, enum expr_kind kind, struct expr *value,
                                 bool negated)
{
    struct expr *expr = expr_new(parser, kind, value->at);
    struct expr *args[] = {value, parse_binary(parser, 0)};
    expr->negated = negated;
    expr_finish(parser, expr, args, 2);
    return expr;
}

/* IS [NOT] NULL | TRUE | FALSE | DISTINCT FROM x. TRUE and FALSE: never NULL, and so is <=>. */
static struct expr *parse_is(struct parser *parser, struct expr *value)
{
    bool negated = parser_accept(parser, KEYWORD_NOT);
    if (parser_accept(parser, KEYWORD_DISTINCT)) {
        parser_expect(parser, KEYWORD_FROM);
        return parse_second(parser, EXPR_DISTINCT, value, negated);
    }
    bool truth = parser_is(parser, KEYWORD_TRUE) || parser_is(parser, KEYWORD_FALSE);
    struct expr *is = expr_new(parser, truth ? EXPR_DISTINCT : EXPR_IS_NULL, value->at);
    if (truth) {
        struct expr *args[] = {value, parse_literal(parser, parser->token.at)};
        is->negated = !negated;
        expr_finish(parser, is, args, 2);
        return is;
    }
    is->negated = negated;
    if (!parser_accept(parser, KEYWORD_NULL))
        parser_expected(parser, "NULL, TRUE, FALSE or DISTINCT FROM");
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
        if (parser_accept_symbol(parser, SYMBOL_NULL_SAFE)) {
            left = parse_second(parser, EXPR_DISTINCT, left, true);
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
            left = parse_second(parser, EXPR_LIKE, left, negated);
        } else if (parser_accept(parser, KEYWORD_RLIKE) || parser_accept(parser, KEYWORD_REGEXP)) {
            left = parse_second(parser, EXPR_RLIKE, left, negated);
        } else if (negated) {
            parser_expected(parser, "IN, BETWEEN, LIKE or RLIKE");
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
