/* PARTITION(a=1, b='x') as a partition's key.
 *
 * A value is never NULL, of 1 to LIMIT_PARTITION_VALUE_BYTES bytes as text, and a text has no
 * control characters and no '/': "a=1/b=x" is how partitions are written.
 */
#ifndef NODE_STATEMENT_PARTITION_H
#define NODE_STATEMENT_PARTITION_H

#include "node/statement/statement.h"

/* ERR_SEMANTIC, ERR_CAST: names the column. */
enum err_code partition_value_check(const struct column *column, struct value value,
                                    struct err *err);
/* All levels are given, in any order. Appends the key. */
enum err_code partition_spec_key(const struct schema *schema, const struct partition_spec *spec,
                                 struct bytes *key, struct err *err);
/* A value for each of the first levels, in order; *ret_levels of them. Others: ERR_SEMANTIC. */
enum err_code partition_spec_values(const struct schema *schema, const struct partition_spec *spec,
                                    struct value ret_values[LIMIT_PARTITION_LEVELS],
                                    bool ret_given[LIMIT_PARTITION_LEVELS], struct err *err);

#endif
