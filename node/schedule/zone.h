/* Time zones: from UTC to what clocks on the wall say, and back. The system's tzdata (RFC 8536), read
 * here; docs/decisions/schedules.md says why not by libc or libical.
 *
 *     utc_s   ── zone_local_s ──►  local_s     seconds since 1970-01-01 00:00 by that clock
 *     utc_s  ◄── zone_utc_s   ───  local_s     the first instant at which the clock shows it or more:
 *                                              one that is left out becomes the next that is there, one
 *                                              that comes twice is its first
 *
 * zone_utc_s never decreases when local_s grows. Instants beyond the file's table follow its last line.
 * Pure but for zone_open, which reads one file. A zone is constant: any thread.
 */
#ifndef NODE_SCHEDULE_ZONE_H
#define NODE_SCHEDULE_ZONE_H

#include "proto/bytes.h"

#define ZONE_NAME_BYTES_MAX 64

struct zone;

/* A name of tzdata: Asia/Hong_Kong, UTC. ERR_SEMANTIC: there is none of that name. */
enum err_code zone_open(struct span name, struct zone **ret_zone, struct err *err) MUST_USE;
/* Of a file's bytes. ERR_CORRUPT. */
enum err_code zone_decode(struct span tzif, struct zone **ret_zone, struct err *err) MUST_USE;
void zone_free(struct zone *zone); /* NULL is fine */
void zone_free_pointer(struct zone **zone);
#define ZONE_CLEANUP __attribute__((cleanup(zone_free_pointer)))

int64_t zone_local_s(const struct zone *zone, int64_t utc_s);
int64_t zone_utc_s(const struct zone *zone, int64_t local_s);

#endif
