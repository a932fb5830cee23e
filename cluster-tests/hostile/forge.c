#include "cluster-tests/hostile/forge.h"

#include <pthread.h>

#include "proto/catalog.h"
#include "proto/version.h"

struct forge {
    enum forge_mode mode;
    const struct identity *identity;
    pthread_mutex_t lock;
    bool has_page; /* the rest is valid */
    struct digest original, forged;
    struct bytes page; /* the forged one */
};

#define FORGE_ARENA_BYTES (64 * MIB(1))
#define GARBAGE_BYTES     100

/* ---- modes ---- */

static const struct {
    const char *name, *text;
} modes[FORGE_MODE_COUNT] = {
#define X(mode, name, text) [mode] = {name, text},
    FORGE_MODES(X)
#undef X
};

const char *forge_mode_name(enum forge_mode mode)
{
    return modes[mode].name;
}

const char *forge_mode_text(enum forge_mode mode)
{
    return modes[mode].text;
}

bool forge_mode_parse(const char *name, enum forge_mode *ret_mode)
{
    for (size_t i = 0; i < FORGE_MODE_COUNT; i++) {
        if (strcmp(modes[i].name, name) == 0) {
            *ret_mode = (enum forge_mode)i;
            return true;
        }
    }
    return false;
}

/* ---- life ---- */

struct forge *forge_new(enum forge_mode mode, const struct identity *identity)
{
    struct forge *forge = mem_calloc(1, sizeof(*forge));
    forge->mode = mode;
    forge->identity = identity;
    pthread_mutex_init(&forge->lock, NULL);
    return forge;
}

void forge_free(struct forge *forge)
{
    bytes_deinit(&forge->page);
    pthread_mutex_destroy(&forge->lock);
    mem_free(forge);
}

/* ---- pages ---- */

/* A varint of 2^60. */
static void append_huge(struct bytes *out)
{
    for (int i = 0; i < 8; i++)
        bytes_append_u8(out, 0x80);
    bytes_append_u8(out, 0x10);
}

/* The first entry counts `rows` rows more. */
static enum err_code append_counts(const struct page *page, uint64_t rows, struct bytes *out,
                                   struct err *err)
{
    struct page_entry entry = page->entries[0];
    BYTES_CLEANUP struct bytes raw = {0};
    if (entry.kind == PAGE_ENTRY_CHILD)
        entry.child.totals.rows += rows;
    else
        entry.partition.row_count += rows;
    TRY(page_entry_encode(&entry, &raw, err));
    page_append_raw(out, bytes_span(&raw));
    for (size_t i = 1; i < page->entry_count; i++)
        page_append_raw(out, page->entries[i].raw);
    return ERR_OK;
}

/* The first partition's first file, and the partition's sum with it. */
static enum err_code append_wrong_length(const struct page *page, struct bytes *out,
                                         struct err *err)
{
    if (page->level > 0 || page->entries[1].kind != PAGE_ENTRY_ROW_GROUP)
        return err_set(err, ERR_PARAMETER, "the root page has no file to forge");
    BYTES_CLEANUP struct bytes raw = {0};
    page->entries[0].partition.byte_count++;
    page->entries[1].row_group.files[0].bytes++;
    for (size_t i = 0; i < 2; i++) {
        bytes_clear(&raw);
        TRY(page_entry_encode(&page->entries[i], &raw, err));
        page_append_raw(out, bytes_span(&raw));
    }
    for (size_t i = 2; i < page->entry_count; i++)
        page_append_raw(out, page->entries[i].raw);
    return ERR_OK;
}

/* Of a page whose first partition is clustered and whose last entry is a row group of it. */
static enum err_code append_clustering(enum forge_mode mode, const struct page *page,
                                       struct bytes *out, struct err *err)
{
    struct page_entry *last = &page->entries[page->entry_count - 1];
    if (page->level > 0 || page->entries[0].partition.clustering.kind == CLUSTERING_NONE ||
        last->kind != PAGE_ENTRY_ROW_GROUP)
        return err_set(err, ERR_PARAMETER, "the root page has no clustered partition to forge");
    struct clustering *clustering = &page->entries[0].partition.clustering;
    if (mode == FORGE_WRONG_BUCKET)
        last->row_group.bucket = clustering->bucket_count;
    else if (mode == FORGE_SORT_ORDER)
        last->row_group.sort_first = span_of("", 1); /* what NULL begins with */
    else
        clustering->kind = (enum clustering_kind)7;
    for (size_t i = 0; i < page->entry_count; i++) {
        BYTES_CLEANUP struct bytes raw = {0};
        TRY(page_entry_encode(&page->entries[i], &raw, err));
        page_append_raw(out, bytes_span(&raw));
    }
    return ERR_OK;
}

static void append_unsorted(const struct page *page, struct bytes *out)
{
    size_t last = page->entry_count - 1;
    for (size_t i = 0; i + 2 <= last; i++)
        page_append_raw(out, page->entries[i].raw);
    page_append_raw(out, page->entries[last].raw);
    if (last > 0)
        page_append_raw(out, page->entries[last - 1].raw);
}

/* The entry's tag, a length that cannot be, the rest. */
static void append_huge_entry(struct span encoded, const struct page *page, struct bytes *out)
{
    size_t at = (size_t)(page->entries[0].raw.data - encoded.data);
    bytes_append_u8(out, encoded.data[at]);
    append_huge(out);
    bytes_append(out, encoded.data + at + 1, encoded.len - at - 1);
}

static enum err_code page_forge(enum forge_mode mode, struct span encoded, struct bytes *out,
                                struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, PAGE_ARENA_BYTES);
    struct page_place place = page_place_root(TREE_MANIFEST);
    struct page page;
    TRY(page_decode(encoded, &place, &arena, &page, err));
    if (page.entry_count < 2)
        return err_set(err, ERR_PARAMETER, "the root page has less than two entries to forge");
    page_begin(page.tree, page.level, out);
    if (mode == FORGE_WRONG_COUNTS || mode == FORGE_HUGE_ROWS)
        return append_counts(&page, mode == FORGE_HUGE_ROWS ? UINT64_C(1) << 60 : 1, out, err);
    if (mode == FORGE_WRONG_LENGTH)
        return append_wrong_length(&page, out, err);
    if (mode == FORGE_WRONG_BUCKET || mode == FORGE_SORT_ORDER || mode == FORGE_CLUSTERING)
        return append_clustering(mode, &page, out, err);
    if (mode == FORGE_UNSORTED_PAGE) {
        append_unsorted(&page, out);
    } else if (mode == FORGE_HUGE_ENTRY) {
        append_huge_entry(encoded, &page, out);
    } else { /* FORGE_NON_CANONICAL: the tree's kind in two bytes */
        bytes_clear(out);
        bytes_append_u8(out, encoded.data[0]);
        bytes_append_u8(out, (uint8_t)(encoded.data[1] | 0x80));
        bytes_append_u8(out, 0);
        bytes_append(out, encoded.data + 2, encoded.len - 2);
    }
    return ERR_OK;
}

/* ---- describe ---- */

static bool mode_forges_page(enum forge_mode mode)
{
    return mode == FORGE_HUGE_ENTRY || mode == FORGE_HUGE_ROWS || mode == FORGE_WRONG_COUNTS ||
           mode == FORGE_WRONG_LENGTH || mode == FORGE_OTHER_ATTRIBUTES ||
           mode == FORGE_UNSORTED_PAGE || mode == FORGE_NON_CANONICAL ||
           mode == FORGE_WRONG_BUCKET || mode == FORGE_SORT_ORDER || mode == FORGE_CLUSTERING;
}

bool forge_wants_page(struct forge *forge, struct span described, struct lease_id *ret_lease,
                      struct digest *ret_root)
{
    if (!mode_forges_page(forge->mode))
        return false;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, FORGE_ARENA_BYTES);
    struct peer_described decoded;
    struct version_record version;
    struct err err;
    if (peer_described_decode(described, &arena, &decoded, &err) != ERR_OK ||
        version_decode(decoded.version, &arena, &version, &err) != ERR_OK)
        return false;
    *ret_lease = decoded.lease;
    *ret_root = version.root;
    return true;
}

static void claim_sign(const struct forge *forge, const struct snapshot_claim *claim,
                       struct peer_described *decoded, struct bytes *claim_bytes)
{
    struct signature signature;
    snapshot_claim_encode(claim, claim_bytes);
    decoded->claim = bytes_span(claim_bytes);
    decoded->maker = identity_public(forge->identity)->sign;
    identity_sign(forge->identity, SNAPSHOT_SIGN_TEXT, decoded->claim, &signature);
    memcpy(decoded->signature, signature.b, sizeof(decoded->signature));
}

/* The claim with another root of attributes, signed. *ret_original: the right one. */
static enum err_code attributes_forge(const struct forge *forge, const struct digest *root,
                                      struct span described, struct digest *ret_original,
                                      struct bytes *out, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, FORGE_ARENA_BYTES);
    BYTES_CLEANUP struct bytes claim_bytes = {0};
    struct peer_described decoded;
    struct snapshot_claim claim;
    TRY(peer_described_decode(described, &arena, &decoded, err));
    TRY(snapshot_claim_decode(decoded.claim, &arena, &claim, err));
    *ret_original = claim.attribute_root;
    claim.attribute_root = *root;
    claim_sign(forge, &claim, &decoded, &claim_bytes);
    peer_described_encode(&decoded, out);
    return ERR_OK;
}

/* The version with another root; a signed claim of it, where it is to be signed. */
static enum err_code version_forge(const struct forge *forge, const struct digest *root,
                                   bool is_signed, struct span described, struct bytes *out,
                                   struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, FORGE_ARENA_BYTES);
    BYTES_CLEANUP struct bytes version_bytes = {0};
    BYTES_CLEANUP struct bytes claim_bytes = {0};
    struct peer_described decoded;
    struct version_record version;
    struct snapshot_claim claim;
    TRY(peer_described_decode(described, &arena, &decoded, err));
    TRY(version_decode(decoded.version, &arena, &version, err));
    TRY(snapshot_claim_decode(decoded.claim, &arena, &claim, err));
    version.root = *root;
    TRY(version_encode(&version, &version_bytes, err));
    decoded.version = bytes_span(&version_bytes);
    if (is_signed) {
        claim.version = version_names_of(decoded.version).version;
        claim_sign(forge, &claim, &decoded, &claim_bytes);
    }
    peer_described_encode(&decoded, out);
    return ERR_OK;
}

enum err_code forge_described(struct forge *forge, struct span described, struct span page,
                              struct bytes *out, struct err *err)
{
    BYTES_CLEANUP struct bytes forged = {0};
    bool attributes = forge->mode == FORGE_OTHER_ATTRIBUTES;
    if (attributes)
        page_begin(TREE_ATTRIBUTES, 0, &forged);
    else
        TRY(page_forge(forge->mode, page, &forged, err));
    struct digest digest = page_digest(bytes_span(&forged));
    struct digest original = page_digest(page);
    TRY(attributes ? attributes_forge(forge, &digest, described, &original, out, err)
                   : version_forge(forge, &digest, true, described, out, err));
    pthread_mutex_lock(&forge->lock);
    forge->has_page = true;
    forge->original = original;
    forge->forged = digest;
    bytes_clear(&forge->page);
    bytes_append_span(&forge->page, bytes_span(&forged));
    pthread_mutex_unlock(&forge->lock);
    return ERR_OK;
}

static void described_forge(const struct forge *forge, struct span body, struct bytes *out)
{
    struct err err;
    struct digest root = digest_of(DOMAIN_PAGE, span_text("another root"));
    if (forge->mode == FORGE_HUGE_DESCRIBED && body.len > 2) {
        bytes_append_u8(out, body.data[0]);
        append_huge(out);
        bytes_append(out, body.data + 2, body.len - 2);
    } else if (forge->mode != FORGE_UNSIGNED ||
               version_forge(forge, &root, false, body, out, &err) != ERR_OK) {
        bytes_append_span(out, body);
    }
}

/* ---- requests ---- */

void forge_request(struct forge *forge, uint8_t method, struct span body, struct bytes *out)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, FORGE_ARENA_BYTES);
    struct peer_item *items;
    size_t count;
    struct err err;
    if (method != PEER_GET_PAGES || !mode_forges_page(forge->mode) ||
        peer_items_decode(body, &arena, &items, &count, &err) != ERR_OK) {
        bytes_append_span(out, body);
        return;
    }
    pthread_mutex_lock(&forge->lock);
    for (size_t i = 0; i < count && forge->has_page; i++) {
        if (digest_equal(&items[i].digest, &forge->forged))
            items[i].digest = forge->original;
    }
    pthread_mutex_unlock(&forge->lock);
    peer_items_encode(items, count, out);
}

/* ---- replies of parts ---- */

/* Appends a part and its length. */
static void part_append(struct bytes *parts, uint32_t *lengths, size_t *count, struct span part)
{
    lengths[(*count)++] = (uint32_t)part.len;
    bytes_append_span(parts, part);
}

static void page_part(struct forge *forge, struct span part, struct bytes *out)
{
    struct digest digest = page_digest(part);
    pthread_mutex_lock(&forge->lock);
    bool is_root = forge->has_page && digest_equal(&digest, &forge->original);
    bytes_append_span(out, is_root ? bytes_span(&forge->page) : part);
    pthread_mutex_unlock(&forge->lock);
    if (forge->mode == FORGE_WRONG_PAGE)
        out->data[part.len / 2] ^= 0x10;
}

static void file_part(const struct forge *forge, struct span part, struct bytes *out)
{
    bytes_append_span(out, part);
    if (forge->mode == FORGE_WRONG_FILE)
        out->data[part.len / 2] ^= 0x10;
    else if (forge->mode == FORGE_SHORT_FILE)
        out->len--;
    else if (forge->mode == FORGE_LONG_FILE)
        bytes_append_u8(out, 0);
}

static void parts_forge(struct forge *forge, uint8_t method, struct span header, struct span body,
                        struct bytes *ret_header, struct bytes *ret_body)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, FORGE_ARENA_BYTES);
    BYTES_CLEANUP struct bytes part = {0};
    uint32_t *lengths;
    size_t count, made = 0, at = 0;
    struct err err;
    if (peer_lengths_decode(header, LIMIT_REQUEST_ITEMS, UINT32_MAX, body.len, &arena, &lengths,
                            &count, &err) != ERR_OK) {
        bytes_append_span(ret_header, header);
        bytes_append_span(ret_body, body);
        return;
    }
    size_t wanted = method == PEER_GET_FILES && forge->mode == FORGE_LONG_FILE ? 1 : count;
    for (size_t i = 0; i < wanted; i++) {
        struct span original = span_slice(body, at, lengths[i]);
        at += original.len;
        bytes_clear(&part);
        if (method == PEER_GET_PAGES)
            page_part(forge, original, &part);
        else
            file_part(forge, original, &part);
        part_append(ret_body, lengths, &made, bytes_span(&part));
    }
    peer_lengths_encode(lengths, made, ret_header);
    if (method != PEER_GET_FILES)
        return;
    if (forge->mode == FORGE_SHORT_BODY)
        ret_body->len--;
    else if (forge->mode == FORGE_LONG_BODY)
        bytes_resize(ret_body, LIMIT_BODY_BYTES);
}

/* ---- replies ---- */

static void append_random(struct bytes *out)
{
    uint8_t random[GARBAGE_BYTES];
    randombytes_buf(random, sizeof(random));
    bytes_append(out, random, sizeof(random));
}

void forge_reply(struct forge *forge, uint8_t method, struct span header, struct span body,
                 struct bytes *ret_header, struct bytes *ret_body)
{
    if (forge->mode == FORGE_EMPTY)
        return;
    bool has_parts = method == PEER_GET_PAGES || method == PEER_GET_FILES;
    if (forge->mode == FORGE_GARBAGE) {
        append_random(ret_header);
        append_random(ret_body);
    } else if (forge->mode == FORGE_HUGE_LENGTH && has_parts && header.len > 2) {
        bytes_append_u8(ret_header, header.data[0]);
        append_huge(ret_header);
        bytes_append(ret_header, header.data + 2, header.len - 2);
        bytes_append_span(ret_body, body);
    } else if (has_parts) {
        parts_forge(forge, method, header, body, ret_header, ret_body);
    } else {
        bytes_append_span(ret_header, header);
        if (method == PEER_DESCRIBE)
            described_forge(forge, body, ret_body);
        else
            bytes_append_span(ret_body, body);
    }
}
