/* Order-preserving key parts: memcmp of two keys is the order of their parts.
 *
 *     u8 u16 u32 u64   big-endian
 *     i64              big-endian with the sign bit flipped
 *     text             bytes, 00 written as 00 FF, ended by 00 01 (a prefix sorts first)
 *
 * A partition's key is its values in order of the partition columns: BIGINT, INT, DATE as i64,
 * STRING as text. A table without partitions has the empty key. docs/FORMATS.md.
 */
#ifndef PROTO_KEY_H
#define PROTO_KEY_H

#include "proto/type.h"

void key_append_i64(struct bytes *key, int64_t value);
void key_append_text(struct bytes *key, struct span text);
int64_t reader_key_i64(struct reader *reader);
/* Appends the unescaped text; false (and the reader fails) on a malformed one. */
bool reader_key_text(struct reader *reader, struct bytes *text);

/* Appends the first key beyond all that begin with the prefix; false, and nothing appended: there is
 * none (an empty prefix, or bytes of FF alone). */
bool key_append_prefix_end(struct bytes *key, struct span prefix);

/* One partition value; never NULL. */
void key_append_value(struct bytes *key, struct type type, struct value value);
/* The value's text form is appended to `text`: what users see. Reader fails on malformed input. */
bool reader_key_value_text(struct reader *reader, struct type type, struct bytes *text);

/* The value itself, range and UTF-8 checked. A STRING is appended to `text` and borrows from it
 * until it grows. False (and the reader fails) on malformed input, with `text` as it was. */
bool reader_key_value(struct reader *reader, struct type type, struct bytes *text,
                      struct value *ret_value);

#endif
