#include "node/sql/exact_sum.h"

#include <math.h>
#include <string.h>

#include "proto/err.h"

#define CHUNK_BITS     32
#define CHUNK_MASK     0xFFFFFFFFu
#define UNCARRIED_MAX  (UINT32_C(1) << 30)
#define FRACTION_BITS  52
#define EXPONENT_MASK  0x7FF
#define LEAST_EXPONENT (-1074)

__extension__ typedef unsigned __int128 wide;

/* Every chunk but the last goes to 0 .. 2^32 - 1, the last has the sign. */
static void carry(struct exact_sum *sum)
{
    for (int i = 0; i + 1 < EXACT_SUM_CHUNKS; i++) {
        int64_t rest = sum->chunks[i] & (int64_t)CHUNK_MASK;
        sum->chunks[i + 1] += (sum->chunks[i] - rest) / (INT64_C(1) << CHUNK_BITS);
        sum->chunks[i] = rest;
    }
    sum->uncarried = 0;
}

void exact_sum_add(struct exact_sum *sum, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    unsigned exponent = (unsigned)(bits >> FRACTION_BITS) & EXPONENT_MASK;
    if (exponent == EXPONENT_MASK) {
        sum->nan = sum->nan || isnan(number);
        sum->infinite = sum->infinite || number > 0;
        sum->minus_infinite = sum->minus_infinite || number < 0;
        return;
    }
    uint64_t mantissa = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    if (exponent > 0)
        mantissa |= UINT64_C(1) << FRACTION_BITS;
    unsigned shift = exponent > 0 ? exponent - 1 : 0; /* in units of 2^-1074 */
    wide shifted = (wide)mantissa << (shift % CHUNK_BITS);
    int64_t *chunk = &sum->chunks[shift / CHUNK_BITS];
    for (int i = 0; i < 3; i++) {
        int64_t piece = (int64_t)((uint64_t)shifted & CHUNK_MASK);
        chunk[i] += number < 0 ? -piece : piece;
        shifted >>= CHUNK_BITS;
    }
    if (++sum->uncarried == UNCARRIED_MAX)
        carry(sum);
}

/* The chunks from `top` down as 64 bits that begin with a one, what is below as a bit more: enough to
 * round to 53 bits. */
static double round_down_from(const int64_t *chunks, int top)
{
    wide bits = 0;
    for (int i = 0; i < 3; i++)
        bits = bits << CHUNK_BITS | (top >= i ? (uint64_t)chunks[top - i] : 0);
    int low_bit = (top - 2) * CHUNK_BITS; /* may lie below 2^-1074: zeros */
    bool sticky = false;
    for (int i = top - 3; i >= 0 && !sticky; i--)
        sticky = chunks[i] != 0;
    while (bits >> 64 != 0) {
        sticky = sticky || (bits & 1) != 0;
        bits >>= 1;
        low_bit++;
    }
    return ldexp((double)((uint64_t)bits | (sticky ? 1 : 0)), low_bit + LEAST_EXPONENT);
}

double exact_sum_get(struct exact_sum *sum)
{
    if (sum->nan || (sum->infinite && sum->minus_infinite))
        return NAN;
    if (sum->infinite || sum->minus_infinite)
        return sum->infinite ? INFINITY : -INFINITY;
    carry(sum);
    struct exact_sum magnitude = *sum;
    bool negative = sum->chunks[EXACT_SUM_CHUNKS - 1] < 0;
    for (int i = 0; i < EXACT_SUM_CHUNKS && negative; i++)
        magnitude.chunks[i] = -magnitude.chunks[i];
    carry(&magnitude);
    int top = EXACT_SUM_CHUNKS - 1;
    while (top >= 0 && magnitude.chunks[top] == 0)
        top--;
    if (top < 0)
        return 0;
    double result = round_down_from(magnitude.chunks, top);
    return negative ? -result : result;
}
