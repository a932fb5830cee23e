#include "node/statement/snapshot_walk.h"

struct walked {
    const struct snapshot_walk *walk;
    const struct project_record *project; /* that is looked at */
    struct arena scratch;                 /* of one snapshot */
};

static bool may_describe(const struct walked *walked, const struct snapshot_record *snapshot)
{
    const struct snapshot_walk *walk = walked->walk;
    return walk->principal == NULL ||
           authorise(walk->principal, ACTION_DESCRIBE,
                     object_snapshot(walk->store, walked->project, snapshot), NULL) == ERR_OK;
}

static enum err_code name_take(void *context, struct name_target target, struct err *err)
{
    struct walked *walked = context;
    const struct snapshot_walk *walk = walked->walk;
    struct snapshot_record snapshot;
    if (target.kind != NAME_SNAPSHOT)
        return ERR_OK;
    if (walk->cancel != NULL && atomic_load(walk->cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    arena_reset(&walked->scratch);
    enum err_code code =
        snapshot_get(walk->store, NULL, target.id, &walked->scratch, &snapshot, err);
    if (code == ERR_NOT_FOUND || code == ERR_TABLE_NOT_FOUND) /* dropped meanwhile */
        return ERR_OK;
    if (code != ERR_OK || !may_describe(walked, &snapshot))
        return code;
    return walk->snapshot(walk->context, walked->project, &snapshot, err);
}

static enum err_code project_take(void *context, const struct project_record *project,
                                  struct err *err)
{
    struct walked *walked = context;
    const struct snapshot_walk *walk = walked->walk;
    if (walk->principal != NULL && authorise(walk->principal, ACTION_ENTER,
                                             object_project(walk->store, project), NULL) != ERR_OK)
        return ERR_OK;
    walked->project = project;
    TRY(name_each(walk->store, NULL, project->id, name_take, walked, err));
    return walk->project_end != NULL ? walk->project_end(walk->context, project, err) : ERR_OK;
}

enum err_code snapshot_walk(const struct snapshot_walk *walk, struct err *err)
{
    struct walked walked = {.walk = walk};
    arena_init(&walked.scratch, 4 * CATALOG_ARENA_BYTES);
    enum err_code code = project_each(walk->store, NULL, project_take, &walked, err);
    arena_deinit(&walked.scratch);
    return code;
}
