#include "node/operator.h"

/* What a method may bring and where it runs. */
static const struct method {
    const char *name;
    operator_handler *handle;
    size_t body_bytes_max;
    bool quick;
    operator_handler *at_once; /* of one that waits for a worker: what cannot wait; or NULL */
    bool tells;                /* the auditor of its refusals, itself */
    bool hurries;              /* does not wait behind statements: it stops something */
} methods[OPERATOR_METHOD_COUNT] = {
    [OPERATOR_EXECUTE] = {"execute", handle_execute, LIMIT_STATEMENT_BYTES, false, NULL},
    [OPERATOR_FETCH] = {"fetch", handle_fetch, 0, false, NULL},
    [OPERATOR_LOAD_BEGIN] = {"load begin", handle_load_begin, 0, false, NULL, true},
    [OPERATOR_LOAD_CHUNK] = {"load chunk", handle_load_chunk, LIMIT_BODY_BYTES, false, NULL},
    [OPERATOR_LOAD_COMMIT] = {"load commit", handle_load_commit, 0, false, NULL},
    [OPERATOR_LOAD_ABORT] = {"load abort", handle_load_abort, 0, false, NULL},
    [OPERATOR_EXPORT] = {"export", handle_export, LIMIT_COLUMNS_BYTES, false, NULL},
    [OPERATOR_CLOSE] = {"close", handle_close, 0, false, handle_close_at_once},
    [OPERATOR_TASKS] = {"tasks", handle_tasks, 0, false, NULL},
    [OPERATOR_WATCH] = {"watch", handle_watch, 0, false, NULL},
    [OPERATOR_CANCEL] = {"cancel", handle_cancel, 0, false, NULL, .hurries = true},
    [OPERATOR_STATUS] = {"status", handle_status, 0, true, NULL},
    [OPERATOR_PEERS] = {"peers", handle_peers, 0, true, NULL},
    [OPERATOR_BACKUP_BEGIN] = {"backup", handle_backup_begin, 0, false, NULL},
    [OPERATOR_BACKUP_READ] = {"backup", handle_backup_read, 0, false, NULL},
    [OPERATOR_BACKUP_END] = {"backup", handle_backup_end, 0, false, NULL},
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
    struct principal principal;
    if (!principals_find_noise(services->principals, key, &principal))
        return false;
    session->identity = principal.keys.sign;
    session->entry = principal.number;
    snprintf(session->name, sizeof(session->name), "%s", principal.name);
    return true;
}

/* False: the key was dropped since the handshake. */
static bool call_fill(struct operator_call *call, const struct operator_services *services,
                      struct request *request)
{
    *call = (struct operator_call){.services = services, .request = request};
    return principals_find_noise(services->principals, &request_session(request)->key,
                                 &call->principal);
}

void operator_address(const struct operator_call *call, struct statement_audit *audit)
{
    snprintf(audit->address, sizeof(audit->address), "%s", request_session(call->request)->address);
}

/* What a handler refuses at once has its entry here; runs and loads see to theirs. */
static void refused_tell(const struct operator_call *call, const struct method *method,
                         const struct err *err)
{
    struct statement_audit audit = {0};
    const struct statement_call about = {
        .services = call->services->statements, .principal = &call->principal, .audit = &audit};
    operator_address(call, &audit);
    statement_refused(&about, method->name, err);
}

static void call_run(const struct operator_services *services, const struct method *method,
                     struct request *request)
{
    struct err err = {0};
    BYTES_CLEANUP struct bytes header = {0};
    struct bytes body = {0};
    struct operator_call call;
    if (!call_fill(&call, services, request))
        err_set(&err, ERR_CREDENTIALS, "the key is not known here any more");
    else if (method->handle(&call, &header, &body, &err) != ERR_OK && call.request != NULL &&
             !method->tells)
        refused_tell(&call, method, &err);
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
        err_set(&err, ERR_PARAMETER,
                "request %u is unknown here: this node's program is older than the client's",
                request_method(request));
        request_reply_error(request, &err);
        return;
    }
    if (request_body(request).len > method->body_bytes_max) {
        err_set(&err, ERR_LIMIT,
                "%s: the request has %zu bytes, at most %zu are allowed; send it in parts",
                method->name, request_body(request).len, method->body_bytes_max);
        request_reply_error(request, &err);
        return;
    }
    if (method->quick) {
        call_run(services, method, request);
        return;
    }
    struct operator_call call;
    if (method->at_once != NULL && call_fill(&call, services, request))
        (void)method->at_once(&call, NULL, NULL, &err);
    struct posted *posted = mem_alloc(sizeof(*posted));
    *posted = (struct posted){services, request};
    bool hurries =
        method->hurries || (method->handle == handle_execute && execute_hurries(request));
    struct workers *workers = hurries ? services->hurried : services->workers;
    if (workers_post(workers, posted_run, posted, &err) != ERR_OK) {
        mem_free(posted);
        request_reply_error(request, &err);
    }
}
