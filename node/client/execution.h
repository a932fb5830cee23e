/* One statement at the node, from request to the last row on the screen.
 *
 *     execute ... RUNNING, progress ... execute again ... DONE, rows, cursor -> fetch ... no cursor
 *
 * Rows go to stdout as they come, notices and OK to stderr. One thread.
 */
#ifndef NODE_CLIENT_EXECUTION_H
#define NODE_CLIENT_EXECUTION_H

#include "node/client/progress.h"
#include "node/client/remote.h"

struct screen {
    const struct format_kind *format;
    bool quiet; /* rows and errors only */
};

/* What is known when it ends early: which task goes on without us. */
struct execution_task {
    bool known;
    struct task_id id;
};

/* Tells the node that the answer is not wanted any more: what only reads ends there. Waits a moment
 * for the node to have heard. */
void execution_close(struct remote *remote, const struct statement_id *id);

/* Runs it to its end. wait_ms of the request is set here. The statement's own error, or the
 * connection's: see remote_failure. On Ctrl-C an open cursor is closed, and a task goes on. */
enum err_code execution_run(struct remote *remote, const struct operator_execute *request,
                            const struct screen *screen, struct execution_task *ret_task,
                            struct err *err);

/* Where the rows of a result go when it is not shown. */
struct execution_sink {
    /* Once, before the first rows. */
    enum err_code (*columns)(void *context, const struct column *columns, size_t count,
                             struct err *err);
    enum err_code (*rows)(void *context, const struct batch *batch,
                          const struct operator_progress *progress, struct err *err);
    void *context;
};
enum err_code execution_rows(struct remote *remote, const struct operator_execute *request,
                             const struct execution_sink *sink, struct err *err);
enum err_code execution_export(struct remote *remote, const struct operator_export *request,
                               const struct execution_sink *sink, struct err *err);

/* All of it to standard output. ERR_IO. */
enum err_code stdout_write(struct span content, struct err *err);

#endif
