/* Snapshots: named, immutable versions, made here or replicated.
 *
 * A snapshot is one record: its version's pages are shared with the table it was made of. What its
 * maker says of it (struct snapshot_claim) is signed once, over exact bytes, and kept as it came.
 * Names: table.h. Every change is one catalog_commit. Threads: any. Rights are not asked here.
 */
#ifndef STORE_SNAPSHOT_H
#define STORE_SNAPSHOT_H

#include "store/table.h"

/* The node's key; called before the commit, once. */
struct snapshot_signer {
    struct identity_key maker;
    enum err_code (*sign)(void *context, struct span message,
                          uint8_t ret_signature[SIGNATURE_BYTES], struct err *err);
    void *context;
};

struct snapshot_spec {
    struct project_id project;
    struct span name;
    struct table_id table;
    uint64_t expires_ms; /* 0: never */
    struct span description;
    bool or_replace; /* of a snapshot; a table's name is ERR_EXISTS all the same */
    /* With or_replace: the snapshot that the caller may replace; 0: none has the name. Another one that
     * has the name by the time of the commit is ERR_CONFLICT. */
    struct table_id replaces;
    struct span region;
    const struct snapshot_signer *signer;
};

/* The version that the table has at the moment of the commit. ERR_EXISTS; ERR_NOT_FOUND; ERR_HELD: what
 * would be replaced is; ERR_CONFLICT: try again. */
enum err_code snapshot_create(struct store *store, const struct snapshot_spec *spec,
                              const struct change_note *note, struct table_id *ret_id,
                              struct err *err) MUST_USE;
/* The one that was made last of the table; none when that has been dropped since, or was made by a
 * program that did not note it. */
enum err_code snapshot_newest(struct store *store, struct table_id table, struct arena *arena,
                              struct snapshot_record *ret_snapshot, bool *ret_found,
                              struct err *err) MUST_USE;
/* ERR_HELD. */
enum err_code snapshot_drop(struct store *store, struct table_id id, const struct change_note *note,
                            struct err *err) MUST_USE;

/* ---- what is this region's of it: its description, its end, its hold ---- */

/* The claim, which its maker signed, stays as it came. */
struct snapshot_change {
    bool sets_expires, sets_description, sets_hold;
    uint64_t expires_ms; /* 0: never */
    struct span description;
    bool held; /* by who makes the change, from its time on; a hold that is there stays as it is */
};
/* One record. ERR_CONFLICT: try again. Of what is not held a release changes nothing. */
enum err_code snapshot_change(struct store *store, struct table_id id,
                              const struct snapshot_change *change, const struct change_note *note,
                              struct err *err) MUST_USE;
/* ERR_HELD, with who holds it since when and how it is released. What drops or replaces a snapshot asks
 * in its commit; others ask to say so early. */
enum err_code snapshot_held_check(const struct snapshot_record *snapshot, struct err *err) MUST_USE;
enum err_code snapshot_get(struct store *store, struct db_view *view, struct table_id id,
                           struct arena *arena, struct snapshot_record *ret_snapshot,
                           struct err *err) MUST_USE;
/* ERR_TABLE_NOT_FOUND also when it is a table's name. */
enum err_code snapshot_find(struct store *store, struct db_view *view, struct project_id project,
                            struct span name, struct arena *arena,
                            struct snapshot_record *ret_snapshot, struct err *err) MUST_USE;

/* Checks maker's signature over claim (SNAPSHOT_SIGN_TEXT before it). ERR_PEER. */
enum err_code snapshot_verify(struct span claim, const struct identity_key *maker,
                              const uint8_t signature[SIGNATURE_BYTES], struct err *err) MUST_USE;

/* What came from another region, whole and in `pages` (CLOSED), becomes visible under a name, in place
 * of a snapshot of that name if there is one: readers of the old one keep it. */
struct snapshot_replica {
    struct project_id project;
    struct span name;
    struct table_id replaces; /* as in snapshot_spec */
    uint64_t expires_ms;
    struct span claim; /* verified; its version and attribute root are version's */
    struct identity_key maker;
    const uint8_t *signature; /* SIGNATURE_BYTES */
    struct version_ref version;
};
/* ERR_EXISTS: the name is a table's. ERR_HELD: what has it is held. ERR_CONFLICT: try again.
 * *ret_replaced: the id of the snapshot that was there, 0 when none was. */
enum err_code snapshot_publish(struct store *store, const struct snapshot_replica *replica,
                               const struct change_note *note, struct table_id *ret_id,
                               struct table_id *ret_replaced, struct err *err) MUST_USE;

/* Of the replicas here of a table of another region, the one whose snapshot was made last; none when it
 * was dropped since, or all came before programs noted it: a hint. */
enum err_code snapshot_newest_replica(struct store *store, struct project_id project,
                                      struct span region, struct table_id table,
                                      struct arena *arena, struct snapshot_record *ret_snapshot,
                                      bool *ret_found, struct err *err) MUST_USE;

/* Drops what has expired at now_ms and is not held, some at a time: again until *ret_dropped is 0. A record that
 * cannot be read is the error, after the others have gone; *ret_dropped is valid then, too. */
enum err_code snapshot_expire(struct store *store, uint64_t now_ms, size_t *ret_dropped,
                              struct err *err) MUST_USE;

#endif
