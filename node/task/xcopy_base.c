/* What of a snapshot that comes is known here already: a snapshot whose trees were proven, the newest of the
 * same table. Only looked up here, on a worker; what it proves is said by store/tree_verify.c. */
#include "node/task/xcopy_pull.h"

#include "store/snapshot.h"

struct base {
    struct store *store;
    struct arena arena;
    struct span region; /* of the table */
    uint64_t table;
    const struct version_ref *wanted; /* that comes */
    uint64_t created_ms;              /* by its maker's clock */
    bool is_found, is_wanted;
    uint64_t distance_ms; /* of the best so far */
    uint64_t found_ms;    /* when that was made, by its maker's clock */
    struct version_ref version;
};

static void base_consider_snapshot(struct base *base, const struct snapshot_record *snapshot)
{
    struct snapshot_claim claim;
    bool is_wanted = digest_equal(&snapshot->version.version, &base->wanted->version) &&
                     digest_equal(&snapshot->version.attribute_root, &base->wanted->attribute_root);
    if (snapshot_claim_decode(snapshot->claim, &base->arena, &claim, NULL) != ERR_OK)
        return;
    uint64_t distance_ms = claim.created_ms > base->created_ms
                               ? claim.created_ms - base->created_ms
                               : base->created_ms - claim.created_ms;
    bool is_near = claim.base_table.n == base->table && span_equal(claim.region, base->region) &&
                   (!base->is_found || distance_ms < base->distance_ms);
    if (!is_wanted && !is_near)
        return;
    base->is_found = true;
    base->is_wanted = is_wanted;
    base->distance_ms = distance_ms;
    base->found_ms = claim.created_ms;
    base->version = snapshot->version;
}

static enum err_code base_consider(void *context, struct name_target target, struct err *err)
{
    struct base *base = context;
    struct snapshot_record snapshot;
    (void)err;
    arena_reset(&base->arena);
    if (!base->is_wanted && target.kind == NAME_SNAPSHOT &&
        snapshot_get(base->store, NULL, target.id, &base->arena, &snapshot, NULL) == ERR_OK)
        base_consider_snapshot(base, &snapshot);
    return ERR_OK; /* it is only a shortcut */
}

/* What is newer than all that are here has none nearer in time, and looking for one among thousands costs more
 * than it saves. An older one may be here itself, or have a neighbour. */
static void base_newest(struct base *base, struct project_id project)
{
    struct snapshot_record snapshot;
    bool found;
    if (snapshot_newest_replica(base->store, project, base->region, (struct table_id){base->table},
                                &base->arena, &snapshot, &found, NULL) == ERR_OK &&
        found)
        base_consider_snapshot(base, &snapshot);
}

/* Whether looking at all of the project's may find what base_newest has not: an older one's neighbour, this region's own
 * snapshots (of what comes back), and equal ones of other tables, whose version is here then. */
static bool base_may_be_elsewhere(const struct base *base, struct span own_region)
{
    BYTES_CLEANUP struct bytes version = {0};
    if (base->is_found)
        return !base->is_wanted && base->found_ms > base->created_ms;
    return span_equal(base->region, own_region) ||
           page_read(base->store, &base->wanted->page, &version, NULL) == ERR_OK;
}

static enum err_code base_manifest(struct base *base, struct digest *ret_manifest, struct err *err)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    struct version_record version;
    arena_reset(&base->arena);
    TRY(page_read(base->store, &base->version.page, &encoded, err));
    TRY(version_decode(bytes_span(&encoded), &base->arena, &version, err));
    *ret_manifest = version.root;
    return ERR_OK;
}

void xcopy_base_find(struct store *store, struct span own_region, struct project_id project,
                     struct described *described)
{
    struct snapshot_claim claim;
    struct base base = {.store = store, .wanted = &described->version};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, JOB_ARENA_BYTES);
    arena_init(&base.arena, JOB_ARENA_BYTES);
    described->base = (struct xcopy_base){0};
    if (snapshot_claim_decode(bytes_span(&described->claim), &arena, &claim, NULL) == ERR_OK) {
        base.region = claim.region;
        base.table = claim.base_table.n;
        base.created_ms = claim.created_ms;
        base_newest(&base, project);
        if (base_may_be_elsewhere(&base, own_region))
            (void)!name_each(base.store, NULL, project, base_consider, &base, NULL);
    }
    if (base.is_found && base_manifest(&base, &described->base.manifest, NULL) == ERR_OK) {
        described->base.attributes = base.version.attribute_root;
        described->base.is_known = true;
    }
    arena_deinit(&base.arena);
}
