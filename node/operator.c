#include "node/operator.h"

/* What a method may bring and where it runs. */
static const struct method {
    const char *name;
    operator_handler *handle;
    size_t body_bytes_max;
    bool quick;
} methods[OPERATOR_METHOD_COUNT] = {
    [OPERATOR_EXECUTE] = {"execute", handle_execute, LIMIT_STATEMENT_BYTES, false},
    [OPERATOR_FETCH] = {"fetch", handle_fetch, 0, false},
    [OPERATOR_LOAD_BEGIN] = {"load begin", handle_load_begin, 0, false},
    [OPERATOR_LOAD_CHUNK] = {"load chunk", handle_load_chunk, LIMIT_BODY_BYTES, false},
    [OPERATOR_LOAD_COMMIT] = {"load commit", handle_load_commit, 0, false},
    [OPERATOR_LOAD_ABORT] = {"load abort", handle_load_abort, 0, false},
    [OPERATOR_EXPORT] = {"export", handle_export, LIMIT_COLUMNS_BYTES, false},
    [OPERATOR_CLOSE] = {"close", handle_close, 0, false},
    [OPERATOR_TASKS] = {"tasks", handle_tasks, 0, false},
    [OPERATOR_WATCH] = {"watch", handle_watch, 0, false},
    [OPERATOR_CANCEL] = {"cancel", handle_cancel, 0, false},
    [OPERATOR_STATUS] = {"status", handle_status, 0, true},
    [OPERATOR_PEERS] = {"peers", handle_peers, 0, true},
};

static const struct method *method_find(const struct request *request)
{
    uint8_t number = request_method(request);
    if (number >= OPERATOR_METHOD_COUNT || methods[number].handle == NULL)
        return NULL;
    return &methods[number];
}

bool operator_find(void *context, const struct noise_key *key, struct session *session)
{
    const struct operator_services *services = context;
    const struct principal *principal = principals_find_noise(services->principals, key);
    if (principal == NULL)
        return false;
    session->identity = principal->keys.sign;
    session->entry = principal->account.n;
    snprintf(session->name, sizeof(session->name), "%s", principal->name);
    return true;
}

static void call_run(const struct operator_services *services, const struct method *method,
                     struct request *request)
{
    struct err err = {0};
    BYTES_CLEANUP struct bytes header = {0};
    struct bytes body = {0};
    struct operator_call call = {
        .services = services,
        .principal = principals_find_noise(services->principals, &request_session(request)->key),
        .request = request,
    };
    if (call.principal == NULL) /* dropped since the handshake */
        err_set(&err, ERR_CREDENTIALS, "the key is not known here any more");
    else
        method->handle(&call, &header, &body, &err);
    if (err.code == ERR_OK && call.request != NULL)
        request_reply_bytes(call.request, bytes_span(&header), &body);
    else if (call.request != NULL)
        request_reply_error(call.request, &err);
    bytes_deinit(&body);
}

/* A request on its way to a worker. */
struct posted {
    const struct operator_services *services;
    struct request *request;
};

static void posted_run(void *argument)
{
    struct posted posted = *(struct posted *)argument;
    mem_free(argument);
    call_run(posted.services, method_find(posted.request), posted.request);
}

void operator_on_request(void *context, struct request *request)
{
    const struct operator_services *services = context;
    const struct method *method = method_find(request);
    struct err err;
    if (method == NULL) {
        err_set(&err, ERR_PARAMETER, "request %u is unknown here", request_method(request));
        request_reply_error(request, &err);
        return;
    }
    if (request_body(request).len > method->body_bytes_max) {
        err_set(&err, ERR_LIMIT, "%s: %zu bytes, at most %zu", method->name,
                request_body(request).len, method->body_bytes_max);
        request_reply_error(request, &err);
        return;
    }
    if (method->quick) {
        call_run(services, method, request);
        return;
    }
    struct posted *posted = mem_alloc(sizeof(*posted));
    *posted = (struct posted){services, request};
    if (workers_post(services->workers, posted_run, posted, &err) != ERR_OK) {
        mem_free(posted);
        request_reply_error(request, &err);
    }
}
