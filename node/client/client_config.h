/* The client's configuration file.
 *
 *     address = "127.0.0.1:7071"      # the node's operator listener
 *     node_key = "strait1_..."        # its public string: nobody else can answer in its place
 *     key_file = "root.key"           # ours; relative paths start at the file's folder
 *     project = "demo"                # optional: the current project to begin with
 *     format = "table"                # optional: table, csv or json
 *
 * The file is the one of -c, else $STRAIT_CONFIG, else ~/.config/strait/strait.conf. An unknown
 * setting, one given twice, a missing or bad value: ERR_CONFIG with file and line. Read once.
 */
#ifndef NODE_CLIENT_CLIENT_CONFIG_H
#define NODE_CLIENT_CLIENT_CONFIG_H

#include "node/client/format.h"

struct client_config {
    char *address;
    char *node_key;
    char *key_file;
    char *project; /* NULL: none */
    const struct format_kind *format;
};

/* path: as given with -c, or NULL. */
enum err_code client_config_read(const char *path, struct client_config *ret_config,
                                 struct err *err);
void client_config_deinit(struct client_config *config); /* zeroed is fine */
#define CLIENT_CONFIG_CLEANUP __attribute__((cleanup(client_config_deinit)))

#endif
