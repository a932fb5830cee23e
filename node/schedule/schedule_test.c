/* Records of schedules and runs: what goes in comes out, and nothing else is taken. */
#include "node/schedule/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct parameter variables[] = {
    {{(const uint8_t *)"v", 1}, {(const uint8_t *)"$[yyyymmdd]", 11}}};
static struct span steps[] = {{(const uint8_t *)"SELECT 1", 8},
                              {(const uint8_t *)"SELECT ${v}", 11}};
static struct span tokens[] = {{(const uint8_t *)"\x01\x00\x02", 3}};

static struct schedule sample(void)
{
    return (struct schedule){
        .id = 7,
        .name = span_text("daily"),
        .creator = span_text("RAM$a:b"),
        .creator_id = 9,
        .keys = {.sign = {{1, 2}}, .noise = {{3}}},
        .created_ms = 1767225600000,
        .paused = true,
        .cron = span_text("0 1 * * *"),
        .timezone = span_text("Asia/Hong_Kong"),
        .from_s = INT64_MIN,
        .to_s = 1767225600,
        .trigger_region = span_text("cn-hongkong"),
        .trigger_project = span_text("p"),
        .trigger_table = span_text("t"),
        .after = span_text("other"),
        .retry_count = 3,
        .retry_minutes = 30,
        .missed = MISSED_RUNS_SKIP,
        .comment = span_text("c"),
        .variables = variables,
        .variable_count = ARRAY_COUNT(variables),
        .steps = steps,
        .step_count = ARRAY_COUNT(steps),
        .tokens = tokens,
        .token_count = ARRAY_COUNT(tokens),
    };
}

static void test_a_schedule_is_what_was_encoded(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes encoded = {0}, again = {0};
    ARENA_CLEANUP struct arena arena;
    struct schedule schedule = sample(), decoded;
    struct err err;
    arena_init(&arena, SCHEDULE_ARENA_BYTES);
    schedule_record_encode(&schedule, &encoded);
    assert_int_equal(schedule_record_decode(bytes_span(&encoded), &arena, &decoded, &err), ERR_OK);
    schedule_record_encode(&decoded, &again);
    assert_true(span_equal(bytes_span(&encoded), bytes_span(&again)));
    assert_int_equal(decoded.id, 7);
    assert_true(decoded.paused);
    assert_true(span_equal(decoded.steps[1], steps[1]));
    assert_true(span_equal(decoded.tokens[0], tokens[0]));
    assert_true(span_equal(decoded.variables[0].value, variables[0].value));
    assert_memory_equal(&decoded.keys, &schedule.keys, sizeof(decoded.keys));
    assert_int_equal(decoded.from_s, INT64_MIN);
}

static void test_every_shorter_record_is_refused(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes encoded = {0};
    struct schedule schedule = sample(), decoded;
    struct err err;
    schedule_record_encode(&schedule, &encoded);
    for (size_t len = 0; len < encoded.len; len++) {
        ARENA_CLEANUP struct arena arena;
        arena_init(&arena, SCHEDULE_ARENA_BYTES);
        assert_int_equal(schedule_record_decode(span_of(encoded.data, len), &arena, &decoded, &err),
                         ERR_CORRUPT);
    }
    schedule.missed = (enum missed_runs)3;
    bytes_clear(&encoded);
    schedule_record_encode(&schedule, &encoded);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, SCHEDULE_ARENA_BYTES);
    assert_int_equal(schedule_record_decode(bytes_span(&encoded), &arena, &decoded, &err),
                     ERR_CORRUPT);
}

static void test_a_run_is_what_was_encoded(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes encoded = {0}, again = {0};
    struct schedule_run run = {.planned_s = -5,
                               .cause = RUN_OF_SNAPSHOT,
                               .state = RUN_RETRY,
                               .generation = 2,
                               .attempt = 3,
                               .step = 4,
                               .allow_past_snapshots = true,
                               .created_ms = 5,
                               .started_ms = 6,
                               .ended_ms = 7,
                               .retry_s = 8,
                               .rows = 9,
                               .snapshot = span_text("s"),
                               .message = span_text("why")};
    struct schedule_run decoded;
    struct err err;
    schedule_run_encode(&run, &encoded);
    assert_int_equal(schedule_run_decode(bytes_span(&encoded), &decoded, &err), ERR_OK);
    schedule_run_encode(&decoded, &again);
    assert_true(span_equal(bytes_span(&encoded), bytes_span(&again)));
    assert_int_equal(decoded.planned_s, -5);
    for (size_t len = 0; len < encoded.len; len++)
        assert_int_equal(schedule_run_decode(span_of(encoded.data, len), &decoded, &err),
                         ERR_CORRUPT);
}

/* The same statement of a run keeps its id over a restart; anything else of it has another. */
static void test_ids_are_of_schedule_time_attempt_and_place(void **state)
{
    (void)state;
    const struct schedule_run run = {.planned_s = 1, .generation = 2, .attempt = 3, .step = 4};
    struct schedule_run others[] = {run, run, run, run};
    others[0].planned_s++;
    others[1].generation++;
    others[2].attempt++;
    others[3].step++;
    struct statement_id id = schedule_statement_id(7, &run), again = schedule_statement_id(7, &run);
    assert_memory_equal(&id, &again, sizeof(id));
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        struct statement_id other = schedule_statement_id(7, &others[i]);
        assert_memory_not_equal(&id, &other, sizeof(id));
    }
    struct statement_id other = schedule_statement_id(8, &run);
    assert_memory_not_equal(&id, &other, sizeof(id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_schedule_is_what_was_encoded),
        cmocka_unit_test(test_every_shorter_record_is_refused),
        cmocka_unit_test(test_a_run_is_what_was_encoded),
        cmocka_unit_test(test_ids_are_of_schedule_time_attempt_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
