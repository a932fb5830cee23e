/* What tasks and leases keep, against their records. The store's own checks: store/fsck_test.c. */
#include "node/fsck.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "node/task/repair_grant.h"
#include "store/directory.h"
#include "store/roots.h"
#include "store/parts.h"
#include "store/store.h"

static struct store *store;
static char folder[64];
static const struct digest lease = {{5}};

static uint64_t faults_now(const char *words)
{
    char *text = NULL;
    size_t len;
    uint64_t faults = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_int_equal(references_check(store, out, &faults, NULL), ERR_OK);
    fclose(out);
    if (strstr(text, words) == NULL)
        fail_msg("'%s' does not say '%s'", text, words);
    free(text);
    return faults;
}

static void commit(struct catalog_change *change)
{
    assert_int_equal(catalog_commit(store, change, CATALOG_KEEP_RESERVE, NULL), ERR_OK);
    catalog_change_deinit(change);
}

static void leases_and_their_pages_belong_together(void **state)
{
    (void)state;
    struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    assert_int_equal(faults_now(""), 0);
    root_put(&change, (struct root_name){'l', digest_span(&lease)}, &lease, 1);
    commit(&change);
    assert_int_equal(faults_now("a lease that is not there keeps pages"), 1);
    bytes_append_text(&key, "l");
    bytes_append_span(&key, digest_span(&lease));
    catalog_put(&change, FAMILY_LEASES, bytes_span(&key), span_text("a lease"));
    commit(&change);
    assert_int_equal(faults_now(""), 0);
    root_delete(&change, (struct root_name){'l', digest_span(&lease)});
    commit(&change);
    assert_int_equal(faults_now("a lease keeps no pages"), 1);
    catalog_delete(&change, FAMILY_LEASES, bytes_span(&key));
    commit(&change);
}

/* ---- the audit log against receipts ---- */

static void audit_add(const char *action)
{
    const struct audit_record record = {.principal = span_text("p"),
                                        .action = span_text(action),
                                        .outcome = span_text(AUDIT_OUTCOME_OK)};
    assert_int_equal(audit_commit(store, &record, NULL), ERR_OK);
}

/* As a destination remembers what it gave; its signature is the peer's to check. */
static void receipt_give(uint8_t version, bool has_audit)
{
    struct audit_head head = audit_head_get(store);
    static const uint8_t signature[TOKEN_SIGNATURE_BYTES];
    const struct identity_key peer = {{version}};
    const struct receipt receipt = {.version = {{version}},
                                    .has_audit = has_audit,
                                    .audit_count = head.count,
                                    .audit_head = head.head};
    BYTES_CLEANUP struct bytes encoded = {0};
    receipt_encode(&receipt, &encoded);
    bytes_append(&encoded, signature, sizeof(signature));
    struct catalog_change change = {0};
    repair_grant_put(&change, REPAIR_GAVE, &peer, &receipt.version,
                     &(struct repair_grant){.receipt = bytes_span(&encoded)});
    commit(&change);
}

static uint64_t heads_faults(const struct audit_head *known, const char *words)
{
    char *text = NULL;
    size_t len;
    uint64_t faults = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_int_equal(audit_heads_check(store, known, out, &faults, NULL), ERR_OK);
    fclose(out);
    if (strstr(text, words) == NULL)
        fail_msg("'%s' does not say '%s'", text, words);
    free(text);
    return faults;
}

/* Whoever cuts the tail and sets count and head back leaves a log that is whole in itself. */
static void tail_cut(const struct audit_head *end, uint64_t last)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    for (uint64_t number = end->count + 1; number <= last; number++) {
        uint8_t key[8];
        store_u64(key, number);
        db_batch_delete(&batch, FAMILY_AUDIT, span_of(key, sizeof(key)));
    }
    audit_chain_end_put(end, &batch);
    assert_int_equal(db_write(store->db, &batch, true, NULL), ERR_OK);
    const struct store_options options = {.data_dir = folder, .region = "here"};
    store_close(store);
    assert_int_equal(store_open(&options, &store, NULL), ERR_OK);
    uint64_t faults = 0;
    assert_int_equal(audit_check(store, NULL, NULL, &faults, NULL), ERR_OK);
    assert_true(faults == 0);
}

static void a_cut_tail_is_found_by_a_receipt_that_was_given(void **state)
{
    (void)state;
    audit_add("a");
    struct audit_head first = audit_head_get(store);
    receipt_give(1, true);
    receipt_give(2, false); /* of before audit logs: says nothing */
    audit_add("b");
    audit_add("c");
    struct audit_head third = audit_head_get(store);
    receipt_give(3, true);
    assert_int_equal(heads_faults(NULL, ""), 0);
    assert_int_equal(heads_faults(&third, ""), 0);
    tail_cut(&first, third.count);
    assert_int_equal(heads_faults(NULL, "the tail was cut off (by a receipt that was given)"), 1);
    assert_int_equal(heads_faults(&third, "(by --audit-head)"), 2);
    audit_add("x"); /* others in their place */
    audit_add("y");
    assert_int_equal(heads_faults(NULL, "is not the one that was there"), 1);
}

static void heads_are_read_as_they_are_printed(void **state)
{
    (void)state;
    struct audit_head head;
    static const char hex[] = "00000000000000000000000000000000000000000000000000000000000000ff";
    char text[128];
    snprintf(text, sizeof(text), "12:%s", hex);
    assert_true(audit_head_parse(text, &head));
    assert_true(head.count == 12 && head.head.b[31] == 0xff);
    static const char *const wrong[] = {"", "12", "12:", ":%s", "-1:%s", " 1:%s", "1x:%s", "1:%s0"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        BYTES_CLEANUP struct bytes out = {0};
        for (const char *c = wrong[i]; *c != '\0'; c++) {
            if (*c == '%' && *++c == 's')
                bytes_append_text(&out, hex);
            else
                bytes_append_u8(&out, (uint8_t)*c);
        }
        bytes_append_u8(&out, 0);
        assert_false(audit_head_parse((const char *)out.data, &head));
    }
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/strait-fsck-XXXXXX");
    const struct store_options options = {.data_dir = folder, .region = "here"};
    return mkdtemp(folder) == NULL || store_open(&options, &store, NULL) != ERR_OK;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    return directory_clear(folder, NULL) != ERR_OK || rmdir(folder) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leases_and_their_pages_belong_together),
        cmocka_unit_test(a_cut_tail_is_found_by_a_receipt_that_was_given),
        cmocka_unit_test(heads_are_read_as_they_are_printed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
