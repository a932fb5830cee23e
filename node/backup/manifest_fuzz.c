/* Both texts of a backup over the same bytes: what decodes as a manifest encodes to the same bytes again. */
#include "node/backup/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t cut[BACKUP_MARK_DIGITS / 2];
    BACKUP_MANIFEST_CLEANUP struct backup_manifest manifest = {0};
    BACKUP_MANIFEST_CLEANUP struct backup_manifest listed = {0};
    struct bytes again BYTES_CLEANUP = {0};
    struct span text = span_of(data, size);
    (void)!backup_list_decode(text, cut, &listed, NULL);
    if (backup_manifest_decode(text, &manifest, NULL) == ERR_OK) {
        backup_manifest_encode(&manifest, &again);
        ASSERT(span_equal(bytes_span(&again), text));
    }
    return 0;
}
