#include "node/task/xcopy_source.h"

#include "node/log.h"
#include "node/task/xcopy_channel.h"
#include "node/task/xcopy_log.h"
#include "node/task/xcopy_serving.h"
#include "store/crash.h"

#define SERVING_ARENA_BYTES (48 * MIB(1))

static void serving_free(struct serving *serving)
{
    arena_deinit(&serving->arena);
    bytes_deinit(&serving->subject);
    bytes_deinit(&serving->version);
    mem_free(serving);
}

static void serving_reply_error(struct serving *serving, const struct err *err)
{
    struct err told = *err;
    if (told.code == ERR_OK)
        err_set(&told, ERR_INTERNAL, "no answer");
    request_reply_error(serving->request, &told);
    serving_free(serving);
}

/* ---- hops between threads ---- */

static void serving_on_loop(struct serving *serving, loop_function next)
{
    if (!loop_post(serving->source->options.loop, next, serving)) {
        struct err err;
        err_set(&err, ERR_BUSY, "the node stops");
        serving_reply_error(serving, &err);
    }
}

/* On the loop: for what waits for the disk. One lease alone keeps no other waiting. */
static struct workers *commits_of(const struct source *source)
{
    return lease_count(&source->table) > 1 ? source->options.commits : source->options.workers;
}

static void serving_on(struct workers *workers, struct serving *serving, workers_function next)
{
    struct err err;
    if (workers_post(workers, next, serving, &err) != ERR_OK)
        serving_reply_error(serving, &err);
}

static void serving_on_worker(struct serving *serving, workers_function next)
{
    serving_on(serving->source->options.workers, serving, next);
}

/* ---- records ---- */

/* A lease that went: its record and its roots. A record that stays when the node ends is dropped
 * when the lease of the next start expires. */
struct drop {
    struct source *source;
    struct lease_id id;
    struct identity_key peer;
    struct bytes subject; /* owned */
    const char *why;
    struct err err;
};

static void on_dropped(void *argument);

static void drop_free(struct drop *drop)
{
    bytes_deinit(&drop->subject);
    mem_free(drop);
}

static void drop_answer(struct drop *drop)
{
    if (!loop_post(drop->source->options.loop, on_dropped, drop))
        drop_free(drop);
}

static void drop_on_worker(void *argument)
{
    struct drop *drop = argument;
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t key[LEASE_KEY_BYTES];
    catalog_delete(&change, FAMILY_LEASES, lease_record_key(&drop->id, key));
    root_delete(&change, lease_root_name(&drop->id));
    meters_put(drop->source->meters, &drop->id, TASK_FAILED, &change);
    if (catalog_commit(drop->source->options.store, &change, CATALOG_USE_RESERVE, &drop->err) ==
        ERR_OK)
        drop->err = (struct err){0};
    CRASH_POINT(CRASH_LEASE_ENDED);
    drop_answer(drop);
}

static void drop_post(struct source *source, const struct lease_id *id, const char *why)
{
    struct drop *drop = mem_calloc(1, sizeof(*drop));
    *drop = (struct drop){.source = source, .id = *id, .why = why};
    for (size_t i = 0; i < source->table.count; i++) { /* lease_find does not find it any more */
        const struct lease *lease = &source->table.leases[i];
        if (!digest_equal(&lease->id.digest, &id->digest))
            continue;
        drop->peer = lease->peer;
        bytes_append_span(&drop->subject, bytes_span(&lease->subject));
    }
    if (workers_post(commits_of(source), drop_on_worker, drop, &drop->err) != ERR_OK)
        drop_answer(drop);
}

/* ---- describe ---- */

static void on_described(void *argument);

/* On a worker: rights, and what the lease would keep. */
static void describe_on_worker(void *argument)
{
    struct serving *serving = argument;
    enum err_code code = serving->method == PEER_REPAIR ? serving_repair(serving, &serving->err)
                                                        : serving_describe(serving, &serving->err);
    if (code == ERR_OK)
        serving->err = (struct err){0};
    else if (!serving->absent) /* that is not a refusal while a lease of before still has it */
        serving_describe_refused(serving);
    serving_on_loop(serving, on_described);
}

static void on_granted(void *argument);

static void grant_on_worker(void *argument)
{
    struct serving *serving = argument;
    if (serving_grant(serving, &serving->err) == ERR_OK)
        serving->err = (struct err){0};
    else
        serving_lease_refused(serving);
    serving_on_loop(serving, on_granted);
}

static void describe_reply_on_worker(void *argument)
{
    struct serving *serving = argument;
    BYTES_CLEANUP struct bytes body = {0};
    if (serving_described(serving, &body, &serving->err) != ERR_OK) {
        serving_reply_error(serving, &serving->err);
        return;
    }
    serving_count(serving, 0, body.len);
    request_reply_bytes(serving->request, span_of(NULL, 0), &body);
    serving_free(serving);
}

/* ---- under a lease ---- */

static void on_rights_gone(void *argument);

static void serve_on_worker(void *argument)
{
    struct serving *serving = argument;
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    if (!request_alive(serving->request) || request_deadline_left_ms(serving->request) == 0) {
        err_set(&serving->err, ERR_TIMEOUT, "too late");
        serving_reply_error(serving, &serving->err);
    } else if (serving_serves(serving) && serving_rights_now(serving, &serving->err) != ERR_OK) {
        serving_lease_refused(serving);
        serving_on_loop(serving, on_rights_gone);
    } else if (serving_answer(serving, &header, &body, &serving->err) != ERR_OK) {
        if (err_class(serving->err.code) == CLASS_DENIED)
            serving_lease_refused(serving);
        serving_reply_error(serving, &serving->err);
    } else {
        if (serving->method == PEER_GET_FILES) {
            atomic_fetch_add_explicit(&serving->source->file_bytes, body.len, memory_order_relaxed);
            CRASH_POINT(CRASH_LEASE_SERVED);
        }
        if (serving_serves(serving))
            serving_count(serving, header.len, body.len);
        request_reply_bytes(serving->request, bytes_span(&header), &body);
        serving_free(serving);
    }
}

static void on_renewal(void *argument);

static void renew_on_worker(void *argument)
{
    struct serving *serving = argument;
    struct lease_subject subject;
    enum err_code code =
        lease_subject_decode(bytes_span(&serving->subject), &subject, &serving->err);
    if (code == ERR_OK)
        code = serving_rights(serving, &subject, NULL, &serving->err);
    if (code == ERR_OK)
        serving->err = (struct err){0};
    else
        serving_lease_refused(serving);
    serving_on_loop(serving, on_renewal);
}

/* ---- the lease machine, on the loop ---- */

static void waiting_add(struct serving *serving)
{
    struct source *source = serving->source;
    serving->number = ++source->serving_last;
    serving->next = source->servings;
    source->servings = serving;
}

static struct serving *waiting_take(struct source *source, uint64_t number)
{
    struct serving **at = &source->servings;
    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    struct serving *serving = *at;
    if (serving != NULL)
        *at = serving->next;
    return serving;
}

static void subject_copy(struct serving *serving)
{
    const struct lease *lease = lease_find(&serving->source->table, &serving->lease);
    bytes_clear(&serving->subject);
    if (lease != NULL)
        bytes_append_span(&serving->subject, bytes_span(&lease->subject));
}

static void lease_tell(struct source *source, const struct lease_id *id,
                       void (*tell)(const struct lease_log *lease))
{
    const struct lease *lease = lease_find(&source->table, id);
    if (lease != NULL && lease->state == LEASE_ALIVE)
        tell(&(struct lease_log){source->options.peers, &lease->peer, bytes_span(&lease->subject)});
}

static void action_reply(struct serving *serving, const struct lease_action *action)
{
    bool asks = serving->method == PEER_DESCRIBE || serving->method == PEER_REPAIR;
    if (action->err.code != ERR_OK) {
        if (asks)
            log_lease_refused(request_session(serving->request)->name, &serving->describe.task,
                              &action->err);
        serving_reply_error(serving, &action->err);
    } else if (asks) {
        subject_copy(serving);
        serving_on_worker(serving, describe_reply_on_worker);
    } else {
        struct bytes none = {0};
        if (serving->method == PEER_RENEW) {
            serving_count(serving, 0, 0);
            lease_tell(serving->source, &serving->lease, log_lease_renewed);
        }
        request_reply_bytes(serving->request, span_of(NULL, 0), &none);
        serving_free(serving);
    }
}

/* Why a lease ends, by the event in whose step it does. */
static const char *ending_of(enum lease_event_kind kind)
{
    if (kind == LEASE_ON_END)
        return "its task ended";
    return kind == LEASE_ON_TICK ? "it was not renewed" : "it is not allowed any more";
}

static void action_do(struct source *source, const struct lease_action *action,
                      enum lease_event_kind kind)
{
    if (action->kind == LEASE_DO_DROP) {
        drop_post(source, &action->id, ending_of(kind));
        return;
    }
    struct serving *serving = waiting_take(source, action->request);
    if (serving == NULL)
        return;
    if (action->kind == LEASE_DO_GRANT) {
        subject_copy(serving);
        serving->rechecks = recheck_begun(&source->recheck);
        if (workers_post(commits_of(source), grant_on_worker, serving, &serving->err) != ERR_OK)
            serving_on_loop(serving, on_granted);
    } else if (action->kind == LEASE_DO_SERVE) {
        subject_copy(serving);
        serving_on(serving_serves(serving) ? source->options.workers : commits_of(source), serving,
                   serve_on_worker);
    } else {
        action_reply(serving, action);
    }
}

static void source_step(struct source *source, struct lease_event *event)
{
    event->now_ms = loop_now_ms();
    lease_actions_clear(&source->actions);
    lease_step(&source->table, event, &source->actions);
    for (size_t i = 0; i < source->actions.count; i++)
        action_do(source, &source->actions.list[i], event->kind);
    atomic_store(&source->alive, lease_count(&source->table));
    uint64_t wake_ms = lease_wake_ms(&source->table);
    uint64_t now_ms = loop_now_ms();
    if (wake_ms != UINT64_MAX)
        loop_timer_start(source->options.loop, &source->timer,
                         wake_ms > now_ms ? wake_ms - now_ms : 0);
}

static void serving_step(struct serving *serving, enum lease_event_kind kind)
{
    struct lease_event event = {.kind = kind,
                                .request = serving->number,
                                .id = serving->lease,
                                .peer = serving->peer,
                                .arguments = serving->arguments,
                                .subject = bytes_span(&serving->subject),
                                .verdict = &serving->err};
    struct source *source = serving->source;
    BYTES_CLEANUP struct bytes subject = serving->subject; /* the serving may be gone */
    serving->subject = (struct bytes){0};
    struct err verdict = serving->err;
    event.verdict = &verdict;
    source_step(source, &event);
}

static void describe_step(void *argument)
{
    struct serving *serving = argument;
    waiting_add(serving);
    serving_step(serving, LEASE_ON_DESCRIBE);
}

static void absent_on_worker(void *argument)
{
    struct serving *serving = argument;
    serving_describe_refused(serving);
    serving_on_loop(serving, describe_step);
}

static void on_described(void *argument)
{
    struct serving *serving = argument;
    bool leased = serving->absent && lease_find(&serving->source->table, &serving->lease) != NULL;
    if (leased)
        serving->err = (struct err){0};
    if (serving->absent && !leased)
        serving_on_worker(serving, absent_on_worker);
    else
        describe_step(serving);
}

static void on_granted(void *argument)
{
    struct serving *serving = argument;
    serving->next = serving->source->servings;
    struct source *source = serving->source;
    source->servings = serving; /* under its number again */
    bool missed = serving->rechecks != recheck_begun(&source->recheck);
    const struct lease_id id = serving->lease; /* the serving may be gone after the step */
    serving_step(serving, LEASE_ON_GRANTED);
    lease_tell(source, &id, log_lease_granted);
    if (missed) /* that looked at the leases before this was one */
        source_recheck(source);
}

static void on_renewal(void *argument)
{
    struct serving *serving = argument;
    waiting_add(serving);
    serving_step(serving, LEASE_ON_RENEW);
}

static void on_rights_gone(void *argument)
{
    struct serving *serving = argument;
    waiting_add(serving);
    serving_step(serving, LEASE_ON_SERVE); /* with the verdict: the lease ends */
}

static void drop_told(const struct drop *drop)
{
    meters_end(drop->source->meters, &drop->id);
    log_lease_ended(
        &(struct lease_log){drop->source->options.peers, &drop->peer, bytes_span(&drop->subject)},
        drop->why);
}

static void on_dropped(void *argument)
{
    struct drop *drop = argument;
    if (drop->err.code == ERR_OK)
        drop_told(drop);
    struct lease_event event = {.kind = LEASE_ON_DROPPED, .id = drop->id, .verdict = &drop->err};
    source_step(drop->source, &event);
    drop_free(drop);
}

static void on_timer(void *argument)
{
    struct lease_event event = {.kind = LEASE_ON_TICK};
    source_step(argument, &event);
}

/* In the order in which requests came: what ends the lease comes after it and writes what is counted. */
static void settle_take(struct serving *serving)
{
    struct source *source = serving->source;
    const struct lease *lease = lease_find(&source->table, &serving->lease);
    if (lease != NULL && identity_key_equal(&lease->peer, &serving->peer))
        serving->settled = meters_settle(source->meters, &serving->settle, &serving->both);
}

/* On the loop: a request under a lease. */
static void on_leased(void *argument)
{
    struct serving *serving = argument;
    if (serving->method == PEER_SETTLE)
        settle_take(serving);
    if (serving->method == PEER_RENEW &&
        lease_find(&serving->source->table, &serving->lease) != NULL) {
        subject_copy(serving);
        serving_on_worker(serving, renew_on_worker);
        return;
    }
    waiting_add(serving);
    if (serving->method == PEER_RENEW)
        serving_step(serving, LEASE_ON_RENEW);
    else if (serving->method == PEER_END)
        serving_step(serving, LEASE_ON_END);
    else
        serving_step(serving, LEASE_ON_SERVE);
}

/* ---- requests, on link workers ---- */

static enum err_code leased_decode(struct serving *serving, struct err *err)
{
    if (serving->method == PEER_SETTLE) {
        TRY(peer_settle_decode(request_header(serving->request), &serving->arena, &serving->settle,
                               err));
        serving->lease = serving->settle.lease;
        return ERR_OK;
    }
    TRY(peer_lease_decode(request_header(serving->request), &serving->arena, &serving->header,
                          err));
    serving->lease = serving->header.lease;
    if (serving->method != PEER_GET_PAGES && serving->method != PEER_GET_FILES)
        return ERR_OK;
    return peer_items_decode(request_body(serving->request), &serving->arena, &serving->items,
                             &serving->item_count, err);
}

void source_on_request(void *context, struct request *request)
{
    struct source *source = context;
    if (request_method(request) == PEER_CHANNEL) {
        channel_request(source->options.peers, request);
        return;
    }
    if (request_method(request) == PEER_WATCH) {
        peer_watches_add(source->watches, request);
        return;
    }
    struct serving *serving = mem_calloc(1, sizeof(*serving));
    serving->source = source;
    serving->request = request;
    serving->method = (enum peer_method)request_method(request);
    serving->peer = request_session(request)->identity;
    arena_init(&serving->arena, SERVING_ARENA_BYTES);
    if (serving->method == PEER_DESCRIBE || serving->method == PEER_REPAIR) {
        serving_on_worker(serving, describe_on_worker);
        return;
    }
    bool known = (serving->method >= PEER_GET_PAGES && serving->method <= PEER_RECEIPT) ||
                 serving->method == PEER_SETTLE;
    if (!known)
        err_set(&serving->err, ERR_VERSION,
                "request %u is not known to this node: its program is older than "
                "the one that asks",
                request_method(request));
    if (!known || leased_decode(serving, &serving->err) != ERR_OK)
        serving_reply_error(serving, &serving->err);
    else
        serving_on_loop(serving, on_leased);
}

bool source_find(void *context, const struct noise_key *key, struct session *session)
{
    struct source *source = context;
    const struct peer *peer = peers_find_noise(source->options.peers, key);
    if (peer == NULL)
        return false;
    const struct public_identity keys = peer_keys(peer);
    if (!noise_key_equal(&keys.noise, key)) /* it was given another key meanwhile */
        return false;
    session->identity = keys.sign;
    session->entry = 1 + peer->place;
    snprintf(session->name, sizeof(session->name), "%s", peer->region);
    session->bucket = bucket_ref(peer->send_bucket);
    return true;
}

/* ---- rights that went ---- */

static void on_refused(void *context, const struct lease_id *id)
{
    struct lease_event event = {.kind = LEASE_ON_REVOKED, .id = *id};
    source_step(context, &event);
}

void source_recheck(struct source *source)
{
    recheck_request(&source->recheck);
}

/* ---- watches ---- */

void source_snapshot_made(struct source *source)
{
    peer_watches_made(source->watches);
}

size_t source_watches(struct source *source)
{
    return peer_watches_parked(source->watches);
}

/* ---- life ---- */

static enum err_code leases_read(struct source *source, struct bytes *all, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(source->options.store, NULL, FAMILY_LEASES, span_text("l"), span_of(NULL, 0),
                     &iter, err));
    for (;;) {
        struct span key, value;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len != LEASE_KEY_BYTES)
            continue; /* nobody's */
        bytes_append_u32(all, (uint32_t)value.len);
        bytes_append(all, key.data + 1, DIGEST_BYTES);
        bytes_append_span(all, value);
        struct lease_id lease;
        memcpy(lease.digest.b, key.data + 1, DIGEST_BYTES);
        TRY(meters_load(source->meters, source->options.store, &lease, err));
    }
}

struct loading {
    struct source *source;
    struct bytes all;
};

static void load_on_loop(void *argument)
{
    struct loading *loading = argument;
    struct reader reader = reader_of(bytes_span(&loading->all));
    while (reader.left.len > 0) {
        struct lease_event event = {.kind = LEASE_ON_LOADED};
        uint32_t bytes = reader_u32(&reader);
        reader_copy(&reader, event.id.digest.b, DIGEST_BYTES);
        struct reader value = reader_of(reader_span(&reader, bytes));
        reader_copy(&value, event.peer.b, sizeof(event.peer.b));
        reader_copy(&value, event.arguments.b, DIGEST_BYTES);
        event.subject = value.left;
        struct lease_subject subject;
        struct err reason;
        source_step(loading->source, &event);
        if (lease_subject_decode(event.subject, &subject, &reason) == ERR_OK)
            continue;
        log_error("a lease's record cannot be read and is dropped; its peer asks anew", &reason);
        event.kind = LEASE_ON_REVOKED;
        source_step(loading->source, &event);
    }
}

enum err_code source_open(const struct source_options *options, struct source **ret_source,
                          struct err *err)
{
    if (!options->clock_doubted)
        TRY(token_uses_forget(options->store, (uint64_t)time(NULL), err));
    struct source *source = mem_calloc(1, sizeof(*source));
    source->options = *options;
    source->rights = (struct xcopy_rights){.store = options->store,
                                           .principals = options->principals,
                                           .peers = options->peers,
                                           .node = identity_public(options->identity)->sign,
                                           .region = options->region,
                                           .gates = options->gates};
    source->timer.run = on_timer;
    source->timer.argument = source;
    source->meters = meters_new();
    lease_table_init(&source->table, LEASE_MS);
    const struct recheck_options recheck = {.loop = options->loop,
                                            .workers = options->workers,
                                            .rights = &source->rights,
                                            .auditor = options->auditor,
                                            .table = &source->table,
                                            .on_refused = on_refused,
                                            .context = source};
    recheck_init(&source->recheck, &recheck);
    const struct peer_watches_options watches = {.loop = options->loop,
                                                 .workers = options->workers,
                                                 .rights = &source->rights,
                                                 .auditor = options->auditor};
    source->watches = peer_watches_new(&watches);
    struct loading loading = {.source = source};
    enum err_code code = leases_read(source, &loading.all, err);
    if (code == ERR_OK)
        loop_call(options->loop, load_on_loop, &loading);
    bytes_deinit(&loading.all);
    if (code != ERR_OK) {
        source_free(source);
        return code;
    }
    *ret_source = source;
    return ERR_OK;
}

void source_stop(struct source *source)
{
    if (source != NULL)
        peer_watches_stop(source->watches);
}

void source_free(struct source *source)
{
    if (source == NULL)
        return;
    recheck_deinit(&source->recheck);
    peer_watches_free(source->watches);
    meters_free(source->meters);
    lease_table_deinit(&source->table);
    lease_actions_deinit(&source->actions);
    mem_free(source);
}

uint64_t source_file_bytes(struct source *source)
{
    return atomic_load_explicit(&source->file_bytes, memory_order_relaxed);
}

size_t source_leases(struct source *source)
{
    return atomic_load(&source->alive);
}
