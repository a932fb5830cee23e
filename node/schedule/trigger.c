#include "node/schedule/trigger.h"

#include <pthread.h>
#include <sys/queue.h>

#include "node/log.h"
#include "node/schedule/plan.h"
#include "node/schedule/runner.h"
#include "node/statement/lookup.h"
#include "node/task/meter.h"
#include "node/task/peer_watches.h"
#include "store/crash.h"

#define DEADLINE_MORE_MS 15000 /* beside the wait */
#define REPLY_BYTES      KIB(64)
#define TAKE_ARENA_BYTES (4 * CATALOG_ARENA_BYTES)
#define FIRE_TRIES       8
#define TOLD_EVERY_MS    30000
#define FAST_ANSWER_PART                                                                           \
    4 /* an answer of nothing within a fourth of the wait was none of waiting */

struct trigger {
    TAILQ_ENTRY(trigger) link;
    struct triggers *triggers;
    bool wanted; /* lock: its schedule is there; else it goes with its turn, as the next */
    bool busy;   /* has a request, job or timer */
    /* constant */
    uint64_t schedule;
    struct project_id project;
    struct bytes name, token, table, region;
    uint64_t begun_ms; /* what was made until then is passed over */
    bool waits;        /* the source holds its requests */
    /* of who has the turn */
    struct loop_timer timer;
    uint64_t after;
    uint64_t asked_ms;
    uint32_t pause_ms;
    bool met; /* the source has answered since the last failure: it may hold the next request */
    struct err err;
    struct bytes body;
    uint64_t newest_ms, told_ms;
    struct trigger_status status; /* lock */
};
TAILQ_HEAD(trigger_list, trigger);

struct triggers {
    struct triggers_options options;
    pthread_mutex_t lock;
    struct trigger_list list;
    bool stopped;
    bool looking, again; /* lock */
};

/* ---- life of one ---- */

static void trigger_free(struct trigger *trigger)
{
    bytes_deinit(&trigger->name);
    bytes_deinit(&trigger->token);
    bytes_deinit(&trigger->table);
    bytes_deinit(&trigger->region);
    bytes_deinit(&trigger->body);
    mem_free(trigger);
}

/* Gives up its turn: nothing of it is under way any more. */
static void trigger_rest(struct trigger *trigger)
{
    struct triggers *triggers = trigger->triggers;
    pthread_mutex_lock(&triggers->lock);
    trigger->busy = false;
    bool goes = !trigger->wanted;
    if (goes)
        TAILQ_REMOVE(&triggers->list, trigger, link);
    pthread_mutex_unlock(&triggers->lock);
    if (goes)
        trigger_free(trigger);
}

static bool trigger_goes_on(struct trigger *trigger)
{
    struct triggers *triggers = trigger->triggers;
    pthread_mutex_lock(&triggers->lock);
    bool goes_on = trigger->wanted && !triggers->stopped;
    pthread_mutex_unlock(&triggers->lock);
    return goes_on;
}

/* ---- pauses ---- */

static void trigger_ask(struct trigger *trigger);

static void on_timer(void *argument)
{
    trigger_ask(argument);
}

static void timer_start(void *argument)
{
    struct trigger *trigger = argument;
    if (trigger_goes_on(trigger))
        loop_timer_start(trigger->triggers->options.loop, &trigger->timer, trigger->pause_ms);
    else
        trigger_rest(trigger);
}

static void trigger_pause(struct trigger *trigger, uint32_t pause_ms)
{
    trigger->pause_ms = pause_ms;
    if (!loop_post(trigger->triggers->options.loop, timer_start, trigger))
        trigger_rest(trigger);
}

static void status_set(struct trigger *trigger, const struct err *trouble)
{
    pthread_mutex_lock(&trigger->triggers->lock);
    trigger->status.trouble = *trouble;
    if (trouble->code == ERR_OK)
        trigger->status.answered_ms = statement_now_ms();
    pthread_mutex_unlock(&trigger->triggers->lock);
}

static void trigger_failed(struct trigger *trigger, const struct err *err)
{
    uint32_t pause_ms =
        trigger->pause_ms < TRIGGER_PAUSE_MS ? TRIGGER_PAUSE_MS : 2 * trigger->pause_ms;
    trigger->met = false;
    status_set(trigger, err);
    trigger_pause(trigger, pause_ms < TRIGGER_PAUSE_MS_MAX ? pause_ms : TRIGGER_PAUSE_MS_MAX);
}

/* ---- firing ---- */

struct firing {
    struct trigger *trigger;
    const struct schedule *schedule;
    const struct peer_watched *watched;
};

static bool is_fired(const struct firing *firing, size_t at)
{
    const struct peer_watched *watched = firing->watched;
    uint64_t made_ms = watched->snapshots[at].created_ms;
    switch (firing->schedule->missed) {
    case MISSED_RUNS_ALL:
        return true;
    case MISSED_RUNS_SKIP:
        return made_ms + PLAN_ON_TIME_S * 1000 >= statement_now_ms();
    case MISSED_RUNS_LATEST:
        break;
    }
    return at == watched->snapshot_count - 1;
}

/* When the source says it was made, but not later than now: nobody's clock puts a run off. */
static int64_t planned_of(const struct peer_watched_snapshot *snapshot)
{
    uint64_t now_ms = statement_now_ms();
    return (int64_t)((snapshot->created_ms < now_ms ? snapshot->created_ms : now_ms) / 1000);
}

/* In one commit with the number of the last of them. ERR_CONFLICT: a run or another ask came between. */
static enum err_code fire_once(const struct firing *firing, struct err *err)
{
    const struct peer_watched *watched = firing->watched;
    const struct schedule *schedule = firing->schedule;
    struct schedule_run runs[LIMIT_PEER_WATCHED];
    size_t count = 0;
    for (size_t i = 0; i < watched->snapshot_count; i++) {
        int64_t planned_s = planned_of(&watched->snapshots[i]);
        if (!is_fired(firing, i) || planned_s < schedule->from_s || planned_s > schedule->to_s)
            continue;
        runs[count++] = (struct schedule_run){.planned_s = planned_s,
                                              .cause = RUN_OF_SNAPSHOT,
                                              .state = RUN_QUEUED,
                                              .created_ms = statement_now_ms(),
                                              .snapshot = watched->snapshots[i].name};
    }
    return schedule_runs_fire(firing->trigger->triggers->options.store, schedule, runs, count,
                              firing->trigger->after,
                              watched->snapshots[watched->snapshot_count - 1].number, err);
}

/* The schedule as it is now; ERR_NOT_FOUND: it is another, or paused. */
static enum err_code schedule_now(struct trigger *trigger, struct arena *arena,
                                  struct schedule *ret_schedule, struct err *err)
{
    TRY(schedule_find(trigger->triggers->options.store, trigger->project,
                      bytes_span(&trigger->name), arena, ret_schedule, err));
    return ret_schedule->id == trigger->schedule && !ret_schedule->paused
               ? ERR_OK
               : err_set(err, ERR_NOT_FOUND, "the schedule is gone, or paused");
}

static enum err_code pending_count(void *context, uint64_t schedule, const struct schedule_run *run,
                                   struct err *err)
{
    size_t *count = context;
    (void)schedule;
    (void)run;
    (void)err;
    ++*count;
    return ERR_OK;
}

/* Runs that come faster than they end wait at the source. */
static enum err_code room_check(const struct trigger *trigger, struct err *err)
{
    size_t count = 0;
    TRY(schedule_run_each(trigger->triggers->options.store, trigger->schedule, false, pending_count,
                          &count, err));
    return count + LIMIT_PEER_WATCHED <= RUNNER_PENDING_MAX
               ? ERR_OK
               : err_set(err, ERR_BUSY, "%zu of its runs have not ended", count);
}

static enum err_code trigger_fire(struct trigger *trigger, const struct peer_watched *watched,
                                  struct arena *arena, struct err *err)
{
    const struct triggers_options *options = &trigger->triggers->options;
    struct schedule schedule;
    const struct firing firing = {trigger, &schedule, watched};
    enum err_code code = ERR_CONFLICT;
    TRY(room_check(trigger, err));
    for (int i = 0; i < FIRE_TRIES && code == ERR_CONFLICT; i++) {
        uint64_t known;
        TRY(schedule_now(trigger, arena, &schedule, err));
        TRY(schedule_fired_get(options->store, &schedule, &known, err));
        if (known != trigger->after) { /* by an ask of before: this answer is an old one */
            trigger->after = known;
            return ERR_OK;
        }
        code = fire_once(&firing, err);
    }
    TRY(code);
    CRASH_POINT(CRASH_TRIGGER_FIRED);
    trigger->after = watched->snapshots[watched->snapshot_count - 1].number;
    options->on_fired(options->context);
    return ERR_OK;
}

/* ---- what the source's newest is ---- */

static enum err_code newest_put(struct trigger *trigger, const struct peer_watched *watched,
                                struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint64_t now_ms = statement_now_ms();
    bool again = watched->newest_ms == trigger->newest_ms &&
                 now_ms < trigger->told_ms + TOLD_EVERY_MS && now_ms >= trigger->told_ms;
    if (watched->table.n == 0 || watched->newest_ms == 0 || again)
        return ERR_OK;
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    struct store *store = trigger->triggers->options.store;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(project_get(store, NULL, trigger->project, &arena, &project, err));
    const struct meter_newest newest = {.account = project.owner,
                                        .table = watched->table,
                                        .region = bytes_span(&trigger->region),
                                        .made_ms = watched->newest_ms,
                                        .told_ms = now_ms};
    meter_newest_put(&change, &newest);
    TRY(catalog_commit(store, &change, CATALOG_USE_RESERVE, err));
    trigger->newest_ms = watched->newest_ms;
    trigger->told_ms = now_ms;
    return ERR_OK;
}

/* ---- an answer ---- */

/* The source's word is checked against the question. */
static enum err_code answer_take(struct trigger *trigger, bool *ret_any, struct err *err)
{
    struct peer_watched watched;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, TAKE_ARENA_BYTES);
    TRY(peer_watched_decode(bytes_span(&trigger->body), &arena, &watched, err));
    *ret_any = watched.snapshot_count > 0;
    for (size_t i = 0; i < watched.snapshot_count; i++) {
        const struct peer_watched_snapshot *snapshot = &watched.snapshots[i];
        if (snapshot->number <= trigger->after || !name_valid(snapshot->name)) /* goes into SQL */
            return err_set(err, ERR_PEER, "peer %.*s told of a snapshot that is none, or known",
                           SPAN_PRINTF(bytes_span(&trigger->region)));
    }
    TRY(newest_put(trigger, &watched, err));
    return *ret_any ? trigger_fire(trigger, &watched, &arena, err) : ERR_OK;
}

static uint32_t wait_ms(const struct trigger *trigger)
{
    uint32_t most_ms = trigger->triggers->options.wait_ms;
    if (!trigger->waits || !trigger->met)
        return 0; /* the first answer is had at once: an error is known then, and its end */
    return most_ms != 0 ? most_ms : PEER_WATCH_WAIT_MAX_MS;
}

/* It goes on by itself, once that program was replaced. */
static void older_tell(const struct trigger *trigger, struct err *err)
{
    struct err said = *err;
    err_set(err, ERR_VERSION,
            "the program of region %.*s is older and cannot tell of snapshots: replace it (%s)",
            SPAN_PRINTF(bytes_span(&trigger->region)), said.message);
}

static void take_on_worker(void *argument)
{
    struct trigger *trigger = argument;
    struct err err = trigger->err;
    bool any = false;
    if (err.code == ERR_OK && answer_take(trigger, &any, &err) == ERR_OK)
        err = (struct err){0};
    bytes_clear(&trigger->body);
    if (err.code == ERR_VERSION)
        older_tell(trigger, &err);
    if (err.code != ERR_OK) {
        trigger_failed(trigger, &err);
        return;
    }
    status_set(trigger, &err);
    trigger->pause_ms = 0;
    bool held = loop_now_ms() - trigger->asked_ms >= wait_ms(trigger) / FAST_ANSWER_PART;
    trigger->met = true;
    if (any || (held && trigger->waits))
        trigger_ask(trigger);
    else
        trigger_pause(trigger, TRIGGER_POLL_MS);
}

/* On a link worker: handed on. */
static void on_reply(void *context, const struct link_reply *reply)
{
    struct trigger *trigger = context;
    struct err err;
    trigger->err = reply->err;
    bytes_clear(&trigger->body);
    if (reply->err.code == ERR_OK)
        bytes_append_span(&trigger->body, reply->body);
    if (!trigger_goes_on(trigger))
        trigger_rest(trigger);
    else if (workers_post(trigger->triggers->options.workers, take_on_worker, trigger, &err) !=
             ERR_OK)
        trigger_failed(trigger, &err);
}

/* ---- asking ---- */

/* False: the node stops, or its schedule is gone. on_reply may have run before this returns. */
static bool request_post(struct trigger *trigger, struct span header)
{
    struct triggers *triggers = trigger->triggers;
    struct peer *peer = peers_find_region(triggers->options.peers, bytes_span(&trigger->region));
    const struct link_request request = {.method = PEER_WATCH,
                                         .header = header,
                                         .reply_body_bytes = REPLY_BYTES,
                                         .deadline_ms = wait_ms(trigger) + DEADLINE_MORE_MS,
                                         .on_reply = on_reply,
                                         .context = trigger};
    pthread_mutex_lock(&triggers->lock);
    bool posts = !triggers->stopped && trigger->wanted;
    bool unknown = posts && (peer == NULL || peer->link == NULL);
    if (posts && !unknown)
        link_post(peer->link, &request); /* under the lock: links close after triggers_stop */
    pthread_mutex_unlock(&triggers->lock);
    if (unknown) {
        struct err err;
        (void)!peers_unknown(triggers->options.peers, bytes_span(&trigger->region), &err);
        trigger_failed(trigger, &err);
    }
    return posts;
}

/* Any thread but a link's. */
static void trigger_ask(struct trigger *trigger)
{
    BYTES_CLEANUP struct bytes header = {0};
    const struct peer_watch watch = {.token = bytes_span(&trigger->token),
                                     .table = bytes_span(&trigger->table),
                                     .after = trigger->after,
                                     .since_ms = trigger->begun_ms,
                                     .wait_ms = wait_ms(trigger)};
    peer_watch_encode(&watch, &header);
    trigger->asked_ms = loop_now_ms();
    if (!request_post(trigger, bytes_span(&header)))
        trigger_rest(trigger);
}

/* ---- which there are ---- */

/* The token with which its creator lets it watch. */
static struct span watch_token(const struct schedule *schedule)
{
    for (size_t i = 0; i < schedule->token_count; i++) {
        struct token token;
        if (token_decode(schedule->tokens[i], &token, NULL) == ERR_OK &&
            (token.rights & TOKEN_WATCH) != 0 &&
            span_equal(token.source.region, schedule->trigger_region))
            return schedule->tokens[i];
    }
    return span_of(NULL, 0);
}

static struct trigger *trigger_of(struct triggers *triggers, uint64_t schedule)
{
    struct trigger *trigger;
    TAILQ_FOREACH(trigger, &triggers->list, link)
    {
        if (trigger->wanted && trigger->schedule == schedule)
            return trigger;
    }
    return NULL;
}

static size_t count_of(struct triggers *triggers, struct span region)
{
    struct trigger *trigger;
    size_t count = 0;
    TAILQ_FOREACH(trigger, &triggers->list, link)
    {
        count +=
            trigger->wanted && trigger->waits && span_equal(bytes_span(&trigger->region), region);
    }
    return count;
}

struct found { /* schedules that have a trigger now */
    struct triggers *triggers;
    struct bytes ids; /* u64 each */
};

static enum err_code trigger_make(struct triggers *triggers, struct project_id project,
                                  const struct schedule *schedule, struct err *err)
{
    uint64_t known;
    int64_t until_s;
    TRY(schedule_fired_get(triggers->options.store, schedule, &known, err));
    TRY(schedule_until_get(triggers->options.store, schedule, &until_s, err));
    struct trigger *trigger = mem_calloc(1, sizeof(*trigger));
    trigger->triggers = triggers;
    trigger->schedule = schedule->id;
    trigger->project = project;
    trigger->timer = (struct loop_timer){.run = on_timer, .argument = trigger};
    trigger->after = known;
    trigger->begun_ms = schedule->created_ms;
    if (schedule->cron.len == 0 && until_s > 0 && (uint64_t)until_s * 1000 > trigger->begun_ms)
        trigger->begun_ms = (uint64_t)until_s * 1000; /* resumed: not what was made meanwhile */
    bytes_append_span(&trigger->name, schedule->name);
    bytes_append_span(&trigger->token, watch_token(schedule));
    bytes_append_span(&trigger->table, schedule->trigger_table);
    bytes_append_span(&trigger->region, schedule->trigger_region);
    pthread_mutex_lock(&triggers->lock);
    trigger->waits = count_of(triggers, schedule->trigger_region) < PEER_WATCHES_PARKED;
    trigger->wanted = trigger->busy = true;
    TAILQ_INSERT_TAIL(&triggers->list, trigger, link);
    pthread_mutex_unlock(&triggers->lock);
    trigger_ask(trigger);
    return ERR_OK;
}

static enum err_code schedule_look(void *context, struct project_id project,
                                   const struct schedule *schedule, struct err *err)
{
    struct found *found = context;
    if (schedule->trigger_table.len == 0 || schedule->paused || watch_token(schedule).len == 0)
        return ERR_OK;
    bytes_append_u64(&found->ids, schedule->id);
    pthread_mutex_lock(&found->triggers->lock);
    bool known = trigger_of(found->triggers, schedule->id) != NULL;
    pthread_mutex_unlock(&found->triggers->lock);
    return known ? ERR_OK : trigger_make(found->triggers, project, schedule, err);
}

static bool id_found(const struct found *found, uint64_t id)
{
    for (size_t at = 0; at < found->ids.len; at += 8)
        if (load_u64(found->ids.data + at) == id)
            return true;
    return false;
}

/* A trigger that goes while it is asked or waits ends by itself. */
static void triggers_cut(struct triggers *triggers, const struct found *found)
{
    struct trigger *trigger, *next;
    struct trigger_list gone = TAILQ_HEAD_INITIALIZER(gone);
    pthread_mutex_lock(&triggers->lock);
    for (trigger = TAILQ_FIRST(&triggers->list); trigger != NULL; trigger = next) {
        next = TAILQ_NEXT(trigger, link);
        if (id_found(found, trigger->schedule))
            continue;
        trigger->wanted = false;
        if (trigger->busy)
            continue;
        TAILQ_REMOVE(&triggers->list, trigger, link);
        TAILQ_INSERT_TAIL(&gone, trigger, link);
    }
    pthread_mutex_unlock(&triggers->lock);
    while ((trigger = TAILQ_FIRST(&gone)) != NULL) {
        TAILQ_REMOVE(&gone, trigger, link);
        trigger_free(trigger);
    }
}

static enum err_code look(struct triggers *triggers, struct err *err)
{
    struct found found = {.triggers = triggers};
    size_t damaged; /* the runner tells of them */
    enum err_code code = schedule_each(triggers->options.store, (struct project_id){0},
                                       schedule_look, &found, &damaged, err);
    if (code == ERR_OK)
        triggers_cut(triggers, &found);
    bytes_deinit(&found.ids);
    return code;
}

/* One at a time; what changed meanwhile is looked at again. */
static void look_on_worker(void *argument)
{
    struct triggers *triggers = argument;
    bool again = true;
    while (again) {
        struct err err;
        pthread_mutex_lock(&triggers->lock);
        triggers->again = false;
        pthread_mutex_unlock(&triggers->lock);
        if (look(triggers, &err) != ERR_OK)
            log_error("schedules that wait for a snapshot could not be looked at", &err);
        pthread_mutex_lock(&triggers->lock);
        again = triggers->again && !triggers->stopped;
        triggers->looking = again;
        pthread_mutex_unlock(&triggers->lock);
    }
}

void triggers_changed(struct triggers *triggers)
{
    struct err err;
    if (triggers == NULL)
        return;
    pthread_mutex_lock(&triggers->lock);
    bool post = !triggers->looking && !triggers->stopped;
    triggers->again = true;
    triggers->looking = triggers->looking || post;
    pthread_mutex_unlock(&triggers->lock);
    if (!post || workers_post(triggers->options.workers, look_on_worker, triggers, &err) == ERR_OK)
        return;
    pthread_mutex_lock(&triggers->lock);
    triggers->looking = false;
    pthread_mutex_unlock(&triggers->lock);
    log_error("schedules that wait for a snapshot are looked at later", &err);
}

bool trigger_status_get(struct triggers *triggers, uint64_t schedule,
                        struct trigger_status *ret_status)
{
    if (triggers == NULL)
        return false;
    pthread_mutex_lock(&triggers->lock);
    const struct trigger *trigger = trigger_of(triggers, schedule);
    if (trigger != NULL)
        *ret_status = trigger->status;
    pthread_mutex_unlock(&triggers->lock);
    return trigger != NULL;
}

/* ---- all of them ---- */

enum err_code triggers_open(const struct triggers_options *options, struct triggers **ret_triggers,
                            struct err *err)
{
    (void)err;
    struct triggers *triggers = mem_calloc(1, sizeof(*triggers));
    triggers->options = *options;
    pthread_mutex_init(&triggers->lock, NULL);
    TAILQ_INIT(&triggers->list);
    *ret_triggers = triggers;
    triggers_changed(triggers);
    return ERR_OK;
}

static void timers_cancel(void *argument)
{
    struct triggers *triggers = argument;
    struct trigger *trigger;
    pthread_mutex_lock(&triggers->lock);
    TAILQ_FOREACH(trigger, &triggers->list, link)
    {
        loop_timer_cancel(triggers->options.loop, &trigger->timer);
    }
    pthread_mutex_unlock(&triggers->lock);
}

void triggers_stop(struct triggers *triggers)
{
    if (triggers == NULL)
        return;
    pthread_mutex_lock(&triggers->lock);
    triggers->stopped = true;
    pthread_mutex_unlock(&triggers->lock);
    loop_call(triggers->options.loop, timers_cancel, triggers);
}

void triggers_free(struct triggers *triggers)
{
    if (triggers == NULL)
        return;
    struct trigger *trigger;
    while ((trigger = TAILQ_FIRST(&triggers->list)) != NULL) {
        TAILQ_REMOVE(&triggers->list, trigger, link);
        trigger_free(trigger);
    }
    pthread_mutex_destroy(&triggers->lock);
    mem_free(triggers);
}
