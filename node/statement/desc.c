/* DESC: the documented frame for a screen, rows for programs. SHOW CREATE TABLE. */
#include "node/sql/lexer.h"
#include "node/statement/lookup.h"
#include "node/statement/opaque_id.h"
#include "node/statement/partition.h"

#include <time.h>

#define FRAME_DASHES 84
#define LABEL_WIDTH  "26"

/* What is described, gathered once for both forms. */
struct description {
    const struct identity *identity; /* the node's */
    const struct lookup *lookup;
    const struct version_record *version;
    struct snapshot_claim claim; /* snapshots */
    struct span owner;
    bool extended;
    uint64_t file_count; /* extended only */
    const struct clustering
        *clustering; /* of the rows, where new ones get another; extended only */
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

/* A comment may hold anything; the frame has one line for it. */
static void frame_line(struct bytes *frame, struct span text)
{
    bytes_append_text(frame, "| ");
    for (size_t i = 0; i < text.len; i++)
        bytes_append_u8(frame, text.data[i] < ' ' || text.data[i] == 0x7F ? ' ' : text.data[i]);
    for (size_t width = text_width(text) + 2; width < FRAME_DASHES; width++)
        bytes_append_u8(frame, ' ');
    bytes_append_text(frame, " |\n"); /* what is too long moves the bar, and does not touch it */
}

static void frame_item(struct bytes *frame, const char *label, struct span value)
{
    BYTES_CLEANUP struct bytes line = {0};
    bytes_printf(&line, "%-" LABEL_WIDTH "s", label);
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

static void frame_table_times(struct bytes *frame, const struct table_record *table)
{
    frame_time(frame, "LastDDLTime:", table->ddl_ms != 0 ? table->ddl_ms : table->created_ms);
    frame_time(frame, "LastModifiedTime:", table->modified_ms);
    if (table->lifecycle_days > 0)
        frame_number(frame, "Lifecycle:", table->lifecycle_days);
    if (table->lifecycle_disabled)
        frame_text(frame, "LifecycleEnabled:", "false");
}

/* "InternalTable: YES      | Size: 278" */
static void frame_kind(struct bytes *frame, const char *kind, uint64_t bytes)
{
    BYTES_CLEANUP struct bytes line = {0};
    bytes_printf(&line, "%s: YES      | Size: %" PRIu64, kind, bytes);
    frame_line(frame, bytes_span(&line));
}

/* Whose signature the claim has: a key, as the node of no region here may have it. */
static void frame_maker(struct bytes *frame, const struct snapshot_record *snapshot)
{
    BYTES_CLEANUP struct bytes hex = {0};
    for (size_t i = 0; i < sizeof(snapshot->maker.b); i++)
        bytes_printf(&hex, "%02x", snapshot->maker.b[i]);
    frame_item(frame, "Maker:", bytes_span(&hex));
}

static void frame_hold(struct bytes *frame, const struct snapshot_hold *hold)
{
    if (hold->by.len == 0)
        return;
    frame_item(frame, "HeldBy:", hold->by);
    frame_time(frame, "HeldSince:", hold->since_ms);
}

/* When VERIFY SNAPSHOT found it whole, and who asked. */
static void frame_proof(struct bytes *frame, const char *label, const struct snapshot_proof *proof)
{
    if (proof->proven_ms == 0)
        return;
    frame_time(frame, label, proof->proven_ms);
    frame_item(frame, "ProvenBy:", proof->by);
}

/* What its maker says of it, and what is this region's. */
static void frame_snapshot(struct description *d)
{
    struct bytes *frame = &d->frame;
    const struct snapshot_record *snapshot = &d->lookup->snapshot;
    frame_item(frame, "BaseTable:", d->claim.base_table_name);
    frame_item(frame, "OriginRegion:", d->claim.region);
    if (d->extended) {
        frame_item(frame, "OriginProject:", d->claim.project);
        frame_item(frame, "OriginSnapshot:", d->claim.name);
        if (snapshot->redescribed)
            frame_item(frame, "OriginComment:", d->claim.description);
        frame_maker(frame, snapshot);
    }
    frame_time(frame, "SnapshotTime:", d->claim.created_ms);
    if (snapshot->expires_ms != 0)
        frame_time(frame, "Expires:", snapshot->expires_ms);
    frame_hold(frame, &snapshot->hold);
    frame_proof(frame, "Proven:", &snapshot->proofs[PROOF_STORED]);
    frame_proof(frame, "ProvenDeep:", &snapshot->proofs[PROOF_DEEP]);
}

static void frame_head(struct description *d)
{
    struct bytes *frame = &d->frame;
    const struct lookup *lookup = d->lookup;
    bool table = lookup->kind == NAME_TABLE;
    frame_rule(frame);
    frame_item(frame, "Owner:", d->owner);
    frame_item(frame, "Project:", lookup->project.name);
    frame_item(frame, "TableComment:",
               table ? lookup->table.comment : snapshot_description(&lookup->snapshot, &d->claim));
    frame_rule(frame);
    frame_time(frame,
               "CreateTime:", table ? lookup->table.created_ms : lookup->snapshot.created_ms);
    if (table)
        frame_table_times(frame, &lookup->table);
    frame_rule(frame);
    bool external = table && lookup->table.external.stored.len > 0;
    frame_kind(frame,
               external ? "ExternalTable"
               : table  ? "InternalTable"
                        : "SnapshotTable",
               lookup_version(lookup)->totals.bytes);
    if (external)
        frame_item(frame, "Location:", lookup->table.external.location);
    if (!table)
        frame_snapshot(d);
}

static void frame_column(struct description *d, const struct column *column, bool partition)
{
    BYTES_CLEANUP struct bytes line = {0};
    char type[TYPE_TEXT_BYTES];
    cell_append(&line, column->name, d->extended && !partition ? 9 : 16);
    bytes_append_text(&line, "| ");
    cell_append(&line, span_text(type_format(column->type, type)),
                d->extended && !partition ? 7 : 15);
    bytes_append_text(&line, "| ");
    if (!partition) /* labels are not kept */
        bytes_append_text(&line, "      | ");
    if (!partition && d->extended) {
        bytes_append_text(&line, "              | ");
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
               span_text(d->extended ? "Field    | Type   | Label | ExtendedLabel | Nullable | "
                                       "DefaultValue | Comment"
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

static void frame_stored(struct bytes *frame, uint64_t bytes, uint64_t file_count)
{
    frame_text(frame, "IsArchived:", "false");
    frame_number(frame, "PhysicalSize:", bytes);
    frame_number(frame, "FileNum:", file_count);
}

static void frame_properties(struct bytes *frame, const struct table_record *table)
{
    for (size_t i = 0; i < table->property_count; i++) {
        BYTES_CLEANUP struct bytes line = {0};
        bytes_append_span(&line, table->properties[i].key);
        bytes_append_text(&line, "=");
        bytes_append_span(&line, table->properties[i].value);
        frame_item(frame, "Property:", bytes_span(&line));
    }
}

static void frame_ids(struct bytes *frame, const char *label, const struct schema *schema,
                      const uint32_t *ids, const bool *descending, size_t count)
{
    BYTES_CLEANUP struct bytes line = {0};
    bytes_append_text(&line, "[");
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < schema->column_count; k++) {
            if (schema->columns[k].id == ids[i])
                bytes_printf(&line, "%s%.*s", i > 0 ? ", " : "",
                             SPAN_PRINTF(schema->columns[k].name));
        }
        if (descending != NULL)
            bytes_append_text(&line, descending[i] ? " DESC" : " ASC");
    }
    bytes_append_text(&line, "]");
    frame_item(frame, label, bytes_span(&line));
}

/* Of the table's new partitions, or of one partition. Number 0: as many buckets as the rows ask for. */
static void frame_clustering(struct bytes *frame, const struct clustering *clustering,
                             const struct schema *schema)
{
    if (clustering->kind == CLUSTERING_NONE)
        return;
    frame_text(frame, "ClusterType:", clustering->kind == CLUSTERING_HASH ? "hash" : "range");
    frame_number(frame, "BucketNum:", clustering->bucket_count);
    frame_ids(frame, "ClusterColumns:", schema, clustering->columns, NULL,
              clustering->column_count);
    if (clustering->sort_count > 0)
        frame_ids(frame, "SortColumns:", schema, clustering->sort_columns,
                  clustering->sort_descending, clustering->sort_count);
}

/* Rows that a clone brought are stored as their source's until they are overwritten. */
static void frame_stored_as(struct description *d)
{
    BYTES_CLEANUP struct bytes text = {0};
    if (d->clustering == NULL)
        return;
    clustering_format(d->clustering, &d->version->schema, &text);
    frame_item(&d->frame,
               "RowsStoredAs:", text.len > 0 ? bytes_span(&text) : span_text("NOT CLUSTERED"));
}

static void frame_table_id(struct description *d)
{
    char text[OPAQUE_ID_TEXT_BYTES];
    opaque_id(d->identity, "strait/1 table id", d->lookup->id.n, text);
    frame_text(&d->frame, "TableID:", text);
}

static void frame_extended(struct description *d)
{
    char version[DIGEST_HEX_BYTES];
    const struct version_ref *ref = lookup_version(d->lookup);
    frame_line(&d->frame, span_text("Extended Info:"));
    frame_rule(&d->frame);
    frame_table_id(d);
    frame_text(&d->frame, "Version:", digest_hex(&ref->version, version));
    frame_number(&d->frame, "Rows:", ref->totals.rows);
    frame_number(&d->frame, "Partitions:", ref->totals.partitions);
    frame_stored(&d->frame, ref->totals.bytes, d->file_count);
    frame_clustering(&d->frame, &d->version->clustering, &d->version->schema);
    frame_stored_as(d);
    if (d->lookup->kind == NAME_TABLE)
        frame_properties(&d->frame, &d->lookup->table);
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

/* ---- column files ---- */

/* Of the row groups of one partition, or (NULL) of all: a file that two of them name counts twice. */
static enum err_code files_count(const struct statement_call *call,
                                 const struct reader_handle *reader, const struct span *partition,
                                 uint64_t *ret_count, struct err *err)
{
    struct tree tree = reader_tree(reader);
    TREE_CURSOR_CLEANUP struct tree_cursor *cursor = tree_cursor_new(&tree);
    uint64_t count = 0;
    if (partition != NULL)
        tree_cursor_seek(cursor, *partition);
    for (;;) {
        const struct page_entry *entry = NULL;
        TRY(tree_cursor_next(cursor, &entry, err));
        bool other = entry != NULL && entry->kind == PAGE_ENTRY_PARTITION && partition != NULL &&
                     !span_equal(entry->key, *partition);
        if (entry == NULL || other)
            break;
        if (entry->kind == PAGE_ENTRY_ROW_GROUP)
            count += entry->row_group.file_count;
        if (atomic_load(call->cancel))
            return err_set(err, ERR_CANCELLED, "cancelled while column files were counted");
    }
    *ret_count = count;
    return ERR_OK;
}

/* Of a table without partition columns; partitions have a DESC of their own. */
static enum err_code stored_as_look(const struct reader_handle *reader, struct description *d,
                                    struct clustering *stored, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    struct tree tree = reader_tree(reader);
    const struct page_entry *entry;
    if (d->version->schema.partition_column_count > 0)
        return ERR_OK;
    TRY(tree_get(&tree, span_of(NULL, 0), &page, &entry, err));
    *stored = entry->partition.clustering;
    if (!clustering_equal(stored, &d->version->clustering))
        d->clustering = stored;
    return ERR_OK;
}

/* ---- DESC ... PARTITION(...) ---- */

struct partition_description {
    struct span key;
    struct page_partition partition;
    struct page_attribute attribute;
    uint64_t file_count; /* extended only */
};

/* ERR_NOT_FOUND. */
static enum err_code partition_look(const struct reader_handle *reader,
                                    struct partition_description *d, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    struct tree manifest = reader_tree(reader);
    struct tree attributes = reader_attributes(reader);
    const struct page_entry *entry;
    TRY(tree_get(&manifest, d->key, &page, &entry, err));
    d->partition = entry->partition;
    TRY(tree_get(&attributes, d->key, &page, &entry, err));
    d->attribute = entry->attribute;
    return ERR_OK;
}

static void partition_frame(const struct partition_description *d, const struct schema *schema,
                            bool extended, struct bytes *frame)
{
    BYTES_CLEANUP struct bytes size = {0};
    bytes_printf(&size, "PartitionSize: %" PRIu64, d->partition.byte_count);
    frame_rule(frame);
    frame_line(frame, bytes_span(&size));
    frame_rule(frame);
    frame_time(frame, "CreateTime:", d->attribute.created_ms);
    frame_time(frame, "LastDDLTime:", d->attribute.created_ms);
    frame_time(frame, "LastModifiedTime:", d->attribute.modified_ms);
    if (d->attribute.lifecycle_off)
        frame_text(frame, "LifecycleEnabled:", "false");
    frame_rule(frame);
    if (!extended)
        return;
    frame_number(frame, "Rows:", d->partition.row_count);
    frame_stored(frame, d->partition.byte_count, d->file_count);
    frame_clustering(frame, &d->partition.clustering, schema);
    frame_rule(frame);
}

static enum err_code desc_partition(const struct statement_call *call,
                                    const struct reader_handle *reader, struct answer *answer,
                                    struct err *err)
{
    const struct desc *desc = &call->statement->desc;
    static const struct answer_column columns[] = {
        {"partition", TYPE_STRING, true},  {"row_count", TYPE_BIGINT, true},
        {"bytes", TYPE_BIGINT, true},      {"created", TYPE_DATETIME, true},
        {"modified", TYPE_DATETIME, true},
    };
    const struct schema *schema = &reader_version(reader)->schema;
    BYTES_CLEANUP struct bytes text = {0}, frame = {0};
    struct partition_description d = {0};
    TRY(partition_spec_place(call, schema, &desc->partition, &d.key, err));
    TRY(partition_format(schema, d.key, &text, err));
    struct err reason;
    enum err_code code = partition_look(reader, &d, &reason);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return err_set(err, code, "%s", reason.message);
    if (code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "no partition %.*s; SHOW PARTITIONS lists them",
                       SPAN_PRINTF(bytes_span(&text)));
    if (desc->extended)
        TRY(files_count(call, reader, &d.key, &d.file_count, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    answer_add_text(answer, bytes_span(&text));
    answer_add_number(answer, d.partition.row_count);
    answer_add_number(answer, d.partition.byte_count);
    answer_add_time(answer, d.attribute.created_ms);
    answer_add_time(answer, d.attribute.modified_ms);
    partition_frame(&d, schema, desc->extended, &frame);
    return answer_set_display(answer, bytes_span(&frame), err);
}

enum err_code statement_desc(const struct statement_call *call, struct answer *answer,
                             struct err *err)
{
    const struct desc *desc = &call->statement->desc;
    struct lookup lookup;
    TRY(lookup_any(call, &desc->name, ACTION_DESCRIBE, &lookup, err));
    READER_CLEANUP struct reader_handle *reader = NULL;
    TRY(reader_open(call->services->store, lookup.id, &reader, err));
    if (desc->partition.count > 0)
        return desc_partition(call, reader, answer, err);
    struct description d = {
        .identity = call->services->identity,
        .lookup = &lookup,
        .version = reader_version(reader),
        .extended = desc->extended,
        .owner = lookup.kind == NAME_TABLE ? lookup.table.owner : lookup.snapshot.owner,
    };
    if (lookup.kind == NAME_SNAPSHOT)
        TRY(snapshot_claim_decode(lookup.snapshot.claim, call->arena, &d.claim, err));
    struct clustering stored;
    if (desc->extended) {
        TRY(files_count(call, reader, NULL, &d.file_count, err));
        TRY(stored_as_look(reader, &d, &stored, err));
    }
    enum err_code code = desc_answer(&d, answer, err);
    bytes_deinit(&d.frame);
    return code;
}

/* ---- SHOW CREATE TABLE ---- */

static void append_properties(struct bytes *out, const struct table_record *table)
{
    for (size_t i = 0; i < table->property_count; i++) {
        bytes_append_text(out, i == 0 ? "\nTBLPROPERTIES (" : ", ");
        literal_append(out, table->properties[i].key);
        bytes_append_text(out, "=");
        literal_append(out, table->properties[i].value);
    }
    if (table->property_count > 0)
        bytes_append_text(out, ")");
}

static void append_definition(struct bytes *out, const struct column *column)
{
    char type[TYPE_TEXT_BYTES];
    bytes_printf(out, "`%.*s` %s", SPAN_PRINTF(column->name), type_format(column->type, type));
    if (column->not_null)
        bytes_append_text(out, " NOT NULL");
    if (column->has_default) {
        bytes_append_text(out, " DEFAULT ");
        literal_append(out, column->default_text);
    }
    if (column->comment.len > 0) {
        bytes_append_text(out, " COMMENT ");
        literal_append(out, column->comment);
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
                          const struct version_record *version)
{
    const struct schema *schema = &version->schema;
    const struct table_external *external = &lookup->table.external;
    bytes_printf(out, "CREATE %sTABLE `%.*s`.`%.*s` (", external->stored.len > 0 ? "EXTERNAL " : "",
                 SPAN_PRINTF(lookup->project.name), SPAN_PRINTF(lookup->table.name));
    append_definitions(out, schema->columns, schema->column_count);
    if (lookup->table.comment.len > 0) {
        bytes_append_text(out, "\nCOMMENT ");
        literal_append(out, lookup->table.comment);
    }
    if (schema->partition_column_count > 0) {
        bytes_append_text(out, "\nPARTITIONED BY (");
        append_definitions(out, schema->partition_columns, schema->partition_column_count);
    }
    if (version->clustering.kind != CLUSTERING_NONE)
        bytes_append_text(out, "\n");
    clustering_format(&version->clustering, schema, out);
    if (external->stored.len > 0) {
        bytes_printf(out, "\n%.*s\nLOCATION ", SPAN_PRINTF(external->stored));
        literal_append(out, external->location);
    }
    append_properties(out, &lookup->table);
    if (lookup->table.lifecycle_days > 0)
        bytes_printf(out, "\nLIFECYCLE %u", lookup->table.lifecycle_days);
    bytes_append_text(out, ";\n");
    if (lookup->table.lifecycle_disabled) /* no clause of CREATE TABLE says it */
        bytes_printf(out, "ALTER TABLE `%.*s`.`%.*s` DISABLE LIFECYCLE;\n",
                     SPAN_PRINTF(lookup->project.name), SPAN_PRINTF(lookup->table.name));
}

enum err_code statement_show_create(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    struct lookup lookup;
    TRY(lookup_table(call, &call->statement->show.name, ACTION_DESCRIBE, &lookup, err));
    READER_CLEANUP struct reader_handle *reader = NULL;
    TRY(reader_open(call->services->store, lookup.id, &reader, err));
    BYTES_CLEANUP struct bytes text = {0};
    append_create(&text, &lookup, reader_version(reader));
    static const struct answer_column columns[] = {{"statement", TYPE_STRING, true}};
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    answer_add_text(answer, bytes_span(&text));
    return answer_set_display(answer, bytes_span(&text), err);
}
