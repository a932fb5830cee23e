/* strait status, peers, scrub: the node itself. */
#include "node/client/listing.h"
#include "node/client/script.h"
#include "node/exposition.h"

#include <getopt.h>

#define STATUS_ARENA_BYTES (16 * MIB(1))

/* Only --format may follow; *ret_prometheus where the command has that form (else NULL). */
static enum exit_code format_read(struct client *client, int argc, char **argv,
                                  bool *ret_prometheus)
{
    char form[128];
    static const struct option options[] = {{"format", required_argument, NULL, 'F'}, {0}};
    int option;
    snprintf(form, sizeof(form), "%s [--format table|csv|json%s]", argv[0],
             ret_prometheus != NULL ? "|prometheus" : "");
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            return command_misused(form);
        if (ret_prometheus != NULL && strcmp(optarg, "prometheus") == 0)
            *ret_prometheus = true;
        else if (!client_format_set(client, optarg, ret_prometheus != NULL))
            return EXIT_USAGE;
    }
    return optind < argc ? command_misused(form) : client_open(client);
}

/* ---- status ---- */

static void status_row(struct listing *listing, const char *name, struct span value)
{
    listing_text(listing, span_text(name));
    listing_text(listing, value);
}

static enum err_code status_print(const struct operator_status *status,
                                  const struct format_kind *kind, struct err *err)
{
    static const struct listing_column columns[] = {{"name", TYPE_STRING}, {"value", TYPE_STRING}};
    struct bytes text BYTES_CLEANUP = {0};
    struct listing listing LISTING_CLEANUP;
    listing_init(&listing, columns, ARRAY_COUNT(columns));
    status_row(&listing, "region", status->region);
    status_row(&listing, "version", status->version);
    status_row(&listing, "key", status->key);
    status_row(&listing, "you", status->principal);
    bytes_append_duration(&text, status->uptime_ms);
    status_row(&listing, "up", bytes_span(&text));
    bytes_clear(&text);
    bytes_printf(&text, "%" PRIu64, status->audit_count);
    status_row(&listing, "audit entries", bytes_span(&text));
    status_row(&listing, "audit head", status->audit_head);
    for (size_t i = 0; i < status->counter_count; i++) {
        const struct operator_counter *counter = &status->counters[i];
        if (counter->labels.len > 0) /* some are of hundreds: --format prometheus */
            continue;
        listing_text(&listing, counter->name);
        bytes_clear(&text);
        bytes_printf(&text, "%" PRIu64, counter->value);
        listing_text(&listing, bytes_span(&text));
    }
    return listing_print(&listing, kind, err);
}

enum exit_code command_status(struct client *client, int argc, char **argv)
{
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    struct bytes out BYTES_CLEANUP = {0};
    struct arena arena ARENA_CLEANUP;
    struct operator_status status;
    struct err err;
    bool prometheus = false;
    arena_init(&arena, STATUS_ARENA_BYTES);
    enum exit_code opened = format_read(client, argc, argv, &prometheus);
    if (opened != EXIT_DONE)
        return opened;
    if (remote_call(client->remote, OPERATOR_STATUS, NULL, NULL, 0, &answer, &err) != ERR_OK ||
        operator_status_decode(bytes_span(&answer.body), &arena, &status, &err) != ERR_OK)
        return client_fail(client, NULL, &err);
    if (prometheus)
        exposition_write(status.counters, status.counter_count, &out);
    enum err_code code = prometheus ? stdout_write(bytes_span(&out), &err)
                                    : status_print(&status, client->screen.format, &err);
    return code == ERR_OK ? EXIT_DONE : client_fail(client, NULL, &err);
}

/* ---- peers ---- */

static void peer_list(struct listing *listing, const struct operator_peer *peer)
{
    char error[2 * ERR_MESSAGE_BYTES];
    listing_text(listing, peer->region);
    listing_text(listing, peer->addresses);
    listing_number(listing, peer->connected);
    if (peer->last_heard_ms == UINT64_MAX)
        listing_null(listing);
    else
        listing_number(listing, peer->last_heard_ms / 1000);
    listing_text(listing, peer->key);
    if (peer->error.code == ERR_OK)
        listing_null(listing);
    else
        listing_text(listing, span_text(err_format(&peer->error, error, sizeof error)));
}

enum exit_code command_peers(struct client *client, int argc, char **argv)
{
    static const struct listing_column columns[] = {
        {"region", TYPE_STRING},      {"addresses", TYPE_STRING}, {"connected", TYPE_BOOLEAN},
        {"heard_s_ago", TYPE_BIGINT}, {"key", TYPE_STRING},       {"error", TYPE_STRING},
    };
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    struct arena arena ARENA_CLEANUP;
    struct operator_peers peers;
    struct err err;
    arena_init(&arena, STATUS_ARENA_BYTES);
    enum exit_code opened = format_read(client, argc, argv, NULL);
    if (opened != EXIT_DONE)
        return opened;
    if (remote_call(client->remote, OPERATOR_PEERS, NULL, NULL, 0, &answer, &err) != ERR_OK ||
        operator_peers_decode(bytes_span(&answer.body), &arena, &peers, &err) != ERR_OK)
        return client_fail(client, NULL, &err);
    struct listing listing LISTING_CLEANUP;
    listing_init(&listing, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < peers.peer_count; i++)
        peer_list(&listing, &peers.peers[i]);
    return listing_print(&listing, client->screen.format, &err) == ERR_OK
               ? EXIT_DONE
               : client_fail(client, NULL, &err);
}

/* ---- scrub ---- */

/* What the node says is damaged now, whoever found it. */
static enum err_code damage_left(struct remote *remote, uint64_t *ret_count, struct err *err)
{
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    struct arena arena ARENA_CLEANUP;
    struct operator_status status;
    arena_init(&arena, STATUS_ARENA_BYTES);
    TRY(remote_call(remote, OPERATOR_STATUS, NULL, NULL, 0, &answer, err));
    TRY(operator_status_decode(bytes_span(&answer.body), &arena, &status, err));
    *ret_count = 0;
    for (size_t i = 0; i < status.counter_count; i++) {
        if (span_equal(status.counters[i].name, span_text("strait_damaged_items")) ||
            span_equal(status.counters[i].name, span_text("strait_damaged_records")))
            *ret_count += status.counters[i].value;
    }
    return ERR_OK;
}

enum exit_code command_scrub(struct client *client, int argc, char **argv)
{
    struct script script;
    enum exit_code code = format_read(client, argc, argv, NULL);
    if (code != EXIT_DONE)
        return code;
    script_init(&script, client);
    code = script_statement(&script, span_text("SCRUB"));
    script_deinit(&script);
    uint64_t damaged;
    struct err err;
    if (code != EXIT_DONE)
        return code;
    if (damage_left(client->remote, &damaged, &err) != ERR_OK)
        return client_fail(client, NULL, &err);
    if (damaged > 0)
        complain("%" PRIu64 " damaged items are left: see above", damaged);
    return damaged > 0 ? EXIT_FAILED : EXIT_DONE;
}
