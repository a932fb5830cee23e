/* For the tests of clones: two accounts with projects, tables of one number a partition, clones.
 *
 * A table's content is cells[p][q]: the number in partition p=../q=.., 0 where there is none.
 * Everything asserts and belongs to the test's thread.
 */
#ifndef STORE_CLONE_TRIAL_H
#define STORE_CLONE_TRIAL_H

#include "proto/vector.h"
#include "store/clone.h"
#include "store/trial.h"

#define PS 6 /* values of p */
#define QS 3 /* of q */

#define ok(call)                                                                                   \
    do {                                                                                           \
        struct err *failed = &trial->err;                                                          \
        if ((call) != ERR_OK)                                                                      \
            fail_msg("%s: %s", #call, failed->message);                                            \
    } while (0)

extern uint64_t clone_clock_ms; /* of the last note */
struct change_note clone_note(void);

struct owner {
    struct account_id account;
    struct project_id project;
};

/* name: ALIYUN$...; the project has the rest as its name. */
struct owner owner_make(struct trial *trial, const char *name);

typedef uint32_t cells[PS][QS];   /* 0: no such partition */
extern struct schema cell_schema; /* id BIGINT; p BIGINT, q STRING; names from owner_make on */
extern const char *const q_text[QS];

struct table_id table_make(struct trial *trial, const struct owner *owner, const char *name);
void row_add(struct batch *batch, int64_t id, int64_t p, const char *q);
/* The batch overwrites its partitions. */
void batch_load(struct trial *trial, const struct owner *owner, struct table_id table,
                const struct batch *batch);
/* Overwrites the partitions that are not 0. */
void cells_load(struct trial *trial, const struct owner *owner, struct table_id table,
                const cells new);
void cells_read(struct trial *trial, struct table_id table, cells ret_cells);
void cells_expect(struct trial *trial, struct table_id table, const cells wanted);
struct table_record record_get(struct trial *trial, struct table_id id, struct arena *arena);
void table_dropped(struct trial *trial, struct table_id id);

struct selection {
    struct bytes keys[PS * QS];
    struct span prefixes[PS * QS];
    struct clone_ranges ranges;
};

void selection_deinit(struct selection *selection);
#define SELECTION_CLEANUP __attribute__((cleanup(selection_deinit)))
/* q NULL: all below p. In ascending order. */
void selection_add(struct selection *selection, int64_t p, const char *q);
extern const struct clone_ranges clone_all;

enum err_code clone_try(struct trial *trial, const struct owner *owner, const char *name,
                        struct table_id from, const struct clone_ranges *ranges,
                        struct table_id *ret_id);
struct table_id clone_make(struct trial *trial, const struct owner *owner, const char *name,
                           struct table_id from, const struct clone_ranges *ranges);
void clone_to(struct trial *trial, const struct owner *owner, struct table_id to,
              struct table_id from, const struct clone_ranges *ranges, enum clone_how how);

/* History goes, then what nothing names. */
void clean_up(struct trial *trial);
/* fsck with every file hashed finds nothing. */
struct fsck_counts store_check(struct trial *trial);

#endif
