#include "store/planes.h"

unsigned planes_width(uint64_t range)
{
    return range == 0 ? 0 : (unsigned)(71 - __builtin_clzll(range)) / 8;
}

void planes_append(const uint64_t *values, size_t count, uint64_t smallest, unsigned width,
                   struct bytes *out)
{
    bytes_append_u8(out, (uint8_t)width);
    bytes_append_u64(out, smallest);
    size_t at = out->len;
    bytes_resize(out, at + count * width);
    for (unsigned plane = 0; plane < width; plane++) {
        uint8_t *to = out->data + at + plane * count;
        for (size_t i = 0; i < count; i++)
            to[i] = (uint8_t)((values[i] - smallest) >> 8 * plane);
    }
}

void planes_append_unsigned(const uint32_t *values, size_t count, struct bytes *out)
{
    uint32_t min = count == 0 ? 0 : values[0];
    uint32_t max = min;
    for (size_t i = 0; i < count; i++) {
        min = values[i] < min ? values[i] : min;
        max = values[i] > max ? values[i] : max;
    }
    unsigned width = planes_width(max - min);
    bytes_append_u8(out, (uint8_t)width);
    bytes_append_u64(out, min);
    size_t at = out->len;
    bytes_resize(out, at + count * width);
    for (unsigned plane = 0; plane < width; plane++) {
        uint8_t *to = out->data + at + plane * count;
        for (size_t i = 0; i < count; i++)
            to[i] = (uint8_t)((values[i] - min) >> 8 * plane);
    }
}

static bool planes_header(struct reader *reader, size_t count, uint64_t *ret_smallest,
                          unsigned *ret_width, struct span *ret_planes)
{
    unsigned width = reader_u8(reader);
    uint64_t smallest = reader_u64(reader);
    if (width > 8)
        reader->failed = true;
    struct span planes = reader_span(reader, count * width);
    if (!reader_ok(reader))
        return false;
    *ret_smallest = smallest;
    *ret_width = width;
    *ret_planes = planes;
    return true;
}

bool planes_read(struct reader *reader, size_t stored, size_t count, uint64_t *ret_values)
{
    uint64_t smallest;
    unsigned width;
    struct span planes;
    ASSERT(count <= stored);
    if (!planes_header(reader, stored, &smallest, &width, &planes))
        return false;
    if (width == 0) {
        for (size_t i = 0; i < count; i++)
            ret_values[i] = smallest;
        return true;
    }
    for (size_t i = 0; i < count; i++)
        ret_values[i] = planes.data[i];
    for (unsigned plane = 1; plane < width; plane++) {
        const uint8_t *from = planes.data + plane * stored;
        for (size_t i = 0; i < count; i++)
            ret_values[i] |= (uint64_t)from[i] << 8 * plane;
    }
    for (size_t i = 0; i < count; i++)
        ret_values[i] += smallest;
    return true;
}

bool planes_read_unsigned(struct reader *reader, size_t stored, size_t count, uint32_t max,
                          uint32_t *ret_values)
{
    uint64_t smallest;
    unsigned width;
    struct span planes;
    ASSERT(count <= stored);
    if (!planes_header(reader, stored, &smallest, &width, &planes))
        return false;
    if (width > 4 || smallest > max)
        reader->failed = true;
    uint64_t largest = smallest;
    for (size_t i = 0; i < count && reader_ok(reader); i++) {
        uint64_t value = smallest;
        for (unsigned plane = 0; plane < width; plane++)
            value += (uint64_t)planes.data[plane * stored + i] << 8 * plane;
        largest = value > largest ? value : largest;
        ret_values[i] = (uint32_t)value;
    }
    if (largest > max)
        reader->failed = true;
    return reader_ok(reader);
}
