#include "store/tree_path.h"

/* What seek is after: the first key not before the target. `past`: keys that begin with it are
 * before it, too. Both are monotone in the key, so whole pages answer by their last key. */
struct tree_cursor {
    struct tree_path path;
    bool is_started;
    bool is_given; /* the item was returned: step first */
    bool has_target;
    bool target_past;
    struct bytes target;
};

struct tree_cursor *tree_cursor_new(const struct tree *tree)
{
    struct tree_cursor *cursor = mem_calloc(1, sizeof(*cursor));
    cursor->path.tree = *tree;
    return cursor;
}

void tree_cursor_free(struct tree_cursor *cursor)
{
    if (cursor == NULL)
        return;
    tree_path_deinit(&cursor->path);
    bytes_deinit(&cursor->target);
    mem_free(cursor);
}

void tree_cursor_free_pointer(struct tree_cursor **cursor)
{
    tree_cursor_free(*cursor);
}

static void cursor_aim(struct tree_cursor *cursor, struct span target, bool past)
{
    bytes_clear(&cursor->target);
    bytes_append_span(&cursor->target, target);
    cursor->target_past = past;
    cursor->has_target = true;
}

void tree_cursor_seek(struct tree_cursor *cursor, struct span key)
{
    cursor_aim(cursor, key, false);
}

void tree_cursor_seek_past(struct tree_cursor *cursor, struct span prefix)
{
    cursor_aim(cursor, prefix, true);
}

uint64_t tree_cursor_pages(const struct tree_cursor *cursor)
{
    return cursor->path.pages_read;
}

static bool cursor_before(const struct tree_cursor *cursor, struct span key)
{
    struct span target = bytes_span(&cursor->target);
    if (cursor->target_past && key.len >= target.len &&
        span_equal(span_slice(key, 0, target.len), target))
        return true;
    return span_compare(key, target) < 0;
}

/* May the target stand in this frame's page? Its first candidate must not be in a page before. */
static bool frame_holds(const struct tree_cursor *cursor, const struct tree_path_frame *frame)
{
    const struct page *page = &frame->page.page;
    bool from_here = !frame->place.has_after || cursor_before(cursor, frame->place.after);
    return from_here && !cursor_before(cursor, page->entries[page->entry_count - 1].key);
}

static void frame_search(const struct tree_cursor *cursor, struct tree_path_frame *frame)
{
    const struct page *page = &frame->page.page;
    size_t low = 0;
    size_t high = page->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cursor_before(cursor, page->entries[middle].key))
            low = middle + 1;
        else
            high = middle;
    }
    frame->at = low;
}

static enum err_code cursor_start(struct tree_cursor *cursor, struct err *err)
{
    if (!cursor->is_started)
        TRY(tree_path_start(&cursor->path, err));
    cursor->is_started = true;
    return ERR_OK;
}

/* To the item that holds the target in a page of this level, or to the end. */
static enum err_code cursor_descend(struct tree_cursor *cursor, uint32_t level, struct err *err)
{
    struct tree_path *path = &cursor->path;
    while (path->depth > 1 &&
           (tree_path_level(path) < level || !frame_holds(cursor, &path->frames[path->depth - 1])))
        tree_path_pop(path);
    frame_search(cursor, &path->frames[path->depth - 1]);
    while (tree_path_item(path) != NULL && tree_path_level(path) > level) {
        TRY(tree_path_push(path, err));
        frame_search(cursor, &path->frames[path->depth - 1]);
    }
    return ERR_OK;
}

enum err_code tree_cursor_next(struct tree_cursor *cursor, const struct page_entry **ret_entry,
                               struct err *err)
{
    struct tree_path *path = &cursor->path;
    TRY(cursor_start(cursor, err));
    if (cursor->has_target)
        TRY(cursor_descend(cursor, 0, err));
    else if (cursor->is_given && tree_path_item(path) != NULL)
        tree_path_step(path);
    cursor->has_target = false;
    cursor->is_given = false;
    while (tree_path_item(path) != NULL && tree_path_level(path) > 0)
        TRY(tree_path_push(path, err));
    cursor->is_given = true;
    *ret_entry = tree_path_item(path);
    return ERR_OK;
}

/* ---- look-up ---- */

enum err_code tree_cursor_get(struct tree_cursor *cursor, struct span key,
                              const struct page_entry **ret_entry, struct err *err)
{
    const struct page_entry *entry = NULL;
    tree_cursor_seek(cursor, key);
    TRY(tree_cursor_next(cursor, &entry, err));
    if (entry == NULL || !span_equal(entry->key, key))
        return err_set(err, ERR_NOT_FOUND, "no such key in this tree");
    *ret_entry = entry;
    return ERR_OK;
}

enum err_code tree_cursor_get_page(struct tree_cursor *cursor, uint32_t level, struct span key,
                                   struct digest *ret_digest, struct err *err)
{
    struct tree_path *path = &cursor->path;
    TRY(cursor_start(cursor, err));
    uint32_t root_level = path->frames[0].page.page.level;
    if (level == root_level) {
        *ret_digest = path->tree.root;
        return ERR_OK;
    }
    tree_cursor_seek(cursor, key); /* stays the target: a next call goes on from there */
    const struct page_entry *item = NULL;
    if (level < root_level) {
        TRY(cursor_descend(cursor, level + 1, err));
        item = tree_path_item(path);
    }
    if (item == NULL)
        return err_set(err, ERR_NOT_FOUND, "no such page in this tree");
    *ret_digest = item->child.digest;
    return ERR_OK;
}

enum err_code tree_cursor_frame(struct tree_cursor *cursor, uint32_t level, struct span key,
                                const struct tree_path_frame **ret_frame, struct err *err)
{
    struct tree_path *path = &cursor->path;
    TRY(cursor_start(cursor, err));
    tree_cursor_seek(cursor, key);
    TRY(cursor_descend(cursor, level, err));
    bool holds = tree_path_item(path) != NULL && tree_path_level(path) == level;
    *ret_frame = holds ? &path->frames[path->depth - 1] : NULL;
    return ERR_OK;
}
