/* Content commits, files, pages and packs, on a store in a directory of its own. */
#include "store/content.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "store/catalog_commit.h"
#include "store/directory.h"
#include "store/files.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/store.h"
#include "store/trial.h"

static const struct account_id alice = {1}, bob = {2};

static struct digest file_add(struct trial *trial, struct content *content, uint64_t n, size_t len)
{
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = toy_file(n, len, &file);
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &trial->err), ERR_OK);
    return digest;
}

static void file_expect(struct trial *trial, uint64_t n, size_t len)
{
    struct bytes file BYTES_CLEANUP = {0};
    struct bytes found BYTES_CLEANUP = {0};
    struct digest digest = toy_file(n, len, &file);
    assert_int_equal(file_read(trial->store, &digest, FILE_CHECK_DIGEST, &found, &trial->err),
                     ERR_OK);
    assert_true(span_equal(bytes_span(&file), bytes_span(&found)));
}

static void content_begin(struct trial *trial, struct account_id account,
                          struct content **ret_content)
{
    assert_int_equal(content_open(trial->store, account, ret_content, &trial->err), ERR_OK);
}

static void content_end(struct trial *trial, struct content *content)
{
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    content_close(content);
}

/* ---- files ---- */

static void small_commits_go_to_the_nursery_and_survive_reopening(void **state)
{
    struct trial *trial = *state;
    struct content *content;
    content_begin(trial, alice, &content);
    file_add(trial, content, 1, 1000);
    file_add(trial, content, 2, 0);
    file_add(trial, content, 3, 200000);
    content_end(trial, content);
    assert_int_equal(trial_usage(trial).small_bytes, 201000);
    assert_int_equal(trial_usage(trial).pack_count, 0);
    trial_reopen(trial);
    file_expect(trial, 1, 1000);
    file_expect(trial, 2, 0);
    file_expect(trial, 3, 200000);
    assert_int_equal(trial_usage(trial).small_bytes, 201000);
}

static void large_commits_go_to_packs_and_survive_reopening(void **state)
{
    struct trial *trial = *state;
    struct content *content;
    content_begin(trial, alice, &content);
    for (uint64_t n = 0; n < 40; n++)
        file_add(trial, content, n, 100000);
    content_end(trial, content);
    assert_int_equal(trial_usage(trial).small_bytes, 0);
    assert_int_equal(trial_usage(trial).pack_count, 1);
    assert_int_equal(trial_usage(trial).pack_live_bytes, 4000000);
    trial_reopen(trial);
    for (uint64_t n = 0; n < 40; n++)
        file_expect(trial, n, 100000);
    assert_int_equal(trial_usage(trial).pack_live_bytes, 4000000);
}

static void a_full_pack_is_indexed_before_the_commit(void **state)
{
    struct trial *trial = *state;
    struct content *content;
    content_begin(trial, alice, &content);
    for (uint64_t n = 0; n < 5; n++)
        file_add(trial, content, n, 16 * MIB(1));
    file_expect(trial, 0, 16 * MIB(1));
    content_close(content);
    trial_reopen(trial); /* the fifth was in an open pack: gone */
    file_expect(trial, 3, 16 * MIB(1));
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = toy_file(4, 16 * MIB(1), &file);
    assert_int_equal(file_read(trial->store, &digest, FILE_CHECK_LENGTH, &file, &trial->err),
                     ERR_NOT_FOUND);
    assert_int_equal(trial_usage(trial).pack_count, 1);
}

/* Bytes that this process has asked the system for (rchar), or given to it (wchar). */
static uint64_t bytes_moved(const char *which)
{
    unsigned long long asked, given;
    FILE *io = fopen("/proc/self/io", "r");
    assert_non_null(io);
    assert_int_equal(fscanf(io, "rchar: %llu wchar: %llu", &asked, &given), 2);
    fclose(io);
    return strcmp(which, "rchar") == 0 ? asked : given;
}

/* They would share a block: a column of small numbers beside one of texts. */
static void a_small_file_is_read_without_the_large_one_behind_it(void **state)
{
    struct trial *trial = *state;
    struct content *content;
    content_begin(trial, alice, &content);
    file_add(trial, content, 1, 4 * MIB(1));
    file_add(trial, content, 2, 2000);
    file_add(trial, content, 3, 6 * MIB(1));
    content_end(trial, content);
    file_expect(trial, 2, 2000); /* opens what there is to open */
    uint64_t before = bytes_moved("rchar");
    file_expect(trial, 2, 2000);
    assert_in_range(bytes_moved("rchar") - before, 2000, MIB(1) / 4);
}

static void what_an_account_holds_is_not_stored_twice(void **state)
{
    struct trial *trial = *state;
    for (int round = 0; round < 3; round++) {
        struct content *content;
        content_begin(trial, alice, &content);
        for (uint64_t n = 0; n < 40; n++)
            file_add(trial, content, n % 20, 100000);
        struct content_counts counts;
        content_counts_get(content, &counts);
        assert_int_equal(counts.files_stored, round == 0 ? 20 : 0);
        content_end(trial, content);
    }
    assert_int_equal(trial_usage(trial).pack_bytes, 2000000);
    assert_int_equal(trial_usage(trial).pack_live_bytes, 2000000);
}

struct brought {
    uint64_t given; /* bytes that the process wrote */
    struct content_counts counts;
};

/* Files of one size and a page of 100,000 bytes, in one commit. */
static struct brought bring(struct trial *trial, struct account_id account, size_t files,
                            size_t len)
{
    struct brought brought = {.given = bytes_moved("wchar")};
    struct content *content;
    struct bytes page BYTES_CLEANUP = {0};
    content_begin(trial, account, &content);
    for (uint64_t n = 0; n < files; n++)
        file_add(trial, content, n, len);
    toy_file(1000, 100000, &page);
    struct digest digest = digest_of(DOMAIN_PAGE, bytes_span(&page));
    assert_int_equal(content_add_page(content, &digest, bytes_span(&page), &trial->err), ERR_OK);
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    content_counts_get(content, &brought.counts);
    content_close(content);
    brought.given = bytes_moved("wchar") - brought.given;
    return brought;
}

/* As much is written when a stranger has all of it as when nobody has. */
static void equal_beside_a_stranger(struct trial *trial, size_t files, size_t len)
{
    struct brought alone = bring(trial, alice, files, len);
    struct brought beside = bring(trial, bob, files, len);
    assert_true(alone.given > files * len + 100000);
    assert_in_range(beside.given, alone.given - 20000, alone.given + 20000);
    assert_int_equal(beside.counts.files_stored, files);
    assert_int_equal(beside.counts.files_known, 0);
    struct brought again = bring(trial, bob, files, len);
    assert_in_range(again.given, 0, 30000);
    assert_int_equal(again.counts.files_known, files);
    for (uint64_t n = 0; n < files; n++)
        file_expect(trial, n, len);
}

static void what_a_stranger_has_is_written_all_the_same(void **state)
{
    struct trial *trial = *state;
    equal_beside_a_stranger(trial, 20, 100000);
    assert_int_equal(trial_usage(trial).pack_bytes, 4000000);
    assert_int_equal(trial_usage(trial).pack_live_bytes, 2000000);
    trial_reopen(trial);
    for (uint64_t n = 0; n < 20; n++)
        file_expect(trial, n, 100000);
}

static void what_a_stranger_has_in_the_nursery_is_written_all_the_same(void **state)
{
    struct trial *trial = *state;
    equal_beside_a_stranger(trial, 20, 10000);
    assert_int_equal(trial_usage(trial).small_bytes, 200000);
    trial_reopen(trial);
    assert_int_equal(trial_usage(trial).small_bytes, 200000);
    file_expect(trial, 19, 10000);
}

/* A small commit of what a stranger has in a pack counts for the nursery, like one of new bytes. */
static void small_files_that_a_stranger_has_in_a_pack_move_to_the_nursery(void **state)
{
    struct trial *trial = *state;
    bring(trial, alice, 20, 100000);
    bring(trial, bob, 5, 100000);
    assert_int_equal(trial_usage(trial).small_bytes, 500000);
    assert_int_equal(trial_usage(trial).pack_bytes, 2000000);
    assert_int_equal(trial_usage(trial).pack_live_bytes, 1500000);
    bring(trial, alice, 5, 100000); /* hers, wherever they are */
    assert_int_equal(trial_usage(trial).small_bytes, 500000);
    trial_reopen(trial);
    assert_int_equal(trial_usage(trial).small_bytes, 500000);
    assert_int_equal(trial_usage(trial).pack_live_bytes, 1500000);
    for (uint64_t n = 0; n < 20; n++)
        file_expect(trial, n, 100000);
}

static void a_small_commit_that_fails_takes_nothing_from_a_strangers_pack(void **state)
{
    struct trial *trial = *state;
    struct content *content;
    bring(trial, alice, 20, 100000);
    content_begin(trial, bob, &content);
    file_add(trial, content, 1, 100000);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 1;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_int_not_equal(content_commit(content, &trial->err), ERR_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    content_close(content);
    assert_int_equal(trial_usage(trial).pack_live_bytes, 2000000);
    assert_int_equal(trial_usage(trial).small_bytes, 0);
    file_expect(trial, 1, 100000);
}

static void the_same_small_file_twice_counts_once(void **state)
{
    struct trial *trial = *state;
    struct content *first, *second;
    content_begin(trial, alice, &first);
    content_begin(trial, bob, &second);
    file_add(trial, first, 1, 1000);
    file_add(trial, first, 1, 1000);
    file_add(trial, second, 1, 1000);
    content_end(trial, first);
    content_end(trial, second);
    assert_int_equal(trial_usage(trial).small_bytes, 1000);
}

static void two_contents_of_an_account_share_a_file_on_its_way(void **state)
{
    struct trial *trial = *state;
    struct content *first, *second;
    content_begin(trial, bob, &first);
    content_begin(trial, bob, &second);
    struct digest digest = file_add(trial, first, 1, 2 * MIB(1));
    file_add(trial, second, 1, 2 * MIB(1));
    content_close(first); /* its owner gave up; the other still needs it */
    content_end(trial, second);
    file_expect(trial, 1, 2 * MIB(1));
    bool held;
    assert_int_equal(held_find(trial->store, &digest, bob, &held, &trial->err), ERR_OK);
    assert_true(held);
    assert_int_equal(trial_usage(trial).pack_bytes, 2 * MIB(1));
    assert_int_equal(trial->store->index.claims.count, 0);
}

/* Two copies in one pack: the second is dead, whoever commits. */
static void strangers_write_a_file_each_into_the_same_pack(void **state)
{
    struct trial *trial = *state;
    struct content *first, *second;
    content_begin(trial, alice, &first);
    content_begin(trial, bob, &second);
    struct digest digest = file_add(trial, first, 1, 2 * MIB(1));
    file_add(trial, second, 1, 2 * MIB(1));
    file_add(trial, second, 1, 2 * MIB(1)); /* its own, which is on its way */
    content_end(trial, second);
    content_end(trial, first);
    file_expect(trial, 1, 2 * MIB(1));
    bool held[2];
    assert_int_equal(held_find(trial->store, &digest, alice, &held[0], &trial->err), ERR_OK);
    assert_int_equal(held_find(trial->store, &digest, bob, &held[1], &trial->err), ERR_OK);
    assert_true(held[0] && held[1]);
    assert_int_equal(trial_usage(trial).pack_count, 1);
    assert_int_equal(trial_usage(trial).pack_bytes, 4 * MIB(1));
    assert_int_equal(trial_usage(trial).pack_live_bytes, 2 * MIB(1));
    assert_int_equal(trial->store->index.claims.count, 0);
}

/* The pack with the stranger's copy is being written: nobody waits for it on account of the file. */
static void nobody_waits_for_a_strangers_pack(void **state)
{
    struct trial *trial = *state;
    struct content *first, *second;
    struct pack *busy;
    content_begin(trial, alice, &first);
    content_begin(trial, bob, &second);
    file_add(trial, first, 1, 2 * MIB(1));
    assert_int_equal(packs_take(trial->store->packs, 1, &busy, &trial->err), ERR_OK);
    file_add(trial, second, 1, 2 * MIB(1));
    alarm(20); /* for the commit that waits for ever */
    content_end(trial, second);
    alarm(0);
    file_expect(trial, 1, 2 * MIB(1));
    assert_int_equal(trial_usage(trial).pack_live_bytes, 2 * MIB(1));
    packs_give_back(trial->store->packs, busy, NULL);
    content_end(trial, first);
    assert_int_equal(trial_usage(trial).pack_bytes, 4 * MIB(1));
    assert_int_equal(trial_usage(trial).pack_live_bytes, 2 * MIB(1));
    trial_reopen(trial);
    file_expect(trial, 1, 2 * MIB(1));
}

static void a_file_is_held_by_who_stored_it_alone(void **state)
{
    struct trial *trial = *state;
    struct content *content;
    bool held;
    content_begin(trial, alice, &content);
    struct digest digest = file_add(trial, content, 1, 1000);
    content_end(trial, content);
    assert_int_equal(held_find(trial->store, &digest, alice, &held, &trial->err), ERR_OK);
    assert_true(held);
    assert_int_equal(held_find(trial->store, &digest, bob, &held, &trial->err), ERR_OK);
    assert_false(held);
    content_begin(trial, bob, &content);
    assert_int_equal(content_rely_file(content, &digest, &held, &trial->err), ERR_OK);
    assert_false(held);
    file_add(trial, content, 1, 1000);
    content_end(trial, content);
    content_begin(trial, bob, &content);
    assert_int_equal(content_rely_file(content, &digest, &held, &trial->err), ERR_OK);
    assert_true(held);
    content_close(content);
}

static void wrong_digests_and_lengths_are_refused(void **state)
{
    struct trial *trial = *state;
    struct content *content;
    content_begin(trial, alice, &content);
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = toy_file(1, 1000, &file);
    file.data[77] ^= 1;
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASH, &trial->err),
        ERR_CORRUPT);
    bytes_resize(&file, LIMIT_FILE_BYTES + 1);
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &trial->err),
        ERR_LIMIT);
    file_add(trial, content, 2, 1000);
    content_end(trial, content);
    file_expect(trial, 2, 1000);
}

static void reading_checks_the_digest_when_asked(void **state)
{
    struct trial *trial = *state;
    struct content *content;
    content_begin(trial, alice, &content);
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = toy_file(1, 1000, &file);
    file.data[77] ^= 1; /* a caller that lies about having hashed */
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &trial->err), ERR_OK);
    content_end(trial, content);
    assert_int_equal(file_read(trial->store, &digest, FILE_CHECK_LENGTH, &file, &trial->err),
                     ERR_OK);
    assert_int_equal(file_read(trial->store, &digest, FILE_CHECK_DIGEST, &file, &trial->err),
                     ERR_CORRUPT);
}

static void the_nursery_moves_to_a_pack(void **state)
{
    struct trial *trial = *state;
    trial->store->index.small_bytes_max = 3000000;
    for (uint64_t n = 0; n < 12; n++) {
        struct content *content;
        content_begin(trial, alice, &content);
        file_add(trial, content, n, 300000);
        content_end(trial, content);
    }
    assert_int_equal(trial_usage(trial).small_bytes, 600000);
    assert_int_equal(trial_usage(trial).pack_live_bytes, 3000000);
    trial_reopen(trial);
    for (uint64_t n = 0; n < 12; n++)
        file_expect(trial, n, 300000);
    assert_int_equal(trial_usage(trial).small_bytes, 600000);
}

static void pack_ids_are_never_used_again(void **state)
{
    struct trial *trial = *state;
    uint64_t next = trial->store->index.pack_next;
    for (int round = 0; round < 3; round++) {
        struct content *content;
        content_begin(trial, alice, &content);
        file_add(trial, content, (uint64_t)round, 2 * MIB(1));
        content_close(content); /* never sealed */
        trial_reopen(trial);
        assert_true(trial->store->index.pack_next > next);
        next = trial->store->index.pack_next;
    }
}

static void no_space_refuses_before_writing(void **state)
{
    struct trial *trial = *state;
    struct content *content;
    store_close(trial->store);
    trial->options.disk_reserve_bytes = UINT64_C(1) << 60;
    trial_open(trial);
    content_begin(trial, alice, &content);
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = toy_file(1, 2 * MIB(1), &file);
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &trial->err),
        ERR_NO_SPACE);
    assert_non_null(strstr(trial->err.message, "reserve"));
    assert_int_equal(content_commit(content, &trial->err), ERR_NO_SPACE);
    content_close(content);
}

/* ---- pages ---- */

static struct digest page_make(uint64_t n, size_t len, struct bytes *ret_page)
{
    toy_file(n, len, ret_page);
    return digest_of(DOMAIN_PAGE, bytes_span(ret_page));
}

static void pages_come_back_and_large_contents_flush(void **state)
{
    struct trial *trial = *state;
    struct content *content;
    struct bytes page BYTES_CLEANUP = {0};
    struct bytes found BYTES_CLEANUP = {0};
    content_begin(trial, alice, &content);
    for (uint64_t n = 0; n < 200; n++) {
        struct digest digest = page_make(n, KIB(30), &page);
        assert_int_equal(content_add_page(content, &digest, bytes_span(&page), &trial->err),
                         ERR_OK);
        assert_int_equal(content_page_read(content, &digest, &found, &trial->err), ERR_OK);
        assert_true(span_equal(bytes_span(&page), bytes_span(&found)));
    }
    content_end(trial, content);
    trial_reopen(trial);
    for (uint64_t n = 0; n < 200; n++) {
        struct digest digest = page_make(n, KIB(30), &page);
        assert_int_equal(page_read(trial->store, &digest, &found, &trial->err), ERR_OK);
        assert_true(span_equal(bytes_span(&page), bytes_span(&found)));
    }
}

static void pages_above_files_wait_for_them(void **state)
{
    struct trial *trial = *state;
    struct content *content;
    struct bytes page BYTES_CLEANUP = {0};
    content_begin(trial, alice, &content);
    struct digest file = file_add(trial, content, 1, 2 * MIB(1));
    for (uint64_t n = 0; n < 150; n++) { /* more than 4 MiB: flushed */
        struct digest digest = page_make(n, KIB(30), &page);
        assert_int_equal(content_add_page(content, &digest, bytes_span(&page), &trial->err),
                         ERR_OK);
    }
    struct digest first = page_make(0, KIB(30), &page);
    bool page_there, file_there;
    uint64_t file_bytes;
    assert_int_equal(page_find(trial->store, &first, &page_there, &trial->err), ERR_OK);
    assert_int_equal(file_find(trial->store, &file, &file_bytes, &file_there, &trial->err), ERR_OK);
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
    struct trial *trial = *state;
    static const struct task_id task = {{1}}, other = {{2}};
    struct bytes pages[3] = {0};
    struct staged_page staged[3];
    struct digest digests[3];
    for (uint64_t n = 0; n < 3; n++) {
        digests[n] = staged[n].digest = page_make(n, 5000, &pages[n]);
        staged[n].page = bytes_span(&pages[n]);
    }
    assert_int_equal(staged_put(trial->store, &task, staged, 3, &trial->err), ERR_OK);
    assert_int_equal(staged_put(trial->store, &other, staged, 1, &trial->err), ERR_OK);
    trial_reopen(trial);
    size_t count = 0;
    assert_int_equal(staged_each(trial->store, &task, staged_count, &count, &trial->err), ERR_OK);
    assert_int_equal(count, 3);

    struct content *content;
    struct bytes found BYTES_CLEANUP = {0};
    content_begin(trial, alice, &content);
    assert_int_equal(page_read(trial->store, &digests[0], &found, &trial->err), ERR_NOT_FOUND);
    assert_int_equal(staged_promote(content, &task, digests, 2, &trial->err), ERR_OK);
    assert_int_equal(staged_promote(content, &task, digests, 2, &trial->err), ERR_OK);
    assert_int_equal(page_read(trial->store, &digests[1], &found, &trial->err), ERR_OK);
    assert_true(span_equal(bytes_span(&found), staged[1].page));
    struct digest none = {{9}};
    assert_int_equal(staged_promote(content, &task, &none, 1, &trial->err), ERR_NOT_FOUND);
    content_close(content);

    assert_int_equal(staged_read(trial->store, &task, &digests[2], &found, &trial->err), ERR_OK);
    assert_int_equal(staged_drop(trial->store, &task, &trial->err), ERR_OK);
    assert_int_equal(staged_read(trial->store, &task, &digests[2], &found, &trial->err),
                     ERR_NOT_FOUND);
    assert_int_equal(staged_read(trial->store, &other, &digests[0], &found, &trial->err), ERR_OK);
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
        struct digest digest = toy_file(worker->first + n, 400000, &file);
        worker->code =
            content_add_file(worker->content, &digest, bytes_span(&file), CONTENT_HASHED, NULL);
        if (worker->code == ERR_OK && n % 20 == 19 && worker->first % 60 == 0)
            worker->code = content_commit(worker->content, NULL);
    }
    return NULL;
}

static void contents_of_several_threads_share_packs(void **state)
{
    struct trial *trial = *state;
    struct worker workers[WORKERS] = {0};
    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i].first = i * 30;
        content_begin(trial, i == 3 ? bob : alice, &workers[i].content);
        assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
    }
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < WORKERS; i++) {
        assert_int_equal(workers[i].code, ERR_OK);
        content_end(trial, workers[i].content);
    }
    assert_int_equal(trial->store->index.pins.count, 0);
    trial_reopen(trial);
    for (uint64_t n = 0; n < 30 * (WORKERS - 1) + WORKER_FILES; n++)
        file_expect(trial, n, 400000);
    assert_int_equal(trial_usage(trial).pack_live_bytes, 150 * 400000);
    assert_int_equal(trial_usage(trial).pack_bytes, (150 + 30) * 400000); /* bob's half of his */
}

/* ---- the directory ---- */

static void a_second_opening_is_refused_with_the_pid(void **state)
{
    struct trial *trial = *state;
    struct store *second;
    char pid[32];
    snprintf(pid, sizeof(pid), "process %ld;", (long)getpid());
    assert_int_equal(store_open(&trial->options, &second, &trial->err), ERR_LOCKED);
    assert_non_null(strstr(trial->err.message, pid));
}

static void another_nodes_directory_is_refused(void **state)
{
    struct trial *trial = *state;
    struct store *other = NULL;
    struct store_options options = trial->options;
    store_close(trial->store);
    trial->store = NULL;
    options.region = "there";
    assert_int_equal(store_open(&options, &other, &trial->err), ERR_CONFIG);
    assert_non_null(strstr(trial->err.message, "region here"));
    options = trial->options;
    options.identity.b[0] = 1;
    assert_int_equal(store_open(&options, &other, &trial->err), ERR_CONFIG);

    struct bytes path BYTES_CLEANUP = {0};
    bytes_printf(&path, "%s/store", trial->dir);
    bytes_append_u8(&path, 0);
    unlink((const char *)path.data); /* the database knows as well */
    assert_int_equal(store_open(&options, &other, &trial->err), ERR_CONFIG);
    trial_open(trial);
}

static void a_newer_format_is_refused(void **state)
{
    struct trial *trial = *state;
    struct store *other = NULL;
    store_close(trial->store);
    trial->store = NULL;
    struct bytes marker BYTES_CLEANUP = {0};
    bytes_printf(&marker, "strait store\nformat %d\nregion here\nnode 00\nprogram strait 99.1\n",
                 STORE_FORMAT + 1);
    assert_int_equal(marker_write(trial->dir, bytes_span(&marker), &trial->err), ERR_OK);
    assert_int_equal(store_open(&trial->options, &other, &trial->err), ERR_VERSION);
    char format[32];
    snprintf(format, sizeof(format), "store format %d, of strait 99.1,", STORE_FORMAT + 1);
    assert_non_null(strstr(trial->err.message, format)); /* which one, whose, */
    assert_non_null(strstr(trial->err.message, "run that program or a newer one")); /* what to do */
    struct bytes db BYTES_CLEANUP = {0};
    bytes_printf(&db, "%s/db/LOCK", trial->dir);
    bytes_append_u8(&db, 0);
    assert_int_equal(unlink((const char *)db.data), 0);
    assert_int_equal(store_open(&trial->options, &other, &trial->err), ERR_VERSION);
    assert_int_not_equal(access((const char *)db.data, F_OK), 0); /* the database was not touched */
    bytes_clear(&marker);
    bytes_append_text(&marker, "strait store\nformat 0\nregion here\nnode 00\n");
    assert_int_equal(marker_write(trial->dir, bytes_span(&marker), &trial->err), ERR_OK);
    assert_int_equal(store_open(&trial->options, &other, &trial->err), ERR_CORRUPT);
    bytes_clear(&marker);
    bytes_append_text(&marker, "something else\n");
    assert_int_equal(marker_write(trial->dir, bytes_span(&marker), &trial->err), ERR_OK);
    assert_int_equal(store_open(&trial->options, &other, &trial->err), ERR_CORRUPT);
}

static void marker_meta_put(struct trial *trial, struct span text)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    catalog_put(&change, FAMILY_META, span_text("store"), text);
    assert_int_equal(catalog_commit(trial->store, &change, CATALOG_KEEP_RESERVE, &trial->err),
                     ERR_OK);
}

static void marker_meta_expect(struct trial *trial, struct span text)
{
    struct bytes found_text BYTES_CLEANUP = {0};
    bool found;
    assert_int_equal(catalog_find(trial->store, NULL, FAMILY_META, span_text("store"), &found_text,
                                  &found, &trial->err),
                     ERR_OK);
    assert_true(found && span_equal(bytes_span(&found_text), text));
}

/* A marker of this trial's directory as a program of another format writes it. */
static void marker_of(struct trial *trial, int format, struct bytes *out)
{
    static const char head[] = "strait store\nformat ";
    struct bytes ours BYTES_CLEANUP = {0};
    marker_make(trial->options.region,
                span_of(trial->options.identity.b, sizeof(trial->options.identity.b)), &ours);
    bytes_printf(out, "%s%d", head, format);
    bytes_append(out, ours.data + strlen(head) + 1, ours.len - strlen(head) - 1);
}

static void origin_expect(struct trial *trial, unsigned format, const char *program)
{
    struct store_origin origin;
    store_origin_get(trial->store, &origin);
    assert_int_equal(origin.format, format);
    assert_string_equal(origin.program, program);
}

/* Whatever of the two says the older format, both say this one as soon as the store was opened. */
static void an_older_format_is_opened_and_becomes_this_one(void **state)
{
    struct trial *trial = *state;
    struct bytes older BYTES_CLEANUP = {0};
    struct bytes ours BYTES_CLEANUP = {0};
    marker_of(trial, STORE_FORMAT - 1, &older);
    marker_of(trial, STORE_FORMAT, &ours);
    for (int which = 0; which < 3; which++) {
        struct bytes file BYTES_CLEANUP = {0};
        bool found;
        if (which != 0)
            marker_meta_put(trial, bytes_span(&older));
        if (which != 1)
            assert_int_equal(marker_write(trial->dir, bytes_span(&older), &trial->err), ERR_OK);
        trial_reopen(trial);
        origin_expect(trial, STORE_FORMAT - 1, "strait " STRAIT_VERSION);
        marker_meta_expect(trial, bytes_span(&ours));
        assert_int_equal(marker_read(trial->dir, &file, &found, &trial->err), ERR_OK);
        assert_true(found && span_equal(bytes_span(&file), bytes_span(&ours)));
        trial_reopen(trial);
        origin_expect(trial, STORE_FORMAT, "strait " STRAIT_VERSION);
    }
}

/* As programs of before format 3 left it, and as nobody did. */
static void a_program_without_a_name_is_none(void **state)
{
    static const char *const programs[] = {"", "program \n", "program a\tb\n",
                                           "program 12345678901234567890123456789012345678901\n"};
    struct trial *trial = *state;
    struct bytes ours BYTES_CLEANUP = {0};
    marker_of(trial, 2, &ours);
    const char *named = strstr((const char *)ours.data, "program ");
    size_t nameless_bytes = (size_t)(named - (const char *)ours.data);
    for (size_t i = 0; i < ARRAY_COUNT(programs); i++) {
        struct bytes marker BYTES_CLEANUP = {0};
        bytes_append(&marker, ours.data, nameless_bytes);
        bytes_append_text(&marker, programs[i]);
        marker_meta_put(trial, bytes_span(&marker));
        assert_int_equal(marker_write(trial->dir, bytes_span(&marker), &trial->err), ERR_OK);
        trial_reopen(trial);
        origin_expect(trial, 2, "");
    }
}

/* As a program of the older format finds it after a crash between the two. */
static void a_newer_format_of_the_database_alone_is_refused(void **state)
{
    struct trial *trial = *state;
    struct store *other = NULL;
    struct bytes newer BYTES_CLEANUP = {0};
    marker_of(trial, STORE_FORMAT + 1, &newer);
    marker_meta_put(trial, bytes_span(&newer));
    store_close(trial->store);
    trial->store = NULL;
    assert_int_equal(store_open(&trial->options, &other, &trial->err), ERR_VERSION);
    assert_non_null(strstr(trial->err.message, "is newer than this program's"));
}

static void a_marker_without_a_database_is_refused(void **state)
{
    struct trial *trial = *state;
    struct store *other = NULL;
    struct bytes db BYTES_CLEANUP = {0};
    bytes_printf(&db, "%s/db", trial->dir);
    bytes_append_u8(&db, 0);
    store_close(trial->store);
    trial->store = NULL;
    assert_int_equal(directory_clear((const char *)db.data, &trial->err), ERR_OK);
    assert_int_equal(store_open(&trial->options, &other, &trial->err), ERR_CORRUPT);
}

static void one_pack(struct trial *trial)
{
    struct content *content;
    content_begin(trial, alice, &content);
    file_add(trial, content, 1, 2 * MIB(1));
    content_end(trial, content);
}

static void a_pack_record_without_its_file_stops_the_start(void **state)
{
    struct trial *trial = *state;
    struct store *other = NULL;
    one_pack(trial);
    assert_int_equal(
        index_drop_pack_file(&trial->store->index, trial->store->index.packs[0].id, &trial->err),
        ERR_OK);
    store_close(trial->store);
    trial->store = NULL;
    assert_int_equal(store_open(&trial->options, &other, &trial->err), ERR_CORRUPT);
    assert_non_null(strstr(trial->err.message, "pack 1 "));
}

static void a_pack_file_without_its_record_stops_the_start(void **state)
{
    struct trial *trial = *state;
    struct store *other = NULL;
    one_pack(trial);
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    uint8_t key[8];
    store_u64(key, trial->store->index.packs[0].id.n);
    db_batch_delete(&batch, FAMILY_PACK_STATE, span_of(key, sizeof(key)));
    assert_int_equal(db_write(trial->store->db, &batch, true, &trial->err), ERR_OK);
    store_close(trial->store);
    trial->store = NULL;
    assert_int_equal(store_open(&trial->options, &other, &trial->err), ERR_CORRUPT);
    assert_non_null(strstr(trial->err.message, "pack 1 has a file but no record"));
}

static void a_pack_file_that_is_missing_stops_the_start(void **state)
{
    struct trial *trial = *state;
    struct store *other = NULL;
    one_pack(trial);
    store_close(trial->store);
    trial->store = NULL;
    struct bytes path BYTES_CLEANUP = {0};
    bytes_printf(&path, "%s/db", trial->dir);
    bytes_append_u8(&path, 0);
    DIR *dir = opendir((const char *)path.data);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strstr(entry->d_name, ".sst") != NULL)
            assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
    }
    closedir(dir);
    assert_int_equal(store_open(&trial->options, &other, &trial->err), ERR_CORRUPT);
}

static void *commit_expecting_failure(void *content)
{
    return content_commit(content, NULL) == ERR_OK ? content : NULL;
}

/* The limit makes sealing fail. One pack of the commit is idle and fails at once; the other one is
 * held by somebody at that moment: it must not be left behind as spoken for. */
static void a_commit_that_fails_leaves_no_pack_that_nobody_takes(void **state)
{
    struct trial *trial = *state;
    struct packs *packs = trial->store->packs;
    struct content *content;
    struct pack *held, *all[PACK_WRITERS_MAX];
    struct rlimit before;
    pthread_t thread;
    void *committed;
    content_begin(trial, alice, &content);
    file_add(trial, content, 1, 4 * MIB(1));
    assert_int_equal(packs_take(packs, 1, &held, &trial->err), ERR_OK);
    file_add(trial, content, 2, 4 * MIB(1));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = MIB(1), .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(pthread_create(&thread, NULL, commit_expecting_failure, content), 0);
    usleep(300000);
    packs_give_back(packs, held, NULL);
    pthread_join(thread, &committed);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    content_close(content);
    assert_null(committed);
    alarm(20); /* for the take that waits for ever */
    for (size_t i = 0; i < PACK_WRITERS_MAX; i++)
        assert_int_equal(packs_take(packs, 1, &all[i], &trial->err), ERR_OK);
    alarm(0);
    for (size_t i = 0; i < PACK_WRITERS_MAX; i++)
        packs_give_back(packs, all[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(small_commits_go_to_the_nursery_and_survive_reopening),
        TRIAL(large_commits_go_to_packs_and_survive_reopening),
        TRIAL(a_full_pack_is_indexed_before_the_commit),
        TRIAL(a_small_file_is_read_without_the_large_one_behind_it),
        TRIAL(what_an_account_holds_is_not_stored_twice),
        TRIAL(what_a_stranger_has_is_written_all_the_same),
        TRIAL(what_a_stranger_has_in_the_nursery_is_written_all_the_same),
        TRIAL(small_files_that_a_stranger_has_in_a_pack_move_to_the_nursery),
        TRIAL(a_small_commit_that_fails_takes_nothing_from_a_strangers_pack),
        TRIAL(the_same_small_file_twice_counts_once),
        TRIAL(two_contents_of_an_account_share_a_file_on_its_way),
        TRIAL(strangers_write_a_file_each_into_the_same_pack),
        TRIAL(nobody_waits_for_a_strangers_pack),
        TRIAL(a_file_is_held_by_who_stored_it_alone),
        TRIAL(wrong_digests_and_lengths_are_refused),
        TRIAL(reading_checks_the_digest_when_asked),
        TRIAL(the_nursery_moves_to_a_pack),
        TRIAL(pack_ids_are_never_used_again),
        TRIAL(no_space_refuses_before_writing),
        TRIAL(pages_come_back_and_large_contents_flush),
        TRIAL(pages_above_files_wait_for_them),
        TRIAL(staged_pages_are_promoted_or_dropped),
        TRIAL(contents_of_several_threads_share_packs),
        TRIAL(a_second_opening_is_refused_with_the_pid),
        TRIAL(another_nodes_directory_is_refused),
        TRIAL(a_newer_format_is_refused),
        TRIAL(an_older_format_is_opened_and_becomes_this_one),
        TRIAL(a_program_without_a_name_is_none),
        TRIAL(a_newer_format_of_the_database_alone_is_refused),
        TRIAL(a_marker_without_a_database_is_refused),
        TRIAL(a_pack_record_without_its_file_stops_the_start),
        TRIAL(a_pack_file_without_its_record_stops_the_start),
        TRIAL(a_pack_file_that_is_missing_stops_the_start),
        TRIAL(a_commit_that_fails_leaves_no_pack_that_nobody_takes),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
