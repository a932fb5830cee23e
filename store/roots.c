#include "store/roots.h"

#include "store/account.h"
#include "store/catalog_check.h"
#include "store/catalog_keys.h"
#include "store/reader.h"
#include "store/tree.h"

/* ---- root records ---- */

static void root_key(struct root_name name, struct bytes *key)
{
    uint8_t purpose = (uint8_t)name.purpose;
    catalog_key_bytes('r', span_of(&purpose, 1), key);
    bytes_append_span(key, name.id);
}

void root_put(struct catalog_change *change, struct root_name name, const struct digest *pages,
              size_t page_count)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    struct root_record record = {.pages = (struct digest *)(uintptr_t)pages,
                                 .page_count = page_count};
    root_key(name, &key);
    root_record_encode(&record, &value);
    catalog_put(change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
}

void root_delete(struct catalog_change *change, struct root_name name)
{
    BYTES_CLEANUP struct bytes key = {0};
    root_key(name, &key);
    catalog_delete(change, FAMILY_CATALOG, bytes_span(&key));
}

/* ---- all roots ---- */

/* Whose a version is. A history record says its table alone, which may be dropped. */
struct root_of {
    struct table_id id;
    struct project_id project; /* 0 of a history record */
    bool is_table;
};

/* Calls ref for the version of every table, snapshot and history record, page for the pages
 * of every root record. */
struct root_visitor {
    enum err_code (*ref)(void *context, const struct root_of *of, const struct version_ref *ref,
                         struct err *err);
    enum err_code (*page)(void *context, const struct digest *page, struct err *err);
    void *context;
};

static enum err_code visit_table(const struct root_visitor *visitor, struct span value,
                                 struct arena *arena, struct err *err)
{
    struct table_record table;
    TRY(table_record_decode(value, arena, &table, err));
    const struct root_of of = {table.id, table.project, true};
    return visitor->ref(visitor->context, &of, &table.version, err);
}

static enum err_code visit_snapshot(const struct root_visitor *visitor, struct span value,
                                    struct arena *arena, struct err *err)
{
    struct snapshot_record snapshot;
    TRY(snapshot_record_decode(value, arena, &snapshot, err));
    const struct root_of of = {snapshot.id, snapshot.project, false};
    return visitor->ref(visitor->context, &of, &snapshot.version, err);
}

static enum err_code visit_history(const struct root_visitor *visitor, struct span value,
                                   struct arena *arena, struct err *err)
{
    struct history_record history;
    TRY(history_record_decode(value, arena, &history, err));
    const struct root_of of = {.id = history.table};
    return visitor->ref(visitor->context, &of, &history.version, err);
}

static enum err_code visit_root(const struct root_visitor *visitor, struct span value,
                                struct arena *arena, struct err *err)
{
    struct root_record root;
    TRY(root_record_decode(value, arena, &root, err));
    for (size_t i = 0; i < root.page_count; i++)
        TRY(visitor->page(visitor->context, &root.pages[i], err));
    return ERR_OK;
}

struct root_family {
    enum family family;
    const char *prefix;
    enum err_code (*visit)(const struct root_visitor *visitor, struct span value,
                           struct arena *arena, struct err *err);
};

static const struct root_family root_families[] = {
    {FAMILY_CATALOG, "t", visit_table},
    {FAMILY_CATALOG, "s", visit_snapshot},
    {FAMILY_HISTORY, "", visit_history},
    {FAMILY_CATALOG, "r", visit_root},
};

static enum err_code roots_visit_family(struct store *store, struct db_view *view,
                                        const struct root_family *family,
                                        const struct root_visitor *visitor, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(catalog_scan(store, view, family->family, span_text(family->prefix), span_of(NULL, 0),
                     &iter, err));
    for (;;) {
        struct span key;
        struct span value;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        arena_reset(&arena);
        TRY(family->visit(visitor, value, &arena, err));
    }
}

/* Of one moment: what moves from one record to another is met in one of them. */
static enum err_code roots_visit(struct store *store, const struct root_visitor *visitor,
                                 struct err *err)
{
    CATALOG_VIEW_CLEANUP struct db_view *view = NULL;
    TRY(catalog_view_open(store, &view, err));
    for (size_t i = 0; i < ARRAY_COUNT(root_families); i++)
        TRY(roots_visit_family(store, view, &root_families[i], visitor, err));
    return ERR_OK;
}

/* ---- clean-up's and fsck's view of pages ---- */

static enum err_code mark_ref(void *context, const struct root_of *of,
                              const struct version_ref *ref, struct err *err)
{
    (void)of;
    (void)err;
    collect_mark_page(context, &ref->page);
    collect_mark_page(context, &ref->attribute_root);
    return ERR_OK;
}

static enum err_code mark_root_page(void *context, const struct digest *page, struct err *err)
{
    (void)err;
    collect_mark_page(context, page);
    return ERR_OK;
}

static enum err_code tree_roots(void *context, struct store *store, struct collect_mark *mark,
                                struct err *err)
{
    (void)context;
    struct root_visitor visitor = {.ref = mark_ref, .page = mark_root_page, .context = mark};
    return roots_visit(store, &visitor, err);
}

/* ---- whose roots they are, for `held` ---- */

struct owner_of { /* a project or a table */
    uint64_t id;
    struct account_id account;
};

struct owner_list {
    struct owner_of *items; /* tables: ascending, as they are scanned */
    size_t count, capacity;
};

struct owners {
    struct collect_owned *owned;
    struct owner_list projects, tables;
    size_t accounts;
};

static void owners_deinit(struct owners *owners)
{
    mem_free(owners->projects.items);
    mem_free(owners->tables.items);
}

static void owner_push(struct owner_list *list, uint64_t id, struct account_id account)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        list->items = mem_realloc(list->items, list->capacity, sizeof(*list->items));
    }
    list->items[list->count++] = (struct owner_of){id, account};
}

static int owner_compare(const void *a, const void *b)
{
    uint64_t first = ((const struct owner_of *)a)->id, second = ((const struct owner_of *)b)->id;
    return (first > second) - (first < second);
}

/* 0: nobody's (any more). */
static struct account_id owner_find(const struct owner_list *list, uint64_t id)
{
    const struct owner_of wanted = {.id = id};
    const struct owner_of *found = list->count == 0 ? NULL
                                                    : bsearch(&wanted, list->items, list->count,
                                                              sizeof(wanted), owner_compare);
    return found == NULL ? (struct account_id){0} : found->account;
}

static enum err_code own_ref(void *context, const struct root_of *of, const struct version_ref *ref,
                             struct err *err)
{
    (void)err;
    struct owners *owners = context;
    struct account_id account = of->project.n != 0 ? owner_find(&owners->projects, of->project.n)
                                                   : owner_find(&owners->tables, of->id.n);
    if (account.n == 0)
        return ERR_OK;
    if (of->is_table)
        owner_push(&owners->tables, of->id.n, account);
    collect_own_root(owners->owned, account, &ref->page);
    collect_own_root(owners->owned, account, &ref->attribute_root);
    return ERR_OK;
}

static enum err_code own_root_page(void *context, const struct digest *page, struct err *err)
{
    (void)err;
    struct owners *owners = context;
    collect_own_root(owners->owned, (struct account_id){0}, page);
    return ERR_OK;
}

static enum err_code own_project(void *context, const struct project_record *project,
                                 struct err *err)
{
    (void)err;
    struct owners *owners = context;
    owner_push(&owners->projects, project->id.n, project->owner);
    return ERR_OK;
}

static enum err_code own_account(void *context, const struct account_record *account,
                                 struct err *err)
{
    (void)account;
    (void)err;
    struct owners *owners = context;
    owners->accounts++;
    return ERR_OK;
}

static enum err_code tree_owners(void *context, struct store *store, struct collect_owned *owned,
                                 bool *ret_several, struct err *err)
{
    (void)context;
    __attribute__((cleanup(owners_deinit))) struct owners owners = {.owned = owned};
    TRY(account_each(store, NULL, own_account, &owners, err));
    *ret_several = owners.accounts > 1;
    if (!*ret_several)
        return ERR_OK;
    TRY(project_each(store, NULL, own_project, &owners, err));
    if (owners.projects.count > 0)
        qsort(owners.projects.items, owners.projects.count, sizeof(struct owner_of), owner_compare);
    struct root_visitor visitor = {.ref = own_ref, .page = own_root_page, .context = &owners};
    return roots_visit(store, &visitor, err);
}

/* ---- pages ---- */

static enum err_code version_children(struct span encoded, struct collect_mark *mark,
                                      uint32_t *ret_level, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, version_arena_bytes(encoded.len));
    struct version_record version;
    if (version_decode(encoded, &arena, &version, err) != ERR_OK)
        return err_set(err, ERR_CORRUPT, "a version record cannot be decoded");
    collect_mark_page(mark, &version.root);
    *ret_level = LIMIT_TREE_DEPTH; /* more than any page of a tree */
    return ERR_OK;
}

static void page_children_mark(const struct page *page, struct collect_mark *mark)
{
    for (size_t i = 0; i < page->entry_count; i++) {
        const struct page_entry *entry = &page->entries[i];
        if (entry->kind == PAGE_ENTRY_CHILD)
            collect_mark_page(mark, &entry->child.digest);
        if (entry->kind != PAGE_ENTRY_ROW_GROUP)
            continue;
        for (size_t f = 0; f < entry->row_group.file_count; f++)
            collect_mark_file(mark, &entry->row_group.files[f].digest);
    }
}

static enum err_code tree_children(void *context, struct span encoded, struct collect_mark *mark,
                                   uint32_t *ret_level, struct err *err)
{
    (void)context;
    if (version_is(encoded))
        return version_children(encoded, mark, ret_level, err);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, PAGE_ARENA_BYTES);
    struct page_place place = page_place_any(page_tree_of(encoded));
    struct page page;
    struct err broken = {0};
    if (page_decode(encoded, &place, &arena, &page, &broken) != ERR_OK)
        return err_set(err, ERR_CORRUPT, "%s", broken.message);
    page_children_mark(&page, mark);
    *ret_level = page.level;
    return ERR_OK;
}

const struct collect_tree *catalog_tree(void)
{
    static const struct collect_tree tree = {
        .roots = tree_roots, .children = tree_children, .owners = tree_owners};
    return &tree;
}

/* ---- fsck: what is more than that everything is there ---- */

struct fsck {
    struct store *store;
    fsck_on_fault *on_fault;
    void *fault_context;
    struct fsck_counts *counts;
    struct bytes seen; /* digests of version pages that were checked */
};

static void fsck_fault(struct fsck *fsck, const struct digest *digest, const struct err *fault)
{
    fsck->counts->faults++;
    if (fsck->on_fault != NULL)
        fsck->on_fault(fsck->fault_context, digest, fault->message);
}

static enum err_code attribute_check(void *context, const struct partition_row *row,
                                     struct err *err)
{
    const struct page_entry *attribute = NULL;
    TRY(tree_cursor_next(context, &attribute, err));
    if (attribute == NULL || !span_equal(attribute->key, row->key))
        return err_set(err, ERR_CORRUPT, "partitions and their attributes differ");
    return ERR_OK;
}

/* Every partition has its attributes, and nothing else has. */
static enum err_code fsck_attributes(const struct reader_handle *reader, struct err *err)
{
    struct tree attributes = reader_attributes(reader);
    TREE_CURSOR_CLEANUP struct tree_cursor *cursor = tree_cursor_new(&attributes);
    const struct page_entry *more = NULL;
    TRY(reader_partitions(reader, span_of(NULL, 0), attribute_check, cursor, err));
    TRY(tree_cursor_next(cursor, &more, err));
    if (more != NULL)
        return err_set(err, ERR_CORRUPT, "attributes without their partition");
    return ERR_OK;
}

static enum err_code fsck_version(struct fsck *fsck, const struct version_ref *ref, struct err *err)
{
    READER_CLEANUP struct reader_handle *reader = NULL;
    TRY(reader_open_version(fsck->store, ref, &reader, err));
    struct version_names names = version_names_of(reader_version_bytes(reader));
    if (!digest_equal(&names.version, &ref->version))
        return err_set(err, ERR_CORRUPT, "the version record has another version");
    struct tree manifest = reader_tree(reader);
    struct page_totals totals;
    TRY(tree_totals(&manifest, &totals, err));
    if (totals.rows != ref->totals.rows || totals.bytes != ref->totals.bytes ||
        totals.partitions != ref->totals.partitions)
        return err_set(err, ERR_CORRUPT, "the catalog's counts are not the tree's");
    TRY(tree_check(&manifest, err));
    return fsck_attributes(reader, err);
}

static bool fsck_seen(struct fsck *fsck, const struct version_ref *ref)
{
    for (size_t at = 0; at < fsck->seen.len; at += 2 * DIGEST_BYTES) {
        const uint8_t *pair = fsck->seen.data + at;
        if (memcmp(pair, ref->page.b, DIGEST_BYTES) == 0 &&
            memcmp(pair + DIGEST_BYTES, ref->attribute_root.b, DIGEST_BYTES) == 0)
            return true;
    }
    bytes_append_span(&fsck->seen, digest_span(&ref->page));
    bytes_append_span(&fsck->seen, digest_span(&ref->attribute_root));
    return false;
}

static enum err_code fsck_ref(void *context, const struct root_of *of,
                              const struct version_ref *ref, struct err *err)
{
    (void)of;
    (void)err;
    struct fsck *fsck = context;
    struct err fault = {0};
    if (!fsck_seen(fsck, ref) && fsck_version(fsck, ref, &fault) != ERR_OK)
        fsck_fault(fsck, &ref->page, &fault);
    return ERR_OK;
}

static enum err_code fsck_root_page(void *context, const struct digest *page, struct err *err)
{
    (void)context;
    (void)page;
    (void)err;
    return ERR_OK; /* store_fsck has looked below it */
}

enum err_code catalog_fsck(struct store *store, enum fsck_depth depth, fsck_on_fault *on_fault,
                           void *fault_context, struct fsck_counts *ret_counts, struct err *err)
{
    struct fsck_counts counts = {0};
    TRY(store_fsck(store, catalog_tree(), depth, on_fault, fault_context, &counts, err));
    struct fsck fsck = {
        .store = store, .on_fault = on_fault, .fault_context = fault_context, .counts = &counts};
    struct root_visitor visitor = {.ref = fsck_ref, .page = fsck_root_page, .context = &fsck};
    enum err_code code = roots_visit(store, &visitor, err);
    bytes_deinit(&fsck.seen);
    if (code == ERR_OK)
        code = catalog_check(store, on_fault, fault_context, &counts.faults, err);
    if (code == ERR_OK)
        *ret_counts = counts;
    return code;
}
