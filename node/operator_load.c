/* load begin, chunk, commit, abort: what tunnel upload sends. */
#include "node/operator.h"

enum err_code handle_load_begin(struct operator_call *call, struct bytes *header,
                                struct bytes *body, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(8));
    struct operator_load_begin begin;
    TRY(operator_load_begin_decode(request_header(call->request), &arena, &begin, err));
    struct operator_load_state state;
    const struct load_asker asker = {&call->principal, request_session(call->request)->address};
    TRY(loads_begin(call->services->loads, &asker, &begin, &arena, &state, err));
    operator_load_state_encode(&state, header, body);
    return ERR_OK;
}

enum err_code handle_load_chunk(struct operator_call *call, struct bytes *header,
                                struct bytes *body, struct err *err)
{
    (void)header;
    (void)body;
    (void)err;
    loads_chunk(call->services->loads, &call->principal, call->request);
    call->request = NULL;
    return ERR_OK;
}

enum err_code handle_load_commit(struct operator_call *call, struct bytes *header,
                                 struct bytes *body, struct err *err)
{
    (void)header;
    (void)body;
    (void)err;
    loads_commit(call->services->loads, &call->principal, call->request);
    call->request = NULL;
    return ERR_OK;
}

enum err_code handle_load_abort(struct operator_call *call, struct bytes *header,
                                struct bytes *body, struct err *err)
{
    (void)header;
    (void)body;
    struct operator_close close;
    TRY(operator_close_decode(request_header(call->request), &close, err));
    loads_abort(call->services->loads, &call->principal, &close.id);
    return ERR_OK;
}
