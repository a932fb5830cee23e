#include "proto/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct digest digest_filled(uint8_t fill)
{
    struct digest digest;
    memset(digest.b, fill, sizeof(digest.b));
    return digest;
}

static void test_describe_comes_back(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct peer_describe describe = {.token = span_text("token bytes"),
                                     .snapshot = span_text("night_1")};
    memset(describe.task.b, 5, sizeof(describe.task.b));
    BYTES_CLEANUP struct bytes encoded = {0};
    peer_describe_encode(&describe, &encoded);
    struct peer_describe decoded;
    assert_int_equal(peer_describe_decode(bytes_span(&encoded), &arena, &decoded, NULL), ERR_OK);
    assert_memory_equal(decoded.task.b, describe.task.b, 16);
    assert_true(span_equal(decoded.token, describe.token));
    assert_true(span_equal(decoded.snapshot, describe.snapshot));
    BYTES_CLEANUP struct bytes other = {0};
    describe.snapshot = span_of("night\0", 6);
    peer_describe_encode(&describe, &other);
    assert_int_equal(peer_describe_decode(bytes_span(&other), &arena, &decoded, NULL),
                     ERR_BAD_DATA);
    describe.snapshot = span_text("\xff");
    bytes_clear(&other);
    peer_describe_encode(&describe, &other);
    assert_int_equal(peer_describe_decode(bytes_span(&other), &arena, &decoded, NULL),
                     ERR_BAD_DATA);
    encoded.data[1] = 15; /* the task id's length */
    assert_int_not_equal(peer_describe_decode(bytes_span(&encoded), &arena, &decoded, NULL),
                         ERR_OK);
}

static void test_described_and_lease_come_back(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct peer_described described = {.lease = {digest_filled(3)},
                                       .claim = span_text("claim"),
                                       .version = span_text("version"),
                                       .maker = {{8}},
                                       .signature = {9},
                                       .row_count = 10,
                                       .byte_count = 11,
                                       .partition_count = 12};
    BYTES_CLEANUP struct bytes encoded = {0};
    peer_described_encode(&described, &encoded);
    struct peer_described got;
    assert_int_equal(peer_described_decode(bytes_span(&encoded), &arena, &got, NULL), ERR_OK);
    assert_true(digest_equal(&got.lease.digest, &described.lease.digest));
    assert_true(span_equal(got.claim, described.claim));
    assert_memory_equal(got.maker.b, described.maker.b, 32);
    assert_memory_equal(got.signature, described.signature, 64);
    assert_int_equal(got.row_count, 10);
    assert_int_equal(got.byte_count, 11);
    assert_int_equal(got.partition_count, 12);
    assert_true(span_equal(got.version, described.version));

    struct peer_lease lease = {
        .lease = {digest_filled(4)}, .receipt = span_text("r"), .reply_bytes = 77};
    bytes_clear(&encoded);
    peer_lease_encode(&lease, &encoded);
    struct peer_lease lease_got;
    assert_int_equal(peer_lease_decode(bytes_span(&encoded), &arena, &lease_got, NULL), ERR_OK);
    assert_true(digest_equal(&lease_got.lease.digest, &lease.lease.digest));
    assert_true(span_equal(lease_got.receipt, lease.receipt));
    assert_int_equal(lease_got.reply_bytes, 77);
}

static void test_what_is_settled_comes_back(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    const struct peer_settle settle = {{digest_filled(4)}, 1, 2, 3, 4, 5, 6, 7, UINT64_MAX};
    struct peer_settle got;
    BYTES_CLEANUP struct bytes encoded = {0};
    peer_settle_encode(&settle, &encoded);
    assert_int_equal(peer_settle_decode(bytes_span(&encoded), &arena, &got, NULL), ERR_OK);
    assert_memory_equal(&got, &settle, sizeof(got));
    encoded.len--;
    assert_int_equal(peer_settle_decode(bytes_span(&encoded), &arena, &got, NULL), ERR_BAD_DATA);
    assert_int_equal(peer_settle_decode(span_of(NULL, 0), &arena, &got, NULL), ERR_BAD_DATA);
}

static void test_items_come_back(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct peer_item items[3] = {
        {.key = span_text("key"), .digest = digest_filled(1), .tree = 1, .level = 2},
        {.key = span_text(""), .digest = digest_filled(2), .tree = 2, .level = 0},
        {.key = span_text("leaf"), .digest = digest_filled(3), .column_id = 33},
    };
    BYTES_CLEANUP struct bytes encoded = {0};
    peer_items_encode(items, 3, &encoded);
    struct peer_item *got;
    size_t count;
    assert_int_equal(peer_items_decode(bytes_span(&encoded), &arena, &got, &count, NULL), ERR_OK);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(span_equal(got[i].key, items[i].key));
        assert_true(digest_equal(&got[i].digest, &items[i].digest));
        assert_int_equal(got[i].tree, items[i].tree);
        assert_int_equal(got[i].level, items[i].level);
        assert_int_equal(got[i].column_id, items[i].column_id);
    }
}

static void test_item_counts_and_key_lengths_are_bounded(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 32 * MIB(1));
    struct peer_item *got;
    size_t count;
    assert_int_equal(peer_items_decode(span_text(""), &arena, &got, &count, NULL), ERR_LIMIT);
    static const uint8_t key[LIMIT_KEY_BYTES + 1];
    struct peer_item item = {.key = span_of(key, sizeof(key)), .digest = digest_filled(1)};
    BYTES_CLEANUP struct bytes encoded = {0};
    peer_items_encode(&item, 1, &encoded);
    assert_int_equal(peer_items_decode(bytes_span(&encoded), &arena, &got, &count, NULL),
                     ERR_LIMIT);
    bytes_clear(&encoded);
    for (size_t i = 0; i <= LIMIT_REQUEST_ITEMS; i++) { /* one empty item more than allowed */
        bytes_append_u8(&encoded, 0x0A);
        bytes_append_u8(&encoded, 0);
    }
    assert_int_equal(peer_items_decode(bytes_span(&encoded), &arena, &got, &count, NULL),
                     ERR_LIMIT);
}

static enum err_code lengths(const uint32_t *values, size_t count, size_t asked, size_t body)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    BYTES_CLEANUP struct bytes encoded = {0};
    peer_lengths_encode(values, count, &encoded);
    uint32_t *got;
    size_t got_count;
    enum err_code code =
        peer_lengths_decode(bytes_span(&encoded), asked, 100, body, &arena, &got, &got_count, NULL);
    if (code == ERR_OK) {
        assert_int_equal(got_count, count);
        assert_memory_equal(got, values, count * sizeof(*values));
    }
    return code;
}

static void test_lengths_must_add_up_to_the_body(void **state)
{
    (void)state;
    const uint32_t values[] = {10, 100, 1};
    assert_int_equal(lengths(values, 3, 3, 111), ERR_OK);
    assert_int_equal(lengths(values, 2, 3, 110), ERR_OK); /* a prefix of what was asked for */
    assert_int_equal(lengths(values, 3, 2, 111), ERR_BAD_DATA);
    assert_int_equal(lengths(values, 3, 3, 112), ERR_BAD_DATA);
    assert_int_equal(lengths(values, 3, 3, 110), ERR_BAD_DATA);
    assert_int_equal(lengths(values, 0, 3, 0), ERR_BAD_DATA);
    const uint32_t zero[] = {0};
    assert_int_equal(lengths(zero, 1, 1, 0), ERR_BAD_DATA);
    const uint32_t large[] = {101};
    assert_int_equal(lengths(large, 1, 1, 101), ERR_BAD_DATA);
    const uint32_t wrap[] = {100, 0xFFFFFFFF};
    assert_int_equal(lengths(wrap, 2, 2, 99), ERR_BAD_DATA);
}

static void test_watch_comes_back_and_is_bounded(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct peer_watch watch = {span_text("t"), span_text("orders"), 7, 8, PEER_WATCH_WAIT_MAX_MS};
    BYTES_CLEANUP struct bytes encoded = {0};
    peer_watch_encode(&watch, &encoded);
    struct peer_watch got;
    assert_int_equal(peer_watch_decode(bytes_span(&encoded), &arena, &got, NULL), ERR_OK);
    assert_true(span_equal(got.token, watch.token));
    assert_true(span_equal(got.table, watch.table));
    assert_int_equal(got.after, 7);
    assert_int_equal(got.since_ms, 8);
    assert_int_equal(got.wait_ms, PEER_WATCH_WAIT_MAX_MS);
    watch.wait_ms++;
    bytes_clear(&encoded);
    peer_watch_encode(&watch, &encoded);
    assert_int_equal(peer_watch_decode(bytes_span(&encoded), &arena, &got, NULL), ERR_LIMIT);
    static const char *const bad[] = {"", "a\xFF"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        watch = (struct peer_watch){.token = span_text("t"), .table = span_text(bad[i])};
        bytes_clear(&encoded);
        peer_watch_encode(&watch, &encoded);
        assert_int_equal(peer_watch_decode(bytes_span(&encoded), &arena, &got, NULL), ERR_BAD_DATA);
    }
}

static enum err_code watched_decode(const struct peer_watched *watched, struct arena *arena,
                                    struct peer_watched *ret_watched)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    peer_watched_encode(watched, &encoded);
    struct span kept = arena_copy(arena, bytes_span(&encoded));
    return peer_watched_decode(kept, arena, ret_watched, NULL);
}

static void test_watched_snapshots_come_back_in_order(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct peer_watched_snapshot list[] = {{span_text("a"), digest_filled(1), 5, 100},
                                           {span_text("b"), digest_filled(1), 6, 90}};
    struct peer_watched watched = {list, 2, {4}, 100}, got;
    assert_int_equal(watched_decode(&watched, &arena, &got), ERR_OK);
    assert_int_equal(got.snapshot_count, 2);
    assert_true(span_equal(got.snapshots[1].name, list[1].name));
    assert_true(digest_equal(&got.snapshots[1].version, &list[1].version));
    assert_int_equal(got.snapshots[1].number, 6);
    assert_int_equal(got.snapshots[1].created_ms, 90);
    assert_int_equal(got.table.n, 4);
    assert_int_equal(got.newest_ms, 100);
    list[1].number = 5; /* twice the same would be fired twice */
    assert_int_equal(watched_decode(&watched, &arena, &got), ERR_BAD_DATA);
    list[0].number = 0;
    assert_int_equal(watched_decode(&watched, &arena, &got), ERR_BAD_DATA);
    list[0].number = 1;
    list[0].name = span_text("");
    assert_int_equal(watched_decode(&watched, &arena, &got), ERR_BAD_DATA);
    list[0].name = span_text("a\xFF");
    assert_int_equal(watched_decode(&watched, &arena, &got), ERR_BAD_DATA);
    assert_int_equal(watched_decode(&(struct peer_watched){0}, &arena, &got), ERR_OK);
    assert_int_equal(got.snapshot_count, 0);
}

static void test_an_answer_to_a_watch_is_bounded(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    BYTES_CLEANUP struct bytes encoded = {0};
    struct peer_watched got;
    for (size_t i = 0; i <= LIMIT_PEER_WATCHED; i++)
        bytes_append(&encoded, "\x0a\x00", 2);
    assert_int_equal(peer_watched_decode(bytes_span(&encoded), &arena, &got, NULL), ERR_LIMIT);
}

static void test_a_bandwidth_comes_back_and_is_not_nothing(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, KIB(4));
    BYTES_CLEANUP struct bytes encoded = {0};
    struct peer_channel got;
    peer_channel_encode(&(struct peer_channel){UINT64_MAX}, &encoded);
    assert_int_equal(peer_channel_decode(bytes_span(&encoded), &arena, &got, NULL), ERR_OK);
    assert_int_equal(got.bits_per_second, UINT64_MAX);
    assert_int_equal(peer_channel_decode(span_of(NULL, 0), &arena, &got, NULL), ERR_BAD_DATA);
    bytes_append_u8(&encoded, 0);
    assert_int_equal(peer_channel_decode(bytes_span(&encoded), &arena, &got, NULL), ERR_BAD_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_describe_comes_back),
        cmocka_unit_test(test_described_and_lease_come_back),
        cmocka_unit_test(test_what_is_settled_comes_back),
        cmocka_unit_test(test_items_come_back),
        cmocka_unit_test(test_item_counts_and_key_lengths_are_bounded),
        cmocka_unit_test(test_lengths_must_add_up_to_the_body),
        cmocka_unit_test(test_watch_comes_back_and_is_bounded),
        cmocka_unit_test(test_watched_snapshots_come_back_in_order),
        cmocka_unit_test(test_an_answer_to_a_watch_is_bounded),
        cmocka_unit_test(test_a_bandwidth_comes_back_and_is_not_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
