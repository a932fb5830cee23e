#include "node/node.h"

#include <sys/stat.h>

#include "node/auditor.h"
#include "node/channels.h"
#include "node/cleanup.h"
#include "node/expiry.h"
#include "node/metrics_http.h"
#include "node/operator.h"
#include "node/principals_store.h"
#include "node/rights_alarm.h"
#include "node/schedule/runner.h"
#include "node/schedule/trigger.h"
#include "node/reload.h"
#include "node/sql/resources.h"
#include "node/start_check.h"
#include "node/store_setup.h"
#include "node/task/xcopy_source.h"
#include "node/version_refusals.h"

#define STATEMENT_WORKERS_MIN 4
#define TASK_WORKERS_MIN      2
#define COMMIT_WORKERS        8 /* their syncs become one: catalog_commit.c */
#define WORKERS_MAILBOX_JOBS  4096

struct node {
    struct config config; /* owned, as it was started with */
    struct config taken;  /* owned, as it was read last; the main thread's */
    struct limits limits;
    struct own_files own;
    struct identity *identity;
    struct principals *principals;
    struct store *store;
    struct pool *links; /* transport's threads */
    struct loop *loop;
    struct workers *workers;        /* statements, loads */
    struct workers *hurried;        /* CANCEL: no SELECT keeps it waiting */
    struct workers *task_workers;   /* XCOPY at both ends, clean-up: no SELECT costs a lease */
    struct workers *commit_workers; /* what of XCOPY waits for the disk: it keeps no file waiting */
    struct peers *peers;
    struct tasks *tasks;   /* XCOPY, this node as destination */
    struct source *source; /* the same as source */
    struct scrubber *scrubber;
    struct channels *channels;
    struct runner *schedules;
    struct triggers *triggers; /* of schedules that wait for a snapshot elsewhere */
    struct runs *runs;
    struct loads *loads;
    struct backups *backups;
    struct watches *watches;
    struct statement_services statements;
    struct operator_services operators;
    struct listener **listeners; /* operators' first, then peers' */
    size_t listener_count;
    bool listeners_closed; /* the loop's */
    struct cleanup *cleanup;
    struct expiry *expiry;
    struct replica_looks *looks;
    struct metrics_http *metrics_http; /* NULL: not configured */
    struct err_counts statement_errors;
    struct auditor *auditor;
    struct loop_timer audit_timer;
    struct loop_timer expiry_timer;
    struct rights_alarm rights_alarm;
    struct version_refusals version_refusals;
    struct loop_timer collection;
    _Atomic uint32_t clean_up_interval_ms;
};

/* ---- the root account: there before anybody asks ----
 *
 * The first start gives it the operators' keys (docs/decisions/root-account.md); never again. */

static enum err_code root_account_ensure(struct node *node, struct err *err)
{
    struct span name = span_text(ROOT_ACCOUNT_NAME);
    bool any;
    TRY(account_any(node->store, &any, err));
    if (any) /* made before; it may be dropped since */
        return ERR_OK;
    MEM_CLEANUP struct public_key *keys =
        mem_calloc(node->config.operator_keys.count + 1, sizeof(*keys));
    struct account_record spec = {.name = name, .keys = keys};
    for (size_t i = 0; i < node->config.operator_keys.count; i++) {
        struct public_identity public;
        TRY(public_identity_parse(span_text(node->config.operator_keys.items[i]), &public, err));
        keys[i].identity = public.sign;
        memcpy(keys[i].exchange, public.noise.b, sizeof(keys[i].exchange));
        spec.key_count++;
    }
    struct change_note note = {.now_ms = statement_now_ms(), .principal = name};
    const struct audit_record entry = {
        .time_ms = note.now_ms,
        .principal = name,
        .action = span_text(statement_kind_text(STATEMENT_CREATE_ACCOUNT)),
        .object.name = name,
        .outcome = span_text(AUDIT_OUTCOME_OK),
        .message = span_text("by the first start, with the operators' keys"),
    };
    note.audit = &entry;
    struct account_id id;
    enum err_code code = account_create(node->store, &spec, &note, &id, err);
    if (code == ERR_OK && id.n != ROOT_ACCOUNT_ID)
        return err_set(err, ERR_CORRUPT, "account %s has id %" PRIu64 ", not %d", ROOT_ACCOUNT_NAME,
                       id.n, ROOT_ACCOUNT_ID);
    return code;
}

/* ---- a key that was dropped: its connections go ---- */

struct key_drop {
    struct node *node;
    struct noise_key key;
};

/* On the loop, which hears of it before the listeners are closed. */
static void connections_close(void *argument)
{
    struct key_drop *drop = argument;
    struct node *node = drop->node;
    size_t count = atomic_load(&node->operators.listener_count);
    for (size_t i = 0; i < count && !node->listeners_closed; i++)
        listener_drop_key(node->listeners[i], &drop->key);
    mem_free(drop);
}

static void on_key_drop(void *context, const struct noise_key *key)
{
    struct node *node = context;
    struct key_drop *drop = mem_alloc(sizeof(*drop));
    *drop = (struct key_drop){node, *key};
    if (!loop_post(node->loop, connections_close, drop))
        mem_free(drop); /* the node stops: they are closed already */
}

static void listeners_forget(void *argument)
{
    struct node *node = argument;
    node->listeners_closed = true;
}

/* Nobody of this region has a key that is a node's. */
static void keys_reserve(struct node *node)
{
    principals_reserve(node->principals, identity_public(node->identity));
    for (size_t i = 0; i < peers_own_former_count(node->peers); i++)
        principals_reserve(node->principals, peers_own_former_at(node->peers, i));
    for (size_t i = 0; i < peers_places(node->peers); i++) {
        const struct peer *peer = peers_at(node->peers, i);
        principals_reserve(node->principals, &peer->keys);
        for (size_t k = 0; k < peer->config.former_keys.count; k++)
            principals_reserve(node->principals, &peer->former_keys[k]);
    }
}

/* ---- clean-up ---- */

static void collection_run(void *argument)
{
    struct node *node = argument;
    struct err err;
    struct collect_counts counts;
    if (cleanup_run(node->cleanup, &counts, &err) != ERR_OK)
        log_error("clean-up failed", &err);
}

/* ---- the audit log ---- */

static void audit_run(void *argument)
{
    struct node *node = argument;
    auditor_tick(node->auditor, loop_now_ms());
    if (auditor_log_due(node->auditor, loop_now_ms()))
        auditor_log(node->auditor);
}

static void on_audit_timer(void *argument)
{
    struct node *node = argument;
    workers_post(node->task_workers, audit_run, node, NULL);
    loop_timer_start(node->loop, &node->audit_timer, AUDITOR_EVERY_MS);
}

/* It is told of and not cured: the node goes on, and what is in the log stays. */
static void audit_start(struct node *node)
{
    struct err err;
    node->auditor = auditor_new(node->store);
    if (audit_opened(node->store, &err) != ERR_OK)
        log_error("the audit log is not whole", &err);
}

static uint32_t expiry_interval_ms(const struct node *node)
{
    uint32_t clean_up_ms = atomic_load(&node->clean_up_interval_ms);
    return clean_up_ms < EXPIRY_INTERVAL_MS_MAX ? clean_up_ms : EXPIRY_INTERVAL_MS_MAX;
}

static void on_expiry(void *argument)
{
    struct node *node = argument;
    expiry_tick(node->expiry);
    loop_timer_start(node->loop, &node->expiry_timer, expiry_interval_ms(node));
}

static void on_collection(void *argument)
{
    struct node *node = argument;
    workers_post(node->task_workers, collection_run, node, NULL);
    loop_timer_start(node->loop, &node->collection, atomic_load(&node->clean_up_interval_ms));
}

static void timers_start(void *argument)
{
    struct node *node = argument;
    node->expiry_timer = (struct loop_timer){.run = on_expiry, .argument = node};
    node->collection = (struct loop_timer){.run = on_collection, .argument = node};
    node->audit_timer = (struct loop_timer){.run = on_audit_timer, .argument = node};
    loop_timer_start(node->loop, &node->expiry_timer, expiry_interval_ms(node));
    loop_timer_start(node->loop, &node->collection, atomic_load(&node->clean_up_interval_ms));
    loop_timer_start(node->loop, &node->audit_timer, 0);
}

static void timers_cancel(void *argument)
{
    struct node *node = argument;
    if (node->rights_alarm.loop != NULL)
        rights_alarm_stop(&node->rights_alarm);
    loop_timer_cancel(node->loop, &node->expiry_timer);
    loop_timer_cancel(node->loop, &node->collection);
    loop_timer_cancel(node->loop, &node->audit_timer);
}

/* ---- start, in the order of the list in node.h ---- */

/* SQLite is started once in a process; a node that is started again (tests) finds it there. */
static enum err_code queries_start(struct node *node, struct err *err)
{
    static bool started;
    if (started)
        return ERR_OK;
    TRY(select_start(store_tmp_dir(node->store), err));
    resources_total_set((int64_t)node->config.select_memory_total_bytes);
    started = true;
    return ERR_OK;
}

static void rights_look(const struct node *node)
{
    uint64_t unreadable = rights_unreadable(node->store);
    if (unreadable > 0)
        log_event(LOG_WARN, "records of rights cannot be read and give none: fsck tells which",
                  LOG_NUMBER("records", unreadable));
}

static void origin_look(const struct store *store)
{
    struct store_origin origin;
    store_origin_get(store, &origin);
    if (origin.format < STORE_FORMAT)
        log_event(LOG_INFO,
                  "the store was of an older format; from now on older programs refuse it",
                  LOG_NUMBER("format_before", origin.format), LOG_NUMBER("format", STORE_FORMAT),
                  LOG_TEXT("program_before", origin.program[0] != '\0' ? origin.program : "?"));
}

static enum err_code store_start(struct node *node, struct err *err)
{
    struct store_setup setup;
    TRY(store_setup_make(&node->config, node->identity, &setup, err));
    TRY(store_open(&setup.options, &node->store, err));
    origin_look(node->store);
    audit_start(node);
    TRY(root_account_ensure(node, err));
    rights_look(node);
    return queries_start(node, err);
}

static enum err_code threads_start(struct node *node, struct err *err)
{
    size_t workers = 2 * node->config.workers;
    const struct workers_options statements = {
        .name = "statement",
        .workers = workers < STATEMENT_WORKERS_MIN ? STATEMENT_WORKERS_MIN : workers,
        .mailbox_jobs = WORKERS_MAILBOX_JOBS,
    };
    const struct workers_options tasks = {
        .name = "task",
        .workers =
            node->config.workers < TASK_WORKERS_MIN ? TASK_WORKERS_MIN : node->config.workers,
        .mailbox_jobs = WORKERS_MAILBOX_JOBS,
    };
    const struct workers_options hurried = {
        .name = "hurried", .workers = 1, .mailbox_jobs = WORKERS_MAILBOX_JOBS};
    const struct workers_options commits = {
        .name = "commit", .workers = COMMIT_WORKERS, .mailbox_jobs = WORKERS_MAILBOX_JOBS};
    TRY(pool_new(NULL, &node->links, err));
    TRY(loop_start(&node->loop, err));
    TRY(workers_start(&statements, &node->workers, err));
    TRY(workers_start(&tasks, &node->task_workers, err));
    TRY(workers_start(&hurried, &node->hurried, err));
    TRY(workers_start(&commits, &node->commit_workers, err));
    const struct expiry_options expiry = {.store = node->store,
                                          .workers = node->task_workers,
                                          .history_retention_ms =
                                              node->config.history_retention_ms};
    TRY(expiry_open(&expiry, &node->expiry, err));
    node->cleanup =
        cleanup_new(&(struct cleanup_options){.store = node->store, .expiry = node->expiry});
    loop_post(node->loop, timers_start, node);
    return ERR_OK;
}

static void on_rights_ended(void *context)
{
    struct node *node = context;
    source_recheck(node->source);
    tasks_recheck(node->tasks);
}

/* XCOPY at both ends. */
static enum err_code tasks_start_all(struct node *node, struct err *err)
{
    const struct tasks_options destination = {
        .store = node->store,
        .loop = node->loop,
        .workers = node->task_workers,
        .commits = node->commit_workers,
        .peers = node->peers,
        .principals = node->principals,
        .identity = node->identity,
        .region = node->config.region,
        .clock_doubted = !expiry_clock_believed(node->expiry),
        .per_project = node->config.tasks_per_project,
    };
    const struct source_options source = {
        .store = node->store,
        .loop = node->loop,
        .workers = node->task_workers,
        .commits = node->commit_workers,
        .peers = node->peers,
        .principals = node->principals,
        .identity = node->identity,
        .region = node->config.region,
        .auditor = node->auditor,
        .gates = node->config.gates,
        .clock_doubted = !expiry_clock_believed(node->expiry),
    };
    TRY(source_open(&source, &node->source, err));
    TRY(tasks_open(&destination, &node->tasks, err));
    node->rights_alarm = (struct rights_alarm){
        .store = node->store, .loop = node->loop, .ring = on_rights_ended, .context = node};
    rights_alarm_start(&node->rights_alarm);
    return ERR_OK;
}

/* ---- schedules ---- */

static uint64_t schedules_now_ms(void *context)
{
    (void)context;
    return statement_now_ms();
}

static bool schedules_clock_believed(void *context)
{
    return expiry_clock_look(context);
}

static void triggers_fired(void *context)
{
    struct node *node = context;
    runner_changed(node->schedules);
}

static enum err_code schedules_start(struct node *node, struct err *err)
{
    const struct runner_options options = {
        .services = &node->statements,
        .loop = node->loop,
        .workers = node->workers,
        .now_ms = schedules_now_ms,
        .believed = schedules_clock_believed,
        .context = node->expiry,
    };
    TRY(runner_open(&options, &node->schedules, err));
    node->statements.schedules = node->schedules;
    const struct triggers_options triggers = {
        .store = node->store,
        .peers = node->peers,
        .loop = node->loop,
        .workers = node->task_workers,
        .on_fired = triggers_fired,
        .context = node,
    };
    TRY(triggers_open(&triggers, &node->triggers, err));
    node->statements.triggers = node->triggers;
    return ERR_OK;
}

static enum err_code services_start(struct node *node, struct err *err)
{
    TRY(peers_new(&node->config, node->links, node->identity, &node->peers, err));
    const struct channels_options channels = {.store = node->store,
                                              .loop = node->loop,
                                              .workers = node->task_workers,
                                              .peers = node->peers};
    TRY(channels_open(&channels, &node->channels, err));
    TRY(tasks_start_all(node, err));
    const struct scrubber_options scrubber = {
        .store = node->store,
        .tasks = node->tasks,
        .loop = node->loop,
        .workers = node->task_workers,
        .own = &node->own,
        .bytes_per_second = node->config.scrub_rate_bytes,
    };
    node->scrubber = scrubber_new(&scrubber);
    node->statements = (struct statement_services){
        .store = node->store,
        .principals = node->principals,
        .peers = node->peers,
        .tasks = node->tasks,
        .source = node->source,
        .rights_alarm = &node->rights_alarm,
        .channels = node->channels,
        .cleanup = node->cleanup,
        .scrubber = node->scrubber,
        .auditor = node->auditor,
        .identity = node->identity,
        .region = node->config.region,
        .gates = node->config.gates,
        .errors = &node->statement_errors,
        .limits = &node->limits,
    };
    node->looks = replica_looks_new(node->store, node->task_workers);
    TRY(schedules_start(node, err));
    TRY(runs_new(node->loop, &node->runs, err));
    TRY(loads_new(&node->statements, node->loop, &node->loads, err));
    const struct backups_options backups = {.store = node->store,
                                            .loop = node->loop,
                                            .workers = node->task_workers,
                                            .region = node->config.region,
                                            .idle_ms = BACKUP_IDLE_MS};
    node->backups = backups_new(&backups);
    TRY(watches_new(node->tasks, node->loop, node->workers, &node->watches, err));
    size_t count = node->config.listen_operators.count + node->config.listen_peers.count;
    node->listeners = mem_calloc(count + 1, sizeof(struct listener *));
    node->operators = (struct operator_services){
        .backups = node->backups,
        .statements = &node->statements,
        .runs = node->runs,
        .loads = node->loads,
        .watches = node->watches,
        .workers = node->workers,
        .hurried = node->hurried,
        .principals = node->principals,
        .peers = node->peers,
        .source = node->source,
        .looks = node->looks,
        .listeners = node->listeners,
        .region = node->config.region,
        .identity = node->identity,
        .started_ms = loop_now_ms(),
    };
    return ERR_OK;
}

static enum err_code listeners_open(struct node *node, const struct config_list *addresses,
                                    enum listener_kind kind, const struct listener_handler *handler,
                                    struct err *err)
{
    for (size_t i = 0; i < addresses->count; i++) {
        const struct listener_options options = {
            .kind = kind,
            .address = addresses->items[i],
            .identity = node->identity,
            .handler = *handler,
            .on_refused = version_refused,
            .refused_context = &node->version_refusals,
        };
        struct listener **place = &node->listeners[node->listener_count];
        if (listener_open(node->links, &options, place, err) != ERR_OK)
            return err_wrap(err, "%s",
                            kind == LISTENER_PEERS ? "listen_peers" : "listen_operators");
        atomic_store(&node->operators.listener_count, ++node->listener_count);
        log_event(LOG_INFO, "listening",
                  LOG_TEXT("for", kind == LISTENER_PEERS ? "peers" : "operators"),
                  LOG_TEXT("address", addresses->items[i]));
    }
    return ERR_OK;
}

static enum err_code metrics_listen(struct node *node, struct err *err)
{
    const struct metrics_http_options options = {
        .services = &node->operators,
        .loop = node->loop,
        .address = node->config.listen_metrics,
    };
    if (options.address == NULL)
        return ERR_OK;
    TRY(metrics_http_open(&options, &node->metrics_http, err));
    log_event(LOG_INFO, "listening", LOG_TEXT("for", "metrics"),
              LOG_TEXT("address", options.address));
    return ERR_OK;
}

static enum err_code node_fill(struct node *node, struct err *err)
{
    TRY(descriptors_check(err));
    TRY(identity_load(node->config.key_file, &node->identity, err));
    own_files_init(&node->own, &node->config, node->identity);
    TRY(principals_new(&node->config.operator_keys, &node->principals, err));
    TRY(store_start(node, err));
    TRY(principals_load(node->principals, node->store, err));
    TRY(threads_start(node, err));
    TRY(services_start(node, err));
    keys_reserve(node);
    principals_on_drop(node->principals, on_key_drop, node);
    const struct listener_handler peers = {node->source, source_find, source_on_request};
    const struct listener_handler operators = {&node->operators, operator_find,
                                               operator_on_request};
    TRY(listeners_open(node, &node->config.listen_peers, LISTENER_PEERS, &peers, err));
    TRY(listeners_open(node, &node->config.listen_operators, LISTENER_OPERATORS, &operators, err));
    return metrics_listen(node, err);
}

enum err_code node_start(struct config *config, struct node **ret_node, struct err *err)
{
    struct node *node = mem_calloc(1, sizeof(*node));
    node->config = *config;
    memset(config, 0, sizeof(*config));
    node->taken = config_copy(&node->config);
    const struct limit_values limits = reload_limits(&node->config);
    pthread_mutex_init(&node->limits.lock, NULL);
    limits_set(&node->limits, &limits);
    node->clean_up_interval_ms = node->config.clean_up_interval_ms;
    enum err_code code = node_fill(node, err);
    if (code != ERR_OK) {
        node_stop(node);
        return code;
    }
    log_event(LOG_INFO, "started", LOG_TEXT("region", node->config.region),
              LOG_TEXT("data_dir", node->config.data_dir),
              LOG_NUMBER("peers", node->config.peer_count));
    *ret_node = node;
    return ERR_OK;
}

/* ---- the configuration read again ---- */

static void timers_follow(void *argument)
{
    struct node *node = argument;
    loop_timer_start(node->loop, &node->expiry_timer, expiry_interval_ms(node));
    loop_timer_start(node->loop, &node->collection, atomic_load(&node->clean_up_interval_ms));
}

static void on_clean_up_interval(void *context, uint32_t interval_ms)
{
    struct node *node = context;
    atomic_store(&node->clean_up_interval_ms, interval_ms);
    loop_post(node->loop, timers_follow, node);
}

void node_reload(struct node *node)
{
    const struct reload_parts parts = {
        .identity = node->identity,
        .principals = node->principals,
        .store = node->store,
        .peers = node->peers,
        .tasks = node->tasks,
        .source = node->source,
        .channels = node->channels,
        .scrubber = node->scrubber,
        .expiry = node->expiry,
        .limits = &node->limits,
        .own = &node->own,
        .on_clean_up_interval = on_clean_up_interval,
        .on_key_drop = on_key_drop,
        .context = node,
    };
    struct err err;
    if (reload_run(&parts, &node->config, &node->taken, &err) != ERR_OK)
        log_event(LOG_WARN, "not reloaded: all stays as it was", LOG_TEXT("error", err.message));
}

/* ---- the end ---- */

/* What cannot be written out now is read from the log by the next start. */
static void store_end(struct store *store)
{
    struct err err;
    if (store != NULL && store_flush(store, &err) != ERR_OK)
        log_event(LOG_WARN, "the last changes stay in the database's log",
                  LOG_TEXT("why", err.message));
    store_close(store);
}

/* Accepts a node that was started half: what is not there is NULL. */
void node_stop(struct node *node)
{
    if (node == NULL)
        return;
    if (node->loop != NULL)
        loop_call(node->loop, listeners_forget, node);
    metrics_http_close(node->metrics_http);
    for (size_t i = 0; i < node->listener_count; i++) /* no new requests */
        listener_stop(node->listeners[i]);
    for (size_t i = 0; i < node->listener_count; i++) /* nobody asks for their status any more */
        listener_close(node->listeners[i]);
    if (node->watches != NULL) /* those under way are told */
        watches_stop(node->watches);
    if (node->loads != NULL)
        loads_stop(node->loads);
    if (node->runs != NULL)
        runs_stop(node->runs);
    backups_stop(node->backups);
    triggers_stop(node->triggers);
    runner_stop(node->schedules);
    scrubber_stop(node->scrubber);
    replica_looks_stop(node->looks);
    source_stop(node->source);
    if (node->tasks != NULL) /* they go on after the next start */
        tasks_stop(node->tasks);
    channels_stop(node->channels);
    if (node->peers != NULL) /* nobody waits for a peer any more */
        peers_close(node->peers);
    if (node->loop != NULL)
        loop_call(node->loop, timers_cancel, node);
    expiry_stop(node->expiry);
    workers_stop(node->workers); /* what has begun ends */
    workers_stop(node->hurried);
    workers_stop(node->task_workers);
    workers_stop(node->commit_workers);
    loop_stop(node->loop);
    triggers_free(node->triggers);
    runner_free(node->schedules); /* before the tasks that its runs wait for */
    watches_free(node->watches);
    runs_free(node->runs);
    loads_free(node->loads);
    backups_free(node->backups);
    scrubber_free(node->scrubber);
    replica_looks_free(node->looks);
    tasks_free(node->tasks);
    source_free(node->source);
    channels_free(node->channels);
    peers_free(node->peers);
    workers_free(node->workers);
    workers_free(node->hurried);
    workers_free(node->task_workers);
    workers_free(node->commit_workers);
    cleanup_free(node->cleanup);
    expiry_free(node->expiry);
    if (node->auditor != NULL) {
        auditor_flush(node->auditor);
        auditor_log(node->auditor);
    }
    auditor_free(node->auditor);
    pool_free(node->links);
    store_end(node->store);
    principals_free(node->principals);
    identity_free(node->identity);
    mem_free(node->listeners);
    if (node->own.config_path != NULL)
        own_files_deinit(&node->own);
    pthread_mutex_destroy(&node->limits.lock);
    config_deinit(&node->taken);
    config_deinit(&node->config);
    mem_free(node);
}
