/* See input.h. */
#include "node/csv/input.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <zstd.h>

#include "proto/limits.h"

#define FILL_BYTES   MIB(1)
#define WINDOW_BYTES (2 * MIB(1)) /* to begin with */

struct csv_input {
    char *path; /* as messages name it */
    int fd;
    bool owns_fd;
    bool started;  /* the first bytes were looked at */
    bool file_end; /* read() gave 0 */
    bool last;     /* nothing will come behind the window */
    struct csv_input_progress progress;
    struct bytes window;
    size_t window_at;    /* consumed of it */
    ZSTD_DStream *zstd;  /* NULL: plain */
    struct bytes packed; /* compressed bytes not yet decompressed */
    size_t packed_at;
    bool frame_open;    /* within a zstd frame */
    bool more_unpacked; /* the decoder has output that did not fit */
};

enum err_code csv_input_open(const char *path, struct csv_input **ret_input, struct err *err)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat = {0};
    if (fd < 0 || fstat(fd, &stat) != 0 || S_ISDIR(stat.st_mode)) {
        int number = fd < 0 || !S_ISDIR(stat.st_mode) ? errno : EISDIR;
        if (fd >= 0 && !standard)
            close(fd);
        return err_set(err, ERR_IO, "%s: %s", path, strerror(number));
    }
    struct csv_input *input = mem_calloc(1, sizeof *input);
    input->path = mem_strdup(standard ? "standard input" : path);
    input->fd = fd;
    input->owns_fd = !standard;
    input->progress.total_bytes = S_ISREG(stat.st_mode) ? (uint64_t)stat.st_size : 0;
    bytes_reserve(&input->window, WINDOW_BYTES);
    *ret_input = input;
    return ERR_OK;
}

void csv_input_close(struct csv_input *input)
{
    if (input == NULL)
        return;
    if (input->owns_fd)
        close(input->fd);
    ZSTD_freeDStream(input->zstd);
    bytes_deinit(&input->window);
    bytes_deinit(&input->packed);
    mem_free(input->path);
    mem_free(input);
}

void csv_input_close_pointer(struct csv_input **input)
{
    csv_input_close(*input);
}

uint8_t *csv_input_window(struct csv_input *input, size_t *ret_len, bool *ret_last)
{
    *ret_len = input->window.len - input->window_at;
    *ret_last = input->last;
    return input->window.data + input->window_at;
}

void csv_input_consume(struct csv_input *input, size_t len)
{
    ASSERT(len <= input->window.len - input->window_at);
    input->window_at += len;
}

struct csv_input_progress csv_input_progress(const struct csv_input *input)
{
    return input->progress;
}

/* Appends up to FILL_BYTES from the file. */
static enum err_code file_read(struct csv_input *input, struct bytes *to, struct err *err)
{
    bytes_reserve(to, FILL_BYTES);
    ssize_t got;
    do
        got = read(input->fd, to->data + to->len, FILL_BYTES);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_set(err, ERR_IO, "%s: %s", input->path, strerror(errno));
    if (got == 0)
        input->file_end = true;
    to->len += (size_t)got;
    input->progress.read_bytes += (uint64_t)got;
    return ERR_OK;
}

/* Passes a byte order mark over. */
static void mark_pass(struct csv_input *input)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    if (input->window.len >= sizeof mark && memcmp(input->window.data, mark, sizeof mark) == 0)
        input->window_at = sizeof mark;
}

static enum err_code zstd_step(struct csv_input *input, struct err *err)
{
    bool drained = input->packed_at == input->packed.len && !input->more_unpacked;
    if (drained && !input->file_end) {
        bytes_clear(&input->packed);
        input->packed_at = 0;
        TRY(file_read(input, &input->packed, err));
    }
    if (drained && input->packed_at == input->packed.len && input->file_end) {
        if (input->frame_open)
            return err_set(err, ERR_BAD_DATA, "%s: the zstd stream is cut off", input->path);
        input->last = true;
        return ERR_OK;
    }
    bytes_reserve(&input->window, FILL_BYTES);
    ZSTD_inBuffer in = {input->packed.data, input->packed.len, input->packed_at};
    ZSTD_outBuffer out = {input->window.data + input->window.len, FILL_BYTES, 0};
    size_t left = ZSTD_decompressStream(input->zstd, &out, &in);
    if (ZSTD_isError(left))
        return err_set(err, ERR_BAD_DATA, "%s: damaged zstd stream: %s", input->path,
                       ZSTD_getErrorName(left));
    input->frame_open = left != 0;
    input->more_unpacked = out.pos == out.size;
    input->packed_at = in.pos;
    input->window.len += out.pos;
    return ERR_OK;
}

/* The first bytes: enough to tell zstd and a byte order mark. */
static enum err_code input_start(struct csv_input *input, struct err *err)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    while (input->window.len < sizeof magic && !input->file_end)
        TRY(file_read(input, &input->window, err));
    if (input->window.len >= sizeof magic && memcmp(input->window.data, magic, sizeof magic) == 0) {
        input->zstd = ZSTD_createDStream();
        ASSERT(input->zstd != NULL);
        struct bytes packed = input->window;
        input->window = input->packed;
        input->packed = packed;
        while (input->window.len < sizeof magic && !input->last)
            TRY(zstd_step(input, err));
    } else {
        input->last = input->file_end;
    }
    mark_pass(input);
    input->started = true;
    return ERR_OK;
}

enum err_code csv_input_fill(struct csv_input *input, struct err *err)
{
    size_t left = input->window.len - input->window_at;
    if (!input->started)
        return input_start(input, err);
    if (left >= LIMIT_CSV_RECORD_BYTES)
        return err_set(err, ERR_LIMIT, "%s: a record has more than %zu bytes (is a quote missing?)",
                       input->path, LIMIT_CSV_RECORD_BYTES);
    if (input->window_at > 0) {
        memmove(input->window.data, input->window.data + input->window_at, left);
        input->window.len = left;
        input->window_at = 0;
    }
    while (input->window.len == left && !input->last) {
        if (input->zstd != NULL) {
            TRY(zstd_step(input, err));
        } else {
            TRY(file_read(input, &input->window, err));
            input->last = input->file_end;
        }
    }
    return ERR_OK;
}
