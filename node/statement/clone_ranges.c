#include "node/statement/clone_ranges.h"

#include "node/sql/lexer.h"
#include "node/statement/partition.h"
#include "node/statement/show_like.h"
#include "proto/key.h"

struct clone_place {
    size_t at, len; /* in keys */
    size_t spec;
};

void clone_selection_deinit(struct clone_selection *selection)
{
    mem_free(selection->prefixes);
    bytes_deinit(&selection->keys);
    bytes_deinit(&selection->places);
}

/* As written: PARTITION(day=2024-01-01, shop=a). */
static const char *spec_text(const struct partition_spec *spec, struct bytes *out)
{
    bytes_append_text(out, "PARTITION(");
    for (size_t i = 0; i < spec->count; i++)
        bytes_printf(out, "%s%.*s=%.*s", i == 0 ? "" : ", ", SPAN_PRINTF(spec->items[i].column),
                     SPAN_PRINTF(spec->items[i].value.text));
    bytes_append_text(out, ")");
    bytes_append_u8(out, 0);
    return (const char *)out->data;
}

static void key_add(struct clone_selection *selection, struct span key, size_t spec)
{
    struct clone_place place = {.at = selection->keys.len, .len = key.len, .spec = spec};
    bytes_append_span(&selection->keys, key);
    bytes_append(&selection->places, &place, sizeof(place));
}

static bool has_prefix(struct span key, struct span prefix)
{
    return key.len >= prefix.len && span_equal(span_slice(key, 0, prefix.len), prefix);
}

/* ---- one spec ---- */

struct look {
    const struct partition_spec *spec;
    const struct schema *schema;
    struct tree_cursor *cursor; /* of all specs: neighbours share pages */
    struct bytes prefix;
    bool is_prefix; /* it gives the first levels and no others */
};

static void look_deinit(struct look *look)
{
    bytes_deinit(&look->prefix);
}

static enum err_code look_init(struct look *look, struct err *err)
{
    struct value values[LIMIT_PARTITION_LEVELS];
    bool given[LIMIT_PARTITION_LEVELS];
    const struct partition_spec *spec = look->spec;
    size_t levels = 0;
    TRY(partition_spec_values(look->schema, spec, values, given, err));
    while (levels < look->schema->partition_column_count && given[levels]) {
        key_append_value(&look->prefix, look->schema->partition_columns[levels].type,
                         values[levels]);
        levels++;
    }
    look->is_prefix = levels == spec->count;
    tree_cursor_seek(look->cursor, bytes_span(&look->prefix));
    return ERR_OK;
}

/* The next partition of the source that the spec names; NULL at the end. */
static enum err_code look_next(struct look *look, const struct page_entry **ret_entry,
                               struct err *err)
{
    for (;;) {
        TRY(tree_cursor_next(look->cursor, ret_entry, err));
        if (*ret_entry == NULL)
            return ERR_OK;
        if (!has_prefix((*ret_entry)->key, bytes_span(&look->prefix))) {
            *ret_entry = NULL;
            return ERR_OK;
        }
        tree_cursor_seek_past(look->cursor, (*ret_entry)->key); /* it stays valid */
        if (look->is_prefix || show_partition_fits(look->schema, look->spec, (*ret_entry)->key))
            return ERR_OK;
    }
}

static enum err_code spec_add(struct clone_selection *selection, struct tree_cursor *cursor,
                              const struct schema *schema, const struct partition_specs *specs,
                              size_t at, struct err *err)
{
    __attribute__((cleanup(look_deinit))) struct look look = {
        .spec = &specs->specs[at], .schema = schema, .cursor = cursor};
    BYTES_CLEANUP struct bytes text = {0};
    const struct page_entry *entry = NULL;
    TRY(look_init(&look, err));
    TRY(look_next(&look, &entry, err));
    if (entry == NULL)
        return err_set(err, ERR_NOT_FOUND,
                       "%s names no partition of the source; SHOW PARTITIONS lists them",
                       spec_text(&specs->specs[at], &text));
    if (look.is_prefix) {
        key_add(selection, bytes_span(&look.prefix), at);
        return ERR_OK;
    }
    while (entry != NULL) {
        key_add(selection, entry->key, at);
        TRY(look_next(&look, &entry, err));
    }
    return ERR_OK;
}

/* ---- all of them ---- */

static int place_compare(const void *a, const void *b, void *context)
{
    const struct clone_selection *selection = context;
    const struct clone_place *first = a, *second = b;
    int order = span_compare(span_of(selection->keys.data + first->at, first->len),
                             span_of(selection->keys.data + second->at, second->len));
    return order != 0 ? order : (first->spec > second->spec) - (first->spec < second->spec);
}

static enum err_code named_twice(const struct partition_specs *specs, size_t first, size_t second,
                                 struct err *err)
{
    BYTES_CLEANUP struct bytes one = {0};
    BYTES_CLEANUP struct bytes other = {0};
    return err_set(err, ERR_SEMANTIC, "%s and %s name a partition twice",
                   spec_text(&specs->specs[first], &one), spec_text(&specs->specs[second], &other));
}

/* In order a key comes right before those that it is a prefix of. */
static enum err_code places_order(struct clone_selection *selection,
                                  const struct partition_specs *specs, struct err *err)
{
    struct clone_place *places = (struct clone_place *)(void *)selection->places.data;
    size_t count = selection->places.len / sizeof(*places);
    qsort_r(places, count, sizeof(*places), place_compare, selection);
    selection->prefixes = mem_calloc(count, sizeof(*selection->prefixes));
    for (size_t i = 0; i < count; i++) {
        struct span key = span_of(selection->keys.data + places[i].at, places[i].len);
        if (i > 0 && has_prefix(key, selection->prefixes[i - 1]))
            return named_twice(specs, places[i - 1].spec, places[i].spec, err);
        selection->prefixes[i] = key;
    }
    selection->ranges = (struct clone_ranges){.prefixes = selection->prefixes, .count = count};
    return ERR_OK;
}

enum err_code clone_selection_make(const struct statement_call *call,
                                   const struct partition_specs *specs,
                                   const struct reader_handle *source,
                                   struct clone_selection *selection, struct err *err)
{
    const struct schema *schema = &reader_version(source)->schema;
    struct tree tree = reader_tree(source);
    if (specs->count == 0)
        return ERR_OK;
    if (schema->partition_column_count == 0)
        return err_set(err, ERR_SEMANTIC, "the source has no partitions: leave PARTITION(...) out");
    TREE_CURSOR_CLEANUP struct tree_cursor *cursor = tree_cursor_new(&tree);
    for (size_t i = 0; i < specs->count; i++) {
        if (spec_add(selection, cursor, schema, specs, i, err) != ERR_OK) {
            struct position position = position_find(call->statement->text, specs->specs[i].at);
            return err_wrap(err, "line %u, column %u", position.line, position.column);
        }
    }
    return places_order(selection, specs, err);
}
