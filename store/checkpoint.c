#include "store/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/digest.h"
#include "proto/limits.h"
#include "store/crash.h"
#include "store/directory.h"
#include "store/parts.h"
#include "store/store.h"

#define FOLDER     "checkpoint"
#define TAIL_BYTES KIB(4) /* of a table: footer, index of blocks, properties */

struct checkpoint {
    char *path;
    struct checkpoint_file *files;
    size_t count;
};

static void path_of(const char *folder, const char *name, struct bytes *path)
{
    bytes_clear(path);
    bytes_printf(path, "%s/%s", folder, name);
    bytes_append_u8(path, 0);
}

static enum err_code failed(const char *path, const char *doing, struct err *err)
{
    return space_failed(path, doing, errno, err);
}

void checkpoint_free(struct checkpoint *checkpoint)
{
    if (checkpoint == NULL)
        return;
    (void)!directory_remove(checkpoint->path, NULL); /* else the next opening empties tmp/ */
    mem_free(checkpoint->files);
    mem_free(checkpoint->path);
    mem_free(checkpoint);
}

/* ---- what is in it ---- */

static bool name_is_table(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".sst") == 0;
}

static enum err_code file_open(const struct checkpoint *checkpoint, const char *name, int *ret_file,
                               struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    path_of(checkpoint->path, name, &path);
    *ret_file = open((const char *)path.data, O_RDONLY | O_CLOEXEC);
    return *ret_file >= 0 ? ERR_OK : failed((const char *)path.data, "opening", err);
}

/* Reads until bytes_max or the end. */
static enum err_code file_part(int file, const char *name, uint64_t offset, size_t bytes_max,
                               struct bytes *out, struct err *err)
{
    size_t before = out->len;
    bytes_reserve(out, bytes_max);
    for (;;) {
        size_t done = out->len - before;
        ssize_t got = done == bytes_max ? 0
                                        : pread(file, out->data + out->len, bytes_max - done,
                                                (off_t)(offset + done));
        if (got < 0)
            return failed(name, "reading", err);
        if (got == 0)
            return ERR_OK;
        out->len += (size_t)got;
    }
}

static enum err_code file_look(int file, struct checkpoint_file *found, struct err *err)
{
    struct bytes tail BYTES_CLEANUP = {0};
    struct stat stat;
    if (fstat(file, &stat) != 0)
        return failed(found->name, "reading", err);
    found->bytes = (uint64_t)stat.st_size;
    found->is_table = name_is_table(found->name);
    if (!found->is_table)
        return ERR_OK;
    uint64_t from = found->bytes > TAIL_BYTES ? found->bytes - TAIL_BYTES : 0;
    TRY(file_part(file, found->name, from, TAIL_BYTES, &tail, err));
    struct digest digest = digest_of(DOMAIN_FILE, bytes_span(&tail));
    memcpy(found->mark, digest.b, sizeof(found->mark));
    return ERR_OK;
}

static enum err_code file_add(struct checkpoint *checkpoint, const char *name, struct err *err)
{
    struct checkpoint_file found = {0};
    int file;
    if (name[0] == '.')
        return ERR_OK;
    size_t length = strlen(name);
    if (length >= sizeof(found.name))
        return err_set(err, ERR_INTERNAL, "%s/%s: a longer name than files of a database have",
                       checkpoint->path, name);
    memcpy(found.name, name, length + 1);
    TRY(file_open(checkpoint, name, &file, err));
    enum err_code code = file_look(file, &found, err);
    close(file);
    if (code != ERR_OK)
        return code;
    if (checkpoint->count == LIMIT_BACKUP_FILES)
        return err_set(err, ERR_LIMIT, "more than %d files in the database", LIMIT_BACKUP_FILES);
    if ((checkpoint->count & (checkpoint->count - 1)) == 0)
        checkpoint->files =
            mem_realloc(checkpoint->files, 2 * checkpoint->count + 1, sizeof(*checkpoint->files));
    checkpoint->files[checkpoint->count++] = found;
    return ERR_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct checkpoint_file *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static enum err_code files_list(struct checkpoint *checkpoint, struct err *err)
{
    enum err_code code = ERR_OK;
    DIR *dir = opendir(checkpoint->path);
    if (dir == NULL)
        return failed(checkpoint->path, "reading", err);
    for (const struct dirent *entry; code == ERR_OK && (entry = readdir(dir)) != NULL;)
        code = file_add(checkpoint, entry->d_name, err);
    closedir(dir);
    if (code == ERR_OK)
        qsort(checkpoint->files, checkpoint->count, sizeof(*checkpoint->files), by_name);
    return code;
}

/* ---- making one ---- */

/* Flushed before, so that little is left to be copied while writers wait. */
static enum err_code checkpoint_fill(struct store *store, struct checkpoint *checkpoint,
                                     struct err *err)
{
    struct bytes unfinished BYTES_CLEANUP = {0};
    TRY(directory_remove(checkpoint->path, err)); /* one that could not be removed */
    bytes_printf(&unfinished, "%s.tmp", checkpoint->path);
    bytes_append_u8(&unfinished, 0);
    TRY(directory_remove((const char *)unfinished.data, err));
    TRY(store_flush(store, err));
    TRY(db_checkpoint(store->db, checkpoint->path, err));
    CRASH_POINT(CRASH_BACKUP_CUT);
    return files_list(checkpoint, err);
}

enum err_code checkpoint_create(struct store *store, struct checkpoint **ret_checkpoint,
                                struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    struct checkpoint *checkpoint = mem_calloc(1, sizeof(*checkpoint));
    bytes_printf(&path, "%s/%s", store->tmp_dir, FOLDER);
    checkpoint->path = mem_strndup(bytes_span(&path));
    enum err_code code = checkpoint_fill(store, checkpoint, err);
    if (code != ERR_OK) {
        checkpoint_free(checkpoint);
        return code;
    }
    *ret_checkpoint = checkpoint;
    return ERR_OK;
}

/* ---- reading it ---- */

size_t checkpoint_count(const struct checkpoint *checkpoint)
{
    return checkpoint->count;
}

const struct checkpoint_file *checkpoint_at(const struct checkpoint *checkpoint, size_t i)
{
    ASSERT(i < checkpoint->count);
    return &checkpoint->files[i];
}

enum err_code checkpoint_read(const struct checkpoint *checkpoint, size_t i, uint64_t offset,
                              size_t bytes_max, struct bytes *out, struct err *err)
{
    const struct checkpoint_file *wanted = checkpoint_at(checkpoint, i);
    int file;
    if (offset >= wanted->bytes)
        return ERR_OK;
    uint64_t left = wanted->bytes - offset;
    TRY(file_open(checkpoint, wanted->name, &file, err));
    enum err_code code = file_part(file, wanted->name, offset,
                                   left < bytes_max ? (size_t)left : bytes_max, out, err);
    close(file);
    return code;
}
