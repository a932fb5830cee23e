/* The source: the lease machine with a model store, and the weather between the nodes. */
#include "cluster-tests/sim/world.h"

#define DEADLINE_CONTROL_MS 15000
#define DEADLINE_BULK_MS    400000

static const char *const lease_event_names[] = {
#define X(event, name) [event] = name,
    LEASE_EVENTS(X)
#undef X
};

static struct identity_key destination_key(void)
{
    return (struct identity_key){{7}};
}

/* ---- weather ---- */

static bool bulk(const struct op *op)
{
    return op->method == PEER_GET_PAGES || op->method == PEER_GET_FILES;
}

static uint64_t delay_network(const struct op *op)
{
    if (world.slow && bulk(op))
        return 20000 + chance_below(&world.chance, 100000);
    uint64_t delay = 1 + chance_below(&world.chance, world.delay_ms_max);
    if (world.now_ms < world.faults_end_ms && chance_percent(&world.chance, 3)) {
        fault_count(FAULT_LATE);
        delay *= 20;
    }
    return delay;
}

static void answer(struct op *op, uint64_t delay_ms)
{
    op->run = destination_reply;
    op->at_source = false;
    op->boot = op->asker_boot;
    op_post(op, delay_ms);
}

/* Nothing comes back: the asker learns it from the connection or from its deadline. */
static void answer_never(struct op *op)
{
    bool notices = chance_percent(&world.chance, 50);
    err_set(&op->err, notices ? ERR_LOST : ERR_TIMEOUT, "no answer");
    answer(op, notices ? delay_short() : bulk(op) ? DEADLINE_BULK_MS : DEADLINE_CONTROL_MS);
}

static bool weather_loses(void)
{
    return world.partitioned || world.now_ms < world.cut_until_ms ||
           chance_percent(&world.chance, world.loss_percent);
}

static void answer_through_weather(struct op *op)
{
    if (weather_loses()) {
        fault_count(FAULT_LOST_REPLY);
        answer_never(op);
    } else {
        answer(op, delay_network(op));
    }
}

static void on_arrival(struct op *op)
{
    if (!world.source.up) {
        err_set(&op->err, ERR_UNREACHABLE, "connection refused");
        answer(op, delay_network(op));
    } else if (world.peer_key_changed) {
        err_set(&op->err, ERR_PEER_KEY, "it proved another key");
        answer(op, delay_network(op));
    } else {
        source_request(op);
    }
}

static struct op *op_copy(const struct op *op)
{
    struct op *copy = op_new(op->run, op->task);
    copy->asker_boot = op->asker_boot;
    copy->request = op->request;
    copy->method = op->method;
    copy->lease = op->lease;
    copy->reply_bytes = op->reply_bytes;
    copy->item_count = op->item_count;
    copy->items = mem_calloc(op->item_count, sizeof(*op->items));
    if (op->item_count > 0)
        memcpy(copy->items, op->items, op->item_count * sizeof(*op->items));
    return copy;
}

void source_network(struct op *op)
{
    op->asker_boot = world.destination.boot;
    op->boot = 0;
    op->run = on_arrival;
    if (weather_loses()) {
        fault_count(FAULT_LOST_REQUEST);
        answer_never(op);
        return;
    }
    if (world.now_ms < world.faults_end_ms && chance_percent(&world.chance, 3)) {
        fault_count(FAULT_DUPLICATE);
        struct op *twin = op_copy(op);
        twin->boot = 0;
        op_post(twin, delay_network(op));
    }
    op_post(op, delay_network(op));
}

/* ---- the lease machine ---- */

static struct op *serving_take(uint64_t number)
{
    for (size_t i = 0; i < ARRAY_COUNT(world.servings); i++) {
        struct serving *serving = &world.servings[i];
        if (serving->used && serving->number == number) {
            serving->used = false;
            return serving->op;
        }
    }
    return NULL;
}

static void source_step(struct lease_event *event);

static struct lease_record *record_find(const struct lease_id *id)
{
    for (size_t i = 0; i < TASKS; i++)
        if (world.lease_records[i].present &&
            digest_equal(&world.lease_records[i].id.digest, &id->digest))
            return &world.lease_records[i];
    return NULL;
}

static void on_grant(struct op *op)
{
    const struct lease *lease = lease_find(&world.leases, &op->lease);
    if (lease == NULL)
        return;
    struct digest root;
    memcpy(root.b, lease->subject.data, DIGEST_BYTES);
    const struct sim_task *task = &world.tasks[op->task];
    const struct model_snapshot *snapshot = &world.source.store.snapshots[task->name];
    struct err verdict = {0};
    if (!snapshot->present || !digest_equal(&snapshot->root, &root)) {
        err_set(&verdict, ERR_CONFLICT, "the snapshot was replaced");
    } else {
        struct lease_record *record = &world.lease_records[op->task];
        *record = (struct lease_record){.present = true, .id = op->lease, .root = root};
        record->bytes_total = load_u64(lease->subject.data + DIGEST_BYTES);
    }
    struct lease_event event = {
        .kind = LEASE_ON_GRANTED, .request = op->request, .id = op->lease, .verdict = &verdict};
    source_step(&event);
}

/* ---- serving by place ---- */

static bool item_place_holds(const struct op *op, const struct want_item *item)
{
    const struct model_store *store = &world.source.store;
    struct digest found;
    bool here = item->kind == WALK_PAGE
                    ? model_find_page(store, &op->root, item->level, item->partition, &found)
                    : model_find_file(store, &op->root, item->partition, item->index, &found);
    return here && digest_equal(&found, &item->digest);
}

static void serve_items(struct op *op)
{
    for (size_t i = 0; i < op->item_count; i++) {
        const struct want_item *item = &op->items[i];
        if (!item_place_holds(op, item)) {
            err_set(&op->err, ERR_NOT_IN_LEASE, "item %zu", i);
            return;
        }
        const struct map *map =
            item->kind == WALK_PAGE ? &world.source.store.pages : &world.source.store.files;
        struct map_entry *entry = map_find(map, &item->digest, 0);
        if (entry == NULL) {
            violate("what is under a lease is gone at the source");
            return;
        }
        if (i > 0 && op->body.len + entry->bytes.len > op->reply_bytes)
            return; /* the rest is asked for again */
        bytes_append_span(&op->body, bytes_span(&entry->bytes));
        bytes_append_u32(&op->lengths, (uint32_t)entry->bytes.len);
    }
}

static void spoil(struct op *op)
{
    bool faults = world.now_ms < world.faults_end_ms && world.loss_percent > 0;
    if (op->body.len > 0 && faults && chance_percent(&world.chance, 2)) {
        fault_count(FAULT_WRONG_BYTES);
        op->body.data[chance_below(&world.chance, op->body.len)] ^= 1;
        if (++world.tasks[op->task].wrong_bytes >= TASK_WRONG_BYTES_TRIES)
            world.excused[op->task] = true; /* it may have been one item each time */
    }
    if (op->lengths.len > 4 && faults && chance_percent(&world.chance, 10)) {
        fault_count(FAULT_SHORT_REPLY);
        op->lengths.len -= 4;
        uint32_t last = load_u32(op->lengths.data + op->lengths.len);
        op->body.len -= last;
    }
    if (!world.hostile)
        return;
    static const enum err_code codes[] = {ERR_OK,         ERR_OK,      ERR_NOT_IN_LEASE,
                                          ERR_LEASE_GONE, ERR_CORRUPT, ERR_INTERNAL,
                                          ERR_BUSY,       ERR_LOST,    ERR_DENIED};
    enum err_code code = codes[chance_below(&world.chance, ARRAY_COUNT(codes))];
    op->err = (struct err){0};
    if (code != ERR_OK)
        err_set(&op->err, code, "nonsense");
    for (size_t i = 0; i < op->body.len; i++)
        op->body.data[i] = (uint8_t)chance_next(&world.chance);
    if (op->lengths.len > 0)
        op->lengths.len = chance_below(&world.chance, op->lengths.len);
    if (chance_percent(&world.chance, 30))
        memset(op->root.b, (int)chance_below(&world.chance, 256), DIGEST_BYTES);
}

static void serve(struct op *op, const struct lease *lease)
{
    memcpy(op->root.b, lease->subject.data, DIGEST_BYTES);
    if (bulk(op))
        serve_items(op);
    spoil(op);
    struct lease_id id = op->lease;
    bool ends = op->method == PEER_RECEIPT;
    answer_through_weather(op);
    if (ends) {
        struct lease_event event = {.kind = LEASE_ON_END, .id = id, .peer = destination_key()};
        source_step(&event);
    }
}

/* ---- actions ---- */

static void do_reply(const struct lease_action *action)
{
    struct op *op = serving_take(action->request);
    if (op == NULL)
        return;
    op->err = action->err;
    const struct lease *lease = lease_find(&world.leases, &action->id);
    if (op->method == PEER_DESCRIBE && op->err.code == ERR_OK && lease != NULL) {
        memcpy(op->root.b, lease->subject.data, DIGEST_BYTES);
        op->bytes_total = load_u64(lease->subject.data + DIGEST_BYTES);
        op->lease = lease->id;
    }
    spoil(op);
    answer_through_weather(op);
}

/* Its record goes a moment later; a grant of the same id in between would be undone by it. */
static void on_drop(struct op *op)
{
    struct lease_record *record = record_find(&op->lease);
    struct err verdict = {0};
    if (world.now_ms < world.faults_end_ms && chance_percent(&world.chance, 10))
        err_set(&verdict, ERR_NO_SPACE, "disk full");
    else if (record != NULL)
        record->present = false;
    struct lease_event event = {.kind = LEASE_ON_DROPPED, .id = op->lease, .verdict = &verdict};
    source_step(&event);
}

static void do_drop(const struct lease_action *action)
{
    oracle_lease_stepped(&(struct lease_event){.kind = LEASE_ON_DROPPED, .id = action->id});
    struct op *op = op_new(on_drop, 0);
    op->at_source = true;
    op->boot = world.source.boot;
    op->lease = action->id;
    op_post(op, delay_short() * delay_short());
}

static void do_grant(const struct lease_action *action)
{
    for (size_t i = 0; i < ARRAY_COUNT(world.servings); i++) {
        if (!world.servings[i].used || world.servings[i].number != action->request)
            continue;
        struct op *op = op_new(on_grant, world.servings[i].op->task);
        op->at_source = true;
        op->boot = world.source.boot;
        op->request = action->request;
        op->lease = action->id;
        op_post(op, delay_short());
    }
}

static void action_do(const struct lease_action *action)
{
    world.counts->lease_actions[action->kind]++;
    const struct lease *lease = lease_find(&world.leases, &action->id);
    struct op *op;
    switch (action->kind) {
    case LEASE_DO_GRANT:
        do_grant(action);
        break;
    case LEASE_DO_DROP:
        do_drop(action);
        break;
    case LEASE_DO_SERVE:
        op = serving_take(action->request);
        if (op != NULL && lease != NULL)
            serve(op, lease);
        break;
    case LEASE_DO_REPLY:
        do_reply(action);
        break;
    case LEASE_ACTION_COUNT:
    default:
        violate("unknown action of the lease machine");
        break;
    }
}

static void on_lease_tick(struct op *op)
{
    (void)op;
    world.lease_wake_ms = 0;
    struct lease_event event = {.kind = LEASE_ON_TICK};
    source_step(&event);
}

static void source_step(struct lease_event *event)
{
    event->now_ms = source_now_ms();
    world.counts->lease_events[event->kind]++;
    struct lease_actions actions = {0};
    lease_step(&world.leases, event, &actions);
    if (event->kind != LEASE_ON_TICK)
        oracle_lease_stepped(event);
    if (event->kind != LEASE_ON_SERVE && event->kind != LEASE_ON_TICK)
        trace_line("  lease: %s", lease_event_names[event->kind]);
    for (size_t i = 0; i < actions.count; i++)
        if (event->kind == LEASE_ON_TICK)
            oracle_lease_expired(&actions.list[i].id);
    for (size_t i = 0; i < actions.count; i++) {
        if (actions.list[i].kind == LEASE_DO_SERVE)
            oracle_lease_served(&actions.list[i].id);
        action_do(&actions.list[i]);
    }
    lease_actions_deinit(&actions);
    uint64_t wake_ms = lease_wake_ms(&world.leases);
    bool sooner = world.lease_wake_ms == 0 || wake_ms < world.lease_wake_ms;
    if (wake_ms == UINT64_MAX || !sooner)
        return;
    world.lease_wake_ms = wake_ms;
    struct op *tick = op_new(on_lease_tick, 0);
    tick->at_source = true;
    tick->boot = world.source.boot;
    uint64_t now_ms = source_now_ms();
    op_post(tick, wake_ms > now_ms ? wake_ms - now_ms : 0);
}

/* ---- requests ---- */

static void describe_subject(const struct op *op, struct bytes *out)
{
    const struct sim_task *task = &world.tasks[op->task];
    const struct model_snapshot *snapshot = &world.source.store.snapshots[task->name];
    bytes_append_span(out, digest_span(&snapshot->root));
    struct map_entry *root = map_find(&world.roots[task->name], &snapshot->root, 0);
    bytes_append_u64(out, root == NULL ? 0 : load_u64(root->bytes.data));
}

static enum lease_event_kind event_of(enum peer_method method)
{
    if (method == PEER_DESCRIBE)
        return LEASE_ON_DESCRIBE;
    if (method == PEER_RENEW)
        return LEASE_ON_RENEW;
    return method == PEER_END ? LEASE_ON_END : LEASE_ON_SERVE;
}

void source_request(struct op *op)
{
    struct serving *serving = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(world.servings) && serving == NULL; i++)
        if (!world.servings[i].used)
            serving = &world.servings[i];
    op->kept = true;
    if (serving == NULL) {
        err_set(&op->err, ERR_BUSY, "too many requests");
        answer(op, delay_short());
        return;
    }
    *serving = (struct serving){.used = true, .number = ++world.serving_last, .op = op};
    struct identity_key peer = destination_key();
    BYTES_CLEANUP struct bytes subject = {0};
    struct err verdict = {0};
    struct lease_event event = {.kind = event_of(op->method),
                                .request = serving->number,
                                .id = op->lease,
                                .peer = peer,
                                .verdict = &verdict};
    if (op->method == PEER_DESCRIBE) {
        const struct sim_task *task = &world.tasks[op->task];
        event.id = lease_id_of(&peer, &task->id);
        event.arguments = digest_of(DOMAIN_LEASE, span_of(&task->name, sizeof(task->name)));
        describe_subject(op, &subject);
        event.subject = bytes_span(&subject);
        if (!world.source.store.snapshots[task->name].present &&
            lease_find(&world.leases, &event.id) == NULL)
            err_set(&verdict, ERR_NOT_FOUND, "no such snapshot");
    }
    if (world.revoked[op->task])
        err_set(&verdict, ERR_DENIED, "no right");
    source_step(&event);
}

/* ---- faults ---- */

void source_crash(void)
{
    world.source.up = false;
    world.source.boot++;
    model_store_crash(&world.source.store);
    lease_table_deinit(&world.leases);
    world.lease_wake_ms = 0;
    for (size_t i = 0; i < ARRAY_COUNT(world.servings); i++) {
        if (!world.servings[i].used)
            continue;
        world.servings[i].used = false;
        answer_never(world.servings[i].op);
    }
}

void source_restart(void)
{
    world.source.up = true;
    trace_line("source is up");
    lease_table_init(&world.leases, LEASE_MS);
    for (size_t i = 0; i < TASKS; i++) {
        const struct lease_record *record = &world.lease_records[i];
        if (!record->present)
            continue;
        BYTES_CLEANUP struct bytes subject = {0};
        bytes_append_span(&subject, digest_span(&record->root));
        bytes_append_u64(&subject, record->bytes_total);
        size_t name = world.tasks[i].name;
        struct lease_event event = {.kind = LEASE_ON_LOADED,
                                    .id = record->id,
                                    .peer = destination_key(),
                                    .arguments =
                                        digest_of(DOMAIN_LEASE, span_of(&name, sizeof(name))),
                                    .subject = bytes_span(&subject)};
        source_step(&event);
    }
    world.quiet_since_ms = world.now_ms;
}

void source_revoke(size_t task)
{
    world.revoked[task] = true;
    if (!world.source.up)
        return;
    struct identity_key peer = destination_key();
    struct lease_event event = {.kind = LEASE_ON_REVOKED,
                                .id = lease_id_of(&peer, &world.tasks[task].id)};
    source_step(&event);
}

void source_snapshot_make(size_t name)
{
    uint64_t bytes;
    struct model_snapshot *snapshot = &world.source.store.snapshots[name];
    snapshot->root = model_snapshot_make(&world.source.store, &world.table, &bytes);
    snapshot->present = true;
    uint8_t encoded[8];
    store_u64(encoded, bytes);
    map_put(&world.roots[name], &snapshot->root, 0, span_of(encoded, sizeof(encoded)));
}
