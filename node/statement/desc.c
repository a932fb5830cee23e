/* DESC: the documented frame for a screen, rows for programs. SHOW CREATE TABLE. */
#include "node/statement/lookup.h"

#include <time.h>

#define FRAME_DASHES 84

/* What is described, gathered once for both forms. */
struct description {
    const struct lookup *lookup;
    const struct version_record *version;
    struct snapshot_claim claim; /* snapshots */
    struct span owner;
    bool extended;
    struct bytes frame;
};

/* ---- the frame ---- */

static void frame_rule(struct bytes *frame)
{
    bytes_append_u8(frame, '+');
    for (int i = 0; i < FRAME_DASHES; i++)
        bytes_append_u8(frame, '-');
    bytes_append_text(frame, "+\n");
}

/* Characters, not bytes: a rough width that is right for all but wide scripts. */
static size_t text_width(struct span text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += (text.data[i] & 0xC0) != 0x80;
    return width;
}

static void frame_line(struct bytes *frame, struct span text)
{
    bytes_append_text(frame, "| ");
    bytes_append_span(frame, text);
    for (size_t width = text_width(text) + 1; width < FRAME_DASHES; width++)
        bytes_append_u8(frame, ' ');
    bytes_append_text(frame, "|\n");
}

static void frame_item(struct bytes *frame, const char *label, struct span value)
{
    BYTES_CLEANUP struct bytes line = {0};
    bytes_printf(&line, "%-18s", label);
    bytes_append_span(&line, value);
    frame_line(frame, bytes_span(&line));
}

static void frame_text(struct bytes *frame, const char *label, const char *value)
{
    frame_item(frame, label, span_text(value));
}

static void frame_number(struct bytes *frame, const char *label, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    frame_text(frame, label, text);
}

static void frame_time(struct bytes *frame, const char *label, uint64_t time_ms)
{
    char text[32] = "";
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    if (time_ms != 0 && gmtime_r(&seconds, &tm) != NULL)
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    frame_text(frame, label, text);
}

static void cell_append(struct bytes *line, struct span text, size_t width)
{
    bytes_append_span(line, text);
    for (size_t i = text_width(text); i < width; i++)
        bytes_append_u8(line, ' ');
}

static void frame_head(struct description *d)
{
    struct bytes *frame = &d->frame;
    const struct lookup *lookup = d->lookup;
    bool table = lookup->kind == NAME_TABLE;
    frame_rule(frame);
    frame_item(frame, "Owner:", d->owner);
    frame_item(frame, "Project:", lookup->project.name);
    frame_item(frame, "TableComment:", table ? lookup->table.comment : d->claim.description);
    frame_rule(frame);
    frame_time(frame,
               "CreateTime:", table ? lookup->table.created_ms : lookup->snapshot.created_ms);
    if (table) {
        frame_time(frame, "LastModifiedTime:", lookup->table.modified_ms);
        if (lookup->table.lifecycle_days > 0)
            frame_number(frame, "Lifecycle:", lookup->table.lifecycle_days);
    }
    frame_rule(frame);
    if (table) {
        frame_text(frame, "InternalTable:", "YES");
    } else {
        frame_text(frame, "SnapshotTable:", "YES");
        frame_item(frame, "BaseTable:", d->claim.base_table_name);
        frame_item(frame, "OriginRegion:", d->claim.region);
        frame_time(frame, "SnapshotTime:", d->claim.created_ms);
        if (lookup->snapshot.expires_ms != 0)
            frame_time(frame, "Expires:", lookup->snapshot.expires_ms);
    }
    frame_number(frame, "Size:", lookup_version(lookup)->totals.bytes);
}

static void frame_column(struct description *d, const struct column *column, bool partition)
{
    BYTES_CLEANUP struct bytes line = {0};
    char type[TYPE_TEXT_BYTES];
    cell_append(&line, column->name, 16);
    bytes_append_text(&line, "| ");
    cell_append(&line, span_text(type_format(column->type, type)), 15);
    bytes_append_text(&line, "| ");
    if (!partition && !d->extended) /* labels are not kept */
        bytes_append_text(&line, "      | ");
    if (!partition && d->extended) {
        cell_append(&line, span_text(column->not_null ? "false" : "true"), 9);
        bytes_append_text(&line, "| ");
        cell_append(&line, column->has_default ? column->default_text : span_text("NULL"), 13);
        bytes_append_text(&line, "| ");
    }
    bytes_append_span(&line, column->comment);
    frame_line(&d->frame, bytes_span(&line));
}

static void frame_columns(struct description *d)
{
    struct bytes *frame = &d->frame;
    const struct schema *schema = &d->version->schema;
    frame_rule(frame);
    frame_line(frame, span_text("Native Columns:"));
    frame_rule(frame);
    frame_line(frame,
               span_text(d->extended
                             ? "Field           | Type           | Nullable | DefaultValue | "
                               "Comment"
                             : "Field           | Type           | Label | Comment"));
    frame_rule(frame);
    for (size_t i = 0; i < schema->column_count; i++)
        frame_column(d, &schema->columns[i], false);
    frame_rule(frame);
    if (schema->partition_column_count == 0)
        return;
    frame_line(frame, span_text("Partition Columns:"));
    frame_rule(frame);
    for (size_t i = 0; i < schema->partition_column_count; i++)
        frame_column(d, &schema->partition_columns[i], true);
    frame_rule(frame);
}

static void frame_extended(struct description *d)
{
    char version[DIGEST_HEX_BYTES];
    const struct version_ref *ref = lookup_version(d->lookup);
    frame_line(&d->frame, span_text("Extended Info:"));
    frame_rule(&d->frame);
    frame_number(&d->frame, "TableID:", d->lookup->id.n);
    frame_text(&d->frame, "Version:", digest_hex(&ref->version, version));
    frame_number(&d->frame, "Rows:", ref->totals.rows);
    frame_number(&d->frame, "Partitions:", ref->totals.partitions);
    frame_number(&d->frame, "PhysicalSize:", ref->totals.bytes);
    frame_rule(&d->frame);
}

/* ---- rows ---- */

static void add_column(struct answer *answer, const struct column *column, bool partition)
{
    char type[TYPE_TEXT_BYTES];
    answer_add_text(answer, column->name);
    answer_add_text(answer, span_text(type_format(column->type, type)));
    answer_add_boolean(answer, !partition && !column->not_null);
    answer_add_boolean(answer, partition);
    answer_add_text(answer, column->comment);
}

static void add_columns(struct answer *answer, const struct schema *schema)
{
    static const struct answer_column columns[] = {
        {"name", TYPE_STRING, true},      {"type", TYPE_STRING, true},
        {"nullable", TYPE_BOOLEAN, true}, {"partition_column", TYPE_BOOLEAN, true},
        {"comment", TYPE_STRING, true},
    };
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < schema->column_count; i++)
        add_column(answer, &schema->columns[i], false);
    for (size_t i = 0; i < schema->partition_column_count; i++)
        add_column(answer, &schema->partition_columns[i], true);
}

static enum err_code desc_answer(struct description *d, struct answer *answer, struct err *err)
{
    frame_head(d);
    frame_columns(d);
    if (d->extended)
        frame_extended(d);
    add_columns(answer, &d->version->schema);
    return answer_set_display(answer, bytes_span(&d->frame), err);
}

enum err_code statement_desc(const struct statement_call *call, struct answer *answer,
                             struct err *err)
{
    const struct desc *desc = &call->statement->desc;
    struct lookup lookup;
    TRY(lookup_any(call, &desc->name, ACTION_DESCRIBE, &lookup, err));
    if (desc->partition.count > 0)
        return err_set(err, ERR_SEMANTIC,
                       "DESC of a partition is not supported yet; SHOW PARTITIONS lists them");
    READER_CLEANUP struct reader_handle *reader = NULL;
    TRY(reader_open(call->services->store, lookup.id, &reader, err));
    struct description d = {
        .lookup = &lookup,
        .version = reader_version(reader),
        .extended = desc->extended,
        .owner = lookup.kind == NAME_TABLE ? lookup.table.owner : lookup.snapshot.owner,
    };
    if (lookup.kind == NAME_SNAPSHOT)
        TRY(snapshot_claim_decode(lookup.snapshot.claim, call->arena, &d.claim, err));
    enum err_code code = desc_answer(&d, answer, err);
    bytes_deinit(&d.frame);
    return code;
}

/* ---- SHOW CREATE TABLE ---- */

static void append_text_literal(struct bytes *out, struct span text)
{
    bytes_append_u8(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\'' || text.data[i] == '\\')
            bytes_append_u8(out, '\\');
        bytes_append_u8(out, text.data[i]);
    }
    bytes_append_u8(out, '\'');
}

static void append_definition(struct bytes *out, const struct column *column)
{
    char type[TYPE_TEXT_BYTES];
    bytes_printf(out, "`%.*s` %s", SPAN_PRINTF(column->name), type_format(column->type, type));
    if (column->not_null)
        bytes_append_text(out, " NOT NULL");
    if (column->has_default) {
        bytes_append_text(out, " DEFAULT ");
        append_text_literal(out, column->default_text);
    }
    if (column->comment.len > 0) {
        bytes_append_text(out, " COMMENT ");
        append_text_literal(out, column->comment);
    }
}

static void append_definitions(struct bytes *out, const struct column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bytes_append_text(out, i == 0 ? "\n    " : ",\n    ");
        append_definition(out, &columns[i]);
    }
    bytes_append_text(out, "\n)");
}

static void append_create(struct bytes *out, const struct lookup *lookup,
                          const struct schema *schema)
{
    bytes_printf(out, "CREATE TABLE `%.*s`.`%.*s` (", SPAN_PRINTF(lookup->project.name),
                 SPAN_PRINTF(lookup->table.name));
    append_definitions(out, schema->columns, schema->column_count);
    if (lookup->table.comment.len > 0) {
        bytes_append_text(out, "\nCOMMENT ");
        append_text_literal(out, lookup->table.comment);
    }
    if (schema->partition_column_count > 0) {
        bytes_append_text(out, "\nPARTITIONED BY (");
        append_definitions(out, schema->partition_columns, schema->partition_column_count);
    }
    if (lookup->table.lifecycle_days > 0)
        bytes_printf(out, "\nLIFECYCLE %u", lookup->table.lifecycle_days);
    bytes_append_text(out, ";\n");
}

enum err_code statement_show_create(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    struct lookup lookup;
    TRY(lookup_table(call, &call->statement->show.name, ACTION_DESCRIBE, &lookup, err));
    READER_CLEANUP struct reader_handle *reader = NULL;
    TRY(reader_open(call->services->store, lookup.id, &reader, err));
    BYTES_CLEANUP struct bytes text = {0};
    append_create(&text, &lookup, &reader_version(reader)->schema);
    static const struct answer_column columns[] = {{"statement", TYPE_STRING, true}};
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    answer_add_text(answer, bytes_span(&text));
    return answer_set_display(answer, bytes_span(&text), err);
}
