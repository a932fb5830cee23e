#include "node/sql/slots.h"

#include "node/sql/form.h"

static bool has_text(struct type type, struct value value)
{
    return form_of(type) == FORM_TEXT && !value.null && value.text.len > 0;
}

void slot_pack(struct type type, struct value value, struct bytes *out)
{
    bytes_append(out, &value, sizeof(value));
    if (has_text(type, value))
        bytes_append_span(out, value.text);
}

struct value slot_unpack(struct type type, struct span *packed)
{
    struct value value;
    ASSERT(packed->len >= sizeof(value));
    memcpy(&value, packed->data, sizeof(value));
    *packed = span_of(packed->data + sizeof(value), packed->len - sizeof(value));
    if (!has_text(type, value))
        return value;
    ASSERT(packed->len >= value.text.len);
    value.text.data = packed->data;
    *packed = span_of(packed->data + value.text.len, packed->len - value.text.len);
    return value;
}
