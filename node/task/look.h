/* EXPLAIN XCOPY's way through a snapshot's trees: which pages to read next, and what of them would move.
 *
 *     items, in order of key        | leaf | leaf | leaf || inner | inner |  ...
 *     a batch: the first ones alike   ^^^^^^^^^^^^^^^^^^
 *     taken: a leaf is counted and goes; an inner page's children stand where it stood
 *
 * So leaves are counted in order of key, deepest first: a partition that stands in several leaves is
 * counted once by remembering one key, and what waits is a path and the siblings along it. A page that
 * is held here is read from here, as long as held_pages_max lasts: only for the number of files that
 * need not move, which inner pages do not say. What is not read counts with its page's totals.
 *
 *     moves    a partition that names a file which is not held: new, or changed where the base has its
 *              key; each file once, for the first partition that names it
 *     again    of a file that the snapshot names more than once, each time but the first
 *     held     all else: of what is not read, all its names
 *
 * Invariants: 1. items are in order of tree and key. 2. What waits is at most items_max and the children
 * of LOOK_BATCH_INNER + LIMIT_TREE_DEPTH inner pages. 3. Files are remembered by 63 bits under a seed that nobody else knows, and at
 * most files_max of them: beyond, `at_most` is set and a file may count twice.
 *
 * Pure: no clock, no chance, no I/O, no threads: what only the store knows is asked of the caller, and
 * nothing is done about errors. xcopy_look.h performs it. Pages are checked before they come here.
 */
#ifndef NODE_TASK_LOOK_H
#define NODE_TASK_LOOK_H

#include <sys/queue.h>

#include "proto/page.h"

#define LOOK_BATCH       64 /* leaf pages of one request */
#define LOOK_BATCH_INNER 8

struct look_limits {
    size_t items_max;        /* that wait; from there on inner pages come one by one */
    size_t files_max;        /* remembered */
    uint64_t held_pages_max; /* read from here */
    uint8_t seed[crypto_shorthash_KEYBYTES];
};

struct look_limits look_limits_default(void); /* without seed */

/* A page that waits. */
struct look_item {
    TAILQ_ENTRY(look_item) link;
    struct digest digest;
    struct page_place place; /* borrows from `keys` */
    bool is_held;
    uint8_t keys[];
};

TAILQ_HEAD(look_items, look_item);

/* What is here and what the base has: answers of the store. */
struct look_store {
    enum err_code (*has_page)(void *context, const struct digest *digest, bool *ret_has,
                              struct err *err);
    enum err_code (*has_file)(void *context, const struct digest *digest, bool *ret_has,
                              struct err *err);
    /* Asked with ascending keys. */
    enum err_code (*base_has)(void *context, struct span partition, bool *ret_has, struct err *err);
    void *context;
};

enum look_fate {
    LOOK_NEW,
    LOOK_CHANGED,
    LOOK_HELD,
    LOOK_AGAIN, /* files alone */
    LOOK_FATE_COUNT,
};

struct look_tally {
    uint64_t partitions, files, bytes;
};

struct look_counts {
    struct look_tally of[LOOK_FATE_COUNT];
    uint64_t rows;              /* of the whole table */
    uint64_t pages, page_bytes; /* that are not held */
    bool at_most;               /* files of LOOK_NEW and LOOK_CHANGED may be counted twice */
    bool files_unknown;         /* of LOOK_HELD: not all were read */
};

struct look {
    struct look_limits limits;
    struct look_store store;
    struct look_items items;
    size_t item_count;
    struct page_totals totals; /* of the manifest, from its root */
    struct look_counts counts; /* LOOK_HELD: files alone */
    struct bytes moving;       /* key of the last partition that moves */
    bool has_moving;
    enum look_fate fate; /* its */
    uint64_t *files;     /* a table of hashes; 0: free */
    size_t file_count, file_capacity;
    uint64_t held_pages;
};

void look_init(struct look *look, const struct look_limits *limits, const struct look_store *store);
void look_deinit(struct look *look);
/* Begins anew with the roots of a version. */
enum err_code look_begin(struct look *look, const struct digest *manifest,
                         const struct digest *attributes, struct err *err) MUST_USE;

/* The pages to read next: alike, all held or none. 0: the look is at its end. They are taken in this
 * order, all or some. */
size_t look_batch(const struct look *look, struct look_item *ret_items[LOOK_BATCH]);
/* An item's page, as checked; the item goes. An error leaves it where it is, half counted: begin anew. */
enum err_code look_take(struct look *look, struct look_item *item, const struct page *page,
                        size_t page_bytes, struct err *err) MUST_USE;
/* What was held is not here any more: the next batch begins with it, as one that is not. */
void look_missed(struct look_item *item);

/* At its end. */
struct look_counts look_counts_get(const struct look *look);

#endif
