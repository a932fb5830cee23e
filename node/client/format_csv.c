/* Rows as CSV with a header: see format.h. */
#include "node/client/format.h"

#include "node/csv/writer.h"

struct csv_format {
    struct format base;
    struct csv_writer writer;
    bool started;
};

static struct format *csv_new(const struct format_kind *kind, const struct column *columns,
                              size_t count)
{
    struct csv_format *csv = mem_calloc(1, sizeof *csv);
    struct csv_dialect dialect = csv_dialect_default();
    struct csv_times times = csv_times_default();
    csv->base = (struct format){.kind = kind, .columns = columns, .count = count};
    csv_writer_init(&csv->writer, &dialect, &times, CSV_DOUBLES_SHORT);
    return &csv->base;
}

static void csv_start(struct csv_format *csv, struct bytes *out)
{
    if (!csv->started)
        csv_writer_header(&csv->writer, csv->base.columns, csv->base.count, out);
    csv->started = true;
}

static void csv_rows(struct format *format, const struct batch *batch, struct bytes *out)
{
    struct csv_format *csv = (struct csv_format *)format;
    csv_start(csv, out);
    csv_writer_rows(&csv->writer, batch, batch->rows, out);
}

static void csv_end(struct format *format, struct bytes *out)
{
    struct csv_format *csv = (struct csv_format *)format;
    csv_start(csv, out);
    csv_writer_deinit(&csv->writer);
    mem_free(csv);
}

const struct format_kind format_csv = {"csv", csv_new, csv_rows, csv_end};
