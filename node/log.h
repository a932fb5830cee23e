/* The daemon's log: one event a line on stderr, as logfmt or JSON.
 *
 *     log_event(LOG_INFO, "listening", LOG_TEXT("address", address), LOG_NUMBER("peers", n));
 *     2026-01-02T03:04:05.678Z info listening address=127.0.0.1:7001 peers=2
 *
 * Node logs, lower layers do not; an error is logged once, where it stops. Values are quoted and
 * escaped where they must be, so one event never makes two lines. Any thread: a line is one write.
 */
#ifndef NODE_LOG_H
#define NODE_LOG_H

#include "proto/bytes.h"

enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_kind { LOG_KIND_END, LOG_KIND_TEXT, LOG_KIND_NUMBER };

struct log_field {
    const char *key;
    enum log_kind kind;
    struct span text; /* borrows during the call */
    int64_t number;
};

#define LOG_TEXT(key_, value_)                                                                     \
    ((struct log_field){.key = (key_), .kind = LOG_KIND_TEXT, .text = span_text(value_)})
#define LOG_SPAN(key_, value_)                                                                     \
    ((struct log_field){.key = (key_), .kind = LOG_KIND_TEXT, .text = (value_)})
#define LOG_NUMBER(key_, value_)                                                                   \
    ((struct log_field){.key = (key_), .kind = LOG_KIND_NUMBER, .number = (int64_t)(value_)})

/* Before other threads start. The default is logfmt. */
void log_set_format(enum log_format format);

#define log_event(level, event, ...)                                                               \
    log_write((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
void log_write(enum log_level level, const char *event, const struct log_field *fields);
/* An event with the error's code and message as fields. */
void log_error(const char *event, const struct err *error);

/* The line that log_write would write (with its line end), for a given time. */
void log_line(enum log_format format, int64_t time_ms, enum log_level level, const char *event,
              const struct log_field *fields, struct bytes *out);

#endif
