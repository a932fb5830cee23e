#include "node/task/meters.h"

#include <pthread.h>

#include "node/task/xcopy_record.h"

/* Of the destination's word: replies that were errors are its count alone, and what this process counted
 * since its last record is gone with it. */
#define FRESH_LOST_BYTES   (64 * (uint64_t)MIB(1))
#define RESTART_LOST_BYTES (64 * UINT64_C(1073741824))
#define SAVED_BYTES_MAX    (UINT64_C(1) << 56)

struct entry {
    struct meter_record record; /* borrows from `texts` */
    struct bytes texts;         /* region, project's name */
    bool settled;               /* told for the last time: nothing is counted any more */
};

struct meters {
    pthread_mutex_t lock;
    struct entry **entries;
    size_t count, capacity;
};

struct meters *meters_new(void)
{
    struct meters *meters = mem_calloc(1, sizeof(*meters));
    pthread_mutex_init(&meters->lock, NULL);
    return meters;
}

static void entry_free(struct entry *entry)
{
    bytes_deinit(&entry->texts);
    mem_free(entry);
}

void meters_free(struct meters *meters)
{
    if (meters == NULL)
        return;
    for (size_t i = 0; i < meters->count; i++)
        entry_free(meters->entries[i]);
    mem_free(meters->entries);
    pthread_mutex_destroy(&meters->lock);
    mem_free(meters);
}

/* ---- entries ---- */

/* count: there is none. */
static size_t find_locked(const struct meters *meters, const struct lease_id *lease)
{
    size_t at = 0;
    while (at < meters->count &&
           !digest_equal(&meters->entries[at]->record.lease.digest, &lease->digest))
        at++;
    return at;
}

static struct entry *entry_locked(const struct meters *meters, const struct lease_id *lease)
{
    size_t at = find_locked(meters, lease);
    return at < meters->count ? meters->entries[at] : NULL;
}

static struct entry *entry_new(const struct meter_record *record)
{
    struct entry *entry = mem_calloc(1, sizeof(*entry));
    entry->record = *record;
    bytes_append_span(&entry->texts, record->region);
    bytes_append_span(&entry->texts, record->project_name);
    struct span texts = bytes_span(&entry->texts);
    entry->record.region = span_slice(texts, 0, record->region.len);
    entry->record.project_name = span_slice(texts, record->region.len, record->project_name.len);
    return entry;
}

static void entry_add(struct meters *meters, const struct meter_record *record)
{
    struct entry *entry = entry_new(record);
    pthread_mutex_lock(&meters->lock);
    struct entry *known = entry_locked(meters, &record->lease);
    if (known != NULL) { /* described again: counts go on */
        known->record.state = TASK_RUNNING;
        known->settled = false;
    } else {
        if (meters->count == meters->capacity) {
            meters->capacity = meters->capacity == 0 ? 16 : 2 * meters->capacity;
            meters->entries =
                mem_realloc(meters->entries, meters->capacity, sizeof(struct entry *));
        }
        meters->entries[meters->count++] = entry;
    }
    pthread_mutex_unlock(&meters->lock);
    if (known != NULL)
        entry_free(entry);
}

enum err_code meters_begin(struct meters *meters, struct store *store,
                           const struct meter_record *record, struct err *err)
{
    BYTES_CLEANUP struct bytes memory = {0};
    struct meter_record known;
    bool found;
    TRY(meter_find(store, METER_OUT, &record->lease, &memory, &known, &found, err));
    struct meter_record begun = found ? known : *record;
    begun.state = TASK_RUNNING;
    if (!found)
        begun.lost_bytes = FRESH_LOST_BYTES;
    entry_add(meters, &begun);
    return ERR_OK;
}

enum err_code meters_load(struct meters *meters, struct store *store, const struct lease_id *lease,
                          struct err *err)
{
    BYTES_CLEANUP struct bytes memory = {0};
    struct meter_record known;
    bool found;
    TRY(meter_find(store, METER_OUT, lease, &memory, &known, &found, err));
    if (found) {
        known.lost_bytes += RESTART_LOST_BYTES;
        entry_add(meters, &known);
    }
    return ERR_OK;
}

void meters_end(struct meters *meters, const struct lease_id *lease)
{
    pthread_mutex_lock(&meters->lock);
    size_t at = find_locked(meters, lease);
    if (at < meters->count) {
        entry_free(meters->entries[at]);
        meters->entries[at] = meters->entries[--meters->count];
    }
    pthread_mutex_unlock(&meters->lock);
}

/* ---- counting ---- */

void meters_add(struct meters *meters, const struct lease_id *lease,
                const struct meter_counts *served)
{
    pthread_mutex_lock(&meters->lock);
    struct entry *entry = entry_locked(meters, lease);
    if (entry != NULL && !entry->settled) {
#define X(name) entry->record.counts.name += served->name;
        METER_COUNTS(X)
#undef X
    }
    pthread_mutex_unlock(&meters->lock);
}

/* Clocks of two regions differ by less than a day, or one of them is wrong: then ours counts. */
static bool day_believed(uint32_t ours, uint32_t told)
{
    return told + 1 >= ours && told <= ours + 1;
}

/* What it kept, the destination knows alone: not more than was sent. */
static void told_take(struct meter_record *record, const struct meter_counts *told)
{
    struct meter_counts *counts = &record->counts;
    meter_counts_believe(counts, told, &record->lost_bytes);
    struct meter_counts ends = {.kept_bytes = told->kept_bytes, .saved_bytes = told->saved_bytes};
    if (ends.kept_bytes > counts->file_bytes)
        ends.kept_bytes = counts->file_bytes;
    if (ends.saved_bytes > SAVED_BYTES_MAX)
        ends.saved_bytes = SAVED_BYTES_MAX;
    meter_counts_raise(counts, &ends);
}

bool meters_settle(struct meters *meters, const struct peer_settle *settle,
                   struct peer_settle *ret_settle)
{
    struct meter_counts told;
    meter_counts_of(settle, &told);
    pthread_mutex_lock(&meters->lock);
    struct entry *entry = entry_locked(meters, &settle->lease);
    if (entry != NULL) {
        struct meter_record *record = &entry->record;
        told_take(record, &told);
        if (day_believed(record->day, settle->day))
            record->day = settle->day;
        entry->settled = settle->state == TASK_CANCELLED || settle->state == TASK_FAILED;
        if (entry->settled)
            record->state = (enum task_state)settle->state; /* DONE: only by its receipt */
        *ret_settle = meter_told(record);
    }
    pthread_mutex_unlock(&meters->lock);
    return entry != NULL;
}

void meters_put(struct meters *meters, const struct lease_id *lease, enum task_state state,
                struct catalog_change *change)
{
    pthread_mutex_lock(&meters->lock);
    struct entry *entry = entry_locked(meters, lease);
    if (entry != NULL) {
        struct meter_record *record = &entry->record;
        bool ends = state == TASK_DONE || (state == TASK_FAILED && record->state == TASK_RUNNING);
        if (ends)
            record->state = state;
        record->updated_ms = xcopy_now_ms();
        meter_put(change, record);
    }
    pthread_mutex_unlock(&meters->lock);
}
