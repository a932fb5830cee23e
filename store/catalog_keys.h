/* Keys of the catalog family, and reading one record. Private to the files of store/ that own records
 * (account.c, project.c, table.c, snapshot.c, history.c, roots.c). docs/FORMATS.md, "Catalog records".
 *
 *     A name -> u64 account      a u64 -> account       k identity 32, x exchange 32 -> u64 of either
 *     U name -> u64 user         u u64 -> user          (ids of accounts and users: one sequence)
 *     P name -> u64 project      p u64 -> project       N u64 project | name -> u8 kind | u64 id
 *     t u64 -> table             s u64 -> snapshot      o text principal | statement 16 -> outcome
 *     n u64 table -> u64 its newest snapshot
 *     r u8 purpose | id -> root                         names are folded to lower case (ASCII)
 *
 *     history family: u64 table | u64 sequence -> history
 */
#ifndef STORE_CATALOG_KEYS_H
#define STORE_CATALOG_KEYS_H

#include "store/project.h"

/* Each replaces the content of key. */
void catalog_key_id(char kind, uint64_t id, struct bytes *key);
void catalog_key_name(char kind, struct span name, struct bytes *key);
void catalog_key_scoped(struct project_id project, struct span name, struct bytes *key);
void catalog_key_bytes(char kind, struct span bytes, struct bytes *key);
void catalog_key_outcome(struct span principal, const struct statement_id *statement,
                         struct bytes *key);
void catalog_key_history(struct table_id table, uint64_t sequence, struct bytes *key);

/* Names are 1 to LIMIT_NAME_BYTES of UTF-8 without control characters; ERR_PARAMETER. */
enum err_code catalog_name_check(struct span name, size_t bytes_max, struct err *err) MUST_USE;

/* The stored bytes, in the arena. */
enum err_code catalog_record_find(struct store *store, struct db_view *view, enum family family,
                                  struct span key, struct arena *arena, struct span *ret_record,
                                  bool *ret_found, struct err *err) MUST_USE;
/* A record of 8 bytes: an id. */
enum err_code catalog_id_find(struct store *store, struct db_view *view, struct span key,
                              uint64_t *ret_id, bool *ret_found, struct err *err) MUST_USE;
/* The name is free; the change expects that and puts the id. ERR_EXISTS. */
enum err_code catalog_name_claim(struct store *store, struct catalog_change *change,
                                 struct span key, struct span name, uint64_t id,
                                 struct err *err) MUST_USE;
/* The ids under the keys that begin with prefix, in their order. The arena is empty at each. */
typedef enum err_code on_catalog_id(void *context, uint64_t id, struct arena *arena,
                                    struct err *err);
enum err_code catalog_named_each(struct store *store, struct db_view *view, struct span prefix,
                                 on_catalog_id *each, void *context, struct err *err) MUST_USE;
/* Puts an id. */
void catalog_put_id(struct catalog_change *change, struct span key, uint64_t id);

/* Adds what the note says and commits. ERR_EXISTS: the statement has an outcome already. */
enum err_code catalog_commit_noted(struct store *store, struct catalog_change *change,
                                   const struct change_note *note, enum catalog_space space,
                                   struct err *err) MUST_USE;

#endif
