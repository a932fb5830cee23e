/* Accounts and RAM users of this region: names, public keys, who belongs to whom.
 *
 *     account 1 ◄──── n user (RAM$account:name)        either ◄──── 1..n key (both halves)
 *
 * A name and each half of a key is somebody's once in the region. Ids are of one sequence for both
 * and never given again. Every change is one catalog_commit. Reading: view NULL is now. Records
 * borrow from the arena. Threads: any. Not here: who may change what, and whether a key is its
 * holder's (node/statement/account.c); what a principal owns by its name (table.h, snapshot.h).
 */
#ifndef STORE_ACCOUNT_H
#define STORE_ACCOUNT_H

#include "proto/catalog.h"
#include "store/catalog_commit.h"

struct change_note;

/* ---- accounts ---- */

/* spec's id is given by the store. ERR_EXISTS: the name, or a half of one of its keys, is known. */
enum err_code account_create(struct store *store, const struct account_record *spec,
                             const struct change_note *note, struct account_id *ret_id,
                             struct err *err) MUST_USE;
enum err_code account_find(struct store *store, struct db_view *view, struct span name,
                           struct arena *arena, struct account_record *ret_account,
                           struct err *err) MUST_USE;
enum err_code account_get(struct store *store, struct db_view *view, struct account_id id,
                          struct arena *arena, struct account_record *ret_account,
                          struct err *err) MUST_USE;
/* Whose key is it? A user's is ERR_NOT_FOUND. */
enum err_code account_find_key(struct store *store, const struct identity_key *identity,
                               struct arena *arena, struct account_record *ret_account,
                               struct err *err) MUST_USE;
typedef enum err_code on_account(void *context, const struct account_record *account,
                                 struct err *err);
/* In order of folded names. */
enum err_code account_each(struct store *store, struct db_view *view, on_account *callback,
                           void *context, struct err *err) MUST_USE;
/* Its XCOPY channel switch, with who set it and when by the note. ERR_NOT_FOUND; ERR_CONFLICT: its
 * record has changed meanwhile. */
enum err_code account_channel_set(struct store *store, struct account_id id, bool on,
                                  const struct change_note *note, struct err *err) MUST_USE;
/* Was there ever one? (It may be dropped since.) */
enum err_code account_any(struct store *store, bool *ret_any, struct err *err) MUST_USE;

/* ---- users ---- */

/* spec's account exists, and its name is the one in the user's; the id is given by the store.
 * ERR_EXISTS as above; ERR_LIMIT: the account has LIMIT_ACCOUNT_USERS. */
enum err_code user_create(struct store *store, const struct user_record *spec,
                          const struct change_note *note, struct user_id *ret_id,
                          struct err *err) MUST_USE;
enum err_code user_find(struct store *store, struct db_view *view, struct span name,
                        struct arena *arena, struct user_record *ret_user,
                        struct err *err) MUST_USE;
typedef enum err_code on_user(void *context, const struct user_record *user, struct err *err);
/* Of one account (its name), or of all (empty). In order of folded names. */
enum err_code user_each(struct store *store, struct db_view *view, struct span account,
                        on_user *callback, void *context, struct err *err) MUST_USE;

/* ---- either ---- */

/* RAM$...: by the form of the name alone. */
bool name_is_user(struct span name);

struct key_change {
    struct span name; /* of an account or user */
    struct public_key key;
    bool drop;
    bool last_too;   /* of a drop: also the only key that is left */
    bool first_only; /* not of a drop: only to who has none */
};
/* ERR_DENIED: first_only, and it has a key. ERR_NOT_FOUND: no such principal, or (drop) it has no such
 * key; ERR_EXISTS: a half is known, or
 * (drop) it is the last; ERR_LIMIT: more than LIMIT_PRINCIPAL_KEYS. */
enum err_code principal_change_key(struct store *store, const struct key_change *change,
                                   const struct change_note *note, struct err *err) MUST_USE;

/* ERR_NOT_FOUND; ERR_EXISTS names something that it still owns: a project, a user, a table or
 * snapshot. Looks through all of those of the region. ERR_CONFLICT: something was made meanwhile. */
enum err_code principal_drop(struct store *store, struct span name, const struct change_note *note,
                             struct err *err) MUST_USE;

/* The change expects that the principal of that name is the one with this id; ERR_CREDENTIALS: it is
 * gone already. For changes in its name. */
enum err_code principal_expect(struct store *store, struct catalog_change *change, struct span name,
                               uint64_t id, struct err *err) MUST_USE;

#endif
