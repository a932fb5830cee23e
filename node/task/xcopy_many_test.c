/* Several XCOPYs at once, limits, and records that cannot be read. */
#include "node/task/xcopy_trial.h"

#include "node/task/xcopy_record.h"
#include "store/pages.h"

/* ---- several tasks, the same content ---- */

static bool has_planned(const struct task_status *status)
{
    return status->files_total > 0;
}

/* The first asks for all files and gets no answer yet; the second finds them taken. */
static void two_tasks(const char *source, struct task_id ids[2])
{
    atomic_store(&there.holds_files, true);
    ok(xcopy_start(source, "two_a", &ids[0]));
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    assert_non_null(atomic_load(&held));
    ok(xcopy_start(source, "two_b", &ids[1]));
    wait_for(&ids[1], has_planned);
}

static void test_two_tasks_pull_the_same_files_once(void **state)
{
    (void)state;
    struct task_id ids[2];
    struct table_id table = table_make("two");
    overwrite(table, 1, 200, "two");
    snapshot_make(table, "two_1");
    uint64_t served = source_file_bytes(there.source);
    two_tasks("two_1", ids);
    request_let_go(&there);
    struct task_status first = wait_for(&ids[0], has_ended);
    struct task_status second = wait_for(&ids[1], has_ended);
    done(&first);
    done(&second);
    equal("two_1", "two_a");
    equal("two_1", "two_b");
    assert_int_equal(first.counters.files_moved + second.counters.files_moved, 200);
    assert_int_equal(first.counters.bytes_moved + second.counters.bytes_moved,
                     first.counters.bytes_total);
    assert_int_equal(source_file_bytes(there.source) - served, first.counters.bytes_total);
    assert_int_equal(second.counters.partitions_moved, 200); /* not held when either began */
}

static void test_the_other_takes_over_when_the_puller_is_cancelled(void **state)
{
    (void)state;
    struct task_id ids[2];
    struct table_id table = table_make("over");
    overwrite(table, 1, 100, "over");
    snapshot_make(table, "over_1");
    two_tasks("over_1", ids);
    ok(tasks_cancel(here.tasks, root_principal(), &ids[0], &err));
    struct task_status second = wait_for(&ids[1], has_ended); /* the first's answer never came */
    request_let_go(&there);
    struct task_status first = wait_for(&ids[0], is_tidy);
    assert_int_equal(first.state, TASK_CANCELLED);
    assert_int_equal(staged_count(), 0);
    done(&second);
    equal("over_1", "two_b");
    /* what the first had received is kept */
    assert_int_equal(first.counters.files_moved + second.counters.files_moved, 100);
    assert_int_equal(second.counters.partitions_moved, 100);
}

/* ---- the destination's project ---- */

static struct project_id other_make(const char *name)
{
    struct change_note made = note();
    struct project_id project;
    const struct project_spec spec = {
        .name = span_text(name), .owner = {ROOT_ACCOUNT_ID}, .xcopy_enabled = true};
    ok(project_create(here.store, &spec, &made, &project, &err));
    return project;
}

static void other_drop(struct project_id project)
{
    struct change_note made = note();
    ok(project_drop(here.store, project, &made, &err));
}

/* In mid-transfer; it may be there again under its name. */
static void dropped_meanwhile(const char *name, bool again)
{
    struct task_id id;
    struct project_id other = other_make(name);
    atomic_store(&there.holds_files, true);
    destination_project = name;
    ok(xcopy_start("gone_1", "gone", &id));
    destination_project = "demo";
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    assert_non_null(atomic_load(&held));
    other_drop(other);
    if (again)
        other_make(name);
    request_let_go(&there);
    struct task_status status = wait_for(&id, has_ended);
    assert_int_equal(status.state, TASK_FAILED);
    assert_int_equal(status.error.code, ERR_DENIED);
    assert_non_null(strstr(status.error.message, name));
    assert_non_null(strstr(status.error.message, "was dropped while the task ran"));
    assert_int_equal(staged_count(), 0);
}

static void test_a_task_fails_when_its_project_is_dropped(void **state)
{
    (void)state;
    struct table_id table = table_make("gone");
    overwrite(table, 1, 200, "gone");
    snapshot_make(table, "gone_1");
    dropped_meanwhile("gone_a", false);
    dropped_meanwhile("gone_b", true);
    struct task_status status = xcopy("gone_1", "gone_1");
    done(&status); /* what came is of use to the next one */
    equal("gone_1", "gone_1");
}

/* ---- limits ---- */

static void test_a_project_has_so_many_tasks_and_another_as_many(void **state)
{
    (void)state;
    struct change_note made = note();
    struct project_id other;
    ok(project_create(here.store,
                      &(struct project_spec){.name = span_text("other"),
                                             .owner = {ROOT_ACCOUNT_ID},
                                             .xcopy_enabled = true},
                      &made, &other, &err));
    struct table_id table = table_make("many");
    overwrite(table, 1, 1, "many");
    snapshot_make(table, "many_1");
    size_t before = tasks_active(here.tasks);
    assert_int_equal(before, 0);
    char address[32];
    snprintf(address, sizeof(address), "%s", there.address);
    listener_close(there.listener);
    struct task_id ids[TASKS_PER_PROJECT + 1];
    uint64_t last_ms = 0;
    for (size_t i = 0; i < TASKS_PER_PROJECT; i++) {
        char name[32];
        snprintf(name, sizeof(name), "many_%zu", i);
        ok(xcopy_start("many_1", name, &ids[i]));
        uint64_t created_ms = status_of(&ids[i]).created_ms;
        assert_true(created_ms > last_ms); /* a restart has them in this order again */
        last_ms = created_ms;
    }
    struct task_id id;
    assert_int_equal(xcopy_start("many_1", "too_many", &id), ERR_TASK_LIMIT);
    assert_non_null(strstr(err.message, "128 XCOPY tasks of project demo"));
    destination_project = "OTHER"; /* names are without regard to case */
    ok(xcopy_start("many_1", "elsewhere", &ids[TASKS_PER_PROJECT]));
    destination_project = "demo";
    assert_int_equal(tasks_active(here.tasks), TASKS_PER_PROJECT + 1);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(4));
    struct task_status *list;
    size_t listed, runs = 0;
    ok(tasks_list(here.tasks, root_principal(), &arena, &list, &listed, &err));
    for (size_t i = 0; i < listed; i++)
        runs += list[i].state == TASK_RUNNING;
    assert_true(runs <= TASKS_RUNNING_PER_SOURCE);
    const struct principal *principal = root_principal();
    ok(tasks_cancel(here.tasks, principal, &ids[0], &err));
    wait_for(&ids[0], has_ended);
    ok(xcopy_start("many_1", "now", &ids[0])); /* one has ended: one more */
    for (size_t i = 0; i <= TASKS_PER_PROJECT; i++)
        ok(tasks_cancel(here.tasks, principal, &ids[i], &err));
    for (size_t i = 0; i <= TASKS_PER_PROJECT; i++)
        assert_int_equal(wait_for(&ids[i], has_ended).state, TASK_CANCELLED);
    listen_at(&there, address);
}

static bool has_begun(const struct task_status *status)
{
    return status->state == TASK_RUNNING;
}

static void phase_is(const struct task_id *id, const char *phase)
{
    struct task_status status = status_of(id);
    for (int i = 0; i < 2000 && strcmp(status.phase, phase) != 0; i++) {
        usleep(10000); /* the loop comes to it */
        status = status_of(id);
    }
    assert_string_equal(status.phase, phase);
}

static void one_snapshot(const char *table_name, const char *name)
{
    struct table_id table = table_make(table_name);
    overwrite(table, 1, 1, table_name);
    snapshot_make(table, name);
}

static void start_queued(const char *source, const char *destination, struct task_id *ret_id)
{
    queues = true;
    ok(xcopy_start(source, destination, ret_id));
    queues = false;
}

/* The source is away: who begins waits for it. */
static void test_who_waits_in_line_takes_the_place_that_is_free(void **state)
{
    (void)state;
    one_snapshot("line", "line_1");
    tasks_per_project = 2;
    region_restart(&here, &there);
    char address[32];
    snprintf(address, sizeof(address), "%s", there.address);
    listener_close(there.listener);
    struct task_id ids[5];
    ok(xcopy_start("line_1", "line_a", &ids[0]));
    start_queued("line_1", "line_b", &ids[1]); /* there is a place */
    start_queued("line_1", "line_c", &ids[2]);
    start_queued("line_1", "line_d", &ids[3]);
    wait_for(&ids[1], has_begun);
    phase_is(&ids[2], "queued, number 1 in line of its project");
    phase_is(&ids[3], "queued, number 2 in line of its project");
    assert_int_equal(xcopy_start("line_1", "line_e", &ids[4]), ERR_TASK_LIMIT);
    assert_non_null(strstr(err.message, "2 XCOPY tasks of project demo"));
    assert_non_null(strstr(err.message, "OPTIONS(queue=true)"));
    region_restart(&here, &there); /* places and line are as they were */
    wait_for(&ids[0], has_begun);
    phase_is(&ids[3], "queued, number 2 in line of its project");
    const struct principal *principal = root_principal();
    ok(tasks_cancel(here.tasks, principal, &ids[2], &err)); /* from the line */
    assert_int_equal(wait_for(&ids[2], has_ended).state, TASK_CANCELLED);
    phase_is(&ids[3], "queued, number 1 in line of its project");
    ok(tasks_cancel(here.tasks, principal, &ids[0], &err));
    wait_for(&ids[3], has_begun);
    assert_int_equal(xcopy_start("line_1", "line_e", &ids[4]), ERR_TASK_LIMIT);
    listen_at(&there, address);
    struct task_status last = wait_for(&ids[3], has_ended);
    done(&last);
    equal("line_1", "line_d");
    wait_for(&ids[1], has_ended);
    tasks_per_project = 0;
    region_restart(&here, &there);
}

/* All that take a number in their last commit come through without a pause. */
static void test_who_publish_at_once_do_not_wait_for_each_other(void **state)
{
    (void)state;
    struct task_id ids[24];
    one_snapshot("crowd", "crowd_1");
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        char name[32];
        snprintf(name, sizeof(name), "crowd_of_%zu", i);
        ok(xcopy_start("crowd_1", name, &ids[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        struct task_status status = wait_for(&ids[i], has_ended);
        done(&status);
        if (status.tries_again > 0)
            fail_msg("tried again: %s", status.trouble.message);
    }
}

/* ---- shares of the channel ---- */

enum { LARGE = 200, SMALL = 20 };

static struct link *peer_link(void)
{
    return peers_find_region(here.peers, span_text(there.name))->link;
}

static uint32_t in_flight(void)
{
    struct link_status status;
    link_status(peer_link(), &status);
    return status.requests_in_flight;
}

static bool asks(const struct task_id *id)
{
    struct lease_id held_for = request_held_lease();
    struct lease_id lease = lease_id_of(&identity_public(here.identity)->sign, id);
    return digest_equal(&held_for.digest, &lease.digest);
}

static bool pulls(const struct task_status *status)
{
    return strcmp(status->phase, "pulling") == 0;
}

/* So the small one has something waiting, too. */
static void until_in_flight_above(uint32_t count)
{
    for (int i = 0; i < 2000 && in_flight() <= count; i++)
        usleep(10000);
    assert_true(in_flight() > count);
}

/* One connection that carries one reply at a time, all of the same size: who comes with a tenth of what the
 * other has waiting gets every second one. */
static void test_a_small_task_beside_a_large_one_gets_every_second_reply(void **state)
{
    (void)state;
    struct task_id large, small;
    walk_limits = walk_limits_default();
    walk_limits.batch_items = 1;
    walk_limits.requests = LARGE;
    region_restart(&here, &there);
    link_set_data_connections(peer_link(), 1);
    link_set_depth(peer_link(), 1);
    file_padding = LIMIT_PAGE_MESSAGE_BYTES; /* what a page is given room for */
    struct table_id table = table_make("share_large");
    overwrite(table, 1, LARGE, "share_large");
    snapshot_make(table, "share_large_1");
    table = table_make("share_small");
    overwrite(table, 1, SMALL, "share_small");
    snapshot_make(table, "share_small_1");
    file_padding = 0;
    atomic_store(&there.holds_all, true);
    ok(xcopy_start("share_large_1", "share_large_1", &large));
    for (int i = 0; i < 2000 && in_flight() < LARGE; i++)
        usleep(10000);
    assert_true(asks(&large));
    ok(xcopy_start("share_small_1", "share_small_1", &small));
    wait_for(&small, pulls);
    unsigned before = 0; /* its pages have to come: each is the next but what is out */
    for (; asks(&large) && before < 20; before++) {
        until_in_flight_above(LARGE - before);
        request_step(&there);
    }
    assert_in_range(before, 1, 6);
    until_in_flight_above(LARGE - before + SMALL - 1);
    unsigned larges = 0, smalls = 0;
    while (smalls < SMALL) {
        bool is_small = asks(&small);
        smalls += is_small;
        larges += !is_small;
        assert_in_range(larges, smalls > 1 ? smalls - 2 : 0, smalls + 2);
        request_step(&there);
    }
    requests_let_go(&there);
    struct task_status status = wait_for(&small, has_ended);
    done(&status);
    status = wait_for(&large, has_ended);
    done(&status);
    walk_limits = (struct walk_limits){0};
    region_restart(&here, &there);
}

/* ---- the same copy twice ---- */

static bool id_is(const struct task_id *a, const struct task_id *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static void test_the_same_copy_started_twice_is_one_task(void **state)
{
    (void)state;
    one_snapshot("same", "same_1");
    one_snapshot("same_other", "same_2");
    char address[32];
    snprintf(address, sizeof(address), "%s", there.address);
    listener_close(there.listener);
    struct task_id first, second, other;
    size_t before = tasks_active(here.tasks);
    ok(xcopy_start("same_1", "same_1", &first));
    ok(xcopy_start("SAME_1", "Same_1", &second)); /* another statement, another token */
    assert_true(id_is(&first, &second));
    assert_int_equal(tasks_active(here.tasks), before + 1);
    assert_int_equal(xcopy_start("same_2", "same_1", &other), ERR_TASK_LIMIT);
    assert_non_null(strstr(err.message, "writes demo.same_1 already"));
    expires_ms = UINT64_C(4000000000000);
    assert_int_equal(xcopy_start("same_1", "same_1", &other), ERR_TASK_LIMIT);
    expires_ms = 0;
    region_restart(&here, &there); /* the second statement is asked for again */
    statement_last -= 3;
    ok(xcopy_start("same_1", "same_1", &second));
    assert_true(id_is(&first, &second));
    statement_last += 2;
    listen_at(&there, address);
    struct task_status status = wait_for(&first, has_ended);
    done(&status);
    equal("same_1", "same_1");
    statement_last -= 3;
    ok(xcopy_start("same_1", "same_1",
                   &second)); /* it has ended: the statement's answer all the same */
    assert_true(id_is(&first, &second));
    statement_last += 2;
    ok(xcopy_start("same_1", "same_1", &other)); /* a new one */
    assert_false(id_is(&first, &other));
    status = wait_for(&other, has_ended);
    done(&status);
}

/* A source that is away has its tasks wait for hours; those of another go on. */
static void test_a_source_that_is_away_keeps_back_no_other(void **state)
{
    (void)state;
    struct table_id table = table_make("away");
    overwrite(table, 1, 1, "away");
    snapshot_make(table, "away_1");
    struct task_id ids[TASKS_RUNNING_PER_SOURCE + 1];
    source_region = "eu-nowhere";
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        char name[32];
        snprintf(name, sizeof(name), "away_%zu", i);
        ok(xcopy_start("away_1", name, &ids[i]));
    }
    source_region = there.name;
    wait_for(&ids[0], waits_for_peer);
    struct task_status status = xcopy("away_1", "here");
    done(&status);
    const struct principal *principal = root_principal();
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        ok(tasks_cancel(here.tasks, principal, &ids[i], &err));
        assert_int_equal(wait_for(&ids[i], has_ended).state, TASK_CANCELLED);
    }
}

static void test_a_long_statement_is_listed_in_part(void **state)
{
    (void)state;
    struct table_id table = table_make("long");
    snapshot_make(table, "long_1");
    char *text = mem_alloc(40001);
    for (size_t i = 0; i < 40000; i++)
        text[i] = i % 2 == 0 ? (char)0xC3 : (char)0xA4; /* two bytes a character */
    text[40000] = 0;
    statement_text = text;
    struct task_status status = xcopy("long_1", "long_1");
    statement_text = "XCOPY ...";
    mem_free(text);
    done(&status);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    ok(tasks_status(here.tasks, &status.id, &arena, &status, &err));
    assert_int_equal(status.statement.len, TASK_STATEMENT_SHOWN_BYTES - 1); /* not in a character */
    assert_memory_equal(status.statement.data + status.statement.len - 5, "\xc3\xa4...", 5);
}

/* ---- records that cannot be read ---- */

static void record_put(struct region *region, enum family family, const char *kind, struct span key,
                       struct span value)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes whole = {0};
    bytes_append_text(&whole, kind);
    bytes_append_span(&whole, key);
    catalog_put(&change, family, bytes_span(&whole), value);
    ok(catalog_commit(region->store, &change, CATALOG_KEEP_RESERVE, &err));
}

static bool record_there(struct region *region, enum family family, const char *kind,
                         struct span key)
{
    BYTES_CLEANUP struct bytes whole = {0};
    BYTES_CLEANUP struct bytes value = {0};
    bool found = false;
    bytes_append_text(&whole, kind);
    bytes_append_span(&whole, key);
    ok(catalog_find(region->store, NULL, family, bytes_span(&whole), &value, &found, &err));
    return found;
}

static void test_a_record_that_cannot_be_read_is_set_aside(void **state)
{
    (void)state;
    static const struct task_id broken = {{0xEE, 1}}, tokenless = {{0xEE, 2}};
    static const struct digest lease = {{0xEE, 3}};
    struct span id = span_of(broken.b, sizeof(broken.b));
    const struct xcopy_record record = {.id = tokenless,
                                        .account = {ROOT_ACCOUNT_ID},
                                        .created_ms = 1,
                                        .principal = span_text(ROOT_ACCOUNT_NAME),
                                        .statement = span_text("XCOPY ..."),
                                        .token = span_text("no token")};
    BYTES_CLEANUP struct bytes encoded = {0};
    xcopy_record_encode(&record, &encoded);
    record_put(&here, FAMILY_TASKS, "t", id, span_text("not a record"));
    record_put(&here, FAMILY_TASKS, "t", span_of(tokenless.b, sizeof(tokenless.b)),
               bytes_span(&encoded));
    char nothing[80] = {0};
    record_put(&here, FAMILY_LEASES, "l", digest_span(&lease), span_of(nothing, sizeof(nothing)));
    static const struct task_id nobody = {{0xEE, 4}}; /* a repair when the node ended */
    struct staged_page staged = {lease, span_text("no page")};
    ok(staged_put(here.store, &broken, &staged, 1, &err));
    ok(staged_put(here.store, &nobody, &staged, 1, &err));
    region_restart(&here, &there);
    assert_false(record_there(&here, FAMILY_TASKS, "t", id));
    assert_true(record_there(&here, FAMILY_TASKS, "x", id));
    BYTES_CLEANUP struct bytes page = {0};
    assert_int_equal(staged_read(here.store, &broken, &lease, &page, NULL), ERR_NOT_FOUND);
    assert_int_equal(staged_read(here.store, &nobody, &lease, &page, NULL), ERR_NOT_FOUND);
    struct task_status status = status_of(&tokenless);
    assert_int_equal(status.state, TASK_FAILED);
    assert_int_equal(status.error.code, ERR_CORRUPT);
    for (int i = 0; i < 2000 && record_there(&here, FAMILY_LEASES, "l", digest_span(&lease)); i++)
        usleep(10000);
    assert_false(record_there(&here, FAMILY_LEASES, "l", digest_span(&lease)));
    struct table_id table = table_make("after");
    overwrite(table, 1, 3, "after");
    snapshot_make(table, "after_1");
    status = xcopy("after_1", "after_1");
    done(&status);
}

/* ---- tasks that have ended are shown for a day ---- */

static void test_an_ended_task_is_forgotten_after_a_day(void **state)
{
    (void)state;
    static const struct task_id ids[] = {{{0xED, 1}}, {{0xED, 2}}};
    const uint64_t now_ms = xcopy_now_ms(), hour_ms = 3600 * 1000;
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        BYTES_CLEANUP struct bytes token = {0};
        BYTES_CLEANUP struct bytes encoded = {0};
        token_make("day_1", "day_1", &token);
        const struct xcopy_record record = {.id = ids[i],
                                            .state = TASK_CANCELLED,
                                            .account = {ROOT_ACCOUNT_ID},
                                            .created_ms = 1,
                                            .ended_ms = now_ms - (i == 0 ? 25 : 23) * hour_ms,
                                            .principal = span_text(ROOT_ACCOUNT_NAME),
                                            .statement = span_text("XCOPY ..."),
                                            .token = bytes_span(&token)};
        xcopy_record_encode(&record, &encoded);
        record_put(&here, FAMILY_TASKS, "t", span_of(ids[i].b, sizeof(ids[i].b)),
                   bytes_span(&encoded));
    }
    region_restart(&here, &there);
    ARENA_CLEANUP struct arena arena;
    struct task_status status;
    arena_init(&arena, MIB(1));
    assert_int_equal(tasks_status(here.tasks, &ids[0], &arena, &status, &err), ERR_NOT_FOUND);
    assert_false(record_there(&here, FAMILY_TASKS, "t", span_of(ids[0].b, sizeof(ids[0].b))));
    assert_int_equal(status_of(&ids[1]).state, TASK_CANCELLED);
    assert_true(record_there(&here, FAMILY_TASKS, "t", span_of(ids[1].b, sizeof(ids[1].b))));
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_tasks_pull_the_same_files_once),
        cmocka_unit_test(test_the_other_takes_over_when_the_puller_is_cancelled),
        cmocka_unit_test(test_a_task_fails_when_its_project_is_dropped),
        cmocka_unit_test(test_a_project_has_so_many_tasks_and_another_as_many),
        cmocka_unit_test(test_who_waits_in_line_takes_the_place_that_is_free),
        cmocka_unit_test(test_a_small_task_beside_a_large_one_gets_every_second_reply),
        cmocka_unit_test(test_who_publish_at_once_do_not_wait_for_each_other),
        cmocka_unit_test(test_the_same_copy_started_twice_is_one_task),
        cmocka_unit_test(test_a_source_that_is_away_keeps_back_no_other),
        cmocka_unit_test(test_a_long_statement_is_listed_in_part),
        cmocka_unit_test(test_a_record_that_cannot_be_read_is_set_aside),
        cmocka_unit_test(test_an_ended_task_is_forgotten_after_a_day),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
