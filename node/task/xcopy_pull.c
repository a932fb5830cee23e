#include "node/task/xcopy_pull.h"

#include "node/task/xcopy_log.h"

#define PHASE_REFRESH_MS 1000 /* of "waiting ... since 7 s" */

/* ---- jobs ---- */

static void pull_step(struct pull *pull, struct task_event *event);

struct job *job_new(struct pull *pull, void (*work)(struct job *job), enum task_event_kind answers,
                    uint64_t request)
{
    struct job *job = mem_calloc(1, sizeof(*job));
    job->pull = pull;
    job->work = work;
    job->answers = answers;
    job->request = request;
    arena_init(&job->arena, JOB_ARENA_BYTES);
    pull->outstanding++;
    return job;
}

static void described_copy(const struct described *from, struct described *ret_copy)
{
    *ret_copy = *from;
    ret_copy->claim = (struct bytes){0};
    bytes_append_span(&ret_copy->claim, bytes_span(&from->claim));
}

static void job_free(struct job *job)
{
    job->pull->outstanding--;
    arena_deinit(&job->arena);
    bytes_deinit(&job->described.claim);
    bytes_deinit(&job->reply_header);
    bytes_deinit(&job->places);
    link_body_free(job->reply_memory);
    mem_free(job->needs);
    mem_free(job->place_ends);
    mem_free(job);
}

static void job_on_worker(void *argument);

/* ---- epochs ---- */

static void epoch_close(struct epoch *epoch)
{
    if (epoch == NULL)
        return;
    content_close(epoch->content);
    mem_free(epoch);
}

void epoch_enter(struct job *job)
{
    struct pull *pull = job->pull;
    if (pull->epoch == NULL)
        pull->epoch = mem_calloc(1, sizeof(*pull->epoch));
    job->epoch = pull->epoch;
    job->epoch->users++;
}

void epoch_leave(struct job *job)
{
    struct epoch *epoch = job->epoch;
    job->epoch = NULL;
    if (epoch == NULL || --epoch->users > 0)
        return;
    struct job *commit = epoch->commit;
    epoch->commit = NULL;
    if (commit != NULL && tasks_stopped(job->pull->tasks)) {
        commit->epoch = NULL; /* the workers end: nothing begins any more */
        job_free(commit);
        epoch_close(epoch);
    } else if (commit != NULL) {
        epoch->users++;
        job_post(commit);
    } else if (epoch->dropped) {
        epoch_close(epoch);
    }
}

static void epoch_drop(struct epoch *epoch)
{
    if (epoch == NULL)
        return;
    epoch->dropped = true;
    if (epoch->users == 0 && epoch->commit == NULL)
        epoch_close(epoch);
}

/* The job was the epoch's commit: its pins replace those of the one before. */
static void epoch_committed(struct job *job)
{
    struct pull *pull = job->pull;
    struct epoch *epoch = job->epoch;
    job->epoch = NULL;
    epoch->users--;
    if (job->err.code != ERR_OK) {
        epoch_drop(epoch); /* a content that failed is only closed */
        return;
    }
    epoch_drop(pull->last_epoch);
    pull->last_epoch = epoch;
}

/* ---- the way of a job ---- */

static void described_take(struct job *job)
{
    struct pull *pull = job->pull;
    bool waited =
        pull->machine.phase == TASK_PHASE_DESCRIBE && pull->machine.control == job->request;
    if (job->err.code != ERR_OK || !waited)
        return;
    bytes_deinit(&pull->described.claim);
    pull->described = job->described;
    job->described.claim = (struct bytes){0};
}

static struct task_event job_event(struct job *job)
{
    struct task_event event = {.kind = job->answers,
                               .request = job->request,
                               .err = &job->err,
                               .wire_bytes = job->wire_bytes};
    if (job->answers == TASK_ON_PLANNED) {
        event.planned = job->plan;
    } else if (job->answers == TASK_ON_GOT) {
        event.got.results = job->results;
        event.got.result_count = job->results != NULL ? job->item_count : 0;
        event.got.reason = job->reason[0] != 0 ? job->reason : NULL;
    } else if (job->answers == TASK_ON_DESCRIBED) {
        const struct described *described = &job->pull->described;
        event.described.version = described->machine_version;
        event.described.partitions = described->version.totals.partitions;
        event.described.rows = described->version.totals.rows;
        event.described.bytes = described->version.totals.bytes;
    } else if (job->answers == TASK_ON_PUBLISHED || job->answers == TASK_ON_FINISHED) {
        event.counters = job->counters;
    }
    return event;
}

/* ---- claims ---- */

static void claims_give_up(struct pull *pull, size_t released)
{
    if (released > 0)
        tasks_released(pull->tasks, pull);
}

/* Files that did not come for this task, or are durable now. What was only sifted stays claimed: it
 * is asked for next, and two tasks that give up at each other's sight would never end. */
static void job_release(struct job *job)
{
    struct pull *pull = job->pull;
    bool committed = job->answers == TASK_ON_COMMITTED;
    bool got = job->answers == TASK_ON_GOT && job->err.code == ERR_OK && job->results != NULL &&
               walk_request_find(&pull->machine.walk, job->request) != NULL;
    size_t released = 0;
    for (size_t i = 0; i < job->item_count; i++) {
        const struct job_item *item = &job->items[i];
        enum walk_result kept = job->after == NULL ? WALK_STORED : WALK_LEFT;
        bool arrived = got && job->results[i] == kept;
        if (item->kind == WALK_FILE && (committed || !arrived))
            released +=
                claims_release(tasks_claims(pull->tasks), pull->account, &item->digest, pull);
    }
    claims_give_up(pull, released);
}

/* What a walk had on its way when it was forgotten, or when its task began to wait for its peer,
 * while another's may well answer. */
static void walk_claims_check(struct pull *pull)
{
    bool forgotten = pull->generation != pull->machine.walk.generation;
    bool waits = task_waits(&pull->machine) && !pull->waited;
    pull->generation = pull->machine.walk.generation;
    pull->waited = task_waits(&pull->machine);
    if (!forgotten && !waits)
        return;
    claims_give_up(pull, claims_release_all(tasks_claims(pull->tasks), pull));
}

static void finish_begin(struct pull *pull);

static void pull_checked(struct pull *pull, const struct job *job)
{
    pull->record.held_since = job->held_since;
    pull->project = pull->record.project = job->project;
}

/* What the source told goes with the next record; of a task that has ended there is none. */
static void meter_write(struct pull *pull)
{
    if (!pull->meter_told || !task_ended(&pull->machine) || tasks_stopped(pull->tasks))
        return;
    pull->meter_told = false;
    struct job *job = job_new(pull, job_meter, TASK_ON_TICK, 0);
    described_copy(&pull->described, &job->described);
    job_post(job);
}

/* On the loop. */
void job_done(void *argument)
{
    struct job *job = argument;
    struct pull *pull = job->pull;
    pull->jobs -= job->counted;
    if (job->answers == TASK_ON_COMMITTED)
        epoch_committed(job);
    else
        epoch_leave(job);
    if (job->answers == TASK_ON_DESCRIBED)
        described_take(job);
    if (job->answers == TASK_ON_CHECKED && job->err.code == ERR_OK)
        pull_checked(pull, job);
    if (job->answers == TASK_ON_COMMITTED || job->answers == TASK_ON_GOT)
        job_release(job);
    if (job->answers == TASK_ON_GOT && job->item_count > 0)
        tasks_received(pull->tasks, job->items[0].kind, job->reply_bytes);
    settle_count(pull, job);
    if (job->settles && settle_take(pull, job))
        pull->meter_told = true;
    struct task_event event = job_event(job);
    if (!tasks_stopped(pull->tasks))
        pull_step(pull, &event);
    meter_write(pull);
    if (job->answers == TASK_ON_DESCRIBED && pull->machine.phase == TASK_PHASE_PULL)
        pull_dial_early(pull, pull->described.version.totals.bytes);
    job_free(job);
    if (pull->finish_request != 0 && pull->jobs == 0 && !tasks_stopped(pull->tasks))
        finish_begin(pull);
}

/* Of a task that was cancelled nothing begins but what ends it. */
static bool job_is_vain(const struct job *job)
{
    bool ends = job->answers == TASK_ON_COMMITTED || job->answers == TASK_ON_FINISHED ||
                job->answers == TASK_ON_TICK;
    return !ends && atomic_load(&job->pull->publishes) == PUBLISH_NEVER;
}

static void job_on_worker(void *argument)
{
    struct job *job = argument;
    if (job_is_vain(job))
        err_set(&job->err, ERR_CANCELLED, "the task was cancelled");
    else
        job->work(job);
    bool posted =
        loop_post(job->pull->options->loop, job->after != NULL ? job->after : job_done, job);
    ASSERT(posted); /* the loop outlives the workers */
}

/* Who plans, or takes in what came, needs a processor; all others wait for the disk most of the time.
 * A task that runs alone keeps nobody waiting, and needs no further threads to wake up. */
static struct workers *job_workers(const struct job *job)
{
    const struct tasks_options *options = job->pull->options;
    bool works = job->answers == TASK_ON_PLANNED || job->answers == TASK_ON_GOT;
    bool alone = job->pull->peer == NULL || job->pull->peer->pulls <= 1;
    return works || alone ? options->workers : options->commits;
}

void job_post(struct job *job)
{
    job->counted = true;
    job->meter = job->pull->meter;
    if (!job->pull->meter_settled)
        job->meter.kept_bytes = job->pull->machine.counters.bytes_moved;
    job->meter_lost = job->pull->meter_lost;
    job->newest_ms = job->pull->newest_ms;
    job->newest_told_ms = job->pull->newest_told_ms;
    job->pull->jobs++;
    if (workers_post(job_workers(job), job_on_worker, job, &job->err) != ERR_OK)
        loop_post(job->pull->options->loop, job->after != NULL ? job->after : job_done, job);
}

void job_copy_item(struct job *job, size_t at, const struct walk_item *item)
{
    job->items[at] = (struct job_item){
        .kind = item->kind,
        .is_top = item->kind == WALK_PAGE && item->parent == NULL,
        .level = item->level,
        .digest = item->digest,
        .bytes = item->bytes,
        .place = arena_copy(&job->arena, span_of(item->place, item->place_bytes))};
}

void job_items(struct job *job, size_t count)
{
    job->items = arena_alloc(&job->arena, count + 1, sizeof(*job->items));
    ASSERT(job->items != NULL); /* at most a window's items, each place bounded */
    job->item_count = count;
}

/* ---- work of this node ---- */

static void do_check(struct pull *pull, const struct task_action *action)
{
    struct job *job = job_new(pull, job_check, TASK_ON_CHECKED, action->request);
    job->counters = pull->machine.counters;
    job_post(job);
}

static void do_plan(struct pull *pull, const struct task_action *action)
{
    struct job *job = job_new(pull, job_plan, TASK_ON_PLANNED, action->request);
    job_items(job, 1);
    job_copy_item(job, 0, action->item);
    described_copy(&pull->described, &job->described);
    epoch_enter(job);
    job_post(job);
}

static void do_commit(struct pull *pull, const struct task_action *action)
{
    struct job *job = job_new(pull, job_commit, TASK_ON_COMMITTED, action->request);
    job->counters = pull->machine.counters;
    size_t count = 0;
    const struct walk_item *item;
    TAILQ_FOREACH(item, action->commit, link)
    {
        count++;
    }
    job_items(job, count);
    count = 0;
    TAILQ_FOREACH(item, action->commit, link)
    {
        job_copy_item(job, count++, item);
    }
    described_copy(&pull->described, &job->described);
    epoch_enter(job);
    struct epoch *epoch = job->epoch;
    pull->epoch = NULL; /* what comes from now on goes to the next */
    if (--epoch->users > 0) {
        epoch->commit = job;
        return;
    }
    epoch->users++;
    job_post(job);
}

static void do_publish(struct pull *pull, const struct task_action *action)
{
    struct job *job = job_new(pull, job_publish, TASK_ON_PUBLISHED, action->request);
    described_copy(&pull->described, &job->described);
    job->counters = pull->machine.counters;
    job->epoch = pull->last_epoch; /* whose pins hold what is published */
    if (job->epoch != NULL)
        job->epoch->users++;
    job_post(job);
}

static void finish_begin(struct pull *pull)
{
    struct job *job = job_new(pull, job_finish, TASK_ON_FINISHED, pull->finish_request);
    pull->finish_request = 0;
    job->outcome = pull->machine.outcome;
    job->outcome_err = pull->machine.err;
    described_copy(&pull->described, &job->described);
    job->counters = pull->machine.counters;
    pull->meter_told = false; /* it goes with this record */
    if (pull->epoch != NULL && pull->epoch->commit == NULL)
        epoch_enter(job); /* what has arrived is kept: the next try need not fetch it */
    job_post(job);
}

static void do_finish(struct pull *pull, const struct task_action *action)
{
    pull->finish_request = action->request;
    if (pull->jobs == 0)
        finish_begin(pull);
}

/* ---- the machine ---- */

static action_function *const action_functions[TASK_ACTION_COUNT] = {
    [TASK_DO_CHECK] = do_check,          [TASK_DO_DESCRIBE] = request_describe,
    [TASK_DO_RENEW] = request_renew,     [TASK_DO_PLAN] = do_plan,
    [TASK_DO_GET_PAGES] = request_get,   [TASK_DO_GET_FILES] = request_get,
    [TASK_DO_COMMIT] = do_commit,        [TASK_DO_PUBLISH] = do_publish,
    [TASK_DO_RECEIPT] = request_receipt, [TASK_DO_END_LEASE] = request_end_lease,
    [TASK_DO_FINISH] = do_finish,
};

/* The record of a task does not keep what it found missing: at least what it moved. */
static void status_planned(struct task_status *status, const struct walk_counters *walk)
{
    const struct task_counters *moved = &status->counters;
    status->files_total =
        walk->files_planned > moved->files_moved ? walk->files_planned : moved->files_moved;
    status->bytes_planned =
        walk->bytes_planned > moved->bytes_moved ? walk->bytes_planned : moved->bytes_moved;
}

/* A trouble that is new, or came once more. */
static void status_trouble(struct pull *pull, const struct task_trouble *trouble,
                           unsigned *tries_seen)
{
    if (trouble->tries > *tries_seen) {
        pull->status.tries_again += trouble->tries - *tries_seen;
        pull->status.trouble = trouble->err;
    }
    *tries_seen = trouble->tries;
}

/* How long it waits does not count into its rate. pull->lock is held. */
static void status_waits_locked(struct pull *pull)
{
    uint64_t now_ms = loop_now_ms();
    bool waits = task_waits(&pull->machine) && pull->end_ms == 0;
    if (waits && pull->waits_since_ms == 0) {
        pull->waits_since_ms = now_ms;
    } else if (!waits && pull->waits_since_ms != 0) {
        pull->waited_ms += now_ms - pull->waits_since_ms;
        pull->waits_since_ms = 0;
    }
}

static void status_update(struct pull *pull)
{
    const struct task *machine = &pull->machine;
    bool ended = task_ended(machine);
    pthread_mutex_lock(&pull->lock);
    struct task_status *status = &pull->status;
    status->state = machine->state;
    status->counters = machine->counters;
    status_planned(status, &machine->walk.counters);
    if (machine->state == TASK_FAILED)
        status->error = machine->err;
    status_trouble(pull, &machine->peer, &pull->peer_tries);
    status_trouble(pull, &machine->store, &pull->store_tries);
    task_phase_format(machine, loop_now_ms(), status->phase, sizeof(status->phase));
    bool done = machine->state > TASK_RUNNING; /* the receipt may be on its way */
    bool news = done && pull->end_ms == 0;
    if (news) {
        pull->end_ms = loop_now_ms();
        status->ended_ms = xcopy_now_ms();
        tasks_pull_ended(pull->tasks, pull, status);
    }
    status_waits_locked(pull);
    pthread_mutex_unlock(&pull->lock);
    if (done)
        atomic_store(&pull->ended, true);
    if (news && !ended)
        tasks_pull_gave_way(pull->tasks); /* its place among the project's */
    if (!ended)
        return;
    pull_count(pull, false);
    epoch_drop(pull->epoch);
    epoch_drop(pull->last_epoch);
    pull->epoch = pull->last_epoch = NULL;
    loop_timer_cancel(pull->options->loop, &pull->timer);
    tasks_pull_gave_way(pull->tasks);
}

/* It has just come to its end: what was to be asked of the peer is not, and a cancelled one publishes
 * nothing any more. */
static void pull_over(struct pull *pull)
{
    if (pull->machine.outcome == TASK_CANCELLED)
        atomic_store(&pull->publishes, PUBLISH_NEVER);
    if (pull->peer != NULL && pull->peer->link != NULL)
        link_drop(pull->peer->link, pull_flow(pull));
}

static void on_timer(void *argument)
{
    struct task_event event = {.kind = TASK_ON_TICK};
    pull_step(argument, &event);
}

static void pull_step(struct pull *pull, struct task_event *event)
{
    event->now_ms = loop_now_ms();
    pull_window_update(pull);
    randombytes_buf(&event->random, sizeof(event->random));
    task_actions_clear(&pull->actions);
    bool waited = task_waits(&pull->machine);
    enum task_phase phase = pull->machine.phase;
    bool was_over = phase >= TASK_PHASE_FINISH;
    task_step(&pull->machine, event, &pull->actions);
    if (!was_over && pull->machine.phase >= TASK_PHASE_FINISH)
        pull_over(pull);
    walk_claims_check(pull);
    log_task_step(pull, phase, waited);
    if (!waited && task_waits(&pull->machine))
        tasks_pull_gave_way(pull->tasks);
    for (size_t i = 0; i < pull->actions.count; i++) {
        const struct task_action *action = &pull->actions.list[i];
        action_functions[action->kind](pull, action);
    }
    uint64_t wake_ms = task_wake_ms(&pull->machine);
    if (task_waits(&pull->machine) && wake_ms > event->now_ms + PHASE_REFRESH_MS)
        wake_ms = event->now_ms + PHASE_REFRESH_MS;
    if (wake_ms != UINT64_MAX) {
        uint64_t delay_ms = wake_ms > event->now_ms ? wake_ms - event->now_ms : 0;
        loop_timer_start(pull->options->loop, &pull->timer, delay_ms);
    }
    status_update(pull);
}

/* ---- life ---- */

void pull_status_begin(struct pull *pull)
{
    const struct xcopy_record *record = &pull->record;
    struct task_status *status = &pull->status;
    status->id = record->id;
    status->account = record->account;
    status->state = record->state;
    status->counters = record->counters;
    status_planned(status, &pull->machine.walk.counters);
    status->created_ms = record->created_ms;
    status->started_ms = record->started_ms;
    status->ended_ms = record->ended_ms;
    if (record->error != ERR_OK)
        err_set(&status->error, record->error, "%.*s", SPAN_PRINTF(record->message));
    status->tries_again = record->tries_again;
    if (record->trouble != ERR_OK)
        err_set(&status->trouble, record->trouble, "%.*s", SPAN_PRINTF(record->trouble_message));
    snprintf(status->phase, sizeof(status->phase), "%s",
             record->ended_ms != 0 ? "ended" : "queued");
}

/* What both kinds are made of; the names of regions and the peer are still to be set. */
static struct pull *pull_make(struct tasks *tasks, const struct tasks_options *options,
                              struct span record_bytes)
{
    struct pull *pull = mem_calloc(1, sizeof(*pull));
    pthread_mutex_init(&pull->lock, NULL);
    pull->refs = 1;
    pull->tasks = tasks;
    pull->options = options;
    bytes_append_span(&pull->record_bytes, record_bytes);
    struct task_settings settings = task_settings_default("?");
    task_init(&pull->machine, &settings);
    pull->rights = (struct xcopy_rights){.store = options->store,
                                         .principals = options->principals,
                                         .node = identity_public(options->identity)->sign,
                                         .region = options->region};
    pull->timer.run = on_timer;
    pull->timer.argument = pull;
    return pull;
}

/* With the record decoded and the source's region known. */
static void pull_begin(struct pull *pull)
{
    const struct tasks_options *options = pull->options;
    pull->account = pull->record.account;
    pull->project = pull->record.project;
    snprintf(pull->machine.settings.peer, sizeof(pull->machine.settings.peer), "%.*s",
             SPAN_PRINTF(pull->token.source.region));
    if (options->walk.window_bytes > 0)
        pull->machine.settings.walk = pull->machine.walk.limits = options->walk;
    pull->described.version.version = pull->record.version;
    pull->described.manifest_root = pull->record.root;
    pull->described.lease = lease_id_of(&pull->rights.node, &pull->record.id);
    pull_status_begin(pull);
    atomic_store(&pull->ended, pull->record.ended_ms != 0);
}

struct pull *pull_new(struct tasks *tasks, const struct tasks_options *options,
                      struct span record_bytes, struct err *err)
{
    struct pull *pull = pull_make(tasks, options, record_bytes);
    if (xcopy_record_decode(bytes_span(&pull->record_bytes), &pull->record, err) != ERR_OK ||
        (xcopy_record_token(&pull->record, &pull->token, err) != ERR_OK &&
         pull->record.ended_ms == 0)) {
        pull_unref(pull);
        return NULL;
    }
    pull->peer = peers_find_region(options->peers, pull->token.source.region);
    pull_begin(pull);
    return pull;
}

struct pull *pull_repair_new(struct tasks *tasks, const struct tasks_options *options,
                             struct span record_bytes, struct peer *peer,
                             const struct pull_repair *repair, struct err *err)
{
    struct pull *pull = pull_make(tasks, options, record_bytes);
    if (xcopy_record_decode(bytes_span(&pull->record_bytes), &pull->record, err) != ERR_OK) {
        pull_unref(pull);
        return NULL;
    }
    pull->peer = peer;
    pull->token.source.region = span_text(peer->region);
    pull->repair = *repair;
    pull_begin(pull);
    return pull;
}

static void pull_free(struct pull *pull)
{
    ASSERT(pull->outstanding == 0);
    epoch_close(pull->epoch);
    epoch_close(pull->last_epoch);
    task_deinit(&pull->machine);
    task_actions_deinit(&pull->actions);
    bytes_deinit(&pull->described.claim);
    bytes_deinit(&pull->record_bytes);
    pthread_mutex_destroy(&pull->lock);
    mem_free(pull);
}

void pull_ref(struct pull *pull)
{
    atomic_fetch_add(&pull->refs, 1);
}

void pull_unref(struct pull *pull)
{
    if (pull != NULL && atomic_fetch_sub(&pull->refs, 1) == 1)
        pull_free(pull);
}

bool pull_idle(const struct pull *pull)
{
    bool ended = task_ended(&pull->machine) || pull->record.ended_ms != 0;
    return ended && pull->outstanding == 0;
}

void pull_start(struct pull *pull, bool cancel)
{
    pthread_mutex_lock(&pull->lock);
    uint64_t now_ms = xcopy_now_ms();
    pull->start_ms = loop_now_ms();
    if (pull->status.started_ms == 0)
        pull->status.started_ms = now_ms;
    else if (now_ms > pull->status.started_ms)
        pull->before_ms = now_ms - pull->status.started_ms;
    pthread_mutex_unlock(&pull->lock);
    pull_count(pull, true);
    log_task_begun(pull);
    struct task_event event = {.kind = TASK_ON_START,
                               .start = {.published = pull->record.published,
                                         .cancel = cancel,
                                         .counters = pull->record.counters}};
    pull_step(pull, &event);
}

void pull_times(struct pull *pull, uint64_t *ret_elapsed_ms, uint64_t *ret_moving_ms)
{
    uint64_t elapsed_ms = 0;
    pthread_mutex_lock(&pull->lock);
    const uint64_t now_ms = loop_now_ms();
    const struct task_status *status = &pull->status;
    uint64_t waited_ms = pull->waited_ms;
    if (pull->waits_since_ms != 0)
        waited_ms += now_ms - pull->waits_since_ms;
    if (pull->start_ms != 0)
        elapsed_ms = pull->before_ms + (pull->end_ms != 0 ? pull->end_ms : now_ms) - pull->start_ms;
    else if (status->ended_ms > status->started_ms)
        elapsed_ms = status->ended_ms - status->started_ms;
    pthread_mutex_unlock(&pull->lock);
    *ret_elapsed_ms = elapsed_ms;
    *ret_moving_ms = elapsed_ms > waited_ms ? elapsed_ms - waited_ms : 0;
}

void pull_cancel(struct pull *pull)
{
    struct task_event event = {.kind = TASK_ON_CANCEL};
    unsigned asked = PUBLISH_MAY;
    struct err err;
    if (task_ended(&pull->machine))
        return;
    pull_step(pull, &event);
    if (!pull->machine.publishing ||
        !atomic_compare_exchange_strong(&pull->publishes, &asked, PUBLISH_NEVER))
        return;
    err_set(&err, ERR_CANCELLED, "the task was cancelled");
    struct task_event prevented = {
        .kind = TASK_ON_PUBLISHED, .request = pull->machine.control, .err = &err};
    pull_step(pull, &prevented); /* the job's own answer comes too late */
}

void pull_withdraw(struct pull *pull, const struct err *reason)
{
    struct task_event event = {.kind = TASK_ON_WITHDRAWN, .err = reason};
    if (!task_ended(&pull->machine))
        pull_step(pull, &event);
}

void pull_released(struct pull *pull)
{
    struct task_event event = {.kind = TASK_ON_RELEASED};
    if (!task_ended(&pull->machine))
        pull_step(pull, &event);
}

bool pull_runs(const struct pull *pull)
{
    return pull->machine.phase != TASK_PHASE_QUEUED && pull->machine.phase != TASK_PHASE_ENDED;
}
