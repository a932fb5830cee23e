#include "node/task/xcopy_list.h"

#include <strings.h>

bool task_id_equal(const struct task_id *a, const struct task_id *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* ---- life ---- */

void pull_list_init(struct pull_list *list, size_t per_project)
{
    *list = (struct pull_list){.per_project = per_project == 0 ? TASKS_PER_PROJECT : per_project};
    pthread_mutex_init(&list->lock, NULL);
    pthread_cond_init(&list->settled, NULL);
}

void pull_list_set_places(struct pull_list *list, size_t per_project)
{
    pthread_mutex_lock(&list->lock);
    list->per_project = per_project;
    pthread_mutex_unlock(&list->lock);
}

void pull_list_deinit(struct pull_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        pull_unref(list->pulls[i]);
    mem_free(list->pulls);
    pthread_cond_destroy(&list->settled);
    pthread_mutex_destroy(&list->lock);
}

/* ---- places ---- */

static bool is_active(const struct pull *pull)
{
    return !atomic_load(&pull->ended);
}

/* The loop's. */
static bool is_past(const struct pull *pull)
{
    return !is_active(pull) && atomic_load(&pull->recorded) && pull_idle(pull);
}

static bool same_project(const struct pull *a, const struct pull *b)
{
    return task_name_equal(a->token.destination.project, b->token.destination.project);
}

static bool same_target(const struct pull *a, const struct pull *b)
{
    return !a->repair.is_one && !b->repair.is_one && same_project(a, b) &&
           task_name_equal(a->token.destination.snapshot, b->token.destination.snapshot);
}

/* Of the project: with a place, or in line before `before`. */
static size_t count_locked(const struct pull_list *list, const struct pull *of, bool placed,
                           size_t before)
{
    size_t count = 0;
    for (size_t i = list->past; i < list->count && i < before; i++) {
        const struct pull *pull = list->pulls[i];
        count += is_active(pull) && pull->placed == placed && same_project(pull, of);
    }
    return count;
}

static void promote_locked(struct pull_list *list)
{
    for (size_t i = list->past; i < list->count; i++) {
        struct pull *pull = list->pulls[i];
        if (pull->placed || !is_active(pull))
            continue;
        pull->placed = count_locked(list, pull, true, SIZE_MAX) < list->per_project;
        size_t in_line = pull->placed ? 0 : 1 + count_locked(list, pull, false, i);
        atomic_store(&pull->in_line, in_line);
    }
}

size_t pull_list_promote(struct pull_list *list)
{
    pthread_mutex_lock(&list->lock);
    while (list->past < list->count && is_past(list->pulls[list->past]))
        list->past++;
    promote_locked(list);
    size_t past = list->past;
    pthread_mutex_unlock(&list->lock);
    return past;
}

/* ---- coming in ---- */

static void add_locked(struct pull_list *list, struct pull *pull)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        list->pulls = mem_realloc(list->pulls, list->capacity, sizeof(struct pull *));
    }
    list->pulls[list->count++] = pull;
}

void pull_list_add(struct pull_list *list, struct pull *pull)
{
    pthread_mutex_lock(&list->lock);
    pull->placed = !pull->record.queues;
    add_locked(list, pull);
    pthread_mutex_unlock(&list->lock);
}

static int created_order(const void *a, const void *b)
{
    uint64_t first = (*(struct pull *const *)a)->record.created_ms;
    uint64_t second = (*(struct pull *const *)b)->record.created_ms;
    return first < second ? -1 : first > second;
}

void pull_list_sort(struct pull_list *list)
{
    pthread_mutex_lock(&list->lock);
    if (list->count > 0)
        qsort(list->pulls, list->count, sizeof(struct pull *), created_order);
    list->past = 0;
    promote_locked(list);
    pthread_mutex_unlock(&list->lock);
}

static size_t active_locked(const struct pull_list *list)
{
    size_t active = 0;
    for (size_t i = list->past; i < list->count; i++)
        active += is_active(list->pulls[i]);
    return active;
}

static enum err_code admit_locked(struct pull_list *list, struct pull *pull,
                                  struct pull **ret_other, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        struct pull *other = list->pulls[i];
        if (task_id_equal(&other->record.id, &pull->record.id))
            return err_set(err, ERR_BUSY, "this task is being recorded; ask again");
        if (is_active(other) && same_target(other, pull)) {
            pull_ref(other);
            *ret_other = other;
            return ERR_OK;
        }
    }
    promote_locked(list);
    pull->placed = count_locked(list, pull, true, SIZE_MAX) < list->per_project;
    if (!pull->placed && !pull->record.queues)
        return err_set(err, ERR_TASK_LIMIT,
                       "%zu XCOPY tasks of project %.*s run or wait already; submit again when one "
                       "has ended (SHOW TASKS), or wait in line with OPTIONS(queue=true)",
                       list->per_project, SPAN_PRINTF(pull->token.destination.project));
    if (active_locked(list) >= TASKS_ACTIVE_MAX)
        return err_set(err, ERR_TASK_LIMIT, "%d tasks run or wait on this node already",
                       TASKS_ACTIVE_MAX);
    add_locked(list, pull);
    promote_locked(list); /* its number in line */
    return ERR_OK;
}

enum err_code pull_list_admit(struct pull_list *list, struct pull *pull, struct pull **ret_other,
                              struct err *err)
{
    *ret_other = NULL;
    pthread_mutex_lock(&list->lock);
    enum err_code code = admit_locked(list, pull, ret_other, err);
    pthread_mutex_unlock(&list->lock);
    return code;
}

void pull_list_settle(struct pull_list *list, struct pull *pull, bool recorded)
{
    pthread_mutex_lock(&list->lock);
    atomic_store(recorded ? &pull->recorded : &pull->ended, true);
    pthread_cond_broadcast(&list->settled);
    pthread_mutex_unlock(&list->lock);
}

bool pull_list_recorded(struct pull_list *list, struct pull *pull)
{
    pthread_mutex_lock(&list->lock);
    while (!atomic_load(&pull->recorded) && is_active(pull))
        pthread_cond_wait(&list->settled, &list->lock);
    pthread_mutex_unlock(&list->lock);
    return atomic_load(&pull->recorded);
}

/* ---- looking ---- */

size_t pull_list_count(struct pull_list *list)
{
    pthread_mutex_lock(&list->lock);
    size_t count = list->count;
    pthread_mutex_unlock(&list->lock);
    return count;
}

size_t pull_list_active(struct pull_list *list)
{
    pthread_mutex_lock(&list->lock);
    size_t active = active_locked(list);
    pthread_mutex_unlock(&list->lock);
    return active;
}

size_t pull_list_past(struct pull_list *list)
{
    pthread_mutex_lock(&list->lock);
    size_t past = list->past;
    pthread_mutex_unlock(&list->lock);
    return past;
}

struct pull *pull_list_at(struct pull_list *list, size_t i)
{
    pthread_mutex_lock(&list->lock);
    struct pull *pull = list->pulls[i];
    pthread_mutex_unlock(&list->lock);
    return pull;
}

void pull_list_remove(struct pull_list *list, size_t i)
{
    pthread_mutex_lock(&list->lock);
    memmove(&list->pulls[i], &list->pulls[i + 1], (list->count - i - 1) * sizeof(struct pull *));
    list->count--;
    if (i < list->past)
        list->past--;
    pthread_mutex_unlock(&list->lock);
}

struct pull *pull_list_find(struct pull_list *list, const struct task_id *id)
{
    struct pull *found = NULL;
    pthread_mutex_lock(&list->lock);
    for (size_t i = list->count;
         i-- > 0 && found == NULL;) /* who asks for one waits for a new one */
        if (task_id_equal(&list->pulls[i]->record.id, id))
            found = list->pulls[i];
    if (found != NULL)
        pull_ref(found);
    pthread_mutex_unlock(&list->lock);
    return found;
}

struct pull **pull_list_copy(struct pull_list *list, size_t *ret_count)
{
    pthread_mutex_lock(&list->lock);
    struct pull **copy = mem_calloc(list->count + 1, sizeof(struct pull *));
    for (size_t i = 0; i < list->count; i++) {
        copy[i] = list->pulls[i];
        pull_ref(copy[i]);
    }
    *ret_count = list->count;
    pthread_mutex_unlock(&list->lock);
    return copy;
}

void pull_list_copy_free(struct pull **copy, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pull_unref(copy[i]);
    mem_free(copy);
}
