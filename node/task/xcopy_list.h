/* The tasks of this node in order of their start, and which of a project's have a place.
 *
 *     submitted -> place --------------------------------> ended: the place is free
 *        |           ^ the first in line takes the free one
 *        +-> in line +      with OPTIONS(queue=true), when all places of its project are taken
 *        +-> refused        without
 *
 * Who ends gives its place away before anybody else asks for one, so nobody passes those in line.
 * Repairs have no project and take no place. Not here: which of those with a place run
 * (xcopy_destination.c).
 *
 * Threads: any; the array is under the lock, each pull has one of its own, never both. Only the loop
 * takes a pull out.
 */
#ifndef NODE_TASK_XCOPY_LIST_H
#define NODE_TASK_XCOPY_LIST_H

#include "node/task/xcopy_pull.h"

struct pull_list {
    pthread_mutex_t lock;
    pthread_cond_t settled; /* a pull was recorded, or could not be */
    struct pull **pulls;
    size_t count, capacity;
    size_t past;        /* so many of the first have ended for good: most look beyond them only */
    size_t per_project; /* places */
};

/* per_project 0: TASKS_PER_PROJECT. */
void pull_list_init(struct pull_list *list, size_t per_project);
/* Whoever has a place keeps it. */
void pull_list_set_places(struct pull_list *list, size_t per_project);
void pull_list_deinit(struct pull_list *list); /* gives up its references */

/* Takes the pull; whether it has a place is said by pull_list_sort. */
void pull_list_add(struct pull_list *list, struct pull *pull);
/* After loading: in order of creation. Who began without OPTIONS(queue=true) has a place. */
void pull_list_sort(struct pull_list *list);
/* Takes the pull, with a place or in line. *ret_other: one under way that writes the same snapshot, with
 * a reference: then nothing was taken. ERR_TASK_LIMIT, ERR_BUSY (its id is there already). */
enum err_code pull_list_admit(struct pull_list *list, struct pull *pull, struct pull **ret_other,
                              struct err *err) MUST_USE;
/* What pull_list_admit took was recorded, or was not: wakes who waits for that. */
void pull_list_settle(struct pull_list *list, struct pull *pull, bool recorded);
/* Waits until it is; false: it was refused. Not on the loop. */
bool pull_list_recorded(struct pull_list *list, struct pull *pull);
/* The loop's: gives free places to those in line. Returns from which on there are any that have not
 * ended for good, are not recorded yet, or could not be. */
size_t pull_list_promote(struct pull_list *list);

size_t pull_list_count(struct pull_list *list);
size_t pull_list_past(struct pull_list *list);   /* as pull_list_promote returned it */
size_t pull_list_active(struct pull_list *list); /* not ended */
/* The loop's: it stays. */
struct pull *pull_list_at(struct pull_list *list, size_t i);
void pull_list_remove(struct pull_list *list, size_t i); /* keeps its reference for the caller */
/* With a reference; NULL: none. */
struct pull *pull_list_find(struct pull_list *list, const struct task_id *id);
/* With a reference to each; the array is the caller's. */
struct pull **pull_list_copy(struct pull_list *list, size_t *ret_count);
void pull_list_copy_free(struct pull **copy, size_t count);

bool task_id_equal(const struct task_id *a, const struct task_id *b);

#endif
