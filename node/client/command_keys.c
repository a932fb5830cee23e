/* strait keygen, strait pubkey: key files, and what registers a key: its public string with the proof
 * that whoever has the secret wants it registered in that region under that name. */
#include "node/client/command.h"
#include "proto/principal_name.h"

/* The one argument of both; NULL, and said so with `usage`, without it. */
static const char *file_argument(int argc, char **argv, const char *usage)
{
    if (argc != 2 || argv[1][0] == '-') {
        complain("%s", usage);
        return NULL;
    }
    return argv[1];
}

/* A line; `text` has room for its end. */
static enum exit_code line_print(const struct client *client, char *text)
{
    struct err err;
    size_t len = strlen(text);
    text[len] = '\n';
    return stdout_write(span_of(text, len + 1), &err) == ERR_OK ? EXIT_DONE
                                                                : client_fail(client, NULL, &err);
}

static enum exit_code public_print(const struct client *client, const struct identity *identity)
{
    char text[PUBLIC_IDENTITY_TEXT_BYTES + 1];
    public_identity_format(identity_public(identity), text);
    return line_print(client, text);
}

/* --for REGION NAME FILE */
static enum exit_code registration_print(const struct client *client, char **words)
{
    struct identity *identity IDENTITY_CLEANUP = NULL;
    struct principal_name name;
    struct err err;
    char text[REGISTRATION_TEXT_BYTES + 1];
    struct span region = span_text(words[0]);
    if (region.len == 0 || region.len > LIMIT_REGION_BYTES) {
        complain("--for: a region's name has 1 to %d bytes", LIMIT_REGION_BYTES);
        return EXIT_USAGE;
    }
    if (principal_name_parse(span_text(words[1]), &name, &err) != ERR_OK) {
        complain("--for: %s (in a shell, write it in single quotes)", err.message);
        return EXIT_USAGE;
    }
    if (identity_load(words[2], &identity, &err) != ERR_OK)
        return client_fail(client, NULL, &err);
    registration_format(identity, region, span_text(name.text), text);
    return line_print(client, text);
}

enum exit_code command_keygen(struct client *client, int argc, char **argv)
{
    struct identity *identity IDENTITY_CLEANUP = NULL;
    struct err err;
    const char *path = file_argument(argc, argv, "usage: strait keygen FILE");
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
    if (argc == 5 && strcmp(argv[1], "--for") == 0)
        return registration_print(client, argv + 2);
    const char *path = file_argument(argc, argv, "usage: strait pubkey [--for REGION NAME] FILE");
    if (path == NULL)
        return EXIT_USAGE;
    if (identity_load(path, &identity, &err) != ERR_OK)
        return client_fail(client, NULL, &err);
    return public_print(client, identity);
}
