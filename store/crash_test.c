/* kill -9 at every named point of the store, and what is there afterwards.
 *
 * The program runs itself as a child (arguments "work DIR SEED") with one crash point armed. The
 * child stores, publishes, drops and cleans up, and says on standard output what was acknowledged:
 *
 *     +NAME SEED FILES BYTES    published and acknowledged         -NAME    its drop was begun
 *     ?NAME SEED FILES BYTES    publishing was begun
 *
 * Then the parent opens the directory: all that was acknowledged is whole, fsck finds nothing, no
 * pack or temporary file is left over, pack ids only grow, and the audit log says of each name what
 * the catalog says.
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "store/audit.h"
#include "store/crash.h"
#include "store/directory.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/trial.h"

static const struct account_id alice = {1};
static const struct task_id task = {{5}};
static char self[256];

#define NAMES       5
#define CHILD_STEPS 200
#define SAY         "%cn%zu %" PRIu64 " %zu %zu\n"

/* ---- the child ---- */

static void say(char kind, size_t name, const struct toy_snapshot *snapshot)
{
    char line[128];
    int len = snprintf(line, sizeof(line), SAY, kind, name, snapshot->seed, snapshot->file_count,
                       snapshot->file_bytes_max);
    if (write(STDOUT_FILENO, line, (size_t)len) != len)
        _exit(3);
}

static enum err_code work_publish(struct store *store, uint64_t *chance, struct err *err)
{
    struct content *content CONTENT_CLEANUP = NULL;
    size_t i = (size_t)random_below(chance, NAMES);
    bool large = random_below(chance, 2) == 0;
    struct toy_snapshot snapshot = {.seed = random_next(chance),
                                    .file_count = 1 + (size_t)random_below(chance, 40),
                                    .universe = 150,
                                    .file_bytes_max = large ? 150000 : 3000};
    struct digest root;
    char name[16];
    snprintf(name, sizeof(name), "n%zu", i);
    struct account_id account = {1 + random_below(chance, 2)}; /* names hold for the first only */
    TRY(content_open(store, account, &content, err));
    TRY(toy_add(content, &snapshot, &root, err));
    say('?', i, &snapshot);
    TRY(content_commit(content, err));
    TRY(toy_publish(store, name, &root, err));
    say('+', i, &snapshot);
    return ERR_OK;
}

static enum err_code work_drop(struct store *store, uint64_t *chance, struct err *err)
{
    size_t i = (size_t)random_below(chance, NAMES);
    char name[16];
    struct toy_snapshot none = {0};
    snprintf(name, sizeof(name), "n%zu", i);
    say('-', i, &none);
    return toy_drop(store, name, err);
}

/* A walk's way in: files, then staged pages, then promotion. */
static enum err_code work_stage(struct store *store, uint64_t *chance, struct err *err)
{
    struct content *content CONTENT_CLEANUP = NULL;
    struct bytes file BYTES_CLEANUP = {0};
    struct bytes leaf BYTES_CLEANUP = {0};
    struct bytes root BYTES_CLEANUP = {0};
    struct digest digest = toy_file(random_next(chance), 5000, &file), pages[2];
    pages[0] = toy_page(0, &digest, 1, &leaf);
    pages[1] = toy_page(1, &pages[0], 1, &root);
    struct staged_page staged[2] = {{pages[0], bytes_span(&leaf)}, {pages[1], bytes_span(&root)}};
    TRY(staged_put(store, &task, staged, 2, err));
    TRY(content_open(store, alice, &content, err));
    TRY(content_add_file(content, &digest, bytes_span(&file), CONTENT_HASH, err));
    TRY(staged_promote(content, &task, pages, 1, err));
    TRY(staged_promote(content, &task, pages + 1, 1, err));
    return random_below(chance, 2) == 0 ? staged_drop(store, &task, err) : ERR_OK;
}

static enum err_code work_step(struct store *store, uint64_t *chance, struct err *err)
{
    struct collect_counts counts;
    uint64_t what = random_below(chance, 10);
    if (what < 5)
        return work_publish(store, chance, err);
    if (what < 7)
        return work_drop(store, chance, err);
    if (what < 8)
        return work_stage(store, chance, err);
    if (what < 9)
        return store_flush(store, err);
    return collect_run(store, toy_tree(), &counts, err);
}

static int work(const char *dir, uint64_t seed)
{
    struct store_options options = {.data_dir = dir, .region = "here"};
    struct store *store;
    struct err err;
    uint64_t chance = seed;
    if (store_open(&options, &store, &err) != ERR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    store->index.small_bytes_max = 50000;
    for (int step = 0; step < CHILD_STEPS; step++) {
        if (work_step(store, &chance, &err) != ERR_OK) {
            fprintf(stderr, "step %d: %s\n", step, err.message);
            return 2;
        }
    }
    store_close(store);
    return 0;
}

/* A snapshot of three levels is dropped and swept. */
static int sweep(const char *dir)
{
    struct store_options options = {.data_dir = dir, .region = "here"};
    struct store *store;
    struct content *content;
    struct collect_counts counts;
    struct digest root;
    struct err err;
    struct toy_snapshot snapshot = {
        .seed = 1, .file_count = 40, .universe = 150, .file_bytes_max = 1000};
    if (store_open(&options, &store, &err) != ERR_OK ||
        content_open(store, alice, &content, &err) != ERR_OK ||
        toy_add(content, &snapshot, &root, &err) != ERR_OK ||
        content_commit(content, &err) != ERR_OK || toy_publish(store, "x", &root, &err) != ERR_OK)
        return 2;
    content_close(content);
    if (toy_drop(store, "x", &err) != ERR_OK ||
        collect_run(store, toy_tree(), &counts, &err) != ERR_OK)
        return 2;
    store_close(store);
    return 0;
}

/* ---- the parent ---- */

struct expected {
    bool acknowledged; /* else it may be there or not */
    bool uncertain;    /* something was begun since */
    struct toy_snapshot snapshot;
};

struct matrix {
    struct trial *trial;
    struct expected names[NAMES];
    uint64_t pack_next;
};

/* Runs the child until its end; its words are in *ret_said. */
static int child_run(const char *what, const char *dir, const char *armed, uint64_t seed,
                     struct bytes *ret_said)
{
    int ends[2];
    char seed_text[32];
    snprintf(seed_text, sizeof(seed_text), "%" PRIu64, seed);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("STRAIT_CRASH", armed, 1);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        execl(self, self, what, dir, seed_text, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    char part[4096];
    for (ssize_t got; (got = read(ends[0], part, sizeof(part))) > 0;)
        bytes_append(ret_said, part, (size_t)got);
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    bytes_append_u8(ret_said, 0);
    return status;
}

static void matrix_hear(struct matrix *matrix, char *said)
{
    char *rest = NULL;
    for (char *line = strtok_r(said, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char kind;
        size_t i;
        struct toy_snapshot snapshot = {.universe = 150};
        assert_int_equal(sscanf(line, SAY, &kind, &i, &snapshot.seed, &snapshot.file_count,
                                &snapshot.file_bytes_max),
                         5);
        assert_true(i < NAMES);
        struct expected *name = &matrix->names[i];
        if (kind == '+')
            *name = (struct expected){.acknowledged = true, .snapshot = snapshot};
        else if (kind == '-')
            *name = (struct expected){.acknowledged = false, .uncertain = true};
        else
            name->uncertain = true;
    }
}

static void fault_print(void *context, const struct digest *digest, const char *what)
{
    (void)context;
    (void)digest;
    fprintf(stderr, "fsck: %s\n", what);
}

static void matrix_fsck(struct matrix *matrix)
{
    struct trial *trial = matrix->trial;
    struct fsck_counts counts;
    if (store_fsck(trial->store, toy_tree(), FSCK_REHASH, fault_print, NULL, &counts,
                   &trial->err) != ERR_OK)
        fail_msg("%s", trial->err.message);
    assert_int_equal(counts.faults, 0);
}

static size_t directory_count(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* Everything acknowledged is there and whole. What was begun later may have replaced it. */
static void matrix_names_check(struct matrix *matrix)
{
    struct trial *trial = matrix->trial;
    for (size_t i = 0; i < NAMES; i++) {
        struct expected *name = &matrix->names[i];
        struct digest root;
        char text[16];
        snprintf(text, sizeof(text), "n%zu", i);
        assert_int_equal(toy_find(trial->store, text, &root, &trial->err), ERR_OK);
        if (!name->acknowledged)
            continue;
        assert_false(digest_is_zero(&root));
        if (!name->uncertain && toy_check(trial->store, &name->snapshot, &trial->err) != ERR_OK)
            fail_msg("%s: %s", text, trial->err.message);
        if (name->uncertain)
            name->acknowledged = false;
    }
}

/* ---- each change has its entry, and each entry its change ---- */

struct replay {
    char roots[NAMES][DIGEST_HEX_BYTES];
};

static enum err_code replay_entry(void *context, const struct audit_entry *entry, bool *ret_stop,
                                  struct err *err)
{
    (void)err;
    (void)ret_stop;
    struct replay *replay = context;
    struct span name = entry->record.object.name;
    size_t i = name.len == 2 && name.data[0] == 'n' ? (size_t)(name.data[1] - '0') : NAMES;
    if (i < NAMES)
        snprintf(replay->roots[i], DIGEST_HEX_BYTES, "%.*s", SPAN_PRINTF(entry->record.message));
    return ERR_OK;
}

static void matrix_audit_check(struct matrix *matrix)
{
    struct trial *trial = matrix->trial;
    struct replay replay = {0};
    uint64_t next;
    assert_int_equal(
        audit_each(trial->store, 1, SIZE_MAX, replay_entry, &replay, &next, &trial->err), ERR_OK);
    assert_true(next - 1 == audit_head_get(trial->store).count);
    for (size_t i = 0; i < NAMES; i++) {
        struct digest root;
        char text[16], hex[DIGEST_HEX_BYTES];
        snprintf(text, sizeof(text), "n%zu", i);
        assert_int_equal(toy_find(trial->store, text, &root, &trial->err), ERR_OK);
        if (replay.roots[i][0] != '\0' || !digest_is_zero(&root))
            assert_string_equal(replay.roots[i], digest_hex(&root, hex));
    }
}

static void matrix_check(struct matrix *matrix)
{
    struct trial *trial = matrix->trial;
    trial_open(trial);
    assert_int_equal(directory_count(store_tmp_dir(trial->store)), 0);
    assert_true(trial->store->index.pack_next >= matrix->pack_next);
    matrix->pack_next = trial->store->index.pack_next;
    for (size_t i = 0; i < trial->store->index.pack_count; i++)
        assert_int_equal(trial->store->index.packs[i].state, PACK_LIVE);
    matrix_fsck(matrix);
    matrix_names_check(matrix);
    matrix_audit_check(matrix);
    struct collect_counts counts;
    assert_int_equal(collect_run(trial->store, toy_tree(), &counts, &trial->err), ERR_OK);
    matrix_fsck(matrix);
    store_close(trial->store);
    trial->store = NULL;
}

static void every_crash_point_leaves_a_whole_store(void **state)
{
    struct matrix matrix = {.trial = *state};
    uint64_t chance = trial_seed();
    store_close(matrix.trial->store);
    matrix.trial->store = NULL;
    for (enum crash_point point = 0; point < CRASH_STORE_POINT_COUNT; point++) {
        struct bytes said BYTES_CLEANUP = {0};
        char armed[64];
        uint64_t nth = 1 + random_below(&chance, 2);
        if (point == CRASH_STORE_CREATED)
            nth = 1;
        snprintf(armed, sizeof(armed), "%s:%" PRIu64, crash_name(point), nth);
        int status = child_run("work", matrix.trial->dir, armed, random_next(&chance), &said);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            fail_msg("%s was not reached (status %d)", armed, status);
        matrix_hear(&matrix, (char *)said.data);
        matrix_check(&matrix);
    }
}

static void a_sweep_killed_between_levels_leaves_no_page_above_a_missing_one(void **state)
{
    struct matrix matrix = {.trial = *state};
    static const char *const armed[] = {"collect.page_step:1", "collect.page_step:2"};
    for (size_t i = 0; i < ARRAY_COUNT(armed); i++) {
        struct bytes said BYTES_CLEANUP = {0};
        store_close(matrix.trial->store);
        int status = child_run("sweep", matrix.trial->dir, armed[i], 1, &said);
        assert_true(WIFSIGNALED(status));
        trial_open(matrix.trial);
        matrix_fsck(&matrix);
    }
}

static void a_store_killed_while_it_is_made_is_made_again(void **state)
{
    (void)state;
    struct bytes said BYTES_CLEANUP = {0};
    struct trial trial = {.dir = "/tmp/strait-crash-XXXXXX"};
    assert_non_null(mkdtemp(trial.dir));
    trial.options = (struct store_options){.data_dir = trial.dir, .region = "here"};
    int status = child_run("work", trial.dir, "store.created", 1, &said);
    assert_true(WIFSIGNALED(status));
    trial_open(&trial);
    store_close(trial.store);
    assert_int_equal(directory_clear(trial.dir, NULL), ERR_OK);
    assert_int_equal(rmdir(trial.dir), 0);
}

static void marker_expect(const char *dir, struct span text)
{
    struct bytes found_text BYTES_CLEANUP = {0};
    bool found;
    assert_int_equal(marker_read(dir, &found_text, &found, NULL), ERR_OK);
    assert_true(found && span_equal(bytes_span(&found_text), text));
}

/* The database says the new format, the file not yet: what an older program does with that is
 * content_test.c's (a_newer_format_of_the_database_alone_is_refused). */
static void a_raise_of_the_format_that_was_killed_is_finished(void **state)
{
    struct trial *trial = *state;
    struct bytes said BYTES_CLEANUP = {0};
    struct bytes ours BYTES_CLEANUP = {0};
    struct bytes older BYTES_CLEANUP = {0};
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    const struct identity_key *node = &trial->options.identity;
    struct store_origin origin;
    marker_make(trial->options.region, span_of(node->b, sizeof(node->b)), &ours);
    bytes_append_span(&older, bytes_span(&ours));
    older.data[strlen("strait store\nformat ")] = '0' + STORE_FORMAT - 1;
    catalog_put(&change, FAMILY_META, span_text("store"), bytes_span(&older));
    assert_int_equal(catalog_commit(trial->store, &change, CATALOG_KEEP_RESERVE, &trial->err),
                     ERR_OK);
    store_close(trial->store);
    trial->store = NULL;
    assert_int_equal(marker_write(trial->dir, bytes_span(&older), &trial->err), ERR_OK);
    int status = child_run("work", trial->dir, "store.created", 1, &said);
    assert_true(WIFSIGNALED(status));
    marker_expect(trial->dir, bytes_span(&older));
    trial_open(trial);
    store_origin_get(trial->store, &origin);
    assert_int_equal(origin.format, STORE_FORMAT - 1); /* so that it is told */
    marker_expect(trial->dir, bytes_span(&ours));
    trial_reopen(trial);
    store_origin_get(trial->store, &origin);
    assert_int_equal(origin.format, STORE_FORMAT);
}

static void a_wrong_crash_point_is_refused(void **state)
{
    (void)state;
    struct err err;
    static const char *const wrong[] = {"no.such", "pack.synced:0", "pack.synced:x", ":1"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        setenv("STRAIT_CRASH", wrong[i], 1);
        assert_int_equal(crash_arm(&err), ERR_CONFIG);
    }
    unsetenv("STRAIT_CRASH");
    assert_int_equal(crash_arm(&err), ERR_OK);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "work") == 0)
        return work(argv[2], strtoull(argv[3], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "sweep") == 0)
        return sweep(argv[2]);
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len <= 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TRIAL(every_crash_point_leaves_a_whole_store),
        TRIAL(a_raise_of_the_format_that_was_killed_is_finished),
        TRIAL(a_sweep_killed_between_levels_leaves_no_page_above_a_missing_one),
        cmocka_unit_test(a_store_killed_while_it_is_made_is_made_again),
        cmocka_unit_test(a_wrong_crash_point_is_refused),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
