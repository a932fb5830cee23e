/* For tests: a store in a directory of its own, files to put into it, and a toy tree.
 *
 *     toy page    level u8 | digest 32, repeated     level 0 names files, above it pages
 *     toy roots   family catalog, "root/NAME" -> digest of the root page
 *
 * Threads: functions that take struct trial assert and belong to the test's thread; the others may
 * run anywhere.
 */
#ifndef STORE_TRIAL_H
#define STORE_TRIAL_H

#include "store/collect.h"
#include "store/content.h"
#include "store/store.h"

struct trial {
    char dir[64];
    struct store_options options;
    struct store *store;
    struct err err;
};

/* cmocka's: one empty store is made a program, each test gets a copy. */
int trial_group_setup(void **state);
int trial_group_teardown(void **state);
int trial_setup(void **state);
int trial_teardown(void **state);
#define TRIAL(name) cmocka_unit_test_setup_teardown(name, trial_setup, trial_teardown)

void trial_open(struct trial *trial);
void trial_reopen(struct trial *trial);
struct store_usage trial_usage(const struct trial *trial);
/* While it is held, catalog commits stand in line. */
void trial_line_hold(struct trial *trial, bool held);

/* STRAIT_SEED or the clock; printed. */
uint64_t trial_seed(void);
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit);

/* File n of a length: its content follows from both. */
struct digest toy_file(uint64_t n, size_t len, struct bytes *ret_file);
struct digest toy_page(uint8_t level, const struct digest *digests, size_t count,
                       struct bytes *ret_page);

/* A snapshot of files: which they are follows from the seed. */
#define TOY_FILES_MAX 64
struct toy_snapshot {
    uint64_t seed;
    size_t file_count;     /* 1 to TOY_FILES_MAX */
    uint64_t universe;     /* file numbers are below it */
    size_t file_bytes_max; /* of one file */
};
/* The next file of a snapshot; *chance begins with its seed. The length follows from the number, so
 * that equal numbers are equal files in all snapshots of one size. */
struct digest toy_snapshot_file(const struct toy_snapshot *snapshot, uint64_t *chance,
                                struct bytes *ret_file);
/* Adds files and pages, children first; gives the root page. */
enum err_code toy_add(struct content *content, const struct toy_snapshot *snapshot,
                      struct digest *ret_root, struct err *err);
/* Reads all of it, hashing. */
enum err_code toy_check(struct store *store, const struct toy_snapshot *snapshot, struct err *err);

/* Each with an entry of the audit log: object.name is the name, the message its root in hex (zeros:
 * dropped). */
enum err_code toy_publish(struct store *store, const char *name, const struct digest *root,
                          struct err *err);
enum err_code toy_drop(struct store *store, const char *name, struct err *err);
/* Zero digest when there is no such name. */
enum err_code toy_find(struct store *store, const char *name, struct digest *ret_root,
                       struct err *err);

const struct collect_tree *toy_tree(void);

#endif
