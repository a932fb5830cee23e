/* Thin packs are copied together: what lives in packs with few live bytes goes into new packs, and
 * the old ones give their space back.
 *
 *     thin packs, by id -> their live files, from the file index, in the order they lie
 *       step: read and hash -> new pack, synced -> ingest -> switch the index over -> sync -> drop old
 *
 * Cost: a pack with live share u costs u read, hashed and written, and frees 1 - u: u / (1 - u) copied
 * for each byte freed. THIN_LIVE_PERCENT bounds both: packs take at most 100 / THIN_LIVE_PERCENT of
 * the live bytes, and a freed byte costs at most THIN / (100 - THIN) copied ones (README.md).
 *
 * Invariants: 1. an old pack is dropped when every file record that named it was seen and names
 * another place, durably. 2. A run never looks at a pack that was made after it began: it ends.
 * 3. A file is hashed on its way. One that is damaged stays where it is, with its pack, for repair.
 * 4. A step takes at most one pack's bytes of IO and space. It may use the disk reserve; what does not
 * fit is skipped and counted.
 * Order: files of a step keep the order of their packs and slots, so what was loaded together stays
 * together.
 * Threads: one, which has the lock of collections; readers look up again (files.h).
 */
#ifndef STORE_REPACK_H
#define STORE_REPACK_H

#include "proto/err.h"
#include <stdint.h>

struct store;

struct repack_counts {
    uint64_t packs_copied; /* old ones, gone now */
    uint64_t packs_written;
    uint64_t files_copied;
    uint64_t file_bytes_copied;
    uint64_t packs_skipped; /* thin, but there was no room for the copy */
    uint64_t files_damaged; /* not copied: their packs stay */
};

/* Adds to *counts, also when it fails: what was copied stays copied. */
enum err_code repack_run(struct store *store, struct repack_counts *counts, struct err *err);

#endif
