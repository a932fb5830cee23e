/* Snapshots as backups: what ends them and when, who holds them. The store's half: store/snapshot_test.c;
 * each right alone: every_right_test.c; by XCOPY: node/task/xcopy_test.c. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/catalog_commit.h"
#include "store/damage.h"
#include "store/snapshot.h"

#define LOG   "SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG"
#define NULLS ",NULL,NULL" /* held by nobody */

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
    trial_is_whole(&trial);
    trial_stop(&trial);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    trial_project_of_rows(&trial);
    return 0;
}

static void shows(const char *text, const char *words)
{
    BYTES_CLEANUP struct bytes display = {0};
    trial_shows(&trial, text, &display);
    if (strstr((const char *)display.data, words) == NULL)
        fail_msg("%s shows no '%s':\n%s", text, words, (const char *)display.data);
}

static void shows_not(const char *text, const char *words)
{
    BYTES_CLEANUP struct bytes display = {0};
    trial_shows(&trial, text, &display);
    if (strstr((const char *)display.data, words) != NULL)
        fail_msg("%s shows '%s':\n%s", text, words, (const char *)display.data);
}

/* The row of SHOW SNAPSHOT TABLES from the 9th column on, the only one. */
static void row_has(const char *words)
{
    BYTES_CLEANUP struct bytes row = {0};
    assert_int_equal(trial_run(&trial, "SHOW SNAPSHOT TABLES LIKE 's'", &row), ERR_OK);
    bytes_append_u8(&row, '\0');
    if (strstr((const char *)row.data, words) == NULL)
        fail_msg("no '%s' in %s", words, (const char *)row.data);
}

static void its_end_and_words_change(void **state)
{
    (void)state;
    static const char set[] = "ALTER SNAPSHOT TABLE s SET OPTIONS";
    char text[2048];
    trial_root(&trial, "ALTER SNAPSHOT TABLE s SET OPTIONS(expiration_timestamp=TIMESTAMP "
                       "'2101-02-03 04:05:06', description='kept for the audit')");
    shows("DESC s", "Expires:                  2101-02-03 04:05:06 ");
    shows("DESC s", "TableComment:             kept for the audit ");
    shows("DESC EXTENDED s", "OriginComment: ");
    row_has(",2101-02-03 04:05:06");
    trial_gives(&trial,
                "SELECT table_comment FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.TABLES WHERE "
                "table_name = 's'",
                "kept for the audit");
    trial_root(&trial, "ALTER SNAPSHOT TABLE s SET OPTIONS(expiration_timestamp=NULL)");
    shows_not("DESC s", "Expires:");
    shows("DESC s", "kept for the audit "); /* one option leaves the other */
    trial_root(&trial, "ALTER SNAPSHOT TABLE s SET OPTIONS(description=NULL)");
    shows("DESC s", "TableComment:              ");
    static const char *const pasts[] = {
        "(expiration_timestamp='2001-01-01 00:00:00')",
        "(expiration_timestamp='tomorrow')",
        "(description='x', expiration_timestamp=DATE '1999-12-31')",
    };
    for (size_t i = 0; i < ARRAY_COUNT(pasts); i++) {
        snprintf(text, sizeof(text), "%s%s", set, pasts[i]);
        trial_refuses(&trial, text, ERR_SEMANTIC, "a time that is later than now");
    }
    shows("DESC s", "TableComment:              "); /* nothing of it was done */
    snprintf(text, sizeof(text), "%s(description='%0*d')", set, LIMIT_COMMENT_BYTES + 1, 0);
    trial_refuses(&trial, text, ERR_SEMANTIC, "at most 1024 bytes");
    snprintf(text, sizeof(text), "%s(description='%0*d')", set, LIMIT_COMMENT_BYTES, 0);
    trial_root(&trial, text);
    trial_refuses(&trial, "ALTER SNAPSHOT TABLE s SET OPTIONS(description=7)", ERR_SEMANTIC,
                  "description is a string");
    trial_refuses(&trial, "ALTER SNAPSHOT TABLE t HOLD", ERR_SEMANTIC, "t is a table");
    trial_refuses(&trial, "ALTER SNAPSHOT TABLE none HOLD", ERR_TABLE_NOT_FOUND, "none");
}

static void desc_tells_where_it_is_from(void **state)
{
    (void)state;
    static const char *const words[] = {
        "BaseTable:                t ", "OriginRegion:             ",
        "SnapshotTime:             20", "OriginSnapshot:           s ",
        "Maker:                    ",
    };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        shows("DESC EXTENDED s", words[i]);
    trial_root(&trial, "CREATE SNAPSHOT TABLE d CLONE t OPTIONS(description='before the move', "
                       "expiration_timestamp=DATETIME '2100-01-01 00:00:00')");
    shows("DESC d", "before the move ");
    shows("DESC d", "Expires:                  2100-01-01 00:00:00 ");
    shows_not("DESC EXTENDED d", "OriginComment:");
    trial_root(&trial, "CREATE SNAPSHOT TABLE e CLONE t OPTIONS(expiration_timestamp=NULL)");
    shows_not("DESC e", "Expires:");
    trial_refuses(&trial,
                  "CREATE SNAPSHOT TABLE f CLONE t OPTIONS(expiration_timestamp='2001-01-01')",
                  ERR_SEMANTIC, "later than now");
}

static void what_is_held_stays(void **state)
{
    (void)state;
    static const char *const ends[] = {
        "DROP SNAPSHOT TABLE s",
        "DROP SNAPSHOT TABLE IF EXISTS s",
        "CREATE OR REPLACE SNAPSHOT TABLE s CLONE t",
    };
    trial_root(&trial, "ALTER SNAPSHOT TABLE s HOLD");
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++)
        trial_refuses(&trial, ends[i], ERR_HELD,
                      "snapshot s is held by ALIYUN$root since 20"); /* ... how it is released */
    trial_refuses(&trial, ends[0], ERR_HELD, "ALTER SNAPSHOT TABLE s RELEASE ends that");
    trial_refuses(&trial, "DROP PROJECT @", ERR_EXISTS,
                  "snapshot s is held by ALIYUN$root: ALTER SNAPSHOT TABLE ... RELEASE");
    shows("DESC s", "HeldBy:                   ALIYUN$root ");
    shows("DESC s", "HeldSince:                20");
    row_has(",ALIYUN$root,20");
    trial_root(&trial, "ALTER SNAPSHOT TABLE s HOLD"); /* again is fine */
    trial_root(&trial, "DROP TABLE t");                /* a snapshot is its own */
    trial_gives(&trial, "SELECT COUNT(*) FROM s", "3");
    trial_root(&trial, "ALTER SNAPSHOT TABLE s RELEASE");
    row_has(NULLS);
    shows_not("DESC s", "Held");
    trial_root(&trial, "ALTER SNAPSHOT TABLE s RELEASE");
    trial_root(&trial, "DROP SNAPSHOT TABLE s");
}

static void who_held_it_is_audited_once(void **state)
{
    (void)state;
    trial_root(&trial, "ALTER SNAPSHOT TABLE s HOLD");
    trial_root(&trial, "ALTER SNAPSHOT TABLE s HOLD");
    trial_root(&trial, "ALTER SNAPSHOT TABLE s RELEASE");
    trial_root(&trial, "ALTER SNAPSHOT TABLE s SET OPTIONS(description='x')");
    trial_gives(&trial,
                "SELECT statement FROM " LOG " WHERE action = 'ALTER SNAPSHOT TABLE' AND "
                "project = '@' AND object = 's' ORDER BY statement",
                "ALTER SNAPSHOT TABLE s HOLD;ALTER SNAPSHOT TABLE s RELEASE;"
                "ALTER SNAPSHOT TABLE s SET OPTIONS(description='x')");
}

static void a_hold_needs_alter_and_dropping_it_drop(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT Drop ON TABLE s TO USER ALIYUN$other");
    trial_denies(&trial, &trial.other, "ALTER SNAPSHOT TABLE s HOLD", "no Alter on @.s");
    trial_denies(&trial, &trial.other, "ALTER SNAPSHOT TABLE none HOLD", "no Alter on @.none");
    trial_root(&trial, "GRANT Alter ON TABLE s TO USER ALIYUN$other");
    trial_root(&trial, "REVOKE Drop ON TABLE s FROM USER ALIYUN$other");
    trial_allows(&trial, &trial.other, "ALTER SNAPSHOT TABLE s HOLD", "");
    trial_denies(&trial, &trial.other, "DROP SNAPSHOT TABLE s", "no Drop on @.s");
    trial_refuses(&trial, "DROP SNAPSHOT TABLE s", ERR_HELD, "held by ALIYUN$other");
    trial_root(&trial, "REMOVE USER ALIYUN$other"); /* what he held stays held */
    trial_refuses(&trial, "DROP SNAPSHOT TABLE s", ERR_HELD, "held by ALIYUN$other");
    trial_root(&trial, "ALTER SNAPSHOT TABLE s RELEASE");
}

/* ---- TIMESTAMP AS OF ---- */

/* A ms later than any before it, as text. */
static const char *now_text(char text[64])
{
    usleep(3000);
    uint64_t now_ms = statement_now_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(text, 64, "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(text + len, 64 - len, ".%03u", (unsigned)(now_ms % 1000));
    usleep(3000);
    return text;
}

static void recovers(const char *start, const char *time, const char *snapshot)
{
    char text[512], row[256];
    snprintf(text, sizeof(text), "%s '%s'", start, time);
    snprintf(row, sizeof(row), "@,%s,", snapshot);
    trial_begins(&trial, text, row);
}

static void recovery_refuses(const char *start, const char *time, enum err_code code,
                             const char *words)
{
    char text[512];
    snprintf(text, sizeof(text), "%s '%s'", start, time);
    trial_refuses(&trial, text, code, words);
}

#define RESTORE "CREATE OR REPLACE TABLE r CLONE t TIMESTAMP AS OF"
#define LATEST  "2100-01-01 00:00:00"

static void the_newest_that_is_not_later_is_taken(void **state)
{
    (void)state;
    char first[64], second[64];
    trial_root(&trial, "CREATE TABLE r (b BIGINT)");
    now_text(first);
    trial_root(&trial, "INSERT INTO t VALUES (4)");
    trial_root(&trial, "CREATE SNAPSHOT TABLE s2 CLONE t");
    now_text(second);
    trial_root(&trial, "INSERT INTO t VALUES (5)");
    trial_root(&trial, "CREATE SNAPSHOT TABLE s3 CLONE t");
    recovers(RESTORE, first, "s");
    trial_gives(&trial, "SELECT COUNT(*) FROM r", "3");
    recovers(RESTORE, second, "s2");
    trial_gives(&trial, "SELECT COUNT(*) FROM r", "4");
    recovers(RESTORE, LATEST, "s3");
    recovers("CREATE TABLE r2 CLONE @.t IN REGION 'cn-hongkong' TIMESTAMP AS OF TIMESTAMP", second,
             "s2");
    recovery_refuses(RESTORE, "2001-01-01 00:00:00", ERR_NOT_FOUND,
                     "the oldest one, s, was made at 20");
    recovery_refuses(RESTORE, "yesterday", ERR_SEMANTIC, "TIMESTAMP AS OF: write a time like");
    trial_gives(&trial, "CREATE TABLE IF NOT EXISTS r CLONE t TIMESTAMP AS OF '2001-01-01'", "");
    recovery_refuses("CREATE TABLE r CLONE t TIMESTAMP AS OF", LATEST, ERR_EXISTS, "@.r");
    recovery_refuses("CREATE TABLE r9 CLONE none TIMESTAMP AS OF", LATEST, ERR_NOT_FOUND,
                     "no snapshot here is of table @.none");
    recovery_refuses("CREATE TABLE r9 CLONE @.t IN REGION 'mars' TIMESTAMP AS OF", LATEST,
                     ERR_NOT_FOUND, "of table @.t of region mars");
    recovers("CREATE OR REPLACE TABLE t CLONE t TIMESTAMP AS OF", second, "s2"); /* in place */
    trial_gives(&trial, "SELECT COUNT(*) FROM t", "4");
    recovers(RESTORE, LATEST, "s3"); /* of the one that it replaced: the name is the same */
}

static void dropped_and_renamed_tables_come_back(void **state)
{
    (void)state;
    trial_root(&trial, "ALTER TABLE t RENAME TO u");
    recovers("CREATE TABLE r1 CLONE u TIMESTAMP AS OF", LATEST, "s"); /* it was u's */
    recovers("CREATE TABLE r2 CLONE t TIMESTAMP AS OF", LATEST, "s");
    trial_root(&trial, "DROP TABLE u");
    recovers("CREATE TABLE r3 CLONE T TIMESTAMP AS OF", LATEST, "s");
    recovery_refuses("CREATE TABLE r4 CLONE u TIMESTAMP AS OF", LATEST, ERR_NOT_FOUND,
                     "no snapshot here is of table @.u");
    trial_root(&trial, "CREATE TABLE u (a BIGINT)"); /* another one */
    recovery_refuses("CREATE TABLE r4 CLONE u TIMESTAMP AS OF", LATEST, ERR_NOT_FOUND,
                     "no snapshot here is of table @.u");
}

/* The one that may be read is taken; those that may not be seen are told of to nobody. */
static void what_may_not_be_read_is_passed_over(void **state)
{
    (void)state;
    static const char text[] = "CREATE OR REPLACE TABLE mine CLONE t TIMESTAMP AS OF '2100-01-01'";
    static const char absent[] = "CREATE TABLE mine CLONE none TIMESTAMP AS OF '2100-01-01'";
    trial_root(&trial, "CREATE SNAPSHOT TABLE s2 CLONE t");
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT CreateTable ON PROJECT @ TO USER ALIYUN$other");
    trial_denies(&trial, &trial.other, "CREATE TABLE mine CLONE t TIMESTAMP AS OF '2100-01-01'",
                 "ALIYUN$other has no Select on @.t");
    trial_denies(&trial, &trial.other, absent, "ALIYUN$other has no Select on @.none");
    trial_root(&trial, "GRANT Select ON TABLE s TO USER ALIYUN$other");
    trial.as = &trial.other;
    trial_begins(&trial, "CREATE TABLE mine CLONE t TIMESTAMP AS OF '2100-01-01'", "@,s,");
    trial_begins(&trial, text, "@,s,");
    trial_refuses(&trial, "CREATE TABLE m2 CLONE t TIMESTAMP AS OF '2001-01-01'", ERR_NOT_FOUND,
                  "the oldest one, s, was made");
    trial.as = NULL;
    trial_root(&trial, "GRANT Select ON TABLE s2 TO USER ALIYUN$other");
    trial.as = &trial.other;
    trial_begins(&trial, text, "@,s2,");
    trial.as = NULL;
    trial_root(&trial, "REVOKE Select ON TABLE s FROM USER ALIYUN$other");
    trial_root(&trial, "REVOKE Select ON TABLE s2 FROM USER ALIYUN$other");
    trial_root(&trial, "GRANT List ON PROJECT @ TO USER ALIYUN$other");
    trial_denies(&trial, &trial.other, text, "ALIYUN$other has no Select on @.t");
    trial_allows(&trial, &trial.other, "DROP TABLE mine", "");
    trial.as = &trial.other;
    trial_refuses(&trial, absent, ERR_NOT_FOUND, "no snapshot here is of table @.none");
    trial.as = NULL;
}

/* A project that one is no user of is as one that is not there. */
static void of_other_projects_only_ones_own_are_looked_through(void **state)
{
    (void)state;
    char there[16], text[256];
    snprintf(there, sizeof(there), "%s", trial.project);
    trial_project(&trial);
    snprintf(text, sizeof(text), "CREATE TABLE r CLONE %s.t TIMESTAMP AS OF '2100-01-01'", there);
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT CreateTable, List ON PROJECT @ TO USER ALIYUN$other");
    trial.as = &trial.other;
    char words[128];
    snprintf(words, sizeof(words), "no snapshot here is of table %s.t;", there);
    trial_refuses(&trial, text, ERR_NOT_FOUND, words);
    trial_refuses(&trial, "CREATE TABLE r CLONE nowhere.t TIMESTAMP AS OF '2100-01-01'",
                  ERR_NOT_FOUND, "no snapshot here is of table nowhere.t;");
    trial.as = NULL;
    snprintf(words, sizeof(words), "%s,s,", there);
    trial_begins(&trial, text, words);
    trial_gives(&trial, "SELECT COUNT(*) FROM r", "3");
}

static void which_it_was_is_audited_and_told_again(void **state)
{
    (void)state;
    struct statement_id id = {{77}};
    BYTES_CLEANUP struct bytes first = {0}, again = {0};
    static const char text[] = "CREATE TABLE r CLONE t TIMESTAMP AS OF '2100-01-01'";
    assert_int_equal(trial_run_as(&trial, &trial.root, &id, text, &first), ERR_OK);
    assert_int_equal(trial_run_as(&trial, &trial.root, &id, text, &again), ERR_OK);
    trial_gives(
        &trial,
        "SELECT object, source_object, message LIKE 'taken from @.s, made in cn-hongkong at %' "
        "FROM " LOG " WHERE action = 'CREATE TABLE CLONE' AND project = '@'",
        "r,s,true");
}

static void damage_is_passed_over(void **state)
{
    (void)state;
    trial_root(&trial, "INSERT INTO t VALUES (4)");
    trial_root(&trial, "CREATE SNAPSHOT TABLE s2 CLONE t");
    struct version_ref version = trial_version(&trial, "s2");
    damage_note(trial.store, &version.page, DAMAGE_PAGE, "for the test");
    recovers("CREATE TABLE r CLONE t TIMESTAMP AS OF", LATEST, "s");
    struct err err;
    assert_int_equal(damage_forget(trial.store, &version.page, &err), ERR_OK);
    recovers("CREATE OR REPLACE TABLE r CLONE t TIMESTAMP AS OF", LATEST, "s2");
}

/* A snapshot's record that cannot be read stops no recovery from the others. */
static void an_unreadable_record_is_passed_over(void **state)
{
    (void)state;
    struct err err;
    struct name_target target;
    struct project_record project;
    BYTES_CLEANUP struct bytes key = {0}, record = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    trial_root(&trial, "CREATE SNAPSHOT TABLE s2 CLONE t");
    assert_int_equal(
        project_find(trial.store, NULL, span_text(trial.project), &arena, &project, &err), ERR_OK);
    assert_int_equal(name_find(trial.store, NULL, project.id, span_text("s2"), &target, &err),
                     ERR_OK);
    bytes_append_text(&key, "s");
    bytes_append_u64(&key, target.id.n);
    bool found = false;
    assert_int_equal(
        catalog_find(trial.store, NULL, FAMILY_CATALOG, bytes_span(&key), &record, &found, &err),
        ERR_OK);
    const struct span values[] = {span_text("no record"), bytes_span(&record)};
    static const char *const taken[] = {"s", "s2"};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
        catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), values[i]);
        assert_int_equal(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err), ERR_OK);
        recovers(i == 0 ? "CREATE TABLE r CLONE t TIMESTAMP AS OF"
                        : "CREATE OR REPLACE TABLE r CLONE t TIMESTAMP AS OF",
                 LATEST, taken[i]);
    }
}

/* ---- replicas ---- */

/* What the last recovery into the project said. */
static void told(const char *words)
{
    BYTES_CLEANUP struct bytes out = {0};
    BYTES_CLEANUP struct bytes text = {0};
    bytes_printf(&text,
                 "SELECT message FROM " LOG " WHERE action = 'CREATE TABLE CLONE' AND project = "
                 "'%s' ORDER BY sequence DESC LIMIT 1",
                 trial.project);
    bytes_append_u8(&text, '\0');
    assert_int_equal(trial_run(&trial, (const char *)text.data, &out), ERR_OK);
    bytes_append_u8(&out, '\0');
    if (strstr((const char *)out.data, words) == NULL)
        fail_msg("'%s' is not told in '%s'", words, (const char *)out.data);
}

#define DAY UINT64_C(86400000)

static void of_two_regions_one_has_to_be_said(void **state)
{
    (void)state;
    uint64_t at = UINT64_C(1767225600000); /* 2026-01-01 */
    static const char two[] = "CREATE OR REPLACE TABLE r CLONE sales.orders TIMESTAMP AS OF";
    trial_replica(&trial, "a1",
                  &(struct trial_origin){"ap-1", "Sales", "Orders", at, at + 5000, 0, false, {0}});
    trial_root(&trial, "CREATE TABLE r (b BIGINT)");
    recovers(two, "2026-01-01 00:00:00", "a1");
    told(".a1, made in ap-1 at 2026-01-01 00:00:00 (UTC), no time before the time asked for");
    trial_replica(
        &trial, "b1",
        &(struct trial_origin){"eu-1", "sales", "orders", at + DAY, at + DAY, 0, false, {0}});
    recovery_refuses(two, "2026-01-01 00:00:00", ERR_SEMANTIC,
                     "write IN REGION 'ap-1' or IN REGION 'eu-1' before TIMESTAMP AS OF");
    recovers("CREATE OR REPLACE TABLE r CLONE sales.orders IN REGION 'ap-1' TIMESTAMP AS OF",
             LATEST, "a1");
    recovers("CREATE OR REPLACE TABLE r CLONE sales.orders IN REGION 'eu-1' TIMESTAMP AS OF",
             LATEST, "b1");
    recovery_refuses(
        "CREATE OR REPLACE TABLE r CLONE sales.orders IN REGION 'eu-1' TIMESTAMP AS OF",
        "2026-01-01 00:00:00", ERR_NOT_FOUND, "the oldest one, b1, was made at 2026-01-02");
    recovery_refuses("CREATE OR REPLACE TABLE r CLONE orders TIMESTAMP AS OF", LATEST,
                     ERR_NOT_FOUND,
                     "of another region's table write project.table"); /* none of this region's */
}

static void a_wrong_clock_and_an_end_are_told(void **state)
{
    (void)state;
    uint64_t at = UINT64_C(1767225600000); /* 2026-01-01 */
    static const char text[] = "CREATE OR REPLACE TABLE r CLONE sales.orders TIMESTAMP AS OF";
    trial_root(&trial, "CREATE TABLE r (b BIGINT)");
    trial_replica(
        &trial, "early",
        &(struct trial_origin){"ap-1", "sales", "orders", 1000, at, 0, false, {0}}); /* 1970 */
    trial_replica(
        &trial, "ahead",
        &(struct trial_origin){"ap-1", "sales", "orders", at + 400 * DAY, at + DAY, 0, false, {0}});
    recovers(text, "2026-02-01 00:00:00", "early");
    told("made in ap-1 at 1970-01-01 00:00:01 (UTC), 20484 d 23 h before the time asked for; its "
         "maker's key is not the one of region ap-1; ahead was here by 2026-01-02 00:00:00 and is "
         "left "
         "out, because its source dates it 2027-02-05 00:00:00: that clock was ahead");
    trial_replica(&trial, "ended",
                  &(struct trial_origin){
                      "ap-1", "sales", "orders", at + DAY / 24 * 25, at, at + 2 * DAY, false, {0}});
    recovers(text, "2026-01-03 04:05:06.789", "ended");
    told("made in ap-1 at 2026-01-02 01:00:00 (UTC), 1 d 3 h before the time asked for; it expired "
         "at "
         "2026-01-03 00:00:00 and may go any time");
    trial_root(&trial, "ALTER SNAPSHOT TABLE ended HOLD");
    recovers(text, "2026-01-03 04:05:06.789", "ended");
    told("1 d 3 h before the time asked for; its maker's key");
    trial_root(&trial, "ALTER SNAPSHOT TABLE ended RELEASE");
}

/* Another node says that a snapshot of its own is this region's: by name it is there, and it is taken
 * only where this region has none that is older than the time. */
static void no_other_node_puts_its_own_in_place(void **state)
{
    (void)state;
    uint64_t at = UINT64_C(1767225600000); /* 2026-01-01, before s was made */
    static const char text[] = "CREATE OR REPLACE TABLE r CLONE t TIMESTAMP AS OF";
    trial_root(&trial, "CREATE TABLE r (b BIGINT)");
    trial_replica(
        &trial, "forged",
        &(struct trial_origin){
            "cn-hongkong", trial.project, "t", UINT64_C(4000000000000), at, 0, true, {0}});
    trial_replica(&trial, "old",
                  &(struct trial_origin){"cn-hongkong", trial.project, "t", at, at, 0, true, {0}});
    recovers(text, LATEST, "s");
    recovers(text, "2099-12-31 00:00:00", "s");
    recovers(text, "2026-01-02 00:00:00", "old");
    told("; its maker's key is not the one of region cn-hongkong");
    trial_replica(
        &trial, "back",
        &(struct trial_origin){"cn-hongkong", trial.project, "t", at + DAY, at, 0, false, {0}});
    recovers(text, "2026-01-02 00:00:00", "back"); /* this node's own, that came back */
    trial_root(&trial, "DROP SNAPSHOT TABLE forged");
    trial_root(&trial, "DROP SNAPSHOT TABLE old"); /* their signatures are nobody's */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(its_end_and_words_change),
        TEST(desc_tells_where_it_is_from),
        TEST(what_is_held_stays),
        TEST(who_held_it_is_audited_once),
        TEST(a_hold_needs_alter_and_dropping_it_drop),
        TEST(the_newest_that_is_not_later_is_taken),
        TEST(dropped_and_renamed_tables_come_back),
        TEST(what_may_not_be_read_is_passed_over),
        TEST(of_other_projects_only_ones_own_are_looked_through),
        TEST(which_it_was_is_audited_and_told_again),
        TEST(damage_is_passed_over),
        TEST(an_unreadable_record_is_passed_over),
        TEST(of_two_regions_one_has_to_be_said),
        TEST(a_wrong_clock_and_an_end_are_told),
        TEST(no_other_node_puts_its_own_in_place),
    };
#undef TEST
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
