#include "store/store.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "proto/limits.h"
#include "store/crash.h"
#include "store/directory.h"
#include "store/mend.h"
#include "store/parts.h"
#include "store/rights.h"

static const char marker_key[] = "store";

/* ---- open ---- */

/* The database says itself whose it is, in case the marker file went. What an older program wrote is of
 * this program's format from now on: that one must not read what this one writes. */
static enum err_code meta_marker_raise(struct store *store, const struct store_options *options,
                                       struct span wanted, struct err *err)
{
    struct bytes found_text BYTES_CLEANUP = {0};
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    bool found;
    TRY(db_find(store->db, NULL, FAMILY_META, span_text(marker_key), &found_text, &found, err));
    bool moved = found && marker_former_take(options, &found_text);
    if (found)
        TRY(marker_check(store->data_dir, bytes_span(&found_text), wanted, err));
    if (found)
        marker_origin(bytes_span(&found_text), &store->origin);
    if (found && !moved && span_equal(bytes_span(&found_text), wanted))
        return ERR_OK;
    db_batch_put(&batch, FAMILY_META, span_text(marker_key), wanted);
    return db_write(store->db, &batch, true, err);
}

/* The file, too, where an opening was ended between the two. */
static void origin_lower(struct store_origin *origin, struct span file_text)
{
    struct store_origin of_file;
    marker_origin(file_text, &of_file);
    if (of_file.format < origin->format)
        *origin = of_file;
}

enum err_code store_marker_mend(struct store *store, bool *ret_mended, struct err *err)
{
    struct bytes wanted BYTES_CLEANUP = {0};
    struct bytes text BYTES_CLEANUP = {0};
    bool found;
    TRY(db_find(store->db, NULL, FAMILY_META, span_text(marker_key), &wanted, &found, err));
    if (!found)
        return err_set(err, ERR_CORRUPT, "%s: the database does not say whose it is",
                       store->data_dir);
    TRY(marker_read(store->data_dir, &text, &found, err));
    *ret_mended = !found || !span_equal(bytes_span(&text), bytes_span(&wanted));
    return *ret_mended ? marker_write(store->data_dir, bytes_span(&wanted), err) : ERR_OK;
}

/* Of a restore that was ended what is left goes; but nothing is made where one is still to end. */
static enum err_code restoring_clear(const struct store *store, struct err *err)
{
    struct bytes db BYTES_CLEANUP = {0};
    struct bytes restoring BYTES_CLEANUP = {0};
    bytes_printf(&db, "%s/db", store->data_dir);
    bytes_append_u8(&db, 0);
    bytes_printf(&restoring, "%s/" DIRECTORY_RESTORING, store->data_dir);
    bytes_append_u8(&restoring, 0);
    const char *path = (const char *)restoring.data;
    if (access((const char *)db.data, F_OK) != 0 && access(path, F_OK) == 0)
        return err_set(err, ERR_CORRUPT,
                       "%s: a restore was ended before its end; straitd --restore DIR -c FILE "
                       "begins it again (or remove it)",
                       path);
    return directory_remove(path, err);
}

/* A directory without a marker is new, or was left in the middle of being made. */
static enum err_code database_open(struct store *store, const struct store_options *options,
                                   struct err *err)
{
    struct bytes wanted BYTES_CLEANUP = {0};
    struct bytes found_text BYTES_CLEANUP = {0};
    struct bytes path BYTES_CLEANUP = {0};
    bool found;
    marker_make(options->region, span_of(options->identity.b, sizeof(options->identity.b)),
                &wanted);
    TRY(marker_read(store->data_dir, &found_text, &found, err));
    bool moved = found && marker_former_take(options, &found_text);
    if (found)
        TRY(marker_file_check(store->data_dir, bytes_span(&found_text), bytes_span(&wanted), err));
    if (mend_is_under_way(store->data_dir))
        return err_set(err, ERR_CORRUPT,
                       "%s: a mend was ended before its last step; straitd --mend -c FILE goes on",
                       store->data_dir);
    bytes_printf(&path, "%s/db", store->data_dir);
    bytes_append_u8(&path, 0);
    enum err_code code = db_open((const char *)path.data, !found, &store->db, err);
    if (code == ERR_NOT_FOUND)
        return err_set(err, ERR_CORRUPT, "%s: the directory has a store's marker but no database",
                       store->data_dir);
    TRY(code);
    TRY(meta_marker_raise(store, options, bytes_span(&wanted), err));
    CRASH_POINT(CRASH_STORE_CREATED);
    if (found)
        origin_lower(&store->origin, bytes_span(&found_text));
    bool same = found && !moved && span_equal(bytes_span(&found_text), bytes_span(&wanted));
    return same ? ERR_OK : marker_write(store->data_dir, bytes_span(&wanted), err);
}

static enum err_code parts_open(struct store *store, const struct store_options *options,
                                struct err *err)
{
    TRY(crash_arm(err));
    TRY(directory_owner_check(store->data_dir, err));
    TRY(directory_make(store->data_dir, err));
    TRY(directory_lock(store->data_dir, &store->lock_file, err));
    TRY(restoring_clear(store, err));
    TRY(directory_make(store->tmp_dir, err));
    TRY(directory_clear(store->tmp_dir, err));
    TRY(database_open(store, options, err));
    TRY(audit_chain_open(&store->audit, store->db, err));
    TRY(index_open(&store->index, store->db, err));
    store->index.small_bytes_max = SMALL_FAMILY_BYTES_MAX;
    store->thin_percent = THIN_LIVE_PERCENT;
    store->packs = packs_new(&store->index, &store->space, store->tmp_dir);
    return rights_open(store, &store->rights, err);
}

enum err_code store_open(const struct store_options *options, struct store **ret_store,
                         struct err *err)
{
    struct store *store = mem_calloc(1, sizeof(*store));
    struct bytes tmp_dir BYTES_CLEANUP = {0};
    bytes_printf(&tmp_dir, "%s/tmp", options->data_dir);
    store->data_dir = mem_strdup(options->data_dir);
    store->tmp_dir = mem_strndup(bytes_span(&tmp_dir));
    store->lock_file = -1;
    store->origin = (struct store_origin){.format = STORE_FORMAT};
    store->space = (struct space){store->data_dir, options->disk_reserve_bytes};
    catalog_line_init(&store->catalog_line);
    pthread_mutex_init(&store->collect_lock, NULL);
    audit_chain_init(&store->audit);
    enum err_code code = parts_open(store, options, err);
    if (code != ERR_OK) {
        store_close(store);
        return code;
    }
    *ret_store = store;
    return ERR_OK;
}

enum err_code store_flush(struct store *store, struct err *err)
{
    if (db_latched(store->db))
        return err_set(err, ERR_IO, "%s: a write to the database failed", store->data_dir);
    TRY(store_space_check(store, db_flush_bytes(store->db), err));
    return db_flush(store->db, err);
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    if (store->packs != NULL) { /* so the index was opened */
        packs_free(store->packs);
        index_close(&store->index);
    }
    rights_close(store->rights);
    db_close(store->db);
    if (store->lock_file >= 0)
        close(store->lock_file);
    audit_chain_deinit(&store->audit);
    pthread_mutex_destroy(&store->collect_lock);
    catalog_line_deinit(&store->catalog_line);
    mem_free(store->tmp_dir);
    mem_free(store->data_dir);
    mem_free(store);
}

/* ---- about it ---- */

void store_origin_get(const struct store *store, struct store_origin *ret_origin)
{
    *ret_origin = store->origin;
}

const char *store_tmp_dir(const struct store *store)
{
    return store->tmp_dir;
}

uint64_t store_disk_reserve_bytes(const struct store *store)
{
    return space_reserve(&store->space);
}

void store_set_disk_reserve(struct store *store, uint64_t bytes)
{
    space_set_reserve(&store->space, bytes);
}

enum err_code store_space_check(const struct store *store, uint64_t bytes, struct err *err)
{
    return space_check(&store->space, bytes, err);
}

void store_usage_get(struct store *store, struct store_usage *ret_usage)
{
    struct index *index = &store->index;
    struct store_usage usage = {0};
    index_lock(index);
    for (size_t i = 0; i < index->pack_count; i++) {
        if (index->packs[i].state != PACK_LIVE)
            continue;
        usage.pack_count++;
        usage.pack_bytes += index->packs[i].bytes;
        usage.pack_live_bytes += index->packs[i].live_bytes;
    }
    usage.small_bytes = index->small_bytes;
    usage.collection = index->collection;
    usage.lock_us_max = index->held_ns_max / 1000;
    index_unlock(index);
    *ret_usage = usage;
}

enum err_code store_disk_get(struct store *store, struct store_disk *ret_disk, struct err *err)
{
    struct statvfs stat;
    struct store_disk disk = {0};
    if (statvfs(store->data_dir, &stat) != 0)
        return err_set(err, ERR_IO, "%s: %s", store->data_dir, strerror(errno));
    disk.total_bytes = (uint64_t)stat.f_blocks * stat.f_frsize;
    disk.free_bytes = (uint64_t)stat.f_bavail * stat.f_frsize;
    for (enum family family = FAMILY_SMALL; family < FAMILY_COUNT; family++) {
        uint64_t bytes;
        TRY(db_family_bytes(store->db, family, &bytes, err));
        disk.database_bytes += bytes;
    }
    *ret_disk = disk;
    return ERR_OK;
}
