#include "store/files.h"

#include "store/damage.h"
#include "store/parts.h"

/* The bytes at the place a record names; not found when they have moved since. */
static enum err_code place_read(struct db *db, const struct digest *digest,
                                const struct file_record *record, struct bytes *ret_content,
                                bool *ret_found, struct err *err)
{
    if (record->place == PLACE_SMALL)
        return db_find(db, NULL, FAMILY_SMALL, digest_span(digest), ret_content, ret_found, err);
    uint8_t key[PACK_KEY_BYTES];
    pack_key_encode(record->pack, record->slot, key);
    return db_find(db, NULL, pack_family(record->pack), span_of(key, sizeof(key)), ret_content,
                   ret_found, err);
}

static bool place_equal(const struct file_record *a, const struct file_record *b)
{
    return a->place == b->place && a->pack.n == b->pack.n && a->slot == b->slot;
}

static enum err_code content_check(const struct digest *digest, const struct file_record *record,
                                   enum file_check check, const struct bytes *content,
                                   struct err *err)
{
    char hex[DIGEST_HEX_BYTES];
    if (content->len != record->file_bytes)
        return err_set(err, ERR_CORRUPT, "file %s: %zu bytes stored, %" PRIu32 " indexed",
                       digest_hex(digest, hex), content->len, record->file_bytes);
    if (check == FILE_CHECK_LENGTH)
        return ERR_OK;
    struct digest found = digest_of(DOMAIN_FILE, bytes_span(content));
    if (!digest_equal(&found, digest))
        return err_set(err, ERR_CORRUPT, "file %s: the stored content has another digest",
                       digest_hex(digest, hex));
    return ERR_OK;
}

enum err_code file_read_stored(struct store *store, const struct digest *digest,
                               enum file_check check, struct bytes *ret_content, struct err *err)
{
    struct file_record record = {0}, before;
    bool indexed = false, found = false;
    char hex[DIGEST_HEX_BYTES];
    /* A file may move between the look-up and the read: its record is written first. It is missing
     * when it is not where two look-ups say. */
    do {
        before = record;
        TRY(index_find_file(&store->index, digest, &record, &indexed, err));
        if (!indexed)
            return err_set(err, ERR_NOT_FOUND, "file %s is not here", digest_hex(digest, hex));
        TRY(place_read(store->db, digest, &record, ret_content, &found, err));
    } while (!found && !place_equal(&record, &before));
    if (!found)
        return err_set(err, ERR_CORRUPT, "file %s is indexed in pack %" PRIu64 ", but not there",
                       digest_hex(digest, hex), record.pack.n);
    return content_check(digest, &record, check, ret_content, err);
}

/* What is damaged is looked at twice before it is listed: a file that moves fast may be missed. */
enum err_code file_read(struct store *store, const struct digest *digest, enum file_check check,
                        struct bytes *ret_content, struct err *err)
{
    if (damage_has(store, digest))
        return damage_refuse(DAMAGE_FILE, digest, NULL, err);
    struct err cause;
    enum err_code code = ERR_CORRUPT;
    for (int tries = 0; tries < 2 && code == ERR_CORRUPT; tries++)
        code = file_read_stored(store, digest, check, ret_content, &cause);
    if (code == ERR_CORRUPT) {
        damage_note(store, digest, DAMAGE_FILE, cause.message);
        return damage_refuse(DAMAGE_FILE, digest, cause.message, err);
    }
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", cause.message);
}

enum err_code file_find(struct store *store, const struct digest *digest, uint64_t *ret_file_bytes,
                        bool *ret_found, struct err *err)
{
    struct file_record record;
    bool found;
    TRY(index_find_file(&store->index, digest, &record, &found, err));
    if (found)
        *ret_file_bytes = record.file_bytes;
    *ret_found = found;
    return ERR_OK;
}

enum err_code held_find(struct store *store, const struct digest *digest, struct account_id account,
                        bool *ret_held, struct err *err)
{
    uint8_t key[HELD_KEY_BYTES];
    struct bytes value BYTES_CLEANUP = {0};
    held_key_encode(digest, account, key);
    TRY(db_find(store->db, NULL, FAMILY_HELD, span_of(key, sizeof(key)), &value, ret_held, err));
    *ret_held = *ret_held && !damage_has(store, digest);
    return ERR_OK;
}
