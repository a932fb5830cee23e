#include "proto/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_budget_is_hard(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 10000);
    size_t got = 0;
    while (arena_alloc(&arena, 1, 100) != NULL)
        got += 100;
    assert_true(arena.exhausted);
    assert_in_range(got, 5000, 10000);
    assert_in_range(arena.used_bytes, got, 10000);
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 10, 900));
}

static void test_overflowing_product_is_refused(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, SIZE_MAX);
    assert_null(arena_alloc(&arena, SIZE_MAX / 2, 3));
    assert_null(arena_alloc(&arena, 1, SIZE_MAX));
    assert_true(arena.exhausted);
}

static void test_memory_is_zero_and_copies_are_terminated(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 1 << 20);
    uint8_t *memory = arena_alloc(&arena, 3, 7);
    for (size_t i = 0; i < 21; i++)
        assert_int_equal(memory[i], 0);
    struct span copy = arena_copy(&arena, span_text("strait"));
    assert_string_equal((const char *)copy.data, "strait");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget_is_hard),
        cmocka_unit_test(test_overflowing_product_is_refused),
        cmocka_unit_test(test_memory_is_zero_and_copies_are_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
