/* See refill.h. */
#include "node/client/refill.h"

#include "node/client/delegation.h"
#include "node/client/refill_list.h"
#include "node/client/script.h"

/* ---- what a region has ---- */

static enum err_code on_columns(void *context, const struct column *columns, size_t count,
                                struct err *err)
{
    return refill_list_columns(context, columns, count, err);
}

static enum err_code on_rows(void *context, const struct batch *batch,
                             const struct operator_progress *progress, struct err *err)
{
    (void)progress;
    return refill_list_rows(context, batch, err);
}

static enum err_code snapshots_list(struct remote *remote, const char *project,
                                    struct refill_list *list, struct err *err)
{
    struct bytes text BYTES_CLEANUP = {0};
    const struct execution_sink sink = {on_columns, on_rows, list};
    bytes_printf(&text, "SHOW SNAPSHOT TABLES IN `%s`", project);
    const struct operator_execute request = {.id = statement_id_random(),
                                             .text = bytes_span(&text)};
    return execution_rows(remote, &request, &sink, err);
}

static int by_age(const void *a, const void *b)
{
    const struct refill_snapshot *x = a, *y = b;
    int order = strcmp(x->created, y->created);
    return order != 0 ? order : strcmp(x->name, y->name);
}

static const struct refill_snapshot *same_name(const struct refill_list *list,
                                               const struct refill_snapshot *wanted)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcasecmp(list->items[i].name, wanted->name) == 0)
            return &list->items[i];
    }
    return NULL;
}

/* ---- bringing them ---- */

struct refill {
    struct client *here;
    struct client there;
    const char *project;
    bool dry;
    struct bytes region; /* of the other node */
    struct script script;
    size_t held, brought, other, failed;
};

static enum exit_code one_bring(struct refill *refill, const struct refill_snapshot *found)
{
    struct bytes text BYTES_CLEANUP = {0};
    bytes_printf(&text,
                 "XCOPY SNAPSHOT `%s`.`%s` TO SNAPSHOT `%s`.`%s` OPTIONS(src_region=\"%.*s\"",
                 refill->project, found->name, refill->project, found->name,
                 SPAN_PRINTF(bytes_span(&refill->region)));
    if (found->expires != NULL)
        bytes_printf(&text, ", expiration_timestamp=TIMESTAMP \"%s\"", found->expires);
    bytes_append_text(&text, ")");
    if (refill->dry) {
        printf("%.*s;\n", SPAN_PRINTF(bytes_span(&text)));
        refill->brought++;
        return EXIT_DONE;
    }
    if (!refill->here->screen.quiet)
        fprintf(stderr, "%s.%s (%s)\n", refill->project, found->name, found->created);
    enum exit_code code = script_statement(&refill->script, bytes_span(&text));
    refill->brought += code == EXIT_DONE;
    refill->failed += code == EXIT_FAILED;
    return code == EXIT_FAILED ? EXIT_DONE : code; /* the others may come all the same */
}

static enum exit_code all_bring(struct refill *refill, const struct refill_list *there,
                                const struct refill_list *here)
{
    for (size_t i = 0; i < there->count; i++) {
        const struct refill_snapshot *wanted = &there->items[i];
        const struct refill_snapshot *known = same_name(here, wanted);
        if (known != NULL && strcmp(known->version, wanted->version) == 0) {
            refill->held++;
            continue;
        }
        if (known != NULL) {
            complain("%s.%s is here with other content than there: left as it is", refill->project,
                     wanted->name);
            refill->other++;
            continue;
        }
        enum exit_code code = one_bring(refill, wanted);
        if (code != EXIT_DONE)
            return code;
    }
    return EXIT_DONE;
}

static enum exit_code project_refill(struct refill *refill)
{
    REFILL_LIST_CLEANUP struct refill_list there = {0};
    REFILL_LIST_CLEANUP struct refill_list here = {0};
    struct bytes own BYTES_CLEANUP = {0};
    struct err err;
    if (node_region_find(refill->there.remote, &refill->region, &err) != ERR_OK ||
        refill_region_check(bytes_span(&refill->region), &err) != ERR_OK ||
        snapshots_list(refill->there.remote, refill->project, &there, &err) != ERR_OK)
        return client_fail(&refill->there, "the other region", &err);
    if (node_region_find(refill->here->remote, &own, &err) != ERR_OK)
        return client_fail(refill->here, NULL, &err);
    if (span_equal(bytes_span(&own), bytes_span(&refill->region))) {
        complain("--from %s is of this region, %.*s; give the configuration for another one",
                 refill->there.config_path, SPAN_PRINTF(bytes_span(&own)));
        return EXIT_USAGE;
    }
    if (snapshots_list(refill->here->remote, refill->project, &here, &err) != ERR_OK)
        return client_fail(refill->here, NULL, &err);
    if (there.count > 0)
        qsort(there.items, there.count, sizeof *there.items, by_age);
    enum exit_code code = all_bring(refill, &there, &here);
    if (!refill->here->screen.quiet || code != EXIT_DONE || refill->failed > 0)
        complain("project %s: %zu snapshots %s from %.*s, %zu were here, %zu are here with other "
                 "content, %zu failed",
                 refill->project, refill->brought, refill->dry ? "would come" : "came",
                 SPAN_PRINTF(bytes_span(&refill->region)), refill->held, refill->other,
                 refill->failed);
    if (code == EXIT_DONE && refill->failed + refill->other > 0)
        return EXIT_FAILED;
    return code;
}

static enum exit_code refill_open(struct refill *refill)
{
    enum exit_code code = client_open(refill->here);
    if (code == EXIT_DONE)
        code = client_open(&refill->there);
    if (code != EXIT_DONE)
        return code;
    if (refill->project == NULL)
        refill->project = refill->here->config.project;
    if (refill->project == NULL || strchr(refill->project, '`') != NULL) {
        complain("no project: write --project P");
        return EXIT_USAGE;
    }
    script_init(&refill->script, refill->here);
    code = project_refill(refill);
    script_deinit(&refill->script);
    return code;
}

enum exit_code refill_run(struct client *here, const struct refill_options *options)
{
    struct refill refill = {.here = here,
                            .there = {.config_path = options->there_path},
                            .project = options->project,
                            .dry = options->dry};
    enum exit_code code = refill_open(&refill);
    client_deinit(&refill.there);
    bytes_deinit(&refill.region);
    return code;
}
