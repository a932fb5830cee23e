/* Ctrl-C: a flag that waits look at. The handler does nothing else. */
#ifndef NODE_CLIENT_INTERRUPT_H
#define NODE_CLIENT_INTERRUPT_H

#include <stdbool.h>

void interrupt_install(void); /* SIGINT and SIGTERM set the flag, SIGPIPE is ignored */
bool interrupt_pending(void);
void interrupt_raise(void); /* Ctrl-C came as a character */
void interrupt_clear(void); /* the shell goes on after one */
/* Waits until the file can be read; false: until Ctrl-C, whichever thread the signal came to, and also when
 * it came before the call. */
bool interrupt_wait_readable(int file);

#endif
