/* Clones and their sources live apart: in any order of changes, and after kill -9. */
#include "store/clone_trial.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "store/name.h"

/* ---- any order of changes ---- */

#define TABLES 5
#define STEPS  300

struct play {
    struct trial *trial;
    struct owner owners[2];
    uint64_t chance;
    struct {
        struct table_id id; /* 0: none */
        const struct owner *owner;
        cells cells;
    } tables[TABLES];
    unsigned names;
};

static void selection_random(struct play *play, struct selection *selection, bool taken[PS][QS])
{
    memset(taken, 0, PS * QS * sizeof(bool));
    bool whole = random_below(&play->chance, 3) == 0;
    for (int64_t p = 0; p < PS; p++) {
        uint64_t what = random_below(&play->chance, 3);
        if (!whole && what == 0)
            selection_add(selection, p, NULL);
        for (size_t q = 0; q < QS; q++) {
            bool take = whole || what == 0 || (what == 1 && random_below(&play->chance, 2) == 0);
            if (take && !whole && what != 0)
                selection_add(selection, p, q_text[q]);
            taken[p][q] = take;
        }
    }
    for (size_t q = 0; selection->ranges.count == 0 && q < QS; q++) /* none is all */
        for (size_t p = 0; p < PS; p++)
            taken[p][q] = true;
}

static void step_clone(struct play *play, size_t from, size_t to)
{
    struct trial *trial = play->trial;
    SELECTION_CLEANUP struct selection selection = {0};
    bool taken[PS][QS];
    bool is_new = play->tables[to].id.n == 0;
    bool adds = random_below(&play->chance, 2) == 0;
    selection_random(play, &selection, taken);
    if (is_new) {
        char name[16];
        snprintf(name, sizeof(name), "c%u", ++play->names);
        play->tables[to].owner = &play->owners[random_below(&play->chance, 2)];
        memset(play->tables[to].cells, 0, sizeof(cells));
        play->tables[to].id = clone_make(trial, play->tables[to].owner, name, play->tables[from].id,
                                         &selection.ranges);
    } else {
        clone_to(trial, play->tables[to].owner, play->tables[to].id, play->tables[from].id,
                 &selection.ranges, adds ? CLONE_ADD : CLONE_REPLACE);
    }
    for (size_t p = 0; p < PS; p++)
        for (size_t q = 0; q < QS; q++) {
            uint32_t new = taken[p][q] ? play->tables[from].cells[p][q] : 0;
            uint32_t *cell = &play->tables[to].cells[p][q];
            if (new != 0 && !(adds && *cell != 0))
                *cell = new;
        }
}

static void step_load(struct play *play, size_t at)
{
    cells new = {{0}};
    for (size_t i = 0; i < 3; i++) {
        size_t p = random_below(&play->chance, PS), q = random_below(&play->chance, QS);
        new[p][q] = 1 + (uint32_t)random_below(&play->chance, 1000);
        play->tables[at].cells[p][q] = new[p][q];
    }
    cells_load(play->trial, play->tables[at].owner, play->tables[at].id, new);
}

static void step(struct play *play)
{
    size_t at = random_below(&play->chance, TABLES), to = random_below(&play->chance, TABLES);
    uint64_t what = random_below(&play->chance, 10);
    if (play->tables[at].id.n == 0) {
        char name[16];
        snprintf(name, sizeof(name), "t%u", ++play->names);
        play->tables[at].owner = &play->owners[random_below(&play->chance, 2)];
        memset(play->tables[at].cells, 0, sizeof(cells));
        play->tables[at].id = table_make(play->trial, play->tables[at].owner, name);
    } else if (what < 3) {
        step_load(play, at);
    } else if (what < 4) {
        table_dropped(play->trial, play->tables[at].id);
        play->tables[at].id.n = 0;
    } else if (what < 5) {
        clean_up(play->trial);
    } else if (at != to) {
        step_clone(play, at, to);
    }
}

/* clone.h, invariant 1. */
static void any_order_of_clones_loads_and_drops_keeps_every_table_right(void **state)
{
    struct play play = {.trial = *state, .chance = trial_seed()};
    struct trial *trial = *state;
    play.owners[0] = owner_make(trial, "ALIYUN$alice");
    play.owners[1] = owner_make(trial, "ALIYUN$bob");
    for (size_t i = 0; i < STEPS; i++) {
        step(&play);
        for (size_t t = 0; t < TABLES && i % 10 == 0; t++)
            if (play.tables[t].id.n != 0)
                cells_expect(trial, play.tables[t].id, play.tables[t].cells);
    }
    store_check(trial);
    for (size_t t = 0; t < TABLES; t++)
        if (play.tables[t].id.n != 0)
            table_dropped(trial, play.tables[t].id);
    clean_up(trial);
    struct fsck_counts left = store_check(trial); /* space returns when the last goes */
    assert_int_equal(left.files, 0);
    assert_int_equal(left.pages, 0);
}

/* ---- kill -9 ---- */

static char self[256];

/* This program as a child ("clone DIR ACCOUNT PROJECT SOURCE TO", a point armed): clones into a new
 * table and into one that is there. */
static int clone_and_die(char **words)
{
    struct trial child = {.options = {.data_dir = words[0], .region = "here"}};
    struct owner owner = {{strtoull(words[1], NULL, 10)}, {strtoull(words[2], NULL, 10)}};
    struct table_id source = {strtoull(words[3], NULL, 10)}, to = {strtoull(words[4], NULL, 10)};
    SELECTION_CLEANUP struct selection selection = {0};
    trial_open(&child);
    selection_add(&selection, 0, NULL);
    clone_make(&child, &owner, "new", source, &selection.ranges);
    clone_to(&child, &owner, to, source, &clone_all, CLONE_REPLACE);
    return 3;
}

static int child_run(const struct trial *trial, const struct owner *owner, struct table_id source,
                     struct table_id to, const char *armed)
{
    char number[4][24];
    uint64_t numbers[4] = {owner->account.n, owner->project.n, source.n, to.n};
    for (size_t i = 0; i < 4; i++)
        snprintf(number[i], sizeof(number[i]), "%" PRIu64, numbers[i]);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("STRAIT_CRASH", armed, 1);
        execl(self, self, "clone", trial->dir, number[0], number[1], number[2], number[3],
              (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* What is there afterwards is as before the clone, or the whole clone. */
static void killed_check(struct trial *trial, struct owner owner, struct table_id source,
                         struct table_id to)
{
    cells found;
    struct name_target target;
    cells_expect(trial, source, (cells){{1, 2}, {3}});
    bool is_new = name_find(trial->store, NULL, owner.project, span_text("new"), &target,
                            &trial->err) == ERR_OK;
    if (is_new)
        cells_expect(trial, target.id, (cells){{1, 2}});
    cells_read(trial, to, found);
    if (found[0][0] == 9)
        cells_expect(trial, to, (cells){{9}, {0}, {8}});
    else
        cells_expect(trial, to, (cells){{1, 2}, {3}, {8}});
    store_check(trial);
    if (is_new)
        table_dropped(trial, target.id);
    cells_load(trial, &owner, to, (cells){{9}, {0}, {8}});
    clean_up(trial);
    store_check(trial);
}

static void a_clone_killed_anywhere_is_whole_or_not_there(void **state)
{
    struct trial *trial = *state;
    static const char *const points[] = {
        "content.written:1", "content.synced:1", "catalog.checked:1", "catalog.written:1",
        "content.written:2", "content.synced:2", "catalog.checked:2", "catalog.written:2"};
    struct owner alice = owner_make(trial, "ALIYUN$alice");
    struct table_id source = table_make(trial, &alice, "t");
    cells_load(trial, &alice, source, (cells){{1, 2}, {3}});
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        char name[16];
        snprintf(name, sizeof(name), "u%zu", i);
        struct table_id to = table_make(trial, &alice, name);
        cells_load(trial, &alice, to, (cells){{9}, {0}, {8}});
        store_close(trial->store);
        trial->store = NULL;
        int status = child_run(trial, &alice, source, to, points[i]);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            fail_msg("%s was not reached (status %d)", points[i], status);
        trial_open(trial);
        killed_check(trial, alice, source, to);
    }
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "clone") == 0)
        return clone_and_die(argv + 2);
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len <= 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TRIAL(any_order_of_clones_loads_and_drops_keeps_every_table_right),
        TRIAL(a_clone_killed_anywhere_is_whole_or_not_there),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
