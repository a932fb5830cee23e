#include "node/expiry.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "node/clock_watch.h"
#include "node/leftovers.h"
#include "node/lifecycle.h"
#include "node/log.h"
#include "node/loop.h"
#include "node/task/meter.h"
#include "proto/limits.h"
#include "store/catalog_commit.h"
#include "store/history.h"
#include "store/project.h"
#include "store/rights.h"
#include "store/snapshot.h"

static const char clock_key[] = "clock";

#define LEFTOVERS_EVERY_MS (6 * UINT64_C(3600000)) /* it reads every snapshot's record */

#define EXPIRE_STEPS_MAX 10000 /* of one run; each takes what one commit can */

struct expiry {
    struct expiry_options options;
    _Atomic uint64_t history_retention_ms;
    pthread_mutex_t lock; /* a look at the clock */
    struct clock_watch watch;
    atomic_bool stopped;
    atomic_bool believed;              /* at the last look */
    atomic_uint_fast64_t now_ms;       /* the wall clock, when it was last believed */
    atomic_uint_fast64_t recorded_ms;  /* what the store knows of it */
    atomic_uint_fast64_t leftovers_ms; /* monotonic: when they are swept again */
};

/* ---- the clock ---- */

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool clock_look(struct expiry *expiry)
{
    pthread_mutex_lock(&expiry->lock);
    uint64_t now_ms = wall_ms(), monotonic_ms = loop_now_ms();
    uint64_t expected_ms = clock_watch_expected_ms(&expiry->watch, monotonic_ms);
    bool believed_before = expiry->believed;
    enum clock_verdict verdict = clock_watch_look(&expiry->watch, now_ms, monotonic_ms);
    expiry->believed = verdict == CLOCK_BELIEVED;
    if (expiry->believed) {
        atomic_store(&expiry->now_ms, now_ms);
        rights_believe(expiry->options.store, now_ms);
    }
    if (verdict == CLOCK_JUMPED)
        log_event(LOG_WARN, "the clock jumped: nothing expires until it is back or steady",
                  LOG_NUMBER("clock_s", now_ms / 1000),
                  LOG_NUMBER("expected_s", expected_ms / 1000),
                  LOG_NUMBER("steady_s", CLOCK_STEADY_MS / 1000));
    else if (expiry->believed && !believed_before)
        log_event(LOG_INFO, "the clock is believed again", LOG_NUMBER("clock_s", now_ms / 1000));
    bool believed = expiry->believed;
    pthread_mutex_unlock(&expiry->lock);
    return believed;
}

static enum err_code clock_record(struct expiry *expiry, uint64_t now_ms, struct err *err)
{
    uint64_t recorded_ms = atomic_load(&expiry->recorded_ms);
    if (now_ms < recorded_ms + CLOCK_RECORD_MS && now_ms + CLOCK_RECORD_MS > recorded_ms)
        return ERR_OK;
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t raw[8];
    store_u64(raw, now_ms);
    catalog_put(&change, FAMILY_META, span_text(clock_key), span_of(raw, sizeof(raw)));
    TRY(catalog_commit(expiry->options.store, &change, CATALOG_USE_RESERVE, err));
    atomic_store(&expiry->recorded_ms, now_ms);
    return ERR_OK;
}

/* ---- the work ---- */

static uint64_t before_ms(uint64_t now_ms, uint64_t age_ms)
{
    return now_ms > age_ms ? now_ms - age_ms : 0;
}

static enum err_code outcomes_step(struct expiry *expiry, uint64_t now_ms, bool *ret_more,
                                   struct err *err)
{
    return outcome_expire(expiry->options.store, before_ms(now_ms, STATEMENT_MEMORY_MS), ret_more,
                          err);
}

static enum err_code history_step(struct expiry *expiry, uint64_t now_ms, bool *ret_more,
                                  struct err *err)
{
    size_t count = 0;
    TRY(history_expire(expiry->options.store,
                       before_ms(now_ms, atomic_load(&expiry->history_retention_ms)), &count, err));
    *ret_more = count > 0;
    return ERR_OK;
}

static enum err_code snapshots_step(struct expiry *expiry, uint64_t now_ms, bool *ret_more,
                                    struct err *err)
{
    size_t count = 0;
    TRY(snapshot_expire(expiry->options.store, now_ms, &count, err));
    *ret_more = count > 0;
    return ERR_OK;
}

static enum err_code lifecycles_step(struct expiry *expiry, uint64_t now_ms, bool *ret_more,
                                     struct err *err)
{
    *ret_more = false;
    return lifecycle_run(expiry->options.store, now_ms, err);
}

static enum err_code rights_step(struct expiry *expiry, uint64_t now_ms, bool *ret_more,
                                 struct err *err)
{
    size_t count = 0;
    return rights_sweep(expiry->options.store, now_ms, &count, ret_more, err);
}

static enum err_code meter_step(struct expiry *expiry, uint64_t now_ms, bool *ret_more,
                                struct err *err)
{
    return meter_fold(expiry->options.store, before_ms(now_ms, METER_KEPT_MS), ret_more, err);
}

static enum err_code leftovers_step(struct expiry *expiry, uint64_t now_ms, bool *ret_more,
                                    struct err *err)
{
    *ret_more = false;
    if (loop_now_ms() < atomic_load(&expiry->leftovers_ms))
        return ERR_OK;
    atomic_store(&expiry->leftovers_ms, loop_now_ms() + LEFTOVERS_EVERY_MS);
    return leftovers_sweep(expiry->options.store,
                           before_ms(now_ms, atomic_load(&expiry->history_retention_ms)),
                           &expiry->stopped, err);
}

static void expire(struct expiry *expiry, uint64_t now_ms)
{
    static const struct {
        const char *failed;
        enum err_code (*step)(struct expiry *expiry, uint64_t now_ms, bool *ret_more,
                              struct err *err);
    } kinds[] = {
        {"outcomes could not be expired", outcomes_step},
        {"history could not be expired", history_step},
        {"snapshots could not be expired", snapshots_step},
        {"lifecycles could not be acted on", lifecycles_step},
        {"rights could not be swept", rights_step}, /* of what has just expired, too */
        {"what was carried could not be counted into its days", meter_step},
        {"what was kept of snapshots that are gone could not be swept", leftovers_step},
    };
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        bool more = true;
        for (size_t step = 0; more && step < EXPIRE_STEPS_MAX; step++) {
            struct err err;
            more = false;
            if (atomic_load(&expiry->stopped))
                return;
            if (kinds[i].step(expiry, now_ms, &more, &err) != ERR_OK) {
                if (err.code != ERR_CANCELLED)
                    log_error(kinds[i].failed, &err);
                more = false;
            }
        }
    }
}

void expiry_run(struct expiry *expiry)
{
    struct err err;
    if (!clock_look(expiry))
        return;
    uint64_t now_ms = atomic_load(&expiry->now_ms);
    if (clock_record(expiry, now_ms, &err) != ERR_OK)
        log_error("the time could not be recorded", &err);
    expire(expiry, now_ms);
}

static void run_on_worker(void *argument)
{
    expiry_run(argument);
}

void expiry_tick(struct expiry *expiry)
{
    if (clock_look(expiry))
        workers_post(expiry->options.workers, run_on_worker, expiry, NULL); /* busy: next time */
}

bool expiry_clock_look(struct expiry *expiry)
{
    return clock_look(expiry);
}

bool expiry_clock_believed(const struct expiry *expiry)
{
    return expiry->believed;
}

/* ---- open, free ---- */

enum err_code expiry_open(const struct expiry_options *options, struct expiry **ret_expiry,
                          struct err *err)
{
    BYTES_CLEANUP struct bytes raw = {0};
    bool found = false;
    TRY(catalog_find(options->store, NULL, FAMILY_META, span_text(clock_key), &raw, &found, err));
    if (found && raw.len != 8)
        return err_set(err, ERR_CORRUPT, "record of the clock: %zu bytes", raw.len);
    struct expiry *expiry = mem_calloc(1, sizeof(*expiry));
    expiry->options = *options;
    expiry->history_retention_ms = options->history_retention_ms;
    pthread_mutex_init(&expiry->lock, NULL);
    expiry->believed = true;
    atomic_init(&expiry->recorded_ms, found ? load_u64(raw.data) : 0);
    if (found) /* at least: the look below may find more */
        rights_believe(options->store, load_u64(raw.data));
    clock_watch_init(&expiry->watch, atomic_load(&expiry->recorded_ms), loop_now_ms());
    clock_look(expiry);
    *ret_expiry = expiry;
    return ERR_OK;
}

void expiry_set_history(struct expiry *expiry, uint64_t history_retention_ms)
{
    atomic_store(&expiry->history_retention_ms, history_retention_ms);
}

void expiry_stop(struct expiry *expiry)
{
    if (expiry != NULL)
        atomic_store(&expiry->stopped, true);
}

void expiry_free(struct expiry *expiry)
{
    if (expiry == NULL)
        return;
    pthread_mutex_destroy(&expiry->lock);
    mem_free(expiry);
}
