/* A sum of the numbers that texts begin with, exact in decimal: the same in whatever order they come, and
 * another one whenever a digit is another. What the checksum query of the XCOPY page rests on.
 *
 * A text's number is its leading [sign] digits [. digits]; with the exponent behind it when the whole text
 * is a number; 0 where there is none. Digits beyond TEXT_SUM_FRACTION behind the point are left out, of
 * each text alike. Pure.
 */
#ifndef NODE_SQL_TEXT_SUM_H
#define NODE_SQL_TEXT_SUM_H

#include "proto/bytes.h"
#include "proto/err.h"

#define TEXT_SUM_CHUNK_DIGITS 9
#define TEXT_SUM_FRACTION     360 /* digits; a multiple of the chunk's, as the next one */
#define TEXT_SUM_WHOLE        315 /* the largest DOUBLE has 309 */
#define TEXT_SUM_CHUNKS       ((TEXT_SUM_FRACTION + TEXT_SUM_WHOLE) / TEXT_SUM_CHUNK_DIGITS + 3)

struct text_sum {
    int64_t chunks[TEXT_SUM_CHUNKS]; /* nine digits each, least first; the last three: 2^63 texts */
    uint32_t uncarried;              /* texts since the last carry */
};

/* A zeroed sum is 0. ERR_CAST: more than TEXT_SUM_WHOLE digits before the point. */
enum err_code text_sum_add(struct text_sum *sum, struct span text, struct err *err) MUST_USE;
/* All digits: "-12.5", "0", without zeros that say nothing. Appends. */
void text_sum_format(struct text_sum *sum, struct bytes *out);
/* Rounded once; infinite where no DOUBLE is as large. */
double text_sum_get(struct text_sum *sum);

#endif
