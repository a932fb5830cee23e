#include "node/fsck.h"

#include "node/store_setup.h"
#include "node/task/repair_grant.h"
#include "store/cluster_check.h"
#include "store/files.h"
#include "store/reader.h"
#include "store/roots.h"
#include "store/store.h"

static void fault_print(void *context, const struct digest *digest, const char *what)
{
    char hex[DIGEST_HEX_BYTES];
    fprintf(context, "fault %s %s\n", digest_hex(digest, hex), what);
}

/* ---- what leases keep; staged pages of nobody go at the next start (xcopy_destination.c) ---- */

struct references {
    struct store *store;
    FILE *out;
    uint64_t *faults;
};

/* Pages kept for what is gone, or nothing kept for what is there: `kept` is looked up for each key of
 * a family that begins with prefix, its own prefix before what follows there. */
struct reference {
    enum family family;
    const char *prefix;
    enum family kept_family;
    const char *kept_prefix;
    const char *fault;
};

static const struct reference lease_references[] = {
    {FAMILY_CATALOG, "rl", FAMILY_LEASES, "l",
     "a lease that is not there keeps pages: they stay until the data directory is made anew"},
    {FAMILY_LEASES, "l", FAMILY_CATALOG, "rl",
     "a lease keeps no pages: the peer's task fails and has to be started again"},
};

static enum err_code reference_check(const struct references *references,
                                     const struct reference *reference, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    BYTES_CLEANUP struct bytes kept = {0};
    BYTES_CLEANUP struct bytes record = {0};
    size_t prefix_bytes = strlen(reference->prefix);
    struct span key, value;
    bool found;
    TRY(catalog_scan(references->store, NULL, reference->family, span_text(reference->prefix),
                     span_of(NULL, 0), &iter, err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        bytes_clear(&kept);
        bytes_append_text(&kept, reference->kept_prefix);
        bytes_append_span(&kept, span_slice(key, prefix_bytes, key.len - prefix_bytes));
        TRY(catalog_find(references->store, NULL, reference->kept_family, bytes_span(&kept),
                         &record, &found, err));
        if (found)
            continue;
        (*references->faults)++;
        fprintf(references->out, "fault %s\n", reference->fault);
    }
}

enum err_code references_check(struct store *store, FILE *out, uint64_t *faults, struct err *err)
{
    struct references references = {store, out, faults};
    for (size_t i = 0; i < ARRAY_COUNT(lease_references); i++)
        TRY(reference_check(&references, &lease_references[i], err));
    return ERR_OK;
}

/* ---- rows of clustered tables and snapshots ---- */

static enum err_code stored_file_read(void *context, const struct digest *digest,
                                      struct bytes *ret_file, struct err *err)
{
    return file_read(context, digest, FILE_CHECK_LENGTH, ret_file, err);
}

static enum err_code clustering_check_one(const struct references *references, struct table_id id,
                                          const char *what, struct err *err)
{
    READER_CLEANUP struct reader_handle *reader = NULL;
    TRY(reader_open(references->store, id, &reader, err));
    struct tree tree = reader_tree(reader);
    const struct file_source files = {.read = stored_file_read, .context = references->store};
    uint64_t rows;
    struct err fault;
    if (cluster_check(&tree, &reader_version(reader)->schema, &files, &rows, &fault) == ERR_OK)
        return ERR_OK;
    (*references->faults)++;
    fprintf(references->out, "fault %s %" PRIu64 ": %s: INSERT OVERWRITE or XCOPY writes it anew\n",
            what, id.n, fault.message);
    return ERR_OK;
}

enum err_code clustering_check(struct store *store, FILE *out, uint64_t *faults, struct err *err)
{
    static const char *const kinds[][2] = {{"t", "table"}, {"s", "snapshot"}};
    const struct references references = {store, out, faults};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        DB_ITER_CLEANUP struct db_iter *iter = NULL;
        struct span key, value;
        bool found;
        TRY(catalog_scan(store, NULL, FAMILY_CATALOG, span_text(kinds[i][0]), span_of(NULL, 0),
                         &iter, err));
        for (;;) {
            TRY(db_iter_next(iter, &key, &value, &found, err));
            if (!found)
                break;
            if (key.len == 1 + sizeof(uint64_t))
                TRY(clustering_check_one(
                    &references, (struct table_id){.n = load_u64(key.data + 1)}, kinds[i][1], err));
        }
    }
    return ERR_OK;
}

/* ---- the audit log, as it was once ---- */

bool audit_head_parse(const char *text, struct audit_head *ret_head)
{
    char *end = NULL;
    struct audit_head head;
    head.count = strtoull(text, &end, 10);
    bool number = text[0] >= '0' && text[0] <= '9' && *end == ':';
    if (!number || !digest_parse(end + 1, &head.head))
        return false;
    *ret_head = head;
    return true;
}

static enum err_code head_check(const struct references *references, const struct audit_head *known,
                                const char *from, struct err *err)
{
    bool is;
    char why[ERR_MESSAGE_BYTES];
    TRY(audit_compare(references->store, known, &is, why, err));
    if (!is) {
        (*references->faults)++;
        fprintf(references->out, "fault %s (%s)\n", why, from);
    }
    return ERR_OK;
}

static enum err_code given_check(void *context, const struct receipt *receipt, struct err *err)
{
    const struct audit_head known = {receipt->audit_count, receipt->audit_head};
    return receipt->has_audit ? head_check(context, &known, "by a receipt that was given", err)
                              : ERR_OK;
}

enum err_code audit_heads_check(struct store *store, const struct audit_head *known, FILE *out,
                                uint64_t *faults, struct err *err)
{
    struct references references = {store, out, faults};
    TRY(repair_given_each(store, given_check, &references, err));
    return known == NULL ? ERR_OK : head_check(&references, known, "by --audit-head", err);
}

static void head_print(struct store *store, FILE *out)
{
    struct audit_head head = audit_head_get(store);
    char hex[DIGEST_HEX_BYTES];
    fprintf(out, "audit log: %" PRIu64 " entries, head %s\n", head.count,
            digest_hex(&head.head, hex));
}

static enum err_code store_check(struct store *store, const struct audit_head *known, FILE *out,
                                 struct err *err)
{
    struct fsck_counts counts;
    TRY(catalog_fsck(store, FSCK_REHASH, fault_print, out, &counts, err));
    TRY(references_check(store, out, &counts.faults, err));
    TRY(clustering_check(store, out, &counts.faults, err));
    TRY(audit_heads_check(store, known, out, &counts.faults, err));
    head_print(store, out);
    fprintf(out,
            "%" PRIu64 " pages, %" PRIu64 " column files, %" PRIu64 " bytes checked: %" PRIu64
            " faults\n",
            counts.pages, counts.files, counts.file_bytes, counts.faults);
    if (counts.faults > 0)
        return err_set(err, ERR_CORRUPT, "%" PRIu64 " faults: see above", counts.faults);
    return ERR_OK;
}

enum err_code node_fsck(const struct config *config, const struct audit_head *known, FILE *out,
                        struct err *err)
{
    IDENTITY_CLEANUP struct identity *identity = NULL;
    TRY(identity_load(config->key_file, &identity, err));
    struct store_setup setup;
    TRY(store_setup_make(config, identity, &setup, err));
    struct store *store;
    TRY(store_open(&setup.options, &store, err));
    enum err_code code = store_check(store, known, out, err);
    store_close(store);
    return code;
}
