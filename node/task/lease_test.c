#include "node/task/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct lease_table table;
static struct lease_actions actions;
static const struct identity_key peer = {{1}};
static const struct identity_key other_peer = {{2}};
static const struct task_id task = {{3}};

static int setup(void **state)
{
    (void)state;
    lease_table_init(&table, LEASE_MS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lease_table_deinit(&table);
    lease_actions_deinit(&actions);
    return 0;
}

static struct lease_event event_of(enum lease_event_kind kind, uint64_t now_ms)
{
    return (struct lease_event){.kind = kind,
                                .now_ms = now_ms,
                                .request = 5,
                                .id = lease_id_of(&peer, &task),
                                .peer = peer,
                                .subject = span_text("subject")};
}

/* The one action that an event brings. */
static const struct lease_action *step(const struct lease_event *event)
{
    lease_actions_clear(&actions);
    lease_step(&table, event, &actions);
    assert_int_equal(actions.count, 1);
    return &actions.list[0];
}

static void nothing(const struct lease_event *event)
{
    lease_actions_clear(&actions);
    lease_step(&table, event, &actions);
    assert_int_equal(actions.count, 0);
}

static void replied(const struct lease_action *action, enum err_code code)
{
    assert_int_equal(action->kind, LEASE_DO_REPLY);
    assert_int_equal(action->err.code, code);
    assert_int_equal(action->request, 5);
}

static void grant(uint64_t now_ms)
{
    struct lease_event describe = event_of(LEASE_ON_DESCRIBE, now_ms);
    assert_int_equal(step(&describe)->kind, LEASE_DO_GRANT);
    struct lease_event granted = event_of(LEASE_ON_GRANTED, now_ms);
    replied(step(&granted), ERR_OK);
}

static void dropped(uint64_t now_ms)
{
    struct lease_event event = event_of(LEASE_ON_DROPPED, now_ms);
    nothing(&event);
}

static void
test_describe_answers_after_the_record_is_durable_and_gives_the_same_lease_again(void **state)
{
    (void)state;
    struct lease_event describe = event_of(LEASE_ON_DESCRIBE, 0);
    assert_int_equal(step(&describe)->kind, LEASE_DO_GRANT);
    replied(step(&describe), ERR_BUSY);
    struct lease_event serve = event_of(LEASE_ON_SERVE, 0);
    replied(step(&serve), ERR_LEASE_GONE);
    struct lease_event granted = event_of(LEASE_ON_GRANTED, 0);
    replied(step(&granted), ERR_OK);
    replied(step(&describe), ERR_OK);
    assert_int_equal(table.count, 1);
    assert_true(
        span_equal(bytes_span(&lease_find(&table, &describe.id)->subject), span_text("subject")));
    nothing(&granted);
}

static void test_failed_grant_is_answered_and_forgotten(void **state)
{
    (void)state;
    struct lease_event describe = event_of(LEASE_ON_DESCRIBE, 0);
    step(&describe);
    struct err err;
    err_set(&err, ERR_CONFLICT, "replaced");
    struct lease_event granted = event_of(LEASE_ON_GRANTED, 0);
    granted.verdict = &err;
    replied(step(&granted), ERR_CONFLICT);
    assert_null(lease_find(&table, &describe.id));
}

static void test_other_arguments_under_the_same_id_are_refused(void **state)
{
    (void)state;
    grant(0);
    struct lease_event describe = event_of(LEASE_ON_DESCRIBE, 0);
    describe.arguments.b[0] = 1;
    replied(step(&describe), ERR_PARAMETER);
}

static void test_absent_foreign_and_expired_have_one_answer(void **state)
{
    (void)state;
    grant(1000);
    struct lease_event serve = event_of(LEASE_ON_SERVE, 1000);
    assert_int_equal(step(&serve)->kind, LEASE_DO_SERVE);
    serve.peer = other_peer;
    struct err foreign = step(&serve)->err;
    serve.peer = peer;
    serve.id.digest.b[0] ^= 1;
    struct err absent = step(&serve)->err;
    serve.id.digest.b[0] ^= 1;
    serve.now_ms = 1000 + LEASE_MS;
    lease_actions_clear(&actions);
    lease_step(&table, &serve, &actions);
    assert_int_equal(actions.count, 2);
    assert_int_equal(actions.list[0].kind, LEASE_DO_DROP);
    assert_int_equal(foreign.code, ERR_LEASE_GONE);
    assert_string_equal(foreign.message, absent.message);
    assert_string_equal(foreign.message, actions.list[1].err.message);
}

static void test_renewal_and_describe_give_a_full_period(void **state)
{
    (void)state;
    grant(0);
    assert_true(lease_wake_ms(&table) == LEASE_MS);
    struct lease_event renew = event_of(LEASE_ON_RENEW, 60000);
    replied(step(&renew), ERR_OK);
    assert_true(lease_wake_ms(&table) == 60000 + LEASE_MS);
    struct lease_event tick = event_of(LEASE_ON_TICK, 59999 + LEASE_MS);
    nothing(&tick);
    tick.now_ms++;
    assert_int_equal(step(&tick)->kind, LEASE_DO_DROP);
    assert_true(lease_wake_ms(&table) == UINT64_MAX);
    replied(step(&renew), ERR_LEASE_GONE);
}

static void test_lease_of_before_a_restart_gets_a_full_period(void **state)
{
    (void)state;
    struct lease_event loaded = event_of(LEASE_ON_LOADED, 777);
    nothing(&loaded);
    assert_true(lease_wake_ms(&table) == 777 + LEASE_MS);
    struct lease_event serve = event_of(LEASE_ON_SERVE, 777);
    assert_int_equal(step(&serve)->kind, LEASE_DO_SERVE);
    struct lease_event describe = event_of(LEASE_ON_DESCRIBE, 778);
    replied(step(&describe), ERR_OK);
}

static void test_lease_ends_when_a_right_goes(void **state)
{
    (void)state;
    struct err denied;
    err_set(&denied, ERR_DENIED, "no Select");
    static const enum lease_event_kind kinds[] = {LEASE_ON_RENEW, LEASE_ON_SERVE};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        grant(0);
        struct lease_event event = event_of(kinds[i], 1);
        event.verdict = &denied;
        lease_actions_clear(&actions);
        lease_step(&table, &event, &actions);
        assert_int_equal(actions.count, 2);
        assert_int_equal(actions.list[0].kind, LEASE_DO_DROP);
        replied(&actions.list[1], ERR_LEASE_GONE);
        dropped(1);
    }
    grant(0);
    struct lease_event revoked = event_of(LEASE_ON_REVOKED, 1);
    assert_int_equal(step(&revoked)->kind, LEASE_DO_DROP);
    dropped(1);
    grant(2);
    struct lease_event describe = event_of(LEASE_ON_DESCRIBE, 3);
    describe.verdict = &denied;
    lease_actions_clear(&actions);
    lease_step(&table, &describe, &actions);
    assert_int_equal(actions.count, 2);
    replied(&actions.list[1], ERR_DENIED);
    dropped(3);
    assert_int_equal(table.count, 0);
}

static void test_denied_describe_grants_nothing(void **state)
{
    (void)state;
    struct err denied;
    err_set(&denied, ERR_GATE, "switch off");
    struct lease_event describe = event_of(LEASE_ON_DESCRIBE, 0);
    describe.verdict = &denied;
    replied(step(&describe), ERR_GATE);
    assert_int_equal(table.count, 0);
}

static void test_end_drops_once(void **state)
{
    (void)state;
    grant(0);
    struct lease_event end = event_of(LEASE_ON_END, 1);
    lease_actions_clear(&actions);
    lease_step(&table, &end, &actions);
    assert_int_equal(actions.count, 2);
    assert_int_equal(actions.list[0].kind, LEASE_DO_DROP);
    replied(&actions.list[1], ERR_OK);
    replied(step(&end), ERR_LEASE_GONE);
}

static void test_nothing_is_granted_while_a_drop_of_that_id_is_under_way(void **state)
{
    (void)state;
    grant(0);
    struct lease_event revoked = event_of(LEASE_ON_REVOKED, 1);
    assert_int_equal(step(&revoked)->kind, LEASE_DO_DROP);
    struct lease_event describe = event_of(LEASE_ON_DESCRIBE, 2);
    replied(step(&describe), ERR_BUSY);
    assert_null(lease_find(&table, &describe.id));
    assert_int_equal(lease_count(&table), 0);
    struct lease_event serve = event_of(LEASE_ON_SERVE, 2);
    replied(step(&serve), ERR_LEASE_GONE);
    dropped(3);
    grant(4);
    struct lease_event late = event_of(LEASE_ON_DROPPED, 5); /* of nothing that is under way */
    nothing(&late);
    assert_non_null(lease_find(&table, &describe.id));
}

/* Expired at the moment of asking again: the same order. */
static void test_a_describe_that_finds_its_lease_expired_waits_for_the_drop(void **state)
{
    (void)state;
    grant(0);
    struct lease_event describe = event_of(LEASE_ON_DESCRIBE, LEASE_MS);
    lease_actions_clear(&actions);
    lease_step(&table, &describe, &actions);
    assert_int_equal(actions.count, 2);
    assert_int_equal(actions.list[0].kind, LEASE_DO_DROP);
    replied(&actions.list[1], ERR_BUSY);
    dropped(LEASE_MS + 1);
    grant(LEASE_MS + 2);
}

static void test_a_drop_that_failed_is_done_again(void **state)
{
    (void)state;
    grant(0);
    struct lease_event revoked = event_of(LEASE_ON_REVOKED, 1);
    step(&revoked);
    assert_true(lease_wake_ms(&table) == UINT64_MAX);
    struct err failed;
    err_set(&failed, ERR_NO_SPACE, "disk full");
    struct lease_event event = event_of(LEASE_ON_DROPPED, 10);
    event.verdict = &failed;
    nothing(&event);
    assert_true(lease_wake_ms(&table) == 10 + LEASE_DROP_RETRY_MS);
    struct lease_event tick = event_of(LEASE_ON_TICK, 10 + LEASE_DROP_RETRY_MS);
    assert_int_equal(step(&tick)->kind, LEASE_DO_DROP);
    dropped(11 + LEASE_DROP_RETRY_MS);
    assert_int_equal(table.count, 0);
}

static void test_peer_has_so_many_leases_and_no_more(void **state)
{
    (void)state;
    for (uint64_t i = 0; i <= LEASES_PER_PEER_MAX; i++) {
        struct task_id id = {{0}};
        store_u64(id.b, i);
        struct lease_event describe = event_of(LEASE_ON_DESCRIBE, 0);
        describe.id = lease_id_of(&peer, &id);
        const struct lease_action *action = step(&describe);
        if (i < LEASES_PER_PEER_MAX)
            assert_int_equal(action->kind, LEASE_DO_GRANT);
        else
            replied(action, ERR_BUSY);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_describe_answers_after_the_record_is_durable_and_gives_the_same_lease_again),
        TEST(test_failed_grant_is_answered_and_forgotten),
        TEST(test_other_arguments_under_the_same_id_are_refused),
        TEST(test_absent_foreign_and_expired_have_one_answer),
        TEST(test_renewal_and_describe_give_a_full_period),
        TEST(test_lease_of_before_a_restart_gets_a_full_period),
        TEST(test_lease_ends_when_a_right_goes),
        TEST(test_denied_describe_grants_nothing),
        TEST(test_end_drops_once),
        TEST(test_nothing_is_granted_while_a_drop_of_that_id_is_under_way),
        TEST(test_a_describe_that_finds_its_lease_expired_waits_for_the_drop),
        TEST(test_a_drop_that_failed_is_done_again),
        TEST(test_peer_has_so_many_leases_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
