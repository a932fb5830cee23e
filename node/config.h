/* The daemon's configuration file. Every setting, its units and its default: deploy/straitd.conf.example
 * (style.py and config_test hold it to config.c).
 *
 * An unknown setting, a scalar given twice, a missing or bad value: ERR_CONFIG with file and line,
 * what was found and what to write instead. Read once, at start. Not here: the client's settings
 * (node/client), whether keys are well-formed (node/keys.h).
 */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include "node/log.h"
#include "proto/digest.h"
#include "proto/limits.h"

#define SCRUB_RATE_BYTES_DEFAULT (8 * MIB(1))
#define SCRUB_RATE_BYTES_MAX     (1024 * MIB(1))

struct config_list {
    char **items;
    size_t count;
};

struct config_peer {
    char *region;
    struct config_list addresses; /* at least one */
    char *key;                    /* public string */
    struct config_list former_keys;
};

struct config {
    char *path;           /* of the file, as it was given */
    struct digest digest; /* of its bytes (config_digest) */
    char *region;
    char *data_dir; /* absolute, as key_file */
    char *key_file;
    struct config_list listen_peers;
    struct config_list listen_operators;
    struct config_list operator_keys;
    bool gates;
    uint64_t disk_reserve_bytes;
    uint64_t load_memory_bytes;
    uint32_t clean_up_interval_ms;
    uint64_t history_retention_ms;
    uint64_t scrub_rate_bytes; /* a second; 0: scrub only when asked */
    uint64_t select_time_s;    /* 0: no limit, as select_rows */
    uint64_t select_memory_bytes;
    uint64_t select_memory_total_bytes; /* of all queries together */
    uint64_t select_temp_bytes;
    uint64_t select_rows;
    uint64_t select_result_bytes; /* 0: no limit */
    size_t workers;               /* never 0 after reading */
    size_t tasks_per_project;
    enum log_format log_format;
    struct config_peer *peers;
    size_t peer_count;
};

enum err_code config_read(const char *path, struct config *ret_config, struct err *err);
/* What tells a file that was edited since from one that was not. ERR_CONFIG: it cannot be read. */
enum err_code config_digest(const char *path, struct digest *ret_digest, struct err *err) MUST_USE;
void config_deinit(struct config *config); /* zeroed is fine */
#define CONFIG_CLEANUP __attribute__((cleanup(config_deinit)))

/* "256MiB", "1GiB", "4096": bytes. Also KiB, TiB; false on anything else or overflow. */
bool config_parse_bytes(const char *text, uint64_t *ret_bytes);
/* "90s", "30m", "24h", "7d": ms, from 1 s to HISTORY_MS_MAX. */
bool config_parse_duration(const char *text, uint64_t *ret_ms);

#endif
