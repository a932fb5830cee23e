/* A spill file: what a load puts aside when its memory is full. It has no name from the moment it
 * is open, so that nothing is left behind whatever happens. Written at its end, read anywhere.
 * One thread at a time.
 */
#ifndef STORE_SPILL_H
#define STORE_SPILL_H

#include "proto/bytes.h"

struct spill {
    int fd; /* -1: not open */
    uint64_t bytes;
    uint64_t reserve_bytes; /* what must stay free on its disk */
};

#define SPILL_CLOSED ((struct spill){.fd = -1})

/* In the folder, which exists. ERR_IO. */
enum err_code spill_open(const char *folder, uint64_t reserve_bytes, struct spill *ret_spill,
                         struct err *err);
void spill_close(struct spill *spill); /* also of a closed one */
/* At the end. ERR_NO_SPACE when the disk would have less than the reserve, ERR_IO. */
enum err_code spill_write(struct spill *spill, struct span content, struct err *err);
/* Exactly `len` bytes; ERR_CORRUPT when they are not there, ERR_IO. */
enum err_code spill_read(const struct spill *spill, uint64_t at, void *ret_content, size_t len,
                         struct err *err);

#endif
