/* What one query may take of the machine: memory of the engine and its temporary files.
 *
 *     resources_enter ──► the engine allocates, writes temporary files ──► resources_leave
 *
 * The engine has one allocator and one set of file functions for the whole process; those here count
 * for the query that the calling thread is in. What the process takes for itself, outside of any
 * query, is not counted. Batches of the sources are not either: they are limited by row groups.
 *
 * All queries together have a limit too. A query reserves of it in steps, returns what it has not used
 * for long and all when it is closed; what cannot be reserved is refused at once: a worker does not
 * wait, and who asks again may. Before that, what could as well be written is written.
 * Threads: any; a query is in one thread at a time.
 */
#ifndef NODE_SQL_RESOURCES_H
#define NODE_SQL_RESOURCES_H

#include <stdatomic.h>
#include <sys/types.h>

#include "proto/err.h"

struct resources {
    int64_t memory_bytes_max; /* 0: no limit, as below */
    int64_t temp_bytes_max;
    int64_t disk_reserve_bytes; /* left free on the disk of the temporary files */
    int64_t memory_bytes;
    int64_t reserved_bytes; /* of the total: memory_bytes or more */
    int64_t temp_bytes;
    bool disk_checked;
    int64_t temp_bytes_checked; /* temp_bytes when the disk was last asked */
    enum {
        RESOURCE_NONE,
        RESOURCE_MEMORY,
        RESOURCE_TOTAL,
        RESOURCE_TEMP,
        RESOURCE_DISK
    } refused; /* the last */
};

/* From here on the thread works for this query; gives what it worked for before, for leave. */
struct resources *resources_enter(struct resources *resources);
void resources_leave(struct resources *before);

/* Of all queries of the process together; 0, as it is at first: no limit. Any thread. */
void resources_total_set(int64_t bytes_max);
int64_t resources_memory_total(void); /* reserved now */
/* What the query has reserved goes back: all that it allocated is freed. */
void resources_end(struct resources *resources);

/* ERR_OK when nothing was refused; else ERR_LIMIT, ERR_BUSY (all queries together) or ERR_NO_SPACE and
 * what to do. */
enum err_code resources_check(const struct resources *resources, struct err *err);

/* Whether the query of this thread may keep `bytes` more in memory of what could as well be written
 * to a temporary file: up to half of its limit, so that the rest has room. */
bool resources_may_keep(int64_t bytes);

/* Temporary files of all queries, bytes now. */
int64_t resources_temp_total(void);

/* ---- for the engine ---- */

void *resources_malloc(int bytes); /* NULL: refused, or there is none */
void *resources_realloc(void *memory, int bytes);
void resources_free(void *memory);
int resources_size(void *memory);
int resources_roundup(int bytes);
int resources_init(void *unused);
void resources_shutdown(void *unused);

/* As the system calls; ENOSPC: refused. A file that has no name any more is a temporary one. */
ssize_t resources_write(int fd, const void *data, size_t bytes);
ssize_t resources_pwrite(int fd, const void *data, size_t bytes, off_t at);
int resources_fallocate(int fd, off_t at, off_t bytes);
int resources_ftruncate(int fd, off_t bytes);
int resources_close(int fd);

#endif
