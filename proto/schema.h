/* What a table's columns are: the schema that a version digest covers.
 *
 * Ordered columns with ids that are never reused; partition columns apart. Names live here only
 * (trees know ids). Canonical protobuf form (schema.proto): decode refuses bytes that packing the
 * decoded message would not give again.
 * Memory: decoded schemas borrow from the arena they were decoded into.
 */
#ifndef PROTO_SCHEMA_H
#define PROTO_SCHEMA_H

#include "proto/arena.h"
#include "proto/digest.h"
#include "proto/type.h"

struct column {
    uint32_t id; /* from 1 */
    struct span name;
    struct type type;
    bool not_null;
    bool has_default;
    struct span default_text; /* text form, has_default only */
    struct span comment;
};

struct schema {
    struct column *columns; /* data columns, in order */
    size_t column_count;
    struct column *partition_columns; /* ids from the same sequence */
    size_t partition_column_count;
    uint32_t next_column_id;
};

/* Structure: at least one data column, unique names (ASCII case folded) over both lists, ids below
 * next_column_id and unique, valid types, partition types allowed, limits. ERR_SEMANTIC. */
enum err_code schema_validate(const struct schema *schema, struct err *err);
void schema_encode(const struct schema *schema, struct bytes *out);
enum err_code schema_decode(struct span encoded, struct arena *arena, struct schema *ret_schema,
                            struct err *err);
/* Deep copy into the arena, whose budget suffices. */
struct schema schema_copy(const struct schema *schema, struct arena *arena);
bool schema_equal(const struct schema *a, const struct schema *b);
/* By name, ASCII case folded; NULL when absent. ret_is_partition may be NULL. */
const struct column *schema_find(const struct schema *schema, struct span name,
                                 bool *ret_is_partition);

/* "a=1/b=2" from a partition key (proto/key.h); ERR_CORRUPT on a key that does not fit. */
enum err_code partition_format(const struct schema *schema, struct span key, struct bytes *out,
                               struct err *err);

#endif
