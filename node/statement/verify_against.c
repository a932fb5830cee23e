/* VERIFY SNAPSHOT s AGAINST OPTIONS(region='r' [, snapshot='p.s']): is it the same as the snapshot of another
 * region, and if not, what differs?
 *
 *     kind      | difference              | partition | columns | rows_here | rows_there | ... | detail
 *     snapshot  | different rows          | NULL      | NULL    |      9000 |       9010 |     | versions
 *     schema    | ...                     | NULL      | c       |      NULL |       NULL |     | INT here, ...
 *     partition | different rows          | day=3     | a, b    |       300 |        300 |     |
 *     partition | same rows, other layout | day=4     | NULL    |       300 |        300 |     |
 *     partition | only here               | day=5     | NULL    |        10 |       NULL |     |
 *
 * and then, unless the rows are the same, an error: a script sees it by the exit code. The same rows in
 * another layout are no failure. How it is found out: node/task/xcopy_compare.h.
 */
#include "node/statement/lookup.h"
#include "node/task/xcopy_compare.h"

struct against_wait {
    struct xcopy_look *look;
    const struct compare_result *result;
    char phase[TASK_PHASE_BYTES];
};

/* ---- rows ---- */

static const char *const differences[CHANGE_KINDS] = {
    [CHANGE_SCHEMA] = "other columns",
    [CHANGE_ONLY_HERE] = "only here",
    [CHANGE_ONLY_THERE] = "only there",
    [CHANGE_OTHER_ROWS] = "different rows",
    [CHANGE_OTHER_LAYOUT] = "same rows, other layout",
};

static void columns_set(struct answer *answer)
{
    static const struct answer_column columns[] = {
        {"kind", TYPE_STRING, true},        {"difference", TYPE_STRING, true},
        {"partition", TYPE_STRING, false},  {"columns", TYPE_STRING, false},
        {"rows_here", TYPE_BIGINT, false},  {"rows_there", TYPE_BIGINT, false},
        {"bytes_here", TYPE_BIGINT, false}, {"bytes_there", TYPE_BIGINT, false},
        {"detail", TYPE_STRING, false},
    };
    answer_columns(answer, columns, ARRAY_COUNT(columns));
}

static bool rows_differ(const struct compare_result *result)
{
    const uint64_t *of = result->counts.of;
    return of[CHANGE_SCHEMA] + of[CHANGE_ONLY_HERE] + of[CHANGE_ONLY_THERE] +
               of[CHANGE_OTHER_ROWS] >
           0;
}

/* The most that is said of the two together. */
static const char *whole_difference(const struct compare_result *result)
{
    const uint64_t *of = result->counts.of;
    if (result->equal)
        return "equal";
    if (of[CHANGE_ONLY_HERE] + of[CHANGE_ONLY_THERE] + of[CHANGE_OTHER_ROWS] > 0)
        return differences[CHANGE_OTHER_ROWS];
    return differences[of[CHANGE_SCHEMA] > 0 ? CHANGE_SCHEMA : CHANGE_OTHER_LAYOUT];
}

static void summary_add(struct answer *answer, const struct compare_result *result)
{
    char here[DIGEST_HEX_BYTES], there[DIGEST_HEX_BYTES];
    BYTES_CLEANUP struct bytes detail = {0};
    if (result->equal)
        bytes_printf(&detail, "version %.16s", digest_hex(&result->here.version, here));
    else
        bytes_printf(&detail, "version %.16s here, %.16s there",
                     digest_hex(&result->here.version, here),
                     digest_hex(&result->there.version, there));
    if (!result->attributes_equal)
        bytes_append_text(&detail, "; times or lifecycle switches of partitions differ");
    bytes_printf(&detail, "; %" PRIu64 " pages were asked for", result->pages);
    answer_add_text(answer, span_text("snapshot"));
    answer_add_text(answer, span_text(whole_difference(result)));
    answer_add_null(answer);
    answer_add_null(answer);
    answer_add_number(answer, result->here.totals.rows);
    answer_add_number(answer, result->there.totals.rows);
    answer_add_number(answer, result->here.totals.bytes);
    answer_add_number(answer, result->there.totals.bytes);
    answer_add_text(answer, bytes_span(&detail));
}

static void number_or_null(struct answer *answer, bool is_there, uint64_t number)
{
    if (is_there)
        answer_add_number(answer, number);
    else
        answer_add_null(answer);
}

static void found_add(struct answer *answer, const struct compare_found *found)
{
    BYTES_CLEANUP struct bytes detail = {0};
    bool is_schema = found->kind == CHANGE_SCHEMA;
    bytes_append_span(&detail, found->detail);
    if (found->perhaps.len > 0)
        bytes_printf(&detail, "%s of columns that share a file: %.*s",
                     found->columns.len > 0 ? "perhaps also" : "one or more",
                     SPAN_PRINTF(found->perhaps));
    answer_add_text(answer, span_text(is_schema ? "schema" : "partition"));
    answer_add_text(answer, span_text(differences[found->kind]));
    answer_add_text_or_null(answer, found->partition);
    answer_add_text_or_null(answer, found->columns);
    number_or_null(answer, found->has_here, found->rows_here);
    number_or_null(answer, found->has_there, found->rows_there);
    number_or_null(answer, found->has_here, found->bytes_here);
    number_or_null(answer, found->has_there, found->bytes_there);
    answer_add_text_or_null(answer, bytes_span(&detail));
}

static void rows_add(const struct against_wait *wait, struct answer *answer)
{
    const struct compare_result *result = wait->result;
    const uint64_t *of = result->counts.of;
    uint64_t partitions = of[CHANGE_ONLY_HERE] + of[CHANGE_ONLY_THERE] + of[CHANGE_OTHER_ROWS];
    uint64_t told = partitions + of[CHANGE_SCHEMA] + of[CHANGE_OTHER_LAYOUT];
    summary_add(answer, result);
    for (size_t i = 0; i < result->found_count; i++)
        found_add(answer, &result->found[i]);
    if (rows_differ(result) || result->is_partial)
        answer_fail_after(
            answer, ERR_DIFFERENT,
            "the snapshots differ: %" PRIu64 " partitions, and %" PRIu64
            " columns of their schemas%s%s",
            partitions, of[CHANGE_SCHEMA], told > result->found_count ? "; not all are listed" : "",
            result->is_partial ? "; they differ in so much that what follows the last row was not "
                                 "compared"
                               : "");
}

/* ---- waiting for it ---- */

static enum err_code against_poll(void *context, struct answer *answer,
                                  struct operator_progress *progress, bool *ret_ended,
                                  struct err *err)
{
    struct against_wait *wait = context;
    struct look_result ignored;
    TRY(look_poll(wait->look, wait->phase, ret_ended, &ignored, err));
    *progress = (struct operator_progress){.phase = span_text(wait->phase)};
    if (*ret_ended)
        rows_add(wait, answer);
    return ERR_OK;
}

static void against_close(void *context)
{
    struct against_wait *wait = context;
    look_close(wait->look);
    mem_free(wait);
}

static enum err_code order_make(const struct statement_call *call, const struct lookup *lookup,
                                struct tasks_order *ret_order, struct err *err)
{
    const struct verify_snapshot *verify = &call->statement->verify_snapshot;
    const char *own = call->services->region;
    if (span_equal(verify->region, span_text(own)))
        return err_set(err, ERR_SEMANTIC,
                       "region %s is this one; VERIFY ... AGAINST compares with another region's "
                       "snapshot (of two here, SHOW SNAPSHOT TABLES shows the versions)",
                       own);
    if (call->token.len == 0)
        return err_set(err, ERR_CREDENTIALS,
                       "VERIFY ... AGAINST came without a delegation signed by its principal; use "
                       "`strait sql`");
    *ret_order = (struct tasks_order){
        .principal = call->principal,
        .statement_id = call->id,
        .statement = call->statement->text,
        .token = call->token,
        .source_region = verify->region,
        .source_project =
            verify->other.project.len > 0 ? verify->other.project : lookup->project.name,
        .source_snapshot = verify->other.object,
        .destination_project = lookup->project.name,
        .destination_snapshot = lookup->snapshot.name,
    };
    return ERR_OK;
}

enum err_code statement_verify_against(const struct statement_call *call, struct answer *answer,
                                       struct err *err)
{
    struct lookup lookup = {0};
    struct tasks_order order;
    struct xcopy_look *look;
    const struct compare_result *result;
    TRY(lookup_snapshot(call, &call->statement->verify_snapshot.name, ACTION_SELECT, &lookup, err));
    TRY(order_make(call, &lookup, &order, err));
    TRY(tasks_compare(call->services->tasks, &order, lookup.id, &look, &result, err));
    struct against_wait *wait = mem_calloc(1, sizeof(*wait));
    wait->look = look;
    wait->result = result;
    columns_set(answer);
    answer->wait = (struct answer_wait){against_poll, against_close, wait};
    return ERR_OK;
}
