/* See execution.h. */
#include "node/client/execution.h"

#include <errno.h>

#define FIRST_WAIT_MS      300  /* soon enough to know a task's id when Ctrl-C comes */
#define TERMINAL_WAIT_MS   500  /* between two looks at the progress */
#define PIPE_WAIT_MS       5000 /* the same where nobody looks */
#define ANSWER_ARENA_BYTES (16 * MIB(1))

/* A result on its way: the answers so far, and where the rows go. */
struct course {
    struct remote *remote;
    struct statement_id id;
    const struct execution_sink *sink;
    struct progress *progress;
    struct remote_answer answer;
    struct arena columns_arena; /* the first answer with columns, kept */
    struct arena arena;         /* the last one */
    struct operator_result result;
    struct column *columns;
    size_t column_count;
    struct batch batch;
    bool has_columns;
    struct execution_task task;
};

static void course_init(struct course *course, struct remote *remote, struct statement_id id,
                        const struct execution_sink *sink, struct progress *progress)
{
    *course = (struct course){.remote = remote, .id = id, .sink = sink, .progress = progress};
    arena_init(&course->columns_arena, ANSWER_ARENA_BYTES);
    arena_init(&course->arena, ANSWER_ARENA_BYTES);
}

static void course_deinit(struct course *course)
{
    if (course->has_columns)
        batch_deinit(&course->batch);
    remote_answer_deinit(&course->answer);
    arena_deinit(&course->columns_arena);
    arena_deinit(&course->arena);
}
#define COURSE_CLEANUP __attribute__((cleanup(course_deinit)))

/* The columns that come with the first block. */
static enum err_code columns_take(struct course *course, struct err *err)
{
    struct schema given = operator_schema(course->result.columns, course->result.column_count);
    struct schema kept = schema_copy(&given, &course->columns_arena);
    if (course->columns_arena.exhausted)
        return err_set(err, ERR_LIMIT, "too many result columns");
    course->columns = kept.columns;
    course->column_count = kept.column_count;
    batch_init(&course->batch, &kept);
    course->has_columns = true;
    return course->sink->columns(course->sink->context, kept.columns, kept.column_count, err);
}

static enum err_code rows_take(struct course *course, struct err *err)
{
    if (!course->has_columns)
        return err_set(err, ERR_PEER, "the node sent rows without columns");
    batch_clear(&course->batch);
    if (batch_decode(course->result.rows, &course->batch, err) != ERR_OK)
        return err_wrap(err, "rows from the node");
    return course->sink->rows(course->sink->context, &course->batch, &course->result.progress, err);
}

/* One request and its answer, taken to where it belongs. */
static enum err_code course_step(struct course *course, enum operator_method method,
                                 struct bytes *header, struct bytes *body, uint32_t wait_ms,
                                 struct err *err)
{
    TRY(remote_call(course->remote, method, header, body, wait_ms, &course->answer, err));
    arena_reset(&course->arena);
    TRY(operator_result_decode(bytes_span(&course->answer.header), bytes_span(&course->answer.body),
                               &course->arena, &course->result, err));
    if (course->result.progress.has_task)
        course->task = (struct execution_task){true, course->result.progress.task};
    if (course->result.state == OPERATOR_FAILED)
        return err_set(err, course->result.error.code, "%s", course->result.error.message);
    if (course->result.state == OPERATOR_RUNNING)
        progress_show(course->progress, &course->result.progress);
    if (!course->has_columns && course->result.column_count > 0)
        TRY(columns_take(course, err));
    if (course->result.rows.len > 0)
        TRY(rows_take(course, err));
    return ERR_OK;
}

void execution_close(struct remote *remote, const struct statement_id *id)
{
    struct bytes header BYTES_CLEANUP = {0};
    operator_close_encode(&(struct operator_close){.id = *id}, &header);
    remote_farewell(remote, OPERATOR_CLOSE, &header);
}

/* Fetches until there is no cursor. */
static enum err_code blocks_fetch(struct course *course, struct err *err)
{
    while (course->result.cursor != 0) {
        struct bytes header BYTES_CLEANUP = {0};
        struct operator_fetch fetch = {
            .id = course->id, .cursor = course->result.cursor, .wait_ms = PIPE_WAIT_MS};
        operator_fetch_encode(&fetch, &header);
        enum err_code code = course_step(course, OPERATOR_FETCH, &header, NULL, PIPE_WAIT_MS, err);
        if (code != ERR_OK) {
            if (remote_failure(course->remote) != REMOTE_REFUSED)
                execution_close(course->remote, &course->id);
            return code;
        }
        if (course->result.state == OPERATOR_RUNNING)
            course->result.cursor = fetch.cursor; /* not there yet: the same again */
    }
    return ERR_OK;
}

static uint32_t wait_ms_next(const struct progress *progress, bool first)
{
    return first ? FIRST_WAIT_MS : progress->on ? TERMINAL_WAIT_MS : PIPE_WAIT_MS;
}

/* ---- to the screen ---- */

struct screen_sink {
    const struct format_kind *kind;
    struct format *format;
    struct bytes out;
    struct progress *progress;
};

enum err_code stdout_write(struct span content, struct err *err)
{
    while (content.len > 0) {
        ssize_t written = write(STDOUT_FILENO, content.data, content.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return err_set(err, ERR_IO, "standard output: %s", strerror(errno));
        content = span_slice(content, (size_t)written, content.len - (size_t)written);
    }
    return ERR_OK;
}

static enum err_code sink_flush(struct screen_sink *sink, struct err *err)
{
    if (sink->out.len > 0)
        progress_clear(sink->progress);
    enum err_code code = stdout_write(bytes_span(&sink->out), err);
    bytes_clear(&sink->out);
    return code;
}

static enum err_code screen_columns(void *context, const struct column *columns, size_t count,
                                    struct err *err)
{
    struct screen_sink *sink = context;
    (void)err;
    sink->format = format_new(sink->kind, columns, count);
    return ERR_OK;
}

static enum err_code screen_rows(void *context, const struct batch *batch,
                                 const struct operator_progress *progress, struct err *err)
{
    struct screen_sink *sink = context;
    (void)progress;
    format_rows(sink->format, batch, &sink->out);
    return sink_flush(sink, err);
}

/* Every answer to one statement, DONE or not. wants_display: the screen shows the node's own
 * frame in place of rows. */
static enum err_code statement_follow(struct course *course, const struct operator_execute *request,
                                      bool wants_display, struct bytes *display,
                                      struct bytes *notice, struct err *err)
{
    bool first = true;
    do {
        struct bytes header BYTES_CLEANUP = {0}, body BYTES_CLEANUP = {0};
        struct operator_execute now = *request;
        now.wait_ms = wait_ms_next(course->progress, first);
        operator_execute_encode(&now, &header, &body);
        TRY(course_step(course, OPERATOR_EXECUTE, &header, &body, now.wait_ms, err));
        first = false;
    } while (course->result.state == OPERATOR_RUNNING);
    if (wants_display)
        bytes_append_span(display, course->result.display);
    bytes_append_span(notice, course->result.notice);
    return blocks_fetch(course, err);
}

static enum err_code screen_end(struct screen_sink *sink, const struct bytes *display,
                                struct err *err)
{
    if (sink->format != NULL)
        format_end(sink->format, &sink->out);
    sink->format = NULL;
    if (display->len > 0) {
        bytes_clear(&sink->out);
        bytes_append_span(&sink->out, bytes_span(display));
        if (display->data[display->len - 1] != '\n')
            bytes_append_u8(&sink->out, '\n');
    }
    return sink_flush(sink, err);
}

enum err_code execution_run(struct remote *remote, const struct operator_execute *request,
                            const struct screen *screen, struct execution_task *ret_task,
                            struct err *err)
{
    struct progress progress = progress_begin(screen->quiet);
    struct screen_sink sink = {.kind = screen->format, .progress = &progress};
    struct execution_sink to = {screen_columns, screen_rows, &sink};
    struct bytes display BYTES_CLEANUP = {0}, notice BYTES_CLEANUP = {0};
    struct course course COURSE_CLEANUP;
    course_init(&course, remote, request->id, &to, &progress);
    bool wants_display = screen->format == &format_table;
    enum err_code code = statement_follow(&course, request, wants_display, &display, &notice, err);
    progress_clear(&progress);
    *ret_task = course.task;
    /* What came before an error is shown too: it was true when it was read. */
    enum err_code shown = screen_end(&sink, &display, code == ERR_OK ? err : NULL);
    bytes_deinit(&sink.out);
    if (code != ERR_OK || shown != ERR_OK)
        return code != ERR_OK ? code : shown;
    if (notice.len > 0 && !screen->quiet)
        fprintf(stderr, "%.*s\n", SPAN_PRINTF(bytes_span(&notice)));
    if (!course.has_columns && display.len == 0 && !screen->quiet)
        fputs("OK\n", stderr);
    return ERR_OK;
}

/* ---- elsewhere ---- */

enum err_code execution_rows(struct remote *remote, const struct operator_execute *request,
                             const struct execution_sink *sink, struct err *err)
{
    struct progress off = {0};
    struct bytes none BYTES_CLEANUP = {0};
    struct course course COURSE_CLEANUP;
    course_init(&course, remote, request->id, sink, &off);
    return statement_follow(&course, request, false, &none, &none, err);
}

enum err_code execution_export(struct remote *remote, const struct operator_export *request,
                               const struct execution_sink *sink, struct err *err)
{
    struct progress off = {0};
    struct course course COURSE_CLEANUP;
    course_init(&course, remote, request->id, sink, &off);
    do {
        struct bytes header BYTES_CLEANUP = {0}, body BYTES_CLEANUP = {0};
        struct operator_export now = *request;
        now.wait_ms = PIPE_WAIT_MS;
        operator_export_encode(&now, &header, &body);
        TRY(course_step(&course, OPERATOR_EXPORT, &header, &body, now.wait_ms, err));
    } while (course.result.state == OPERATOR_RUNNING);
    enum err_code code = blocks_fetch(&course, err);
    if (code == ERR_OK && !course.has_columns)
        return err_set(err, ERR_PEER, "the node sent no columns");
    return code;
}
