/* A version: what a table is at one moment. Schema, kind, keys, and the root of its manifest tree.
 *
 *     record  = tree format | schema | kind | primary key | default clustering | root     (canonical)
 *     version = DOMAIN_VERSION over the record's bytes: what users see, equal where content is equal
 *     page    = page_digest of the same bytes: under which the store keeps it, above the tree's root
 *
 * Not in it: names, account, region, times, expiry, lifecycle, grants, per-partition attributes.
 * Equal versions: equal layout and bytes. docs/FORMATS.md, "Version".
 * Memory: a decoded record borrows from the arena. No threads.
 */
#ifndef PROTO_VERSION_H
#define PROTO_VERSION_H

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
    struct clustering clustering; /* default of new partitions, over the schema's data columns */
    struct digest root;           /* of the manifest tree */
};

/* The names of an encoded record. */
struct version_names {
    struct digest version;
    struct digest page;
};
struct version_names version_names_of(struct span encoded);

/* ERR_LIMIT above LIMIT_VERSION_BYTES. */
enum err_code version_encode(const struct version_record *version, struct bytes *out,
                             struct err *err) MUST_USE;
/* ERR_BAD_DATA, ERR_VERSION for a format or kind from the future. */
enum err_code version_decode(struct span encoded, struct arena *arena,
                             struct version_record *ret_version, struct err *err) MUST_USE;
size_t version_arena_bytes(size_t encoded_bytes);
/* Tells a version record from a page of a tree: both are kept as pages. */
bool version_is(struct span encoded);

#endif
