/* See task_lines.h. */
#include "node/client/task_lines.h"

#include "node/client/progress.h"
#include "node/sql/parser.h"

#define ID_COLUMNS       32
#define STATE_COLUMNS    9 /* CANCELLED */
#define NAME_COLUMNS_MIN 8

/* Widths of a line's parts, with a blank between two. */
struct layout {
    size_t id; /* 0: no such part */
    size_t state;
    size_t name;
    size_t progress;
};

/* ---- parts ---- */

/* What is made: the XCOPY's destination as it was written; of any other statement its text. */
static void name_append(const struct operator_task *task, struct bytes *out)
{
    struct arena arena ARENA_CLEANUP;
    struct statement *statement;
    arena_init(&arena, STATEMENT_ARENA_BYTES);
    if (statement_parse(task->statement, &arena, &statement, NULL) != ERR_OK ||
        statement->kind != STATEMENT_XCOPY) {
        bytes_append_span(out, task->statement);
        return;
    }
    const struct name *name = &statement->xcopy.destination;
    if (name->project.len > 0) {
        bytes_append_span(out, name->project);
        bytes_append_u8(out, '.');
    }
    bytes_append_span(out, name->object);
}

/* "12.3 MB of 45.0 MB, 3 of 10 files, in 9 s"; what came whole is named once. */
static void end_append(const struct operator_task *task, struct bytes *out)
{
    const struct operator_progress *progress = &task->progress;
    bytes_append_amount(out, progress->bytes_done);
    if (progress->bytes_total > progress->bytes_done) {
        bytes_append_text(out, " of ");
        bytes_append_amount(out, progress->bytes_total);
    }
    bytes_printf(out, ", %" PRIu64, progress->files_done);
    if (progress->files_total > progress->files_done)
        bytes_printf(out, " of %" PRIu64, progress->files_total);
    bytes_append_text(out, progress->files_done == 1 ? " file" : " files");
    if (task->started_ms > 0 && task->ended_ms >= task->started_ms) {
        bytes_append_text(out, ", in ");
        bytes_append_duration(out, task->ended_ms - task->started_ms);
    }
}

static void progress_append(const struct operator_task *task, size_t columns, struct bytes *out)
{
    struct bytes text BYTES_CLEANUP = {0};
    if (task->ended_ms == 0) {
        progress_format_within(&task->progress, columns, out);
        return;
    }
    end_append(task, &text);
    shown_append_cut(bytes_span(&text), columns, out);
}

/* ---- order and widths ---- */

static unsigned rank(const struct operator_task *task)
{
    return task->ended_ms > 0 ? 2 : task->started_ms == 0 ? 1 : 0;
}

static int numbers_compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_interest(const void *left, const void *right)
{
    const struct operator_task *a = *(const struct operator_task *const *)left;
    const struct operator_task *b = *(const struct operator_task *const *)right;
    int order = numbers_compare(rank(a), rank(b));
    if (order == 0)
        order = numbers_compare(b->ended_ms, a->ended_ms);
    if (order == 0)
        order = numbers_compare(a->started_ms, b->started_ms);
    return order != 0 ? order : memcmp(a->id.b, b->id.b, sizeof a->id.b);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static struct layout layout_of(const struct operator_task *const *tasks, const struct bytes *names,
                               size_t count, size_t columns)
{
    size_t state = strlen("STATE"), name = strlen("SNAPSHOT");
    for (size_t i = 0; i < count; i++) {
        state = larger(state, text_width(tasks[i]->state));
        name = larger(name, text_width(bytes_span(&names[i])));
    }
    struct layout layout = {.id = columns >= TASK_ID_COLUMNS_MIN ? ID_COLUMNS : 0};
    size_t left = columns - (layout.id > 0 ? layout.id + 1 : 0);
    layout.state = smaller(smaller(state, STATE_COLUMNS), left);
    left -= smaller(left, layout.state + 1);
    layout.name = smaller(smaller(name, larger(left * 2 / 5, NAME_COLUMNS_MIN)), left);
    left -= smaller(left, layout.name + 1);
    layout.progress = left;
    return layout;
}

/* ---- lines ---- */

static void line_append(const struct layout *layout, struct span id, struct span state,
                        struct span name, struct bytes *out)
{
    if (layout->id > 0) {
        shown_append_padded(id, layout->id, out);
        bytes_append_u8(out, ' ');
    }
    shown_append_padded(state, layout->state, out);
    if (layout->name > 0) {
        bytes_append_u8(out, ' ');
        shown_append_padded(name, layout->name, out);
    }
    if (layout->progress > 0)
        bytes_append_u8(out, ' ');
}

static void task_append(const struct operator_task *task, const struct bytes *name,
                        const struct layout *layout, size_t columns, struct bytes *out)
{
    struct bytes id BYTES_CLEANUP = {0};
    bytes_append_hex(&id, span_of(task->id.b, sizeof task->id.b));
    line_append(layout, bytes_span(&id), task->state, bytes_span(name), out);
    progress_append(task, layout->progress, out);
    bytes_append_u8(out, '\n');
    if (task->error.code == ERR_OK)
        return;
    char error[2 * ERR_MESSAGE_BYTES];
    struct bytes line BYTES_CLEANUP = {0};
    bytes_printf(&line, "  %s", err_format(&task->error, error, sizeof error));
    shown_append_cut(bytes_span(&line), columns, out);
    bytes_append_u8(out, '\n');
}

static size_t lines_of(const struct operator_task *task)
{
    return task->error.code == ERR_OK ? 1 : 2;
}

/* How many of the tasks fit into so many lines, one kept for "and N more" where not all do. */
static size_t fitting_tasks(const struct operator_task *const *tasks, size_t count, size_t lines)
{
    size_t used = 0, fits = 0;
    for (size_t i = 0; i < count; i++) {
        used += lines_of(tasks[i]);
        if (used + 1 <= lines)
            fits = i + 1;
    }
    return used <= lines ? count : fits;
}

static void more_append(size_t count, size_t columns, struct bytes *out)
{
    struct bytes line BYTES_CLEANUP = {0};
    bytes_printf(&line, "and %zu more", count);
    shown_append_cut(bytes_span(&line), columns, out);
    bytes_append_u8(out, '\n');
}

void task_lines_format(const struct operator_task **tasks, size_t count,
                       const struct task_screen *screen, struct bytes *out)
{
    size_t head_lines = screen->notice.len > 0 ? 2 : 1;
    size_t lines = screen->lines > head_lines ? screen->lines - head_lines : 0;
    if (count > 0)
        qsort(tasks, count, sizeof(*tasks), by_interest);
    struct bytes *names = mem_calloc(count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++)
        name_append(tasks[i], &names[i]);
    struct layout layout = layout_of(tasks, names, count, screen->columns);
    if (screen->notice.len > 0) {
        shown_append_cut(screen->notice, screen->columns, out);
        bytes_append_u8(out, '\n');
    }
    line_append(&layout, span_text("TASK"), span_text("STATE"), span_text("SNAPSHOT"), out);
    shown_append_cut(span_text("PROGRESS"), layout.progress, out);
    bytes_append_u8(out, '\n');
    size_t shown = screen->lines == 0 ? count : fitting_tasks(tasks, count, lines);
    for (size_t i = 0; i < shown; i++)
        task_append(tasks[i], &names[i], &layout, screen->columns, out);
    if (shown < count)
        more_append(count - shown, screen->columns, out);
    for (size_t i = 0; i < count; i++)
        bytes_deinit(&names[i]);
    mem_free(names);
}
