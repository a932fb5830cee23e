#include "node/task/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* A task and the actions of its last step. */
struct fixture {
    struct task task;
    struct task_actions actions;
    uint64_t now_ms;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof(*f));
    struct task_settings settings = task_settings_default("cn-hongkong");
    task_init(&f->task, &settings);
    f->now_ms = 1000;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    task_deinit(&f->task);
    task_actions_deinit(&f->actions);
    mem_free(f);
    return 0;
}

static void send(struct fixture *f, struct task_event event)
{
    event.now_ms = f->now_ms;
    task_actions_clear(&f->actions);
    task_step(&f->task, &event, &f->actions);
}

static const struct task_action *find(struct fixture *f, enum task_action_kind kind)
{
    for (size_t i = 0; i < f->actions.count; i++)
        if (f->actions.list[i].kind == kind)
            return &f->actions.list[i];
    return NULL;
}

/* Request id of the action, which has to be there. */
static uint64_t want(struct fixture *f, enum task_action_kind kind)
{
    const struct task_action *action = find(f, kind);
    assert_non_null(action);
    return action->request;
}

static struct err error(enum err_code code)
{
    struct err err;
    err_set(&err, code, "because");
    return err;
}

static void answer_code(struct fixture *f, enum task_event_kind kind, uint64_t request,
                        enum err_code code)
{
    struct err err = {0};
    if (code != ERR_OK)
        err = error(code);
    send(f, (struct task_event){.kind = kind, .request = request, .err = &err});
}

static void start(struct fixture *f)
{
    send(f, (struct task_event){.kind = TASK_ON_START});
}

/* Up to the plan of the top; returns its request. */
static uint64_t described(struct fixture *f)
{
    start(f);
    answer_code(f, TASK_ON_CHECKED, want(f, TASK_DO_CHECK), ERR_OK);
    send(f, (struct task_event){.kind = TASK_ON_DESCRIBED,
                                .request = want(f, TASK_DO_DESCRIBE),
                                .described = {.version = {{1}}, .partitions = 9, .bytes = 100}});
    return want(f, TASK_DO_PLAN);
}

static void planned(struct fixture *f, uint64_t request, struct walk_need need)
{
    struct walk_plan plan = {.needs = &need, .need_count = 1};
    send(f, (struct task_event){.kind = TASK_ON_PLANNED, .request = request, .planned = plan});
}

static void got(struct fixture *f, uint64_t request, enum walk_result result)
{
    send(f, (struct task_event){.kind = TASK_ON_GOT,
                                .request = request,
                                .wire_bytes = 10,
                                .got = {.results = &result,
                                        .result_count = 1,
                                        .reason = "file is not what its digest says"}});
}

/* Up to a request for the only file of the root page; returns its request. */
static uint64_t file_asked(struct fixture *f)
{
    struct walk_need root = {.kind = WALK_PAGE, .digest = {{2}}};
    planned(f, described(f), root);
    got(f, want(f, TASK_DO_GET_PAGES), WALK_STORED);
    struct walk_need file = {.kind = WALK_FILE, .digest = {{3}}, .bytes = 60};
    planned(f, want(f, TASK_DO_PLAN), file);
    return want(f, TASK_DO_GET_FILES);
}

static void test_whole_way_from_check_to_ended(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->task.state, TASK_QUEUED);
    got(f, file_asked(f), WALK_STORED);
    assert_int_equal(f->task.state, TASK_RUNNING);
    assert_null(find(f, TASK_DO_PUBLISH));
    answer_code(f, TASK_ON_COMMITTED, want(f, TASK_DO_COMMIT), ERR_OK);
    struct task_event published = {.kind = TASK_ON_PUBLISHED,
                                   .request = want(f, TASK_DO_PUBLISH),
                                   .counters = f->task.counters};
    published.counters.bytes_skipped = 40;
    published.counters.partitions_moved = 4;
    send(f, published);
    assert_int_equal(f->task.state, TASK_DONE);
    answer_code(f, TASK_ON_RECEIPTED, want(f, TASK_DO_RECEIPT), ERR_OK);
    assert_non_null(find(f, TASK_DO_END_LEASE));
    answer_code(f, TASK_ON_FINISHED, want(f, TASK_DO_FINISH), ERR_OK);
    assert_true(task_ended(&f->task));
    assert_int_equal(f->task.state, TASK_DONE);
    const struct task_counters *counters = &f->task.counters;
    assert_int_equal(counters->partitions_total, 9);
    assert_int_equal(counters->files_moved, 1);
    assert_int_equal(counters->bytes_moved, 60);
    assert_int_equal(counters->bytes_skipped, 40);
    assert_int_equal(counters->wire_bytes, 20);
    assert_int_equal(counters->partitions_moved, 4);
    assert_true(task_wake_ms(&f->task) == UINT64_MAX);
}

/* A file that another task is pulling is neither asked for nor waited for by a commit, and counts only
 * when it came for this one. */
static void test_what_is_pulled_elsewhere_is_asked_for_again_when_released(void **state)
{
    struct fixture *f = *state;
    got(f, file_asked(f), WALK_TAKEN);
    assert_int_equal(f->actions.count, 0);
    send(f, (struct task_event){.kind = TASK_ON_TICK});
    assert_int_equal(f->actions.count, 0);
    send(f, (struct task_event){.kind = TASK_ON_RELEASED});
    got(f, want(f, TASK_DO_GET_FILES), WALK_HELD);
    assert_int_equal(f->task.counters.files_moved, 0);
    assert_int_equal(f->task.counters.bytes_moved, 0);
    answer_code(f, TASK_ON_COMMITTED, want(f, TASK_DO_COMMIT), ERR_OK);
    want(f, TASK_DO_PUBLISH);
}

static void test_nothing_is_published_before_the_commit_succeeded(void **state)
{
    struct fixture *f = *state;
    got(f, file_asked(f), WALK_STORED);
    uint64_t commit = want(f, TASK_DO_COMMIT);
    answer_code(f, TASK_ON_COMMITTED, commit + 1, ERR_OK); /* another's */
    assert_int_equal(f->actions.count, 0);
    answer_code(f, TASK_ON_COMMITTED, commit, ERR_NO_SPACE);
    assert_int_equal(f->task.phase, TASK_PHASE_PULL);
    f->now_ms = task_wake_ms(&f->task);
    send(f, (struct task_event){.kind = TASK_ON_TICK});
    assert_non_null(find(f, TASK_DO_PLAN)); /* from the top again */
    assert_null(find(f, TASK_DO_PUBLISH));
}

static void test_denied_at_any_gate_fails(void **state)
{
    struct fixture *f = *state;
    start(f);
    answer_code(f, TASK_ON_CHECKED, want(f, TASK_DO_CHECK), ERR_DENIED);
    assert_int_equal(f->task.outcome, TASK_FAILED);
    assert_int_equal(f->task.err.code, ERR_DENIED);
    answer_code(f, TASK_ON_FINISHED, want(f, TASK_DO_FINISH), ERR_OK);
    assert_int_equal(f->task.state, TASK_FAILED);
}

static void test_denied_at_publish_fails_and_ends_the_lease(void **state)
{
    struct fixture *f = *state;
    got(f, file_asked(f), WALK_STORED);
    answer_code(f, TASK_ON_COMMITTED, want(f, TASK_DO_COMMIT), ERR_OK);
    answer_code(f, TASK_ON_PUBLISHED, want(f, TASK_DO_PUBLISH), ERR_DENIED);
    assert_int_equal(f->task.outcome, TASK_FAILED);
    assert_non_null(find(f, TASK_DO_END_LEASE));
}

static void test_wrong_bytes_three_times_fail_naming_peer_and_reason(void **state)
{
    struct fixture *f = *state;
    uint64_t request = file_asked(f);
    for (int i = 0; i < 2; i++) {
        got(f, request, WALK_WRONG);
        assert_int_equal(f->task.phase, TASK_PHASE_PULL);
        request = want(f, TASK_DO_GET_FILES);
    }
    got(f, request, WALK_WRONG);
    assert_int_equal(f->task.outcome, TASK_FAILED);
    assert_int_equal(f->task.err.code, ERR_PEER);
    assert_non_null(strstr(f->task.err.message, "peer cn-hongkong"));
    assert_non_null(strstr(f->task.err.message, "not what its digest says"));
}

static void test_empty_answers_count_as_wrong(void **state)
{
    struct fixture *f = *state;
    uint64_t request = file_asked(f);
    got(f, request, WALK_LEFT);
    request = want(f, TASK_DO_GET_FILES);
    send(f, (struct task_event){.kind = TASK_ON_GOT, .request = request}); /* no results */
    request = want(f, TASK_DO_GET_FILES);
    answer_code(f, TASK_ON_GOT, request, ERR_NOT_IN_LEASE);
    assert_int_equal(f->task.outcome, TASK_FAILED);
}

static void test_changed_key_fails_at_once(void **state)
{
    struct fixture *f = *state;
    answer_code(f, TASK_ON_GOT, file_asked(f), ERR_PEER_KEY);
    assert_int_equal(f->task.outcome, TASK_FAILED);
    assert_int_equal(f->task.err.code, ERR_PEER_KEY);
}

static void test_pauses_grow_from_one_to_sixty_seconds_and_end_after_six_hours(void **state)
{
    struct fixture *f = *state;
    start(f);
    answer_code(f, TASK_ON_CHECKED, want(f, TASK_DO_CHECK), ERR_OK);
    uint64_t first_ms = f->now_ms, before_ms = 0, least_ms = TASK_RETRY_PAUSE_MIN_MS;
    size_t tries = 0;
    while (f->task.phase == TASK_PHASE_DESCRIBE) {
        struct err err = error(ERR_UNREACHABLE);
        send(f, (struct task_event){.kind = TASK_ON_DESCRIBED,
                                    .err = &err,
                                    .request = want(f, TASK_DO_DESCRIBE),
                                    .random = tries % 2 * least_ms}); /* every other longest */
        if (f->task.phase != TASK_PHASE_DESCRIBE)
            break;
        uint64_t pause_ms = task_wake_ms(&f->task) - f->now_ms;
        uint64_t wanted_ms = tries % 2 == 0 ? least_ms : 2 * least_ms;
        assert_int_equal(pause_ms,
                         wanted_ms < TASK_RETRY_PAUSE_MAX_MS ? wanted_ms : TASK_RETRY_PAUSE_MAX_MS);
        least_ms = 2 * least_ms < TASK_RETRY_PAUSE_MAX_MS ? 2 * least_ms : TASK_RETRY_PAUSE_MAX_MS;
        send(f, (struct task_event){.kind = TASK_ON_TICK}); /* too early */
        assert_int_equal(f->actions.count, 0);
        before_ms = f->now_ms;
        f->now_ms += pause_ms;
        send(f, (struct task_event){.kind = TASK_ON_TICK});
        tries++;
        assert_true(tries < 1000);
    }
    assert_true(before_ms - first_ms < TASK_RETRY_TOTAL_MS);
    assert_true(f->now_ms - first_ms >= TASK_RETRY_TOTAL_MS);
    assert_int_equal(f->task.outcome, TASK_FAILED);
    assert_int_equal(f->task.err.code, ERR_UNREACHABLE);
}

static void test_phase_says_since_when_it_waits(void **state)
{
    struct fixture *f = *state;
    answer_code(f, TASK_ON_GOT, file_asked(f), ERR_LOST);
    char text[128];
    task_phase_format(&f->task, f->now_ms + 7000, text, sizeof(text));
    assert_string_equal(text, "waiting for peer cn-hongkong since 7 s: because");
    f->now_ms = task_wake_ms(&f->task);
    send(f, (struct task_event){.kind = TASK_ON_TICK});
    got(f, want(f, TASK_DO_GET_FILES), WALK_STORED); /* an answer ends the waiting */
    task_phase_format(&f->task, f->now_ms, text, sizeof(text));
    assert_string_equal(text, "pulling");
}

static void test_a_full_disk_of_ours_is_not_laid_to_the_peer(void **state)
{
    struct fixture *f = *state;
    char text[128];
    start(f);
    answer_code(f, TASK_ON_CHECKED, want(f, TASK_DO_CHECK), ERR_OK);
    answer_code(f, TASK_ON_DESCRIBED, want(f, TASK_DO_DESCRIBE), ERR_NO_SPACE);
    task_phase_format(&f->task, f->now_ms, text, sizeof(text));
    assert_string_equal(text, "waiting for this node's store since 0 s: because");
}

/* A slow line: else a restart would pull again what came in the minutes that a pack takes to be full. */
static void test_what_arrived_is_committed_with_what_comes_half_a_minute_later(void **state)
{
    struct fixture *f = *state;
    f->task.settings.walk.batch_items = f->task.walk.limits.batch_items = 1;
    planned(f, described(f), (struct walk_need){.kind = WALK_PAGE, .digest = {{2}}});
    got(f, want(f, TASK_DO_GET_PAGES), WALK_STORED);
    struct walk_need files[5];
    for (uint8_t i = 0; i < ARRAY_COUNT(files); i++)
        files[i] = (struct walk_need){.kind = WALK_FILE, .digest = {{3, i}}, .bytes = 60};
    send(f, (struct task_event){.kind = TASK_ON_PLANNED,
                                .request = want(f, TASK_DO_PLAN),
                                .planned = {.needs = files, .need_count = ARRAY_COUNT(files)}});
    uint64_t first = want(f, TASK_DO_GET_FILES);
    got(f, first, WALK_STORED);
    assert_null(find(f, TASK_DO_COMMIT));
    f->now_ms += TASK_COMMIT_AFTER_MS - 1;
    got(f, first + 1, WALK_STORED);
    assert_null(find(f, TASK_DO_COMMIT));
    f->now_ms++;
    got(f, first + 2, WALK_STORED);
    uint64_t commit = want(f, TASK_DO_COMMIT);
    answer_code(f, TASK_ON_COMMITTED, commit, ERR_OK);
    f->now_ms += TASK_COMMIT_AFTER_MS; /* nothing was kept back meanwhile */
    got(f, first + 3, WALK_STORED);
    assert_null(find(f, TASK_DO_COMMIT));
    got(f, first + 4, WALK_STORED); /* the last one */
    assert_non_null(find(f, TASK_DO_COMMIT));
}

static void test_lease_is_renewed_every_twenty_seconds(void **state)
{
    struct fixture *f = *state;
    file_asked(f);
    assert_true(task_wake_ms(&f->task) == f->now_ms + LEASE_RENEW_MS);
    f->now_ms += LEASE_RENEW_MS;
    send(f, (struct task_event){.kind = TASK_ON_TICK});
    uint64_t renew = want(f, TASK_DO_RENEW);
    send(f, (struct task_event){.kind = TASK_ON_TICK});
    assert_null(find(f, TASK_DO_RENEW)); /* one at a time */
    answer_code(f, TASK_ON_RENEWED, renew, ERR_OK);
    assert_true(task_wake_ms(&f->task) == f->now_ms + LEASE_RENEW_MS);
}

static void test_lost_lease_is_asked_for_again_and_the_walk_goes_on(void **state)
{
    struct fixture *f = *state;
    answer_code(f, TASK_ON_GOT, file_asked(f), ERR_LEASE_GONE);
    f->now_ms = task_wake_ms(&f->task);
    send(f, (struct task_event){.kind = TASK_ON_TICK});
    struct task_event same = {.kind = TASK_ON_DESCRIBED,
                              .request = want(f, TASK_DO_DESCRIBE),
                              .described = {.version = {{1}}}};
    send(f, same);
    assert_non_null(find(f, TASK_DO_GET_FILES)); /* the file, not the root again */
    assert_null(find(f, TASK_DO_PLAN));
}

static void test_another_version_under_the_new_lease_begins_at_its_root(void **state)
{
    struct fixture *f = *state;
    answer_code(f, TASK_ON_GOT, file_asked(f), ERR_LEASE_GONE);
    f->now_ms = task_wake_ms(&f->task);
    send(f, (struct task_event){.kind = TASK_ON_TICK});
    struct task_event other = {.kind = TASK_ON_DESCRIBED,
                               .request = want(f, TASK_DO_DESCRIBE),
                               .described = {.version = {{9}}}};
    send(f, other);
    assert_null(find(f, TASK_DO_GET_FILES));
    assert_null(find(f, TASK_DO_PLAN)->item->parent);
}

static void test_peer_that_grants_and_loses_leases_for_ever_fails_in_the_end(void **state)
{
    struct fixture *f = *state;
    uint64_t request = file_asked(f);
    for (int i = 0; i < 2000 && f->task.outcome != TASK_FAILED; i++) {
        answer_code(f, TASK_ON_GOT, request, ERR_LEASE_GONE);
        if (f->task.outcome == TASK_FAILED)
            break;
        f->now_ms = task_wake_ms(&f->task);
        send(f, (struct task_event){.kind = TASK_ON_TICK});
        send(f, (struct task_event){.kind = TASK_ON_DESCRIBED,
                                    .request = want(f, TASK_DO_DESCRIBE),
                                    .described = {.version = {{1}}}});
        request = want(f, TASK_DO_GET_FILES);
    }
    assert_int_equal(f->task.outcome, TASK_FAILED);
}

static void test_cancel_stops_it_and_a_running_commit_comes_to_its_end_first(void **state)
{
    struct fixture *f = *state;
    got(f, file_asked(f), WALK_STORED);
    uint64_t commit = want(f, TASK_DO_COMMIT);
    send(f, (struct task_event){.kind = TASK_ON_CANCEL});
    assert_int_equal(f->task.state, TASK_CANCELLED); /* which waits for nothing */
    assert_non_null(find(f, TASK_DO_END_LEASE));
    assert_null(find(f, TASK_DO_FINISH));
    answer_code(f, TASK_ON_COMMITTED, commit, ERR_OK);
    answer_code(f, TASK_ON_FINISHED, want(f, TASK_DO_FINISH), ERR_OK);
    assert_int_equal(f->task.state, TASK_CANCELLED);
}

static void test_cancel_during_publish_lets_the_publish_decide(void **state)
{
    struct fixture *f = *state;
    got(f, file_asked(f), WALK_STORED);
    answer_code(f, TASK_ON_COMMITTED, want(f, TASK_DO_COMMIT), ERR_OK);
    uint64_t publish = want(f, TASK_DO_PUBLISH);
    send(f, (struct task_event){.kind = TASK_ON_CANCEL});
    assert_int_equal(f->actions.count, 0);
    answer_code(f, TASK_ON_PUBLISHED, publish, ERR_OK);
    assert_int_equal(f->task.state, TASK_DONE);
}

static void test_cancel_during_a_publish_that_will_not_be_ends_at_once(void **state)
{
    struct fixture *f = *state;
    got(f, file_asked(f), WALK_STORED);
    answer_code(f, TASK_ON_COMMITTED, want(f, TASK_DO_COMMIT), ERR_OK);
    uint64_t publish = want(f, TASK_DO_PUBLISH);
    send(f, (struct task_event){.kind = TASK_ON_CANCEL});
    answer_code(f, TASK_ON_PUBLISHED, publish, ERR_CANCELLED);
    assert_int_equal(f->task.state, TASK_CANCELLED);
    assert_int_equal(f->task.phase, TASK_PHASE_FINISH);
    answer_code(f, TASK_ON_PUBLISHED, publish, ERR_OK); /* late */
    assert_int_equal(f->task.state, TASK_CANCELLED);
}

/* ---- at every step ---- */

enum step {
    STEP_NEW,
    STEP_CHECK,
    STEP_DESCRIBE,
    STEP_PLAN,
    STEP_PAGES,
    STEP_FILES,
    STEP_COMMIT,
    STEP_RENEW,
    STEP_PAUSE, /* the peer is away */
    STEP_COUNT,
};

/* What each step asks for is out, and nothing has answered it. */
static void to_step(struct fixture *f, enum step step)
{
    if (step == STEP_CHECK || step == STEP_DESCRIBE || step == STEP_PAUSE)
        start(f);
    if (step == STEP_DESCRIBE || step == STEP_PAUSE)
        answer_code(f, TASK_ON_CHECKED, want(f, TASK_DO_CHECK), ERR_OK);
    if (step == STEP_PAUSE)
        answer_code(f, TASK_ON_DESCRIBED, want(f, TASK_DO_DESCRIBE), ERR_UNREACHABLE);
    if (step == STEP_PLAN)
        described(f);
    if (step == STEP_PAGES)
        planned(f, described(f), (struct walk_need){.kind = WALK_PAGE, .digest = {{2}}});
    if (step == STEP_FILES || step == STEP_RENEW)
        file_asked(f);
    if (step == STEP_COMMIT)
        got(f, file_asked(f), WALK_STORED);
    if (step == STEP_RENEW) {
        f->now_ms += LEASE_RENEW_MS;
        send(f, (struct task_event){.kind = TASK_ON_TICK});
        want(f, TASK_DO_RENEW);
    }
}

/* Everything that was ever asked for is answered, well, and time goes by. How often it asked to FINISH;
 * anything else must not be asked for. */
static size_t finishes_after_all(struct fixture *f)
{
    size_t finishes = 0;
    uint64_t last = f->task.request_last;
    for (uint64_t request = 1; request <= last; request++)
        for (int kind = TASK_ON_START; kind < TASK_EVENT_COUNT; kind++) {
            f->now_ms += 1000;
            send(f, (struct task_event){.kind = (enum task_event_kind)kind, .request = request});
            for (size_t i = 0; i < f->actions.count; i++)
                assert_int_equal(f->actions.list[i].kind, TASK_DO_FINISH);
            finishes += f->actions.count;
        }
    return finishes;
}

static void test_cancel_at_any_step_ends_in_that_step_and_asks_for_nothing_more(void **state)
{
    struct fixture *f = *state;
    const struct task_settings settings = f->task.settings;
    for (int step = 0; step < STEP_COUNT; step++) {
        task_deinit(&f->task);
        task_init(&f->task, &settings);
        to_step(f, (enum step)step);
        bool leased = f->task.leased;
        send(f, (struct task_event){.kind = TASK_ON_CANCEL});
        assert_int_equal(f->task.state, TASK_CANCELLED);
        assert_int_equal(find(f, TASK_DO_END_LEASE) != NULL, leased);
        size_t finishes = find(f, TASK_DO_FINISH) != NULL;
        assert_int_equal(finishes, step != STEP_COMMIT);
        assert_int_equal(f->actions.count, finishes + leased);
        uint64_t finish = finishes > 0 ? want(f, TASK_DO_FINISH) : 0;
        finishes += finishes_after_all(f);
        assert_int_equal(finishes, 1);
        answer_code(f, TASK_ON_FINISHED, finish != 0 ? finish : f->task.control, ERR_OK);
        assert_true(task_ended(&f->task));
        assert_int_equal(f->task.state, TASK_CANCELLED);
    }
}

static void test_a_right_that_goes_ends_it_at_any_step_with_that_reason(void **state)
{
    struct fixture *f = *state;
    const struct task_settings settings = f->task.settings;
    for (int step = 0; step < STEP_COUNT; step++) {
        task_deinit(&f->task);
        task_init(&f->task, &settings);
        to_step(f, (enum step)step);
        answer_code(f, TASK_ON_WITHDRAWN, 0, ERR_DENIED);
        assert_int_equal(f->task.outcome, TASK_FAILED);
        assert_int_equal(f->task.phase, TASK_PHASE_FINISH);
        assert_string_equal(f->task.err.message, "because");
    }
}

static void test_a_right_that_goes_during_a_publish_counts_unless_that_succeeds(void **state)
{
    struct fixture *f = *state;
    const struct task_settings settings = f->task.settings;
    for (int succeeds = 0; succeeds < 2; succeeds++) {
        task_deinit(&f->task);
        task_init(&f->task, &settings);
        got(f, file_asked(f), WALK_STORED);
        answer_code(f, TASK_ON_COMMITTED, want(f, TASK_DO_COMMIT), ERR_OK);
        uint64_t publish = want(f, TASK_DO_PUBLISH);
        answer_code(f, TASK_ON_WITHDRAWN, 0, ERR_DENIED);
        assert_int_equal(f->actions.count, 0);
        answer_code(f, TASK_ON_PUBLISHED, publish, succeeds ? ERR_OK : ERR_NO_SPACE);
        assert_int_equal(f->task.state, succeeds ? TASK_DONE : TASK_RUNNING);
        assert_int_equal(f->task.phase, succeeds ? TASK_PHASE_RECEIPT : TASK_PHASE_FINISH);
    }
}

static void test_restart_after_publish_sends_the_receipt_only(void **state)
{
    struct fixture *f = *state;
    send(f, (struct task_event){.kind = TASK_ON_START, .start = {.published = true}});
    assert_int_equal(f->task.state, TASK_DONE);
    assert_int_equal(f->actions.count, 1);
    answer_code(f, TASK_ON_RECEIPTED, want(f, TASK_DO_RECEIPT), ERR_LEASE_GONE);
    assert_non_null(find(f, TASK_DO_FINISH));
}

static void test_counters_of_a_record_do_not_spare_the_walk(void **state)
{
    struct fixture *f = *state;
    send(f, (struct task_event){.kind = TASK_ON_START,
                                .start = {.counters = {.files_moved = 5, .bytes_moved = 100}}});
    answer_code(f, TASK_ON_CHECKED, want(f, TASK_DO_CHECK), ERR_OK);
    send(f, (struct task_event){.kind = TASK_ON_DESCRIBED,
                                .request = want(f, TASK_DO_DESCRIBE),
                                .described = {.bytes = 100}});
    assert_non_null(find(f, TASK_DO_PLAN));
    assert_null(find(f, TASK_DO_PUBLISH));
    assert_int_equal(f->task.counters.files_moved, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_whole_way_from_check_to_ended),
        TEST(test_what_is_pulled_elsewhere_is_asked_for_again_when_released),
        TEST(test_nothing_is_published_before_the_commit_succeeded),
        TEST(test_denied_at_any_gate_fails),
        TEST(test_denied_at_publish_fails_and_ends_the_lease),
        TEST(test_wrong_bytes_three_times_fail_naming_peer_and_reason),
        TEST(test_empty_answers_count_as_wrong),
        TEST(test_changed_key_fails_at_once),
        TEST(test_pauses_grow_from_one_to_sixty_seconds_and_end_after_six_hours),
        TEST(test_phase_says_since_when_it_waits),
        TEST(test_a_full_disk_of_ours_is_not_laid_to_the_peer),
        TEST(test_what_arrived_is_committed_with_what_comes_half_a_minute_later),
        TEST(test_lease_is_renewed_every_twenty_seconds),
        TEST(test_lost_lease_is_asked_for_again_and_the_walk_goes_on),
        TEST(test_another_version_under_the_new_lease_begins_at_its_root),
        TEST(test_peer_that_grants_and_loses_leases_for_ever_fails_in_the_end),
        TEST(test_cancel_stops_it_and_a_running_commit_comes_to_its_end_first),
        TEST(test_cancel_during_publish_lets_the_publish_decide),
        TEST(test_cancel_during_a_publish_that_will_not_be_ends_at_once),
        TEST(test_cancel_at_any_step_ends_in_that_step_and_asks_for_nothing_more),
        TEST(test_a_right_that_goes_ends_it_at_any_step_with_that_reason),
        TEST(test_a_right_that_goes_during_a_publish_counts_unless_that_succeeds),
        TEST(test_restart_after_publish_sends_the_receipt_only),
        TEST(test_counters_of_a_record_do_not_spare_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
