/* strait: the client. What stands before the subcommand, and the table of subcommands. */
#include "node/client/command.h"

#include <getopt.h>

#include "node/client/interrupt.h"

static const struct command commands[] = {
    {"sql", command_sql, "run statements, or a shell with history and completion", NULL},
    {"tunnel", command_tunnel, "upload CSV into a table, download a table as CSV",
     "strait tunnel upload ... | strait tunnel download ...     (each with --help: its options)"},
    {"tasks", command_tasks, "list replication tasks; --watch follows them",
     "strait tasks [--watch] [--format table|csv|json]\n"
     "On a terminal a line a task, cut to its width, and one for its error: what runs, then the "
     "newest ends. All\n"
     "columns: --format table, which scripts get without it. --watch: what runs or ends from now "
     "on, as many as\n"
     "the terminal has lines, until Ctrl-C; there it waits ten minutes for a node that does not "
     "answer, and says so."},
    {"cancel", command_cancel, "end a task",
     "strait cancel TASK     (32 hex digits; see strait tasks)"},
    {"status", command_status, "show the node and its counters; --format prometheus",
     "strait status [--format table|csv|json|prometheus]"},
    {"peers", command_peers, "list the regions that the node knows",
     "strait peers [--format table|csv|json]"},
    {"scrub", command_scrub, "check what the node has stored against its digests, and repair it",
     "strait scrub [--format table|csv|json]     (exit status 1: damage is left)"},
    {"backup", command_backup,
     "copy the node's whole store into a folder here; --check verifies one",
     "strait backup DIR [--quiet]     (again: only what is new moves; DIR always has the last "
     "whole one)\n"
     "strait backup --check DIR       (offline: every file against its digest; exit status 1: "
     "damaged)\n"
     "The node's key is not in it. straitd --restore DIR -c FILE makes a store of it."},
    {"refill", command_refill,
     "bring the snapshots of a project that another region has and this has not",
     "strait -c HERE refill --from THERE [--project P] [--dry-run] [--quiet]\n"
     "HERE and THERE: configurations for nodes of both regions, of the account that owns the "
     "project. Begun\n"
     "again, it goes on; what is held does not move. Exit status 1: some did not come."},
    {"keygen", command_keygen, "make a key file; prints its public string", "strait keygen FILE"},
    {"pubkey", command_pubkey, "print the public string of a key file; --for registers it",
     "strait pubkey [--for REGION NAME] FILE     (--for: what CREATE ACCOUNT | USER and ALTER ... "
     "ADD PUBLIC\nKEY take: the string with a proof that holds for that region and name only, such "
     "as cn-hongkong 'ALIYUN$a')"},
};

static void usage_print(FILE *out)
{
    fputs("strait [-c FILE] COMMAND ...     (-c: else $STRAIT_CONFIG, "
          "~/.config/strait/strait.conf)\n",
          out);
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].line);
    fputs("  --version, --help\nexit status: 0 done, 1 failed, 2 wrong usage, 3 the node could not "
          "be reached or its answer was\nlost, 130 interrupted\n",
          out);
}

static enum exit_code command_run(struct client *client, int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        if (commands[i].usage != NULL && argc == 2 && strcmp(argv[1], "--help") == 0)
            return puts(commands[i].usage) < 0 ? EXIT_FAILED : EXIT_DONE;
        static char name[32];
        snprintf(name, sizeof(name), "strait %s", commands[i].name);
        argv[0] = name;
        optind = 0; /* getopt starts again, on the subcommand's own arguments */
        enum exit_code code = commands[i].function(client, argc, argv);
        client_deinit(client);
        return code;
    }
    complain("there is no command \"%s\"", argv[0]);
    usage_print(stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"version", no_argument, NULL, 'V'}, {"help", no_argument, NULL, 'h'}, {0}};
    struct client client = {0};
    int option;
    while ((option = getopt_long(argc, argv, "+c:", options, NULL)) != -1) {
        if (option == 'V' || option == 'h') {
            if (option == 'V')
                puts("strait " STRAIT_VERSION);
            else
                usage_print(stdout);
            return EXIT_DONE;
        }
        if (option != 'c') {
            usage_print(stderr);
            return EXIT_USAGE;
        }
        client.config_path = optarg;
    }
    if (optind == argc) {
        usage_print(stderr);
        return EXIT_USAGE;
    }
    interrupt_install();
    return command_run(&client, argc - optind, argv + optind);
}
