#include "store/version_store.h"

/* ---- pages ---- */

static enum err_code content_read(void *context, const struct digest *digest,
                                  struct bytes *ret_page, struct err *err)
{
    return content_page_read(context, digest, ret_page, err);
}

static enum err_code content_write(void *context, const struct digest *digest, struct span page,
                                   struct err *err)
{
    return content_add_page(context, digest, page, err);
}

struct page_source content_page_source(struct content *content)
{
    return (struct page_source){.read = content_read, .context = content};
}

struct page_sink content_page_sink(struct content *content)
{
    return (struct page_sink){.write = content_write, .context = content};
}

/* ---- versions ---- */

static enum err_code record_add(struct content *content, struct span encoded,
                                const struct digest *root, const struct digest *attribute_root,
                                struct version_ref *ret_ref, struct err *err)
{
    struct page_source source = content_page_source(content);
    struct tree manifest = {.source = &source, .kind = TREE_MANIFEST, .root = *root};
    struct tree attributes = {.source = &source, .kind = TREE_ATTRIBUTES, .root = *attribute_root};
    struct version_names names = version_names_of(encoded);
    struct version_ref ref = {
        .version = names.version,
        .page = names.page,
        .attribute_root = *attribute_root,
    };
    struct page_totals ignored;
    TRY(tree_totals(&manifest, &ref.totals, err));
    TRY(tree_totals(&attributes, &ignored, err));
    TRY(content_add_page(content, &names.page, encoded, err));
    *ret_ref = ref;
    return ERR_OK;
}

enum err_code version_add(struct content *content, const struct version_record *version,
                          const struct digest *attribute_root, struct version_ref *ret_ref,
                          struct err *err)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    TRY(version_encode(version, &encoded, err));
    return record_add(content, bytes_span(&encoded), &version->root, attribute_root, ret_ref, err);
}

enum err_code version_admit(struct content *content, struct span encoded,
                            const struct digest *expected, const struct digest *attribute_root,
                            struct version_ref *ret_ref, struct err *err)
{
    if (encoded.len > LIMIT_VERSION_BYTES)
        return err_set(err, ERR_PEER, "version record: %zu bytes", encoded.len);
    struct version_names names = version_names_of(encoded);
    if (!digest_equal(&names.version, expected))
        return err_set(err, ERR_PEER, "version record: not the one that the snapshot names");
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, version_arena_bytes(encoded.len));
    struct version_record version;
    struct err broken = {0};
    enum err_code code = version_decode(encoded, &arena, &version, &broken);
    if (code != ERR_OK)
        return err_set(err, code == ERR_VERSION ? ERR_VERSION : ERR_PEER, "%s", broken.message);
    TRY(record_add(content, encoded, &version.root, attribute_root, ret_ref, err));
    return content_commit(content, err);
}
