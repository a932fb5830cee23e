/* CREATE PROJECT, ALTER PROJECT ENABLE | DISABLE XCOPY: the region's operator. DROP PROJECT: its owner,
 * or the operator. */
#include "node/sql/lexer.h"
#include "node/statement/lookup.h"

static enum err_code owner_find(const struct statement_call *call, struct span name,
                                struct account_id *ret_owner, struct err *err)
{
    if (name.len == 0 && call->principal->account.n == 0)
        return err_set(err, ERR_PARAMETER,
                       "%s is an operator and no account, and owns nothing: say whose the project "
                       "is with OWNER 'ALIYUN$name'",
                       call->principal->name);
    if (name.len == 0) {
        *ret_owner = call->principal->account;
        return ERR_OK;
    }
    struct account_record account;
    struct err reason;
    enum err_code code =
        account_find(call->services->store, NULL, name, call->arena, &account, &reason);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "account %.*s does not exist", SPAN_PRINTF(name));
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    *ret_owner = account.id;
    return ERR_OK;
}

enum err_code statement_create_project(const struct statement_call *call, struct answer *answer,
                                       struct err *err)
{
    (void)answer;
    const struct create_project *create = &call->statement->create_project;
    TRY(authorise(call->principal, ACTION_OPERATE, object_region(), err));
    if (name_equal(create->project, span_text("SYSTEM_CATALOG")))
        return err_set(err, ERR_SEMANTIC,
                       "SYSTEM_CATALOG is where the system's views are: choose another name");
    struct project_spec spec = {
        .name = create->project,
        .xcopy_enabled = !call->services->gates,
    };
    TRY(owner_find(call, create->owner, &spec.owner, err));
    struct change_note note = statement_note(call);
    struct project_id id;
    struct err reason;
    enum err_code code = project_create(call->services->store, &spec, &note, &id, &reason);
    if (code == ERR_EXISTS && create->if_not_exists)
        return ERR_OK;
    if (code == ERR_EXISTS)
        return err_set(err, code, "AlreadyExistsException(message:project %.*s already exists)",
                       SPAN_PRINTF(create->project));
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

/* *ret_there false: IF EXISTS was said and it is not. */
static enum err_code dropped_find(const struct statement_call *call,
                                  struct project_record *ret_project, bool *ret_there,
                                  struct err *err)
{
    const struct drop_project *drop = &call->statement->drop_project;
    struct err reason;
    enum err_code code;
    if (authorise(call->principal, ACTION_OPERATE, object_region(), NULL) == ERR_OK)
        code = project_find(call->services->store, NULL, drop->project, call->arena, ret_project,
                            &reason);
    else
        code = lookup_project(call, drop->project, ACTION_OWN, ret_project, &reason);
    *ret_there = code == ERR_OK;
    if (code == ERR_OK || (code == ERR_NOT_FOUND && drop->if_exists))
        return ERR_OK;
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "project %.*s does not exist in region %s",
                       SPAN_PRINTF(drop->project), call->services->region);
    return err_set(err, code, "%s", reason.message);
}

struct held_search {
    struct store *store;
    struct arena *arena; /* of the one that was found */
    bool found;
    struct snapshot_record snapshot;
};

static enum err_code held_look(void *context, struct name_target target, struct err *err)
{
    (void)err;
    struct held_search *search = context;
    if (search->found || target.kind != NAME_SNAPSHOT)
        return ERR_OK;
    arena_reset(search->arena);
    search->found = snapshot_get(search->store, NULL, target.id, search->arena, &search->snapshot,
                                 NULL) == ERR_OK &&
                    search->snapshot.hold.by.len > 0;
    return ERR_OK;
}

/* What the project still holds cannot all be dropped: says which snapshot is held. For who may see it. */
static enum err_code held_tell(const struct statement_call *call,
                               const struct project_record *project, const struct err *reason,
                               struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct held_search search = {.store = call->services->store, .arena = &arena};
    struct object object = object_project(call->services->store, project);
    if (authorise(call->principal, ACTION_OWN, object, NULL) == ERR_OK &&
        name_each(search.store, NULL, project->id, held_look, &search, NULL) == ERR_OK &&
        search.found)
        return err_set(err, reason->code,
                       "%s; snapshot %.*s is held by %.*s: ALTER SNAPSHOT TABLE ... RELEASE",
                       reason->message, SPAN_PRINTF(search.snapshot.name),
                       SPAN_PRINTF(search.snapshot.hold.by));
    return err_set(err, reason->code, "%s", reason->message);
}

enum err_code statement_drop_project(const struct statement_call *call, struct answer *answer,
                                     struct err *err)
{
    (void)answer;
    struct project_record project;
    bool there;
    TRY(dropped_find(call, &project, &there, err));
    if (!there)
        return ERR_OK;
    struct change_note note = statement_note(call);
    struct err reason;
    enum err_code code = project_drop(call->services->store, project.id, &note, &reason);
    if (code == ERR_EXISTS)
        return held_tell(call, &project, &reason, err);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

enum err_code statement_alter_project(const struct statement_call *call, struct answer *answer,
                                      struct err *err)
{
    (void)answer;
    const struct alter_switch *alter = &call->statement->alter_switch;
    TRY(authorise(call->principal, ACTION_OPERATE, object_region(), err));
    struct project_record project;
    struct err reason;
    enum err_code code =
        project_find(call->services->store, NULL, alter->project, call->arena, &project, &reason);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "project %.*s does not exist", SPAN_PRINTF(alter->project));
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    struct change_note note = statement_note(call);
    return project_xcopy_set(call->services->store, project.id, alter->on, &note, err);
}
