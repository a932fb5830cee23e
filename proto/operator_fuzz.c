/* Every decoder of operators' messages over the same bytes: the first byte chooses, the second says
 * how long the header is, the rest is header and body. */
#include "proto/operator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct span header;
    struct span body;
    struct arena arena;
};

static void fuzz_execute(struct input *i)
{
    struct operator_execute m;
    (void)operator_execute_decode(i->header, i->body, &i->arena, &m, NULL);
}

static void fuzz_fetch(struct input *i)
{
    struct operator_fetch m;
    (void)operator_fetch_decode(i->header, &m, NULL);
}

static void fuzz_result(struct input *i)
{
    struct operator_result m;
    (void)operator_result_decode(i->header, i->body, &i->arena, &m, NULL);
}

static void fuzz_load_begin(struct input *i)
{
    struct operator_load_begin m;
    (void)operator_load_begin_decode(i->header, &i->arena, &m, NULL);
}

static void fuzz_load_state(struct input *i)
{
    struct operator_load_state m;
    (void)operator_load_state_decode(i->header, i->body, &i->arena, &m, NULL);
}

static void fuzz_load_outcome(struct input *i)
{
    struct operator_load_outcome m;
    (void)operator_load_outcome_decode(i->header, &m, NULL);
}

static void fuzz_export(struct input *i)
{
    struct operator_export m;
    (void)operator_export_decode(i->header, i->body, &i->arena, &m, NULL);
}

static void fuzz_task_query(struct input *i)
{
    struct operator_task_query m;
    (void)operator_task_query_decode(i->header, &i->arena, &m, NULL);
}

static void fuzz_tasks(struct input *i)
{
    struct operator_tasks m;
    (void)operator_tasks_decode(i->body, &i->arena, &m, NULL);
}

static void fuzz_status(struct input *i)
{
    struct operator_status m;
    (void)operator_status_decode(i->body, &i->arena, &m, NULL);
}

static void fuzz_peers(struct input *i)
{
    struct operator_peers m;
    (void)operator_peers_decode(i->body, &i->arena, &m, NULL);
}

static void fuzz_backup_begin(struct input *i)
{
    struct operator_backup_begin m;
    (void)operator_backup_begin_decode(i->header, &m, NULL);
}

static void fuzz_backup_state(struct input *i)
{
    struct operator_backup_state m;
    (void)operator_backup_state_decode(i->header, &i->arena, &m, NULL);
}

static void fuzz_backup_read(struct input *i)
{
    struct operator_backup_read m;
    (void)operator_backup_read_decode(i->header, &m, NULL);
}

static void fuzz_cancelled(struct input *i)
{
    struct operator_cancelled m;
    (void)operator_cancelled_decode(i->header, &i->arena, &m, NULL);
}

static void (*const decoders[])(struct input *) = {
    fuzz_execute,      fuzz_fetch,        fuzz_result,       fuzz_load_begin,  fuzz_load_state,
    fuzz_load_outcome, fuzz_export,       fuzz_task_query,   fuzz_tasks,       fuzz_status,
    fuzz_peers,        fuzz_backup_begin, fuzz_backup_state, fuzz_backup_read, fuzz_cancelled,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t header_bytes = data[1] < size - 2 ? data[1] : size - 2;
    struct input input = {
        .header = {data + 2, header_bytes},
        .body = {data + 2 + header_bytes, size - 2 - header_bytes},
    };
    arena_init(&input.arena, MIB(4));
    decoders[data[0] % ARRAY_COUNT(decoders)](&input);
    arena_deinit(&input.arena);
    return 0;
}
