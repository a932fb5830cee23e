#include "store/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

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

enum err_code spill_open(const char *folder, uint64_t reserve_bytes, struct spill *ret_spill,
                         struct err *err)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
        fd = open_named(folder); /* a file system without unnamed files */
    if (fd < 0)
        return err_set(err, ERR_IO, "cannot make a temporary file in %s: %s", folder,
                       strerror(errno));
    *ret_spill = (struct spill){.fd = fd, .reserve_bytes = reserve_bytes};
    return ERR_OK;
}

void spill_close(struct spill *spill)
{
    if (spill->fd >= 0)
        close(spill->fd);
    *spill = SPILL_CLOSED;
}

static enum err_code check_space(const struct spill *spill, size_t more, struct err *err)
{
    struct statvfs disk;
    if (fstatvfs(spill->fd, &disk) != 0)
        return err_set(err, ERR_IO, "temporary file: %s", strerror(errno));
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (free_bytes < more || free_bytes - more < spill->reserve_bytes)
        return err_set(err, ERR_NO_SPACE,
                       "temporary file: %" PRIu64 " MiB free, %" PRIu64 " MiB are kept in reserve",
                       free_bytes >> 20, spill->reserve_bytes >> 20);
    return ERR_OK;
}

enum err_code spill_write(struct spill *spill, struct span content, struct err *err)
{
    TRY(check_space(spill, content.len, err));
    uint64_t at = spill->bytes;
    while (content.len > 0) {
        ssize_t wrote = pwrite(spill->fd, content.data, content.len, (off_t)at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return err_set(err, errno == ENOSPC || errno == EDQUOT ? ERR_NO_SPACE : ERR_IO,
                           "temporary file: %s", strerror(errno));
        content = span_slice(content, (size_t)wrote, content.len - (size_t)wrote);
        at += (uint64_t)wrote;
    }
    spill->bytes = at;
    return ERR_OK;
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
