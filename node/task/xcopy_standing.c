#include "node/task/xcopy_standing.h"

#define STANDING_ARENA_BYTES MIB(16)
#define STANDING_PAUSE_MS    1000 /* when no worker takes it */

struct standing_task {
    struct pull *pull; /* with a reference */
    struct project_id project;
    struct err reason; /* code ERR_OK: it stands */
};

/* ---- one task ---- */

/* What a clock says is left to the publish: it may be wrong now. So is what could not be looked up. */
static bool right_gone(enum err_code code)
{
    return (err_class(code) == CLASS_DENIED && code != ERR_CREDENTIALS) || code == ERR_NOT_FOUND;
}

static void task_judge(struct standing_task *task, struct arena *arena)
{
    struct xcopy_target ignored;
    struct err reason;
    enum err_code code = pull_target_ask(task->pull, task->project, arena, &ignored, &reason);
    if (right_gone(code))
        task->reason = reason;
}

/* ---- all of them ---- */

static void tasks_forget(struct standing *standing)
{
    for (size_t i = 0; i < standing->count; i++)
        pull_unref(standing->asked[i].pull);
    mem_free(standing->asked);
    standing->asked = NULL;
    standing->count = 0;
}

static void on_judged(void *argument);

static void judge_on_worker(void *argument)
{
    struct standing *standing = argument;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, STANDING_ARENA_BYTES);
    for (size_t i = 0; i < standing->count; i++) {
        arena_reset(&arena);
        task_judge(&standing->asked[i], &arena);
    }
    loop_post(standing->options->loop, on_judged, standing);
}

static void tasks_gather(struct standing *standing)
{
    size_t count = pull_list_count(standing->list);
    standing->asked = mem_calloc(count + 1, sizeof(*standing->asked));
    for (size_t i = 0; i < count; i++) {
        struct pull *pull = pull_list_at(standing->list, i);
        bool asks =
            atomic_load(&pull->recorded) && !atomic_load(&pull->ended) && !pull->repair.is_one;
        if (!asks)
            continue;
        pull_ref(pull);
        standing->asked[standing->count++] =
            (struct standing_task){.pull = pull, .project = pull->project};
    }
}

static void on_wanted(void *argument)
{
    struct standing *standing = argument;
    if (standing->running || !atomic_exchange(&standing->wanted, false))
        return;
    tasks_gather(standing);
    if (standing->count == 0) {
        tasks_forget(standing);
        return;
    }
    standing->running = true;
    if (workers_post(standing->options->workers, judge_on_worker, standing, NULL) == ERR_OK)
        return;
    standing->running = false;
    tasks_forget(standing);
    atomic_store(&standing->wanted, true);
    loop_timer_start(standing->options->loop, &standing->timer, STANDING_PAUSE_MS);
}

static void on_judged(void *argument)
{
    struct standing *standing = argument;
    for (size_t i = 0; i < standing->count; i++) {
        struct standing_task *task = &standing->asked[i];
        if (task->reason.code != ERR_OK && !tasks_stopped(task->pull->tasks))
            pull_withdraw(task->pull, &task->reason);
    }
    tasks_forget(standing);
    standing->running = false;
    on_wanted(standing);
}

void standing_request(struct standing *standing)
{
    if (!atomic_exchange(&standing->wanted, true))
        loop_post(standing->options->loop, on_wanted, standing);
}

/* ---- life ---- */

void standing_init(struct standing *standing, const struct tasks_options *options,
                   struct pull_list *list)
{
    *standing = (struct standing){.options = options, .list = list};
    standing->timer.run = on_wanted;
    standing->timer.argument = standing;
}

void standing_deinit(struct standing *standing)
{
    tasks_forget(standing);
}
