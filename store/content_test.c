/* Content commits, files, pages and packs, on a store in a directory of its own. */
#include "store/content.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "store/directory.h"
#include "store/files.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/store.h"

static const struct account_id alice = {1}, bob = {2};

/* ---- a store to try ---- */

struct bench {
    char dir[64];
    struct store_options options;
    struct store *store;
    struct err err;
};

static void bench_open(struct bench *bench)
{
    assert_int_equal(store_open(&bench->options, &bench->store, &bench->err), ERR_OK);
}

static void bench_reopen(struct bench *bench)
{
    store_close(bench->store);
    bench->store = NULL;
    bench_open(bench);
}

static int bench_setup(void **state)
{
    struct bench *bench = mem_calloc(1, sizeof(*bench));
    snprintf(bench->dir, sizeof(bench->dir), "/tmp/strait-content-XXXXXX");
    assert_non_null(mkdtemp(bench->dir));
    bench->options = (struct store_options){.data_dir = bench->dir, .region = "here"};
    bench_open(bench);
    *state = bench;
    return 0;
}

static int bench_teardown(void **state)
{
    struct bench *bench = *state;
    store_close(bench->store);
    assert_int_equal(directory_clear(bench->dir, NULL), ERR_OK);
    assert_int_equal(rmdir(bench->dir), 0);
    mem_free(bench);
    return 0;
}

/* File n of a size: bytes that depend on both. */
static struct digest file_make(uint64_t n, size_t len, struct bytes *ret_file)
{
    bytes_resize(ret_file, len);
    if (len > 0)
        memset(ret_file->data, (int)(n & 0xFF), len);
    for (size_t at = 0; at + 8 <= len; at += 1024)
        store_u64(ret_file->data + at, n ^ at << 20);
    return digest_of(DOMAIN_FILE, bytes_span(ret_file));
}

static struct digest file_add(struct bench *bench, struct content *content, uint64_t n, size_t len)
{
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = file_make(n, len, &file);
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &bench->err), ERR_OK);
    return digest;
}

static void file_expect(struct bench *bench, uint64_t n, size_t len)
{
    struct bytes file BYTES_CLEANUP = {0};
    struct bytes found BYTES_CLEANUP = {0};
    struct digest digest = file_make(n, len, &file);
    assert_int_equal(file_read(bench->store, &digest, FILE_CHECK_DIGEST, &found, &bench->err),
                     ERR_OK);
    assert_true(span_equal(bytes_span(&file), bytes_span(&found)));
}

static void content_begin(struct bench *bench, struct account_id account,
                          struct content **ret_content)
{
    assert_int_equal(content_open(bench->store, account, ret_content, &bench->err), ERR_OK);
}

static void content_end(struct bench *bench, struct content *content)
{
    assert_int_equal(content_commit(content, &bench->err), ERR_OK);
    content_close(content);
}

static struct store_usage usage(const struct bench *bench)
{
    struct store_usage found;
    store_usage_get(bench->store, &found);
    return found;
}

/* ---- files ---- */

static void small_commits_go_to_the_nursery_and_survive_reopening(void **state)
{
    struct bench *bench = *state;
    struct content *content;
    content_begin(bench, alice, &content);
    file_add(bench, content, 1, 1000);
    file_add(bench, content, 2, 0);
    file_add(bench, content, 3, 200000);
    content_end(bench, content);
    assert_int_equal(usage(bench).small_bytes, 201000);
    assert_int_equal(usage(bench).pack_count, 0);
    bench_reopen(bench);
    file_expect(bench, 1, 1000);
    file_expect(bench, 2, 0);
    file_expect(bench, 3, 200000);
    assert_int_equal(usage(bench).small_bytes, 201000);
}

static void large_commits_go_to_packs_and_survive_reopening(void **state)
{
    struct bench *bench = *state;
    struct content *content;
    content_begin(bench, alice, &content);
    for (uint64_t n = 0; n < 40; n++)
        file_add(bench, content, n, 100000);
    content_end(bench, content);
    assert_int_equal(usage(bench).small_bytes, 0);
    assert_int_equal(usage(bench).pack_count, 1);
    assert_int_equal(usage(bench).pack_live_bytes, 4000000);
    bench_reopen(bench);
    for (uint64_t n = 0; n < 40; n++)
        file_expect(bench, n, 100000);
    assert_int_equal(usage(bench).pack_live_bytes, 4000000);
}

static void a_full_pack_is_indexed_before_the_commit(void **state)
{
    struct bench *bench = *state;
    struct content *content;
    content_begin(bench, alice, &content);
    for (uint64_t n = 0; n < 5; n++)
        file_add(bench, content, n, 16 * MIB(1));
    file_expect(bench, 0, 16 * MIB(1));
    content_close(content);
    bench_reopen(bench); /* the fifth was in an open pack: gone */
    file_expect(bench, 3, 16 * MIB(1));
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = file_make(4, 16 * MIB(1), &file);
    assert_int_equal(file_read(bench->store, &digest, FILE_CHECK_LENGTH, &file, &bench->err),
                     ERR_NOT_FOUND);
    assert_int_equal(usage(bench).pack_count, 1);
}

static void what_is_stored_is_not_stored_twice(void **state)
{
    struct bench *bench = *state;
    for (int round = 0; round < 3; round++) {
        struct content *content;
        content_begin(bench, round == 0 ? alice : bob, &content);
        for (uint64_t n = 0; n < 40; n++)
            file_add(bench, content, n % 20, 100000);
        struct content_counts counts;
        content_counts_get(content, &counts);
        assert_int_equal(counts.files_stored, round == 0 ? 20 : 0);
        content_end(bench, content);
    }
    assert_int_equal(usage(bench).pack_bytes, 2000000);
    assert_int_equal(usage(bench).pack_live_bytes, 2000000);
}

static void the_same_small_file_twice_counts_once(void **state)
{
    struct bench *bench = *state;
    struct content *first, *second;
    content_begin(bench, alice, &first);
    content_begin(bench, bob, &second);
    file_add(bench, first, 1, 1000);
    file_add(bench, first, 1, 1000);
    file_add(bench, second, 1, 1000);
    content_end(bench, first);
    content_end(bench, second);
    assert_int_equal(usage(bench).small_bytes, 1000);
}

static void two_contents_share_a_file_on_its_way(void **state)
{
    struct bench *bench = *state;
    struct content *first, *second;
    content_begin(bench, alice, &first);
    content_begin(bench, bob, &second);
    struct digest digest = file_add(bench, first, 1, 2 * MIB(1));
    file_add(bench, second, 1, 2 * MIB(1));
    content_close(first); /* its owner gave up; the other still needs it */
    content_end(bench, second);
    file_expect(bench, 1, 2 * MIB(1));
    bool held;
    assert_int_equal(held_find(bench->store, &digest, bob, &held, &bench->err), ERR_OK);
    assert_true(held);
    assert_int_equal(usage(bench).pack_bytes, 2 * MIB(1));
}

static void a_file_is_held_by_who_stored_it_alone(void **state)
{
    struct bench *bench = *state;
    struct content *content;
    bool held;
    content_begin(bench, alice, &content);
    struct digest digest = file_add(bench, content, 1, 1000);
    content_end(bench, content);
    assert_int_equal(held_find(bench->store, &digest, alice, &held, &bench->err), ERR_OK);
    assert_true(held);
    assert_int_equal(held_find(bench->store, &digest, bob, &held, &bench->err), ERR_OK);
    assert_false(held);
    content_begin(bench, bob, &content);
    assert_int_equal(content_rely_file(content, &digest, &held, &bench->err), ERR_OK);
    assert_false(held);
    file_add(bench, content, 1, 1000);
    content_end(bench, content);
    content_begin(bench, bob, &content);
    assert_int_equal(content_rely_file(content, &digest, &held, &bench->err), ERR_OK);
    assert_true(held);
    content_close(content);
}

static void wrong_digests_and_lengths_are_refused(void **state)
{
    struct bench *bench = *state;
    struct content *content;
    content_begin(bench, alice, &content);
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = file_make(1, 1000, &file);
    file.data[77] ^= 1;
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASH, &bench->err),
        ERR_CORRUPT);
    bytes_resize(&file, LIMIT_FILE_BYTES + 1);
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &bench->err),
        ERR_LIMIT);
    file_add(bench, content, 2, 1000);
    content_end(bench, content);
    file_expect(bench, 2, 1000);
}

static void reading_checks_the_digest_when_asked(void **state)
{
    struct bench *bench = *state;
    struct content *content;
    content_begin(bench, alice, &content);
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = file_make(1, 1000, &file);
    file.data[77] ^= 1; /* a caller that lies about having hashed */
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &bench->err), ERR_OK);
    content_end(bench, content);
    assert_int_equal(file_read(bench->store, &digest, FILE_CHECK_LENGTH, &file, &bench->err),
                     ERR_OK);
    assert_int_equal(file_read(bench->store, &digest, FILE_CHECK_DIGEST, &file, &bench->err),
                     ERR_CORRUPT);
}

static void the_nursery_moves_to_a_pack(void **state)
{
    struct bench *bench = *state;
    bench->store->index.small_bytes_max = 3000000;
    for (uint64_t n = 0; n < 12; n++) {
        struct content *content;
        content_begin(bench, alice, &content);
        file_add(bench, content, n, 300000);
        content_end(bench, content);
    }
    assert_int_equal(usage(bench).small_bytes, 600000);
    assert_int_equal(usage(bench).pack_live_bytes, 3000000);
    bench_reopen(bench);
    for (uint64_t n = 0; n < 12; n++)
        file_expect(bench, n, 300000);
    assert_int_equal(usage(bench).small_bytes, 600000);
}

static void pack_ids_are_never_used_again(void **state)
{
    struct bench *bench = *state;
    uint64_t next = bench->store->index.pack_next;
    for (int round = 0; round < 3; round++) {
        struct content *content;
        content_begin(bench, alice, &content);
        file_add(bench, content, (uint64_t)round, 2 * MIB(1));
        content_close(content); /* never sealed */
        bench_reopen(bench);
        assert_true(bench->store->index.pack_next > next);
        next = bench->store->index.pack_next;
    }
}

static void no_space_refuses_before_writing(void **state)
{
    struct bench *bench = *state;
    struct content *content;
    store_close(bench->store);
    bench->options.disk_reserve_bytes = UINT64_C(1) << 60;
    bench_open(bench);
    content_begin(bench, alice, &content);
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = file_make(1, 2 * MIB(1), &file);
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &bench->err),
        ERR_NO_SPACE);
    assert_non_null(strstr(bench->err.message, "reserve"));
    assert_int_equal(content_commit(content, &bench->err), ERR_NO_SPACE);
    content_close(content);
}

/* ---- pages ---- */

static struct digest page_make(uint64_t n, size_t len, struct bytes *ret_page)
{
    file_make(n, len, ret_page);
    return digest_of(DOMAIN_PAGE, bytes_span(ret_page));
}

static void pages_come_back_and_large_contents_flush(void **state)
{
    struct bench *bench = *state;
    struct content *content;
    struct bytes page BYTES_CLEANUP = {0};
    struct bytes found BYTES_CLEANUP = {0};
    content_begin(bench, alice, &content);
    for (uint64_t n = 0; n < 200; n++) {
        struct digest digest = page_make(n, KIB(30), &page);
        assert_int_equal(content_add_page(content, &digest, bytes_span(&page), &bench->err),
                         ERR_OK);
        assert_int_equal(content_page_read(content, &digest, &found, &bench->err), ERR_OK);
        assert_true(span_equal(bytes_span(&page), bytes_span(&found)));
    }
    content_end(bench, content);
    bench_reopen(bench);
    for (uint64_t n = 0; n < 200; n++) {
        struct digest digest = page_make(n, KIB(30), &page);
        assert_int_equal(page_read(bench->store, &digest, &found, &bench->err), ERR_OK);
        assert_true(span_equal(bytes_span(&page), bytes_span(&found)));
    }
}

static void pages_above_files_wait_for_them(void **state)
{
    struct bench *bench = *state;
    struct content *content;
    struct bytes page BYTES_CLEANUP = {0};
    content_begin(bench, alice, &content);
    struct digest file = file_add(bench, content, 1, 2 * MIB(1));
    for (uint64_t n = 0; n < 150; n++) { /* more than 4 MiB: flushed */
        struct digest digest = page_make(n, KIB(30), &page);
        assert_int_equal(content_add_page(content, &digest, bytes_span(&page), &bench->err),
                         ERR_OK);
    }
    struct digest first = page_make(0, KIB(30), &page);
    bool page_there, file_there;
    uint64_t file_bytes;
    assert_int_equal(page_find(bench->store, &first, &page_there, &bench->err), ERR_OK);
    assert_int_equal(file_find(bench->store, &file, &file_bytes, &file_there, &bench->err), ERR_OK);
    assert_true(page_there && file_there);
    content_close(content);
}

static enum err_code staged_count(void *context, const struct digest *digest, struct span page,
                                  struct err *err)
{
    struct digest found = digest_of(DOMAIN_PAGE, page);
    if (!digest_equal(&found, digest))
        return err_set(err, ERR_CORRUPT, "staged page");
    ++*(size_t *)context;
    return ERR_OK;
}

static void staged_pages_are_promoted_or_dropped(void **state)
{
    struct bench *bench = *state;
    static const struct task_id task = {{1}}, other = {{2}};
    struct bytes pages[3] = {0};
    struct staged_page staged[3];
    struct digest digests[3];
    for (uint64_t n = 0; n < 3; n++) {
        digests[n] = staged[n].digest = page_make(n, 5000, &pages[n]);
        staged[n].page = bytes_span(&pages[n]);
    }
    assert_int_equal(staged_put(bench->store, &task, staged, 3, &bench->err), ERR_OK);
    assert_int_equal(staged_put(bench->store, &other, staged, 1, &bench->err), ERR_OK);
    bench_reopen(bench);
    size_t count = 0;
    assert_int_equal(staged_each(bench->store, &task, staged_count, &count, &bench->err), ERR_OK);
    assert_int_equal(count, 3);

    struct content *content;
    struct bytes found BYTES_CLEANUP = {0};
    content_begin(bench, alice, &content);
    assert_int_equal(page_read(bench->store, &digests[0], &found, &bench->err), ERR_NOT_FOUND);
    assert_int_equal(staged_promote(content, &task, digests, 2, &bench->err), ERR_OK);
    assert_int_equal(staged_promote(content, &task, digests, 2, &bench->err), ERR_OK);
    assert_int_equal(page_read(bench->store, &digests[1], &found, &bench->err), ERR_OK);
    assert_true(span_equal(bytes_span(&found), staged[1].page));
    struct digest none = {{9}};
    assert_int_equal(staged_promote(content, &task, &none, 1, &bench->err), ERR_NOT_FOUND);
    content_close(content);

    assert_int_equal(staged_read(bench->store, &task, &digests[2], &found, &bench->err), ERR_OK);
    assert_int_equal(staged_drop(bench->store, &task, &bench->err), ERR_OK);
    assert_int_equal(staged_read(bench->store, &task, &digests[2], &found, &bench->err),
                     ERR_NOT_FOUND);
    assert_int_equal(staged_read(bench->store, &other, &digests[0], &found, &bench->err), ERR_OK);
    for (size_t n = 0; n < 3; n++)
        bytes_deinit(&pages[n]);
}

/* ---- several threads ---- */

struct worker {
    struct content *content;
    uint64_t first;
    enum err_code code;
};

#define WORKERS      4
#define WORKER_FILES 60

/* Neighbours overlap by half. */
static void *worker_run(void *context)
{
    struct worker *worker = context;
    struct bytes file BYTES_CLEANUP = {0};
    for (uint64_t n = 0; n < WORKER_FILES && worker->code == ERR_OK; n++) {
        struct digest digest = file_make(worker->first + n, 400000, &file);
        worker->code =
            content_add_file(worker->content, &digest, bytes_span(&file), CONTENT_HASHED, NULL);
        if (worker->code == ERR_OK && n % 20 == 19 && worker->first % 60 == 0)
            worker->code = content_commit(worker->content, NULL);
    }
    return NULL;
}

static void contents_of_several_threads_share_packs(void **state)
{
    struct bench *bench = *state;
    struct worker workers[WORKERS] = {0};
    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i].first = i * 30;
        content_begin(bench, alice, &workers[i].content);
        assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
    }
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < WORKERS; i++) {
        assert_int_equal(workers[i].code, ERR_OK);
        content_end(bench, workers[i].content);
    }
    assert_int_equal(bench->store->index.pins.count, 0);
    bench_reopen(bench);
    for (uint64_t n = 0; n < 30 * (WORKERS - 1) + WORKER_FILES; n++)
        file_expect(bench, n, 400000);
    assert_int_equal(usage(bench).pack_live_bytes, 150 * 400000);
}

/* ---- the directory ---- */

static void a_second_opening_is_refused_with_the_pid(void **state)
{
    struct bench *bench = *state;
    struct store *second;
    char pid[32];
    snprintf(pid, sizeof(pid), "process %ld;", (long)getpid());
    assert_int_equal(store_open(&bench->options, &second, &bench->err), ERR_LOCKED);
    assert_non_null(strstr(bench->err.message, pid));
}

static void another_nodes_directory_is_refused(void **state)
{
    struct bench *bench = *state;
    struct store *other = NULL;
    struct store_options options = bench->options;
    store_close(bench->store);
    bench->store = NULL;
    options.region = "there";
    assert_int_equal(store_open(&options, &other, &bench->err), ERR_CONFIG);
    assert_non_null(strstr(bench->err.message, "region here"));
    options = bench->options;
    options.identity.b[0] = 1;
    assert_int_equal(store_open(&options, &other, &bench->err), ERR_CONFIG);

    struct bytes path BYTES_CLEANUP = {0};
    bytes_printf(&path, "%s/store", bench->dir);
    bytes_append_u8(&path, 0);
    unlink((const char *)path.data); /* the database knows as well */
    assert_int_equal(store_open(&options, &other, &bench->err), ERR_CONFIG);
    bench_open(bench);
}

static void a_newer_format_is_refused(void **state)
{
    struct bench *bench = *state;
    struct store *other = NULL;
    store_close(bench->store);
    bench->store = NULL;
    struct bytes marker BYTES_CLEANUP = {0};
    bytes_append_text(&marker, "strait store\nformat 2\nregion here\nnode 00\n");
    assert_int_equal(marker_write(bench->dir, bytes_span(&marker), &bench->err), ERR_OK);
    assert_int_equal(store_open(&bench->options, &other, &bench->err), ERR_VERSION);
    bytes_clear(&marker);
    bytes_append_text(&marker, "something else\n");
    assert_int_equal(marker_write(bench->dir, bytes_span(&marker), &bench->err), ERR_OK);
    assert_int_equal(store_open(&bench->options, &other, &bench->err), ERR_CORRUPT);
}

static void a_marker_without_a_database_is_refused(void **state)
{
    struct bench *bench = *state;
    struct store *other = NULL;
    struct bytes db BYTES_CLEANUP = {0};
    bytes_printf(&db, "%s/db", bench->dir);
    bytes_append_u8(&db, 0);
    store_close(bench->store);
    bench->store = NULL;
    assert_int_equal(directory_clear((const char *)db.data, &bench->err), ERR_OK);
    assert_int_equal(store_open(&bench->options, &other, &bench->err), ERR_CORRUPT);
}

static void one_pack(struct bench *bench)
{
    struct content *content;
    content_begin(bench, alice, &content);
    file_add(bench, content, 1, 2 * MIB(1));
    content_end(bench, content);
}

static void a_pack_record_without_its_file_stops_the_start(void **state)
{
    struct bench *bench = *state;
    struct store *other = NULL;
    one_pack(bench);
    assert_int_equal(
        index_drop_pack_file(&bench->store->index, bench->store->index.packs[0].id, &bench->err),
        ERR_OK);
    store_close(bench->store);
    bench->store = NULL;
    assert_int_equal(store_open(&bench->options, &other, &bench->err), ERR_CORRUPT);
    assert_non_null(strstr(bench->err.message, "pack 1 "));
}

static void a_pack_file_without_its_record_stops_the_start(void **state)
{
    struct bench *bench = *state;
    struct store *other = NULL;
    one_pack(bench);
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    uint8_t key[8];
    store_u64(key, bench->store->index.packs[0].id.n);
    db_batch_delete(&batch, FAMILY_PACK_STATE, span_of(key, sizeof(key)));
    assert_int_equal(db_write(bench->store->db, &batch, true, &bench->err), ERR_OK);
    store_close(bench->store);
    bench->store = NULL;
    assert_int_equal(store_open(&bench->options, &other, &bench->err), ERR_CORRUPT);
    assert_non_null(strstr(bench->err.message, "pack 1 has a file but no record"));
}

static void a_pack_file_that_is_missing_stops_the_start(void **state)
{
    struct bench *bench = *state;
    struct store *other = NULL;
    one_pack(bench);
    store_close(bench->store);
    bench->store = NULL;
    struct bytes path BYTES_CLEANUP = {0};
    bytes_printf(&path, "%s/db", bench->dir);
    bytes_append_u8(&path, 0);
    DIR *dir = opendir((const char *)path.data);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strstr(entry->d_name, ".sst") != NULL)
            assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
    }
    closedir(dir);
    assert_int_equal(store_open(&bench->options, &other, &bench->err), ERR_CORRUPT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(small_commits_go_to_the_nursery_and_survive_reopening),
        TEST(large_commits_go_to_packs_and_survive_reopening),
        TEST(a_full_pack_is_indexed_before_the_commit),
        TEST(what_is_stored_is_not_stored_twice),
        TEST(the_same_small_file_twice_counts_once),
        TEST(two_contents_share_a_file_on_its_way),
        TEST(a_file_is_held_by_who_stored_it_alone),
        TEST(wrong_digests_and_lengths_are_refused),
        TEST(reading_checks_the_digest_when_asked),
        TEST(the_nursery_moves_to_a_pack),
        TEST(pack_ids_are_never_used_again),
        TEST(no_space_refuses_before_writing),
        TEST(pages_come_back_and_large_contents_flush),
        TEST(pages_above_files_wait_for_them),
        TEST(staged_pages_are_promoted_or_dropped),
        TEST(contents_of_several_threads_share_packs),
        TEST(a_second_opening_is_refused_with_the_pid),
        TEST(another_nodes_directory_is_refused),
        TEST(a_newer_format_is_refused),
        TEST(a_marker_without_a_database_is_refused),
        TEST(a_pack_record_without_its_file_stops_the_start),
        TEST(a_pack_file_without_its_record_stops_the_start),
        TEST(a_pack_file_that_is_missing_stops_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
