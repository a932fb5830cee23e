#include "node/auditor.h"

#include <pthread.h>

#include "node/log.h"
#include "proto/limits.h"

struct bucket {
    char whom[LIMIT_PRINCIPAL_BYTES + 1];
    uint32_t spent; /* entries; less by one every AUDITOR_EVERY_MS */
    uint64_t since_ms;
    uint64_t counted;  /* without an entry so far */
    struct bytes last; /* of those: its record, encoded */
};

struct auditor {
    struct store *store;
    pthread_mutex_t lock;
    struct bucket buckets[AUDITOR_BUCKETS];
    size_t bucket_count;
    bool logged;
    uint64_t logged_ms;
};

/* What is to be written once the lock is free. */
struct due {
    struct bytes record; /* empty: nothing */
    uint64_t counted;
    char whom[LIMIT_PRINCIPAL_BYTES + 1];
};

struct auditor *auditor_new(struct store *store)
{
    struct auditor *auditor = mem_calloc(1, sizeof(*auditor));
    auditor->store = store;
    pthread_mutex_init(&auditor->lock, NULL);
    return auditor;
}

void auditor_free(struct auditor *auditor)
{
    if (auditor == NULL)
        return;
    for (size_t i = 0; i < auditor->bucket_count; i++)
        bytes_deinit(&auditor->buckets[i].last);
    pthread_mutex_destroy(&auditor->lock);
    mem_free(auditor);
}

/* ---- buckets ---- */

static void bucket_refill(struct bucket *bucket, uint64_t now_ms)
{
    if (now_ms <= bucket->since_ms)
        return;
    uint64_t back = (now_ms - bucket->since_ms) / AUDITOR_EVERY_MS;
    bucket->since_ms += back * AUDITOR_EVERY_MS;
    bucket->spent = back < bucket->spent ? bucket->spent - (uint32_t)back : 0;
}

static void due_take_locked(struct bucket *bucket, struct due *due)
{
    due->record = bucket->last;
    due->counted = bucket->counted;
    memcpy(due->whom, bucket->whom, sizeof(due->whom));
    bucket->last = (struct bytes){0};
    bucket->counted = 0;
}

/* The one that was used least lately goes; what it has counted is due at once. */
static struct bucket *bucket_evict_locked(struct auditor *auditor, struct due *due)
{
    struct bucket *oldest = &auditor->buckets[0];
    for (size_t i = 1; i < auditor->bucket_count; i++)
        if (auditor->buckets[i].since_ms < oldest->since_ms)
            oldest = &auditor->buckets[i];
    due_take_locked(oldest, due);
    return oldest;
}

static struct bucket *bucket_find_locked(struct auditor *auditor, struct span whom)
{
    for (size_t i = 0; i < auditor->bucket_count; i++)
        if (span_equal(span_text(auditor->buckets[i].whom), whom))
            return &auditor->buckets[i];
    return NULL;
}

static struct bucket *bucket_have_locked(struct auditor *auditor, struct span whom, uint64_t now_ms,
                                         struct due *due)
{
    struct bucket *bucket = bucket_find_locked(auditor, whom);
    if (bucket != NULL) {
        bucket_refill(bucket, now_ms);
        return bucket;
    }
    bucket = auditor->bucket_count < AUDITOR_BUCKETS ? &auditor->buckets[auditor->bucket_count++]
                                                     : bucket_evict_locked(auditor, due);
    *bucket = (struct bucket){.since_ms = now_ms};
    snprintf(bucket->whom, sizeof(bucket->whom), "%.*s", SPAN_PRINTF(whom));
    return bucket;
}

static void bucket_count_locked(struct bucket *bucket, const struct audit_record *record,
                                uint64_t more)
{
    bytes_clear(&bucket->last);
    audit_record_encode(record, &bucket->last);
    bucket->counted += more;
}

/* ---- writing ---- */

/* Not written: counted, so that it comes with a later one (or the node's log alone has it). */
static void write_failed(struct auditor *auditor, struct span whom,
                         const struct audit_record *record, const struct err *reason)
{
    log_error("an entry of the audit log could not be written; it is counted", reason);
    pthread_mutex_lock(&auditor->lock);
    struct bucket *bucket = bucket_find_locked(auditor, whom);
    if (bucket != NULL)
        bucket_count_locked(bucket, record, 1 + record->repeats);
    pthread_mutex_unlock(&auditor->lock);
}

static void record_write(struct auditor *auditor, struct span whom,
                         const struct audit_record *record)
{
    struct err err;
    if (audit_commit(auditor->store, record, &err) != ERR_OK)
        write_failed(auditor, whom, record, &err);
}

static void due_write(struct auditor *auditor, struct due *due)
{
    struct audit_record record;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, AUDIT_ARENA_BYTES);
    if (due->counted > 0 &&
        audit_record_decode(bytes_span(&due->record), &arena, &record, NULL) == ERR_OK) {
        record.repeats = due->counted - 1;
        record_write(auditor, span_text(due->whom), &record);
    }
    bytes_deinit(&due->record);
}

void auditor_refused(struct auditor *auditor, struct span whom, const struct audit_record *record,
                     uint64_t now_ms)
{
    struct due evicted = {0};
    struct audit_record written = *record;
    whom = span_slice(whom, 0, whom.len < LIMIT_PRINCIPAL_BYTES ? whom.len : LIMIT_PRINCIPAL_BYTES);
    pthread_mutex_lock(&auditor->lock);
    struct bucket *bucket = bucket_have_locked(auditor, whom, now_ms, &evicted);
    bool may = bucket->spent < AUDITOR_BURST;
    if (may) { /* and it speaks for those before it */
        bucket->spent++;
        written.repeats += bucket->counted;
        bucket->counted = 0;
        bytes_clear(&bucket->last);
    } else {
        bucket_count_locked(bucket, record, 1);
    }
    pthread_mutex_unlock(&auditor->lock);
    due_write(auditor, &evicted);
    if (may)
        record_write(auditor, whom, &written);
}

/* Of one bucket after another, so that the lock is free while it writes. */
static void counted_write(struct auditor *auditor, bool all, uint64_t now_ms)
{
    for (size_t i = 0; i < AUDITOR_BUCKETS; i++) {
        struct due due = {0};
        pthread_mutex_lock(&auditor->lock);
        struct bucket *bucket = i < auditor->bucket_count ? &auditor->buckets[i] : NULL;
        if (bucket != NULL && !all)
            bucket_refill(bucket, now_ms);
        if (bucket != NULL && bucket->counted > 0 && (all || bucket->spent < AUDITOR_BURST)) {
            bucket->spent++;
            due_take_locked(bucket, &due);
        }
        pthread_mutex_unlock(&auditor->lock);
        due_write(auditor, &due);
    }
}

void auditor_tick(struct auditor *auditor, uint64_t now_ms)
{
    counted_write(auditor, false, now_ms);
}

void auditor_flush(struct auditor *auditor)
{
    counted_write(auditor, true, 0);
}

/* ---- the node's log ---- */

bool auditor_log_due(struct auditor *auditor, uint64_t now_ms)
{
    pthread_mutex_lock(&auditor->lock);
    bool due = !auditor->logged || now_ms - auditor->logged_ms >= AUDITOR_LOG_HOUR_MS;
    if (due) {
        auditor->logged = true;
        auditor->logged_ms = now_ms;
    }
    pthread_mutex_unlock(&auditor->lock);
    return due;
}

void auditor_log(struct auditor *auditor)
{
    struct audit_head head = audit_head_get(auditor->store);
    char hex[DIGEST_HEX_BYTES];
    log_event(LOG_INFO, "audit log", LOG_NUMBER("entries", head.count),
              LOG_TEXT("head", digest_hex(&head.head, hex)));
}
