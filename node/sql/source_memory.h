/* A table in memory for tests of SELECT: counts what it was asked for. */
#ifndef NODE_SQL_SOURCE_MEMORY_H
#define NODE_SQL_SOURCE_MEMORY_H

#include "node/sql/select.h"

#define SOURCE_MEMORY_COLUMNS 1200

struct source_memory {
    const char *name;                       /* NULL: every other name but "absent" */
    struct source_memory *next;             /* another table of the catalog, or NULL; borrowed */
    struct schema schema;                   /* borrows */
    struct batch rows;                      /* data columns, then partition columns */
    size_t batch_rows;                      /* in one batch that is given out */
    size_t fail_after;                      /* batches before ERR_CORRUPT; 0: never */
    uint64_t time_ms_max;                   /* of a query, 0: none */
    size_t found, released, opened, closed; /* found, released: also of the next ones */
    struct select_scan last;                /* of the last pass: columns and domains are copied */
    size_t pruned;                          /* batches that were not given out */
    size_t summarised;                      /* batches of which the summaries were enough */
    size_t fetched_columns, fetched_rows;   /* asked for, by batch; rows of all these together */
    size_t columns[SOURCE_MEMORY_COLUMNS];  /* last.columns */
    struct bytes domains;          /* of the last pass as text: "a: (5, 9] [12, 12] NULL\nb: ..." */
    struct select_catalog catalog; /* finds the first of this table and the next that fits */
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
