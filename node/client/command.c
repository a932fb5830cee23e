/* See command.h. */
#include "node/client/command.h"

#define ERROR_LINE_BYTES (ERR_MESSAGE_BYTES + 128)

void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("strait: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

enum exit_code client_open(struct client *client)
{
    struct err err;
    if (client_config_read(client->config_path, &client->config, &err) != ERR_OK ||
        remote_open(&client->config, &client->remote, &err) != ERR_OK) {
        complain("%s", err.message);
        return EXIT_USAGE;
    }
    if (client->screen.format == NULL)
        client->screen.format = client->config.format;
    return EXIT_DONE;
}

void client_deinit(struct client *client)
{
    remote_close(client->remote);
    client->remote = NULL;
    client_config_deinit(&client->config);
}

enum exit_code client_fail(const struct client *client, const char *context, const struct err *err)
{
    char line[ERROR_LINE_BYTES];
    enum remote_failure failure =
        client->remote == NULL ? REMOTE_FINE : remote_failure(client->remote);
    err_format(err, line, sizeof line);
    if (failure != REMOTE_INTERRUPTED)
        complain("%s%s%s", context != NULL ? context : "", context != NULL ? ": " : "", line);
    switch (failure) {
    case REMOTE_UNREACHABLE:
    case REMOTE_LOST:
        return EXIT_LOST;
    case REMOTE_INTERRUPTED:
        return EXIT_INTERRUPTED;
    case REMOTE_FINE:
    case REMOTE_REFUSED:
        break;
    }
    return EXIT_FAILED;
}

bool client_format_set(struct client *client, const char *name, bool has_prometheus)
{
    client->screen.format = format_find(name);
    if (client->screen.format == NULL)
        complain("--format %s: it is %s", name,
                 has_prometheus ? "table, csv, json or prometheus" : format_names());
    return client->screen.format != NULL;
}

enum exit_code command_misused(const char *form)
{
    complain("%s", form);
    return EXIT_USAGE;
}

struct statement_id statement_id_random(void)
{
    struct statement_id id;
    randombytes_buf(id.b, sizeof id.b);
    return id;
}

bool statement_id_parse(const char *text, struct statement_id *ret_id)
{
    struct statement_id id;
    if (!hex_decode(span_text(text), id.b, sizeof id.b))
        return false;
    *ret_id = id;
    return true;
}

const char *statement_id_format(const struct statement_id *id,
                                char ret_text[STATEMENT_ID_TEXT_BYTES])
{
    for (size_t i = 0; i < sizeof id->b; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", id->b[i]);
    return ret_text;
}

struct statement_id statement_id_nth(const struct statement_id *id, uint64_t n)
{
    struct digest_state state;
    struct statement_id nth = *id;
    if (n == 0)
        return nth;
    digest_init(&state, DOMAIN_STATEMENT);
    digest_update(&state, span_of(id->b, sizeof id->b));
    digest_update_u64(&state, n);
    struct digest digest = digest_final(&state);
    memcpy(nth.b, digest.b, sizeof nth.b);
    return nth;
}
