/* Random input of tests, from a printed seed: STRAIT_SEED=n plays a run again. Tests only. */
#ifndef PROTO_RANDOM_TEST_H
#define PROTO_RANDOM_TEST_H

#include "proto/vector.h"

struct random {
    uint64_t state;
};

/* One a test program; prints the seed when the program has none yet. */
static inline struct random random_start(void)
{
    static uint64_t seed;
    if (seed == 0) {
        const char *text = getenv("STRAIT_SEED");
        seed = text != NULL ? strtoull(text, NULL, 10)
                            : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
        seed = seed == 0 ? 1 : seed;
        printf("STRAIT_SEED=%" PRIu64 "\n", seed);
    }
    return (struct random){seed};
}

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9E3779B97F4A7C15); /* splitmix64 */
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    return random_next(random) % limit;
}

/* What one column's values look like; each kind makes another encoding likely. */
enum random_shape { SHAPE_NARROW, SHAPE_WIDE, SHAPE_STEPS, SHAPE_FEW, SHAPE_RUNS, SHAPE_COUNT };

static inline int64_t random_integer(struct random *random, enum random_shape shape, int64_t last)
{
    switch (shape) {
    case SHAPE_NARROW:
        return (int64_t)random_below(random, 200) - 100;
    case SHAPE_WIDE:
        return (int64_t)(random_next(random) >> random_below(random, 64));
    case SHAPE_STEPS:
        return (int64_t)((uint64_t)last + 1000000007 + random_below(random, 3));
    case SHAPE_FEW:
        return (int64_t)(random_below(random, 5) * UINT64_C(1234567890123456789));
    case SHAPE_RUNS:
        return random_below(random, 50) == 0 ? (int64_t)random_next(random) : last;
    case SHAPE_COUNT:
        break;
    }
    return 0;
}

/* A valid value of the type; text lands in `text` (its content is replaced). */
static inline struct value random_value(struct random *random, struct type type,
                                        enum random_shape shape, int64_t *last, struct bytes *text)
{
    static const char *const pieces[] = {
        "a", "strait", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\"", ",", "\n", " ", "0"};
    struct value value = {0};
    int64_t n = *last = random_integer(random, shape, *last);
    uint64_t u = (uint64_t)n;
    switch (type.kind) {
    case TYPE_BIGINT:
        value.i64 = n;
        break;
    case TYPE_INT:
        value.i64 = (int32_t)u;
        break;
    case TYPE_BOOLEAN:
        value.i64 = (int64_t)(u & 1);
        break;
    case TYPE_DATE:
        value.i64 = (int64_t)(u % 3600000) - 700000;
        value.i64 = value.i64 > 2932896 ? 0 : value.i64;
        break;
    case TYPE_DATETIME:
        value.i64 = (int64_t)(u % UINT64_C(250000000000000)) - INT64_C(60000000000000);
        break;
    case TYPE_DOUBLE:
        if (shape == SHAPE_WIDE)
            memcpy(&value.f64, &u, 8); /* any bits: NaNs, denormals, both zeros */
        else
            value.f64 = (double)n / 100;
        break;
    case TYPE_DECIMAL:
        value.decimal =
            (decimal128)n * (shape == SHAPE_WIDE ? n : 1) % decimal_power(type.precision);
        break;
    case TYPE_STRING:
        bytes_clear(text);
        for (size_t i = 0, count = u % 12; i < count; i++)
            bytes_append_text(text, pieces[(u >> i * 3) % ARRAY_COUNT(pieces)]);
        value.text = bytes_span(text);
        break;
    }
    return value;
}

static inline void random_vector(struct random *random, struct vector *vector, size_t rows,
                                 enum random_shape shape, unsigned null_percent)
{
    BYTES_CLEANUP struct bytes text = {0};
    int64_t last = 0;
    for (size_t i = 0; i < rows; i++) {
        struct value value = random_value(random, vector->type, shape, &last, &text);
        if (random_below(random, 100) < null_percent)
            value = (struct value){.null = true};
        vector_append(vector, value);
    }
}

/* One of each kind of type. */
static const struct type random_types[] = {
    {.kind = TYPE_BIGINT},
    {.kind = TYPE_INT},
    {.kind = TYPE_DOUBLE},
    {.kind = TYPE_DECIMAL, .precision = 38, .scale = 18},
    {.kind = TYPE_STRING},
    {.kind = TYPE_BOOLEAN},
    {.kind = TYPE_DATE},
    {.kind = TYPE_DATETIME},
    {.kind = TYPE_DECIMAL, .precision = 10, .scale = 2},
};

/* Bit by bit, NULLs too. */
static inline bool vectors_equal(const struct vector *a, const struct vector *b)
{
    if (a->rows != b->rows || a->null_count != b->null_count || !type_equal(a->type, b->type))
        return false;
    if (a->rows == 0)
        return true;
    size_t width = a->type.kind == TYPE_DECIMAL ? 16 : a->type.kind == TYPE_STRING ? 4 : 8;
    return memcmp(a->valid, b->valid, a->rows) == 0 &&
           memcmp(a->i64, b->i64, a->rows * width) == 0 &&
           span_equal(bytes_span(&a->text), bytes_span(&b->text));
}

#endif
