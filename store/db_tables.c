#include "store/db_tables.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <rocksdb/c.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/limits.h"
#include "store/db_log.h"
#include "store/directory.h"
#include "store/family.h"
#include "store/space.h"

#define CURRENT_BYTES_MAX 64
#define DEFAULT_FAMILY    FAMILY_COUNT

static void path_make(struct bytes *path, const char *folder, const char *name)
{
    bytes_clear(path);
    bytes_printf(path, "%s/%s", folder, name);
    bytes_append_u8(path, 0);
}

void db_table_name(const struct db_table *table, char ret_name[DB_TABLE_NAME_BYTES])
{
    snprintf(ret_name, DB_TABLE_NAME_BYTES, "%06" PRIu64 ".sst", table->number);
}

/* ---- whole files ---- */

static enum err_code file_read_whole(const char *path, struct bytes *ret_bytes, struct err *err)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (file < 0)
        return space_failed(path, "reading", errno, err);
    bytes_clear(ret_bytes);
    bool ok = fstat(file, &stat) == 0 && stat.st_size >= 0;
    bytes_resize(ret_bytes, ok ? (size_t)stat.st_size : 0);
    for (size_t at = 0; ok && at < ret_bytes->len;) {
        ssize_t got = read(file, ret_bytes->data + at, ret_bytes->len - at);
        ok = got > 0;
        at += ok ? (size_t)got : 0;
    }
    int number = errno;
    close(file);
    return ok ? ERR_OK : space_failed(path, "reading", number, err);
}

static enum err_code file_write_whole(const char *path, struct span bytes, struct err *err)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = file >= 0;
    while (ok && bytes.len > 0) {
        ssize_t wrote = write(file, bytes.data, bytes.len);
        ok = wrote > 0;
        bytes = span_slice(bytes, ok ? (size_t)wrote : 0, bytes.len - (ok ? (size_t)wrote : 0));
    }
    ok = ok && fsync(file) == 0;
    int number = errno;
    if (file >= 0)
        close(file);
    return ok ? ERR_OK : space_failed(path, "writing", number, err);
}

static bool manifest_read(const char *path, struct bytes *ret_path, struct bytes *ret_manifest)
{
    struct bytes current BYTES_CLEANUP = {0};
    static const char prefix[] = "MANIFEST-";
    path_make(ret_path, path, "CURRENT");
    if (file_read_whole((const char *)ret_path->data, &current, NULL) != ERR_OK ||
        current.len < sizeof(prefix) || current.len > CURRENT_BYTES_MAX ||
        memcmp(current.data, prefix, sizeof(prefix) - 1) != 0 ||
        current.data[current.len - 1] != '\n')
        return false;
    bytes_clear(ret_path);
    bytes_printf(ret_path, "%s/%.*s", path, (int)current.len - 1, (const char *)current.data);
    bytes_append_u8(ret_path, 0);
    return file_read_whole((const char *)ret_path->data, ret_manifest, NULL) == ERR_OK;
}

/* ---- which there are ---- */

/* Read only, and what is not there is passed over: for a look at names, never at content. */
static rocksdb_options_t *listing_options(void)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_paranoid_checks(options, 0);
    rocksdb_options_set_info_log_level(options, 4);
    rocksdb_options_set_max_open_files(options, 64);
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
    return options;
}

static rocksdb_t *listing_open(const char *path, const rocksdb_options_t *options,
                               rocksdb_column_family_handle_t **ret_handles, char **ret_text)
{
    const char *names[FAMILY_COUNT + 1];
    const rocksdb_options_t *family_options[FAMILY_COUNT + 1];
    for (enum family family = 0; family <= FAMILY_COUNT; family++) {
        names[family] = family == DEFAULT_FAMILY ? "default" : family_name(family);
        family_options[family] = options;
    }
    return rocksdb_open_for_read_only_column_families(options, path, FAMILY_COUNT + 1, names,
                                                      family_options, ret_handles, 0, ret_text);
}

static bool family_parse(const char *name, enum family *ret_family)
{
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        if (strcmp(name, family_name(family)) == 0) {
            *ret_family = family;
            return true;
        }
    }
    return false;
}

/* Of packs last: others are tried first. */
static int table_order(const void *a, const void *b)
{
    const struct db_table *left = a, *right = b;
    bool left_pack = left->family <= FAMILY_PACKS_LAST;
    if (left_pack != (right->family <= FAMILY_PACKS_LAST))
        return left_pack ? 1 : -1;
    return left->number < right->number ? -1 : left->number > right->number;
}

static size_t tables_read(rocksdb_t *rocks, rocksdb_column_family_handle_t **handles,
                          struct db_table **ret_tables)
{
    const rocksdb_livefiles_t *files = rocksdb_livefiles(rocks);
    int file_count = rocksdb_livefiles_count(files);
    struct db_table *tables = mem_calloc((size_t)file_count + 1, sizeof(*tables));
    size_t count = 0;
    for (int i = 0; i < file_count; i++) {
        struct db_table table = {.level = (uint32_t)rocksdb_livefiles_level(files, i)};
        const char *name = rocksdb_livefiles_name(files, i);
        if (!family_parse(rocksdb_livefiles_column_family_name(files, i), &table.family))
            continue;
        size_t key_bytes;
        const char *key = rocksdb_livefiles_smallestkey(files, i, &key_bytes);
        table.number = strtoull(name + (name[0] == '/'), NULL, 10);
        table.family_id = rocksdb_column_family_handle_get_id(handles[table.family]);
        table.first = key_bytes >= sizeof(uint64_t) ? load_u64((const uint8_t *)key) : 0;
        tables[count++] = table;
    }
    rocksdb_livefiles_destroy(files);
    qsort(tables, count, sizeof(*tables), table_order);
    *ret_tables = tables;
    return count;
}

static enum err_code listing_read(const char *path, struct db_table **ret_tables, size_t *ret_count,
                                  struct err *err)
{
    rocksdb_column_family_handle_t *handles[FAMILY_COUNT + 1];
    rocksdb_options_t *options = listing_options();
    char *text = NULL;
    rocksdb_t *rocks = listing_open(path, options, handles, &text);
    enum err_code code = ERR_OK;
    if (text != NULL) {
        code = err_set(err, ERR_CORRUPT, "listing the files of the database: %s", text);
        rocksdb_free(text);
    } else {
        *ret_count = tables_read(rocks, handles, ret_tables);
        for (enum family family = 0; family <= FAMILY_COUNT; family++)
            rocksdb_column_family_handle_destroy(handles[family]);
        rocksdb_close(rocks);
    }
    rocksdb_options_destroy(options);
    return code;
}

/* In a folder with the manifest alone: no table is touched, for the library ends the process at some, and
 * no log. */
enum err_code db_tables_list(const char *path, struct db_table **ret_tables, size_t *ret_count,
                             struct err *err)
{
    struct bytes folder BYTES_CLEANUP = {0};
    struct bytes manifest_path BYTES_CLEANUP = {0};
    struct bytes manifest BYTES_CLEANUP = {0};
    struct bytes copy BYTES_CLEANUP = {0};
    if (!manifest_read(path, &manifest_path, &manifest))
        return err_set(err, ERR_CORRUPT, "%s: the manifest cannot be read", path);
    const char *name = strrchr((const char *)manifest_path.data, '/') + 1;
    bytes_printf(&folder, "%s.probing", path);
    bytes_append_u8(&folder, 0);
    const char *probing = (const char *)folder.data;
    TRY(directory_make(probing, err));
    TRY(directory_clear(probing, err));
    path_make(&copy, probing, name);
    enum err_code code = file_write_whole((const char *)copy.data, bytes_span(&manifest), err);
    path_make(&copy, probing, "CURRENT");
    struct bytes current BYTES_CLEANUP = {0};
    bytes_printf(&current, "%s\n", name);
    if (code == ERR_OK)
        code = file_write_whole((const char *)copy.data, bytes_span(&current), err);
    if (code == ERR_OK)
        code = listing_read(probing, ret_tables, ret_count, err);
    (void)!directory_clear(probing, NULL);
    (void)rmdir(probing);
    return code;
}

/* ---- which is damaged ---- */

/* The library looks for .ldb, too. */
bool db_tables_named(const char *text, uint64_t *ret_number)
{
    bool found = false;
    for (const char *at = text; (at = strchr(at, '/')) != NULL;) {
        char *end;
        at++;
        if (!isdigit((unsigned char)*at))
            continue;
        uint64_t number = strtoull(at, &end, 10);
        if (strncmp(end, ".sst", 4) != 0 && strncmp(end, ".ldb", 4) != 0)
            continue;
        *ret_number = number;
        found = true;
    }
    return found;
}

static const struct db_table *table_find(const struct db_table *tables, size_t count,
                                         uint64_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (tables[i].number == number)
            return &tables[i];
    }
    return NULL;
}

/* The library takes this bit of a table's properties for a promise about them before it checks them, and
 * ends the process when it is not kept (7.8.3, data_block_hash_index.cc). No table of ours has it. */
#define PROPERTIES_HASHED 0x80
#define FOOTER_BYTES      53 /* checksum kind | two handles, filled up to 40 | version u32 | magic u64 */
#define TAIL_BYTES        KIB(8)

static bool read_varint(struct reader *reader, uint64_t *ret_value)
{
    *ret_value = 0;
    for (unsigned shift = 0; shift < 64 && reader->left.len > 0; shift += 7) {
        uint8_t byte = reader_u8(reader);
        *ret_value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* A handle: offset and length of a block. False: it is not within the tail. */
static bool read_block(struct reader *reader, struct span tail, uint64_t tail_at,
                       struct span *ret_block)
{
    uint64_t at, len;
    if (!read_varint(reader, &at) || !read_varint(reader, &len) || at < tail_at ||
        at - tail_at > tail.len || len > tail.len - (at - tail_at))
        return false;
    *ret_block = span_slice(tail, (size_t)(at - tail_at), (size_t)len);
    return true;
}

/* Of the footer, the block of names that it leads to, and the properties among these: what is read
 * wrong here is read wrong by the library, which then refuses the table. */
static bool tail_ends_the_process(struct span tail, uint64_t tail_at)
{
    static const char wanted[] = "rocksdb.properties";
    struct span names, block;
    if (tail.len < FOOTER_BYTES)
        return false;
    struct reader footer =
        reader_of(span_slice(tail, tail.len - FOOTER_BYTES + 1, FOOTER_BYTES - 1));
    if (!read_block(&footer, tail, tail_at, &names))
        return false;
    for (struct reader reader = reader_of(names); reader.left.len > 0;) {
        uint64_t shared, own, value;
        if (!read_varint(&reader, &shared) || !read_varint(&reader, &own) ||
            !read_varint(&reader, &value) || shared != 0 || own > reader.left.len)
            return false;
        struct span name = reader_span(&reader, (size_t)own);
        if (value > reader.left.len)
            return false;
        struct reader handle = reader_of(reader_span(&reader, (size_t)value));
        if (span_equal(name, span_text(wanted)))
            return read_block(&handle, tail, tail_at, &block) && block.len > 0 &&
                   (block.data[block.len - 1] & PROPERTIES_HASHED) != 0;
    }
    return false;
}

static bool table_ends_the_process(const char *path)
{
    uint8_t tail[TAIL_BYTES];
    struct stat stat;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool ends = false;
    if (file >= 0 && fstat(file, &stat) == 0) {
        uint64_t bytes = (uint64_t)stat.st_size;
        uint64_t at = bytes > sizeof(tail) ? bytes - sizeof(tail) : 0;
        ssize_t got = pread(file, tail, sizeof(tail), (off_t)at);
        ends = got > 0 && tail_ends_the_process(span_of(tail, (size_t)got), at);
    }
    if (file >= 0)
        close(file);
    return ends;
}

/* A file that is no table of the database any more does no harm. */
static bool is_listed(const char *path, uint64_t number)
{
    struct db_table *tables MEM_CLEANUP = NULL;
    size_t count = 0;
    return db_tables_list(path, &tables, &count, NULL) == ERR_OK &&
           table_find(tables, count, number) != NULL;
}

enum err_code db_tables_check(const char *path, char ret_text[DB_TABLE_TEXT_BYTES])
{
    struct bytes table BYTES_CLEANUP = {0};
    DIR *dir = opendir(path);
    enum err_code code = ERR_OK;
    for (const struct dirent *entry;
         dir != NULL && code == ERR_OK && (entry = readdir(dir)) != NULL;) {
        size_t len = strlen(entry->d_name);
        if (len < 4 || strcmp(entry->d_name + len - 4, ".sst") != 0)
            continue;
        path_make(&table, path, entry->d_name);
        if (!table_ends_the_process((const char *)table.data) ||
            !is_listed(path, strtoull(entry->d_name, NULL, 10)))
            continue;
        snprintf(ret_text, DB_TABLE_TEXT_BYTES, "Corruption: properties in /%s", entry->d_name);
        code = ERR_CORRUPT;
    }
    if (dir != NULL)
        closedir(dir);
    return code;
}

/* A database of its own beside this one, to which tables are offered as packs are. It looks into each
 * before it refuses it: for what is wrong with it, or for not being a pack. */
struct probe {
    rocksdb_options_t *options;
    rocksdb_ingestexternalfileoptions_t *ingest;
    struct bytes path, offer;
    rocksdb_t *rocks; /* NULL: there is none */
};

void db_tables_clear(const char *path)
{
    struct bytes probing BYTES_CLEANUP = {0};
    bytes_printf(&probing, "%s.probing.sst", path);
    bytes_append_u8(&probing, 0);
    (void)unlink((const char *)probing.data);
    bytes_clear(&probing);
    bytes_printf(&probing, "%s.probing", path);
    bytes_append_u8(&probing, 0);
    if (directory_clear((const char *)probing.data, NULL) == ERR_OK)
        (void)rmdir((const char *)probing.data);
}

static void probe_open(struct probe *probe, const char *db_path)
{
    char *text = NULL;
    db_tables_clear(db_path);
    probe->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(probe->options, 1);
    rocksdb_options_set_info_log_level(probe->options, 4);
    probe->ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(probe->ingest, 1);
    /* never a word into the file, which is the database's own */
    rocksdb_ingestexternalfileoptions_set_allow_global_seqno(probe->ingest, 0);
    rocksdb_ingestexternalfileoptions_set_snapshot_consistency(probe->ingest, 0);
    bytes_printf(&probe->path, "%s.probing", db_path);
    bytes_append_u8(&probe->path, 0);
    bytes_printf(&probe->offer, "%s.probing.sst", db_path);
    bytes_append_u8(&probe->offer, 0);
    probe->rocks = rocksdb_open(probe->options, (const char *)probe->path.data, &text);
    rocksdb_free(text);
}

static void probe_close(struct probe *probe)
{
    char *text = NULL;
    if (probe->rocks != NULL)
        rocksdb_close(probe->rocks);
    rocksdb_destroy_db(probe->options, (const char *)probe->path.data, &text);
    rocksdb_free(text);
    (void)unlink((const char *)probe->offer.data);
    rocksdb_ingestexternalfileoptions_destroy(probe->ingest);
    rocksdb_options_destroy(probe->options);
    bytes_deinit(&probe->path);
    bytes_deinit(&probe->offer);
}

static bool probe_finds_damage(struct probe *probe, const char *db_path,
                               const struct db_table *table)
{
    struct bytes path BYTES_CLEANUP = {0};
    char name[DB_TABLE_NAME_BYTES], *text = NULL;
    db_table_name(table, name);
    path_make(&path, db_path, name);
    const char *offer = (const char *)probe->offer.data;
    if (table_ends_the_process((const char *)path.data))
        return true;
    if (link((const char *)path.data, offer) != 0)
        return errno == ENOENT;
    rocksdb_ingest_external_file(probe->rocks, &offer, 1, probe->ingest, &text);
    bool damaged = text != NULL && strstr(text, "Corruption") != NULL &&
                   strstr(text, "External file version not found") == NULL;
    rocksdb_free(text);
    (void)unlink(offer);
    return damaged;
}

/* What tables say of themselves without a name: all else that is said so is of logs and manifests. */
static bool is_of_a_table(const char *text)
{
    static const char *const marks[] = {
        "properties", "Corrupt or unsupported", "magic number", "block", "footer", "sstable"};
    for (size_t i = 0; i < ARRAY_COUNT(marks); i++) {
        if (strstr(text, marks[i]) != NULL)
            return true;
    }
    return false;
}

const struct db_table *db_tables_culprit(const char *path, const struct db_table *tables,
                                         size_t count, const char *text)
{
    uint64_t number;
    const struct db_table *found = NULL;
    if (db_tables_named(text, &number))
        return table_find(tables, count, number);
    if (!is_of_a_table(text))
        return NULL;
    struct probe probe = {0};
    probe_open(&probe, path);
    for (size_t i = 0; i < count && found == NULL && probe.rocks != NULL; i++) {
        if (probe_finds_damage(&probe, path, &tables[i]))
            found = &tables[i];
    }
    probe_close(&probe);
    return found;
}

size_t db_tables_damaged(const char *path, struct db_table *tables, size_t count)
{
    struct probe probe = {0};
    size_t damaged = 0;
    probe_open(&probe, path);
    for (size_t i = 0; i < count && probe.rocks != NULL; i++) {
        const struct db_table table = tables[i];
        if (!probe_finds_damage(&probe, path, &table))
            continue;
        tables[i] = tables[damaged];
        tables[damaged++] = table;
    }
    probe_close(&probe);
    return damaged;
}

/* ---- the manifest without a table ---- */

static void append_varint(struct bytes *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        bytes_append_u8(out, (uint8_t)(value | 0x80));
    bytes_append_u8(out, (uint8_t)value);
}

/* A version edit (db/version_edit.h of RocksDB 7.8): numbers that stand in files for good. */
static void edit_make(const struct db_table *table, struct bytes *out)
{
    enum { EDIT_DELETED_FILE = 6, EDIT_FAMILY = 200 };
    append_varint(out, EDIT_DELETED_FILE);
    append_varint(out, table->level);
    append_varint(out, table->number);
    append_varint(out, EDIT_FAMILY);
    append_varint(out, table->family_id);
}

bool db_manifest_find(const char *path, struct bytes *ret_manifest_path, bool *ret_whole)
{
    struct bytes manifest BYTES_CLEANUP = {0};
    if (!manifest_read(path, ret_manifest_path, &manifest))
        return false;
    *ret_whole = db_log_end(bytes_span(&manifest)) == manifest.len;
    return true;
}

enum err_code db_tables_remove(const char *path, const struct db_table *table, struct err *err)
{
    struct bytes manifest_path BYTES_CLEANUP = {0};
    struct bytes manifest BYTES_CLEANUP = {0};
    struct bytes edit BYTES_CLEANUP = {0};
    if (!manifest_read(path, &manifest_path, &manifest) ||
        db_log_end(bytes_span(&manifest)) != manifest.len)
        return err_set(err, ERR_CORRUPT, "%s: the manifest is not whole", path);
    edit_make(table, &edit);
    db_log_append(&manifest, bytes_span(&edit));
    return file_write_whole((const char *)manifest_path.data, bytes_span(&manifest), err);
}
