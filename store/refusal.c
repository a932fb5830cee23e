#include "store/refusal.h"

#include <dirent.h>

#include "store/db_log.h"
#include "store/db_tables.h"
#include "store/family.h"

#define FROM_A_COPY "restore data_dir from a copy, and keep this one until then"

/* ---- words ---- */

enum err_code refusal_of_table(const char *db_path, const struct db_table *table, struct err *err)
{
    char name[DB_TABLE_NAME_BYTES];
    db_table_name(table, name);
    return err_set(err, ERR_CORRUPT, "%s/%s (%s: %s) is damaged or missing; %s", db_path, name,
                   family_name(table->family), family_content(table->family),
                   family_comes_again(table->family)
                       ? "straitd --mend -c FILE sets it aside, then SCRUB fetches what is lost "
                         "from peers with a replica; without one, restore data_dir from a copy"
                       : "it has no second copy: " FROM_A_COPY);
}

bool refusal_of_read(const char *db_path, enum family family, const char *text, struct err *err)
{
    struct db_table table = {.family = family};
    bool whole = family == FAMILY_PACK_STATE || family == FAMILY_DAMAGED;
    if ((family_comes_again(family) && !whole) || strstr(text, "Corruption") == NULL ||
        !db_tables_named(text, &table.number))
        return false;
    (void)refusal_of_table(db_path, &table, err);
    return true;
}

/* The names in a folder that begin or end so, " and " between. */
static size_t names_gather(const char *folder, const char *head, const char *tail,
                           struct bytes *ret_names)
{
    DIR *dir = opendir(folder);
    size_t count = 0;
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        size_t len = strlen(entry->d_name), tail_len = strlen(tail);
        if (strncmp(entry->d_name, head, strlen(head)) != 0 || len < tail_len ||
            strcmp(entry->d_name + len - tail_len, tail) != 0)
            continue;
        bytes_printf(ret_names, "%s%s", count++ > 0 ? " or " : "", entry->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    bytes_append_u8(ret_names, 0);
    return count;
}

enum err_code refusal_of_current(const char *db_path, struct err *err)
{
    struct bytes names BYTES_CLEANUP = {0};
    size_t count = names_gather(db_path, "MANIFEST-", "", &names);
    if (count == 1)
        return err_set(
            err, ERR_CORRUPT,
            "%s/CURRENT (which manifest holds) is damaged; all else may be whole: it has "
            "one line, %s. Write it so and start again, or " FROM_A_COPY,
            db_path, (const char *)names.data);
    return err_set(err, ERR_CORRUPT,
                   "%s: CURRENT (which manifest holds) or the manifest (which files there are) is "
                   "damaged or missing; it has no second copy: " FROM_A_COPY,
                   db_path);
}

static enum err_code refusal_of_logs(const char *db_path, const char *text, struct err *err)
{
    struct bytes names BYTES_CLEANUP = {0};
    if (names_gather(db_path, "", ".log", &names) == 0)
        return err_set(err, ERR_CORRUPT, "%s is damaged; " FROM_A_COPY ": %s", db_path, text);
    return err_set(
        err, ERR_CORRUPT,
        "%s/%s (the last changes of all kinds) is damaged; it has no second copy: " FROM_A_COPY
        ": %s",
        db_path, (const char *)names.data, text);
}

enum err_code refusal_of_manifest(const char *path, struct err *err)
{
    return err_set(err, ERR_CORRUPT,
                   "%s (which files there are) is damaged; it has no second copy: " FROM_A_COPY,
                   path);
}

/* ---- before and after an opening ---- */

static void log_damaged(void *context, const char *path)
{
    struct err *err = context;
    uint64_t at;
    if (err->code == ERR_OK && db_log_check(path, &at) == DB_LOG_DAMAGED)
        (void)err_set(err, ERR_CORRUPT,
                      "%s (the last changes of all kinds) is damaged at byte %" PRIu64
                      "; it has no second copy: " FROM_A_COPY,
                      path, at);
}

enum err_code refusal_before(const char *db_path, struct err *err)
{
    struct bytes manifest BYTES_CLEANUP = {0};
    char text[DB_TABLE_TEXT_BYTES];
    struct err found = {0};
    uint64_t at;
    bool whole;
    if (db_manifest_find(db_path, &manifest, &whole) && !whole &&
        db_log_check((const char *)manifest.data, &at) == DB_LOG_DAMAGED)
        return refusal_of_manifest((const char *)manifest.data, err);
    db_logs_each(db_path, log_damaged, &found);
    if (found.code != ERR_OK)
        return err_set(err, found.code, "%s", found.message);
    return db_tables_check(db_path, text) == ERR_OK ? ERR_OK : refusal_set(db_path, text, err);
}

/* What names nothing was met while the log was replayed. */
enum err_code refusal_set(const char *db_path, const char *text, struct err *err)
{
    struct db_table *tables MEM_CLEANUP = NULL;
    struct bytes manifest BYTES_CLEANUP = {0};
    size_t count = 0;
    struct err unlisted;
    bool whole = false;
    if (!db_manifest_find(db_path, &manifest, &whole))
        return refusal_of_current(db_path, err);
    if (!whole)
        return refusal_of_manifest((const char *)manifest.data, err);
    if (db_tables_list(db_path, &tables, &count, &unlisted) == ERR_OK) {
        const struct db_table *table = db_tables_culprit(db_path, tables, count, text);
        if (table != NULL)
            return refusal_of_table(db_path, table, err);
    }
    if (strstr(text, "MANIFEST-") != NULL)
        return refusal_of_manifest((const char *)manifest.data, err);
    return refusal_of_logs(db_path, text, err);
}
