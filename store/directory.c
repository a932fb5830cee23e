#include "store/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/space.h"
#include "store/store.h"

#define MARKER_BYTES_MAX 512
#define STORE_PROGRAM    "strait " STRAIT_VERSION

_Static_assert(sizeof(STORE_PROGRAM) <= STORE_PROGRAM_BYTES_MAX + 1, "fits struct store_origin");

static enum err_code errno_set(struct err *err, const char *doing, const char *path)
{
    return space_failed(path, doing, errno, err);
}

static void path_make(struct bytes *path, const char *data_dir, const char *name)
{
    bytes_printf(path, "%s/%s", data_dir, name);
    bytes_append_u8(path, 0);
}

/* ---- owner ---- */

#define USER_BYTES_MAX 64

/* A user's name, or the number where there is none. */
static bool user_name(uid_t user, char ret_name[USER_BYTES_MAX])
{
    char text[4096];
    struct passwd entry, *found = NULL;
    bool named = getpwuid_r(user, &entry, text, sizeof(text), &found) == 0 && found != NULL &&
                 strlen(entry.pw_name) < USER_BYTES_MAX;
    if (named)
        memcpy(ret_name, entry.pw_name, strlen(entry.pw_name) + 1);
    else
        snprintf(ret_name, USER_BYTES_MAX, "%lu", (unsigned long)user);
    return named;
}

static enum err_code owner_refused(const char *folder, uid_t owner, struct err *err)
{
    char theirs[USER_BYTES_MAX], ours[USER_BYTES_MAX];
    bool named = user_name(owner, theirs);
    (void)user_name(geteuid(), ours);
    return err_set(err, ERR_CONFIG,
                   "data_dir: %s is user %s's, whose node cannot open what user %s writes there; "
                   "nothing was changed; run as that user: %s%s%s straitd ...",
                   folder, theirs, ours, named ? "runuser -u " : "setpriv --reuid=", theirs,
                   named ? " --" : " --clear-groups");
}

/* The folder that data_dir would be made in. */
static void parent_make(struct bytes *path, const char *data_dir)
{
    size_t len = strlen(data_dir);
    while (len > 1 && data_dir[len - 1] == '/')
        len--;
    while (len > 0 && data_dir[len - 1] != '/')
        len--;
    bytes_clear(path);
    if (len == 0)
        bytes_append_text(path, ".");
    else
        bytes_append_span(path, span_of((const uint8_t *)data_dir, len));
    bytes_append_u8(path, 0);
}

enum err_code directory_owner_check(const char *data_dir, struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    struct stat folder, lock;
    bytes_append_text(&path, data_dir);
    bytes_append_u8(&path, 0);
    if (stat(data_dir, &folder) != 0) {
        parent_make(&path, data_dir);
        if (stat((const char *)path.data, &folder) != 0)
            return ERR_OK; /* nothing can be made there, as the next call says */
    }
    if (folder.st_uid == geteuid())
        return ERR_OK;
    if (geteuid() == 0)
        return owner_refused((const char *)path.data, folder.st_uid, err);
    bytes_clear(&path);
    path_make(&path, data_dir, "store.lock");
    if (stat((const char *)path.data, &lock) == 0 && lock.st_uid != geteuid())
        return owner_refused(data_dir, lock.st_uid, err);
    return ERR_OK;
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
    bytes_append_text(out, "\nprogram " STORE_PROGRAM "\n");
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

static bool marker_same_node(struct span text, struct span other)
{
    struct span node, wanted;
    return marker_line(text, "node", &node) && marker_line(other, "node", &wanted) &&
           span_equal(node, wanted);
}

/* Puts it in the place of the node that the text names. */
static void marker_node_set(struct bytes *text, struct span node)
{
    struct bytes hex BYTES_CLEANUP = {0};
    struct span old;
    bytes_append_hex(&hex, node);
    ASSERT(marker_line(bytes_span(text), "node", &old) && old.len == hex.len);
    memcpy(text->data + (old.data - text->data), hex.data, hex.len);
}

bool marker_former_take(const struct store_options *options, struct bytes *text)
{
    for (size_t i = 0; i < options->former_count; i++) {
        struct bytes former BYTES_CLEANUP = {0};
        marker_make(options->region, span_of(options->former[i].b, sizeof(options->former[i].b)),
                    &former);
        if (!marker_same_node(bytes_span(text), bytes_span(&former)))
            continue;
        marker_node_set(text, span_of(options->identity.b, sizeof(options->identity.b)));
        return true;
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

/* Programs of before format 3 left no name. What is no name is none. */
static void marker_program(struct span text, char ret_program[STORE_PROGRAM_BYTES_MAX + 1])
{
    struct span name = span_of(NULL, 0);
    bool named = marker_line(text, "program", &name) && name.len <= STORE_PROGRAM_BYTES_MAX;
    for (size_t i = 0; named && i < name.len; i++)
        named = name.data[i] >= ' ' && name.data[i] <= '~';
    memset(ret_program, 0, STORE_PROGRAM_BYTES_MAX + 1);
    if (named && name.len > 0)
        memcpy(ret_program, name.data, name.len);
}

void marker_origin(struct span text, struct store_origin *ret_origin)
{
    unsigned long format;
    ASSERT(marker_format(text, &format) && format <= STORE_FORMAT);
    ret_origin->format = (unsigned)format;
    marker_program(text, ret_origin->program);
}

static enum err_code newer_refused(const char *where, struct span found, unsigned long format,
                                   struct err *err)
{
    char program[STORE_PROGRAM_BYTES_MAX + 1];
    marker_program(found, program);
    return err_set(err, ERR_VERSION,
                   "%s: store format %lu, of %s, is newer than this program's %d (" STORE_PROGRAM
                   "); run that program or a newer one, or restore a backup from before it",
                   where, format, program[0] != '\0' ? program : "a program without a name",
                   STORE_FORMAT);
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
        return newer_refused(where, found, format, err);
    if (format < STORE_FORMAT_OLDEST)
        return err_set(err, ERR_CORRUPT, "%s: store format %lu, which no program wrote", where,
                       format);
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

enum err_code directory_remove(const char *path, struct err *err)
{
    if (access(path, F_OK) != 0)
        return ERR_OK;
    TRY(directory_clear(path, err));
    return rmdir(path) == 0 ? ERR_OK : errno_set(err, "removing", path);
}

enum err_code directory_clear(const char *path, struct err *err)
{
    if (nftw(path, remove_below, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return errno_set(err, "clearing", path);
    return ERR_OK;
}
