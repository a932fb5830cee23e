/* XCOPY SNAPSHOT, CANCEL TASK, SHOW TASKS. */
#include "node/statement/lookup.h"

static enum err_code not_yet(struct err *err)
{
    return err_set(err, ERR_SEMANTIC, "tasks are not supported yet");
}

enum err_code statement_xcopy(const struct statement_call *call, struct answer *answer,
                              struct err *err)
{
    (void)call;
    (void)answer;
    return not_yet(err);
}

enum err_code statement_cancel_task(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    (void)call;
    (void)answer;
    return not_yet(err);
}

enum err_code statement_show_tasks(const struct statement_call *call, struct answer *answer,
                                   struct err *err)
{
    (void)call;
    (void)answer;
    return not_yet(err);
}
