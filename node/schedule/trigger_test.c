/* Triggers between two regions in one process: what begins a run, how often, and what a source that lies or goes
 * does. And the tokens without which no schedule is made. Invariants: trigger.h. */
#include "node/task/xcopy_trial.h"

#include "node/schedule/grants.h"
#include "node/schedule/trigger.h"
#include "node/sql/parser.h"
#include "node/statement/schedule_tokens.h"
#include "node/task/meter.h"
#include "store/parts.h"

static struct table_id orders;
static struct triggers *triggers;
static atomic_uint fired;

static void on_fired(void *context)
{
    (void)context;
    atomic_fetch_add(&fired, 1);
}

static void triggers_begin(uint32_t wait_ms)
{
    const struct triggers_options options = {.store = here.store,
                                             .peers = here.peers,
                                             .loop = here.loop,
                                             .workers = here.workers,
                                             .on_fired = on_fired,
                                             .wait_ms = wait_ms};
    ok(triggers_open(&options, &triggers, &err));
}

/* As a node stops: no more is asked, then the links close, then all goes. */
static void here_again(uint32_t wait_ms)
{
    struct triggers *old = triggers;
    triggers_stop(old);
    region_restart(&here, &there);
    triggers_free(old);
    triggers_begin(wait_ms);
}

/* ---- schedules ---- */

static uint64_t now_ms(void)
{
    return (uint64_t)time(NULL) * 1000;
}

static struct token watch_of(const char *table)
{
    char pattern[64];
    snprintf(pattern, sizeof(pattern), "* OF %s", table);
    static char kept[8][64];
    static size_t used;
    char *text = kept[used++ % ARRAY_COUNT(kept)];
    snprintf(text, sizeof(kept[0]), "%s", pattern);
    struct token token = token_standing(text, 1);
    token.rights = TOKEN_WATCH;
    return token;
}

/* On snapshots of `orders` that were made later than created_ms. */
static uint64_t schedule_make(const char *name, enum missed_runs missed, struct token *token)
{
    BYTES_CLEANUP struct bytes bytes = {0};
    ARENA_CLEANUP struct arena arena;
    struct span step = span_text("SELECT 1");
    token_sign(token, user, &bytes);
    struct span tokens = bytes_span(&bytes);
    struct schedule made = {.name = span_text(name),
                            .creator = span_text(ROOT_ACCOUNT_NAME),
                            .created_ms = 1,
                            .timezone = span_text("UTC"),
                            .from_s = INT64_MIN,
                            .to_s = INT64_MAX,
                            .trigger_region = span_text(there.name),
                            .trigger_project = span_text("demo"),
                            .trigger_table = span_text("orders"),
                            .missed = missed,
                            .steps = &step,
                            .step_count = 1,
                            .tokens = &tokens,
                            .token_count = 1};
    struct change_note change = note();
    arena_init(&arena, MIB(1));
    ok(schedule_create(here.store, here.project, &made, &change, &err));
    ok(schedule_find(here.store, here.project, made.name, &arena, &made, &err));
    triggers_changed(triggers);
    return made.id;
}

static void schedule_end(const char *name)
{
    struct change_note change = note();
    struct schedule found;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    ok(schedule_find(here.store, here.project, span_text(name), &arena, &found, &err));
    ok(schedule_drop(here.store, here.project, &found, &change, &err));
    triggers_changed(triggers);
}

static enum err_code run_take(void *context, uint64_t schedule, const struct schedule_run *run,
                              struct err *e)
{
    (void)schedule;
    (void)e;
    assert_int_equal(run->cause, RUN_OF_SNAPSHOT);
    bytes_printf(context, "%.*s ", SPAN_PRINTF(run->snapshot));
    return ERR_OK;
}

/* By planned time: "a b ". */
static const char *runs_of(uint64_t schedule)
{
    static char text[8192];
    BYTES_CLEANUP struct bytes all = {0};
    ok(schedule_run_each(here.store, schedule, false, run_take, &all, &err));
    snprintf(text, sizeof(text), "%.*s", SPAN_PRINTF(bytes_span(&all)));
    return text;
}

static void runs_are(uint64_t schedule, const char *expected)
{
    for (int i = 0; i < 2000 && strcmp(runs_of(schedule), expected) != 0; i++)
        usleep(10000);
    assert_string_equal(runs_of(schedule), expected);
}

static void parked_wait(size_t count)
{
    for (int i = 0; i < 2000 && source_watches(there.source) != count; i++)
        usleep(10000);
    assert_int_equal(source_watches(there.source), count);
}

static void made(const char *name)
{
    snapshot_make(orders, name);
    source_snapshot_made(there.source);
}

static void trouble_is(uint64_t schedule, const char *words)
{
    struct trigger_status status = {0};
    for (int i = 0; i < 2000; i++) {
        if (trigger_status_get(triggers, schedule, &status) &&
            (words[0] == 0 ? status.answered_ms != 0 && status.trouble.code == ERR_OK
                           : strstr(status.trouble.message, words) != NULL))
            return;
        usleep(10000);
    }
    fail_msg("'%s' is not '%s'", status.trouble.message, words);
}

/* ---- what begins a run ---- */

static void test_each_snapshot_begins_one_run_with_its_name(void **state)
{
    (void)state;
    struct token token = watch_of("orders");
    uint64_t id = schedule_make("each", MISSED_RUNS_ALL, &token);
    trouble_is(id, "");
    parked_wait(1);
    made("e_1");
    runs_are(id, "e_1 ");
    parked_wait(1);
    made("e_2");
    runs_are(id, "e_1 e_2 "); /* also within one second: the planned times differ */
    parked_wait(1);
    made("e_2"); /* replaced: a new snapshot, though of that name */
    runs_are(id, "e_1 e_2 e_2 ");
    parked_wait(1);
    assert_true(atomic_load(&fired) >= 3);
    schedule_end("each");
    made("e_3"); /* ends the request that waits */
    parked_wait(0);
    assert_string_equal(runs_of(id), "e_1 e_2 e_2 ");
}

static void test_what_was_made_meanwhile_is_found_as_the_schedule_says(void **state)
{
    (void)state;
    struct token token = watch_of("orders");
    uint64_t all = schedule_make("all", MISSED_RUNS_ALL, &token);
    token = watch_of("orders");
    uint64_t latest = schedule_make("latest", MISSED_RUNS_LATEST, &token);
    token = watch_of("orders");
    uint64_t skip = schedule_make("skip", MISSED_RUNS_SKIP, &token);
    parked_wait(3);
    BYTES_CLEANUP struct bytes before = {0};
    bytes_append_text(&before, runs_of(all));
    char expected[8192];
    size_t latest_before = strlen(runs_of(latest));
    struct triggers *old = triggers;
    triggers_stop(old);
    region_restart(&here, &there);
    triggers_free(old);
    made("m_1");
    made("m_2");
    made("m_3");
    triggers_begin(0);
    snprintf(expected, sizeof(expected), "%.*sm_1 m_2 m_3 ", SPAN_PRINTF(bytes_span(&before)));
    runs_are(all, expected);
    for (int i = 0; i < 2000 && strstr(runs_of(latest), "m_3") == NULL; i++)
        usleep(10000);
    assert_string_equal(runs_of(latest) + latest_before, "m_3 ");
    parked_wait(3);
    assert_string_equal(runs_of(skip), ""); /* made in 2026-01, by the source's clock */
    here_again(0);                          /* and none twice */
    parked_wait(3);
    assert_string_equal(runs_of(all), expected);
    schedule_end("all");
    schedule_end("latest");
    schedule_end("skip");
    made("m_4");
    parked_wait(0);
}

static void test_a_number_is_taken_once_whoever_brings_it(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    struct schedule schedule;
    struct token token = watch_of("other");
    uint64_t number;
    struct schedule_run run = {
        .cause = RUN_OF_SNAPSHOT, .planned_s = 50, .snapshot = span_text("x")};
    uint64_t id = schedule_make("once", MISSED_RUNS_ALL, &token);
    arena_init(&arena, MIB(1));
    ok(schedule_find(here.store, here.project, span_text("once"), &arena, &schedule, &err));
    ok(schedule_runs_fire(here.store, &schedule, &run, 1, 0, 9, &err));
    assert_int_equal(schedule_runs_fire(here.store, &schedule, &run, 1, 0, 9, &err), ERR_CONFLICT);
    assert_string_equal(runs_of(id), "x ");
    run.planned_s = 50;
    ok(schedule_runs_fire(here.store, &schedule, &run, 1, 9, 10, &err));
    assert_int_equal(run.planned_s, 51); /* the next second that is free */
    ok(schedule_fired_get(here.store, &schedule, &number, &err));
    assert_int_equal(number, 10);
    schedule_end("once");
    bool more = true;
    while (more)
        ok(schedule_sweep(here.store, id, 0, true, &more, &err));
    ok(schedule_fired_get(here.store, &schedule, &number, &err));
    assert_int_equal(number, 0);
    /* what still knew it adds nothing, which nobody would sweep */
    says(schedule_runs_fire(here.store, &schedule, &run, 1, 0, 9, &err), ERR_CONFLICT,
         "the schedule was dropped meanwhile");
    says(schedule_runs_add(here.store, &schedule, &run, 1, NULL, NULL, &err), ERR_CONFLICT,
         "the schedule was dropped meanwhile");
    assert_string_equal(runs_of(id), "");
}

struct late {
    const struct schedule *schedule;
    pthread_t thread;
    enum err_code code;
};

static void *late_sweep(void *context)
{
    struct late *late = context;
    struct err reason;
    bool more;
    late->code = schedule_sweep(here.store, late->schedule->id, 0, true, &more, &reason);
    return NULL;
}

static void *late_add(void *context)
{
    struct late *late = context;
    const struct schedule_run run = {
        .cause = RUN_OF_SNAPSHOT, .planned_s = 50, .snapshot = span_text("x")};
    struct err reason;
    late->code = schedule_runs_add(here.store, late->schedule, &run, 1, NULL, NULL, &reason);
    return NULL;
}

static void commits_hold(bool holds)
{
    struct catalog_line *line = &here.store->catalog_line;
    pthread_mutex_lock(&line->lock);
    line->led = holds;
    pthread_cond_broadcast(&line->moved);
    pthread_mutex_unlock(&line->lock);
}

static void commits_wait_for(size_t count)
{
    struct catalog_line *line = &here.store->catalog_line;
    size_t length = 0;
    for (int i = 0; i < 2000 && length < count; i++) {
        usleep(10000);
        length = 0;
        pthread_mutex_lock(&line->lock);
        for (const struct catalog_wait *wait = line->first; wait != NULL; wait = wait->next)
            length++;
        pthread_mutex_unlock(&line->lock);
    }
    assert_int_equal(length, count);
}

/* Who adds has seen the schedule, and comes to commit behind the sweep. */
static void test_a_run_that_comes_while_its_schedule_is_swept_is_not_added(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    struct schedule schedule;
    struct token token = watch_of("other");
    uint64_t id = schedule_make("late", MISSED_RUNS_ALL, &token);
    arena_init(&arena, MIB(1));
    ok(schedule_find(here.store, here.project, span_text("late"), &arena, &schedule, &err));
    schedule_end("late");
    struct late sweeps = {.schedule = &schedule}, adds = {.schedule = &schedule};
    commits_hold(true);
    assert_int_equal(pthread_create(&sweeps.thread, NULL, late_sweep, &sweeps), 0);
    commits_wait_for(1);
    assert_int_equal(pthread_create(&adds.thread, NULL, late_add, &adds), 0);
    commits_wait_for(2);
    commits_hold(false);
    pthread_join(sweeps.thread, NULL);
    pthread_join(adds.thread, NULL);
    assert_int_equal(sweeps.code, ERR_OK);
    assert_int_equal(adds.code, ERR_CONFLICT);
    assert_string_equal(runs_of(id), "");
}

static void test_what_the_source_has_is_known_while_it_is_watched(void **state)
{
    (void)state;
    struct meter_newest newest = {
        .account = {ROOT_ACCOUNT_ID}, .table = orders, .region = span_text(there.name)};
    struct token token = watch_of("orders");
    ok(meter_newest_find(here.store, &newest, &err));
    uint64_t before_ms = newest.made_ms;
    uint64_t id = schedule_make("lag", MISSED_RUNS_SKIP, &token);
    trouble_is(id, "");
    parked_wait(1);
    made("lag_1");
    for (int i = 0; i < 2000 && newest.made_ms <= before_ms; i++) {
        usleep(10000);
        ok(meter_newest_find(here.store, &newest, &err));
    }
    assert_true(newest.made_ms > before_ms && newest.told_ms + 60000 > now_ms());
    schedule_end("lag");
    made("lag_2");
    parked_wait(0);
}

/* ---- sources that go, refuse or lie ---- */

static void test_a_source_that_goes_and_comes_is_watched_on(void **state)
{
    (void)state;
    struct token token = watch_of("orders");
    uint64_t id = schedule_make("goes", MISSED_RUNS_LATEST, &token);
    parked_wait(1);
    size_t before = strlen(runs_of(id));
    region_restart(&there, &here);
    made("g_1");
    for (int i = 0; i < 2000 && strlen(runs_of(id)) == before; i++)
        usleep(10000);
    assert_string_equal(runs_of(id) + before, "g_1 ");
    trouble_is(id, "");
    schedule_end("goes");
    made("g_2");
    parked_wait(0);
}

static void test_what_the_source_refuses_is_told(void **state)
{
    (void)state;
    struct token token = watch_of("orders");
    token_take_back(&token);
    uint64_t id = schedule_make("refused", MISSED_RUNS_LATEST, &token);
    trouble_is(id, "no table demo.orders, or no right to it");
    schedule_end("refused");
    token = watch_of("orders");
    token.destination_node = identity_public(there.identity)->sign;
    id = schedule_make("wrong", MISSED_RUNS_LATEST, &token);
    trouble_is(id, "the token is for another node");
    schedule_end("wrong");
    parked_wait(0);
}

static void test_a_name_that_is_none_goes_into_no_statement(void **state)
{
    (void)state;
    struct token token = watch_of("orders");
    uint64_t id = schedule_make("injected", MISSED_RUNS_ALL, &token);
    parked_wait(1);
    BYTES_CLEANUP struct bytes before = {0};
    bytes_append_text(&before, runs_of(id));
    bytes_append_u8(&before, 0);
    made("x; DROP TABLE y"); /* the store below takes any name; the statement would not */
    trouble_is(id, "told of a snapshot that is none");
    assert_string_equal(runs_of(id), (const char *)before.data);
    schedule_end("injected");
    parked_wait(0);
}

/* ---- CREATE SCHEDULE ---- */

#define COPY                                                                                       \
    "CREATE SCHEDULE nightly CRON '0 2 * * *' AS BEGIN XCOPY SNAPSHOT demo.x_$[yyyymmdd] TO "      \
    "SNAPSHOT x_$[yyyymmdd] OPTIONS(src_region='ap-southeast-1'); END"

static enum err_code taken(const char *text, struct token *list, size_t count,
                           const struct identity *signer)
{
    ARENA_CLEANUP struct arena arena;
    struct bytes encoded[4] = {{0}};
    struct span tokens[4];
    struct statement *statement;
    struct schedule schedule = {0};
    const struct project_record project = {.name = span_text("demo")};
    const struct statement_services services = {
        .identity = here.identity, .region = here.name, .peers = here.peers};
    arena_init(&arena, STATEMENT_ARENA_BYTES);
    ok(statement_parse(span_text(text), &arena, &statement, &err));
    for (size_t i = 0; i < count; i++) {
        token_sign(&list[i], signer, &encoded[i]);
        tokens[i] = bytes_span(&encoded[i]);
    }
    const struct statement_call call = {.services = &services,
                                        .principal = root_principal(),
                                        .statement = statement,
                                        .arena = &arena,
                                        .tokens = tokens,
                                        .token_count = count};
    enum err_code code = schedule_tokens_take(&call, &project, &schedule, &err);
    if (code == ERR_OK)
        assert_int_equal(schedule.token_count, count);
    for (size_t i = 0; i < count; i++)
        bytes_deinit(&encoded[i]);
    return code;
}

static void test_a_schedule_is_made_with_the_tokens_of_its_copies(void **state)
{
    (void)state;
    struct identity *stranger = identity_generate();
    struct token list[2] = {token_standing("x_*", 32), token_standing("x_*", 32)};
    list[0].rights = list[1].rights = TOKEN_DESCRIBE | TOKEN_PAGES | TOKEN_FILES;
    const struct token right = list[0];
    says(taken(COPY, list, 1, user), ERR_OK, "");
    says(taken(COPY, list, 0, user), ERR_CREDENTIALS,
         "without a delegation for its statement 1, of demo.x_* to demo.x_*");
    says(taken(COPY, list, 2, user), ERR_PARAMETER, "more tokens than it copies");
    says(taken(COPY, list, 1, stranger), ERR_DENIED, "by another key than the session's");
    list[0] = token_base("x_1");
    says(taken(COPY, list, 1, user), ERR_CREDENTIALS, "without a delegation");
    list[0] = right;
    list[0].source.snapshot = span_text("y_*");
    says(taken(COPY, list, 1, user), ERR_CREDENTIALS, "without a delegation");
    list[0] = right;
    list[0].destination_node = identity_public(there.identity)->sign;
    says(taken(COPY, list, 1, user), ERR_DENIED, "for another node");
    list[0] = right;
    list[0].issued_s -= 10000;
    list[0].not_after_s = list[0].issued_s + 100;
    says(taken(COPY, list, 1, user), ERR_CREDENTIALS, "has ended");
    says(taken(
             "CREATE SCHEDULE s ON SNAPSHOT OF demo.orders OPTIONS(src_region='ap-southeast-1') AS "
             "BEGIN SELECT 1; END",
             list, 0, user),
         ERR_CREDENTIALS, "without a delegation for its trigger");
    identity_free(stranger);
}

static int setup(void **state)
{
    int code = group_setup(state);
    orders = table_make("orders");
    triggers_begin(0);
    return code;
}

static int teardown(void **state)
{
    struct triggers *old = triggers;
    triggers_stop(old);
    int code = group_teardown(state);
    triggers_free(old);
    return code;
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_snapshot_begins_one_run_with_its_name),
        cmocka_unit_test(test_what_was_made_meanwhile_is_found_as_the_schedule_says),
        cmocka_unit_test(test_a_number_is_taken_once_whoever_brings_it),
        cmocka_unit_test(test_a_run_that_comes_while_its_schedule_is_swept_is_not_added),
        cmocka_unit_test(test_what_the_source_has_is_known_while_it_is_watched),
        cmocka_unit_test(test_a_source_that_goes_and_comes_is_watched_on),
        cmocka_unit_test(test_what_the_source_refuses_is_told),
        cmocka_unit_test(test_a_schedule_is_made_with_the_tokens_of_its_copies),
        cmocka_unit_test(test_a_name_that_is_none_goes_into_no_statement),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
