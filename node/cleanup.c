#include "node/cleanup.h"

#include <pthread.h>

#include "node/expiry.h"
#include "node/log.h"
#include "node/statement/statement.h"
#include "store/roots.h"

struct cleanup {
    struct cleanup_options options;
    pthread_mutex_t lock; /* the status */
    struct cleanup_status status;
};

struct cleanup *cleanup_new(const struct cleanup_options *options)
{
    struct cleanup *cleanup = mem_calloc(1, sizeof(*cleanup));
    cleanup->options = *options;
    pthread_mutex_init(&cleanup->lock, NULL);
    cleanup->status.last_ms = statement_now_ms();
    return cleanup;
}

void cleanup_free(struct cleanup *cleanup)
{
    if (cleanup == NULL)
        return;
    pthread_mutex_destroy(&cleanup->lock);
    mem_free(cleanup);
}

static void counts_log(const struct collect_counts *counts)
{
    const struct repack_counts *repack = &counts->repack;
    if (counts->pages_deleted + counts->files_deleted + counts->packs_dropped +
            repack->packs_copied >
        0)
        log_event(LOG_INFO, "cleaned up", LOG_NUMBER("pages", counts->pages_deleted),
                  LOG_NUMBER("files", counts->files_deleted),
                  LOG_NUMBER("bytes", counts->file_bytes_deleted),
                  LOG_NUMBER("packs", counts->packs_dropped),
                  LOG_NUMBER("packs_copied", repack->packs_copied),
                  LOG_NUMBER("bytes_copied", repack->file_bytes_copied));
    if (counts->packs_recounted > 0)
        log_event(LOG_WARN, "packs had wrong counts of live bytes; put right",
                  LOG_NUMBER("packs", counts->packs_recounted));
    if (counts->staged_unreadable > 0)
        log_event(LOG_WARN, "staged pages cannot be read; their tasks ask for them again",
                  LOG_NUMBER("pages", counts->staged_unreadable));
    if (repack->packs_skipped > 0)
        log_event(LOG_WARN, "no room to copy thin packs together; they wait for free space",
                  LOG_NUMBER("packs", repack->packs_skipped));
    if (repack->files_damaged > 0)
        log_event(LOG_WARN, "damaged column files were left in their packs; run SCRUB",
                  LOG_NUMBER("files", repack->files_damaged));
}

enum err_code cleanup_run(struct cleanup *cleanup, struct collect_counts *ret_counts,
                          struct err *err)
{
    struct collect_counts counts;
    expiry_run(cleanup->options.expiry);
    TRY(collect_run(cleanup->options.store, catalog_tree(), &counts, err));
    counts_log(&counts);
    pthread_mutex_lock(&cleanup->lock);
    cleanup->status.last_ms = statement_now_ms();
    cleanup->status.deleted_bytes_total += counts.file_bytes_deleted;
    cleanup->status.copied_bytes_total += counts.repack.file_bytes_copied;
    cleanup->status.last = counts;
    pthread_mutex_unlock(&cleanup->lock);
    *ret_counts = counts;
    return ERR_OK;
}

void cleanup_status_get(struct cleanup *cleanup, struct cleanup_status *ret_status)
{
    pthread_mutex_lock(&cleanup->lock);
    *ret_status = cleanup->status;
    pthread_mutex_unlock(&cleanup->lock);
}
