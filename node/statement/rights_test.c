/* Statements about users, roles and grants, and what others may do with what they were given. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/expiry.h"
#include "node/load_rows.h"

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

/* ---- users ---- */

static void users_come_and_go(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "ADD USER RAM$u"); /* of the caller's account */
    trial_refuses(&trial, "ADD USER aliyun$OTHER", ERR_EXISTS, "ALIYUN$other is a user");
    trial_refuses(&trial, "ADD USER ALIYUN$nobody", ERR_NOT_FOUND,
                  "no account or user ALIYUN$nobody");
    trial_refuses(&trial, "ADD USER ALIYUN$root", ERR_SEMANTIC, "cannot change its own rights");
    trial_begins(&trial, "LIST USERS", "ALIYUN$other,");
    trial_refuses(&trial, "REMOVE USER RAM$other:u", ERR_NOT_FOUND, "RAM$other:u is not a user");
    trial_root(&trial, "REMOVE USER RAM$root:u");
    trial_refuses(&trial, "REMOVE USER RAM$root:u", ERR_NOT_FOUND, "is not a user");
    trial_denies(&trial, &trial.other, "LIST USERS",
                 "neither the owner nor in the role admin of project @");
    trial_denies(&trial, &trial.other, "ADD USER RAM$other:u",
                 "neither the owner nor in the role admin");
}

static void a_new_user_may_do_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *missing;
    } rows[] = {
        {"SELECT * FROM t", "no Select on @.t"},
        {"EXPLAIN SELECT * FROM t", "no Select on @.t"},
        {"SELECT * FROM s", "no Select on @.s"},
        {"DESC t", "no Describe on @.t"},
        {"SHOW CREATE TABLE t", "no Describe on @.t"},
        {"SHOW PARTITIONS t", "no Describe on @.t"},
        {"SHOW HISTORY FOR TABLE t", "no ShowHistory on @.t"},
        {"INSERT INTO t VALUES (4)", "no Update on @.t"},
        {"ALTER TABLE t ADD PARTITION (p=1)", "no Alter on @.t"},
        {"DROP TABLE t", "no Drop on @.t"},
        {"DROP SNAPSHOT TABLE s", "no Drop on @.s"},
        {"DROP TABLE IF EXISTS t", "no Drop on @.t"},
        {"CREATE TABLE t2 (a BIGINT)", "no CreateTable on project @"},
        {"CREATE TABLE IF NOT EXISTS t (a BIGINT)", "no CreateTable on project @"},
        {"CREATE SNAPSHOT TABLE s2 CLONE t", "no CreateTable on project @"},
        {"CREATE TABLE t3 CLONE s", "no CreateTable on project @"},
        {"SCRUB TABLE t", "no Select on @.t"},
        {"SCRUB ALL", "not an operator"},
        {"CLEANUP", "not an operator"},
        {"CREATE PROJECT nope", "not an operator"},
        {"ALTER PROJECT @ DISABLE XCOPY", "not an operator"},
        {"GRANT Select ON TABLE t TO USER ALIYUN$root", "neither the owner nor"},
        {"REVOKE Select ON TABLE t FROM USER ALIYUN$root", "neither the owner nor"},
        {"CREATE ROLE r", "neither the owner nor"},
        {"DROP ROLE r", "neither the owner nor"},
        {"LIST ROLES", "neither the owner nor"},
        {"DESC ROLE r", "neither the owner nor"},
        {"GRANT r TO ALIYUN$root", "neither the owner nor"},
        {"REVOKE r FROM ALIYUN$root", "neither the owner nor"},
        {"REMOVE USER ALIYUN$other", "neither the owner nor"},
        {"SHOW GRANTS FOR ALIYUN$root", "neither the owner nor"},
        {"SHOW GRANTS FOR ROLE r", "neither the owner nor"},
        {"SHOW ACL FOR t", "neither the owner nor"},
        {"SHOW ACL FOR @ ON TYPE PROJECT", "neither the owner nor"},
        {"SET ProjectProtection=true", "not the owner of project @"},
        {"ADD TRUSTEDPROJECT p1", "not the owner of project @"},
        {"REMOVE TRUSTEDPROJECT p1", "not the owner of project @"},
        {"LIST TRUSTEDPROJECTS", "neither the owner nor"},
    };
    const struct principal *who[] = {&trial.other, &trial.user, &trial.stranger};
    for (int added = 0; added < 2; added++) {
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
            for (size_t j = 0; j < ARRAY_COUNT(who); j++)
                trial_denies(&trial, who[j], rows[i].text, rows[i].missing);
        }
        if (added == 1)
            break;
        for (size_t j = 0; j < ARRAY_COUNT(who); j++) {
            trial_denies(&trial, who[j], "USE @", "is not a user of project @");
            trial_denies(&trial, who[j], "SHOW TABLES", "is not a user of project @");
            trial_denies(&trial, who[j], "SHOW SNAPSHOT TABLES", "is not a user of project @");
            trial_denies(&trial, who[j], "SHOW GRANTS", "is not a user of project @");
        }
        trial_root(&trial, "ADD USER ALIYUN$other");
        trial_root(&trial, "ADD USER RAM$root:u");
        trial_root(&trial, "ADD USER RAM$other:u");
    }
    for (size_t j = 0; j < ARRAY_COUNT(who); j++) {
        trial_allows(&trial, who[j], "USE @", "");
        trial_allows(&trial, who[j], "SHOW TABLES", "");
        trial_allows(&trial, who[j], "SHOW SNAPSHOT TABLES", "");
        trial_allows(&trial, who[j], "SHOW GRANTS", "");
    }
    trial_gives(&trial, "SELECT COUNT(*) FROM t", "3"); /* and nothing was done */
}

/* '#' becomes the name. */
static const char *named(const char *form, const char *name)
{
    static char text[256];
    const char *mark = strchr(form, '#');
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(mark - form), form, name, mark + 1);
    return text;
}

/* The words for what is there and for what is not are the same, the name apart. */
static void same_words(const struct principal *principal, const char *form, const char *there,
                       const char *absent)
{
    BYTES_CLEANUP struct bytes first = {0}, second = {0}, expected = {0};
    as(principal);
    enum err_code code = trial_run(&trial, named(form, there), &first);
    assert_int_equal(trial_run(&trial, named(form, absent), &second), code);
    assert_int_equal(code, ERR_DENIED);
    for (const char *c = (const char *)first.data; *c != '\0';) {
        const char *at = strstr(c, there);
        if (at == NULL) {
            bytes_append_text(&expected, c);
            break;
        }
        bytes_append(&expected, c, (size_t)(at - c));
        bytes_append_text(&expected, absent);
        c = at + strlen(there);
    }
    bytes_append_u8(&expected, 0);
    assert_string_equal((const char *)second.data, (const char *)expected.data);
    as(NULL);
}

static void what_is_not_there_is_refused_in_the_same_words(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "SELECT * FROM #",
        "EXPLAIN SELECT * FROM #",
        "DESC #",
        "SHOW CREATE TABLE #",
        "SHOW PARTITIONS #",
        "INSERT INTO # VALUES (1)",
        "DROP TABLE #",
        "DROP TABLE IF EXISTS #",
        "DROP SNAPSHOT TABLE #",
        "SHOW HISTORY FOR TABLE #",
        "ALTER TABLE # ADD PARTITION (p=1)",
        "SCRUB TABLE #",
        "SELECT * FROM t2 JOIN # x ON x.a = t2.a",
    };
    static const char *const in_project[] = {"USE #",
                                             "SHOW TABLES IN #",
                                             "SELECT * FROM #.t",
                                             "CREATE TABLE #.n (a BIGINT)",
                                             "DROP TABLE #.t",
                                             "GRANT List ON PROJECT # TO USER RAM$other:u",
                                             "SHOW ACL FOR # ON TYPE PROJECT"};
    trial_root(&trial, "CREATE TABLE t2 (a BIGINT)");
    trial_root(&trial, "CREATE TABLE zzt (a BIGINT)");
    trial_root(&trial, "CREATE SNAPSHOT TABLE zzs CLONE zzt");
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT Select ON TABLE t2 TO USER ALIYUN$other");
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        same_words(&trial.other, forms[i], "zzt", "qqq");
        same_words(&trial.other, forms[i], "ZZT", "qqq");
        same_words(&trial.other, forms[i], "zzs", "qqq");
        if (strstr(forms[i], "t2") == NULL) /* not a user at all */
            same_words(&trial.user, forms[i], "zzt", "qqq");
    }
    char upper[64]; /* nor does the case that it was made with tell */
    snprintf(upper, sizeof(upper), "%s", trial.project);
    upper[0] = 'P';
    for (size_t i = 0; i < ARRAY_COUNT(in_project); i++) {
        same_words(&trial.user, in_project[i], trial.project, "nowhere");
        same_words(&trial.user, in_project[i], upper, "nowhere");
    }
    /* who may list is told what is there and what not */
    trial_root(&trial, "GRANT List ON PROJECT @ TO USER ALIYUN$other");
    trial_denies(&trial, &trial.other, "SELECT * FROM t", "no Select on @.t");
    as(&trial.other);
    trial_refuses(&trial, "SELECT * FROM qqq", ERR_TABLE_NOT_FOUND, "\"qqq\"");
    as(NULL);
    trial_refuses(&trial, "SELECT * FROM nowhere.t", ERR_NOT_FOUND, "project nowhere does not");
}

/* ---- grants ---- */

static void a_grant_is_what_was_granted(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT select, describe ON TABLE T TO USER aliyun$other");
    trial_allows(&trial, &trial.other, "SELECT * FROM t", "1;2;3");
    trial_allows(&trial, &trial.other, "DESC t", "a,BIGINT,true,false,");
    trial_denies(&trial, &trial.other, "INSERT INTO t VALUES (4)", "no Update on @.t");
    trial_denies(&trial, &trial.other, "SELECT * FROM s",
                 "no Select on @.s");                     /* an object of its own */
    trial_root(&trial, "GRANT All ON t TO ALIYUN$other"); /* TABLE and USER may be left out */
    trial_allows(&trial, &trial.other, "INSERT INTO t VALUES (4)", "");
    trial_refuses(&trial, "REVOKE Select, Drop, Select ON TABLE t FROM USER ALIYUN$other",
                  ERR_SEMANTIC, "Select is named twice");
    trial_root(&trial, "REVOKE Update, Drop ON TABLE t FROM USER ALIYUN$other");
    trial_denies(&trial, &trial.other, "INSERT INTO t VALUES (4)", "no Update on @.t");
    trial_denies(&trial, &trial.other, "DROP TABLE t", "no Drop on @.t");
    trial_refuses(&trial, "REVOKE Drop, Select ON TABLE t FROM USER ALIYUN$other", ERR_NOT_FOUND,
                  "Drop: not granted to ALIYUN$other on t; nothing was revoked");
    trial_allows(&trial, &trial.other, "SELECT COUNT(*) FROM t", "4");
    trial_root(&trial, "REMOVE USER ALIYUN$other");
    trial_denies(&trial, &trial.other, "SELECT * FROM t", "no Select on @.t");
    trial_root(&trial, "ADD USER ALIYUN$other"); /* begins anew */
    trial_denies(&trial, &trial.other, "SELECT * FROM t", "no Select on @.t");
}

static void a_grant_of_a_table_goes_with_it(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT All ON TABLE t TO USER ALIYUN$other");
    trial_root(&trial, "GRANT All ON TABLE s TO USER ALIYUN$other");
    trial_root(&trial, "DROP TABLE t");
    trial_root(&trial, "CREATE TABLE t (a BIGINT)");
    trial_denies(&trial, &trial.other, "SELECT * FROM t", "no Select on @.t");
    trial_allows(&trial, &trial.other, "SELECT COUNT(*) FROM s", "3");
    trial_root(&trial,
               "CREATE OR REPLACE SNAPSHOT TABLE s CLONE t"); /* another object under its name */
    trial_denies(&trial, &trial.other, "SELECT * FROM s", "no Select on @.s");
    expiry_run(trial.expiry);
    trial_allows(&trial, &trial.other, "SHOW GRANTS", "");
}

static void who_makes_something_may_everything_with_it(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT CreateTable ON PROJECT @ TO USER ALIYUN$other");
    trial_allows(&trial, &trial.other, "CREATE TABLE mine (a BIGINT)", "");
    trial_allows(&trial, &trial.other, "INSERT INTO mine VALUES (7)", "");
    trial_allows(&trial, &trial.other, "SELECT * FROM mine", "7");
    trial_allows(&trial, &trial.other, "CREATE SNAPSHOT TABLE mine_1 CLONE mine", "");
    trial_allows(&trial, &trial.other, "CREATE OR REPLACE SNAPSHOT TABLE mine_1 CLONE mine", "");
    trial_denies(&trial, &trial.other, "CREATE SNAPSHOT TABLE t_1 CLONE t", "no Select on @.t");
    trial_denies(&trial, &trial.other, "CREATE TABLE t_2 CLONE s", "no Select on @.s");
    trial_denies(&trial, &trial.other, "CREATE OR REPLACE SNAPSHOT TABLE s CLONE mine",
                 "no Drop on @.s");
    trial_denies(&trial, &trial.other, "GRANT Select ON TABLE mine TO USER RAM$other:u",
                 "neither the owner");
    trial_root(&trial, "REMOVE USER ALIYUN$other");
    trial_denies(&trial, &trial.other, "SELECT * FROM mine", "no Select on @.mine");
    trial_allows(&trial, NULL, "SELECT * FROM mine", "7"); /* the project's owner */
}

static void grants_are_refused_that_make_no_sense(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    static const struct {
        const char *text;
        enum err_code code;
        const char *words;
    } rows[] = {
        {"GRANT Fly ON TABLE t TO USER ALIYUN$other", ERR_SEMANTIC,
         "Fly is no action on a table; there are Describe, Select, Alter, Update, Drop, Download, "
         "ShowHistory, All"},
        {"GRANT Select ON PROJECT @ TO USER ALIYUN$other", ERR_SEMANTIC,
         "Select is no action on a project; there are Read, Write, List, CreateTable, "
         "CreateInstance, CreateFunction, CreateResource, All"},
        {"GRANT Own ON PROJECT @ TO USER ALIYUN$other", ERR_SEMANTIC, "Own is no action"},
        {"GRANT Membership ON PROJECT @ TO USER ALIYUN$other", ERR_SEMANTIC, "is no action"},
        {"GRANT Select, SELECT ON TABLE t TO USER ALIYUN$other", ERR_SEMANTIC, "named twice"},
        {"GRANT All, Select ON TABLE t TO USER ALIYUN$other", ERR_SEMANTIC, "named twice"},
        {"GRANT Select ON TABLE t TO USER ALIYUN$root", ERR_SEMANTIC,
         "ALIYUN$root cannot change its own rights"},
        {"GRANT Select ON TABLE t TO USER RAM$other:u", ERR_NOT_FOUND,
         "RAM$other:u is not a user of the project: ADD USER first"},
        {"GRANT Select ON TABLE nope TO USER ALIYUN$other", ERR_TABLE_NOT_FOUND, "\"nope\""},
        {"GRANT List ON PROJECT nope TO USER ALIYUN$other", ERR_NOT_FOUND, "project nope"},
        {"GRANT Select ON TABLE t TO ROLE nope", ERR_NOT_FOUND, "there is no role nope"},
        {"GRANT Select ON TABLE t TO ROLE admin", ERR_PARAMETER, "admin has all rights"},
        {"GRANT Select ON TABLE SYSTEM_CATALOG.INFORMATION_SCHEMA.x TO USER ALIYUN$other",
         ERR_SEMANTIC, "SYSTEM_CATALOG"},
        {"CREATE PROJECT system_catalog OWNER ALIYUN$other", ERR_SEMANTIC,
         "SYSTEM_CATALOG is where the system's views are"},
        {"REVOKE Select ON TABLE t FROM USER ALIYUN$other", ERR_NOT_FOUND, "not granted"},
        {"REVOKE Select ON TABLE t FROM USER RAM$other:u", ERR_NOT_FOUND, "is not a user"},
        {"GRANT Select(a) ON TABLE t TO USER ALIYUN$other", ERR_SEMANTIC, "rights on columns"},
        {"GRANT Select ON TABLE t(a) TO USER ALIYUN$other", ERR_SEMANTIC, "rights on columns"},
        {"GRANT Select ON TABLE t PARTITION(p=1) TO USER ALIYUN$other", ERR_SEMANTIC,
         "partitions are not supported"},
        {"GRANT Select ON TABLE t TO USER ALIYUN$other privilegeproperties(\"expires\"=\"0\")",
         ERR_SEMANTIC, "a number of days from 1 to"},
        {"GRANT Select ON TABLE t TO USER ALIYUN$other privilegeproperties(\"policy\"=\"true\")",
         ERR_SEMANTIC, "conditions and policies are not"},
        {"GRANT nope TO ALIYUN$other", ERR_NOT_FOUND, "there is no role nope"},
        {"REVOKE admin FROM ALIYUN$other", ERR_NOT_FOUND, "does not have the role admin"},
        {"GRANT admin, admin TO ALIYUN$other", ERR_SEMANTIC, "role admin is named twice"},
        {"GRANT admin TO RAM$other:u", ERR_NOT_FOUND, "is not a user"},
        {"GRANT admin TO ALIYUN$root", ERR_SEMANTIC, "cannot change its own rights"},
        {"CREATE ROLE admin", ERR_EXISTS, "role admin exists already"},
        {"CREATE ROLE `9lives`", ERR_SEMANTIC, "cannot be a name"},
        {"CREATE ROLE r privilegeproperties(\"type\"=\"admin\")", ERR_SEMANTIC, "resource"},
        {"DROP ROLE admin", ERR_SEMANTIC, "every project has the role admin"},
        {"DROP ROLE nope", ERR_NOT_FOUND, "there is no role nope"},
        {"DESC ROLE nope", ERR_NOT_FOUND, "there is no role nope"},
        {"SHOW GRANTS FOR ROLE nope", ERR_NOT_FOUND, "there is no role nope"},
        {"SHOW GRANTS FOR RAM$other:u", ERR_NOT_FOUND, "is not a user of project"},
        {"SET ProjectProtection=maybe", ERR_SEMANTIC, "takes true or false"},
        {"SET ProjectProtection=true WITH EXCEPTION policy.txt", ERR_SEMANTIC,
         "exceptions are whole projects"},
        {"ADD TRUSTEDPROJECT @", ERR_SEMANTIC, "need not trust itself"},
        {"ADD TRUSTEDPROJECT '.p'", ERR_SEMANTIC, "is written 'region.project'"},
        {"REMOVE TRUSTEDPROJECT nope", ERR_NOT_FOUND, "project nope is not trusted"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        trial_refuses(&trial, rows[i].text, rows[i].code, rows[i].words);
    trial_gives(&trial, "SHOW GRANTS FOR ALIYUN$other", ""); /* nothing half done */
}

static void a_statement_that_comes_again_does_nothing_twice(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes out = {0};
    const struct statement_id id = {{0xEE, (uint8_t)trial.projects}};
    trial_root(&trial, "ADD USER ALIYUN$other");
    const char *revoke = "REVOKE Select ON TABLE t FROM USER ALIYUN$other";
    trial_root(&trial, "GRANT Select ON TABLE t TO USER ALIYUN$other");
    assert_int_equal(trial_run_as(&trial, &trial.root, &id, revoke, &out), ERR_OK);
    assert_int_equal(trial_run_as(&trial, &trial.root, &id, revoke, &out), ERR_OK);
    trial_refuses(&trial, revoke, ERR_NOT_FOUND, "not granted");
}

static void a_load_asks_again_when_it_commits(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT Update ON TABLE t TO USER ALIYUN$other");
    const struct operator_load_begin begin = {
        .project = span_text(trial.project), .table = span_text("t"), .mode = UPLOAD_OVERWRITE};
    const struct load_rows_options options = {.services = &trial.services,
                                              .principal = &trial.other,
                                              .begin = &begin,
                                              .memory_bytes = MIB(1)};
    const struct load_rows_commit commit = {.principal = &trial.other, .id = {{0xAB, 1}}};
    struct load_rows *rows;
    struct outcome outcome;
    struct err err;
    assert_int_equal(load_rows_open(&options, &rows, &err), ERR_OK);
    trial_root(&trial, "REVOKE Update ON TABLE t FROM USER ALIYUN$other");
    assert_int_equal(load_rows_commit(rows, &commit, &outcome, &err), ERR_DENIED);
    load_rows_close(rows);
    trial_gives(&trial, "SELECT COUNT(*) FROM t", "3");
    trial_root(&trial, "GRANT Update ON TABLE t TO USER ALIYUN$other");
    assert_int_equal(load_rows_open(&options, &rows, &err), ERR_OK);
    assert_int_equal(load_rows_commit(rows, &commit, &outcome, &err), ERR_OK);
    load_rows_close(rows);
    trial_gives(&trial, "SELECT COUNT(*) FROM t", "0"); /* overwritten by nothing */
}

/* A snapshot there of a table here, and a table there of a snapshot here, are clones as well. */
static void ram_users_clone_within_their_account_whatever_they_say(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "CLONE TABLE t TO theirs.c",
        "CREATE SNAPSHOT TABLE theirs.s CLONE t",
        "CREATE TABLE theirs.r CLONE s",
    };
    char here[sizeof(trial.project)];
    trial_gives(&trial, "CREATE PROJECT theirs OWNER 'ALIYUN$other'", "");
    trial_root(&trial, "ADD USER RAM$other:u");
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT Select ON TABLE t TO USER RAM$other:u");
    trial_root(&trial, "GRANT Select ON TABLE s TO USER RAM$other:u");
    trial_root(&trial, "GRANT Select ON TABLE t TO USER ALIYUN$other");
    trial_root(&trial, "GRANT Select ON TABLE s TO USER ALIYUN$other");
    memcpy(here, trial.project, sizeof(here));
    snprintf(trial.project, sizeof(trial.project), "theirs");
    trial_allows(&trial, &trial.other, "ADD USER RAM$other:u", "");
    trial_allows(&trial, &trial.other,
                 "GRANT CreateTable, CreateInstance ON PROJECT theirs TO USER RAM$other:u", "");
    memcpy(trial.project, here, sizeof(here));
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        trial_denies(&trial, &trial.stranger, texts[i],
                     "RAM$other:u is a RAM user: between projects of two");
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        trial_allows(&trial, &trial.other, texts[i], "");
}

/* ---- roles ---- */

static void roles_give_what_they_were_granted(void **state)
{
    (void)state;
    trial_root(&trial, "CREATE ROLE dev privilegeproperties(\"type\"=\"resource\")");
    trial_refuses(&trial, "CREATE ROLE DEV", ERR_EXISTS, "role DEV exists already");
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT Select ON TABLE t TO ROLE Dev");
    trial_denies(&trial, &trial.other, "SELECT * FROM t", "no Select");
    trial_root(&trial, "GRANT dev TO USER ALIYUN$other");
    trial_refuses(&trial, "GRANT dev TO ALIYUN$other", ERR_EXISTS, "has the role dev");
    trial_allows(&trial, &trial.other, "SELECT COUNT(*) FROM t", "3");
    trial_refuses(&trial, "DROP ROLE dev", ERR_SEMANTIC, "1 users have it; REVOKE it");
    trial_begins(&trial, "LIST ROLES", "admin,NULL,NULL;dev,");
    trial_gives(&trial, "DESC ROLE dev", "role/dev,projects/@/tables/t,Select,NULL");
    trial_root(&trial, "REVOKE dev FROM ALIYUN$other");
    trial_denies(&trial, &trial.other, "SELECT * FROM t", "no Select");
    trial_root(&trial, "DROP ROLE dev");
    trial_root(&trial, "CREATE ROLE dev"); /* another one */
    trial_gives(&trial, "SHOW GRANTS FOR ROLE dev", "");
}

static void admin_manages_and_does_not_own(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER RAM$root:u");
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT admin TO RAM$root:u");
    trial_allows(&trial, &trial.user, "SELECT COUNT(*) FROM t", "3");
    trial_allows(&trial, &trial.user, "CREATE ROLE dev", "");
    trial_allows(&trial, &trial.user, "GRANT All ON PROJECT @ TO ROLE dev", "");
    trial_allows(&trial, &trial.user, "SHOW GRANTS", "role/admin,projects/@/*,All,NULL");
    trial_denies(&trial, &trial.user, "SET ProjectProtection=true", "not the owner of project @");
    trial_denies(&trial, &trial.user, "ADD USER RAM$other:u",
                 "RAM$root:u is a RAM user and manages RAM users of its own account only");
    trial_denies(&trial, &trial.user, "GRANT admin TO ALIYUN$other",
                 "RAM users of its own account only");
    trial_root(&trial, "GRANT admin TO ALIYUN$other");
    trial_denies(&trial, &trial.other, "REMOVE USER RAM$root:u", "not the owner of project @");
    trial_denies(&trial, &trial.other, "REVOKE admin FROM RAM$root:u",
                 "not the owner of project @");
    trial_allows(&trial, &trial.other, "ADD USER RAM$other:u", "");
    trial_denies(&trial, &trial.other, "GRANT admin TO RAM$other:u", "not the owner of project @");
    trial_allows(&trial, &trial.other, "GRANT Select ON TABLE t TO USER RAM$other:u", "");
    trial_allows(&trial, &trial.stranger, "SELECT COUNT(*) FROM t", "3");
    trial_root(&trial, "REVOKE admin FROM RAM$root:u");
    trial_denies(&trial, &trial.user, "SELECT COUNT(*) FROM t", "no Select on @.t");
}

/* ---- lists ---- */

static bool shows_project(const struct principal *principal)
{
    BYTES_CLEANUP struct bytes out = {0};
    char row[32];
    snprintf(row, sizeof(row), "%s,ALIYUN$root,", trial.project);
    as(principal);
    assert_int_equal(trial_run(&trial, "SHOW PROJECTS", &out), ERR_OK);
    as(NULL);
    return strstr((const char *)out.data, row) != NULL;
}

static void lists_show_what_may_be_seen(void **state)
{
    (void)state;
    trial_root(&trial, "CREATE TABLE other (a BIGINT)");
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_allows(&trial, &trial.other, "SHOW TABLES", "");
    trial_root(&trial,
               "GRANT Update ON TABLE t TO USER ALIYUN$other"); /* may be seen, not described */
    trial_allows(&trial, &trial.other, "SHOW TABLES", "t,TABLE,NULL,NULL,NULL,NULL,NULL");
    trial_root(&trial, "GRANT Describe ON TABLE t TO USER ALIYUN$other");
    as(&trial.other);
    trial_begins(&trial, "SHOW TABLES", "t,TABLE,1,3,");
    as(NULL);
    trial_allows(&trial, &trial.other, "SHOW SNAPSHOT TABLES", "");
    trial_root(&trial, "GRANT List ON PROJECT @ TO USER ALIYUN$other");
    trial_allows(&trial, &trial.other, "SHOW SNAPSHOT TABLES",
                 "@,s,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL");
    trial_allows(&trial, &trial.other, "SHOW TABLES LIKE 'o%'",
                 "other,TABLE,NULL,NULL,NULL,NULL,NULL");
    assert_true(shows_project(&trial.other));
    assert_true(shows_project(&trial.root));
    assert_false(shows_project(&trial.user));
    trial_root(&trial, "REMOVE USER ALIYUN$other");
    assert_false(shows_project(&trial.other));
}

/* ---- what is shown of rights ---- */

static void shown(const char *text, const char *expected)
{
    struct bytes out = {0};
    char *filled = trial_text(&trial, expected);
    if (trial_display(&trial, text, &out) != ERR_OK)
        fail_msg("%s: %s", text, (const char *)out.data);
    assert_string_equal((const char *)out.data, filled);
    mem_free(filled);
    bytes_deinit(&out);
}

static void rights_are_shown_as_documented(void **state)
{
    (void)state;
    trial_root(&trial, "CREATE ROLE dev");
    trial_root(&trial, "ADD USER RAM$root:u");
    trial_root(&trial, "GRANT dev TO RAM$root:u");
    trial_root(&trial, "GRANT List, CreateTable, CreateInstance ON PROJECT @ TO USER RAM$root:u");
    trial_root(&trial, "GRANT Select, Describe ON TABLE t TO USER RAM$root:u");
    trial_root(&trial, "GRANT All ON TABLE s TO ROLE dev");
    shown("SHOW GRANTS FOR RAM$root:u", "[roles]\n"
                                        "dev\n"
                                        "\n"
                                        "Authorization Type: ACL\n"
                                        "[user/RAM$root:u]\n"
                                        "A       projects/@: List | CreateTable | CreateInstance\n"
                                        "A       projects/@/tables/t: Describe | Select\n"
                                        "[role/dev]\n"
                                        "A       projects/@/tables/s: All\n");
    shown("SHOW GRANTS", "[ALIYUN$root]\nprojects/@: Project Owner\n");
    shown("SHOW ACL FOR t ON TYPE TABLE", "Authorization Type: ACL\n"
                                          "[user/RAM$root:u]\n"
                                          "A       projects/@/tables/t: Describe | Select\n"
                                          "Authorization Type: Implicit\n"
                                          "[role/project_owner]\n"
                                          "A       projects/@/tables/t: All\n"
                                          "[role/admin]\n"
                                          "A       projects/@/tables/t: All\n"
                                          "[user/object_creator]\n"
                                          "A       projects/@/tables/t: All\n");
    shown("DESC ROLE dev", "[users]\n"
                           "RAM$root:u\n"
                           "\n"
                           "Authorization Type: ACL\n"
                           "[role/dev]\n"
                           "A       projects/@/tables/s: All\n");
    trial_gives(&trial, "SHOW ACL FOR @ ON TYPE PROJECT",
                "user/RAM$root:u,projects/@,List | CreateTable | CreateInstance,NULL;"
                "role/project_owner,projects/@,All,NULL;role/admin,projects/@,All,NULL");
    trial_root(
        &trial,
        "GRANT Select ON TABLE t TO USER RAM$root:u privilegeproperties(\"expires\"=\"30\")");
    struct bytes out = {0};
    assert_int_equal(trial_display(&trial, "SHOW GRANTS FOR RAM$u", &out), ERR_OK);
    assert_non_null(strstr((const char *)out.data, "tables/t: Select    Expires:20"));
    assert_non_null(strstr((const char *)out.data, "tables/t: Describe\n"));
    bytes_deinit(&out);
    trial_allows(&trial, &trial.user, "SELECT COUNT(*) FROM t", "3");
}

/* ---- protection ---- */

static void protected_data_goes_to_trusted_projects_only(void **state)
{
    (void)state;
    char from[16], text[128];
    snprintf(from, sizeof(from), "%s", trial.project);
    trial_root(&trial, "SET projectprotection = TRUE");
    trial_project(&trial); /* the one to copy to; both are root's */
    char to[16];
    snprintf(to, sizeof(to), "%s", trial.project);
    const char *forms[] = {"CREATE TABLE r CLONE #.s", "CREATE SNAPSHOT TABLE c CLONE #.t"};
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++)
        trial_refuses(&trial, named(forms[i], from), ERR_DENIED, "is protected");
    snprintf(text, sizeof(text), "SELECT COUNT(*) FROM %s.t", from); /* to look is not to take */
    trial_gives(&trial, text, "3");
    snprintf(trial.project, sizeof(trial.project), "%s", from);
    trial_root(&trial, "CREATE TABLE r CLONE s"); /* within */
    snprintf(text, sizeof(text), "ADD TRUSTEDPROJECT %s", to);
    trial_root(&trial, text);
    trial_root(&trial, text);
    trial_root(&trial, "ADD TRUSTEDPROJECT 'ap-southeast-1.backup'");
    trial_root(&trial, "ADD TRUSTEDPROJECT 'cn-hongkong.p1'"); /* this region by its name */
    snprintf(text, sizeof(text), "%s,cn-hongkong;backup,ap-southeast-1;p1,cn-hongkong", to);
    trial_gives(&trial, "LIST TRUSTEDPROJECTS", text);
    snprintf(trial.project, sizeof(trial.project), "%s", to);
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++)
        trial_root(&trial, named(forms[i], from));
    snprintf(trial.project, sizeof(trial.project), "%s", from);
    snprintf(text, sizeof(text), "REMOVE TRUSTEDPROJECT %s", to);
    trial_root(&trial, text);
    snprintf(trial.project, sizeof(trial.project), "%s", to);
    snprintf(text, sizeof(text), "CREATE TABLE r2 CLONE %s.s", from);
    trial_refuses(&trial, text, ERR_DENIED, "is protected");
    snprintf(trial.project, sizeof(trial.project), "%s", from);
    trial_root(&trial, "SET ProjectProtection=false");
    snprintf(trial.project, sizeof(trial.project), "%s", to);
    trial_root(&trial, text);
}

/* Names are taken in the same way whether a project has them or not, and trust no one who comes later:
 * who owns a project is not told which others there are. */
static void trust_does_not_tell_what_there_is(void **state)
{
    (void)state;
    char from[16], to[16], text[128];
    snprintf(from, sizeof(from), "%s", trial.project);
    trial_root(&trial, "SET ProjectProtection=true");
    trial_project(&trial);
    snprintf(to, sizeof(to), "%s", trial.project);
    unsigned number = trial.projects;
    snprintf(trial.project, sizeof(trial.project), "%s", from);
    for (int i = 0; i < 2; i++) { /* twice: that it stands there tells no more */
        snprintf(text, sizeof(text), "ADD TRUSTEDPROJECT %s", to);
        trial_root(&trial, text);
        snprintf(text, sizeof(text), "ADD TRUSTEDPROJECT p%u", number + 1);
        trial_root(&trial, text);
    }
    snprintf(text, sizeof(text), "%s,cn-hongkong;p%u,cn-hongkong", to, number + 1);
    trial_gives(&trial, "LIST TRUSTEDPROJECTS", text);
    trial_project(&trial);
    snprintf(text, sizeof(text), "p%u", number + 1);
    assert_string_equal(trial.project, text); /* it is made now */
    snprintf(text, sizeof(text), "CREATE TABLE r CLONE %s.s", from);
    trial_refuses(&trial, text, ERR_DENIED, "is protected");
    snprintf(trial.project, sizeof(trial.project), "%s", from);
    snprintf(text, sizeof(text), "ADD TRUSTEDPROJECT p%u", number + 1);
    trial_root(&trial, text); /* and trusted by who says so again */
    snprintf(trial.project, sizeof(trial.project), "p%u", number + 1);
    snprintf(text, sizeof(text), "CREATE TABLE r CLONE %s.s", from);
    trial_root(&trial, text);
}

static void so_many_are_trusted_and_no_more(void **state)
{
    (void)state;
    char text[64];
    for (int i = 0; i <= LIMIT_TRUSTED_PROJECTS; i++) {
        snprintf(text, sizeof(text), "ADD TRUSTEDPROJECT 'elsewhere.p%d'", i);
        if (i < LIMIT_TRUSTED_PROJECTS)
            trial_root(&trial, text);
        else
            trial_refuses(&trial, text, ERR_LIMIT, "trusts at most");
    }
}

/* ---- after a restart ---- */

static void rights_last(void **state)
{
    (void)state;
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "GRANT Select ON TABLE t TO USER ALIYUN$other");
    trial_root(&trial, "SET ProjectProtection=true");
    trial_restart(&trial);
    trial_allows(&trial, &trial.other, "SELECT COUNT(*) FROM t", "3");
    trial_denies(&trial, &trial.other, "INSERT INTO t VALUES (1)", "no Update on @.t");
    trial_gives(&trial, "LIST TRUSTEDPROJECTS", "");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(users_come_and_go),
        T(a_new_user_may_do_nothing),
        T(what_is_not_there_is_refused_in_the_same_words),
        T(a_grant_is_what_was_granted),
        T(a_grant_of_a_table_goes_with_it),
        T(who_makes_something_may_everything_with_it),
        T(grants_are_refused_that_make_no_sense),
        T(a_statement_that_comes_again_does_nothing_twice),
        T(a_load_asks_again_when_it_commits),
        T(ram_users_clone_within_their_account_whatever_they_say),
        T(roles_give_what_they_were_granted),
        T(admin_manages_and_does_not_own),
        T(lists_show_what_may_be_seen),
        T(rights_are_shown_as_documented),
        T(protected_data_goes_to_trusted_projects_only),
        T(trust_does_not_tell_what_there_is),
        T(so_many_are_trusted_and_no_more),
        T(rights_last),
    };
#undef T
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
