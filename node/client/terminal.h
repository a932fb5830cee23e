/* What a terminal shows: its size, how wide text is on it, and text made safe for it and cut to a width.
 *
 * Widths are in columns of the screen: most characters take one, those of East Asia and emoji two, combining ones none.
 * A byte that is no UTF-8 counts as one, and is written as an escape.
 */
#ifndef NODE_CLIENT_TERMINAL_H
#define NODE_CLIENT_TERMINAL_H

#include "proto/bytes.h"

struct terminal_size {
    size_t columns;
    size_t lines;
};

/* Of the terminal behind `file` as it is now; what it does not say is $COLUMNS and $LINES, else 80 and 24. Never 0. */
struct terminal_size terminal_size(int file);

size_t text_width(struct span text);

/* Appends the text. Control characters would tear a frame or drive the terminal: they become escapes. */
void shown_append(struct span text, struct bytes *out);
/* As much of it as `columns` hold; what was cut ends in "..." where there is room for that. */
void shown_append_cut(struct span text, size_t columns, struct bytes *out);
/* The same, with blanks up to `columns`. */
void shown_append_padded(struct span text, size_t columns, struct bytes *out);

void blanks_append(size_t count, struct bytes *out);

#endif
