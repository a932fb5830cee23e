#include "node/reload.h"

#include "node/sql/resources.h"
#include "node/store_setup.h"

/* ---- the settings ---- */

typedef void apply_function(const struct reload_parts *parts, const struct config *config);

enum value_kind { VALUE_SCALAR, VALUE_TEXT, VALUE_LIST };

struct reload_setting {
    const char *name;
    enum value_kind kind;
    size_t at, bytes;      /* in struct config */
    apply_function *apply; /* NULL: a restart takes it up */
};

static void apply_log(const struct reload_parts *parts, const struct config *config)
{
    (void)parts;
    log_set_format(config->log_format);
    log_set_level(config->log_level);
}

struct limit_values reload_limits(const struct config *config)
{
    return (struct limit_values){
        .load_memory_bytes = config->load_memory_bytes,
        .select = {.time_ms_max = config->select_time_s * 1000,
                   .memory_bytes_max = config->select_memory_bytes,
                   .temp_bytes_max = config->select_temp_bytes,
                   .disk_reserve_bytes = config->disk_reserve_bytes,
                   .rows_max = config->select_rows,
                   .result_bytes_max = config->select_result_bytes},
    };
}

static void apply_limits(const struct reload_parts *parts, const struct config *config)
{
    const struct limit_values values = reload_limits(config);
    limits_set(parts->limits, &values);
}

static void apply_disk_reserve(const struct reload_parts *parts, const struct config *config)
{
    store_set_disk_reserve(parts->store, config->disk_reserve_bytes);
    apply_limits(parts, config);
}

static void apply_memory_total(const struct reload_parts *parts, const struct config *config)
{
    (void)parts;
    resources_total_set((int64_t)config->select_memory_total_bytes);
}

static void apply_history(const struct reload_parts *parts, const struct config *config)
{
    expiry_set_history(parts->expiry, config->history_retention_ms);
}

static void apply_clean_up(const struct reload_parts *parts, const struct config *config)
{
    parts->on_clean_up_interval(parts->context, config->clean_up_interval_ms);
}

static void apply_scrub(const struct reload_parts *parts, const struct config *config)
{
    scrubber_set_rate(parts->scrubber, config->scrub_rate_bytes);
}

static void apply_tasks(const struct reload_parts *parts, const struct config *config)
{
    tasks_set_per_project(parts->tasks, config->tasks_per_project);
}

static void apply_operators(const struct reload_parts *parts, const struct config *config)
{
    struct err err;
    if (principals_set_operators(parts->principals, &config->operator_keys, &err) != ERR_OK)
        log_error("operator_keys were not taken up", &err); /* they were checked */
}

#define AT(field) offsetof(struct config, field), sizeof(((struct config *)0)->field)

static const struct reload_setting settings[] = {
    {"region", VALUE_TEXT, AT(region), NULL},
    {"data_dir", VALUE_TEXT, AT(data_dir), NULL},
    {"key_file", VALUE_TEXT, AT(key_file), NULL},
    {"listen_peers", VALUE_LIST, AT(listen_peers), NULL},
    {"listen_operators", VALUE_LIST, AT(listen_operators), NULL},
    {"listen_metrics", VALUE_TEXT, AT(listen_metrics), NULL},
    {"gates", VALUE_SCALAR, AT(gates), NULL},
    {"workers", VALUE_SCALAR, AT(workers), NULL},
    {"former_keys", VALUE_LIST, AT(former_keys), NULL},
    {"operator_keys", VALUE_LIST, AT(operator_keys), apply_operators},
    {"disk_reserve", VALUE_SCALAR, AT(disk_reserve_bytes), apply_disk_reserve},
    {"load_memory", VALUE_SCALAR, AT(load_memory_bytes), apply_limits},
    {"history_retention", VALUE_SCALAR, AT(history_retention_ms), apply_history},
    {"clean_up_interval", VALUE_SCALAR, AT(clean_up_interval_ms), apply_clean_up},
    {"scrub_rate", VALUE_SCALAR, AT(scrub_rate_bytes), apply_scrub},
    {"select_time", VALUE_SCALAR, AT(select_time_s), apply_limits},
    {"select_memory", VALUE_SCALAR, AT(select_memory_bytes), apply_limits},
    {"select_memory_total", VALUE_SCALAR, AT(select_memory_total_bytes), apply_memory_total},
    {"select_temp", VALUE_SCALAR, AT(select_temp_bytes), apply_limits},
    {"select_rows", VALUE_SCALAR, AT(select_rows), apply_limits},
    {"select_result", VALUE_SCALAR, AT(select_result_bytes), apply_limits},
    {"tasks_per_project", VALUE_SCALAR, AT(tasks_per_project), apply_tasks},
    {"log_format", VALUE_SCALAR, AT(log_format), apply_log},
    {"log_level", VALUE_SCALAR, AT(log_level), apply_log},
};

enum reload_when reload_when(const char *name)
{
    if (strcmp(name, "peer") == 0)
        return RELOAD_AT_ONCE;
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
        if (strcmp(settings[i].name, name) == 0)
            return settings[i].apply != NULL ? RELOAD_AT_ONCE : RELOAD_AT_RESTART;
    }
    return RELOAD_UNKNOWN;
}

/* NULL: not set. */
static bool text_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool setting_same(const struct reload_setting *setting, const struct config *a,
                         const struct config *b)
{
    const void *one = (const char *)a + setting->at;
    const void *other = (const char *)b + setting->at;
    if (setting->kind == VALUE_TEXT)
        return text_same(*(char *const *)one, *(char *const *)other);
    if (setting->kind == VALUE_LIST)
        return config_list_equal(one, other);
    return memcmp(one, other, setting->bytes) == 0;
}

/* ---- peers ---- */

struct following {
    const struct reload_parts *parts;
    size_t changes;
};

static void peer_reserve(const struct reload_parts *parts, const struct peer *peer)
{
    const struct public_identity keys = peer_keys(peer);
    principals_reserve(parts->principals, &keys);
    for (size_t i = 0; i < peer->config.former_keys.count; i++) /* this thread alone changes them */
        principals_reserve(parts->principals, &peer->former_keys[i]);
}

static void on_peer(void *context, enum peer_change change, struct peer *peer)
{
    static const char *const events[] = {[PEER_ADDED] = "a peer was added",
                                         [PEER_CHANGED] = "a peer was changed",
                                         [PEER_REMOVED] = "a peer was removed"};
    struct following *following = context;
    const struct reload_parts *parts = following->parts;
    BYTES_CLEANUP struct bytes addresses = {0};
    struct err err;
    following->changes++;
    if (change != PEER_REMOVED)
        peer_reserve(parts, peer);
    if (channels_add(parts->channels, peer, &err) != ERR_OK)
        log_error("a channel's limit could not be read: it has the default until it is set", &err);
    peer_addresses(peer, &addresses);
    log_event(LOG_INFO, events[change], LOG_TEXT("region", peer->region),
              LOG_SPAN("addresses", bytes_span(&addresses)));
}

static void on_peer_key_drop(void *context, const struct noise_key *key)
{
    const struct reload_parts *parts = ((struct following *)context)->parts;
    parts->on_key_drop(parts->context, key);
}

/* Returns whether any is another than before. */
static bool peers_apply(const struct reload_parts *parts, const struct config *config)
{
    struct following following = {.parts = parts};
    const struct peers_follow_options options = {.config = config,
                                                 .on_change = on_peer,
                                                 .on_key_drop = on_peer_key_drop,
                                                 .context = &following};
    struct err err;
    if (peers_follow(parts->peers, &options, &err) != ERR_OK)
        log_error("peers were not taken up", &err); /* they were checked */
    if (following.changes > 0)
        source_recheck(parts->source);
    return following.changes > 0;
}

/* ---- all of it ---- */

/* What a start would refuse, and what only a running node knows. */
static enum err_code fresh_check(const struct reload_parts *parts, const struct config *started,
                                 const struct config *fresh, struct err *err)
{
    for (size_t i = 0; i < fresh->peer_count; i++) {
        if (strcmp(fresh->peers[i].region, started->region) == 0)
            return err_set(err, ERR_CONFIG, "peer %s: this node runs as that region",
                           started->region);
    }
    TRY(principals_operators_check(&fresh->operator_keys, err));
    TRY(former_keys_check(fresh, err)); /* a restart takes them up, and would be refused */
    return peers_check(fresh->peers, fresh->peer_count, identity_public(parts->identity), err);
}

static void name_add(struct bytes *names, const char *name)
{
    bytes_printf(names, "%s%s", names->len == 0 ? "" : ",", name);
}

static void fresh_apply(const struct reload_parts *parts, const struct config *started,
                        const struct config *former, const struct config *fresh)
{
    BYTES_CLEANUP struct bytes changed = {0};
    BYTES_CLEANUP struct bytes waits = {0};
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
        const struct reload_setting *setting = &settings[i];
        if (setting->apply == NULL && !setting_same(setting, started, fresh))
            name_add(&waits, setting->name);
        if (setting->apply == NULL || setting_same(setting, former, fresh))
            continue;
        setting->apply(parts, fresh);
        name_add(&changed, setting->name);
    }
    if (peers_apply(parts, fresh))
        name_add(&changed, "peer");
    own_config_taken(parts->own, &fresh->digest);
    if (waits.len > 0)
        log_event(LOG_WARN, "settings wait for a restart",
                  LOG_SPAN("settings", bytes_span(&waits)));
    log_event(LOG_INFO, "reloaded", LOG_TEXT("file", fresh->path),
              LOG_SPAN("changed", bytes_span(&changed)));
}

enum err_code reload_run(const struct reload_parts *parts, const struct config *started,
                         struct config *taken, struct err *err)
{
    CONFIG_CLEANUP struct config fresh = {0};
    TRY(config_read(started->path, &fresh, err));
    if (fresh_check(parts, started, &fresh, err) != ERR_OK)
        return err_wrap(err, "%s", started->path);
    fresh_apply(parts, started, taken, &fresh);
    config_deinit(taken);
    *taken = fresh;
    memset(&fresh, 0, sizeof(fresh));
    return ERR_OK;
}
