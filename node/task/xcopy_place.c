#include "node/task/xcopy_pull.h"

static void append_key(struct bytes *out, struct span key)
{
    bytes_append_u16(out, (uint16_t)key.len);
    bytes_append_span(out, key);
}

#define PLACE_ROOT      1
#define PLACE_RIGHTMOST 2
#define PLACE_AFTER     4

void place_encode_page(const struct page_place *place, struct bytes *out)
{
    bytes_append_u8(out, (uint8_t)place->tree);
    bytes_append_u8(out, (uint8_t)((place->is_root ? PLACE_ROOT : 0) |
                                   (place->is_rightmost ? PLACE_RIGHTMOST : 0) |
                                   (place->has_after ? PLACE_AFTER : 0)));
    bytes_append_u32(out, place->level);
    append_key(out, place->after);
    append_key(out, place->last);
    bytes_append_u64(out, place->totals.rows);
    bytes_append_u64(out, place->totals.bytes);
    bytes_append_u64(out, place->totals.partitions);
}

enum err_code place_decode_page(struct span encoded, struct page_place *ret_place, struct err *err)
{
    struct reader reader = reader_of(encoded);
    struct page_place place = {.tree = (enum tree_kind)reader_u8(&reader)};
    uint8_t flags = reader_u8(&reader);
    place.is_root = (flags & PLACE_ROOT) != 0;
    place.is_rightmost = (flags & PLACE_RIGHTMOST) != 0;
    place.has_after = (flags & PLACE_AFTER) != 0;
    place.level = reader_u32(&reader);
    place.after = reader_span(&reader, reader_u16(&reader));
    place.last = reader_span(&reader, reader_u16(&reader));
    place.totals.rows = reader_u64(&reader);
    place.totals.bytes = reader_u64(&reader);
    place.totals.partitions = reader_u64(&reader);
    if (!reader_end(&reader))
        return err_set(err, ERR_INTERNAL, "the place of a page is malformed");
    *ret_place = place;
    return ERR_OK;
}

void place_encode_file(struct span key, uint32_t column_id, struct bytes *out)
{
    bytes_append_u32(out, column_id);
    append_key(out, key);
}

enum err_code place_decode_file(struct span encoded, struct span *ret_key, uint32_t *ret_column_id,
                                struct err *err)
{
    struct reader reader = reader_of(encoded);
    uint32_t column_id = reader_u32(&reader);
    struct span key = reader_span(&reader, reader_u16(&reader));
    if (!reader_end(&reader))
        return err_set(err, ERR_INTERNAL, "the place of a file is malformed");
    *ret_key = key;
    *ret_column_id = column_id;
    return ERR_OK;
}
