/* A list of metrics that is being made: families, each with its samples.
 *
 *     metric_family(&list, COUNTER_GAUGE, "strait_loads", "loads under way");
 *     metric_value(&list, 2);
 *     metric_family(&list, COUNTER_GAUGE, "strait_channel_bits_per_second", "...");
 *     metric_labelled(&list, 7, METRIC_LABELS({"peer", region}));
 *
 * At most LIMIT_COUNTERS samples, and labels as long as a status carries: what is beyond is left out and counted.
 * Names and help are static texts. One thread.
 */
#ifndef NODE_METRIC_LIST_H
#define NODE_METRIC_LIST_H

#include "node/exposition.h"
#include "proto/arena.h"

struct metric_list {
    struct operator_counter *items; /* owned */
    size_t count, capacity;
    uint64_t omitted;
    struct operator_counter family; /* of the next samples */
    struct arena texts;
};

void metric_list_init(struct metric_list *list);
void metric_list_deinit(struct metric_list *list);
#define METRIC_LIST_CLEANUP __attribute__((cleanup(metric_list_deinit)))

void metric_family(struct metric_list *list, enum counter_kind kind, const char *name,
                   const char *help);
void metric_value(struct metric_list *list, uint64_t value);
void metric_labelled(struct metric_list *list, uint64_t value,
                     const struct exposition_label *labels, size_t count);
#define METRIC_LABELS(...)                                                                         \
    (const struct exposition_label[]){__VA_ARGS__},                                                \
        ARRAY_COUNT(((const struct exposition_label[]){__VA_ARGS__}))
/* A family of one sample. */
void metric_add(struct metric_list *list, enum counter_kind kind, const char *name,
                const char *help, uint64_t value);
/* The last one: how many were left out. */
void metric_list_end(struct metric_list *list);

#endif
