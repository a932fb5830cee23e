/* PARTITION(a=1, b='x') as a partition's key.
 *
 * A value is never NULL, of 1 to LIMIT_PARTITION_VALUE_BYTES bytes as text, and a text has no
 * control characters and no '/': "a=1/b=x" is how partitions are written.
 */
#ifndef NODE_STATEMENT_PARTITION_H
#define NODE_STATEMENT_PARTITION_H

#include "node/statement/statement.h"
#include "store/table.h"

/* ERR_SEMANTIC, ERR_CAST: names the column. */
enum err_code partition_value_check(const struct column *column, struct value value,
                                    struct err *err);
/* All levels are given, in any order. Appends the key. */
enum err_code partition_spec_key(const struct schema *schema, const struct partition_spec *spec,
                                 struct bytes *key, struct err *err);
/* The values that the items give, by level; an item without one (dynamic) gives none. Unknown
 * columns, and those that stand twice: ERR_SEMANTIC. */
enum err_code partition_spec_values(const struct schema *schema, const struct partition_spec *spec,
                                    struct value ret_values[LIMIT_PARTITION_LEVELS],
                                    bool ret_given[LIMIT_PARTITION_LEVELS], struct err *err);

/* partition_spec_key for a statement: the key lives in the call's arena, an error has line and column
 * of its PARTITION(...). */
enum err_code partition_spec_place(const struct statement_call *call, const struct schema *schema,
                                   const struct partition_spec *spec, struct span *ret_key,
                                   struct err *err);
/* The keys of all of them, ascending; a repeat is an error unless lenient. */
enum err_code partition_list_make(const struct statement_call *call, const struct schema *schema,
                                  const struct partition_specs *specs, bool lenient,
                                  struct partition_list *ret_list, struct err *err);
/* Sets ERR_EXISTS or ERR_NOT_FOUND (code) and names the first of the list that it is true of. */
enum err_code partition_blame(const struct table_write *write, const struct partition_list *list,
                              enum err_code code, struct err *err);

#endif
