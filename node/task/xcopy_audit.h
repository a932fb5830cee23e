/* What an XCOPY leaves in the audit logs of both its ends.
 *
 *     destination   XCOPY SNAPSHOT     the statement (its own), published, failed, cancelled
 *     source        XCOPY DESCRIBE     a lease is granted, or refused: with the reason that the peer is
 *                                      not told
 *                   EXPLAIN XCOPY      as describe, under a token without the right to files
 *                   XCOPY RECEIPT      the peer has it all; count and head of the peer's own log
 *                   XCOPY REPAIR       as describe, under a receipt
 *
 * Entries of what changes something go into the change; refusals to the auditor. Threads: any.
 */
#ifndef NODE_TASK_XCOPY_AUDIT_H
#define NODE_TASK_XCOPY_AUDIT_H

#include "node/auditor.h"
#include "node/task/xcopy_record.h"
#include "node/task/xcopy_rights.h"
#include "transport/listener.h"

/* A record and what it borrows beside tokens and arenas. */
struct xcopy_entry {
    struct audit_record record;
    struct xcopy_told told;
    struct task_id task;
    uint8_t key[AUDIT_KEY_BYTES];
    char principal[LIMIT_PRINCIPAL_BYTES + 16];
    char address[LIMIT_PRINCIPAL_BYTES + 1 + SESSION_ADDRESS_BYTES];
    char message[2 * ERR_MESSAGE_BYTES];
};

/* Who asks this node, as source. */
struct xcopy_asker {
    const struct xcopy_rights *rights;
    const struct session *session; /* of the peer */
    struct task_id task;
    struct span snapshot; /* asked for under a standing token; else empty */
};

/* Under a token: whose it is by this side's records. Borrows from token and arena. */
void xcopy_entry_token(const struct xcopy_asker *asker, const char *action, struct span token,
                       struct arena *arena, struct xcopy_entry *ret_entry);
/* Under a receipt: by the peer itself; object: of which snapshot, if that is known (else NULL). */
void xcopy_entry_peer(const struct xcopy_asker *asker, const char *action,
                      const struct audit_place *object, struct xcopy_entry *ret_entry);
/* The outcome of a refusal; what the peer is not told instead of the one answer that it is. */
void xcopy_entry_refuse(struct xcopy_entry *entry, const struct err *err);
/* What else there is to know. */
void xcopy_entry_say(struct xcopy_entry *entry, const char *form, ...)
    __attribute__((format(printf, 2, 3)));

/* As destination: a task's end, told with its record. region: of the source. Borrows. */
void xcopy_entry_task(const struct xcopy_record *record, struct store *store, const char *region,
                      struct arena *arena, struct xcopy_entry *ret_entry);

#endif
