#include "node/statement/object_view.h"

struct view {
    const struct system_view *view;
    const struct statement_services *services;
    struct principal principal;
    atomic_bool *cancel; /* or NULL */
};

/* Ids that a pass still has to visit. */
struct id_list {
    uint64_t *ids;
    size_t count, capacity;
    size_t next;
};

struct pass {
    struct object_pass at; /* the first: what `rows` is given */
    struct view *view;
    const struct select_domain *domains[OBJECT_VIEW_REST]; /* NULL: everything */
    struct id_list projects, tables, snapshots;
    bool in_project, in_object;
    struct arena project_arena, object_arena;
};

enum err_code object_view_open(const struct system_view *self, const struct statement_call *call,
                               void **ret_state, struct err *err)
{
    (void)err;
    struct view *view = mem_calloc(1, sizeof(*view));
    view->view = self;
    view->services = call->services;
    view->principal = *call->principal;
    view->cancel = call->cancel;
    *ret_state = view;
    return ERR_OK;
}

void object_view_free(void *state)
{
    mem_free(state);
}

/* ---- lists of ids ---- */

/* A name that is asked for in two cases of letters is one object. */
static void id_add(struct id_list *list, uint64_t id, bool once)
{
    for (size_t i = 0; i < list->count && once; i++)
        if (list->ids[i] == id)
            return;
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        list->ids = mem_realloc(list->ids, list->capacity, sizeof(*list->ids));
    }
    list->ids[list->count++] = id;
}

static void id_list_clear(struct id_list *list)
{
    list->count = list->next = 0;
}

/* ---- what the conditions leave ---- */

/* They name each value that there may be. */
static bool domain_is_list(const struct select_domain *domain)
{
    if (domain == NULL)
        return false;
    for (size_t i = 0; i < domain->interval_count; i++) {
        const struct select_interval *interval = &domain->intervals[i];
        if (!interval->has_low || !interval->has_high || interval->low_open ||
            interval->high_open || !span_equal(interval->low.text, interval->high.text))
            return false;
    }
    return true;
}

static bool domain_has(const struct select_domain *domain, struct span text)
{
    const struct select_bounds bounds = {.has_value = true,
                                         .has_min = true,
                                         .has_max = true,
                                         .min = {.text = text},
                                         .max = {.text = text}};
    return domain == NULL ||
           select_domain_possible(domain, (struct type){.kind = TYPE_STRING}, &bounds);
}

static bool is_gone(enum err_code code)
{
    return code == ERR_NOT_FOUND || code == ERR_TABLE_NOT_FOUND;
}

/* ---- projects ---- */

static enum err_code project_add(void *context, const struct project_record *project,
                                 struct err *err)
{
    struct pass *pass = context;
    (void)err;
    id_add(&pass->projects, project->id.n, false);
    return ERR_OK;
}

static enum err_code projects_list(struct pass *pass, struct err *err)
{
    const struct select_domain *domain = pass->domains[OBJECT_VIEW_CATALOG];
    struct store *store = pass->at.services->store;
    if (!domain_has(pass->domains[OBJECT_VIEW_SCHEMA_NAME], span_text(OBJECT_VIEW_SCHEMA)))
        return ERR_OK;
    if (!domain_is_list(domain))
        return project_each(store, NULL, project_add, pass, err);
    for (size_t i = 0; i < domain->interval_count; i++) {
        struct project_record project;
        arena_reset(&pass->project_arena);
        enum err_code code = project_find(store, NULL, domain->intervals[i].low.text,
                                          &pass->project_arena, &project, err);
        if (code == ERR_OK)
            id_add(&pass->projects, project.id.n, true);
        else if (!is_gone(code))
            return code;
    }
    return ERR_OK;
}

static enum err_code target_add(void *context, struct name_target target, struct err *err)
{
    struct pass *pass = context;
    (void)err;
    id_add(target.kind == NAME_TABLE ? &pass->tables : &pass->snapshots, target.id.n, false);
    return ERR_OK;
}

static enum err_code targets_list(struct pass *pass, struct err *err)
{
    const struct select_domain *domain = pass->domains[OBJECT_VIEW_NAME];
    struct store *store = pass->at.services->store;
    struct project_id project = pass->at.object.project.id;
    id_list_clear(&pass->tables);
    id_list_clear(&pass->snapshots);
    if (!domain_is_list(domain))
        return name_each(store, NULL, project, target_add, pass, err);
    for (size_t i = 0; i < domain->interval_count; i++) {
        struct name_target target;
        enum err_code code =
            name_find(store, NULL, project, domain->intervals[i].low.text, &target, err);
        if (code == ERR_OK)
            id_add(target.kind == NAME_TABLE ? &pass->tables : &pass->snapshots, target.id.n, true);
        else if (!is_gone(code))
            return code;
    }
    return ERR_OK;
}

static void project_leave(struct pass *pass)
{
    if (pass->at.own != NULL)
        pass->at.functions->forget(pass->at.own);
    pass->at.own = NULL;
    pass->in_project = false;
}

/* The next that the principal is a user of. */
static enum err_code project_next(struct pass *pass, struct err *err)
{
    struct object_pass *at = &pass->at;
    struct store *store = at->services->store;
    struct project_id id = {pass->projects.ids[pass->projects.next++]};
    project_leave(pass);
    arena_reset(&pass->project_arena);
    at->object = (struct lookup){0};
    enum err_code code =
        project_get(store, NULL, id, &pass->project_arena, &at->object.project, err);
    if (code != ERR_OK)
        return is_gone(code) ? ERR_OK : code;
    if (!domain_has(pass->domains[OBJECT_VIEW_CATALOG], at->object.project.name) ||
        authorise(at->principal, ACTION_ENTER, object_project(store, &at->object.project), NULL) !=
            ERR_OK)
        return ERR_OK;
    TRY(targets_list(pass, err));
    pass->in_project = true;
    return at->functions->project == NULL ? ERR_OK : at->functions->project(at, &at->own, err);
}

/* ---- tables and snapshots ---- */

static void object_leave(struct pass *pass)
{
    partition_cursor_free(pass->at.partitions);
    reader_close(pass->at.reader);
    pass->at.partitions = NULL;
    pass->at.reader = NULL;
    pass->in_object = false;
}

/* Its record, as it is now. */
static enum err_code object_get(struct pass *pass, struct err *err)
{
    struct lookup *object = &pass->at.object;
    struct store *store = pass->at.services->store;
    arena_reset(&pass->object_arena);
    if (object->kind == NAME_TABLE) {
        TRY(table_get(store, NULL, object->id, &pass->object_arena, &object->table, err));
        object->name = object->table.name;
    } else {
        TRY(snapshot_get(store, NULL, object->id, &pass->object_arena, &object->snapshot, err));
        object->name = object->snapshot.name;
    }
    return ERR_OK;
}

/* Tables, then snapshots. */
static enum err_code object_next(struct pass *pass, struct err *err)
{
    struct lookup *object = &pass->at.object;
    bool table = pass->tables.next < pass->tables.count;
    struct id_list *list = table ? &pass->tables : &pass->snapshots;
    if (list->next == list->count) {
        project_leave(pass);
        return ERR_OK;
    }
    object->kind = table ? NAME_TABLE : NAME_SNAPSHOT;
    object->id = (struct table_id){list->ids[list->next++]};
    enum err_code code = object_get(pass, err);
    if (code != ERR_OK)
        return is_gone(code) ? ERR_OK : code; /* dropped meanwhile */
    pass->in_object = domain_has(pass->domains[OBJECT_VIEW_NAME], object->name);
    return ERR_OK;
}

static enum err_code object_rows(struct pass *pass, struct err *err)
{
    bool more = false;
    struct err reason;
    enum err_code code = pass->at.functions->rows(&pass->at, &more, err);
    if (code != ERR_OK && (!is_gone(code) || !is_gone(object_get(pass, &reason))))
        return code; /* and not: dropped meanwhile */
    if (code != ERR_OK || !more)
        object_leave(pass);
    return ERR_OK;
}

/* ---- as a source of rows ---- */

static void pass_close(void *opaque)
{
    struct pass *pass = opaque;
    object_leave(pass);
    project_leave(pass);
    batch_deinit(&pass->at.batch);
    arena_deinit(&pass->project_arena);
    arena_deinit(&pass->object_arena);
    mem_free(pass->projects.ids);
    mem_free(pass->tables.ids);
    mem_free(pass->snapshots.ids);
    mem_free(pass);
}

static enum err_code pass_open(void *table, const struct select_scan *scan, void **ret_pass,
                               struct err *err)
{
    (void)err;
    struct pass *pass = mem_calloc(1, sizeof(*pass));
    pass->view = system_view_state(table);
    pass->at.functions = pass->view->view->object;
    pass->at.services = pass->view->services;
    pass->at.principal = &pass->view->principal;
    pass->at.scan = *scan;
    pass->at.arena = &pass->object_arena;
    arena_init(&pass->project_arena, CATALOG_ARENA_BYTES);
    arena_init(&pass->object_arena, 4 * CATALOG_ARENA_BYTES);
    system_view_batch_init(pass->view->view, scan, &pass->at.batch);
    for (size_t i = 0; i < scan->domain_count; i++)
        if (scan->domains[i].column < OBJECT_VIEW_REST)
            pass->domains[scan->domains[i].column] = &scan->domains[i];
    enum err_code code = projects_list(pass, err);
    if (code != ERR_OK)
        pass_close(pass);
    else
        *ret_pass = pass;
    return code;
}

static enum err_code pass_next(void *opaque, const struct batch **ret_batch, struct err *err)
{
    struct pass *pass = opaque;
    struct batch *batch = &pass->at.batch;
    batch_clear(batch);
    while (batch->rows < OBJECT_VIEW_CHUNK_ROWS) {
        if (pass->view->cancel != NULL && atomic_load(pass->view->cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (pass->in_object)
            TRY(object_rows(pass, err));
        else if (pass->in_project)
            TRY(object_next(pass, err));
        else if (pass->projects.next < pass->projects.count)
            TRY(project_next(pass, err));
        else
            break;
    }
    *ret_batch = batch->rows > 0 ? batch : NULL;
    return ERR_OK;
}

/* One part; how many rows it has is known when they were read. */
static enum err_code pass_explain(void *table, const struct select_scan *scan,
                                  select_part_function *on_part, void *context, struct err *err)
{
    (void)table;
    (void)scan;
    const struct select_part part = {.reason = SELECT_READ};
    return on_part(context, &part, err);
}

const struct select_source_ops object_view_ops = {
    .open = pass_open,
    .next = pass_next,
    .close = pass_close,
    .explain = pass_explain,
};

/* ---- for `rows` ---- */

struct object object_pass_object(const struct object_pass *pass)
{
    const struct statement_call call = {.services = pass->services, .principal = pass->principal};
    return lookup_object(&call, &pass->object);
}

bool object_pass_may(const struct object_pass *pass, enum action action)
{
    return authorise(pass->principal, action, object_pass_object(pass), NULL) == ERR_OK;
}

bool object_pass_wants(const struct object_pass *pass, size_t column)
{
    for (size_t i = 0; i < pass->scan.column_count; i++)
        if (pass->scan.columns[i] == column)
            return true;
    return false;
}

enum err_code object_pass_version(struct object_pass *pass,
                                  const struct version_record **ret_version, struct err *err)
{
    if (pass->reader == NULL)
        TRY(reader_open(pass->services->store, pass->object.id, &pass->reader, err));
    *ret_version = reader_version(pass->reader);
    return ERR_OK;
}

void object_pass_names(const struct object_pass *pass, struct value *values)
{
    values[OBJECT_VIEW_CATALOG] = row_text(pass->object.project.name);
    values[OBJECT_VIEW_SCHEMA_NAME] = row_text(span_text(OBJECT_VIEW_SCHEMA));
    values[OBJECT_VIEW_NAME] = row_text(pass->object.name);
}

void object_pass_put(struct object_pass *pass, const struct value *values)
{
    system_view_row(&pass->scan, values, &pass->batch);
}

void clustering_values(const struct clustering *clustering, struct value *ret_type,
                       struct value *ret_buckets)
{
    bool none = clustering->kind == CLUSTERING_NONE;
    *ret_type = none ? (struct value){.null = true}
                     : row_text(span_text(clustering->kind == CLUSTERING_HASH ? "HASH" : "RANGE"));
    *ret_buckets = row_number(clustering->bucket_count);
    ret_buckets->null = none;
}
