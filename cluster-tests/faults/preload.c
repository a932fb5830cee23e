/* What a node believes of its machine, falsified: preloaded by the tests, so that the node itself has
 * no switch for it.
 *
 *     FAULTS_NO_SYNC=1     nothing is ever synced, and every sync says that it was
 *     FAULTS_HOLD=FILE     no sync comes back: a struct hold in FILE, which may change at any time
 *     FAULTS_ROOMY=1       every file system says that it has a terabyte free
 *     FAULTS_CLOCK=FILE    the wall clock is off by so many seconds: an int64 in FILE, which may
 *                          change at any time; the monotonic clock is left alone
 *     FAULTS_AHEAD=FILE    so many seconds more have gone by than did: an int64 in FILE, which may only
 *                          grow; both clocks say so, and what waits finds out within a moment
 *     FAULTS_REFUSE=FILE   calls that would change the files of a pattern fail with an errno, from the
 *                          nth on, as often as wanted: a struct refusal in FILE, which may change at
 *                          any time (refusals.py writes it)
 *
 * Not here: files written through stdio (the library's LOG is not; nothing else is lost with one).
 * Threads: any; the settings are read once, before main.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define ROOMY_BYTES (UINT64_C(1) << 40)

/* Which calls fail. The test writes all but the last two while `armed` is 0. */
struct refusal {
    atomic_uint armed;
    int32_t number; /* errno */
    int64_t pass;   /* so many go through first */
    int64_t times;  /* so many fail then */
    char pattern[256];
    _Atomic(int64_t) met;     /* calls on such files, since it was armed */
    _Atomic(int64_t) refused; /* of those */
};

/* A disk that does not answer. The test writes `armed`. */
struct hold {
    atomic_uint armed;
    atomic_uint met; /* syncs that wait, or did */
};

static bool no_sync, roomy;
static const _Atomic(int64_t) *clock_offset_s; /* NULL: the clock is right */
static const _Atomic(int64_t) *ahead_s;        /* NULL: none went by */
static struct refusal *refusal;                /* NULL: none fails */
static struct hold *hold;                      /* NULL: all come back */

/* A test without its fault proves nothing: what is named has to be there. NULL: it is not named. */
static void *shared_open(const char *setting, size_t bytes, int protection)
{
    const char *path = getenv(setting);
    if (path == NULL)
        return NULL;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    void *map = file < 0 ? MAP_FAILED : mmap(NULL, bytes, protection, MAP_SHARED, file, 0);
    if (map == MAP_FAILED)
        abort();
    close(file);
    return map;
}

__attribute__((constructor)) static void settings_read(void)
{
    no_sync = getenv("FAULTS_NO_SYNC") != NULL;
    roomy = getenv("FAULTS_ROOMY") != NULL;
    clock_offset_s = shared_open("FAULTS_CLOCK", sizeof(*clock_offset_s), PROT_READ);
    ahead_s = shared_open("FAULTS_AHEAD", sizeof(*ahead_s), PROT_READ);
    refusal = shared_open("FAULTS_REFUSE", sizeof(*refusal), PROT_READ | PROT_WRITE);
    hold = shared_open("FAULTS_HOLD", sizeof(*hold), PROT_READ | PROT_WRITE);
}

/* ---- files that take no more ---- */

/* Whether this call on `path` is one that fails; sets errno. */
static bool path_refused(const char *path)
{
    if (fnmatch(refusal->pattern, path, 0) != 0)
        return false;
    int64_t at = atomic_fetch_add(&refusal->met, 1);
    if (at < refusal->pass || at - refusal->pass >= refusal->times)
        return false;
    atomic_fetch_add(&refusal->refused, 1);
    errno = refusal->number;
    return true;
}

static bool armed(void)
{
    return refusal != NULL && atomic_load(&refusal->armed) != 0;
}

static bool name_refused(const char *path)
{
    return armed() && path_refused(path);
}

static bool file_refused(int file)
{
    char name[32], path[4096];
    if (!armed())
        return false;
    int kept = errno;
    snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
    long len = syscall(SYS_readlink, name, path, sizeof(path) - 1);
    struct stat stat;
    bool nameless = fstat(file, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_nlink == 0;
    errno = kept;
    if (len <= 0)
        return false;
    path[len] = 0;
    /* A spilled run (store/spill.c): not every file system says its folder, nor has files without a name. */
    return path_refused(nameless || strstr(path, "/data/tmp/spill-") ? "/data/tmp/#" : path);
}

ssize_t write(int file, const void *data, size_t bytes)
{
    return file_refused(file) ? -1 : syscall(SYS_write, file, data, bytes);
}

ssize_t pwrite(int file, const void *data, size_t bytes, off_t at)
{
    return file_refused(file) ? -1 : syscall(SYS_pwrite64, file, data, bytes, at);
}

ssize_t pwrite64(int file, const void *data, size_t bytes, off64_t at)
{
    return pwrite(file, data, bytes, at);
}

int fallocate(int file, int mode, off_t from, off_t bytes)
{
    bool takes = (mode & FALLOC_FL_PUNCH_HOLE) == 0;
    return takes && file_refused(file) ? -1 : (int)syscall(SYS_fallocate, file, mode, from, bytes);
}

static int open_call(const char *path, int flags, mode_t mode)
{
    bool makes = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    if (makes && name_refused(path))
        return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

static mode_t mode_of(int flags, va_list rest)
{
    bool given = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    return given ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_call(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_call(path, flags, mode);
}

int link(const char *from, const char *to)
{
    return name_refused(to) ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int rename(const char *from, const char *to)
{
    return name_refused(to) ? -1 : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

/* ---- syncing ---- */

static void held_wait(void)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    if (hold == NULL || atomic_load(&hold->armed) == 0)
        return;
    atomic_fetch_add(&hold->met, 1);
    while (atomic_load(&hold->armed) != 0)
        nanosleep(&moment, NULL);
}

static int sync_call(long number, int file)
{
    held_wait();
    if (file_refused(file))
        return -1;
    return no_sync ? 0 : (int)syscall(number, file);
}

int fsync(int file)
{
    return sync_call(SYS_fsync, file);
}

int fdatasync(int file)
{
    return sync_call(SYS_fdatasync, file);
}

int syncfs(int file)
{
    return sync_call(SYS_syncfs, file);
}

int sync_file_range(int file, off64_t from, off64_t bytes, unsigned flags)
{
    return no_sync ? 0 : (int)syscall(SYS_sync_file_range, file, from, bytes, flags);
}

/* ---- room ---- */

static int room_tell(int result, struct statvfs *stat)
{
    if (result == 0 && roomy)
        stat->f_bavail = stat->f_bfree = ROOMY_BYTES / stat->f_frsize;
    return result;
}

/* statvfs64 is the library's own, under its other name. */
int statvfs(const char *restrict path, struct statvfs *restrict stat)
{
    return room_tell(statvfs64(path, (struct statvfs64 *)stat), stat);
}

int fstatvfs(int file, struct statvfs *stat)
{
    return room_tell(fstatvfs64(file, (struct statvfs64 *)stat), stat);
}

/* ---- clocks ---- */

#define AHEAD_LOOK_NS    100000000  /* a wait looks anew after so long */
#define WALL_CLOCK_MIN_S 1000000000 /* no machine has been up for so long */

static int64_t seconds_of(const _Atomic(int64_t) *seconds)
{
    return seconds == NULL ? 0 : atomic_load(seconds);
}

static bool clock_is_wall(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

static bool clock_is_monotonic(clockid_t clock)
{
    return clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ||
           clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_BOOTTIME;
}

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, ret_now);
    if (result != 0)
        return result;
    if (clock_is_wall(clock))
        ret_now->tv_sec += seconds_of(clock_offset_s);
    if (clock_is_wall(clock) || clock_is_monotonic(clock))
        ret_now->tv_sec += seconds_of(ahead_s);
    return result;
}

int gettimeofday(struct timeval *restrict ret_now, void *restrict zone)
{
    int result = (int)syscall(SYS_gettimeofday, ret_now, zone);
    if (result == 0)
        ret_now->tv_sec += seconds_of(clock_offset_s) + seconds_of(ahead_s);
    return result;
}

time_t time(time_t *ret_now)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret_now != NULL)
        *ret_now = now.tv_sec;
    return now.tv_sec;
}

static bool is_earlier(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

typedef int clockwait_call(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
typedef int timedwait_call(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

/* The library's own. pthread_cond_timedwait has an older version there, which RTLD_NEXT would find. */
static _Atomic(clockwait_call *) library_clockwait;
static _Atomic(timedwait_call *) library_timedwait;
#ifdef __x86_64__
#define TIMEDWAIT_VERSION "GLIBC_2.3.2"
#else
#define TIMEDWAIT_VERSION "GLIBC_2.17"
#endif

__attribute__((constructor)) static void library_find(void)
{
    atomic_store(&library_clockwait, dlsym(RTLD_NEXT, "pthread_cond_clockwait"));
    atomic_store(&library_timedwait,
                 dlvsym(RTLD_NEXT, "pthread_cond_timedwait", TIMEDWAIT_VERSION));
}

/* The kernel knows nothing of what went by: it gets the true time, and one that is soon, as whoever
 * waits has to expect being woken for nothing. */
static int ahead_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                      const struct timespec *until)
{
    struct timespec soon, end = *until;
    syscall(SYS_clock_gettime, clock, &soon);
    end.tv_sec -= atomic_load(ahead_s);
    soon.tv_nsec += AHEAD_LOOK_NS;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    bool is_last = is_earlier(&end, &soon);
    int result = atomic_load(&library_clockwait)(cond, mutex, clock, is_last ? &end : &soon);
    return result == ETIMEDOUT && !is_last ? 0 : result;
}

int pthread_cond_clockwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           clockid_t clock, const struct timespec *restrict until)
{
    if (ahead_s == NULL)
        return atomic_load(&library_clockwait)(cond, mutex, clock, until);
    return ahead_wait(cond, mutex, clock, until);
}

/* Its clock is the condition's, which does not tell. */
int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    if (ahead_s == NULL)
        return atomic_load(&library_timedwait)(cond, mutex, until);
    bool is_wall = until->tv_sec >= WALL_CLOCK_MIN_S;
    return ahead_wait(cond, mutex, is_wall ? CLOCK_REALTIME : CLOCK_MONOTONIC, until);
}
