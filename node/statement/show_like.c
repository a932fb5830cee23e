#include "node/statement/show_like.h"

#include <ctype.h>

#include "node/statement/partition.h"
#include "proto/key.h"

static bool characters_fit(uint8_t c, uint8_t pattern)
{
    return pattern == '_' || tolower(c) == tolower(pattern);
}

/* Greedy with one way back: the last '%' takes one character more. */
bool show_like(struct span name, struct span pattern)
{
    size_t at = 0;
    size_t p = 0;
    size_t star = SIZE_MAX;
    size_t star_at = 0;
    while (at < name.len) {
        bool any = p < pattern.len && (pattern.data[p] == '%' || pattern.data[p] == '*');
        if (any) {
            star = p++;
            star_at = at;
        } else if (p < pattern.len && characters_fit(name.data[at], pattern.data[p])) {
            at++;
            p++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            at = ++star_at;
        } else {
            return false;
        }
    }
    while (p < pattern.len && (pattern.data[p] == '%' || pattern.data[p] == '*'))
        p++;
    return p == pattern.len;
}

enum err_code show_spec_check(const struct schema *schema, const struct partition_spec *spec,
                              struct err *err)
{
    struct value values[LIMIT_PARTITION_LEVELS];
    bool given[LIMIT_PARTITION_LEVELS];
    return partition_spec_values(schema, spec, values, given, err);
}

bool show_partition_fits(const struct schema *schema, const struct partition_spec *spec,
                         struct span key)
{
    struct value values[LIMIT_PARTITION_LEVELS];
    bool given[LIMIT_PARTITION_LEVELS];
    if (partition_spec_values(schema, spec, values, given, NULL) != ERR_OK)
        return false;
    struct reader reader = reader_of(key);
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        struct type type = schema->partition_columns[i].type;
        BYTES_CLEANUP struct bytes has = {0};
        BYTES_CLEANUP struct bytes wanted = {0};
        if (!reader_key_value_text(&reader, type, &has))
            return false;
        if (given[i])
            value_format(type, values[i], &wanted);
        if (given[i] && !span_equal(bytes_span(&has), bytes_span(&wanted)))
            return false;
    }
    return true;
}
