/* content_commit: the way in for column files and pages.
 *
 *     struct content *content;
 *     TRY(content_open(store, account, &content, err));
 *     content_add_file(content, &digest, bytes, CONTENT_HASHED, err);   any number, any thread
 *     content_add_page(content, &digest, bytes, err);                   children first
 *     content_commit(content, err);                                     durable, still invisible
 *     catalog_commit(store, change, err);                               names the root
 *     content_close(content);                                           unpins
 *
 * Files flow into packs as they come (nothing but the first MiB is kept in memory): a full pack is
 * synced, taken in and indexed at once, so that a restart finds it. What the account holds already is
 * not written again. What only strangers have is: one copy counts, the other is dead bytes for the next
 * clean-up, so that neither time nor counts tell of them. A content with less than 1 MiB of files puts them into `small`.
 *
 * Everything a content has added or relied on stays pinned until content_close: clean-up leaves it
 * (and what is below a relied page) alone. So close comes after the catalog_commit that names it.
 *
 * Invariants: 1. a file is indexed only when its pack is synced and in the database. 2. A page goes
 * to `pages` only after every file and page that was added before it.
 * A refused file (ERR_LIMIT, ERR_CORRUPT of an add) changes nothing. After any other error the
 * content can only be closed; what was added may be in the store or not: adding it again to another
 * content finds what is, and clean-up takes the rest.
 * Threads: content_add_file, content_rely_file and content_rely_page from any thread at once; the
 * others from one, while no other call is under way. The store outlives its contents.
 */
#ifndef STORE_CONTENT_H
#define STORE_CONTENT_H

#include "proto/ids.h"

struct store;
struct content;

/* account: for whom everything in it is recorded as held. */
enum err_code content_open(struct store *store, struct account_id account,
                           struct content **ret_content, struct err *err);
/* What the account comes to hold by this content counts for the task (tally_begin, held.h). Before
 * the first add. */
void content_count_for(struct content *content, const struct task_id *task);
void content_close(struct content *content); /* NULL is fine */
void content_close_pointer(struct content **content);
#define CONTENT_CLEANUP __attribute__((cleanup(content_close_pointer)))

struct store *content_store(const struct content *content);

enum content_hash {
    CONTENT_HASHED, /* the caller has hashed these very bytes to this digest */
    CONTENT_HASH,   /* check here: ERR_CORRUPT when they differ */
};

/* At most LIMIT_FILE_BYTES (else ERR_LIMIT). The bytes are borrowed for the call and go from there
 * into the pack. */
enum err_code content_add_file(struct content *content, const struct digest *digest,
                               struct span file, enum content_hash hash, struct err *err);

/* Children before parents, files before the pages that name them: whenever 4 MiB of pages have
 * gathered, all that was added so far is committed. Copies. Version records are pages here: at most
 * LIMIT_VERSION_BYTES (else ERR_LIMIT). */
enum err_code content_add_page(struct content *content, const struct digest *digest,
                               struct span page, struct err *err);
/* A page of `pages` or one added to this content and not yet committed. */
enum err_code content_page_read(struct content *content, const struct digest *digest,
                                struct bytes *ret_page, struct err *err);

/* True: the account holds it here, and it is pinned by this content: it need not be pulled. */
enum err_code content_rely_file(struct content *content, const struct digest *digest,
                                bool *ret_held, struct err *err);
/* The same of a page and all below it. False also while a clean-up is about to delete it. */
enum err_code content_rely_page(struct content *content, const struct digest *digest,
                                bool *ret_held, struct err *err);
/* Pins a page whatever the account: a version that is read, or the base of a change. The caller has
 * found it named in the catalog, and looks there again after the call: if it still is, it and all
 * below it stay until content_close. */
enum err_code content_pin_page(struct content *content, const struct digest *digest,
                               struct err *err);

/* All that was added is durable and indexed, in batches of at most 4 MiB; again, after more
 * adds, is fine. */
enum err_code content_commit(struct content *content, struct err *err);
/* Durable is also what else the store has written by now (staged_promote), where no commit follows. */
enum err_code content_sync(struct content *content, struct err *err);

struct content_counts {
    uint64_t files_stored; /* new to the account */
    uint64_t files_known;  /* which it held or had on the way */
    uint64_t pages_added;
};

void content_counts_get(struct content *content, struct content_counts *ret_counts);

#endif
