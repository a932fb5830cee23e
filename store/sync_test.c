/* A disk whose syncs take their time: one serves all who wrote before it, commits that wait seal together, a seal waits
 * for company, and what may be durable later asks for none. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "store/pack.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/trial.h"

static const struct account_id alice = {1};

static atomic_uint begun;          /* syncs */
static _Thread_local bool waits;   /* this thread's next one, until it is let go */
static atomic_bool is_waiting, go; /* it does; it may go on */

/* The library's, too. */
int fdatasync(int file)
{
    atomic_fetch_add(&begun, 1);
    if (waits) {
        waits = false;
        atomic_store(&is_waiting, true);
        while (!atomic_load(&go))
            usleep(1000);
    }
    return (int)syscall(SYS_fdatasync, file);
}

static void wait_until(const atomic_bool *what)
{
    alarm(60);
    while (!atomic_load(what))
        usleep(1000);
    alarm(0);
}

static enum err_code put(struct db *db, uint64_t key, bool sync)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    uint8_t name[12] = "test";
    store_u64(name + 4, key);
    db_batch_put(&batch, FAMILY_META, span_of(name, sizeof(name)), span_text("value"));
    return db_write(db, &batch, sync, NULL);
}

static void a_sync_is_asked_for_only_while_something_waits_for_it(void **state)
{
    struct trial *trial = *state;
    struct db *db = trial->store->db;
    assert_int_equal(put(db, 0, false), ERR_OK);
    unsigned before = atomic_load(&begun);
    assert_int_equal(db_sync(db, &trial->err), ERR_OK);
    assert_int_equal(atomic_load(&begun), before + 1);
    assert_int_equal(db_sync(db, &trial->err), ERR_OK);
    assert_int_equal(atomic_load(&begun), before + 1);
    assert_int_equal(put(db, 1, false), ERR_OK);
    assert_int_equal(put(db, 2, true), ERR_OK); /* both */
    assert_int_equal(atomic_load(&begun), before + 2);
    assert_int_equal(db_sync(db, &trial->err), ERR_OK);
    assert_int_equal(atomic_load(&begun), before + 2);
    assert_int_equal(put(db, 3, false), ERR_OK);
    assert_int_equal(db_sync(db, &trial->err), ERR_OK);
    assert_int_equal(atomic_load(&begun), before + 3);
}

struct writer {
    struct db *db;
    uint64_t key;
    bool waits;
    atomic_bool has_put;
    enum err_code code;
};

static void *writer_run(void *context)
{
    struct writer *writer = context;
    writer->code = put(writer->db, writer->key, false);
    atomic_store(&writer->has_put, true);
    waits = writer->waits;
    if (writer->code == ERR_OK)
        writer->code = db_sync(writer->db, NULL);
    return NULL;
}

#define WRITERS 5

/* The first is in its sync when the others write: it is none of theirs, and the next one is all of theirs. */
static void one_sync_serves_all_who_wrote_before_it(void **state)
{
    struct trial *trial = *state;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    unsigned before = atomic_load(&begun);
    atomic_store(&go, false);
    atomic_store(&is_waiting, false);
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.db = trial->store->db, .key = i, .waits = i == 0};
        assert_int_equal(pthread_create(&threads[i], NULL, writer_run, &writers[i]), 0);
        wait_until(i == 0 ? &is_waiting : &writers[i].has_put);
    }
    atomic_store(&go, true);
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(writers[i].code, ERR_OK);
    }
    assert_int_equal(atomic_load(&begun) - before, 2);
}

struct committer {
    struct content *content;
    bool waits;
    atomic_bool is_done;
    enum err_code code;
};

static void *committer_run(void *context)
{
    struct committer *committer = context;
    waits = committer->waits;
    committer->code = content_commit(committer->content, NULL);
    atomic_store(&committer->is_done, true);
    return NULL;
}

#define COMMITTERS 4

/* The first seals; what the others bring meanwhile goes into one pack, although some of them wait for it already. */
static void commits_that_wait_seal_together(void **state)
{
    struct trial *trial = *state;
    struct committer committers[COMMITTERS];
    pthread_t threads[COMMITTERS];
    struct bytes file BYTES_CLEANUP = {0};
    atomic_store(&go, false);
    atomic_store(&is_waiting, false);
    for (size_t i = 0; i < COMMITTERS; i++) {
        committers[i] = (struct committer){.waits = i == 0};
        assert_int_equal(content_open(trial->store, alice, &committers[i].content, &trial->err),
                         ERR_OK);
        struct digest digest = toy_file(i, MIB(1), &file);
        assert_int_equal(content_add_file(committers[i].content, &digest, bytes_span(&file),
                                          CONTENT_HASHED, &trial->err),
                         ERR_OK);
        assert_int_equal(pthread_create(&threads[i], NULL, committer_run, &committers[i]), 0);
        if (i == 0)
            wait_until(&is_waiting);
        usleep(50000); /* so that they do wait; none ends */
        assert_false(atomic_load(&committers[i].is_done));
    }
    atomic_store(&go, true);
    for (size_t i = 0; i < COMMITTERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(committers[i].code, ERR_OK);
        content_close(committers[i].content);
    }
    assert_int_equal(trial_usage(trial).pack_count, 2);
    assert_int_equal(trial_usage(trial).pack_live_bytes, COMMITTERS * MIB(1));
    trial_reopen(trial);
    assert_int_equal(trial_usage(trial).pack_live_bytes, COMMITTERS * MIB(1));
}

/* ---- the company of other copies ---- */

#define COPIES 10

struct copies {
    struct content *contents[COPIES];
    struct committer committers[COPIES];
    pthread_t threads[COPIES];
};

static void copy_add(struct trial *trial, struct copies *copies, size_t i, uint64_t file_number)
{
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = toy_file(file_number, MIB(1), &file);
    assert_int_equal(content_add_file(copies->contents[i], &digest, bytes_span(&file),
                                      CONTENT_HASHED, &trial->err),
                     ERR_OK);
}

/* Copies that run, each with a file in the one open pack; a seal waits for company as long as it takes. */
static void copies_begin(struct trial *trial, struct copies *copies)
{
    packs_group_wait_set(trial->store->packs, UINT32_MAX);
    for (size_t i = 0; i < COPIES; i++) {
        const struct task_id task = {{(uint8_t)(1 + i)}};
        struct content **content = &copies->contents[i];
        assert_int_equal(content_open(trial->store, alice, content, &trial->err), ERR_OK);
        content_count_for(*content, &task);
        copies->committers[i] = (struct committer){.content = *content};
        copy_add(trial, copies, i, i);
    }
}

static void copies_commit(struct copies *copies, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        assert_int_equal(
            pthread_create(&copies->threads[i], NULL, committer_run, &copies->committers[i]), 0);
}

static void copies_await(struct copies *copies, size_t from, size_t to)
{
    alarm(60);
    for (size_t i = from; i < to; i++) {
        pthread_join(copies->threads[i], NULL);
        assert_int_equal(copies->committers[i].code, ERR_OK);
    }
    alarm(0);
}

static void copies_wait(const struct copies *copies, size_t from, size_t to)
{
    usleep(50000); /* for ever, if nobody came */
    for (size_t i = from; i < to; i++)
        assert_false(atomic_load(&copies->committers[i].is_done));
}

static void copies_close(struct copies *copies, size_t from)
{
    for (size_t i = from; i < COPIES; i++) {
        content_close(copies->contents[i]);
        copies->contents[i] = NULL;
    }
}

static void a_seal_waits_for_the_company_of_other_copies(void **state)
{
    struct trial *trial = *state;
    struct copies copies;
    copies_begin(trial, &copies);
    copies_commit(&copies, 0, 5);
    copies_wait(&copies, 0, 5);
    copies_commit(&copies, 5, 6); /* enough company, though four more run */
    copies_await(&copies, 0, 6);
    assert_int_equal(trial_usage(trial).pack_count, 1);
    assert_int_equal(trial_usage(trial).pack_live_bytes, COPIES * MIB(1));
    copies_close(&copies, 0);
}

static void who_is_nearly_alone_does_not_wait(void **state)
{
    struct trial *trial = *state;
    struct copies copies;
    copies_begin(trial, &copies);
    copies_close(&copies, 5);
    copies_commit(&copies, 0, 1);
    copies_wait(&copies, 0, 1);
    copies_close(&copies, 4); /* three others run */
    copies_await(&copies, 0, 1);
    copies_close(&copies, 0);
}

/* Those who have had theirs sealed bring nothing any more, though they are there. */
static void nobody_waits_for_those_who_came_before(void **state)
{
    struct trial *trial = *state;
    struct copies copies;
    copies_begin(trial, &copies);
    copies_commit(&copies, 0, 6);
    copies_await(&copies, 0, 6);
    copies_commit(&copies, 6, 7); /* three others run */
    copies_await(&copies, 6, 7);
    copies_close(&copies, 0);
}

/* The others' source is away: two wait for them, who comes then does not. But two at once are company again. */
static void nobody_waits_for_copies_that_stand_still(void **state)
{
    struct trial *trial = *state;
    struct copies copies;
    copies_begin(trial, &copies);
    packs_group_wait_set(trial->store->packs, 1);
    for (size_t i = 0; i < 2; i++) {
        copy_add(trial, &copies, i, 100 + i);
        copies_commit(&copies, i, i + 1);
        copies_await(&copies, i, i + 1);
    }
    packs_group_wait_set(trial->store->packs, UINT32_MAX);
    copy_add(trial, &copies, 2, 102);
    copies_commit(&copies, 2, 3);
    copies_await(&copies, 2, 3);
    copy_add(trial, &copies, 3, 103);
    copies.committers[3].waits = true;
    atomic_store(&go, false);
    atomic_store(&is_waiting, false);
    copies_commit(&copies, 3, 4);
    wait_until(&is_waiting);
    copy_add(trial, &copies, 4, 104);
    copies_commit(&copies, 4, 5);
    copies_wait(&copies, 3, 5);
    atomic_store(&go, true);
    copies_await(&copies, 3, 4);
    copies_wait(&copies, 4, 5); /* five others run */
    copies_close(&copies, 8);
    copies_await(&copies, 4, 5);
    copies_close(&copies, 0);
}

static void large_files_add(struct trial *trial, struct content *content, uint64_t first)
{
    struct bytes file BYTES_CLEANUP = {0};
    for (uint64_t n = first; n < first + 3; n++) {
        struct digest digest = toy_file(n, 16 * MIB(1), &file);
        assert_int_equal(
            content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &trial->err),
            ERR_OK);
    }
}

/* Two packs, for one is somebody's while the second half comes. */
static void as_much_as_a_full_pack_waits_for_no_company(void **state)
{
    struct trial *trial = *state;
    struct packs *packs = trial->store->packs;
    struct copies copies;
    struct pack *held;
    copies_begin(trial, &copies);
    large_files_add(trial, copies.contents[0], 100);
    assert_int_equal(packs_take(packs, 1, &held, &trial->err), ERR_OK);
    large_files_add(trial, copies.contents[0], 200);
    packs_give_back(packs, held, NULL);
    copies_commit(&copies, 0, 1);
    copies_await(&copies, 0, 1);
    assert_int_equal(trial_usage(trial).pack_count, 2);
    copies_close(&copies, 0);
}

/* ---- what the next commit makes durable ---- */

static void change_put(struct trial *trial, uint64_t key, bool later)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {.later = later};
    uint8_t name[12] = "test";
    store_u64(name + 4, key);
    catalog_put(&change, FAMILY_TASKS, span_of(name, sizeof(name)), span_text("value"));
    assert_int_equal(catalog_commit(trial->store, &change, CATALOG_KEEP_RESERVE, &trial->err),
                     ERR_OK);
}

static void what_may_be_durable_later_waits_for_no_sync(void **state)
{
    struct trial *trial = *state;
    change_put(trial, 0, false);
    unsigned before = atomic_load(&begun);
    change_put(trial, 1, true);
    change_put(trial, 2, true);
    assert_int_equal(atomic_load(&begun), before);
    change_put(trial, 3, false); /* all three */
    assert_int_equal(atomic_load(&begun), before + 1);
    assert_int_equal(db_sync(trial->store->db, &trial->err), ERR_OK);
    assert_int_equal(atomic_load(&begun), before + 1);
}

struct putter {
    struct trial *trial;
    uint64_t key;
    bool later;
};

static void *putter_run(void *context)
{
    const struct putter *putter = context;
    change_put(putter->trial, putter->key, putter->later);
    return NULL;
}

/* Whoever of one write needs the sync, first or last, has it. */
static void one_in_line_that_cannot_wait_has_its_sync(void **state)
{
    struct trial *trial = *state;
    struct catalog_line *line = &trial->store->catalog_line;
    change_put(trial, 0, false);
    for (unsigned turn = 0; turn < 2; turn++) {
        struct putter putters[2];
        pthread_t threads[2];
        unsigned before = atomic_load(&begun);
        uint64_t writes = line->writes;
        trial_line_hold(trial, true);
        for (unsigned i = 0; i < 2; i++) {
            putters[i] = (struct putter){trial, 1 + 2 * turn + i, .later = i == turn};
            assert_int_equal(pthread_create(&threads[i], NULL, putter_run, &putters[i]), 0);
            for (bool there = false; !there; usleep(1000)) {
                pthread_mutex_lock(&line->lock);
                there = line->first != NULL && (i == 0 || line->first->next != NULL);
                pthread_mutex_unlock(&line->lock);
            }
        }
        trial_line_hold(trial, false);
        for (unsigned i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(line->writes - writes, 1);
        assert_int_equal(atomic_load(&begun), before + 1);
    }
}

static void promoted_pages_are_durable_with_what_follows(void **state)
{
    struct trial *trial = *state;
    static const struct task_id task = {{1}};
    struct content *content;
    struct bytes page BYTES_CLEANUP = {0};
    struct digest digest = toy_file(1, 5000, &page);
    const struct staged_page staged = {.digest = digest, .page = bytes_span(&page)};
    assert_int_equal(content_open(trial->store, alice, &content, &trial->err), ERR_OK);
    unsigned before = atomic_load(&begun);
    assert_int_equal(staged_put(trial->store, &task, &staged, 1, &trial->err), ERR_OK);
    assert_int_equal(staged_promote(content, &task, &digest, 1, &trial->err), ERR_OK);
    assert_int_equal(atomic_load(&begun), before);
    assert_int_equal(content_sync(content, &trial->err), ERR_OK);
    assert_int_equal(atomic_load(&begun), before + 1);
    content_close(content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(a_sync_is_asked_for_only_while_something_waits_for_it),
        TRIAL(one_sync_serves_all_who_wrote_before_it),
        TRIAL(commits_that_wait_seal_together),
        TRIAL(a_seal_waits_for_the_company_of_other_copies),
        TRIAL(who_is_nearly_alone_does_not_wait),
        TRIAL(nobody_waits_for_those_who_came_before),
        TRIAL(nobody_waits_for_copies_that_stand_still),
        TRIAL(as_much_as_a_full_pack_waits_for_no_company),
        TRIAL(what_may_be_durable_later_waits_for_no_sync),
        TRIAL(one_in_line_that_cannot_wait_has_its_sync),
        TRIAL(promoted_pages_are_durable_with_what_follows),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
