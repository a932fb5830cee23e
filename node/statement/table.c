/* CREATE [OR REPLACE] TABLE (columns) | LIKE | AS. */
#include "node/statement/cluster.h"
#include "node/statement/create_table.h"

static enum err_code default_format(const struct statement_call *call, const struct column_def *def,
                                    struct span *ret_text, struct err *err)
{
    struct value value;
    if (literal_value(&def->default_value, def->type, &value, err) != ERR_OK)
        return err_wrap(err, "column %.*s: DEFAULT", SPAN_PRINTF(def->name));
    if (value.null)
        return err_set(err, ERR_SEMANTIC, "column %.*s: DEFAULT NULL says nothing; leave it out",
                       SPAN_PRINTF(def->name));
    BYTES_CLEANUP struct bytes text = {0};
    value_format(def->type, value, &text);
    return statement_copy(call, bytes_span(&text), ret_text, err);
}

static enum err_code columns_make(const struct statement_call *call, const struct column_def *defs,
                                  size_t count, uint32_t first_id, struct column **ret_columns,
                                  struct err *err)
{
    struct column *columns = arena_alloc(call->arena, count + 1, sizeof(*columns));
    if (columns == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs more memory than it may");
    for (size_t i = 0; i < count; i++) {
        columns[i] = (struct column){
            .id = first_id + (uint32_t)i,
            .name = defs[i].name,
            .type = defs[i].type,
            .not_null = defs[i].not_null,
            .has_default = defs[i].has_default,
            .comment = defs[i].comment,
        };
        if (defs[i].has_default)
            TRY(default_format(call, &defs[i], &columns[i].default_text, err));
    }
    *ret_columns = columns;
    return ERR_OK;
}

static enum err_code schema_make(const struct statement_call *call,
                                 const struct create_table *create, struct schema *ret_schema,
                                 struct err *err)
{
    uint32_t partition_id = (uint32_t)create->column_count + 1;
    struct schema schema = {
        .column_count = create->column_count,
        .partition_column_count = create->partition_column_count,
        .next_column_id = partition_id + (uint32_t)create->partition_column_count,
    };
    TRY(columns_make(call, create->columns, create->column_count, 1, &schema.columns, err));
    TRY(columns_make(call, create->partition_columns, create->partition_column_count, partition_id,
                     &schema.partition_columns, err));
    TRY(schema_validate(&schema, err));
    *ret_schema = schema;
    return ERR_OK;
}

static enum err_code table_make(const struct statement_call *call, const struct new_table *new,
                                const struct table_spec *spec, struct err *err)
{
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(content_open(call->services->store, new->project.owner, &content, err));
    struct change_note note = statement_note(call);
    struct table_id id;
    struct err reason;
    enum err_code code = table_create(content, spec, &note, &id, &reason);
    return new_table_result(new, code, &reason, err);
}

/* Columns, partition columns, comments and clustering of a table or snapshot; no rows, no lifecycle. */
static enum err_code table_make_like(const struct statement_call *call, const struct new_table *new,
                                     const struct table_spec *given, struct err *err)
{
    READER_CLEANUP struct reader_handle *reader = NULL;
    struct lookup source;
    struct table_spec spec = *given;
    TRY(lookup_any(call, &call->statement->create_table.like, ACTION_SELECT, &source, err));
    TRY(reader_open(call->services->store, source.id, &reader, err));
    spec.like = reader_version(reader);
    spec.schema = &spec.like->schema;
    if (spec.comment.len == 0 && source.kind == NAME_TABLE)
        spec.comment = source.table.comment;
    return table_make(call, new, &spec, err);
}

static enum err_code properties_make(const struct statement_call *call,
                                     const struct option_list *options,
                                     struct table_property **ret_properties, struct err *err)
{
    struct table_property *properties =
        arena_alloc(call->arena, options->count + 1, sizeof(*properties));
    if (properties == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs more memory than it may");
    for (size_t i = 0; i < options->count; i++)
        properties[i] = (struct table_property){.key = options->items[i].key,
                                                .value = options->items[i].value.text};
    *ret_properties = properties;
    return ERR_OK;
}

enum err_code statement_create_table(const struct statement_call *call, struct answer *answer,
                                     struct err *err)
{
    (void)answer;
    const struct create_table *create = &call->statement->create_table;
    struct new_table new;
    struct schema schema;
    struct table_property *properties;
    TRY(new_table_look(call, &create->name, create->or_replace, create->if_not_exists, &new, err));
    TRY(properties_make(call, &create->properties, &properties, err));
    struct clustering clustering = {.kind = CLUSTERING_NONE};
    if (create->column_count > 0) {
        TRY(schema_make(call, create, &schema, err));
        TRY(clustering_make(&create->clustering, &schema, &clustering, err));
    }
    if (new.taken)
        return new_table_taken(&new, err);
    const struct table_spec spec = {
        .project = new.project.id,
        .name = create->name.object,
        .comment = create->comment,
        .lifecycle_days = (uint32_t)create->lifecycle_days,
        .properties = properties,
        .property_count = create->properties.count,
        .schema = &schema,
        .external = {.stored = create->external, .location = create->location},
        .replaces = new.replaces,
        .clustering = clustering,
    };
    if (create->has_like)
        return table_make_like(call, &new, &spec, err);
    return create->query != NULL ? create_table_as(call, &new, &spec, err)
                                 : table_make(call, &new, &spec, err);
}
