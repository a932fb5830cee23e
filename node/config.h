/* The daemon's configuration file.
 *
 *     region = "cn-hongkong"
 *     data_dir = "/var/lib/strait"                 # relative paths start at the file's folder
 *     key_file = "/etc/strait/node.key"
 *     listen_peers = {"0.0.0.0:7070"}
 *     listen_operators = {"127.0.0.1:7071"}
 *     operator_keys = {"..."}                      # public strings: `strait pubkey FILE`
 *     gates = true                                 # XCOPY needs the switch and the allow-list
 *     disk_reserve = "256MiB"
 *     load_memory = "256MiB"
 *     workers = 0                                  # 0: one a processor
 *     log_format = "logfmt"                        # or "json"
 *     peer ap-southeast-1 {
 *         addresses = {"10.0.0.2:7070"}
 *         key = "..."
 *         former_keys = {}
 *     }
 *
 * An unknown setting, a scalar given twice, a missing or bad value: ERR_CONFIG with file and line,
 * what was found and what to write instead. Read once, at start. Not here: the client's settings
 * (node/client), whether keys are well-formed (node/keys.h).
 */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include "node/log.h"
#include "proto/limits.h"

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
    char *region;
    char *data_dir; /* absolute, as key_file */
    char *key_file;
    struct config_list listen_peers;
    struct config_list listen_operators;
    struct config_list operator_keys;
    bool gates;
    uint64_t disk_reserve_bytes;
    uint64_t load_memory_bytes;
    size_t workers; /* never 0 after reading */
    enum log_format log_format;
    struct config_peer *peers;
    size_t peer_count;
};

enum err_code config_read(const char *path, struct config *ret_config, struct err *err);
void config_deinit(struct config *config); /* zeroed is fine */
#define CONFIG_CLEANUP __attribute__((cleanup(config_deinit)))

/* "256MiB", "1GiB", "4096": bytes. Also KiB, TiB; false on anything else or overflow. */
bool config_parse_bytes(const char *text, uint64_t *ret_bytes);

#endif
