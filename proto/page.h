/* One page of a tree: a sorted run of entries, named by the digest of its bytes.
 *
 *     level 2   | ..k | ..z |                   inner entry: last key, child digest, totals
 *     level 1   | ..c | ..k |   | ..z |
 *     level 0   | a b c | d k | | m .. z |      leaf entries: what a table consists of
 *
 * Leaf keys of a manifest tree (P = partition key, proto/key.h; empty without partitions):
 *     P                                             partition entry
 *     P | u32 segment | u32 row group | u32 column  row group entry: columns [column, column + 32)
 * and of an attribute tree: P -> attribute entry.
 *
 * Invariants, all checked by page_decode: 1. the bytes are what encoding the decoded page gives.
 * 2. Keys ascend strictly, above place.after and, where given, up to place.last exactly. 3. The
 * page ends where page_cuts says, and nowhere earlier; the last of a level may end early. 4. An
 * inner page has at least two entries, but for the last of a level below the root. 5. Totals equal
 * the parent's. 6. Only the root may be empty.
 *
 * Memory: a decoded page borrows from the arena and from the encoded bytes. No threads.
 * Elsewhere: the tree as a whole (store/tree.h).
 */
#ifndef PROTO_PAGE_H
#define PROTO_PAGE_H

#include "proto/arena.h"
#include "proto/clustering.h"
#include "proto/digest.h"
#include "proto/limits.h"
#include "proto/type.h"

#define ROW_CHECKSUM_BYTES 16

/* Stored: never reuse a number. */
enum tree_kind {
    TREE_MANIFEST = 1,
    TREE_ATTRIBUTES = 2,
};

enum page_entry_kind {
    PAGE_ENTRY_CHILD,
    PAGE_ENTRY_PARTITION,
    PAGE_ENTRY_ROW_GROUP,
    PAGE_ENTRY_ATTRIBUTE,
};

struct row_checksum {
    uint8_t b[ROW_CHECKSUM_BYTES];
};

struct page_totals { /* of a subtree; zero in attribute trees */
    uint64_t rows;
    uint64_t bytes; /* stored bytes of the partitions */
    uint64_t partitions;
};

/* Min and max of one column in one row group, in the stored form of store/statistics.h. */
struct page_statistics {
    bool has_min;
    bool has_max;
    struct span min;
    struct span max;
    uint64_t nan_count;
};

struct page_file {
    struct digest digest;
    uint64_t bytes; /* stored length */
};

struct page_column {
    uint32_t column_id;
    uint32_t file;   /* index into the row group entry's files */
    uint32_t offset; /* where in the file the column begins: 0 unless it is shared */
    uint32_t bytes;  /* of the column there: all of the file unless it is shared */
    uint64_t null_count;
    struct page_statistics statistics;
};

struct page_row_group {
    uint32_t segment_kind;    /* 0: rows added. Others are refused (ERR_VERSION) */
    uint64_t commit_sequence; /* 0 with kind 0 */
    uint32_t bucket;          /* of a clustered partition; else 0 */
    uint64_t row_count;
    struct span
        sort_first; /* sort keys of the first and last row, cut (proto/clustering.h); empty */
    struct span sort_last; /* where the partition is not sorted. Neither is above what it bounds */
    struct page_file *files; /* in order of first use by columns; each is used */
    size_t file_count;
    struct page_column *columns; /* ids ascend, within the key's LEAF_ENTRY_COLUMNS */
    size_t column_count;
};

struct page_partition {
    struct clustering clustering; /* what it was begun with: of all its segments */
    uint32_t segment_count;
    uint64_t row_count;
    uint64_t byte_count; /* sum of page_file.bytes below, each digest of a row group once */
    struct row_checksum checksum;
};

struct page_attribute {
    uint64_t created_ms;  /* since 1970, UTC */
    uint64_t modified_ms; /* the same */
    bool lifecycle_off;   /* the partition is exempt from the table's lifecycle */
};

struct page_child {
    struct digest digest;
    struct page_totals totals;
};

struct page_entry {
    enum page_entry_kind kind;
    struct span key; /* a child's: its last key */
    union {
        struct page_child child;
        struct page_partition partition;
        struct page_row_group row_group;
        struct page_attribute attribute;
    };
    struct span raw; /* as it stands in the page; set by page_decode */
};

struct page {
    enum tree_kind tree;
    uint32_t level; /* 0: leaf */
    size_t entry_count;
    struct page_entry *entries;
    struct page_totals totals;
};

/* What the parent says of a page. For a root: tree and is_root, all else zero. */
struct page_place {
    enum tree_kind tree;
    bool is_any;  /* nothing is known of where it stands: clean-up, fsck */
    bool is_root; /* any level below LIMIT_TREE_DEPTH; is_rightmost is implied */
    bool is_rightmost;
    uint32_t level;
    bool has_after; /* keys are greater than this one (the last key of the page before) */
    struct span after;
    struct span last;          /* the last key; not with is_root */
    struct page_totals totals; /* not with is_root */
};

struct page_place page_place_root(enum tree_kind tree);
/* A page of which only its own bytes are known; page_decode checks what it can. */
struct page_place page_place_any(enum tree_kind tree);
/* The kind of tree that a page says it is of: TREE_MANIFEST unless it clearly says otherwise. */
enum tree_kind page_tree_of(struct span encoded);
/* The place of child `index` of an inner page that stands at `place`. Borrows from both. */
struct page_place page_place_child(const struct page *page, const struct page_place *place,
                                   size_t index);

/* What an entry adds to the totals of its page. */
struct page_totals page_entry_totals(const struct page_entry *entry);

struct digest page_digest(struct span encoded); /* DOMAIN_PAGE */

/* ERR_BAD_DATA for every broken rule, ERR_LIMIT for size, ERR_VERSION for a kind from the future.
 * The arena wants message_arena_bytes-like room: PAGE_ARENA_BYTES always suffices. */
#define PAGE_ARENA_BYTES (2 * LIMIT_MESSAGE_ARENA_FACTOR * LIMIT_PAGE_MESSAGE_BYTES)
enum err_code page_decode(struct span encoded, const struct page_place *place, struct arena *arena,
                          struct page *ret_page, struct err *err) MUST_USE;

/* A page is built by beginning it and appending entries in order; the result is canonical. */
void page_begin(enum tree_kind tree, uint32_t level, struct bytes *out);
/* One entry in the form in which it stands in a page: what page_append_raw takes. ERR_LIMIT when
 * it is larger than LIMIT_ENTRY_BYTES, ERR_INTERNAL when it breaks a rule of page_decode. */
enum err_code page_entry_encode(const struct page_entry *entry, struct bytes *out,
                                struct err *err) MUST_USE;
void page_append_raw(struct bytes *page, struct span raw);

/* The cut rule. Does a page of this level, whose entries so far take entry_bytes (this one
 * included), end after this entry? entries: their number, entry_raw_bytes: this one's size. */
struct page_cut {
    uint32_t level;
    size_t entries;
    size_t page_bytes;  /* of all entries so far, this one included */
    size_t entry_bytes; /* of this one */
};
bool page_cuts(const struct page_cut *cut, struct span key);

/* Row group keys. */
#define ROW_GROUP_KEY_BYTES 12
struct row_group_place {
    uint32_t segment;
    uint32_t row_group;
    uint32_t column_id; /* first of its LEAF_ENTRY_COLUMNS: 1, 33, 65 ... */
};
void row_group_key(struct span partition, struct row_group_place place, struct bytes *out);
/* The key of a row group entry: its partition's key, and the rest. The key is at least
 * ROW_GROUP_KEY_BYTES long (page_decode has checked that). */
struct span row_group_key_split(struct span key, struct row_group_place *ret_place);
/* The column that the entry holding this column's place begins with. */
uint32_t row_group_first_column(uint32_t column_id);

#endif
