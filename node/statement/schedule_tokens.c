#include "node/statement/schedule_tokens.h"

#include <time.h>

#include "node/schedule/grants.h"
#include "node/task/token_use.h"
#include "proto/token.h"

static enum err_code token_missing(const struct schedule_grant *grant, struct err *err)
{
    if (grant->step == 0)
        return err_set(err, ERR_CREDENTIALS,
                       "CREATE SCHEDULE came without a delegation for its trigger, signed by its "
                       "principal; use `strait sql`");
    return err_set(err, ERR_CREDENTIALS,
                   "CREATE SCHEDULE came without a delegation for its statement %zu, of "
                   "%.*s.%.*s to %.*s.%.*s, signed by its principal; use `strait sql`",
                   grant->step, SPAN_PRINTF(grant->source.project),
                   SPAN_PRINTF(grant->source.snapshot), SPAN_PRINTF(grant->destination.project),
                   SPAN_PRINTF(grant->destination.snapshot));
}

/* As an XCOPY's at its start; rights are asked when it runs. */
static enum err_code token_check(const struct statement_call *call,
                                 const struct schedule_grant *grant, struct span encoded,
                                 struct err *err)
{
    const struct statement_services *services = call->services;
    struct token token;
    TRY(token_decode(encoded, &token, err));
    TRY(token_verify(encoded, err));
    if (!identity_key_equal(&token.signer, &call->principal->keys.sign))
        return err_set(err, ERR_DENIED, "the token was signed by another key than the session's");
    if (!identity_key_equal(&token.destination_node, &identity_public(services->identity)->sign) ||
        !span_equal(token.destination.region, span_text(services->region)))
        return err_set(err, ERR_DENIED, "the token is for another node");
    if (token.not_after_s <= statement_now_ms() / 1000)
        return err_set(err, ERR_CREDENTIALS, "the token has ended: set the clock that is wrong");
    if (!schedule_grant_fits(grant, call->statement->create_schedule.name.object, &token))
        return token_missing(grant, err);
    if (span_equal(token.source.region, span_text(services->region)))
        return err_set(err, ERR_PARAMETER,
                       "src_region %s is this region itself; XCOPY pulls from "
                       "another one",
                       services->region);
    return peers_find_region(services->peers, token.source.region) != NULL
               ? ERR_OK
               : peers_unknown(services->peers, token.source.region, err);
}

enum err_code schedule_tokens_take(const struct statement_call *call,
                                   const struct project_record *project, struct schedule *schedule,
                                   struct err *err)
{
    const struct create_schedule *create = &call->statement->create_schedule;
    struct schedule_grants grants;
    TRY(schedule_grants_find(create, project->name, call->arena, &grants, err));
    schedule->tokens = arena_alloc(call->arena, grants.count + 1, sizeof(*schedule->tokens));
    if (schedule->tokens == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs too much memory");
    for (size_t i = 0; i < grants.count; i++) {
        if (i >= call->token_count)
            return token_missing(&grants.list[i], err);
        TRY(token_check(call, &grants.list[i], call->tokens[i], err));
        schedule->tokens[i] = call->tokens[i];
    }
    if (call->token_count > grants.count)
        return err_set(err, ERR_PARAMETER, "CREATE SCHEDULE came with more tokens than it copies");
    schedule->token_count = grants.count;
    return ERR_OK;
}

uint64_t schedule_tokens_end_s(const struct schedule *schedule)
{
    uint64_t end_s = 0;
    for (size_t i = 0; i < schedule->token_count; i++) {
        struct token token;
        if (token_decode(schedule->tokens[i], &token, NULL) == ERR_OK &&
            (end_s == 0 || token.not_after_s < end_s))
            end_s = token.not_after_s;
    }
    return end_s;
}

void schedule_tokens_ids(const struct schedule *schedule, struct bytes *out)
{
    for (size_t i = 0; i < schedule->token_count; i++) {
        struct token token;
        char id[TOKEN_ID_TEXT_BYTES];
        if (token_decode(schedule->tokens[i], &token, NULL) == ERR_OK)
            bytes_printf(out, "%s%s", i > 0 ? " " : "", token_id_format(&token.id, id));
    }
}

enum err_code schedule_tokens_last(const struct schedule *schedule, struct err *err)
{
    uint64_t end_s = schedule_tokens_end_s(schedule);
    char when[24];
    struct tm parts = {0};
    time_t time = (time_t)end_s;
    if (end_s == 0 || end_s > statement_now_ms() / 1000)
        return ERR_OK;
    gmtime_r(&time, &parts);
    if (strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &parts) == 0)
        when[0] = 0;
    return err_set(err, ERR_CREDENTIALS,
                   "what was signed for schedule %.*s ended at %s UTC; DROP SCHEDULE and CREATE "
                   "SCHEDULE sign it anew",
                   SPAN_PRINTF(schedule->name), when);
}
