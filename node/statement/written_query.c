#include "node/statement/written_query.h"

#include "node/limits.h"
#include "node/loop.h"
#include "node/statement/assign.h"
#include "node/statement/catalog.h"

#define SCRATCH_BYTES (2 * LIMIT_CELL_BYTES)

/* Of the process: what all that are open may gather rows in. */
static atomic_size_t memory_given;

/* Half of what is left of twice load_memory: the first has load_memory. */
static size_t memory_take(size_t load_memory_bytes)
{
    size_t all = 2 * load_memory_bytes;
    size_t given = atomic_load(&memory_given);
    size_t bytes;
    do
        bytes = given < all ? (all - given) / 2 : 0;
    while (!atomic_compare_exchange_weak(&memory_given, &given, given + bytes));
    return bytes;
}

/* ---- open, close ---- */

static void time_begin(struct written_query *query)
{
    uint64_t time_ms_max = query->options.limits.time_ms_max;
    query->deadline_ms = time_ms_max > 0 ? loop_now_ms() + time_ms_max : 0;
}

enum err_code written_query_open(struct written_query *query, const struct statement_call *call,
                                 const struct project_record *project, const struct select *select,
                                 struct err *err)
{
    *query = (struct written_query){.call = call, .scope = {.call = call, .into = project}};
    query->catalog = statement_catalog(&query->scope);
    arena_init(&query->scratch, SCRATCH_BYTES);
    query->options = (struct select_options){
        .catalog = &query->catalog, .cancel = call->cancel, .now_ms = (int64_t)statement_now_ms()};
    TRY(select_settings_apply(call, &query->options, err));
    query->options.limits.rows_max = 0;
    query->options.limits.result_bytes_max = 0;
    time_begin(query);
    query->memory_bytes = memory_take(limits_get(call->services->limits).load_memory_bytes);
    return select_open(select, call->statement->text, &query->options, &query->cursor, err);
}

void written_query_close(struct written_query *query)
{
    if (query->call == NULL)
        return;
    select_close(query->cursor);
    arena_deinit(&query->scratch);
    atomic_fetch_sub(&memory_given, query->memory_bytes);
}

/* ---- whether it goes on ---- */

static enum err_code look(void *context, struct err *err)
{
    const struct written_query *query = context;
    if (query->call->cancel != NULL && atomic_load(query->call->cancel))
        return err_set(err, ERR_CANCELLED, "the statement was cancelled; nothing has changed");
    if (query->deadline_ms != 0 && loop_now_ms() >= query->deadline_ms)
        return err_set(err, ERR_TIMEOUT,
                       "the statement took longer than select_time allows (%" PRIu64
                       " ms), and nothing has changed: write less at a time, or raise it",
                       query->options.limits.time_ms_max);
    return ERR_OK;
}

struct ingest_watch written_query_watch(struct written_query *query)
{
    return (struct ingest_watch){.look = look, .context = query};
}

/* ---- rows ---- */

static enum err_code partition_values_check(const struct column *column,
                                            const struct vector *vector, struct err *err)
{
    struct value last = {.null = true};
    for (size_t row = 0; row < vector->rows; row++) {
        struct value value = vector_value(vector, row);
        if (!last.null && !value.null && value_compare(column->type, last, value) == 0)
            continue;
        if (partition_value_check(column, value, err) != ERR_OK)
            return err_wrap(err, "invalid dynamic partition value");
        last = value;
    }
    return ERR_OK;
}

static enum err_code column_write(struct written_query *query, const struct row_source *source,
                                  const struct batch *given, struct vector *to, struct err *err)
{
    if (source->at == SIZE_MAX) {
        for (size_t row = 0; row < given->rows; row++)
            vector_append(to, source->value);
        return ERR_OK;
    }
    const struct vector *from = &given->vectors[source->at];
    struct column column = *source->column;
    column.not_null = column.not_null && !source->is_partition; /* has words of its own */
    const struct assignment assignment = {
        .from = from->type, .to = &column, .mode = query->options.mode};
    TRY(assignment_run(&assignment, from, &query->scratch, to, err));
    return source->is_partition ? partition_values_check(&column, to, err) : ERR_OK;
}

static enum err_code rows_write(struct written_query *query, const struct insert_plan *plan,
                                const struct batch *given, struct batch *taken, struct err *err)
{
    batch_clear(taken);
    for (size_t i = 0; i < plan->column_count; i++)
        TRY(column_write(query, &plan->sources[i], given, &taken->vectors[i], err));
    taken->rows = given->rows;
    return ERR_OK;
}

static enum err_code types_check(const struct written_query *query, const struct insert_plan *plan,
                                 struct err *err)
{
    size_t count;
    const struct result_column *columns = select_columns(query->cursor, &count);
    ASSERT(count == plan->width);
    for (size_t i = 0; i < plan->column_count; i++) {
        const struct row_source *source = &plan->sources[i];
        if (source->at == SIZE_MAX && source->value.null && source->column->not_null)
            return err_set(err, ERR_SEMANTIC, "column %.*s is NOT NULL, and INSERT leaves it out",
                           SPAN_PRINTF(source->column->name));
        if (source->at == SIZE_MAX)
            continue;
        const struct assignment assignment = {.from = columns[source->at].type,
                                              .to = source->column};
        TRY(assignment_check(&assignment, err));
    }
    return ERR_OK;
}

static void progress_tell(const struct written_query *query, const char *phase,
                          const struct batch *given)
{
    struct statement_progress *progress = query->call->progress;
    size_t bytes = 0;
    if (progress == NULL)
        return;
    for (size_t i = 0; given != NULL && i < given->vector_count; i++) {
        const struct vector *vector = &given->vectors[i];
        bytes += vector->type.kind == TYPE_STRING ? vector->text.len + vector->rows * 4
                                                  : vector->rows * sizeof(int64_t);
    }
    atomic_fetch_add(&progress->bytes, bytes);
    atomic_store(&progress->phase, phase);
}

static enum err_code still_allowed(const struct written_query *query, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    TRY(catalog_ask_again(&query->scope, err));
    if (query->table != NULL)
        return lookup_again(query->call, query->table, ACTION_UPDATE, &arena, NULL, err);
    return lookup_project_again(query->call, query->scope.into, ACTION_CREATE_TABLE, err);
}

static enum err_code rows_stream(struct written_query *query, const struct insert_plan *plan,
                                 struct ingest *ingest, struct batch *given, struct err *err)
{
    BATCH_CLEANUP struct batch taken;
    batch_init_all(&taken, ingest_schema(ingest));
    bool end = false;
    while (!end) {
        TRY(select_next(query->cursor, LIMIT_RESULT_CHUNK_BYTES, given, &end, err));
        TRY(look(query, err));
        TRY(still_allowed(query, err)); /* of the last block, too: the commit is next */
        TRY(rows_write(query, plan, given, &taken, err));
        if (taken.rows > 0)
            TRY(ingest_append(ingest, &taken, err));
        progress_tell(query, "reading rows", given);
    }
    return ERR_OK;
}

enum err_code written_query_run(struct written_query *query, const struct insert_plan *plan,
                                struct ingest *ingest, struct err *err)
{
    TRY(types_check(query, plan, err));
    BATCH_CLEANUP struct batch given;
    select_batch_init(query->cursor, &given);
    TRY(rows_stream(query, plan, ingest, &given, err));
    select_close(query->cursor); /* its memory and versions are not needed for the commit */
    query->cursor = NULL;
    progress_tell(query, "writing rows", NULL);
    return ERR_OK;
}
