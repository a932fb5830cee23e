/* See listing.h. */
#include "node/client/listing.h"

void listing_init(struct listing *listing, const struct listing_column *columns, size_t count)
{
    *listing = (struct listing){.count = count};
    listing->columns = mem_calloc(count, sizeof *listing->columns);
    for (size_t i = 0; i < count; i++) {
        listing->columns[i].name = span_text(columns[i].name);
        listing->columns[i].type.kind = columns[i].kind;
    }
    struct schema schema = {.columns = listing->columns, .column_count = count};
    batch_init(&listing->batch, &schema);
}

void listing_deinit(struct listing *listing)
{
    batch_deinit(&listing->batch);
    mem_free(listing->columns);
}

static void cell_put(struct listing *listing, struct value value)
{
    vector_append(&listing->batch.vectors[listing->cell], value);
    listing->cell = (listing->cell + 1) % listing->count;
    if (listing->cell == 0)
        listing->batch.rows++;
}

void listing_text(struct listing *listing, struct span text)
{
    cell_put(listing, (struct value){.null = text.len == 0, .text = text});
}

void listing_number(struct listing *listing, uint64_t number)
{
    cell_put(listing, (struct value){.i64 = number > INT64_MAX ? INT64_MAX : (int64_t)number});
}

void listing_time(struct listing *listing, uint64_t since_1970_ms)
{
    cell_put(listing, (struct value){.null = since_1970_ms == 0, .i64 = (int64_t)since_1970_ms});
}

void listing_null(struct listing *listing)
{
    cell_put(listing, (struct value){.null = true});
}

enum err_code listing_print(struct listing *listing, const struct format_kind *kind,
                            struct err *err)
{
    struct bytes out BYTES_CLEANUP = {0};
    ASSERT(listing->cell == 0);
    struct format *format = format_new(kind, listing->columns, listing->count);
    format_rows(format, &listing->batch, &out);
    format_end(format, &out);
    batch_clear(&listing->batch);
    return stdout_write(bytes_span(&out), err);
}
