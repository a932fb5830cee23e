/* XCOPY between two regions: what it copies, and what it refuses. */
#include "node/task/xcopy_pull.h"
#include "node/task/xcopy_trial.h"

#include "proto/peer.h"
#include "proto/version.h"

#define PARTITIONS 300

/* ---- tests ---- */

static void test_copies_all_then_nothing_then_what_changed(void **state)
{
    (void)state;
    struct table_id table = table_make("sales");
    overwrite(table, 1, PARTITIONS, "first");
    snapshot_make(table, "sales_1");
    struct task_status status = xcopy("sales_1", "sales_1");
    done(&status);
    equal("sales_1", "sales_1");
    assert_int_equal(status.counters.partitions_total, PARTITIONS);
    assert_int_equal(status.counters.partitions_moved, PARTITIONS);
    assert_int_equal(status.counters.files_moved, PARTITIONS);
    assert_int_equal(status.counters.bytes_skipped, 0);

    status = xcopy("sales_1", "again");
    done(&status);
    assert_int_equal(status.counters.partitions_moved, 0);
    assert_int_equal(status.counters.files_moved, 0);
    assert_true(status.counters.bytes_skipped == status.counters.bytes_total);
    assert_true(status.counters.wire_bytes < 8192); /* describe; not one page */

    overwrite(table, 17, 18, "second");
    snapshot_make(table, "sales_2");
    status = xcopy("sales_2", "sales_1"); /* in place of the old one */
    done(&status);
    equal("sales_2", "sales_1");
    assert_int_equal(status.counters.partitions_moved, 2);
    assert_int_equal(status.counters.files_moved, 2);

    overwrite(table, 17, 17, "first"); /* older content returns, and stands twice elsewhere */
    snapshot_make(table, "sales_3");
    status = xcopy("sales_3", "sales_3");
    done(&status);
    equal("sales_3", "sales_3");
    assert_int_equal(status.counters.files_moved, 0);
}

static void test_the_same_statement_again_joins_its_task(void **state)
{
    (void)state;
    struct table_id table = table_make("twice");
    snapshot_make(table, "twice_1");
    struct task_id first, second;
    ok(xcopy_start("twice_1", "twice_1", &first));
    statement_last--;
    ok(xcopy_start("twice_1", "twice_1", &second));
    assert_memory_equal(first.b, second.b, sizeof(first.b));
    struct task_status status = wait_for(&first, has_ended);
    done(&status);
    equal("twice_1", "twice_1"); /* an empty table at that */
}

static void test_unknown_snapshot_fails_with_the_sources_words(void **state)
{
    (void)state;
    struct task_status status = xcopy("nowhere", "nowhere");
    assert_int_equal(status.state, TASK_FAILED);
    assert_int_equal(status.error.code, ERR_NOT_FOUND);
    assert_non_null(strstr(status.error.message, "peer ap-southeast-1"));
    assert_non_null(strstr(status.error.message, "no snapshot demo.nowhere, or no right to it"));
}

static void clustering_set(struct table_id table, const struct clustering *clustering)
{
    struct change_note made = note();
    CONTENT_CLEANUP struct content *content = NULL;
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    ok(content_open(there.store, (struct account_id){ROOT_ACCOUNT_ID}, &content, &err));
    ok(table_begin(content, table, &write, &err));
    ok(table_clustering_change(write, clustering, &made, &err));
}

static void test_an_older_program_is_told_what_it_does_not_know(void **state)
{
    (void)state;
    struct table_id table = table_make("buckets");
    snapshot_make(table, "buckets_1");
    clustering_set(
        table, &(struct clustering){
                   .kind = CLUSTERING_HASH, .bucket_count = 4, .column_count = 1, .columns = {1}});
    snapshot_make(table, "buckets_2");
    struct task_status now = xcopy("buckets_2", "buckets_2");
    done(&now);
    equal("buckets_2", "buckets_2");
    there.tamper = TAMPER_OLDER;
    struct task_status plain = xcopy("buckets_1", "buckets_1");
    struct task_status clustered = xcopy("buckets_2", "buckets_3");
    there.tamper = TAMPER_NONE;
    done(&plain);
    assert_int_equal(clustered.state, TASK_FAILED);
    assert_int_equal(clustered.error.code, ERR_SEMANTIC);
    assert_non_null(strstr(clustered.error.message,
                           "the table is clustered, which the program of region cn-hongkong does"));
}

static void test_an_older_program_is_told_of_clustered_partitions(void **state)
{
    (void)state;
    struct table_id table = table_make("part_buckets");
    overwrite(table, 1, 3, "plain");
    snapshot_make(table, "part_buckets_1");
    clustered_as = (struct clustering){
        .kind = CLUSTERING_HASH, .bucket_count = 1, .column_count = 1, .columns = {1}};
    overwrite(table, 4, 4, "clustered");
    clustered_as = (struct clustering){.kind = CLUSTERING_NONE};
    snapshot_make(table, "part_buckets_2"); /* whose new partitions are not */
    there.tamper = TAMPER_OLDER;
    struct task_status plain = xcopy("part_buckets_1", "part_buckets_1");
    struct task_status clustered = xcopy("part_buckets_2", "part_buckets_2");
    there.tamper = TAMPER_NONE;
    done(&plain);
    assert_int_equal(clustered.state, TASK_FAILED);
    assert_int_equal(clustered.error.code, ERR_SEMANTIC);
    assert_non_null(strstr(clustered.error.message,
                           "has partitions that are clustered, which the program of region "
                           "cn-hongkong does not know"));
    region_restart(&there, &here); /* sessions of the right version */
    struct task_status now = xcopy("part_buckets_2", "part_buckets_2");
    done(&now);
    equal("part_buckets_2", "part_buckets_2");
}

static bool newest_replica_is(struct table_id table, const char *name)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct snapshot_record newest;
    bool found;
    ok(snapshot_newest_replica(here.store, here.project, span_text(there.name), table, &arena,
                               &newest, &found, &err));
    return found ? span_equal(newest.name, span_text(name)) : name == NULL;
}

static void test_the_newest_replica_of_a_table_is_noted_whatever_the_order(void **state)
{
    (void)state;
    struct table_id table = table_make("noted");
    assert_true(newest_replica_is(table, NULL));
    for (int i = 1; i <= 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "noted_%d", i);
        overwrite(table, 1, 50, name);
        snapshot_make(table, name);
        usleep(2000); /* made at another ms */
    }
    static const char *const order[] = {"noted_2", "noted_1", "noted_3"};
    static const char *const newest[] = {"noted_2", "noted_2", "noted_3"};
    for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
        struct task_status status = xcopy(order[i], order[i]);
        done(&status);
        assert_true(newest_replica_is(table, newest[i]));
    }
    struct change_note made = note();
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct snapshot_record last;
    ok(snapshot_find(here.store, NULL, here.project, span_text("noted_3"), &arena, &last, &err));
    ok(snapshot_drop(here.store, last.id, &made, &err));
    assert_true(newest_replica_is(table, NULL)); /* a hint: others are looked for then */
    struct task_status status = xcopy("noted_3", "noted_3");
    done(&status);
    equal("noted_3", "noted_3");
    assert_true(newest_replica_is(table, "noted_3"));
}

static void test_gate_of_the_source_is_told(void **state)
{
    (void)state;
    struct table_id table = table_make("gated");
    snapshot_make(table, "gated_1");
    struct change_note made = note();
    ok(project_xcopy_set(there.store, there.project, false, &made, &err));
    struct task_status status = xcopy("gated_1", "gated_1");
    made = note();
    ok(project_xcopy_set(there.store, there.project, true, &made, &err));
    assert_int_equal(status.state, TASK_FAILED);
    assert_int_equal(status.error.code, ERR_GATE);
}

static void test_a_tables_name_is_refused(void **state)
{
    (void)state;
    struct table_id ignored;
    struct table_id table = table_make("name");
    snapshot_make(table, "name_1");
    struct column columns[] = {{.id = 1, .name = span_text("note"), .type = {.kind = TYPE_STRING}}};
    struct schema schema = {.columns = columns, .column_count = 1, .next_column_id = 2};
    struct table_spec spec = {
        .project = here.project, .name = span_text("taken"), .schema = &schema};
    struct change_note made = note();
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(here.store, (struct account_id){ROOT_ACCOUNT_ID}, &content, &err));
    ok(table_create(content, &spec, &made, &ignored, &err));
    struct task_id id;
    assert_int_equal(xcopy_start("name_1", "taken", &id), ERR_EXISTS);
}

static struct snapshot_record original(const char *name, struct arena *arena)
{
    struct snapshot_record snapshot;
    ok(snapshot_find(there.store, NULL, there.project, span_text(name), arena, &snapshot, &err));
    return snapshot;
}

/* What `region` would compare with, were a snapshot of the table of `name` described to it, of the version of
 * `same` (as of a clone); NULL: of one that is nowhere. */
static bool base_is_known(const struct region *region, const char *own_region, const char *name,
                          const char *same)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct described described = {0};
    bytes_append_span(&described.claim, original(name, &arena).claim);
    if (same != NULL)
        described.version = original(same, &arena).version;
    xcopy_base_find(region->store, span_text(own_region), region->project, &described);
    bytes_deinit(&described.claim);
    return described.base.is_known;
}

static void test_what_is_compared_with_is_looked_for_where_it_may_be(void **state)
{
    (void)state;
    struct table_id table = table_make("based"), other = table_make("other");
    overwrite(table, 0, 1, "based");
    overwrite(other, 0, 1, "other");
    snapshot_make(table, "based_1");
    snapshot_make(table, "based_2");
    snapshot_make(other, "other_1");
    struct task_status status = xcopy("based_1", "based_1");
    done(&status);
    assert_true(base_is_known(&here, here.name, "based_2", NULL)); /* its table's newest replica */
    assert_true(
        base_is_known(&here, here.name, "other_1", "based_1")); /* a replica of that version */
    assert_false(base_is_known(&here, here.name, "other_1", "other_1"));
    assert_true(base_is_known(&there, there.name, "other_1", NULL)); /* back to where it was made */
    assert_false(base_is_known(&there, here.name, "other_1", NULL));
}

static struct snapshot_record replica(const char *name, struct arena *arena)
{
    struct snapshot_record snapshot;
    ok(snapshot_find(here.store, NULL, here.project, span_text(name), arena, &snapshot, &err));
    return snapshot;
}

static void replica_hold(const char *name, bool on)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    const struct snapshot_change change = {.sets_hold = true, .held = on};
    struct change_note made = note();
    ok(snapshot_change(here.store, replica(name, &arena).id, &change, &made, &err));
}

/* Of two snapshots of a table, the first under the name `name` here. */
static void held_make(const char *name)
{
    char snapshots[2][16];
    struct table_id table = table_make(name);
    for (int i = 0; i < 2; i++) {
        snprintf(snapshots[i], sizeof(snapshots[i]), "%s_%d", name, i + 1);
        overwrite(table, 1, 20 * (i + 1), name);
        snapshot_make(table, snapshots[i]);
    }
    struct task_status status = xcopy(snapshots[0], name);
    done(&status);
}

static void test_a_held_snapshot_is_not_replaced(void **state)
{
    (void)state;
    struct task_id id;
    held_make("held");
    replica_hold("held", true);
    assert_int_equal(xcopy_start("held_2", "held", &id), ERR_HELD);
    assert_non_null(strstr(err.message, "snapshot held is held by "));
    assert_non_null(strstr(err.message, "ALTER SNAPSHOT TABLE held RELEASE"));
    equal("held_1", "held");
    replica_hold("held", false);
    struct task_status status = xcopy("held_2", "held");
    done(&status);
    equal("held_2", "held");
}

/* The hold comes when files are on their way: the copy ends with the reason, and replaces nothing. */
static void test_a_hold_that_comes_meanwhile_ends_the_copy(void **state)
{
    (void)state;
    struct task_id id;
    held_make("meantime");
    atomic_store(&there.holds_files, true);
    ok(xcopy_start("meantime_2", "meantime", &id));
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    assert_non_null(atomic_load(&held));
    replica_hold("meantime", true);
    request_let_go(&there);
    struct task_status status = wait_for(&id, has_ended);
    assert_int_equal(status.state, TASK_FAILED);
    assert_int_equal(status.error.code, ERR_HELD);
    assert_non_null(strstr(status.error.message, "snapshot meantime is held by "));
    equal("meantime_1", "meantime");
    replica_hold("meantime", false);
}

/* When a replica ends is decided here: not by what its source says of its own, nor by that clock. */
static void test_a_replicas_end_is_its_own(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    size_t dropped;
    arena_init(&arena, MIB(4));
    snapshot_expires_ms = 7;
    snapshot_make(table_make("ends"), "ends_1");
    snapshot_expires_ms = 0;
    struct task_status status = xcopy("ends_1", "ends_1");
    done(&status);
    struct snapshot_claim claim;
    ok(snapshot_claim_decode(replica("ends_1", &arena).claim, &arena, &claim, &err));
    assert_int_equal(claim.expires_ms, 7);
    assert_int_equal(replica("ends_1", &arena).expires_ms, 0);
    ok(snapshot_expire(here.store, UINT64_C(3000000000000), &dropped, &err));
    expires_ms = UINT64_C(4000000000000);
    status = xcopy("ends_1", "ends_2");
    expires_ms = 0;
    done(&status);
    region_restart(&here, &there);
    assert_int_equal(replica("ends_1", &arena).expires_ms, 0);
    assert_int_equal(replica("ends_2", &arena).expires_ms, UINT64_C(4000000000000));
}

static void test_wrong_bytes_fail_naming_peer_and_leave_nothing(void **state)
{
    (void)state;
    struct table_id table = table_make("wrong");
    overwrite(table, 1, 20, "wrong");
    snapshot_make(table, "wrong_1");
    static const enum tamper tampers[] = {TAMPER_PAGES, TAMPER_FILES};
    for (size_t i = 0; i < ARRAY_COUNT(tampers); i++) {
        there.tamper = tampers[i];
        struct task_status status = xcopy("wrong_1", "wrong_1");
        there.tamper = TAMPER_NONE;
        assert_int_equal(status.state, TASK_FAILED);
        assert_int_equal(status.error.code, ERR_PEER);
        assert_non_null(strstr(status.error.message, "peer ap-southeast-1"));
        ARENA_CLEANUP struct arena arena;
        arena_init(&arena, MIB(4));
        struct snapshot_record snapshot;
        assert_int_equal(snapshot_find(here.store, NULL, here.project, span_text("wrong_1"), &arena,
                                       &snapshot, NULL),
                         ERR_TABLE_NOT_FOUND);
    }
    struct task_status status = xcopy("wrong_1", "wrong_1");
    done(&status);
    equal("wrong_1", "wrong_1");
}

/* Its pages are all as they should be, one by one. Twice, because much of it is held the second time. */
static void test_a_partition_that_lies_across_leaves_is_not_published(void **state)
{
    (void)state;
    struct table_id table = table_make("wide");
    overwrite_wide(table, 1);
    snapshot_make(table, "wide_1");
    for (int i = 0; i < 2; i++) {
        struct task_status status = xcopy("wide_1", "wide_1");
        assert_int_equal(status.state, TASK_FAILED);
        assert_int_equal(status.error.code, ERR_PEER);
        assert_non_null(strstr(status.error.message, "peer ap-southeast-1"));
        assert_non_null(strstr(status.error.message, "rows of a partition do not add up"));
    }
    overwrite_wide(table, 0);
    snapshot_make(table, "wide_2");
    struct task_status status = xcopy("wide_2", "wide_1");
    done(&status);
    equal("wide_2", "wide_1");
    assert_int_equal(status.counters.partitions_moved, 0); /* the liar brought its file */
}

static uint64_t waited_until_ms;
static bool waited_long(const struct task_status *status)
{
    return status->elapsed_ms >= waited_until_ms;
}

/* No bytes come meanwhile: it is not the time that they are divided by. */
static void waiting_does_not_count(const struct task_id *id)
{
    struct task_status before = wait_for(id, waits_for_peer);
    waited_until_ms = before.elapsed_ms + 100;
    struct task_status later = wait_for(id, waited_long);
    assert_int_equal(later.moving_ms, before.moving_ms);
}

static void test_waits_for_its_peer_and_goes_on_after_a_restart_of_either(void **state)
{
    (void)state;
    struct table_id table = table_make("restart");
    overwrite(table, 1, 50, "restart");
    snapshot_make(table, "restart_1");
    listener_close(there.listener);
    there.listener = NULL;
    struct task_id id;
    ok(xcopy_start("restart_1", "restart_1", &id));
    waiting_does_not_count(&id);
    region_restart(&here, &there); /* nobody has to start the task again */
    wait_for(&id, waits_for_peer);
    region_restart(&there, &here);
    struct task_status status = wait_for(&id, has_ended);
    done(&status);
    assert_true(status.moving_ms < status.elapsed_ms);
    equal("restart_1", "restart_1");
    assert_int_equal(status.counters.files_moved, 50);
    region_restart(&here, &there); /* what has ended is shown as before */
    status = wait_for(&id, has_ended);
    assert_int_equal(status.counters.files_moved, 50);
    assert_int_equal(status.files_total, 50);
    assert_int_equal(status.bytes_planned, status.counters.bytes_moved);
}

static void test_cancelled_task_ends_though_its_peer_is_away(void **state)
{
    (void)state;
    struct table_id table = table_make("cancel");
    snapshot_make(table, "cancel_1");
    char address[32];
    snprintf(address, sizeof(address), "%s", there.address);
    listener_close(there.listener);
    struct task_id id;
    ok(xcopy_start("cancel_1", "cancel_1", &id));
    wait_for(&id, waits_for_peer);
    ok(tasks_cancel(here.tasks, root_principal(), &id, &err));
    struct task_status status = wait_for(&id, has_ended);
    assert_int_equal(status.state, TASK_CANCELLED);
    listen_at(&there, address);
}

/* ---- a destination that keeps to no order ---- */

/* What a peer asks for is how fast it is sent to, no more: not what it sends, and nothing is none. */
static void test_a_source_sends_as_fast_as_its_peer_says(void **state)
{
    (void)state;
    const struct peer *to = peers_find_region(there.peers, span_text(here.name));
    struct ask ask = {0}, nothing = {0}, nonsense = {0};
    BYTES_CLEANUP struct bytes header = {0};
    peer_channel_encode(&(struct peer_channel){.bits_per_second = 50000000}, &header);
    ask_post(&ask, PEER_CHANNEL, bytes_span(&header), span_of(NULL, 0));
    assert_int_equal(ask_wait(&ask), ERR_OK);
    assert_int_equal(bucket_rate(to->send_bucket), 50000000);
    assert_int_equal(bucket_rate(to->bucket), BUCKET_DEFAULT_BITS_PER_SECOND);
    ask_post(&nothing, PEER_CHANNEL, span_of(NULL, 0), span_of(NULL, 0));
    assert_int_equal(ask_wait(&nothing), ERR_BAD_DATA);
    ask_post(&nonsense, PEER_CHANNEL, span_text("nonsense"), span_of(NULL, 0));
    assert_int_equal(ask_wait(&nonsense), ERR_BAD_DATA);
    assert_int_equal(bucket_rate(to->send_bucket), 50000000);
    bucket_set_rate(to->send_bucket, 0, pool_now_us());
}

static void test_a_lease_ends_with_the_gate_though_it_is_not_renewed(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes token = {0};
    struct table_id table = table_make("closed");
    snapshot_make(table, "closed_1");
    token_make("closed_1", "closed_1", &token);
    struct ask ask = {0};
    describe_post(&ask, 200, bytes_span(&token));
    assert_int_equal(ask_wait(&ask), ERR_OK);
    assert_int_equal(root_ask(&ask), ERR_OK);
    struct change_note made = note();
    ok(project_xcopy_set(there.store, there.project, false, &made, &err));
    enum err_code closed = root_ask(&ask);
    made = note();
    ok(project_xcopy_set(there.store, there.project, true, &made, &err));
    assert_int_equal(closed, ERR_LEASE_GONE);
    assert_int_equal(root_ask(&ask), ERR_LEASE_GONE); /* and does not come back */
    bytes_deinit(&ask.body);
}

static void root_put(struct region *region, const struct public_identity *key, size_t count)
{
    principals_put(region->principals,
                   &(struct principal_spec){.name = span_text(ROOT_ACCOUNT_NAME),
                                            .account = {ROOT_ACCOUNT_ID},
                                            .number = ROOT_ACCOUNT_ID,
                                            .keys = key,
                                            .key_count = count});
}

static void test_a_lease_ends_with_the_key_that_signed(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes token = {0};
    struct table_id table = table_make("signed");
    snapshot_make(table, "signed_1");
    token_make("signed_1", "signed_1", &token);
    struct ask renewed = {0}, pages = {0}, again = {0};
    describe_post(&renewed, 210, bytes_span(&token));
    assert_int_equal(ask_wait(&renewed), ERR_OK);
    assert_int_equal(lease_ask(&renewed, PEER_RENEW), ERR_OK);
    root_put(&there, identity_public(user), 0);
    enum err_code gone = lease_ask(&renewed, PEER_RENEW);
    root_put(&there, identity_public(user), 1);
    assert_int_equal(gone, ERR_LEASE_GONE);
    assert_int_equal(lease_ask(&renewed, PEER_RENEW), ERR_LEASE_GONE); /* and does not come back */
    /* the same without a renewal, and for who is dropped whole */
    token.len = 0;
    token_make("signed_1", "signed_1", &token);
    describe_post(&pages, 211, bytes_span(&token));
    assert_int_equal(ask_wait(&pages), ERR_OK);
    assert_int_equal(root_ask(&pages), ERR_OK);
    principals_remove(there.principals, span_text(ROOT_ACCOUNT_NAME));
    enum err_code closed = root_ask(&pages);
    describe_post(&again, 211, bytes_span(&token));
    enum err_code unknown = ask_wait(&again);
    root_put(&there, identity_public(user), 1);
    assert_int_equal(closed, ERR_LEASE_GONE);
    assert_int_equal(unknown, ERR_NOT_FOUND);
    bytes_deinit(&renewed.body);
    bytes_deinit(&pages.body);
    bytes_deinit(&again.body);
}

/* At the destination: the task is not published when its signer went meanwhile. */
static void test_a_task_of_a_dropped_key_publishes_nothing(void **state)
{
    (void)state;
    struct table_id table = table_make("late");
    struct task_id id;
    overwrite(table, 1, 100, "late");
    snapshot_make(table, "late_1");
    atomic_store(&there.holds_files, true);
    ok(xcopy_start("late_1", "late_1", &id));
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    assert_non_null(atomic_load(&held));
    root_put(&here, identity_public(user), 0);
    request_let_go(&there);
    struct task_status status = wait_for(&id, has_ended);
    root_put(&here, identity_public(user), 1);
    assert_int_equal(status.state, TASK_FAILED);
    struct name_target target;
    assert_int_equal(name_find(here.store, NULL, here.project, span_text("late_1"), &target, NULL),
                     ERR_TABLE_NOT_FOUND);
}

/* The token says a region that is trusted; the key that brings it is another's. */
static void test_a_trusted_region_is_the_one_whose_key_it_is(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes token = {0};
    struct table_id table = table_make("spoofed");
    snapshot_make(table, "spoofed_1");
    struct trusted_project trusted = {.region = span_text("elsewhere"), .name = span_text("demo")};
    const char *name = here.name;
    here.name = "elsewhere";
    token_make("spoofed_1", "spoofed_1", &token);
    here.name = name;
    project_protect(true, &trusted, 1);
    struct ask ask = {0};
    describe_post(&ask, 201, bytes_span(&token));
    enum err_code code = ask_wait(&ask);
    project_protect(false, NULL, 0);
    assert_int_equal(code, ERR_DENIED);
    assert_non_null(strstr(ask.err.message, "is protected"));
    bytes_deinit(&ask.body);
}

static void test_a_token_is_used_by_one_of_many_tasks_at_once(void **state)
{
    (void)state;
    struct table_id table = table_make("once");
    snapshot_make(table, "once_1");
    for (uint8_t round = 0; round < 10; round++) {
        BYTES_CLEANUP struct bytes token = {0};
        struct ask asks[4] = {0};
        size_t granted = 0;
        token_make("once_1", "once_1", &token);
        for (uint8_t i = 0; i < ARRAY_COUNT(asks); i++)
            describe_post(&asks[i], (uint8_t)(100 + round * 4 + i), bytes_span(&token));
        for (size_t i = 0; i < ARRAY_COUNT(asks); i++) {
            granted += ask_wait(&asks[i]) == ERR_OK;
            bytes_deinit(&asks[i].body);
        }
        assert_int_equal(granted, 1);
    }
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_source_sends_as_fast_as_its_peer_says),
        cmocka_unit_test(test_copies_all_then_nothing_then_what_changed),
        cmocka_unit_test(test_what_is_compared_with_is_looked_for_where_it_may_be),
        cmocka_unit_test(test_the_same_statement_again_joins_its_task),
        cmocka_unit_test(test_unknown_snapshot_fails_with_the_sources_words),
        cmocka_unit_test(test_an_older_program_is_told_what_it_does_not_know),
        cmocka_unit_test(test_an_older_program_is_told_of_clustered_partitions),
        cmocka_unit_test(test_the_newest_replica_of_a_table_is_noted_whatever_the_order),
        cmocka_unit_test(test_gate_of_the_source_is_told),
        cmocka_unit_test(test_a_tables_name_is_refused),
        cmocka_unit_test(test_a_held_snapshot_is_not_replaced),
        cmocka_unit_test(test_a_hold_that_comes_meanwhile_ends_the_copy),
        cmocka_unit_test(test_a_replicas_end_is_its_own),
        cmocka_unit_test(test_wrong_bytes_fail_naming_peer_and_leave_nothing),
        cmocka_unit_test(test_a_partition_that_lies_across_leaves_is_not_published),
        cmocka_unit_test(test_waits_for_its_peer_and_goes_on_after_a_restart_of_either),
        cmocka_unit_test(test_cancelled_task_ends_though_its_peer_is_away),
        cmocka_unit_test(test_a_lease_ends_with_the_gate_though_it_is_not_renewed),
        cmocka_unit_test(test_a_lease_ends_with_the_key_that_signed),
        cmocka_unit_test(test_a_task_of_a_dropped_key_publishes_nothing),
        cmocka_unit_test(test_a_trusted_region_is_the_one_whose_key_it_is),
        cmocka_unit_test(test_a_token_is_used_by_one_of_many_tasks_at_once),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
