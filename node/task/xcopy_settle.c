/* The destination's meter of a task (meter.h): replies are counted on the loop, written with the task's
 * own commits, told to the source with each renewal and at the end. What the source has sent beyond
 * what came is taken over: of a request whose answer was lost, or of before a crash. */
#include "node/task/xcopy_pull.h"

/* What may have been on its way when the process ended: a pack and a window. */
#define RESTART_LOST_BYTES (64 * MIB(1) + WINDOW_BYTES_MAX)
#define REQUEST_LOST_BYTES KIB(64) /* beside the reply's room */

static bool is_counted(const struct job *job)
{
    return !job->pull->repair.is_one &&
           (job->answers == TASK_ON_DESCRIBED || job->answers == TASK_ON_RENEWED ||
            job->answers == TASK_ON_GOT);
}

void settle_count(struct pull *pull, const struct job *job)
{
    struct meter_counts *counts = &pull->meter;
    if (job->answers == TASK_ON_GOT)
        pull->meter_asked -= job->meter_asked;
    bool refused = job->answers == TASK_ON_DESCRIBED && job->err.code != ERR_OK; /* no lease */
    if (!is_counted(job) || refused || pull->meter_settled)
        return;
    counts->wire_bytes += job->wire_bytes;
    if (job->answers == TASK_ON_GOT && job->item_count > 0)
        *(job->items[0].kind == WALK_PAGE ? &counts->page_bytes : &counts->file_bytes) +=
            job->reply_bytes;
    if (job->err.code != ERR_OK)
        pull->meter_lost += job->reply_capacity + REQUEST_LOST_BYTES;
}

void settle_asked(struct pull *pull, struct job *job)
{
    job->meter_asked = job->reply_capacity + REQUEST_LOST_BYTES;
    pull->meter_asked += job->meter_asked;
}

/* What is on its way counts as the source says, and what has arrived as it is told: more may be kept of a
 * task that ends without success. */
void settle_end(struct pull *pull)
{
    if (!pull->meter_settled) {
        pull->meter_lost += pull->meter_asked;
        pull->meter.kept_bytes = pull->machine.counters.bytes_moved;
    }
    pull->meter_settled = true;
}

static struct meter_record record_make(const struct pull *pull, enum task_state state,
                                       const struct meter_counts *counts, uint64_t lost_bytes)
{
    return (struct meter_record){.role = METER_IN,
                                 .lease = lease_id_of(&pull->rights.node, &pull->record.id),
                                 .day = meter_day(pull->record.created_ms),
                                 .state = state,
                                 .project = pull->project,
                                 .project_name = pull->token.destination.project,
                                 .region = pull->token.source.region,
                                 .updated_ms = xcopy_now_ms(),
                                 .lost_bytes = lost_bytes,
                                 .counts = *counts};
}

static struct meter_counts counts_as(const struct job *job, enum task_state state)
{
    struct meter_counts counts = job->meter;
    if (state == TASK_DONE)
        counts.kept_bytes = job->counters.bytes_moved;
    counts.saved_bytes = state == TASK_DONE ? job->counters.bytes_skipped : 0;
    return counts;
}

bool settle_is_new(const struct job *job)
{
    BYTES_CLEANUP struct bytes memory = {0};
    const struct lease_id lease = lease_id_of(&job->pull->rights.node, &job->pull->record.id);
    const struct meter_counts counts = counts_as(job, job->outcome);
    struct meter_record record;
    bool found;
    if (meter_find(job->pull->options->store, METER_IN, &lease, &memory, &record, &found, NULL) !=
        ERR_OK)
        return true;
    return counts.wire_bytes > 0 &&
           (!found || memcmp(&record.counts, &counts, sizeof(counts)) != 0);
}

void settle_put(const struct job *job, enum task_state state, struct catalog_change *change)
{
    const struct meter_counts counts = counts_as(job, state);
    const struct meter_record record = record_make(job->pull, state, &counts, job->meter_lost);
    if (counts.wire_bytes > 0 && !job->pull->repair.is_one)
        meter_put(change, &record);
}

enum err_code settle_load(struct pull *pull, struct err *err)
{
    BYTES_CLEANUP struct bytes memory = {0};
    const struct lease_id lease = lease_id_of(&pull->rights.node, &pull->record.id);
    struct meter_record record;
    bool found;
    TRY(meter_find(pull->options->store, METER_IN, &lease, &memory, &record, &found, err));
    if (found) {
        pull->meter = record.counts;
        pull->meter_lost = record.lost_bytes;
        pull->project = record.project;
    }
    pull->meter_lost += RESTART_LOST_BYTES;
    return ERR_OK;
}

/* kept_bytes only at the end (settle_end): what is counted on the way may be of files that come once more. */
void settle_encode(const struct pull *pull, struct bytes *out)
{
    const struct task *machine = &pull->machine;
    bool done = machine->phase == TASK_PHASE_RECEIPT;
    bool ends = machine->phase == TASK_PHASE_FINISH;
    struct meter_counts counts = pull->meter;
    counts.saved_bytes = done ? machine->counters.bytes_skipped : 0;
    enum task_state state = done ? TASK_DONE : ends ? machine->outcome : TASK_RUNNING;
    const struct meter_record record = record_make(pull, state, &counts, 0);
    const struct peer_settle settle = meter_told(&record);
    peer_settle_encode(&settle, out);
}

bool settle_take(struct pull *pull, struct job *job)
{
    struct peer_settle settle;
    struct meter_counts told, before = pull->meter;
    if (job->err.code != ERR_OK ||
        peer_settle_decode(bytes_span(&job->reply_header), &job->arena, &settle, NULL) != ERR_OK)
        return false; /* an older source, or it is gone: what was counted here counts */
    meter_counts_of(&settle, &told);
    meter_counts_believe(&pull->meter, &told, &pull->meter_lost);
    if (settle.newest_ms > 0) {
        pull->newest_ms = settle.newest_ms;
        pull->newest_told_ms = xcopy_now_ms();
    }
    return settle.newest_ms > 0 || memcmp(&before, &pull->meter, sizeof(before)) != 0;
}

/* Of the table that the snapshot is of, as its maker says, if the maker is the source. */
void settle_put_newest(struct job *job, struct catalog_change *change)
{
    const struct pull *pull = job->pull;
    struct snapshot_claim claim;
    if (job->newest_ms == 0 || snapshot_claim_decode(bytes_span(&job->described.claim), &job->arena,
                                                     &claim, NULL) != ERR_OK)
        return;
    const struct meter_newest newest = {.account = pull->account,
                                        .table = claim.base_table,
                                        .region = pull->token.source.region,
                                        .made_ms = job->newest_ms,
                                        .told_ms = job->newest_told_ms};
    if (span_equal(claim.region, newest.region))
        meter_newest_put(change, &newest);
}

static enum err_code write_late(struct job *job, struct err *err)
{
    BYTES_CLEANUP struct bytes memory = {0};
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    const struct lease_id lease = lease_id_of(&job->pull->rights.node, &job->pull->record.id);
    struct store *store = job->pull->options->store;
    struct meter_record record;
    bool found;
    TRY(meter_find(store, METER_IN, &lease, &memory, &record, &found, err));
    if (!found)
        return ERR_OK;
    meter_counts_raise(&record.counts, &job->meter);
    meter_put(&change, &record);
    settle_put_newest(job, &change);
    return catalog_commit(store, &change, CATALOG_USE_RESERVE, err);
}

void job_meter(struct job *job)
{
    job_end(job, write_late(job, &job->err));
}
