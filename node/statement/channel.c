/* ALTER CHANNEL, SHOW CHANNELS: the region's operator says how much comes from another region, and
 * sees how much does. */
#include "node/channels.h"

#include <strings.h>

#include "node/statement/statement.h"

struct edit {
    const struct alter_channel *alter;
    uint64_t bits_per_second; /* 0: DEFAULT */
    struct channel_window window;
};

static enum err_code edit_schedule(void *context, struct channel_schedule *schedule,
                                   struct err *err)
{
    const struct edit *edit = context;
    if (!edit->alter->in_window) {
        schedule->bits_per_second = edit->bits_per_second;
        return ERR_OK;
    }
    if (edit->bits_per_second == 0)
        return schedule_window_drop(schedule, edit->window.from, edit->window.to, err);
    return schedule_window_set(schedule, &edit->window, err);
}

static enum err_code window_read(const struct alter_channel *alter, struct channel_window *window,
                                 struct err *err)
{
    TRY(minute_parse(alter->from, &window->from, err));
    TRY(minute_parse(alter->to, &window->to, err));
    if (window->from == window->to)
        return err_set(err, ERR_SEMANTIC,
                       "the window ends when it begins; for all day leave BETWEEN away");
    bool utc = alter->timezone.len == 0 ||
               (alter->timezone.len == 3 &&
                strncasecmp((const char *)alter->timezone.data, "UTC", 3) == 0);
    if (!utc)
        return err_set(err, ERR_SEMANTIC,
                       "TIMEZONE '%.*s' is not supported yet: a window's times are UTC",
                       SPAN_PRINTF(alter->timezone));
    return ERR_OK;
}

enum err_code statement_alter_channel(const struct statement_call *call, struct answer *answer,
                                      struct err *err)
{
    (void)answer;
    const struct alter_channel *alter = &call->statement->alter_channel;
    struct edit edit = {.alter = alter};
    TRY(authorise(call->principal, ACTION_OPERATE, object_region(), err));
    if (call->services->channels == NULL)
        return err_set(err, ERR_SEMANTIC, "this node has no channels");
    if (span_equal(alter->region, span_text(call->services->region)))
        return err_set(err, ERR_PARAMETER,
                       "region %.*s is this one: a channel comes from another region",
                       SPAN_PRINTF(alter->region));
    if (!alter->is_default)
        TRY(bandwidth_parse(alter->bandwidth, &edit.bits_per_second, err));
    if (alter->in_window)
        TRY(window_read(alter, &edit.window, err));
    edit.window.bits_per_second = edit.bits_per_second;
    struct change_note note = statement_note(call);
    return channels_alter(call->services->channels, alter->region, edit_schedule, &edit, &note,
                          err);
}

static void add_bandwidth(struct answer *answer, uint64_t bits_per_second)
{
    BYTES_CLEANUP struct bytes text = {0};
    bandwidth_format(bits_per_second, &text);
    answer_add_text(answer, bytes_span(&text));
}

static void add_channel(const struct statement_call *call, const struct channel_status *status,
                        struct answer *answer)
{
    BYTES_CLEANUP struct bytes windows = {0};
    uint64_t set = status->schedule.bits_per_second;
    schedule_windows_format(&status->schedule, &windows);
    answer_add_text(answer, span_text(status->region));
    answer_add_text(answer, span_text(call->services->region));
    answer_add_number(answer, status->bits_per_second);
    add_bandwidth(answer, set == 0 ? BUCKET_DEFAULT_BITS_PER_SECOND : set);
    answer_add_text(answer, bytes_span(&windows));
    answer_add_number(answer, status->bytes_per_second);
    answer_add_number(answer, status->bytes_today);
    answer_add_number(answer, status->tasks);
    answer_add_boolean(answer, status->connected);
    if (status->last_error.code == ERR_OK)
        answer_add_null(answer);
    else
        answer_add_text(answer, span_text(status->last_error.message));
}

enum err_code statement_show_channels(const struct statement_call *call, struct answer *answer,
                                      struct err *err)
{
    static const struct answer_column columns[] = {
        {"source_region", TYPE_STRING, true},
        {"destination_region", TYPE_STRING, true},
        {"limit_bits_per_second", TYPE_BIGINT, true},
        {"bandwidth", TYPE_STRING, true},
        {"windows", TYPE_STRING, true},
        {"bytes_per_second", TYPE_BIGINT, true},
        {"bytes_today", TYPE_BIGINT, true},
        {"tasks", TYPE_BIGINT, true},
        {"connected", TYPE_BOOLEAN, true},
        {"last_error", TYPE_STRING, false},
    };
    struct channels *channels = call->services->channels;
    TRY(authorise(call->principal, ACTION_OPERATE, object_region(), err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; channels != NULL && i < channels_count(channels); i++) {
        struct channel_status status;
        if (channels_status(channels, i, &status))
            add_channel(call, &status, answer);
    }
    return ERR_OK;
}
