/* What a backup consists of, as text: a line a file.
 *
 *     list        FILE BYTES MARK                          as the node says it; MARK 16 hex digits, or -
 *     manifest    strait backup 1                          as it stands in DIR/manifest
 *                 region NAME
 *                 cut MS since 1970
 *                 audit COUNT:HEAD
 *                 file DIGEST BYTES FILE.MARK              BLAKE2b-256 of the content
 *                 end DIGEST                               of all lines before
 *
 * A table never changes under its name and mark, so what is held by both is not moved again; other files
 * have the first 8 bytes of the backup's id for a mark, which is no other backup's. DIR/files/FILE.MARK has the content.
 * Both are hostile until decoded: names have no folder in them and are in ascending order, so none is twice; bytes
 * of all files fit u64; CURRENT is there, without which a database is taken for one to be made.
 * Pure; one thread.
 */
#ifndef NODE_BACKUP_MANIFEST_H
#define NODE_BACKUP_MANIFEST_H

#include "proto/digest.h"
#include "proto/err.h"
#include "proto/limits.h"

#define BACKUP_FILE_NAME_BYTES 64 /* of the database, zero included */
#define BACKUP_MARK_DIGITS     16
#define BACKUP_REGION_BYTES    (LIMIT_REGION_BYTES + 1)

struct backup_file {
    char name[BACKUP_FILE_NAME_BYTES + 1 + BACKUP_MARK_DIGITS]; /* FILE.MARK */
    uint64_t bytes;
    bool is_table;   /* of a list */
    bool has_digest; /* always, of a manifest */
    struct digest digest;
};

struct backup_manifest {
    char region[BACKUP_REGION_BYTES];
    uint64_t cut_ms;
    uint64_t audit_count; /* of the audit log in it */
    struct digest audit_head;
    struct backup_file *files; /* owned; ascending by name */
    size_t count;
};

void backup_manifest_deinit(struct backup_manifest *manifest); /* zeroed is fine */
#define BACKUP_MANIFEST_CLEANUP __attribute__((cleanup(backup_manifest_deinit)))

/* Appends one line; mark NULL: no table. */
void backup_list_add(struct bytes *list, const char *name, uint64_t bytes, const uint8_t *mark);
/* Fills files. cut: mark of those that are no tables. ERR_BAD_DATA. */
enum err_code backup_list_decode(struct span list, const uint8_t cut[BACKUP_MARK_DIGITS / 2],
                                 struct backup_manifest *ret_manifest, struct err *err) MUST_USE;

void backup_manifest_encode(const struct backup_manifest *manifest, struct bytes *out);
/* ERR_CORRUPT; ERR_VERSION: of a newer program. */
enum err_code backup_manifest_decode(struct span text, struct backup_manifest *ret_manifest,
                                     struct err *err) MUST_USE;

/* NULL: not in it. */
const struct backup_file *backup_file_find(const struct backup_manifest *manifest,
                                           const char *name);
/* The database's name for it: without the mark. */
struct span backup_file_name(const struct backup_file *file);
/* Appends "2026-01-31 08:30:00.123 UTC". */
void backup_cut_format(const struct backup_manifest *manifest, struct bytes *out);
uint64_t backup_bytes(const struct backup_manifest *manifest);

#endif
