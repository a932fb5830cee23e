/* tunnel download: a table, or a partition of it, into one CSV file.
 *
 *     export -> columns, rows ; fetch ... -> rows      one version of the table from start to end
 */
#ifndef NODE_CLIENT_DOWNLOAD_H
#define NODE_CLIENT_DOWNLOAD_H

#include "node/client/tunnel_options.h"

enum exit_code download_run(struct client *client, const struct tunnel_options *options,
                            const struct tunnel_target *target);

#endif
