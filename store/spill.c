#include "store/spill.h"

#include <errno.h>
#include <fcntl.h>

static int open_named(const char *folder)
{
    BYTES_CLEANUP struct bytes name = {0};
    bytes_printf(&name, "%s/spill-XXXXXX", folder);
    bytes_append_u8(&name, 0);
    int fd = mkostemp((char *)name.data, O_CLOEXEC);
    if (fd >= 0)
        unlink((const char *)name.data);
    return fd;
}

enum err_code spill_open(const struct space *space, struct spill *ret_spill, struct err *err)
{
    int fd = open(space->path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
        fd = open_named(space->path); /* a file system without unnamed files */
    if (fd < 0)
        return space_failed(space->path, "making a temporary file", errno, err);
    *ret_spill = (struct spill){.fd = fd, .space = *space};
    return ERR_OK;
}

void spill_close(struct spill *spill)
{
    if (spill->fd >= 0)
        close(spill->fd);
    *spill = SPILL_CLOSED;
}

enum err_code spill_write(struct spill *spill, struct span content, struct err *err)
{
    TRY(space_check(&spill->space, content.len, err));
    uint64_t at = spill->bytes;
    while (content.len > 0) {
        ssize_t wrote = pwrite(spill->fd, content.data, content.len, (off_t)at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return space_failed(spill->space.path, "writing a temporary file",
                                wrote < 0 ? errno : ENOSPC, err);
        content = span_slice(content, (size_t)wrote, content.len - (size_t)wrote);
        at += (uint64_t)wrote;
    }
    spill->bytes = at;
    return ERR_OK;
}

void spill_discard(const struct spill *spill, uint64_t at, uint64_t len)
{
    if (len > 0)
        (void)fallocate(spill->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
                        (off_t)len);
}

enum err_code spill_read(const struct spill *spill, uint64_t at, void *ret_content, size_t len,
                         struct err *err)
{
    uint8_t *to = ret_content;
    while (len > 0) {
        ssize_t got = pread(spill->fd, to, len, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(err, ERR_IO, "temporary file: %s", strerror(errno));
        if (got == 0)
            return err_set(err, ERR_CORRUPT, "temporary file: ends before byte %" PRIu64, at);
        to += got;
        at += (uint64_t)got;
        len -= (size_t)got;
    }
    return ERR_OK;
}
