#include "node/task/xcopy_destination.h"

#include <stdatomic.h>

#include "node/task/xcopy_pull.h"

#define TASK_KEPT_MS (24 * 3600 * 1000)

struct tasks {
    struct tasks_options options;
    pthread_mutex_t lock; /* pulls: the array; each pull has a lock of its own, never both */
    struct pull **pulls;  /* in order of start; only the loop takes one out */
    size_t pull_count, pull_capacity;
    bool stopped;                            /* the loop's */
    _Atomic uint64_t page_bytes, file_bytes; /* received */
};

bool tasks_stopped(const struct tasks *tasks)
{
    return tasks->stopped;
}

void tasks_received(struct tasks *tasks, enum walk_kind kind, size_t reply_bytes)
{
    _Atomic uint64_t *total = kind == WALK_PAGE ? &tasks->page_bytes : &tasks->file_bytes;
    atomic_fetch_add_explicit(total, reply_bytes, memory_order_relaxed);
}

struct tasks_traffic tasks_traffic_get(struct tasks *tasks)
{
    return (struct tasks_traffic){
        .page_bytes = atomic_load_explicit(&tasks->page_bytes, memory_order_relaxed),
        .file_bytes = atomic_load_explicit(&tasks->file_bytes, memory_order_relaxed),
    };
}

/* ---- the list ---- */

static void list_add(struct tasks *tasks, struct pull *pull)
{
    pthread_mutex_lock(&tasks->lock);
    if (tasks->pull_count == tasks->pull_capacity) {
        tasks->pull_capacity = tasks->pull_capacity == 0 ? 16 : 2 * tasks->pull_capacity;
        tasks->pulls = mem_realloc(tasks->pulls, tasks->pull_capacity, sizeof(struct pull *));
    }
    tasks->pulls[tasks->pull_count++] = pull;
    pthread_mutex_unlock(&tasks->lock);
}

static size_t list_count(struct tasks *tasks)
{
    pthread_mutex_lock(&tasks->lock);
    size_t count = tasks->pull_count;
    pthread_mutex_unlock(&tasks->lock);
    return count;
}

/* On the loop: it stays. */
static struct pull *list_at(struct tasks *tasks, size_t i)
{
    pthread_mutex_lock(&tasks->lock);
    struct pull *pull = tasks->pulls[i];
    pthread_mutex_unlock(&tasks->lock);
    return pull;
}

/* With a reference. */
static struct pull *list_find(struct tasks *tasks, const struct task_id *id)
{
    struct pull *found = NULL;
    pthread_mutex_lock(&tasks->lock);
    for (size_t i = 0; i < tasks->pull_count && found == NULL; i++)
        if (memcmp(tasks->pulls[i]->record.id.b, id->b, sizeof(id->b)) == 0)
            found = tasks->pulls[i];
    if (found != NULL)
        pull_ref(found);
    pthread_mutex_unlock(&tasks->lock);
    return found;
}

/* With a reference to each; the array is the caller's. */
static struct pull **list_copy(struct tasks *tasks, size_t *ret_count)
{
    pthread_mutex_lock(&tasks->lock);
    struct pull **copy = mem_calloc(tasks->pull_count + 1, sizeof(struct pull *));
    for (size_t i = 0; i < tasks->pull_count; i++) {
        copy[i] = tasks->pulls[i];
        pull_ref(copy[i]);
    }
    *ret_count = tasks->pull_count;
    pthread_mutex_unlock(&tasks->lock);
    return copy;
}

static void list_copy_free(struct pull **copy, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pull_unref(copy[i]);
    mem_free(copy);
}

/* ---- old ones go ---- */

static enum err_code record_forget(struct tasks *tasks, const struct task_id *id, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    catalog_delete(&change, FAMILY_TASKS, xcopy_key('t', id, key));
    return catalog_commit(tasks->options.store, &change, CATALOG_USE_RESERVE, err);
}

static void forget_on_worker(void *argument)
{
    struct pull *pull = argument;
    enum err_code ignored = /* the next start finds it too old */
        record_forget(pull->tasks, &pull->record.id, NULL);
    (void)ignored;
    pull_unref(pull);
}

/* On the loop: the oldest that has ended goes when there are too many. */
static void list_trim(struct tasks *tasks)
{
    size_t count = list_count(tasks);
    for (size_t i = 0; count > TASKS_KEPT_MAX && i < count; i++) {
        struct pull *pull = list_at(tasks, i);
        if (!pull_idle(pull))
            continue;
        pthread_mutex_lock(&tasks->lock);
        memmove(&tasks->pulls[i], &tasks->pulls[i + 1],
                (tasks->pull_count - i - 1) * sizeof(struct pull *));
        tasks->pull_count--;
        pthread_mutex_unlock(&tasks->lock);
        if (workers_post(tasks->options.workers, forget_on_worker, pull, NULL) != ERR_OK)
            pull_unref(pull);
        return;
    }
}

/* ---- on the loop: which ones run ---- */

static void begin_waiting(void *argument)
{
    struct tasks *tasks = argument;
    size_t running = 0;
    if (!tasks->stopped)
        list_trim(tasks);
    for (size_t i = 0; i < list_count(tasks); i++)
        running += pull_runs(list_at(tasks, i));
    for (size_t i = 0; i < list_count(tasks) && !tasks->stopped; i++) {
        struct pull *pull = list_at(tasks, i);
        bool waits = pull->machine.phase == TASK_PHASE_QUEUED && pull->record.ended_ms == 0;
        if (!waits || running >= TASKS_RUNNING_MAX)
            continue;
        pull_start(pull, pull->cancel_recorded);
        running += pull_runs(pull);
    }
}

void tasks_pull_ended(struct tasks *tasks)
{
    loop_post(tasks->options.loop, begin_waiting, tasks);
}

static void on_cancel(void *argument)
{
    struct pull *pull = argument;
    if (!tasks_stopped(pull->tasks))
        pull_cancel(pull);
    pull_unref(pull);
}

static void on_stop(void *argument)
{
    struct tasks *tasks = argument;
    tasks->stopped = true;
    for (size_t i = 0; i < list_count(tasks); i++)
        loop_timer_cancel(tasks->options.loop, &list_at(tasks, i)->timer);
}

/* ---- records ---- */

static enum err_code record_load(struct tasks *tasks, struct span record, struct err *err)
{
    struct pull *pull = pull_new(tasks, &tasks->options, record, err);
    if (pull == NULL)
        return err->code;
    uint64_t ended_ms = pull->record.ended_ms;
    if (ended_ms != 0 && ended_ms + TASK_KEPT_MS < xcopy_now_ms()) {
        struct task_id id = pull->record.id;
        pull_unref(pull);
        return record_forget(tasks, &id, err);
    }
    list_add(tasks, pull);
    uint8_t key[XCOPY_KEY_BYTES];
    BYTES_CLEANUP struct bytes ignored = {0};
    return catalog_find(tasks->options.store, NULL, FAMILY_TASKS,
                        xcopy_key('c', &pull->record.id, key), &ignored, &pull->cancel_recorded,
                        err);
}

static enum err_code records_each(struct tasks *tasks, struct bytes *all, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(tasks->options.store, NULL, FAMILY_TASKS, span_text("t"), span_of(NULL, 0),
                     &iter, err));
    for (;;) {
        struct span key, value;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        bytes_append_u32(all, (uint32_t)value.len);
        bytes_append_span(all, value);
    }
}

static int created_order(const void *a, const void *b)
{
    uint64_t first = (*(struct pull *const *)a)->record.created_ms;
    uint64_t second = (*(struct pull *const *)b)->record.created_ms;
    return first < second ? -1 : first > second;
}

static enum err_code records_load(struct tasks *tasks, struct err *err)
{
    BYTES_CLEANUP struct bytes all = {0};
    TRY(records_each(tasks, &all, err));
    struct reader reader = reader_of(bytes_span(&all));
    while (reader.left.len > 0) {
        struct span record = reader_span(&reader, reader_u32(&reader));
        TRY(record_load(tasks, record, err));
    }
    if (tasks->pull_count > 0)
        qsort(tasks->pulls, tasks->pull_count, sizeof(struct pull *), created_order);
    return ERR_OK;
}

/* ---- life ---- */

enum err_code tasks_open(const struct tasks_options *options, struct tasks **ret_tasks,
                         struct err *err)
{
    struct tasks *tasks = mem_calloc(1, sizeof(*tasks));
    tasks->options = *options;
    pthread_mutex_init(&tasks->lock, NULL);
    struct err reason = {0};
    if (records_load(tasks, &reason) != ERR_OK) {
        tasks_free(tasks);
        return err_set(err, reason.code, "tasks: %s", reason.message);
    }
    loop_post(options->loop, begin_waiting, tasks);
    *ret_tasks = tasks;
    return ERR_OK;
}

void tasks_stop(struct tasks *tasks)
{
    if (tasks != NULL)
        loop_call(tasks->options.loop, on_stop, tasks);
}

void tasks_free(struct tasks *tasks)
{
    if (tasks == NULL)
        return;
    for (size_t i = 0; i < tasks->pull_count; i++)
        pull_unref(tasks->pulls[i]);
    mem_free(tasks->pulls);
    pthread_mutex_destroy(&tasks->lock);
    mem_free(tasks);
}

/* ---- start ---- */

static struct task_id order_id(const struct tasks_order *order)
{
    struct digest_state state;
    digest_init(&state, DOMAIN_STATEMENT);
    digest_update_part(&state, span_text(order->principal->name));
    digest_update_part(&state, span_of(order->statement_id.b, sizeof(order->statement_id.b)));
    struct digest digest = digest_final(&state);
    struct task_id id;
    memcpy(id.b, digest.b, sizeof(id.b));
    return id;
}

static bool name_equal(struct span a, struct span b)
{
    return a.len == b.len && strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

static enum err_code order_check(struct tasks *tasks, const struct tasks_order *order,
                                 struct err *err)
{
    struct token token;
    if (order->token.len == 0)
        return err_set(err, ERR_PARAMETER,
                       "XCOPY needs a token that its principal signed; the client sends it");
    TRY(token_decode(order->token, &token, err));
    bool fits = token.kind == TOKEN_ONCE && span_equal(token.source.region, order->source_region) &&
                name_equal(token.source.project, order->source_project) &&
                name_equal(token.source.snapshot, order->source_snapshot) &&
                name_equal(token.destination.project, order->destination_project) &&
                name_equal(token.destination.snapshot, order->destination_snapshot);
    if (!fits)
        return err_set(err, ERR_PARAMETER, "the token is for another XCOPY than the statement");
    if (!identity_key_equal(&token.signer, &order->principal->keys.sign))
        return err_set(err, ERR_DENIED, "the token was signed by another key than the session's");
    if (span_equal(order->source_region, span_text(tasks->options.region)))
        return err_set(err, ERR_PARAMETER,
                       "src_region %.*s is this region itself; XCOPY pulls from another one "
                       "(here CREATE TABLE ... CLONE restores a snapshot)",
                       SPAN_PRINTF(order->source_region));
    if (peers_find_region(tasks->options.peers, order->source_region) == NULL)
        return err_set(err, ERR_PARAMETER, "region %.*s is not known to %s",
                       SPAN_PRINTF(order->source_region), tasks->options.region);
    return ERR_OK;
}

static enum err_code tasks_limit(struct tasks *tasks, struct err *err)
{
    if (tasks_active(tasks) >= TASKS_PER_PROJECT)
        return err_set(err, ERR_TASK_LIMIT, "%d tasks run or wait already", TASKS_PER_PROJECT);
    return ERR_OK;
}

static enum err_code record_make(const struct tasks_order *order, const struct task_id *id,
                                 struct account_id account, struct tasks *tasks,
                                 struct bytes *ret_record, struct err *err)
{
    const struct xcopy_record record = {.id = *id,
                                        .state = TASK_QUEUED,
                                        .account = account,
                                        .expires_ms = order->expires_ms,
                                        .created_ms = xcopy_now_ms(),
                                        .principal = span_text(order->principal->name),
                                        .statement = order->statement,
                                        .token = order->token};
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    catalog_expect_absent(&change, FAMILY_TASKS, xcopy_key('t', id, key));
    xcopy_record_put(&change, &record);
    TRY(catalog_commit(tasks->options.store, &change, CATALOG_KEEP_RESERVE, err));
    xcopy_record_encode(&record, ret_record);
    return ERR_OK;
}

enum err_code tasks_start(struct tasks *tasks, const struct tasks_order *order,
                          struct task_id *ret_id, struct err *err)
{
    struct task_id id = order_id(order);
    struct pull *known = list_find(tasks, &id);
    if (known != NULL) { /* the statement came again */
        pull_unref(known);
        *ret_id = id;
        return ERR_OK;
    }
    TRY(order_check(tasks, order, err));
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(8));
    const struct xcopy_rights rights = {.store = tasks->options.store,
                                        .principals = tasks->options.principals,
                                        .node = identity_public(tasks->options.identity)->sign,
                                        .region = tasks->options.region};
    struct xcopy_target target;
    TRY(xcopy_rights_destination(&rights, order->token, &arena, &target, err));
    TRY(tasks_limit(tasks, err));
    BYTES_CLEANUP struct bytes record = {0};
    TRY(record_make(order, &id, target.owner, tasks, &record, err));
    struct pull *pull = pull_new(tasks, &tasks->options, bytes_span(&record), err);
    if (pull == NULL)
        return err->code;
    list_add(tasks, pull);
    loop_post(tasks->options.loop, begin_waiting, tasks);
    *ret_id = id;
    return ERR_OK;
}

static enum err_code cancel_record(struct tasks *tasks, const struct principal *principal,
                                   const struct pull *pull, struct err *err)
{
    const struct task_id *id = &pull->record.id;
    char text[TASK_ID_TEXT_BYTES];
    if (principal->account.n != pull->record.account.n && !principal->operator)
        return err_set(err, ERR_DENIED, "task %s is another account's", task_id_format(id, text));
    if (pull->record.ended_ms != 0)
        return ERR_OK;
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    catalog_put(&change, FAMILY_TASKS, xcopy_key('c', id, key), span_of(NULL, 0));
    return catalog_commit(tasks->options.store, &change, CATALOG_USE_RESERVE, err);
}

enum err_code tasks_cancel(struct tasks *tasks, const struct principal *principal,
                           const struct task_id *id, struct err *err)
{
    struct pull *pull = list_find(tasks, id);
    char text[TASK_ID_TEXT_BYTES];
    if (pull == NULL)
        return err_set(err, ERR_NOT_FOUND, "no task %s", task_id_format(id, text));
    enum err_code code = cancel_record(tasks, principal, pull, err);
    if (code != ERR_OK || !loop_post(tasks->options.loop, on_cancel, pull))
        pull_unref(pull);
    return code;
}

/* ---- status ---- */

static enum err_code status_get(struct pull *pull, struct arena *arena,
                                struct task_status *ret_status, struct err *err)
{
    pthread_mutex_lock(&pull->lock);
    struct task_status status = pull->status;
    uint64_t start_ms = pull->start_ms;
    uint64_t end_ms = pull->end_ms;
    pthread_mutex_unlock(&pull->lock);
    if (start_ms != 0)
        status.elapsed_ms = (end_ms != 0 ? end_ms : loop_now_ms()) - start_ms;
    else if (status.ended_ms > status.started_ms)
        status.elapsed_ms = status.ended_ms - status.started_ms;
    status.principal = arena_copy(arena, pull->record.principal);
    status.statement = arena_copy(arena, pull->record.statement);
    if (status.principal.data == NULL || status.statement.data == NULL)
        return err_set(err, ERR_LIMIT, "too many tasks to list");
    *ret_status = status;
    return ERR_OK;
}

enum err_code tasks_status(struct tasks *tasks, const struct task_id *id, struct arena *arena,
                           struct task_status *ret_status, struct err *err)
{
    struct pull *pull = list_find(tasks, id);
    char text[TASK_ID_TEXT_BYTES];
    if (pull == NULL)
        return err_set(err, ERR_NOT_FOUND, "no task %s", task_id_format(id, text));
    enum err_code code = status_get(pull, arena, ret_status, err);
    pull_unref(pull);
    return code;
}

enum err_code tasks_list(struct tasks *tasks, struct arena *arena, struct task_status **ret_list,
                         size_t *ret_count, struct err *err)
{
    size_t count;
    struct pull **pulls = list_copy(tasks, &count);
    struct task_status *list = arena_alloc(arena, count + 1, sizeof(*list));
    enum err_code code = list != NULL ? ERR_OK : err_set(err, ERR_LIMIT, "too many tasks to list");
    for (size_t i = 0; i < count && code == ERR_OK; i++)
        code = status_get(pulls[count - 1 - i], arena, &list[i], err);
    list_copy_free(pulls, count);
    if (code != ERR_OK)
        return code;
    *ret_list = list;
    *ret_count = count;
    return ERR_OK;
}

size_t tasks_active(struct tasks *tasks)
{
    size_t active = 0;
    size_t count;
    struct pull **pulls = list_copy(tasks, &count);
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&pulls[i]->lock);
        active += pulls[i]->status.state <= TASK_RUNNING;
        pthread_mutex_unlock(&pulls[i]->lock);
    }
    list_copy_free(pulls, count);
    return active;
}

const char *task_id_format(const struct task_id *id, char ret_text[TASK_ID_TEXT_BYTES])
{
    sodium_bin2hex(ret_text, TASK_ID_TEXT_BYTES, id->b, sizeof(id->b));
    return ret_text;
}

bool task_id_parse(struct span text, struct task_id *ret_id)
{
    return hex_decode(text, ret_id->b, sizeof(ret_id->b));
}
