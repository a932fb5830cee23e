#include "node/authorise.h"

#include <strings.h>

static const struct {
    const char *name;
    enum object_kind object;
    uint8_t number;
} actions[] = {
#define X(action, name, object, number) [action] = {name, object, number},
    ACTIONS(X)
#undef X
};

/* ---- actions ---- */

const char *action_name(enum action action)
{
    return actions[action].name;
}

uint8_t action_number(enum action action)
{
    return actions[action].number;
}

enum object_kind action_object(enum action action)
{
    return actions[action].object;
}

bool action_find(struct span name, enum object_kind kind, enum action *ret_action)
{
    for (size_t i = 0; i < ARRAY_COUNT(actions); i++) {
        bool same = strlen(actions[i].name) == name.len &&
                    strncasecmp(actions[i].name, (const char *)name.data, name.len) == 0;
        if (!same || actions[i].object != kind || actions[i].number == 0)
            continue;
        *ret_action = (enum action)i;
        return true;
    }
    return false;
}

bool action_of_number(uint8_t number, enum action *ret_action)
{
    for (size_t i = 0; i < ARRAY_COUNT(actions) && number != 0; i++) {
        if (actions[i].number != number)
            continue;
        *ret_action = (enum action)i;
        return true;
    }
    return false;
}

uint64_t actions_of(enum object_kind kind)
{
    uint64_t all = 0;
    for (size_t i = 0; i < ARRAY_COUNT(actions); i++) {
        if (actions[i].object == kind && actions[i].number != 0)
            all |= UINT64_C(1) << actions[i].number;
    }
    return all;
}

/* ---- objects ---- */

struct object object_region(void)
{
    return (struct object){.kind = OBJECT_REGION};
}

struct object object_project(struct store *store, const struct project_record *project)
{
    return (struct object){
        .kind = OBJECT_PROJECT,
        .store = store,
        .owner = project->owner,
        .in = project->id,
        .project = project->name,
    };
}

struct object object_absent(struct store *store, const struct project_record *project,
                            struct span name)
{
    struct object object = object_project(store, project);
    object.kind = OBJECT_TABLE;
    object.name = name;
    return object;
}

struct object object_table(struct store *store, const struct project_record *project,
                           const struct table_record *table)
{
    struct object object = object_absent(store, project, table->name);
    object.id = table->id;
    object.creator = table->owner;
    return object;
}

struct object object_snapshot(struct store *store, const struct project_record *project,
                              const struct snapshot_record *snapshot)
{
    struct object object = object_absent(store, project, snapshot->name);
    object.id = snapshot->id;
    object.creator = snapshot->owner;
    return object;
}

struct object object_absent_project(struct span project)
{
    return (struct object){.kind = OBJECT_PROJECT, .project = project};
}

struct object object_absent_in(struct span project, struct span name)
{
    return (struct object){.kind = OBJECT_TABLE, .project = project, .name = name};
}

/* ---- the rule ---- */

static bool is_main(const struct principal *principal, struct account_id account)
{
    return account.n != 0 && account.n == principal->account.n && !principal->user;
}

/* What the index knows. An object that is not there has id 0, which is the project's: it is asked
 * about without actions. */
static struct rights_answer ask(const struct principal *principal, const struct object *object,
                                uint64_t wanted)
{
    if (object->store == NULL || object->in.n == 0)
        return (struct rights_answer){0};
    const struct rights_query query = {
        .project = object->in,
        .object = object->id,
        .principal = span_text(principal->name),
        .number = principal->number,
        .actions = object->kind == OBJECT_TABLE && object->id.n == 0 ? 0 : wanted,
    };
    return rights_ask(object->store, &query);
}

static bool is_creator(const struct principal *principal, const struct object *object)
{
    return object->creator.len > 0 && span_equal(object->creator, span_text(principal->name));
}

static bool may(const struct principal *principal, enum action action, const struct object *object)
{
    uint8_t number = actions[action].number;
    if (object->kind == OBJECT_REGION)
        return principal->operator;
    if (is_main(principal, object->owner))
        return true;
    struct rights_answer answer = ask(principal, object, number == 0 ? 0 : UINT64_C(1) << number);
    if (!answer.is_user || action == ACTION_OWN)
        return false;
    return answer.is_admin || answer.granted || action == ACTION_ENTER ||
           is_creator(principal, object);
}

static enum err_code denied(const struct principal *principal, enum action action,
                            const struct object *object, struct err *err)
{
    const char *name = principal->name;
    struct span project = object->project;
    if (object->kind == OBJECT_REGION)
        return err_set(err, ERR_DENIED, "%s is not an operator of this region", name);
    if (action == ACTION_OWN)
        return err_set(err, ERR_DENIED, "%s is not the owner of project %.*s", name,
                       SPAN_PRINTF(project));
    if (action == ACTION_ADMINISTER)
        return err_set(err, ERR_DENIED,
                       "%s is neither the owner nor in the role admin of project %.*s", name,
                       SPAN_PRINTF(project));
    if (action == ACTION_ENTER)
        return err_set(err, ERR_DENIED, "%s is not a user of project %.*s", name,
                       SPAN_PRINTF(project));
    if (object->kind == OBJECT_PROJECT)
        return err_set(err, ERR_DENIED, "%s has no %s on project %.*s", name, action_name(action),
                       SPAN_PRINTF(project));
    return err_set(err, ERR_DENIED, "%s has no %s on %.*s.%.*s", name, action_name(action),
                   SPAN_PRINTF(project), SPAN_PRINTF(object->name));
}

enum err_code authorise(const struct principal *principal, enum action action, struct object object,
                        struct err *err)
{
    ASSERT(actions[action].object == object.kind);
    return may(principal, action, &object) ? ERR_OK : denied(principal, action, &object, err);
}

enum err_code authorise_key(const struct principals *principals, const struct principal *principal,
                            struct err *err)
{
    if (principals_has_key(principals, principal))
        return ERR_OK;
    return err_set(err, ERR_DENIED, "the key that %s began this with was dropped", principal->name);
}

bool object_seen(const struct principal *principal, struct object object)
{
    if (is_main(principal, object.owner))
        return true;
    if (object.kind != OBJECT_TABLE) {
        bool is_operator = principal->operator;
        return is_operator || may(principal, ACTION_ENTER, &object);
    }
    struct rights_answer answer = ask(principal, &object, actions_of(OBJECT_TABLE));
    if (answer.is_user && (answer.is_admin || answer.granted || is_creator(principal, &object)))
        return true;
    struct object project = object;
    project.kind = OBJECT_PROJECT;
    project.id = (struct table_id){0};
    project.creator = (struct span){0};
    return may(principal, ACTION_LIST, &project);
}

/* ---- where data may go ---- */

static enum err_code protected(const struct principal *principal, const struct project_record *from,
                               struct err *err) {
    return err_set(
               err, ERR_DENIED,
               "project %.*s is protected: its data goes to trusted projects only, for %s as for "
               "all; its owner may ADD TRUSTEDPROJECT or SET ProjectProtection=false",
               SPAN_PRINTF(from->name), principal->name);
}

enum err_code authorise_leave(const struct principal *principal, const struct project_record *from,
                              const struct project_record *to, struct err *err)
{
    bool allowed = !from->is_protected || (to != NULL && to->id.n == from->id.n);
    for (size_t i = 0; i < from->trusted_count && to != NULL && !allowed; i++)
        allowed = from->trusted[i].region.len == 0 && from->trusted[i].id.n == to->id.n;
    return allowed ? ERR_OK : protected(principal, from, err);
}

enum err_code authorise_leave_region(const struct principal *principal,
                                     const struct project_record *from, struct span region,
                                     struct span project, struct err *err)
{
    bool allowed = !from->is_protected;
    for (size_t i = 0; i < from->trusted_count && region.len > 0 && !allowed; i++) {
        const struct trusted_project *trusted = &from->trusted[i];
        allowed = span_equal(trusted->region, region) && trusted->name.len == project.len &&
                  strncasecmp((const char *)trusted->name.data, (const char *)project.data,
                              project.len) == 0;
    }
    return allowed ? ERR_OK : protected(principal, from, err);
}

enum err_code authorise_clone(const struct principal *principal, const struct project_record *from,
                              const struct project_record *to, struct err *err)
{
    if (principal->user && from->owner.n != to->owner.n)
        return err_set(
            err, ERR_DENIED,
            "%s is a RAM user: between projects of two accounts only main accounts clone",
            principal->name);
    return authorise_leave(principal, from, to, err);
}

enum err_code authorise_same_account(const struct principal *principal,
                                     const struct project_record *project, struct err *err)
{
    if (project->owner.n != 0 && principal->account.n == project->owner.n)
        return ERR_OK;
    return err_set(
        err, ERR_DENIED,
        "XCOPY copies within one account: %s is not of the account that owns project %.*s",
        principal->name, SPAN_PRINTF(project->name));
}

bool authorise_task(const struct principal *principal, struct account_id account,
                    struct span begun_by)
{
    return is_main(principal, account) ||
           (principal->account.n == account.n && span_equal(begun_by, span_text(principal->name)));
}
