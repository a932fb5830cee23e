/* Second names of packs while the database takes them in.
 *
 *     hold: link DB-taking-PACK  ->  the library: link, manifest, sync  ->  release: unlink
 *                                          | a sync of the manifest fails
 *                                          v
 *     it deletes its own name; the manifest may name the file all the same; next opening: not found
 *     mend: link it back from the second name, open again  ->  release all
 *
 * Without them one such failure makes the database unreadable for good (RocksDB 7.8 deletes what it
 * took in whenever it cannot tell that it did). A pack that is mended so is known again by whoever was
 * taking it in (pack.c `run_ingest`); if nobody is left, nothing points at it, and it is clean-up's. Names are beside the database, as docs/FORMATS.md says.
 * Invariants: 1. a file of the database is never replaced, and none is removed but what this opening
 * linked. 2. After an opening for writing there are no second names.
 * Threads: hold and release any; the others while nobody is inside the database.
 */
#ifndef STORE_TAKEN_H
#define STORE_TAKEN_H

#include "proto/bytes.h"

/* db_path: the database's directory. Gives each file its second name; where links are not known, goes
 * without. On failure none has one. */
enum err_code taken_hold(const char *db_path, const char *const *paths, size_t count,
                         struct err *err);
void taken_release(const char *db_path, const char *const *paths, size_t count);
void taken_release_all(const char *db_path);

#define MEND_FILES_MAX 32

/* One opening, with its retries. Zeroed with the path set is the start. */
struct taken_mend {
    const char *db_path;                  /* borrows */
    struct bytes seconds[MEND_FILES_MAX]; /* second names, ascending as their packs; terminated */
    size_t second_count;
    struct mend_link {
        struct bytes missing; /* terminated */
        size_t second;        /* what now stands there */
    } links[MEND_FILES_MAX];
    size_t link_count;
    size_t attempts;
};

/* After an opening that failed with this text: whether another one is worth it, a second name now standing
 * where a file was missing. Which belongs where the database alone can tell: pairs are tried until it
 * opens; when none is left all is as before. */
bool taken_mend_next(struct taken_mend *mend, const char *text);
void taken_mend_deinit(struct taken_mend *mend);

#endif
