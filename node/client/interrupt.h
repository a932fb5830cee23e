/* Ctrl-C: a flag that waits look at. The handler does nothing else. */
#ifndef NODE_CLIENT_INTERRUPT_H
#define NODE_CLIENT_INTERRUPT_H

#include <stdbool.h>

void interrupt_install(void); /* SIGINT and SIGTERM set the flag, SIGPIPE is ignored */
bool interrupt_pending(void);
void interrupt_clear(void); /* the shell goes on after one */

#endif
