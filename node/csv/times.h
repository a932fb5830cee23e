/* DATETIME in files: a pattern (-dfp) and a time zone (-tz).
 *
 * Without either the text form of proto/type.h is read and written, UTC. A pattern has yyyy MM dd
 * HH mm ss SSS, each at most once; other letters are refused, 'quoted' text and the rest stand for
 * themselves. Zones: UTC, GMT, Z, +08:00, UTC+8, and names of the system's zone database. A named
 * zone sets the process's TZ, so one zone a process: a client's, never the node's.
 */
#ifndef NODE_CSV_TIMES_H
#define NODE_CSV_TIMES_H

#include "proto/limits.h"
#include "proto/type.h"

struct csv_times {
    bool has_pattern;
    char pattern[LIMIT_CSV_PATTERN_BYTES];
    bool named_zone;  /* by the C library's TZ, else offset_s */
    int32_t offset_s; /* east of UTC */
};

struct csv_times csv_times_default(void);
bool csv_times_plain(const struct csv_times *times); /* value_parse and value_format do it */
/* ERR_PARAMETER naming the letter. */
enum err_code csv_times_pattern_set(struct csv_times *times, struct span pattern, struct err *err);
/* ERR_PARAMETER when unknown. Not thread-safe. */
enum err_code csv_times_zone_set(struct csv_times *times, struct span zone, struct err *err);

/* DATETIME only. False: the text does not follow the pattern or is no date. A local time that a
 * zone skips is moved on by the skip, one that occurs twice is its first. */
bool csv_times_parse(const struct csv_times *times, struct span text, int64_t *ret_ms);
void csv_times_format(const struct csv_times *times, int64_t ms, struct bytes *out);

#endif
