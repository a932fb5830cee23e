/* What a node remembers of an XCOPY: enough to go on by itself after a restart.
 *
 *     tasks family:   't' task id 16 -> record       'c' task id 16 -> (empty): it was asked to stop
 *                     'j' task id 16 -> the task that this statement joined (xcopy_destination.c)
 *
 * The request to stop has a key of its own, so that nobody overwrites what another thread recorded.
 * Encoding: docs/FORMATS.md, "Tasks". Memory: a decoded record borrows from the bytes. No threads.
 */
#ifndef NODE_TASK_XCOPY_RECORD_H
#define NODE_TASK_XCOPY_RECORD_H

#include "node/task/task.h"
#include "proto/token.h"
#include "store/catalog_commit.h"

struct xcopy_record {
    struct task_id id;
    enum task_state state; /* QUEUED until it ends */
    bool published;        /* the snapshot is visible */
    bool queues;           /* OPTIONS(queue=true) */
    struct account_id account;
    struct project_id project; /* that it goes to; of an old record 0: as its name says then */
    enum err_code error;       /* state FAILED */
    uint64_t expires_ms;       /* of the snapshot to be; 0: never */
    uint64_t created_ms;       /* since 1970, UTC, as the next */
    uint64_t started_ms;
    uint64_t ended_ms;             /* 0: not yet; the receipt may still be on its way */
    uint64_t held_since;           /* period (store/held.h) in which it began; 0: it has not */
    struct task_counters counters; /* as of the last commit; at the end final */
    struct digest version, root;   /* published: for the receipt */
    struct span principal;         /* who started it */
    struct span statement;         /* text */
    struct span token;             /* signed bytes: names, regions, keys */
    /* Under a standing token: the schedule that began it, and the names of this copy; else empty. */
    struct span schedule, source_snapshot, destination_snapshot;
    struct span message;   /* state FAILED */
    uint64_t tries_again;  /* because of troubles */
    enum err_code trouble; /* the latest of them; ERR_OK: none */
    struct span trouble_message;
};

uint64_t xcopy_now_ms(void); /* since 1970, UTC */

#define XCOPY_KEY_BYTES 17
struct span xcopy_key(char kind, const struct task_id *id, uint8_t key[XCOPY_KEY_BYTES]);

void xcopy_record_encode(const struct xcopy_record *record, struct bytes *out);
/* ERR_CORRUPT. */
enum err_code xcopy_record_decode(struct span encoded, struct xcopy_record *ret_record,
                                  struct err *err) MUST_USE;
/* Its token, with the names of this copy. */
enum err_code xcopy_record_token(const struct xcopy_record *record, struct token *ret_token,
                                 struct err *err) MUST_USE;
enum err_code xcopy_record_commit(struct store *store, const struct xcopy_record *record,
                                  enum catalog_space space, struct err *err) MUST_USE;
/* Adds the record to a change. */
void xcopy_record_put(struct catalog_change *change, const struct xcopy_record *record);

#endif
