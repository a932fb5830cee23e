/* strait tasks, strait cancel: replication tasks of the node. */
#include "node/client/command.h"

#include <getopt.h>

#include "node/client/interrupt.h"
#include "node/client/listing.h"

#define TASKS_ARENA_BYTES (64 * MIB(1))
#define WATCH_WAIT_MS     EXECUTE_WAIT_MAX_MS

/* As SHOW TASKS gives them, and how fast it goes: over all of a task's time, as its progress line. */
static const struct listing_column columns[] = {
    {"task_id", TYPE_STRING},      {"statement", TYPE_STRING},   {"state", TYPE_STRING},
    {"phase", TYPE_STRING},        {"files_done", TYPE_BIGINT},  {"files_total", TYPE_BIGINT},
    {"bytes_done", TYPE_BIGINT},   {"bytes_total", TYPE_BIGINT}, {"started", TYPE_DATETIME},
    {"ended", TYPE_DATETIME},      {"error", TYPE_STRING},       {"bytes_per_second", TYPE_BIGINT},
    {"seconds_left", TYPE_BIGINT},
};

static void rate_list(struct listing *listing, const struct operator_task *task)
{
    const struct operator_progress *progress = &task->progress;
    uint64_t elapsed_ms = progress->elapsed_ms;
    uint64_t rate = elapsed_ms > 0 ? progress->bytes_done * 1000 / elapsed_ms : 0;
    bool runs = task->ended_ms == 0;
    if (elapsed_ms > 0)
        listing_number(listing, rate);
    else
        listing_null(listing);
    if (runs && rate > 0 && progress->bytes_total >= progress->bytes_done)
        listing_number(listing, (progress->bytes_total - progress->bytes_done) / rate);
    else
        listing_null(listing);
}

static void task_list(struct listing *listing, const struct operator_task *task)
{
    char error[2 * ERR_MESSAGE_BYTES];
    struct bytes id BYTES_CLEANUP = {0};
    bytes_append_hex(&id, span_of(task->id.b, sizeof task->id.b));
    listing_text(listing, bytes_span(&id));
    listing_text(listing, task->statement);
    listing_text(listing, task->state);
    listing_text(listing, task->progress.phase);
    listing_number(listing, task->progress.files_done);
    listing_number(listing, task->progress.files_total);
    listing_number(listing, task->progress.bytes_done);
    listing_number(listing, task->progress.bytes_total);
    listing_time(listing, task->started_ms);
    listing_time(listing, task->ended_ms);
    if (task->error.code == ERR_OK)
        listing_null(listing);
    else
        listing_text(listing, span_text(err_format(&task->error, error, sizeof error)));
    rate_list(listing, task);
}

/* Which tasks are listed. */
struct tasks_view {
    bool watch;            /* only those that had not ended when the watch began */
    uint64_t seen;         /* state of the node's list, 0 before the first answer */
    uint64_t ended_before; /* watch: the latest end in the first answer, ms since 1970 */
};

static void tasks_list(struct tasks_view *view, const struct operator_tasks *tasks,
                       struct listing *listing)
{
    for (size_t i = 0; i < tasks->task_count && view->watch && view->seen == 0; i++) {
        if (tasks->tasks[i].ended_ms > view->ended_before)
            view->ended_before = tasks->tasks[i].ended_ms;
    }
    for (size_t i = 0; i < tasks->task_count; i++) {
        const struct operator_task *task = &tasks->tasks[i];
        if (!view->watch || task->ended_ms == 0 || task->ended_ms > view->ended_before)
            task_list(listing, task);
    }
}

/* *ret_changed: since the view's last answer. */
static enum err_code tasks_ask(struct client *client, struct tasks_view *view, bool *ret_changed,
                               struct listing *listing, struct err *err)
{
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    struct bytes header BYTES_CLEANUP = {0};
    struct arena arena ARENA_CLEANUP;
    struct operator_tasks tasks;
    enum operator_method method = view->watch ? OPERATOR_WATCH : OPERATOR_TASKS;
    struct operator_task_query query = {.seen = view->seen,
                                        .wait_ms = view->watch ? WATCH_WAIT_MS : 0};
    arena_init(&arena, TASKS_ARENA_BYTES);
    operator_task_query_encode(&query, &header);
    TRY(remote_call(client->remote, method, &header, NULL, query.wait_ms, &answer, err));
    TRY(operator_tasks_decode(bytes_span(&answer.body), &arena, &tasks, err));
    *ret_changed = tasks.seen != view->seen || view->seen == 0;
    tasks_list(view, &tasks, listing);
    view->seen = tasks.seen;
    return ERR_OK;
}

/* Prints the list whenever it changed, until Ctrl-C. */
static enum err_code tasks_watch(struct client *client, struct listing *listing, struct err *err)
{
    bool terminal = isatty(STDOUT_FILENO) == 1;
    struct tasks_view view = {.watch = true};
    while (true) {
        bool changed;
        TRY(tasks_ask(client, &view, &changed, listing, err));
        if (!changed) {
            batch_clear(&listing->batch);
            continue;
        }
        if (terminal)
            TRY(stdout_write(span_text("\x1b[H\x1b[2J"), err));
        TRY(listing_print(listing, client->screen.format, err));
    }
}

enum exit_code command_tasks(struct client *client, int argc, char **argv)
{
    enum { FORMAT = 1000, WATCH };
    static const struct option options[] = {
        {"format", required_argument, NULL, FORMAT}, {"watch", no_argument, NULL, WATCH}, {0}};
    struct err err;
    bool watch = false, changed;
    struct tasks_view all = {0};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        watch = watch || option == WATCH;
        if (option == '?' || (option == FORMAT && !client_format_set(client, optarg)))
            return EXIT_USAGE;
    }
    if (optind < argc) {
        complain("strait tasks [--watch] [--format table|csv|json]");
        return EXIT_USAGE;
    }
    enum exit_code opened = client_open(client);
    if (opened != EXIT_DONE)
        return opened;
    struct listing listing LISTING_CLEANUP;
    listing_init(&listing, columns, ARRAY_COUNT(columns));
    enum err_code code = watch ? tasks_watch(client, &listing, &err)
                               : tasks_ask(client, &all, &changed, &listing, &err);
    if (code == ERR_OK)
        code = listing_print(&listing, client->screen.format, &err);
    return code == ERR_OK ? EXIT_DONE : client_fail(client, NULL, &err);
}

enum exit_code command_cancel(struct client *client, int argc, char **argv)
{
    struct bytes header BYTES_CLEANUP = {0};
    struct operator_cancel cancel;
    struct err err;
    if (argc != 2 || !hex_decode(span_text(argv[1]), cancel.task.b, sizeof cancel.task.b)) {
        complain("strait cancel TASK, where TASK has 32 hexadecimal digits (see strait tasks)");
        return EXIT_USAGE;
    }
    enum exit_code opened = client_open(client);
    if (opened != EXIT_DONE)
        return opened;
    operator_cancel_encode(&cancel, &header);
    if (remote_call(client->remote, OPERATOR_CANCEL, &header, NULL, 0, NULL, &err) != ERR_OK)
        return client_fail(client, NULL, &err);
    fputs("OK\n", stderr);
    return EXIT_DONE;
}
