/* strait refill. */
#include "node/client/refill.h"

#include <getopt.h>

static const char usage[] = "strait refill --from FILE [--project P] [--dry-run] [--quiet]";

enum exit_code command_refill(struct client *client, int argc, char **argv)
{
    static const struct option options[] = {
        {"from", required_argument, NULL, 'f'},
        {"project", required_argument, NULL, 'p'},
        {"dry-run", no_argument, NULL, 'd'},
        {"quiet", no_argument, NULL, 'q'},
        {0},
    };
    struct refill_options wanted = {0};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            return command_misused(usage);
        if (option == 'f')
            wanted.there_path = optarg;
        if (option == 'p')
            wanted.project = optarg;
        wanted.dry = wanted.dry || option == 'd';
        client->screen.quiet = client->screen.quiet || option == 'q';
    }
    if (optind < argc || wanted.there_path == NULL)
        return command_misused(usage);
    return refill_run(client, &wanted);
}
