/* A store that does not open for damaged tables: taken up without them, healed by what comes again; killed
 * at every step of that; and what has no second copy is left alone. */
#include "store/family.h"
#include "store/scrub_trial.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/crash.h"
#include "store/db_tables.h"
#include "store/mend.h"
#include "store/refusal.h"

#define MAGIC_BYTES 8

struct told {
    char lines[2000];
};

static void tell(void *context, const char *line)
{
    struct told *told = context;
    size_t len = strlen(told->lines);
    snprintf(told->lines + len, sizeof(told->lines) - len, "%s\n", line);
}

static struct store_options options(void)
{
    return (struct store_options){.data_dir = bench.dir, .region = "here"};
}

static enum err_code mend(struct mend_counts *ret_counts, struct told *ret_told)
{
    const struct store_options of = options();
    const struct mend_watch watch = {.tell = tell, .context = ret_told};
    *ret_told = (struct told){0};
    return store_mend(&of, &watch, ret_counts, &bench.err);
}

static enum err_code open_again(void)
{
    const struct store_options of = options();
    return store_open(&of, &bench.store, &bench.err);
}

static void close_all(void)
{
    store_close(bench.store);
    bench.store = NULL;
}

static bool says(const char *words)
{
    return strstr(bench.err.message, words) != NULL;
}

/* ---- damage ---- */

static void file_flip_at_end(const char *name, off_t from_end)
{
    char folder[100], path[TEST_PATH_BYTES];
    struct stat stat;
    snprintf(folder, sizeof(folder), "%s/db", bench.dir);
    bench_path(folder, name, path);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(fstat(file, &stat), 0);
    bench_byte_flip(file, stat.st_size - from_end, 0x10);
    assert_int_equal(close(file), 0);
}

/* The footer of the family's first table, or of all. */
static void tables_damage(enum family family, bool all, char ret_name[DB_TABLE_NAME_BYTES])
{
    struct db_table *tables MEM_CLEANUP = NULL;
    char folder[100];
    size_t count, damaged = 0;
    snprintf(folder, sizeof(folder), "%s/db", bench.dir);
    ok(db_tables_list(folder, &tables, &count, &bench.err));
    for (size_t i = 0; i < count && (all || damaged == 0); i++) {
        bool is_pack = tables[i].family <= FAMILY_PACKS_LAST; /* all of one kind */
        if (tables[i].family != family && (family != FAMILY_PACKS_FIRST || !is_pack))
            continue;
        db_table_name(&tables[i], ret_name);
        file_flip_at_end(ret_name, MAGIC_BYTES / 2);
        damaged++;
    }
    assert_true(damaged > 0);
}

static void table_damage(enum family family, char ret_name[DB_TABLE_NAME_BYTES])
{
    tables_damage(family, false, ret_name);
}

static size_t names_count(const char *name, const char *prefix)
{
    char path[TEST_PATH_BYTES];
    size_t count = 0;
    bench_path(bench.dir, name, path);
    DIR *dir = opendir(path);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    if (dir != NULL)
        closedir(dir);
    return count;
}

static void assert_refused(const char *name, const char *words)
{
    assert_int_equal(open_again(), ERR_CORRUPT);
    if (!says(name) || !says(words))
        fail_msg("%s", bench.err.message);
}

/* ---- the same again ---- */

static char kept[100];
static struct version_ref kept_version;
static struct bytes content; /* all that is stored */

/* One store for all tests; each begins with a copy of it, closed. */
static void folder_copy(const char *from, const char *to)
{
    char words[400];
    snprintf(words, sizeof(words), "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
    assert_int_equal(system(words), 0);
}

static int group_setup(void **state)
{
    if (bench_setup(state) != 0)
        return 1;
    damage_note(bench.store, &bench.big, DAMAGE_FILE, "for once");
    bench_again();
    ok(damage_forget(bench.store, &bench.big, &bench.err));
    bench_content_take(&content);
    close_all();
    snprintf(kept, sizeof(kept), "%s-kept", bench.dir);
    kept_version = bench.version;
    folder_copy(bench.dir, kept);
    return 0;
}

static int group_teardown(void **state)
{
    bytes_deinit(&content);
    bench_directory_remove(kept);
    return bench_teardown(state);
}

static void begin(void)
{
    close_all();
    folder_copy(kept, bench.dir);
    bench.version = kept_version;
}

static int test_setup(void **state)
{
    (void)state;
    begin();
    return 0;
}

/* ---- mended ---- */

/* What only a peer has is lost with the first three. */
static const struct {
    enum family families[4];
    size_t count;
    bool loses, is_page;
} kinds[] = {
    {{FAMILY_PACKS_FIRST}, 1, true, false},
    {{FAMILY_SMALL}, 1, true, false},
    {{FAMILY_PAGES}, 1, true, true},
    {{FAMILY_FILES}, 1, false, false},
    {{FAMILY_HELD, FAMILY_STAGED, FAMILY_PACK_STATE, FAMILY_DAMAGED}, 4, false, false},
};
#define KIND_PAGES 2

static void assert_heals(void)
{
    ok(bench_content_bring(bench.store, bytes_span(&content), &bench.err));
    bench_assert_whole();
}

/* What is lost is listed, told of by name, refused and not held; nothing else is. */
static void assert_listed(size_t kind)
{
    assert_true(bench_content_is_honest(bench.store, bytes_span(&content)));
    if (!kinds[kind].loses) {
        assert_int_equal(damage_count(bench.store), 0);
        return;
    }
    struct seen_place seen = bench_places();
    assert_true(seen.count > 0 && seen.snapshots > 0);
    assert_int_equal(seen.kind, kinds[kind].is_page ? DAMAGE_PAGE : DAMAGE_FILE);
    if (!kinds[kind].is_page)
        assert_true(strncmp(seen.partition, "day=", 4) == 0 &&
                    strstr(seen.columns, "note") != NULL);
    assert_false(bench_relied(&bench.version.page, true));
}

static void kind_is_mended(size_t kind)
{
    struct mend_counts counts;
    struct told told;
    char names[4][DB_TABLE_NAME_BYTES];
    begin();
    for (size_t i = 0; i < kinds[kind].count; i++)
        table_damage(kinds[kind].families[i], names[i]);
    ok(mend(&counts, &told));
    assert_int_equal(counts.tables, kinds[kind].count);
    for (size_t i = 0; i < kinds[kind].count; i++) {
        assert_non_null(strstr(told.lines, names[i]));
        assert_non_null(strstr(told.lines, family_content(kinds[kind].families[i])));
    }
    assert_int_equal(names_count("set-aside", "db-"), 1);
    assert_int_equal(names_count(".", "db."), 0);
    ok(open_again());
    assert_listed(kind);
    assert_heals();
}

static void test_each_kind_of_table_is_mended_and_heals(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_COUNT(kinds); kind++)
        kind_is_mended(kind);
}

static void test_several_at_once_and_once_more(void **state)
{
    static const enum family families[] = {FAMILY_PAGES, FAMILY_PACKS_FIRST, FAMILY_SMALL,
                                           FAMILY_FILES, FAMILY_HELD,        FAMILY_PACK_STATE};
    struct mend_counts counts;
    struct told told;
    char name[DB_TABLE_NAME_BYTES];
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(families); i++)
        table_damage(families[i], name);
    ok(mend(&counts, &told));
    assert_int_equal(counts.tables, ARRAY_COUNT(families));
    assert_true(counts.listed > 0);
    ok(open_again());
    assert_int_equal(damage_count(bench.store), counts.listed);
    assert_heals();
    bench_again();
    close_all();
    table_damage(FAMILY_PAGES, name);
    ok(mend(&counts, &told));
    assert_int_equal(names_count("set-aside", "db-"), 2);
    ok(open_again());
    assert_listed(KIND_PAGES);
}

/* Only what is listed is a fault to fsck: what nothing names is gone, if it is not whole. */
static void fault_is_of_the_list(void *context, const struct digest *digest, const char *what)
{
    bool *strange = context;
    if (!damage_has(bench.store, digest) || strstr(what, "holds it") != NULL) {
        print_message("%s\n", what);
        *strange = true;
    }
}

static void test_fsck_finds_nothing_but_what_is_listed(void **state)
{
    (void)state;
    struct mend_counts counts;
    struct fsck_counts checked;
    struct told told;
    char name[DB_TABLE_NAME_BYTES];
    bool strange = false;
    ok(open_again());
    bench_load_unnamed("2026-01-04", 3, 40);
    bench_again();
    close_all();
    table_damage(FAMILY_PACKS_FIRST, name);
    tables_damage(FAMILY_SMALL, true, name);
    ok(mend(&counts, &told));
    ok(open_again());
    ok(catalog_fsck(bench.store, FSCK_RESOLVE, fault_is_of_the_list, &strange, &checked,
                    &bench.err));
    assert_true(checked.faults > 0);
    assert_false(strange);
}

/* The bit at which the library ends the process: the highest of the properties' block, which lies before
 * the block that the footer leads to, and its checksum. */
static void test_a_bit_that_ends_the_library_is_refused_and_mended(void **state)
{
    enum { FOOTER_BYTES = 53, TRAILER_BYTES = 5 };
    (void)state;
    struct mend_counts counts;
    struct told told;
    char name[DB_TABLE_NAME_BYTES], path[TEST_PATH_BYTES], folder[100];
    uint8_t footer[FOOTER_BYTES];
    struct stat stat;
    uint64_t names_at = 0;
    table_damage(FAMILY_PAGES, name);
    file_flip_at_end(name, MAGIC_BYTES / 2); /* back: only its name was wanted */
    snprintf(folder, sizeof(folder), "%s/db", bench.dir);
    bench_path(folder, name, path);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0 && fstat(file, &stat) == 0);
    assert_int_equal(pread(file, footer, sizeof(footer), stat.st_size - FOOTER_BYTES),
                     FOOTER_BYTES);
    for (size_t i = 1; i < 10; i++) {
        names_at |= (uint64_t)(footer[i] & 0x7F) << 7 * (i - 1);
        if (footer[i] < 0x80)
            break;
    }
    bench_byte_flip(file, (off_t)names_at - TRAILER_BYTES - 1, 0x80);
    assert_int_equal(close(file), 0);
    assert_refused(name, "straitd --mend");
    ok(mend(&counts, &told));
    assert_int_equal(counts.tables, 1);
    ok(open_again());
    assert_heals();
}

/* ---- not mended ---- */

static void assert_left_alone(void)
{
    assert_int_equal(names_count(".", "set-aside"), 0);
    assert_int_equal(names_count(".", "db.mending"), 0);
    assert_int_equal(names_count(".", "db"), 1);
}

static void test_what_has_no_second_copy_is_left_alone(void **state)
{
    (void)state;
    static const enum family families[] = {FAMILY_CATALOG, FAMILY_LEASES};
    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        struct mend_counts counts;
        struct told told;
        char name[DB_TABLE_NAME_BYTES], other[DB_TABLE_NAME_BYTES];
        begin();
        table_damage(families[i], name);
        table_damage(FAMILY_PAGES, other);
        assert_int_equal(mend(&counts, &told), ERR_CORRUPT);
        assert_true(says(name) && says("restore data_dir from a copy"));
        assert_left_alone();
    }
}

/* Changes that the log alone has, beside a table that would come again. */
static void test_a_damaged_log_is_not_passed_over(void **state)
{
    (void)state;
    struct mend_counts counts;
    struct told told;
    char name[DB_TABLE_NAME_BYTES], folder[100];
    ok(open_again());
    bench_load("2026-01-03", 2, 30);
    close_all();
    table_damage(FAMILY_PAGES, name);
    snprintf(folder, sizeof(folder), "%s/db", bench.dir);
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strstr(entry->d_name, ".log") != NULL)
            file_flip_at_end(entry->d_name, 30);
    }
    closedir(dir);
    assert_int_equal(mend(&counts, &told), ERR_CORRUPT);
    assert_true(says("/db/") && says(".log (the last changes") && says("restore data_dir"));
    assert_left_alone();
}

static void test_a_whole_store_is_left_alone(void **state)
{
    (void)state;
    struct mend_counts counts;
    struct told told;
    ok(mend(&counts, &told));
    assert_int_equal(counts.tables, 0);
    assert_string_equal(told.lines, "");
    assert_left_alone();
}

/* The marker is asked for region and format all the same. */
static void marker_replace(const char *from, const char *to)
{
    char path[TEST_PATH_BYTES], text[512];
    bench_path(bench.dir, "store", path);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    char *at = strstr(text, from);
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_a_former_key_mends_what_the_present_one_would(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        enum err_code code;
    } markers[] = {{"format 3", "format 9", ERR_VERSION},
                   {"format 3", "format 0", ERR_CORRUPT},
                   {"region here", "region else", ERR_CONFIG}};
    const struct identity_key former = options().identity;
    struct told told = {{0}};
    const struct mend_watch watch = {.tell = tell, .context = &told};
    struct store_options of = options();
    of.identity.b[0] ^= 1;
    of.former = &former;
    of.former_count = 1;
    for (size_t i = 0; i < ARRAY_COUNT(markers); i++) {
        struct mend_counts counts;
        char name[DB_TABLE_NAME_BYTES];
        begin();
        table_damage(FAMILY_PAGES, name);
        marker_replace(markers[i].from, markers[i].to);
        assert_int_equal(store_mend(&of, &watch, &counts, &bench.err), markers[i].code);
        assert_left_alone();
        marker_replace(markers[i].to, markers[i].from);
        ok(store_mend(&of, &watch, &counts, &bench.err));
    }
}

static void test_a_store_in_use_is_not_mended(void **state)
{
    (void)state;
    struct mend_counts counts;
    struct told told;
    ok(open_again());
    assert_int_equal(mend(&counts, &told), ERR_LOCKED);
}

/* ---- killed ---- */

static void killed_at(enum crash_point point)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct mend_counts counts;
        struct told told;
        setenv("STRAIT_CRASH", crash_name(point), 1);
        _exit(mend(&counts, &told) == ERR_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("%s was not passed (status %d)", crash_name(point), status);
}

static void test_killed_at_every_step_it_goes_on(void **state)
{
    static const enum crash_point points[] = {
#define X(point, name) point,
        CRASH_MEND_POINTS(X)
#undef X
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        struct mend_counts counts;
        struct told told;
        char name[DB_TABLE_NAME_BYTES];
        begin();
        table_damage(FAMILY_PAGES, name);
        table_damage(FAMILY_FILES, name);
        killed_at(points[i]);
        if (points[i] == CRASH_MEND_SET_ASIDE)
            assert_refused("a mend was ended", "straitd --mend");
        else if (points[i] != CRASH_MEND_PLACED)
            assert_refused(".sst (", "straitd --mend");
        ok(mend(&counts, &told));
        assert_int_equal(names_count(".", "db.mending"), 0);
        assert_int_equal(names_count("set-aside", "db-"), 1);
        ok(open_again());
        assert_listed(KIND_PAGES);
    }
    assert_heals();
}

#define WITH_STORE(test) cmocka_unit_test_setup(test, test_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_each_kind_of_table_is_mended_and_heals),
        WITH_STORE(test_several_at_once_and_once_more),
        WITH_STORE(test_fsck_finds_nothing_but_what_is_listed),
        WITH_STORE(test_a_bit_that_ends_the_library_is_refused_and_mended),
        WITH_STORE(test_what_has_no_second_copy_is_left_alone),
        WITH_STORE(test_a_damaged_log_is_not_passed_over),
        WITH_STORE(test_a_whole_store_is_left_alone),
        WITH_STORE(test_a_former_key_mends_what_the_present_one_would),
        WITH_STORE(test_a_store_in_use_is_not_mended),
        WITH_STORE(test_killed_at_every_step_it_goes_on),
    };
    cmocka_set_test_filter(getenv("STRAIT_TEST"));
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
