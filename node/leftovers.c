#include "node/leftovers.h"

#include <sodium.h>

#include "node/statement/snapshot_walk.h"
#include "node/task/meter.h"
#include "node/task/receipts.h"

struct marks {
    uint64_t *list; /* owned; in order once all are there */
    size_t count, capacity;
};

struct leftovers {
    struct marks replicas, versions; /* that are here */
    struct arena claim;              /* of one snapshot */
    uint8_t seed[crypto_shorthash_KEYBYTES];
};

/* ---- marks ---- */

static uint64_t mark_of(const struct leftovers *leftovers, struct bytes *parts)
{
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, parts->data, parts->len, leftovers->seed);
    bytes_deinit(parts);
    return load_u64(hash);
}

static uint64_t replica_mark(const struct leftovers *leftovers, struct account_id account,
                             struct table_id table, struct span region)
{
    struct bytes parts = {0};
    bytes_append_u64(&parts, account.n);
    bytes_append_u64(&parts, table.n);
    bytes_append_span(&parts, region);
    return mark_of(leftovers, &parts);
}

static uint64_t version_mark(const struct leftovers *leftovers, struct project_id project,
                             const struct digest *version)
{
    struct bytes parts = {0};
    bytes_append_u64(&parts, project.n);
    bytes_append(&parts, version->b, DIGEST_BYTES);
    return mark_of(leftovers, &parts);
}

static void mark_add(struct marks *marks, uint64_t mark)
{
    if (marks->count == marks->capacity) {
        marks->capacity = marks->capacity == 0 ? 64 : 2 * marks->capacity;
        marks->list = mem_realloc(marks->list, marks->capacity, sizeof(*marks->list));
    }
    marks->list[marks->count++] = mark;
}

static int mark_order(const void *one, const void *other)
{
    uint64_t a, b;
    memcpy(&a, one, sizeof(a));
    memcpy(&b, other, sizeof(b));
    return a < b ? -1 : a > b;
}

static void marks_order(struct marks *marks)
{
    if (marks->count > 1)
        qsort(marks->list, marks->count, sizeof(*marks->list), mark_order);
}

static bool mark_has(const struct marks *marks, uint64_t mark)
{
    return marks->count > 0 &&
           bsearch(&mark, marks->list, marks->count, sizeof(*marks->list), mark_order) != NULL;
}

/* ---- what is here ---- */

static enum err_code snapshot_take(void *context, const struct project_record *project,
                                   const struct snapshot_record *snapshot, struct err *err)
{
    struct leftovers *leftovers = context;
    struct snapshot_claim claim;
    mark_add(&leftovers->versions,
             version_mark(leftovers, project->id, &snapshot->version.version));
    if (!snapshot->is_replica)
        return ERR_OK;
    arena_reset(&leftovers->claim);
    TRY(snapshot_claim_decode(snapshot->claim, &leftovers->claim, &claim, err));
    mark_add(&leftovers->replicas,
             replica_mark(leftovers, project->owner, claim.base_table, claim.region));
    return ERR_OK;
}

static bool replica_is_here(void *context, const struct meter_newest *newest)
{
    const struct leftovers *leftovers = context;
    return mark_has(&leftovers->replicas,
                    replica_mark(leftovers, newest->account, newest->table, newest->region));
}

static bool version_is_here(void *context, struct project_id project, const struct digest *version)
{
    const struct leftovers *leftovers = context;
    return mark_has(&leftovers->versions, version_mark(leftovers, project, version));
}

static enum err_code sweep(struct store *store, uint64_t before_ms, const atomic_bool *cancel,
                           struct leftovers *leftovers, struct err *err)
{
    const struct snapshot_walk walk = {
        .store = store, .cancel = cancel, .snapshot = snapshot_take, .context = leftovers};
    TRY(snapshot_walk(&walk, err));
    marks_order(&leftovers->replicas);
    marks_order(&leftovers->versions);
    TRY(meter_newest_sweep(store, before_ms, replica_is_here, leftovers, err));
    return receipts_sweep(store, before_ms, version_is_here, leftovers, err);
}

enum err_code leftovers_sweep(struct store *store, uint64_t before_ms, const atomic_bool *cancel,
                              struct err *err)
{
    struct leftovers leftovers = {0};
    crypto_shorthash_keygen(leftovers.seed);
    arena_init(&leftovers.claim, CATALOG_ARENA_BYTES);
    enum err_code code = sweep(store, before_ms, cancel, &leftovers, err);
    arena_deinit(&leftovers.claim);
    mem_free(leftovers.replicas.list);
    mem_free(leftovers.versions.list);
    return code;
}
