/* Records of the database's logs and manifests, as RocksDB 7.8 frames them (db/log_format.h there): in
 * blocks of 32 KiB, each with a checksum over its kind and content, but not over its length. What they
 * say is not known here.
 *
 * A power cut may leave a piece of a record at the end, which no checksum holds for; a record whose
 * length was changed looks the same to the library, but with its own length its checksum holds. So the
 * two are told apart: by chance a piece is taken for such a record once in 2^32 times.
 *
 * Pure, but for db_log_check and db_logs_each, which read. Threads: any.
 */
#ifndef STORE_DB_LOG_H
#define STORE_DB_LOG_H

#include "proto/bytes.h"

enum db_log_state {
    DB_LOG_WHOLE,
    DB_LOG_CUT,     /* ends in a piece: of a power cut, or it is being written */
    DB_LOG_ZEROED,  /* ends in zeros: a power cut may leave them, a database that runs does not */
    DB_LOG_DAMAGED, /* a record is not as it was written; the library may take it for the end */
};

/* The end of the last whole record: a power cut may leave a piece behind it. */
size_t db_log_end(struct span log);
/* How a log or manifest is, and if it is not whole, where that begins. A file that is gone is whole. Reads
 * 32 KiB at a time. */
enum db_log_state db_log_check(const char *path, uint64_t *ret_at);
/* Calls on the path of each log in the database's directory. */
typedef void db_on_log(void *context, const char *path);
void db_logs_each(const char *folder, db_on_log *on_log, void *context);
/* Adds a record behind the last whole one. */
void db_log_append(struct bytes *log, struct span record);

#endif
