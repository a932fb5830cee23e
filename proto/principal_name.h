/* Names of accounts and RAM users.
 *
 *     ALIYUN$name            account; the name may be an address: ALIYUN$a@b.com
 *     RAM$account:user       RAM user of ALIYUN$account
 *
 * Parts are ASCII letters, digits and . _ - (in an account's also @), beginning with a letter or a
 * digit: names that look alike are alike. Case does not count (ASCII); the prefix is kept in
 * capitals, the rest as it was written. Whether somebody of that name is there: node/principals.h.
 * No threads.
 */
#ifndef PROTO_PRINCIPAL_NAME_H
#define PROTO_PRINCIPAL_NAME_H

#include "proto/bytes.h"
#include "proto/limits.h"

struct principal_name {
    char text[LIMIT_PRINCIPAL_BYTES + 1];    /* "RAM$a:u" */
    char account[LIMIT_PRINCIPAL_BYTES + 1]; /* "ALIYUN$a"; an account's own name */
    bool user;                               /* RAM user */
};

/* ERR_PARAMETER says what is wrong with it. */
enum err_code principal_name_parse(struct span text, struct principal_name *ret_name,
                                   struct err *err) MUST_USE;

#endif
