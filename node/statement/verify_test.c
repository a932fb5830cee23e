/* VERIFY SNAPSHOT s [DEEP]: rows, the error behind them, the note in the record, and who may. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/damage.h"
#include "store/reader.h"

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
    trial.as = NULL;
    trial_project_of_rows(&trial);
    return 0;
}

/* ---- whole ---- */

static void cells_of(const char *text, struct bytes *ret_cells)
{
    assert_int_equal(trial_run(&trial, text, ret_cells), ERR_OK);
    bytes_append_u8(ret_cells, 0);
}

static void what_is_whole_is_noted(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes shown = {0};
    BYTES_CLEANUP struct bytes display = {0};
    trial_gives(&trial, "SELECT 1", "1");
    cells_of("SHOW SNAPSHOT TABLES", &shown);
    assert_non_null(strstr((char *)shown.data, ",NULL,NULL,NULL,NULL,0")); /* nor held */
    trial_begins(&trial, "VERIFY SNAPSHOT s",
                 "snapshot,whole,NULL,NULL,NULL,every page and file is what its digest says; DEEP "
                 "decodes them, too,1,3,1,");
    bytes_clear(&shown);
    cells_of("SHOW SNAPSHOT TABLES", &shown);
    assert_null(strstr((char *)shown.data, ",NULL,NULL,NULL,NULL,0"));
    assert_non_null(strstr((char *)shown.data, ",NULL,0")); /* not decoded yet; no replica */
    trial_begins(&trial, "VERIFY SNAPSHOT s DEEP", "snapshot,whole,NULL,NULL,NULL,every page");
    bytes_clear(&shown);
    cells_of("SHOW SNAPSHOT TABLES", &shown);
    assert_null(strstr((char *)shown.data, ",NULL,0"));
    trial_shows(&trial, "DESC s", &display);
    assert_non_null(strstr((char *)display.data, "Proven:"));
    assert_non_null(strstr((char *)display.data, "ProvenDeep:"));
    assert_non_null(strstr((char *)display.data, "ALIYUN$root"));
}

static void another_snapshot_of_the_name_is_not_proven(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes display = {0};
    trial_begins(&trial, "VERIFY SNAPSHOT s DEEP", "snapshot,whole,");
    trial_gives(&trial, "CREATE OR REPLACE SNAPSHOT TABLE s CLONE t", "");
    trial_shows(&trial, "DESC s", &display);
    assert_null(strstr((char *)display.data, "Proven"));
}

/* Everything that a writer here makes is found as it was written: all types, NULLs, edges of statistics,
 * long texts, several segments, buckets, ranges, no rows at all. */
static void what_writers_make_is_whole(void **state)
{
    (void)state;
    static const char *const makes[] = {
        "CREATE TABLE w (a BIGINT, b INT, c BOOLEAN, d DATE, e DATETIME, f DOUBLE, g "
        "DECIMAL(20,3), "
        "h STRING) PARTITIONED BY (p BIGINT, q STRING)",
        "INSERT INTO w PARTITION (p=1, q='x') VALUES "
        "(1, -1, true, DATE '2026-01-01', DATETIME '2026-01-01 10:00:00', 0.5, 1.250, 'a'), "
        "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), "
        "(-9000000000, 7, false, DATE '1999-12-31', DATETIME '1999-12-31 10:00:00', -0.0, "
        "-77.001, '\xE6\xB5\xB7\xE5\xB3\xA1')",
        "ALTER TABLE w ADD PARTITION (p=2, q='none')",
        "CREATE TABLE h CLUSTERED BY (a) SORTED BY (a) INTO 4 BUCKETS AS SELECT a, h FROM w WHERE "
        "p=1",
        "CREATE TABLE r RANGE CLUSTERED BY (a) SORTED BY (a) INTO 3 BUCKETS AS SELECT a, h FROM w "
        "WHERE "
        "p=1",
        "CREATE TABLE nothing (a BIGINT)",
    };
    for (size_t i = 0; i < ARRAY_COUNT(makes); i++) {
        BYTES_CLEANUP struct bytes text = {0};
        if (trial_run(&trial, makes[i], &text) != ERR_OK)
            fail_msg("%s: %.*s", makes[i], (int)text.len, (const char *)text.data);
    }
    /* beyond STATISTICS_ROWS_MIN, in segments of two */
    for (int i = 0; i < 10; i++)
        trial_gives(
            &trial,
            "INSERT INTO w PARTITION (p=1, q='x') SELECT a + 1, b, c, d, e, f / 3, g, "
            "CONCAT(h, 'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz') FROM w WHERE "
            "p=1",
            "");
    for (int i = 0; i < 2; i++)
        trial_gives(&trial, "INSERT INTO h SELECT a, h FROM w WHERE p=1", "");
    static const char *const tables[] = {"w", "h", "r", "nothing"};
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++) {
        char text[128];
        snprintf(text, sizeof(text), "CREATE SNAPSHOT TABLE %s_s CLONE %s", tables[i], tables[i]);
        trial_gives(&trial, text, "");
        snprintf(text, sizeof(text), "VERIFY SNAPSHOT %s_s DEEP", tables[i]);
        trial_begins(&trial, text, "snapshot,whole,");
    }
}

/* ---- damaged ---- */

static enum err_code file_note(void *context, const struct page_file *file, struct err *err)
{
    (void)context;
    (void)err;
    damage_note(trial.store, &file->digest, DAMAGE_FILE, "a test says so");
    return ERR_OK;
}

static enum err_code page_descend(void *context, const struct digest *digest, bool *ret_descend,
                                  struct err *err)
{
    (void)context;
    (void)digest;
    (void)err;
    *ret_descend = true;
    return ERR_OK;
}

static void files_damage(const char *table)
{
    READER_CLEANUP struct reader_handle *reader = NULL;
    const struct tree_visitor visitor = {.page = page_descend, .file = file_note};
    struct version_ref ref = trial_version(&trial, table);
    struct err err;
    assert_int_equal(reader_open_version(trial.store, &ref, &reader, &err), ERR_OK);
    struct tree tree = reader_tree(reader);
    assert_int_equal(tree_mark(&tree, &visitor, &err), ERR_OK);
}

static void what_is_damaged_is_told_and_then_an_error(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes display = {0};
    trial_gives(&trial, "INSERT INTO t VALUES (1001)", "");
    trial_gives(&trial, "CREATE SNAPSHOT TABLE hurt CLONE t", "");
    files_damage("hurt");
    static const char *const texts[] = {"VERIFY SNAPSHOT hurt", "VERIFY SNAPSHOT hurt DEEP"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct trial_cursor *cursor = trial_open(&trial, texts[i]);
        trial_rest_refused(cursor, ERR_CORRUPT, "is damaged at 2 places: the rows above say");
        trial_refuses(&trial, texts[i], ERR_CORRUPT, "is damaged at 2 places");
    }
    trial_shows(&trial, "DESC hurt", &display);
    assert_null(strstr((char *)display.data, "Proven"));
    struct damage *list MEM_CLEANUP = NULL;
    size_t count;
    assert_int_equal(damage_list(trial.store, &list, &count, NULL), ERR_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(damage_forget(trial.store, &list[i].digest, NULL), ERR_OK);
}

/* ---- ended, and by whom it may be asked ---- */

static void it_ends_when_it_is_cancelled(void **state)
{
    (void)state;
    struct statement_progress progress = {0};
    trial.progress = &progress;
    atomic_store(&trial.cancel, true);
    trial_refuses(&trial, "VERIFY SNAPSHOT s DEEP", ERR_CANCELLED, "nothing was noted");
    atomic_store(&trial.cancel, false);
    assert_string_equal(atomic_load(&progress.phase), "decoding every file");
    trial_begins(&trial, "VERIFY SNAPSHOT s", "snapshot,whole,");
    assert_true(atomic_load(&progress.bytes) > 0);
    trial.progress = NULL;
}

static void strangers_learn_nothing(void **state)
{
    (void)state;
    trial_denies(&trial, &trial.stranger, "VERIFY SNAPSHOT @.s", "@");
    trial_denies(&trial, &trial.other, "VERIFY SNAPSHOT @.s DEEP", "@");
    trial_refuses(&trial, "VERIFY SNAPSHOT none", ERR_TABLE_NOT_FOUND, "none");
    trial_refuses(&trial, "VERIFY SNAPSHOT t", ERR_SEMANTIC, "");
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT Describe ON TABLE s TO USER ALIYUN$other");
    trial_denies(&trial, &trial.other, "VERIFY SNAPSHOT @.s", "Select");
    trial_root(&trial, "GRANT Select ON TABLE s TO USER ALIYUN$other");
    trial.as = &trial.other;
    trial_begins(&trial, "VERIFY SNAPSHOT @.s", "snapshot,whole,");
    trial.as = NULL;
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_whole_is_noted),       TEST(another_snapshot_of_the_name_is_not_proven),
        TEST(what_writers_make_is_whole),   TEST(what_is_damaged_is_told_and_then_an_error),
        TEST(it_ends_when_it_is_cancelled), TEST(strangers_learn_nothing),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
