#include "node/backup/manifest.h"

#include "proto/type.h"

#define FORM_TEXT "strait backup "
#define FORM      1
/* 9999-12-31: what a DATETIME holds */
#define CUT_MS_MAX UINT64_C(253402300799999)

void backup_manifest_deinit(struct backup_manifest *manifest)
{
    mem_free(manifest->files);
    *manifest = (struct backup_manifest){0};
}

/* ---- lines and words ---- */

/* Takes what stands before the first `end`; false when there is none. */
static bool take_until(struct span *text, char end, struct span *ret_part)
{
    const uint8_t *at = text->len == 0 ? NULL : memchr(text->data, end, text->len);
    if (at == NULL)
        return false;
    size_t len = (size_t)(at - text->data);
    *ret_part = span_slice(*text, 0, len);
    *text = span_slice(*text, len + 1, text->len - len - 1);
    return true;
}

static bool take_word(struct span *text, const char *word)
{
    size_t len = strlen(word);
    if (text->len < len || memcmp(text->data, word, len) != 0)
        return false;
    *text = span_slice(*text, len, text->len - len);
    return true;
}

/* Decimal, in its one form. */
static bool number_parse(struct span text, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len > 19 || (text.data[0] == '0' && text.len > 1))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret_number = number;
    return true;
}

static bool hex_parse(struct span text, uint8_t *ret_data, size_t len)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] >= 'A' && text.data[i] <= 'F')
            return false; /* one form */
    }
    return hex_decode(text, ret_data, len);
}

/* A name within a folder: nothing leads out of it, nothing is hidden. */
static bool name_valid(struct span name, size_t bytes_max)
{
    if (name.len == 0 || name.len >= bytes_max || name.data[0] == '.' || name.data[0] == '-')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '_')
            return false;
    }
    return true;
}

static bool name_is_table(struct span name)
{
    return name.len > 4 && memcmp(name.data + name.len - 4, ".sst", 4) == 0;
}

/* ---- files ---- */

static enum err_code file_add(struct backup_manifest *manifest, const struct backup_file *file,
                              struct err *err)
{
    if (manifest->count == LIMIT_BACKUP_FILES)
        return err_set(err, ERR_BAD_DATA, "more than %d files", LIMIT_BACKUP_FILES);
    if (file->bytes > LIMIT_BACKUP_FILE_BYTES)
        return err_set(err, ERR_BAD_DATA, "file %s of %" PRIu64 " bytes", file->name, file->bytes);
    if (manifest->count > 0 && strcmp(manifest->files[manifest->count - 1].name, file->name) >= 0)
        return err_set(err, ERR_BAD_DATA, "file %s is not in its place", file->name);
    if ((manifest->count & (manifest->count - 1)) == 0)
        manifest->files =
            mem_realloc(manifest->files, 2 * manifest->count + 1, sizeof(*manifest->files));
    manifest->files[manifest->count++] = *file;
    return ERR_OK;
}

const struct backup_file *backup_file_find(const struct backup_manifest *manifest, const char *name)
{
    size_t low = 0, high = manifest->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(manifest->files[middle].name, name);
        if (order == 0)
            return &manifest->files[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct span backup_file_name(const struct backup_file *file)
{
    return span_of(file->name, strlen(file->name) - 1 - BACKUP_MARK_DIGITS);
}

void backup_cut_format(const struct backup_manifest *manifest, struct bytes *out)
{
    const struct value value = {.i64 = (int64_t)manifest->cut_ms};
    value_format((struct type){.kind = TYPE_DATETIME}, value, out);
    bytes_append_text(out, " UTC");
}

/* The file that leads to all others. */
static bool is_database(const struct backup_manifest *manifest)
{
    for (size_t i = 0; i < manifest->count; i++) {
        if (span_equal(backup_file_name(&manifest->files[i]), span_text("CURRENT")))
            return true;
    }
    return false;
}

uint64_t backup_bytes(const struct backup_manifest *manifest)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < manifest->count; i++)
        bytes += manifest->files[i].bytes;
    return bytes;
}

/* ---- the node's list ---- */

void backup_list_add(struct bytes *list, const char *name, uint64_t bytes, const uint8_t *mark)
{
    bytes_printf(list, "%s %" PRIu64 " ", name, bytes);
    if (mark != NULL)
        bytes_append_hex(list, span_of(mark, BACKUP_MARK_DIGITS / 2));
    else
        bytes_append_u8(list, '-');
    bytes_append_u8(list, '\n');
}

static enum err_code list_line(struct span line, const uint8_t *cut, struct backup_file *file,
                               struct err *err)
{
    uint8_t mark[BACKUP_MARK_DIGITS / 2];
    char hex[BACKUP_MARK_DIGITS + 1];
    struct span name, number;
    bool read = take_until(&line, ' ', &name) && take_until(&line, ' ', &number) &&
                name_valid(name, BACKUP_FILE_NAME_BYTES) && number_parse(number, &file->bytes);
    file->is_table = read && name_is_table(name);
    if (read && file->is_table)
        read = hex_parse(line, mark, sizeof(mark));
    else if (read)
        read = line.len == 1 && line.data[0] == '-';
    if (!read)
        return err_set(err, ERR_BAD_DATA, "the node's list of files has a line that is none");
    sodium_bin2hex(hex, sizeof(hex), file->is_table ? mark : cut, sizeof(mark));
    snprintf(file->name, sizeof(file->name), "%.*s.%s", SPAN_PRINTF(name), hex);
    return ERR_OK;
}

enum err_code backup_list_decode(struct span list, const uint8_t cut[BACKUP_MARK_DIGITS / 2],
                                 struct backup_manifest *ret_manifest, struct err *err)
{
    BACKUP_MANIFEST_CLEANUP struct backup_manifest manifest = {0};
    struct span line;
    while (take_until(&list, '\n', &line)) {
        struct backup_file file = {0};
        TRY(list_line(line, cut, &file, err));
        TRY(file_add(&manifest, &file, err));
    }
    if (list.len > 0)
        return err_set(err, ERR_BAD_DATA, "the node's list of files is cut off");
    if (!is_database(&manifest))
        return err_set(err, ERR_BAD_DATA, "the node's list has no file CURRENT: it is no database");
    ret_manifest->files = manifest.files;
    ret_manifest->count = manifest.count;
    manifest.files = NULL;
    return ERR_OK;
}

/* ---- the manifest ---- */

void backup_manifest_encode(const struct backup_manifest *manifest, struct bytes *out)
{
    size_t begin = out->len;
    bytes_printf(out, FORM_TEXT "%d\nregion %s\ncut %" PRIu64 "\naudit %" PRIu64 ":", FORM,
                 manifest->region, manifest->cut_ms, manifest->audit_count);
    bytes_append_hex(out, digest_span(&manifest->audit_head));
    bytes_append_u8(out, '\n');
    for (size_t i = 0; i < manifest->count; i++) {
        const struct backup_file *file = &manifest->files[i];
        ASSERT(file->has_digest);
        bytes_append_text(out, "file ");
        bytes_append_hex(out, digest_span(&file->digest));
        bytes_printf(out, " %" PRIu64 " %s\n", file->bytes, file->name);
    }
    struct digest digest =
        digest_of(DOMAIN_FILE, span_slice(bytes_span(out), begin, out->len - begin));
    bytes_append_text(out, "end ");
    bytes_append_hex(out, digest_span(&digest));
    bytes_append_u8(out, '\n');
}

static bool file_line(struct span line, struct backup_file *file)
{
    uint8_t mark[BACKUP_MARK_DIGITS / 2];
    struct span digest, number;
    if (!take_until(&line, ' ', &digest) || !take_until(&line, ' ', &number) ||
        !hex_parse(digest, file->digest.b, sizeof(file->digest.b)) ||
        !number_parse(number, &file->bytes) || !name_valid(line, sizeof(file->name)) ||
        line.len < 2 + BACKUP_MARK_DIGITS)
        return false;
    size_t name_bytes = line.len - 1 - BACKUP_MARK_DIGITS;
    snprintf(file->name, sizeof(file->name), "%.*s", SPAN_PRINTF(line));
    file->has_digest = true;
    file->is_table = name_is_table(span_slice(line, 0, name_bytes));
    return line.data[name_bytes] == '.' &&
           hex_parse(span_slice(line, name_bytes + 1, BACKUP_MARK_DIGITS), mark, sizeof(mark));
}

static bool region_line(struct span line, struct backup_manifest *manifest)
{
    if (!take_word(&line, "region ") || !name_valid(line, sizeof(manifest->region)))
        return false;
    snprintf(manifest->region, sizeof(manifest->region), "%.*s", SPAN_PRINTF(line));
    return true;
}

static bool audit_line(struct span line, struct backup_manifest *manifest)
{
    struct span number;
    return take_word(&line, "audit ") && take_until(&line, ':', &number) &&
           number_parse(number, &manifest->audit_count) &&
           hex_parse(line, manifest->audit_head.b, sizeof(manifest->audit_head.b));
}

static bool head_take(struct span *text, struct backup_manifest *manifest)
{
    struct span line;
    if (!take_until(text, '\n', &line) || !region_line(line, manifest) ||
        !take_until(text, '\n', &line) || !take_word(&line, "cut ") ||
        !number_parse(line, &manifest->cut_ms) || manifest->cut_ms > CUT_MS_MAX)
        return false;
    return take_until(text, '\n', &line) && audit_line(line, manifest);
}

/* The last line: the digest of all before, which is taken off. */
static bool end_take(struct span *text)
{
    static const char word[] = "end ";
    size_t len = strlen(word) + 2 * DIGEST_BYTES + 1;
    struct digest digest;
    if (text->len <= len || text->data[text->len - 1] != '\n')
        return false;
    struct span line = span_slice(*text, text->len - len, len - 1);
    *text = span_slice(*text, 0, text->len - len);
    if (!take_word(&line, word) || !hex_parse(line, digest.b, sizeof(digest.b)))
        return false;
    struct digest is = digest_of(DOMAIN_FILE, *text);
    return digest_equal(&is, &digest);
}

static enum err_code form_take(struct span *text, struct err *err)
{
    struct span line;
    uint64_t form;
    if (!take_until(text, '\n', &line) || !take_word(&line, FORM_TEXT) ||
        !number_parse(line, &form) || form == 0)
        return err_set(err, ERR_CORRUPT, "it is no manifest of a backup");
    if (form > FORM)
        return err_set(err, ERR_VERSION,
                       "the backup is of form %" PRIu64 ", this program knows %d; take the program "
                       "that wrote it, or a newer one",
                       form, FORM);
    return ERR_OK;
}

enum err_code backup_manifest_decode(struct span text, struct backup_manifest *ret_manifest,
                                     struct err *err)
{
    BACKUP_MANIFEST_CLEANUP struct backup_manifest manifest = {0};
    struct span rest = text, line;
    TRY(form_take(&rest, err));
    if (!end_take(&text))
        return err_set(err, ERR_CORRUPT, "the manifest is damaged or cut off");
    TRY(form_take(&text, err));
    if (!head_take(&text, &manifest))
        return err_set(err, ERR_CORRUPT, "the manifest is damaged");
    while (take_until(&text, '\n', &line)) {
        struct backup_file file = {0};
        struct err reason;
        if (!take_word(&line, "file ") || !file_line(line, &file) ||
            file_add(&manifest, &file, &reason) != ERR_OK)
            return err_set(err, ERR_CORRUPT, "the manifest is damaged behind file %zu",
                           manifest.count);
    }
    if (text.len > 0)
        return err_set(err, ERR_CORRUPT, "the manifest is damaged");
    if (!is_database(&manifest))
        return err_set(err, ERR_CORRUPT, "the manifest names no file CURRENT: it is no database");
    *ret_manifest = manifest;
    manifest.files = NULL;
    return ERR_OK;
}
