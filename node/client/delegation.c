/* See delegation.h. */
#include "node/client/delegation.h"

#include "node/schedule/grants.h"
#include "node/sql/parser.h"
#include "proto/token.h"

#define STATUS_ARENA_BYTES   (4 * MIB(1))
#define SCHEDULE_ARENA_BYTES STATEMENT_ARENA_BYTES

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

/* Appends it. Gives it an id and its signer. */
static enum err_code token_sign(struct token *grant, const struct identity *signer,
                                struct bytes *token, struct err *err)
{
    struct bytes content BYTES_CLEANUP = {0};
    struct signature signature;
    grant->signer = identity_public(signer)->sign;
    randombytes_buf(grant->id.b, sizeof grant->id.b);
    TRY(token_encode(grant, &content, err));
    identity_sign(signer, TOKEN_DOMAIN, bytes_span(&content), &signature);
    bytes_append_span(token, bytes_span(&content));
    bytes_append(token, signature.b, sizeof signature.b);
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
        .issued_s = delegation->now_s,
        .not_after_s = delegation->now_s + TOKEN_ONCE_LIFE_S,
        .destination_node = delegation->destination,
        .source = {delegation->source_region, source->project.len > 0 ? source->project : project,
                   source->object},
        .destination = {delegation->region, project, delegation->snapshot->object},
    };
    return token_sign(&grant, signer, token, err);
}

/* ---- schedules ---- */

#define ZONES_APART_S (60 * 3600) /* EFFECTIVE TO is a local day, and the last run takes a while */

void delegation_list_deinit(struct delegation_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        bytes_deinit(&list->bytes[i]);
}

static uint64_t schedule_end_s(const struct create_schedule *create, uint64_t now_s)
{
    uint64_t latest_s = now_s + TOKEN_STANDING_LIFE_S;
    struct value value;
    if (!create->has_to ||
        literal_value(&create->effective_to, (struct type){.kind = TYPE_DATETIME}, &value, NULL) !=
            ERR_OK ||
        value.null || value.i64 < 0)
        return latest_s;
    uint64_t end_s = (uint64_t)value.i64 / 1000 + ZONES_APART_S;
    return end_s > now_s && end_s < latest_s ? end_s : latest_s;
}

enum err_code delegation_sign_schedule(const struct schedule_delegation *delegation,
                                       const struct identity *signer,
                                       struct delegation_list *ret_list, struct err *err)
{
    const struct create_schedule *create = delegation->create;
    struct span project = create->name.project;
    struct schedule_grants grants;
    struct arena arena ARENA_CLEANUP;
    arena_init(&arena, SCHEDULE_ARENA_BYTES);
    TRY(schedule_grants_find(create, project.len > 0 ? project : delegation->project, &arena,
                             &grants, err));
    for (size_t i = 0; i < grants.count; i++) {
        const struct schedule_grant *grant = &grants.list[i];
        struct token token = {
            .kind = TOKEN_STANDING,
            .rights = grant->rights,
            .issued_s = delegation->now_s,
            .not_after_s = schedule_end_s(create, delegation->now_s),
            .runs_a_day = grants.runs_a_day,
            .destination_node = delegation->destination,
            .source = grant->source,
            .destination = grant->destination,
            .schedule = create->name.object,
        };
        token.destination.region = delegation->region;
        TRY(token_sign(&token, signer, &ret_list->bytes[i], err));
        ret_list->tokens[i] = bytes_span(&ret_list->bytes[i]);
        ret_list->count++;
    }
    return ERR_OK;
}
