/* straitd: the node. `straitd -c FILE` runs it in the foreground until SIGTERM or SIGINT. */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "node/fsck.h"
#include "node/mend.h"
#include "node/node.h"

#define STOP_SECONDS_MAX 10 /* then the process ends as it is: the store is made for that */

static void usage(FILE *to)
{
    fputs("usage: straitd -c FILE            run the node in the foreground\n"
          "       straitd --check -c FILE    check the configuration and the keys\n"
          "       straitd --fsck -c FILE     check all that is stored; the node must not run (exit "
          "4: faults)\n"
          "                --audit-head COUNT:HEAD   and the audit log was this once (a receipt, "
          "the log)\n"
          "       straitd --mend -c FILE     take up a database that does not open without its "
          "damaged files,\n"
          "                                  where these can be fetched again; the node must not "
          "run\n"
          "       straitd --version\n",
          to);
}

static int failed(const struct err *err)
{
    char text[ERR_MESSAGE_BYTES + 128];
    fprintf(stderr, "straitd: %s\n", err_format(err, text, sizeof(text)));
    return 1;
}

/* Blocks until a signal asks for the end. All threads started later inherit the mask. */
static void signals_block(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Replies, column files and row groups come and go by megabytes, and fresh pages are dear on
 * virtual machines: such buffers stay with the process, in few heaps so that they are shared. */
#define MEMORY_KEPT_BYTES (64 << 20)
#define MEMORY_HEAPS_MAX  2

static void memory_set_up(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most that glibc takes */
    mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT_BYTES);
    mallopt(M_ARENA_MAX, MEMORY_HEAPS_MAX);
}

static int run(struct config *config)
{
    struct err err;
    struct node *node;
    sigset_t signals;
    memory_set_up();
    signals_block(&signals);
    log_set_format(config->log_format);
    if (node_start(config, &node, &err) != ERR_OK)
        return failed(&err);
    int signal_number = 0;
    sigwait(&signals, &signal_number);
    log_event(LOG_INFO, "stopping", LOG_NUMBER("signal", signal_number));
    alarm(STOP_SECONDS_MAX);
    node_stop(node);
    log_event(LOG_INFO, "stopped", LOG_NUMBER("signal", signal_number));
    return 0;
}

/* As fsck(8): 4 for faults that stay, 1 when it could not be done. */
static int fsck(const struct config *config, const struct audit_head *known)
{
    struct err err;
    enum err_code code = node_fsck(config, known, stdout, &err);
    if (code == ERR_OK)
        return 0;
    (void)failed(&err);
    return code == ERR_CORRUPT ? 4 : 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'k'},
        {"fsck", no_argument, NULL, 'f'},
        {"mend", no_argument, NULL, 'm'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"audit-head", required_argument, NULL, 'a'},
        {0},
    };
    const char *path = NULL;
    int task = 0;
    bool has_known = false;
    struct audit_head known;
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == 'v' || option == 'h') {
            option == 'v' ? (void)puts("straitd 0.1.0") : usage(stdout);
            return 0;
        }
        if (option == '?')
            return usage(stderr), 2;
        if (option == 'a' && !(has_known = audit_head_parse(optarg, &known)))
            return usage(stderr), 2;
        if (option == 'k' || option == 'f' || option == 'm')
            task = option;
        path = option == 'c' ? optarg : path;
    }
    if (path == NULL || optind < argc || (has_known && task != 'f'))
        return usage(stderr), 2;
    CONFIG_CLEANUP struct config config = {0};
    struct err err;
    if (config_read(path, &config, &err) != ERR_OK)
        return failed(&err);
    if (task == 'k')
        return node_check(&config, &err) == ERR_OK ? 0 : failed(&err);
    if (task == 'm')
        return node_mend(&config, stdout, &err) == ERR_OK ? 0 : failed(&err);
    if (task == 'f')
        return fsck(&config, has_known ? &known : NULL);
    return run(&config);
}
