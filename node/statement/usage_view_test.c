/* XCOPY_USAGE: what was carried becomes one row a day, project, region and outcome, for who may know. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/task/meter.h"
#include "store/project.h"

static struct trial trial;

#define SELECTED                                                                                   \
    "SELECT usage_date, direction, peer_region, state, tasks, wire_bytes, payload_bytes, "         \
    "page_bytes, resent_bytes, saved_bytes FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_USAGE "    \
    "WHERE project = '@' ORDER BY usage_date, direction, state, peer_region"

static struct project_id chosen(void)
{
    struct project_record project;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    assert_int_equal(
        project_find(trial.store, NULL, span_text(trial.project), &arena, &project, NULL), ERR_OK);
    return project.id;
}

static void carried(const char *region, uint8_t task, uint32_t day, enum meter_role role,
                    enum task_state state, struct meter_counts counts)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    const struct meter_record record = {.role = role,
                                        .lease = {{{(uint8_t)chosen().n, task}}},
                                        .day = day,
                                        .state = state,
                                        .project = chosen(),
                                        .project_name = span_text(trial.project),
                                        .region = span_text(region),
                                        .updated_ms = task,
                                        .counts = counts};
    meter_put(&change, &record);
    struct err err;
    assert_int_equal(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err), ERR_OK);
}

static void some_tasks(void)
{
    const struct meter_counts moved = {100, 20, 50, 40, 900}, more = {10, 2, 5, 5, 0};
    carried("far", 1, 20000, METER_IN, TASK_DONE, moved);
    carried("far", 2, 20000, METER_IN, TASK_DONE, more);
    carried("far", 3, 20000, METER_IN, TASK_FAILED, moved);
    carried("far", 4, 20001, METER_IN, TASK_RUNNING, more);
    carried("far", 5, 20000, METER_OUT, TASK_CANCELLED, more);
    carried("near", 6, 20000, METER_IN, TASK_DONE, more); /* a channel of its own */
}

static const char some_rows[] = "2024-10-04,IN,far,DONE,2,110,45,22,10,900;"
                                "2024-10-04,IN,near,DONE,1,10,5,2,0,0;"
                                "2024-10-04,IN,far,FAILED,1,100,40,20,10,900;"
                                "2024-10-04,OUT,far,CANCELLED,1,10,5,2,0,0;"
                                "2024-10-05,IN,far,RUNNING,1,10,5,2,0,0";

static void tasks_of_a_day_are_one_row_also_when_they_are_forgotten(void **state)
{
    (void)state;
    bool more;
    struct err err;
    trial_project(&trial);
    some_tasks();
    trial_gives(&trial, SELECTED, some_rows);
    assert_int_equal(meter_fold(trial.store, 3, &more, &err), ERR_OK);
    trial_gives(&trial, SELECTED, some_rows);
    assert_int_equal(meter_fold(trial.store, UINT64_MAX, &more, &err), ERR_OK);
    trial_gives(&trial, SELECTED, some_rows);
    trial_restart(&trial);
    trial_gives(&trial, SELECTED, some_rows);
    trial_gives(&trial,
                "SELECT SUM(wire_bytes) FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_USAGE WHERE "
                "project = '@' AND state = 'DONE' AND peer_region = 'far'",
                "110");
}

static void who_may_not_audit_the_project_sees_nothing_of_it(void **state)
{
    (void)state;
    trial_project(&trial);
    some_tasks();
    trial_allows(&trial, &trial.other, SELECTED, "");
    trial_root(&trial, "ADD USER RAM$root:u");
    trial_allows(&trial, &trial.user, SELECTED, "");
    trial_root(&trial, "GRANT admin TO RAM$root:u");
    trial_allows(&trial, &trial.user, SELECTED, some_rows);
    trial_root(&trial, "REVOKE admin FROM RAM$root:u");
    trial_allows(&trial, &trial.user, SELECTED, "");
}

static int start(void **state)
{
    (void)state;
    trial_start(&trial);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    trial_stop(&trial);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_of_a_day_are_one_row_also_when_they_are_forgotten),
        cmocka_unit_test(who_may_not_audit_the_project_sees_nothing_of_it),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
