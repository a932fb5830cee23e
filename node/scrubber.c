#include "node/scrubber.h"

#include "node/log.h"
#include "node/task/repair.h"
#include "node/task/xcopy_serve.h"
#include "store/damage.h"

struct scrubber {
    struct scrubber_options options;
    struct loop_timer timer;
    atomic_bool stopped;
    atomic_bool stepping;
    _Atomic uint64_t bytes_per_second;
    _Atomic uint64_t bytes, faults;
    uint64_t round_faults;  /* of the round under way; the step's, as the next */
    uint64_t rest_until_ms; /* loop's clock: between two rounds */
};

/* One look at the store, by whomever. */
struct scrubbing {
    struct scrubber *scrubber;
    atomic_bool *cancel; /* may be NULL */
    scrubber_on_fault *on_fault;
    void *context;
};

/* ---- what the store asks of the node ---- */

static enum err_code record_check(void *context, enum family family, struct span key,
                                  struct span value, struct err *err)
{
    struct xcopy_record task;
    struct lease_subject lease;
    const size_t lease_head = sizeof(struct identity_key) + DIGEST_BYTES;
    (void)context;
    if (family == FAMILY_TASKS && key.len > 0 && key.data[0] == 't')
        return xcopy_record_decode(value, &task, err);
    if (family != FAMILY_LEASES || key.len == 0 || key.data[0] != 'l')
        return ERR_OK;
    if (value.len < lease_head)
        return err_set(err, ERR_CORRUPT, "the record of a lease is damaged");
    return lease_subject_decode(span_slice(value, lease_head, value.len - lease_head), &lease, err);
}

static bool scrubbing_stop(void *context)
{
    struct scrubbing *scrubbing = context;
    return atomic_load(&scrubbing->scrubber->stopped) ||
           (scrubbing->cancel != NULL && atomic_load(scrubbing->cancel));
}

static void scrubbing_fault(void *context, const char *family, const char *what)
{
    struct scrubbing *scrubbing = context;
    const struct scrubber_fault fault = {FAULT_RECORD, family, what};
    if (scrubbing->on_fault != NULL)
        scrubbing->on_fault(scrubbing->context, &fault);
}

static struct scrub_watch watch_of(struct scrubbing *scrubbing)
{
    return (struct scrub_watch){.on_fault = scrubbing_fault,
                                .record = record_check,
                                .stop = scrubbing_stop,
                                .context = scrubbing};
}

/* Returns how many faults they have. */
static uint64_t own_files_look(struct own_files *files, scrubber_on_fault *on_fault, void *context)
{
    struct err err;
    bool key_whole = own_key_check(files, &err) == ERR_OK;
    if (!key_whole)
        on_fault(context, &(struct scrubber_fault){FAULT_KEY_FILE, NULL, err.message});
    if (own_config_check(files, &err) != ERR_OK)
        on_fault(context, &(struct scrubber_fault){NOTE_CONFIGURATION, NULL, err.message});
    return !key_whole;
}

/* ---- when asked ---- */

enum err_code scrubber_run(struct scrubber *scrubber, struct table_id id, atomic_bool *cancel,
                           scrubber_on_fault *on_fault, void *context,
                           struct scrub_counts *ret_counts, struct err *err)
{
    struct scrubbing scrubbing = {scrubber, cancel, on_fault, context};
    const struct scrub_watch watch = watch_of(&scrubbing);
    struct scrub_counts counts = {0};
    if (id.n != 0)
        TRY(scrub_table(scrubber->options.store, id, &watch, &counts, err));
    else
        TRY(scrub_store(scrubber->options.store, &watch, &counts, err));
    if (id.n == 0)
        counts.faults += own_files_look(scrubber->options.own, on_fault, context);
    atomic_fetch_add(&scrubber->bytes, counts.file_bytes);
    if (id.n == 0)
        atomic_store(&scrubber->faults, counts.faults);
    *ret_counts = counts;
    return ERR_OK;
}

/* ---- all the time ---- */

static void fault_log(void *context, const struct scrubber_fault *fault)
{
    (void)context;
    if (fault->kind == FAULT_RECORD)
        log_event(LOG_ERROR, "damaged record", LOG_TEXT("family", fault->family),
                  LOG_TEXT("what", fault->what));
    else if (fault->kind == FAULT_KEY_FILE)
        log_event(LOG_ERROR, "damaged key file", LOG_TEXT("what", fault->what));
    else
        log_event(LOG_WARN, "changed configuration", LOG_TEXT("what", fault->what));
}

static void step_told(struct scrubber *scrubber, const struct scrub_counts *counts, bool ended)
{
    atomic_fetch_add(&scrubber->bytes, counts->file_bytes);
    scrubber->round_faults += counts->faults;
    if (ended) {
        scrubber->round_faults += own_files_look(scrubber->options.own, fault_log, NULL);
        atomic_store(&scrubber->faults, scrubber->round_faults);
        scrubber->round_faults = 0;
        scrubber->rest_until_ms = loop_now_ms() + SCRUB_REST_MS;
    }
    if (counts->listed > 0)
        log_event(LOG_ERROR, "scrub found damage", LOG_NUMBER("items", counts->listed),
                  LOG_NUMBER("listed", damage_count(scrubber->options.store)));
}

static void repairs_begin(struct scrubber *scrubber)
{
    struct repair *repairs MEM_CLEANUP = mem_calloc(REPAIRS_MAX, sizeof(*repairs));
    struct err err;
    size_t count = 0;
    if (damage_count(scrubber->options.store) > 0 &&
        repair_begin(scrubber->options.tasks, false, repairs, &count, &err) != ERR_OK)
        log_error("repairs could not begin", &err);
}

static void step_on_worker(void *argument)
{
    struct scrubber *scrubber = argument;
    struct scrubbing scrubbing = {.scrubber = scrubber, .on_fault = fault_log};
    const struct scrub_watch watch = watch_of(&scrubbing);
    struct scrub_counts counts = {0};
    struct err err;
    bool ended = false;
    uint64_t bytes = atomic_load(&scrubber->bytes_per_second) * (SCRUB_STEP_MS / 1000);
    enum err_code code = ERR_OK;
    if (bytes > 0 && loop_now_ms() >= scrubber->rest_until_ms)
        code = scrub_step(scrubber->options.store, bytes, &watch, &counts, &ended, &err);
    if (code == ERR_OK)
        step_told(scrubber, &counts, ended);
    else if (code != ERR_CANCELLED)
        log_error("scrub failed", &err);
    if (!atomic_load(&scrubber->stopped))
        repairs_begin(scrubber);
    atomic_store(&scrubber->stepping, false);
}

static void on_timer(void *argument)
{
    struct scrubber *scrubber = argument;
    if (!atomic_exchange(&scrubber->stepping, true) &&
        workers_post(scrubber->options.workers, step_on_worker, scrubber, NULL) != ERR_OK)
        atomic_store(&scrubber->stepping, false);
    loop_timer_start(scrubber->options.loop, &scrubber->timer, SCRUB_STEP_MS);
}

static void on_start(void *argument)
{
    struct scrubber *scrubber = argument;
    loop_timer_start(scrubber->options.loop, &scrubber->timer, SCRUB_STEP_MS);
}

static void on_stop(void *argument)
{
    struct scrubber *scrubber = argument;
    loop_timer_cancel(scrubber->options.loop, &scrubber->timer);
}

/* ---- life ---- */

struct scrubber *scrubber_new(const struct scrubber_options *options)
{
    struct scrubber *scrubber = mem_calloc(1, sizeof(*scrubber));
    scrubber->options = *options;
    scrubber->bytes_per_second = options->bytes_per_second;
    scrubber->timer = (struct loop_timer){.run = on_timer, .argument = scrubber};
    loop_post(options->loop, on_start, scrubber);
    return scrubber;
}

void scrubber_set_rate(struct scrubber *scrubber, uint64_t bytes_per_second)
{
    atomic_store(&scrubber->bytes_per_second, bytes_per_second);
}

void scrubber_stop(struct scrubber *scrubber)
{
    if (scrubber == NULL)
        return;
    atomic_store(&scrubber->stopped, true);
    loop_call(scrubber->options.loop, on_stop, scrubber);
}

void scrubber_free(struct scrubber *scrubber)
{
    mem_free(scrubber);
}

struct scrubber_totals scrubber_totals_get(struct scrubber *scrubber)
{
    return (struct scrubber_totals){.bytes = atomic_load(&scrubber->bytes),
                                    .faults = atomic_load(&scrubber->faults)};
}
