/* A store with something of every kind, for the tests of what happens to damaged bytes. */
#ifndef STORE_SCRUB_TRIAL_H
#define STORE_SCRUB_TRIAL_H

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/random_test.h"
#include "store/damage.h"
#include "store/parts.h"
#include "store/roots.h"
#include "store/scrub.h"
#include "store/store.h"

#define TEST_PATH_BYTES 640
/* The call goes well, or the test fails with its words. */
#define ok(call)                                                                                   \
    do {                                                                                           \
        struct err *failed = &bench.err;                                                           \
        if ((call) != ERR_OK)                                                                      \
            fail_msg("%s: %s", #call, failed->message);                                            \
    } while (0)

struct bench {
    char dir[64];
    struct store *store;
    struct account_id account;
    struct project_id project;
    struct table_id table, snapshot;
    struct version_ref version;
    struct digest big;   /* a file in a pack */
    struct digest small; /* one in the nursery */
    struct random random;
    struct err err;
};
extern struct bench bench;

int bench_setup(void **state);
int bench_teardown(void **state);

void bench_up(void);
/* What was in memory is in files now, and those are no longer rewritten: but for a compaction that a
 * damaged block keeps waiting for good, which no damage is done behind. */
void bench_again(void);
void bench_load(const char *partition, size_t rows, size_t text_bytes);
/* Killed before the commit that names it. */
void bench_load_unnamed(const char *partition, size_t rows, size_t text_bytes);

void bench_directory_remove(const char *dir);
void bench_path(const char *dir, const char *name, char ret_path[TEST_PATH_BYTES]);
void bench_byte_flip(int file, off_t at, uint8_t mask);
/* Flips a byte in the middle of the content wherever it stands in a file of the database; how often. */
size_t bench_content_damage(struct span content);
void bench_file_damage(const struct digest *digest);

extern const struct scrub_watch bench_quiet;
struct scrub_counts bench_scrub(void);
struct seen_place {
    size_t count;
    size_t snapshots;
    char partition[40], columns[40], name[8];
    enum damage_kind kind;
};
struct seen_place bench_places(void);
/* Whether the account may rely on the page or file. */
bool bench_relied(const struct digest *digest, bool is_page);
void bench_assert_whole(void);
/* A file of the table in another store's words: read before it is damaged, added after. */
void bench_file_heal(const struct digest *digest, struct span content);
/* All pages of the version, its record last, staged for a task; their digests one after another. */
extern const struct task_id bench_pages_task;
void bench_pages_stage(struct bytes *digests);

/* All pages and files that are stored, to be brought again as from a peer: appended. */
void bench_content_take(struct bytes *ret_content);
/* In any store. A test's own process or a child. */
enum err_code bench_content_bring(struct store *store, struct span content, struct err *err);
/* Every page and file that is given is what its digest says. */
bool bench_content_is_honest(struct store *store, struct span content);

#endif
