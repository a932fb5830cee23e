/* The statements of XCOPY's gates at the source: the account's channel switch. What they do to copies:
 * node/task/xcopy_rights_test.c, cluster-tests/test_gates.py. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ON  "ALTER ACCOUNT SET XCOPY CHANNEL ON ACKNOWLEDGE COMPLIANCE"
#define OFF "ALTER ACCOUNT SET XCOPY CHANNEL OFF"

static struct trial trial;
static struct principal operator;

static int group_setup(void **state)
{
    (void)state;
    trial_start(&trial);
    trial_project(&trial);
    operator=(struct principal){.name = "OPERATOR$1", .operator= true };
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
    trial.services.gates = false;
    return 0;
}

/* Of root, as root sees it. */
static void channel_is(const char *shown)
{
    BYTES_CLEANUP struct bytes text = {0};
    char expected[128];
    snprintf(expected, sizeof(expected), "ALIYUN$root,%s,%s", trial.services.region, shown);
    trial_begins(&trial, "SHOW XCOPY CHANNEL", expected);
}

static void a_channel_that_nobody_switched_is_as_gates_say(void **state)
{
    (void)state;
    channel_is("ON,NULL,NULL");
    trial.services.gates = true;
    channel_is("OFF,NULL,NULL");
}

static void an_account_switches_its_channel_and_is_on_record(void **state)
{
    (void)state;
    trial_gives(&trial, OFF, "");
    channel_is("OFF,20");
    trial.services.gates = true; /* what an account said does not change with the setting */
    trial_gives(&trial, ON, "");
    channel_is("ON,20");
    BYTES_CLEANUP struct bytes shown = {0};
    assert_int_equal(trial_run(&trial, "SHOW XCOPY CHANNEL", &shown), ERR_OK);
    assert_non_null(strstr((const char *)shown.data, ",ALIYUN$root"));
    trial_allows(&trial, &trial.other, "alter account set xcopy channel off", "");
    channel_is("ON,20"); /* its own only */
    BYTES_CLEANUP struct bytes all = {0};
    assert_int_equal(trial_run(&trial, "SHOW ACCOUNTS", &all), ERR_OK);
    assert_non_null(strstr((const char *)all.data, ",ON,20"));
    assert_non_null(strstr((const char *)all.data, ",OFF,20"));
    assert_non_null(strstr((const char *)all.data, ",ALIYUN$other"));
}

static void the_switch_is_in_the_audit_log(void **state)
{
    (void)state;
    char text[256];
    uint64_t before = audit_head_get(trial.store).count;
    trial_gives(&trial, ON, "");
    trial_gives(&trial, OFF, "");
    snprintf(text, sizeof(text),
             "SELECT action, object, principal, statement FROM "
             "SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG WHERE sequence > %d ORDER BY sequence",
             (int)before);
    trial_gives(&trial, text,
                "ALTER ACCOUNT SET XCOPY CHANNEL,ALIYUN$root,ALIYUN$root," ON ";"
                "ALTER ACCOUNT SET XCOPY CHANNEL,ALIYUN$root,ALIYUN$root," OFF);
}

static void without_the_acknowledgement_it_is_refused_with_what_to_write(void **state)
{
    (void)state;
    trial_refuses(&trial, "ALTER ACCOUNT SET XCOPY CHANNEL ON", ERR_PARSE,
                  "expected ACKNOWLEDGE COMPLIANCE");
    trial_refuses(&trial, "ALTER ACCOUNT SET XCOPY CHANNEL ON ACKNOWLEDGE", ERR_PARSE,
                  "COMPLIANCE");
    trial_refuses(&trial, "ALTER ACCOUNT SET XCOPY CHANNEL", ERR_PARSE,
                  "expected ON ACKNOWLEDGE COMPLIANCE or OFF");
}

static void nobody_else_switches_it(void **state)
{
    (void)state;
    const char *words = "is switched by each account itself";
    trial_gives(&trial, OFF, "");
    trial_denies(&trial, &trial.user, ON, words);
    trial_denies(&trial, &operator, ON, words);
    trial_denies(&trial, &operator, "SHOW XCOPY CHANNEL", "has no XCOPY channel");
    channel_is("OFF,20");
    trial.as = &trial.user; /* it may see why its copies are refused */
    channel_is("OFF,20");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_channel_that_nobody_switched_is_as_gates_say, setup),
        cmocka_unit_test_setup(an_account_switches_its_channel_and_is_on_record, setup),
        cmocka_unit_test_setup(the_switch_is_in_the_audit_log, setup),
        cmocka_unit_test_setup(without_the_acknowledgement_it_is_refused_with_what_to_write, setup),
        cmocka_unit_test_setup(nobody_else_switches_it, setup),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
