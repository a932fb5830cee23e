/* CREATE TABLE, DROP TABLE. */
#include "node/statement/lookup.h"

static enum err_code default_format(const struct statement_call *call, const struct column_def *def,
                                    struct span *ret_text, struct err *err)
{
    struct value value;
    TRY(literal_value(&def->default_value, def->type, &value, err));
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

static enum err_code properties_check(const struct option_list *properties, struct err *err)
{
    for (size_t i = 0; i < properties->count; i++) {
        const struct option *option = &properties->items[i];
        bool transactional = option_find(properties, "transactional") == option;
        if (transactional &&
            strncasecmp((const char *)option->value.text.data, "true", option->value.text.len) == 0)
            return err_set(err, ERR_SEMANTIC, "transactional tables are not supported");
    }
    return ERR_OK;
}

enum err_code statement_create_table(const struct statement_call *call, struct answer *answer,
                                     struct err *err)
{
    (void)answer;
    const struct create_table *create = &call->statement->create_table;
    struct project_record project;
    struct schema schema;
    TRY(lookup_new(call, &create->name, &project, err));
    TRY(properties_check(&create->properties, err));
    TRY(schema_make(call, create, &schema, err));
    const struct table_spec spec = {
        .project = project.id,
        .name = create->name.object,
        .comment = create->comment,
        .lifecycle_days = (uint32_t)create->lifecycle_days,
        .schema = &schema,
    };
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(content_open(call->services->store, project.owner, &content, err));
    struct change_note note = statement_note(call);
    struct table_id id;
    struct err reason;
    enum err_code code = table_create(content, &spec, &note, &id, &reason);
    if (code == ERR_EXISTS && create->if_not_exists)
        return ERR_OK;
    if (code == ERR_EXISTS)
        return err_set(err, code, "AlreadyExistsException(message:%.*s.%.*s already exists)",
                       SPAN_PRINTF(project.name), SPAN_PRINTF(create->name.object));
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

enum err_code statement_drop_table(const struct statement_call *call, struct answer *answer,
                                   struct err *err)
{
    (void)answer;
    const struct drop_object *drop = &call->statement->drop;
    struct lookup lookup;
    struct err reason;
    enum err_code code = lookup_any(call, &drop->name, ACTION_DROP, &lookup, &reason);
    if (code == ERR_TABLE_NOT_FOUND && drop->if_exists)
        return ERR_OK;
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    if (lookup.kind != NAME_TABLE)
        return err_set(err, ERR_SEMANTIC, "%.*s is a snapshot: use DROP SNAPSHOT TABLE",
                       SPAN_PRINTF(drop->name.object));
    struct change_note note = statement_note(call);
    return table_drop(call->services->store, lookup.id, &note, err);
}
