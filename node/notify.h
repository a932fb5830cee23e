/* What the service manager is told, by the protocol of sd_notify(3): one datagram, "READY=1", to the socket that
 * $NOTIFY_SOCKET names. Without the variable nobody asked, and nothing is sent.
 *
 * Not here: what the node's state is; main.c says it.
 */
#ifndef NODE_NOTIFY_H
#define NODE_NOTIFY_H

#include "proto/err.h"

/* `state`: lines of KEY=VALUE, such as "READY=1". Waits while the manager's queue is full. ERR_CONFIG: $NOTIFY_SOCKET is no
 * absolute path and no abstract name (@...), or too long; ERR_IO: nobody takes it. Threads: any. */
enum err_code notify_send(const char *state, struct err *err) MUST_USE;
/* The same; a failure is logged, and the node goes on: the manager ends what it waits for in vain. */
void notify(const char *state);

#endif
