/* What ends a task before its snapshot is here: a request to stop, a right or a project that goes. Nothing here is
 * timed: what a cancel may not wait for is kept from happening. */
#include "node/task/xcopy_trial.h"

#include "node/task/xcopy_list.h"
#include "node/task/xcopy_pull.h"
#include "store/project.h"
#include "store/rights.h"

#define COPIER "RAM$root:copier"

/* ---- cancel ---- */

enum { FILES = 200, CONNECTIONS = 4 };

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

/* Anew, with these limits; of a data connection one request is out at a time. */
static void limits_set(const struct walk_limits *limits)
{
    walk_limits = *limits;
    region_restart(&here, &there);
    link_set_depth(peer_link(), 1);
}

static void until_in_flight(uint32_t least, uint32_t most)
{
    for (int i = 0; i < 2000 && (in_flight() < least || in_flight() > most); i++)
        usleep(10000);
    assert_in_range(in_flight(), least, most);
}

/* The source has four requests for files and says nothing; the others wait for their turn. */
static void test_a_cancelled_task_ends_in_its_peers_silence_and_asks_for_nothing_more(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    limits.batch_items = 1;
    limits.requests = FILES;
    limits_set(&limits);
    struct table_id table = table_make("silent");
    overwrite(table, 1, FILES, "silent");
    snapshot_make(table, "silent_1");
    atomic_store(&there.files_asked, 0);
    atomic_store(&there.holds_all, true);
    struct task_id id;
    ok(xcopy_start("silent_1", "silent_1", &id));
    until_in_flight(FILES, FILES + 2);
    for (int i = 0; i < 2000 && atomic_load(&there.files_asked) < CONNECTIONS; i++)
        usleep(10000);
    ok(tasks_cancel(here.tasks, root_principal(), &id, &err));
    loop_pass(&here); /* all that the end waits for */
    struct task_status status = status_of(&id);
    assert_int_equal(status.state, TASK_CANCELLED);
    until_in_flight(0, CONNECTIONS);
    wait_for(&id, is_tidy); /* tidied up, and the source has not said a word yet */
    assert_int_equal(staged_count(), 0);
    assert_int_equal(atomic_load(&there.files_asked), CONNECTIONS);
    requests_let_go(&there);
    until_in_flight(0, 0);
    assert_int_equal(atomic_load(&there.files_asked), CONNECTIONS);
    for (int i = 0; i < 2000 && source_leases(there.source) > 0; i++)
        usleep(10000);
    assert_int_equal(source_leases(there.source), 0);
    limits_set(&(struct walk_limits){0});
    struct task_status again = xcopy("silent_1", "silent_1");
    done(&again);
    equal("silent_1", "silent_1");
}

/* ---- a publish that waits for a worker ---- */

static atomic_bool workers_blocked;

static void worker_block(void *argument)
{
    (void)argument;
    while (atomic_load(&workers_blocked))
        usleep(1000);
}

static void block_workers(struct region *region)
{
    atomic_store(&workers_blocked, true);
    for (int i = 0; i < 4; i++) /* there are two */
        ok(workers_post(region->workers, worker_block, NULL, &err));
}

struct commit_watch {
    struct pull *pull;
    atomic_bool seen;
};

/* On the loop, again and again: once its commit is on a worker, the workers are kept from what comes next. */
static void commit_look(void *argument)
{
    struct commit_watch *watch = argument;
    const struct task *machine = &watch->pull->machine;
    if (machine->commit == 0) {
        loop_post(here.loop, commit_look, watch);
        return;
    }
    block_workers(&here);
    atomic_store(&watch->seen, true);
}

static bool publishes(const struct task_status *status)
{
    return strcmp(status->phase, "publishing") == 0;
}

static void test_a_publish_that_has_not_begun_is_cancelled_at_once(void **state)
{
    (void)state;
    struct table_id table = table_make("late");
    overwrite(table, 1, 1, "late");
    snapshot_make(table, "late_1");
    atomic_store(&there.holds_all, true);
    atomic_store(&there.files_asked, 0);
    struct task_id id;
    ok(xcopy_start("late_1", "late_1", &id));
    for (int i = 0; i < 2000 && atomic_load(&there.files_asked) < 1; i++)
        usleep(10000);
    struct commit_watch watch = {.pull = tasks_pull_find(here.tasks, &id)};
    assert_non_null(watch.pull);
    loop_post(here.loop, commit_look, &watch);
    requests_let_go(&there);
    wait_for(&id, publishes);
    assert_true(atomic_load(&watch.seen));
    ok(tasks_cancel(here.tasks, root_principal(), &id, &err));
    loop_pass(&here);
    assert_int_equal(status_of(&id).state, TASK_CANCELLED); /* while every worker is busy */
    atomic_store(&workers_blocked, false);
    wait_for(&id, is_tidy);
    pull_unref(watch.pull);
    struct name_target none;
    assert_int_equal(name_find(here.store, NULL, here.project, span_text("late_1"), &none, NULL),
                     ERR_TABLE_NOT_FOUND);
}

/* Its files are here and wait for a worker: they are not taken in, or the next copy would find them. */
static void test_what_came_for_a_cancelled_task_and_waits_is_let_fall(void **state)
{
    (void)state;
    struct table_id table = table_make("vain");
    overwrite(table, 1, 3, "vain");
    snapshot_make(table, "vain_1");
    atomic_store(&there.files_asked, 0);
    atomic_store(&there.holds_all, true);
    struct task_id id;
    ok(xcopy_start("vain_1", "vain_1", &id));
    for (int i = 0; i < 2000 && atomic_load(&there.files_asked) < 1; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&there.files_asked), 1);
    block_workers(&here);
    requests_let_go(&there);
    until_in_flight(0, 0);
    loop_pass(&here);
    ok(tasks_cancel(here.tasks, root_principal(), &id, &err));
    loop_pass(&here);
    atomic_store(&workers_blocked, false);
    assert_int_equal(wait_for(&id, is_tidy).state, TASK_CANCELLED);
    struct task_status again = xcopy("vain_1", "vain_1");
    done(&again);
    assert_int_equal(again.counters.files_moved, 3);
}

static void
test_a_cancelled_task_is_cancelled_after_a_restart_though_others_wait_before_it(void **state)
{
    (void)state;
    struct table_id table = table_make("line");
    overwrite(table, 1, 1, "line");
    snapshot_make(table, "line_1");
    tasks_per_project = 1;
    char address[32];
    snprintf(address, sizeof(address), "%s", there.address);
    listener_close(there.listener);
    region_restart(&here, &there);
    struct task_id first, second;
    ok(xcopy_start("line_1", "line_a", &first));
    wait_for(&first, waits_for_peer);
    queues = true;
    ok(xcopy_start("line_1", "line_b", &second));
    queues = false;
    /* As a crash leaves it: asked to stop, and not yet ended. */
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    catalog_put(&change, FAMILY_TASKS, xcopy_key('c', &second, key), span_of(NULL, 0));
    ok(catalog_commit(here.store, &change, CATALOG_KEEP_RESERVE, &err));
    atomic_store(&here.holds_loop, true);
    region_restart(&here, &there);
    enum task_state state_first = status_of(&second).state;
    atomic_store(&here.holds_loop, false);
    assert_int_equal(state_first, TASK_CANCELLED); /* from the first moment on */
    wait_for(&second, is_tidy);
    ok(tasks_cancel(here.tasks, root_principal(), &first, &err));
    wait_for(&first, is_tidy);
    tasks_per_project = 0;
    listen_at(&there, address);
    region_restart(&here, &there);
}

/* ---- what goes meanwhile ---- */

static struct project_id project_make(const char *name)
{
    struct project_id project;
    struct change_note made = note();
    ok(project_create(here.store,
                      &(struct project_spec){.name = span_text(name),
                                             .owner = {ROOT_ACCOUNT_ID},
                                             .xcopy_enabled = true},
                      &made, &project, &err));
    return project;
}

/* The source is away. One has begun, one waits in line behind it. */
static void test_a_dropped_project_ends_its_tasks_though_their_peer_is_away(void **state)
{
    (void)state;
    struct table_id table = table_make("gone");
    overwrite(table, 1, 1, "gone");
    snapshot_make(table, "gone_1");
    char address[32];
    snprintf(address, sizeof(address), "%s", there.address);
    listener_close(there.listener);
    for (int restarts = 0; restarts < 2; restarts++) {
        tasks_per_project = 1;
        region_restart(&here, &there);
        struct project_id project = project_make("gone");
        struct task_id ids[2], other;
        destination_project = "gone";
        ok(xcopy_start("gone_1", "gone_a", &ids[0]));
        queues = true;
        ok(xcopy_start("gone_1", "gone_b", &ids[1]));
        queues = false;
        destination_project = "demo";
        ok(xcopy_start("gone_1", "stays", &other));
        wait_for(&ids[0], waits_for_peer);
        wait_for(&other, waits_for_peer);
        struct change_note dropped = note();
        ok(project_drop(here.store, project, &dropped, &err));
        if (restarts > 0) { /* and another has the name */
            project_make("gone");
            region_restart(&here, &there);
        } else {
            tasks_recheck(here.tasks);
        }
        for (int i = 0; i < 2; i++) {
            struct task_status status = wait_for(&ids[i], is_tidy);
            assert_int_equal(status.state, TASK_FAILED);
            assert_non_null(strstr(status.error.message, "project gone was dropped while"));
        }
        wait_for(&other, waits_for_peer);
        ok(tasks_cancel(here.tasks, root_principal(), &other, &err));
        wait_for(&other, is_tidy);
    }
    tasks_per_project = 0;
    listen_at(&there, address);
    region_restart(&here, &there);
}

static void root_put(struct region *region)
{
    principals_put(region->principals,
                   &(struct principal_spec){.name = span_text(ROOT_ACCOUNT_NAME),
                                            .account = {ROOT_ACCOUNT_ID},
                                            .number = ROOT_ACCOUNT_ID,
                                            .keys = identity_public(user),
                                            .key_count = 1});
}

static void test_a_right_that_goes_ends_its_tasks_though_their_peer_is_away(void **state)
{
    (void)state;
    snapshot_make(table_make("key"), "key_1");
    char address[32];
    snprintf(address, sizeof(address), "%s", there.address);
    listener_close(there.listener);
    struct task_id id;
    ok(xcopy_start("key_1", "key_1", &id));
    wait_for(&id, waits_for_peer);
    principals_remove(here.principals, span_text(ROOT_ACCOUNT_NAME));
    tasks_recheck(here.tasks);
    struct task_status status = wait_for(&id, is_tidy);
    assert_int_equal(status.state, TASK_FAILED);
    assert_non_null(strstr(status.error.message, "has no CreateTable on project demo"));
    root_put(&here);
    listen_at(&there, address);
}

/* Of the snapshot here that COPIER has not made. */
static void drop_right_set(const char *snapshot, bool given)
{
    struct name_target target;
    struct change_note made = note();
    uint64_t missing;
    ok(name_find(here.store, NULL, here.project, span_text(snapshot), &target, &err));
    const struct grant_change change = {.project = here.project,
                                        .object = target.id,
                                        .grantee = {.name = span_text(COPIER)},
                                        .actions = UINT64_C(1) << action_number(ACTION_DROP)};
    ok(given ? grants_give(here.store, &change, &made, &err)
             : grants_take(here.store, &change, &made, &missing, &err));
}

/* At the destination, from now on; at the source the key is root's. */
static void copier_signs(void)
{
    struct user_id copier;
    struct change_note made = note();
    ok(user_create(here.store,
                   &(struct user_record){.account = {ROOT_ACCOUNT_ID}, .name = span_text(COPIER)},
                   &made, &copier, &err));
    const struct member_record member = {
        .project = here.project, .name = span_text(COPIER), .principal = copier.n};
    const struct grant_change create = {.project = here.project,
                                        .grantee = {.name = span_text(COPIER)},
                                        .actions = UINT64_C(1)
                                                   << action_number(ACTION_CREATE_TABLE)};
    made = note();
    ok(member_add(here.store, &member, &made, &err));
    made = note();
    ok(grants_give(here.store, &create, &made, &err));
    principals_remove(here.principals, span_text(ROOT_ACCOUNT_NAME));
    principals_put(here.principals, &(struct principal_spec){.name = span_text(COPIER),
                                                             .account = {ROOT_ACCOUNT_ID},
                                                             .number = copier.n,
                                                             .user = true,
                                                             .keys = identity_public(user),
                                                             .key_count = 1});
}

/* At once, by what a REVOKE does; and where nobody looked, before the publish. */
static void test_a_snapshot_stands_whose_overwriter_loses_drop_in_mid_pull(void **state)
{
    (void)state;
    struct table_id table = table_make("over");
    overwrite(table, 1, 3, "first");
    snapshot_make(table, "over_1");
    struct task_status status = xcopy("over_1", "over");
    done(&status);
    copier_signs();
    const char *words = COPIER " has no Drop on demo.over";
    struct task_id id;
    says(xcopy_start("over_1", "over", &id), ERR_DENIED, words);
    const char *snapshots[] = {"over_2", "over_3"};
    for (size_t i = 0; i < ARRAY_COUNT(snapshots); i++) {
        overwrite(table, 1, 3, snapshots[i]);
        snapshot_make(table, snapshots[i]);
        drop_right_set("over", true);
        atomic_store(&there.holds_files, true);
        ok(xcopy_start(snapshots[i], "over", &id));
        for (int polls = 0; polls < 2000 && atomic_load(&held) == NULL; polls++)
            usleep(10000);
        assert_non_null(atomic_load(&held));
        drop_right_set("over", false);
        if (i == 0) {
            tasks_recheck(here.tasks);
            wait_for(&id, has_ended);
        }
        request_let_go(&there);
        status = wait_for(&id, is_tidy);
        assert_int_equal(status.state, TASK_FAILED);
        assert_int_equal(status.error.code, ERR_DENIED);
        assert_non_null(strstr(status.error.message, words));
        equal("over_1", "over");
    }
    drop_right_set("over", true);
    status = xcopy("over_3", "over"); /* it was the right that was missing */
    done(&status);
    equal("over_3", "over");
    principals_remove(here.principals, span_text(COPIER));
    root_put(&here);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cancelled_task_ends_in_its_peers_silence_and_asks_for_nothing_more),
        cmocka_unit_test(test_a_publish_that_has_not_begun_is_cancelled_at_once),
        cmocka_unit_test(test_what_came_for_a_cancelled_task_and_waits_is_let_fall),
        cmocka_unit_test(
            test_a_cancelled_task_is_cancelled_after_a_restart_though_others_wait_before_it),
        cmocka_unit_test(test_a_dropped_project_ends_its_tasks_though_their_peer_is_away),
        cmocka_unit_test(test_a_right_that_goes_ends_its_tasks_though_their_peer_is_away),
        cmocka_unit_test(test_a_snapshot_stands_whose_overwriter_loses_drop_in_mid_pull),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
