#include "node/log.h"

#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static _Atomic enum log_format current_format = LOG_FORMAT_LOGFMT;
static _Atomic enum log_level current_level = LOG_INFO;

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warning",
    [LOG_ERROR] = "error",
};

void log_set_format(enum log_format format)
{
    atomic_store(&current_format, format);
}

void log_set_level(enum log_level level)
{
    atomic_store(&current_level, level);
}

bool log_writes(enum log_level level)
{
    return level >= atomic_load(&current_level);
}

bool log_level_parse(const char *text, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_COUNT(level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

/* U+0080 to U+009F, U+2028, U+2029, which terminals and line readers take for controls and line ends: the code
 * point, and how many bytes of (valid) UTF-8 it has. 0: another character. */
static uint32_t control_beyond_ascii(struct span text, size_t at, size_t *ret_bytes)
{
    const uint8_t *c = text.data + at;
    uint32_t point = 0;
    if (text.len - at >= 2 && c[0] == 0xC2 && c[1] < 0xA0)
        point = c[1];
    if (text.len - at >= 3 && c[0] == 0xE2 && c[1] == 0x80 && (c[2] == 0xA8 || c[2] == 0xA9))
        point = 0x2000u + (c[2] & 0x3Fu);
    if (point != 0)
        *ret_bytes = point < 0x2000 ? 2 : 3;
    return point;
}

/* Text that stands for itself as a bare logfmt value. */
static bool text_is_bare(struct span text)
{
    size_t bytes;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7F ||
            control_beyond_ascii(text, i, &bytes) != 0)
            return false;
    }
    return text.len > 0 && span_is_utf8(text);
}

/* A string as JSON writes it; of one that is not UTF-8, bytes beyond ASCII become '?'. */
static void append_quoted(struct bytes *out, struct span text)
{
    bool utf8 = span_is_utf8(text);
    size_t bytes = 1;
    bytes_append_u8(out, '"');
    for (size_t i = 0; i < text.len; i += bytes) {
        uint8_t c = text.data[i];
        bytes = 1;
        uint32_t control = utf8 ? control_beyond_ascii(text, i, &bytes) : 0;
        if (control != 0) {
            bytes_printf(out, "\\u%04x", control);
        } else if (c == '"' || c == '\\') {
            bytes_append_u8(out, '\\');
            bytes_append_u8(out, c);
        } else if (c == '\n') {
            bytes_append_text(out, "\\n");
        } else if (c < ' ' || c == 0x7F) {
            bytes_printf(out, "\\u%04x", c);
        } else {
            bytes_append_u8(out, c >= 0x80 && !utf8 ? '?' : c);
        }
    }
    bytes_append_u8(out, '"');
}

static void append_time(struct bytes *out, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char text[32];
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    bytes_printf(out, "%s.%03dZ", text, (int)(time_ms % 1000));
}

static void append_logfmt(struct bytes *out, const struct log_field *fields)
{
    for (const struct log_field *f = fields; f->kind != LOG_KIND_END; f++) {
        bytes_printf(out, " %s=", f->key);
        if (f->kind == LOG_KIND_NUMBER)
            bytes_printf(out, "%" PRId64, f->number);
        else if (text_is_bare(f->text))
            bytes_append_span(out, f->text);
        else
            append_quoted(out, f->text);
    }
}

static void append_json(struct bytes *out, const struct log_field *fields)
{
    for (const struct log_field *f = fields; f->kind != LOG_KIND_END; f++) {
        bytes_append_u8(out, ',');
        append_quoted(out, span_text(f->key));
        bytes_append_u8(out, ':');
        if (f->kind == LOG_KIND_NUMBER)
            bytes_printf(out, "%" PRId64, f->number);
        else
            append_quoted(out, f->text);
    }
}

void log_line(enum log_format format, int64_t time_ms, enum log_level level, const char *event,
              const struct log_field *fields, struct bytes *out)
{
    if (format == LOG_FORMAT_JSON) {
        bytes_append_text(out, "{\"time\":\"");
        append_time(out, time_ms);
        bytes_printf(out, "\",\"level\":\"%s\",\"event\":", level_names[level]);
        append_quoted(out, span_text(event));
        append_json(out, fields);
        bytes_append_u8(out, '}');
    } else {
        bytes_append_text(out, "time=");
        append_time(out, time_ms);
        bytes_printf(out, " level=%s", level_names[level]);
        const struct log_field what[] = {LOG_TEXT("event", event), {0}};
        append_logfmt(out, what);
        append_logfmt(out, fields);
    }
    bytes_append_u8(out, '\n');
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if (!log_writes(level))
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    BYTES_CLEANUP struct bytes line = {0};
    log_line(atomic_load(&current_format), (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
             level, event, fields, &line);
    size_t at = 0;
    while (at < line.len) {
        ssize_t n = write(STDERR_FILENO, line.data + at, line.len - at);
        if (n <= 0)
            return; /* nobody reads the log: nothing to tell it to */
        at += (size_t)n;
    }
}

void log_write_last(enum log_level level, const char *event, const struct log_field *fields)
{
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&log, 1, 0) == 1 && (log.revents & POLLOUT) != 0)
        log_write(level, event, fields);
}

void log_error(const char *event, const struct err *error)
{
    enum log_level level = err_class(error->code) == CLASS_INPUT ? LOG_INFO : LOG_ERROR;
    log_event(level, event, LOG_TEXT("code", err_odps(error->code)),
              LOG_TEXT("error", error->message));
}
