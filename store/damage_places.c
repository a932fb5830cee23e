/* What damage hurts: down every table and snapshot to what is listed (damage.h).
 *
 *     names -> version page -> tree pages -> files          only where damage_below says so
 */
#include "store/damage.h"

#include "store/pages.h"
#include "store/parts.h"
#include "store/snapshot.h"
#include "store/table.h"

struct places {
    struct store *store;
    struct table_id only; /* 0: all */
    damage_on_place *on_place;
    void *context;
    /* of the version at hand */
    struct damage_place place;
    const struct schema *schema; /* NULL: its record is what is damaged */
    struct bytes partition, columns;
};

static void places_deinit(struct places *places)
{
    bytes_deinit(&places->partition);
    bytes_deinit(&places->columns);
}

/* ---- one place ---- */

static enum err_code place_tell(struct places *places, const struct digest *digest,
                                enum damage_kind kind, struct err *err)
{
    struct damage_place place = places->place;
    place.digest = *digest;
    place.kind = kind;
    place.partition = bytes_span(&places->partition);
    place.columns = bytes_span(&places->columns);
    return places->on_place(places->context, &place, err);
}

/* Of the row groups' key or the partition's own. A key that cannot be read says nothing. */
static void partition_set(struct places *places, struct span key)
{
    bytes_clear(&places->partition);
    if (partition_format(places->schema, key, &places->partition, NULL) != ERR_OK)
        bytes_clear(&places->partition);
}

static void column_add(struct places *places, uint32_t column_id)
{
    const struct schema *schema = places->schema;
    for (size_t i = 0; i < schema->column_count; i++) {
        if (schema->columns[i].id != column_id)
            continue;
        if (places->columns.len > 0)
            bytes_append_text(&places->columns, ", ");
        bytes_append_span(&places->columns, schema->columns[i].name);
    }
}

static enum err_code file_look(struct places *places, const struct page_entry *entry, size_t file,
                               struct err *err)
{
    const struct page_row_group *group = &entry->row_group;
    if (!damage_has(places->store, &group->files[file].digest))
        return ERR_OK;
    struct row_group_place where;
    partition_set(places, row_group_key_split(entry->key, &where));
    bytes_clear(&places->columns);
    for (size_t i = 0; i < group->column_count; i++) {
        if (group->columns[i].file == file)
            column_add(places, group->columns[i].column_id);
    }
    return place_tell(places, &group->files[file].digest, DAMAGE_FILE, err);
}

/* A page: what it names is not known but for the range that its parent gives. */
static enum err_code page_tell(struct places *places, const struct digest *digest, struct err *err)
{
    bytes_clear(&places->partition);
    bytes_clear(&places->columns);
    places->place.is_range = true;
    enum err_code code = place_tell(places, digest, DAMAGE_PAGE, err);
    places->place.is_range = false;
    return code;
}

/* ---- down ---- */

/* As deep as the tree. */
static enum err_code page_look(struct places *places, const struct digest *digest,
                               const struct page_place *place, struct err *err)
{
    bool damaged;
    TRY(damage_below(places->store, digest, &damaged, err));
    if (!damaged)
        return ERR_OK;
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    arena_init(&page.arena, PAGE_ARENA_BYTES);
    struct err cause;
    enum err_code code = page_read(places->store, digest, &page.encoded, &cause);
    if (code == ERR_OK)
        code = page_decode(bytes_span(&page.encoded), place, &page.arena, &page.page, &cause);
    if (code == ERR_IO || code == ERR_BUSY)
        return err_set(err, code, "%s", cause.message);
    if (code != ERR_OK)
        return page_tell(places, digest, err);
    for (size_t i = 0; i < page.page.entry_count; i++) {
        const struct page_entry *entry = &page.page.entries[i];
        struct page_place child = {0};
        if (entry->kind == PAGE_ENTRY_CHILD) {
            child = page_place_child(&page.page, place, i);
            TRY(page_look(places, &entry->child.digest, &child, err));
        }
        for (size_t f = 0; entry->kind == PAGE_ENTRY_ROW_GROUP && f < entry->row_group.file_count;
             f++)
            TRY(file_look(places, entry, f, err));
    }
    return ERR_OK;
}

static enum err_code version_look(struct places *places, const struct version_ref *ref,
                                  struct err *err)
{
    bool below = false, beside = false;
    TRY(damage_below(places->store, &ref->page, &below, err));
    TRY(damage_below(places->store, &ref->attribute_root, &beside, err));
    if (!below && !beside)
        return ERR_OK;
    BYTES_CLEANUP struct bytes encoded = {0};
    ARENA_CLEANUP struct arena arena;
    struct version_record version;
    struct err cause;
    arena_init(&arena, 0);
    enum err_code code = page_read(places->store, &ref->page, &encoded, &cause);
    if (code == ERR_OK) {
        arena_deinit(&arena);
        arena_init(&arena, version_arena_bytes(encoded.len));
        code = version_decode(bytes_span(&encoded), &arena, &version, &cause);
    }
    if (code == ERR_IO || code == ERR_BUSY)
        return err_set(err, code, "%s", cause.message);
    const struct page_place manifest = page_place_root(TREE_MANIFEST);
    const struct page_place attributes = page_place_root(TREE_ATTRIBUTES);
    if (code != ERR_OK) {
        TRY(page_tell(places, &ref->page, err));
        return page_look(places, &ref->attribute_root, &attributes, err);
    }
    places->schema = &version.schema;
    code = page_look(places, &version.root, &manifest, err);
    if (code == ERR_OK)
        code = page_look(places, &ref->attribute_root, &attributes, err);
    places->schema = NULL;
    return code;
}

/* ---- names ---- */

static enum err_code record_look(struct places *places, struct name_target target, struct err *err)
{
    if (places->only.n != 0 && places->only.n != target.id.n)
        return ERR_OK;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct version_ref version;
    places->place = (struct damage_place){
        .id = target.id, .is_snapshot = target.kind == NAME_SNAPSHOT, .version = &version};
    if (target.kind == NAME_SNAPSHOT) {
        struct snapshot_record snapshot;
        TRY(snapshot_get(places->store, NULL, target.id, &arena, &snapshot, err));
        places->place.name = snapshot.name;
        places->place.project = snapshot.project;
        version = snapshot.version;
    } else {
        struct table_record table;
        TRY(table_get(places->store, NULL, target.id, &arena, &table, err));
        places->place.name = table.name;
        places->place.project = table.project;
        version = table.version;
    }
    return version_look(places, &version, err);
}

static enum err_code name_take(void *context, struct name_target target, struct err *err)
{
    (void)err;
    bytes_append_u8(context, (uint8_t)target.kind);
    bytes_append_u64(context, target.id.n);
    return ERR_OK;
}

static enum err_code project_take(void *context, const struct project_record *project,
                                  struct err *err)
{
    (void)err;
    bytes_append_u64(context, project->id.n);
    return ERR_OK;
}

/* Names first, then what they stand for: no iterator stays open. One that goes meanwhile is skipped. */
enum err_code damage_places(struct store *store, struct table_id id, damage_on_place *on_place,
                            void *context, struct err *err)
{
    __attribute__((cleanup(places_deinit))) struct places places = {
        .store = store, .only = id, .on_place = on_place, .context = context};
    BYTES_CLEANUP struct bytes projects = {0};
    BYTES_CLEANUP struct bytes names = {0};
    if (damage_count(store) == 0)
        return ERR_OK;
    TRY(project_each(store, NULL, project_take, &projects, err));
    for (struct reader ids = reader_of(bytes_span(&projects)); ids.left.len > 0;) {
        struct project_id project = {reader_u64(&ids)};
        TRY(name_each(store, NULL, project, name_take, &names, err));
    }
    for (struct reader targets = reader_of(bytes_span(&names)); targets.left.len > 0;) {
        struct name_target target = {.kind = (enum name_kind)reader_u8(&targets)};
        target.id.n = reader_u64(&targets);
        enum err_code code = record_look(&places, target, err);
        if (code != ERR_OK && code != ERR_NOT_FOUND)
            return code;
    }
    return ERR_OK;
}
