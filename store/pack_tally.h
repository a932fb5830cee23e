/* What clean-up counts while it steps through the file index: the live bytes of each pack.
 *
 *     begin -> add: every file record that stays -> settle: the records of packs say the same
 *                                               -> take_dead: packs that no file record names
 *
 * Counts in pack records are an opinion, the file index is the truth: a pack goes only when the whole
 * index was read and nothing in it names the pack. A count that is wrong is put right on the way, so
 * it neither loses a file nor keeps space for ever.
 *
 * Only packs that were there and not busy when the count began are counted: their files do not become
 * more, and only clean-up makes them fewer; one that a content gives another place meanwhile may be counted
 * or not, so the records of the packs it left are not touched (`thinned`, index.h). One thread, which has the lock of collections.
 */
#ifndef STORE_PACK_TALLY_H
#define STORE_PACK_TALLY_H

#include "store/index.h"

struct pack_tally_one {
    struct pack_id id;
    uint64_t files, bytes;
};

struct pack_tally {               /* zeroed is valid */
    struct pack_tally_one *packs; /* ascending by id */
    size_t count;
};

void pack_tally_deinit(struct pack_tally *tally);
void pack_tally_begin(struct pack_tally *tally, struct index *index);
void pack_tally_add(struct pack_tally *tally, const struct file_record *record);
/* Every file record has been added. *ret_recounted: packs whose record was wrong; unsynced. */
enum err_code pack_tally_settle(const struct pack_tally *tally, struct index *index,
                                uint64_t *ret_recounted, struct err *err);
/* The caller frees the list. */
void pack_tally_take_dead(const struct pack_tally *tally, struct pack_id **ret_ids,
                          size_t *ret_count);

#endif
