/* See interrupt.h. */
#include "node/client/interrupt.h"

#include <signal.h>

#include "proto/err.h"

static volatile sig_atomic_t pending;

static void on_signal(int number)
{
    (void)number;
    pending = 1;
}

void interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&action.sa_mask);
    sigemptyset(&ignore.sa_mask);
    ASSERT(sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0 &&
           sigaction(SIGPIPE, &ignore, NULL) == 0);
}

bool interrupt_pending(void)
{
    return pending != 0;
}

void interrupt_clear(void)
{
    pending = 0;
}
