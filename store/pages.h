/* Pages of manifest trees as the store sees them: bytes under a digest.
 *
 *     pages    digest 32                    -> stamp u64 | page bytes
 *     staged   task id 16 | digest 32       -> page bytes
 *
 * Pages of a table's own work go in by content_add_page. Pages of a walk (XCOPY) wait in `staged`,
 * under their task, until all below them is here; then they move to `pages`, children first (CLOSED,
 * store.h). The store does not look into pages: order is the caller's duty.
 * Threads: any; one task's staged pages are written by one thread at a time.
 */
#ifndef STORE_PAGES_H
#define STORE_PAGES_H

#include "proto/ids.h"

struct store;

/* ret_page is overwritten. ERR_NOT_FOUND; ERR_CORRUPT: damaged, and listed as such (damage.h). The
 * digest is checked on every read: pages are small, and a wrong one would lead everywhere. */
enum err_code page_read(struct store *store, const struct digest *digest, struct bytes *ret_page,
                        struct err *err);
/* In `pages`, so complete below, and itself not damaged. Does not pin: see content_rely_page. */
enum err_code page_find(struct store *store, const struct digest *digest, bool *ret_found,
                        struct err *err);

struct staged_page {
    struct digest digest; /* already checked by the caller */
    struct span page;     /* borrowed for the call */
};

/* Durable with the next commit: what a crash takes is asked for again. Again is fine. */
enum err_code staged_put(struct store *store, const struct task_id *task,
                         const struct staged_page *pages, size_t page_count, struct err *err);
enum err_code staged_read(struct store *store, const struct task_id *task,
                          const struct digest *digest, struct bytes *ret_page, struct err *err);

/* Moves staged pages to `pages`, in the given order: children before parents, every file and every
 * other child already here and pinned by `content` (content.h), which pins these as well and names
 * the account. Durable with the next commit, as staged_put: a crash leaves them staged. A page that is in `pages` already is taken as moved; one that is
 * in neither is ERR_NOT_FOUND (what came before it has moved). */
struct content;
enum err_code staged_promote(struct content *content, const struct task_id *task,
                             const struct digest *digests, size_t digest_count, struct err *err);

/* Calls on_page for each staged page of the task in order of digest; stops at the first error. */
typedef enum err_code staged_on_page(void *context, const struct digest *digest, struct span page,
                                     struct err *err);
enum err_code staged_each(struct store *store, const struct task_id *task, staged_on_page *on_page,
                          void *context, struct err *err);
/* Each task that has staged pages, once. */
typedef enum err_code staged_on_task(void *context, const struct task_id *task, struct err *err);
enum err_code staged_tasks_each(struct store *store, staged_on_task *on_task, void *context,
                                struct err *err);
/* All of a task's; durable with the next commit. May use the disk reserve. */
enum err_code staged_drop(struct store *store, const struct task_id *task, struct err *err);

#endif
