/* The destination: the task machine with a model store. */
#include "cluster-tests/sim/world.h"

static const char *const event_names[] = {
#define X(event, name) [event] = name,
    TASK_EVENTS(X)
#undef X
};
static const char *const action_names[] = {
#define X(action, name) [action] = name,
    TASK_ACTIONS(X)
#undef X
};

static struct model_store *store(void)
{
    return &world.destination.store;
}

static void action_do(size_t index, const struct task_action *action);
static void on_tick(struct op *op);

/* As node/task/window.c does it while a pull runs. */
static void window_change(struct walk *walk)
{
    struct chance *chance = &world.chance;
    walk_set_window(walk, 100 + chance_below(chance, 400), 100 + chance_below(chance, 200),
                    1 + chance_below(chance, world.slow ? 2 : 4));
}

static void step(size_t index, struct task_event *event);

/* ---- claims: as xcopy_pull.c has them ---- */

static struct account_id account_of(const struct sim_task *task)
{
    return (struct account_id){task->account};
}

static void on_released(struct op *op)
{
    struct task_event event = {.kind = TASK_ON_RELEASED};
    step(op->task, &event);
}

static void claims_give_up(size_t index, size_t released)
{
    for (size_t i = 0; i < world.task_count && released > 0; i++) {
        struct sim_task *task = &world.tasks[i];
        if (i == index || !task->waits_elsewhere || task->account != world.tasks[index].account)
            continue;
        task->waits_elsewhere = false;
        op_post(op_new(on_released, i), 0);
    }
}

static void file_release(struct sim_task *task, const struct digest *digest)
{
    claims_give_up(task->number - 1, claims_release(&world.claims, account_of(task), digest, task));
}

static void step(size_t index, struct task_event *event)
{
    struct sim_task *task = &world.tasks[index];
    if (!task->alive)
        return;
    event->now_ms = world.now_ms;
    event->random = chance_next(&world.chance);
    world.counts->task_events[event->kind]++;
    if (event->kind != TASK_ON_TICK)
        trace_line("task %" PRIu64 ": %s %s", task->number, event_names[event->kind],
                   event->err != NULL && event->err->code != ERR_OK ? event->err->message : "");
    struct task_actions actions = {0};
    if (chance_percent(&world.chance, 5))
        window_change(&task->machine.walk);
    task_step(&task->machine, event, &actions);
    bool waits = task_waits(&task->machine);
    if (task->generation != task->machine.walk.generation || (waits && !task->waited)) {
        task->generation = task->machine.walk.generation;
        claims_give_up(index, claims_release_all(&world.claims, task));
    }
    task->waited = waits;
    for (size_t i = 0; i < actions.count; i++)
        action_do(index, &actions.list[i]);
    task_actions_deinit(&actions);
    uint64_t wake_ms = task_wake_ms(&task->machine);
    bool sooner = task->wake_ms == 0 || wake_ms < task->wake_ms;
    if (wake_ms == UINT64_MAX || !sooner)
        return;
    task->wake_ms = wake_ms;
    op_post(op_new(on_tick, index), wake_ms > world.now_ms ? wake_ms - world.now_ms : 0);
}

static void on_tick(struct op *op)
{
    world.tasks[op->task].wake_ms = 0;
    struct task_event event = {.kind = TASK_ON_TICK};
    step(op->task, &event);
}

static void answer(const struct op *op, enum task_event_kind kind)
{
    struct task_event event = {.kind = kind, .request = op->request, .err = &op->err};
    step(op->task, &event);
}

/* ---- places ---- */

#define PLACE_BYTES 8

static void place_encode(uint32_t partition, uint32_t index, uint8_t place[PLACE_BYTES])
{
    store_u32(place, partition);
    store_u32(place + 4, index);
}

static struct want_item want_of(const struct walk_item *item)
{
    struct want_item want = {.kind = item->kind,
                             .level = item->level,
                             .digest = item->digest,
                             .bytes = (uint32_t)item->bytes};
    if (item->place_bytes == PLACE_BYTES) {
        want.partition = load_u32(item->place);
        want.index = load_u32(item->place + 4);
    }
    return want;
}

/* ---- plan ---- */

struct plan {
    struct walk_need needs[ARRAY_COUNT(((struct model_page *)NULL)->entries)];
    uint8_t places[ARRAY_COUNT(((struct model_page *)NULL)->entries)][PLACE_BYTES];
    size_t count;
};

static void plan_need(struct plan *plan, const struct walk_need *need, uint32_t partition,
                      uint32_t index)
{
    place_encode(partition, index, plan->places[plan->count]);
    plan->needs[plan->count] = *need;
    plan->needs[plan->count].place = span_of(plan->places[plan->count], PLACE_BYTES);
    plan->count++;
}

static void plan_page(struct plan *plan, const struct sim_task *task, const struct digest *digest,
                      unsigned level, uint32_t partition)
{
    if (model_page_rely(store(), digest, task->account, task->number))
        return;
    struct walk_need need = {.kind = WALK_PAGE, .digest = *digest, .level = (uint8_t)level};
    need.staged = map_find(&store()->staged, digest, task->number) != NULL;
    plan_need(plan, &need, partition, 0);
}

static void plan_file(struct plan *plan, const struct sim_task *task,
                      const struct model_entry *entry)
{
    if (model_file_rely(store(), &entry->digest, task->account, task->number))
        return;
    if (world.plant == PLANT_TRUST_PROGRESS && map_find(&task->progress, &entry->digest, 0) != NULL)
        return;
    struct walk_need need = {.kind = WALK_FILE, .digest = entry->digest, .bytes = entry->bytes};
    plan_need(plan, &need, entry->partition, entry->index);
}

static void on_plan(struct op *op)
{
    struct sim_task *task = &world.tasks[op->task];
    struct plan plan = {.count = 0};
    if (op->value == 1) { /* the top */
        plan_page(&plan, task, &task->root, MODEL_ROOT_LEVEL, 0);
    } else {
        struct map_entry *entry = map_find(&store()->staged, &op->items[0].digest, task->number);
        struct model_page page = {0};
        if (entry == NULL || !model_page_decode(bytes_span(&entry->bytes), &page))
            err_set(&op->err, ERR_NOT_FOUND, "a staged page is gone");
        for (size_t i = 0; i < page.count; i++) {
            if (page.level > 0)
                plan_page(&plan, task, &page.entries[i].digest, page.level - 1,
                          page.entries[i].partition);
            else
                plan_file(&plan, task, &page.entries[i]);
        }
    }
    struct task_event event = {.kind = TASK_ON_PLANNED,
                               .request = op->request,
                               .err = &op->err,
                               .planned = {.needs = plan.needs, .need_count = plan.count}};
    step(op->task, &event);
}

/* ---- commit, publish, finish ---- */

static bool commit_item(struct op *op, const struct want_item *item)
{
    struct sim_task *task = &world.tasks[op->task];
    bool trust = world.plant == PLANT_TRUST_PROGRESS;
    if (item->kind == WALK_PAGE)
        return item->level > MODEL_ROOT_LEVEL || /* the top has no bytes */
               model_page_promote(store(), &item->digest, task->account, task->number, trust);
    struct map_entry *file = map_find(&task->unsynced, &item->digest, 0);
    if (file == NULL)
        return model_file_rely(store(), &item->digest, task->account, task->number);
    model_file_put(store(), bytes_span(&file->bytes), &item->digest, task->account);
    map_put(&store()->pins, &item->digest, task->number, span_of(NULL, 0));
    map_delete(&task->unsynced, &item->digest, 0);
    return true;
}

static void ends_sync(void)
{
    for (size_t i = 0; i < world.task_count; i++)
        world.tasks[i].record.end_later = false;
}

static void commit_end(struct op *op)
{
    struct sim_task *task = &world.tasks[op->task];
    bool is_last = false; /* the publish will sync what it wrote */
    for (size_t i = 0; i < op->item_count; i++)
        is_last = is_last || op->items[i].level > MODEL_ROOT_LEVEL;
    task->torn = false;
    if (op->err.code == ERR_OK && !is_last)
        ends_sync();
    for (size_t i = 0; i < op->item_count; i++)
        if (op->items[i].kind == WALK_FILE)
            file_release(task, &op->items[i].digest);
    if (world.plant != PLANT_PUBLISH_BEFORE_DURABLE)
        answer(op, TASK_ON_COMMITTED);
}

/* In two parts, so that a crash may fall between. */
static void on_commit(struct op *op)
{
    struct sim_task *task = &world.tasks[op->task];
    if (world.disk_full) {
        err_set(&op->err, ERR_NO_SPACE, "disk full");
        commit_end(op);
        return;
    }
    size_t end = op->step == 0 ? chance_below(&world.chance, op->item_count + 1) : op->item_count;
    for (; op->step < end; op->step++) {
        if (commit_item(op, &op->items[op->step]))
            continue;
        err_set(&op->err, ERR_NOT_FOUND, "below a page of the commit something is not here");
        commit_end(op);
        return;
    }
    if (op->step < op->item_count) {
        task->torn = true;
        op_post(op, delay_short());
        world_trouble_soon();
        return;
    }
    commit_end(op);
}

static void on_committed_early(struct op *op)
{
    answer(op, TASK_ON_COMMITTED);
}

static void snapshot_put(struct op *op)
{
    struct sim_task *task = &world.tasks[op->task];
    store()->snapshots[task->name] = (struct model_snapshot){true, op->root};
    task->record.published = true;
    ends_sync();
    task->record.counters = task->machine.counters;
    oracle_published(task);
    struct task_event event = {.kind = TASK_ON_PUBLISHED,
                               .request = op->request,
                               .err = &op->err,
                               .counters = task->record.counters};
    step(op->task, &event);
}

static void on_publish(struct op *op)
{
    struct sim_task *task = &world.tasks[op->task];
    if (op->request == task->prevented)
        return;
    op->root = task->root;
    bool early = world.plant == PLANT_PUBLISH_BEFORE_DURABLE;
    if (world.destination_denied)
        err_set(&op->err, ERR_DENIED, "no right to create it");
    else if (world.disk_full)
        err_set(&op->err, ERR_NO_SPACE, "disk full");
    else if (!early && !model_page_rely(store(), &op->root, task->account, task->number))
        err_set(&op->err, ERR_NOT_FOUND, "the root is not here");
    if (op->err.code != ERR_OK) {
        answer(op, TASK_ON_PUBLISHED);
        return;
    }
    if (world.plant == PLANT_HALF_OVERWRITE && store()->snapshots[task->name].present) {
        store()->snapshots[task->name].present = false;
        op->run = snapshot_put;
        op_post(op, delay_short());
        return;
    }
    world_trouble_soon();
    snapshot_put(op);
}

static void on_finish(struct op *op)
{
    struct sim_task *task = &world.tasks[op->task];
    map_delete_tag(&store()->staged, task->number);
    map_delete_tag(&store()->pins, task->number);
    map_clear(&task->unsynced);
    task->record.ended = true;
    task->record.end_later = task->machine.outcome == TASK_DONE;
    if (task->record.end_later)
        world_end_crash();
    answer(op, TASK_ON_FINISHED);
    oracle_ended(task);
    task_deinit(&task->machine);
    task->alive = false;
}

static void on_check(struct op *op)
{
    if (world.destination_denied)
        err_set(&op->err, ERR_DENIED, "no right to create it");
    answer(op, TASK_ON_CHECKED);
}

/* ---- requests ---- */

static void on_sifted(struct op *op);

static void request_send(size_t index, const struct task_action *action, enum peer_method method)
{
    struct sim_task *task = &world.tasks[index];
    struct op *op = op_new(NULL, index);
    op->request = action->request;
    op->method = method;
    op->lease = task->lease;
    if (method == PEER_GET_PAGES || method == PEER_GET_FILES) {
        const struct walk_request *want = action->want;
        op->item_count = want->item_count;
        op->items = mem_calloc(want->item_count, sizeof(*op->items));
        op->reply_bytes = want->reply_bytes;
        for (size_t i = 0; i < want->item_count; i++)
            op->items[i] = want_of(want->items[i]);
    }
    if (method != PEER_GET_FILES) {
        source_network(op);
        return;
    }
    op->run = on_sifted;
    op_post(op, 0);
}

/* What of a request for files another task is pulling or has brought. True: nothing, and all of it is
 * claimed. */
static bool files_sift(struct op *op, enum walk_result *results)
{
    struct sim_task *task = &world.tasks[op->task];
    bool all = true;
    for (size_t i = 0; i < op->item_count; i++) {
        const struct want_item *item = &op->items[i];
        results[i] = WALK_LEFT;
        if (!claims_take(&world.claims, account_of(task), &item->digest, task))
            results[i] = WALK_TAKEN;
        else if (model_file_rely(store(), &item->digest, task->account, task->number))
            results[i] = WALK_HELD;
        task->waits_elsewhere = task->waits_elsewhere || results[i] == WALK_TAKEN;
        all = all && results[i] == WALK_LEFT;
    }
    return all;
}

static void on_sifted(struct op *op)
{
    struct sim_task *task = &world.tasks[op->task];
    enum walk_result *results = mem_calloc(op->item_count + 1, sizeof(*results));
    if (files_sift(op, results)) {
        op->kept = true;
        source_network(op);
    } else {
        for (size_t i = 0; i < op->item_count; i++)
            if (results[i] == WALK_HELD)
                file_release(task, &op->items[i].digest);
        struct task_event event = {.kind = TASK_ON_GOT,
                                   .request = op->request,
                                   .err = &op->err,
                                   .got = {.results = results, .result_count = op->item_count}};
        step(op->task, &event);
    }
    mem_free(results);
}

static enum walk_result item_take(struct sim_task *task, const struct want_item *item,
                                  struct span bytes)
{
    struct model_page page;
    struct digest is =
        item->kind == WALK_PAGE ? model_page_digest(bytes) : model_file_digest(bytes);
    bool right = digest_equal(&is, &item->digest);
    if (item->kind == WALK_PAGE) {
        if (!right || !model_page_decode(bytes, &page) || page.level != item->level)
            return WALK_WRONG;
        map_put(&store()->staged, &item->digest, task->number, bytes);
    } else {
        if (bytes.len != item->bytes || (!right && world.plant != PLANT_ACCEPT_WRONG_DIGEST))
            return WALK_WRONG;
        map_put(&task->unsynced, &item->digest, 0, bytes);
        map_put(&task->progress, &item->digest, 0, span_of(NULL, 0));
    }
    oracle_stored(task, &item->digest, bytes, item->kind == WALK_PAGE);
    return WALK_STORED;
}

static void got(struct op *op)
{
    struct sim_task *task = &world.tasks[op->task];
    enum walk_result *results = mem_calloc(op->item_count + 1, sizeof(*results));
    size_t served = op->lengths.len / 4;
    struct reader body = reader_of(bytes_span(&op->body));
    if (world.disk_full && chance_percent(&world.chance, 50))
        err_set(&op->err, ERR_NO_SPACE, "disk full");
    /* An answer that the machine no longer waits for is not stored. */
    bool known = task->alive && walk_request_find(&task->machine.walk, op->request) != NULL;
    for (size_t i = 0; i < op->item_count && op->err.code == ERR_OK && known; i++) {
        results[i] = WALK_LEFT;
        if (i >= served)
            continue;
        struct span part = reader_span(&body, load_u32(op->lengths.data + 4 * i));
        results[i] = item_take(task, &op->items[i], part);
    }
    for (size_t i = 0; i < op->item_count; i++) {
        bool arrived = known && op->err.code == ERR_OK && results[i] == WALK_STORED;
        if (op->items[i].kind == WALK_FILE && !arrived)
            file_release(task, &op->items[i].digest);
    }
    struct task_event event = {
        .kind = TASK_ON_GOT,
        .request = op->request,
        .err = &op->err,
        .wire_bytes = op->body.len,
        .got = {.results = results, .result_count = op->item_count, .reason = "wrong bytes"}};
    step(op->task, &event);
    mem_free(results);
}

static void described(struct op *op)
{
    struct sim_task *task = &world.tasks[op->task];
    bool waited =
        task->machine.phase == TASK_PHASE_DESCRIBE && task->machine.control == op->request;
    if (op->err.code == ERR_OK && waited) {
        task->lease = op->lease;
        task->root = op->root;
    }
    struct task_event event = {.kind = TASK_ON_DESCRIBED,
                               .request = op->request,
                               .err = &op->err,
                               .described = {.version = op->root,
                                             .partitions = MODEL_PARTITIONS,
                                             .bytes = op->bytes_total}};
    step(op->task, &event);
}

void destination_reply(struct op *op)
{
    struct sim_task *task = &world.tasks[op->task];
    if (!task->alive)
        return;
    if (op->err.code == ERR_PEER_KEY && task->key_seen_ms == 0) {
        task->key_seen_ms = world.now_ms;
        task->published_before_key = task->record.published;
    }
    if (op->method == PEER_DESCRIBE)
        described(op);
    else if (op->method == PEER_RENEW)
        answer(op, TASK_ON_RENEWED);
    else if (op->method == PEER_RECEIPT)
        answer(op, TASK_ON_RECEIPTED);
    else if (op->method != PEER_END)
        got(op);
}

/* ---- actions ---- */

static void local(size_t index, const struct task_action *action, void (*run)(struct op *op))
{
    struct op *op = op_new(run, index);
    op->request = action->request;
    op_post(op, delay_short());
}

static void do_plan(size_t index, const struct task_action *action)
{
    struct op *op = op_new(on_plan, index);
    op->request = action->request;
    op->items = mem_calloc(1, sizeof(*op->items));
    op->items[0] = want_of(action->item);
    op->item_count = 1;
    op->value = action->item->parent == NULL;
    op_post(op, delay_short());
}

static void do_commit(size_t index, const struct task_action *action)
{
    struct op *op = op_new(on_commit, index);
    op->request = action->request;
    const struct walk_item *item;
    TAILQ_FOREACH(item, action->commit, link)
    op->item_count++;
    op->items = mem_calloc(op->item_count, sizeof(*op->items));
    size_t i = 0;
    TAILQ_FOREACH(item, action->commit, link)
    op->items[i++] = want_of(item);
    if (world.plant == PLANT_PUBLISH_BEFORE_DURABLE) {
        local(index, action, on_committed_early);
        op_post(op, 200 + chance_below(&world.chance, 2000));
        return;
    }
    op_post(op, delay_short());
}

static void do_renew(size_t index, const struct task_action *action)
{
    if (world.plant != PLANT_NO_RENEW) {
        request_send(index, action, PEER_RENEW);
        return;
    }
    struct op *op = op_new(destination_reply, index);
    op->method = PEER_RENEW;
    op->request = action->request;
    op_post(op, delay_short());
}

static void action_do(size_t index, const struct task_action *action)
{
    world.counts->task_actions[action->kind]++;
    if (world.tasks[index].machine.state == TASK_CANCELLED && action->kind != TASK_DO_END_LEASE &&
        action->kind != TASK_DO_FINISH)
        violate("task %zu is cancelled and asks for %s", index + 1, action_names[action->kind]);
    trace_line("task %zu:   -> %s", index + 1, action_names[action->kind]);
    switch (action->kind) {
    case TASK_DO_CHECK:
        local(index, action, on_check);
        break;
    case TASK_DO_DESCRIBE:
        request_send(index, action, PEER_DESCRIBE);
        break;
    case TASK_DO_RENEW:
        do_renew(index, action);
        break;
    case TASK_DO_PLAN:
        do_plan(index, action);
        break;
    case TASK_DO_GET_PAGES:
        request_send(index, action, PEER_GET_PAGES);
        break;
    case TASK_DO_GET_FILES:
        request_send(index, action, PEER_GET_FILES);
        break;
    case TASK_DO_COMMIT:
        do_commit(index, action);
        break;
    case TASK_DO_PUBLISH:
        local(index, action, on_publish);
        break;
    case TASK_DO_RECEIPT:
        request_send(index, action, PEER_RECEIPT);
        break;
    case TASK_DO_END_LEASE:
        request_send(index, action, PEER_END);
        break;
    case TASK_DO_FINISH:
        local(index, action, on_finish);
        break;
    case TASK_ACTION_COUNT:
    default:
        violate("unknown action of the task machine");
        break;
    }
}

/* ---- life ---- */

void destination_task_start(size_t index)
{
    struct sim_task *task = &world.tasks[index];
    struct task_settings settings = task_settings_default("source");
    struct chance *chance = &world.chance;
    settings.walk = (struct walk_limits){
        .window_bytes = 100 + chance_below(chance, 400),
        .batch_bytes = 100 + chance_below(chance, 200),
        .batch_items = 1 + chance_below(chance, world.slow ? 2 : 5),
        .requests = 1 + chance_below(chance, world.slow ? 2 : 4),
        .plans = 1 + chance_below(chance, 2),
        .pages_open = 2 + chance_below(chance, 10),
        .commit_bytes = 100 + chance_below(chance, 500),
        .commit_pages = 1 + chance_below(chance, 6),
        .commit_files = 2 + chance_below(chance, 20),
        .wrong_bytes_tries = TASK_WRONG_BYTES_TRIES,
    };
    task_init(&task->machine, &settings);
    task->alive = true;
    task->wake_ms = 0;
    task->generation = 0;
    task->waits_elsewhere = task->waited = false;
    task->prevented = 0;
    task->root = (struct digest){0};
    struct identity_key key = {
        {7}}; /* a lease id is derived, so that a receipt needs no describe */
    task->lease = lease_id_of(&key, &task->id);
    struct task_event event = {.kind = TASK_ON_START,
                               .start = {.published = task->record.published,
                                         .cancel = task->record.cancel,
                                         .counters = task->record.counters}};
    step(index, &event);
}

void destination_task_cancel(size_t index)
{
    struct sim_task *task = &world.tasks[index];
    if (task->record.ended)
        return;
    task->record.cancel = true;
    struct task_event event = {.kind = TASK_ON_CANCEL};
    step(index, &event);
    if (!task->alive || !task->machine.publishing || chance_percent(&world.chance, 30))
        return; /* there is nothing to publish, or its commit is under way */
    struct err err;
    err_set(&err, ERR_CANCELLED, "cancelled before its commit");
    task->prevented = task->machine.control;
    struct task_event prevented = {
        .kind = TASK_ON_PUBLISHED, .request = task->prevented, .err = &err};
    step(index, &prevented);
    if (task->machine.state != TASK_CANCELLED)
        violate("task %" PRIu64 " goes on though it will not be published", task->number);
}

void destination_task_withdraw(size_t index)
{
    struct err err;
    err_set(&err, ERR_DENIED, "no right to create it any more");
    struct task_event event = {.kind = TASK_ON_WITHDRAWN, .err = &err};
    step(index, &event);
}

void destination_crash(void)
{
    world.destination.up = false;
    world.destination.boot++;
    model_store_crash(store());
    claims_deinit(&world.claims);
    for (size_t i = 0; i < world.task_count; i++) {
        struct sim_task *task = &world.tasks[i];
        if (task->unsynced.count > 0)
            fault_count(FAULT_UNSYNCED_LOST);
        if (task->torn)
            fault_count(FAULT_TORN_COMMIT);
        if (task->record.end_later) {
            fault_count(FAULT_END_LOST);
            task->record.ended = false;
        }
        task->record.end_later = false;
        task->torn = false;
        map_clear(&task->unsynced);
        if (task->alive)
            task_deinit(&task->machine);
        task->alive = false;
    }
    world.quiet_since_ms = world.now_ms;
}
