/* A segment: what one load adds to one partition. Rows in, column files and row group entries out.
 *
 *     rows -> row groups (store/rowgroup.h) -> columns (store/column.h) -> files to the sink
 *                                                                      -> entries for the tree
 *
 * Of a clustered segment the row groups say bucket and sort keys (segment_cluster). Columns whose
 * encoded form is below COLUMN_SHARED_BYTES_MAX stand in one file per row group, one
 * after another in order of column id. Every other column is a file.
 *
 * Invariants: 1. Equal rows in equal order give equal files and entries, however they came in.
 * 2. A file goes to the sink before its entry is given out. 3. At most one row group is in memory.
 * Threads: a writer serves one thread at a time; the sink is called on it.
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include "proto/page.h"
#include "store/column.h"
#include "store/rowsum.h"

struct file_sink {
    /* digest is DOMAIN_FILE over exactly these bytes. Borrows for the call. The same file may come
     * again. */
    enum err_code (*add)(void *context, const struct digest *digest, struct span file,
                         struct err *err);
    void *context;
};

struct segment_entry {
    uint32_t row_group;
    uint32_t column_id; /* first of the entry's LEAF_ENTRY_COLUMNS, as row_group_place wants it */
    struct page_row_group content;
};

/* Zeroed is valid and empty: no rows. */
struct segment {
    uint64_t row_count;
    uint64_t
        byte_count; /* stored bytes, each file of a row group once: page_partition.byte_count */
    struct row_checksum checksum;
    uint32_t row_group_count;
    struct segment_entry *entries; /* in order of row group, then column */
    size_t entry_count;
    size_t entry_capacity;
    struct arena arena; /* what entries point to */
};

void segment_deinit(struct segment *segment);
#define SEGMENT_CLEANUP __attribute__((cleanup(segment_deinit)))

struct segment_writer;
/* Takes what it needs from the schema; borrows codec and copies sink. */
struct segment_writer *segment_writer_new(const struct schema *schema, struct column_codec *codec,
                                          const struct file_sink *sink);
void segment_writer_free(struct segment_writer *writer);

/* Rows at .. at + rows of a batch whose first vectors are the schema's data columns. After an error
 * (the sink's) the writer can only be freed. */
enum err_code segment_append(struct segment_writer *writer, const struct batch *batch, size_t at,
                             size_t rows, struct err *err);
/* Before the first row of a segment, for that segment: its rows come in the order of this layout,
 * bucket after bucket. Copies. */
void segment_cluster(struct segment_writer *writer, const struct cluster_layout *layout);
/* The rows that follow are in this bucket, which is not below the one before: a row group never
 * spans two. */
enum err_code segment_bucket(struct segment_writer *writer, uint32_t bucket, struct err *err);
/* Ends the last row group; the segment is the caller's and the writer begins a new one. */
enum err_code segment_finish(struct segment_writer *writer, struct segment *ret_segment,
                             struct err *err);
/* Bytes of memory in use for rows that are not encoded yet. */
size_t segment_writer_memory(const struct segment_writer *writer);

#endif
