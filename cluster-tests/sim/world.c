#include "cluster-tests/sim/world.h"

#include <stdarg.h>

#define OPS_MAX         60000
#define AFTER_FAULTS_MS (UINT64_C(12) * 3600 * 1000)
#define CUT_MS          (10 * 60 * 1000)
#define DAY_MS          (INT64_C(24) * 3600 * 1000)

struct world world;

static const char *const fault_names[FAULT_COUNT] = {
#define X(fault, name) [fault] = name,
    FAULTS(X)
#undef X
};

const char *plant_name(enum plant plant)
{
    static const char *const names[PLANT_COUNT] = {
        [PLANT_NONE] = "none",
        [PLANT_PUBLISH_BEFORE_DURABLE] = "publish-before-durable",
        [PLANT_TRUST_PROGRESS] = "trust-progress",
        [PLANT_NO_RENEW] = "no-renew",
        [PLANT_SWEEP_WITHOUT_PINS] = "sweep-without-pins",
        [PLANT_ACCEPT_WRONG_DIGEST] = "accept-wrong-digest",
        [PLANT_HALF_OVERWRITE] = "half-overwrite",
        [PLANT_CLOCK_OF_THE_DAY] = "clock-of-the-day",
    };
    return names[plant];
}

void trace_line(const char *format, ...)
{
    if (!world.trace)
        return;
    va_list args;
    va_start(args, format);
    printf("%10.3f  ", (double)world.now_ms / 1000);
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

void violate(const char *format, ...)
{
    if (world.violation[0] != 0)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(world.violation, sizeof(world.violation), format, args);
    va_end(args);
    trace_line("VIOLATION: %s", world.violation);
}

void fault_count(enum fault fault)
{
    world.counts->faults[fault]++;
    if (fault <= FAULT_HOSTILE)
        trace_line("FAULT %s", fault_names[fault]);
}

/* ---- the queue: a binary heap by time, then sequence ---- */

struct op *op_new(void (*run)(struct op *op), size_t task)
{
    struct op *op = mem_calloc(1, sizeof(*op));
    op->run = run;
    op->task = task;
    op->boot = world.destination.boot;
    return op;
}

void op_free(struct op *op)
{
    mem_free(op->items);
    bytes_deinit(&op->body);
    bytes_deinit(&op->lengths);
    mem_free(op);
}

static bool op_before(const struct op *a, const struct op *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->sequence < b->sequence;
}

static void heap_swap(size_t a, size_t b)
{
    struct op *op = world.heap[a];
    world.heap[a] = world.heap[b];
    world.heap[b] = op;
}

void op_post(struct op *op, uint64_t delay_ms)
{
    op->at_ms = world.now_ms + delay_ms;
    op->sequence = ++world.sequence;
    op->kept = true;
    if (world.heap_count == world.heap_capacity) {
        world.heap_capacity = world.heap_capacity == 0 ? 256 : 2 * world.heap_capacity;
        world.heap = mem_realloc(world.heap, world.heap_capacity, sizeof(struct op *));
    }
    size_t at = world.heap_count++;
    world.heap[at] = op;
    while (at > 0 && op_before(world.heap[at], world.heap[(at - 1) / 2])) {
        heap_swap(at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static struct op *op_take(void)
{
    struct op *first = world.heap[0];
    world.heap[0] = world.heap[--world.heap_count];
    size_t at = 0;
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < world.heap_count; child++)
            if (op_before(world.heap[child], world.heap[least]))
                least = child;
        if (least == at)
            return first;
        heap_swap(at, least);
        at = least;
    }
}

uint64_t delay_short(void)
{
    return 1 + chance_below(&world.chance, 20);
}

/* ---- faults ---- */

static bool faulty(void)
{
    return world.now_ms < world.faults_end_ms;
}

/* When a state of bad luck ends: within the time of faults, or soon. */
static uint64_t span_of_fault(uint64_t limit_ms)
{
    uint64_t left = faulty() ? world.faults_end_ms - world.now_ms : 1000;
    uint64_t length = 1 + chance_below(&world.chance, limit_ms);
    return length < left ? length : left;
}

static void on_source_up(struct op *op)
{
    (void)op;
    if (!world.source.up)
        source_restart();
}

static void on_destination_up(struct op *op)
{
    (void)op;
    if (world.destination.up)
        return;
    world.destination.up = true;
    trace_line("destination is up");
    for (size_t i = 0; i < world.task_count; i++)
        if (world.tasks[i].record.started && !world.tasks[i].record.ended)
            destination_task_start(i);
}

static void world_op(void (*run)(struct op *op), uint64_t delay_ms)
{
    struct op *op = op_new(run, 0);
    op->boot = 0; /* belongs to no node */
    op_post(op, delay_ms);
}

static void crash_source(void)
{
    if (!world.source.up)
        return;
    fault_count(FAULT_CRASH_SOURCE);
    source_crash();
    world_op(on_source_up, span_of_fault(chance_percent(&world.chance, 20) ? 1200000 : 30000));
}

static void crash_destination(void)
{
    if (!world.destination.up)
        return;
    fault_count(FAULT_CRASH_DESTINATION);
    destination_crash();
    oracle_check("after a crash of the destination");
    world_op(on_destination_up, span_of_fault(chance_percent(&world.chance, 20) ? 1200000 : 30000));
}

static void collect_destination(void);

static void on_crash_soon(struct op *op)
{
    (void)op;
    if (faulty())
        crash_destination();
}

static void on_end_crash(struct op *op)
{
    (void)op;
    crash_destination();
}

void world_end_crash(void)
{
    if (!world.end_crashed && chance_percent(&world.chance, 30))
        world_op(on_end_crash, chance_below(&world.chance, 2));
    world.end_crashed = true;
}

static void on_collect_soon(struct op *op)
{
    (void)op;
    if (faulty())
        collect_destination();
}

void world_trouble_soon(void)
{
    if (faulty() && chance_percent(&world.chance, 6))
        world_op(on_crash_soon, chance_below(&world.chance, 8));
    if (faulty() && chance_percent(&world.chance, 12))
        world_op(on_collect_soon, chance_below(&world.chance, 8));
}

static void on_partition_end(struct op *op)
{
    (void)op;
    world.partitioned = false;
    world.quiet_since_ms = world.now_ms;
}

static void partition(void)
{
    if (world.partitioned)
        return;
    fault_count(FAULT_PARTITION);
    world.partitioned = true;
    world_op(on_partition_end, span_of_fault(chance_percent(&world.chance, 20) ? 1200000 : 60000));
}

static void on_cut_end(struct op *op)
{
    (void)op;
    world.quiet_since_ms = world.now_ms;
}

/* Longer than all pauses and shorter than a lease: what was going on goes on by itself. */
static void cut(void)
{
    if (world.now_ms < world.cut_until_ms)
        return;
    fault_count(FAULT_CUT);
    world.cut_until_ms = world.now_ms + CUT_MS;
    world_op(on_cut_end, CUT_MS);
}

/* Up to a day forwards or backwards. */
static void clock_jump(void)
{
    fault_count(FAULT_CLOCK);
    world.wall_offset_ms = (int64_t)chance_below(&world.chance, 2 * DAY_MS) - DAY_MS;
}

uint64_t source_now_ms(void)
{
    bool planted = world.plant == PLANT_CLOCK_OF_THE_DAY;
    return world.now_ms + DAY_MS + (uint64_t)(planted ? world.wall_offset_ms : 0);
}

static void on_collect_source(struct op *op)
{
    (void)op;
    if (world.source.up && model_collect_step(&world.source.store, 8))
        world_op(on_collect_source, delay_short());
}

static void collect_source(void)
{
    if (!world.source.up || world.source.store.collecting)
        return;
    fault_count(FAULT_COLLECT_SOURCE);
    struct digest roots[TASKS];
    size_t count = 0;
    for (size_t i = 0; i < TASKS; i++)
        if (world.lease_records[i].present)
            roots[count++] = world.lease_records[i].root;
    model_collect_begin(&world.source.store, roots, count);
    world_op(on_collect_source, delay_short());
}

static void on_collect_destination(struct op *op)
{
    if (op->value != world.destination.boot || !world.destination.store.collecting)
        return;
    if (model_collect_step(&world.destination.store, 1 + chance_below(&world.chance, 12))) {
        struct op *next = op_new(on_collect_destination, 0);
        next->boot = 0;
        next->value = op->value;
        op_post(next, delay_short() * (1 + op->task));
        next->task = op->task;
    }
    oracle_check("during clean-up at the destination");
}

static void collect_destination(void)
{
    if (!world.destination.up || world.destination.store.collecting)
        return;
    fault_count(FAULT_COLLECT_DESTINATION);
    model_collect_begin(&world.destination.store, NULL, 0);
    struct op *next = op_new(on_collect_destination, 0);
    next->boot = 0;
    next->value = world.destination.boot;
    next->task = chance_below(&world.chance, 2) * 12; /* some take seconds */
    op_post(next, delay_short());
}

static void snapshot_replace(void)
{
    fault_count(FAULT_REPLACE);
    model_table_change(&world.table, &world.chance, 1 + chance_below(&world.chance, 8));
    source_snapshot_make(chance_below(&world.chance, MODEL_NAMES));
}

static void snapshot_drop_source(void)
{
    fault_count(FAULT_DROP_SOURCE);
    world.source.store.snapshots[chance_below(&world.chance, MODEL_NAMES)].present = false;
}

static void snapshot_drop_destination(void)
{
    if (!world.destination.up)
        return;
    fault_count(FAULT_DROP_DESTINATION);
    size_t name = chance_below(&world.chance, MODEL_NAMES);
    world.destination.store.snapshots[name].present = false;
    world.visible[name] = false;
}

static void on_disk_free(struct op *op)
{
    (void)op;
    world.disk_full = false;
}

static void disk_full(void)
{
    fault_count(FAULT_DISK_FULL);
    world.disk_full = true;
    world_op(on_disk_free, span_of_fault(120000));
}

static void cancel(void)
{
    if (world.task_count == 0 || !world.destination.up)
        return;
    fault_count(FAULT_CANCEL);
    destination_task_cancel(chance_below(&world.chance, world.task_count));
}

static void right_revoke(void)
{
    if (world.task_count == 0)
        return;
    fault_count(FAULT_REVOKE);
    size_t task = chance_below(&world.chance, world.task_count);
    world.excused[task] = true;
    source_revoke(task);
}

static void all_excused(void)
{
    for (size_t i = 0; i < TASKS; i++)
        world.excused[i] = true;
}

static void deny(void)
{
    fault_count(FAULT_DENY);
    world.destination_denied = true;
    all_excused();
    for (size_t i = 0; i < world.task_count; i++)
        if (chance_percent(&world.chance, 70)) /* the others learn of it when they ask */
            destination_task_withdraw(i);
}

static void peer_key(void)
{
    fault_count(FAULT_PEER_KEY);
    world.peer_key_changed = true;
    all_excused();
    if (world.source.up) { /* it comes back as another */
        source_crash();
        world_op(on_source_up, 1 + chance_below(&world.chance, 2000));
    }
}

static void on_hostile_end(struct op *op)
{
    (void)op;
    world.hostile = false;
}

static void hostile(void)
{
    fault_count(FAULT_HOSTILE);
    world.hostile = true;
    all_excused();
    world_op(on_hostile_end, span_of_fault(60000));
}

static void task_create(void)
{
    if (world.task_count == TASKS || !world.destination.up)
        return;
    size_t index = world.task_count++;
    struct sim_task *task = &world.tasks[index];
    task->number = index + 1;
    task->account = 1 + chance_below(&world.chance, ACCOUNTS);
    task->name = chance_below(&world.chance, MODEL_NAMES);
    store_u64(task->id.b, world.seed);
    store_u64(task->id.b + 8, task->number);
    task->record.started = true;
    if (!world.source.store.snapshots[task->name].present)
        source_snapshot_make(task->name);
    trace_line("task %" PRIu64 ": snapshot %zu for account %" PRIu64, task->number, task->name,
               task->account);
    destination_task_start(index);
}

struct fault_plan {
    void (*run)(void);
    unsigned weight;
};

static const struct fault_plan fault_plans[] = {
    {crash_source, 12},
    {crash_destination, 16},
    {partition, 10},
    {cut, 3},
    {clock_jump, 3},
    {collect_source, 12},
    {collect_destination, 20},
    {snapshot_replace, 12},
    {disk_full, 3},
    {snapshot_drop_destination, 6},
    {cancel, 2},
    {task_create, 24},
};
/* These end most of what runs: few runs have them. */
static const struct fault_plan fatal_plans[] = {
    {snapshot_drop_source, 4}, {right_revoke, 3}, {deny, 3}, {peer_key, 3}, {hostile, 4},
};

static void plan_run(const struct fault_plan *plans, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += plans[i].weight;
    uint64_t at = chance_below(&world.chance, sum);
    for (size_t i = 0; i < count; i++) {
        if (at < plans[i].weight) {
            plans[i].run();
            return;
        }
        at -= plans[i].weight;
    }
}

static void on_fault(struct op *op)
{
    if (!faulty())
        return;
    if (op->value > 0 && chance_percent(&world.chance, 12))
        plan_run(fatal_plans, ARRAY_COUNT(fatal_plans));
    else
        plan_run(fault_plans, ARRAY_COUNT(fault_plans));
    struct op *next = op_new(on_fault, 0);
    next->boot = 0;
    next->value = op->value;
    op_post(next, 1 + chance_below(&world.chance, world.faults_end_ms / 20));
}

static void on_faults_end(struct op *op)
{
    (void)op;
    trace_line("faults end");
    world.loss_percent = 0;
    world.partitioned = world.disk_full = world.hostile = false;
    world.quiet_since_ms = world.now_ms;
    while (world.task_count < 2 && world.destination.up)
        task_create();
}

/* ---- a run ---- */

static void world_init(uint64_t seed, enum plant plant, bool trace, struct counts *counts)
{
    world = (struct world){
        .seed = seed, .plant = plant, .trace = trace, .counts = counts, .chance = {seed}};
    struct chance *chance = &world.chance;
    world.source.up = world.destination.up = true;
    world.source.boot = world.destination.boot = 1;
    world.destination.store.plant_no_pins = plant == PLANT_SWEEP_WITHOUT_PINS;
    lease_table_init(&world.leases, LEASE_MS);
    world.loss_percent = (unsigned)chance_below(chance, 4) * 3;
    world.delay_ms_max = 2 + chance_below(chance, 300);
    world.slow = chance_percent(chance, 20);
    world.faults_end_ms = world.slow ? 5400000 : 5000 + chance_below(chance, 60000);
    model_table_change(&world.table, chance, 60);
    for (size_t name = 0; name < MODEL_NAMES; name++) {
        model_table_change(&world.table, chance, 3);
        source_snapshot_make(name);
    }
    task_create();
    if (!chance_percent(chance, 12)) { /* else a quiet run */
        struct op *op = op_new(on_fault, 0);
        op->boot = 0;
        op->value = chance_percent(chance, 40);
        op_post(op, chance_below(chance, 2000));
    }
    world_op(on_faults_end, world.faults_end_ms);
}

static void world_deinit(void)
{
    for (size_t i = 0; i < world.heap_count; i++)
        op_free(world.heap[i]);
    mem_free(world.heap);
    for (size_t i = 0; i < ARRAY_COUNT(world.servings); i++)
        if (world.servings[i].used)
            op_free(world.servings[i].op);
    for (size_t i = 0; i < world.task_count; i++) {
        struct sim_task *task = &world.tasks[i];
        if (task->alive)
            task_deinit(&task->machine);
        map_clear(&task->unsynced);
        map_clear(&task->progress);
    }
    claims_deinit(&world.claims);
    lease_table_deinit(&world.leases);
    model_store_deinit(&world.source.store);
    model_store_deinit(&world.destination.store);
    map_clear(&world.proved);
    for (size_t i = 0; i < MODEL_NAMES; i++)
        map_clear(&world.roots[i]);
}

static bool all_ended(void)
{
    for (size_t i = 0; i < world.task_count; i++)
        if (!world.tasks[i].record.ended)
            return false;
    return world.now_ms > world.faults_end_ms;
}

static bool op_stale(const struct op *op)
{
    if (op->boot == 0)
        return false;
    const struct node *node = op->at_source ? &world.source : &world.destination;
    return !node->up || node->boot != op->boot;
}

static void world_loop(void)
{
    for (size_t i = 0; i < OPS_MAX; i++) {
        if (world.violation[0] != 0 || all_ended())
            return;
        if (world.heap_count == 0 || world.now_ms > world.faults_end_ms + AFTER_FAULTS_MS)
            break;
        struct op *op = op_take();
        world.now_ms = op->at_ms;
        world.counts->ops++;
        op->kept = false;
        if (!op_stale(op))
            op->run(op);
        if (!op->kept)
            op_free(op);
    }
    violate("a task does not end (%s)", world.heap_count == 0 ? "nothing happens" : "too long");
}

bool world_run(uint64_t seed, enum plant plant, bool trace, struct counts *counts)
{
    world_init(seed, plant, trace, counts);
    world_loop();
    oracle_check("at the end");
    bool good = world.violation[0] == 0;
    world_deinit();
    return good;
}
