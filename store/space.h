/* The disk and its reserve (what new data may not use), and what a refused file operation means. */
#ifndef STORE_SPACE_H
#define STORE_SPACE_H

#include "proto/err.h"
#include <stdint.h>

struct space {
    const char *path;       /* any path on the file system; borrowed */
    uint64_t reserve_bytes; /* of a store it may change: through space_reserve alone */
};

uint64_t space_reserve(const struct space *space);
void space_set_reserve(struct space *space, uint64_t bytes); /* any thread */

/* ERR_NO_SPACE, with bytes free and needed, unless the reserve stays free after `bytes` more. */
enum err_code space_check(const struct space *space, uint64_t bytes, struct err *err);

/* The error of an operation on `path` (a file or its folder) that ended with this errno.
 * ERR_NO_SPACE with the bytes free, ERR_NO_DESCRIPTORS with the limit, else ERR_IO. */
enum err_code space_failed(const char *path, const char *doing, int number, struct err *err);

#endif
