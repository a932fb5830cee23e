/* How the database is kept: what is set of the library for each kind of family, and for reads and writes.
 * For db.c alone. Not here: anything that opens, reads or writes. Threads: made and freed by the opener.
 */
#ifndef STORE_DB_OPTIONS_H
#define STORE_DB_OPTIONS_H

#include <rocksdb/c.h>

#include "store/family.h"

#define DB_CACHE_BYTES (32 * MIB(1))

/* How a family is kept. */
enum family_kind {
    KIND_PACKS, /* ingested files; never compacted, never cached */
    KIND_SMALL, /* large values for a short time */
    KIND_POINT, /* looked up by digest: Bloom filters, 4 KiB blocks, cached */
    KIND_PLAIN,
    KIND_COUNT
};

enum family_kind db_family_kind(enum family family);

struct db_options {
    rocksdb_cache_t *cache;
    rocksdb_options_t *families[KIND_COUNT]; /* [KIND_PLAIN] is the database's as well */
    rocksdb_block_based_table_options_t *tables[KIND_COUNT];
    rocksdb_envoptions_t *env;
    rocksdb_ingestexternalfileoptions_t *ingest;
    rocksdb_readoptions_t *read_now;
    rocksdb_writeoptions_t *write_sync, *write_later;
};

void db_options_make(struct db_options *options);
void db_options_free(struct db_options *options);

#endif
