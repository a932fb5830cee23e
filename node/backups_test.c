#include "node/backups.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/backup/manifest.h"
#include "store/audit.h"
#include "store/trial.h"

#define AWAIT_SECONDS 30

static const struct statement_id id = {{1}}, other = {{2}};

struct place {
    struct trial *trial;
    struct loop *loop;
    struct workers *workers;
    struct backups *backups;
    struct err err;
};

static struct place place_of(void **state, uint32_t idle_ms)
{
    struct place place = {.trial = *state};
    const struct workers_options workers = {.name = "test", .workers = 1, .mailbox_jobs = 8};
    assert_int_equal(loop_start(&place.loop, &place.err), ERR_OK);
    assert_int_equal(workers_start(&workers, &place.workers, &place.err), ERR_OK);
    const struct backups_options options = {.store = place.trial->store,
                                            .loop = place.loop,
                                            .workers = place.workers,
                                            .region = "here",
                                            .idle_ms = idle_ms};
    place.backups = backups_new(&options);
    return place;
}

static void place_end(struct place *place)
{
    backups_stop(place->backups);
    workers_stop(place->workers);
    loop_stop(place->loop);
    backups_free(place->backups);
    workers_free(place->workers);
}

static enum err_code begin(struct place *place, const char *who, const struct statement_id *which,
                           struct operator_backup_state *state)
{
    const struct audit_record audit = {.time_ms = 77,
                                       .principal = span_text(who),
                                       .action = span_text("BACKUP"),
                                       .outcome = span_text("OK")};
    return backups_begin(place->backups, who, which, &audit, state, &place->err);
}

static enum err_code read_some(struct place *place, const char *who,
                               const struct statement_id *which, uint64_t file, uint64_t offset,
                               struct bytes *out)
{
    const struct operator_backup_read read = {*which, file, offset, 1000};
    return backups_read(place->backups, who, &read, out, &place->err);
}

static bool checkpoint_stands(const struct place *place)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/tmp/checkpoint", place->trial->dir);
    return access(path, F_OK) == 0;
}

static void one_is_its_principals_and_ends_when_told(void **state)
{
    struct place place = place_of(state, BACKUP_IDLE_MS);
    struct operator_backup_state told, again;
    struct bytes bytes BYTES_CLEANUP = {0};
    uint64_t entries = audit_head_get(place.trial->store).count;
    assert_int_equal(begin(&place, "a", &id, &told), ERR_OK);
    assert_int_equal(told.cut_ms, 77);
    assert_int_equal(told.audit_count, entries + 1);
    assert_int_equal(begin(&place, "a", &id, &again), ERR_OK); /* its answer was lost */
    assert_memory_equal(&told, &again, sizeof(told));
    assert_int_equal(audit_head_get(place.trial->store).count, entries + 1);
    assert_int_equal(begin(&place, "a", &other, &again), ERR_LIMIT);
    assert_int_equal(begin(&place, "b", &id, &again), ERR_LIMIT);
    assert_int_equal(read_some(&place, "b", &id, 0, 0, &bytes), ERR_NOT_FOUND);
    assert_int_equal(read_some(&place, "a", &other, 0, 0, &bytes), ERR_NOT_FOUND);
    backups_end(place.backups, "b", &id);
    backups_end(place.backups, "a", &other);
    assert_int_equal(read_some(&place, "a", &id, 0, 0, &bytes), ERR_OK);
    assert_true(bytes.len > 0 && checkpoint_stands(&place));
    backups_end(place.backups, "a", &id);
    assert_false(checkpoint_stands(&place));
    assert_int_equal(read_some(&place, "a", &id, 0, 0, &bytes), ERR_NOT_FOUND);
    assert_int_equal(begin(&place, "b", &other, &again), ERR_OK);
    place_end(&place);
    assert_false(checkpoint_stands(&place)); /* the node's stop */
}

static void the_list_and_every_file_are_read_by_place_and_nothing_beyond(void **state)
{
    struct place place = place_of(state, BACKUP_IDLE_MS);
    struct operator_backup_state told;
    struct bytes list BYTES_CLEANUP = {0};
    BACKUP_MANIFEST_CLEANUP struct backup_manifest manifest = {0};
    assert_int_equal(begin(&place, "a", &id, &told), ERR_OK);
    while (list.len < told.list_bytes)
        assert_int_equal(read_some(&place, "a", &id, 0, list.len, &list), ERR_OK);
    assert_int_equal(backup_list_decode(bytes_span(&list), id.b, &manifest, &place.err), ERR_OK);
    assert_int_equal(manifest.count, told.file_count);
    assert_int_equal(backup_bytes(&manifest), told.bytes);
    for (size_t i = 0; i < manifest.count; i++) {
        struct bytes content BYTES_CLEANUP = {0};
        size_t before;
        do {
            before = content.len;
            assert_int_equal(read_some(&place, "a", &id, i + 1, content.len, &content), ERR_OK);
        } while (content.len > before);
        assert_int_equal(content.len, manifest.files[i].bytes);
        assert_int_equal(read_some(&place, "a", &id, i + 1, UINT64_MAX, &content), ERR_OK);
        assert_int_equal(content.len, manifest.files[i].bytes);
    }
    assert_int_equal(read_some(&place, "a", &id, manifest.count + 1, 0, &list), ERR_PARAMETER);
    assert_int_equal(read_some(&place, "a", &id, UINT64_MAX, 0, &list), ERR_PARAMETER);
    place_end(&place);
}

static void what_nobody_asks_for_is_removed(void **state)
{
    struct place place = place_of(state, 5);
    struct operator_backup_state told;
    struct bytes bytes BYTES_CLEANUP = {0};
    const struct timespec pause = {.tv_nsec = 2000000};
    assert_int_equal(begin(&place, "a", &id, &told), ERR_OK);
    time_t until = time(NULL) + AWAIT_SECONDS;
    while (checkpoint_stands(&place)) {
        assert_true(time(NULL) < until);
        nanosleep(&pause, NULL);
    }
    assert_int_equal(read_some(&place, "a", &id, 0, 0, &bytes), ERR_NOT_FOUND);
    place_end(&place);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TRIAL(one_is_its_principals_and_ends_when_told),
        TRIAL(the_list_and_every_file_are_read_by_place_and_nothing_beyond),
        TRIAL(what_nobody_asks_for_is_removed),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
