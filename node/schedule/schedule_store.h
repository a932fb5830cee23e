/* Where schedules and their runs are kept: family `schedule`. Rights are not asked here.
 *
 *     's' project u64 | folded name   -> schedule (schedule.h)
 *     't' schedule u64                -> i64: planned times up to here are decided
 *     'q' schedule u64 | planned i64  -> a run that has not ended
 *     'h' schedule u64 | planned i64  -> one that has
 *     'w' schedule u64                -> u64: number at the source of the last snapshot that began one
 *
 * A planned time has at most one run in each of q and h, and one that ends moves in one commit.
 * Records borrow from the arena. Threads: any; each change is one catalog_commit.
 */
#ifndef NODE_SCHEDULE_SCHEDULE_STORE_H
#define NODE_SCHEDULE_SCHEDULE_STORE_H

#include "node/schedule/schedule.h"
#include "store/project.h"

/* ---- schedules ---- */

/* id is given here. ERR_EXISTS; ERR_LIMIT: of the project, or the record is too large. */
enum err_code schedule_create(struct store *store, struct project_id project,
                              const struct schedule *spec, const struct change_note *note,
                              struct err *err) MUST_USE;
/* ERR_NOT_FOUND. */
enum err_code schedule_find(struct store *store, struct project_id project, struct span name,
                            struct arena *arena, struct schedule *ret_schedule,
                            struct err *err) MUST_USE;
/* Of the one that was found: ERR_CONFLICT when its name is another's by now, ERR_NOT_FOUND when nobody's.
 * Its planned times up to until_s are decided from now on; resuming does not make up for a pause. */
enum err_code schedule_pause_set(struct store *store, struct project_id project,
                                 const struct schedule *found, bool paused, int64_t until_s,
                                 const struct change_note *note, struct err *err) MUST_USE;
/* Its runs go with schedule_sweep. Errors as of schedule_pause_set. */
enum err_code schedule_drop(struct store *store, struct project_id project,
                            const struct schedule *found, const struct change_note *note,
                            struct err *err) MUST_USE;
/* In order of projects and folded names. project 0: of all. Those whose record cannot be read are left out
 * and counted. */
typedef enum err_code on_schedule(void *context, struct project_id project,
                                  const struct schedule *schedule, struct err *err);
enum err_code schedule_each(struct store *store, struct project_id project, on_schedule *callback,
                            void *context, size_t *ret_damaged, struct err *err) MUST_USE;

/* ---- what is decided ---- */

/* created_s where nothing was decided yet. */
enum err_code schedule_until_get(struct store *store, const struct schedule *schedule,
                                 int64_t *ret_until_s, struct err *err) MUST_USE;
/* Adds the runs (QUEUED, or SKIPPED into the history) and moves `until` on, in one commit. Runs whose
 * planned time has one already are left alone. ERR_CONFLICT: it was dropped, or something else was decided
 * meanwhile. */
enum err_code schedule_runs_add(struct store *store, const struct schedule *schedule,
                                const struct schedule_run *runs, size_t count,
                                const int64_t *until_s, const struct change_note *note,
                                struct err *err) MUST_USE;

/* ---- triggers ---- */

/* 0: none yet. */
enum err_code schedule_fired_get(struct store *store, const struct schedule *schedule,
                                 uint64_t *ret_number, struct err *err) MUST_USE;
/* Adds runs of RUN_OF_SNAPSHOT and moves that number on, in one commit. A planned time that has a run
 * becomes the next second without one. ERR_CONFLICT: the number is not `from` any more, or another run was
 * added meanwhile; nothing was then. ERR_LIMIT: too many pending ones. */
enum err_code schedule_runs_fire(struct store *store, const struct schedule *schedule,
                                 struct schedule_run *runs, size_t count, uint64_t from,
                                 uint64_t to, struct err *err) MUST_USE;

/* ---- runs ---- */

/* Instead of `old`, which is under way: still so, or moved to the history when it has ended. ERR_CONFLICT:
 * it is not there any more (its schedule was dropped), or is another. */
enum err_code schedule_run_put(struct store *store, uint64_t schedule,
                               const struct schedule_run *old, const struct schedule_run *run,
                               struct err *err) MUST_USE;
/* Under way, else in the history. */
enum err_code schedule_run_find(struct store *store, uint64_t schedule, int64_t planned_s,
                                struct arena *arena, struct schedule_run *ret_run, bool *ret_found,
                                struct err *err) MUST_USE;
/* Of one schedule (0: of all): pending ones, or those of the history; by planned time. */
typedef enum err_code on_schedule_run(void *context, uint64_t schedule,
                                      const struct schedule_run *run, struct err *err);
enum err_code schedule_run_each(struct store *store, uint64_t schedule, bool ended,
                                on_schedule_run *callback, void *context, struct err *err) MUST_USE;

/* ---- what goes ---- */

/* Every schedule's id that has anything here, also of those that were dropped. */
enum err_code schedule_ids_each(struct store *store,
                                enum err_code (*callback)(void *context, uint64_t schedule,
                                                          struct err *err),
                                void *context, struct err *err) MUST_USE;

/* Of one schedule's history: what ended before before_ms, and the oldest beyond LIMIT_SCHEDULE_RUNS.
 * gone: all that is under its id. Some at a time. */
enum err_code schedule_sweep(struct store *store, uint64_t schedule, uint64_t before_ms, bool gone,
                             bool *ret_more, struct err *err) MUST_USE;

#endif
