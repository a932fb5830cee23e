/* See backup_pull.h. */
#include "node/client/backup_pull.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- a file by parts, some in flight ---- */

struct reads {
    struct remote *remote;
    struct statement_id id;
    uint64_t file, bytes; /* which, and how long it is */
    uint64_t asked;       /* up to here */
    struct remote_call *calls[BACKUP_READS_MAX];
    size_t first, count;
};

static void reads_forget(struct reads *reads)
{
    for (; reads->count > 0; reads->count--) {
        remote_forget(reads->remote, reads->calls[reads->first]);
        reads->first = (reads->first + 1) % BACKUP_READS_MAX;
    }
}

static void reads_ask(struct reads *reads)
{
    while (reads->count < BACKUP_READS_MAX && reads->asked < reads->bytes) {
        struct bytes header BYTES_CLEANUP = {0};
        uint64_t left = reads->bytes - reads->asked;
        const struct operator_backup_read read = {
            .id = reads->id,
            .file = reads->file,
            .offset = reads->asked,
            .bytes = (uint32_t)(left < BACKUP_READ_BYTES_MAX ? left : BACKUP_READ_BYTES_MAX),
        };
        operator_backup_read_encode(&read, &header);
        reads->calls[(reads->first + reads->count) % BACKUP_READS_MAX] =
            remote_post(reads->remote, OPERATOR_BACKUP_READ, &header, NULL, 0);
        reads->count++;
        reads->asked += read.bytes;
    }
}

/* The next part in order, which is as long as it was asked for. */
static enum err_code reads_next(struct reads *reads, uint64_t at, struct remote_answer *answer,
                                struct err *err)
{
    reads_ask(reads);
    struct remote_call *call = reads->calls[reads->first];
    reads->first = (reads->first + 1) % BACKUP_READS_MAX;
    reads->count--;
    TRY(remote_wait(reads->remote, call, answer, err));
    uint64_t left = reads->bytes - at;
    uint64_t wanted = left < BACKUP_READ_BYTES_MAX ? left : BACKUP_READ_BYTES_MAX;
    if (answer->body.len != wanted)
        return err_set(err, ERR_PEER, "the node sent %zu bytes of a file, not %" PRIu64,
                       answer->body.len, wanted);
    return ERR_OK;
}

enum err_code backup_pull_list(struct backup_pull *pull, uint64_t list_bytes,
                               struct bytes *ret_list, struct err *err)
{
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    __attribute__((cleanup(reads_forget))) struct reads reads = {
        .remote = pull->remote, .id = pull->id, .bytes = list_bytes};
    for (uint64_t at = 0; at < list_bytes; at += answer.body.len) {
        TRY(reads_next(&reads, at, &answer, err));
        bytes_append_span(ret_list, bytes_span(&answer.body));
    }
    return ERR_OK;
}

/* ---- paths ---- */

static const char *file_path(const struct backup_pull *pull, const struct backup_file *file,
                             const char *tail, struct bytes *path)
{
    bytes_clear(path);
    bytes_printf(path, "%s/files/%s%s", pull->dir, file->name, tail);
    bytes_append_u8(path, 0);
    return (const char *)path->data;
}

/* False: there is none. */
static bool file_bytes(const char *path, uint64_t *ret_bytes)
{
    struct stat stat_of;
    if (stat(path, &stat_of) != 0 || !S_ISREG(stat_of.st_mode))
        return false;
    *ret_bytes = (uint64_t)stat_of.st_size;
    return true;
}

/* ---- what is here ---- */

static void shown(struct backup_pull *pull, size_t files_done)
{
    const struct operator_progress state = {
        .phase = span_text("backing up"),
        .bytes_done = pull->bytes_moved,
        .bytes_total = pull->bytes_total,
        .files_done = files_done,
        .files_total = pull->fresh->count,
    };
    progress_show(&pull->progress, &state);
}

/* Of the last whole backup: as it was then. */
static bool known_take(const struct backup_pull *pull, struct backup_file *file)
{
    struct bytes path BYTES_CLEANUP = {0};
    uint64_t bytes;
    const struct backup_file *known = backup_file_find(pull->old, file->name);
    if (known == NULL || known->bytes != file->bytes ||
        !file_bytes(file_path(pull, file, "", &path), &bytes) || bytes != file->bytes)
        return false;
    file->digest = known->digest;
    file->has_digest = true;
    return true;
}

static enum err_code arrived_take(const struct backup_pull *pull, struct backup_file *file,
                                  struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    struct digest_state state;
    uint64_t bytes;
    const char *name = file_path(pull, file, "", &path);
    if (!file_bytes(name, &bytes) || bytes != file->bytes)
        return ERR_OK; /* it is written anew */
    digest_init(&state, DOMAIN_FILE);
    TRY(backup_file_hash(name, bytes, &state, err));
    file->digest = digest_final(&state);
    file->has_digest = true;
    return ERR_OK;
}

/* ---- bringing one ---- */

struct
    arriving { /* from its beginning: after a power failure nobody knows what is in one that was begun */
    int file;
    uint64_t bytes; /* that are in it */
    struct digest_state state;
};

static void arriving_close(struct arriving *arriving)
{
    if (arriving->file >= 0)
        close(arriving->file);
}

static enum err_code part_write(struct arriving *arriving, const char *part, struct span content,
                                struct err *err)
{
    digest_update(&arriving->state, content);
    while (content.len > 0) {
        ssize_t wrote = write(arriving->file, content.data, content.len);
        if (wrote < 0)
            return backup_failed(part, "writing", err);
        content = span_slice(content, (size_t)wrote, content.len - (size_t)wrote);
        arriving->bytes += (uint64_t)wrote;
    }
    return ERR_OK;
}

static enum err_code parts_pull(struct backup_pull *pull, size_t i, const char *part,
                                struct arriving *arriving, struct err *err)
{
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    uint64_t bytes = pull->fresh->files[i].bytes;
    __attribute__((cleanup(reads_forget))) struct reads reads = {
        .remote = pull->remote, .id = pull->id, .file = i + 1, .bytes = bytes};
    while (arriving->bytes < bytes) {
        TRY(reads_next(&reads, arriving->bytes, &answer, err));
        TRY(part_write(arriving, part, bytes_span(&answer.body), err));
        pull->bytes_moved += answer.body.len;
        shown(pull, i);
    }
    return ERR_OK;
}

static enum err_code file_pull(struct backup_pull *pull, size_t i, struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    struct bytes part_path BYTES_CLEANUP = {0};
    struct backup_file *file = &pull->fresh->files[i];
    const char *name = file_path(pull, file, "", &path);
    const char *part = file_path(pull, file, ".part", &part_path);
    __attribute__((cleanup(arriving_close))) struct arriving arriving = {.file = -1};
    digest_init(&arriving.state, DOMAIN_FILE);
    TRY(backup_file_make(part, &arriving.file, err));
    TRY(parts_pull(pull, i, part, &arriving, err));
    if (fsync(arriving.file) != 0)
        return backup_failed(part, "syncing", err);
    if (rename(part, name) != 0)
        return backup_failed(name, "renaming", err);
    file->digest = digest_final(&arriving.state);
    file->has_digest = true;
    pull->files_moved++;
    return ERR_OK;
}

/* ---- all ---- */

static enum err_code room_check(const struct backup_pull *pull, struct err *err)
{
    struct statvfs room;
    if (statvfs(pull->dir, &room) != 0)
        return backup_failed(pull->dir, "asking for free space", err);
    uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    if (pull->bytes_total <= free_bytes)
        return ERR_OK;
    return err_set(err, ERR_NO_SPACE,
                   "%s: %" PRIu64 " bytes are free, up to %" PRIu64
                   " are needed; the last whole backup stays as it is",
                   pull->dir, free_bytes, pull->bytes_total);
}

enum err_code backup_pull_files(struct backup_pull *pull, struct err *err)
{
    struct bytes folder BYTES_CLEANUP = {0};
    for (size_t i = 0; i < pull->fresh->count; i++) {
        struct backup_file *file = &pull->fresh->files[i];
        if (!known_take(pull, file))
            TRY(arrived_take(pull, file, err));
        if (!file->has_digest)
            pull->bytes_total += file->bytes;
    }
    TRY(room_check(pull, err));
    for (size_t i = 0; i < pull->fresh->count; i++) {
        if (!pull->fresh->files[i].has_digest)
            TRY(file_pull(pull, i, err));
    }
    bytes_printf(&folder, "%s/files", pull->dir);
    bytes_append_u8(&folder, 0);
    return backup_folder_sync((const char *)folder.data, err);
}
