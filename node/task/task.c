#include "node/task/task.h"

#include <limits.h>

/* ---- tables ---- */

#define BIT(phase) (1U << (phase))

/* Which phase may follow which. */
static const unsigned phase_next[TASK_PHASE_COUNT] = {
    [TASK_PHASE_QUEUED] = BIT(TASK_PHASE_CHECK) | BIT(TASK_PHASE_RECEIPT) | BIT(TASK_PHASE_FINISH),
    [TASK_PHASE_CHECK] = BIT(TASK_PHASE_DESCRIBE) | BIT(TASK_PHASE_FINISH),
    [TASK_PHASE_DESCRIBE] = BIT(TASK_PHASE_PULL) | BIT(TASK_PHASE_FINISH),
    [TASK_PHASE_PULL] = BIT(TASK_PHASE_DESCRIBE) | BIT(TASK_PHASE_PUBLISH) | BIT(TASK_PHASE_FINISH),
    [TASK_PHASE_PUBLISH] = BIT(TASK_PHASE_PULL) | BIT(TASK_PHASE_RECEIPT) | BIT(TASK_PHASE_FINISH),
    [TASK_PHASE_RECEIPT] = BIT(TASK_PHASE_FINISH),
    [TASK_PHASE_FINISH] = BIT(TASK_PHASE_ENDED),
    [TASK_PHASE_ENDED] = 0,
};

static const char *const phase_texts[TASK_PHASE_COUNT] = {
#define X(phase, text) [phase] = text,
    TASK_PHASES(X)
#undef X
};

static void phase_set(struct task *task, enum task_phase phase)
{
    ASSERT(phase_next[task->phase] & BIT(phase));
    task->phase = phase;
    task->control = 0;
    task->publishing = false;
}

/* ---- life ---- */

struct task_settings task_settings_default(const char *peer)
{
    struct task_settings settings = {
        .walk = walk_limits_default(),
        .renew_ms = LEASE_RENEW_MS,
        .commit_after_ms = TASK_COMMIT_AFTER_MS,
        .retry_pause_min_ms = TASK_RETRY_PAUSE_MIN_MS,
        .retry_pause_max_ms = TASK_RETRY_PAUSE_MAX_MS,
        .retry_total_ms = TASK_RETRY_TOTAL_MS,
    };
    snprintf(settings.peer, sizeof(settings.peer), "%s", peer);
    return settings;
}

void task_init(struct task *task, const struct task_settings *settings)
{
    *task = (struct task){.settings = *settings};
    walk_init(&task->walk, &settings->walk);
}

void task_deinit(struct task *task)
{
    walk_deinit(&task->walk);
}

void task_actions_clear(struct task_actions *actions)
{
    actions->count = 0;
}

void task_actions_deinit(struct task_actions *actions)
{
    mem_free(actions->list);
    *actions = (struct task_actions){0};
}

static struct task_action *action_add(struct task_actions *actions, enum task_action_kind kind,
                                      uint64_t request)
{
    if (actions->count == actions->capacity) {
        actions->capacity = actions->capacity == 0 ? 16 : 2 * actions->capacity;
        actions->list = mem_realloc(actions->list, actions->capacity, sizeof(struct task_action));
    }
    struct task_action *action = &actions->list[actions->count++];
    *action = (struct task_action){.kind = kind, .request = request};
    return action;
}

static void control_start(struct task *task, enum task_action_kind kind,
                          struct task_actions *actions)
{
    task->control = ++task->request_last;
    action_add(actions, kind, task->control);
}

/* ---- ends and troubles ---- */

static void walk_forget(struct task *task)
{
    task->commit_forgotten = task->commit != 0;
    walk_reset(&task->walk);
}

static void outcome_set(struct task *task, enum task_state outcome, struct task_actions *actions)
{
    walk_forget(task);
    task->renewal = 0;
    task->retry_at_ms = 0;
    task->outcome = outcome;
    if (outcome == TASK_CANCELLED)
        task->state =
            outcome; /* who asked for it has recorded that: a restart comes to the same end */
    if (task->leased)
        action_add(actions, TASK_DO_END_LEASE, 0);
    task->leased = false;
    phase_set(task, TASK_PHASE_FINISH);
}

static void task_fail(struct task *task, const struct err *err, struct task_actions *actions)
{
    task->err = *err;
    outcome_set(task, TASK_FAILED, actions);
}

static void task_fail_peer(struct task *task, const struct err *err, struct task_actions *actions)
{
    struct err named = *err;
    err_wrap(&named, "peer %s", task->settings.peer);
    task_fail(task, &named, actions);
}

/* Between min and max, doubling, the upper half by chance. */
static uint64_t pause_ms(const struct task_settings *settings, unsigned tries, uint64_t random)
{
    uint64_t pause = settings->retry_pause_min_ms;
    for (unsigned i = 1; i < tries && pause < settings->retry_pause_max_ms; i++)
        pause *= 2;
    pause += random % (pause + 1);
    return pause < settings->retry_pause_max_ms ? pause : settings->retry_pause_max_ms;
}

static bool task_paused(const struct task *task, uint64_t now_ms)
{
    return now_ms < task->retry_at_ms;
}

/* What fails while a pause runs already belongs to the same trouble. */
static void task_trouble(struct task *task, struct task_trouble *trouble,
                         const struct task_event *event, struct task_actions *actions)
{
    if (trouble->tries == 0)
        trouble->since_ms = event->now_ms;
    trouble->err = *event->err;
    if (trouble->tries > 0 && task_paused(task, event->now_ms))
        return;
    if (event->now_ms - trouble->since_ms >= task->settings.retry_total_ms) {
        if (trouble == &task->peer)
            task_fail_peer(task, event->err, actions);
        else
            task_fail(task, event->err, actions);
        return;
    }
    if (trouble->tries < UINT_MAX)
        trouble->tries++;
    uint64_t at = event->now_ms + pause_ms(&task->settings, trouble->tries, event->random);
    if (at > task->retry_at_ms)
        task->retry_at_ms = at;
}

static enum err_code event_code(const struct task_event *event)
{
    return event->err == NULL ? ERR_OK : event->err->code;
}

/* Of the disk that an answer was to be written to: ours. A peer's own comes as ERR_BUSY. */
static bool is_own_trouble(enum err_code code)
{
    return code == ERR_NO_SPACE || code == ERR_NO_DESCRIPTORS;
}

/* An error that the peer's answer, or the lack of one, brought outside of the walk. */
static void peer_error(struct task *task, const struct task_event *event,
                       struct task_actions *actions)
{
    enum err_class class = err_class(event_code(event));
    if (class == CLASS_PEER && ++task->wrong_answers >= task->settings.walk.wrong_bytes_tries)
        task_fail_peer(task, event->err, actions);
    else if (is_own_trouble(event_code(event)))
        task_trouble(task, &task->store, event, actions);
    else if (class == CLASS_PEER || class == CLASS_RETRY)
        task_trouble(task, &task->peer, event, actions);
    else
        task_fail_peer(task, event->err, actions);
}

static bool store_may_recover(const struct task *task, enum err_code code)
{
    if (code == ERR_NOT_FOUND || err_class(code) == CLASS_CORRUPT)
        return task->store.tries + 1 < task->settings.walk.wrong_bytes_tries;
    return err_class(code) == CLASS_RETRY;
}

/* An error of our own store: forget the walk, and see after a pause what is really there. */
static void store_error(struct task *task, const struct task_event *event,
                        struct task_actions *actions)
{
    if (!store_may_recover(task, event_code(event))) {
        task_fail(task, event->err, actions);
        return;
    }
    walk_forget(task);
    task_trouble(task, &task->store, event, actions);
}

static void lease_lost(struct task *task, const struct task_event *event,
                       struct task_actions *actions)
{
    task->leased = false;
    task->renewal = 0;
    if (task->phase == TASK_PHASE_PULL) /* publishing needs nothing of the peer any more */
        task_trouble(task, &task->peer, event, actions);
}

/* ---- events ---- */

typedef void event_function(struct task *task, const struct task_event *event,
                            struct task_actions *actions);

static void on_start(struct task *task, const struct task_event *event,
                     struct task_actions *actions)
{
    if (task->phase != TASK_PHASE_QUEUED)
        return;
    task->counters = event->start.counters;
    struct walk_counters *walk = &task->walk.counters;
    walk->files_moved = walk->files_planned = task->counters.files_moved;
    walk->bytes_moved = walk->bytes_planned = task->counters.bytes_moved;
    if (event->start.published) {
        task->state = TASK_DONE;
        task->leased = true; /* probably: it is ended at the end */
        phase_set(task, TASK_PHASE_RECEIPT);
    } else if (event->start.cancel || task->cancel_wanted) {
        task->state = TASK_RUNNING;
        outcome_set(task, TASK_CANCELLED, actions);
    } else {
        task->state = TASK_RUNNING;
        phase_set(task, TASK_PHASE_CHECK);
    }
}

static bool control_answered(struct task *task, const struct task_event *event,
                             enum task_phase phase)
{
    if (task->phase != phase || task->control == 0 || task->control != event->request)
        return false;
    task->control = 0;
    return true;
}

static void on_checked(struct task *task, const struct task_event *event,
                       struct task_actions *actions)
{
    if (!control_answered(task, event, TASK_PHASE_CHECK))
        return;
    enum err_code code = event_code(event);
    if (code == ERR_OK)
        phase_set(task, TASK_PHASE_DESCRIBE);
    else if (err_class(code) == CLASS_RETRY)
        task_trouble(task, &task->store, event, actions);
    else
        task_fail(task, event->err, actions);
}

static void on_described(struct task *task, const struct task_event *event,
                         struct task_actions *actions)
{
    if (!control_answered(task, event, TASK_PHASE_DESCRIBE))
        return;
    if (event_code(event) != ERR_OK) {
        peer_error(task, event, actions);
        return;
    }
    if (!digest_equal(&task->version, &event->described.version))
        walk_forget(task);
    task->version = event->described.version;
    task->counters.partitions_total = event->described.partitions;
    task->counters.rows_total = event->described.rows;
    task->counters.bytes_total = event->described.bytes;
    task->leased = true;
    task->renew_at_ms = event->now_ms + task->settings.renew_ms;
    /* A peer that grants leases and loses them again makes no progress. */
    if (task->peer.err.code != ERR_LEASE_GONE)
        task->peer.tries = 0;
    phase_set(task, TASK_PHASE_PULL);
}

static void on_renewed(struct task *task, const struct task_event *event,
                       struct task_actions *actions)
{
    if (task->renewal == 0 || task->renewal != event->request)
        return;
    task->renewal = 0;
    if (event_code(event) == ERR_OK) {
        task->renew_at_ms = event->now_ms + task->settings.renew_ms;
    } else if (event_code(event) == ERR_LEASE_GONE) {
        lease_lost(task, event, actions);
    } else if (task->phase == TASK_PHASE_PULL) {
        task->renew_at_ms = event->now_ms;
        peer_error(task, event, actions);
    }
}

static void on_planned(struct task *task, const struct task_event *event,
                       struct task_actions *actions)
{
    if (!walk_plan_known(&task->walk, event->request))
        return;
    if (event_code(event) != ERR_OK) {
        store_error(task, event, actions);
        return;
    }
    if (!walk_planned(&task->walk, event->request, &event->planned)) {
        struct err err;
        err_set(&err, ERR_PEER, "a page of the snapshot names what cannot be");
        task_fail_peer(task, &err, actions);
    }
}

static size_t results_count(const struct task_event *event, enum walk_result result)
{
    size_t count = 0;
    for (size_t i = 0; i < event->got.result_count; i++)
        count += event->got.results[i] == result;
    return count;
}

static void wrong_bytes(struct task *task, unsigned tries, const char *reason,
                        struct task_actions *actions)
{
    if (tries < task->settings.walk.wrong_bytes_tries)
        return;
    struct err err;
    err_set(&err, ERR_PEER, "%s (%u tries)", reason != NULL ? reason : "wrong bytes", tries);
    task_fail_peer(task, &err, actions);
}

static void got_results(struct task *task, const struct task_event *event,
                        struct task_actions *actions)
{
    const struct walk_request *request = walk_request_find(&task->walk, event->request);
    const char *reason = event->got.reason;
    unsigned tries;
    if (event->got.result_count != request->item_count ||
        results_count(event, WALK_LEFT) == request->item_count) {
        tries = walk_answered(&task->walk, event->request, NULL, WALK_WRONG);
        reason = "an answer without what was asked for";
    } else {
        tries = walk_answered(&task->walk, event->request, event->got.results, WALK_LEFT);
        if (results_count(event, WALK_STORED) > 0) /* from the peer: not what is held or busy */
            task->peer = (struct task_trouble){0};
    }
    wrong_bytes(task, tries, reason, actions);
}

static void on_got(struct task *task, const struct task_event *event, struct task_actions *actions)
{
    if (walk_request_find(&task->walk, event->request) == NULL)
        return;
    enum err_code code = event_code(event);
    if (code == ERR_OK) {
        got_results(task, event, actions);
        return;
    }
    enum err_class class = err_class(code);
    if (class == CLASS_PEER) {
        unsigned tries = walk_answered(&task->walk, event->request, NULL, WALK_WRONG);
        wrong_bytes(task, tries, event->err->message, actions);
        return;
    }
    walk_answered(&task->walk, event->request, NULL, WALK_LEFT);
    if (code == ERR_LEASE_GONE) {
        if (task->leased) /* the first of several answers */
            lease_lost(task, event, actions);
    } else if (is_own_trouble(code)) {
        task_trouble(task, &task->store, event, actions);
    } else if (class == CLASS_RETRY) {
        task_trouble(task, &task->peer, event, actions);
    } else {
        task_fail_peer(task, event->err, actions);
    }
}

static void on_committed(struct task *task, const struct task_event *event,
                         struct task_actions *actions)
{
    if (task->commit == 0 || task->commit != event->request)
        return;
    task->commit = 0;
    bool forgotten = task->commit_forgotten;
    task->commit_forgotten = false;
    if (forgotten)
        return;
    if (event_code(event) != ERR_OK) {
        store_error(task, event, actions);
        return;
    }
    task->store = (struct task_trouble){0};
    walk_committed(&task->walk);
}

static void on_published(struct task *task, const struct task_event *event,
                         struct task_actions *actions)
{
    if (!control_answered(task, event, TASK_PHASE_PUBLISH))
        return;
    task->publishing = false;
    enum err_code code = event_code(event);
    if (code == ERR_OK) {
        uint64_t wire_bytes = task->counters.wire_bytes; /* goes on */
        task->counters = event->counters;
        task->counters.wire_bytes = wire_bytes;
        task->walk.counters.files_moved = event->counters.files_moved;
        task->walk.counters.bytes_moved = event->counters.bytes_moved;
        task->state = TASK_DONE;
        task->peer = (struct task_trouble){0};
        phase_set(task, TASK_PHASE_RECEIPT);
    } else if (task->cancel_wanted) {
        outcome_set(task, TASK_CANCELLED, actions);
    } else if (task->withdrawn.code != ERR_OK) {
        task_fail(task, &task->withdrawn, actions);
    } else {
        phase_set(task, TASK_PHASE_PULL); /* what was relied on is looked at again */
        store_error(task, event, actions);
    }
}

static void on_receipted(struct task *task, const struct task_event *event,
                         struct task_actions *actions)
{
    if (!control_answered(task, event, TASK_PHASE_RECEIPT))
        return;
    enum err_code code = event_code(event);
    bool again = err_class(code) == CLASS_RETRY && code != ERR_LEASE_GONE;
    bool first = task->peer.tries == 0;
    if (again && (first || event->now_ms - task->peer.since_ms < task->settings.retry_total_ms))
        task_trouble(task, &task->peer, event, actions);
    else
        outcome_set(task, TASK_DONE, actions);
}

static void on_finished(struct task *task, const struct task_event *event,
                        struct task_actions *actions)
{
    (void)actions;
    if (!control_answered(task, event, TASK_PHASE_FINISH))
        return;
    if (event_code(event) != ERR_OK) { /* there is no way but to try again */
        task->store.tries = task->store.tries < 16 ? task->store.tries + 1 : 16;
        task->retry_at_ms =
            event->now_ms + pause_ms(&task->settings, task->store.tries, event->random);
        return;
    }
    if (task->outcome != TASK_DONE) { /* as recorded; DONE's were final at the publish */
        task->walk.counters.files_moved = event->counters.files_moved;
        task->walk.counters.bytes_moved = event->counters.bytes_moved;
    }
    task->state = task->outcome;
    phase_set(task, TASK_PHASE_ENDED);
}

static void on_released(struct task *task, const struct task_event *event,
                        struct task_actions *actions)
{
    (void)event;
    (void)actions;
    walk_released(&task->walk);
}

static void on_cancel(struct task *task, const struct task_event *event,
                      struct task_actions *actions)
{
    (void)event;
    task->cancel_wanted = true;
    if (task->publishing || task->phase == TASK_PHASE_RECEIPT || task->phase == TASK_PHASE_FINISH ||
        task->phase == TASK_PHASE_ENDED)
        return;
    outcome_set(task, TASK_CANCELLED, actions);
}

/* A right, or what the task stands on, went, whatever it waits for. A PUBLISH asks for itself. */
static void on_withdrawn(struct task *task, const struct task_event *event,
                         struct task_actions *actions)
{
    if (event_code(event) == ERR_OK || task->phase == TASK_PHASE_RECEIPT ||
        task->phase == TASK_PHASE_FINISH || task->phase == TASK_PHASE_ENDED)
        return;
    if (task->publishing)
        task->withdrawn = *event->err;
    else
        task_fail(task, event->err, actions);
}

static void on_tick(struct task *task, const struct task_event *event, struct task_actions *actions)
{
    (void)task;
    (void)event;
    (void)actions;
}

static event_function *const event_functions[TASK_EVENT_COUNT] = {
    [TASK_ON_START] = on_start,         [TASK_ON_CHECKED] = on_checked,
    [TASK_ON_DESCRIBED] = on_described, [TASK_ON_RENEWED] = on_renewed,
    [TASK_ON_PLANNED] = on_planned,     [TASK_ON_GOT] = on_got,
    [TASK_ON_COMMITTED] = on_committed, [TASK_ON_PUBLISHED] = on_published,
    [TASK_ON_RECEIPTED] = on_receipted, [TASK_ON_FINISHED] = on_finished,
    [TASK_ON_RELEASED] = on_released,   [TASK_ON_CANCEL] = on_cancel,
    [TASK_ON_WITHDRAWN] = on_withdrawn, [TASK_ON_TICK] = on_tick,
};

/* ---- what to do next ---- */

static void renew_next(struct task *task, uint64_t now_ms, struct task_actions *actions)
{
    if (!task->leased || task->renewal != 0 || now_ms < task->renew_at_ms)
        return;
    task->renewal = ++task->request_last;
    action_add(actions, TASK_DO_RENEW, task->renewal);
}

/* Since when something has arrived that no commit has taken: on a slow line the bytes that are due for one take long, and
 * a restart would pull them again. No timer: what makes it overdue is the next thing that arrives. */
static bool commit_overdue(struct task *task, uint64_t now_ms)
{
    if (!walk_holds(&task->walk))
        task->holds_since_ms = 0;
    else if (task->holds_since_ms == 0)
        task->holds_since_ms = now_ms;
    return task->holds_since_ms != 0 &&
           now_ms - task->holds_since_ms >= task->settings.commit_after_ms;
}

static void pull_next(struct task *task, uint64_t now_ms, bool paused, struct task_actions *actions)
{
    struct walk *walk = &task->walk;
    if (!walk->begun && !paused)
        walk_begin(walk);
    const struct walk_item *item;
    while ((item = walk_plan_next(walk, task->request_last + 1)) != NULL)
        action_add(actions, TASK_DO_PLAN, ++task->request_last)->item = item;
    const struct walk_request *want;
    while (!paused && (want = walk_request_next(walk, task->request_last + 1)) != NULL)
        action_add(actions, want->kind == WALK_PAGE ? TASK_DO_GET_PAGES : TASK_DO_GET_FILES,
                   ++task->request_last)
            ->want = want;
    bool overdue = commit_overdue(task, now_ms);
    if (task->commit == 0 && walk_commit_next(walk, paused, overdue)) {
        task->holds_since_ms = 0;
        task->commit = ++task->request_last;
        action_add(actions, TASK_DO_COMMIT, task->commit)->commit = &walk->committing;
    }
    if (walk_done(walk))
        phase_set(task, TASK_PHASE_PUBLISH);
}

static void control_next(struct task *task, enum task_action_kind kind,
                         struct task_actions *actions)
{
    if (task->control == 0)
        control_start(task, kind, actions);
}

static void task_next(struct task *task, uint64_t now_ms, struct task_actions *actions)
{
    bool paused = task_paused(task, now_ms);
    if (task->phase == TASK_PHASE_PULL && !task->leased)
        phase_set(task, TASK_PHASE_DESCRIBE);
    if (task->phase == TASK_PHASE_PULL)
        pull_next(task, now_ms, paused, actions);
    if (paused)
        return;
    task->retry_at_ms = 0;
    if (task->phase == TASK_PHASE_PULL || task->phase == TASK_PHASE_PUBLISH)
        renew_next(task, now_ms, actions);
    if (task->phase == TASK_PHASE_CHECK)
        control_next(task, TASK_DO_CHECK, actions);
    else if (task->phase == TASK_PHASE_DESCRIBE)
        control_next(task, TASK_DO_DESCRIBE, actions);
    else if (task->phase == TASK_PHASE_PUBLISH) {
        task->publishing = true;
        control_next(task, TASK_DO_PUBLISH, actions);
    } else if (task->phase == TASK_PHASE_RECEIPT)
        control_next(task, TASK_DO_RECEIPT, actions);
    else if (task->phase == TASK_PHASE_FINISH && task->commit == 0)
        control_next(task, TASK_DO_FINISH, actions); /* a commit that runs comes to its end first */
}

void task_step(struct task *task, const struct task_event *event, struct task_actions *actions)
{
    if (event->kind >= TASK_EVENT_COUNT || task->phase == TASK_PHASE_ENDED)
        return;
    task->counters.wire_bytes += event->wire_bytes;
    event_functions[event->kind](task, event, actions);
    task->counters.files_moved = task->walk.counters.files_moved;
    task->counters.bytes_moved = task->walk.counters.bytes_moved;
    task_next(task, event->now_ms, actions);
}

/* ---- questions ---- */

uint64_t task_wake_ms(const struct task *task)
{
    if (task->retry_at_ms != 0 && task->phase != TASK_PHASE_ENDED)
        return task->retry_at_ms; /* also what renewing waits for */
    bool renews = task->phase == TASK_PHASE_PULL || task->phase == TASK_PHASE_PUBLISH;
    return renews && task->leased && task->renewal == 0 ? task->renew_at_ms : UINT64_MAX;
}

bool task_ended(const struct task *task)
{
    return task->phase == TASK_PHASE_ENDED;
}

bool task_waits(const struct task *task)
{
    return (task->peer.tries > 0 || task->store.tries > 0) && task->phase != TASK_PHASE_ENDED;
}

const char *task_state_name(enum task_state state)
{
    static const char *const names[] = {
        [TASK_QUEUED] = "QUEUED", [TASK_RUNNING] = "RUNNING",     [TASK_DONE] = "DONE",
        [TASK_FAILED] = "FAILED", [TASK_CANCELLED] = "CANCELLED",
    };
    return names[state];
}

const char *task_phase_format(const struct task *task, uint64_t now_ms, char *ret_out,
                              size_t out_bytes)
{
    const struct task_trouble *trouble = task->peer.tries > 0 ? &task->peer : &task->store;
    if (!task_waits(task)) {
        snprintf(ret_out, out_bytes, "%s", phase_texts[task->phase]);
        return ret_out;
    }
    bool is_peer = trouble == &task->peer;
    uint64_t seconds = (now_ms - trouble->since_ms) / 1000;
    snprintf(ret_out, out_bytes, "waiting for %s%s since %" PRIu64 " s: %s",
             is_peer ? "peer " : "this node's store", is_peer ? task->settings.peer : "", seconds,
             trouble->err.message);
    return ret_out;
}
