/* strait keygen, strait pubkey: key files. */
#include "node/client/command.h"

/* The one argument of both; NULL, and said so, without it. */
static const char *file_argument(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-') {
        complain("strait %s FILE", argv[0]);
        return NULL;
    }
    return argv[1];
}

static enum exit_code public_print(const struct client *client, const struct identity *identity)
{
    char text[PUBLIC_IDENTITY_TEXT_BYTES + 1];
    struct err err;
    public_identity_format(identity_public(identity), text);
    size_t len = strlen(text);
    text[len] = '\n';
    return stdout_write(span_of(text, len + 1), &err) == ERR_OK ? EXIT_DONE
                                                                : client_fail(client, NULL, &err);
}

enum exit_code command_keygen(struct client *client, int argc, char **argv)
{
    struct identity *identity IDENTITY_CLEANUP = NULL;
    struct err err;
    const char *path = file_argument(argc, argv);
    if (path == NULL)
        return EXIT_USAGE;
    if (identity_create(path, &identity, &err) != ERR_OK)
        return client_fail(client, NULL, &err);
    return public_print(client, identity);
}

enum exit_code command_pubkey(struct client *client, int argc, char **argv)
{
    struct identity *identity IDENTITY_CLEANUP = NULL;
    struct err err;
    const char *path = file_argument(argc, argv);
    if (path == NULL)
        return EXIT_USAGE;
    if (identity_load(path, &identity, &err) != ERR_OK)
        return client_fail(client, NULL, &err);
    return public_print(client, identity);
}
