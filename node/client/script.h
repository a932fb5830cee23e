/* A run of statements: their shared state, USE and SET, and what each one needs before it is sent.
 *
 * Project and settings live here and travel with every request. USE and SET go to the node as well,
 * which checks them, and take effect here when it says OK. XCOPY is parsed here and signed.
 */
#ifndef NODE_CLIENT_SCRIPT_H
#define NODE_CLIENT_SCRIPT_H

#include "node/client/command.h"

struct script {
    struct client *client;
    struct bytes project;           /* current; empty: none */
    struct bytes region;            /* the node's; empty until a signature needs it */
    struct operator_pair *settings; /* key and value own their memory: see script.c */
    size_t setting_count;
    struct statement_id id; /* of the run: statement n has statement_id_nth(id, n) */
    uint64_t statement_count;
    bool fresh_ids; /* the shell: every statement a random id of its own */
};

void script_init(struct script *script, struct client *client);
void script_deinit(struct script *script);

/* One statement to its end, with its messages. */
enum exit_code script_statement(struct script *script, struct span text);
/* All statements of the text, until the first that fails. */
enum exit_code script_run(struct script *script, struct span text);

/* The interactive shell (shell.c). */
enum exit_code shell_run(struct script *script);

#endif
