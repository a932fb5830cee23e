#include "store/version_diff.h"

#include "store/rowsum.h"

struct change_flags {
    bool differs, perhaps;
};

struct diff {
    const struct version_side *here, *there;
    const struct version_diff_watch *watch;
    struct version_diff_counts counts;
    bool is_comparable; /* the row checksums are of the same columns */

    bool begun; /* the partition at hand */
    struct bytes key;
    bool entry_differs;
    bool has_here, has_there;
    struct page_partition partition_here, partition_there;
    bool is_aligned;
    struct change_flags *columns; /* in order of here's schema */
    struct bytes text, names, perhaps;
};

static void diff_deinit(struct diff *diff)
{
    bytes_deinit(&diff->key);
    bytes_deinit(&diff->text);
    bytes_deinit(&diff->names);
    bytes_deinit(&diff->perhaps);
    mem_free(diff->columns);
}
#define DIFF_CLEANUP __attribute__((cleanup(diff_deinit)))

static enum err_code change_tell(struct diff *diff, const struct version_change *change,
                                 struct err *err)
{
    diff->counts.of[change->kind]++;
    return diff->watch->on_change(diff->watch->context, change, err);
}

/* ---- schemas ---- */

static enum err_code schema_tell(struct diff *diff, struct span column, const char *detail,
                                 struct err *err)
{
    const struct version_change change = {
        .kind = CHANGE_SCHEMA, .columns = column, .detail = detail};
    return change_tell(diff, &change, err);
}

static const char *column_difference(const struct column *here, const struct column *there,
                                     bool is_partition, char detail[2 * TYPE_TEXT_BYTES + 32])
{
    char type_here[TYPE_TEXT_BYTES], type_there[TYPE_TEXT_BYTES];
    if (!type_equal(here->type, there->type)) {
        type_format(here->type, type_here);
        type_format(there->type, type_there);
        snprintf(detail, 2 * TYPE_TEXT_BYTES + 32, "%s here, %s there", type_here, type_there);
        return detail;
    }
    if (here->not_null != there->not_null)
        return here->not_null ? "NOT NULL here alone" : "NOT NULL there alone";
    if (!is_partition && here->id != there->id)
        return "at another place among the columns";
    if (here->has_default != there->has_default ||
        !span_equal(here->default_text, there->default_text))
        return "another default";
    return span_equal(here->comment, there->comment) ? NULL : "another comment";
}

static enum err_code column_compare(struct diff *diff, const struct column *here, bool is_partition,
                                    struct err *err)
{
    char detail[2 * TYPE_TEXT_BYTES + 32];
    bool there_is_partition = false;
    const struct column *there =
        schema_find(&diff->there->version->schema, here->name, &there_is_partition);
    if (there == NULL)
        return schema_tell(diff, here->name, "only here", err);
    if (is_partition != there_is_partition)
        return schema_tell(diff, here->name, "a partition column at one of them alone", err);
    const char *difference = column_difference(here, there, is_partition, detail);
    return difference == NULL ? ERR_OK : schema_tell(diff, here->name, difference, err);
}

static enum err_code schemas_compare(struct diff *diff, struct err *err)
{
    const struct schema *here = &diff->here->version->schema;
    const struct schema *there = &diff->there->version->schema;
    bool ignored;
    for (size_t i = 0; i < here->column_count; i++)
        TRY(column_compare(diff, &here->columns[i], false, err));
    for (size_t i = 0; i < here->partition_column_count; i++)
        TRY(column_compare(diff, &here->partition_columns[i], true, err));
    for (size_t i = 0; i < there->column_count; i++) {
        if (schema_find(here, there->columns[i].name, &ignored) == NULL)
            TRY(schema_tell(diff, there->columns[i].name, "only there", err));
    }
    for (size_t i = 0; i < there->partition_column_count; i++) {
        if (schema_find(here, there->partition_columns[i].name, &ignored) == NULL)
            TRY(schema_tell(diff, there->partition_columns[i].name, "only there", err));
    }
    if (diff->counts.schema_alone)
        TRY(schema_tell(
            diff, span_of(NULL, 0),
            "other partition columns, or in another order: partitions were not compared", err));
    if (!clustering_equal(&diff->here->version->clustering, &diff->there->version->clustering))
        TRY(schema_tell(diff, span_of(NULL, 0), "another clustering of new partitions", err));
    return ERR_OK;
}

/* What a row checksum is of: ids and types. */
static bool rows_alike(const struct schema *here, const struct schema *there)
{
    if (here->column_count != there->column_count)
        return false;
    for (size_t i = 0; i < here->column_count; i++) {
        const struct column *a = &here->columns[i], *b = &there->columns[i];
        if (a->id != b->id || !type_equal(a->type, b->type))
            return false;
    }
    return true;
}

/* What a partition's key is of: columns and types, in order. */
static bool partitions_alike(const struct schema *here, const struct schema *there)
{
    if (here->partition_column_count != there->partition_column_count)
        return false;
    for (size_t i = 0; i < here->partition_column_count; i++) {
        const struct column *a = &here->partition_columns[i], *b = &there->partition_columns[i];
        if (!span_equal(a->name, b->name) || !type_equal(a->type, b->type))
            return false;
    }
    return true;
}

/* ---- columns of a partition ---- */

static const struct page_column *column_of(const struct page_row_group *group, uint32_t id)
{
    for (size_t i = 0; i < group->column_count; i++) {
        if (group->columns[i].column_id == id)
            return &group->columns[i];
    }
    return NULL;
}

static bool statistics_equal(const struct page_column *a, const struct page_column *b)
{
    const struct page_statistics *x = &a->statistics, *y = &b->statistics;
    return a->null_count == b->null_count && x->nan_count == y->nan_count &&
           x->has_min == y->has_min && x->has_max == y->has_max &&
           (!x->has_min || span_equal(x->min, y->min)) &&
           (!x->has_max || span_equal(x->max, y->max));
}

static void place_compare(struct change_flags *flags, const struct page_row_group *here,
                          const struct page_column *a, const struct page_row_group *there,
                          const struct page_column *b)
{
    const struct page_file *file = &here->files[a->file], *other = &there->files[b->file];
    if (digest_equal(&file->digest, &other->digest) && a->offset == b->offset &&
        a->bytes == b->bytes)
        return;
    bool is_shared = a->bytes != file->bytes && b->bytes != other->bytes;
    if (!is_shared || a->bytes != b->bytes || !statistics_equal(a, b))
        flags->differs = true;
    else
        flags->perhaps = true;
}

static void groups_compare(struct diff *diff, const struct page_row_group *here,
                           const struct page_row_group *there)
{
    const struct schema *schema = &diff->here->version->schema;
    if (here->row_count != there->row_count || here->bucket != there->bucket ||
        here->column_count != there->column_count) {
        diff->is_aligned = false;
        return;
    }
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct page_column *a = column_of(here, schema->columns[i].id);
        const struct page_column *b = column_of(there, schema->columns[i].id);
        if (a != NULL && b != NULL)
            place_compare(&diff->columns[i], here, a, there, b);
        else if (a != b)
            diff->is_aligned = false;
    }
}

/* ---- partitions ---- */

static void name_append(struct bytes *names, struct span name)
{
    if (names->len > 0)
        bytes_append_text(names, ", ");
    bytes_append_span(names, name);
}

static void names_set(struct diff *diff)
{
    const struct schema *schema = &diff->here->version->schema;
    bytes_clear(&diff->names);
    bytes_clear(&diff->perhaps);
    for (size_t i = 0; i < schema->column_count && diff->is_aligned; i++) {
        if (diff->columns[i].differs)
            name_append(&diff->names, schema->columns[i].name);
        else if (diff->columns[i].perhaps)
            name_append(&diff->perhaps, schema->columns[i].name);
    }
}

/* The entry is the same at both: it was not given. */
static enum err_code partition_find(struct diff *diff, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    const struct tree tree = {diff->here->source, TREE_MANIFEST, diff->here->version->root};
    const struct page_entry *entry = NULL;
    TRY(tree_get(&tree, bytes_span(&diff->key), &page, &entry, err));
    if (entry->kind != PAGE_ENTRY_PARTITION)
        return err_set(err, ERR_CORRUPT, "a row group without its partition");
    diff->partition_here = diff->partition_there = entry->partition;
    diff->has_here = diff->has_there = true;
    return ERR_OK;
}

static void partition_judge(struct diff *diff, struct version_change *change)
{
    const struct page_partition *here = &diff->partition_here, *there = &diff->partition_there;
    if (!diff->has_here || !diff->has_there) {
        change->kind = diff->has_here ? CHANGE_ONLY_HERE : CHANGE_ONLY_THERE;
        return;
    }
    bool same = diff->is_comparable && here->row_count == there->row_count &&
                row_checksum_equal(here->checksum, there->checksum);
    change->kind = same ? CHANGE_OTHER_LAYOUT : CHANGE_OTHER_ROWS;
    if (same)
        return;
    names_set(diff);
    change->columns = bytes_span(&diff->names);
    change->perhaps = bytes_span(&diff->perhaps);
    if (!diff->is_comparable)
        change->detail = "its columns differ, so that its rows cannot be compared";
    else if (!diff->is_aligned)
        change->detail = "its rows lie in other row groups: which columns differ is not seen";
    else if (change->columns.len + change->perhaps.len == 0)
        change->detail = "no column file differs: one of the row checksums is wrong; VERIFY "
                         "SNAPSHOT ... DEEP says whether it is the one here";
}

static enum err_code partition_end(struct diff *diff, struct err *err)
{
    if (!diff->begun)
        return ERR_OK;
    if (!diff->entry_differs)
        TRY(partition_find(diff, err));
    struct version_change change = {0};
    partition_judge(diff, &change);
    bytes_clear(&diff->text);
    TRY(partition_format(&diff->here->version->schema, bytes_span(&diff->key), &diff->text, err));
    change.partition = bytes_span(&diff->text);
    change.here = diff->has_here ? &diff->partition_here : NULL;
    change.there = diff->has_there ? &diff->partition_there : NULL;
    return change_tell(diff, &change, err);
}

static void partition_begin(struct diff *diff, struct span key)
{
    diff->begun = true;
    bytes_clear(&diff->key);
    bytes_append_span(&diff->key, key);
    diff->entry_differs = diff->has_here = diff->has_there = false;
    diff->is_aligned = diff->is_comparable;
    memset(diff->columns, 0, diff->here->version->schema.column_count * sizeof(*diff->columns));
}

static enum err_code entries_take(struct diff *diff, const struct page_entry *here,
                                  const struct page_entry *there, struct err *err)
{
    const struct page_entry *one = here != NULL ? here : there;
    struct row_group_place ignored;
    struct span key =
        one->kind == PAGE_ENTRY_ROW_GROUP ? row_group_key_split(one->key, &ignored) : one->key;
    if (!diff->begun || !span_equal(key, bytes_span(&diff->key))) {
        TRY(partition_end(diff, err));
        partition_begin(diff, key);
    }
    if (here != NULL && there != NULL && here->kind != there->kind)
        return err_set(err, ERR_CORRUPT, "a partition's key is a row group's");
    if (one->kind == PAGE_ENTRY_PARTITION) {
        diff->entry_differs = true;
        diff->has_here = here != NULL;
        diff->has_there = there != NULL;
        diff->partition_here = here != NULL ? here->partition : (struct page_partition){0};
        diff->partition_there = there != NULL ? there->partition : (struct page_partition){0};
    } else if (here == NULL || there == NULL) {
        diff->is_aligned = false;
    } else if (diff->is_comparable) {
        groups_compare(diff, &here->row_group, &there->row_group);
    }
    return ERR_OK;
}

static enum err_code trees_compare(struct diff *diff, struct err *err)
{
    const struct tree here = {diff->here->source, TREE_MANIFEST, diff->here->version->root};
    const struct tree there = {diff->there->source, TREE_MANIFEST, diff->there->version->root};
    TREE_DIFF_CLEANUP struct tree_diff *trees = tree_diff_new(&here, &there);
    for (;;) {
        const struct page_entry *old = NULL, *new = NULL;
        if (diff->watch->stop != NULL && diff->watch->stop(diff->watch->context))
            return err_set(err, ERR_CANCELLED, "the comparison was cancelled");
        enum err_code code = tree_diff_next(trees, &old, &new, err);
        diff->counts.pages = tree_diff_pages(trees);
        TRY(code);
        if (old == NULL && new == NULL)
            return partition_end(diff, err);
        TRY(entries_take(diff, old, new, err));
    }
}

enum err_code version_diff(const struct version_side *here, const struct version_side *there,
                           const struct version_diff_watch *watch,
                           struct version_diff_counts *ret_counts, struct err *err)
{
    const struct schema *a = &here->version->schema, *b = &there->version->schema;
    DIFF_CLEANUP struct diff diff = {.here = here, .there = there, .watch = watch};
    diff.is_comparable = rows_alike(a, b);
    diff.counts.schema_alone = !partitions_alike(a, b);
    diff.columns = mem_calloc(a->column_count + 1, sizeof(*diff.columns));
    enum err_code code = schemas_compare(&diff, err);
    if (code == ERR_OK && !diff.counts.schema_alone)
        code = trees_compare(&diff, err);
    *ret_counts = diff.counts;
    return code;
}
