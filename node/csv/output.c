/* See output.h. */
#include "node/csv/output.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <zstd.h>

#define ZSTD_LEVEL 3

struct csv_output {
    char *path;         /* as messages name it */
    char *partial_path; /* NULL: standard output */
    int fd;
    uint64_t file_bytes;
    ZSTD_CCtx *zstd; /* NULL: plain */
    struct bytes packed;
};

static bool name_ends(const char *path, const char *end)
{
    size_t len = strlen(path), end_len = strlen(end);
    return len > end_len && strcmp(path + len - end_len, end) == 0;
}

enum err_code csv_output_open(const char *path, struct csv_output **ret_output, struct err *err)
{
    bool standard = strcmp(path, "-") == 0;
    struct bytes partial BYTES_CLEANUP = {0};
    bytes_printf(&partial, "%s.partial", path);
    bytes_append_u8(&partial, 0);
    struct stat stat_there;
    if (!standard && stat(path, &stat_there) == 0 && !S_ISREG(stat_there.st_mode))
        return err_set(err, ERR_IO, "%s: not a regular file", path);
    int fd = standard
                 ? STDOUT_FILENO
                 : open((const char *)partial.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set(err, ERR_IO, "%s: %s", (const char *)partial.data, strerror(errno));
    struct csv_output *output = mem_calloc(1, sizeof *output);
    output->path = mem_strdup(standard ? "standard output" : path);
    output->partial_path = standard ? NULL : mem_strdup((const char *)partial.data);
    output->fd = fd;
    if (name_ends(path, ".zst")) {
        output->zstd = ZSTD_createCCtx();
        ASSERT(output->zstd != NULL);
        ZSTD_CCtx_setParameter(output->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
        ZSTD_CCtx_setParameter(output->zstd, ZSTD_c_checksumFlag, 1);
    }
    *ret_output = output;
    return ERR_OK;
}

static enum err_code file_write(struct csv_output *output, struct span content, struct err *err)
{
    while (content.len > 0) {
        ssize_t written = write(output->fd, content.data, content.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return err_set(err, ERR_IO, "%s: %s", output->path, strerror(errno));
        content = span_slice(content, (size_t)written, content.len - (size_t)written);
        output->file_bytes += (uint64_t)written;
    }
    return ERR_OK;
}

static enum err_code zstd_write(struct csv_output *output, struct span content,
                                ZSTD_EndDirective end, struct err *err)
{
    ZSTD_inBuffer in = {content.data, content.len, 0};
    size_t left;
    do {
        bytes_clear(&output->packed);
        bytes_reserve(&output->packed, ZSTD_CStreamOutSize());
        ZSTD_outBuffer out = {output->packed.data, output->packed.capacity, 0};
        left = ZSTD_compressStream2(output->zstd, &out, &in, end);
        ASSERT(!ZSTD_isError(left));
        TRY(file_write(output, span_of(output->packed.data, out.pos), err));
    } while (end == ZSTD_e_end ? left != 0 : in.pos < in.size);
    return ERR_OK;
}

enum err_code csv_output_write(struct csv_output *output, struct span content, struct err *err)
{
    if (output->zstd != NULL)
        return zstd_write(output, content, ZSTD_e_continue, err);
    return file_write(output, content, err);
}

static void output_free(struct csv_output *output)
{
    ZSTD_freeCCtx(output->zstd);
    bytes_deinit(&output->packed);
    mem_free(output->path);
    mem_free(output->partial_path);
    mem_free(output);
}

void csv_output_abandon(struct csv_output *output)
{
    if (output == NULL)
        return;
    if (output->partial_path != NULL) {
        close(output->fd);
        unlink(output->partial_path);
    }
    output_free(output);
}

enum err_code csv_output_finish(struct csv_output *output, uint64_t *ret_file_bytes,
                                struct err *err)
{
    enum err_code code = ERR_OK;
    if (output->zstd != NULL)
        code = zstd_write(output, (struct span){0}, ZSTD_e_end, err);
    if (code == ERR_OK && output->partial_path != NULL &&
        (fsync(output->fd) != 0 || rename(output->partial_path, output->path) != 0))
        code = err_set(err, ERR_IO, "%s: %s", output->path, strerror(errno));
    if (code != ERR_OK) {
        csv_output_abandon(output);
        return code;
    }
    *ret_file_bytes = output->file_bytes;
    if (output->partial_path != NULL)
        close(output->fd);
    output_free(output);
    return ERR_OK;
}
