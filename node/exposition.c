#include "node/exposition.h"

static void escape(struct span text, bool quotes, struct bytes *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '\\' || c == '\n' || (quotes && c == '"'))
            bytes_append_u8(out, '\\');
        bytes_append_u8(out, c == '\n' ? 'n' : c);
    }
}

void exposition_labels(const struct exposition_label *labels, size_t count, struct bytes *out)
{
    for (size_t i = 0; i < count; i++) {
        bytes_printf(out, "%s%s=\"", i > 0 ? "," : "", labels[i].name);
        escape(labels[i].value, true, out);
        bytes_append_u8(out, '"');
    }
}

static void family_begin(const struct operator_counter *counter, struct bytes *out)
{
    bytes_printf(out, "# HELP %.*s ", SPAN_PRINTF(counter->name));
    escape(counter->help, false, out);
    bytes_printf(out, "\n# TYPE %.*s %s\n", SPAN_PRINTF(counter->name),
                 counter->kind == COUNTER_GAUGE ? "gauge" : "counter");
}

static void sample_write(const struct operator_counter *counter, struct bytes *out)
{
    bytes_append_span(out, counter->name);
    if (counter->labels.len > 0) {
        bytes_append_u8(out, '{');
        bytes_append_span(out, counter->labels);
        bytes_append_u8(out, '}');
    }
    bytes_printf(out, " %" PRIu64 "\n", counter->value);
}

static bool is_first(const struct operator_counter *counters, size_t i)
{
    for (size_t k = i; k-- > 0;)
        if (span_equal(counters[k].name, counters[i].name))
            return false;
    return true;
}

void exposition_write(const struct operator_counter *counters, size_t count, struct bytes *out)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_first(counters, i))
            continue;
        family_begin(&counters[i], out);
        for (size_t k = i; k < count; k++)
            if (span_equal(counters[k].name, counters[i].name))
                sample_write(&counters[k], out);
    }
}
