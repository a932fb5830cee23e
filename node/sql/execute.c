/* Running a bound query: the only file that knows SQLite.
 *
 * One connection a cursor, in memory, with one virtual table for each place where a table stands in
 * a FROM; those of one table read from one pinned source. The authorizer lets through what the printer
 * names and the functions of `allowed`; nothing can be written, attached or loaded. Forms of values:
 * form.h.
 * Errors of the source and of our functions are kept in the cursor, and SQLite is only told that there
 * was one. Its own messages never leave this file by name.
 */
#include "node/sql/select.h"

#include <sqlite3.h>

#include "node/sql/aggregate.h"
#include "node/sql/bind.h"
#include "node/sql/evaluate.h"
#include "node/sql/form.h"
#include "node/sql/lexer.h"
#include "node/sql/meter.h"
#include "node/sql/pass.h"
#include "node/sql/pattern.h"
#include "node/sql/print.h"
#include "node/sql/resources.h"
#include "node/sql/slots.h"
#include "node/sql/summary.h"
#include "node/sql/whole_sum.h"
#include "proto/limits.h"

#define SCRATCH_BYTES      (8 * LIMIT_CELL_BYTES)
#define SORT_MEMORY_KIB    65536 /* then sorts go to temporary files */
#define SORT_MEMORY_PART   16
#define PAGE_BYTES         4096 /* SQLite's default */
#define CACHE_STEP_PAGES   256
#define CACHE_STEP_PART    8
#define PAGE_CREATE_EASILY 1     /* of xFetch: only if no page needs to be written for it */
#define PROGRESS_STEPS     20000 /* between two looks at cancel and the clock: below a millisecond */
#define SCAN_COST          1e7
#define SCAN_ROWS          1000 /* supposed: so few that SQLite indexes even what it reads once */

struct select_cursor {
    struct select_options options;
    struct bytes text; /* the statement: errors of its rows say where */
    struct pins pins;
    struct arena arena;   /* the queries */
    struct arena scratch; /* of one call of "evaluate" */
    struct patterns *patterns;
    struct query_list list;
    struct printed printed;
    struct result_column *columns;
    size_t column_count;
    sqlite3 *db;
    sqlite3_stmt *statement;
    bool end;
    struct meter meter;
    struct err err; /* the first of the source and of our functions */
    struct resources resources;
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

/* As the binder says it of constants (binder_fail). */
static void error_place(struct select_cursor *cursor, uint32_t at)
{
    const struct err cause = cursor->err;
    struct position position = position_find(bytes_span(&cursor->text), at);
    err_set(&cursor->err, cause.code, "line %u, column %u: %s", position.line, position.column,
            cause.message);
}

/* "pack"(program, first slot, slots...) */
static void function_pack(sqlite3_context *context, int count, sqlite3_value **args)
{
    const struct select_cursor *cursor = sqlite3_user_data(context);
    const struct program *program =
        printed_program(&cursor->printed, (size_t)sqlite3_value_int64(args[0]));
    size_t first = (size_t)sqlite3_value_int64(args[1]);
    BYTES_CLEANUP struct bytes packed = {0};
    ASSERT(first + (size_t)count - 2 <= program->slot_count);
    for (int i = 2; i < count; i++) {
        struct type type = program->slots[first + (size_t)i - 2]->type;
        slot_pack(type, value_load(args[i], type), &packed);
    }
    sqlite3_result_blob64(context, packed.data, packed.len, SQLITE_TRANSIENT);
}

/* Texts borrow from the arguments. */
static void slots_load(const struct program *program, int count, sqlite3_value **args,
                       struct value *ret_slots)
{
    size_t slot = 0;
    for (; slot < program->slot_count && slot < PROGRAM_DIRECT_SLOTS; slot++)
        ret_slots[slot] = value_load(args[slot], program->slots[slot]->type);
    for (int i = PROGRAM_DIRECT_SLOTS; i < count; i++) {
        struct span packed =
            span_of(sqlite3_value_blob(args[i]), (size_t)sqlite3_value_bytes(args[i]));
        for (; packed.len > 0; slot++)
            ret_slots[slot] = slot_unpack(program->slots[slot]->type, &packed);
    }
    ASSERT(slot == program->slot_count);
}

static void function_evaluate(sqlite3_context *context, int count, sqlite3_value **args)
{
    struct select_cursor *cursor = sqlite3_user_data(context);
    const struct program *program =
        printed_program(&cursor->printed, (size_t)sqlite3_value_int64(args[0]));
    struct value slots[PROGRAM_SLOTS_MAX];
    slots_load(program, count - 1, args + 1, slots);
    struct evaluation evaluation = {
        .slots = slots, .scratch = &cursor->scratch, .patterns = cursor->patterns};
    struct value value;
    if (node_evaluate(program->root, &evaluation, &value, &cursor->err) == ERR_OK) {
        value_result(context, program->root->type, value);
    } else {
        if (cursor->err.code != ERR_CANCELLED && cursor->err.code != ERR_TIMEOUT)
            error_place(cursor, program->root->at);
        function_fail(context);
    }
    if (cursor->scratch.used_bytes > 0)
        arena_reset(&cursor->scratch);
}

static void sum_step(sqlite3_context *context, int count, sqlite3_value **args)
{
    (void)count;
    struct whole_sum *sum = sqlite3_aggregate_context(context, sizeof(*sum));
    int kind = sqlite3_value_type(args[0]);
    if (sum == NULL || kind == SQLITE_NULL)
        return;
    whole_sum_add(sum, kind == SQLITE_INTEGER ? sqlite3_value_int64(args[0])
                                              : wide_decimal_load(sqlite3_value_blob(args[0])));
}

static void sum_finish(sqlite3_context *context, struct type type)
{
    struct select_cursor *cursor = sqlite3_user_data(context);
    const struct whole_sum *sum = sqlite3_aggregate_context(context, 0);
    struct value value = {.null = true};
    if (sum != NULL && sum->count > 0 && whole_sum_get(sum, type, &value, &cursor->err) != ERR_OK)
        function_fail(context);
    else
        value_result(context, type, value);
}

static void sum_integer_final(sqlite3_context *context)
{
    sum_finish(context, (struct type){.kind = TYPE_BIGINT});
}

static void sum_decimal_final(sqlite3_context *context)
{
    sum_finish(context, (struct type){TYPE_DECIMAL, 38, 0}); /* unscaled: any scale */
}

static void count_rows_final(sqlite3_context *context)
{
    const struct whole_sum *sum = sqlite3_aggregate_context(context, 0);
    sqlite3_result_int64(context, sum == NULL ? 0 : (int64_t)sum->sum);
}

static void avg_integer_final(sqlite3_context *context)
{
    const struct whole_sum *sum = sqlite3_aggregate_context(context, 0);
    struct value value = {.null = sum == NULL || sum->count == 0};
    if (!value.null)
        value.f64 = whole_sum_average(sum);
    value_result(context, (struct type){.kind = TYPE_DOUBLE}, value);
}

/* ---- aggregates with a state of their own ---- */

struct aggregate_call {
    struct select_cursor *cursor;
    const struct node *node;
};

static void aggregate_call_step(sqlite3_context *context, int count, sqlite3_value **args)
{
    const struct aggregate_call *call = sqlite3_user_data(context);
    struct aggregate_state **state = sqlite3_aggregate_context(context, sizeof(*state));
    struct value values[1 + WITHIN_KEYS_MAX];
    ASSERT((size_t)count == call->node->arg_count);
    if (state == NULL)
        return;
    if (*state == NULL)
        *state = aggregate_new(call->node);
    for (int i = 0; i < count; i++)
        values[i] = value_load(args[i], call->node->args[i]->type);
    if (aggregate_step(*state, values, &call->cursor->err) != ERR_OK)
        function_fail(context);
}

/* Called for every state, of a query that was given up too. */
static void aggregate_call_final(sqlite3_context *context)
{
    const struct aggregate_call *call = sqlite3_user_data(context);
    struct aggregate_state **state = sqlite3_aggregate_context(context, 0);
    struct value value = {.null = true};
    enum err_code code = ERR_OK;
    if (state != NULL && *state != NULL) {
        code = call->cursor->err.code;
        if (code == ERR_OK)
            code = aggregate_final(*state, &call->cursor->scratch, &value, &call->cursor->err);
        aggregate_free(*state);
    }
    if (code == ERR_OK)
        value_result(context, call->node->type, value);
    else
        function_fail(context);
    if (call->cursor->scratch.used_bytes > 0)
        arena_reset(&call->cursor->scratch);
}

/* The one value of a subquery. */
struct single {
    sqlite3_value *value; /* owned */
};

static void single_step(sqlite3_context *context, int count, sqlite3_value **args)
{
    (void)count;
    struct single *single = sqlite3_aggregate_context(context, sizeof(*single));
    if (single == NULL)
        return;
    if (single->value == NULL) {
        single->value = sqlite3_value_dup(args[0]);
        if (single->value == NULL)
            sqlite3_result_error_nomem(context);
        return;
    }
    struct select_cursor *cursor = sqlite3_user_data(context);
    if (err_set(&cursor->err, ERR_SEMANTIC,
                "%s: a subquery that stands for a value has more than one row",
                (const char *)sqlite3_value_text(args[1])))
        function_fail(context);
}

/* Called after an error, too. */
static void single_final(sqlite3_context *context)
{
    struct single *single = sqlite3_aggregate_context(context, 0);
    if (single == NULL || single->value == NULL)
        return;
    sqlite3_result_value(context, single->value);
    sqlite3_value_free(single->value);
    single->value = NULL;
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
    {"pack", -1, function_pack, NULL, NULL},
    {"count_rows", 1, NULL, sum_step, count_rows_final},
    {"sum_integer", 1, NULL, sum_step, sum_integer_final},
    {"sum_decimal", 1, NULL, sum_step, sum_decimal_final},
    {"avg_integer", 1, NULL, sum_step, avg_integer_final},
    {"single", 2, NULL, single_step, single_final},
    {"coalesce", 0, NULL, NULL, NULL},
    {"count", 0, NULL, NULL, NULL},
    {"min", 0, NULL, NULL, NULL},
    {"max", 0, NULL, NULL, NULL},
};

/* ---- the virtual table ---- */

struct scan_table {
    sqlite3_vtab base;
    struct select_cursor *cursor;
    const struct relation *relation;
};

struct scan {
    sqlite3_vtab_cursor base;
    struct select_cursor *cursor;
    struct pass pass;
};

/* Behind the columns that are used: how many rows a row stands for, and how many values in each. */
static void columns_declare(const struct relation *relation, struct bytes *sql)
{
    for (size_t i = 0; i < relation->column_count; i++)
        bytes_printf(sql, "\"c%zu\",", relation->columns[i]);
    bytes_append_text(sql, "\"none\"");
    for (size_t i = 0; relation->summarised && i < relation->column_count; i++)
        bytes_printf(sql, ",\"n%zu\"", relation->columns[i]);
}

/* args[3]: the number of the table in the list. Declares the columns that are used. */
static int scan_connect(sqlite3 *db, void *module_data, int count, const char *const *args,
                        sqlite3_vtab **ret_table, char **ret_error)
{
    (void)ret_error;
    ASSERT(count == 4);
    struct select_cursor *cursor = module_data;
    size_t number = strtoul(args[3], NULL, 10);
    ASSERT(number < cursor->list.table_count);
    const struct relation *relation = cursor->list.tables[number];
    BYTES_CLEANUP struct bytes sql = {0};
    bytes_append_text(&sql, "CREATE TABLE source(");
    columns_declare(relation, &sql);
    bytes_append_u8(&sql, ')');
    bytes_append_u8(&sql, 0);
    int rc = sqlite3_declare_vtab(db, (const char *)sql.data);
    if (rc != SQLITE_OK)
        return rc;
    struct scan_table *table = sqlite3_malloc(sizeof(*table));
    if (table == NULL)
        return SQLITE_NOMEM;
    *table = (struct scan_table){.cursor = cursor, .relation = relation};
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
    info->estimatedRows = SCAN_ROWS;
    return SQLITE_OK;
}

static int scan_open(sqlite3_vtab *table, sqlite3_vtab_cursor **ret_scan)
{
    struct scan *scan = sqlite3_malloc(sizeof(*scan));
    if (scan == NULL)
        return SQLITE_NOMEM;
    const struct scan_table *from = (const struct scan_table *)table;
    *scan = (struct scan){.cursor = from->cursor, .pass.relation = from->relation};
    *ret_scan = &scan->base;
    return SQLITE_OK;
}

static int scan_close(sqlite3_vtab_cursor *base)
{
    pass_stop(&((struct scan *)base)->pass);
    sqlite3_free(base);
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
    return pass_start(&scan->pass, &scan->cursor->err) == ERR_OK ? SQLITE_OK : SQLITE_ERROR;
}

static int scan_next(sqlite3_vtab_cursor *base)
{
    struct scan *scan = (struct scan *)base;
    return pass_next(&scan->pass, &scan->cursor->err) == ERR_OK ? SQLITE_OK : SQLITE_ERROR;
}

static int scan_eof(sqlite3_vtab_cursor *base)
{
    return pass_at_end(&((const struct scan *)base)->pass);
}

/* A summary's first row counts for all of them; another row for itself. */
static enum err_code count_column(struct scan *scan, size_t column, int64_t *ret_count)
{
    struct pass *pass = &scan->pass;
    const struct relation *relation = pass->relation;
    size_t of = column - relation->column_count; /* 0: rows; else values in column of - 1 */
    const struct vector *vector;
    *ret_count = 1;
    if (relation->counted) {
        *ret_count = (int64_t)pass->batch->rows;
    } else if (pass->summary != NULL) {
        uint64_t nulls = of == 0 ? 0 : pass->summary[of - 1].null_count;
        *ret_count = pass->row > 0 ? 0 : (int64_t)(pass->batch->rows - nulls);
    } else if (of > 0) {
        TRY(pass_vector(pass, of - 1, &vector, &scan->cursor->err));
        *ret_count = vector->valid[pass->row];
    }
    return ERR_OK;
}

static int scan_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    struct scan *scan = (struct scan *)base;
    struct pass *pass = &scan->pass;
    if ((size_t)column >= pass->relation->column_count) {
        int64_t count;
        if (count_column(scan, (size_t)column, &count) != ERR_OK)
            return SQLITE_ERROR;
        sqlite3_result_int64(context, count);
        return SQLITE_OK;
    }
    if (pass->summary != NULL) {
        const struct select_summary *summary = &pass->summary[column];
        value_result(context, summary->type, summary_value(summary, pass->row));
        return SQLITE_OK;
    }
    const struct vector *vector;
    if (pass_vector(pass, (size_t)column, &vector, &scan->cursor->err) != ERR_OK)
        return SQLITE_ERROR;
    if (vector->valid[pass->row] == 0)
        sqlite3_result_null(context);
    else if (form_of(vector->type) == FORM_INTEGER)
        sqlite3_result_int64(context, vector->i64[pass->row]);
    else
        value_result(context, vector->type, vector_value(vector, pass->row));
    return SQLITE_OK;
}

static int scan_row_id(sqlite3_vtab_cursor *base, sqlite3_int64 *ret_id)
{
    *ret_id = ((const struct scan *)base)->pass.row_number;
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

static int on_progress(void *context)
{
    return meter_is_over(&((struct select_cursor *)context)->meter);
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
        table_name_is_known(&cursor->list, span_text(first)))
        return SQLITE_OK;
    for (size_t i = 0; action == SQLITE_FUNCTION && i < ARRAY_COUNT(allowed); i++) {
        if (second != NULL && strcmp(second, allowed[i].name) == 0)
            return SQLITE_OK;
    }
    if (action == SQLITE_FUNCTION && second != NULL &&
        strncmp(second, AGGREGATE_PREFIX, strlen(AGGREGATE_PREFIX)) == 0)
        return SQLITE_OK;
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
    TRY(resources_check(&cursor->resources, err));
    switch (rc & 0xFF) {
    case SQLITE_INTERRUPT:
        return meter_over(&cursor->meter, err);
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
    if (strstr(message, "overflow") != NULL || strstr(message, "too ") != NULL ||
        strstr(message, "at most") != NULL)
        return err_set(err, ERR_LIMIT, "the statement is too complex: %s", message);
    return err_set(err, ERR_INTERNAL, "the query could not be run (%d): %s", rc, message);
}

static int aggregates_create(struct select_cursor *cursor)
{
    size_t count = printed_aggregate_count(&cursor->printed);
    struct aggregate_call *calls = arena_alloc(&cursor->arena, count + 1, sizeof(*calls));
    if (calls == NULL)
        return SQLITE_NOMEM;
    for (size_t i = 0; i < count; i++) {
        char name[AGGREGATE_NAME_BYTES];
        snprintf(name, sizeof(name), AGGREGATE_NAME, i);
        calls[i] = (struct aggregate_call){cursor, printed_aggregate(&cursor->printed, i)};
        int rc = sqlite3_create_function(cursor->db, name, (int)calls[i].node->arg_count,
                                         SQLITE_UTF8 | SQLITE_DETERMINISTIC, &calls[i], NULL,
                                         aggregate_call_step, aggregate_call_final);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
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
    return aggregates_create(cursor);
}

static int sort_memory_kib(const struct select_limits *limits)
{
    uint64_t part = limits->memory_bytes_max / SORT_MEMORY_PART / KIB(1);
    return part == 0 || part > SORT_MEMORY_KIB ? SORT_MEMORY_KIB : (int)part;
}

static int connection_configure(sqlite3 *db, const struct select_limits *limits)
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
             sort_memory_kib(limits));
    return sqlite3_exec(db, pragmas, NULL, NULL, NULL);
}

static int tables_create(struct select_cursor *cursor)
{
    BYTES_CLEANUP struct bytes sql = {0};
    int rc = sqlite3_create_module(cursor->db, "source", &scan_module, cursor);
    for (size_t i = 0; rc == SQLITE_OK && i < cursor->list.table_count; i++) {
        bytes_clear(&sql);
        bytes_append_text(&sql, "CREATE VIRTUAL TABLE ");
        table_name_print(cursor->list.tables[i], &sql);
        bytes_printf(&sql, " USING source(%zu)", i);
        bytes_append_u8(&sql, 0);
        rc = sqlite3_exec(cursor->db, (const char *)sql.data, NULL, NULL, NULL);
    }
    return rc;
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
        rc = connection_configure(cursor->db, &cursor->options.limits);
    if (rc == SQLITE_OK)
        rc = functions_create(cursor);
    if (rc == SQLITE_OK)
        rc = tables_create(cursor);
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

/* Temporary files are written by functions that count them. Not every build of SQLite has all of
 * these: those that it lacks are not called. */
static int files_count(void)
{
    static const struct {
        const char *name;
        sqlite3_syscall_ptr call;
    } calls[] = {
        {"write", (sqlite3_syscall_ptr)resources_write},
        {"pwrite", (sqlite3_syscall_ptr)resources_pwrite},
        {"pwrite64", (sqlite3_syscall_ptr)resources_pwrite},
        {"fallocate", (sqlite3_syscall_ptr)resources_fallocate},
        {"ftruncate", (sqlite3_syscall_ptr)resources_ftruncate},
        {"close", (sqlite3_syscall_ptr)resources_close},
    };
    sqlite3_vfs *files = sqlite3_vfs_find(NULL);
    if (files == NULL || files->iVersion < 3)
        return SQLITE_ERROR;
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        int rc = files->xSetSystemCall(files, calls[i].name, calls[i].call);
        if (rc != SQLITE_OK && rc != SQLITE_NOTFOUND)
            return rc;
    }
    return SQLITE_OK;
}

/* SQLite keeps 2 MiB of each temporary table and index in memory, which no pragma changes: a join
 * then reads and writes a page for each row. Here a cache that would have to write a page grows
 * instead, while the query's memory allows. */
static sqlite3_pcache_methods2 page_cache; /* SQLite's own */

static sqlite3_pcache_page *page_fetch(sqlite3_pcache *cache, unsigned key, int create)
{
    sqlite3_pcache_page *page = page_cache.xFetch(cache, key, create);
    if (page != NULL || create != PAGE_CREATE_EASILY ||
        !resources_may_keep(CACHE_STEP_PAGES * PAGE_BYTES))
        return page;
    int pages = page_cache.xPagecount(cache); /* nine tenths of the size may be unwritten */
    page_cache.xCachesize(cache, pages + pages / CACHE_STEP_PART + CACHE_STEP_PAGES);
    return page_cache.xFetch(cache, key, create);
}

static int page_cache_replace(void)
{
    int rc = sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &page_cache);
    sqlite3_pcache_methods2 growing = page_cache;
    growing.xFetch = page_fetch;
    return rc == SQLITE_OK ? sqlite3_config(SQLITE_CONFIG_PCACHE2, &growing) : rc;
}

enum err_code select_start(const char *temp_dir, struct err *err)
{
    static const sqlite3_mem_methods memory = {.xMalloc = resources_malloc,
                                               .xFree = resources_free,
                                               .xRealloc = resources_realloc,
                                               .xSize = resources_size,
                                               .xRoundup = resources_roundup,
                                               .xInit = resources_init,
                                               .xShutdown = resources_shutdown};
    int rc = sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    if (rc == SQLITE_OK)
        rc = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (rc == SQLITE_OK)
        rc = sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
    if (rc == SQLITE_OK)
        rc = page_cache_replace();
    if (rc == SQLITE_OK)
        rc = sqlite3_initialize();
    if (rc == SQLITE_OK)
        rc = files_count();
    if (rc == SQLITE_OK) {
        sqlite3_temp_directory = sqlite3_mprintf("%s", temp_dir);
        rc = sqlite3_temp_directory == NULL ? SQLITE_NOMEM : SQLITE_OK;
    }
    if (rc != SQLITE_OK)
        return err_set(err, ERR_INTERNAL, "queries cannot be started (%d)", rc);
    return ERR_OK;
}

static void cursor_describe(struct select_cursor *cursor)
{
    const struct query *query = cursor->list.queries[cursor->list.count - 1];
    cursor->column_count = query->item_count;
    cursor->columns = mem_calloc(query->item_count, sizeof(*cursor->columns));
    for (size_t i = 0; i < query->item_count; i++)
        cursor->columns[i] =
            (struct result_column){query->items[i].name, query->items[i].node->type};
}

static enum err_code cursor_open(struct select_cursor *cursor, const struct select *select,
                                 struct span text, struct err *err)
{
    struct bind_rules rules = {text, cursor->options.mode, cursor->options.now_ms};
    cursor->pins.catalog = cursor->options.catalog;
    TRY(query_bind(select, &rules, &cursor->pins, &cursor->arena, &cursor->list, err));
    TRY(query_print(&cursor->list, &cursor->arena, &cursor->printed, err));
    cursor_describe(cursor);
    return cursor_connect(cursor, err);
}

enum err_code select_open(const struct select *select, struct span text,
                          const struct select_options *options, struct select_cursor **ret_cursor,
                          struct err *err)
{
    struct select_cursor *cursor = mem_calloc(1, sizeof(*cursor));
    cursor->options = *options;
    bytes_append_span(&cursor->text, text);
    cursor->meter = (struct meter){.limits = options->limits, .cancel = options->cancel};
    arena_init(&cursor->arena, BIND_ARENA_BYTES);
    arena_init(&cursor->scratch, SCRATCH_BYTES);
    cursor->patterns = patterns_new(&cursor->meter);
    cursor->resources =
        (struct resources){.memory_bytes_max = (int64_t)options->limits.memory_bytes_max,
                           .temp_bytes_max = (int64_t)options->limits.temp_bytes_max,
                           .disk_reserve_bytes = (int64_t)options->limits.disk_reserve_bytes};
    struct resources *before = resources_enter(&cursor->resources);
    enum err_code code = cursor_open(cursor, select, text, err);
    resources_leave(before);
    if (code != ERR_OK) {
        select_close(cursor);
        return code;
    }
    *ret_cursor = cursor;
    return ERR_OK;
}

const struct result_column *select_columns(const struct select_cursor *cursor, size_t *ret_count)
{
    *ret_count = cursor->column_count;
    return cursor->columns;
}

void select_batch_init(const struct select_cursor *cursor, struct batch *batch)
{
    size_t count = cursor->column_count;
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
    meter_row(&cursor->meter, bytes);
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
    meter_begin(&cursor->meter);
    if (!cursor->end) {
        struct resources *before = resources_enter(&cursor->resources);
        int rc = rows_fetch(cursor, bytes_max, batch);
        resources_leave(before);
        if (rc != SQLITE_OK)
            return engine_failed(cursor, rc, err);
        TRY(meter_result_check(&cursor->meter, err));
    }
    meter_end(&cursor->meter);
    *ret_end = cursor->end;
    return ERR_OK;
}

void select_close(struct select_cursor *cursor)
{
    if (cursor == NULL)
        return;
    struct resources *before = resources_enter(&cursor->resources);
    sqlite3_finalize(cursor->statement);
    int rc = sqlite3_close(cursor->db);
    patterns_free(cursor->patterns);
    resources_end(&cursor->resources);
    resources_leave(before);
    ASSERT(rc == SQLITE_OK);
    pins_release(&cursor->pins);
    printed_deinit(&cursor->printed);
    mem_free(cursor->columns);
    bytes_deinit(&cursor->text);
    arena_deinit(&cursor->scratch);
    arena_deinit(&cursor->arena);
    mem_free(cursor);
}
