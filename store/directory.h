/* The data directory: whose it is, who has it open, what is left over in it. */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include "proto/bytes.h"

/* Takes the lock file; its descriptor keeps it. ERR_LOCKED names the process that has it. */
enum err_code directory_lock(const char *data_dir, int *ret_file, struct err *err);

/* What a store is, as text: format, region, node. */
void marker_make(const char *region, struct span node, struct bytes *out);
/* ERR_VERSION on a newer format, ERR_CONFIG on another region or node, ERR_CORRUPT on anything
 * else. `where` is named in the message. */
enum err_code marker_check(const char *where, struct span found, struct span wanted,
                           struct err *err);
/* Of the file, with what to do about it. */
enum err_code marker_file_check(const char *data_dir, struct span found, struct span wanted,
                                struct err *err);
enum err_code marker_read(const char *data_dir, struct bytes *ret_text, bool *ret_found,
                          struct err *err);
/* Whole and synced, or not at all. */
enum err_code marker_write(const char *data_dir, struct span text, struct err *err);

/* What was made, renamed or removed in it is durable. */
enum err_code directory_sync(const char *path, struct err *err);
/* Makes the directory when missing. */
enum err_code directory_make(const char *path, struct err *err);
/* Removes all that is in it. */
enum err_code directory_clear(const char *path, struct err *err);

#endif
