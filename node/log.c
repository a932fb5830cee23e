#include "node/log.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

static enum log_format current_format = LOG_FORMAT_LOGFMT;

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};

void log_set_format(enum log_format format)
{
    current_format = format;
}

/* Bytes that stand for themselves in a bare logfmt value. */
static bool text_is_bare(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7F)
            return false;
    }
    return text.len > 0;
}

/* A string as JSON writes it; bytes that are not UTF-8 become '?'. */
static void append_quoted(struct bytes *out, struct span text)
{
    bool utf8 = span_is_utf8(text);
    bytes_append_u8(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
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
        append_time(out, time_ms);
        bytes_printf(out, " %s %s", level_names[level], event);
        append_logfmt(out, fields);
    }
    bytes_append_u8(out, '\n');
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    BYTES_CLEANUP struct bytes line = {0};
    log_line(current_format, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, level, event,
             fields, &line);
    size_t at = 0;
    while (at < line.len) {
        ssize_t n = write(STDERR_FILENO, line.data + at, line.len - at);
        if (n <= 0)
            return; /* nobody reads the log: nothing to tell it to */
        at += (size_t)n;
    }
}

void log_error(const char *event, const struct err *error)
{
    enum log_level level = err_class(error->code) == CLASS_INPUT ? LOG_INFO : LOG_ERROR;
    log_event(level, event, LOG_TEXT("code", err_odps(error->code)),
              LOG_TEXT("error", error->message));
}
