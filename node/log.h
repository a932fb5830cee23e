/* The daemon's log: one event a line on stderr, as logfmt or JSON.
 *
 *     log_event(LOG_INFO, "listening", LOG_TEXT("address", address), LOG_NUMBER("peers", n));
 *     time=2026-01-02T03:04:05.678Z level=info event=listening address=127.0.0.1:7001 peers=2
 *     {"time":"2026-01-02T03:04:05.678Z","level":"info","event":"listening","address":"127.0.0.1:7001","peers":2}
 *
 * Node logs, lower layers do not; an error is logged once, where it stops. Values are quoted and
 * escaped where they must be, so one event never makes two lines; a quoted value is a JSON string in
 * both forms. What belongs to an XCOPY has its id as `task`, at both ends the same.
 *
 *     error     something is damaged or was not done, and somebody has to look
 *     warning   what may need somebody: a task failed, a clock jumped, a configuration was not taken up
 *     info      what a day's log should tell: starts, tasks and leases begin and end (the default)
 *     debug     what explains one task: its phases, renewals
 *
 * Any thread: a line is one write.
 */
#ifndef NODE_LOG_H
#define NODE_LOG_H

#include "proto/bytes.h"

enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* "debug", "info", "warning", "error". False: none of them. */
bool log_level_parse(const char *text, enum log_level *ret_level);
const char *log_level_name(enum log_level level);

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

/* For the lines after it, of any thread. The defaults are logfmt and info. */
void log_set_format(enum log_format format);
/* Events below it are not written. */
void log_set_level(enum log_level level);
bool log_writes(enum log_level level);

#define log_event(level, event, ...)                                                               \
    log_write((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
void log_write(enum log_level level, const char *event, const struct log_field *fields);
/* The last line of a process that must end: not written where the log takes nothing now, and it would wait. */
#define log_event_last(level, event, ...)                                                          \
    log_write_last((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
void log_write_last(enum log_level level, const char *event, const struct log_field *fields);
/* An event with the error's code and message as fields. */
void log_error(const char *event, const struct err *error);

/* The line that log_write would write (with its line end), for a given time. */
void log_line(enum log_format format, int64_t time_ms, enum log_level level, const char *event,
              const struct log_field *fields, struct bytes *out);

#endif
