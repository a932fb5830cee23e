/* Requests of operators (docs/FORMATS.md): what `strait` asks of `straitd`.
 *
 *     execute ──► RUNNING, progress ──► execute again (same id) or fetch ... ──► DONE, columns,
 * rows fetch(cursor) ──► rows, next cursor ... ──► 0: no more load begin ──► columns ;  chunk 0, 1,
 * 2 ... ;  commit ──► outcome
 *
 * A request or reply is an envelope header (at most LIMIT_HEADER_BYTES) and a raw body: here pairs
 * of `header` and `body`. A request that fails is answered with an error in place of the reply
 * (transport carries its code and message); a statement that was taken and failed later is a result
 * with state FAILED.
 *
 * Invariants: 1. An id names one statement, load or export of one principal; sent again it answers
 * the same and does nothing twice. 2. A cursor is the number of the block wanted; asking for the
 * last block again gives it again, an earlier one is ERR_NOT_FOUND.
 * Memory: encode borrows; what is decoded borrows from header, body and arena.
 * Decoding: every length against its limit first; ERR_BAD_DATA names the field.
 */
#ifndef PROTO_OPERATOR_H
#define PROTO_OPERATOR_H

#include "proto/ids.h"
#include "proto/limits.h"
#include "proto/schema.h"

/* The envelope's `method` on the operators' listener. Stored nowhere, but never reuse one. */
enum operator_method {
    OPERATOR_EXECUTE = 1,       /* operator_execute -> operator_result */
    OPERATOR_FETCH = 2,         /* operator_fetch -> operator_result */
    OPERATOR_LOAD_BEGIN = 3,    /* operator_load_begin -> operator_load_state */
    OPERATOR_LOAD_CHUNK = 4,    /* operator_load_chunk -> operator_load_state without columns */
    OPERATOR_LOAD_COMMIT = 5,   /* operator_load_commit -> operator_load_outcome */
    OPERATOR_LOAD_ABORT = 6,    /* operator_close -> nothing */
    OPERATOR_EXPORT = 7,        /* operator_export -> operator_result; then fetch */
    OPERATOR_CLOSE = 8,         /* operator_close -> nothing: a cursor is no longer wanted */
    OPERATOR_TASKS = 9,         /* operator_task_query -> operator_tasks */
    OPERATOR_WATCH = 10,        /* the same, answered when something changed or wait_ms passed */
    OPERATOR_CANCEL = 11,       /* operator_cancel -> operator_cancelled */
    OPERATOR_STATUS = 12,       /* nothing -> operator_status */
    OPERATOR_PEERS = 13,        /* nothing -> operator_peers */
    OPERATOR_BACKUP_BEGIN = 14, /* operator_backup_begin -> operator_backup_state */
    OPERATOR_BACKUP_READ = 15,  /* operator_backup_read -> bytes, in the body */
    OPERATOR_BACKUP_END = 16,   /* operator_close -> nothing: the checkpoint goes */
};
#define OPERATOR_METHOD_COUNT 17

enum operator_state {
    OPERATOR_RUNNING = 1, /* ask again */
    OPERATOR_DONE = 2,
    OPERATOR_FAILED = 3,
};

enum upload_mode {
    UPLOAD_APPEND = 1,        /* a new segment in each partition named by the data */
    UPLOAD_OVERWRITE = 2,     /* replaces the partitions that the data names */
    UPLOAD_REPLACE_TABLE = 3, /* also drops those it does not name */
};

struct operator_pair {
    struct span key;
    struct span value;
};

struct operator_progress {
    struct span phase; /* "pulling files", for people; may be empty */
    bool has_task;
    struct task_id task;
    uint64_t bytes_done;
    uint64_t bytes_total; /* 0: not known */
    uint64_t files_done;
    uint64_t files_total;
    uint64_t elapsed_ms; /* in which bytes_done came: of a task, without its waits; 0: not begun */
};

struct operator_execute {
    struct statement_id id;
    struct span project; /* current project of the client; may be empty */
    struct operator_pair *settings;
    size_t setting_count;
    struct span token;   /* signed delegation (proto/token.h); XCOPY only, else empty */
    struct span *tokens; /* standing ones, of CREATE SCHEDULE: at most LIMIT_STATEMENT_TOKENS */
    size_t token_count;
    uint32_t wait_ms; /* at most EXECUTE_WAIT_MAX_MS */
    struct span text; /* one statement; travels as the body */
};

struct operator_fetch {
    struct statement_id id;
    uint64_t cursor;
    uint32_t wait_ms;
};

/* Answer to execute, fetch and export. */
struct operator_result {
    enum operator_state state;
    struct column *columns; /* name, type and not_null only; with the first block, then none */
    size_t column_count;    /* 0: a statement without rows */
    uint64_t cursor;        /* next block to fetch; 0: no more */
    struct span display;    /* UTF-8; where not empty, a screen shows this in place of the rows */
    struct span notice;     /* UTF-8, for stderr; may be empty */
    struct operator_progress progress;
    struct err error; /* FAILED; else code is ERR_OK */
    struct span rows; /* batch_encode block of the columns; empty: no rows in this answer */
};

struct operator_load_begin {
    struct statement_id id;
    struct span project;
    struct span table;
    struct operator_pair *partition; /* column = text of its value; the whole load goes there */
    size_t partition_count;
    bool auto_partition; /* partition columns come with the data, after the others */
    enum upload_mode mode;
};

struct operator_load_state {
    enum operator_state state; /* DONE: committed, or being so; commit has the outcome */
    uint64_t next_chunk;       /* number of the chunk the node waits for */
    struct column *columns;    /* what chunks hold, in this order (begin only) */
    size_t column_count;
    size_t partition_column_count; /* so many of the last columns */
};

struct operator_load_chunk {
    struct statement_id id;
    uint64_t number;  /* from 0; one that was taken already is answered and not taken again */
    struct span rows; /* body: batch_encode block of load_state.columns */
};

struct operator_load_commit {
    struct statement_id id;
    uint64_t chunks; /* how many there were: a lost one is noticed */
    uint32_t wait_ms;
};

struct operator_load_outcome {
    enum operator_state state;
    uint64_t rows;
    uint64_t bytes; /* stored */
    uint64_t partitions;
    struct digest version;
    struct err error; /* FAILED */
};

struct operator_export {
    struct statement_id id;
    struct span project;
    struct span table;
    struct operator_pair *partition; /* none: all, partition columns last */
    size_t partition_count;
    struct span *names; /* wanted columns, in this order; none: all */
    size_t name_count;
    uint64_t limit; /* rows; 0: all */
    uint32_t wait_ms;
};

struct operator_close {
    struct statement_id id;
};

struct operator_task {
    struct task_id id;
    struct span statement;
    struct span state; /* QUEUED, RUNNING, DONE, FAILED, CANCELLED */
    struct operator_progress progress;
    uint64_t started_ms; /* since 1970; 0: not yet */
    uint64_t ended_ms;
    struct err error;
};

struct operator_task_query {
    struct span project; /* empty: all */
    bool has_task;       /* this one only */
    struct task_id task;
    uint32_t wait_ms; /* watch */
    uint64_t seen;    /* watch: operator_tasks.seen of the last answer; 0: answer at once */
};

struct operator_tasks {
    struct operator_task *tasks;
    size_t task_count;
    uint64_t seen;
};

struct operator_cancel {
    struct task_id task;
};

struct operator_cancelled {
    struct span
        ended; /* the state in which it had ended before; empty: it had not, or an older node answers */
};

enum counter_kind { COUNTER_TOTAL = 1, COUNTER_GAUGE = 2 };

struct operator_counter {
    struct span name;   /* "strait_bytes_received_total" */
    struct span labels; /* `peer="cn-hongkong"`; may be empty */
    struct span help;
    enum counter_kind kind;
    uint64_t value;
};

struct operator_status {
    struct span region;
    struct span version;   /* of the program */
    struct span key;       /* the node's public string */
    struct span principal; /* who is asking */
    uint64_t uptime_ms;
    uint64_t audit_count;   /* entries of the audit log */
    struct span audit_head; /* digest of the last one, in hex */
    struct operator_counter *counters;
    size_t counter_count;
};

struct operator_peer {
    struct span region;
    struct span addresses; /* "host:port host:port" */
    struct span key;
    bool connected;
    uint64_t last_heard_ms; /* ago; UINT64_MAX: never */
    struct err error;       /* of the last try; ERR_OK: none */
};

struct operator_peers {
    struct operator_peer *peers;
    size_t peer_count;
};

/* Encoders append to header and body (body may be NULL where the comment above names none). */
void operator_execute_encode(const struct operator_execute *m, struct bytes *header,
                             struct bytes *body);
void operator_fetch_encode(const struct operator_fetch *m, struct bytes *header);
void operator_result_encode(const struct operator_result *m, struct bytes *header,
                            struct bytes *body);
void operator_load_begin_encode(const struct operator_load_begin *m, struct bytes *header);
void operator_load_state_encode(const struct operator_load_state *m, struct bytes *header,
                                struct bytes *body);
void operator_load_chunk_encode(const struct operator_load_chunk *m, struct bytes *header,
                                struct bytes *body);
void operator_load_commit_encode(const struct operator_load_commit *m, struct bytes *header);
void operator_load_outcome_encode(const struct operator_load_outcome *m, struct bytes *header);
void operator_export_encode(const struct operator_export *m, struct bytes *header,
                            struct bytes *body);
void operator_close_encode(const struct operator_close *m, struct bytes *header);
void operator_task_query_encode(const struct operator_task_query *m, struct bytes *header);
void operator_tasks_encode(const struct operator_tasks *m, struct bytes *body); /* all in body */
void operator_cancel_encode(const struct operator_cancel *m, struct bytes *header);
void operator_cancelled_encode(const struct operator_cancelled *m, struct bytes *header);
void operator_status_encode(const struct operator_status *m, struct bytes *body);
void operator_peers_encode(const struct operator_peers *m, struct bytes *body);

enum err_code operator_execute_decode(struct span header, struct span body, struct arena *arena,
                                      struct operator_execute *ret, struct err *err);
enum err_code operator_fetch_decode(struct span header, struct operator_fetch *ret,
                                    struct err *err);
enum err_code operator_result_decode(struct span header, struct span body, struct arena *arena,
                                     struct operator_result *ret, struct err *err);
enum err_code operator_load_begin_decode(struct span header, struct arena *arena,
                                         struct operator_load_begin *ret, struct err *err);
enum err_code operator_load_state_decode(struct span header, struct span body, struct arena *arena,
                                         struct operator_load_state *ret, struct err *err);
enum err_code operator_load_chunk_decode(struct span header, struct span body,
                                         struct operator_load_chunk *ret, struct err *err);
enum err_code operator_load_commit_decode(struct span header, struct operator_load_commit *ret,
                                          struct err *err);
enum err_code operator_load_outcome_decode(struct span header, struct operator_load_outcome *ret,
                                           struct err *err);
enum err_code operator_export_decode(struct span header, struct span body, struct arena *arena,
                                     struct operator_export *ret, struct err *err);
enum err_code operator_close_decode(struct span header, struct operator_close *ret,
                                    struct err *err);
enum err_code operator_task_query_decode(struct span header, struct arena *arena,
                                         struct operator_task_query *ret, struct err *err);
enum err_code operator_tasks_decode(struct span body, struct arena *arena,
                                    struct operator_tasks *ret, struct err *err);
enum err_code operator_cancel_decode(struct span header, struct operator_cancel *ret,
                                     struct err *err);
enum err_code operator_cancelled_decode(struct span header, struct arena *arena,
                                        struct operator_cancelled *ret, struct err *err);
enum err_code operator_status_decode(struct span body, struct arena *arena,
                                     struct operator_status *ret, struct err *err);
enum err_code operator_peers_decode(struct span body, struct arena *arena,
                                    struct operator_peers *ret, struct err *err);

/* Columns of a result or load as a schema that batch_init takes (names need not be unique).
 * Borrows the columns. */
struct schema operator_schema(struct column *columns, size_t column_count);

/* ---- backup (operator_backup.c) ---- */

struct operator_backup_begin {
    struct statement_id id;
};

struct operator_backup_state {
    struct span region; /* small letters, digits, dashes */
    uint64_t cut_ms;
    uint64_t audit_count; /* entries of the audit log that are in it, and the digest of the last */
    struct digest audit_head;
    uint64_t file_count;
    uint64_t bytes; /* of all files */
    uint64_t list_bytes;
    uint64_t damaged; /* items that the node knew to be damaged */
};

/* File 0 is the list (node/backup/manifest.h), file n its n-th line. */
struct operator_backup_read {
    struct statement_id id;
    uint64_t file;
    uint64_t offset;
    uint32_t bytes; /* 1 to BACKUP_READ_BYTES_MAX; fewer come at the end of the file alone */
};

void operator_backup_begin_encode(const struct operator_backup_begin *m, struct bytes *header);
enum err_code operator_backup_begin_decode(struct span header, struct operator_backup_begin *ret,
                                           struct err *err);
void operator_backup_state_encode(const struct operator_backup_state *m, struct bytes *header);
enum err_code operator_backup_state_decode(struct span header, struct arena *arena,
                                           struct operator_backup_state *ret, struct err *err);
void operator_backup_read_encode(const struct operator_backup_read *m, struct bytes *header);
enum err_code operator_backup_read_decode(struct span header, struct operator_backup_read *ret,
                                          struct err *err);

#endif
