/* strait tunnel upload, strait tunnel download. */
#include "node/client/download.h"
#include "node/client/upload.h"

enum exit_code command_tunnel(struct client *client, int argc, char **argv)
{
    struct tunnel_options options;
    struct tunnel_target target;
    struct err err;
    bool help = false;
    if (argc < 2 || (strcmp(argv[1], "upload") != 0 && strcmp(argv[1], "download") != 0)) {
        complain("strait tunnel upload ... | strait tunnel download ...   (--help says more)");
        return EXIT_USAGE;
    }
    enum exit_code code = tunnel_options_read(client, argc - 1, argv + 1, &options, &help);
    if (code != EXIT_DONE || help)
        return code;
    if (tunnel_target_parse(span_text(options.target), &target, &err) != ERR_OK) {
        complain("%s", err.message);
        return EXIT_USAGE;
    }
    code = client_open(client);
    if (code != EXIT_DONE)
        return code;
    return options.upload ? upload_run(client, &options, &target)
                          : download_run(client, &options, &target);
}
