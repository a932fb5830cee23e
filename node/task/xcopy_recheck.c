#include "node/task/xcopy_recheck.h"

#include "node/task/repair_grant.h"
#include "node/task/xcopy_audit.h"

#define RECHECK_ARENA_BYTES MIB(16)
#define RECHECK_PAUSE_MS    1000 /* when no worker takes it */

/* ---- one lease ---- */

enum err_code lease_rights(const struct xcopy_rights *rights, const struct lease_subject *subject,
                           const struct identity_key *peer, struct arena *arena,
                           struct snapshot_record *ret_snapshot, struct err *err)
{
    if (subject->receipt.len > 0) {
        struct repair_origin repair;
        TRY(repair_rights(rights, subject->receipt, peer, arena, &repair, err));
        if (ret_snapshot != NULL)
            *ret_snapshot = repair.snapshot;
        return ERR_OK;
    }
    struct xcopy_origin origin;
    const struct xcopy_ask ask = {
        .token = subject->token, .snapshot = subject->snapshot, .peer = *peer};
    TRY(xcopy_rights_source(rights, &ask, arena, &origin, err));
    if (ret_snapshot != NULL && snapshot_find(rights->store, NULL, origin.project, origin.snapshot,
                                              arena, ret_snapshot, NULL) != ERR_OK)
        return err_set(err, ERR_CONFLICT, "the snapshot was replaced meanwhile");
    return ERR_OK;
}

/* In the audit log, as a refusal that the peer asked for; it will hear of it when it asks. */
static void refusal_tell(const struct recheck *recheck, const struct lease_subject *subject,
                         const struct identity_key *peer, struct arena *arena,
                         const struct err *why)
{
    const struct recheck_options *options = &recheck->options;
    const struct peer *node =
        options->rights->peers == NULL ? NULL : peers_find_signer(options->rights->peers, peer);
    struct session session = {.identity = *peer};
    snprintf(session.name, sizeof(session.name), "%s", node == NULL ? "" : node->region);
    const struct xcopy_asker asker = {.rights = options->rights,
                                      .session = &session,
                                      .task = subject->task,
                                      .snapshot = subject->snapshot};
    struct xcopy_entry entry;
    if (subject->receipt.len > 0)
        xcopy_entry_peer(&asker, "XCOPY REPAIR", NULL, &entry);
    else
        xcopy_entry_token(&asker, "XCOPY DESCRIBE", subject->token, arena, &entry);
    xcopy_entry_refuse(&entry, why);
    auditor_refused(options->auditor, span_text(session.name), &entry.record, loop_now_ms());
}

/* Has its right gone? What could not be looked up now is asked at the next request. */
static bool lease_has_ended(const struct recheck *recheck, struct span subject_bytes,
                            const struct identity_key *peer, struct arena *arena)
{
    struct lease_subject subject;
    struct err reason;
    if (lease_subject_decode(subject_bytes, &subject, NULL) != ERR_OK)
        return true;
    const struct xcopy_rights *rights = recheck->options.rights;
    enum err_code code =
        rights->peers != NULL && peers_find_signer(rights->peers, peer) == NULL
            ? err_set(&reason, ERR_DENIED, "its region is not configured as a peer any more")
            : lease_rights(rights, &subject, peer, arena, NULL, &reason);
    if (code == ERR_OK || (err_class(code) != CLASS_DENIED && code != ERR_NOT_FOUND))
        return false;
    refusal_tell(recheck, &subject, peer, arena, &reason);
    return true;
}

/* ---- all of them ---- */

static void on_judged(void *argument);

static void judge_on_worker(void *argument)
{
    struct recheck *recheck = argument;
    struct reader reader = reader_of(bytes_span(&recheck->leases));
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, RECHECK_ARENA_BYTES);
    while (reader.left.len > 0) {
        struct lease_id id;
        struct identity_key peer;
        uint32_t bytes = reader_u32(&reader);
        reader_copy(&reader, id.digest.b, DIGEST_BYTES);
        reader_copy(&reader, peer.b, sizeof(peer.b));
        arena_reset(&arena);
        if (lease_has_ended(recheck, reader_span(&reader, bytes), &peer, &arena))
            bytes_append_span(&recheck->refused, digest_span(&id.digest));
    }
    loop_post(recheck->options.loop, on_judged, recheck);
}

static void leases_gather(struct recheck *recheck)
{
    const struct lease_table *table = recheck->options.table;
    bytes_clear(&recheck->leases);
    bytes_clear(&recheck->refused);
    for (size_t i = 0; i < table->count; i++) {
        const struct lease *lease = &table->leases[i];
        if (lease->state != LEASE_ALIVE)
            continue;
        bytes_append_u32(&recheck->leases, (uint32_t)lease->subject.len);
        bytes_append_span(&recheck->leases, digest_span(&lease->id.digest));
        bytes_append(&recheck->leases, lease->peer.b, sizeof(lease->peer.b));
        bytes_append_span(&recheck->leases, bytes_span(&lease->subject));
    }
}

static void on_wanted(void *argument)
{
    struct recheck *recheck = argument;
    struct err reason;
    if (recheck->running || !atomic_exchange(&recheck->wanted, false))
        return;
    recheck->begun++;
    leases_gather(recheck);
    if (recheck->leases.len == 0)
        return;
    recheck->running = true;
    if (workers_post(recheck->options.workers, judge_on_worker, recheck, &reason) == ERR_OK)
        return;
    recheck->running = false;
    atomic_store(&recheck->wanted, true);
    loop_timer_start(recheck->options.loop, &recheck->timer, RECHECK_PAUSE_MS);
}

static void on_judged(void *argument)
{
    struct recheck *recheck = argument;
    struct reader reader = reader_of(bytes_span(&recheck->refused));
    while (reader.left.len > 0) {
        struct lease_id id;
        reader_copy(&reader, id.digest.b, DIGEST_BYTES);
        recheck->options.on_refused(recheck->options.context, &id);
    }
    recheck->running = false;
    on_wanted(recheck);
}

void recheck_request(struct recheck *recheck)
{
    if (!atomic_exchange(&recheck->wanted, true))
        loop_post(recheck->options.loop, on_wanted, recheck);
}

uint64_t recheck_begun(const struct recheck *recheck)
{
    return recheck->begun;
}

/* ---- life ---- */

void recheck_init(struct recheck *recheck, const struct recheck_options *options)
{
    *recheck = (struct recheck){.options = *options};
    recheck->timer.run = on_wanted;
    recheck->timer.argument = recheck;
}

void recheck_deinit(struct recheck *recheck)
{
    bytes_deinit(&recheck->leases);
    bytes_deinit(&recheck->refused);
}
