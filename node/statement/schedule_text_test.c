/* SHOW CREATE SCHEDULE: what it says, run, makes the same schedule again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/sql/lexer.h"
#include "node/statement/trial.h"

#define CREATED_COLUMN 8 /* of SHOW SCHEDULES; no cell before it has a comma here */

static struct trial trial;

static int start(void **state)
{
    (void)state;
    trial_start(&trial);
    trial_project(&trial);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    trial_stop(&trial);
    return 0;
}

/* All that SHOW SCHEDULES says of it but when it was made. */
static void listed(struct bytes *ret_row)
{
    struct bytes row = {0};
    assert_int_equal(trial_run(&trial, "SHOW SCHEDULES LIKE 's'", &row), ERR_OK);
    bytes_append_u8(&row, '\0');
    char *created = (char *)row.data;
    for (size_t i = 0; i < CREATED_COLUMN; i++)
        created = strchr(created, ',') + 1;
    size_t length = strcspn(created, ","); /* not always the same */
    memmove(created, created + length, strlen(created + length) + 1);
    *ret_row = row;
}

static void shown(struct bytes *ret_text)
{
    *ret_text = (struct bytes){0};
    trial_shows(&trial, "SHOW CREATE SCHEDULE s", ret_text);
}

static void script_runs(const struct bytes *text)
{
    struct splitter splitter = splitter_of(span_text((const char *)text->data));
    struct span statement;
    while (splitter_next(&splitter, &statement, NULL)) {
        char *one = mem_strndup(statement);
        trial_gives(&trial, one, "");
        mem_free(one);
    }
}

/* After `create` and, unless NULL, `then`; `words` are in the text. */
static void comes_again(const char *create, const char *then, const char *words)
{
    struct bytes row, text, row_again, text_again;
    trial_gives(&trial, create, "");
    if (then != NULL)
        trial_gives(&trial, then, "");
    listed(&row);
    shown(&text);
    if (strstr((const char *)text.data, words) == NULL)
        fail_msg("no %s in %s", words, (const char *)text.data);
    trial_gives(&trial, "DROP SCHEDULE s", "");
    script_runs(&text);
    listed(&row_again);
    shown(&text_again);
    assert_string_equal((const char *)text.data, (const char *)text_again.data);
    assert_string_equal((const char *)row.data, (const char *)row_again.data);
    trial_gives(&trial, "DROP SCHEDULE s", "");
    bytes_deinit(&row);
    bytes_deinit(&text);
    bytes_deinit(&row_again);
    bytes_deinit(&text_again);
}

#define ONE " AS BEGIN SELECT 1; END"

static void every_clause_comes_again(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE SCHEDULE other CRON '0 0 * * *'" ONE, "");
    comes_again("CREATE SCHEDULE s CRON '0 1 * * *'" ONE, NULL, "CRON '0 1 * * *'\nTIMEZONE 'UTC'");
    comes_again("CREATE SCHEDULE s CRON '*/5 1-3 * jan mon' TIMEZONE 'Asia/Hong_Kong' AFTER other "
                "RETRY 3 EVERY 10 MINUTES MISSED RUNS ALL SET v='$[yyyymmdd]', `select`='it\\'s' "
                "COMMENT 'two\nlines'" ONE,
                NULL, "SET `v`='$[yyyymmdd]', `select`='it\\'s'\nCOMMENT 'two\\u000alines'");
    comes_again("CREATE SCHEDULE s CRON '0 1 * * *' MISSED RUNS SKIP" ONE, "ALTER SCHEDULE s PAUSE",
                "MISSED RUNS SKIP\nAS BEGIN\n    SELECT 1;\nEND;\nALTER SCHEDULE");
    trial_gives(&trial, "DROP SCHEDULE other", "");
}

static void statements_come_again_as_they_were_written(void **state)
{
    (void)state;
    comes_again("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT ';' -- why\n; ; SELECT CASE "
                "WHEN 1 = 1\n  THEN 'END' END /* ; */; END",
                NULL,
                "    SELECT ';' -- why\n;\n    SELECT CASE WHEN 1 = 1\n  THEN 'END' END /* ; */;");
}

static void an_end_by_day_and_by_time_are_two(void **state)
{
    (void)state;
    static const struct {
        const char *timezone, *from, *to, *effective;
    } cases[] = {
        {"UTC", "2026-01-01", "2098-12-31", "FROM '2026-01-01' TO '2098-12-31'"},
        {"Asia/Hong_Kong", "2026-01-01 08:30:00", "2098-12-31 00:00:00",
         "FROM '2026-01-01 08:30:00' TO '2098-12-31 00:00:00'"},
        {"Asia/Hong_Kong", "2026-01-01 00:00:00", "2098-12-31 23:59:59",
         "FROM '2026-01-01' TO '2098-12-31'"},
        /* midnight is left out there on 2018-11-04 */
        {"America/Sao_Paulo", "2018-11-04", "2098-01-01",
         "FROM '2018-11-04 01:00:00' TO '2098-01-01'"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bytes text = {0};
        bytes_printf(&text,
                     "CREATE SCHEDULE s CRON '0 1 * * *' TIMEZONE '%s' EFFECTIVE FROM '%s' TO "
                     "'%s'" ONE "%c",
                     cases[i].timezone, cases[i].from, cases[i].to, '\0');
        comes_again((const char *)text.data, NULL, cases[i].effective);
        bytes_deinit(&text);
    }
}

/* Out of reach of a text: its end is past, and before the hour that is left out. */
static void an_end_where_midnight_is_left_out_comes_again(void **state)
{
    (void)state;
    struct bytes text;
    trial_tells(&trial,
                "CREATE SCHEDULE s CRON '0 1 * * *' TIMEZONE 'America/Sao_Paulo' EFFECTIVE TO "
                "'2018-11-03'" ONE,
                "EFFECTIVE has ended");
    shown(&text);
    assert_non_null(strstr((const char *)text.data, "EFFECTIVE TO '2018-11-03 23:59:59'"));
    bytes_deinit(&text);
    trial_gives(&trial, "DROP SCHEDULE s", "");
}

static void it_is_its_creators_and_the_owners(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE SCHEDULE s CRON '0 1 * * *'" ONE, "");
    trial_denies(&trial, &trial.other, "SHOW CREATE SCHEDULE @.s", "");
    trial_refuses(&trial, "SHOW CREATE SCHEDULE nothing", ERR_NOT_FOUND,
                  "there is no schedule nothing in project");
    trial_gives(&trial, "DROP SCHEDULE s", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_clause_comes_again),
        cmocka_unit_test(statements_come_again_as_they_were_written),
        cmocka_unit_test(an_end_by_day_and_by_time_are_two),
        cmocka_unit_test(an_end_where_midnight_is_left_out_comes_again),
        cmocka_unit_test(it_is_its_creators_and_the_owners),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
