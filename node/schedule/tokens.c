#include "node/schedule/tokens.h"

#include "proto/token.h"

static bool same_name(struct span a, struct span b)
{
    return a.len == b.len && a.len > 0 &&
           strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

static bool covers(const struct token *token, const struct xcopy_names *names)
{
    return (token->rights & TOKEN_FILES) != 0 && /* not the trigger's */
           span_equal(token->source.region, names->source_region) &&
           same_name(token->source.project, names->source_project) &&
           same_name(token->destination.project, names->destination_project) &&
           token_snapshot_fits(token, token->source.snapshot, names->source_snapshot) &&
           token_snapshot_fits(token, token->destination.snapshot, names->destination_snapshot);
}

struct span schedule_token_find(const struct schedule *schedule, const struct xcopy_names *names)
{
    for (size_t i = 0; i < schedule->token_count; i++) {
        struct token token;
        struct err err;
        if (token_decode(schedule->tokens[i], &token, &err) == ERR_OK && covers(&token, names))
            return schedule->tokens[i];
    }
    return (struct span){0};
}
