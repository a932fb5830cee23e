/* Why a database does not open, in words for its operator: which file, what it held, what to do now.
 *
 * Nothing is suggested that loses what is whole: a table whose content comes again is for
 * `straitd --mend` (mend.h), all else for a copy of data_dir, and this one is kept until then.
 */
#ifndef STORE_REFUSAL_H
#define STORE_REFUSAL_H

#include "store/db.h"

/* Before an opening: ERR_CORRUPT where the library would end the process (a table's properties), or take
 * the end of what is whole for the end of all: a manifest or log whose record has another length or kind
 * than it was written with. Reads them whole, and the end of every table. */
enum err_code refusal_before(const char *db_path, struct err *err) MUST_USE;
/* ERR_CORRUPT for a database (its directory) that failed to open with the library's text. Looks at the
 * database's files. */
enum err_code refusal_set(const char *db_path, const char *text, struct err *err);
/* The same for a table of it that is known. */
struct db_table;
enum err_code refusal_of_table(const char *db_path, const struct db_table *table, struct err *err);
/* CURRENT, or the manifest at this path, is damaged. */
enum err_code refusal_of_current(const char *db_path, struct err *err);
enum err_code refusal_of_manifest(const char *path, struct err *err);
/* A read of the family failed with this text: true, and ERR_CORRUPT set, if the store cannot be opened, or
 * go on, without what could not be read. */
bool refusal_of_read(const char *db_path, enum family family, const char *text, struct err *err);

#endif
