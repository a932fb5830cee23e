#include "node/task/watch_look.h"

#include "node/task/token_use.h"
#include "store/name.h"
#include "store/table.h"

struct look {
    const struct xcopy_rights *rights;
    const struct peer_watch *watch;
    struct token token;
    struct principal signer;
    struct project_record project;
    struct table_record table;
    struct arena *arena;   /* of the answer */
    struct arena *scratch; /* of one snapshot */
    struct peer_watched *watched;
};

/* ---- may it be told ---- */

/* Of the token alone: says nothing of what is here. */
static enum err_code token_check(struct look *look, const struct identity_key *peer,
                                 struct err *err)
{
    const struct token *token = &look->token;
    struct span table = token_source_table(token);
    if (memcmp(token->destination_node.b, peer->b, sizeof(peer->b)) != 0)
        return err_set(err, ERR_DENIED, "the token is for another node");
    if (!span_equal(token->source.region, span_text(look->rights->region)))
        return err_set(err, ERR_DENIED, "the token is for region %.*s, this is %s",
                       SPAN_PRINTF(token->source.region), look->rights->region);
    if (token->kind != TOKEN_STANDING || (token->rights & TOKEN_WATCH) == 0)
        return err_set(err, ERR_DENIED, "the token does not grant to watch");
    if (table.len > 0 && !task_name_equal(table, look->watch->table))
        return err_set(err, ERR_DENIED, "the token is for snapshots of %.*s, not of %.*s",
                       SPAN_PRINTF(table), SPAN_PRINTF(look->watch->table));
    return ERR_OK;
}

/* The same work whoever asks, up to a table that the signer may know of. */
static bool table_known(struct look *look)
{
    const struct token *token = &look->token;
    struct store *store = look->rights->store;
    bool known = principals_find_signer(look->rights->principals, &token->signer, &look->signer);
    bool project = project_find(store, NULL, token->source.project, look->arena, &look->project,
                                NULL) == ERR_OK;
    bool table = table_find(store, NULL, look->project.id, look->watch->table, look->arena,
                            &look->table, NULL) == ERR_OK;
    bool revoked = known && token_not_revoked(store, &look->signer, &token->id, NULL) != ERR_OK;
    return known && project && table && !revoked &&
           authorise_same_account(&look->signer, &look->project, NULL) == ERR_OK &&
           object_seen(&look->signer, object_table(store, &look->project, &look->table));
}

static enum err_code look_allowed(struct look *look, const struct identity_key *peer,
                                  struct err *err)
{
    TRY(token_decode(look->watch->token, &look->token, err));
    TRY(token_verify(look->watch->token, err));
    TRY(token_check(look, peer, err));
    if (!table_known(look))
        return err_set(err, ERR_NOT_FOUND, "no table %.*s.%.*s, or no right to it",
                       SPAN_PRINTF(look->token.source.project), SPAN_PRINTF(look->watch->table));
    return xcopy_rights_leave(look->rights, &look->token, &look->signer, &look->project,
                              look->arena, err);
}

/* ---- what is there ---- */

static bool is_told(const struct look *look, const struct snapshot_record *snapshot)
{
    struct snapshot_claim claim;
    return snapshot->created_ms > look->watch->since_ms && !snapshot->is_replica &&
           token_snapshot_fits(&look->token, look->token.source.snapshot, snapshot->name) &&
           snapshot_claim_decode(snapshot->claim, look->scratch, &claim, NULL) == ERR_OK &&
           claim.base_table.n == look->table.id.n &&
           authorise(&look->signer, ACTION_SELECT,
                     object_snapshot(look->rights->store, &look->project, snapshot),
                     NULL) == ERR_OK;
}

/* The first ones stay, in order of their numbers. */
static enum err_code snapshot_keep(struct look *look, const struct snapshot_record *snapshot,
                                   struct err *err)
{
    struct peer_watched *watched = look->watched;
    size_t at = watched->snapshot_count;
    while (at > 0 && watched->snapshots[at - 1].number > snapshot->id.n)
        at--;
    if (at == LIMIT_PEER_WATCHED)
        return ERR_OK;
    struct span name = arena_copy(look->arena, snapshot->name);
    if (name.data == NULL)
        return err_set(err, ERR_LIMIT, "too many snapshots to look at at once");
    if (watched->snapshot_count < LIMIT_PEER_WATCHED)
        watched->snapshot_count++;
    memmove(&watched->snapshots[at + 1], &watched->snapshots[at],
            (watched->snapshot_count - 1 - at) * sizeof(*watched->snapshots));
    watched->snapshots[at] = (struct peer_watched_snapshot){.name = name,
                                                            .version = snapshot->version.version,
                                                            .number = snapshot->id.n,
                                                            .created_ms = snapshot->created_ms};
    return ERR_OK;
}

static enum err_code name_look_at(void *context, struct name_target target, struct err *err)
{
    struct look *look = context;
    struct snapshot_record snapshot;
    if (target.kind != NAME_SNAPSHOT || target.id.n <= look->watch->after)
        return ERR_OK;
    arena_reset(look->scratch);
    if (snapshot_get(look->rights->store, NULL, target.id, look->scratch, &snapshot, NULL) !=
            ERR_OK || /* dropped meanwhile */
        !is_told(look, &snapshot))
        return ERR_OK;
    return snapshot_keep(look, &snapshot, err);
}

/* False: the newest that was made of the table is known to the asker. */
static enum err_code newest_look(struct look *look, bool *ret_any, struct err *err)
{
    struct store *store = look->rights->store;
    struct snapshot_record newest;
    bool found;
    arena_reset(look->scratch);
    TRY(snapshot_newest(store, look->table.id, look->scratch, &newest, &found, err));
    *ret_any = !found || newest.id.n > look->watch->after;
    struct project_record project;
    if (found &&
        project_get(store, NULL, newest.project, look->scratch, &project, NULL) == ERR_OK &&
        object_seen(&look->signer, object_snapshot(store, &project, &newest)))
        look->watched->newest_ms = newest.created_ms;
    return ERR_OK;
}

enum err_code watch_look(const struct xcopy_rights *rights, const struct peer_watch *watch,
                         const struct identity_key *peer, struct arena *arena,
                         struct peer_watched *ret_watched, struct err *err)
{
    ARENA_CLEANUP struct arena scratch;
    struct peer_watched watched = {0};
    struct look look = {
        .rights = rights, .watch = watch, .arena = arena, .scratch = &scratch, .watched = &watched};
    bool any;
    arena_init(&scratch, 4 * CATALOG_ARENA_BYTES);
    watched.snapshots = arena_alloc(arena, LIMIT_PEER_WATCHED + 1, sizeof(*watched.snapshots));
    if (watched.snapshots == NULL)
        return err_set(err, ERR_LIMIT, "too many snapshots to look at at once");
    TRY(look_allowed(&look, peer, err));
    watched.table = look.table.id;
    TRY(newest_look(&look, &any, err));
    if (any)
        TRY(name_each(rights->store, NULL, look.project.id, name_look_at, &look, err));
    *ret_watched = watched;
    return ERR_OK;
}
