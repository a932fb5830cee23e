#include "proto/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static uint8_t secret[64];
static struct identity_key signer;

static struct token sample(enum token_kind kind)
{
    bool standing = kind == TOKEN_STANDING;
    struct token token = {
        .kind = kind,
        .rights = TOKEN_RIGHTS_ALL,
        .signer = signer,
        .issued_s = 1767225600,
        .not_after_s = 1767225600 + 3600,
        .runs_a_day = standing ? 24 : 0,
        .source = {span_text("ap-southeast-1"), span_text("project_a"),
                   span_text(standing ? "x_*" : "x_20260101")},
        .destination = {span_text("cn-hongkong"), span_text("project_b"),
                        span_text(standing ? "y_*" : "x_20260101")},
        .schedule = span_text(standing ? "nightly" : ""),
    };
    memset(token.id.b, 7, sizeof(token.id.b));
    memset(token.destination_node.b, 9, sizeof(token.destination_node.b));
    return token;
}

static void sign(const char *domain, struct bytes *content)
{
    BYTES_CLEANUP struct bytes message = {0};
    bytes_append_text(&message, domain);
    bytes_append_u8(&message, 0);
    bytes_append_span(&message, bytes_span(content));
    uint8_t signature[64];
    crypto_sign_detached(signature, NULL, message.data, message.len, secret);
    bytes_append(content, signature, sizeof(signature));
}

static void encode(const struct token *token, struct bytes *out)
{
    struct err err;
    assert_int_equal(token_encode(token, out, &err), ERR_OK);
    sign(TOKEN_DOMAIN, out);
}

static void test_every_field_comes_back(void **state)
{
    (void)state;
    for (int kind = TOKEN_ONCE; kind <= TOKEN_STANDING; kind++) {
        struct token token = sample((enum token_kind)kind);
        token.rights = TOKEN_DESCRIBE | TOKEN_FILES;
        BYTES_CLEANUP struct bytes encoded = {0};
        encode(&token, &encoded);
        assert_int_equal(encoded.len, TOKEN_FIXED_BYTES + 7 + 14 + 9 + 11 + 9 +
                                          token.source.snapshot.len +
                                          token.destination.snapshot.len + token.schedule.len + 64);
        struct token decoded;
        assert_int_equal(token_decode(bytes_span(&encoded), &decoded, NULL), ERR_OK);
        assert_int_equal(decoded.kind, kind);
        assert_int_equal(decoded.rights, token.rights);
        assert_memory_equal(decoded.id.b, token.id.b, 16);
        assert_memory_equal(decoded.signer.b, token.signer.b, 32);
        assert_true(decoded.issued_s == token.issued_s);
        assert_true(decoded.not_after_s == token.not_after_s);
        assert_int_equal(decoded.runs_a_day, token.runs_a_day);
        assert_memory_equal(decoded.destination_node.b, token.destination_node.b, 32);
        assert_true(span_equal(decoded.source.region, token.source.region));
        assert_true(span_equal(decoded.source.project, token.source.project));
        assert_true(span_equal(decoded.source.snapshot, token.source.snapshot));
        assert_true(span_equal(decoded.destination.region, token.destination.region));
        assert_true(span_equal(decoded.destination.project, token.destination.project));
        assert_true(span_equal(decoded.destination.snapshot, token.destination.snapshot));
        assert_true(span_equal(decoded.schedule, token.schedule));
        assert_int_equal(token_verify(bytes_span(&encoded), NULL), ERR_OK);
    }
}

static void test_no_byte_of_a_signed_token_can_change(void **state)
{
    (void)state;
    struct token token = sample(TOKEN_ONCE);
    BYTES_CLEANUP struct bytes encoded = {0};
    encode(&token, &encoded);
    for (size_t i = 0; i < encoded.len; i++) {
        encoded.data[i] ^= 0x10;
        assert_int_not_equal(token_verify(bytes_span(&encoded), NULL), ERR_OK);
        encoded.data[i] ^= 0x10;
    }
    assert_int_equal(token_verify(bytes_span(&encoded), NULL), ERR_OK);
}

static void test_a_signature_of_another_domain_is_refused(void **state)
{
    (void)state;
    struct token token = sample(TOKEN_ONCE);
    BYTES_CLEANUP struct bytes encoded = {0};
    assert_int_equal(token_encode(&token, &encoded, NULL), ERR_OK);
    sign(RECEIPT_DOMAIN, &encoded);
    assert_int_equal(token_verify(bytes_span(&encoded), NULL), ERR_DENIED);
}

static void test_wrong_lengths_are_refused(void **state)
{
    (void)state;
    struct token token = sample(TOKEN_STANDING);
    BYTES_CLEANUP struct bytes encoded = {0};
    encode(&token, &encoded);
    struct token decoded;
    for (size_t len = 0; len < encoded.len; len++)
        assert_int_equal(token_decode(span_of(encoded.data, len), &decoded, NULL), ERR_BAD_DATA);
    bytes_append_u8(&encoded, 0);
    assert_int_equal(token_decode(bytes_span(&encoded), &decoded, NULL), ERR_BAD_DATA);
}

static void refused(const struct token *token, const char *word)
{
    BYTES_CLEANUP struct bytes out = {0};
    struct err err;
    assert_int_equal(token_encode(token, &out, &err), ERR_PARAMETER);
    assert_int_equal(out.len, 0);
    assert_non_null(strstr(err.message, word));
}

static void test_rules_of_form_name_what_is_wrong(void **state)
{
    (void)state;
    char long_name[200];
    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = 0;
    struct token token = sample(TOKEN_ONCE);
    token.kind = (enum token_kind)3;
    refused(&token, "kind");
    token = sample(TOKEN_ONCE);
    token.rights = 0;
    refused(&token, "rights");
    token.rights = 16;
    refused(&token, "rights");
    token = sample(TOKEN_ONCE);
    token.not_after_s = token.issued_s;
    refused(&token, "life");
    token.not_after_s = token.issued_s + TOKEN_ONCE_LIFE_S + 1;
    refused(&token, "life");
    token = sample(TOKEN_STANDING);
    token.not_after_s = token.issued_s + TOKEN_STANDING_LIFE_S + 1;
    refused(&token, "life");
    token = sample(TOKEN_ONCE);
    token.runs_a_day = 1;
    refused(&token, "runs");
    token = sample(TOKEN_STANDING);
    token.runs_a_day = 0;
    refused(&token, "runs");
    token = sample(TOKEN_ONCE);
    token.schedule = span_text("s");
    refused(&token, "schedule");
    token = sample(TOKEN_STANDING);
    token.schedule = span_text("");
    refused(&token, "schedule");
    token = sample(TOKEN_ONCE);
    token.source.project = span_text(long_name);
    refused(&token, "source project");
    token = sample(TOKEN_ONCE);
    token.destination.region = span_text("");
    refused(&token, "destination region");
    token = sample(TOKEN_ONCE);
    token.destination.snapshot = span_text("a\xFF");
    refused(&token, "destination snapshot");
}

static void test_wildcards_only_at_the_end_of_a_standing_tokens_snapshots(void **state)
{
    (void)state;
    struct token token = sample(TOKEN_ONCE);
    token.source.snapshot = span_text("x_*");
    refused(&token, "'*'");
    static const char *const bad[] = {"*", "a*b", "a**"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        token = sample(TOKEN_STANDING);
        token.destination.snapshot = span_text(bad[i]);
        refused(&token, "'*'");
    }
}

static void test_a_pattern_may_name_the_table_of_its_snapshots(void **state)
{
    (void)state;
    struct token token = sample(TOKEN_STANDING);
    token.source.snapshot = span_text("* OF orders");
    token.destination.snapshot = span_text("*");
    BYTES_CLEANUP struct bytes encoded = {0};
    struct token decoded;
    encode(&token, &encoded);
    assert_int_equal(token_decode(bytes_span(&encoded), &decoded, NULL), ERR_OK);
    assert_true(span_equal(token_source_table(&decoded), span_text("orders")));
    assert_true(token_snapshot_fits(&decoded, decoded.source.snapshot, span_text("any")));
    assert_true(token_snapshot_fits(&decoded, decoded.destination.snapshot, span_text("any")));
    assert_false(token_snapshot_fits(&decoded, decoded.source.snapshot, span_text("")));
    token.source.snapshot = span_text("x_* OF orders");
    assert_true(token_snapshot_fits(&token, token.source.snapshot, span_text("x_1")));
    assert_false(token_snapshot_fits(&token, token.source.snapshot, span_text("y_1")));
    static const char *const bad[] = {"* OF ", "* OF a*", "*OF a", "** OF a", "* OF a* OF b"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        token.source.snapshot = span_text(bad[i]);
        refused(&token, "'*'");
    }
    token.source.snapshot = span_text("x_*"); /* then the destination has a prefix as well */
    refused(&token, "'*'");
    token = sample(TOKEN_STANDING);
    token.destination.snapshot = span_text("* OF orders");
    refused(&token, "'*'");
    token = sample(TOKEN_ONCE);
    token.source.snapshot = span_text("* OF orders");
    refused(&token, "'*'");
}

static void test_a_copy_under_a_standing_token_has_names_that_fit(void **state)
{
    (void)state;
    struct token token = sample(TOKEN_STANDING);
    assert_int_equal(token_copy_set(&token, span_text("z_1"), span_text("y_1"), NULL), ERR_DENIED);
    assert_int_equal(token_copy_set(&token, span_text("x_1"), span_text("z_1"), NULL), ERR_DENIED);
    assert_int_equal(token_copy_set(&token, span_text(""), span_text(""), NULL), ERR_DENIED);
    assert_true(span_equal(token.source.snapshot, span_text("x_*")));
    assert_int_equal(token_copy_set(&token, span_text("x_1"), span_text("y_1"), NULL), ERR_OK);
    assert_true(span_equal(token.source.snapshot, span_text("x_1")));
    assert_true(span_equal(token.destination.snapshot, span_text("y_1")));
    token = sample(TOKEN_ONCE);
    assert_int_equal(token_copy_set(&token, span_text(""), span_text(""), NULL), ERR_OK);
    assert_int_equal(token_copy_set(&token, span_text("x_1"), span_text(""), NULL), ERR_DENIED);
}

static void test_wildcard_fits_names_with_its_prefix(void **state)
{
    (void)state;
    struct token token = sample(TOKEN_STANDING);
    struct span pattern = span_text("x_*");
    assert_true(token_snapshot_fits(&token, pattern, span_text("x_2026")));
    assert_true(token_snapshot_fits(&token, pattern, span_text("x_")));
    assert_false(token_snapshot_fits(&token, pattern, span_text("x")));
    assert_false(token_snapshot_fits(&token, pattern, span_text("y_2026")));
    assert_false(token_snapshot_fits(&token, span_text("x_1"), span_text("x_12")));
    token = sample(TOKEN_ONCE);
    assert_false(token_snapshot_fits(&token, pattern, span_text("x_2026")));
    assert_true(token_snapshot_fits(&token, span_text("x_1"), span_text("x_1")));
}

static void receipt_comes_back(struct receipt receipt, size_t bytes)
{
    receipt.signer = signer;
    receipt.published_ms = 1767225600123;
    memset(receipt.lease.digest.b, 1, 32);
    memset(receipt.version.b, 2, 32);
    memset(receipt.root.b, 3, 32);
    BYTES_CLEANUP struct bytes encoded = {0};
    receipt_encode(&receipt, &encoded);
    sign(RECEIPT_DOMAIN, &encoded);
    assert_int_equal(encoded.len, bytes);
    struct receipt decoded;
    assert_int_equal(receipt_decode(bytes_span(&encoded), &decoded, NULL), ERR_OK);
    assert_memory_equal(&decoded.lease, &receipt.lease, 32);
    assert_memory_equal(&decoded.version, &receipt.version, 32);
    assert_memory_equal(&decoded.root, &receipt.root, 32);
    assert_memory_equal(&decoded.signer, &signer, 32);
    assert_true(decoded.published_ms == receipt.published_ms);
    assert_true(decoded.has_audit == receipt.has_audit);
    assert_true(decoded.audit_count == receipt.audit_count);
    assert_memory_equal(&decoded.audit_head, &receipt.audit_head, 32);
    assert_true(decoded.has_totals == receipt.has_totals && decoded.rows == receipt.rows &&
                decoded.bytes == receipt.bytes && decoded.partitions == receipt.partitions);
    assert_int_equal(receipt_verify(bytes_span(&encoded), NULL), ERR_OK);
    for (size_t i = 0; i < encoded.len; i++) {
        encoded.data[i] ^= 1;
        assert_int_not_equal(receipt_verify(bytes_span(&encoded), NULL), ERR_OK);
        encoded.data[i] ^= 1;
    }
    encoded.len--;
    assert_int_equal(receipt_verify(bytes_span(&encoded), NULL), ERR_BAD_DATA);
}

static void test_receipt_comes_back_and_no_byte_can_change(void **state)
{
    (void)state;
    receipt_comes_back(
        (struct receipt){.has_audit = true, .audit_count = 7, .audit_head = {{4, 5}}},
        RECEIPT_AUDIT_BYTES);
    receipt_comes_back((struct receipt){.has_audit = true,
                                        .audit_count = 7,
                                        .audit_head = {{4, 5}},
                                        .has_totals = true,
                                        .rows = 1,
                                        .bytes = UINT64_MAX,
                                        .partitions = 3},
                       RECEIPT_BYTES_MAX);
}

static void test_receipt_of_before_audit_logs_is_read(void **state)
{
    (void)state;
    receipt_comes_back((struct receipt){.has_audit = false}, RECEIPT_PLAIN_BYTES);
}

int main(void)
{
    uint8_t seed[32] = {42};
    if (sodium_init() < 0 || crypto_sign_seed_keypair(signer.b, secret, seed) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_comes_back),
        cmocka_unit_test(test_no_byte_of_a_signed_token_can_change),
        cmocka_unit_test(test_a_signature_of_another_domain_is_refused),
        cmocka_unit_test(test_wrong_lengths_are_refused),
        cmocka_unit_test(test_rules_of_form_name_what_is_wrong),
        cmocka_unit_test(test_wildcards_only_at_the_end_of_a_standing_tokens_snapshots),
        cmocka_unit_test(test_a_pattern_may_name_the_table_of_its_snapshots),
        cmocka_unit_test(test_a_copy_under_a_standing_token_has_names_that_fit),
        cmocka_unit_test(test_wildcard_fits_names_with_its_prefix),
        cmocka_unit_test(test_receipt_comes_back_and_no_byte_can_change),
        cmocka_unit_test(test_receipt_of_before_audit_logs_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
