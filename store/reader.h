/* A version being read: pinned, so that clean-up leaves it alone until close.
 *
 *     TRY(reader_open_table(store, account, table_id, &reader, err));
 *     struct tree tree = reader_tree(reader);              manifest: cursors, look-up, diff
 *     const struct schema *schema = &reader_version(reader)->schema;
 *     ...
 *     reader_close(reader);
 *
 * Opening finds the version in the catalog, pins it, and looks again: a version that was replaced in
 * between is tried anew. A reader keeps what it began with, whatever happens to the names.
 * Threads: one at a time for a reader; its tree's source may be read by several.
 */
#ifndef STORE_READER_H
#define STORE_READER_H

#include "store/content.h"
#include "store/project.h"
#include "store/tree.h"
#include "proto/version.h"

struct reader_handle;

/* The table or snapshot of this id, as it is now. ERR_NOT_FOUND. */
enum err_code reader_open(struct store *store, struct table_id id,
                          struct reader_handle **ret_reader, struct err *err) MUST_USE;
/* Its version, pinned in the content, and nothing read of it. ERR_NOT_FOUND. */
enum err_code reader_pin(struct store *store, struct table_id id, struct content *content,
                         struct version_ref *ret_ref, struct err *err) MUST_USE;
/* A version that something else keeps (a lease, a task, a content): the caller sees to that. */
enum err_code reader_open_version(struct store *store, const struct version_ref *version,
                                  struct reader_handle **ret_reader, struct err *err) MUST_USE;
void reader_close(struct reader_handle *reader); /* NULL is fine */
void reader_close_pointer(struct reader_handle **reader);
#define READER_CLEANUP __attribute__((cleanup(reader_close_pointer)))

/* Borrow until close. */
const struct version_ref *reader_ref(const struct reader_handle *reader);
const struct version_record *reader_version(const struct reader_handle *reader);
struct span reader_version_bytes(const struct reader_handle *reader); /* the encoded record */
struct tree reader_tree(const struct reader_handle *reader);
struct tree reader_attributes(const struct reader_handle *reader);

/* Partitions in order of keys, from `from` on (empty: all). Column pages in between are skipped. */
struct partition_row {
    struct span key; /* partition_format gives the text */
    struct page_partition partition;
    struct page_attribute attribute;
};
typedef enum err_code on_partition(void *context, const struct partition_row *row, struct err *err);
enum err_code reader_partitions(const struct reader_handle *reader, struct span from,
                                on_partition *callback, void *context, struct err *err) MUST_USE;

/* The same one after another. Borrows the reader. */
struct partition_cursor;
struct partition_cursor *partition_cursor_new(const struct reader_handle *reader, struct span from);
void partition_cursor_free(struct partition_cursor *cursor); /* NULL is fine */
void partition_cursor_free_pointer(struct partition_cursor **cursor);
#define PARTITION_CURSOR_CLEANUP __attribute__((cleanup(partition_cursor_free_pointer)))
/* *ret_row is valid until the next call; *ret_end: there is none. */
enum err_code partition_cursor_next(struct partition_cursor *cursor, struct partition_row *ret_row,
                                    bool *ret_end, struct err *err) MUST_USE;

#endif
