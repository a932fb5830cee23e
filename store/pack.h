/* Packs: many column files in one sorted file of up to 64 MiB, written beside the database, synced,
 * and moved into it whole.
 *
 *     pack key: pack id u64 | slot u32        value: the column file's stored bytes
 *
 * The database reads the first and the last value of a file that it takes in, to know its keys: so they are
 * not column files of megabytes but marks of a few bytes, which nothing points at.
 *
 *     reserve id -> append ... append -> seal: finish and sync -> ingest -> index its files -> sync
 *       (record)                                                                (record live)
 *
 * One writer serves everybody: files of all contents go into the same few open packs; whoever needs
 * one durable, or finds it full, seals it. Sealing indexes all its files, whoever brought them.
 *
 * Invariants: 1. an id is written down (synced) before its file is begun, and never used again.
 * 2. Nothing points at a pack before it is synced and ingested. 3. An open pack is appended to by
 * one thread at a time (BUSY). 4. An account's file is claimed by one pack (pins.h); a stranger's copy
 * of it may be in the same one.
 * Threads: any. Not here: which files are worth writing (content.c), dropping packs (collect.c).
 */
#ifndef STORE_PACK_H
#define STORE_PACK_H

#include "store/index.h"
#include "store/space.h"

#define PACK_WRITERS_MAX   4
#define PACK_SLOTS_MAX     65536
#define PACK_GROUP_WAIT_MS 100 /* so long at most a seal waits for others who fill packs */
#define PACK_SLOT_FIRST    1   /* of a file; before the first and behind the last stand marks */

struct packs;
struct pack;

/* Borrows all three until packs_free. */
struct packs *packs_new(struct index *index, const struct space *space, const char *tmp_dir);
/* Somebody brings files for packs, and will have them sealed; has begun to, or will not. */
void packs_join(struct packs *packs);
void packs_leave(struct packs *packs);
/* Instead of PACK_GROUP_WAIT_MS; for tests. */
void packs_group_wait_set(struct packs *packs, uint32_t wait_ms);
/* Packs still open are given up. NULL is fine. */
void packs_free(struct packs *packs);

/* An open pack with room, for this thread alone, until packs_give_back. */
enum err_code packs_take(struct packs *packs, size_t file_bytes, struct pack **ret_pack,
                         struct err *err);
/* failure: of an append, NULL when there was none; it fails the pack and everything in it. */
void packs_give_back(struct packs *packs, struct pack *pack, const struct err *failure);

enum err_code pack_append(struct pack *pack, const struct digest *digest,
                          const struct holder *holder, struct span file, struct err *err);

/* Whoever depends on a pack keeps a reference. A claim of a pack proves that it is
 * there to be referenced, while the index is locked. */
void pack_ref(struct pack *pack);
void pack_unref(struct pack *pack);
/* Its files are durable and indexed. The error when that has failed. */
enum err_code pack_done(struct packs *packs, struct pack *pack, bool *ret_done, struct err *err);

/* Seals those that are still open, with what others wait for meanwhile, and one ingest for neighbours;
 * when it returns ERR_OK all are done. While several other copies run it waits up to PACK_GROUP_WAIT_MS
 * for theirs. */
enum err_code packs_finish(struct packs *packs, struct pack *const *list, size_t count,
                           struct err *err);

/* Seals open packs that nobody depends on: what contents left that were given up. Indexed, it is
 * clean-up's; a failure drops it at once. */
void packs_seal_abandoned(struct packs *packs);

/* ---- a pack of one's own, not indexed by sealing (nursery) ---- */

enum err_code pack_begin(struct packs *packs, struct pack **ret_pack, struct err *err);
/* Finish, sync, ingest. The record stays reserved: the caller indexes and makes it live. */
enum err_code pack_ingest(struct packs *packs, struct pack *pack, struct err *err);
/* Removes what is left of one that was not ingested. Takes the pack. */
void pack_end(struct pack *pack);

struct pack_file {
    struct digest digest;
    struct holder holder;
    uint32_t file_bytes;
};

struct pack_id pack_id_get(const struct pack *pack);
uint64_t pack_bytes_get(const struct pack *pack);
/* The first is in slot PACK_SLOT_FIRST; borrowed until the next append. */
const struct pack_file *pack_files_get(const struct pack *pack, size_t *ret_count);

#endif
