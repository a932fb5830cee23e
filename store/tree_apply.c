#include "store/tree.h"

#include "proto/key.h"

/* A new tree from an old one, in one walk over both the old tree and the edits.
 *
 *     old tree, left to right          chunks, one a level               sink
 *     untouched subtree  ------------> entry of the level above
 *     touched leaf + edits -- entry -> level 0 | e e e | cut? --> page -> written
 *                                      level 1 | e | <-- its name
 *                                      level 2 ...
 *
 * Why the result depends on content alone: a page's cut depends on nothing but its own entries from
 * its first on. So a subtree may be taken over whole exactly when all chunks at and below its level
 * are empty (the new pages begin where it begins) and no edit falls into it; and after an edit entries
 * are copied one by one until an old page and a new one end at the same key.
 *
 * Invariants: 1. entries go into a chunk in ascending order. 2. The last page of a level in the old
 * tree may have ended early: it is taken over only when nothing can follow it. 3. The root is the
 * lowest level with one page.
 */

struct chunk {
    struct bytes page;
    struct page_cut cut; /* of the page under way: entries 0 when there is none */
    struct page_totals totals;
    struct bytes last_key;
    uint64_t emitted; /* entries that ever came to this level */
    struct digest last_child;
    bool last_child_is_old; /* taken over, not written here */
};

struct apply {
    const struct tree *tree;
    const struct page_sink *sink;
    const struct tree_edit_source *edits;
    struct chunk chunks[LIMIT_TREE_DEPTH];
    struct digest old_pages[LIMIT_TREE_DEPTH]; /* last old page read on each level */
    bool has_edit;                             /* edit is the next one */
    struct tree_edit edit;
    struct span edit_key;
    struct bytes previous_key; /* of the edit before: their order is checked */
    bool previous_is_many;     /* it deleted a prefix or a range */
    bool has_previous;
    bool is_deleting; /* old keys go that are below `until`, or all without it */
    bool has_until;
    struct bytes until;
    struct bytes scratch; /* an encoded entry */
    struct tree_apply_result result;
};

static void apply_deinit(struct apply *apply)
{
    for (size_t i = 0; i < LIMIT_TREE_DEPTH; i++) {
        bytes_deinit(&apply->chunks[i].page);
        bytes_deinit(&apply->chunks[i].last_key);
    }
    bytes_deinit(&apply->previous_key);
    bytes_deinit(&apply->until);
    bytes_deinit(&apply->scratch);
}

/* ---- chunks: building pages ---- */

static enum err_code chunk_add(struct apply *apply, uint32_t level, const struct page_entry *entry,
                               struct err *err);

static enum err_code chunk_write(struct apply *apply, uint32_t level, struct digest *ret_digest,
                                 struct err *err)
{
    const struct chunk *chunk = &apply->chunks[level];
    struct span page = bytes_span(&chunk->page);
    struct digest digest = page_digest(page);
    if (!digest_equal(&digest, &apply->old_pages[level])) {
        TRY(apply->sink->write(apply->sink->context, &digest, page, err));
        apply->result.pages_written++;
    }
    *ret_digest = digest;
    return ERR_OK;
}

/* Ends the page under way and hands its name to the level above. */
static enum err_code chunk_flush(struct apply *apply, uint32_t level, struct err *err)
{
    struct chunk *chunk = &apply->chunks[level];
    struct page_entry entry = {
        .kind = PAGE_ENTRY_CHILD,
        .key = bytes_span(&chunk->last_key),
        .child.totals = chunk->totals,
    };
    TRY(chunk_write(apply, level, &entry.child.digest, err));
    BYTES_CLEANUP struct bytes raw = {0};
    TRY(page_entry_encode(&entry, &raw, err));
    entry.raw = bytes_span(&raw);
    TRY(chunk_add(apply, level + 1, &entry, err));
    chunk->cut = (struct page_cut){.level = level};
    chunk->totals = (struct page_totals){0};
    return ERR_OK;
}

static enum err_code chunk_count(struct chunk *chunk, const struct page_entry *entry,
                                 struct err *err)
{
    struct page_totals more = page_entry_totals(entry);
    struct page_totals *sum = &chunk->totals;
    if (__builtin_add_overflow(sum->rows, more.rows, &sum->rows) ||
        __builtin_add_overflow(sum->bytes, more.bytes, &sum->bytes) ||
        __builtin_add_overflow(sum->partitions, more.partitions, &sum->partitions))
        return err_set(err, ERR_LIMIT, "tree: counts overflow");
    return ERR_OK;
}

/* Takes the entry's raw form. A chunk is at most as deep as the tree: flushes recurse upward. */
static enum err_code chunk_add(struct apply *apply, uint32_t level, const struct page_entry *entry,
                               struct err *err)
{
    if (level >= LIMIT_TREE_DEPTH)
        return err_set(err, ERR_LIMIT, "tree: deeper than %d levels", LIMIT_TREE_DEPTH);
    struct chunk *chunk = &apply->chunks[level];
    if (chunk->cut.entries == 0)
        page_begin(apply->tree->kind, level, &chunk->page);
    TRY(chunk_count(chunk, entry, err));
    page_append_raw(&chunk->page, entry->raw);
    chunk->cut.level = level;
    chunk->cut.entries++;
    chunk->cut.entry_bytes = entry->raw.len;
    chunk->cut.page_bytes += entry->raw.len;
    chunk->emitted++;
    bytes_clear(&chunk->last_key);
    bytes_append_span(&chunk->last_key, entry->key);
    if (level > 0) {
        chunk->last_child = entry->child.digest;
        chunk->last_child_is_old = false;
    }
    return page_cuts(&chunk->cut, entry->key) ? chunk_flush(apply, level, err) : ERR_OK;
}

static bool chunks_empty_to(const struct apply *apply, uint32_t level)
{
    for (uint32_t i = 0; i <= level; i++) {
        if (apply->chunks[i].cut.entries > 0)
            return false;
    }
    return true;
}

/* ---- edits ---- */

static enum err_code edit_order_check(struct apply *apply, struct err *err)
{
    struct span previous = bytes_span(&apply->previous_key);
    bool is_many = apply->edit.kind == TREE_DELETE_PREFIX || apply->edit.kind == TREE_DELETE_RANGE;
    int order = apply->has_previous ? span_compare(previous, apply->edit_key) : -1;
    if (order > 0 || (order == 0 && !(apply->previous_is_many && !is_many)))
        return err_set(err, ERR_INTERNAL, "tree: edits out of order");
    bytes_clear(&apply->previous_key);
    bytes_append_span(&apply->previous_key, apply->edit_key);
    apply->previous_is_many = is_many;
    apply->has_previous = true;
    return ERR_OK;
}

static enum err_code edit_pull(struct apply *apply, struct err *err)
{
    bool end = false;
    TRY(apply->edits->next(apply->edits->context, &apply->edit, &end, err));
    apply->has_edit = !end;
    if (end)
        return ERR_OK;
    apply->edit_key = apply->edit.kind == TREE_PUT ? apply->edit.entry->key : apply->edit.key;
    return edit_order_check(apply, err);
}

static enum err_code edit_put(struct apply *apply, struct err *err)
{
    struct page_entry entry = *apply->edit.entry;
    bool is_attribute = entry.kind == PAGE_ENTRY_ATTRIBUTE;
    if (entry.kind == PAGE_ENTRY_CHILD || is_attribute != (apply->tree->kind == TREE_ATTRIBUTES))
        return err_set(err, ERR_INTERNAL, "tree: an entry of another kind of tree");
    bytes_clear(&apply->scratch);
    TRY(page_entry_encode(&entry, &apply->scratch, err));
    entry.raw = bytes_span(&apply->scratch);
    return chunk_add(apply, 0, &entry, err);
}

/* Carries out the next edit and pulls the one after it. */
static enum err_code edit_apply(struct apply *apply, struct err *err)
{
    switch (apply->edit.kind) {
    case TREE_PUT:
        TRY(edit_put(apply, err));
        break;
    case TREE_DELETE_PREFIX:
        bytes_clear(&apply->until);
        apply->has_until = key_append_prefix_end(&apply->until, apply->edit_key);
        apply->is_deleting = true;
        break;
    case TREE_DELETE_RANGE:
        bytes_clear(&apply->until);
        bytes_append_span(&apply->until, apply->edit.until);
        apply->has_until = apply->edit.until.len > 0;
        apply->is_deleting = true;
        break;
    case TREE_DELETE:
        break;
    }
    return edit_pull(apply, err);
}

/* Of a key at or beyond the deletion's first. */
static bool is_deleted(const struct apply *apply, struct span key)
{
    return !apply->has_until || span_compare(key, bytes_span(&apply->until)) < 0;
}

/* ---- the old tree ---- */

/* An old leaf entry: edits before it go first, one at its key replaces it. */
static enum err_code apply_leaf(struct apply *apply, const struct page_entry *entry,
                                struct err *err)
{
    bool gone = false;
    while (apply->has_edit) {
        int order = span_compare(apply->edit_key, entry->key);
        if (order > 0)
            break;
        if (order == 0 && (apply->edit.kind == TREE_PUT || apply->edit.kind == TREE_DELETE))
            gone = true;
        TRY(edit_apply(apply, err));
    }
    if (apply->is_deleting) {
        if (is_deleted(apply, entry->key))
            gone = true;
        else
            apply->is_deleting = false; /* keys ascend: none of its own comes any more */
    }
    return gone ? ERR_OK : chunk_add(apply, 0, entry, err);
}

/* While is_deleting holds between two pages, the last old key was deleted by it: so all that come
 * are beyond its first, and a subtree whose last key it deletes goes whole. */
static bool place_is_deleted(const struct apply *apply, const struct page_place *place)
{
    return apply->is_deleting && is_deleted(apply, place->last);
}

static bool place_is_untouched(const struct apply *apply, const struct page_place *place)
{
    if (apply->has_edit && (place->is_rightmost || span_compare(apply->edit_key, place->last) <= 0))
        return false;
    return !apply->is_deleting && chunks_empty_to(apply, place->level);
}

static enum err_code apply_page(struct apply *apply, const struct digest *digest,
                                const struct page_place *place, struct err *err);

static enum err_code apply_child(struct apply *apply, const struct page_entry *entry,
                                 const struct page_place *place, struct err *err)
{
    if (place_is_deleted(apply, place))
        return ERR_OK;
    if (!place_is_untouched(apply, place))
        return apply_page(apply, &entry->child.digest, place, err);
    TRY(chunk_add(apply, place->level + 1, entry, err));
    apply->chunks[place->level + 1].last_child_is_old = true;
    return ERR_OK;
}

static enum err_code apply_page(struct apply *apply, const struct digest *digest,
                                const struct page_place *place, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    TRY(tree_page_read(apply->tree->source, digest, place, &page, err));
    apply->result.pages_read++;
    apply->old_pages[page.page.level] = *digest;
    for (size_t i = 0; i < page.page.entry_count; i++) {
        const struct page_entry *entry = &page.page.entries[i];
        if (page.page.level == 0) {
            TRY(apply_leaf(apply, entry, err));
            continue;
        }
        struct page_place child = page_place_child(&page.page, place, i);
        TRY(apply_child(apply, entry, &child, err));
    }
    return ERR_OK;
}

/* ---- the root ---- */

/* A level with one entry is no root: the child is, or what a single child of it leads to. Only pages
 * of the old tree can be such (the last of their level); written ones have two entries or are leaves. */
static enum err_code root_descend(struct apply *apply, uint32_t level, struct err *err)
{
    const struct chunk *chunk = &apply->chunks[level];
    apply->result.root = chunk->last_child;
    if (!chunk->last_child_is_old)
        return ERR_OK;
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    BYTES_CLEANUP struct bytes last = {0};
    bytes_append_span(&last, bytes_span(&chunk->last_key));
    struct page_place place = {
        .tree = apply->tree->kind,
        .is_rightmost = true,
        .last = bytes_span(&last),
        .totals = chunk->totals,
    };
    for (uint32_t below = level; below-- > 1;) {
        place.level = below;
        TRY(tree_page_read(apply->tree->source, &apply->result.root, &place, &page, err));
        apply->result.pages_read++;
        if (page.page.entry_count > 1)
            break;
        apply->result.root = page.page.entries[0].child.digest;
    }
    return ERR_OK;
}

static bool chunks_above(const struct apply *apply, uint32_t level)
{
    for (uint32_t i = level + 1; i < LIMIT_TREE_DEPTH; i++) {
        if (apply->chunks[i].emitted > 0)
            return true;
    }
    return false;
}

static enum err_code apply_close(struct apply *apply, struct err *err)
{
    for (uint32_t level = 0; level < LIMIT_TREE_DEPTH; level++) {
        struct chunk *chunk = &apply->chunks[level];
        if (chunk->cut.entries == 0)
            continue;
        if (chunks_above(apply, level)) {
            TRY(chunk_flush(apply, level, err));
            continue;
        }
        if (level > 0 && chunk->cut.entries == 1)
            return root_descend(apply, level, err);
        return chunk_write(apply, level, &apply->result.root, err);
    }
    apply->result.pages_written++;
    return tree_empty(apply->tree->kind, apply->sink, &apply->result.root, err);
}

enum err_code tree_apply(const struct tree *tree, const struct page_sink *sink,
                         const struct tree_edit_source *edits, struct tree_apply_result *ret_result,
                         struct err *err)
{
    __attribute__((cleanup(apply_deinit))) struct apply apply = {
        .tree = tree, .sink = sink, .edits = edits};
    TRY(edit_pull(&apply, err));
    if (!apply.has_edit) {
        *ret_result = (struct tree_apply_result){.root = tree->root};
        return ERR_OK;
    }
    struct page_place place = page_place_root(tree->kind);
    TRY(apply_page(&apply, &tree->root, &place, err));
    while (apply.has_edit)
        TRY(edit_apply(&apply, err));
    TRY(apply_close(&apply, err));
    *ret_result = apply.result;
    return ERR_OK;
}

/* ---- edits from an array ---- */

static enum err_code array_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                struct err *err)
{
    (void)err;
    struct tree_edit_array *array = context;
    *ret_end = array->at == array->count;
    if (!*ret_end)
        *ret_edit = array->edits[array->at++];
    return ERR_OK;
}

struct tree_edit_source tree_edit_array_source(struct tree_edit_array *array)
{
    return (struct tree_edit_source){.next = array_next, .context = array};
}
