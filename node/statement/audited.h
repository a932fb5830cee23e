/* What a statement, load or download leaves in the audit log.
 *
 * One table says which kinds of statement have an entry: changes of rights, CLONE, snapshots, XCOPY.
 * It goes into the commit of the change with the statement's note; a refusal of any kind goes to the
 * auditor, from the one function that runs statements. What a refusal is about is noted by the
 * look-ups (lookup.c), else taken from the statement.
 * Threads: as the call.
 */
#ifndef NODE_STATEMENT_AUDITED_H
#define NODE_STATEMENT_AUDITED_H

#include "node/auditor.h"
#include "node/principals.h"
#include "node/sql/ast.h"
#include "store/project.h"

#define STATEMENT_ADDRESS_BYTES 64

struct statement_call;

/* Of one call, beside it: owned by whoever owns the call. Zeroed, with the address, at the start. */
struct statement_audit {
    char address[STATEMENT_ADDRESS_BYTES]; /* where the request came from */
    uint8_t key[AUDIT_KEY_BYTES];
    struct audit_record record;
    bool has_refused;
    struct audit_place refused; /* what the last look-up was refused; borrows from the call */
};

/* Does this kind have an entry when it has changed something? */
bool statement_kind_audited(enum statement_kind kind);
/* May it have taken a right from somebody: are leases of peers asked about again after it? */
bool statement_kind_rights(enum statement_kind kind);
/* Was that decided? (Of every kind that changes something: a test asks.) */
bool statement_kind_listed(enum statement_kind kind);

/* The entry for the commit of the call's change; NULL: its kind has none. Borrows from the call. */
const struct audit_record *statement_audited(const struct statement_call *call);
/* The call did something to an object outside of statements ("DOWNLOAD"). */
const struct audit_record *statement_audited_as(const struct statement_call *call,
                                                const char *action,
                                                const struct project_record *project,
                                                struct span name);

/* A look-up was refused. */
void statement_note_refused(const struct statement_call *call, const struct project_record *project,
                            struct span name);
/* The same if code is a refusal; returns code. The bytes of both names last as long as the call. */
enum err_code statement_noted(const struct statement_call *call, enum err_code code,
                              const struct project_record *project, struct span name);
/* Tells the auditor if err is a refusal (CLASS_DENIED). action NULL: the statement's. */
void statement_refused(const struct statement_call *call, const char *action,
                       const struct err *err);

/* Who it is, as entries say it; `key` holds what the record borrows. */
void audit_principal_set(struct audit_record *record, const struct principal *principal,
                         uint8_t key[AUDIT_KEY_BYTES]);

#endif
