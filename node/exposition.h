/* Metrics as text, in the exposition format 0.0.4 of Prometheus:
 *
 *     # HELP strait_loads loads under way
 *     # TYPE strait_loads gauge
 *     strait_loads 2
 *
 * One family together, however the list is ordered; each line ends, the last one too. Here: labels and lines. Which
 * metrics there are: metrics.h. Pure: the client writes what the node's status says by it, the node its own page.
 */
#ifndef NODE_EXPOSITION_H
#define NODE_EXPOSITION_H

#include "proto/operator.h"

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct exposition_label {
    const char *name; /* [a-zA-Z_][a-zA-Z0-9_]* */
    struct span value;
};

/* Appends name="value",...; backslash, quote and line end are escaped. */
void exposition_labels(const struct exposition_label *labels, size_t count, struct bytes *out);
/* Appends the whole page. Names and labels are taken as they are. */
void exposition_write(const struct operator_counter *counters, size_t count, struct bytes *out);

#endif
