#include "proto/version.h"

#include "proto/message.h"
#include "version.pb-c.h"

/* In the place of a page's kind of tree: see page.proto. */
#define VERSION_TREE 3

struct version_names version_names_of(struct span encoded)
{
    return (struct version_names){
        .version = digest_of(DOMAIN_VERSION, encoded),
        .page = page_digest(encoded),
    };
}

bool version_is(struct span encoded)
{
    return encoded.len >= 2 && encoded.data[0] == 0x08 && encoded.data[1] == VERSION_TREE;
}

size_t version_arena_bytes(size_t encoded_bytes)
{
    return 2 * message_arena_bytes(encoded_bytes); /* the record, and the schema within it */
}

enum err_code version_encode(const struct version_record *version, struct bytes *out,
                             struct err *err)
{
    ASSERT(version->kind == TABLE_STANDARD && version->primary_key_count == 0);
    BYTES_CLEANUP struct bytes schema = {0};
    BYTES_CLEANUP struct bytes clustering = {0};
    clustering_encode(&version->clustering, &clustering);
    schema_encode(&version->schema, &schema);
    if (schema.len > LIMIT_SCHEMA_BYTES)
        return err_set(err, ERR_LIMIT, "the schema takes %zu bytes, at most %zu are allowed",
                       schema.len, LIMIT_SCHEMA_BYTES);
    Strait__VersionRecord record = STRAIT__VERSION_RECORD__INIT;
    record.tree = VERSION_TREE;
    record.tree_format = TREE_FORMAT;
    record.table_kind = (uint32_t)version->kind;
    record.clustering = (uint32_t)version->clustering.kind;
    record.clustering_columns = message_data(bytes_span(&clustering));
    record.root = message_data(digest_span(&version->root));
    record.schema = message_data(bytes_span(&schema));
    message_pack(&record.base, out);
    return ERR_OK;
}

static enum err_code kinds_check(const Strait__VersionRecord *record, struct err *err)
{
    if (record->tree != VERSION_TREE)
        return err_set(err, ERR_BAD_DATA, "version: not a version record");
    if (record->tree_format != TREE_FORMAT)
        return err_set(err, ERR_VERSION, "version: tree format %u, this node knows %u",
                       record->tree_format, TREE_FORMAT);
    if (record->table_kind != TABLE_STANDARD || record->n_primary_key != 0)
        return err_set(err, ERR_VERSION, "version: a kind of table from a later version");
    if (record->root.len != DIGEST_BYTES)
        return err_set(err, ERR_BAD_DATA, "version: the root is not 32 bytes");
    return ERR_OK;
}

static enum err_code clustering_take(const Strait__VersionRecord *record,
                                     struct version_record *version, struct err *err)
{
    struct err broken = {0};
    enum err_code code =
        clustering_decode(record->clustering, message_span(record->clustering_columns),
                          &version->clustering, &broken);
    if (code != ERR_OK)
        return err_set(err, code, "version: %s", broken.message);
    if (clustering_validate(&version->clustering, &version->schema, &broken) != ERR_OK)
        return err_set(err, ERR_BAD_DATA, "version: %s", broken.message);
    return ERR_OK;
}

enum err_code version_decode(struct span encoded, struct arena *arena,
                             struct version_record *ret_version, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(message_unpack_canonical(&strait__version_record__descriptor, encoded, LIMIT_VERSION_BYTES,
                                 arena, &message, err));
    const Strait__VersionRecord *record = (const Strait__VersionRecord *)message;
    TRY(kinds_check(record, err));
    struct version_record version = {.kind = (enum table_kind)record->table_kind};
    TRY(schema_decode(message_span(record->schema), arena, &version.schema, err));
    memcpy(version.root.b, record->root.data, DIGEST_BYTES);
    TRY(clustering_take(record, &version, err));
    *ret_version = version;
    return ERR_OK;
}
