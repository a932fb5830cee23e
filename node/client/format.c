/* See format.h: the table of formats. */
#include "node/client/format.h"

static const struct format_kind *const kinds[] = {&format_table, &format_csv, &format_json};

const struct format_kind *format_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (strcasecmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

const char *format_names(void)
{
    return "table, csv or json";
}

struct format *format_new(const struct format_kind *kind, const struct column *columns,
                          size_t count)
{
    return kind->new (kind, columns, count);
}

void format_rows(struct format *format, const struct batch *batch, struct bytes *out)
{
    ASSERT(batch->vector_count == format->count);
    format->kind->rows(format, batch, out);
}

void format_end(struct format *format, struct bytes *out)
{
    format->kind->end(format, out);
}
