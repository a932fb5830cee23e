/* Principals, roles and actions as statements about rights write them: found, or refused with what to
 * write instead. Whether the caller may is not asked here. */
#ifndef NODE_STATEMENT_GRANTEE_H
#define NODE_STATEMENT_GRANTEE_H

#include "node/sql/lexer.h"
#include "node/statement/lookup.h"
#include "node/statement/opaque_id.h"

/* RAM$u, without an account, is a user of the caller's account; other names stay. In the call's
 * arena; ERR_LIMIT. */
enum err_code grantee_name(const struct statement_call *call, struct span written,
                           struct span *ret_name, struct err *err);
/* By that name; ERR_NOT_FOUND. */
enum err_code grantee_principal(const struct statement_call *call, struct span written,
                                struct principal *ret_principal, struct err *err);
/* That a change of rights for the principal of that name makes sense: it is not the caller itself nor
 * the project's owner, and a RAM user gives rights to RAM users of its own account only. The name may
 * be nobody's any more. ERR_SEMANTIC, ERR_DENIED. */
/* The principal who has that name now is a user of the project, not one who had it before. ERR_NOT_FOUND. */
enum err_code grantee_user_check(const struct statement_call *call,
                                 const struct project_record *project, struct span name,
                                 struct err *err);
enum err_code grantee_check(const struct statement_call *call, const struct project_record *project,
                            struct span name, struct err *err);
/* "ALIYUN$a" of RAM$a:u; nothing of an account's own name. Appends. */
void grantee_account_append(struct span name, struct bytes *out);
/* What views show as user_id: one and the same for a principal in this region. _format: of who has the
 * name now; empty: nobody. */
void user_id_of(const struct statement_services *services, uint64_t number,
                char ret_id[OPAQUE_ID_TEXT_BYTES]);
struct span user_id_format(const struct statement_services *services, struct span name,
                           char ret_id[OPAQUE_ID_TEXT_BYTES]);
/* Names as bits 1 << number; All is all of the kind. ERR_SEMANTIC: unknown, or twice. */
enum err_code grantee_actions(const struct grant *grant, uint64_t *ret_actions, struct err *err);
/* "Describe | Select", or "All". Appends. */
void actions_print(uint64_t actions, enum object_kind kind, struct bytes *out);

#endif
