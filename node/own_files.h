/* The two files that a node was started with, its key and its configuration, as they stand on the disk now.
 *
 *     key file        damaged, gone, or another key: the node runs on with what it has in memory, and the next
 *                     start is refused, or is another node's
 *     configuration   other bytes than were taken up: an edit, which is nobody's fault, or a flip
 *
 * Nothing is repaired. Of what is in them nothing is told. Threads: any; one lock, a leaf, guards which configuration was taken up.
 */
#ifndef NODE_OWN_FILES_H
#define NODE_OWN_FILES_H

#include <pthread.h>

#include "node/config.h"
#include "transport/identity.h"

struct own_files {
    const char *config_path, *key_path; /* borrowed, as the identity */
    const struct identity *identity;
    pthread_mutex_t lock;
    struct digest config_digest; /* the lock's: of the configuration that was taken up last */
};

void own_files_init(struct own_files *files, const struct config *config,
                    const struct identity *identity);
void own_files_deinit(struct own_files *files);
/* The configuration was read again and taken up. */
void own_config_taken(struct own_files *files, const struct digest *digest);

/* ERR_CONFIG: the key file is not that of the identity any more; which file, what is wrong, what to do. */
enum err_code own_key_check(const struct own_files *files, struct err *err) MUST_USE;
/* ERR_CONFIG: the configuration was changed since it was taken up, or cannot be read. */
enum err_code own_config_check(struct own_files *files, struct err *err) MUST_USE;

#endif
