#include "node/sql/form.h"

#define SIGN_BIT (UINT64_C(1) << 63)

enum form form_of(struct type type)
{
    switch (type.kind) {
    case TYPE_DOUBLE:
        return FORM_DOUBLE;
    case TYPE_STRING:
        return FORM_TEXT;
    case TYPE_DECIMAL:
        return type.precision <= NARROW_DECIMAL_DIGITS ? FORM_NARROW_DECIMAL : FORM_WIDE_DECIMAL;
    case TYPE_BIGINT:
    case TYPE_INT:
    case TYPE_BOOLEAN:
    case TYPE_DATE:
    case TYPE_DATETIME:
        break;
    }
    return FORM_INTEGER;
}

void wide_decimal_store(decimal128 value, uint8_t form[WIDE_DECIMAL_BYTES])
{
    __extension__ unsigned __int128 bits = (unsigned __int128)value;
    store_u64(form, (uint64_t)(bits >> 64) ^ SIGN_BIT);
    store_u64(form + 8, (uint64_t)bits);
}

decimal128 wide_decimal_load(const uint8_t form[WIDE_DECIMAL_BYTES])
{
    __extension__ unsigned __int128 bits = (unsigned __int128)(load_u64(form) ^ SIGN_BIT) << 64;
    return (decimal128)(bits | load_u64(form + 8));
}
