/* The progress line: on a terminal's last line, rewritten in place; nothing where stderr is none.
 *
 *     pulling files: 12.3 MB of 45.0 MB, 3 of 10 files, 5.2 MB/s, 6 s left
 *
 * One thread.
 */
#ifndef NODE_CLIENT_PROGRESS_H
#define NODE_CLIENT_PROGRESS_H

#include "proto/operator.h"

struct progress {
    bool on;    /* stderr is a terminal, and nobody asked for quiet */
    bool shown; /* there is a line to clear */
    uint64_t begun_ms;
    uint64_t shown_ms;
};

struct progress progress_begin(bool quiet);
/* At most some times a second. */
void progress_show(struct progress *progress, const struct operator_progress *state);
uint64_t progress_elapsed_ms(const struct progress *progress);
void progress_clear(struct progress *progress); /* before anything else is written */

/* "12.3 MB", appended; decimal units. */
void bytes_append_amount(struct bytes *out, uint64_t amount_bytes);
/* "6 s", "2 min 10 s", "3 h 5 min", appended. */
void bytes_append_duration(struct bytes *out, uint64_t duration_ms);
/* The line's text without the terminal's control characters, appended; for progress_show. elapsed_ms: of the
 * statement. A rate is over state->elapsed_ms, where there is one: a task may be older or younger. */
void progress_format(const struct operator_progress *state, uint64_t elapsed_ms, struct bytes *out);
/* A task's, in at most so many columns of a screen: with less in it where not all has room (first the files go, then
 * amounts become a percentage, then the rate goes), cut where even that is too long. */
void progress_format_within(const struct operator_progress *state, size_t columns,
                            struct bytes *out);

#endif
