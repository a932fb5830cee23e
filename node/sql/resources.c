#include "node/sql/resources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "proto/bytes.h"
#include "proto/limits.h"

#define HEADER_BYTES     16           /* before each allocation: its size; keeps the alignment */
#define KEPT_PART        2            /* of the memory: pages of temporary files */
#define RESERVE_BYTES    MIB(1)       /* of the total, at a time */
#define DISK_CHECK_BYTES (8 * MIB(1)) /* of growth, between two looks at the disk */

static _Thread_local struct resources *current; /* NULL: outside of a query */
static atomic_llong temp_total;
static atomic_llong memory_total;
static atomic_llong memory_total_max; /* 0: no limit */

struct resources *resources_enter(struct resources *resources)
{
    struct resources *before = current;
    current = resources;
    return before;
}

void resources_leave(struct resources *before)
{
    current = before;
}

enum err_code resources_check(const struct resources *resources, struct err *err)
{
    switch (resources->refused) {
    case RESOURCE_NONE:
        break;
    case RESOURCE_MEMORY:
        return err_set(err, ERR_LIMIT,
                       "the query needs more memory than select_memory allows (%" PRId64
                       " bytes): group or sort fewer rows, or raise it in the node's configuration",
                       resources->memory_bytes_max);
    case RESOURCE_TOTAL:
        return err_set(err, ERR_BUSY,
                       "all queries together have the memory that select_memory_total allows "
                       "(%lld bytes): try again later, or raise it in the node's configuration",
                       atomic_load(&memory_total_max));
    case RESOURCE_TEMP:
        return err_set(err, ERR_LIMIT,
                       "the query needs more temporary files than select_temp allows (%" PRId64
                       " bytes): group or sort fewer rows, or raise it in the node's configuration",
                       resources->temp_bytes_max);
    case RESOURCE_DISK:
        return err_set(err, ERR_NO_SPACE,
                       "the disk is full: the query's temporary files would leave less than "
                       "disk_reserve (%" PRId64 " bytes) free",
                       resources->disk_reserve_bytes);
    }
    return ERR_OK;
}

bool resources_may_keep(int64_t bytes)
{
    if (current == NULL)
        return false;
    int64_t limit = current->memory_bytes_max > 0 ? current->memory_bytes_max
                                                  : (int64_t)SELECT_MEMORY_BYTES_DEFAULT;
    int64_t total_max = atomic_load(&memory_total_max);
    bool room = total_max == 0 || atomic_load(&memory_total) + bytes <= total_max / KEPT_PART;
    return room && current->memory_bytes + bytes <= limit / KEPT_PART;
}

int64_t resources_temp_total(void)
{
    return atomic_load(&temp_total);
}

/* ---- memory ---- */

void resources_total_set(int64_t bytes_max)
{
    atomic_store(&memory_total_max, bytes_max);
}

int64_t resources_memory_total(void)
{
    return atomic_load(&memory_total);
}

void resources_end(struct resources *resources)
{
    atomic_fetch_sub(&memory_total, resources->reserved_bytes);
    resources->reserved_bytes = 0;
}

/* Makes what is reserved fit `bytes`, a step at a time. */
static bool total_reserve(int64_t bytes)
{
    const int64_t step = (int64_t)RESERVE_BYTES;
    int64_t wanted = (bytes + step - 1) / step * step;
    int64_t more = wanted - current->reserved_bytes;
    if (bytes <= current->reserved_bytes && more > -2 * step)
        return true; /* a step stays: what comes and goes does not count here */
    int64_t max = atomic_load(&memory_total_max);
    int64_t before = atomic_fetch_add(&memory_total, more);
    if (more > 0 && max > 0 && before + more > max) {
        atomic_fetch_sub(&memory_total, more);
        return false;
    }
    current->reserved_bytes = wanted;
    return true;
}

static bool memory_take(int64_t bytes)
{
    if (current == NULL)
        return true;
    if (bytes > 0 && current->memory_bytes_max > 0 &&
        current->memory_bytes + bytes > current->memory_bytes_max) {
        current->refused = RESOURCE_MEMORY;
        return false;
    }
    if (!total_reserve(current->memory_bytes + bytes)) {
        current->refused = RESOURCE_TOTAL;
        return false;
    }
    current->memory_bytes += bytes;
    return true;
}

static uint8_t *header_of(void *memory)
{
    return (uint8_t *)memory - HEADER_BYTES;
}

int resources_size(void *memory)
{
    int bytes = 0;
    if (memory != NULL)
        memcpy(&bytes, header_of(memory), sizeof(bytes));
    return bytes;
}

static void *header_set(uint8_t *block, int bytes)
{
    memcpy(block, &bytes, sizeof(bytes));
    return block + HEADER_BYTES;
}

/* The engine lives with NULL, and so says what the user can do; that is why it is not mem_alloc. */
void *resources_malloc(int bytes)
{
    if (!memory_take(bytes))
        return NULL;
    uint8_t *block = malloc((size_t)bytes + HEADER_BYTES);
    if (block == NULL) {
        memory_take(-(int64_t)bytes);
        return NULL;
    }
    return header_set(block, bytes);
}

void *resources_realloc(void *memory, int bytes)
{
    int64_t more = (int64_t)bytes - resources_size(memory);
    if (!memory_take(more))
        return NULL;
    uint8_t *block = realloc(header_of(memory), (size_t)bytes + HEADER_BYTES);
    if (block == NULL) {
        memory_take(-more);
        return NULL;
    }
    return header_set(block, bytes);
}

void resources_free(void *memory)
{
    if (memory == NULL)
        return;
    memory_take(-(int64_t)resources_size(memory));
    free(header_of(memory));
}

int resources_roundup(int bytes)
{
    return (bytes + 7) & ~7;
}

int resources_init(void *unused)
{
    (void)unused;
    return 0;
}

void resources_shutdown(void *unused)
{
    (void)unused;
}

/* ---- temporary files ---- */

#define NOT_TEMPORARY (-1)

/* Bytes of a temporary file: the engine's database is in memory, so every file that it writes is
 * one. (That they have no name any more does not show on every file system.) */
static int64_t temp_size(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return NOT_TEMPORARY;
    return status.st_size;
}

static void temp_count(int64_t bytes)
{
    atomic_fetch_add(&temp_total, bytes);
    if (current != NULL)
        current->temp_bytes += bytes;
}

static bool disk_has(int fd, int64_t bytes)
{
    struct statvfs disk;
    int64_t after = current->temp_bytes + bytes;
    if (current->disk_checked && after < current->temp_bytes_checked + (int64_t)DISK_CHECK_BYTES)
        return true;
    current->disk_checked = true;
    current->temp_bytes_checked = after;
    if (fstatvfs(fd, &disk) != 0)
        return true; /* the write itself will tell */
    return (int64_t)(disk.f_bavail * disk.f_frsize) >= current->disk_reserve_bytes + bytes;
}

/* Whether a temporary file may grow from `before` to `end` bytes. */
static bool temp_may_grow(int fd, int64_t before, int64_t end)
{
    int64_t growth = end - before;
    if (current == NULL || before == NOT_TEMPORARY || growth <= 0)
        return true;
    if (current->temp_bytes_max > 0 && current->temp_bytes + growth > current->temp_bytes_max)
        current->refused = RESOURCE_TEMP;
    else if (!disk_has(fd, growth))
        current->refused = RESOURCE_DISK;
    else
        return true;
    return false;
}

/* After a call that may have changed the size, whether it worked or not. */
static void temp_settle(int fd, int64_t before)
{
    if (before == NOT_TEMPORARY)
        return;
    int saved = errno;
    int64_t after = temp_size(fd);
    if (after != before && after != NOT_TEMPORARY)
        temp_count(after - before);
    errno = saved;
}

ssize_t resources_pwrite(int fd, const void *data, size_t bytes, off_t at)
{
    int64_t before = temp_size(fd);
    if (!temp_may_grow(fd, before, at + (int64_t)bytes)) {
        errno = ENOSPC;
        return -1;
    }
    ssize_t written = pwrite(fd, data, bytes, at);
    if (written < 0 && errno == ENOSPC && current != NULL)
        current->refused = RESOURCE_DISK;
    temp_settle(fd, before);
    return written;
}

ssize_t resources_write(int fd, const void *data, size_t bytes)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t written = resources_pwrite(fd, data, bytes, at);
    if (written > 0)
        lseek(fd, at + written, SEEK_SET);
    return written;
}

int resources_fallocate(int fd, off_t at, off_t bytes)
{
    int64_t before = temp_size(fd);
    if (!temp_may_grow(fd, before, at + bytes))
        return ENOSPC; /* as posix_fallocate tells it */
    int code = posix_fallocate(fd, at, bytes);
    temp_settle(fd, before);
    return code;
}

int resources_ftruncate(int fd, off_t bytes)
{
    int64_t before = temp_size(fd);
    int code = ftruncate(fd, bytes);
    temp_settle(fd, before);
    return code;
}

int resources_close(int fd)
{
    int64_t bytes = temp_size(fd);
    if (bytes != NOT_TEMPORARY)
        temp_count(-bytes);
    return close(fd);
}
