/* Both ends of an XCOPY count the same, whatever ends or restarts; days keep what tasks brought. */
#include "node/task/xcopy_trial.h"

#include "node/task/meters.h"

/* ---- pure ---- */

static void test_a_claim_is_believed_as_far_as_something_was_lost(void **state)
{
    (void)state;
    struct meter_counts counts = {.wire_bytes = 100, .file_bytes = 50, .kept_bytes = 50};
    const struct meter_counts claim = {
        .wire_bytes = UINT64_MAX, .page_bytes = 7, .file_bytes = 20, .kept_bytes = 99};
    uint64_t lost_bytes = 0;
    meter_counts_believe(&counts, &claim, &lost_bytes);
    assert_int_equal(counts.wire_bytes, 100);
    assert_int_equal(counts.page_bytes, 0);
    lost_bytes = 30;
    meter_counts_believe(&counts, &claim, &lost_bytes);
    meter_counts_believe(&counts, &claim, &lost_bytes); /* said again */
    assert_int_equal(lost_bytes, 0);
    assert_int_equal(counts.wire_bytes, 130);
    assert_int_equal(counts.page_bytes, 7);
    assert_int_equal(counts.file_bytes, 50); /* never lower */
    assert_int_equal(counts.kept_bytes, 50); /* what is kept here is known here */
    lost_bytes = UINT64_MAX;
    meter_counts_believe(&counts, &claim, &lost_bytes);
    assert_int_equal(counts.wire_bytes, UINT64_MAX);
    meter_counts_raise(&counts, &claim);
    assert_int_equal(counts.kept_bytes, 99);
}

static void test_a_destination_that_lies_is_believed_little(void **state)
{
    (void)state;
    struct meters *meters = meters_new();
    const struct meter_record record = {.role = METER_OUT,
                                        .lease = {{{0xF1}}},
                                        .day = 100,
                                        .project = {1},
                                        .project_name = span_text("p"),
                                        .region = span_text("far")};
    ok(meters_begin(meters, here.store, &record, &err));
    meters_add(meters, &record.lease,
               &(struct meter_counts){.wire_bytes = 1000, .file_bytes = 900});
    const struct peer_settle lie = {{{{0xF1}}}, 500,        TASK_DONE,  UINT64_MAX, UINT64_MAX,
                                    UINT64_MAX, UINT64_MAX, UINT64_MAX, 0};
    struct peer_settle both;
    for (int i = 0; i < 3; i++)
        assert_true(meters_settle(meters, &lie, &both));
    assert_int_equal(both.day, 100);
    assert_int_equal(both.state, TASK_RUNNING); /* DONE is its receipt's word */
    assert_int_equal(both.wire_bytes, 1000 + 64 * MIB(1));
    assert_int_equal(both.kept_bytes, both.file_bytes);
    assert_true(both.file_bytes <= 900 + 64 * MIB(1));
    assert_true(both.saved_bytes < INT64_MAX);
    meters_free(meters);
}

/* The ends begin it at either side of midnight: the destination's day is both ends', and no other. */
static void test_a_day_is_agreed_on_while_clocks_are_less_than_a_day_apart(void **state)
{
    (void)state;
    const struct {
        uint32_t told, becomes;
    } days[] = {{100, 100}, {99, 99}, {101, 101},       {98, 100},
                {102, 100}, {0, 100}, {UINT32_MAX, 100}};
    for (size_t i = 0; i < ARRAY_COUNT(days); i++) {
        struct meters *meters = meters_new();
        const struct meter_record record = {.role = METER_OUT,
                                            .lease = {{{0xF2}}},
                                            .day = 100,
                                            .project = {1},
                                            .project_name = span_text("p"),
                                            .region = span_text("far")};
        const struct peer_settle settle = {
            .lease = record.lease, .day = days[i].told, .state = TASK_RUNNING};
        struct peer_settle both;
        ok(meters_begin(meters, here.store, &record, &err));
        assert_true(meters_settle(meters, &settle, &both));
        assert_int_equal(both.day, days[i].becomes);
        meters_free(meters);
    }
}

/* ---- both ends ---- */

static bool record_at(struct region *region, enum meter_role role, const struct task_id *task,
                      struct bytes *memory, struct meter_record *ret_record)
{
    const struct lease_id lease = lease_id_of(&identity_public(here.identity)->sign, task);
    bool found;
    ok(meter_find(region->store, role, &lease, memory, ret_record, &found, &err));
    return found;
}

static bool same_counts(const struct meter_record *a, const struct meter_record *b)
{
    return memcmp(&a->counts, &b->counts, sizeof(a->counts)) == 0 && a->day == b->day &&
           a->state == b->state;
}

/* What is told last comes when the task has ended; 20 s at most. */
static struct meter_counts both_count(const struct task_id *task, enum task_state state)
{
    BYTES_CLEANUP struct bytes ours = {0};
    BYTES_CLEANUP struct bytes theirs = {0};
    struct meter_record in = {0}, out = {0};
    for (int i = 0; i < 2000; i++) {
        if (record_at(&here, METER_IN, task, &ours, &in) &&
            record_at(&there, METER_OUT, task, &theirs, &out) && in.state == state &&
            same_counts(&in, &out)) {
            assert_true(span_equal(in.region, span_text(there.name)));
            assert_true(span_equal(out.region, span_text(here.name)));
            assert_true(span_equal(in.project_name, span_text("demo")));
            assert_int_equal(in.project.n, here.project.n);
            assert_int_equal(out.project.n, there.project.n);
            return in.counts;
        }
        usleep(10000);
    }
#define X(name) print_error(#name " %" PRIu64 " %" PRIu64 "\n", in.counts.name, out.counts.name);
    METER_COUNTS(X)
#undef X
    fail_msg("days %u %u, states %d %d", in.day, out.day, in.state, out.state);
    return (struct meter_counts){0};
}

static enum err_code settle_ask(const struct lease_id *lease, uint64_t wire_bytes)
{
    struct ask ask = {0};
    BYTES_CLEANUP struct bytes header = {0};
    const struct peer_settle settle = {
        .lease = *lease, .state = TASK_RUNNING, .wire_bytes = wire_bytes};
    peer_settle_encode(&settle, &header);
    ask_post(&ask, PEER_SETTLE, bytes_span(&header), span_of(NULL, 0));
    enum err_code code = ask_wait(&ask);
    bytes_deinit(&ask.body);
    return code;
}

/* As a destination does with each renewal: what it says then outlives the source's process. */
static void test_what_is_told_on_the_way_is_durable_and_only_under_a_lease(void **state)
{
    (void)state;
    snapshot_make(table_make("told"), "told_1");
    BYTES_CLEANUP struct bytes token = {0};
    BYTES_CLEANUP struct bytes memory = {0};
    struct meter_record record;
    struct ask described = {0}, nonsense = {0};
    const struct task_id task = {{0xE7}};
    const struct lease_id lease = lease_id_of(&identity_public(here.identity)->sign, &task);
    token_make("told_1", "told_1", &token);
    assert_int_equal(settle_ask(&lease, 1), ERR_LEASE_GONE);
    describe_post(&described, task.b[0], bytes_span(&token));
    assert_int_equal(ask_wait(&described), ERR_OK);
    ok(settle_ask(&lease, MIB(1)));
    region_restart(&there, &here);
    assert_true(record_at(&there, METER_OUT, &task, &memory, &record));
    assert_int_equal(record.counts.wire_bytes, MIB(1));
    assert_int_equal(record.state, TASK_RUNNING);
    ask_post(&nonsense, PEER_SETTLE, span_text("nonsense"), span_of(NULL, 0));
    assert_int_equal(ask_wait(&nonsense), ERR_BAD_DATA);
    ok(lease_ask(&described, PEER_END));
    bytes_deinit(&described.body);
}

static struct table_id counted_table(const char *name, const char *snapshot)
{
    struct table_id table = table_make(name);
    overwrite(table, 1, 100, name);
    snapshot_make(table, snapshot);
    return table;
}

static void test_both_ends_count_the_same(void **state)
{
    (void)state;
    struct table_id table = counted_table("both", "both_1");
    struct task_status first = xcopy("both_1", "both_1");
    done(&first);
    struct meter_counts counts = both_count(&first.id, TASK_DONE);
    assert_int_equal(counts.kept_bytes, first.counters.bytes_moved);
    assert_int_equal(counts.file_bytes, first.counters.bytes_moved);
    assert_int_equal(counts.saved_bytes, 0);
    assert_true(counts.page_bytes > 0);
    assert_true(counts.wire_bytes > counts.file_bytes + counts.page_bytes);
    assert_true(counts.wire_bytes <=
                first.counters.wire_bytes + KIB(8)); /* the same, but for the end */
    overwrite(table, 5, 5, "changed");
    snapshot_make(table, "both_2");
    struct task_status second = xcopy("both_2", "both_2");
    done(&second);
    counts = both_count(&second.id, TASK_DONE);
    assert_int_equal(counts.kept_bytes, second.counters.bytes_moved);
    assert_int_equal(counts.saved_bytes, second.counters.bytes_skipped);
    assert_true(counts.saved_bytes > 50 * counts.kept_bytes);
}

static void test_wrong_bytes_are_counted_as_sent_and_not_as_kept(void **state)
{
    (void)state;
    counted_table("wrong", "wrong_1");
    there.tamper = TAMPER_FILES;
    struct task_status status = xcopy("wrong_1", "wrong_1");
    there.tamper = TAMPER_NONE;
    assert_int_equal(status.state, TASK_FAILED);
    struct meter_counts counts = both_count(&status.id, TASK_FAILED);
    assert_true(counts.file_bytes > 0);
    assert_true(counts.kept_bytes < counts.file_bytes);
    assert_int_equal(counts.saved_bytes, 0);
}

static void test_a_done_task_s_resent_bytes_are_those_of_the_reply_that_was_wrong(void **state)
{
    (void)state;
    counted_table("resent", "resent_1");
    there.tamper = TAMPER_FILES_ONCE;
    struct task_status status = xcopy("resent_1", "resent_1");
    assert_int_equal(there.tamper, TAMPER_NONE);
    done(&status);
    struct meter_counts counts = both_count(&status.id, TASK_DONE);
    assert_int_equal(counts.kept_bytes, status.counters.bytes_moved);
    assert_int_equal(counts.file_bytes, counts.kept_bytes + TAMPERED_BYTES);
}

static void test_a_cancelled_task_is_counted_apart(void **state)
{
    (void)state;
    counted_table("stopped", "stopped_1");
    atomic_store(&there.holds_files, true);
    struct task_id id;
    ok(xcopy_start("stopped_1", "stopped_1", &id));
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    ok(tasks_cancel(here.tasks, root_principal(), &id, &err));
    wait_for(&id, has_ended);
    struct meter_counts counts = both_count(&id, TASK_CANCELLED); /* one answer never came */
    assert_true(counts.kept_bytes <= counts.file_bytes);
    assert_int_equal(counts.saved_bytes, 0);
    request_let_go(&there);
}

/* With files asked for and not answered: what the process knew beyond its last record is gone. */
static void restarted(struct region *region, struct region *other, const char *name)
{
    char snapshot[64];
    snprintf(snapshot, sizeof(snapshot), "%s_1", name);
    counted_table(name, snapshot);
    atomic_store(&there.holds_files, true);
    struct task_id id;
    ok(xcopy_start(snapshot, snapshot, &id));
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    assert_non_null(atomic_load(&held));
    if (region == &there)
        request_let_go(&there);
    region_restart(region, other);
    if (region == &here)
        request_let_go(&there);
    struct task_status status = wait_for(&id, has_ended);
    done(&status);
    struct meter_counts counts = both_count(&id, TASK_DONE);
    assert_int_equal(counts.kept_bytes, status.counters.bytes_moved);
    assert_true(counts.file_bytes >= counts.kept_bytes);
}

static void test_a_restart_of_either_end_loses_and_doubles_nothing(void **state)
{
    (void)state;
    restarted(&here, &there, "dest_restarts");
    restarted(&there, &here, "source_restarts");
}

/* ---- days ---- */

struct sum {
    const char *region;
    uint64_t tasks, wire_bytes;
    size_t lines;
};

static enum err_code sum_line(void *context, const struct meter_line *line, struct err *ignored)
{
    (void)ignored;
    struct sum *sum = context;
    if (!span_equal(line->region, span_text(sum->region)))
        return ERR_OK;
    sum->tasks += line->tasks;
    sum->wire_bytes += line->counts.wire_bytes;
    sum->lines++;
    return ERR_OK;
}

static void sum_is(const char *region, uint64_t tasks, uint64_t wire_bytes, size_t lines)
{
    struct sum sum = {.region = region};
    ok(meter_each(here.store, sum_line, &sum, &err));
    assert_int_equal(sum.wire_bytes, wire_bytes);
    assert_int_equal(sum.tasks, tasks);
    assert_int_equal(sum.lines, lines);
}

/* Of each region. */
static void days_are(size_t lines, size_t near_lines)
{
    sum_is("far", 10, 10 * 1000 + 45, lines);
    sum_is("near", 2, 5, near_lines);
}

static void fold_until_none(uint64_t before_ms)
{
    bool more = true;
    while (more)
        ok(meter_fold(here.store, before_ms, &more, &err));
}

/* Ten of two days, the last still runs; two of the first day to another region. */
static void twelve_tasks(void)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    for (uint8_t i = 0; i < 12; i++) {
        const struct meter_record record = {
            .role = METER_OUT,
            .lease = {{{0xF0, i}}},
            .day = i < 10 ? 100 + i / 5u : 100,
            .state = i == 9 ? TASK_RUNNING : TASK_DONE,
            .project = {77},
            .project_name = span_text("p"),
            .region = span_text(i < 10 ? "far" : "near"),
            .updated_ms = 1000 + i,
            .counts = {.wire_bytes = i < 10 ? UINT64_C(1000) + i : i - UINT64_C(8)},
        };
        meter_put(&change, &record);
    }
    catalog_put(&change, FAMILY_METER, span_text("channel/far"), span_text("another's"));
    ok(catalog_commit(here.store, &change, CATALOG_KEEP_RESERVE, &err));
}

static void test_what_has_ended_is_counted_into_its_day_once(void **state)
{
    (void)state;
    twelve_tasks();
    days_are(10, 2);
    fold_until_none(1004); /* of the first day four */
    days_are(7, 2);
    fold_until_none(UINT64_MAX);
    days_are(3, 1); /* a day, a day, and the one that runs */
    fold_until_none(UINT64_MAX);
    days_are(3, 1);
    region_restart(&here, &there);
    days_are(3, 1);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_claim_is_believed_as_far_as_something_was_lost),
        cmocka_unit_test(test_a_destination_that_lies_is_believed_little),
        cmocka_unit_test(test_a_day_is_agreed_on_while_clocks_are_less_than_a_day_apart),
        cmocka_unit_test(test_what_is_told_on_the_way_is_durable_and_only_under_a_lease),
        cmocka_unit_test(test_both_ends_count_the_same),
        cmocka_unit_test(test_wrong_bytes_are_counted_as_sent_and_not_as_kept),
        cmocka_unit_test(test_a_done_task_s_resent_bytes_are_those_of_the_reply_that_was_wrong),
        cmocka_unit_test(test_a_cancelled_task_is_counted_apart),
        cmocka_unit_test(test_a_restart_of_either_end_loses_and_doubles_nothing),
        cmocka_unit_test(test_what_has_ended_is_counted_into_its_day_once),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
