/* What stands inside a schedule's strings, and what a time zone's file says: the first byte tells which. */
#include "node/schedule/parameters.h"
#include "node/schedule/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_cron(struct span text, struct err *err)
{
    struct cron cron;
    int64_t minute = 0, next;
    if (cron_parse(text, &cron, err) != ERR_OK)
        return;
    for (size_t i = 0; i < 4; i++, minute = next) {
        ASSERT(cron_next(&cron, minute, &next));
        ASSERT(next > minute && cron_matches(&cron, next));
    }
}

static void try_parameters(struct span text, struct err *err)
{
    static const struct parameter variables[] = {
        {{(const uint8_t *)"v", 1}, {(const uint8_t *)"$bizdate", 8}}};
    const struct parameters parameters = {INT64_C(1767229200), variables, ARRAY_COUNT(variables)};
    BYTES_CLEANUP struct bytes out = {0};
    size_t at = 0;
    if (parameters_expand(&parameters, text, 1 << 16, &out, &at, err) != ERR_OK)
        ASSERT(at <= text.len && err->message[0] != '\0');
}

static void try_zone(struct span tzif, struct err *err)
{
    ZONE_CLEANUP struct zone *zone = NULL;
    int64_t before_s = INT64_MIN;
    if (zone_decode(tzif, &zone, err) != ERR_OK)
        return;
    for (int64_t local_s = INT64_C(1700000000); local_s < INT64_C(1700000000) + 400 * 86400;
         local_s += 86400 * 10 + 1234) {
        int64_t utc_s = zone_utc_s(zone, local_s);
        ASSERT(utc_s >= before_s);
        before_s = utc_s;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    if (size == 0)
        return 0;
    struct span rest = span_of(data + 1, size - 1);
    if (data[0] == 'c')
        try_cron(rest, &err);
    if (data[0] == 'p')
        try_parameters(rest, &err);
    if (data[0] == 'z')
        try_zone(rest, &err);
    return 0;
}
