/* FROM: tables, queries and joins as SQLite's.
 *
 *     a RIGHT JOIN b ON c        b LEFT JOIN a ON c
 *     a FULL JOIN b ON c         (a LEFT JOIN b ON c UNION ALL b WHERE NOT EXISTS(a WHERE c))
 *     a LEFT SEMI JOIN b ON c    (a WHERE EXISTS(b WHERE c)); ANTI: NOT EXISTS
 *     a, (b LEFT JOIN c)         a JOIN b LEFT JOIN c: the same
 *     a, (b RIGHT JOIN c)        a JOIN (c LEFT JOIN b)
 *
 * What stands in parentheses is a query of its own whose columns are called by relation and number.
 * SQLite's own RIGHT and FULL JOIN are not used: it has no automatic index for them (20,000 x 20,000
 * rows: 54 s instead of a tenth of one), and 3.40 takes an ON on their left that uses no columns, such as ON 1 = 0, for a
 * condition of the whole, so that right rows are lost.
 */
#include "node/sql/print.h"

#include <ctype.h>

/* ---- tables and queries ---- */

void table_name_append(const struct relation *relation, struct bytes *out)
{
    bytes_printf(out, "%.*s.%.*s %zu", SPAN_PRINTF(relation->source->project),
                 SPAN_PRINTF(relation->source->object), relation->number);
}

void table_name_print(const struct relation *relation, struct bytes *out)
{
    BYTES_CLEANUP struct bytes name = {0};
    table_name_append(relation, &name);
    bytes_append_u8(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '"')
            bytes_append_u8(out, '"');
        bytes_append_u8(out, name.data[i]);
    }
    bytes_append_u8(out, '"');
}

bool table_name_is_known(const struct query_list *list, struct span name)
{
    if (name.len > 1 && strchr("sqj", name.data[0]) != NULL && isdigit(name.data[1]))
        return true;
    BYTES_CLEANUP struct bytes known = {0};
    for (size_t i = 0; i < list->table_count; i++) {
        bytes_clear(&known);
        table_name_append(list->tables[i], &known);
        if (span_equal(bytes_span(&known), name))
            return true;
    }
    return false;
}

static void table_print(const struct relation *relation, struct bytes *out)
{
    table_name_print(relation, out);
    bytes_printf(out, " AS \"s%zu\"", relation->number);
}

static enum err_code filters_print(struct printer *printer, const struct filter *filters,
                                   struct err *err)
{
    for (const struct filter *filter = filters; filter != NULL; filter = filter->next) {
        bytes_append_text(printer->sql, filter == filters ? " WHERE " : " AND ");
        TRY(print_node(printer, filter->node, 0, err));
    }
    return ERR_OK;
}

/* "s1" AS MATERIALIZED(the used columns, of rows that pass the filters) */
static enum err_code table_materialize(struct printer *printer, struct relation *relation,
                                       struct err *err)
{
    BYTES_CLEANUP struct bytes body = {0};
    struct bytes *outside = printer->sql;
    bytes_printf(&body, "\"s%zu\" AS MATERIALIZED(SELECT ", relation->number);
    for (size_t i = 0; i < relation->column_count; i++)
        bytes_printf(&body, "%s\"c%zu\"", i > 0 ? "," : "", relation->columns[i]);
    bytes_append_text(&body, relation->column_count == 0 ? "1 FROM " : " FROM ");
    table_print(relation, &body);
    printer->sql = &body;
    enum err_code code = filters_print(printer, relation->filters, err);
    printer->sql = outside;
    bytes_append_text(&body, "),");
    bytes_append_span(&printer->with, bytes_span(&body));
    relation->prepared = true;
    return code;
}

static enum err_code relation_print(struct printer *printer, struct relation *relation,
                                    struct err *err)
{
    if (relation->query != NULL) {
        TRY(print_reference(printer, relation->query, err));
        bytes_printf(printer->sql, " AS \"s%zu\"", relation->number);
        return ERR_OK;
    }
    if (!relation->materialized) {
        table_print(relation, printer->sql);
        return ERR_OK;
    }
    if (!relation->prepared)
        TRY(table_materialize(printer, relation, err));
    bytes_printf(printer->sql, "\"s%zu\"", relation->number);
    return ERR_OK;
}

/* ---- parts of a FROM as queries ---- */

static enum err_code join_print(struct printer *printer, const struct query *query,
                                const struct join *join, struct err *err);

/* The used columns of a side, or NULLs in their place, under names that tell the relation. */
static void wrap_columns(struct printer *printer, const struct join *join, bool nulls, bool *any)
{
    const struct relation *relation = join->relation;
    if (relation == NULL) {
        wrap_columns(printer, join->left, nulls, any);
        if (join->kind != JOIN_SEMI && join->kind != JOIN_ANTI)
            wrap_columns(printer, join->right, nulls, any);
        return;
    }
    for (size_t i = 0; i < relation->width; i++) {
        if (!relation->used[i])
            continue;
        bytes_append_text(printer->sql, *any ? "," : "");
        if (nulls)
            bytes_append_text(printer->sql, "NULL");
        else if (relation->wrap > 0)
            bytes_printf(printer->sql, "\"j%zu\".\"s%zuc%zu\"", relation->wrap, relation->number,
                         i);
        else
            bytes_printf(printer->sql, "\"s%zu\".\"c%zu\"", relation->number, i);
        bytes_printf(printer->sql, " AS \"s%zuc%zu\"", relation->number, i);
        *any = true;
    }
}

static void wrap_set(const struct join *join, size_t wrap)
{
    if (join->relation != NULL) {
        join->relation->wrap = wrap;
        return;
    }
    wrap_set(join->left, wrap);
    wrap_set(join->right, wrap);
}

static enum err_code side_print(struct printer *printer, const struct query *query,
                                const struct join *side, bool alone, struct err *err);

/* SELECT columns FROM from, of a join's two sides; `left_nulls`: those of the left are NULL. */
static void full_columns(struct printer *printer, const struct join *join, bool left_nulls)
{
    bool any = false;
    bytes_append_text(printer->sql, "SELECT ");
    wrap_columns(printer, join->left, left_nulls, &any);
    wrap_columns(printer, join->right, false, &any);
    bytes_append_text(printer->sql, any ? " FROM " : "1 FROM ");
}

/* The left rows with their matches, then the right rows without. */
static enum err_code full_body(struct printer *printer, const struct query *query,
                               const struct join *join, struct err *err)
{
    BYTES_CLEANUP struct bytes left = {0};
    BYTES_CLEANUP struct bytes right = {0};
    BYTES_CLEANUP struct bytes on = {0};
    struct bytes *sql = printer->sql;
    printer->sql = &left;
    enum err_code code = side_print(printer, query, join->left, true, err);
    printer->sql = &right;
    if (code == ERR_OK)
        code = side_print(printer, query, join->right, true, err);
    printer->sql = &on;
    if (code == ERR_OK)
        code = print_node(printer, join->on, 0, err);
    printer->sql = sql;
    TRY(code);
    full_columns(printer, join, false);
    bytes_append_span(sql, bytes_span(&left));
    bytes_append_text(sql, " LEFT JOIN ");
    bytes_append_span(sql, bytes_span(&right));
    bytes_append_text(sql, " ON ");
    bytes_append_span(sql, bytes_span(&on));
    bytes_append_text(sql, " UNION ALL ");
    full_columns(printer, join, true);
    bytes_append_span(sql, bytes_span(&right));
    bytes_append_text(sql, " WHERE NOT EXISTS(SELECT 1 FROM ");
    bytes_append_span(sql, bytes_span(&left));
    bytes_append_text(sql, " WHERE ");
    bytes_append_span(sql, bytes_span(&on));
    bytes_append_u8(sql, ')');
    return ERR_OK;
}

static enum err_code wrap_body(struct printer *printer, const struct query *query,
                               const struct join *side, const struct join *semi, struct err *err)
{
    BYTES_CLEANUP struct bytes from = {0};
    struct bytes *outside = printer->sql;
    bool any = false;
    if (semi == NULL && side->kind == JOIN_FULL)
        return full_body(printer, query, side, err);
    printer->sql = &from; /* first: it says how the columns are called */
    enum err_code code = join_print(printer, query, side, err);
    printer->sql = outside;
    TRY(code);
    bytes_append_text(printer->sql, "SELECT ");
    wrap_columns(printer, side, false, &any);
    bytes_append_text(printer->sql, any ? " FROM " : "1 FROM ");
    bytes_append_span(printer->sql, bytes_span(&from));
    if (semi == NULL)
        return ERR_OK;
    bytes_append_text(printer->sql, semi->kind == JOIN_SEMI ? " WHERE EXISTS(SELECT 1 FROM "
                                                            : " WHERE NOT EXISTS(SELECT 1 FROM ");
    TRY(join_print(printer, query, semi->right, err));
    bytes_append_text(printer->sql, " WHERE ");
    TRY(print_node(printer, semi->on, 0, err));
    bytes_append_u8(printer->sql, ')');
    return ERR_OK;
}

/* A side as a query of its own: named in WITH, or in place where it uses columns from around. */
static enum err_code wrap_print(struct printer *printer, const struct query *query,
                                const struct join *side, const struct join *semi, struct err *err)
{
    BYTES_CLEANUP struct bytes body = {0};
    struct bytes *outside = printer->sql;
    bool correlated = query->outer_count > 0;
    size_t wrap = ++printer->wraps;
    if (correlated)
        TRY(print_enter(printer, err));
    printer->sql = &body;
    enum err_code code = wrap_body(printer, query, side, semi, err);
    printer->sql = outside;
    if (correlated)
        print_leave(printer);
    TRY(code);
    wrap_set(side, wrap);
    struct bytes *to = correlated ? printer->sql : &printer->with;
    if (!correlated)
        bytes_printf(to, "\"j%zu\" AS%s", wrap,
                     semi == NULL && side->kind != JOIN_FULL ? " MATERIALIZED" : "");
    bytes_append_u8(to, '(');
    bytes_append_span(to, bytes_span(&body));
    bytes_append_u8(to, ')');
    if (!correlated)
        bytes_append_u8(to, ',');
    bytes_printf(printer->sql, correlated ? " AS \"j%zu\"" : "\"j%zu\"", wrap);
    return ERR_OK;
}

/* ---- joins ---- */

static bool wraps_itself(const struct join *join)
{
    return join->kind == JOIN_SEMI || join->kind == JOIN_ANTI || join->kind == JOIN_FULL;
}

/* `alone`: as one thing that a join can have on any side. */
static enum err_code side_print(struct printer *printer, const struct query *query,
                                const struct join *side, bool alone, struct err *err)
{
    if (alone && side->relation == NULL && !wraps_itself(side))
        return wrap_print(printer, query, side, NULL, err);
    return join_print(printer, query, side, err);
}

static enum err_code join_print(struct printer *printer, const struct query *query,
                                const struct join *join, struct err *err)
{
    if (join->relation != NULL)
        return relation_print(printer, join->relation, err);
    if (join->kind == JOIN_FULL)
        return wrap_print(printer, query, join, NULL, err);
    if (wraps_itself(join))
        return wrap_print(printer, query, join->left, join, err);
    bool mirrored = join->kind == JOIN_RIGHT;
    const struct join *first = mirrored ? join->right : join->left;
    const struct join *second = mirrored ? join->left : join->right;
    TRY(side_print(printer, query, first, mirrored, err));
    bytes_append_text(printer->sql, mirrored || join->kind == JOIN_LEFT ? " LEFT JOIN " : " JOIN ");
    TRY(side_print(printer, query, second, mirrored || join_keeps_right(second), err));
    if (join->on == NULL)
        return ERR_OK;
    bytes_append_text(printer->sql, " ON ");
    return print_node(printer, join->on, 0, err);
}

enum err_code print_from(struct printer *printer, const struct query *query, struct err *err)
{
    wrap_set(query->from, 0); /* it may be printed a second time */
    bytes_append_text(printer->sql, " FROM ");
    return join_print(printer, query, query->from, err);
}
