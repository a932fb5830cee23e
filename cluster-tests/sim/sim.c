/* sim --seed N             one run with a readable trace
 * sim --seeds A..B         many; closes with how often what happened, and fails if anything happened
 *                          less than 50 times (for 500 seeds; fewer are scaled)
 * sim ... --plant NAME     with a bug: fails unless a run finds it */
#include "cluster-tests/sim/world.h"

#include <sodium.h>

#define SEEDS_FULL      500
#define OCCURS_AT_LEAST 50

struct arguments {
    uint64_t first, last;
    bool trace;
    enum plant plant;
};

static int usage(void)
{
    fprintf(stderr, "usage: sim (--seed N | --seeds A..B) [--plant NAME]\nplants:");
    for (int i = PLANT_NONE + 1; i < PLANT_COUNT; i++)
        fprintf(stderr, " %s", plant_name((enum plant)i));
    fprintf(stderr, "\n");
    return 2;
}

static bool plant_parse(const char *name, enum plant *ret_plant)
{
    for (int i = PLANT_NONE + 1; i < PLANT_COUNT; i++) {
        if (strcmp(name, plant_name((enum plant)i)) == 0) {
            *ret_plant = (enum plant)i;
            return true;
        }
    }
    return false;
}

static bool arguments_parse(int argc, char **argv, struct arguments *ret_arguments)
{
    struct arguments arguments = {.first = 1, .last = 0};
    for (int i = 1; i + 1 < argc; i += 2) {
        char *end = argv[i + 1];
        if (strcmp(argv[i], "--plant") == 0) {
            if (!plant_parse(argv[i + 1], &arguments.plant))
                return false;
            continue;
        }
        arguments.first = arguments.last = strtoull(argv[i + 1], &end, 10);
        if (strcmp(argv[i], "--seed") == 0 && *end == 0)
            arguments.trace = true;
        else if (strcmp(argv[i], "--seeds") == 0 && strncmp(end, "..", 2) == 0)
            arguments.last = strtoull(end + 2, &end, 10);
        else
            return false;
        if (*end != 0)
            return false;
    }
    *ret_arguments = arguments;
    return argc % 2 == 1 && arguments.first <= arguments.last;
}

struct row {
    const char *kind, *name;
    uint64_t count;
};

static bool row_print(struct row row, uint64_t least)
{
    bool rare = row.count < least;
    printf("%-14s %-34s %10" PRIu64 "%s\n", row.kind, row.name, row.count, rare ? "  RARE" : "");
    return !rare;
}

static bool counts_print(const struct counts *counts, uint64_t seeds)
{
    uint64_t least = OCCURS_AT_LEAST * seeds / SEEDS_FULL;
    bool good = true;
    const struct row rows[] = {
#define X(action, name) {"task action", name, counts->task_actions[action]},
        TASK_ACTIONS(X)
#undef X
#define X(event, name) {"task event", name, counts->task_events[event]},
            TASK_EVENTS(X)
#undef X
#define X(action, name) {"lease action", name, counts->lease_actions[action]},
                LEASE_ACTIONS(X)
#undef X
#define X(event, name) {"lease event", name, counts->lease_events[event]},
                    LEASE_EVENTS(X)
#undef X
#define X(fault, name) {"fault", name, counts->faults[fault]},
                        FAULTS(X)
#undef X
                            {"outcome", "DONE", counts->outcomes[TASK_DONE]},
        {"outcome", "FAILED", counts->outcomes[TASK_FAILED]},
        {"outcome", "CANCELLED", counts->outcomes[TASK_CANCELLED]},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        good &= row_print(rows[i], least);
    return good;
}

static int seeds_run(const struct arguments *arguments)
{
    struct counts counts = {0};
    static char violation[sizeof(world.violation)];
    for (uint64_t seed = arguments->first; seed <= arguments->last; seed++) {
        if (world_run(seed, arguments->plant, arguments->trace, &counts))
            continue;
        memcpy(violation, world.violation, sizeof(violation));
        printf("seed %" PRIu64 ": %s\n", seed, violation);
        if (arguments->plant != PLANT_NONE) {
            printf("the planted bug %s was found after %" PRIu64 " runs\n",
                   plant_name(arguments->plant), seed - arguments->first + 1);
            return 0;
        }
        printf("again with a trace: sim --seed %" PRIu64 "\n", seed);
        return 1;
    }
    uint64_t seeds = arguments->last - arguments->first + 1;
    if (arguments->plant != PLANT_NONE) {
        printf("the planted bug %s was not found\n", plant_name(arguments->plant));
        return 1;
    }
    if (arguments->trace)
        return 0;
    bool often = counts_print(&counts, seeds);
    printf("%" PRIu64 " runs, %" PRIu64 " steps, nothing violated%s\n", seeds, counts.ops,
           often ? "" : "; what is RARE above is not tested enough");
    return often ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    if (sodium_init() < 0 || !arguments_parse(argc, argv, &arguments))
        return usage();
    return seeds_run(&arguments);
}
