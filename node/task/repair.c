#include "node/task/repair.h"

#include "node/task/repair_grant.h"
#include "node/task/xcopy_pull.h"
#include "store/damage.h"

struct repairs {
    struct tasks *tasks;
    const struct tasks_options *options;
    bool now;
    struct repair *list;
    size_t count;
    /* the place at hand */
    struct project_id project;
    struct span name;
    struct digest version;
    /* whom to ask: the first that is connected, else the first */
    struct peer *peer;
    bool connected;
    struct pull_repair with;
};

static enum err_code peer_look(void *context, const struct identity_key *key,
                               const struct repair_grant *grant, struct err *err)
{
    struct repairs *repairs = context;
    struct peer *peer = peers_find_maker(repairs->options->peers, key);
    struct link_status status = {0};
    (void)err;
    if (peer == NULL || peer->link == NULL)
        return ERR_OK; /* not configured any more */
    link_status(peer->link, &status);
    if (repairs->peer != NULL && (repairs->connected || !status.connected))
        return ERR_OK;
    repairs->peer = peer;
    repairs->connected = status.connected;
    repairs->with = (struct pull_repair){.is_one = true,
                                         .version = repairs->version,
                                         .page = grant->page,
                                         .attribute_root = grant->attribute_root};
    memcpy(repairs->with.receipt, grant->receipt.data, grant->receipt.len);
    repairs->with.receipt_bytes = grant->receipt.len;
    return ERR_OK;
}

/* The same version and peer, the same task: begun again it finds what it has staged. */
static struct task_id repair_id(const struct repairs *repairs)
{
    struct digest_state state;
    struct task_id id;
    digest_init(&state, DOMAIN_LEASE);
    digest_update_part(&state, span_text("repair"));
    digest_update_part(&state, digest_span(&repairs->version));
    digest_update_part(&state, digest_span(&repairs->with.attribute_root));
    digest_update_part(&state, span_text(repairs->peer->region));
    struct digest digest = digest_final(&state);
    memcpy(id.b, digest.b, sizeof(id.b));
    return id;
}

static enum err_code repair_start(struct repairs *repairs, struct account_id account,
                                  struct span project, struct err *err)
{
    BYTES_CLEANUP struct bytes words = {0};
    BYTES_CLEANUP struct bytes encoded = {0};
    struct repair *repair = &repairs->list[repairs->count];
    *repair = (struct repair){.id = repair_id(repairs), .version = repairs->version};
    snprintf(repair->region, sizeof(repair->region), "%s", repairs->peer->region);
    bytes_printf(&words, "SCRUB: repair of %.*s.%.*s from %s", SPAN_PRINTF(project),
                 SPAN_PRINTF(repairs->name), repair->region);
    const struct xcopy_record record = {.id = repair->id,
                                        .state = TASK_QUEUED,
                                        .account = account,
                                        .created_ms = xcopy_now_ms(),
                                        .version = repairs->version,
                                        .statement = bytes_span(&words)};
    xcopy_record_encode(&record, &encoded);
    struct pull *pull = pull_repair_new(repairs->tasks, repairs->options, bytes_span(&encoded),
                                        repairs->peer, &repairs->with, err);
    if (pull == NULL)
        return err->code;
    tasks_repair_add(repairs->tasks, pull, repairs->now);
    repairs->count++;
    return ERR_OK;
}

static bool version_known(const struct repairs *repairs)
{
    for (size_t i = 0; i < repairs->count; i++) {
        if (digest_equal(&repairs->list[i].version, &repairs->version))
            return true;
    }
    return false;
}

static enum err_code place_take(void *context, const struct damage_place *place, struct err *err)
{
    struct repairs *repairs = context;
    repairs->version = place->version->version;
    if (!place->is_snapshot || repairs->count == REPAIRS_MAX || version_known(repairs))
        return ERR_OK;
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(project_get(repairs->options->store, NULL, place->project, &arena, &project, err));
    repairs->project = place->project;
    repairs->name = place->name;
    repairs->peer = NULL;
    TRY(repair_peers_each(repairs->options->store, &repairs->version, peer_look, repairs, err));
    return repairs->peer == NULL ? ERR_OK : repair_start(repairs, project.owner, project.name, err);
}

enum err_code repair_begin(struct tasks *tasks, bool now, struct repair ret_list[REPAIRS_MAX],
                           size_t *ret_count, struct err *err)
{
    struct repairs repairs = {
        .tasks = tasks, .options = tasks_options_get(tasks), .now = now, .list = ret_list};
    TRY(damage_places(repairs.options->store, (struct table_id){0}, place_take, &repairs, err));
    *ret_count = repairs.count;
    return ERR_OK;
}
