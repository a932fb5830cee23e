/* A drill: does a snapshot hold all that its record promises? Everything is read, nothing is written but
 * the list of damage (damage.h).
 *
 *     record     its maker's signature; the version that was signed is the one that is here
 *     trees      every page: its digest, its place below its parent; partitions add up to what they say,
 *                both trees have the same ones, the record's totals are the root's
 *     files      every column file that is named: indexed here, stored, and its bytes hash to its digest
 *     deep       every column file is decoded: rows, NULLs, NaNs, minima and maxima are as the tree says,
 *                the rows of each partition have its row checksum, those of clustered ones are in place
 *
 * A proof of PROOF_STORED says: these are the very bytes that were committed or arrived here. PROOF_DEEP
 * says besides: they are rows, and those that the writer's checksums speak of. Neither says that the
 * rows are right.
 *
 * Invariants: 1. What is damaged does not end it: it goes on beside it, and each place is told once. 2. A
 * minimum that is lower than need be, or a maximum that is higher, is no fault: nothing is skipped
 * wrongly. 3. Nothing is read from a cache of the database's.
 *
 * Memory: a path of pages, the columns of one row group, one file, and 32 bytes for each of up to
 * VERIFY_FILES_MAX files: beyond, a file that is named twice is read and counted twice. Threads: any; the
 * version is pinned meanwhile, whatever is dropped.
 *
 * Elsewhere: all of a store, and its repair (scrub.h); a closed one (fsck).
 */
#ifndef STORE_VERIFY_H
#define STORE_VERIFY_H

#include "proto/catalog.h"

#define VERIFY_FILES_MAX (1 << 22)

struct store;

enum verify_what {
    VERIFY_RECORD,    /* the snapshot's record in the catalog */
    VERIFY_PAGE,      /* `partition` is unknown: what is below was not looked at */
    VERIFY_TREE,      /* pages that are whole and do not fit together */
    VERIFY_FILE,      /* not here, or not what its digest says */
    VERIFY_COLUMN,    /* deep: a whole file that does not hold what the tree says */
    VERIFY_PARTITION, /* deep: its rows together */
};

/* Borrows for the call. */
struct verify_fault {
    enum verify_what what;
    const struct digest *digest; /* of the page or file; else NULL */
    struct span partition;       /* as text: a=1/b=2; or empty */
    struct span columns;         /* names, with ", " between; or empty */
    const char *reason;
};

struct verify_watch {
    void (*on_fault)(void *context, const struct verify_fault *fault);
    void (*on_bytes)(void *context, uint64_t bytes); /* of files, read so far. May be NULL */
    bool (*stop)(
        void *context); /* asked for each page and file; true: ERR_CANCELLED. May be NULL */
    void *context;
};

struct verify_counts {
    uint64_t partitions, row_groups, rows, files, file_bytes, pages;
    uint64_t faults; /* told to on_fault */
};

/* ERR_OK whatever was found: see counts.faults. ERR_NOT_FOUND, ERR_TABLE_NOT_FOUND: no such snapshot;
 * else what kept it from looking. */
enum err_code verify_snapshot(struct store *store, struct table_id id, enum proof_depth depth,
                              const struct verify_watch *watch, struct verify_counts *ret_counts,
                              struct err *err) MUST_USE;

/* The last time, at any depth; 0: never. */
uint64_t verify_proven_ms(const struct snapshot_record *snapshot);

/* Notes in its record that it was proven. ERR_TABLE_NOT_FOUND: it is gone. ERR_CONFLICT: its record
 * changes too fast; again is fine. */
enum err_code verify_note(struct store *store, struct table_id id, enum proof_depth depth,
                          const struct snapshot_proof *proof, struct err *err) MUST_USE;

#endif
