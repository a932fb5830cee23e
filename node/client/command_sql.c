/* strait sql: statements from -e, -f, standard input, or a shell. */
#include "node/client/script.h"
#include "node/client/statement_help.h"

#include <errno.h>
#include <getopt.h>

#define SCRIPT_BYTES_MAX (64 * MIB(1))

struct sql_options {
    const char *text;
    const char *path;
    const char *project;
    bool has_id;
    struct statement_id id;
};

static const char usage[] =
    "strait sql [-e TEXT | -f FILE] [--format table|csv|json] [--project P] [--quiet]\n"
    "           [--statement-id ID]\n"
    "Without -e and -f: a shell on a terminal, else the statements on standard input (as -f -).\n";

/* Options -> *ret. EXIT_DONE: go on. */
static enum exit_code options_read(struct client *client, int argc, char **argv,
                                   struct sql_options *ret, bool *ret_help)
{
    enum { FORMAT = 1000, PROJECT, QUIET, STATEMENT_ID, HELP };
    static const struct option options[] = {
        {"format", required_argument, NULL, FORMAT},
        {"project", required_argument, NULL, PROJECT},
        {"quiet", no_argument, NULL, QUIET},
        {"statement-id", required_argument, NULL, STATEMENT_ID},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "e:f:", options, NULL)) != -1) {
        bool good = true;
        if (option == 'e')
            ret->text = optarg;
        else if (option == 'f')
            ret->path = optarg;
        else if (option == FORMAT)
            good = client_format_set(client, optarg, false);
        else if (option == PROJECT)
            ret->project = optarg;
        else if (option == QUIET)
            client->screen.quiet = true;
        else if (option == HELP)
            *ret_help = true;
        else if (option == STATEMENT_ID) {
            ret->has_id = good = statement_id_parse(optarg, &ret->id);
            if (!good)
                complain("--statement-id %s: it has 32 hexadecimal digits", optarg);
        } else {
            fputs(usage, stderr);
            good = false;
        }
        if (!good)
            return EXIT_USAGE;
    }
    if (optind < argc || (ret->text != NULL && ret->path != NULL)) {
        complain("%s", optind < argc ? "statements follow -e, in quotes" : "-e or -f, not both");
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

static enum err_code file_read(const char *path, struct bytes *ret_text, struct err *err)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    if (file == NULL)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    enum err_code code = ERR_OK;
    while (code == ERR_OK && !feof(file)) {
        bytes_reserve(ret_text, KIB(64));
        ret_text->len += fread(ret_text->data + ret_text->len, 1, KIB(64), file);
        if (ferror(file))
            code = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
        else if (ret_text->len > SCRIPT_BYTES_MAX)
            code = err_set(err, ERR_LIMIT, "%s: more than %zu bytes", path, SCRIPT_BYTES_MAX);
    }
    if (!standard)
        fclose(file);
    return code;
}

static enum exit_code statements_run(struct script *script, const struct sql_options *options)
{
    struct bytes text BYTES_CLEANUP = {0};
    struct err err;
    if (options->text == NULL && options->path == NULL && isatty(STDIN_FILENO) == 1) {
        script->fresh_ids = !options->has_id;
        return shell_run(script);
    }
    if (options->text != NULL)
        bytes_append_text(&text, options->text);
    else if (file_read(options->path != NULL ? options->path : "-", &text, &err) != ERR_OK)
        return client_fail(script->client, NULL, &err);
    return script_run(script, bytes_span(&text));
}

enum exit_code command_sql(struct client *client, int argc, char **argv)
{
    struct sql_options options = {0};
    struct script script;
    bool help = false;
    enum exit_code code = options_read(client, argc, argv, &options, &help);
    if (code != EXIT_DONE)
        return code;
    if (help) {
        fputs(usage, stdout);
        fputs("Statements, each ended by ';':\n", stdout);
        statement_help_print(stdout, (struct span){0});
        return EXIT_DONE;
    }
    code = client_open(client);
    if (code != EXIT_DONE)
        return code;
    script_init(&script, client);
    if (options.has_id)
        script.id = options.id;
    if (options.project != NULL) {
        bytes_clear(&script.project);
        bytes_append_text(&script.project, options.project);
    }
    code = statements_run(&script, &options);
    script_deinit(&script);
    return code;
}
