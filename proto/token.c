#include "proto/token.h"

/* ---- signatures ---- */

static void signed_bytes(const char *domain, struct span content, struct bytes *out)
{
    bytes_reserve(out, strlen(domain) + 1 + content.len);
    bytes_append_text(out, domain);
    bytes_append_u8(out, 0);
    bytes_append_span(out, content);
}

bool signature_check(const char *domain, struct span content, const struct identity_key *signer,
                     const uint8_t signature[TOKEN_SIGNATURE_BYTES])
{
    BYTES_CLEANUP struct bytes message = {0};
    signed_bytes(domain, content, &message);
    return crypto_sign_verify_detached(signature, message.data, message.len, signer->b) == 0;
}

/* ---- rules of form ---- */

static enum err_code string_validate(struct span text, bool may_be_empty, size_t bytes_max,
                                     const char *what, struct err *err)
{
    if (text.len == 0 && !may_be_empty)
        return err_set(err, ERR_PARAMETER, "token: %s is empty", what);
    if (text.len > bytes_max)
        return err_set(err, ERR_PARAMETER, "token: %s is longer than %zu bytes", what, bytes_max);
    if (!span_is_utf8(text) || (text.len > 0 && memchr(text.data, 0, text.len) != NULL))
        return err_set(err, ERR_PARAMETER, "token: %s is not text", what);
    return ERR_OK;
}

/* What stands behind the '*' of a pattern: "* OF table"; empty: nothing like that does. */
static struct span pattern_table(struct span pattern)
{
    const size_t words = sizeof(TOKEN_OF_TABLE) - 1;
    const uint8_t *star = pattern.len > 0 ? memchr(pattern.data, '*', pattern.len) : NULL;
    size_t at = star == NULL ? pattern.len : (size_t)(star - pattern.data);
    bool of = pattern.len - at > words && memcmp(star, TOKEN_OF_TABLE, words) == 0;
    return of ? span_slice(pattern, at + words, pattern.len - at - words) : span_of(NULL, 0);
}

enum wildcard { WILDCARD_NONE, WILDCARD_PREFIX, WILDCARD_ANY };

/* One '*' at the end, after a literal prefix or (WILDCARD_ANY) alone. */
static enum err_code snapshot_validate(struct span name, enum wildcard wildcard, const char *what,
                                       struct err *err)
{
    TRY(string_validate(name, false, LIMIT_NAME_BYTES, what, err));
    const uint8_t *star = memchr(name.data, '*', name.len);
    if (star == NULL)
        return ERR_OK;
    size_t at = (size_t)(star - name.data);
    if (wildcard == WILDCARD_NONE)
        return err_set(err, ERR_PARAMETER, "token: %s of a single run has a '*'", what);
    if ((at == 0 && wildcard != WILDCARD_ANY) || at != name.len - 1)
        return err_set(err, ERR_PARAMETER, "token: %s may have '*' only after a literal prefix",
                       what);
    return ERR_OK;
}

/* The source's, which may say of which table its snapshots are. */
static enum err_code pattern_validate(struct span pattern, enum wildcard wildcard,
                                      struct span *ret_table, struct err *err)
{
    struct span table = pattern_table(pattern);
    *ret_table = table;
    if (table.len == 0 || wildcard == WILDCARD_NONE)
        return snapshot_validate(pattern, wildcard, "source snapshot", err);
    struct span names = span_slice(pattern, 0, pattern.len - table.len - sizeof(" OF ") + 1);
    if (pattern.len > UINT8_MAX)
        return err_set(err, ERR_PARAMETER, "token: source snapshot is longer than %d bytes",
                       UINT8_MAX);
    TRY(snapshot_validate(table, WILDCARD_NONE, "source table", err));
    return snapshot_validate(names, WILDCARD_ANY, "source snapshot", err);
}

static enum err_code place_validate(const struct token_place *place, const char *side,
                                    struct err *err)
{
    char what[64];
    snprintf(what, sizeof(what), "%s region", side);
    TRY(string_validate(place->region, false, LIMIT_REGION_BYTES, what, err));
    snprintf(what, sizeof(what), "%s project", side);
    return string_validate(place->project, false, LIMIT_NAME_BYTES, what, err);
}

static enum err_code places_validate(const struct token *token, struct err *err)
{
    enum wildcard wildcard = token->kind == TOKEN_STANDING ? WILDCARD_PREFIX : WILDCARD_NONE;
    struct span table;
    TRY(place_validate(&token->source, "source", err));
    TRY(pattern_validate(token->source.snapshot, wildcard, &table, err));
    TRY(place_validate(&token->destination, "destination", err));
    return snapshot_validate(token->destination.snapshot, table.len > 0 ? WILDCARD_ANY : wildcard,
                             "destination snapshot", err);
}

enum err_code token_validate(const struct token *token, struct err *err)
{
    if (token->kind != TOKEN_ONCE && token->kind != TOKEN_STANDING)
        return err_set(err, ERR_PARAMETER, "token: unknown kind %u", (unsigned)token->kind);
    bool standing = token->kind == TOKEN_STANDING;
    if (token->rights == 0 || (token->rights & ~TOKEN_RIGHTS_ALL) != 0)
        return err_set(err, ERR_PARAMETER, "token: rights %u", (unsigned)token->rights);
    uint64_t life_s = standing ? TOKEN_STANDING_LIFE_S : TOKEN_ONCE_LIFE_S;
    if (token->not_after_s <= token->issued_s || token->not_after_s - token->issued_s > life_s)
        return err_set(err, ERR_PARAMETER, "token: a life of other than 1 to %" PRIu64 " s",
                       life_s);
    if ((token->runs_a_day != 0) != standing)
        return err_set(err, ERR_PARAMETER, "token: %" PRIu32 " runs a day", token->runs_a_day);
    if ((token->schedule.len != 0) != standing)
        return err_set(err, ERR_PARAMETER, "token: a schedule and this kind do not fit");
    TRY(places_validate(token, err));
    return string_validate(token->schedule, true, LIMIT_NAME_BYTES, "schedule", err);
}

bool token_snapshot_fits(const struct token *token, struct span pattern, struct span name)
{
    const uint8_t *star = token->kind == TOKEN_STANDING && pattern.len > 0
                              ? memchr(pattern.data, '*', pattern.len)
                              : NULL;
    if (star == NULL)
        return span_equal(pattern, name);
    size_t prefix = (size_t)(star - pattern.data);
    return name.len > 0 && name.len >= prefix && memcmp(name.data, pattern.data, prefix) == 0;
}

struct span token_source_table(const struct token *token)
{
    return token->kind == TOKEN_STANDING ? pattern_table(token->source.snapshot) : span_of(NULL, 0);
}

enum err_code token_copy_set(struct token *token, struct span source, struct span destination,
                             struct err *err)
{
    if (token->kind == TOKEN_ONCE)
        return source.len == 0 && destination.len == 0
                   ? ERR_OK
                   : err_set(err, ERR_DENIED, "a token of a single copy names it itself");
    if (!token_snapshot_fits(token, token->source.snapshot, source) ||
        !token_snapshot_fits(token, token->destination.snapshot, destination))
        return err_set(
            err, ERR_DENIED, "the token is for %.*s to %.*s, not for a copy of %.*s to %.*s",
            SPAN_PRINTF(token->source.snapshot), SPAN_PRINTF(token->destination.snapshot),
            SPAN_PRINTF(source), SPAN_PRINTF(destination));
    token->source.snapshot = source;
    token->destination.snapshot = destination;
    return ERR_OK;
}

/* ---- bytes ---- */

static void append_string(struct bytes *out, struct span text)
{
    bytes_append_u8(out, (uint8_t)text.len);
    bytes_append_span(out, text);
}

static void append_place(struct bytes *out, const struct token_place *place)
{
    append_string(out, place->region);
    append_string(out, place->project);
    append_string(out, place->snapshot);
}

enum err_code token_encode(const struct token *token, struct bytes *out, struct err *err)
{
    TRY(token_validate(token, err));
    bytes_append_u8(out, 1);
    bytes_append_u8(out, (uint8_t)token->kind);
    bytes_append_u16(out, token->rights);
    bytes_append(out, token->id.b, sizeof(token->id.b));
    bytes_append(out, token->signer.b, sizeof(token->signer.b));
    bytes_append_u64(out, token->issued_s);
    bytes_append_u64(out, token->not_after_s);
    bytes_append_u32(out, token->runs_a_day);
    bytes_append(out, token->destination_node.b, sizeof(token->destination_node.b));
    append_place(out, &token->source);
    append_place(out, &token->destination);
    append_string(out, token->schedule);
    return ERR_OK;
}

static struct span read_string(struct reader *reader)
{
    return reader_span(reader, reader_u8(reader));
}

static void read_place(struct reader *reader, struct token_place *place)
{
    place->region = read_string(reader);
    place->project = read_string(reader);
    place->snapshot = read_string(reader);
}

enum err_code token_decode(struct span encoded, struct token *ret_token, struct err *err)
{
    struct reader reader = reader_of(encoded);
    struct token token = {0};
    if (reader_u8(&reader) != 1)
        return err_set(err, ERR_BAD_DATA, "token: unknown form");
    token.kind = (enum token_kind)reader_u8(&reader);
    token.rights = reader_u16(&reader);
    reader_copy(&reader, token.id.b, sizeof(token.id.b));
    reader_copy(&reader, token.signer.b, sizeof(token.signer.b));
    token.issued_s = reader_u64(&reader);
    token.not_after_s = reader_u64(&reader);
    token.runs_a_day = reader_u32(&reader);
    reader_copy(&reader, token.destination_node.b, sizeof(token.destination_node.b));
    read_place(&reader, &token.source);
    read_place(&reader, &token.destination);
    token.schedule = read_string(&reader);
    reader_copy(&reader, token.signature, sizeof(token.signature));
    if (!reader_end(&reader))
        return err_set(err, ERR_BAD_DATA, "token: wrong length");
    struct err detail;
    if (token_validate(&token, &detail) != ERR_OK)
        return err_set(err, ERR_BAD_DATA, "%s", detail.message);
    *ret_token = token;
    return ERR_OK;
}

enum err_code token_verify(struct span encoded, struct err *err)
{
    struct token token;
    TRY(token_decode(encoded, &token, err));
    struct span content = span_slice(encoded, 0, encoded.len - TOKEN_SIGNATURE_BYTES);
    if (!signature_check(TOKEN_DOMAIN, content, &token.signer, token.signature))
        return err_set(err, ERR_DENIED, "token: wrong signature");
    return ERR_OK;
}

/* ---- receipts ---- */

#define RECEIPT_FORM_PLAIN  1
#define RECEIPT_FORM_AUDIT  2
#define RECEIPT_FORM_TOTALS 3

static uint8_t receipt_form(const struct receipt *receipt)
{
    ASSERT(receipt->has_audit || !receipt->has_totals);
    return !receipt->has_audit   ? RECEIPT_FORM_PLAIN
           : receipt->has_totals ? RECEIPT_FORM_TOTALS
                                 : RECEIPT_FORM_AUDIT;
}

void receipt_encode(const struct receipt *receipt, struct bytes *out)
{
    bytes_append_u8(out, receipt_form(receipt));
    bytes_append_span(out, digest_span(&receipt->lease.digest));
    bytes_append_span(out, digest_span(&receipt->version));
    bytes_append_span(out, digest_span(&receipt->root));
    bytes_append(out, receipt->signer.b, sizeof(receipt->signer.b));
    bytes_append_u64(out, receipt->published_ms);
    if (!receipt->has_audit)
        return;
    bytes_append_u64(out, receipt->audit_count);
    bytes_append_span(out, digest_span(&receipt->audit_head));
    if (!receipt->has_totals)
        return;
    bytes_append_u64(out, receipt->rows);
    bytes_append_u64(out, receipt->bytes);
    bytes_append_u64(out, receipt->partitions);
}

enum err_code receipt_decode(struct span encoded, struct receipt *ret_receipt, struct err *err)
{
    static const size_t bytes[] = {[RECEIPT_FORM_PLAIN] = RECEIPT_PLAIN_BYTES,
                                   [RECEIPT_FORM_AUDIT] = RECEIPT_AUDIT_BYTES,
                                   [RECEIPT_FORM_TOTALS] = RECEIPT_BYTES_MAX};
    uint8_t form = encoded.len > 0 ? encoded.data[0] : 0;
    if (form < RECEIPT_FORM_PLAIN || form > RECEIPT_FORM_TOTALS || encoded.len != bytes[form])
        return err_set(err, ERR_BAD_DATA, "receipt: unknown form");
    struct reader reader = reader_of(span_slice(encoded, 1, encoded.len - 1));
    struct receipt receipt = {.has_audit = form >= RECEIPT_FORM_AUDIT,
                              .has_totals = form == RECEIPT_FORM_TOTALS};
    reader_copy(&reader, receipt.lease.digest.b, DIGEST_BYTES);
    reader_copy(&reader, receipt.version.b, DIGEST_BYTES);
    reader_copy(&reader, receipt.root.b, DIGEST_BYTES);
    reader_copy(&reader, receipt.signer.b, sizeof(receipt.signer.b));
    receipt.published_ms = reader_u64(&reader);
    if (receipt.has_audit) {
        receipt.audit_count = reader_u64(&reader);
        reader_copy(&reader, receipt.audit_head.b, DIGEST_BYTES);
    }
    if (receipt.has_totals) {
        receipt.rows = reader_u64(&reader);
        receipt.bytes = reader_u64(&reader);
        receipt.partitions = reader_u64(&reader);
    }
    reader_copy(&reader, receipt.signature, sizeof(receipt.signature));
    *ret_receipt = receipt;
    return ERR_OK;
}

enum err_code receipt_verify(struct span encoded, struct err *err)
{
    struct receipt receipt;
    TRY(receipt_decode(encoded, &receipt, err));
    struct span content = span_slice(encoded, 0, encoded.len - TOKEN_SIGNATURE_BYTES);
    if (!signature_check(RECEIPT_DOMAIN, content, &receipt.signer, receipt.signature))
        return err_set(err, ERR_DENIED, "receipt: wrong signature");
    return ERR_OK;
}
