/* XCOPY by a RAM user: what the source allows, by its own records, and what happens when that changes
 * while the copy is under way. */
#include "node/task/xcopy_trial.h"

#include "node/rights_alarm.h"

#define SIGNER "RAM$root:copier"

/* The key that signs is `name`'s at the source, from now on; its account's at the destination. */
static void signer_is(const char *name, uint64_t account, bool is_user)
{
    static const char *before = ROOT_ACCOUNT_NAME;
    principals_remove(there.principals, span_text(before));
    principals_put(there.principals, &(struct principal_spec){.name = span_text(name),
                                                              .account = {account},
                                                              .number = account + is_user,
                                                              .user = is_user,
                                                              .keys = identity_public(user),
                                                              .key_count = 1});
    before = name;
}

static void signer_add(const char *name, uint64_t number)
{
    const struct member_record member = {
        .project = there.project, .name = span_text(name), .principal = number};
    struct change_note made = note();
    ok(member_add(there.store, &member, &made, &err));
}

static void signer_remove(const char *name)
{
    struct change_note made = note();
    ok(member_remove(there.store, there.project, span_text(name), &made, &err));
}

static struct grant_change select_on(const char *snapshot, const char *name)
{
    struct name_target target;
    ok(name_find(there.store, NULL, there.project, span_text(snapshot), &target, &err));
    return (struct grant_change){.project = there.project,
                                 .object = target.id,
                                 .grantee = {.name = span_text(name)},
                                 .actions = UINT64_C(1) << action_number(ACTION_SELECT)};
}

static void select_give(const char *snapshot, const char *name)
{
    struct grant_change change = select_on(snapshot, name);
    struct change_note made = note();
    ok(grants_give(there.store, &change, &made, &err));
}

static void refused(const struct task_status *status, enum err_code code, const char *words)
{
    assert_int_equal(status->state, TASK_FAILED);
    if (status->error.code != code || strstr(status->error.message, words) == NULL)
        fail_msg("%s: %s", err_name(status->error.code), status->error.message);
}

static void test_select_is_asked_for_and_no_name_is_told(void **state)
{
    (void)state;
    struct table_id table = table_make("ram");
    overwrite(table, 1, 10, "ram");
    snapshot_make(table, "ram_1");
    signer_is(SIGNER, ROOT_ACCOUNT_ID, true);
    const char *unknown = "no snapshot demo.ram_1, or no right to it";
    struct task_status status = xcopy("ram_1", "ram_a");
    refused(&status, ERR_NOT_FOUND, unknown);
    signer_add(SIGNER, ROOT_ACCOUNT_ID + 1);
    status = xcopy("ram_1", "ram_a");
    refused(&status, ERR_NOT_FOUND, unknown);
    status = xcopy("ram_2", "ram_a"); /* which is not there: the same words */
    refused(&status, ERR_NOT_FOUND, "no snapshot demo.ram_2, or no right to it");
    select_give("ram_1", SIGNER);
    status = xcopy("ram_1", "ram_a");
    done(&status);
    equal("ram_1", "ram_a");
    signer_remove(SIGNER);
}

static void test_another_account_does_not_copy_though_it_may_read(void **state)
{
    (void)state;
    struct table_id table = table_make("foreign");
    snapshot_make(table, "foreign_1");
    signer_is("ALIYUN$x", 99, false);
    signer_add("ALIYUN$x", 99);
    struct task_status status = xcopy("foreign_1", "foreign_1");
    refused(&status, ERR_NOT_FOUND, "or no right to it");
    select_give("foreign_1", "ALIYUN$x");
    status = xcopy("foreign_1", "foreign_1");
    refused(&status, ERR_DENIED, "XCOPY copies within one account");
    signer_remove("ALIYUN$x");
}

static void test_protection_is_told_and_trust_lifts_it(void **state)
{
    (void)state;
    struct table_id table = table_make("kept");
    snapshot_make(table, "kept_1");
    signer_is(ROOT_ACCOUNT_NAME, ROOT_ACCOUNT_ID, false); /* its owner */
    struct trusted_project trusted = {.region = span_text("elsewhere"), .name = span_text("demo")};
    project_protect(true, &trusted, 1);
    struct task_status status = xcopy("kept_1", "kept_1");
    refused(&status, ERR_DENIED, "project demo is protected");
    trusted.region = span_text(here.name);
    project_protect(true, &trusted, 1);
    status = xcopy("kept_1", "kept_1");
    done(&status);
    project_protect(false, NULL, 0);
}

/* A copy whose files are held back; what changes meanwhile is found at the next request. */
static struct task_id copy_begin(const char *table_name, const char *name)
{
    struct task_id id;
    struct table_id table = table_make(table_name);
    overwrite(table, 1, 200, name);
    snapshot_make(table, name);
    signer_is(SIGNER, ROOT_ACCOUNT_ID, true);
    signer_add(SIGNER, ROOT_ACCOUNT_ID + 1);
    select_give(name, SIGNER);
    atomic_store(&there.holds_files, true);
    ok(xcopy_start(name, name, &id));
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    assert_non_null(atomic_load(&held));
    return id;
}

static void leases_end(void)
{
    for (int i = 0; i < 2000 && source_leases(there.source) > 0; i++)
        usleep(10000);
    assert_int_equal(source_leases(there.source), 0);
}

static void copy_fails(const struct task_id *id, enum err_code code, const char *words)
{
    request_let_go(&there);
    struct task_status status = wait_for(id, has_ended);
    refused(&status, code, words);
    leases_end();
}

static void test_a_right_withdrawn_ends_the_lease_and_the_task(void **state)
{
    (void)state;
    struct task_id id = copy_begin("taken", "taken_1");
    struct grant_change change = select_on("taken_1", SIGNER);
    struct change_note made = note();
    uint64_t missing;
    ok(grants_take(there.store, &change, &made, &missing, &err));
    copy_fails(&id, ERR_NOT_FOUND, "no snapshot demo.taken_1, or no right to it");
    signer_remove(SIGNER);
}

static void test_protection_ends_a_copy_that_is_under_way(void **state)
{
    (void)state;
    struct task_id id = copy_begin("shut", "shut_1");
    project_protect(true, NULL, 0);
    copy_fails(&id, ERR_DENIED, "project demo is protected");
    project_protect(false, NULL, 0);
    signer_remove(SIGNER);
}

/* ---- gates ---- */

/* Of the account that owns the project there. */
static void channel_set(bool on)
{
    struct change_note made = note();
    ok(account_channel_set(there.store, (struct account_id){ROOT_ACCOUNT_ID}, on, &made, &err));
}

static void project_enable(struct region *region, bool enabled)
{
    struct change_note made = note();
    ok(project_xcopy_set(region->store, region->project, enabled, &made, &err));
}

static void test_gates_are_the_sources_and_say_what_to_do(void **state)
{
    (void)state;
    struct table_id table = table_make("gated");
    snapshot_make(table, "gated_1");
    signer_is(ROOT_ACCOUNT_NAME, ROOT_ACCOUNT_ID, false);
    channel_set(false);
    struct task_status status = xcopy("gated_1", "gated_1");
    refused(&status, ERR_GATE, "the XCOPY channel of ALIYUN$root is off in ap-southeast-1");
    assert_non_null(
        strstr(status.error.message, "ALTER ACCOUNT SET XCOPY CHANNEL ON ACKNOWLEDGE COMPLIANCE"));
    channel_set(true);
    project_enable(&there, false);
    status = xcopy("gated_1", "gated_1");
    refused(&status, ERR_GATE, "ALTER PROJECT demo ENABLE XCOPY");
    project_enable(&there, true);
    project_enable(&here, false); /* nobody's question at the destination */
    status = xcopy("gated_1", "gated_1");
    done(&status);
    project_enable(&here, true);
}

static void test_gates_are_told_only_to_who_may_select(void **state)
{
    (void)state;
    struct table_id table = table_make("quiet");
    snapshot_make(table, "quiet_1");
    signer_is(SIGNER, ROOT_ACCOUNT_ID, true);
    signer_add(SIGNER, ROOT_ACCOUNT_ID + 1);
    channel_set(false);
    project_enable(&there, false);
    struct task_status status = xcopy("quiet_1", "quiet_1");
    refused(&status, ERR_NOT_FOUND, "no snapshot demo.quiet_1, or no right to it");
    select_give("quiet_1", SIGNER);
    status = xcopy("quiet_1", "quiet_1");
    refused(&status, ERR_GATE, "is off in");
    channel_set(true);
    project_enable(&there, true);
    signer_remove(SIGNER);
}

static enum err_code gates_there(bool gates)
{
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    arena_init(&arena, MIB(4));
    const struct xcopy_rights rights = {.store = there.store, .region = there.name, .gates = gates};
    ok(project_get(there.store, NULL, there.project, &arena, &project, &err));
    return xcopy_gates(&rights, &project, &arena, &err);
}

/* As in stores of before the switch: comes first, while nobody has switched it. */
static void test_an_account_that_never_decided_is_as_the_nodes_gates(void **state)
{
    (void)state;
    assert_int_equal(gates_there(false), ERR_OK);
    assert_int_equal(gates_there(true), ERR_GATE);
    channel_set(true);
    assert_int_equal(gates_there(true), ERR_OK);
    channel_set(false);
    assert_int_equal(gates_there(false), ERR_GATE);
    channel_set(true);
}

static void test_a_gate_that_closes_ends_a_copy_that_is_under_way(void **state)
{
    (void)state;
    struct task_id id = copy_begin("closed", "closed_1");
    channel_set(false);
    copy_fails(&id, ERR_GATE, "the XCOPY channel of ALIYUN$root is off");
    channel_set(true);
    signer_remove(SIGNER);
    id = copy_begin("delisted", "delisted_1");
    project_enable(&there, false);
    copy_fails(&id, ERR_GATE, "allow-list");
    project_enable(&there, true);
    signer_remove(SIGNER);
}

/* ---- at once: leases whose peer asks for nothing more ---- */

struct held_lease {
    struct bytes token; /* the test frees it */
    uint8_t task;
};

/* Of a snapshot that SIGNER may read. */
static struct held_lease lease_begin(const char *table_name, const char *name)
{
    static uint8_t tasks;
    struct held_lease lease = {.task = ++tasks};
    struct ask ask = {0};
    struct table_id table = table_make(table_name);
    overwrite(table, 1, 3, name);
    snapshot_make(table, name);
    signer_is(SIGNER, ROOT_ACCOUNT_ID, true);
    select_give(name, SIGNER);
    token_make(name, name, &lease.token);
    describe_post(&ask, lease.task, bytes_span(&lease.token));
    if (ask_wait(&ask) != ERR_OK)
        fail_msg("%s", ask.err.message);
    bytes_deinit(&ask.body);
    return lease;
}

/* What a statement does; then the peer is told why. */
static void lease_ends_at_once(struct held_lease *lease, enum err_code code, const char *words)
{
    struct ask ask = {0};
    assert_int_equal(source_leases(there.source), 1);
    source_recheck(there.source);
    leases_end();
    describe_post(&ask, lease->task, bytes_span(&lease->token));
    assert_int_equal(ask_wait(&ask), code);
    if (strstr(ask.err.message, words) == NULL)
        fail_msg("%s", ask.err.message);
    bytes_deinit(&lease->token);
}

static void test_a_lease_ends_at_once_when_a_gate_closes(void **state)
{
    (void)state;
    signer_add(SIGNER, ROOT_ACCOUNT_ID + 1);
    struct held_lease lease = lease_begin("swift", "swift_1");
    channel_set(false);
    lease_ends_at_once(&lease, ERR_GATE, "the XCOPY channel of ALIYUN$root is off");
    channel_set(true);
    lease = lease_begin("swifter", "swifter_1");
    project_enable(&there, false);
    lease_ends_at_once(&lease, ERR_GATE, "allow-list");
    project_enable(&there, true);
    lease = lease_begin("safe", "safe_1");
    project_protect(true, NULL, 0);
    lease_ends_at_once(&lease, ERR_DENIED, "project demo is protected");
    project_protect(false, NULL, 0);
    signer_remove(SIGNER);
}

static void select_take(const char *name)
{
    struct grant_change change = select_on(name, SIGNER);
    struct change_note made = note();
    uint64_t missing;
    ok(grants_take(there.store, &change, &made, &missing, &err));
}

static void test_a_lease_ends_at_once_when_a_right_a_user_or_a_key_goes(void **state)
{
    (void)state;
    const char *unknown = "or no right to it";
    signer_add(SIGNER, ROOT_ACCOUNT_ID + 1);
    struct held_lease lease = lease_begin("taken_at_once", "taken_at_once_1");
    select_take("taken_at_once_1");
    lease_ends_at_once(&lease, ERR_NOT_FOUND, unknown);
    lease = lease_begin("removed", "removed_1");
    signer_remove(SIGNER);
    lease_ends_at_once(&lease, ERR_NOT_FOUND, unknown);
    signer_add(SIGNER, ROOT_ACCOUNT_ID + 1);
    lease = lease_begin("keyless", "keyless_1");
    principals_remove(there.principals, span_text(SIGNER));
    lease_ends_at_once(&lease, ERR_NOT_FOUND, unknown);
    signer_remove(SIGNER);
}

/* ---- and when a grant ends by itself ---- */

static atomic_size_t rings;

static void on_ring(void *context)
{
    struct source *source = context;
    atomic_fetch_add(&rings, 1);
    source_recheck(source);
}

static void alarm_stop(void *argument)
{
    rights_alarm_stop(argument);
}

/* No other request of the peer's, and no statement: what ends the lease is the time. */
static void test_a_lease_ends_when_its_grant_does(void **state)
{
    (void)state;
    signer_add(SIGNER, ROOT_ACCOUNT_ID + 1);
    struct held_lease lease = lease_begin("brief", "brief_1");
    struct rights_alarm alarm = {
        .store = there.store, .loop = there.loop, .ring = on_ring, .context = there.source};
    struct grant_change change = select_on("brief_1", SIGNER);
    struct change_note made = note();
    rights_alarm_start(&alarm);
    for (int i = 0; i < 2000 && atomic_load(&rings) == 0; i++)
        usleep(10000);
    loop_pass(&there);
    assert_int_equal(atomic_load(&rings), 1); /* the start's; nothing has an end */
    assert_int_equal(source_leases(there.source), 1);
    change.expires_ms = rights_clock_ms(there.store) + 1000;
    ok(grants_give(there.store, &change, &made, &err));
    rights_alarm_set(&alarm);
    leases_end();
    assert_true(rights_clock_ms(there.store) >= change.expires_ms);
    assert_int_equal(atomic_load(&rings), 2);
    assert_true(loop_call(there.loop, alarm_stop, &alarm));
    bytes_deinit(&lease.token);
    signer_remove(SIGNER);
}

static void test_a_lease_that_ends_at_once_is_in_the_audit_log(void **state)
{
    (void)state;
    signer_add(SIGNER, ROOT_ACCOUNT_ID + 1);
    struct held_lease lease = lease_begin("logged", "logged_1");
    channel_set(false);
    uint64_t before = audit_head_get(there.store).count;
    source_recheck(there.source);
    leases_end();
    assert_int_equal(audit_head_get(there.store).count, before + 1);
    channel_set(true);
    bytes_deinit(&lease.token);
    signer_remove(SIGNER);
}

static void test_a_lease_whose_rights_stand_stays(void **state)
{
    (void)state;
    signer_add(SIGNER, ROOT_ACCOUNT_ID + 1);
    struct held_lease stays = lease_begin("stays", "stays_1");
    struct held_lease goes = lease_begin("goes", "goes_1");
    assert_int_equal(source_leases(there.source), 2);
    select_take("goes_1");
    for (int i = 0; i < 100; i++) /* at once or one behind the other: the same */
        source_recheck(there.source);
    for (int i = 0; i < 2000 && source_leases(there.source) > 1; i++)
        usleep(10000);
    assert_int_equal(source_leases(there.source), 1);
    select_take("stays_1");
    lease_ends_at_once(&stays, ERR_NOT_FOUND, "or no right to it");
    bytes_deinit(&goes.token);
    signer_remove(SIGNER);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_account_that_never_decided_is_as_the_nodes_gates),
        cmocka_unit_test(test_select_is_asked_for_and_no_name_is_told),
        cmocka_unit_test(test_another_account_does_not_copy_though_it_may_read),
        cmocka_unit_test(test_protection_is_told_and_trust_lifts_it),
        cmocka_unit_test(test_a_right_withdrawn_ends_the_lease_and_the_task),
        cmocka_unit_test(test_protection_ends_a_copy_that_is_under_way),
        cmocka_unit_test(test_gates_are_the_sources_and_say_what_to_do),
        cmocka_unit_test(test_gates_are_told_only_to_who_may_select),
        cmocka_unit_test(test_a_gate_that_closes_ends_a_copy_that_is_under_way),
        cmocka_unit_test(test_a_lease_ends_at_once_when_a_gate_closes),
        cmocka_unit_test(test_a_lease_ends_at_once_when_a_right_a_user_or_a_key_goes),
        cmocka_unit_test(test_a_lease_ends_when_its_grant_does),
        cmocka_unit_test(test_a_lease_that_ends_at_once_is_in_the_audit_log),
        cmocka_unit_test(test_a_lease_whose_rights_stand_stays),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
