#include "store/roots.h"

/* ---- what of a page is missing ---- */

static enum err_code missing_files(struct content *content, const struct page_entry *entry,
                                   const struct page_missing *missing, struct err *err)
{
    for (size_t i = 0; i < entry->row_group.file_count; i++) {
        const struct page_file *file = &entry->row_group.files[i];
        bool held = false;
        TRY(content_rely_file(content, &file->digest, &held, err));
        if (!held)
            TRY(missing->file(missing->context, entry, file, err));
    }
    return ERR_OK;
}

enum err_code page_missing_each(struct content *content, const struct page *page,
                                const struct page_place *place, const struct page_missing *missing,
                                struct err *err)
{
    for (size_t i = 0; i < page->entry_count; i++) {
        const struct page_entry *entry = &page->entries[i];
        if (entry->kind == PAGE_ENTRY_ROW_GROUP)
            TRY(missing_files(content, entry, missing, err));
        if (entry->kind != PAGE_ENTRY_CHILD)
            continue;
        bool held = false;
        TRY(content_rely_page(content, &entry->child.digest, &held, err));
        if (held)
            continue;
        struct page_place child = page_place_child(page, place, i);
        TRY(missing->page(missing->context, entry, &child, err));
    }
    return ERR_OK;
}

/* ---- promotion ---- */

/* So many pages move with one write. */
#define PROMOTE_BATCH 256

struct promote {
    struct content *content;
    const struct task_id *task;
    struct digest batch[PROMOTE_BATCH]; /* complete pages, children before parents */
    size_t batch_count;
    struct promote_counts counts;
};

static enum err_code promote_flush(struct promote *promote, struct err *err)
{
    if (promote->batch_count == 0)
        return ERR_OK;
    TRY(staged_promote(promote->content, promote->task, promote->batch, promote->batch_count, err));
    promote->counts.pages_promoted += promote->batch_count;
    promote->batch_count = 0;
    return ERR_OK;
}

static enum err_code promote_add(struct promote *promote, const struct digest *digest,
                                 struct err *err)
{
    promote->batch[promote->batch_count++] = *digest;
    return promote->batch_count == PROMOTE_BATCH ? promote_flush(promote, err) : ERR_OK;
}

static enum err_code promote_page(struct promote *promote, const struct digest *digest,
                                  const struct page_place *place, bool *ret_complete,
                                  struct err *err);

static enum err_code promote_files(struct promote *promote, const struct page_entry *entry,
                                   bool *complete, struct err *err)
{
    for (size_t i = 0; i < entry->row_group.file_count; i++) {
        bool held = false;
        TRY(content_rely_file(promote->content, &entry->row_group.files[i].digest, &held, err));
        if (!held) {
            promote->counts.files_missing++;
            *complete = false;
        }
    }
    return ERR_OK;
}

static enum err_code promote_entries(struct promote *promote, const struct page *page,
                                     const struct page_place *place, bool *ret_complete,
                                     struct err *err)
{
    bool complete = true;
    for (size_t i = 0; i < page->entry_count; i++) {
        const struct page_entry *entry = &page->entries[i];
        if (entry->kind == PAGE_ENTRY_ROW_GROUP)
            TRY(promote_files(promote, entry, &complete, err));
        if (entry->kind != PAGE_ENTRY_CHILD)
            continue;
        struct page_place child = page_place_child(page, place, i);
        bool child_complete = false;
        TRY(promote_page(promote, &entry->child.digest, &child, &child_complete, err));
        complete = complete && child_complete;
    }
    *ret_complete = complete;
    return ERR_OK;
}

/* In this batch already: equal subtrees may stand in a tree more than once. */
static bool promote_has(const struct promote *promote, const struct digest *digest)
{
    for (size_t i = 0; i < promote->batch_count; i++) {
        if (digest_equal(&promote->batch[i], digest))
            return true;
    }
    return false;
}

/* Goes as deep as the tree. */
static enum err_code promote_page(struct promote *promote, const struct digest *digest,
                                  const struct page_place *place, bool *ret_complete,
                                  struct err *err)
{
    bool held = promote_has(promote, digest);
    if (!held)
        TRY(content_rely_page(promote->content, digest, &held, err));
    *ret_complete = held;
    if (held)
        return ERR_OK;
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    arena_init(&page.arena, PAGE_ARENA_BYTES);
    enum err_code code =
        staged_read(content_store(promote->content), promote->task, digest, &page.encoded, err);
    if (code == ERR_NOT_FOUND) {
        promote->counts.pages_missing++;
        return ERR_OK;
    }
    TRY(code);
    TRY(page_decode(bytes_span(&page.encoded), place, &page.arena, &page.page, err));
    TRY(promote_entries(promote, &page.page, place, ret_complete, err));
    return *ret_complete ? promote_add(promote, digest, err) : ERR_OK;
}

enum err_code tree_promote(struct content *content, const struct task_id *task, enum tree_kind kind,
                           const struct digest *root, struct promote_counts *ret_counts,
                           struct err *err)
{
    struct promote promote = {.content = content, .task = task};
    struct page_place place = page_place_root(kind);
    TRY(promote_page(&promote, root, &place, &promote.counts.is_complete, err));
    TRY(promote_flush(&promote, err));
    *ret_counts = promote.counts;
    return ERR_OK;
}
