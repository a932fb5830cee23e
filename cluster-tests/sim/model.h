/* A model of a node's store, small and without mercy: content by digest, what is not synced is lost
 * in a crash, clean-up runs in steps between other work.
 *
 *     source tables --model_snapshot_make--> pages, files        root
 *     page   'P' | u8 level | u16 entries | u32 first partition | entries
 *     leaf entry (level 0)   u32 partition | u32 index | u32 bytes | digest
 *     inner entry            u32 last partition | digest
 *
 * It stands for store/content.h, pages.h and collect.h, with their contracts: held per account,
 * staged pages under their task, a page in `pages` implies all below it, relying pins.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "proto/digest.h"

#define MODEL_NAMES           4
#define MODEL_PARTITIONS      48
#define MODEL_FILES           3 /* of a partition, at most */
#define MODEL_LEAF_PARTITIONS 3
#define MODEL_FANOUT          4
#define MODEL_ROOT_LEVEL      2 /* 16 leaves, 4 pages, root */

/* ---- chance: one generator a run ---- */

struct chance {
    uint64_t state;
};
uint64_t chance_next(struct chance *chance);
uint64_t chance_below(struct chance *chance, uint64_t limit);
bool chance_percent(struct chance *chance, unsigned percent);

/* ---- a map from (digest, tag) to bytes ---- */

struct map_entry {
    struct map_entry *next;
    struct digest digest;
    uint64_t tag; /* account, task; 0 */
    uint64_t stamp;
    struct bytes bytes;
};

struct map {
    struct map_entry **buckets;
    size_t bucket_count, count;
};

struct map_entry *map_find(const struct map *map, const struct digest *digest, uint64_t tag);
struct map_entry *map_put(struct map *map, const struct digest *digest, uint64_t tag,
                          struct span bytes);
void map_delete(struct map *map, const struct digest *digest, uint64_t tag);
void map_delete_tag(struct map *map, uint64_t tag);
void map_clear(struct map *map);
/* Calls each in an order that depends on the content alone; the map is not changed meanwhile. */
typedef void map_function(void *context, struct map_entry *entry);
void map_each(const struct map *map, map_function *function, void *context);

/* ---- pages ---- */

struct model_entry {
    uint32_t partition; /* inner: the last below */
    uint32_t index;     /* leaf: of the partition's files */
    uint32_t bytes;     /* leaf */
    struct digest digest;
};

struct model_page {
    unsigned level;
    uint32_t first; /* partition */
    size_t count;
    struct model_entry entries[MODEL_LEAF_PARTITIONS * MODEL_FILES];
};

/* False: not a page. */
bool model_page_decode(struct span bytes, struct model_page *ret_page);
struct digest model_page_digest(struct span bytes);
struct digest model_file_digest(struct span bytes);

/* ---- the store of one node ---- */

struct model_snapshot {
    bool present;
    struct digest root;
};

struct model_store {
    struct map pages, files, held, staged;
    struct model_snapshot snapshots[MODEL_NAMES];
    struct map pins; /* tag: task */
    /* the clean-up that runs */
    bool collecting;
    uint64_t collection;
    struct map marked;
    struct map_entry *doomed; /* list; bytes empty; tag: 1 + level for pages, 0 for files */
    bool plant_no_pins;
};

void model_store_deinit(struct model_store *store);
void model_store_crash(struct model_store *store);

/* Account 0 is the source's own. */
void model_file_put(struct model_store *store, struct span bytes, const struct digest *digest,
                    uint64_t account);
void model_page_put(struct model_store *store, struct span bytes, const struct digest *digest,
                    uint64_t account);
bool model_file_rely(struct model_store *store, const struct digest *digest, uint64_t account,
                     uint64_t task);
bool model_page_rely(struct model_store *store, const struct digest *digest, uint64_t account,
                     uint64_t task);
/* From staged to pages; false when something below it is not here. */
bool model_page_promote(struct model_store *store, const struct digest *digest, uint64_t account,
                        uint64_t task, bool trust);
/* The digest of the page of this level on the way to the partition, or of its file. */
bool model_find_page(const struct model_store *store, const struct digest *root, unsigned level,
                     uint32_t partition, struct digest *ret_digest);
bool model_find_file(const struct model_store *store, const struct digest *root, uint32_t partition,
                     uint32_t index, struct digest *ret_digest);

/* All below the root is here and is what its digest says. */
bool model_whole(const struct model_store *store, const struct digest *root);

/* Marks from snapshots, `roots`, staged pages and pins; then model_collect_step deletes. */
void model_collect_begin(struct model_store *store, const struct digest *roots, size_t root_count);
bool model_collect_step(struct model_store *store, size_t records); /* false: it was the last */

/* ---- source tables ---- */

struct model_table {
    uint16_t content[MODEL_PARTITIONS][MODEL_FILES]; /* 0: no file */
};

void model_table_change(struct model_table *table, struct chance *chance, size_t changes);
/* Stores what is new, returns the root. */
struct digest model_snapshot_make(struct model_store *store, const struct model_table *table,
                                  uint64_t *ret_bytes);

#endif
