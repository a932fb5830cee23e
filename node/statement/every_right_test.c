/* Every kind of statement against every right that it needs.
 *
 * A case is a text and the rights of docs/RIGHTS.md in their order. Who has all of them but one is
 * refused in words that name the first that is missing and its object, and nothing is changed: the
 * catalog's sequence of tables, the tables and the rights are as before. Who has them all gets what
 * the text asks for. Each of STATEMENT_KINDS has a case, or the test fails; loads and downloads have
 * theirs behind.
 */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <ctype.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/load_rows.h"
#include "store/catalog_commit.h"

static struct trial trial;
static char first[16], second[16]; /* projects of root's: '@' and '~' in texts */

/* ---- what a text needs ---- */

enum need_kind {
    NEED_NOTHING,
    NEED_GRANT,  /* `action` on `object` */
    NEED_MEMBER, /* to be a user of the project '@' */
    NEED_ADMIN,  /* role admin of '@' */
    NEED_OWNER,  /* to be the account that owns '@' */
    NEED_OPERATOR,
    NEED_TRUST, /* '@' is protected: that it trusts '~' */
};

struct need {
    enum need_kind kind;
    const char *action;
    const char *object; /* TABLE t, PROJECT ~ */
    const char *words;  /* of the refusal */
    bool if_there; /* of a name that is about to be given: a free one needs no right, and who may
                           give names may know which are */
};

#define ON_TABLE(right, table)                                                                     \
    {                                                                                              \
        NEED_GRANT, right, "TABLE " table, "has no " right " on " table, false                     \
    }
#define ON_TAKEN(right, table)                                                                     \
    {                                                                                              \
        NEED_GRANT, right, "TABLE " table, "has no " right " on " table, true                      \
    }
#define ON_PROJECT(right, project)                                                                 \
    {                                                                                              \
        NEED_GRANT, right, "PROJECT " project, "has no " right " on project " project, false       \
    }
#define MEMBER                                                                                     \
    {                                                                                              \
        NEED_MEMBER, NULL, NULL, "is not a user of project @", false                               \
    }
#define ADMIN                                                                                      \
    {                                                                                              \
        NEED_ADMIN, NULL, NULL, "is neither the owner nor in the role admin of project @", false   \
    }
#define OWNER                                                                                      \
    {                                                                                              \
        NEED_OWNER, NULL, NULL, "is not the owner of project @", false                             \
    }
#define OPERATOR                                                                                   \
    {                                                                                              \
        NEED_OPERATOR, NULL, NULL, "is not an operator of this region", false                      \
    }
#define TRUST                                                                                      \
    {                                                                                              \
        NEED_TRUST, NULL, NULL, "project @ is protected", false                                    \
    }

#define NEEDS_MAX 5
#define NOT_HERE  "" /* a trial has no scrubber: cluster-tests/test_scrub.py */

struct test_case {
    enum statement_kind kind;
    const char *text;
    struct need needs[NEEDS_MAX];
    const char *past; /* what stops it behind all rights, where that is not success; or NULL */
};

/* clang-format off */
static const struct test_case cases[] = {
    {STATEMENT_SELECT, "SELECT * FROM @.t", {ON_TABLE("Select", "@.t")}, NULL},
    {STATEMENT_SELECT, "SELECT * FROM @.s", {ON_TABLE("Select", "@.s")}, NULL},
    {STATEMENT_SELECT, "SELECT t.a FROM @.t t JOIN ~.d d ON t.a = d.a WHERE EXISTS (SELECT 1 FROM @.s)",
     {ON_TABLE("Select", "@.t"), ON_TABLE("Select", "~.d"), ON_TABLE("Select", "@.s")}, NULL},
    {STATEMENT_EXPLAIN, "EXPLAIN SELECT * FROM @.t", {ON_TABLE("Select", "@.t")}, NULL},
    {STATEMENT_EXPLAIN, "EXPLAIN INSERT INTO ~.d SELECT * FROM @.t",
     {ON_TABLE("Update", "~.d"), ON_TABLE("Select", "@.t")}, NULL},
    {STATEMENT_INSERT, "INSERT INTO @.t VALUES (4)", {ON_TABLE("Update", "@.t")}, NULL},
    {STATEMENT_INSERT, "INSERT OVERWRITE TABLE @.t VALUES (4)", {ON_TABLE("Update", "@.t")}, NULL},
    {STATEMENT_INSERT, "INSERT INTO ~.d SELECT a FROM @.t",
     {ON_TABLE("Update", "~.d"), ON_TABLE("Select", "@.t"), TRUST}, NULL},
    {STATEMENT_INSERT, "INSERT OVERWRITE TABLE @.p PARTITION (x=9) SELECT a FROM @.s",
     {ON_TABLE("Update", "@.p"), ON_TABLE("Select", "@.s")}, NULL},
    {STATEMENT_CREATE_TABLE, "CREATE TABLE @.n (a BIGINT)", {ON_PROJECT("CreateTable", "@")}, NULL},
    {STATEMENT_CREATE_TABLE, "CREATE EXTERNAL TABLE @.n (a BIGINT) STORED AS ORC LOCATION 'oss://b/'",
     {ON_PROJECT("CreateTable", "@")}, NULL},
    {STATEMENT_CREATE_TABLE, "CREATE OR REPLACE TABLE @.t (b BIGINT)",
     {ON_PROJECT("CreateTable", "@"), ON_TAKEN("Drop", "@.t")}, NULL},
    {STATEMENT_CREATE_TABLE, "CREATE TABLE ~.n LIKE @.t",
     {ON_PROJECT("CreateTable", "~"), ON_TABLE("Select", "@.t")}, NULL},
    {STATEMENT_CREATE_TABLE, "CREATE TABLE ~.n AS SELECT a FROM @.t",
     {ON_PROJECT("CreateTable", "~"), ON_TABLE("Select", "@.t"), TRUST}, NULL},
    {STATEMENT_CREATE_TABLE, "CREATE OR REPLACE TABLE ~.d AS SELECT a FROM @.t",
     {ON_PROJECT("CreateTable", "~"), ON_TAKEN("Drop", "~.d"), ON_TABLE("Select", "@.t"), TRUST}, NULL},
    {STATEMENT_DROP_TABLE, "DROP TABLE @.t", {ON_TABLE("Drop", "@.t")}, NULL},
    {STATEMENT_DROP_TABLE, "DROP TABLE IF EXISTS @.t", {ON_TABLE("Drop", "@.t")}, NULL},
    {STATEMENT_ADD_PARTITIONS, "ALTER TABLE @.p ADD PARTITION (x=5)", {ON_TABLE("Alter", "@.p")}, NULL},
    {STATEMENT_DROP_PARTITIONS, "ALTER TABLE @.p DROP PARTITION (x=1)", {ON_TABLE("Alter", "@.p")}, NULL},
    {STATEMENT_ALTER_TABLE, "ALTER TABLE @.t RENAME TO t9", {ON_TABLE("Alter", "@.t")}, NULL},
    {STATEMENT_ALTER_TABLE, "ALTER TABLE @.t SET COMMENT 'x'", {ON_TABLE("Alter", "@.t")}, NULL},
    {STATEMENT_ALTER_TABLE, "ALTER TABLE @.t SET LIFECYCLE 3", {ON_TABLE("Alter", "@.t")}, NULL},
    {STATEMENT_ALTER_TABLE, "ALTER TABLE @.t DISABLE LIFECYCLE", {ON_TABLE("Alter", "@.t")}, NULL},
    {STATEMENT_ALTER_TABLE, "ALTER TABLE @.t TOUCH", {ON_TABLE("Alter", "@.t")}, NULL},
    {STATEMENT_ALTER_TABLE, "ALTER TABLE @.p PARTITION (x=1) RENAME TO PARTITION (x=8)",
     {ON_TABLE("Alter", "@.p")}, NULL},
    {STATEMENT_ALTER_CLUSTERING, "ALTER TABLE @.p CLUSTERED BY (a) INTO 4 BUCKETS", {ON_TABLE("Alter", "@.p")}, NULL},
    {STATEMENT_ALTER_CLUSTERING, "ALTER TABLE @.p NOT CLUSTERED", {ON_TABLE("Alter", "@.p")}, NULL},
    {STATEMENT_TRUNCATE_TABLE, "TRUNCATE TABLE @.t", {ON_TABLE("Update", "@.t")}, NULL},
    {STATEMENT_TRUNCATE_TABLE, "TRUNCATE TABLE @.p PARTITION (x=1)", {ON_TABLE("Update", "@.p")}, NULL},
    {STATEMENT_CREATE_SNAPSHOT, "CREATE SNAPSHOT TABLE ~.n CLONE @.t",
     {ON_PROJECT("CreateTable", "~"), ON_TABLE("Select", "@.t"), TRUST}, NULL},
    {STATEMENT_CREATE_SNAPSHOT, "CREATE OR REPLACE SNAPSHOT TABLE @.s CLONE @.t",
     {ON_PROJECT("CreateTable", "@"), ON_TABLE("Select", "@.t"), ON_TAKEN("Drop", "@.s")}, NULL},
    {STATEMENT_ALTER_SNAPSHOT, "ALTER SNAPSHOT TABLE @.s HOLD", {ON_TABLE("Alter", "@.s")}, NULL},
    {STATEMENT_ALTER_SNAPSHOT, "ALTER SNAPSHOT TABLE @.s RELEASE", {ON_TABLE("Alter", "@.s")}, NULL},
    {STATEMENT_ALTER_SNAPSHOT, "ALTER SNAPSHOT TABLE @.s SET OPTIONS(description='x')", {ON_TABLE("Alter", "@.s")}, NULL},
    {STATEMENT_DROP_SNAPSHOT, "DROP SNAPSHOT TABLE @.s", {ON_TABLE("Drop", "@.s")}, NULL},
    {STATEMENT_RESTORE_TABLE, "CREATE TABLE ~.n CLONE @.s",
     {ON_PROJECT("CreateTable", "~"), ON_TABLE("Select", "@.s"), TRUST}, NULL},
    {STATEMENT_RESTORE_TABLE, "CREATE OR REPLACE TABLE @.t CLONE @.s",
     {ON_PROJECT("CreateTable", "@"), ON_TAKEN("Drop", "@.t"), ON_TABLE("Select", "@.s")}, NULL},
    {STATEMENT_RESTORE_TABLE, "CREATE TABLE ~.n CLONE @.t TIMESTAMP AS OF '2100-01-01'",
     {ON_PROJECT("CreateTable", "~"), {NEED_GRANT, "Select", "TABLE @.taken", "has no Select on @.t", false}, TRUST}, NULL},
    {STATEMENT_RESTORE_TABLE, "CREATE OR REPLACE TABLE @.t CLONE @.t TIMESTAMP AS OF '2100-01-01'",
     {ON_PROJECT("CreateTable", "@"), ON_TAKEN("Drop", "@.t"),
      {NEED_GRANT, "Select", "TABLE @.taken", "has no Select on @.t", false}}, NULL},
    {STATEMENT_CLONE_TABLE, "CLONE TABLE @.t TO ~.n",
     {ON_TABLE("Select", "@.t"), ON_PROJECT("CreateTable", "~"), ON_PROJECT("CreateInstance", "~"), TRUST}, NULL},
    {STATEMENT_CLONE_TABLE, "CLONE TABLE @.t TO ~.d IF EXISTS OVERWRITE",
     {ON_TABLE("Select", "@.t"), ON_PROJECT("CreateTable", "~"), ON_PROJECT("CreateInstance", "~"), TRUST,
      ON_TAKEN("Update", "~.d")}, NULL},
    {STATEMENT_CLONE_TABLE, "CLONE TABLE @.p PARTITION (x=1) TO @.q IF EXISTS IGNORE",
     {ON_TABLE("Select", "@.p"), ON_PROJECT("CreateTable", "@"), ON_PROJECT("CreateInstance", "@"),
      ON_TAKEN("Update", "@.q")}, NULL},
    /* The rest of XCOPY: node/task/xcopy_rights_test.c, cluster-tests/test_rights.py. */
    {STATEMENT_XCOPY, "XCOPY SNAPSHOT there.s TO SNAPSHOT @.n OPTIONS(src_region=\"there\")",
     {ON_PROJECT("CreateTable", "@")}, "without a delegation signed by its principal"},
    {STATEMENT_EXPLAIN, "EXPLAIN XCOPY SNAPSHOT there.s TO SNAPSHOT @.n OPTIONS(src_region=\"there\")",
     {ON_PROJECT("CreateTable", "@")}, "without a delegation signed by its principal"},
    {STATEMENT_VERIFY_SNAPSHOT, "VERIFY SNAPSHOT @.s", {ON_TABLE("Select", "@.s")}, NULL},
    {STATEMENT_VERIFY_SNAPSHOT, "VERIFY SNAPSHOT @.s DEEP", {ON_TABLE("Select", "@.s")}, NULL},
    {STATEMENT_VERIFY_SNAPSHOT, "VERIFY SNAPSHOT @.s AGAINST OPTIONS(region=\"there\")", {ON_TABLE("Select", "@.s")},
     "without a delegation signed by its principal"},
    {STATEMENT_SCRUB, "SCRUB ALL", {OPERATOR}, NOT_HERE},
    {STATEMENT_SCRUB, "SCRUB TABLE @.t", {ON_TABLE("Select", "@.t")}, NOT_HERE},
    {STATEMENT_SCRUB, "SCRUB SNAPSHOT @.s", {ON_TABLE("Select", "@.s")}, NOT_HERE},
    {STATEMENT_CANCEL_TASK, "CANCEL TASK 'nonsense'", {{NEED_NOTHING, NULL, NULL, NULL, false}}, "is not a task's id"},
    {STATEMENT_CREATE_PROJECT, "CREATE PROJECT fresh%", {OPERATOR}, NULL},
    {STATEMENT_DROP_PROJECT, "DROP PROJECT @", {OWNER}, "still holds 1 table:"},
    {STATEMENT_DROP_PROJECT, "DROP PROJECT IF EXISTS @", {OWNER}, "still holds 1 table:"},
    {STATEMENT_CREATE_ACCOUNT, "CREATE ACCOUNT ALIYUN$fresh PUBLIC KEY 'x'", {OPERATOR}, "public key"},
    {STATEMENT_DROP_ACCOUNT, "DROP ACCOUNT ALIYUN$fresh", {OPERATOR}, "ALIYUN$fresh"},
    {STATEMENT_ALTER_PROJECT_XCOPY, "ALTER PROJECT @ DISABLE XCOPY", {OPERATOR}, NULL},
    {STATEMENT_ALTER_ACCOUNT_CHANNEL, "ALTER ACCOUNT SET XCOPY CHANNEL ON ACKNOWLEDGE COMPLIANCE", {{NEED_NOTHING, NULL, NULL, NULL, false}}, NULL}, /* its own; others': gates_test.c */
    {STATEMENT_ALTER_CHANNEL, "ALTER CHANNEL FROM 'there' SET BANDWIDTH '1 Gbit/s'", {OPERATOR}, "this node has no channels"},
    {STATEMENT_SHOW, "SHOW CHANNELS", {OPERATOR}, NULL},
    {STATEMENT_ADD_USER, "ADD USER RAM$root:u", {ADMIN}, NULL},
    {STATEMENT_REMOVE_USER, "REMOVE USER RAM$other:u", {ADMIN}, NULL},
    {STATEMENT_GRANT, "GRANT Select ON TABLE t TO USER RAM$other:u", {ADMIN}, NULL},
    {STATEMENT_GRANT, "GRANT List ON PROJECT @ TO USER RAM$other:u", {ADMIN}, NULL},
    {STATEMENT_REVOKE, "REVOKE Describe ON TABLE t FROM USER RAM$other:u", {ADMIN}, NULL},
    {STATEMENT_GRANT_ROLE, "GRANT dev TO RAM$other:u", {ADMIN}, NULL},
    {STATEMENT_GRANT_ROLE, "GRANT admin TO RAM$other:u", {OWNER}, NULL},
    {STATEMENT_REVOKE_ROLE, "REVOKE ops FROM RAM$other:u", {ADMIN}, NULL},
    {STATEMENT_CREATE_ROLE, "CREATE ROLE fresh", {ADMIN}, NULL},
    {STATEMENT_DROP_ROLE, "DROP ROLE dev", {ADMIN}, NULL},
    {STATEMENT_LIST_ROLES, "LIST ROLES", {ADMIN}, NULL},
    {STATEMENT_DESC_ROLE, "DESC ROLE dev", {ADMIN}, NULL},
    {STATEMENT_SET_PROTECTION, "SET ProjectProtection=true", {OWNER}, NULL},
    {STATEMENT_ADD_TRUSTED, "ADD TRUSTEDPROJECT ~", {OWNER}, NULL},
    {STATEMENT_REMOVE_TRUSTED, "REMOVE TRUSTEDPROJECT 'there.x'", {OWNER}, NULL},
    {STATEMENT_LIST_TRUSTED, "LIST TRUSTEDPROJECTS", {ADMIN}, NULL},
    {STATEMENT_SHOW, "SHOW TABLES IN @", {MEMBER}, NULL},
    {STATEMENT_SHOW, "SHOW SNAPSHOT TABLES IN @", {MEMBER}, NULL},
    {STATEMENT_SHOW, "SHOW GRANTS", {MEMBER}, NULL},
    {STATEMENT_SHOW, "SHOW PARTITIONS @.p", {ON_TABLE("Describe", "@.p")}, NULL},
    {STATEMENT_SHOW, "SHOW CREATE TABLE @.t", {ON_TABLE("Describe", "@.t")}, NULL},
    {STATEMENT_SHOW, "SHOW HISTORY FOR TABLE @.t", {ON_TABLE("ShowHistory", "@.t")}, NULL},
    {STATEMENT_SHOW, "SHOW GRANTS FOR RAM$other:u", {ADMIN}, NULL},
    {STATEMENT_SHOW, "SHOW GRANTS FOR ROLE dev", {ADMIN}, NULL},
    {STATEMENT_SHOW, "SHOW ACL FOR t", {ADMIN}, NULL},
    {STATEMENT_SHOW, "SHOW ACL FOR @ ON TYPE PROJECT", {ADMIN}, NULL},
    {STATEMENT_SHOW, "SHOW PROJECTS", {{NEED_NOTHING, NULL, NULL, NULL, false}}, NULL},
    {STATEMENT_SHOW, "LIST ACCOUNTS", {OPERATOR}, NULL},
    {STATEMENT_REVOKE_TOKEN, "REVOKE XCOPY TOKEN '00112233445566778899aabbccddeeff'", {{NEED_NOTHING, NULL, NULL, NULL, false}}, NULL},
    {STATEMENT_SHOW, "SHOW XCOPY TOKENS", {{NEED_NOTHING, NULL, NULL, NULL, false}}, NULL},
    {STATEMENT_SHOW, "SHOW XCOPY CHANNEL", {{NEED_NOTHING, NULL, NULL, NULL, false}}, NULL},
    {STATEMENT_CREATE_SCHEDULE, "CREATE SCHEDULE @.n CRON '0 1 * * *' AS BEGIN SELECT 1; END", {ON_PROJECT("CreateInstance", "@")}, NULL},
    /* The rest of whose a schedule is: node/schedule/runner_test.c. */
    {STATEMENT_ALTER_SCHEDULE, "ALTER SCHEDULE @.w PAUSE", {MEMBER}, "there is no schedule w in project"},
    {STATEMENT_DROP_SCHEDULE, "DROP SCHEDULE @.w", {MEMBER}, "there is no schedule w in project"},
    {STATEMENT_RUN_SCHEDULE, "RUN SCHEDULE @.w FOR '2026-01-05'", {MEMBER}, "there is no schedule w in project"},
    {STATEMENT_SHOW, "SHOW SCHEDULES IN @", {MEMBER}, NULL},
    {STATEMENT_SHOW, "SHOW CREATE SCHEDULE @.w", {MEMBER}, "there is no schedule w in project"},
    {STATEMENT_SHOW, "SHOW SCHEDULE RUNS", {MEMBER}, NULL},
    {STATEMENT_SHOW, "SHOW SCHEDULE RUNS FOR @.w", {MEMBER}, "there is no schedule w in project"},
    {STATEMENT_DESC, "DESC @.t", {ON_TABLE("Describe", "@.t")}, NULL},
    {STATEMENT_DESC, "DESC EXTENDED @.s", {ON_TABLE("Describe", "@.s")}, NULL},
    {STATEMENT_DESC, "DESC @.p PARTITION (x=1)", {ON_TABLE("Describe", "@.p")}, NULL},
    {STATEMENT_USE, "USE @", {MEMBER}, NULL},
    {STATEMENT_SET, "SET odps.namespace.schema=false", {{NEED_NOTHING, NULL, NULL, NULL, false}}, NULL},
    {STATEMENT_CLEANUP, "CLEANUP", {OPERATOR}, NULL},
    {STATEMENT_WHOAMI, "WHOAMI", {{NEED_NOTHING, NULL, NULL, NULL, false}}, NULL},
    {STATEMENT_LIST_USERS, "LIST USERS", {ADMIN}, NULL},
};
/* clang-format on */

/* Of principals, by whose keys and users they are: asked without a project. */
static const struct {
    enum statement_kind kind;
    const char *text;
} of_accounts[] = {
    {STATEMENT_CREATE_USER, "CREATE USER RAM$root:n PUBLIC KEY 'x'"},
    {STATEMENT_ALTER_KEYS, "ALTER ACCOUNT ALIYUN$root ADD PUBLIC KEY 'x'"},
    {STATEMENT_ALTER_KEYS, "ALTER ACCOUNT ALIYUN$root DROP PUBLIC KEY 'x'"},
    {STATEMENT_ALTER_KEYS, "ALTER USER RAM$root:u ADD PUBLIC KEY 'x'"},
    {STATEMENT_DROP_USER, "DROP USER RAM$root:u"},
    {STATEMENT_SHOW, "SHOW PUBLIC KEYS FOR ALIYUN$root"},
    {STATEMENT_SHOW, "SHOW PUBLIC KEYS FOR RAM$root:u"},
};

/* ---- texts ---- */

/* '@' and '~': the projects; '%': a number that is new. */
static void text_append(struct bytes *out, const char *form)
{
    for (const char *c = form; *c != '\0'; c++) {
        if (*c == '@')
            bytes_append_text(out, first);
        else if (*c == '~')
            bytes_append_text(out, second);
        else if (*c == '%')
            bytes_printf(out, "%u", trial.projects);
        else
            bytes_append_u8(out, (uint8_t)*c);
    }
}

static const char *text_of(const char *form)
{
    static char text[1024];
    BYTES_CLEANUP struct bytes out = {0};
    text_append(&out, form);
    snprintf(text, sizeof(text), "%.*s", SPAN_PRINTF(bytes_span(&out)));
    return text;
}

static void root(const char *form)
{
    trial.as = NULL;
    trial_gives(&trial, text_of(form), "");
}

/* ---- what there is ---- */

static const struct {
    const char *mentioned; /* made for texts that say this; NULL: always */
    const char *form;
} things[] = {
    {NULL, "ADD USER ALIYUN$other"},
    {NULL, "CREATE TABLE @.t (a BIGINT)"},
    {NULL, "INSERT INTO @.t VALUES (1), (2), (3)"},
    {"@.s", "CREATE SNAPSHOT TABLE @.s CLONE @.t"},
    {"AS OF", "CREATE SNAPSHOT TABLE @.taken CLONE @.t"},
    {"@.p", "CREATE TABLE @.p (a BIGINT) PARTITIONED BY (x BIGINT)"},
    {"@.p", "INSERT INTO @.p PARTITION (x=1) VALUES (1)"},
    {"@.q", "CREATE TABLE @.q (a BIGINT) PARTITIONED BY (x BIGINT)"},
    {"~.d", "CREATE TABLE ~.d (a BIGINT)"},
    {"$other:u", "ADD USER RAM$other:u"},
    {"REVOKE Describe", "GRANT Describe ON TABLE t TO USER RAM$other:u"},
    {"dev", "CREATE ROLE dev"},
    {"ops", "CREATE ROLE ops"},
    {"ops", "GRANT ops TO RAM$other:u"},
    {"there.x", "ADD TRUSTEDPROJECT 'there.x'"},
    {"@.w", "CREATE SCHEDULE @.w CRON '0 1 * * *' AS BEGIN SELECT 1; END"},
};

static bool is_made[ARRAY_COUNT(things)]; /* in the projects as they are, where nothing is given */
static bool is_as_made;

static void made(const char *text)
{
    if (!is_as_made) {
        memset(is_made, 0, sizeof(is_made));
        trial_project(&trial);
        snprintf(second, sizeof(second), "%s", trial.project);
        trial_gives(&trial, "ADD USER ALIYUN$other", "");
        trial_project(&trial);
        snprintf(first, sizeof(first), "%s", trial.project);
    }
    for (size_t i = 0; i < ARRAY_COUNT(things); i++) {
        bool wanted = things[i].mentioned == NULL || strstr(text, things[i].mentioned) != NULL;
        if (wanted && !is_made[i])
            root(things[i].form);
        is_made[i] = is_made[i] || wanted;
    }
    is_as_made = true;
}

/* Of all that statements may change. */
static struct digest state_of(void)
{
    static const enum family families[] = {FAMILY_CATALOG, FAMILY_HISTORY, FAMILY_TASKS,
                                           FAMILY_SCHEDULE};
    struct digest_state state;
    struct err err;
    digest_init(&state, DOMAIN_STATEMENT);
    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        DB_ITER_CLEANUP struct db_iter *iter = NULL;
        struct span none = {0}, key, value;
        bool found = true;
        if (catalog_scan(trial.store, NULL, families[i], none, none, &iter, &err) != ERR_OK)
            fail_msg("%s", err.message);
        while (found) {
            if (db_iter_next(iter, &key, &value, &found, &err) != ERR_OK)
                fail_msg("%s", err.message);
            if (!found)
                break;
            digest_update_part(&state, key);
            digest_update_part(&state, value);
        }
    }
    return digest_final(&state);
}

/* ---- giving and taking ---- */

static void give(const struct need *need)
{
    char form[256];
    if (need->kind == NEED_GRANT) {
        snprintf(form, sizeof(form), "GRANT %s ON %s TO USER ALIYUN$other", need->action,
                 need->object);
        root(form);
    }
    if (need->kind == NEED_MEMBER)
        root("ADD USER ALIYUN$other");
    if (need->kind == NEED_ADMIN)
        root("GRANT admin TO ALIYUN$other");
    if (need->kind == NEED_TRUST)
        root("ADD TRUSTEDPROJECT ~");
}

static void take(const struct need *need)
{
    char form[256];
    if (need->kind == NEED_GRANT) {
        snprintf(form, sizeof(form), "REVOKE %s ON %s FROM USER ALIYUN$other", need->action,
                 need->object);
        root(form);
    }
    if (need->kind == NEED_MEMBER)
        root("REMOVE USER ALIYUN$other");
    if (need->kind == NEED_ADMIN)
        root("REVOKE admin FROM ALIYUN$other");
    if (need->kind == NEED_TRUST)
        root("REMOVE TRUSTEDPROJECT ~");
}

static size_t need_count(const struct test_case *test)
{
    size_t count = 0;
    while (count < NEEDS_MAX && test->needs[count].kind != NEED_NOTHING)
        count++;
    return count;
}

/* Before anything is given. */
static void begin(const struct test_case *test)
{
    made(test->text);
    is_as_made = false;
    for (size_t i = 0; i < need_count(test); i++) {
        if (test->needs[i].kind == NEED_MEMBER)
            root("REMOVE USER ALIYUN$other");
        if (test->needs[i].kind == NEED_OWNER) /* an admin is no owner */
            root("GRANT admin TO ALIYUN$other");
        if (test->needs[i].kind == NEED_TRUST)
            root("SET ProjectProtection=true");
    }
}

/* ---- refused, and done ---- */

static void refusal(const char *text, struct bytes *ret_words)
{
    struct digest before = state_of();
    bytes_clear(ret_words);
    trial.as = &trial.other;
    enum err_code code = trial_run(&trial, text, ret_words);
    trial.as = NULL;
    if (code != ERR_DENIED)
        fail_msg("%s: gave %s '%s', expected a refusal", text, err_name(code),
                 (const char *)ret_words->data);
    struct digest after = state_of();
    if (!digest_equal(&before, &after))
        fail_msg("%s: was refused and changed something", text);
}

static void refused(const struct test_case *test, const struct need *need)
{
    BYTES_CLEANUP struct bytes words = {0};
    char expected[256];
    snprintf(expected, sizeof(expected), "ALIYUN$other %s",
             text_of(need->kind == NEED_TRUST ? "" : need->words));
    if (need->kind == NEED_TRUST)
        snprintf(expected, sizeof(expected), "%s", text_of(need->words));
    refusal(text_of(test->text), &words);
    const char *at = strstr((const char *)words.data, expected);
    if (at == NULL || isalnum((unsigned char)at[strlen(expected)]))
        fail_msg("%s: '%s' does not say '%s'", test->text, (const char *)words.data, expected);
}

/* `from` becomes `to`, wherever it stands as a whole word. */
static void replaced(const char *text, const char *from, const char *to, struct bytes *out)
{
    while (*text != '\0') {
        size_t len = strlen(from);
        if (strncmp(text, from, len) == 0 && !isalnum((unsigned char)text[len])) {
            bytes_append_text(out, to);
            text += len;
        } else {
            bytes_append_u8(out, (uint8_t)*text++);
        }
    }
    bytes_append_u8(out, 0);
}

/* What is not there is refused in the same words. */
static void absent_refused(const struct test_case *test, const struct need *need)
{
    BYTES_CLEANUP struct bytes words = {0}, absent = {0}, expected = {0}, text = {0};
    char there[64], not_there[64];
    if (need->kind != NEED_GRANT || need->if_there || strncmp(need->object, "TABLE ", 6) != 0)
        return;
    snprintf(there, sizeof(there), "%s", text_of(need->object + 6));
    snprintf(not_there, sizeof(not_there), "%.*s.absent", (int)strcspn(there, "."), there);
    replaced(text_of(test->text), there, not_there, &text);
    refusal(text_of(test->text), &words);
    refusal((const char *)text.data, &absent);
    replaced((const char *)words.data, there, not_there, &expected);
    assert_string_equal((const char *)absent.data, (const char *)expected.data);
}

/* *ret_changed: the texts after it want everything made anew. */
static void done(const struct test_case *test, bool *ret_changed)
{
    BYTES_CLEANUP struct bytes out = {0};
    struct principal operator= trial.other;
    struct digest before = state_of();
    operator.operator= true;
    trial.as = &trial.other;
    if (test->needs[0].kind == NEED_OPERATOR)
        trial.as = &operator;
    if (test->needs[0].kind == NEED_OWNER)
        trial.as = &trial.root;
    enum err_code code = trial_run(&trial, text_of(test->text), &out);
    trial.as = NULL;
    const char *words = (const char *)out.data;
    if (test->past != NULL && (code == ERR_OK || code == ERR_DENIED || !strstr(words, test->past)))
        fail_msg("%s: gave %s '%s', expected '%s'", test->text, err_name(code), words, test->past);
    if (test->past == NULL && code != ERR_OK)
        fail_msg("%s: with all its rights: %s", test->text, words);
    struct digest after = state_of();
    *ret_changed = !digest_equal(&before, &after);
    if (code != ERR_OK && *ret_changed)
        fail_msg("%s: failed and changed something", test->text);
}

static void try(const struct test_case *test)
{
    size_t count = need_count(test);
    begin(test);
    for (size_t i = 0; i < count; i++) { /* the first that is missing is named */
        refused(test, &test->needs[i]);
        absent_refused(test, &test->needs[i]);
        give(&test->needs[i]);
    }
    for (size_t i = 0; i < count; i++) { /* and one that is missing alone */
        if (test->needs[i].kind == NEED_OPERATOR || test->needs[i].kind == NEED_OWNER)
            continue;
        take(&test->needs[i]);
        refused(test, &test->needs[i]);
        give(&test->needs[i]);
    }
    bool changed = false;
    if (test->past == NULL || test->past[0] != '\0')
        done(test, &changed);
    is_as_made = !changed;
    for (size_t i = 0; i < count && is_as_made; i++) {
        if (test->needs[i].kind == NEED_GRANT || test->needs[i].kind == NEED_ADMIN)
            take(&test->needs[i]);
        else if (test->needs[i].kind == NEED_TRUST || test->needs[i].kind == NEED_OWNER)
            is_as_made = false;
    }
}

/* ---- tests ---- */

static void every_statement_asks_for_every_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        try(&cases[i]);
}

static void no_statement_is_left_out(void **state)
{
    (void)state;
    bool here[STATEMENT_KIND_COUNT] = {false};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        here[cases[i].kind] = true;
    for (size_t i = 0; i < ARRAY_COUNT(of_accounts); i++)
        here[of_accounts[i].kind] = true;
    for (size_t i = 0; i < STATEMENT_KIND_COUNT; i++)
        if (!here[i])
            fail_msg("%s has no case", statement_kind_text((enum statement_kind)i));
}

/* A case says its kind as the parser does: else a kind could seem to be here. */
static void texts_are_of_their_kinds(void **state)
{
    (void)state;
    made("");
    for (size_t i = 0; i < ARRAY_COUNT(cases) + ARRAY_COUNT(of_accounts); i++) {
        bool account = i >= ARRAY_COUNT(cases);
        const char *form = account ? of_accounts[i - ARRAY_COUNT(cases)].text : cases[i].text;
        enum statement_kind kind =
            account ? of_accounts[i - ARRAY_COUNT(cases)].kind : cases[i].kind;
        ARENA_CLEANUP struct arena arena = {0};
        struct statement *statement = NULL;
        struct err err;
        arena_init(&arena, STATEMENT_ARENA_BYTES);
        if (statement_parse(span_text(text_of(form)), &arena, &statement, &err) != ERR_OK)
            fail_msg("%s: %s", form, err.message);
        assert_int_equal(statement->kind, kind);
    }
}

static void keys_and_users_are_their_accounts(void **state)
{
    (void)state;
    const struct principal *strangers[] = {&trial.other, &trial.user, &trial.stranger};
    made("");
    for (size_t i = 0; i < ARRAY_COUNT(of_accounts); i++) {
        const char *text = of_accounts[i].text;
        for (size_t k = 0; k < ARRAY_COUNT(strangers); k++) {
            BYTES_CLEANUP struct bytes out = {0};
            if (strstr(text, "FOR RAM$root:u") != NULL && strangers[k] == &trial.user)
                continue; /* its own */
            struct digest before = state_of();
            trial.as = strangers[k];
            enum err_code code = trial_run(&trial, text, &out);
            struct digest after = state_of();
            if (code != ERR_DENIED || !digest_equal(&before, &after))
                fail_msg("%s by %s: %s '%s'", text, strangers[k]->name, err_name(code),
                         (const char *)out.data);
        }
        BYTES_CLEANUP struct bytes out = {0};
        struct principal account = trial.root;
        account.operator= false;
        trial.as = &account;
        assert_int_not_equal(trial_run(&trial, text, &out), ERR_DENIED);
        trial.as = NULL;
    }
}

static void a_load_asks_for_update(void **state)
{
    (void)state;
    made("");
    const struct operator_load_begin begin = {
        .project = span_text(first), .table = span_text("t"), .mode = UPLOAD_APPEND};
    const struct load_rows_options options = {.services = &trial.services,
                                              .principal = &trial.other,
                                              .begin = &begin,
                                              .memory_bytes = MIB(1)};
    struct load_rows *rows;
    struct err err;
    struct digest before = state_of();
    assert_int_equal(load_rows_open(&options, &rows, &err), ERR_DENIED);
    assert_non_null(strstr(err.message, text_of("ALIYUN$other has no Update on @.t")));
    struct digest after = state_of();
    assert_true(digest_equal(&before, &after));
    root("GRANT Update ON TABLE @.t TO USER ALIYUN$other");
    assert_int_equal(load_rows_open(&options, &rows, &err), ERR_OK);
    load_rows_close(rows);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_statement_is_left_out),
        cmocka_unit_test(texts_are_of_their_kinds),
        cmocka_unit_test(every_statement_asks_for_every_right),
        cmocka_unit_test(keys_and_users_are_their_accounts),
        cmocka_unit_test(a_load_asks_for_update),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
