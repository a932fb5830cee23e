#include "node/task/xcopy_destination.h"

#include <stdatomic.h>

#include "node/task/repair.h"
#include "node/log.h"
#include "node/task/xcopy_figures.h"
#include "node/task/xcopy_list.h"
#include "node/task/xcopy_compare.h"
#include "node/task/xcopy_look.h"
#include "node/task/xcopy_standing.h"
#include "store/crash.h"
#include "store/held.h"
#include "store/pages.h"

#define TASK_KEPT_MS         (24 * 3600 * 1000)
#define CREATED_AHEAD_MS_MAX 1000 /* further, the clock was set back */

struct tasks {
    struct tasks_options options;
    struct figures *figures;
    struct pull_list list;
    bool stopped;                            /* the loop's */
    struct claims claims;                    /* the loop's */
    _Atomic uint64_t page_bytes, file_bytes; /* received */
    _Atomic uint64_t created_ms;             /* of the last one made */
    struct looks *looks;
    struct standing standing;
};

bool tasks_stopped(const struct tasks *tasks)
{
    return tasks->stopped;
}

struct pull *tasks_pull_find(struct tasks *tasks, const struct task_id *id)
{
    return pull_list_find(&tasks->list, id);
}

const struct tasks_options *tasks_options_get(const struct tasks *tasks)
{
    return &tasks->options;
}

struct claims *tasks_claims(struct tasks *tasks)
{
    return &tasks->claims;
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

/* ---- figures ---- */

void tasks_pull_ended(struct tasks *tasks, const struct pull *pull,
                      const struct task_status *status)
{
    figures_ended(tasks->figures, pull, status);
}

void tasks_by_peer(struct tasks *tasks, struct tasks_of_peer ret_list[TASKS_PEERS_MAX + 1])
{
    figures_by_peer(tasks->figures, &tasks->list, ret_list);
}

const struct err_counts *tasks_errors(const struct tasks *tasks)
{
    return figures_errors(tasks->figures);
}

/* ---- old ones go ---- */

static enum err_code record_forget(struct tasks *tasks, const struct task_id *id, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    TRY(tally_end(tasks->options.store, id, err));
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

/* On the loop: those that could not be recorded go, and the oldest that have ended when there are
 * too many. */
static void list_trim(struct tasks *tasks)
{
    bool many = pull_list_count(&tasks->list) > TASKS_KEPT_MAX;
    for (size_t i = many ? 0 : pull_list_past(&tasks->list); i < pull_list_count(&tasks->list);) {
        struct pull *pull = pull_list_at(&tasks->list, i);
        bool refused = atomic_load(&pull->ended) && !atomic_load(&pull->recorded);
        if (!refused && (pull_list_count(&tasks->list) <= TASKS_KEPT_MAX || !pull_idle(pull))) {
            i++;
            continue;
        }
        pull_list_remove(&tasks->list, i);
        if (refused || workers_post(tasks->options.workers, forget_on_worker, pull, NULL) != ERR_OK)
            pull_unref(pull);
    }
}

/* ---- on the loop: which ones run ---- */

/* Those of one account may need the same files from now on. */
static void list_share(struct tasks *tasks, struct pull *begun)
{
    for (size_t i = pull_list_past(&tasks->list); i < pull_list_count(&tasks->list); i++) {
        struct pull *pull = pull_list_at(&tasks->list, i);
        if (pull == begun || !pull_runs(pull) || pull->account.n != begun->account.n)
            continue;
        pull->shared = true;
        begun->shared = true;
    }
}

/* Those that run, gathered once for all that may begin. */
struct running {
    struct pull **list; /* owned */
    size_t count;
};

static void running_gather(struct tasks *tasks, size_t first, size_t count,
                           struct running *ret_running)
{
    ret_running->list = mem_calloc(count - first + 1, sizeof(struct pull *));
    ret_running->count = 0;
    for (size_t i = first; i < count; i++) {
        struct pull *pull = pull_list_at(&tasks->list, i);
        if (pull_runs(pull))
            ret_running->list[ret_running->count++] = pull;
    }
}

/* May one more of this peer's begin? Who waits for a peer (or the disk) keeps none of another peer
 * from running. */
static bool may_begin(const struct running *running, const struct pull *next)
{
    size_t at_work = 0, of_source = 0;
    for (size_t i = 0; i < running->count; i++) {
        const struct pull *pull = running->list[i];
        if (!pull_runs(pull))
            continue;
        at_work += !task_waits(&pull->machine);
        of_source += span_equal(pull->token.source.region, next->token.source.region);
    }
    return at_work < TASKS_RUNNING_MAX && of_source < TASKS_RUNNING_PER_SOURCE;
}

static void begin_waiting(void *argument)
{
    struct tasks *tasks = argument;
    if (!tasks->stopped)
        list_trim(tasks);
    size_t first = pull_list_promote(&tasks->list);
    size_t count = pull_list_count(&tasks->list); /* who comes meanwhile has it done again */
    struct running running;
    running_gather(tasks, first, count, &running);
    for (size_t i = first; i < count && !tasks->stopped; i++) {
        struct pull *pull = pull_list_at(&tasks->list, i);
        bool waits = atomic_load(&pull->in_line) > 0 && !pull->cancel_recorded;
        bool queued = pull->machine.phase == TASK_PHASE_QUEUED && pull->record.ended_ms == 0 &&
                      atomic_load(&pull->recorded) && !waits;
        if (!queued || (!pull->cancel_recorded && !may_begin(&running, pull)))
            continue;
        running.list[running.count++] = pull;
        pull_start(pull, pull->cancel_recorded);
        list_share(tasks, pull);
    }
    mem_free(running.list);
}

void tasks_pull_gave_way(struct tasks *tasks)
{
    loop_post(tasks->options.loop, begin_waiting, tasks);
}

/* ---- on the loop: repairs ---- */

struct repair_add {
    struct tasks *tasks;
    struct pull *pull;
    bool now;
};

static bool repair_due(const struct pull *old, bool now)
{
    bool failed = old->status.state == TASK_FAILED || old->status.state == TASK_CANCELLED;
    return pull_idle(old) && (now || !failed || old->end_ms + REPAIR_PAUSE_MS < loop_now_ms());
}

static void on_repair(void *argument)
{
    struct repair_add *add = argument;
    struct tasks *tasks = add->tasks;
    size_t count = pull_list_count(&tasks->list), at = 0;
    while (at < count &&
           !task_id_equal(&pull_list_at(&tasks->list, at)->record.id, &add->pull->record.id))
        at++;
    struct pull *old = at < count ? pull_list_at(&tasks->list, at) : NULL;
    if (tasks->stopped || (old != NULL && !repair_due(old, add->now))) {
        pull_unref(add->pull);
        return;
    }
    if (old != NULL)
        pull_list_remove(&tasks->list, at);
    pull_unref(old);
    atomic_store(&add->pull->recorded, true); /* by what it repairs: it has no record */
    pull_list_add(&tasks->list, add->pull);
    begin_waiting(tasks);
}

void tasks_repair_add(struct tasks *tasks, struct pull *pull, bool now)
{
    struct repair_add add = {.tasks = tasks, .pull = pull, .now = now};
    if (!loop_call(tasks->options.loop, on_repair, &add))
        pull_unref(pull);
}

static void on_released(void *argument)
{
    struct pull *pull = argument;
    if (!tasks_stopped(pull->tasks))
        pull_released(pull);
    pull_unref(pull);
}

/* Not at once: the task that releases may be in the middle of its step. */
void tasks_released(struct tasks *tasks, const struct pull *by)
{
    for (size_t i = pull_list_past(&tasks->list); i < pull_list_count(&tasks->list); i++) {
        struct pull *pull = pull_list_at(&tasks->list, i);
        if (pull == by || !pull->waits_elsewhere || pull->account.n != by->account.n)
            continue;
        pull->waits_elsewhere = false;
        pull_ref(pull);
        if (!loop_post(tasks->options.loop, on_released, pull))
            pull_unref(pull);
    }
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
    for (size_t i = 0; i < pull_list_count(&tasks->list); i++)
        loop_timer_cancel(tasks->options.loop, &pull_list_at(&tasks->list, i)->timer);
}

/* ---- records ---- */

/* A record that cannot be read must not keep the node from starting, nor its pages from being
 * cleaned up: it is kept under another key for whoever looks for the reason. */
static enum err_code record_set_aside(struct tasks *tasks, const struct task_id *id,
                                      struct span record, const struct err *reason, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    char text[TASK_ID_TEXT_BYTES];
    log_event(LOG_ERROR, "a task's record was set aside",
              LOG_TEXT("task", task_id_format(id, text)), LOG_TEXT("error", reason->message));
    TRY(staged_drop(tasks->options.store, id, err));
    TRY(tally_end(tasks->options.store, id, err));
    catalog_delete(&change, FAMILY_TASKS, xcopy_key('t', id, key));
    catalog_delete(&change, FAMILY_TASKS, xcopy_key('c', id, key));
    catalog_put(&change, FAMILY_TASKS, xcopy_key('x', id, key), record);
    return catalog_commit(tasks->options.store, &change, CATALOG_USE_RESERVE, err);
}

/* Its record is whole, its token is not: it has failed, and says so. */
static enum err_code record_fail(struct tasks *tasks, struct xcopy_record *record,
                                 const struct err *reason, struct err *err)
{
    TRY(staged_drop(tasks->options.store, &record->id, err));
    record->state = TASK_FAILED;
    record->error = ERR_CORRUPT;
    record->message = span_text(reason->message);
    record->ended_ms = xcopy_now_ms();
    TRY(xcopy_record_commit(tasks->options.store, record, CATALOG_USE_RESERVE, err));
    return tally_end(tasks->options.store, &record->id, err);
}

static enum err_code counters_go_on(struct tasks *tasks, struct pull *pull, struct err *err)
{
    struct tally tally;
    if (pull->record.published || pull->record.ended_ms != 0)
        return ERR_OK; /* final */
    TRY(tally_read(tasks->options.store, &pull->record.id, &tally, err));
    pull->record.counters.files_moved = tally.files;
    pull->record.counters.bytes_moved = tally.bytes;
    pull_status_begin(pull);
    return ERR_OK;
}

static enum err_code record_load(struct tasks *tasks, const struct task_id *id, struct span encoded,
                                 struct err *err)
{
    struct xcopy_record record;
    struct token token;
    struct err reason;
    if (xcopy_record_decode(encoded, &record, &reason) != ERR_OK || !task_id_equal(&record.id, id))
        return record_set_aside(tasks, id, encoded, &reason, err);
    BYTES_CLEANUP struct bytes failed = {0};
    if (xcopy_record_token(&record, &token, &reason) != ERR_OK && record.ended_ms == 0) {
        TRY(record_fail(tasks, &record, &reason, err));
        xcopy_record_encode(&record, &failed);
        encoded = bytes_span(&failed);
    }
    if (!tasks->options.clock_doubted && record.ended_ms != 0 &&
        record.ended_ms + TASK_KEPT_MS < xcopy_now_ms())
        return record_forget(tasks, id, err);
    struct pull *pull = pull_new(tasks, &tasks->options, encoded, err);
    if (pull == NULL)
        return err->code;
    atomic_store(&pull->recorded, true);
    pull_list_add(&tasks->list, pull);
    TRY(counters_go_on(tasks, pull, err));
    TRY(settle_load(pull, err));
    uint8_t key[XCOPY_KEY_BYTES];
    BYTES_CLEANUP struct bytes ignored = {0};
    TRY(catalog_find(tasks->options.store, NULL, FAMILY_TASKS, xcopy_key('c', id, key), &ignored,
                     &pull->cancel_recorded, err));
    if (pull->cancel_recorded && pull->record.ended_ms == 0 && !pull->record.published)
        pull->status.state = TASK_CANCELLED; /* as was said already */
    return ERR_OK;
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
        if (key.len != XCOPY_KEY_BYTES)
            continue; /* nobody's */
        bytes_append(all, key.data + 1, key.len - 1);
        bytes_append_u32(all, (uint32_t)value.len);
        bytes_append_span(all, value);
    }
}

/* A repair has no record: what it had staged when the node ended is nobody's. Another one begins
 * anew, if there is still something to repair. */
struct orphans {
    struct store *store;
    struct bytes ids;
};

static enum err_code orphan_note(void *context, const struct task_id *task, struct err *err)
{
    struct orphans *orphans = context;
    BYTES_CLEANUP struct bytes record = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    bool found;
    TRY(catalog_find(orphans->store, NULL, FAMILY_TASKS, xcopy_key('t', task, key), &record, &found,
                     err));
    if (!found)
        bytes_append(&orphans->ids, task->b, sizeof(task->b));
    return ERR_OK;
}

static enum err_code orphans_drop(struct store *store, struct err *err)
{
    struct orphans orphans = {.store = store};
    enum err_code code = staged_tasks_each(store, orphan_note, &orphans, err);
    struct reader reader = reader_of(bytes_span(&orphans.ids));
    while (code == ERR_OK && reader.left.len > 0) {
        struct task_id id;
        reader_copy(&reader, id.b, sizeof(id.b));
        code = staged_drop(store, &id, err);
        if (code == ERR_OK)
            code = tally_end(store, &id, err);
    }
    bytes_deinit(&orphans.ids);
    return code;
}

static enum err_code records_load(struct tasks *tasks, struct err *err)
{
    BYTES_CLEANUP struct bytes all = {0};
    TRY(records_each(tasks, &all, err));
    struct reader reader = reader_of(bytes_span(&all));
    while (reader.left.len > 0) {
        struct task_id id;
        reader_copy(&reader, id.b, sizeof(id.b));
        struct span record = reader_span(&reader, reader_u32(&reader));
        TRY(record_load(tasks, &id, record, err));
    }
    pull_list_sort(&tasks->list);
    return orphans_drop(tasks->options.store, err);
}

/* ---- life ---- */

enum err_code tasks_open(const struct tasks_options *options, struct tasks **ret_tasks,
                         struct err *err)
{
    struct tasks *tasks = mem_calloc(1, sizeof(*tasks));
    tasks->options = *options;
    pull_list_init(&tasks->list, options->per_project);
    tasks->looks = looks_new(&tasks->options);
    tasks->figures = figures_new();
    standing_init(&tasks->standing, &tasks->options, &tasks->list);
    struct err reason = {0};
    if (records_load(tasks, &reason) != ERR_OK) {
        tasks_free(tasks);
        return err_set(err, reason.code, "tasks: %s", reason.message);
    }
    loop_post(options->loop, begin_waiting, tasks);
    standing_request(&tasks->standing); /* the node may have ended before it was asked */
    *ret_tasks = tasks;
    return ERR_OK;
}

void tasks_set_per_project(struct tasks *tasks, size_t per_project)
{
    pull_list_set_places(&tasks->list, per_project);
    loop_post(tasks->options.loop, begin_waiting, tasks);
}

void tasks_stop(struct tasks *tasks)
{
    if (tasks == NULL)
        return;
    looks_stop(tasks->looks);
    loop_call(tasks->options.loop, on_stop, tasks);
}

void tasks_free(struct tasks *tasks)
{
    if (tasks == NULL)
        return;
    standing_deinit(&tasks->standing);
    pull_list_deinit(&tasks->list);
    claims_deinit(&tasks->claims);
    looks_free(tasks->looks);
    figures_free(tasks->figures);
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

/* A session's token is signed by the session's key; a schedule's by one that its creator has now. */
static enum err_code order_check_signer(struct tasks *tasks, const struct tasks_order *order,
                                        const struct token *token, struct err *err)
{
    struct principal signer;
    if (token->kind == TOKEN_ONCE)
        return identity_key_equal(&token->signer, &order->principal->keys.sign)
                   ? ERR_OK
                   : err_set(err, ERR_DENIED,
                             "the token was signed by another key than the session's");
    if (!principals_find_signer(tasks->options.principals, &token->signer, &signer))
        return err_set(err, ERR_DENIED, "the token's signer is not known in %s",
                       tasks->options.region);
    return principal_id(&signer) == principal_id(order->principal) && signer.account.n != 0
               ? ERR_OK
               : err_set(err, ERR_DENIED, "the token was signed by another than schedule %.*s's %s",
                         SPAN_PRINTF(order->schedule), order->principal->name);
}

/* A token of a single copy comes with a statement, a standing one with its schedule's run alone. */
static enum err_code order_check_token(const struct tasks_order *order, struct token *ret_token,
                                       struct err *err)
{
    struct token token;
    TRY(token_decode(order->token, &token, err));
    bool of_schedule = order->schedule.len > 0;
    bool its = (token.kind == TOKEN_STANDING) == of_schedule &&
               task_name_equal(token.schedule, order->schedule);
    if (!its && of_schedule)
        return err_set(err, ERR_PARAMETER, "the token is not schedule %.*s's",
                       SPAN_PRINTF(order->schedule));
    if (its && of_schedule)
        TRY(token_copy_set(&token, order->source_snapshot, order->destination_snapshot, err));
    bool fits = its && span_equal(token.source.region, order->source_region) &&
                task_name_equal(token.source.project, order->source_project) &&
                task_name_equal(token.source.snapshot, order->source_snapshot) &&
                task_name_equal(token.destination.project, order->destination_project) &&
                task_name_equal(token.destination.snapshot, order->destination_snapshot);
    if (!fits)
        return err_set(err, ERR_PARAMETER, "the token is for another XCOPY than the statement");
    *ret_token = token;
    return ERR_OK;
}

static enum err_code order_check(struct tasks *tasks, const struct tasks_order *order,
                                 struct err *err)
{
    struct token token;
    if (order->token.len == 0)
        return err_set(err, ERR_PARAMETER,
                       "XCOPY needs a token that its principal signed; the client sends it");
    TRY(order_check_token(order, &token, err));
    TRY(order_check_signer(tasks, order, &token, err));
    if (span_equal(order->source_region, span_text(tasks->options.region)))
        return err_set(err, ERR_PARAMETER,
                       "src_region %.*s is this region itself; XCOPY pulls from another one "
                       "(here CREATE TABLE ... CLONE restores a snapshot)",
                       SPAN_PRINTF(order->source_region));
    if (peers_find_region(tasks->options.peers, order->source_region) == NULL)
        return peers_unknown(tasks->options.peers, order->source_region, err);
    return ERR_OK;
}

/* What the order is checked for at its start. An EXPLAIN's token does not grant files. */
static enum err_code order_allowed(struct tasks *tasks, const struct tasks_order *order,
                                   struct arena *arena, struct xcopy_target *ret_target,
                                   struct err *err)
{
    const struct xcopy_rights rights = {.store = tasks->options.store,
                                        .principals = tasks->options.principals,
                                        .node = identity_public(tasks->options.identity)->sign,
                                        .region = tasks->options.region};
    const bool of_schedule = order->schedule.len > 0;
    const struct span none = {0};
    const struct xcopy_copy copy = {.token = order->token,
                                    .source = of_schedule ? order->source_snapshot : none,
                                    .destination =
                                        of_schedule ? order->destination_snapshot : none};
    TRY(order_check(tasks, order, err));
    return xcopy_rights_destination(&rights, &copy, arena, ret_target, err);
}

static enum err_code order_copies(const struct tasks_order *order, struct err *err)
{
    struct token token;
    TRY(token_decode(order->token, &token, err));
    return (token.rights & TOKEN_FILES) != 0
               ? ERR_OK
               : err_set(err, ERR_DENIED, "the token grants no files: it is for EXPLAIN XCOPY");
}

enum err_code tasks_look(struct tasks *tasks, const struct tasks_order *order,
                         struct xcopy_look **ret_look, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(8));
    struct xcopy_target target;
    TRY(order_allowed(tasks, order, &arena, &target, err));
    return look_start(tasks->looks, order, NULL, ret_look, err);
}

enum err_code tasks_compare(struct tasks *tasks, const struct tasks_order *order,
                            struct table_id snapshot, struct xcopy_look **ret_look,
                            const struct compare_result **ret_result, struct err *err)
{
    TRY(order_check(tasks, order, err));
    struct compare *compare = compare_new(&tasks->options, order, snapshot);
    const struct look_work work = compare_work(compare);
    enum err_code code = look_start(tasks->looks, order, &work, ret_look, err);
    if (code == ERR_OK)
        *ret_result = compare_result_get(compare);
    else
        compare_free(compare);
    return code;
}

/* The time, but no two of one node are made in the same millisecond: a restart puts them in line by it. */
static uint64_t created_next(struct tasks *tasks)
{
    uint64_t last = atomic_load(&tasks->created_ms), next;
    do {
        uint64_t now_ms = xcopy_now_ms();
        bool crowded = now_ms <= last && last - now_ms < CREATED_AHEAD_MS_MAX;
        next = crowded ? last + 1 : now_ms;
    } while (!atomic_compare_exchange_weak(&tasks->created_ms, &last, next));
    return next;
}

static struct xcopy_record record_new(struct tasks *tasks, const struct tasks_order *order,
                                      const struct task_id *id, const struct xcopy_target *target)
{
    struct xcopy_record record = {.id = *id,
                                  .state = TASK_QUEUED,
                                  .account = target->owner,
                                  .project = target->project,
                                  .expires_ms = order->expires_ms,
                                  .queues = order->queues,
                                  .created_ms = created_next(tasks),
                                  .principal = span_text(order->principal->name),
                                  .statement = order->statement,
                                  .token = order->token,
                                  .schedule = order->schedule};
    if (order->schedule.len > 0) {
        record.source_snapshot = order->source_snapshot;
        record.destination_snapshot = order->destination_snapshot;
    }
    return record;
}

static enum err_code record_make(struct tasks *tasks, const struct xcopy_record *record,
                                 const struct audit_record *audit, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    catalog_expect_absent(&change, FAMILY_TASKS, xcopy_key('t', &record->id, key));
    xcopy_record_put(&change, record);
    if (audit != NULL)
        audit_put(&change, audit);
    TRY(catalog_commit(tasks->options.store, &change, CATALOG_KEEP_RESERVE, err));
    CRASH_POINT(CRASH_TASK_RECORDED);
    return ERR_OK;
}

/* ---- a second start of the same copy ---- */

/* tasks family: 'j' id that the statement's task would have -> id of the task that it joined 16 | time u64 */
#define JOIN_BYTES (16 + 8)

static enum err_code joined_find(struct tasks *tasks, const struct task_id *id, bool *ret_found,
                                 struct task_id *ret_joined, struct err *err)
{
    BYTES_CLEANUP struct bytes record = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    bool found;
    TRY(catalog_find(tasks->options.store, NULL, FAMILY_TASKS, xcopy_key('j', id, key), &record,
                     &found, err));
    *ret_found = found && record.len == JOIN_BYTES;
    if (*ret_found)
        memcpy(ret_joined->b, record.data, sizeof(ret_joined->b));
    return ERR_OK;
}

/* Those whose task is not shown any more. */
static enum err_code joined_forget(struct tasks *tasks, struct catalog_change *change,
                                   struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(tasks->options.store, NULL, FAMILY_TASKS, span_text("j"), span_of(NULL, 0),
                     &iter, err));
    while (change->bytes < CATALOG_COMMIT_BYTES_MAX / 2) {
        struct span key, value;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (value.len != JOIN_BYTES || load_u64(value.data + 16) + TASK_KEPT_MS < xcopy_now_ms())
            catalog_delete(change, FAMILY_TASKS, key);
    }
    return ERR_OK;
}

static enum err_code join_record(struct tasks *tasks, const struct tasks_order *order,
                                 const struct task_id *id, const struct task_id *joined,
                                 struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes record = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    if (!tasks->options.clock_doubted)
        TRY(joined_forget(tasks, &change, err));
    bytes_append(&record, joined->b, sizeof(joined->b));
    bytes_append_u64(&record, xcopy_now_ms());
    catalog_put(&change, FAMILY_TASKS, xcopy_key('j', id, key), bytes_span(&record));
    if (order->audit != NULL)
        audit_put(&change, order->audit);
    TRY(catalog_commit(tasks->options.store, &change, CATALOG_KEEP_RESERVE, err));
    CRASH_POINT(CRASH_TASK_JOINED);
    return ERR_OK;
}

static bool same_copy(const struct pull *pull, const struct tasks_order *order)
{
    const struct token_place *source = &pull->token.source;
    return span_equal(source->region, order->source_region) &&
           task_name_equal(source->project, order->source_project) &&
           task_name_equal(source->snapshot, order->source_snapshot) &&
           pull->record.expires_ms == order->expires_ms;
}

/* The same copy by who may see the task is one task, for which both wait. */
static enum err_code join(struct tasks *tasks, const struct tasks_order *order, struct pull *other,
                          struct task_id *id, struct err *err)
{
    char text[TASK_ID_TEXT_BYTES];
    if (!pull_list_recorded(&tasks->list, other))
        return err_set(err, ERR_BUSY, "another XCOPY to %.*s.%.*s was just refused; ask again",
                       SPAN_PRINTF(order->destination_project),
                       SPAN_PRINTF(order->destination_snapshot));
    bool seen = authorise_task(order->principal, other->account, other->record.principal);
    if (!seen || !same_copy(other, order))
        return err_set(err, ERR_TASK_LIMIT,
                       "task %s writes %.*s.%.*s already, of another source or for another "
                       "principal; wait for its end, or CANCEL TASK",
                       seen ? task_id_format(&other->record.id, text) : "of another user",
                       SPAN_PRINTF(order->destination_project),
                       SPAN_PRINTF(order->destination_snapshot));
    const struct task_id joined = other->record.id;
    TRY(join_record(tasks, order, id, &joined, err));
    *id = joined;
    return ERR_OK;
}

/* ---- a task ---- */

/* In the list before it is durable, so that those who come at once are counted; it begins when it
 * is. *id: in: of the statement, out: of the task that it waits for. */
static enum err_code task_make(struct tasks *tasks, const struct tasks_order *order,
                               const struct xcopy_record *record, struct task_id *id,
                               struct err *err)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    xcopy_record_encode(record, &encoded);
    struct pull *pull = pull_new(tasks, &tasks->options, bytes_span(&encoded), err);
    if (pull == NULL)
        return err->code;
    struct pull *other;
    enum err_code code = pull_list_admit(&tasks->list, pull, &other, err);
    if (code != ERR_OK || other != NULL) {
        pull_unref(pull);
        if (other != NULL)
            code = join(tasks, order, other, id, err);
        pull_unref(other);
        return code;
    }
    code = record_make(tasks, record, order->audit, err);
    pull_list_settle(&tasks->list, pull, code == ERR_OK);
    loop_post(tasks->options.loop, begin_waiting, tasks);
    return code;
}

/* The statement came again? */
static enum err_code known_find(struct tasks *tasks, struct task_id *id, bool *ret_known,
                                struct err *err)
{
    struct pull *pull = pull_list_find(&tasks->list, id);
    if (pull == NULL)
        return joined_find(tasks, id, ret_known, id, err);
    bool recorded = pull_list_recorded(&tasks->list, pull);
    pull_unref(pull);
    if (!recorded)
        return err_set(err, ERR_BUSY, "this task was just refused; ask again");
    *ret_known = true;
    return ERR_OK;
}

enum err_code tasks_start(struct tasks *tasks, const struct tasks_order *order,
                          struct task_id *ret_id, struct err *err)
{
    struct task_id id = order_id(order);
    bool known;
    TRY(known_find(tasks, &id, &known, err));
    if (!known) {
        ARENA_CLEANUP struct arena arena;
        arena_init(&arena, MIB(8));
        struct xcopy_target target;
        TRY(order_allowed(tasks, order, &arena, &target, err));
        TRY(order_copies(order, err));
        const struct xcopy_record record = record_new(tasks, order, &id, &target);
        TRY(task_make(tasks, order, &record, &id, err));
    }
    *ret_id = id;
    return ERR_OK;
}

static enum err_code task_missing(const struct task_id *id, struct err *err)
{
    char text[TASK_ID_TEXT_BYTES];
    return err_set(err, ERR_NOT_FOUND, "no task %s; SHOW TASKS lists them",
                   task_id_format(id, text));
}

static enum err_code cancel_record(struct tasks *tasks, const struct principal *principal,
                                   const struct pull *pull, struct err *err)
{
    const struct task_id *id = &pull->record.id;
    if (!principal->operator&& !authorise_task(principal, pull->record.account,
                                               pull->record.principal))
        return task_missing(id, err);
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
    struct pull *pull = pull_list_find(&tasks->list, id);
    if (pull == NULL)
        return task_missing(id, err);
    enum err_code code = cancel_record(tasks, principal, pull, err);
    if (code != ERR_OK || !loop_post(tasks->options.loop, on_cancel, pull))
        pull_unref(pull);
    return code;
}

void tasks_recheck(struct tasks *tasks)
{
    standing_request(&tasks->standing);
}

/* ---- status ---- */

/* Statements have a limit of their own, and many tasks are listed together. */
static struct span statement_shown(struct span statement, struct arena *arena)
{
    static const char more[] = "...";
    if (statement.len <= TASK_STATEMENT_SHOWN_BYTES)
        return arena_copy(arena, statement);
    size_t len = TASK_STATEMENT_SHOWN_BYTES - (sizeof(more) - 1);
    while (len > 0 && (statement.data[len] & 0xC0) == 0x80)
        len--; /* not within a character */
    uint8_t *shown = arena_alloc(arena, 1, TASK_STATEMENT_SHOWN_BYTES);
    if (shown == NULL)
        return span_of(NULL, 0);
    memcpy(shown, statement.data, len);
    memcpy(shown + len, more, sizeof(more) - 1);
    return span_of(shown, len + sizeof(more) - 1);
}

static bool place_copy(const struct token_place *place, struct arena *arena,
                       struct token_place *ret_place)
{
    *ret_place = (struct token_place){.region = arena_copy(arena, place->region),
                                      .project = arena_copy(arena, place->project),
                                      .snapshot = arena_copy(arena, place->snapshot)};
    return ret_place->region.data != NULL && ret_place->project.data != NULL &&
           ret_place->snapshot.data != NULL;
}

static enum err_code status_get(struct pull *pull, struct arena *arena,
                                struct task_status *ret_status, struct err *err)
{
    pthread_mutex_lock(&pull->lock);
    struct task_status status = pull->status;
    pthread_mutex_unlock(&pull->lock);
    pull_times(pull, &status.elapsed_ms, &status.moving_ms);
    size_t in_line = atomic_load(&pull->in_line);
    if (in_line > 0 && status.state == TASK_QUEUED)
        snprintf(status.phase, sizeof(status.phase), "queued, number %zu in line of its project",
                 in_line);
    status.principal = arena_copy(arena, pull->record.principal);
    status.statement = statement_shown(pull->record.statement, arena);
    bool copied = status.principal.data != NULL && status.statement.data != NULL &&
                  place_copy(&pull->token.source, arena, &status.source) &&
                  place_copy(&pull->token.destination, arena, &status.destination);
    if (!copied)
        return err_set(err, ERR_LIMIT, "too many tasks to list");
    *ret_status = status;
    return ERR_OK;
}

enum err_code tasks_status(struct tasks *tasks, const struct task_id *id, struct arena *arena,
                           struct task_status *ret_status, struct err *err)
{
    struct pull *pull = pull_list_find(&tasks->list, id);
    if (pull == NULL)
        return task_missing(id, err);
    enum err_code code = status_get(pull, arena, ret_status, err);
    pull_unref(pull);
    return code;
}

enum err_code tasks_list(struct tasks *tasks, const struct principal *principal,
                         struct arena *arena, struct task_status **ret_list, size_t *ret_count,
                         struct err *err)
{
    size_t count, listed = 0;
    struct pull **pulls = pull_list_copy(&tasks->list, &count);
    struct task_status *list = arena_alloc(arena, count + 1, sizeof(*list));
    enum err_code code = list != NULL ? ERR_OK : err_set(err, ERR_LIMIT, "too many tasks to list");
    for (size_t i = count; i-- > 0 && code == ERR_OK;) {
        if (atomic_load(&pulls[i]->recorded) &&
            authorise_task(principal, pulls[i]->account, pulls[i]->record.principal))
            code = status_get(pulls[i], arena, &list[listed++], err);
    }
    pull_list_copy_free(pulls, count);
    if (code != ERR_OK)
        return code;
    *ret_list = list;
    *ret_count = listed;
    return ERR_OK;
}

size_t tasks_active(struct tasks *tasks)
{
    return pull_list_active(&tasks->list);
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
