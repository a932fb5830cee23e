/* Decodes any bytes as the root page of either kind of tree, and as a child. What is accepted must
 * be what encoding its entries gives. */
#include "proto/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct span encoded, const struct page_place *place)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, PAGE_ARENA_BYTES);
    struct page page;
    if (page_decode(encoded, place, &arena, &page, NULL) != ERR_OK)
        return;
    BYTES_CLEANUP struct bytes again = {0};
    page_begin(page.tree, page.level, &again);
    for (size_t i = 0; i < page.entry_count; i++)
        ASSERT(page_entry_encode(&page.entries[i], &again, NULL) == ERR_OK);
    ASSERT(span_equal(bytes_span(&again), encoded));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct page_place place = page_place_root(TREE_MANIFEST);
    decode(span_of(data, size), &place);
    place = page_place_root(TREE_ATTRIBUTES);
    decode(span_of(data, size), &place);
    struct page_place child = {.tree = TREE_MANIFEST,
                               .is_rightmost = true,
                               .has_after = true,
                               .after = span_text("a"),
                               .last = span_text("z")};
    decode(span_of(data, size), &child);
    return 0;
}
