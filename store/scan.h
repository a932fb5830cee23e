/* A scan: the rows of a version, batch after batch, in order of the tree.
 *
 *     tree entries -> partition filter -> row group filter (statistics) -> column files -> batch
 *
 * A batch is one row group: the wanted columns in the wanted order, data and partition columns
 * alike. Only files of wanted columns are read, a shared one once. A column that a row group does
 * not have was added later: its default, or NULL. A lazy scan reads a column's file when scan_fetch
 * asks for it, and decodes as many rows as that says.
 *
 * Invariants: 1. What a batch holds is exactly what was loaded, or the scan fails: ERR_CORRUPT names
 * the file. 2. Filters only skip: a row of a row group that is given may still not match. 3. Of a
 * batch of a lazy scan, `rows` counts the row group; a vector has none before it is fetched.
 * Memory: one row group of the wanted columns and one file. One thread at a time; blocks as the
 * sources do. Whoever scans keeps the version pinned (store/content.h).
 */
#ifndef STORE_SCAN_H
#define STORE_SCAN_H

#include "proto/vector.h"
#include "store/tree.h"

struct file_source {
    /* Replaces the content of ret_file. ERR_NOT_FOUND, ERR_CORRUPT. */
    enum err_code (*read)(void *context, const struct digest *digest, struct bytes *ret_file,
                          struct err *err);
    void *context;
};

/* Of one wanted column in one row group. min and max borrow; a partition column has its value as
 * both. */
struct scan_statistics {
    uint64_t row_count;
    uint64_t null_count;
    uint64_t nan_count;
    bool has_min; /* no value but NULL and NaN is below min */
    bool has_max;
    struct value min;
    struct value max;
};

/* Where a row group of a clustered partition lies. Borrows. */
struct scan_bucket {
    const struct clustering *clustering;
    uint32_t segment;
    uint32_t bucket;
    struct span sort_first; /* page_row_group */
    struct span sort_last;
};

/* Any may be NULL: nothing is skipped. */
struct scan_filter {
    /* values: one for each partition column of the schema. False: skip. */
    bool (*partition)(void *context, const struct value *values);
    /* Before `row_group`, of clustered partitions. What bucket borrows stays until that has been
     * asked. False: skip. */
    bool (*bucket)(void *context, const struct scan_bucket *bucket);
    /* statistics: one for each wanted column. False: skip. */
    bool (*row_group)(void *context, const struct scan_statistics *statistics);
    /* Of a lazy scan, after `row_group`. True: nothing of it will be fetched. */
    bool (*known)(void *context, const struct scan_statistics *statistics);
    void *context;
};

struct scan_options {
    const struct schema *schema; /* borrows until scan_free */
    struct tree tree;            /* its source is borrowed until scan_free */
    struct file_source files;
    /* Positions in the schema's columns, then its partition columns; may be none (count(*)). */
    const size_t *wanted; /* copied */
    size_t wanted_count;
    struct scan_filter filter;
    bool lazy; /* columns are read by scan_fetch */
};

struct scan;

/* ERR_SEMANTIC: a default that is not of its column's type. */
enum err_code scan_open(const struct scan_options *options, struct scan **ret_scan,
                        struct err *err) MUST_USE;
void scan_free(struct scan *scan); /* NULL is fine */
void scan_free_pointer(struct scan **scan);
#define SCAN_CLEANUP __attribute__((cleanup(scan_free_pointer)))

/* The next rows, NULL at the end; valid until the next call. After an error the scan can only be
 * freed. */
enum err_code scan_next(struct scan *scan, const struct batch **ret_batch,
                        struct err *err) MUST_USE;

/* Of a lazy scan: the vector of wanted column `column` of the batch at hand has afterwards its first
 * `rows` rows, or more. Errors as of scan_next. */
enum err_code scan_fetch(struct scan *scan, size_t column, size_t rows, struct err *err) MUST_USE;

enum scan_step_kind {
    SCAN_PARTITION, /* begins; its row groups come next */
    SCAN_PARTITION_SKIPPED,
    SCAN_ROW_GROUP,
    SCAN_ROW_GROUP_SKIPPED,
    SCAN_END,
};

/* What a scan comes to next. */
struct scan_step {
    enum scan_step_kind kind;
    struct span partition_key; /* borrows until the next call */
    bool is_clustered;         /* the row group: */
    uint32_t segment;
    uint32_t bucket;
    uint64_t rows;  /* of the row group, as what follows */
    uint64_t files; /* that are read for it */
    uint64_t file_bytes;
};

/* In place of scan_next: goes the same way and counts the same, but reads pages only. A scan is used
 * in one of the two ways. */
enum err_code scan_look(struct scan *scan, struct scan_step *ret_step, struct err *err) MUST_USE;

struct scan_counts {
    uint64_t partitions_read;
    uint64_t partitions_skipped;
    uint64_t row_groups_read;
    uint64_t row_groups_skipped;
    uint64_t files_read;
    uint64_t file_bytes_read;
    uint64_t rows;
};
struct scan_counts scan_counts(const struct scan *scan);

#endif
