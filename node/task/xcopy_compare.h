/* VERIFY SNAPSHOT s AGAINST another region's: the work of a look (xcopy_look.h) that brings the other's pages
 * where they differ from those here, and then compares.
 *
 *     describe: equal versions? -> yes: equal, and no page was asked for
 *                               -> no:  pages of the other that are not held here -> kept in memory
 *                                       -> both trees, where they differ (store/version_diff.h)
 *
 * A page that this account holds is not asked for: it is read here, pinned. No file is asked for, and the
 * token does not grant any. Nothing is written.
 *
 * At most COMPARE_PAGES_BYTES_MAX are kept: then what is known so far is compared, in order of key, and the
 * result says where it ends.
 *
 * Threads: the work's is a worker's at a time; the result is the asker's once look_poll says that it ended.
 */
#ifndef NODE_TASK_XCOPY_COMPARE_H
#define NODE_TASK_XCOPY_COMPARE_H

#include "node/task/xcopy_look.h"
#include "store/version_diff.h"

#define COMPARE_PAGES_BYTES_MAX (64 * MIB(1))
#define COMPARE_FOUND_MAX       10000 /* differences that are listed; all are counted */

/* One difference; texts live as long as the result. */
struct compare_found {
    enum version_change_kind kind;
    struct span partition, columns, perhaps, detail;
    bool has_here, has_there;
    uint64_t rows_here, rows_there, bytes_here, bytes_there;
};

struct compare_result {
    struct version_ref here, there;
    bool equal; /* the versions are */
    bool
        attributes_equal; /* times and lifecycle switches of partitions, which versions do not cover */
    const struct compare_found *found;
    size_t found_count;
    struct version_diff_counts counts;
    uint64_t pages, page_bytes; /* that were asked for */
    bool is_partial;            /* the rest, from behind the last one found on, was not compared */
};

/* xcopy_destination.c: checks order and token. *ret_result: of the look, until look_close; it is set when
 * look_poll ends well. Errors as of tasks_look. */
enum err_code tasks_compare(struct tasks *tasks, const struct tasks_order *order,
                            struct table_id snapshot, struct xcopy_look **ret_look,
                            const struct compare_result **ret_result, struct err *err) MUST_USE;

/* For it. The order has been checked; what is needed of it is copied. */
struct compare;
struct compare *compare_new(const struct tasks_options *options, const struct tasks_order *order,
                            struct table_id snapshot);
void compare_free(void *compare);
struct look_work compare_work(struct compare *compare); /* takes it */
const struct compare_result *compare_result_get(const struct compare *compare);

#endif
