#include "store/mend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/limits.h"
#include "store/crash.h"
#include "store/damage.h"
#include "store/db_tables.h"
#include "store/directory.h"
#include "store/family.h"
#include "store/parts.h"
#include "store/refusal.h"
#include "store/scrub.h"

#define MENDING     "db.mending"
#define ROUNDS_MAX  64 /* of families that are read whole, a table each */
#define COPY_BYTES  MIB(1)
#define WORDS_BYTES 512

struct mend {
    const struct store_options *options;
    const struct mend_watch *watch;
    struct bytes db, mending; /* paths, terminated */
    struct db_table *tables;  /* all of the database; the damaged ones first */
    size_t table_count, damaged_count;
    bool lost[FAMILY_COUNT];
    uint64_t listed;
    int lock_file;
};

static const char *path_of(const struct bytes *path)
{
    return (const char *)path->data;
}

static void path_set(struct bytes *path, const char *folder, const char *name)
{
    bytes_clear(path);
    bytes_printf(path, "%s/%s", folder, name);
    bytes_append_u8(path, 0);
}

static void mend_deinit(struct mend *mend)
{
    if (mend->lock_file >= 0)
        close(mend->lock_file);
    bytes_deinit(&mend->db);
    bytes_deinit(&mend->mending);
    mem_free(mend->tables);
}

__attribute__((format(printf, 2, 3))) static void mend_tell(const struct mend *mend,
                                                            const char *form, ...)
{
    char line[WORDS_BYTES];
    va_list values;
    va_start(values, form);
    vsnprintf(line, sizeof(line), form, values);
    va_end(values);
    if (mend->watch->tell != NULL)
        mend->watch->tell(mend->watch->context, line);
}

static bool is_there(const char *data_dir, const char *name)
{
    struct bytes path BYTES_CLEANUP = {0};
    path_set(&path, data_dir, name);
    return access(path_of(&path), F_OK) == 0;
}

bool mend_is_under_way(const char *data_dir)
{
    return is_there(data_dir, MENDING) && !is_there(data_dir, "db");
}

/* ---- a second folder ---- */

static enum err_code file_copy(const char *from, const char *to, struct err *err)
{
    int source = open(from, O_RDONLY | O_CLOEXEC);
    int target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ssize_t got = source >= 0 && target >= 0 ? 1 : -1;
    while (got > 0)
        got = sendfile(target, source, NULL, COPY_BYTES);
    enum err_code code =
        got == 0 && fsync(target) == 0 ? ERR_OK : space_failed(to, "copying", errno, err);
    if (source >= 0)
        close(source);
    if (target >= 0)
        close(target);
    return code;
}

/* Tables are never written again: a second name does. All else is copied, but for logs for people. */
static enum err_code file_clone(struct mend *mend, const char *name, struct err *err)
{
    struct bytes from BYTES_CLEANUP = {0};
    struct bytes to BYTES_CLEANUP = {0};
    size_t len = strlen(name);
    path_set(&from, path_of(&mend->db), name);
    path_set(&to, path_of(&mend->mending), name);
    if (name[0] == '.' || strncmp(name, "LO", 2) == 0) /* LOCK, LOG, LOG.old */
        return ERR_OK;
    if (len < 4 || strcmp(name + len - 4, ".sst") != 0)
        return file_copy(path_of(&from), path_of(&to), err);
    if (link(path_of(&from), path_of(&to)) == 0)
        return ERR_OK;
    return space_failed(path_of(&to), "linking", errno, err);
}

static enum err_code database_clone(struct mend *mend, struct err *err)
{
    enum err_code code = ERR_OK;
    TRY(directory_make(path_of(&mend->mending), err));
    TRY(directory_clear(path_of(&mend->mending), err)); /* of a mend that was ended */
    DIR *dir = opendir(path_of(&mend->db));
    if (dir == NULL)
        return space_failed(path_of(&mend->db), "reading", errno, err);
    for (const struct dirent *entry; code == ERR_OK && (entry = readdir(dir)) != NULL;)
        code = file_clone(mend, entry->d_name, err);
    closedir(dir);
    TRY(code);
    CRASH_POINT(CRASH_MEND_CLONED);
    return directory_sync(path_of(&mend->mending), err);
}

/* ---- without the damaged tables ---- */

static enum err_code table_take_out(struct mend *mend, const struct db_table *table,
                                    struct err *err)
{
    char name[DB_TABLE_NAME_BYTES];
    db_table_name(table, name);
    if (!family_comes_again(table->family))
        return refusal_of_table(path_of(&mend->db), table, err);
    mend_tell(mend, "sets aside %s/%s (%s: %s)", path_of(&mend->db), name,
              family_name(table->family), family_content(table->family));
    mend->lost[table->family] = true;
    return db_tables_remove(path_of(&mend->mending), table, err);
}

/* Families that are read whole when a store opens: there a block is as bad as a table. ERR_CORRUPT
 * names the file. */
static enum err_code whole_families_read(struct db *db, struct err *err)
{
    static const enum family families[] = {FAMILY_PACK_STATE, FAMILY_DAMAGED, FAMILY_META};
    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        DB_ITER_CLEANUP struct db_iter *iter = NULL;
        struct span none = {0}, key, value;
        bool found = true;
        TRY(db_iter_open(db, NULL, families[i], none, none, &iter, err));
        while (found)
            TRY(db_iter_next(iter, &key, &value, &found, err));
    }
    return ERR_OK;
}

/* What is told of the second folder is true of the database. */
static enum err_code mending_refused(const struct mend *mend, enum err_code code,
                                     const struct err *cause, struct err *err)
{
    const char *at = strstr(cause->message, path_of(&mend->mending));
    if (at == NULL)
        return err_set(err, code, "%s", cause->message);
    return err_set(err, code, "%.*s%s%s", (int)(at - cause->message), cause->message,
                   path_of(&mend->db), at + strlen(path_of(&mend->mending)));
}

static enum err_code mending_open(struct mend *mend, struct db **ret_db, struct err *err)
{
    struct err cause;
    for (int rounds = 0;; rounds++) {
        struct db *db = NULL;
        uint64_t number;
        size_t at = 0;
        enum err_code code = db_open(path_of(&mend->mending), false, &db, &cause);
        if (code == ERR_OK)
            code = whole_families_read(db, &cause);
        if (code == ERR_OK) {
            *ret_db = db;
            return ERR_OK;
        }
        bool named = db != NULL && code == ERR_CORRUPT && rounds < ROUNDS_MAX &&
                     db_tables_named(cause.message, &number);
        db_close(db);
        while (named && at < mend->table_count && mend->tables[at].number != number)
            at++;
        if (!named || at == mend->table_count)
            return mending_refused(mend, code, &cause, err);
        TRY(table_take_out(mend, &mend->tables[at], err));
        mend->damaged_count++;
    }
}

static enum err_code damaged_take_out(struct mend *mend, struct err *err)
{
    for (size_t i = 0; i < mend->damaged_count; i++) {
        if (!family_comes_again(mend->tables[i].family))
            return refusal_of_table(path_of(&mend->db), &mend->tables[i], err);
    }
    TRY(database_clone(mend, err));
    for (size_t i = 0; i < mend->damaged_count; i++)
        TRY(table_take_out(mend, &mend->tables[i], err));
    CRASH_POINT(CRASH_MEND_REMOVED);
    return ERR_OK;
}

/* ---- what was lost with them ---- */

static enum err_code store_list(struct mend *mend, struct store *store, struct err *err)
{
    const struct scrub_watch quiet = {0};
    struct scrub_counts counts;
    TRY(mend_names(store, err));
    TRY(mend_held(store->db, err));
    if (mend->lost[FAMILY_DAMAGED]) /* what was listed is found again */
        TRY(scrub_store(store, &quiet, &counts, err));
    mend->listed = damage_count(store);
    return db_sync(store->db, err);
}

/* A store of the mending database, without what only a node needs. */
static enum err_code books_mend(struct mend *mend, struct db *db, struct err *err)
{
    struct store store = {.data_dir = (char *)mend->options->data_dir, .db = db, .lock_file = -1};
    TRY(mend_index(db, mend->lost, err));
    CRASH_POINT(CRASH_MEND_INDEXED);
    TRY(index_open(&store.index, db, err));
    catalog_line_init(&store.catalog_line);
    pthread_mutex_init(&store.collect_lock, NULL);
    enum err_code code = store_list(mend, &store, err);
    pthread_mutex_destroy(&store.collect_lock);
    catalog_line_deinit(&store.catalog_line);
    index_close(&store.index);
    return code;
}

static enum err_code mending_build(struct mend *mend, struct err *err)
{
    struct db *db = NULL;
    struct err cause;
    TRY(damaged_take_out(mend, err));
    TRY(mending_open(mend, &db, err));
    enum err_code code = books_mend(mend, db, &cause);
    db_close(db);
    if (code == ERR_OK) {
        code = db_open(path_of(&mend->mending), false, &db, &cause);
        db_close(code == ERR_OK ? db : NULL);
    }
    if (code != ERR_OK)
        return mending_refused(mend, code, &cause, err);
    TRY(directory_sync(path_of(&mend->mending), err));
    CRASH_POINT(CRASH_MEND_BUILT);
    return ERR_OK;
}

/* ---- into place ---- */

static enum err_code database_set_aside(struct mend *mend, struct err *err)
{
    struct bytes folder BYTES_CLEANUP = {0};
    struct bytes aside BYTES_CLEANUP = {0};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    path_set(&folder, mend->options->data_dir, "set-aside");
    TRY(directory_make(path_of(&folder), err));
    bytes_printf(&aside, "%s/db-%lld.%09ld", path_of(&folder), (long long)now.tv_sec, now.tv_nsec);
    bytes_append_u8(&aside, 0);
    mend_tell(mend,
              "moves the database as it was to %s; its whole files are in both: remove it when "
              "SCRUB shows the node whole",
              path_of(&aside));
    if (rename(path_of(&mend->db), path_of(&aside)) != 0)
        return space_failed(path_of(&aside), "renaming", errno, err);
    TRY(directory_sync(path_of(&folder), err));
    TRY(directory_sync(mend->options->data_dir, err));
    CRASH_POINT(CRASH_MEND_SET_ASIDE);
    return ERR_OK;
}

static enum err_code mending_place(struct mend *mend, struct err *err)
{
    if (rename(path_of(&mend->mending), path_of(&mend->db)) != 0)
        return space_failed(path_of(&mend->db), "renaming", errno, err);
    TRY(directory_sync(mend->options->data_dir, err));
    CRASH_POINT(CRASH_MEND_PLACED);
    return ERR_OK;
}

/* ---- all of it ---- */

static enum err_code directory_ours(const struct store_options *options, struct err *err)
{
    struct bytes wanted BYTES_CLEANUP = {0};
    struct bytes found_text BYTES_CLEANUP = {0};
    bool found;
    marker_make(options->region, span_of(options->identity.b, sizeof(options->identity.b)),
                &wanted);
    TRY(marker_read(options->data_dir, &found_text, &found, err));
    if (found)
        (void)marker_former_take(options, &found_text); /* the next opening makes it this key's */
    return found ? marker_file_check(options->data_dir, bytes_span(&found_text),
                                     bytes_span(&wanted), err)
                 : ERR_OK;
}

static enum err_code mend_locked(struct mend *mend, const struct err *refused, struct err *err)
{
    bool whole;
    struct bytes manifest BYTES_CLEANUP = {0};
    TRY(directory_ours(mend->options, err));
    if (mend_is_under_way(mend->options->data_dir)) {
        mend_tell(mend, "goes on with a mend that was ended: puts the database in place");
        return mending_place(mend, err);
    }
    if (!db_manifest_find(path_of(&mend->db), &manifest, &whole) || !whole)
        return err_set(err, ERR_CORRUPT, "%s", refused->message);
    TRY(db_tables_list(path_of(&mend->db), &mend->tables, &mend->table_count, err));
    mend->damaged_count = db_tables_damaged(path_of(&mend->db), mend->tables, mend->table_count);
    TRY(mending_build(mend, err));
    if (mend->damaged_count == 0) /* it is something else that keeps the store from opening */
        return err_set(err, ERR_CORRUPT, "%s", refused->message);
    TRY(database_set_aside(mend, err));
    return mending_place(mend, err);
}

/* Of a mend that failed nothing is left. */
static void mending_forget(struct mend *mend)
{
    if (is_there(mend->options->data_dir, "db") && is_there(mend->options->data_dir, MENDING) &&
        directory_clear(path_of(&mend->mending), NULL) == ERR_OK)
        (void)rmdir(path_of(&mend->mending));
}

enum err_code store_mend(const struct store_options *options, const struct mend_watch *watch,
                         struct mend_counts *ret_counts, struct err *err)
{
    struct store *store = NULL;
    struct err refused;
    __attribute__((cleanup(mend_deinit))) struct mend mend = {
        .options = options, .watch = watch, .lock_file = -1};
    enum err_code code = store_open(options, &store, &refused);
    if (code == ERR_OK)
        mend.listed = damage_count(store);
    store_close(store);
    if (code != ERR_OK && code != ERR_CORRUPT)
        return err_set(err, code, "%s", refused.message);
    path_set(&mend.db, options->data_dir, "db");
    path_set(&mend.mending, options->data_dir, MENDING);
    if (code == ERR_CORRUPT) {
        TRY(directory_lock(options->data_dir, &mend.lock_file, err));
        code = mend_locked(&mend, &refused, err);
        mending_forget(&mend);
        TRY(code);
    }
    *ret_counts = (struct mend_counts){.tables = mend.damaged_count, .listed = mend.listed};
    return ERR_OK;
}
