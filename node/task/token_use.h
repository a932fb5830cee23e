/* Tokens at the source: which task used which, and which are revoked.
 *
 *     leases family
 *       'u' token id 16                     -> u8 2 | u64 account, number (of the signer) | its name (u32 length) | u64 first used ms
 *                                              | task 16 (last) | u64 day | u32 runs on it | token
 *           of before: task 16 | u64 not after s; counts as used, and is listed nowhere
 *       'v' token id 16 | task 16 | name    -> u64 s               a standing token's run, of a snapshot
 *           without a name (of before): counted, and is nobody's
 *       'x' account u64 | number u64 | id   -> u64 kept until s | u64 revoked ms | by whom
 *
 * A token is used by one task; a standing one by as many a UTC day as it says, each once and for
 * one snapshot: another under the same task's id is another run. Revoked is an
 * id by an account (number 0: whichever of its keys signed) or by a RAM user (that signed it), whether
 * or not it was ever seen: a revocation of somebody else's token changes nothing and tells nothing.
 * Records are kept until the token has ended; forgotten at a start whose clock is believed.
 *
 * Threads: any; each change is one commit. Who may see which: by principal, here.
 */
#ifndef NODE_TASK_TOKEN_USE_H
#define NODE_TASK_TOKEN_USE_H

#include "node/principals.h"
#include "proto/token.h"
#include "store/project.h"

#define TOKEN_ID_TEXT_BYTES 33
const char *token_id_format(const struct token_id *id, char ret_text[TOKEN_ID_TEXT_BYTES]);
bool token_id_parse(struct span text, struct token_id *ret_id);

/* ---- using ---- */

struct token_use {
    struct span encoded;     /* the token */
    struct token token;      /* the same, decoded */
    struct principal signer; /* whose it is here */
    struct task_id task;
    struct span snapshot; /* which one, of a standing token */
    uint64_t now_ms;      /* since 1970 */
};

/* May the task use it? With a change: expects that this stays so, and puts the use. ERR_DENIED: another
 * task has used it, or the day's runs are used up. Does not ask whether it is revoked. */
enum err_code token_use_check(struct store *store, const struct token_use *use,
                              struct catalog_change *change, struct err *err) MUST_USE;

/* ---- revoking ---- */

/* ERR_DENIED: its signer, or the signer's account, has revoked it. */
enum err_code token_not_revoked(struct store *store, const struct principal *signer,
                                const struct token_id *id, struct err *err) MUST_USE;

/* By an account or RAM user. Again: nothing changes. *ret_seen: it is the principal's and was used here.
 * ERR_LIMIT: above LIMIT_TOKEN_REVOCATIONS of the principal's. */
enum err_code token_revoke(struct store *store, const struct principal *principal,
                           const struct token_id *id, const struct change_note *note,
                           bool *ret_seen, struct err *err) MUST_USE;

/* ---- listing ---- */

enum token_state { TOKEN_STATE_USED, TOKEN_STATE_LEASED, TOKEN_STATE_REVOKED, TOKEN_STATE_ENDED };

struct token_row { /* borrows until the callback returns */
    struct token_id id;
    enum token_state state;
    bool used; /* else only id, state and revocation are known */
    struct token token;
    struct span signer;
    struct task_id task;
    uint64_t used_ms;
    uint32_t runs_today;
    uint64_t revoked_ms; /* 0: it is not */
    struct span revoked_by;
};
typedef enum err_code on_token(void *context, const struct token_row *row, struct err *err);

/* Those of the account, for a RAM user its own; the newest first, at most LIMIT_SCREEN_ROWS. */
enum err_code token_each(struct store *store, const struct principal *reader, uint64_t now_s,
                         on_token *callback, void *context, struct err *err) MUST_USE;
const char *token_state_name(enum token_state state);

/* Records of tokens that ended before now_s, some at a time. */
enum err_code token_uses_forget(struct store *store, uint64_t now_s, struct err *err) MUST_USE;

#endif
