/* Column files by digest: where they are, reading them, who holds them.
 *
 *     files   digest 32                     -> place u8 | pack u64 | slot u32 | length u32 | stamp u64
 *     held    digest 32 | account u64       -> period u64       held.h
 *     small   digest 32                     -> stored bytes
 *
 * A file's place changes when it moves (nursery, thin packs): callers keep digests, never places.
 * "Held" is an account's, not the region's (docs/RIGHTS.md): whoever decides what to pull
 * or reports what is here asks held_find and nothing else.
 * Threads: any.
 */
#ifndef STORE_FILES_H
#define STORE_FILES_H

#include "proto/ids.h"

struct store;

enum file_check {
    FILE_CHECK_LENGTH, /* the stored length; the database has checked its own checksums */
    FILE_CHECK_DIGEST, /* the whole content: first use, repair, scrub */
};

/* ret_content is overwritten, its memory reused. ERR_NOT_FOUND: not here. ERR_CORRUPT: here, but
 * damaged (also length and checksum), and listed as such (damage.h). */
enum err_code file_read(struct store *store, const struct digest *digest, enum file_check check,
                        struct bytes *ret_content, struct err *err);

/* Stored bytes without reading them. */
enum err_code file_find(struct store *store, const struct digest *digest, uint64_t *ret_file_bytes,
                        bool *ret_found, struct err *err);

/* Whether the account holds the file or page of that digest here. Does not pin: what is to be
 * relied on goes through content_rely_file or content_rely_page. */
enum err_code held_find(struct store *store, const struct digest *digest, struct account_id account,
                        bool *ret_held, struct err *err);

#endif
