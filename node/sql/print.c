#include "node/sql/print.h"

#include "node/sql/form.h"

#define CHAIN_PIECES 32 /* operands of AND, OR side by side */

/* ---- what was printed ---- */

void printed_deinit(struct printed *printed)
{
    bytes_deinit(&printed->sql);
    bytes_deinit(&printed->programs);
    bytes_deinit(&printed->doubles);
    bytes_deinit(&printed->aggregates);
}

size_t printed_program_count(const struct printed *printed)
{
    return printed->programs.len / sizeof(struct program);
}

const struct program *printed_program(const struct printed *printed, size_t i)
{
    ASSERT(i < printed_program_count(printed));
    return (const struct program *)(const void *)printed->programs.data + i;
}

size_t printed_aggregate_count(const struct printed *printed)
{
    return printed->aggregates.len / sizeof(struct node *);
}

const struct node *printed_aggregate(const struct printed *printed, size_t i)
{
    ASSERT(i < printed_aggregate_count(printed));
    return ((const struct node *const *)(const void *)printed->aggregates.data)[i];
}

/* ---- leaves ---- */

/* A NUL would end the SQL: such a text goes as hex. */
static void text_print(struct span text, struct bytes *out)
{
    if (text.len > 0 && memchr(text.data, 0, text.len) != NULL) {
        bytes_append_text(out, "CAST(x'");
        bytes_append_hex(out, text);
        bytes_append_text(out, "' AS TEXT)");
        return;
    }
    bytes_append_u8(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\'')
            bytes_append_u8(out, '\'');
        bytes_append_u8(out, text.data[i]);
    }
    bytes_append_u8(out, '\'');
}

static enum err_code double_print(struct printer *printer, double number, struct err *err)
{
    if (isnan(number)) {
        bytes_append_text(printer->sql, "x''");
        return ERR_OK;
    }
    struct bytes *doubles = &printer->out->doubles;
    bytes_append(doubles, &number, sizeof(number));
    size_t count = doubles->len / sizeof(number);
    if (count > PRINT_DOUBLES_MAX)
        return err_set(err, ERR_LIMIT, "the statement has more than %d numbers of type DOUBLE",
                       PRINT_DOUBLES_MAX);
    bytes_printf(printer->sql, "?%zu", count);
    return ERR_OK;
}

static void integer_print(int64_t number, struct bytes *out)
{
    if (number == INT64_MIN) /* the only one that SQLite would read as a real */
        bytes_append_text(out, "(-9223372036854775807-1)");
    else
        bytes_printf(out, number < 0 ? "(%" PRId64 ")" : "%" PRId64, number);
}

static enum err_code literal_print(struct printer *printer, const struct node *node,
                                   struct err *err)
{
    struct bytes *out = printer->sql;
    if (node->value.null) {
        bytes_append_text(out, "NULL");
        return ERR_OK;
    }
    switch (form_of(node->type)) {
    case FORM_INTEGER:
        integer_print(node->value.i64, out);
        break;
    case FORM_NARROW_DECIMAL:
        integer_print((int64_t)node->value.decimal, out);
        break;
    case FORM_WIDE_DECIMAL: {
        uint8_t form[WIDE_DECIMAL_BYTES];
        wide_decimal_store(node->value.decimal, form);
        bytes_append_text(out, "x'");
        bytes_append_hex(out, span_of(form, sizeof(form)));
        bytes_append_u8(out, '\'');
        break;
    }
    case FORM_DOUBLE:
        return double_print(printer, node->value.f64, err);
    case FORM_TEXT:
        text_print(node->value.text, out);
        break;
    }
    return ERR_OK;
}

static void column_print(struct printer *printer, const struct node *node)
{
    const struct relation *relation = node->relation;
    if (relation->wrap > 0)
        bytes_printf(printer->sql, "\"j%zu\".\"s%zuc%zu\"", relation->wrap, relation->number,
                     node->column);
    else
        bytes_printf(printer->sql, "\"s%zu\".\"c%zu\"", relation->number, node->column);
}

/* The number of an equal aggregate, or of a new one: SQLite computes equal calls once. */
static size_t aggregate_intern(struct printer *printer, const struct node *node)
{
    struct printed *out = printer->out;
    size_t count = printed_aggregate_count(out);
    for (size_t i = 0; i < count; i++) {
        if (node_equal(printed_aggregate(out, i), node))
            return i;
    }
    bytes_append(&out->aggregates, &node, sizeof(node));
    return count;
}

static const char *aggregate_function(const struct node *node)
{
    enum type_kind kind = node->arg_count > 0 ? node->args[0]->type.kind : TYPE_BIGINT;
    switch (node->aggregate) {
    case AGGREGATE_COUNT_ALL:
    case AGGREGATE_COUNT:
        return "count";
    case AGGREGATE_MIN:
        return "min";
    case AGGREGATE_MAX:
        return "max";
    case AGGREGATE_SUM:
        return kind == TYPE_DECIMAL ? "sum_decimal" : "sum_integer";
    case AGGREGATE_AVG:
        return "avg_integer";
    case AGGREGATE_MEDIAN:
    case AGGREGATE_STDDEV:
    case AGGREGATE_STDDEV_SAMPLE:
    case AGGREGATE_VARIANCE:
    case AGGREGATE_VARIANCE_SAMPLE:
    case AGGREGATE_WM_CONCAT:
        break;
    }
    ASSERT(false);
    return "";
}

static enum err_code aggregate_print(struct printer *printer, struct node *node, unsigned depth,
                                     struct err *err)
{
    if (node->relation != NULL && node->aggregate == AGGREGATE_COUNT) {
        bytes_printf(printer->sql, "\"count_rows\"(\"s%zu\".\"n%zu\")", node->relation->number,
                     node->args[0]->column);
        return ERR_OK;
    }
    if (node->relation != NULL) {
        bytes_printf(printer->sql, "\"count_rows\"(\"s%zu\".\"none\")", node->relation->number);
        return ERR_OK;
    }
    if (aggregate_has_state(node))
        bytes_printf(printer->sql, "\"" AGGREGATE_NAME "\"(", aggregate_intern(printer, node));
    else
        bytes_printf(printer->sql, "\"%s\"(", aggregate_function(node));
    bytes_append_text(printer->sql, node->distinct ? "DISTINCT " : "");
    if (node->arg_count == 0)
        bytes_append_u8(printer->sql, '*');
    for (size_t i = 0; i < node->arg_count; i++) {
        bytes_append_text(printer->sql, i > 0 ? "," : "");
        TRY(print_node(printer, node->args[i], depth + 1, err));
    }
    bytes_append_u8(printer->sql, ')');
    return ERR_OK;
}

/* ---- programs ---- */

static bool same_slot(const struct node *a, const struct node *b)
{
    return a->kind == b->kind &&
           (a->kind == NODE_COLUMN ? a->relation == b->relation && a->column == b->column
                                   : node_equal(a, b));
}

/* Numbers the slots below `node`, equal ones once. */
static enum err_code slots_collect(struct node *node, struct bytes *slots, struct err *err)
{
    if (!node_is_slot(node)) {
        for (size_t i = 0; i < node->arg_count; i++)
            TRY(slots_collect(node->args[i], slots, err));
        return ERR_OK;
    }
    struct node **known = (struct node **)(void *)slots->data;
    size_t count = slots->len / sizeof(struct node *);
    for (size_t i = 0; i < count; i++) {
        if (same_slot(known[i], node)) {
            node->slot = (uint32_t)i;
            return ERR_OK;
        }
    }
    if (count == PROGRAM_SLOTS_MAX)
        return err_set(err, ERR_LIMIT, "an expression uses more than %d columns",
                       PROGRAM_SLOTS_MAX);
    node->slot = (uint32_t)count;
    bytes_append(slots, &node, sizeof(struct node *));
    return ERR_OK;
}

/* The number of an equal program, or of a new one: GROUP BY must see the same call as SELECT. */
static enum err_code program_intern(struct printer *printer, struct node *node, size_t *ret_number,
                                    struct err *err)
{
    struct printed *out = printer->out;
    for (size_t i = 0; i < printed_program_count(out); i++) {
        if (node_equal(printed_program(out, i)->root, node)) {
            *ret_number = i;
            return ERR_OK;
        }
    }
    BYTES_CLEANUP struct bytes slots = {0};
    TRY(slots_collect(node, &slots, err));
    struct program program = {.root = node, .slot_count = slots.len / sizeof(struct node *)};
    program.slots = arena_alloc(printer->arena, program.slot_count + 1, sizeof(struct node *));
    if (program.slots == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs too much memory");
    if (slots.len > 0)
        memcpy(program.slots, slots.data, slots.len);
    *ret_number = printed_program_count(out);
    bytes_append(&out->programs, &program, sizeof(program));
    return ERR_OK;
}

static enum err_code program_print(struct printer *printer, struct node *node, unsigned depth,
                                   struct err *err)
{
    size_t number = 0;
    TRY(program_intern(printer, node, &number, err));
    const struct program program = *printed_program(printer->out, number);
    bytes_printf(printer->sql, "\"evaluate\"(%zu", number);
    for (size_t i = 0; i < program.slot_count; i++) {
        size_t packed = i < PROGRAM_DIRECT_SLOTS ? 1 : (i - PROGRAM_DIRECT_SLOTS);
        if (packed > 0 && packed % PROGRAM_PACK_SLOTS == 0)
            bytes_append_u8(printer->sql, ')');
        if (packed % PROGRAM_PACK_SLOTS == 0)
            bytes_printf(printer->sql, ",\"pack\"(%zu,%zu", number, i);
        bytes_append_u8(printer->sql, ',');
        TRY(print_node(printer, program.slots[i], depth + 1, err));
    }
    bytes_append_text(printer->sql, program.slot_count > PROGRAM_DIRECT_SLOTS ? "))" : ")");
    return ERR_OK;
}

/* ---- operators that are SQLite's own ---- */

static bool is_leaf(const struct node *node)
{
    return node->kind == NODE_LITERAL || node_is_slot(node);
}

static bool all_leaves(const struct node *node)
{
    for (size_t i = 0; i < node->arg_count; i++) {
        if (!is_leaf(node->args[i]))
            return false;
    }
    return true;
}

static enum err_code compare_print(struct printer *printer, struct node *node, unsigned depth,
                                   struct err *err)
{
    static const char *const texts[] = {
        [OP_EQUAL] = "=",       [OP_NOT_EQUAL] = "<>", [OP_LESS] = "<",
        [OP_LESS_EQUAL] = "<=", [OP_GREATER] = ">",    [OP_GREATER_EQUAL] = ">="};
    TRY(print_node(printer, node->args[0], depth + 1, err));
    if (node->kind == NODE_DISTINCT)
        bytes_append_text(printer->sql, node->negated ? " IS " : " IS NOT ");
    else
        bytes_append_text(printer->sql, texts[node->op]);
    return print_node(printer, node->args[1], depth + 1, err);
}

static enum err_code between_print(struct printer *printer, struct node *node, unsigned depth,
                                   struct err *err)
{
    TRY(print_node(printer, node->args[0], depth + 1, err));
    bytes_append_text(printer->sql, node->negated ? " NOT BETWEEN " : " BETWEEN ");
    TRY(print_node(printer, node->args[1], depth + 1, err));
    bytes_append_text(printer->sql, " AND ");
    return print_node(printer, node->args[2], depth + 1, err);
}

static enum err_code in_print(struct printer *printer, struct node *node, unsigned depth,
                              struct err *err)
{
    TRY(print_node(printer, node->args[0], depth + 1, err));
    bytes_append_text(printer->sql, node->negated ? " NOT IN(" : " IN(");
    for (size_t i = 1; i < node->arg_count; i++) {
        if (i > 1)
            bytes_append_u8(printer->sql, ',');
        TRY(print_node(printer, node->args[i], depth + 2, err));
    }
    bytes_append_u8(printer->sql, ')');
    return ERR_OK;
}

/* Up to CHAIN_PIECES operands side by side, more of them as pieces in parentheses: neither the tree
 * nor the parser's stack grows with their number. */
static enum err_code chain_print(struct printer *printer, struct node *node, size_t from, size_t to,
                                 unsigned depth, struct err *err)
{
    size_t step = 1;
    while (step * CHAIN_PIECES < to - from)
        step *= CHAIN_PIECES;
    bytes_append_u8(printer->sql, '(');
    for (size_t at = from; at < to; at += step) {
        size_t end = to - at < step ? to : at + step;
        if (at > from)
            bytes_append_text(printer->sql, node->kind == NODE_AND ? " AND " : " OR ");
        if (end - at == 1)
            TRY(print_node(printer, node->args[at], depth, err));
        else
            TRY(chain_print(printer, node, at, end, depth, err));
    }
    bytes_append_u8(printer->sql, ')');
    return ERR_OK;
}

static enum err_code operator_print(struct printer *printer, struct node *node, unsigned depth,
                                    struct err *err)
{
    enum err_code code = ERR_OK;
    if (node->kind == NODE_AND || node->kind == NODE_OR)
        return chain_print(printer, node, 0, node->arg_count, depth + 1, err);
    bytes_append_u8(printer->sql, '(');
    if (node->kind == NODE_NOT) {
        bytes_append_text(printer->sql, "NOT ");
        code = print_node(printer, node->args[0], depth + 1, err);
    } else if (node->kind == NODE_IS_NULL) {
        code = print_node(printer, node->args[0], depth + 1, err);
        bytes_append_text(printer->sql, node->negated ? " IS NOT NULL" : " IS NULL");
    } else if (node->kind == NODE_COMPARE || node->kind == NODE_DISTINCT) {
        code = compare_print(printer, node, depth, err);
    } else if (node->kind == NODE_BETWEEN) {
        code = between_print(printer, node, depth, err);
    } else {
        code = in_print(printer, node, depth, err);
    }
    bytes_append_u8(printer->sql, ')');
    return code;
}

/* SQLite does these as we do, on values in our forms. */
static bool is_native(const struct node *node, unsigned depth, unsigned depth_max)
{
    switch (node->kind) {
    case NODE_AND:
    case NODE_OR:
    case NODE_NOT:
        return depth < depth_max;
    case NODE_COMPARE:
    case NODE_DISTINCT:
    case NODE_IS_NULL:
    case NODE_BETWEEN:
    case NODE_IN:
        return depth <= depth_max && all_leaves(node);
    case NODE_LITERAL:
    case NODE_COLUMN:
    case NODE_AGGREGATE:
    case NODE_QUERY:
    case NODE_EXISTS:
    case NODE_IN_QUERY:
    case NODE_NEGATE:
    case NODE_ARITHMETIC:
    case NODE_CONCAT:
    case NODE_LIKE:
    case NODE_CAST:
    case NODE_CASE:
    case NODE_COALESCE:
    case NODE_FUNCTION:
        break;
    }
    return false;
}

/* ---- choices that SQLite makes, because a subquery is in them ---- */

static enum err_code case_print(struct printer *printer, struct node *node, unsigned depth,
                                struct err *err)
{
    size_t first = node->simple ? 1 : 0;
    size_t end = node->arg_count - (node->has_else ? 1 : 0);
    bytes_append_text(printer->sql, "(CASE ");
    if (node->simple)
        TRY(print_node(printer, node->args[0], depth + 1, err));
    for (size_t i = first; i < end; i += 2) {
        bytes_append_text(printer->sql, " WHEN ");
        TRY(print_node(printer, node->args[i], depth + 1, err));
        bytes_append_text(printer->sql, " THEN ");
        TRY(print_node(printer, node->args[i + 1], depth + 1, err));
    }
    if (node->has_else) {
        bytes_append_text(printer->sql, " ELSE ");
        TRY(print_node(printer, node->args[end], depth + 1, err));
    }
    bytes_append_text(printer->sql, " END)");
    return ERR_OK;
}

static enum err_code coalesce_print(struct printer *printer, struct node *node, unsigned depth,
                                    struct err *err)
{
    bytes_append_text(printer->sql, node->arg_count > 1 ? "\"coalesce\"(" : "(");
    for (size_t i = 0; i < node->arg_count; i++) {
        bytes_append_text(printer->sql, i > 0 ? "," : "");
        TRY(print_node(printer, node->args[i], depth + 1, err));
    }
    bytes_append_u8(printer->sql, ')');
    return ERR_OK;
}

enum err_code print_node(struct printer *printer, struct node *node, unsigned depth,
                         struct err *err)
{
    if (node->kind == NODE_LITERAL)
        return literal_print(printer, node, err);
    if (node->kind == NODE_COLUMN) {
        column_print(printer, node);
        return ERR_OK;
    }
    if (node->kind == NODE_AGGREGATE)
        return aggregate_print(printer, node, depth, err);
    if (node_is_subquery(node))
        return print_subquery(printer, node, depth, err);
    if (node->apart)
        return node->kind == NODE_CASE ? case_print(printer, node, depth, err)
                                       : coalesce_print(printer, node, depth, err);
    if (is_native(node, depth, printer->inside > 0 ? PRINT_INNER_DEPTH_MAX : PRINT_DEPTH_MAX))
        return operator_print(printer, node, depth, err);
    return program_print(printer, node, depth, err);
}
