#include "proto/catalog.h"

#include "catalog.pb-c.h"
#include "proto/message.h"

/* ---- parts ---- */

static ProtobufCBinaryData data_of_digest(const struct digest *digest)
{
    return message_data(digest_span(digest));
}

static enum err_code take_fixed(ProtobufCBinaryData data, void *ret_data, size_t bytes,
                                struct err *err)
{
    if (data.len != bytes)
        return err_set(err, ERR_BAD_DATA, "catalog record: a part of %zu bytes has %zu", bytes,
                       data.len);
    memcpy(ret_data, data.data, bytes);
    return ERR_OK;
}

static enum err_code take_digest(ProtobufCBinaryData data, struct digest *ret_digest,
                                 struct err *err)
{
    return take_fixed(data, ret_digest->b, DIGEST_BYTES, err);
}

static void *take_memory(struct arena *arena, size_t count, size_t bytes, struct err *err)
{
    void *memory = arena_alloc(arena, count, bytes);
    if (memory == NULL)
        err_set(err, ERR_LIMIT, "catalog record: takes more memory than it may");
    return memory;
}

bool version_ref_equal(const struct version_ref *a, const struct version_ref *b)
{
    return digest_equal(&a->version, &b->version) && digest_equal(&a->page, &b->page) &&
           digest_equal(&a->attribute_root, &b->attribute_root);
}

static void message_of_ref(const struct version_ref *from, Strait__VersionRef *record)
{
    strait__version_ref__init(record);
    record->version = data_of_digest(&from->version);
    record->page = data_of_digest(&from->page);
    record->attribute_root = data_of_digest(&from->attribute_root);
    record->row_count = from->totals.rows;
    record->byte_count = from->totals.bytes;
    record->partition_count = from->totals.partitions;
}

static enum err_code take_ref(const Strait__VersionRef *record, struct version_ref *ret_ref,
                              struct err *err)
{
    if (record == NULL)
        return err_set(err, ERR_BAD_DATA, "catalog record: without a version");
    ret_ref->totals = (struct page_totals){.rows = record->row_count,
                                           .bytes = record->byte_count,
                                           .partitions = record->partition_count};
    TRY(take_digest(record->version, &ret_ref->version, err));
    TRY(take_digest(record->page, &ret_ref->page, err));
    return take_digest(record->attribute_root, &ret_ref->attribute_root, err);
}

static enum err_code unpack(const ProtobufCMessageDescriptor *descriptor, struct span encoded,
                            struct arena *arena, ProtobufCMessage **ret_message, struct err *err)
{
    return message_unpack_canonical(descriptor, encoded, CATALOG_COMMIT_BYTES_MAX, arena,
                                    ret_message, err);
}

/* ---- keys ---- */

/* The list that a message takes, in memory of one piece: who calls frees it. */
static Strait__KeyRecord **messages_of_keys(const struct public_key *from, size_t count)
{
    struct {
        Strait__KeyRecord *list[LIMIT_PRINCIPAL_KEYS];
        Strait__KeyRecord keys[LIMIT_PRINCIPAL_KEYS];
    } *messages = mem_calloc(1, sizeof(*messages));
    ASSERT(count <= LIMIT_PRINCIPAL_KEYS);
    for (size_t i = 0; i < count; i++) {
        Strait__KeyRecord *key = &messages->keys[i];
        strait__key_record__init(key);
        key->identity = message_data(span_of(from[i].identity.b, sizeof(from[i].identity.b)));
        key->exchange = message_data(span_of(from[i].exchange, sizeof(from[i].exchange)));
        messages->list[i] = key;
    }
    return messages->list;
}

static enum err_code take_keys(Strait__KeyRecord *const *from, size_t count, struct arena *arena,
                               struct public_key **ret_keys, struct err *err)
{
    if (count > LIMIT_PRINCIPAL_KEYS)
        return err_set(err, ERR_BAD_DATA, "catalog record: %zu keys, at most %d", count,
                       LIMIT_PRINCIPAL_KEYS);
    struct public_key *keys = take_memory(arena, count, sizeof(*keys), err);
    if (keys == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        TRY(take_fixed(from[i]->identity, keys[i].identity.b, sizeof(keys[i].identity.b), err));
        TRY(take_fixed(from[i]->exchange, keys[i].exchange, sizeof(keys[i].exchange), err));
    }
    *ret_keys = keys;
    return ERR_OK;
}

/* ---- account ---- */

void account_record_encode(const struct account_record *from, struct bytes *out)
{
    Strait__AccountRecord record = STRAIT__ACCOUNT_RECORD__INIT;
    MEM_CLEANUP Strait__KeyRecord **keys = messages_of_keys(from->keys, from->key_count);
    record.id = from->id.n;
    record.name = message_data(from->name);
    record.n_keys = from->key_count;
    record.keys = keys;
    record.created_ms = from->created_ms;
    Strait__ChannelSwitch channel = STRAIT__CHANNEL_SWITCH__INIT;
    channel.on = from->channel.on;
    channel.changed_ms = from->channel.changed_ms;
    channel.changed_by = message_data(from->channel.changed_by);
    if (from->channel.changed_ms != 0)
        record.channel = &channel;
    message_pack(&record.base, out);
}

static enum err_code take_channel(const Strait__ChannelSwitch *from,
                                  struct channel_switch *ret_channel, struct err *err)
{
    if (from == NULL)
        return ERR_OK;
    struct span changed_by = message_span(from->changed_by);
    if (from->changed_ms == 0 || changed_by.len == 0 || changed_by.len > LIMIT_PRINCIPAL_BYTES)
        return err_set(err, ERR_BAD_DATA, "account record: a switch that nobody ever set");
    *ret_channel = (struct channel_switch){
        .on = from->on, .changed_ms = from->changed_ms, .changed_by = changed_by};
    return ERR_OK;
}

enum err_code account_record_decode(struct span encoded, struct arena *arena,
                                    struct account_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__account_record__descriptor, encoded, arena, &message, err));
    const Strait__AccountRecord *record = (const Strait__AccountRecord *)message;
    struct account_record account = {
        .id = {record->id},
        .name = message_span(record->name),
        .key_count = record->n_keys,
        .created_ms = record->created_ms,
    };
    TRY(take_keys(record->keys, record->n_keys, arena, &account.keys, err));
    TRY(take_channel(record->channel, &account.channel, err));
    *ret_record = account;
    return ERR_OK;
}

/* ---- user ---- */

void user_record_encode(const struct user_record *from, struct bytes *out)
{
    Strait__UserRecord record = STRAIT__USER_RECORD__INIT;
    MEM_CLEANUP Strait__KeyRecord **keys = messages_of_keys(from->keys, from->key_count);
    record.id = from->id.n;
    record.name = message_data(from->name);
    record.account = from->account.n;
    record.n_keys = from->key_count;
    record.keys = keys;
    record.created_ms = from->created_ms;
    message_pack(&record.base, out);
}

enum err_code user_record_decode(struct span encoded, struct arena *arena,
                                 struct user_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__user_record__descriptor, encoded, arena, &message, err));
    const Strait__UserRecord *record = (const Strait__UserRecord *)message;
    struct user_record user = {
        .id = {record->id},
        .name = message_span(record->name),
        .account = {record->account},
        .key_count = record->n_keys,
        .created_ms = record->created_ms,
    };
    TRY(take_keys(record->keys, record->n_keys, arena, &user.keys, err));
    *ret_record = user;
    return ERR_OK;
}

/* ---- project ---- */

void project_record_encode(const struct project_record *from, struct bytes *out)
{
    Strait__ProjectRecord record = STRAIT__PROJECT_RECORD__INIT;
    record.id = from->id.n;
    record.name = message_data(from->name);
    record.owner = from->owner.n;
    record.created_ms = from->created_ms;
    record.xcopy_enabled = from->xcopy_enabled;
    record.is_protected = from->is_protected;
    MEM_CLEANUP Strait__TrustedProject *trusted = mem_calloc(from->trusted_count, sizeof(*trusted));
    MEM_CLEANUP Strait__TrustedProject **list = mem_calloc(from->trusted_count, sizeof(*list));
    for (size_t i = 0; i < from->trusted_count; i++) {
        strait__trusted_project__init(&trusted[i]);
        trusted[i].region = message_data(from->trusted[i].region);
        trusted[i].id = from->trusted[i].id.n;
        trusted[i].name = message_data(from->trusted[i].name);
        list[i] = &trusted[i];
    }
    record.n_trusted = from->trusted_count;
    record.trusted = list;
    message_pack(&record.base, out);
}

static enum err_code take_trusted(const Strait__ProjectRecord *record, struct arena *arena,
                                  struct project_record *project, struct err *err)
{
    if (record->n_trusted > LIMIT_TRUSTED_PROJECTS)
        return err_set(err, ERR_BAD_DATA, "project record: %zu trusted projects",
                       record->n_trusted);
    project->trusted = take_memory(arena, record->n_trusted, sizeof(*project->trusted), err);
    if (project->trusted == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < record->n_trusted; i++)
        project->trusted[i] = (struct trusted_project){
            .region = message_span(record->trusted[i]->region),
            .id = {record->trusted[i]->id},
            .name = message_span(record->trusted[i]->name),
        };
    project->trusted_count = record->n_trusted;
    return ERR_OK;
}

enum err_code project_record_decode(struct span encoded, struct arena *arena,
                                    struct project_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__project_record__descriptor, encoded, arena, &message, err));
    const Strait__ProjectRecord *record = (const Strait__ProjectRecord *)message;
    struct project_record project = {
        .id = {record->id},
        .name = message_span(record->name),
        .owner = {record->owner},
        .created_ms = record->created_ms,
        .xcopy_enabled = record->xcopy_enabled,
        .is_protected = record->is_protected,
    };
    TRY(take_trusted(record, arena, &project, err));
    *ret_record = project;
    return ERR_OK;
}

/* ---- table ---- */

void table_record_encode(const struct table_record *from, struct bytes *out)
{
    Strait__TableRecord record = STRAIT__TABLE_RECORD__INIT;
    Strait__VersionRef version;
    message_of_ref(&from->version, &version);
    record.id = from->id.n;
    record.project = from->project.n;
    record.name = message_data(from->name);
    record.owner = message_data(from->owner);
    record.comment = message_data(from->comment);
    record.lifecycle_days = from->lifecycle_days;
    record.created_ms = from->created_ms;
    record.modified_ms = from->modified_ms;
    record.sequence = from->sequence;
    record.version = &version;
    Strait__ExternalRecord external = STRAIT__EXTERNAL_RECORD__INIT;
    external.stored = message_data(from->external.stored);
    external.location = message_data(from->external.location);
    if (from->external.stored.len > 0)
        record.external = &external;
    record.lifecycle_disabled = from->lifecycle_disabled;
    Strait__TableDetail detail = STRAIT__TABLE_DETAIL__INIT;
    MEM_CLEANUP Strait__PropertyRecord *properties =
        mem_calloc(from->property_count, sizeof(*properties));
    MEM_CLEANUP Strait__PropertyRecord **list = mem_calloc(from->property_count, sizeof(*list));
    for (size_t i = 0; i < from->property_count; i++) {
        strait__property_record__init(&properties[i]);
        properties[i].key = message_data(from->properties[i].key);
        properties[i].value = message_data(from->properties[i].value);
        list[i] = &properties[i];
    }
    detail.n_properties = from->property_count;
    detail.properties = list;
    detail.ddl_ms = from->ddl_ms;
    if (from->property_count > 0 || from->ddl_ms != 0)
        record.detail = &detail;
    message_pack(&record.base, out);
}

static enum err_code take_external(const Strait__ExternalRecord *record,
                                   struct table_external *ret_external, struct err *err)
{
    *ret_external = (struct table_external){0};
    if (record == NULL)
        return ERR_OK;
    ret_external->stored = message_span(record->stored);
    ret_external->location = message_span(record->location);
    if (ret_external->stored.len == 0)
        return err_set(err, ERR_BAD_DATA, "catalog record: external, and stored nowhere");
    return ERR_OK;
}

static enum err_code take_detail(const Strait__TableDetail *detail, struct arena *arena,
                                 struct table_record *table, struct err *err)
{
    if (detail == NULL)
        return ERR_OK;
    if (detail->n_properties == 0 && detail->ddl_ms == 0)
        return err_set(err, ERR_BAD_DATA, "catalog record: a table's detail says nothing");
    table->ddl_ms = detail->ddl_ms;
    table->properties = take_memory(arena, detail->n_properties, sizeof(*table->properties), err);
    if (table->properties == NULL)
        return ERR_LIMIT;
    table->property_count = detail->n_properties;
    for (size_t i = 0; i < table->property_count; i++)
        table->properties[i] =
            (struct table_property){.key = message_span(detail->properties[i]->key),
                                    .value = message_span(detail->properties[i]->value)};
    return ERR_OK;
}

enum err_code table_record_decode(struct span encoded, struct arena *arena,
                                  struct table_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__table_record__descriptor, encoded, arena, &message, err));
    const Strait__TableRecord *record = (const Strait__TableRecord *)message;
    struct table_record table = {
        .id = {record->id},
        .project = {record->project},
        .name = message_span(record->name),
        .owner = message_span(record->owner),
        .comment = message_span(record->comment),
        .lifecycle_days = record->lifecycle_days,
        .created_ms = record->created_ms,
        .modified_ms = record->modified_ms,
        .sequence = record->sequence,
        .lifecycle_disabled = record->lifecycle_disabled,
    };
    TRY(take_ref(record->version, &table.version, err));
    TRY(take_external(record->external, &table.external, err));
    TRY(take_detail(record->detail, arena, &table, err));
    *ret_record = table;
    return ERR_OK;
}

/* ---- snapshot ---- */

void snapshot_claim_encode(const struct snapshot_claim *from, struct bytes *out)
{
    Strait__SnapshotClaim record = STRAIT__SNAPSHOT_CLAIM__INIT;
    record.region = message_data(from->region);
    record.project = message_data(from->project);
    record.name = message_data(from->name);
    record.version = data_of_digest(&from->version);
    record.attribute_root = data_of_digest(&from->attribute_root);
    record.base_table = from->base_table.n;
    record.base_table_name = message_data(from->base_table_name);
    record.created_ms = from->created_ms;
    record.expires_ms = from->expires_ms;
    record.description = message_data(from->description);
    message_pack(&record.base, out);
}

/* It comes from another region: its texts are shown to users. */
static enum err_code claim_check(const struct snapshot_claim *claim, struct err *err)
{
    const struct {
        struct span text;
        size_t bytes_max;
    } texts[] = {
        {claim->region, LIMIT_REGION_BYTES},       {claim->project, LIMIT_NAME_BYTES},
        {claim->name, LIMIT_NAME_BYTES},           {claim->base_table_name, LIMIT_NAME_BYTES},
        {claim->description, LIMIT_COMMENT_BYTES},
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        if (texts[i].text.len > texts[i].bytes_max || !span_is_utf8(texts[i].text))
            return err_set(err, ERR_BAD_DATA, "snapshot claim: a text too long or not UTF-8");
    }
    return ERR_OK;
}

enum err_code snapshot_claim_decode(struct span encoded, struct arena *arena,
                                    struct snapshot_claim *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__snapshot_claim__descriptor, encoded, arena, &message, err));
    const Strait__SnapshotClaim *record = (const Strait__SnapshotClaim *)message;
    struct snapshot_claim claim = {
        .region = message_span(record->region),
        .project = message_span(record->project),
        .name = message_span(record->name),
        .base_table = {record->base_table},
        .base_table_name = message_span(record->base_table_name),
        .created_ms = record->created_ms,
        .expires_ms = record->expires_ms,
        .description = message_span(record->description),
    };
    TRY(take_digest(record->version, &claim.version, err));
    TRY(take_digest(record->attribute_root, &claim.attribute_root, err));
    TRY(claim_check(&claim, err));
    *ret_record = claim;
    return ERR_OK;
}

static Strait__SnapshotProof *message_of_proof(const struct snapshot_proof *from,
                                               Strait__SnapshotProof *message)
{
    *message = (Strait__SnapshotProof)STRAIT__SNAPSHOT_PROOF__INIT;
    message->proven_ms = from->proven_ms;
    message->by = message_data(from->by);
    return from->proven_ms == 0 ? NULL : message;
}

struct span snapshot_description(const struct snapshot_record *snapshot,
                                 const struct snapshot_claim *claim)
{
    return snapshot->redescribed ? snapshot->description : claim->description;
}

void snapshot_record_encode(const struct snapshot_record *from, struct bytes *out)
{
    Strait__SnapshotRecord record = STRAIT__SNAPSHOT_RECORD__INIT;
    Strait__VersionRef version;
    Strait__SnapshotProof proofs[PROOF_DEPTHS];
    message_of_ref(&from->version, &version);
    record.id = from->id.n;
    record.project = from->project.n;
    record.name = message_data(from->name);
    record.owner = message_data(from->owner);
    record.version = &version;
    record.created_ms = from->created_ms;
    record.expires_ms = from->expires_ms;
    record.is_replica = from->is_replica;
    record.claim = message_data(from->claim);
    record.maker = message_data(span_of(from->maker.b, sizeof(from->maker.b)));
    record.signature = message_data(span_of(from->signature, sizeof(from->signature)));
    Strait__SnapshotNote note = STRAIT__SNAPSHOT_NOTE__INIT;
    note.description = message_data(from->description);
    Strait__SnapshotHold hold = STRAIT__SNAPSHOT_HOLD__INIT;
    hold.by = message_data(from->hold.by);
    hold.since_ms = from->hold.since_ms;
    record.note = from->redescribed ? &note : NULL;
    record.hold = from->hold.by.len > 0 ? &hold : NULL;
    record.stored_proof = message_of_proof(&from->proofs[PROOF_STORED], &proofs[PROOF_STORED]);
    record.deep_proof = message_of_proof(&from->proofs[PROOF_DEEP], &proofs[PROOF_DEEP]);
    message_pack(&record.base, out);
}

static enum err_code take_hold(const Strait__SnapshotHold *from, struct snapshot_hold *ret_hold,
                               struct err *err)
{
    if (from == NULL)
        return ERR_OK;
    struct snapshot_hold hold = {.by = message_span(from->by), .since_ms = from->since_ms};
    if (hold.by.len == 0)
        return err_set(err, ERR_BAD_DATA, "snapshot: a hold of nobody");
    *ret_hold = hold;
    return ERR_OK;
}

/* Absent: never proven. A time of 0 is what encode never writes. */
static enum err_code take_proof(const Strait__SnapshotProof *message,
                                struct snapshot_proof *ret_proof, struct err *err)
{
    if (message == NULL)
        return ERR_OK;
    if (message->proven_ms == 0)
        return err_set(err, ERR_BAD_DATA, "catalog record: a proof without a time");
    *ret_proof =
        (struct snapshot_proof){.proven_ms = message->proven_ms, .by = message_span(message->by)};
    return ERR_OK;
}

enum err_code snapshot_record_decode(struct span encoded, struct arena *arena,
                                     struct snapshot_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__snapshot_record__descriptor, encoded, arena, &message, err));
    const Strait__SnapshotRecord *record = (const Strait__SnapshotRecord *)message;
    struct snapshot_record snapshot = {
        .id = {record->id},
        .project = {record->project},
        .name = message_span(record->name),
        .owner = message_span(record->owner),
        .created_ms = record->created_ms,
        .expires_ms = record->expires_ms,
        .is_replica = record->is_replica,
        .claim = message_span(record->claim),
        .redescribed = record->note != NULL,
        .description =
            record->note != NULL ? message_span(record->note->description) : (struct span){0},
    };
    TRY(take_hold(record->hold, &snapshot.hold, err));
    TRY(take_ref(record->version, &snapshot.version, err));
    TRY(take_fixed(record->maker, snapshot.maker.b, sizeof(snapshot.maker.b), err));
    TRY(take_fixed(record->signature, snapshot.signature, SIGNATURE_BYTES, err));
    TRY(take_proof(record->stored_proof, &snapshot.proofs[PROOF_STORED], err));
    TRY(take_proof(record->deep_proof, &snapshot.proofs[PROOF_DEEP], err));
    *ret_record = snapshot;
    return ERR_OK;
}

/* ---- history ---- */

const char *history_operation_text(enum history_operation operation)
{
    static const char *const texts[] = {
        [OPERATION_CREATE] = "CREATE",
        [OPERATION_LOAD] = "LOAD",
        [OPERATION_INSERT] = "INSERT INTO",
        [OPERATION_OVERWRITE] = "INSERT OVERWRITE",
        [OPERATION_ADD_PARTITION] = "ADD PARTITION",
        [OPERATION_DROP_PARTITION] = "DROP PARTITION",
        [OPERATION_CLONE] = "CLONE",
        [OPERATION_ALTER] = "ALTER",
        [OPERATION_DROP] = "DROP",
        [OPERATION_TRUNCATE] = "TRUNCATE",
        [OPERATION_RESTORE] = "RESTORE",
    };
    size_t index = (size_t)operation;
    return index < ARRAY_COUNT(texts) && texts[index] != NULL ? texts[index] : "UNKNOWN";
}

void history_record_encode(const struct history_record *from, struct bytes *out)
{
    Strait__HistoryRecord record = STRAIT__HISTORY_RECORD__INIT;
    Strait__VersionRef version;
    message_of_ref(&from->version, &version);
    record.table = from->table.n;
    record.sequence = from->sequence;
    record.time_ms = from->time_ms;
    record.operation = (uint32_t)from->operation;
    record.principal = message_data(from->principal);
    record.version = &version;
    message_pack(&record.base, out);
}

enum err_code history_record_decode(struct span encoded, struct arena *arena,
                                    struct history_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__history_record__descriptor, encoded, arena, &message, err));
    const Strait__HistoryRecord *record = (const Strait__HistoryRecord *)message;
    struct history_record history = {
        .table = {record->table},
        .sequence = record->sequence,
        .time_ms = record->time_ms,
        .operation = (enum history_operation)record->operation,
        .principal = message_span(record->principal),
    };
    TRY(take_ref(record->version, &history.version, err));
    *ret_record = history;
    return ERR_OK;
}

/* ---- outcome ---- */

void outcome_record_encode(const struct outcome_record *from, struct bytes *out)
{
    Strait__OutcomeRecord record = STRAIT__OUTCOME_RECORD__INIT;
    record.time_ms = from->time_ms;
    record.outcome = message_data(from->outcome);
    message_pack(&record.base, out);
}

enum err_code outcome_record_decode(struct span encoded, struct arena *arena,
                                    struct outcome_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__outcome_record__descriptor, encoded, arena, &message, err));
    const Strait__OutcomeRecord *record = (const Strait__OutcomeRecord *)message;
    *ret_record = (struct outcome_record){.time_ms = record->time_ms,
                                          .outcome = message_span(record->outcome)};
    return ERR_OK;
}

/* ---- root ---- */

void root_record_encode(const struct root_record *from, struct bytes *out)
{
    Strait__RootRecord record = STRAIT__ROOT_RECORD__INIT;
    MEM_CLEANUP Strait__RootPage *pages = mem_calloc(from->page_count, sizeof(*pages));
    MEM_CLEANUP Strait__RootPage **list = mem_calloc(from->page_count, sizeof(*list));
    for (size_t i = 0; i < from->page_count; i++) {
        strait__root_page__init(&pages[i]);
        pages[i].digest = data_of_digest(&from->pages[i]);
        list[i] = &pages[i];
    }
    record.n_pages = from->page_count;
    record.pages = list;
    message_pack(&record.base, out);
}

enum err_code root_record_decode(struct span encoded, struct arena *arena,
                                 struct root_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__root_record__descriptor, encoded, arena, &message, err));
    const Strait__RootRecord *record = (const Strait__RootRecord *)message;
    struct root_record root = {
        .pages = take_memory(arena, record->n_pages, sizeof(*root.pages), err),
        .page_count = record->n_pages,
    };
    if (root.pages == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < record->n_pages; i++)
        TRY(take_digest(record->pages[i]->digest, &root.pages[i], err));
    *ret_record = root;
    return ERR_OK;
}
