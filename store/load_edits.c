#include "store/load_edits.h"

/* Looks a key up in the base. As keys ascend, the leaf of the one before often has the answer.
 * NULL: it is not there. */
static enum err_code base_find(struct load_edits *edits, struct span key,
                               const struct page_entry **ret_entry, struct err *err)
{
    const struct page *leaf = &edits->base_leaf.page;
    *ret_entry = NULL;
    if (edits->base_passed)
        return ERR_OK;
    if (edits->base_leaf_read && span_compare(key, leaf->entries[leaf->entry_count - 1].key) <= 0) {
        const struct page_entry *entry = &leaf->entries[page_search(leaf, key)];
        *ret_entry = span_equal(entry->key, key) ? entry : NULL;
        return ERR_OK;
    }
    edits->base_leaf_read = false;
    struct err reason;
    enum err_code code = tree_get(edits->base, key, &edits->base_leaf, ret_entry, &reason);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return err_set(err, code, "%s", reason.message);
    /* A descent ends above the leaves, or in a leaf whose keys are all smaller, only at the end. */
    edits->base_leaf_read = leaf->level == 0 && leaf->entry_count > 0 &&
                            span_compare(key, leaf->entries[leaf->entry_count - 1].key) <= 0;
    edits->base_passed = !edits->base_leaf_read;
    return ERR_OK;
}

/* The entry that the partition has before the load; unchanged when it has none. */
static enum err_code old_partition(struct load_edits *edits, struct span key,
                                   struct page_partition *partition, struct err *err)
{
    const struct page_entry *entry = NULL;
    TRY(base_find(edits, key, &entry, err));
    if (entry != NULL)
        *partition = entry->partition;
    return ERR_OK;
}

/* For load_next: how the partition that it comes to is stored. */
static enum err_code edits_clustering(void *context, struct span key,
                                      struct clustering *ret_clustering, struct err *err)
{
    struct load_edits *edits = context;
    const struct page_entry *entry = NULL;
    if (edits->mode == LOAD_INTO)
        TRY(base_find(edits, key, &entry, err));
    *ret_clustering = entry != NULL ? entry->partition.clustering : edits->clustering;
    return ERR_OK;
}

void load_edits_init(struct load_edits *edits, struct load *load, const struct tree *base,
                     enum load_mode mode)
{
    *edits = (struct load_edits){.load = load, .base = base, .mode = mode};
    load_set_clustering(load, (struct load_clustering){.find = edits_clustering, .context = edits});
}

void load_edits_deinit(struct load_edits *edits)
{
    bytes_deinit(&edits->key);
    tree_page_deinit(&edits->base_leaf);
}

static enum err_code put_partition(struct load_edits *edits, struct err *err)
{
    const struct segment *segment = &edits->partition->segment;
    struct page_partition content = {.clustering = edits->clustering};
    if (edits->mode == LOAD_INTO)
        TRY(old_partition(edits, edits->partition->key, &content, err));
    edits->segment_number = content.segment_count;
    content.segment_count += segment->row_count > 0 ? 1 : 0;
    content.row_count += segment->row_count;
    content.byte_count += segment->byte_count;
    content.checksum = row_checksum_add(content.checksum, segment->checksum);
    edits->entry = (struct page_entry){
        .kind = PAGE_ENTRY_PARTITION, .key = edits->partition->key, .partition = content};
    edits->rows += segment->row_count;
    edits->partition_count++;
    edits->partition_given = true;
    edits->entry_at = 0;
    return ERR_OK;
}

static void put_row_group(struct load_edits *edits)
{
    const struct segment_entry *entry = &edits->partition->segment.entries[edits->entry_at++];
    struct row_group_place place = {.segment = edits->segment_number,
                                    .row_group = entry->row_group,
                                    .column_id = entry->column_id};
    bytes_clear(&edits->key);
    row_group_key(edits->partition->key, place, &edits->key);
    edits->entry = (struct page_entry){
        .kind = PAGE_ENTRY_ROW_GROUP, .key = bytes_span(&edits->key), .row_group = entry->content};
}

static struct tree_edit delete_under(struct span key)
{
    return (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = key};
}

/* The next partition of the load, NULL at the end. */
static enum err_code next_partition(struct load_edits *edits, struct err *err)
{
    edits->partition_given = false;
    return load_next(edits->load, &edits->partition, err);
}

static enum err_code edits_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                struct err *err)
{
    struct load_edits *edits = context;
    *ret_end = false;
    if (edits->mode == LOAD_REPLACE && !edits->cleared) {
        edits->cleared = true;
        *ret_edit = delete_under(span_of(NULL, 0));
        return ERR_OK;
    }
    bool done = edits->partition != NULL && edits->partition_given &&
                edits->entry_at == edits->partition->segment.entry_count;
    if (edits->partition == NULL || done) {
        TRY(next_partition(edits, err));
        *ret_end = edits->partition == NULL;
        if (edits->partition == NULL)
            return ERR_OK;
        if (edits->mode == LOAD_OVERWRITE) {
            *ret_edit = delete_under(edits->partition->key);
            return ERR_OK;
        }
    }
    if (edits->partition_given)
        put_row_group(edits);
    else
        TRY(put_partition(edits, err));
    *ret_edit = (struct tree_edit){.kind = TREE_PUT, .entry = &edits->entry};
    return ERR_OK;
}

struct tree_edit_source load_edits_source(struct load_edits *edits)
{
    return (struct tree_edit_source){.next = edits_next, .context = edits};
}
