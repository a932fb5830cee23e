/* The daemon's configuration file. Every setting, its units and its default: deploy/straitd.conf.example
 * (style.py and config_test hold it to config.c).
 *
 * An unknown setting, a scalar given twice, a missing or bad value: ERR_CONFIG with file and line,
 * what was found and what to write instead. Read at the start and at each SIGHUP (node/reload.h), by the
 * main thread alone. Not here: the client's settings
 * (node/client), whether keys are well-formed (transport/identity.h).
 */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include <sys/socket.h>

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
    unsigned line; /* where it begins, from 1 */
};

/* Where a setting begins, from 1; 0: it is not there. */
struct config_lines {
    unsigned data_dir, key_file, operator_keys, former_keys;
    unsigned listen_peers, listen_operators, listen_metrics;
};

struct config {
    char *path;           /* of the file, as it was given */
    struct digest digest; /* of its bytes (config_digest) */
    char *region;
    char *data_dir; /* absolute, as key_file */
    char *key_file;
    struct config_list listen_peers;
    struct config_list listen_operators;
    char *listen_metrics; /* NULL: nobody listens */
    struct config_list operator_keys;
    struct config_list former_keys; /* this node's own */
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
    enum log_level log_level;
    struct config_peer *peers;
    size_t peer_count;
    struct config_lines lines;
};

enum err_code config_read(const char *path, struct config *ret_config, struct err *err);
/* What tells a file that was edited since from one that was not. ERR_CONFIG: it cannot be read. */
enum err_code config_digest(const char *path, struct digest *ret_digest, struct err *err) MUST_USE;
void config_deinit(struct config *config); /* zeroed is fine */
struct config config_copy(const struct config *config);
#define CONFIG_CLEANUP __attribute__((cleanup(config_deinit)))

bool config_list_equal(const struct config_list *a, const struct config_list *b);
struct config_peer config_peer_copy(const struct config_peer *peer);
void config_peer_deinit(struct config_peer *peer); /* zeroed is fine */

/* "256MiB", "1GiB", "4096": bytes. Also KiB, TiB; false on anything else or overflow. */
bool config_parse_bytes(const char *text, uint64_t *ret_bytes);
/* "127.0.0.1:9464", "[::1]:9464": no name, for nothing is looked up. */
bool config_parse_literal(const char *text, struct sockaddr_storage *ret_address);
/* "90s", "30m", "24h", "7d": ms, from 1 s to HISTORY_MS_MAX. */
bool config_parse_duration(const char *text, uint64_t *ret_ms);

#endif
