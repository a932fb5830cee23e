#include "node/schedule/runner.h"

#include <pthread.h>

#include "node/log.h"
#include "node/schedule/plan.h"
#include "node/schedule/step.h"
#include "node/sql/lexer.h"
#include "node/statement/lookup.h"
#include "proto/type.h"
#include "store/crash.h"

#define DAY_S           INT64_C(86400)
#define SWEEP_EVERY_S   3600
#define SWEEP_AGAIN_S   60 /* what is found gone */
#define KEPT_MS         (UINT64_C(1000) * SCHEDULE_RUNS_KEPT_DAYS * DAY_S)
#define WAITS_S_MAX     (SCHEDULE_RUNS_KEPT_DAYS * DAY_S)
#define LATE_SNAPSHOT_S DAY_S /* a run of the clock later than this makes no snapshots */
#define LOAD_AGAIN_S    60
#define SWEEP_STEPS_MAX 100

struct known_zone {
    struct known_zone *next;
    char name[ZONE_NAME_BYTES_MAX + 1];
    struct zone *zone;
};

/* A run that has not ended. */
struct pending {
    struct bytes record; /* what `run` borrows from, and what the store holds */
    struct schedule_run run;
};

/* A schedule, but for its statements. */
struct entry {
    struct project_id project;
    struct bytes record; /* what `schedule` borrows from */
    struct arena arena;
    struct schedule schedule;
    bool has_plan; /* its cron, and the zone is there */
    struct plan plan;
    int64_t until_s;
    bool has_next;
    int64_t next_s;
    struct pending *pending;
    size_t pending_count;
    bool gone; /* dropped with its project just now */
};

/* A run that goes. Its own from its begin on: entries come and go under it. */
struct active {
    struct active *next;
    struct runner *runner;
    struct project_id project;
    struct bytes record; /* of the schedule */
    struct arena arena;
    struct schedule schedule;
    struct bytes project_name;
    int64_t planned_local_s;
    bool past;
    struct bytes run_record;
    struct schedule_run run;
    struct step *step;
    atomic_bool working; /* a worker is in it, and all of this is the worker's; else the pass's */
    bool waits;          /* for a task */
    bool over;
};

struct runner {
    struct runner_options options;
    struct loop_timer timer;
    atomic_bool changed;
    atomic_bool stopping;
    atomic_bool cancel;   /* of what reads */
    atomic_bool posted;   /* a pass */
    pthread_mutex_t lock; /* jobs */
    pthread_cond_t idle;
    size_t jobs;           /* posted and not ended */
    struct entry *entries; /* by project and folded name */
    size_t entry_count;
    size_t turn; /* the first entry that is looked at */
    struct active *actives;
    size_t active_count;
    struct known_zone *zones;
    int64_t swept_s;
    int64_t load_after_s; /* the last one failed */
    atomic_bool busy;     /* a run waits for a task */
};

static struct store *store_of(const struct runner *runner)
{
    return runner->options.services->store;
}

static uint64_t now_ms(const struct runner *runner)
{
    return runner->options.now_ms(runner->options.context);
}

static int64_t now_s(const struct runner *runner)
{
    return (int64_t)(now_ms(runner) / 1000);
}

/* ---- jobs ---- */

static void job_end(struct runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    if (--runner->jobs == 0)
        pthread_cond_broadcast(&runner->idle);
    pthread_mutex_unlock(&runner->lock);
}

static bool job_post(struct runner *runner, workers_function job, void *argument)
{
    pthread_mutex_lock(&runner->lock);
    runner->jobs++;
    pthread_mutex_unlock(&runner->lock);
    if (workers_post(runner->options.workers, job, argument, NULL) == ERR_OK)
        return true;
    job_end(runner);
    return false;
}

static void jobs_wait(struct runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    while (runner->jobs > 0)
        pthread_cond_wait(&runner->idle, &runner->lock);
    pthread_mutex_unlock(&runner->lock);
}

/* ---- copies ---- */

static enum err_code schedule_copy(const struct schedule *schedule, struct bytes *record,
                                   struct arena *arena, struct schedule *ret_copy, struct err *err)
{
    bytes_clear(record);
    schedule_record_encode(schedule, record);
    return schedule_record_decode(bytes_span(record), arena, ret_copy, err);
}

/* run may borrow from the record. */
static void run_copy(const struct schedule_run *run, struct bytes *record,
                     struct schedule_run *ret_copy)
{
    struct bytes encoded = {0};
    struct err err;
    schedule_run_encode(run, &encoded);
    bytes_deinit(record);
    *record = encoded;
    enum err_code code = schedule_run_decode(bytes_span(record), ret_copy, &err);
    ASSERT(code == ERR_OK);
}

/* ---- zones and plans ---- */

/* Kept: there are a few hundred. */
static const struct zone *zone_known(struct runner *runner, struct span name)
{
    struct err err;
    struct zone *zone;
    for (struct known_zone *known = runner->zones; known != NULL; known = known->next) {
        if (span_equal(name, span_text(known->name)))
            return known->zone;
    }
    if (zone_open(name, &zone, &err) != ERR_OK) {
        log_error("a schedule's time zone is gone: it does not run", &err);
        return NULL;
    }
    struct known_zone *known = mem_calloc(1, sizeof(*known));
    snprintf(known->name, sizeof(known->name), "%.*s", SPAN_PRINTF(name));
    known->zone = zone;
    known->next = runner->zones;
    runner->zones = known;
    return zone;
}

static bool plan_of(const struct schedule *schedule, const struct zone *zone, struct plan *ret_plan)
{
    struct err err;
    if (zone == NULL || schedule->cron.len == 0)
        return false;
    *ret_plan = (struct plan){.zone = zone, .from_s = schedule->from_s, .to_s = schedule->to_s};
    return cron_parse(schedule->cron, &ret_plan->cron, &err) == ERR_OK;
}

bool schedule_next_s(const struct schedule *schedule, int64_t after_s, int64_t *ret_s)
{
    ZONE_CLEANUP struct zone *zone = NULL;
    struct plan plan;
    struct err err;
    return !schedule->paused && schedule->cron.len > 0 &&
           zone_open(schedule->timezone, &zone, &err) == ERR_OK && plan_of(schedule, zone, &plan) &&
           plan_next(&plan, after_s, ret_s);
}

/* ---- what there is ---- */

static void pending_free(struct entry *entry)
{
    for (size_t i = 0; i < entry->pending_count; i++)
        bytes_deinit(&entry->pending[i].record);
    mem_free(entry->pending);
    entry->pending = NULL;
    entry->pending_count = 0;
}

static void entries_free(struct runner *runner)
{
    for (size_t i = 0; i < runner->entry_count; i++) {
        pending_free(&runner->entries[i]);
        bytes_deinit(&runner->entries[i].record);
        arena_deinit(&runner->entries[i].arena);
    }
    mem_free(runner->entries);
    runner->entries = NULL;
    runner->entry_count = 0;
}

static enum err_code take_pending(void *context, uint64_t schedule, const struct schedule_run *run,
                                  struct err *err)
{
    struct entry *entry = context;
    (void)schedule;
    (void)err;
    entry->pending = mem_realloc(entry->pending, entry->pending_count + 1, sizeof(*entry->pending));
    struct pending *pending = &entry->pending[entry->pending_count++];
    *pending = (struct pending){0};
    run_copy(run, &pending->record, &pending->run);
    return ERR_OK;
}

static enum err_code pending_load(struct runner *runner, struct entry *entry, struct err *err)
{
    pending_free(entry);
    return schedule_run_each(store_of(runner), entry->schedule.id, false, take_pending, entry, err);
}

static enum err_code take_entry(void *context, struct project_id project,
                                const struct schedule *schedule, struct err *err)
{
    struct runner *runner = context;
    struct schedule short_one = *schedule; /* its statements are read when it runs */
    struct span none = {0};
    short_one.steps = &none;
    short_one.step_count = 1;
    short_one.token_count = 0;
    short_one.variable_count = 0;
    runner->entries =
        mem_realloc(runner->entries, runner->entry_count + 1, sizeof(*runner->entries));
    struct entry *entry = &runner->entries[runner->entry_count++];
    *entry = (struct entry){.project = project};
    arena_init(&entry->arena, SCHEDULE_ARENA_BYTES);
    TRY(schedule_copy(&short_one, &entry->record, &entry->arena, &entry->schedule, err));
    entry->has_plan =
        plan_of(&entry->schedule, zone_known(runner, entry->schedule.timezone), &entry->plan);
    TRY(schedule_until_get(store_of(runner), &entry->schedule, &entry->until_s, err));
    entry->has_next = entry->has_plan && plan_next(&entry->plan, entry->until_s, &entry->next_s);
    return ERR_OK;
}

static struct entry *entry_of(struct runner *runner, uint64_t id)
{
    for (size_t i = 0; i < runner->entry_count; i++) {
        if (runner->entries[i].schedule.id == id)
            return &runner->entries[i];
    }
    return NULL;
}

static enum err_code entries_load(struct runner *runner, struct err *err)
{
    size_t damaged;
    entries_free(runner);
    TRY(schedule_each(store_of(runner), (struct project_id){0}, take_entry, runner, &damaged, err));
    if (damaged > 0)
        log_event(LOG_ERROR, "schedules whose records are damaged do not run",
                  LOG_NUMBER("schedules", damaged));
    for (size_t i = 0; i < runner->entry_count; i++) {
        struct entry *entry = &runner->entries[i];
        if (pending_load(runner, entry, err) == ERR_OK)
            continue;
        log_error("a schedule whose runs cannot be read does not run", err);
        pending_free(entry);
        entry->has_plan = false;
    }
    return ERR_OK;
}

/* ---- what goes: histories that are too long, what was dropped ---- */

static void sweep_one(struct runner *runner, uint64_t id, bool gone)
{
    uint64_t at_ms = now_ms(runner);
    bool more = true;
    for (size_t i = 0; more && i < SWEEP_STEPS_MAX; i++) {
        struct err err;
        if (schedule_sweep(store_of(runner), id, at_ms > KEPT_MS ? at_ms - KEPT_MS : 0, gone, &more,
                           &err) != ERR_OK) {
            log_error("a schedule's history could not be swept", &err);
            return;
        }
    }
}

struct ids {
    uint64_t *items;
    size_t count;
};

static enum err_code take_id(void *context, uint64_t schedule, struct err *err)
{
    struct ids *ids = context;
    (void)err;
    ids->items = mem_realloc(ids->items, ids->count + 1, sizeof(*ids->items));
    ids->items[ids->count++] = schedule;
    return ERR_OK;
}

/* Schedules of projects that were dropped go, and with them their runs. */
static void projects_look(struct runner *runner)
{
    for (size_t i = 0; i < runner->entry_count; i++) {
        struct entry *entry = &runner->entries[i];
        ARENA_CLEANUP struct arena arena;
        struct project_record project;
        struct err err;
        arena_init(&arena, CATALOG_ARENA_BYTES);
        enum err_code code =
            project_get(store_of(runner), NULL, entry->project, &arena, &project, &err);
        const struct change_note note = {.now_ms = now_ms(runner),
                                         .principal = entry->schedule.creator};
        if (code != ERR_NOT_FOUND || schedule_drop(store_of(runner), entry->project,
                                                   &entry->schedule, &note, &err) != ERR_OK)
            continue;
        entry->gone = true;
        atomic_store(&runner->changed, true);
    }
}

static void sweep(struct runner *runner)
{
    struct ids ids = {0};
    struct err err;
    projects_look(runner);
    if (schedule_ids_each(store_of(runner), take_id, &ids, &err) != ERR_OK)
        log_error("schedules could not be swept", &err);
    for (size_t i = 0; i < ids.count; i++) {
        const struct entry *entry = entry_of(runner, ids.items[i]);
        sweep_one(runner, ids.items[i], entry == NULL || entry->gone);
    }
    mem_free(ids.items);
    runner->swept_s = now_s(runner);
}

/* ---- due ---- */

static void run_plan(struct runner *runner, struct entry *entry, int64_t at_s)
{
    struct plan_due due;
    struct schedule_run runs[PLAN_DUE_MAX + 1];
    size_t room =
        entry->pending_count < RUNNER_PENDING_MAX ? RUNNER_PENDING_MAX - entry->pending_count : 0;
    struct err err;
    size_t count = 0;
    plan_due(&entry->plan, entry->schedule.missed, entry->until_s, at_s,
             room < PLAN_DUE_MAX ? room : PLAN_DUE_MAX, &due);
    if (due.until_s == entry->until_s)
        return;
    if (due.skipped)
        runs[count++] = (struct schedule_run){
            .planned_s = due.last_s,
            .state = RUN_SKIPPED,
            .created_ms = now_ms(runner),
            .ended_ms = now_ms(runner),
            .message = span_text(
                "missed while the node was down or its clock doubted (of several: the last)"),
        };
    for (size_t i = 0; i < due.count; i++)
        runs[count++] =
            (struct schedule_run){.planned_s = due.planned_s[i], .created_ms = now_ms(runner)};
    if (schedule_runs_add(store_of(runner), &entry->schedule, runs, count, &due.until_s, NULL,
                          &err) != ERR_OK) {
        log_error("a schedule's runs could not be recorded", &err);
        return;
    }
    CRASH_POINT(CRASH_SCHEDULE_PLANNED);
    entry->until_s = due.until_s;
    entry->has_next = due.has_next;
    entry->next_s = due.next_s;
    if (pending_load(runner, entry, &err) != ERR_OK)
        log_error("a schedule's runs could not be read", &err);
}

/* ---- a run's record ---- */

/* The store first, then here. False: it is not the store's any more; the run is over. */
static bool run_keep(struct runner *runner, uint64_t schedule, const struct schedule_run *run,
                     struct bytes *record, struct schedule_run *ret_run)
{
    struct err err;
    enum err_code code = schedule_run_put(store_of(runner), schedule, ret_run, run, &err);
    if (code != ERR_OK) {
        if (code != ERR_CONFLICT)
            log_error("a schedule's run could not be recorded", &err);
        return false;
    }
    run_copy(run, record, ret_run);
    return true;
}

/* ---- AFTER ---- */

static void time_text(const struct entry *entry, int64_t at_s, char *out, size_t out_bytes)
{
    int64_t local_s = zone_local_s(entry->plan.zone, at_s), year;
    unsigned month, day;
    int64_t second = (local_s % DAY_S + DAY_S) % DAY_S;
    date_to_civil((local_s - second) / DAY_S, &year, &month, &day);
    snprintf(out, out_bytes, "%04d-%02u-%02u %02d:%02d", (int)year, month, day,
             (int)(second / 3600), (int)(second / 60 % 60));
}

/* May the creator of `entry` see the other still, which may be somebody else's of the same name by now? */
static bool upstream_is_seen(struct runner *runner, const struct entry *entry,
                             const struct entry *other)
{
    ARENA_CLEANUP struct arena arena;
    struct principal creator;
    struct project_record project;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    if (other->schedule.creator_id == entry->schedule.creator_id)
        return true;
    return principals_find_name(runner->options.services->principals, entry->schedule.creator,
                                &creator) &&
           principal_id(&creator) == entry->schedule.creator_id &&
           project_get(store_of(runner), NULL, entry->project, &arena, &project, NULL) == ERR_OK &&
           authorise(&creator, ACTION_ADMINISTER, object_project(store_of(runner), &project),
                     NULL) == ERR_OK;
}

static struct entry *upstream_of(struct runner *runner, const struct entry *entry)
{
    for (size_t i = 0; i < runner->entry_count; i++) {
        struct entry *other = &runner->entries[i];
        if (other->project.n == entry->project.n &&
            name_equal(other->schedule.name, entry->schedule.after))
            return upstream_is_seen(runner, entry, other) ? other : NULL;
    }
    return NULL;
}

/* True: the run that it comes after has succeeded, or there is none. Else `why` says for what it waits. */
static bool upstream_done(struct runner *runner, const struct entry *entry,
                          const struct schedule_run *run, char *why, size_t why_bytes)
{
    ARENA_CLEANUP struct arena arena;
    struct schedule_run other;
    char planned[32];
    struct err err;
    int64_t planned_s;
    bool found;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    if (entry->schedule.after.len == 0)
        return true;
    const struct entry *upstream = upstream_of(runner, entry);
    if (upstream == NULL || !upstream->has_plan) {
        snprintf(why, why_bytes, "there is no schedule %.*s with a CRON to come after",
                 SPAN_PRINTF(entry->schedule.after));
        return false;
    }
    if (!plan_last(&upstream->plan, run->planned_s, &planned_s))
        return true;
    enum err_code code = schedule_run_find(store_of(runner), upstream->schedule.id, planned_s,
                                           &arena, &other, &found, &err);
    time_text(upstream, planned_s, planned, sizeof(planned));
    if (code != ERR_OK || !found || other.state != RUN_SUCCEEDED) {
        snprintf(why, why_bytes, "waits for %.*s of %s, which %s%s",
                 SPAN_PRINTF(entry->schedule.after), planned,
                 code != ERR_OK ? "cannot be read"
                 : found        ? "is "
                                : "has not run",
                 code == ERR_OK && found ? run_state_name(other.state) : "");
        return false;
    }
    return true;
}

static void run_wait(struct runner *runner, struct entry *entry, struct pending *pending,
                     const char *why)
{
    struct schedule_run waits = pending->run;
    waits.state = RUN_WAITING;
    waits.message = span_text(why);
    if (now_s(runner) > pending->run.planned_s + WAITS_S_MAX &&
        now_ms(runner) > pending->run.created_ms + KEPT_MS) {
        waits.state = RUN_FAILED;
        waits.ended_ms = now_ms(runner);
    }
    bool same =
        pending->run.state == waits.state && span_equal(pending->run.message, waits.message);
    if (!same)
        run_keep(runner, entry->schedule.id, &waits, &pending->record, &pending->run);
}

/* ---- a run that goes ---- */

static void active_free(struct active *active)
{
    step_close(active->step);
    bytes_deinit(&active->record);
    bytes_deinit(&active->run_record);
    bytes_deinit(&active->project_name);
    arena_deinit(&active->arena);
    mem_free(active);
}

static bool active_keep(struct active *active, const struct schedule_run *run)
{
    return run_keep(active->runner, active->schedule.id, run, &active->run_record, &active->run);
}

static void log_end(const struct active *active)
{
    char name[2 * LIMIT_NAME_BYTES + 2], message[RUN_MESSAGE_BYTES_MAX + 1];
    const struct schedule_run *run = &active->run;
    snprintf(name, sizeof(name), "%.*s.%.*s", SPAN_PRINTF(bytes_span(&active->project_name)),
             SPAN_PRINTF(active->schedule.name));
    snprintf(message, sizeof(message), "%.*s", SPAN_PRINTF(run->message));
    if (run->state == RUN_SUCCEEDED)
        log_event(LOG_INFO, "a schedule's run succeeded", LOG_TEXT("schedule", name),
                  LOG_NUMBER("planned_s", (uint64_t)run->planned_s));
    else
        log_event(LOG_WARN, "a schedule's run failed", LOG_TEXT("schedule", name),
                  LOG_NUMBER("planned_s", (uint64_t)run->planned_s),
                  LOG_TEXT("state", run_state_name(run->state)), LOG_TEXT("error", message));
}

static void active_succeed(struct active *active)
{
    struct schedule_run run = active->run;
    run.state = RUN_SUCCEEDED;
    run.ended_ms = now_ms(active->runner);
    run.message = (struct span){0};
    if (active_keep(active, &run))
        log_end(active);
    active->over = true;
}

/* What the stop of the node ended goes on after its next start. */
static void active_fail(struct active *active, const struct err *error)
{
    char message[RUN_MESSAGE_BYTES_MAX], formatted[ERR_MESSAGE_BYTES + 128];
    struct schedule_run run = active->run;
    active->over = true;
    if (atomic_load(&active->runner->stopping))
        return;
    snprintf(message, sizeof(message), "statement %u: %s", run.step + 1,
             err_format(error, formatted, sizeof(formatted)));
    run.message = span_text(message);
    run.state = RUN_FAILED;
    run.ended_ms = now_ms(active->runner);
    if (run.attempt < active->schedule.retry_count) {
        run.state = RUN_RETRY;
        run.attempt++;
        run.ended_ms = 0;
        run.retry_s = now_s(active->runner) + 60 * (int64_t)active->schedule.retry_minutes;
    }
    if (active_keep(active, &run))
        log_end(active);
}

/* The statement is done; false: the run is over. */
static bool active_advance(struct active *active)
{
    struct schedule_run run = active->run;
    CRASH_POINT(CRASH_SCHEDULE_STEP_DONE);
    step_has_rows(active->step, &run.rows);
    run.step++;
    step_close(active->step);
    active->step = NULL;
    if (!active_keep(active, &run)) {
        active->over = true;
        return false;
    }
    CRASH_POINT(CRASH_SCHEDULE_STEP_KEPT);
    return true;
}

static enum err_code active_step(struct active *active, bool *ret_waits, struct err *err)
{
    struct runner *runner = active->runner;
    const struct step_context context = {
        .services = runner->options.services,
        .schedule = &active->schedule,
        .project = bytes_span(&active->project_name),
        .run = &active->run,
        .planned_local_s = active->planned_local_s,
        .now_s = now_s(runner),
        .past = active->past,
    };
    TRY(step_open(&context, &active->step, err));
    return step_start(active->step, &runner->cancel, ret_waits, err);
}

/* Statement after statement, until one waits or the run is over. On a worker. */
static void active_go(struct active *active)
{
    struct runner *runner = active->runner;
    bool waits = false;
    while (!waits && !active->over) {
        struct err err;
        if (active->run.step >= active->schedule.step_count)
            active_succeed(active);
        else if (atomic_load(&runner->stopping))
            active->over = true;
        else if (active_step(active, &waits, &err) != ERR_OK)
            active_fail(active, &err);
        else if (!waits)
            active_advance(active);
    }
    active->waits = waits;
    atomic_store(&active->working, false);
}

static void run_job(void *argument)
{
    struct active *active = argument;
    struct runner *runner = active->runner;
    active_go(active); /* the pass may free it from then on */
    job_end(runner);
}

static void active_work(struct runner *runner, struct active *active)
{
    atomic_store(&active->working, true);
    if (runner->options.workers == NULL)
        active_go(active);
    else if (!job_post(runner, run_job, active))
        atomic_store(&active->working, false); /* the next pass asks again */
}

/* ---- beginning ---- */

/* What a snapshot would be called is no more what it would hold. */
static bool is_past(const struct active *active, const struct zone *zone, int64_t at_s)
{
    int64_t planned_s = active->run.planned_s;
    if (active->run.cause != RUN_OF_OPERATOR)
        return at_s - planned_s >= LATE_SNAPSHOT_S;
    int64_t planned_local_s = zone_local_s(zone, planned_s), local_s = zone_local_s(zone, at_s);
    return local_s - (local_s % DAY_S + DAY_S) % DAY_S > planned_local_s;
}

static enum err_code active_fill(struct runner *runner, const struct entry *entry,
                                 struct pending *pending, struct active *active, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    struct schedule schedule;
    struct project_record project;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    TRY(schedule_find(store_of(runner), entry->project, entry->schedule.name, &arena, &schedule,
                      err));
    if (schedule.id != entry->schedule.id)
        return err_set(err, ERR_CONFLICT, "the schedule was made anew");
    TRY(schedule_copy(&schedule, &active->record, &active->arena, &active->schedule, err));
    TRY(project_get(store_of(runner), NULL, entry->project, &arena, &project, err));
    bytes_append_span(&active->project_name, project.name);
    const struct zone *zone = zone_known(runner, schedule.timezone);
    if (zone == NULL)
        return err_set(err, ERR_SEMANTIC, "there is no time zone %.*s any more",
                       SPAN_PRINTF(schedule.timezone));
    run_copy(&pending->run, &active->run_record, &active->run);
    active->planned_local_s = zone_local_s(zone, active->run.planned_s);
    active->past = is_past(active, zone, now_s(runner));
    struct schedule_run begun = active->run;
    begun.state = RUN_RUNNING;
    begun.message = (struct span){0};
    if (begun.started_ms == 0)
        begun.started_ms = now_ms(runner);
    TRY(schedule_run_put(store_of(runner), schedule.id, &active->run, &begun, err));
    run_copy(&begun, &active->run_record, &active->run);
    CRASH_POINT(CRASH_SCHEDULE_BEGUN);
    return ERR_OK;
}

static void run_begin(struct runner *runner, struct entry *entry, struct pending *pending)
{
    struct active *active = mem_calloc(1, sizeof(*active));
    struct err err;
    active->runner = runner;
    active->project = entry->project;
    arena_init(&active->arena, SCHEDULE_ARENA_BYTES);
    if (active_fill(runner, entry, pending, active, &err) != ERR_OK) {
        if (err.code != ERR_CONFLICT && err.code != ERR_NOT_FOUND)
            log_error("a schedule's run could not begin", &err);
        atomic_store(&runner->changed, true); /* it was changed or dropped just now */
        if (err.code == ERR_NOT_FOUND && now_s(runner) >= runner->swept_s + SWEEP_AGAIN_S)
            runner->swept_s = 0; /* or its project, which the sweep finds */
        active_free(active);
        return;
    }
    active->next = runner->actives;
    runner->actives = active;
    runner->active_count++;
    active_work(runner, active);
}

static bool is_active(const struct runner *runner, uint64_t schedule)
{
    for (const struct active *active = runner->actives; active != NULL; active = active->next) {
        if (active->schedule.id == schedule)
            return true;
    }
    return false;
}

/* May it begin now? A run that has begun goes first, whatever was said since. */
static bool may_begin(struct runner *runner, struct entry *entry, struct pending *pending)
{
    const struct schedule_run *run = &pending->run;
    char why[RUN_MESSAGE_BYTES_MAX];
    int64_t at_s = now_s(runner);
    if (run_state_ended(run->state))
        return false;
    if (run->state == RUN_RUNNING)
        return true;
    if (run->planned_s > at_s || (run->state == RUN_RETRY && run->retry_s > at_s) ||
        (entry->schedule.paused && run->cause != RUN_OF_OPERATOR))
        return false;
    if (run->state == RUN_RETRY || upstream_done(runner, entry, run, why, sizeof(why)))
        return true;
    run_wait(runner, entry, pending, why);
    return false;
}

static void entry_look(struct runner *runner, struct entry *entry)
{
    int64_t at_s = now_s(runner);
    if (entry->gone)
        return;
    if (entry->has_plan && !entry->schedule.paused && entry->has_next && entry->next_s <= at_s)
        run_plan(runner, entry, at_s);
    if (entry->pending_count == 0 || is_active(runner, entry->schedule.id))
        return;
    for (int begun = 1; begun >= 0; begun--) {
        for (size_t i = 0; i < entry->pending_count; i++) {
            struct pending *pending = &entry->pending[i];
            if (runner->active_count >= RUNNER_ACTIVE_MAX)
                return;
            if ((pending->run.state == RUN_RUNNING) != (begun == 1) ||
                !may_begin(runner, entry, pending))
                continue;
            run_begin(runner, entry, pending);
            return;
        }
    }
}

/* From behind the one whose run began last: who has many runs waits for the others' turns. */
static void entries_look(struct runner *runner)
{
    size_t first = runner->turn;
    for (size_t i = 0; i < runner->entry_count && !atomic_load(&runner->stopping); i++) {
        size_t at = (first + i) % runner->entry_count, active = runner->active_count;
        entry_look(runner, &runner->entries[at]);
        if (runner->active_count > active)
            runner->turn = at + 1;
    }
}

/* ---- passes ---- */

/* Those that wait are asked, those that are over go. True: one is over. */
static bool actives_look(struct runner *runner)
{
    bool any = false;
    for (struct active *active = runner->actives; active != NULL; active = active->next) {
        struct err err;
        bool ended = false;
        if (atomic_load(&active->working))
            continue;
        if (!active->waits && !active->over) { /* no worker had room */
            active_work(runner, active);
            continue;
        }
        if (!active->waits || atomic_load(&runner->stopping))
            continue;
        if (step_poll(active->step, &ended, &err) != ERR_OK) {
            active->waits = false;
            active_fail(active, &err);
        } else if (ended) {
            active->waits = false;
            if (active_advance(active))
                active_work(runner, active);
        }
    }
    bool busy = false;
    for (struct active **at = &runner->actives; *at != NULL;) {
        struct active *active = *at;
        busy = true;
        if (atomic_load(&active->working) || !active->over) {
            at = &active->next;
            continue;
        }
        struct entry *entry = entry_of(runner, active->schedule.id);
        struct err err;
        *at = active->next;
        runner->active_count--;
        if (entry != NULL && pending_load(runner, entry, &err) != ERR_OK)
            log_error("a schedule's runs could not be read", &err);
        active_free(active);
        any = true;
    }
    atomic_store(&runner->busy, busy);
    return any;
}

static void pass(struct runner *runner)
{
    struct err err;
    bool due = now_s(runner) >= runner->load_after_s ||
               now_s(runner) < runner->load_after_s - LOAD_AGAIN_S;
    if (due && atomic_exchange(&runner->changed, false) && entries_load(runner, &err) != ERR_OK) {
        log_error("schedules could not be read, which is tried again in a minute", &err);
        runner->load_after_s = now_s(runner) + LOAD_AGAIN_S;
        atomic_store(&runner->changed, true);
        entries_free(runner);
    }
    do {
        if (!runner->options.believed(runner->options.context))
            break; /* what goes is still asked about below */
        if (now_s(runner) >= runner->swept_s + SWEEP_EVERY_S)
            sweep(runner);
        entries_look(runner);
    } while (actives_look(runner) && runner->options.workers == NULL);
    actives_look(runner);
}

void runner_pass(struct runner *runner)
{
    if (!atomic_load(&runner->stopping))
        pass(runner);
}

static void pass_job(void *argument)
{
    struct runner *runner = argument;
    runner_pass(runner);
    atomic_store(&runner->posted, false);
    job_end(runner);
}

static void on_timer(void *argument)
{
    struct runner *runner = argument;
    if (atomic_load(&runner->stopping))
        return;
    if (!atomic_exchange(&runner->posted, true) && !job_post(runner, pass_job, runner))
        atomic_store(&runner->posted, false);
    loop_timer_start(runner->options.loop, &runner->timer,
                     runner->busy ? RUNNER_TICK_BUSY_MS : RUNNER_TICK_MS);
}

static void timer_begin(void *argument)
{
    struct runner *runner = argument;
    runner->timer = (struct loop_timer){.run = on_timer, .argument = runner};
    loop_timer_start(runner->options.loop, &runner->timer, RUNNER_TICK_MS);
}

static void timer_end(void *argument)
{
    struct runner *runner = argument;
    loop_timer_cancel(runner->options.loop, &runner->timer);
}

/* ---- from outside ---- */

void runner_changed(struct runner *runner)
{
    if (runner != NULL)
        atomic_store(&runner->changed, true);
}

/* ---- open, stop, free ---- */

enum err_code runner_open(const struct runner_options *options, struct runner **ret_runner,
                          struct err *err)
{
    struct runner *runner = mem_calloc(1, sizeof(*runner));
    runner->options = *options;
    pthread_mutex_init(&runner->lock, NULL);
    pthread_cond_init(&runner->idle, NULL);
    atomic_init(&runner->changed, true);
    if (options->loop != NULL && !loop_post(options->loop, timer_begin, runner)) {
        runner_free(runner);
        return err_set(err, ERR_BUSY, "the loop is stopping");
    }
    *ret_runner = runner;
    return ERR_OK;
}

void runner_stop(struct runner *runner)
{
    if (runner == NULL)
        return;
    atomic_store(&runner->stopping, true);
    atomic_store(&runner->cancel, true);
    if (runner->options.loop != NULL)
        loop_call(runner->options.loop, timer_end, runner);
    jobs_wait(runner);
}

void runner_free(struct runner *runner)
{
    if (runner == NULL)
        return;
    entries_free(runner);
    while (runner->actives != NULL) {
        struct active *active = runner->actives;
        runner->actives = active->next;
        active_free(active);
    }
    while (runner->zones != NULL) {
        struct known_zone *known = runner->zones;
        runner->zones = known->next;
        zone_free(known->zone);
        mem_free(known);
    }
    pthread_cond_destroy(&runner->idle);
    pthread_mutex_destroy(&runner->lock);
    mem_free(runner);
}
