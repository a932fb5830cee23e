/* The page's daily backup of two tables from one region to another, over five days on a clock of the
 * test's own: snapshots at 01:00 there, XCOPY at 02:00 here with src_region="cn-hongkong" as printed, and
 * a verification at 03:00: the page's query of INFORMATION_SCHEMA, and each replica decoded. On one day
 * the node here is down at 02:00, on another it is stopped while a copy runs.
 *
 * Both regions are real stores with real transport (node/task/xcopy_trial.h). The tokens are standing
 * ones, signed here as the client signs them.
 */
#include "node/task/xcopy_trial.h"

#include "node/schedule/runner.h"
#include "node/limits.h"
#include "node/statement/statement.h"
#include "node/schedule/grants.h"
#include "proto/token.h"
#include "store/snapshot.h"

#define DAYS       5
#define DAY_S      INT64_C(86400)
#define HOUR_S     INT64_C(3600)
#define TEXT_BYTES 2048

struct end { /* a region and what runs its schedules */
    struct region *region;
    struct statement_services services;
    struct runner *runner;
    const char *project;
};

static struct limits limits =
    LIMITS_OF(.load_memory_bytes = 64 * MIB(1),
              .select = {.time_ms_max = 60000, .memory_bytes_max = 64 * MIB(1)});
static struct end source = {.region = &there, .project = "src_project"};
static struct end backup = {.region = &here, .project = "dest_project"};
static _Atomic int64_t now_s;
static uint32_t ids;

static uint64_t clock_now_ms(void *context)
{
    (void)context;
    return (uint64_t)now_s * 1000;
}

static bool clock_believed(void *context)
{
    (void)context;
    return true;
}

static void runner_make(struct end *end)
{
    const struct runner_options options = {.services = &end->services,
                                           .workers = end->region->workers,
                                           .now_ms = clock_now_ms,
                                           .believed = clock_believed};
    ok(runner_open(&options, &end->runner, &err));
    end->services.schedules = end->runner;
}

static void runner_end(struct end *end)
{
    runner_stop(end->runner);
    runner_free(end->runner);
    end->runner = NULL;
    end->services.schedules = NULL;
}

static void end_start(struct end *end)
{
    struct region *region = end->region;
    struct change_note made = note();
    struct project_id id;
    const struct project_spec spec = {
        .name = span_text(end->project), .owner = {ROOT_ACCOUNT_ID}, .xcopy_enabled = true};
    ok(project_create(region->store, &spec, &made, &id, &err));
    end->services = (struct statement_services){
        .store = region->store,
        .principals = region->principals,
        .peers = region->peers,
        .tasks = region->tasks,
        .auditor = region->auditor,
        .identity = region->identity,
        .region = region->name,
        .limits = &limits,
    };
    runner_make(end);
}

/* ---- statements of an operator ---- */

struct signed_tokens {
    struct bytes bytes[LIMIT_STATEMENT_TOKENS];
    struct span spans[LIMIT_STATEMENT_TOKENS];
    size_t count;
};

/* What `strait` signs for a CREATE SCHEDULE. */
static void tokens_sign(const struct end *end, const struct statement *statement,
                        struct arena *arena, struct signed_tokens *ret_tokens)
{
    struct schedule_grants grants = {0};
    if (statement->kind == STATEMENT_CREATE_SCHEDULE)
        ok(schedule_grants_find(&statement->create_schedule, span_text(end->project), arena,
                                &grants, &err));
    for (size_t i = 0; i < grants.count; i++) {
        struct token token = token_standing("x_*", grants.runs_a_day);
        token.rights = grants.list[i].rights;
        token.source = grants.list[i].source;
        token.destination = grants.list[i].destination;
        token.destination.region = span_text(end->region->name);
        token.destination_node = identity_public(end->region->identity)->sign;
        token.schedule = statement->create_schedule.name.object;
        token_sign(&token, user, &ret_tokens->bytes[i]);
        ret_tokens->spans[i] = bytes_span(&ret_tokens->bytes[i]);
    }
    ret_tokens->count = grants.count;
}

/* The number in the first cell; 0 without rows. */
static int64_t run(struct end *end, const char *text)
{
    ARENA_CLEANUP struct arena arena;
    ANSWER_CLEANUP struct answer answer;
    struct statement_audit audit = {0};
    struct principal principal;
    struct statement *statement;
    struct signed_tokens tokens = {0};
    bool over = false;
    arena_init(&arena, STATEMENT_ARENA_BYTES);
    answer_init(&answer);
    assert_true(
        principals_find_signer(end->region->principals, &identity_public(user)->sign, &principal));
    ok(statement_parse(span_text(text), &arena, &statement, &err));
    tokens_sign(end, statement, &arena, &tokens);
    struct statement_call call = {.services = &end->services,
                                  .principal = &principal,
                                  .content = digest_of(DOMAIN_STATEMENT, span_text(text)),
                                  .project = span_text(end->project),
                                  .statement = statement,
                                  .arena = &arena,
                                  .tokens = tokens.spans,
                                  .token_count = tokens.count,
                                  .audit = &audit};
    store_u32(call.id.b, ++ids);
    if (statement_run(&call, &answer, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.message);
    for (size_t i = 0; i < tokens.count; i++)
        bytes_deinit(&tokens.bytes[i]);
    if (answer.stream.context != NULL && answer.rows.rows == 0)
        ok(answer.stream.next(answer.stream.context, MIB(1), &answer.rows, &over, &err));
    if (answer.column_count == 0 || answer.rows.rows == 0)
        return 0;
    return vector_value(&answer.rows.vectors[0], 0).i64;
}

static const char *day_text(int64_t day)
{
    static char text[4][16];
    static size_t at;
    time_t time = (time_t)(now_s + day * DAY_S);
    struct tm tm;
    gmtime_r(&time, &tm);
    at = (at + 1) % ARRAY_COUNT(text);
    strftime(text[at], sizeof(text[at]), "%Y%m%d", &tm);
    return text[at];
}

/* ---- runs ---- */

struct states {
    size_t of[RUN_STATE_COUNT];
    size_t seen; /* rows of their last queries together */
};

static enum err_code count_state(void *context, uint64_t schedule, const struct schedule_run *found,
                                 struct err *ret_err)
{
    struct states *states = context;
    (void)schedule;
    (void)ret_err;
    states->of[found->state]++;
    states->seen += found->rows;
    if (found->state == RUN_FAILED)
        printf("failed: %.*s\n", SPAN_PRINTF(found->message));
    return ERR_OK;
}

static struct states states_of(struct end *end)
{
    struct states states = {.seen = 0};
    ok(schedule_run_each(end->region->store, 0, true, count_state, &states, &err));
    ok(schedule_run_each(end->region->store, 0, false, count_state, &states, &err));
    return states;
}

/* Passes of both until nothing runs and nothing waits for another's end. */
static void settle(void)
{
    struct states states;
    size_t rounds = 0;
    do {
        if (source.runner != NULL)
            runner_pass(source.runner);
        if (backup.runner != NULL)
            runner_pass(backup.runner);
        usleep(5000);
        states = states_of(&backup);
        states.of[RUN_RUNNING] += states_of(&source).of[RUN_RUNNING];
    } while (states.of[RUN_RUNNING] > 0 && ++rounds < 6000);
    assert_true(rounds < 6000);
}

static void clock_is(int64_t at_s)
{
    now_s = at_s;
    settle();
    settle();
}

/* ---- the five days ---- */

/* '@' is the first day. */
static void text_make(char text[TEXT_BYTES], const char *form)
{
    const char *day = day_text(0), *at = strchr(form, '@');
    snprintf(text, TEXT_BYTES, "%.*s%.4s-%.2s-%.2s%s", (int)(at - form), form, day, day + 4,
             day + 6, at + 1);
}

static void schedules_make(void)
{
    static const char snapshots[] =
        "CREATE SCHEDULE create_daily_snapshots CRON '0 1 * * *' EFFECTIVE FROM '@' TO "
        "'9999-12-31' SET var1='$[yyyymmdd]', var2='$[yyyymmdd]' COMMENT 'Create daily snapshots "
        "for tables.' AS BEGIN\n"
        "-- This script creates daily snapshots for tables 'a' and 'b'.\n"
        "CREATE SNAPSHOT TABLE a_snapshot_${var1} CLONE a; CREATE SNAPSHOT TABLE "
        "b_snapshot_${var2} CLONE b;\nEND";
    static const char copies[] =
        "CREATE SCHEDULE xcopy_daily_snapshots CRON '0 2 * * *' EFFECTIVE FROM '@' TO "
        "'9999-12-31' RETRY 3 EVERY 30 MINUTES AS BEGIN\n"
        "-- This script uses XCOPY to replicate the daily snapshots created in the source region.\n"
        "XCOPY SNAPSHOT src_project.a_snapshot_$[yyyymmdd] TO SNAPSHOT a_snapshot_$[yyyymmdd] "
        "options(src_region=\"cn-hongkong\"); XCOPY SNAPSHOT src_project.b_snapshot_$[yyyymmdd] TO "
        "SNAPSHOT b_snapshot_$[yyyymmdd] options(src_region=\"cn-hongkong\");\nEND";
    static const char checks[] =
        "CREATE SCHEDULE verify_daily_snapshots CRON '0 3 * * *' EFFECTIVE FROM '@' "
        "AFTER xcopy_daily_snapshots AS BEGIN VERIFY SNAPSHOT a_snapshot_$[yyyymmdd] DEEP; "
        "VERIFY SNAPSHOT b_snapshot_$[yyyymmdd] DEEP; SET odps.namespace.schema=true; "
        "SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.tables WHERE table_catalog = "
        "'dest_project' AND table_type = 'SNAPSHOT_TABLE' AND table_name LIKE "
        "\"%_snapshot_$[yyyymmdd]\"; END";
    char text[TEXT_BYTES];
    text_make(text, snapshots);
    run(&source, text);
    text_make(text, copies);
    run(&backup, text);
    text_make(text, checks);
    run(&backup, text);
}

static void rows_add(int64_t day)
{
    char text[256];
    snprintf(text, sizeof(text), "INSERT INTO a PARTITION (p=%d) VALUES (%d), (%d)", (int)day,
             (int)day, (int)day + 100);
    run(&source, text);
    snprintf(text, sizeof(text), "INSERT INTO b VALUES (%d)", (int)day);
    run(&source, text);
}

static int64_t count_of(struct end *end, const char *table, const char *day)
{
    char text[128];
    snprintf(text, sizeof(text), "SELECT COUNT(*) FROM %s_snapshot_%s", table, day);
    return run(end, text);
}

static struct digest version_of(struct end *end, const char *table, const char *day)
{
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    struct snapshot_record snapshot;
    char name[64];
    arena_init(&arena, 4 * CATALOG_ARENA_BYTES);
    snprintf(name, sizeof(name), "%s_snapshot_%s", table, day);
    ok(project_find(end->region->store, NULL, span_text(end->project), &arena, &project, &err));
    ok(snapshot_find(end->region->store, NULL, project.id, span_text(name), &arena, &snapshot,
                     &err));
    return snapshot.version.version;
}

static void test_five_days_of_the_pages_daily_backup(void **state)
{
    (void)state;
    now_s = (int64_t)time(NULL);
    now_s += DAY_S - now_s % DAY_S;
    int64_t midnight_s = now_s;
    ok(select_start(store_tmp_dir(here.store), &err));
    end_start(&source);
    end_start(&backup);
    run(&source, "CREATE TABLE a (n BIGINT) PARTITIONED BY (p BIGINT)");
    run(&source, "CREATE TABLE b (n BIGINT)");
    schedules_make();
    for (int64_t day = 0; day < DAYS; day++, midnight_s += DAY_S) {
        rows_add(day);
        clock_is(midnight_s + HOUR_S);
        rows_add(day + 1000); /* after the snapshot: not of it */
        if (day == 2) {       /* down at two o'clock */
            runner_end(&backup);
            now_s = midnight_s + 8 * HOUR_S;
            runner_make(&backup);
        } else if (day == 3) { /* stopped while it copies */
            now_s = midnight_s + 2 * HOUR_S;
            atomic_store(&there.holds_files, true);
            for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++, usleep(5000))
                runner_pass(backup.runner);
            assert_non_null(atomic_load(&held));
            assert_int_equal(states_of(&backup).of[RUN_RUNNING], 1);
            runner_end(&backup);
            runner_make(&backup);
            request_let_go(&there);
        }
        clock_is(now_s > midnight_s + 2 * HOUR_S ? now_s : midnight_s + 2 * HOUR_S);
        clock_is(now_s > midnight_s + 3 * HOUR_S ? now_s : midnight_s + 3 * HOUR_S);
    }
    struct states made = states_of(&source), copied = states_of(&backup);
    assert_int_equal(made.of[RUN_SUCCEEDED], DAYS);
    assert_int_equal(copied.of[RUN_SUCCEEDED], 2 * DAYS);
    assert_int_equal(copied.seen, 2 * DAYS); /* two snapshots of each day */
    for (size_t i = 0; i < RUN_STATE_COUNT; i++)
        assert_true(i == RUN_SUCCEEDED || made.of[i] + copied.of[i] == 0);
    now_s = midnight_s - DAYS * DAY_S;
    for (int64_t day = 0; day < DAYS; day++) { /* each is of its day, here as there */
        const char *name = day_text(day);
        assert_int_equal(count_of(&backup, "a", name), 4 * day + 2);
        assert_int_equal(count_of(&backup, "b", name), 2 * day + 1);
        for (size_t i = 0; i < 2; i++) {
            struct digest at_source = version_of(&source, i == 0 ? "a" : "b", name);
            struct digest at_backup = version_of(&backup, i == 0 ? "a" : "b", name);
            assert_true(digest_equal(&at_source, &at_backup));
        }
    }
    runner_end(&source);
    runner_end(&backup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_five_days_of_the_pages_daily_backup),
    };
    there.name = "cn-hongkong";
    here.name = "ap-southeast-1";
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
