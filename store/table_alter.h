/* What ALTER TABLE and TRUNCATE TABLE change of a table: its record, its partitions' attributes, their
 * rows. Each is one catalog_commit with a history record; readers see the table before or after it.
 *
 * The first half needs no content: names, comment, lifecycle are the record's. The second works on a
 * table_write (store/table.h), of which it is the one change.
 *
 * Invariants: 1. a table keeps its id, and so its history, under every name. 2. A renamed partition
 * keeps its rows' files, its times and its lifecycle's switch. 3. A truncated one stays, empty.
 * Threads: any; a write belongs to one. Rights are not asked here (node).
 */
#ifndef STORE_TABLE_ALTER_H
#define STORE_TABLE_ALTER_H

#include "store/table.h"

/* ---- the record ---- */

enum table_alter_kind {
    TABLE_ALTER_NAME,
    TABLE_ALTER_COMMENT,
    TABLE_ALTER_LIFECYCLE,
    TABLE_ALTER_LIFECYCLE_SWITCH,
};

struct table_alteration {
    enum table_alter_kind kind;
    struct span text; /* the new name or comment */
    uint32_t lifecycle_days;
    bool lifecycle_disabled;
};

/* ERR_EXISTS: the new name is a table's or snapshot's, its own included (but for another case).
 * ERR_PARAMETER, ERR_TABLE_NOT_FOUND, ERR_CONFLICT. */
enum err_code table_alter(struct store *store, struct table_id id,
                          const struct table_alteration *alteration, const struct change_note *note,
                          struct err *err) MUST_USE;

/* ---- partitions ---- */

/* The table was modified now; a table without partition columns with its one partition. */
enum err_code table_touch(struct table_write *write, const struct change_note *note,
                          struct err *err) MUST_USE;
/* The same of a partition. ERR_NOT_FOUND. */
enum err_code table_partition_touch(struct table_write *write, struct span key,
                                    const struct change_note *note, struct err *err) MUST_USE;
/* Whether the partition is exempt from the table's lifecycle. ERR_NOT_FOUND. */
enum err_code table_partition_lifecycle(struct table_write *write, struct span key, bool off,
                                        const struct change_note *note, struct err *err) MUST_USE;
/* ERR_NOT_FOUND: no partition `from`; ERR_EXISTS: there is one `to`. */
enum err_code table_partition_rename(struct table_write *write, struct span from, struct span to,
                                     const struct change_note *note, struct err *err) MUST_USE;
/* NULL: all. ERR_NOT_FOUND when one of the list is not there (lenient is not looked at). */
enum err_code table_truncate(struct table_write *write, const struct partition_list *list,
                             const struct change_note *note, struct err *err) MUST_USE;

#endif
