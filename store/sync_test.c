/* A disk whose syncs take their time: one serves all who wrote before it, and commits that wait seal together. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/limits.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(a_sync_is_asked_for_only_while_something_waits_for_it),
        TRIAL(one_sync_serves_all_who_wrote_before_it),
        TRIAL(commits_that_wait_seal_together),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
