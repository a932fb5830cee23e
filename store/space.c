#include "store/space.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

/* Structs of it are copied, so the one number that may change meanwhile is no _Atomic. */
uint64_t space_reserve(const struct space *space)
{
    return __atomic_load_n(&space->reserve_bytes, __ATOMIC_RELAXED);
}

void space_set_reserve(struct space *space, uint64_t bytes)
{
    __atomic_store_n(&space->reserve_bytes, bytes, __ATOMIC_RELAXED);
}

enum err_code space_check(const struct space *space, uint64_t bytes, struct err *err)
{
    struct statvfs stat;
    if (statvfs(space->path, &stat) != 0)
        return err_set(err, ERR_IO, "%s: %s", space->path, strerror(errno));
    uint64_t free_bytes = (uint64_t)stat.f_bavail * stat.f_frsize;
    uint64_t reserve = space_reserve(space);
    if (free_bytes >= reserve && free_bytes - reserve >= bytes)
        return ERR_OK;
    return err_set(err, ERR_NO_SPACE,
                   "%s: %" PRIu64 " bytes are free, %" PRIu64 " are needed (%" PRIu64
                   " and the reserve of %" PRIu64 "); drop snapshots or add space",
                   space->path, free_bytes, bytes + reserve, bytes, reserve);
}

static enum err_code descriptors_failed(const char *doing, struct err *err)
{
    struct rlimit limit = {0};
    (void)!getrlimit(RLIMIT_NOFILE, &limit);
    return err_set(err, ERR_NO_DESCRIPTORS,
                   "%s: this process may have %" PRIu64 " files open and has; raise the limit "
                   "(prlimit --nofile, LimitNOFILE=) or ask again later",
                   doing, (uint64_t)limit.rlim_cur);
}

enum err_code space_failed(const char *path, const char *doing, int number, struct err *err)
{
    if (number == EMFILE || number == ENFILE)
        return descriptors_failed(doing, err);
    if (number != ENOSPC && number != EDQUOT)
        return err_set(err, ERR_IO, "%s: %s: %s", path, doing, strerror(number));
    struct statvfs stat = {0};
    (void)!statvfs(path, &stat);
    return err_set(err, ERR_NO_SPACE,
                   "%s: the disk is full while %s: %" PRIu64
                   " bytes are free; drop snapshots or add space",
                   path, doing, (uint64_t)stat.f_bavail * stat.f_frsize);
}
