#include "node/task/xcopy_rights.h"

#include <time.h>

static uint64_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

/* Clocks of regions differ a little: a token may be that much from the future. */
#define CLOCK_TOLERANCE_S 300

static enum err_code token_in_time(const struct token *token, struct err *err)
{
    uint64_t now = now_s();
    if (now > token->not_after_s)
        return err_set(err, ERR_CREDENTIALS,
                       "the token ended at %" PRIu64 " s, this node's clock says %" PRIu64 " s",
                       token->not_after_s, now);
    if (token->issued_s > now + CLOCK_TOLERANCE_S)
        return err_set(err, ERR_CREDENTIALS,
                       "the token was issued at %" PRIu64 " s, this node's clock says %" PRIu64
                       " s",
                       token->issued_s, now);
    return ERR_OK;
}

static enum err_code project_gate(const struct project_record *project, struct err *err)
{
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
                                 const struct project_record *project, struct err *err)
{
    struct span name = token->destination.snapshot;
    TRY(authorise(principal, ACTION_CREATE_TABLE, object_project(project->owner, project->name),
                  err));
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
    return authorise(principal, ACTION_DROP, object_table(project->owner, project->name, name),
                     err);
}

enum err_code xcopy_rights_destination(const struct xcopy_rights *rights, struct span token_bytes,
                                       struct arena *arena, struct xcopy_target *ret_target,
                                       struct err *err)
{
    struct token token;
    TRY(token_decode(token_bytes, &token, err));
    TRY(token_verify(token_bytes, err));
    TRY(token_in_time(&token, err));
    if (memcmp(token.destination_node.b, rights->node.b, sizeof(rights->node.b)) != 0 ||
        !span_equal(token.destination.region, span_text(rights->region)))
        return err_set(err, ERR_DENIED, "the token is for another node");
    const struct principal *principal = principals_find_signer(rights->principals, &token.signer);
    if (principal == NULL)
        return err_set(err, ERR_DENIED, "the token's signer is not known in %s", rights->region);
    struct project_record project;
    TRY(project_find(rights->store, NULL, token.destination.project, arena, &project, err));
    TRY(target_name(rights, &token, principal, &project, err));
    TRY(project_gate(&project, err));
    *ret_target = (struct xcopy_target){
        .project = project.id, .owner = project.owner, .principal = principal};
    return ERR_OK;
}

/* ---- source ---- */

enum err_code xcopy_unknown(const struct token *token, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no snapshot %.*s.%.*s, or no right to it",
                   SPAN_PRINTF(token->source.project), SPAN_PRINTF(token->source.snapshot));
}

enum err_code xcopy_rights_source(const struct xcopy_rights *rights, struct span token_bytes,
                                  const struct identity_key *peer, struct arena *arena,
                                  struct xcopy_origin *ret_origin, struct err *err)
{
    struct token token;
    TRY(token_decode(token_bytes, &token, err));
    TRY(token_verify(token_bytes, err));
    if (memcmp(token.destination_node.b, peer->b, sizeof(peer->b)) != 0)
        return err_set(err, ERR_DENIED, "the token is for another node");
    if (!span_equal(token.source.region, span_text(rights->region)))
        return err_set(err, ERR_DENIED, "the token is for region %.*s, this is %s",
                       SPAN_PRINTF(token.source.region), rights->region);
    if ((token.rights & (TOKEN_DESCRIBE | TOKEN_PAGES | TOKEN_FILES)) !=
        (TOKEN_DESCRIBE | TOKEN_PAGES | TOKEN_FILES))
        return err_set(err, ERR_DENIED, "the token does not grant a copy");
    const struct principal *principal = principals_find_signer(rights->principals, &token.signer);
    struct project_record project;
    enum err_code code =
        project_find(rights->store, NULL, token.source.project, arena, &project, NULL);
    if (principal == NULL || code != ERR_OK ||
        authorise(principal, ACTION_SELECT,
                  object_table(project.owner, project.name, token.source.snapshot), NULL) != ERR_OK)
        return xcopy_unknown(&token, err);
    TRY(token_in_time(&token, err));
    TRY(project_gate(&project, err));
    *ret_origin = (struct xcopy_origin){.project = project.id, .token = token};
    return ERR_OK;
}
