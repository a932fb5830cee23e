#include "store/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "store/space.h"
#include "store/store.h"

#define MARKER_BYTES_MAX 512

static enum err_code errno_set(struct err *err, const char *doing, const char *path)
{
    return space_failed(path, doing, errno, err);
}

static void path_make(struct bytes *path, const char *data_dir, const char *name)
{
    bytes_printf(path, "%s/%s", data_dir, name);
    bytes_append_u8(path, 0);
}

/* ---- lock ---- */

static enum err_code lock_refused(const char *data_dir, int file, struct err *err)
{
    char pid[32] = {0};
    ssize_t got = pread(file, pid, sizeof(pid) - 1, 0);
    pid[got > 0 ? strcspn(pid, "\n") : 0] = '\0';
    return err_set(err, ERR_LOCKED,
                   "%s is in use by process %s; stop that one first, or give this node another "
                   "data_dir",
                   data_dir, pid[0] != '\0' ? pid : "(unknown)");
}

enum err_code directory_lock(const char *data_dir, int *ret_file, struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    path_make(&path, data_dir, "store.lock");
    int file = open((const char *)path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return errno_set(err, "opening", (const char *)path.data);
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        enum err_code code = errno == EWOULDBLOCK
                                 ? lock_refused(data_dir, file, err)
                                 : errno_set(err, "locking", (const char *)path.data);
        close(file);
        return code;
    }
    /* The pid is for people; a full disk does not make it worth failing. */
    char pid[32];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(file, 0) == 0)
        (void)!pwrite(file, pid, (size_t)len, 0);
    *ret_file = file;
    return ERR_OK;
}

/* ---- marker ---- */

void marker_make(const char *region, struct span node, struct bytes *out)
{
    bytes_printf(out, "strait store\nformat %d\nregion %s\nnode ", STORE_FORMAT, region);
    bytes_append_hex(out, node);
    bytes_append_u8(out, '\n');
}

/* The rest of the line that begins with name and a blank; false when there is none. */
static bool marker_line(struct span text, const char *name, struct span *ret_rest)
{
    size_t name_bytes = strlen(name);
    for (size_t at = 0; at < text.len;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        size_t line_bytes = end == NULL ? text.len - at : (size_t)(end - text.data) - at;
        if (line_bytes > name_bytes && memcmp(text.data + at, name, name_bytes) == 0 &&
            text.data[at + name_bytes] == ' ') {
            *ret_rest = span_slice(text, at + name_bytes + 1, line_bytes - name_bytes - 1);
            return true;
        }
        at += line_bytes + 1;
    }
    return false;
}

static bool marker_format(struct span text, unsigned long *ret_format)
{
    struct span rest;
    char digits[16] = {0};
    if (!marker_line(text, "format", &rest) || rest.len >= sizeof(digits) || rest.len == 0)
        return false;
    memcpy(digits, rest.data, rest.len);
    char *end;
    *ret_format = strtoul(digits, &end, 10);
    return *end == '\0';
}

#define KEY_PART_DIGITS 16

/* The part of a key, in hexadecimal, where it differs from the other one. */
static struct span key_part(struct span key, struct span other)
{
    size_t at = 0;
    while (at < key.len && at < other.len && key.data[at] == other.data[at])
        at++;
    at -= at % KEY_PART_DIGITS;
    size_t left = at < key.len ? key.len - at : 0;
    return span_slice(key, key.len - left, left < KEY_PART_DIGITS ? left : KEY_PART_DIGITS);
}

enum err_code marker_check(const char *where, struct span found, struct span wanted,
                           struct err *err)
{
    unsigned long format;
    struct span region, node, our_region, our_node;
    if (span_equal(found, wanted))
        return ERR_OK;
    if (!marker_format(found, &format))
        return err_set(err, ERR_CORRUPT, "%s: the store's marker cannot be read", where);
    if (format > STORE_FORMAT)
        return err_set(err, ERR_VERSION,
                       "%s: store format %lu is newer than this program's %d; run the program that "
                       "wrote it, or a newer one",
                       where, format, STORE_FORMAT);
    if (!marker_line(found, "region", &region) || !marker_line(found, "node", &node))
        return err_set(err, ERR_CORRUPT, "%s: the store's marker cannot be read", where);
    ASSERT(marker_line(wanted, "region", &our_region) && marker_line(wanted, "node", &our_node));
    if (!span_equal(region, our_region))
        return err_set(
            err, ERR_CONFIG,
            "%s: belongs to region %.*s, this node is of region %.*s; check data_dir and "
            "region",
            where, SPAN_PRINTF(region), SPAN_PRINTF(our_region));
    if (!span_equal(node, our_node))
        return err_set(err, ERR_CONFIG,
                       "%s: belongs to the node with key ..%.*s.., this node has ..%.*s..; check "
                       "data_dir and key_file",
                       where, SPAN_PRINTF(key_part(node, our_node)),
                       SPAN_PRINTF(key_part(our_node, node)));
    return ERR_OK;
}

/* The marker file may be another node's, or damaged: the database says the same, and is asked when the
 * file is not there. */
enum err_code marker_file_check(const char *data_dir, struct span found, struct span wanted,
                                struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    struct err cause;
    path_make(&path, data_dir, "store");
    enum err_code code = marker_check((const char *)path.data, found, wanted, &cause);
    if (code != ERR_CORRUPT && code != ERR_CONFIG)
        return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", cause.message);
    return err_set(err, code, "%s%s; move it away: the database says the same", cause.message,
                   code == ERR_CONFIG ? "; if both are right, that file is damaged" : "");
}

enum err_code marker_read(const char *data_dir, struct bytes *ret_text, bool *ret_found,
                          struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    path_make(&path, data_dir, "store");
    int file = open((const char *)path.data, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT) {
        *ret_found = false;
        return ERR_OK;
    }
    if (file < 0)
        return errno_set(err, "opening", (const char *)path.data);
    bytes_resize(ret_text, MARKER_BYTES_MAX);
    ssize_t got = read(file, ret_text->data, MARKER_BYTES_MAX);
    close(file);
    if (got < 0)
        return errno_set(err, "reading", (const char *)path.data);
    bytes_resize(ret_text, (size_t)got);
    *ret_found = true;
    return ERR_OK;
}

static bool file_write_synced(const char *path, struct span text)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        return false;
    bool ok = write(file, text.data, text.len) == (ssize_t)text.len && fsync(file) == 0;
    return close(file) == 0 && ok;
}

enum err_code directory_sync(const char *path, struct err *err)
{
    int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return errno_set(err, "syncing", path);
    enum err_code code = fsync(file) == 0 ? ERR_OK : errno_set(err, "syncing", path);
    close(file);
    return code;
}

enum err_code marker_write(const char *data_dir, struct span text, struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    struct bytes fresh BYTES_CLEANUP = {0};
    path_make(&path, data_dir, "store");
    path_make(&fresh, data_dir, "store.new");
    if (!file_write_synced((const char *)fresh.data, text) ||
        rename((const char *)fresh.data, (const char *)path.data) != 0)
        return errno_set(err, "writing", (const char *)path.data);
    return directory_sync(data_dir, err);
}

/* ---- directories ---- */

enum err_code directory_make(const char *path, struct err *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return errno_set(err, "making", path);
    return ERR_OK;
}

static int remove_below(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    (void)stat;
    (void)kind;
    return place->level == 0 ? 0 : remove(path);
}

enum err_code directory_clear(const char *path, struct err *err)
{
    if (nftw(path, remove_below, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return errno_set(err, "clearing", path);
    return ERR_OK;
}
