/* What is damaged: files and pages whose stored bytes are not what their digest says.
 *
 *     damaged   digest 32 -> kind u8 | found u64 ms | reason        family of its own
 *
 *     read or scrub finds it -> damage_note -> not served, not held -> the same content comes again
 *                                                (file_read, page_read,     (any content commit)
 *                                                 content_rely_*)            -> healed: not listed
 *
 * A page counts as held only while nothing below it is listed, so that a pull of the same content goes
 * down to what is damaged and fetches just that.
 *
 * Invariants: 1. the set in memory equals the family, or is ahead of it by what could not be written
 * (the next scrub writes it). 2. A digest leaves the list in the batch that stores it anew, or when
 * scrub has found its bytes right again, or gone with everything that named them.
 * Threads: any; the set is behind the lock of the index.
 */
#ifndef STORE_DAMAGE_H
#define STORE_DAMAGE_H

#include "proto/catalog.h"
#include "proto/digest.h"

struct store;

enum damage_kind { /* stored */
                   DAMAGE_FILE = 1,
                   DAMAGE_PAGE = 2,
};

struct damage {
    struct digest digest;
    enum damage_kind kind;
    uint64_t found_ms; /* since 1970 */
    char reason[160];
};

/* Lists it; again is fine. A list that cannot be written is kept in memory. */
void damage_note(struct store *store, const struct digest *digest, enum damage_kind kind,
                 const char *reason);
bool damage_has(struct store *store, const struct digest *digest);
size_t damage_count(struct store *store);
/* ERR_CORRUPT: what a reader of it is told. cause: as just found, or NULL. */
enum err_code damage_refuse(enum damage_kind kind, const struct digest *digest, const char *cause,
                            struct err *err);
/* Its bytes were found right, or nothing names it any more. */
enum err_code damage_forget(struct store *store, const struct digest *digest, struct err *err);

/* In order of digest; the caller frees the array. */
enum err_code damage_list(struct store *store, struct damage **ret_list, size_t *ret_count,
                          struct err *err) MUST_USE;

/* Whether the page, or anything below it, is listed. Reads pages only while anything is listed. */
enum err_code damage_below(struct store *store, const struct digest *page, bool *ret_damaged,
                           struct err *err) MUST_USE;
/* The same of a version: of its rows, or what is beside them. */
enum err_code damage_of_version(struct store *store, const struct version_ref *version,
                                bool *ret_damaged, struct err *err) MUST_USE;

/* ---- what it hurts ---- */

/* A damaged file or page at one place of a table or snapshot. Spans borrow for the call. */
struct damage_place {
    struct digest digest;
    enum damage_kind kind;
    bool is_snapshot;
    struct table_id id;
    struct project_id project;
    struct span name;
    const struct version_ref *version;
    struct span partition; /* as text: a=1/b=2; empty: the table has no partitions, or see below */
    struct span columns;   /* names, with ", " between; empty: a page, so all */
    bool is_range;         /* a page that names more than one partition, or unknown ones */
};
typedef enum err_code damage_on_place(void *context, const struct damage_place *place,
                                      struct err *err);
/* Every place of every table and snapshot, or of the one with this id (0: all). What is below a damaged
 * page is not seen. */
enum err_code damage_places(struct store *store, struct table_id id, damage_on_place *on_place,
                            void *context, struct err *err) MUST_USE;

#endif
