/* fetch, close: the further blocks of a result. */
#include "node/operator.h"

enum err_code handle_fetch(struct operator_call *call, struct bytes *header, struct bytes *body,
                           struct err *err)
{
    (void)header;
    (void)body;
    struct operator_fetch fetch;
    TRY(operator_fetch_decode(request_header(call->request), &fetch, err));
    const struct run_key key = {call->principal.name, fetch.id, NULL};
    struct run *run;
    TRY(runs_find(call->services->runs, &key, &run, err));
    run_ask(run, fetch.cursor, fetch.wait_ms, call->request);
    call->request = NULL;
    run_unref(run);
    return ERR_OK;
}

/* All workers may be in long queries: the one that is to end is told before the close has its turn. */
enum err_code handle_close_at_once(struct operator_call *call, struct bytes *header,
                                   struct bytes *body, struct err *err)
{
    (void)header;
    (void)body;
    struct operator_close close;
    TRY(operator_close_decode(request_header(call->request), &close, err));
    const struct run_key key = {call->principal.name, close.id,
                                request_session(call->request)->boot_id};
    runs_cancel(call->services->runs, &key);
    return ERR_OK;
}

enum err_code handle_close(struct operator_call *call, struct bytes *header, struct bytes *body,
                           struct err *err)
{
    (void)header;
    (void)body;
    struct operator_close close;
    TRY(operator_close_decode(request_header(call->request), &close, err));
    const struct run_key key = {call->principal.name, close.id, NULL};
    struct run *run;
    if (runs_find(call->services->runs, &key, &run, NULL) == ERR_OK) {
        run_close(run);
        run_unref(run);
    }
    return ERR_OK;
}
