/* CREATE, ALTER, RUN SCHEDULE and SHOW SCHEDULE RUNS. What stands inside the strings (cron, time zones,
 * dates, ${...}) is node/schedule's, as are the statements of the body: with their parameters in them
 * they are no SQL yet. */
#include "node/sql/parse.h"

#include "proto/limits.h"

/* ---- clauses ---- */

static void parse_cron(struct parser *parser, struct create_schedule *create)
{
    create->has_cron = true;
    create->cron_at = parser->token.at;
    create->cron = parser_string(parser, "five fields as a string, such as '0 1 * * *'");
}

/* ON SNAPSHOT OF project.table OPTIONS(src_region=...) */
static void parse_trigger(struct parser *parser, struct create_schedule *create)
{
    static const char *const known[] = {"src_region", NULL};
    create->on_snapshot = true;
    parser_expect(parser, KEYWORD_SNAPSHOT);
    if (!parser_accept_word(parser, "OF"))
        parser_expected(parser, "OF");
    create->trigger = parser_name(parser, "the source's table as project.table");
    if (create->trigger.project.len == 0)
        parser_fail(parser, ERR_PARSE, create->trigger.at,
                    "found a table without its project, expected project.table of the source");
    create->trigger_options = parser_source_options(parser, known);
}

static void parse_timezone(struct parser *parser, struct create_schedule *create)
{
    create->timezone_at = parser->token.at;
    create->timezone = parser_string(parser, "a time zone as a string, such as 'Asia/Hong_Kong'");
}

/* '2026-01-01', DATE '...', '2026-01-01 12:00:00', DATETIME '...' */
static struct literal parse_day(struct parser *parser)
{
    struct literal literal = parser_literal(parser);
    if (parser->code == ERR_OK && literal.kind != LITERAL_STRING && literal.kind != LITERAL_DATE &&
        literal.kind != LITERAL_DATETIME)
        parser_fail(parser, ERR_PARSE, literal.at,
                    "expected a day or time such as '2026-01-05' or '2026-01-05 01:00:00'");
    return literal;
}

static void parse_effective(struct parser *parser, struct create_schedule *create)
{
    create->has_from = parser_accept(parser, KEYWORD_FROM);
    if (create->has_from)
        create->effective_from = parse_day(parser);
    create->has_to = parser_accept(parser, KEYWORD_TO);
    if (create->has_to)
        create->effective_to = parse_day(parser);
    if (!create->has_from && !create->has_to)
        parser_expected(parser, "FROM '2026-01-01' or TO '2026-12-31'");
}

static void parse_after(struct parser *parser, struct create_schedule *create)
{
    create->after_at = parser->token.at;
    create->after = parser_identifier(parser, "the name of a schedule of this project");
}

/* RETRY n EVERY m MINUTES */
static void parse_retry(struct parser *parser, struct create_schedule *create)
{
    uint32_t at = parser->token.at;
    create->retry_count =
        parser_count(parser, LIMIT_SCHEDULE_RETRIES, "how often, at most 100 times");
    if (!parser_accept_word(parser, "EVERY"))
        parser_expected(parser, "EVERY");
    create->retry_minutes =
        parser_count(parser, LIMIT_SCHEDULE_RETRY_MINUTES, "minutes, at most 1440");
    if (!parser_accept_word(parser, "MINUTES") && !parser_accept_word(parser, "MINUTE"))
        parser_expected(parser, "MINUTES");
    if (create->retry_count < 1 || create->retry_minutes < 1)
        parser_fail(parser, ERR_PARSE, at, "expected RETRY 1 EVERY 1 MINUTES at least");
}

static void parse_missed(struct parser *parser, struct create_schedule *create)
{
    if (!parser_accept_word(parser, "RUNS"))
        parser_expected(parser, "RUNS");
    if (parser_accept(parser, KEYWORD_ALL))
        create->missed = MISSED_RUNS_ALL;
    else if (parser_accept_word(parser, "SKIP"))
        create->missed = MISSED_RUNS_SKIP;
    else if (parser_accept_word(parser, "LATEST"))
        create->missed = MISSED_RUNS_LATEST;
    else
        parser_expected(parser, "ALL, LATEST or SKIP");
}

static void parse_variables(struct parser *parser, struct create_schedule *create)
{
    BYTES_CLEANUP struct bytes items = {0};
    do {
        struct schedule_variable variable = {.at = parser->token.at};
        variable.name = parser_identifier(parser, "a variable's name");
        parser_expect_symbol(parser, SYMBOL_EQUAL);
        variable.value_at = parser->token.at;
        variable.value = parser_string(parser, "its value as a string, such as '$[yyyymmdd]'");
        const struct schedule_variable *others =
            (const struct schedule_variable *)(const void *)items.data;
        size_t count = items.len / sizeof(variable);
        for (size_t i = 0; i < count; i++) {
            if (span_equal(others[i].name, variable.name))
                parser_fail(parser, ERR_PARSE, variable.at,
                            "found variable %.*s for the second time", SPAN_PRINTF(variable.name));
        }
        if (count >= LIMIT_SCHEDULE_VARIABLES)
            parser_fail(parser, ERR_LIMIT, variable.at, "found more than %d variables",
                        LIMIT_SCHEDULE_VARIABLES);
        bytes_append(&items, &variable, sizeof(variable));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    create->variables =
        parser_array(parser, &items, sizeof(struct schedule_variable), &create->variable_count);
}

static void parse_schedule_comment(struct parser *parser, struct create_schedule *create)
{
    create->comment = parser_comment(parser);
}

static const struct clause {
    const char *word;
    void (*parse)(struct parser *parser, struct create_schedule *create);
} clauses[] = {
    {"CRON", parse_cron},           {"ON", parse_trigger},    {"TIMEZONE", parse_timezone},
    {"EFFECTIVE", parse_effective}, {"AFTER", parse_after},   {"RETRY", parse_retry},
    {"MISSED", parse_missed},       {"SET", parse_variables}, {"COMMENT", parse_schedule_comment},
};

/* ---- the body ---- */

/* The parser stands at BEGIN, whose place says where the text behind it begins; afterwards behind END. */
static void parse_body(struct parser *parser, struct create_schedule *create)
{
    BYTES_CLEANUP struct bytes items = {0};
    struct span text = parser->lexer.text;
    size_t at = parser->token.end;
    enum body_part part = BODY_STATEMENT;
    while (parser->code == ERR_OK && part == BODY_STATEMENT) {
        struct schedule_step step = {0};
        part = lexer_body_next(text, at, &step.text, &at);
        if (part != BODY_STATEMENT)
            break;
        step.at = (uint32_t)(step.text.data - text.data);
        if (items.len >= LIMIT_SCHEDULE_STEPS * sizeof(step))
            parser_fail(parser, ERR_LIMIT, step.at, "found more than %d statements",
                        LIMIT_SCHEDULE_STEPS);
        bytes_append(&items, &step, sizeof(step));
    }
    if (part == BODY_OPEN)
        parser_fail(parser, ERR_PARSE, (uint32_t)at,
                    "found no end of this, expected a statement and its ';', or END");
    if (items.len == 0)
        parser_fail(parser, ERR_PARSE, parser->token.at,
                    "found no statement between BEGIN and END");
    create->steps = parser_array(parser, &items, sizeof(struct schedule_step), &create->step_count);
    if (parser->code != ERR_OK)
        return;
    parser->lexer.at = (uint32_t)at;
    parser_advance(parser);
}

/* ---- statements ---- */

/* Each clause once, in any order. */
static void parse_clauses(struct parser *parser, struct create_schedule *create)
{
    bool seen[ARRAY_COUNT(clauses)] = {false};
    size_t i;
    do {
        for (i = 0; i < ARRAY_COUNT(clauses); i++) {
            if (parser->token.kind == TOKEN_WORD && !parser->token.quoted &&
                name_equal(parser->token.text, span_text(clauses[i].word)))
                break;
        }
        if (i == ARRAY_COUNT(clauses))
            break;
        if (seen[i])
            parser_fail(parser, ERR_PARSE, parser->token.at, "found %s for the second time",
                        clauses[i].word);
        seen[i] = true;
        parser_advance(parser);
        clauses[i].parse(parser, create);
    } while (parser->code == ERR_OK);
}

void parse_create_schedule(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct create_schedule *create = &statement->create_schedule;
    create->if_not_exists = parser_accept_if_not_exists(parser);
    create->name = parser_name(parser, "the schedule's name");
    parse_clauses(parser, create);
    if (!create->has_cron && !create->on_snapshot) {
        parser_expected(parser,
                        "CRON '...' or ON SNAPSHOT OF project.table OPTIONS(src_region=...)");
        return;
    }
    if (!parser_accept(parser, KEYWORD_AS)) {
        parser_expected(parser,
                        "a clause (CRON, ON SNAPSHOT OF, TIMEZONE, EFFECTIVE, AFTER, RETRY, "
                        "MISSED RUNS, SET, COMMENT) or AS BEGIN");
        return;
    }
    if (!parser_is_word(parser, "BEGIN"))
        parser_expected(parser, "BEGIN");
    if (parser->code == ERR_OK)
        parse_body(parser, create);
}

void parse_alter_schedule(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct alter_schedule *alter = &statement->alter_schedule;
    alter->name = parser_name(parser, "the schedule's name");
    alter->pause = parser_accept_word(parser, "PAUSE");
    if (!alter->pause && !parser_accept_word(parser, "RESUME"))
        parser_expected(parser, "PAUSE or RESUME");
}

void parse_run_schedule(struct parser *parser, struct statement *statement, int variant)
{
    static const char *const known[] = {"allow_past_snapshots", NULL};
    (void)variant;
    struct run_schedule *run = &statement->run_schedule;
    run->name = parser_name(parser, "the schedule's name");
    parser_expect(parser, KEYWORD_FOR);
    run->first = parse_day(parser);
    run->has_last = parser_accept(parser, KEYWORD_TO);
    if (run->has_last)
        run->last = parse_day(parser);
    if (parser_accept(parser, KEYWORD_OPTIONS))
        run->options = parser_options(parser, known);
}

void parse_show_runs(struct parser *parser, struct show *show)
{
    if (!parser_accept_word(parser, "RUNS"))
        parser_expected(parser, "RUNS (SHOW SCHEDULES lists schedules)");
    if (parser_accept(parser, KEYWORD_FOR))
        show->name = parser_name(parser, "the schedule's name");
}
