/* A flipped byte anywhere in a data directory. */
#include "store/scrub_trial.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/mend.h"

#define FLIP_END_BYTES 200

/* ---- a flipped byte anywhere ---- */

enum flip_end {
    FLIP_HARMLESS,
    FLIP_AT_OPEN,
    FLIP_FOUND,
    FLIP_MENDED, /* refused, mended as it says, healed by what came again */
    FLIP_SILENT,
    FLIP_UNTOLD, /* refused, without a file's name or without what to do */
    FLIP_UNMENDED,
    FLIP_DIED,
    FLIP_ENDS,
};
static const char *const flip_names[FLIP_ENDS] = {
    "harmless", "refused at open", "found", "mended", "SILENT", "UNTOLD", "UNMENDED", "DIED"};

struct flip_plan {
    size_t flips; /* a file */
    bool mends;   /* what can be mended is; once a file */
    struct bytes content;
    struct digest expected;
    size_t ends[FLIP_ENDS];
    char worst[400];
};

static void digest_record(struct digest_state *state, struct span key, struct span value)
{
    digest_update_part(state, key);
    digest_update_part(state, value);
}

/* All that the store says, but where it keeps it: names, history, tasks, leases, roots, and every row
 * of the table as the files have it. *ret_wrong: something was given that is not what its digest says. */
static enum err_code observe(struct store *store, struct digest *ret_all, struct err *err)
{
    static const enum family families[] = {FAMILY_CATALOG, FAMILY_HISTORY, FAMILY_TASKS,
                                           FAMILY_LEASES, FAMILY_STAGED};
    struct digest_state state;
    digest_init(&state, DOMAIN_FILE);
    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        DB_ITER_CLEANUP struct db_iter *iter = NULL;
        struct span none = {0}, key, value;
        bool found = true;
        TRY(catalog_scan(store, NULL, families[i], none, none, &iter, err));
        while (found) {
            TRY(db_iter_next(iter, &key, &value, &found, err));
            if (found)
                digest_record(&state, key, value);
        }
    }
    struct fsck_counts counts;
    TRY(catalog_fsck(store, FSCK_REHASH, NULL, NULL, &counts, err));
    if (counts.faults > 0)
        return err_set(err, ERR_CORRUPT, "%" PRIu64 " faults", counts.faults);
    digest_update_part(&state, span_of(&counts, sizeof(counts)));
    *ret_all = digest_final(&state);
    return ERR_OK;
}

static bool says(const struct err *err, const char *words)
{
    return strstr(err->message, words) != NULL;
}

/* A refusal names the file, says what it held and what to do: to mend it, if it comes again, to take a
 * copy, or what else puts that one file right. */
static bool refusal_is_told(const char *name, const struct err *err)
{
    bool named = says(err, name);
    bool held = says(err, "(") || strcmp(name, "store") == 0;
    bool to_do = says(err, "--mend") || says(err, "restore data_dir from a copy") ||
                 says(err, "move it away") || says(err, "run the program that wrote it");
    if (getenv("STRAIT_FLIP_WORDS") != NULL || !named || !held || !to_do)
        fprintf(stderr, "%s: %s\n", name, err->message);
    return named && held && to_do;
}

static bool flip_fails(const char *what, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    return false;
}

/* The node comes up again, gives nothing wrong, and is whole when the content has come again. */
static bool mended_is_healed(const struct store_options *options, struct span content)
{
    struct store *store = NULL;
    struct scrub_counts counts = {0};
    struct fsck_counts checked = {0};
    struct err err = {0};
    if (store_open(options, &store, &err) != ERR_OK)
        return flip_fails("does not open after the mend", &err);
    bool honest = bench_content_is_honest(store, content);
    bool healed = bench_content_bring(store, content, &err) == ERR_OK &&
                  scrub_store(store, &bench_quiet, &counts, &err) == ERR_OK &&
                  catalog_fsck(store, FSCK_REHASH, NULL, NULL, &checked, &err) == ERR_OK;
    size_t left = damage_count(store);
    store_close(store);
    if (!honest || !healed || counts.listed + counts.faults + checked.faults + left > 0)
        fprintf(stderr,
                "honest %d, healed %d, listed %" PRIu64 ", faults %" PRIu64 ", %" PRIu64 "\n",
                honest, healed, counts.listed, counts.faults, checked.faults);
    return honest && healed && counts.listed + counts.faults + checked.faults + left == 0;
}

static enum flip_end flipped_mend(const struct store_options *options, struct span content)
{
    const struct mend_watch quiet = {0};
    struct mend_counts counts;
    struct err err;
    if (store_mend(options, &quiet, &counts, &err) != ERR_OK) {
        (void)flip_fails("is not mended", &err);
        return FLIP_UNMENDED;
    }
    return counts.tables > 0 && mended_is_healed(options, content) ? FLIP_MENDED : FLIP_UNMENDED;
}

/* In a child: the library may end the process. */
static enum flip_end flipped_look(const char *dir, const char *name, const struct flip_plan *plan)
{
    const struct store_options options = {.data_dir = dir, .region = "here"};
    struct store *store;
    struct err err;
    struct digest all;
    if (store_open(&options, &store, &err) != ERR_OK) {
        if (!refusal_is_told(name, &err))
            return FLIP_UNTOLD;
        return plan->mends && says(&err, "--mend")
                   ? flipped_mend(&options, bytes_span(&plan->content))
                   : FLIP_AT_OPEN;
    }
    struct scrub_counts counts = {0};
    enum err_code scrubbed = scrub_store(store, &bench_quiet, &counts, &err);
    enum flip_end end = FLIP_FOUND;
    if (scrubbed == ERR_OK && counts.listed + counts.faults == 0)
        end = observe(store, &all, &err) == ERR_OK && digest_equal(&all, &plan->expected)
                  ? FLIP_HARMLESS
                  : FLIP_SILENT;
    store_close(store);
    return end;
}

static enum flip_end flip_try(const char *name, off_t at, uint8_t mask,
                              const struct flip_plan *plan)
{
    char copy[100], path[TEST_PATH_BYTES], words[400];
    snprintf(copy, sizeof(copy), "%s-flip", bench.dir);
    snprintf(words, sizeof(words), "rm -rf '%s' && cp -a '%s' '%s'", copy, bench.dir, copy);
    assert_int_equal(system(words), 0);
    bench_path(copy, name, path);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    bench_byte_flip(file, at, mask);
    assert_int_equal(close(file), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit((int)flipped_look(copy, name, plan));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    bench_directory_remove(copy);
    if (!WIFEXITED(status) || WEXITSTATUS(status) >= FLIP_DIED)
        return FLIP_DIED;
    return (enum flip_end)WEXITSTATUS(status);
}

static void flip_file(struct flip_plan *plan, const char *name, off_t bytes)
{
    plan->mends = true;
    for (size_t i = 0; i < plan->flips; i++) {
        /* every second one near the end: where a log's last record and a table's footer are */
        off_t range = i % 2 == 1 && bytes > FLIP_END_BYTES ? FLIP_END_BYTES : bytes;
        off_t at = bytes - range + (off_t)random_below(&bench.random, (uint64_t)range);
        uint8_t mask = (uint8_t)(1u << random_below(&bench.random, 8));
        enum flip_end end = flip_try(name, at, mask, plan);
        plan->ends[end]++;
        plan->mends = plan->mends && end != FLIP_MENDED;
        if (end >= FLIP_SILENT)
            snprintf(plan->worst, sizeof(plan->worst), "%s: byte %lld of %lld, mask %02x: %s", name,
                     (long long)at, (long long)bytes, mask, flip_names[end]);
        if (end >= FLIP_SILENT)
            print_message("%s\n", plan->worst);
    }
}

static void flip_folder(struct flip_plan *plan, const char *folder)
{
    char path[TEST_PATH_BYTES], name[300];
    bench_path(bench.dir, folder, path);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat stat_of;
        snprintf(name, sizeof(name), "%s%s%s", folder, folder[0] != 0 ? "/" : "", entry->d_name);
        bench_path(bench.dir, name, path);
        assert_int_equal(stat(path, &stat_of), 0);
        const char *only = getenv("STRAIT_FLIP_FILES");
        if (S_ISREG(stat_of.st_mode) && stat_of.st_size > 0 &&
            (only == NULL || strstr(name, only) != NULL))
            flip_file(plan, name, stat_of.st_size);
    }
    closedir(dir);
}

/* Every file of the directory: packs, other tables, MANIFEST, CURRENT, log, OPTIONS, IDENTITY, marker,
 * lock. Each flip changes nothing, or is told at open or by scrub. */
static void test_a_flipped_byte_is_harmless_or_told(void **state)
{
    (void)state;
    struct flip_plan plan = {.flips = 2};
    const char *more = getenv("STRAIT_FLIPS");
    if (more != NULL)
        plan.flips = strtoul(more, NULL, 10);
    bench_again();
    bench_load("2026-01-03", 2, 30); /* stays in the log */
    ok(observe(bench.store, &plan.expected, &bench.err));
    bench_content_take(&plan.content);
    store_close(bench.store);
    bench.store = NULL;
    flip_folder(&plan, "");
    flip_folder(&plan, "db");
    for (int end = 0; end < FLIP_ENDS; end++)
        print_message("%s: %zu\n", flip_names[end], plan.ends[end]);
    if (plan.worst[0] != '\0')
        fail_msg("%s", plan.worst);
    bytes_deinit(&plan.content);
    assert_true(plan.ends[FLIP_AT_OPEN] > 0 && plan.ends[FLIP_MENDED] > 0);
}

/* ---- beside an open store ---- */

struct told {
    size_t count;
    char last[2 * ERR_MESSAGE_BYTES];
};

static void on_told(void *context, const char *family, const char *what)
{
    struct told *told = context;
    told->count++;
    snprintf(told->last, sizeof(told->last), "%s: %s", family, what);
}

static struct told scrub_tells(void)
{
    struct told told = {0};
    const struct scrub_watch watch = {.on_fault = on_told, .context = &told};
    struct scrub_counts counts;
    ok(scrub_store(bench.store, &watch, &counts, &bench.err));
    assert_int_equal(counts.faults, told.count);
    assert_int_equal(counts.listed, 0);
    return told;
}

static void live_flip(const char *name, off_t at)
{
    char path[TEST_PATH_BYTES];
    bench_path(bench.dir, name, path);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    bench_byte_flip(file, at < 0 ? lseek(file, 0, SEEK_END) + at : at, 0x10);
    assert_int_equal(close(file), 0);
}

/* The files of the open database whose name begins or ends so. */
static size_t live_files(const char *part, char ret_names[][300], size_t max)
{
    char path[TEST_PATH_BYTES];
    size_t count = 0;
    bench_path(bench.dir, "db", path);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL && count < max;) {
        if (strstr(entry->d_name, part) != NULL)
            snprintf(ret_names[count++], 300, "db/%s", entry->d_name);
    }
    closedir(dir);
    return count;
}

/* Numbers have six digits: of names in order. */
static void newest_file(const char *part, char ret_name[300])
{
    char names[64][300];
    size_t count = live_files(part, names, ARRAY_COUNT(names));
    assert_true(count > 0);
    snprintf(ret_name, 300, "%s", names[0]);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(names[i], ret_name) > 0)
            snprintf(ret_name, 300, "%s", names[i]);
    }
}

/* What an open database has in memory and does not read again is read by scrub. */
static void test_damage_beside_an_open_store_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *part;
        off_t at; /* negative: from the end */
        const char *to_do;
    } rows[] = {
        {".sst", -4, "--mend"},
        {"MANIFEST-", 40, "restore data_dir"},
        {"CURRENT", 2, "Write it so"},
    };
    char names[64][300];
    bench_again();
    assert_int_equal(scrub_tells().count, 0);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        size_t count = live_files(rows[i].part, names, ARRAY_COUNT(names)), of_records = 0;
        assert_true(count > 0);
        for (size_t k = 0; k < count; k++) {
            live_flip(names[k], rows[i].at);
            struct told told = scrub_tells();
            live_flip(names[k], rows[i].at);
            bool record = strstr(told.last, "it has no second copy") != NULL;
            of_records += record;
            if (told.count != 1 || strstr(told.last, names[k]) == NULL ||
                (strstr(told.last, rows[i].to_do) == NULL && !record))
                fail_msg("%s: %zu told: %s", names[k], told.count, told.last);
        }
        assert_true(count == 1 || of_records < count);
    }
    assert_int_equal(scrub_tells().count, 0);
}

static void test_a_damaged_marker_of_an_open_store_heals(void **state)
{
    (void)state;
    char path[TEST_PATH_BYTES];
    bench_path(bench.dir, "store", path);
    live_flip("store", 3);
    assert_int_equal(scrub_tells().count, 1);
    assert_int_equal(scrub_tells().count, 0);
    assert_int_equal(unlink(path), 0);
    struct told told = scrub_tells();
    assert_int_equal(told.count, 1);
    assert_non_null(strstr(told.last, "whose data this is"));
    bench_again();
    assert_int_equal(scrub_tells().count, 0);
}

/* Where the last record of a log or manifest begins (docs: store/db_log.h). */
static off_t last_record(const char *name)
{
    enum { BLOCK = 32768, HEADER = 7 };
    char path[TEST_PATH_BYTES];
    uint8_t head[HEADER];
    off_t last = -1;
    bench_path(bench.dir, name, path);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    for (off_t at = 0; pread(file, head, HEADER, at) == HEADER;) {
        last = at;
        at += HEADER + (head[4] | head[5] << 8);
        if (BLOCK - at % BLOCK < HEADER)
            at += BLOCK - at % BLOCK;
    }
    assert_int_equal(close(file), 0);
    return last;
}

/* What a kill of the process would leave. */
static void killed_copy(const char *copy)
{
    char words[400];
    snprintf(words, sizeof(words), "rm -rf '%s' && cp -a '%s' '%s'", copy, bench.dir, copy);
    assert_int_equal(system(words), 0);
}

/* Its length and its kind, which the library takes for a torn tail and for an old log, and then loses
 * the record unseen. */
static void test_a_last_record_changed_while_the_node_is_down_is_told(void **state)
{
    (void)state;
    static const char *const parts[] = {".log", "MANIFEST-"};
    char name[300], copy[100], path[TEST_PATH_BYTES];
    bench_again();
    bench_load("2026-01-03", 400, 5000); /* the manifest's last record names a pack */
    snprintf(copy, sizeof(copy), "%s-down", bench.dir);
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        newest_file(parts[i], name);
        off_t head = last_record(name);
        assert_true(head >= 0);
        for (size_t bit = 0; bit < 24; bit++) {
            const struct store_options options = {.data_dir = copy, .region = "here"};
            struct store *store = NULL;
            killed_copy(copy);
            bench_path(copy, name, path);
            int file = open(path, O_RDWR | O_CLOEXEC);
            assert_true(file >= 0);
            bench_byte_flip(file, head + 4 + (off_t)(bit / 8), (uint8_t)(1u << bit % 8));
            assert_int_equal(close(file), 0);
            if (store_open(&options, &store, &bench.err) != ERR_CORRUPT)
                fail_msg("%s: bit %zu behind the checksum is not told", name, bit);
            assert_true(refusal_is_told(name, &bench.err));
        }
    }
    bench_directory_remove(copy);
}

/* In place: length changed, or zeros to the end. */
static void last_record_damage(const char *name, bool zeros)
{
    char path[TEST_PATH_BYTES];
    off_t head = last_record(name);
    if (!zeros) {
        live_flip(name, head + 5);
        return;
    }
    bench_path(bench.dir, name, path);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(file >= 0);
    for (off_t end = lseek(file, 0, SEEK_END); head < end; head++)
        assert_int_equal(pwrite(file, "", 1, head), 1);
    assert_int_equal(close(file), 0);
}

/* Found where nothing was written behind it, and nothing is lost by a kill that follows. */
static void test_a_damaged_end_of_the_log_of_an_open_store_heals(void **state)
{
    (void)state;
    char newest[300], copy[100];
    snprintf(copy, sizeof(copy), "%s-killed", bench.dir);
    for (int zeros = 0; zeros < 2; zeros++) {
        const struct store_options options = {.data_dir = copy, .region = "here"};
        struct digest before, after;
        struct store *store = NULL;
        bench_again();
        bench_load("2026-01-03", 2, 30);
        ok(observe(bench.store, &before, &bench.err));
        newest_file(".log", newest);
        last_record_damage(newest, zeros);
        struct told told = scrub_tells();
        assert_int_equal(told.count, 1);
        assert_non_null(strstr(told.last, "written again from memory"));
        assert_int_equal(scrub_tells().count, 0);
        killed_copy(copy);
        ok(store_open(&options, &store, &bench.err));
        ok(observe(store, &after, &bench.err));
        assert_true(digest_equal(&before, &after));
        store_close(store);
    }
    bench_directory_remove(copy);
}

/* A log is written again from what is in memory. */
static void test_a_damaged_log_of_an_open_store_heals(void **state)
{
    (void)state;
    char names[64][300];
    struct digest before, after;
    bench_again();
    bench_load("2026-01-03", 2, 30);
    ok(observe(bench.store, &before, &bench.err));
    size_t count = live_files(".log", names, ARRAY_COUNT(names));
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++)
        live_flip(names[i], 10);
    struct told told = scrub_tells();
    assert_int_equal(told.count, count);
    assert_non_null(strstr(told.last, "written again from memory"));
    assert_int_equal(scrub_tells().count, 0);
    bench_again();
    ok(observe(bench.store, &after, &bench.err));
    assert_true(digest_equal(&before, &after));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_damage_beside_an_open_store_is_found, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_marker_of_an_open_store_heals, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_log_of_an_open_store_heals, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_a_last_record_changed_while_the_node_is_down_is_told,
                                        bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_end_of_the_log_of_an_open_store_heals,
                                        bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_a_flipped_byte_is_harmless_or_told, bench_setup,
                                        bench_teardown),
    };
    cmocka_set_test_filter(getenv("STRAIT_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
