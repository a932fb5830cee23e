/* What differs between two versions: columns, partitions, and columns of partitions.
 *
 *     schemas     column by column, by name
 *     trees       down both where digests differ (tree_diff), partition by partition
 *
 * "The same rows" is said by the row checksums of the partitions (rowsum.h), which are what their writers
 * made of their rows: VERIFY SNAPSHOT ... DEEP proves those of a snapshot here. They guard against
 * mistakes, not against forgers. Where the columns of two versions differ, so do the checksums.
 *
 * Of a partition whose rows differ, columns are named where row groups can be laid side by side: all keys
 * alike, with as many rows. A column with a file of its own is known to differ, or not to. Of those that
 * share one, only length, NULLs and bounds are seen without its bytes: `columns` are those that differ by
 * them, `perhaps` the others of a file that differs.
 *
 * Reads pages alone, each side through its own source, and no more of them than differ. Memory: two paths of
 * pages. One thread.
 */
#ifndef STORE_VERSION_DIFF_H
#define STORE_VERSION_DIFF_H

#include "proto/version.h"
#include "store/tree.h"

struct version_side {
    const struct version_record *version;
    const struct page_source *source;
};

enum version_change_kind {
    CHANGE_SCHEMA,
    CHANGE_ONLY_HERE, /* partitions, from here on */
    CHANGE_ONLY_THERE,
    CHANGE_OTHER_ROWS,
    CHANGE_OTHER_LAYOUT, /* the same rows */
    CHANGE_KINDS,
};

/* Borrows for the call. */
struct version_change {
    enum version_change_kind kind;
    struct span partition;        /* as text; empty: of a table without partitions, or a schema's */
    struct span columns, perhaps; /* names, with ", " between; or empty */
    const char *detail;           /* or NULL */
    const struct page_partition *here, *there; /* NULL: not there */
};

struct version_diff_watch {
    enum err_code (*on_change)(void *context, const struct version_change *change, struct err *err);
    bool (*stop)(void *context); /* asked at each difference; true: ERR_CANCELLED. May be NULL */
    void *context;
};

struct version_diff_counts {
    uint64_t of[CHANGE_KINDS]; /* columns of schemas; partitions */
    uint64_t pages;            /* read, of both sides */
    bool schema_alone;         /* partition columns differ: no partition was compared */
};

/* In order of key. Errors are the sources', watch's, and ERR_CORRUPT of pages that are not as their parents
 * say. *ret_counts is set, with what was told so far, on failure, too. */
enum err_code version_diff(const struct version_side *here, const struct version_side *there,
                           const struct version_diff_watch *watch,
                           struct version_diff_counts *ret_counts, struct err *err) MUST_USE;

#endif
