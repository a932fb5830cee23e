/* tasks, watch, cancel: what XCOPY does in the background. */
#include "node/operator.h"

enum err_code handle_tasks(struct operator_call *call, struct bytes *header, struct bytes *body,
                           struct err *err)
{
    (void)call;
    (void)header;
    (void)err;
    operator_tasks_encode(&(struct operator_tasks){0}, body);
    return ERR_OK;
}

enum err_code handle_watch(struct operator_call *call, struct bytes *header, struct bytes *body,
                           struct err *err)
{
    return handle_tasks(call, header, body, err);
}

enum err_code handle_cancel(struct operator_call *call, struct bytes *header, struct bytes *body,
                            struct err *err)
{
    (void)call;
    (void)header;
    (void)body;
    return err_set(err, ERR_NOT_FOUND, "no such task");
}
