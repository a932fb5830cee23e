#include "node/statement/schedule_text.h"

#include "node/sql/lexer.h"

#define DAY_S INT64_C(86400)

/* WORD '2026-01-05', or with the time of that day. */
static void local_append(struct bytes *out, const char *word, int64_t local_s, bool day)
{
    const struct type type = {.kind = TYPE_DATETIME};
    BYTES_CLEANUP struct bytes text = {0};
    value_format(type, (struct value){.i64 = local_s * 1000}, &text);
    size_t len = day ? strlen("2026-01-05") : strlen("2026-01-05 01:00:00");
    bytes_printf(out, " %s '%.*s'", word, (int)len, (const char *)text.data);
}

/* FROM a day is from its midnight on; TO a day is up to the last second before the next midnight, so TO midnight is a time. */
static void effective_append(struct bytes *out, const struct schedule *schedule,
                             const struct zone *zone)
{
    bool has_from = schedule->from_s != INT64_MIN, has_to = schedule->to_s != INT64_MAX;
    if (has_from || has_to)
        bytes_append_text(out, "\nEFFECTIVE");
    if (has_from) {
        int64_t local_s = zone_local_s(zone, schedule->from_s);
        local_append(out, "FROM", local_s, local_s % DAY_S == 0);
    }
    if (has_to) {
        int64_t next_s = zone_local_s(zone, schedule->to_s + 1);
        bool day = next_s % DAY_S == 0;
        local_append(out, "TO", day ? next_s - DAY_S : zone_local_s(zone, schedule->to_s), day);
    }
}

static void begins_append(struct bytes *out, const struct schedule *schedule)
{
    if (schedule->cron.len > 0) {
        bytes_append_text(out, "\nCRON ");
        literal_append(out, schedule->cron);
    }
    if (schedule->trigger_table.len > 0) {
        bytes_printf(out, "\nON SNAPSHOT OF `%.*s`.`%.*s` OPTIONS(src_region=",
                     SPAN_PRINTF(schedule->trigger_project), SPAN_PRINTF(schedule->trigger_table));
        literal_append(out, schedule->trigger_region);
        bytes_append_text(out, ")");
    }
    bytes_append_text(out, "\nTIMEZONE ");
    literal_append(out, schedule->timezone);
}

static void clauses_append(struct bytes *out, const struct schedule *schedule)
{
    static const char *const missed[] = {
        [MISSED_RUNS_LATEST] = "LATEST", [MISSED_RUNS_ALL] = "ALL", [MISSED_RUNS_SKIP] = "SKIP"};
    if (schedule->after.len > 0)
        bytes_printf(out, "\nAFTER `%.*s`", SPAN_PRINTF(schedule->after));
    if (schedule->retry_count > 0)
        bytes_printf(out, "\nRETRY %u EVERY %u MINUTES", schedule->retry_count,
                     schedule->retry_minutes);
    bytes_printf(out, "\nMISSED RUNS %s", missed[schedule->missed]);
    for (size_t i = 0; i < schedule->variable_count; i++) {
        const struct parameter *variable = &schedule->variables[i];
        bytes_printf(out, "%s`%.*s`=", i == 0 ? "\nSET " : ", ", SPAN_PRINTF(variable->name));
        literal_append(out, variable->value);
    }
    if (schedule->comment.len > 0) {
        bytes_append_text(out, "\nCOMMENT ");
        literal_append(out, schedule->comment);
    }
}

void schedule_text_append(struct span project, const struct schedule *schedule,
                          const struct zone *zone, struct bytes *out)
{
    bytes_printf(out, "CREATE SCHEDULE `%.*s`.`%.*s`", SPAN_PRINTF(project),
                 SPAN_PRINTF(schedule->name));
    begins_append(out, schedule);
    effective_append(out, schedule, zone);
    clauses_append(out, schedule);
    bytes_append_text(out, "\nAS BEGIN\n");
    for (size_t i = 0; i < schedule->step_count; i++) /* as written, up to their ';' */
        bytes_printf(out, "    %.*s;\n", SPAN_PRINTF(schedule->steps[i]));
    bytes_append_text(out, "END;\n");
    if (schedule->paused)
        bytes_printf(out, "ALTER SCHEDULE `%.*s`.`%.*s` PAUSE;\n", SPAN_PRINTF(project),
                     SPAN_PRINTF(schedule->name));
}
