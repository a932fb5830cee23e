/* See tunnel_options.h: one table {name, for what, function, line}. */
#include "node/client/tunnel_options.h"

#include <errno.h>
#include <getopt.h>

#define THREADS_MAX 64
#define BAD_DEFAULT 1000

enum direction { UP = 1, DOWN = 2, BOTH = UP | DOWN };

/* A value into the options; ERR_PARAMETER says what it should be. */
typedef enum err_code take_function(struct tunnel_options *options, const char *value,
                                    struct err *err);

static enum err_code boolean_parse(const char *value, bool *ret_value, struct err *err)
{
    bool yes = strcasecmp(value, "true") == 0;
    if (!yes && strcasecmp(value, "false") != 0)
        return err_set(err, ERR_PARAMETER, "true or false");
    *ret_value = yes;
    return ERR_OK;
}

static enum err_code number_parse(const char *value, uint64_t max, uint64_t *ret_value,
                                  struct err *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != 0 || errno != 0 || number > max)
        return err_set(err, ERR_PARAMETER, "a number up to %" PRIu64, max);
    *ret_value = number;
    return ERR_OK;
}

static enum err_code take_acp(struct tunnel_options *options, const char *value, struct err *err)
{
    return boolean_parse(value, &options->auto_partition, err);
}

static enum err_code take_fd(struct tunnel_options *options, const char *value, struct err *err)
{
    return csv_mark_parse(span_text(value), &options->dialect.field, err);
}

static enum err_code take_rd(struct tunnel_options *options, const char *value, struct err *err)
{
    return csv_mark_parse(span_text(value), &options->dialect.record, err);
}

static enum err_code take_ni(struct tunnel_options *options, const char *value, struct err *err)
{
    return csv_mark_set(span_text(value), &options->dialect.null, err);
}

static enum err_code take_h(struct tunnel_options *options, const char *value, struct err *err)
{
    return boolean_parse(value, &options->dialect.header, err);
}

static enum err_code take_dbr(struct tunnel_options *options, const char *value, struct err *err)
{
    return boolean_parse(value, &options->discard_bad, err);
}

static enum err_code take_mbr(struct tunnel_options *options, const char *value, struct err *err)
{
    return number_parse(value, INT64_MAX, &options->bad_max, err);
}

static enum err_code take_ss(struct tunnel_options *options, const char *value, struct err *err)
{
    bool strict;
    TRY(boolean_parse(value, &strict, err));
    options->loose_schema = !strict;
    return ERR_OK;
}

static enum err_code take_s(struct tunnel_options *options, const char *value, struct err *err)
{
    bool before;
    options->scan_only = strcasecmp(value, "only") == 0;
    if (!options->scan_only && boolean_parse(value, &before, NULL) != ERR_OK)
        return err_set(err, ERR_PARAMETER, "true, false or only");
    return ERR_OK;
}

static enum err_code take_c(struct tunnel_options *options, const char *value, struct err *err)
{
    (void)options;
    if (strcasecmp(value, "utf-8") == 0 || strcasecmp(value, "utf8") == 0 ||
        strcasecmp(value, "ignore") == 0)
        return ERR_OK;
    return err_set(err, ERR_PARAMETER, "UTF-8 (convert other files with iconv and upload from -)");
}

static enum err_code take_dfp(struct tunnel_options *options, const char *value, struct err *err)
{
    return csv_times_pattern_set(&options->times, span_text(value), err);
}

static enum err_code take_tz(struct tunnel_options *options, const char *value, struct err *err)
{
    return csv_times_zone_set(&options->times, span_text(value), err);
}

static enum err_code take_threads(struct tunnel_options *options, const char *value,
                                  struct err *err)
{
    uint64_t threads;
    if (number_parse(value, THREADS_MAX, &threads, NULL) != ERR_OK || threads == 0)
        return err_set(err, ERR_PARAMETER, "a number from 1 to %d", THREADS_MAX);
    options->threads = (unsigned)threads;
    return ERR_OK;
}

static enum err_code take_limit(struct tunnel_options *options, const char *value, struct err *err)
{
    if (number_parse(value, INT64_MAX, &options->limit, NULL) != ERR_OK || options->limit == 0)
        return err_set(err, ERR_PARAMETER, "a number of rows, at least 1");
    return ERR_OK;
}

static enum err_code take_cn(struct tunnel_options *options, const char *value, struct err *err)
{
    (void)err;
    options->names = value;
    return ERR_OK;
}

static enum err_code take_ci(struct tunnel_options *options, const char *value, struct err *err)
{
    (void)err;
    options->indexes = value;
    return ERR_OK;
}

static enum err_code take_e(struct tunnel_options *options, const char *value, struct err *err)
{
    bool exponent;
    TRY(boolean_parse(value, &exponent, err));
    options->doubles = exponent ? CSV_DOUBLES_SHORT : CSV_DOUBLES_PLAIN;
    return ERR_OK;
}

static enum err_code take_cp(struct tunnel_options *options, const char *value, struct err *err)
{
    bool compress;
    (void)options;
    return boolean_parse(value, &compress, err);
}

static enum err_code take_bs(struct tunnel_options *options, const char *value, struct err *err)
{
    uint64_t mib;
    (void)options;
    return number_parse(value, 1024 * 1024, &mib, err);
}

static enum err_code refuse_te(struct tunnel_options *options, const char *value, struct err *err)
{
    (void)options;
    (void)value;
    return err_set(err, ERR_PARAMETER, "left out: the node is the configuration's `address`");
}

static enum err_code refuse_sd(struct tunnel_options *options, const char *value, struct err *err)
{
    (void)options;
    (void)value;
    return err_set(err, ERR_PARAMETER,
                   "left out: there are no session folders, a failed load leaves nothing");
}

static enum err_code take_project(struct tunnel_options *options, const char *value,
                                  struct err *err)
{
    (void)err;
    options->project = value;
    return ERR_OK;
}

static enum err_code take_id(struct tunnel_options *options, const char *value, struct err *err)
{
    options->has_id = statement_id_parse(value, &options->id);
    return options->has_id ? ERR_OK : err_set(err, ERR_PARAMETER, "32 hexadecimal digits");
}

static enum err_code take_overwrite(struct tunnel_options *options, const char *value,
                                    struct err *err)
{
    (void)value;
    (void)err;
    if (options->mode != UPLOAD_REPLACE_TABLE)
        options->mode = UPLOAD_OVERWRITE;
    return ERR_OK;
}

static enum err_code take_replace(struct tunnel_options *options, const char *value,
                                  struct err *err)
{
    (void)value;
    (void)err;
    options->mode = UPLOAD_REPLACE_TABLE;
    return ERR_OK;
}

static const struct {
    const char *name;
    enum direction direction;
    bool bare; /* takes no value */
    take_function *take;
    const char *line; /* NULL: not in the help */
} rules[] = {
    {"acp", UP, false, take_acp,
     "true: missing partitions are made; values not in TABLE/... come last in the data (false)"},
    {"fd", BOTH, false, take_fd, "field delimiter, one byte or several, escapes \\t \\u0001 (,)"},
    {"rd", BOTH, false, take_rd, "record delimiter (LF; CR LF is read too)"},
    {"h", BOTH, false, take_h, "true: the first record has the columns' names (false)"},
    {"ni", BOTH, false, take_ni, "what stands for NULL where it is not quoted (nothing)"},
    {"dbr", UP, false, take_dbr, "true: bad records are passed over (false)"},
    {"mbr", UP, false, take_mbr, "how many at most (1000)"},
    {"ss", UP, false, take_ss, "false: superfluous fields dropped, missing ones NULL (true)"},
    {"s", UP, false, take_s, "true, false: load the file; only: check it, load nothing (true)"},
    {"dfp", BOTH, false, take_dfp, "format of DATETIME (yyyy-MM-dd HH:mm:ss)"},
    {"tz", BOTH, false, take_tz, "time zone of DATETIME: +08:00, Asia/Hong_Kong (UTC)"},
    {"threads", BOTH, false, take_threads, "blocks in flight (4)"},
    {"limit", DOWN, false, take_limit, "rows at most"},
    {"cn", DOWN, false, take_cn, "names of the columns wanted, a,b"},
    {"ci", DOWN, false, take_ci, "their places instead, from 0"},
    {"e", DOWN, false, take_e, "false: DOUBLE without exponents (true)"},
    {"c", BOTH, false, take_c, "charset (UTF-8)"},
    {"cp", BOTH, false, take_cp, NULL},
    {"bs", UP, false, take_bs, NULL},
    {"te", BOTH, false, refuse_te, NULL},
    {"sd", BOTH, false, refuse_sd, NULL},
    {"overwrite", UP, true, take_overwrite, "replace the partitions that the file names"},
    {"replace-table", UP, true, take_replace, "the same, and drop those that it does not name"},
    {"project", BOTH, false, take_project, "project of a TABLE without one"},
    {"statement-id", BOTH, false, take_id, "ask again under an id that an earlier try printed"},
};

static const char *form_of(bool upload)
{
    return upload ? "strait tunnel upload [OPTION VALUE]... PATH "
                    "[PROJECT.]TABLE[/p1=\"a\",p2=\"b\"]"
                  : "strait tunnel download [OPTION VALUE]... [PROJECT.]TABLE[/p1=\"a\",...] PATH";
}

static void usage_print(bool upload, FILE *out)
{
    fprintf(out, "%s\n", form_of(upload));
    fputs("PATH: a file, - for standard input or output; .zst is (de)compressed\n", out);
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++)
        if (rules[i].line != NULL && (rules[i].direction & (upload ? UP : DOWN)) != 0)
            fprintf(out, "  %s%-13s %s\n", rules[i].bare || strlen(rules[i].name) > 7 ? "--" : "-",
                    rules[i].name, rules[i].line);
    fputs("  --quiet         errors only\n", out);
}

static const char *direction_name(bool upload)
{
    return upload ? "upload" : "download";
}

static enum exit_code operands_take(int argc, char **argv, struct tunnel_options *options)
{
    if (argc - optind != 2) {
        complain("tunnel %s takes a path and a table", direction_name(options->upload));
        usage_print(options->upload, stderr);
        return EXIT_USAGE;
    }
    options->path = argv[options->upload ? optind : optind + 1];
    options->target = argv[options->upload ? optind + 1 : optind];
    struct err err;
    if (csv_dialect_validate(&options->dialect, &err) != ERR_OK) {
        complain("%s", err.message);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

enum exit_code tunnel_options_read(struct client *client, int argc, char **argv,
                                   struct tunnel_options *ret_options, bool *ret_help)
{
    enum { QUIET = 1000, HELP };
    struct option table[ARRAY_COUNT(rules) + 3] = {{0}};
    struct tunnel_options options = {.upload = strcmp(argv[0], "upload") == 0,
                                     .dialect = csv_dialect_default(),
                                     .times = csv_times_default(),
                                     .bad_max = BAD_DEFAULT,
                                     .mode = UPLOAD_APPEND};
    static char upload_name[] = "strait tunnel upload", download_name[] = "strait tunnel download";
    argv[0] = options.upload ? upload_name : download_name; /* for getopt's own words */
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++)
        table[i] = (struct option){rules[i].name, rules[i].bare ? no_argument : required_argument,
                                   NULL, (int)i};
    table[ARRAY_COUNT(rules)] = (struct option){"quiet", no_argument, NULL, QUIET};
    table[ARRAY_COUNT(rules) + 1] = (struct option){"help", no_argument, NULL, HELP};
    int option;
    while ((option = getopt_long_only(argc, argv, "", table, NULL)) != -1) {
        struct err err;
        if (option == HELP) {
            usage_print(options.upload, stdout);
            *ret_help = true;
            return EXIT_DONE;
        }
        if (option == QUIET) {
            client->screen.quiet = true;
            continue;
        }
        if (option == '?') {
            complain("%s   (--help says more)", form_of(options.upload));
            return EXIT_USAGE;
        }
        if ((rules[option].direction & (options.upload ? UP : DOWN)) == 0) {
            complain("-%s is no option of tunnel %s", rules[option].name,
                     direction_name(options.upload));
            return EXIT_USAGE;
        }
        if (rules[option].take(&options, optarg, &err) != ERR_OK) {
            complain("-%s \"%s\": it is %s", rules[option].name, optarg, err.message);
            return EXIT_USAGE;
        }
    }
    enum exit_code code = operands_take(argc, argv, &options);
    if (code == EXIT_DONE)
        *ret_options = options;
    return code;
}

static size_t name_len(struct span text, size_t at)
{
    size_t len = 0;
    while (at + len < text.len && memchr("./,=\"' ", text.data[at + len], 7) == NULL)
        len++;
    return len;
}

/* p="a", at *at; which moves behind it and a comma. */
static enum err_code partition_parse(struct span text, size_t *at, struct operator_pair *ret_pair,
                                     struct err *err)
{
    size_t start = *at, len = name_len(text, start), value = start + len + 1;
    if (len == 0 || value > text.len || text.data[start + len] != '=')
        return err_set(err, ERR_PARAMETER, "column=value is expected at \"%.*s\"",
                       SPAN_PRINTF(span_slice(text, start, text.len - start)));
    struct operator_pair pair = {.key = span_slice(text, start, len)};
    size_t end = value;
    if (value < text.len && (text.data[value] == '"' || text.data[value] == '\'')) {
        const uint8_t *close =
            memchr(text.data + value + 1, text.data[value], text.len - value - 1);
        if (close == NULL)
            return err_set(err, ERR_PARAMETER, "a quote is not closed");
        end = (size_t)(close - text.data) + 1;
        pair.value = span_slice(text, value + 1, end - value - 2);
    } else {
        while (end < text.len && text.data[end] != ',')
            end++;
        pair.value = span_slice(text, value, end - value);
    }
    if (end < text.len && text.data[end] != ',')
        return err_set(err, ERR_PARAMETER, "a comma is expected at \"%.*s\"",
                       SPAN_PRINTF(span_slice(text, end, text.len - end)));
    *at = end + (end < text.len);
    *ret_pair = pair;
    return ERR_OK;
}

enum err_code tunnel_target_parse(struct span text, struct tunnel_target *ret_target,
                                  struct err *err)
{
    struct tunnel_target target = {0};
    size_t len = name_len(text, 0), at = len;
    target.table = span_slice(text, 0, len);
    if (at < text.len && text.data[at] == '.') {
        target.project = target.table;
        len = name_len(text, at + 1);
        target.table = span_slice(text, at + 1, len);
        at += 1 + len;
        if (target.project.len == 0)
            len = 0;
    }
    if (len == 0 || (at < text.len && text.data[at] != '/'))
        return err_set(err, ERR_PARAMETER, "\"%.*s\": write [PROJECT.]TABLE[/p1=\"a\",p2=\"b\"]",
                       SPAN_PRINTF(text));
    at += at < text.len;
    while (at < text.len) {
        if (target.partition_count == LIMIT_PARTITION_LEVELS)
            return err_set(err, ERR_PARAMETER, "\"%.*s\": more than %d partition columns",
                           SPAN_PRINTF(text), LIMIT_PARTITION_LEVELS);
        if (partition_parse(text, &at, &target.partition[target.partition_count], err) != ERR_OK)
            return err != NULL ? err_wrap(err, "\"%.*s\"", SPAN_PRINTF(text)) : ERR_PARAMETER;
        target.partition_count++;
    }
    *ret_target = target;
    return ERR_OK;
}
