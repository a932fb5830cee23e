/* What a statement answers: columns, rows, perhaps more rows later, perhaps a task to wait for.
 *
 *     answer_columns(answer, (const struct answer_column[]){{"project", TYPE_STRING}, ...}, n);
 *     answer_add_text(answer, name); ...            cell by cell, row after row
 *
 * Either all rows are here, or a stream gives them in batches, or `wait` says when they will be
 * there. No columns: a statement without rows.
 * Memory: names, display and notice live in the answer's arena. One thread at a time.
 */
#ifndef NODE_ANSWER_H
#define NODE_ANSWER_H

#include "proto/operator.h"
#include "proto/vector.h"

#define ANSWER_ARENA_BYTES (16 * MIB(1))

struct answer;

/* More rows than fit into memory: fills the cleared batch with at least one row or ends. */
struct answer_stream {
    enum err_code (*next)(void *context, size_t bytes_max, struct batch *batch, bool *ret_end,
                          struct err *err);
    void (*close)(void *context);
    void *context; /* NULL: no stream */
};

/* A result that is not there yet: poll never blocks; once *ret_ended, the answer has its rows. */
struct answer_wait {
    enum err_code (*poll)(void *context, struct answer *answer, struct operator_progress *progress,
                          bool *ret_ended, struct err *err);
    void (*close)(void *context);
    void *context; /* NULL: nothing to wait for */
};

struct answer {
    struct arena arena;
    struct column *columns;
    size_t column_count;
    struct batch rows;   /* whole rows: `next_cell` is 0 */
    size_t next_cell;    /* of the row being built */
    struct span display; /* for a screen, in place of the rows; or empty */
    struct span notice;  /* or empty */
    struct answer_stream stream;
    struct answer_wait wait;
};

struct answer_column {
    const char *name;
    enum type_kind kind; /* not DECIMAL */
    bool not_null;
};

void answer_init(struct answer *answer);
void answer_deinit(struct answer *answer); /* closes stream and wait */
#define ANSWER_CLEANUP __attribute__((cleanup(answer_deinit)))

void answer_columns(struct answer *answer, const struct answer_column *columns, size_t count);
/* The same with any types; copies the names. Once. */
void answer_set_columns(struct answer *answer, const struct column *columns, size_t count);

void answer_add_text(struct answer *answer, struct span text);
void answer_add_number(struct answer *answer, uint64_t number);
void answer_add_real(struct answer *answer, double number);
void answer_add_boolean(struct answer *answer, bool yes);
void answer_add_time(struct answer *answer, uint64_t time_ms); /* DATETIME; 0 is NULL */
void answer_add_null(struct answer *answer);
void answer_add_text_or_null(struct answer *answer, struct span text); /* empty: NULL */

/* What the rows so far say is a failure: they are given, and then the error. The last call on an answer
 * that has columns; its text is copied. */
void answer_fail_after(struct answer *answer, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Copies into the answer's arena; ERR_LIMIT. */
enum err_code answer_set_display(struct answer *answer, struct span text, struct err *err);
void answer_set_notice(struct answer *answer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
