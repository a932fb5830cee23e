/* Parameters in a schedule's text, replaced by what the planned time of a run makes of them. Text in,
 * text out: strings and comments of SQL are no exception, and nothing is known of SQL here.
 *
 *     ${name}                     a variable of SET; its value is replaced first, without variables
 *     ${yyyymmdd-N}  ${yyyymm-N}  the business date, which is the day before the planned one: yyyy yy mm dd;
 *     ${yyyy-N}                   N days, months, years by the smallest part that is written; also +N, 7*N
 *     $[yyyymmddhh24miss-1-1/24]  the planned time: also hh24 mi ss; offsets in days: N, 7*N, N/24, N/24/60
 *     $[add_months(yyyymmdd,-N)]  months, also 12*N; a day that the month lacks becomes its last
 *     $bizdate $cyctime $gmtdate  ${yyyymmdd}, $[yyyymmddhh24miss], $[yyyymmdd], and the month before
 *     $bizmonth                   the planned one: yyyymm
 *     $$                          a $
 *
 * Parts may have - / : _ . between them. A $ before anything else stays, as does that of ALIYUN$name and
 * RAM$name. What is none of these is an error and where it stands is said. Pure.
 */
#ifndef NODE_SCHEDULE_PARAMETERS_H
#define NODE_SCHEDULE_PARAMETERS_H

#include "proto/bytes.h"

/* What can be written and shown: the years 1 to 9999. */
#define PLANNED_S_MIN (INT64_C(-62135596800))
#define PLANNED_S_MAX (INT64_C(253402300799))

struct parameter { /* borrows */
    struct span name;
    struct span value;
};

struct parameters {
    int64_t planned_local_s; /* seconds since 1970-01-01 00:00 by the schedule's clock */
    const struct parameter *variables;
    size_t variable_count;
};

/* Appends. *ret_at: where in the text, on failure: ERR_SEMANTIC, or ERR_LIMIT above bytes_max of output. */
enum err_code parameters_expand(const struct parameters *parameters, struct span text,
                                size_t bytes_max, struct bytes *out, size_t *ret_at,
                                struct err *err) MUST_USE;
/* marks: a byte for each that is appended to out, 1 where it stands for a parameter; or NULL. */
enum err_code parameters_expand_marked(const struct parameters *parameters, struct span text,
                                       size_t bytes_max, struct bytes *out, struct bytes *marks,
                                       size_t *ret_at, struct err *err) MUST_USE;
/* ERR_SEMANTIC: ${name} would be a date; or the name is no name. */
enum err_code parameter_name_check(struct span name, struct err *err) MUST_USE;

#endif
