/* Dropping projects. Making and finding them: table_test.c. */
#include "store/project.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/catalog_check.h"
#include "store/catalog_keys.h"
#include "store/parts.h"
#include "store/rights_index.h"
#include "store/snapshot.h"
#include "store/trial.h"

static const struct change_note note = {
    .now_ms = 1000, .principal = {(const uint8_t *)"ALIYUN$o", 8}, .principal_id = 0};

static void good(struct trial *trial, enum err_code code)
{
    if (code != ERR_OK)
        fail_msg("%s", trial->err.message);
}

static struct account_id account_make(struct trial *trial)
{
    struct account_id account;
    const struct account_record spec = {.name = span_text("ALIYUN$o")};
    good(trial, account_create(trial->store, &spec, &note, &account, &trial->err));
    return account;
}

static struct project_id project_make(struct trial *trial, struct account_id owner,
                                      const char *name)
{
    struct project_id made;
    const struct project_spec spec = {.name = span_text(name), .owner = owner};
    good(trial, project_create(trial->store, &spec, &note, &made, &trial->err));
    return made;
}

static enum err_code table_make(struct trial *trial, struct project_id project, const char *name,
                                struct table_id *ret_id)
{
    struct column column = {.id = 1, .name = span_text("c"), .type = {.kind = TYPE_BIGINT}};
    struct schema schema = {.columns = &column, .column_count = 1, .next_column_id = 2};
    const struct table_spec spec = {.project = project, .name = span_text(name), .schema = &schema};
    CONTENT_CLEANUP struct content *content = NULL;
    good(trial, content_open(trial->store, (struct account_id){1}, &content, &trial->err));
    return table_create(content, &spec, &note, ret_id, &trial->err);
}

static void whole(struct trial *trial)
{
    uint64_t faults = 0;
    good(trial, catalog_check(trial->store, NULL, NULL, &faults, &trial->err));
    assert_int_equal(faults, 0);
}

static bool is_there(struct trial *trial, const char *name)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct project_record project;
    enum err_code code =
        project_find(trial->store, NULL, span_text(name), &arena, &project, &trial->err);
    assert_true(code == ERR_OK || code == ERR_NOT_FOUND);
    return code == ERR_OK;
}

static enum err_code sign(void *context, struct span message, uint8_t *ret_signature,
                          struct err *err)
{
    (void)context;
    (void)message;
    (void)err;
    memset(ret_signature, 1, 64);
    return ERR_OK;
}

static void a_project_that_holds_something_stays(void **state)
{
    struct trial *trial = *state;
    struct project_id p = project_make(trial, account_make(trial), "Demo");
    struct table_id t, u, s;
    const struct snapshot_signer signer = {.sign = sign};
    good(trial, table_make(trial, p, "t", &t));
    good(trial, table_make(trial, p, "u", &u));
    const struct snapshot_spec spec = {.project = p,
                                       .table = t,
                                       .name = span_text("s"),
                                       .region = span_text("here"),
                                       .signer = &signer};
    good(trial, snapshot_create(trial->store, &spec, &note, &s, &trial->err));
    assert_int_equal(project_drop(trial->store, p, &note, &trial->err), ERR_EXISTS);
    assert_non_null(strstr(trial->err.message, "Demo still holds 2 tables and 1 snapshot: drop"));
    good(trial, table_drop(trial->store, t, &note, &trial->err));
    good(trial, table_drop(trial->store, u, &note, &trial->err));
    assert_int_equal(project_drop(trial->store, p, &note, &trial->err), ERR_EXISTS);
    assert_non_null(strstr(trial->err.message, "Demo still holds 1 snapshot: drop"));
    good(trial, snapshot_drop(trial->store, s, &note, &trial->err));
    assert_true(is_there(trial, "demo"));
    good(trial, project_drop(trial->store, p, &note, &trial->err));
    assert_false(is_there(trial, "demo"));
    assert_int_equal(project_drop(trial->store, p, &note, &trial->err), ERR_NOT_FOUND);
    trial_reopen(trial);
    assert_false(is_there(trial, "demo"));
    whole(trial);
}

/* Its users and grants count for nothing, and are no weight in memory either. */
static void what_is_made_again_under_its_name_is_another(void **state)
{
    struct trial *trial = *state;
    struct account_id owner = account_make(trial);
    struct project_id old = project_make(trial, owner, "p"),
                      stays = project_make(trial, owner, "q");
    const struct project_id both[] = {old, stays};
    for (size_t i = 0; i < ARRAY_COUNT(both); i++) {
        const struct member_record member = {
            .project = both[i], .name = span_text("RAM$o:a"), .principal = owner.n};
        const struct role_record role = {.project = both[i], .name = span_text("dev")};
        const struct grant_change to_user = {
            .project = both[i], .grantee = {.name = member.name}, .actions = 2 | 4};
        const struct grant_change to_role = {
            .project = both[i], .grantee = {true, role.name}, .actions = 2};
        good(trial, member_add(trial->store, &member, &note, &trial->err));
        good(trial, role_create(trial->store, &role, &note, &trial->err));
        good(trial, grants_give(trial->store, &to_user, &note, &trial->err));
        good(trial, grants_give(trial->store, &to_role, &note, &trial->err));
    }
    size_t deleted;
    bool more;
    good(trial, rights_sweep(trial->store, 2000, &deleted, &more, &trial->err));
    assert_int_equal(deleted, 0); /* what is wished for later is the drop's wish */
    good(trial, project_drop(trial->store, old, &note, &trial->err));
    struct project_id again = project_make(trial, owner, "P");
    assert_true(again.n > stays.n);
    good(trial, rights_sweep(trial->store, 2000, &deleted, &more, &trial->err));
    assert_int_equal(deleted, 5); /* a user, a role, three grants */
    for (int life = 0; life < 2; life++) {
        assert_int_equal(trial->store->rights->members.used, 1);
        assert_int_equal(trial->store->rights->grant_count, 3);
        whole(trial);
        trial_reopen(trial);
    }
}

/* ---- at once ---- */

#define ROUNDS 300

struct rival {
    struct trial *trial;
    struct project_id project;
    atomic_bool *go;
    unsigned number;
    enum err_code created;
};

/* The catalog's part of a new table alone, so that both are as fast. */
static enum err_code name_make(const struct rival *rival)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    struct name_target target = {.kind = NAME_TABLE};
    struct store *store = rival->trial->store;
    TRY(catalog_sequence_take(store, &change, "table", &target.id.n, NULL));
    TRY(name_claim(store, &change, rival->project, span_text("t"), target, NULL));
    return catalog_commit(store, &change, CATALOG_KEEP_RESERVE, NULL);
}

static void *rival_run(void *argument)
{
    struct rival *rival = argument;
    while (!atomic_load(rival->go))
        ;
    for (volatile unsigned i = 0; i < rival->number * 20; i++)
        ; /* another moment each round */
    do
        rival->created = name_make(rival);
    while (rival->created == ERR_CONFLICT);
    return NULL;
}

static void of_a_drop_and_a_new_table_at_once_one_is_done(void **state)
{
    struct trial *trial = *state;
    struct account_id owner = account_make(trial);
    for (unsigned round = 0; round < ROUNDS; round++) {
        char name[16];
        snprintf(name, sizeof(name), "p%u", round);
        atomic_bool go = false;
        struct rival rival = {.trial = trial,
                              .project = project_make(trial, owner, name),
                              .go = &go,
                              .number = round};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, rival_run, &rival), 0);
        atomic_store(&go, true);
        enum err_code code;
        do
            code = project_drop(trial->store, rival.project, &note, &trial->err);
        while (code == ERR_CONFLICT);
        pthread_join(thread, NULL);
        assert_true(code == ERR_OK || code == ERR_EXISTS);
        assert_int_equal(rival.created, code == ERR_OK ? ERR_NOT_FOUND : ERR_OK);
    }
}

/* ---- users, roles, grants and roles' users, at once with the drop ---- */

#define GIVEN 4

static enum err_code given_make(const struct rival *rival, unsigned what)
{
    const struct span role = span_text("dev"), user = span_text("RAM$o:a");
    const struct member_record member = {
        .project = rival->project, .name = span_text("RAM$o:b"), .principal = 2};
    const struct role_record ops = {.project = rival->project, .name = span_text("ops")};
    const struct role_change change = {rival->project, user, &role, 1};
    const struct grant_change grant = {
        .project = rival->project, .grantee = {.name = user}, .actions = 2 | 4};
    struct store *store = rival->trial->store;
    return what == 0   ? member_add(store, &member, &note, NULL)
           : what == 1 ? role_create(store, &ops, &note, NULL)
           : what == 2 ? role_give(store, &change, &note, NULL)
                       : grants_give(store, &grant, &note, NULL);
}

static void *giver_run(void *argument)
{
    struct rival *rival = argument;
    atomic_store(rival->go, true);
    do
        rival->created = given_make(rival, rival->number % GIVEN);
    while (rival->created == ERR_CONFLICT);
    return NULL;
}

/* What the drop's commit does, while whoever gives waits for its turn to commit. */
static void drop_locked(struct trial *trial, struct project_id project)
{
    DB_BATCH_CLEANUP struct db_batch batch = {0};
    BYTES_CLEANUP struct bytes key = {0};
    catalog_key_id('p', project.n, &key);
    db_batch_delete(&batch, FAMILY_CATALOG, bytes_span(&key));
    good(trial, db_write(trial->store->db, &batch, true, &trial->err));
}

static void nothing_is_given_in_a_project_that_is_dropped_meanwhile(void **state)
{
    struct trial *trial = *state;
    struct account_id owner = account_make(trial);
    for (unsigned round = 0; round < 10 * GIVEN; round++) {
        char name[16];
        snprintf(name, sizeof(name), "p%u", round);
        atomic_bool begun = false;
        struct rival rival = {.trial = trial,
                              .project = project_make(trial, owner, name),
                              .go = &begun,
                              .number = round};
        const struct member_record member = {
            .project = rival.project, .name = span_text("RAM$o:a"), .principal = 1};
        const struct role_record role = {.project = rival.project, .name = span_text("dev")};
        good(trial, member_add(trial->store, &member, &note, &trial->err));
        good(trial, role_create(trial->store, &role, &note, &trial->err));
        pthread_t thread;
        trial_line_hold(trial, true);
        assert_int_equal(pthread_create(&thread, NULL, giver_run, &rival), 0);
        while (!atomic_load(&begun))
            ;
        for (unsigned i = 0; i < 2000; i++) /* mostly it has found the project by then */
            sched_yield();
        drop_locked(trial, rival.project);
        trial_line_hold(trial, false);
        pthread_join(thread, NULL);
        assert_int_equal(rival.created, ERR_NOT_FOUND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(a_project_that_holds_something_stays),
        TRIAL(what_is_made_again_under_its_name_is_another),
        TRIAL(of_a_drop_and_a_new_table_at_once_one_is_done),
        TRIAL(nothing_is_given_in_a_project_that_is_dropped_meanwhile),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
