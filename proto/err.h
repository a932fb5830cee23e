/* Errors: one code, one message, on the caller's stack.
 *
 *     enum err_code pack_read(..., struct err *err)
 *     {
 *         ...
 *         return err_set(err, ERR_CORRUPT, "pack %" PRIu64 ": slot %u: wrong digest", id, slot);
 *     }
 *
 * A fallible function takes `struct err *err` last and returns the code; outputs are written only
 * on success. `err` may be NULL where the caller needs the code alone. On the way up err_wrap puts
 * context in front. Lower layers never log. A bug is not an error: ASSERT, on in every build; never
 * on bytes from network, disk, configuration or a user.
 */
#ifndef PROTO_ERR_H
#define PROTO_ERR_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>

/* What the caller does about it. */
enum err_class {
    CLASS_OK,
    CLASS_INPUT,     /* the request is wrong: tell its author */
    CLASS_DENIED,    /* the principal may not: tell, audit */
    CLASS_RETRY,     /* may succeed later, unchanged */
    CLASS_PEER,      /* the peer broke the protocol or sent wrong bytes: count, then give up */
    CLASS_CORRUPT,   /* our own stored bytes are wrong */
    CLASS_LIMIT,     /* a named limit was met */
    CLASS_CANCELLED, /* somebody asked for it */
    CLASS_FATAL,     /* this process cannot go on with it */
};

/* X(code, class, public ODPS code, general text). Module 01 SQL, 03 tunnel, 04 API, 10 replication.
 */
#define ERR_CODES(X)                                                                               \
    X(ERR_OK, CLASS_OK, "ODPS-0000000", "OK")                                                      \
    X(ERR_PARSE, CLASS_INPUT, "ODPS-0130161", "Parse exception")                                   \
    X(ERR_SEMANTIC, CLASS_INPUT, "ODPS-0130071", "Semantic analysis exception")                    \
    X(ERR_TABLE_NOT_FOUND, CLASS_INPUT, "ODPS-0130131", "Table not found")                         \
    X(ERR_CAST, CLASS_INPUT, "ODPS-0123091", "Illegal type cast")                                  \
    X(ERR_EXISTS, CLASS_INPUT, "ODPS-0110061", "Failed to run ddltask")                            \
    X(ERR_NOT_FOUND, CLASS_INPUT, "ODPS-0110062", "Object not found")                              \
    X(ERR_DENIED, CLASS_DENIED, "ODPS-0130013", "Authorization exception")                         \
    X(ERR_CREDENTIALS, CLASS_DENIED, "ODPS-0410051", "Invalid credentials")                        \
    X(ERR_PARAMETER, CLASS_INPUT, "ODPS-0420061", "Invalid parameter")                             \
    X(ERR_BAD_DATA, CLASS_INPUT, "ODPS-0310011", "Bad data")                                       \
    X(ERR_CONFIG, CLASS_INPUT, "ODPS-0810011", "Configuration error")                              \
    X(ERR_LIMIT, CLASS_LIMIT, "ODPS-0010011", "Limit exceeded")                                    \
    X(ERR_NO_MEMORY, CLASS_LIMIT, "ODPS-0010025", "Out of memory")                                 \
    X(ERR_NO_SPACE, CLASS_RETRY, "ODPS-0010035", "Not enough disk space")                          \
    X(ERR_BUSY, CLASS_RETRY, "ODPS-0010045", "Busy")                                               \
    X(ERR_CONFLICT, CLASS_RETRY, "ODPS-0010055", "Changed meanwhile")                              \
    X(ERR_CANCELLED, CLASS_CANCELLED, "ODPS-0010065", "Cancelled")                                 \
    X(ERR_TIMEOUT, CLASS_RETRY, "ODPS-0010075", "Timed out")                                       \
    X(ERR_IO, CLASS_FATAL, "ODPS-0010085", "Input/output error")                                   \
    X(ERR_CORRUPT, CLASS_CORRUPT, "ODPS-0010095", "Stored data is damaged")                        \
    X(ERR_LOCKED, CLASS_FATAL, "ODPS-0010105", "Data directory is in use")                         \
    X(ERR_VERSION, CLASS_FATAL, "ODPS-0010115", "Format or version not supported")                 \
    X(ERR_INTERNAL, CLASS_FATAL, "ODPS-0010125", "Internal error")                                 \
    X(ERR_LOST, CLASS_RETRY, "ODPS-1010011", "Connection to peer lost")                            \
    X(ERR_UNREACHABLE, CLASS_RETRY, "ODPS-1010021", "Peer cannot be reached")                      \
    X(ERR_PEER, CLASS_PEER, "ODPS-1010031", "Peer sent invalid data")                              \
    X(ERR_PEER_KEY, CLASS_DENIED, "ODPS-1010041", "Peer has another key")                          \
    X(ERR_LEASE_GONE, CLASS_RETRY, "ODPS-1010051", "Lease gone")                                   \
    X(ERR_NOT_IN_LEASE, CLASS_PEER, "ODPS-1010061", "Not part of the leased snapshot")             \
    X(ERR_GATE, CLASS_DENIED, "ODPS-1010071", "Replication is not enabled")                        \
    X(ERR_TASK_LIMIT, CLASS_LIMIT, "ODPS-1010081", "Too many replication tasks")                   \
    X(ERR_NO_DESCRIPTORS, CLASS_RETRY, "ODPS-0010135", "Too many open files")                      \
    X(ERR_HELD, CLASS_INPUT, "ODPS-0110071", "Snapshot is held")                                   \
    X(ERR_DIFFERENT, CLASS_INPUT, "ODPS-1010091", "Not the same")

enum err_code {
#define X(code, class, odps, text) code,
    ERR_CODES(X)
#undef X
        ERR_CODE_COUNT
};

#define ERR_MESSAGE_BYTES 256

struct err {
    enum err_code code;
    char message[ERR_MESSAGE_BYTES]; /* UTF-8, cut at a character's edge, never multi-line */
};

#define MUST_USE __attribute__((warn_unused_result))

/* Sets *err (if any) and gives code. A message that does not fit ends in "...". A macro, so that
 * compiler and analyser see that the value is not ERR_OK. */
#define err_set(err, code, ...)                                                                    \
    __extension__({                                                                                \
        enum err_code err_set_code_ = (code);                                                      \
        err_set_message((err), err_set_code_, __VA_ARGS__);                                        \
        err_set_code_;                                                                             \
    })
void err_set_message(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
enum err_code err_vset(struct err *err, enum err_code code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0), cold));

/* Puts "context: " before the message of an error that is already set (err is not NULL here); gives
 * its code, which is not ERR_OK. */
#define err_wrap(err, ...)                                                                         \
    __extension__({                                                                                \
        enum err_code err_wrap_code_ = err_wrap_message((err), __VA_ARGS__);                       \
        if (err_wrap_code_ == ERR_OK)                                                              \
            __builtin_unreachable();                                                               \
        err_wrap_code_;                                                                            \
    })
enum err_code err_wrap_message(struct err *err, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* How often each code came. Zeroed is empty; any thread. */
struct err_counts {
    atomic_ullong of[ERR_CODE_COUNT];
};
void err_count(struct err_counts *counts, enum err_code code); /* counts NULL, ERR_OK: nothing */

enum err_class err_class(enum err_code code);
const char *err_name(enum err_code code); /* "ERR_CORRUPT" */
const char *err_odps(enum err_code code); /* "ODPS-0010095" */
const char *err_text(enum err_code code); /* "Stored data is damaged" */

/* The form users see: "ODPS-0130161: Parse exception - line 1 ...". Returns out. */
const char *err_format(const struct err *err, char *ret_out, size_t out_bytes);

/* Return at once with the code of a failed call; hides no cleanup: the caller's attributes run. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum err_code try_code_ = (expression);                                                    \
        if (try_code_ != ERR_OK)                                                                   \
            return try_code_;                                                                      \
    } while (0)

#define ASSERT(condition)                                                                          \
    ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__, __func__))
void assert_failed(const char *condition, const char *file, int line, const char *function)
    __attribute__((noreturn, cold));

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
