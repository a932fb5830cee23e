#include "store/db_options.h"

#include "proto/limits.h"

#define DB_MAX_OPEN_FILES     512
#define DB_WAL_BYTES_MAX      (128 * MIB(1))
#define DB_WRITE_BUFFER_BYTES (64 * MIB(1))
/* Of one family. A log file takes 1.1 times this from the disk when it is begun. */
#define DB_FAMILY_BUFFER_BYTES     (16 * MIB(1))
#define DB_BLOCK_DEVIATION_PERCENT 99 /* 100 would switch it off */
#define DB_MANIFEST_BYTES_MAX      (64 * MIB(1))
#define DB_BLOCK_BYTES             KIB(4)
#define DB_BLOOM_BITS              10
#define DB_CHECKSUM_XXH3           4
#define DB_LOG_FATAL               4
#define DB_RECOVERY_TAIL_ONLY      0

enum family_kind db_family_kind(enum family family)
{
    if (family <= FAMILY_PACKS_LAST)
        return KIND_PACKS;
    if (family == FAMILY_SMALL)
        return KIND_SMALL;
    if (family == FAMILY_FILES || family == FAMILY_HELD || family == FAMILY_PAGES)
        return KIND_POINT;
    return KIND_PLAIN;
}

static void table_options_make(struct db_options *options, enum family_kind kind)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_size(table, DB_BLOCK_BYTES);
    rocksdb_block_based_options_set_checksum(table, DB_CHECKSUM_XXH3);
    rocksdb_block_based_options_set_format_version(table, 5);
    if (kind == KIND_PACKS || kind == KIND_SMALL) {
        rocksdb_block_based_options_set_no_block_cache(table, 1);
        /* A block ends before a file that would exceed it: else one of 2 KB shares its block with
         * one of 6 MB behind it, and costs 6 MB to read. */
        rocksdb_block_based_options_set_block_size_deviation(table, DB_BLOCK_DEVIATION_PERCENT);
    } else {
        rocksdb_block_based_options_set_block_cache(table, options->cache);
    }
    if (kind == KIND_POINT) {
        /* The policy belongs to the table options from here on. */
        rocksdb_block_based_options_set_filter_policy(
            table, rocksdb_filterpolicy_create_bloom_full(DB_BLOOM_BITS));
        rocksdb_block_based_options_set_whole_key_filtering(table, 1);
    }
    options->tables[kind] = table;
}

/* Most look-ups are of what is new, so what is still in memory gets a filter too: 2 percent of the
 * buffer. Without it each look-up is a search. */
static void memory_filter_set(rocksdb_options_t *options)
{
    char *text = NULL;
    rocksdb_get_options_from_string(
        options, "memtable_whole_key_filtering=true;memtable_prefix_bloom_size_ratio=0.02", options,
        &text);
    ASSERT(text == NULL);
}

static void family_options_make(struct db_options *options, enum family_kind kind)
{
    rocksdb_options_t *family = rocksdb_options_create();
    table_options_make(options, kind);
    rocksdb_options_set_block_based_table_factory(family, options->tables[kind]);
    rocksdb_options_set_compression(family, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(family, DB_FAMILY_BUFFER_BYTES);
    if (kind == KIND_POINT)
        memory_filter_set(family);
    options->families[kind] = family;
}

static void database_options_set(rocksdb_options_t *options)
{
    rocksdb_options_set_create_missing_column_families(options, 1);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_info_log_level(options, DB_LOG_FATAL);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
    rocksdb_options_set_wal_recovery_mode(options, DB_RECOVERY_TAIL_ONLY);
    rocksdb_options_set_max_total_wal_size(options, DB_WAL_BYTES_MAX);
    rocksdb_options_set_db_write_buffer_size(options, DB_WRITE_BUFFER_BYTES);
    rocksdb_options_set_max_open_files(options, DB_MAX_OPEN_FILES);
    rocksdb_options_set_max_manifest_file_size(options, DB_MANIFEST_BYTES_MAX);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_allow_mmap_reads(options, 0);
    rocksdb_options_set_allow_mmap_writes(options, 0);
}

void db_options_make(struct db_options *options)
{
    options->cache = rocksdb_cache_create_lru(DB_CACHE_BYTES);
    for (enum family_kind kind = 0; kind < KIND_COUNT; kind++)
        family_options_make(options, kind);
    database_options_set(options->families[KIND_PLAIN]);
    options->env = rocksdb_envoptions_create();
    options->ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(options->ingest, 1);
    /* A pack's keys are new: it goes to the bottom as it is, or it is refused. */
    rocksdb_ingestexternalfileoptions_set_snapshot_consistency(options->ingest, 0);
    rocksdb_ingestexternalfileoptions_set_allow_global_seqno(options->ingest, 0);
    options->read_now = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(options->read_now, 1);
    options->write_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(options->write_sync, 1);
    options->write_later = rocksdb_writeoptions_create();
}

void db_options_free(struct db_options *options)
{
    rocksdb_writeoptions_destroy(options->write_later);
    rocksdb_writeoptions_destroy(options->write_sync);
    rocksdb_readoptions_destroy(options->read_now);
    rocksdb_ingestexternalfileoptions_destroy(options->ingest);
    rocksdb_envoptions_destroy(options->env);
    for (enum family_kind kind = 0; kind < KIND_COUNT; kind++) {
        rocksdb_options_destroy(options->families[kind]);
        rocksdb_block_based_options_destroy(options->tables[kind]);
    }
    rocksdb_cache_destroy(options->cache);
}
