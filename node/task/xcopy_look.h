/* EXPLAIN XCOPY at the destination: walks the source's pages under a lease, as an XCOPY would, asks what
 * of them is held here, and keeps nothing. VERIFY SNAPSHOT ... AGAINST goes the same way (look_work).
 *
 *     rights -> describe -> (get_pages | own pages)* -> rights -> end of the lease
 *                   ^__ lease gone: begun anew
 *
 * look.h decides which pages; here they are brought, checked as those of an XCOPY are
 * (xcopy_jobs.c `page_arrived`) and handed to it. The store is read and never written: no staged
 * page, no tally, no record. The base is pinned in memory while it is compared with.
 *
 * A peer that does not answer, or answers wrongly, is asked again for LOOK_RETRY_MS, not for hours as
 * a task does: somebody waits.
 *
 * Threads: a look's work runs on the workers, one step at a time; replies come on link workers and
 * only hand on; its pauses belong to the loop. What is below may be called from any thread but the
 * loop's and does not wait for the peer.
 */
#ifndef NODE_TASK_XCOPY_LOOK_H
#define NODE_TASK_XCOPY_LOOK_H

#include <stdatomic.h>

#include "node/task/look.h"
#include "node/task/xcopy_destination.h"

#define LOOKS_MAX          4 /* at once; memory: look_limits_default() */
#define LOOK_RETRY_MS      30000
#define LOOK_RETRY_STEP_MS 1000
#define LOOK_WRONG_TRIES   3 /* of one answer; of leases that are lost */

struct looks;
struct xcopy_look;
struct described;

/* What a look is for: EXPLAIN XCOPY (xcopy_look.c), or VERIFY SNAPSHOT ... AGAINST (xcopy_compare.c). On
 * workers, one call at a time; an error ends the look. */
struct look_work {
    /* May this still be asked here? At the start, and before the answer. */
    enum err_code (*check)(void *context, struct err *err);
    /* The source's snapshot, and its version record as it came; again after a lease was lost. True in
     * *ret_enough: nothing needs to be read. */
    enum err_code (*begin)(void *context, struct described *described, struct span version,
                           bool *ret_enough, struct err *err);
    struct look_store store; /* asked after begin */
    /* One that came, and was checked. NULL: of no interest. */
    enum err_code (*page)(void *context, const struct digest *digest, struct span page,
                          bool *ret_enough, struct err *err);
    /* After check. closed: nobody waits any more. */
    enum err_code (*conclude)(void *context, const struct look *look, const atomic_bool *closed,
                              struct err *err);
    void (*work_free)(void *context); /* after the work; may be NULL */
    void (*free)(void *context);      /* with the look; may be NULL */
    uint64_t held_pages_max;          /* look_limits */
    void *context;
};

struct look_result {
    struct look_counts counts;
    bool has_base;           /* a snapshot of the same table is in the project */
    struct window_rate rate; /* of the channel */
    double seconds;          /* for what moves and its pages, at that rate */
};

/* xcopy_destination.c: checks the order as XCOPY's is checked; the token need not grant files.
 * ERR_TASK_LIMIT: LOOKS_MAX run. */
enum err_code tasks_look(struct tasks *tasks, const struct tasks_order *order,
                         struct xcopy_look **ret_look, struct err *err) MUST_USE;

/* Copies what it needs of the order, which has been checked. work NULL: EXPLAIN's. The work's context is
 * the look's from a good end on. */
enum err_code look_start(struct looks *looks, const struct tasks_order *order,
                         const struct look_work *work, struct xcopy_look **ret_look,
                         struct err *err) MUST_USE;
/* *ret_ended: it is told in *ret_result, or the code is why not. Else phase says what it does. Never
 * blocks. */
enum err_code look_poll(struct xcopy_look *look, char phase[TASK_PHASE_BYTES], bool *ret_ended,
                        struct look_result *ret_result, struct err *err) MUST_USE;
/* The asker's end: a look under way stops at its next step. */
void look_close(struct xcopy_look *look);

/* Options are borrowed until looks_free. */
struct looks *looks_new(const struct tasks_options *options);
/* No request goes out from now on. While loop and links are there; not on the loop. */
void looks_stop(struct looks *looks);
/* After links, workers and loop are gone, and all looks were closed. NULL is fine. */
void looks_free(struct looks *looks);

#endif
