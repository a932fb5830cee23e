/* Snapshots as backups: what ends them and when, who holds them. The store's half: store/snapshot_test.c;
 * each right alone: every_right_test.c; by XCOPY: node/task/xcopy_test.c. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(its_end_and_words_change),
        TEST(desc_tells_where_it_is_from),
        TEST(what_is_held_stays),
        TEST(who_held_it_is_audited_once),
        TEST(a_hold_needs_alter_and_dropping_it_drop),
    };
#undef TEST
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
