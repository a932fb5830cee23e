/* The auditor: the first refusals have an entry each, later ones are counted and never lost. */
#include "node/auditor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "store/trial.h"

struct seen {
    uint64_t entries;
    uint64_t refusals; /* what the entries say together */
};

static enum err_code seen_add(void *context, const struct audit_entry *entry, bool *ret_stop,
                              struct err *err)
{
    (void)ret_stop;
    (void)err;
    struct seen *seen = context;
    seen->entries++;
    seen->refusals += 1 + entry->record.repeats;
    return ERR_OK;
}

static void sees(struct trial *trial, uint64_t entries, uint64_t refusals)
{
    struct seen seen = {0};
    uint64_t next;
    assert_int_equal(audit_each(trial->store, 1, SIZE_MAX, seen_add, &seen, &next, &trial->err),
                     ERR_OK);
    assert_true(seen.entries == entries);
    assert_true(seen.refusals == refusals);
}

static void refuse(struct auditor *auditor, const char *whom, size_t count, uint64_t now_ms)
{
    const struct audit_record record = {.principal = span_text(whom),
                                        .action = span_text("SELECT"),
                                        .outcome = span_text("ODPS-0130013")};
    for (size_t i = 0; i < count; i++)
        auditor_refused(auditor, span_text(whom), &record, now_ms);
}

#define NOW 1000000

static void a_flood_is_counted_and_told_when_there_is_room(void **state)
{
    struct trial *trial = *state;
    struct auditor *auditor = auditor_new(trial->store);
    refuse(auditor, "a", AUDITOR_BURST, NOW);
    sees(trial, AUDITOR_BURST, AUDITOR_BURST);
    refuse(auditor, "a", 1000, NOW);
    auditor_tick(auditor, NOW + AUDITOR_EVERY_MS - 1);
    sees(trial, AUDITOR_BURST, AUDITOR_BURST);
    refuse(auditor, "b", 1, NOW); /* others are not kept from it */
    sees(trial, AUDITOR_BURST + 1, AUDITOR_BURST + 1);
    auditor_tick(auditor, NOW + AUDITOR_EVERY_MS);
    sees(trial, AUDITOR_BURST + 2, AUDITOR_BURST + 1001);
    auditor_tick(auditor, NOW + 2 * AUDITOR_EVERY_MS); /* nothing is left */
    sees(trial, AUDITOR_BURST + 2, AUDITOR_BURST + 1001);
    auditor_free(auditor);
}

static void the_next_refusal_speaks_for_those_that_were_counted(void **state)
{
    struct trial *trial = *state;
    struct auditor *auditor = auditor_new(trial->store);
    refuse(auditor, "a", AUDITOR_BURST + 7, NOW);
    refuse(auditor, "a", 1, NOW + AUDITOR_EVERY_MS);
    sees(trial, AUDITOR_BURST + 1, AUDITOR_BURST + 8);
    refuse(auditor, "a", 1, NOW + AUDITOR_EVERY_MS); /* one every so often */
    sees(trial, AUDITOR_BURST + 1, AUDITOR_BURST + 8);
    auditor_flush(auditor);
    sees(trial, AUDITOR_BURST + 2, AUDITOR_BURST + 9);
    auditor_free(auditor);
}

static void many_principals_push_each_other_out_and_none_is_lost(void **state)
{
    struct trial *trial = *state;
    struct auditor *auditor = auditor_new(trial->store);
    refuse(auditor, "flood", AUDITOR_BURST + 5, NOW);
    for (int i = 0; i < AUDITOR_BUCKETS; i++) {
        char whom[16];
        snprintf(whom, sizeof(whom), "p%d", i);
        refuse(auditor, whom, 1, NOW + 1);
    }
    sees(trial, AUDITOR_BURST + 1 + AUDITOR_BUCKETS, AUDITOR_BURST + 5 + AUDITOR_BUCKETS);
    auditor_free(auditor);
}

static void what_could_not_be_written_is_counted(void **state)
{
    struct trial *trial = *state;
    struct auditor *auditor = auditor_new(trial->store);
    store_close(trial->store);
    trial->options.disk_reserve_bytes = UINT64_MAX / 4; /* nothing may be written */
    trial_open(trial);
    auditor_free(auditor);
    auditor = auditor_new(trial->store);
    refuse(auditor, "a", 3, NOW);
    sees(trial, 0, 0);
    auditor_flush(auditor);
    sees(trial, 0, 0);
    auditor_free(auditor);
}

static void names_that_are_too_long_are_cut(void **state)
{
    struct trial *trial = *state;
    struct auditor *auditor = auditor_new(trial->store);
    char whom[1000];
    memset(whom, 'x', sizeof(whom) - 1);
    whom[sizeof(whom) - 1] = '\0';
    refuse(auditor, whom, AUDITOR_BURST + 2, NOW);
    sees(trial, AUDITOR_BURST, AUDITOR_BURST);
    auditor_free(auditor);
}

static void the_log_is_due_at_once_and_then_hourly(void **state)
{
    struct trial *trial = *state;
    struct auditor *auditor = auditor_new(trial->store);
    assert_true(auditor_log_due(auditor, NOW));
    assert_false(auditor_log_due(auditor, NOW + AUDITOR_LOG_HOUR_MS - 1));
    assert_true(auditor_log_due(auditor, NOW + AUDITOR_LOG_HOUR_MS));
    assert_false(auditor_log_due(auditor, NOW + AUDITOR_LOG_HOUR_MS + 1));
    auditor_free(auditor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(a_flood_is_counted_and_told_when_there_is_room),
        TRIAL(the_next_refusal_speaks_for_those_that_were_counted),
        TRIAL(many_principals_push_each_other_out_and_none_is_lost),
        TRIAL(what_could_not_be_written_is_counted),
        TRIAL(names_that_are_too_long_are_cut),
        TRIAL(the_log_is_due_at_once_and_then_hourly),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
