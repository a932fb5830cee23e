#include "store/page_memory.h"

#include "store/mark.h"

struct page_memory_slot {
    struct digest digest;
    struct bytes page; /* len 0: free (no page is empty) */
};

void page_memory_deinit(struct page_memory *memory)
{
    for (size_t i = 0; i < memory->slot_count; i++)
        bytes_deinit(&memory->slots[i].page);
    mem_free(memory->slots);
    *memory = (struct page_memory){0};
}

/* The digest's slot, or the free one where it would go. */
static struct page_memory_slot *slot_of(const struct page_memory *memory,
                                        const struct digest *digest)
{
    size_t at = (size_t)mark_spread(digest->b);
    for (;; at++) {
        struct page_memory_slot *slot = &memory->slots[at & (memory->slot_count - 1)];
        if (slot->page.len == 0 || digest_equal(&slot->digest, digest))
            return slot;
    }
}

static void grow(struct page_memory *memory)
{
    struct page_memory larger = {.slot_count =
                                     memory->slot_count == 0 ? 64 : 2 * memory->slot_count};
    larger.slots = mem_calloc(larger.slot_count, sizeof(*larger.slots));
    for (size_t i = 0; i < memory->slot_count; i++) {
        if (memory->slots[i].page.len > 0)
            *slot_of(&larger, &memory->slots[i].digest) = memory->slots[i];
    }
    mem_free(memory->slots);
    memory->slots = larger.slots;
    memory->slot_count = larger.slot_count;
}

struct span page_memory_find(const struct page_memory *memory, const struct digest *digest)
{
    return memory->slot_count == 0 ? span_of(NULL, 0) : bytes_span(&slot_of(memory, digest)->page);
}

static enum err_code memory_read(void *context, const struct digest *digest, struct bytes *ret_page,
                                 struct err *err)
{
    struct page_memory *memory = context;
    struct span page = page_memory_find(memory, digest);
    if (page.len == 0)
        return err_set(err, ERR_NOT_FOUND, "no such page");
    memory->reads++;
    bytes_clear(ret_page);
    bytes_append_span(ret_page, page);
    return ERR_OK;
}

static enum err_code memory_write(void *context, const struct digest *digest, struct span page,
                                  struct err *err)
{
    (void)err;
    struct page_memory *memory = context;
    if (memory->page_count * 2 >= memory->slot_count)
        grow(memory);
    memory->writes++;
    struct page_memory_slot *slot = slot_of(memory, digest);
    if (slot->page.len > 0)
        return ERR_OK;
    slot->digest = *digest;
    bytes_append_span(&slot->page, page);
    memory->page_count++;
    memory->page_bytes += page.len;
    return ERR_OK;
}

struct page_source page_memory_source(struct page_memory *memory)
{
    return (struct page_source){.read = memory_read, .context = memory};
}

struct page_sink page_memory_sink(struct page_memory *memory)
{
    return (struct page_sink){.write = memory_write, .context = memory};
}
