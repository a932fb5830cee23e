/* See refill_list.h. */
#include "node/client/refill_list.h"

#include "proto/digest.h"
#include "proto/limits.h"

enum place { NAME, VERSION, CREATED, EXPIRES };

static const struct {
    const char *name;
    enum type_kind kind;
} places[] = {[NAME] = {"snapshot", TYPE_STRING},
              [VERSION] = {"version", TYPE_STRING},
              [CREATED] = {"created", TYPE_DATETIME},
              [EXPIRES] = {"expires", TYPE_DATETIME}};

static void snapshot_deinit(struct refill_snapshot *snapshot)
{
    mem_free(snapshot->name);
    mem_free(snapshot->version);
    mem_free(snapshot->created);
    mem_free(snapshot->expires);
}

void refill_list_deinit(struct refill_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        snapshot_deinit(&list->items[i]);
    mem_free(list->items);
    *list = (struct refill_list){0};
}

enum err_code refill_list_columns(struct refill_list *list, const struct column *columns,
                                  size_t count, struct err *err)
{
    for (size_t k = 0; k < ARRAY_COUNT(places); k++) {
        size_t i = 0;
        while (i < count && !span_equal(columns[i].name, span_text(places[k].name)))
            i++;
        if (i == count || columns[i].type.kind != places[k].kind)
            return err_set(err, ERR_PEER, "the node's list of snapshots has no column %s",
                           places[k].name);
        list->at[k] = i;
    }
    return ERR_OK;
}

/* ---- a row ---- */

static bool is_printable(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7F || text.data[i] == '`')
            return false;
    }
    return true;
}

static bool name_fits(struct span name)
{
    return name.len > 0 && name.len <= LIMIT_NAME_BYTES && span_is_utf8(name) && is_printable(name);
}

static bool version_fits(struct span version)
{
    uint8_t digest[DIGEST_BYTES];
    return hex_decode(version, digest, sizeof(digest));
}

/* NULL: it is. */
static char *time_text(struct value value)
{
    struct bytes text BYTES_CLEANUP = {0};
    if (value.null)
        return NULL;
    value_format((struct type){.kind = TYPE_DATETIME}, value, &text);
    return mem_strndup(bytes_span(&text));
}

static bool row_take(const struct refill_list *list, const struct batch *batch, size_t row,
                     struct refill_snapshot *ret_snapshot)
{
    struct value cells[ARRAY_COUNT(places)];
    for (size_t k = 0; k < ARRAY_COUNT(places); k++)
        cells[k] = vector_value(&batch->vectors[list->at[k]], row);
    if (cells[NAME].null || !name_fits(cells[NAME].text) || cells[VERSION].null ||
        !version_fits(cells[VERSION].text) || cells[CREATED].null)
        return false;
    *ret_snapshot =
        (struct refill_snapshot){mem_strndup(cells[NAME].text), mem_strndup(cells[VERSION].text),
                                 time_text(cells[CREATED]), time_text(cells[EXPIRES])};
    return true;
}

enum err_code refill_list_rows(struct refill_list *list, const struct batch *batch, struct err *err)
{
    for (size_t row = 0; row < batch->rows; row++) {
        struct refill_snapshot snapshot;
        if (list->count == REFILL_SNAPSHOTS_MAX)
            return err_set(err, ERR_PEER, "the node lists more than %d snapshots",
                           REFILL_SNAPSHOTS_MAX);
        if (!row_take(list, batch, row, &snapshot))
            return err_set(err, ERR_PEER,
                           "the node's list of snapshots has a row that cannot be used: its name "
                           "does not fit into a statement, or a part is missing");
        if ((list->count & (list->count - 1)) == 0)
            list->items = mem_realloc(list->items, 2 * list->count + 1, sizeof *list->items);
        list->items[list->count++] = snapshot;
    }
    return ERR_OK;
}

/* ---- a region ---- */

enum err_code refill_region_check(struct span region, struct err *err)
{
    bool fits = region.len > 0 && region.len <= LIMIT_REGION_BYTES;
    for (size_t i = 0; fits && i < region.len; i++) {
        uint8_t c = region.data[i];
        fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    return fits ? ERR_OK
                : err_set(err, ERR_PEER,
                          "the node says a region that is none (small letters, digits, dashes)");
}
