/* A configuration file as libconfuse is given it: with blanks for its comments. libconfuse counts a line with a comment
 * three times, and takes a comment in a list for one of its values; without them what it says of a line is right.
 *
 * Comments are # and // to the end of the line, and C's; none within quotes. Each character stays in its line. What the
 * text means is libconfuse's alone. Threads: any.
 */
#ifndef NODE_CONFIG_TEXT_H
#define NODE_CONFIG_TEXT_H

#include "proto/bytes.h"
#include "proto/limits.h"

#define CONFIG_TEXT_BYTES_MAX MIB(16)

/* Appends the file, with a line end after it. 0, or why not, as errno says it; EFBIG: more than CONFIG_TEXT_BYTES_MAX. */
int config_text_read(const char *path, struct bytes *out) MUST_USE;

/* The words outside of sections and lists, with their lines. Spans borrow from the text and have no quotes. */
struct config_words {
    struct span text; /* without comments */
    struct span word; /* the last that was found */
    unsigned line;    /* its, from 1 */
    /* how */
    size_t at, counted; /* line is that of `counted` */
    size_t depth;
};

void config_words_init(struct config_words *words, struct span text);
/* False: there are no more. */
bool config_words_next(struct config_words *words);
/* The word, or the one character, that follows; empty at the end. */
struct span config_words_behind(const struct config_words *words);

#endif
