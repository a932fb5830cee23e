#include "node/schedule/schedule_store.h"

#include <ctype.h>

#include "proto/key.h"
#include "store/catalog_commit.h"
#include "store/catalog_keys.h"

#define SWEEP_STEP 200

/* ---- keys ---- */

static void name_key(struct project_id project, struct span name, struct bytes *key)
{
    bytes_clear(key);
    bytes_append_u8(key, 's');
    bytes_append_u64(key, project.n);
    for (size_t i = 0; i < name.len; i++)
        bytes_append_u8(key, (uint8_t)tolower(name.data[i]));
}

static void id_key(char kind, uint64_t schedule, struct bytes *key)
{
    bytes_clear(key);
    bytes_append_u8(key, (uint8_t)kind);
    if (schedule != 0)
        bytes_append_u64(key, schedule);
}

static void run_key(bool ended, uint64_t schedule, int64_t planned_s, struct bytes *key)
{
    id_key(ended ? 'h' : 'q', schedule, key);
    key_append_i64(key, planned_s);
}

static void until_put(struct catalog_change *change, uint64_t schedule, int64_t until_s)
{
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    id_key('t', schedule, &key);
    bytes_append_u64(&value, (uint64_t)until_s);
    catalog_put(change, FAMILY_SCHEDULE, bytes_span(&key), bytes_span(&value));
}

/* ---- all of a kind ---- */

/* id: the number in the record's key. Borrows. */
typedef enum err_code on_record(void *context, uint64_t id, struct span value, struct err *err);

/* Of one kind of key, and of one id (0: of all), in order; of one moment. */
static enum err_code scan_each(struct store *store, char kind, uint64_t id, on_record *callback,
                               void *context, struct err *err)
{
    BYTES_CLEANUP struct bytes prefix = {0};
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    id_key(kind, id, &prefix);
    TRY(catalog_scan(store, NULL, FAMILY_SCHEDULE, bytes_span(&prefix), (struct span){0}, &iter,
                     err));
    while (true) {
        struct span key, value;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        struct reader reader = reader_of(key);
        reader_u8(&reader);
        TRY(callback(context, reader_u64(&reader), value, err));
    }
}

/* ---- schedules ---- */

static enum err_code record_find(struct store *store, struct project_id project, struct span name,
                                 struct arena *arena, struct bytes *key, struct span *ret_record,
                                 struct schedule *ret_schedule, struct err *err)
{
    bool found;
    name_key(project, name, key);
    TRY(catalog_record_find(store, NULL, FAMILY_SCHEDULE, bytes_span(key), arena, ret_record,
                            &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "there is no schedule %.*s", SPAN_PRINTF(name));
    return schedule_record_decode(*ret_record, arena, ret_schedule, err);
}

/* The record of the one that was found, and of no other of its name. */
static enum err_code same_find(struct store *store, struct project_id project,
                               const struct schedule *found, struct arena *arena, struct bytes *key,
                               struct span *ret_record, struct schedule *ret_schedule,
                               struct err *err)
{
    TRY(record_find(store, project, found->name, arena, key, ret_record, ret_schedule, err));
    return ret_schedule->id == found->id
               ? ERR_OK
               : err_set(err, ERR_CONFLICT, "schedule %.*s was made anew meanwhile",
                         SPAN_PRINTF(found->name));
}

enum err_code schedule_find(struct store *store, struct project_id project, struct span name,
                            struct arena *arena, struct schedule *ret_schedule, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct span record;
    return record_find(store, project, name, arena, &key, &record, ret_schedule, err);
}

static enum err_code count_one(void *context, struct project_id project,
                               const struct schedule *schedule, struct err *err)
{
    size_t *count = context;
    (void)project;
    (void)schedule;
    (void)err;
    ++*count;
    return ERR_OK;
}

enum err_code schedule_create(struct store *store, struct project_id project,
                              const struct schedule *spec, const struct change_note *note,
                              struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    struct schedule schedule = *spec;
    size_t count = 0, damaged;
    bool found;
    TRY(schedule_each(store, project, count_one, &count, &damaged, err));
    if (count + damaged >= LIMIT_SCHEDULES)
        return err_set(err, ERR_LIMIT, "the project has %zu schedules, at most %d are allowed",
                       count + damaged, LIMIT_SCHEDULES);
    name_key(project, spec->name, &key);
    TRY(catalog_find(store, NULL, FAMILY_SCHEDULE, bytes_span(&key), &value, &found, err));
    if (found)
        return err_set(err, ERR_EXISTS, "there is a schedule %.*s already",
                       SPAN_PRINTF(spec->name));
    /* also: nobody else made one since they were counted */
    TRY(catalog_sequence_take(store, &change, "schedule", &schedule.id, err));
    bytes_clear(&value);
    schedule_record_encode(&schedule, &value);
    catalog_expect_absent(&change, FAMILY_SCHEDULE, bytes_span(&key));
    catalog_put(&change, FAMILY_SCHEDULE, bytes_span(&key), bytes_span(&value));
    until_put(&change, schedule.id, (int64_t)(schedule.created_ms / 1000));
    return catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err);
}

enum err_code schedule_pause_set(struct store *store, struct project_id project,
                                 const struct schedule *found, bool paused, int64_t until_s,
                                 const struct change_note *note, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    ARENA_CLEANUP struct arena arena;
    struct schedule schedule;
    struct span record;
    int64_t decided_s;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(same_find(store, project, found, &arena, &key, &record, &schedule, err));
    TRY(schedule_until_get(store, &schedule, &decided_s, err));
    bool changes = schedule.paused != paused;
    schedule.paused = paused;
    schedule_record_encode(&schedule, &value);
    catalog_expect(&change, FAMILY_SCHEDULE, bytes_span(&key), record);
    catalog_put(&change, FAMILY_SCHEDULE, bytes_span(&key), bytes_span(&value));
    if (changes && until_s > decided_s)
        until_put(&change, schedule.id, until_s);
    return catalog_commit_noted(store, &change, note, CATALOG_USE_RESERVE, err);
}

enum err_code schedule_drop(struct store *store, struct project_id project,
                            const struct schedule *found, const struct change_note *note,
                            struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    ARENA_CLEANUP struct arena arena;
    struct schedule schedule;
    struct span record;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(same_find(store, project, found, &arena, &key, &record, &schedule, err));
    catalog_expect(&change, FAMILY_SCHEDULE, bytes_span(&key), record);
    catalog_delete(&change, FAMILY_SCHEDULE, bytes_span(&key));
    return catalog_commit_noted(store, &change, note, CATALOG_USE_RESERVE, err);
}

struct schedule_walk {
    on_schedule *callback;
    void *context;
    struct arena arena; /* of one record */
    size_t damaged;
};

static enum err_code schedule_take(void *context, uint64_t project, struct span value,
                                   struct err *err)
{
    struct schedule_walk *walk = context;
    struct schedule schedule;
    arena_reset(&walk->arena);
    if (schedule_record_decode(value, &walk->arena, &schedule, err) == ERR_OK)
        return walk->callback(walk->context, (struct project_id){project}, &schedule, err);
    walk->damaged++;
    return ERR_OK;
}

enum err_code schedule_each(struct store *store, struct project_id project, on_schedule *callback,
                            void *context, size_t *ret_damaged, struct err *err)
{
    struct schedule_walk walk = {.callback = callback, .context = context};
    arena_init(&walk.arena, CATALOG_ARENA_BYTES);
    enum err_code code = scan_each(store, 's', project.n, schedule_take, &walk, err);
    arena_deinit(&walk.arena);
    *ret_damaged = walk.damaged;
    return code;
}

/* ---- what is decided ---- */

enum err_code schedule_until_get(struct store *store, const struct schedule *schedule,
                                 int64_t *ret_until_s, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    bool found;
    id_key('t', schedule->id, &key);
    TRY(catalog_find(store, NULL, FAMILY_SCHEDULE, bytes_span(&key), &value, &found, err));
    if (found && value.len != 8)
        return err_set(err, ERR_CORRUPT, "the record of a schedule's plan is damaged");
    *ret_until_s = found ? (int64_t)load_u64(value.data) : (int64_t)(schedule->created_ms / 1000);
    return ERR_OK;
}

/* Nothing is added to what was dropped and swept: nobody would sweep it again. */
static enum err_code until_expect(struct store *store, uint64_t schedule,
                                  struct catalog_change *change, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    bool found;
    id_key('t', schedule, &key);
    TRY(catalog_find(store, NULL, FAMILY_SCHEDULE, bytes_span(&key), &value, &found, err));
    if (!found)
        return err_set(err, ERR_CONFLICT, "the schedule was dropped meanwhile");
    catalog_expect(change, FAMILY_SCHEDULE, bytes_span(&key), bytes_span(&value));
    return ERR_OK;
}

/* Its steps of the change; nothing where the planned time has a run under way, or had one and this is of
 * the clock. */
static enum err_code run_add(struct store *store, uint64_t schedule, const struct schedule_run *run,
                             struct catalog_change *change, struct err *err)
{
    BYTES_CLEANUP struct bytes pending = {0}, ended = {0}, value = {0}, old = {0};
    bool found;
    run_key(false, schedule, run->planned_s, &pending);
    run_key(true, schedule, run->planned_s, &ended);
    TRY(catalog_find(store, NULL, FAMILY_SCHEDULE, bytes_span(&pending), &old, &found, err));
    if (found)
        return ERR_OK;
    TRY(catalog_find(store, NULL, FAMILY_SCHEDULE, bytes_span(&ended), &old, &found, err));
    if (found && run->cause == RUN_OF_CLOCK)
        return ERR_OK;
    struct schedule_run added = *run;
    if (found) {
        struct schedule_run before;
        TRY(schedule_run_decode(bytes_span(&old), &before, err));
        added.generation = before.generation + 1;
    }
    schedule_run_encode(&added, &value);
    bool is_over = run_state_ended(run->state);
    const struct bytes *key = is_over ? &ended : &pending;
    catalog_expect_absent(change, FAMILY_SCHEDULE, bytes_span(&pending));
    catalog_put(change, FAMILY_SCHEDULE, bytes_span(key), bytes_span(&value));
    return ERR_OK;
}

enum err_code schedule_runs_add(struct store *store, const struct schedule *schedule,
                                const struct schedule_run *runs, size_t count,
                                const int64_t *until_s, const struct change_note *note,
                                struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    TRY(until_expect(store, schedule->id, &change, err));
    for (size_t i = 0; i < count; i++)
        TRY(run_add(store, schedule->id, &runs[i], &change, err));
    if (until_s != NULL)
        until_put(&change, schedule->id, *until_s);
    if (note != NULL)
        return catalog_commit_noted(store, &change, note, CATALOG_USE_RESERVE, err);
    return catalog_commit(store, &change, CATALOG_USE_RESERVE, err);
}

/* ---- triggers ---- */

#define FREE_SECOND_TRIES 10000

static enum err_code fired_read(struct store *store, uint64_t schedule, struct bytes *value,
                                uint64_t *ret_number, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    bool found;
    id_key('w', schedule, &key);
    TRY(catalog_find(store, NULL, FAMILY_SCHEDULE, bytes_span(&key), value, &found, err));
    if (found && value->len != 8)
        return err_set(err, ERR_CORRUPT, "the record of a schedule's last snapshot is damaged");
    if (!found)
        bytes_clear(value);
    *ret_number = found ? load_u64(value->data) : 0;
    return ERR_OK;
}

enum err_code schedule_fired_get(struct store *store, const struct schedule *schedule,
                                 uint64_t *ret_number, struct err *err)
{
    BYTES_CLEANUP struct bytes value = {0};
    return fired_read(store, schedule->id, &value, ret_number, err);
}

/* The first second from run->planned_s on that has no run, in the store or among `others`. */
static enum err_code second_find(struct store *store, uint64_t schedule,
                                 const struct schedule_run *others, size_t count,
                                 struct schedule_run *run, struct err *err)
{
    bool taken = true;
    for (int i = 0; i < FREE_SECOND_TRIES; i++, run->planned_s++) {
        ARENA_CLEANUP struct arena arena;
        struct schedule_run other;
        arena_init(&arena, CATALOG_ARENA_BYTES);
        TRY(schedule_run_find(store, schedule, run->planned_s, &arena, &other, &taken, err));
        for (size_t k = 0; k < count; k++)
            taken = taken || others[k].planned_s == run->planned_s;
        if (!taken)
            return ERR_OK;
    }
    return err_set(err, ERR_LIMIT, "the schedule has a run in each second for hours");
}

enum err_code schedule_runs_fire(struct store *store, const struct schedule *schedule,
                                 struct schedule_run *runs, size_t count, uint64_t from,
                                 uint64_t to, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0}, old = {0}, value = {0};
    uint64_t known;
    TRY(fired_read(store, schedule->id, &old, &known, err));
    if (known != from)
        return err_set(err, ERR_CONFLICT, "another answer was taken meanwhile");
    TRY(until_expect(store, schedule->id, &change, err));
    for (size_t i = 0; i < count; i++) {
        TRY(second_find(store, schedule->id, runs, i, &runs[i], err));
        TRY(run_add(store, schedule->id, &runs[i], &change, err));
        run_key(true, schedule->id, runs[i].planned_s, &key);
        catalog_expect_absent(&change, FAMILY_SCHEDULE, bytes_span(&key));
        run_key(false, schedule->id, runs[i].planned_s, &key);
        catalog_expect_absent(&change, FAMILY_SCHEDULE, bytes_span(&key)); /* or run_add left it */
    }
    id_key('w', schedule->id, &key);
    if (old.len > 0)
        catalog_expect(&change, FAMILY_SCHEDULE, bytes_span(&key), bytes_span(&old));
    else
        catalog_expect_absent(&change, FAMILY_SCHEDULE, bytes_span(&key));
    bytes_append_u64(&value, to);
    catalog_put(&change, FAMILY_SCHEDULE, bytes_span(&key), bytes_span(&value));
    return catalog_commit(store, &change, CATALOG_USE_RESERVE, err);
}

/* ---- runs ---- */

enum err_code schedule_run_put(struct store *store, uint64_t schedule,
                               const struct schedule_run *old, const struct schedule_run *run,
                               struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes pending = {0}, ended = {0}, value = {0}, before = {0};
    run_key(false, schedule, run->planned_s, &pending);
    run_key(true, schedule, run->planned_s, &ended);
    schedule_run_encode(old, &before);
    schedule_run_encode(run, &value);
    catalog_expect(&change, FAMILY_SCHEDULE, bytes_span(&pending), bytes_span(&before));
    if (run_state_ended(run->state)) {
        catalog_delete(&change, FAMILY_SCHEDULE, bytes_span(&pending));
        catalog_put(&change, FAMILY_SCHEDULE, bytes_span(&ended), bytes_span(&value));
    } else {
        catalog_put(&change, FAMILY_SCHEDULE, bytes_span(&pending), bytes_span(&value));
    }
    return catalog_commit(store, &change, CATALOG_USE_RESERVE, err);
}

enum err_code schedule_run_find(struct store *store, uint64_t schedule, int64_t planned_s,
                                struct arena *arena, struct schedule_run *ret_run, bool *ret_found,
                                struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct span record;
    *ret_found = false;
    for (int ended = 0; ended < 2 && !*ret_found; ended++) {
        run_key(ended != 0, schedule, planned_s, &key);
        TRY(catalog_record_find(store, NULL, FAMILY_SCHEDULE, bytes_span(&key), arena, &record,
                                ret_found, err));
    }
    return *ret_found ? schedule_run_decode(record, ret_run, err) : ERR_OK;
}

struct run_walk {
    on_schedule_run *callback;
    void *context;
};

static enum err_code run_take(void *context, uint64_t schedule, struct span value, struct err *err)
{
    const struct run_walk *walk = context;
    struct schedule_run run;
    TRY(schedule_run_decode(value, &run, err));
    return walk->callback(walk->context, schedule, &run, err);
}

enum err_code schedule_run_each(struct store *store, uint64_t schedule, bool ended,
                                on_schedule_run *callback, void *context, struct err *err)
{
    struct run_walk walk = {callback, context};
    return scan_each(store, ended ? 'h' : 'q', schedule, run_take, &walk, err);
}

/* ---- what goes ---- */

struct ids_walk {
    enum err_code (*callback)(void *context, uint64_t schedule, struct err *err);
    void *context;
};

static enum err_code id_take(void *context, uint64_t schedule, struct span value, struct err *err)
{
    const struct ids_walk *walk = context;
    (void)value;
    return walk->callback(walk->context, schedule, err);
}

enum err_code schedule_ids_each(struct store *store,
                                enum err_code (*callback)(void *context, uint64_t schedule,
                                                          struct err *err),
                                void *context, struct err *err)
{
    struct ids_walk walk = {callback, context};
    return scan_each(store, 't', 0, id_take, &walk, err); /* the last of a schedule that goes */
}

struct sweep {
    struct catalog_change change;
    uint64_t before_ms;
    size_t beyond; /* of the oldest, whatever their age */
    bool gone;
    size_t seen, count;
};

static enum err_code history_count(void *context, uint64_t schedule, const struct schedule_run *run,
                                   struct err *err)
{
    size_t *count = context;
    (void)schedule;
    (void)run;
    (void)err;
    ++*count;
    return ERR_OK;
}

static enum err_code history_sweep(void *context, uint64_t schedule, const struct schedule_run *run,
                                   struct err *err)
{
    struct sweep *sweep = context;
    BYTES_CLEANUP struct bytes key = {0};
    (void)err;
    bool goes = sweep->gone || sweep->seen < sweep->beyond || run->ended_ms < sweep->before_ms;
    sweep->seen++;
    if (!goes || sweep->count == SWEEP_STEP)
        return ERR_OK;
    run_key(run_state_ended(run->state), schedule, run->planned_s, &key);
    catalog_delete(&sweep->change, FAMILY_SCHEDULE, bytes_span(&key));
    sweep->count++;
    return ERR_OK;
}

enum err_code schedule_sweep(struct store *store, uint64_t schedule, uint64_t before_ms, bool gone,
                             bool *ret_more, struct err *err)
{
    struct sweep sweep = {.before_ms = before_ms, .gone = gone};
    size_t count = 0;
    *ret_more = false;
    TRY(schedule_run_each(store, schedule, true, history_count, &count, err));
    sweep.beyond = count > LIMIT_SCHEDULE_RUNS ? count - LIMIT_SCHEDULE_RUNS : 0;
    enum err_code code = schedule_run_each(store, schedule, true, history_sweep, &sweep, err);
    if (code == ERR_OK && gone)
        code = schedule_run_each(store, schedule, false, history_sweep, &sweep, err);
    *ret_more = sweep.count == SWEEP_STEP;
    if (code == ERR_OK && gone && !*ret_more) {
        BYTES_CLEANUP struct bytes key = {0};
        id_key('w', schedule, &key);
        catalog_delete(&sweep.change, FAMILY_SCHEDULE, bytes_span(&key));
        id_key('t', schedule, &key);
        catalog_delete(&sweep.change, FAMILY_SCHEDULE, bytes_span(&key));
    }
    if (code == ERR_OK && sweep.change.steps.len > 0)
        code = catalog_commit(store, &sweep.change, CATALOG_USE_RESERVE, err);
    catalog_change_deinit(&sweep.change);
    return code;
}
