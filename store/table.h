/* Tables: names, versions, changes. Tables and snapshots share one namespace a project.
 *
 *     struct content *content;                       column files and pages come in through it
 *     TRY(table_begin(content, id, &write, err));    pins the table's version: the base of the change
 *     TRY(table_write(write, &edits, ..., err));     new trees, new version, one catalog_commit
 *     table_end(write);
 *
 * Every change is one catalog_commit that expects the table as it was when it was read: what came in
 * between makes it fail with ERR_CONFLICT, and nothing has happened. Each adds a history record.
 *
 * Invariants: 1. a table's version, its tree and files are in the store before its record names them.
 * 2. Ids are never reused. 3. A table without partition columns has one partition, with the empty key.
 * Threads: any; a write belongs to one. Rights are not asked here (node).
 */
#ifndef STORE_TABLE_H
#define STORE_TABLE_H

#include "store/name.h"
#include "store/reader.h"

/* ---- tables ---- */

struct table_spec {
    struct project_id project;
    struct span name;
    struct span comment;
    uint32_t lifecycle_days;
    const struct schema *schema;       /* NULL with table_clone and clone_create */
    struct clustering clustering;      /* default of its partitions; not with `like` and clones */
    struct table_property *properties; /* TBLPROPERTIES; keys differ */
    size_t property_count;
    struct table_external external; /* `stored` empty: none */
    /* Its kind, keys and clustering are those of this version, whose schema is `schema`; or NULL. */
    const struct version_record *like;
    /* The table that has the name now and is dropped in the same commit: its readers read on, its
     * history ends with a drop. ERR_CONFLICT when the name is not its any more. 0: none. */
    struct table_id replaces;
};

/* The content (see content.h) takes the empty trees and the version; it may be fresh. ERR_EXISTS. */
enum err_code table_create(struct content *content, const struct table_spec *spec,
                           const struct change_note *note, struct table_id *ret_id,
                           struct err *err) MUST_USE;
/* A table with the version and attributes of a snapshot: one record, whatever the size. ERR_EXISTS;
 * ERR_NOT_FOUND, ERR_CONFLICT when the snapshot goes meanwhile. */
enum err_code table_clone(struct store *store, const struct table_spec *spec,
                          struct table_id snapshot, const struct change_note *note,
                          struct table_id *ret_id, struct err *err) MUST_USE;
/* Its versions stay reachable through history for as long as that is kept. */
enum err_code table_drop(struct store *store, struct table_id id, const struct change_note *note,
                         struct err *err) MUST_USE;
enum err_code table_get(struct store *store, struct db_view *view, struct table_id id,
                        struct arena *arena, struct table_record *ret_table,
                        struct err *err) MUST_USE;
/* name_find and table_get; ERR_TABLE_NOT_FOUND also when it is a snapshot's name. */
enum err_code table_find(struct store *store, struct db_view *view, struct project_id project,
                         struct span name, struct arena *arena, struct table_record *ret_table,
                         struct err *err) MUST_USE;

/* ---- changes of content ---- */

struct table_write;

/* Pins the table's version in content and remembers its record. The content outlives the write. */
enum err_code table_begin(struct content *content, struct table_id id,
                          struct table_write **ret_write, struct err *err) MUST_USE;
/* The same of a table that is not there yet: the change of an empty one. table_write_commit makes it
 * visible with all its rows, or nothing (ERR_EXISTS; its operation is always a creation). Borrows
 * spec until table_end. */
enum err_code table_begin_new(struct content *content, const struct table_spec *spec,
                              uint64_t now_ms, struct table_write **ret_write,
                              struct err *err) MUST_USE;
void table_end(struct table_write *write); /* NULL is fine; before content_close */
void table_end_pointer(struct table_write **write);
#define TABLE_WRITE_CLEANUP __attribute__((cleanup(table_end_pointer)))

/* What the change is based on; borrow until table_end. */
const struct table_record *table_write_record(const struct table_write *write);
const struct version_record *table_write_version(const struct table_write *write);
struct content *table_write_content(const struct table_write *write);
struct tree table_write_tree(const struct table_write *write);
struct tree table_write_attributes(const struct table_write *write);

/* Applies edits of the manifest tree (store/tree.h), gives every partition that they touch its time,
 * writes the version and commits the content: durable, and invisible until table_write_commit. Files
 * that the edits name have been added to the content. Equal content: the version stays. Once. */
enum err_code table_write_apply(struct table_write *write, const struct tree_edit_source *edits,
                                uint64_t now_ms, struct version_ref *ret_version,
                                struct err *err) MUST_USE;
/* Partitions that the edits add take their lifecycle flag from the same keys of these attributes
 * (of another table, say), which are pinned until table_end. Before table_write_apply. */
void table_write_flags_from(struct table_write *write, const struct tree *attributes);
/* Makes what was applied the table's version and adds a history record, also when nothing differs.
 * ERR_CONFLICT: the table has changed since table_begin. Once. */
enum err_code table_write_commit(struct table_write *write, enum history_operation operation,
                                 const struct change_note *note, struct err *err) MUST_USE;

/* The same with edits of the attribute tree, which come after the times that follow from the
 * manifest's. Either may be NULL. */
struct table_attribute_change {
    const struct tree_edit_source *manifest;
    const struct tree_edit_source *attributes;
    bool keeps_modified; /* the table's own modified_ms stays as well */
};
enum err_code table_write_apply_attributes(struct table_write *write,
                                           const struct table_attribute_change *change,
                                           uint64_t now_ms, struct err *err) MUST_USE;
/* Instead of a change: drops the table as it was at table_begin. ERR_CONFLICT. Once. */
enum err_code table_write_drop(struct table_write *write, const struct change_note *note,
                               struct err *err) MUST_USE;
/* ALTER TABLE CLUSTERED BY | NOT CLUSTERED: what partitions are begun with from now on. One commit; those
 * that are there keep theirs. ERR_SEMANTIC: it does not fit the schema. */
enum err_code table_clustering_change(struct table_write *write,
                                      const struct clustering *clustering,
                                      const struct change_note *note, struct err *err) MUST_USE;

/* ALTER TABLE ADD | DROP PARTITION. Keys ascend, without repeats (proto/key.h). ERR_EXISTS or
 * ERR_NOT_FOUND for one that is there or is not, unless `lenient`; *ret_changed counts the others. */
struct partition_list {
    const struct span *keys;
    size_t count;
    bool lenient; /* IF [NOT] EXISTS */
};
enum err_code table_partitions_add(struct table_write *write, const struct partition_list *list,
                                   const struct change_note *note, size_t *ret_changed,
                                   struct err *err) MUST_USE;
enum err_code table_partitions_drop(struct table_write *write, const struct partition_list *list,
                                    const struct change_note *note, size_t *ret_changed,
                                    struct err *err) MUST_USE;

#endif
