/* See client_config.h. */
#include "node/client/client_config.h"

#include <confuse.h>
#include <errno.h>
#include <limits.h>

#include "node/config_text.h"

enum setting { ADDRESS, NODE_KEY, KEY_FILE, PROJECT, FORMAT, SETTING_COUNT };

static const struct {
    const char *name;
    bool required;
    const char *example;
} settings[SETTING_COUNT] = {
    [ADDRESS] = {"address", true, "\"127.0.0.1:7071\""},
    [NODE_KEY] = {"node_key", true,
                  "\"strait1_...\", which `strait pubkey` prints of its key file"},
    [KEY_FILE] = {"key_file", true, "\"my.key\", which `strait keygen my.key` makes"},
    [PROJECT] = {"project", false, "\"demo\""},
    [FORMAT] = {"format", false, "\"table\""},
};

/* State of the one read in progress: libconfuse hands no pointer of ours through, and the client
 * reads its configuration once, before any thread starts. */
static struct {
    struct err *err;
    bool failed;
    bool seen[SETTING_COUNT];
} reading;

static void on_error(cfg_t *cfg, const char *format, va_list args)
{
    char text[ERR_MESSAGE_BYTES];
    if (reading.failed)
        return; /* the first one says it */
    reading.failed = true;
    vsnprintf(text, sizeof text, format, args);
    (void)err_set(reading.err, ERR_CONFIG, "%s:%d: %s", cfg->filename, cfg->line, text);
}

static bool address_valid(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    long port = strtol(colon + 1, NULL, 10);
    return strlen(colon + 1) <= 5 && port >= 1 && port <= 65535;
}

/* Each value, before it is kept: libconfuse silently takes the last of a scalar given twice. */
static int value_take(cfg_t *cfg, cfg_opt_t *option, const char *value, void *result)
{
    enum setting setting = ADDRESS;
    while (strcmp(settings[setting].name, option->name) != 0)
        setting++;
    if (reading.seen[setting]) {
        cfg_error(cfg, "'%s' is given twice; keep one", option->name);
        return -1;
    }
    reading.seen[setting] = true;
    if (value[0] == 0) {
        cfg_error(cfg, "'%s' is empty; write %s = %s", option->name, option->name,
                  settings[setting].example);
        return -1;
    }
    if (setting == ADDRESS && !address_valid(value)) {
        cfg_error(cfg, "address '%s': write host:port, like \"127.0.0.1:7071\"", value);
        return -1;
    }
    if (setting == FORMAT && format_find(value) == NULL) {
        cfg_error(cfg, "format '%s': write %s", value, format_names());
        return -1;
    }
    *(const char **)result = value;
    return 0;
}

/* Absolute, starting at the configuration file's folder. */
static char *path_resolve(const char *file, const char *path)
{
    struct bytes out BYTES_CLEANUP = {0};
    char real[PATH_MAX];
    const char *slash = realpath(file, real) != NULL ? strrchr(real, '/') : NULL;
    if (path[0] != '/' && slash != NULL)
        bytes_append(&out, real, (size_t)(slash - real) + 1);
    bytes_append_text(&out, path);
    return mem_strndup(bytes_span(&out));
}

/* -c, the environment, the home folder. NULL: none of them. */
static char *path_choose(const char *given)
{
    struct bytes path BYTES_CLEANUP = {0};
    const char *environment = getenv("STRAIT_CONFIG"), *home = getenv("HOME");
    if (given == NULL && environment != NULL && environment[0] != 0)
        given = environment;
    if (given != NULL)
        return mem_strdup(given);
    if (home == NULL)
        return NULL;
    bytes_printf(&path, "%s/.config/strait/strait.conf", home);
    return mem_strndup(bytes_span(&path));
}

static char *text_copy(cfg_t *cfg, enum setting setting)
{
    const char *text = cfg_getstr(cfg, settings[setting].name);
    return text == NULL ? NULL : mem_strdup(text);
}

static enum err_code parsed_take(cfg_t *cfg, const char *path, struct client_config *ret_config,
                                 struct err *err)
{
    for (enum setting s = ADDRESS; s < SETTING_COUNT; s++)
        if (settings[s].required && !reading.seen[s])
            return err_set(err, ERR_CONFIG, "%s: '%s' is missing; add a line like %s = %s", path,
                           settings[s].name, settings[s].name, settings[s].example);
    const char *format = cfg_getstr(cfg, settings[FORMAT].name);
    *ret_config = (struct client_config){
        .address = text_copy(cfg, ADDRESS),
        .node_key = text_copy(cfg, NODE_KEY),
        .key_file = path_resolve(path, cfg_getstr(cfg, settings[KEY_FILE].name)),
        .project = text_copy(cfg, PROJECT),
        .format = format == NULL ? &format_table : format_find(format),
    };
    return ERR_OK;
}

enum err_code client_config_read(const char *given, struct client_config *ret_config,
                                 struct err *err)
{
    struct err own;
    char *path MEM_CLEANUP = path_choose(given);
    cfg_opt_t options[] = {
        CFG_STR_CB("address", NULL, CFGF_NODEFAULT, value_take),
        CFG_STR_CB("node_key", NULL, CFGF_NODEFAULT, value_take),
        CFG_STR_CB("key_file", NULL, CFGF_NODEFAULT, value_take),
        CFG_STR_CB("project", NULL, CFGF_NODEFAULT, value_take),
        CFG_STR_CB("format", NULL, CFGF_NODEFAULT, value_take),
        CFG_END(),
    };
    if (path == NULL)
        return err_set(err, ERR_CONFIG, "no configuration: name a file with -c");
    struct bytes text BYTES_CLEANUP = {0};
    int reason = config_text_read(path, &text);
    FILE *file = reason == 0 ? fmemopen(text.data, text.len, "r") : NULL;
    if (file == NULL)
        return err_set(err, ERR_CONFIG, "%s: %s (name a configuration with -c or $STRAIT_CONFIG)",
                       path, strerror(reason != 0 ? reason : errno));
    memset(&reading, 0, sizeof reading);
    reading.err = err != NULL ? err : &own;
    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    ASSERT(cfg != NULL);
    cfg_set_error_function(cfg, on_error);
    free(cfg->filename);
    cfg->filename = strdup(path); /* what messages name; libconfuse frees it */
    enum err_code code;
    if (cfg_parse_fp(cfg, file) == CFG_SUCCESS)
        code = parsed_take(cfg, path, ret_config, err);
    else
        code = reading.failed ? ERR_CONFIG
                              : err_set(err, ERR_CONFIG, "%s:%d: not understood", path, cfg->line);
    cfg_free(cfg);
    fclose(file);
    return code;
}

void client_config_deinit(struct client_config *config)
{
    mem_free(config->address);
    mem_free(config->node_key);
    mem_free(config->key_file);
    mem_free(config->project);
    *config = (struct client_config){0};
}
