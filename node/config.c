#include "node/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include <confuse.h>

#include "node/config_text.h"

#define SEEN_MAX           1024 /* settings in one file */
#define SIZE_DEFAULT_BYTES (256 * MIB(1))

/* State of the one read in progress. libconfuse keeps its own scanner in static variables: the main thread
 * alone reads configurations. */
static struct {
    struct err *err;
    bool failed;
    const cfg_opt_t *seen[SEEN_MAX];
    size_t seen_count;
} reading;

/* libconfuse's words of two peers of one region, and ours; each has the region. */
static const char duplicate_peer[] = "found duplicate title '%s'";
static const char duplicate_peer_told[] =
    "peer %s is given twice; keep one, with all its addresses";

static void on_error(cfg_t *cfg, const char *format, va_list args)
{
    if (reading.failed)
        return; /* the first one says it */
    reading.failed = true;
    char text[ERR_MESSAGE_BYTES];
    if (strcmp(format, duplicate_peer) == 0)
        format = duplicate_peer_told;
    vsnprintf(text, sizeof(text), format, args);
    if (cfg != NULL && cfg->filename != NULL)
        err_set(reading.err, ERR_CONFIG, "%s:%d: %s", cfg->filename, cfg->line, text);
    else
        err_set(reading.err, ERR_CONFIG, "%s", text);
}

/* libconfuse takes the last of a setting given twice. Called before the value is kept: for lists
 * once an item, with its count so far. */
static bool setting_is_first(cfg_t *cfg, cfg_opt_t *opt)
{
    if ((opt->flags & CFGF_LIST) != 0 && cfg_opt_size(opt) > 1)
        return true;
    for (size_t i = 0; i < reading.seen_count; i++) {
        if (reading.seen[i] == opt) {
            cfg_error(cfg, "'%s' is given twice; keep one", opt->name);
            return false;
        }
    }
    if (reading.seen_count == SEEN_MAX) {
        cfg_error(cfg, "more than %d settings", SEEN_MAX);
        return false;
    }
    reading.seen[reading.seen_count++] = opt;
    return true;
}

static bool region_valid(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > LIMIT_REGION_BYTES)
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '-')
            return false;
    }
    return text[0] != '-' && text[len - 1] != '-';
}

/* Each parse_x checks one value; those of strings keep the text as it is. */
static int parse_region(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    *(const char **)result = value;
    if (region_valid(value))
        return 0;
    cfg_error(cfg,
              "region '%s': write a name of small letters, digits and dashes, at most %d "
              "characters, like \"cn-hongkong\"",
              value, LIMIT_REGION_BYTES);
    return -1;
}

static int parse_text(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    *(const char **)result = value;
    if (value[0] != '\0')
        return 0;
    cfg_error(cfg, "'%s' is empty", opt->name);
    return -1;
}

static bool address_valid(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == '\0')
        return false;
    for (const char *c = colon + 1; *c != '\0'; c++) {
        if (!isdigit((unsigned char)*c))
            return false;
    }
    long port = strtol(colon + 1, NULL, 10);
    return strlen(colon + 1) <= 5 && port >= 1 && port <= 65535;
}

static int parse_address(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    *(const char **)result = value;
    if (address_valid(value))
        return 0;
    cfg_error(cfg, "%s '%s': write host:port, like \"127.0.0.1:7070\"", opt->name, value);
    return -1;
}

static int parse_literal(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct sockaddr_storage address;
    if (!setting_is_first(cfg, opt))
        return -1;
    *(const char **)result = value;
    if (config_parse_literal(value, &address))
        return 0;
    cfg_error(cfg, "%s '%s': write an IP address and a port, like \"127.0.0.1:9464\"", opt->name,
              value);
    return -1;
}

static int parse_size(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    *(const char **)result = value;
    uint64_t bytes;
    if (config_parse_bytes(value, &bytes) && bytes >= MIB(1))
        return 0;
    cfg_error(cfg, "%s '%s': write a size of at least 1MiB, like \"256MiB\"", opt->name, value);
    return -1;
}

/* The same, or 0: no limit. */
static int parse_limit(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (strcmp(value, "0") != 0)
        return parse_size(cfg, opt, value, result);
    if (!setting_is_first(cfg, opt))
        return -1;
    *(const char **)result = value;
    return 0;
}

static int parse_duration(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    *(const char **)result = value;
    uint64_t ms;
    if (config_parse_duration(value, &ms))
        return 0;
    cfg_error(cfg, "%s '%s': write a time from \"1s\" to \"365d\", like \"24h\"", opt->name, value);
    return -1;
}

static int parse_rate(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    *(const char **)result = value;
    uint64_t bytes;
    if (config_parse_bytes(value, &bytes) && bytes <= SCRUB_RATE_BYTES_MAX)
        return 0;
    cfg_error(cfg, "%s '%s': write bytes a second of at most 1GiB, like \"8MiB\", or 0", opt->name,
              value);
    return -1;
}

static int parse_count(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    char *end;
    errno = 0;
    long count = strtol(value, &end, 10);
    *(long *)result = count;
    bool is_time = strcmp(opt->name, "select_time") == 0;
    if (errno == 0 && end != value && *end == '\0' && count >= 0 &&
        (!is_time || count <= SELECT_TIME_S_MAX))
        return 0;
    if (is_time)
        cfg_error(cfg, "%s '%s': write seconds, 0 (no limit) to %d", opt->name, value,
                  SELECT_TIME_S_MAX);
    else
        cfg_error(cfg, "%s '%s': write a number, 0: no limit", opt->name, value);
    return -1;
}

static int parse_workers(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    char *end;
    long workers = strtol(value, &end, 10);
    *(long *)result = workers;
    if (end != value && *end == '\0' && workers >= 0 && workers <= 256)
        return 0;
    cfg_error(cfg, "workers '%s': write 0 (one a processor) to 256", value);
    return -1;
}

static int parse_tasks(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    char *end;
    long tasks = strtol(value, &end, 10);
    *(long *)result = tasks;
    if (end != value && *end == '\0' && tasks >= 1 && tasks <= LIMIT_LISTED_TASKS)
        return 0;
    cfg_error(cfg, "%s '%s': write 1 to %d", opt->name, value, LIMIT_LISTED_TASKS);
    return -1;
}

static int parse_interval(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    char *end;
    long seconds = strtol(value, &end, 10);
    *(long *)result = seconds;
    if (end != value && *end == '\0' && seconds >= 1 && seconds <= CLEAN_UP_INTERVAL_S_MAX)
        return 0;
    cfg_error(cfg, "%s '%s': write seconds, 1 to %d", opt->name, value, CLEAN_UP_INTERVAL_S_MAX);
    return -1;
}

static int parse_gates(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    bool yes = strcmp(value, "true") == 0;
    *(cfg_bool_t *)result = yes ? cfg_true : cfg_false;
    if (yes || strcmp(value, "false") == 0)
        return 0;
    cfg_error(cfg, "gates '%s': write true or false", value);
    return -1;
}

static int parse_log_format(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (!setting_is_first(cfg, opt))
        return -1;
    *(const char **)result = value;
    if (strcmp(value, "logfmt") == 0 || strcmp(value, "json") == 0)
        return 0;
    cfg_error(cfg, "log_format '%s': write \"logfmt\" or \"json\"", value);
    return -1;
}

static int parse_log_level(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    enum log_level level;
    if (!setting_is_first(cfg, opt))
        return -1;
    *(const char **)result = value;
    if (log_level_parse(value, &level))
        return 0;
    cfg_error(cfg, "log_level '%s': write \"debug\", \"info\", \"warning\" or \"error\"", value);
    return -1;
}

static int validate_peer(cfg_t *cfg, cfg_opt_t *opt)
{
    cfg_t *peer = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
    const char *region = cfg_title(peer);
    if (!region_valid(region)) {
        cfg_error(cfg, "peer '%s': a region's name is small letters, digits and dashes", region);
        return -1;
    }
    if (cfg_size(peer, "addresses") == 0) {
        cfg_error(cfg, "peer %s: 'addresses' is missing; write addresses = {\"host:port\"}",
                  region);
        return -1;
    }
    if (cfg_size(peer, "key") == 0) {
        cfg_error(cfg, "peer %s: 'key' is missing; `strait pubkey FILE` prints it there", region);
        return -1;
    }
    return 0;
}

static cfg_t *parser_new(void)
{
    static cfg_opt_t peer_options[] = {
        CFG_STR_LIST_CB("addresses", NULL, CFGF_NODEFAULT, parse_address),
        CFG_STR_CB("key", NULL, CFGF_NODEFAULT, parse_text),
        CFG_STR_LIST_CB("former_keys", NULL, CFGF_NODEFAULT, parse_text),
        CFG_END(),
    };
    static cfg_opt_t options[] = {
        CFG_STR_CB("region", NULL, CFGF_NODEFAULT, parse_region),
        CFG_STR_CB("data_dir", NULL, CFGF_NODEFAULT, parse_text),
        CFG_STR_CB("key_file", NULL, CFGF_NODEFAULT, parse_text),
        CFG_STR_LIST_CB("listen_peers", NULL, CFGF_NODEFAULT, parse_address),
        CFG_STR_LIST_CB("listen_operators", NULL, CFGF_NODEFAULT, parse_address),
        CFG_STR_CB("listen_metrics", NULL, CFGF_NODEFAULT, parse_literal),
        CFG_STR_LIST_CB("operator_keys", NULL, CFGF_NODEFAULT, parse_text),
        CFG_STR_LIST_CB("former_keys", NULL, CFGF_NODEFAULT, parse_text),
        CFG_BOOL_CB("gates", cfg_true, CFGF_NONE, parse_gates),
        CFG_STR_CB("disk_reserve", NULL, CFGF_NODEFAULT, parse_size),
        CFG_STR_CB("load_memory", NULL, CFGF_NODEFAULT, parse_size),
        CFG_STR_CB("history_retention", NULL, CFGF_NODEFAULT, parse_duration),
        CFG_STR_CB("scrub_rate", NULL, CFGF_NODEFAULT, parse_rate),
        CFG_INT_CB("select_time", SELECT_TIME_S_DEFAULT, CFGF_NONE, parse_count),
        CFG_STR_CB("select_memory", NULL, CFGF_NODEFAULT, parse_size),
        CFG_STR_CB("select_memory_total", NULL, CFGF_NODEFAULT, parse_size),
        CFG_STR_CB("select_temp", NULL, CFGF_NODEFAULT, parse_size),
        CFG_INT_CB("select_rows", 0, CFGF_NONE, parse_count),
        CFG_STR_CB("select_result", NULL, CFGF_NODEFAULT, parse_limit),
        CFG_INT_CB("clean_up_interval", CLEAN_UP_INTERVAL_S_DEFAULT, CFGF_NONE, parse_interval),
        CFG_INT_CB("tasks_per_project", TASKS_PER_PROJECT, CFGF_NONE, parse_tasks),
        CFG_INT_CB("workers", 0, CFGF_NONE, parse_workers),
        CFG_STR_CB("log_format", NULL, CFGF_NODEFAULT, parse_log_format),
        CFG_STR_CB("log_level", NULL, CFGF_NODEFAULT, parse_log_level),
        CFG_SEC("peer", peer_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
        CFG_END(),
    };
    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    ASSERT(cfg != NULL);
    cfg_set_error_function(cfg, on_error);
    cfg_set_validate_func(cfg, "peer", validate_peer);
    return cfg;
}

static void parser_free(cfg_t **cfg)
{
    if (*cfg != NULL)
        cfg_free(*cfg);
}

bool config_parse_literal(const char *text, struct sockaddr_storage *ret_address)
{
    char host[INET6_ADDRSTRLEN];
    struct sockaddr_storage address = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
    if (!address_valid(text))
        return false;
    const char *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[' && colon[-1] == ']';
    const char *from = text + bracketed;
    size_t len = (size_t)(colon - from) - bracketed;
    if (len >= sizeof(host))
        return false;
    memcpy(host, from, len);
    host[len] = '\0';
    in_port_t port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (bracketed && inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = port;
    } else if (!bracketed && inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = port;
    } else {
        return false;
    }
    *ret_address = address;
    return true;
}

bool config_parse_bytes(const char *text, uint64_t *ret_bytes)
{
    static const struct {
        const char *suffix;
        unsigned shift;
    } units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (strcmp(end, units[i].suffix) != 0)
            continue;
        if (errno != 0 || number > (UINT64_MAX >> units[i].shift))
            return false;
        *ret_bytes = (uint64_t)number << units[i].shift;
        return true;
    }
    return false;
}

bool config_parse_duration(const char *text, uint64_t *ret_ms)
{
    static const struct {
        const char *suffix;
        uint64_t ms;
    } units[] = {{"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000}};
    if (!isdigit((unsigned char)text[0]) || strlen(text) > 10)
        return false;
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (strcmp(end, units[i].suffix) != 0)
            continue;
        if (number < 1 || number > HISTORY_MS_MAX / units[i].ms)
            return false;
        *ret_ms = number * units[i].ms;
        return true;
    }
    return false;
}

static struct config_list list_copy(cfg_t *cfg, const char *name)
{
    struct config_list list = {.count = cfg_size(cfg, name)};
    list.items = mem_calloc(list.count + 1, sizeof(*list.items));
    for (size_t i = 0; i < list.count; i++)
        list.items[i] = mem_strdup(cfg_getnstr(cfg, name, (unsigned)i));
    return list;
}

static char *text_or_null(cfg_t *cfg, const char *name)
{
    const char *text = cfg_getstr(cfg, name);
    return text != NULL ? mem_strdup(text) : NULL;
}

static void list_deinit(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        mem_free(list->items[i]);
    mem_free(list->items);
}

/* Absolute, starting at the configuration file's folder. */
static char *path_resolve(const char *file, const char *path)
{
    BYTES_CLEANUP struct bytes out = {0};
    char real[PATH_MAX];
    const char *slash = realpath(file, real) != NULL ? strrchr(real, '/') : NULL;
    if (path[0] != '/' && slash != NULL) {
        bytes_append(&out, real, (size_t)(slash - real) + 1);
        if (strncmp(path, "./", 2) == 0)
            path += 2;
    }
    bytes_append_text(&out, path);
    return mem_strndup(bytes_span(&out));
}

static enum err_code required_check(cfg_t *cfg, const char *path, struct err *err)
{
    static const char *const required[][2] = {
        {"region", "\"cn-hongkong\""},
        {"data_dir", "\"/var/lib/strait\""},
        {"key_file", "\"/etc/strait/node.key\""},
        {"listen_peers", "{\"0.0.0.0:7070\"}"},
        {"listen_operators", "{\"127.0.0.1:7071\"}"},
        {"operator_keys", "{\"...\"}, the output of `strait pubkey FILE`"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(required); i++) {
        if (cfg_size(cfg, required[i][0]) == 0)
            return err_set(err, ERR_CONFIG, "%s: '%s' is missing; add a line like %s = %s", path,
                           required[i][0], required[i][0], required[i][1]);
    }
    return ERR_OK;
}

static size_t workers_of(cfg_t *cfg)
{
    long workers = cfg_getint(cfg, "workers");
    if (workers == 0)
        workers = sysconf(_SC_NPROCESSORS_ONLN);
    return workers < 1 ? 1 : (size_t)workers;
}

static uint64_t rate_of(cfg_t *cfg, const char *name)
{
    uint64_t bytes = SCRUB_RATE_BYTES_DEFAULT;
    const char *text = cfg_getstr(cfg, name);
    if (text != NULL && !config_parse_bytes(text, &bytes))
        return SCRUB_RATE_BYTES_DEFAULT; /* parse_rate has seen it */
    return bytes;
}

static uint64_t size_of(cfg_t *cfg, const char *name, uint64_t otherwise)
{
    uint64_t bytes = otherwise;
    const char *text = cfg_getstr(cfg, name);
    ASSERT(text == NULL || config_parse_bytes(text, &bytes)); /* parse_size has seen it */
    return bytes;
}

static uint64_t history_retention_of(cfg_t *cfg)
{
    uint64_t ms = HISTORY_MS_DEFAULT;
    const char *text = cfg_getstr(cfg, "history_retention");
    ASSERT(text == NULL || config_parse_duration(text, &ms)); /* parse_duration has seen it */
    return ms;
}

static enum log_format log_format_of(cfg_t *cfg)
{
    const char *text = cfg_getstr(cfg, "log_format");
    return text != NULL && strcmp(text, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT;
}

static enum log_level log_level_of(cfg_t *cfg)
{
    enum log_level level = LOG_INFO;
    const char *text = cfg_getstr(cfg, "log_level");
    ASSERT(text == NULL || log_level_parse(text, &level)); /* parse_log_level has seen it */
    return level;
}

static void peers_copy(cfg_t *cfg, struct config *config)
{
    config->peer_count = cfg_size(cfg, "peer");
    config->peers = mem_calloc(config->peer_count + 1, sizeof(*config->peers));
    for (size_t i = 0; i < config->peer_count; i++) {
        cfg_t *peer = cfg_getnsec(cfg, "peer", (unsigned)i);
        config->peers[i] = (struct config_peer){
            .region = mem_strdup(cfg_title(peer)),
            .addresses = list_copy(peer, "addresses"),
            .key = mem_strdup(cfg_getstr(peer, "key")),
            .former_keys = list_copy(peer, "former_keys"),
        };
    }
}

static void line_set(unsigned *line, const struct config_words *words)
{
    if (*line == 0) /* a list may be added to */
        *line = words->line;
}

static void lines_find(struct span text, struct config *config)
{
    const struct {
        const char *name;
        unsigned *line;
    } settings[] = {
        {"data_dir", &config->lines.data_dir},
        {"key_file", &config->lines.key_file},
        {"operator_keys", &config->lines.operator_keys},
        {"former_keys", &config->lines.former_keys},
        {"listen_peers", &config->lines.listen_peers},
        {"listen_operators", &config->lines.listen_operators},
        {"listen_metrics", &config->lines.listen_metrics},
    };
    struct config_words words;
    config_words_init(&words, text);
    while (config_words_next(&words)) {
        struct span behind = config_words_behind(&words);
        bool is_set = span_equal(behind, span_text("=")) || span_equal(behind, span_text("+"));
        for (size_t i = 0; is_set && i < ARRAY_COUNT(settings); i++)
            if (span_equal(words.word, span_text(settings[i].name)))
                line_set(settings[i].line, &words);
        bool is_peer = span_equal(words.word, span_text("peer"));
        for (size_t i = 0; is_peer && i < config->peer_count; i++)
            if (span_equal(behind, span_text(config->peers[i].region)))
                line_set(&config->peers[i].line, &words);
    }
}

static enum err_code peers_check(const struct config *config, const char *path, struct err *err)
{
    for (size_t i = 0; i < config->peer_count; i++) {
        if (strcmp(config->peers[i].region, config->region) == 0)
            return err_set(err, ERR_CONFIG,
                           "%s:%u: peer %s: that is this node's own region; remove it", path,
                           config->peers[i].line, config->region);
    }
    return ERR_OK;
}

enum err_code config_digest(const char *path, struct digest *ret_digest, struct err *err)
{
    struct digest_state state;
    uint8_t part[KIB(4)];
    digest_init(&state, DOMAIN_FILE);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t got = -1;
    while (file >= 0 && (got = read(file, part, sizeof(part))) > 0)
        digest_update(&state, span_of(part, (size_t)got));
    int reason = errno;
    if (file >= 0)
        close(file);
    if (got < 0)
        return err_set(err, ERR_CONFIG, "%s: cannot be read: %s; give the file with -c", path,
                       strerror(reason));
    *ret_digest = digest_final(&state);
    return ERR_OK;
}

static int text_parse(cfg_t *cfg, const char *path, struct bytes *text)
{
    FILE *file = fmemopen(text->data, text->len, "r");
    if (file == NULL)
        return CFG_FILE_ERROR;
    free(cfg->filename);
    cfg->filename = strdup(path); /* what messages name; libconfuse frees it */
    int result = cfg_parse_fp(cfg, file);
    fclose(file);
    return result;
}

/* The digest comes first: what is edited in between counts as edited since. */
enum err_code config_read(const char *path, struct config *ret_config, struct err *err)
{
    struct err local;
    struct digest digest;
    TRY(config_digest(path, &digest, err));
    memset(&reading, 0, sizeof(reading));
    reading.err = err == NULL ? &local : err;
    __attribute__((cleanup(parser_free))) cfg_t *cfg = parser_new();
    BYTES_CLEANUP struct bytes text = {0};
    int reason = config_text_read(path, &text);
    if (reason != 0)
        return err_set(err, ERR_CONFIG, "%s: cannot be read: %s; give the file with -c", path,
                       strerror(reason));
    int result = text_parse(cfg, path, &text);
    if (result != CFG_SUCCESS || reading.failed)
        return reading.failed ? reading.err->code
                              : err_set(err, ERR_CONFIG, "%s: cannot be parsed", path);
    TRY(required_check(cfg, path, err));
    CONFIG_CLEANUP struct config config = {
        .path = mem_strdup(path),
        .digest = digest,
        .region = mem_strdup(cfg_getstr(cfg, "region")),
        .data_dir = path_resolve(path, cfg_getstr(cfg, "data_dir")),
        .key_file = path_resolve(path, cfg_getstr(cfg, "key_file")),
        .listen_peers = list_copy(cfg, "listen_peers"),
        .listen_operators = list_copy(cfg, "listen_operators"),
        .listen_metrics = text_or_null(cfg, "listen_metrics"),
        .operator_keys = list_copy(cfg, "operator_keys"),
        .former_keys = list_copy(cfg, "former_keys"),
        .gates = cfg_getbool(cfg, "gates") == cfg_true,
        .workers = workers_of(cfg),
        .disk_reserve_bytes = size_of(cfg, "disk_reserve", SIZE_DEFAULT_BYTES),
        .load_memory_bytes = size_of(cfg, "load_memory", SIZE_DEFAULT_BYTES),
        .history_retention_ms = history_retention_of(cfg),
        .scrub_rate_bytes = rate_of(cfg, "scrub_rate"),
        .select_time_s = (uint64_t)cfg_getint(cfg, "select_time"),
        .select_memory_bytes = size_of(cfg, "select_memory", SELECT_MEMORY_BYTES_DEFAULT),
        .select_memory_total_bytes =
            size_of(cfg, "select_memory_total", SELECT_MEMORY_TOTAL_DEFAULT),
        .select_temp_bytes = size_of(cfg, "select_temp", SELECT_TEMP_BYTES_DEFAULT),
        .select_result_bytes = size_of(cfg, "select_result", 0),
        .select_rows = (uint64_t)cfg_getint(cfg, "select_rows"),
        .clean_up_interval_ms = (uint32_t)cfg_getint(cfg, "clean_up_interval") * 1000,
        .tasks_per_project = (size_t)cfg_getint(cfg, "tasks_per_project"),
        .log_format = log_format_of(cfg),
        .log_level = log_level_of(cfg),
    };
    peers_copy(cfg, &config);
    lines_find(bytes_span(&text), &config);
    TRY(peers_check(&config, path, err));
    *ret_config = config;
    memset(&config, 0, sizeof(config));
    return ERR_OK;
}

bool config_list_equal(const struct config_list *a, const struct config_list *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

static struct config_list list_dup(const struct config_list *list)
{
    struct config_list copy = {.items = mem_calloc(list->count + 1, sizeof(*copy.items)),
                               .count = list->count};
    for (size_t i = 0; i < list->count; i++)
        copy.items[i] = mem_strdup(list->items[i]);
    return copy;
}

struct config_peer config_peer_copy(const struct config_peer *peer)
{
    return (struct config_peer){.region = mem_strdup(peer->region),
                                .addresses = list_dup(&peer->addresses),
                                .key = mem_strdup(peer->key),
                                .former_keys = list_dup(&peer->former_keys),
                                .line = peer->line};
}

void config_peer_deinit(struct config_peer *peer)
{
    mem_free(peer->region);
    list_deinit(&peer->addresses);
    mem_free(peer->key);
    list_deinit(&peer->former_keys);
    memset(peer, 0, sizeof(*peer));
}

struct config config_copy(const struct config *config)
{
    struct config copy = *config;
    copy.path = mem_strdup(config->path);
    copy.region = mem_strdup(config->region);
    copy.data_dir = mem_strdup(config->data_dir);
    copy.key_file = mem_strdup(config->key_file);
    copy.listen_peers = list_dup(&config->listen_peers);
    copy.listen_operators = list_dup(&config->listen_operators);
    copy.listen_metrics =
        config->listen_metrics != NULL ? mem_strdup(config->listen_metrics) : NULL;
    copy.operator_keys = list_dup(&config->operator_keys);
    copy.former_keys = list_dup(&config->former_keys);
    copy.peers = mem_calloc(config->peer_count + 1, sizeof(*copy.peers));
    for (size_t i = 0; i < config->peer_count; i++)
        copy.peers[i] = config_peer_copy(&config->peers[i]);
    return copy;
}

void config_deinit(struct config *config)
{
    mem_free(config->path);
    mem_free(config->region);
    mem_free(config->data_dir);
    mem_free(config->key_file);
    list_deinit(&config->listen_peers);
    list_deinit(&config->listen_operators);
    mem_free(config->listen_metrics);
    list_deinit(&config->operator_keys);
    list_deinit(&config->former_keys);
    for (size_t i = 0; i < config->peer_count; i++)
        config_peer_deinit(&config->peers[i]);
    mem_free(config->peers);
    memset(config, 0, sizeof(*config));
}
