/* What a hostile source does to its answers, as functions from bytes to bytes.
 *
 *     describe  --> answer of the real source --> forge_wants_page? --> its root page
 *                                                 forge_described(root page): another root page, a
 *                                                 version that names it, a claim signed anew
 *     get_pages --> forge_request: the forged page is asked for as the one it came from
 *                   forge_reply: and put in its place
 *
 * So pages are wrong under a right digest and a right signature: only what a page says can give the
 * source away.
 *
 * Threads: one lock inside; all functions from any thread.
 */
#ifndef CLUSTER_TESTS_HOSTILE_FORGE_H
#define CLUSTER_TESTS_HOSTILE_FORGE_H

#include "proto/peer.h"
#include "transport/identity.h"

/* X(enum, name, what it does) */
#define FORGE_MODES(X)                                                                             \
    X(FORGE_HONEST, "honest", "nothing: answers pass as they are")                                 \
    X(FORGE_WRONG_FILE, "wrong-file", "flips a bit of each file")                                  \
    X(FORGE_SHORT_FILE, "short-file", "cuts a byte off each file")                                 \
    X(FORGE_LONG_FILE, "long-file", "adds a byte to the first file and leaves out the rest")       \
    X(FORGE_SHORT_BODY, "short-body", "leaves out the last byte of a body of files")               \
    X(FORGE_LONG_BODY, "long-body", "fills a body of files up to the largest there is")            \
    X(FORGE_HUGE_LENGTH, "huge-length", "says that 2^60 bytes of lengths follow")                  \
    X(FORGE_HUGE_DESCRIBED, "huge-described", "the same in the answer to describe")                \
    X(FORGE_HUGE_ENTRY, "huge-entry", "a page whose first entry says to have 2^60 bytes")          \
    X(FORGE_HUGE_ROWS, "huge-rows", "a page whose first entry counts 2^60 rows")                   \
    X(FORGE_WRONG_COUNTS, "wrong-counts", "a page whose first entry counts one row more")          \
    X(FORGE_OTHER_ATTRIBUTES, "other-attributes", "attributes of no partition at all")             \
    X(FORGE_WRONG_LENGTH, "wrong-length", "a leaf whose first file is a byte longer than it is")   \
    X(FORGE_UNSORTED_PAGE, "unsorted-page", "a page whose last two entries changed places")        \
    X(FORGE_NON_CANONICAL, "non-canonical", "a page with a number longer than it need be")         \
    X(FORGE_WRONG_BUCKET, "wrong-bucket", "a row group in a bucket that its partition has not")    \
    X(FORGE_SORT_ORDER, "sort-order", "a row group whose sort keys are below the one before")      \
    X(FORGE_CLUSTERING, "clustering", "a partition clustered in a way that is not known")          \
    X(FORGE_WRONG_PAGE, "wrong-page", "flips a bit of each page")                                  \
    X(FORGE_UNSIGNED, "unsigned", "a version that its maker did not sign")                         \
    X(FORGE_GARBAGE, "garbage", "random bytes as the header and body of every answer")             \
    X(FORGE_EMPTY, "empty", "answers without header and body")                                     \
    X(FORGE_NOTHING, "nothing", "takes requests and never answers")                                \
    X(FORGE_CLOSES, "closes", "closes the connection after each request")

enum forge_mode {
#define X(mode, name, text) mode,
    FORGE_MODES(X)
#undef X
        FORGE_MODE_COUNT
};

const char *forge_mode_name(enum forge_mode mode);
const char *forge_mode_text(enum forge_mode mode);
bool forge_mode_parse(const char *name, enum forge_mode *ret_mode);

struct forge;

/* The identity is the source's; borrows. */
struct forge *forge_new(enum forge_mode mode, const struct identity *identity);
void forge_free(struct forge *forge);

/* Does forge_described want the root page? *ret_lease, *ret_root: what to ask for. */
bool forge_wants_page(struct forge *forge, struct span described, struct lease_id *ret_lease,
                      struct digest *ret_root);
/* Appends the answer to describe with which `page` is replaced by a forged one. */
enum err_code forge_described(struct forge *forge, struct span described, struct span page,
                              struct bytes *out, struct err *err) MUST_USE;

/* Appends what to ask the real source. */
void forge_request(struct forge *forge, uint8_t method, struct span body, struct bytes *out);
/* Appends header and body of what to answer. */
void forge_reply(struct forge *forge, uint8_t method, struct span header, struct span body,
                 struct bytes *ret_header, struct bytes *ret_body);

#endif
