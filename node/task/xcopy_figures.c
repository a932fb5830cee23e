#include "node/task/xcopy_figures.h"

struct ended {
    atomic_ullong count[TASK_STATES];
    atomic_ullong done_ms;
};

struct figures {
    struct ended ended[TASKS_PEERS_MAX + 1];
    struct err_counts errors;
};

struct figures *figures_new(void)
{
    return mem_calloc(1, sizeof(struct figures));
}

void figures_free(struct figures *figures)
{
    mem_free(figures);
}

static size_t peer_place(const struct peer *peer)
{
    return peer != NULL && peer->place < TASKS_PEERS_MAX ? peer->place : TASKS_PEERS_MAX;
}

void figures_ended(struct figures *figures, const struct pull *pull,
                   const struct task_status *status)
{
    struct ended *ended = &figures->ended[peer_place(pull->peer)];
    atomic_fetch_add_explicit(&ended->count[status->state], 1, memory_order_relaxed);
    if (status->state == TASK_DONE && !pull->repair.is_one)
        atomic_store_explicit(&ended->done_ms, status->ended_ms, memory_order_relaxed);
    if (status->state == TASK_FAILED)
        err_count(&figures->errors, status->error.code);
}

static void pull_add(struct pull *pull, struct tasks_of_peer *of)
{
    pthread_mutex_lock(&pull->lock);
    enum task_state state = pull->status.state;
    uint64_t ended_ms = pull->status.ended_ms;
    pthread_mutex_unlock(&pull->lock);
    of->now[state]++;
    if (state == TASK_DONE && !pull->repair.is_one && ended_ms > of->done_ms)
        of->done_ms = ended_ms;
}

void figures_by_peer(struct figures *figures, struct pull_list *list,
                     struct tasks_of_peer ret_list[TASKS_PEERS_MAX + 1])
{
    size_t count;
    for (size_t i = 0; i <= TASKS_PEERS_MAX; i++) {
        const struct ended *ended = &figures->ended[i];
        ret_list[i] = (struct tasks_of_peer){
            .done_ms = atomic_load_explicit(&ended->done_ms, memory_order_relaxed)};
        for (size_t state = 0; state < TASK_STATES; state++)
            ret_list[i].ended[state] =
                atomic_load_explicit(&ended->count[state], memory_order_relaxed);
    }
    struct pull **pulls = pull_list_copy(list, &count);
    for (size_t i = 0; i < count; i++)
        if (atomic_load(&pulls[i]->recorded))
            pull_add(pulls[i], &ret_list[peer_place(pulls[i]->peer)]);
    pull_list_copy_free(pulls, count);
}

const struct err_counts *figures_errors(const struct figures *figures)
{
    return &figures->errors;
}
