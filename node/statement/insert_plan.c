#include "node/statement/insert_plan.h"

#include "proto/key.h"

static enum err_code default_value(const struct column *column, struct value *ret_value,
                                   struct err *err)
{
    *ret_value = (struct value){.null = true};
    if (!column->has_default)
        return ERR_OK;
    return value_parse(column->type, column->default_text, ret_value, err);
}

static size_t listed_at(const struct insert *insert, struct span name)
{
    for (size_t i = 0; i < insert->column_count; i++) {
        if (insert->columns[i].len == name.len &&
            strncasecmp((const char *)insert->columns[i].data, (const char *)name.data, name.len) ==
                0)
            return i;
    }
    return SIZE_MAX;
}

/* INSERT INTO t (a, b): every listed name is a data column, once. */
static enum err_code list_check(const struct insert *insert, const struct schema *schema,
                                struct err *err)
{
    for (size_t i = 0; i < insert->column_count; i++) {
        struct span name = insert->columns[i];
        bool is_partition;
        const struct column *column = schema_find(schema, name, &is_partition);
        if (column == NULL)
            return err_set(err, ERR_SEMANTIC, "column %.*s does not exist", SPAN_PRINTF(name));
        if (listed_at(insert, name) != i)
            return err_set(err, ERR_SEMANTIC, "column %.*s is listed twice", SPAN_PRINTF(name));
        if (is_partition)
            return err_set(err, ERR_SEMANTIC,
                           "partition column %.*s cannot be listed: its values come last",
                           SPAN_PRINTF(name));
    }
    return ERR_OK;
}

static enum err_code plan_data(const struct insert *insert, const struct schema *schema,
                               struct insert_plan *plan, struct err *err)
{
    TRY(list_check(insert, schema, err));
    for (size_t i = 0; i < schema->column_count; i++) {
        struct row_source *source = &plan->sources[i];
        source->column = &schema->columns[i];
        source->at = insert->column_count == 0 ? i : listed_at(insert, source->column->name);
        if (source->at == SIZE_MAX)
            TRY(default_value(source->column, &source->value, err));
    }
    plan->width = insert->column_count == 0 ? schema->column_count : insert->column_count;
    return ERR_OK;
}

static enum err_code plan_new(const struct statement_call *call, const struct schema *schema,
                              struct insert_plan *ret_plan, struct err *err)
{
    struct insert_plan plan = {.column_count =
                                   schema->column_count + schema->partition_column_count};
    plan.sources = arena_alloc(call->arena, plan.column_count, sizeof(*plan.sources));
    if (plan.sources == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs more memory than it may");
    *ret_plan = plan;
    return ERR_OK;
}

/* ---- partition columns ---- */

/* As documented: levels with a value stand above those without. And a query's columns are not
 * guessed at: its PARTITION(...) names every level. */
static enum err_code levels_check(const struct insert *insert, const struct schema *schema,
                                  const bool named[], const bool given[], struct err *err)
{
    size_t dynamic = SIZE_MAX;
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        struct span name = schema->partition_columns[i].name;
        if (!named[i] && insert->query != NULL && insert->partition.count > 0)
            return err_set(err, ERR_SEMANTIC,
                           "PARTITION(...) lacks %.*s: give it a value, or name it alone for what "
                           "the SELECT's last columns give",
                           SPAN_PRINTF(name));
        if (given[i] && dynamic != SIZE_MAX)
            return err_set(err, ERR_SEMANTIC,
                           "PARTITION(...) gives %.*s a value below %.*s, which has none: levels "
                           "with a value come first",
                           SPAN_PRINTF(name), SPAN_PRINTF(schema->partition_columns[dynamic].name));
        if (named[i] && !given[i] && dynamic == SIZE_MAX)
            dynamic = i;
    }
    return ERR_OK;
}

static void levels_plan(const struct insert *insert, const struct schema *schema,
                        struct insert_plan *plan)
{
    struct row_source *levels = plan->sources + schema->column_count;
    for (size_t i = 0; i < insert->partition.count; i++) {
        const struct partition_item *item = &insert->partition.items[i];
        const struct column *column = schema_find(schema, item->column, NULL);
        if (item->dynamic)
            levels[column - schema->partition_columns].at = plan->width++;
    }
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        if (levels[i].at == SIZE_MAX && levels[i].value.null)
            levels[i].at = plan->width++;
        plan->one_partition = plan->one_partition && levels[i].at == SIZE_MAX;
    }
}

static enum err_code plan_partition(const struct insert *insert, const struct schema *schema,
                                    struct insert_plan *plan, struct err *err)
{
    struct value values[LIMIT_PARTITION_LEVELS];
    bool given[LIMIT_PARTITION_LEVELS];
    bool named[LIMIT_PARTITION_LEVELS] = {false};
    TRY(partition_spec_values(schema, &insert->partition, values, given, err));
    for (size_t i = 0; i < insert->partition.count; i++)
        named[schema_find(schema, insert->partition.items[i].column, NULL) -
              schema->partition_columns] = true;
    TRY(levels_check(insert, schema, named, given, err));
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        struct row_source *source = &plan->sources[schema->column_count + i];
        *source = (struct row_source){.column = &schema->partition_columns[i],
                                      .at = SIZE_MAX,
                                      .value = values[i],
                                      .is_partition = true};
        source->value.null = !given[i];
    }
    plan->one_partition = schema->partition_column_count > 0;
    levels_plan(insert, schema, plan);
    return ERR_OK;
}

/* ---- the plan ---- */

enum err_code insert_plan_make(const struct statement_call *call, const struct insert *insert,
                               const struct schema *schema, struct insert_plan *ret_plan,
                               struct err *err)
{
    struct insert_plan plan;
    TRY(plan_new(call, schema, &plan, err));
    TRY(plan_data(insert, schema, &plan, err));
    TRY(plan_partition(insert, schema, &plan, err));
    *ret_plan = plan;
    return ERR_OK;
}

enum err_code insert_plan_whole(const struct statement_call *call, const struct schema *schema,
                                struct insert_plan *ret_plan, struct err *err)
{
    const struct insert all = {0};
    return insert_plan_make(call, &all, schema, ret_plan, err);
}

void insert_plan_key(const struct insert_plan *plan, struct bytes *key)
{
    ASSERT(plan->one_partition);
    for (size_t i = 0; i < plan->column_count; i++) {
        const struct row_source *source = &plan->sources[i];
        if (source->is_partition)
            key_append_value(key, source->column->type, source->value);
    }
}

void insert_plan_names(const struct insert_plan *plan, struct bytes *out)
{
    for (size_t at = 0; at < plan->width; at++) {
        for (size_t i = 0; i < plan->column_count; i++) {
            if (plan->sources[i].at == at)
                bytes_printf(out, "%s%.*s", at > 0 ? ", " : "",
                             SPAN_PRINTF(plan->sources[i].column->name));
        }
    }
}
