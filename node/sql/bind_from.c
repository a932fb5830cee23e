/* FROM: tables, names of WITH and derived tables become relations; joins and their conditions. */
#include "node/sql/bind.h"

#include "node/sql/lexer.h"
#include "proto/limits.h"

/* ---- relations ---- */

enum err_code relation_new(struct binder *binder, size_t width, struct relation **ret_relation,
                           struct err *err)
{
    struct relation *relation = arena_alloc(binder->arena, 1, sizeof(*relation));
    if (relation == NULL)
        return memory_fail(err);
    relation->owner = binder->query;
    relation->width = width;
    relation->used = arena_alloc(binder->arena, width + 1, sizeof(bool));
    if (relation->used == NULL)
        return memory_fail(err);
    relation->number = binder->binding->relation_count++;
    *ret_relation = relation;
    return ERR_OK;
}

static struct query *with_find(const struct binder *binder, const struct name *name)
{
    if (name->project.len > 0 || name->system)
        return NULL;
    for (const struct with_scope *with = binder->with; with != NULL; with = with->next) {
        if (name_equal(with->name, name->object))
            return with->query;
    }
    return NULL;
}

static enum err_code query_relation(struct binder *binder, struct query *query, uint32_t at,
                                    struct relation **ret_relation, struct err *err)
{
    TRY(relation_new(binder, query->item_count, ret_relation, err));
    (*ret_relation)->query = query;
    return query_read(binder, query, at, err);
}

static enum err_code table_relation(struct binder *binder, const struct from *from,
                                    struct relation **ret_relation, struct err *err)
{
    const struct select_source *source = NULL;
    struct err cause = {0};
    enum err_code code = pins_find(binder->binding->pins, &from->name, &source, &cause);
    if (code == ERR_TABLE_NOT_FOUND)
        return binder_fail(binder, code, from->at, err, "%s", cause.message);
    if (code != ERR_OK)
        return err_set(err, code, "%s", cause.message);
    const struct schema *schema = source->schema;
    TRY(relation_new(binder, schema->column_count + schema->partition_column_count, ret_relation,
                     err));
    (*ret_relation)->source = source;
    binder->query->weight++;
    bytes_append(&binder->binding->tables, ret_relation, sizeof(struct relation *));
    return ERR_OK;
}

/* A query in FROM does not see what stands beside it, only what is around. */
static enum err_code derived_relation(struct binder *binder, const struct from *from,
                                      struct relation **ret_relation, struct err *err)
{
    struct query *query = NULL;
    TRY(bind_query(binder->binding, binder->outer, binder->with, from->query, &query, err));
    outer_adopt(binder, query);
    return query_relation(binder, query, from->at, ret_relation, err);
}

/* Two tables of one name in different projects are told apart by project.table. */
static bool names_clash(const struct relation *a, const struct relation *b)
{
    if (!name_equal(a->name, b->name))
        return false;
    bool tables = a->source != NULL && !a->aliased && b->source != NULL && !b->aliased;
    return !tables || name_equal(a->source->project, b->source->project);
}

static enum err_code relation_add(struct binder *binder, const struct from *from,
                                  struct relation *relation, struct err *err)
{
    size_t count;
    struct relation **others = binder_relations(binder, &count);
    relation->aliased = from->alias.len > 0;
    relation->name = arena_copy(binder->arena, relation->aliased ? from->alias : from->name.object);
    if (relation->name.data == NULL)
        return memory_fail(err);
    if (count >= LIMIT_JOIN_TABLES)
        return binder_fail(binder, ERR_LIMIT, from->at, err, "FROM joins more than %d tables",
                           LIMIT_JOIN_TABLES);
    for (size_t i = 0; i < count; i++) {
        if (!others[i]->hidden && names_clash(others[i], relation))
            return binder_fail(binder, ERR_SEMANTIC, from->at, err,
                               "%.*s stands twice in FROM: give one of them another alias",
                               SPAN_PRINTF(relation->name));
    }
    bytes_append(&binder->relations, &relation, sizeof(struct relation *));
    return ERR_OK;
}

static enum err_code bind_leaf(struct binder *binder, const struct from *from, struct join *join,
                               struct err *err)
{
    struct query *with = from->kind == FROM_TABLE ? with_find(binder, &from->name) : NULL;
    if (with != NULL)
        TRY(query_relation(binder, with, from->at, &join->relation, err));
    else if (from->kind == FROM_TABLE)
        TRY(table_relation(binder, from, &join->relation, err));
    else
        TRY(derived_relation(binder, from, &join->relation, err));
    return relation_add(binder, from, join->relation, err);
}

/* ---- joins ---- */

/* ON sees the two sides of its own join. */
static enum err_code bind_on(struct binder *binder, const struct from *from, size_t first,
                             struct join *join, struct err *err)
{
    size_t visible_from = binder->visible_from;
    binder->visible_from = first;
    binder->clause = "ON";
    enum err_code code = bind_condition(binder, from->on, "ON", &join->on, err);
    binder->clause = NULL;
    binder->visible_from = visible_from;
    return code;
}

enum err_code bind_from(struct binder *binder, const struct from *from, struct join **ret_join,
                        struct err *err)
{
    struct join *join = arena_alloc(binder->arena, 1, sizeof(*join));
    size_t first, middle, end;
    if (join == NULL)
        return memory_fail(err);
    *ret_join = join;
    if (from->kind != FROM_JOIN)
        return bind_leaf(binder, from, join, err);
    join->kind = from->join;
    binder_relations(binder, &first);
    TRY(bind_from(binder, from->left, &join->left, err));
    binder_relations(binder, &middle);
    TRY(bind_from(binder, from->right, &join->right, err));
    TRY(bind_on(binder, from, first, join, err));
    struct relation **relations = binder_relations(binder, &end);
    for (size_t i = middle; i < end; i++) {
        if (join->kind == JOIN_SEMI || join->kind == JOIN_ANTI)
            relations[i]->hidden = true;
    }
    return ERR_OK;
}
