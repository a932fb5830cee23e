/* The data directory: whose it is, who has it open, what is left over in it. */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include "proto/bytes.h"

/* Before anything is made in it: whether what this process writes there, the node that it is of can open. data_dir, or the
 * folder that it would be made in, has to be this user's. Another user but root may have been let into one (by its
 * group): until a store is there, which has to be that user's. ERR_CONFIG says whose it is and what to run. */
enum err_code directory_owner_check(const char *data_dir, struct err *err);

/* Takes the lock file; its descriptor keeps it. ERR_LOCKED names the process that has it. */
enum err_code directory_lock(const char *data_dir, int *ret_file, struct err *err);

struct store_options;
struct store_origin;

/* What a store is, as text: format, region, node, and this program. */
void marker_make(const char *region, struct span node, struct bytes *out);
/* Format and program of a marker that was checked. */
void marker_origin(struct span text, struct store_origin *ret_origin);
/* ERR_VERSION on a newer format, ERR_CONFIG on another region or node, ERR_CORRUPT on anything
 * else. `where` is named in the message. */
enum err_code marker_check(const char *where, struct span found, struct span wanted,
                           struct err *err);
/* Of the file, with what to do about it. */
enum err_code marker_file_check(const char *data_dir, struct span found, struct span wanted,
                                struct err *err);
/* Of a node that changed its key: puts the present one into the text. False: it names no former key. All else is
 * still to be checked. */
bool marker_former_take(const struct store_options *options, struct bytes *text);
enum err_code marker_read(const char *data_dir, struct bytes *ret_text, bool *ret_found,
                          struct err *err);
/* Whole and synced, or not at all. */
enum err_code marker_write(const char *data_dir, struct span text, struct err *err);

/* What was made, renamed or removed in it is durable. */
enum err_code directory_sync(const char *path, struct err *err);
/* Makes the directory when missing. */
enum err_code directory_make(const char *path, struct err *err);
/* What --restore makes a store in before it is in place (node/restore.h). */
#define DIRECTORY_RESTORING "restoring"

/* Removes it with all that is in it; it may be gone. */
enum err_code directory_remove(const char *path, struct err *err);
/* Removes all that is in it. */
enum err_code directory_clear(const char *path, struct err *err);

#endif
