/* Column types and single values, their text form and their order.
 *
 * Text forms: BIGINT, INT decimal digits; DOUBLE shortest round-trip, "NaN", "Infinity",
 * "-Infinity"; DECIMAL with exactly `scale` digits after the point; STRING itself; BOOLEAN true |
 * false (0 and 1 are read too); DATE YYYY-MM-DD; DATETIME "YYYY-MM-DD HH:MM:SS[.mmm]", always UTC.
 */
#ifndef PROTO_TYPE_H
#define PROTO_TYPE_H

#include "proto/bytes.h"

/* The numbers are stored: never reuse one. */
enum type_kind {
    TYPE_BIGINT = 1,
    TYPE_INT = 2,
    TYPE_DOUBLE = 3,
    TYPE_DECIMAL = 4,
    TYPE_STRING = 5,
    TYPE_BOOLEAN = 6,
    TYPE_DATE = 7,
    TYPE_DATETIME = 8,
};

struct type {
    enum type_kind kind;
    uint8_t precision; /* DECIMAL: 1 to 38; else 0 */
    uint8_t scale;     /* DECIMAL: 0 to 18, at most precision; else 0 */
};

__extension__ typedef __int128 decimal128; /* unscaled value of a DECIMAL */

struct value {
    bool null;
    union {
        int64_t i64; /* BIGINT, INT, BOOLEAN 0 | 1, DATE days since 1970, DATETIME ms since 1970 */
        double f64;
        decimal128 decimal;
        struct span text; /* borrows */
    };
};

#define TYPE_TEXT_BYTES 24 /* "DECIMAL(38,18)" and its terminating zero fit */

bool type_valid(struct type type); /* known kind, precision and scale in range */
bool type_equal(struct type a, struct type b);
const char *type_format(struct type type, char ret_text[TYPE_TEXT_BYTES]);
/* "BIGINT", "decimal(10, 2)", "DECIMAL" (= 38,18); ERR_PARSE naming the known types. */
enum err_code type_parse(struct span text, struct type *ret_type, struct err *err);
/* BIGINT, INT, STRING, DATE may be partition columns. */
bool type_partitions(struct type type);

/* text -> value, strictly: the whole text, in range, DECIMAL rounded half away from zero to its
 * scale. ERR_CAST says text (cut) and type. STRING borrows `text` and must be UTF-8. */
enum err_code value_parse(struct type type, struct span text, struct value *ret_value,
                          struct err *err);
/* Appends the text form; nothing for NULL. */
void value_format(struct type type, struct value value, struct bytes *out);
/* Total order within a type: NULL first, then by value; NaN equals itself and is greatest; -0 < +0
 * is not distinguished (they are equal). STRING by bytes. */
int value_compare(struct type type, struct value a, struct value b);

/* What a column of the type may hold: INT's 32 bits, BOOLEAN 0 | 1, years 0000 to 9999, DECIMAL's
 * precision, a STRING's length (not its UTF-8). Decoders ask it. */
bool value_in_range(struct type type, struct value value);
decimal128 decimal_power(unsigned exponent); /* 10^exponent, exponent 0 to 38 */

/* Proleptic Gregorian, days since 1970-01-01; years 0000 to 9999. */
int64_t date_from_civil(int64_t year, unsigned month, unsigned day);
void date_to_civil(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);

#endif
