/* ALTER TABLE CLUSTERED BY, NOT CLUSTERED; the clause of CREATE TABLE. */
#include "node/statement/cluster.h"

#include "node/statement/lookup.h"
#include "node/turn.h"

static enum err_code id_find(const struct cluster_column *column, const char *clause,
                             const struct schema *schema, uint32_t *ret_id, struct err *err)
{
    const struct column *found = schema_find(schema, column->name, NULL);
    if (found == NULL)
        return err_set(err, ERR_SEMANTIC, "%s: the table has no column %.*s", clause,
                       SPAN_PRINTF(column->name));
    *ret_id = found->id;
    return ERR_OK;
}

enum err_code clustering_make(const struct cluster_clause *clause, const struct schema *schema,
                              struct clustering *ret_clustering, struct err *err)
{
    static const enum clustering_kind kinds[] = {
        [CLUSTER_BY_NOTHING] = CLUSTERING_NONE,
        [CLUSTER_BY_HASH] = CLUSTERING_HASH,
        [CLUSTER_BY_RANGE] = CLUSTERING_RANGE,
    };
    ASSERT(clause->column_count <= LIMIT_CLUSTERING_COLUMNS &&
           clause->sort_count <= LIMIT_CLUSTERING_COLUMNS);
    struct clustering clustering = {
        .kind = kinds[clause->kind],
        .bucket_count = (uint32_t)clause->bucket_count,
        .column_count = (uint32_t)clause->column_count,
        .sort_count = (uint32_t)clause->sort_count,
    };
    for (size_t i = 0; i < clause->column_count; i++)
        TRY(id_find(&clause->columns[i], "CLUSTERED BY", schema, &clustering.columns[i], err));
    for (size_t i = 0; i < clause->sort_count; i++) {
        TRY(id_find(&clause->sort_columns[i], "SORTED BY", schema, &clustering.sort_columns[i],
                    err));
        clustering.sort_descending[i] = clause->sort_columns[i].descending;
    }
    TRY(clustering_validate(&clustering, schema, err));
    *ret_clustering = clustering;
    return ERR_OK;
}

enum err_code statement_alter_clustering(const struct statement_call *call, struct answer *answer,
                                         struct err *err)
{
    (void)answer;
    const struct alter_clustering *alter = &call->statement->alter_clustering;
    struct lookup lookup;
    struct clustering clustering;
    TRY(lookup_table(call, &alter->table, ACTION_ALTER, &lookup, err));
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(content_open(call->services->store, lookup.project.owner, &content, err));
    TABLE_TURN_CLEANUP struct table_id turn = {0};
    TRY(lookup_turn(call, &lookup, ACTION_ALTER, &turn, err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    TRY(table_begin(content, lookup.id, &write, err));
    const struct schema *schema = &table_write_version(write)->schema;
    if (schema->partition_column_count == 0)
        return err_set(err, ERR_SEMANTIC,
                       "%.*s has no partitions: its clustering stays as it was created, since a "
                       "change acts on new partitions only",
                       SPAN_PRINTF(lookup.name));
    TRY(clustering_make(&alter->clause, schema, &clustering, err));
    struct change_note note = statement_note(call);
    return table_clustering_change(write, &clustering, &note, err);
}
