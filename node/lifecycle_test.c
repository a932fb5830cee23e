/* Lifecycles on a clock of the test's own: what goes, what stays, how often it is looked, and what a
 * kill -9 in the middle leaves (the program runs itself as a child: "act DIR NOW" with a crash point armed).
 */
#include "node/lifecycle.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "node/statement/trial.h"
#include "proto/key.h"
#include "store/catalog_commit.h"
#include "store/crash.h"
#include "store/lifecycle.h"
#include "store/roots.h"
#include "store/table_alter.h"

#define DAY  (UINT64_C(24) * 3600 * 1000)
#define HOUR (UINT64_C(3600) * 1000)

static struct trial trial;
static uint64_t now_ms; /* moves on by weeks: a round is due in each test */
static char self[256];

static int start(void **state)
{
    (void)state;
    trial_start(&trial);
    now_ms = statement_now_ms() + 1000 * DAY;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    trial_stop(&trial);
    return 0;
}

static int project(void **state)
{
    (void)state;
    trial_project(&trial);
    now_ms += 20 * DAY;
    return 0;
}

static int whole(void **state)
{
    (void)state;
    trial_is_whole(&trial);
    return 0;
}

/* ---- tables of a known age ---- */

static struct table_id id_of(const char *name)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    struct project_record found;
    struct name_target target;
    struct err err;
    if (project_find(trial.store, NULL, span_text(trial.project), &arena, &found, &err) != ERR_OK ||
        name_find(trial.store, NULL, found.id, span_text(name), &target, &err) != ERR_OK)
        fail_msg("%s", err.message);
    return target.id;
}

static uint64_t sequence_of(const char *name)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    struct table_record table;
    struct err err;
    if (table_get(trial.store, NULL, id_of(name), &arena, &table, &err) != ERR_OK)
        fail_msg("%s", err.message);
    return table.sequence;
}

/* The table (n NULL), or its partition n, was modified then. */
static enum err_code touched_at(struct table_id id, const int64_t *n, uint64_t at_ms,
                                struct err *err)
{
    CONTENT_CLEANUP struct content *content = NULL;
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    BYTES_CLEANUP struct bytes key = {0};
    const struct change_note note = {.now_ms = at_ms, .principal = span_text("test")};
    TRY(content_open(trial.store, trial.root.account, &content, err));
    TRY(table_begin(content, id, &write, err));
    if (n == NULL)
        return table_touch(write, &note, err);
    key_append_i64(&key, *n);
    return table_partition_touch(write, bytes_span(&key), &note, err);
}

static void touch_at(const char *name, uint64_t at_ms)
{
    struct err err;
    if (touched_at(id_of(name), NULL, at_ms, &err) != ERR_OK)
        fail_msg("%s", err.message);
}

static void touch_partition_at(const char *name, int64_t n, uint64_t at_ms)
{
    struct err err;
    if (touched_at(id_of(name), &n, at_ms, &err) != ERR_OK)
        fail_msg("%s", err.message);
}

static void plain(const char *name, const char *clauses, uint64_t at_ms)
{
    char text[160];
    snprintf(text, sizeof(text), "CREATE TABLE %s (a INT) %s", name, clauses);
    trial_gives(&trial, text, "");
    snprintf(text, sizeof(text), "INSERT INTO %s VALUES (1)", name);
    trial_gives(&trial, text, "");
    touch_at(name, at_ms);
}

/* Partitions 1 to 3, of which the first two are over with LIFECYCLE 3. */
static void parted(const char *name)
{
    char text[200];
    snprintf(text, sizeof(text), "CREATE TABLE %s (a INT) PARTITIONED BY (n BIGINT) LIFECYCLE 3",
             name);
    trial_gives(&trial, text, "");
    snprintf(text, sizeof(text), "INSERT INTO %s VALUES (1, 1), (2, 2), (3, 3)", name);
    trial_gives(&trial, text, "");
    touch_partition_at(name, 1, now_ms - 3 * DAY - 1);
    touch_partition_at(name, 2, now_ms - 9 * DAY);
    touch_partition_at(name, 3, now_ms - 3 * DAY); /* not more than three days */
}

static void run_at(uint64_t at_ms)
{
    struct err err;
    if (lifecycle_run(trial.store, at_ms, &err) != ERR_OK)
        fail_msg("%s", err.message);
}

/* ---- what goes, what stays ---- */

static void partitions_go_by_their_own_time_in_one_commit(void **state)
{
    (void)state;
    parted("t");
    uint64_t sequence = sequence_of("t");
    struct trial_cursor *cursor = trial_open(&trial, "SELECT a FROM t");
    run_at(now_ms);
    trial_gives(&trial, "SELECT a FROM t", "3");
    trial_rest(cursor, "1;2;3");
    assert_int_equal(sequence_of("t"), sequence + 1);
    BYTES_CLEANUP struct bytes history = {0};
    assert_int_equal(trial_run(&trial, "SHOW HISTORY FOR TABLE t", &history), ERR_OK);
    assert_non_null(strstr((char *)history.data, ",DROP PARTITION,LIFECYCLE,"));
    run_at(now_ms + DAY);
    trial_gives(&trial, "SELECT count(*) FROM t", "0"); /* empty, and there */
    trial_gives(&trial, "SHOW PARTITIONS t", "");
    assert_int_equal(sequence_of("t"), sequence + 2);
    run_at(now_ms + 9 * DAY);
    assert_int_equal(sequence_of("t"), sequence + 2); /* nothing to do, nothing done */
}

static void a_table_without_partitions_is_dropped(void **state)
{
    (void)state;
    plain("over", "LIFECYCLE 3", now_ms - 3 * DAY - 1);
    plain("just", "LIFECYCLE 3", now_ms - 3 * DAY);
    plain("longer", "LIFECYCLE 37231", now_ms - 3 * DAY - 1);
    plain("none", "", 1);
    plain("ahead", "LIFECYCLE 1", now_ms + 900 * DAY);
    run_at(now_ms);
    trial_refuses(&trial, "SELECT * FROM over", ERR_TABLE_NOT_FOUND, "over");
    static const char *const there[] = {"just", "longer", "none", "ahead"};
    for (size_t i = 0; i < ARRAY_COUNT(there); i++) {
        char text[64];
        snprintf(text, sizeof(text), "SELECT a FROM %s", there[i]);
        trial_gives(&trial, text, "1");
    }
    trial_gives(&trial, "CREATE TABLE over (b INT)", "");
}

static void what_a_snapshot_holds_stays(void **state)
{
    (void)state;
    parted("t");
    plain("p", "LIFECYCLE 3", now_ms - 4 * DAY);
    trial_gives(&trial, "CREATE SNAPSHOT TABLE ts CLONE t", "");
    trial_gives(&trial, "CREATE SNAPSHOT TABLE ps CLONE p", "");
    run_at(now_ms);
    BYTES_CLEANUP struct bytes cleaned = {0};
    assert_int_equal(trial_run(&trial, "CLEANUP", &cleaned), ERR_OK);
    trial_gives(&trial, "SELECT a FROM t", "3");
    trial_gives(&trial, "SELECT a FROM ts ORDER BY a", "1;2;3");
    trial_gives(&trial, "SELECT a FROM ps", "1");
    trial_gives(&trial, "CREATE TABLE r CLONE ts", ""); /* without a lifecycle */
    run_at(now_ms + 100 * DAY);
    trial_gives(&trial, "SELECT count(*) FROM r", "3");
}

static void a_disabled_lifecycle_does_not_act(void **state)
{
    (void)state;
    parted("t");
    parted("off");
    plain("p", "LIFECYCLE 3", now_ms - 4 * DAY);
    trial_gives(&trial, "ALTER TABLE t PARTITION (n=2) DISABLE LIFECYCLE", "");
    trial_gives(&trial, "ALTER TABLE off DISABLE LIFECYCLE", "");
    trial_gives(&trial, "ALTER TABLE off PARTITION (n=2) ENABLE LIFECYCLE",
                ""); /* the table's wins */
    trial_gives(&trial, "ALTER TABLE p DISABLE LIFECYCLE", "");
    run_at(now_ms);
    trial_gives(&trial, "SELECT a FROM t ORDER BY a", "2;3");
    trial_gives(&trial, "SELECT count(*) FROM off", "3");
    trial_gives(&trial, "SELECT a FROM p", "1");
    trial_gives(&trial, "ALTER TABLE off ENABLE LIFECYCLE", "");
    trial_gives(&trial, "ALTER TABLE off SET LIFECYCLE 8", "");
    trial_gives(&trial, "ALTER TABLE p ENABLE LIFECYCLE", "");
    run_at(now_ms + DAY);
    trial_gives(&trial, "SELECT a FROM off ORDER BY a", "1;3");
    trial_refuses(&trial, "SELECT a FROM p", ERR_TABLE_NOT_FOUND, "p");
}

#define MANY 3000

static void many_partitions_go_in_one_commit(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes text = {0};
    trial_gives(&trial, "CREATE TABLE t (a INT) PARTITIONED BY (n BIGINT) LIFECYCLE 1", "");
    bytes_append_text(&text, "ALTER TABLE t ADD");
    for (int i = 0; i < MANY; i++)
        bytes_printf(&text, " PARTITION (n=%d)", i);
    bytes_append_u8(&text, 0);
    trial_gives(&trial, (const char *)text.data, "");
    touch_partition_at("t", MANY / 2, now_ms);
    uint64_t sequence = sequence_of("t");
    run_at(now_ms);
    assert_int_equal(sequence_of("t"), sequence + 1);
    BYTES_CLEANUP struct bytes left = {0};
    assert_int_equal(trial_run(&trial, "SHOW PARTITIONS t", &left), ERR_OK);
    assert_int_equal(strncmp((char *)left.data, "n=1500,", 7), 0);
    assert_null(strchr((char *)left.data, ';'));
}

/* ---- when ---- */

static void it_is_looked_once_a_day_also_after_a_restart(void **state)
{
    (void)state;
    run_at(now_ms);
    plain("t", "LIFECYCLE 3", now_ms - 4 * DAY);
    run_at(now_ms + DAY - 1);
    trial_gives(&trial, "SELECT a FROM t", "1");
    trial_restart(&trial);
    run_at(now_ms + DAY - 1);
    trial_gives(&trial, "SELECT a FROM t", "1");
    run_at(now_ms + DAY);
    trial_refuses(&trial, "SELECT a FROM t", ERR_TABLE_NOT_FOUND, "t");
    plain("t", "LIFECYCLE 3", now_ms - 40 * DAY);
    run_at(now_ms - 10 * DAY); /* the clock went back: it does not wait for what it said once */
    trial_refuses(&trial, "SELECT a FROM t", ERR_TABLE_NOT_FOUND, "t");
}

static void catalog_set(enum family family, struct span key, struct span value)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    struct err err;
    if (value.len > 0)
        catalog_put(&change, family, key, value);
    else
        catalog_delete(&change, family, key);
    assert_int_equal(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err), ERR_OK);
}

static void a_damaged_record_stops_nothing_and_is_tried_again(void **state)
{
    (void)state;
    static const uint8_t first[9] = {'t'}; /* before all others */
    plain("t", "LIFECYCLE 3", now_ms - 4 * DAY);
    catalog_set(FAMILY_CATALOG, span_of(first, sizeof(first)), span_text("no record"));
    run_at(now_ms);
    trial_refuses(&trial, "SELECT a FROM t", ERR_TABLE_NOT_FOUND, "t");
    catalog_set(FAMILY_CATALOG, span_of(first, sizeof(first)), (struct span){0});
    plain("t", "LIFECYCLE 3", now_ms - 4 * DAY);
    run_at(now_ms + HOUR - 1);
    trial_gives(&trial, "SELECT a FROM t", "1");
    run_at(now_ms + HOUR);
    trial_refuses(&trial, "SELECT a FROM t", ERR_TABLE_NOT_FOUND, "t");
    catalog_set(FAMILY_META, span_text("lifecycle"), span_text("odd"));
    struct err err;
    assert_int_equal(lifecycle_run(trial.store, now_ms, &err), ERR_CORRUPT);
    catalog_set(FAMILY_META, span_text("lifecycle"), (struct span){0});
}

static void what_was_written_meanwhile_is_not_dropped(void **state)
{
    (void)state;
    plain("t", "LIFECYCLE 3", now_ms - 4 * DAY);
    CONTENT_CLEANUP struct content *content = NULL;
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    struct err err;
    const struct change_note note = {.now_ms = now_ms, .principal = span_text("test")};
    assert_int_equal(content_open(trial.store, trial.root.account, &content, &err), ERR_OK);
    assert_int_equal(table_begin(content, id_of("t"), &write, &err), ERR_OK);
    trial_gives(&trial, "INSERT INTO t VALUES (2)", "");
    assert_int_equal(table_write_drop(write, &note, &err), ERR_CONFLICT);
    trial_gives(&trial, "SELECT count(*) FROM t", "2");
}

/* ---- kill -9 ---- */

static int child_act(const char *folder, uint64_t at_ms)
{
    struct store_options options = {
        .data_dir = folder, .region = "cn-hongkong", .disk_reserve_bytes = MIB(1)};
    struct store *store;
    struct err err;
    const char *identity = getenv("LIFECYCLE_IDENTITY");
    if (identity == NULL || sodium_hex2bin(options.identity.b, sizeof(options.identity.b), identity,
                                           strlen(identity), NULL, NULL, NULL) != 0)
        return 2;
    if (store_open(&options, &store, &err) != ERR_OK ||
        lifecycle_run(store, at_ms, &err) != ERR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    store_close(store);
    return 0;
}

static int child_run(const char *armed, uint64_t at_ms)
{
    char at[32], identity[2 * sizeof(struct identity_key) + 1];
    snprintf(at, sizeof(at), "%" PRIu64, at_ms);
    const struct identity_key key = identity_public(trial.identity)->sign;
    sodium_bin2hex(identity, sizeof(identity), key.b, sizeof(key.b));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("STRAIT_CRASH", armed, 1);
        setenv("LIFECYCLE_IDENTITY", identity, 1);
        execl(self, self, "act", trial.folder, at, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_round_that_was_killed_is_finished_by_the_next(void **state)
{
    (void)state;
    static const char *const armed[] = {"lifecycle.step:1",  "lifecycle.done",
                                        "content.synced:1",  "catalog.checked:2",
                                        "catalog.written:1", "catalog.written:4"};
    for (size_t i = 0; i < ARRAY_COUNT(armed); i++) {
        now_ms += 20 * DAY;
        parted("a");
        parted("b");
        plain("c", "LIFECYCLE 3", now_ms - 4 * DAY);
        trial_close(&trial);
        int status = child_run(armed[i], now_ms);
        trial_reopen(&trial);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            fail_msg("%s was not reached (status %d)", armed[i], status);
        assert_int_equal(whole(NULL), 0);
        run_at(now_ms);
        trial_gives(&trial, "SELECT a FROM a", "3");
        trial_gives(&trial, "SELECT a FROM b", "3");
        trial_refuses(&trial, "SELECT a FROM c", ERR_TABLE_NOT_FOUND, "c");
        trial_gives(&trial, "DROP TABLE a", "");
        trial_gives(&trial, "DROP TABLE b", "");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, project, whole)

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "act") == 0)
        return child_act(argv[2], strtoull(argv[3], NULL, 10));
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len <= 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(partitions_go_by_their_own_time_in_one_commit),
        TEST(a_table_without_partitions_is_dropped),
        TEST(what_a_snapshot_holds_stays),
        TEST(a_disabled_lifecycle_does_not_act),
        TEST(many_partitions_go_in_one_commit),
        TEST(it_is_looked_once_a_day_also_after_a_restart),
        TEST(a_damaged_record_stops_nothing_and_is_tried_again),
        TEST(what_was_written_meanwhile_is_not_dropped),
        TEST(a_round_that_was_killed_is_finished_by_the_next),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
