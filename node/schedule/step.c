#include "node/schedule/step.h"

#include <time.h>

#include "node/schedule/grants.h"
#include "node/schedule/tokens.h"

struct step {
    struct arena arena;
    struct bytes text;
    struct principal principal;
    struct statement *statement;
    struct statement_call call;
    struct statement_audit audit;
    struct answer answer;
    bool is_query;
    uint64_t rows;
};

/* ---- text ---- */

#define CREATED_BYTES sizeof("20260105010000")
/* When the snapshot was made: a triggered run is planned then. */
static struct span created_text(const struct schedule_run *run, char text[CREATED_BYTES])
{
    struct tm parts = {0};
    time_t planned = (time_t)run->planned_s;
    gmtime_r(&planned, &parts);
    return span_of((uint8_t *)text, strftime(text, CREATED_BYTES, "%Y%m%d%H%M%S", &parts));
}

/* The schedule's variables and those of its trigger, where there is one. */
static enum err_code text_expand(const struct schedule *schedule, const struct schedule_run *run,
                                 int64_t planned_local_s, size_t at_step, struct bytes *out,
                                 size_t *ret_at, struct err *err)
{
    struct parameter variables[LIMIT_SCHEDULE_VARIABLES + 2];
    char created[CREATED_BYTES];
    size_t count = 0;
    ASSERT(schedule->variable_count <= LIMIT_SCHEDULE_VARIABLES);
    for (; count < schedule->variable_count; count++)
        variables[count] = schedule->variables[count];
    if (schedule->trigger_table.len > 0 && schedule->cron.len == 0) {
        variables[count++] =
            (struct parameter){span_text(SCHEDULE_VARIABLE_SNAPSHOT),
                               run->snapshot.len > 0 ? run->snapshot : span_text("s")};
        variables[count++] =
            (struct parameter){span_text(SCHEDULE_VARIABLE_CREATED), created_text(run, created)};
    }
    const struct parameters parameters = {planned_local_s, variables, count};
    return parameters_expand(&parameters, schedule->steps[at_step], 2 * LIMIT_SCHEDULE_BYTES, out,
                             ret_at, err);
}

static enum err_code may_stand(const struct statement *statement, struct err *err)
{
    static const enum statement_kind refused[] = {
        STATEMENT_USE,           STATEMENT_CREATE_SCHEDULE, STATEMENT_ALTER_SCHEDULE,
        STATEMENT_DROP_SCHEDULE, STATEMENT_RUN_SCHEDULE,
    };
    if (statement->kind == STATEMENT_USE)
        return err_set(err, ERR_SEMANTIC,
                       "USE has no place in a schedule, which works in its own project: write "
                       "project.name");
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        if (statement->kind == refused[i])
            return err_set(err, ERR_SEMANTIC, "%s has no place in a schedule",
                           statement_kind_text(statement->kind));
    }
    return ERR_OK;
}

static enum err_code text_parse(struct span text, struct arena *arena, struct statement **ret,
                                struct err *err)
{
    TRY(statement_parse(text, arena, ret, err));
    return may_stand(*ret, err);
}

/* SET of earlier statements: a schedule has no session to keep them. */
static enum err_code settings_take(const struct step_context *context, struct step *step,
                                   struct err *err)
{
    size_t count = 0;
    struct operator_pair *pairs = arena_alloc(&step->arena, context->run->step + 1, sizeof(*pairs));
    if (pairs == NULL)
        return err_set(err, ERR_LIMIT, "the schedule's statements need too much memory");
    for (size_t i = 0; i < context->run->step; i++) {
        BYTES_CLEANUP struct bytes text = {0};
        struct statement *statement;
        size_t at;
        TRY(text_expand(context->schedule, context->run, context->planned_local_s, i, &text, &at,
                        err));
        struct span copy = arena_copy(&step->arena, bytes_span(&text));
        TRY(text_parse(copy, &step->arena, &statement, err));
        if (statement->kind == STATEMENT_SET)
            pairs[count++] = (struct operator_pair){statement->set.key, statement->set.value};
    }
    step->call.settings = pairs;
    step->call.setting_count = count;
    return ERR_OK;
}

/* ---- whose it is ---- */

static enum err_code creator_find(const struct step_context *context,
                                  struct principal *ret_principal, struct err *err)
{
    static const struct public_identity none;
    const struct schedule *schedule = context->schedule;
    const struct principals *principals = context->services->principals;
    bool keyless = memcmp(&schedule->keys, &none, sizeof(none)) == 0;
    bool found = keyless ? principals_find_name(principals, schedule->creator, ret_principal)
                         : principals_find_signer(principals, &schedule->keys.sign, ret_principal);
    if (found && principal_id(ret_principal) == schedule->creator_id)
        return ERR_OK;
    return err_set(
        err, ERR_DENIED,
        "the schedule runs as %.*s, who is gone, or whose key with which it was made is: "
        "make it again",
        SPAN_PRINTF(schedule->creator));
}

/* The standing token for what the XCOPY names; empty: there is none. */
static struct span token_for(const struct schedule *schedule, const struct xcopy *xcopy,
                             struct span project)
{
    const struct option *region = option_find(&xcopy->options, "src_region");
    const struct xcopy_names names = {
        .source_region = region != NULL ? region->value.text : (struct span){0},
        .source_project = xcopy->source.project,
        .source_snapshot = xcopy->source.object,
        .destination_project =
            xcopy->destination.project.len > 0 ? xcopy->destination.project : project,
        .destination_snapshot = xcopy->destination.object,
    };
    return schedule_token_find(schedule, &names);
}

/* ---- a statement ---- */

static enum err_code past_check(const struct step_context *context, const struct step *step,
                                struct err *err)
{
    if (step->statement->kind != STATEMENT_CREATE_SNAPSHOT || !context->past ||
        context->run->allow_past_snapshots)
        return ERR_OK;
    return err_set(
        err, ERR_SEMANTIC,
        "CREATE SNAPSHOT TABLE of a past day would keep the data of today under that "
        "day's name; RUN SCHEDULE ... OPTIONS(allow_past_snapshots=true) does so all the "
        "same");
}

static enum err_code step_fill(const struct step_context *context, struct step *step,
                               struct err *err)
{
    const struct schedule *schedule = context->schedule;
    size_t at;
    TRY(text_expand(schedule, context->run, context->planned_local_s, context->run->step,
                    &step->text, &at, err));
    TRY(text_parse(bytes_span(&step->text), &step->arena, &step->statement, err));
    TRY(past_check(context, step, err));
    TRY(creator_find(context, &step->principal, err));
    snprintf(step->audit.address, sizeof(step->audit.address), "schedule %.*s.%.*s",
             SPAN_PRINTF(context->project), SPAN_PRINTF(schedule->name));
    struct digest_state state;
    digest_init(&state, DOMAIN_STATEMENT);
    digest_update_part(&state, context->project);
    digest_update_part(&state, bytes_span(&step->text));
    step->call = (struct statement_call){
        .services = context->services,
        .principal = &step->principal,
        .id = schedule_statement_id(schedule->id, context->run),
        .content = digest_final(&state),
        .project = arena_copy(&step->arena, context->project),
        .statement = step->statement,
        .arena = &step->arena,
        .audit = &step->audit,
    };
    step->call.schedule = arena_copy(&step->arena, schedule->name);
    if (step->statement->kind == STATEMENT_XCOPY)
        step->call.token = arena_copy(
            &step->arena, token_for(schedule, &step->statement->xcopy, context->project));
    return settings_take(context, step, err);
}

enum err_code step_open(const struct step_context *context, struct step **ret_step, struct err *err)
{
    struct step *step = mem_calloc(1, sizeof(*step));
    arena_init(&step->arena, STATEMENT_ARENA_BYTES + LIMIT_STATEMENT_BYTES);
    answer_init(&step->answer);
    enum err_code code = step_fill(context, step, err);
    if (code != ERR_OK) {
        step_close(step);
        return code;
    }
    *ret_step = step;
    return ERR_OK;
}

void step_close(struct step *step)
{
    if (step == NULL)
        return;
    answer_deinit(&step->answer);
    bytes_deinit(&step->text);
    arena_deinit(&step->arena);
    mem_free(step);
}

/* Rows are counted, nobody keeps them. */
static enum err_code rows_drain(struct step *step, struct err *err)
{
    struct answer *answer = &step->answer;
    bool end = answer->stream.context == NULL;
    if (answer->column_count > 0)
        step->rows = answer->rows.rows;
    while (!end) {
        batch_clear(&answer->rows);
        TRY(answer->stream.next(answer->stream.context, LIMIT_RESULT_CHUNK_BYTES, &answer->rows,
                                &end, err));
        step->rows += answer->rows.rows;
    }
    step->is_query = step->statement->kind == STATEMENT_SELECT;
    return ERR_OK;
}

enum err_code step_start(struct step *step, atomic_bool *cancel, bool *ret_waits, struct err *err)
{
    step->call.cancel = cancel;
    *ret_waits = false;
    enum err_code code = statement_run(&step->call, &step->answer, err);
    err_count(step->call.services->errors, code);
    TRY(code);
    if (step->answer.wait.context != NULL) {
        *ret_waits = true;
        return ERR_OK;
    }
    return rows_drain(step, err);
}

enum err_code step_poll(struct step *step, bool *ret_ended, struct err *err)
{
    struct operator_progress progress = {0};
    struct answer *answer = &step->answer;
    return answer->wait.poll(answer->wait.context, answer, &progress, ret_ended, err);
}

bool step_has_rows(const struct step *step, uint64_t *ret_rows)
{
    if (step->is_query)
        *ret_rows = step->rows;
    return step->is_query;
}

/* ---- at CREATE SCHEDULE ---- */

enum err_code steps_check(const struct schedule *schedule, int64_t planned_local_s,
                          size_t *ret_step, size_t *ret_at, struct err *err)
{
    static const struct schedule_run none;
    for (size_t i = 0; i < schedule->step_count; i++) {
        BYTES_CLEANUP struct bytes text = {0};
        ARENA_CLEANUP struct arena arena;
        struct statement *statement;
        *ret_step = i;
        *ret_at = 0;
        arena_init(&arena, STATEMENT_ARENA_BYTES);
        TRY(text_expand(schedule, &none, planned_local_s, i, &text, ret_at, err));
        *ret_at = 0;
        TRY(text_parse(bytes_span(&text), &arena, &statement, err));
    }
    return ERR_OK;
}

bool steps_make_snapshots(const struct schedule *schedule, int64_t planned_local_s)
{
    static const struct schedule_run none;
    for (size_t i = 0; i < schedule->step_count; i++) {
        BYTES_CLEANUP struct bytes text = {0};
        ARENA_CLEANUP struct arena arena;
        struct statement *statement;
        struct err err;
        size_t at;
        arena_init(&arena, STATEMENT_ARENA_BYTES);
        if (text_expand(schedule, &none, planned_local_s, i, &text, &at, &err) == ERR_OK &&
            statement_parse(bytes_span(&text), &arena, &statement, &err) == ERR_OK &&
            statement->kind == STATEMENT_CREATE_SNAPSHOT)
            return true;
    }
    return false;
}
