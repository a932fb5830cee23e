#include "node/task/claims.h"

#define CLAIM_BUCKETS_MIN 256

struct claim {
    struct claim *next; /* of the bucket */
    struct account_id account;
    struct digest digest;
    const void *owner;
};

static struct claim **bucket_of(const struct claims *claims, const struct digest *digest)
{
    return &claims->buckets[load_u64(digest->b) & (claims->bucket_count - 1)];
}

static void claims_grow(struct claims *claims)
{
    struct claims old = *claims;
    claims->bucket_count = old.bucket_count == 0 ? CLAIM_BUCKETS_MIN : 2 * old.bucket_count;
    claims->buckets = mem_calloc(claims->bucket_count, sizeof(struct claim *));
    for (size_t i = 0; i < old.bucket_count; i++) {
        for (struct claim *claim = old.buckets[i], *next; claim != NULL; claim = next) {
            struct claim **bucket = bucket_of(claims, &claim->digest);
            next = claim->next;
            claim->next = *bucket;
            *bucket = claim;
        }
    }
    mem_free(old.buckets);
}

/* Where the claim hangs; points to NULL when there is none. There are buckets. */
static struct claim **claim_find(const struct claims *claims, struct account_id account,
                                 const struct digest *digest)
{
    struct claim **at = bucket_of(claims, digest);
    while (*at != NULL && ((*at)->account.n != account.n || !digest_equal(&(*at)->digest, digest)))
        at = &(*at)->next;
    return at;
}

static void claim_remove(struct claims *claims, struct claim **at)
{
    struct claim *claim = *at;
    *at = claim->next;
    claims->count--;
    mem_free(claim);
}

void claims_deinit(struct claims *claims)
{
    for (size_t i = 0; i < claims->bucket_count; i++)
        while (claims->buckets[i] != NULL)
            claim_remove(claims, &claims->buckets[i]);
    mem_free(claims->buckets);
    *claims = (struct claims){0};
}

bool claims_take(struct claims *claims, struct account_id account, const struct digest *digest,
                 const void *owner)
{
    if (claims->count >= claims->bucket_count)
        claims_grow(claims);
    struct claim **at = claim_find(claims, account, digest);
    if (*at != NULL)
        return (*at)->owner == owner;
    *at = mem_calloc(1, sizeof(struct claim));
    **at = (struct claim){.account = account, .digest = *digest, .owner = owner};
    claims->count++;
    return true;
}

bool claims_release(struct claims *claims, struct account_id account, const struct digest *digest,
                    const void *owner)
{
    if (claims->count == 0)
        return false;
    struct claim **at = claim_find(claims, account, digest);
    if (*at == NULL || (*at)->owner != owner)
        return false;
    claim_remove(claims, at);
    return true;
}

size_t claims_release_all(struct claims *claims, const void *owner)
{
    size_t before = claims->count;
    for (size_t i = 0; i < claims->bucket_count; i++) {
        for (struct claim **at = &claims->buckets[i]; *at != NULL;) {
            if ((*at)->owner == owner)
                claim_remove(claims, at);
            else
                at = &(*at)->next;
        }
    }
    return before - claims->count;
}
