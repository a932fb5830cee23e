/* The subcommands of `strait`: one file each, command_NAME.c, and a table of them in main.c.
 *
 * What they share: the configuration, the node, the form of results, and how an error becomes an
 * exit code. Rows go to stdout, everything else to stderr.
 */
#ifndef NODE_CLIENT_COMMAND_H
#define NODE_CLIENT_COMMAND_H

#include "node/client/execution.h"

enum exit_code { /* scripts rely on these */
                 EXIT_DONE = 0,
                 EXIT_FAILED = 1,        /* the statement, or what it needs here */
                 EXIT_USAGE = 2,         /* the command line or the configuration */
                 EXIT_LOST = 3,          /* the node could not be reached, or its answer was lost */
                 EXIT_INTERRUPTED = 130, /* Ctrl-C */
};

/* What stands before the subcommand, and what follows from it. */
struct client {
    const char *config_path; /* -c, or NULL */
    struct client_config config;
    struct remote *remote; /* NULL: not needed so far */
    struct screen screen;
};

/* Reads the configuration and prepares the link; says what is wrong. EXIT_DONE or EXIT_USAGE. */
enum exit_code client_open(struct client *client);
void client_deinit(struct client *client);

/* Prints the error, with `context` before it (or NULL), and gives the exit code of it: by what the
 * last wait on the node ended in, EXIT_FAILED where the node was not asked. */
enum exit_code client_fail(const struct client *client, const char *context, const struct err *err);
/* "strait: message" to stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --format's value. False, and said so, when it is none; has_prometheus: the caller has that too, and did
 * not find it. */
bool client_format_set(struct client *client, const char *name, bool has_prometheus);
/* Prints how the command is written. EXIT_USAGE. */
enum exit_code command_misused(const char *form);

/* argv[0] is "strait NAME", under which getopt tells what is wrong; getopt is reset. */
typedef enum exit_code command_function(struct client *client, int argc, char **argv);

struct command {
    const char *name;
    command_function *function;
    const char *line;  /* what it does, for --help */
    const char *usage; /* what NAME --help prints; NULL: the command prints it itself */
};

command_function command_sql, command_tunnel, command_tasks, command_cancel, command_status,
    command_peers, command_scrub, command_backup, command_refill, command_keygen, command_pubkey;

/* Statement ids: 32 hex digits. */
struct statement_id statement_id_random(void);
bool statement_id_parse(const char *text, struct statement_id *ret_id);
#define STATEMENT_ID_TEXT_BYTES 33
const char *statement_id_format(const struct statement_id *id,
                                char ret_text[STATEMENT_ID_TEXT_BYTES]);
/* Of the n-th statement of a script that was started under one id: the id itself for the first. */
struct statement_id statement_id_nth(const struct statement_id *id, uint64_t n);

#endif
