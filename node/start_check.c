#include "node/start_check.h"

#include <errno.h>
#include <netdb.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "node/peers.h"
#include "node/principals.h"
#include "node/store_setup.h"
#include "store/directory.h"

#define DESCRIPTORS_RESERVE (512 + 80 * 16 + 128) /* the store's, connections, the rest */

struct check {
    const struct config *config;
    check_report *report;
    void *context;
    bool refused;
};

static void told(struct check *check, enum check_grade grade, unsigned line, const char *text)
{
    check->refused = check->refused || grade == CHECK_FAULT;
    check->report(check->context, grade, line, text);
}

static void fault(struct check *check, unsigned line, const struct err *err)
{
    told(check, CHECK_FAULT, line, err->message);
}

/* ---- descriptors ---- */

enum err_code descriptors_check(struct err *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_set(err, ERR_IO, "getrlimit: %s", strerror(errno));
    if (limit.rlim_cur < DESCRIPTORS_RESERVE && limit.rlim_max >= DESCRIPTORS_RESERVE) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            return err_set(err, ERR_IO, "setrlimit: %s", strerror(errno));
    }
    if (limit.rlim_cur < DESCRIPTORS_RESERVE)
        return err_set(err, ERR_CONFIG,
                       "the process may open %lu files; %d are needed: raise the limit (ulimit -n, "
                       "LimitNOFILE=)",
                       (unsigned long)limit.rlim_cur, DESCRIPTORS_RESERVE);
    return ERR_OK;
}

/* ---- keys ---- */

/* Each for itself; then, where all are good, with those before it. */
static void peers_look(struct check *check, const struct public_identity *own)
{
    const struct config *config = check->config;
    bool each_is_good = true;
    struct err err;
    for (size_t i = 0; i < config->peer_count; i++) {
        if (peers_check(&config->peers[i], 1, own, &err) == ERR_OK)
            continue;
        fault(check, config->peers[i].line, &err);
        each_is_good = false;
    }
    for (size_t i = 1; each_is_good && i < config->peer_count; i++) {
        if (peers_check(config->peers, i + 1, own, &err) == ERR_OK)
            continue;
        fault(check, config->peers[i].line, &err);
        return;
    }
}

static void keys_look(struct check *check)
{
    static const struct public_identity nobody;
    const struct config *config = check->config;
    IDENTITY_CLEANUP struct identity *identity = NULL;
    struct err err;
    if (identity_load(config->key_file, &identity, &err) != ERR_OK)
        fault(check, config->lines.key_file, &err);
    const struct public_identity *own = identity != NULL ? identity_public(identity) : &nobody;
    struct store_setup setup;
    if (identity != NULL && store_setup_make(config, identity, &setup, &err) != ERR_OK)
        fault(check, config->lines.former_keys, &err);
    if (principals_operators_check(&config->operator_keys, &err) != ERR_OK)
        fault(check, config->lines.operator_keys, &err);
    peers_look(check, own);
}

/* ---- data_dir ---- */

static enum err_code folder_usable(const char *path, const char *what, struct err *err)
{
    struct stat stat_of;
    if (stat(path, &stat_of) != 0)
        return err_set(err, ERR_CONFIG, "data_dir: %s: %s", path, strerror(errno));
    if (!S_ISDIR(stat_of.st_mode))
        return err_set(err, ERR_CONFIG, "data_dir: %s is no folder", path);
    if (access(path, W_OK | X_OK) != 0)
        return err_set(err, ERR_CONFIG,
                       "data_dir: %s %s: %s; give it to the user that runs straitd", path, what,
                       strerror(errno));
    return ERR_OK;
}

/* The folder that is there: data_dir, or the one in which a start would make it. Root may look at the configuration of
 * another user's node. */
static void data_dir_look(struct check *check)
{
    MEM_CLEANUP char *path = mem_strdup(check->config->data_dir);
    struct err err;
    struct statvfs disk;
    char text[ERR_MESSAGE_BYTES];
    const char *what = "may not be written to";
    for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
        path[len - 1] = '\0';
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        char *slash = strrchr(path, '/');
        if (slash != NULL)
            slash[slash == path] = '\0';
        what = "is where it would be made, and may not be written to";
    }
    unsigned line = check->config->lines.data_dir;
    if (folder_usable(path, what, &err) != ERR_OK) {
        fault(check, line, &err);
        return;
    }
    if (directory_owner_check(check->config->data_dir, &err) != ERR_OK)
        told(check, geteuid() == 0 ? CHECK_NOTE : CHECK_FAULT, line, err.message);
    if (statvfs(path, &disk) != 0)
        return;
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (free_bytes >= check->config->disk_reserve_bytes)
        return;
    snprintf(text, sizeof(text),
             "data_dir: %s: %" PRIu64 " bytes are free, less than disk_reserve (%" PRIu64
             "): loads and XCOPY will be refused",
             path, free_bytes, check->config->disk_reserve_bytes);
    told(check, CHECK_NOTE, line, text);
}

/* ---- ports ---- */

static int address_bind(const struct addrinfo *info)
{
    int yes = 1;
    int file = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0)
        return errno;
    (void)!setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    int number = bind(file, info->ai_addr, info->ai_addrlen) == 0 ? 0 : errno;
    close(file);
    return number;
}

#define NAME_UNKNOWN -1

/* 0, an errno, or NAME_UNKNOWN. */
static int address_try(const char *address, const char **ret_why)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *info;
    bool bracket = address[0] == '[';
    snprintf(host, sizeof(host), "%.*s", (int)(colon - address) - 2 * bracket, address + bracket);
    int failed = getaddrinfo(host[0] == '*' ? NULL : host, colon + 1, &hints, &info);
    if (failed != 0) {
        *ret_why = gai_strerror(failed);
        return NAME_UNKNOWN;
    }
    int number = address_bind(info);
    freeaddrinfo(info);
    *ret_why = strerror(number);
    return number;
}

/* One that is in use may be this very node's: a running one is checked before its configuration is read again. A
 * name may be known where the node will run, and not where its file is made. */
static void ports_look(struct check *check, const char *setting, unsigned line,
                       const struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        char text[ERR_MESSAGE_BYTES];
        const char *why;
        int number = address_try(list->items[i], &why);
        if (number == EADDRINUSE)
            snprintf(text, sizeof(text), "%s: %s is in use: by this node, if it runs", setting,
                     list->items[i]);
        else if (number == NAME_UNKNOWN)
            snprintf(text, sizeof(text), "%s: %s: a start here would be refused: %s", setting,
                     list->items[i], why);
        else
            snprintf(text, sizeof(text), "%s: %s cannot be listened at: %s", setting,
                     list->items[i], why);
        if (number != 0)
            told(check, number == EADDRINUSE || number == NAME_UNKNOWN ? CHECK_NOTE : CHECK_FAULT,
                 line, text);
    }
}

/* The i-th at which a start would listen, and its line; NULL: there are no more. */
static const char *listen_at(const struct config *config, size_t i, unsigned *ret_line)
{
    const size_t peers = config->listen_peers.count, operators = config->listen_operators.count;
    *ret_line = i < peers               ? config->lines.listen_peers
                : i < peers + operators ? config->lines.listen_operators
                                        : config->lines.listen_metrics;
    if (i < peers)
        return config->listen_peers.items[i];
    if (i < peers + operators)
        return config->listen_operators.items[i - peers];
    return i == peers + operators ? config->listen_metrics : NULL;
}

static void ports_differ(struct check *check)
{
    const char *one;
    unsigned line, before;
    for (size_t i = 0; (one = listen_at(check->config, i, &line)) != NULL; i++) {
        for (size_t k = 0; k < i; k++) {
            char text[ERR_MESSAGE_BYTES];
            if (strcmp(one, listen_at(check->config, k, &before)) != 0)
                continue;
            snprintf(text, sizeof(text),
                     "listen_peers, listen_operators, listen_metrics: %s is given twice", one);
            told(check, CHECK_FAULT, line, text);
        }
    }
}

bool start_check(const struct config *config, check_report *report, void *context)
{
    struct check check = {.config = config, .report = report, .context = context};
    struct err err;
    if (descriptors_check(&err) != ERR_OK)
        fault(&check, 0, &err);
    keys_look(&check);
    data_dir_look(&check);
    const struct config_lines *lines = &config->lines;
    ports_look(&check, "listen_peers", lines->listen_peers, &config->listen_peers);
    ports_look(&check, "listen_operators", lines->listen_operators, &config->listen_operators);
    char *metrics = config->listen_metrics;
    ports_look(&check, "listen_metrics", lines->listen_metrics,
               &(struct config_list){&metrics, metrics != NULL});
    ports_differ(&check);
    return !check.refused;
}
