/* Work of a task on a worker: what comes from the peer is checked and stored. */
#include "node/task/repair_grant.h"
#include "node/task/xcopy_pull.h"

#include "store/audit.h"
#include "store/crash.h"
#include "store/held.h"

/* ---- receipts ---- */

/* An older source cannot read the totals, and would have no receipt. */
static bool peer_knows_totals(const struct pull *pull)
{
    struct link_status status = {0};
    if (pull->peer != NULL && pull->peer->link != NULL)
        link_status(pull->peer->link, &status);
    return status.version >= PROTOCOL_VERSION_TOTALS;
}

void receipt_make(const struct pull *pull, const struct described *described,
                  const struct task_counters *counters, struct bytes *out)
{
    struct audit_head audit = audit_head_get(pull->options->store);
    struct receipt receipt = {.lease = described->lease,
                              .version = described->version.version,
                              .root = described->manifest_root,
                              .signer = pull->rights.node,
                              .published_ms = xcopy_now_ms(),
                              .has_audit = true,
                              .audit_count = audit.count,
                              .audit_head = audit.head};
    if (peer_knows_totals(pull)) {
        receipt.has_totals = true;
        receipt.rows = counters->rows_total;
        receipt.bytes = counters->bytes_total;
        receipt.partitions = counters->partitions_total;
    }
    struct signature signature;
    receipt_encode(&receipt, out);
    identity_sign(pull->options->identity, RECEIPT_DOMAIN, bytes_span(out), &signature);
    bytes_append(out, signature.b, sizeof(signature.b));
}

/* ---- of a job ---- */

struct xcopy_record record_of(struct job *job, enum task_state state)
{
    struct xcopy_record record = job->pull->record;
    record.state = state;
    record.counters = job->counters;
    pthread_mutex_lock(&job->pull->lock);
    record.started_ms = job->pull->status.started_ms;
    record.tries_again = job->pull->status.tries_again;
    record.trouble = job->pull->status.trouble.code;
    job->trouble = job->pull->status.trouble;
    pthread_mutex_unlock(&job->pull->lock);
    record.trouble_message = span_text(job->trouble.message);
    return record;
}

enum err_code job_content(struct job *job, struct content **ret_content, struct err *err)
{
    struct pull *pull = job->pull;
    enum err_code code = ERR_OK;
    pthread_mutex_lock(&pull->lock);
    if (job->epoch->content == NULL) {
        code = content_open(pull->options->store, pull->account, &job->epoch->content, err);
        if (code == ERR_OK)
            content_count_for(job->epoch->content, &pull->record.id);
    }
    *ret_content = job->epoch->content;
    pthread_mutex_unlock(&pull->lock);
    return code;
}

void job_end(struct job *job, enum err_code code)
{
    if (code == ERR_OK)
        job->err = (struct err){0};
}

/* ---- check ---- */

static enum err_code project_stays(const struct pull *pull, struct project_id project,
                                   struct err *err)
{
    struct project_record ignored;
    struct err reason;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    if (project.n == 0)
        return ERR_OK;
    enum err_code code =
        project_get(pull->options->store, NULL, project, &arena, &ignored, &reason);
    if (code == ERR_NOT_FOUND)
        return err_set(err, ERR_DENIED, "project %.*s was dropped while the task ran",
                       SPAN_PRINTF(pull->token.destination.project));
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

enum err_code job_project_stays(const struct job *job, struct err *err)
{
    return project_stays(job->pull, job->pull->project, err);
}

enum err_code pull_target_ask(const struct pull *pull, struct project_id project,
                              struct arena *arena, struct xcopy_target *ret_target, struct err *err)
{
    struct xcopy_target target;
    const struct xcopy_copy copy = {.token = pull->record.token,
                                    .source = pull->record.source_snapshot,
                                    .destination = pull->record.destination_snapshot};
    TRY(project_stays(pull, project, err)); /* first: it is the reason, whatever rights are left */
    TRY(xcopy_rights_destination(&pull->rights, &copy, arena, &target, err));
    TRY(project_stays(pull, project, err)); /* so the name led to it, and not to another */
    *ret_target = target;
    return ERR_OK;
}

enum err_code job_target_ask(struct job *job, struct xcopy_target *ret_target, struct err *err)
{
    return pull_target_ask(job->pull, job->pull->project, &job->arena, ret_target, err);
}

/* When it began is durable before anything that was pulled is: the counts at its end are of what was
 * not held then, whatever ends the node in between. */
static enum err_code begin(struct job *job, struct err *err)
{
    struct pull *pull = job->pull;
    struct store *store = pull->options->store;
    struct xcopy_target target;
    if (pull->repair.is_one) /* of what is here already, and without a record */
        return tally_begin(store, &pull->record.id, err);
    TRY(job_target_ask(job, &target, err));
    TRY(tally_begin(store, &pull->record.id, err));
    job->held_since = pull->record.held_since;
    job->project = target.project;
    if (job->held_since != 0)
        return ERR_OK;
    TRY(holding_begin(store, &job->held_since, err));
    struct xcopy_record record = record_of(job, TASK_QUEUED);
    record.held_since = job->held_since;
    record.project = job->project;
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {.later = true};
    xcopy_record_put(&change, &record);
    TRY(catalog_commit(store, &change, CATALOG_KEEP_RESERVE, err));
    CRASH_POINT(CRASH_TASK_BEGUN);
    return ERR_OK;
}

void job_check(struct job *job)
{
    job_end(job, begin(job, &job->err));
}

/* ---- describe ---- */

/* The snapshot's maker: the source itself, another node that we know, or this one; by keys of before, too. */
static bool maker_known(const struct tasks_options *options, const struct identity_key *maker)
{
    return peers_key_is_own(options->peers, maker) ||
           peers_find_maker(options->peers, maker) != NULL;
}

enum err_code described_verify(const struct tasks_options *options,
                               const struct peer_described *described, struct arena *arena,
                               struct described *ret_described, struct err *err)
{
    struct described *ret = ret_described;
    struct version_record version;
    struct snapshot_claim claim;
    if (!maker_known(options, &described->maker))
        return err_set(err, ERR_PEER, "the snapshot was made by a node that is not known here");
    TRY(snapshot_verify(described->claim, &described->maker, described->signature, err));
    TRY(snapshot_claim_decode(described->claim, arena, &claim, err));
    TRY(version_decode(described->version, arena, &version, err));
    struct version_names names = version_names_of(described->version);
    if (!digest_equal(&names.version, &claim.version))
        return err_set(err, ERR_PEER,
                       "the version is not the one that the snapshot's maker signed");
    ret->lease = described->lease;
    ret->maker = described->maker;
    memcpy(ret->signature, described->signature, sizeof(ret->signature));
    ret->manifest_root = version.root;
    ret->version = (struct version_ref){.version = names.version,
                                        .page = names.page,
                                        .attribute_root = claim.attribute_root,
                                        .totals = {.rows = described->row_count,
                                                   .bytes = described->byte_count,
                                                   .partitions = described->partition_count}};
    struct digest_state state;
    digest_init(&state, DOMAIN_VERSION);
    digest_update(&state, digest_span(&names.page));
    digest_update(&state, digest_span(&claim.attribute_root));
    ret->machine_version = digest_final(&state);
    bytes_append_span(&ret->claim, described->claim);
    return ERR_OK;
}

/* A repair is of one version and its attributes. */
static enum err_code repair_verify(const struct job *job, struct err *err)
{
    const struct pull_repair *repair = &job->pull->repair;
    const struct version_ref *ref = &job->described.version;
    bool fits = digest_equal(&ref->version, &repair->version) &&
                digest_equal(&ref->page, &repair->page) &&
                digest_equal(&ref->attribute_root, &repair->attribute_root);
    return fits || !repair->is_one
               ? ERR_OK
               : err_set(err, ERR_PEER, "it offers another version than the receipt is for");
}

static enum err_code described_take(struct job *job, struct err *err)
{
    struct peer_described described;
    TRY(peer_described_decode(span_of(job->reply_body, job->reply_bytes), &job->arena, &described,
                              err));
    struct lease_id expected = lease_id_of(&job->pull->rights.node, &job->pull->record.id);
    if (!digest_equal(&described.lease.digest, &expected.digest))
        return err_set(err, ERR_PEER, "the lease has another id than this task's");
    TRY(described_verify(job->pull->options, &described, &job->arena, &job->described, err));
    TRY(repair_verify(job, err));
    if (!job->pull->repair.is_one)
        xcopy_base_find(job->pull->options->store, span_text(job->pull->rights.region),
                        job->pull->project, &job->described);
    const struct staged_page page = {.digest = job->described.version.page,
                                     .page = described.version};
    TRY(staged_put(job->pull->options->store, &job->pull->record.id, &page, 1, err));
    CRASH_POINT(CRASH_TASK_DESCRIBED);
    return ERR_OK;
}

/* Whatever is wrong with the peer's bytes is the peer's error; what our store says is ours. */
static void peer_fault(struct job *job)
{
    enum err_code code = job->err.code;
    if (code == ERR_BAD_DATA || code == ERR_LIMIT || code == ERR_PARAMETER ||
        code == ERR_SEMANTIC) {
        struct err reason = job->err;
        err_set(&job->err, ERR_PEER, "%s", reason.message);
    }
}

void job_take_described(struct job *job)
{
    job_end(job, described_take(job, &job->err));
    peer_fault(job);
}

/* ---- what another task may have brought ---- */

static enum err_code sift(struct job *job, struct err *err)
{
    struct content *content;
    TRY(job_content(job, &content, err));
    for (size_t i = 0; i < job->item_count; i++) {
        bool held = false;
        if (job->results[i] == WALK_LEFT)
            TRY(content_rely_file(content, &job->items[i].digest, &held, err));
        if (held)
            job->results[i] = WALK_HELD;
    }
    return ERR_OK;
}

void job_sift(struct job *job)
{
    job_end(job, sift(job, &job->err));
}

/* ---- replies ---- */

/* The parts of the body. False: the whole reply is wrong; err says how. */
static bool reply_parts(struct job *job, uint32_t length_max, uint32_t **ret_lengths,
                        size_t *ret_count)
{
    enum err_code code =
        peer_lengths_decode(bytes_span(&job->reply_header), job->item_count, length_max,
                            job->reply_bytes, &job->arena, ret_lengths, ret_count, &job->err);
    if (code != ERR_OK)
        peer_fault(job);
    return code == ERR_OK;
}

void results_begin(struct job *job)
{
    job->results = arena_alloc(&job->arena, job->item_count + 1, sizeof(*job->results));
    ASSERT(job->results != NULL);
    for (size_t i = 0; i < job->item_count; i++)
        job->results[i] = WALK_LEFT;
}

static void result_wrong(struct job *job, size_t i, const char *what, const struct err *reason)
{
    job->results[i] = WALK_WRONG;
    char hex[DIGEST_HEX_BYTES];
    if (job->reason[0] == 0)
        snprintf(job->reason, sizeof(job->reason), "%s %.16s: %s", what,
                 digest_hex(&job->items[i].digest, hex), reason->message);
}

enum err_code page_arrived(struct span bytes, const struct digest *digest,
                           const struct page_place *place, struct arena *arena,
                           struct page *ret_page, struct err *err)
{
    struct digest arrived = page_digest(bytes);
    if (!digest_equal(&arrived, digest))
        return err_set(err, ERR_PEER, "its bytes have another digest");
    TRY(page_decode(bytes, place, arena, ret_page, err));
    return tree_page_check(ret_page, place, err);
}

static enum err_code page_check(const struct job_item *item, struct span bytes, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, PAGE_ARENA_BYTES);
    struct page_place place;
    struct page page;
    TRY(place_decode_page(item->place, &place, err));
    return page_arrived(bytes, &item->digest, &place, &arena, &page, err);
}

/* The peer says that it has lost what was asked for first. */
static bool reply_damaged(struct job *job)
{
    if (job->damaged.code == ERR_OK)
        return false;
    results_begin(job);
    result_wrong(job, 0, job->items[0].kind == WALK_PAGE ? "page" : "file", &job->damaged);
    return true;
}

void job_take_pages(struct job *job)
{
    uint32_t *lengths;
    size_t count;
    if (reply_damaged(job))
        return;
    if (!reply_parts(job, LIMIT_PAGE_MESSAGE_BYTES, &lengths, &count))
        return;
    results_begin(job);
    struct staged_page *pages = arena_alloc(&job->arena, count, sizeof(*pages));
    ASSERT(pages != NULL);
    size_t page_count = 0;
    const uint8_t *at = job->reply_body;
    for (size_t i = 0; i < count; i++) {
        struct span bytes = span_of(at, lengths[i]);
        struct err reason;
        at += lengths[i];
        if (page_check(&job->items[i], bytes, &reason) != ERR_OK) {
            result_wrong(job, i, "page", &reason);
            continue;
        }
        job->results[i] = WALK_STORED;
        pages[page_count++] = (struct staged_page){job->items[i].digest, bytes};
    }
    if (page_count > 0)
        job_end(job, staged_put(job->pull->options->store, &job->pull->record.id, pages, page_count,
                                &job->err));
}

static enum err_code file_take(struct job *job, struct content *content, size_t i,
                               struct span bytes, struct err *err)
{
    const struct job_item *item = &job->items[i];
    struct err reason;
    struct digest digest = digest_of(DOMAIN_FILE, bytes);
    if (bytes.len != item->bytes) {
        err_set(&reason, ERR_PEER, "%zu bytes instead of %" PRIu64, bytes.len, item->bytes);
        result_wrong(job, i, "file", &reason);
        return ERR_OK;
    }
    if (!digest_equal(&digest, &item->digest)) {
        err_set(&reason, ERR_PEER, "its bytes have another digest");
        result_wrong(job, i, "file", &reason);
        return ERR_OK;
    }
    TRY(content_add_file(content, &item->digest, bytes, CONTENT_HASHED, err));
    job->results[i] = WALK_STORED;
    return ERR_OK;
}

void job_take_files(struct job *job)
{
    uint32_t *lengths;
    size_t count;
    struct content *content;
    if (reply_damaged(job))
        return;
    if (!reply_parts(job, (uint32_t)LIMIT_FILE_BYTES, &lengths, &count))
        return;
    results_begin(job);
    enum err_code code = job_content(job, &content, &job->err);
    const uint8_t *at = job->reply_body;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        code = file_take(job, content, i, span_of(at, lengths[i]), &job->err);
        at += lengths[i];
    }
    job_end(job, code);
}
