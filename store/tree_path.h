/* Where a reader stands in a tree: the pages from the root down to it. Private to store/tree*.c.
 *
 *     frame 0   root   | . . [at] . |
 *     frame 1          | . [at] . . |
 *     frame 2   leaf   | [at] . . . |     <- the item: an entry of the lowest frame, leaf or child
 *
 * Zeroed but for the tree, a path is at the root's first item after tree_path_start. A child item may
 * be entered (push) or passed (step): so whoever walks decides what is read.
 */
#ifndef STORE_TREE_PATH_H
#define STORE_TREE_PATH_H

#include "store/tree.h"

struct tree_path_frame {
    struct tree_page page;
    struct page_place place; /* borrows from the frames above */
    size_t at;
};

struct tree_path {
    struct tree tree;
    struct tree_path_frame frames[LIMIT_TREE_DEPTH];
    size_t depth; /* frames in use */
    uint64_t pages_read;
};

void tree_path_deinit(struct tree_path *path);
#define TREE_PATH_CLEANUP __attribute__((cleanup(tree_path_deinit)))

/* Reads the root; the item is its first entry. */
enum err_code tree_path_start(struct tree_path *path, struct err *err) MUST_USE;
/* NULL at the end. */
const struct page_entry *tree_path_item(const struct tree_path *path);
/* The level of the page that the item stands in: a child item's subtree is one below. */
uint32_t tree_path_level(const struct tree_path *path);
/* False: nothing is before the item. Else all keys of the item are greater than *ret_after. */
bool tree_path_after(const struct tree_path *path, struct span *ret_after);
/* Reads the page that the item, a child, names; the item becomes its first entry. */
enum err_code tree_path_push(struct tree_path *path, struct err *err) MUST_USE;
/* Leaves the lowest frame: the item is the child that named it. Not from the root. */
void tree_path_pop(struct tree_path *path);
/* On to the next item of this frame or, at its end, of the one above. */
void tree_path_step(struct tree_path *path);

/* Of a cursor: the page of this level that may hold key, its `at` the first entry not below; NULL: there
 * is none. Valid until the next call on the cursor, which now stands at key. */
enum err_code tree_cursor_frame(struct tree_cursor *cursor, uint32_t level, struct span key,
                                const struct tree_path_frame **ret_frame, struct err *err) MUST_USE;

#endif
