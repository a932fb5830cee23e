/* Queries: clauses, set operations, subqueries, and the WITH that names those that stand alone. */
#include "node/sql/print.h"

#include "proto/limits.h"

/* ---- clauses ---- */

static enum err_code print_items(struct printer *printer, const struct query *query,
                                 struct err *err)
{
    bytes_append_text(printer->sql, query->distinct ? "SELECT DISTINCT " : "SELECT ");
    for (size_t i = 0; i < query->item_count; i++) {
        if (i > 0)
            bytes_append_u8(printer->sql, ',');
        if (query->items[i].needed)
            TRY(print_node(printer, query->items[i].node, 0, err));
        else
            bytes_append_text(printer->sql, "NULL");
        bytes_printf(printer->sql, " AS \"c%zu\"", i);
    }
    return ERR_OK;
}

static enum err_code print_group_by(struct printer *printer, const struct query *query,
                                    struct err *err)
{
    for (size_t i = 0; i < query->group_by_count; i++) {
        bytes_append_text(printer->sql, i == 0 ? " GROUP BY " : ",");
        TRY(print_node(printer, query->group_by[i], 0, err));
    }
    if (query->grouped && query->group_by_count == 0) /* constants only: one group, or no rows */
        bytes_append_text(printer->sql, " GROUP BY NULL");
    if (query->having == NULL)
        return ERR_OK;
    bytes_append_text(printer->sql, " HAVING ");
    return print_node(printer, query->having, 0, err);
}

static enum err_code print_order_by(struct printer *printer, const struct query *query,
                                    struct err *err)
{
    for (size_t i = 0; i < query->order_by_count; i++) {
        const struct query_order *order = &query->order_by[i];
        bytes_append_text(printer->sql, i == 0 ? " ORDER BY " : ",");
        if (order->node == NULL)
            bytes_printf(printer->sql, "%zu", order->item_number);
        else
            TRY(print_node(printer, order->node, 0, err));
        if (order->descending)
            bytes_append_text(printer->sql, " DESC");
    }
    return ERR_OK;
}

static enum err_code print_block(struct printer *printer, const struct query *query,
                                 struct err *err)
{
    BYTES_CLEANUP struct bytes from = {0};
    struct bytes *outside = printer->sql;
    enum err_code code = ERR_OK;
    printer->sql = &from; /* first: it says how the columns are called */
    if (query->from != NULL)
        code = print_from(printer, query, err);
    printer->sql = outside;
    TRY(code);
    TRY(print_items(printer, query, err));
    bytes_append_span(printer->sql, bytes_span(&from));
    if (query->where != NULL) {
        bytes_append_text(printer->sql, " WHERE ");
        TRY(print_node(printer, query->where, 0, err));
    }
    return print_group_by(printer, query, err);
}

/* ---- set operations ---- */

/* A block that SQLite takes as it is between two operators. */
static bool is_plain(const struct query *query)
{
    return query->branch_count == 0 && query->order_by_count == 0 && !query->has_limit;
}

static enum err_code print_set(struct printer *printer, const struct query *query, struct err *err)
{
    static const char *const words[] = {[SET_UNION_ALL] = " UNION ALL ",
                                        [SET_UNION] = " UNION ",
                                        [SET_INTERSECT] = " INTERSECT ",
                                        [SET_EXCEPT] = " EXCEPT "};
    for (size_t i = 0; i < query->branch_count; i++) {
        const struct query *branch = query->branches[i];
        if (i > 0)
            bytes_append_text(printer->sql, words[query->ops[i - 1]]);
        if (is_plain(branch)) {
            TRY(print_block(printer, branch, err));
        } else {
            bytes_append_text(printer->sql, "SELECT * FROM ");
            TRY(print_reference(printer, branch, err));
        }
    }
    return ERR_OK;
}

/* ---- queries ---- */

static enum err_code print_query(struct printer *printer, const struct query *query,
                                 struct err *err)
{
    if (query->branch_count > 0)
        TRY(print_set(printer, query, err));
    else
        TRY(print_block(printer, query, err));
    TRY(print_order_by(printer, query, err));
    if (query->has_limit)
        bytes_printf(printer->sql, " LIMIT %" PRId64 " OFFSET %" PRId64, query->limit,
                     query->offset);
    return ERR_OK;
}

enum err_code print_enter(struct printer *printer, struct err *err)
{
    if (printer->inside == LIMIT_SUBQUERY_DEPTH)
        return err_set(err, ERR_LIMIT,
                       "queries that use columns of those around them are nested deeper than %d",
                       LIMIT_SUBQUERY_DEPTH);
    printer->inside++;
    return ERR_OK;
}

void print_leave(struct printer *printer)
{
    printer->inside--;
}

/* In parentheses, within the query whose columns it uses. */
static enum err_code print_inside(struct printer *printer, const struct query *query,
                                  struct err *err)
{
    TRY(print_enter(printer, err));
    bytes_append_u8(printer->sql, '(');
    enum err_code code = print_query(printer, query, err);
    bytes_append_u8(printer->sql, ')');
    print_leave(printer);
    return code;
}

enum err_code print_reference(struct printer *printer, const struct query *query, struct err *err)
{
    if (query->outer_count > 0)
        return print_inside(printer, query, err);
    bytes_printf(printer->sql, "\"q%zu\"", query->number);
    return ERR_OK;
}

/* ---- subqueries ---- */

static bool one_row_at_most(const struct query *query)
{
    return (query->has_limit && query->limit <= 1) ||
           (query->branch_count == 0 && query->from == NULL) ||
           (query->aggregated && !query->grouped);
}

static enum err_code print_value(struct printer *printer, const struct node *node, struct err *err)
{
    const struct query *query = node->query;
    bool one = one_row_at_most(query);
    if (one && query->outer_count > 0)
        return print_inside(printer, query, err);
    if (one)
        bytes_append_text(printer->sql, "(SELECT \"c0\" FROM ");
    else
        bytes_printf(printer->sql, "(SELECT \"single\"(\"c0\",'%.*s') FROM ",
                     SPAN_PRINTF(node->where));
    TRY(print_reference(printer, query, err));
    bytes_append_u8(printer->sql, ')');
    return ERR_OK;
}

enum err_code print_subquery(struct printer *printer, struct node *node, unsigned depth,
                             struct err *err)
{
    const struct query *query = node->query;
    if (node->kind == NODE_QUERY)
        return print_value(printer, node, err);
    bytes_append_u8(printer->sql, '(');
    if (node->kind == NODE_IN_QUERY) {
        TRY(print_node(printer, node->args[0], depth + 1, err));
        bytes_append_text(printer->sql, node->negated ? " NOT IN" : " IN");
    } else {
        bytes_append_text(printer->sql, "EXISTS");
    }
    if (query->outer_count > 0)
        TRY(print_inside(printer, query, err));
    else
        bytes_printf(printer->sql, "(SELECT \"c0\" FROM \"q%zu\")", query->number);
    bytes_append_u8(printer->sql, ')');
    return ERR_OK;
}

/* ---- the statement ---- */

/* Whether others refer to it by its name. */
static bool is_named(const struct query *query)
{
    return query->outer_count == 0 && query->references > 0 && !(query->branch && is_plain(query));
}

static enum err_code print_into(struct printer *printer, const struct query *query,
                                struct bytes *body, struct err *err)
{
    printer->sql = body;
    enum err_code code = print_query(printer, query, err);
    printer->sql = NULL;
    return code;
}

/* Each after those that it reads, so nothing is printed within anything. */
static enum err_code print_with(struct printer *printer, const struct query *query, struct err *err)
{
    BYTES_CLEANUP struct bytes body = {0};
    TRY(print_into(printer, query, &body, err));
    bytes_printf(&printer->with, "\"q%zu\" AS%s(", query->number,
                 query->materialized ? " MATERIALIZED" : "");
    bytes_append_span(&printer->with, bytes_span(&body));
    bytes_append_text(&printer->with, "),");
    return ERR_OK;
}

static enum err_code list_print(struct printer *printer, const struct query_list *list,
                                struct err *err)
{
    BYTES_CLEANUP struct bytes body = {0};
    for (size_t i = 0; i + 1 < list->count; i++) {
        if (is_named(list->queries[i]))
            TRY(print_with(printer, list->queries[i], err));
    }
    TRY(print_into(printer, list->queries[list->count - 1], &body, err));
    struct bytes *sql = &printer->out->sql;
    if (printer->with.len > 0) {
        bytes_append_text(sql, "WITH ");
        bytes_append(sql, printer->with.data, printer->with.len - 1); /* without the last comma */
        bytes_append_u8(sql, ' ');
    }
    bytes_append_span(sql, bytes_span(&body));
    return ERR_OK;
}

enum err_code query_print(const struct query_list *list, struct arena *arena,
                          struct printed *ret_printed, struct err *err)
{
    struct printed printed = {0};
    struct printer printer = {.arena = arena, .out = &printed};
    enum err_code code = list_print(&printer, list, err);
    bytes_deinit(&printer.with);
    if (code != ERR_OK) {
        printed_deinit(&printed);
        return code;
    }
    *ret_printed = printed;
    return ERR_OK;
}
