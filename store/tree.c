#include "store/tree.h"

/* ---- pages ---- */

void tree_page_deinit(struct tree_page *page)
{
    arena_deinit(&page->arena);
    bytes_deinit(&page->encoded);
}

enum err_code tree_page_read(const struct page_source *source, const struct digest *digest,
                             const struct page_place *place, struct tree_page *page,
                             struct err *err)
{
    char hex[DIGEST_HEX_BYTES];
    page->page = (struct page){0};
    enum err_code code = source->read(source->context, digest, &page->encoded, err);
    if (code != ERR_OK)
        return code;
    struct digest actual = page_digest(bytes_span(&page->encoded));
    if (!digest_equal(&actual, digest))
        return err_set(err, ERR_CORRUPT, "page %s: wrong digest", digest_hex(digest, hex));
    arena_deinit(&page->arena);
    arena_init(&page->arena, PAGE_ARENA_BYTES);
    struct err broken = {0};
    code = page_decode(bytes_span(&page->encoded), place, &page->arena, &page->page, &broken);
    if (code == ERR_OK)
        return ERR_OK;
    page->page = (struct page){0};
    return err_set(err, code == ERR_VERSION ? ERR_VERSION : ERR_CORRUPT, "page %s: %s",
                   digest_hex(digest, hex), broken.message);
}

/* ---- roots ---- */

struct digest tree_empty_root(enum tree_kind kind)
{
    BYTES_CLEANUP struct bytes page = {0};
    page_begin(kind, 0, &page);
    return page_digest(bytes_span(&page));
}

enum err_code tree_empty(enum tree_kind kind, const struct page_sink *sink, struct digest *ret_root,
                         struct err *err)
{
    BYTES_CLEANUP struct bytes page = {0};
    page_begin(kind, 0, &page);
    struct digest root = page_digest(bytes_span(&page));
    TRY(sink->write(sink->context, &root, bytes_span(&page), err));
    *ret_root = root;
    return ERR_OK;
}

enum err_code tree_totals(const struct tree *tree, struct page_totals *ret_totals, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    struct page_place place = page_place_root(tree->kind);
    TRY(tree_page_read(tree->source, &tree->root, &place, &page, err));
    *ret_totals = page.page.totals;
    return ERR_OK;
}

/* ---- look-up ---- */

/* Going down replaces the page that the place borrows from: its keys are copied. */
struct descent {
    const struct tree *tree;
    struct tree_page *page;
    struct digest digest;
    struct page_place place;
    struct bytes after;
    struct bytes last;
};

static void descent_deinit(struct descent *descent)
{
    bytes_deinit(&descent->after);
    bytes_deinit(&descent->last);
}
#define DESCENT_CLEANUP __attribute__((cleanup(descent_deinit)))

size_t page_search(const struct page *page, struct span key)
{
    size_t low = 0;
    size_t high = page->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (span_compare(page->entries[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum err_code descent_absent(struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no such key in this tree");
}

/* To the child whose range holds key, without reading it. */
static enum err_code descent_choose(struct descent *descent, struct span key, struct err *err)
{
    const struct page *page = &descent->page->page;
    size_t index = page_search(page, key);
    if (index == page->entry_count)
        return descent_absent(err);
    struct page_place place = page_place_child(page, &descent->place, index);
    if (index > 0) {
        bytes_clear(&descent->after);
        bytes_append_span(&descent->after, place.after);
    }
    place.after = bytes_span(&descent->after);
    bytes_clear(&descent->last);
    bytes_append_span(&descent->last, place.last);
    place.last = bytes_span(&descent->last);
    descent->digest = page->entries[index].child.digest;
    descent->place = place;
    return ERR_OK;
}

static enum err_code descent_read(struct descent *descent, struct err *err)
{
    return tree_page_read(descent->tree->source, &descent->digest, &descent->place, descent->page,
                          err);
}

enum err_code tree_get(const struct tree *tree, struct span key, struct tree_page *page,
                       const struct page_entry **ret_entry, struct err *err)
{
    DESCENT_CLEANUP struct descent descent = {
        .tree = tree, .page = page, .digest = tree->root, .place = page_place_root(tree->kind)};
    TRY(descent_read(&descent, err));
    while (page->page.level > 0) {
        TRY(descent_choose(&descent, key, err));
        TRY(descent_read(&descent, err));
    }
    size_t index = page_search(&page->page, key);
    if (index == page->page.entry_count || !span_equal(page->page.entries[index].key, key))
        return descent_absent(err);
    *ret_entry = &page->page.entries[index];
    return ERR_OK;
}

enum err_code tree_get_page(const struct tree *tree, uint32_t level, struct span key,
                            struct digest *ret_digest, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    DESCENT_CLEANUP struct descent descent = {
        .tree = tree, .page = &page, .digest = tree->root, .place = page_place_root(tree->kind)};
    TRY(descent_read(&descent, err));
    if (level > page.page.level)
        return descent_absent(err);
    while (page.page.level > level) {
        uint32_t reached = page.page.level - 1;
        TRY(descent_choose(&descent, key, err));
        if (reached == level)
            break;
        TRY(descent_read(&descent, err));
    }
    *ret_digest = descent.digest;
    return ERR_OK;
}
