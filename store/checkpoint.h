/* A checkpoint: the whole store at one moment, as files that may be read while the store goes on.
 *
 *     checkpoint_create   DATA_DIR/tmp/checkpoint/   tables: second names, at once whatever their size
 *          │                                         log, manifest: copies of some MiB
 *     checkpoint_read ... by place and offset
 *          │
 *     checkpoint_free     removed; else by the next store_open, as all of tmp/
 *
 * All that a store keeps is in its database, so its files are the store. A database that is opened on
 * copies of them is as after kill -9 at that moment: which store_open is made for.
 *
 * Invariants: 1. what was acknowledged before checkpoint_create is in it. 2. Files do not change while it
 * stands; clean-up may drop their packs, whose space comes back when the checkpoint goes.
 * 3. At most one stands at a time: the caller's duty.
 * Threads: create and free on one each; read any number at once between the two.
 * Not here: who may have it, for how long (node/backups.h).
 */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H

#include "proto/bytes.h"

struct store;
struct checkpoint;

#define CHECKPOINT_NAME_BYTES 64
#define CHECKPOINT_MARK_BYTES 8

struct checkpoint_file {
    char name[CHECKPOINT_NAME_BYTES]; /* in the database's directory */
    uint64_t bytes;
    bool is_table; /* never written again under that name and mark */
    uint8_t mark
        [CHECKPOINT_MARK_BYTES]; /* of a table: from its end, where its maker put unique numbers */
};

/* ERR_NO_SPACE beyond the reserve; ERR_IO. Nothing is left behind by a failure that a next one would not
 * remove. Waits for no writer longer than for one batch; writers wait for the copies. */
enum err_code checkpoint_create(struct store *store, struct checkpoint **ret_checkpoint,
                                struct err *err) MUST_USE;
void checkpoint_free(struct checkpoint *checkpoint); /* NULL is fine */

size_t checkpoint_count(const struct checkpoint *checkpoint);
/* In order of names; borrowed until checkpoint_free. */
const struct checkpoint_file *checkpoint_at(const struct checkpoint *checkpoint, size_t i);
/* Appends at most bytes_max from offset on; nothing beyond the file's end. */
enum err_code checkpoint_read(const struct checkpoint *checkpoint, size_t i, uint64_t offset,
                              size_t bytes_max, struct bytes *out, struct err *err) MUST_USE;

#endif
