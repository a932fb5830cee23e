#include "store/tree_check.h"
#include "store/tree_path.h"

/* ---- partitions that go across pages ---- */

struct across {
    const struct page_source *source;
    struct tree_check check;
};

static void across_deinit(struct across *across)
{
    tree_check_deinit(&across->check);
}

/* What the check refuses is said by the pages; everything else comes from reading them. */
static enum err_code across_entry(struct across *across, const struct page_entry *entry,
                                  struct err *err)
{
    struct err refused;
    if (tree_check_entry(&across->check, entry, &refused) != ERR_OK)
        return err_set(err, ERR_BAD_DATA, "%s", refused.message);
    return ERR_OK;
}

static enum err_code across_end(struct across *across, struct err *err)
{
    struct err refused;
    if (tree_check_end(&across->check, &refused) != ERR_OK)
        return err_set(err, ERR_BAD_DATA, "%s", refused.message);
    return ERR_OK;
}

/* A subtree that counts no partition goes on with one that began before it. */
static bool has_partition(const struct page_entry *child)
{
    return child->child.totals.partitions > 0;
}

/* A page that was checked where it stood when it came; if it cannot stand here, its parent lies. */
static enum err_code page_at(const struct page_source *source, const struct digest *digest,
                             const struct page_place *place, struct tree_page *page,
                             struct err *err)
{
    struct err refused;
    char hex[DIGEST_HEX_BYTES];
    TRY(source->read(source->context, digest, &page->encoded, err));
    arena_init(&page->arena, PAGE_ARENA_BYTES);
    if (page_decode(bytes_span(&page->encoded), place, &page->arena, &page->page, &refused) !=
        ERR_OK)
        return err_set(err, ERR_BAD_DATA, "page %.16s is not as its parent says: %s",
                       digest_hex(digest, hex), refused.message);
    return ERR_OK;
}

static enum err_code across_left_below(struct across *across, const struct digest *digest,
                                       const struct page_place *place, struct err *err);

/* The row groups before the subtree's first partition. */
static enum err_code across_left(struct across *across, const struct page *page,
                                 const struct page_place *place, struct err *err)
{
    for (size_t i = 0; i < page->entry_count; i++) {
        const struct page_entry *entry = &page->entries[i];
        if (entry->kind == PAGE_ENTRY_PARTITION)
            return ERR_OK;
        if (entry->kind != PAGE_ENTRY_CHILD) {
            TRY(across_entry(across, entry, err));
            continue;
        }
        struct page_place child = page_place_child(page, place, i);
        TRY(across_left_below(across, &entry->child.digest, &child, err));
        if (has_partition(entry))
            return ERR_OK;
    }
    return ERR_OK;
}

static enum err_code across_left_below(struct across *across, const struct digest *digest,
                                       const struct page_place *place, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    TRY(page_at(across->source, digest, place, &page, err));
    return across_left(across, &page.page, place, err);
}

static bool begins_partition(const struct page_entry *entry)
{
    return entry->kind == PAGE_ENTRY_PARTITION ||
           (entry->kind == PAGE_ENTRY_CHILD && has_partition(entry));
}

static enum err_code across_right_below(struct across *across, const struct digest *digest,
                                        const struct page_place *place, struct err *err);

/* The subtree's last partition and all after it; the subtree has one. */
static enum err_code across_right(struct across *across, const struct page *page,
                                  const struct page_place *place, struct err *err)
{
    size_t i = page->entry_count;
    while (i > 0 && !begins_partition(&page->entries[i - 1]))
        i--;
    ASSERT(i > 0); /* its totals, which page_decode added up, say so */
    for (i--; i < page->entry_count; i++) {
        const struct page_entry *entry = &page->entries[i];
        if (entry->kind != PAGE_ENTRY_CHILD) {
            TRY(across_entry(across, entry, err));
            continue;
        }
        struct page_place child = page_place_child(page, place, i);
        TRY(has_partition(entry) ? across_right_below(across, &entry->child.digest, &child, err)
                                 : across_left_below(across, &entry->child.digest, &child, err));
    }
    return ERR_OK;
}

static enum err_code across_right_below(struct across *across, const struct digest *digest,
                                        const struct page_place *place, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    TRY(page_at(across->source, digest, place, &page, err));
    return across_right(across, &page.page, place, err);
}

/* ---- what another tree has proven ---- */

/* Which children are read; the others are proven, and so is what goes from one to the next. */
struct unproven {
    bool *reads;
};

static void unproven_deinit(struct unproven *unproven)
{
    mem_free(unproven->reads);
}

static bool places_equal(const struct page_place *a, const struct page_place *b)
{
    return a->tree == b->tree && a->level == b->level && a->is_rightmost == b->is_rightmost &&
           a->has_after == b->has_after && (!a->has_after || span_equal(a->after, b->after)) &&
           span_equal(a->last, b->last) && a->totals.rows == b->totals.rows &&
           a->totals.bytes == b->totals.bytes && a->totals.partitions == b->totals.partitions;
}

/* The same page below the same key, beyond the same key: page_decode would say the same of it. */
static bool child_is_proven(struct tree_cursor *proven, const struct page_entry *entry,
                            const struct page_place *place)
{
    const struct tree_path_frame *frame;
    struct err gone;
    if (proven == NULL ||
        tree_cursor_frame(proven, place->level + 1, entry->key, &frame, &gone) != ERR_OK ||
        frame == NULL)
        return false;
    struct page_place there = page_place_child(&frame->page.page, &frame->place, frame->at);
    return digest_equal(&frame->page.page.entries[frame->at].child.digest, &entry->child.digest) &&
           places_equal(&there, place);
}

/* A partition goes from the child in which it begins through those that begin none into the next
 * that does. Two neighbours that are proven are neighbours there (`after`): so what goes across
 * them was added up there, unless it begins or ends in a child that is not proven. */
static void unproven_spread(const struct page *page, bool *reads)
{
    bool first_is = reads[0], last_is; /* not proven; reads is set on the way */
    for (size_t first = 0, last; first + 1 < page->entry_count; first = last, first_is = last_is) {
        bool any = first_is;
        last = first;
        do {
            last_is = reads[++last];
            any = any || last_is;
        } while (last + 1 < page->entry_count && !has_partition(&page->entries[last]));
        for (size_t i = first; any && i <= last; i++)
            reads[i] = true;
    }
}

static void unproven_find(const struct page *page, const struct page_place *place,
                          struct tree_cursor *proven, struct unproven *ret_unproven)
{
    bool *reads = mem_calloc(page->entry_count + 1, sizeof(*reads));
    for (size_t i = 0; i < page->entry_count; i++) {
        struct page_place at = page_place_child(page, place, i);
        reads[i] = !child_is_proven(proven, &page->entries[i], &at);
    }
    if (page->tree == TREE_MANIFEST)
        unproven_spread(page, reads);
    ret_unproven->reads = reads;
}

/* ---- a page and its children ---- */

/* Children that are read one after the other; a partition that goes into the first from one that is
 * not read is proven. */
struct run {
    bool begun;   /* a partition, in a child before */
    bool is_last; /* the next child is proven: what begins in this one and goes on there is, too */
};

static enum err_code across_child(struct across *across, const struct page_entry *entry,
                                  const struct page_place *place, struct run *run, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page child = {0}; /* read once: most of the cost is here */
    TRY(page_at(across->source, &entry->child.digest, place, &child, err));
    if (place->tree != TREE_MANIFEST)
        return ERR_OK;
    if (run->begun)
        TRY(across_left(across, &child.page, place, err));
    if (run->is_last)
        return across_end(across, err);
    if (!has_partition(entry))
        return ERR_OK;
    run->begun = true;
    return across_right(across, &child.page, place, err);
}

enum err_code tree_page_check_across(const struct page_source *source, const struct page *page,
                                     const struct page_place *place, struct tree_cursor *proven,
                                     struct err *err)
{
    if (page->level == 0)
        return ERR_OK;
    __attribute__((cleanup(across_deinit))) struct across across = {.source = source};
    __attribute__((cleanup(unproven_deinit))) struct unproven unproven = {0};
    unproven_find(page, place, proven, &unproven);
    struct run run = {.begun = !place->has_after}; /* else one of the page before goes on first */
    for (size_t i = 0; i < page->entry_count; i++) {
        struct page_place at = page_place_child(page, place, i);
        if (!unproven.reads[i]) {
            run.begun = false; /* what was under way has ended, added up */
            continue;
        }
        run.is_last = i + 1 < page->entry_count && !unproven.reads[i + 1];
        TRY(across_child(&across, &page->entries[i], &at, &run, err));
    }
    return place->is_rightmost ? across_end(&across, err) : ERR_OK;
}

enum err_code tree_root_check(const struct tree *tree, struct tree_cursor *proven, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    struct page_place place = page_place_root(tree->kind);
    struct err refused;
    TRY(page_at(tree->source, &tree->root, &place, &page, err));
    if (tree_page_check(&page.page, &place, &refused) != ERR_OK)
        return err_set(err, ERR_BAD_DATA, "%s", refused.message);
    return tree_page_check_across(tree->source, &page.page, &place, proven, err);
}

/* ---- partitions and their attributes ---- */

/* Reads the trees without entries, too, which nobody may have stored. */
struct with_empty {
    const struct page_source *below;
};

static enum err_code with_empty_read(void *context, const struct digest *digest,
                                     struct bytes *ret_page, struct err *err)
{
    static const enum tree_kind kinds[] = {TREE_MANIFEST, TREE_ATTRIBUTES};
    const struct with_empty *with_empty = context;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct digest empty = tree_empty_root(kinds[i]);
        if (!digest_equal(&empty, digest))
            continue;
        bytes_clear(ret_page);
        page_begin(kinds[i], 0, ret_page);
        return ERR_OK;
    }
    return with_empty->below->read(with_empty->below->context, digest, ret_page, err);
}

/* A key that one tree has and the other has not. */
struct change {
    struct span key;
    bool is_added;
};

/* *ret_any false: no more. Changes of what both have are passed over. */
static enum err_code change_next(struct tree_diff *diff, enum page_entry_kind kind,
                                 struct change *ret_change, bool *ret_any, struct err *err)
{
    for (;;) {
        const struct page_entry *old, *new;
        TRY(tree_diff_next(diff, &old, &new, err));
        *ret_any = old != NULL || new != NULL;
        if (!*ret_any)
            return ERR_OK;
        const struct page_entry *entry = new != NULL ? new : old;
        if ((old != NULL && new != NULL) || entry->kind != kind)
            continue;
        *ret_change = (struct change){.key = entry->key, .is_added = new != NULL};
        return ERR_OK;
    }
}

enum err_code tree_partitions_match(const struct tree_pair *old, const struct tree_pair *new,
                                    struct err *err)
{
    struct with_empty with_empty = {.below = new->source};
    const struct page_source source = {.read = with_empty_read, .context = &with_empty};
    const struct tree manifests[2] = {
        {&source, TREE_MANIFEST, old != NULL ? old->manifest : tree_empty_root(TREE_MANIFEST)},
        {&source, TREE_MANIFEST, new->manifest}};
    const struct tree attributes[2] = {
        {&source, TREE_ATTRIBUTES,
         old != NULL ? old->attributes : tree_empty_root(TREE_ATTRIBUTES)},
        {&source, TREE_ATTRIBUTES, new->attributes}};
    TREE_DIFF_CLEANUP struct tree_diff *first = tree_diff_new(&manifests[0], &manifests[1]);
    TREE_DIFF_CLEANUP struct tree_diff *second = tree_diff_new(&attributes[0], &attributes[1]);
    for (;;) {
        struct change partition, attribute;
        bool more_partitions, more_attributes;
        TRY(change_next(first, PAGE_ENTRY_PARTITION, &partition, &more_partitions, err));
        TRY(change_next(second, PAGE_ENTRY_ATTRIBUTE, &attribute, &more_attributes, err));
        if (!more_partitions && !more_attributes)
            return ERR_OK;
        if (more_partitions != more_attributes || partition.is_added != attribute.is_added ||
            !span_equal(partition.key, attribute.key))
            return err_set(err, ERR_BAD_DATA, "partitions and their attributes differ");
    }
}
