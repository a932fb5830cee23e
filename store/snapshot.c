#include "store/snapshot.h"

#include <time.h>

#include "store/audit.h"
#include "store/catalog_keys.h"
#include "store/pages.h"
#include "store/rights.h"

#define EXPIRE_RECORDS_MAX 50 /* with their entries of the audit log: within one commit */
#define EXPIRE_TRIES       8

/* ---- reading ---- */

static enum err_code snapshot_read(struct store *store, struct db_view *view, struct table_id id,
                                   struct arena *arena, struct span *ret_record, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    bool found = false;
    catalog_key_id('s', id.n, &key);
    TRY(catalog_record_find(store, view, FAMILY_CATALOG, bytes_span(&key), arena, ret_record,
                            &found, err));
    return found ? ERR_OK : err_set(err, ERR_TABLE_NOT_FOUND, "the snapshot is gone");
}

enum err_code snapshot_get(struct store *store, struct db_view *view, struct table_id id,
                           struct arena *arena, struct snapshot_record *ret_snapshot,
                           struct err *err)
{
    struct span record;
    TRY(snapshot_read(store, view, id, arena, &record, err));
    return snapshot_record_decode(record, arena, ret_snapshot, err);
}

enum err_code snapshot_find(struct store *store, struct db_view *view, struct project_id project,
                            struct span name, struct arena *arena,
                            struct snapshot_record *ret_snapshot, struct err *err)
{
    struct name_target target;
    TRY(name_find(store, view, project, name, &target, err));
    if (target.kind != NAME_SNAPSHOT)
        return err_set(err, ERR_TABLE_NOT_FOUND, "%.*s is a table, not a snapshot",
                       SPAN_PRINTF(name));
    return snapshot_get(store, view, target.id, arena, ret_snapshot, err);
}

/* ---- signatures ---- */

static void claim_message(struct span claim, struct bytes *out)
{
    bytes_append_text(out, SNAPSHOT_SIGN_TEXT);
    bytes_append_u8(out, 0);
    bytes_append_span(out, claim);
}

enum err_code snapshot_verify(struct span claim, const struct identity_key *maker,
                              const uint8_t signature[SIGNATURE_BYTES], struct err *err)
{
    BYTES_CLEANUP struct bytes message = {0};
    claim_message(claim, &message);
    if (crypto_sign_verify_detached(signature, message.data, message.len, maker->b) != 0)
        return err_set(err, ERR_PEER, "snapshot: the signature is not its maker's");
    return ERR_OK;
}

/* ---- names ---- */

enum err_code snapshot_held_check(const struct snapshot_record *snapshot, struct err *err)
{
    char since[32] = "";
    time_t seconds = (time_t)(snapshot->hold.since_ms / 1000);
    struct tm tm;
    if (snapshot->hold.by.len == 0)
        return ERR_OK;
    if (gmtime_r(&seconds, &tm) != NULL)
        strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S", &tm);
    return err_set(err, ERR_HELD,
                   "snapshot %.*s is held by %.*s since %s (UTC) and is neither dropped nor "
                   "replaced: ALTER SNAPSHOT TABLE %.*s RELEASE ends that",
                   SPAN_PRINTF(snapshot->name), SPAN_PRINTF(snapshot->hold.by), since,
                   SPAN_PRINTF(snapshot->name));
}

/* The record as it is now, in both forms. */
static enum err_code record_look(struct store *store, struct table_id id, struct arena *arena,
                                 struct span *ret_record, struct snapshot_record *ret_snapshot,
                                 struct err *err)
{
    TRY(snapshot_read(store, NULL, id, arena, ret_record, err));
    return snapshot_record_decode(*ret_record, arena, ret_snapshot, err);
}

/* Removes what record_look gave from the catalog; not its name. Whatever ends a snapshot comes here: one
 * that is held stays, and a hold that comes meanwhile changes the record that the change expects. */
static enum err_code record_remove(struct catalog_change *change,
                                   const struct snapshot_record *snapshot, struct span record,
                                   struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    TRY(snapshot_held_check(snapshot, err));
    catalog_key_id('s', snapshot->id.n, &key);
    catalog_expect(change, FAMILY_CATALOG, bytes_span(&key), record);
    catalog_delete(change, FAMILY_CATALOG, bytes_span(&key));
    return ERR_OK;
}

/* Gives the name to snapshot->id, from another snapshot if `replaces` is not NULL; that is the one that
 * may be replaced. *ret_replaced 0: from none. */
static enum err_code name_take(struct store *store, struct catalog_change *change,
                               const struct snapshot_record *snapshot,
                               const struct table_id *replaces, struct table_id *ret_replaced,
                               struct err *err)
{
    struct name_target target = {.kind = NAME_SNAPSHOT, .id = snapshot->id};
    struct name_target old = {0};
    bool found = false;
    TRY(name_look(store, NULL, snapshot->project, snapshot->name, &old, &found, err));
    if (!found || old.kind != NAME_SNAPSHOT || replaces == NULL) {
        *ret_replaced = (struct table_id){0};
        return name_claim(store, change, snapshot->project, snapshot->name, target, err);
    }
    if (old.id.n != replaces->n) /* rights were asked of that one */
        return err_set(err, ERR_CONFLICT, "another snapshot has the name %.*s meanwhile",
                       SPAN_PRINTF(snapshot->name));
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct snapshot_record going;
    struct span record;
    TRY(record_look(store, old.id, &arena, &record, &going, err));
    TRY(record_remove(change, &going, record, err));
    name_replace(change, snapshot->project, snapshot->name, old, target);
    *ret_replaced = old.id;
    return ERR_OK;
}

static void record_put(struct catalog_change *change, const struct snapshot_record *snapshot)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    catalog_key_id('s', snapshot->id.n, &key);
    snapshot_record_encode(snapshot, &value);
    catalog_put(change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
}

/* ---- create ---- */

/* The table's record, which the change expects to stay as it is. */
static enum err_code table_expect(struct store *store, struct catalog_change *change,
                                  struct table_id id, struct arena *arena,
                                  struct table_record *ret_table, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct span record;
    bool found = false;
    catalog_key_id('t', id.n, &key);
    TRY(catalog_record_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), arena, &record, &found,
                            err));
    if (!found)
        return err_set(err, ERR_TABLE_NOT_FOUND, "the table is gone");
    TRY(table_record_decode(record, arena, ret_table, err));
    catalog_expect(change, FAMILY_CATALOG, bytes_span(&key), record);
    return ERR_OK;
}

static enum err_code claim_sign(struct store *store, const struct snapshot_spec *spec,
                                const struct table_record *table, uint64_t now_ms,
                                struct bytes *claim, struct snapshot_record *snapshot,
                                struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct project_record project;
    TRY(project_get(store, NULL, spec->project, &arena, &project, err));
    struct snapshot_claim content = {
        .region = spec->region,
        .project = project.name,
        .name = spec->name,
        .version = table->version.version,
        .attribute_root = table->version.attribute_root,
        .base_table = table->id,
        .base_table_name = table->name,
        .created_ms = now_ms,
        .expires_ms = spec->expires_ms,
        .description = spec->description,
    };
    BYTES_CLEANUP struct bytes message = {0};
    snapshot_claim_encode(&content, claim);
    claim_message(bytes_span(claim), &message);
    snapshot->maker = spec->signer->maker;
    snapshot->claim = bytes_span(claim);
    return spec->signer->sign(spec->signer->context, bytes_span(&message), snapshot->signature,
                              err);
}

static void newest_put(struct catalog_change *change, struct table_id table,
                       struct table_id snapshot)
{
    BYTES_CLEANUP struct bytes key = {0};
    catalog_key_id('n', table.n, &key);
    catalog_put_id(change, bytes_span(&key), snapshot.n);
}

static enum err_code description_check(struct span description, struct err *err)
{
    if (description.len <= LIMIT_COMMENT_BYTES && span_is_utf8(description))
        return ERR_OK;
    return err_set(err, ERR_PARAMETER, "a description has at most %d bytes of UTF-8",
                   LIMIT_COMMENT_BYTES);
}

enum err_code snapshot_create(struct store *store, const struct snapshot_spec *spec,
                              const struct change_note *note, struct table_id *ret_id,
                              struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes claim = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct table_record table;
    struct table_id replaced;
    struct snapshot_record snapshot = {
        .project = spec->project,
        .name = spec->name,
        .owner = note->principal,
        .created_ms = note->now_ms,
        .expires_ms = spec->expires_ms,
    };
    TRY(description_check(spec->description, err));
    TRY(catalog_sequence_take(store, &change, "table", &snapshot.id.n, err));
    TRY(name_take(store, &change, &snapshot, spec->or_replace ? &spec->replaces : NULL, &replaced,
                  err));
    TRY(table_expect(store, &change, spec->table, &arena, &table, err));
    snapshot.version = table.version;
    TRY(claim_sign(store, spec, &table, note->now_ms, &claim, &snapshot, err));
    record_put(&change, &snapshot);
    newest_put(&change, spec->table, snapshot.id);
    TRY(catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err));
    if (replaced.n != 0)
        rights_sweep_wish(store);
    *ret_id = snapshot.id;
    return ERR_OK;
}

/* The snapshot whose id the key has, unless it is gone. */
static enum err_code noted_find(struct store *store, struct span key, struct arena *arena,
                                struct snapshot_record *ret_snapshot, bool *ret_found,
                                struct err *err)
{
    struct table_id id;
    struct err reason;
    TRY(catalog_id_find(store, NULL, key, &id.n, ret_found, err));
    if (!*ret_found)
        return ERR_OK;
    enum err_code code = snapshot_get(store, NULL, id, arena, ret_snapshot, &reason);
    *ret_found = code == ERR_OK;
    bool gone = code == ERR_NOT_FOUND || code == ERR_TABLE_NOT_FOUND;
    return code == ERR_OK || gone ? ERR_OK : err_set(err, code, "%s", reason.message);
}

enum err_code snapshot_newest(struct store *store, struct table_id table, struct arena *arena,
                              struct snapshot_record *ret_snapshot, bool *ret_found,
                              struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    catalog_key_id('n', table.n, &key);
    return noted_find(store, bytes_span(&key), arena, ret_snapshot, ret_found, err);
}

/* ---- publish ---- */

/* Names this page only while it is in `pages`: CLOSED does the rest. */
static enum err_code version_is_here(struct store *store, const struct version_ref *version,
                                     struct err *err)
{
    bool found = false;
    TRY(page_find(store, &version->page, &found, err));
    if (found)
        TRY(page_find(store, &version->attribute_root, &found, err));
    return found ? ERR_OK : err_set(err, ERR_INTERNAL, "snapshot: its pages are not here");
}

static void replica_key(struct project_id project, struct span region, struct table_id table,
                        struct bytes *key)
{
    catalog_key_id('b', project.n, key);
    bytes_append_u64(key, table.n);
    bytes_append_span(key, region);
}

enum err_code snapshot_newest_replica(struct store *store, struct project_id project,
                                      struct span region, struct table_id table,
                                      struct arena *arena, struct snapshot_record *ret_snapshot,
                                      bool *ret_found, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    replica_key(project, region, table, &key);
    return noted_find(store, bytes_span(&key), arena, ret_snapshot, ret_found, err);
}

/* Notes the replica unless a newer one is noted. */
static enum err_code replica_note(struct store *store, struct catalog_change *change,
                                  const struct snapshot_record *snapshot, struct err *err)
{
    struct snapshot_claim claim, known_claim;
    struct snapshot_record known;
    bool found;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    TRY(snapshot_claim_decode(snapshot->claim, &arena, &claim, err));
    TRY(snapshot_newest_replica(store, snapshot->project, claim.region, claim.base_table, &arena,
                                &known, &found, err));
    if (found && snapshot_claim_decode(known.claim, &arena, &known_claim, NULL) == ERR_OK &&
        known_claim.created_ms > claim.created_ms)
        return ERR_OK;
    BYTES_CLEANUP struct bytes key = {0};
    replica_key(snapshot->project, claim.region, claim.base_table, &key);
    catalog_put_id(change, bytes_span(&key), snapshot->id.n);
    return ERR_OK;
}

enum err_code snapshot_publish(struct store *store, const struct snapshot_replica *replica,
                               const struct change_note *note, struct table_id *ret_id,
                               struct table_id *ret_replaced, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    struct table_id replaced;
    struct snapshot_record snapshot = {
        .project = replica->project,
        .name = replica->name,
        .owner = note->principal,
        .version = replica->version,
        .created_ms = note->now_ms,
        .expires_ms = replica->expires_ms,
        .is_replica = true,
        .claim = replica->claim,
        .maker = replica->maker,
    };
    memcpy(snapshot.signature, replica->signature, SIGNATURE_BYTES);
    TRY(version_is_here(store, &replica->version, err));
    TRY(catalog_sequence_take(store, &change, "table", &snapshot.id.n, err));
    TRY(name_take(store, &change, &snapshot, &replica->replaces, &replaced, err));
    record_put(&change, &snapshot);
    TRY(replica_note(store, &change, &snapshot, err));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err));
    if (replaced.n != 0)
        rights_sweep_wish(store);
    *ret_id = snapshot.id;
    if (ret_replaced != NULL)
        *ret_replaced = replaced;
    return ERR_OK;
}

/* ---- change ---- */

static void hold_set(struct snapshot_record *snapshot, bool held, const struct change_note *note)
{
    if (!held)
        snapshot->hold = (struct snapshot_hold){0};
    else if (snapshot->hold.by.len == 0)
        snapshot->hold = (struct snapshot_hold){.by = note->principal, .since_ms = note->now_ms};
}

enum err_code snapshot_change(struct store *store, struct table_id id,
                              const struct snapshot_change *change, const struct change_note *note,
                              struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change commit = {0};
    BYTES_CLEANUP struct bytes key = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct span record;
    struct snapshot_record snapshot;
    TRY(description_check(change->description, err));
    TRY(record_look(store, id, &arena, &record, &snapshot, err));
    catalog_key_id('s', id.n, &key);
    catalog_expect(&commit, FAMILY_CATALOG, bytes_span(&key), record);
    if (change->sets_expires)
        snapshot.expires_ms = change->expires_ms;
    if (change->sets_description) {
        snapshot.redescribed = true;
        snapshot.description = change->description;
    }
    if (change->sets_hold)
        hold_set(&snapshot, change->held, note);
    record_put(&commit, &snapshot);
    return catalog_commit_noted(store, &commit, note, CATALOG_USE_RESERVE, err);
}

/* ---- drop, expire ---- */

/* Of what record_look gave. */
static enum err_code drop_add(struct catalog_change *change, const struct snapshot_record *snapshot,
                              struct span record, struct err *err)
{
    TRY(record_remove(change, snapshot, record, err));
    name_release(change, snapshot->project, snapshot->name,
                 (struct name_target){.kind = NAME_SNAPSHOT, .id = snapshot->id});
    return ERR_OK;
}

enum err_code snapshot_drop(struct store *store, struct table_id id, const struct change_note *note,
                            struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct snapshot_record old;
    struct span record;
    TRY(record_look(store, id, &arena, &record, &old, err));
    TRY(drop_add(&change, &old, record, err));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_USE_RESERVE, err));
    rights_sweep_wish(store);
    return ERR_OK;
}

static bool is_due(const struct snapshot_record *snapshot, uint64_t now_ms)
{
    return snapshot->expires_ms != 0 && snapshot->expires_ms <= now_ms &&
           snapshot->hold.by.len == 0;
}

/* *damage: the first record that cannot be read; the others expire all the same. */
static enum err_code expired_gather(struct store *store, uint64_t now_ms,
                                    struct table_id ids[EXPIRE_RECORDS_MAX], size_t *ret_count,
                                    struct err *damage, struct err *err)
{
    struct err reason;
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    size_t count = 0;
    TRY(catalog_scan(store, NULL, FAMILY_CATALOG, span_text("s"), span_of(NULL, 0), &iter, err));
    while (count < EXPIRE_RECORDS_MAX) {
        struct span key;
        struct span value;
        struct snapshot_record snapshot;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            break;
        arena_reset(&arena);
        if (snapshot_record_decode(value, &arena, &snapshot, &reason) != ERR_OK) {
            if (damage->code == ERR_OK)
                *damage = reason;
            continue;
        }
        if (is_due(&snapshot, now_ms))
            ids[count++] = snapshot.id;
    }
    *ret_count = count;
    return ERR_OK;
}

/* Nobody's key did it: the entry is the node's. *ret_added false: it was held, put off or dropped since
 * it was gathered. */
static enum err_code expiry_add(struct store *store, struct catalog_change *change,
                                struct table_id id, uint64_t now_ms, bool *ret_added,
                                struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    struct snapshot_record old;
    struct project_record project = {0};
    struct span record;
    struct err reason;
    enum err_code code = record_look(store, id, &arena, &record, &old, &reason);
    *ret_added = code == ERR_OK && is_due(&old, now_ms);
    if (code != ERR_OK && code != ERR_TABLE_NOT_FOUND)
        return err_set(err, code, "%s", reason.message);
    if (!*ret_added)
        return ERR_OK;
    TRY(drop_add(change, &old, record, err));
    if (project_get(store, NULL, old.project, &arena, &project, NULL) != ERR_OK)
        project = (struct project_record){.id = old.project}; /* damaged: it expires all the same */
    const struct audit_record entry = {
        .time_ms = now_ms,
        .principal = span_text("the node"),
        .action = span_text("SNAPSHOT EXPIRED"),
        .object = {project.id, project.owner, project.name, old.name},
        .outcome = span_text(AUDIT_OUTCOME_OK),
    };
    audit_put(change, &entry);
    return ERR_OK;
}

static enum err_code expire_once(struct store *store, uint64_t now_ms, size_t *ret_dropped,
                                 struct err *damage, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    struct table_id ids[EXPIRE_RECORDS_MAX];
    size_t count = 0, dropped = 0;
    TRY(expired_gather(store, now_ms, ids, &count, damage, err));
    for (size_t i = 0; i < count; i++) {
        bool added = false;
        TRY(expiry_add(store, &change, ids[i], now_ms, &added, err));
        dropped += added;
    }
    if (dropped > 0) {
        TRY(catalog_commit(store, &change, CATALOG_USE_RESERVE, err));
        rights_sweep_wish(store);
    }
    *ret_dropped = dropped;
    return ERR_OK;
}

enum err_code snapshot_expire(struct store *store, uint64_t now_ms, size_t *ret_dropped,
                              struct err *err)
{
    struct err damage = {0};
    enum err_code code = ERR_CONFLICT; /* one was changed between reading and the commit */
    for (unsigned tries = 0; code == ERR_CONFLICT && tries < EXPIRE_TRIES; tries++)
        code = expire_once(store, now_ms, ret_dropped, &damage, err);
    TRY(code);
    return damage.code == ERR_OK ? ERR_OK : err_set(err, damage.code, "%s", damage.message);
}
