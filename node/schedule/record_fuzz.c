/* Records of schedules ('s') and runs ('r') from a store that may be damaged: what decodes encodes to the
 * same bytes. */
#include "node/schedule/schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BYTES_CLEANUP struct bytes again = {0};
    ARENA_CLEANUP struct arena arena;
    struct err err;
    arena_init(&arena, SCHEDULE_ARENA_BYTES);
    if (size == 0)
        return 0;
    struct span rest = span_of(data + 1, size - 1);
    struct schedule schedule;
    struct schedule_run run;
    bool good = false;
    if (data[0] == 's' && schedule_record_decode(rest, &arena, &schedule, &err) == ERR_OK) {
        schedule_record_encode(&schedule, &again);
        good = true;
    }
    if (data[0] == 'r' && schedule_run_decode(rest, &run, &err) == ERR_OK) {
        schedule_run_encode(&run, &again);
        good = true;
    }
    ASSERT(!good || span_equal(rest, bytes_span(&again)));
    return 0;
}
