#include "node/authorise.h"

static const struct {
    const char *name;
    enum object_kind object;
} actions[] = {
#define X(action, name, object) [action] = {name, object},
    ACTIONS(X)
#undef X
};

const char *action_name(enum action action)
{
    return actions[action].name;
}

struct object object_region(void)
{
    return (struct object){.kind = OBJECT_REGION};
}

struct object object_project(struct account_id owner, struct span project)
{
    return (struct object){.kind = OBJECT_PROJECT, .owner = owner, .project = project};
}

struct object object_table(struct account_id owner, struct span project, struct span name)
{
    return (struct object){.kind = OBJECT_TABLE, .owner = owner, .project = project, .name = name};
}

static enum err_code denied(const struct principal *principal, enum action action,
                            const struct object *object, struct err *err)
{
    const char *name = action_name(action);
    if (object->kind == OBJECT_REGION)
        return err_set(err, ERR_DENIED, "%s is not an operator of this region", principal->name);
    if (object->kind == OBJECT_PROJECT)
        return err_set(err, ERR_DENIED, "%s has no %s on project %.*s", principal->name, name,
                       SPAN_PRINTF(object->project));
    return err_set(err, ERR_DENIED, "%s has no %s on %.*s.%.*s", principal->name, name,
                   SPAN_PRINTF(object->project), SPAN_PRINTF(object->name));
}

enum err_code authorise(const struct principal *principal, enum action action, struct object object,
                        struct err *err)
{
    ASSERT(actions[action].object == object.kind);
    bool allowed;
    if (object.kind == OBJECT_REGION)
        allowed = principal->operator;
    else
        allowed = object.owner.n != 0 && object.owner.n == principal->account.n;
    return allowed ? ERR_OK : denied(principal, action, &object, err);
}
