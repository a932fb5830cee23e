/* The files of an open database, looked at on the disk: what it holds in memory and does not read again
 * until the next opening, which damage in them would refuse.
 *
 *     CURRENT, manifest     read whole; what is wrong is told: only a copy of data_dir helps
 *     logs                  read whole; what is wrong is written anew from memory, and told
 *     ends of tables        each is opened once more, beside the database; what is wrong is told
 *
 * Never here: records and blocks (scrub.c reads them), a database that is not open (refusal.h).
 * Threads: any; looks at one database take turns.
 */
#ifndef STORE_DB_LOOK_H
#define STORE_DB_LOOK_H

#include "store/db.h"

#define DB_LOOK_TABLES 64 /* a step */

/* One step, from the table behind *after (0: from the beginning, CURRENT and the logs first) on.
 * on_fault: which file, what it holds, what to do. *ret_end: that was all. */
enum err_code db_look(struct db *db, uint64_t *after,
                      void (*on_fault)(void *context, const char *what), void *context,
                      bool *ret_end, struct err *err) MUST_USE;

#endif
