/* What a backup brings: the files of the node's checkpoint that DIR does not have.
 *
 *     list ─► of the last whole backup, with its digest        nothing moves
 *          ─► arrived, of a backup that was interrupted        hashed here
 *          ─► else                                             from its beginning
 *
 * A file gets its name when it is whole and durable. Some reads are in flight at a time; memory is theirs.
 * Threads: one.
 */
#ifndef NODE_CLIENT_BACKUP_PULL_H
#define NODE_CLIENT_BACKUP_PULL_H

#include "node/backup/folder.h"
#include "node/client/progress.h"
#include "node/client/remote.h"

#define BACKUP_READS_MAX 4 /* in flight, of BACKUP_READ_BYTES_MAX each */

struct backup_pull {
    struct remote *remote;
    const char *dir;
    struct statement_id id;
    struct progress progress;
    struct backup_manifest *fresh;     /* its files get their digests */
    const struct backup_manifest *old; /* of the last whole backup; empty: there is none */
    uint64_t bytes_total;              /* of files to be had */
    uint64_t bytes_moved;
    uint64_t files_moved;
};

/* The node's list, whole. */
enum err_code backup_pull_list(struct backup_pull *pull, uint64_t list_bytes,
                               struct bytes *ret_list, struct err *err) MUST_USE;
/* ERR_NO_SPACE before anything moves when DIR's file system has not room for it. */
enum err_code backup_pull_files(struct backup_pull *pull, struct err *err) MUST_USE;

#endif
