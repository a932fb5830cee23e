/* SELECT: bound and executed by node/sql over the tables' sources. */
#include <ctype.h>
#include <strings.h>

#include "node/config.h"
#include "node/limits.h"
#include "node/statement/catalog.h"

/* ---- settings ---- */

/* The settings, in the units that a user writes. */
static const struct limit_setting {
    const char *name;
    size_t offset; /* of its uint64_t in struct select_limits */
    uint64_t unit;
    bool bytes; /* "64MiB" is understood */
    const char *example;
} limit_settings[] = {
    {"select_time", offsetof(struct select_limits, time_ms_max), 1000, false, "seconds, like 60"},
    {"select_memory", offsetof(struct select_limits, memory_bytes_max), 1, true, "like 64MiB"},
    {"select_temp", offsetof(struct select_limits, temp_bytes_max), 1, true, "like 1GiB"},
    {"select_rows", offsetof(struct select_limits, rows_max), 1, false, "rows, like 1000"},
    {"select_result", offsetof(struct select_limits, result_bytes_max), 1, true, "like 64MiB"},
};

enum err_code select_limit_set(struct select_limits *limits, struct span key, struct span value,
                               struct err *err)
{
    const struct limit_setting *setting = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(limit_settings); i++) {
        const char *name = limit_settings[i].name;
        if (key.len == strlen(name) && strncasecmp((const char *)key.data, name, key.len) == 0)
            setting = &limit_settings[i];
    }
    /* Others' settings are taken and ignored; a limit of ours that is misspelt must not be. */
    if (setting == NULL && key.len > 7 && strncasecmp((const char *)key.data, "select_", 7) == 0)
        return err_set(err, ERR_SEMANTIC,
                       "SET %.*s: there is no such limit; there are select_time, select_memory, "
                       "select_temp, select_rows, select_result",
                       SPAN_PRINTF(key));
    if (setting == NULL)
        return ERR_OK;
    MEM_CLEANUP char *text = mem_strndup(value);
    uint64_t number;
    bool fits = config_parse_bytes(text, &number) && number > 0 &&
                (setting->bytes || isdigit((unsigned char)text[strlen(text) - 1])) &&
                number <= UINT64_MAX / setting->unit;
    if (!fits)
        return err_set(err, ERR_SEMANTIC, "SET %s = %s: write %s", setting->name, text,
                       setting->example);
    uint64_t *limit = (uint64_t *)(void *)((char *)limits + setting->offset);
    if (*limit > 0 && number * setting->unit > *limit)
        return err_set(err, ERR_SEMANTIC, "SET %s = %s: this node allows at most %" PRIu64,
                       setting->name, text, *limit / setting->unit);
    *limit = number * setting->unit;
    return ERR_OK;
}

enum err_code select_settings_apply(const struct statement_call *call,
                                    struct select_options *options, struct err *err)
{
    options->limits = limits_get(call->services->limits).select;
    for (size_t i = 0; i < call->setting_count; i++) {
        const struct operator_pair *setting = &call->settings[i];
        TRY(select_limit_set(&options->limits, setting->key, setting->value, err));
        TRY(select_mode_set(setting->key, setting->value, &options->mode, err));
    }
    return ERR_OK;
}

/* ---- the answer's stream ---- */

struct selection {
    struct catalog_scope scope;
    struct select_catalog catalog;
    struct select_cursor *cursor;
};

static enum err_code selection_next(void *context, size_t bytes_max, struct batch *batch,
                                    bool *ret_end, struct err *err)
{
    struct selection *selection = context;
    struct err reason;
    enum err_code code =
        catalog_ask_again(&selection->scope, &reason); /* fetched for hours, maybe */
    if (code != ERR_OK) {
        statement_refused(selection->scope.call, NULL, &reason);
        return err_set(err, code, "%s", reason.message);
    }
    return select_next(selection->cursor, bytes_max, batch, ret_end, err);
}

static void selection_close(void *context)
{
    struct selection *selection = context;
    select_close(selection->cursor);
    mem_free(selection);
}

static void columns_set(struct answer *answer, const struct select_cursor *cursor)
{
    size_t count;
    const struct result_column *columns = select_columns(cursor, &count);
    struct column *full = mem_calloc(count, sizeof(*full));
    for (size_t i = 0; i < count; i++) {
        full[i].name = columns[i].name;
        full[i].type = columns[i].type;
    }
    answer_set_columns(answer, full, count);
    mem_free(full);
}

enum err_code statement_select(const struct statement_call *call, struct answer *answer,
                               struct err *err)
{
    struct select_options options = {.cancel = call->cancel, .now_ms = (int64_t)statement_now_ms()};
    TRY(select_settings_apply(call, &options, err));
    struct selection *selection = mem_calloc(1, sizeof(*selection));
    selection->scope = (struct catalog_scope){.call = call};
    selection->catalog = statement_catalog(&selection->scope);
    options.catalog = &selection->catalog;
    enum err_code code = select_open(&call->statement->select, call->statement->text, &options,
                                     &selection->cursor, err);
    if (code != ERR_OK) {
        mem_free(selection);
        return code;
    }
    columns_set(answer, selection->cursor);
    answer->stream = (struct answer_stream){selection_next, selection_close, selection};
    return ERR_OK;
}
