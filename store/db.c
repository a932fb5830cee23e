#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "proto/limits.h"
#include "store/crash.h"
#include "store/db_options.h"
#include "store/db_tables.h"
#include "store/family.h"
#include "store/refusal.h"
#include "store/space.h"
#include "store/taken.h"

#define DB_RECOVER_WAIT_SECONDS 30
#define DB_WRITE_OUT_BYTES      (8 * MIB(1))  /* of a pack: the disk is sent on its way */
#define DB_RECOVER_BYTES        (24 * MIB(1)) /* a new log, a new manifest */

struct db {
    char *path;
    rocksdb_t *rocks; /* NULL while a reopening has failed */
    rocksdb_column_family_handle_t *handles[FAMILY_COUNT];

    struct db_options options;

    pthread_mutex_t gate; /* the fields below, and who may touch rocks and handles */
    pthread_cond_t gate_moved;
    unsigned users;       /* calls, iterators and views under way */
    pthread_rwlock_t cut; /* what writes or moves packs reads it; inside the gate */
    bool closing;         /* a reopening waits for them or is at work */
    atomic_bool latched;
    atomic_bool
        unmerged; /* a block of a family other than packs cannot be read: nothing is compacted */

    /* One sync at a time: who waits for it has often been served by then. Batches without a sync of their own, and
     * how many of them are durable. */
    pthread_mutex_t sync_lock;
    atomic_uint_least64_t written, synced;
};

struct db_view {
    struct db *db;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *read;
};

struct db_iter {
    struct db *db;
    enum family family;
    rocksdb_iterator_t *iter;
    rocksdb_readoptions_t *read;
    struct bytes end; /* first key beyond the prefix; empty: none. The library borrows it */
    bool started;
};

struct db_sst {
    const struct db *db;
    rocksdb_sstfilewriter_t *writer;
    int file; /* the library's file once more, to start its writing early; -1: not possible */
    size_t put_bytes, started_bytes;
};

/* How many calls, iterators and views this thread has under way: it may go on while a reopening
 * waits for it. */
static _Thread_local unsigned thread_uses;

#ifdef __SANITIZE_THREAD__
/* The library is not built with TSan: it cannot see how its threads synchronise. Ours it sees. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:librocksdb\nrace:libstdc++\ncalled_from_lib:librocksdb\n";
}
#endif

/* ---- names and errors ---- */

/* "default" comes with every database and stays empty. */
static const char default_family_name[] = "default";

static int error_errno(const char *text)
{
    static const struct {
        const char *mark;
        int number;
    } marks[] = {
        {"No space left", ENOSPC},
        {"Disk quota exceeded", EDQUOT},
        {"Too many open files", EMFILE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(marks); i++) {
        if (strstr(text, marks[i].mark) != NULL)
            return marks[i].number;
    }
    return 0;
}

static enum err_code error_code(const char *text)
{
    static const struct {
        const char *mark;
        enum err_code code;
    } marks[] = {
        {"lock file", ERR_LOCKED},
        {"Corruption", ERR_CORRUPT},
        {"No such file", ERR_CORRUPT},
    };
    for (size_t i = 0; i < ARRAY_COUNT(marks); i++) {
        if (strstr(text, marks[i].mark) != NULL)
            return marks[i].code;
    }
    return ERR_IO;
}

/* Takes the library's text. */
static enum err_code db_error(const struct db *db, struct err *err, char *text, const char *doing)
{
    int number = error_errno(text);
    enum err_code code = number != 0 ? space_failed(db->path, doing, number, err)
                                     : err_set(err, error_code(text), "%s: %s", doing, text);
    rocksdb_free(text);
    return code;
}

/* Takes the library's text. */
static enum err_code read_error(const struct db *db, struct err *err, char *text,
                                enum family family)
{
    if (!refusal_of_read(db->path, family, text, err))
        return db_error(db, err, text, family_name(family));
    rocksdb_free(text);
    return ERR_CORRUPT;
}

static enum err_code open_error(const struct db *db, struct err *err, char *text)
{
    if (error_errno(text) != 0 || error_code(text) != ERR_CORRUPT)
        return db_error(db, err, text, "opening the database");
    enum err_code code = refusal_set(db->path, text, err);
    rocksdb_free(text);
    return code;
}

/* ---- blocks that cannot be read ---- */

/* A compaction that meets such a block fails, and the library then takes no more writes. So there are
 * none from then on: what is stored anew stands above the block, and reads do without it. A file beside
 * the database says so to the next opening. */
static void unmerged_path(const struct db *db, struct bytes *ret_path)
{
    bytes_printf(ret_path, "%s.unmerged", db->path);
    bytes_append_u8(ret_path, 0);
}

static bool unmerged_before(const struct db *db)
{
    struct bytes path BYTES_CLEANUP = {0};
    unmerged_path(db, &path);
    return access((const char *)path.data, F_OK) == 0;
}

static void block_damaged(struct db *db, enum family family, const char *text)
{
    struct bytes path BYTES_CLEANUP = {0};
    if (family <= FAMILY_PACKS_LAST || strstr(text, "Corruption") == NULL ||
        atomic_exchange(&db->unmerged, true))
        return;
    unmerged_path(db, &path);
    int file = open((const char *)path.data, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) /* else the next opening finds out by itself */
        close(file);
}

/* ---- open, close ---- */

enum open_mode {
    OPEN_CREATE, /* made when it is not there */
    OPEN_EXISTING,
    OPEN_READ_ONLY, /* takes no space */
};

static rocksdb_t *rocks_open_as(struct db *db, enum open_mode mode,
                                rocksdb_column_family_handle_t **ret_handles, char **ret_text)
{
    const char *names[FAMILY_COUNT + 1];
    const rocksdb_options_t *options[FAMILY_COUNT + 1];
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        names[family] = family_name(family);
        options[family] = db->options.families[db_family_kind(family)];
    }
    names[FAMILY_COUNT] = default_family_name;
    options[FAMILY_COUNT] = db->options.families[KIND_PLAIN];
    for (enum family_kind kind = 0; kind < KIND_COUNT; kind++)
        rocksdb_options_set_disable_auto_compactions(
            db->options.families[kind], kind == KIND_PACKS || atomic_load(&db->unmerged));
    if (mode == OPEN_READ_ONLY)
        return rocksdb_open_for_read_only_column_families(db->options.families[KIND_PLAIN],
                                                          db->path, FAMILY_COUNT + 1, names,
                                                          options, ret_handles, 0, ret_text);
    rocksdb_options_set_create_if_missing(db->options.families[KIND_PLAIN], mode == OPEN_CREATE);
    return rocksdb_open_column_families(db->options.families[KIND_PLAIN], db->path,
                                        FAMILY_COUNT + 1, names, options, ret_handles, ret_text);
}

static enum err_code rocks_open(struct db *db, enum open_mode mode, struct err *err)
{
    if (mode != OPEN_READ_ONLY)
        db_tables_clear(db->path);
    TRY(refusal_before(db->path, err));
    rocksdb_column_family_handle_t *handles[FAMILY_COUNT + 1];
    struct taken_mend mend = {.db_path = db->path};
    char *text = NULL;
    rocksdb_t *rocks = rocks_open_as(db, mode, handles, &text);
    while (text != NULL && taken_mend_next(&mend, text)) {
        rocksdb_free(text);
        text = NULL;
        rocks = rocks_open_as(db, mode, handles, &text);
    }
    taken_mend_deinit(&mend);
    if (text != NULL) {
        if (strstr(text, "does not exist") != NULL) {
            rocksdb_free(text);
            return err_set(err, ERR_NOT_FOUND, "%s: no database here", db->path);
        }
        return open_error(db, err, text);
    }
    rocksdb_column_family_handle_destroy(handles[FAMILY_COUNT]);
    memcpy(db->handles, handles, sizeof(db->handles));
    db->rocks = rocks;
    if (mode != OPEN_READ_ONLY)
        taken_release_all(db->path);
    return ERR_OK;
}

static void rocks_close(struct db *db)
{
    if (db->rocks == NULL)
        return;
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        rocksdb_column_family_handle_destroy(db->handles[family]);
    rocksdb_close(db->rocks);
    db->rocks = NULL;
}

static void db_free(struct db *db)
{
    db_options_free(&db->options);
    pthread_rwlock_destroy(&db->cut);
    pthread_cond_destroy(&db->gate_moved);
    pthread_mutex_destroy(&db->sync_lock);
    pthread_mutex_destroy(&db->gate);
    mem_free(db->path);
    mem_free(db);
}

enum err_code db_open(const char *path, bool create, struct db **ret_db, struct err *err)
{
    struct db *db = mem_calloc(1, sizeof(*db));
    db->path = mem_strdup(path);
    pthread_mutex_init(&db->gate, NULL);
    pthread_mutex_init(&db->sync_lock, NULL);
    atomic_init(&db->written,
                1); /* what the opening brought from the logs: the first sync is one */
    pthread_condattr_t monotonic; /* a clock that is set must not end or stretch the wait */
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&db->gate_moved, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_rwlockattr_t fair; /* writers never end: without this no cut is ever made */
    pthread_rwlockattr_init(&fair);
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&db->cut, &fair);
    pthread_rwlockattr_destroy(&fair);
    db->unmerged = unmerged_before(db);
    db_options_make(&db->options);
    enum err_code code = rocks_open(db, create ? OPEN_CREATE : OPEN_EXISTING, err);
    if (code != ERR_OK) {
        db_free(db);
        return code;
    }
    *ret_db = db;
    return ERR_OK;
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    ASSERT(db->users == 0 && !db->closing);
    rocks_close(db);
    db_free(db);
}

/* ---- the gate ---- */

static bool gate_enter(struct db *db)
{
    pthread_mutex_lock(&db->gate);
    while (db->closing && thread_uses == 0)
        pthread_cond_wait(&db->gate_moved, &db->gate);
    bool open = db->rocks != NULL;
    if (open)
        db->users++;
    pthread_mutex_unlock(&db->gate);
    if (open)
        thread_uses++;
    return open;
}

/* A database that could not be opened again is tried anew. */
static enum err_code db_enter(struct db *db, struct err *err)
{
    if (gate_enter(db))
        return ERR_OK;
    TRY(db_recover(db, err));
    if (gate_enter(db))
        return ERR_OK;
    return err_set(err, ERR_IO, "the database is closed since a write failed");
}

static void db_leave(struct db *db)
{
    ASSERT(thread_uses > 0);
    thread_uses--;
    pthread_mutex_lock(&db->gate);
    ASSERT(db->users > 0);
    db->users--;
    if (db->users == 0 && db->closing)
        pthread_cond_broadcast(&db->gate_moved);
    pthread_mutex_unlock(&db->gate);
}

bool db_latched(struct db *db)
{
    return atomic_load_explicit(&db->latched, memory_order_relaxed);
}

/* Waits until nobody is inside; false when that takes too long. */
static bool gate_drain_locked(struct db *db)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += DB_RECOVER_WAIT_SECONDS;
    while (db->users > 0) {
        if (pthread_cond_timedwait(&db->gate_moved, &db->gate, &until) != 0)
            return db->users == 0;
    }
    return true;
}

/* Whether the disk takes and keeps anything at all. */
static enum err_code recover_probe(struct db *db, struct err *err)
{
    static const uint8_t block[KIB(4)];
    struct bytes path BYTES_CLEANUP = {0};
    bytes_printf(&path, "%s.probe", db->path);
    bytes_append_u8(&path, 0);
    const char *name = (const char *)path.data;
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        return space_failed(db->path, "opening the database again", errno, err);
    ssize_t wrote = write(file, block, sizeof(block));
    bool kept = wrote == (ssize_t)sizeof(block) && fsync(file) == 0;
    int number = wrote >= 0 && wrote < (ssize_t)sizeof(block) ? ENOSPC : errno;
    close(file);
    (void)unlink(name);
    return kept ? ERR_OK : space_failed(db->path, "opening the database again", number, err);
}

uint64_t db_flush_bytes(struct db *db)
{
    uint64_t bytes = DB_RECOVER_BYTES;
    if (!gate_enter(db))
        return 0;
    for (enum family family = FAMILY_SMALL; family < FAMILY_COUNT; family++) {
        uint64_t buffered = 0;
        if (rocksdb_property_int_cf(db->rocks, db->handles[family],
                                    "rocksdb.cur-size-all-mem-tables", &buffered) == 0)
            bytes += buffered;
    }
    db_leave(db);
    return bytes;
}

/* Opening replays the log into files: a database that can still be read stays as it is until there
 * is room for that. */
static enum err_code recover_space_check(struct db *db, struct err *err)
{
    uint64_t bytes = db_flush_bytes(db);
    if (bytes == 0)
        return ERR_OK; /* closed already: nothing to lose */
    const struct space space = {.path = db->path};
    TRY(space_check(&space, bytes, err));
    return recover_probe(db, err);
}

enum err_code db_recover(struct db *db, struct err *err)
{
    if (!db_latched(db))
        return ERR_OK;
    if (thread_uses > 0)
        return err_set(err, ERR_BUSY, "the database has to be opened again after a failed write");
    TRY(recover_space_check(db, err));
    enum err_code code = ERR_OK;
    pthread_mutex_lock(&db->gate);
    while (db->closing)
        pthread_cond_wait(&db->gate_moved, &db->gate);
    if (db_latched(db)) {
        db->closing = true;
        if (!gate_drain_locked(db)) {
            code = err_set(err, ERR_BUSY, "readers keep the database from being opened again");
        } else {
            rocks_close(db);
            code = rocks_open(db, OPEN_EXISTING, err);
            if (code != ERR_OK) /* readers go on; the next write tries again */
                (void)!rocks_open(db, OPEN_READ_ONLY, NULL);
            atomic_store_explicit(&db->latched, code != ERR_OK, memory_order_relaxed);
        }
        db->closing = false;
        pthread_cond_broadcast(&db->gate_moved);
    }
    pthread_mutex_unlock(&db->gate);
    return code;
}

/* For writers: a latched database first recovers. */
static enum err_code db_enter_write(struct db *db, struct err *err)
{
    TRY(db_recover(db, err));
    return db_enter(db, err);
}

static enum err_code db_write_error(struct db *db, struct err *err, char *text, const char *doing)
{
    atomic_store_explicit(&db->latched, true, memory_order_relaxed);
    block_damaged(db, FAMILY_META, text); /* of which family is not said: of one that compacts */
    return db_error(db, err, text, doing);
}

/* ---- reading ---- */

/* ret_value NULL: not wanted. */
static enum err_code db_look_up(struct db *db, struct db_view *view, enum family family,
                                struct span key, struct bytes *ret_value, bool *ret_found,
                                struct err *err)
{
    TRY(db_enter(db, err));
    char *text = NULL;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned_cf(db->rocks, view != NULL ? view->read : db->options.read_now,
                              db->handles[family], (const char *)key.data, key.len, &text);
    enum err_code code = ERR_OK;
    if (text != NULL) {
        block_damaged(db, family, text);
        code = read_error(db, err, text, family);
    } else if (slice == NULL) {
        *ret_found = false;
    } else {
        size_t len;
        const char *value = rocksdb_pinnableslice_value(slice, &len);
        if (ret_value != NULL) {
            bytes_clear(ret_value);
            bytes_append(ret_value, value, len);
        }
        *ret_found = true;
        rocksdb_pinnableslice_destroy(slice);
    }
    db_leave(db);
    return code;
}

enum err_code db_find(struct db *db, struct db_view *view, enum family family, struct span key,
                      struct bytes *ret_value, bool *ret_found, struct err *err)
{
    return db_look_up(db, view, family, key, ret_value, ret_found, err);
}

enum err_code db_has(struct db *db, enum family family, struct span key, bool *ret_found,
                     struct err *err)
{
    return db_look_up(db, NULL, family, key, NULL, ret_found, err);
}

enum err_code db_view_open(struct db *db, struct db_view **ret_view, struct err *err)
{
    TRY(db_enter(db, err));
    struct db_view *view = mem_calloc(1, sizeof(*view));
    view->db = db;
    view->snapshot = rocksdb_create_snapshot(db->rocks);
    view->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(view->read, 1);
    rocksdb_readoptions_set_snapshot(view->read, view->snapshot);
    *ret_view = view;
    return ERR_OK;
}

void db_view_close(struct db_view *view)
{
    if (view == NULL)
        return;
    rocksdb_readoptions_destroy(view->read);
    rocksdb_release_snapshot(view->db->rocks, view->snapshot);
    db_leave(view->db);
    mem_free(view);
}

/* The first key beyond all that begin with prefix; empty when there is none. */
static void prefix_end(struct span prefix, struct bytes *end)
{
    bytes_append_span(end, prefix);
    while (end->len > 0 && end->data[end->len - 1] == 0xFF)
        end->len--;
    if (end->len > 0)
        end->data[end->len - 1]++;
}

enum err_code db_iter_open(struct db *db, struct db_view *view, enum family family,
                           struct span prefix, struct span from, struct db_iter **ret_iter,
                           struct err *err)
{
    TRY(db_enter(db, err));
    struct db_iter *iter = mem_calloc(1, sizeof(*iter));
    iter->db = db;
    iter->family = family;
    iter->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(iter->read, 1);
    if (db_family_kind(family) != KIND_PLAIN)
        rocksdb_readoptions_set_fill_cache(iter->read, 0);
    if (view != NULL)
        rocksdb_readoptions_set_snapshot(iter->read, view->snapshot);
    prefix_end(prefix, &iter->end);
    if (iter->end.len > 0)
        rocksdb_readoptions_set_iterate_upper_bound(iter->read, (const char *)iter->end.data,
                                                    iter->end.len);
    iter->iter = rocksdb_create_iterator_cf(db->rocks, iter->read, db->handles[family]);
    struct span first = span_compare(prefix, from) >= 0 ? prefix : from;
    rocksdb_iter_seek(iter->iter, first.len == 0 ? "" : (const char *)first.data, first.len);
    *ret_iter = iter;
    return ERR_OK;
}

enum err_code db_iter_next(struct db_iter *iter, struct span *ret_key, struct span *ret_value,
                           bool *ret_found, struct err *err)
{
    if (iter->started && rocksdb_iter_valid(iter->iter))
        rocksdb_iter_next(iter->iter);
    iter->started = true;
    if (rocksdb_iter_valid(iter->iter)) {
        const char *key = rocksdb_iter_key(iter->iter, &ret_key->len);
        const char *value = rocksdb_iter_value(iter->iter, &ret_value->len);
        ret_key->data = (const uint8_t *)key;
        ret_value->data = (const uint8_t *)value;
        *ret_found = true;
        return ERR_OK;
    }
    char *text = NULL;
    rocksdb_iter_get_error(iter->iter, &text);
    if (text != NULL) {
        block_damaged(iter->db, iter->family, text);
        return read_error(iter->db, err, text, iter->family);
    }
    *ret_found = false;
    return ERR_OK;
}

void db_iter_seek(struct db_iter *iter, struct span key)
{
    rocksdb_iter_seek(iter->iter, (const char *)key.data, key.len);
    iter->started = false;
}

void db_iter_close(struct db_iter *iter)
{
    if (iter == NULL)
        return;
    rocksdb_iter_destroy(iter->iter);
    rocksdb_readoptions_destroy(iter->read);
    bytes_deinit(&iter->end);
    db_leave(iter->db);
    mem_free(iter);
}

void db_iter_close_pointer(struct db_iter **iter)
{
    db_iter_close(*iter);
}

void db_cache_drop(struct db *db)
{
    rocksdb_cache_set_capacity(db->options.cache, 0);
    rocksdb_cache_set_capacity(db->options.cache, DB_CACHE_BYTES);
}

/* ---- writing ---- */

/* Handles are read here, inside the gate: a batch may outlive a reopening. */
static void batch_replay(struct db *db, const struct db_batch *batch, rocksdb_writebatch_t *into)
{
    struct reader reader = reader_of(bytes_span(&batch->steps));
    struct db_batch_step step;
    while (db_batch_next(&reader, &step)) {
        const char *key = (const char *)step.key.data;
        if (step.put)
            rocksdb_writebatch_put_cf(into, db->handles[step.family], key, step.key.len,
                                      (const char *)step.value.data, step.value.len);
        else
            rocksdb_writebatch_delete_cf(into, db->handles[step.family], key, step.key.len);
    }
}

static void synced_raise(struct db *db, uint64_t count)
{
    uint64_t synced = atomic_load(&db->synced);
    while (synced < count && !atomic_compare_exchange_weak(&db->synced, &synced, count))
        ;
}

static enum err_code batch_write(struct db *db, const struct db_batch *batch, bool sync,
                                 struct err *err)
{
    TRY(db_enter_write(db, err));
    rocksdb_writebatch_t *raw = rocksdb_writebatch_create();
    batch_replay(db, batch, raw);
    char *text = NULL;
    uint64_t before = atomic_load(&db->written);
    pthread_rwlock_rdlock(&db->cut);
    rocksdb_write(db->rocks, sync ? db->options.write_sync : db->options.write_later, raw, &text);
    pthread_rwlock_unlock(&db->cut);
    rocksdb_writebatch_destroy(raw);
    enum err_code code = text == NULL ? ERR_OK : db_write_error(db, err, text, "writing");
    if (code == ERR_OK && sync)
        synced_raise(db, before);
    else if (code == ERR_OK)
        atomic_fetch_add(&db->written, 1);
    db_leave(db);
    return code;
}

/* Something of the library's own (writing out what is in memory) may have failed long ago, with
 * space again since: only the next write tells. A batch may be written twice. */
enum err_code db_write(struct db *db, struct db_batch *batch, bool sync, struct err *err)
{
    if (batch->count == 0)
        return sync ? db_sync(db, err) : ERR_OK;
    enum err_code code = batch_write(db, batch, sync, err);
    if (code == ERR_OK || !db_latched(db) || db_recover(db, NULL) != ERR_OK)
        return code;
    return batch_write(db, batch, sync, err);
}

enum err_code db_sync(struct db *db, struct err *err)
{
    TRY(db_enter_write(db, err));
    enum err_code code = ERR_OK;
    uint64_t wanted = atomic_load(&db->written);
    pthread_mutex_lock(&db->sync_lock);
    uint64_t covered = atomic_load(&db->written);
    if (atomic_load(&db->synced) < wanted) {
        char *text = NULL;
        rocksdb_flush_wal(db->rocks, 1, &text);
        code = text == NULL ? ERR_OK : db_write_error(db, err, text, "syncing");
        if (code == ERR_OK)
            synced_raise(db, covered);
    }
    pthread_mutex_unlock(&db->sync_lock);
    db_leave(db);
    return code;
}

enum err_code db_flush(struct db *db, struct err *err)
{
    TRY(db_enter_write(db, err));
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    char *text = NULL;
    for (enum family family = 0; family < FAMILY_COUNT && text == NULL; family++) {
        rocksdb_flush_cf(db->rocks, options, db->handles[family], &text);
        CRASH_POINT(CRASH_DB_FLUSHED);
    }
    rocksdb_flushoptions_destroy(options);
    enum err_code code = text == NULL ? ERR_OK : db_write_error(db, err, text, "flushing");
    db_leave(db);
    return code;
}

/* The library takes the manifest first and the log later: a pack that is ingested, or dropped, between
 * the two would be in one of them only. */
enum err_code db_checkpoint(struct db *db, const char *path, struct err *err)
{
    TRY(db_enter_write(db, err));
    char *text = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(db->rocks, &text);
    if (text == NULL) {
        pthread_rwlock_wrlock(&db->cut);
        rocksdb_checkpoint_create(checkpoint, path, UINT64_MAX, &text);
        pthread_rwlock_unlock(&db->cut);
        rocksdb_checkpoint_object_destroy(checkpoint);
    }
    enum err_code code = text == NULL ? ERR_OK : db_error(db, err, text, "cutting a backup");
    db_leave(db);
    return code;
}

const char *db_path(const struct db *db)
{
    return db->path;
}

/* ---- after mass deletes ---- */

enum err_code db_family_bytes(struct db *db, enum family family, uint64_t *ret_bytes,
                              struct err *err)
{
    TRY(db_enter(db, err));
    *ret_bytes = 0;
    (void)rocksdb_property_int_cf(db->rocks, db->handles[family], "rocksdb.total-sst-files-size",
                                  ret_bytes);
    db_leave(db);
    return ERR_OK;
}

enum err_code db_jobs_count(struct db *db, uint64_t *ret_jobs, struct err *err)
{
    static const char *const properties[] = {
        "rocksdb.num-running-flushes", "rocksdb.num-running-compactions",
        "rocksdb.mem-table-flush-pending", "rocksdb.compaction-pending"};
    TRY(db_enter(db, err));
    *ret_jobs = 0;
    for (enum family family = FAMILY_SMALL; family < FAMILY_COUNT; family++) {
        for (size_t i = 0; i < ARRAY_COUNT(properties); i++) {
            uint64_t count = 0;
            if (rocksdb_property_int_cf(db->rocks, db->handles[family], properties[i], &count) == 0)
                *ret_jobs += count;
        }
    }
    db_leave(db);
    return ERR_OK;
}

enum err_code db_compact(struct db *db, enum family family, struct span from, struct span to,
                         struct err *err)
{
    TRY(db_enter_write(db, err));
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
    rocksdb_compact_range_cf_opt(db->rocks, db->handles[family], options,
                                 from.len > 0 ? (const char *)from.data : NULL, from.len,
                                 to.len > 0 ? (const char *)to.data : NULL, to.len);
    rocksdb_compactoptions_destroy(options);
    db_leave(db);
    return ERR_OK;
}

/* ---- pack files ---- */

enum err_code db_sst_open(struct db *db, const char *path, struct db_sst **ret_sst, struct err *err)
{
    struct db_sst *sst = mem_calloc(1, sizeof(*sst));
    sst->db = db;
    sst->file = -1;
    sst->writer = rocksdb_sstfilewriter_create(db->options.env, db->options.families[KIND_PACKS]);
    char *text = NULL;
    rocksdb_sstfilewriter_open(sst->writer, path, &text);
    if (text != NULL) {
        db_sst_close(sst);
        return db_error(db, err, text, "beginning a pack");
    }
    sst->file = open(path, O_RDONLY | O_CLOEXEC);
    *ret_sst = sst;
    return ERR_OK;
}

/* The disk begins with what is there, so that the sync at the end does not find all of it. Only a
 * hint: it makes nothing durable, and its failure changes nothing. */
static void sst_write_out(struct db_sst *sst)
{
    if (sst->file < 0 || sst->put_bytes - sst->started_bytes < DB_WRITE_OUT_BYTES)
        return;
    (void)sync_file_range(sst->file, 0, 0, SYNC_FILE_RANGE_WRITE);
    sst->started_bytes = sst->put_bytes;
}

enum err_code db_sst_put(struct db_sst *sst, struct span key, struct span value, struct err *err)
{
    char *text = NULL;
    rocksdb_sstfilewriter_put(sst->writer, (const char *)key.data, key.len,
                              (const char *)value.data, value.len, &text);
    if (text != NULL)
        return db_error(sst->db, err, text, "writing a pack");
    sst->put_bytes += value.len;
    sst_write_out(sst);
    return ERR_OK;
}

enum err_code db_sst_finish(struct db_sst *sst, uint64_t *ret_file_bytes, struct err *err)
{
    char *text = NULL;
    rocksdb_sstfilewriter_finish(sst->writer, &text);
    if (text != NULL)
        return db_error(sst->db, err, text, "ending a pack");
    rocksdb_sstfilewriter_file_size(sst->writer, ret_file_bytes);
    return ERR_OK;
}

void db_sst_close(struct db_sst *sst)
{
    if (sst == NULL)
        return;
    if (sst->file >= 0)
        close(sst->file);
    rocksdb_sstfilewriter_destroy(sst->writer);
    mem_free(sst);
}

enum err_code db_ingest(struct db *db, enum family family, const char *const *paths,
                        size_t path_count, struct err *err)
{
    TRY(db_enter_write(db, err));
    char *text = NULL;
    enum err_code code = taken_hold(db->path, paths, path_count, err);
    pthread_rwlock_rdlock(&db->cut);
    if (code == ERR_OK)
        rocksdb_ingest_external_file_cf(db->rocks, db->handles[family], paths, path_count,
                                        db->options.ingest, &text);
    pthread_rwlock_unlock(&db->cut);
    if (text != NULL) /* the second names stay until the database is opened again */
        code = db_write_error(db, err, text, "taking in packs");
    else if (code == ERR_OK)
        taken_release(db->path, paths, path_count);
    db_leave(db);
    return code;
}

enum err_code db_drop_files(struct db *db, enum family family, struct span from, struct span to,
                            struct err *err)
{
    TRY(db_enter_write(db, err));
    char *text = NULL;
    pthread_rwlock_rdlock(&db->cut);
    rocksdb_delete_file_in_range_cf(db->rocks, db->handles[family], (const char *)from.data,
                                    from.len, (const char *)to.data, to.len, &text);
    pthread_rwlock_unlock(&db->cut);
    enum err_code code = text == NULL ? ERR_OK : db_write_error(db, err, text, "dropping packs");
    db_leave(db);
    return code;
}

static bool pack_family_parse(const char *name, enum family *ret_family)
{
    for (enum family family = FAMILY_PACKS_FIRST; family <= FAMILY_PACKS_LAST; family++) {
        if (strcmp(name, family_name(family)) == 0) {
            *ret_family = family;
            return true;
        }
    }
    return false;
}

enum err_code db_pack_files_each(struct db *db, db_on_file *on_file, void *context, struct err *err)
{
    TRY(db_enter(db, err));
    const rocksdb_livefiles_t *files = rocksdb_livefiles(db->rocks);
    enum err_code code = ERR_OK;
    int count = rocksdb_livefiles_count(files);
    for (int i = 0; i < count && code == ERR_OK; i++) {
        enum family family;
        if (!pack_family_parse(rocksdb_livefiles_column_family_name(files, i), &family))
            continue;
        struct span first, last;
        first.data = (const uint8_t *)rocksdb_livefiles_smallestkey(files, i, &first.len);
        last.data = (const uint8_t *)rocksdb_livefiles_largestkey(files, i, &last.len);
        code = on_file(context, family, first, last, rocksdb_livefiles_size(files, i), err);
    }
    rocksdb_livefiles_destroy(files);
    db_leave(db);
    return code;
}
