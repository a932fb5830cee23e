/* The requests between nodes as plain structs, and their bytes.
 *
 *     request        header           body     reply    header          body
 *     describe       describe         -                 -               described
 *     get_pages      lease            items             lengths         pages, one after another
 *     get_files      lease            items             lengths         files, one after another
 *     renew, end     lease            -                 -               -
 *     receipt        lease            -                 -               -
 *     watch          watch            -                 -               watched
 *     repair         describe         -                 -               described
 *     settle         settle           -                 settle          -
 *     channel        channel          -                 -               -
 *
 * An item is asked for by its place: the key to go down by from the lease's root, and the digest
 * that must stand there. A reply serves a prefix of the items, at least one, and as many as
 * reply_bytes holds.
 *
 * Decoding takes bytes of a peer: limits are compared before anything is allocated, unknown fields
 * refused; ERR_BAD_DATA and ERR_LIMIT only. Decoded structs borrow from the arena.
 */
#ifndef PROTO_PEER_H
#define PROTO_PEER_H

#include "proto/arena.h"
#include "proto/ids.h"
#include "proto/limits.h"

/* On the wire: never reuse a number. */
enum peer_method {
    PEER_DESCRIBE = 1,
    PEER_GET_PAGES = 2,
    PEER_GET_FILES = 3,
    PEER_RENEW = 4,
    PEER_END = 5,
    PEER_RECEIPT = 6,
    PEER_WATCH = 7,
    PEER_REPAIR = 8,
    PEER_SETTLE = 9,
    PEER_CHANNEL = 10,
};

const char *peer_method_name(enum peer_method method); /* "get_pages"; "?" for others */

#define LIMIT_PEER_ITEMS_BYTES     KIB(512) /* the body of get_pages and get_files */
#define LIMIT_PEER_DESCRIBED_BYTES (8 * MIB(1))
#define LIMIT_PEER_SNAPSHOT_BYTES  KIB(64)
#define LIMIT_PEER_WATCHED         64 /* snapshots in one answer */
#define PEER_WATCH_WAIT_MAX_MS     60000

struct peer_describe {
    struct task_id task;
    struct span token;    /* repair: the receipt */
    struct span snapshot; /* under a standing token: which of those that it is for; else empty */
};

void peer_describe_encode(const struct peer_describe *describe, struct bytes *out);
enum err_code peer_describe_decode(struct span encoded, struct arena *arena,
                                   struct peer_describe *ret_describe, struct err *err) MUST_USE;

struct peer_described {
    struct lease_id lease;
    struct span version; /* proto/version.h, opaque here */
    struct span claim;   /* proto/catalog.h, opaque here; exact bytes */
    struct identity_key maker;
    uint8_t signature[64]; /* of the maker over the claim */
    uint64_t row_count;    /* of the snapshot: for show until its root page is here */
    uint64_t byte_count;
    uint64_t partition_count;
};

void peer_described_encode(const struct peer_described *described, struct bytes *out);
enum err_code peer_described_decode(struct span encoded, struct arena *arena,
                                    struct peer_described *ret_described, struct err *err) MUST_USE;

/* Header of everything that happens under a lease. */
struct peer_lease {
    struct lease_id lease;
    struct span receipt;  /* PEER_RECEIPT; else empty */
    uint32_t reply_bytes; /* get_pages, get_files: room for the body; else 0 */
};

void peer_lease_encode(const struct peer_lease *lease, struct bytes *out);
enum err_code peer_lease_decode(struct span encoded, struct arena *arena,
                                struct peer_lease *ret_lease, struct err *err) MUST_USE;

/* What one end has counted of the task that the lease is for, since it began; counts only grow. */
struct peer_settle {
    struct lease_id lease;
    uint32_t
        day; /* on which the task was begun: days since 1970, UTC, by the destination's clock */
    uint32_t state; /* enum task_state, as the destination knows it */
    uint64_t wire_bytes, page_bytes, file_bytes, kept_bytes, saved_bytes; /* node/task/meter.h */
    uint64_t
        newest_ms; /* reply: when the newest snapshot of the same table was made there; 0: unknown */
};

void peer_settle_encode(const struct peer_settle *settle, struct bytes *out);
enum err_code peer_settle_decode(struct span encoded, struct arena *arena,
                                 struct peer_settle *ret_settle, struct err *err) MUST_USE;

struct peer_item {
    struct span key;      /* page: any key of its range; file: key of the leaf entry */
    struct digest digest; /* what must stand there */
    uint32_t tree;        /* page: enum tree_kind; file: 0 */
    uint32_t level;       /* page: 0 is a leaf */
    uint32_t column_id;   /* file: a column that it holds; page: 0 */
};

/* At most LIMIT_REQUEST_ITEMS; keys at most LIMIT_KEY_BYTES. */
void peer_items_encode(const struct peer_item *items, size_t count, struct bytes *out);
enum err_code peer_items_decode(struct span encoded, struct arena *arena,
                                struct peer_item **ret_items, size_t *ret_count,
                                struct err *err) MUST_USE;

/* Of the parts of a reply's body. */
void peer_lengths_encode(const uint32_t *lengths, size_t count, struct bytes *out);
/* At least one, at most count_max, none zero or above length_max, their sum exactly body_bytes. */
enum err_code peer_lengths_decode(struct span encoded, size_t count_max, uint32_t length_max,
                                  size_t body_bytes, struct arena *arena, uint32_t **ret_lengths,
                                  size_t *ret_count, struct err *err) MUST_USE;

/* How fast the asker wants to be sent to, on all its data connections together. It holds until it is
 * told anew, or the node that was told ends. */
struct peer_channel {
    uint64_t bits_per_second;
};

void peer_channel_encode(const struct peer_channel *channel, struct bytes *out);
/* ERR_BAD_DATA also for 0. */
enum err_code peer_channel_decode(struct span encoded, struct arena *arena,
                                  struct peer_channel *ret_channel, struct err *err) MUST_USE;

/* Is there a snapshot of the token's project, of this table, that was made after one that is known? It is
 * answered at once when there is, else when one is made, at the latest after wait_ms. */
struct peer_watch {
    struct span token; /* with TOKEN_WATCH */
    struct span table; /* base table's name */
    uint64_t after;    /* number of the last snapshot that is known; 0: none */
    uint64_t since_ms; /* by the source's clock: what was made until then is passed over */
    uint32_t wait_ms;  /* at most PEER_WATCH_WAIT_MAX_MS; 0: answer at once */
};

void peer_watch_encode(const struct peer_watch *watch, struct bytes *out);
enum err_code peer_watch_decode(struct span encoded, struct arena *arena,
                                struct peer_watch *ret_watch, struct err *err) MUST_USE;

struct peer_watched_snapshot {
    struct span name;
    struct digest version;
    uint64_t number; /* rises with each snapshot that the source makes, whatever its clock does */
    uint64_t created_ms;
};

/* In order of their numbers, the oldest first: those that the token's signer may read, at most
 * LIMIT_PEER_WATCHED; further ones follow when they are asked for. */
struct peer_watched {
    struct peer_watched_snapshot *snapshots;
    size_t snapshot_count; /* 0: none until the end of the wait */
    struct table_id table; /* as in the snapshots' claims; 0: not told, as the next */
    uint64_t newest_ms;    /* when the newest snapshot of the table was made */
};

void peer_watched_encode(const struct peer_watched *watched, struct bytes *out);
/* ERR_BAD_DATA also for numbers that do not rise. */
enum err_code peer_watched_decode(struct span encoded, struct arena *arena,
                                  struct peer_watched *ret_watched, struct err *err) MUST_USE;

#endif
