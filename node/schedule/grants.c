#include "node/schedule/grants.h"

#include "node/schedule/cron.h"
#include "node/schedule/parameters.h"
#include "node/sql/parser.h"

#define SAMPLE_LOCAL_S INT64_C(1767225600) /* 2026-01-01: what is planned does not matter */
#define SAMPLE_NAME    "s"
#define SAMPLE_TIME    "20260101000000"
#define RUNS_BY_HAND   31 /* a day: RUN SCHEDULE over a month */

/* A step of the body with sample values for its parameters. */
struct step {
    size_t number;
    struct span text;  /* in the arena */
    struct span marks; /* parameters.h */
    struct statement *statement;
};

struct find {
    const struct create_schedule *create;
    struct span project;
    struct arena *arena;
    struct schedule_grants *grants;
};

/* As names are compared; node/sql/lexer.h has another struct token. */
static bool names_equal(struct span a, struct span b)
{
    return a.len == b.len &&
           (a.len == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0);
}

/* ---- a step ---- */

static enum err_code step_fail(const struct step *step, const struct err *reason, struct err *err)
{
    return err_set(err, reason->code, "statement %zu of the schedule: %s", step->number,
                   reason->message);
}

static struct parameter *variables_make(const struct find *find, size_t *ret_count)
{
    const struct create_schedule *create = find->create;
    struct parameter *list = arena_alloc(find->arena, create->variable_count + 2, sizeof(*list));
    size_t count = 0;
    if (list == NULL)
        return NULL;
    for (; count < create->variable_count; count++)
        list[count] =
            (struct parameter){create->variables[count].name, create->variables[count].value};
    if (create->on_snapshot) {
        list[count++] =
            (struct parameter){span_text(SCHEDULE_VARIABLE_SNAPSHOT), span_text(SAMPLE_NAME)};
        list[count++] =
            (struct parameter){span_text(SCHEDULE_VARIABLE_CREATED), span_text(SAMPLE_TIME)};
    }
    *ret_count = count;
    return list;
}

static enum err_code step_expand(const struct find *find, struct span written, struct step *step,
                                 struct err *err)
{
    BYTES_CLEANUP struct bytes text = {0};
    BYTES_CLEANUP struct bytes marks = {0};
    struct parameters parameters = {.planned_local_s = SAMPLE_LOCAL_S};
    struct parameter *variables = variables_make(find, &parameters.variable_count);
    size_t at;
    if (variables == NULL)
        return err_set(err, ERR_LIMIT, "the schedule needs more memory than it may");
    parameters.variables = variables;
    TRY(parameters_expand_marked(&parameters, written, LIMIT_STATEMENT_BYTES, &text, &marks, &at,
                                 err));
    step->text = arena_copy(find->arena, bytes_span(&text));
    step->marks = arena_copy(find->arena, bytes_span(&marks));
    if (step->text.data == NULL || step->marks.data == NULL)
        return err_set(err, ERR_LIMIT, "the schedule needs more memory than it may");
    return statement_parse(step->text, find->arena, &step->statement, err);
}

/* How many bytes of the name, which is a part of the step's text, are as written. */
static size_t literal_bytes(const struct step *step, struct span name)
{
    uintptr_t begin = (uintptr_t)step->text.data, at = (uintptr_t)name.data;
    bool within = at >= begin && at + name.len <= begin + step->text.len;
    size_t from = within ? (size_t)(at - begin) : 0, len = 0;
    while (within && len < name.len && step->marks.data[from + len] == 0)
        len++;
    return len;
}

static enum err_code written_out(const struct step *step, struct span name, const char *what,
                                 struct err *err)
{
    if (literal_bytes(step, name) == name.len)
        return ERR_OK;
    return err_set(err, ERR_SEMANTIC,
                   "the %s of an XCOPY is written out in a schedule, without parameters: what is "
                   "signed for it names it",
                   what);
}

/* ---- patterns ---- */

static struct span text_join(struct arena *arena, struct span first, const char *more,
                             struct span last)
{
    size_t len = first.len + strlen(more) + last.len;
    uint8_t *joined = arena_alloc(arena, len + 1, 1);
    if (joined == NULL)
        return span_of(NULL, 0);
    if (first.len > 0)
        memcpy(joined, first.data, first.len);
    memcpy(joined + first.len, more, strlen(more));
    if (last.len > 0)
        memcpy(joined + first.len + strlen(more), last.data, last.len);
    return span_of(joined, len);
}

/* The name, or what of it is literal and a '*'; of: the table, when nothing is. */
static enum err_code pattern_make(const struct find *find, const struct step *step,
                                  struct span name, struct span of, bool any,
                                  struct span *ret_pattern, struct err *err)
{
    const struct span none = {0};
    size_t literal = literal_bytes(step, name);
    if (literal == 0 && !any)
        return err_set(err, ERR_SEMANTIC,
                       "a snapshot's name that begins with a parameter would be signed for every "
                       "snapshot of the project: put a text before it, like x_$[yyyymmdd]");
    if (literal == name.len)
        *ret_pattern = name;
    else if (literal > 0 || of.len == 0)
        *ret_pattern = text_join(find->arena, span_slice(name, 0, literal), "*", none);
    else
        *ret_pattern = text_join(find->arena, none, TOKEN_OF_TABLE, of);
    return ret_pattern->data != NULL
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "the schedule needs more memory than it may");
}

/* ---- grants ---- */

static enum err_code grant_add(struct find *find, const struct schedule_grant *grant,
                               struct err *err)
{
    struct schedule_grants *grants = find->grants;
    if (grants->count == LIMIT_STATEMENT_TOKENS)
        return err_set(err, ERR_LIMIT,
                       "a schedule has at most %d statements that something is signed for: its "
                       "XCOPYs and its trigger; make two schedules of it",
                       LIMIT_STATEMENT_TOKENS);
    grants->list[grants->count++] = *grant;
    return ERR_OK;
}

static bool is_triggers(const struct create_schedule *create, const struct xcopy *xcopy,
                        struct span region)
{
    const struct option *own = option_find(&create->trigger_options, "src_region");
    return create->on_snapshot && own != NULL && span_equal(own->value.text, region) &&
           names_equal(create->trigger.project, xcopy->source.project);
}

static enum err_code xcopy_grant(struct find *find, const struct step *step, struct err *err)
{
    const struct xcopy *xcopy = &step->statement->xcopy;
    const struct option *region = option_find(&xcopy->options, "src_region");
    if (region == NULL)
        return err_set(err, ERR_SEMANTIC, "XCOPY needs OPTIONS(src_region=\"...\")");
    bool any = is_triggers(find->create, xcopy, region->value.text);
    struct span project = xcopy->destination.project;
    struct schedule_grant grant = {
        .rights = TOKEN_DESCRIBE | TOKEN_PAGES | TOKEN_FILES,
        .source = {.region = region->value.text, .project = xcopy->source.project},
        .destination = {.project = project.len > 0 ? project : find->project},
        .step = step->number};
    TRY(written_out(step, region->value.text, "region", err));
    TRY(written_out(step, xcopy->source.project, "source's project", err));
    TRY(written_out(step, project, "destination's project", err));
    TRY(pattern_make(find, step, xcopy->source.object,
                     any ? find->create->trigger.object : span_of(NULL, 0), any,
                     &grant.source.snapshot, err));
    bool of_table = memchr(grant.source.snapshot.data, '*', grant.source.snapshot.len) != NULL &&
                    literal_bytes(step, xcopy->source.object) == 0;
    TRY(pattern_make(find, step, xcopy->destination.object, span_of(NULL, 0), of_table,
                     &grant.destination.snapshot, err));
    return grant_add(find, &grant, err);
}

static enum err_code trigger_grant(struct find *find, struct err *err)
{
    const struct create_schedule *create = find->create;
    const struct option *region = option_find(&create->trigger_options, "src_region");
    if (region == NULL)
        return err_set(err, ERR_SEMANTIC, "ON SNAPSHOT OF needs OPTIONS(src_region=\"...\")");
    const struct schedule_grant grant = {
        .rights = TOKEN_WATCH,
        .source = {.region = region->value.text,
                   .project = create->trigger.project,
                   .snapshot = text_join(find->arena, span_of(NULL, 0), TOKEN_OF_TABLE,
                                         create->trigger.object)},
        .destination = {.project = find->project, .snapshot = span_text("*")}};
    return grant_add(find, &grant, err);
}

static uint32_t bits(uint64_t set)
{
    uint32_t count = 0;
    for (; set != 0; set &= set - 1)
        count++;
    return count;
}

/* Each try is a task of its own. */
static uint32_t runs_a_day(const struct create_schedule *create)
{
    struct cron cron;
    uint64_t planned = LIMIT_TOKEN_RUNS_A_DAY; /* after a snapshot, or another schedule */
    if (create->has_cron && !create->on_snapshot && create->after.len == 0 &&
        cron_parse(create->cron, &cron, NULL) == ERR_OK)
        planned =
            (uint64_t)bits(cron.minutes) * bits(cron.hours) * (1 + (uint64_t)create->retry_count) +
            RUNS_BY_HAND;
    return planned < LIMIT_TOKEN_RUNS_A_DAY ? (uint32_t)planned : LIMIT_TOKEN_RUNS_A_DAY;
}

enum err_code schedule_grants_find(const struct create_schedule *create, struct span project,
                                   struct arena *arena, struct schedule_grants *ret_grants,
                                   struct err *err)
{
    struct schedule_grants grants = {.runs_a_day = runs_a_day(create)};
    struct find find = {.create = create, .project = project, .arena = arena, .grants = &grants};
    grants.list = arena_alloc(arena, LIMIT_STATEMENT_TOKENS, sizeof(*grants.list));
    if (grants.list == NULL)
        return err_set(err, ERR_LIMIT, "the schedule needs more memory than it may");
    if (create->on_snapshot)
        TRY(trigger_grant(&find, err));
    for (size_t i = 0; i < create->step_count; i++) {
        struct step step = {.number = i + 1};
        struct err reason;
        if (step_expand(&find, create->steps[i].text, &step, &reason) != ERR_OK ||
            (step.statement->kind == STATEMENT_XCOPY &&
             xcopy_grant(&find, &step, &reason) != ERR_OK))
            return step_fail(&step, &reason, err);
    }
    *ret_grants = grants;
    return ERR_OK;
}

static bool place_equal(const struct token_place *a, const struct token_place *b)
{
    return names_equal(a->project, b->project) && span_equal(a->snapshot, b->snapshot);
}

bool schedule_grant_fits(const struct schedule_grant *grant, struct span schedule,
                         const struct token *token)
{
    return token->kind == TOKEN_STANDING && token->rights == grant->rights &&
           names_equal(token->schedule, schedule) &&
           span_equal(token->source.region, grant->source.region) &&
           place_equal(&token->source, &grant->source) &&
           place_equal(&token->destination, &grant->destination);
}
