/* See progress.h. */
#include "node/client/progress.h"

#include "node/client/terminal.h"

#define SHOW_EVERY_MS    200
#define ESTIMATE_MIN_MS  1000 /* before that a rate says little */
#define LINE_COLUMNS_MAX 100

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct progress progress_begin(bool quiet)
{
    return (struct progress){.on = !quiet && isatty(STDERR_FILENO) == 1, .begun_ms = now_ms()};
}

void bytes_append_amount(struct bytes *out, uint64_t amount_bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double amount = (double)amount_bytes / 1000;
    size_t unit = 0;
    if (amount_bytes < 1000) {
        bytes_printf(out, "%" PRIu64 " B", amount_bytes);
        return;
    }
    for (; amount >= 999.95 && unit + 1 < ARRAY_COUNT(units); unit++)
        amount /= 1000;
    bytes_printf(out, "%.1f %s", amount, units[unit]);
}

void bytes_append_duration(struct bytes *out, uint64_t duration_ms)
{
    uint64_t s = (duration_ms + 500) / 1000;
    if (s < 60)
        bytes_printf(out, "%" PRIu64 " s", s);
    else if (s < 3600)
        bytes_printf(out, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else
        bytes_printf(out, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
}

/* Parts of the text, behind the phase. */
enum {
    PART_AMOUNT = 1,
    PART_PERCENT = 2, /* in place of the amount, where a total is known */
    PART_FILES = 4,
    PART_RATE = 8,
    PART_LEFT = 16,
    PARTS_ALL = PART_AMOUNT | PART_FILES | PART_RATE | PART_LEFT,
};

static void amount_append(const struct operator_progress *state, unsigned parts, struct bytes *out)
{
    if ((parts & PART_PERCENT) != 0 && state->bytes_total > 0) {
        double percent = 100 * (double)state->bytes_done / (double)state->bytes_total;
        bytes_printf(out, "%u %%", percent < 100 ? (unsigned)percent : 100);
        return;
    }
    bytes_append_amount(out, state->bytes_done);
    if (state->bytes_total > 0) {
        bytes_append_text(out, " of ");
        bytes_append_amount(out, state->bytes_total);
    }
}

/* moving_ms: in which bytes_done came. */
static void parts_append(const struct operator_progress *state, uint64_t moving_ms, unsigned parts,
                         struct bytes *out)
{
    if (state->phase.len > 0)
        bytes_printf(out, "%.*s: ", SPAN_PRINTF(state->phase));
    amount_append(state, parts, out);
    if ((parts & PART_FILES) != 0 && state->files_total > 0)
        bytes_printf(out, ", %" PRIu64 " of %" PRIu64 " files", state->files_done,
                     state->files_total);
    if (moving_ms < ESTIMATE_MIN_MS || state->bytes_done == 0)
        return;
    double rate = (double)state->bytes_done / (double)moving_ms; /* bytes a ms */
    if ((parts & PART_RATE) != 0) {
        bytes_append_text(out, ", ");
        bytes_append_amount(out, (uint64_t)(rate * 1000));
        bytes_append_text(out, "/s");
    }
    if ((parts & PART_LEFT) != 0 && state->bytes_total > state->bytes_done) {
        bytes_append_text(out, ", ");
        bytes_append_duration(out,
                              (uint64_t)((double)(state->bytes_total - state->bytes_done) / rate));
        bytes_append_text(out, " left");
    }
}

static bool has_numbers(const struct operator_progress *state)
{
    return state->bytes_done != 0 || state->bytes_total != 0 || state->files_total != 0;
}

void progress_format(const struct operator_progress *state, uint64_t elapsed_ms, struct bytes *out)
{
    if (has_numbers(state)) {
        bool of_task = state->has_task || state->elapsed_ms > 0;
        parts_append(state, of_task ? state->elapsed_ms : elapsed_ms, PARTS_ALL, out);
        return;
    }
    bytes_append_span(out, state->phase.len > 0 ? state->phase : span_text("running"));
    bytes_append_text(out, ", ");
    bytes_append_duration(out, elapsed_ms);
}

void progress_format_within(const struct operator_progress *state, size_t columns,
                            struct bytes *out)
{
    static const unsigned forms[] = {
        PARTS_ALL,
        PART_AMOUNT | PART_RATE | PART_LEFT,
        PART_PERCENT | PART_RATE | PART_LEFT,
        PART_PERCENT | PART_LEFT,
        PART_PERCENT,
    };
    struct bytes text BYTES_CLEANUP = {0};
    if (!has_numbers(state)) {
        shown_append_cut(state->phase, columns, out);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        bytes_clear(&text);
        parts_append(state, state->elapsed_ms, forms[i], &text);
        if (text_width(bytes_span(&text)) <= columns)
            break;
    }
    shown_append_cut(bytes_span(&text), columns, out);
}

void progress_show(struct progress *progress, const struct operator_progress *state)
{
    struct bytes text BYTES_CLEANUP = {0}, line BYTES_CLEANUP = {0};
    uint64_t now = now_ms();
    if (!progress->on || (progress->shown && now - progress->shown_ms < SHOW_EVERY_MS))
        return;
    size_t columns = terminal_size(STDERR_FILENO).columns - 1; /* the cursor has one too */
    progress_format(state, progress_elapsed_ms(progress), &text);
    shown_append_cut(bytes_span(&text), columns < LINE_COLUMNS_MAX ? columns : LINE_COLUMNS_MAX,
                     &line);
    fprintf(stderr, "\r\x1b[K%.*s", (int)line.len, (const char *)line.data);
    fflush(stderr);
    progress->shown = true;
    progress->shown_ms = now;
}

uint64_t progress_elapsed_ms(const struct progress *progress)
{
    return now_ms() - progress->begun_ms;
}

void progress_clear(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\x1b[K", stderr);
    progress->shown = false;
}
