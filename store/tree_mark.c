#include "store/tree_check.h"

/* ---- mark ---- */

struct mark {
    const struct tree *tree;
    const struct tree_visitor *visitor;
};

static enum err_code mark_page(const struct mark *mark, const struct digest *digest,
                               const struct page_place *place, struct err *err);

static enum err_code mark_entry(const struct mark *mark, const struct page *page,
                                const struct page_place *place, size_t index, struct err *err)
{
    const struct page_entry *entry = &page->entries[index];
    if (entry->kind == PAGE_ENTRY_CHILD) {
        struct page_place child = page_place_child(page, place, index);
        return mark_page(mark, &entry->child.digest, &child, err);
    }
    if (entry->kind != PAGE_ENTRY_ROW_GROUP || mark->visitor->file == NULL)
        return ERR_OK;
    for (size_t i = 0; i < entry->row_group.file_count; i++)
        TRY(mark->visitor->file(mark->visitor->context, &entry->row_group.files[i], err));
    return ERR_OK;
}

/* As deep as the tree: LIMIT_TREE_DEPTH. */
static enum err_code mark_page(const struct mark *mark, const struct digest *digest,
                               const struct page_place *place, struct err *err)
{
    bool descend = true;
    TRY(mark->visitor->page(mark->visitor->context, digest, &descend, err));
    if (!descend)
        return ERR_OK;
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    TRY(tree_page_read(mark->tree->source, digest, place, &page, err));
    for (size_t i = 0; i < page.page.entry_count; i++)
        TRY(mark_entry(mark, &page.page, place, i, err));
    return ERR_OK;
}

enum err_code tree_mark(const struct tree *tree, const struct tree_visitor *visitor,
                        struct err *err)
{
    struct mark mark = {.tree = tree, .visitor = visitor};
    struct page_place place = page_place_root(tree->kind);
    return mark_page(&mark, &tree->root, &place, err);
}

/* ---- check ---- */

void tree_check_deinit(struct tree_check *check)
{
    bytes_deinit(&check->key);
    bytes_deinit(&check->group_files);
    bytes_deinit(&check->sort_first);
    bytes_deinit(&check->sort_last);
}

static enum err_code check_refuse(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "manifest tree: %s", what);
}

enum err_code tree_check_end(const struct tree_check *check, struct err *err)
{
    if (!check->has_partition)
        return ERR_OK;
    if (check->rows != check->partition.row_count)
        return check_refuse("rows of a partition do not add up", err);
    if (check->bytes != check->partition.byte_count)
        return check_refuse("bytes of a partition do not add up", err);
    if (check->segments > check->partition.segment_count)
        return check_refuse("more segments than the partition says", err);
    return ERR_OK;
}

static void check_files(struct tree_check *check, const struct page_row_group *group)
{
    for (size_t i = 0; i < group->file_count; i++) {
        const struct page_file *file = &group->files[i];
        bool known = false;
        for (size_t at = 0; at < check->group_files.len && !known; at += DIGEST_BYTES)
            known = memcmp(check->group_files.data + at, file->digest.b, DIGEST_BYTES) == 0;
        if (known)
            continue;
        bytes_append_span(&check->group_files, digest_span(&file->digest));
        check->bytes += file->bytes;
    }
}

/* Does the row group lie where the partition's clustering says? Buckets ascend in a segment, and so
 * do the sort keys in a bucket; of a range they do throughout. What the rows hold is asked by
 * cluster_check (store/cluster_check.h). */
static enum err_code check_bucket(const struct tree_check *check,
                                  const struct page_row_group *group, bool is_first,
                                  struct err *err)
{
    const struct clustering *clustering = &check->partition.clustering;
    if (group->bucket >= clustering_bucket_limit(clustering))
        return check_refuse("a bucket that the partition does not have", err);
    if ((group->sort_first.len > 0) != clustering_is_sorted(clustering))
        return check_refuse("sort keys in a partition that is not sorted, or none in one that is",
                            err);
    if (is_first)
        return ERR_OK;
    if (group->bucket < check->group_bucket)
        return check_refuse("buckets of a segment out of order", err);
    bool goes_on = group->bucket == check->group_bucket || clustering->kind == CLUSTERING_RANGE;
    if (goes_on && span_compare(group->sort_first, bytes_span(&check->sort_last)) < 0)
        return check_refuse("sort keys of a bucket out of order", err);
    return ERR_OK;
}

/* Another entry of the row group under way: the same of both. */
static enum err_code check_same_group(const struct tree_check *check,
                                      const struct page_row_group *group, struct err *err)
{
    if (group->row_count != check->group_rows)
        return check_refuse("columns of a row group differ in rows", err);
    if (group->bucket != check->group_bucket ||
        !span_equal(group->sort_first, bytes_span(&check->sort_first)) ||
        !span_equal(group->sort_last, bytes_span(&check->sort_last)))
        return check_refuse("columns of a row group differ in bucket or sort keys", err);
    return ERR_OK;
}

static enum err_code check_row_group(struct tree_check *check, const struct page_entry *entry,
                                     struct err *err)
{
    struct row_group_place place;
    struct span partition = row_group_key_split(entry->key, &place);
    if (!check->has_partition || !span_equal(partition, bytes_span(&check->key)))
        return check_refuse("a row group without its partition", err);
    const struct page_row_group *group = &entry->row_group;
    bool is_next = !check->has_group || place.segment != check->group.segment ||
                   place.row_group != check->group.row_group;
    if (!is_next) {
        TRY(check_same_group(check, group, err));
    } else {
        bool is_first = !check->has_group || place.segment != check->group.segment;
        TRY(check_bucket(check, group, is_first, err));
        bytes_clear(&check->group_files);
        check->rows += group->row_count;
        check->group_rows = group->row_count;
        check->group_bucket = group->bucket;
        bytes_clear(&check->sort_first);
        bytes_append_span(&check->sort_first, group->sort_first);
        bytes_clear(&check->sort_last);
        bytes_append_span(&check->sort_last, group->sort_last);
    }
    if (place.segment >= check->segments)
        check->segments = place.segment == UINT32_MAX ? UINT32_MAX : place.segment + 1;
    check->has_group = true;
    check->group = place;
    check_files(check, group);
    return ERR_OK;
}

enum err_code tree_check_entry(struct tree_check *check, const struct page_entry *entry,
                               struct err *err)
{
    if (entry->kind == PAGE_ENTRY_ROW_GROUP)
        return check_row_group(check, entry, err);
    TRY(tree_check_end(check, err));
    check->has_partition = true;
    check->partition = entry->partition;
    bytes_clear(&check->key);
    bytes_append_span(&check->key, entry->key);
    check->rows = 0;
    check->bytes = 0;
    check->segments = 0;
    check->has_group = false;
    return ERR_OK;
}

enum err_code tree_check(const struct tree *tree, struct err *err)
{
    TREE_CURSOR_CLEANUP struct tree_cursor *cursor = tree_cursor_new(tree);
    __attribute__((cleanup(tree_check_deinit))) struct tree_check check = {0};
    const struct page_entry *entry = NULL;
    for (;;) {
        TRY(tree_cursor_next(cursor, &entry, err));
        if (entry == NULL)
            break;
        if (tree->kind == TREE_MANIFEST)
            TRY(tree_check_entry(&check, entry, err));
    }
    return tree_check_end(&check, err);
}

enum err_code tree_page_check(const struct page *page, const struct page_place *place,
                              struct err *err)
{
    if (page->tree != TREE_MANIFEST || page->level > 0)
        return ERR_OK;
    __attribute__((cleanup(tree_check_deinit))) struct tree_check check = {0};
    size_t i = 0;
    while (place->has_after && i < page->entry_count &&
           page->entries[i].kind == PAGE_ENTRY_ROW_GROUP)
        i++; /* of a partition that began on the page before */
    for (; i < page->entry_count; i++)
        TRY(tree_check_entry(&check, &page->entries[i], err));
    return place->is_rightmost ? tree_check_end(&check, err) : ERR_OK;
}
