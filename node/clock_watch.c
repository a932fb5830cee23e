#include "node/clock_watch.h"

void clock_watch_init(struct clock_watch *watch, uint64_t believed_ms, uint64_t monotonic_ms)
{
    *watch = (struct clock_watch){
        .started = believed_ms != 0,
        .at_ms = monotonic_ms,
        .low_ms = believed_ms,
        .high_ms = believed_ms + CLOCK_DOWN_MS_MAX,
    };
}

uint64_t clock_watch_expected_ms(const struct clock_watch *watch, uint64_t monotonic_ms)
{
    return watch->low_ms + (monotonic_ms - watch->at_ms);
}

static bool is_near(uint64_t wall_ms, uint64_t low_ms, uint64_t high_ms)
{
    return wall_ms + CLOCK_JUMP_MS_MAX >= low_ms && wall_ms <= high_ms + CLOCK_JUMP_MS_MAX;
}

static void believe(struct clock_watch *watch, uint64_t wall_ms, uint64_t monotonic_ms)
{
    *watch = (struct clock_watch){
        .started = true, .at_ms = monotonic_ms, .low_ms = wall_ms, .high_ms = wall_ms};
}

enum clock_verdict clock_watch_look(struct clock_watch *watch, uint64_t wall_ms,
                                    uint64_t monotonic_ms)
{
    uint64_t passed_ms = monotonic_ms - watch->at_ms;
    if (!watch->started ||
        is_near(wall_ms, watch->low_ms + passed_ms, watch->high_ms + passed_ms)) {
        believe(watch, wall_ms, monotonic_ms);
        return CLOCK_BELIEVED;
    }
    uint64_t steady_ms = monotonic_ms - watch->doubted_at_ms;
    uint64_t steady_wall_ms = watch->doubted_wall_ms + steady_ms;
    if (!watch->doubted || !is_near(wall_ms, steady_wall_ms, steady_wall_ms)) {
        watch->doubted = true;
        watch->doubted_at_ms = monotonic_ms;
        watch->doubted_wall_ms = wall_ms;
        return CLOCK_JUMPED;
    }
    if (steady_ms < CLOCK_STEADY_MS)
        return CLOCK_DOUBTED;
    believe(watch, wall_ms, monotonic_ms);
    return CLOCK_BELIEVED;
}
