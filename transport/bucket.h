/* Bandwidth of one way of a channel: a token bucket that all connections of that way share.
 *
 * Bytes are granted in order of arrival, so connections share the rate evenly, whatever their number:
 * who takes some gets a ticket, its place in that order, and goes on when all before it has gone, at
 * the rates that held meanwhile. A new rate counts at once, for those that wait as well: they look
 * again after BUCKET_LOOK_US at the latest.
 *
 * What is limited is what an interface carries: the sealed bytes that are taken, and BUCKET_FRAMING_PERCENT
 * on top for TCP/IP and Ethernet. Those cost 4.6 percent over IPv4 and 6.0 over IPv6 at an MTU of
 * 1,500, and next to nothing where the MTU is large (loopback) or the interface counts segments that
 * a later one cuts; so the estimate is within 3 percent of each.
 *
 * Memory: counted references; every connection that uses a bucket holds one.
 * Threads: any.
 */
#ifndef TRANSPORT_BUCKET_H
#define TRANSPORT_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#define BUCKET_DEFAULT_BITS_PER_SECOND UINT64_C(10000000000)
#define BUCKET_MIN_BITS_PER_SECOND     UINT64_C(1000000)
#define BUCKET_FRAMING_PERCENT         3
#define BUCKET_LOOK_US                 UINT64_C(100000)

struct bucket;

/* Rates below BUCKET_MIN_BITS_PER_SECOND are raised to it; 0 means the default. */
struct bucket *bucket_new(uint64_t bits_per_second);
struct bucket *bucket_ref(struct bucket *bucket); /* NULL in, NULL out */
void bucket_unref(struct bucket *bucket);         /* NULL is allowed */
/* From now_us (monotonic) on, for what is taken already too. What of that is more than a moment of the new rate goes at
 * once: it was read, or begun, while the old one held, and would stop everything for seconds of a lower one. */
void bucket_set_rate(struct bucket *bucket, uint64_t bits_per_second, uint64_t now_us);
uint64_t bucket_rate(struct bucket *bucket);
uint64_t bucket_bytes_total(struct bucket *bucket); /* taken since the start, without framing */

/* Takes `bytes` out at time now_us; returns the ticket. A NULL bucket gives any. */
uint64_t bucket_take(struct bucket *bucket, uint64_t bytes, uint64_t now_us);
/* Microseconds until the ticket's turn, as far as is known: 0 is its turn, else at most
 * BUCKET_LOOK_US: then ask again. A NULL bucket never lets wait. */
uint64_t bucket_wait_us(struct bucket *bucket, uint64_t ticket, uint64_t now_us);

#endif
