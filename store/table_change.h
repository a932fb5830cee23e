/* A table's record in a catalog change. Private to table.c, table_write.c, table_alter.c and clone.c. */
#ifndef STORE_TABLE_CHANGE_H
#define STORE_TABLE_CHANGE_H

#include "store/table.h"

/* Name, record and first history record of a new table: gives id, name and times; table->version is
 * set by the caller. A change that was only asked whether it may be can be cleared and made again.
 * ERR_EXISTS. */
enum err_code table_change_add(struct store *store, struct catalog_change *change,
                               const struct table_spec *spec, const struct change_note *note,
                               struct table_record *table, struct err *err) MUST_USE;

/* The change expects old_record under the table's id, puts the new record and its history. */
void table_change_put(struct catalog_change *change, const struct table_record *table,
                      struct span old_record, enum history_operation operation,
                      const struct change_note *note);

/* Name, record and first history record of a new table, whose version is in *table already; the one
 * that it replaces goes. ERR_EXISTS, ERR_CONFLICT. */
enum err_code table_change_add(struct store *store, struct catalog_change *change,
                               const struct table_spec *spec, const struct change_note *note,
                               struct table_record *table, struct err *err) MUST_USE;
/* The version of a new table without rows, committed to the content. */
enum err_code table_first_version(struct content *content, const struct table_spec *spec,
                                  uint64_t now_ms, struct version_ref *ret_ref,
                                  struct err *err) MUST_USE;
/* The change expects old_record, takes it and the name away, and adds the last of its history. */
void table_change_drop(struct catalog_change *change, const struct table_record *table,
                       struct span old_record, const struct change_note *note);
/* The record as it is now, with the bytes that a change expects; both in the arena.
 * ERR_TABLE_NOT_FOUND. */
enum err_code table_change_read(struct store *store, struct table_id id, struct arena *arena,
                                struct span *ret_encoded, struct table_record *ret_table,
                                struct err *err) MUST_USE;
/* Comment and properties are within their limits; ERR_PARAMETER. */
enum err_code table_texts_check(struct span comment, const struct table_property *properties,
                                size_t property_count, struct err *err) MUST_USE;

#endif
