#include "store/verify.h"

#include "store/catalog_commit.h"
#include "store/catalog_keys.h"
#include "store/cluster_check.h"
#include "store/column.h"
#include "store/damage.h"
#include "store/mark.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/reader.h"
#include "store/rowsum.h"
#include "store/snapshot.h"
#include "store/statistics.h"

#define NOTE_TRIES 8

struct verify {
    struct store *store;
    enum proof_depth depth;
    const struct verify_watch *watch;
    struct verify_counts counts;
    const struct schema *schema;
    struct digest_set files; /* whole */
    struct bytes content;    /* of a file */
    struct bytes text;       /* a partition's */
    uint64_t bytes_read;
    bool pages_lost; /* one could not be read: what is below was not seen */
    bool clustered;

    bool has_partition; /* the one at hand */
    bool partition_broken;
    struct bytes partition;
    struct row_checksum checksum;

    /* deep */
    struct column_codec *codec;
    struct rowsum rowsum;
    struct batch batch;
    bool has_group;
    bool group_broken;
    struct row_group_place group;
    uint64_t group_rows;
};

static void verify_init(struct verify *verify, struct store *store, enum proof_depth depth,
                        const struct verify_watch *watch)
{
    *verify = (struct verify){.store = store, .depth = depth, .watch = watch};
}

static void verify_deinit(struct verify *verify)
{
    digest_set_deinit(&verify->files);
    bytes_deinit(&verify->content);
    bytes_deinit(&verify->text);
    bytes_deinit(&verify->partition);
    if (verify->codec == NULL)
        return;
    column_codec_free(verify->codec);
    rowsum_deinit(&verify->rowsum);
    batch_deinit(&verify->batch);
}
#define VERIFY_CLEANUP __attribute__((cleanup(verify_deinit)))

static enum err_code go_on(struct verify *verify, struct err *err)
{
    const struct verify_watch *watch = verify->watch;
    if (watch->stop != NULL && watch->stop(watch->context))
        return err_set(err, ERR_CANCELLED, "VERIFY SNAPSHOT was cancelled; nothing was noted");
    return ERR_OK;
}

/* ---- faults ---- */

static void fault_tell(struct verify *verify, const struct verify_fault *fault)
{
    verify->counts.faults++;
    verify->watch->on_fault(verify->watch->context, fault);
}

static void fault_of_pages(struct verify *verify, enum verify_what what,
                           const struct digest *digest, const char *reason)
{
    fault_tell(verify, &(struct verify_fault){.what = what, .digest = digest, .reason = reason});
}

/* Of the partition at hand, which is not compared any more. */
static void fault_here(struct verify *verify, enum verify_what what, const struct digest *digest,
                       struct span columns, const char *reason)
{
    bytes_clear(&verify->text);
    if (partition_format(verify->schema, bytes_span(&verify->partition), &verify->text, NULL) !=
        ERR_OK)
        bytes_clear(&verify->text);
    verify->partition_broken = true;
    verify->group_broken = true;
    fault_tell(verify, &(struct verify_fault){.what = what,
                                              .digest = digest,
                                              .partition = bytes_span(&verify->text),
                                              .columns = columns,
                                              .reason = reason});
}

/* What is wrong with content, not with looking at it. */
static bool is_fault(enum err_code code)
{
    return code == ERR_CORRUPT || code == ERR_NOT_FOUND || code == ERR_BAD_DATA ||
           code == ERR_LIMIT || code == ERR_VERSION;
}

/* ---- deep: columns ---- */

static size_t column_at(const struct verify *verify, uint32_t id)
{
    size_t at = 0;
    while (at < verify->schema->column_count && verify->schema->columns[at].id != id)
        at++;
    return at;
}

static bool bound_holds(bool stored, struct span bound, const struct statistic *found, int sign)
{
    if (!stored)
        return true;
    return found->present && sign * span_compare(bound, span_of(found->data, found->len)) <= 0;
}

/* NULL: they hold. */
static const char *statistics_fault(const struct page_column *column, const struct vector *vector)
{
    const struct page_statistics *said = &column->statistics;
    struct statistics found = statistics_of(vector, 0, vector->rows);
    if (found.null_count != column->null_count)
        return "another number of NULLs than the tree says";
    if (found.nan_count != said->nan_count)
        return "another number of NaNs than the tree says";
    if (!bound_holds(said->has_min, said->min, &found.min, 1))
        return "a value below the minimum that the tree says";
    if (!bound_holds(said->has_max, said->max, &found.max, -1))
        return "a value above the maximum that the tree says";
    return NULL;
}

static enum err_code column_decode_whole(struct verify *verify, const struct page_column *column,
                                         struct vector *vector, struct err *err)
{
    const struct bytes *content = &verify->content;
    if (column->offset > content->len || column->bytes > content->len - column->offset)
        return err_set(err, ERR_CORRUPT, "it lies beyond the end of its file");
    if (vector->rows > 0)
        return err_set(err, ERR_CORRUPT, "a row group has it twice");
    struct span encoded = span_slice(bytes_span(content), column->offset, column->bytes);
    TRY(column_decode(verify->codec, encoded, vector, err));
    if (vector->rows != verify->group_rows)
        return err_set(err, ERR_CORRUPT, "%zu rows, the tree says %" PRIu64, vector->rows,
                       verify->group_rows);
    const char *fault = statistics_fault(column, vector);
    return fault == NULL ? ERR_OK : err_set(err, ERR_CORRUPT, "%s", fault);
}

static enum err_code column_check(struct verify *verify, const struct page_column *column,
                                  const struct digest *file, struct err *err)
{
    struct err cause;
    size_t at = column_at(verify, column->column_id);
    if (at == verify->schema->column_count) {
        fault_here(verify, VERIFY_COLUMN, file, span_of(NULL, 0),
                   "a column that the schema does not have");
        return ERR_OK;
    }
    enum err_code code = column_decode_whole(verify, column, &verify->batch.vectors[at], &cause);
    if (code == ERR_OK)
        return ERR_OK;
    if (!is_fault(code))
        return err_set(err, code, "%s", cause.message);
    fault_here(verify, VERIFY_COLUMN, file, verify->schema->columns[at].name, cause.message);
    return ERR_OK;
}

/* ---- files ---- */

static void file_columns(struct verify *verify, const struct page_row_group *group, size_t file,
                         struct bytes *out)
{
    for (size_t i = 0; i < group->column_count; i++) {
        size_t at = column_at(verify, group->columns[i].column_id);
        if (group->columns[i].file != file || at == verify->schema->column_count)
            continue;
        if (out->len > 0)
            bytes_append_text(out, ", ");
        bytes_append_span(out, verify->schema->columns[at].name);
    }
}

static void file_fault(struct verify *verify, const struct page_row_group *group, size_t file,
                       const char *reason)
{
    BYTES_CLEANUP struct bytes columns = {0};
    file_columns(verify, group, file, &columns);
    fault_here(verify, VERIFY_FILE, &group->files[file].digest, bytes_span(&columns), reason);
}

/* *ret_whole: it was read, and is in verify->content. */
static enum err_code file_load(struct verify *verify, const struct page_row_group *group,
                               size_t file, bool *ret_whole, struct err *err)
{
    const struct page_file *named = &group->files[file];
    struct err cause;
    enum err_code code =
        file_read(verify->store, &named->digest, FILE_CHECK_DIGEST, &verify->content, &cause);
    *ret_whole = false;
    if (code == ERR_NOT_FOUND)
        damage_note(verify->store, &named->digest, DAMAGE_FILE, cause.message);
    if (code == ERR_OK && verify->content.len != named->bytes)
        code = err_set(&cause, ERR_CORRUPT, "it has %zu bytes, the tree says %" PRIu64,
                       verify->content.len, named->bytes);
    if (code == ERR_OK) {
        *ret_whole = true;
        return ERR_OK;
    }
    if (!is_fault(code))
        return err_set(err, code, "%s", cause.message);
    file_fault(verify, group, file, cause.message);
    return ERR_OK;
}

/* Whether it is counted for the first time, as far as is remembered. */
static bool file_is_new(struct verify *verify, const struct digest *digest)
{
    if (verify->files.count < VERIFY_FILES_MAX)
        return digest_set_add(&verify->files, digest);
    return !digest_set_has(&verify->files, digest);
}

static enum err_code file_check(struct verify *verify, const struct page_row_group *group,
                                size_t file, struct err *err)
{
    const struct digest *digest = &group->files[file].digest;
    bool whole;
    TRY(go_on(verify, err));
    if (verify->depth == PROOF_STORED && digest_set_has(&verify->files, digest))
        return ERR_OK;
    TRY(file_load(verify, group, file, &whole, err));
    if (!whole)
        return ERR_OK;
    verify->bytes_read += verify->content.len;
    if (verify->watch->on_bytes != NULL)
        verify->watch->on_bytes(verify->watch->context, verify->bytes_read);
    if (file_is_new(verify, digest)) {
        verify->counts.files++;
        verify->counts.file_bytes += verify->content.len;
    }
    for (size_t i = 0; verify->depth == PROOF_DEEP && i < group->column_count; i++) {
        if (group->columns[i].file == file)
            TRY(column_check(verify, &group->columns[i], digest, err));
    }
    return ERR_OK;
}

/* ---- row groups and partitions, as their entries come ---- */

static void group_end(struct verify *verify)
{
    bool had = verify->has_group;
    verify->has_group = false;
    if (!had || verify->depth != PROOF_DEEP)
        return;
    for (size_t i = 0; i < verify->schema->column_count && !verify->group_broken; i++) {
        if (verify->batch.vectors[i].rows != verify->group_rows)
            fault_here(verify, VERIFY_COLUMN, NULL, verify->schema->columns[i].name,
                       "a row group does not have it");
    }
    if (verify->group_broken)
        return;
    verify->batch.rows = verify->group_rows;
    rowsum_add(&verify->rowsum, &verify->batch, 0, verify->group_rows);
}

static void group_begin(struct verify *verify, const struct row_group_place *place, uint64_t rows)
{
    group_end(verify);
    verify->has_group = true;
    verify->group_broken = false;
    verify->group = *place;
    verify->group_rows = rows;
    verify->counts.row_groups++;
    verify->counts.rows += rows;
    if (verify->depth == PROOF_DEEP)
        batch_clear(&verify->batch);
}

static void partition_end(struct verify *verify)
{
    group_end(verify);
    if (!verify->has_partition || verify->depth != PROOF_DEEP || verify->partition_broken)
        return;
    if (!row_checksum_equal(rowsum_get(&verify->rowsum), verify->checksum))
        fault_here(verify, VERIFY_PARTITION, NULL, span_of(NULL, 0),
                   "its rows are not those that its row checksum was made of");
}

static void partition_begin(struct verify *verify, struct span key)
{
    partition_end(verify);
    verify->has_partition = true;
    verify->partition_broken = false;
    bytes_clear(&verify->partition);
    bytes_append_span(&verify->partition, key);
    if (verify->depth == PROOF_DEEP)
        rowsum_reset(&verify->rowsum);
}

static bool same_group(const struct verify *verify, const struct row_group_place *place)
{
    return verify->has_group && verify->group.segment == place->segment &&
           verify->group.row_group == place->row_group;
}

static enum err_code row_group_take(struct verify *verify, const struct page_entry *entry,
                                    struct err *err)
{
    struct row_group_place place;
    struct span partition = row_group_key_split(entry->key, &place);
    if (!verify->has_partition || !span_equal(partition, bytes_span(&verify->partition))) {
        partition_begin(verify,
                        partition); /* its entry was on a page that is lost, or it has none */
        verify->partition_broken = true;
    }
    if (!same_group(verify, &place))
        group_begin(verify, &place, entry->row_group.row_count);
    for (size_t i = 0; i < entry->row_group.file_count; i++)
        TRY(file_check(verify, &entry->row_group, i, err));
    return ERR_OK;
}

static enum err_code entry_take(struct verify *verify, const struct page_entry *entry,
                                struct err *err)
{
    if (entry->kind == PAGE_ENTRY_ROW_GROUP)
        return row_group_take(verify, entry, err);
    if (entry->kind != PAGE_ENTRY_PARTITION)
        return ERR_OK; /* an attribute */
    partition_begin(verify, entry->key);
    verify->checksum = entry->partition.checksum;
    verify->clustered |= entry->partition.clustering.kind != CLUSTERING_NONE;
    verify->counts.partitions++;
    return ERR_OK;
}

/* ---- pages ---- */

/* *ret_whole: it is in page. Else it was told. */
static enum err_code page_load(struct verify *verify, const struct digest *digest,
                               const struct page_place *place, struct tree_page *page,
                               bool *ret_whole, struct err *err)
{
    struct err cause;
    enum err_code code = page_read(verify->store, digest, &page->encoded, &cause);
    enum verify_what what = VERIFY_PAGE;
    *ret_whole = false;
    if (code == ERR_NOT_FOUND)
        damage_note(verify->store, digest, DAMAGE_PAGE, cause.message);
    if (code == ERR_OK && page != NULL && place != NULL) {
        code = page_decode(bytes_span(&page->encoded), place, &page->arena, &page->page, &cause);
        what = VERIFY_TREE; /* its bytes are what its digest says */
    }
    if (code == ERR_OK) {
        verify->counts.pages++;
        *ret_whole = true;
        return ERR_OK;
    }
    if (!is_fault(code))
        return err_set(err, code, "%s", cause.message);
    verify->pages_lost = true;
    verify->partition_broken = true;
    fault_of_pages(verify, what, digest, cause.message);
    return ERR_OK;
}

/* As deep as the tree. */
static enum err_code page_walk(struct verify *verify, const struct digest *digest,
                               const struct page_place *place, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    bool whole;
    TRY(go_on(verify, err));
    arena_init(&page.arena, PAGE_ARENA_BYTES);
    TRY(page_load(verify, digest, place, &page, &whole, err));
    for (size_t i = 0; whole && i < page.page.entry_count; i++) {
        const struct page_entry *entry = &page.page.entries[i];
        if (entry->kind != PAGE_ENTRY_CHILD) {
            TRY(entry_take(verify, entry, err));
            continue;
        }
        const struct page_place child = page_place_child(&page.page, place, i);
        TRY(page_walk(verify, &entry->child.digest, &child, err));
    }
    return ERR_OK;
}

/* ---- the trees together ---- */

static enum err_code stopping_file_read(void *context, const struct digest *digest,
                                        struct bytes *ret_file, struct err *err)
{
    struct verify *verify = context;
    TRY(go_on(verify, err));
    return file_read(verify->store, digest, FILE_CHECK_LENGTH, ret_file, err);
}

static enum err_code totals_check(const struct tree *tree, const struct version_ref *ref,
                                  struct err *err)
{
    struct page_totals totals;
    TRY(tree_totals(tree, &totals, err));
    if (totals.rows != ref->totals.rows || totals.bytes != ref->totals.bytes ||
        totals.partitions != ref->totals.partitions)
        return err_set(err, ERR_CORRUPT,
                       "the record says %" PRIu64 " rows, %" PRIu64 " bytes and %" PRIu64
                       " partitions; the tree %" PRIu64 ", %" PRIu64 " and %" PRIu64,
                       ref->totals.rows, ref->totals.bytes, ref->totals.partitions, totals.rows,
                       totals.bytes, totals.partitions);
    return ERR_OK;
}

/* What is not seen at one page, and only where all are there. */
static enum err_code trees_check(struct verify *verify, const struct reader_handle *reader,
                                 struct err *err)
{
    struct tree tree = reader_tree(reader);
    const struct tree_pair pair = {
        .source = tree.source,
        .manifest = tree.root,
        .attributes = reader_ref(reader)->attribute_root,
    };
    TRY(totals_check(&tree, reader_ref(reader), err));
    TRY(tree_check(&tree, err));
    TRY(tree_partitions_match(NULL, &pair, err));
    if (verify->depth != PROOF_DEEP || !verify->clustered || verify->counts.faults > 0)
        return ERR_OK;
    const struct file_source files = {.read = stopping_file_read, .context = verify};
    uint64_t rows;
    return cluster_check(&tree, verify->schema, &files, &rows, err);
}

static enum err_code trees_walk(struct verify *verify, const struct reader_handle *reader,
                                struct err *err)
{
    const struct page_place manifest = page_place_root(TREE_MANIFEST);
    struct err cause;
    verify->schema = &reader_version(reader)->schema;
    if (verify->depth == PROOF_DEEP) {
        verify->codec = column_codec_new();
        rowsum_init(&verify->rowsum, verify->schema);
        batch_init(&verify->batch, verify->schema);
    }
    TRY(page_walk(verify, &reader_version(reader)->root, &manifest, err));
    partition_end(verify);
    if (verify->pages_lost)
        return ERR_OK;
    enum err_code code = trees_check(verify, reader, &cause);
    if (code != ERR_OK && !is_fault(code))
        return err_set(err, code, "%s", cause.message);
    if (code != ERR_OK)
        fault_of_pages(verify, VERIFY_TREE, NULL, cause.message);
    return ERR_OK;
}

/* ---- the record ---- */

static enum err_code record_check(struct store *store, struct table_id id,
                                  struct version_ref *ret_ref, struct err *reason, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    struct snapshot_record snapshot;
    struct snapshot_claim claim;
    TRY(snapshot_get(store, NULL, id, &arena, &snapshot, err));
    *ret_ref = snapshot.version;
    *reason = (struct err){0};
    if (snapshot_claim_decode(snapshot.claim, &arena, &claim, reason) != ERR_OK ||
        snapshot_verify(snapshot.claim, &snapshot.maker, snapshot.signature, reason) != ERR_OK)
        return ERR_OK;
    if (!digest_equal(&claim.version, &snapshot.version.version) ||
        !digest_equal(&claim.attribute_root, &snapshot.version.attribute_root))
        err_set(reason, ERR_CORRUPT, "the version here is not the one that was signed");
    return ERR_OK;
}

/* The version's own page: all else hangs below it. */
static enum err_code version_check(struct verify *verify, const struct version_ref *ref,
                                   bool *ret_whole, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    struct version_names names;
    TRY(page_load(verify, &ref->page, NULL, &page, ret_whole, err));
    if (!*ret_whole)
        return ERR_OK;
    names = version_names_of(bytes_span(&page.encoded));
    if (!digest_equal(&names.version, &ref->version))
        fault_of_pages(verify, VERIFY_RECORD, NULL,
                       "the version's page is another version's than the record says");
    return ERR_OK;
}

static enum err_code version_walk(struct verify *verify, const struct version_ref *ref,
                                  struct err *err)
{
    READER_CLEANUP struct reader_handle *reader = NULL;
    const struct page_place attributes = page_place_root(TREE_ATTRIBUTES);
    struct err cause;
    bool whole;
    TRY(page_walk(verify, &ref->attribute_root, &attributes, err));
    TRY(version_check(verify, ref, &whole, err));
    if (!whole)
        return ERR_OK;
    enum err_code code = reader_open_version(verify->store, ref, &reader, &cause);
    if (code == ERR_OK)
        return trees_walk(verify, reader, err);
    if (!is_fault(code))
        return err_set(err, code, "%s", cause.message);
    fault_of_pages(verify, VERIFY_TREE, &ref->page, cause.message);
    return ERR_OK;
}

enum err_code verify_snapshot(struct store *store, struct table_id id, enum proof_depth depth,
                              const struct verify_watch *watch, struct verify_counts *ret_counts,
                              struct err *err)
{
    VERIFY_CLEANUP struct verify verify;
    CONTENT_CLEANUP struct content *pins = NULL;
    struct version_ref ref, signed_ref;
    struct err reason;
    verify_init(&verify, store, depth, watch);
    TRY(content_open(store, (struct account_id){0}, &pins, err));
    TRY(reader_pin(store, id, pins, &ref, err));
    TRY(record_check(store, id, &signed_ref, &reason, err));
    if (reason.code != ERR_OK)
        fault_of_pages(&verify, VERIFY_RECORD, NULL, reason.message);
    db_cache_drop(store->db);
    TRY(version_walk(&verify, &ref, err));
    *ret_counts = verify.counts;
    return ERR_OK;
}

/* ---- its note ---- */

uint64_t verify_proven_ms(const struct snapshot_record *snapshot)
{
    uint64_t stored_ms = snapshot->proofs[PROOF_STORED].proven_ms;
    uint64_t deep_ms = snapshot->proofs[PROOF_DEEP].proven_ms;
    return stored_ms > deep_ms ? stored_ms : deep_ms;
}

static enum err_code note_try(struct store *store, struct table_id id, enum proof_depth depth,
                              const struct snapshot_proof *proof, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct snapshot_record snapshot;
    struct span record;
    bool found;
    catalog_key_id('s', id.n, &key);
    TRY(catalog_record_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), &arena, &record, &found,
                            err));
    if (!found)
        return err_set(err, ERR_TABLE_NOT_FOUND, "the snapshot was dropped or replaced meanwhile");
    TRY(snapshot_record_decode(record, &arena, &snapshot, err));
    if (snapshot.proofs[depth].proven_ms > proof->proven_ms)
        return ERR_OK; /* another drill ended later */
    snapshot.proofs[depth] = *proof;
    snapshot_record_encode(&snapshot, &value);
    catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), record);
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    return catalog_commit(store, &change, CATALOG_KEEP_RESERVE, err);
}

enum err_code verify_note(struct store *store, struct table_id id, enum proof_depth depth,
                          const struct snapshot_proof *proof, struct err *err)
{
    enum err_code code = ERR_CONFLICT;
    for (int tries = 0; tries < NOTE_TRIES && code == ERR_CONFLICT; tries++)
        code = note_try(store, id, depth, proof, err);
    return code;
}
