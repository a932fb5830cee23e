/* See script.h. */
#include "node/client/script.h"

#include "node/client/delegation.h"
#include "node/sql/lexer.h"
#include "node/sql/parser.h"

void script_init(struct script *script, struct client *client)
{
    *script = (struct script){.client = client, .id = statement_id_random()};
    if (client->config.project != NULL)
        bytes_append_text(&script->project, client->config.project);
}

/* A setting's spans point into one allocation that starts at the key. */
static void setting_free(struct operator_pair *setting)
{
    mem_free((void *)(uintptr_t)setting->key.data);
}

void script_deinit(struct script *script)
{
    for (size_t i = 0; i < script->setting_count; i++)
        setting_free(&script->settings[i]);
    mem_free(script->settings);
    bytes_deinit(&script->project);
    bytes_deinit(&script->region);
}

static void setting_keep(struct script *script, const struct setting *setting)
{
    uint8_t *memory = mem_alloc(setting->key.len + setting->value.len + 1);
    memcpy(memory, setting->key.data, setting->key.len);
    if (setting->value.len > 0)
        memcpy(memory + setting->key.len, setting->value.data, setting->value.len);
    struct operator_pair pair = {span_of(memory, setting->key.len),
                                 span_of(memory + setting->key.len, setting->value.len)};
    for (size_t i = 0; i < script->setting_count; i++) {
        struct operator_pair *old = &script->settings[i];
        if (old->key.len == pair.key.len &&
            strncasecmp((const char *)old->key.data, (const char *)memory, pair.key.len) == 0) {
            setting_free(old);
            *old = pair;
            return;
        }
    }
    script->settings =
        mem_realloc(script->settings, script->setting_count + 1, sizeof *script->settings);
    script->settings[script->setting_count++] = pair;
}

/* What the node has agreed to and the client now lives by. */
static void statement_apply(struct script *script, const struct statement *statement)
{
    if (statement->kind == STATEMENT_SET)
        setting_keep(script, &statement->set);
    if (statement->kind == STATEMENT_USE) {
        bytes_clear(&script->project);
        bytes_append_span(&script->project, statement->project);
    }
}

/* What a statement asks another region for in its principal's name. False: nothing. */
static bool delegation_of(const struct statement *statement, struct delegation *delegation)
{
    delegation->looks_only = statement->kind != STATEMENT_XCOPY;
    if (statement->kind == STATEMENT_EXPLAIN)
        statement = statement->explained;
    if (statement->kind == STATEMENT_VERIFY_SNAPSHOT && statement->verify_snapshot.against) {
        delegation->source_region = statement->verify_snapshot.region;
        delegation->source = &statement->verify_snapshot.other;
        delegation->snapshot = &statement->verify_snapshot.name;
        return true;
    }
    if (statement->kind != STATEMENT_XCOPY)
        return false;
    const struct option *region = option_find(&statement->xcopy.options, "src_region");
    ASSERT(region != NULL); /* the parser asks for it */
    delegation->source_region = region->value.text;
    delegation->source = &statement->xcopy.source;
    delegation->snapshot = &statement->xcopy.destination;
    return true;
}

static enum err_code schedule_sign(struct script *script, const struct statement *statement,
                                   struct delegation_list *tokens, struct err *err)
{
    struct remote *remote = script->client->remote;
    const struct schedule_delegation delegation = {
        .create = &statement->create_schedule,
        .project = bytes_span(&script->project),
        .region = bytes_span(&script->region),
        .destination = remote_node_key(remote)->sign,
        .now_s = (uint64_t)time(NULL),
    };
    return delegation_sign_schedule(&delegation, remote_identity(remote), tokens, err);
}

/* Signs where there is something to sign. */
static enum err_code statement_sign(struct script *script, const struct statement *statement,
                                    struct bytes *token, struct delegation_list *tokens,
                                    struct err *err)
{
    struct delegation delegation = {0};
    bool is_schedule = statement->kind == STATEMENT_CREATE_SCHEDULE;
    if (!is_schedule && !delegation_of(statement, &delegation))
        return ERR_OK;
    struct remote *remote = script->client->remote;
    if (script->region.len == 0) /* asked once: what has this key is of this region */
        TRY(node_region_find(remote, &script->region, err));
    if (is_schedule)
        return schedule_sign(script, statement, tokens, err);
    delegation.project = bytes_span(&script->project);
    delegation.region = bytes_span(&script->region);
    delegation.destination = remote_node_key(remote)->sign;
    delegation.now_s = (uint64_t)time(NULL);
    return delegation_sign(&delegation, remote_identity(remote), token, err);
}

/* Says what to do after an end that leaves something open. */
static void end_explain(const struct script *script, const struct statement_id *id,
                        const struct execution_task *task)
{
    char text[STATEMENT_ID_TEXT_BYTES];
    struct statement_id task_id = {{0}};
    enum remote_failure failure = remote_failure(script->client->remote);
    const struct statement_id *again = script->fresh_ids ? id : &script->id;
    memcpy(task_id.b, task->id.b, sizeof task_id.b);
    if (failure == REMOTE_INTERRUPTED && task->known)
        complain("interrupted; task %s goes on (strait tasks shows it, strait cancel ends it)",
                 statement_id_format(&task_id, text));
    else if (failure == REMOTE_INTERRUPTED)
        complain(
            "interrupted; the node may still do it: the same with --statement-id %s asks how it "
            "ended, without doing it twice",
            statement_id_format(again, text));
    if (failure == REMOTE_LOST)
        complain("it is not known whether the statement was done; ask again, without doing it "
                 "twice, by running the same with --statement-id %s",
                 statement_id_format(again, text));
}

/* Interrupted: a statement that writes a query's rows ends without a trace when it is told so. */
static void writing_end(const struct script *script, const struct statement_id *id)
{
    char text[STATEMENT_ID_TEXT_BYTES];
    execution_close(script->client->remote, id);
    complain("interrupted and cancelled, if it was not just done; the same with --statement-id %s "
             "does it, or says that it was done",
             statement_id_format(script->fresh_ids ? id : &script->id, text));
}

/* Nobody waits for a query that was interrupted: the node need not go on with it. */
static void reading_end(const struct script *script, const struct statement_id *id)
{
    struct remote *remote = script->client->remote;
    if (remote_failure(remote) != REMOTE_INTERRUPTED)
        return;
    execution_close(remote, id);
    complain("interrupted and cancelled");
}

enum exit_code script_statement(struct script *script, struct span text)
{
    struct client *client = script->client;
    struct arena arena ARENA_CLEANUP;
    struct bytes token BYTES_CLEANUP = {0};
    struct delegation_list tokens DELEGATION_LIST_CLEANUP = {0};
    struct statement *statement = NULL;
    struct execution_task task = {0};
    struct err err = {0};
    arena_init(&arena, STATEMENT_ARENA_BYTES);
    /* A statement that is not understood here is the node's to judge: it may be newer. */
    bool parsed = statement_parse(text, &arena, &statement, &err) == ERR_OK;
    if (parsed && statement_sign(script, statement, &token, &tokens, &err) != ERR_OK)
        return client_fail(client, NULL, &err);
    struct operator_execute request = {
        .id = script->fresh_ids ? statement_id_random()
                                : statement_id_nth(&script->id, script->statement_count),
        .project = bytes_span(&script->project),
        .settings = script->settings,
        .setting_count = script->setting_count,
        .token = bytes_span(&token),
        .tokens = tokens.tokens,
        .token_count = tokens.count,
        .text = text,
    };
    script->statement_count++;
    if (execution_run(client->remote, &request, &client->screen, &task, &err) != ERR_OK) {
        enum exit_code code = client_fail(client, NULL, &err);
        if (remote_failure(client->remote) == REMOTE_INTERRUPTED && isatty(STDERR_FILENO))
            fputc('\n', stderr); /* the terminal's ^C stands alone */
        if (parsed && !statement_changes(statement))
            reading_end(script, &request.id);
        else if (parsed && statement_written_query(statement) != NULL &&
                 remote_failure(client->remote) == REMOTE_INTERRUPTED)
            writing_end(script, &request.id);
        else
            end_explain(script, &request.id, &task);
        return code;
    }
    if (parsed)
        statement_apply(script, statement);
    return EXIT_DONE;
}

enum exit_code script_run(struct script *script, struct span text)
{
    struct splitter splitter = splitter_of(text);
    struct span statement;
    while (splitter_next(&splitter, &statement, NULL)) {
        enum exit_code code = script_statement(script, statement);
        if (code != EXIT_DONE)
            return code;
    }
    return EXIT_DONE;
}
