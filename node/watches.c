#include "node/watches.h"

#include <pthread.h>

#define WATCH_ARENA_BYTES (64 * MIB(1))

struct watch {
    struct watch *next;
    struct principal principal;
    struct operator_task_query query;
    struct request *request;
    uint64_t due_ms;
};

struct watches {
    struct tasks *tasks;
    struct loop *loop;
    struct workers *workers;
    struct loop_timer timer;
    pthread_mutex_t lock;
    struct watch *first; /* lock, as the next ones */
    size_t count;
    bool looking; /* a timer or a job will come */
    bool stopping;
};

/* ---- what tasks look like ---- */

static struct operator_task task_view(const struct task_status *status)
{
    struct operator_task view = {
        .id = status->id,
        .statement = status->statement,
        .state = span_text(task_state_name(status->state)),
        .progress =
            {
                .phase = span_text(status->phase),
                .has_task = true,
                .task = status->id,
                .bytes_done = status->counters.bytes_moved,
                .bytes_total = status->bytes_planned,
                .files_done = status->counters.files_moved,
                .files_total = status->files_total,
                .elapsed_ms = status->moving_ms,
            },
        .started_ms = status->started_ms,
        .ended_ms = status->ended_ms,
        .error = status->error,
    };
    return view;
}

/* How long its phase is before the first number: "waiting for peer x since 7 s" counts as one. */
static size_t phase_words(const struct operator_task *task)
{
    struct span phase = task->progress.phase;
    size_t len = 0;
    while (len < phase.len && !(phase.data[len] >= '0' && phase.data[len] <= '9'))
        len++;
    return len;
}

static uint64_t seen_of(const struct operator_tasks *tasks)
{
    struct digest_state state;
    digest_init(&state, DOMAIN_STATEMENT);
    for (size_t i = 0; i < tasks->task_count; i++) {
        const struct operator_task *task = &tasks->tasks[i];
        digest_update_part(&state, span_of(task->id.b, sizeof(task->id.b)));
        digest_update_part(&state, task->state);
        digest_update_part(&state, span_slice(task->progress.phase, 0, phase_words(task)));
        digest_update_u64(&state, task->progress.bytes_done);
        digest_update_u64(&state, task->progress.files_done);
        digest_update_u64(&state, task->progress.files_total);
    }
    struct digest digest = digest_final(&state);
    return load_u64(digest.b) | 1; /* 0 means: nothing was seen yet */
}

static bool wanted(const struct operator_task_query *query, const struct task_status *status)
{
    return !query->has_task || memcmp(query->task.b, status->id.b, sizeof(status->id.b)) == 0;
}

enum err_code tasks_snapshot(struct tasks *tasks, const struct principal *principal,
                             const struct operator_task_query *query, struct arena *arena,
                             struct operator_tasks *ret_tasks, struct err *err)
{
    struct task_status *list;
    size_t count;
    TRY(tasks_list(tasks, principal, arena, &list, &count, err));
    struct operator_tasks view = {0};
    view.tasks = arena_alloc(arena, count + 1, sizeof(*view.tasks));
    if (view.tasks == NULL)
        return err_set(err, ERR_LIMIT, "too many tasks to list");
    for (size_t i = 0; i < count && view.task_count < LIMIT_LISTED_TASKS; i++) {
        if (wanted(query, &list[i]))
            view.tasks[view.task_count++] = task_view(&list[i]);
    }
    view.seen = seen_of(&view);
    *ret_tasks = view;
    return ERR_OK;
}

/* ---- watching ---- */

/* Replies when there is something new or `last`; false: goes on waiting. */
static bool watch_look(struct watches *watches, struct watch *watch, bool last)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, WATCH_ARENA_BYTES);
    struct operator_tasks view;
    struct err err;
    enum err_code code =
        tasks_snapshot(watches->tasks, &watch->principal, &watch->query, &arena, &view, &err);
    if (code != ERR_OK) {
        request_reply_error(watch->request, &err);
        return true;
    }
    if (view.seen == watch->query.seen && !last)
        return false;
    struct bytes body = {0};
    operator_tasks_encode(&view, &body);
    request_reply_bytes(watch->request, (struct span){0}, &body);
    return true;
}

static struct watch *watches_take(struct watches *watches)
{
    pthread_mutex_lock(&watches->lock);
    struct watch *first = watches->first;
    watches->first = NULL;
    watches->count = 0;
    pthread_mutex_unlock(&watches->lock);
    return first;
}

static void on_timer(void *argument);

static void timer_start(void *argument)
{
    struct watches *watches = argument;
    watches->timer = (struct loop_timer){.run = on_timer, .argument = watches};
    loop_timer_start(watches->loop, &watches->timer, WATCH_LOOK_MS);
}

/* Puts those that go on waiting back; looks again later while there are any. */
static void watches_put(struct watches *watches, struct watch *watch)
{
    pthread_mutex_lock(&watches->lock);
    bool stopping = watches->stopping;
    while (watch != NULL && !stopping) {
        struct watch *next = watch->next;
        watch->next = watches->first;
        watches->first = watch;
        watches->count++;
        watch = next;
    }
    watches->looking = watches->first != NULL && !stopping;
    bool again = watches->looking;
    pthread_mutex_unlock(&watches->lock);
    for (struct watch *next; watch != NULL; watch = next) { /* stopping: the last word */
        next = watch->next;
        watch_look(watches, watch, true);
        mem_free(watch);
    }
    if (again)
        loop_post(watches->loop, timer_start, watches);
}

static void watches_look(void *argument)
{
    struct watches *watches = argument;
    struct watch *waiting = NULL;
    uint64_t now_ms = loop_now_ms();
    for (struct watch *watch = watches_take(watches), *next; watch != NULL; watch = next) {
        next = watch->next;
        if (watch_look(watches, watch, now_ms >= watch->due_ms)) {
            mem_free(watch);
        } else {
            watch->next = waiting;
            waiting = watch;
        }
    }
    watches_put(watches, waiting);
}

static void on_timer(void *argument)
{
    struct watches *watches = argument;
    if (workers_post(watches->workers, watches_look, watches, NULL) != ERR_OK)
        timer_start(watches);
}

void watches_add(struct watches *watches, const struct principal *principal,
                 const struct operator_task_query *query, struct request *request)
{
    struct watch *watch = mem_calloc(1, sizeof(*watch));
    watch->principal = *principal;
    watch->query = *query;
    watch->query.project = (struct span){0}; /* borrowed from the request */
    watch->request = request;
    watch->due_ms = loop_now_ms() + query->wait_ms;
    pthread_mutex_lock(&watches->lock);
    bool room = watches->count < WATCHES_MAX && !watches->stopping;
    pthread_mutex_unlock(&watches->lock);
    if (watch_look(watches, watch, !room || query->seen == 0 || query->wait_ms == 0)) {
        mem_free(watch);
        return;
    }
    pthread_mutex_lock(&watches->lock);
    watch->next = watches->first;
    watches->first = watch;
    watches->count++;
    bool start = !watches->looking && !watches->stopping;
    watches->looking = true;
    pthread_mutex_unlock(&watches->lock);
    if (start)
        loop_post(watches->loop, timer_start, watches);
}

/* ---- all of them ---- */

enum err_code watches_new(struct tasks *tasks, struct loop *loop, struct workers *workers,
                          struct watches **ret_watches, struct err *err)
{
    (void)err;
    struct watches *watches = mem_calloc(1, sizeof(*watches));
    watches->tasks = tasks;
    watches->loop = loop;
    watches->workers = workers;
    pthread_mutex_init(&watches->lock, NULL);
    *ret_watches = watches;
    return ERR_OK;
}

static void timer_cancel(void *argument)
{
    struct watches *watches = argument;
    loop_timer_cancel(watches->loop, &watches->timer);
}

void watches_stop(struct watches *watches)
{
    pthread_mutex_lock(&watches->lock);
    watches->stopping = true;
    pthread_mutex_unlock(&watches->lock);
    loop_call(watches->loop, timer_cancel, watches);
    watches_put(watches, watches_take(watches));
}

void watches_free(struct watches *watches)
{
    if (watches == NULL)
        return;
    if (watches->first != NULL)
        watches_put(watches, watches_take(watches));
    pthread_mutex_destroy(&watches->lock);
    mem_free(watches);
}
