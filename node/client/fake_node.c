/* See fake_node.h. */
#include "node/client/fake_node.h"

#include <pthread.h>
#include <signal.h>

#include "proto/vector.h"
#include "transport/listener.h"

#define BLOCK_ROWS 10

struct fake_node {
    struct pool *pool;
    struct listener *listener;
    struct identity *node;
    struct identity *user;
    char key_path[64];
    pthread_mutex_t mutex; /* guards all below */
    struct fake_seen seen;
    unsigned drop_every;
    unsigned answers;
    struct bytes held; /* struct request *, whose connections were dropped; replied at the end */
    unsigned slow_left;
    uint64_t rows_left; /* of the SELECT at hand */
    uint64_t cursor;
    uint64_t next_chunk;
    enum fake_commit commit_as;
    uint8_t interrupt_at; /* 0: at none */
};

static struct column result_columns[] = {
    {.name = {(const uint8_t *)"id", 2}, .type = {.kind = TYPE_BIGINT}},
    {.name = {(const uint8_t *)"note", 4}, .type = {.kind = TYPE_STRING}},
};

/* One block of the SELECT; the columns with the first. */
static void block_answer(struct fake_node *node, bool first, struct bytes *header,
                         struct bytes *body)
{
    struct schema schema = operator_schema(result_columns, ARRAY_COUNT(result_columns));
    struct bytes rows BYTES_CLEANUP = {0};
    struct batch batch;
    batch_init(&batch, &schema);
    uint64_t count = node->rows_left < BLOCK_ROWS ? node->rows_left : BLOCK_ROWS;
    for (uint64_t i = 0; i < count; i++, batch.rows++) {
        vector_append(&batch.vectors[0],
                      (struct value){.i64 = (int64_t)(node->cursor * BLOCK_ROWS + i)});
        vector_append(&batch.vectors[1], (struct value){.text = span_text("a,b")});
    }
    node->rows_left -= count;
    node->cursor++;
    batch_encode(&batch, &rows);
    batch_deinit(&batch);
    struct operator_result result = {
        .state = OPERATOR_DONE,
        .columns = first ? result_columns : NULL,
        .column_count = first ? ARRAY_COUNT(result_columns) : 0,
        .cursor = node->rows_left > 0 ? node->cursor : 0,
        .rows = bytes_span(&rows),
    };
    operator_result_encode(&result, header, body);
}

static void execute_record(struct fake_node *node, const struct operator_execute *execute)
{
    struct fake_seen *seen = &node->seen;
    seen->executes++;
    seen->last_id = execute->id;
    snprintf(seen->project, sizeof seen->project, "%.*s", SPAN_PRINTF(execute->project));
    seen->settings[0] = 0;
    for (size_t i = 0; i < execute->setting_count; i++) {
        size_t len = strlen(seen->settings);
        snprintf(seen->settings + len, sizeof seen->settings - len, "%.*s=%.*s ",
                 SPAN_PRINTF(execute->settings[i].key), SPAN_PRINTF(execute->settings[i].value));
    }
    bytes_clear(&seen->token);
    bytes_append_span(&seen->token, execute->token);
    bytes_clear(&seen->tokens);
    for (size_t i = 0; i < execute->token_count; i++) {
        bytes_append_u32(&seen->tokens, (uint32_t)execute->tokens[i].len);
        bytes_append_span(&seen->tokens, execute->tokens[i]);
    }
}

static enum err_code execute_answer(struct fake_node *node, struct request *request,
                                    struct bytes *header, struct bytes *body, struct err *err)
{
    struct arena arena ARENA_CLEANUP;
    struct operator_execute execute;
    struct operator_result result = {.state = OPERATOR_DONE};
    arena_init(&arena, MIB(1));
    TRY(operator_execute_decode(request_header(request), request_body(request), &arena, &execute,
                                err));
    execute_record(node, &execute);
    char text[64];
    snprintf(text, sizeof text, "%.*s", SPAN_PRINTF(execute.text));
    if (strncmp(text, "SELECT ", 7) == 0) {
        node->rows_left = strtoull(text + 7, NULL, 10);
        node->cursor = 0;
        block_answer(node, true, header, body);
        return ERR_OK;
    }
    if (strcmp(text, "slow") == 0 && node->slow_left > 0) {
        node->slow_left--;
        result.state = OPERATOR_RUNNING;
    }
    if (strcmp(text, "task") == 0) {
        result.state = OPERATOR_RUNNING;
        result.progress.has_task = true;
        memset(result.progress.task.b, 0xab, sizeof result.progress.task.b);
    }
    if (strncmp(text, "INSERT", 6) == 0)
        result.state = OPERATOR_RUNNING;
    if (strcmp(text, "fail") == 0) {
        result.state = OPERATOR_FAILED;
        (void)err_set(&result.error, ERR_TABLE_NOT_FOUND, "demo.x");
    }
    operator_result_encode(&result, header, body);
    return ERR_OK;
}

static enum err_code chunk_answer(struct fake_node *node, struct request *request,
                                  struct bytes *header, struct bytes *body, struct err *err)
{
    struct operator_load_chunk chunk;
    struct schema schema = operator_schema(result_columns, ARRAY_COUNT(result_columns));
    struct batch batch;
    TRY(operator_load_chunk_decode(request_header(request), request_body(request), &chunk, err));
    if (chunk.number < node->next_chunk) {
        node->seen.chunks_again++;
    } else if (chunk.number == node->next_chunk) {
        batch_init(&batch, &schema);
        enum err_code code = batch_decode(chunk.rows, &batch, err);
        for (size_t row = 0; code == ERR_OK && row < batch.rows; row++)
            node->seen.id_sum += vector_value(&batch.vectors[0], row).i64;
        node->seen.rows += batch.rows;
        batch_deinit(&batch);
        TRY(code);
        node->seen.chunks_taken++;
        node->next_chunk++;
    } else {
        return err_set(err, ERR_BUSY, "chunk %" PRIu64 " before %" PRIu64, chunk.number,
                       node->next_chunk);
    }
    struct operator_load_state state = {.state = OPERATOR_RUNNING, .next_chunk = node->next_chunk};
    operator_load_state_encode(&state, header, body);
    return ERR_OK;
}

static enum err_code load_answer(struct fake_node *node, uint8_t method, struct request *request,
                                 struct bytes *header, struct bytes *body, struct err *err)
{
    if (method == OPERATOR_LOAD_BEGIN) {
        struct operator_load_state state = {.state = OPERATOR_RUNNING,
                                            .columns = result_columns,
                                            .column_count = ARRAY_COUNT(result_columns)};
        node->seen.load_begins++;
        node->next_chunk = 0;
        operator_load_state_encode(&state, header, body);
        return ERR_OK;
    }
    struct operator_load_commit commit;
    TRY(operator_load_commit_decode(request_header(request), &commit, err));
    if (commit.chunks != node->next_chunk)
        return err_set(err, ERR_BAD_DATA, "a chunk is missing");
    enum fake_commit as = node->commit_as;
    node->seen.commits++;
    if (as == FAKE_COMMIT_REFUSED || as == FAKE_COMMIT_BUSY)
        return err_set(err, as == FAKE_COMMIT_BUSY ? ERR_BUSY : ERR_NOT_FOUND, "made up");
    struct operator_load_outcome outcome = {.state = as == FAKE_COMMIT_RUNNING ? OPERATOR_RUNNING
                                                                               : OPERATOR_DONE,
                                            .rows = node->seen.rows,
                                            .partitions = 1};
    operator_load_outcome_encode(&outcome, header);
    return ERR_OK;
}

static enum err_code request_answer(struct fake_node *node, struct request *request,
                                    struct bytes *header, struct bytes *body, struct err *err)
{
    uint8_t method = request_method(request);
    struct operator_status status = {.region = span_text("cn-hongkong"),
                                     .version = span_text("0"),
                                     .key = span_text("k"),
                                     .principal = span_text("ALIYUN$root")};
    switch (method) {
    case OPERATOR_EXECUTE:
        return execute_answer(node, request, header, body, err);
    case OPERATOR_EXPORT:
        node->rows_left = 25;
        node->cursor = 0;
        block_answer(node, true, header, body);
        return ERR_OK;
    case OPERATOR_FETCH:
        block_answer(node, false, header, body);
        return ERR_OK;
    case OPERATOR_LOAD_CHUNK:
        return chunk_answer(node, request, header, body, err);
    case OPERATOR_LOAD_BEGIN:
    case OPERATOR_LOAD_COMMIT:
        return load_answer(node, method, request, header, body, err);
    case OPERATOR_LOAD_ABORT:
        node->seen.aborts++;
        return ERR_OK;
    case OPERATOR_CLOSE:
        node->seen.closes++;
        return ERR_OK;
    case OPERATOR_STATUS:
        operator_status_encode(&status, body);
        return ERR_OK;
    default:
        return err_set(err, ERR_PARAMETER, "method %u", method);
    }
}

/* Interrupts where that is asked for. True: this request is not answered. */
static bool is_silent(struct fake_node *node, uint8_t method)
{
    if (method == node->interrupt_at) {
        node->interrupt_at = 0;
        kill(getpid(), SIGINT);
        return true;
    }
    return method == OPERATOR_LOAD_COMMIT && node->commit_as == FAKE_COMMIT_SILENT;
}

static void on_request(void *context, struct request *request)
{
    struct fake_node *node = context;
    struct bytes header BYTES_CLEANUP = {0}, body BYTES_CLEANUP = {0};
    struct err err = {0};
    pthread_mutex_lock(&node->mutex);
    enum err_code code = request_answer(node, request, &header, &body, &err);
    node->answers++;
    bool drop = node->drop_every != 0 && node->answers % node->drop_every == 0;
    bool silent = is_silent(node, request_method(request));
    if (drop || silent)
        bytes_append(&node->held, &request, sizeof(request));
    pthread_mutex_unlock(&node->mutex);
    if (drop)
        listener_drop_key(node->listener, &request_session(request)->key);
    else if (silent)
        return;
    else if (code == ERR_OK)
        request_reply_bytes(request, bytes_span(&header), &body);
    else
        request_reply_error(request, &err);
}

static bool find(void *context, const struct noise_key *key, struct session *session)
{
    struct fake_node *node = context;
    const struct public_identity *user = identity_public(node->user);
    if (!noise_key_equal(key, &user->noise))
        return false;
    session->identity = user->sign;
    session->entry = 1;
    return true;
}

struct fake_node *fake_node_start(struct client_config *ret_config)
{
    struct fake_node *node = mem_calloc(1, sizeof *node);
    char text[PUBLIC_IDENTITY_TEXT_BYTES], address[32];
    struct err err = {0};
    pthread_mutex_init(&node->mutex, NULL);
    node->node = identity_generate();
    snprintf(node->key_path, sizeof node->key_path, "/tmp/fake_node.%ld.key", (long)getpid());
    unlink(node->key_path);
    ASSERT(identity_create(node->key_path, &node->user, &err) == ERR_OK);
    ASSERT(pool_new(&(struct pool_options){.workers = 2}, &node->pool, &err) == ERR_OK);
    struct listener_options options = {
        .kind = LISTENER_OPERATORS,
        .address = "127.0.0.1:0",
        .identity = node->node,
        .handler = {.context = node, .find = find, .on_request = on_request},
    };
    ASSERT(listener_open(node->pool, &options, &node->listener, &err) == ERR_OK);
    snprintf(address, sizeof address, "127.0.0.1:%u", listener_port(node->listener));
    *ret_config = (struct client_config){
        .address = mem_strdup(address),
        .node_key = mem_strdup(public_identity_format(identity_public(node->node), text)),
        .key_file = mem_strdup(node->key_path),
        .project = mem_strdup("demo"),
        .format = &format_csv,
    };
    node->slow_left = 2;
    return node;
}

void fake_node_stop(struct fake_node *node)
{
    listener_close(node->listener); /* no more requests; these replies go nowhere */
    struct request *held;
    for (size_t at = 0; at < node->held.len; at += sizeof(held)) {
        memcpy(&held, node->held.data + at, sizeof(held));
        request_reply_error(held, &(struct err){.code = ERR_CANCELLED});
    }
    bytes_deinit(&node->held);
    pool_free(node->pool);
    identity_free(node->node);
    identity_free(node->user);
    bytes_deinit(&node->seen.token);
    bytes_deinit(&node->seen.tokens);
    unlink(node->key_path);
    pthread_mutex_destroy(&node->mutex);
    mem_free(node);
}

struct fake_seen *fake_node_seen(struct fake_node *node)
{
    pthread_mutex_lock(&node->mutex); /* after what it did last, also where nobody was answered */
    pthread_mutex_unlock(&node->mutex);
    return &node->seen;
}

void fake_node_drop_every(struct fake_node *node, unsigned n)
{
    pthread_mutex_lock(&node->mutex);
    node->drop_every = n;
    pthread_mutex_unlock(&node->mutex);
}

void fake_node_commit_as(struct fake_node *node, enum fake_commit as)
{
    pthread_mutex_lock(&node->mutex);
    node->commit_as = as;
    pthread_mutex_unlock(&node->mutex);
}

void fake_node_interrupt_at(struct fake_node *node, enum operator_method method)
{
    pthread_mutex_lock(&node->mutex);
    node->interrupt_at = (uint8_t)method;
    pthread_mutex_unlock(&node->mutex);
}
