/* backup begin, read, end: the node's whole store, for its region's operators. Each request asks for the
 * right again; an entry of the audit log is made before the cut, so the backup has its own. */
#include "node/backups.h"
#include "node/operator.h"

#define BACKUP_ACTION "BACKUP" /* in the audit log */

static enum err_code may(const struct operator_call *call, struct err *err)
{
    return authorise(&call->principal, ACTION_OPERATE, object_region(), err);
}

enum err_code handle_backup_begin(struct operator_call *call, struct bytes *header,
                                  struct bytes *body, struct err *err)
{
    (void)body;
    struct operator_backup_begin begin;
    struct operator_backup_state state;
    uint8_t key[AUDIT_KEY_BYTES];
    TRY(operator_backup_begin_decode(request_header(call->request), &begin, err));
    TRY(may(call, err));
    struct audit_record record = {
        .time_ms = statement_now_ms(),
        .action = span_text(BACKUP_ACTION),
        .id = span_of(begin.id.b, sizeof(begin.id.b)),
        .outcome = span_text(AUDIT_OUTCOME_OK),
        .address = span_text(request_session(call->request)->address),
    };
    audit_principal_set(&record, &call->principal, key);
    TRY(backups_begin(call->services->backups, call->principal.name, &begin.id, &record, &state,
                      err));
    operator_backup_state_encode(&state, header);
    return ERR_OK;
}

enum err_code handle_backup_read(struct operator_call *call, struct bytes *header,
                                 struct bytes *body, struct err *err)
{
    (void)header;
    struct operator_backup_read read;
    TRY(operator_backup_read_decode(request_header(call->request), &read, err));
    TRY(may(call, err));
    return backups_read(call->services->backups, call->principal.name, &read, body, err);
}

enum err_code handle_backup_end(struct operator_call *call, struct bytes *header,
                                struct bytes *body, struct err *err)
{
    (void)header;
    (void)body;
    struct operator_close close;
    TRY(operator_close_decode(request_header(call->request), &close, err));
    TRY(may(call, err));
    backups_end(call->services->backups, call->principal.name, &close.id);
    return ERR_OK;
}
