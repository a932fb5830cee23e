/* Brings the snapshots that another region has and this node has not, each by an XCOPY of
 * its own, oldest first: what an older one brought does not move again with a newer one.
 *
 *     -c HERE   SHOW SNAPSHOT TABLES  ◄─ compared ─►  SHOW SNAPSHOT TABLES   --from THERE
 *        └────── XCOPY SNAPSHOT p.s TO SNAPSHOT p.s, signed by HERE's key
 *
 * For a region that was lost, or restored from a backup. Origin and the maker's signature come along; a
 * snapshot ends when the other region's does. Nothing here is replaced: other content under the same name is told. Begun again, it goes
 * on. Tables are made of snapshots by CREATE TABLE ... CLONE.
 */
#ifndef NODE_CLIENT_REFILL_H
#define NODE_CLIENT_REFILL_H

#include "node/client/command.h"

struct refill_options {
    const char *there_path; /* of the client's configuration for the other region's node */
    const char *project;    /* NULL: that of here's configuration */
    bool dry;               /* prints the statements, to stdout */
};

/* EXIT_FAILED: some did not come, or are here with other content. */
enum exit_code refill_run(struct client *here, const struct refill_options *options);

#endif
