/* tunnel upload: a CSV file into a table.
 *
 *     load begin -> columns ; chunk 0, 1, 2 ... several in flight ; commit -> outcome
 *
 * The file is read and converted here; chunks carry batches. Nothing of it is visible before the
 * commit: a bad record, Ctrl-C or a lost node leave the table as it was.
 */
#ifndef NODE_CLIENT_UPLOAD_H
#define NODE_CLIENT_UPLOAD_H

#include "node/client/tunnel_options.h"

enum exit_code upload_run(struct client *client, const struct tunnel_options *options,
                          const struct tunnel_target *target);

#endif
