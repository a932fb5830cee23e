/* SNAPSHOT_RECEIPTS and `replicas`: what is kept is shown to who may see the snapshot, checked again. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/task/receipts.h"
#include "node/task/repair_grant.h"
#include "store/snapshot.h"

#define VIEW                                                                                       \
    "SELECT snapshot, published, row_count, bytes, partitions, audit_entries, signature FROM "     \
    "SYSTEM_CATALOG.INFORMATION_SCHEMA.SNAPSHOT_RECEIPTS WHERE project='@' ORDER BY published"

static struct trial trial;
static struct identity *node; /* of another region */
static struct err err;
#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != ERR_OK)                                                                      \
            fail_msg("%s: %s", #call, err.message);                                                \
    } while (0)

static int group_setup(void **state)
{
    (void)state;
    trial_start(&trial);
    node = identity_generate();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    identity_free(node);
    trial_stop(&trial);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    trial.as = NULL;
    trial_project_of_rows(&trial);
    return 0;
}

static struct project_id project_here(void)
{
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    ok(project_find(trial.store, NULL, span_text(trial.project), &arena, &project, &err));
    return project.id;
}

static struct receipt receipt_of(const char *snapshot, struct bytes *ret_encoded)
{
    struct version_ref ref = trial_version(&trial, snapshot);
    struct receipt receipt = {.version = ref.version,
                              .signer = identity_public(node)->sign,
                              .published_ms = 1767225600000, /* 2026-01-01 */
                              .has_audit = true,
                              .audit_count = 9,
                              .has_totals = true,
                              .rows = 3,
                              .bytes = 70,
                              .partitions = 1};
    struct signature signature;
    receipt_encode(&receipt, ret_encoded);
    identity_sign(node, RECEIPT_DOMAIN, bytes_span(ret_encoded), &signature);
    bytes_append(ret_encoded, signature.b, sizeof(signature.b));
    return receipt;
}

static void keep(struct project_id project, const struct receipt *receipt,
                 const struct bytes *encoded)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    receipt_keep(&change, project, receipt, bytes_span(encoded));
    ok(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err));
}

#define SHOWN "s,2026-01-01 00:00:00,3,70,1,9,right"

static void what_was_taken_is_shown_beside_the_snapshot(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes encoded = {0};
    BYTES_CLEANUP struct bytes listed = {0};
    trial_gives(&trial, VIEW, "");
    struct receipt receipt = receipt_of("s", &encoded);
    keep(project_here(), &receipt, &encoded);
    trial_gives(&trial, VIEW, SHOWN);
    assert_int_equal(trial_run(&trial, "SHOW SNAPSHOT TABLES", &listed), ERR_OK);
    bytes_append_u8(&listed, 0);
    assert_non_null(strstr((char *)listed.data, ",NULL,NULL,1")); /* replicas */
    trial_gives(&trial, "DROP SNAPSHOT TABLE s", "");
    trial_gives(&trial, VIEW, "");
}

static void a_receipt_that_was_changed_is_shown_as_wrong_and_not_counted(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes encoded = {0};
    BYTES_CLEANUP struct bytes listed = {0};
    struct receipt receipt = receipt_of("s", &encoded);
    encoded.data[encoded.len - TOKEN_SIGNATURE_BYTES - 1] ^= 1; /* partitions: 0 */
    keep(project_here(), &receipt, &encoded);
    trial_gives(&trial, VIEW, "s,2026-01-01 00:00:00,3,70,0,9,wrong");
    assert_int_equal(trial_run(&trial, "SHOW SNAPSHOT TABLES", &listed), ERR_OK);
    bytes_append_u8(&listed, 0);
    assert_non_null(strstr((char *)listed.data, ",NULL,NULL,0"));
    encoded.len = 10; /* not even one */
    keep(project_here(), &receipt, &encoded);
    trial_gives(&trial, VIEW, "s,NULL,NULL,NULL,NULL,NULL,wrong");
}

/* Equal content has one version, whoever's it is; receipts are a project's own. */
static void another_project_s_copy_of_equal_content_does_not_show(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes encoded = {0};
    struct project_id others = project_here();
    struct receipt receipt = receipt_of("s", &encoded);
    keep(others, &receipt, &encoded);
    trial_project_of_rows(&trial);
    struct version_ref ref = trial_version(&trial, "s");
    assert_true(digest_equal(&ref.version, &receipt.version));
    trial_gives(&trial, VIEW, "");
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    const struct repair_grant grant = {.receipt = bytes_span(&encoded), .project = others};
    repair_grant_put(&change, REPAIR_TOOK, &receipt.signer, &receipt.version, &grant);
    ok(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err));
    trial_gives(&trial, VIEW, "");
}

/* By its grant; once it is kept for itself, it is one still. */
static void one_that_was_taken_before_is_known_by_its_grant(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes encoded = {0};
    struct receipt receipt = receipt_of("s", &encoded);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    const struct repair_grant grant = {.receipt = bytes_span(&encoded), .project = project_here()};
    repair_grant_put(&change, REPAIR_TOOK, &receipt.signer, &receipt.version, &grant);
    ok(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err));
    trial_gives(&trial, VIEW, SHOWN);
    keep(project_here(), &receipt, &encoded);
    trial_gives(&trial, VIEW, SHOWN);
}

static void it_is_shown_to_who_may_describe_the_snapshot(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes encoded = {0};
    struct receipt receipt = receipt_of("s", &encoded);
    keep(project_here(), &receipt, &encoded);
    trial_allows(&trial, &trial.stranger, VIEW, "");
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT List ON PROJECT @ TO USER ALIYUN$other");
    trial_allows(&trial, &trial.other, VIEW, "");
    trial_root(&trial, "GRANT Describe ON TABLE s TO USER ALIYUN$other");
    trial_allows(&trial, &trial.other, VIEW, SHOWN);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_taken_is_shown_beside_the_snapshot),
        TEST(a_receipt_that_was_changed_is_shown_as_wrong_and_not_counted),
        TEST(another_project_s_copy_of_equal_content_does_not_show),
        TEST(one_that_was_taken_before_is_known_by_its_grant),
        TEST(it_is_shown_to_who_may_describe_the_snapshot),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
