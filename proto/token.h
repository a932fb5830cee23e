/* What is signed: delegation tokens, receipts, snapshots. Ed25519 over "domain" 00 content.
 *
 * A token is a principal's word that a destination node may pull named snapshots of its: the
 * principal signs, the node carries (docs: the wire protocol, section 5). Its bytes:
 *
 *     u8 1 | u8 kind | u16 rights | id 16 | signer 32 | u64 issued s | u64 not after s
 *     | u32 runs a day | destination node 32
 *     | source region, project, snapshot; destination region, project, snapshot; schedule
 *                                                            each u8 length + bytes | signature 64
 *
 * token_decode checks the form and nothing else; token_verify the signature; whether it holds here
 * and now (region, time, session, revocation, rights) is for who takes it (node/).
 * Memory: decoded tokens borrow from the bytes. No threads.
 */
#ifndef PROTO_TOKEN_H
#define PROTO_TOKEN_H

#include "proto/ids.h"
#include "proto/limits.h"

#define TOKEN_SIGNATURE_BYTES 64
#define TOKEN_FIXED_BYTES     (1 + 1 + 2 + 16 + 32 + 8 + 8 + 4 + 32)
#define TOKEN_STRINGS         7
#define LIMIT_TOKEN_BYTES     (TOKEN_FIXED_BYTES + TOKEN_STRINGS * 256 + TOKEN_SIGNATURE_BYTES)
#define TOKEN_ONCE_LIFE_S     (7 * 24 * 3600)
#define TOKEN_STANDING_LIFE_S (400 * 24 * 3600)

enum token_kind {                     /* on the wire */
                  TOKEN_ONCE = 1,     /* one XCOPY, exact names, at most 7 days */
                  TOKEN_STANDING = 2, /* a schedule's, at most 400 days */
};

enum token_right { /* on the wire: bits */
                   TOKEN_DESCRIBE = 1,
                   TOKEN_PAGES = 2,
                   TOKEN_FILES = 4,
                   TOKEN_WATCH = 8,
};
#define TOKEN_RIGHTS_ALL (TOKEN_DESCRIBE | TOKEN_PAGES | TOKEN_FILES | TOKEN_WATCH)

/* TOKEN_STANDING: a snapshot's name may be a pattern,
 *
 *     prefix*            every name that begins so; the prefix is not empty
 *     prefix* OF table   source alone: of those the snapshots made of that table; the prefix may be
 *                        empty, and then the destination's pattern may be '*' alone
 */
#define TOKEN_OF_TABLE "* OF "

struct token_place {
    struct span region;
    struct span project;
    struct span snapshot;
};

struct token {
    enum token_kind kind;
    uint16_t rights;
    struct token_id id;
    struct identity_key signer;
    uint64_t issued_s; /* since 1970, UTC, by the signer's clock */
    uint64_t not_after_s;
    uint32_t runs_a_day; /* TOKEN_STANDING: at least 1; else 0 */
    struct identity_key destination_node;
    struct token_place source;
    struct token_place destination;
    struct span schedule; /* TOKEN_STANDING: not empty; else empty */
    uint8_t signature[TOKEN_SIGNATURE_BYTES];
};

/* All rules of form: kinds, rights, lengths, times, wildcards. ERR_PARAMETER says which. */
enum err_code token_validate(const struct token *token, struct err *err) MUST_USE;
/* Appends the bytes to sign under TOKEN_DOMAIN; the signer appends its signature. ERR_PARAMETER:
 * not valid. token->signature is not looked at. */
enum err_code token_encode(const struct token *token, struct bytes *out, struct err *err) MUST_USE;
/* ERR_BAD_DATA for every deviation. */
enum err_code token_decode(struct span encoded, struct token *ret_token, struct err *err) MUST_USE;
/* The signature over these bytes by the signer that they name. ERR_DENIED. */
enum err_code token_verify(struct span encoded, struct err *err) MUST_USE;

/* Does the name fit the pattern (exact, or prefix and '*' where the kind allows it)? Project and
 * region never have wildcards. */
bool token_snapshot_fits(const struct token *token, struct span pattern, struct span name);
/* The table that the source's snapshots have to be of; empty: any. */
struct span token_source_table(const struct token *token);
/* The names of one copy: under a standing token they fit and take the place of its patterns; else both
 * are empty. Borrows. ERR_DENIED. */
enum err_code token_copy_set(struct token *token, struct span source, struct span destination,
                             struct err *err) MUST_USE;

/* ---- signatures ---- */

#define TOKEN_DOMAIN   "strait/1 token"
#define RECEIPT_DOMAIN "strait/1 receipt"

/* Over the domain's text, one zero byte and the content. Making them: transport/identity.h. */
bool signature_check(const char *domain, struct span content, const struct identity_key *signer,
                     const uint8_t signature[TOKEN_SIGNATURE_BYTES]);

/* ---- receipts: the destination's word that a version is there, whole ---- */

struct receipt {
    struct lease_id lease;
    struct digest version;      /* version digest of what was published */
    struct digest root;         /* of its manifest tree: the lease's */
    struct identity_key signer; /* the destination node: the session's identity */
    uint64_t published_ms;      /* since 1970, UTC, by the destination's clock */
    bool has_audit;             /* false: of before audit logs, 0 and zero */
    uint64_t audit_count;       /* entries of the signer's audit log when it was signed */
    struct digest audit_head;   /* and the last one's digest: what is cut off later shows */
    bool has_totals; /* with has_audit alone. Of the version, as the signer counted it: */
    uint64_t rows, bytes, partitions;
    uint8_t signature[TOKEN_SIGNATURE_BYTES];
};

/* Form 1; form 2 with count and head of the audit log; form 3 with the totals besides. */
#define RECEIPT_PLAIN_BYTES (1 + 32 + 32 + 32 + 32 + 8 + TOKEN_SIGNATURE_BYTES)
#define RECEIPT_AUDIT_BYTES (RECEIPT_PLAIN_BYTES + 8 + 32)
#define RECEIPT_BYTES_MAX   (RECEIPT_AUDIT_BYTES + 3 * 8)

/* The bytes to sign under RECEIPT_DOMAIN; the caller appends the signature. */
void receipt_encode(const struct receipt *receipt, struct bytes *out);
enum err_code receipt_decode(struct span encoded, struct receipt *ret_receipt,
                             struct err *err) MUST_USE;
/* ERR_DENIED. */
enum err_code receipt_verify(struct span encoded, struct err *err) MUST_USE;

#endif
