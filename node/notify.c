#include "node/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/log.h"

/* An abstract name begins with a zero byte, which the variable writes as @, and has no end of its own. */
static enum err_code address_read(const char *name, struct sockaddr_un *ret_address,
                                  socklen_t *ret_len, struct err *err)
{
    size_t len = strlen(name);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(address.sun_path))
        return err_set(err, ERR_CONFIG,
                       "NOTIFY_SOCKET '%.100s': neither an absolute path nor @name of at most %zu "
                       "bytes; unset it if no service manager started this",
                       name, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = 0;
    *ret_address = address;
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return ERR_OK;
}

enum err_code notify_send(const char *state, struct err *err)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t len;
    if (name == NULL || name[0] == 0)
        return ERR_OK;
    TRY(address_read(name, &address, &len, err));
    int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ssize_t sent = -1;
    if (file >= 0)
        sent = sendto(file, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                      len);
    int reason = errno;
    if (file >= 0)
        close(file);
    if (sent < 0)
        return err_set(err, ERR_IO, "NOTIFY_SOCKET '%s': %s", name, strerror(reason));
    return ERR_OK;
}

void notify(const char *state)
{
    struct err err;
    if (notify_send(state, &err) != ERR_OK)
        log_error("the service manager was not told", &err);
}
