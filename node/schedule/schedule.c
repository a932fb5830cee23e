#include "node/schedule/schedule.h"

#define SCHEDULE_FORM   1
#define RUN_FORM        1
#define FLAG_PAUSED     1
#define TOKEN_BYTES_MAX KIB(4)

static const char *const state_names[] = {
#define X(state, name) [state] = name,
    RUN_STATES(X)
#undef X
};

bool run_state_ended(enum run_state state)
{
    return state >= RUN_SUCCEEDED;
}

const char *run_state_name(enum run_state state)
{
    return state_names[state];
}

const char *run_cause_name(enum run_cause cause)
{
    static const char *const names[] = {[RUN_OF_CLOCK] = "CLOCK",
                                        [RUN_OF_OPERATOR] = "RUN SCHEDULE",
                                        [RUN_OF_SNAPSHOT] = "SNAPSHOT"};
    return names[cause];
}

/* ---- parts ---- */

static void text_append(struct bytes *out, struct span text)
{
    bytes_append_u32(out, (uint32_t)text.len);
    bytes_append_span(out, text);
}

/* Fails when it is longer than it may be. */
static struct span text_read(struct reader *reader, size_t bytes_max)
{
    uint32_t len = reader_u32(reader);
    if (len > bytes_max) {
        reader->failed = true;
        return (struct span){0};
    }
    return reader_span(reader, len);
}

/* ---- schedules ---- */

void schedule_record_encode(const struct schedule *schedule, struct bytes *out)
{
    bytes_append_u8(out, SCHEDULE_FORM);
    bytes_append_u8(out, schedule->paused ? FLAG_PAUSED : 0);
    bytes_append_u64(out, schedule->id);
    text_append(out, schedule->name);
    text_append(out, schedule->creator);
    bytes_append_u64(out, schedule->creator_id);
    bytes_append(out, schedule->keys.sign.b, sizeof(schedule->keys.sign.b));
    bytes_append(out, schedule->keys.noise.b, sizeof(schedule->keys.noise.b));
    bytes_append_u64(out, schedule->created_ms);
    text_append(out, schedule->cron);
    text_append(out, schedule->timezone);
    bytes_append_u64(out, (uint64_t)schedule->from_s);
    bytes_append_u64(out, (uint64_t)schedule->to_s);
    text_append(out, schedule->trigger_region);
    text_append(out, schedule->trigger_project);
    text_append(out, schedule->trigger_table);
    text_append(out, schedule->after);
    bytes_append_u32(out, schedule->retry_count);
    bytes_append_u32(out, schedule->retry_minutes);
    bytes_append_u8(out, (uint8_t)schedule->missed);
    text_append(out, schedule->comment);
    bytes_append_u16(out, (uint16_t)schedule->variable_count);
    for (size_t i = 0; i < schedule->variable_count; i++) {
        text_append(out, schedule->variables[i].name);
        text_append(out, schedule->variables[i].value);
    }
    bytes_append_u16(out, (uint16_t)schedule->step_count);
    for (size_t i = 0; i < schedule->step_count; i++)
        text_append(out, schedule->steps[i]);
    bytes_append_u16(out, (uint16_t)schedule->token_count);
    for (size_t i = 0; i < schedule->token_count; i++)
        text_append(out, schedule->tokens[i]);
}

static void head_read(struct reader *reader, struct schedule *schedule)
{
    schedule->id = reader_u64(reader);
    schedule->name = text_read(reader, LIMIT_NAME_BYTES);
    schedule->creator = text_read(reader, LIMIT_PRINCIPAL_BYTES);
    schedule->creator_id = reader_u64(reader);
    reader_copy(reader, schedule->keys.sign.b, sizeof(schedule->keys.sign.b));
    reader_copy(reader, schedule->keys.noise.b, sizeof(schedule->keys.noise.b));
    schedule->created_ms = reader_u64(reader);
    schedule->cron = text_read(reader, LIMIT_SCHEDULE_BYTES);
    schedule->timezone = text_read(reader, LIMIT_NAME_BYTES);
    schedule->from_s = (int64_t)reader_u64(reader);
    schedule->to_s = (int64_t)reader_u64(reader);
    schedule->trigger_region = text_read(reader, LIMIT_REGION_BYTES);
    schedule->trigger_project = text_read(reader, LIMIT_NAME_BYTES);
    schedule->trigger_table = text_read(reader, LIMIT_NAME_BYTES);
    schedule->after = text_read(reader, LIMIT_NAME_BYTES);
    schedule->retry_count = reader_u32(reader);
    schedule->retry_minutes = reader_u32(reader);
    uint8_t missed = reader_u8(reader);
    schedule->missed = (enum missed_runs)missed;
    schedule->comment = text_read(reader, LIMIT_COMMENT_BYTES);
    if (missed > MISSED_RUNS_SKIP || schedule->retry_count > LIMIT_SCHEDULE_RETRIES ||
        schedule->retry_minutes > LIMIT_SCHEDULE_RETRY_MINUTES)
        reader->failed = true;
}

/* A count and as many texts; NULL, and the reader fails, where that is too many. */
static struct span *texts_read(struct reader *reader, size_t count_max, size_t bytes_max,
                               struct arena *arena, size_t *ret_count)
{
    size_t count = reader_u16(reader);
    struct span *texts = count <= count_max ? arena_alloc(arena, count + 1, sizeof(*texts)) : NULL;
    *ret_count = 0;
    if (texts == NULL) {
        reader->failed = true;
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        texts[i] = text_read(reader, bytes_max);
    *ret_count = count;
    return texts;
}

static void variables_read(struct reader *reader, struct arena *arena, struct schedule *schedule)
{
    size_t count = reader_u16(reader);
    if (count <= LIMIT_SCHEDULE_VARIABLES)
        schedule->variables = arena_alloc(arena, count + 1, sizeof(*schedule->variables));
    if (schedule->variables == NULL) {
        reader->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        schedule->variables[i].name = text_read(reader, LIMIT_NAME_BYTES);
        schedule->variables[i].value = text_read(reader, LIMIT_SCHEDULE_BYTES);
    }
    schedule->variable_count = count;
}

enum err_code schedule_record_decode(struct span encoded, struct arena *arena,
                                     struct schedule *ret_schedule, struct err *err)
{
    struct reader reader = reader_of(encoded);
    struct schedule schedule = {0};
    uint8_t form = reader_u8(&reader);
    uint8_t flags = reader_u8(&reader);
    schedule.paused = flags == FLAG_PAUSED;
    head_read(&reader, &schedule);
    variables_read(&reader, arena, &schedule);
    schedule.steps = texts_read(&reader, LIMIT_SCHEDULE_STEPS, LIMIT_SCHEDULE_BYTES, arena,
                                &schedule.step_count);
    schedule.tokens =
        texts_read(&reader, SCHEDULE_TOKENS_MAX, TOKEN_BYTES_MAX, arena, &schedule.token_count);
    if (!reader_end(&reader) || form != SCHEDULE_FORM || flags > FLAG_PAUSED || schedule.id == 0 ||
        schedule.step_count == 0)
        return err_set(err, ERR_CORRUPT, "the record of a schedule is damaged");
    *ret_schedule = schedule;
    return ERR_OK;
}

/* ---- runs ---- */

void schedule_run_encode(const struct schedule_run *run, struct bytes *out)
{
    bytes_append_u8(out, RUN_FORM);
    bytes_append_u8(out, (uint8_t)run->cause);
    bytes_append_u8(out, (uint8_t)run->state);
    bytes_append_u8(out, run->allow_past_snapshots);
    bytes_append_u64(out, (uint64_t)run->planned_s);
    bytes_append_u32(out, run->generation);
    bytes_append_u32(out, run->attempt);
    bytes_append_u32(out, run->step);
    bytes_append_u64(out, run->created_ms);
    bytes_append_u64(out, run->started_ms);
    bytes_append_u64(out, run->ended_ms);
    bytes_append_u64(out, (uint64_t)run->retry_s);
    bytes_append_u64(out, run->rows);
    text_append(out, run->snapshot);
    text_append(out, run->message);
}

enum err_code schedule_run_decode(struct span encoded, struct schedule_run *ret_run,
                                  struct err *err)
{
    struct reader reader = reader_of(encoded);
    struct schedule_run run;
    uint8_t form = reader_u8(&reader);
    uint8_t cause = reader_u8(&reader);
    uint8_t state = reader_u8(&reader);
    uint8_t past = reader_u8(&reader);
    run.planned_s = (int64_t)reader_u64(&reader);
    run.generation = reader_u32(&reader);
    run.attempt = reader_u32(&reader);
    run.step = reader_u32(&reader);
    run.created_ms = reader_u64(&reader);
    run.started_ms = reader_u64(&reader);
    run.ended_ms = reader_u64(&reader);
    run.retry_s = (int64_t)reader_u64(&reader);
    run.rows = reader_u64(&reader);
    run.snapshot = text_read(&reader, LIMIT_NAME_BYTES);
    run.message = text_read(&reader, RUN_MESSAGE_BYTES_MAX);
    if (!reader_end(&reader) || form != RUN_FORM || cause >= RUN_CAUSE_COUNT ||
        state >= RUN_STATE_COUNT || past > 1 || run.step > LIMIT_SCHEDULE_STEPS)
        return err_set(err, ERR_CORRUPT, "the record of a schedule's run is damaged");
    run.cause = (enum run_cause)cause;
    run.state = (enum run_state)state;
    run.allow_past_snapshots = past == 1;
    *ret_run = run;
    return ERR_OK;
}

struct statement_id schedule_statement_id(uint64_t schedule, const struct schedule_run *run)
{
    BYTES_CLEANUP struct bytes content = {0};
    struct digest_state state;
    struct statement_id id;
    bytes_append_u64(&content, schedule);
    bytes_append_u64(&content, (uint64_t)run->planned_s);
    bytes_append_u32(&content, run->generation);
    bytes_append_u32(&content, run->attempt);
    bytes_append_u32(&content, run->step);
    digest_init(&state, DOMAIN_STATEMENT);
    digest_update_part(&state, span_text("schedule"));
    digest_update_part(&state, bytes_span(&content));
    struct digest digest = digest_final(&state);
    memcpy(id.b, digest.b, sizeof(id.b));
    return id;
}
