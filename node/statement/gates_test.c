/* The statements of XCOPY's gates at the source: the account's channel switch, tokens. What they do to copies:
 * node/task/xcopy_rights_test.c, cluster-tests/test_gates.py. */
#include "node/statement/trial.h"
#include "node/task/token_use.h"

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
    const char *words = "each account switches its own XCOPY channel";
    trial_gives(&trial, OFF, "");
    trial_denies(&trial, &trial.user, ON, words);
    trial_denies(&trial, &operator, ON, words);
    trial_denies(&trial, &operator, "SHOW XCOPY CHANNEL", "has no XCOPY channel");
    channel_is("OFF,20");
    trial.as = &trial.user; /* it may see why its copies are refused */
    channel_is("OFF,20");
}

/* ---- tokens ---- */

static uint64_t now_s(void)
{
    return statement_now_ms() / 1000;
}

/* A token of which only the source's records are looked at: nobody checks its signature. */
static struct token token_of(uint8_t id, enum token_kind kind)
{
    struct token token = {.kind = kind,
                          .rights = TOKEN_RIGHTS_ALL,
                          .id = {{id}},
                          .issued_s = now_s() - 10,
                          .not_after_s = now_s() + 3600,
                          .source = {span_text("there"), span_text("p"), span_text("s")},
                          .destination = {span_text("here"), span_text("q"), span_text("r")}};
    if (kind == TOKEN_STANDING) {
        token.runs_a_day = 2;
        token.schedule = span_text("nightly");
    }
    return token;
}

/* As the source does when it grants a lease. */
static enum err_code use_at(const struct token *token, const struct principal *signer, uint8_t task,
                            uint64_t at_s)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes encoded = {0};
    struct err err;
    struct token_use use = {
        .signer = *signer, .task = {{task}}, .now_ms = at_s * 1000, .token = *token};
    assert_int_equal(token_encode(token, &encoded, &err), ERR_OK);
    for (size_t i = 0; i < TOKEN_SIGNATURE_BYTES; i++)
        bytes_append_u8(&encoded, 0);
    use.encoded = bytes_span(&encoded);
    enum err_code code = token_use_check(trial.store, &use, &change, &err);
    if (code == ERR_OK)
        assert_int_equal(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err), ERR_OK);
    return code;
}

static enum err_code use(uint8_t id, enum token_kind kind, const struct principal *signer,
                         uint8_t task)
{
    struct token token = token_of(id, kind);
    return use_at(&token, signer, task, now_s());
}

static enum err_code revoked(const struct principal *signer, uint8_t id)
{
    const struct token_id of = {{id}};
    struct err err;
    return token_not_revoked(trial.store, signer, &of, &err);
}

/* Whether the list has a row that begins so, as seen by somebody. */
static bool lists(const struct principal *reader, const char *start)
{
    BYTES_CLEANUP struct bytes shown = {0};
    trial.as = reader;
    assert_int_equal(trial_run(&trial, "SHOW XCOPY TOKENS", &shown), ERR_OK);
    trial.as = NULL;
    return strstr((const char *)shown.data, start) != NULL;
}

#define REST "000000000000000000000000000" /* of an id, whose first byte alone is not 0 */

static void a_token_is_of_one_task(void **state)
{
    (void)state;
    assert_int_equal(use(0x11, TOKEN_ONCE, &trial.root, 1), ERR_OK);
    assert_int_equal(use(0x11, TOKEN_ONCE, &trial.root, 1), ERR_OK); /* goes on */
    assert_int_equal(use(0x11, TOKEN_ONCE, &trial.root, 2), ERR_DENIED);
}

/* As nodes of before wrote it: task and not after. */
static void a_use_of_before_counts_and_is_not_listed(void **state)
{
    (void)state;
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    struct err err;
    uint8_t key[17] = {'u', 0x12};
    uint8_t value[24] = {7};
    store_u64(value + 16, now_s() + 100);
    catalog_put(&change, FAMILY_LEASES, span_of(key, sizeof(key)), span_of(value, sizeof(value)));
    assert_int_equal(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, &err), ERR_OK);
    assert_false(lists(&trial.root, "1200" REST));
    assert_int_equal(use(0x12, TOKEN_ONCE, &trial.root, 8), ERR_DENIED);
    assert_int_equal(use(0x12, TOKEN_ONCE, &trial.root, 7), ERR_OK);
    assert_true(lists(&trial.root, "1200" REST));
}

static void a_standing_token_has_so_many_runs_a_day_each_task_once(void **state)
{
    (void)state;
    const uint64_t day_s = 86400;
    const uint64_t midnight = (now_s() / day_s + 1) * day_s;
    struct token token = token_of(0x13, TOKEN_STANDING);
    token.not_after_s = midnight + 2 * day_s;
    assert_int_equal(use_at(&token, &trial.root, 1, midnight - 1), ERR_OK);
    assert_int_equal(use_at(&token, &trial.root, 1, midnight - 1), ERR_OK); /* the same run */
    assert_int_equal(use_at(&token, &trial.root, 2, midnight - 1), ERR_OK);
    assert_int_equal(use_at(&token, &trial.root, 3, midnight - 1), ERR_DENIED);
    assert_int_equal(use_at(&token, &trial.root, 1, midnight - 1), ERR_OK); /* goes on */
    assert_int_equal(use_at(&token, &trial.root, 1, midnight), ERR_OK);     /* and over midnight */
    assert_int_equal(use_at(&token, &trial.root, 3, midnight), ERR_OK);
    assert_int_equal(use_at(&token, &trial.root, 4, midnight), ERR_OK);
    assert_int_equal(use_at(&token, &trial.root, 5, midnight), ERR_DENIED);
}

static void tokens_are_listed_to_their_account_and_users(void **state)
{
    (void)state;
    assert_int_equal(use(0x21, TOKEN_ONCE, &trial.root, 1), ERR_OK);
    assert_int_equal(use(0x22, TOKEN_ONCE, &trial.user, 0xab), ERR_OK);
    assert_int_equal(use(0x23, TOKEN_STANDING, &trial.root, 3), ERR_OK);
    assert_true(lists(&trial.root, "2100" REST "0,USED,ONCE,ALIYUN$root,p.s,here,q.r,20"));
    assert_true(lists(&trial.root, "2200" REST "0,USED,ONCE,RAM$root:u,p.s,here,q.r,20"));
    assert_true(lists(&trial.root, ",ab000000000000000000000000000000,20"));
    assert_true(lists(&trial.root, ",nightly,1,NULL,NULL"));
    assert_true(lists(&trial.user, "2200" REST));
    assert_false(lists(&trial.user, "2100" REST));
    assert_false(lists(&trial.other, "2200" REST));
    assert_false(lists(&trial.stranger, "00" REST));
    trial_denies(&trial, &operator, "SHOW XCOPY TOKENS", "signs no tokens");
}

static void a_used_token_is_revoked_by_its_account_or_its_signer(void **state)
{
    (void)state;
    assert_int_equal(use(0x31, TOKEN_ONCE, &trial.user, 1), ERR_OK);
    assert_int_equal(use(0x32, TOKEN_ONCE, &trial.user, 2), ERR_OK);
    assert_int_equal(use(0x33, TOKEN_ONCE, &trial.root, 3), ERR_OK);
    trial_allows(&trial, &trial.user, "REVOKE XCOPY TOKEN '3100" REST "0'", "");
    trial_gives(&trial, "revoke xcopy token 3200" REST "0", "");
    assert_int_equal(revoked(&trial.user, 0x31), ERR_DENIED);
    assert_int_equal(revoked(&trial.user, 0x32), ERR_DENIED);
    assert_true(lists(&trial.user, "3100" REST "0,REVOKED,ONCE,RAM$root:u"));
    assert_true(lists(&trial.user, ",RAM$root:u"));
    assert_true(lists(&trial.root, "3200" REST "0,REVOKED,ONCE,RAM$root:u"));
    /* a user's word does not reach what its account signed, or another account's */
    trial_allows(&trial, &trial.user, "REVOKE XCOPY TOKEN '3300" REST "0'", "");
    assert_int_equal(revoked(&trial.root, 0x33), ERR_OK);
    trial_allows(&trial, &trial.other, "REVOKE XCOPY TOKEN '3300" REST "0'", "");
    assert_int_equal(revoked(&trial.root, 0x33), ERR_OK);
    assert_true(lists(&trial.root, "3300" REST "0,USED"));
    trial_denies(&trial, &operator, "REVOKE XCOPY TOKEN '3300" REST "0'", "signs no tokens");
    trial_refuses(&trial, "REVOKE XCOPY TOKEN 'x'", ERR_SEMANTIC, "is not a token's id");
    trial_refuses(&trial, "REVOKE XCOPY TOKEN", ERR_PARSE, "the token's id");
}

static void a_token_is_revoked_before_it_is_seen(void **state)
{
    (void)state;
    trial_gives(&trial, "REVOKE XCOPY TOKEN '4100" REST "0'", "");
    trial_gives(&trial, "REVOKE XCOPY TOKEN '4100" REST "0'", ""); /* again: as it was */
    trial_allows(&trial, &trial.user, "REVOKE XCOPY TOKEN '4200" REST "0'", "");
    assert_int_equal(revoked(&trial.root, 0x41), ERR_DENIED);
    assert_int_equal(revoked(&trial.user, 0x41), ERR_DENIED); /* whichever key of the account's */
    assert_int_equal(revoked(&trial.other, 0x41), ERR_OK);
    assert_int_equal(revoked(&trial.user, 0x42), ERR_DENIED);
    assert_int_equal(revoked(&trial.root, 0x42), ERR_OK);
    assert_true(lists(&trial.root, "4100" REST "0,REVOKED,NULL,NULL"));
    assert_true(lists(&trial.root, "4200" REST "0,REVOKED,NULL,NULL"));
    assert_true(lists(&trial.user, "4200" REST "0,REVOKED,NULL,NULL"));
    assert_false(lists(&trial.user, "4100" REST));
    assert_false(lists(&trial.other, "4100" REST));
}

/* What is answered does not say whether somebody else's token was used. */
static void a_revocation_tells_nothing_of_others(void **state)
{
    (void)state;
    assert_int_equal(use(0x51, TOKEN_ONCE, &trial.other, 1), ERR_OK);
    static const char *const ids[] = {"5100" REST "0", "5200" REST "0"};
    struct token_id id;
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        bool seen = true;
        struct err err;
        const struct change_note note = {.now_ms = statement_now_ms(),
                                         .principal = span_text("ALIYUN$root")};
        assert_true(token_id_parse(span_text(ids[i]), &id));
        assert_int_equal(token_revoke(trial.store, &trial.root, &id, &note, &seen, &err), ERR_OK);
        assert_false(seen);
    }
    assert_true(lists(&trial.root, "5100" REST "0,REVOKED,NULL,NULL"));
    assert_true(lists(&trial.other, "5100" REST "0,USED,ONCE"));
}

static void revocations_of_one_principal_are_bounded(void **state)
{
    (void)state;
    struct err err;
    const struct change_note note = {.now_ms = statement_now_ms(),
                                     .principal = span_text("RAM$other:u")};
    enum err_code code = ERR_OK;
    uint32_t count = 0;
    for (; count <= LIMIT_TOKEN_REVOCATIONS && code == ERR_OK; count++) {
        struct token_id id = {{0}};
        bool seen;
        store_u64(id.b, count);
        code = token_revoke(trial.store, &trial.stranger, &id, &note, &seen, &err);
    }
    assert_int_equal(code, ERR_LIMIT);
    assert_int_equal(count, LIMIT_TOKEN_REVOCATIONS + 1);
    assert_non_null(strstr(err.message, "DROP PUBLIC KEY"));
    trial_allows(&trial, &trial.other, "REVOKE XCOPY TOKEN '6100" REST "0'",
                 ""); /* its account may */
}

static void records_go_when_the_tokens_have_ended(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(use(0x71, TOKEN_ONCE, &trial.root, 1), ERR_OK);
    trial_gives(&trial, "REVOKE XCOPY TOKEN '7100" REST "0'", "");
    trial_gives(&trial, "REVOKE XCOPY TOKEN '7200" REST "0'", "");
    assert_int_equal(token_uses_forget(trial.store, now_s() + 3000, &err), ERR_OK);
    assert_int_equal(revoked(&trial.root, 0x71), ERR_DENIED);
    assert_int_equal(use(0x71, TOKEN_ONCE, &trial.root, 2), ERR_DENIED);
    assert_int_equal(token_uses_forget(trial.store, now_s() + 4000, &err), ERR_OK);
    assert_int_equal(revoked(&trial.root, 0x71), ERR_OK);
    assert_false(lists(&trial.root, "7100" REST));
    /* one that was never seen may be a standing one */
    assert_int_equal(token_uses_forget(trial.store, now_s() + TOKEN_STANDING_LIFE_S, &err), ERR_OK);
    assert_int_equal(revoked(&trial.root, 0x72), ERR_DENIED);
    assert_int_equal(token_uses_forget(trial.store, now_s() + TOKEN_STANDING_LIFE_S + 1000, &err),
                     ERR_OK);
    assert_int_equal(revoked(&trial.root, 0x72), ERR_OK);
}

static void a_revocation_is_in_the_audit_log(void **state)
{
    (void)state;
    char text[256];
    uint64_t before = audit_head_get(trial.store).count;
    trial_allows(&trial, &trial.user, "REVOKE XCOPY TOKEN '8100" REST "0'", "");
    snprintf(text, sizeof(text),
             "SELECT action, object, principal FROM "
             "SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG WHERE sequence > %d",
             (int)before);
    trial_gives(&trial, text, "REVOKE XCOPY TOKEN,RAM$root:u,RAM$root:u");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_channel_that_nobody_switched_is_as_gates_say, setup),
        cmocka_unit_test_setup(an_account_switches_its_channel_and_is_on_record, setup),
        cmocka_unit_test_setup(the_switch_is_in_the_audit_log, setup),
        cmocka_unit_test_setup(without_the_acknowledgement_it_is_refused_with_what_to_write, setup),
        cmocka_unit_test_setup(nobody_else_switches_it, setup),
        cmocka_unit_test_setup(a_token_is_of_one_task, setup),
        cmocka_unit_test_setup(a_use_of_before_counts_and_is_not_listed, setup),
        cmocka_unit_test_setup(a_standing_token_has_so_many_runs_a_day_each_task_once, setup),
        cmocka_unit_test_setup(tokens_are_listed_to_their_account_and_users, setup),
        cmocka_unit_test_setup(a_used_token_is_revoked_by_its_account_or_its_signer, setup),
        cmocka_unit_test_setup(a_token_is_revoked_before_it_is_seen, setup),
        cmocka_unit_test_setup(a_revocation_tells_nothing_of_others, setup),
        cmocka_unit_test_setup(revocations_of_one_principal_are_bounded, setup),
        cmocka_unit_test_setup(records_go_when_the_tokens_have_ended, setup),
        cmocka_unit_test_setup(a_revocation_is_in_the_audit_log, setup),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
