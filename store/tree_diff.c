#include "store/tree_path.h"

/* Two paths side by side. A child item stands for a range of keys of which only the lower bound and
 * the last are known; it is entered when it may hold a key that the other side is about to give, and
 * passed on both sides when both stand before the same subtree. */

struct tree_diff {
    struct tree_path old;
    struct tree_path new;
    bool is_started;
    bool step_old; /* the item was given: step over it first */
    bool step_new;
    const struct page_entry *given_old;
    const struct page_entry *given_new;
};

struct tree_diff *tree_diff_new(const struct tree *old, const struct tree *new)
{
    ASSERT(old->kind == new->kind);
    struct tree_diff *diff = mem_calloc(1, sizeof(*diff));
    diff->old.tree = *old;
    diff->new.tree = *new;
    return diff;
}

void tree_diff_free(struct tree_diff *diff)
{
    if (diff == NULL)
        return;
    tree_path_deinit(&diff->old);
    tree_path_deinit(&diff->new);
    mem_free(diff);
}

void tree_diff_free_pointer(struct tree_diff **diff)
{
    tree_diff_free(*diff);
}

uint64_t tree_diff_pages(const struct tree_diff *diff)
{
    return diff->old.pages_read + diff->new.pages_read;
}

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

static void diff_give(struct tree_diff *diff, const struct page_entry *old,
                      const struct page_entry *new)
{
    diff->given_old = old;
    diff->given_new = new;
    diff->step_old = old != NULL;
    diff->step_new = new != NULL;
}

/* One step of `path`, whose item the other side does not have: a leaf is given, a child entered. */
static enum err_code diff_single(struct tree_diff *diff, struct tree_path *path, struct err *err)
{
    const struct page_entry *item = tree_path_item(path);
    if (is_child(item))
        return tree_path_push(path, err);
    bool is_old = path == &diff->old;
    diff_give(diff, is_old ? item : NULL, is_old ? NULL : item);
    return ERR_OK;
}

static enum err_code diff_leaves(struct tree_diff *diff, const struct page_entry *old,
                                 const struct page_entry *new, struct err *err)
{
    int order = span_compare(old->key, new->key);
    if (order != 0)
        return diff_single(diff, order < 0 ? &diff->old : &diff->new, err);
    if (!entry_equal(old, new)) {
        diff_give(diff, old, new);
        return ERR_OK;
    }
    tree_path_step(&diff->old);
    tree_path_step(&diff->new);
    return ERR_OK;
}

/* Both are children that differ: enter the higher one; on one level the one that begins earlier. */
static struct tree_path *diff_which(struct tree_diff *diff)
{
    uint32_t old_level = tree_path_level(&diff->old);
    uint32_t new_level = tree_path_level(&diff->new);
    if (old_level != new_level)
        return old_level > new_level ? &diff->old : &diff->new;
    struct span old_after;
    struct span new_after;
    if (!tree_path_after(&diff->old, &old_after))
        return &diff->old;
    if (!tree_path_after(&diff->new, &new_after))
        return &diff->new;
    return span_compare(old_after, new_after) <= 0 ? &diff->old : &diff->new;
}

static enum err_code diff_step(struct tree_diff *diff, struct err *err)
{
    const struct page_entry *old = tree_path_item(&diff->old);
    const struct page_entry *new = tree_path_item(&diff->new);
    if (old == NULL || new == NULL)
        return diff_single(diff, old == NULL ? &diff->new : &diff->old, err);
    if (is_child(old) && is_child(new)) {
        if (digest_equal(&old->child.digest, &new->child.digest)) {
            tree_path_step(&diff->old);
            tree_path_step(&diff->new);
            return ERR_OK;
        }
        return tree_path_push(diff_which(diff), err);
    }
    if (is_child(old))
        return item_is_after(&diff->old, new->key) ? diff_single(diff, &diff->new, err)
                                                   : tree_path_push(&diff->old, err);
    if (is_child(new))
        return item_is_after(&diff->new, old->key) ? diff_single(diff, &diff->old, err)
                                                   : tree_path_push(&diff->new, err);
    return diff_leaves(diff, old, new, err);
}

static enum err_code diff_start(struct tree_diff *diff, struct err *err)
{
    TRY(tree_path_start(&diff->old, err));
    TRY(tree_path_start(&diff->new, err));
    diff->is_started = true;
    return ERR_OK;
}

enum err_code tree_diff_next(struct tree_diff *diff, const struct page_entry **ret_old,
                             const struct page_entry **ret_new, struct err *err)
{
    *ret_old = NULL;
    *ret_new = NULL;
    if (digest_equal(&diff->old.tree.root, &diff->new.tree.root))
        return ERR_OK;
    if (!diff->is_started)
        TRY(diff_start(diff, err));
    if (diff->step_old)
        tree_path_step(&diff->old);
    if (diff->step_new)
        tree_path_step(&diff->new);
    diff_give(diff, NULL, NULL);
    while (!diff->step_old && !diff->step_new &&
           (tree_path_item(&diff->old) != NULL || tree_path_item(&diff->new) != NULL))
        TRY(diff_step(diff, err));
    *ret_old = diff->given_old;
    *ret_new = diff->given_new;
    return ERR_OK;
}
