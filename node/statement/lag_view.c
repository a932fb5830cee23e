/* INFORMATION_SCHEMA.XCOPY_LAG: of each table of which replicas are here, how old the newest one is, and
 * how far behind the source's newest snapshot, as the source said when it was last pulled from.
 *
 * One reads what one may DESC. Times of making are the source's clock's.
 */
#include "node/statement/row_view.h"
#include "node/task/meter.h"
#include "store/snapshot.h"

static const struct system_view_column columns[] = {
    {"project", TYPE_STRING, true},         {"source_region", TYPE_STRING, true},
    {"source_project", TYPE_STRING, true},  {"source_table", TYPE_STRING, true},
    {"replicas", TYPE_BIGINT, true},        {"newest_replica", TYPE_STRING, true},
    {"snapshot_made", TYPE_DATETIME, true}, {"replicated", TYPE_DATETIME, true},
    {"age_seconds", TYPE_BIGINT, true},     {"source_newest_made", TYPE_DATETIME, false},
    {"source_told", TYPE_DATETIME, false},  {"lag_seconds", TYPE_BIGINT, false},
};

/* The newest replica of one table so far; texts in the arena. */
struct lag {
    struct table_id table;
    struct span region, project, name; /* of the source's table */
    struct span replica;
    uint64_t replicas;
    uint64_t made_ms, replicated_ms;
};

struct lags {
    const struct statement_call *call;
    const struct project_record *project; /* the one that is looked at */
    struct row_view *rows;
    struct arena arena;   /* of the project's lags */
    struct arena scratch; /* of one snapshot */
    struct lag *list;
    size_t count, capacity;
};

/* ---- a project's replicas ---- */

static struct lag *lag_of(struct lags *lags, const struct snapshot_claim *claim)
{
    for (size_t i = 0; i < lags->count; i++)
        if (lags->list[i].table.n == claim->base_table.n &&
            span_equal(lags->list[i].region, claim->region))
            return &lags->list[i];
    if (lags->count == lags->capacity) {
        lags->capacity = lags->capacity == 0 ? 16 : 2 * lags->capacity;
        lags->list = mem_realloc(lags->list, lags->capacity, sizeof(*lags->list));
    }
    lags->list[lags->count] =
        (struct lag){.table = claim->base_table, .region = arena_copy(&lags->arena, claim->region)};
    return &lags->list[lags->count++];
}

static enum err_code replica_take(struct lags *lags, const struct snapshot_record *snapshot,
                                  struct err *err)
{
    struct snapshot_claim claim;
    TRY(snapshot_claim_decode(snapshot->claim, &lags->scratch, &claim, err));
    struct lag *lag = lag_of(lags, &claim);
    lag->replicas++;
    if (lag->replicas > 1 && claim.created_ms <= lag->made_ms)
        return ERR_OK;
    lag->project = arena_copy(&lags->arena, claim.project);
    lag->name = arena_copy(&lags->arena, claim.base_table_name);
    lag->replica = arena_copy(&lags->arena, snapshot->name);
    lag->made_ms = claim.created_ms;
    lag->replicated_ms = snapshot->created_ms;
    return lag->replica.data != NULL
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "XCOPY_LAG has too many rows to be read at once");
}

static enum err_code name_take(void *context, struct name_target target, struct err *err)
{
    struct lags *lags = context;
    const struct statement_call *call = lags->call;
    struct store *store = call->services->store;
    struct snapshot_record snapshot;
    if (target.kind != NAME_SNAPSHOT)
        return ERR_OK;
    if (call->cancel != NULL && atomic_load(call->cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    arena_reset(&lags->scratch);
    enum err_code code = snapshot_get(store, NULL, target.id, &lags->scratch, &snapshot, err);
    if (code == ERR_NOT_FOUND || code == ERR_TABLE_NOT_FOUND) /* dropped meanwhile */
        return ERR_OK;
    if (code != ERR_OK || !snapshot.is_replica ||
        authorise(call->principal, ACTION_DESCRIBE,
                  object_snapshot(store, lags->project, &snapshot), NULL) != ERR_OK)
        return code;
    return replica_take(lags, &snapshot, err);
}

/* ---- rows ---- */

static uint64_t seconds_between(uint64_t from_ms, uint64_t to_ms)
{
    return to_ms > from_ms ? (to_ms - from_ms) / 1000 : 0;
}

static enum err_code lag_put(struct lags *lags, const struct lag *lag, struct err *err)
{
    struct meter_newest newest;
    TRY(meter_newest_find(lags->call->services->store, lag->table, lag->region, &newest, err));
    const struct value values[] = {
        row_text(lags->project->name),
        row_text(lag->region),
        row_text(lag->project),
        row_text(lag->name),
        row_number(lag->replicas),
        row_text(lag->replica),
        row_time(lag->made_ms),
        row_time(lag->replicated_ms),
        row_number(seconds_between(lag->made_ms, statement_now_ms())),
        row_time(newest.made_ms),
        row_time(newest.told_ms),
        newest.made_ms == 0 ? (struct value){.null = true}
                            : row_number(seconds_between(lag->made_ms, newest.made_ms)),
    };
    _Static_assert(ARRAY_COUNT(values) == ARRAY_COUNT(columns), "a value for each column");
    return row_view_add(lags->rows, values, err);
}

static enum err_code project_take(void *context, const struct project_record *project,
                                  struct err *err)
{
    struct lags *lags = context;
    struct store *store = lags->call->services->store;
    if (authorise(lags->call->principal, ACTION_ENTER, object_project(store, project), NULL) !=
        ERR_OK)
        return ERR_OK;
    lags->project = project;
    lags->count = 0;
    arena_reset(&lags->arena);
    TRY(name_each(store, NULL, project->id, name_take, lags, err));
    for (size_t i = 0; i < lags->count; i++)
        TRY(lag_put(lags, &lags->list[i], err));
    return ERR_OK;
}

static enum err_code view_open(const struct system_view *self, const struct statement_call *call,
                               void **ret_state, struct err *err)
{
    struct lags lags = {.call = call, .rows = row_view_new(self)};
    arena_init(&lags.arena, ROW_VIEW_BYTES_MAX);
    arena_init(&lags.scratch, 4 * CATALOG_ARENA_BYTES);
    enum err_code code = project_each(call->services->store, NULL, project_take, &lags, err);
    arena_deinit(&lags.arena);
    arena_deinit(&lags.scratch);
    mem_free(lags.list);
    if (code != ERR_OK) {
        row_view_free(lags.rows);
        return code;
    }
    *ret_state = lags.rows;
    return ERR_OK;
}

const struct system_view lag_view = {
    .name = "XCOPY_LAG",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &row_view_ops,
    .open = view_open,
    .close = row_view_free,
};
