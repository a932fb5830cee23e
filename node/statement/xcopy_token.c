/* REVOKE XCOPY TOKEN, SHOW XCOPY TOKENS: of the region that data leaves. The records: node/task/token_use.h.
 *
 *     account    all tokens that it or its RAM users signed       RAM user    those that it signed
 *
 * An id may be revoked before its token was ever seen here: that of a stolen one. What is told of an id
 * of somebody else is what is told of one that nobody has.
 */
#include "node/statement/lookup.h"
#include "node/task/token_use.h"

static enum err_code signer_authorise(const struct statement_call *call, struct err *err)
{
    if (call->principal->account.n != 0)
        return ERR_OK;
    return err_set(err, ERR_DENIED,
                   "%s is no account and signs no tokens; whose a token is, that account or RAM "
                   "user revokes it",
                   call->principal->name);
}

enum err_code statement_revoke_token(const struct statement_call *call, struct answer *answer,
                                     struct err *err)
{
    const struct principal *principal = call->principal;
    struct span text = call->statement->xcopy_token;
    struct token_id id;
    bool seen;
    TRY(signer_authorise(call, err));
    if (!token_id_parse(text, &id))
        return err_set(err, ERR_SEMANTIC,
                       "'%.*s' is not a token's id; SHOW XCOPY TOKENS lists them",
                       SPAN_PRINTF(text));
    struct change_note note = statement_note(call);
    TRY(token_revoke(call->services->store, principal, &id, &note, &seen, err));
    if (!seen)
        answer_set_notice(answer,
                          "no token of %s with this id was used here so far; if one comes, it is "
                          "refused",
                          principal->name);
    return ERR_OK;
}

/* ---- SHOW XCOPY TOKENS ---- */

static void add_place(struct answer *answer, const struct token_place *place)
{
    char name[2 * LIMIT_NAME_BYTES + 2];
    snprintf(name, sizeof(name), "%.*s.%.*s", SPAN_PRINTF(place->project),
             SPAN_PRINTF(place->snapshot));
    answer_add_text(answer, span_text(name));
}

/* What only a token that came says. */
static void add_used(struct answer *answer, const struct token_row *row)
{
    const struct token *token = &row->token;
    char task[TOKEN_ID_TEXT_BYTES];
    answer_add_text(answer, span_text(token->kind == TOKEN_STANDING ? "STANDING" : "ONCE"));
    answer_add_text(answer, row->signer);
    add_place(answer, &token->source);
    answer_add_text(answer, token->destination.region);
    add_place(answer, &token->destination);
    answer_add_time(answer, token->issued_s * 1000);
    answer_add_time(answer, token->not_after_s * 1000);
    sodium_bin2hex(task, sizeof(task), row->task.b, sizeof(row->task.b));
    answer_add_text(answer, span_text(task));
    answer_add_time(answer, row->used_ms);
    if (token->kind != TOKEN_STANDING) {
        answer_add_null(answer);
        answer_add_null(answer);
        return;
    }
    answer_add_text(answer, token->schedule);
    answer_add_number(answer, row->runs_today);
}

#define USED_COLUMNS 11

static enum err_code add_token(void *context, const struct token_row *row, struct err *err)
{
    struct answer *answer = context;
    char id[TOKEN_ID_TEXT_BYTES];
    (void)err;
    answer_add_text(answer, span_text(token_id_format(&row->id, id)));
    answer_add_text(answer, span_text(token_state_name(row->state)));
    if (row->used)
        add_used(answer, row);
    for (size_t i = 0; i < USED_COLUMNS && !row->used; i++)
        answer_add_null(answer);
    answer_add_time(answer, row->revoked_ms);
    if (row->revoked_ms != 0)
        answer_add_text(answer, row->revoked_by);
    else
        answer_add_null(answer);
    return ERR_OK;
}

enum err_code statement_show_tokens(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    static const struct answer_column columns[] = {
        {"token", TYPE_STRING, true},        {"state", TYPE_STRING, true},
        {"kind", TYPE_STRING, false},        {"signer", TYPE_STRING, false},
        {"source", TYPE_STRING, false},      {"destination_region", TYPE_STRING, false},
        {"destination", TYPE_STRING, false}, {"issued", TYPE_DATETIME, false},
        {"not_after", TYPE_DATETIME, false}, {"task_id", TYPE_STRING, false},
        {"used", TYPE_DATETIME, false},      {"schedule", TYPE_STRING, false},
        {"runs_today", TYPE_BIGINT, false},  {"revoked", TYPE_DATETIME, false},
        {"revoked_by", TYPE_STRING, false},
    };
    TRY(signer_authorise(call, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    return token_each(call->services->store, call->principal, statement_now_ms() / 1000, add_token,
                      answer, err);
}
