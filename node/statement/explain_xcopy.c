/* EXPLAIN XCOPY: what an XCOPY would move now, and why; nothing is written.
 *
 *     item          | partitions | files | pages | bytes | seconds | reason
 *     new           |          3 |    12 |  NULL |  9000 |    NULL | not in the newest snapshot of the ...
 *     changed       |          1 |     4 |  NULL |  3000 |    NULL | other content than in the newest ...
 *     held          |         96 |   384 |  NULL | 70000 |    NULL | nothing of it is pulled
 *     named again   |       NULL |     2 |  NULL |  1000 |    NULL | named before in the snapshot ...
 *     total         |          4 |    16 |     5 | 12000 |    0.01 | estimated at ...
 *     charged bytes |       NULL |  NULL |  NULL | 19000 |    NULL | column files and pages ...
 *
 * new and changed add up to the total, which is what XCOPY's row says afterwards: partitions_moved,
 * files_moved, bytes_moved; held's and named again's bytes are its bytes_skipped. The rows are always these.
 */
#include <math.h>

#include "node/channel_schedule.h"
#include "node/statement/lookup.h"
#include "node/task/xcopy_look.h"

#define RATE_STEP 100000 /* bits a second */

struct explain_wait {
    struct xcopy_look *look;
    char phase[TASK_PHASE_BYTES];
    char region[LIMIT_REGION_BYTES + 1];
};

/* NULL: there is no such number. */
static void numbers_add(struct answer *answer, const uint64_t *const numbers[4])
{
    for (size_t i = 0; i < 4; i++) {
        if (numbers[i] != NULL)
            answer_add_number(answer, *numbers[i]);
        else
            answer_add_null(answer);
    }
}

static void row_add(struct answer *answer, const char *item, const uint64_t *const numbers[4],
                    const double *seconds, const char *reason)
{
    answer_add_text(answer, span_text(item));
    numbers_add(answer, numbers);
    if (seconds != NULL)
        answer_add_real(answer, round(1000 * *seconds) / 1000);
    else
        answer_add_null(answer);
    answer_add_text(answer, span_text(reason));
}

static void tally_add(struct answer *answer, const char *item, const struct look_tally *tally,
                      const char *reason)
{
    const uint64_t *const numbers[4] = {&tally->partitions, &tally->files, NULL, &tally->bytes};
    row_add(answer, item, numbers, NULL, reason);
}

static void held_add(struct answer *answer, const struct look_counts *counts)
{
    const struct look_tally *held = &counts->of[LOOK_HELD];
    const uint64_t *const numbers[4] = {
        &held->partitions, counts->files_unknown ? NULL : &held->files, NULL, &held->bytes};
    row_add(answer, "held", numbers, NULL,
            "held already: nothing of these partitions is pulled; files and bytes also of others");
}

/* With part of what is held unread, part of these counts as held. */
static void again_add(struct answer *answer, const struct look_counts *counts)
{
    const struct look_tally *again = &counts->of[LOOK_AGAIN];
    const uint64_t *const numbers[4] = {NULL, counts->files_unknown ? NULL : &again->files, NULL,
                                        &again->bytes};
    row_add(answer, "named again", numbers, NULL,
            "named before in the snapshot: comes, or is held, once");
}

/* Bits a second, as the channel has them; what was measured to 0.1 Mbit/s. */
static uint64_t rate_rounded(const struct window_rate *rate)
{
    uint64_t bits = 8 * rate->bytes_per_second;
    return rate->is_measured && bits >= RATE_STEP ? (bits + RATE_STEP / 2) / RATE_STEP * RATE_STEP
                                                  : bits;
}

static void rate_say(const struct explain_wait *wait, const struct look_result *result,
                     struct bytes *out)
{
    const struct window_rate *rate = &result->rate;
    if (rate->bytes_per_second == 0) {
        bytes_append_text(out, "no estimate: no bandwidth is known");
    } else {
        bytes_append_text(out, "estimated at ");
        bandwidth_format(rate_rounded(rate), out);
        bytes_printf(out, ", %s from %s",
                     !rate->is_measured ? "the limit of the channel"
                     : rate->is_settled ? "as measured"
                                        : "the most that came so far",
                     wait->region);
    }
    if (result->counts.at_most)
        bytes_append_text(out, "; files and bytes are at most so many: there are too many files to "
                               "know each again");
}

static void result_add(const struct explain_wait *wait, const struct look_result *result,
                       struct answer *answer)
{
    const struct look_counts *counts = &result->counts;
    const struct look_tally *fresh = &counts->of[LOOK_NEW], *changed = &counts->of[LOOK_CHANGED];
    BYTES_CLEANUP struct bytes rate = {0};
    const struct look_tally total = {.partitions = fresh->partitions + changed->partitions,
                                     .files = fresh->files + changed->files,
                                     .bytes = fresh->bytes + changed->bytes};
    uint64_t charged = total.bytes + counts->page_bytes;
    const uint64_t *const total_numbers[4] = {&total.partitions, &total.files, &counts->pages,
                                              &total.bytes};
    const uint64_t *const charged_numbers[4] = {NULL, NULL, NULL, &charged};
    tally_add(answer, "new", fresh,
              result->has_base ? "not in the newest snapshot of the table here"
                               : "no snapshot of the table is here");
    tally_add(answer, "changed", changed,
              "other content than in the newest snapshot of the table here");
    held_add(answer, counts);
    again_add(answer, counts);
    rate_say(wait, result, &rate);
    bytes_append_u8(&rate, 0);
    row_add(answer, "total", total_numbers,
            result->rate.bytes_per_second > 0 ? &result->seconds : NULL, (const char *)rate.data);
    row_add(answer, "charged bytes", charged_numbers, NULL,
            "column files and pages; what has to be sent again comes on top");
}

/* ---- waiting for it ---- */

static enum err_code explain_poll(void *context, struct answer *answer,
                                  struct operator_progress *progress, bool *ret_ended,
                                  struct err *err)
{
    struct explain_wait *wait = context;
    struct look_result result;
    TRY(look_poll(wait->look, wait->phase, ret_ended, &result, err));
    *progress = (struct operator_progress){.phase = span_text(wait->phase)};
    if (*ret_ended)
        result_add(wait, &result, answer);
    return ERR_OK;
}

static void explain_close(void *context)
{
    struct explain_wait *wait = context;
    look_close(wait->look);
    mem_free(wait);
}

enum err_code xcopy_explain(const struct statement_call *call, const struct xcopy *xcopy,
                            struct answer *answer, struct err *err)
{
    static const struct answer_column columns[] = {
        {"item", TYPE_STRING, true},   {"partitions", TYPE_BIGINT, false},
        {"files", TYPE_BIGINT, false}, {"pages", TYPE_BIGINT, false},
        {"bytes", TYPE_BIGINT, true},  {"seconds", TYPE_DOUBLE, false},
        {"reason", TYPE_STRING, true},
    };
    struct tasks_order order;
    struct xcopy_look *look;
    TRY(xcopy_order_make(call, xcopy, &order, err));
    TRY(tasks_look(call->services->tasks, &order, &look, err));
    struct explain_wait *wait = mem_calloc(1, sizeof(*wait));
    wait->look = look;
    snprintf(wait->region, sizeof(wait->region), "%.*s", SPAN_PRINTF(order.source_region));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    answer->wait = (struct answer_wait){explain_poll, explain_close, wait};
    return ERR_OK;
}
