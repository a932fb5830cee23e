#include "store/compact.h"

#include "proto/limits.h"
#include "store/parts.h"

#define COMPACT_STEPS       16
#define COMPACT_SPARE_BYTES (32 * MIB(1)) /* stays free: what opening again needs */
#define COMPACT_SMALL_BYTES (16 * MIB(1))

/* One range of the family; false: there is no room for it. */
static enum err_code step_run(struct store *store, enum family family, unsigned step,
                              bool *ret_room, struct err *err)
{
    const struct space space = {.path = store->space.path};
    uint64_t bytes;
    uint8_t from = (uint8_t)(step * 16), to = (uint8_t)((step + 1) * 16);
    TRY(db_family_bytes(store->db, family, &bytes, err));
    *ret_room =
        space_check(&space, 2 * bytes / COMPACT_STEPS + COMPACT_SPARE_BYTES, NULL) == ERR_OK;
    if (!*ret_room)
        return ERR_OK;
    return db_compact(store->db, family, span_of(&from, step > 0),
                      span_of(&to, step + 1 < COMPACT_STEPS), err);
}

/* *ret_all: nothing was left out. */
static enum err_code family_run(struct store *store, enum family family, uint64_t *steps,
                                bool *ret_all, struct err *err)
{
    for (unsigned step = 0; step < COMPACT_STEPS; step++) {
        bool room;
        TRY(step_run(store, family, step, &room, err));
        *steps += room;
        *ret_all = *ret_all && room;
    }
    return ERR_OK;
}

static bool due(uint64_t deleted, uint64_t left)
{
    return deleted >= COMPACT_DEAD_RECORDS && deleted >= (left + deleted) / COMPACT_DEAD_PART;
}

/* What small files leave behind is bytes, not records. */
static enum err_code small_due(struct store *store, bool *ret_due, struct err *err)
{
    uint64_t bytes;
    TRY(db_family_bytes(store->db, FAMILY_SMALL, &bytes, err));
    index_lock(&store->index);
    uint64_t live_bytes = store->index.small_bytes;
    index_unlock(&store->index);
    *ret_due = bytes > 2 * live_bytes + COMPACT_SMALL_BYTES;
    return ERR_OK;
}

enum err_code compact_run(struct store *store, const struct compact_sweep *sweep,
                          uint64_t *ret_steps, struct err *err)
{
    struct compact_counts *counts = &store->compact;
    counts->pages += sweep->pages_deleted;
    counts->files += sweep->files_deleted;
    bool pages = due(counts->pages, sweep->pages_seen - sweep->pages_deleted);
    bool files = due(counts->files, sweep->files_seen - sweep->files_deleted);
    bool small, all = true;
    *ret_steps = 0;
    TRY(small_due(store, &small, err));
    if (pages)
        TRY(family_run(store, FAMILY_PAGES, ret_steps, &all, err));
    if (files)
        TRY(family_run(store, FAMILY_FILES, ret_steps, &all, err));
    if (pages || files)
        TRY(family_run(store, FAMILY_HELD, ret_steps, &all, err));
    if (small)
        TRY(family_run(store, FAMILY_SMALL, ret_steps, &all, err));
    if (pages && all)
        counts->pages = 0;
    if (files && all)
        counts->files = 0;
    return ERR_OK;
}
