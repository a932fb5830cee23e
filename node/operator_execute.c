/* execute: one statement. Sent again under its id it joins the run that is under way. */
#include "node/operator.h"

#include <ctype.h>
#include <strings.h>

/* A statement with all it needs after the request's bytes are gone. */
struct execution {
    struct arena arena;
    struct principal principal;
    struct statement_call call;
    struct statement *statement;
    struct statement_progress progress;
    struct statement_audit audit;
    uint32_t wait_ms;
};

static void execution_free(void *context)
{
    struct execution *execution = context;
    arena_deinit(&execution->arena);
    mem_free(execution);
}

static enum err_code execution_start(void *context, struct answer *answer, atomic_bool *cancel,
                                     struct err *err)
{
    struct execution *execution = context;
    execution->call.cancel = cancel;
    return statement_run(&execution->call, answer, err);
}

static void execution_failed(void *context, enum err_code code)
{
    const struct execution *execution = context;
    err_count(execution->call.services->errors, code);
}

static void execution_progress(void *context, struct operator_progress *progress)
{
    struct execution *execution = context;
    const char *phase = atomic_load(&execution->progress.phase);
    if (phase == NULL)
        return;
    progress->phase = span_text(phase);
    progress->bytes_done = atomic_load(&execution->progress.bytes);
}

static struct digest content_of(const struct operator_execute *execute)
{
    struct digest_state state;
    digest_init(&state, DOMAIN_STATEMENT);
    digest_update_part(&state, execute->project);
    digest_update_part(&state, execute->text);
    return digest_final(&state);
}

/* Everything copied: the run outlives the request. */
static enum err_code execution_fill(const struct operator_call *call, struct execution *execution,
                                    struct err *err)
{
    struct arena *arena = &execution->arena;
    struct span header = arena_copy(arena, request_header(call->request));
    struct span body = arena_copy(arena, request_body(call->request));
    ASSERT(header.data != NULL && body.data != NULL); /* both limited far below the arena */
    struct operator_execute execute;
    TRY(operator_execute_decode(header, body, arena, &execute, err));
    TRY(statement_parse(execute.text, arena, &execution->statement, err));
    execution->wait_ms = execute.wait_ms;
    operator_address(call, &execution->audit);
    execution->principal = call->principal;
    execution->call = (struct statement_call){
        .services = call->services->statements,
        .principal = &execution->principal,
        .id = execute.id,
        .content = content_of(&execute),
        .project = execute.project,
        .settings = execute.settings,
        .setting_count = execute.setting_count,
        .token = execute.token,
        .tokens = execute.tokens,
        .token_count = execute.token_count,
        .statement = execution->statement,
        .arena = arena,
        .progress = &execution->progress,
        .audit = &execution->audit,
    };
    return ERR_OK;
}

bool execute_hurries(const struct request *request)
{
    static const char word[] = "CANCEL";
    struct span text = request_body(request);
    while (text.len > 0 && isspace(text.data[0]))
        text = span_slice(text, 1, text.len - 1);
    return text.len >= sizeof(word) - 1 &&
           strncasecmp((const char *)text.data, word, sizeof(word) - 1) == 0;
}

enum err_code handle_execute(struct operator_call *call, struct bytes *header, struct bytes *body,
                             struct err *err)
{
    (void)header;
    (void)body;
    struct execution *execution = mem_calloc(1, sizeof(*execution));
    arena_init(&execution->arena, STATEMENT_ARENA_BYTES + LIMIT_STATEMENT_BYTES);
    if (execution_fill(call, execution, err) != ERR_OK) {
        err_count(call->services->statements->errors, err->code);
        execution_free(execution);
        return err->code;
    }
    bool changes = statement_changes(execution->statement);
    bool cancellable = changes && statement_written_query(execution->statement) != NULL;
    if ((!changes || cancellable) &&
        !request_alive(call->request)) { /* it waited for a worker, and nobody for it */
        execution_free(execution);
        return err_set(err, ERR_CANCELLED, "the connection is gone");
    }
    uint32_t wait_ms = execution->wait_ms;
    struct digest content = execution->call.content;
    const struct run_key key = {call->principal.name, execution->call.id,
                                request_session(call->request)->boot_id};
    const struct run_work work = {
        .start = execution_start,
        .free = execution_free,
        .context = execution,
        .changes = changes,
        .cancellable = cancellable,
        .progress = execution_progress,
        .failed = execution_failed,
    };
    struct run *run;
    TRY(runs_begin(call->services->runs, &key, &content, &work, &run, err));
    run_ask(run, 0, wait_ms, call->request);
    call->request = NULL;
    run_unref(run);
    return ERR_OK;
}
