/* DROP PROJECT: by whom, of what, and what is left of it. Each right alone: every_right_test.c. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/expiry.h"

#define LOG "SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG"

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
    trial_project(&trial);
    return 0;
}

static void its_owner_and_operators_drop_it_when_it_is_empty(void **state)
{
    (void)state;
    trial_root(&trial, "CREATE PROJECT @_theirs OWNER ALIYUN$other");
    trial_root(&trial, "CREATE PROJECT @_his OWNER ALIYUN$other");
    trial_allows(&trial, &trial.other, "CREATE TABLE @_theirs.t (a BIGINT)", "");
    trial_refuses(&trial, "DROP PROJECT @_theirs", ERR_EXISTS,
                  "project @_theirs still holds 1 table: drop them first; SHOW TABLES IN @_theirs");
    trial_allows(&trial, &trial.other, "DROP TABLE @_theirs.t", "");
    trial_denies(&trial, &trial.stranger, "DROP PROJECT @_theirs",
                 "not the owner of project @_theirs");
    trial_denies(&trial, &trial.stranger, "DROP PROJECT IF EXISTS @_none",
                 "not the owner of project @_none"); /* the same words */
    trial_allows(&trial, &trial.other, "DROP PROJECT @_THEIRS", "");
    trial_root(&trial, "DROP PROJECT @_his"); /* an operator, and not its owner */
    trial_denies(&trial, &trial.other, "DROP PROJECT @_his", "not the owner of project @_his");
    trial_refuses(&trial, "DROP PROJECT @_his", ERR_NOT_FOUND,
                  "project @_his does not exist in region");
    trial_root(&trial, "DROP PROJECT IF EXISTS @_his");
    trial_is_whole(&trial);
}

static void a_session_in_it_is_told_so(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "DROP PROJECT @");
    trial_refuses(&trial, "CREATE TABLE t (a BIGINT)", ERR_NOT_FOUND, "project @ does not exist");
    trial_refuses(&trial, "SELECT * FROM t", ERR_NOT_FOUND, "project @ does not exist");
    trial_refuses(&trial, "USE @", ERR_NOT_FOUND, "project @ does not exist");
    trial_denies(&trial, &trial.other, "SHOW TABLES", "is not a user of project @");
}

static void what_is_made_again_begins_without_rights(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT CreateTable ON PROJECT @ TO USER ALIYUN$other");
    trial_root(&trial, "SET ProjectProtection=true");
    trial_root(&trial, "DROP PROJECT @");
    trial_root(&trial, "CREATE PROJECT @");
    trial_denies(&trial, &trial.other, "CREATE TABLE t (a BIGINT)", "no CreateTable on project @");
    trial_gives(&trial, "LIST USERS", "");
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_denies(&trial, &trial.other, "CREATE TABLE t (a BIGINT)", "no CreateTable on project @");
    trial_restart(&trial);
    trial_denies(&trial, &trial.other, "CREATE TABLE t (a BIGINT)", "no CreateTable on project @");
    trial_is_whole(&trial);
}

static void its_entries_are_read_by_who_owned_it_and_by_operators(void **state)
{
    (void)state;
    const char *drops = "SELECT project, principal FROM " LOG
                        " WHERE action = 'DROP PROJECT' AND project = '@_log'";
    trial_root(&trial, "CREATE PROJECT @_log OWNER ALIYUN$other");
    trial_root(&trial, "DROP PROJECT @_log");
    trial_root(&trial, "CREATE PROJECT @_log"); /* of root's: another one */
    trial_gives(&trial, drops, "@_log,ALIYUN$root");
    trial_allows(&trial, &trial.other, drops, "@_log,ALIYUN$root");
    trial_allows(&trial, &trial.stranger, drops, "");
    struct principal owner = trial.root;
    owner.operator= false;
    trial_allows(&trial, &owner, drops, "");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(its_owner_and_operators_drop_it_when_it_is_empty),
        T(a_session_in_it_is_told_so),
        T(what_is_made_again_begins_without_rights),
        T(its_entries_are_read_by_who_owned_it_and_by_operators),
    };
#undef T
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
