/* Running a bound query: the only file that knows SQLite.
 *
 * One connection a cursor, in memory, with one virtual table "project.table" that reads from the
 * cursor's source. The authorizer lets through that table and the functions of `allowed`; nothing can
 * be written, attached or loaded. Forms of values: form.h.
 * Errors of the source and of our functions are kept in the cursor, and SQLite is only told that there
 * was one. Its own messages never leave this file by name.
 */
#include "node/sql/select.h"

#include <sqlite3.h>

#include "node/sql/bind.h"
#include "node/sql/evaluate.h"
#include "node/sql/form.h"
#include "node/sql/print.h"
#include "proto/limits.h"

#define BIND_ARENA_BYTES (256 * MIB(1))
#define SCRATCH_BYTES    (8 * LIMIT_CELL_BYTES)
#define SORT_MEMORY_KIB  65536 /* then sorts go to temporary files */
#define PROGRESS_STEPS   20000 /* between two looks at cancel and the clock: below a millisecond */
#define SCAN_COST        1e7
#define COLUMN_UNUSED    SIZE_MAX

struct select_cursor {
    struct select_options options;
    struct select_source source;
    bool has_source;
    struct arena arena;   /* the query */
    struct arena scratch; /* of one call of "evaluate" */
    struct query *query;
    struct printed printed;
    struct result_column *columns;
    size_t *positions; /* column of the table -> vector of a batch, or COLUMN_UNUSED */
    sqlite3 *db;
    sqlite3_stmt *statement;
    bool end;
    bool timed_out;
    uint64_t used_ms;     /* by earlier calls of select_next */
    uint64_t deadline_ms; /* of this call, by the monotonic clock; 0: none */
    struct err err;       /* the first of the source and of our functions */
};

/* ---- values ---- */

static struct value value_load(sqlite3_value *from, struct type type)
{
    struct value value = {0};
    int kind = sqlite3_value_type(from);
    if (kind == SQLITE_NULL) {
        value.null = true;
        return value;
    }
    switch (form_of(type)) {
    case FORM_INTEGER:
        value.i64 = sqlite3_value_int64(from);
        break;
    case FORM_NARROW_DECIMAL:
        value.decimal = sqlite3_value_int64(from);
        break;
    case FORM_WIDE_DECIMAL:
        ASSERT(sqlite3_value_bytes(from) == WIDE_DECIMAL_BYTES);
        value.decimal = wide_decimal_load(sqlite3_value_blob(from));
        break;
    case FORM_DOUBLE:
        value.f64 = kind == SQLITE_BLOB ? NAN : sqlite3_value_double(from);
        break;
    case FORM_TEXT: {
        const unsigned char *text = sqlite3_value_text(from);
        value.text = span_of(text, (size_t)sqlite3_value_bytes(from));
        break;
    }
    }
    return value;
}

/* Texts are copied: what a batch holds is gone with the next one, while MAX may still point to it. */
static void value_result(sqlite3_context *context, struct type type, struct value value)
{
    if (value.null) {
        sqlite3_result_null(context);
        return;
    }
    switch (form_of(type)) {
    case FORM_INTEGER:
        sqlite3_result_int64(context, value.i64);
        break;
    case FORM_NARROW_DECIMAL:
        sqlite3_result_int64(context, (int64_t)value.decimal);
        break;
    case FORM_WIDE_DECIMAL: {
        uint8_t form[WIDE_DECIMAL_BYTES];
        wide_decimal_store(value.decimal, form);
        sqlite3_result_blob(context, form, sizeof(form), SQLITE_TRANSIENT);
        break;
    }
    case FORM_DOUBLE:
        if (isnan(value.f64))
            sqlite3_result_blob(context, "", 0, SQLITE_STATIC);
        else
            sqlite3_result_double(context, value.f64);
        break;
    case FORM_TEXT:
        sqlite3_result_text(context, value.text.len > 0 ? (const char *)value.text.data : "",
                            (int)value.text.len, SQLITE_TRANSIENT);
        break;
    }
}

/* ---- functions ---- */

static void function_fail(sqlite3_context *context)
{
    sqlite3_result_error(context, "failed", -1);
}

static void function_evaluate(sqlite3_context *context, int count, sqlite3_value **args)
{
    struct select_cursor *cursor = sqlite3_user_data(context);
    const struct program *program =
        printed_program(&cursor->printed, (size_t)sqlite3_value_int64(args[0]));
    ASSERT((size_t)count == program->slot_count + 1);
    struct value slots[PROGRAM_SLOTS_MAX];
    for (size_t i = 0; i < program->slot_count; i++)
        slots[i] = value_load(args[i + 1], program->slots[i]->type);
    struct evaluation evaluation = {.slots = slots, .scratch = &cursor->scratch};
    struct value value;
    if (node_evaluate(program->root, &evaluation, &value, &cursor->err) == ERR_OK)
        value_result(context, program->root->type, value);
    else
        function_fail(context);
    if (cursor->scratch.used_bytes > 0)
        arena_reset(&cursor->scratch);
}

/* Packed, because SQLite aligns it to eight bytes only. */
struct sum {
    decimal128 whole; /* integers and decimals */
    double real;
    int64_t count;
    bool overflow;
} __attribute__((packed, aligned(8)));

static void sum_whole_step(sqlite3_context *context, int count, sqlite3_value **args)
{
    (void)count;
    struct sum *sum = sqlite3_aggregate_context(context, sizeof(*sum));
    int kind = sqlite3_value_type(args[0]);
    if (sum == NULL || kind == SQLITE_NULL)
        return;
    decimal128 value = kind == SQLITE_INTEGER ? sqlite3_value_int64(args[0])
                                              : wide_decimal_load(sqlite3_value_blob(args[0]));
    sum->overflow = __builtin_add_overflow(sum->whole, value, &value) || sum->overflow;
    sum->whole = value;
    sum->count++;
}

static void sum_double_step(sqlite3_context *context, int count, sqlite3_value **args)
{
    (void)count;
    struct sum *sum = sqlite3_aggregate_context(context, sizeof(*sum));
    if (sum == NULL || sqlite3_value_type(args[0]) == SQLITE_NULL)
        return;
    sum->real += value_load(args[0], (struct type){.kind = TYPE_DOUBLE}).f64;
    sum->count++;
}

/* The state, or NULL where no value was met: the result is NULL then. */
static const struct sum *sum_final(sqlite3_context *context)
{
    const struct sum *sum = sqlite3_aggregate_context(context, 0);
    return sum == NULL || sum->count == 0 ? NULL : sum;
}

static void sum_finish(sqlite3_context *context, struct type type)
{
    const struct sum *sum = sum_final(context);
    if (sum == NULL) {
        sqlite3_result_null(context);
        return;
    }
    bool wide = type.kind == TYPE_DECIMAL;
    bool fits =
        !sum->overflow && (wide ? value_in_range(type, (struct value){.decimal = sum->whole})
                                : sum->whole >= INT64_MIN && sum->whole <= INT64_MAX);
    if (!fits) {
        struct select_cursor *cursor = sqlite3_user_data(context);
        char text[TYPE_TEXT_BYTES];
        if (err_set(&cursor->err, ERR_SEMANTIC, "a SUM does not fit %s", type_format(type, text)))
            function_fail(context);
    } else if (wide) {
        value_result(context, type, (struct value){.decimal = sum->whole});
    } else {
        sqlite3_result_int64(context, (int64_t)sum->whole);
    }
}

static void sum_integer_final(sqlite3_context *context)
{
    sum_finish(context, (struct type){.kind = TYPE_BIGINT});
}

static void sum_decimal_final(sqlite3_context *context)
{
    sum_finish(context, (struct type){TYPE_DECIMAL, 38, 0}); /* unscaled: any scale */
}

static void double_finish(sqlite3_context *context, double value)
{
    value_result(context, (struct type){.kind = TYPE_DOUBLE}, (struct value){.f64 = value});
}

static void sum_double_final(sqlite3_context *context)
{
    const struct sum *sum = sum_final(context);
    if (sum == NULL)
        sqlite3_result_null(context);
    else
        double_finish(context, sum->real);
}

static void avg_integer_final(sqlite3_context *context)
{
    const struct sum *sum = sum_final(context);
    if (sum == NULL)
        sqlite3_result_null(context);
    else
        double_finish(context, (double)sum->whole / (double)sum->count);
}

static void avg_double_final(sqlite3_context *context)
{
    const struct sum *sum = sum_final(context);
    if (sum == NULL)
        sqlite3_result_null(context);
    else
        double_finish(context, sum->real / (double)sum->count);
}

/* What the printed SQL may call; those without our code are SQLite's. */
static const struct function {
    const char *name;
    int args;
    void (*call)(sqlite3_context *context, int count, sqlite3_value **args);
    void (*step)(sqlite3_context *context, int count, sqlite3_value **args);
    void (*final)(sqlite3_context *context);
} allowed[] = {
    {"evaluate", -1, function_evaluate, NULL, NULL},
    {"sum_integer", 1, NULL, sum_whole_step, sum_integer_final},
    {"sum_decimal", 1, NULL, sum_whole_step, sum_decimal_final},
    {"sum_double", 1, NULL, sum_double_step, sum_double_final},
    {"avg_integer", 1, NULL, sum_whole_step, avg_integer_final},
    {"avg_double", 1, NULL, sum_double_step, avg_double_final},
    {"count", 0, NULL, NULL, NULL},
    {"min", 0, NULL, NULL, NULL},
    {"max", 0, NULL, NULL, NULL},
};

/* ---- the virtual table ---- */

struct scan_table {
    sqlite3_vtab base;
    struct select_cursor *cursor;
};

struct scan {
    sqlite3_vtab_cursor base;
    struct select_cursor *cursor;
    void *pass;
    const struct batch *batch; /* NULL at the end */
    size_t row;
    int64_t row_id;
};

static int scan_connect(sqlite3 *db, void *module_data, int count, const char *const *args,
                        sqlite3_vtab **ret_table, char **ret_error)
{
    (void)count;
    (void)args;
    (void)ret_error;
    struct select_cursor *cursor = module_data;
    const struct schema *schema = cursor->source.schema;
    BYTES_CLEANUP struct bytes sql = {0};
    bytes_append_text(&sql, "CREATE TABLE source(");
    for (size_t i = 0; i < schema->column_count + schema->partition_column_count; i++) {
        if (i > 0)
            bytes_append_u8(&sql, ',');
        identifier_print(query_column(schema, i)->name, &sql);
    }
    bytes_append(&sql, ")", 2);
    int rc = sqlite3_declare_vtab(db, (const char *)sql.data);
    if (rc != SQLITE_OK)
        return rc;
    struct scan_table *table = sqlite3_malloc(sizeof(*table));
    if (table == NULL)
        return SQLITE_NOMEM;
    *table = (struct scan_table){.cursor = cursor};
    *ret_table = &table->base;
    return SQLITE_OK;
}

static int scan_disconnect(sqlite3_vtab *table)
{
    sqlite3_free(table);
    return SQLITE_OK;
}

/* What a source can leave out it was told through select_scan; SQLite's constraints are not used. */
static int scan_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedCost = SCAN_COST;
    return SQLITE_OK;
}

static int scan_open(sqlite3_vtab *table, sqlite3_vtab_cursor **ret_scan)
{
    struct scan *scan = sqlite3_malloc(sizeof(*scan));
    if (scan == NULL)
        return SQLITE_NOMEM;
    *scan = (struct scan){.cursor = ((struct scan_table *)table)->cursor};
    *ret_scan = &scan->base;
    return SQLITE_OK;
}

static void scan_stop(struct scan *scan)
{
    if (scan->pass != NULL)
        scan->cursor->source.ops->close(scan->pass);
    scan->pass = NULL;
    scan->batch = NULL;
}

static int scan_close(sqlite3_vtab_cursor *base)
{
    scan_stop((struct scan *)base);
    sqlite3_free(base);
    return SQLITE_OK;
}

static int scan_fetch(struct scan *scan)
{
    struct select_cursor *cursor = scan->cursor;
    scan->row = 0;
    if (cursor->source.ops->next(scan->pass, &scan->batch, &cursor->err) != ERR_OK) {
        scan->batch = NULL;
        return SQLITE_ERROR;
    }
    ASSERT(scan->batch == NULL || scan->batch->rows > 0);
    ASSERT(scan->batch == NULL || scan->batch->vector_count == cursor->query->column_count);
    return SQLITE_OK;
}

static int scan_filter(sqlite3_vtab_cursor *base, int index, const char *index_text, int count,
                       sqlite3_value **args)
{
    (void)index;
    (void)index_text;
    (void)count;
    (void)args;
    struct scan *scan = (struct scan *)base;
    struct select_cursor *cursor = scan->cursor;
    const struct query *query = cursor->query;
    struct select_scan wanted = {.columns = query->columns,
                                 .column_count = query->column_count,
                                 .ranges = query->ranges,
                                 .range_count = query->range_count};
    scan_stop(scan);
    scan->row_id = 0;
    if (cursor->source.ops->open(cursor->source.table, &wanted, &scan->pass, &cursor->err) !=
        ERR_OK) {
        scan->pass = NULL;
        return SQLITE_ERROR;
    }
    return scan_fetch(scan);
}

static int scan_next(sqlite3_vtab_cursor *base)
{
    struct scan *scan = (struct scan *)base;
    scan->row_id++;
    if (++scan->row < scan->batch->rows)
        return SQLITE_OK;
    return scan_fetch(scan);
}

static int scan_eof(sqlite3_vtab_cursor *base)
{
    return ((const struct scan *)base)->batch == NULL;
}

static int scan_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    const struct scan *scan = (const struct scan *)base;
    size_t position = scan->cursor->positions[column];
    ASSERT(position != COLUMN_UNUSED);
    const struct vector *vector = &scan->batch->vectors[position];
    if (vector->valid[scan->row] == 0)
        sqlite3_result_null(context);
    else if (form_of(vector->type) == FORM_INTEGER)
        sqlite3_result_int64(context, vector->i64[scan->row]);
    else
        value_result(context, vector->type, vector_value(vector, scan->row));
    return SQLITE_OK;
}

static int scan_row_id(sqlite3_vtab_cursor *base, sqlite3_int64 *ret_id)
{
    *ret_id = ((const struct scan *)base)->row_id;
    return SQLITE_OK;
}

static const sqlite3_module scan_module = {
    .xCreate = scan_connect,
    .xConnect = scan_connect,
    .xBestIndex = scan_best_index,
    .xDisconnect = scan_disconnect,
    .xDestroy = scan_disconnect,
    .xOpen = scan_open,
    .xClose = scan_close,
    .xFilter = scan_filter,
    .xNext = scan_next,
    .xEof = scan_eof,
    .xColumn = scan_column,
    .xRowid = scan_row_id,
};

/* ---- the connection ---- */

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int on_progress(void *context)
{
    struct select_cursor *cursor = context;
    if (cursor->options.cancel != NULL && atomic_load(cursor->options.cancel))
        return 1;
    cursor->timed_out = cursor->deadline_ms != 0 && clock_ms() >= cursor->deadline_ms;
    return cursor->timed_out;
}

static int on_authorize(void *context, int action, const char *first, const char *second,
                        const char *database, const char *trigger)
{
    (void)database;
    (void)trigger;
    const struct select_cursor *cursor = context;
    if (action == SQLITE_SELECT)
        return SQLITE_OK;
    if (action == SQLITE_READ && first != NULL &&
        span_equal(span_text(first), cursor->query->table))
        return SQLITE_OK;
    for (size_t i = 0; action == SQLITE_FUNCTION && i < ARRAY_COUNT(allowed); i++) {
        if (second != NULL && strcmp(second, allowed[i].name) == 0)
            return SQLITE_OK;
    }
    return SQLITE_DENY;
}

/* What SQLite's result code means to the user. */
static enum err_code engine_failed(struct select_cursor *cursor, int rc, struct err *err)
{
    if (cursor->err.code != ERR_OK) {
        if (err != NULL)
            *err = cursor->err;
        return cursor->err.code;
    }
    switch (rc & 0xFF) {
    case SQLITE_INTERRUPT:
        if (cursor->timed_out)
            return err_set(err, ERR_TIMEOUT, "the query took longer than %" PRIu64 " ms",
                           cursor->options.time_ms_max);
        return err_set(err, ERR_CANCELLED, "the query was cancelled");
    case SQLITE_NOMEM:
        return err_set(err, ERR_NO_MEMORY, "the query needs more memory than there is");
    case SQLITE_FULL:
        return err_set(err, ERR_NO_SPACE, "no space for the query's temporary files");
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return err_set(err, ERR_IO, "the query's temporary files cannot be written");
    case SQLITE_TOOBIG:
        return err_set(err, ERR_LIMIT, "a value or the statement is too large");
    default:
        break;
    }
    const char *message = cursor->db == NULL ? "" : sqlite3_errmsg(cursor->db);
    if (strstr(message, "overflow") != NULL || strstr(message, "too ") != NULL)
        return err_set(err, ERR_LIMIT, "the statement is too complex: %s", message);
    return err_set(err, ERR_INTERNAL, "the query could not be run (%d): %s", rc, message);
}

static int functions_create(struct select_cursor *cursor)
{
    for (size_t i = 0; i < ARRAY_COUNT(allowed); i++) {
        const struct function *f = &allowed[i];
        if (f->call == NULL && f->step == NULL)
            continue;
        int rc = sqlite3_create_function(cursor->db, f->name, f->args,
                                         SQLITE_UTF8 | SQLITE_DETERMINISTIC, cursor, f->call,
                                         f->step, f->final);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}

static int connection_configure(sqlite3 *db)
{
    static const struct {
        int option;
        int value;
    } settings[] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
                    {SQLITE_DBCONFIG_DQS_DDL, 0},
                    {SQLITE_DBCONFIG_DQS_DML, 0},
                    {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                    {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
                    {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                    {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
        int rc = sqlite3_db_config(db, settings[i].option, settings[i].value, NULL);
        if (rc != SQLITE_OK)
            return rc;
    }
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
    char pragmas[96];
    snprintf(pragmas, sizeof(pragmas), "PRAGMA temp_store=FILE; PRAGMA cache_size=-%d",
             SORT_MEMORY_KIB);
    return sqlite3_exec(db, pragmas, NULL, NULL, NULL);
}

static int source_attach(struct select_cursor *cursor)
{
    BYTES_CLEANUP struct bytes sql = {0};
    if (!cursor->has_source)
        return SQLITE_OK;
    int rc = sqlite3_create_module(cursor->db, "source", &scan_module, cursor);
    if (rc != SQLITE_OK)
        return rc;
    bytes_append_text(&sql, "CREATE VIRTUAL TABLE ");
    identifier_print(cursor->query->table, &sql);
    bytes_append(&sql, " USING source", sizeof(" USING source"));
    return sqlite3_exec(cursor->db, (const char *)sql.data, NULL, NULL, NULL);
}

static int statement_prepare(struct select_cursor *cursor)
{
    const struct bytes *sql = &cursor->printed.sql;
    const char *tail = NULL;
    int rc = sqlite3_prepare_v2(cursor->db, (const char *)sql->data, (int)sql->len,
                                &cursor->statement, &tail);
    if (rc != SQLITE_OK)
        return rc;
    ASSERT(tail == (const char *)sql->data + sql->len);
    size_t count = cursor->printed.doubles.len / sizeof(double);
    for (size_t i = 0; i < count; i++) {
        double number;
        memcpy(&number, cursor->printed.doubles.data + i * sizeof(number), sizeof(number));
        rc = sqlite3_bind_double(cursor->statement, (int)i + 1, number);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}

static enum err_code cursor_connect(struct select_cursor *cursor, struct err *err)
{
    int rc = sqlite3_open_v2(":memory:", &cursor->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY |
                                 SQLITE_OPEN_NOMUTEX,
                             NULL);
    if (rc == SQLITE_OK)
        rc = connection_configure(cursor->db);
    if (rc == SQLITE_OK)
        rc = functions_create(cursor);
    if (rc == SQLITE_OK)
        rc = source_attach(cursor);
    if (rc == SQLITE_OK)
        rc = sqlite3_set_authorizer(cursor->db, on_authorize, cursor);
    if (rc == SQLITE_OK)
        rc = statement_prepare(cursor);
    if (rc != SQLITE_OK)
        return engine_failed(cursor, rc, err);
    sqlite3_progress_handler(cursor->db, PROGRESS_STEPS, on_progress, cursor);
    return ERR_OK;
}

/* ---- cursors ---- */

enum err_code select_start(const char *temp_dir, struct err *err)
{
    int rc = sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    if (rc == SQLITE_OK)
        rc = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (rc == SQLITE_OK)
        rc = sqlite3_initialize();
    if (rc == SQLITE_OK) {
        sqlite3_temp_directory = sqlite3_mprintf("%s", temp_dir);
        rc = sqlite3_temp_directory == NULL ? SQLITE_NOMEM : SQLITE_OK;
    }
    if (rc != SQLITE_OK)
        return err_set(err, ERR_INTERNAL, "queries cannot be started (%d)", rc);
    return ERR_OK;
}

/* What the table's columns and the result's look like from here. */
static void cursor_describe(struct select_cursor *cursor)
{
    const struct query *query = cursor->query;
    size_t width = 0;
    if (cursor->has_source)
        width = query->schema->column_count + query->schema->partition_column_count;
    cursor->positions = mem_calloc(width + 1, sizeof(*cursor->positions));
    for (size_t i = 0; i < width; i++)
        cursor->positions[i] = COLUMN_UNUSED;
    for (size_t i = 0; i < query->column_count; i++)
        cursor->positions[query->columns[i]] = i;
    cursor->columns = mem_calloc(query->item_count, sizeof(*cursor->columns));
    for (size_t i = 0; i < query->item_count; i++)
        cursor->columns[i] =
            (struct result_column){query->items[i].name, query->items[i].node->type};
}

static enum err_code cursor_open(struct select_cursor *cursor, const struct select *select,
                                 struct span text, struct err *err)
{
    if (select->has_from) {
        const struct select_catalog *catalog = cursor->options.catalog;
        TRY(catalog->find(catalog->context, &select->from, &cursor->source, err));
        cursor->has_source = true;
    }
    TRY(query_bind(select, text, cursor->has_source ? cursor->source.schema : NULL, &cursor->arena,
                   &cursor->query, err));
    TRY(query_print(cursor->query, &cursor->arena, &cursor->printed, err));
    cursor_describe(cursor);
    return cursor_connect(cursor, err);
}

enum err_code select_open(const struct select *select, struct span text,
                          const struct select_options *options, struct select_cursor **ret_cursor,
                          struct err *err)
{
    struct select_cursor *cursor = mem_calloc(1, sizeof(*cursor));
    cursor->options = *options;
    arena_init(&cursor->arena, BIND_ARENA_BYTES);
    arena_init(&cursor->scratch, SCRATCH_BYTES);
    enum err_code code = cursor_open(cursor, select, text, err);
    if (code != ERR_OK) {
        select_close(cursor);
        return code;
    }
    *ret_cursor = cursor;
    return ERR_OK;
}

const struct result_column *select_columns(const struct select_cursor *cursor, size_t *ret_count)
{
    *ret_count = cursor->query->item_count;
    return cursor->columns;
}

void select_batch_init(const struct select_cursor *cursor, struct batch *batch)
{
    size_t count = cursor->query->item_count;
    MEM_CLEANUP struct type *types = mem_calloc(count, sizeof(*types));
    for (size_t i = 0; i < count; i++)
        types[i] = cursor->columns[i].type;
    batch_init_types(batch, types, count);
}

/* Returns the row's plain bytes. */
static size_t row_append(struct select_cursor *cursor, struct batch *batch)
{
    size_t bytes = 0;
    for (size_t i = 0; i < batch->vector_count; i++) {
        struct vector *vector = &batch->vectors[i];
        vector_append(vector,
                      value_load(sqlite3_column_value(cursor->statement, (int)i), vector->type));
        bytes += vector_plain_bytes(vector, batch->rows);
    }
    batch->rows++;
    return bytes;
}

static int rows_fetch(struct select_cursor *cursor, size_t bytes_max, struct batch *batch)
{
    size_t bytes = 0;
    while (bytes < bytes_max || batch->rows == 0) {
        int rc = sqlite3_step(cursor->statement);
        if (rc != SQLITE_ROW) {
            cursor->end = rc == SQLITE_DONE;
            return rc == SQLITE_DONE ? SQLITE_OK : rc;
        }
        bytes += row_append(cursor, batch);
    }
    return SQLITE_OK;
}

enum err_code select_next(struct select_cursor *cursor, size_t bytes_max, struct batch *batch,
                          bool *ret_end, struct err *err)
{
    batch_clear(batch);
    uint64_t start_ms = clock_ms();
    uint64_t time_ms_max = cursor->options.time_ms_max;
    cursor->deadline_ms = 0;
    if (time_ms_max > 0) /* the caller's own time between calls does not count */
        cursor->deadline_ms = start_ms + time_ms_max -
                              (cursor->used_ms < time_ms_max ? cursor->used_ms : time_ms_max);
    if (!cursor->end) {
        int rc = rows_fetch(cursor, bytes_max, batch);
        if (rc != SQLITE_OK)
            return engine_failed(cursor, rc, err);
    }
    cursor->used_ms += clock_ms() - start_ms;
    *ret_end = cursor->end;
    return ERR_OK;
}

void select_close(struct select_cursor *cursor)
{
    if (cursor == NULL)
        return;
    sqlite3_finalize(cursor->statement);
    int rc = sqlite3_close(cursor->db);
    ASSERT(rc == SQLITE_OK);
    if (cursor->has_source) {
        const struct select_catalog *catalog = cursor->options.catalog;
        catalog->release(catalog->context, &cursor->source);
    }
    printed_deinit(&cursor->printed);
    mem_free(cursor->positions);
    mem_free(cursor->columns);
    arena_deinit(&cursor->scratch);
    arena_deinit(&cursor->arena);
    mem_free(cursor);
}
