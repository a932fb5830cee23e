/* CREATE, ALTER, DROP, RUN SCHEDULE, SHOW SCHEDULES, SHOW CREATE SCHEDULE, SHOW SCHEDULE RUNS. What runs them: node/schedule.
 *
 * A schedule is its creator's: it and who administers the project see it; to other users of the project
 * it is not there.
 */

#include "node/schedule/plan.h"
#include "node/schedule/runner.h"
#include "node/schedule/step.h"
#include "node/schedule/trigger.h"
#include "node/sql/lexer.h"
#include "node/statement/lookup.h"
#include "node/statement/schedule_text.h"
#include "node/statement/schedule_tokens.h"
#include "node/statement/show_like.h"

#define DAY_S INT64_C(86400)

bool schedule_is_seen(const struct statement_call *call, const struct project_record *project,
                      const struct schedule *schedule)
{
    bool own = principal_id(call->principal) == schedule->creator_id;
    return own || authorise(call->principal, ACTION_ADMINISTER,
                            object_project(call->services->store, project), NULL) == ERR_OK;
}

/* ERR_NOT_FOUND in the same words for what is not there and what the principal may not see. */
static enum err_code schedule_lookup(const struct statement_call *call, const struct name *name,
                                     struct project_record *ret_project,
                                     struct schedule *ret_schedule, struct err *err)
{
    struct err reason;
    TRY(lookup_project(call, name->project, ACTION_ENTER, ret_project, err));
    enum err_code code = schedule_find(call->services->store, ret_project->id, name->object,
                                       call->arena, ret_schedule, &reason);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return err_set(err, code, "%s", reason.message);
    if (code == ERR_OK && schedule_is_seen(call, ret_project, ret_schedule))
        return ERR_OK;
    statement_note_refused(call, ret_project, name->object);
    return err_set(err, ERR_NOT_FOUND, "there is no schedule %.*s in project %.*s",
                   SPAN_PRINTF(name->object), SPAN_PRINTF(ret_project->name));
}

/* Who runs schedules, and who watches for them. */
static void changed(const struct statement_call *call)
{
    runner_changed(call->services->schedules);
    triggers_changed(call->services->triggers);
}

/* ---- what CREATE SCHEDULE says ---- */

/* "line L, column C: <what>" of the whole statement's text. */
static enum err_code fail_at(const struct statement_call *call, size_t at, const struct err *reason,
                             struct err *err)
{
    struct position position = position_find(call->statement->text, at);
    return err_set(err, reason->code, "line %u, column %u: %s", position.line, position.column,
                   reason->message);
}

/* A day, or a time, by the schedule's clock. *ret_day: no time was said. */
static enum err_code local_parse(const struct literal *literal, int64_t *ret_local_s, bool *ret_day,
                                 struct err *err)
{
    struct value value;
    struct err reason;
    if (literal_value(literal, (struct type){.kind = TYPE_DATETIME}, &value, &reason) != ERR_OK ||
        value.null)
        return err_set(err, ERR_SEMANTIC,
                       "'%.*s' is neither a day like '2026-01-05' nor a time like "
                       "'2026-01-05 01:00:00' of the schedule's clock",
                       SPAN_PRINTF(literal->text));
    *ret_day = literal->text.len <= strlen("2026-01-05");
    *ret_local_s = (value.i64 - (value.i64 % 1000 + 1000) % 1000) / 1000;
    return ERR_OK;
}

static enum err_code clock_fill(const struct statement_call *call, struct zone **ret_zone,
                                struct schedule *schedule, struct err *err)
{
    const struct create_schedule *create = &call->statement->create_schedule;
    struct cron cron;
    struct err reason;
    int64_t local_s;
    bool day;
    schedule->timezone = create->timezone.len > 0 ? create->timezone : span_text("UTC");
    if (create->has_cron && cron_parse(create->cron, &cron, &reason) != ERR_OK)
        return fail_at(call, create->cron_at, &reason, err);
    schedule->cron = create->cron;
    if (zone_open(schedule->timezone, ret_zone, &reason) != ERR_OK)
        return fail_at(call, create->timezone_at, &reason, err);
    schedule->from_s = INT64_MIN;
    schedule->to_s = INT64_MAX;
    if (create->has_from) {
        TRY(local_parse(&create->effective_from, &local_s, &day, err));
        schedule->from_s = zone_utc_s(*ret_zone, local_s);
    }
    if (create->has_to) { /* a day is of it */
        TRY(local_parse(&create->effective_to, &local_s, &day, err));
        schedule->to_s =
            day ? zone_utc_s(*ret_zone, local_s + DAY_S) - 1 : zone_utc_s(*ret_zone, local_s);
    }
    if (schedule->from_s > schedule->to_s)
        return err_set(err, ERR_SEMANTIC, "EFFECTIVE ends before it begins");
    return ERR_OK;
}

static enum err_code variables_fill(const struct statement_call *call, int64_t planned_local_s,
                                    struct schedule *schedule, struct err *err)
{
    const struct create_schedule *create = &call->statement->create_schedule;
    const struct parameters without = {.planned_local_s = planned_local_s};
    struct err reason;
    schedule->variables =
        arena_alloc(call->arena, create->variable_count + 1, sizeof(*schedule->variables));
    if (schedule->variables == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs too much memory");
    for (size_t i = 0; i < create->variable_count; i++) {
        const struct schedule_variable *variable = &create->variables[i];
        BYTES_CLEANUP struct bytes out = {0};
        size_t at = 0;
        if (parameter_name_check(variable->name, &reason) != ERR_OK)
            return fail_at(call, variable->at, &reason, err);
        if (parameters_expand(&without, variable->value, LIMIT_SCHEDULE_BYTES, &out, &at,
                              &reason) != ERR_OK)
            return fail_at(call, variable->value_at + 1 + at, &reason, err);
        schedule->variables[i] = (struct parameter){variable->name, variable->value};
    }
    schedule->variable_count = create->variable_count;
    return ERR_OK;
}

static enum err_code steps_fill(const struct statement_call *call, int64_t planned_local_s,
                                struct schedule *schedule, struct err *err)
{
    const struct create_schedule *create = &call->statement->create_schedule;
    struct err reason;
    size_t step = 0, at = 0;
    schedule->steps = arena_alloc(call->arena, create->step_count + 1, sizeof(*schedule->steps));
    if (schedule->steps == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs too much memory");
    for (size_t i = 0; i < create->step_count; i++)
        schedule->steps[i] = create->steps[i].text;
    schedule->step_count = create->step_count;
    if (steps_check(schedule, planned_local_s, &step, &at, &reason) != ERR_OK) {
        struct err named = {.code = reason.code};
        snprintf(named.message, sizeof(named.message), "statement %zu: %.*s", step + 1,
                 ERR_MESSAGE_BYTES - 40, reason.message);
        return fail_at(call, create->steps[step].at + at, &named, err);
    }
    return ERR_OK;
}

/* It is there, has a clock, and does not come after this one itself. */
static enum err_code after_check(const struct statement_call *call,
                                 const struct project_record *project,
                                 const struct schedule *schedule, struct err *err)
{
    struct span after = schedule->after;
    for (size_t depth = 0; after.len > 0; depth++) {
        struct schedule other;
        if (name_equal(after, schedule->name) || depth > LIMIT_SCHEDULES)
            return err_set(err, ERR_SEMANTIC, "AFTER %.*s: it would come after itself",
                           SPAN_PRINTF(schedule->after));
        enum err_code code =
            schedule_find(call->services->store, project->id, after, call->arena, &other, err);
        bool seen = code == ERR_OK && schedule_is_seen(call, project, &other);
        if (depth == 0 && (code == ERR_NOT_FOUND || (code == ERR_OK && !seen)))
            return err_set(err, ERR_NOT_FOUND, "AFTER: there is no schedule %.*s in project %.*s",
                           SPAN_PRINTF(after), SPAN_PRINTF(project->name));
        if (code == ERR_NOT_FOUND)
            return ERR_OK;
        TRY(code);
        if (depth == 0 && other.cron.len == 0)
            return err_set(err, ERR_SEMANTIC, "AFTER %.*s: it has no CRON, so no planned times",
                           SPAN_PRINTF(after));
        after = other.after;
    }
    return ERR_OK;
}

static enum err_code create_fill(const struct statement_call *call,
                                 const struct project_record *project, struct schedule *schedule,
                                 struct err *err)
{
    const struct create_schedule *create = &call->statement->create_schedule;
    ZONE_CLEANUP struct zone *zone = NULL;
    *schedule = (struct schedule){
        .name = create->name.object,
        .creator = span_text(call->principal->name),
        .creator_id = principal_id(call->principal),
        .keys = call->principal->keys,
        .created_ms = statement_now_ms(),
        .after = create->after,
        .retry_count = (uint32_t)create->retry_count,
        .retry_minutes = (uint32_t)create->retry_minutes,
        .missed = create->missed,
        .comment = create->comment,
    };
    if (create->on_snapshot) {
        schedule->trigger_region = option_find(&create->trigger_options, "src_region")->value.text;
        schedule->trigger_project = create->trigger.project;
        schedule->trigger_table = create->trigger.object;
    }
    TRY(clock_fill(call, &zone, schedule, err));
    int64_t planned_local_s = zone_local_s(zone, (int64_t)(schedule->created_ms / 1000));
    TRY(variables_fill(call, planned_local_s, schedule, err));
    TRY(steps_fill(call, planned_local_s, schedule, err));
    TRY(schedule_tokens_take(call, project, schedule, err));
    return after_check(call, project, schedule, err);
}

enum err_code statement_create_schedule(const struct statement_call *call, struct answer *answer,
                                        struct err *err)
{
    const struct create_schedule *create = &call->statement->create_schedule;
    struct project_record project;
    struct schedule schedule;
    struct err reason;
    TRY(lookup_project(call, create->name.project, ACTION_CREATE_INSTANCE, &project, err));
    if (!name_valid(create->name.object))
        return name_invalid(create->name.object, err);
    if (call->statement->text.len > LIMIT_SCHEDULE_BYTES)
        return err_set(err, ERR_LIMIT, "CREATE SCHEDULE has %zu bytes, at most %zu are allowed",
                       call->statement->text.len, LIMIT_SCHEDULE_BYTES);
    TRY(create_fill(call, &project, &schedule, err));
    struct change_note note = statement_note(call);
    enum err_code code =
        schedule_create(call->services->store, project.id, &schedule, &note, &reason);
    if (code == ERR_EXISTS && create->if_not_exists) {
        answer_set_notice(answer, "%s", reason.message);
        return ERR_OK;
    }
    if (code == ERR_EXISTS)
        return err_set(err, code, "%s: DROP SCHEDULE %.*s first", reason.message,
                       SPAN_PRINTF(schedule.name));
    changed(call);
    if (code == ERR_OK && schedule.to_s < (int64_t)(schedule.created_ms / 1000))
        answer_set_notice(answer, "EFFECTIVE has ended: only RUN SCHEDULE %.*s runs it",
                          SPAN_PRINTF(schedule.name));
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

/* ---- ALTER, DROP ---- */

enum err_code statement_alter_schedule(const struct statement_call *call, struct answer *answer,
                                       struct err *err)
{
    const struct alter_schedule *alter = &call->statement->alter_schedule;
    struct project_record project;
    struct schedule schedule;
    (void)answer;
    TRY(schedule_lookup(call, &alter->name, &project, &schedule, err));
    if (!alter->pause)
        TRY(schedule_tokens_last(&schedule, err));
    struct change_note note = statement_note(call);
    enum err_code code =
        schedule_pause_set(call->services->store, project.id, &schedule, alter->pause,
                           (int64_t)(statement_now_ms() / 1000), &note, err);
    changed(call);
    return code;
}

static enum err_code running_look(void *context, uint64_t id, const struct schedule_run *run,
                                  struct err *err)
{
    bool *running = context;
    (void)id;
    (void)err;
    *running = *running || run->state == RUN_RUNNING;
    return ERR_OK;
}

enum err_code statement_drop_schedule(const struct statement_call *call, struct answer *answer,
                                      struct err *err)
{
    const struct drop_object *drop = &call->statement->drop;
    struct project_record project;
    struct schedule schedule;
    struct err reason;
    bool more = true;
    enum err_code code = schedule_lookup(call, &drop->name, &project, &schedule, &reason);
    if (code == ERR_NOT_FOUND && drop->if_exists) {
        answer_set_notice(answer, "%s", reason.message);
        return ERR_OK;
    }
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    struct change_note note = statement_note(call);
    bool running = false;
    TRY(schedule_run_each(call->services->store, schedule.id, false, running_look, &running, err));
    code = schedule_drop(call->services->store, project.id, &schedule, &note, err);
    changed(call);
    if (code == ERR_OK && running)
        answer_set_notice(answer,
                          "a run of it is under way: its statement goes on to its end (of an "
                          "XCOPY, CANCEL TASK ends it), and no further one begins");
    while (code == ERR_OK && more) /* what is left the runner's sweep takes */
        if (schedule_sweep(call->services->store, schedule.id, 0, true, &more, &reason) != ERR_OK)
            break;
    return code;
}

/* ---- RUN SCHEDULE ---- */

struct asked {
    struct schedule_run *runs;
    size_t count;
};

static void asked_add(struct asked *asked, int64_t planned_s, bool allow_past_snapshots)
{
    asked->runs = mem_realloc(asked->runs, asked->count + 1, sizeof(*asked->runs));
    asked->runs[asked->count++] = (struct schedule_run){
        .planned_s = planned_s,
        .cause = RUN_OF_OPERATOR,
        .allow_past_snapshots = allow_past_snapshots,
        .created_ms = statement_now_ms(),
    };
}

/* A time: this one. Days: all planned times of them, whatever EFFECTIVE says. */
static enum err_code asked_fill(const struct run_schedule *run, const struct schedule *schedule,
                                const struct zone *zone, bool allow, struct asked *asked,
                                struct err *err)
{
    struct plan plan = {.zone = zone, .from_s = INT64_MIN, .to_s = INT64_MAX};
    int64_t first_s, last_s, planned_s;
    bool first_day, last_day;
    TRY(local_parse(&run->first, &first_s, &first_day, err));
    last_s = first_s;
    last_day = first_day;
    if (run->has_last)
        TRY(local_parse(&run->last, &last_s, &last_day, err));
    if (last_s < first_s)
        return err_set(err, ERR_SEMANTIC, "RUN SCHEDULE: the last day is before the first");
    if (!first_day && !run->has_last) {
        asked_add(asked, zone_utc_s(zone, first_s), allow);
        return ERR_OK;
    }
    if (schedule->cron.len == 0)
        return err_set(err, ERR_SEMANTIC,
                       "the schedule has no CRON, so no planned times: say one, such as "
                       "'2026-01-05 01:00:00'");
    TRY(cron_parse(schedule->cron, &plan.cron, err));
    plan.to_s = zone_utc_s(zone, last_day ? last_s + DAY_S : last_s + 1) - 1;
    for (int64_t after_s = zone_utc_s(zone, first_s) - 1; plan_next(&plan, after_s, &planned_s);
         after_s = planned_s) {
        if (asked->count >= LIMIT_SCHEDULE_BACKFILL)
            return err_set(err, ERR_LIMIT, "these are more than %d runs: ask for fewer days",
                           LIMIT_SCHEDULE_BACKFILL);
        asked_add(asked, planned_s, allow);
    }
    if (asked->count == 0)
        return err_set(err, ERR_SEMANTIC, "no run is planned then");
    return ERR_OK;
}

/* Else a run has a time that no answer can show. By planned time, ascending. */
static enum err_code years_check(const struct asked *asked, struct err *err)
{
    if (asked->runs[0].planned_s >= PLANNED_S_MIN &&
        asked->runs[asked->count - 1].planned_s <= PLANNED_S_MAX)
        return ERR_OK;
    return err_set(err, ERR_SEMANTIC,
                   "RUN SCHEDULE: of the years 1 to 9999, also by the clock of UTC");
}

static enum err_code past_check(const struct schedule *schedule, const struct zone *zone,
                                const struct asked *asked, bool allow, struct err *err)
{
    int64_t now_s = zone_local_s(zone, (int64_t)(statement_now_ms() / 1000));
    int64_t first_s = zone_local_s(zone, asked->runs[0].planned_s);
    if (allow || first_s >= now_s - now_s % DAY_S || !steps_make_snapshots(schedule, first_s))
        return ERR_OK;
    return err_set(err, ERR_SEMANTIC,
                   "the schedule makes snapshots: run for a past day they would keep the data of "
                   "today under that day's name; OPTIONS(allow_past_snapshots=true) runs it all "
                   "the same");
}

static enum err_code pending_count(void *context, uint64_t schedule, const struct schedule_run *run,
                                   struct err *err)
{
    size_t *count = context;
    (void)schedule;
    (void)run;
    (void)err;
    ++*count;
    return ERR_OK;
}

/* What waits is remembered, and looked at again and again. */
static enum err_code pending_check(const struct statement_call *call,
                                   const struct schedule *schedule, const struct asked *asked,
                                   struct err *err)
{
    size_t count = 0;
    TRY(schedule_run_each(call->services->store, schedule->id, false, pending_count, &count, err));
    return count + asked->count <= LIMIT_SCHEDULE_PENDING
               ? ERR_OK
               : err_set(err, ERR_LIMIT,
                         "%zu runs of the schedule have not ended, and with these there would be "
                         "more than %d: wait for them, or ask for fewer days",
                         count, LIMIT_SCHEDULE_PENDING);
}

static enum err_code asked_run(const struct statement_call *call, const struct schedule *schedule,
                               const struct zone *zone, struct asked *asked, struct err *err)
{
    const struct run_schedule *run = &call->statement->run_schedule;
    bool allow = false;
    TRY(option_boolean(&run->options, "allow_past_snapshots", &allow, err));
    TRY(asked_fill(run, schedule, zone, allow, asked, err));
    TRY(years_check(asked, err));
    TRY(past_check(schedule, zone, asked, allow, err));
    TRY(pending_check(call, schedule, asked, err));
    struct change_note note = statement_note(call);
    return schedule_runs_add(call->services->store, schedule, asked->runs, asked->count, NULL,
                             &note, err);
}

static void asked_tell(const struct schedule *schedule, const struct asked *asked,
                       struct answer *answer)
{
    int64_t now_s = (int64_t)(statement_now_ms() / 1000);
    char waits[48] = "";
    size_t later = 0;
    for (size_t i = 0; i < asked->count; i++)
        if (asked->runs[i].planned_s > now_s)
            later++;
    if (later > 0)
        snprintf(waits, sizeof(waits), ", %zu when %s time comes", later,
                 later == 1 ? "its" : "their");
    answer_set_notice(answer, "%zu run%s%s: SHOW SCHEDULE RUNS FOR %.*s tells how", asked->count,
                      asked->count == 1 ? "" : "s", waits, SPAN_PRINTF(schedule->name));
}

enum err_code statement_run_schedule(const struct statement_call *call, struct answer *answer,
                                     struct err *err)
{
    ZONE_CLEANUP struct zone *zone = NULL;
    struct project_record project;
    struct schedule schedule;
    struct asked asked = {0};
    TRY(schedule_lookup(call, &call->statement->run_schedule.name, &project, &schedule, err));
    TRY(zone_open(schedule.timezone, &zone, err));
    enum err_code code = asked_run(call, &schedule, zone, &asked, err);
    if (code == ERR_OK)
        asked_tell(&schedule, &asked, answer);
    mem_free(asked.runs);
    runner_changed(call->services->schedules);
    return code;
}

/* ---- SHOW SCHEDULES ---- */

struct listing {
    const struct statement_call *call;
    const struct project_record *project;
    struct answer *answer;
};

/* Of the project, with a word about those that cannot be read. */
static enum err_code listing_each(struct listing *listing, on_schedule *add, struct err *err)
{
    size_t damaged;
    TRY(schedule_each(listing->call->services->store, listing->project->id, add, listing, &damaged,
                      err));
    if (damaged > 0)
        answer_set_notice(listing->answer,
                          "%zu schedules of the project cannot be read, and do not run: their "
                          "records are damaged",
                          damaged);
    return ERR_OK;
}

static void add_text(struct answer *answer, struct span text)
{
    if (text.len > 0)
        answer_add_text(answer, text);
    else
        answer_add_null(answer);
}

static void add_trigger(struct answer *answer, const struct schedule *schedule)
{
    char text[LIMIT_REGION_BYTES + 2 * LIMIT_NAME_BYTES + 3];
    snprintf(text, sizeof(text), "%.*s.%.*s.%.*s", SPAN_PRINTF(schedule->trigger_region),
             SPAN_PRINTF(schedule->trigger_project), SPAN_PRINTF(schedule->trigger_table));
    add_text(answer, schedule->trigger_table.len > 0 ? span_text(text) : (struct span){0});
}

/* When its source answered last, and why it does not. */
static void add_trigger_status(const struct statement_call *call, struct answer *answer,
                               const struct schedule *schedule)
{
    struct trigger_status status = {0};
    char text[ERR_MESSAGE_BYTES + 128];
    if (trigger_status_get(call->services->triggers, schedule->id, &status))
        answer_add_time(answer, status.answered_ms);
    else
        answer_add_null(answer);
    add_text(answer, status.trouble.code == ERR_OK
                         ? (struct span){0}
                         : span_text(err_format(&status.trouble, text, sizeof(text))));
}

/* In UTC a zone's first and last years are others than 1 and 9999. */
static void add_effective(struct answer *answer, int64_t at_s, int64_t none_s)
{
    int64_t shown_s = at_s < PLANNED_S_MIN ? PLANNED_S_MIN : at_s;
    shown_s = shown_s > PLANNED_S_MAX ? PLANNED_S_MAX : shown_s;
    answer_add_time(answer, at_s == none_s ? 0 : (uint64_t)shown_s * 1000);
}

/* The rest of what CREATE SCHEDULE said: it can be written again from the row. */
static void add_clauses(struct answer *answer, const struct schedule *schedule)
{
    static const char *const missed[] = {
        [MISSED_RUNS_LATEST] = "LATEST", [MISSED_RUNS_ALL] = "ALL", [MISSED_RUNS_SKIP] = "SKIP"};
    BYTES_CLEANUP struct bytes text = {0};
    for (size_t i = 0; i < schedule->variable_count; i++) {
        bytes_printf(&text, "%s%.*s=", i > 0 ? ", " : "", SPAN_PRINTF(schedule->variables[i].name));
        literal_append(&text, schedule->variables[i].value);
    }
    add_text(answer, bytes_span(&text));
    add_effective(answer, schedule->from_s, INT64_MIN);
    add_effective(answer, schedule->to_s, INT64_MAX);
    bytes_clear(&text);
    if (schedule->retry_count > 0)
        bytes_printf(&text, "%u EVERY %u MINUTES", schedule->retry_count, schedule->retry_minutes);
    add_text(answer, bytes_span(&text));
    answer_add_text(answer, span_text(missed[schedule->missed]));
}

static enum err_code add_schedule(void *context, struct project_id project,
                                  const struct schedule *schedule, struct err *err)
{
    struct listing *listing = context;
    struct answer *answer = listing->answer;
    const struct show *show = &listing->call->statement->show;
    BYTES_CLEANUP struct bytes body = {0};
    int64_t next_s;
    (void)project;
    (void)err;
    if (!schedule_is_seen(listing->call, listing->project, schedule) ||
        (show->has_like && !show_like(schedule->name, show->like)))
        return ERR_OK;
    for (size_t i = 0; i < schedule->step_count; i++)
        bytes_printf(&body, "%s%.*s;", i > 0 ? "\n" : "", SPAN_PRINTF(schedule->steps[i]));
    bool runs = schedule_next_s(schedule, (int64_t)(statement_now_ms() / 1000), &next_s);
    answer_add_text(answer, schedule->name);
    answer_add_text(answer, schedule->creator);
    answer_add_text(answer, span_text(schedule->paused ? "PAUSED" : "ACTIVE"));
    add_text(answer, schedule->cron);
    answer_add_text(answer, schedule->timezone);
    add_trigger(answer, schedule);
    add_text(answer, schedule->after);
    answer_add_time(answer, runs ? (uint64_t)next_s * 1000 : 0);
    answer_add_time(answer, schedule->created_ms);
    add_text(answer, schedule->comment);
    answer_add_text(answer, bytes_span(&body));
    answer_add_time(answer, 1000 * schedule_tokens_end_s(schedule));
    bytes_clear(&body);
    schedule_tokens_ids(schedule, &body);
    add_text(answer, bytes_span(&body));
    add_trigger_status(listing->call, answer, schedule);
    add_clauses(answer, schedule);
    return ERR_OK;
}

enum err_code statement_show_schedules(const struct statement_call *call, struct answer *answer,
                                       struct err *err)
{
    static const struct answer_column columns[] = {
        {"schedule", TYPE_STRING, true},
        {"creator", TYPE_STRING, true},
        {"state", TYPE_STRING, true},
        {"cron", TYPE_STRING, false},
        {"timezone", TYPE_STRING, true},
        {"on_snapshot_of", TYPE_STRING, false},
        {"after", TYPE_STRING, false},
        {"next_run", TYPE_DATETIME, false},
        {"created", TYPE_DATETIME, true},
        {"comment", TYPE_STRING, false},
        {"statements", TYPE_STRING, true},
        {"expires", TYPE_DATETIME, false},
        {"tokens", TYPE_STRING, false},
        {"answered", TYPE_DATETIME, false},
        {"trigger_error", TYPE_STRING, false},
        {"variables", TYPE_STRING, false},
        {"effective_from", TYPE_DATETIME, false},
        {"effective_to", TYPE_DATETIME, false},
        {"retry", TYPE_STRING, false},
        {"missed_runs", TYPE_STRING, true},
    };
    struct project_record project;
    TRY(lookup_project(call, call->statement->show.project, ACTION_ENTER, &project, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    struct listing listing = {call, &project, answer};
    return listing_each(&listing, add_schedule, err);
}

/* ---- SHOW CREATE SCHEDULE ---- */

enum err_code statement_show_create_schedule(const struct statement_call *call,
                                             struct answer *answer, struct err *err)
{
    static const struct answer_column columns[] = {{"statement", TYPE_STRING, true}};
    ZONE_CLEANUP struct zone *zone = NULL;
    BYTES_CLEANUP struct bytes text = {0};
    struct project_record project;
    struct schedule schedule;
    TRY(schedule_lookup(call, &call->statement->show.name, &project, &schedule, err));
    TRY(zone_open(schedule.timezone, &zone, err));
    schedule_text_append(project.name, &schedule, zone, &text);
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    answer_add_text(answer, bytes_span(&text));
    return answer_set_display(answer, bytes_span(&text), err);
}

/* ---- SHOW SCHEDULE RUNS ---- */

struct runs_listing {
    struct answer *answer;
    const struct schedule *schedule;
};

static enum err_code add_run(void *context, uint64_t id, const struct schedule_run *run,
                             struct err *err)
{
    const struct runs_listing *listing = context;
    struct answer *answer = listing->answer;
    (void)id;
    if (answer->rows.rows >= LIMIT_SCREEN_ROWS)
        return err_set(
            err, ERR_LIMIT,
            "there are more than %d runs: SHOW SCHEDULE RUNS FOR one schedule, or SELECT "
            "some of SYSTEM_CATALOG.INFORMATION_SCHEMA.SCHEDULE_RUNS",
            LIMIT_SCREEN_ROWS);
    answer_add_text(answer, listing->schedule->name);
    answer_add_time(answer, (uint64_t)run->planned_s * 1000);
    answer_add_text(answer, span_text(run_state_name(run->state)));
    answer_add_text(answer, span_text(run_cause_name(run->cause)));
    answer_add_number(answer, run->attempt + 1);
    answer_add_number(answer, run->step);
    answer_add_number(answer, listing->schedule->step_count);
    answer_add_number(answer, run->rows);
    answer_add_time(answer, run->started_ms);
    answer_add_time(answer, run->ended_ms);
    answer_add_time(answer, run->state == RUN_RETRY ? (uint64_t)run->retry_s * 1000 : 0);
    add_text(answer, run->snapshot);
    add_text(answer, run->message);
    return ERR_OK;
}

/* What has ended, by planned time, and then what has not. */
static enum err_code runs_add(const struct statement_call *call, const struct schedule *schedule,
                              struct answer *answer, struct err *err)
{
    struct runs_listing listing = {answer, schedule};
    struct store *store = call->services->store;
    TRY(schedule_run_each(store, schedule->id, true, add_run, &listing, err));
    return schedule_run_each(store, schedule->id, false, add_run, &listing, err);
}

static enum err_code add_runs(void *context, struct project_id project,
                              const struct schedule *schedule, struct err *err)
{
    struct listing *listing = context;
    (void)project;
    if (!schedule_is_seen(listing->call, listing->project, schedule))
        return ERR_OK;
    return runs_add(listing->call, schedule, listing->answer, err);
}

enum err_code statement_show_runs(const struct statement_call *call, struct answer *answer,
                                  struct err *err)
{
    static const struct answer_column columns[] = {
        {"schedule", TYPE_STRING, true},
        {"planned", TYPE_DATETIME, true},
        {"state", TYPE_STRING, true},
        {"cause", TYPE_STRING, true},
        {"attempt", TYPE_BIGINT, true},
        {"statements_done", TYPE_BIGINT, true},
        {"statements_total", TYPE_BIGINT, true},
        {"last_rows", TYPE_BIGINT, true},
        {"started", TYPE_DATETIME, false},
        {"ended", TYPE_DATETIME, false},
        {"retried", TYPE_DATETIME, false},
        {"snapshot", TYPE_STRING, false},
        {"error", TYPE_STRING, false},
    };
    const struct name *name = &call->statement->show.name;
    struct project_record project;
    struct schedule schedule;
    if (name->object.len > 0) {
        TRY(schedule_lookup(call, name, &project, &schedule, err));
        answer_columns(answer, columns, ARRAY_COUNT(columns));
        return runs_add(call, &schedule, answer, err);
    }
    TRY(lookup_project(call, (struct span){0}, ACTION_ENTER, &project, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    struct listing listing = {call, &project, answer};
    return listing_each(&listing, add_runs, err);
}
