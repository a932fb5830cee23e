/* The form in which a value of each type stands in SQLite, such that SQLite's own order of values is
 * ours (proto/type.h):
 *
 *     BIGINT INT BOOLEAN DATE DATETIME    INTEGER, as in struct value
 *     DECIMAL of at most 18 digits        INTEGER, unscaled
 *     DECIMAL of more                     BLOB of 16 bytes: big-endian, sign bit flipped
 *     DOUBLE                              REAL; NaN, which SQLite makes NULL, as the empty BLOB:
 *                                         blobs are greater than all numbers and equal to themselves
 *     STRING                              TEXT
 */
#ifndef NODE_SQL_FORM_H
#define NODE_SQL_FORM_H

#include "proto/type.h"

#define NARROW_DECIMAL_DIGITS 18
#define WIDE_DECIMAL_BYTES    16

enum form {
    FORM_INTEGER,
    FORM_NARROW_DECIMAL,
    FORM_WIDE_DECIMAL,
    FORM_DOUBLE,
    FORM_TEXT,
};

enum form form_of(struct type type);
void wide_decimal_store(decimal128 value, uint8_t form[WIDE_DECIMAL_BYTES]);
decimal128 wide_decimal_load(const uint8_t form[WIDE_DECIMAL_BYTES]);

#endif
