/* Records of the database's logs and manifests, as RocksDB 7.8 frames them (db/log_format.h there): in
 * blocks of 32 KiB, each with a checksum. What they say is not known here.
 *
 * Pure, but for db_log_stops, which reads a file. Threads: any.
 */
#ifndef STORE_DB_LOG_H
#define STORE_DB_LOG_H

#include "proto/bytes.h"

/* The end of the last whole record: a power cut may leave a piece behind it. */
size_t db_log_end(struct span log);
/* Whether a log or manifest has a record that is not as its checksum says, and where. A piece of one at
 * the end does not count, nor does a file that is gone. Reads 32 KiB at a time. */
bool db_log_stops(const char *path, uint64_t *ret_at);
/* Adds a record behind the last whole one. */
void db_log_append(struct bytes *log, struct span record);

#endif
