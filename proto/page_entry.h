/* Entries of a page between their message form and struct page_entry, and the rules that one entry
 * alone must keep. Private to page.c and page_entry.c.
 */
#ifndef PROTO_PAGE_ENTRY_H
#define PROTO_PAGE_ENTRY_H

#include "page.pb-c.h"
#include "proto/page.h"

/* Borrow from the record and the arena. ERR_BAD_DATA, ERR_VERSION, ERR_LIMIT. */
enum err_code page_leaf_take(const Strait__LeafEntry *record, enum tree_kind tree,
                             struct arena *arena, struct page_entry *entry, struct err *err);
enum err_code page_child_take(const Strait__InnerEntry *record, struct page_entry *entry,
                              struct err *err);

#endif
