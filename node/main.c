/* straitd: the node. `straitd -c FILE` runs it in the foreground until SIGTERM or SIGINT; SIGHUP makes it read FILE again. */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "node/fsck.h"
#include "node/mend.h"
#include "node/node.h"
#include "node/notify.h"
#include "node/restore.h"
#include "node/signals.h"
#include "node/start_check.h"

static void usage(FILE *to)
{
    fputs(
        "usage: straitd -c FILE            run the node in the foreground; SIGTERM: stop (exit 3: "
        "not within 10 s)\n"
        "                                  SIGHUP: read FILE again; peers, limits and the log "
        "follow it\n"
        "       straitd --check -c FILE    check all that a start needs, and touch nothing (exit "
        "1: it would be "
        "refused)\n"
        "       straitd --fsck -c FILE     check all that is stored; the node must not run (exit "
        "4: faults)\n"
        "                --audit-head COUNT:HEAD   and the audit log was this once (a receipt, "
        "the log)\n"
        "       straitd --mend -c FILE     take up a database that does not open without its "
        "damaged files,\n"
        "                                  where these can be fetched again; the node must not "
        "run\n"
        "       straitd --restore DIR -c FILE   make the empty data_dir from a backup (strait "
        "backup DIR)\n"
        "       straitd --version | --help   the version; this text\n",
        to);
}

static int failed(const struct err *err)
{
    char text[ERR_MESSAGE_BYTES + 128];
    fprintf(stderr, "straitd: %s\n", err_format(err, text, sizeof(text)));
    return 1;
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

/* Before FILE is read: what comes meanwhile is not lost. */
static enum err_code node_prepare(struct err *err)
{
    memory_set_up();
    return signals_start(err);
}

static int run(struct config *config)
{
    struct err err;
    struct node *node;
    log_set_format(config->log_format);
    log_set_level(config->log_level);
    if (node_start(config, &node, &err) != ERR_OK)
        return failed(&err);
    signals_running();
    notify("READY=1");
    int signal_number;
    while ((signal_number = signals_next()) == SIGHUP)
        node_reload(node);
    log_event(LOG_INFO, "stopping", LOG_NUMBER("signal", signal_number));
    notify("STOPPING=1");
    node_stop(node);
    log_event(LOG_INFO, "stopped", LOG_NUMBER("signal", signal_number));
    return 0;
}

static void on_check(void *context, enum check_grade grade, unsigned line, const char *text)
{
    char at[16] = "";
    if (line > 0)
        snprintf(at, sizeof(at), ":%u", line);
    fprintf(stderr, "straitd: %s%s%s: %s\n", grade == CHECK_NOTE ? "note: " : "",
            (const char *)context, at, text);
}

static int check(const struct config *config)
{
    if (!start_check(config, on_check, config->path))
        return 1;
    fprintf(stderr, "straitd: %s is good\n", config->path);
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
        {"restore", required_argument, NULL, 'r'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"audit-head", required_argument, NULL, 'a'},
        {0},
    };
    const char *path = NULL, *backup = NULL;
    int task = 0;
    bool has_known = false;
    struct audit_head known;
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == 'v' || option == 'h') {
            option == 'v' ? (void)puts("straitd " STRAIT_VERSION) : usage(stdout);
            return 0;
        }
        if (option == '?')
            return usage(stderr), 2;
        if (option == 'a' && !(has_known = audit_head_parse(optarg, &known)))
            return usage(stderr), 2;
        if (option == 'k' || option == 'f' || option == 'm' || option == 'r')
            task = option;
        backup = option == 'r' ? optarg : backup;
        path = option == 'c' ? optarg : path;
    }
    if (path == NULL || optind < argc || (has_known && task != 'f'))
        return usage(stderr), 2;
    umask(0077); /* the database's files too are nobody else's, whatever mode data_dir came with */
    CONFIG_CLEANUP struct config config = {0};
    struct err err;
    if (task != 0)
        signals_end_at_once();
    else if (node_prepare(&err) != ERR_OK)
        return failed(&err);
    if (config_read(path, &config, &err) != ERR_OK)
        return failed(&err);
    if (task == 'k')
        return check(&config);
    if (task == 'm')
        return node_mend(&config, stdout, &err) == ERR_OK ? 0 : failed(&err);
    if (task == 'r')
        return node_restore(&config, backup, stdout, &err) == ERR_OK ? 0 : failed(&err);
    if (task == 'f')
        return fsck(&config, has_known ? &known : NULL);
    return run(&config);
}
