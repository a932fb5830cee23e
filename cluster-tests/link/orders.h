/* What a caller tells a link, at its start and while it runs: one word and its numbers a line.
 *
 *     rate 500           Mbit/s of IP packets each way; 0: unlimited
 *     delay 50           ms one way
 *     queue 100          the longest wait for the rate, in ms; what would wait longer is dropped
 *     loss 0.1           percent of packets
 *     reorder 1 5        percent of packets that are held back, by so many ms
 *     cut [ab|ba]        drops everything both ways, or one way only
 *     restore            ends all cuts
 *     count              prints the counters as one line of JSON
 *     quit               prints them and ends; so does the end of standard input
 */
#ifndef CLUSTER_TESTS_LINK_ORDERS_H
#define CLUSTER_TESTS_LINK_ORDERS_H

#include "cluster-tests/link/wire.h"

enum order_reply {
    ORDER_DONE,
    ORDER_COUNT,
    ORDER_QUIT,
};

/* ways[0] is from A to B. ERR_PARAMETER: says what was expected; nothing is changed then. */
enum err_code order_follow(const char *line, struct wire ways[2], enum order_reply *ret_reply,
                           struct err *err);
/* The counters of both, without a newline. */
void counters_format(const struct wire ways[2], struct bytes *out);

#endif
