/* What is this region's of a snapshot: its end, its description, its hold. What ends it in spite of a hold,
 * what comes between reading and the commit, and what a kill leaves (the program runs itself as a child:
 * "hold DIR ID" with a crash point armed). Making and finding snapshots: table_test.c. */
#include "store/snapshot.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "store/audit.h"
#include "store/catalog_check.h"
#include "store/crash.h"
#include "store/trial.h"

static char self[256];
static struct change_note note = {.now_ms = 1000, .principal = {(const uint8_t *)"ALIYUN$o", 8}};
static const struct snapshot_change hold = {.sets_hold = true, .held = true};
static const struct snapshot_change release = {.sets_hold = true};

static void good(struct trial *trial, enum err_code code)
{
    if (code != ERR_OK)
        fail_msg("%s", trial->err.message);
}

/* ---- a table, and snapshots of it ---- */

static struct project_id project;
static struct table_id table;

/* What happens while a snapshot's claim is signed: between reading and the commit. */
static struct {
    struct store *store;
    struct table_id held; /* is held then; 0: nothing happens */
} meanwhile;

static enum err_code sign(void *context, struct span message, uint8_t *ret_signature,
                          struct err *err)
{
    (void)context;
    (void)message;
    memset(ret_signature, 1, SIGNATURE_BYTES);
    if (meanwhile.held.n == 0)
        return ERR_OK;
    struct table_id id = meanwhile.held;
    meanwhile.held.n = 0;
    return snapshot_change(meanwhile.store, id, &hold, &note, err);
}

static const struct snapshot_signer signer = {.sign = sign};

static void things_make(struct trial *trial)
{
    struct account_id account;
    const struct account_record owner = {.name = span_text("ALIYUN$o")};
    good(trial, account_create(trial->store, &owner, &note, &account, &trial->err));
    const struct project_spec demo = {.name = span_text("Demo"), .owner = account};
    good(trial, project_create(trial->store, &demo, &note, &project, &trial->err));
    struct column column = {.id = 1, .name = span_text("c"), .type = {.kind = TYPE_BIGINT}};
    struct schema schema = {.columns = &column, .column_count = 1, .next_column_id = 2};
    const struct table_spec spec = {.project = project, .name = span_text("t"), .schema = &schema};
    CONTENT_CLEANUP struct content *content = NULL;
    good(trial, content_open(trial->store, account, &content, &trial->err));
    good(trial, table_create(content, &spec, &note, &table, &trial->err));
}

static struct snapshot_spec spec_of(const char *name, uint64_t expires_ms)
{
    return (struct snapshot_spec){.project = project,
                                  .name = span_text(name),
                                  .table = table,
                                  .expires_ms = expires_ms,
                                  .description = span_text("its maker's words"),
                                  .region = span_text("here"),
                                  .signer = &signer};
}

static struct table_id make(struct trial *trial, const char *name, uint64_t expires_ms)
{
    struct table_id id;
    const struct snapshot_spec spec = spec_of(name, expires_ms);
    good(trial, snapshot_create(trial->store, &spec, &note, &id, &trial->err));
    return id;
}

static enum err_code replace(struct trial *trial, const char *name, struct table_id old,
                             struct table_id *ret_id)
{
    struct snapshot_spec spec = spec_of(name, 0);
    spec.or_replace = true;
    spec.replaces = old;
    return snapshot_create(trial->store, &spec, &note, ret_id, &trial->err);
}

/* Puts a copy of the snapshot in place of `old`, as XCOPY does when all is here. */
static enum err_code publish(struct trial *trial, const struct snapshot_record *from,
                             const char *name, struct table_id old)
{
    const struct snapshot_replica replica = {.project = project,
                                             .name = span_text(name),
                                             .replaces = old,
                                             .claim = from->claim,
                                             .maker = from->maker,
                                             .signature = from->signature,
                                             .version = from->version};
    struct table_id id;
    return snapshot_publish(trial->store, &replica, &note, &id, NULL, &trial->err);
}

static struct snapshot_record get(struct trial *trial, struct table_id id, struct arena *arena)
{
    struct snapshot_record snapshot;
    good(trial, snapshot_get(trial->store, NULL, id, arena, &snapshot, &trial->err));
    return snapshot;
}

static bool is_there(struct trial *trial, struct table_id id)
{
    ARENA_CLEANUP struct arena arena;
    struct snapshot_record snapshot;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    enum err_code code = snapshot_get(trial->store, NULL, id, &arena, &snapshot, &trial->err);
    assert_true(code == ERR_OK || code == ERR_TABLE_NOT_FOUND);
    return code == ERR_OK;
}

static size_t expire(struct trial *trial, uint64_t now_ms)
{
    size_t dropped = 1, all = 0;
    while (dropped > 0) {
        good(trial, snapshot_expire(trial->store, now_ms, &dropped, &trial->err));
        all += dropped;
    }
    return all;
}

static void is_whole(struct trial *trial)
{
    uint64_t faults = 0;
    good(trial, catalog_check(trial->store, NULL, NULL, &faults, &trial->err));
    assert_int_equal(faults, 0);
}

/* ---- end and description ---- */

static void the_claim_stays_as_it_was_signed(void **state)
{
    struct trial *trial = *state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 4 * CATALOG_ARENA_BYTES);
    things_make(trial);
    struct table_id s = make(trial, "s", 5000);
    const struct snapshot_record before = get(trial, s, &arena);
    assert_false(before.redescribed);
    const struct snapshot_change change = {.sets_expires = true,
                                           .expires_ms = 9000,
                                           .sets_description = true,
                                           .description = span_text("ours")};
    good(trial, snapshot_change(trial->store, s, &change, &note, &trial->err));
    trial_reopen(trial);
    struct snapshot_record after = get(trial, s, &arena);
    assert_true(span_equal(after.claim, before.claim));
    assert_memory_equal(after.signature, before.signature, SIGNATURE_BYTES);
    assert_int_equal(after.expires_ms, 9000);
    assert_true(after.redescribed);
    assert_true(span_equal(after.description, span_text("ours")));
    const struct snapshot_change none = {.sets_expires = true, .sets_description = true};
    good(trial, snapshot_change(trial->store, s, &none, &note, &trial->err));
    after = get(trial, s, &arena);
    assert_int_equal(after.expires_ms, 0);
    assert_true(after.redescribed); /* to nothing: not back to what its maker says */
    assert_int_equal(after.description.len, 0);
    good(trial, snapshot_change(trial->store, s, &hold, &note, &trial->err));
    assert_true(get(trial, s, &arena).redescribed);
    is_whole(trial);
}

static void a_description_has_a_limit(void **state)
{
    struct trial *trial = *state;
    static char text[LIMIT_COMMENT_BYTES + 2];
    things_make(trial);
    struct table_id s = make(trial, "s", 0);
    memset(text, 'x', sizeof(text) - 1);
    struct snapshot_change change = {.sets_description = true,
                                     .description = span_of(text, LIMIT_COMMENT_BYTES)};
    good(trial, snapshot_change(trial->store, s, &change, &note, &trial->err));
    change.description = span_of(text, LIMIT_COMMENT_BYTES + 1);
    assert_int_equal(snapshot_change(trial->store, s, &change, &note, &trial->err), ERR_PARAMETER);
    change.description = span_text("\xC3");
    assert_int_equal(snapshot_change(trial->store, s, &change, &note, &trial->err), ERR_PARAMETER);
}

/* ---- holds ---- */

static void what_is_held_is_not_ended_by_anything(void **state)
{
    struct trial *trial = *state;
    struct table_id id;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    things_make(trial);
    struct table_id s = make(trial, "s", 5000), other = make(trial, "other", 5000);
    const struct snapshot_record record = get(trial, s, &arena);
    good(trial, snapshot_change(trial->store, s, &hold, &note, &trial->err));
    assert_int_equal(snapshot_drop(trial->store, s, &note, &trial->err), ERR_HELD);
    assert_non_null(strstr(trial->err.message, "s is held by ALIYUN$o since 1970-01-01 00:00:01"));
    assert_int_equal(replace(trial, "s", s, &id), ERR_HELD);
    assert_int_equal(publish(trial, &record, "s", s), ERR_HELD);
    assert_int_equal(expire(trial, 5000), 1);
    assert_false(is_there(trial, other));
    trial_reopen(trial);
    assert_true(is_there(trial, s));
    assert_int_equal(snapshot_drop(trial->store, s, &note, &trial->err), ERR_HELD);
    good(trial, snapshot_change(trial->store, s, &release, &note, &trial->err));
    assert_int_equal(expire(trial, 5000), 1); /* what has expired meanwhile goes now */
    assert_false(is_there(trial, s));
    is_whole(trial);
}

static void a_hold_is_of_who_came_first(void **state)
{
    struct trial *trial = *state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    things_make(trial);
    struct table_id s = make(trial, "s", 0);
    good(trial, snapshot_change(trial->store, s, &hold, &note, &trial->err));
    const struct change_note later = {.now_ms = 7000, .principal = span_text("ALIYUN$p")};
    good(trial, snapshot_change(trial->store, s, &hold, &later, &trial->err));
    assert_true(span_equal(get(trial, s, &arena).hold.by, span_text("ALIYUN$o")));
    assert_int_equal(get(trial, s, &arena).hold.since_ms, 1000);
    good(trial, snapshot_change(trial->store, s, &release, &later, &trial->err));
    good(trial, snapshot_change(trial->store, s, &release, &later, &trial->err));
    good(trial, snapshot_drop(trial->store, s, &note, &trial->err));
    assert_int_equal(snapshot_change(trial->store, s, &hold, &note, &trial->err),
                     ERR_TABLE_NOT_FOUND);
}

/* The hold comes when CREATE OR REPLACE has read what it replaces. */
static void a_hold_that_comes_meanwhile_holds(void **state)
{
    struct trial *trial = *state;
    struct table_id id;
    things_make(trial);
    struct table_id s = make(trial, "s", 0);
    meanwhile.store = trial->store;
    meanwhile.held = s;
    assert_int_equal(replace(trial, "s", s, &id), ERR_CONFLICT);
    assert_int_equal(replace(trial, "s", s, &id), ERR_HELD);
    assert_true(is_there(trial, s));
}

/* ---- at once ---- */

#define ROUNDS 40

static struct race {
    struct store *store;
    struct table_id id;
    struct snapshot_record record; /* what is published over it */
    atomic_bool begun;
    enum err_code held, dropped, published, expired;
} race;

static void begin_wait(void)
{
    while (!atomic_load(&race.begun))
        ;
}

static void *do_hold(void *unused)
{
    begin_wait();
    do
        race.held = snapshot_change(race.store, race.id, &hold, &note, NULL);
    while (race.held == ERR_CONFLICT);
    return unused;
}

static void *do_drop(void *unused)
{
    begin_wait();
    do
        race.dropped = snapshot_drop(race.store, race.id, &note, NULL);
    while (race.dropped == ERR_CONFLICT);
    return unused;
}

static void *do_expire(void *unused)
{
    size_t dropped;
    begin_wait();
    race.expired = snapshot_expire(race.store, 5000, &dropped, NULL);
    return unused;
}

static void *do_publish(void *unused)
{
    struct table_id id;
    const struct snapshot_replica replica = {.project = project,
                                             .name = span_text("s"),
                                             .replaces = race.id,
                                             .claim = race.record.claim,
                                             .maker = race.record.maker,
                                             .signature = race.record.signature,
                                             .version = race.record.version};
    begin_wait();
    do
        race.published = snapshot_publish(race.store, &replica, &note, &id, NULL, NULL);
    while (race.published == ERR_CONFLICT); /* its record was changed: read again */
    return unused;
}

/* Whoever was told that it is held finds it; whoever was told that it is dropped does not. */
static void of_all_at_once_one_order_holds(void **state)
{
    struct trial *trial = *state;
    static void *(*const doers[])(void *) = {do_hold, do_drop, do_expire};
    things_make(trial);
    unsigned held = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        pthread_t threads[ARRAY_COUNT(doers)];
        race = (struct race){.store = trial->store, .id = make(trial, "s", 5000)};
        for (size_t i = 0; i < ARRAY_COUNT(doers); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, doers[i], NULL), 0);
        atomic_store(&race.begun, true);
        for (size_t i = 0; i < ARRAY_COUNT(doers); i++)
            pthread_join(threads[i], NULL);
        assert_true(race.held == ERR_OK || race.held == ERR_TABLE_NOT_FOUND);
        assert_int_equal(is_there(trial, race.id), race.held == ERR_OK);
        if (race.held == ERR_OK)
            assert_int_equal(race.dropped, ERR_HELD);
        else
            assert_int_not_equal(race.dropped, ERR_HELD);
        assert_true(race.expired == ERR_OK || race.expired == ERR_CONFLICT); /* it goes on */
        held += race.held == ERR_OK;
        if (race.held == ERR_OK) {
            good(trial, snapshot_change(trial->store, race.id, &release, &note, &trial->err));
            good(trial, snapshot_drop(trial->store, race.id, &note, &trial->err));
        }
    }
    print_message("held %u of %u\n", held, ROUNDS);
    is_whole(trial);
}

static void a_hold_and_a_publish_at_once_have_one_order(void **state)
{
    struct trial *trial = *state;
    static void *(*const doers[])(void *) = {do_hold, do_publish};
    things_make(trial);
    for (unsigned round = 0; round < ROUNDS; round++) {
        ARENA_CLEANUP struct arena arena;
        pthread_t threads[ARRAY_COUNT(doers)];
        arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
        race = (struct race){.store = trial->store, .id = make(trial, "s", 0)};
        race.record = get(trial, race.id, &arena);
        for (size_t i = 0; i < ARRAY_COUNT(doers); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, doers[i], NULL), 0);
        atomic_store(&race.begun, true);
        for (size_t i = 0; i < ARRAY_COUNT(doers); i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(is_there(trial, race.id), race.held == ERR_OK);
        assert_int_equal(race.published, race.held == ERR_OK ? ERR_HELD : ERR_OK);
        struct name_target now;
        good(trial, name_find(trial->store, NULL, project, span_text("s"), &now, &trial->err));
        good(trial, snapshot_change(trial->store, now.id, &release, &note, &trial->err));
        good(trial, snapshot_drop(trial->store, now.id, &note, &trial->err));
    }
    is_whole(trial);
}

/* ---- kills ---- */

static int child(const char *dir, const char *id_text)
{
    struct store_options options = {.data_dir = dir, .region = "here"};
    struct store *store;
    struct err err;
    struct table_id id = {strtoull(id_text, NULL, 10)};
    if (store_open(&options, &store, &err) != ERR_OK)
        return 2;
    return snapshot_change(store, id, &hold, &note, &err) == ERR_OK ? 0 : 3; /* not reached */
}

static void killed_while_it_holds(struct trial *trial, struct table_id id, const char *point)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)id.n);
    store_close(trial->store);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("STRAIT_CRASH", point, 1);
        execl(self, self, "hold", trial->dir, text, (char *)NULL);
        _exit(4);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("%s: status %x", point, (unsigned)status);
    trial_open(trial);
}

static void a_killed_hold_is_there_or_not(void **state)
{
    struct trial *trial = *state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    things_make(trial);
    struct table_id s = make(trial, "s", 5000);
    killed_while_it_holds(trial, s, "catalog.checked");
    assert_int_equal(get(trial, s, &arena).hold.by.len, 0);
    killed_while_it_holds(trial, s, "catalog.written");
    assert_true(span_equal(get(trial, s, &arena).hold.by, span_text("ALIYUN$o")));
    assert_int_equal(get(trial, s, &arena).expires_ms, 5000);
    assert_int_equal(expire(trial, 5000), 0);
    is_whole(trial);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "hold") == 0)
        return child(argv[2], argv[3]);
    snprintf(self, sizeof(self), "%s", argv[0]);
    const struct CMUnitTest tests[] = {
        TRIAL(the_claim_stays_as_it_was_signed),
        TRIAL(a_description_has_a_limit),
        TRIAL(what_is_held_is_not_ended_by_anything),
        TRIAL(a_hold_is_of_who_came_first),
        TRIAL(a_hold_that_comes_meanwhile_holds),
        TRIAL(of_all_at_once_one_order_holds),
        TRIAL(a_hold_and_a_publish_at_once_have_one_order),
        TRIAL(a_killed_hold_is_there_or_not),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
