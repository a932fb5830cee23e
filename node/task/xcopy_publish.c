/* The way into the store: commits while a task pulls, the publish, its last record. */
#include "node/task/xcopy_audit.h"
#include "node/task/repair_grant.h"
#include "node/task/xcopy_log.h"
#include "node/task/xcopy_pull.h"

#include "store/crash.h"
#include "store/held.h"
#include "store/tree.h"

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
    struct tree_cursor *manifest, *attributes; /* of the base; NULL: it has none */
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

/* A page on its way: staged, or in `pages` since a commit. */
static enum err_code walked_read(void *context, const struct digest *digest, struct bytes *ret_page,
                                 struct err *err)
{
    const struct pull *pull = context;
    struct err absent;
    enum err_code code =
        staged_read(pull->options->store, &pull->record.id, digest, ret_page, &absent);
    if (code == ERR_NOT_FOUND)
        return page_read(pull->options->store, digest, ret_page, err);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", absent.message);
}

static enum err_code read_page(void *context, const struct digest *digest, struct bytes *ret_page,
                               struct err *err)
{
    return page_read(context, digest, ret_page, err);
}

/* Of the base's tree of this kind; NULL: there is none. Borrows source. */
static struct tree_cursor *base_cursor(const struct xcopy_base *base, enum tree_kind kind,
                                       const struct page_source *source)
{
    const struct tree tree = {source, kind,
                              kind == TREE_MANIFEST ? base->manifest : base->attributes};
    return base->is_known ? tree_cursor_new(&tree) : NULL;
}

/* What the pages say is the peer's word; that they cannot be read is not. */
static enum err_code peer_lies(const struct job *job, enum err_code code, struct err *err)
{
    if (code != ERR_BAD_DATA)
        return code;
    struct err reason = *err;
    return err_set(err, ERR_PEER, "peer %.*s: %s", SPAN_PRINTF(job->pull->token.source.region),
                   reason.message);
}

/* A root, too, although publish looks at it again, wherever it stood before: in another tree it may
 * stand below, and is not read again there. */
static enum err_code page_across_check(struct job *job, const struct commit *commit,
                                       const struct page *page, const struct page_place *place,
                                       struct err *err)
{
    const struct page_source source = {.read = walked_read, .context = job->pull};
    struct tree_cursor *proven =
        page->tree == TREE_MANIFEST ? commit->manifest : commit->attributes;
    return peer_lies(job, tree_page_check_across(&source, page, place, proven, err), err);
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
    return page_across_check(job, commit, &page, &place, err);
}

static enum err_code commit_check_all(struct job *job, struct commit *commit, struct err *err)
{
    const struct page_source source = {.read = read_page, .context = job->pull->options->store};
    const struct xcopy_base *base = &job->described.base;
    TREE_CURSOR_CLEANUP struct tree_cursor *manifest = base_cursor(base, TREE_MANIFEST, &source);
    TREE_CURSOR_CLEANUP struct tree_cursor *attributes =
        base_cursor(base, TREE_ATTRIBUTES, &source);
    commit->manifest = manifest;
    commit->attributes = attributes;
    for (size_t i = 0; i < job->item_count; i++)
        if (job->items[i].kind == WALK_PAGE && !job->items[i].is_top)
            TRY(commit_check(job, commit, &job->items[i], err));
    return ERR_OK;
}

/* With the top all is here: the publish follows at once, and makes this durable with it. */
static bool is_last(const struct job *job)
{
    for (size_t i = 0; i < job->item_count; i++) {
        if (job->items[i].is_top)
            return true;
    }
    return false;
}

/* So that a task that goes on after a crash counts on, and knows when it began. */
static enum err_code checkpoint(struct job *job, struct content *content, struct err *err)
{
    if (job->pull->repair.is_one)
        return content_sync(content, err);
    struct xcopy_record record = record_of(job, TASK_QUEUED);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {.later = is_last(job)};
    xcopy_record_put(&change, &record);
    settle_put(job, TASK_RUNNING, &change);
    TRY(catalog_commit(job->pull->options->store, &change, CATALOG_KEEP_RESERVE, err));
    CRASH_POINT(CRASH_TASK_CHECKPOINT);
    return ERR_OK;
}

static enum err_code commit(struct job *job, struct err *err)
{
    struct commit commit = {0};
    TRY(job_project_stays(job, err)); /* rather than pull for nobody until the publish */
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
    TRY(commit_check_all(job, &commit, err));
    if (commit.page_count > 0)
        TRY(staged_promote(commit.content, &job->pull->record.id, commit.pages, commit.page_count,
                           err));
    return checkpoint(job, commit.content, err);
}

void job_commit(struct job *job)
{
    job_end(job, commit(job, &job->err));
}

/* ---- publish ---- */

#define PUBLISH_TRIES 64 /* one of those who publish at once always comes through */

/* ---- what is checked of the whole ---- */

/* A base may go while it is compared with. */
static enum err_code partitions_compare(const struct job *job, const struct tree_pair *pair,
                                        struct err *err)
{
    const struct xcopy_base *base = &job->described.base;
    const struct tree_pair old = {pair->source, base->manifest, base->attributes};
    if (base->is_known && tree_partitions_match(&old, pair, NULL) == ERR_OK)
        return ERR_OK;
    return tree_partitions_match(NULL, pair, err);
}

static enum err_code whole_check(const struct job *job, struct err *err)
{
    const struct page_source source = {.read = read_page, .context = job->pull->options->store};
    const struct tree_pair pair = {&source, job->described.manifest_root,
                                   job->described.version.attribute_root};
    const struct tree trees[] = {{&source, TREE_MANIFEST, pair.manifest},
                                 {&source, TREE_ATTRIBUTES, pair.attributes}};
    for (size_t i = 0; i < ARRAY_COUNT(trees); i++) {
        TREE_CURSOR_CLEANUP struct tree_cursor *proven =
            base_cursor(&job->described.base, trees[i].kind, &source);
        TRY(peer_lies(job, tree_root_check(&trees[i], proven, err), err));
    }
    return peer_lies(job, partitions_compare(job, &pair, err), err);
}

/* The totals are the root page's own, not what describe said. */
static enum err_code published_totals(const struct pull *pull, const struct digest *root,
                                      struct page_totals *ret_totals, struct err *err)
{
    const struct page_source source = {.read = read_page, .context = pull->options->store};
    const struct tree tree = {.source = &source, .kind = TREE_MANIFEST, .root = *root};
    return tree_totals(&tree, ret_totals, err);
}

/* ---- counts ---- */

static enum err_code moved_count(struct job *job, struct err *err)
{
    struct tally tally;
    TRY(tally_read(job->pull->options->store, &job->pull->record.id, &tally, err));
    job->counters.files_moved = tally.files;
    job->counters.bytes_moved = tally.bytes;
    return ERR_OK;
}

/* The final ones: of what is here now, whatever was counted on the way. */
static enum err_code counters_end(struct job *job, struct err *err)
{
    const struct pull *pull = job->pull;
    const struct page_totals *totals = &job->described.version.totals;
    struct task_counters *counters = &job->counters;
    TRY(moved_count(job, err));
    TRY(partitions_held_since(pull->options->store, pull->account, &job->described.manifest_root,
                              pull->record.held_since, &counters->partitions_moved, err));
    counters->partitions_total = totals->partitions;
    counters->rows_total = totals->rows;
    counters->bytes_total = totals->bytes;
    counters->bytes_skipped =
        totals->bytes > counters->bytes_moved ? totals->bytes - counters->bytes_moved : 0;
    return ERR_OK;
}

static enum err_code pinned(struct content *content, const struct digest *page, struct err *err)
{
    bool held;
    TRY(content_rely_page(content, page, &held, err));
    return held ? ERR_OK
                : err_set(err, ERR_CONFLICT, "what was pulled was cleaned up before the publish");
}

/* The peer may repair from here, and we from it, under the receipt that it will get. */
static void grant_give(const struct job *job, const struct xcopy_target *target,
                       struct catalog_change *change)
{
    const struct pull *pull = job->pull;
    BYTES_CLEANUP struct bytes receipt = {0};
    receipt_make(pull, &job->described, &job->counters, &receipt);
    const struct repair_grant grant = {.receipt = bytes_span(&receipt),
                                       .project = target->project,
                                       .page = job->described.version.page,
                                       .attribute_root = job->described.version.attribute_root};
    const struct public_identity keys = peer_keys(pull->peer);
    repair_grant_put(change, REPAIR_GAVE, &keys.sign, &job->described.version.version, &grant);
}

static void entry_of(struct job *job, const struct xcopy_record *record,
                     struct xcopy_entry *ret_entry)
{
    const struct pull *pull = job->pull;
    const char *region = pull->peer != NULL ? pull->peer->region : "";
    xcopy_entry_task(record, pull->options->store, region, &job->arena, ret_entry);
}

/* From here on a request to stop comes too late, until publish_end. */
static enum err_code publish_begin(struct pull *pull, struct err *err)
{
    unsigned asked = PUBLISH_MAY;
    return atomic_compare_exchange_strong(&pull->publishes, &asked, PUBLISH_NOW)
               ? ERR_OK
               : err_set(err, ERR_CANCELLED, "the task was cancelled");
}

static enum err_code publish_end(struct pull *pull, enum err_code code)
{
    if (code != ERR_OK)
        atomic_store(&pull->publishes, PUBLISH_MAY);
    return code;
}

/* The rights once more, as of now, and the one commit. ERR_CONFLICT: others took the same numbers. */
static enum err_code publish_once(struct job *job, struct err *err)
{
    struct pull *pull = job->pull;
    struct described *described = &job->described;
    struct xcopy_target target;
    TRY(job_target_ask(job, &target, err));
    struct xcopy_record record = record_of(job, TASK_DONE);
    record.published = true;
    record.version = described->version.version;
    record.root = described->manifest_root;
    CATALOG_CHANGE_CLEANUP struct catalog_change also = {0};
    xcopy_record_put(&also, &record);
    settle_put(job, TASK_DONE, &also);
    if (pull->peer != NULL)
        grant_give(job, &target, &also);
    struct xcopy_entry entry;
    entry_of(job, &record, &entry);
    const struct change_note note = {.now_ms = xcopy_now_ms(),
                                     .principal = pull->record.principal,
                                     .also = &also,
                                     .audit = &entry.record,
                                     .principal_id = principal_id(&target.principal)};
    const struct snapshot_replica replica = {.project = target.project,
                                             .name = pull->token.destination.snapshot,
                                             .replaces = target.replaces,
                                             .expires_ms = pull->record.expires_ms,
                                             .claim = bytes_span(&described->claim),
                                             .maker = described->maker,
                                             .signature = described->signature,
                                             .version = described->version};
    struct table_id id, replaced;
    TRY(publish_begin(pull, err));
    return publish_end(
        pull, snapshot_publish(pull->options->store, &replica, &note, &id, &replaced, err));
}

static enum err_code publish(struct job *job, struct err *err)
{
    struct pull *pull = job->pull;
    struct described *described = &job->described;
    struct xcopy_target target;
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(content_open(pull->options->store, pull->account, &content, err));
    TRY(pinned(content, &described->version.page, err));
    TRY(pinned(content, &described->version.attribute_root, err));
    TRY(job_target_ask(job, &target, err));
    TRY(whole_check(job, err));
    TRY(published_totals(pull, &described->manifest_root, &described->version.totals, err));
    TRY(counters_end(job, err));
    enum err_code code = ERR_CONFLICT; /* many publish at once: the next try is at once, too */
    for (unsigned tries = 0; code == ERR_CONFLICT && tries < PUBLISH_TRIES; tries++)
        code = publish_once(job, err);
    TRY(code);
    CRASH_POINT(CRASH_TASK_PUBLISHED);
    return ERR_OK;
}

void job_publish(struct job *job)
{
    job_end(job, job->pull->repair.is_one ? ERR_OK : publish(job, &job->err));
}

/* ---- finish ---- */

/* A repair has no record, but may have been asked to stop. */
static enum err_code cancel_forget(const struct job *job, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    if (job->outcome != TASK_CANCELLED)
        return ERR_OK;
    catalog_delete(&change, FAMILY_TASKS, xcopy_key('c', &job->pull->record.id, key));
    return catalog_commit(job->pull->options->store, &change, CATALOG_USE_RESERVE, err);
}

static enum err_code repair_finish(struct job *job, struct err *err)
{
    TRY(moved_count(job, err));
    TRY(cancel_forget(job, err));
    return tally_end(job->pull->options->store, &job->pull->record.id, err);
}

static enum err_code finish(struct job *job, struct err *err)
{
    struct store *store = job->pull->options->store;
    if (job->epoch != NULL && job->epoch->content != NULL)
        (void)!content_commit(job->epoch->content, NULL); /* a failing disk meets what follows */
    TRY(staged_drop(store, &job->pull->record.id, err));
    if (job->pull->repair.is_one)
        return repair_finish(job, err);
    if (job->outcome != TASK_DONE)
        TRY(moved_count(job, err));
    struct xcopy_record record = record_of(job, job->outcome);
    record.published = job->outcome == TASK_DONE;
    record.version = job->described.version.version;
    record.root = job->described.manifest_root;
    record.ended_ms = xcopy_now_ms();
    if (job->outcome == TASK_FAILED) {
        record.error = job->outcome_err.code;
        record.message = span_text(job->outcome_err.message);
    }
    /* What is published ends again after a crash that takes this record. But what the source said last it does not say again. */
    bool later = job->outcome == TASK_DONE && !settle_is_new(job);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {.later = later};
    uint8_t key[XCOPY_KEY_BYTES];
    xcopy_record_put(&change, &record);
    settle_put(job, job->outcome, &change);
    settle_put_newest(job, &change);
    catalog_delete(&change, FAMILY_TASKS, xcopy_key('c', &record.id, key));
    if (job->outcome != TASK_DONE) { /* else publishing has its entry */
        struct xcopy_entry entry;
        entry_of(job, &record, &entry);
        audit_put(&change, &entry.record);
    }
    TRY(catalog_commit(store, &change, CATALOG_USE_RESERVE, err));
    CRASH_POINT(CRASH_TASK_FINISHED);
    return tally_end(store, &job->pull->record.id, err);
}

void job_finish(struct job *job)
{
    enum err_code code = finish(job, &job->err);
    if (code == ERR_OK)
        log_task_ended(job);
    job_end(job, code);
}
