/* CREATE [OR REPLACE] TABLE t [CLUSTERED BY ...] [LIFECYCLE n] AS SELECT ...: a table that appears with
 * its rows, in one commit, or not at all.
 *
 * Its columns are the query's, in order: names from aliases or columns, _c0, _c1 ... by place for what
 * has neither; types as they are; nothing else is taken over (no comment, no NOT NULL), and what was
 * a partition column is an ordinary one.
 */
#include "node/statement/create_table.h"

#include "node/statement/cluster.h"
#include "node/statement/written_query.h"

static enum err_code schema_of(const struct statement_call *call, const struct written_query *query,
                               struct schema *ret_schema, struct err *err)
{
    size_t count;
    const struct result_column *given = select_columns(query->cursor, &count);
    struct schema schema = {.column_count = count, .next_column_id = (uint32_t)count + 1};
    schema.columns = arena_alloc(call->arena, count, sizeof(*schema.columns));
    if (schema.columns == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs more memory than it may");
    for (size_t i = 0; i < count; i++) {
        schema.columns[i] = (struct column){.id = (uint32_t)i + 1, .type = given[i].type};
        TRY(statement_copy(call, given[i].name, &schema.columns[i].name, err));
        for (size_t k = 0; k < i; k++) {
            struct span a = schema.columns[i].name, b = schema.columns[k].name;
            if (a.len == b.len &&
                strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0)
                return err_set(err, ERR_SEMANTIC,
                               "columns %zu and %zu of the SELECT are both named %.*s: give one "
                               "another name with AS",
                               k + 1, i + 1, SPAN_PRINTF(a));
        }
    }
    TRY(schema_validate(&schema, err));
    *ret_schema = schema;
    return ERR_OK;
}

static enum err_code rows_commit(const struct statement_call *call, struct ingest *ingest,
                                 const struct new_table *new, struct err *err)
{
    const struct ingest_commit commit = {
        .operation = OPERATION_CREATE,
        .now_ms = statement_now_ms(),
        .principals = call->services->principals,
        .principal = call->principal,
        .statement = call->id,
        .content = call->content,
    };
    struct outcome outcome;
    struct err reason;
    enum err_code code = ingest_commit(ingest, &commit, &outcome, &reason);
    return new_table_result(new, code, &reason, err);
}

enum err_code create_table_as(const struct statement_call *call, const struct new_table *new,
                              const struct table_spec *given, struct err *err)
{
    WRITTEN_QUERY_CLEANUP struct written_query query = {0};
    INGEST_CLEANUP struct ingest *ingest = NULL;
    struct schema schema;
    struct insert_plan plan;
    struct table_spec spec = *given;
    TRY(written_query_open(&query, call, &new->project, call->statement->create_table.query, err));
    TRY(schema_of(call, &query, &schema, err));
    spec.schema = &schema;
    TRY(clustering_make(&call->statement->create_table.clustering, &schema, &spec.clustering, err));
    const struct ingest_options options = {
        .store = call->services->store,
        .account = new->project.owner,
        .create = &spec,
        .mode = UPLOAD_APPEND,
        .memory_bytes = query.memory_bytes,
        .watch = written_query_watch(&query),
    };
    TRY(ingest_open(&options, &ingest, err));
    TRY(insert_plan_whole(call, &schema, &plan, err));
    TRY(written_query_run(&query, &plan, ingest, err));
    return rows_commit(call, ingest, new, err);
}
