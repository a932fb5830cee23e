/* INFORMATION_SCHEMA.XCOPY_USAGE: what XCOPY carried, by day, direction, project, other region and
 * outcome (node/task/meter.h). Bytes; what they cost is for whoever has a price list.
 *
 *     a project's rows are read by who may Audit it (its owner, its admins) and the region's operators
 */
#include "node/statement/row_view.h"
#include "node/task/meter.h"
#include "store/project.h"

static const struct system_view_column columns[] = {
    {"usage_date", TYPE_DATE, true},    {"direction", TYPE_STRING, true},
    {"project", TYPE_STRING, true},     {"peer_region", TYPE_STRING, true},
    {"state", TYPE_STRING, true},       {"tasks", TYPE_BIGINT, true},
    {"wire_bytes", TYPE_BIGINT, true},  {"payload_bytes", TYPE_BIGINT, true},
    {"page_bytes", TYPE_BIGINT, true},  {"resent_bytes", TYPE_BIGINT, true},
    {"saved_bytes", TYPE_BIGINT, true},
};

/* ---- lines of one day and project become one ---- */

struct sums {
    struct meter_line *lines; /* texts in the arena */
    size_t count, capacity;
    struct arena arena;
    uint64_t last_project; /* the answer that was given last */
    bool allowed;
    const struct statement_call *call;
};

static bool project_allowed(struct sums *sums, struct project_id id)
{
    const struct statement_call *call = sums->call;
    struct project_record project;
    if (sums->last_project == id.n)
        return sums->allowed;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    sums->last_project = id.n;
    sums->allowed =
        authorise(call->principal, ACTION_OPERATE, object_region(), NULL) == ERR_OK ||
        (project_get(call->services->store, NULL, id, &arena, &project, NULL) == ERR_OK &&
         authorise(call->principal, ACTION_AUDIT, object_project(call->services->store, &project),
                   NULL) == ERR_OK);
    return sums->allowed;
}

static enum err_code line_take(void *context, const struct meter_line *line, struct err *err)
{
    struct sums *sums = context;
    if (line->project.n == 0 || !project_allowed(sums, line->project))
        return ERR_OK;
    if (sums->count == sums->capacity) {
        sums->capacity = sums->capacity == 0 ? 256 : 2 * sums->capacity;
        sums->lines = mem_realloc(sums->lines, sums->capacity, sizeof(*sums->lines));
    }
    struct meter_line *copy = &sums->lines[sums->count];
    *copy = *line;
    copy->project_name = arena_copy(&sums->arena, line->project_name);
    copy->region = arena_copy(&sums->arena, line->region);
    if (copy->project_name.data == NULL || copy->region.data == NULL)
        return err_set(err, ERR_LIMIT, "XCOPY_USAGE has too many rows to be read at once");
    sums->count++;
    return ERR_OK;
}

static int number_order(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int line_order(const void *first, const void *second)
{
    const struct meter_line *a = first, *b = second;
    int order = number_order(a->day, b->day);
    if (order == 0)
        order = number_order(a->role, b->role);
    if (order == 0)
        order = number_order(a->project.n, b->project.n);
    if (order == 0)
        order = span_compare(a->region, b->region);
    return order != 0 ? order : number_order(a->state, b->state);
}

static enum err_code line_put(const struct meter_line *line, struct row_view *rows, struct err *err)
{
    const struct meter_counts *counts = &line->counts;
    uint64_t resent =
        counts->file_bytes > counts->kept_bytes ? counts->file_bytes - counts->kept_bytes : 0;
    bool known = line->state > TASK_RUNNING; /* what is under way may still be kept */
    const struct value values[] = {
        {.i64 = line->day},
        row_text(span_text(line->role == METER_IN ? "IN" : "OUT")),
        row_text(line->project_name),
        row_text(line->region),
        row_text(span_text(task_state_name(line->state))),
        row_number(line->tasks),
        row_number(counts->wire_bytes),
        row_number(known ? counts->kept_bytes : counts->file_bytes),
        row_number(counts->page_bytes),
        row_number(known ? resent : 0),
        row_number(counts->saved_bytes),
    };
    _Static_assert(ARRAY_COUNT(values) == ARRAY_COUNT(columns), "a value for each column");
    return row_view_add(rows, values, err);
}

static void line_add(struct meter_line *sum, const struct meter_line *line)
{
    sum->tasks += line->tasks;
#define X(name) sum->counts.name += line->counts.name;
    METER_COUNTS(X)
#undef X
}

static enum err_code sums_put(struct sums *sums, struct row_view *rows, struct err *err)
{
    if (sums->count > 0)
        qsort(sums->lines, sums->count, sizeof(*sums->lines), line_order);
    for (size_t i = 0; i < sums->count;) {
        struct meter_line sum = sums->lines[i++];
        while (i < sums->count && line_order(&sum, &sums->lines[i]) == 0)
            line_add(&sum, &sums->lines[i++]);
        TRY(line_put(&sum, rows, err));
    }
    return ERR_OK;
}

static enum err_code view_open(const struct system_view *self, const struct statement_call *call,
                               void **ret_state, struct err *err)
{
    struct sums sums = {.call = call};
    struct row_view *rows = row_view_new(self);
    arena_init(&sums.arena, ROW_VIEW_BYTES_MAX);
    enum err_code code = meter_each(call->services->store, line_take, &sums, err);
    if (code == ERR_OK)
        code = sums_put(&sums, rows, err);
    arena_deinit(&sums.arena);
    mem_free(sums.lines);
    if (code != ERR_OK) {
        row_view_free(rows);
        return code;
    }
    *ret_state = rows;
    return ERR_OK;
}

const struct system_view usage_view = {
    .name = "XCOPY_USAGE",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &row_view_ops,
    .open = view_open,
    .close = row_view_free,
};
