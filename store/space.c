#include "store/space.h"

#include <errno.h>
#include <sys/statvfs.h>

enum err_code space_check(const struct space *space, uint64_t bytes, struct err *err)
{
    struct statvfs stat;
    if (statvfs(space->path, &stat) != 0)
        return err_set(err, ERR_IO, "%s: %s", space->path, strerror(errno));
    uint64_t free_bytes = (uint64_t)stat.f_bavail * stat.f_frsize;
    if (free_bytes >= space->reserve_bytes && free_bytes - space->reserve_bytes >= bytes)
        return ERR_OK;
    return err_set(err, ERR_NO_SPACE,
                   "%s: %" PRIu64 " bytes are free, %" PRIu64 " are needed (%" PRIu64
                   " and the reserve of %" PRIu64 "); drop something or add space",
                   space->path, free_bytes, bytes + space->reserve_bytes, bytes,
                   space->reserve_bytes);
}
