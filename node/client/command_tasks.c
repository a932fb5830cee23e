/* strait tasks, strait cancel: replication tasks of the node. */
#include "node/client/command.h"

#include <getopt.h>

#include "node/client/interrupt.h"
#include "node/client/listing.h"
#include "node/client/task_lines.h"

#define TASKS_ARENA_BYTES  (64 * MIB(1))
#define CANCEL_ARENA_BYTES KIB(64)
#define WATCH_WAIT_MS      EXECUTE_WAIT_MAX_MS
#define LOOK_MS            2000 /* a terminal's lines are no older */
#define LOOK_WORK_MS       3000 /* then a node that says nothing is away */
#define AWAY_PAUSE_MS      500
#define AWAY_S_MAX         (10 * 60) /* longer than any restart */

/* As SHOW TASKS gives them, and how fast it goes: over a task's time without its waits, as its progress line. */
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

/* Which tasks are listed, and what the node said of them last. */
struct tasks_view {
    bool watch;            /* only those that had not ended when the watch began */
    uint64_t seen;         /* state of the node's list, 0 before the first answer */
    uint64_t ended_before; /* watch: the latest end in the first answer, ms since 1970 */
    struct remote_answer answer;
    struct arena arena;
    struct operator_tasks tasks; /* borrows from answer and arena */
};

static void view_deinit(struct tasks_view *view)
{
    arena_deinit(&view->arena);
    remote_answer_deinit(&view->answer);
}
#define VIEW_CLEANUP __attribute__((cleanup(view_deinit)))

static void view_init(struct tasks_view *view, bool watch)
{
    *view = (struct tasks_view){.watch = watch};
    arena_init(&view->arena, TASKS_ARENA_BYTES);
}

static bool wanted(const struct tasks_view *view, const struct operator_task *task)
{
    return !view->watch || task->ended_ms == 0 || task->ended_ms > view->ended_before;
}

/* wait_ms: watch: how long the node may wait for something new. *ret_changed: since the view's last answer. On an error the
 * view has that one still. */
static enum err_code tasks_ask(struct client *client, uint32_t wait_ms, struct tasks_view *view,
                               bool *ret_changed, struct err *err)
{
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    struct bytes header BYTES_CLEANUP = {0};
    enum operator_method method = view->watch ? OPERATOR_WATCH : OPERATOR_TASKS;
    struct operator_task_query query = {.seen = view->seen, .wait_ms = wait_ms};
    operator_task_query_encode(&query, &header);
    TRY(remote_call(client->remote, method, &header, NULL, wait_ms, &answer, err));
    struct arena arena ARENA_CLEANUP;
    struct operator_tasks tasks;
    arena_init(&arena, TASKS_ARENA_BYTES);
    TRY(operator_tasks_decode(bytes_span(&answer.body), &arena, &tasks, err));
    for (size_t i = 0; i < tasks.task_count && view->watch && view->seen == 0; i++) {
        if (tasks.tasks[i].ended_ms > view->ended_before)
            view->ended_before = tasks.tasks[i].ended_ms;
    }
    *ret_changed = tasks.seen != view->seen || view->seen == 0;
    view_deinit(view);
    view->answer = answer;
    view->arena = arena;
    view->tasks = tasks;
    answer = (struct remote_answer){0}; /* the view's now, as is the arena */
    arena_init(&arena, 0);
    view->seen = tasks.seen;
    return ERR_OK;
}

/* ---- rows: scripts, and whoever asks for a format ---- */

static enum err_code rows_print(const struct client *client, const struct tasks_view *view,
                                struct err *err)
{
    struct listing listing LISTING_CLEANUP;
    listing_init(&listing, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < view->tasks.task_count; i++) {
        if (wanted(view, &view->tasks.tasks[i]))
            task_list(&listing, &view->tasks.tasks[i]);
    }
    return listing_print(&listing, client->screen.format, err);
}

/* Prints the list whenever it changed, until Ctrl-C. */
static enum err_code rows_watch(struct client *client, struct tasks_view *view, struct err *err)
{
    bool terminal = isatty(STDOUT_FILENO) == 1;
    while (true) {
        bool changed;
        TRY(tasks_ask(client, WATCH_WAIT_MS, view, &changed, err));
        if (!changed)
            continue;
        if (terminal)
            TRY(stdout_write(span_text("\x1b[H\x1b[2J"), err));
        TRY(rows_print(client, view, err));
    }
}

/* ---- lines: a terminal ---- */

/* Those that are wanted, as lines. height: of the screen, 0: as many lines as there are. */
static void lines_append(const struct tasks_view *view, size_t height, struct span notice,
                         struct bytes *out)
{
    size_t count = 0;
    const struct operator_task **tasks = mem_calloc(view->tasks.task_count + 1, sizeof(*tasks));
    struct task_screen screen = {.columns = terminal_size(STDOUT_FILENO).columns,
                                 .lines = height > 0 ? height - 1 : 0, /* the cursor has one */
                                 .notice = notice};
    for (size_t i = 0; i < view->tasks.task_count; i++) {
        if (wanted(view, &view->tasks.tasks[i]))
            tasks[count++] = &view->tasks.tasks[i];
    }
    task_lines_format(tasks, count, &screen, out);
    mem_free(tasks);
}

static enum err_code lines_print(const struct tasks_view *view, struct err *err)
{
    struct bytes out BYTES_CLEANUP = {0};
    lines_append(view, 0, span_text(""), &out);
    return stdout_write(bytes_span(&out), err);
}

/* The whole screen anew, in one piece and line over line: nothing flickers. */
static enum err_code lines_draw(const struct tasks_view *view, struct span notice, struct err *err)
{
    struct bytes lines BYTES_CLEANUP = {0}, out BYTES_CLEANUP = {0};
    lines_append(view, terminal_size(STDOUT_FILENO).lines, notice, &lines);
    bytes_append_text(&out, "\x1b[H\x1b[K");
    for (size_t i = 0; i < lines.len; i++) {
        bytes_append_u8(&out, lines.data[i]);
        if (lines.data[i] == '\n')
            bytes_append_text(&out, "\x1b[K"); /* of the line that begins */
    }
    bytes_append_text(&out, "\x1b[J");
    return stdout_write(bytes_span(&out), err);
}

/* Is it that the node is not there, or not yet again? */
static bool node_is_away(const struct client *client, const struct err *err)
{
    switch (remote_failure(client->remote)) {
    case REMOTE_UNREACHABLE:
    case REMOTE_LOST:
        return true;
    case REMOTE_REFUSED:
        return err_class(err->code) == CLASS_RETRY || err_class(err->code) == CLASS_CANCELLED;
    case REMOTE_FINE:
    case REMOTE_INTERRUPTED:
        break;
    }
    return false;
}

/* "no answer from the node at 127.0.0.1:7101 since 14:03:07 (12 s): why" */
static void away_append(const struct client *client, time_t since, const struct err *err,
                        struct bytes *out)
{
    char clock[16] = "", why[2 * ERR_MESSAGE_BYTES];
    time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&since, &local) != NULL)
        strftime(clock, sizeof clock, "%H:%M:%S", &local);
    bytes_printf(out, "no answer from the node at %s since %s (", client->config.address, clock);
    bytes_append_duration(out, now > since ? (uint64_t)(now - since) * 1000 : 0);
    bytes_printf(out, "): %s", err_format(err, why, sizeof why));
}

/* The node is away: says so, and asks until it answers, the patience is at its end or Ctrl-C. In: why; out: why it ended. */
static enum err_code lines_away(struct client *client, struct tasks_view *view, struct err *err)
{
    const struct timespec pause = {.tv_nsec = AWAY_PAUSE_MS * 1000000L};
    time_t since = time(NULL);
    enum err_code code = err->code;
    while (code != ERR_OK && node_is_away(client, err) && time(NULL) - since < AWAY_S_MAX) {
        struct bytes notice BYTES_CLEANUP = {0};
        bool changed;
        away_append(client, since, err, &notice);
        TRY(lines_draw(view, bytes_span(&notice), err));
        nanosleep(&pause, NULL);
        code = tasks_ask(client, 0, view, &changed, err);
    }
    return code;
}

/* Draws the tasks until Ctrl-C, whenever something changed and every LOOK_MS: what counts seconds goes on, and the
 * terminal may have another size. A node that is away is waited for once it has answered. */
static enum err_code lines_watch(struct client *client, struct tasks_view *view, struct err *err)
{
    bool changed;
    TRY(tasks_ask(client, 0, view, &changed, err));
    TRY(stdout_write(span_text("\x1b[H\x1b[2J"), err));
    remote_patience_set(client->remote, (struct remote_patience){.work_ms = LOOK_WORK_MS});
    while (true) {
        TRY(lines_draw(view, span_text(""), err));
        enum err_code code = tasks_ask(client, LOOK_MS, view, &changed, err);
        if (code != ERR_OK && node_is_away(client, err))
            code = lines_away(client, view, err);
        TRY(code);
    }
}

static const char tasks_form[] = "strait tasks [--watch] [--format table|csv|json]";

enum exit_code command_tasks(struct client *client, int argc, char **argv)
{
    enum { FORMAT = 1000, WATCH };
    static const struct option options[] = {
        {"format", required_argument, NULL, FORMAT}, {"watch", no_argument, NULL, WATCH}, {0}};
    struct err err;
    bool watch = false, changed;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        watch = watch || option == WATCH;
        if (option == '?')
            return command_misused(tasks_form);
        if (option == FORMAT && !client_format_set(client, optarg, false))
            return EXIT_USAGE;
    }
    if (optind < argc)
        return command_misused(tasks_form);
    bool asked_for = client->screen.format != NULL;
    enum exit_code opened = client_open(client);
    if (opened != EXIT_DONE)
        return opened;
    bool lines = !asked_for && client->screen.format == &format_table && isatty(STDOUT_FILENO) == 1;
    struct tasks_view view VIEW_CLEANUP;
    view_init(&view, watch);
    enum err_code code;
    if (watch)
        code = lines ? lines_watch(client, &view, &err) : rows_watch(client, &view, &err);
    else
        code = tasks_ask(client, 0, &view, &changed, &err);
    if (code == ERR_OK)
        code = lines ? lines_print(&view, &err) : rows_print(client, &view, &err);
    return code == ERR_OK ? EXIT_DONE : client_fail(client, NULL, &err);
}

enum exit_code command_cancel(struct client *client, int argc, char **argv)
{
    struct bytes header BYTES_CLEANUP = {0};
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    struct arena arena ARENA_CLEANUP = {0};
    struct operator_cancel cancel;
    struct operator_cancelled cancelled;
    struct err err;
    if (argc != 2 || !hex_decode(span_text(argv[1]), cancel.task.b, sizeof cancel.task.b)) {
        return command_misused(
            "strait cancel TASK, where TASK has 32 hexadecimal digits (see strait tasks)");
    }
    enum exit_code opened = client_open(client);
    if (opened != EXIT_DONE)
        return opened;
    arena_init(&arena, CANCEL_ARENA_BYTES);
    operator_cancel_encode(&cancel, &header);
    if (remote_call(client->remote, OPERATOR_CANCEL, &header, NULL, 0, &answer, &err) != ERR_OK ||
        operator_cancelled_decode(bytes_span(&answer.header), &arena, &cancelled, &err) != ERR_OK)
        return client_fail(client, NULL, &err);
    if (cancelled.ended.len > 0) /* in the words of CANCEL TASK */
        fprintf(stderr, "the task had ended: %.*s\n", SPAN_PRINTF(cancelled.ended));
    fputs("OK\n", stderr);
    return EXIT_DONE;
}
