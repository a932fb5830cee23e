/* A file, standard input or a .zst stream, read through a growing window.
 *
 * zstd is recognised by its first bytes, not by the name (no UTF-8 text begins with them). A byte
 * order mark at the start is passed over. One thread.
 */
#ifndef NODE_CSV_INPUT_H
#define NODE_CSV_INPUT_H

#include "proto/bytes.h"

struct csv_input;

struct csv_input_progress {
    uint64_t read_bytes;  /* taken from the file so far, compressed where it is */
    uint64_t total_bytes; /* of the file, 0 where unknown (a pipe) */
};

/* "-" is standard input. ERR_IO naming path and reason. */
enum err_code csv_input_open(const char *path, struct csv_input **ret_input, struct err *err);
void csv_input_close(struct csv_input *input); /* NULL too */
void csv_input_close_pointer(struct csv_input **input);
#define CSV_INPUT_CLEANUP __attribute__((cleanup(csv_input_close_pointer)))

/* The unread window: valid until fill or close. Writable (split.h). */
uint8_t *csv_input_window(struct csv_input *input, size_t *ret_len, bool *ret_last);
void csv_input_consume(struct csv_input *input, size_t len);
/* Reads on behind the window, which grows up to LIMIT_CSV_RECORD_BYTES. ERR_LIMIT beyond it,
 * ERR_IO, ERR_BAD_DATA for a damaged or cut .zst. At the end of the file `last` becomes true. */
enum err_code csv_input_fill(struct csv_input *input, struct err *err);
struct csv_input_progress csv_input_progress(const struct csv_input *input);

#endif
