/* A spill file: what a load puts aside when its memory is full. It has no name from the moment it
 * is open, so that nothing is left behind whatever happens. Written at its end, read anywhere.
 * One thread at a time.
 */
#ifndef STORE_SPILL_H
#define STORE_SPILL_H

#include "proto/bytes.h"
#include "store/space.h"

struct spill {
    int fd; /* -1: not open */
    uint64_t bytes;
    struct space space; /* of its folder */
};

#define SPILL_CLOSED ((struct spill){.fd = -1})

/* In the folder space->path, which exists; the path is borrowed until spill_close. ERR_IO,
 * ERR_NO_SPACE, ERR_NO_DESCRIPTORS. */
enum err_code spill_open(const struct space *space, struct spill *ret_spill, struct err *err);
void spill_close(struct spill *spill); /* also of a closed one */
/* At the end. ERR_NO_SPACE when the disk would have less than the reserve, ERR_IO. */
enum err_code spill_write(struct spill *spill, struct span content, struct err *err);
/* These bytes are not read again: their room may come back, where the file system can. */
void spill_discard(const struct spill *spill, uint64_t at, uint64_t len);
/* Exactly `len` bytes; ERR_CORRUPT when they are not there, ERR_IO. */
enum err_code spill_read(const struct spill *spill, uint64_t at, void *ret_content, size_t len,
                         struct err *err);

#endif
