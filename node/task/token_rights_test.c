/* Tokens, line by line of the wire protocol's section 5: what the source refuses, whoever brings it. */
#include "node/task/xcopy_trial.h"

#include "node/task/token_use.h"
#include "proto/key.h"
#include "proto/version.h"
#include "store/pages.h"

static struct identity *stranger; /* a key of nobody there */

static struct xcopy_rights rights_of(struct region *region)
{
    return (struct xcopy_rights){.store = region->store,
                                 .principals = region->principals,
                                 .peers = region->peers,
                                 .node = identity_public(region->identity)->sign,
                                 .region = region->name};
}

static enum err_code source_says(struct span token, const struct identity *peer)
{
    ARENA_CLEANUP struct arena arena;
    struct xcopy_origin origin;
    const struct xcopy_rights rights = rights_of(&there);
    arena_init(&arena, MIB(16));
    const struct xcopy_ask ask = {.token = token, .peer = identity_public(peer)->sign};
    return xcopy_rights_source(&rights, &ask, &arena, &origin, &err);
}

static enum err_code destination_says(struct span token)
{
    ARENA_CLEANUP struct arena arena;
    struct xcopy_target target;
    const struct xcopy_rights rights = rights_of(&here);
    arena_init(&arena, MIB(16));
    const struct xcopy_copy copy = {.token = token};
    return xcopy_rights_destination(&rights, &copy, &arena, &target, &err);
}

static void snapshot_of_rows(const char *name, const char *tag)
{
    struct table_id table = table_make(name);
    char snapshot[64];
    overwrite(table, 1, 5, tag);
    snprintf(snapshot, sizeof(snapshot), "%s_1", name);
    snapshot_make(table, snapshot);
}

/* ---- what is signed ---- */

static void test_a_token_changed_in_any_byte_is_refused(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    snapshot_of_rows("bytes", "bytes");
    struct token token = token_base("bytes_1");
    token_sign(&token, user, &bytes);
    ok(source_says(bytes_span(&bytes), here.identity));
    for (size_t at = 0; at < bytes.len; at++) {
        for (uint8_t bit = 1; bit != 0; bit = (uint8_t)(bit << 1)) {
            bytes.data[at] ^= bit;
            enum err_code code = source_says(bytes_span(&bytes), here.identity);
            if (code != ERR_DENIED && code != ERR_BAD_DATA)
                fail_msg("byte %zu, bit %u: %s", at, bit, err_name(code));
            assert_int_not_equal(destination_says(bytes_span(&bytes)), ERR_OK);
            bytes.data[at] ^= bit;
        }
    }
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(source_says(span_of(bytes.data, len), here.identity), ERR_BAD_DATA);
    bytes_append_u8(&bytes, 0);
    assert_int_equal(source_says(bytes_span(&bytes), here.identity), ERR_BAD_DATA);
}

static void test_a_signature_of_another_domain_is_none(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    struct signature signature;
    struct token token = token_base("bytes_1");
    ok(token_encode(&token, &bytes, &err));
    identity_sign(user, RECEIPT_DOMAIN, bytes_span(&bytes), &signature);
    bytes_append(&bytes, signature.b, sizeof(signature.b));
    says(source_says(bytes_span(&bytes), here.identity), ERR_DENIED, "wrong signature");
}

static void test_a_token_is_for_one_region_one_node_and_one_snapshot(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    struct token token = token_base("bytes_1");
    token.source.region = span_text("elsewhere");
    token_sign(&token, user, &bytes);
    says(source_says(bytes_span(&bytes), here.identity), ERR_DENIED,
         "the token is for region elsewhere, this is ap-southeast-1");
    token = token_base("bytes_1");
    token_sign(&token, user, &bytes);
    says(source_says(bytes_span(&bytes), stranger), ERR_DENIED, "the token is for another node");
    token.destination_node = identity_public(stranger)->sign;
    token_sign(&token, user, &bytes);
    says(source_says(bytes_span(&bytes), here.identity), ERR_DENIED, "for another node");
    says(destination_says(bytes_span(&bytes)), ERR_DENIED, "for another node");
    token = token_base("bytes_1");
    token.destination.region = span_text("elsewhere");
    token_sign(&token, user, &bytes);
    says(destination_says(bytes_span(&bytes)), ERR_DENIED, "for another node");
    token = token_base("bytes_2");
    token_sign(&token, user, &bytes);
    says(source_says(bytes_span(&bytes), here.identity), ERR_OK,
         ""); /* nothing is there to lease: */
    token = token_base("bytes_1");
    token.source.project = span_text("other");
    token_sign(&token, user, &bytes);
    says(source_says(bytes_span(&bytes), here.identity), ERR_NOT_FOUND,
         "no snapshot other.bytes_1, or no right to it");
}

static void test_a_token_of_fewer_rights_grants_no_copy(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    static const uint16_t fewer[] = {TOKEN_DESCRIBE, TOKEN_WATCH,
                                     TOKEN_RIGHTS_ALL & ~TOKEN_DESCRIBE,
                                     TOKEN_RIGHTS_ALL & ~TOKEN_PAGES};
    for (size_t i = 0; i < ARRAY_COUNT(fewer); i++) {
        struct token token = token_base("bytes_1");
        token.rights = fewer[i];
        token_sign(&token, user, &bytes);
        says(source_says(bytes_span(&bytes), here.identity), ERR_DENIED,
             "neither a copy nor a look");
    }
}

/* ---- time ---- */

static void test_clocks_an_hour_apart_are_both_told(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    char year[8];
    time_t now = time(NULL);
    strftime(year, sizeof(year), "%Y-", gmtime(&now));
    struct token token = token_base("bytes_1");
    token.issued_s += 3600; /* the signer's clock is an hour fast, or ours slow */
    token.not_after_s += 3600;
    token_sign(&token, user, &bytes);
    for (int end = 0; end < 2; end++) {
        enum err_code code = end == 0 ? source_says(bytes_span(&bytes), here.identity)
                                      : destination_says(bytes_span(&bytes));
        says(code, ERR_CREDENTIALS,
             end == 0 ? "in ap-southeast-1 it is " : "in cn-hongkong it is ");
        says(code, ERR_CREDENTIALS, "the token was issued at ");
        const char *first = strstr(err.message, year);
        assert_non_null(first);
        assert_non_null(strstr(first + 1, year));
    }
    token.issued_s -= 7200 + 3600; /* it ended: their clock is slow, or ours fast */
    token.not_after_s -= 7200 + 3600;
    token_sign(&token, user, &bytes);
    says(source_says(bytes_span(&bytes), here.identity), ERR_CREDENTIALS, "the token ended at ");
    assert_non_null(strstr(err.message, "set the clock that is wrong"));
    assert_int_equal(destination_says(bytes_span(&bytes)), ERR_CREDENTIALS);
    token = token_base("bytes_1");
    token.issued_s += 250; /* a little is nothing */
    token_sign(&token, user, &bytes);
    ok(source_says(bytes_span(&bytes), here.identity));
}

/* ---- who ---- */

/* Whoever operates a region can make an account of any name there; only a key is the same in both. */
static void test_an_account_of_the_same_name_with_another_key_is_nobody(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    struct token token = token_base("bytes_1");
    principals_remove(here.principals, span_text(ROOT_ACCOUNT_NAME));
    const struct principal_spec spec = {.name = span_text(ROOT_ACCOUNT_NAME),
                                        .account = {ROOT_ACCOUNT_ID},
                                        .number = ROOT_ACCOUNT_ID,
                                        .keys = identity_public(stranger),
                                        .key_count = 1};
    principals_put(here.principals, &spec);
    token_sign(&token, stranger, &bytes);
    enum err_code at_home = destination_says(bytes_span(&bytes));
    struct ask ask = {0};
    describe_post(&ask, 1, bytes_span(&bytes));
    enum err_code code = ask_wait(&ask);
    principals_remove(here.principals, span_text(ROOT_ACCOUNT_NAME));
    struct principal_spec before = spec;
    before.keys = identity_public(user);
    principals_put(here.principals, &before);
    assert_int_equal(at_home, ERR_OK);
    assert_int_equal(code, ERR_NOT_FOUND);
    assert_non_null(strstr(ask.err.message, "no snapshot demo.bytes_1, or no right to it"));
    assert_int_equal(source_leases(there.source), 0);
    /* and at the destination: who is somebody only at the source */
    says(destination_says(bytes_span(&bytes)), ERR_DENIED, "signer is not known in cn-hongkong");
}

static enum err_code order_says(const char *snapshot, const struct token *token,
                                const struct identity *signer)
{
    BYTES_CLEANUP struct bytes bytes = {0};
    struct token signed_token = *token;
    struct task_id id;
    token_sign(&signed_token, signer, &bytes);
    struct tasks_order order = {.principal = root_principal(),
                                .statement = span_text(statement_text),
                                .token = bytes_span(&bytes),
                                .source_region = span_text(there.name),
                                .source_project = span_text("demo"),
                                .source_snapshot = span_text(snapshot),
                                .destination_project = span_text("demo"),
                                .destination_snapshot = span_text(snapshot)};
    store_u64(order.statement_id.b, ++statement_last);
    return tasks_start(here.tasks, &order, &id, &err);
}

static void test_the_destination_takes_a_token_only_from_its_signers_session(void **state)
{
    (void)state;
    struct token token = token_base("bytes_1");
    says(order_says("bytes_1", &token, stranger), ERR_DENIED,
         "signed by another key than the session's");
    says(order_says("bytes_2", &token, user), ERR_PARAMETER, "for another XCOPY");
    token.destination.snapshot = span_text("elsewhere_1");
    says(order_says("bytes_1", &token, user), ERR_PARAMETER, "for another XCOPY");
    token = token_base("bytes_1");
    token.source.region = span_text("eu-nowhere");
    says(order_says("bytes_1", &token, user), ERR_PARAMETER, "for another XCOPY");
}

/* ---- the stolen destination: its key, and what a principal once gave it ---- */

static enum err_code describe_says(uint8_t task, struct span token)
{
    struct ask ask = {0};
    describe_post(&ask, task, token);
    enum err_code code = ask_wait(&ask);
    err = ask.err;
    bytes_deinit(&ask.body);
    return code;
}

static void leases_end(void)
{
    for (int i = 0; i < 2000 && source_leases(there.source) > 0; i++)
        usleep(10000);
    assert_int_equal(source_leases(there.source), 0);
}

static enum err_code items_ask(const struct lease_id *under, enum peer_method method,
                               const struct peer_item *items, size_t count)
{
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    struct ask ask = {0};
    const struct peer_lease lease = {.lease = *under, .reply_bytes = 65536};
    peer_lease_encode(&lease, &header);
    peer_items_encode(items, count, &body);
    ask_post(&ask, method, bytes_span(&header), bytes_span(&body));
    enum err_code code = ask_wait(&ask);
    bytes_deinit(&ask.body);
    return code;
}

static void test_a_stolen_destination_pulls_what_was_asked_for_and_nothing_else(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    snapshot_of_rows("given", "given");
    snapshot_of_rows("wanted", "wanted");
    says(describe_says(10, span_of(NULL, 0)), ERR_BAD_DATA, "");
    struct token token = token_base("wanted_1");
    token_sign(&token, stranger, &bytes); /* made by who has the node's key */
    says(describe_says(10, bytes_span(&bytes)), ERR_NOT_FOUND, "or no right to it");
    token_sign(&token, here.identity, &bytes); /* signed with that very key */
    says(describe_says(10, bytes_span(&bytes)), ERR_NOT_FOUND, "or no right to it");
    assert_int_equal(source_leases(there.source), 0);

    token = token_base("given_1");
    token_sign(&token, user, &bytes);
    struct ask given = {0};
    describe_post(&given, 11, bytes_span(&bytes));
    assert_int_equal(ask_wait(&given), ERR_OK);
    assert_int_equal(root_ask(&given), ERR_OK);
    /* under its lease, what the other snapshot stands on */
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(8));
    struct peer_described described;
    struct snapshot_record wanted;
    BYTES_CLEANUP struct bytes page = {0};
    struct version_record version;
    ok(peer_described_decode(bytes_span(&given.body), &arena, &described, &err));
    ok(snapshot_find(there.store, NULL, there.project, span_text("wanted_1"), &arena, &wanted,
                     &err));
    ok(page_read(there.store, &wanted.version.page, &page, &err));
    ok(version_decode(bytes_span(&page), &arena, &version, &err));
    const struct digest digests[] = {version.root, wanted.version.page,
                                     wanted.version.attribute_root};
    for (size_t i = 0; i < ARRAY_COUNT(digests); i++) {
        const struct peer_item item = {.tree = TREE_MANIFEST, .digest = digests[i]};
        assert_int_equal(items_ask(&described.lease, PEER_GET_PAGES, &item, 1), ERR_NOT_IN_LEASE);
    }
    assert_int_equal(lease_ask(&given, PEER_END), ERR_OK);
    leases_end();
    bytes_deinit(&given.body);
}

/* Of a snapshot of snapshot_of_rows(tag): where its partition's file stands, in key, and which it is. */
static struct peer_item file_item(const char *tag, int64_t partition, struct bytes *key)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "%s %" PRIi64 " %0100d", tag, partition, 7);
    BYTES_CLEANUP struct bytes prefix = {0};
    key_append_i64(&prefix, partition);
    row_group_key(bytes_span(&prefix), (struct row_group_place){.column_id = 1}, key);
    return (struct peer_item){.key = bytes_span(key),
                              .column_id = 1,
                              .digest = digest_of(DOMAIN_FILE, span_of(text, (size_t)len))};
}

/* The source holds all of them. */
static void test_a_file_is_served_where_the_leases_snapshot_has_it_and_nowhere_else(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    BYTES_CLEANUP struct bytes first_key = {0};
    BYTES_CLEANUP struct bytes second_key = {0};
    BYTES_CLEANUP struct bytes other_key = {0};
    BYTES_CLEANUP struct bytes beyond_key = {0};
    overwrite(table_make("beyond"), 9, 9, "beyond");
    const struct peer_item first = file_item("given", 1, &first_key);
    const struct peer_item second = file_item("given", 2, &second_key);
    const struct peer_item other = file_item("wanted", 2, &other_key);
    struct peer_item wrong[] = {file_item("beyond", 9, &beyond_key), second, second, second};
    wrong[1].digest = other.digest;        /* another table's, at a key that is here */
    wrong[2].column_id = 2;                /* a column that the file is not of */
    wrong[3].key = bytes_span(&first_key); /* where another file stands */
    struct token token = token_base("given_1");
    token_sign(&token, user, &bytes);
    struct ask given = {0};
    describe_post(&given, 12, bytes_span(&bytes));
    assert_int_equal(ask_wait(&given), ERR_OK);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(8));
    struct peer_described described;
    ok(peer_described_decode(bytes_span(&given.body), &arena, &described, &err));
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) { /* alone, and behind one that is right */
        const struct peer_item two[] = {first, wrong[i]};
        assert_int_equal(items_ask(&described.lease, PEER_GET_FILES, &two[1], 1), ERR_NOT_IN_LEASE);
        assert_int_equal(items_ask(&described.lease, PEER_GET_FILES, two, 2), ERR_NOT_IN_LEASE);
    }
    const struct peer_item right[] = {first, second};
    assert_int_equal(items_ask(&described.lease, PEER_GET_FILES, right, 2), ERR_OK);
    assert_int_equal(lease_ask(&given, PEER_END), ERR_OK);
    leases_end();
    bytes_deinit(&given.body);
}

/* ---- replayed ---- */

static void test_a_replayed_token_is_its_first_tasks(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    snapshot_of_rows("replayed", "replayed");
    struct token token = token_base("replayed_1");
    token_sign(&token, user, &bytes);
    struct ask first = {0};
    describe_post(&first, 20, bytes_span(&bytes));
    assert_int_equal(ask_wait(&first), ERR_OK);
    says(describe_says(21, bytes_span(&bytes)), ERR_DENIED, "used by another task");
    says(describe_says(20, bytes_span(&bytes)), ERR_OK, ""); /* the same: the lease that it has */
    assert_int_equal(lease_ask(&first, PEER_END), ERR_OK);
    bytes_deinit(&first.body);
    leases_end();
    says(describe_says(21, bytes_span(&bytes)), ERR_DENIED, "used by another task");
    region_restart(&there, &here); /* and over a restart of the source */
    says(describe_says(21, bytes_span(&bytes)), ERR_DENIED, "used by another task");
}

static void test_a_revoked_token_ends_its_lease_and_comes_no_more(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    struct token token = token_base("replayed_1");
    token_sign(&token, user, &bytes);
    says(describe_says(30, bytes_span(&bytes)), ERR_OK, "");
    assert_int_equal(source_leases(there.source), 1);
    token_take_back(&token);
    leases_end(); /* though its peer asks for nothing */
    says(describe_says(30, bytes_span(&bytes)), ERR_DENIED, "was revoked by ALIYUN$root");
    token = token_base("replayed_1");
    token_sign(&token, user, &bytes);
    token_take_back(&token); /* one that was never seen: a stolen one */
    says(describe_says(31, bytes_span(&bytes)), ERR_DENIED, "was revoked by ALIYUN$root");
    region_restart(&there, &here);
    says(describe_says(31, bytes_span(&bytes)), ERR_DENIED, "was revoked");
}

/* Whichever comes first: refused, or granted and ended. */
static void test_a_token_revoked_while_its_lease_is_granted_has_none(void **state)
{
    (void)state;
    for (uint8_t round = 0; round < 100; round++) {
        BYTES_CLEANUP struct bytes bytes = {0};
        struct token token = token_base("replayed_1");
        struct ask ask = {0};
        token_sign(&token, user, &bytes);
        describe_post(&ask, (uint8_t)(100 + round), bytes_span(&bytes));
        token_take_back(&token);
        (void)ask_wait(&ask);
        leases_end();
        bytes_deinit(&ask.body);
    }
}

static void test_a_revocation_is_told_only_to_who_may_select(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    struct token token = token_base("replayed_1");
    token_sign(&token, user, &bytes);
    token_take_back(&token);
    principals_remove(there.principals, span_text(ROOT_ACCOUNT_NAME));
    enum err_code code = source_says(bytes_span(&bytes), here.identity);
    principals_put(there.principals, &(struct principal_spec){.name = span_text(ROOT_ACCOUNT_NAME),
                                                              .account = {ROOT_ACCOUNT_ID},
                                                              .number = ROOT_ACCOUNT_ID,
                                                              .keys = identity_public(user),
                                                              .key_count = 1});
    says(code, ERR_NOT_FOUND, "or no right to it");
}

/* ---- standing tokens: a schedule's ---- */

static enum err_code describe_named_says(uint8_t task, struct span token, const char *snapshot)
{
    struct ask ask = {0};
    describe_named_post(&ask, task, token, snapshot);
    enum err_code code = ask_wait(&ask);
    err = ask.err;
    bytes_deinit(&ask.body);
    return code;
}

static void test_a_standing_token_is_for_names_behind_its_prefix(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    snapshot_of_rows("night", "night");
    snapshot_of_rows("nightmare", "nightmare");
    struct token token = token_standing("night_*", 100);
    token_sign(&token, user, &bytes);
    struct span signed_token = bytes_span(&bytes);
    says(describe_says(50, signed_token), ERR_DENIED, "the token is for night_*");
    says(describe_named_says(50, signed_token, "nightmare_1"), ERR_DENIED,
         "the token is for night_*, not for snapshot nightmare_1");
    says(describe_named_says(50, signed_token, "night_*"), ERR_NOT_FOUND,
         "no snapshot demo.night_*");
    says(describe_named_says(50, signed_token, "night_2"), ERR_NOT_FOUND,
         "no snapshot demo.night_2, or no right to it");
    struct ask ask = {0};
    describe_named_post(&ask, 51, signed_token, "night_1");
    assert_int_equal(ask_wait(&ask), ERR_OK);
    assert_int_equal(root_ask(&ask), ERR_OK);
    assert_int_equal(lease_ask(&ask, PEER_RENEW), ERR_OK);
    source_recheck(there.source); /* which asks by the name as well */
    region_restart(&there, &here);
    assert_int_equal(lease_ask(&ask, PEER_RENEW), ERR_OK);
    snapshot_make(table_make("night2"), "night_2");
    says(describe_named_says(51, signed_token, "night_2"), ERR_PARAMETER, "other arguments");
    assert_int_equal(lease_ask(&ask, PEER_END), ERR_OK);
    bytes_deinit(&ask.body);
    leases_end();
    token = token_standing("night_1", 1); /* without a star: that one alone */
    token_sign(&token, user, &bytes);
    says(source_says(bytes_span(&bytes), here.identity), ERR_DENIED, "is for night_1");
    says(describe_named_says(52, bytes_span(&bytes), "night_11"), ERR_DENIED, "is for night_1");
    token = token_base("night_1"); /* and one of a single copy names no other */
    token_sign(&token, user, &bytes);
    says(describe_named_says(52, bytes_span(&bytes), "night_2"), ERR_DENIED, "is for night_1");
}

static void test_a_standing_token_has_its_runs_of_a_day(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    struct token token = token_standing("night_*", 2);
    token_sign(&token, user, &bytes);
    uint64_t day = (uint64_t)time(NULL) / 86400;
    says(describe_named_says(60, bytes_span(&bytes), "night_1"), ERR_OK, "");
    says(describe_named_says(61, bytes_span(&bytes), "night_2"), ERR_OK, "");
    enum err_code third = describe_named_says(62, bytes_span(&bytes), "night_2");
    if (day == (uint64_t)time(NULL) / 86400) /* else it was midnight */
        says(third, ERR_DENIED, "the token of schedule nightly has had its 2 runs of today");
    says(describe_named_says(60, bytes_span(&bytes), "night_1"), ERR_OK, ""); /* goes on */
    token_take_back(&token);
    leases_end();
    says(describe_named_says(60, bytes_span(&bytes), "night_1"), ERR_DENIED, "was revoked");
}

/* A destination gives its tasks their ids: one id for two snapshots is two runs. */
static void test_a_standing_tokens_run_is_of_one_snapshot(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    struct token token = token_standing("night_*", 1);
    token_sign(&token, user, &bytes);
    uint64_t day = (uint64_t)time(NULL) / 86400;
    struct ask ask = {0};
    describe_named_post(&ask, 63, bytes_span(&bytes), "night_1");
    assert_int_equal(ask_wait(&ask), ERR_OK);
    assert_int_equal(lease_ask(&ask, PEER_END), ERR_OK);
    bytes_deinit(&ask.body);
    enum err_code second = describe_named_says(63, bytes_span(&bytes), "night_2");
    if (day == (uint64_t)time(NULL) / 86400) /* else it was midnight */
        says(second, ERR_DENIED, "the token of schedule nightly has had its 1 runs of today");
    says(describe_named_says(63, bytes_span(&bytes), "night_1"), ERR_OK, ""); /* goes on */
    token_take_back(&token);
    leases_end();
}

/* ---- standing tokens, at the destination: taken from their schedule alone ---- */

static struct principal other_principal(void)
{
    struct principal other = *root_principal();
    other.number = other.account.n = ROOT_ACCOUNT_ID + 7;
    snprintf(other.name, sizeof(other.name), "ALIYUN$other");
    return other;
}

struct run { /* of a schedule; unsigned fields as in its token */
    const char *schedule, *source, *destination;
    const struct principal *principal;
};

static enum err_code run_says(const struct run *run, const struct token *token,
                              struct task_id *ret_id)
{
    BYTES_CLEANUP struct bytes bytes = {0};
    struct token signed_token = *token;
    token_sign(&signed_token, user, &bytes);
    struct tasks_order order = {.principal =
                                    run->principal != NULL ? run->principal : root_principal(),
                                .statement = span_text("XCOPY"),
                                .token = bytes_span(&bytes),
                                .schedule = span_text(run->schedule),
                                .source_region = span_text(there.name),
                                .source_project = span_text("demo"),
                                .source_snapshot = span_text(run->source),
                                .destination_project = span_text("demo"),
                                .destination_snapshot = span_text(run->destination)};
    store_u64(order.statement_id.b, ++statement_last);
    return tasks_start(here.tasks, &order, ret_id, &err);
}

static void test_the_destination_takes_a_standing_token_only_from_its_schedule(void **state)
{
    (void)state;
    struct task_id id;
    struct token token = token_standing("night_*", 100);
    token.destination.snapshot = span_text("copy_*");
    const struct principal other = other_principal();
    says(run_says(&(struct run){"weekly", "night_1", "copy_1", NULL}, &token, &id), ERR_PARAMETER,
         "the token is not schedule weekly's");
    says(run_says(&(struct run){"", "night_1", "copy_1", NULL}, &token, &id), ERR_PARAMETER,
         "for another XCOPY");
    says(order_says("night_1", &token, user), ERR_PARAMETER, "for another XCOPY");
    says(run_says(&(struct run){"nightly", "night_1", "copy_1", &other}, &token, &id), ERR_DENIED,
         "signed by another than schedule nightly's ALIYUN$other");
    says(run_says(&(struct run){"nightly", "nightmare_1", "copy_1", NULL}, &token, &id), ERR_DENIED,
         "the token is for night_* to copy_*, not for a copy of nightmare_1 to copy_1");
    says(run_says(&(struct run){"nightly", "night_1", "other_1", NULL}, &token, &id), ERR_DENIED,
         "not for a copy of night_1 to other_1");
    token.rights = TOKEN_DESCRIBE | TOKEN_PAGES;
    says(run_says(&(struct run){"nightly", "night_1", "copy_1", NULL}, &token, &id), ERR_DENIED,
         "grants no files");
    token.rights = TOKEN_WATCH;
    says(run_says(&(struct run){"nightly", "night_1", "copy_1", NULL}, &token, &id), ERR_DENIED,
         "grants no files");
    struct token once = token_base("night_1");
    says(run_says(&(struct run){"nightly", "night_1", "night_1", NULL}, &once, &id), ERR_PARAMETER,
         "the token is not schedule nightly's");
}

static void test_a_schedules_copies_have_their_names_across_a_restart(void **state)
{
    (void)state;
    struct task_id id, second;
    struct token token = token_standing("night_*", 100);
    token.destination.snapshot = span_text("copy_*");
    const struct run run = {"nightly", "night_1", "copy_1", NULL};
    atomic_store(&there.holds_files, true);
    ok(run_says(&run, &token, &id));
    ok(run_says(&(struct run){"nightly", "night_2", "copy_2", NULL}, &token, &second));
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    assert_non_null(atomic_load(&held));
    region_restart(&here, &there);
    atomic_store(&there.holds_files, false);
    request_let_go(&there);
    struct task_status status = wait_for(&id, has_ended);
    done(&status);
    equal("night_1", "copy_1");
    status = wait_for(&second, has_ended);
    done(&status);
    equal("night_2", "copy_2");
    leases_end();
}

static void test_a_token_for_the_snapshots_of_one_table_is_for_no_others(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    struct task_id id;
    struct token token = token_standing("* OF night", 100);
    token.destination.snapshot = span_text("*");
    token_sign(&token, user, &bytes);
    says(describe_named_says(80, bytes_span(&bytes), "nightmare_1"), ERR_NOT_FOUND,
         "no snapshot demo.nightmare_1, or no right to it");
    says(describe_named_says(80, bytes_span(&bytes), "night_2"), ERR_NOT_FOUND,
         "no snapshot demo.night_2, or no right to it"); /* that one is of night2 */
    struct ask ask = {0};
    describe_named_post(&ask, 80, bytes_span(&bytes), "night_1");
    assert_int_equal(ask_wait(&ask), ERR_OK);
    assert_int_equal(lease_ask(&ask, PEER_END), ERR_OK);
    bytes_deinit(&ask.body);
    token.source.snapshot = span_text("night_* OF nightmare");
    token_sign(&token, user, &bytes);
    says(describe_named_says(81, bytes_span(&bytes), "nightmare_1"), ERR_DENIED,
         "the token is for night_* OF nightmare");
    token.source.snapshot = span_text("* OF night");
    ok(run_says(&(struct run){"nightly", "night_1", "night_replica", NULL}, &token, &id));
    struct task_status status = wait_for(&id, has_ended);
    done(&status);
    equal("night_1", "night_replica");
    leases_end();
}

/* ---- receipts ---- */

static enum err_code receipt_ask(const struct ask *described, const struct receipt *receipt,
                                 const struct identity *signer)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(8));
    struct peer_described answer;
    BYTES_CLEANUP struct bytes encoded = {0};
    BYTES_CLEANUP struct bytes header = {0};
    struct signature signature;
    struct ask ask = {0};
    ok(peer_described_decode(bytes_span(&described->body), &arena, &answer, &err));
    receipt_encode(receipt, &encoded);
    identity_sign(signer, RECEIPT_DOMAIN, bytes_span(&encoded), &signature);
    bytes_append(&encoded, signature.b, sizeof(signature.b));
    const struct peer_lease lease = {.lease = answer.lease, .receipt = bytes_span(&encoded)};
    peer_lease_encode(&lease, &header);
    ask_post(&ask, PEER_RECEIPT, bytes_span(&header), span_of(NULL, 0));
    enum err_code code = ask_wait(&ask);
    bytes_deinit(&ask.body);
    return code;
}

static void test_a_receipt_is_kept_only_of_the_leases_root_by_the_sessions_key(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(8));
    struct token token = token_base("replayed_1");
    token_sign(&token, user, &bytes);
    struct ask described = {0};
    describe_post(&described, 40, bytes_span(&bytes));
    assert_int_equal(ask_wait(&described), ERR_OK);
    struct peer_described answer;
    struct version_record version;
    struct snapshot_record snapshot;
    ok(peer_described_decode(bytes_span(&described.body), &arena, &answer, &err));
    ok(version_decode(answer.version, &arena, &version, &err));
    ok(snapshot_find(there.store, NULL, there.project, span_text("replayed_1"), &arena, &snapshot,
                     &err));
    const struct receipt right = {.lease = answer.lease,
                                  .version = snapshot.version.version,
                                  .root = version.root,
                                  .signer = identity_public(here.identity)->sign,
                                  .published_ms = 1};
    struct receipt wrong = right;
    wrong.root.b[0] ^= 1;
    assert_int_equal(receipt_ask(&described, &wrong, here.identity), ERR_PARAMETER);
    wrong = right;
    wrong.version.b[0] ^= 1;
    assert_int_equal(receipt_ask(&described, &wrong, here.identity), ERR_PARAMETER);
    wrong = right;
    wrong.lease.digest.b[0] ^= 1;
    assert_int_equal(receipt_ask(&described, &wrong, here.identity), ERR_PARAMETER);
    wrong = right;
    wrong.signer = identity_public(stranger)->sign;
    assert_int_equal(receipt_ask(&described, &wrong, stranger), ERR_PARAMETER);
    assert_int_equal(receipt_ask(&described, &right, stranger), ERR_DENIED);
    assert_int_equal(receipt_ask(&described, &right, here.identity), ERR_OK);
    assert_int_equal(lease_ask(&described, PEER_END), ERR_OK);
    bytes_deinit(&described.body);
    leases_end();
}

static int setup(void **state)
{
    stranger = identity_generate();
    return group_setup(state);
}

static int teardown(void **state)
{
    identity_free(stranger);
    return group_teardown(state);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_changed_in_any_byte_is_refused),
        cmocka_unit_test(test_a_signature_of_another_domain_is_none),
        cmocka_unit_test(test_a_token_is_for_one_region_one_node_and_one_snapshot),
        cmocka_unit_test(test_a_token_of_fewer_rights_grants_no_copy),
        cmocka_unit_test(test_clocks_an_hour_apart_are_both_told),
        cmocka_unit_test(test_an_account_of_the_same_name_with_another_key_is_nobody),
        cmocka_unit_test(test_the_destination_takes_a_token_only_from_its_signers_session),
        cmocka_unit_test(test_a_stolen_destination_pulls_what_was_asked_for_and_nothing_else),
        cmocka_unit_test(test_a_file_is_served_where_the_leases_snapshot_has_it_and_nowhere_else),
        cmocka_unit_test(test_a_replayed_token_is_its_first_tasks),
        cmocka_unit_test(test_a_revoked_token_ends_its_lease_and_comes_no_more),
        cmocka_unit_test(test_a_token_revoked_while_its_lease_is_granted_has_none),
        cmocka_unit_test(test_a_revocation_is_told_only_to_who_may_select),
        cmocka_unit_test(test_a_standing_token_is_for_names_behind_its_prefix),
        cmocka_unit_test(test_a_standing_token_has_its_runs_of_a_day),
        cmocka_unit_test(test_a_standing_tokens_run_is_of_one_snapshot),
        cmocka_unit_test(test_the_destination_takes_a_standing_token_only_from_its_schedule),
        cmocka_unit_test(test_a_schedules_copies_have_their_names_across_a_restart),
        cmocka_unit_test(test_a_token_for_the_snapshots_of_one_table_is_for_no_others),
        cmocka_unit_test(test_a_receipt_is_kept_only_of_the_leases_root_by_the_sessions_key),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
