/* How rows of a partition are stored: in buckets by the hash or the range of some columns, sorted
 * within each. A table has a default for its new partitions, every partition the one it was begun
 * with. The words of the record, what a row's bucket is, and the bytes that order rows.
 *
 *     hash    bucket = H(values of the columns) mod n; in it rows in order of SORTED BY, if any
 *     range   rows of one load in order of SORTED BY (else of the columns), cut where a bucket is full
 *
 * The hash and the bytes of a sort key are part of the format (docs/FORMATS.md, "Clustering") and never
 * change. Values that compare as equal have one hash: -0.0 is +0.0 here, and there is one NaN.
 * Memory: a struct clustering holds no pointer. No threads.
 * Elsewhere: putting rows in that order (store/cluster_sort.h).
 */
#ifndef PROTO_CLUSTERING_H
#define PROTO_CLUSTERING_H

#include "proto/limits.h"
#include "proto/schema.h"
#include "proto/vector.h"

/* Stored: never reuse a number. */
enum clustering_kind {
    CLUSTERING_NONE = 0,
    CLUSTERING_HASH = 1,
    CLUSTERING_RANGE = 2,
};

/* Zeroed is valid: not clustered. */
struct clustering {
    enum clustering_kind kind;
    uint32_t bucket_count; /* 0, range only: as many as the rows ask for */
    uint32_t column_count;
    uint32_t columns[LIMIT_CLUSTERING_COLUMNS]; /* ids, as written */
    uint32_t sort_count;                        /* SORTED BY, as written; 0: none */
    uint32_t sort_columns[LIMIT_CLUSTERING_COLUMNS];
    bool sort_descending[LIMIT_CLUSTERING_COLUMNS];
};

bool clustering_equal(const struct clustering *a, const struct clustering *b);
/* Rows of a bucket are in an order that their row groups tell. */
bool clustering_is_sorted(const struct clustering *clustering);
/* Every bucket's number is below it. */
uint32_t clustering_bucket_limit(const struct clustering *clustering);

/* What stands beside the kind in pages and versions; nothing for CLUSTERING_NONE. */
void clustering_encode(const struct clustering *clustering, struct bytes *out);
/* ERR_VERSION for a kind from the future, ERR_BAD_DATA. */
enum err_code clustering_decode(uint32_t kind, struct span encoded,
                                struct clustering *ret_clustering, struct err *err) MUST_USE;
/* Against the table's schema: data columns, each once, and as many as may be; SORTED BY of a range
 * begins with its columns. ERR_SEMANTIC says which column and what to do. */
enum err_code clustering_validate(const struct clustering *clustering, const struct schema *schema,
                                  struct err *err) MUST_USE;
/* "CLUSTERED BY (`a`) SORTED BY (`b` DESC) INTO 16 BUCKETS"; nothing for CLUSTERING_NONE. Columns
 * are those of the schema. */
void clustering_format(const struct clustering *clustering, const struct schema *schema,
                       struct bytes *out);

/* ---- a clustering over the data columns of a schema ---- */

/* Positions in the schema's data columns. The order is the effective one: a range without SORTED BY
 * is in order of its columns. */
struct cluster_layout {
    enum clustering_kind kind;
    uint32_t bucket_count;
    size_t key_count;
    size_t keys[LIMIT_CLUSTERING_COLUMNS];
    size_t sort_count;
    size_t sort[LIMIT_CLUSTERING_COLUMNS];
    bool descending[LIMIT_CLUSTERING_COLUMNS];
};

/* False: the schema lacks a column. */
bool cluster_layout_of(const struct clustering *clustering, const struct schema *schema,
                       struct cluster_layout *ret_layout);

/* What is hashed of one value; of several, one after another. */
void cluster_key_append(struct bytes *key, struct type type, struct value value);
uint32_t cluster_bucket(struct span key, uint32_t bucket_count);
/* The bucket of a row of a hash clustering. `key` is scratch. */
uint32_t cluster_row_bucket(const struct cluster_layout *layout, const struct batch *batch,
                            size_t row, struct bytes *key);

/* memcmp of sort keys is the order of rows; NULL comes first, with `descending` last. A key goes on
 * where it is cut: no key begins with another's, so a cut one still bounds what it was cut from. */
void sort_key_append(struct bytes *key, struct type type, struct value value, bool descending);
/* The first SORT_KEY_BYTES_MAX bytes of the row's key replace the content of `key`. */
void sort_key_of(const struct cluster_layout *layout, const struct batch *batch, size_t row,
                 struct bytes *key);
/* By the first `count` columns of the order. */
int cluster_rows_compare(const struct cluster_layout *layout, size_t count, const struct batch *a,
                         size_t a_row, const struct batch *b, size_t b_row);

#endif
