#include "node/task/peer_watches.h"

#include <sys/queue.h>
#include <pthread.h>

#include "node/task/xcopy_audit.h"

#define LOOK_ARENA_BYTES (2 * MIB(1))
#define LATER_MS         1000 /* the workers are busy */

struct watch {
    TAILQ_ENTRY(watch) link; /* while parked */
    struct peer_watches *watches;
    struct request *request;
    struct bytes header; /* what `ask` borrows from */
    struct arena arena;
    struct peer_watch ask;
    uint64_t due_ms;
    uint64_t made; /* as the last look began */
};
TAILQ_HEAD(watch_list, watch);

struct peer_watches {
    struct peer_watches_options options;
    struct loop_timer timer; /* the loop's */
    pthread_mutex_t lock;
    struct watch_list parked; /* lock, as what follows */
    size_t count;
    uint64_t made; /* snapshots, since the start */
    bool looking;  /* a job will look at those that are parked */
    bool stopping;
};

/* ---- one of them ---- */

static void watch_free(struct watch *watch)
{
    arena_deinit(&watch->arena);
    bytes_deinit(&watch->header);
    mem_free(watch);
}

static void watch_refuse(struct watch *watch, const struct err *err)
{
    request_reply_error(watch->request, err);
    watch_free(watch);
}

static void watch_stopped(struct watch *watch)
{
    struct err err;
    err_set(&err, ERR_BUSY, "the node stops");
    watch_refuse(watch, &err);
}

static struct watch *watch_new(struct peer_watches *watches, struct request *request)
{
    struct watch *watch = mem_calloc(1, sizeof(*watch));
    watch->watches = watches;
    watch->request = request;
    arena_init(&watch->arena, KIB(64));
    bytes_append_span(&watch->header, request_header(request));
    return watch;
}

/* What the one answer keeps from the peer stands in this side's own log. */
static void refusal_log(struct watch *watch, const struct err *err)
{
    const struct peer_watches_options *options = &watch->watches->options;
    const struct session *session = request_session(watch->request);
    const struct xcopy_asker asker = {.rights = options->rights, .session = session};
    struct xcopy_entry entry;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, LOOK_ARENA_BYTES);
    if (err_class(err->code) != CLASS_DENIED && err->code != ERR_NOT_FOUND)
        return;
    xcopy_entry_token(&asker, "XCOPY WATCH", watch->ask.token, &arena, &entry);
    xcopy_entry_refuse(&entry, err);
    auditor_refused(options->auditor, span_text(session->name), &entry.record, loop_now_ms());
}

/* On a worker. True: it is answered, and gone. */
static bool watch_answer(struct watch *watch, bool last)
{
    const struct session *session = request_session(watch->request);
    struct peer_watched watched;
    struct err err = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, LOOK_ARENA_BYTES);
    enum err_code code = watch_look(watch->watches->options.rights, &watch->ask, &session->identity,
                                    &arena, &watched, &err);
    bool nothing = code == ERR_NOT_FOUND || (code == ERR_OK && watched.snapshot_count == 0);
    if (nothing && !last && request_alive(watch->request))
        return false;
    if (code != ERR_OK) {
        refusal_log(watch, &err);
        watch_refuse(watch, &err);
        return true;
    }
    struct bytes body = {0};
    peer_watched_encode(&watched, &body);
    request_reply_bytes(watch->request, span_of(NULL, 0), &body);
    watch_free(watch);
    return true;
}

/* ---- parked ---- */

static void timer_arm(void *argument);

/* Of the watch's peer. */
static size_t parked_of(const struct peer_watches *watches, const struct watch *of)
{
    const struct watch *watch;
    size_t count = 0;
    TAILQ_FOREACH(watch, &watches->parked, link)
    {
        count += request_session(watch->request)->entry == request_session(of->request)->entry;
    }
    return count;
}

enum parking { PARKED, PARKING_FULL, PARKING_MISSED, PARKING_STOPPED };

static enum parking watch_park(struct watch *watch)
{
    struct peer_watches *watches = watch->watches;
    enum parking parking = PARKED;
    pthread_mutex_lock(&watches->lock);
    if (watches->stopping)
        parking = PARKING_STOPPED;
    else if (watches->made != watch->made)
        parking = PARKING_MISSED;
    else if (parked_of(watches, watch) >= PEER_WATCHES_PARKED)
        parking = PARKING_FULL;
    if (parking == PARKED) {
        TAILQ_INSERT_TAIL(&watches->parked, watch, link);
        watches->count++;
    }
    pthread_mutex_unlock(&watches->lock);
    if (parking == PARKED)
        loop_post(watches->options.loop, timer_arm, watches);
    return parking;
}

static uint64_t made_get(struct peer_watches *watches)
{
    pthread_mutex_lock(&watches->lock);
    uint64_t made = watches->made;
    pthread_mutex_unlock(&watches->lock);
    return made;
}

/* On a worker: looks until it is answered or parked. */
static void watch_settle(struct watch *watch)
{
    bool full = false;
    for (;;) {
        watch->made = made_get(watch->watches);
        if (watch_answer(watch, full || loop_now_ms() >= watch->due_ms))
            return;
        enum parking parking = watch_park(watch);
        if (parking == PARKED)
            return;
        if (parking == PARKING_STOPPED) {
            watch_stopped(watch);
            return;
        }
        full = parking == PARKING_FULL;
    }
}

static void settle_on_worker(void *argument)
{
    watch_settle(argument);
}

/* Those that are due or whose asker is gone; all, when a snapshot was made or the node stops. */
static void parked_take(struct peer_watches *watches, bool all, struct watch_list *ret_list)
{
    struct watch *watch, *next;
    uint64_t now_ms = loop_now_ms();
    TAILQ_INIT(ret_list);
    for (watch = TAILQ_FIRST(&watches->parked); watch != NULL; watch = next) {
        next = TAILQ_NEXT(watch, link);
        bool missed = watch->made != watches->made;
        if (!all && !missed && watch->due_ms > now_ms && request_alive(watch->request))
            continue;
        TAILQ_REMOVE(&watches->parked, watch, link);
        TAILQ_INSERT_TAIL(ret_list, watch, link);
        watches->count--;
    }
}

static void parked_look(void *argument)
{
    struct peer_watches *watches = argument;
    struct watch_list list;
    struct watch *watch;
    pthread_mutex_lock(&watches->lock);
    watches->looking = false;
    parked_take(watches, false, &list);
    pthread_mutex_unlock(&watches->lock);
    while ((watch = TAILQ_FIRST(&list)) != NULL) {
        TAILQ_REMOVE(&list, watch, link);
        watch_settle(watch);
    }
    loop_post(watches->options.loop, timer_arm, watches);
}

/* Has a worker look, unless one will. False: they are busy. */
static bool look_post(struct peer_watches *watches)
{
    pthread_mutex_lock(&watches->lock);
    bool post = !watches->looking && !watches->stopping && !TAILQ_EMPTY(&watches->parked);
    watches->looking = watches->looking || post;
    pthread_mutex_unlock(&watches->lock);
    if (!post || workers_post(watches->options.workers, parked_look, watches, NULL) == ERR_OK)
        return true;
    pthread_mutex_lock(&watches->lock);
    watches->looking = false;
    pthread_mutex_unlock(&watches->lock);
    return false;
}

static void on_timer(void *argument)
{
    struct peer_watches *watches = argument;
    if (!look_post(watches))
        loop_timer_start(watches->options.loop, &watches->timer, LATER_MS);
}

/* On the loop: for the first that is due. Also what missed a snapshot while the workers were busy is. */
static void timer_arm(void *argument)
{
    struct peer_watches *watches = argument;
    const struct watch *watch;
    uint64_t due_ms = UINT64_MAX, now_ms = loop_now_ms();
    pthread_mutex_lock(&watches->lock);
    TAILQ_FOREACH(watch, &watches->parked, link)
    {
        uint64_t due = watch->made != watches->made ? now_ms + LATER_MS : watch->due_ms;
        due_ms = due < due_ms ? due : due_ms;
    }
    bool stopping = watches->stopping;
    pthread_mutex_unlock(&watches->lock);
    if (due_ms != UINT64_MAX && !stopping)
        loop_timer_start(watches->options.loop, &watches->timer,
                         due_ms > now_ms ? due_ms - now_ms : 0);
}

/* ---- what comes ---- */

void peer_watches_add(struct peer_watches *watches, struct request *request)
{
    struct watch *watch = watch_new(watches, request);
    struct err err;
    if (peer_watch_decode(bytes_span(&watch->header), &watch->arena, &watch->ask, &err) != ERR_OK) {
        watch_refuse(watch, &err);
        return;
    }
    watch->due_ms = loop_now_ms() + watch->ask.wait_ms;
    if (workers_post(watches->options.workers, settle_on_worker, watch, &err) != ERR_OK)
        watch_refuse(watch, &err);
}

void peer_watches_made(struct peer_watches *watches)
{
    pthread_mutex_lock(&watches->lock);
    watches->made++;
    pthread_mutex_unlock(&watches->lock);
    if (!look_post(watches))
        loop_post(watches->options.loop, timer_arm, watches);
}

size_t peer_watches_parked(struct peer_watches *watches)
{
    pthread_mutex_lock(&watches->lock);
    size_t count = watches->count;
    pthread_mutex_unlock(&watches->lock);
    return count;
}

/* ---- life ---- */

struct peer_watches *peer_watches_new(const struct peer_watches_options *options)
{
    struct peer_watches *watches = mem_calloc(1, sizeof(*watches));
    watches->options = *options;
    watches->timer = (struct loop_timer){.run = on_timer, .argument = watches};
    pthread_mutex_init(&watches->lock, NULL);
    TAILQ_INIT(&watches->parked);
    return watches;
}

static void timer_cancel(void *argument)
{
    struct peer_watches *watches = argument;
    loop_timer_cancel(watches->options.loop, &watches->timer);
}

void peer_watches_stop(struct peer_watches *watches)
{
    struct watch_list list;
    struct watch *watch;
    pthread_mutex_lock(&watches->lock);
    watches->stopping = true;
    parked_take(watches, true, &list);
    pthread_mutex_unlock(&watches->lock);
    loop_call(watches->options.loop, timer_cancel, watches);
    while ((watch = TAILQ_FIRST(&list)) != NULL) {
        TAILQ_REMOVE(&list, watch, link);
        watch_stopped(watch);
    }
}

void peer_watches_free(struct peer_watches *watches)
{
    if (watches == NULL)
        return;
    ASSERT(TAILQ_EMPTY(&watches->parked));
    pthread_mutex_destroy(&watches->lock);
    mem_free(watches);
}
