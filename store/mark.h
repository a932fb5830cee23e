/* What a collection or fsck has marked so far, and what it has still to walk.
 *
 * Marks are the first 16 bytes of digests. `sweeping` and `extra` are guarded by the index's lock
 * while index.mark points here; the rest belongs to the thread that walks, and does not change once
 * sweeping is set.
 */
#ifndef STORE_MARK_H
#define STORE_MARK_H

#include "proto/digest.h"

#define MARK_BYTES 16

/* Where a digest that begins so goes in a table. A peer chooses what its pages name; by a factor of this
 * process that it does not know, such digests lie apart all the same. Any thread. */
uint64_t mark_spread(const uint8_t mark[MARK_BYTES]);

struct digest_set {
    uint8_t (*slots)[MARK_BYTES]; /* all zero: empty */
    size_t capacity;              /* 0 or a power of two */
    size_t count;
};

void digest_set_deinit(struct digest_set *set);
bool digest_set_add(struct digest_set *set, const struct digest *digest); /* true: was not in it */
bool digest_set_has(const struct digest_set *set, const struct digest *digest);

struct digest_list {
    struct digest *digests;
    size_t count;
    size_t capacity;
};

void digest_list_deinit(struct digest_list *list);
void digest_list_push(struct digest_list *list, const struct digest *digest);

struct collect_mark {
    struct digest_set marked; /* pages and files */
    struct digest_list walk;  /* marked pages whose content is still to be seen */
    uint64_t pages, files;    /* marked */
    /* fsck: each file when first marked. NULL in a collection. */
    void (*on_file)(void *context, const struct digest *digest);
    void *on_file_context;
    bool mute; /* levels are asked for: marks are not wanted */

    bool sweeping;
    struct digest_list extra; /* pages relied on since the walk began */
};

void collect_mark_deinit(struct collect_mark *mark);

#endif
