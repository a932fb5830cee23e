/* What is under a lease: pages and files by place. Private to the source.
 *
 * Down from the lease's root by key; the digest that stands there must be the one named; only then
 * is the store asked for it. Threads: workers; blocks on the store.
 */
#ifndef NODE_TASK_XCOPY_SERVE_H
#define NODE_TASK_XCOPY_SERVE_H

#include "proto/peer.h"
#include "proto/version.h"
#include "store/snapshot.h"
#include "transport/listener.h"

/* What a lease keeps; the lease machine's `subject`, and durable with it. Decoded ones borrow. */
struct lease_subject {
    struct task_id task;
    struct version_ref version;
    struct digest manifest_root;
    struct identity_key maker;
    uint8_t signature[SIGNATURE_BYTES];
    struct span claim;
    struct span token;    /* empty under a receipt */
    struct span receipt;  /* a repair's (repair_grant.h); else empty */
    struct span snapshot; /* its name, under a standing token; else empty */
};

void lease_subject_encode(const struct lease_subject *subject, struct bytes *out);
enum err_code lease_subject_decode(struct span encoded, struct lease_subject *ret_subject,
                                   struct err *err) MUST_USE;

/* A lease under a token without the right to files: EXPLAIN XCOPY's. */
bool lease_subject_looks(const struct lease_subject *subject);
/* Such a lease serves pages alone: ERR_DENIED for files, and for a receipt, under which the peer
 * could have them as a repair. */
enum err_code lease_subject_grants(const struct lease_subject *subject, enum peer_method method,
                                   struct err *err) MUST_USE;

/* Does the peer's program know what it would be given? ERR_SEMANTIC, in words for who copies. Looks at
 * the version alone: partitions may be clustered whose table's new ones are not, and serve_pages
 * refuses those. */
enum err_code serve_readable(const struct session *peer, const struct version_record *version,
                             struct err *err) MUST_USE;

/* Appends lengths (header) and content (body) of a prefix of the items, as many as reply_bytes
 * hold. ERR_NOT_IN_LEASE: an item is not at its place. */
struct serve {
    struct store *store;
    const struct session *peer;
    const struct lease_subject *subject;
    const struct peer_item *items;
    size_t item_count;
    size_t reply_bytes;
};
enum err_code serve_pages(const struct serve *serve, struct bytes *header, struct bytes *body,
                          struct err *err) MUST_USE;
enum err_code serve_files(const struct serve *serve, struct bytes *header, struct bytes *body,
                          struct err *err) MUST_USE;

#endif
