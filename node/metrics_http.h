/* GET /metrics over HTTP, for a scraper (listen_metrics). Nobody is asked who he is: so it is off unless it is configured, has no name
 * of a project, table or schedule, and changes nothing.
 *
 *     GET, HEAD /metrics   200, the page          any other path   404          any other method   405
 *
 * The server is libmicrohttpd's, and this file alone knows it. Bounds: METRICS_HTTP_CONNECTIONS at once, the next ones
 * wait in the kernel; METRICS_HTTP_REQUEST_BYTES of a request's head; one request a connection, and
 * METRICS_HTTP_CONNECTION_MS for it from the first byte to the last, however slowly they come; one new page each
 * METRICS_HTTP_PAGE_MS, however often it is asked for.
 * Threads: one of the library's reads, makes the page and writes; a timer on the loop ends what is slow. One lock, a
 * leaf, over the list of connections.
 */
#ifndef NODE_METRICS_HTTP_H
#define NODE_METRICS_HTTP_H

#include "node/operator.h"

#define METRICS_HTTP_CONNECTIONS   16
#define METRICS_HTTP_REQUEST_BYTES KIB(8)
#define METRICS_HTTP_CONNECTION_MS 10000
#define METRICS_HTTP_PAGE_MS       1000

struct metrics_http;

struct metrics_http_options { /* borrowed until metrics_http_close */
    const struct operator_services *services;
    struct loop *loop;
    const char *address; /* config_parse_literal */
};

/* ERR_CONFIG: the address cannot be listened on. */
enum err_code metrics_http_open(const struct metrics_http_options *options,
                                struct metrics_http **ret_http, struct err *err) MUST_USE;
/* Ends all connections; nothing of options is used after it. NULL is fine. Not on the loop. */
void metrics_http_close(struct metrics_http *http);

#endif
