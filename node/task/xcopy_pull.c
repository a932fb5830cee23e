#include "node/task/xcopy_pull.h"

#define DEADLINE_CONTROL_MS 15000
#define PHASE_REFRESH_MS    1000 /* of "waiting ... since 7 s" */

/* ---- jobs ---- */

static void pull_step(struct pull *pull, struct task_event *event);

static struct job *job_new(struct pull *pull, void (*work)(struct job *job),
                           enum task_event_kind answers, uint64_t request)
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

static void job_post(struct job *job);

/* ---- epochs ---- */

static void epoch_close(struct epoch *epoch)
{
    if (epoch == NULL)
        return;
    content_close(epoch->content);
    mem_free(epoch);
}

static void epoch_enter(struct job *job)
{
    struct pull *pull = job->pull;
    if (pull->epoch == NULL)
        pull->epoch = mem_calloc(1, sizeof(*pull->epoch));
    job->epoch = pull->epoch;
    job->epoch->users++;
}

static void epoch_leave(struct job *job)
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

/* Claims what it can of a request for files; results: LEFT where it could, else TAKEN. */
static bool job_claim(struct job *job)
{
    struct pull *pull = job->pull;
    bool all = true;
    results_begin(job);
    for (size_t i = 0; i < job->item_count; i++) {
        if (claims_take(tasks_claims(pull->tasks), pull->account, &job->items[i].digest, pull))
            continue;
        job->results[i] = WALK_TAKEN;
        all = false;
    }
    return all;
}

/* Data connections for what describe offers come up while it, and pages, are on their way: each is
 * three round trips away. At most one for so much as it carries in a round trip. */
static void dial_early(struct pull *pull, uint64_t bytes)
{
    struct peer *peer = pull->peer;
    if (peer == NULL || peer->link == NULL || pull->options->walk.window_bytes > 0)
        return;
    uint64_t most = WINDOW_CONNECTIONS_EARLY + bytes / WINDOW_CONNECTION_BYTES;
    uint32_t early = peer->window.connections_early;
    link_dial_early(peer->link, early < most ? early : (uint32_t)most);
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
static void job_done(void *argument)
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
        dial_early(pull, pull->described.version.totals.bytes);
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

static void job_post(struct job *job)
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

static void job_copy_item(struct job *job, size_t at, const struct walk_item *item)
{
    job->items[at] = (struct job_item){
        .kind = item->kind,
        .is_top = item->kind == WALK_PAGE && item->parent == NULL,
        .level = item->level,
        .digest = item->digest,
        .bytes = item->bytes,
        .place = arena_copy(&job->arena, span_of(item->place, item->place_bytes))};
}

static void job_items(struct job *job, size_t count)
{
    job->items = arena_alloc(&job->arena, count + 1, sizeof(*job->items));
    ASSERT(job->items != NULL); /* at most a window's items, each place bounded */
    job->item_count = count;
}

/* ---- requests ---- */

/* The operator compares: what is configured here, and what `strait pubkey` says there. */
static void key_name(const struct peer *peer, struct err *err)
{
    char key[PUBLIC_IDENTITY_TEXT_BYTES];
    (void)!err_wrap(err, "expected key %s", public_identity_format(&peer->keys, key));
}

void request_error(const struct peer *peer, const struct link_reply *reply, struct err *ret_err)
{
    enum err_class class = err_class(reply->err.code);
    bool own_trouble = class == CLASS_FATAL || class == CLASS_CORRUPT || class == CLASS_LIMIT ||
                       class == CLASS_CANCELLED || reply->err.code == ERR_NO_SPACE ||
                       reply->err.code == ERR_NO_DESCRIPTORS;
    if (reply->from_peer && own_trouble)
        err_set(ret_err, ERR_BUSY, "it says: %s", reply->err.message);
    else if (reply->err.code == ERR_CANCELLED)
        err_set(ret_err, ERR_LOST, "%s", reply->err.message);
    else
        *ret_err = reply->err;
    if (ret_err->code == ERR_PEER_KEY)
        key_name(peer, ret_err);
}

static void reply_error(struct job *job, const struct link_reply *reply)
{
    bool damaged = err_class(reply->err.code) == CLASS_CORRUPT;
    if (reply->from_peer && damaged && job->item_count > 0)
        job->damaged = reply->err; /* its first item's: the others are asked for again */
    else
        request_error(job->pull->peer, reply, &job->err);
}

/* On the loop: the reply is here. */
static void job_replied(void *argument)
{
    struct job *job = argument;
    struct pull *pull = job->pull;
    bool late = pull->machine.phase == TASK_PHASE_FINISH || task_ended(&pull->machine);
    if (job->err.code != ERR_OK || job->work == NULL || late || tasks_stopped(pull->tasks)) {
        job_done(job);
        return;
    }
    if (job->answers == TASK_ON_GOT)
        epoch_enter(job);
    job_post(job);
}

/* On a link worker. */
static void on_reply(void *context, const struct link_reply *reply)
{
    struct job *job = context;
    job->wire_bytes = reply->wire_bytes;
    if (reply->err.code != ERR_OK) {
        reply_error(job, reply);
    } else {
        bytes_append_span(&job->reply_header, reply->header);
        job->reply_bytes = reply->body.len;
        job->reply_memory = *reply->kept_body; /* there: no request here reserves memory */
        job->reply_body = reply->body.data;
        *reply->kept_body = NULL;
    }
    loop_post(job->pull->options->loop, job_replied, job);
}

struct outgoing {
    enum peer_method method;
    struct bytes header, body;
};

static void outgoing_deinit(struct outgoing *outgoing)
{
    bytes_deinit(&outgoing->header);
    bytes_deinit(&outgoing->body);
}

static uint64_t pull_flow(const struct pull *pull)
{
    return load_u64(pull->record.id.b);
}

static void request_post(struct job *job, const struct outgoing *outgoing)
{
    struct pull *pull = job->pull;
    if (pull->peer == NULL || pull->peer->link == NULL) {
        err_set(&job->err, ERR_UNREACHABLE, "region %.*s is not configured as a peer",
                SPAN_PRINTF(pull->token.source.region));
        loop_post(pull->options->loop, job_replied, job);
        return;
    }
    bool bulk = outgoing->method == PEER_GET_PAGES || outgoing->method == PEER_GET_FILES;
    struct span body = arena_copy(&job->arena, bytes_span(&outgoing->body));
    const struct link_request request = {
        .method = (uint8_t)outgoing->method,
        .bulk = bulk,
        .flow = pull_flow(pull),
        .header = bytes_span(&outgoing->header),
        .body = span_of(body.data, outgoing->body.len),
        .reply_body_bytes = job->reply_capacity > 0 ? (uint32_t)job->reply_capacity
                                                    : (uint32_t)LIMIT_PEER_DESCRIBED_BYTES,
        .deadline_ms = bulk ? window_deadline_ms(&pull->peer->window) : DEADLINE_CONTROL_MS,
        .on_reply = on_reply,
        .context = job,
    };
    link_post(pull->peer->link, &request);
}

static void lease_header(const struct pull *pull, uint32_t reply_bytes, struct span receipt,
                         struct bytes *out)
{
    const struct peer_lease lease = {
        .lease = pull->described.lease, .reply_bytes = reply_bytes, .receipt = receipt};
    peer_lease_encode(&lease, out);
}

static void do_describe(struct pull *pull, const struct task_action *action)
{
    struct job *job = job_new(pull, job_take_described, TASK_ON_DESCRIBED, action->request);
    const struct pull_repair *repair = &pull->repair;
    struct outgoing outgoing = {.method = repair->is_one ? PEER_REPAIR : PEER_DESCRIBE};
    const struct peer_describe describe = {
        .task = pull->record.id,
        .token =
            repair->is_one ? span_of(repair->receipt, repair->receipt_bytes) : pull->record.token,
        .snapshot = pull->record.source_snapshot};
    peer_describe_encode(&describe, &outgoing.header);
    request_post(job, &outgoing);
    outgoing_deinit(&outgoing);
    dial_early(pull, 0);
}

static void do_lease(struct pull *pull, const struct task_action *action, enum peer_method method,
                     enum task_event_kind answers)
{
    struct job *job = job_new(pull, NULL, answers, action->request);
    struct outgoing outgoing = {.method = method};
    lease_header(pull, 0, span_of(NULL, 0), &outgoing.header);
    request_post(job, &outgoing);
    outgoing_deinit(&outgoing);
}

/* Before what ends the lease, on the same connection. An older source does not know it, and says so. */
static void settle_post(struct pull *pull)
{
    if (pull->repair.is_one)
        return;
    struct job *job = job_new(pull, NULL, TASK_ON_TICK, 0);
    job->settles = true;
    struct outgoing outgoing = {.method = PEER_SETTLE};
    settle_encode(pull, &outgoing.header);
    request_post(job, &outgoing);
    outgoing_deinit(&outgoing);
}

static void do_renew(struct pull *pull, const struct task_action *action)
{
    do_lease(pull, action, PEER_RENEW, TASK_ON_RENEWED);
    settle_post(pull);
}

static void do_end_lease(struct pull *pull, const struct task_action *action)
{
    if (pull->machine.outcome != TASK_DONE) { /* else before its receipt */
        settle_end(pull);
        settle_post(pull);
    }
    do_lease(pull, action, PEER_END, TASK_ON_TICK);
}

static void do_receipt(struct pull *pull, const struct task_action *action)
{
    struct job *job = job_new(pull, NULL, TASK_ON_RECEIPTED, action->request);
    if (pull->repair.is_one) { /* the peer has one already */
        loop_post(pull->options->loop, job_replied, job);
        return;
    }
    settle_end(pull);
    settle_post(pull);
    BYTES_CLEANUP struct bytes encoded = {0};
    receipt_make(pull, &pull->described, &pull->machine.counters, &encoded);
    struct outgoing outgoing = {.method = PEER_RECEIPT};
    lease_header(pull, 0, bytes_span(&encoded), &outgoing.header);
    request_post(job, &outgoing);
    outgoing_deinit(&outgoing);
}

static enum err_code item_ask(const struct job_item *item, struct peer_item *ret_item,
                              struct err *err)
{
    struct peer_item ask = {.digest = item->digest};
    if (item->kind == WALK_FILE) {
        TRY(place_decode_file(item->place, &ask.key, &ask.column_id, err));
    } else {
        struct page_place place;
        TRY(place_decode_page(item->place, &place, err));
        ask.tree = place.tree;
        ask.level = place.level;
        ask.key = place.last; /* empty for a root: any key is in its range */
    }
    *ret_item = ask;
    return ERR_OK;
}

static void get_post(struct job *job)
{
    bool pages = job->items[0].kind == WALK_PAGE;
    struct outgoing outgoing = {.method = pages ? PEER_GET_PAGES : PEER_GET_FILES};
    struct peer_item *asks = mem_calloc(job->item_count, sizeof(*asks));
    for (size_t i = 0; i < job->item_count; i++) {
        enum err_code code = item_ask(&job->items[i], &asks[i], &job->err);
        ASSERT(code == ERR_OK); /* our own encoding */
    }
    lease_header(job->pull, (uint32_t)job->reply_capacity, span_of(NULL, 0), &outgoing.header);
    peer_items_encode(asks, job->item_count, &outgoing.body);
    job->work = pages ? job_take_pages : job_take_files;
    job->after = NULL;
    job->results = NULL;
    settle_asked(job->pull, job);
    request_post(job, &outgoing);
    outgoing_deinit(&outgoing);
    mem_free(asks);
}

static void files_begin(struct job *job);

static bool results_all_left(const struct job *job)
{
    for (size_t i = 0; i < job->item_count; i++)
        if (job->results[i] != WALK_LEFT)
            return false;
    return true;
}

/* On the loop: what others have brought is known. Only when all is still missing and ours does the
 * request go out; else the machine asks for the rest anew. */
static void files_sifted(void *argument)
{
    struct job *job = argument;
    struct pull *pull = job->pull;
    bool late = pull->machine.phase == TASK_PHASE_FINISH || task_ended(&pull->machine);
    if (job->err.code != ERR_OK || late || tasks_stopped(pull->tasks)) {
        job->results = NULL;
        job_done(job);
        return;
    }
    bool refused = false, freed = false;
    for (size_t i = 0; i < job->item_count; i++) {
        if (job->results[i] != WALK_TAKEN)
            continue;
        if (claims_take(tasks_claims(pull->tasks), pull->account, &job->items[i].digest, pull)) {
            job->results[i] = WALK_LEFT; /* given up meanwhile */
            freed = true;
        } else {
            refused = true;
        }
    }
    pull->waits_elsewhere = pull->waits_elsewhere || refused;
    if (!results_all_left(job)) {
        job_done(job);
        return;
    }
    pull->jobs -= job->counted;
    job->counted = false;
    epoch_leave(job);
    if (freed)
        files_begin(job);
    else
        get_post(job);
}

/* A request for files: those that another task is pulling, or has brought, are not asked for. */
static void files_begin(struct job *job)
{
    if (job_claim(job) && !job->pull->shared) {
        get_post(job);
        return;
    }
    job->work = job_sift;
    job->after = files_sifted;
    epoch_enter(job);
    job_post(job);
}

static void do_get(struct pull *pull, const struct task_action *action)
{
    const struct walk_request *want = action->want;
    struct job *job = job_new(pull, NULL, TASK_ON_GOT, action->request);
    job_items(job, want->item_count);
    job->reply_capacity = want->reply_bytes;
    for (size_t i = 0; i < want->item_count; i++)
        job_copy_item(job, i, want->items[i]);
    if (want->kind == WALK_PAGE)
        get_post(job);
    else
        files_begin(job);
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

typedef void action_function(struct pull *pull, const struct task_action *action);

static action_function *const action_functions[TASK_ACTION_COUNT] = {
    [TASK_DO_CHECK] = do_check,     [TASK_DO_DESCRIBE] = do_describe,
    [TASK_DO_RENEW] = do_renew,     [TASK_DO_PLAN] = do_plan,
    [TASK_DO_GET_PAGES] = do_get,   [TASK_DO_GET_FILES] = do_get,
    [TASK_DO_COMMIT] = do_commit,   [TASK_DO_PUBLISH] = do_publish,
    [TASK_DO_RECEIPT] = do_receipt, [TASK_DO_END_LEASE] = do_end_lease,
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
    }
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
    bool was_over = pull->machine.phase >= TASK_PHASE_FINISH;
    task_step(&pull->machine, event, &pull->actions);
    if (!was_over && pull->machine.phase >= TASK_PHASE_FINISH)
        pull_over(pull);
    walk_claims_check(pull);
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
    struct task_event event = {.kind = TASK_ON_START,
                               .start = {.published = pull->record.published,
                                         .cancel = cancel,
                                         .counters = pull->record.counters}};
    pull_step(pull, &event);
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
