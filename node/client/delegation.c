/* See delegation.h. */
#include "node/client/delegation.h"

#include "proto/token.h"

#define STATUS_ARENA_BYTES (4 * MIB(1))

enum err_code node_region_find(struct remote *remote, struct bytes *ret_region, struct err *err)
{
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    struct arena arena ARENA_CLEANUP;
    struct operator_status status;
    arena_init(&arena, STATUS_ARENA_BYTES);
    TRY(remote_call(remote, OPERATOR_STATUS, NULL, NULL, 0, &answer, err));
    TRY(operator_status_decode(bytes_span(&answer.body), &arena, &status, err));
    bytes_clear(ret_region);
    bytes_append_span(ret_region, status.region);
    return ERR_OK;
}

enum err_code delegation_sign(const struct delegation *delegation, const struct identity *signer,
                              struct bytes *token, struct err *err)
{
    const struct name *source = delegation->source;
    struct span project = delegation->snapshot->project;
    if (project.len == 0)
        project = delegation->project;
    if (project.len == 0)
        return err_set(err, ERR_SEMANTIC, "no project: write project.snapshot or USE a project");
    struct token grant = {
        .kind = TOKEN_ONCE,
        .rights =
            (uint16_t)(TOKEN_DESCRIBE | TOKEN_PAGES | (delegation->looks_only ? 0 : TOKEN_FILES)),
        .signer = identity_public(signer)->sign,
        .issued_s = delegation->now_s,
        .not_after_s = delegation->now_s + TOKEN_ONCE_LIFE_S,
        .destination_node = delegation->destination,
        .source = {delegation->source_region, source->project.len > 0 ? source->project : project,
                   source->object},
        .destination = {delegation->region, project, delegation->snapshot->object},
    };
    randombytes_buf(grant.id.b, sizeof grant.id.b);
    struct bytes content BYTES_CLEANUP = {0};
    struct signature signature;
    TRY(token_encode(&grant, &content, err));
    identity_sign(signer, TOKEN_DOMAIN, bytes_span(&content), &signature);
    bytes_append_span(token, bytes_span(&content));
    bytes_append(token, signature.b, sizeof signature.b);
    return ERR_OK;
}
