#include "node/task/xcopy_serving.h"

#include "node/task/receipts.h"
#include "node/task/repair_grant.h"
#include "node/task/xcopy_audit.h"
#include "proto/version.h"
#include "store/crash.h"
#include "store/pages.h"

/* ---- records ---- */

struct span lease_record_key(const struct lease_id *id, uint8_t key[LEASE_KEY_BYTES])
{
    key[0] = 'l';
    memcpy(key + 1, id->digest.b, DIGEST_BYTES);
    return span_of(key, LEASE_KEY_BYTES);
}

static void lease_record_put(struct catalog_change *change, const struct serving *serving)
{
    BYTES_CLEANUP struct bytes record = {0};
    uint8_t key[LEASE_KEY_BYTES];
    bytes_append(&record, serving->peer.b, sizeof(serving->peer.b));
    bytes_append_span(&record, digest_span(&serving->arguments));
    bytes_append_span(&record, bytes_span(&serving->subject));
    catalog_put(change, FAMILY_LEASES, lease_record_key(&serving->lease, key), bytes_span(&record));
}

struct root_name lease_root_name(const struct lease_id *id)
{
    return (struct root_name){.purpose = 'l', .id = digest_span(&id->digest)};
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

void serving_describe_refused(struct serving *serving)
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
void serving_lease_refused(struct serving *serving)
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

enum err_code serving_describe(struct serving *serving, struct err *err)
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
                                      .snapshot = origin.snapshot,
                                      .now_ms = xcopy_now_ms()};
    TRY(token_use_check(serving->source->options.store, &serving->use, NULL, err));
    return subject_build(serving, &origin, err);
}

/* What a snapshot's lease keeps under a receipt. */
enum err_code serving_repair(struct serving *serving, struct err *err)
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

/* By the token or the receipt of the lease, and the session's identity. */
enum err_code serving_rights(struct serving *serving, const struct lease_subject *subject,
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

enum err_code serving_grant(struct serving *serving, struct err *err)
{
    struct store *store = serving->source->options.store;
    struct lease_subject subject;
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(lease_subject_decode(bytes_span(&serving->subject), &subject, err));
    TRY(content_open(store, (struct account_id){0}, &content, err));
    TRY(content_pin_page(content, &subject.version.page, err));
    TRY(content_pin_page(content, &subject.version.attribute_root, err));
    struct snapshot_record snapshot; /* pinned: now look */
    TRY(serving_rights(serving, &subject, &snapshot, err));
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
    root_put(&change, lease_root_name(&serving->lease), roots, ARRAY_COUNT(roots));
    TRY(catalog_commit(store, &change, CATALOG_KEEP_RESERVE, err));
    CRASH_POINT(CRASH_LEASE_GRANTED);
    return ERR_OK;
}

/* The version's record is read once more: the lease may be an older one than the snapshot is now. */
enum err_code serving_described(struct serving *serving, struct bytes *body, struct err *err)
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
void serving_count(struct serving *serving, size_t header_bytes, size_t body_bytes)
{
    struct meter_counts served = {
        .wire_bytes = request_wire_bytes(serving->request, header_bytes, body_bytes),
        .page_bytes = serving->method == PEER_GET_PAGES ? body_bytes : 0,
        .file_bytes = serving->method == PEER_GET_FILES ? body_bytes : 0,
    };
    meters_add(serving->source->meters, &serving->lease, &served);
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
    receipt_keep(&change, kept.project, &receipt, serving->header.receipt);
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
    if (!serving->settled)
        return err_set(err, ERR_PARAMETER, "nothing is counted under this lease");
    serving->both.newest_ms = newest_told(serving, subject);
    peer_settle_encode(&serving->both, header);
    bool ends = serving->settle.state != TASK_RUNNING; /* with a commit: of receipt or lease */
    if (ends)
        return ERR_OK;
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    meters_put(source->meters, &serving->lease, TASK_RUNNING, &change);
    TRY(catalog_commit(source->options.store, &change, CATALOG_USE_RESERVE, err));
    CRASH_POINT(CRASH_LEASE_SETTLED);
    return ERR_OK;
}

enum err_code serving_answer(struct serving *serving, struct bytes *header, struct bytes *body,
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

/* Asked anew for each request: a peer that does not renew loses its lease with the right, too. */
enum err_code serving_rights_now(struct serving *serving, struct err *err)
{
    struct lease_subject subject;
    TRY(lease_subject_decode(bytes_span(&serving->subject), &subject, err));
    return serving_rights(serving, &subject, NULL, err);
}

/* What was received is told and counted also by who may have no more. */
bool serving_serves(const struct serving *serving)
{
    return serving->method == PEER_GET_PAGES || serving->method == PEER_GET_FILES;
}
