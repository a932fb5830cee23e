#include "node/task/xcopy_compare.h"

#include "node/task/xcopy_pull.h"
#include "proto/version.h"
#include "store/held.h"
#include "store/page_memory.h"
#include "store/reader.h"

struct compare {
    struct xcopy_rights rights;
    struct bytes token;
    struct table_id snapshot;
    /* the work's */
    struct account_id owner;      /* of the project here: what it holds need not be asked for */
    struct reader_handle *reader; /* here */
    struct content *pins;         /* of the other's pages that are held here */
    struct digest attributes;     /* the other's: not read */
    struct arena arena_there;
    struct bytes version_there;
    struct version_record there;
    struct page_memory pages;
    struct page_source source_there;
    bool is_missed;            /* a page that was left out was come to */
    const atomic_bool *closed; /* while it compares */
    /* the asker's, at the end */
    struct arena arena;
    struct compare_found *found;
    size_t found_capacity;
    struct compare_result result;
};

/* ---- life ---- */

struct compare *compare_new(const struct tasks_options *options, const struct tasks_order *order,
                            struct table_id snapshot)
{
    struct compare *compare = mem_calloc(1, sizeof(*compare));
    compare->rights = (struct xcopy_rights){.store = options->store,
                                            .principals = options->principals,
                                            .node = identity_public(options->identity)->sign,
                                            .region = options->region};
    compare->snapshot = snapshot;
    bytes_append_span(&compare->token, order->token);
    arena_init(&compare->arena, COMPARE_FOUND_MAX * KIB(4));
    return compare;
}

/* What the other said, when it is asked anew. */
static void there_clear(struct compare *compare)
{
    content_close(compare->pins);
    compare->pins = NULL;
    page_memory_deinit(&compare->pages);
    arena_deinit(&compare->arena_there);
    bytes_clear(&compare->version_there);
}

static void compare_work_free(void *context)
{
    struct compare *compare = context;
    there_clear(compare);
    bytes_deinit(&compare->version_there);
    reader_close(compare->reader);
    compare->reader = NULL;
}

void compare_free(void *context)
{
    struct compare *compare = context;
    compare_work_free(compare);
    bytes_deinit(&compare->token);
    arena_deinit(&compare->arena);
    mem_free(compare->found);
    mem_free(compare);
}

const struct compare_result *compare_result_get(const struct compare *compare)
{
    return &compare->result;
}

/* ---- rights, and the snapshot here ---- */

static enum err_code compare_check(void *context, struct err *err)
{
    struct compare *compare = context;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(8));
    TRY(xcopy_rights_compare(&compare->rights, bytes_span(&compare->token), compare->snapshot,
                             &arena, &compare->owner, err));
    if (compare->reader != NULL)
        return ERR_OK;
    TRY(reader_open(compare->rights.store, compare->snapshot, &compare->reader, err));
    compare->result.here = *reader_ref(compare->reader);
    return ERR_OK;
}

/* ---- what the other has ---- */

static enum err_code compare_begin(void *context, struct described *described, struct span version,
                                   bool *ret_enough, struct err *err)
{
    struct compare *compare = context;
    struct compare_result *result = &compare->result;
    there_clear(compare);
    bytes_append_span(&compare->version_there, version);
    arena_init(&compare->arena_there, version_arena_bytes(version.len));
    TRY(version_decode(bytes_span(&compare->version_there), &compare->arena_there, &compare->there,
                       err));
    TRY(content_open(compare->rights.store, compare->owner, &compare->pins, err));
    compare->attributes = described->version.attribute_root;
    result->there = described->version;
    result->equal = digest_equal(&result->here.version, &result->there.version);
    result->attributes_equal =
        digest_equal(&result->here.attribute_root, &result->there.attribute_root);
    *ret_enough = result->equal;
    return ERR_OK;
}

static enum err_code has_page(void *context, const struct digest *digest, bool *ret_has,
                              struct err *err)
{
    struct compare *compare = context;
    *ret_has = true;
    return digest_equal(digest, &compare->attributes)
               ? ERR_OK
               : content_rely_page(compare->pins, digest, ret_has, err);
}

/* Files are not asked about: nothing of them is counted. */
static enum err_code has_file(void *context, const struct digest *digest, bool *ret_has,
                              struct err *err)
{
    (void)context;
    (void)digest;
    (void)err;
    *ret_has = true;
    return ERR_OK;
}

static enum err_code base_has(void *context, struct span partition, bool *ret_has, struct err *err)
{
    (void)context;
    (void)partition;
    (void)err;
    *ret_has = false;
    return ERR_OK;
}

static enum err_code take_page(void *context, const struct digest *digest, struct span page,
                               bool *ret_enough, struct err *err)
{
    struct compare *compare = context;
    struct page_sink sink = page_memory_sink(&compare->pages);
    TRY(sink.write(sink.context, digest, page, err));
    compare->result.pages++;
    compare->result.page_bytes += page.len;
    *ret_enough = compare->pages.page_bytes >= COMPARE_PAGES_BYTES_MAX;
    return ERR_OK;
}

/* What came, and what this account holds: nothing that a stranger has here. */
static enum err_code there_read(void *context, const struct digest *digest, struct bytes *ret_page,
                                struct err *err)
{
    struct compare *compare = context;
    struct span page = page_memory_find(&compare->pages, digest);
    bool is_held = false;
    if (page.len > 0) {
        bytes_clear(ret_page);
        bytes_append_span(ret_page, page);
        return ERR_OK;
    }
    TRY(held_find_page(compare->rights.store, digest, compare->owner, &is_held, err));
    if (is_held)
        return page_read(compare->rights.store, digest, ret_page, err);
    compare->is_missed = true;
    return err_set(err, ERR_NOT_FOUND, "a page of the other region was not brought");
}

/* ---- the comparison ---- */

static struct compare_found *found_add(struct compare *compare)
{
    struct compare_result *result = &compare->result;
    if (result->found_count == compare->found_capacity) {
        compare->found_capacity = compare->found_capacity == 0 ? 64 : 2 * compare->found_capacity;
        compare->found =
            mem_realloc(compare->found, compare->found_capacity, sizeof(*compare->found));
        result->found = compare->found;
    }
    return &compare->found[result->found_count++];
}

static struct span detail_of(struct compare *compare, const struct version_change *change)
{
    return arena_copy(&compare->arena, span_text(change->detail == NULL ? "" : change->detail));
}

static enum err_code on_change(void *context, const struct version_change *change, struct err *err)
{
    struct compare *compare = context;
    (void)err;
    if (compare->result.found_count >= COMPARE_FOUND_MAX)
        return ERR_OK; /* counted */
    *found_add(compare) = (struct compare_found){
        .kind = change->kind,
        .partition = arena_copy(&compare->arena, change->partition),
        .columns = arena_copy(&compare->arena, change->columns),
        .perhaps = arena_copy(&compare->arena, change->perhaps),
        .detail = detail_of(compare, change),
        .has_here = change->here != NULL,
        .has_there = change->there != NULL,
        .rows_here = change->here != NULL ? change->here->row_count : 0,
        .rows_there = change->there != NULL ? change->there->row_count : 0,
        .bytes_here = change->here != NULL ? change->here->byte_count : 0,
        .bytes_there = change->there != NULL ? change->there->byte_count : 0,
    };
    return ERR_OK;
}

static bool is_closed(void *context)
{
    const struct compare *compare = context;
    return atomic_load(compare->closed);
}

static enum err_code versions_compare(struct compare *compare, struct err *err)
{
    const struct tree here = reader_tree(compare->reader);
    compare->source_there = (struct page_source){there_read, compare};
    const struct version_side side_here = {reader_version(compare->reader), here.source};
    const struct version_side side_there = {&compare->there, &compare->source_there};
    const struct version_diff_watch watch = {on_change, is_closed, compare};
    return version_diff(&side_here, &side_there, &watch, &compare->result.counts, err);
}

static enum err_code compare_conclude(void *context, const struct look *look,
                                      const atomic_bool *closed, struct err *err)
{
    struct compare *compare = context;
    struct compare_result *result = &compare->result;
    struct err cause = {0};
    (void)look;
    if (result->equal)
        return ERR_OK;
    compare->closed = closed;
    enum err_code code = versions_compare(compare, &cause);
    bool was_left_out = code == ERR_NOT_FOUND && compare->is_missed &&
                        compare->pages.page_bytes >= COMPARE_PAGES_BYTES_MAX;
    if (code != ERR_OK && !was_left_out)
        return err_set(err, code, "%s", cause.message);
    result->is_partial = was_left_out;
    return ERR_OK;
}

struct look_work compare_work(struct compare *compare)
{
    return (struct look_work){.check = compare_check,
                              .begin = compare_begin,
                              .store = {has_page, has_file, base_has, compare},
                              .page = take_page,
                              .conclude = compare_conclude,
                              .work_free = compare_work_free,
                              .free = compare_free,
                              .context = compare};
}
