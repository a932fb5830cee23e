#include "node/statement/lag.h"

#include <search.h>

#include "node/task/meter.h"
#include "store/damage.h"

#define LAG_BYTES_MAX (64 * MIB(1)) /* of one project */

struct lag_entry {
    struct lag lag;
    struct lag_entry *next;
};

struct lags {
    const struct lag_ask *ask;
    struct arena arena; /* of a project: its entries and their texts */
    struct arena claim; /* of one snapshot */
    void *tree;         /* its entries by table and region (tsearch) */
    struct lag_entry *first;
};

static int entry_compare(const void *one, const void *other)
{
    const struct lag *a = one, *b = other; /* an entry begins with its lag */
    if (a->table.n != b->table.n)
        return a->table.n < b->table.n ? -1 : 1;
    return span_compare(a->region, b->region);
}

static void entry_keep(void *entry)
{
    (void)entry; /* the arena's */
}

static void project_forget(struct lags *lags)
{
    tdestroy(lags->tree, entry_keep);
    lags->tree = NULL;
    lags->first = NULL;
    arena_reset(&lags->arena);
}

/* NULL: there is no room. */
static struct lag *entry_of(struct lags *lags, const struct snapshot_claim *claim)
{
    const struct lag key = {.table = claim->base_table, .region = claim->region};
    void **found = tfind(&key, &lags->tree, entry_compare);
    if (found != NULL)
        return *found;
    struct lag_entry *entry = arena_alloc(&lags->arena, 1, sizeof(*entry));
    if (entry == NULL)
        return NULL;
    *entry = (struct lag_entry){.next = lags->first};
    entry->lag.table = claim->base_table;
    entry->lag.region = arena_copy(&lags->arena, claim->region);
    if (entry->lag.region.data == NULL || tsearch(entry, &lags->tree, entry_compare) == NULL)
        return NULL;
    lags->first = entry;
    return &entry->lag;
}

static enum err_code replica_take(void *context, const struct project_record *project,
                                  const struct snapshot_record *snapshot, struct err *err)
{
    struct lags *lags = context;
    struct snapshot_claim claim;
    (void)project;
    if (!snapshot->is_replica)
        return ERR_OK;
    arena_reset(&lags->claim);
    TRY(snapshot_claim_decode(snapshot->claim, &lags->claim, &claim, err));
    struct lag *lag = entry_of(lags, &claim);
    if (lag == NULL)
        return err_set(err, ERR_LIMIT, "project %.*s has replicas of too many tables",
                       SPAN_PRINTF(project->name));
    bool damaged;
    TRY(damage_of_version(lags->ask->store, &snapshot->version, &damaged, err));
    lag->replicas++;
    lag->damaged += damaged;
    bool newer = lag->replicas == 1 || claim.created_ms > lag->made_ms;
    bool takes = damaged != lag->is_whole ? newer : !damaged; /* a whole one before damaged ones */
    if (!takes)
        return ERR_OK;
    lag->is_whole = !damaged;
    lag->project = arena_copy(&lags->arena, claim.project);
    lag->name = arena_copy(&lags->arena, claim.base_table_name);
    lag->creator = arena_copy(&lags->arena, snapshot->owner);
    lag->replica = arena_copy(&lags->arena, snapshot->name);
    lag->replica_id = snapshot->id;
    lag->made_ms = claim.created_ms;
    lag->replicated_ms = snapshot->created_ms;
    return lag->replica.data != NULL
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "project %.*s has too many replicas to be read at once",
                         SPAN_PRINTF(project->name));
}

static enum err_code project_end(void *context, const struct project_record *project,
                                 struct err *err)
{
    struct lags *lags = context;
    enum err_code code = ERR_OK;
    for (struct lag_entry *entry = lags->first; entry != NULL && code == ERR_OK;
         entry = entry->next) {
        struct meter_newest newest = {
            .account = project->owner, .table = entry->lag.table, .region = entry->lag.region};
        code = meter_newest_find(lags->ask->store, &newest, err);
        entry->lag.newest_ms = newest.made_ms;
        entry->lag.told_ms = newest.told_ms;
        if (code == ERR_OK)
            code = lags->ask->callback(lags->ask->context, project, &entry->lag, err);
    }
    project_forget(lags);
    return code;
}

enum err_code lag_each(const struct lag_ask *ask, struct err *err)
{
    struct lags lags = {.ask = ask};
    const struct snapshot_walk walk = {
        .store = ask->store,
        .principal = ask->principal,
        .cancel = ask->cancel,
        .snapshot = replica_take,
        .project_end = project_end,
        .context = &lags,
    };
    arena_init(&lags.arena, LAG_BYTES_MAX);
    arena_init(&lags.claim, CATALOG_ARENA_BYTES);
    enum err_code code = snapshot_walk(&walk, err);
    project_forget(&lags);
    arena_deinit(&lags.arena);
    arena_deinit(&lags.claim);
    return code;
}

uint64_t lag_seconds(const struct lag *lag)
{
    return lag->newest_ms > lag->made_ms ? (lag->newest_ms - lag->made_ms) / 1000 : 0;
}

bool lag_is_known(const struct lag *lag, uint64_t now_ms)
{
    uint64_t since_ms = now_ms > lag->told_ms ? now_ms - lag->told_ms : lag->told_ms - now_ms;
    bool heard = lag->newest_ms > 0 && since_ms <= LAG_TOLD_MS;
    return lag->is_whole && (heard || lag->newest_ms > lag->made_ms);
}
