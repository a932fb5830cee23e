/* What one SELECT costs over tables that are made as they are read: binding, SQLite and our values,
 * without store, network and client.
 *
 *     queries FOLDER ROWS SELECT     one JSON object; temporary files go to FOLDER
 *
 * Tables: a and b of ROWS rows each, and `wide` of ROWS rows and WIDE_COLUMNS numbers w0, w1, ...
 * a, b: id, the rows' numbers in another order in each; g, of GROUPS values; v, a DOUBLE; t, a text.
 */
#include <pthread.h>
#include <sys/resource.h>

#include "node/sql/parser.h"
#include "node/sql/resources.h"
#include "node/sql/select.h"
#include "proto/limits.h"

#define BATCH_ROWS   8192
#define GROUPS       100
#define WIDE_COLUMNS 1000
#define TEXT_BYTES   32
#define TEMP_LOOK_NS 2000000

struct table {
    const char *name;
    uint64_t factor; /* prime, far beyond the rows: ids come in no order */
    struct schema schema;
};

struct pass {
    const struct table *table;
    struct batch batch;
    size_t *columns;
    uint64_t at;
};

static uint64_t row_count;
static struct table tables[3] = {{.name = "a", .factor = 2654435761},
                                 {.name = "b", .factor = 2246822519},
                                 {.name = "wide", .factor = 3266489917}};
static atomic_llong temp_peak;
static atomic_bool done;

/* ---- tables ---- */

static void schema_make(struct table *table, struct arena *arena)
{
    static const struct {
        const char *name;
        enum type_kind kind;
    } narrow[] = {{"id", TYPE_BIGINT}, {"g", TYPE_BIGINT}, {"v", TYPE_DOUBLE}, {"t", TYPE_STRING}};
    bool is_wide = strcmp(table->name, "wide") == 0;
    size_t count = is_wide ? WIDE_COLUMNS : ARRAY_COUNT(narrow);
    struct column *columns = arena_alloc(arena, count, sizeof(*columns));
    for (size_t i = 0; i < count; i++) {
        char *name = arena_alloc(arena, 8, 1);
        snprintf(name, 8, "w%u", (unsigned)i % WIDE_COLUMNS);
        columns[i] = (struct column){
            .name = span_text(is_wide ? name : narrow[i].name),
            .type.kind = is_wide ? TYPE_BIGINT : narrow[i].kind,
        };
    }
    table->schema = (struct schema){.columns = columns, .column_count = count};
}

static void cell_append(const struct pass *pass, size_t column, uint64_t row, struct vector *vector)
{
    uint64_t id = row * pass->table->factor % row_count;
    char text[TEXT_BYTES + 1];
    struct value value = {.i64 = (int64_t)(id + column)};
    if (pass->table->schema.column_count != WIDE_COLUMNS) {
        if (column == 0)
            value.i64 = (int64_t)id;
        else if (column == 1)
            value.i64 = (int64_t)(id % GROUPS);
        else if (column == 2)
            value = (struct value){.f64 = (double)id / 7};
        else
            value = (struct value){
                .text = span_of(text, (size_t)snprintf(text, sizeof(text), "customer-%08u",
                                                       (unsigned)(id * 31 % row_count)))};
    }
    vector_append(vector, value);
}

static enum err_code pass_open(void *context, const struct select_scan *scan, void **ret_pass,
                               struct err *err)
{
    (void)err;
    const struct table *table = context;
    struct pass *pass = mem_calloc(1, sizeof(*pass));
    struct type *types = mem_calloc(scan->column_count + 1, sizeof(*types));
    pass->table = table;
    pass->columns = mem_calloc(scan->column_count + 1, sizeof(*pass->columns));
    for (size_t i = 0; i < scan->column_count; i++) {
        pass->columns[i] = scan->columns[i];
        types[i] = table->schema.columns[scan->columns[i]].type;
    }
    batch_init_types(&pass->batch, types, scan->column_count);
    mem_free(types);
    *ret_pass = pass;
    return ERR_OK;
}

static enum err_code pass_next(void *context, const struct batch **ret_batch, struct err *err)
{
    (void)err;
    struct pass *pass = context;
    batch_clear(&pass->batch);
    uint64_t left = row_count - pass->at;
    pass->batch.rows = left < BATCH_ROWS ? (size_t)left : BATCH_ROWS;
    for (size_t i = 0; i < pass->batch.vector_count; i++) {
        for (size_t row = 0; row < pass->batch.rows; row++)
            cell_append(pass, pass->columns[i], pass->at + row, &pass->batch.vectors[i]);
    }
    pass->at += pass->batch.rows;
    *ret_batch = pass->batch.rows > 0 ? &pass->batch : NULL;
    return ERR_OK;
}

static void pass_close(void *context)
{
    struct pass *pass = context;
    batch_deinit(&pass->batch);
    mem_free(pass->columns);
    mem_free(pass);
}

static enum err_code catalog_find(void *context, const struct name *name,
                                  struct select_source *ret_source, struct err *err)
{
    static const struct select_source_ops ops = {
        .open = pass_open, .next = pass_next, .close = pass_close};
    (void)context;
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++) {
        if (!span_equal(name->object, span_text(tables[i].name)))
            continue;
        *ret_source = (struct select_source){&ops, &tables[i], &tables[i].schema, span_text("p"),
                                             name->object};
        return ERR_OK;
    }
    return err_set(err, ERR_TABLE_NOT_FOUND, "%.*s", SPAN_PRINTF(name->object));
}

static void catalog_release(void *context, struct select_source *source)
{
    (void)context;
    (void)source;
}

/* ---- measuring ---- */

static void *temp_watch(void *unused)
{
    while (!atomic_load(&done)) {
        int64_t bytes = resources_temp_total();
        if (bytes > atomic_load(&temp_peak))
            atomic_store(&temp_peak, bytes);
        nanosleep(&(struct timespec){.tv_nsec = TEMP_LOOK_NS}, NULL);
    }
    return unused;
}

static double wall_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static enum err_code run(const char *sql, uint64_t *ret_rows, struct err *err)
{
    struct arena arena;
    struct statement *statement = NULL;
    struct select_cursor *cursor = NULL;
    struct select_catalog catalog = {NULL, catalog_find, catalog_release};
    struct select_options options = {.catalog = &catalog,
                                     .limits = {.memory_bytes_max = SELECT_MEMORY_BYTES_DEFAULT,
                                                .temp_bytes_max = SELECT_TEMP_BYTES_DEFAULT}};
    arena_init(&arena, STATEMENT_ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++)
        schema_make(&tables[i], &arena);
    TRY(statement_parse(span_text(sql), &arena, &statement, err));
    TRY(select_open(&statement->select, statement->text, &options, &cursor, err));
    struct batch batch;
    bool end = false;
    enum err_code code = ERR_OK;
    select_batch_init(cursor, &batch);
    while (code == ERR_OK && !end) {
        code = select_next(cursor, MIB(1), &batch, &end, err);
        *ret_rows += batch.rows;
    }
    batch_deinit(&batch);
    select_close(cursor);
    arena_deinit(&arena);
    return code;
}

int main(int count, char **args)
{
    struct err err = {0};
    pthread_t watch;
    uint64_t rows = 0;
    if (count != 4) {
        fprintf(stderr, "usage: queries FOLDER ROWS SELECT\n");
        return 2;
    }
    row_count = strtoull(args[2], NULL, 10);
    if (select_start(args[1], &err) != ERR_OK ||
        pthread_create(&watch, NULL, temp_watch, NULL) != 0)
        return 1;
    double start = wall_s();
    enum err_code code = run(args[3], &rows, &err);
    double wall = wall_s() - start;
    atomic_store(&done, true);
    pthread_join(watch, NULL);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (code != ERR_OK) {
        fprintf(stderr, "queries: %s\n", err.message);
        return 1;
    }
    printf("{\"rows\": %" PRIu64 ", \"wall_s\": %.3f, \"user_s\": %.3f, \"system_s\": %.3f, "
           "\"rss_mib\": %ld, \"temp_mib\": %lld}\n",
           rows, wall, seconds(usage.ru_utime), seconds(usage.ru_stime), usage.ru_maxrss / 1024,
           atomic_load(&temp_peak) / (long long)MIB(1));
    return 0;
}
