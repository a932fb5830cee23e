/* The audit log: with the change or not at all, in one order, and each tampering is found. */
#include "store/audit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "store/parts.h"
#include "store/trial.h"

static const struct digest root = {{1}};

static struct audit_record record_of(const char *message)
{
    return (struct audit_record){.principal = span_text("p"),
                                 .action = span_text("TEST"),
                                 .outcome = span_text(AUDIT_OUTCOME_OK),
                                 .message = span_text(message)};
}

static void add(struct trial *trial, const char *message)
{
    struct audit_record record = record_of(message);
    assert_int_equal(audit_commit(trial->store, &record, &trial->err), ERR_OK);
}

static void add_many(struct trial *trial, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char message[32];
        snprintf(message, sizeof(message), "m%zu", i + 1);
        add(trial, message);
    }
}

/* ---- reading and checking ---- */

static enum err_code message_append(void *context, const struct audit_entry *entry, bool *ret_stop,
                                    struct err *err)
{
    (void)err;
    bytes_append_span(context, entry->record.message);
    bytes_append_u8(context, ' ');
    *ret_stop = span_equal(entry->record.message, span_text("stop"));
    return ERR_OK;
}

static uint64_t reads(struct trial *trial, uint64_t from, size_t count_max, const char *messages)
{
    BYTES_CLEANUP struct bytes text = {0};
    uint64_t next = 0;
    assert_int_equal(
        audit_each(trial->store, from, count_max, message_append, &text, &next, &trial->err),
        ERR_OK);
    bytes_append_u8(&text, 0);
    assert_string_equal((const char *)text.data, messages);
    return next;
}

static void fault_hear(void *context, const char *what)
{
    struct bytes *heard = context;
    bytes_append_text(heard, what);
    bytes_append_text(heard, "\n");
}

/* words NULL: nothing is wrong; else exactly one fault, with these words. */
static void checks(struct trial *trial, const char *words)
{
    BYTES_CLEANUP struct bytes heard = {0};
    uint64_t faults = 0;
    assert_int_equal(audit_check(trial->store, fault_hear, &heard, &faults, &trial->err), ERR_OK);
    bytes_append_u8(&heard, 0);
    if (faults != (words == NULL ? 0 : 1) ||
        (words != NULL && strstr((const char *)heard.data, words) == NULL))
        fail_msg("%d faults: %s", (int)faults, (const char *)heard.data);
}

static void compares(struct trial *trial, const struct audit_head *known, const char *words)
{
    char why[ERR_MESSAGE_BYTES] = "";
    bool is;
    assert_int_equal(audit_compare(trial->store, known, &is, why, &trial->err), ERR_OK);
    assert_int_equal(is, words == NULL);
    if (words != NULL && strstr(why, words) == NULL)
        fail_msg("%s", why);
}

static struct audit_head head(struct trial *trial)
{
    return audit_head_get(trial->store);
}

/* ---- what somebody with the disk might do ---- */

static void entry_read(struct trial *trial, uint64_t number, struct bytes *ret_value)
{
    uint8_t key[8];
    bool found;
    store_u64(key, number);
    assert_int_equal(db_find(trial->store->db, NULL, FAMILY_AUDIT, span_of(key, 8), ret_value,
                             &found, &trial->err),
                     ERR_OK);
    assert_true(found);
}

static void entry_put(struct trial *trial, uint64_t number, struct span value)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    uint8_t key[8];
    store_u64(key, number);
    db_batch_put(&batch, FAMILY_AUDIT, span_of(key, 8), value);
    assert_int_equal(db_write(trial->store->db, &batch, true, &trial->err), ERR_OK);
}

static void entry_remove(struct trial *trial, uint64_t number)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    uint8_t key[8];
    store_u64(key, number);
    db_batch_delete(&batch, FAMILY_AUDIT, span_of(key, 8));
    assert_int_equal(db_write(trial->store->db, &batch, true, &trial->err), ERR_OK);
}

static void end_put(struct trial *trial, const struct audit_head *end)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    audit_chain_end_put(end, &batch);
    assert_int_equal(db_write(trial->store->db, &batch, true, &trial->err), ERR_OK);
}

/* ---- tests ---- */

static void entries_come_back_in_order_and_survive_reopening(void **state)
{
    struct trial *trial = *state;
    struct audit_head before = head(trial);
    assert_true(before.count == 0 && digest_is_zero(&before.head));
    checks(trial, NULL);
    add_many(trial, 5);
    assert_true(head(trial).count == 5);
    assert_true(reads(trial, 1, 3, "m1 m2 m3 ") == 4);
    assert_true(reads(trial, 4, 100, "m4 m5 ") == 6);
    assert_true(reads(trial, 6, 100, "") == 6);
    checks(trial, NULL);
    before = head(trial);
    trial_reopen(trial);
    struct audit_head after = head(trial);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(audit_opened(trial->store, &trial->err), ERR_OK);
    add(trial, "stop");
    assert_true(head(trial).count == 6);
    assert_true(reads(trial, 5, 100, "m5 stop ") == 7);
    checks(trial, NULL);
    compares(trial, &before, NULL);
}

static void an_entry_is_with_its_change_or_not_at_all(void **state)
{
    struct trial *trial = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    struct audit_record record = record_of("no");
    catalog_expect(&change, FAMILY_CATALOG, span_text("absent"), span_text("x"));
    audit_put(&change, &record);
    assert_int_equal(catalog_commit(trial->store, &change, CATALOG_KEEP_RESERVE, &trial->err),
                     ERR_CONFLICT);
    assert_true(head(trial).count == 0);
    catalog_change_clear(&change);
    struct audit_record first = record_of("a"), second = record_of("b");
    audit_put(&change, &first);
    catalog_put(&change, FAMILY_CATALOG, span_text("k"), span_text("v"));
    audit_put(&change, &second);
    assert_int_equal(catalog_commit(trial->store, &change, CATALOG_KEEP_RESERVE, &trial->err),
                     ERR_OK);
    reads(trial, 1, 100, "a b ");
    checks(trial, NULL);
}

static void a_change_is_counted_with_what_the_chain_adds(void **state)
{
    struct trial *trial = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    struct bytes record BYTES_CLEANUP = {0};
    bytes_reserve(&record, CATALOG_COMMIT_BYTES_MAX);
    memset(record.data, 0, CATALOG_COMMIT_BYTES_MAX);
    catalog_audit(&change, span_of(record.data, CATALOG_COMMIT_BYTES_MAX - AUDIT_ENTRY_BYTES + 1));
    assert_int_equal(catalog_commit(trial->store, &change, CATALOG_KEEP_RESERVE, &trial->err),
                     ERR_LIMIT);
}

struct adder {
    struct store *store;
    enum err_code code;
};

#define ADDERS       4
#define ADDS_BY_EACH 25

static void *adder_run(void *argument)
{
    struct adder *adder = argument;
    struct audit_record record = record_of("x");
    for (int i = 0; i < ADDS_BY_EACH && adder->code == ERR_OK; i++)
        adder->code = audit_commit(adder->store, &record, NULL);
    return NULL;
}

static void many_at_once_get_one_order_and_none_is_refused(void **state)
{
    struct trial *trial = *state;
    struct adder adders[ADDERS];
    pthread_t threads[ADDERS];
    for (size_t i = 0; i < ADDERS; i++) {
        adders[i] = (struct adder){trial->store, ERR_OK};
        assert_int_equal(pthread_create(&threads[i], NULL, adder_run, &adders[i]), 0);
    }
    for (size_t i = 0; i < ADDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(adders[i].code, ERR_OK);
    }
    assert_true(head(trial).count == ADDERS * ADDS_BY_EACH);
    checks(trial, NULL);
}

static void an_entry_that_was_taken_away_is_found(void **state)
{
    struct trial *trial = *state;
    add_many(trial, 6);
    entry_remove(trial, 3);
    checks(trial, "entry 3 is missing");
    uint64_t next;
    BYTES_CLEANUP struct bytes text = {0};
    assert_int_equal(audit_each(trial->store, 1, 100, message_append, &text, &next, &trial->err),
                     ERR_CORRUPT);
    assert_non_null(strstr(trial->err.message, "entry 3 is missing"));
    entry_remove(trial, 4);
    checks(trial, "entries 3 to 4 are missing");
    trial_reopen(trial);
    assert_int_equal(audit_opened(trial->store, &trial->err), ERR_CORRUPT);
    assert_non_null(strstr(trial->err.message, "entries 3 to 4 are missing"));
    add(trial, "on"); /* the log goes on, and does not heal */
    checks(trial, "entries 3 to 4 are missing");
}

static void the_first_entry_is_missed_as_well(void **state)
{
    struct trial *trial = *state;
    add_many(trial, 2);
    entry_remove(trial, 1);
    checks(trial, "entry 1 is missing");
}

static void an_entry_that_was_changed_is_found(void **state)
{
    struct trial *trial = *state;
    struct bytes value BYTES_CLEANUP = {0};
    add_many(trial, 4);
    entry_read(trial, 2, &value);
    value.data[value.len - 1] = '9'; /* m2 becomes m9: still a record */
    entry_put(trial, 2, bytes_span(&value));
    checks(trial, "entry 3 does not follow from entry 2");
    trial_reopen(trial);
    assert_int_equal(audit_opened(trial->store, &trial->err), ERR_CORRUPT);
}

static void the_last_entry_cannot_be_changed_either(void **state)
{
    struct trial *trial = *state;
    struct bytes value BYTES_CLEANUP = {0};
    add_many(trial, 4);
    entry_read(trial, 4, &value);
    value.data[value.len - 1] = '9';
    entry_put(trial, 4, bytes_span(&value));
    checks(trial, "the last entry, 4, is not what its head says");
}

static void entries_cannot_change_places(void **state)
{
    struct trial *trial = *state;
    struct bytes value BYTES_CLEANUP = {0};
    struct audit_head one;
    add(trial, "same");
    one = head(trial);
    entry_read(trial, 1, &value);
    entry_put(trial, 2,
              bytes_span(&value)); /* the number is in the digest: a copy is another entry */
    end_put(trial, &(struct audit_head){2, one.head});
    trial_reopen(trial);
    BYTES_CLEANUP struct bytes heard = {0};
    uint64_t faults = 0;
    assert_int_equal(audit_check(trial->store, fault_hear, &heard, &faults, &trial->err), ERR_OK);
    assert_true(faults == 2); /* it does not follow, and it is not the head */
}

static void an_entry_that_cannot_be_read_is_told(void **state)
{
    struct trial *trial = *state;
    add_many(trial, 3);
    BYTES_CLEANUP struct bytes heard = {0};
    BYTES_CLEANUP struct bytes text = {0};
    uint64_t faults = 0, next;
    entry_put(trial, 2, span_text("short"));
    assert_int_equal(audit_check(trial->store, fault_hear, &heard, &faults, &trial->err), ERR_OK);
    bytes_append_u8(&heard, 0);
    assert_non_null(strstr((const char *)heard.data, "entry 2 has 5 bytes"));
    assert_int_equal(audit_each(trial->store, 1, 9, message_append, &text, &next, &trial->err),
                     ERR_CORRUPT);
}

static void a_tail_that_was_cut_is_found_by_the_count(void **state)
{
    struct trial *trial = *state;
    add_many(trial, 5);
    entry_remove(trial, 5);
    entry_remove(trial, 4);
    checks(trial, "it ends with entry 3, its count is 5: the tail was cut off");
    trial_reopen(trial);
    assert_int_equal(audit_opened(trial->store, &trial->err), ERR_CORRUPT);
    assert_true(head(trial).count == 5); /* no number is given twice */
    add(trial, "on");
    checks(trial, "entries 4 to 5 are missing");
}

/* Whoever sets count and head back as well leaves a log that is whole. */
static void a_tail_cut_with_its_count_is_found_by_a_head_that_is_known_elsewhere(void **state)
{
    struct trial *trial = *state;
    add_many(trial, 3);
    struct audit_head third = head(trial);
    add_many(trial, 2);
    struct audit_head fifth = head(trial);
    compares(trial, &fifth, NULL);
    compares(trial, &(struct audit_head){0}, NULL);
    entry_remove(trial, 5);
    entry_remove(trial, 4);
    end_put(trial, &third);
    trial_reopen(trial);
    assert_int_equal(audit_opened(trial->store, &trial->err), ERR_OK);
    checks(trial, NULL);
    compares(trial, &third, NULL);
    compares(trial, &fifth, "it had 5 entries once");
    add(trial, "other"); /* and when others have been written since */
    add_many(trial, 3);
    checks(trial, NULL);
    compares(trial, &fifth, "entry 5 is not the one that was there");
}

static void entries_behind_the_count_are_found_and_never_written_over(void **state)
{
    struct trial *trial = *state;
    add_many(trial, 2);
    struct audit_head second = head(trial);
    add(trial, "third");
    end_put(trial, &second);
    checks(trial, "it ends with entry 3, its count is 2");
    trial_reopen(trial);
    assert_int_equal(audit_opened(trial->store, &trial->err), ERR_CORRUPT);
    assert_true(head(trial).count == 3);
    add(trial, "fourth");
    assert_true(reads(trial, 3, 9, "third fourth ") == 5);
}

static void opening_looks_at_the_end_alone_and_fsck_at_all(void **state)
{
    struct trial *trial = *state;
    for (int i = 0; i < 26; i++) {
        struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
        struct audit_record record = record_of("x");
        for (int k = 0; k < 40; k++)
            audit_put(&change, &record);
        assert_int_equal(catalog_commit(trial->store, &change, CATALOG_KEEP_RESERVE, &trial->err),
                         ERR_OK);
    }
    entry_remove(trial, 7);
    trial_reopen(trial);
    assert_int_equal(audit_opened(trial->store, &trial->err), ERR_OK);
    checks(trial, "entry 7 is missing");
    entry_remove(trial, 1035);
    trial_reopen(trial);
    assert_int_equal(audit_opened(trial->store, &trial->err), ERR_CORRUPT);
}

static void fsck_tells_of_it(void **state)
{
    struct trial *trial = *state;
    struct fsck_counts counts;
    add_many(trial, 3);
    assert_int_equal(
        store_fsck(trial->store, toy_tree(), FSCK_RESOLVE, NULL, NULL, &counts, &trial->err),
        ERR_OK);
    assert_true(counts.faults == 0);
    entry_remove(trial, 2);
    assert_int_equal(
        store_fsck(trial->store, toy_tree(), FSCK_RESOLVE, NULL, NULL, &counts, &trial->err),
        ERR_OK);
    assert_true(counts.faults == 1);
}

static void after_a_failed_write_the_end_is_read_again(void **state)
{
    struct trial *trial = *state;
    add_many(trial, 2);
    struct audit_head second = head(trial);
    add(trial, "landed"); /* as a write whose answer was an error may have */
    struct audit_head third = head(trial);
    audit_chain_committed(&trial->store->audit, &second);
    trial->store->audit.stale = true;
    assert_int_equal(toy_publish(trial->store, "x", &root, &trial->err), ERR_OK);
    assert_true(head(trial).count == 4);
    compares(trial, &third, NULL);
    checks(trial, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(entries_come_back_in_order_and_survive_reopening),
        TRIAL(an_entry_is_with_its_change_or_not_at_all),
        TRIAL(a_change_is_counted_with_what_the_chain_adds),
        TRIAL(many_at_once_get_one_order_and_none_is_refused),
        TRIAL(an_entry_that_was_taken_away_is_found),
        TRIAL(the_first_entry_is_missed_as_well),
        TRIAL(an_entry_that_was_changed_is_found),
        TRIAL(the_last_entry_cannot_be_changed_either),
        TRIAL(entries_cannot_change_places),
        TRIAL(an_entry_that_cannot_be_read_is_told),
        TRIAL(a_tail_that_was_cut_is_found_by_the_count),
        TRIAL(a_tail_cut_with_its_count_is_found_by_a_head_that_is_known_elsewhere),
        TRIAL(entries_behind_the_count_are_found_and_never_written_over),
        TRIAL(opening_looks_at_the_end_alone_and_fsck_at_all),
        TRIAL(fsck_tells_of_it),
        TRIAL(after_a_failed_write_the_end_is_read_again),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
