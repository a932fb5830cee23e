/* SET ProjectProtection, ADD | REMOVE TRUSTEDPROJECT, LIST TRUSTEDPROJECTS: the project's owner decides
 * where its data may go (node/authorise.h, authorise_leave). */
#include "node/sql/lexer.h"
#include "node/statement/lookup.h"

enum err_code statement_set_protection(const struct statement_call *call, struct answer *answer,
                                       struct err *err)
{
    (void)answer;
    struct project_record old;
    TRY(lookup_project(call, (struct span){0}, ACTION_OWN, &old, err));
    struct project_record project = old;
    project.is_protected = call->statement->protect;
    struct change_note note = statement_note(call);
    return project_replace(call->services->store, &old, &project, &note, err);
}

/* ---- trusted projects ---- */

/* Its place in the list; trusted_count: it is not there. */
static size_t trusted_at(const struct project_record *project, const struct trusted *wanted)
{
    for (size_t i = 0; i < project->trusted_count; i++) {
        const struct trusted_project *trusted = &project->trusted[i];
        if (span_equal(trusted->region, wanted->region) &&
            name_equal(trusted->name, wanted->project))
            return i;
    }
    return project->trusted_count;
}

/* This region by its name is this region. */
static struct trusted wanted_of(const struct statement_call *call)
{
    struct trusted wanted = call->statement->trusted;
    if (span_equal(wanted.region, span_text(call->services->region)))
        wanted.region = (struct span){0};
    return wanted;
}

/* A project here is trusted as it is now, by its id: one that is made again under its name is not. A
 * name that no project has trusts nothing (id 0), and is taken in the same way: who owns one project
 * is not told which others there are. */
static enum err_code trusted_find(const struct statement_call *call, const struct trusted *wanted,
                                  struct trusted_project *ret_trusted, struct err *err)
{
    struct project_record project;
    struct err reason;
    *ret_trusted = (struct trusted_project){.region = wanted->region, .name = wanted->project};
    if (wanted->region.len > 0)
        return ERR_OK;
    enum err_code code =
        project_find(call->services->store, NULL, wanted->project, call->arena, &project, &reason);
    if (code == ERR_NOT_FOUND)
        return ERR_OK;
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    ret_trusted->id = project.id;
    return ERR_OK;
}

static enum err_code trusted_copy(const struct statement_call *call,
                                  const struct project_record *old,
                                  struct trusted_project **ret_list, struct err *err)
{
    struct trusted_project *list = arena_alloc(call->arena, old->trusted_count + 1, sizeof(*list));
    if (list == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs more memory than it may");
    for (size_t i = 0; i < old->trusted_count; i++)
        list[i] = old->trusted[i];
    *ret_list = list;
    return ERR_OK;
}

enum err_code statement_add_trusted(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    (void)answer;
    const struct trusted wanted = wanted_of(call);
    struct project_record old;
    TRY(lookup_project(call, (struct span){0}, ACTION_OWN, &old, err));
    struct project_record project = old;
    size_t at = trusted_at(&old, &wanted);
    TRY(trusted_copy(call, &old, &project.trusted, err));
    struct trusted_project trusted;
    TRY(trusted_find(call, &wanted, &trusted, err));
    if (trusted.id.n == old.id.n)
        return err_set(err, ERR_SEMANTIC, "a project need not trust itself");
    if (at == LIMIT_TRUSTED_PROJECTS)
        return err_set(err, ERR_LIMIT, "a project trusts at most %d others",
                       LIMIT_TRUSTED_PROJECTS);
    project.trusted[at] = trusted;
    project.trusted_count += at == old.trusted_count;
    struct change_note note = statement_note(call);
    return project_replace(call->services->store, &old, &project, &note, err);
}

enum err_code statement_remove_trusted(const struct statement_call *call, struct answer *answer,
                                       struct err *err)
{
    (void)answer;
    const struct trusted wanted = wanted_of(call);
    struct project_record old;
    TRY(lookup_project(call, (struct span){0}, ACTION_OWN, &old, err));
    struct project_record project = old;
    size_t at = trusted_at(&old, &wanted);
    if (at == old.trusted_count)
        return err_set(err, ERR_NOT_FOUND,
                       "project %.*s is not trusted; LIST TRUSTEDPROJECTS shows those that are",
                       SPAN_PRINTF(wanted.project));
    TRY(trusted_copy(call, &old, &project.trusted, err));
    for (size_t i = at; i + 1 < old.trusted_count; i++)
        project.trusted[i] = old.trusted[i + 1];
    project.trusted_count--;
    struct change_note note = statement_note(call);
    return project_replace(call->services->store, &old, &project, &note, err);
}

enum err_code statement_list_trusted(const struct statement_call *call, struct answer *answer,
                                     struct err *err)
{
    static const struct answer_column columns[] = {{"project", TYPE_STRING, true},
                                                   {"region", TYPE_STRING, true}};
    struct project_record project;
    TRY(lookup_project(call, (struct span){0}, ACTION_ADMINISTER, &project, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < project.trusted_count; i++) {
        const struct trusted_project *trusted = &project.trusted[i];
        answer_add_text(answer, trusted->name);
        answer_add_text(answer, trusted->region.len > 0 ? trusted->region
                                                        : span_text(call->services->region));
    }
    return ERR_OK;
}
