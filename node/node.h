/* A running node: everything started in one order and stopped in the reverse one.
 *
 *     configuration ► key ► store ► link threads ► loop ► workers ► peers ► tasks ► runs, loads ► listeners
 *
 * The listeners open last, when all that answers is there, and close first. docs/THREADS.md.
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "node/config.h"

struct node;

/* Takes the configuration when it succeeds. On failure nothing is left running; the message says
 * what, where and what to do. */
enum err_code node_start(struct config *config, struct node **ret_node, struct err *err);
/* Ends everything and waits; NULL is fine. */
void node_stop(struct node *node);
/* Reads the configuration again and takes up what a running node can (reload.h); a file that is not good is
 * logged, and changes nothing. The main thread. */
void node_reload(struct node *node);

#endif
