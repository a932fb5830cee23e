/* Both machines fed with nonsense: the input is a row of events, whose ids are mostly small numbers
 * so that they often meet what the machines wait for. Nothing may be asserted or leaked. */
#include "node/task/lease.h"
#include "node/task/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_EVENTS 400
#define FUZZ_NEEDS  4

struct fuzz {
    struct reader reader;
    struct task task;
    struct task_actions task_actions;
    struct lease_table leases;
    struct lease_actions lease_actions;
    uint64_t now_ms;
};

static uint64_t request_near(struct fuzz *fuzz)
{
    uint64_t back = reader_u8(&fuzz->reader) % 8;
    return fuzz->task.request_last > back ? fuzz->task.request_last - back : back;
}

static void fuzz_needs(struct fuzz *fuzz, struct walk_need needs[FUZZ_NEEDS])
{
    for (size_t i = 0; i < FUZZ_NEEDS; i++) {
        uint8_t what = reader_u8(&fuzz->reader);
        needs[i] = (struct walk_need){.kind = what & 1 ? WALK_FILE : WALK_PAGE,
                                      .staged = (what & 2) != 0,
                                      .level = what >> 2 & 15,
                                      .digest = {{reader_u8(&fuzz->reader)}},
                                      .bytes = what & 128 ? UINT64_MAX : what};
    }
}

static void fuzz_task(struct fuzz *fuzz)
{
    struct reader *reader = &fuzz->reader;
    struct err err = {0};
    uint8_t code = reader_u8(reader);
    if (code % 2 == 1 && code / 2 % ERR_CODE_COUNT != ERR_OK)
        err_set(&err, (enum err_code)(code / 2 % ERR_CODE_COUNT), "nonsense");
    struct task_event event = {
        .kind = (enum task_event_kind)(reader_u8(reader) % (TASK_EVENT_COUNT + 1)),
        .now_ms = fuzz->now_ms,
        .random = reader_u64(reader),
        .request = request_near(fuzz),
        .err = &err};
    struct walk_need needs[FUZZ_NEEDS];
    enum walk_result results[FUZZ_NEEDS];
    uint8_t count = reader_u8(reader) % (FUZZ_NEEDS + 1);
    if (event.kind == TASK_ON_PLANNED) {
        fuzz_needs(fuzz, needs);
        event.planned = (struct walk_plan){.needs = needs, .need_count = count};
    } else if (event.kind == TASK_ON_GOT) {
        for (size_t i = 0; i < FUZZ_NEEDS; i++)
            results[i] = (enum walk_result)(reader_u8(reader) % (WALK_TAKEN + 1));
        const struct walk_request *request = walk_request_find(&fuzz->task.walk, event.request);
        if (request != NULL && request->item_count <= FUZZ_NEEDS && reader_u8(reader) % 4 != 0)
            count = (uint8_t)request->item_count;
        event.got.results = results;
        event.got.result_count = count;
    } else if (event.kind == TASK_ON_DESCRIBED) {
        event.described.version.b[0] = count;
    } else if (event.kind == TASK_ON_START) {
        event.start.published = count == 4;
    }
    task_actions_clear(&fuzz->task_actions);
    task_step(&fuzz->task, &event, &fuzz->task_actions);
}

static void fuzz_lease(struct fuzz *fuzz)
{
    struct reader *reader = &fuzz->reader;
    struct err err = {0};
    if (reader_u8(reader) % 4 == 0)
        err_set(&err, ERR_DENIED, "nonsense");
    struct lease_event event = {
        .kind = (enum lease_event_kind)(reader_u8(reader) % (LEASE_EVENT_COUNT + 1)),
        .now_ms = fuzz->now_ms,
        .request = reader_u8(reader) % 4,
        .id = {{{reader_u8(reader) % 4}}},
        .peer = {{reader_u8(reader) % 2}},
        .arguments = {{reader_u8(reader) % 2}},
        .verdict = &err};
    lease_actions_clear(&fuzz->lease_actions);
    lease_step(&fuzz->leases, &event, &fuzz->lease_actions);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {.reader = reader_of(span_of(data, size))};
    struct task_settings settings = task_settings_default("peer");
    settings.walk.commit_pages = 2;
    settings.walk.requests = 3;
    task_init(&fuzz.task, &settings);
    lease_table_init(&fuzz.leases, 1000);
    for (size_t i = 0; i < FUZZ_EVENTS && fuzz.reader.left.len > 0; i++) {
        fuzz.now_ms += (uint64_t)reader_u8(&fuzz.reader) * 16;
        if (fuzz.now_ms % 64 == 0)
            fuzz_lease(&fuzz);
        else
            fuzz_task(&fuzz);
        (void)task_wake_ms(&fuzz.task);
        (void)lease_wake_ms(&fuzz.leases);
    }
    task_deinit(&fuzz.task);
    task_actions_deinit(&fuzz.task_actions);
    lease_table_deinit(&fuzz.leases);
    lease_actions_deinit(&fuzz.lease_actions);
    return 0;
}
