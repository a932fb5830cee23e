/* Each inconsistency, planted alone, is found: one fault of the right words, and only then. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "store/catalog_check.h"
#include "store/catalog_keys.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/trial.h"

static const struct account_id alice = {1};

/* A store with one snapshot: a small file, a file in a pack, a leaf, a root. */
struct stored {
    struct trial *trial;
    struct digest small_file, packed_file, leaf, root;
    struct db_batch batch; /* what is planted in the database */
};

static void file_put(struct content *content, uint64_t n, size_t len, struct digest *ret_digest)
{
    struct bytes file BYTES_CLEANUP = {0};
    *ret_digest = toy_file(n, len, &file);
    assert_int_equal(content_add_file(content, ret_digest, bytes_span(&file), CONTENT_HASHED, NULL),
                     ERR_OK);
}

static void content_make(struct trial *trial, struct content **ret_content)
{
    assert_int_equal(content_open(trial->store, alice, ret_content, &trial->err), ERR_OK);
}

static void stored_make(struct trial *trial, struct stored *stored)
{
    struct content *content;
    struct bytes page BYTES_CLEANUP = {0};
    *stored = (struct stored){.trial = trial};
    content_make(trial, &content);
    file_put(content, 1, 5000, &stored->small_file);
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    content_close(content);
    content_make(trial, &content);
    file_put(content, 2, 2 * MIB(1), &stored->packed_file);
    file_put(content, 1, 5000, &stored->small_file);
    const struct digest files[] = {stored->small_file, stored->packed_file};
    stored->leaf = toy_page(0, files, 2, &page);
    assert_int_equal(content_add_page(content, &stored->leaf, bytes_span(&page), NULL), ERR_OK);
    stored->root = toy_page(1, &stored->leaf, 1, &page);
    assert_int_equal(content_add_page(content, &stored->root, bytes_span(&page), NULL), ERR_OK);
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    assert_int_equal(toy_publish(trial->store, "x", &stored->root, &trial->err), ERR_OK);
    content_close(content);
}

/* ---- what is planted ---- */

static void page_gone(struct stored *stored)
{
    db_batch_delete(&stored->batch, FAMILY_PAGES, digest_span(&stored->leaf));
    uint8_t key[HELD_KEY_BYTES];
    held_key_encode(&stored->leaf, alice, key);
    db_batch_delete(&stored->batch, FAMILY_HELD, span_of(key, sizeof(key)));
}

static void page_damaged(struct stored *stored)
{
    struct bytes value BYTES_CLEANUP = {0};
    bytes_append_u64(&value, 1);
    bytes_append_text(&value, "other content");
    db_batch_put(&stored->batch, FAMILY_PAGES, digest_span(&stored->leaf), bytes_span(&value));
}

static void record_of(struct stored *stored, const struct digest *digest,
                      struct file_record *ret_record)
{
    bool found;
    assert_int_equal(index_find_file(&stored->trial->store->index, digest, ret_record, &found,
                                     &stored->trial->err),
                     ERR_OK);
    assert_true(found);
}

static void file_record_gone(struct stored *stored)
{
    uint8_t key[HELD_KEY_BYTES];
    struct file_record record;
    record_of(stored, &stored->packed_file, &record);
    db_batch_delete(&stored->batch, FAMILY_FILES, digest_span(&stored->packed_file));
    held_key_encode(&stored->packed_file, alice, key);
    db_batch_delete(&stored->batch, FAMILY_HELD, span_of(key, sizeof(key)));
    index_pack_find(&stored->trial->store->index, record.pack)->live_bytes -= record.file_bytes;
}

static void file_in_no_pack(struct stored *stored)
{
    struct file_record record;
    record_of(stored, &stored->packed_file, &record);
    index_pack_find(&stored->trial->store->index, record.pack)->live_bytes -= record.file_bytes;
    record.pack.n += 1000;
    index_put_file(&stored->batch, &stored->packed_file, &record);
}

static void small_file_gone(struct stored *stored)
{
    db_batch_delete(&stored->batch, FAMILY_SMALL, digest_span(&stored->small_file));
}

static void small_file_of_nobody(struct stored *stored)
{
    static const struct digest other = {{7}};
    db_batch_put(&stored->batch, FAMILY_SMALL, digest_span(&other), span_text("bytes"));
}

static void small_bytes_wrong(struct stored *stored)
{
    stored->trial->store->index.small_bytes++;
}

static void live_bytes_high(struct stored *stored)
{
    stored->trial->store->index.packs[0].live_bytes += 10;
}

static void live_bytes_low(struct stored *stored)
{
    stored->trial->store->index.packs[0].live_bytes -= 10;
}

static void pack_never_ended(struct stored *stored)
{
    index_pack_add(&stored->trial->store->index, (struct pack_id){900});
}

static void file_number_ahead(struct stored *stored)
{
    struct file_record record;
    record_of(stored, &stored->packed_file, &record);
    record.stamp = 1000;
    index_put_file(&stored->batch, &stored->packed_file, &record);
}

static void page_number_ahead(struct stored *stored)
{
    struct bytes page BYTES_CLEANUP = {0};
    uint8_t stamp[PAGE_STAMP_BYTES];
    store_u64(stamp, 1000);
    assert_int_equal(page_read(stored->trial->store, &stored->leaf, &page, &stored->trial->err),
                     ERR_OK);
    db_batch_put_parts(&stored->batch, FAMILY_PAGES, digest_span(&stored->leaf),
                       span_of(stamp, sizeof(stamp)), bytes_span(&page));
}

static void held_by_nobody(struct stored *stored)
{
    uint8_t key[HELD_KEY_BYTES];
    held_key_encode(&stored->leaf, alice, key);
    db_batch_delete(&stored->batch, FAMILY_HELD, span_of(key, sizeof(key)));
}

static void held_and_not_here(struct stored *stored)
{
    static const struct digest other = {{7}};
    uint8_t key[HELD_KEY_BYTES];
    held_key_encode(&other, alice, key);
    db_batch_put(&stored->batch, FAMILY_HELD, span_of(key, sizeof(key)), span_of(NULL, 0));
}

static void held_key_cut(struct stored *stored)
{
    db_batch_put(&stored->batch, FAMILY_HELD, span_text("short"), span_of(NULL, 0));
}

static void root_gone(struct stored *stored)
{
    static const struct digest other = {{7}};
    assert_int_equal(toy_publish(stored->trial->store, "y", &other, &stored->trial->err), ERR_OK);
}

static void name_without_table(struct stored *stored)
{
    struct bytes key BYTES_CLEANUP = {0};
    static const uint8_t target[9] = {1, 0, 0, 0, 0, 0, 0, 0, 77};
    catalog_key_scoped((struct project_id){1}, span_text("lost"), &key);
    db_batch_put(&stored->batch, FAMILY_CATALOG, bytes_span(&key), span_of(target, sizeof(target)));
}

static void name_cut(struct stored *stored)
{
    struct bytes key BYTES_CLEANUP = {0};
    catalog_key_scoped((struct project_id){1}, span_text("lost"), &key);
    db_batch_put(&stored->batch, FAMILY_CATALOG, bytes_span(&key), span_text("?"));
}

/* A table's record that nothing leads to, and that has no history. */
static void table_put(struct stored *stored, uint64_t key_id)
{
    struct bytes key BYTES_CLEANUP = {0};
    struct bytes value BYTES_CLEANUP = {0};
    const struct table_record table = {.id = {5},
                                       .project = {1},
                                       .name = span_text("alone"),
                                       .owner = span_text("ALIYUN$root"),
                                       .sequence = 3};
    table_record_encode(&table, &value);
    catalog_key_id('t', key_id, &key);
    db_batch_put(&stored->batch, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
}

static void table_of_another(struct stored *stored)
{
    table_put(stored, 6);
}

static void table_without_name_and_history(struct stored *stored)
{
    table_put(stored, 5);
}

static void table_without_history(struct stored *stored)
{
    struct bytes key BYTES_CLEANUP = {0};
    static const uint8_t target[9] = {1, 0, 0, 0, 0, 0, 0, 0, 5};
    catalog_key_scoped((struct project_id){1}, span_text("alone"), &key);
    db_batch_put(&stored->batch, FAMILY_CATALOG, bytes_span(&key), span_of(target, sizeof(target)));
    table_put(stored, 5);
}

static void table_of_another_history(struct stored *stored)
{
    struct bytes key BYTES_CLEANUP = {0};
    struct bytes value BYTES_CLEANUP = {0};
    const struct history_record history = {.table = {5},
                                           .sequence = 3,
                                           .operation = OPERATION_CREATE,
                                           .principal = span_text("ALIYUN$root"),
                                           .version = {.version = {{9}}}};
    table_without_history(stored);
    history_record_encode(&history, &value);
    catalog_key_history((struct table_id){5}, 3, &key);
    db_batch_put(&stored->batch, FAMILY_HISTORY, bytes_span(&key), bytes_span(&value));
}

static const struct plant {
    const char *name;
    void (*plant)(struct stored *stored);
    const char *said; /* a part of one fault's words */
    uint64_t faults;
} plants[] = {
    {"page gone", page_gone, "is not here; run SCRUB", 1},
    {"page damaged", page_damaged, "the stored content has another digest; run SCRUB", 1},
    {"root gone", root_gone, "is not here; run SCRUB", 1},
    {"file record gone", file_record_gone, "a page names this file and it is not here", 1},
    {"file in no pack", file_in_no_pack, "its pack 1001 is not live", 1},
    {"small file gone", small_file_gone, "a small file is not there", 1},
    {"small file of nobody", small_file_of_nobody, "a small file that nothing points at", 1},
    {"small bytes wrong", small_bytes_wrong, "the bytes of small files are not those", 1},
    {"live bytes high", live_bytes_high, "pack 1: its record has more live bytes", 1},
    {"live bytes low", live_bytes_low, "pack 1: its record has fewer live bytes", 1},
    {"pack never ended", pack_never_ended, "pack 900 was begun and never ended", 1},
    {"file number ahead", file_number_ahead, "its number 1000 is above", 1},
    {"page number ahead", page_number_ahead, "its number 1000 is above", 1},
    {"held by nobody", held_by_nobody, "no account holds it", 1},
    {"held and not here", held_and_not_here, "account 1 holds it and it is not here", 1},
    {"held key cut", held_key_cut, "held: a key of 5 bytes", 1},
    {"name without table", name_without_table, "leads to table 77, which is not there", 1},
    {"name cut", name_cut, "a name's record of 1 bytes", 1},
    {"table of another", table_of_another, "a table's record cannot be read, or is another's", 1},
    {"table without name", table_without_name_and_history, "its name leads nowhere", 2},
    {"table without history", table_without_history, "is not in the history", 1},
    {"another history", table_of_another_history, "its history says another version", 1},
};

/* ---- the test ---- */

struct heard {
    const char *wanted;
    bool found;
    struct bytes all;
};

static void fault_hear(void *context, const struct digest *digest, const char *what)
{
    struct heard *heard = context;
    (void)digest;
    heard->found = heard->found || (heard->wanted != NULL && strstr(what, heard->wanted) != NULL);
    bytes_printf(&heard->all, "\n  %s", what);
}

static uint64_t faults_of(struct trial *trial, struct heard *heard)
{
    struct fsck_counts counts = {0};
    if (store_fsck(trial->store, toy_tree(), FSCK_RESOLVE, fault_hear, heard, &counts,
                   &trial->err) != ERR_OK)
        fail_msg("%s", trial->err.message);
    if (catalog_check(trial->store, fault_hear, heard, &counts.faults, &trial->err) != ERR_OK)
        fail_msg("%s", trial->err.message);
    bytes_append_u8(&heard->all, 0);
    return counts.faults;
}

static void planted(void **state, const struct plant *plant)
{
    struct stored stored;
    struct heard heard = {.wanted = plant->said};
    struct trial *trial = *state;
    stored_make(trial, &stored);
    plant->plant(&stored);
    assert_int_equal(db_write(trial->store->db, &stored.batch, true, &trial->err), ERR_OK);
    uint64_t faults = faults_of(trial, &heard);
    if (!heard.found || faults != plant->faults)
        fail_msg("%s: %" PRIu64 " faults, not %" PRIu64 ", or not '%s':%s", plant->name, faults,
                 plant->faults, plant->said, (const char *)heard.all.data);
    bytes_deinit(&heard.all);
    db_batch_deinit(&stored.batch);
}

static void a_whole_store_has_no_fault(void **state)
{
    struct stored stored;
    struct heard heard = {0};
    stored_make(*state, &stored);
    assert_int_equal(faults_of(*state, &heard), 0);
    trial_reopen(*state);
    assert_int_equal(faults_of(*state, &heard), 0);
    bytes_deinit(&heard.all);
}

static void each_planted_inconsistency_is_found(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(plants); i++) {
        planted(state, &plants[i]);
        trial_teardown(state);
        trial_setup(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(a_whole_store_has_no_fault),
        TRIAL(each_planted_inconsistency_is_found),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
