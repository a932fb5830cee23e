#include "node/own_files.h"

enum err_code own_key_check(const struct own_files *files, struct err *err)
{
    IDENTITY_CLEANUP struct identity *found = NULL;
    const char *path = files->config->key_file;
    struct err cause;
    bool whole = identity_load(path, &found, &cause) == ERR_OK;
    if (whole && identity_equal(found, files->identity))
        return ERR_OK;
    if (whole)
        (void)err_set(&cause, ERR_CONFIG, "key file %s: another key than the node was started with",
                      path);
    return err_set(
        err, ERR_CONFIG,
        "%s; the node runs on with its own, and the next start needs it: restore the file "
        "from a copy",
        cause.message);
}

enum err_code own_config_check(const struct own_files *files, struct err *err)
{
    const struct config *config = files->config;
    struct digest digest;
    struct err cause;
    if (config_digest(config->path, &digest, &cause) != ERR_OK)
        return err_set(err, ERR_CONFIG,
                       "%s cannot be read any more, and the next start needs it: restore it",
                       config->path);
    if (digest_equal(&digest, &config->digest))
        return ERR_OK;
    return err_set(
        err, ERR_CONFIG,
        "%s was changed since the start: straitd --check -c FILE says whether it is well; "
        "a restart takes it up, or restore it",
        config->path);
}
