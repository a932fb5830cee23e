/* Scrub, the list of damage and healing on a real store; and a flipped byte anywhere in its directory. */
#include "store/scrub.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "proto/random_test.h"
#include "store/content_files.h"
#include "store/damage.h"
#include "store/directory.h"
#include "store/files.h"
#include "store/load_edits.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/roots.h"
#include "store/snapshot.h"
#include "store/store.h"

#define TEST_PATH_BYTES 640
#define ok(call)                                                                                   \
    do {                                                                                           \
        struct err *failed = &bench.err;                                                           \
        if ((call) != ERR_OK)                                                                      \
            fail_msg("%s: %s", #call, failed->message);                                            \
    } while (0)

#define FLIP_END_BYTES    200
#define COMPACTION_ROUNDS 8
#define BIG_ROWS          24
#define BIG_BYTES         (100 * 1000)

static struct column data_columns[] = {
    {.id = 1, .type = {.kind = TYPE_BIGINT}},
    {.id = 2, .type = {.kind = TYPE_STRING}},
};
static struct column partition_columns[] = {{.id = 3, .type = {.kind = TYPE_STRING}}};
static struct schema schema = {.columns = data_columns,
                               .column_count = ARRAY_COUNT(data_columns),
                               .partition_columns = partition_columns,
                               .partition_column_count = 1,
                               .next_column_id = 4};

static struct bench {
    char dir[64];
    struct store *store;
    struct account_id account;
    struct project_id project;
    struct table_id table, snapshot;
    struct version_ref version;
    struct digest big;   /* a file in a pack */
    struct digest small; /* one in the nursery */
    struct random random;
    struct err err;
} bench;

static uint8_t sign_key[crypto_sign_SECRETKEYBYTES];

static enum err_code sign(void *context, struct span message, uint8_t *ret_signature,
                          struct err *err)
{
    (void)context;
    (void)err;
    crypto_sign_detached(ret_signature, NULL, message.data, message.len, sign_key);
    return ERR_OK;
}

static struct change_note note(void)
{
    static uint64_t clock_ms;
    return (struct change_note){.now_ms = ++clock_ms, .principal = span_text("ALIYUN$root")};
}

/* ---- a store with something of every kind ---- */

static void store_up(void)
{
    const struct store_options options = {.data_dir = bench.dir, .region = "here"};
    ok(store_open(&options, &bench.store, &bench.err));
}

/* What was in memory is in files now, and those are no longer rewritten: but for a compaction that
 * a damaged block keeps waiting for good, which no damage is done behind. */
static void store_again(void)
{
    uint64_t jobs = 1;
    store_close(bench.store);
    store_up();
    for (int looks = 0, quiet_looks = 0; quiet_looks < 2 && looks < 500; looks++) {
        ok(db_jobs_count(bench.store->db, &jobs, &bench.err));
        quiet_looks = jobs == 0 ? quiet_looks + 1 : 0;
        usleep(2000);
    }
}

/* Rows of one partition: text of chance, so that nothing compresses away. */
static void rows_make(struct batch *batch, const char *partition, size_t rows, size_t text_bytes)
{
    struct bytes text BYTES_CLEANUP = {0};
    for (size_t i = 0; i < rows; i++) {
        bytes_clear(&text);
        for (size_t at = 0; at < text_bytes; at++)
            bytes_append_u8(&text, (uint8_t)(' ' + random_below(&bench.random, 90)));
        vector_append(&batch->vectors[0], (struct value){.i64 = (int64_t)(i * i + 7)});
        vector_append(&batch->vectors[1], (struct value){.text = bytes_span(&text)});
        vector_append(&batch->vectors[2], (struct value){.text = span_text(partition)});
        batch->rows++;
    }
}

static void load_into(struct content *content, const struct batch *batch)
{
    struct err *err = &bench.err;
    LOAD_CLEANUP struct load *load =
        load_open(&(struct load_options){.schema = &schema,
                                         .sink = content_file_sink(content),
                                         .tmp_folder = store_tmp_dir(bench.store)});
    ok(load_append(load, batch, err));
    ok(load_finish(load, err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    ok(table_begin(content, bench.table, &write, err));
    struct tree base = table_write_tree(write);
    LOAD_EDITS_CLEANUP struct load_edits edits;
    load_edits_init(&edits, load, &base, LOAD_OVERWRITE);
    struct tree_edit_source source = load_edits_source(&edits);
    struct change_note made = note();
    ok(table_write_apply(write, &source, made.now_ms, &bench.version, err));
    ok(table_write_commit(write, OPERATION_LOAD, &made, err));
}

static void load_rows(const char *partition, size_t rows, size_t text_bytes)
{
    CONTENT_CLEANUP struct content *content = NULL;
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, &schema);
    rows_make(&batch, partition, rows, text_bytes);
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    load_into(content, &batch);
}

static void table_make(void)
{
    data_columns[0].name = span_text("id");
    data_columns[1].name = span_text("note");
    partition_columns[0].name = span_text("day");
    struct account_record account = {.name = span_text("ALIYUN$root")};
    struct change_note made = note();
    ok(account_create(bench.store, &account, &made, &bench.account, &bench.err));
    struct project_spec project = {.name = span_text("demo"), .owner = bench.account};
    made = note();
    ok(project_create(bench.store, &project, &made, &bench.project, &bench.err));
    struct table_spec spec = {.project = bench.project, .name = span_text("t"), .schema = &schema};
    CONTENT_CLEANUP struct content *content = NULL;
    made = note();
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    ok(table_create(content, &spec, &made, &bench.table, &bench.err));
}

static void snapshot_make(void)
{
    struct snapshot_signer signer = {.sign = sign};
    crypto_sign_keypair(signer.maker.b, sign_key);
    struct snapshot_spec spec = {.project = bench.project,
                                 .name = span_text("s"),
                                 .table = bench.table,
                                 .region = span_text("here"),
                                 .signer = &signer};
    struct change_note made = note();
    ok(snapshot_create(bench.store, &spec, &made, &bench.snapshot, &bench.err));
}

static void others_make(void)
{
    const struct task_id task = {{7}};
    uint8_t content[] = "a page on its way";
    struct staged_page page = {.page = span_of(content, sizeof(content))};
    page.digest = digest_of(DOMAIN_PAGE, page.page);
    ok(staged_put(bench.store, &task, &page, 1, &bench.err));
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    root_put(&change, (struct root_name){.purpose = 'l', .id = span_text("a lease")},
             &bench.version.page, 1);
    catalog_put(&change, FAMILY_TASKS, span_text("task"), span_text("its record"));
    catalog_put(&change, FAMILY_LEASES, span_text("lease"), span_text("its record"));
    ok(catalog_commit(bench.store, &change, CATALOG_KEEP_RESERVE, &bench.err));
}

struct files_seen {
    struct digest big, small;
    uint64_t big_bytes;
};

static void file_seen(void *context, const struct page_file *file)
{
    struct files_seen *seen = context;
    if (file->bytes > seen->big_bytes) {
        seen->big = file->digest;
        seen->big_bytes = file->bytes;
    }
    seen->small = file->digest; /* the last partition's */
}

static enum err_code visit_file(void *context, const struct page_file *file, struct err *err)
{
    (void)err;
    file_seen(context, file);
    return ERR_OK;
}

static enum err_code visit_page(void *context, const struct digest *digest, bool *ret_descend,
                                struct err *err)
{
    (void)context;
    (void)digest;
    (void)err;
    *ret_descend = true;
    return ERR_OK;
}

static void files_find(void)
{
    READER_CLEANUP struct reader_handle *reader = NULL;
    struct files_seen seen = {0};
    struct tree_visitor visitor = {.page = visit_page, .file = visit_file, .context = &seen};
    ok(reader_open(bench.store, bench.table, &reader, &bench.err));
    struct tree tree = reader_tree(reader);
    ok(tree_mark(&tree, &visitor, &bench.err));
    bench.big = seen.big;
    bench.small = seen.small;
}

static int setup(void **state)
{
    (void)state;
    bench.random = random_start();
    snprintf(bench.dir, sizeof(bench.dir), "/tmp/strait-scrub-XXXXXX");
    assert_non_null(mkdtemp(bench.dir));
    store_up();
    table_make();
    load_rows("2026-01-01", BIG_ROWS, BIG_BYTES); /* goes to a pack */
    load_rows("2026-01-02", 3, 40);               /* goes to the nursery */
    snapshot_make();
    others_make();
    files_find();
    return 0;
}

static void directory_remove(const char *dir)
{
    char words[160];
    snprintf(words, sizeof(words), "rm -rf '%s'", dir);
    assert_int_equal(system(words), 0);
}

static int teardown(void **state)
{
    (void)state;
    store_close(bench.store);
    bench.store = NULL;
    directory_remove(bench.dir);
    return 0;
}

/* ---- damage ---- */

static void file_path(const char *dir, const char *name, char ret_path[TEST_PATH_BYTES])
{
    snprintf(ret_path, TEST_PATH_BYTES, "%s/%s", dir, name);
}

static void byte_flip(int file, off_t at, uint8_t mask)
{
    uint8_t byte;
    assert_int_equal(pread(file, &byte, 1, at), 1);
    byte ^= mask;
    assert_int_equal(pwrite(file, &byte, 1, at), 1);
}

static void file_slurp(int file, struct bytes *out)
{
    uint8_t part[65536];
    bytes_clear(out);
    for (ssize_t got; (got = read(file, part, sizeof(part))) > 0;)
        bytes_append(out, part, (size_t)got);
}

/* Flips a byte in the middle of the content wherever it stands in a file of the database, which
 * drops those that it no longer needs in threads of its own: they may go while we look. */
static size_t content_damage(struct span content)
{
    char folder[100], path[TEST_PATH_BYTES];
    struct bytes bytes BYTES_CLEANUP = {0};
    size_t hits = 0;
    snprintf(folder, sizeof(folder), "%s/db", bench.dir);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strstr(entry->d_name, ".sst") == NULL)
            continue;
        file_path(folder, entry->d_name, path);
        int file = open(path, O_RDWR | O_CLOEXEC);
        if (file < 0 && errno == ENOENT)
            continue;
        assert_true(file >= 0);
        file_slurp(file, &bytes);
        const uint8_t *at =
            bytes.len > 0 ? memmem(bytes.data, bytes.len, content.data, content.len) : NULL;
        if (at != NULL) {
            byte_flip(file, at - bytes.data + (off_t)(content.len / 2), 0x10);
            hits++;
        }
        assert_int_equal(close(file), 0);
    }
    closedir(dir);
    return hits;
}

static void file_damage(const struct digest *digest)
{
    struct bytes content BYTES_CLEANUP = {0};
    ok(file_read(bench.store, digest, FILE_CHECK_DIGEST, &content, &bench.err));
    store_again();
    assert_true(content_damage(bytes_span(&content)) > 0);
}

static const struct scrub_watch quiet;

static struct scrub_counts scrub_all(void)
{
    struct scrub_counts counts = {0};
    ok(scrub_store(bench.store, &quiet, &counts, &bench.err));
    return counts;
}

struct seen_place {
    size_t count;
    size_t snapshots;
    char partition[40], columns[40], name[8];
    enum damage_kind kind;
};

static enum err_code place_see(void *context, const struct damage_place *place, struct err *err)
{
    struct seen_place *seen = context;
    (void)err;
    seen->count++;
    seen->snapshots += place->is_snapshot;
    seen->kind = place->kind;
    snprintf(seen->partition, sizeof(seen->partition), "%.*s", SPAN_PRINTF(place->partition));
    snprintf(seen->columns, sizeof(seen->columns), "%.*s", SPAN_PRINTF(place->columns));
    snprintf(seen->name, sizeof(seen->name), "%.*s", SPAN_PRINTF(place->name));
    return ERR_OK;
}

static struct seen_place places(void)
{
    struct seen_place seen = {0};
    ok(damage_places(bench.store, (struct table_id){0}, place_see, &seen, &bench.err));
    return seen;
}

static bool relied(const struct digest *digest, bool is_page)
{
    CONTENT_CLEANUP struct content *content = NULL;
    bool held = true;
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    ok(is_page ? content_rely_page(content, digest, &held, &bench.err)
               : content_rely_file(content, digest, &held, &bench.err));
    return held;
}

static void assert_whole(void)
{
    struct fsck_counts counts;
    struct scrub_counts scrubbed = scrub_all();
    assert_int_equal(scrubbed.listed + scrubbed.faults, 0);
    assert_int_equal(damage_count(bench.store), 0);
    ok(catalog_fsck(bench.store, FSCK_REHASH, NULL, NULL, &counts, &bench.err));
    assert_int_equal(counts.faults, 0);
    assert_true(relied(&bench.version.page, true));
}

/* A file of the table in another store's words: read before it is damaged, added after. */
static void file_heal(const struct digest *digest, struct span content)
{
    CONTENT_CLEANUP struct content *fresh = NULL;
    ok(content_open(bench.store, bench.account, &fresh, &bench.err));
    ok(content_add_file(fresh, digest, content, CONTENT_HASH, &bench.err));
    ok(content_commit(fresh, &bench.err));
}

static void damaged_file_heals(const struct digest *digest, const char *partition,
                               const char *columns)
{
    struct bytes content BYTES_CLEANUP = {0}, read BYTES_CLEANUP = {0};
    ok(file_read(bench.store, digest, FILE_CHECK_DIGEST, &content, &bench.err));
    assert_true(relied(&bench.version.page, true));
    file_damage(digest);
    assert_true(scrub_all().listed > 0);
    assert_int_equal(damage_count(bench.store), 1);
    struct seen_place seen = places();
    assert_int_equal(seen.count, 2); /* the table and its snapshot */
    assert_int_equal(seen.snapshots, 1);
    assert_string_equal(seen.partition, partition);
    assert_string_equal(seen.columns, columns);
    assert_int_equal(file_read(bench.store, digest, FILE_CHECK_LENGTH, &read, &bench.err),
                     ERR_CORRUPT);
    assert_false(relied(digest, false));
    assert_false(relied(&bench.version.page, true));
    assert_true(relied(&bench.version.attribute_root, true));
    store_again(); /* the list is durable */
    assert_int_equal(file_read(bench.store, digest, FILE_CHECK_LENGTH, &read, &bench.err),
                     ERR_CORRUPT);
    file_heal(digest, bytes_span(&content));
    ok(file_read(bench.store, digest, FILE_CHECK_DIGEST, &read, &bench.err));
    assert_int_equal(damage_count(bench.store), 0);
    assert_int_equal(places().count, 0);
}

static void test_a_damaged_file_of_a_pack_heals(void **state)
{
    (void)state;
    damaged_file_heals(&bench.big, "day=2026-01-01", "note");
    assert_whole();
    store_again();
    assert_whole();
}

static void test_a_damaged_file_of_the_nursery_heals(void **state)
{
    (void)state;
    damaged_file_heals(&bench.small, "day=2026-01-02", "id, note");
}

static void test_a_read_lists_what_it_finds_damaged(void **state)
{
    (void)state;
    struct bytes read BYTES_CLEANUP = {0};
    file_damage(&bench.big);
    assert_int_equal(damage_count(bench.store), 0);
    assert_int_equal(file_read(bench.store, &bench.big, FILE_CHECK_LENGTH, &read, &bench.err),
                     ERR_CORRUPT);
    assert_int_equal(damage_count(bench.store), 1);
    assert_false(relied(&bench.version.page, true));
}

/* All pages of the version, its record last, staged for a task. */
static const struct task_id pages_task = {{9}};

static enum err_code page_stage(void *context, const struct digest *digest, bool *ret_descend,
                                struct err *err)
{
    struct bytes page BYTES_CLEANUP = {0};
    TRY(page_read(bench.store, digest, &page, err));
    const struct staged_page staged = {*digest, bytes_span(&page)};
    bytes_append_span(context, digest_span(digest));
    *ret_descend = true;
    return staged_put(bench.store, &pages_task, &staged, 1, err);
}

static void pages_stage(struct bytes *digests)
{
    READER_CLEANUP struct reader_handle *reader = NULL;
    struct tree_visitor visitor = {.page = page_stage, .context = digests};
    bool ignored;
    ok(reader_open(bench.store, bench.snapshot, &reader, &bench.err));
    struct tree tree = reader_tree(reader), attributes = reader_attributes(reader);
    ok(tree_mark(&tree, &visitor, &bench.err));
    ok(tree_mark(&attributes, &visitor, &bench.err));
    ok(page_stage(digests, &bench.version.page, &ignored, &bench.err));
}

static void test_damaged_pages_heal_when_they_come_again(void **state)
{
    (void)state;
    struct bytes page BYTES_CLEANUP = {0}, read BYTES_CLEANUP = {0}, digests BYTES_CLEANUP = {0};
    CONTENT_CLEANUP struct content *content = NULL;
    ok(page_read(bench.store, &bench.version.page, &page, &bench.err));
    store_again();
    pages_stage(&digests); /* in the log: the file on the disk has `pages` alone */
    assert_true(content_damage(bytes_span(&page)) > 0);
    assert_true(scrub_all().listed > 0);
    assert_int_equal(page_read(bench.store, &bench.version.page, &read, &bench.err), ERR_CORRUPT);
    struct seen_place seen = places();
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.kind, DAMAGE_PAGE);
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    ok(staged_promote(content, &pages_task, (const struct digest *)(const void *)digests.data,
                      digests.len / DIGEST_BYTES, &bench.err));
    ok(page_read(bench.store, &bench.version.page, &read, &bench.err));
    assert_true(span_equal(bytes_span(&read), bytes_span(&page)));
    assert_true(relied(&bench.version.page, true));
    assert_int_equal(places().count, 0);
}

/* A block of the database that cannot be read stays; what was in it comes again, and work goes on: no
 * compaction ends it. */
static void test_a_damaged_block_does_not_end_the_store(void **state)
{
    (void)state;
    struct bytes page BYTES_CLEANUP = {0}, digests BYTES_CLEANUP = {0};
    size_t refused = 0;
    ok(page_read(bench.store, &bench.version.page, &page, &bench.err));
    store_again();
    pages_stage(&digests);
    assert_true(content_damage(bytes_span(&page)) > 0);
    scrub_all();
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    ok(staged_promote(content, &pages_task, (const struct digest *)(const void *)digests.data,
                      digests.len / DIGEST_BYTES, &bench.err));
    content_close(content);
    content = NULL;
    for (uint8_t i = 0; i < COMPACTION_ROUNDS; i++) { /* each leaves a file to be compacted */
        const struct digest other = digest_of(DOMAIN_PAGE, span_of(&i, 1));
        struct bytes read BYTES_CLEANUP = {0};
        CONTENT_CLEANUP struct content *more = NULL;
        refused += content_open(bench.store, bench.account, &more, &bench.err) != ERR_OK ||
                   content_add_page(more, &other, span_of(&i, 1), &bench.err) != ERR_OK ||
                   content_commit(more, &bench.err) != ERR_OK;
        content_close(more);
        more = NULL;
        store_again();
        ok(page_read(bench.store, &bench.version.page, &read, &bench.err));
    }
    assert_true(refused <= 1);
}

static void test_one_table_is_scrubbed_alone(void **state)
{
    (void)state;
    struct scrub_counts counts = {0};
    ok(scrub_table(bench.store, bench.snapshot, &quiet, &counts, &bench.err));
    assert_int_equal(counts.listed, 0);
    assert_true(counts.files >= 2 && counts.pages >= 3);
    file_damage(&bench.big);
    ok(scrub_table(bench.store, bench.table, &quiet, &counts, &bench.err));
    assert_int_equal(counts.listed, 1);
    assert_int_equal(scrub_table(bench.store, (struct table_id){999}, &quiet, &counts, &bench.err),
                     ERR_NOT_FOUND);
}

static void test_steps_go_on_where_they_stopped(void **state)
{
    (void)state;
    struct scrub_counts whole = scrub_all(), sum = {0};
    size_t steps = 0;
    for (bool ended = false; !ended; steps++) {
        struct scrub_counts counts = {0};
        ok(scrub_step(bench.store, 1, &quiet, &counts, &ended, &bench.err));
        sum.files += counts.files;
        sum.pages += counts.pages;
        sum.file_bytes += counts.file_bytes;
        if (steps % 2 == 0)
            store_again();
    }
    assert_true(steps > 2);
    assert_int_equal(sum.files, whole.files);
    assert_int_equal(sum.pages, whole.pages);
    assert_int_equal(sum.file_bytes, whole.file_bytes);
}

static bool stop_at_once(void *context)
{
    (void)context;
    return true;
}

static void test_a_scrub_can_be_stopped(void **state)
{
    (void)state;
    const struct scrub_watch watch = {.stop = stop_at_once};
    struct scrub_counts counts = {0};
    assert_int_equal(scrub_store(bench.store, &watch, &counts, &bench.err), ERR_CANCELLED);
}

/* What was thought damaged and is right again is served again. */
static void test_what_is_right_again_leaves_the_list(void **state)
{
    (void)state;
    struct bytes read BYTES_CLEANUP = {0};
    damage_note(bench.store, &bench.big, DAMAGE_FILE, "for once");
    damage_note(bench.store, &(struct digest){{5}}, DAMAGE_FILE, "of nothing that is here");
    assert_int_equal(file_read(bench.store, &bench.big, FILE_CHECK_LENGTH, &read, &bench.err),
                     ERR_CORRUPT);
    struct scrub_counts counts = scrub_all();
    assert_int_equal(counts.healed, 2);
    assert_int_equal(damage_count(bench.store), 0);
    ok(file_read(bench.store, &bench.big, FILE_CHECK_LENGTH, &read, &bench.err));
}

/* ---- a flipped byte anywhere ---- */

enum flip_end {
    FLIP_HARMLESS,
    FLIP_AT_OPEN,
    FLIP_FOUND,
    FLIP_SILENT,
    FLIP_UNTOLD, /* refused, without a file's name or without what to do */
    FLIP_DIED,
    FLIP_ENDS,
};
static const char *const flip_names[FLIP_ENDS] = {"harmless", "refused at open", "found",
                                                  "SILENT",   "UNTOLD",          "DIED"};

static void digest_record(struct digest_state *state, struct span key, struct span value)
{
    digest_update_part(state, key);
    digest_update_part(state, value);
}

/* All that the store says, but where it keeps it: names, history, tasks, leases, roots, and every row
 * of the table as the files have it. *ret_wrong: something was given that is not what its digest says. */
static enum err_code observe(struct store *store, struct digest *ret_all, struct err *err)
{
    static const enum family families[] = {FAMILY_CATALOG, FAMILY_HISTORY, FAMILY_TASKS,
                                           FAMILY_LEASES, FAMILY_STAGED};
    struct digest_state state;
    digest_init(&state, DOMAIN_FILE);
    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        DB_ITER_CLEANUP struct db_iter *iter = NULL;
        struct span none = {0}, key, value;
        bool found = true;
        TRY(catalog_scan(store, NULL, families[i], none, none, &iter, err));
        while (found) {
            TRY(db_iter_next(iter, &key, &value, &found, err));
            if (found)
                digest_record(&state, key, value);
        }
    }
    struct fsck_counts counts;
    TRY(catalog_fsck(store, FSCK_REHASH, NULL, NULL, &counts, err));
    if (counts.faults > 0)
        return err_set(err, ERR_CORRUPT, "%" PRIu64 " faults", counts.faults);
    digest_update_part(&state, span_of(&counts, sizeof(counts)));
    *ret_all = digest_final(&state);
    return ERR_OK;
}

static bool says(const struct err *err, const char *words)
{
    return strstr(err->message, words) != NULL;
}

/* A refusal names the file, says what it held and what to do: to mend it, if it comes again, to take a
 * copy, or what else puts that one file right. */
static bool refusal_is_told(const char *name, const struct err *err)
{
    bool named = says(err, name);
    bool held = says(err, "(") || strcmp(name, "store") == 0;
    bool to_do = says(err, "--mend") || says(err, "restore data_dir from a copy") ||
                 says(err, "move it away") || says(err, "run the program that wrote it");
    if (getenv("STRAIT_FLIP_WORDS") != NULL || !named || !held || !to_do)
        fprintf(stderr, "%s: %s\n", name, err->message);
    return named && held && to_do;
}

/* In a child: the library may end the process. */
static enum flip_end flipped_look(const char *dir, const char *name, const struct digest *expected)
{
    const struct store_options options = {.data_dir = dir, .region = "here"};
    struct store *store;
    struct err err;
    struct digest all;
    if (store_open(&options, &store, &err) != ERR_OK)
        return refusal_is_told(name, &err) ? FLIP_AT_OPEN : FLIP_UNTOLD;
    struct scrub_counts counts = {0};
    enum err_code scrubbed = scrub_store(store, &quiet, &counts, &err);
    enum flip_end end = FLIP_FOUND;
    if (scrubbed == ERR_OK && counts.listed + counts.faults == 0)
        end = observe(store, &all, &err) == ERR_OK && digest_equal(&all, expected) ? FLIP_HARMLESS
                                                                                   : FLIP_SILENT;
    store_close(store);
    return end;
}

static enum flip_end flip_try(const char *name, off_t at, uint8_t mask,
                              const struct digest *expected)
{
    char copy[100], path[TEST_PATH_BYTES], words[400];
    snprintf(copy, sizeof(copy), "%s-flip", bench.dir);
    snprintf(words, sizeof(words), "rm -rf '%s' && cp -a '%s' '%s'", copy, bench.dir, copy);
    assert_int_equal(system(words), 0);
    file_path(copy, name, path);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    byte_flip(file, at, mask);
    assert_int_equal(close(file), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit((int)flipped_look(copy, name, expected));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    directory_remove(copy);
    if (!WIFEXITED(status) || WEXITSTATUS(status) >= FLIP_DIED)
        return FLIP_DIED;
    return (enum flip_end)WEXITSTATUS(status);
}

struct flip_plan {
    size_t flips; /* a file */
    struct digest expected;
    size_t ends[FLIP_ENDS];
    char worst[400];
};

static void flip_file(struct flip_plan *plan, const char *name, off_t bytes)
{
    for (size_t i = 0; i < plan->flips; i++) {
        /* every second one near the end: where a log's last record and a table's footer are */
        off_t range = i % 2 == 1 && bytes > FLIP_END_BYTES ? FLIP_END_BYTES : bytes;
        off_t at = bytes - range + (off_t)random_below(&bench.random, (uint64_t)range);
        uint8_t mask = (uint8_t)(1u << random_below(&bench.random, 8));
        enum flip_end end = flip_try(name, at, mask, &plan->expected);
        plan->ends[end]++;
        if (end >= FLIP_SILENT)
            snprintf(plan->worst, sizeof(plan->worst), "%s: byte %lld of %lld, mask %02x: %s", name,
                     (long long)at, (long long)bytes, mask, flip_names[end]);
        if (end >= FLIP_SILENT)
            print_message("%s\n", plan->worst);
    }
}

static void flip_folder(struct flip_plan *plan, const char *folder)
{
    char path[TEST_PATH_BYTES], name[300];
    file_path(bench.dir, folder, path);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat stat_of;
        snprintf(name, sizeof(name), "%s%s%s", folder, folder[0] != 0 ? "/" : "", entry->d_name);
        file_path(bench.dir, name, path);
        assert_int_equal(stat(path, &stat_of), 0);
        const char *only = getenv("STRAIT_FLIP_FILES");
        if (S_ISREG(stat_of.st_mode) && stat_of.st_size > 0 &&
            (only == NULL || strstr(name, only) != NULL))
            flip_file(plan, name, stat_of.st_size);
    }
    closedir(dir);
}

/* Every file of the directory: packs, other tables, MANIFEST, CURRENT, log, OPTIONS, IDENTITY, marker,
 * lock. Each flip changes nothing, or is told at open or by scrub. */
static void test_a_flipped_byte_is_harmless_or_told(void **state)
{
    (void)state;
    struct flip_plan plan = {.flips = 2};
    const char *more = getenv("STRAIT_FLIPS");
    if (more != NULL)
        plan.flips = strtoul(more, NULL, 10);
    store_again();
    load_rows("2026-01-03", 2, 30); /* stays in the log */
    ok(observe(bench.store, &plan.expected, &bench.err));
    store_close(bench.store);
    bench.store = NULL;
    flip_folder(&plan, "");
    flip_folder(&plan, "db");
    for (int end = 0; end < FLIP_ENDS; end++)
        print_message("%s: %zu\n", flip_names[end], plan.ends[end]);
    if (plan.ends[FLIP_SILENT] + plan.ends[FLIP_UNTOLD] + plan.ends[FLIP_DIED] > 0)
        fail_msg("%s", plan.worst);
    assert_true(plan.ends[FLIP_AT_OPEN] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_damaged_file_of_a_pack_heals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_file_of_the_nursery_heals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_read_lists_what_it_finds_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_pages_heal_when_they_come_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_block_does_not_end_the_store, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_one_table_is_scrubbed_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_steps_go_on_where_they_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_scrub_can_be_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_right_again_leaves_the_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flipped_byte_is_harmless_or_told, setup, teardown),
    };
    cmocka_set_test_filter(getenv("STRAIT_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
