/* See upload.h. */
#include <errno.h>

#include "node/client/upload.h"

#define CHUNK_BYTES       MIB(2) /* of values */
#define LOAD_WINDOW_MIN   4
#define LOAD_WINDOW_MAX   12 /* the node parks so many that overtook others, and some more */
#define BEGIN_ARENA_BYTES (16 * MIB(1))
#define COMMIT_WAIT_MS    2000
#define LAST_WAIT_MS      (REMOTE_FAREWELL_MS - 1000) /* of the commit asked for once more */
#define BAD_SHOWN_MAX     10

struct upload {
    struct client *client;
    const struct tunnel_options *options;
    struct statement_id id;
    struct arena arena; /* of the columns */
    struct column *columns;
    size_t column_count;
    struct remote_call *window[LOAD_WINDOW_MAX]; /* in flight, oldest at `first` */
    size_t first;
    size_t in_flight;
    size_t window_max;
    uint64_t chunk_count;
    uint64_t bad_shown;
    bool committed_before; /* asked again under an id whose load is done, or being committed */
    bool in_doubt;         /* the node may have committed it, for all that has been heard */
    struct progress progress;
    struct operator_load_outcome outcome;
};

static enum err_code load_begin(struct upload *upload, const struct tunnel_target *target,
                                struct err *err)
{
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    struct bytes header BYTES_CLEANUP = {0};
    struct operator_load_state state;
    const char *project = upload->options->project != NULL ? upload->options->project
                                                           : upload->client->config.project;
    struct operator_load_begin begin = {
        .id = upload->id,
        .project = target->project.len > 0 ? target->project
                   : project != NULL       ? span_text(project)
                                           : (struct span){0},
        .table = target->table,
        .partition = (struct operator_pair *)(uintptr_t)target->partition,
        .partition_count = target->partition_count,
        .auto_partition = upload->options->auto_partition,
        .mode = upload->options->mode,
    };
    if (begin.project.len == 0)
        return err_set(err, ERR_PARAMETER, "no project: write PROJECT.TABLE or --project");
    operator_load_begin_encode(&begin, &header);
    TRY(remote_call(upload->client->remote, OPERATOR_LOAD_BEGIN, &header, NULL, 0, &answer, err));
    TRY(operator_load_state_decode(bytes_span(&answer.header), bytes_span(&answer.body),
                                   &upload->arena, &state, err));
    upload->in_doubt = state.state == OPERATOR_DONE;
    if (state.state == OPERATOR_DONE) {
        upload->committed_before = true;
        upload->chunk_count = state.next_chunk;
        return ERR_OK;
    }
    struct schema given = operator_schema(state.columns, state.column_count);
    struct schema kept = schema_copy(&given, &upload->arena);
    if (upload->arena.exhausted || kept.column_count == 0)
        return err_set(err, ERR_PEER, "the node sent no columns");
    upload->columns = kept.columns;
    upload->column_count = kept.column_count;
    return ERR_OK;
}

static enum err_code oldest_wait(struct upload *upload, struct err *err)
{
    struct remote_call *call = upload->window[upload->first];
    upload->first = (upload->first + 1) % upload->window_max;
    upload->in_flight--;
    return remote_wait(upload->client->remote, call, NULL, err);
}

static enum err_code chunk_send(struct upload *upload, const struct batch *batch, struct err *err)
{
    struct bytes header BYTES_CLEANUP = {0}, body BYTES_CLEANUP = {0}, rows BYTES_CLEANUP = {0};
    batch_encode(batch, &rows);
    if (rows.len > LIMIT_BODY_BYTES)
        return err_set(err, ERR_LIMIT, "a row of %zu bytes; %zu is the most", rows.len,
                       LIMIT_BODY_BYTES);
    struct operator_load_chunk chunk = {
        .id = upload->id, .number = upload->chunk_count, .rows = bytes_span(&rows)};
    operator_load_chunk_encode(&chunk, &header, &body);
    if (upload->in_flight == upload->window_max)
        TRY(oldest_wait(upload, err));
    size_t at = (upload->first + upload->in_flight) % upload->window_max;
    upload->window[at] =
        remote_post(upload->client->remote, OPERATOR_LOAD_CHUNK, &header, &body, 0);
    upload->in_flight++;
    upload->chunk_count++;
    return ERR_OK;
}

static void progress_of(struct upload *upload, const struct csv_reader *reader)
{
    struct csv_reader_counts counts = csv_reader_counts(reader);
    struct operator_progress state = {
        .phase = span_text("uploading"),
        .bytes_done = counts.input.read_bytes,
        .bytes_total = counts.input.total_bytes,
    };
    progress_show(&upload->progress, &state);
}

static enum err_code rows_send(struct upload *upload, struct csv_reader *reader, struct err *err)
{
    struct batch batch;
    struct schema schema = operator_schema(upload->columns, upload->column_count);
    enum err_code code = ERR_OK;
    bool end = false;
    batch_init(&batch, &schema);
    while (code == ERR_OK && !end) {
        batch_clear(&batch);
        code = csv_reader_next(reader, CHUNK_BYTES, &batch, &end, err);
        if (code == ERR_OK && batch.rows > 0 && !upload->options->scan_only)
            code = chunk_send(upload, &batch, err);
        progress_of(upload, reader);
        if (code == ERR_OK)
            code = remote_interrupt_check(upload->client->remote, err);
    }
    batch_deinit(&batch);
    while (code == ERR_OK && upload->in_flight > 0)
        code = oldest_wait(upload, err);
    /* The last moment at which Ctrl-C leaves no doubt. */
    return code == ERR_OK ? remote_interrupt_check(upload->client->remote, err) : code;
}

static void commit_encode(const struct upload *upload, uint32_t wait_ms, struct bytes *header)
{
    struct operator_load_commit commit = {
        .id = upload->id, .chunks = upload->chunk_count, .wait_ms = wait_ms};
    operator_load_commit_encode(&commit, header);
}

static enum err_code outcome_take(struct upload *upload, const struct remote_answer *answer,
                                  struct err *err)
{
    TRY(operator_load_outcome_decode(bytes_span(&answer->header), &upload->outcome, err));
    if (upload->outcome.state == OPERATOR_FAILED)
        return err_set(err, upload->outcome.error.code, "%s", upload->outcome.error.message);
    return ERR_OK;
}

/* Asks until the node has done it or says that it has not. */
static enum err_code load_commit(struct upload *upload, struct err *err)
{
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    struct remote *remote = upload->client->remote;
    do {
        struct bytes header BYTES_CLEANUP = {0};
        commit_encode(upload, COMMIT_WAIT_MS, &header);
        enum err_code code =
            remote_call(remote, OPERATOR_LOAD_COMMIT, &header, NULL, COMMIT_WAIT_MS, &answer, err);
        upload->in_doubt |= code == ERR_OK || remote_failure(remote) != REMOTE_UNREACHABLE;
        TRY(code);
        TRY(outcome_take(upload, &answer, err));
        progress_show(&upload->progress,
                      &(struct operator_progress){.phase = span_text("storing")});
    } while (upload->outcome.state == OPERATOR_RUNNING);
    return ERR_OK;
}

/* Interrupted when the commit had left. The node goes on with it, and mostly is done: asked once more, it says so.
 * ERR_CANCELLED: it is still at it, or does not answer. */
static enum err_code load_settle(struct upload *upload, struct err *err)
{
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    struct bytes header BYTES_CLEANUP = {0};
    commit_encode(upload, LAST_WAIT_MS, &header);
    TRY(remote_last_call(upload->client->remote, OPERATOR_LOAD_COMMIT, &header, &answer, err));
    TRY(outcome_take(upload, &answer, err));
    if (upload->outcome.state == OPERATOR_RUNNING)
        return err_set(err, ERR_CANCELLED, "interrupted");
    progress_clear(&upload->progress);
    complain("interrupted too late: the load had been committed");
    return ERR_OK;
}

/* The node forgets it at once instead of after an hour. Nobody waits for the answer. */
static void load_abort(struct upload *upload)
{
    struct bytes header BYTES_CLEANUP = {0};
    struct remote *remote = upload->client->remote;
    while (upload->in_flight > 0) {
        remote_forget(remote, upload->window[upload->first]);
        upload->first = (upload->first + 1) % upload->window_max;
        upload->in_flight--;
    }
    operator_close_encode(&(struct operator_close){.id = upload->id}, &header);
    remote_farewell(remote, OPERATOR_LOAD_ABORT, &header);
}

static void on_bad(void *context, const struct err *err)
{
    struct upload *upload = context;
    if (upload->client->screen.quiet || upload->bad_shown >= BAD_SHOWN_MAX)
        return;
    progress_clear(&upload->progress);
    complain("passed over: %s", err->message);
    if (++upload->bad_shown == BAD_SHOWN_MAX)
        complain("further bad records are counted and not shown");
}

/* reader: NULL when nothing was read, because the load was committed before. */
static void outcome_print(struct upload *upload, const struct csv_reader *reader)
{
    struct csv_reader_counts counts = {.rows = upload->outcome.rows};
    struct bytes text BYTES_CLEANUP = {0};
    progress_clear(&upload->progress);
    if (upload->client->screen.quiet)
        return;
    if (reader != NULL)
        counts = csv_reader_counts(reader);
    bytes_printf(&text, "%s: %" PRIu64 " row%s",
                 upload->options->scan_only ? "scan complete"
                 : upload->committed_before ? "committed before, nothing was loaded again"
                                            : "upload complete",
                 counts.rows, counts.rows == 1 ? "" : "s");
    if (!upload->options->scan_only) {
        uint64_t partitions = upload->outcome.partitions;
        bytes_printf(&text, " in %" PRIu64 " partition%s, ", partitions,
                     partitions == 1 ? "" : "s");
        bytes_append_amount(&text, upload->outcome.bytes);
        bytes_append_text(&text, " of column files");
    }
    if (counts.bad > 0)
        bytes_printf(&text, ", %" PRIu64 " bad record%s passed over", counts.bad,
                     counts.bad == 1 ? "" : "s");
    if (reader != NULL) {
        struct operator_progress done = {.bytes_done = counts.input.read_bytes};
        bytes_append_text(&text, "; read ");
        if (done.bytes_done == 0) /* which progress_format takes for work not yet begun */
            bytes_append_amount(&text, 0);
        else
            progress_format(&done, progress_elapsed_ms(&upload->progress), &text);
    }
    fprintf(stderr, "%.*s\nOK\n", SPAN_PRINTF(bytes_span(&text)));
}

/* Everything between begin and commit. */
static enum err_code file_send(struct upload *upload, struct csv_reader **ret_reader,
                               struct err *err)
{
    const struct tunnel_options *options = upload->options;
    struct csv_read_options read = {
        .dialect = options->dialect,
        .times = options->times,
        .loose_schema = options->loose_schema,
        .discard_bad = options->discard_bad,
        .bad_max = options->bad_max,
        .on_bad = on_bad,
        .on_bad_context = upload,
    };
    TRY(csv_reader_open(options->path, upload->columns, upload->column_count, &read, ret_reader,
                        err));
    return rows_send(upload, *ret_reader, err);
}

/* Before the node is asked: what it says of the table would hide a mistyped file. */
static enum err_code path_check(const char *path, struct err *err)
{
    if (strcmp(path, "-") != 0 && access(path, R_OK) != 0)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    return ERR_OK;
}

static enum err_code upload_steps(struct upload *upload, const struct tunnel_target *target,
                                  struct err *err)
{
    struct csv_reader *reader CSV_READER_CLEANUP = NULL;
    enum err_code code = ERR_OK;
    struct remote *remote = upload->client->remote;
    TRY(path_check(upload->options->path, err));
    code = load_begin(upload, target, err);
    if (code != ERR_OK) {
        if (remote_failure(remote) == REMOTE_INTERRUPTED && !upload->in_doubt)
            load_abort(upload);
        return code;
    }
    if (!upload->committed_before)
        code = file_send(upload, &reader, err);
    if (code != ERR_OK || upload->options->scan_only) {
        load_abort(upload);
    } else {
        code = load_commit(upload, err);
        if (code != ERR_OK && remote_failure(remote) == REMOTE_INTERRUPTED)
            code = load_settle(upload, err);
    }
    if (code == ERR_OK)
        outcome_print(upload, reader);
    return code;
}

/* Did the node itself say that this load is not in the table? That it is busy or stops says nothing of what it does. */
static bool refusal_is_definite(const struct upload *upload, const struct err *err)
{
    if (upload->outcome.state == OPERATOR_FAILED)
        return true;
    return remote_failure(upload->client->remote) == REMOTE_REFUSED && err->code != ERR_BUSY &&
           err->code != ERR_TIMEOUT && err->code != ERR_CANCELLED;
}

static enum exit_code upload_fail(struct upload *upload, const struct err *err)
{
    char id[STATEMENT_ID_TEXT_BYTES];
    progress_clear(&upload->progress);
    enum exit_code code = client_fail(upload->client, NULL, err);
    bool interrupted = remote_failure(upload->client->remote) == REMOTE_INTERRUPTED;
    if (upload->in_doubt && !refusal_is_definite(upload, err))
        complain("%sit is not known whether the load was committed; ask again, without loading "
                 "twice, by running the same with --statement-id %s",
                 interrupted ? "interrupted; " : "", statement_id_format(&upload->id, id));
    else
        complain("%sthe table is unchanged", interrupted ? "interrupted; " : "");
    return code;
}

enum exit_code upload_run(struct client *client, const struct tunnel_options *options,
                          const struct tunnel_target *target)
{
    char id[STATEMENT_ID_TEXT_BYTES];
    struct upload upload = {
        .client = client,
        .options = options,
        .id = options->has_id ? options->id : statement_id_random(),
        .window_max = options->threads < LOAD_WINDOW_MIN   ? LOAD_WINDOW_MIN
                      : options->threads > LOAD_WINDOW_MAX ? LOAD_WINDOW_MAX
                                                           : options->threads,
        .in_doubt = options->has_id, /* an earlier try may have committed it */
        .progress = progress_begin(client->screen.quiet),
    };
    struct err err = {0};
    if (!client->screen.quiet)
        fprintf(stderr, "Upload session: %s\n", statement_id_format(&upload.id, id));
    arena_init(&upload.arena, BEGIN_ARENA_BYTES);
    enum err_code code = upload_steps(&upload, target, &err);
    enum exit_code exit = code == ERR_OK ? EXIT_DONE : upload_fail(&upload, &err);
    arena_deinit(&upload.arena);
    return exit;
}
