/* EXPLAIN SELECT, EXPLAIN INSERT ... SELECT: for each table of the query, which partitions and row
 * groups are read, which are not and why, in the order of the scan.
 *
 *     table  | partition            | partitions | action | reason                      | row_groups | ...
 *     p.sale | day=2024-01-01 .. 30 |         30 | skip   | day                         |       NULL |
 *     p.sale | day=2024-01-31       |          1 | skip   | id: 5 .. 900 in these       |          2 |
 *     p.sale | day=2024-01-31       |          1 | read   | NULL                        |          1 |
 *     p.sale | NULL                 |         31 | total  | columns: id, amount         |          1 |
 *
 * Neighbours with one fate are one row. What is said to be read is the most that the scan reads when
 * the query runs to its end: both go the same way through the tree (store/scan.h). Files of columns
 * that no row of a row group gets to, because others failed WHERE, are not opened.
 */
#include "node/statement/catalog.h"
#include "node/statement/lookup.h"

/* One row being made. Texts are owned. */
struct explained {
    bool used;
    enum select_reason reason;
    size_t column;
    bool whole_partition;
    bool many; /* of several partitions; else all of `first` */
    struct bytes first;
    struct bytes last;
    bool has_bounds;
    struct value min, max;
    struct bytes min_text, max_text; /* what they borrow */
    uint64_t partitions;
    uint64_t row_groups;
    uint64_t rows;
    uint64_t files;
    uint64_t file_bytes;
};

struct explanation {
    const struct statement_call *call;
    struct answer *answer;
    const struct select_use *use;
    struct bytes table;
    struct explained row;
    struct explained total;
    struct bytes partition; /* key of the part before */
    bool begun;
    uint64_t row_count; /* of this table */
    /* Buckets of segments, as the parts come: one after another. */
    bool in_bucket;
    bool bucket_is_read; /* something of it, so far */
    uint32_t segment;
    uint32_t bucket;
    uint64_t buckets_read;
    uint64_t buckets_skipped;
};

static void explained_deinit(struct explained *row)
{
    bytes_deinit(&row->first);
    bytes_deinit(&row->last);
    bytes_deinit(&row->min_text);
    bytes_deinit(&row->max_text);
}

static void explanation_deinit(struct explanation *explanation)
{
    bytes_deinit(&explanation->table);
    bytes_deinit(&explanation->partition);
    explained_deinit(&explanation->row);
    explained_deinit(&explanation->total);
}
#define EXPLANATION_CLEANUP __attribute__((cleanup(explanation_deinit)))

static const struct column *column_of(const struct explanation *explanation, size_t column)
{
    const struct schema *schema = explanation->use->source->schema;
    return column < schema->column_count
               ? &schema->columns[column]
               : &schema->partition_columns[column - schema->column_count];
}

/* ---- words ---- */

static bool reason_reads(enum select_reason reason)
{
    return reason == SELECT_READ || reason == SELECT_SUMMARISED;
}

static void value_say(struct type type, struct value value, struct bytes *out)
{
    if (value.null)
        bytes_append_text(out, "?");
    else
        value_format(type, value, out);
}

static void reason_say(const struct explanation *explanation, const struct explained *row,
                       struct bytes *out)
{
    const struct column *column = column_of(explanation, row->column);
    switch (row->reason) {
    case SELECT_READ:
        return;
    case SELECT_SUMMARISED:
        bytes_append_text(out, "from statistics, without its rows");
        return;
    case SELECT_PARTITION:
        bytes_printf(out, "partition column %.*s", SPAN_PRINTF(column->name));
        return;
    case SELECT_ALL_NULL:
        bytes_printf(out, "%.*s is NULL throughout", SPAN_PRINTF(column->name));
        return;
    case SELECT_NO_NULL:
        bytes_printf(out, "%.*s is never NULL", SPAN_PRINTF(column->name));
        return;
    case SELECT_IMPOSSIBLE:
        bytes_printf(out, "no value of %.*s satisfies the condition", SPAN_PRINTF(column->name));
        return;
    case SELECT_BUCKET:
        bytes_printf(out, "bucket: CLUSTERED BY %.*s", SPAN_PRINTF(column->name));
        return;
    case SELECT_SORT_KEYS:
        bytes_printf(out, "sort keys: SORTED BY %.*s", SPAN_PRINTF(column->name));
        return;
    case SELECT_BOUNDS:
        break;
    }
    bytes_printf(out, "min and max of %.*s: ", SPAN_PRINTF(column->name));
    value_say(column->type, row->min, out);
    bytes_append_text(out, " .. ");
    value_say(column->type, row->max, out);
}

static void columns_say(const struct explanation *explanation, struct bytes *out)
{
    const struct select_scan *scan = explanation->use->scan;
    bytes_append_text(out, scan->column_count == 0 ? "no column" : "columns: ");
    for (size_t i = 0; i < scan->column_count; i++)
        bytes_printf(out, "%s%.*s", i > 0 ? ", " : "",
                     SPAN_PRINTF(column_of(explanation, scan->columns[i])->name));
    uint64_t buckets = explanation->buckets_read + explanation->buckets_skipped;
    if (buckets > 0)
        bytes_printf(out, "; buckets: %" PRIu64 " read, %" PRIu64 " skipped",
                     explanation->buckets_read, explanation->buckets_skipped);
}

/* ---- rows ---- */

static void row_put(struct explanation *explanation, const struct explained *row,
                    struct span partition, const char *action, struct span reason)
{
    struct answer *answer = explanation->answer;
    answer_add_text(answer, bytes_span(&explanation->table));
    if (partition.len > 0)
        answer_add_text(answer, partition);
    else
        answer_add_null(answer);
    answer_add_number(answer, row->partitions);
    answer_add_text(answer, span_text(action));
    if (reason.len > 0)
        answer_add_text(answer, reason);
    else
        answer_add_null(answer);
    if (row->whole_partition) {
        for (int i = 0; i < 4; i++)
            answer_add_null(answer);
        return;
    }
    answer_add_number(answer, row->row_groups);
    answer_add_number(answer, row->rows);
    answer_add_number(answer, row->files);
    answer_add_number(answer, row->file_bytes);
}

static void row_end(struct explanation *explanation)
{
    struct explained *row = &explanation->row;
    if (!row->used)
        return;
    BYTES_CLEANUP struct bytes partition = {0};
    BYTES_CLEANUP struct bytes reason = {0};
    bytes_append_span(&partition, bytes_span(&row->first));
    if (row->many) {
        bytes_append_text(&partition, " .. ");
        bytes_append_span(&partition, bytes_span(&row->last));
    }
    reason_say(explanation, row, &reason);
    row_put(explanation, row, bytes_span(&partition), reason_reads(row->reason) ? "read" : "skip",
            bytes_span(&reason));
    explanation->row_count++;
    explained_deinit(row);
    *row = (struct explained){0};
}

/* Whether the part may go on in the row at hand. */
static bool row_continues(const struct explanation *explanation, const struct select_part *part,
                          bool new_partition)
{
    const struct explained *row = &explanation->row;
    if (!row->used || row->reason != part->reason ||
        (!reason_reads(part->reason) && row->column != part->column))
        return false;
    return !new_partition || part->whole_partition || explanation->row_count >= EXPLAIN_ROWS_MAX;
}

static void bound_keep(struct type type, struct value value, struct value *kept, struct bytes *text)
{
    *kept = value;
    if (type.kind != TYPE_STRING || value.null)
        return;
    bytes_clear(text);
    bytes_append_span(text, value.text);
    kept->text = bytes_span(text);
}

static void bounds_widen(const struct explanation *explanation, struct explained *row,
                         const struct select_part *part)
{
    if (part->reason != SELECT_BOUNDS)
        return;
    struct type type = column_of(explanation, part->column)->type;
    if (!row->has_bounds || part->min.null ||
        (!row->min.null && value_compare(type, part->min, row->min) < 0))
        bound_keep(type, part->min, &row->min, &row->min_text);
    if (!row->has_bounds || part->max.null ||
        (!row->max.null && value_compare(type, part->max, row->max) > 0))
        bound_keep(type, part->max, &row->max, &row->max_text);
    row->has_bounds = true;
}

static enum err_code row_add(struct explanation *explanation, const struct select_part *part,
                             bool new_partition, struct err *err)
{
    struct explained *row = &explanation->row;
    const struct schema *schema = explanation->use->source->schema;
    if (!row->used || new_partition) {
        struct bytes *text = row->used ? &row->last : &row->first;
        bytes_clear(text);
        if (schema->partition_column_count > 0)
            TRY(partition_format(schema, part->partition_key, text, err));
        row->many = row->used;
        row->partitions++;
    }
    row->used = true;
    row->reason = part->reason;
    row->column = part->column;
    row->whole_partition = part->whole_partition;
    row->row_groups += !part->whole_partition;
    row->rows += part->rows;
    row->files += part->files;
    row->file_bytes += part->file_bytes;
    bounds_widen(explanation, row, part);
    return ERR_OK;
}

static void bucket_end(struct explanation *explanation)
{
    if (explanation->in_bucket && explanation->bucket_is_read)
        explanation->buckets_read++;
    else if (explanation->in_bucket)
        explanation->buckets_skipped++;
    explanation->in_bucket = false;
}

/* A bucket of a segment is read when any of its row groups is. */
static void bucket_count(struct explanation *explanation, const struct select_part *part,
                         bool new_partition)
{
    if (new_partition || !part->is_clustered || part->segment != explanation->segment ||
        part->bucket != explanation->bucket)
        bucket_end(explanation);
    if (!part->is_clustered)
        return;
    explanation->bucket_is_read =
        part->reason == SELECT_READ || (explanation->in_bucket && explanation->bucket_is_read);
    explanation->in_bucket = true;
    explanation->segment = part->segment;
    explanation->bucket = part->bucket;
}

static enum err_code on_part(void *context, const struct select_part *part, struct err *err)
{
    struct explanation *explanation = context;
    if (explanation->call->cancel != NULL && atomic_load(explanation->call->cancel))
        return err_set(err, ERR_CANCELLED, "the statement was cancelled");
    bool new_partition = !explanation->begun ||
                         !span_equal(part->partition_key, bytes_span(&explanation->partition));
    if (!row_continues(explanation, part, new_partition))
        row_end(explanation);
    TRY(row_add(explanation, part, new_partition, err));
    bucket_count(explanation, part, new_partition);
    struct explained *total = &explanation->total;
    bool reads = reason_reads(part->reason);
    total->partitions += new_partition;
    total->row_groups += reads;
    total->rows += reads ? part->rows : 0;
    total->files += part->files;
    total->file_bytes += part->file_bytes;
    bytes_clear(&explanation->partition);
    bytes_append_span(&explanation->partition, part->partition_key);
    explanation->begun = true;
    return ERR_OK;
}

static enum err_code on_use(void *context, const struct select_use *use, struct err *err)
{
    const struct explanation *shared = context;
    EXPLANATION_CLEANUP struct explanation explanation = {
        .call = shared->call, .answer = shared->answer, .use = use};
    bytes_printf(&explanation.table, "%.*s.%.*s%s%.*s", SPAN_PRINTF(use->source->project),
                 SPAN_PRINTF(use->source->object), use->alias.len > 0 ? " " : "",
                 SPAN_PRINTF(use->alias));
    TRY(use->source->ops->explain(use->source->table, use->scan, on_part, &explanation, err));
    row_end(&explanation);
    bucket_end(&explanation);
    BYTES_CLEANUP struct bytes columns = {0};
    columns_say(&explanation, &columns);
    row_put(&explanation, &explanation.total, (struct span){0}, "total", bytes_span(&columns));
    return ERR_OK;
}

/* A SELECT, or an INSERT of one, whose target may be written. */
static enum err_code explained_check(const struct statement_call *call,
                                     const struct statement *explained, struct err *err)
{
    struct lookup target;
    if (explained->kind == STATEMENT_SELECT)
        return ERR_OK;
    if (explained->kind != STATEMENT_INSERT)
        return err_set(err, ERR_SEMANTIC,
                       "EXPLAIN %s is not supported yet; EXPLAIN SELECT, EXPLAIN INSERT ... "
                       "SELECT and EXPLAIN XCOPY are",
                       statement_kind_text(explained->kind));
    if (explained->insert.query == NULL)
        return err_set(err, ERR_SEMANTIC,
                       "INSERT ... VALUES reads nothing that EXPLAIN could show");
    return lookup_table(call, &explained->insert.table, ACTION_UPDATE, &target, err);
}

enum err_code statement_explain(const struct statement_call *call, struct answer *answer,
                                struct err *err)
{
    static const struct answer_column columns[] = {
        {"table", TYPE_STRING, true},      {"partition", TYPE_STRING, false},
        {"partitions", TYPE_BIGINT, true}, {"action", TYPE_STRING, true},
        {"reason", TYPE_STRING, false},    {"row_groups", TYPE_BIGINT, false},
        {"rows", TYPE_BIGINT, false},      {"files", TYPE_BIGINT, false},
        {"bytes", TYPE_BIGINT, false},
    };
    const struct statement *explained = call->statement->explained;
    if (explained->kind == STATEMENT_XCOPY)
        return xcopy_explain(call, &explained->xcopy, answer, err);
    TRY(explained_check(call, explained, err));
    const struct select *select =
        explained->kind == STATEMENT_SELECT ? &explained->select : explained->insert.query;
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    struct catalog_scope scope = {.call = call};
    const struct select_catalog catalog = statement_catalog(&scope);
    struct explanation shared = {.call = call, .answer = answer};
    struct select_options options = {.catalog = &catalog, .now_ms = (int64_t)statement_now_ms()};
    TRY(select_settings_apply(call, &options, err));
    TRY(select_explain(select, call->statement->text, &options, on_use, &shared, err));
    if (select->has_limit && select->order_by_count == 0)
        answer_set_notice(answer, "LIMIT ends the reading as soon as there are enough rows");
    return ERR_OK;
}
