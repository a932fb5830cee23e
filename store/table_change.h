/* A table's record in a catalog change. Private to table.c and table_write.c. */
#ifndef STORE_TABLE_CHANGE_H
#define STORE_TABLE_CHANGE_H

#include "store/table.h"

/* The change expects old_record under the table's id, puts the new record and its history. */
void table_change_put(struct catalog_change *change, const struct table_record *table,
                      struct span old_record, enum history_operation operation,
                      const struct change_note *note);

#endif
