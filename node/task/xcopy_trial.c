#include "node/task/xcopy_trial.h"

#include "node/task/token_use.h"
#include "proto/key.h"
#include "proto/peer.h"
#include "store/directory.h"
#include "store/pages.h"
#include "store/roots.h"

struct region here = {.name = "cn-hongkong"};
struct region there = {.name = "ap-southeast-1"};
struct identity *user;
struct err err;
uint64_t statement_last;
const char *source_region = "ap-southeast-1";
const char *destination_project = "demo";
const char *statement_text = "XCOPY ...";
bool queues;
uint64_t expires_ms, snapshot_expires_ms;
struct walk_limits walk_limits;
size_t tasks_per_project;
size_t file_padding;
uint16_t token_rights = TOKEN_RIGHTS_ALL;

struct change_note note(void)
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
    const uint32_t length = TAMPERED_BYTES;
    for (size_t i = 0; i < length; i++)
        bytes_append_u8(&body, (uint8_t)(i * count));
    peer_lengths_encode(&length, 1, &header);
    request_reply_bytes(request, bytes_span(&header), &body);
}

/* The root of a table without rows, whatever page was asked for. */
static void reply_other_page(struct request *request)
{
    BYTES_CLEANUP struct bytes header = {0};
    struct bytes body = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(4));
    struct peer_item *items = NULL;
    size_t count;
    (void)!peer_items_decode(request_body(request), &arena, &items, &count, NULL);
    page_begin(items != NULL ? (enum tree_kind)items[0].tree : TREE_MANIFEST, 0, &body);
    const uint32_t length = (uint32_t)body.len;
    peer_lengths_encode(&length, 1, &header);
    request_reply_bytes(request, bytes_span(&header), &body);
}

/* The first request for files (or pages) waits until the test's thread hands it on; the others do not,
 * or they would take all connections. */
_Atomic(struct request *) held;

static bool request_hold(struct region *region, struct request *request)
{
    struct request *none = NULL;
    uint8_t method = request_method(request);
    bool holds = (method == PEER_GET_FILES && atomic_load(&region->holds_files)) ||
                 (method == PEER_GET_PAGES && atomic_load(&region->holds_pages));
    return holds && atomic_compare_exchange_strong(&held, &none, request);
}

#define HELD_MAX 16
static _Atomic(struct request *) all_held[HELD_MAX];
static atomic_size_t all_held_count;

static bool request_hold_all(struct region *region, struct request *request)
{
    if (request_method(request) != PEER_GET_FILES)
        return false;
    atomic_fetch_add(&region->files_asked, 1);
    if (!atomic_load(&region->holds_all))
        return false;
    size_t at = atomic_fetch_add(&all_held_count, 1);
    ASSERT(at < HELD_MAX); /* one a data connection */
    atomic_store(&all_held[at], request);
    return true;
}

void requests_let_go(struct region *region)
{
    atomic_store(&region->holds_all, false);
    size_t count = atomic_exchange(&all_held_count, 0);
    for (size_t i = 0; i < count; i++) {
        struct request *request;
        do
            request = atomic_exchange(&all_held[i], NULL);
        while (request == NULL);
        source_on_request(region->source, request);
    }
}

struct lease_id request_held_lease(void)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct peer_lease lease;
    for (int i = 0; i < 2000 && atomic_load(&all_held[0]) == NULL; i++)
        usleep(10000);
    struct request *request = atomic_load(&all_held[0]);
    assert_non_null(request);
    ok(peer_lease_decode(request_header(request), &arena, &lease, &err));
    return lease.lease;
}

void request_step(struct region *region)
{
    struct request *request = atomic_exchange(&all_held[0], NULL);
    assert_non_null(request);
    assert_int_equal(atomic_exchange(&all_held_count, 0), 1);
    source_on_request(region->source, request);
}

void request_let_go(struct region *region)
{
    atomic_store(&region->holds_files, false);
    atomic_store(&region->holds_pages, false);
    source_on_request(region->source, atomic_exchange(&held, NULL));
}

static void on_request(void *context, struct request *request)
{
    struct region *region = context;
    uint8_t method = request_method(request);
    if (request_hold_all(region, request) || request_hold(region, request))
        return;
    if (region->tamper == TAMPER_OLDER) /* handlers see it as constant; it is not */
        ((struct session *)(uintptr_t)request_session(request))->version = 1;
    bool of_data = method == PEER_GET_PAGES || method == PEER_GET_FILES;
    enum tamper once = method == PEER_GET_PAGES ? TAMPER_PAGES_ONCE : TAMPER_FILES_ONCE;
    if ((region->tamper == TAMPER_PAGES && method == PEER_GET_PAGES) ||
        (region->tamper == TAMPER_FILES && method == PEER_GET_FILES) ||
        (of_data && atomic_compare_exchange_strong(&region->tamper, &once, TAMPER_NONE)))
        reply_tampered(request, 7);
    else if (region->tamper == TAMPER_OTHER_PAGE && method == PEER_GET_PAGES)
        reply_other_page(request);
    else
        source_on_request(region->source, request);
}

void listen_at(struct region *region, const char *address)
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
    ok(workers_start(&options, &region->commits, &err));
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
    principals_put(region->principals,
                   &(struct principal_spec){.name = span_text(ROOT_ACCOUNT_NAME),
                                            .account = account,
                                            .number = account.n,
                                            .keys = identity_public(user),
                                            .key_count = 1});
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
    static struct config configs[12];
    static struct config_peer kept[12][2];
    static size_t used;
    static char *nowhere_address = "127.0.0.1:1";
    static char nowhere_key[PUBLIC_IDENTITY_TEXT_BYTES];
    ASSERT(used < ARRAY_COUNT(configs));
    if (nowhere_key[0] == 0) {
        struct identity *nowhere = identity_generate();
        public_identity_format(identity_public(nowhere), nowhere_key);
        identity_free(nowhere);
    }
    kept[used][0] = peer;
    kept[used][1] = (struct config_peer){
        .region = "eu-nowhere", .addresses = {&nowhere_address, 1}, .key = nowhere_key};
    configs[used] = (struct config){.peers = kept[used], .peer_count = 2};
    ok(peers_new(&configs[used], region->pool, region->identity, &region->peers, &err));
    used++;
}

static void loop_hold(void *argument)
{
    struct region *region = argument;
    while (atomic_load(&region->holds_loop))
        usleep(1000);
}

static void region_start(struct region *region)
{
    region->auditor = auditor_new(region->store);
    const struct source_options source = {.store = region->store,
                                          .auditor = region->auditor,
                                          .loop = region->loop,
                                          .workers = region->workers,
                                          .commits = region->commits,
                                          .peers = region->peers,
                                          .principals = region->principals,
                                          .identity = region->identity,
                                          .region = region->name};
    const struct tasks_options tasks = {.store = region->store,
                                        .loop = region->loop,
                                        .workers = region->workers,
                                        .commits = region->commits,
                                        .peers = region->peers,
                                        .principals = region->principals,
                                        .identity = region->identity,
                                        .region = region->name,
                                        .per_project = tasks_per_project,
                                        .walk = walk_limits,
                                        .look_retry_ms = 500};
    struct source *opened;
    ok(source_open(&source, &opened, &err));
    region->source = opened;
    loop_post(region->loop, loop_hold, region);
    ok(tasks_open(&tasks, &region->tasks, &err));
}

/* As a node stops. */
static void region_stop(struct region *region)
{
    listener_close(region->listener);
    region->listener = NULL;
    source_stop(region->source);
    tasks_stop(region->tasks);
    peers_close(region->peers);
    workers_stop(region->workers);
    workers_stop(region->commits);
    loop_stop(region->loop);
    workers_free(region->workers);
    workers_free(region->commits);
    tasks_free(region->tasks);
    source_free(region->source);
    region->source = NULL;
    peers_free(region->peers);
    pool_free(region->pool);
    auditor_free(region->auditor);
    store_close(region->store);
}

void region_restart(struct region *region, const struct region *other)
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

int group_setup(void **state)
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

int group_teardown(void **state)
{
    (void)state;
    region_remove(&here);
    region_remove(&there);
    identity_free(user);
    return 0;
}

/* ---- a table of one column there ---- */

struct table_id table_make(const char *name)
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
    BYTES_CLEANUP struct bytes text = {0};
    char begin[256];
    int len = snprintf(begin, sizeof(begin), "%s %" PRIi64 " %0100d", tag, p, 7);
    bytes_append(&text, begin, (size_t)len);
    for (size_t i = 0; i < file_padding; i++)
        bytes_append_u8(&text, '7');
    struct span stored = bytes_span(&text);
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
    memcpy(load->partition.partition.checksum.b, load->file.digest.b, ROW_CHECKSUM_BYTES);
    load->group = (struct page_entry){.kind = PAGE_ENTRY_ROW_GROUP,
                                      .key = bytes_span(&load->group_key),
                                      .row_group = {.row_count = 3,
                                                    .files = &load->file,
                                                    .file_count = 1,
                                                    .columns = &load->column,
                                                    .column_count = 1}};
}

struct clustering clustered_as;

void overwrite(struct table_id table, int64_t first, int64_t last, const char *tag)
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
        loads[i].partition.partition.clustering = clustered_as;
        edits[3 * i] =
            (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = loads[i].partition.key};
        edits[3 * i + 1] = (struct tree_edit){.kind = TREE_PUT, .entry = &loads[i].partition};
        edits[3 * i + 2] = (struct tree_edit){.kind = TREE_PUT, .entry = &loads[i].group};
    }
    struct tree_edit_array array = {.edits = edits, .count = 3 * count};
    struct tree_edit_source source = tree_edit_array_source(&array);
    struct change_note made = note();
    struct version_ref version;
    ok(table_write_apply(write, &source, made.now_ms, &version, &err));
    ok(table_write_commit(write, OPERATION_OVERWRITE, &made, &err));
    for (size_t i = 0; i < count; i++) {
        bytes_deinit(&loads[i].partition_key);
        bytes_deinit(&loads[i].group_key);
    }
    mem_free(loads);
    mem_free(edits);
}

/* One partition of so many row groups that it goes across leaves; it says `lie` rows more than it has. */
#define WIDE_GROUPS 600
void overwrite_wide(struct table_id table, uint64_t lie)
{
    struct load *loads = mem_calloc(WIDE_GROUPS, sizeof(*loads));
    struct tree_edit *edits = mem_calloc(WIDE_GROUPS + 2, sizeof(*edits));
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(there.store, (struct account_id){ROOT_ACCOUNT_ID}, &content, &err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    ok(table_begin(content, table, &write, &err));
    load_prepare(&loads[0], content, 1, "wide");
    struct page_entry whole = loads[0].partition;
    whole.partition.row_count = 3 * WIDE_GROUPS + lie;
    whole.partition.byte_count = WIDE_GROUPS * loads[0].file.bytes;
    edits[0] = (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = whole.key};
    edits[1] = (struct tree_edit){.kind = TREE_PUT, .entry = &whole};
    for (uint32_t i = 0; i < WIDE_GROUPS; i++) {
        if (i > 0)
            load_prepare(&loads[i], content, 1, "wide");
        bytes_clear(&loads[i].group_key);
        row_group_key(bytes_span(&loads[0].partition_key),
                      (struct row_group_place){.row_group = i, .column_id = 1},
                      &loads[i].group_key);
        loads[i].group.key = bytes_span(&loads[i].group_key);
        edits[2 + i] = (struct tree_edit){.kind = TREE_PUT, .entry = &loads[i].group};
    }
    struct tree_edit_array array = {.edits = edits, .count = WIDE_GROUPS + 2};
    struct tree_edit_source source = tree_edit_array_source(&array);
    struct change_note made = note();
    struct version_ref version;
    ok(table_write_apply(write, &source, made.now_ms, &version, &err));
    ok(table_write_commit(write, OPERATION_OVERWRITE, &made, &err));
    for (size_t i = 0; i < WIDE_GROUPS; i++) {
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

void snapshot_make(struct table_id table, const char *name)
{
    struct snapshot_signer signer = {
        .maker = identity_public(there.identity)->sign, .sign = sign, .context = there.identity};
    struct snapshot_spec spec = {.project = there.project,
                                 .name = span_text(name),
                                 .table = table,
                                 .expires_ms = snapshot_expires_ms,
                                 .or_replace = true,
                                 .region = span_text(there.name),
                                 .signer = &signer};
    struct change_note made = note();
    struct table_id id;
    struct name_target old;
    if (name_find(there.store, NULL, there.project, spec.name, &old, NULL) == ERR_OK)
        spec.replaces = old.id;
    ok(snapshot_create(there.store, &spec, &made, &id, &err));
}

/* ---- XCOPY here ---- */

void project_protect(bool is_protected, struct trusted_project *trusted, size_t trusted_count)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(4));
    struct project_record old;
    struct change_note made = note();
    ok(project_get(there.store, NULL, there.project, &arena, &old, &err));
    struct project_record project = old;
    project.is_protected = is_protected;
    project.trusted = trusted;
    project.trusted_count = trusted_count;
    ok(project_replace(there.store, &old, &project, &made, &err));
}

void token_make(const char *source, const char *destination, struct bytes *ret_token)
{
    struct token token = {
        .kind = TOKEN_ONCE,
        .rights = token_rights,
        .signer = identity_public(user)->sign,
        .issued_s = (uint64_t)time(NULL),
        .not_after_s = (uint64_t)time(NULL) + 3600,
        .destination_node = identity_public(here.identity)->sign,
        .source = {span_text(source_region), span_text("demo"), span_text(source)},
        .destination = {span_text(here.name), span_text(destination_project),
                        span_text(destination)}};
    struct signature signature;
    randombytes_buf(token.id.b, sizeof(token.id.b));
    ok(token_encode(&token, ret_token, &err));
    identity_sign(user, TOKEN_DOMAIN, bytes_span(ret_token), &signature);
    bytes_append(ret_token, signature.b, sizeof(signature.b));
}

const struct principal *root_principal(void)
{
    static struct principal principal;
    assert_true(principals_find_signer(here.principals, &identity_public(user)->sign, &principal));
    return &principal;
}

enum err_code xcopy_start(const char *source, const char *destination, struct task_id *ret_id)
{
    BYTES_CLEANUP struct bytes token = {0};
    token_make(source, destination, &token);
    struct tasks_order order = {.principal = root_principal(),
                                .statement = span_text(statement_text),
                                .token = bytes_span(&token),
                                .source_region = span_text(source_region),
                                .source_project = span_text("demo"),
                                .source_snapshot = span_text(source),
                                .destination_project = span_text(destination_project),
                                .destination_snapshot = span_text(destination),
                                .queues = queues,
                                .expires_ms = expires_ms};
    store_u64(order.statement_id.b, ++statement_last);
    return tasks_start(here.tasks, &order, ret_id, &err);
}

struct task_status status_of(const struct task_id *id)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct task_status status = {0};
    ok(tasks_status(here.tasks, id, &arena, &status, &err));
    return status;
}

/* Polls until the task is where it is wanted; 20 s at most. */
struct task_status wait_for(const struct task_id *id, bool (*there_yet)(const struct task_status *))
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

bool has_ended(const struct task_status *status)
{
    return status->state > TASK_RUNNING;
}

bool is_tidy(const struct task_status *status)
{
    return strcmp(status->phase, "ended") == 0;
}

bool waits_for_peer(const struct task_status *status)
{
    return strncmp(status->phase, "waiting for peer", 16) == 0;
}

struct task_status xcopy(const char *source, const char *destination)
{
    struct task_id id;
    ok(xcopy_start(source, destination, &id));
    return wait_for(&id, has_ended);
}

void done(const struct task_status *status)
{
    if (status->state != TASK_DONE)
        fail_msg("%s: %s", task_state_name(status->state), status->error.message);
}

static void loop_nothing(void *argument)
{
    (void)argument;
}

void loop_pass(struct region *region)
{
    assert_true(loop_call(region->loop, loop_nothing, NULL));
}

static enum err_code staged_add(void *context, const struct task_id *task, struct err *ignored)
{
    (void)task;
    (void)ignored;
    (*(size_t *)context)++;
    return ERR_OK;
}

size_t staged_count(void)
{
    size_t count = 0;
    ok(staged_tasks_each(here.store, staged_add, &count, &err));
    return count;
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

void equal(const char *source, const char *destination)
{
    struct digest a = version_of(&there, source);
    struct digest b = version_of(&here, destination);
    assert_true(digest_equal(&a, &b));
    struct fsck_counts counts;
    ok(catalog_fsck(here.store, FSCK_REHASH, NULL, NULL, &counts, &err));
    assert_int_equal(counts.faults, 0);
}

/* ---- tokens ---- */

struct token token_base(const char *snapshot)
{
    struct token token = {
        .kind = TOKEN_ONCE,
        .rights = TOKEN_RIGHTS_ALL,
        .signer = identity_public(user)->sign,
        .issued_s = (uint64_t)time(NULL),
        .not_after_s = (uint64_t)time(NULL) + 3600,
        .destination_node = identity_public(here.identity)->sign,
        .source = {span_text(there.name), span_text("demo"), span_text(snapshot)},
        .destination = {span_text(here.name), span_text("demo"), span_text(snapshot)}};
    randombytes_buf(token.id.b, sizeof(token.id.b));
    return token;
}

void token_sign(struct token *token, const struct identity *signer, struct bytes *ret_bytes)
{
    struct signature signature;
    bytes_clear(ret_bytes);
    token->signer = identity_public(signer)->sign;
    ok(token_encode(token, ret_bytes, &err));
    identity_sign(signer, TOKEN_DOMAIN, bytes_span(ret_bytes), &signature);
    bytes_append(ret_bytes, signature.b, sizeof(signature.b));
}

void says(enum err_code code, enum err_code expected, const char *words)
{
    if (code != expected || strstr(err.message, words) == NULL)
        fail_msg("%s: %s", err_name(code), err.message);
}

void token_take_back(const struct token *token)
{
    struct principal principal;
    struct change_note made = note();
    bool seen;
    assert_true(principals_find_signer(there.principals, &identity_public(user)->sign, &principal));
    ok(token_revoke(there.store, &principal, &token->id, &made, &seen, &err));
    source_recheck(there.source);
}

struct token token_standing(const char *pattern, uint32_t runs)
{
    struct token token = token_base(pattern);
    token.kind = TOKEN_STANDING;
    token.schedule = span_text("nightly");
    token.destination.snapshot =
        strstr(pattern, TOKEN_OF_TABLE) != NULL ? span_text("*") : token.destination.snapshot;
    token.runs_a_day = runs;
    token.not_after_s = token.issued_s + TOKEN_STANDING_LIFE_S;
    return token;
}

/* ---- a destination that keeps to no order ---- */

static void on_answer(void *context, const struct link_reply *reply)
{
    struct ask *ask = context;
    ask->err = reply->err;
    if (reply->err.code == ERR_OK)
        bytes_append_span(&ask->body, reply->body);
    atomic_store(&ask->answered, true);
}

void ask_post(struct ask *ask, enum peer_method method, struct span header, struct span body)
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

enum err_code ask_wait(struct ask *ask)
{
    for (int i = 0; i < 2000 && !atomic_load(&ask->answered); i++)
        usleep(10000);
    assert_true(atomic_load(&ask->answered));
    return ask->err.code;
}

void describe_named_post(struct ask *ask, uint8_t task, struct span token, const char *snapshot)
{
    BYTES_CLEANUP struct bytes header = {0};
    const struct peer_describe describe = {
        .task = {{task}}, .token = token, .snapshot = span_text(snapshot)};
    peer_describe_encode(&describe, &header);
    ask_post(ask, PEER_DESCRIBE, bytes_span(&header), span_of(NULL, 0));
}

void describe_post(struct ask *ask, uint8_t task, struct span token)
{
    describe_named_post(ask, task, token, "");
}

/* The root page under the lease that describe gave. */
enum err_code root_ask(const struct ask *described)
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

enum err_code lease_ask(const struct ask *described, enum peer_method method)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(8));
    struct peer_described answer;
    ok(peer_described_decode(bytes_span(&described->body), &arena, &answer, &err));
    const struct peer_lease lease = {.lease = answer.lease};
    BYTES_CLEANUP struct bytes header = {0};
    struct ask ask = {0};
    peer_lease_encode(&lease, &header);
    ask_post(&ask, method, bytes_span(&header), span_of(NULL, 0));
    enum err_code code = ask_wait(&ask);
    bytes_deinit(&ask.body);
    return code;
}
