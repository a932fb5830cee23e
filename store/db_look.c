#include "store/db_look.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/db_log.h"
#include "store/db_tables.h"
#include "store/refusal.h"

/* What is being written is read half at most once: damage stands where it stood. */
#define LOOK_AGAIN_US 50000

struct look {
    struct db *db;
    const char *path;
    void (*on_fault)(void *context, const char *what);
    void *context;
};

/* The scratch database of db_tables.h is one. */
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;

/* ---- CURRENT, manifest, logs ---- */

static bool is_damaged(const char *path)
{
    uint64_t at, again;
    if (db_log_check(path, &at) < DB_LOG_ZEROED)
        return false;
    usleep(LOOK_AGAIN_US);
    return db_log_check(path, &again) >= DB_LOG_ZEROED && again == at;
}

static void manifest_look(const struct look *look)
{
    struct bytes path BYTES_CLEANUP = {0};
    struct err fault = {0};
    char words[ERR_MESSAGE_BYTES + 64];
    bool whole;
    if (!db_manifest_find(look->path, &path, &whole)) {
        usleep(LOOK_AGAIN_US); /* the database may have begun another */
        if (!db_manifest_find(look->path, &path, &whole))
            (void)refusal_of_current(look->path, &fault);
    } else if (is_damaged((const char *)path.data)) {
        (void)refusal_of_manifest((const char *)path.data, &fault);
    }
    if (fault.code == ERR_OK)
        return;
    snprintf(words, sizeof(words), "the node runs on, and will not start again: %s", fault.message);
    look->on_fault(look->context, words);
}

struct logs_look {
    const struct look *look;
    bool damaged;
};

static void log_look(void *context, const char *path)
{
    struct logs_look *logs = context;
    char words[ERR_MESSAGE_BYTES];
    if (!is_damaged(path))
        return;
    logs->damaged = true;
    snprintf(words, sizeof(words),
             "%s (the last changes of all kinds) is damaged; what it holds is written again "
             "from memory, and SCRUB then finds it whole",
             path);
    logs->look->on_fault(logs->look->context, words);
}

/* What a log holds is in memory, too: in tables the log is needed no more. */
static enum err_code logs_look(const struct look *look, struct err *err)
{
    struct logs_look logs = {.look = look};
    db_logs_each(look->path, log_look, &logs);
    return logs.damaged ? db_flush(look->db, err) : ERR_OK;
}

/* ---- tables ---- */

static int number_order(const void *a, const void *b)
{
    uint64_t x = ((const struct db_table *)a)->number, y = ((const struct db_table *)b)->number;
    return x < y ? -1 : x > y;
}

/* By number. None, if the manifest cannot be read: that was told. */
static enum err_code tables_list(const struct look *look, struct db_table **ret_tables,
                                 size_t *ret_count, struct err *err)
{
    struct err cause;
    *ret_count = 0;
    enum err_code code = db_tables_list(look->path, ret_tables, ret_count, &cause);
    if (code != ERR_OK && code != ERR_CORRUPT)
        return err_set(err, code, "%s", cause.message);
    if (*ret_count > 0)
        qsort(*ret_tables, *ret_count, sizeof(**ret_tables), number_order);
    return ERR_OK;
}

/* A table that a compaction has dropped since it was listed is gone, not damaged. */
static enum err_code suspects_tell(const struct look *look, struct db_table *suspects, size_t count,
                                   struct err *err)
{
    struct db_table *tables MEM_CLEANUP = NULL;
    size_t table_count = 0;
    if (count > 0)
        count = db_tables_damaged(look->path, suspects, count);
    if (count > 0)
        TRY(tables_list(look, &tables, &table_count, err));
    for (size_t i = 0; i < count && table_count > 0; i++) {
        struct err fault;
        if (bsearch(&suspects[i], tables, table_count, sizeof(*tables), number_order) == NULL)
            continue;
        (void)refusal_of_table(look->path, &suspects[i], &fault);
        look->on_fault(look->context, fault.message);
    }
    return ERR_OK;
}

static enum err_code tables_look(const struct look *look, uint64_t *after, bool *ret_end,
                                 struct err *err)
{
    struct db_table *tables MEM_CLEANUP = NULL;
    size_t count = 0, first = 0;
    TRY(tables_list(look, &tables, &count, err));
    while (first < count && tables[first].number <= *after)
        first++;
    size_t step = count - first < DB_LOOK_TABLES ? count - first : DB_LOOK_TABLES;
    *ret_end = first + step == count;
    if (step == 0)
        return ERR_OK;
    *after = tables[first + step - 1].number;
    size_t damaged = db_tables_damaged(look->path, tables + first, step);
    return suspects_tell(look, tables + first, damaged, err);
}

enum err_code db_look(struct db *db, uint64_t *after,
                      void (*on_fault)(void *context, const char *what), void *context,
                      bool *ret_end, struct err *err)
{
    const struct look look = {db, db_path(db), on_fault, context};
    enum err_code code = ERR_OK;
    pthread_mutex_lock(&looking);
    if (*after == 0) {
        manifest_look(&look);
        code = logs_look(&look, err);
    }
    if (code == ERR_OK)
        code = tables_look(&look, after, ret_end, err);
    pthread_mutex_unlock(&looking);
    return code;
}
