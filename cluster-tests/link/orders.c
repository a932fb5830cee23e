#include "cluster-tests/link/orders.h"

#define ORDER_NUMBERS_MAX 2
#define RATE_MBIT_MAX     1e6
#define MILLISECONDS_MAX  60000.0
#define PERCENT_MAX       100.0

/* One option of both wires: `apply` gets the numbers of the line, checked against the maxima. */
struct order_setting {
    const char *word;
    size_t number_count;
    double maxima[ORDER_NUMBERS_MAX];
    const char *expected;
    void (*apply)(struct wire_options *options, const double *numbers);
};

static uint64_t ns_of(double milliseconds)
{
    return (uint64_t)(milliseconds * 1e6);
}

static uint32_t per_million_of(double percent)
{
    return (uint32_t)(percent * WIRE_PER_MILLION / 100 + 0.5);
}

static void set_rate(struct wire_options *options, const double *numbers)
{
    options->rate_bits = (uint64_t)(numbers[0] * 1e6);
}

static void set_delay(struct wire_options *options, const double *numbers)
{
    options->delay_ns = ns_of(numbers[0]);
}

static void set_queue(struct wire_options *options, const double *numbers)
{
    options->queue_ns = ns_of(numbers[0]);
}

static void set_loss(struct wire_options *options, const double *numbers)
{
    options->loss_ppm = per_million_of(numbers[0]);
}

static void set_reorder(struct wire_options *options, const double *numbers)
{
    options->reorder_ppm = per_million_of(numbers[0]);
    options->reorder_ns = ns_of(numbers[1]);
}

static const struct order_setting settings[] = {
    {"rate", 1, {RATE_MBIT_MAX}, "Mbit/s, up to 1000000", set_rate},
    {"delay", 1, {MILLISECONDS_MAX}, "ms, up to 60000", set_delay},
    {"queue", 1, {MILLISECONDS_MAX}, "ms, up to 60000", set_queue},
    {"loss", 1, {PERCENT_MAX}, "percent", set_loss},
    {"reorder", 2, {PERCENT_MAX, MILLISECONDS_MAX}, "percent and ms", set_reorder},
};

static bool numbers_read(const char *text, const struct order_setting *setting, double *ret_numbers)
{
    for (size_t i = 0; i < setting->number_count; i++) {
        char *end = NULL;
        ret_numbers[i] = strtod(text, &end);
        if (end == text || !(ret_numbers[i] >= 0 && ret_numbers[i] <= setting->maxima[i]))
            return false;
        text = end;
    }
    return text[strspn(text, " ")] == 0;
}

static enum err_code setting_follow(const struct order_setting *setting, const char *rest,
                                    struct wire ways[2], struct err *err)
{
    double numbers[ORDER_NUMBERS_MAX];
    if (!numbers_read(rest, setting, numbers))
        return err_set(err, ERR_PARAMETER, "'%s' wants %s, not '%s'", setting->word,
                       setting->expected, rest);
    for (int way = 0; way < 2; way++) {
        struct wire_options options = ways[way].options;
        setting->apply(&options, numbers);
        wire_set(&ways[way], &options);
    }
    return ERR_OK;
}

static enum err_code cut_follow(const char *rest, struct wire ways[2], struct err *err)
{
    bool ab = strcmp(rest, "ab") == 0, ba = strcmp(rest, "ba") == 0;
    if (!ab && !ba && *rest != 0)
        return err_set(err, ERR_PARAMETER, "'cut' wants nothing, ab or ba, not '%s'", rest);
    if (!ba)
        wire_cut(&ways[0], true);
    if (!ab)
        wire_cut(&ways[1], true);
    return ERR_OK;
}

enum err_code order_follow(const char *line, struct wire ways[2], enum order_reply *ret_reply,
                           struct err *err)
{
    size_t word_bytes = strcspn(line, " ");
    const char *rest = line + word_bytes + strspn(line + word_bytes, " ");
    struct span word = span_of(line, word_bytes);
    *ret_reply = ORDER_DONE;
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
        if (span_equal(word, span_text(settings[i].word)))
            return setting_follow(&settings[i], rest, ways, err);
    }
    if (span_equal(word, span_text("cut")))
        return cut_follow(rest, ways, err);
    bool restore = strcmp(line, "restore") == 0;
    for (int way = 0; way < 2 && restore; way++)
        wire_cut(&ways[way], false);
    if (strcmp(line, "count") == 0)
        *ret_reply = ORDER_COUNT;
    else if (strcmp(line, "quit") == 0)
        *ret_reply = ORDER_QUIT;
    else if (!restore)
        return err_set(err, ERR_PARAMETER,
                       "'%s': expected rate, delay, queue, loss, reorder, cut, restore, count or "
                       "quit",
                       line);
    return ERR_OK;
}

void counters_format(const struct wire ways[2], struct bytes *out)
{
    static const char *const names[2] = {"ab", "ba"};
    bytes_append_text(out, "{");
    for (int way = 0; way < 2; way++) {
        const struct wire_counters *c = &ways[way].counters;
        bytes_printf(out,
                     "%s\"%s\": {\"in\": %" PRIu64 ", \"in_bytes\": %" PRIu64 ", \"out\": %" PRIu64
                     ", \"out_bytes\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"full\": %" PRIu64
                     ", \"cut\": %" PRIu64 ", \"held_back\": %" PRIu64 ", \"on_wire\": %zu}",
                     way == 0 ? "" : ", ", names[way], c->in, c->in_bytes, c->out, c->out_bytes,
                     c->lost, c->full, c->cut, c->held_back, ways[way].count);
    }
    bytes_append_text(out, "}");
}
