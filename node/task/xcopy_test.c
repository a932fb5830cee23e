/* XCOPY between two regions in one process: real stores, real transport on 127.0.0.1, both ends. */
#include "node/task/xcopy_destination.h"
#include "node/task/xcopy_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/key.h"
#include "proto/peer.h"
#include "proto/version.h"
#include "store/directory.h"
#include "store/roots.h"
#include "store/store.h"

#define PARTITIONS 300

enum tamper {
    TAMPER_NONE,
    TAMPER_PAGES, /* bytes that are no page */
    TAMPER_FILES, /* files with a flipped bit */
};

/* One node, as far as XCOPY needs it. */
struct region {
    const char *name;
    char dir[64];
    struct identity *identity;
    struct store *store;
    struct loop *loop;
    struct workers *workers;
    struct pool *pool;
    struct listener *listener;
    char address[32];
    struct principals *principals;
    struct peers *peers;
    _Atomic(struct source *) source; /* set while requests come in already */
    struct tasks *tasks;
    struct project_id project;
    _Atomic enum tamper tamper;
};

static struct region here = {.name = "cn-hongkong"};
static struct region there = {.name = "ap-southeast-1"};
static struct identity *user;
static struct err err;
static uint64_t statement_last;

#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != ERR_OK)                                                                      \
            fail_msg("%s: %s", #call, err.message);                                                \
    } while (0)

static struct change_note note(void)
{
    static uint64_t clock_ms = 1767225600000;
    return (struct change_note){.now_ms = ++clock_ms, .principal = span_text(ROOT_ACCOUNT_NAME)};
}

/* ---- a region's life ---- */

static bool on_find(void *context, const struct noise_key *key, struct session *session)
{
    struct region *region = context;
    return region->source != NULL && source_find(region->source, key, session);
}

static void reply_tampered(struct request *request, size_t count)
{
    BYTES_CLEANUP struct bytes header = {0};
    struct bytes body = {0};
    const uint32_t length = 40;
    for (size_t i = 0; i < length; i++)
        bytes_append_u8(&body, (uint8_t)(i * count));
    peer_lengths_encode(&length, 1, &header);
    request_reply_bytes(request, bytes_span(&header), &body);
}

static void on_request(void *context, struct request *request)
{
    struct region *region = context;
    uint8_t method = request_method(request);
    if ((region->tamper == TAMPER_PAGES && method == PEER_GET_PAGES) ||
        (region->tamper == TAMPER_FILES && method == PEER_GET_FILES))
        reply_tampered(request, 7);
    else
        source_on_request(region->source, request);
}

static void listen_at(struct region *region, const char *address)
{
    struct listener_options options = {.kind = LISTENER_PEERS,
                                       .address = address,
                                       .identity = region->identity,
                                       .handler = {region, on_find, on_request}};
    ok(listener_open(region->pool, &options, &region->listener, &err));
    snprintf(region->address, sizeof(region->address), "127.0.0.1:%u",
             listener_port(region->listener));
}

static void region_open_store(struct region *region)
{
    struct store_options options = {.data_dir = region->dir,
                                    .region = region->name,
                                    .identity = identity_public(region->identity)->sign};
    ok(store_open(&options, &region->store, &err));
}

static void region_threads(struct region *region)
{
    const struct workers_options options = {.name = "work", .workers = 2, .mailbox_jobs = 1024};
    ok(loop_start(&region->loop, &err));
    ok(workers_start(&options, &region->workers, &err));
    ok(pool_new(NULL, &region->pool, &err));
}

static void region_prepare(struct region *region)
{
    region->identity = identity_generate();
    snprintf(region->dir, sizeof(region->dir), "/tmp/strait-xcopy-XXXXXX");
    assert_non_null(mkdtemp(region->dir));
    region_open_store(region);
    region_threads(region);
    listen_at(region, "127.0.0.1:0");
    char text[PUBLIC_IDENTITY_TEXT_BYTES];
    char *key = (char *)(uintptr_t)public_identity_format(identity_public(user), text);
    ok(principals_new(&(struct config_list){&key, 1}, &region->principals, &err));
    struct account_id account;
    struct change_note made = note();
    ok(account_create(region->store, &(struct account_record){.name = span_text(ROOT_ACCOUNT_NAME)},
                      &made, &account, &err));
    assert_int_equal(account.n, ROOT_ACCOUNT_ID);
    made = note();
    ok(project_create(
        region->store,
        &(struct project_spec){.name = span_text("demo"), .owner = account, .xcopy_enabled = true},
        &made, &region->project, &err));
}

static void region_meets(struct region *region, const struct region *other)
{
    char text[PUBLIC_IDENTITY_TEXT_BYTES];
    char *address = (char *)(uintptr_t)other->address;
    struct config_peer peer = {.region = (char *)(uintptr_t)other->name,
                               .addresses = {&address, 1}};
    peer.key = (char *)(uintptr_t)public_identity_format(identity_public(other->identity), text);
    /* peers keep the configuration: it has to outlive them */
    static struct config configs[8];
    static struct config_peer kept[8];
    static size_t used;
    ASSERT(used < ARRAY_COUNT(configs));
    kept[used] = peer;
    configs[used] = (struct config){.peers = &kept[used], .peer_count = 1};
    ok(peers_new(&configs[used], region->pool, region->identity, &region->peers, &err));
    used++;
}

static void region_start(struct region *region)
{
    const struct source_options source = {.store = region->store,
                                          .loop = region->loop,
                                          .workers = region->workers,
                                          .peers = region->peers,
                                          .principals = region->principals,
                                          .identity = region->identity,
                                          .region = region->name};
    const struct tasks_options tasks = {.store = region->store,
                                        .loop = region->loop,
                                        .workers = region->workers,
                                        .peers = region->peers,
                                        .principals = region->principals,
                                        .identity = region->identity,
                                        .region = region->name};
    struct source *opened;
    ok(source_open(&source, &opened, &err));
    region->source = opened;
    ok(tasks_open(&tasks, &region->tasks, &err));
}

/* As a node stops. */
static void region_stop(struct region *region)
{
    listener_close(region->listener);
    region->listener = NULL;
    tasks_stop(region->tasks);
    peers_close(region->peers);
    workers_stop(region->workers);
    loop_stop(region->loop);
    workers_free(region->workers);
    tasks_free(region->tasks);
    source_free(region->source);
    region->source = NULL;
    peers_free(region->peers);
    pool_free(region->pool);
    store_close(region->store);
}

static void region_restart(struct region *region, const struct region *other)
{
    char address[32];
    snprintf(address, sizeof(address), "%s", region->address);
    region_stop(region);
    region_open_store(region);
    region_threads(region);
    listen_at(region, address);
    region_meets(region, other);
    region_start(region);
}

static int group_setup(void **state)
{
    (void)state;
    user = identity_generate();
    region_prepare(&here);
    region_prepare(&there);
    region_meets(&here, &there);
    region_meets(&there, &here);
    region_start(&here);
    region_start(&there);
    return 0;
}

static void region_remove(struct region *region)
{
    region_stop(region);
    principals_free(region->principals);
    identity_free(region->identity);
    assert_int_equal(directory_clear(region->dir, NULL), ERR_OK);
    assert_int_equal(rmdir(region->dir), 0);
}

static int group_teardown(void **state)
{
    (void)state;
    region_remove(&here);
    region_remove(&there);
    identity_free(user);
    return 0;
}

/* ---- a table of one column there ---- */

static struct table_id table_make(const char *name)
{
    struct column columns[] = {{.id = 1, .name = span_text("note"), .type = {.kind = TYPE_STRING}}};
    struct column partition = {.id = 2, .name = span_text("p"), .type = {.kind = TYPE_BIGINT}};
    struct schema schema = {.columns = columns,
                            .column_count = 1,
                            .partition_columns = &partition,
                            .partition_column_count = 1,
                            .next_column_id = 3};
    struct table_spec spec = {.project = there.project, .name = span_text(name), .schema = &schema};
    struct change_note made = note();
    struct table_id id = {0};
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(there.store, (struct account_id){ROOT_ACCOUNT_ID}, &content, &err));
    ok(table_create(content, &spec, &made, &id, &err));
    return id;
}

/* Partitions [first, last] get one row group with one file: its text is tag and partition. */
struct load {
    struct bytes partition_key, group_key;
    struct page_file file;
    struct page_column column;
    struct page_entry partition, group;
};

static void load_prepare(struct load *load, struct content *content, int64_t p, const char *tag)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "%s %" PRIi64 " %0100d", tag, p, 7);
    struct span stored = span_of(text, (size_t)len);
    key_append_i64(&load->partition_key, p);
    row_group_key(bytes_span(&load->partition_key), (struct row_group_place){.column_id = 1},
                  &load->group_key);
    load->file = (struct page_file){digest_of(DOMAIN_FILE, stored), stored.len};
    ok(content_add_file(content, &load->file.digest, stored, CONTENT_HASHED, &err));
    load->column = (struct page_column){.column_id = 1, .bytes = 1};
    load->partition = (struct page_entry){
        .kind = PAGE_ENTRY_PARTITION,
        .key = bytes_span(&load->partition_key),
        .partition = {.segment_count = 1, .row_count = 3, .byte_count = stored.len}};
    load->group = (struct page_entry){.kind = PAGE_ENTRY_ROW_GROUP,
                                      .key = bytes_span(&load->group_key),
                                      .row_group = {.row_count = 3,
                                                    .files = &load->file,
                                                    .file_count = 1,
                                                    .columns = &load->column,
                                                    .column_count = 1}};
}

static void overwrite(struct table_id table, int64_t first, int64_t last, const char *tag)
{
    size_t count = (size_t)(last - first + 1);
    struct load *loads = mem_calloc(count, sizeof(*loads));
    struct tree_edit *edits = mem_calloc(3 * count, sizeof(*edits));
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(there.store, (struct account_id){ROOT_ACCOUNT_ID}, &content, &err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    ok(table_begin(content, table, &write, &err));
    for (size_t i = 0; i < count; i++) {
        load_prepare(&loads[i], content, first + (int64_t)i, tag);
        edits[3 * i] =
            (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = loads[i].partition.key};
        edits[3 * i + 1] = (struct tree_edit){.kind = TREE_PUT, .entry = &loads[i].partition};
        edits[3 * i + 2] = (struct tree_edit){.kind = TREE_PUT, .entry = &loads[i].group};
    }
    struct tree_edit_array array = {.edits = edits, .count = 3 * count};
    struct tree_edit_source source = tree_edit_array_source(&array);
    struct change_note made = note();
    ok(table_write_apply(write, &source, OPERATION_OVERWRITE, &made, NULL, &err));
    for (size_t i = 0; i < count; i++) {
        bytes_deinit(&loads[i].partition_key);
        bytes_deinit(&loads[i].group_key);
    }
    mem_free(loads);
    mem_free(edits);
}

static enum err_code sign(void *context, struct span message, uint8_t *ret_signature,
                          struct err *reason)
{
    (void)reason;
    size_t domain = strlen(SNAPSHOT_SIGN_TEXT) + 1;
    struct signature signature;
    identity_sign(context, SNAPSHOT_SIGN_TEXT, span_slice(message, domain, message.len - domain),
                  &signature);
    memcpy(ret_signature, signature.b, sizeof(signature.b));
    return ERR_OK;
}

static void snapshot_make(struct table_id table, const char *name)
{
    struct snapshot_signer signer = {
        .maker = identity_public(there.identity)->sign, .sign = sign, .context = there.identity};
    struct snapshot_spec spec = {.project = there.project,
                                 .name = span_text(name),
                                 .table = table,
                                 .or_replace = true,
                                 .region = span_text(there.name),
                                 .signer = &signer};
    struct change_note made = note();
    struct table_id id;
    ok(snapshot_create(there.store, &spec, &made, &id, &err));
}

/* ---- XCOPY here ---- */

static void token_make(const char *source, const char *destination, struct bytes *ret_token)
{
    struct token token = {
        .kind = TOKEN_ONCE,
        .rights = TOKEN_RIGHTS_ALL,
        .signer = identity_public(user)->sign,
        .issued_s = (uint64_t)time(NULL),
        .not_after_s = (uint64_t)time(NULL) + 3600,
        .destination_node = identity_public(here.identity)->sign,
        .source = {span_text(there.name), span_text("demo"), span_text(source)},
        .destination = {span_text(here.name), span_text("demo"), span_text(destination)}};
    struct signature signature;
    randombytes_buf(token.id.b, sizeof(token.id.b));
    ok(token_encode(&token, ret_token, &err));
    identity_sign(user, TOKEN_DOMAIN, bytes_span(ret_token), &signature);
    bytes_append(ret_token, signature.b, sizeof(signature.b));
}

static enum err_code xcopy_start(const char *source, const char *destination,
                                 struct task_id *ret_id)
{
    BYTES_CLEANUP struct bytes token = {0};
    token_make(source, destination, &token);
    struct tasks_order order = {
        .principal = principals_find_signer(here.principals, &identity_public(user)->sign),
        .statement = span_text("XCOPY ..."),
        .token = bytes_span(&token),
        .source_region = span_text(there.name),
        .source_project = span_text("demo"),
        .source_snapshot = span_text(source),
        .destination_project = span_text("demo"),
        .destination_snapshot = span_text(destination)};
    store_u64(order.statement_id.b, ++statement_last);
    return tasks_start(here.tasks, &order, ret_id, &err);
}

static struct task_status status_of(const struct task_id *id)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct task_status status = {0};
    ok(tasks_status(here.tasks, id, &arena, &status, &err));
    return status;
}

/* Polls until the task is where it is wanted; 20 s at most. */
static struct task_status wait_for(const struct task_id *id,
                                   bool (*there_yet)(const struct task_status *))
{
    for (int i = 0; i < 2000; i++) {
        struct task_status status = status_of(id);
        if (there_yet(&status))
            return status;
        usleep(10000);
    }
    struct task_status status = status_of(id);
    fail_msg("task is %s: %s %s", task_state_name(status.state), status.phase,
             status.error.message);
    return status;
}

static bool has_ended(const struct task_status *status)
{
    return status->state > TASK_RUNNING;
}

static bool waits_for_peer(const struct task_status *status)
{
    return strncmp(status->phase, "waiting for peer", 16) == 0;
}

static struct task_status xcopy(const char *source, const char *destination)
{
    struct task_id id;
    ok(xcopy_start(source, destination, &id));
    return wait_for(&id, has_ended);
}

static void done(const struct task_status *status)
{
    if (status->state != TASK_DONE)
        fail_msg("%s: %s", task_state_name(status->state), status->error.message);
}

static struct digest version_of(struct region *region, const char *name)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(4));
    struct snapshot_record snapshot;
    ok(snapshot_find(region->store, NULL, region->project, span_text(name), &arena, &snapshot,
                     &err));
    return snapshot.version.version;
}

static void equal(const char *source, const char *destination)
{
    struct digest a = version_of(&there, source);
    struct digest b = version_of(&here, destination);
    assert_true(digest_equal(&a, &b));
    struct fsck_counts counts;
    ok(catalog_fsck(here.store, FSCK_REHASH, NULL, NULL, &counts, &err));
    assert_int_equal(counts.faults, 0);
}

/* ---- tests ---- */

static void test_copies_all_then_nothing_then_what_changed(void **state)
{
    (void)state;
    struct table_id table = table_make("sales");
    overwrite(table, 1, PARTITIONS, "first");
    snapshot_make(table, "sales_1");
    struct task_status status = xcopy("sales_1", "sales_1");
    done(&status);
    equal("sales_1", "sales_1");
    assert_int_equal(status.counters.partitions_total, PARTITIONS);
    assert_int_equal(status.counters.partitions_moved, PARTITIONS);
    assert_int_equal(status.counters.files_moved, PARTITIONS);
    assert_int_equal(status.counters.bytes_skipped, 0);

    status = xcopy("sales_1", "again");
    done(&status);
    assert_int_equal(status.counters.partitions_moved, 0);
    assert_int_equal(status.counters.files_moved, 0);
    assert_true(status.counters.bytes_skipped == status.counters.bytes_total);
    assert_true(status.counters.wire_bytes < 8192); /* describe; not one page */

    overwrite(table, 17, 18, "second");
    snapshot_make(table, "sales_2");
    status = xcopy("sales_2", "sales_1"); /* in place of the old one */
    done(&status);
    equal("sales_2", "sales_1");
    assert_int_equal(status.counters.partitions_moved, 2);
    assert_int_equal(status.counters.files_moved, 2);

    overwrite(table, 17, 17, "first"); /* older content returns, and stands twice elsewhere */
    snapshot_make(table, "sales_3");
    status = xcopy("sales_3", "sales_3");
    done(&status);
    equal("sales_3", "sales_3");
    assert_int_equal(status.counters.files_moved, 0);
}

static void test_the_same_statement_again_joins_its_task(void **state)
{
    (void)state;
    struct table_id table = table_make("twice");
    snapshot_make(table, "twice_1");
    struct task_id first, second;
    ok(xcopy_start("twice_1", "twice_1", &first));
    statement_last--;
    ok(xcopy_start("twice_1", "twice_1", &second));
    assert_memory_equal(first.b, second.b, sizeof(first.b));
    struct task_status status = wait_for(&first, has_ended);
    done(&status);
    equal("twice_1", "twice_1"); /* an empty table at that */
}

static void test_unknown_snapshot_fails_with_the_sources_words(void **state)
{
    (void)state;
    struct task_status status = xcopy("nowhere", "nowhere");
    assert_int_equal(status.state, TASK_FAILED);
    assert_int_equal(status.error.code, ERR_NOT_FOUND);
    assert_non_null(strstr(status.error.message, "peer ap-southeast-1"));
    assert_non_null(strstr(status.error.message, "no snapshot demo.nowhere, or no right to it"));
}

static void test_gate_of_the_source_is_told(void **state)
{
    (void)state;
    struct table_id table = table_make("gated");
    snapshot_make(table, "gated_1");
    struct change_note made = note();
    ok(project_xcopy_set(there.store, there.project, false, &made, &err));
    struct task_status status = xcopy("gated_1", "gated_1");
    made = note();
    ok(project_xcopy_set(there.store, there.project, true, &made, &err));
    assert_int_equal(status.state, TASK_FAILED);
    assert_int_equal(status.error.code, ERR_GATE);
}

static void test_a_tables_name_is_refused(void **state)
{
    (void)state;
    struct table_id ignored;
    struct table_id table = table_make("name");
    snapshot_make(table, "name_1");
    struct column columns[] = {{.id = 1, .name = span_text("note"), .type = {.kind = TYPE_STRING}}};
    struct schema schema = {.columns = columns, .column_count = 1, .next_column_id = 2};
    struct table_spec spec = {
        .project = here.project, .name = span_text("taken"), .schema = &schema};
    struct change_note made = note();
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(here.store, (struct account_id){ROOT_ACCOUNT_ID}, &content, &err));
    ok(table_create(content, &spec, &made, &ignored, &err));
    struct task_id id;
    assert_int_equal(xcopy_start("name_1", "taken", &id), ERR_EXISTS);
}

static void test_wrong_bytes_fail_naming_peer_and_leave_nothing(void **state)
{
    (void)state;
    struct table_id table = table_make("wrong");
    overwrite(table, 1, 20, "wrong");
    snapshot_make(table, "wrong_1");
    static const enum tamper tampers[] = {TAMPER_PAGES, TAMPER_FILES};
    for (size_t i = 0; i < ARRAY_COUNT(tampers); i++) {
        there.tamper = tampers[i];
        struct task_status status = xcopy("wrong_1", "wrong_1");
        there.tamper = TAMPER_NONE;
        assert_int_equal(status.state, TASK_FAILED);
        assert_int_equal(status.error.code, ERR_PEER);
        assert_non_null(strstr(status.error.message, "peer ap-southeast-1"));
        ARENA_CLEANUP struct arena arena;
        arena_init(&arena, MIB(4));
        struct snapshot_record snapshot;
        assert_int_equal(snapshot_find(here.store, NULL, here.project, span_text("wrong_1"), &arena,
                                       &snapshot, NULL),
                         ERR_TABLE_NOT_FOUND);
    }
    struct task_status status = xcopy("wrong_1", "wrong_1");
    done(&status);
    equal("wrong_1", "wrong_1");
}

static void test_waits_for_its_peer_and_goes_on_after_a_restart_of_either(void **state)
{
    (void)state;
    struct table_id table = table_make("restart");
    overwrite(table, 1, 50, "restart");
    snapshot_make(table, "restart_1");
    listener_close(there.listener);
    there.listener = NULL;
    struct task_id id;
    ok(xcopy_start("restart_1", "restart_1", &id));
    wait_for(&id, waits_for_peer);
    region_restart(&here, &there); /* nobody has to start the task again */
    wait_for(&id, waits_for_peer);
    region_restart(&there, &here);
    struct task_status status = wait_for(&id, has_ended);
    done(&status);
    equal("restart_1", "restart_1");
    assert_int_equal(status.counters.files_moved, 50);
    region_restart(&here, &there); /* what has ended is shown as before */
    status = wait_for(&id, has_ended);
    assert_int_equal(status.counters.files_moved, 50);
    assert_int_equal(status.files_total, 50);
    assert_int_equal(status.bytes_planned, status.counters.bytes_moved);
}

static void test_cancelled_task_ends_though_its_peer_is_away(void **state)
{
    (void)state;
    struct table_id table = table_make("cancel");
    snapshot_make(table, "cancel_1");
    char address[32];
    snprintf(address, sizeof(address), "%s", there.address);
    listener_close(there.listener);
    struct task_id id;
    ok(xcopy_start("cancel_1", "cancel_1", &id));
    wait_for(&id, waits_for_peer);
    ok(tasks_cancel(here.tasks,
                    principals_find_signer(here.principals, &identity_public(user)->sign), &id,
                    &err));
    struct task_status status = wait_for(&id, has_ended);
    assert_int_equal(status.state, TASK_CANCELLED);
    listen_at(&there, address);
}

/* ---- a destination that keeps to no order ---- */

struct ask {
    atomic_bool answered;
    struct err err;
    struct bytes body;
};

static void on_answer(void *context, const struct link_reply *reply)
{
    struct ask *ask = context;
    ask->err = reply->err;
    if (reply->err.code == ERR_OK)
        bytes_append_span(&ask->body, reply->body);
    atomic_store(&ask->answered, true);
}

static void ask_post(struct ask *ask, enum peer_method method, struct span header, struct span body)
{
    const struct link_request request = {.method = (uint8_t)method,
                                         .header = header,
                                         .body = body,
                                         .reply_body_bytes = (uint32_t)LIMIT_PEER_DESCRIBED_BYTES,
                                         .deadline_ms = 15000,
                                         .on_reply = on_answer,
                                         .context = ask};
    link_post(peers_find_region(here.peers, span_text(there.name))->link, &request);
}

static enum err_code ask_wait(struct ask *ask)
{
    for (int i = 0; i < 2000 && !atomic_load(&ask->answered); i++)
        usleep(10000);
    assert_true(atomic_load(&ask->answered));
    return ask->err.code;
}

static void describe_post(struct ask *ask, uint8_t task, struct span token)
{
    BYTES_CLEANUP struct bytes header = {0};
    const struct peer_describe describe = {.task = {{task}}, .token = token};
    peer_describe_encode(&describe, &header);
    ask_post(ask, PEER_DESCRIBE, bytes_span(&header), span_of(NULL, 0));
}

/* The root page under the lease that describe gave. */
static enum err_code root_ask(const struct ask *described)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(8));
    struct peer_described answer;
    struct version_record version;
    ok(peer_described_decode(bytes_span(&described->body), &arena, &answer, &err));
    ok(version_decode(answer.version, &arena, &version, &err));
    const struct peer_lease lease = {.lease = answer.lease, .reply_bytes = 65536};
    const struct peer_item item = {.tree = TREE_MANIFEST, .digest = version.root};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    peer_lease_encode(&lease, &header);
    peer_items_encode(&item, 1, &body);
    struct ask ask = {0};
    ask_post(&ask, PEER_GET_PAGES, bytes_span(&header), bytes_span(&body));
    enum err_code code = ask_wait(&ask);
    bytes_deinit(&ask.body);
    return code;
}

static void test_a_lease_ends_with_the_gate_though_it_is_not_renewed(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes token = {0};
    struct table_id table = table_make("closed");
    snapshot_make(table, "closed_1");
    token_make("closed_1", "closed_1", &token);
    struct ask ask = {0};
    describe_post(&ask, 200, bytes_span(&token));
    assert_int_equal(ask_wait(&ask), ERR_OK);
    assert_int_equal(root_ask(&ask), ERR_OK);
    struct change_note made = note();
    ok(project_xcopy_set(there.store, there.project, false, &made, &err));
    enum err_code closed = root_ask(&ask);
    made = note();
    ok(project_xcopy_set(there.store, there.project, true, &made, &err));
    assert_int_equal(closed, ERR_LEASE_GONE);
    assert_int_equal(root_ask(&ask), ERR_LEASE_GONE); /* and does not come back */
    bytes_deinit(&ask.body);
}

static void test_a_token_is_used_by_one_of_many_tasks_at_once(void **state)
{
    (void)state;
    struct table_id table = table_make("once");
    snapshot_make(table, "once_1");
    for (uint8_t round = 0; round < 10; round++) {
        BYTES_CLEANUP struct bytes token = {0};
        struct ask asks[4] = {0};
        size_t granted = 0;
        token_make("once_1", "once_1", &token);
        for (uint8_t i = 0; i < ARRAY_COUNT(asks); i++)
            describe_post(&asks[i], (uint8_t)(100 + round * 4 + i), bytes_span(&token));
        for (size_t i = 0; i < ARRAY_COUNT(asks); i++) {
            granted += ask_wait(&asks[i]) == ERR_OK;
            bytes_deinit(&asks[i].body);
        }
        assert_int_equal(granted, 1);
    }
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies_all_then_nothing_then_what_changed),
        cmocka_unit_test(test_the_same_statement_again_joins_its_task),
        cmocka_unit_test(test_unknown_snapshot_fails_with_the_sources_words),
        cmocka_unit_test(test_gate_of_the_source_is_told),
        cmocka_unit_test(test_a_tables_name_is_refused),
        cmocka_unit_test(test_wrong_bytes_fail_naming_peer_and_leave_nothing),
        cmocka_unit_test(test_waits_for_its_peer_and_goes_on_after_a_restart_of_either),
        cmocka_unit_test(test_cancelled_task_ends_though_its_peer_is_away),
        cmocka_unit_test(test_a_lease_ends_with_the_gate_though_it_is_not_renewed),
        cmocka_unit_test(test_a_token_is_used_by_one_of_many_tasks_at_once),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
