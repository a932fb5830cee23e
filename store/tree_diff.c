#include "store/tree_path.h"

/* Two paths side by side. A child item stands for a range of keys of which only the lower bound and
 * the last are known; it is entered when it may hold a key that the other side is about to give, and
 * passed on both sides when both stand before the same subtree. */

struct diff {
    struct tree_path *old;
    struct tree_path *new;
    const struct tree_diff_sink *sink;
};

/* Do all keys of path's item, a child, come after key? */
static bool item_is_after(const struct tree_path *path, struct span key)
{
    struct span after;
    return tree_path_after(path, &after) && span_compare(after, key) >= 0;
}

static bool is_child(const struct page_entry *item)
{
    return item->kind == PAGE_ENTRY_CHILD;
}

static bool entry_equal(const struct page_entry *a, const struct page_entry *b)
{
    return span_equal(a->raw, b->raw);
}

/* One step of `path`, whose item the other side does not have: a leaf is told, a child entered. */
static enum err_code diff_single(struct diff *diff, struct tree_path *path, struct err *err)
{
    const struct page_entry *item = tree_path_item(path);
    if (is_child(item))
        return tree_path_push(path, err);
    bool is_old = path == diff->old;
    TRY(diff->sink->differ(diff->sink->context, is_old ? item : NULL, is_old ? NULL : item, err));
    tree_path_step(path);
    return ERR_OK;
}

static enum err_code diff_leaves(struct diff *diff, const struct page_entry *old,
                                 const struct page_entry *new, struct err *err)
{
    int order = span_compare(old->key, new->key);
    if (order != 0)
        return diff_single(diff, order < 0 ? diff->old : diff->new, err);
    if (!entry_equal(old, new))
        TRY(diff->sink->differ(diff->sink->context, old, new, err));
    tree_path_step(diff->old);
    tree_path_step(diff->new);
    return ERR_OK;
}

/* Both are children that differ: enter the higher one; on one level the one that begins earlier. */
static struct tree_path *diff_which(struct diff *diff)
{
    uint32_t old_level = tree_path_level(diff->old);
    uint32_t new_level = tree_path_level(diff->new);
    if (old_level != new_level)
        return old_level > new_level ? diff->old : diff->new;
    struct span old_after;
    struct span new_after;
    if (!tree_path_after(diff->old, &old_after))
        return diff->old;
    if (!tree_path_after(diff->new, &new_after))
        return diff->new;
    return span_compare(old_after, new_after) <= 0 ? diff->old : diff->new;
}

static enum err_code diff_step(struct diff *diff, struct err *err)
{
    const struct page_entry *old = tree_path_item(diff->old);
    const struct page_entry *new = tree_path_item(diff->new);
    if (old == NULL || new == NULL)
        return diff_single(diff, old == NULL ? diff->new : diff->old, err);
    if (is_child(old) && is_child(new)) {
        if (digest_equal(&old->child.digest, &new->child.digest)) {
            tree_path_step(diff->old);
            tree_path_step(diff->new);
            return ERR_OK;
        }
        return tree_path_push(diff_which(diff), err);
    }
    if (is_child(old))
        return item_is_after(diff->old, new->key) ? diff_single(diff, diff->new, err)
                                                  : tree_path_push(diff->old, err);
    if (is_child(new))
        return item_is_after(diff->new, old->key) ? diff_single(diff, diff->old, err)
                                                  : tree_path_push(diff->new, err);
    return diff_leaves(diff, old, new, err);
}

static enum err_code diff_run(struct diff *diff, struct err *err)
{
    TRY(tree_path_start(diff->old, err));
    TRY(tree_path_start(diff->new, err));
    while (tree_path_item(diff->old) != NULL || tree_path_item(diff->new) != NULL)
        TRY(diff_step(diff, err));
    return ERR_OK;
}

enum err_code tree_diff(const struct tree *old, const struct tree *new,
                        const struct tree_diff_sink *sink, uint64_t *ret_pages_read,
                        struct err *err)
{
    ASSERT(old->kind == new->kind);
    uint64_t pages_read = 0;
    if (!digest_equal(&old->root, &new->root)) {
        TREE_PATH_CLEANUP struct tree_path old_path = {.tree = *old};
        TREE_PATH_CLEANUP struct tree_path new_path = {.tree = *new};
        struct diff diff = {.old = &old_path, .new = &new_path, .sink = sink};
        TRY(diff_run(&diff, err));
        pages_read = old_path.pages_read + new_path.pages_read;
    }
    if (ret_pages_read != NULL)
        *ret_pages_read = pages_read;
    return ERR_OK;
}
