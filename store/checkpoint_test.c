/* Checkpoints: one moment of everything beside those who write, drop and clean up; what a killed process
 * leaves; and what a store does that is older than what others know (restored.h). */
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "store/audit.h"
#include "store/checkpoint.h"
#include "store/crash.h"
#include "store/directory.h"
#include "store/parts.h"
#include "store/restored.h"
#include "store/trial.h"

#define WRITERS 3
#define NAMES   4
#define CUTS    12

static const struct account_id alice = {1};
static char self[PATH_MAX];

/* ---- a store made of a checkpoint ---- */

static void write_file(const char *path, struct span content)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(content.data, 1, content.len, file), content.len);
    assert_int_equal(fclose(file), 0);
}

/* Reads through checkpoint_read, by odd parts. */
static void checkpoint_copy(const struct checkpoint *checkpoint, const char *dir)
{
    char path[256];
    struct err err;
    snprintf(path, sizeof(path), "%s/db", dir);
    assert_int_equal(directory_make(dir, &err), ERR_OK);
    assert_int_equal(directory_make(path, &err), ERR_OK);
    for (size_t i = 0; i < checkpoint_count(checkpoint); i++) {
        const struct checkpoint_file *file = checkpoint_at(checkpoint, i);
        struct bytes content BYTES_CLEANUP = {0};
        while (content.len < file->bytes)
            assert_int_equal(checkpoint_read(checkpoint, i, content.len, 100003, &content, &err),
                             ERR_OK);
        assert_int_equal(checkpoint_read(checkpoint, i, content.len, 10, &content, &err), ERR_OK);
        assert_int_equal(content.len, file->bytes);
        snprintf(path, sizeof(path), "%s/db/%s", dir, file->name);
        write_file(path, bytes_span(&content));
    }
}

static void copy_remove(const char *dir)
{
    assert_int_equal(directory_clear(dir, NULL), ERR_OK);
    rmdir(dir);
}

static struct store *copy_open(const struct trial *trial, const char *dir)
{
    struct store *store = NULL;
    struct err err = {0};
    struct store_options options = trial->options;
    options.data_dir = dir;
    if (store_open(&options, &store, &err) != ERR_OK)
        fail_msg("%s", err.message);
    return store;
}

static void on_fault(void *context, const struct digest *digest, const char *what)
{
    (void)context;
    (void)digest;
    print_error("%s\n", what);
}

static void copy_is_whole(struct store *store)
{
    struct fsck_counts counts;
    struct err err;
    uint64_t faults = 0;
    assert_int_equal(store_fsck(store, toy_tree(), FSCK_REHASH, on_fault, NULL, &counts, &err),
                     ERR_OK);
    assert_int_equal(counts.faults, 0);
    assert_int_equal(audit_check(store, NULL, NULL, &faults, &err), ERR_OK);
    assert_int_equal(faults, 0);
}

/* ---- beside writers ---- */

struct writer {
    struct store *store;
    size_t number;
    atomic_bool *stop;
    atomic_ullong acknowledged; /* of its name: publishes that were */
    bool failed;
    char message[ERR_MESSAGE_BYTES];
};

static struct toy_snapshot nth_snapshot(size_t writer, uint64_t n)
{
    return (struct toy_snapshot){.seed = 1000 * (writer + 1) + n,
                                 .file_count = 1 + (size_t)(n % 30),
                                 .universe = 60,
                                 .file_bytes_max = n % 2 == 0 ? 150000 : 3000};
}

static enum err_code publish_one(struct writer *writer, uint64_t n, struct err *err)
{
    struct content *content CONTENT_CLEANUP = NULL;
    struct toy_snapshot snapshot = nth_snapshot(writer->number, n);
    struct digest root;
    char name[16];
    snprintf(name, sizeof(name), "w%zu", writer->number);
    TRY(content_open(writer->store, alice, &content, err));
    TRY(toy_add(content, &snapshot, &root, err));
    TRY(content_commit(content, err));
    return toy_publish(writer->store, name, &root, err);
}

static void *write_on(void *argument)
{
    struct writer *writer = argument;
    struct err err = {0};
    for (uint64_t n = 1; !atomic_load(writer->stop) && !writer->failed; n++) {
        struct collect_counts counts;
        enum err_code code = publish_one(writer, n, &err);
        if (code == ERR_OK)
            atomic_store(&writer->acknowledged, n);
        if (code == ERR_OK && writer->number == 0 && n % 3 == 0)
            code = collect_run(writer->store, toy_tree(), &counts, &err);
        if (code != ERR_OK) {
            snprintf(writer->message, sizeof(writer->message), "%s", err.message);
            writer->failed = true;
        }
    }
    return NULL;
}

/* What stands under the writer's name is a publish, none older than the last that was acknowledged before. */
static void name_is_whole(struct store *store, size_t writer, uint64_t before, uint64_t after)
{
    struct err err;
    char name[16];
    struct digest root;
    snprintf(name, sizeof(name), "w%zu", writer);
    assert_int_equal(toy_find(store, name, &root, &err), ERR_OK);
    if (before == 0 && digest_is_zero(&root))
        return;
    for (uint64_t n = before == 0 ? 1 : before; n <= after + 1; n++) {
        struct content *content CONTENT_CLEANUP = NULL;
        struct toy_snapshot snapshot = nth_snapshot(writer, n);
        struct digest nth;
        assert_int_equal(content_open(store, alice, &content, &err), ERR_OK);
        assert_int_equal(toy_add(content, &snapshot, &nth, &err), ERR_OK);
        if (!digest_equal(&nth, &root))
            continue;
        assert_int_equal(toy_check(store, &snapshot, &err), ERR_OK);
        return;
    }
    fail_msg("w%zu: what stands there is none of publishes %llu to %llu", writer,
             (unsigned long long)before, (unsigned long long)after + 1);
}

static void one_cut(struct trial *trial, struct writer *writers)
{
    struct checkpoint *checkpoint;
    char dir[128];
    uint64_t before[WRITERS], after[WRITERS];
    snprintf(dir, sizeof(dir), "%s-copy", trial->dir);
    for (size_t i = 0; i < WRITERS; i++)
        before[i] = atomic_load(&writers[i].acknowledged);
    struct err err = {0};
    if (checkpoint_create(trial->store, &checkpoint, &err) != ERR_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < WRITERS; i++)
        after[i] = atomic_load(&writers[i].acknowledged);
    checkpoint_copy(checkpoint, dir);
    checkpoint_free(checkpoint);
    struct store *copy = copy_open(trial, dir);
    copy_is_whole(copy);
    for (size_t i = 0; i < WRITERS; i++)
        name_is_whole(copy, i, before[i], after[i]);
    store_close(copy);
    copy_remove(dir);
}

static void a_cut_beside_writers_and_clean_up_is_one_moment(void **state)
{
    struct trial *trial = *state;
    atomic_bool stop = false;
    struct writer writers[WRITERS] = {0};
    pthread_t threads[WRITERS];
    trial->store->index.small_bytes_max = 200000; /* packs, often */
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i].store = trial->store;
        writers[i].number = i;
        writers[i].stop = &stop;
        assert_int_equal(pthread_create(&threads[i], NULL, write_on, &writers[i]), 0);
    }
    for (size_t i = 0; i < CUTS; i++)
        one_cut(trial, writers);
    atomic_store(&stop, true);
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        if (writers[i].failed)
            fail_msg("writer %zu: %s", i, writers[i].message);
        assert_true(writers[i].acknowledged > 0);
    }
}

/* ---- what stays, what goes ---- */

static size_t entries(const char *dir, const char *below)
{
    char path[256];
    size_t count = 0;
    snprintf(path, sizeof(path), "%s/%s", dir, below);
    DIR *open_dir = opendir(path);
    if (open_dir == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(open_dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(open_dir);
    return count;
}

static void publish(struct trial *trial, uint64_t n)
{
    struct writer writer = {.store = trial->store, .number = 0};
    assert_int_equal(publish_one(&writer, n, &trial->err), ERR_OK);
}

static void tables_that_stay_keep_name_and_mark_and_clean_up_takes_none_away(void **state)
{
    struct trial *trial = *state;
    struct checkpoint *first, *second;
    struct collect_counts counts;
    char dir[128];
    size_t same = 0;
    publish(trial, 28);
    assert_int_equal(checkpoint_create(trial->store, &first, &trial->err), ERR_OK);
    struct checkpoint_file *files = mem_calloc(checkpoint_count(first), sizeof(*files));
    size_t count = checkpoint_count(first);
    memcpy(files, checkpoint_at(first, 0), count * sizeof(*files));
    assert_int_equal(toy_drop(trial->store, "w0", &trial->err), ERR_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(collect_run(trial->store, toy_tree(), &counts, &trial->err), ERR_OK);
    snprintf(dir, sizeof(dir), "%s-copy", trial->dir);
    checkpoint_copy(first, dir);
    checkpoint_free(first);
    struct store *copy = copy_open(trial, dir);
    struct toy_snapshot snapshot = nth_snapshot(0, 28);
    assert_int_equal(toy_check(copy, &snapshot, &trial->err), ERR_OK);
    store_close(copy);
    copy_remove(dir);
    publish(trial, 2);
    publish(trial, 4);
    assert_int_equal(checkpoint_create(trial->store, &second, &trial->err), ERR_OK);
    for (size_t i = 0; i < checkpoint_count(second); i++) {
        const struct checkpoint_file *file = checkpoint_at(second, i);
        for (size_t k = 0; k < count; k++)
            same += file->is_table && strcmp(file->name, files[k].name) == 0 &&
                    memcmp(file->mark, files[k].mark, sizeof(file->mark)) == 0 &&
                    file->bytes == files[k].bytes;
    }
    assert_true(same > 0);
    checkpoint_free(second);
    mem_free(files);
    assert_int_equal(entries(trial->dir, "tmp"), 0);
}

/* ---- kill -9 ---- */

static int work(const char *dir)
{
    struct store_options options = {.data_dir = dir, .region = "here"};
    struct store *store;
    struct checkpoint *checkpoint;
    struct err err;
    if (store_open(&options, &store, &err) != ERR_OK ||
        checkpoint_create(store, &checkpoint, &err) != ERR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    checkpoint_free(checkpoint);
    store_close(store);
    return 0;
}

static void killed_with_a_cut_it_leaves_nothing(void **state)
{
    struct trial *trial = *state;
    int status;
    publish(trial, 28);
    store_close(trial->store);
    trial->store = NULL;
    pid_t child = fork();
    if (child == 0) {
        setenv("STRAIT_CRASH", crash_name(CRASH_BACKUP_CUT), 1);
        execl(self, self, "work", trial->dir, (char *)NULL);
        _exit(4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(entries(trial->dir, "tmp/checkpoint") > 0);
    trial_open(trial);
    assert_int_equal(entries(trial->dir, "tmp"), 0);
    copy_is_whole(trial->store);
}

/* ---- older than what others know ---- */

static enum err_code number_take(struct store *store, const char *sequence, uint64_t *ret_number,
                                 struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    TRY(catalog_sequence_take(store, &change, sequence, ret_number, err));
    return catalog_commit(store, &change, CATALOG_KEEP_RESERVE, err);
}

static void ids_go_on_far_behind_those_of_the_backup(void **state)
{
    struct trial *trial = *state;
    const struct restored restored = {.cut_ms = 5, .restored_ms = 9};
    const struct audit_record audit = {.time_ms = 9,
                                       .principal = span_text("p"),
                                       .action = span_text("RESTORE"),
                                       .outcome = span_text("OK")};
    struct restored found;
    uint64_t table, after, schedule;
    assert_int_equal(restored_get(trial->store, &found, &trial->err), ERR_OK);
    assert_int_equal(found.restored_ms, 0);
    assert_int_equal(number_take(trial->store, "table", &table, &trial->err), ERR_OK);
    uint64_t pack = trial->store->index.pack_next;
    struct audit_head head = audit_head_get(trial->store);
    assert_int_equal(restored_settle(trial->store, &restored, &audit, &trial->err), ERR_OK);
    trial_reopen(trial);
    assert_int_equal(number_take(trial->store, "table", &after, &trial->err), ERR_OK);
    assert_int_equal(number_take(trial->store, "schedule", &schedule, &trial->err), ERR_OK);
    assert_true(after == table + RESTORED_STRIDE + 1);
    assert_true(schedule ==
                RESTORED_STRIDE + 1); /* none before the cut: there may have been since */
    assert_true(trial->store->index.pack_next == pack + RESTORED_STRIDE);
    assert_int_equal(audit_head_get(trial->store).count, head.count + 1);
    assert_int_equal(restored_get(trial->store, &found, &trial->err), ERR_OK);
    assert_int_equal(found.cut_ms, 5);
    assert_int_equal(found.restored_ms, 9);
    publish(trial, 28);
    trial_reopen(trial);
    copy_is_whole(trial->store);
}

static void no_number_begins_again_behind_its_end(void **state)
{
    struct trial *trial = *state;
    const struct restored restored = {.cut_ms = 5, .restored_ms = 9};
    const struct audit_record audit = {.time_ms = 9,
                                       .principal = span_text("p"),
                                       .action = span_text("RESTORE"),
                                       .outcome = span_text("OK")};
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    struct restored found;
    uint8_t raw[8];
    store_u64(raw, UINT64_MAX - RESTORED_STRIDE + 1);
    catalog_put(&change, FAMILY_META, span_text("sequence/table"), span_of(raw, sizeof(raw)));
    assert_int_equal(catalog_commit(trial->store, &change, CATALOG_KEEP_RESERVE, &trial->err),
                     ERR_OK);
    assert_int_equal(restored_settle(trial->store, &restored, &audit, &trial->err), ERR_CORRUPT);
    assert_int_equal(restored_get(trial->store, &found, &trial->err), ERR_OK);
    assert_int_equal(found.restored_ms, 0);
}

static void a_directory_of_a_former_key_becomes_the_present_ones(void **state)
{
    struct trial *trial = *state;
    const struct identity_key old = trial->options.identity;
    struct store *store;
    store_close(trial->store);
    trial->store = NULL;
    trial->options.identity.b[3] ^= 1;
    assert_int_equal(store_open(&trial->options, &store, &trial->err), ERR_CONFIG);
    trial->options.former = &old;
    trial->options.former_count = 1;
    for (int i = 0; i < 2; i++) { /* the second time the file alone is asked */
        trial_open(trial);
        store_close(trial->store);
        trial->store = NULL;
        trial->options.former_count = 0;
    }
    trial->options.identity = old;
    assert_int_equal(store_open(&trial->options, &store, &trial->err), ERR_CONFIG);
    trial->options.identity.b[3] ^= 1;
    trial->options.former = NULL;
    trial_open(trial);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TRIAL(a_cut_beside_writers_and_clean_up_is_one_moment),
        TRIAL(tables_that_stay_keep_name_and_mark_and_clean_up_takes_none_away),
        TRIAL(killed_with_a_cut_it_leaves_nothing),
        TRIAL(ids_go_on_far_behind_those_of_the_backup),
        TRIAL(no_number_begins_again_behind_its_end),
        TRIAL(a_directory_of_a_former_key_becomes_the_present_ones),
    };
    if (argc == 3 && strcmp(argv[1], "work") == 0)
        return work(argv[2]);
    if (realpath(argv[0], self) == NULL)
        return 1;
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
