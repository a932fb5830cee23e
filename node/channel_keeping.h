/* Does the source keep the limit that it was told? Of one channel: at what rate this side reads, and when the source
 * is told (again).
 *
 *     new limit, or another process at the source ──► read exactly at the limit, tell
 *     it answered that it knows the limit ──► read at KEEPING_BACKSTOP times that: what lies in the kernels'
 *                                             buffers has come over the wire already, and read slowly it would
 *                                             leave the wire idle when the limit falls
 *     more came than it was told, and than buffers hold ──► exactly again, until it is told another limit
 *
 * A source that does not know the request, or says that it does not take it, is read exactly.
 * Pure: no clock, no I/O, no threads.
 */
#ifndef NODE_CHANNEL_KEEPING_H
#define NODE_CHANNEL_KEEPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEEPING_BACKSTOP 8
#define KEEPING_PERCENT  110   /* of the limit: a source that keeps it */
#define KEEPING_GRACE_MS 60000 /* from a change on: until then buffers may be what is read */
#define KEEPING_EXCESS_BYTES                                                                       \
    (UINT64_C(256) << 20) /* or two seconds of the limit: no buffers hold more */
#define KEEPING_BOOT_BYTES 16

/* Zeroed: no limit yet. */
struct channel_keeping {
    uint64_t bits;                         /* a second, that hold */
    bool telling;                          /* a request is out */
    uint64_t told_bits;                    /* 0: nothing yet */
    uint8_t told_boot[KEEPING_BOOT_BYTES]; /* to whom */
    bool obeys;                            /* who was told keeps it, as far as is seen */
    uint64_t steady_ms;                    /* since something of this changed */
    uint64_t excess_bytes;                 /* that came since then and should not have */
};

/* What was said to the source, and what it answered. */
struct channel_told {
    uint64_t bits;
    uint8_t boot[KEEPING_BOOT_BYTES];
    bool answered; /* by the source; else nobody knows what it knows */
    bool taken;
};

/* What came since the last look. */
struct channel_seen {
    uint64_t bytes, elapsed_ms;
    uint64_t bytes_per_second; /* over some seconds */
};

void keeping_limit(struct channel_keeping *keeping, uint64_t bits);
/* Who answers at the source is the process of this boot id. True: tell it the limit, then keeping_told. */
bool keeping_tells(struct channel_keeping *keeping, bool connected,
                   const uint8_t boot[KEEPING_BOOT_BYTES]);
void keeping_told(struct channel_keeping *keeping, const struct channel_told *told);
/* True: from this moment on it is known not to keep what it was told. */
bool keeping_sees(struct channel_keeping *keeping, const struct channel_seen *seen);
/* Bits a second at which this side reads. */
uint64_t keeping_read_rate(const struct channel_keeping *keeping);

#endif
