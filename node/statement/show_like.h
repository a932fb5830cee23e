/* What restricts a list: SHOW TABLES LIKE 'x_%', SHOW PARTITIONS t PARTITION(a=1). No threads. */
#ifndef NODE_STATEMENT_SHOW_LIKE_H
#define NODE_STATEMENT_SHOW_LIKE_H

#include "node/sql/ast.h"
#include "proto/schema.h"

/* '%' and '*' any characters, '_' one; ASCII case folded, as names are. */
bool show_like(struct span name, struct span pattern);

/* ERR_SEMANTIC, ERR_CAST for a level that does not exist or a value that it cannot have. */
enum err_code show_spec_check(const struct schema *schema, const struct partition_spec *spec,
                              struct err *err);
/* Does the partition of this key have the values given (some or all levels)? */
bool show_partition_fits(const struct schema *schema, const struct partition_spec *spec,
                         struct span key);

#endif
