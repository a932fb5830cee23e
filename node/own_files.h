/* The two files that a node was started with and does not read again until the next start: its key and
 * its configuration, as they stand on the disk now.
 *
 *     key file        damaged, gone, or another key: the node runs on with what it has in memory, and the next
 *                     start is refused, or is another node's
 *     configuration   other bytes than at the start: an edit, which is nobody's fault, or a flip
 *
 * Nothing is repaired. Of what is in them nothing is told. Threads: any.
 */
#ifndef NODE_OWN_FILES_H
#define NODE_OWN_FILES_H

#include "node/config.h"
#include "transport/identity.h"

struct own_files {
    const struct config *config; /* as it was read at the start; borrowed, as the identity */
    const struct identity *identity;
};

/* ERR_CONFIG: the key file is not that of the identity any more; which file, what is wrong, what to do. */
enum err_code own_key_check(const struct own_files *files, struct err *err) MUST_USE;
/* ERR_CONFIG: the configuration was changed since the start, or cannot be read. */
enum err_code own_config_check(const struct own_files *files, struct err *err) MUST_USE;

#endif
