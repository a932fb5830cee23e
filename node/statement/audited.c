#include "node/statement/audited.h"

#include <stddef.h>

#include "node/loop.h"
#include "node/statement/statement.h"

enum names {
    NAMES_NONE,
    NAMES_OBJECT,    /* struct name: a table or snapshot */
    NAMES_PROJECT,   /* struct span */
    NAMES_PRINCIPAL, /* struct span: an account, a user; or a region */
    NAMES_SELF,      /* the principal itself */
    NAMES_GRANT,     /* struct grant */
    NAMES_HERE,      /* of the current project: what the statement says stands in its text */
};

struct kind {
    bool listed;  /* somebody thought of it: every kind that changes something has to be */
    bool audited; /* when it has changed something; refusals of every kind are */
    bool rights;  /* it may have taken a right from somebody */
    enum names names;
    size_t object; /* offset in struct statement */
    size_t source; /* a second struct name; 0: none */
};

#define AT(member) offsetof(struct statement, member)
#define ON(names, member)                                                                          \
    {                                                                                              \
        true, false, false, (names), AT(member), 0                                                 \
    }
#define AUDITED(names, ...)                                                                        \
    {                                                                                              \
        true, true, false, (names), __VA_ARGS__                                                    \
    }
#define RIGHTS(names, ...)                                                                         \
    {                                                                                              \
        true, true, true, (names), __VA_ARGS__                                                     \
    }
#define AUDITED_2(object, source)                                                                  \
    {                                                                                              \
        true, true, false, NAMES_OBJECT, AT(object), AT(source)                                    \
    }

static const struct kind kinds[STATEMENT_KIND_COUNT] = {
    /* changes of rights: who there is, with which key, who may what, what may leave */
    [STATEMENT_CREATE_ACCOUNT] = RIGHTS(NAMES_PRINCIPAL, AT(create_account.account), 0),
    [STATEMENT_CREATE_USER] = RIGHTS(NAMES_PRINCIPAL, AT(create_account.account), 0),
    [STATEMENT_ALTER_KEYS] = RIGHTS(NAMES_PRINCIPAL, AT(alter_keys.name), 0),
    [STATEMENT_DROP_ACCOUNT] = RIGHTS(NAMES_PRINCIPAL, AT(drop_principal.name), 0),
    [STATEMENT_DROP_USER] = RIGHTS(NAMES_PRINCIPAL, AT(drop_principal.name), 0),
    [STATEMENT_CREATE_PROJECT] = RIGHTS(NAMES_PROJECT, AT(create_project.project), 0),
    [STATEMENT_DROP_PROJECT] = RIGHTS(NAMES_PROJECT, AT(drop_project.project), 0),
    [STATEMENT_ALTER_PROJECT_XCOPY] = RIGHTS(NAMES_PROJECT, AT(alter_switch.project), 0),
    [STATEMENT_ALTER_ACCOUNT_CHANNEL] = RIGHTS(NAMES_SELF, 0, 0),
    [STATEMENT_ALTER_CHANNEL] = AUDITED(NAMES_PRINCIPAL, AT(alter_channel.region), 0),
    [STATEMENT_REVOKE_TOKEN] = RIGHTS(NAMES_SELF, 0, 0),
    [STATEMENT_CREATE_SCHEDULE] = AUDITED(NAMES_OBJECT, AT(create_schedule.name), 0),
    [STATEMENT_ALTER_SCHEDULE] = AUDITED(NAMES_OBJECT, AT(alter_schedule.name), 0),
    [STATEMENT_DROP_SCHEDULE] = AUDITED(NAMES_OBJECT, AT(drop.name), 0),
    [STATEMENT_RUN_SCHEDULE] = AUDITED(NAMES_OBJECT, AT(run_schedule.name), 0),
    [STATEMENT_ADD_USER] = RIGHTS(NAMES_HERE, 0, 0),
    [STATEMENT_REMOVE_USER] = RIGHTS(NAMES_HERE, 0, 0),
    [STATEMENT_GRANT] = RIGHTS(NAMES_GRANT, AT(grant), 0),
    [STATEMENT_REVOKE] = RIGHTS(NAMES_GRANT, AT(grant), 0),
    [STATEMENT_CREATE_ROLE] = RIGHTS(NAMES_HERE, 0, 0),
    [STATEMENT_DROP_ROLE] = RIGHTS(NAMES_HERE, 0, 0),
    [STATEMENT_GRANT_ROLE] = RIGHTS(NAMES_HERE, 0, 0),
    [STATEMENT_REVOKE_ROLE] = RIGHTS(NAMES_HERE, 0, 0),
    [STATEMENT_SET_PROTECTION] = RIGHTS(NAMES_HERE, 0, 0),
    [STATEMENT_ADD_TRUSTED] = RIGHTS(NAMES_HERE, 0, 0),
    [STATEMENT_REMOVE_TRUSTED] = RIGHTS(NAMES_HERE, 0, 0),
    /* what data becomes without being read */
    [STATEMENT_CREATE_SNAPSHOT] = AUDITED_2(create_snapshot.name, create_snapshot.source),
    [STATEMENT_DROP_SNAPSHOT] = AUDITED(NAMES_OBJECT, AT(drop.name), 0),
    [STATEMENT_RESTORE_TABLE] = AUDITED_2(restore_table.name, restore_table.source),
    [STATEMENT_CLONE_TABLE] = AUDITED_2(clone_table.destination, clone_table.source),
    [STATEMENT_XCOPY] = AUDITED(NAMES_OBJECT, AT(xcopy.destination), 0),
    /* of these only refusals */
    [STATEMENT_INSERT] = ON(NAMES_OBJECT, insert.table),
    [STATEMENT_CREATE_TABLE] = ON(NAMES_OBJECT, create_table.name),
    [STATEMENT_DROP_TABLE] = ON(NAMES_OBJECT, drop.name),
    [STATEMENT_ADD_PARTITIONS] = ON(NAMES_OBJECT, partitions.table),
    [STATEMENT_DROP_PARTITIONS] = ON(NAMES_OBJECT, partitions.table),
    [STATEMENT_ALTER_TABLE] = ON(NAMES_OBJECT, alter_table.table),
    [STATEMENT_ALTER_CLUSTERING] = ON(NAMES_OBJECT, alter_clustering.table),
    [STATEMENT_TRUNCATE_TABLE] = ON(NAMES_OBJECT, truncate.table),
    [STATEMENT_VERIFY_SNAPSHOT] = ON(NAMES_OBJECT, verify_snapshot.name),
    [STATEMENT_DESC] = ON(NAMES_OBJECT, desc.name),
    [STATEMENT_USE] = ON(NAMES_PROJECT, project),
    [STATEMENT_LIST_USERS] = {.names = NAMES_HERE},
    [STATEMENT_LIST_ROLES] = {.names = NAMES_HERE},
    [STATEMENT_DESC_ROLE] = {.names = NAMES_HERE},
    [STATEMENT_LIST_TRUSTED] = {.names = NAMES_HERE},
    [STATEMENT_CANCEL_TASK] = {.listed = true}, /* the task's own end has an entry */
};

bool statement_kind_audited(enum statement_kind kind)
{
    ASSERT(kind < STATEMENT_KIND_COUNT);
    return kinds[kind].audited;
}

bool statement_kind_rights(enum statement_kind kind)
{
    return kinds[kind].rights;
}

bool statement_kind_listed(enum statement_kind kind)
{
    return kinds[kind].listed;
}

/* ---- who ---- */

void audit_principal_set(struct audit_record *record, const struct principal *principal,
                         uint8_t key[AUDIT_KEY_BYTES])
{
    size_t half = AUDIT_KEY_BYTES / 2;
    memcpy(key, principal->keys.sign.b, half);
    memcpy(key + half, principal->keys.noise.b, half);
    record->principal = span_text(principal->name);
    record->account = principal->account;
    record->key = span_of(key, AUDIT_KEY_BYTES);
}

static struct audit_record *record_begin(const struct statement_call *call, const char *action)
{
    struct statement_audit *audit = call->audit;
    audit->record = (struct audit_record){
        .time_ms = statement_now_ms(),
        .address = span_text(audit->address),
        .action = span_text(action),
        .id = span_of(call->id.b, sizeof(call->id.b)),
        .outcome = span_text(AUDIT_OUTCOME_OK),
    };
    audit_principal_set(&audit->record, call->principal, audit->key);
    return &audit->record;
}

/* ---- what ---- */

/* By the project's name, as it was written; one that is not there has no id. */
static struct audit_place place_of(const struct statement_call *call, struct span project,
                                   struct span name)
{
    struct audit_place place = {.project_name = project.len > 0 ? project : call->project,
                                .name = name};
    struct project_record record;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    if (place.project_name.len > 0 && project_find(call->services->store, NULL, place.project_name,
                                                   &arena, &record, NULL) == ERR_OK) {
        place.project = record.id;
        place.owner = record.owner;
    }
    return place;
}

static struct audit_place place_of_name(const struct statement_call *call, const struct name *name)
{
    if (name->system)
        return (struct audit_place){.name = name->object};
    return place_of(call, name->project, name->object);
}

static struct audit_place place_of_grant(const struct statement_call *call,
                                         const struct grant *grant)
{
    if (grant->object == GRANT_ON_PROJECT)
        return place_of(call, grant->name.object, (struct span){0});
    return place_of_name(call, &grant->name);
}

static const void *member_at(const struct statement *statement, size_t offset)
{
    return (const char *)statement + offset;
}

static void places_set(const struct statement_call *call, struct audit_record *record)
{
    const struct statement *statement = call->statement;
    const struct kind *kind = &kinds[statement->kind];
    const void *object = member_at(statement, kind->object);
    switch (kind->names) {
    case NAMES_NONE:
        break;
    case NAMES_OBJECT:
        record->object = place_of_name(call, object);
        break;
    case NAMES_PROJECT:
        record->object = place_of(call, *(const struct span *)object, (struct span){0});
        break;
    case NAMES_PRINCIPAL:
        record->object = (struct audit_place){.name = *(const struct span *)object};
        break;
    case NAMES_SELF:
        record->object = (struct audit_place){.name = record->principal};
        break;
    case NAMES_GRANT:
        record->object = place_of_grant(call, object);
        break;
    case NAMES_HERE:
        record->object = place_of(call, (struct span){0}, (struct span){0});
        break;
    }
    if (kind->source != 0)
        record->source = place_of_name(call, member_at(statement, kind->source));
}

const struct audit_record *statement_audited(const struct statement_call *call)
{
    if (call->statement == NULL || !kinds[call->statement->kind].audited)
        return NULL;
    struct audit_record *record = record_begin(call, statement_kind_text(call->statement->kind));
    places_set(call, record);
    record->text = call->statement->text;
    return record;
}

const struct audit_record *statement_audited_as(const struct statement_call *call,
                                                const char *action,
                                                const struct project_record *project,
                                                struct span name)
{
    struct audit_record *record = record_begin(call, action);
    record->object = (struct audit_place){project->id, project->owner, project->name, name};
    return record;
}

/* ---- refusals ---- */

void statement_note_refused(const struct statement_call *call, const struct project_record *project,
                            struct span name)
{
    call->audit->has_refused = true;
    call->audit->refused = (struct audit_place){project->id, project->owner, project->name, name};
}

enum err_code statement_noted(const struct statement_call *call, enum err_code code,
                              const struct project_record *project, struct span name)
{
    if (code != ERR_OK && err_class(code) == CLASS_DENIED)
        statement_note_refused(call, project, name);
    return code;
}

/* Without the statement's text: it may name what the reader of the entry may not know of. What a
 * look-up was refused is its project's alone. */
void statement_refused(const struct statement_call *call, const char *action, const struct err *err)
{
    if (err_class(err->code) != CLASS_DENIED)
        return;
    if (action == NULL)
        action = statement_kind_text(call->statement->kind);
    struct audit_record *record = record_begin(call, action);
    if (call->audit->has_refused)
        record->object = call->audit->refused;
    else if (call->statement != NULL)
        places_set(call, record);
    record->outcome = span_text(err_odps(err->code));
    record->message = span_text(err->message);
    auditor_refused(call->services->auditor, span_text(call->principal->name), record,
                    loop_now_ms());
}
