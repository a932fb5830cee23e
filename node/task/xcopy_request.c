/* What a pull asks its source for, and how the answers come back to its jobs. What becomes of an answer is the
 * work of xcopy_jobs.c; when something is asked is the machine's. */
#include "node/task/xcopy_pull.h"

#define DEADLINE_CONTROL_MS 15000

/* The operator compares: what is configured here, and what `strait pubkey` says there. */
static void key_name(const struct peer *peer, struct err *err)
{
    char key[PUBLIC_IDENTITY_TEXT_BYTES];
    const struct public_identity keys = peer_keys(peer);
    (void)!err_wrap(err, "expected key %s", public_identity_format(&keys, key));
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

uint64_t pull_flow(const struct pull *pull)
{
    return load_u64(pull->record.id.b);
}

static void request_post(struct job *job, const struct outgoing *outgoing)
{
    struct pull *pull = job->pull;
    if (pull->peer == NULL || pull->peer->link == NULL || !peer_configured(pull->peer)) {
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

void request_describe(struct pull *pull, const struct task_action *action)
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
    pull_dial_early(pull, 0);
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

void request_renew(struct pull *pull, const struct task_action *action)
{
    do_lease(pull, action, PEER_RENEW, TASK_ON_RENEWED);
    settle_post(pull);
}

void request_end_lease(struct pull *pull, const struct task_action *action)
{
    if (pull->machine.outcome != TASK_DONE) { /* else before its receipt */
        settle_end(pull);
        settle_post(pull);
    }
    do_lease(pull, action, PEER_END, TASK_ON_TICK);
}

void request_receipt(struct pull *pull, const struct task_action *action)
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

void request_get(struct pull *pull, const struct task_action *action)
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
