/* The metrics of the last look (replica_look.h): replicated tables, schedules, the disk. For metrics.c alone. */
#ifndef NODE_METRICS_REPLICAS_H
#define NODE_METRICS_REPLICAS_H

#include "node/metric_list.h"
#include "node/replica_look.h"

struct statement_services;

/* principal: whose names are labels; NULL: nobody's. */
void metrics_of_look(const struct statement_services *services, const struct replica_look *look,
                     const struct principal *principal, struct metric_list *list);

#endif
