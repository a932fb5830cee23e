/* Trees of pages: one sorted map from keys to entries (proto/page.h), named by its root's digest.
 *
 * Pages are cut by content (page_cuts), so equal content gives the equal root, whatever the order
 * of changes. A tree is never changed: tree_apply reads an old one and writes the pages of a new
 * one that differ. Nothing here holds more than one path of pages, whatever the size of the tree.
 *
 * Reading goes through struct page_source, writing through struct page_sink: real are the store's
 * pages, in tests a map in memory. All functions block as these do; any thread, a source or sink
 * permitting. Errors: the source's and sink's own; ERR_CORRUPT for a page that is not what its
 * digest or its parent says.
 *
 * Files: tree.c (roots, look-up), tree_cursor.c, tree_apply.c, tree_diff.c, tree_mark.c,
 * tree_verify.c.
 */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include "proto/page.h"

struct page_source {
    /* Replaces the content of ret_page. ERR_NOT_FOUND when there is no such page. */
    enum err_code (*read)(void *context, const struct digest *digest, struct bytes *ret_page,
                          struct err *err);
    void *context;
};

struct page_sink {
    /* Children come before parents. The same page may come again. */
    enum err_code (*write)(void *context, const struct digest *digest, struct span page,
                           struct err *err);
    void *context;
};

struct tree {
    const struct page_source *source;
    enum tree_kind kind;
    struct digest root;
};

/* Writes the tree without entries and gives its root (always the same for one kind). */
enum err_code tree_empty(enum tree_kind kind, const struct page_sink *sink, struct digest *ret_root,
                         struct err *err) MUST_USE;
struct digest tree_empty_root(enum tree_kind kind);

/* Sums over the whole tree; reads one page. */
enum err_code tree_totals(const struct tree *tree, struct page_totals *ret_totals,
                          struct err *err) MUST_USE;

/* A page in memory: bytes, arena and the decoded form. Zeroed is valid and empty. */
struct tree_page {
    struct bytes encoded;
    struct arena arena;
    struct page page; /* borrows from the two above */
};
void tree_page_deinit(struct tree_page *page);
#define TREE_PAGE_CLEANUP __attribute__((cleanup(tree_page_deinit)))
/* Reads, hashes, decodes and checks the page named digest that stands at place. */
enum err_code tree_page_read(const struct page_source *source, const struct digest *digest,
                             const struct page_place *place, struct tree_page *page,
                             struct err *err) MUST_USE;

/* The first entry whose key is not below; entry_count: there is none. */
size_t page_search(const struct page *page, struct span key);

/* ---- look-up by place: from the root down, by key ---- */

/* The leaf entry of exactly this key; ERR_NOT_FOUND. It borrows from page. */
enum err_code tree_get(const struct tree *tree, struct span key, struct tree_page *page,
                       const struct page_entry **ret_entry, struct err *err) MUST_USE;
/* The digest of the page of this level whose range holds key (any key of its range, its last key
 * say; for the level of the root any key). ERR_NOT_FOUND when there is none. */
enum err_code tree_get_page(const struct tree *tree, uint32_t level, struct span key,
                            struct digest *ret_digest, struct err *err) MUST_USE;

/* ---- cursor: leaf entries in order ---- */

struct tree_cursor;
/* Before the first entry. Borrows tree->source; copies the rest. */
struct tree_cursor *tree_cursor_new(const struct tree *tree);
void tree_cursor_free(struct tree_cursor *cursor);
void tree_cursor_free_pointer(struct tree_cursor **cursor);
#define TREE_CURSOR_CLEANUP __attribute__((cleanup(tree_cursor_free_pointer)))
/* The next entry, NULL at the end. Valid until the next call on this cursor. */
enum err_code tree_cursor_next(struct tree_cursor *cursor, const struct page_entry **ret_entry,
                               struct err *err) MUST_USE;
/* Forward or back: the next entry given is the first with a key >= key. Pages in between are not
 * read. */
void tree_cursor_seek(struct tree_cursor *cursor, struct span key);
/* The next entry given is the first one beyond all keys that begin with prefix (a partition's key:
 * on to the next partition; the empty prefix: to the end). */
void tree_cursor_seek_past(struct tree_cursor *cursor, struct span prefix);
/* tree_get and tree_get_page on a cursor's path: near the place before, they read a page or none.
 * For many look-ups in ascending order. Afterwards the cursor stands at key. */
enum err_code tree_cursor_get(struct tree_cursor *cursor, struct span key,
                              const struct page_entry **ret_entry, struct err *err) MUST_USE;
enum err_code tree_cursor_get_page(struct tree_cursor *cursor, uint32_t level, struct span key,
                                   struct digest *ret_digest, struct err *err) MUST_USE;
/* Pages read so far: what tests and EXPLAIN count. */
uint64_t tree_cursor_pages(const struct tree_cursor *cursor);

/* ---- apply: a new tree from an old one and edits ---- */

enum tree_edit_kind {
    TREE_PUT,           /* insert or replace */
    TREE_DELETE,        /* of an absent key: nothing happens */
    TREE_DELETE_PREFIX, /* all old entries whose key begins with key */
    TREE_DELETE_RANGE,  /* all old entries from key on, up to and without `until` */
};

struct tree_edit {
    enum tree_edit_kind kind;
    struct span key;                /* all but TREE_PUT */
    struct span until;              /* TREE_DELETE_RANGE; empty: to the end */
    const struct page_entry *entry; /* TREE_PUT; its key counts, raw is not looked at */
};

/* Edits in ascending order of keys, each key once; at one key TREE_DELETE_PREFIX comes before a
 * put. Prefixes and ranges do not overlap, and deletes under one are not needed. What is deleted
 * whole is not read. Puts under a prefix stay: what was there before goes. So "replace a partition" is DELETE_PREFIX P, PUT P, PUT P|0|0|1, ... What
 * an edit points to must stay until the next call. Wrong order: ERR_INTERNAL. */
struct tree_edit_source {
    enum err_code (*next)(void *context, struct tree_edit *ret_edit, bool *ret_end,
                          struct err *err);
    void *context;
};

struct tree_apply_result {
    struct digest root;
    uint64_t pages_written;
    uint64_t pages_read;
};

/* Gives the canonical root of the old content with the edits applied. */
enum err_code tree_apply(const struct tree *tree, const struct page_sink *sink,
                         const struct tree_edit_source *edits, struct tree_apply_result *ret_result,
                         struct err *err) MUST_USE;

/* Edits from an array, in order. */
struct tree_edit_array {
    const struct tree_edit *edits;
    size_t count;
    size_t at;
};
struct tree_edit_source tree_edit_array_source(struct tree_edit_array *array);

/* ---- difference of two trees of one kind ---- */

struct tree_diff;
/* Borrows the trees' sources; copies the rest. */
struct tree_diff *tree_diff_new(const struct tree *old, const struct tree *new);
void tree_diff_free(struct tree_diff *diff); /* NULL is fine */
void tree_diff_free_pointer(struct tree_diff **diff);
#define TREE_DIFF_CLEANUP __attribute__((cleanup(tree_diff_free_pointer)))
/* The next key at which they differ: an entry is NULL where the other tree alone has the key; both
 * NULL is the end. Keys ascend. Valid until the next call. Subtrees of equal digest are not read. */
enum err_code tree_diff_next(struct tree_diff *diff, const struct page_entry **ret_old,
                             const struct page_entry **ret_new, struct err *err) MUST_USE;
uint64_t tree_diff_pages(const struct tree_diff *diff); /* read so far */

/* ---- mark: everything under a root, for clean-up and fsck ---- */

struct tree_visitor {
    /* A page, before what is under it. *ret_descend false: known already, skip it. */
    enum err_code (*page)(void *context, const struct digest *digest, bool *ret_descend,
                          struct err *err);
    /* A column file that a row group entry names; NULL when files are of no interest. */
    enum err_code (*file)(void *context, const struct page_file *file, struct err *err);
    void *context;
};
enum err_code tree_mark(const struct tree *tree, const struct tree_visitor *visitor,
                        struct err *err) MUST_USE;

/* What page_decode cannot see within one page: every row group belongs to a partition entry before
 * it, whose segments, rows and bytes it adds up to. Reads all pages. ERR_CORRUPT. */
enum err_code tree_check(const struct tree *tree, struct err *err) MUST_USE;
/* The same as far as one page of a manifest tree shows it: partitions that both begin and end in it,
 * or end with the tree. page_decode has seen the page at this place. ERR_CORRUPT. */
enum err_code tree_page_check(const struct page *page, const struct page_place *place,
                              struct err *err) MUST_USE;
/* The same of an inner page: its children are what it says of them, and partitions that begin below
 * one child and end below a later one add up. The page's own edges are left to the pages above it,
 * and those of the tree to tree_root_check. So when each page has passed one of the two checks,
 * wherever it stood, and the root the last, the tree has passed tree_check; pages that stay are not
 * read again. What is below is read through source, which checks digests: the children, and down
 * their edges. ERR_BAD_DATA; the source's errors.
 * proven: of a tree of the same kind that has passed (NULL: none). What it says of a child, word for
 * word and at the same place, is true of that child here, too, so only the others are read, and those
 * that share a partition with them. That it cannot be read is no error: then it says nothing. */
enum err_code tree_page_check_across(const struct page_source *source, const struct page *page,
                                     const struct page_place *place, struct tree_cursor *proven,
                                     struct err *err) MUST_USE;
enum err_code tree_root_check(const struct tree *tree, struct tree_cursor *proven,
                              struct err *err) MUST_USE;

struct tree_pair { /* a version's two trees */
    const struct page_source *source;
    struct digest manifest, attributes;
};
/* Do both trees of new have the same partitions? Those of old (NULL: trees without entries) do: so
 * only what differs from old is read. old's source is not used: new's reads both. ERR_BAD_DATA. */
enum err_code tree_partitions_match(const struct tree_pair *old, const struct tree_pair *new,
                                    struct err *err) MUST_USE;

#endif
