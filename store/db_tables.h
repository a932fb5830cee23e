/* The tables (files) of a database that does not open: which there are, which is damaged, and the
 * manifest without some of them.
 *
 *     opening fails -> db_tables_list -> db_tables_culprit -> told by refusal.h, set aside by mend.h
 *
 * Nothing here changes the database but db_tables_remove, which is for a copy (mend.h).
 * Threads: any, one at a time for a database; nobody has it open for writing, but for db_look.h.
 */
#ifndef STORE_DB_TABLES_H
#define STORE_DB_TABLES_H

#include "store/db.h"

struct db_table {
    uint64_t number; /* of its file: NNNNNN.sst */
    enum family family;
    uint32_t family_id; /* in the manifest */
    uint32_t level;
    uint64_t first; /* the first key's first eight bytes: of a pack its id */
};

/* path: the database's own directory. All tables that its manifest names, also missing and damaged
 * ones, packs last; the caller frees the array. ERR_CORRUPT: the manifest cannot be read. */
enum err_code db_tables_list(const char *path, struct db_table **ret_tables, size_t *ret_count,
                             struct err *err) MUST_USE;
/* Before an opening: the library ends the process at some flipped bits of a table. ERR_CORRUPT, with a
 * text as of an opening that failed. Reads the end of every table. */
#define DB_TABLE_TEXT_BYTES 300
enum err_code db_tables_check(const char *path, char ret_text[DB_TABLE_TEXT_BYTES]) MUST_USE;
/* The last table's number that an error's text names. */
bool db_tables_named(const char *text, uint64_t *ret_number);
/* The table that made an opening fail with this text: named there, or else each is tried alone.
 * NULL: none of them is it. */
const struct db_table *db_tables_culprit(const char *path, const struct db_table *tables,
                                         size_t count, const char *text);
/* All that cannot be opened, or are missing, moved to the front; how many. */
size_t db_tables_damaged(const char *path, struct db_table *tables, size_t count);
/* Removes what a look that was killed has left beside the database. */
void db_tables_clear(const char *path);
/* "NNNNNN.sst" */
#define DB_TABLE_NAME_BYTES 32
void db_table_name(const struct db_table *table, char ret_name[DB_TABLE_NAME_BYTES]);

/* The file that says which tables there are, as CURRENT names it; false: it names none that is there.
 * *ret_whole: every record in it is; what ends in a piece may lack the newest tables. */
bool db_manifest_find(const char *path, struct bytes *ret_manifest_path, bool *ret_whole);
/* A whole manifest without this table; durable. Its file is the library's to delete. */
enum err_code db_tables_remove(const char *path, const struct db_table *table,
                               struct err *err) MUST_USE;

#endif
