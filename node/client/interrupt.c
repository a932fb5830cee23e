/* See interrupt.h. */
#include "node/client/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "proto/err.h"

static volatile sig_atomic_t pending;
static int wake[2] = {-1, -1}; /* a pipe: readable while pending */

static void on_signal(int number)
{
    int before = errno;
    (void)number;
    pending = 1;
    (void)!write(wake[1], "", 1); /* full is as good */
    errno = before;
}

void interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&action.sa_mask);
    sigemptyset(&ignore.sa_mask);
    ASSERT(wake[0] >= 0 || pipe2(wake, O_CLOEXEC | O_NONBLOCK) == 0);
    ASSERT(sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0 &&
           sigaction(SIGPIPE, &ignore, NULL) == 0);
}

bool interrupt_pending(void)
{
    return pending != 0;
}

void interrupt_raise(void)
{
    pending = 1;
}

void interrupt_clear(void)
{
    char some[64];
    pending = 0;
    while (wake[0] >= 0 && read(wake[0], some, sizeof(some)) > 0)
        continue;
}

bool interrupt_wait_readable(int file)
{
    struct pollfd files[] = {{.fd = file, .events = POLLIN}, {.fd = wake[0], .events = POLLIN}};
    while (pending == 0 && poll(files, 2, -1) < 0 && errno == EINTR)
        continue;
    return pending == 0;
}
