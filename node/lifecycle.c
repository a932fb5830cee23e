#include "node/lifecycle.h"

#include "node/log.h"
#include "node/turn.h"
#include "store/catalog_commit.h"
#include "store/crash.h"
#include "store/lifecycle.h"

#define CONFLICT_TRIES 8

static const char due_key[] = "lifecycle";

/* ---- when ---- */

/* A time beyond a whole round from now was written by a clock that was ahead. */
static enum err_code round_is_due(struct store *store, uint64_t now_ms, bool *ret_due,
                                  struct err *err)
{
    BYTES_CLEANUP struct bytes raw = {0};
    bool found = false;
    TRY(catalog_find(store, NULL, FAMILY_META, span_text(due_key), &raw, &found, err));
    if (found && raw.len != 8)
        return err_set(err, ERR_CORRUPT, "record of the last round of lifecycles: %zu bytes",
                       raw.len);
    uint64_t due_ms = found ? load_u64(raw.data) : 0;
    *ret_due = now_ms >= due_ms || due_ms - now_ms > LIFECYCLE_ROUND_MS;
    return ERR_OK;
}

static enum err_code round_record(struct store *store, uint64_t due_ms, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t raw[8];
    store_u64(raw, due_ms);
    catalog_put(&change, FAMILY_META, span_text(due_key), span_of(raw, sizeof(raw)));
    return catalog_commit(store, &change, CATALOG_USE_RESERVE, err);
}

/* ---- a round ---- */

struct lifecycle_round {
    struct store *store;
    uint64_t now_ms;
    bool has_failed; /* a table, which was logged */
};

static void done_log(const struct lifecycle_done *done)
{
    if (done->is_dropped)
        log_event(LOG_INFO, "a table was dropped: its lifecycle is over",
                  LOG_TEXT("table", done->table));
    else if (done->partitions > 0)
        log_event(LOG_INFO, "partitions were dropped: their lifecycle is over",
                  LOG_TEXT("table", done->table), LOG_NUMBER("partitions", done->partitions));
}

static enum err_code on_table(void *context, struct table_id id, struct err *err)
{
    (void)err;
    struct lifecycle_round *round = context;
    struct lifecycle_done done;
    struct err reason;
    enum err_code code = ERR_CONFLICT;
    TABLE_TURN_CLEANUP struct table_id turn = id;
    table_turn_take(turn);
    for (int i = 0; i < CONFLICT_TRIES && code == ERR_CONFLICT; i++)
        code = lifecycle_act(round->store, id, round->now_ms, &done, &reason);
    if (code != ERR_OK) {
        round->has_failed = true;
        log_error("a table's lifecycle could not be acted on", &reason);
        return ERR_OK;
    }
    done_log(&done);
    if (done.is_dropped || done.partitions > 0)
        CRASH_POINT(CRASH_LIFECYCLE_STEP);
    return ERR_OK;
}

enum err_code lifecycle_run(struct store *store, uint64_t now_ms, struct err *err)
{
    struct lifecycle_round round = {.store = store, .now_ms = now_ms};
    bool due = false;
    TRY(round_is_due(store, now_ms, &due, err));
    if (!due)
        return ERR_OK;
    struct err reason;
    if (lifecycle_each(store, on_table, &round, &reason) != ERR_OK) {
        round.has_failed = true;
        log_error("a table's lifecycle could not be read", &reason);
    }
    CRASH_POINT(CRASH_LIFECYCLE_DONE);
    return round_record(store,
                        now_ms + (round.has_failed ? LIFECYCLE_AGAIN_MS : LIFECYCLE_ROUND_MS), err);
}
