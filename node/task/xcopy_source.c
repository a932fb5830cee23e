#include "node/task/xcopy_source.h"

#include <pthread.h>
#include <stdatomic.h>

#include "node/task/meters.h"
#include "node/task/xcopy_channel.h"
#include "node/task/repair_grant.h"
#include "node/task/token_use.h"
#include "node/task/xcopy_audit.h"
#include "node/log.h"
#include "node/task/xcopy_recheck.h"
#include "node/task/xcopy_serve.h"
#include "proto/version.h"
#include "store/crash.h"
#include "store/pages.h"
#include "store/roots.h"

#define SERVING_ARENA_BYTES (48 * MIB(1))

struct source {
    struct source_options options;
    struct xcopy_rights rights;
    struct lease_table table; /* the loop's */
    struct lease_actions actions;
    struct loop_timer timer;
    struct recheck recheck;
    uint64_t serving_last;
    struct serving *servings; /* the loop's: those that wait for a lease step or a grant */
    struct meters *meters;
    atomic_size_t alive;
    _Atomic uint64_t file_bytes; /* of replies */
};

/* One request from its arrival to its reply. */
struct serving {
    struct source *source;
    struct request *request; /* NULL: replied */
    struct serving *next;    /* in source->servings */
    uint64_t number;
    uint64_t rechecks; /* begun before its grant */
    enum peer_method method;
    struct identity_key peer;
    struct arena arena;
    struct err err;
    struct lease_id lease;
    struct peer_lease header;
    struct peer_item *items;
    size_t item_count;
    struct peer_describe describe;
    struct peer_settle settle;
    struct bytes subject; /* describe: built here; else a copy of the lease's */
    struct bytes version; /* describe: the record's bytes */
    struct digest arguments;
    bool absent;          /* describe: allowed, but there is no such snapshot (any more) */
    struct token_use use; /* of its token; borrows from the arena */
};

static void serving_free(struct serving *serving)
{
    arena_deinit(&serving->arena);
    bytes_deinit(&serving->subject);
    bytes_deinit(&serving->version);
    mem_free(serving);
}

static void serving_reply_error(struct serving *serving, const struct err *err)
{
    struct err told = *err;
    if (told.code == ERR_OK)
        err_set(&told, ERR_INTERNAL, "no answer");
    request_reply_error(serving->request, &told);
    serving_free(serving);
}

/* ---- hops between threads ---- */

static void serving_on_loop(struct serving *serving, loop_function next)
{
    if (!loop_post(serving->source->options.loop, next, serving)) {
        struct err err;
        err_set(&err, ERR_BUSY, "the node stops");
        serving_reply_error(serving, &err);
    }
}

static void serving_on_worker(struct serving *serving, workers_function next)
{
    struct err err;
    if (workers_post(serving->source->options.workers, next, serving, &err) != ERR_OK)
        serving_reply_error(serving, &err);
}

/* ---- records ---- */

#define LEASE_KEY_BYTES (1 + DIGEST_BYTES)

static struct span lease_key(const struct lease_id *id, uint8_t key[LEASE_KEY_BYTES])
{
    key[0] = 'l';
    memcpy(key + 1, id->digest.b, DIGEST_BYTES);
    return span_of(key, LEASE_KEY_BYTES);
}

/* leases family: 'l' lease id -> peer 32 | arguments 32 | subject. Uses of tokens: token_use.h. */
static void lease_record_put(struct catalog_change *change, const struct serving *serving)
{
    BYTES_CLEANUP struct bytes record = {0};
    uint8_t key[LEASE_KEY_BYTES];
    bytes_append(&record, serving->peer.b, sizeof(serving->peer.b));
    bytes_append_span(&record, digest_span(&serving->arguments));
    bytes_append_span(&record, bytes_span(&serving->subject));
    catalog_put(change, FAMILY_LEASES, lease_key(&serving->lease, key), bytes_span(&record));
}

static struct root_name lease_root(const struct lease_id *id)
{
    return (struct root_name){.purpose = 'l', .id = digest_span(&id->digest)};
}

/* A lease that went: its record and its roots. A record that stays when the node ends is dropped
 * when the lease of the next start expires. */
struct drop {
    struct source *source;
    struct lease_id id;
    struct err err;
};

static void on_dropped(void *argument);

static void drop_answer(struct drop *drop)
{
    if (!loop_post(drop->source->options.loop, on_dropped, drop))
        mem_free(drop);
}

static void drop_on_worker(void *argument)
{
    struct drop *drop = argument;
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t key[LEASE_KEY_BYTES];
    catalog_delete(&change, FAMILY_LEASES, lease_key(&drop->id, key));
    root_delete(&change, lease_root(&drop->id));
    meters_put(drop->source->meters, &drop->id, TASK_FAILED, &change);
    if (catalog_commit(drop->source->options.store, &change, CATALOG_USE_RESERVE, &drop->err) ==
        ERR_OK)
        drop->err = (struct err){0};
    CRASH_POINT(CRASH_LEASE_ENDED);
    drop_answer(drop);
}

static void drop_post(struct source *source, const struct lease_id *id)
{
    struct drop *drop = mem_calloc(1, sizeof(*drop));
    *drop = (struct drop){.source = source, .id = *id};
    if (workers_post(source->options.workers, drop_on_worker, drop, &drop->err) != ERR_OK)
        drop_answer(drop);
}

/* ---- the audit log ---- */

static struct xcopy_asker asker_of(const struct serving *serving)
{
    return (struct xcopy_asker){.rights = &serving->source->rights,
                                .session = request_session(serving->request),
                                .task = serving->describe.task};
}

/* What is asked for under a lease or for one, with its token or receipt. */
static void entry_of(struct serving *serving, const struct lease_subject *subject,
                     struct xcopy_entry *ret_entry)
{
    struct xcopy_asker asker = asker_of(serving);
    asker.task = subject->task;
    asker.snapshot = subject->snapshot;
    if (subject->receipt.len > 0)
        xcopy_entry_peer(&asker, "XCOPY REPAIR", NULL, ret_entry);
    else
        xcopy_entry_token(&asker, lease_subject_looks(subject) ? "EXPLAIN XCOPY" : "XCOPY DESCRIBE",
                          subject->token, &serving->arena, ret_entry);
}

/* By peers: how long an answer takes must not tell whether the principal is known. */
static void entry_refuse(struct serving *serving, struct xcopy_entry *entry)
{
    xcopy_entry_refuse(entry, &serving->err);
    auditor_refused(serving->source->options.auditor,
                    span_text(request_session(serving->request)->name), &entry->record,
                    loop_now_ms());
}

/* Of an answer about rights, and of "no such snapshot, or no right to it". */
static bool is_refusal(const struct err *err)
{
    return err_class(err->code) == CLASS_DENIED || err->code == ERR_NOT_FOUND;
}

static void describe_refused(struct serving *serving)
{
    if (!is_refusal(&serving->err))
        return;
    struct xcopy_entry entry;
    bool repair = serving->method == PEER_REPAIR;
    const struct lease_subject subject = {
        .task = serving->describe.task,
        .token = repair ? (struct span){0} : serving->describe.token,
        .receipt = repair ? serving->describe.token : (struct span){0},
        .snapshot = serving->describe.snapshot};
    entry_of(serving, &subject, &entry);
    entry_refuse(serving, &entry);
}

/* A right that was there when the lease was granted has gone. */
static void lease_refused(struct serving *serving)
{
    struct lease_subject subject;
    struct xcopy_entry entry;
    if (!is_refusal(&serving->err) ||
        lease_subject_decode(bytes_span(&serving->subject), &subject, NULL) != ERR_OK)
        return;
    entry_of(serving, &subject, &entry);
    entry_refuse(serving, &entry);
}

static void grant_entry(struct serving *serving, const struct lease_subject *subject,
                        const struct snapshot_record *snapshot, struct catalog_change *change)
{
    struct xcopy_entry entry;
    struct token token;
    entry_of(serving, subject, &entry);
    if (subject->receipt.len > 0) {
        struct project_record project = {.id = snapshot->project};
        (void)!project_get(serving->source->options.store, NULL, snapshot->project, &serving->arena,
                           &project, NULL);
        entry.record.object =
            (struct audit_place){snapshot->project, project.owner, project.name, snapshot->name};
        xcopy_entry_say(&entry, "leased for a repair");
    } else if (token_decode(subject->token, &token, NULL) == ERR_OK) {
        xcopy_entry_say(
            &entry, "leased, for %.*s.%.*s in %.*s", SPAN_PRINTF(token.destination.project),
            SPAN_PRINTF(token.destination.snapshot), SPAN_PRINTF(token.destination.region));
    }
    audit_put(change, &entry.record);
}

/* Count and head of the peer's log are kept where the peer cannot change them. */
static void receipt_entry(struct serving *serving, const struct lease_subject *subject,
                          const struct receipt *receipt, struct catalog_change *change)
{
    struct xcopy_entry entry;
    char head[DIGEST_HEX_BYTES];
    entry_of(serving, subject, &entry);
    entry.record.action = span_text("XCOPY RECEIPT");
    if (receipt->has_audit)
        xcopy_entry_say(&entry, "the audit log there has %" PRIu64 " entries, head %s",
                        receipt->audit_count, digest_hex(&receipt->audit_head, head));
    audit_put(change, &entry.record);
}

/* ---- describe ---- */

static enum err_code subject_build(struct serving *serving, const struct xcopy_origin *origin,
                                   struct err *err)
{
    struct store *store = serving->source->options.store;
    struct snapshot_record snapshot;
    struct version_record version;
    if (snapshot_find(store, NULL, origin->project, origin->snapshot, &serving->arena, &snapshot,
                      NULL) != ERR_OK) {
        serving->absent = true; /* a lease of before may still have it */
        return xcopy_unknown(&origin->token, origin->snapshot, err);
    }
    TRY(page_read(store, &snapshot.version.page, &serving->version, err));
    TRY(version_decode(bytes_span(&serving->version), &serving->arena, &version, err));
    TRY(serve_readable(request_session(serving->request), &version, err));
    struct lease_subject subject = {.task = serving->describe.task,
                                    .version = snapshot.version,
                                    .manifest_root = version.root,
                                    .maker = snapshot.maker,
                                    .claim = snapshot.claim,
                                    .token = serving->describe.token,
                                    .snapshot = serving->describe.snapshot};
    memcpy(subject.signature, snapshot.signature, sizeof(subject.signature));
    bytes_clear(&serving->subject);
    lease_subject_encode(&subject, &serving->subject);
    return ERR_OK;
}

static struct digest arguments_of(const struct serving *serving)
{
    struct digest_state state;
    digest_init(&state, DOMAIN_LEASE);
    digest_update_part(&state, span_of(serving->peer.b, sizeof(serving->peer.b)));
    digest_update_part(&state, serving->describe.token);
    if (serving->describe.snapshot.len > 0)
        digest_update_part(&state, serving->describe.snapshot);
    return digest_final(&state);
}

static enum err_code describe_prepare(struct serving *serving, struct err *err)
{
    struct xcopy_origin origin;
    TRY(peer_describe_decode(request_header(serving->request), &serving->arena, &serving->describe,
                             err));
    serving->lease = lease_id_of(&serving->peer, &serving->describe.task);
    serving->arguments = arguments_of(serving);
    const struct xcopy_ask ask = {.token = serving->describe.token,
                                  .snapshot = serving->describe.snapshot,
                                  .peer = serving->peer};
    TRY(xcopy_rights_source(&serving->source->rights, &ask, &serving->arena, &origin, err));
    serving->use = (struct token_use){.encoded = serving->describe.token,
                                      .token = origin.token,
                                      .signer = origin.signer,
                                      .task = serving->describe.task,
                                      .now_ms = xcopy_now_ms()};
    TRY(token_use_check(serving->source->options.store, &serving->use, NULL, err));
    return subject_build(serving, &origin, err);
}

/* What a snapshot's lease keeps under a receipt. */
static enum err_code repair_prepare(struct serving *serving, struct err *err)
{
    struct store *store = serving->source->options.store;
    struct repair_origin origin;
    struct version_record version;
    TRY(peer_describe_decode(request_header(serving->request), &serving->arena, &serving->describe,
                             err));
    serving->lease = lease_id_of(&serving->peer, &serving->describe.task);
    serving->arguments = arguments_of(serving);
    TRY(repair_rights(&serving->source->rights, serving->describe.token, &serving->peer,
                      &serving->arena, &origin, err));
    const struct snapshot_record *snapshot = &origin.snapshot;
    TRY(page_read(store, &snapshot->version.page, &serving->version, err));
    TRY(version_decode(bytes_span(&serving->version), &serving->arena, &version, err));
    TRY(serve_readable(request_session(serving->request), &version, err));
    struct lease_subject subject = {.task = serving->describe.task,
                                    .version = snapshot->version,
                                    .manifest_root = version.root,
                                    .maker = snapshot->maker,
                                    .claim = snapshot->claim,
                                    .receipt = serving->describe.token};
    memcpy(subject.signature, snapshot->signature, sizeof(subject.signature));
    bytes_clear(&serving->subject);
    lease_subject_encode(&subject, &serving->subject);
    return ERR_OK;
}

static void on_described(void *argument);

/* On a worker: rights, and what the lease would keep. */
static void describe_on_worker(void *argument)
{
    struct serving *serving = argument;
    enum err_code code = serving->method == PEER_REPAIR ? repair_prepare(serving, &serving->err)
                                                        : describe_prepare(serving, &serving->err);
    if (code == ERR_OK)
        serving->err = (struct err){0};
    else if (!serving->absent) /* that is not a refusal while a lease of before still has it */
        describe_refused(serving);
    serving_on_loop(serving, on_described);
}

/* By the token or the receipt of the lease, and the session's identity. */
static enum err_code subject_rights(struct serving *serving, const struct lease_subject *subject,
                                    struct snapshot_record *ret_snapshot, struct err *err)
{
    return lease_rights(&serving->source->rights, subject, &serving->peer, &serving->arena,
                        ret_snapshot, err);
}

/* What is carried under a token that grants files is counted. */
static enum err_code meter_begin(struct serving *serving, const struct snapshot_record *snapshot,
                                 struct span token_bytes, struct err *err)
{
    struct source *source = serving->source;
    struct token token;
    if (token_bytes.len == 0)
        return ERR_OK;
    TRY(token_decode(token_bytes, &token, err));
    if ((token.rights & TOKEN_FILES) == 0)
        return ERR_OK;
    const struct meter_record record = {.role = METER_OUT,
                                        .lease = serving->lease,
                                        .day = meter_day(xcopy_now_ms()),
                                        .state = TASK_RUNNING,
                                        .project = snapshot->project,
                                        .project_name = token.source.project,
                                        .region =
                                            span_text(request_session(serving->request)->name)};
    return meters_begin(source->meters, source->options.store, &record, err);
}

static enum err_code grant(struct serving *serving, struct err *err)
{
    struct store *store = serving->source->options.store;
    struct lease_subject subject;
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(lease_subject_decode(bytes_span(&serving->subject), &subject, err));
    TRY(content_open(store, (struct account_id){0}, &content, err));
    TRY(content_pin_page(content, &subject.version.page, err));
    TRY(content_pin_page(content, &subject.version.attribute_root, err));
    struct snapshot_record snapshot; /* pinned: now look */
    TRY(subject_rights(serving, &subject, &snapshot, err));
    if (!version_ref_equal(&snapshot.version, &subject.version))
        return err_set(err, ERR_CONFLICT, "the snapshot was replaced meanwhile");
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    const struct digest roots[2] = {subject.version.page, subject.version.attribute_root};
    if (subject.receipt.len == 0)
        TRY(token_use_check(store, &serving->use, &change, err));
    grant_entry(serving, &subject, &snapshot, &change);
    lease_record_put(&change, serving);
    TRY(meter_begin(serving, &snapshot, subject.token, err));
    meters_put(serving->source->meters, &serving->lease, TASK_RUNNING, &change);
    root_put(&change, lease_root(&serving->lease), roots, ARRAY_COUNT(roots));
    TRY(catalog_commit(store, &change, CATALOG_KEEP_RESERVE, err));
    CRASH_POINT(CRASH_LEASE_GRANTED);
    return ERR_OK;
}

static void on_granted(void *argument);

static void grant_on_worker(void *argument)
{
    struct serving *serving = argument;
    if (grant(serving, &serving->err) == ERR_OK)
        serving->err = (struct err){0};
    else
        lease_refused(serving);
    serving_on_loop(serving, on_granted);
}

/* The version's record is read once more: the lease may be an older one than the snapshot is now. */
static enum err_code describe_reply(struct serving *serving, struct bytes *body, struct err *err)
{
    struct lease_subject subject;
    TRY(lease_subject_decode(bytes_span(&serving->subject), &subject, err));
    TRY(page_read(serving->source->options.store, &subject.version.page, &serving->version, err));
    struct peer_described described = {.lease = serving->lease,
                                       .version = bytes_span(&serving->version),
                                       .claim = subject.claim,
                                       .maker = subject.maker,
                                       .row_count = subject.version.totals.rows,
                                       .byte_count = subject.version.totals.bytes,
                                       .partition_count = subject.version.totals.partitions};
    memcpy(described.signature, subject.signature, sizeof(described.signature));
    peer_described_encode(&described, body);
    return ERR_OK;
}

/* Counts a reply that is about to go out. */
static void serving_meter(struct serving *serving, size_t header_bytes, size_t body_bytes)
{
    struct meter_counts served = {
        .wire_bytes = request_wire_bytes(serving->request, header_bytes, body_bytes),
        .page_bytes = serving->method == PEER_GET_PAGES ? body_bytes : 0,
        .file_bytes = serving->method == PEER_GET_FILES ? body_bytes : 0,
    };
    meters_add(serving->source->meters, &serving->lease, &served);
}

static void describe_reply_on_worker(void *argument)
{
    struct serving *serving = argument;
    BYTES_CLEANUP struct bytes body = {0};
    if (describe_reply(serving, &body, &serving->err) != ERR_OK) {
        serving_reply_error(serving, &serving->err);
        return;
    }
    serving_meter(serving, 0, body.len);
    request_reply_bytes(serving->request, span_of(NULL, 0), &body);
    serving_free(serving);
}

/* ---- under a lease ---- */

/* The project that the lease's token is for; 0: it is gone, and the receipt grants nothing. */
static struct project_id subject_project(struct serving *serving,
                                         const struct lease_subject *subject)
{
    struct token token;
    struct project_record project = {0};
    if (token_decode(subject->token, &token, NULL) != ERR_OK ||
        project_find(serving->source->options.store, NULL, token.source.project, &serving->arena,
                     &project, NULL) != ERR_OK)
        return (struct project_id){0};
    return project.id;
}

static enum err_code receipt_take(struct serving *serving, const struct lease_subject *subject,
                                  struct err *err)
{
    struct receipt receipt;
    TRY(receipt_decode(serving->header.receipt, &receipt, err));
    TRY(receipt_verify(serving->header.receipt, err));
    bool fits = identity_key_equal(&receipt.signer, &serving->peer) &&
                digest_equal(&receipt.lease.digest, &serving->lease.digest) &&
                digest_equal(&receipt.root, &subject->manifest_root) &&
                digest_equal(&receipt.version, &subject->version.version);
    if (!fits)
        return err_set(err, ERR_PARAMETER, "the receipt is not of this lease");
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    const struct repair_grant kept = {.receipt = serving->header.receipt,
                                      .project = subject_project(serving, subject),
                                      .page = subject->version.page,
                                      .attribute_root = subject->version.attribute_root};
    repair_grant_put(&change, REPAIR_TOOK, &receipt.signer, &receipt.version, &kept);
    receipt_entry(serving, subject, &receipt, &change);
    meters_put(serving->source->meters, &serving->lease, TASK_DONE, &change);
    TRY(catalog_commit(serving->source->options.store, &change, CATALOG_USE_RESERVE, err));
    CRASH_POINT(CRASH_LEASE_RECEIPT);
    return ERR_OK;
}

/* When the newest snapshot of the leased one's table was made, if the principal may know of it; 0. */
static uint64_t newest_told(struct serving *serving, const struct lease_subject *subject)
{
    const struct xcopy_rights *rights = &serving->source->rights;
    struct xcopy_told told;
    struct snapshot_claim claim;
    struct snapshot_record newest;
    struct project_record project;
    bool found;
    if (snapshot_claim_decode(subject->claim, &serving->arena, &claim, NULL) != ERR_OK ||
        !span_equal(claim.region, span_text(rights->region)))
        return 0;
    const struct xcopy_ask ask = {.token = subject->token, .snapshot = subject->snapshot};
    xcopy_rights_tell(rights, &ask, &serving->arena, &told);
    if (!told.known ||
        snapshot_newest(rights->store, claim.base_table, &serving->arena, &newest, &found, NULL) !=
            ERR_OK ||
        !found ||
        project_get(rights->store, NULL, newest.project, &serving->arena, &project, NULL) != ERR_OK)
        return 0;
    return object_seen(&told.principal, object_snapshot(rights->store, &project, &newest))
               ? newest.created_ms
               : 0;
}

/* Both ends count; the larger of each count is what was carried. */
static enum err_code settle_answer(struct serving *serving, const struct lease_subject *subject,
                                   struct bytes *header, struct err *err)
{
    struct source *source = serving->source;
    struct peer_settle settle;
    if (!meters_settle(source->meters, &serving->settle, &settle))
        return err_set(err, ERR_PARAMETER, "nothing is counted under this lease");
    settle.newest_ms = newest_told(serving, subject);
    peer_settle_encode(&settle, header);
    if (serving->settle.state !=
        TASK_RUNNING) /* a commit follows: of the receipt, or of the lease's end */
        return ERR_OK;
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    meters_put(source->meters, &serving->lease, TASK_RUNNING, &change);
    TRY(catalog_commit(source->options.store, &change, CATALOG_USE_RESERVE, err));
    CRASH_POINT(CRASH_LEASE_SETTLED);
    return ERR_OK;
}

static enum err_code serve(struct serving *serving, struct bytes *header, struct bytes *body,
                           struct err *err)
{
    struct lease_subject subject;
    TRY(lease_subject_decode(bytes_span(&serving->subject), &subject, err));
    TRY(lease_subject_grants(&subject, serving->method, err));
    if (serving->method == PEER_RECEIPT && subject.receipt.len > 0)
        return err_set(err, ERR_PARAMETER, "a repair has no receipt");
    if (serving->method == PEER_RECEIPT)
        return receipt_take(serving, &subject, err);
    if (serving->method == PEER_SETTLE)
        return settle_answer(serving, &subject, header, err);
    size_t reply_max = request_reply_body_max(serving->request);
    const struct serve what = {.store = serving->source->options.store,
                               .peer = request_session(serving->request),
                               .subject = &subject,
                               .items = serving->items,
                               .item_count = serving->item_count,
                               .reply_bytes = serving->header.reply_bytes < reply_max
                                                  ? serving->header.reply_bytes
                                                  : reply_max};
    return serving->method == PEER_GET_PAGES ? serve_pages(&what, header, body, err)
                                             : serve_files(&what, header, body, err);
}

static void on_rights_gone(void *argument);

/* Asked anew for each request: a peer that does not renew loses its lease with the right, too. */
static enum err_code serve_rights(struct serving *serving, struct err *err)
{
    struct lease_subject subject;
    TRY(lease_subject_decode(bytes_span(&serving->subject), &subject, err));
    return subject_rights(serving, &subject, NULL, err);
}

/* What was received is told and counted also by who may have no more. */
static bool serving_serves(const struct serving *serving)
{
    return serving->method == PEER_GET_PAGES || serving->method == PEER_GET_FILES;
}

static void serve_on_worker(void *argument)
{
    struct serving *serving = argument;
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    if (!request_alive(serving->request) || request_deadline_left_ms(serving->request) == 0) {
        err_set(&serving->err, ERR_TIMEOUT, "too late");
        serving_reply_error(serving, &serving->err);
    } else if (serving_serves(serving) && serve_rights(serving, &serving->err) != ERR_OK) {
        lease_refused(serving);
        serving_on_loop(serving, on_rights_gone);
    } else if (serve(serving, &header, &body, &serving->err) != ERR_OK) {
        if (err_class(serving->err.code) == CLASS_DENIED)
            lease_refused(serving);
        serving_reply_error(serving, &serving->err);
    } else {
        if (serving->method == PEER_GET_FILES) {
            atomic_fetch_add_explicit(&serving->source->file_bytes, body.len, memory_order_relaxed);
            CRASH_POINT(CRASH_LEASE_SERVED);
        }
        if (serving_serves(serving))
            serving_meter(serving, header.len, body.len);
        request_reply_bytes(serving->request, bytes_span(&header), &body);
        serving_free(serving);
    }
}

static void on_renewal(void *argument);

static void renew_on_worker(void *argument)
{
    struct serving *serving = argument;
    struct lease_subject subject;
    enum err_code code =
        lease_subject_decode(bytes_span(&serving->subject), &subject, &serving->err);
    if (code == ERR_OK)
        code = subject_rights(serving, &subject, NULL, &serving->err);
    if (code == ERR_OK)
        serving->err = (struct err){0};
    else
        lease_refused(serving);
    serving_on_loop(serving, on_renewal);
}

/* ---- the lease machine, on the loop ---- */

static void waiting_add(struct serving *serving)
{
    struct source *source = serving->source;
    serving->number = ++source->serving_last;
    serving->next = source->servings;
    source->servings = serving;
}

static struct serving *waiting_take(struct source *source, uint64_t number)
{
    struct serving **at = &source->servings;
    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    struct serving *serving = *at;
    if (serving != NULL)
        *at = serving->next;
    return serving;
}

static void subject_copy(struct serving *serving)
{
    const struct lease *lease = lease_find(&serving->source->table, &serving->lease);
    bytes_clear(&serving->subject);
    if (lease != NULL)
        bytes_append_span(&serving->subject, bytes_span(&lease->subject));
}

static void action_reply(struct serving *serving, const struct lease_action *action)
{
    if (action->err.code != ERR_OK) {
        serving_reply_error(serving, &action->err);
    } else if (serving->method == PEER_DESCRIBE || serving->method == PEER_REPAIR) {
        subject_copy(serving);
        serving_on_worker(serving, describe_reply_on_worker);
    } else {
        struct bytes none = {0};
        if (serving->method == PEER_RENEW)
            serving_meter(serving, 0, 0);
        request_reply_bytes(serving->request, span_of(NULL, 0), &none);
        serving_free(serving);
    }
}

static void action_do(struct source *source, const struct lease_action *action)
{
    if (action->kind == LEASE_DO_DROP) {
        drop_post(source, &action->id);
        return;
    }
    struct serving *serving = waiting_take(source, action->request);
    if (serving == NULL)
        return;
    if (action->kind == LEASE_DO_GRANT) {
        subject_copy(serving);
        serving->rechecks = recheck_begun(&source->recheck);
        if (workers_post(source->options.workers, grant_on_worker, serving, &serving->err) !=
            ERR_OK)
            serving_on_loop(serving, on_granted);
    } else if (action->kind == LEASE_DO_SERVE) {
        subject_copy(serving);
        serving_on_worker(serving, serve_on_worker);
    } else {
        action_reply(serving, action);
    }
}

static void source_step(struct source *source, struct lease_event *event)
{
    event->now_ms = loop_now_ms();
    lease_actions_clear(&source->actions);
    lease_step(&source->table, event, &source->actions);
    for (size_t i = 0; i < source->actions.count; i++)
        action_do(source, &source->actions.list[i]);
    atomic_store(&source->alive, lease_count(&source->table));
    uint64_t wake_ms = lease_wake_ms(&source->table);
    uint64_t now_ms = loop_now_ms();
    if (wake_ms != UINT64_MAX)
        loop_timer_start(source->options.loop, &source->timer,
                         wake_ms > now_ms ? wake_ms - now_ms : 0);
}

static void serving_step(struct serving *serving, enum lease_event_kind kind)
{
    struct lease_event event = {.kind = kind,
                                .request = serving->number,
                                .id = serving->lease,
                                .peer = serving->peer,
                                .arguments = serving->arguments,
                                .subject = bytes_span(&serving->subject),
                                .verdict = &serving->err};
    struct source *source = serving->source;
    BYTES_CLEANUP struct bytes subject = serving->subject; /* the serving may be gone */
    serving->subject = (struct bytes){0};
    struct err verdict = serving->err;
    event.verdict = &verdict;
    source_step(source, &event);
}

static void describe_step(void *argument)
{
    struct serving *serving = argument;
    waiting_add(serving);
    serving_step(serving, LEASE_ON_DESCRIBE);
}

static void absent_on_worker(void *argument)
{
    struct serving *serving = argument;
    describe_refused(serving);
    serving_on_loop(serving, describe_step);
}

static void on_described(void *argument)
{
    struct serving *serving = argument;
    bool leased = serving->absent && lease_find(&serving->source->table, &serving->lease) != NULL;
    if (leased)
        serving->err = (struct err){0};
    if (serving->absent && !leased)
        serving_on_worker(serving, absent_on_worker);
    else
        describe_step(serving);
}

static void on_granted(void *argument)
{
    struct serving *serving = argument;
    serving->next = serving->source->servings;
    struct source *source = serving->source;
    source->servings = serving; /* under its number again */
    bool missed = serving->rechecks != recheck_begun(&source->recheck);
    serving_step(serving, LEASE_ON_GRANTED);
    if (missed) /* that looked at the leases before this was one */
        source_recheck(source);
}

static void on_renewal(void *argument)
{
    struct serving *serving = argument;
    waiting_add(serving);
    serving_step(serving, LEASE_ON_RENEW);
}

static void on_rights_gone(void *argument)
{
    struct serving *serving = argument;
    waiting_add(serving);
    serving_step(serving, LEASE_ON_SERVE); /* with the verdict: the lease ends */
}

static void on_dropped(void *argument)
{
    struct drop *drop = argument;
    if (drop->err.code == ERR_OK)
        meters_end(drop->source->meters, &drop->id);
    struct lease_event event = {.kind = LEASE_ON_DROPPED, .id = drop->id, .verdict = &drop->err};
    source_step(drop->source, &event);
    mem_free(drop);
}

static void on_timer(void *argument)
{
    struct lease_event event = {.kind = LEASE_ON_TICK};
    source_step(argument, &event);
}

/* On the loop: a request under a lease. */
static void on_leased(void *argument)
{
    struct serving *serving = argument;
    if (serving->method == PEER_RENEW &&
        lease_find(&serving->source->table, &serving->lease) != NULL) {
        subject_copy(serving);
        serving_on_worker(serving, renew_on_worker);
        return;
    }
    waiting_add(serving);
    if (serving->method == PEER_RENEW)
        serving_step(serving, LEASE_ON_RENEW);
    else if (serving->method == PEER_END)
        serving_step(serving, LEASE_ON_END);
    else
        serving_step(serving, LEASE_ON_SERVE);
}

/* ---- requests, on link workers ---- */

static enum err_code leased_decode(struct serving *serving, struct err *err)
{
    if (serving->method == PEER_SETTLE) {
        TRY(peer_settle_decode(request_header(serving->request), &serving->arena, &serving->settle,
                               err));
        serving->lease = serving->settle.lease;
        return ERR_OK;
    }
    TRY(peer_lease_decode(request_header(serving->request), &serving->arena, &serving->header,
                          err));
    serving->lease = serving->header.lease;
    if (serving->method != PEER_GET_PAGES && serving->method != PEER_GET_FILES)
        return ERR_OK;
    return peer_items_decode(request_body(serving->request), &serving->arena, &serving->items,
                             &serving->item_count, err);
}

void source_on_request(void *context, struct request *request)
{
    struct source *source = context;
    if (request_method(request) == PEER_CHANNEL) {
        channel_request(source->options.peers, request);
        return;
    }
    struct serving *serving = mem_calloc(1, sizeof(*serving));
    serving->source = source;
    serving->request = request;
    serving->method = (enum peer_method)request_method(request);
    serving->peer = request_session(request)->identity;
    arena_init(&serving->arena, SERVING_ARENA_BYTES);
    if (serving->method == PEER_DESCRIBE || serving->method == PEER_REPAIR) {
        serving_on_worker(serving, describe_on_worker);
        return;
    }
    bool known = (serving->method >= PEER_GET_PAGES && serving->method <= PEER_RECEIPT) ||
                 serving->method == PEER_SETTLE;
    if (!known)
        err_set(&serving->err, ERR_VERSION, "%s is not known to this node",
                peer_method_name(serving->method));
    if (!known || leased_decode(serving, &serving->err) != ERR_OK)
        serving_reply_error(serving, &serving->err);
    else
        serving_on_loop(serving, on_leased);
}

bool source_find(void *context, const struct noise_key *key, struct session *session)
{
    struct source *source = context;
    const struct peer *peer = peers_find_noise(source->options.peers, key);
    if (peer == NULL)
        return false;
    session->identity = peer->keys.sign;
    session->entry = 1 + (uint64_t)(peer - peers_at(source->options.peers, 0));
    snprintf(session->name, sizeof(session->name), "%s", peer->region);
    session->bucket = bucket_ref(peer->send_bucket);
    return true;
}

/* ---- rights that went ---- */

static void on_refused(void *context, const struct lease_id *id)
{
    struct lease_event event = {.kind = LEASE_ON_REVOKED, .id = *id};
    source_step(context, &event);
}

void source_recheck(struct source *source)
{
    recheck_request(&source->recheck);
}

/* ---- life ---- */

static enum err_code leases_read(struct source *source, struct bytes *all, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(source->options.store, NULL, FAMILY_LEASES, span_text("l"), span_of(NULL, 0),
                     &iter, err));
    for (;;) {
        struct span key, value;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len != LEASE_KEY_BYTES)
            continue; /* nobody's */
        bytes_append_u32(all, (uint32_t)value.len);
        bytes_append(all, key.data + 1, DIGEST_BYTES);
        bytes_append_span(all, value);
        struct lease_id lease;
        memcpy(lease.digest.b, key.data + 1, DIGEST_BYTES);
        TRY(meters_load(source->meters, source->options.store, &lease, err));
    }
}

struct loading {
    struct source *source;
    struct bytes all;
};

static void load_on_loop(void *argument)
{
    struct loading *loading = argument;
    struct reader reader = reader_of(bytes_span(&loading->all));
    while (reader.left.len > 0) {
        struct lease_event event = {.kind = LEASE_ON_LOADED};
        uint32_t bytes = reader_u32(&reader);
        reader_copy(&reader, event.id.digest.b, DIGEST_BYTES);
        struct reader value = reader_of(reader_span(&reader, bytes));
        reader_copy(&value, event.peer.b, sizeof(event.peer.b));
        reader_copy(&value, event.arguments.b, DIGEST_BYTES);
        event.subject = value.left;
        struct lease_subject subject;
        struct err reason;
        source_step(loading->source, &event);
        if (lease_subject_decode(event.subject, &subject, &reason) == ERR_OK)
            continue;
        log_error("a lease's record cannot be read and is dropped; its peer asks anew", &reason);
        event.kind = LEASE_ON_REVOKED;
        source_step(loading->source, &event);
    }
}

enum err_code source_open(const struct source_options *options, struct source **ret_source,
                          struct err *err)
{
    if (!options->clock_doubted)
        TRY(token_uses_forget(options->store, (uint64_t)time(NULL), err));
    struct source *source = mem_calloc(1, sizeof(*source));
    source->options = *options;
    source->rights = (struct xcopy_rights){.store = options->store,
                                           .principals = options->principals,
                                           .peers = options->peers,
                                           .node = identity_public(options->identity)->sign,
                                           .region = options->region,
                                           .gates = options->gates};
    source->timer.run = on_timer;
    source->timer.argument = source;
    source->meters = meters_new();
    lease_table_init(&source->table, LEASE_MS);
    const struct recheck_options recheck = {.loop = options->loop,
                                            .workers = options->workers,
                                            .rights = &source->rights,
                                            .auditor = options->auditor,
                                            .table = &source->table,
                                            .on_refused = on_refused,
                                            .context = source};
    recheck_init(&source->recheck, &recheck);
    struct loading loading = {.source = source};
    enum err_code code = leases_read(source, &loading.all, err);
    if (code == ERR_OK)
        loop_call(options->loop, load_on_loop, &loading);
    bytes_deinit(&loading.all);
    if (code != ERR_OK) {
        source_free(source);
        return code;
    }
    *ret_source = source;
    return ERR_OK;
}

void source_free(struct source *source)
{
    if (source == NULL)
        return;
    recheck_deinit(&source->recheck);
    meters_free(source->meters);
    lease_table_deinit(&source->table);
    lease_actions_deinit(&source->actions);
    mem_free(source);
}

uint64_t source_file_bytes(struct source *source)
{
    return atomic_load_explicit(&source->file_bytes, memory_order_relaxed);
}

size_t source_leases(struct source *source)
{
    return atomic_load(&source->alive);
}
