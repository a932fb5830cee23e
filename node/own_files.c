#include "node/own_files.h"

void own_files_init(struct own_files *files, const struct config *config,
                    const struct identity *identity)
{
    *files = (struct own_files){.config_path = config->path,
                                .key_path = config->key_file,
                                .identity = identity,
                                .config_digest = config->digest};
    pthread_mutex_init(&files->lock, NULL);
}

void own_files_deinit(struct own_files *files)
{
    pthread_mutex_destroy(&files->lock);
}

enum err_code own_key_check(const struct own_files *files, struct err *err)
{
    IDENTITY_CLEANUP struct identity *found = NULL;
    const char *path = files->key_path;
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

void own_config_taken(struct own_files *files, const struct digest *digest)
{
    pthread_mutex_lock(&files->lock);
    files->config_digest = *digest;
    pthread_mutex_unlock(&files->lock);
}

enum err_code own_config_check(struct own_files *files, struct err *err)
{
    struct digest digest;
    struct err cause;
    if (config_digest(files->config_path, &digest, &cause) != ERR_OK)
        return err_set(err, ERR_CONFIG,
                       "%s cannot be read any more, and the next start needs it: restore it",
                       files->config_path);
    pthread_mutex_lock(&files->lock);
    bool same = digest_equal(&digest, &files->config_digest);
    pthread_mutex_unlock(&files->lock);
    if (same)
        return ERR_OK;
    return err_set(
        err, ERR_CONFIG,
        "%s was changed since it was taken up: straitd --check -c FILE says whether it is "
        "well; SIGHUP or a restart takes it up, or restore it",
        files->config_path);
}
