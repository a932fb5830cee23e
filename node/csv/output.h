/* Where a download goes: a file, a .zst file, or standard output ("-").
 *
 * A file is written under PATH.partial and takes its name when it is whole and synced; given up, it
 * is removed. One thread.
 */
#ifndef NODE_CSV_OUTPUT_H
#define NODE_CSV_OUTPUT_H

#include "proto/bytes.h"

struct csv_output;

/* ERR_IO naming path and reason. A name ending in .zst is compressed (level 3). */
enum err_code csv_output_open(const char *path, struct csv_output **ret_output, struct err *err);
enum err_code csv_output_write(struct csv_output *output, struct span content, struct err *err);
/* Flushes, syncs and names the file; the output is closed either way. */
enum err_code csv_output_finish(struct csv_output *output, uint64_t *ret_file_bytes,
                                struct err *err);
void csv_output_abandon(struct csv_output *output); /* NULL too */

#endif
