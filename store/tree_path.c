#include "store/tree_path.h"

void tree_path_deinit(struct tree_path *path)
{
    for (size_t i = 0; i < LIMIT_TREE_DEPTH; i++)
        tree_page_deinit(&path->frames[i].page);
}

enum err_code tree_path_start(struct tree_path *path, struct err *err)
{
    struct tree_path_frame *frame = &path->frames[0];
    frame->place = page_place_root(path->tree.kind);
    path->depth = 0;
    TRY(tree_page_read(path->tree.source, &path->tree.root, &frame->place, &frame->page, err));
    frame->at = 0;
    path->depth = 1;
    path->pages_read++;
    return ERR_OK;
}

const struct page_entry *tree_path_item(const struct tree_path *path)
{
    const struct tree_path_frame *frame = &path->frames[path->depth - 1];
    return frame->at < frame->page.page.entry_count ? &frame->page.page.entries[frame->at] : NULL;
}

uint32_t tree_path_level(const struct tree_path *path)
{
    return path->frames[path->depth - 1].page.page.level;
}

bool tree_path_after(const struct tree_path *path, struct span *ret_after)
{
    const struct tree_path_frame *frame = &path->frames[path->depth - 1];
    *ret_after = frame->at > 0 ? frame->page.page.entries[frame->at - 1].key : frame->place.after;
    return frame->at > 0 || frame->place.has_after;
}

enum err_code tree_path_push(struct tree_path *path, struct err *err)
{
    const struct tree_path_frame *parent = &path->frames[path->depth - 1];
    ASSERT(parent->page.page.level > 0 && path->depth < LIMIT_TREE_DEPTH);
    const struct page_entry *item = &parent->page.page.entries[parent->at];
    struct tree_path_frame *frame = &path->frames[path->depth];
    frame->place = page_place_child(&parent->page.page, &parent->place, parent->at);
    TRY(tree_page_read(path->tree.source, &item->child.digest, &frame->place, &frame->page, err));
    frame->at = 0;
    path->depth++;
    path->pages_read++;
    return ERR_OK;
}

void tree_path_pop(struct tree_path *path)
{
    ASSERT(path->depth > 1);
    path->depth--;
}

void tree_path_step(struct tree_path *path)
{
    path->frames[path->depth - 1].at++;
    while (path->depth > 1 && tree_path_item(path) == NULL) {
        path->depth--;
        path->frames[path->depth - 1].at++;
    }
}
