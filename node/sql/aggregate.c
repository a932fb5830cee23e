#include "node/sql/aggregate.h"

#include "node/sql/decimal.h"
#include "node/sql/exact_sum.h"
#include "node/sql/text_sum.h"
#include "proto/limits.h"

struct aggregate_state {
    const struct node *node;
    uint64_t count;
    struct exact_sum sum;     /* SUM, AVG of DOUBLE */
    struct text_sum text_sum; /* of STRING */
    double mean;              /* VARIANCE, STDDEV */
    double squares;           /* of distances from the mean */
    struct bytes numbers;     /* MEDIAN: double, or decimal128 */
    struct bytes rows;        /* WM_CONCAT in order: node->arg_count values each, see row_add */
    struct bytes texts;       /* WM_CONCAT: of the rows; without order the result */
};

struct aggregate_row {
    enum err_code (*step)(struct aggregate_state *state, const struct value *args, struct err *err);
    enum err_code (*final)(struct aggregate_state *state, struct arena *scratch,
                           struct value *ret_value, struct err *err);
};

static enum err_code memory_check(const struct aggregate_state *state, struct err *err)
{
    size_t bytes = state->numbers.len + state->rows.len + state->texts.len;
    if (bytes <= LIMIT_AGGREGATE_BYTES)
        return ERR_OK;
    return err_set(err, ERR_LIMIT, "an aggregate of one group holds more than %zu bytes",
                   LIMIT_AGGREGATE_BYTES);
}

/* ---- SUM, AVG of DOUBLE ---- */

static enum err_code sum_step(struct aggregate_state *state, const struct value *args,
                              struct err *err)
{
    (void)err;
    exact_sum_add(&state->sum, args[0].f64);
    return ERR_OK;
}

static enum err_code sum_final(struct aggregate_state *state, struct arena *scratch,
                               struct value *ret_value, struct err *err)
{
    (void)scratch;
    (void)err;
    double sum = exact_sum_get(&state->sum);
    bool average = state->node->aggregate == AGGREGATE_AVG;
    *ret_value = (struct value){.f64 = average ? sum / (double)state->count : sum};
    return ERR_OK;
}

/* ---- SUM, AVG of STRING ---- */

static bool is_text_sum(const struct node *node)
{
    return (node->aggregate == AGGREGATE_SUM || node->aggregate == AGGREGATE_AVG) &&
           node->args[0]->type.kind == TYPE_STRING;
}

static enum err_code text_sum_step(struct aggregate_state *state, const struct value *args,
                                   struct err *err)
{
    return text_sum_add(&state->text_sum, args[0].text, err);
}

/* As a text, all its digits; see bind_type.c. */
static enum err_code text_sum_final(struct aggregate_state *state, struct arena *scratch,
                                    struct value *ret_value, struct err *err)
{
    struct value value = {0};
    if (state->node->type.kind == TYPE_STRING) {
        BYTES_CLEANUP struct bytes text = {0};
        text_sum_format(&state->text_sum, &text);
        value.text = arena_copy(scratch, bytes_span(&text));
        if (value.text.data == NULL)
            return err_set(err, ERR_LIMIT, "a text needs too much memory");
    } else {
        value.f64 = text_sum_get(&state->text_sum);
        if (state->node->aggregate == AGGREGATE_AVG)
            value.f64 /= (double)state->count;
    }
    *ret_value = value;
    return ERR_OK;
}

static const struct aggregate_row text_sum_row = {text_sum_step, text_sum_final};

/* ---- VARIANCE, STDDEV (Welford: no difference of large squares) ---- */

static enum err_code variance_step(struct aggregate_state *state, const struct value *args,
                                   struct err *err)
{
    (void)err;
    double distance = args[0].f64 - state->mean;
    state->mean += distance / (double)state->count;
    state->squares += distance * (args[0].f64 - state->mean);
    return ERR_OK;
}

static enum err_code variance_final(struct aggregate_state *state, struct arena *scratch,
                                    struct value *ret_value, struct err *err)
{
    (void)scratch;
    (void)err;
    enum aggregate kind = state->node->aggregate;
    bool sample = kind == AGGREGATE_VARIANCE_SAMPLE || kind == AGGREGATE_STDDEV_SAMPLE;
    bool root = kind == AGGREGATE_STDDEV || kind == AGGREGATE_STDDEV_SAMPLE;
    if (sample && state->count == 1) { /* nothing to tell a spread from */
        *ret_value = (struct value){.null = true};
        return ERR_OK;
    }
    double variance = state->squares / (double)(state->count - (sample ? 1 : 0));
    *ret_value = (struct value){.f64 = root ? sqrt(variance) : variance};
    return ERR_OK;
}

/* ---- MEDIAN ---- */

static enum err_code median_step(struct aggregate_state *state, const struct value *args,
                                 struct err *err)
{
    struct type type = state->node->args[0]->type;
    decimal128 whole = type.kind == TYPE_DECIMAL ? args[0].decimal : args[0].i64;
    if (type.kind == TYPE_DOUBLE)
        bytes_append(&state->numbers, &args[0].f64, sizeof(double));
    else
        bytes_append(&state->numbers, &whole, sizeof(whole));
    return memory_check(state, err);
}

static int double_order(const void *a, const void *b)
{
    struct value left, right;
    memcpy(&left.f64, a, sizeof(double));
    memcpy(&right.f64, b, sizeof(double));
    left.null = right.null = false;
    return value_compare((struct type){.kind = TYPE_DOUBLE}, left, right);
}

static int whole_order(const void *a, const void *b)
{
    decimal128 left, right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return (left > right) - (left < right);
}

/* The two in the middle, or the one twice. */
static void middle(const struct aggregate_state *state, size_t size, void *low, void *high)
{
    size_t count = (size_t)state->count;
    memcpy(low, state->numbers.data + (count - 1) / 2 * size, size);
    memcpy(high, state->numbers.data + count / 2 * size, size);
}

static enum err_code median_final(struct aggregate_state *state, struct arena *scratch,
                                  struct value *ret_value, struct err *err)
{
    (void)scratch;
    struct type type = state->node->args[0]->type;
    if (type.kind == TYPE_DOUBLE) {
        double low, high;
        qsort(state->numbers.data, state->count, sizeof(double), double_order);
        middle(state, sizeof(double), &low, &high);
        double sum = low + high;
        *ret_value = (struct value){.f64 = isfinite(sum) ? sum / 2 : low / 2 + high / 2};
        return ERR_OK;
    }
    decimal128 low, high;
    struct value value = {0};
    qsort(state->numbers.data, state->count, sizeof(decimal128), whole_order);
    middle(state, sizeof(decimal128), &low, &high);
    decimal128 sum = 0;
    if (type.kind != TYPE_DECIMAL) {
        value.f64 = (double)(low + high) / 2;
    } else if (__builtin_add_overflow(low, high, &sum) ||
               __builtin_mul_overflow(sum, (decimal128)5, &sum) || /* half of it, a digit more */
               !decimal_rescale(sum, type.scale + 1U, state->node->type, &value.decimal, NULL)) {
        return err_set(err, ERR_SEMANTIC, "a MEDIAN does not fit DECIMAL(38,%u)",
                       state->node->type.scale);
    }
    *ret_value = value;
    return ERR_OK;
}

/* ---- WM_CONCAT ---- */

/* A text in a row is its length and its place in `texts`, which moves as it grows. */
static enum err_code row_add(struct aggregate_state *state, const struct value *args,
                             struct err *err)
{
    for (size_t i = 0; i < state->node->arg_count; i++) {
        struct value value = args[i];
        if (!value.null && state->node->args[i]->type.kind == TYPE_STRING) {
            uintptr_t place = state->texts.len;
            bytes_append_span(&state->texts, value.text);
            value.text.data = (const uint8_t *)place;
        }
        bytes_append(&state->rows, &value, sizeof(value));
    }
    return memory_check(state, err);
}

static enum err_code concat_step(struct aggregate_state *state, const struct value *args,
                                 struct err *err)
{
    if (state->node->ordered)
        return row_add(state, args, err);
    if (state->count > 1)
        bytes_append_span(&state->texts, state->node->value.text);
    bytes_append_span(&state->texts, args[0].text);
    return state->texts.len > LIMIT_CELL_BYTES
               ? err_set(err, ERR_LIMIT, "WM_CONCAT gives a text of more than %zu bytes",
                         LIMIT_CELL_BYTES)
               : ERR_OK;
}

/* The keys, then the text itself: rows that are equal in both are the same to the result. */
static int row_order(const void *a, const void *b, void *context)
{
    const struct node *node = context;
    const struct value *left = a, *right = b;
    for (size_t i = 1; i <= node->arg_count; i++) {
        size_t column = i == node->arg_count ? 0 : i;
        int order = value_compare(node->args[column]->type, left[column], right[column]);
        if (order != 0)
            return (node->descending >> (i - 1) & 1) != 0 ? -order : order;
    }
    return 0;
}

static void rows_sort(struct aggregate_state *state)
{
    const struct node *node = state->node;
    struct value *rows = (struct value *)(void *)state->rows.data;
    for (size_t i = 0; i < state->count * node->arg_count; i++) {
        if (!rows[i].null && node->args[i % node->arg_count]->type.kind == TYPE_STRING)
            rows[i].text = span_slice(bytes_span(&state->texts), (uintptr_t)rows[i].text.data,
                                      rows[i].text.len);
    }
    qsort_r(rows, state->count, node->arg_count * sizeof(*rows), row_order, (void *)node);
}

static enum err_code concat_rows(struct aggregate_state *state, struct bytes *out, struct err *err)
{
    const struct value *rows = (const struct value *)(const void *)state->rows.data;
    rows_sort(state);
    for (size_t i = 0; i < state->count; i++) {
        if (i > 0)
            bytes_append_span(out, state->node->value.text);
        bytes_append_span(out, rows[i * state->node->arg_count].text);
        if (out->len > LIMIT_CELL_BYTES)
            return err_set(err, ERR_LIMIT, "WM_CONCAT gives a text of more than %zu bytes",
                           LIMIT_CELL_BYTES);
    }
    return ERR_OK;
}

static enum err_code concat_final(struct aggregate_state *state, struct arena *scratch,
                                  struct value *ret_value, struct err *err)
{
    BYTES_CLEANUP struct bytes joined = {0};
    if (state->node->ordered)
        TRY(concat_rows(state, &joined, err));
    struct span text =
        arena_copy(scratch, bytes_span(state->node->ordered ? &joined : &state->texts));
    if (text.data == NULL)
        return err_set(err, ERR_LIMIT, "a text needs too much memory");
    *ret_value = (struct value){.text = text};
    return ERR_OK;
}

/* ---- the machine ---- */

static const struct aggregate_row rows[] = {
    [AGGREGATE_SUM] = {sum_step, sum_final},
    [AGGREGATE_AVG] = {sum_step, sum_final},
    [AGGREGATE_MEDIAN] = {median_step, median_final},
    [AGGREGATE_STDDEV] = {variance_step, variance_final},
    [AGGREGATE_STDDEV_SAMPLE] = {variance_step, variance_final},
    [AGGREGATE_VARIANCE] = {variance_step, variance_final},
    [AGGREGATE_VARIANCE_SAMPLE] = {variance_step, variance_final},
    [AGGREGATE_WM_CONCAT] = {concat_step, concat_final},
};

bool aggregate_has_state(const struct node *node)
{
    bool sum = node->aggregate == AGGREGATE_SUM || node->aggregate == AGGREGATE_AVG;
    if (sum)
        return node->args[0]->type.kind == TYPE_DOUBLE || is_text_sum(node);
    return node->aggregate < ARRAY_COUNT(rows) && rows[node->aggregate].step != NULL;
}

static const struct aggregate_row *row_of(const struct node *node)
{
    return is_text_sum(node) ? &text_sum_row : &rows[node->aggregate];
}

struct aggregate_state *aggregate_new(const struct node *node)
{
    ASSERT(aggregate_has_state(node));
    struct aggregate_state *state = mem_calloc(1, sizeof(*state));
    state->node = node;
    return state;
}

enum err_code aggregate_step(struct aggregate_state *state, const struct value *args,
                             struct err *err)
{
    if (args[0].null)
        return ERR_OK;
    state->count++;
    return row_of(state->node)->step(state, args, err);
}

enum err_code aggregate_final(struct aggregate_state *state, struct arena *scratch,
                              struct value *ret_value, struct err *err)
{
    if (state->count == 0) {
        *ret_value = (struct value){.null = true};
        return ERR_OK;
    }
    return row_of(state->node)->final(state, scratch, ret_value, err);
}

void aggregate_free(struct aggregate_state *state)
{
    if (state == NULL)
        return;
    bytes_deinit(&state->numbers);
    bytes_deinit(&state->rows);
    bytes_deinit(&state->texts);
    mem_free(state);
}
