#include "store/mark_walk.h"

#include "store/pages.h"
#include "store/parts.h"

/* A page that is damaged: the walk fails, or goes on with the fault told. */
static enum err_code mark_walk_fault(struct mark_walk *walk, const struct digest *digest,
                                     const struct err *fault, struct err *err)
{
    if (walk->on_fault == NULL || fault->code == ERR_IO || fault->code == ERR_BUSY)
        return err_set(err, fault->code, "%s", fault->message);
    walk->on_fault(walk->on_fault_context, digest, fault);
    return ERR_OK;
}

static enum err_code mark_walk_page(struct mark_walk *walk, const struct digest *digest,
                                    enum mark_walk_absent absent, struct bytes *scratch,
                                    struct err *err)
{
    struct err fault;
    uint32_t level;
    enum err_code code = page_read(walk->store, digest, scratch, &fault);
    if (code == ERR_NOT_FOUND && absent == MARK_WALK_ABSENT_SKIPS)
        return ERR_OK;
    if (code == ERR_OK)
        code = walk->tree->children(walk->tree->context, bytes_span(scratch), walk->mark, &level,
                                    &fault);
    return code == ERR_OK ? ERR_OK : mark_walk_fault(walk, digest, &fault, err);
}

static enum err_code mark_walk_strictly(struct mark_walk *walk, struct bytes *scratch,
                                        struct err *err)
{
    struct digest_list *list = &walk->mark->walk;
    while (list->count > 0) {
        struct digest digest = list->digests[--list->count];
        TRY(mark_walk_page(walk, &digest, MARK_WALK_ABSENT_FAILS, scratch, err));
    }
    return ERR_OK;
}

enum err_code mark_walk_drain(struct mark_walk *walk, enum mark_walk_absent absent, struct err *err)
{
    struct bytes scratch BYTES_CLEANUP = {0};
    if (absent == MARK_WALK_ABSENT_FAILS)
        return mark_walk_strictly(walk, &scratch, err);
    struct digest_list first __attribute__((cleanup(digest_list_deinit))) = walk->mark->walk;
    walk->mark->walk = (struct digest_list){0};
    for (size_t i = 0; i < first.count; i++) {
        TRY(mark_walk_page(walk, &first.digests[i], MARK_WALK_ABSENT_SKIPS, &scratch, err));
        TRY(mark_walk_strictly(walk, &scratch, err));
    }
    return ERR_OK;
}

static enum err_code staged_one(void *context, struct span key, struct span value, struct err *err)
{
    struct mark_walk *walk = context;
    struct digest digest = {{0}};
    struct err fault;
    uint32_t level;
    if (key.len == STAGED_KEY_BYTES)
        memcpy(digest.b, key.data + STAGED_KEY_BYTES - DIGEST_BYTES, DIGEST_BYTES);
    if (walk->tree->children(walk->tree->context, value, walk->mark, &level, &fault) == ERR_OK)
        return ERR_OK;
    walk->staged_unreadable++;
    return walk->on_fault != NULL ? mark_walk_fault(walk, &digest, &fault, err) : ERR_OK;
}

enum err_code mark_walk_staged(struct mark_walk *walk, struct err *err)
{
    struct bytes after BYTES_CLEANUP = {0};
    bool end = false;
    while (!end) {
        TRY(mark_walk_piece(walk->store->db, FAMILY_STAGED, &after, staged_one, walk, &end, err));
        TRY(mark_walk_drain(walk, MARK_WALK_ABSENT_SKIPS, err));
    }
    return ERR_OK;
}

enum err_code mark_walk_visit(struct db *db, enum family family, struct bytes *after,
                              const struct mark_walk_visit *visit, bool *ret_end, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span none = {0}, key, value;
    bool found;
    if (after->len > 0)
        bytes_append_u8(after, 0); /* the first key beyond it */
    TRY(db_iter_open(db, NULL, family, none, bytes_span(after), &iter, err));
    for (size_t i = 0; i<COLLECT_STEP_RECORDS && * visit->budget> 0; i++) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found) {
            *ret_end = true;
            return ERR_OK;
        }
        TRY(visit->on_record(visit->context, key, value, err));
        bytes_clear(after);
        bytes_append_span(after, key);
    }
    *ret_end = false;
    return ERR_OK;
}

enum err_code mark_walk_piece(struct db *db, enum family family, struct bytes *after,
                              mark_walk_on_record *on_record, void *context, bool *ret_end,
                              struct err *err)
{
    const uint64_t no_end = UINT64_MAX;
    return mark_walk_visit(db, family, after,
                           &(struct mark_walk_visit){on_record, context, &no_end}, ret_end, err);
}

bool mark_walk_skip(struct bytes *after)
{
    uint32_t prefix = 0;
    if (after->len > 0)
        prefix = (uint32_t)after->data[0] << 8;
    if (after->len > 1)
        prefix |= after->data[1];
    if (prefix == UINT16_MAX)
        return false;
    bytes_clear(after);
    bytes_append_u16(after, (uint16_t)(prefix + 1));
    return true;
}
