#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/operator.h"

static struct arena arena_for_test(void)
{
    struct arena arena;
    arena_init(&arena, MIB(8));
    return arena;
}

static struct span text(const char *t)
{
    return span_text(t);
}

static void an_execute_comes_back(void **state)
{
    (void)state;
    struct operator_pair settings[] = {{text("a.b"), text("x")}, {text("c"), text("")}};
    struct operator_execute in = {
        .id = {{1, 2, 3}},
        .project = text("demo"),
        .settings = settings,
        .setting_count = 2,
        .token = text("\x01\xff"),
        .tokens = (struct span[]){text("\x01"), text("\x02\xff")},
        .token_count = 2,
        .wait_ms = EXECUTE_WAIT_MAX_MS,
        .text = text("SELECT 1"),
    };
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    operator_execute_encode(&in, &header, &body);
    ARENA_CLEANUP struct arena arena = arena_for_test();
    struct operator_execute out;
    assert_int_equal(
        operator_execute_decode(bytes_span(&header), bytes_span(&body), &arena, &out, NULL),
        ERR_OK);
    assert_memory_equal(out.id.b, in.id.b, 16);
    assert_true(span_equal(out.project, in.project));
    assert_int_equal(out.setting_count, 2);
    assert_true(span_equal(out.settings[0].key, settings[0].key));
    assert_true(span_equal(out.settings[0].value, settings[0].value));
    assert_true(span_equal(out.token, in.token));
    assert_int_equal(out.token_count, 2);
    assert_true(span_equal(out.tokens[1], in.tokens[1]));
    assert_int_equal(out.wait_ms, in.wait_ms);
    assert_true(span_equal(out.text, in.text));
}

static void an_execute_has_a_limited_number_of_limited_tokens(void **state)
{
    (void)state;
    static const uint8_t large[LIMIT_STATEMENT_TOKEN_BYTES + 1];
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    ARENA_CLEANUP struct arena arena = arena_for_test();
    struct span token = span_of(large, sizeof(large));
    struct operator_execute in = {.id = {{1}}, .tokens = &token, .token_count = 1}, out;
    operator_execute_encode(&in, &header, &body);
    assert_int_equal(
        operator_execute_decode(bytes_span(&header), bytes_span(&body), &arena, &out, NULL),
        ERR_BAD_DATA);
    in.token_count = 0;
    bytes_clear(&header);
    operator_execute_encode(&in, &header, &body);
    for (size_t i = 0; i <= LIMIT_STATEMENT_TOKENS; i++)
        bytes_append(&header, "\x32\x01t", 3);
    assert_int_equal(
        operator_execute_decode(bytes_span(&header), bytes_span(&body), &arena, &out, NULL),
        ERR_LIMIT);
}

static struct operator_result result_full(struct column *columns)
{
    columns[0] = (struct column){.name = text("a"), .type = {TYPE_BIGINT, 0, 0}, .not_null = true};
    columns[1] = (struct column){.name = text("a"), .type = {TYPE_DECIMAL, 38, 18}};
    return (struct operator_result){
        .state = OPERATOR_FAILED,
        .columns = columns,
        .column_count = 2,
        .cursor = 7,
        .display = text("+--+"),
        .notice = text("careful"),
        .progress = {.phase = text("walk"),
                     .has_task = true,
                     .task = {{9}},
                     .bytes_done = 1,
                     .bytes_total = 2,
                     .files_done = 3,
                     .files_total = 4,
                     .elapsed_ms = 5},
        .error = {.code = ERR_LEASE_GONE, .message = "gone"},
        .rows = text("\x01\x02"),
    };
}

static void a_result_comes_back(void **state)
{
    (void)state;
    struct column columns[2];
    struct operator_result in = result_full(columns);
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    operator_result_encode(&in, &header, &body);
    ARENA_CLEANUP struct arena arena = arena_for_test();
    struct operator_result out;
    assert_int_equal(
        operator_result_decode(bytes_span(&header), bytes_span(&body), &arena, &out, NULL), ERR_OK);
    assert_int_equal(out.column_count, 2);
    assert_true(out.columns[0].not_null);
    assert_true(type_equal(out.columns[1].type, columns[1].type));
    assert_int_equal(out.cursor, 7);
    assert_true(span_equal(out.display, in.display));
    assert_true(span_equal(out.notice, in.notice));
    assert_true(span_equal(out.rows, in.rows));
    assert_true(out.progress.has_task);
    assert_int_equal(out.progress.files_total, 4);
    assert_int_equal(out.error.code, ERR_LEASE_GONE);
    assert_string_equal(out.error.message, "gone");
}

static void a_result_whose_parts_exceed_the_body_is_refused(void **state)
{
    (void)state;
    struct column columns[2];
    struct operator_result in = result_full(columns);
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    operator_result_encode(&in, &header, &body);
    ARENA_CLEANUP struct arena arena = arena_for_test();
    struct operator_result out;
    struct span cut = {body.data, body.len - in.rows.len - 1};
    assert_int_equal(operator_result_decode(bytes_span(&header), cut, &arena, &out, NULL),
                     ERR_BAD_DATA);
}

static void an_unknown_column_type_is_refused(void **state)
{
    (void)state;
    struct column column = {.name = text("a"), .type = {TYPE_DATETIME + 1, 0, 0}};
    struct operator_result in = {.state = OPERATOR_DONE, .columns = &column, .column_count = 1};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    operator_result_encode(&in, &header, &body);
    ARENA_CLEANUP struct arena arena = arena_for_test();
    struct operator_result out;
    assert_int_equal(
        operator_result_decode(bytes_span(&header), bytes_span(&body), &arena, &out, NULL),
        ERR_BAD_DATA);
}

static void a_statement_above_its_limit_is_refused(void **state)
{
    (void)state;
    struct operator_execute in = {.id = {{1}}};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    operator_execute_encode(&in, &header, &body);
    bytes_resize(&body, LIMIT_STATEMENT_BYTES + 1);
    memset(body.data, ' ', body.len);
    ARENA_CLEANUP struct arena arena = arena_for_test();
    struct operator_execute out;
    struct span within = {body.data, LIMIT_STATEMENT_BYTES};
    assert_int_equal(operator_execute_decode(bytes_span(&header), within, &arena, &out, NULL),
                     ERR_OK);
    assert_int_equal(
        operator_execute_decode(bytes_span(&header), bytes_span(&body), &arena, &out, NULL),
        ERR_LIMIT);
}

static void an_id_of_another_length_is_refused(void **state)
{
    (void)state;
    const uint8_t header[] = {0x0A, 3, 1, 2, 3};
    struct operator_fetch out;
    assert_int_equal(operator_fetch_decode(span_of(header, sizeof(header)), &out, NULL),
                     ERR_BAD_DATA);
}

static void a_wait_above_its_limit_is_refused(void **state)
{
    (void)state;
    struct operator_fetch in = {.id = {{1}}, .wait_ms = EXECUTE_WAIT_MAX_MS + 1};
    BYTES_CLEANUP struct bytes header = {0};
    operator_fetch_encode(&in, &header);
    struct operator_fetch out;
    assert_int_equal(operator_fetch_decode(bytes_span(&header), &out, NULL), ERR_BAD_DATA);
}

static void loads_come_back(void **state)
{
    (void)state;
    struct operator_pair day = {text("day"), text("2026-01-01")};
    struct operator_load_begin begin = {.id = {{5}},
                                        .project = text("p"),
                                        .table = text("t"),
                                        .partition = &day,
                                        .partition_count = 1,
                                        .auto_partition = true,
                                        .mode = UPLOAD_REPLACE_TABLE};
    BYTES_CLEANUP struct bytes header = {0};
    operator_load_begin_encode(&begin, &header);
    ARENA_CLEANUP struct arena arena = arena_for_test();
    struct operator_load_begin begun;
    assert_int_equal(operator_load_begin_decode(bytes_span(&header), &arena, &begun, NULL), ERR_OK);
    assert_true(span_equal(begun.partition[0].value, day.value));
    assert_true(begun.auto_partition);
    assert_int_equal(begun.mode, UPLOAD_REPLACE_TABLE);

    bytes_clear(&header);
    struct operator_load_outcome outcome = {
        .state = OPERATOR_DONE, .rows = 1, .bytes = 2, .partitions = 3, .version = {{8}}};
    operator_load_outcome_encode(&outcome, &header);
    struct operator_load_outcome back;
    assert_int_equal(operator_load_outcome_decode(bytes_span(&header), &back, NULL), ERR_OK);
    assert_int_equal(back.partitions, 3);
    assert_true(digest_equal(&back.version, &outcome.version));
}

static void listings_come_back(void **state)
{
    (void)state;
    struct operator_task tasks[2] = {
        {.id = {{1}}, .statement = text("XCOPY"), .state = text("RUNNING"), .started_ms = 4},
        {.id = {{2}}, .state = text("FAILED"), .error = {ERR_PEER, "bad page"}}};
    BYTES_CLEANUP struct bytes body = {0};
    operator_tasks_encode(&(struct operator_tasks){tasks, 2, 77}, &body);
    ARENA_CLEANUP struct arena arena = arena_for_test();
    struct operator_tasks out;
    assert_int_equal(operator_tasks_decode(bytes_span(&body), &arena, &out, NULL), ERR_OK);
    assert_int_equal(out.task_count, 2);
    assert_int_equal(out.seen, 77);
    assert_int_equal(out.tasks[1].error.code, ERR_PEER);

    bytes_clear(&body);
    struct operator_peer peer = {.region = text("r"), .connected = true, .last_heard_ms = 9};
    operator_peers_encode(&(struct operator_peers){&peer, 1}, &body);
    struct operator_peers peers;
    assert_int_equal(operator_peers_decode(bytes_span(&body), &arena, &peers, NULL), ERR_OK);
    assert_true(peers.peers[0].connected);

    bytes_clear(&body);
    struct operator_counter counter = {
        .name = text("n"), .kind = COUNTER_GAUGE, .value = UINT64_MAX};
    operator_status_encode(
        &(struct operator_status){.region = text("r"), .counters = &counter, .counter_count = 1},
        &body);
    struct operator_status status;
    assert_int_equal(operator_status_decode(bytes_span(&body), &arena, &status, NULL), ERR_OK);
    assert_true(status.counters[0].value == UINT64_MAX);
}

/* An older node's answer has no header. */
static void a_state_in_which_a_task_had_ended_comes_back(void **state)
{
    (void)state;
    struct operator_cancelled in = {.ended = text("DONE")}, out;
    BYTES_CLEANUP struct bytes header = {0};
    ARENA_CLEANUP struct arena arena = arena_for_test();
    operator_cancelled_encode(&in, &header);
    assert_int_equal(operator_cancelled_decode(bytes_span(&header), &arena, &out, NULL), ERR_OK);
    assert_true(span_equal(out.ended, in.ended));
    assert_int_equal(operator_cancelled_decode((struct span){0}, &arena, &out, NULL), ERR_OK);
    assert_int_equal(out.ended.len, 0);
}

static void export_names_come_back(void **state)
{
    (void)state;
    struct span names[] = {text("b"), text("a")};
    struct operator_export in = {
        .id = {{3}}, .table = text("t"), .names = names, .name_count = 2, .limit = 10};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    operator_export_encode(&in, &header, &body);
    ARENA_CLEANUP struct arena arena = arena_for_test();
    struct operator_export out;
    assert_int_equal(
        operator_export_decode(bytes_span(&header), bytes_span(&body), &arena, &out, NULL), ERR_OK);
    assert_int_equal(out.name_count, 2);
    assert_true(span_equal(out.names[0], names[0]));
    assert_int_equal(out.limit, 10);
}

static void requests_of_a_backup_round_trip_and_have_limits(void **state)
{
    (void)state;
    const struct operator_backup_state in = {.region = span_text("cn-hongkong"),
                                             .cut_ms = 1,
                                             .audit_count = 2,
                                             .audit_head = {{3}},
                                             .file_count = 4,
                                             .bytes = 5,
                                             .list_bytes = 6,
                                             .damaged = 7};
    struct operator_backup_read read = {{{9}}, 1, UINT64_MAX, BACKUP_READ_BYTES_MAX}, read_out;
    struct operator_backup_state out, large = in;
    ARENA_CLEANUP struct arena arena;
    BYTES_CLEANUP struct bytes header = {0};
    arena_init(&arena, KIB(16));
    operator_backup_state_encode(&in, &header);
    assert_int_equal(operator_backup_state_decode(bytes_span(&header), &arena, &out, NULL), ERR_OK);
    assert_true(span_equal(out.region, in.region) && digest_equal(&out.audit_head, &in.audit_head));
    assert_true(out.cut_ms == 1 && out.audit_count == 2 && out.file_count == 4 && out.bytes == 5 &&
                out.list_bytes == 6 && out.damaged == 7);
    bytes_clear(&header);
    large.list_bytes = LIMIT_BACKUP_LIST_BYTES + 1;
    operator_backup_state_encode(&large, &header);
    assert_int_equal(operator_backup_state_decode(bytes_span(&header), &arena, &out, NULL),
                     ERR_BAD_DATA);
    bytes_clear(&header);
    operator_backup_read_encode(&read, &header);
    assert_int_equal(operator_backup_read_decode(bytes_span(&header), &read_out, NULL), ERR_OK);
    assert_true(read_out.file == 1 && read_out.offset == UINT64_MAX && read_out.id.b[0] == 9);
    for (int i = 0; i < 2; i++) {
        bytes_clear(&header);
        read.bytes = i == 0 ? 0 : BACKUP_READ_BYTES_MAX + 1;
        operator_backup_read_encode(&read, &header);
        assert_int_equal(operator_backup_read_decode(bytes_span(&header), &read_out, NULL),
                         ERR_BAD_DATA);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_a_backup_round_trip_and_have_limits),
        cmocka_unit_test(an_execute_comes_back),
        cmocka_unit_test(an_execute_has_a_limited_number_of_limited_tokens),
        cmocka_unit_test(a_result_comes_back),
        cmocka_unit_test(a_result_whose_parts_exceed_the_body_is_refused),
        cmocka_unit_test(an_unknown_column_type_is_refused),
        cmocka_unit_test(a_statement_above_its_limit_is_refused),
        cmocka_unit_test(an_id_of_another_length_is_refused),
        cmocka_unit_test(a_wait_above_its_limit_is_refused),
        cmocka_unit_test(loads_come_back),
        cmocka_unit_test(listings_come_back),
        cmocka_unit_test(a_state_in_which_a_task_had_ended_comes_back),
        cmocka_unit_test(export_names_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
