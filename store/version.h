/* A version: what a table is at one moment. Schema, kind, keys, and the root of its manifest tree.
 *
 *     digest = DOMAIN_VERSION over tree format | schema | kind | primary key | default clustering |
 * root
 *
 * Not in it: names, account, region, times, expiry, lifecycle, grants, per-partition attributes.
 * Equal digests: equal layout and bytes. docs/FORMATS.md, "Version".
 * Memory: a decoded record borrows from the arena. No threads.
 */
#ifndef STORE_VERSION_H
#define STORE_VERSION_H

#include "proto/page.h"
#include "proto/schema.h"

/* Raised with every change of page form or cut rule. */
#define TREE_FORMAT 1

/* Stored. Others are refused with ERR_VERSION. */
enum table_kind {
    TABLE_STANDARD = 1,
};

struct version_record {
    struct schema schema;
    enum table_kind kind;
    uint32_t *primary_key; /* column ids; none for standard tables */
    size_t primary_key_count;
    uint32_t clustering; /* default of new partitions; 0: none, others refused */
    struct digest root;
    struct digest attribute_root; /* carried along, outside of the digest */
    struct page_totals totals;    /* of the tree, outside of the digest: the root implies them */
};

struct digest version_digest(const struct version_record *version);

/* Canonical. The record is self-contained: decode recomputes nothing but the structure; the digest
 * comes from version_digest. ERR_BAD_DATA, ERR_VERSION. */
void version_encode(const struct version_record *version, struct bytes *out);
enum err_code version_decode(struct span encoded, struct arena *arena,
                             struct version_record *ret_version, struct err *err) MUST_USE;

#endif
