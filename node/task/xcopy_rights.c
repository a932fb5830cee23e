#include "node/task/xcopy_rights.h"

#include <time.h>

#include "node/task/token_use.h"

static uint64_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

bool task_name_equal(struct span a, struct span b)
{
    return a.len == b.len &&
           (a.len == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0);
}

/* Clocks of regions differ a little: a token may be that much from the future. */
#define CLOCK_TOLERANCE_S 300

#define CLOCK_TEXT_BYTES 24
static const char *clock_text(uint64_t time_s, char ret_text[CLOCK_TEXT_BYTES])
{
    struct tm parts = {0};
    time_t time = (time_t)time_s;
    gmtime_r(&time, &parts);
    if (strftime(ret_text, CLOCK_TEXT_BYTES, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(ret_text, CLOCK_TEXT_BYTES, "%" PRIu64 " s", time_s);
    return ret_text;
}

/* Both clocks are told: one of them may be wrong. */
static enum err_code token_in_time(const struct xcopy_rights *rights, const struct token *token,
                                   struct err *err)
{
    char signers[CLOCK_TEXT_BYTES], ours[CLOCK_TEXT_BYTES];
    uint64_t now = now_s();
    if (now > token->not_after_s)
        return err_set(err, ERR_CREDENTIALS,
                       "the token ended at %s UTC by its signer's clock, and in %s it is %s UTC: "
                       "sign anew, or set the clock that is wrong",
                       clock_text(token->not_after_s, signers), rights->region,
                       clock_text(now, ours));
    if (token->issued_s > now + CLOCK_TOLERANCE_S)
        return err_set(err, ERR_CREDENTIALS,
                       "the token was issued at %s UTC by its signer's clock, and in %s it is %s "
                       "UTC: set the clock that is wrong",
                       clock_text(token->issued_s, signers), rights->region, clock_text(now, ours));
    return ERR_OK;
}

static enum err_code channel_gate(const struct xcopy_rights *rights,
                                  const struct project_record *project, struct arena *arena,
                                  struct err *err)
{
    struct account_record owner;
    struct err reason;
    enum err_code code = account_get(rights->store, NULL, project->owner, arena, &owner, &reason);
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    if (owner.channel.changed_ms != 0 ? owner.channel.on : !rights->gates)
        return ERR_OK;
    return err_set(err, ERR_GATE,
                   "the XCOPY channel of %.*s is off in %s; that account may there ALTER ACCOUNT "
                   "SET XCOPY CHANNEL ON ACKNOWLEDGE COMPLIANCE",
                   SPAN_PRINTF(owner.name), rights->region);
}

enum err_code xcopy_gates(const struct xcopy_rights *rights, const struct project_record *project,
                          struct arena *arena, struct err *err)
{
    TRY(channel_gate(rights, project, arena, err));
    if (project->xcopy_enabled)
        return ERR_OK;
    return err_set(err, ERR_GATE,
                   "project %.*s is not on its region's allow-list; the region's operator may "
                   "ALTER PROJECT %.*s ENABLE XCOPY",
                   SPAN_PRINTF(project->name), SPAN_PRINTF(project->name));
}

/* ---- destination ---- */

static enum err_code target_name(const struct xcopy_rights *rights, const struct token *token,
                                 const struct principal *principal,
                                 const struct project_record *project, struct arena *arena,
                                 struct table_id *ret_replaces, struct err *err)
{
    struct span name = token->destination.snapshot;
    *ret_replaces = (struct table_id){0};
    TRY(authorise(principal, ACTION_CREATE_TABLE, object_project(rights->store, project), err));
    TRY(authorise_same_account(principal, project, err));
    struct name_target target;
    struct err reason;
    enum err_code code = name_find(rights->store, NULL, project->id, name, &target, &reason);
    if (code == ERR_TABLE_NOT_FOUND || code == ERR_NOT_FOUND)
        return ERR_OK;
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    if (target.kind != NAME_SNAPSHOT)
        return err_set(err, ERR_EXISTS, "%.*s.%.*s is a table; XCOPY makes a snapshot",
                       SPAN_PRINTF(project->name), SPAN_PRINTF(name));
    struct snapshot_record replaced;
    code = snapshot_get(rights->store, NULL, target.id, arena, &replaced, &reason);
    if (code == ERR_TABLE_NOT_FOUND || code == ERR_NOT_FOUND) /* dropped between the two */
        return ERR_OK;
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    *ret_replaces = replaced.id;
    TRY(authorise(principal, ACTION_DROP, object_snapshot(rights->store, project, &replaced), err));
    return snapshot_held_check(&replaced, err);
}

/* Who may see no project of that name is told what they would be told if it were there. */
static enum err_code target_project(const struct xcopy_rights *rights, struct span name,
                                    const struct principal *principal, struct arena *arena,
                                    struct project_record *ret_project, struct err *err)
{
    struct err reason;
    enum err_code code = project_find(rights->store, NULL, name, arena, ret_project, &reason);
    if (code == ERR_NOT_FOUND && !principal->operator)
        return authorise(principal, ACTION_CREATE_TABLE, object_absent_project(name), err);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

/* A token for this node, and its signer. */
static enum err_code token_here(const struct xcopy_rights *rights, const struct xcopy_copy *copy,
                                struct token *ret_token, struct principal *ret_signer,
                                struct err *err)
{
    struct token token;
    TRY(token_decode(copy->token, &token, err));
    TRY(token_verify(copy->token, err));
    TRY(token_copy_set(&token, copy->source, copy->destination, err));
    TRY(token_in_time(rights, &token, err));
    if (memcmp(token.destination_node.b, rights->node.b, sizeof(rights->node.b)) != 0 ||
        !span_equal(token.destination.region, span_text(rights->region)))
        return err_set(err, ERR_DENIED, "the token is for another node");
    if (!principals_find_signer(rights->principals, &token.signer, ret_signer))
        return err_set(err, ERR_DENIED, "the token's signer is not known in %s", rights->region);
    *ret_token = token;
    return ERR_OK;
}

enum err_code xcopy_rights_compare(const struct xcopy_rights *rights, struct span token_bytes,
                                   struct table_id snapshot, struct arena *arena,
                                   struct account_id *ret_owner, struct err *err)
{
    struct token token;
    struct principal principal;
    struct snapshot_record record;
    struct project_record project;
    const struct xcopy_copy copy = {.token = token_bytes};
    TRY(token_here(rights, &copy, &token, &principal, err));
    TRY(snapshot_get(rights->store, NULL, snapshot, arena, &record, err));
    TRY(project_get(rights->store, NULL, record.project, arena, &project, err));
    TRY(authorise(&principal, ACTION_SELECT, object_snapshot(rights->store, &project, &record),
                  err));
    *ret_owner = project.owner;
    return ERR_OK;
}

enum err_code xcopy_rights_destination(const struct xcopy_rights *rights,
                                       const struct xcopy_copy *copy, struct arena *arena,
                                       struct xcopy_target *ret_target, struct err *err)
{
    struct token token;
    struct principal principal;
    struct project_record project;
    TRY(token_here(rights, copy, &token, &principal, err));
    TRY(target_project(rights, token.destination.project, &principal, arena, &project, err));
    struct table_id replaces;
    TRY(target_name(rights, &token, &principal, &project, arena, &replaces, err));
    *ret_target = (struct xcopy_target){.project = project.id,
                                        .owner = project.owner,
                                        .replaces = replaces,
                                        .principal = principal};
    return ERR_OK;
}

/* ---- source ---- */

/* Which snapshot it is about: the token's, or of a standing one the one asked for. */
static struct span ask_snapshot(const struct xcopy_ask *ask, const struct token *token)
{
    return ask->snapshot.len > 0 ? ask->snapshot : token->source.snapshot;
}

static enum err_code ask_fits(const struct xcopy_ask *ask, const struct token *token,
                              struct err *err)
{
    struct span name = ask_snapshot(ask, token);
    if (memcmp(token->destination_node.b, ask->peer.b, sizeof(ask->peer.b)) != 0)
        return err_set(err, ERR_DENIED, "the token is for another node");
    if ((token->kind == TOKEN_STANDING && ask->snapshot.len == 0) ||
        !token_snapshot_fits(token, token->source.snapshot, name))
        return err_set(err, ERR_DENIED, "the token is for %.*s, not for snapshot %.*s",
                       SPAN_PRINTF(token->source.snapshot), SPAN_PRINTF(ask->snapshot));
    return ERR_OK;
}

/* The snapshot of that name as it is now; without id: there is none (or a table). */
static struct object origin_object(const struct xcopy_rights *rights, struct span name,
                                   const struct project_record *project, struct arena *arena)
{
    struct snapshot_record snapshot;
    return snapshot_find(rights->store, NULL, project->id, name, arena, &snapshot, NULL) == ERR_OK
               ? object_snapshot(rights->store, project, &snapshot)
               : object_absent(rights->store, project, name);
}

/* A token for the snapshots of one table is for no other's; of one that is not there nothing is said. */
static bool origin_of_table(const struct xcopy_rights *rights, const struct token *token,
                            struct span name, const struct project_record *project,
                            struct arena *arena)
{
    struct span table = token_source_table(token);
    struct snapshot_record snapshot;
    struct snapshot_claim claim;
    if (table.len == 0 ||
        snapshot_find(rights->store, NULL, project->id, name, arena, &snapshot, NULL) != ERR_OK)
        return true;
    return snapshot_claim_decode(snapshot.claim, arena, &claim, NULL) == ERR_OK &&
           !snapshot.is_replica && span_equal(claim.region, span_text(rights->region)) &&
           task_name_equal(claim.project, project->name) &&
           task_name_equal(claim.base_table_name, table);
}

/* A trusted project of another region is one at the node whose key that region has here. */
static enum err_code origin_leaves(const struct xcopy_rights *rights, const struct token *token,
                                   const struct principal *principal,
                                   const struct project_record *project, struct err *err)
{
    const struct peer *peer =
        rights->peers == NULL ? NULL : peers_find_signer(rights->peers, &token->destination_node);
    struct span region = token->destination.region;
    bool is_its = peer != NULL && span_equal(span_text(peer->region), region);
    return authorise_leave_region(principal, project, is_its ? region : span_of(NULL, 0),
                                  token->destination.project, err);
}

enum err_code xcopy_unknown(const struct token *token, struct span snapshot, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no snapshot %.*s.%.*s, or no right to it",
                   SPAN_PRINTF(token->source.project), SPAN_PRINTF(snapshot));
}

static void origin_detail(const struct xcopy_rights *rights, struct arena *arena,
                          struct xcopy_told *told)
{
    const struct token *token = &told->token;
    const struct object object = told->project.id.n != 0
                                     ? origin_object(rights, told->snapshot, &told->project, arena)
                                     : object_absent_in(token->source.project, told->snapshot);
    if (!told->known)
        err_set_message(&told->detail, ERR_DENIED, "the token's signer is not known in %s",
                        rights->region);
    else if (told->project.id.n == 0)
        err_set_message(&told->detail, ERR_NOT_FOUND, "there is no project %.*s",
                        SPAN_PRINTF(token->source.project));
    else if (authorise(&told->principal, ACTION_SELECT, object, &told->detail) != ERR_OK)
        return;
    else if (object.id.n == 0)
        err_set_message(&told->detail, ERR_NOT_FOUND, "there is no snapshot %.*s.%.*s",
                        SPAN_PRINTF(token->source.project), SPAN_PRINTF(told->snapshot));
    else
        told->detail = (struct err){0};
}

void xcopy_rights_tell(const struct xcopy_rights *rights, const struct xcopy_ask *ask,
                       struct arena *arena, struct xcopy_told *ret_told)
{
    struct xcopy_told *told = ret_told;
    *told = (struct xcopy_told){0};
    told->readable = token_decode(ask->token, &told->token, NULL) == ERR_OK &&
                     token_verify(ask->token, NULL) == ERR_OK;
    if (!told->readable)
        return;
    told->snapshot = ask_snapshot(ask, &told->token);
    told->known = principals_find_signer(rights->principals, &told->token.signer, &told->principal);
    (void)!project_find(rights->store, NULL, told->token.source.project, arena, &told->project,
                        NULL);
    origin_detail(rights, arena, told);
}

enum err_code xcopy_rights_leave(const struct xcopy_rights *rights, const struct token *token,
                                 const struct principal *signer,
                                 const struct project_record *project, struct arena *arena,
                                 struct err *err)
{
    TRY(token_in_time(rights, token, err));
    TRY(xcopy_gates(rights, project, arena, err));
    return origin_leaves(rights, token, signer, project, err);
}

enum err_code xcopy_rights_source(const struct xcopy_rights *rights, const struct xcopy_ask *ask,
                                  struct arena *arena, struct xcopy_origin *ret_origin,
                                  struct err *err)
{
    struct token token;
    TRY(token_decode(ask->token, &token, err));
    TRY(token_verify(ask->token, err));
    TRY(ask_fits(ask, &token, err));
    struct span snapshot = ask_snapshot(ask, &token);
    if (!span_equal(token.source.region, span_text(rights->region)))
        return err_set(err, ERR_DENIED, "the token is for region %.*s, this is %s",
                       SPAN_PRINTF(token.source.region), rights->region);
    if ((token.rights & (TOKEN_DESCRIBE | TOKEN_PAGES)) != (TOKEN_DESCRIBE | TOKEN_PAGES))
        return err_set(err, ERR_DENIED, "the token grants neither a copy nor a look at it");
    struct principal principal;
    bool known = principals_find_signer(rights->principals, &token.signer, &principal);
    struct project_record project;
    enum err_code code =
        project_find(rights->store, NULL, token.source.project, arena, &project, NULL);
    if (!known || code != ERR_OK ||
        authorise(&principal, ACTION_SELECT, origin_object(rights, snapshot, &project, arena),
                  NULL) != ERR_OK ||
        !origin_of_table(rights, &token, snapshot, &project, arena))
        return xcopy_unknown(&token, snapshot, err);
    TRY(authorise_same_account(&principal, &project, err));
    TRY(token_not_revoked(rights->store, &principal, &token.id, err));
    TRY(xcopy_rights_leave(rights, &token, &principal, &project, arena, err));
    *ret_origin = (struct xcopy_origin){
        .project = project.id, .token = token, .snapshot = snapshot, .signer = principal};
    return ERR_OK;
}
