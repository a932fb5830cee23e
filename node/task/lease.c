#include "node/task/lease.h"

/* ---- tables and life ---- */

void lease_table_init(struct lease_table *table, uint64_t lease_ms)
{
    *table = (struct lease_table){.lease_ms = lease_ms};
}

void lease_table_deinit(struct lease_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        bytes_deinit(&table->leases[i].subject);
    mem_free(table->leases);
    *table = (struct lease_table){0};
}

void lease_actions_clear(struct lease_actions *actions)
{
    actions->count = 0;
}

void lease_actions_deinit(struct lease_actions *actions)
{
    mem_free(actions->list);
    *actions = (struct lease_actions){0};
}

static struct lease_action *action_add(struct lease_actions *actions, enum lease_action_kind kind,
                                       const struct lease_event *event)
{
    if (actions->count == actions->capacity) {
        actions->capacity = actions->capacity == 0 ? 8 : 2 * actions->capacity;
        actions->list = mem_realloc(actions->list, actions->capacity, sizeof(struct lease_action));
    }
    struct lease_action *action = &actions->list[actions->count++];
    *action = (struct lease_action){.kind = kind, .request = event->request, .id = event->id};
    return action;
}

struct lease_id lease_id_of(const struct identity_key *peer, const struct task_id *task)
{
    struct digest_state state;
    digest_init(&state, DOMAIN_LEASE);
    digest_update_part(&state, span_of(peer->b, sizeof(peer->b)));
    digest_update_part(&state, span_of(task->b, sizeof(task->b)));
    return (struct lease_id){digest_final(&state)};
}

static struct lease *table_find(const struct lease_table *table, const struct lease_id *id)
{
    for (size_t i = 0; i < table->count; i++)
        if (digest_equal(&table->leases[i].id.digest, &id->digest))
            return &table->leases[i];
    return NULL;
}

const struct lease *lease_find(const struct lease_table *table, const struct lease_id *id)
{
    const struct lease *lease = table_find(table, id);
    return lease != NULL && lease->state != LEASE_DROPPING ? lease : NULL;
}

size_t lease_count(const struct lease_table *table)
{
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++)
        count += table->leases[i].state != LEASE_DROPPING;
    return count;
}

static struct lease *table_add(struct lease_table *table, const struct lease_event *event)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 8 : 2 * table->capacity;
        table->leases = mem_realloc(table->leases, table->capacity, sizeof(struct lease));
    }
    struct lease *lease = &table->leases[table->count++];
    *lease = (struct lease){.id = event->id, .peer = event->peer, .arguments = event->arguments};
    bytes_append_span(&lease->subject, event->subject);
    return lease;
}

static void table_remove(struct lease_table *table, struct lease *lease)
{
    bytes_deinit(&lease->subject);
    *lease = table->leases[--table->count];
}

static bool peer_equal(const struct identity_key *a, const struct identity_key *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static size_t peer_leases(const struct lease_table *table, const struct identity_key *peer)
{
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++)
        count += peer_equal(&table->leases[i].peer, peer);
    return count;
}

/* ---- answers ---- */

static void reply(struct lease_actions *actions, const struct lease_event *event,
                  const struct err *err)
{
    struct lease_action *action = action_add(actions, LEASE_DO_REPLY, event);
    if (err != NULL)
        action->err = *err;
}

static void reply_code(struct lease_actions *actions, const struct lease_event *event,
                       enum err_code code, const char *text)
{
    struct err err;
    err_set(&err, code, "%s", text);
    reply(actions, event, &err);
}

static void reply_gone(struct lease_actions *actions, const struct lease_event *event)
{
    if (event->request != 0)
        reply_code(actions, event, ERR_LEASE_GONE, "no such lease");
}

static bool allowed(const struct lease_event *event)
{
    return event->verdict == NULL || event->verdict->code == ERR_OK;
}

/* It stays in the table until its record is gone (invariant 5). */
static void lease_drop(struct lease *lease, const struct lease_event *event,
                       struct lease_actions *actions)
{
    struct lease_action *action = action_add(actions, LEASE_DO_DROP, event);
    action->request = 0;
    action->id = lease->id;
    lease->state = LEASE_DROPPING;
    lease->expires_ms = UINT64_MAX;
}

/* The lease if it is alive and this peer's, and the rights still stand; else it is answered. */
static struct lease *lease_usable(struct lease_table *table, const struct lease_event *event,
                                  struct lease_actions *actions)
{
    struct lease *lease = table_find(table, &event->id);
    if (lease == NULL || lease->state != LEASE_ALIVE || !peer_equal(&lease->peer, &event->peer)) {
        reply_gone(actions, event);
        return NULL;
    }
    if (event->now_ms >= lease->expires_ms || !allowed(event)) {
        lease_drop(lease, event, actions);
        reply_gone(actions, event);
        return NULL;
    }
    return lease;
}

/* ---- events ---- */

typedef void event_function(struct lease_table *table, const struct lease_event *event,
                            struct lease_actions *actions);

static void on_loaded(struct lease_table *table, const struct lease_event *event,
                      struct lease_actions *actions)
{
    (void)actions;
    if (table_find(table, &event->id) != NULL || table->count >= LEASES_MAX)
        return;
    struct lease *lease = table_add(table, event);
    lease->state = LEASE_ALIVE;
    lease->expires_ms = event->now_ms + table->lease_ms;
}

static void describe_known(struct lease_table *table, struct lease *lease,
                           const struct lease_event *event, struct lease_actions *actions)
{
    bool same = digest_equal(&lease->arguments, &event->arguments);
    if (!peer_equal(&lease->peer, &event->peer) || (!same && lease->state != LEASE_DROPPING)) {
        reply_code(actions, event, ERR_PARAMETER, "this task was described with other arguments");
        return;
    }
    if (lease->state == LEASE_GRANTING) {
        reply_code(actions, event, ERR_BUSY, "the lease is being granted");
        return;
    }
    if (lease->state == LEASE_DROPPING) {
        reply_code(actions, event, ERR_BUSY, "an earlier lease of this task is being ended");
        return;
    }
    lease->expires_ms = event->now_ms + table->lease_ms;
    reply(actions, event, NULL);
}

static void on_describe(struct lease_table *table, const struct lease_event *event,
                        struct lease_actions *actions)
{
    struct lease *lease = table_find(table, &event->id);
    bool ended = lease != NULL && lease->state == LEASE_ALIVE &&
                 (event->now_ms >= lease->expires_ms || !allowed(event)) &&
                 peer_equal(&lease->peer, &event->peer);
    if (ended)
        lease_drop(lease, event, actions);
    if (!allowed(event)) {
        reply(actions, event, event->verdict);
        return;
    }
    if (lease != NULL) {
        describe_known(table, lease, event, actions);
        return;
    }
    if (table->count >= LEASES_MAX || peer_leases(table, &event->peer) >= LEASES_PER_PEER_MAX) {
        reply_code(actions, event, ERR_BUSY, "too many leases");
        return;
    }
    lease = table_add(table, event);
    lease->state = LEASE_GRANTING;
    lease->grant_request = event->request;
    lease->expires_ms = UINT64_MAX;
    action_add(actions, LEASE_DO_GRANT, event);
}

static void on_granted(struct lease_table *table, const struct lease_event *event,
                       struct lease_actions *actions)
{
    struct lease *lease = table_find(table, &event->id);
    if (lease == NULL || lease->state != LEASE_GRANTING || lease->grant_request != event->request)
        return;
    if (!allowed(event)) {
        table_remove(table, lease);
        reply(actions, event, event->verdict);
        return;
    }
    lease->state = LEASE_ALIVE;
    lease->expires_ms = event->now_ms + table->lease_ms;
    reply(actions, event, NULL);
}

static void on_renew(struct lease_table *table, const struct lease_event *event,
                     struct lease_actions *actions)
{
    struct lease *lease = lease_usable(table, event, actions);
    if (lease == NULL)
        return;
    lease->expires_ms = event->now_ms + table->lease_ms;
    reply(actions, event, NULL);
}

static void on_serve(struct lease_table *table, const struct lease_event *event,
                     struct lease_actions *actions)
{
    if (lease_usable(table, event, actions) != NULL)
        action_add(actions, LEASE_DO_SERVE, event);
}

static void on_end(struct lease_table *table, const struct lease_event *event,
                   struct lease_actions *actions)
{
    struct lease *lease = lease_usable(table, event, actions);
    if (lease == NULL)
        return;
    lease_drop(lease, event, actions);
    reply(actions, event, NULL);
}

static void on_revoked(struct lease_table *table, const struct lease_event *event,
                       struct lease_actions *actions)
{
    struct lease *lease = table_find(table, &event->id);
    if (lease != NULL && lease->state == LEASE_ALIVE)
        lease_drop(lease, event, actions);
}

static void on_dropped(struct lease_table *table, const struct lease_event *event,
                       struct lease_actions *actions)
{
    (void)actions;
    struct lease *lease = table_find(table, &event->id);
    if (lease == NULL || lease->state != LEASE_DROPPING)
        return;
    if (allowed(event))
        table_remove(table, lease);
    else
        lease->expires_ms = event->now_ms + LEASE_DROP_RETRY_MS;
}

static void on_tick(struct lease_table *table, const struct lease_event *event,
                    struct lease_actions *actions)
{
    for (size_t i = table->count; i-- > 0;)
        if (event->now_ms >= table->leases[i].expires_ms)
            lease_drop(&table->leases[i], event, actions);
}

static event_function *const event_functions[LEASE_EVENT_COUNT] = {
    [LEASE_ON_LOADED] = on_loaded,   [LEASE_ON_DESCRIBE] = on_describe,
    [LEASE_ON_GRANTED] = on_granted, [LEASE_ON_RENEW] = on_renew,
    [LEASE_ON_SERVE] = on_serve,     [LEASE_ON_END] = on_end,
    [LEASE_ON_REVOKED] = on_revoked, [LEASE_ON_DROPPED] = on_dropped,
    [LEASE_ON_TICK] = on_tick,
};

void lease_step(struct lease_table *table, const struct lease_event *event,
                struct lease_actions *actions)
{
    if (event->kind < LEASE_EVENT_COUNT)
        event_functions[event->kind](table, event, actions);
}

uint64_t lease_wake_ms(const struct lease_table *table)
{
    uint64_t wake_ms = UINT64_MAX;
    for (size_t i = 0; i < table->count; i++)
        if (table->leases[i].expires_ms < wake_ms)
            wake_ms = table->leases[i].expires_ms;
    return wake_ms;
}
