#include "node/restore.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "node/backup/folder.h"
#include "node/restored_schedules.h"
#include "node/statement/statement.h"
#include "node/store_setup.h"
#include "store/audit.h"
#include "store/crash.h"
#include "store/directory.h"
#include "store/restored.h"
#include "store/space.h"

#define CLOCK_SLACK_MS 300000 /* as much as a token may be ahead */

struct restore {
    const struct config *config;
    const char *dir; /* of the backup */
    struct store_options options;
    struct backup_manifest manifest;
    struct bytes path; /* data_dir/restoring, terminated; and its db */
    struct bytes db;
    size_t schedules, runs;
    struct audit_head head; /* of the backup */
    int lock_file;
};

static const char *path_set(struct bytes *path, const char *folder, const char *name)
{
    bytes_clear(path);
    bytes_printf(path, "%s/%s", folder, name);
    bytes_append_u8(path, 0);
    return (const char *)path->data;
}

static void restore_deinit(struct restore *restore)
{
    backup_manifest_deinit(&restore->manifest);
    bytes_deinit(&restore->path);
    bytes_deinit(&restore->db);
    if (restore->lock_file >= 0)
        close(restore->lock_file);
}

/* ---- where it goes ---- */

/* What an empty one may have: what a restore that was ended left, and what file systems put there. */
static bool may_be_there(const char *name)
{
    static const char *const names[] = {".", "..", DIRECTORY_RESTORING, "store.lock", "lost+found"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static enum err_code data_dir_empty(const char *data_dir, struct err *err)
{
    enum err_code code = ERR_OK;
    DIR *dir = opendir(data_dir);
    if (dir == NULL)
        return space_failed(data_dir, "reading", errno, err);
    for (const struct dirent *entry; code == ERR_OK && (entry = readdir(dir)) != NULL;) {
        if (!may_be_there(entry->d_name))
            code = err_set(err, ERR_CONFIG,
                           "%s is not empty (it has %s): move what is there away, or give the "
                           "node another data_dir; nothing was changed",
                           data_dir, entry->d_name);
    }
    closedir(dir);
    return code;
}

static enum err_code region_check(const struct restore *restore, struct err *err)
{
    if (strcmp(restore->manifest.region, restore->config->region) == 0)
        return ERR_OK;
    return err_set(err, ERR_CONFIG, "%s is a backup of region %s, %s is of region %s", restore->dir,
                   restore->manifest.region, restore->config->path, restore->config->region);
}

/* Tokens that were signed before the restore are refused by this clock (node/task/token_use.c): one that is behind
 * would let used ones in. */
static enum err_code clock_check(const struct restore *restore, struct err *err)
{
    struct bytes cut BYTES_CLEANUP = {0};
    if (statement_now_ms() + CLOCK_SLACK_MS >= restore->manifest.cut_ms)
        return ERR_OK;
    backup_cut_format(&restore->manifest, &cut);
    return err_set(err, ERR_CONFIG,
                   "%s was cut at %.*s, which this machine's clock has not reached: set the clock",
                   restore->dir, SPAN_PRINTF(bytes_span(&cut)));
}

static enum err_code place_prepare(struct restore *restore, struct err *err)
{
    const char *data_dir = restore->config->data_dir;
    const char *staging = path_set(&restore->path, data_dir, DIRECTORY_RESTORING);
    const struct space space = {data_dir, restore->config->disk_reserve_bytes};
    TRY(directory_owner_check(data_dir, err));
    TRY(directory_make(data_dir, err));
    TRY(directory_lock(data_dir, &restore->lock_file, err));
    TRY(data_dir_empty(data_dir, err));
    TRY(directory_remove(staging, err));
    TRY(space_check(&space, backup_bytes(&restore->manifest), err));
    TRY(directory_make(staging, err)); /* from here on no node starts on data_dir */
    return directory_make(path_set(&restore->db, staging, "db"), err);
}

/* ---- content ---- */

static enum err_code files_copy(const struct restore *restore, struct err *err)
{
    struct bytes to BYTES_CLEANUP = {0};
    const char *db = (const char *)restore->db.data;
    for (size_t i = 0; i < restore->manifest.count; i++) {
        const struct backup_file *file = &restore->manifest.files[i];
        struct span name = backup_file_name(file);
        bytes_clear(&to);
        bytes_printf(&to, "%s/%.*s", db, SPAN_PRINTF(name));
        bytes_append_u8(&to, 0);
        if (access((const char *)to.data, F_OK) == 0)
            return err_set(err, ERR_CORRUPT, "%s: the manifest has %.*s twice", restore->dir,
                           SPAN_PRINTF(name));
        TRY(backup_file_copy(restore->dir, file, (const char *)to.data, err));
        CRASH_POINT(CRASH_RESTORE_COPIED);
    }
    return directory_sync(db, err);
}

/* ---- what it is to know ---- */

static enum err_code store_settle(struct restore *restore, struct store *store, struct err *err)
{
    char text[160];
    struct bytes cut BYTES_CLEANUP = {0};
    uint64_t now_ms = statement_now_ms();
    uint64_t cut_ms = restore->manifest.cut_ms;
    const struct restored restored = {cut_ms, now_ms > cut_ms ? now_ms : cut_ms};
    restore->head = audit_head_get(store);
    backup_cut_format(&restore->manifest, &cut);
    snprintf(text, sizeof(text),
             "from a backup cut at %.*s: what was recorded after entry %" PRIu64 " is not here",
             SPAN_PRINTF(bytes_span(&cut)), restore->head.count);
    const struct audit_record audit = {
        .time_ms = now_ms,
        .principal = span_text("straitd --restore"),
        .action = span_text("RESTORE"),
        .outcome = span_text(AUDIT_OUTCOME_OK),
        .message = span_text(text),
    };
    TRY(restored_schedules_pause(store, now_ms, &restore->schedules, &restore->runs, err));
    TRY(restored_settle(store, &restored, &audit, err));
    return store_flush(store, err);
}

static enum err_code staging_settle(struct restore *restore, struct err *err)
{
    struct store *store;
    struct store_options options = restore->options;
    options.data_dir = (const char *)restore->path.data;
    TRY(store_open(&options, &store, err));
    enum err_code code = store_settle(restore, store, err);
    store_close(store);
    return code;
}

/* ---- into place ---- */

static enum err_code database_place(const struct restore *restore, struct err *err)
{
    struct bytes db BYTES_CLEANUP = {0};
    const char *staging = (const char *)restore->path.data;
    const char *place = path_set(&db, restore->config->data_dir, "db");
    CRASH_POINT(CRASH_RESTORE_SETTLED);
    if (rename((const char *)restore->db.data, place) != 0)
        return space_failed(place, "renaming", errno, err);
    TRY(directory_sync(restore->config->data_dir, err));
    CRASH_POINT(CRASH_RESTORE_PLACED);
    (void)!directory_remove(staging, NULL); /* else the next opening */
    return ERR_OK;
}

static void restored_print(const struct restore *restore, FILE *out)
{
    char hex[DIGEST_HEX_BYTES];
    struct bytes cut BYTES_CLEANUP = {0};
    backup_cut_format(&restore->manifest, &cut);
    fprintf(out,
            "restored %s of region %s: %zu files, %" PRIu64
            " bytes, cut at %.*s; audit log %" PRIu64 ":%s\n",
            restore->config->data_dir, restore->manifest.region, restore->manifest.count,
            backup_bytes(&restore->manifest), SPAN_PRINTF(bytes_span(&cut)), restore->head.count,
            digest_hex(&restore->head.head, hex));
    fprintf(out,
            "accounts, keys and grants are those of the backup: drop and revoke again what went "
            "since\n%zu schedules are paused, %zu runs skipped: ALTER SCHEDULE ... RESUME when "
            "strait refill has brought what other regions have\n",
            restore->schedules, restore->runs);
}

enum err_code node_restore(const struct config *config, const char *dir, FILE *out, struct err *err)
{
    IDENTITY_CLEANUP struct identity *identity = NULL;
    struct store_setup setup;
    __attribute__((cleanup(restore_deinit))) struct restore restore = {
        .config = config, .dir = dir, .lock_file = -1};
    TRY(identity_load(config->key_file, &identity, err));
    TRY(store_setup_make(config, identity, &setup, err));
    restore.options = setup.options;
    TRY(crash_arm(err));
    TRY(backup_manifest_read(dir, &restore.manifest, err));
    TRY(region_check(&restore, err));
    TRY(clock_check(&restore, err));
    TRY(place_prepare(&restore, err));
    enum err_code code = files_copy(&restore, err);
    if (code == ERR_OK)
        code = staging_settle(&restore, err);
    if (code != ERR_OK) {
        (void)!directory_remove((const char *)restore.path.data, NULL);
        return code;
    }
    TRY(database_place(&restore, err));
    restored_print(&restore, out);
    return ERR_OK;
}
