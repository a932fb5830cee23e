/* EXPLAIN XCOPY: what the source serves to a look, and what a look says before a copy says the same. */
#include "node/task/xcopy_trial.h"

#include "proto/key.h"
#include "proto/peer.h"
#include "proto/version.h"

#define TOKEN_LOOKS (TOKEN_DESCRIBE | TOKEN_PAGES)

/* ---- the source's side, by its own protocol ---- */

struct answer_of_peer {
    struct bytes header, body;
};

static void answer_of_peer_deinit(struct answer_of_peer *answer)
{
    bytes_deinit(&answer->header);
    bytes_deinit(&answer->body);
}
#define ANSWER_OF_PEER_CLEANUP __attribute__((cleanup(answer_of_peer_deinit)))

static enum err_code ask(enum peer_method method, struct span header, struct span body,
                         struct answer_of_peer *ret_answer)
{
    const struct link_request request = {.method = (uint8_t)method,
                                         .bulk =
                                             method == PEER_GET_PAGES || method == PEER_GET_FILES,
                                         .header = header,
                                         .body = body,
                                         .reply_body_bytes = (uint32_t)LIMIT_PEER_DESCRIBED_BYTES,
                                         .deadline_ms = 15000};
    struct peer *peer = peers_find_region(here.peers, span_text(there.name));
    return link_call(peer->link, &request, &ret_answer->header, &ret_answer->body, &err);
}

static enum err_code describe(const struct task_id *task, struct span token,
                              struct answer_of_peer *ret_answer)
{
    BYTES_CLEANUP struct bytes header = {0};
    peer_describe_encode(&(struct peer_describe){.task = *task, .token = token}, &header);
    return ask(PEER_DESCRIBE, bytes_span(&header), span_of(NULL, 0), ret_answer);
}

/* Under the lease of the task: the root of one kind of tree, or the file of a key. */
static enum err_code ask_item(const struct task_id *task, enum peer_method method,
                              const struct peer_item *item)
{
    ANSWER_OF_PEER_CLEANUP struct answer_of_peer answer = {0};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    const struct peer_lease lease = {
        .lease = lease_id_of(&identity_public(here.identity)->sign, task), .reply_bytes = MIB(1)};
    peer_lease_encode(&lease, &header);
    peer_items_encode(item, 1, &body);
    return ask(method, bytes_span(&header), bytes_span(&body), &answer);
}

static enum err_code ask_receipt(const struct task_id *task, const struct peer_described *described)
{
    ANSWER_OF_PEER_CLEANUP struct answer_of_peer answer = {0};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes signed_bytes = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(32));
    struct version_record version;
    struct signature signature;
    ok(version_decode(described->version, &arena, &version, &err));
    const struct receipt receipt = {.lease =
                                        lease_id_of(&identity_public(here.identity)->sign, task),
                                    .version = version_names_of(described->version).version,
                                    .root = version.root,
                                    .signer = identity_public(here.identity)->sign,
                                    .published_ms = 1767225600000};
    receipt_encode(&receipt, &signed_bytes);
    identity_sign(here.identity, RECEIPT_DOMAIN, bytes_span(&signed_bytes), &signature);
    bytes_append(&signed_bytes, signature.b, sizeof(signature.b));
    const struct peer_lease lease = {.lease = receipt.lease, .receipt = bytes_span(&signed_bytes)};
    peer_lease_encode(&lease, &header);
    return ask(PEER_RECEIPT, bytes_span(&header), span_of(NULL, 0), &answer);
}

static void end(const struct task_id *task)
{
    ANSWER_OF_PEER_CLEANUP struct answer_of_peer answer = {0};
    BYTES_CLEANUP struct bytes header = {0};
    peer_lease_encode(
        &(struct peer_lease){.lease = lease_id_of(&identity_public(here.identity)->sign, task)},
        &header);
    ok(ask(PEER_END, bytes_span(&header), span_of(NULL, 0), &answer));
}

static void test_a_look_s_lease_serves_pages_but_no_file_and_takes_no_receipt(void **state)
{
    (void)state;
    struct table_id table = table_make("seen");
    overwrite(table, 1, 3, "seen");
    snapshot_make(table, "seen_1");
    BYTES_CLEANUP struct bytes token = {0};
    token_rights = TOKEN_LOOKS;
    token_make("seen_1", "seen_1", &token);
    token_rights = TOKEN_RIGHTS_ALL;
    const struct task_id task = {{1}};
    ANSWER_OF_PEER_CLEANUP struct answer_of_peer answer = {0};
    ok(describe(&task, bytes_span(&token), &answer));
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(32));
    struct peer_described described;
    struct version_record version;
    ok(peer_described_decode(bytes_span(&answer.body), &arena, &described, &err));
    ok(version_decode(described.version, &arena, &version, &err));
    ok(ask_item(&task, PEER_GET_PAGES,
                &(struct peer_item){.tree = TREE_MANIFEST, .digest = version.root}));
    char text[256];
    int len = snprintf(text, sizeof(text), "seen 1 %0100d", 7);
    BYTES_CLEANUP struct bytes partition = {0};
    BYTES_CLEANUP struct bytes key = {0};
    key_append_i64(&partition, 1);
    row_group_key(bytes_span(&partition), (struct row_group_place){.column_id = 1}, &key);
    const struct peer_item file = {.key = bytes_span(&key),
                                   .column_id = 1,
                                   .digest = digest_of(DOMAIN_FILE, span_of(text, (size_t)len))};
    assert_int_equal(ask_item(&task, PEER_GET_FILES, &file), ERR_DENIED);
    assert_non_null(strstr(err.message, "it is for EXPLAIN XCOPY"));
    assert_int_equal(ask_receipt(&task, &described), ERR_DENIED);
    assert_non_null(strstr(err.message, "it is for EXPLAIN XCOPY"));
    end(&task);

    /* the same under a whole token: it was the right that was missing */
    const struct task_id copy = {{2}};
    BYTES_CLEANUP struct bytes whole = {0};
    token_make("seen_1", "seen_1", &whole);
    ANSWER_OF_PEER_CLEANUP struct answer_of_peer granted = {0};
    ok(describe(&copy, bytes_span(&whole), &granted));
    ok(ask_item(&copy, PEER_GET_FILES, &file));
    end(&copy);
}

static void test_one_token_is_for_one_look(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes token = {0};
    ANSWER_OF_PEER_CLEANUP struct answer_of_peer answer = {0};
    token_rights = TOKEN_LOOKS;
    token_make("seen_1", "seen_1", &token);
    token_rights = TOKEN_DESCRIBE;
    BYTES_CLEANUP struct bytes less = {0};
    token_make("seen_1", "seen_1", &less);
    token_rights = TOKEN_RIGHTS_ALL;
    const struct task_id first = {{3}}, second = {{4}};
    ok(describe(&first, bytes_span(&token), &answer));
    end(&first);
    assert_int_equal(describe(&second, bytes_span(&token), &answer), ERR_DENIED);
    assert_non_null(strstr(err.message, "used by another task"));
    assert_int_equal(describe(&second, bytes_span(&less), &answer), ERR_DENIED);
    assert_non_null(strstr(err.message, "neither a copy nor a look"));
}

static void test_a_look_s_token_starts_no_copy(void **state)
{
    (void)state;
    struct task_id id;
    token_rights = TOKEN_LOOKS;
    enum err_code code = xcopy_start("seen_1", "seen_1", &id);
    token_rights = TOKEN_RIGHTS_ALL;
    assert_int_equal(code, ERR_DENIED);
    assert_non_null(strstr(err.message, "it is for EXPLAIN XCOPY"));
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_look_s_lease_serves_pages_but_no_file_and_takes_no_receipt),
        cmocka_unit_test(test_one_token_is_for_one_look),
        cmocka_unit_test(test_a_look_s_token_starts_no_copy),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
