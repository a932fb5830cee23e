#include "node/task/xcopy_look.h"

#include "node/task/xcopy_pull.h"
#include "store/held.h"
#include "store/tree.h"

#define DEADLINE_CONTROL_MS 15000
#define DEADLINE_PAGES_MS   WINDOW_DEADLINE_MS_MIN
#define LOOK_REPLY_BYTES    (LOOK_BATCH * LIMIT_PAGE_MESSAGE_BYTES)
#define HELD_BATCHES        16 /* of own pages, before others get a turn at the worker */

struct looks {
    const struct tasks_options *options;
    pthread_mutex_t lock; /* what is below; held while a request is posted */
    TAILQ_HEAD(, xcopy_look) list;
    size_t at_work;
    bool stopped;
};

enum look_request {
    LOOK_ASKS_NOTHING,
    LOOK_ASKS_DESCRIBE,
    LOOK_ASKS_PAGES,
    LOOK_ASKS_RENEW,
};

struct xcopy_look {
    struct looks *looks;
    TAILQ_ENTRY(xcopy_look) link; /* looks->lock */
    size_t refs;                  /* the same: the asker's, and the work's */
    /* constant */
    struct look_work work;
    struct bytes token_bytes;
    struct token token; /* borrows */
    struct task_id task;
    struct lease_id lease;
    struct xcopy_rights rights;
    struct peer *peer;
    /* the work's: of the step that runs, or the request or pause that it waits for */
    struct xcopy_target target;
    bool is_checked;   /* rights here, at the start */
    bool was_asked;    /* describe: there may be a lease to end */
    bool is_described; /* and look begun */
    bool is_enough;    /* the work needs no more pages */
    struct look look;
    struct described described;
    struct content *content; /* pins the base */
    struct tree_cursor *base;
    struct page_source source;
    uint64_t renewed_ms;
    uint64_t trouble_ms; /* since when; 0: there is none */
    unsigned wrong;      /* answers in a row */
    unsigned leases_lost;
    enum look_request asked;
    struct look_item *items[LOOK_BATCH]; /* LOOK_ASKS_PAGES */
    size_t item_count;
    struct bytes request_body;
    struct err reply_err;
    struct bytes reply_header;
    struct link_body *reply_memory;
    struct span reply_body; /* in it */
    struct loop_timer timer;
    /* shared */
    atomic_bool closed;
    pthread_mutex_t lock;
    bool ended;
    struct err err; /* its outcome */
    struct look_result result;
    char phase[TASK_PHASE_BYTES];
};

static void look_on_worker(void *argument);
static void work_end(struct xcopy_look *look, enum err_code code, const struct err *err);

/* ---- life ---- */

static void reply_clear(struct xcopy_look *look)
{
    bytes_clear(&look->reply_header);
    link_body_free(look->reply_memory);
    look->reply_memory = NULL;
    look->reply_body = span_of(NULL, 0);
    look->reply_err = (struct err){0};
}

/* What only the work needs. */
static void work_free(struct xcopy_look *look)
{
    reply_clear(look);
    tree_cursor_free(look->base);
    look->base = NULL;
    content_close(look->content);
    look->content = NULL;
    if (look->work.work_free != NULL)
        look->work.work_free(look->work.context);
    look_deinit(&look->look);
    bytes_deinit(&look->request_body);
    bytes_deinit(&look->reply_header);
    bytes_deinit(&look->described.claim);
}

static void look_free(struct xcopy_look *look)
{
    if (look->work.free != NULL)
        look->work.free(look->work.context);
    bytes_deinit(&look->token_bytes);
    pthread_mutex_destroy(&look->lock);
    mem_free(look);
}

static void look_unref(struct xcopy_look *look)
{
    struct looks *looks = look->looks;
    pthread_mutex_lock(&looks->lock);
    bool last = --look->refs == 0;
    if (last)
        TAILQ_REMOVE(&looks->list, look, link);
    pthread_mutex_unlock(&looks->lock);
    if (last)
        look_free(look);
}

static void phase_set(struct xcopy_look *look, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void phase_set(struct xcopy_look *look, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    pthread_mutex_lock(&look->lock);
    vsnprintf(look->phase, sizeof(look->phase), format, values);
    pthread_mutex_unlock(&look->lock);
    va_end(values);
}

/* ---- requests ---- */

/* On a link worker: handed on. */
static void on_reply(void *context, const struct link_reply *reply)
{
    struct xcopy_look *look = context;
    if (reply->err.code != ERR_OK) {
        request_error(look->peer, reply, &look->reply_err);
    } else {
        bytes_append_span(&look->reply_header, reply->header);
        look->reply_body = reply->body;
        look->reply_memory = *reply->kept_body; /* no request here reserves memory */
        *reply->kept_body = NULL;
    }
    struct err err;
    if (workers_post(look->looks->options->workers, look_on_worker, look, &err) != ERR_OK)
        work_end(look, err.code, &err);
}

/* False: the node stops, and there is no peer any more. */
static bool request_post(struct xcopy_look *look, const struct link_request *request)
{
    struct looks *looks = look->looks;
    pthread_mutex_lock(&looks->lock);
    bool posts = !looks->stopped && look->peer->link != NULL;
    if (posts)
        link_post(look->peer->link, request);
    pthread_mutex_unlock(&looks->lock);
    return posts;
}

/* The last thing that a step does: the reply may be here before this returns. */
static enum err_code ask(struct xcopy_look *look, enum peer_method method, struct span header,
                         enum look_request asked, struct err *err)
{
    bool bulk = asked == LOOK_ASKS_PAGES;
    reply_clear(look);
    look->asked = asked;
    const struct link_request request = {
        .method = (uint8_t)method,
        .bulk = bulk,
        .header = header,
        .body = bytes_span(&look->request_body),
        .reply_body_bytes = (uint32_t)(bulk ? LOOK_REPLY_BYTES : LIMIT_PEER_DESCRIBED_BYTES),
        .deadline_ms = bulk ? DEADLINE_PAGES_MS : DEADLINE_CONTROL_MS,
        .on_reply = on_reply,
        .context = look,
    };
    if (request_post(look, &request))
        return ERR_OK;
    return err_set(err, ERR_CANCELLED, "the node stops");
}

static enum err_code ask_describe(struct xcopy_look *look, struct err *err)
{
    BYTES_CLEANUP struct bytes header = {0};
    const struct peer_describe describe = {.task = look->task,
                                           .token = bytes_span(&look->token_bytes)};
    bytes_clear(&look->request_body);
    peer_describe_encode(&describe, &header);
    look->was_asked = true;
    return ask(look, PEER_DESCRIBE, bytes_span(&header), LOOK_ASKS_DESCRIBE, err);
}

static void lease_header(const struct xcopy_look *look, uint32_t reply_bytes, struct bytes *out)
{
    const struct peer_lease lease = {.lease = look->lease, .reply_bytes = reply_bytes};
    peer_lease_encode(&lease, out);
}

static enum err_code ask_renew(struct xcopy_look *look, struct err *err)
{
    BYTES_CLEANUP struct bytes header = {0};
    bytes_clear(&look->request_body);
    lease_header(look, 0, &header);
    return ask(look, PEER_RENEW, bytes_span(&header), LOOK_ASKS_RENEW, err);
}

/* By place: any key of its range; of a root the empty one is. */
static enum err_code ask_pages(struct xcopy_look *look, struct err *err)
{
    BYTES_CLEANUP struct bytes header = {0};
    struct peer_item asks[LOOK_BATCH];
    for (size_t i = 0; i < look->item_count; i++) {
        const struct page_place *place = &look->items[i]->place;
        asks[i] = (struct peer_item){.key = place->last,
                                     .digest = look->items[i]->digest,
                                     .tree = place->tree,
                                     .level = place->level};
    }
    bytes_clear(&look->request_body);
    peer_items_encode(asks, look->item_count, &look->request_body);
    lease_header(look, LOOK_REPLY_BYTES, &header);
    return ask(look, PEER_GET_PAGES, bytes_span(&header), LOOK_ASKS_PAGES, err);
}

static void on_lease_end(void *context, const struct link_reply *reply)
{
    (void)context;
    (void)reply;
}

/* Nobody waits for it: a lease that stays ends by itself. */
static void lease_end(struct xcopy_look *look)
{
    BYTES_CLEANUP struct bytes header = {0};
    if (!look->was_asked)
        return;
    lease_header(look, 0, &header);
    const struct link_request request = {.method = PEER_END,
                                         .header = bytes_span(&header),
                                         .reply_body_bytes = KIB(4),
                                         .deadline_ms = DEADLINE_CONTROL_MS,
                                         .on_reply = on_lease_end};
    (void)request_post(look, &request);
}

/* ---- the end ---- */

/* code ERR_OK: the result is set. On a worker or, when these are gone, elsewhere. */
static void work_end(struct xcopy_look *look, enum err_code code, const struct err *err)
{
    struct looks *looks = look->looks;
    lease_end(look);
    work_free(look);
    pthread_mutex_lock(&looks->lock);
    looks->at_work--;
    pthread_mutex_unlock(&looks->lock);
    pthread_mutex_lock(&look->lock);
    look->ended = true;
    look->err = code == ERR_OK ? (struct err){0} : *err;
    pthread_mutex_unlock(&look->lock);
    look_unref(look);
}

struct rate_question {
    const struct peer *peer;
    struct window_rate rate;
};

/* No more than the channel is allowed now. Not its bucket's rate: at that this side reads, and a source that keeps the
 * limit is read faster (../channel_keeping.h). */
static void on_rate_question(void *argument)
{
    struct rate_question *question = argument;
    question->rate = window_rate(&question->peer->window, question->peer->limit);
}

static struct window_rate rate_find(const struct xcopy_look *look)
{
    struct rate_question question = {.peer = look->peer};
    loop_call(look->looks->options->loop, on_rate_question, &question);
    return question.rate;
}

static enum err_code explain_check(void *context, struct err *err)
{
    struct xcopy_look *look = context;
    ARENA_CLEANUP struct arena arena;
    const struct xcopy_copy copy = {.token = bytes_span(&look->token_bytes)};
    arena_init(&arena, MIB(8));
    return xcopy_rights_destination(&look->rights, &copy, &arena, &look->target, err);
}

static enum err_code explain_conclude(void *context, const struct look *walked,
                                      const atomic_bool *closed, struct err *err)
{
    struct xcopy_look *look = context;
    struct look_result result = {
        .counts = look_counts_get(walked), .has_base = look->base != NULL, .rate = rate_find(look)};
    (void)closed;
    (void)err;
    uint64_t bytes = result.counts.of[LOOK_NEW].bytes + result.counts.of[LOOK_CHANGED].bytes +
                     result.counts.page_bytes;
    if (result.rate.bytes_per_second > 0)
        result.seconds = (double)bytes / (double)result.rate.bytes_per_second;
    pthread_mutex_lock(&look->lock);
    look->result = result;
    pthread_mutex_unlock(&look->lock);
    return ERR_OK;
}

/* ---- what the store knows: of this account alone ---- */

static enum err_code has_page(void *context, const struct digest *digest, bool *ret_has,
                              struct err *err)
{
    const struct xcopy_look *look = context;
    return held_find_page(look->rights.store, digest, look->target.owner, ret_has, err);
}

static enum err_code has_file(void *context, const struct digest *digest, bool *ret_has,
                              struct err *err)
{
    const struct xcopy_look *look = context;
    return held_find_file(look->rights.store, digest, look->target.owner, ret_has, err);
}

/* Only a reason hangs on it: a base that cannot be read has nothing. */
static enum err_code base_has(void *context, struct span partition, bool *ret_has, struct err *err)
{
    struct xcopy_look *look = context;
    const struct page_entry *entry;
    (void)err;
    *ret_has = look->base != NULL && tree_cursor_get(look->base, partition, &entry, NULL) == ERR_OK;
    return ERR_OK;
}

static enum err_code own_page_read(void *context, const struct digest *digest,
                                   struct bytes *ret_page, struct err *err)
{
    return page_read(context, digest, ret_page, err);
}

/* Pinned, so that what is asked of it stays to the end. */
static enum err_code explain_begin(void *context, struct described *described, struct span version,
                                   bool *ret_enough, struct err *err)
{
    struct xcopy_look *look = context;
    struct store *store = look->rights.store;
    const struct xcopy_base *base = &described->base;
    bool is_held = false;
    (void)version;
    (void)ret_enough;
    tree_cursor_free(look->base);
    look->base = NULL;
    xcopy_base_find(store, span_text(look->rights.region), look->target.project, described);
    if (!base->is_known)
        return ERR_OK;
    if (look->content == NULL)
        TRY(content_open(store, look->target.owner, &look->content, err));
    TRY(content_rely_page(look->content, &base->manifest, &is_held, err));
    const struct tree tree = {&look->source, TREE_MANIFEST, base->manifest};
    look->base = is_held ? tree_cursor_new(&tree) : NULL;
    return ERR_OK;
}

/* ---- replies: what is wrong with them is the peer's error ---- */

static enum err_code peer_fault(struct err *err)
{
    enum err_code code = err->code;
    if (code == ERR_BAD_DATA || code == ERR_LIMIT || code == ERR_PARAMETER ||
        code == ERR_SEMANTIC) {
        struct err reason = *err;
        return err_set(err, ERR_PEER, "%s", reason.message);
    }
    return code;
}

static enum err_code described_check(struct xcopy_look *look, struct arena *arena,
                                     struct span *ret_version, struct err *err)
{
    struct peer_described described;
    TRY(peer_described_decode(look->reply_body, arena, &described, err));
    if (!digest_equal(&described.lease.digest, &look->lease.digest))
        return err_set(err, ERR_PEER, "the lease has another id than this look's");
    bytes_deinit(&look->described.claim);
    look->described = (struct described){0};
    TRY(described_verify(look->looks->options, &described, arena, &look->described, err));
    *ret_version = described.version;
    return ERR_OK;
}

/* *ret_own: the error is our store's. */
static enum err_code take_described(struct xcopy_look *look, bool *ret_own, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, JOB_ARENA_BYTES);
    struct span version = {0};
    if (described_check(look, &arena, &version, err) != ERR_OK)
        return peer_fault(err);
    *ret_own = true;
    look->is_enough = false;
    TRY(look->work.begin(look->work.context, &look->described, version, &look->is_enough, err));
    TRY(look_begin(&look->look, &look->described.manifest_root,
                   &look->described.version.attribute_root, err));
    look->is_described = true;
    look->renewed_ms = loop_now_ms();
    return ERR_OK;
}

static enum err_code take_page(struct xcopy_look *look, struct look_item *item, struct span bytes,
                               bool *ret_own, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, PAGE_ARENA_BYTES);
    struct page page;
    char hex[DIGEST_HEX_BYTES];
    if (page_arrived(bytes, &item->digest, &item->place, &arena, &page, err) != ERR_OK) {
        (void)!peer_fault(err);
        return err_wrap(err, "page %.16s", digest_hex(&item->digest, hex));
    }
    *ret_own = true;
    if (look->work.page != NULL)
        TRY(look->work.page(look->work.context, &item->digest, bytes, &look->is_enough, err));
    TRY(look_take(&look->look, item, &page, bytes.len, err));
    *ret_own = false;
    return ERR_OK;
}

static enum err_code take_pages(struct xcopy_look *look, bool *ret_own, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    uint32_t *lengths;
    size_t count;
    const uint8_t *at = look->reply_body.data;
    if (peer_lengths_decode(bytes_span(&look->reply_header), look->item_count,
                            LIMIT_PAGE_MESSAGE_BYTES, look->reply_body.len, &arena, &lengths,
                            &count, err) != ERR_OK)
        return peer_fault(err);
    for (size_t i = 0; i < count; i++) {
        TRY(take_page(look, look->items[i], span_of(at, lengths[i]), ret_own, err));
        at += lengths[i];
    }
    return ERR_OK;
}

static enum err_code take_reply(struct xcopy_look *look, bool *ret_own, struct err *err)
{
    enum look_request asked = look->asked;
    look->asked = LOOK_ASKS_NOTHING;
    if (asked == LOOK_ASKS_NOTHING)
        return ERR_OK;
    if (look->reply_err.code != ERR_OK) {
        *err = look->reply_err;
        return err->code;
    }
    if (asked == LOOK_ASKS_DESCRIBE)
        return take_described(look, ret_own, err);
    if (asked == LOOK_ASKS_PAGES)
        return take_pages(look, ret_own, err);
    look->renewed_ms = loop_now_ms();
    return ERR_OK;
}

/* ---- pauses ---- */

static void look_post(struct xcopy_look *look)
{
    struct err err;
    if (workers_post(look->looks->options->workers, look_on_worker, look, &err) != ERR_OK)
        work_end(look, err.code, &err);
}

static bool looks_stopped(struct looks *looks)
{
    pthread_mutex_lock(&looks->lock);
    bool stopped = looks->stopped;
    pthread_mutex_unlock(&looks->lock);
    return stopped;
}

static void on_pause_over(void *argument)
{
    look_post(argument);
}

static void on_pause(void *argument)
{
    struct xcopy_look *look = argument;
    if (looks_stopped(look->looks))
        look_post(look);
    else
        loop_timer_start(look->looks->options->loop, &look->timer, LOOK_RETRY_STEP_MS);
}

static uint64_t retry_ms(const struct xcopy_look *look)
{
    uint64_t chosen = look->looks->options->look_retry_ms;
    return chosen > 0 ? chosen : LOOK_RETRY_MS;
}

/* Somebody waits: a peer in trouble is asked again for a little while. */
static void trouble(struct xcopy_look *look, struct err *err)
{
    uint64_t now_ms = loop_now_ms();
    enum err_class class = err_class(err->code);
    if (look->trouble_ms == 0)
        look->trouble_ms = now_ms;
    look->wrong += class == CLASS_PEER;
    if (err->code == ERR_LEASE_GONE) {
        look->is_described = false; /* begun anew */
        look->leases_lost++;
    }
    bool again = (class == CLASS_RETRY && look->leases_lost < LOOK_WRONG_TRIES) ||
                 (class == CLASS_PEER && look->wrong < LOOK_WRONG_TRIES);
    if (!again || now_ms - look->trouble_ms >= retry_ms(look)) {
        (void)!err_wrap(err, "peer %s", look->peer->region);
        work_end(look, err->code, err);
        return;
    }
    phase_set(look, "waiting for peer %s: %s", look->peer->region, err->message);
    if (!loop_post(look->looks->options->loop, on_pause, look))
        work_end(look, err->code, err);
}

/* ---- steps, on a worker ---- */

static enum err_code take_held(struct xcopy_look *look, struct err *err)
{
    for (size_t i = 0; i < look->item_count; i++) {
        struct look_item *item = look->items[i];
        BYTES_CLEANUP struct bytes encoded = {0};
        ARENA_CLEANUP struct arena arena;
        arena_init(&arena, PAGE_ARENA_BYTES);
        struct page page;
        if (page_read(look->rights.store, &item->digest, &encoded, NULL) != ERR_OK) {
            look_missed(item); /* the peer has it */
            return ERR_OK;
        }
        TRY(page_decode(bytes_span(&encoded), &item->place, &arena, &page, err));
        TRY(look_take(&look->look, item, &page, encoded.len, err));
    }
    return ERR_OK;
}

static enum err_code conclude(struct xcopy_look *look, struct err *err)
{
    TRY(look->work.check(look->work.context, err));
    return look->work.conclude(look->work.context, &look->look, &look->closed, err);
}

/* *ret_waits: the look is another's now: a request's, or a later step's. */
static enum err_code go_on(struct xcopy_look *look, bool *ret_waits, struct err *err)
{
    if (!look->is_checked)
        TRY(look->work.check(look->work.context, err));
    look->is_checked = true;
    *ret_waits = true;
    if (!look->is_described)
        return ask_describe(look, err);
    for (size_t i = 0; i < HELD_BATCHES; i++) {
        look->item_count = look->is_enough ? 0 : look_batch(&look->look, look->items);
        if (look->item_count == 0) {
            *ret_waits = false;
            return conclude(look, err);
        }
        if (loop_now_ms() >= look->renewed_ms + LEASE_RENEW_MS)
            return ask_renew(look, err);
        if (!look->items[0]->is_held)
            return ask_pages(look, err);
        TRY(take_held(look, err));
    }
    return workers_post(look->looks->options->workers, look_on_worker, look, err);
}

static void look_on_worker(void *argument)
{
    struct xcopy_look *look = argument;
    struct err err = {0};
    bool waits = false, own = false;
    if (atomic_load(&look->closed) || looks_stopped(look->looks)) {
        err_set(&err, ERR_CANCELLED, "the statement was cancelled");
        work_end(look, err.code, &err);
        return;
    }
    bool answered = look->asked != LOOK_ASKS_NOTHING;
    enum err_code code = take_reply(look, &own, &err);
    if (code != ERR_OK && !own) {
        trouble(look, &err);
        return;
    }
    if (answered) {
        look->trouble_ms = 0;
        look->wrong = 0;
        phase_set(look, "looking: %" PRIu64 " pages of %s", look->look.counts.pages,
                  look->peer->region);
    }
    if (code == ERR_OK)
        code = go_on(look, &waits, &err);
    if (code != ERR_OK || !waits)
        work_end(look, code, &err);
}

/* ---- for the statement ---- */

/* One token, one lease: whoever comes again with it is the same. */
static struct task_id task_of(struct span token)
{
    struct digest digest = digest_of(DOMAIN_STATEMENT, token);
    struct task_id task;
    memcpy(task.b, digest.b, sizeof(task.b));
    return task;
}

static struct look_work explain_work(struct xcopy_look *look)
{
    return (struct look_work){.check = explain_check,
                              .begin = explain_begin,
                              .store = {has_page, has_file, base_has, look},
                              .conclude = explain_conclude,
                              .held_pages_max = look_limits_default().held_pages_max,
                              .context = look};
}

static struct xcopy_look *look_new(struct looks *looks, const struct tasks_order *order,
                                   const struct look_work *work)
{
    const struct tasks_options *options = looks->options;
    struct xcopy_look *look = mem_calloc(1, sizeof(*look));
    struct look_limits limits = look_limits_default();
    look->looks = looks;
    look->refs = 2;
    pthread_mutex_init(&look->lock, NULL);
    bytes_append_span(&look->token_bytes, order->token);
    look->task = task_of(order->token);
    look->rights = (struct xcopy_rights){.store = options->store,
                                         .principals = options->principals,
                                         .node = identity_public(options->identity)->sign,
                                         .region = options->region};
    look->lease = lease_id_of(&look->rights.node, &look->task);
    look->peer = peers_find_region(options->peers, order->source_region);
    look->source = (struct page_source){own_page_read, options->store};
    look->timer = (struct loop_timer){.run = on_pause_over, .argument = look};
    look->work = work != NULL ? *work : explain_work(look);
    limits.held_pages_max = look->work.held_pages_max;
    randombytes_buf(limits.seed, sizeof(limits.seed));
    look_init(&look->look, &limits, &look->work.store);
    snprintf(look->phase, sizeof(look->phase), "asking %s", look->peer->region);
    return look;
}

enum err_code look_start(struct looks *looks, const struct tasks_order *order,
                         const struct look_work *work, struct xcopy_look **ret_look,
                         struct err *err)
{
    pthread_mutex_lock(&looks->lock);
    bool admitted = looks->at_work < LOOKS_MAX && !looks->stopped;
    if (admitted) {
        *ret_look = look_new(looks, order, work);
        TAILQ_INSERT_TAIL(&looks->list, *ret_look, link);
        looks->at_work++;
    }
    pthread_mutex_unlock(&looks->lock);
    if (!admitted)
        return err_set(err, ERR_TASK_LIMIT,
                       "%d EXPLAIN XCOPY or VERIFY ... AGAINST run on this node already; ask again "
                       "when one has ended",
                       LOOKS_MAX);
    look_post(*ret_look);
    return ERR_OK;
}

enum err_code look_poll(struct xcopy_look *look, char phase[TASK_PHASE_BYTES], bool *ret_ended,
                        struct look_result *ret_result, struct err *err)
{
    pthread_mutex_lock(&look->lock);
    *ret_ended = look->ended;
    *ret_result = look->result;
    snprintf(phase, TASK_PHASE_BYTES, "%s", look->phase);
    struct err outcome = look->err;
    pthread_mutex_unlock(&look->lock);
    return *ret_ended && outcome.code != ERR_OK ? err_set(err, outcome.code, "%s", outcome.message)
                                                : ERR_OK;
}

void look_close(struct xcopy_look *look)
{
    atomic_store(&look->closed, true);
    look_unref(look);
}

/* ---- all of a node ---- */

struct looks *looks_new(const struct tasks_options *options)
{
    struct looks *looks = mem_calloc(1, sizeof(*looks));
    looks->options = options;
    pthread_mutex_init(&looks->lock, NULL);
    TAILQ_INIT(&looks->list);
    return looks;
}

/* On the loop: pauses are over. */
static void on_stop(void *argument)
{
    struct looks *looks = argument;
    struct xcopy_look *paused[LOOKS_MAX], *look;
    size_t count = 0;
    pthread_mutex_lock(&looks->lock);
    TAILQ_FOREACH(look, &looks->list, link)
    {
        if (look->timer.armed)
            paused[count++] = look;
    }
    pthread_mutex_unlock(&looks->lock);
    for (size_t i = 0; i < count; i++) {
        loop_timer_cancel(looks->options->loop, &paused[i]->timer);
        look_post(paused[i]);
    }
}

void looks_stop(struct looks *looks)
{
    pthread_mutex_lock(&looks->lock);
    looks->stopped = true;
    pthread_mutex_unlock(&looks->lock);
    loop_call(looks->options->loop, on_stop, looks);
}

void looks_free(struct looks *looks)
{
    if (looks == NULL)
        return;
    ASSERT(looks->at_work == 0 && TAILQ_EMPTY(&looks->list));
    pthread_mutex_destroy(&looks->lock);
    mem_free(looks);
}
