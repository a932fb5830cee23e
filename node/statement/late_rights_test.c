/* Rights and keys that end while a statement is under way: it ends with them, and nothing has changed. */
#include "node/statement/trial.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/ingest.h"
#include "node/turn.h"

static struct trial trial;

static int group_setup(void **state)
{
    (void)state;
    trial_start(&trial);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    trial_stop(&trial);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    trial_project_of_rows(&trial);
    return 0;
}

static void as(const struct principal *principal)
{
    trial.as = principal;
}

/* ---- what lasts, and who is gone meanwhile ---- */

static struct table_id object_of(const char *name)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct project_record project;
    struct name_target target;
    assert_int_equal(
        project_find(trial.store, NULL, span_text(trial.project), &arena, &project, NULL), ERR_OK);
    assert_int_equal(name_find(trial.store, NULL, project.id, span_text(name), &target, NULL),
                     ERR_OK);
    return target.id;
}

static struct project_id project_id_of(void)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct project_record project;
    assert_int_equal(
        project_find(trial.store, NULL, span_text(trial.project), &arena, &project, NULL), ERR_OK);
    return project.id;
}

/* Begun, and committed after `meanwhile`: rows of `principal` into t, or as a new table of `create`. */
static enum err_code ingested_by(const struct principals *principals,
                                 const struct principal *principal, const struct table_spec *create,
                                 void (*meanwhile)(void), struct err *err)
{
    static uint8_t times;
    const struct ingest_options options = {.store = trial.store,
                                           .account = trial.root.account,
                                           .table = create == NULL ? object_of("t")
                                                                   : (struct table_id){0},
                                           .create = create,
                                           .mode = UPLOAD_APPEND,
                                           .memory_bytes = MIB(1)};
    const struct ingest_commit commit = {.operation = OPERATION_INSERT,
                                         .now_ms = 1,
                                         .principals = principals,
                                         .principal = principal,
                                         .statement = {{0x1D, ++times}}};
    INGEST_CLEANUP struct ingest *ingest = NULL;
    struct outcome outcome;
    TRY(ingest_open(&options, &ingest, err));
    meanwhile();
    return ingest_commit(ingest, &commit, &outcome, err);
}

static enum err_code ingested(const struct principal *principal, const struct table_spec *create,
                              void (*meanwhile)(void), struct err *err)
{
    return ingested_by(trial.principals, principal, create, meanwhile, err);
}

static struct principal guest; /* RAM$root:g, by the first of its keys */
static const struct public_identity guest_keys[2] = {{.noise = {{1}}, .sign = {{1}}},
                                                     {.noise = {{2}}, .sign = {{2}}}};

/* With so many of its keys, the last ones. */
static void guest_put(size_t keys)
{
    const struct principal_spec spec = {.name = span_text(guest.name),
                                        .account = guest.account,
                                        .number = guest.number,
                                        .user = true,
                                        .keys = &guest_keys[ARRAY_COUNT(guest_keys) - keys],
                                        .key_count = keys};
    principals_put(trial.principals, &spec);
}

static void guest_make(void)
{
    struct user_id id;
    const struct user_record spec = {.name = span_text("RAM$root:g"),
                                     .account = trial.root.account};
    const struct change_note made = {.now_ms = 1, .principal = span_text("ALIYUN$root")};
    assert_int_equal(user_create(trial.store, &spec, &made, &id, NULL), ERR_OK);
    guest = (struct principal){
        .account = trial.root.account, .number = id.n, .user = true, .keys = guest_keys[0]};
    snprintf(guest.name, sizeof(guest.name), "RAM$root:g");
    guest_put(2);
}

static void guest_drop(void)
{
    const struct change_note made = {.now_ms = 1, .principal = span_text("ALIYUN$root")};
    assert_int_equal(principal_drop(trial.store, span_text(guest.name), &made, NULL), ERR_OK);
    principals_remove(trial.principals, span_text(guest.name));
}

static void key_drop(void)
{
    guest_put(1);
}

static void nothing(void)
{
}

static void update_revoke(void)
{
    trial_root(&trial, "REVOKE Update ON TABLE t FROM USER RAM$root:g");
}

static void create_revoke(void)
{
    trial_root(&trial, "REVOKE CreateTable ON PROJECT @ FROM USER RAM$root:g");
}

static void drop_revoke(void)
{
    trial_root(&trial, "REVOKE Drop ON TABLE t FROM USER RAM$root:g");
}

static void rows_of_hours_are_allowed_when_they_are_committed(void **state)
{
    (void)state;
    struct column column = {.id = 1, .name = span_text("a"), .type = {.kind = TYPE_BIGINT}};
    const struct schema schema = {.columns = &column, .column_count = 1, .next_column_id = 2};
    struct table_spec create = {
        .project = project_id_of(), .name = span_text("made"), .schema = &schema};
    struct err err;
    guest_make();
    trial_root(&trial, "ADD USER RAM$root:g");
    trial_root(&trial, "GRANT Update, Drop ON TABLE t TO USER RAM$root:g");
    trial_root(&trial, "GRANT CreateTable ON PROJECT @ TO USER RAM$root:g");
    assert_int_equal(ingested(&guest, NULL, nothing, &err), ERR_OK);
    assert_int_equal(ingested(&guest, NULL, key_drop, &err), ERR_DENIED);
    assert_non_null(strstr(err.message, "the key that RAM$root:g began this with was dropped"));
    assert_int_equal(ingested(&guest, &create, nothing, &err), ERR_DENIED);
    guest_put(2);
    assert_int_equal(ingested(&guest, NULL, update_revoke, &err), ERR_DENIED);
    assert_non_null(strstr(err.message, "RAM$root:g has no Update on"));
    struct table_spec instead = create;
    instead.name = span_text("t");
    instead.replaces = object_of("t");
    assert_int_equal(ingested(&guest, &instead, drop_revoke, &err), ERR_DENIED);
    assert_non_null(strstr(err.message, "has no Drop on"));
    assert_int_equal(ingested(&guest, &create, create_revoke, &err), ERR_DENIED);
    assert_non_null(strstr(err.message, "has no CreateTable on"));
    guest_drop();
    trial_gives(&trial, "SELECT COUNT(*) FROM t", "3");
}

static void dropped_under_way(void)
{
    trial_root(&trial, "REMOVE USER RAM$root:g");
    guest_drop();
}

/* Also not to who has the name then: a table's maker is known by name. */
static void nothing_is_made_by_who_was_dropped(void **state)
{
    (void)state;
    struct column column = {.id = 1, .name = span_text("a"), .type = {.kind = TYPE_BIGINT}};
    const struct schema schema = {.columns = &column, .column_count = 1, .next_column_id = 2};
    const struct table_spec create = {
        .project = project_id_of(), .name = span_text("made"), .schema = &schema};
    struct err err;
    guest_make();
    trial_root(&trial, "ADD USER RAM$root:g");
    trial_root(&trial, "GRANT CreateTable ON PROJECT @ TO USER RAM$root:g");
    assert_int_equal(ingested(&guest, &create, dropped_under_way, &err), ERR_DENIED);
    trial_refuses(&trial, "SELECT * FROM made", ERR_TABLE_NOT_FOUND, "");
    /* the account itself, that the index of principals still has: it owns the project, and only its
     * being in the catalog is left to ask */
    struct principal gone = trial.root;
    gone.number = 1000000;
    assert_int_equal(ingested(&gone, NULL, nothing, &err), ERR_DENIED);
    struct principals *late;
    const struct config_list no_operators = {0};
    assert_int_equal(principals_new(&no_operators, &late, NULL), ERR_OK);
    principals_put(late, &(struct principal_spec){.name = span_text(gone.name),
                                                  .account = gone.account,
                                                  .number = gone.number,
                                                  .keys = &gone.keys,
                                                  .key_count = 1});
    assert_int_equal(ingested_by(late, &gone, NULL, nothing, &err), ERR_CREDENTIALS);
    assert_int_equal(ingested_by(late, &gone, &create, nothing, &err), ERR_CREDENTIALS);
    principals_free(late);
}

/* A grant to the name of somebody else would be silently nobody's. */
static void a_name_that_was_somebody_elses_is_no_user(void **state)
{
    (void)state;
    guest_make();
    trial_root(&trial, "ADD USER RAM$root:g");
    trial_root(&trial, "CREATE ROLE r");
    guest_drop();
    static const char *const texts[] = {"GRANT Select ON TABLE t TO USER RAM$root:g",
                                        "GRANT r TO USER RAM$root:g"};
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
            trial_refuses(&trial, texts[i], ERR_NOT_FOUND, "ADD USER first");
        if (again == 0)
            guest_make();
    }
    trial_root(&trial, "ADD USER RAM$root:g");
    trial_root(&trial, texts[0]);
    trial_allows(&trial, &guest, "SELECT COUNT(*) FROM t", "3");
    guest_drop();
}

/* ---- rights that end in mid-statement ---- */

static void a_result_ends_with_the_right_to_it(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT Select ON TABLE t TO USER ALIYUN$other");
    static const char *const ends[] = {"REVOKE Select ON TABLE t FROM USER ALIYUN$other",
                                       "REMOVE USER ALIYUN$other"};
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        as(&trial.other);
        struct trial_cursor *cursor = trial_open(&trial, "SELECT * FROM t");
        trial_root(&trial, ends[i]);
        trial_rest_refused(cursor, ERR_DENIED, "ALIYUN$other has no Select on");
        if (i == 0)
            trial_root(&trial, "GRANT Select ON TABLE t TO USER ALIYUN$other");
    }
}

static void what_is_dropped_is_read_on_by_users_of_its_project(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT Select ON TABLE t TO USER ALIYUN$other");
    as(&trial.other);
    struct trial_cursor *first = trial_open(&trial, "SELECT * FROM t ORDER BY a");
    struct trial_cursor *second = trial_open(&trial, "SELECT * FROM t ORDER BY a");
    trial_root(&trial, "DROP TABLE t");
    trial_rest(first, "1;2;3");
    trial_root(&trial, "REMOVE USER ALIYUN$other");
    trial_rest_refused(second, ERR_DENIED, "ALIYUN$other is not a user of project");
}

static void a_result_ends_with_its_principal(void **state)
{
    (void)state;
    static const char name[] = "RAM$root:gone";
    const struct principal_spec spec = {
        .name = span_text(name), .account = trial.root.account, .number = 77, .user = true};
    struct principal gone = {.account = trial.root.account, .number = 77, .user = true};
    snprintf(gone.name, sizeof(gone.name), "%s", name);
    principals_put(trial.principals, &spec);
    trial_root(&trial, "ADD USER RAM$root:gone");
    trial_root(&trial, "GRANT Select ON TABLE t TO USER RAM$root:gone");
    as(&gone);
    struct trial_cursor *cursor = trial_open(&trial, "SELECT * FROM t");
    principals_remove(trial.principals, span_text(name));
    trial_rest_refused(cursor, ERR_DENIED,
                       "the key that RAM$root:gone began this with was dropped");
    as(NULL);
}

/* One INSERT ... SELECT that would give rows for hours, on a thread of its own. */
struct endless {
    const struct principal *principal;
    const char *text;
    struct bytes out;
    enum err_code code;
};

static void *endless_run(void *context)
{
    struct endless *endless = context;
    static atomic_uchar runs;
    const struct statement_id id = {{0xE4, atomic_fetch_add(&runs, 1)}};
    endless->code = trial_run_as(&trial, endless->principal, &id, endless->text, &endless->out);
    return NULL;
}

static void rows_that_are_written_end_with_the_rights(void **state)
{
    (void)state;
#define ROWS "SELECT x.a FROM t x, t y, t z, t u, t v, t w, t b, t c, t d, t e, t f, t g, t h, t i"
    static const struct {
        const char *text, *end, *words; /* end NULL: the key is dropped, and another one stays */
    } rows[] = {
        {"INSERT INTO w " ROWS, NULL, "the key that RAM$root:g began this with was dropped"},
        {"INSERT INTO w " ROWS, "REVOKE Select ON TABLE t FROM USER ALIYUN$other", "has no Select"},
        {"INSERT INTO w " ROWS, "REVOKE Update ON TABLE w FROM USER ALIYUN$other", "has no Update"},
        {"CREATE TABLE n AS " ROWS, "REVOKE CreateTable ON PROJECT @ FROM USER ALIYUN$other",
         "has no CreateTable"},
        {"INSERT OVERWRITE TABLE w " ROWS, "REMOVE USER ALIYUN$other", "ALIYUN$other has no"},
    };
#undef ROWS
    trial_root(&trial, "ALTER TABLE t RENAME TO old");
    trial_root(&trial, "CREATE TABLE t (a BIGINT)");
    trial_root(&trial, "INSERT INTO t VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10)");
    trial_root(&trial, "CREATE TABLE w (a BIGINT)");
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT CreateTable ON PROJECT @ TO USER ALIYUN$other");
    trial_root(&trial, "GRANT Select ON TABLE t TO USER ALIYUN$other");
    trial_root(&trial, "GRANT Update ON TABLE w TO USER ALIYUN$other");
    guest_make();
    trial_root(&trial, "ADD USER RAM$root:g");
    trial_root(&trial, "GRANT Select ON TABLE t TO USER RAM$root:g");
    trial_root(&trial, "GRANT Update ON TABLE w TO USER RAM$root:g");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct statement_progress progress = {0};
        struct endless endless = {.text = rows[i].text,
                                  .principal = rows[i].end == NULL ? &guest : &trial.other};
        pthread_t thread;
        trial.progress = &progress;
        assert_int_equal(pthread_create(&thread, NULL, endless_run, &endless), 0);
        while (atomic_load(&progress.phase) == NULL) /* rows come */
            sched_yield();
        trial.progress = NULL;
        if (rows[i].end == NULL)
            key_drop();
        else
            trial_root(&trial, rows[i].end);
        pthread_join(thread, NULL);
        assert_int_equal(endless.code, ERR_DENIED);
        assert_non_null(strstr((const char *)endless.out.data, rows[i].words));
        bytes_deinit(&endless.out);
        trial_gives(&trial, "SELECT COUNT(*) FROM w", "0"); /* nothing of it */
        trial_refuses(&trial, "DESC n", ERR_TABLE_NOT_FOUND, "n");
        if (i == 1)
            trial_root(&trial, "GRANT Select ON TABLE t TO USER ALIYUN$other");
        if (i == 2)
            trial_root(&trial, "GRANT Update ON TABLE w TO USER ALIYUN$other");
    }
    guest_drop();
}

/* ---- rights that end while a statement waits for its turn ---- */

struct waiter {
    const char *text;
    struct bytes out;
    enum err_code code;
};

static void *waiter_run(void *context)
{
    struct waiter *waiter = context;
    static atomic_uchar runs;
    const struct statement_id id = {{0xA5, atomic_fetch_add(&runs, 1)}};
    waiter->code = trial_run_as(&trial, &guest, &id, waiter->text, &waiter->out);
    return NULL;
}

/* In that project; NULL: here. */
static void root_in(const char *project, const char *text)
{
    char here[sizeof(trial.project)];
    memcpy(here, trial.project, sizeof(here));
    if (project != NULL)
        snprintf(trial.project, sizeof(trial.project), "%s", project);
    trial_root(&trial, text);
    memcpy(trial.project, here, sizeof(here));
}

/* The guest's statement, which waits for its turn on table p while `meanwhile` happens: in another
 * project, or (NULL) here. */
static enum err_code waited(const char *text, const char *project, const char *meanwhile,
                            struct bytes *ret_out)
{
    struct waiter waiter = {.text = text};
    struct table_id id = object_of("p");
    pthread_t thread;
    table_turn_take(id);
    assert_int_equal(pthread_create(&thread, NULL, waiter_run, &waiter), 0);
    while (table_turns_waited() == 0)
        sched_yield();
    if (meanwhile == NULL)
        key_drop();
    else
        root_in(project, meanwhile);
    table_turn_give(id);
    pthread_join(thread, NULL);
    *ret_out = waiter.out;
    return waiter.code;
}

static void guest_grants(void)
{
    guest_put(2);
    trial_root(&trial, "ADD USER RAM$root:g");
    trial_root(&trial, "GRANT CreateTable, CreateInstance ON PROJECT @ TO USER RAM$root:g");
    trial_root(&trial, "GRANT Select ON TABLE source TO USER RAM$root:g");
    trial_root(&trial, "GRANT Alter, Update ON TABLE p TO USER RAM$root:g");
    trial_root(&trial, "SET ProjectProtection=false");
}

#define REMOVED   "REMOVE USER RAM$root:g"
#define NO_ALTER  "REVOKE Alter ON TABLE p FROM USER RAM$root:g"
#define NO_UPDATE "REVOKE Update ON TABLE p FROM USER RAM$root:g"
#define CLONE     "CLONE TABLE source TO p IF EXISTS OVERWRITE"
#define KEY       NULL
#define KEY_WORDS "began this with was dropped"
#define DAY       "PARTITION (d='2024-01-01')"

static const struct waits {
    const char *text, *meanwhile, *words;
} waits[] = {
    {"ALTER TABLE p SET COMMENT 'c'", NO_ALTER, "has no Alter on"},
    {"ALTER TABLE p SET COMMENT 'c'", KEY, KEY_WORDS},
    {"ALTER TABLE p RENAME TO q", NO_ALTER, "has no Alter on"},
    {"ALTER TABLE p SET LIFECYCLE 3", NO_ALTER, "has no Alter on"},
    {"ALTER TABLE p " DAY " DISABLE LIFECYCLE", NO_ALTER, "has no Alter on"},
    {"ALTER TABLE p TOUCH", REMOVED, "has no Alter on"},
    {"ALTER TABLE p " DAY " RENAME TO PARTITION (d='2025-01-01')", KEY, KEY_WORDS},
    {"ALTER TABLE p ADD PARTITION (d='2024-01-02')", NO_ALTER, "has no Alter on"},
    {"ALTER TABLE p DROP " DAY, KEY, KEY_WORDS},
    {"ALTER TABLE p CLUSTERED BY (a) INTO 4 BUCKETS", NO_ALTER, "has no Alter on"},
    {"TRUNCATE TABLE p", NO_UPDATE, "has no Update on"},
    {"TRUNCATE TABLE p " DAY, KEY, KEY_WORDS},
    {"INSERT INTO p VALUES (9, '2024-01-01')", NO_UPDATE, "has no Update on"},
    {"INSERT INTO p VALUES (9, '2024-01-01')", KEY, KEY_WORDS},
    {"INSERT OVERWRITE TABLE p SELECT a, d FROM source", KEY, KEY_WORDS},
    {CLONE, NO_UPDATE, "has no Update on"},
    {CLONE, KEY, KEY_WORDS},
    {CLONE, REMOVED, "has no Update on"},
    {CLONE, "REVOKE Select ON TABLE source FROM USER RAM$root:g", "has no Select on"},
    {CLONE, "REVOKE CreateTable ON PROJECT @ FROM USER RAM$root:g", "has no CreateTable on"},
    {CLONE, "REVOKE CreateInstance ON PROJECT @ FROM USER RAM$root:g", "has no CreateInstance on"},
};

static void who_waits_for_a_turn_is_asked_again(void **state)
{
    (void)state;
    guest_make();
    trial_root(&trial, "CREATE TABLE source (a BIGINT) PARTITIONED BY (d DATE)");
    trial_root(&trial, "CREATE TABLE p (a BIGINT) PARTITIONED BY (d DATE)");
    trial_root(&trial, "INSERT INTO p VALUES (1, '2024-01-01')");
    struct version_ref before = trial_version(&trial, "p");
    for (size_t i = 0; i < ARRAY_COUNT(waits); i++) {
        BYTES_CLEANUP struct bytes out = {0};
        guest_grants();
        enum err_code code = waited(waits[i].text, NULL, waits[i].meanwhile, &out);
        if (code != ERR_DENIED || strstr((const char *)out.data, waits[i].words) == NULL)
            fail_msg("%s: %d %s", waits[i].text, (int)code, (const char *)out.data);
        struct version_ref after = trial_version(&trial, "p");
        assert_memory_equal(&before.version, &after.version, sizeof(before.version));
        if (waits[i].meanwhile == KEY || strcmp(waits[i].meanwhile, REMOVED) != 0)
            trial_root(&trial, REMOVED);
    }
    guest_grants(); /* the rights are enough, and the wait alone refuses nothing */
    for (size_t i = 0; i < ARRAY_COUNT(waits); i++) {
        BYTES_CLEANUP struct bytes out = {0};
        if (i > 0 && strcmp(waits[i].text, waits[i - 1].text) == 0)
            continue;
        trial_root(&trial, "DROP TABLE p");
        trial_root(&trial, "CREATE TABLE p (a BIGINT) PARTITIONED BY (d DATE)");
        trial_root(&trial, "INSERT INTO p VALUES (1, '2024-01-01')");
        trial_root(&trial, "GRANT Alter, Update ON TABLE p TO USER RAM$root:g");
        if (waited(waits[i].text, NULL, "CREATE ROLE r", &out) != ERR_OK)
            fail_msg("%s: %s", waits[i].text, (const char *)out.data);
        trial_root(&trial, "DROP ROLE r");
        if (strstr(waits[i].text, "RENAME TO q") != NULL)
            trial_root(&trial, "ALTER TABLE q RENAME TO p");
    }
    guest_drop();
}

static void a_source_that_was_protected_meanwhile_is_not_cloned(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes out = {0};
    char text[96], there[sizeof(trial.project)];
    memcpy(there, trial.project, sizeof(there));
    snprintf(text, sizeof(text), "CLONE TABLE %s.source TO p IF EXISTS OVERWRITE", there);
    guest_make();
    trial_root(&trial, "CREATE TABLE source (a BIGINT)");
    trial_root(&trial, "INSERT INTO source VALUES (1)");
    trial_root(&trial, "ADD USER RAM$root:g");
    trial_root(&trial, "GRANT Select ON TABLE source TO USER RAM$root:g");
    trial_project(&trial);
    trial_root(&trial, "CREATE TABLE p (a BIGINT)");
    trial_root(&trial, "ADD USER RAM$root:g");
    trial_root(&trial, "GRANT CreateTable, CreateInstance ON PROJECT @ TO USER RAM$root:g");
    trial_root(&trial, "GRANT Update ON TABLE p TO USER RAM$root:g");
    assert_int_equal(waited(text, there, "SET ProjectProtection=true", &out), ERR_DENIED);
    assert_non_null(strstr((const char *)out.data, "is protected"));
    trial_gives(&trial, "SELECT COUNT(*) FROM p", "0");
    guest_drop();
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, setup)
    const struct CMUnitTest tests[] = {
        T(rows_of_hours_are_allowed_when_they_are_committed),
        T(nothing_is_made_by_who_was_dropped),
        T(a_name_that_was_somebody_elses_is_no_user),
        T(a_result_ends_with_the_right_to_it),
        T(what_is_dropped_is_read_on_by_users_of_its_project),
        T(a_result_ends_with_its_principal),
        T(rows_that_are_written_end_with_the_rights),
        T(who_waits_for_a_turn_is_asked_again),
        T(a_source_that_was_protected_meanwhile_is_not_cloned),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
