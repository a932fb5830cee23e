/* Values of a program's columns as one blob, because SQLite's functions take 127 arguments:
 *
 *     "evaluate"(7, a, b, ..., "pack"(7, 110, c, d, ...), "pack"(7, 235, ...))
 *
 * A value is its bytes in memory and, of a text, the text's: a blob never leaves the call. Pure.
 */
#ifndef NODE_SQL_SLOTS_H
#define NODE_SQL_SLOTS_H

#include "proto/type.h"

void slot_pack(struct type type, struct value value, struct bytes *out);
/* The next value of *packed, which shrinks; a text borrows from it. */
struct value slot_unpack(struct type type, struct span *packed);

#endif
