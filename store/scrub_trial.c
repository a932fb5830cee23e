#include "store/scrub_trial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "proto/limits.h"
#include "store/content_files.h"
#include "store/files.h"
#include "store/load_edits.h"
#include "store/pages.h"
#include "store/snapshot.h"

#define BIG_ROWS  24
#define BIG_BYTES (100 * 1000)

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

struct bench bench;

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

void bench_up(void)
{
    const struct store_options options = {.data_dir = bench.dir, .region = "here"};
    ok(store_open(&options, &bench.store, &bench.err));
}

/* What was in memory is in files now, and those are no longer rewritten: but for a compaction that
 * a damaged block keeps waiting for good, which no damage is done behind. */
void bench_again(void)
{
    uint64_t jobs = 1;
    store_close(bench.store);
    bench_up();
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

/* named: else it ends before the commit that names it, as with a process that was killed. */
static void load_into(struct content *content, const struct batch *batch, bool named)
{
    struct version_ref unnamed;
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
    ok(table_write_apply(write, &source, made.now_ms, named ? &bench.version : &unnamed, err));
    ok(named ? table_write_commit(write, OPERATION_LOAD, &made, err)
             : content_commit(content, err));
}

static void rows_load(const char *partition, size_t rows, size_t text_bytes, bool named)
{
    CONTENT_CLEANUP struct content *content = NULL;
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, &schema);
    rows_make(&batch, partition, rows, text_bytes);
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    load_into(content, &batch, named);
}

void bench_load(const char *partition, size_t rows, size_t text_bytes)
{
    rows_load(partition, rows, text_bytes, true);
}

void bench_load_unnamed(const char *partition, size_t rows, size_t text_bytes)
{
    rows_load(partition, rows, text_bytes, false);
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

int bench_setup(void **state)
{
    (void)state;
    bench.random = random_start();
    snprintf(bench.dir, sizeof(bench.dir), "/tmp/strait-scrub-XXXXXX");
    assert_non_null(mkdtemp(bench.dir));
    bench_up();
    table_make();
    bench_load("2026-01-01", BIG_ROWS, BIG_BYTES); /* goes to a pack */
    bench_load("2026-01-02", 3, 40);               /* goes to the nursery */
    snapshot_make();
    others_make();
    files_find();
    return 0;
}

void bench_directory_remove(const char *dir)
{
    char words[160];
    snprintf(words, sizeof(words), "rm -rf '%s'", dir);
    assert_int_equal(system(words), 0);
}

int bench_teardown(void **state)
{
    (void)state;
    store_close(bench.store);
    bench.store = NULL;
    bench_directory_remove(bench.dir);
    return 0;
}

/* ---- damage ---- */

void bench_path(const char *dir, const char *name, char ret_path[TEST_PATH_BYTES])
{
    snprintf(ret_path, TEST_PATH_BYTES, "%s/%s", dir, name);
}

void bench_byte_flip(int file, off_t at, uint8_t mask)
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
size_t bench_content_damage(struct span content)
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
        bench_path(folder, entry->d_name, path);
        int file = open(path, O_RDWR | O_CLOEXEC);
        if (file < 0 && errno == ENOENT)
            continue;
        assert_true(file >= 0);
        file_slurp(file, &bytes);
        const uint8_t *at =
            bytes.len > 0 ? memmem(bytes.data, bytes.len, content.data, content.len) : NULL;
        if (at != NULL) {
            bench_byte_flip(file, at - bytes.data + (off_t)(content.len / 2), 0x10);
            hits++;
        }
        assert_int_equal(close(file), 0);
    }
    closedir(dir);
    return hits;
}

void bench_file_damage(const struct digest *digest)
{
    struct bytes content BYTES_CLEANUP = {0};
    ok(file_read(bench.store, digest, FILE_CHECK_DIGEST, &content, &bench.err));
    bench_again();
    assert_true(bench_content_damage(bytes_span(&content)) > 0);
}

const struct scrub_watch bench_quiet;

struct scrub_counts bench_scrub(void)
{
    struct scrub_counts counts = {0};
    ok(scrub_store(bench.store, &bench_quiet, &counts, &bench.err));
    return counts;
}

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

struct seen_place bench_places(void)
{
    struct seen_place seen = {0};
    ok(damage_places(bench.store, (struct table_id){0}, place_see, &seen, &bench.err));
    return seen;
}

bool bench_relied(const struct digest *digest, bool is_page)
{
    CONTENT_CLEANUP struct content *content = NULL;
    bool held = true;
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    ok(is_page ? content_rely_page(content, digest, &held, &bench.err)
               : content_rely_file(content, digest, &held, &bench.err));
    return held;
}

void bench_assert_whole(void)
{
    struct fsck_counts counts;
    struct scrub_counts scrubbed = bench_scrub();
    assert_int_equal(scrubbed.listed + scrubbed.faults, 0);
    assert_int_equal(damage_count(bench.store), 0);
    ok(catalog_fsck(bench.store, FSCK_REHASH, NULL, NULL, &counts, &bench.err));
    assert_int_equal(counts.faults, 0);
    assert_true(bench_relied(&bench.version.page, true));
}

/* A file of the table in another store's words: read before it is damaged, added after. */
void bench_file_heal(const struct digest *digest, struct span content)
{
    CONTENT_CLEANUP struct content *fresh = NULL;
    ok(content_open(bench.store, bench.account, &fresh, &bench.err));
    ok(content_add_file(fresh, digest, content, CONTENT_HASH, &bench.err));
    ok(content_commit(fresh, &bench.err));
}

/* All pages of the version, its record last, staged for a task. */
const struct task_id bench_pages_task = {{9}};

static enum err_code page_stage(void *context, const struct digest *digest, bool *ret_descend,
                                struct err *err)
{
    struct bytes page BYTES_CLEANUP = {0};
    TRY(page_read(bench.store, digest, &page, err));
    const struct staged_page staged = {*digest, bytes_span(&page)};
    bytes_append_span(context, digest_span(digest));
    *ret_descend = true;
    return staged_put(bench.store, &bench_pages_task, &staged, 1, err);
}

void bench_pages_stage(struct bytes *digests)
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

/* ---- all that is stored ---- */

static void item_append(struct bytes *out, enum damage_kind kind, const struct digest *digest,
                        struct span item)
{
    bytes_append_u8(out, (uint8_t)kind);
    bytes_append_span(out, digest_span(digest));
    bytes_append_u32(out, (uint32_t)item.len);
    bytes_append_span(out, item);
}

void bench_content_take(struct bytes *ret_content)
{
    static const enum family families[] = {FAMILY_FILES, FAMILY_PAGES};
    struct bytes item BYTES_CLEANUP = {0};
    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        DB_ITER_CLEANUP struct db_iter *iter = NULL;
        struct span none = {0}, key, value;
        bool found = true;
        ok(db_iter_open(bench.store->db, NULL, families[i], none, none, &iter, &bench.err));
        while (found) {
            struct digest digest;
            ok(db_iter_next(iter, &key, &value, &found, &bench.err));
            if (!found)
                break;
            memcpy(digest.b, key.data, DIGEST_BYTES);
            bool is_page = families[i] == FAMILY_PAGES;
            ok(is_page ? page_read(bench.store, &digest, &item, &bench.err)
                       : file_read(bench.store, &digest, FILE_CHECK_DIGEST, &item, &bench.err));
            item_append(ret_content, is_page ? DAMAGE_PAGE : DAMAGE_FILE, &digest,
                        bytes_span(&item));
        }
    }
}

struct item {
    enum damage_kind kind;
    struct digest digest;
    struct span bytes;
};

static struct item item_read(struct reader *reader)
{
    struct item item = {.kind = (enum damage_kind)reader_u8(reader)};
    memcpy(item.digest.b, reader_span(reader, DIGEST_BYTES).data, DIGEST_BYTES);
    item.bytes = reader_span(reader, reader_u32(reader));
    return item;
}

enum err_code bench_content_bring(struct store *store, struct span content, struct err *err)
{
    CONTENT_CLEANUP struct content *fresh = NULL;
    TRY(content_open(store, bench.account, &fresh, err));
    for (struct reader reader = reader_of(content); reader.left.len > 0;) {
        struct item item = item_read(&reader);
        TRY(item.kind == DAMAGE_PAGE
                ? content_add_page(fresh, &item.digest, item.bytes, err)
                : content_add_file(fresh, &item.digest, item.bytes, CONTENT_HASH, err));
    }
    return content_commit(fresh, err);
}

bool bench_content_is_honest(struct store *store, struct span content)
{
    struct bytes found BYTES_CLEANUP = {0};
    for (struct reader reader = reader_of(content); reader.left.len > 0;) {
        struct item item = item_read(&reader);
        struct err err;
        enum err_code code = item.kind == DAMAGE_PAGE
                                 ? page_read(store, &item.digest, &found, &err)
                                 : file_read(store, &item.digest, FILE_CHECK_LENGTH, &found, &err);
        if (code == ERR_OK ? !span_equal(bytes_span(&found), item.bytes)
                           : code != ERR_CORRUPT && code != ERR_NOT_FOUND)
            return false;
    }
    return true;
}
