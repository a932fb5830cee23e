#include "node/fsck.h"

#include "store/roots.h"
#include "store/store.h"
#include "transport/identity.h"

static void fault_print(void *context, const struct digest *digest, const char *what)
{
    char hex[DIGEST_HEX_BYTES];
    fprintf(context, "fault %s %s\n", digest_hex(digest, hex), what);
}

static enum err_code store_check(struct store *store, FILE *out, struct err *err)
{
    struct fsck_counts counts;
    TRY(catalog_fsck(store, FSCK_REHASH, fault_print, out, &counts, err));
    fprintf(out,
            "%" PRIu64 " pages, %" PRIu64 " column files, %" PRIu64 " bytes checked: %" PRIu64
            " faults\n",
            counts.pages, counts.files, counts.file_bytes, counts.faults);
    if (counts.faults > 0)
        return err_set(err, ERR_CORRUPT, "%" PRIu64 " faults: see above", counts.faults);
    return ERR_OK;
}

enum err_code node_fsck(const struct config *config, FILE *out, struct err *err)
{
    IDENTITY_CLEANUP struct identity *identity = NULL;
    TRY(identity_load(config->key_file, &identity, err));
    struct store_options options = {
        .data_dir = config->data_dir,
        .region = config->region,
        .identity = identity_public(identity)->sign,
        .disk_reserve_bytes = config->disk_reserve_bytes,
    };
    struct store *store;
    TRY(store_open(&options, &store, err));
    enum err_code code = store_check(store, out, err);
    store_close(store);
    return code;
}
