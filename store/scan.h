/* A scan: the rows of a version, batch after batch, in order of the tree.
 *
 *     tree entries -> partition filter -> row group filter (statistics) -> column files -> batch
 *
 * A batch is one row group: the wanted columns in the wanted order, data and partition columns
 * alike. Only files of wanted columns are read, a shared one once. A column that a row group does
 * not have was added later: its default, or NULL.
 *
 * Invariants: 1. What a batch holds is exactly what was loaded, or the scan fails: ERR_CORRUPT names
 * the file. 2. Filters only skip: a row of a row group that is given may still not match.
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

/* Either may be NULL: nothing is skipped. */
struct scan_filter {
    /* values: one for each partition column of the schema. False: skip. */
    bool (*partition)(void *context, const struct value *values);
    /* statistics: one for each wanted column. False: skip. */
    bool (*row_group)(void *context, const struct scan_statistics *statistics);
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
