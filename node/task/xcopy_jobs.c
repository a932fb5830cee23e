#include "node/task/xcopy_pull.h"

/* ---- places ---- */

static void append_key(struct bytes *out, struct span key)
{
    bytes_append_u16(out, (uint16_t)key.len);
    bytes_append_span(out, key);
}

#define PLACE_ROOT      1
#define PLACE_RIGHTMOST 2
#define PLACE_AFTER     4

void place_encode_page(const struct page_place *place, struct bytes *out)
{
    bytes_append_u8(out, (uint8_t)place->tree);
    bytes_append_u8(out, (uint8_t)((place->is_root ? PLACE_ROOT : 0) |
                                   (place->is_rightmost ? PLACE_RIGHTMOST : 0) |
                                   (place->has_after ? PLACE_AFTER : 0)));
    bytes_append_u32(out, place->level);
    append_key(out, place->after);
    append_key(out, place->last);
    bytes_append_u64(out, place->totals.rows);
    bytes_append_u64(out, place->totals.bytes);
    bytes_append_u64(out, place->totals.partitions);
}

enum err_code place_decode_page(struct span encoded, struct page_place *ret_place, struct err *err)
{
    struct reader reader = reader_of(encoded);
    struct page_place place = {.tree = (enum tree_kind)reader_u8(&reader)};
    uint8_t flags = reader_u8(&reader);
    place.is_root = (flags & PLACE_ROOT) != 0;
    place.is_rightmost = (flags & PLACE_RIGHTMOST) != 0;
    place.has_after = (flags & PLACE_AFTER) != 0;
    place.level = reader_u32(&reader);
    place.after = reader_span(&reader, reader_u16(&reader));
    place.last = reader_span(&reader, reader_u16(&reader));
    place.totals.rows = reader_u64(&reader);
    place.totals.bytes = reader_u64(&reader);
    place.totals.partitions = reader_u64(&reader);
    if (!reader_end(&reader))
        return err_set(err, ERR_INTERNAL, "the place of a page is malformed");
    *ret_place = place;
    return ERR_OK;
}

void place_encode_file(struct span key, uint32_t column_id, struct bytes *out)
{
    bytes_append_u32(out, column_id);
    append_key(out, key);
}

enum err_code place_decode_file(struct span encoded, struct span *ret_key, uint32_t *ret_column_id,
                                struct err *err)
{
    struct reader reader = reader_of(encoded);
    uint32_t column_id = reader_u32(&reader);
    struct span key = reader_span(&reader, reader_u16(&reader));
    if (!reader_end(&reader))
        return err_set(err, ERR_INTERNAL, "the place of a file is malformed");
    *ret_key = key;
    *ret_column_id = column_id;
    return ERR_OK;
}

/* ---- of a job ---- */

enum err_code job_content(struct job *job, struct content **ret_content, struct err *err)
{
    struct pull *pull = job->pull;
    enum err_code code = ERR_OK;
    pthread_mutex_lock(&pull->lock);
    if (job->epoch->content == NULL)
        code = content_open(pull->options->store, pull->account, &job->epoch->content, err);
    *ret_content = job->epoch->content;
    pthread_mutex_unlock(&pull->lock);
    return code;
}

static void job_end(struct job *job, enum err_code code)
{
    if (code == ERR_OK)
        job->err = (struct err){0};
}

/* ---- check ---- */

void job_check(struct job *job)
{
    struct xcopy_target target;
    job_end(job, xcopy_rights_destination(&job->pull->rights, job->pull->record.token, &job->arena,
                                          &target, &job->err));
}

/* ---- describe ---- */

/* The snapshot's maker: the source itself, another node that we know, or this one. */
static bool maker_known(const struct pull *pull, const struct identity_key *maker)
{
    return identity_key_equal(maker, &pull->rights.node) ||
           peers_find_signer(pull->options->peers, maker) != NULL;
}

static enum err_code described_verify(struct job *job, const struct peer_described *described,
                                      struct err *err)
{
    struct described *ret = &job->described;
    struct version_record version;
    struct snapshot_claim claim;
    if (!maker_known(job->pull, &described->maker))
        return err_set(err, ERR_PEER, "the snapshot was made by a node that is not known here");
    TRY(snapshot_verify(described->claim, &described->maker, described->signature, err));
    TRY(snapshot_claim_decode(described->claim, &job->arena, &claim, err));
    TRY(version_decode(described->version, &job->arena, &version, err));
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

static enum err_code described_take(struct job *job, struct err *err)
{
    struct peer_described described;
    TRY(peer_described_decode(span_of(job->reply_body, job->reply_bytes), &job->arena, &described,
                              err));
    struct lease_id expected = lease_id_of(&job->pull->rights.node, &job->pull->record.id);
    if (!digest_equal(&described.lease.digest, &expected.digest))
        return err_set(err, ERR_PEER, "the lease has another id than this task's");
    TRY(described_verify(job, &described, err));
    const struct staged_page page = {.digest = job->described.version.page,
                                     .page = described.version};
    return staged_put(job->pull->options->store, &job->pull->record.id, &page, 1, err);
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

/* ---- plan ---- */

static void need_add(struct job *job, const struct walk_need *need, struct span place)
{
    if (job->need_count == job->need_capacity) {
        job->need_capacity = job->need_capacity == 0 ? 32 : 2 * job->need_capacity;
        job->needs = mem_realloc(job->needs, job->need_capacity, sizeof(*job->needs));
        job->place_ends = mem_realloc(job->place_ends, job->need_capacity, sizeof(size_t));
    }
    bytes_append_span(&job->places, place);
    job->place_ends[job->need_count] = job->places.len;
    job->needs[job->need_count++] = *need;
}

static void needs_end(struct job *job)
{
    size_t start = 0;
    for (size_t i = 0; i < job->need_count; i++) {
        job->needs[i].place = span_of(job->places.data + start, job->place_ends[i] - start);
        start = job->place_ends[i];
    }
    job->plan.needs = job->needs;
    job->plan.need_count = job->need_count;
}

static enum err_code staged_has(struct job *job, const struct digest *digest, bool *ret_has,
                                struct err *err)
{
    BYTES_CLEANUP struct bytes page = {0};
    struct err local;
    enum err_code code =
        staged_read(job->pull->options->store, &job->pull->record.id, digest, &page, &local);
    if (code != ERR_OK && code != ERR_NOT_FOUND && code != ERR_CORRUPT)
        return err_set(err, code, "%s", local.message);
    *ret_has = code == ERR_OK; /* a damaged one is asked for again */
    return ERR_OK;
}

static enum err_code plan_page(struct job *job, struct content *content,
                               const struct digest *digest, const struct page_place *place,
                               uint8_t level, struct err *err)
{
    bool held;
    TRY(content_rely_page(content, digest, &held, err));
    if (held)
        return ERR_OK;
    struct walk_need need = {.kind = WALK_PAGE, .level = level, .digest = *digest};
    TRY(staged_has(job, digest, &need.staged, err));
    BYTES_CLEANUP struct bytes encoded = {0};
    place_encode_page(place, &encoded);
    need_add(job, &need, bytes_span(&encoded));
    return ERR_OK;
}

/* The levels of a walk: top, version record, roots (of whatever real level), pages. */
#define LEVEL_VERSION LIMIT_TREE_DEPTH
#define LEVEL_ROOT    (LIMIT_TREE_DEPTH - 1)

static enum err_code plan_top(struct job *job, struct content *content, struct err *err)
{
    const struct described *described = &job->described;
    struct page_place version = {0};
    struct page_place attributes = page_place_root(TREE_ATTRIBUTES);
    TRY(plan_page(job, content, &described->version.page, &version, LEVEL_VERSION, err));
    return plan_page(job, content, &described->version.attribute_root, &attributes, LEVEL_ROOT,
                     err);
}

static enum err_code plan_version(struct job *job, struct content *content, struct err *err)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    struct version_record version;
    TRY(staged_read(job->pull->options->store, &job->pull->record.id, &job->items[0].digest,
                    &encoded, err));
    TRY(version_decode(bytes_span(&encoded), &job->arena, &version, err));
    struct page_place place = page_place_root(TREE_MANIFEST);
    return plan_page(job, content, &version.root, &place, LEVEL_ROOT, err);
}

static uint64_t hash_of(const struct digest *digest)
{
    uint64_t hash = load_u64(digest->b);
    return hash == 0 ? 1 : hash;
}

static bool moved_has(struct pull *pull, const struct digest *digest)
{
    pthread_mutex_lock(&pull->lock);
    bool has = marks_has(&pull->moved, hash_of(digest));
    pthread_mutex_unlock(&pull->lock);
    return has;
}

static uint32_t file_column(const struct page_row_group *group, size_t file)
{
    for (size_t i = 0; i < group->column_count; i++)
        if (group->columns[i].file == file)
            return group->columns[i].column_id;
    return 0; /* page_decode has seen that each file is used */
}

/* *ret_moved: it names a file that was not held here when the task began. */
static enum err_code plan_row_group(struct job *job, struct content *content,
                                    const struct page_entry *entry, bool *ret_moved,
                                    struct err *err)
{
    const struct page_row_group *group = &entry->row_group;
    for (size_t i = 0; i < group->file_count; i++) {
        const struct page_file *file = &group->files[i];
        bool held;
        TRY(content_rely_file(content, &file->digest, &held, err));
        *ret_moved = *ret_moved || !held || moved_has(job->pull, &file->digest);
        if (held)
            continue;
        struct walk_need need = {.kind = WALK_FILE, .digest = file->digest, .bytes = file->bytes};
        BYTES_CLEANUP struct bytes place = {0};
        place_encode_file(entry->key, file_column(group, i), &place);
        need_add(job, &need, bytes_span(&place));
    }
    return ERR_OK;
}

static uint64_t partition_hash(struct span key)
{
    struct digest digest = digest_of(DOMAIN_CUT, key);
    return hash_of(&digest);
}

struct partition_run { /* of row groups of one partition within a leaf */
    struct span key;
    bool any, moved, first;
};

/* The run has ended; last: with the leaf. */
static void run_count(struct job *job, const struct partition_run *run, bool last)
{
    if (!run->any || !run->moved)
        return;
    if (run->first)
        job->plan.edge_partitions[0] = partition_hash(run->key);
    else if (last)
        job->plan.edge_partitions[1] = partition_hash(run->key);
    else
        job->plan.partitions_moved++;
}

static enum err_code plan_leaf(struct job *job, struct content *content, const struct page *page,
                               struct err *err)
{
    struct partition_run run = {.first = true};
    for (size_t i = 0; i < page->entry_count; i++) {
        const struct page_entry *entry = &page->entries[i];
        if (entry->kind != PAGE_ENTRY_ROW_GROUP)
            continue;
        struct row_group_place place;
        struct span key = row_group_key_split(entry->key, &place);
        if (run.any && !span_equal(run.key, key)) {
            run_count(job, &run, false);
            run = (struct partition_run){0};
        }
        run.any = true;
        run.key = key;
        TRY(plan_row_group(job, content, entry, &run.moved, err));
    }
    run_count(job, &run, true);
    return ERR_OK;
}

static enum err_code plan_tree_page(struct job *job, struct content *content, struct err *err)
{
    const struct job_item *item = &job->items[0];
    BYTES_CLEANUP struct bytes encoded = {0};
    struct page_place place;
    struct page page;
    TRY(staged_read(job->pull->options->store, &job->pull->record.id, &item->digest, &encoded,
                    err));
    TRY(place_decode_page(item->place, &place, err));
    TRY(page_decode(bytes_span(&encoded), &place, &job->arena, &page, err));
    if (page.level == 0)
        return plan_leaf(job, content, &page, err);
    for (size_t i = 0; i < page.entry_count; i++) {
        struct page_place child = page_place_child(&page, &place, i);
        TRY(plan_page(job, content, &page.entries[i].child.digest, &child,
                      (uint8_t)(page.level - 1), err));
    }
    return ERR_OK;
}

static enum err_code plan(struct job *job, struct err *err)
{
    struct content *content;
    TRY(job_content(job, &content, err));
    if (job->items[0].is_top)
        return plan_top(job, content, err);
    if (job->items[0].level == LEVEL_VERSION)
        return plan_version(job, content, err);
    return plan_tree_page(job, content, err);
}

void job_plan(struct job *job)
{
    job_end(job, plan(job, &job->err));
    needs_end(job);
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

static void results_begin(struct job *job)
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

/* Canonical, in order, within its parent's range, cut where it should be, with its parent's counts. */
static enum err_code page_check(struct job *job, const struct job_item *item, struct span bytes,
                                struct err *err)
{
    struct digest digest = page_digest(bytes);
    if (!digest_equal(&digest, &item->digest))
        return err_set(err, ERR_PEER, "its bytes have another digest");
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, PAGE_ARENA_BYTES);
    struct page_place place;
    struct page page;
    TRY(place_decode_page(item->place, &place, err));
    (void)job;
    TRY(page_decode(bytes, &place, &arena, &page, err));
    return tree_page_check(&page, &place, err);
}

void job_take_pages(struct job *job)
{
    uint32_t *lengths;
    size_t count;
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
        if (page_check(job, &job->items[i], bytes, &reason) != ERR_OK) {
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
    pthread_mutex_lock(&job->pull->lock);
    marks_add(&job->pull->moved, hash_of(&item->digest));
    pthread_mutex_unlock(&job->pull->lock);
    job->results[i] = WALK_STORED;
    return ERR_OK;
}

void job_take_files(struct job *job)
{
    uint32_t *lengths;
    size_t count;
    struct content *content;
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

/* ---- commit ---- */

static int digest_order(const void *a, const void *b)
{
    return digest_compare(a, b);
}

struct commit {
    struct content *content;
    struct digest *known; /* of this commit: sorted */
    size_t known_count;
    struct digest *pages; /* in order */
    size_t page_count;
};

static enum err_code commit_rely(struct commit *commit, const struct digest *digest, bool is_page,
                                 struct err *err)
{
    if (bsearch(digest, commit->known, commit->known_count, sizeof(*digest), digest_order) != NULL)
        return ERR_OK;
    bool held;
    TRY(is_page ? content_rely_page(commit->content, digest, &held, err)
                : content_rely_file(commit->content, digest, &held, err));
    char hex[DIGEST_HEX_BYTES];
    if (!held)
        return err_set(err, ERR_NOT_FOUND, "%s %.16s is not here any more",
                       is_page ? "page" : "file", digest_hex(digest, hex));
    return ERR_OK;
}

/* A file that was held before, or came for another page, has the length that this page says. */
static enum err_code commit_file(struct job *job, struct commit *commit,
                                 const struct page_file *file, struct err *err)
{
    uint64_t file_bytes;
    bool found;
    char hex[DIGEST_HEX_BYTES];
    TRY(commit_rely(commit, &file->digest, false, err));
    TRY(file_find(job->pull->options->store, &file->digest, &file_bytes, &found, err));
    if (found && file_bytes != file->bytes)
        return err_set(err, ERR_PEER,
                       "peer %.*s: file %.16s has %" PRIu64 " bytes, a page says %" PRIu64,
                       SPAN_PRINTF(job->pull->token.source.region), digest_hex(&file->digest, hex),
                       file_bytes, file->bytes);
    return ERR_OK;
}

/* CLOSED, once more: all that the page names is in this commit, or held and pinned by it. */
static enum err_code commit_check(struct job *job, struct commit *commit,
                                  const struct job_item *item, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, JOB_ARENA_BYTES);
    BYTES_CLEANUP struct bytes encoded = {0};
    TRY(staged_read(job->pull->options->store, &job->pull->record.id, &item->digest, &encoded,
                    err));
    if (item->level == LEVEL_VERSION) {
        struct version_record version;
        TRY(version_decode(bytes_span(&encoded), &arena, &version, err));
        return commit_rely(commit, &version.root, true, err);
    }
    struct page_place place;
    struct page page;
    TRY(place_decode_page(item->place, &place, err));
    TRY(page_decode(bytes_span(&encoded), &place, &arena, &page, err));
    for (size_t i = 0; i < page.entry_count; i++) {
        const struct page_entry *entry = &page.entries[i];
        if (entry->kind == PAGE_ENTRY_CHILD)
            TRY(commit_rely(commit, &entry->child.digest, true, err));
        for (size_t f = 0; entry->kind == PAGE_ENTRY_ROW_GROUP && f < entry->row_group.file_count;
             f++)
            TRY(commit_file(job, commit, &entry->row_group.files[f], err));
    }
    return ERR_OK;
}

static enum err_code commit(struct job *job, struct err *err)
{
    struct commit commit = {0};
    TRY(job_content(job, &commit.content, err));
    commit.known = arena_alloc(&job->arena, job->item_count + 1, sizeof(struct digest));
    commit.pages = arena_alloc(&job->arena, job->item_count + 1, sizeof(struct digest));
    ASSERT(commit.known != NULL && commit.pages != NULL);
    for (size_t i = 0; i < job->item_count; i++) {
        commit.known[commit.known_count++] = job->items[i].digest;
        if (job->items[i].kind == WALK_PAGE && !job->items[i].is_top)
            commit.pages[commit.page_count++] = job->items[i].digest;
    }
    qsort(commit.known, commit.known_count, sizeof(struct digest), digest_order);
    TRY(content_commit(commit.content, err));
    for (size_t i = 0; i < job->item_count; i++)
        if (job->items[i].kind == WALK_PAGE && !job->items[i].is_top)
            TRY(commit_check(job, &commit, &job->items[i], err));
    if (commit.page_count == 0)
        return ERR_OK;
    return staged_promote(commit.content, &job->pull->record.id, commit.pages, commit.page_count,
                          err);
}

void job_commit(struct job *job)
{
    job_end(job, commit(job, &job->err));
}

/* ---- publish ---- */

/* The totals are the root page's own, not what describe said. */
static enum err_code read_page(void *context, const struct digest *digest, struct bytes *ret_page,
                               struct err *err)
{
    return page_read(context, digest, ret_page, err);
}

static enum err_code published_totals(const struct pull *pull, const struct digest *root,
                                      struct page_totals *ret_totals, struct err *err)
{
    const struct page_source source = {.read = read_page, .context = pull->options->store};
    const struct tree tree = {.source = &source, .kind = TREE_MANIFEST, .root = *root};
    return tree_totals(&tree, ret_totals, err);
}

static enum err_code pinned(struct content *content, const struct digest *page, struct err *err)
{
    bool held;
    TRY(content_rely_page(content, page, &held, err));
    return held ? ERR_OK
                : err_set(err, ERR_CONFLICT, "what was pulled was cleaned up before the publish");
}

/* As it is recorded with the publish and at the end. */
static struct xcopy_record record_of(const struct job *job, enum task_state state)
{
    struct xcopy_record record = job->pull->record;
    record.state = state;
    record.counters = job->counters;
    pthread_mutex_lock(&job->pull->lock);
    record.started_ms = job->pull->status.started_ms;
    pthread_mutex_unlock(&job->pull->lock);
    return record;
}

static enum err_code publish(struct job *job, struct err *err)
{
    struct pull *pull = job->pull;
    struct described *described = &job->described;
    struct xcopy_target target;
    TRY(xcopy_rights_destination(&pull->rights, pull->record.token, &job->arena, &target, err));
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(content_open(pull->options->store, pull->account, &content, err));
    TRY(pinned(content, &described->version.page, err));
    TRY(pinned(content, &described->version.attribute_root, err));
    TRY(published_totals(pull, &described->manifest_root, &described->version.totals, err));
    struct xcopy_record record = record_of(job, TASK_DONE);
    record.published = true;
    record.version = described->version.version;
    record.root = described->manifest_root;
    CATALOG_CHANGE_CLEANUP struct catalog_change also = {0};
    xcopy_record_put(&also, &record);
    const struct change_note note = {
        .now_ms = xcopy_now_ms(), .principal = pull->record.principal, .also = &also};
    const struct snapshot_replica replica = {.project = target.project,
                                             .name = pull->token.destination.snapshot,
                                             .expires_ms = pull->record.expires_ms,
                                             .claim = bytes_span(&described->claim),
                                             .maker = described->maker,
                                             .signature = described->signature,
                                             .version = described->version};
    struct table_id id, replaced;
    return snapshot_publish(pull->options->store, &replica, &note, &id, &replaced, err);
}

void job_publish(struct job *job)
{
    job_end(job, publish(job, &job->err));
}

/* ---- finish ---- */

static enum err_code finish(struct job *job, struct err *err)
{
    struct store *store = job->pull->options->store;
    TRY(staged_drop(store, &job->pull->record.id, err));
    struct xcopy_record record = record_of(job, job->outcome);
    record.published = job->outcome == TASK_DONE;
    record.version = job->described.version.version;
    record.root = job->described.manifest_root;
    record.ended_ms = xcopy_now_ms();
    if (job->outcome == TASK_FAILED) {
        record.error = job->outcome_err.code;
        record.message = span_text(job->outcome_err.message);
    }
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    xcopy_record_put(&change, &record);
    catalog_delete(&change, FAMILY_TASKS, xcopy_key('c', &record.id, key));
    return catalog_commit(store, &change, CATALOG_USE_RESERVE, err);
}

void job_finish(struct job *job)
{
    job_end(job, finish(job, &job->err));
}
