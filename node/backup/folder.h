/* A backup on disk, for whoever writes one and whoever reads it.
 *
 *     DIR/manifest          the last whole backup (manifest.h); replaced by a rename, when all it names is durable
 *     DIR/files/FILE.MARK   content; read only once it has this name
 *     DIR/files/NAME.part     arriving
 *     DIR/lock              flock of who writes
 *
 * Nothing that a manifest names is changed, so at any moment the manifest that is there is of a whole backup.
 * Errors name the file. Threads: one.
 */
#ifndef NODE_BACKUP_FOLDER_H
#define NODE_BACKUP_FOLDER_H

#include "node/backup/manifest.h"

/* ERR_NOT_FOUND: DIR has no manifest. ERR_CORRUPT, ERR_VERSION, ERR_IO. */
enum err_code backup_manifest_read(const char *dir, struct backup_manifest *ret_manifest,
                                   struct err *err) MUST_USE;
/* Durable on return, or the one before stands. ERR_BAD_DATA: it could not be read again. */
enum err_code backup_manifest_write(const char *dir, const struct backup_manifest *manifest,
                                    struct err *err) MUST_USE;

/* Reads a file of the backup whole; to: writes it there as well, a new file, synced (NULL: only looks).
 * ERR_CORRUPT: its length or digest is another than the manifest's; ERR_IO. */
enum err_code backup_file_copy(const char *dir, const struct backup_file *file, const char *to,
                               struct err *err) MUST_USE;
/* Hashes a file from its beginning for `bytes`; what is there may be longer. ERR_CORRUPT: it is shorter. */
enum err_code backup_file_hash(const char *path, uint64_t bytes, struct digest_state *state,
                               struct err *err) MUST_USE;

/* A new file for writing, the caller's to close. What had the name loses it and is not written: it may have other
 * names (cp -al of a backup), or be a link to elsewhere. */
enum err_code backup_file_make(const char *path, int *ret_file, struct err *err) MUST_USE;

/* ERR_NO_SPACE, ERR_IO with the path, by errno. */
enum err_code backup_failed(const char *path, const char *doing, struct err *err) MUST_USE;
/* What was made, renamed or removed in it is durable. */
enum err_code backup_folder_sync(const char *path, struct err *err) MUST_USE;

#endif
