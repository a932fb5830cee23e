/* A whole node in this process, asked through a real link on 127.0.0.1. */
#include "node/node.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "node/loads.h"
#include "node/loop.h"
#include "node/version_refusals.h"
#include "proto/operator.h"
#include "proto/vector.h"
#include "transport/handshake.h"
#include "transport/link.h"
#include "transport/port_test.h"

#define DEADLINE_MS 60000

static struct fixture {
    char folder[64];
    char conf[128];
    uint16_t ports[2]; /* peers, operators */
    struct identity *root;
    struct public_identity node_keys;
    struct node *node;
    struct pool *pool;
    struct link *link;
    uint8_t ids; /* statement ids are counted up */
} f;

/* ---- fixture ---- */

static void path_in(const char *name, char ret_path[128])
{
    snprintf(ret_path, 128, "%s/%s", f.folder, name);
}

static void keys_make(void)
{
    char path[128];
    IDENTITY_CLEANUP struct identity *node = NULL;
    path_in("node.key", path);
    assert_int_equal(identity_create(path, &node, NULL), ERR_OK);
    f.node_keys = *identity_public(node);
    path_in("root.key", path);
    assert_int_equal(identity_create(path, &f.root, NULL), ERR_OK);
}

static void config_write(const char *data_dir)
{
    char key[PUBLIC_IDENTITY_TEXT_BYTES];
    public_identity_format(identity_public(f.root), key);
    FILE *file = fopen(f.conf, "w");
    assert_non_null(file);
    fprintf(file,
            "region = \"cn-hongkong\"\ndata_dir = \"%s\"\nkey_file = \"node.key\"\n"
            "listen_peers = {\"127.0.0.1:%u\"}\nlisten_operators = {\"127.0.0.1:%u\"}\n"
            "operator_keys = {\"%s\"}\ngates = false\nload_memory = \"4MiB\"\n",
            data_dir, f.ports[0], f.ports[1], key);
    fclose(file);
}

static enum err_code node_try(struct node **ret_node, struct err *err)
{
    CONFIG_CLEANUP struct config config = {0};
    assert_int_equal(config_read(f.conf, &config, NULL), ERR_OK);
    return node_start(&config, ret_node, err);
}

static struct link *link_make(const struct identity *identity)
{
    char address[32];
    const char *addresses[] = {address};
    snprintf(address, sizeof(address), "127.0.0.1:%u", f.ports[1]);
    const struct link_options options = {
        .kind = LISTENER_OPERATORS,
        .addresses = addresses,
        .address_count = 1,
        .identity = identity,
        .peer_key = f.node_keys.noise,
    };
    struct link *link;
    assert_int_equal(link_open(f.pool, &options, &link, NULL), ERR_OK);
    return link;
}

static enum err_code text_run(const char *text, struct operator_result *ret_result,
                              struct arena *arena, struct bytes *body, struct err *err);

static void statement(const char *text)
{
    struct err err = {0};
    ARENA_CLEANUP struct arena arena;
    BYTES_CLEANUP struct bytes body = {0};
    struct operator_result result;
    arena_init(&arena, MIB(4));
    if (text_run(text, &result, &arena, &body, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.message);
}

static int fixture_start(void **state)
{
    (void)state;
    struct err err = {0};
    snprintf(f.folder, sizeof(f.folder), "/tmp/node_test.XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    path_in("straitd.conf", f.conf);
    f.ports[0] = port_free();
    f.ports[1] = port_free();
    keys_make();
    config_write("data");
    if (node_try(&f.node, &err) != ERR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(pool_new(NULL, &f.pool, NULL), ERR_OK);
    f.link = link_make(f.root);
    statement("CREATE PROJECT demo");
    return 0;
}

static int fixture_stop(void **state)
{
    (void)state;
    char command[128];
    link_close(f.link);
    node_stop(f.node);
    pool_free(f.pool);
    identity_free(f.root);
    snprintf(command, sizeof(command), "rm -rf %s", f.folder);
    return system(command);
}

/* ---- requests ---- */

static struct statement_id id_next(void)
{
    return (struct statement_id){{1, ++f.ids}};
}

static enum err_code ask(enum operator_method method, const struct bytes *header,
                         const struct bytes *body, struct bytes *ret_header, struct bytes *ret_body,
                         struct err *err)
{
    const struct link_request request = {
        .method = (uint8_t)method,
        .header = bytes_span(header),
        .body = body == NULL ? (struct span){0} : bytes_span(body),
        .reply_body_bytes = (uint32_t)LIMIT_BODY_BYTES,
        .deadline_ms = DEADLINE_MS,
    };
    bytes_clear(ret_header);
    bytes_clear(ret_body);
    return link_call(f.link, &request, ret_header, ret_body, err);
}

/* The result of an execute, fetch or export; FAILED is its error. */
static enum err_code result_ask(enum operator_method method, const struct bytes *header,
                                const struct bytes *body, struct operator_result *ret_result,
                                struct arena *arena, struct bytes *ret_body, struct err *err)
{
    BYTES_CLEANUP struct bytes reply = {0};
    TRY(ask(method, header, body, &reply, ret_body, err));
    TRY(operator_result_decode(bytes_span(&reply), bytes_span(ret_body), arena, ret_result, err));
    if (ret_result->state == OPERATOR_FAILED)
        return err_set(err, ret_result->error.code, "%s", ret_result->error.message);
    return ERR_OK;
}

static enum err_code execute(const struct statement_id *id, const char *text,
                             struct operator_result *ret_result, struct arena *arena,
                             struct bytes *ret_body, struct err *err)
{
    const struct operator_execute m = {
        .id = *id, .project = span_text("demo"), .wait_ms = 10000, .text = span_text(text)};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    operator_execute_encode(&m, &header, &body);
    return result_ask(OPERATOR_EXECUTE, &header, &body, ret_result, arena, ret_body, err);
}

static enum err_code text_run(const char *text, struct operator_result *ret_result,
                              struct arena *arena, struct bytes *body, struct err *err)
{
    struct statement_id id = id_next();
    return execute(&id, text, ret_result, arena, body, err);
}

static enum err_code fetch(const struct statement_id *id, uint64_t cursor,
                           struct operator_result *ret_result, struct arena *arena,
                           struct bytes *ret_body, struct err *err)
{
    const struct operator_fetch m = {.id = *id, .cursor = cursor, .wait_ms = 10000};
    BYTES_CLEANUP struct bytes header = {0};
    operator_fetch_encode(&m, &header);
    return result_ask(OPERATOR_FETCH, &header, NULL, ret_result, arena, ret_body, err);
}

/* A statement's one number. */
static int64_t number_of(const char *text)
{
    struct err err = {0};
    ARENA_CLEANUP struct arena arena;
    BYTES_CLEANUP struct bytes body = {0};
    struct operator_result result;
    arena_init(&arena, MIB(4));
    if (text_run(text, &result, &arena, &body, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.message);
    struct schema schema = operator_schema(result.columns, result.column_count);
    BATCH_CLEANUP struct batch batch;
    batch_init(&batch, &schema);
    assert_int_equal(batch_decode(result.rows, &batch, NULL), ERR_OK);
    assert_int_equal(batch.rows, 1);
    return vector_value(&batch.vectors[0], 0).i64;
}

/* ---- loads ---- */

static enum err_code load_begin(const struct statement_id *id, const char *table,
                                enum upload_mode mode, struct operator_load_state *ret_state,
                                struct arena *arena, struct err *err)
{
    const struct operator_load_begin m = {
        .id = *id,
        .project = span_text("demo"),
        .table = span_text(table),
        .auto_partition = true,
        .mode = mode,
    };
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes reply = {0};
    struct bytes body = {0};
    operator_load_begin_encode(&m, &header);
    enum err_code code = ask(OPERATOR_LOAD_BEGIN, &header, NULL, &reply, &body, err);
    if (code == ERR_OK)
        code = operator_load_state_decode(bytes_span(&reply), bytes_span(&body), arena, ret_state,
                                          err);
    bytes_deinit(&body);
    return code;
}

/* Rows (a = first.., p = a mod 3) of table (a BIGINT) partitioned by (p BIGINT). */
static void rows_encode(int64_t first, size_t count, struct bytes *out)
{
    static const struct type types[] = {{TYPE_BIGINT, 0, 0}, {TYPE_BIGINT, 0, 0}};
    BATCH_CLEANUP struct batch batch;
    batch_init_types(&batch, types, 2);
    for (size_t i = 0; i < count; i++) {
        int64_t a = first + (int64_t)i;
        vector_append(&batch.vectors[0], (struct value){.i64 = a});
        vector_append(&batch.vectors[1], (struct value){.i64 = a % 3});
    }
    batch.rows = count;
    batch_encode(&batch, out);
}

static enum err_code chunk_send(const struct statement_id *id, uint64_t number,
                                const struct bytes *rows, uint64_t *ret_next, struct err *err)
{
    const struct operator_load_chunk m = {.id = *id, .number = number, .rows = bytes_span(rows)};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    BYTES_CLEANUP struct bytes reply = {0};
    BYTES_CLEANUP struct bytes nothing = {0};
    operator_load_chunk_encode(&m, &header, &body);
    TRY(ask(OPERATOR_LOAD_CHUNK, &header, &body, &reply, &nothing, err));
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, KIB(64));
    struct operator_load_state state;
    TRY(operator_load_state_decode(bytes_span(&reply), (struct span){0}, &arena, &state, err));
    *ret_next = state.next_chunk;
    return ERR_OK;
}

static void chunk_rows(const struct statement_id *id, uint64_t number, int64_t first, size_t count)
{
    struct err err = {0};
    BYTES_CLEANUP struct bytes rows = {0};
    uint64_t next;
    rows_encode(first, count, &rows);
    if (chunk_send(id, number, &rows, &next, &err) != ERR_OK)
        fail_msg("%s", err.message);
    assert_true(next > number);
}

static enum err_code commit(const struct statement_id *id, uint64_t chunks,
                            struct operator_load_outcome *ret_outcome, struct err *err)
{
    const struct operator_load_commit m = {.id = *id, .chunks = chunks, .wait_ms = 10000};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes reply = {0};
    BYTES_CLEANUP struct bytes nothing = {0};
    operator_load_commit_encode(&m, &header);
    TRY(ask(OPERATOR_LOAD_COMMIT, &header, NULL, &reply, &nothing, err));
    return operator_load_outcome_decode(bytes_span(&reply), ret_outcome, err);
}

static struct statement_id load_started(const char *table, enum upload_mode mode)
{
    struct err err = {0};
    struct statement_id id = id_next();
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct operator_load_state state;
    if (load_begin(&id, table, mode, &state, &arena, &err) != ERR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(state.column_count, 2);
    assert_int_equal(state.partition_column_count, 1);
    return id;
}

/* ---- tests ---- */

static void a_load_is_invisible_before_its_commit_and_whole_after(void **state)
{
    (void)state;
    struct operator_load_outcome outcome;
    statement("CREATE TABLE load1 (a BIGINT) PARTITIONED BY (p BIGINT)");
    struct statement_id id = load_started("load1", UPLOAD_APPEND);
    chunk_rows(&id, 0, 0, 1000);
    chunk_rows(&id, 1, 1000, 1000);
    chunk_rows(&id, 0, 0, 1000); /* again: answered, not taken */
    assert_int_equal(number_of("SELECT count(*) FROM load1"), 0);
    assert_int_equal(commit(&id, 3, &outcome, NULL), ERR_PARAMETER);
    assert_int_equal(commit(&id, 2, &outcome, NULL), ERR_OK);
    assert_int_equal(outcome.state, OPERATOR_DONE);
    assert_int_equal(outcome.rows, 2000);
    assert_int_equal(outcome.partitions, 3);
    assert_int_equal(number_of("SELECT count(*) FROM load1"), 2000);
    assert_int_equal(commit(&id, 2, &outcome, NULL), ERR_OK); /* the answer was lost, say */
    assert_int_equal(outcome.rows, 2000);
    assert_int_equal(number_of("SELECT count(*) FROM load1"), 2000);
}

static uint64_t bytes_loaded(const char *table)
{
    struct operator_load_outcome outcome;
    struct statement_id id = load_started(table, UPLOAD_OVERWRITE);
    chunk_rows(&id, 0, 0, 1000);
    assert_int_equal(commit(&id, 1, &outcome, NULL), ERR_OK);
    return outcome.bytes;
}

/* Else a tenant could ask what others hold. */
static void an_outcome_does_not_tell_what_was_held_before(void **state)
{
    (void)state;
    statement("CREATE TABLE load6 (a BIGINT) PARTITIONED BY (p BIGINT)");
    statement("CREATE TABLE load7 (a BIGINT) PARTITIONED BY (p BIGINT)");
    uint64_t first = bytes_loaded("load6");
    assert_true(first > 0);
    assert_int_equal(bytes_loaded("load6"), first);
    assert_int_equal(bytes_loaded("load7"), first);
}

static void load_give_up(const struct statement_id *id)
{
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes reply = {0};
    BYTES_CLEANUP struct bytes body = {0};
    operator_close_encode(&(struct operator_close){*id}, &header);
    assert_int_equal(ask(OPERATOR_LOAD_ABORT, &header, NULL, &reply, &body, NULL), ERR_OK);
}

static void a_principal_has_a_limited_number_of_loads(void **state)
{
    (void)state;
    struct statement_id ids[LOADS_PER_PRINCIPAL_MAX];
    struct operator_load_state load;
    struct err err = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    statement("CREATE TABLE load8 (a BIGINT) PARTITIONED BY (p BIGINT)");
    for (size_t i = 0; i < LOADS_PER_PRINCIPAL_MAX; i++)
        ids[i] = load_started("load8", UPLOAD_APPEND);
    struct statement_id more = id_next();
    assert_int_equal(load_begin(&more, "load8", UPLOAD_APPEND, &load, &arena, &err), ERR_BUSY);
    assert_non_null(strstr(err.message, "try again later"));
    load_give_up(&ids[0]);
    assert_int_equal(load_begin(&more, "load8", UPLOAD_APPEND, &load, &arena, &err), ERR_OK);
    load_give_up(&more);
    for (size_t i = 1; i < LOADS_PER_PRINCIPAL_MAX; i++)
        load_give_up(&ids[i]);
}

static void overwrite_and_replace_differ_in_what_they_leave(void **state)
{
    (void)state;
    struct operator_load_outcome outcome;
    statement("CREATE TABLE load2 (a BIGINT) PARTITIONED BY (p BIGINT)");
    struct statement_id id = load_started("load2", UPLOAD_APPEND);
    chunk_rows(&id, 0, 0, 30);
    assert_int_equal(commit(&id, 1, &outcome, NULL), ERR_OK);
    id = load_started("load2", UPLOAD_OVERWRITE);
    chunk_rows(&id, 0, 3, 1); /* partition 0 only */
    assert_int_equal(commit(&id, 1, &outcome, NULL), ERR_OK);
    assert_int_equal(number_of("SELECT count(*) FROM load2"), 21);
    id = load_started("load2", UPLOAD_REPLACE_TABLE);
    chunk_rows(&id, 0, 3, 1);
    assert_int_equal(commit(&id, 1, &outcome, NULL), ERR_OK);
    assert_int_equal(number_of("SELECT count(*) FROM load2"), 1);
    struct digest version = outcome.version;
    id = load_started("load2", UPLOAD_REPLACE_TABLE);
    chunk_rows(&id, 0, 3, 1);
    assert_int_equal(commit(&id, 1, &outcome, NULL), ERR_OK);
    assert_true(digest_equal(&outcome.version, &version));
}

struct posted {
    struct bytes header;
    struct bytes body;
    atomic_int code; /* -1: no reply yet */
};

static void posted_done(void *context, const struct link_reply *reply)
{
    struct posted *posted = context;
    atomic_store(&posted->code, (int)reply->err.code);
}

static void chunks_that_overtake_each_other_are_put_in_order(void **state)
{
    (void)state;
    enum { CHUNKS = 12 };
    static struct posted posted[CHUNKS];
    struct operator_load_outcome outcome;
    statement("CREATE TABLE load3 (a BIGINT) PARTITIONED BY (p BIGINT)");
    struct statement_id id = load_started("load3", UPLOAD_APPEND);
    for (int i = CHUNKS - 1; i >= 0; i--) { /* the first one last */
        BYTES_CLEANUP struct bytes rows = {0};
        rows_encode(i * 10, 10, &rows);
        const struct operator_load_chunk m = {
            .id = id, .number = (uint64_t)i, .rows = bytes_span(&rows)};
        operator_load_chunk_encode(&m, &posted[i].header, &posted[i].body);
        atomic_store(&posted[i].code, -1);
        const struct link_request request = {
            .method = OPERATOR_LOAD_CHUNK,
            .header = bytes_span(&posted[i].header),
            .body = bytes_span(&posted[i].body),
            .deadline_ms = DEADLINE_MS,
            .on_reply = posted_done,
            .context = &posted[i],
        };
        link_post(f.link, &request);
    }
    for (int i = 0; i < CHUNKS; i++) {
        while (atomic_load(&posted[i].code) < 0)
            usleep(1000);
        assert_int_equal(atomic_load(&posted[i].code), ERR_OK);
        bytes_deinit(&posted[i].header);
        bytes_deinit(&posted[i].body);
    }
    assert_int_equal(commit(&id, CHUNKS, &outcome, NULL), ERR_OK);
    assert_int_equal(outcome.rows, CHUNKS * 10);
}

static void begins_post(const struct statement_id *id, struct posted *posted, size_t count)
{
    const struct operator_load_begin m = {.id = *id,
                                          .project = span_text("demo"),
                                          .table = span_text("load9"),
                                          .auto_partition = true,
                                          .mode = UPLOAD_APPEND};
    for (size_t i = 0; i < count; i++) {
        operator_load_begin_encode(&m, &posted[i].header);
        atomic_store(&posted[i].code, -1);
        const struct link_request request = {
            .method = OPERATOR_LOAD_BEGIN,
            .bulk = i % 2 == 1, /* another connection */
            .header = bytes_span(&posted[i].header),
            .reply_body_bytes = KIB(64),
            .deadline_ms = DEADLINE_MS,
            .on_reply = posted_done,
            .context = &posted[i],
        };
        link_post(f.link, &request);
    }
    for (size_t i = 0; i < count; i++) {
        while (atomic_load(&posted[i].code) < 0)
            usleep(1000);
        assert_int_equal(atomic_load(&posted[i].code), ERR_OK);
        bytes_deinit(&posted[i].header);
    }
}

/* Begun by several requests at once, each of which may find no such load yet. Workers meet there in
 * a few of a hundred rounds. */
static void one_id_is_one_load(void **state)
{
    (void)state;
    enum { ROUNDS = 100, BEGINS = 8 };
    static struct posted posted[BEGINS];
    statement("CREATE TABLE load9 (a BIGINT) PARTITIONED BY (p BIGINT)");
    for (int round = 0; round < ROUNDS; round++) {
        struct statement_id id = id_next();
        struct operator_load_outcome outcome;
        begins_post(&id, posted, BEGINS);
        load_give_up(&id); /* the only one: no other stands behind it */
        assert_int_equal(commit(&id, 0, &outcome, NULL), ERR_NOT_FOUND);
    }
}

static void bad_rows_end_the_load_and_leave_the_table(void **state)
{
    (void)state;
    struct operator_load_outcome outcome;
    struct err err;
    uint64_t next;
    statement("CREATE TABLE load4 (a BIGINT NOT NULL) PARTITIONED BY (p BIGINT)");
    struct statement_id id = load_started("load4", UPLOAD_APPEND);
    chunk_rows(&id, 0, 0, 10);
    BYTES_CLEANUP struct bytes garbage = {0};
    bytes_append_text(&garbage, "these are no rows");
    assert_int_equal(chunk_send(&id, 1, &garbage, &next, &err), ERR_BAD_DATA);
    assert_int_equal(chunk_send(&id, 2, &garbage, &next, &err), ERR_BAD_DATA);
    assert_int_equal(commit(&id, 1, &outcome, &err), ERR_BAD_DATA);
    assert_int_equal(number_of("SELECT count(*) FROM load4"), 0);
}

static void a_load_that_was_given_up_is_gone(void **state)
{
    (void)state;
    struct operator_load_outcome outcome;
    statement("CREATE TABLE load5 (a BIGINT) PARTITIONED BY (p BIGINT)");
    struct statement_id id = load_started("load5", UPLOAD_APPEND);
    chunk_rows(&id, 0, 0, 10);
    load_give_up(&id);
    assert_int_equal(commit(&id, 1, &outcome, NULL), ERR_NOT_FOUND);
    assert_int_equal(number_of("SELECT count(*) FROM load5"), 0);
}

static void commit_post(const struct statement_id *id, struct posted *posted)
{
    const struct operator_load_commit m = {.id = *id, .chunks = 1, .wait_ms = 10000};
    operator_load_commit_encode(&m, &posted->header);
    atomic_store(&posted->code, -1);
    const struct link_request request = {
        .method = OPERATOR_LOAD_COMMIT,
        .header = bytes_span(&posted->header),
        .deadline_ms = DEADLINE_MS,
        .on_reply = posted_done,
        .context = posted,
    };
    link_post(f.link, &request);
}

/* Somebody interrupted the upload in its commit, and asks again. Most of the rounds meet the commit under way. */
static void a_load_that_is_being_committed_is_not_fed_again_and_not_given_up(void **state)
{
    (void)state;
    enum { ROUNDS = 50 };
    unsigned met = 0;
    statement("CREATE TABLE load10 (a BIGINT) PARTITIONED BY (p BIGINT)");
    for (int round = 0; round < ROUNDS; round++) {
        static struct posted posted;
        struct operator_load_state load;
        struct operator_load_outcome outcome;
        ARENA_CLEANUP struct arena arena;
        arena_init(&arena, MIB(1));
        struct statement_id id = load_started("load10", UPLOAD_APPEND);
        chunk_rows(&id, 0, 0, 1000);
        commit_post(&id, &posted);
        do
            assert_int_equal(load_begin(&id, "load10", UPLOAD_APPEND, &load, &arena, NULL), ERR_OK);
        while (load.state == OPERATOR_RUNNING);
        met += atomic_load(&posted.code) < 0;
        load_give_up(&id);
        assert_int_equal(commit(&id, 1, &outcome, NULL), ERR_OK);
        assert_int_equal(outcome.rows, 1000);
        while (atomic_load(&posted.code) < 0)
            usleep(1000);
        bytes_deinit(&posted.header);
    }
    assert_true(met > 0);
    assert_int_equal(number_of("SELECT count(*) FROM load10"), ROUNDS * 1000);
}

static void a_large_result_comes_in_blocks_and_a_block_can_be_asked_for_again(void **state)
{
    (void)state;
    struct operator_load_outcome outcome;
    struct err err = {0};
    statement("CREATE TABLE big (a BIGINT) PARTITIONED BY (p BIGINT)");
    struct statement_id load = load_started("big", UPLOAD_APPEND);
    for (uint64_t i = 0; i < 4; i++)
        chunk_rows(&load, i, (int64_t)i * 50000, 50000);
    assert_int_equal(commit(&load, 4, &outcome, NULL), ERR_OK);
    struct statement_id id = id_next();
    uint64_t rows = 0;
    uint64_t cursor = 0;
    do {
        struct operator_result result;
        ARENA_CLEANUP struct arena arena;
        BYTES_CLEANUP struct bytes body = {0};
        arena_init(&arena, MIB(1));
        static struct column column = {.type = {TYPE_BIGINT, 0, 0}};
        struct schema schema = operator_schema(&column, 1);
        BATCH_CLEANUP struct batch batch;
        batch_init(&batch, &schema);
        for (int times = 0; times < (cursor > 0 ? 2 : 1); times++) {
            enum err_code code =
                cursor == 0 ? execute(&id, "SELECT a FROM big", &result, &arena, &body, &err)
                            : fetch(&id, cursor, &result, &arena, &body, &err);
            if (code != ERR_OK)
                fail_msg("block %" PRIu64 ": %s", cursor, err.message);
        }
        assert_int_equal(batch_decode(result.rows, &batch, NULL), ERR_OK);
        assert_true(result.rows.len <= 2 * LIMIT_RESULT_CHUNK_BYTES);
        rows += batch.rows;
        cursor = result.cursor;
    } while (cursor != 0);
    assert_int_equal(rows, 200000);
}

static void an_export_gives_the_named_columns_of_the_named_partition(void **state)
{
    (void)state;
    struct operator_load_outcome outcome;
    statement("CREATE TABLE ex (a BIGINT) PARTITIONED BY (p BIGINT)");
    struct statement_id load = load_started("ex", UPLOAD_APPEND);
    chunk_rows(&load, 0, 0, 30);
    assert_int_equal(commit(&load, 1, &outcome, NULL), ERR_OK);
    struct operator_pair partition = {span_text("P"), span_text("1")};
    struct span names[] = {span_text("p"), span_text("a")};
    struct operator_export m = {
        .id = id_next(),
        .project = span_text("demo"),
        .table = span_text("ex"),
        .partition = &partition,
        .partition_count = 1,
        .names = names,
        .name_count = 2,
        .limit = 4,
        .wait_ms = 10000,
    };
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes names_body = {0};
    BYTES_CLEANUP struct bytes body = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct operator_result result;
    struct err err = {0};
    operator_export_encode(&m, &header, &names_body);
    if (result_ask(OPERATOR_EXPORT, &header, &names_body, &result, &arena, &body, &err) != ERR_OK)
        fail_msg("%s", err.message);
    struct schema schema = operator_schema(result.columns, result.column_count);
    BATCH_CLEANUP struct batch batch;
    batch_init(&batch, &schema);
    assert_int_equal(batch_decode(result.rows, &batch, NULL), ERR_OK);
    assert_int_equal(batch.rows, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(vector_value(&batch.vectors[0], i).i64, 1);
        assert_int_equal(vector_value(&batch.vectors[1], i).i64, 1 + 3 * (int64_t)i);
    }
    partition.value = span_text("7");
    m.id = id_next();
    bytes_clear(&header);
    bytes_clear(&names_body);
    operator_export_encode(&m, &header, &names_body);
    assert_int_equal(
        result_ask(OPERATOR_EXPORT, &header, &names_body, &result, &arena, &body, &err),
        ERR_NOT_FOUND);
}

/* Three partitions of ten rows: one block, and not a round trip a partition. */
static void a_block_of_an_export_holds_rows_of_many_partitions(void **state)
{
    (void)state;
    struct operator_load_outcome outcome;
    statement("CREATE TABLE ex3 (a BIGINT) PARTITIONED BY (p BIGINT)");
    struct statement_id load = load_started("ex3", UPLOAD_APPEND);
    chunk_rows(&load, 0, 0, 30);
    assert_int_equal(commit(&load, 1, &outcome, NULL), ERR_OK);
    const struct operator_export m = {
        .id = id_next(), .project = span_text("demo"), .table = span_text("ex3"), .wait_ms = 10000};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes names = {0};
    BYTES_CLEANUP struct bytes body = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct operator_result result;
    struct err err = {0};
    operator_export_encode(&m, &header, &names);
    if (result_ask(OPERATOR_EXPORT, &header, &names, &result, &arena, &body, &err) != ERR_OK)
        fail_msg("%s", err.message);
    struct schema schema = operator_schema(result.columns, result.column_count);
    BATCH_CLEANUP struct batch batch;
    batch_init(&batch, &schema);
    assert_int_equal(batch_decode(result.rows, &batch, NULL), ERR_OK);
    assert_int_equal(batch.rows, 30);
    assert_int_equal(result.cursor, 0); /* and no more */
    for (size_t i = 0; i < 30; i++)
        assert_int_equal(vector_value(&batch.vectors[0], i).i64, (int64_t)(i % 10 * 3 + i / 10));
}

#define REFUSED_DOWNLOADS                                                                          \
    "SELECT count(*) FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG WHERE action = 'DOWNLOAD' "  \
    "AND outcome = 'ODPS-0130013' AND project = 'demo' AND object = 'late' AND message LIKE "      \
    "'%protected%'"

/* The first block was given; the right ends; what follows is refused and told as at the start. */
static void a_right_lost_in_the_middle_of_a_download_is_audited(void **state)
{
    (void)state;
    struct operator_load_outcome outcome;
    statement("CREATE TABLE late (a BIGINT) PARTITIONED BY (p BIGINT)");
    struct statement_id load = load_started("late", UPLOAD_APPEND);
    for (uint64_t i = 0; i < 8; i++)
        chunk_rows(&load, i, (int64_t)i * 50000, 50000);
    assert_int_equal(commit(&load, 8, &outcome, NULL), ERR_OK);
    const struct operator_export m = {.id = id_next(),
                                      .project = span_text("demo"),
                                      .table = span_text("late"),
                                      .wait_ms = 10000};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes names = {0};
    BYTES_CLEANUP struct bytes body = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(16));
    struct operator_result result;
    struct err err = {0};
    operator_export_encode(&m, &header, &names);
    if (result_ask(OPERATOR_EXPORT, &header, &names, &result, &arena, &body, &err) != ERR_OK)
        fail_msg("%s", err.message);
    assert_true(result.cursor > 0);
    assert_int_equal(number_of(REFUSED_DOWNLOADS), 0);
    statement("SET ProjectProtection=true");
    enum err_code code = ERR_OK;
    uint64_t blocks = 0; /* some may be made already */
    for (uint64_t cursor = result.cursor; code == ERR_OK; cursor = result.cursor, blocks++) {
        assert_true(cursor > 0); /* not all of it */
        code = fetch(&m.id, cursor, &result, &arena, &body, &err);
    }
    assert_true(blocks < 4);
    assert_int_equal(err_class(code), CLASS_DENIED);
    assert_int_equal(number_of(REFUSED_DOWNLOADS), 1);
    statement("SET ProjectProtection=false");
}

static void requests_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct err err;
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    BYTES_CLEANUP struct bytes reply = {0};
    BYTES_CLEANUP struct bytes reply_body = {0};
    assert_int_equal(ask((enum operator_method)99, &header, NULL, &reply, &reply_body, &err),
                     ERR_PARAMETER);
    assert_int_equal(ask(OPERATOR_EXECUTE, &header, NULL, &reply, &reply_body, &err), ERR_BAD_DATA);
    bytes_append_text(&body, "x");
    assert_int_equal(ask(OPERATOR_STATUS, &header, &body, &reply, &reply_body, &err), ERR_LIMIT);
    bytes_resize(&body, LIMIT_STATEMENT_BYTES + 1);
    memset(body.data, ' ', body.len);
    assert_int_equal(ask(OPERATOR_EXECUTE, &header, &body, &reply, &reply_body, &err), ERR_LIMIT);
}

static void status_and_tasks_answer(void **state)
{
    (void)state;
    struct err err = {0};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes reply = {0};
    BYTES_CLEANUP struct bytes body = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(4));
    struct operator_status status;
    struct operator_tasks tasks;
    assert_int_equal(ask(OPERATOR_STATUS, &header, NULL, &reply, &body, &err), ERR_OK);
    assert_int_equal(operator_status_decode(bytes_span(&body), &arena, &status, &err), ERR_OK);
    assert_true(span_equal(status.region, span_text("cn-hongkong")));
    assert_true(status.counter_count > 5);
    operator_task_query_encode(&(struct operator_task_query){.wait_ms = 10000}, &header);
    assert_int_equal(ask(OPERATOR_WATCH, &header, NULL, &reply, &body, &err), ERR_OK);
    assert_int_equal(operator_tasks_decode(bytes_span(&body), &arena, &tasks, &err), ERR_OK);
    assert_int_equal(tasks.task_count, 0);
    assert_true(tasks.seen != 0);
}

static void a_key_that_is_not_known_gets_no_answer(void **state)
{
    (void)state;
    struct err err;
    IDENTITY_CLEANUP struct identity *stranger = identity_generate();
    struct link *link = link_make(stranger);
    const struct link_request request = {.method = OPERATOR_STATUS, .deadline_ms = 1500};
    assert_int_not_equal(link_call(link, &request, NULL, NULL, &err), ERR_OK);
    link_close(link);
}

/* ---- a client of a program that is much newer ---- */

/* Sends its first message and waits for the end. */
static void future_dial(void)
{
    const struct handshake_hello hello = {.version_min = PROTOCOL_VERSION_MAX + 1,
                                          .version_max = PROTOCOL_VERSION_MAX + 2,
                                          .purpose = PURPOSE_CONTROL};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(f.ports[1]), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    uint8_t message[HANDSHAKE_REQUEST_BYTES], byte;
    HANDSHAKE_CLEANUP struct handshake *handshake = NULL;
    assert_int_equal(handshake_begin(f.root, &f.node_keys.noise, SUITE_CHACHAPOLY,
                                     LISTENER_OPERATORS, &hello, message, &handshake),
                     ERR_OK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(send(fd, message, sizeof(message), MSG_NOSIGNAL), sizeof(message));
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

/* How many such lines with these words. */
static size_t refusals_logged(const char *path, const char *words)
{
    char line[1024];
    size_t count = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        count += strstr(line, "event=\"handshake refused\"") != NULL && strstr(line, words) != NULL;
    fclose(file);
    return count;
}

static void a_version_that_the_node_does_not_speak_is_in_its_log(void **state)
{
    (void)state;
    char path[128], words[128];
    path_in("log", path);
    snprintf(words, sizeof(words), "protocol %u to %u, this node %u to %u\" others=0",
             PROTOCOL_VERSION_MAX + 1, PROTOCOL_VERSION_MAX + 2, PROTOCOL_VERSION_MIN,
             PROTOCOL_VERSION_MAX);
    int before = dup(STDERR_FILENO);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
    const uint64_t end_ms = loop_now_ms() + DEADLINE_MS;
    future_dial();
    while (refusals_logged(path, words) == 0 && loop_now_ms() < end_ms)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    dup2(before, STDERR_FILENO);
    close(before);
    close(file);
    assert_int_equal(refusals_logged(path, words), 1);
    assert_int_equal(refusals_logged(path, "from=ALIYUN$root"), 1); /* that one */
}

static void a_log_tells_of_refused_versions_now_and_then(void **state)
{
    (void)state;
    struct version_refusals refusals = {0};
    uint64_t others = 9;
    assert_true(version_refusals_take(&refusals, 1000, &others));
    assert_int_equal(others, 0);
    assert_false(version_refusals_take(&refusals, 1001, &others));
    assert_false(version_refusals_take(&refusals, 999 + VERSION_REFUSED_EVERY_MS, &others));
    assert_true(version_refusals_take(&refusals, 1000 + VERSION_REFUSED_EVERY_MS, &others));
    assert_int_equal(others, 2);
}

static void a_second_node_is_refused_and_says_why(void **state)
{
    (void)state;
    struct node *node;
    struct err err;
    assert_int_equal(node_try(&node, &err), ERR_LOCKED);
    config_write("other");
    assert_int_equal(node_try(&node, &err), ERR_CONFIG);
    char port[16];
    snprintf(port, sizeof(port), ":%u", f.ports[0]);
    assert_non_null(strstr(err.message, port));
    config_write("data");
}

static void a_restart_keeps_what_was_committed_and_forgets_what_was_not(void **state)
{
    (void)state;
    struct operator_load_outcome outcome;
    struct err err = {0};
    statement("CREATE TABLE again (a BIGINT) PARTITIONED BY (p BIGINT)");
    struct statement_id done = load_started("again", UPLOAD_APPEND);
    chunk_rows(&done, 0, 0, 10);
    assert_int_equal(commit(&done, 1, &outcome, NULL), ERR_OK);
    struct statement_id open = load_started("again", UPLOAD_APPEND);
    chunk_rows(&open, 0, 0, 10);
    node_stop(f.node);
    f.node = NULL;
    if (node_try(&f.node, &err) != ERR_OK)
        fail_msg("%s", err.message);
    link_close(f.link);
    f.link = link_make(f.root);
    assert_int_equal(number_of("SELECT count(*) FROM again"), 10);
    assert_int_equal(commit(&done, 1, &outcome, NULL), ERR_OK);
    assert_int_equal(outcome.rows, 10);
    assert_int_equal(commit(&open, 1, &outcome, NULL), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_is_invisible_before_its_commit_and_whole_after),
        cmocka_unit_test(an_outcome_does_not_tell_what_was_held_before),
        cmocka_unit_test(a_principal_has_a_limited_number_of_loads),
        cmocka_unit_test(one_id_is_one_load),
        cmocka_unit_test(overwrite_and_replace_differ_in_what_they_leave),
        cmocka_unit_test(chunks_that_overtake_each_other_are_put_in_order),
        cmocka_unit_test(bad_rows_end_the_load_and_leave_the_table),
        cmocka_unit_test(a_load_that_was_given_up_is_gone),
        cmocka_unit_test(a_load_that_is_being_committed_is_not_fed_again_and_not_given_up),
        cmocka_unit_test(a_large_result_comes_in_blocks_and_a_block_can_be_asked_for_again),
        cmocka_unit_test(an_export_gives_the_named_columns_of_the_named_partition),
        cmocka_unit_test(a_block_of_an_export_holds_rows_of_many_partitions),
        cmocka_unit_test(a_right_lost_in_the_middle_of_a_download_is_audited),
        cmocka_unit_test(requests_that_cannot_be_are_refused),
        cmocka_unit_test(status_and_tasks_answer),
        cmocka_unit_test(a_key_that_is_not_known_gets_no_answer),
        cmocka_unit_test(a_version_that_the_node_does_not_speak_is_in_its_log),
        cmocka_unit_test(a_log_tells_of_refused_versions_now_and_then),
        cmocka_unit_test(a_second_node_is_refused_and_says_why),
        cmocka_unit_test(a_restart_keeps_what_was_committed_and_forgets_what_was_not),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
