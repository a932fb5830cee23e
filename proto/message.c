#include "proto/message.h"

#include "proto/limits.h"

/* What protobuf-c 1.4.1 does with hostile bytes, and what keeps it from doing so here:
 *
 *   shifts into the sign of an int in the fifth byte of a tag or length   scan_field, scan_content
 *   adds to a null pointer for an empty packed field                      scan_field: wire type
 *   copies from a null pointer, or merges, when one field comes twice     scan_once
 *   keeps unknown fields and packs them again                             scan_field
 *   cuts a number to its type without a word                              scan_varint_fits
 *   takes tens of bytes of scratch for each wire member                   the arena's budget
 */
#define MESSAGE_DEPTH_MAX  8
#define MESSAGE_FIELDS_MAX 64

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_LENGTH = 2,
    WIRE_32 = 5,
};

struct scan {
    struct reader reader;
    const ProtobufCMessageDescriptor *descriptor;
    uint64_t seen; /* bit i: field i of the descriptor, or another one of its oneof, came already */
    unsigned depth;
};

static enum err_code scan_message(const ProtobufCMessageDescriptor *descriptor, struct span wire,
                                  unsigned depth, struct err *err);

static enum err_code scan_refuse(const struct scan *scan, const char *what, struct err *err)
{
    return err_set(err, ERR_BAD_DATA, "message %s: %s", scan->descriptor->short_name, what);
}

/* False unless a number of at most 64 bits stands there in its shortest form. */
static bool scan_varint(struct reader *reader, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (reader->left.len > 0 && reader->left.data[0] < 0x80) { /* nearly all of them */
        *ret_value = reader_u8(reader);
        return true;
    }
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(reader);
        if (!reader_ok(reader) || (shift == 63 && byte > 1) || (shift > 0 && byte == 0))
            return false;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static enum wire_type field_wire_type(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LENGTH;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        break;
    }
    return WIRE_VARINT;
}

/* Would the number survive in the field's C type? */
static bool scan_varint_fits(const ProtobufCFieldDescriptor *field, uint64_t value)
{
    switch ((unsigned)field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return value <= 1;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_SINT32:
        return value <= UINT32_MAX;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        return value <= INT32_MAX || value >= (uint64_t)INT32_MIN;
    default:
        return true;
    }
}

/* Marks the field, and with it all of its oneof; false when it was marked. */
static bool scan_once(struct scan *scan, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return true;
    uint64_t marks = 0;
    for (unsigned i = 0; i < scan->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *other = &scan->descriptor->fields[i];
        bool same_oneof = (field->flags & other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                          field->quantifier_offset == other->quantifier_offset;
        if (other == field || same_oneof)
            marks |= UINT64_C(1) << i;
    }
    if ((scan->seen & marks) != 0)
        return false;
    scan->seen |= marks;
    return true;
}

static enum err_code scan_content(struct scan *scan, const ProtobufCFieldDescriptor *field,
                                  struct err *err)
{
    uint64_t value = 0;
    switch (field_wire_type(field)) {
    case WIRE_32:
        reader_u32(&scan->reader);
        break;
    case WIRE_64:
        reader_u64(&scan->reader);
        break;
    case WIRE_VARINT:
        if (!scan_varint(&scan->reader, &value) || !scan_varint_fits(field, value))
            return scan_refuse(scan, "malformed number", err);
        break;
    case WIRE_LENGTH: {
        if (!scan_varint(&scan->reader, &value) || value > scan->reader.left.len)
            return scan_refuse(scan, "malformed length", err);
        struct span content = reader_span(&scan->reader, (size_t)value);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            TRY(scan_message(field->descriptor, content, scan->depth + 1, err));
        break;
    }
    }
    return reader_ok(&scan->reader) ? ERR_OK : scan_refuse(scan, "ends within a field", err);
}

static enum err_code scan_field(struct scan *scan, struct err *err)
{
    uint64_t tag = 0;
    if (!scan_varint(&scan->reader, &tag) || tag > UINT32_MAX)
        return scan_refuse(scan, "malformed tag", err);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(scan->descriptor, (unsigned)(tag >> 3));
    if (field == NULL)
        return err_set(err, ERR_BAD_DATA,
                       "message %s: unknown field %u: damaged, or of a later version of this "
                       "program than runs here",
                       scan->descriptor->short_name, (unsigned)(tag >> 3));
    if ((tag & 7) != (uint64_t)field_wire_type(field))
        return scan_refuse(scan, "wrong wire type", err);
    if (!scan_once(scan, field))
        return scan_refuse(scan, "a field comes twice", err);
    return scan_content(scan, field, err);
}

static enum err_code scan_message(const ProtobufCMessageDescriptor *descriptor, struct span wire,
                                  unsigned depth, struct err *err)
{
    ASSERT(descriptor->n_fields <= MESSAGE_FIELDS_MAX);
    struct scan scan = {
        .reader = reader_of(wire), .descriptor = descriptor, .seen = 0, .depth = depth};
    if (depth > MESSAGE_DEPTH_MAX)
        return scan_refuse(&scan, "nested too deep", err);
    while (scan.reader.left.len > 0)
        TRY(scan_field(&scan, err));
    return ERR_OK;
}

static void *message_alloc(void *arena, size_t bytes)
{
    return arena_alloc(arena, 1, bytes);
}

static void message_free(void *arena, void *memory)
{
    (void)arena; /* the arena goes at once */
    (void)memory;
}

size_t message_arena_bytes(size_t wire_bytes)
{
    ASSERT(wire_bytes < SIZE_MAX / LIMIT_MESSAGE_ARENA_FACTOR - KIB(4));
    return wire_bytes * LIMIT_MESSAGE_ARENA_FACTOR + KIB(4);
}

struct arena message_arena(struct span wire)
{
    struct arena arena;
    arena_init(&arena, message_arena_bytes(wire.len));
    return arena;
}

enum err_code message_unpack(const ProtobufCMessageDescriptor *descriptor, struct span wire,
                             size_t wire_bytes_max, struct arena *arena,
                             ProtobufCMessage **ret_message, struct err *err)
{
    if (wire.len > wire_bytes_max)
        return err_set(err, ERR_LIMIT, "message %s: %zu bytes, at most %zu are taken",
                       descriptor->short_name, wire.len, wire_bytes_max);
    TRY(scan_message(descriptor, wire, 0, err));
    ProtobufCAllocator allocator = {
        .alloc = message_alloc, .free = message_free, .allocator_data = arena};
    static const uint8_t nothing;
    const uint8_t *data = wire.len > 0 ? wire.data : &nothing;
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, wire.len, data);
    if (message == NULL && arena->exhausted)
        return err_set(err, ERR_LIMIT, "message %s: takes more memory than it may",
                       descriptor->short_name);
    if (message == NULL || !protobuf_c_message_check(message))
        return err_set(err, ERR_BAD_DATA, "message %s: malformed", descriptor->short_name);
    *ret_message = message;
    return ERR_OK;
}

enum err_code message_unpack_canonical(const ProtobufCMessageDescriptor *descriptor,
                                       struct span wire, size_t wire_bytes_max, struct arena *arena,
                                       ProtobufCMessage **ret_message, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(message_unpack(descriptor, wire, wire_bytes_max, arena, &message, err));
    BYTES_CLEANUP struct bytes packed = {0};
    message_pack(message, &packed);
    if (!span_equal(bytes_span(&packed), wire))
        return err_set(err, ERR_BAD_DATA, "message %s: not in canonical form",
                       descriptor->short_name);
    *ret_message = message;
    return ERR_OK;
}

void message_pack(const ProtobufCMessage *message, struct bytes *out)
{
    size_t at = out->len;
    size_t bytes = protobuf_c_message_get_packed_size(message);
    bytes_resize(out, at + bytes);
    if (bytes > 0)
        ASSERT(protobuf_c_message_pack(message, out->data + at) == bytes);
}

struct span message_span(ProtobufCBinaryData data)
{
    return span_of(data.data, data.len);
}

enum err_code message_exact(ProtobufCBinaryData data, const char *field, void *ret, size_t bytes,
                            struct err *err)
{
    if (data.len != bytes)
        return err_set(err, ERR_BAD_DATA, "%s: %zu bytes, not %zu", field, data.len, bytes);
    memcpy(ret, data.data, bytes);
    return ERR_OK;
}

ProtobufCBinaryData message_data(struct span span)
{
    return (ProtobufCBinaryData){.len = span.len, .data = (uint8_t *)(uintptr_t)span.data};
}
