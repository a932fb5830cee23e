#include "transport/link.h"

#include <pthread.h>

#include "transport/lane.h"
#include "transport/turns.h"

#define TIME_NEVER UINT64_MAX

struct ask_queue {
    struct ask *first;
    struct ask **last;
    uint32_t count;
};

struct link {
    struct actor actor; /* dials, and ends what waits too long */
    struct link_options options;
    struct traffic traffic;

    pthread_mutex_t lock; /* all below, and the marked parts of lanes */
    pthread_cond_t closed;
    bool closing;
    bool over;
    struct ask_queue queues[2]; /* control, bulk: by their turns */
    struct turns turns;         /* of bulk */
    uint32_t depth;             /* of a data connection; 0: what the peer takes */
    struct ask_queue refused;   /* only to be told so */
    struct ask_queue dropped;   /* the same */
    uint32_t ask_count;         /* queued and outstanding */
    struct lane *lanes;

    /* dialling: where to, and how it goes */
    char **addresses; /* options.address_count */
    uint32_t target;  /* counts link_redirect: a lane of a former one takes nothing more */
    size_t address_next;
    size_t failures; /* in a row, at all addresses together */
    unsigned silent_closes;
    uint32_t pause_ms;
    uint64_t dial_after_us;
    uint32_t early;   /* data connections to be up without work for them; 0: what work wants */
    enum suite suite; /* the next attempt's */
    bool queue_failed[2];
    struct err queue_err[2];

    /* for link_status */
    struct err last_error;
    uint64_t dials;
    uint64_t lost_connections;
    uint8_t boot_id[16];
    uint16_t version;
    int64_t clock_difference_ms;
};

/* --- queues; under the lock --- */

static void queue_init(struct ask_queue *queue)
{
    *queue = (struct ask_queue){.first = NULL};
    queue->last = &queue->first;
}

static void queue_push(struct ask_queue *queue, struct ask *ask)
{
    ask->next = NULL;
    *queue->last = ask;
    queue->last = &ask->next;
    queue->count++;
}

/* Before those of a later turn. */
static void queue_push_in_turn(struct ask_queue *queue, struct ask *ask)
{
    struct ask **at = &queue->first;
    if (queue->count > 0 && ((struct ask *)queue->last)->turn <= ask->turn)
        at = queue->last; /* which is the next of the last one. The common case: one flow */
    while (*at != NULL && (*at)->turn <= ask->turn)
        at = &(*at)->next;
    ask->next = *at;
    *at = ask;
    if (ask->next == NULL)
        queue->last = &ask->next;
    queue->count++;
}

static struct ask *queue_pop(struct ask_queue *queue)
{
    struct ask *ask = queue->first;
    if (ask != NULL) {
        queue->first = ask->next;
        if (queue->first == NULL)
            queue->last = &queue->first;
        queue->count--;
    }
    return ask;
}

/* Moves those that are due to `late`; returns the earliest deadline of the others. */
static uint64_t queue_expire(struct ask_queue *queue, uint64_t now_us, struct ask_queue *late)
{
    uint64_t due_us = TIME_NEVER;
    struct ask_queue rest;
    queue_init(&rest);
    for (struct ask *ask = queue_pop(queue); ask != NULL; ask = queue_pop(queue)) {
        if (ask->deadline_us <= now_us) {
            queue_push(late, ask);
        } else {
            due_us = ask->deadline_us < due_us ? ask->deadline_us : due_us;
            queue_push(&rest, ask);
        }
    }
    struct ask *ask;
    while ((ask = queue_pop(&rest)) != NULL)
        queue_push(queue, ask);
    return due_us;
}

/* --- lanes and what they take --- */

struct lane_census { /* of one kind, under the lock */
    uint32_t up;
    uint32_t dialling;
    uint32_t outstanding;
    uint32_t idle;                  /* up, with nothing outstanding */
    struct lane *least;             /* up, with the fewest outstanding; NULL: none is up */
    const struct lane *surplus_end; /* those before it in the list are more than may be used */
};

static uint32_t lanes_max_locked(const struct link *link, bool bulk)
{
    return bulk ? link->options.data_connections_max : 1;
}

/* The newest are the ones that are too many: they take nothing more and end when they are idle. */
static const struct lane *surplus_end_locked(const struct link *link, bool bulk, uint32_t up)
{
    uint32_t most = lanes_max_locked(link, bulk);
    uint32_t surplus = up > most ? up - most : 0;
    const struct lane *lane = link->lanes;
    for (; surplus > 0; lane = lane->next)
        surplus -= lane->bulk == bulk && lane->state == LANE_UP;
    return lane;
}

static struct lane_census census_locked(const struct link *link, bool bulk)
{
    struct lane_census census = {0};
    for (struct lane *lane = link->lanes; lane != NULL; lane = lane->next) {
        if (lane->bulk != bulk)
            continue;
        census.dialling += lane->state == LANE_DIALLING;
        census.outstanding += lane->outstanding;
        census.up += lane->state == LANE_UP;
        census.idle += lane->state == LANE_UP && lane->outstanding == 0;
    }
    census.surplus_end = surplus_end_locked(link, bulk, census.up);
    for (struct lane *lane = (struct lane *)census.surplus_end; lane != NULL; lane = lane->next) {
        if (lane->bulk == bulk && lane->state == LANE_UP &&
            (census.least == NULL || lane->outstanding < census.least->outstanding))
            census.least = lane;
    }
    return census;
}

static bool lane_surplus_locked(const struct link *link, const struct lane *lane,
                                const struct lane_census *census)
{
    for (const struct lane *at = link->lanes; at != census->surplus_end; at = at->next) {
        if (at == lane)
            return true;
    }
    return false;
}

/* Is one more connection of the kind wanted? As many as there is work for, up to the maximum. */
static bool lane_wanted_locked(const struct link *link, bool bulk)
{
    struct lane_census census = census_locked(link, bulk);
    uint32_t work = census.outstanding + link->queues[bulk].count;
    uint32_t most = lanes_max_locked(link, bulk);
    return census.up + census.dialling < (work < most ? work : most) &&
           (bulk || link->queues[bulk].count > 0);
}

/* One more data connection before there is work for it? Once there were enough the wish is over: an
 * idle one that ended does not come again. */
static bool lane_early_locked(struct link *link)
{
    struct lane_census census = census_locked(link, true);
    uint32_t most = lanes_max_locked(link, true);
    if (census.up + census.dialling >= (link->early < most ? link->early : most))
        link->early = 0;
    return link->early > 0;
}

/* While further connections come up, each that is there takes one: not all by the first. */
static bool lanes_come_locked(const struct link *link, const struct lane_census *census, bool bulk)
{
    if (!bulk)
        return false;
    return census->dialling > 0 ||
           (lane_wanted_locked(link, bulk) && pool_now_us() >= link->dial_after_us);
}

/* Where a connection carries one reply at a time because a limit makes each slow, the last idle one is
 * for small replies: pages of a task that begins do not wait for files of one that goes on. */
static struct ask *queue_take_locked(struct link *link, bool bulk, const struct lane_census *census)
{
    struct ask_queue *queue = &link->queues[bulk];
    if (!bulk || link->depth != 1 || census->up < 2 || census->idle > 1)
        return queue_pop(queue);
    for (struct ask **at = &queue->first; *at != NULL; at = &(*at)->next) {
        struct ask *ask = *at;
        if (ask->request.reply_body_bytes > LINK_SMALL_REPLY_BYTES)
            continue;
        *at = ask->next;
        if (queue->last == &ask->next)
            queue->last = at;
        queue->count--;
        return ask;
    }
    return NULL;
}

static bool lane_full_locked(const struct link *link, const struct lane *lane)
{
    uint32_t most = lane->welcome.requests_in_flight;
    if (lane->bulk && link->depth > 0 && link->depth < most)
        most = link->depth;
    return lane->outstanding >= most;
}

static struct ask *on_take(void *context, struct lane *lane)
{
    struct link *link = context;
    struct ask *ask = NULL;
    struct connection *idler = NULL;
    pthread_mutex_lock(&link->lock);
    struct lane_census census = census_locked(link, lane->bulk);
    if (lane->state == LANE_UP && !lane_full_locked(link, lane) &&
        !lane_surplus_locked(link, lane, &census) &&
        lane->outstanding <= census.least->outstanding &&
        (lane->outstanding == 0 || !lanes_come_locked(link, &census, lane->bulk)))
        ask = queue_take_locked(link, lane->bulk, &census);
    if (ask != NULL && lane->bulk)
        turns_pass(&link->turns, ask->turn);
    if (ask != NULL)
        lane->outstanding++;
    else if (link->queues[lane->bulk].count > 0 && census.least != NULL &&
             census.least->outstanding < lane->outstanding)
        idler = connection_ref(census.least->connection); /* both were posted while we were it */
    pthread_mutex_unlock(&link->lock);
    if (idler != NULL) {
        connection_poke(idler);
        connection_unref(idler);
    }
    return ask;
}

static void on_put(void *context, struct lane *lane)
{
    struct link *link = context;
    pthread_mutex_lock(&link->lock);
    lane->outstanding--;
    link->ask_count--;
    link->pause_ms = LINK_DIAL_PAUSE_MIN_MS; /* it answers */
    pthread_mutex_unlock(&link->lock);
}

static void on_drain(void *context, struct lane *lane)
{
    struct link *link = context;
    pthread_mutex_lock(&link->lock);
    bool news = lane->state == LANE_UP;
    lane->state = LANE_DRAINING;
    pthread_mutex_unlock(&link->lock);
    if (news)
        actor_poke(&link->actor);
}

/* --- the end of lanes; on the reaper --- */

static void lane_remove_locked(struct link *link, struct lane *lane)
{
    struct lane **at = &link->lanes;
    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    link->ask_count -= lane->outstanding;
}

/* No dialling for a while, longer each time. */
static void dial_pause_locked(struct link *link)
{
    uint64_t jitter_us = randombytes_uniform(link->pause_ms * 250 + 1);
    link->dial_after_us = pool_now_us() + link->pause_ms * UINT64_C(1000) + jitter_us;
    link->pause_ms *= 2;
    if (link->pause_ms > LINK_DIAL_PAUSE_MAX_MS)
        link->pause_ms = LINK_DIAL_PAUSE_MAX_MS;
}

/* After a change of the lanes: those that held back may go on, and the link looks what to dial. */
static void link_stir(struct link *link)
{
    struct connection *connections[LIMIT_CONNECTIONS_PER_PEER];
    size_t count = 0;
    pthread_mutex_lock(&link->lock);
    for (struct lane *lane = link->lanes; lane != NULL; lane = lane->next) {
        if (lane->state == LANE_UP && count < ARRAY_COUNT(connections))
            connections[count++] = connection_ref(lane->connection);
    }
    pthread_mutex_unlock(&link->lock);
    for (size_t i = 0; i < count; i++) {
        connection_poke(connections[i]);
        connection_unref(connections[i]);
    }
    actor_poke(&link->actor);
}

static void on_lane_end(void *context, struct lane *lane, const struct err *err)
{
    struct link *link = context;
    pthread_mutex_lock(&link->lock);
    lane_remove_locked(link, lane);
    if (err->code != ERR_CANCELLED) {
        link->lost_connections++;
        link->last_error = *err;
        if (pool_now_us() - lane->up_us < LINK_DIAL_PAUSE_MAX_MS * UINT64_C(1000))
            dial_pause_locked(link); /* not at once again and again */
    }
    pthread_mutex_unlock(&link->lock);
    lane_free(lane);
    link_stir(link);
}

static const struct lane_owner lane_owner = {
    .take = on_take,
    .put = on_put,
    .drain = on_drain,
    .on_end = on_lane_end,
};

/* --- dialling --- */

/* What the askers are told when an attempt failed, and whether now. */
static bool failure_final_locked(struct link *link, const struct err *err, struct err *ret_err)
{
    *ret_err = *err;
    bool any_up = census_locked(link, false).up + census_locked(link, true).up > 0;
    if (err->code == ERR_LOST) {
        link->silent_closes++;
        if (link->silent_closes < LINK_SILENT_CLOSES_MAX || any_up)
            return false;
        /* short: a region and its key are told before it */
        err_set(
            ret_err, ERR_PEER_KEY,
            "%u handshakes closed unanswered: it has another key, does not know ours, speaks no "
            "protocol of %u to %u, or is at a limit",
            link->silent_closes, PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX);
        return true;
    }
    link->silent_closes = 0;
    if (err->code == ERR_TIMEOUT)
        err_set(ret_err, ERR_UNREACHABLE, "%s", err->message);
    return link->failures >= link->options.address_count || err_class(err->code) == CLASS_DENIED;
}

static void dial_failed(struct link *link, struct lane *lane, const struct err *err)
{
    pthread_mutex_lock(&link->lock);
    lane_remove_locked(link, lane);
    bool former = lane->target != link->target;
    if (lane->early && !former)
        link->early = 0; /* says nothing: what is asked for dials by itself, and learns why */
    if (!link->closing && !lane->early && !former) {
        link->failures++;
        link->address_next = (link->address_next + 1) % link->options.address_count;
        if (err->code == ERR_LOST && lane->suite == link->suite)
            link->suite = link->suite == SUITE_AESGCM || !suite_available(SUITE_AESGCM)
                              ? SUITE_CHACHAPOLY
                              : SUITE_AESGCM;
        struct err told;
        if (failure_final_locked(link, err, &told) && census_locked(link, lane->bulk).up == 0) {
            link->queue_failed[lane->bulk] = true;
            link->queue_err[lane->bulk] = told;
        }
        link->last_error = told;
        if (link->failures >= link->options.address_count || err->code == ERR_LOST)
            dial_pause_locked(link);
    }
    pthread_mutex_unlock(&link->lock);
    lane_free(lane);
    link_stir(link);
}

static void dial_worked(struct link *link, struct lane *lane, struct established *established)
{
    struct timespec clock;
    clock_gettime(CLOCK_REALTIME, &clock);
    int64_t clock_ms = (int64_t)clock.tv_sec * 1000 + clock.tv_nsec / 1000000;
    lane_connect(lane, link->actor.pool, established, link->options.bucket, &link->traffic);
    struct connection *connection = connection_ref(lane->connection);
    pthread_mutex_lock(&link->lock);
    bool closing = link->closing || lane->target != link->target;
    lane->state = closing ? LANE_DRAINING : LANE_UP;
    if (!closing) {
        link->suite = lane->suite;
        link->failures = 0;
        link->silent_closes = 0;
        link->last_error = (struct err){.code = ERR_OK};
        memcpy(link->boot_id, established->welcome.boot_id, sizeof(link->boot_id));
        link->version = established->welcome.version;
        link->clock_difference_ms = (int64_t)established->welcome.clock_ms - clock_ms;
    }
    pthread_mutex_unlock(&link->lock);
    if (closing) {
        struct err err;
        err_set(&err, ERR_CANCELLED, "the link closes");
        connection_close(connection, &err);
    }
    connection_start(connection);
    connection_unref(connection);
    link_stir(link); /* perhaps more lanes are wanted, or those up waited for this one */
}

static void on_dial_end(void *context, struct established *established, const struct err *err)
{
    struct lane *lane = context;
    struct link *link = lane->context;
    pthread_mutex_lock(&link->lock);
    struct establishment *establishment = lane->establishment;
    lane->establishment = NULL;
    pthread_mutex_unlock(&link->lock);
    establishment_unref(establishment);
    if (established != NULL)
        dial_worked(link, lane, established);
    else
        dial_failed(link, lane, err);
}

static const struct establishment_owner establishment_owner = {.on_end = on_dial_end};

/* A new lane, noted in the list; the caller starts its establishment. */
static struct establishment *lane_dial_locked(struct link *link, bool bulk, bool early)
{
    struct lane *lane = mem_calloc(1, sizeof(*lane));
    lane->owner = &lane_owner;
    lane->context = link;
    lane->bulk = bulk;
    lane->early = early;
    lane->suite = link->suite;
    lane->target = link->target;
    lane->state = LANE_DIALLING;
    struct establishment_dial dial = {
        .address = link->addresses[link->address_next],
        .identity = link->options.identity,
        .peer = link->options.peer_key,
        .suite = link->suite,
        .kind = link->options.kind,
        .hello = {.version_min = PROTOCOL_VERSION_MIN,
                  .version_max = PROTOCOL_VERSION_MAX,
                  .purpose = bulk ? PURPOSE_DATA : PURPOSE_CONTROL,
                  .reply_bytes_max = (uint32_t)LIMIT_BODY_BYTES},
    };
    memcpy(dial.hello.boot_id, pool_boot_id(link->actor.pool), sizeof(dial.hello.boot_id));
    lane->establishment = establishment_dial(link->actor.pool, &dial, &establishment_owner, lane);
    lane->next = link->lanes;
    link->lanes = lane;
    link->dials++;
    return establishment_ref(lane->establishment);
}

/* The next connection to dial, or NULL. */
static struct establishment *dial_next(struct link *link, uint64_t now_us, uint64_t *ret_due_us)
{
    struct establishment *establishment = NULL;
    pthread_mutex_lock(&link->lock);
    uint32_t dialling = census_locked(link, false).dialling + census_locked(link, true).dialling;
    bool may = !link->closing && link->options.address_count > 0 && dialling < LINK_DIALS_MAX;
    for (int bulk = 0; bulk < 2 && may && establishment == NULL; bulk++) {
        if (!lane_wanted_locked(link, bulk))
            continue;
        if (now_us < link->dial_after_us)
            *ret_due_us = link->dial_after_us;
        else
            establishment = lane_dial_locked(link, bulk, false);
    }
    if (may && establishment == NULL && now_us >= link->dial_after_us && lane_early_locked(link))
        establishment = lane_dial_locked(link, true, true);
    pthread_mutex_unlock(&link->lock);
    return establishment;
}

/* --- the link's step --- */

static void queue_fail(struct link *link, struct ask_queue *queue, const struct err *err)
{
    struct ask *ask;
    while ((ask = queue_pop(queue)) != NULL) {
        pthread_mutex_lock(&link->lock);
        link->ask_count--;
        pthread_mutex_unlock(&link->lock);
        ask_fail(ask, err);
    }
}

static void queue_move(struct ask_queue *from, struct ask_queue *to)
{
    struct ask *ask;
    while ((ask = queue_pop(from)) != NULL)
        queue_push(to, ask);
}

/* Ends what waits in vain; returns the next deadline. */
static uint64_t queues_clear(struct link *link, uint64_t now_us)
{
    uint64_t due_us = TIME_NEVER;
    struct ask_queue late;
    struct ask_queue refused;
    struct ask_queue dropped;
    struct ask_queue failed[2];
    struct err failed_err[2];
    queue_init(&late);
    queue_init(&refused);
    queue_init(&dropped);
    pthread_mutex_lock(&link->lock);
    queue_move(&link->refused, &refused);
    queue_move(&link->dropped, &dropped);
    for (int bulk = 0; bulk < 2; bulk++) {
        queue_init(&failed[bulk]);
        if (link->closing)
            err_set(&link->queue_err[bulk], ERR_CANCELLED, "the link closes");
        else if (link->options.address_count == 0)
            err_set(&link->queue_err[bulk], ERR_UNREACHABLE,
                    "it is not configured as a peer any more");
        failed_err[bulk] = link->queue_err[bulk];
        if (link->queue_failed[bulk] || link->closing || link->options.address_count == 0)
            queue_move(&link->queues[bulk], &failed[bulk]);
        link->queue_failed[bulk] = false;
        uint64_t queue_due_us = queue_expire(&link->queues[bulk], now_us, &late);
        due_us = queue_due_us < due_us ? queue_due_us : due_us;
    }
    bool closing = link->closing;
    pthread_mutex_unlock(&link->lock);

    struct err err;
    err_set(&err, ERR_TIMEOUT, "the peer could not be asked in time");
    queue_fail(link, &late, &err);
    if (closing)
        err_set(&err, ERR_CANCELLED, "the link closes");
    else
        err_set(&err, ERR_BUSY, "%d requests wait on this link", LIMIT_LINK_QUEUE);
    queue_fail(link, &refused, &err);
    err_set(&err, ERR_CANCELLED, "nobody waits for the answer any more");
    queue_fail(link, &dropped, &err);
    for (int bulk = 0; bulk < 2; bulk++)
        queue_fail(link, &failed[bulk], &failed_err[bulk]);
    return due_us;
}

static bool link_step(struct actor *actor)
{
    struct link *link = (struct link *)actor;
    uint64_t now_us = pool_now_us();
    uint64_t due_us = queues_clear(link, now_us);
    uint64_t dial_us = TIME_NEVER;
    struct establishment *establishment;
    while ((establishment = dial_next(link, now_us, &dial_us)) != NULL) {
        establishment_start(establishment);
        establishment_unref(establishment);
    }
    if (dial_us < due_us)
        due_us = dial_us;
    if (due_us != TIME_NEVER)
        actor_wake_at(actor, due_us);
    pthread_mutex_lock(&link->lock);
    bool over = link->closing && link->lanes == NULL && link->ask_count == 0;
    pthread_mutex_unlock(&link->lock);
    return over;
}

static void link_finish(struct actor *actor)
{
    struct link *link = (struct link *)actor;
    pthread_mutex_lock(&link->lock);
    link->over = true;
    pthread_cond_broadcast(&link->closed);
    pthread_mutex_unlock(&link->lock);
}

/* --- the public functions --- */

enum err_code link_target_check(const struct link_target *target, struct err *err)
{
    if (target->address_count == 0)
        return err_set(err, ERR_CONFIG, "a peer without an address");
    for (size_t i = 0; i < target->address_count; i++) {
        if (!stream_address_valid(target->addresses[i]))
            return err_set(err, ERR_CONFIG, "address '%s' is not host:port", target->addresses[i]);
    }
    return ERR_OK;
}

static char **addresses_copy(const char *const *addresses, size_t count)
{
    char **copy = mem_calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; i < count; i++)
        copy[i] = mem_strdup(addresses[i]);
    return copy;
}

static void addresses_free(char **addresses, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(addresses[i]);
    mem_free(addresses);
}

enum err_code link_open(struct pool *pool, const struct link_options *options,
                        struct link **ret_link, struct err *err)
{
    const struct link_target target = {options->addresses, options->address_count,
                                       options->peer_key};
    TRY(link_target_check(&target, err));
    struct link *link = mem_calloc(1, sizeof(*link));
    actor_init(&link->actor, pool, link_step, link_finish);
    link->options = *options;
    link->addresses = addresses_copy(options->addresses, options->address_count);
    link->options.addresses = NULL;
    bucket_ref(link->options.bucket);
    pthread_mutex_init(&link->lock, NULL);
    pthread_cond_init(&link->closed, NULL);
    queue_init(&link->queues[0]);
    queue_init(&link->queues[1]);
    queue_init(&link->refused);
    queue_init(&link->dropped);
    link->pause_ms = LINK_DIAL_PAUSE_MIN_MS;
    link->suite = suite_available(SUITE_AESGCM) ? SUITE_AESGCM : SUITE_CHACHAPOLY;
    link_set_data_connections(link, options->data_connections_max);
    *ret_link = link;
    return ERR_OK;
}

/* Establishments and connections of all lanes, told to end; of a link that goes on, those of former targets. */
static void lanes_end(struct link *link, const char *why)
{
    struct err err;
    err_set(&err, ERR_CANCELLED, "%s", why);
    size_t count = 0;
    pthread_mutex_lock(&link->lock);
    for (struct lane *lane = link->lanes; lane != NULL; lane = lane->next)
        count++;
    struct establishment **dialling = mem_calloc(count + 1, sizeof(*dialling));
    struct connection **connections = mem_calloc(count + 1, sizeof(*connections));
    size_t i = 0;
    for (struct lane *lane = link->lanes; lane != NULL; lane = lane->next, i++) {
        if (!link->closing && lane->target == link->target)
            continue; /* dialled since */
        if (lane->establishment != NULL)
            dialling[i] = establishment_ref(lane->establishment);
        else if (lane->state != LANE_DIALLING)
            connections[i] = connection_ref(lane->connection);
    }
    pthread_mutex_unlock(&link->lock);
    for (i = 0; i < count; i++) {
        if (dialling[i] != NULL) {
            establishment_abort(dialling[i]);
            establishment_unref(dialling[i]);
        }
        if (connections[i] != NULL) {
            connection_close(connections[i], &err);
            connection_unref(connections[i]);
        }
    }
    mem_free(dialling);
    mem_free(connections);
}

void link_close(struct link *link)
{
    if (link == NULL)
        return;
    pthread_mutex_lock(&link->lock);
    link->closing = true;
    pthread_mutex_unlock(&link->lock);
    lanes_end(link, "the link closes");
    actor_poke(&link->actor);
    pthread_mutex_lock(&link->lock);
    while (!link->over)
        pthread_cond_wait(&link->closed, &link->lock);
    pthread_mutex_unlock(&link->lock);
    pthread_mutex_destroy(&link->lock);
    pthread_cond_destroy(&link->closed);
    bucket_unref(link->options.bucket);
    turns_deinit(&link->turns);
    addresses_free(link->addresses, link->options.address_count);
    mem_free(link);
}

static void dialling_reset_locked(struct link *link)
{
    link->address_next = link->failures = 0;
    link->silent_closes = 0;
    link->pause_ms = LINK_DIAL_PAUSE_MIN_MS;
    link->dial_after_us = 0;
    link->early = 0;
    link->queue_failed[0] = link->queue_failed[1] = false;
    link->last_error = (struct err){.code = ERR_OK};
    memset(link->boot_id, 0, sizeof(link->boot_id));
    link->version = 0;
}

void link_redirect(struct link *link, const struct link_target *target)
{
    char **addresses = addresses_copy(target->addresses, target->address_count);
    pthread_mutex_lock(&link->lock);
    char **former = link->addresses;
    size_t former_count = link->options.address_count;
    link->addresses = addresses;
    link->options.address_count = target->address_count;
    link->options.peer_key = target->peer_key;
    link->target++;
    dialling_reset_locked(link);
    for (struct lane *lane = link->lanes; lane != NULL; lane = lane->next) {
        if (lane->state == LANE_UP)
            lane->state = LANE_DRAINING;
    }
    pthread_mutex_unlock(&link->lock);
    addresses_free(former, former_count);
    lanes_end(link, "the peer's addresses or key were changed");
    actor_poke(&link->actor);
}

void link_post(struct link *link, const struct link_request *request)
{
    struct ask *ask = ask_new(request);
    struct connection *connection = NULL;
    pthread_mutex_lock(&link->lock);
    bool taken = !link->closing && link->ask_count < LIMIT_LINK_QUEUE;
    if (taken && request->bulk) {
        ask->turn = turns_take(&link->turns, request->flow,
                               ENVELOPE_HEAD_BYTES + (uint64_t)request->reply_body_bytes);
        queue_push_in_turn(&link->queues[true], ask);
    } else {
        queue_push(taken ? &link->queues[false] : &link->refused, ask);
    }
    link->ask_count++;
    struct lane_census census = census_locked(link, request->bulk);
    if (taken && census.least != NULL)
        connection = connection_ref(census.least->connection);
    bool stir = !taken || lane_wanted_locked(link, request->bulk);
    uint64_t deadline_us = ask->deadline_us;
    pthread_mutex_unlock(&link->lock);
    if (connection != NULL) {
        connection_poke(connection);
        connection_unref(connection);
    }
    if (stir)
        actor_poke(&link->actor);
    actor_wake_at(&link->actor, deadline_us); /* should it still be queued then */
}

void link_drop(struct link *link, uint64_t flow)
{
    struct ask_queue kept;
    struct ask *ask;
    queue_init(&kept);
    pthread_mutex_lock(&link->lock);
    while ((ask = queue_pop(&link->queues[true])) != NULL)
        queue_push(ask->request.flow == flow ? &link->dropped : &kept, ask);
    queue_move(&kept, &link->queues[true]);
    bool dropped = link->dropped.count > 0;
    pthread_mutex_unlock(&link->lock);
    if (dropped)
        actor_poke(&link->actor);
}

struct call {
    pthread_mutex_t lock;
    pthread_cond_t replied;
    bool done;
    struct err err;
    struct bytes *header;
    struct bytes *body;
    bool reserved;
};

static void on_call_reply(void *context, const struct link_reply *reply)
{
    struct call *call = context;
    pthread_mutex_lock(&call->lock);
    call->err = reply->err;
    if (call->header != NULL)
        bytes_append_span(call->header, reply->header);
    if (call->body != NULL && !call->reserved)
        bytes_append_span(call->body, reply->body);
    call->done = true;
    pthread_cond_signal(&call->replied);
    pthread_mutex_unlock(&call->lock);
}

enum err_code link_call(struct link *link, const struct link_request *request,
                        struct bytes *ret_header, struct bytes *ret_body, struct err *err)
{
    struct call call = {.header = ret_header, .body = ret_body};
    struct link_request posted = *request;
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.replied, NULL);
    call.reserved = request->reply_body != NULL;
    posted.on_reply = on_call_reply;
    posted.context = &call;
    link_post(link, &posted);
    pthread_mutex_lock(&call.lock);
    while (!call.done)
        pthread_cond_wait(&call.replied, &call.lock);
    pthread_mutex_unlock(&call.lock);
    pthread_mutex_destroy(&call.lock);
    pthread_cond_destroy(&call.replied);
    if (call.err.code != ERR_OK && err != NULL)
        *err = call.err;
    return call.err.code;
}

void link_set_data_connections(struct link *link, uint32_t data_connections_max)
{
    uint32_t most = data_connections_max;
    if (most == 0)
        most = LINK_DATA_CONNECTIONS_DEFAULT;
    if (most > LIMIT_CONNECTIONS_PER_PEER - 2) /* one for control, one that takes over */
        most = LIMIT_CONNECTIONS_PER_PEER - 2;
    pthread_mutex_lock(&link->lock);
    bool news = link->options.data_connections_max != most;
    link->options.data_connections_max = most;
    pthread_mutex_unlock(&link->lock);
    if (news)
        link_stir(link); /* what waits may go out over those that were too many */
}

void link_set_depth(struct link *link, uint32_t requests)
{
    pthread_mutex_lock(&link->lock);
    bool deeper = link->depth != 0 && (requests == 0 || requests > link->depth);
    link->depth = requests;
    pthread_mutex_unlock(&link->lock);
    if (deeper)
        link_stir(link); /* what waits may go out */
}

void link_dial_early(struct link *link, uint32_t data_connections)
{
    pthread_mutex_lock(&link->lock);
    link->early = data_connections;
    bool news = lane_early_locked(link);
    pthread_mutex_unlock(&link->lock);
    if (news)
        actor_poke(&link->actor);
}

void link_status(struct link *link, struct link_status *ret_status)
{
    struct link_status status = {.sent_bytes = atomic_load(&link->traffic.sent_bytes),
                                 .received_bytes = atomic_load(&link->traffic.received_bytes)};
    pthread_mutex_lock(&link->lock);
    struct lane_census control = census_locked(link, false);
    struct lane_census bulk = census_locked(link, true);
    struct lane *measured = control.least != NULL ? control.least : bulk.least;
    status.connected = control.up > 0;
    status.data_connections = bulk.up;
    status.requests_in_flight = link->ask_count;
    if (measured != NULL)
        status.round_trip_us = connection_round_trip_us(measured->connection);
    status.dials = link->dials;
    status.lost_connections = link->lost_connections;
    memcpy(status.boot_id, link->boot_id, sizeof(status.boot_id));
    status.version = link->version;
    status.clock_difference_ms = link->clock_difference_ms;
    status.last_error = link->last_error;
    pthread_mutex_unlock(&link->lock);
    *ret_status = status;
}
