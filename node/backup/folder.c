#include "node/backup/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/limits.h"

#define PART_BYTES MIB(1)

enum err_code backup_failed(const char *path, const char *doing, struct err *err)
{
    int number = errno;
    return err_set(err, number == ENOSPC || number == EDQUOT ? ERR_NO_SPACE : ERR_IO, "%s: %s: %s",
                   path, doing, strerror(number));
}

static void file_close(int *file)
{
    if (*file >= 0)
        close(*file);
}
#define FILE_CLEANUP __attribute__((cleanup(file_close)))

static const char *path_of(struct bytes *path, const char *dir, const char *name)
{
    bytes_clear(path);
    bytes_printf(path, "%s/%s", dir, name);
    bytes_append_u8(path, 0);
    return (const char *)path->data;
}

enum err_code backup_folder_sync(const char *path, struct err *err)
{
    FILE_CLEANUP int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return file >= 0 && fsync(file) == 0 ? ERR_OK : backup_failed(path, "syncing", err);
}

enum err_code backup_file_make(const char *path, int *ret_file, struct err *err)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return backup_failed(path, "removing", err);
    *ret_file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return *ret_file >= 0 ? ERR_OK : backup_failed(path, "making", err);
}

/* ---- content ---- */

static enum err_code all_write(int file, const char *path, const uint8_t *data, size_t len,
                               struct err *err)
{
    while (len > 0) {
        ssize_t wrote = write(file, data, len);
        if (wrote < 0)
            return backup_failed(path, "writing", err);
        data += wrote;
        len -= (size_t)wrote;
    }
    return ERR_OK;
}

/* Hashes `bytes` of `file` on its way to `to` (-1: nowhere). */
static enum err_code content_pass(int file, const char *path, uint64_t bytes, int to,
                                  const char *to_path, struct digest_state *state, struct err *err)
{
    uint8_t *part MEM_CLEANUP = mem_alloc(PART_BYTES);
    while (bytes > 0) {
        ssize_t got = read(file, part, bytes < PART_BYTES ? (size_t)bytes : PART_BYTES);
        if (got < 0)
            return backup_failed(path, "reading", err);
        if (got == 0)
            return err_set(err, ERR_CORRUPT, "%s: %" PRIu64 " bytes are missing at its end", path,
                           bytes);
        digest_update(state, span_of(part, (size_t)got));
        if (to >= 0)
            TRY(all_write(to, to_path, part, (size_t)got, err));
        bytes -= (uint64_t)got;
    }
    return ERR_OK;
}

enum err_code backup_file_hash(const char *path, uint64_t bytes, struct digest_state *state,
                               struct err *err)
{
    FILE_CLEANUP int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return backup_failed(path, "opening", err);
    return content_pass(file, path, bytes, -1, NULL, state, err);
}

static enum err_code content_copy(int file, const char *path, const struct backup_file *wanted,
                                  int to, const char *to_path, struct err *err)
{
    struct digest_state state;
    struct stat stat;
    if (fstat(file, &stat) != 0)
        return backup_failed(path, "reading", err);
    if ((uint64_t)stat.st_size != wanted->bytes)
        return err_set(err, ERR_CORRUPT,
                       "%s: has %" PRIu64 " bytes, the backup's manifest says %" PRIu64, path,
                       (uint64_t)stat.st_size, wanted->bytes);
    digest_init(&state, DOMAIN_FILE);
    TRY(content_pass(file, path, wanted->bytes, to, to_path, &state, err));
    struct digest digest = digest_final(&state);
    if (!digest_equal(&digest, &wanted->digest))
        return err_set(err, ERR_CORRUPT, "%s: its content is not what the manifest says", path);
    return ERR_OK;
}

enum err_code backup_file_copy(const char *dir, const struct backup_file *wanted, const char *to,
                               struct err *err)
{
    struct bytes folder BYTES_CLEANUP = {0};
    struct bytes path BYTES_CLEANUP = {0};
    const char *from = path_of(&path, path_of(&folder, dir, "files"), wanted->name);
    FILE_CLEANUP int file = open(from, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT ? err_set(err, ERR_CORRUPT, "%s: is missing", from)
                               : backup_failed(from, "opening", err);
    if (to == NULL)
        return content_copy(file, from, wanted, -1, NULL, err);
    FILE_CLEANUP int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0)
        return backup_failed(to, "making", err);
    TRY(content_copy(file, from, wanted, out, to, err));
    return fsync(out) == 0 ? ERR_OK : backup_failed(to, "syncing", err);
}

/* ---- the manifest ---- */

enum err_code backup_manifest_read(const char *dir, struct backup_manifest *ret_manifest,
                                   struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    struct bytes text BYTES_CLEANUP = {0};
    struct stat stat;
    const char *name = path_of(&path, dir, "manifest");
    FILE_CLEANUP int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(err, ERR_NOT_FOUND,
                       "%s: no whole backup is here (strait backup %s makes one)", dir, dir);
    if (file < 0 || fstat(file, &stat) != 0)
        return backup_failed(name, "reading", err);
    if (stat.st_size > (off_t)LIMIT_BACKUP_LIST_BYTES)
        return err_set(err, ERR_CORRUPT, "%s: is too long for a manifest", name);
    bytes_resize(&text, (size_t)stat.st_size);
    for (size_t at = 0; at < text.len;) {
        ssize_t got = read(file, text.data + at, text.len - at);
        if (got < 0)
            return backup_failed(name, "reading", err);
        if (got == 0)
            bytes_resize(&text, at);
        at += (size_t)got;
    }
    struct err reason;
    enum err_code code = backup_manifest_decode(bytes_span(&text), ret_manifest, &reason);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s: %s", name, reason.message);
}

/* What the node said is in it: none that could not be read again takes the place of a good one. */
static enum err_code text_check(struct span text, const char *name, struct err *err)
{
    BACKUP_MANIFEST_CLEANUP struct backup_manifest again = {0};
    struct err reason;
    if (text.len > LIMIT_BACKUP_LIST_BYTES)
        return err_set(err, ERR_LIMIT, "%s: a manifest of %zu bytes", name, text.len);
    if (backup_manifest_decode(text, &again, &reason) != ERR_OK)
        return err_set(err, ERR_BAD_DATA, "%s: not written, could not be read again: %s", name,
                       reason.message);
    return ERR_OK;
}

enum err_code backup_manifest_write(const char *dir, const struct backup_manifest *manifest,
                                    struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    struct bytes fresh_path BYTES_CLEANUP = {0};
    struct bytes text BYTES_CLEANUP = {0};
    const char *name = path_of(&path, dir, "manifest");
    const char *fresh = path_of(&fresh_path, dir, "manifest.new");
    backup_manifest_encode(manifest, &text);
    TRY(text_check(bytes_span(&text), name, err));
    FILE_CLEANUP int file = -1;
    TRY(backup_file_make(fresh, &file, err));
    TRY(all_write(file, fresh, text.data, text.len, err));
    if (fsync(file) != 0)
        return backup_failed(fresh, "syncing", err);
    if (rename(fresh, name) != 0)
        return backup_failed(name, "renaming", err);
    return backup_folder_sync(dir, err);
}
