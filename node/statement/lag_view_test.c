/* XCOPY_LAG shows what a source told the account that owns the project, and nothing of another's; what nobody is shown
 * any more is swept (node/leftovers.h). With copies between two nodes: cluster-tests/test_usage.py, test_trigger.py. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/expiry.h"
#include "node/leftovers.h"
#include "node/task/meter.h"
#include "node/task/receipts.h"
#include "store/damage.h"
#include "store/snapshot.h"

#define AT UINT64_C(1767225600000) /* 2026-01-01 */
#define VIEW                                                                                       \
    "SELECT source_table, replicas, newest_replica, snapshot_made, source_newest_made, "           \
    "source_told, lag_seconds FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_LAG "                   \
    "WHERE project='@' ORDER BY source_table"

static struct trial trial;
static struct err err;
static struct table_id sales; /* of the source: another one in each test */
#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != ERR_OK)                                                                      \
            fail_msg("%s: %s", #call, err.message);                                                \
    } while (0)

static int group_setup(void **state)
{
    (void)state;
    trial_start(&trial);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    trial_stop(&trial);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    trial.as = NULL;
    trial_project_of_rows(&trial);
    sales.n += 1000;
    return 0;
}

static void replica(const char *name, const char *region, struct table_id table, uint64_t made_ms)
{
    trial_replica(&trial, name,
                  &(struct trial_origin){.region = region,
                                         .project = "far",
                                         .table = table.n == sales.n ? "sales" : "orders",
                                         .created_ms = made_ms,
                                         .here_ms = made_ms + 1000,
                                         .table_id = table});
}

static void told_at(const struct principal *principal, struct table_id table, uint64_t made_ms,
                    uint64_t told_ms)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    meter_newest_put(&change, &(struct meter_newest){.account = principal->account,
                                                     .table = table,
                                                     .region = span_text("ap-1"),
                                                     .made_ms = made_ms,
                                                     .told_ms = told_ms});
    ok(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err));
}

/* The source has told the account so, a second after it was made. */
static void told(const struct principal *principal, struct table_id table, uint64_t made_ms)
{
    told_at(principal, table, made_ms, made_ms + 1000);
}

static bool record_is_there(enum family family, struct span key)
{
    BYTES_CLEANUP struct bytes value = {0};
    bool found;
    ok(catalog_find(trial.store, NULL, family, key, &value, &found, &err));
    return found;
}

static bool knows(const struct principal *principal, struct table_id table)
{
    struct meter_newest newest = {
        .account = principal->account, .table = table, .region = span_text("ap-1")};
    ok(meter_newest_find(trial.store, &newest, &err));
    return newest.made_ms != 0;
}

static void first_form_put(struct table_id table, const char *region, struct bytes *ret_key)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t value[16];
    store_u64(value, AT + 5000);
    store_u64(value + 8, AT + 6000);
    bytes_append_u8(ret_key, 'n');
    bytes_append_u64(ret_key, table.n);
    bytes_append_text(ret_key, region);
    catalog_put(&change, FAMILY_METER, bytes_span(ret_key), span_of(value, sizeof(value)));
    ok(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err));
}

/* ---- what is shown ---- */

static void the_newest_replica_of_each_table_is_shown(void **state)
{
    (void)state;
    replica("a", "ap-1", sales, AT);
    replica("b", "ap-1", sales, AT + 3000);
    replica("c", "ap-1", sales, AT + 2000);
    replica("o", "ap-1", (struct table_id){sales.n + 1}, AT);
    told(&trial.root, sales, AT + 63000);
    trial_gives(&trial, VIEW,
                "orders,1,o,2026-01-01 00:00:00,NULL,NULL,NULL;"
                "sales,3,b,2026-01-01 00:00:03,2026-01-01 00:01:03,2026-01-01 00:01:04,60");
}

/* What the source made since is not known: only while that was told lately is a replica level with it. */
static void a_replica_is_level_only_while_that_was_told_lately(void **state)
{
    (void)state;
    static const char view[] =
        "SELECT lag_seconds, told_seconds / 3600 >= 26, told_seconds IS NULL FROM "
        "SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_LAG WHERE project='@'";
    const uint64_t hour_ms = 3600 * 1000, now_ms = statement_now_ms();
    replica("a", "ap-1", sales, AT);
    trial_gives(&trial, view, "NULL,NULL,true");
    told_at(&trial.root, sales, AT, now_ms - 25 * hour_ms);
    trial_gives(&trial, view, "0,false,false");
    told_at(&trial.root, sales, AT, now_ms - 27 * hour_ms);
    trial_gives(&trial, view, "NULL,true,false");
    told_at(&trial.root, sales, AT, now_ms + 27 * hour_ms); /* by a clock that was ahead */
    trial_gives(&trial, view, "NULL,false,false");
    told_at(&trial.root, sales, AT + 9000, now_ms - 27 * hour_ms); /* behind is behind */
    trial_gives(&trial, view, "9,true,false");
}

static void a_damaged_replica_counts_as_none(void **state)
{
    (void)state;
    static const char view[] =
        "SELECT replicas, damaged_replicas, newest_replica, snapshot_made, replicated IS NULL, "
        "age_seconds IS NULL, lag_seconds FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_LAG "
        "WHERE project='@'";
    const struct version_ref first = trial_version(&trial, "s");
    replica("b", "ap-1", sales, AT + 1000);
    trial_root(&trial, "INSERT INTO t VALUES (77)");
    trial_root(&trial, "CREATE OR REPLACE SNAPSHOT TABLE s CLONE t");
    const struct version_ref second = trial_version(&trial, "s");
    replica("a", "ap-1", sales, AT + 3000);
    replica("c", "ap-1", sales, AT + 2000);
    told_at(&trial.root, sales, AT + 3000, statement_now_ms());
    damage_note(trial.store, &second.page, DAMAGE_PAGE, "as told");
    trial_gives(&trial, view, "3,2,b,2026-01-01 00:00:01,false,false,2");
    damage_note(trial.store, &first.page, DAMAGE_PAGE, "as told");
    trial_gives(&trial, view, "3,3,NULL,NULL,true,true,NULL");
    ok(damage_forget(trial.store, &first.page, &err));
    ok(damage_forget(trial.store, &second.page, &err));
    trial_gives(&trial, view, "3,0,a,2026-01-01 00:00:03,false,false,0");
}

static void what_another_account_was_told_does_not_show(void **state)
{
    (void)state;
    static const char nothing[] = "sales,1,old,2026-01-01 00:00:00,NULL,NULL,NULL";
    replica("old", "ap-1", sales, AT);
    told(&trial.other, sales, AT + 63000);
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_gives(&trial, VIEW, nothing);
    trial_root(&trial, "GRANT Describe ON TABLE old TO USER ALIYUN$other");
    trial_allows(&trial, &trial.other, VIEW, nothing); /* the project's owner was told nothing */
    told(&trial.root, sales, AT + 33000);
    trial_gives(&trial, VIEW,
                "sales,1,old,2026-01-01 00:00:00,2026-01-01 00:00:33,2026-01-01 00:00:34,33");
}

static void a_record_of_the_first_form_is_shown_to_nobody(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes key = {0};
    replica("old", "ap-1", sales, AT);
    first_form_put(sales, "ap-1", &key);
    trial_gives(&trial, VIEW, "sales,1,old,2026-01-01 00:00:00,NULL,NULL,NULL");
    told(&trial.root, sales, AT);
    ok(leftovers_sweep(trial.store, 0, NULL, &err));
    assert_false(record_is_there(FAMILY_METER, bytes_span(&key)));
    assert_true(knows(&trial.root, sales));
}

/* ---- what is swept ---- */

static void what_was_told_goes_with_the_last_replica(void **state)
{
    (void)state;
    const struct table_id other = {sales.n}, young = {sales.n + 1}, kept = {sales.n + 2};
    replica("k", "ap-1", kept, AT);
    told(&trial.root, other, AT);
    told(&trial.root, young, AT + 9000);
    told(&trial.root, kept, AT);
    told(&trial.other, kept, AT); /* who has no replica of it */
    ok(leftovers_sweep(trial.store, AT + 1000, NULL, &err));
    assert_true(knows(&trial.root, other)); /* told just then */
    ok(leftovers_sweep(trial.store, AT + 9000, NULL, &err));
    assert_false(knows(&trial.root, other));
    assert_true(knows(&trial.root, young));
    assert_true(knows(&trial.root, kept));
    assert_false(knows(&trial.other, kept));
    trial_root(&trial, "DROP SNAPSHOT TABLE k");
    ok(leftovers_sweep(trial.store, AT + 9000, NULL, &err));
    assert_false(knows(&trial.root, kept));
}

/* A look at what is here that did not come to its end says of nothing that it is gone. */
static void a_sweep_that_is_cancelled_takes_nothing(void **state)
{
    (void)state;
    atomic_bool cancelled = true;
    told(&trial.root, sales, AT);
    assert_int_equal(leftovers_sweep(trial.store, AT + 9000, &cancelled, &err), ERR_CANCELLED);
    assert_true(knows(&trial.root, sales));
    atomic_store(&cancelled, false);
    ok(leftovers_sweep(trial.store, AT + 9000, &cancelled, &err));
    assert_false(knows(&trial.root, sales));
}

static void more_than_one_commit_takes_are_swept(void **state)
{
    (void)state;
    const size_t count = 1500;
    for (size_t i = 0; i < count; i++)
        told(&trial.root, (struct table_id){sales.n + i}, AT);
    ok(leftovers_sweep(trial.store, AT + 9000, NULL, &err));
    for (size_t i = 0; i < count; i++)
        assert_false(knows(&trial.root, (struct table_id){sales.n + i}));
}

/* As a running node takes it up: what the option said when it was opened holds no more. */
static void the_retention_that_was_set_last_holds(void **state)
{
    (void)state;
    struct expiry *expiry;
    const uint64_t hour_ms = 3600 * 1000;
    const struct expiry_options options = {.store = trial.store,
                                           .history_retention_ms = 365 * 24 * hour_ms};
    told(&trial.root, sales, statement_now_ms() - 2 * hour_ms);
    ok(expiry_open(&options, &expiry, &err));
    expiry_set_history(expiry, hour_ms);
    expiry_run(expiry);
    assert_false(knows(&trial.root, sales));
    expiry_free(expiry);
}

static void nothing_expires_once_the_node_stops(void **state)
{
    (void)state;
    struct expiry *expiry;
    ok(expiry_open(&(struct expiry_options){.store = trial.store}, &expiry, &err));
    told(&trial.root, sales, AT);
    expiry_stop(expiry);
    expiry_run(expiry);
    assert_true(knows(&trial.root, sales));
    expiry_free(expiry);
}

static struct project_id project_here(void)
{
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    ok(project_find(trial.store, NULL, span_text(trial.project), &arena, &project, &err));
    return project.id;
}

static enum err_code receipt_counted(void *context, const struct receipt_kept *kept,
                                     struct err *unused)
{
    (void)kept;
    (void)unused;
    ++*(size_t *)context;
    return ERR_OK;
}

static size_t receipts_kept(struct project_id project, const struct digest *version)
{
    size_t count = 0;
    ok(receipts_each(trial.store, project, version, receipt_counted, &count, &err));
    return count;
}

static void a_receipt_goes_with_the_last_snapshot_of_its_version(void **state)
{
    (void)state;
    struct project_id project = project_here();
    struct version_ref ref = trial_version(&trial, "s");
    for (uint8_t i = 0; i < 2; i++) { /* published at AT, and a day later */
        CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
        BYTES_CLEANUP struct bytes encoded = {0};
        struct receipt receipt = {.version = ref.version,
                                  .signer = {{(uint8_t)(i + 1)}},
                                  .published_ms = AT + i * UINT64_C(86400000)};
        receipt_encode(&receipt, &encoded);
        bytes_append(&encoded, receipt.signature, sizeof(receipt.signature));
        receipt_keep(&change, project, &receipt, bytes_span(&encoded));
        ok(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err));
    }
    trial_root(&trial, "CREATE SNAPSHOT TABLE s2 CLONE t"); /* of the same version */
    trial_root(&trial, "DROP SNAPSHOT TABLE s");
    ok(leftovers_sweep(trial.store, AT + 1000, NULL, &err));
    assert_int_equal(receipts_kept(project, &ref.version), 2);
    trial_root(&trial, "DROP SNAPSHOT TABLE s2");
    ok(leftovers_sweep(trial.store, AT, NULL, &err));
    assert_int_equal(receipts_kept(project, &ref.version), 2);
    ok(leftovers_sweep(trial.store, AT + 1000, NULL, &err));
    assert_int_equal(receipts_kept(project, &ref.version), 1);
    trial_is_whole(&trial);
}

static void unreadable_put(struct project_id project, const struct digest *version,
                           struct bytes *ret_key)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    static const struct identity_key signer = {{7}};
    bytes_append_u8(ret_key, 'y');
    bytes_append_u64(ret_key, project.n);
    bytes_append(ret_key, version->b, DIGEST_BYTES);
    bytes_append(ret_key, signer.b, sizeof(signer.b));
    catalog_put(&change, FAMILY_LEASES, bytes_span(ret_key), span_text("no receipt"));
    ok(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err));
}

/* Where a snapshot has its version it is shown as what is not true. */
static void a_receipt_that_cannot_be_read_stays_only_where_it_is_shown(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes shown = {0};
    BYTES_CLEANUP struct bytes another = {0};
    BYTES_CLEANUP struct bytes elsewhere = {0};
    struct project_id project = project_here();
    struct version_ref ref = trial_version(&trial, "s");
    unreadable_put(project, &ref.version, &shown);
    unreadable_put(project, &(struct digest){{9}}, &another);
    unreadable_put((struct project_id){project.n + 1000}, &ref.version, &elsewhere);
    ok(leftovers_sweep(trial.store, 0, NULL, &err));
    assert_true(record_is_there(FAMILY_LEASES, bytes_span(&shown)));
    assert_false(record_is_there(FAMILY_LEASES, bytes_span(&another)));
    assert_false(record_is_there(FAMILY_LEASES, bytes_span(&elsewhere)));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_newest_replica_of_each_table_is_shown),
        TEST(a_replica_is_level_only_while_that_was_told_lately),
        TEST(a_damaged_replica_counts_as_none),
        TEST(what_another_account_was_told_does_not_show),
        TEST(a_record_of_the_first_form_is_shown_to_nobody),
        TEST(what_was_told_goes_with_the_last_replica),
        TEST(a_sweep_that_is_cancelled_takes_nothing),
        TEST(more_than_one_commit_takes_are_swept),
        TEST(the_retention_that_was_set_last_holds),
        TEST(nothing_expires_once_the_node_stops),
        TEST(a_receipt_goes_with_the_last_snapshot_of_its_version),
        TEST(a_receipt_that_cannot_be_read_stays_only_where_it_is_shown),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
