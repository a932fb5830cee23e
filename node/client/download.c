/* See download.h. */
#include "node/client/download.h"

#include "node/csv/output.h"

struct download {
    struct client *client;
    const struct tunnel_options *options;
    struct csv_output *output;
    struct csv_writer writer;
    struct bytes text;
    size_t *chosen; /* -ci: places of the columns; NULL: all */
    size_t chosen_count;
    struct column *columns; /* as written */
    uint64_t rows;
    uint64_t bytes;
    struct progress progress;
};

/* "0,2" -> places, each below count. */
static enum err_code places_parse(struct download *download, size_t count, struct err *err)
{
    const char *at = download->options->indexes;
    download->chosen = mem_calloc(strlen(at) + 1, sizeof *download->chosen);
    while (true) {
        char *end = NULL;
        unsigned long place = strtoul(at, &end, 10);
        if (*at < '0' || *at > '9' || (*end != 0 && *end != ',') || place >= count)
            return err_set(err, ERR_PARAMETER,
                           "-ci \"%s\": places from 0 to %zu with commas between them",
                           download->options->indexes, count - 1);
        download->chosen[download->chosen_count++] = place;
        if (*end == 0)
            return ERR_OK;
        at = end + 1;
    }
}

static enum err_code text_flush(struct download *download, struct err *err)
{
    enum err_code code = csv_output_write(download->output, bytes_span(&download->text), err);
    download->bytes += download->text.len;
    bytes_clear(&download->text);
    return code;
}

static enum err_code on_columns(void *context, const struct column *columns, size_t count,
                                struct err *err)
{
    struct download *download = context;
    if (download->options->indexes != NULL)
        TRY(places_parse(download, count, err));
    size_t shown = download->chosen != NULL ? download->chosen_count : count;
    download->columns = mem_calloc(shown, sizeof *download->columns);
    for (size_t i = 0; i < shown; i++)
        download->columns[i] = columns[download->chosen != NULL ? download->chosen[i] : i];
    if (download->options->dialect.header)
        csv_writer_header(&download->writer, download->columns, shown, &download->text);
    return text_flush(download, err);
}

static enum err_code on_rows(void *context, const struct batch *batch,
                             const struct operator_progress *progress, struct err *err)
{
    struct download *download = context;
    struct batch shown = *batch;
    struct vector *vectors MEM_CLEANUP = NULL;
    if (download->chosen != NULL) { /* a view: the vectors stay the batch's */
        vectors = mem_calloc(download->chosen_count, sizeof *vectors);
        for (size_t i = 0; i < download->chosen_count; i++)
            vectors[i] = batch->vectors[download->chosen[i]];
        shown.vectors = vectors;
        shown.vector_count = download->chosen_count;
    }
    csv_writer_rows(&download->writer, &shown, shown.rows, &download->text);
    download->rows += shown.rows;
    TRY(text_flush(download, err));
    struct operator_progress state = {.phase = span_text("downloading"),
                                      .bytes_done = download->bytes,
                                      .files_done = progress->files_done,
                                      .files_total = progress->files_total};
    progress_show(&download->progress, &state);
    return ERR_OK;
}

/* "a,b" -> spans; at most one more than commas. */
static size_t names_split(const char *text, struct span *ret_names)
{
    size_t count = 0;
    while (true) {
        const char *comma = strchr(text, ',');
        ret_names[count++] = span_of(text, comma == NULL ? strlen(text) : (size_t)(comma - text));
        if (comma == NULL)
            return count;
        text = comma + 1;
    }
}

static enum err_code export_run(struct download *download, struct statement_id id,
                                const struct tunnel_target *target, struct err *err)
{
    const struct tunnel_options *options = download->options;
    const char *project =
        options->project != NULL ? options->project : download->client->config.project;
    struct span *names MEM_CLEANUP = NULL;
    struct operator_export request = {
        .id = id,
        .project = target->project.len > 0 ? target->project
                   : project != NULL       ? span_text(project)
                                           : (struct span){0},
        .table = target->table,
        .partition = (struct operator_pair *)(uintptr_t)target->partition,
        .partition_count = target->partition_count,
        .limit = options->limit,
    };
    if (request.project.len == 0)
        return err_set(err, ERR_PARAMETER, "no project: write PROJECT.TABLE or --project");
    if (options->names != NULL) {
        names = mem_calloc(strlen(options->names) + 1, sizeof *names);
        request.name_count = names_split(options->names, names);
        request.names = names;
    }
    struct execution_sink sink = {on_columns, on_rows, download};
    return execution_export(download->client->remote, &request, &sink, err);
}

static void outcome_print(struct download *download, uint64_t file_bytes)
{
    struct bytes text BYTES_CLEANUP = {0};
    progress_clear(&download->progress);
    if (download->client->screen.quiet)
        return;
    bytes_append_amount(&text, file_bytes);
    fprintf(stderr, "Total records: %" PRIu64 "\nfile size: %.*s\nOK\n", download->rows,
            SPAN_PRINTF(bytes_span(&text)));
}

static void download_deinit(struct download *download)
{
    csv_output_abandon(download->output);
    csv_writer_deinit(&download->writer);
    bytes_deinit(&download->text);
    mem_free(download->chosen);
    mem_free(download->columns);
}

enum exit_code download_run(struct client *client, const struct tunnel_options *options,
                            const struct tunnel_target *target)
{
    char text[STATEMENT_ID_TEXT_BYTES];
    struct download download = {
        .client = client, .options = options, .progress = progress_begin(client->screen.quiet)};
    struct statement_id id = options->has_id ? options->id : statement_id_random();
    struct err err = {0};
    uint64_t file_bytes = 0;
    csv_writer_init(&download.writer, &options->dialect, &options->times, options->doubles);
    enum err_code code = csv_output_open(options->path, &download.output, &err);
    if (code == ERR_OK && !client->screen.quiet)
        fprintf(stderr, "Download session: %s\n", statement_id_format(&id, text));
    if (code == ERR_OK)
        code = export_run(&download, id, target, &err);
    if (code == ERR_OK) {
        struct csv_output *output = download.output;
        download.output = NULL;
        code = csv_output_finish(output, &file_bytes, &err);
    }
    if (code == ERR_OK)
        outcome_print(&download, file_bytes);
    progress_clear(&download.progress);
    download_deinit(&download);
    return code == ERR_OK ? EXIT_DONE : client_fail(client, NULL, &err);
}
