/* TABLES, PARTITIONS, COLUMNS, TABLE_PRIVILEGES, USERS, CATALOGS, ROLES and USER_ROLES: what they say, to whom, and what a condition on a
 * name leaves to be read. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/damage.h"

static struct trial trial;

#define VIEW(name) "SYSTEM_CATALOG.INFORMATION_SCHEMA." name

#define MANY_PARTITIONS 3000 /* several chunks */

static void runs(const char *text)
{
    BYTES_CLEANUP struct bytes out = {0};
    if (trial_run(&trial, text, &out) != ERR_OK)
        fail_msg("%s: %s", text, (const char *)out.data);
}

static void seen_by(const struct principal *who, const char *text, const char *rows)
{
    trial_allows(&trial, who, text, rows);
}

static void some_tables(void)
{
    trial_project(&trial);
    runs("CREATE TABLE plain (id BIGINT NOT NULL COMMENT 'key', v DECIMAL(10,2) DEFAULT 1.5) "
         "COMMENT "
         "'a b' LIFECYCLE 30");
    runs("INSERT INTO plain VALUES (1, 2), (2, 3)");
    runs(
        "CREATE TABLE cut (id BIGINT) PARTITIONED BY (ds STRING, hh BIGINT) CLUSTERED BY (id) INTO "
        "4 BUCKETS");
    runs("INSERT INTO cut PARTITION (ds='b', hh=1) VALUES (1), (2), (3)");
    runs("INSERT INTO cut PARTITION (ds='it\\'s', hh=2) VALUES (4)");
    runs("CREATE EXTERNAL TABLE ext (a STRING) STORED AS ORC LOCATION 'oss://x/y'");
    runs("CREATE SNAPSHOT TABLE cut_snapshot_20260101 CLONE cut");
    runs("CREATE SNAPSHOT TABLE plain_snapshot_20260101 CLONE plain");
    runs("CREATE SNAPSHOT TABLE plain_snapshot_20260102 CLONE plain");
}

/* ---- what is there ---- */

#define PRINTED                                                                                    \
    " FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.tables WHERE table_catalog = '@' AND table_type = "   \
    "'SNAPSHOT_TABLE' AND table_name LIKE \"%_snapshot_20260101\""

static void the_query_as_printed_counts_the_snapshots_of_a_day(void **state)
{
    (void)state;
    some_tables();
    trial_gives(&trial, "SELECT count(*)" PRINTED, "2");
    trial_gives(&trial,
                "SELECT table_catalog, table_schema, table_name, is_partitioned, data_length IS "
                "NULL, base_table_name, origin_region" PRINTED " ORDER BY table_name",
                "@,default,cut_snapshot_20260101,true,true,cut,cn-hongkong;"
                "@,default,plain_snapshot_20260101,false,false,plain,cn-hongkong");
    runs("DROP SNAPSHOT TABLE cut_snapshot_20260101");
    trial_gives(&trial, "SELECT table_name" PRINTED, "plain_snapshot_20260101");
}

static void tables_say_what_desc_says(void **state)
{
    (void)state;
    some_tables();
    trial_gives(
        &trial,
        "SELECT table_name, table_type, is_partitioned, owner_name, data_length > 0, "
        "table_comment, life_cycle, lifecycle_enabled, table_exstore_type, cluster_type, "
        "number_buckets, row_count FROM " VIEW(
            "TABLES") " WHERE table_catalog = '@' AND "
                      "table_type <> 'SNAPSHOT_TABLE' ORDER BY table_name",
        "cut,MANAGED_TABLE,true,ALIYUN$root,NULL,NULL,NULL,NULL,NULL,HASH,4,4;"
        "ext,EXTERNAL_TABLE,false,ALIYUN$root,false,NULL,NULL,NULL,STORED AS ORC,NULL,NULL,0;"
        "plain,MANAGED_TABLE,false,ALIYUN$root,true,a b,30,true,NULL,NULL,NULL,2");
    trial_gives(&trial,
                "SELECT count(distinct owner_id), max(length(owner_id)) FROM " VIEW(
                    "TABLES") " WHERE table_catalog = '@'",
                "1,32");
    trial_gives(&trial,
                "SELECT t.owner_id = u.user_id FROM " VIEW("TABLES") " t JOIN " VIEW(
                    "USERS") " u ON t.owner_name = u.user_name WHERE t.table_catalog = '@' AND "
                             "t.table_name = "
                             "'plain'",
                "true");
}

static void columns_and_partitions_say_what_desc_and_show_say(void **state)
{
    (void)state;
    some_tables();
    trial_gives(
        &trial,
        "SELECT column_name, ordinal_position, column_default, is_nullable, data_type, "
        "column_comment, is_partition_key FROM " VIEW(
            "COLUMNS") " WHERE table_catalog = '@' "
                       "AND table_name IN ('plain', 'cut') ORDER BY table_name, ordinal_position",
        "id,1,NULL,true,BIGINT,NULL,false;ds,2,NULL,false,STRING,NULL,true;"
        "hh,3,NULL,false,BIGINT,NULL,true;id,1,NULL,false,BIGINT,key,false;"
        "v,2,1.50,true,DECIMAL(10,2),NULL,false");
    trial_gives(&trial,
                "SELECT table_name, partition_name, row_count, data_length > 0, cluster_type, "
                "number_buckets, create_time > '2020-01-01 00:00:00', last_modified_time >= "
                "create_time FROM " VIEW("PARTITIONS") " WHERE table_catalog = '@' ORDER BY "
                                                       "table_name, partition_name",
                "cut,ds='b',hh='1',3,true,HASH,4,true,true;"
                "cut,ds='it\\'s',hh='2',1,true,HASH,4,true,true;"
                "cut_snapshot_20260101,ds='b',hh='1',3,true,HASH,4,true,true;"
                "cut_snapshot_20260101,ds='it\\'s',hh='2',1,true,HASH,4,true,true");
    trial_gives(&trial,
                "SELECT sum(p.data_length) > 0 FROM " VIEW("TABLES") " t JOIN " VIEW(
                    "PARTITIONS") " p ON t.table_catalog = p.table_catalog AND t.table_name = "
                                  "p.table_name WHERE "
                                  "t.table_catalog = '@' AND t.table_name = 'cut'",
                "true");
}

/* Chunk after chunk, each partition once, in order. */
static void many_partitions_come_in_chunks(void **state)
{
    (void)state;
    trial_project(&trial);
    runs("CREATE TABLE many (id BIGINT) PARTITIONED BY (p BIGINT)");
    for (int from = 0; from < MANY_PARTITIONS; from += 1000) {
        BYTES_CLEANUP struct bytes text = {0};
        bytes_append_text(&text, "ALTER TABLE many ADD");
        for (int i = from; i < from + 1000; i++)
            bytes_printf(&text, " PARTITION (p='%d')", i);
        bytes_append_u8(&text, 0);
        runs((const char *)text.data);
    }
    trial_gives(&trial,
                "SELECT count(*), count(distinct partition_name), max(partition_name) FROM " VIEW(
                    "PARTITIONS") " WHERE table_catalog = '@'",
                "3000,3000,p='999'");
    trial_gives(
        &trial,
        "SELECT partition_name FROM " VIEW("PARTITIONS") " WHERE table_catalog = '@' LIMIT 3",
        "p='0';p='1';p='2'");
}

/* ---- what a condition leaves ---- */

static void names_are_looked_up_whatever_the_letters_and_once(void **state)
{
    (void)state;
    some_tables();
    const char *const none[] = {"table_name = 'PLAIN'", "table_schema = 'other'",
                                "table_name = 'absent'", "table_name = 'a' AND table_name = 'b'",
                                "table_name > 'zz'"};
    for (size_t i = 0; i < ARRAY_COUNT(none); i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "SELECT table_name FROM " VIEW("TABLES") " WHERE table_catalog = '@' AND %s",
                 none[i]);
        trial_gives(&trial, text, "");
    }
    trial_gives(
        &trial,
        "SELECT table_name FROM " VIEW(
            "TABLES") " WHERE table_catalog = '@' AND "
                      "table_schema = 'default' AND table_name IN ('PLAIN', 'plain', 'Plain')",
        "plain");
    trial_gives(&trial,
                "SELECT table_name FROM " VIEW(
                    "TABLES") " WHERE table_catalog IN ('@', 'absent') "
                              "AND table_name >= 'e' AND table_name <= 'plain' ORDER BY 1",
                "ext;plain");
}

/* A page that cannot be read tells who reads it. */
static void only_what_a_condition_names_is_read(void **state)
{
    (void)state;
    static const char *const views[] = {"PARTITIONS", "COLUMNS"};
    trial_project(&trial);
    runs("CREATE TABLE whole (nowhere_else BIGINT) PARTITIONED BY (p BIGINT)");
    runs("ALTER TABLE whole ADD PARTITION (p=1)");
    runs("CREATE TABLE hurt (nowhere_else_either BIGINT) PARTITIONED BY (p BIGINT)");
    struct digest page = trial_version(&trial, "hurt").page;
    damage_note(trial.store, &page, DAMAGE_PAGE, "hurt by a test");
    for (size_t i = 0; i < ARRAY_COUNT(views); i++) {
        char text[256];
        int end = snprintf(text, sizeof(text),
                           "SELECT count(*) > 0 FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.%s WHERE "
                           "table_catalog = '@'",
                           views[i]);
        trial_refuses(&trial, text, ERR_CORRUPT, "page");
        snprintf(text + end, sizeof(text) - (size_t)end, " AND table_name = 'whole'");
        trial_gives(&trial, text, "true");
        snprintf(text + end, sizeof(text) - (size_t)end, " AND table_name > 'i'");
        trial_gives(&trial, text, "true");
    }
    trial_gives(&trial, "SELECT count(*) FROM " VIEW("TABLES") " WHERE table_catalog = '@'", "2");
    trial_refuses(&trial, "SELECT is_partitioned FROM " VIEW("TABLES") " WHERE table_catalog = '@'",
                  ERR_CORRUPT, "page");
    runs("DROP TABLE hurt");
    runs("DROP TABLE whole");
}

/* ---- who sees what ---- */

static void strangers_learn_nothing(void **state)
{
    (void)state;
    static const char *const views[] = {"TABLES", "PARTITIONS", "COLUMNS", "TABLE_PRIVILEGES"};
    some_tables();
    for (size_t i = 0; i < ARRAY_COUNT(views); i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "SELECT count(*) FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.%s WHERE table_catalog = "
                 "'@'",
                 views[i]);
        seen_by(&trial.other, text, "0");
        seen_by(&trial.user, text, "0");
        seen_by(&trial.stranger, text, "0");
        snprintf(text, sizeof(text),
                 "SELECT count(*) FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.%s WHERE table_catalog = "
                 "'@' AND table_name = 'plain'",
                 views[i]);
        seen_by(&trial.other, text, "0");
    }
}

#define NAMES(view)                                                                                \
    "SELECT table_name FROM " VIEW(view) " WHERE table_catalog = '@' GROUP BY table_name ORDER "   \
                                         "BY 1"

static void a_user_sees_what_its_rights_show(void **state)
{
    (void)state;
    some_tables();
    trial_root(&trial, "ADD USER RAM$root:u");
    seen_by(&trial.user, NAMES("TABLES"), "");
    trial_root(&trial, "GRANT Select ON TABLE plain TO USER RAM$root:u");
    seen_by(&trial.user, NAMES("TABLES"), "plain");
    seen_by(&trial.user,
            "SELECT table_type, owner_name, owner_id, is_partitioned, create_time, row_count, "
            "version FROM " VIEW("TABLES") " WHERE table_catalog = '@'",
            "MANAGED_TABLE,NULL,NULL,NULL,NULL,NULL,NULL");
    seen_by(&trial.user, NAMES("COLUMNS"), "");
    trial_root(&trial, "GRANT Describe ON TABLE cut TO USER RAM$root:u");
    seen_by(&trial.user, NAMES("COLUMNS"), "cut");
    seen_by(&trial.user, NAMES("PARTITIONS"), "cut");
    seen_by(&trial.user, NAMES("TABLES"), "cut;plain");
    trial_root(&trial, "GRANT List ON PROJECT @ TO USER RAM$root:u");
    seen_by(&trial.user, NAMES("TABLES"),
            "cut;cut_snapshot_20260101;ext;plain;plain_snapshot_20260101;plain_snapshot_20260102");
    seen_by(&trial.user, NAMES("PARTITIONS"), "cut");
    trial_root(&trial, "REMOVE USER RAM$root:u");
    seen_by(&trial.user, NAMES("TABLES"), "");
    seen_by(&trial.user, NAMES("PARTITIONS"), "");
}

/* The right goes after the statement began, before its rows are read. */
static void a_right_that_ends_ends_the_rows(void **state)
{
    (void)state;
    some_tables();
    trial_root(&trial, "ADD USER RAM$root:u");
    trial_root(&trial, "GRANT Describe ON TABLE cut TO USER RAM$root:u");
    trial.as = &trial.user;
    struct trial_cursor *cursor = trial_open(
        &trial, "SELECT partition_name FROM " VIEW("PARTITIONS") " WHERE table_catalog = '@'");
    trial_root(&trial, "REVOKE Describe ON TABLE cut FROM USER RAM$root:u");
    trial_rest(cursor, "");
}

/* ---- grants ---- */

#define PRIVILEGES                                                                                 \
    "SELECT table_name, user_name, privilege_type, user_schema, expired IS NULL, grantor, "        \
    "length(user_id) FROM " VIEW("TABLE_PRIVILEGES") " WHERE table_catalog = '@' ORDER BY "        \
                                                     "table_name, user_name, privilege_type"

static void privileges_are_those_of_show_acl_and_show_grants(void **state)
{
    (void)state;
    some_tables();
    trial_root(&trial, "ADD USER RAM$root:u");
    trial_root(&trial, "ADD USER ALIYUN$other");
    trial_root(&trial, "CREATE ROLE reader");
    trial_root(&trial, "GRANT reader TO RAM$root:u");
    trial_root(&trial, "GRANT List ON PROJECT @ TO USER ALIYUN$other"); /* of no table: no row */
    trial_root(&trial, "GRANT Select, Describe ON TABLE plain TO ROLE reader");
    trial_root(&trial, "GRANT Update ON TABLE plain TO USER RAM$root:u");
    trial_root(&trial, "GRANT Drop ON TABLE cut_snapshot_20260101 TO USER ALIYUN$other");
    const char *own = "plain,RAM$root:u,Update,ALIYUN$root,true,NULL,32;"
                      "plain,role/reader,Describe,NULL,true,NULL,NULL;"
                      "plain,role/reader,Select,NULL,true,NULL,NULL";
    char all[512];
    snprintf(all, sizeof(all), "cut_snapshot_20260101,ALIYUN$other,Drop,NULL,true,NULL,32;%s", own);
    trial_gives(&trial, PRIVILEGES, all);
    seen_by(&trial.user, PRIVILEGES, own);
    seen_by(&trial.other, PRIVILEGES, "cut_snapshot_20260101,ALIYUN$other,Drop,NULL,true,NULL,32");
    seen_by(&trial.stranger, PRIVILEGES, "");
    trial_root(&trial, "GRANT admin TO RAM$root:u");
    seen_by(&trial.user, PRIVILEGES, all);
    trial_root(&trial, "REVOKE admin FROM RAM$root:u");
    trial_root(&trial, "REVOKE reader FROM RAM$root:u");
    seen_by(&trial.user, PRIVILEGES, "plain,RAM$root:u,Update,ALIYUN$root,true,NULL,32");
    trial_root(&trial, "DROP TABLE plain");
    seen_by(&trial.user, PRIVILEGES, "");
}

static void a_grant_says_when_it_ends(void **state)
{
    (void)state;
    some_tables();
    trial_root(&trial, "ADD USER RAM$root:u");
    trial_root(&trial, "GRANT Select ON TABLE plain TO USER RAM$root:u "
                       "PRIVILEGEPROPERTIES(\"expires\"=\"30\")");
    trial_gives(&trial,
                "SELECT privilege_type, datediff(expired, getdate(), 'dd') FROM " VIEW(
                    "TABLE_PRIVILEGES") " WHERE table_catalog = '@'",
                "Select,30");
}

/* ---- users ---- */

static void users_are_those_that_one_may_know(void **state)
{
    (void)state;
#define USERS(columns) "SELECT " columns " FROM " VIEW("USERS") " ORDER BY user_name"
    trial_project(&trial);
    seen_by(&trial.stranger,
            USERS("user_catalog, user_schema, user_name, length(user_id), user_label"),
            "ALIYUN,NULL,ALIYUN$other,32,NULL;RAM,ALIYUN$other,RAM$other:u,32,NULL");
    seen_by(&trial.other, USERS("user_name"), "ALIYUN$other;RAM$other:u");
    seen_by(&trial.user, USERS("user_name"), "ALIYUN$root;RAM$root:u");
    trial_root(&trial, "ADD USER RAM$other:u");
    seen_by(&trial.root, USERS("user_name"), "ALIYUN$other;ALIYUN$root;RAM$other:u;RAM$root:u");
    trial_root(&trial, "ADD USER RAM$root:u");
    seen_by(&trial.user, USERS("user_name"), "ALIYUN$root;RAM$root:u");
    trial_root(&trial, "GRANT admin TO RAM$root:u");
    seen_by(&trial.user, USERS("user_name"), "ALIYUN$root;RAM$other:u;RAM$root:u");
    /* made anew under its name, it is no user of the project */
    struct principal_spec named = {.name = span_text(trial.stranger.name),
                                   .account = trial.stranger.account,
                                   .number = trial.stranger.number + 1000,
                                   .user = true};
    principals_remove(trial.principals, named.name);
    principals_put(trial.principals, &named);
    seen_by(&trial.user, USERS("user_name"), "ALIYUN$root;RAM$root:u");
    named.number = trial.stranger.number;
    principals_remove(trial.principals, named.name);
    principals_put(trial.principals, &named);
}

static void catalogs_are_those_of_show_projects(void **state)
{
    (void)state;
    const char *mine = "SELECT region, owner_name, xcopy_enabled, settings FROM " VIEW(
        "CATALOGS") " WHERE catalog_name = '@'";
    trial_project(&trial);
    seen_by(&trial.root, mine, "cn-hongkong,ALIYUN$root,true,NULL");
    seen_by(&trial.user, mine, "");
    trial_root(&trial, "ADD USER RAM$root:u");
    seen_by(&trial.user, mine, "cn-hongkong,ALIYUN$root,true,NULL");
    seen_by(&trial.other, mine, "");
}

static void roles_are_all_for_admins_and_else_one_s_own(void **state)
{
    (void)state;
#define ROLES                                                                                      \
    "SELECT role_name, role_schema, created_by FROM " VIEW(                                        \
        "ROLES") " WHERE role_catalog = '@' ORDER BY role_name"
#define USER_ROLES                                                                                 \
    "SELECT role_name, user_name FROM " VIEW(                                                      \
        "USER_ROLES") " WHERE user_role_catalog = '@' ORDER BY role_name, user_name"
    trial_project(&trial);
    trial_root(&trial, "CREATE ROLE dev");
    trial_root(&trial, "CREATE ROLE ops");
    trial_root(&trial, "ADD USER RAM$root:u");
    trial_root(&trial, "ADD USER RAM$other:u");
    trial_root(&trial, "GRANT dev TO RAM$root:u");
    trial_root(&trial, "GRANT dev, ops TO RAM$other:u");
    seen_by(&trial.root, ROLES,
            "admin,default,NULL;dev,default,ALIYUN$root;ops,default,ALIYUN$root");
    seen_by(&trial.root, USER_ROLES, "dev,RAM$other:u;dev,RAM$root:u;ops,RAM$other:u");
    seen_by(&trial.user, ROLES, "dev,default,ALIYUN$root");
    seen_by(&trial.user, USER_ROLES, "dev,RAM$root:u");
    seen_by(&trial.other, ROLES, "");
    seen_by(&trial.other, USER_ROLES, "");
    seen_by(&trial.root,
            "SELECT COUNT(*) FROM " VIEW("USER_ROLES") " r JOIN " VIEW(
                "USERS") " u ON r.user_id = u.user_id AND r.user_name = u.user_name WHERE "
                         "user_role_catalog = '@'",
            "3");
    trial_root(&trial, "GRANT admin TO RAM$root:u");
    seen_by(&trial.user, USER_ROLES,
            "admin,RAM$root:u;dev,RAM$other:u;dev,RAM$root:u;ops,RAM$other:u");
    trial_root(&trial, "REMOVE USER RAM$root:u");
    seen_by(&trial.user, ROLES, "");
    seen_by(&trial.user, USER_ROLES, "");
    seen_by(&trial.root, USER_ROLES, "dev,RAM$other:u;ops,RAM$other:u");
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
        cmocka_unit_test(the_query_as_printed_counts_the_snapshots_of_a_day),
        cmocka_unit_test(tables_say_what_desc_says),
        cmocka_unit_test(columns_and_partitions_say_what_desc_and_show_say),
        cmocka_unit_test(many_partitions_come_in_chunks),
        cmocka_unit_test(names_are_looked_up_whatever_the_letters_and_once),
        cmocka_unit_test(only_what_a_condition_names_is_read),
        cmocka_unit_test(strangers_learn_nothing),
        cmocka_unit_test(a_user_sees_what_its_rights_show),
        cmocka_unit_test(a_right_that_ends_ends_the_rows),
        cmocka_unit_test(privileges_are_those_of_show_acl_and_show_grants),
        cmocka_unit_test(a_grant_says_when_it_ends),
        cmocka_unit_test(users_are_those_that_one_may_know),
        cmocka_unit_test(catalogs_are_those_of_show_projects),
        cmocka_unit_test(roles_are_all_for_admins_and_else_one_s_own),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
