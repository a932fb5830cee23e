/* What of a page is not held here: it is to be pulled. */
#include "node/task/xcopy_pull.h"

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

static uint32_t file_column(const struct page_row_group *group, size_t file)
{
    for (size_t i = 0; i < group->column_count; i++)
        if (group->columns[i].file == file)
            return group->columns[i].column_id;
    return 0; /* page_decode has seen that each file is used */
}

static enum err_code plan_row_group(struct job *job, struct content *content,
                                    const struct page_entry *entry, struct err *err)
{
    const struct page_row_group *group = &entry->row_group;
    for (size_t i = 0; i < group->file_count; i++) {
        const struct page_file *file = &group->files[i];
        bool held;
        TRY(content_rely_file(content, &file->digest, &held, err));
        if (held)
            continue;
        struct walk_need need = {.kind = WALK_FILE, .digest = file->digest, .bytes = file->bytes};
        BYTES_CLEANUP struct bytes place = {0};
        place_encode_file(entry->key, file_column(group, i), &place);
        need_add(job, &need, bytes_span(&place));
    }
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
    for (size_t i = 0; i < page.entry_count; i++) {
        const struct page_entry *entry = &page.entries[i];
        if (entry->kind == PAGE_ENTRY_ROW_GROUP)
            TRY(plan_row_group(job, content, entry, err));
        if (entry->kind != PAGE_ENTRY_CHILD)
            continue;
        struct page_place child = page_place_child(&page, &place, i);
        TRY(plan_page(job, content, &entry->child.digest, &child, (uint8_t)(page.level - 1), err));
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
