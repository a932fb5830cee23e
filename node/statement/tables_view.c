/* INFORMATION_SCHEMA.TABLES: tables and snapshots. Names for who may know of them, as SHOW TABLES; the
 * rest is NULL for who may not Describe. What is not kept here (archives, views' texts) is NULL, or false. */
#include "node/statement/grantee.h"
#include "node/statement/object_view.h"

static const struct system_view_column columns[] = {
    {"table_catalog", TYPE_STRING, true},
    {"table_schema", TYPE_STRING, true},
    {"table_name", TYPE_STRING, true},
    {"table_type", TYPE_STRING, true},
    {"is_partitioned", TYPE_BOOLEAN, false},
    {"owner_id", TYPE_STRING, false},
    {"owner_name", TYPE_STRING, false},
    {"create_time", TYPE_DATETIME, false},
    {"last_modified_time", TYPE_DATETIME, false},
    {"data_length", TYPE_BIGINT, false},
    {"table_comment", TYPE_STRING, false},
    {"life_cycle", TYPE_BIGINT, false},
    {"is_archived", TYPE_BOOLEAN, false},
    {"table_exstore_type", TYPE_STRING, false},
    {"cluster_type", TYPE_STRING, false},
    {"number_buckets", TYPE_BIGINT, false},
    {"view_original_text", TYPE_STRING, false},
    {"lifecycle", TYPE_BIGINT, false},
    {"lifecycle_enabled", TYPE_BOOLEAN, false},
    {"is_transactional", TYPE_BOOLEAN, false},
    /* ours */
    {"row_count", TYPE_BIGINT, false},
    {"version", TYPE_STRING, false},
    {"base_table_name", TYPE_STRING, false},
    {"origin_region", TYPE_STRING, false},
    {"snapshot_time", TYPE_DATETIME, false},
    {"expiration_time", TYPE_DATETIME, false},
};

enum {
    TYPE_COLUMN = OBJECT_VIEW_REST,
    PARTITIONED,
    OWNER_ID,
    OWNER_NAME,
    CREATED,
    MODIFIED,
    DATA_LENGTH,
    COMMENT,
    LIFE_CYCLE,
    ARCHIVED,
    EXSTORE,
    CLUSTER_TYPE,
    BUCKETS,
    VIEW_TEXT,
    LIFECYCLE,
    LIFECYCLE_ENABLED,
    TRANSACTIONAL,
    ROW_COUNT,
    VERSION,
    BASE_TABLE,
    ORIGIN_REGION,
    SNAPSHOT_TIME,
    EXPIRES,
    COLUMN_COUNT,
};
_Static_assert(COLUMN_COUNT == ARRAY_COUNT(columns), "a number for each column");

static const struct value nothing = {.null = true};

static const char *type_text(const struct lookup *object)
{
    if (object->kind == NAME_SNAPSHOT)
        return "SNAPSHOT_TABLE";
    return object->table.external.stored.len > 0 ? "EXTERNAL_TABLE" : "MANAGED_TABLE";
}

static void table_values(const struct lookup *object, struct value *values)
{
    const struct table_record *table = &object->table;
    struct value days = row_number(table->lifecycle_days);
    days.null = table->lifecycle_days == 0;
    values[OWNER_NAME] = row_text(table->owner);
    values[CREATED] = row_time(table->created_ms);
    values[MODIFIED] = row_time(table->modified_ms);
    values[COMMENT] = row_text(table->comment);
    values[LIFE_CYCLE] = values[LIFECYCLE] = days;
    values[LIFECYCLE_ENABLED] = row_boolean(!table->lifecycle_disabled);
    values[LIFECYCLE_ENABLED].null = days.null;
    values[EXSTORE] = row_text(table->external.stored);
    values[TRANSACTIONAL] = row_boolean(lookup_transactional(object) != NULL);
}

/* create_time is when it was made, or last replaced, here; snapshot_time is its source's. */
static enum err_code snapshot_values(struct object_pass *pass, struct value *values,
                                     struct err *err)
{
    const struct snapshot_record *snapshot = &pass->object.snapshot;
    struct snapshot_claim claim;
    TRY(snapshot_claim_decode(snapshot->claim, pass->arena, &claim, err));
    values[OWNER_NAME] = row_text(snapshot->owner);
    values[CREATED] = values[MODIFIED] = row_time(snapshot->created_ms);
    values[COMMENT] = row_text(snapshot_description(snapshot, &claim));
    values[TRANSACTIONAL] = row_boolean(false);
    values[BASE_TABLE] = row_text(claim.base_table_name);
    values[ORIGIN_REGION] = row_text(claim.region);
    values[SNAPSHOT_TIME] = row_time(claim.created_ms);
    values[EXPIRES] = row_time(snapshot->expires_ms);
    return ERR_OK;
}

/* What stands in the version's record: read only when it is asked for. */
static enum err_code version_values(struct object_pass *pass, struct value *values, struct err *err)
{
    const struct version_record *version;
    if (!object_pass_wants(pass, PARTITIONED) && !object_pass_wants(pass, DATA_LENGTH) &&
        !object_pass_wants(pass, CLUSTER_TYPE) && !object_pass_wants(pass, BUCKETS))
        return ERR_OK;
    TRY(object_pass_version(pass, &version, err));
    bool partitioned = version->schema.partition_column_count > 0;
    values[PARTITIONED] = row_boolean(partitioned);
    values[DATA_LENGTH] =
        partitioned ? nothing : row_number(lookup_version(&pass->object)->totals.bytes);
    clustering_values(&version->clustering, &values[CLUSTER_TYPE], &values[BUCKETS]);
    return ERR_OK;
}

static enum err_code described_values(struct object_pass *pass, struct value *values,
                                      char ret_version[DIGEST_HEX_BYTES], struct err *err)
{
    const struct lookup *object = &pass->object;
    const struct version_ref *ref = lookup_version(object);
    if (object->kind == NAME_TABLE)
        table_values(object, values);
    else
        TRY(snapshot_values(pass, values, err));
    values[ARCHIVED] = row_boolean(false);
    values[ROW_COUNT] = row_number(ref->totals.rows);
    values[VERSION] = row_text(span_text(digest_hex(&ref->version, ret_version)));
    return version_values(pass, values, err);
}

static enum err_code rows(struct object_pass *pass, bool *ret_more, struct err *err)
{
    char version[DIGEST_HEX_BYTES], owner[OPAQUE_ID_TEXT_BYTES];
    struct value values[COLUMN_COUNT];
    (void)ret_more;
    if (!object_seen(pass->principal, object_pass_object(pass)))
        return ERR_OK;
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        values[i] = nothing;
    object_pass_names(pass, values);
    values[TYPE_COLUMN] = row_text(span_text(type_text(&pass->object)));
    if (object_pass_may(pass, ACTION_DESCRIBE))
        TRY(described_values(pass, values, version, err));
    if (object_pass_wants(pass, OWNER_ID))
        values[OWNER_ID] = row_text(user_id_format(pass->services, values[OWNER_NAME].text, owner));
    object_pass_put(pass, values);
    return ERR_OK;
}

static const struct object_functions functions = {.rows = rows};

const struct system_view tables_view = {
    .name = "TABLES",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &object_view_ops,
    .open = object_view_open,
    .close = object_view_free,
    .object = &functions,
};
