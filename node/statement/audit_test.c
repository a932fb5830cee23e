/* The audit log of statements: what has an entry, what it says, and who may read it. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct trial trial;

#define VIEW "SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG"

static uint64_t count(void)
{
    return audit_head_get(trial.store).count;
}

static void runs(const char *text)
{
    BYTES_CLEANUP struct bytes out = {0};
    if (trial_run(&trial, text, &out) != ERR_OK)
        fail_msg("%s: %s", text, (const char *)out.data);
}

/* What the reader sees of entries from `first` on. */
static void sees(const struct principal *reader, uint64_t first, const char *columns,
                 const char *rows)
{
    BYTES_CLEANUP struct bytes out = {0};
    char text[512];
    snprintf(text, sizeof(text), "SELECT %s FROM " VIEW " WHERE sequence >= %d ORDER BY sequence",
             columns, (int)first);
    const struct principal *before = trial.as;
    trial.as = reader;
    if (trial_run(&trial, text, &out) != ERR_OK)
        fail_msg("%s: %s", text, (const char *)out.data);
    trial.as = before;
    MEM_CLEANUP char *expected = trial_text(&trial, rows);
    assert_string_equal((const char *)out.data, expected);
}

/* Every statement that changes something has been thought of. */
static void every_kind_that_changes_something_is_decided(void **state)
{
    (void)state;
    for (enum statement_kind kind = 0; kind < STATEMENT_KIND_COUNT; kind++) {
        struct statement statement = {.kind = kind};
        if (statement_changes(&statement) && !statement_kind_listed(kind))
            fail_msg("%s: is it audited? (statement/audited.c)", statement_kind_text(kind));
        if (!statement_changes(&statement))
            assert_false(statement_kind_audited(kind));
        if (statement_kind_rights(kind)) /* who may ask for the leases of peers to be asked about */
            assert_true(statement_kind_audited(kind));
    }
}

/* What ends a copy ends it at once: these statements and no look-up ask the source to look again. */
static void every_change_of_rights_is_followed_by_leases(void **state)
{
    (void)state;
    static const enum statement_kind taken[] = {
        STATEMENT_ALTER_KEYS,
        STATEMENT_DROP_ACCOUNT,
        STATEMENT_DROP_USER,
        STATEMENT_REMOVE_USER,
        STATEMENT_REVOKE,
        STATEMENT_REVOKE_ROLE,
        STATEMENT_DROP_ROLE,
        STATEMENT_ALTER_ACCOUNT_CHANNEL,
        STATEMENT_ALTER_PROJECT_XCOPY,
        STATEMENT_SET_PROTECTION,
        STATEMENT_REMOVE_TRUSTED,
        STATEMENT_DROP_PROJECT,
    };
    for (size_t i = 0; i < ARRAY_COUNT(taken); i++)
        if (!statement_kind_rights(taken[i]))
            fail_msg("%s ends no lease", statement_kind_text(taken[i]));
    assert_false(statement_kind_rights(STATEMENT_INSERT));
    assert_false(statement_kind_rights(STATEMENT_DROP_SNAPSHOT));
}

static const struct row {
    const char *text;
    const char *seen; /* action, project, object, source_project, source_object; empty: no entry */
} rows[] = {
    {"CREATE TABLE t (id BIGINT)", ""},
    {"INSERT INTO t VALUES (1)", ""},
    {"SELECT * FROM t", ""},
    {"CREATE SNAPSHOT TABLE s CLONE t", "CREATE SNAPSHOT TABLE,@,s,@,t"},
    {"CREATE TABLE r CLONE s", "CREATE TABLE CLONE,@,r,@,s"},
    {"CLONE TABLE t TO @.c", "CLONE TABLE,@,c,@,t"},
    {"ADD USER RAM$root:u", "ADD USER,@,NULL,NULL,NULL"},
    {"GRANT Select ON TABLE t TO USER RAM$root:u", "GRANT,@,t,NULL,NULL"},
    {"GRANT List ON PROJECT @ TO USER RAM$root:u", "GRANT,@,NULL,NULL,NULL"},
    {"REVOKE Select ON TABLE t FROM USER RAM$root:u", "REVOKE,@,t,NULL,NULL"},
    {"CREATE ROLE x", "CREATE ROLE,@,NULL,NULL,NULL"},
    {"GRANT x TO RAM$root:u", "GRANT ROLE,@,NULL,NULL,NULL"},
    {"REVOKE x FROM RAM$root:u", "REVOKE ROLE,@,NULL,NULL,NULL"},
    {"DROP ROLE x", "DROP ROLE,@,NULL,NULL,NULL"},
    {"SET ProjectProtection=true", "SET ProjectProtection,@,NULL,NULL,NULL"},
    {"ADD TRUSTEDPROJECT @", ""}, /* refused: itself */
    {"SET ProjectProtection=false", "SET ProjectProtection,@,NULL,NULL,NULL"},
    {"ALTER PROJECT @ DISABLE XCOPY", "ALTER PROJECT XCOPY,@,NULL,NULL,NULL"},
    {"REMOVE USER RAM$root:u", "REMOVE USER,@,NULL,NULL,NULL"},
    {"ALTER TABLE t SET COMMENT 'x'", ""},
    {"DROP SNAPSHOT TABLE s", "DROP SNAPSHOT TABLE,@,s,NULL,NULL"},
    {"DROP TABLE r", ""},
    {"TRUNCATE TABLE t", ""},
};

static void statements_have_one_entry_or_none(void **state)
{
    (void)state;
    trial_project(&trial);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        BYTES_CLEANUP struct bytes out = {0};
        uint64_t before = count();
        enum err_code code = trial_run(&trial, rows[i].text, &out);
        if (code != ERR_OK && rows[i].seen[0] != '\0')
            fail_msg("%s: %s", rows[i].text, (const char *)out.data);
        if (count() != before + (rows[i].seen[0] != '\0' ? 1 : 0))
            fail_msg("%s: %d entries", rows[i].text, (int)(count() - before));
        sees(&trial.root, before + 1, "action, project, object, source_project, source_object",
             rows[i].seen);
    }
}

static void an_entry_says_who_what_from_where_and_how_it_ended(void **state)
{
    (void)state;
    trial_project(&trial);
    runs("CREATE TABLE t (id BIGINT)");
    uint64_t first = count() + 1;
    runs("CREATE SNAPSHOT TABLE s CLONE t");
    sees(&trial.root, first,
         "principal, address, action, outcome, message, statement, repeats, event_time > "
         "'2020-01-01 00:00:00', length(digest), length(id)",
         "ALIYUN$root,127.0.0.1:1,CREATE SNAPSHOT TABLE,OK,NULL,"
         "CREATE SNAPSHOT TABLE s CLONE t,0,true,64,32");
}

static void a_statement_that_comes_again_has_no_second_entry(void **state)
{
    (void)state;
    trial_project(&trial);
    runs("CREATE TABLE t (id BIGINT)");
    uint64_t first = count() + 1;
    const struct statement_id id = {{200, 1}};
    for (int i = 0; i < 3; i++) {
        BYTES_CLEANUP struct bytes out = {0};
        assert_int_equal(
            trial_run_as(&trial, &trial.root, &id, "CREATE SNAPSHOT TABLE s CLONE t", &out),
            ERR_OK);
    }
    sees(&trial.root, first, "action", "CREATE SNAPSHOT TABLE");
}

static void a_statement_that_failed_has_no_entry_unless_it_was_refused(void **state)
{
    (void)state;
    trial_project(&trial);
    uint64_t before = count();
    trial_refuses(&trial, "CREATE SNAPSHOT TABLE s CLONE absent", ERR_TABLE_NOT_FOUND, "absent");
    trial_refuses(&trial, "SELECT * FROM absent", ERR_TABLE_NOT_FOUND, "absent");
    assert_true(count() == before);
}

/* ---- refusals ---- */

static void refused_as(const struct principal *principal, const char *text)
{
    BYTES_CLEANUP struct bytes out = {0};
    const struct principal *before = trial.as;
    trial.as = principal;
    enum err_code code = trial_run(&trial, text, &out);
    trial.as = before;
    if (code != ERR_DENIED)
        fail_msg("%s: %s", text, (const char *)out.data);
}

static void a_refusal_is_seen_by_the_owner_and_not_by_the_refused(void **state)
{
    (void)state;
    trial_project(&trial);
    runs("CREATE TABLE t (id BIGINT)");
    uint64_t first = count() + 1;
    refused_as(&trial.other, "SELECT * FROM @.t");
    refused_as(&trial.other, "DROP TABLE @.absent");
    refused_as(&trial.other, "CLONE TABLE @.t TO @.c");
    refused_as(&trial.other, "CREATE PROJECT mine");
    sees(&trial.root, first, "principal, action, project, object, outcome",
         "ALIYUN$other,SELECT,@,t,ODPS-0130013;ALIYUN$other,DROP TABLE,@,absent,ODPS-0130013;"
         "ALIYUN$other,CLONE TABLE,@,t,ODPS-0130013;"
         "ALIYUN$other,CREATE PROJECT,mine,NULL,ODPS-0130013");
    sees(&trial.root, first, "statement", "NULL;NULL;NULL;NULL");
    sees(&trial.other, first, "principal, action", "");
}

/* A project that is not there is refused like one that is, and the log must not tell them apart. */
static void who_is_refused_learns_nothing_from_the_log(void **state)
{
    (void)state;
    trial_project(&trial);
    uint64_t first = count() + 1;
    refused_as(&trial.other, "SELECT * FROM nowhere.t");
    refused_as(&trial.other, "SELECT * FROM @.t");
    assert_true(count() == first + 1);
    sees(&trial.other, first, "object", "");
    sees(&trial.root, first, "project", "nowhere;@"); /* an operator, and the owner of the second */
}

static void a_refused_join_is_told_to_the_owner_of_what_was_refused_alone(void **state)
{
    (void)state;
    trial_project(&trial);
    runs("CREATE TABLE mine (id BIGINT)");
    char owned[16], text[128];
    snprintf(owned, sizeof(owned), "%s", trial.project);
    uint64_t first = count() + 1;
    snprintf(text, sizeof(text), "CREATE PROJECT of_other_%s OWNER ALIYUN$other", owned);
    runs(text);
    trial.as = &trial.other;
    snprintf(text, sizeof(text), "CREATE TABLE of_other_%s.t (id BIGINT)", owned);
    runs(text);
    snprintf(text, sizeof(text), "SELECT 1 FROM of_other_%s.t a JOIN %s.mine b ON a.id = b.id",
             owned, owned);
    trial.as = NULL;
    refused_as(&trial.other, text);
    sees(&trial.other, first, "action", "");
    sees(&trial.root, first + 1, "action, project, object", "SELECT,@,mine");
}

/* What is refused late, or for the sake of another project than the statement's first name. */
static void a_refusal_is_told_to_the_owner_of_what_it_is_about(void **state)
{
    (void)state;
    char source[16], text[160];
    trial_project(&trial);
    snprintf(source, sizeof(source), "%s", trial.project);
    runs("CREATE TABLE t (id BIGINT)");
    runs("INSERT INTO t VALUES (1)");
    runs("ADD USER ALIYUN$other");
    runs("GRANT Select ON TABLE t TO USER ALIYUN$other");
    snprintf(text, sizeof(text), "CREATE PROJECT to_%s OWNER ALIYUN$other", source);
    runs(text);
    snprintf(trial.project, sizeof(trial.project), "to_%.12s", source);
    trial.as = &trial.other;
    runs("CREATE TABLE d (id BIGINT)");
    snprintf(text, sizeof(text), "SELECT * FROM %s.t", source);
    struct trial_cursor *cursor = trial_open(&trial, text);
    snprintf(trial.project, sizeof(trial.project), "%s", source);
    trial.as = NULL;
    runs("REVOKE Select ON TABLE t FROM USER ALIYUN$other");
    uint64_t first = count() + 1;
    trial_rest_refused(cursor, ERR_DENIED, "has no Select on");
    sees(&trial.root, first, "principal, action, project, object", "ALIYUN$other,SELECT,@,t");
    runs("GRANT Select ON TABLE t TO USER ALIYUN$other");
    runs("SET ProjectProtection=true");
    first = count() + 1;
    snprintf(text, sizeof(text), "INSERT INTO to_%s.d SELECT id FROM %s.t", source, source);
    refused_as(&trial.other, text);
    sees(&trial.root, first, "principal, action, project, object", "ALIYUN$other,INSERT,@,t");
    sees(&trial.other, first, "action", "");
}

/* Whose table is cloned need not know where to, or what there is. */
static void a_clone_that_its_destination_refused_is_told_there_alone(void **state)
{
    (void)state;
    char source[16], text[160];
    trial_project(&trial);
    snprintf(source, sizeof(source), "%s", trial.project);
    runs("CREATE TABLE t (id BIGINT)");
    runs("ADD USER RAM$root:u");
    runs("GRANT Select ON TABLE t TO USER RAM$root:u");
    snprintf(text, sizeof(text), "CREATE PROJECT to_%s OWNER ALIYUN$other", source);
    runs(text);
    snprintf(trial.project, sizeof(trial.project), "to_%.12s", source);
    trial.as = &trial.other;
    runs("CREATE TABLE d (id BIGINT)");
    runs("ADD USER ALIYUN$root");
    runs("GRANT CreateTable ON PROJECT @ TO USER ALIYUN$root");
    trial.as = NULL;
    struct principal root = trial.root;
    root.operator= false;
    uint64_t first = count() + 1;
    snprintf(text, sizeof(text), "CLONE TABLE %s.t TO d IF EXISTS OVERWRITE", source);
    refused_as(&root, text);
    sees(&root, first, "action", "");
    sees(&trial.other, first, "message, object, source_project",
         "ALIYUN$root has no CreateInstance on project @,NULL,NULL");
    trial.as = &trial.other;
    runs("GRANT CreateInstance ON PROJECT @ TO USER ALIYUN$root");
    trial.as = NULL;
    first = count() + 1;
    refused_as(&root, text);
    sees(&root, first, "action", "");
    sees(&trial.other, first, "message, object, source_project",
         "ALIYUN$root has no Update on @.d,d,NULL");
}

static void a_user_that_is_no_admin_sees_nothing_and_an_admin_does(void **state)
{
    (void)state;
    trial_project(&trial);
    uint64_t first = count() + 1;
    runs("ADD USER RAM$root:u");
    sees(&trial.user, first, "action", "");
    runs("GRANT admin TO RAM$root:u");
    sees(&trial.user, first, "action", "ADD USER;GRANT ROLE");
    sees(&trial.stranger, first, "action", "");
}

/* Accounts, users and keys are of no project: the account that did it reads, and operators. */
static void what_is_of_an_account_is_read_by_it_and_by_operators(void **state)
{
    (void)state;
    trial_project(&trial);
    uint64_t first = count() + 1;
    const struct audit_record record = {.time_ms = 1,
                                        .principal = span_text("RAM$other:u"),
                                        .account = trial.other.account,
                                        .action = span_text("ALTER KEYS"),
                                        .object.name = span_text("RAM$other:u"),
                                        .outcome = span_text("OK")};
    assert_int_equal(audit_commit(trial.store, &record, NULL), ERR_OK);
    sees(&trial.other, first, "action, object", "ALTER KEYS,RAM$other:u");
    sees(&trial.root, first, "action", "ALTER KEYS");
    sees(&trial.stranger, first, "action", ""); /* the account's user */
    struct principal root = trial.root;
    root.operator= false;
    sees(&root, first, "action", "");
    struct principal operator= {.name = "OPERATOR$x", .operator= true };
    sees(&operator, first, "action", "ALTER KEYS");
    runs("ADD USER RAM$root:u");
    sees(&operator, first, "action", "ALTER KEYS"); /* of a project, where it has no right */
}

/* ---- the view ---- */

static void conditions_on_sequence_bound_what_is_read(void **state)
{
    (void)state;
    trial_project(&trial);
    uint64_t first = count() + 1;
    runs("CREATE ROLE a");
    runs("CREATE ROLE b");
    runs("CREATE ROLE c");
    char text[256], expected[64];
    snprintf(text, sizeof(text),
             "SELECT count(*) FROM " VIEW " WHERE sequence > %d AND sequence < %d", (int)first,
             (int)first + 2);
    trial_gives(&trial, text, "1");
    snprintf(text, sizeof(text), "SELECT sequence FROM " VIEW " WHERE sequence IN (%d, %d)",
             (int)first, (int)first + 2);
    snprintf(expected, sizeof(expected), "%d;%d", (int)first, (int)first + 2);
    trial_gives(&trial, text, expected);
    trial_gives(&trial, "SELECT count(*) FROM " VIEW " WHERE sequence < 0", "0");
    trial_gives(&trial, "SELECT count(*) FROM " VIEW " WHERE sequence IS NULL", "0");
    snprintf(text, sizeof(text), "EXPLAIN SELECT * FROM " VIEW " WHERE sequence > %d", (int)first);
    BYTES_CLEANUP struct bytes out = {0};
    assert_int_equal(trial_run(&trial, text, &out), ERR_OK);
    assert_non_null(strstr((const char *)out.data, "AUDIT_LOG"));
    /* how many there are is no stranger's to know */
    BYTES_CLEANUP struct bytes few = {0}, many = {0};
    static const char all[] = "EXPLAIN SELECT * FROM " VIEW;
    assert_int_equal(trial_run_as(&trial, &trial.other, &(struct statement_id){{201}}, all, &few),
                     ERR_OK);
    runs("CREATE ROLE d");
    assert_int_equal(trial_run_as(&trial, &trial.other, &(struct statement_id){{202}}, all, &many),
                     ERR_OK);
    assert_string_equal((const char *)few.data, (const char *)many.data);
}

static void a_query_reads_what_was_there_when_it_began(void **state)
{
    (void)state;
    trial_project(&trial);
    char expected[32];
    snprintf(expected, sizeof(expected), "%d", (int)count());
    struct trial_cursor *cursor = trial_open(&trial, "SELECT max(sequence) FROM " VIEW);
    runs("CREATE ROLE late");
    trial_rest(cursor, expected);
}

static void many_entries_are_given_out_whole(void **state)
{
    (void)state;
    trial_project(&trial);
    uint64_t first = count() + 1;
    const struct audit_record record = {.time_ms = 1,
                                        .principal = span_text("p"),
                                        .action = span_text("MANY"),
                                        .outcome = span_text("OK")};
    for (int i = 0; i < 20; i++) {
        CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
        for (int k = 0; k < 50; k++)
            audit_put(&change, &record);
        assert_int_equal(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, NULL), ERR_OK);
    }
    char text[256];
    snprintf(text, sizeof(text),
             "SELECT count(*), count(DISTINCT sequence), min(sequence) - %d FROM " VIEW
             " WHERE action = 'MANY'",
             (int)first);
    trial_gives(&trial, text, "1000,1000,0");
}

static void a_view_is_read_by_select_alone(void **state)
{
    (void)state;
    trial_project(&trial);
    trial_refuses(&trial, "SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.NOTHING",
                  ERR_TABLE_NOT_FOUND, "AUDIT_LOG, ");
    trial_refuses(&trial, "DESC " VIEW, ERR_SEMANTIC, "SELECT alone reads it");
    trial_refuses(&trial, "INSERT INTO " VIEW " VALUES (1)", ERR_SEMANTIC, "SELECT alone reads it");
    trial_refuses(&trial, "DROP TABLE " VIEW, ERR_SEMANTIC, "SELECT alone reads it");
    trial_refuses(&trial, "TRUNCATE TABLE " VIEW, ERR_SEMANTIC, "SELECT alone reads it");
}

static void entries_can_be_kept_in_a_table(void **state)
{
    (void)state;
    trial_project(&trial);
    runs("CREATE ROLE x");
    runs("CREATE TABLE kept AS SELECT action, project FROM " VIEW " WHERE action = 'CREATE ROLE' "
         "AND project = '@'");
    trial_gives(&trial, "SELECT * FROM kept", "CREATE ROLE,@");
}

static int setup(void **state)
{
    (void)state;
    trial_start(&trial);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    trial_stop(&trial);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_that_changes_something_is_decided),
        cmocka_unit_test(every_change_of_rights_is_followed_by_leases),
        cmocka_unit_test(statements_have_one_entry_or_none),
        cmocka_unit_test(an_entry_says_who_what_from_where_and_how_it_ended),
        cmocka_unit_test(a_statement_that_comes_again_has_no_second_entry),
        cmocka_unit_test(a_statement_that_failed_has_no_entry_unless_it_was_refused),
        cmocka_unit_test(a_refusal_is_seen_by_the_owner_and_not_by_the_refused),
        cmocka_unit_test(who_is_refused_learns_nothing_from_the_log),
        cmocka_unit_test(a_refused_join_is_told_to_the_owner_of_what_was_refused_alone),
        cmocka_unit_test(a_refusal_is_told_to_the_owner_of_what_it_is_about),
        cmocka_unit_test(a_clone_that_its_destination_refused_is_told_there_alone),
        cmocka_unit_test(a_user_that_is_no_admin_sees_nothing_and_an_admin_does),
        cmocka_unit_test(what_is_of_an_account_is_read_by_it_and_by_operators),
        cmocka_unit_test(conditions_on_sequence_bound_what_is_read),
        cmocka_unit_test(a_query_reads_what_was_there_when_it_began),
        cmocka_unit_test(many_entries_are_given_out_whole),
        cmocka_unit_test(a_view_is_read_by_select_alone),
        cmocka_unit_test(entries_can_be_kept_in_a_table),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
