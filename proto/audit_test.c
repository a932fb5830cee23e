/* Entries of the audit log: there and back, cut, and refused. */
#include "proto/audit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/limits.h"

static const uint8_t key[AUDIT_KEY_BYTES] = {7};
static const uint8_t id[16] = {9};

static struct audit_record sample(void)
{
    return (struct audit_record){
        .time_ms = 1767225600123,
        .principal = span_text("RAM$alice:bob"),
        .key = span_of(key, sizeof(key)),
        .account = {3},
        .address = span_text("127.0.0.1:4"),
        .action = span_text("CLONE TABLE"),
        .object = {{4}, {3}, span_text("p"), span_text("t")},
        .source = {{5}, {6}, span_text("q"), span_text("s")},
        .id = span_of(id, sizeof(id)),
        .outcome = span_text(AUDIT_OUTCOME_OK),
        .message = span_text("m"),
        .text = span_text("CLONE TABLE q.s TO p.t"),
        .repeats = 2,
    };
}

static enum err_code there_and_back(const struct audit_record *record, struct arena *arena,
                                    struct audit_record *ret_record)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    audit_record_encode(record, &encoded);
    assert_true(encoded.len < AUDIT_RECORD_BYTES_MAX);
    return audit_record_decode(bytes_span(&encoded), arena, ret_record, NULL);
}

static void same(struct span a, struct span b)
{
    assert_true(span_equal(a, b));
}

static void every_field_comes_back(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, AUDIT_ARENA_BYTES);
    struct audit_record record = sample(), back;
    assert_int_equal(there_and_back(&record, &arena, &back), ERR_OK);
    assert_true(back.time_ms == record.time_ms && back.account.n == 3 && back.repeats == 2);
    same(back.principal, record.principal);
    same(back.key, record.key);
    same(back.address, record.address);
    same(back.action, record.action);
    assert_true(back.object.project.n == 4 && back.object.owner.n == 3);
    assert_true(back.source.project.n == 5 && back.source.owner.n == 6);
    same(back.object.project_name, record.object.project_name);
    same(back.object.name, record.object.name);
    same(back.source.project_name, record.source.project_name);
    same(back.source.name, record.source.name);
    same(back.id, record.id);
    same(back.outcome, record.outcome);
    same(back.message, record.message);
    same(back.text, record.text);
    record.source = (struct audit_place){0};
    assert_int_equal(there_and_back(&record, &arena, &back), ERR_OK);
    assert_true(audit_place_is_none(&back.source) && !audit_place_is_none(&back.object));
}

static void long_texts_are_cut_at_a_character(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    BYTES_CLEANUP struct bytes text = {0};
    arena_init(&arena, AUDIT_ARENA_BYTES);
    struct audit_record record = sample(), back;
    for (size_t i = 0; i < AUDIT_TEXT_BYTES_MAX - 1; i++)
        bytes_append_u8(&text, 'a');
    bytes_append_text(&text, "\xC3\xBC"
                             "b");
    struct span all = bytes_span(&text);
    record.principal = record.address = record.action = record.outcome = record.message =
        record.text = record.object.project_name = record.object.name = record.source.project_name =
            record.source.name = all;
    assert_int_equal(there_and_back(&record, &arena, &back), ERR_OK);
    same(back.text, span_slice(all, 0, AUDIT_TEXT_BYTES_MAX - 1));
    same(back.object.name, span_slice(all, 0, AUDIT_TEXT_BYTES_MAX - 1));
}

static void what_says_too_little_or_is_misshapen_is_refused(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, AUDIT_ARENA_BYTES);
    struct audit_record record, back;
    struct span *const needed[] = {&record.principal, &record.action, &record.outcome};
    for (size_t i = 0; i < ARRAY_COUNT(needed); i++) {
        record = sample();
        *needed[i] = (struct span){0};
        assert_int_equal(there_and_back(&record, &arena, &back), ERR_BAD_DATA);
    }
    record = sample();
    record.key.len = 33;
    assert_int_equal(there_and_back(&record, &arena, &back), ERR_BAD_DATA);
    record = sample();
    record.id.len = 15;
    assert_int_equal(there_and_back(&record, &arena, &back), ERR_BAD_DATA);
    static const uint8_t empty_place[] = {0x12, 1, 'a', 0x32, 1, 'b', 0x3A, 0, 0x52, 1, 'c'};
    assert_int_equal(
        audit_record_decode(span_of(empty_place, sizeof(empty_place)), &arena, &back, NULL),
        ERR_BAD_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_comes_back),
        cmocka_unit_test(long_texts_are_cut_at_a_character),
        cmocka_unit_test(what_says_too_little_or_is_misshapen_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
