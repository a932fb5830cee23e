/* Pages in memory: a struct page_source and a struct page_sink, of what a peer sent to be looked at, and of
 * tests. What is too much is for the caller to say (page_bytes). One thread. */
#ifndef STORE_PAGE_MEMORY_H
#define STORE_PAGE_MEMORY_H

#include "store/tree.h"

struct page_memory_slot;

struct page_memory {
    struct page_memory_slot *slots;
    size_t slot_count; /* a power of two, or 0 */
    size_t page_count;
    uint64_t page_bytes;
    uint64_t reads;
    uint64_t writes; /* also of pages that were there */
};

void page_memory_deinit(struct page_memory *memory);
#define PAGE_MEMORY_CLEANUP __attribute__((cleanup(page_memory_deinit)))
struct page_source page_memory_source(struct page_memory *memory);
struct page_sink page_memory_sink(struct page_memory *memory);
/* Borrows until the next write; empty when absent. */
struct span page_memory_find(const struct page_memory *memory, const struct digest *digest);

#endif
