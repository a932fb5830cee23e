/* SHOW ...: lists, by one table of {kind, function}. */
#include "node/statement/lookup.h"
#include "node/statement/show_like.h"
#include "node/statement/system_view.h"
#include "store/history.h"
#include "store/verify.h"

/* One list being made. */
struct listing {
    const struct statement_call *call;
    const struct project_record *project;
    struct answer *answer;
    struct arena arena; /* of one row */
    const struct schema *schema;
};

static void listing_init(struct listing *listing, const struct statement_call *call,
                         struct answer *answer)
{
    *listing = (struct listing){.call = call, .answer = answer};
    arena_init(&listing->arena, 2 * CATALOG_ARENA_BYTES);
}

static void listing_deinit(struct listing *listing)
{
    arena_deinit(&listing->arena);
}
#define LISTING_CLEANUP __attribute__((cleanup(listing_deinit)))

/* ---- SHOW PROJECTS ---- */

static enum err_code add_project(void *context, const struct project_record *project,
                                 struct err *err)
{
    struct listing *listing = context;
    struct object object = object_project(listing->call->services->store, project);
    if (!object_seen(listing->call->principal, object))
        return ERR_OK;
    struct account_record owner;
    arena_reset(&listing->arena);
    TRY(account_get(listing->call->services->store, NULL, project->owner, &listing->arena, &owner,
                    err));
    answer_add_text(listing->answer, project->name);
    answer_add_text(listing->answer, owner.name);
    answer_add_time(listing->answer, project->created_ms);
    answer_add_boolean(listing->answer, project->xcopy_enabled);
    return ERR_OK;
}

static enum err_code show_projects(const struct statement_call *call, struct answer *answer,
                                   struct err *err)
{
    static const struct answer_column columns[] = {
        {"project", TYPE_STRING, true},
        {"owner", TYPE_STRING, true},
        {"created", TYPE_DATETIME, true},
        {"xcopy_enabled", TYPE_BOOLEAN, true},
    };
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    LISTING_CLEANUP struct listing listing;
    listing_init(&listing, call, answer);
    return project_each(call->services->store, NULL, add_project, &listing, err);
}

/* ---- SHOW TABLES, SHOW SNAPSHOT TABLES ---- */

static bool name_wanted(const struct listing *listing, struct span name)
{
    const struct show *show = &listing->call->statement->show;
    return !show->has_like || show_like(name, show->like);
}

/* Listed are names that the principal may know of; *ret_described: and what DESC would tell. */
static bool is_listed(const struct listing *listing, struct span name, struct object object,
                      bool *ret_described)
{
    const struct principal *principal = listing->call->principal;
    if (!name_wanted(listing, name) || !object_seen(principal, object))
        return false;
    *ret_described = authorise(principal, ACTION_DESCRIBE, object, NULL) == ERR_OK;
    return true;
}

static void add_nulls(struct answer *answer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        answer_add_null(answer);
}

/* Users of a project list what they may see of it. */
static enum err_code listed_project(const struct statement_call *call,
                                    struct project_record *ret_project, struct err *err)
{
    return lookup_project(call, call->statement->show.project, ACTION_ENTER, ret_project, err);
}

static enum err_code add_table(void *context, struct name_target target, struct err *err)
{
    struct listing *listing = context;
    struct table_record table;
    if (target.kind != NAME_TABLE)
        return ERR_OK;
    arena_reset(&listing->arena);
    enum err_code code =
        table_get(listing->call->services->store, NULL, target.id, &listing->arena, &table, err);
    if (code == ERR_NOT_FOUND || code == ERR_TABLE_NOT_FOUND) /* dropped meanwhile */
        return ERR_OK;
    bool described;
    struct store *store = listing->call->services->store;
    if (code != ERR_OK ||
        !is_listed(listing, table.name, object_table(store, listing->project, &table), &described))
        return code;
    answer_add_text(listing->answer, table.name);
    answer_add_text(listing->answer,
                    span_text(table.external.stored.len > 0 ? "EXTERNAL TABLE" : "TABLE"));
    if (!described) {
        add_nulls(listing->answer, 5);
        return ERR_OK;
    }
    answer_add_number(listing->answer, table.version.totals.partitions);
    answer_add_number(listing->answer, table.version.totals.rows);
    answer_add_number(listing->answer, table.version.totals.bytes);
    answer_add_time(listing->answer, table.created_ms);
    answer_add_time(listing->answer, table.modified_ms);
    return ERR_OK;
}

static enum err_code show_tables(const struct statement_call *call, struct answer *answer,
                                 struct err *err)
{
    static const struct answer_column columns[] = {
        {"table", TYPE_STRING, true},       {"kind", TYPE_STRING, true},
        {"partitions", TYPE_BIGINT, false}, {"row_count", TYPE_BIGINT, false},
        {"bytes", TYPE_BIGINT, false},      {"created", TYPE_DATETIME, false},
        {"modified", TYPE_DATETIME, false},
    };
    struct project_record project;
    TRY(listed_project(call, &project, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    LISTING_CLEANUP struct listing listing;
    listing_init(&listing, call, answer);
    listing.project = &project;
    return name_each(call->services->store, NULL, project.id, add_table, &listing, err);
}

static enum err_code snapshot_add_row(struct listing *listing,
                                      const struct snapshot_record *snapshot, bool described,
                                      struct err *err)
{
    struct snapshot_claim claim;
    char version[DIGEST_HEX_BYTES];
    uint64_t replicas;
    TRY(snapshot_claim_decode(snapshot->claim, &listing->arena, &claim, err));
    TRY(receipts_count(listing->call->services->store, snapshot, &replicas, err));
    struct answer *answer = listing->answer;
    answer_add_text(answer, listing->project->name);
    answer_add_text(answer, snapshot->name);
    if (!described) {
        add_nulls(answer, 12);
        return ERR_OK;
    }
    answer_add_text(answer, claim.base_table_name);
    answer_add_time(answer, claim.created_ms);
    answer_add_time(answer, snapshot->expires_ms);
    answer_add_number(answer, snapshot->version.totals.rows);
    answer_add_number(answer, snapshot->version.totals.bytes);
    answer_add_text(answer, span_text(digest_hex(&snapshot->version.version, version)));
    answer_add_text(answer, claim.region);
    if (snapshot->hold.by.len == 0) {
        add_nulls(answer, 2);
    } else {
        answer_add_text(answer, snapshot->hold.by);
        answer_add_time(answer, snapshot->hold.since_ms);
    }
    answer_add_time(answer, verify_proven_ms(snapshot));
    answer_add_time(answer, snapshot->proofs[PROOF_DEEP].proven_ms);
    answer_add_number(answer, replicas);
    return ERR_OK;
}

static enum err_code add_snapshot(void *context, struct name_target target, struct err *err)
{
    struct listing *listing = context;
    struct snapshot_record snapshot;
    if (target.kind != NAME_SNAPSHOT)
        return ERR_OK;
    arena_reset(&listing->arena);
    enum err_code code = snapshot_get(listing->call->services->store, NULL, target.id,
                                      &listing->arena, &snapshot, err);
    if (code == ERR_NOT_FOUND || code == ERR_TABLE_NOT_FOUND)
        return ERR_OK;
    bool described;
    struct store *store = listing->call->services->store;
    if (code != ERR_OK ||
        !is_listed(listing, snapshot.name, object_snapshot(store, listing->project, &snapshot),
                   &described))
        return code;
    return snapshot_add_row(listing, &snapshot, described, err);
}

static enum err_code show_snapshots(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    static const struct answer_column columns[] = {
        {"project", TYPE_STRING, true},        {"snapshot", TYPE_STRING, true},
        {"base_table", TYPE_STRING, false},    {"created", TYPE_DATETIME, false},
        {"expires", TYPE_DATETIME, false},     {"row_count", TYPE_BIGINT, false},
        {"bytes", TYPE_BIGINT, false},         {"version", TYPE_STRING, false},
        {"origin_region", TYPE_STRING, false}, {"held_by", TYPE_STRING, false},
        {"held_since", TYPE_DATETIME, false},  {"proven", TYPE_DATETIME, false},
        {"proven_deep", TYPE_DATETIME, false}, {"replicas", TYPE_BIGINT, false},
    };
    struct project_record project;
    TRY(listed_project(call, &project, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    LISTING_CLEANUP struct listing listing;
    listing_init(&listing, call, answer);
    listing.project = &project;
    return name_each(call->services->store, NULL, project.id, add_snapshot, &listing, err);
}

/* ---- SHOW PARTITIONS ---- */

static bool spec_fits(const struct listing *listing, struct span key)
{
    const struct partition_spec *spec = &listing->call->statement->show.partition;
    return spec->count == 0 || show_partition_fits(listing->schema, spec, key);
}

static enum err_code add_partition(void *context, const struct partition_row *row, struct err *err)
{
    struct listing *listing = context;
    BYTES_CLEANUP struct bytes text = {0};
    TRY(partition_format(listing->schema, row->key, &text, err));
    if (!spec_fits(listing, row->key))
        return ERR_OK;
    answer_add_text(listing->answer, bytes_span(&text));
    answer_add_number(listing->answer, row->partition.row_count);
    answer_add_number(listing->answer, row->partition.byte_count);
    answer_add_time(listing->answer, row->attribute.modified_ms);
    return ERR_OK;
}

static enum err_code show_partitions(const struct statement_call *call, struct answer *answer,
                                     struct err *err)
{
    static const struct answer_column columns[] = {
        {"partition", TYPE_STRING, true},
        {"row_count", TYPE_BIGINT, true},
        {"bytes", TYPE_BIGINT, true},
        {"modified", TYPE_DATETIME, true},
    };
    struct lookup lookup;
    TRY(lookup_any(call, &call->statement->show.name, ACTION_DESCRIBE, &lookup, err));
    READER_CLEANUP struct reader_handle *reader = NULL;
    TRY(reader_open(call->services->store, lookup.id, &reader, err));
    LISTING_CLEANUP struct listing listing;
    listing_init(&listing, call, answer);
    listing.schema = &reader_version(reader)->schema;
    if (listing.schema->partition_column_count == 0)
        return err_set(err, ERR_SEMANTIC, "%.*s has no partitions", SPAN_PRINTF(lookup.name));
    TRY(show_spec_check(listing.schema, &call->statement->show.partition, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    return reader_partitions(reader, (struct span){0}, add_partition, &listing, err);
}

/* ---- SHOW HISTORY ---- */

static enum err_code add_history(void *context, const struct history_record *record, bool *ret_stop,
                                 struct err *err)
{
    (void)err;
    struct answer *answer = context;
    char version[DIGEST_HEX_BYTES];
    answer_add_number(answer, record->sequence);
    answer_add_time(answer, record->time_ms);
    answer_add_text(answer, span_text(history_operation_text(record->operation)));
    answer_add_text(answer, record->principal);
    answer_add_number(answer, record->version.totals.rows);
    answer_add_number(answer, record->version.totals.bytes);
    answer_add_text(answer, span_text(digest_hex(&record->version.version, version)));
    *ret_stop = answer->rows.rows >= LIMIT_SCREEN_ROWS;
    return ERR_OK;
}

static enum err_code show_history(const struct statement_call *call, struct answer *answer,
                                  struct err *err)
{
    static const struct answer_column columns[] = {
        {"sequence", TYPE_BIGINT, true},  {"time", TYPE_DATETIME, true},
        {"operation", TYPE_STRING, true}, {"principal", TYPE_STRING, true},
        {"row_count", TYPE_BIGINT, true}, {"bytes", TYPE_BIGINT, true},
        {"version", TYPE_STRING, true},
    };
    struct lookup lookup;
    TRY(lookup_table(call, &call->statement->show.name, ACTION_SHOW_HISTORY, &lookup, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    return history_each(call->services->store, NULL, lookup.id, add_history, answer, err);
}

/* ---- all of them ---- */

static statement_function *const functions[] = {
    [SHOW_TABLES] = show_tables,
    [SHOW_SNAPSHOT_TABLES] = show_snapshots,
    [SHOW_PARTITIONS] = show_partitions,
    [SHOW_PROJECTS] = show_projects,
    [SHOW_TASKS] = statement_show_tasks,
    [SHOW_CHANNELS] = statement_show_channels,
    [SHOW_CREATE_TABLE] = statement_show_create,
    [SHOW_HISTORY] = show_history,
    [SHOW_XCOPY_TOKENS] = statement_show_tokens,
    [SHOW_GRANTS] = statement_show_grants,
    [SHOW_ACL] = statement_show_acl,
    [SHOW_ACCOUNTS] = statement_show_accounts,
    [SHOW_RAM_USERS] = statement_show_ram_users,
    [SHOW_PUBLIC_KEYS] = statement_show_public_keys,
    [SHOW_XCOPY_CHANNEL] = statement_show_xcopy_channel,
    [SHOW_SCHEDULES] = statement_show_schedules,
    [SHOW_SCHEDULE_RUNS] = statement_show_runs,
    [SHOW_CREATE_SCHEDULE] = statement_show_create_schedule, /* the last kind */
};

enum err_code statement_show(const struct statement_call *call, struct answer *answer,
                             struct err *err)
{
    enum show_kind kind = call->statement->show.kind;
    if (kind >= ARRAY_COUNT(functions) || functions[kind] == NULL)
        return err_set(err, ERR_SEMANTIC, "this SHOW is not supported yet");
    return functions[kind](call, answer, err);
}
