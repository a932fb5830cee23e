/* The disk reserve: what new data may not use. */
#ifndef STORE_SPACE_H
#define STORE_SPACE_H

#include "proto/err.h"
#include <stdint.h>

struct space {
    const char *path; /* any path on the file system; borrowed */
    uint64_t reserve_bytes;
};

/* ERR_NO_SPACE, with bytes free and needed, unless the reserve stays free after `bytes` more. */
enum err_code space_check(const struct space *space, uint64_t bytes, struct err *err);

#endif
