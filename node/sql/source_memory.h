/* A table in memory for tests of SELECT: counts what it was asked for. */
#ifndef NODE_SQL_SOURCE_MEMORY_H
#define NODE_SQL_SOURCE_MEMORY_H

#include "node/sql/select.h"

#define SOURCE_MEMORY_COLUMNS 128

struct source_memory {
    struct schema schema; /* borrows */
    struct batch rows;    /* data columns, then partition columns */
    size_t batch_rows;    /* in one batch that is given out */
    size_t fail_after;    /* batches before ERR_CORRUPT; 0: never */
    size_t found, released, opened, closed;
    struct select_scan last;               /* of the last pass: columns and ranges are copied */
    size_t columns[SOURCE_MEMORY_COLUMNS]; /* last.columns */
    struct select_range ranges[SOURCE_MEMORY_COLUMNS]; /* the first of last.ranges */
    struct select_catalog catalog; /* finds this table by every name but "absent" */
};

void source_memory_init(struct source_memory *source, const struct schema *schema,
                        size_t batch_rows);
void source_memory_deinit(struct source_memory *source);
/* Values as text, one for each column; NULL is NULL. */
void source_memory_add(struct source_memory *source, const char *const *texts);

/* Runs one SELECT and renders it: "1|x\n2|NULL\n"; booleans as true and false. */
enum err_code source_memory_select(struct source_memory *source, const char *sql,
                                   struct bytes *ret_text, struct err *err);

#endif
