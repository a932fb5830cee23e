/* Every metric of a node, for `strait status` and for GET /metrics (metrics_http.h).
 *
 * All of it stands in memory, or in /proc: no scrape reads the store or waits for a worker; what has to be read from the store is that
 * of the last look (replica_look.h), which a scrape asks for. Names of metrics: docs/METRICS.md.
 *
 * Names of projects, tables and schedules are labels for a principal alone, of what it may see; the page that anybody may
 * fetch has regions, states and error codes.
 * Threads: any; does not block.
 */
#ifndef NODE_METRICS_H
#define NODE_METRICS_H

#include "node/metric_list.h"
#include "node/operator.h"

#define VERSION_TEXT      "0.1.0"
#define METRICS_PEERS_MAX TASKS_PEERS_MAX /* in samples by peer; the first of the configuration */

/* principal: whose names are labels; NULL: nobody's. */
void metrics_gather(const struct operator_services *services, const struct principal *principal,
                    struct metric_list *list);

#endif
