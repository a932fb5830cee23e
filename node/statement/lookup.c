#include "node/statement/lookup.h"

#include "node/sql/lexer.h"
#include "node/turn.h"

#include <ctype.h>

/* The project as it is written, or the chosen one. */
static enum err_code project_name(const struct statement_call *call, struct span name,
                                  struct span *ret_name, struct err *err)
{
    if (name.len == 0)
        name = call->project;
    if (name.len == 0)
        return err_set(err, ERR_SEMANTIC,
                       "no project is chosen: write project.name, or USE project first");
    *ret_name = name;
    return ERR_OK;
}

/* *ret_found false: there is none of that name, which not everybody is told. */
static enum err_code project_look(const struct statement_call *call, struct span name,
                                  struct project_record *ret_project, bool *ret_found,
                                  struct err *err)
{
    struct err reason;
    enum err_code code =
        project_find(call->services->store, NULL, name, call->arena, ret_project, &reason);
    *ret_found = code == ERR_OK;
    return code == ERR_OK || code == ERR_NOT_FOUND ? ERR_OK
                                                   : err_set(err, code, "%s", reason.message);
}

static enum err_code project_missing(const struct statement_call *call, struct span name,
                                     struct err *err)
{
    bool views = name_equal(name, span_text("INFORMATION_SCHEMA"));
    return err_set(err, ERR_NOT_FOUND, "project %.*s does not exist in region %s%s",
                   SPAN_PRINTF(name), call->services->region,
                   views ? "; views are SYSTEM_CATALOG.INFORMATION_SCHEMA.name" : "");
}

/* authorise(), noting what was refused: `project` NULL is not there. */
static enum err_code allowed(const struct statement_call *call, enum action action,
                             struct object object, const struct project_record *project,
                             struct err *err)
{
    static const struct project_record none;
    enum err_code code = authorise(call->principal, action, object, err);
    if (code == ERR_OK)
        return ERR_OK;
    struct project_record noted = project != NULL ? *project : none;
    noted.name = object.project;
    statement_note_refused(call, &noted, object.name);
    return code;
}

enum err_code lookup_project(const struct statement_call *call, struct span name,
                             enum action action, struct project_record *ret_project,
                             struct err *err)
{
    struct project_record project;
    bool found;
    TRY(project_name(call, name, &name, err));
    TRY(project_look(call, name, &project, &found, err));
    struct object object = object_absent_project(name);
    if (found)
        object = object_project(call->services->store, &project);
    object.project = name; /* as written: the case it was made with says that it is there */
    if (!found && object_seen(call->principal, object))
        return project_missing(call, name, err);
    TRY(allowed(call, action, object, found ? &project : NULL, err));
    *ret_project = project;
    return ERR_OK;
}

static enum err_code record_get(const struct statement_call *call, struct lookup *lookup,
                                struct err *err)
{
    struct store *store = call->services->store;
    if (lookup->kind == NAME_TABLE)
        return table_get(store, NULL, lookup->id, call->arena, &lookup->table, err);
    return snapshot_get(store, NULL, lookup->id, call->arena, &lookup->snapshot, err);
}

/* What the name stands for; *ret_found false: nothing. */
static enum err_code object_look(const struct statement_call *call, struct lookup *lookup,
                                 bool *ret_found, struct err *err)
{
    struct name_target target;
    struct err reason;
    *ret_found = false;
    enum err_code code =
        name_find(call->services->store, NULL, lookup->project.id, lookup->name, &target, &reason);
    if (code == ERR_OK) {
        lookup->kind = target.kind;
        lookup->id = target.id;
        code = record_get(call, lookup, &reason);
    }
    if (code == ERR_TABLE_NOT_FOUND || code == ERR_NOT_FOUND) /* or dropped between the two */
        return ERR_OK;
    *ret_found = code == ERR_OK;
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

struct object lookup_object(const struct statement_call *call, const struct lookup *lookup)
{
    struct store *store = call->services->store;
    return lookup->kind == NAME_TABLE ? object_table(store, &lookup->project, &lookup->table)
                                      : object_snapshot(store, &lookup->project, &lookup->snapshot);
}

/* ---- again ---- */

static enum err_code ask_again(const struct statement_call *call, const struct lookup *lookup,
                               enum action action, struct arena *arena,
                               struct project_record *ret_project, struct err *err)
{
    const struct statement_call again = {
        .services = call->services, .principal = call->principal, .arena = arena};
    struct lookup now = {.name = lookup->name, .kind = lookup->kind, .id = lookup->id};
    struct store *store = call->services->store;
    struct err reason;
    TRY(authorise_key(call->services->principals, call->principal, err));
    TRY(project_get(store, NULL, lookup->project.id, arena, &now.project, err));
    enum err_code code = record_get(&again, &now, &reason);
    if (code == ERR_TABLE_NOT_FOUND || code == ERR_NOT_FOUND)
        TRY(authorise(call->principal, ACTION_ENTER, object_project(store, &now.project), err));
    else if (code == ERR_OK)
        TRY(authorise(call->principal, action, lookup_object(call, &now), err));
    else
        return err_set(err, code, "%s", reason.message);
    if (ret_project != NULL)
        *ret_project = now.project;
    return ERR_OK;
}

enum err_code lookup_again(const struct statement_call *call, const struct lookup *lookup,
                           enum action action, struct arena *arena,
                           struct project_record *ret_project, struct err *err)
{
    enum err_code code = ask_again(call, lookup, action, arena, ret_project, err);
    return statement_noted(call, code, &lookup->project, lookup->name);
}

enum err_code lookup_leave(const struct statement_call *call, const struct lookup *lookup,
                           const struct project_record *now, const struct project_record *into,
                           struct err *err)
{
    enum err_code code = authorise_leave(call->principal, now, into, err);
    return statement_noted(call, code, &lookup->project, lookup->name);
}

enum err_code lookup_project_again(const struct statement_call *call,
                                   const struct project_record *project, enum action action,
                                   struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    struct project_record now;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(authorise_key(call->services->principals, call->principal, err));
    TRY(project_get(call->services->store, NULL, project->id, &arena, &now, err));
    enum err_code code =
        authorise(call->principal, action, object_project(call->services->store, &now), err);
    return statement_noted(call, code, project, (struct span){0});
}

enum err_code lookup_turn(const struct statement_call *call, const struct lookup *lookup,
                          enum action action, struct table_id *ret_turn, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    table_turn_take(lookup->id);
    *ret_turn = lookup->id;
    return lookup_again(call, lookup, action, &arena, NULL, err);
}

/* ---- what is replaced ---- */

enum err_code lookup_replaced(const struct statement_call *call,
                              const struct project_record *project, struct span name,
                              struct table_id *ret_replaced, struct err *err)
{
    struct lookup replaced = {.project = *project, .name = name};
    bool found;
    TRY(object_look(call, &replaced, &found, err));
    if (found)
        TRY(allowed(call, ACTION_DROP, lookup_object(call, &replaced), &replaced.project, err));
    *ret_replaced = found ? replaced.id : (struct table_id){0};
    return ERR_OK;
}

/* Rights before names: who may not see what is missing is refused as if it were there. */
enum err_code lookup_any(const struct statement_call *call, const struct name *name,
                         enum action action, struct lookup *ret_lookup, struct err *err)
{
    if (name->system)
        return err_set(err, ERR_SEMANTIC,
                       "%.*s is a view of SYSTEM_CATALOG.INFORMATION_SCHEMA: SELECT alone reads it",
                       SPAN_PRINTF(name->object));
    struct lookup lookup = {.name = name->object};
    struct span project;
    bool in_project, found = false;
    TRY(project_name(call, name->project, &project, err));
    TRY(project_look(call, project, &lookup.project, &in_project, err));
    if (!in_project && object_seen(call->principal, object_absent_project(project)))
        return project_missing(call, project, err);
    struct object object = object_absent_in(project, name->object);
    if (in_project)
        TRY(object_look(call, &lookup, &found, err));
    if (found)
        object = lookup_object(call, &lookup);
    else if (in_project)
        object = object_absent(call->services->store, &lookup.project, name->object);
    object.project = project;
    object.name = name->object;
    if (!found && object_seen(call->principal, object))
        return err_set(err, ERR_TABLE_NOT_FOUND, "\"%.*s\" \"%.*s\"", SPAN_PRINTF(project),
                       SPAN_PRINTF(name->object));
    TRY(allowed(call, action, object, in_project ? &lookup.project : NULL, err));
    ASSERT(found); /* who may anything with all that is in a project sees what is not */
    *ret_lookup = lookup;
    return ERR_OK;
}

static enum err_code snapshot_refuse(const struct name *name, enum action action, struct err *err)
{
    if (action != ACTION_ALTER && action != ACTION_UPDATE)
        return err_set(err, ERR_SEMANTIC, "%.*s is a snapshot, not a table; DESC shows it",
                       SPAN_PRINTF(name->object));
    return err_set(err, ERR_SEMANTIC,
                   "%.*s is a snapshot; snapshots are immutable: CREATE TABLE t CLONE %.*s makes a "
                   "table of it that can be changed",
                   SPAN_PRINTF(name->object), SPAN_PRINTF(name->object));
}

enum err_code lookup_table(const struct statement_call *call, const struct name *name,
                           enum action action, struct lookup *ret_lookup, struct err *err)
{
    struct lookup lookup;
    TRY(lookup_any(call, name, action, &lookup, err));
    if (lookup.kind != NAME_TABLE)
        return snapshot_refuse(name, action, err);
    *ret_lookup = lookup;
    return ERR_OK;
}

enum err_code lookup_snapshot(const struct statement_call *call, const struct name *name,
                              enum action action, struct lookup *ret_lookup, struct err *err)
{
    struct lookup lookup;
    TRY(lookup_any(call, name, action, &lookup, err));
    if (lookup.kind != NAME_SNAPSHOT)
        return err_set(err, ERR_SEMANTIC, "%.*s is a table, not a snapshot",
                       SPAN_PRINTF(name->object));
    *ret_lookup = lookup;
    return ERR_OK;
}

enum err_code lookup_has_rows(const struct lookup *lookup, const char *what, struct err *err)
{
    if (lookup->kind != NAME_TABLE || lookup->table.external.stored.len == 0)
        return ERR_OK;
    return err_set(err, ERR_SEMANTIC,
                   "%.*s.%.*s is an external table: its rows are not in this region's store, so it "
                   "cannot be used by %s; DESC, SHOW CREATE TABLE and DROP TABLE work",
                   SPAN_PRINTF(lookup->project.name), SPAN_PRINTF(lookup->table.name), what);
}

static bool is_word(struct span text, const char *word)
{
    return text.len == strlen(word) && strncasecmp((const char *)text.data, word, text.len) == 0;
}

const struct table_property *lookup_transactional(const struct lookup *lookup)
{
    const struct table_record *table = &lookup->table;
    if (lookup->kind != NAME_TABLE)
        return NULL;
    for (size_t i = 0; i < table->property_count; i++)
        if (is_word(table->properties[i].key, "transactional") &&
            is_word(table->properties[i].value, "true"))
            return &table->properties[i];
    return NULL;
}

enum err_code lookup_not_transactional(const struct lookup *lookup, const char *what,
                                       const char *instead, struct err *err)
{
    if (lookup_transactional(lookup) == NULL)
        return ERR_OK;
    return err_set(
        err, ERR_SEMANTIC, "%.*s.%.*s is a transactional table, which %s does not take; %s",
        SPAN_PRINTF(lookup->project.name), SPAN_PRINTF(lookup->table.name), what, instead);
}

bool name_valid(struct span name)
{
    if (name.len == 0 || name.len > LIMIT_NAME_BYTES || !isalpha(name.data[0]))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (!isalnum(name.data[i]) && name.data[i] != '_')
            return false;
    }
    return true;
}

enum err_code name_invalid(struct span name, struct err *err)
{
    return err_set(err, ERR_SEMANTIC,
                   "\"%.*s\" cannot be a name: a letter, then letters, digits and '_', at most "
                   "%d bytes",
                   SPAN_PRINTF(name), LIMIT_NAME_BYTES);
}

enum err_code lookup_name_check(const struct name *name, struct err *err)
{
    if (name->system)
        return err_set(err, ERR_SEMANTIC, "nothing can be made in SYSTEM_CATALOG");
    if (!name_valid(name->object))
        return name_invalid(name->object, err);
    return ERR_OK;
}

enum err_code lookup_new(const struct statement_call *call, const struct name *name,
                         struct project_record *ret_project, struct err *err)
{
    TRY(lookup_name_check(name, err));
    return lookup_project(call, name->project, ACTION_CREATE_TABLE, ret_project, err);
}

const struct version_ref *lookup_version(const struct lookup *lookup)
{
    return lookup->kind == NAME_TABLE ? &lookup->table.version : &lookup->snapshot.version;
}
