/* EXPLAIN XCOPY: what the source serves to a look, and what a look says before a copy says the same. */
#include "node/task/xcopy_compare.h"
#include "node/task/xcopy_trial.h"

#include "proto/key.h"
#include "proto/peer.h"
#include "proto/version.h"
#include "store/parts.h"

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

/* ---- the destination's side ---- */

static enum err_code look_begin_at(const char *source, const char *destination,
                                   struct xcopy_look **ret_look)
{
    BYTES_CLEANUP struct bytes token = {0};
    token_rights = TOKEN_LOOKS;
    token_make(source, destination, &token);
    token_rights = TOKEN_RIGHTS_ALL;
    const struct tasks_order order = {.principal = root_principal(),
                                      .statement = span_text("EXPLAIN XCOPY ..."),
                                      .token = bytes_span(&token),
                                      .source_region = span_text(source_region),
                                      .source_project = span_text("demo"),
                                      .source_snapshot = span_text(source),
                                      .destination_project = span_text(destination_project),
                                      .destination_snapshot = span_text(destination)};
    return tasks_look(here.tasks, &order, ret_look, &err);
}

/* Polls until it has ended; 20 s at most. */
static enum err_code look_wait(struct xcopy_look *look, struct look_result *ret_result)
{
    char phase[TASK_PHASE_BYTES];
    bool ended = false;
    for (int i = 0; i < 2000 && !ended; i++) {
        enum err_code code = look_poll(look, phase, &ended, ret_result, &err);
        if (code != ERR_OK)
            return code;
        if (!ended)
            usleep(10000);
    }
    if (!ended)
        fail_msg("the look goes on: %s", phase);
    return ERR_OK;
}

static enum err_code look_at(const char *source, const char *destination,
                             struct look_result *ret_result)
{
    struct xcopy_look *look;
    enum err_code code = look_begin_at(source, destination, &look);
    if (code != ERR_OK)
        return code;
    code = look_wait(look, ret_result);
    look_close(look);
    return code;
}

static void leases_end(void)
{
    for (int i = 0; i < 2000 && source_leases(there.source) > 0; i++)
        usleep(10000);
    assert_int_equal(source_leases(there.source), 0);
}

/* Over every key and value of the destination's store, but what an earlier copy may still be told of its
 * bytes (xcopy_settle.c). */
static struct digest content_of_store(void)
{
    struct digest_state state;
    digest_init(&state, DOMAIN_FILE);
    for (int family = 0; family < FAMILY_COUNT; family++) {
        DB_ITER_CLEANUP struct db_iter *iter = NULL;
        if (family == FAMILY_METER)
            continue;
        ok(db_iter_open(here.store->db, NULL, (enum family)family, span_of(NULL, 0),
                        span_of(NULL, 0), &iter, &err));
        for (;;) {
            struct span key, value;
            bool found;
            ok(db_iter_next(iter, &key, &value, &found, &err));
            if (!found)
                break;
            digest_update_part(&state, key);
            digest_update_part(&state, value);
        }
    }
    return digest_final(&state);
}

static bool is_over(const struct task_status *status)
{
    return strcmp(status->phase, "ended") == 0; /* nor writes what it leaves any more */
}

/* Looks, then copies: both say the same; the look writes nothing and keeps no lease. */
static struct look_result look_then_copy(const char *source, const char *destination)
{
    struct look_result result = {0};
    struct digest before = content_of_store();
    ok(look_at(source, destination, &result));
    struct digest after = content_of_store();
    assert_true(digest_equal(&before, &after));
    leases_end();
    uint64_t page_bytes = tasks_traffic_get(here.tasks).page_bytes;
    struct task_id id;
    ok(xcopy_start(source, destination, &id));
    struct task_status status = wait_for(&id, is_over);
    done(&status);
    const struct look_tally *of = result.counts.of;
    const struct task_counters *moved = &status.counters;
    assert_int_equal(of[LOOK_NEW].partitions + of[LOOK_CHANGED].partitions,
                     moved->partitions_moved);
    assert_int_equal(of[LOOK_NEW].files + of[LOOK_CHANGED].files, moved->files_moved);
    assert_int_equal(of[LOOK_NEW].bytes + of[LOOK_CHANGED].bytes, moved->bytes_moved);
    assert_int_equal(of[LOOK_HELD].bytes + of[LOOK_AGAIN].bytes, moved->bytes_skipped);
    assert_int_equal(of[LOOK_HELD].partitions, moved->partitions_total - moved->partitions_moved);
    assert_int_equal(result.counts.page_bytes,
                     tasks_traffic_get(here.tasks).page_bytes - page_bytes);
    assert_int_equal(result.counts.rows, moved->rows_total);
    assert_false(result.counts.at_most);
    return result;
}

static void fates(const struct look_result *result, uint64_t fresh, uint64_t changed, uint64_t rest)
{
    assert_int_equal(result->counts.of[LOOK_NEW].partitions, fresh);
    assert_int_equal(result->counts.of[LOOK_CHANGED].partitions, changed);
    assert_int_equal(result->counts.of[LOOK_HELD].partitions, rest);
}

static void test_a_look_says_what_the_copy_after_it_moves(void **state)
{
    (void)state;
    struct table_id table = table_make("sales");
    overwrite(table, 1, 300, "first");
    snapshot_make(table, "sales_1");
    struct look_result result = look_then_copy("sales_1", "sales_1");
    fates(&result, 300, 0, 0);
    assert_false(result.has_base);
    assert_int_equal(result.counts.of[LOOK_NEW].files, 300);
    assert_true(result.counts.pages > 1 && result.counts.page_bytes > 0);

    result = look_then_copy("sales_1", "again"); /* unchanged, under another name */
    fates(&result, 0, 0, 300);
    assert_int_equal(result.counts.pages, 0);
    assert_int_equal(result.counts.of[LOOK_HELD].files, 300);
    assert_true(result.has_base && result.seconds == 0);

    overwrite(table, 17, 18, "second");
    overwrite(table, 301, 303, "second");
    snapshot_make(table, "sales_2");
    result = look_then_copy("sales_2", "sales_1"); /* in place of the old one */
    fates(&result, 3, 2, 298);
    assert_int_equal(result.counts.of[LOOK_CHANGED].files, 2);
    assert_int_equal(result.counts.of[LOOK_HELD].files, 298);

    overwrite(table, 17, 17, "first"); /* older content returns: changed, and nothing to pull */
    snapshot_make(table, "sales_3");
    result = look_then_copy("sales_3", "sales_3");
    fates(&result, 0, 0, 303);
    assert_true(result.counts.pages > 0);

    struct table_id other = table_make("copied"); /* another table, mostly of the same content */
    overwrite(other, 1, 300, "first");
    overwrite(other, 5, 5, "other");
    snapshot_make(other, "copied_1");
    result = look_then_copy("copied_1", "copied_1");
    fates(&result, 1, 0, 299);
    assert_false(result.has_base);
}

static void test_a_partition_of_many_leaves_counts_once(void **state)
{
    (void)state;
    struct table_id table = table_make("wide");
    overwrite_wide(table, 0);
    snapshot_make(table, "wide_1");
    struct look_result result = look_then_copy("wide_1", "wide_1");
    fates(&result, 1, 0, 0);
    assert_true(result.counts.pages > 3);
    assert_int_equal(result.counts.of[LOOK_NEW].files, 1); /* all row groups name one */

    struct table_id empty = table_make("empty");
    snapshot_make(empty, "empty_1");
    result = look_then_copy("empty_1", "empty_1");
    fates(&result, 0, 0, 0);
}

static void test_what_a_stranger_holds_here_is_not_held(void **state)
{
    (void)state;
    struct table_id table = table_make("theirs");
    overwrite(table, 1, 3, "theirs");
    snapshot_make(table, "theirs_1");
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(here.store, (struct account_id){99}, &content, &err));
    for (int i = 1; i <= 3; i++) {
        char text[256];
        int len = snprintf(text, sizeof(text), "theirs %d %0100d", i, 7);
        struct span stored = span_of(text, (size_t)len);
        struct digest digest = digest_of(DOMAIN_FILE, stored);
        ok(content_add_file(content, &digest, stored, CONTENT_HASHED, &err));
    }
    ok(content_commit(content, &err));
    struct look_result result = look_then_copy("theirs_1", "theirs_1");
    fates(&result, 3, 0, 0);
}

static void refused(enum err_code code, enum err_code wanted, const char *words)
{
    if (code != wanted || strstr(err.message, words) == NULL)
        fail_msg("%s: %s", err_name(code), err.message);
}

static void test_rights_and_gates_are_those_of_xcopy(void **state)
{
    (void)state;
    struct look_result result = {0};
    struct change_note made = note();
    refused(look_at("nowhere", "n", &result), ERR_NOT_FOUND,
            "peer ap-southeast-1: no snapshot demo.nowhere, or no right to it");
    ok(project_xcopy_set(there.store, there.project, false, &made, &err));
    refused(look_at("sales_1", "n", &result), ERR_GATE, "not on its region's allow-list");
    made = note();
    ok(project_xcopy_set(there.store, there.project, true, &made, &err));
    project_protect(true, NULL, 0);
    refused(look_at("sales_1", "n", &result), ERR_DENIED, "project demo is protected");
    project_protect(false, NULL, 0);
    destination_project = "absent";
    enum err_code code = look_at("sales_1", "n", &result);
    destination_project = "demo";
    assert_int_not_equal(code, ERR_OK);
    leases_end();
}

/* A look whose first request for pages is held back. */
static struct xcopy_look *look_held(const char *source)
{
    struct xcopy_look *look;
    atomic_store(&there.holds_pages, true);
    ok(look_begin_at(source, "held_back", &look));
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    assert_non_null(atomic_load(&held));
    return look;
}

static void test_rights_are_asked_again_before_the_answer(void **state)
{
    (void)state;
    struct look_result result = {0};
    struct table_id table = table_make("late");
    overwrite(table, 1, 3, "late");
    snapshot_make(table, "late_1");
    struct xcopy_look *look = look_held("late_1");
    principals_remove(here.principals, span_text(ROOT_ACCOUNT_NAME));
    request_let_go(&there);
    refused(look_wait(look, &result), ERR_DENIED, "has no CreateTable on project demo");
    look_close(look);
    principals_put(here.principals, &(struct principal_spec){.name = span_text(ROOT_ACCOUNT_NAME),
                                                             .account = {ROOT_ACCOUNT_ID},
                                                             .number = ROOT_ACCOUNT_ID,
                                                             .keys = identity_public(user),
                                                             .key_count = 1});
    leases_end();
}

static void test_a_gate_that_closes_at_the_source_ends_it_with_that_reason(void **state)
{
    (void)state;
    struct look_result result = {0};
    struct xcopy_look *look = look_held("late_1");
    struct change_note made = note();
    ok(project_xcopy_set(there.store, there.project, false, &made, &err));
    request_let_go(&there); /* the lease ends, and is not granted again */
    refused(look_wait(look, &result), ERR_GATE,
            "peer ap-southeast-1: project demo is not on its region's allow-list");
    look_close(look);
    made = note();
    ok(project_xcopy_set(there.store, there.project, true, &made, &err));
    leases_end();
}

static void test_who_closes_ends_the_look_and_its_lease(void **state)
{
    (void)state;
    struct xcopy_look *look = look_held("late_1");
    assert_int_equal(source_leases(there.source), 1);
    look_close(look);
    source_on_request(there.source,
                      atomic_exchange(&held, NULL)); /* the next would be held again */
    leases_end();
    assert_null(atomic_load(&held));
    atomic_store(&there.holds_pages, false);
}

static void test_a_lease_that_went_is_asked_for_again(void **state)
{
    (void)state;
    struct look_result result = {0};
    BYTES_CLEANUP struct bytes bytes = {0};
    struct task_id task; /* the look's: of its token */
    struct xcopy_look *look;
    token_rights = TOKEN_LOOKS;
    token_make("late_1", "held_back", &bytes);
    token_rights = TOKEN_RIGHTS_ALL;
    const struct digest name = digest_of(DOMAIN_STATEMENT, bytes_span(&bytes));
    memcpy(task.b, name.b, sizeof(task.b));
    const struct tasks_order order = {.principal = root_principal(),
                                      .token = bytes_span(&bytes),
                                      .source_region = span_text(source_region),
                                      .source_project = span_text("demo"),
                                      .source_snapshot = span_text("late_1"),
                                      .destination_project = span_text("demo"),
                                      .destination_snapshot = span_text("held_back")};
    atomic_store(&there.holds_pages, true);
    ok(tasks_look(here.tasks, &order, &look, &err));
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    end(&task);
    leases_end();
    request_let_go(&there);
    ok(look_wait(look, &result));
    look_close(look);
    fates(&result, 3, 0, 0);
    leases_end();
}

static void test_wrong_pages_end_it_naming_peer_and_page(void **state)
{
    (void)state;
    struct look_result result = {0};
    struct digest before = content_of_store();
    const enum tamper tampers[] = {TAMPER_PAGES, TAMPER_OTHER_PAGE};
    for (size_t i = 0; i < ARRAY_COUNT(tampers); i++) {
        there.tamper = tampers[i];
        enum err_code code = look_at("late_1", "n", &result);
        there.tamper = TAMPER_NONE;
        refused(code, ERR_PEER, "peer ap-southeast-1: page ");
        assert_non_null(strstr(err.message, "its bytes have another digest"));
    }
    there.tamper = TAMPER_PAGES_ONCE; /* asked again, it is right */
    ok(look_at("late_1", "n", &result));
    fates(&result, 3, 0, 0);
    struct digest after = content_of_store();
    assert_true(digest_equal(&before, &after));
    leases_end();
}

static void test_a_peer_that_is_not_there_ends_it_soon_with_the_reason(void **state)
{
    (void)state;
    struct look_result result = {0};
    source_region = "eu-nowhere";
    enum err_code code = look_at("late_1", "n", &result);
    source_region = "ap-southeast-1";
    refused(code, ERR_UNREACHABLE, "peer eu-nowhere: ");
}

static void test_so_many_at_once_and_then_no_more(void **state)
{
    (void)state;
    struct xcopy_look *looks[LOOKS_MAX], *more;
    struct look_result result = {0};
    source_region = "eu-nowhere";
    for (size_t i = 0; i < LOOKS_MAX; i++)
        ok(look_begin_at("late_1", "n", &looks[i]));
    refused(look_begin_at("late_1", "n", &more), ERR_TASK_LIMIT, "ask again when one has ended");
    for (size_t i = 0; i < LOOKS_MAX; i++) {
        assert_int_equal(look_wait(looks[i], &result), ERR_UNREACHABLE);
        look_close(looks[i]);
    }
    source_region = "ap-southeast-1";
    ok(look_at("late_1", "n", &result));
}

static void test_a_node_that_stops_ends_its_looks(void **state)
{
    (void)state;
    struct xcopy_look *paused, *waiting = look_held("late_1");
    struct look_result result = {0};
    source_region = "eu-nowhere";
    ok(look_begin_at("late_1", "n", &paused));
    source_region = "ap-southeast-1";
    char phase[TASK_PHASE_BYTES] = "";
    bool ended = false;
    for (int i = 0; i < 2000 && strncmp(phase, "waiting", 7) != 0 && !ended; i++) {
        (void)!look_poll(paused, phase, &ended, &result, &err);
        usleep(10000);
    }
    look_close(paused);
    look_close(waiting);
    region_restart(&here, &there);
    request_let_go(&there); /* into a connection that is gone */
    ok(look_at("late_1", "n", &result));
}

/* ---- VERIFY SNAPSHOT ... AGAINST ---- */

struct compared {
    struct xcopy_look *look;
    const struct compare_result *result;
};

static struct snapshot_record snapshot_here(const char *name, struct arena *arena)
{
    struct snapshot_record snapshot;
    arena_init(arena, MIB(1));
    ok(snapshot_find(here.store, NULL, here.project, span_text(name), arena, &snapshot, &err));
    return snapshot;
}

static enum err_code compare_begin_at(const char *name, const char *other,
                                      struct compared *ret_compared)
{
    BYTES_CLEANUP struct bytes token = {0};
    ARENA_CLEANUP struct arena arena;
    struct snapshot_record snapshot = snapshot_here(name, &arena);
    token_rights = TOKEN_LOOKS;
    token_make(other, name, &token);
    token_rights = TOKEN_RIGHTS_ALL;
    const struct tasks_order order = {.principal = root_principal(),
                                      .statement = span_text("VERIFY SNAPSHOT ..."),
                                      .token = bytes_span(&token),
                                      .source_region = span_text(source_region),
                                      .source_project = span_text("demo"),
                                      .source_snapshot = span_text(other),
                                      .destination_project = span_text("demo"),
                                      .destination_snapshot = span_text(name)};
    return tasks_compare(here.tasks, &order, snapshot.id, &ret_compared->look,
                         &ret_compared->result, &err);
}

/* To be closed when it went well. */
static enum err_code compare_at(const char *name, const char *other, struct compared *ret_compared)
{
    struct look_result ignored;
    enum err_code code = compare_begin_at(name, other, ret_compared);
    if (code != ERR_OK)
        return code;
    code = look_wait(ret_compared->look, &ignored);
    if (code != ERR_OK)
        look_close(ret_compared->look);
    return code;
}

static uint64_t differences(const struct compare_result *result, enum version_change_kind kind)
{
    return result->counts.of[kind];
}

static void test_equal_versions_ask_for_no_page(void **state)
{
    (void)state;
    struct table_id table = table_make("pair");
    struct compared compared;
    overwrite(table, 1, 10000, "pair");
    snapshot_make(table, "pair_1");
    struct task_id id;
    ok(xcopy_start("pair_1", "pair_1", &id));
    struct task_status status = wait_for(&id, is_tidy); /* it writes nothing more */
    done(&status);
    struct digest before = content_of_store();
    ok(compare_at("pair_1", "pair_1", &compared));
    assert_true(compared.result->equal && compared.result->attributes_equal);
    assert_int_equal(compared.result->pages, 0);
    assert_int_equal(compared.result->found_count, 0);
    assert_int_equal(compared.result->there.totals.rows, 30000);
    look_close(compared.look);
    leases_end();
    struct digest after = content_of_store();
    assert_true(digest_equal(&before, &after));
}

static void test_three_of_many_partitions_ask_for_few_pages(void **state)
{
    (void)state;
    struct table_id table = table_make("pair_changed"); /* its own id, the same content */
    struct compared compared;
    overwrite(table, 1, 10000, "pair");
    overwrite(table, 77, 77, "changed");
    overwrite(table, 5000, 5000, "changed");
    overwrite(table, 10001, 10001, "changed");
    snapshot_make(table, "pair_2");
    struct digest before = content_of_store();
    ok(compare_at("pair_1", "pair_2", &compared));
    const struct compare_result *result = compared.result;
    assert_false(result->equal || result->is_partial);
    assert_int_equal(result->found_count, 3);
    assert_int_equal(differences(result, CHANGE_OTHER_ROWS), 2);
    assert_int_equal(differences(result, CHANGE_ONLY_THERE), 1);
    assert_true(span_equal(result->found[0].partition, span_text("p=77")));
    assert_true(span_equal(result->found[1].partition, span_text("p=5000")));
    assert_true(span_equal(result->found[2].partition, span_text("p=10001")));
    assert_true(span_equal(result->found[0].perhaps, span_text("note")));
    assert_true(!result->found[2].has_here && result->found[2].rows_there == 3);
    assert_true(result->pages > 0 && result->pages <= 12); /* three paths */
    look_close(compared.look);
    leases_end();
    struct digest after = content_of_store();
    assert_true(digest_equal(&before, &after)); /* nothing was written here */
}

static void test_its_rights_are_those_of_a_reader_and_the_source_s(void **state)
{
    (void)state;
    struct compared compared;
    refused(compare_at("pair_1", "nowhere", &compared), ERR_NOT_FOUND,
            "peer ap-southeast-1: no snapshot demo.nowhere, or no right to it");
    struct change_note made = note();
    ok(project_xcopy_set(there.store, there.project, false, &made, &err));
    refused(compare_at("pair_1", "pair_2", &compared), ERR_GATE, "not on its region's allow-list");
    made = note();
    ok(project_xcopy_set(there.store, there.project, true, &made, &err));
    source_region = "eu-nowhere";
    enum err_code code = compare_at("pair_1", "pair_2", &compared);
    source_region = "ap-southeast-1";
    refused(code, ERR_UNREACHABLE, "peer eu-nowhere: ");
    leases_end();
}

static struct xcopy_look *compare_held(void)
{
    struct compared compared;
    atomic_store(&there.holds_pages, true);
    ok(compare_begin_at("pair_1", "pair_2", &compared));
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    assert_non_null(atomic_load(&held));
    return compared.look;
}

static void test_a_snapshot_that_is_dropped_meanwhile_ends_it(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    struct look_result ignored;
    struct compared compared;
    struct xcopy_look *look = compare_held();
    struct snapshot_record snapshot = snapshot_here("pair_1", &arena);
    struct change_note made = note();
    ok(snapshot_drop(here.store, snapshot.id, &made, &err));
    request_let_go(&there);
    refused(look_wait(look, &ignored), ERR_TABLE_NOT_FOUND, "the snapshot is gone");
    look_close(look);
    struct task_status status = xcopy("pair_1", "pair_1");
    done(&status);
    ok(compare_at("pair_1", "pair_2", &compared));
    look_close(compared.look);
    leases_end();
}

static void test_who_closes_ends_the_comparison_and_its_lease(void **state)
{
    (void)state;
    struct xcopy_look *look = compare_held();
    look_close(look);
    source_on_request(there.source, atomic_exchange(&held, NULL));
    leases_end();
    atomic_store(&there.holds_pages, false);
}

static void test_wrong_pages_are_not_compared(void **state)
{
    (void)state;
    struct compared compared;
    const enum tamper tampers[] = {TAMPER_PAGES, TAMPER_OTHER_PAGE};
    for (size_t i = 0; i < ARRAY_COUNT(tampers); i++) {
        there.tamper = tampers[i];
        enum err_code code = compare_at("pair_1", "pair_2", &compared);
        there.tamper = TAMPER_NONE;
        refused(code, ERR_PEER, "its bytes have another digest");
    }
    there.tamper = TAMPER_PAGES_ONCE;
    ok(compare_at("pair_1", "pair_2", &compared));
    assert_int_equal(compared.result->found_count, 3);
    look_close(compared.look);
    leases_end();
}

/* On the loop: a narrow channel, whose source keeps its limit, so that this side reads faster. */
static void channel_narrow(void *argument)
{
    struct peer *peer = argument;
    peer->limit = 125000;
    bucket_set_rate(peer->bucket, 8 * 1000000, pool_now_us());
}

static void channel_unknown(void *argument)
{
    struct peer *peer = argument;
    peer->limit = 0;
    bucket_set_rate(peer->bucket, 0, pool_now_us());
}

static void
test_the_estimate_goes_by_the_channel_s_limit_and_not_by_how_fast_it_is_read(void **state)
{
    (void)state;
    struct peer *peer = peers_find_region(here.peers, span_text(there.name));
    struct look_result result = {0};
    struct table_id table = table_make("narrow");
    overwrite(table, 1, 3, "narrow");
    snapshot_make(table, "narrow_1");
    const struct task_status before = xcopy("narrow_1", "narrow_1");
    done(&before);
    overwrite(table, 3, 4, "wide"); /* of three one changed, and one more */
    snapshot_make(table, "narrow_2");
    assert_true(loop_call(here.loop, channel_narrow, peer));
    ok(look_at("narrow_2", "narrow_1", &result));
    assert_true(loop_call(here.loop, channel_unknown, peer));
    leases_end();
    assert_int_equal(result.rate.bytes_per_second, 125000);
    assert_false(result.rate.is_measured);
    uint64_t bytes = result.counts.of[LOOK_NEW].bytes + result.counts.of[LOOK_CHANGED].bytes +
                     result.counts.page_bytes;
    assert_true(result.counts.of[LOOK_NEW].bytes > 0 && result.counts.of[LOOK_CHANGED].bytes > 0);
    assert_true(result.counts.of[LOOK_HELD].bytes > 0 && result.counts.page_bytes > 0);
    assert_true(result.seconds == (double)bytes / 125000);
}

static void test_what_is_held_is_not_asked_for(void **state)
{
    (void)state;
    struct compared compared;
    ok(compare_at("pair_1", "pair_2", &compared));
    uint64_t pages = compared.result->pages;
    look_close(compared.look);
    struct change_note made = note();
    const struct task_status copied = xcopy("pair_2", "pair_2"); /* now all of it is held */
    done(&copied);
    ok(compare_at("pair_1", "pair_2", &compared));
    assert_int_equal(compared.result->pages, 0);
    assert_int_equal(compared.result->found_count, 3);
    look_close(compared.look);
    ARENA_CLEANUP struct arena arena;
    struct snapshot_record snapshot = snapshot_here("pair_2", &arena);
    ok(snapshot_drop(here.store, snapshot.id, &made, &err));
    assert_true(pages > 0);
    leases_end();
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_look_s_lease_serves_pages_but_no_file_and_takes_no_receipt),
        cmocka_unit_test(test_one_token_is_for_one_look),
        cmocka_unit_test(test_a_look_s_token_starts_no_copy),
        cmocka_unit_test(test_a_look_says_what_the_copy_after_it_moves),
        cmocka_unit_test(test_a_partition_of_many_leaves_counts_once),
        cmocka_unit_test(
            test_the_estimate_goes_by_the_channel_s_limit_and_not_by_how_fast_it_is_read),
        cmocka_unit_test(test_what_a_stranger_holds_here_is_not_held),
        cmocka_unit_test(test_rights_and_gates_are_those_of_xcopy),
        cmocka_unit_test(test_rights_are_asked_again_before_the_answer),
        cmocka_unit_test(test_a_gate_that_closes_at_the_source_ends_it_with_that_reason),
        cmocka_unit_test(test_who_closes_ends_the_look_and_its_lease),
        cmocka_unit_test(test_a_lease_that_went_is_asked_for_again),
        cmocka_unit_test(test_wrong_pages_end_it_naming_peer_and_page),
        cmocka_unit_test(test_a_peer_that_is_not_there_ends_it_soon_with_the_reason),
        cmocka_unit_test(test_so_many_at_once_and_then_no_more),
        cmocka_unit_test(test_equal_versions_ask_for_no_page),
        cmocka_unit_test(test_three_of_many_partitions_ask_for_few_pages),
        cmocka_unit_test(test_its_rights_are_those_of_a_reader_and_the_source_s),
        cmocka_unit_test(test_a_snapshot_that_is_dropped_meanwhile_ends_it),
        cmocka_unit_test(test_who_closes_ends_the_comparison_and_its_lease),
        cmocka_unit_test(test_wrong_pages_are_not_compared),
        cmocka_unit_test(test_what_is_held_is_not_asked_for),
        cmocka_unit_test(test_a_node_that_stops_ends_its_looks),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
