/* Laws that functions and casts keep, on random values: each is a SELECT that must give true. */
#include "node/sql/parser.h"
#include "node/sql/select.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "node/sql/decimal.h"
#include "proto/random_test.h"

#define ROUNDS         400
#define DECIMAL_ROUNDS 20000

static enum err_code truth_of(const struct statement *statement, struct value *ret_value,
                              struct err *err)
{
    struct select_options options = {.now_ms = 0};
    struct select_cursor *cursor;
    struct batch batch;
    bool end;
    TRY(select_open(&statement->select, statement->text, &options, &cursor, err));
    select_batch_init(cursor, &batch);
    enum err_code code = select_next(cursor, 1, &batch, &end, err);
    if (code == ERR_OK)
        *ret_value = vector_value(&batch.vectors[0], 0);
    batch_deinit(&batch);
    select_close(cursor);
    return code;
}

__attribute__((format(printf, 1, 2))) static void holds(const char *format, ...)
{
    char sql[1024];
    struct statement *statement;
    struct value value = {0};
    struct err err = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 1 << 20);
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    if (statement_parse(span_text(sql), &arena, &statement, &err) != ERR_OK ||
        truth_of(statement, &value, &err) != ERR_OK)
        fail_msg("%s: %s", sql, err.message);
    if (value.null || value.i64 != 1)
        fail_msg("not true: %s", sql);
}

/* ---- days ---- */

/* A time within the years 1000 to 8999, as text. */
static void time_text(struct random *random, char ret_text[32])
{
    BYTES_CLEANUP struct bytes text = {0};
    int64_t from = date_from_civil(1000, 1, 1), to = date_from_civil(9000, 1, 1);
    int64_t ms = (from + (int64_t)random_below(random, (uint64_t)(to - from))) * 86400000 +
                 (int64_t)random_below(random, 86400000);
    value_format((struct type){.kind = TYPE_DATETIME}, (struct value){.i64 = ms}, &text);
    bytes_append_u8(&text, 0);
    snprintf(ret_text, 32, "%s", (const char *)text.data);
}

static void test_what_is_added_is_the_difference(void **state)
{
    (void)state;
    static const char *const units[] = {"yyyy", "q", "mm", "week", "dd", "hh", "mi", "ss", "ff3"};
    struct random random = random_start();
    for (int i = 0; i < ROUNDS; i++) {
        char time[32];
        const char *unit = units[random_below(&random, ARRAY_COUNT(units))];
        int n = (int)random_below(&random, 2001) - 1000;
        n = unit[0] == 'y' || unit[0] == 'q' ? n % 900 : n;
        time_text(&random, time);
        holds("SELECT DATEDIFF(DATEADD(DATETIME '%s', %d, '%s'), DATETIME '%s', '%s') = %d", time,
              n, unit, time, unit, n);
        holds("SELECT DATEADD(DATE_ADD(DATE '%.10s', %d), %d, 'dd') = DATE '%.10s'", time, n, -n,
              time);
    }
}

static void test_a_truncated_time_begins_its_unit(void **state)
{
    (void)state;
    static const char *const units[] = {"yyyy", "q", "mm", "week", "dd", "hh", "mi", "ss"};
    struct random random = random_start();
    for (int i = 0; i < ROUNDS; i++) {
        char time[32];
        const char *unit = units[random_below(&random, ARRAY_COUNT(units))];
        time_text(&random, time);
        holds("SELECT DATETRUNC('%s', '%s') <= DATETIME '%s'", time, unit, time);
        holds("SELECT DATEADD(DATETRUNC('%s', '%s'), 1, '%s') > DATETIME '%s'", time, unit, unit,
              time);
        holds("SELECT DATETRUNC(DATETRUNC('%s', '%s'), '%s') = DATETRUNC('%s', '%s')", time, unit,
              unit, time, unit);
        holds("SELECT DATEDIFF('%s', DATETRUNC('%s', '%s'), '%s') = 0", time, time, unit, unit);
    }
}

static void test_parts_and_formats_lead_back_to_the_time(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int i = 0; i < ROUNDS; i++) {
        char time[32];
        time_text(&random, time);
        holds("SELECT TO_DATE(TO_CHAR(DATETIME '%s', 'ff3/ss.mi hh;ddmmyyyy'), 'ff3/ss.mi "
              "hh;ddmmyyyy') = DATETIME '%s'",
              time, time);
        holds("SELECT FROM_UNIXTIME(UNIX_TIMESTAMP(DATETIME '%s')) = DATETRUNC('%s', 'ss')", time,
              time);
        holds("SELECT CONCAT(LPAD(YEAR('%s'), 4, '0'), '-', LPAD(MONTH('%s'), 2, '0'), '-', "
              "LPAD(DAY('%s'), 2, '0')) = '%.10s'",
              time, time, time, time);
        holds("SELECT WEEKDAY(DATE_ADD('%s', 7)) = WEEKDAY('%s') AND DAY(DATE_ADD(LAST_DAY('%s'), "
              "1)) = 1 AND DAYOFYEAR('%s') = DATEDIFF('%s', DATETRUNC('%s', 'yyyy')) + 1",
              time, time, time, time, time, time);
    }
}

/* ---- texts ---- */

static void letters(struct random *random, size_t count, char *ret_text)
{
    static const char *const some[] = {"a", "b", ",", "\xC3\xA9", "\xE9\x98\xBF", " "};
    ret_text[0] = '\0';
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const char *letter = some[random_below(random, ARRAY_COUNT(some))];
        memcpy(ret_text + at, letter, strlen(letter) + 1);
        at += strlen(letter);
    }
}

static void test_parts_of_a_text_make_it_whole(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int i = 0; i < ROUNDS; i++) {
        char text[64], piece[16];
        unsigned at = (unsigned)random_below(&random, 12) + 1;
        letters(&random, random_below(&random, 12), text);
        letters(&random, random_below(&random, 3), piece);
        holds("SELECT CONCAT(SUBSTR('%s', 1, %u), SUBSTR('%s', %u)) = '%s'", text, at, text, at + 1,
              text);
        holds("SELECT REVERSE(REVERSE('%s')) = '%s' AND LENGTH(REVERSE('%s')) = LENGTH('%s')", text,
              text, text, text);
        holds("SELECT LENGTH(LPAD('%s', %u, 'x\xC3\xA9')) = %u AND SUBSTR(LPAD('%s', 20, 'xy'), "
              "-LENGTH('%s')) = '%s' OR '%s' = ''",
              text, at, at, text, text, text, text);
        holds("SELECT SPLIT_PART('%s', ',', 1, 99) = '%s'", text, text);
        holds("SELECT IF(INSTR('%s', '%s') = 0, NOT '%s' LIKE '%%%s%%', SUBSTR('%s', INSTR('%s', "
              "'%s'), LENGTH('%s')) = '%s')",
              text, piece, text, piece, text, text, piece, piece, piece);
        holds("SELECT REPLACE(REPLACE('%s', 'a', '##'), '##', 'a') = '%s'", text, text);
    }
}

/* ---- DECIMAL, against whole numbers ---- */

static decimal128 random_whole(struct random *random, unsigned digits)
{
    decimal128 value =
        (decimal128)(random_next(random) >> 1) * (decimal128)(random_next(random) >> 2);
    value %= decimal_power(1 + (unsigned)random_below(random, digits));
    return random_below(random, 2) == 0 ? value : -value;
}

/* Half away from zero, from its definition: the nearest, and of two the one farther from zero. */
static void is_rounded(decimal128 numerator, decimal128 denominator, decimal128 quotient)
{
    decimal128 rest = numerator - quotient * denominator;
    decimal128 size = denominator < 0 ? -denominator : denominator;
    decimal128 off = rest < 0 ? -rest : rest;
    assert_true(2 * off <= size);
    if (2 * off == size) /* a tie: cutting would have given less */
        assert_true(
            (quotient < 0 ? -quotient : quotient) ==
            (numerator / denominator < 0 ? -(numerator / denominator) : numerator / denominator) +
                1);
}

static void test_decimals_are_what_whole_numbers_say(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int i = 0; i < DECIMAL_ROUNDS; i++) {
        struct type a_type = {TYPE_DECIMAL, 12, (uint8_t)random_below(&random, 7)};
        struct type b_type = {TYPE_DECIMAL, 9, (uint8_t)random_below(&random, 7)};
        decimal128 a = random_whole(&random, 12), b = random_whole(&random, 9);
        decimal128 a_unit = decimal_power(a_type.scale), b_unit = decimal_power(b_type.scale);
        struct value sum, difference, product, quotient, rest;
        assert_int_equal(decimal_arithmetic(OP_ADD, a, a_type, b, b_type, &sum, NULL), ERR_OK);
        assert_int_equal(decimal_arithmetic(OP_SUBTRACT, a, a_type, b, b_type, &difference, NULL),
                         ERR_OK);
        assert_int_equal(decimal_arithmetic(OP_MULTIPLY, a, a_type, b, b_type, &product, NULL),
                         ERR_OK);
        assert_int_equal(decimal_arithmetic(OP_DIVIDE, a, a_type, b, b_type, &quotient, NULL),
                         ERR_OK);
        assert_int_equal(decimal_arithmetic(OP_MODULO, a, a_type, b, b_type, &rest, NULL), ERR_OK);
        unsigned scale = a_type.scale > b_type.scale ? a_type.scale : b_type.scale;
        decimal128 wide_a = a * (decimal_power(scale) / a_unit);
        decimal128 wide_b = b * (decimal_power(scale) / b_unit);
        assert_true(sum.decimal == wide_a + wide_b);
        assert_true(difference.decimal == wide_a - wide_b);
        assert_true(product.decimal == a * b);
        assert_true(quotient.null == (b == 0) && rest.null == (b == 0));
        if (b == 0)
            continue;
        assert_true(rest.decimal == wide_a % wide_b);
        struct type type = decimal_result_type(OP_DIVIDE, a_type, b_type);
        is_rounded(a * decimal_power((unsigned)(type.scale + b_type.scale - a_type.scale)), b,
                   quotient.decimal);
    }
}

static void test_rounding_a_decimal_follows_its_definition(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int i = 0; i < ROUNDS; i++) {
        int64_t whole = (int64_t)random_below(&random, 2000001) - 1000000;
        const char *minus = whole < 0 ? "-" : "";
        int64_t size = whole < 0 ? -whole : whole;
        int places = (int)random_below(&random, 6) - 2;
        holds("SELECT ABS(ROUND(%s%" PRId64 ".%03" PRId64 "BD, %d) - %s%" PRId64 ".%03" PRId64
              "BD) <= CAST('5e%d' AS DECIMAL(38,10)) / 10BD",
              minus, size / 1000, size % 1000, places, minus, size / 1000, size % 1000, -places);
        holds("SELECT ROUND(%s%" PRId64 ".%03" PRId64 "BD, %d) = ROUND(%s%" PRId64 ".%03" PRId64
              ", %d)",
              minus, size / 1000, size % 1000, places, minus, size / 1000, size % 1000, places);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_added_is_the_difference),
        cmocka_unit_test(test_a_truncated_time_begins_its_unit),
        cmocka_unit_test(test_parts_and_formats_lead_back_to_the_time),
        cmocka_unit_test(test_parts_of_a_text_make_it_whole),
        cmocka_unit_test(test_decimals_are_what_whole_numbers_say),
        cmocka_unit_test(test_rounding_a_decimal_follows_its_definition),
    };
    if (select_start("/tmp", NULL) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
