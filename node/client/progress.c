/* See progress.h. */
#include "node/client/progress.h"

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

void progress_format(const struct operator_progress *state, uint64_t elapsed_ms, struct bytes *out)
{
    if (state->bytes_done == 0 && state->bytes_total == 0 && state->files_total == 0) {
        bytes_append_span(out, state->phase.len > 0 ? state->phase : span_text("running"));
        bytes_append_text(out, ", ");
        bytes_append_duration(out, elapsed_ms);
        return;
    }
    if (state->phase.len > 0)
        bytes_printf(out, "%.*s: ", SPAN_PRINTF(state->phase));
    bytes_append_amount(out, state->bytes_done);
    if (state->bytes_total > 0) {
        bytes_append_text(out, " of ");
        bytes_append_amount(out, state->bytes_total);
    }
    if (state->files_total > 0)
        bytes_printf(out, ", %" PRIu64 " of %" PRIu64 " files", state->files_done,
                     state->files_total);
    if (elapsed_ms < ESTIMATE_MIN_MS || state->bytes_done == 0)
        return;
    double rate = (double)state->bytes_done / (double)elapsed_ms; /* bytes a ms */
    bytes_append_text(out, ", ");
    bytes_append_amount(out, (uint64_t)(rate * 1000));
    bytes_append_text(out, "/s");
    if (state->bytes_total > state->bytes_done) {
        bytes_append_text(out, ", ");
        bytes_append_duration(out,
                              (uint64_t)((double)(state->bytes_total - state->bytes_done) / rate));
        bytes_append_text(out, " left");
    }
}

void progress_show(struct progress *progress, const struct operator_progress *state)
{
    struct bytes line BYTES_CLEANUP = {0};
    uint64_t now = now_ms();
    if (!progress->on || (progress->shown && now - progress->shown_ms < SHOW_EVERY_MS))
        return;
    uint64_t elapsed_ms = state->elapsed_ms > 0 ? state->elapsed_ms : progress_elapsed_ms(progress);
    progress_format(state, elapsed_ms, &line);
    fprintf(stderr, "\r\x1b[K%.*s",
            (int)(line.len < LINE_COLUMNS_MAX ? line.len : LINE_COLUMNS_MAX),
            (const char *)line.data);
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
