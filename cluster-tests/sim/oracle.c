/* What must hold, checked from outside of both nodes. */
#include "cluster-tests/sim/world.h"

void oracle_stored(const struct sim_task *task, const struct digest *digest, struct span bytes,
                   bool is_page)
{
    struct digest is = is_page ? model_page_digest(bytes) : model_file_digest(bytes);
    if (digest_equal(&is, digest))
        map_put(&world.proved, digest, task->account, span_of(NULL, 0));
}

void oracle_published(const struct sim_task *task)
{
    world.visible[task->name] = true;
    const struct model_snapshot *snapshot = &world.destination.store.snapshots[task->name];
    trace_line("task %" PRIu64 ": PUBLISHED snapshot %zu", task->number, task->name);
    if (map_find(&world.roots[task->name], &snapshot->root, 0) == NULL)
        violate("task %" PRIu64 " published what its source never had", task->number);
    oracle_check("after a publish");
}

#define KEY_END_MS 60000 /* of finishing: a commit comes to its end, the record is written */

/* Which task's lease it is. */
static size_t lease_task(const struct lease_id *id)
{
    const struct identity_key destination = {{7}};
    for (size_t i = 0; i < world.task_count; i++) {
        struct lease_id is = lease_id_of(&destination, &world.tasks[i].id);
        if (digest_equal(&is.digest, &id->digest))
            return i;
    }
    return TASKS;
}

void oracle_lease_stepped(const struct lease_event *event)
{
    size_t task = lease_task(&event->id);
    const struct lease *lease = lease_find(&world.leases, &event->id);
    bool renews = event->kind == LEASE_ON_LOADED || event->kind == LEASE_ON_GRANTED ||
                  event->kind == LEASE_ON_RENEW || event->kind == LEASE_ON_DESCRIBE;
    if (task == TASKS)
        return;
    if (lease == NULL)
        world.lease_since_ms[task] = 0;
    else if (renews && lease->state == LEASE_ALIVE)
        world.lease_since_ms[task] = world.now_ms;
}

/* A period is LEASE_MS of time as it passes, whatever the clock of the day says. */
void oracle_lease_served(const struct lease_id *id)
{
    size_t task = lease_task(id);
    if (task < TASKS && world.now_ms - world.lease_since_ms[task] > LEASE_MS)
        violate("the lease of task %zu is served after its end", task + 1);
}

/* A lease may expire when its task cannot renew it, and not otherwise. */
void oracle_lease_expired(const struct lease_id *id)
{
    size_t ended = lease_task(id);
    if (ended < TASKS && world.lease_since_ms[ended] != 0 &&
        world.now_ms - world.lease_since_ms[ended] < LEASE_MS)
        violate("the lease of task %zu expired before its time", ended + 1);
    for (size_t i = 0; i < world.task_count; i++) {
        const struct sim_task *task = &world.tasks[i];
        bool runs = task->alive && world.destination.up && task->machine.phase == TASK_PHASE_PULL &&
                    task->machine.leased;
        if (!runs || world.excused[i] || !digest_equal(&task->lease.digest, &id->digest))
            continue;
        bool reachable = !world.partitioned && world.now_ms >= world.cut_until_ms;
        if (reachable && world.now_ms - world.quiet_since_ms > LEASE_MS)
            violate("the lease of task %" PRIu64 " expired while it was in use", task->number);
    }
}

void oracle_ended(const struct sim_task *task)
{
    enum task_state state = task->machine.state;
    world.counts->outcomes[state]++;
    trace_line("task %" PRIu64 ": ends %s %s", task->number, task_state_name(state),
               task->machine.err.message);
    size_t index = task->number - 1;
    enum err_code code = task->machine.err.code;
    bool dropped = code == ERR_NOT_FOUND && !world.source.store.snapshots[task->name].present;
    if (state == TASK_FAILED && !world.excused[index] && !dropped)
        violate("task %" PRIu64 " failed without a cause: %s", task->number,
                task->machine.err.message);
    if (code == ERR_PEER_KEY && world.now_ms - task->key_seen_ms > KEY_END_MS)
        violate("task %" PRIu64 " went on for %" PRIu64 " ms with a peer whose key is another",
                task->number, world.now_ms - task->key_seen_ms);
    if (task->key_seen_ms != 0 && state == TASK_DONE && !task->published_before_key)
        violate("task %" PRIu64 " is done by a peer whose key is another", task->number);
    if (state == TASK_CANCELLED && !task->record.cancel)
        violate("task %" PRIu64 " was cancelled by nobody", task->number);
    if ((state == TASK_DONE) != task->record.published)
        violate("task %" PRIu64 " is %s, published: %d", task->number, task_state_name(state),
                task->record.published);
}

static void page_closed(void *context, struct map_entry *entry)
{
    const struct model_store *store = context;
    struct model_page page = {0};
    struct digest is = model_page_digest(bytes_span(&entry->bytes));
    if (!digest_equal(&is, &entry->digest) || !model_page_decode(bytes_span(&entry->bytes), &page))
        violate("a page that is not what its name says");
    for (size_t i = 0; i < page.count; i++) {
        const struct map *below = page.level > 0 ? &store->pages : &store->files;
        if (map_find(below, &page.entries[i].digest, 0) == NULL)
            violate("a page of level %u is here and not all below it", page.level);
    }
}

static void held_proved(void *context, struct map_entry *entry)
{
    const struct model_store *store = context;
    struct map_entry *content = map_find(&store->files, &entry->digest, 0);
    if (content == NULL && map_find(&store->pages, &entry->digest, 0) == NULL)
        violate("held and not here");
    if (map_find(&world.proved, &entry->digest, entry->tag) == NULL)
        violate("held by account %" PRIu64 " and never proved", entry->tag);
    if (content == NULL)
        return;
    struct digest is = model_file_digest(bytes_span(&content->bytes));
    if (!digest_equal(&is, &entry->digest))
        violate("a file that is not what its name says");
}

void oracle_check(const char *when)
{
    struct model_store *store = &world.destination.store;
    for (size_t name = 0; name < MODEL_NAMES; name++) {
        const struct model_snapshot *snapshot = &store->snapshots[name];
        if (world.visible[name] && !snapshot->present)
            violate("snapshot %zu has vanished", name);
        if (snapshot->present && !model_whole(store, &snapshot->root))
            violate("snapshot %zu is visible and not whole", name);
    }
    map_each(&store->pages, page_closed, store);
    map_each(&store->held, held_proved, store);
    if (world.violation[0] != 0)
        trace_line("(found %s)", when);
}
