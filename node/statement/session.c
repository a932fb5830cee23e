/* USE, SET, WHOAMI. What they choose lives in the client and comes with each request; here it is
 * only checked. */
#include "node/limits.h"
#include "node/statement/lookup.h"

enum err_code statement_use(const struct statement_call *call, struct answer *answer,
                            struct err *err)
{
    (void)answer;
    struct project_record project;
    return lookup_project(call, call->statement->project, ACTION_ENTER, &project, err);
}

enum err_code statement_set(const struct statement_call *call, struct answer *answer,
                            struct err *err)
{
    (void)answer;
    struct span key = call->statement->set.key;
    if (key.len == 0 || key.len > LIMIT_NAME_BYTES)
        return err_set(err, ERR_SEMANTIC, "SET: a setting's name has 1 to %d bytes",
                       LIMIT_NAME_BYTES);
    enum select_mode mode;
    struct select_limits limits = limits_get(call->services->limits).select;
    TRY(select_mode_set(key, call->statement->set.value, &mode, err));
    return select_limit_set(&limits, key, call->statement->set.value, err);
}

/* "Name: ...", a line each, as the original shows it. */
static enum err_code whoami_display(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    BYTES_CLEANUP struct bytes text = {0};
    bytes_printf(&text, "Name: %s\nRegion: %s\nOperator: %s\n", call->principal->name,
                 call->services->region, call->principal->operator? "true" : "false");
    if (call->project.len > 0)
        bytes_printf(&text, "Project: %.*s\n", SPAN_PRINTF(call->project));
    return answer_set_display(answer, bytes_span(&text), err);
}

enum err_code statement_whoami(const struct statement_call *call, struct answer *answer,
                               struct err *err)
{
    static const struct answer_column columns[] = {
        {"principal", TYPE_STRING, true},
        {"region", TYPE_STRING, true},
        {"operator", TYPE_BOOLEAN, true},
        {"project", TYPE_STRING, false},
    };
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    answer_add_text(answer, span_text(call->principal->name));
    answer_add_text(answer, span_text(call->services->region));
    answer_add_boolean(answer, call->principal->operator);
    if (call->project.len > 0)
        answer_add_text(answer, call->project);
    else
        answer_add_null(answer);
    return whoami_display(call, answer, err);
}
