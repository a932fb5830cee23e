#include "node/answer.h"

void answer_init(struct answer *answer)
{
    memset(answer, 0, sizeof(*answer));
    arena_init(&answer->arena, ANSWER_ARENA_BYTES);
}

void answer_deinit(struct answer *answer)
{
    if (answer->stream.context != NULL)
        answer->stream.close(answer->stream.context);
    if (answer->wait.context != NULL)
        answer->wait.close(answer->wait.context);
    if (answer->column_count > 0)
        batch_deinit(&answer->rows);
    arena_deinit(&answer->arena);
    memset(answer, 0, sizeof(*answer));
}

void answer_set_columns(struct answer *answer, const struct column *columns, size_t count)
{
    ASSERT(answer->column_count == 0 && count > 0);
    answer->columns = arena_alloc(&answer->arena, count, sizeof(*answer->columns));
    ASSERT(answer->columns != NULL); /* fresh arena; counts and names are limited */
    for (size_t i = 0; i < count; i++) {
        answer->columns[i] = (struct column){
            .id = (uint32_t)i + 1,
            .name = arena_copy(&answer->arena, columns[i].name),
            .type = columns[i].type,
            .not_null = columns[i].not_null,
        };
        ASSERT(answer->columns[i].name.data != NULL);
    }
    answer->column_count = count;
    struct schema schema = operator_schema(answer->columns, count);
    batch_init(&answer->rows, &schema);
}

void answer_columns(struct answer *answer, const struct answer_column *columns, size_t count)
{
    struct column *full = mem_calloc(count, sizeof(*full));
    for (size_t i = 0; i < count; i++) {
        full[i].name = span_text(columns[i].name);
        full[i].type.kind = columns[i].kind;
        full[i].not_null = columns[i].not_null;
    }
    answer_set_columns(answer, full, count);
    mem_free(full);
}

static void cell_add(struct answer *answer, struct value value)
{
    ASSERT(answer->column_count > 0);
    vector_append(&answer->rows.vectors[answer->next_cell], value);
    answer->next_cell++;
    if (answer->next_cell == answer->column_count) {
        answer->next_cell = 0;
        answer->rows.rows++;
    }
}

static enum type_kind cell_kind(const struct answer *answer)
{
    return answer->columns[answer->next_cell].type.kind;
}

void answer_add_text(struct answer *answer, struct span text)
{
    ASSERT(cell_kind(answer) == TYPE_STRING);
    cell_add(answer, (struct value){.text = text});
}

void answer_add_number(struct answer *answer, uint64_t number)
{
    ASSERT(cell_kind(answer) == TYPE_BIGINT);
    cell_add(answer, (struct value){.i64 = number > INT64_MAX ? INT64_MAX : (int64_t)number});
}

void answer_add_real(struct answer *answer, double number)
{
    ASSERT(cell_kind(answer) == TYPE_DOUBLE);
    cell_add(answer, (struct value){.f64 = number});
}

void answer_add_boolean(struct answer *answer, bool yes)
{
    ASSERT(cell_kind(answer) == TYPE_BOOLEAN);
    cell_add(answer, (struct value){.i64 = yes});
}

void answer_add_time(struct answer *answer, uint64_t time_ms)
{
    ASSERT(cell_kind(answer) == TYPE_DATETIME);
    cell_add(answer, (struct value){.null = time_ms == 0, .i64 = (int64_t)time_ms});
}

void answer_add_null(struct answer *answer)
{
    cell_add(answer, (struct value){.null = true});
}

void answer_add_text_or_null(struct answer *answer, struct span text)
{
    if (text.len == 0)
        answer_add_null(answer);
    else
        answer_add_text(answer, text);
}

/* ---- rows, then an error ---- */

#define FAILURE_ROWS 64 /* between two looks at the bytes */

struct failure {
    struct batch rows;
    size_t given;
    struct err err;
};

static enum err_code failure_next(void *context, size_t bytes_max, struct batch *batch,
                                  bool *ret_end, struct err *err)
{
    struct failure *failure = context;
    size_t left = failure->rows.rows - failure->given;
    *ret_end = false;
    if (left == 0)
        return err_set(err, failure->err.code, "%s", failure->err.message);
    while (left > 0 && batch_memory_bytes(batch) < bytes_max / 4) {
        size_t rows = left < FAILURE_ROWS ? left : FAILURE_ROWS;
        batch_append_range(batch, &failure->rows, failure->given, rows);
        failure->given += rows;
        left -= rows;
    }
    return ERR_OK;
}

static void failure_close(void *context)
{
    struct failure *failure = context;
    batch_deinit(&failure->rows);
    mem_free(failure);
}

void answer_fail_after(struct answer *answer, enum err_code code, const char *format, ...)
{
    struct failure *failure = mem_calloc(1, sizeof(*failure));
    const struct schema schema = {.columns = answer->columns, .column_count = answer->column_count};
    va_list args;
    ASSERT(answer->column_count > 0 && answer->next_cell == 0 && answer->stream.context == NULL);
    va_start(args, format);
    (void)err_vset(&failure->err, code, format, args);
    va_end(args);
    batch_init(&failure->rows, &schema);
    batch_append_range(&failure->rows, &answer->rows, 0, answer->rows.rows);
    batch_clear(&answer->rows);
    answer->stream = (struct answer_stream){failure_next, failure_close, failure};
}

/* ---- text ---- */

enum err_code answer_set_display(struct answer *answer, struct span text, struct err *err)
{
    struct span copy = arena_copy(&answer->arena, text);
    if (copy.data == NULL || text.len > LIMIT_DISPLAY_BYTES)
        return err_set(err, ERR_LIMIT, "the result's text has %zu bytes, at most %zu", text.len,
                       LIMIT_DISPLAY_BYTES);
    answer->display = copy;
    return ERR_OK;
}

void answer_set_notice(struct answer *answer, const char *format, ...)
{
    BYTES_CLEANUP struct bytes text = {0};
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    bytes_append_text(&text, line);
    struct span copy = arena_copy(&answer->arena, bytes_span(&text));
    if (copy.data != NULL && span_is_utf8(copy))
        answer->notice = copy;
}
