/* CLONE TABLE: partitions of a table become another's without their data being touched
 * (store/clone.h). Into a table that is there it takes that table's turn, as every writer does; the
 * source is read as it is at one moment and never waited for.
 */
#include "node/statement/clone_ranges.h"
#include "node/statement/clone_schema.h"
#include "node/statement/lookup.h"
#include "node/turn.h"

/* Where from, where to: looked up and allowed. */
struct clone {
    const struct clone_table *text;
    struct lookup source;
    struct project_record project; /* the destination's */
    struct reader_handle *reader;  /* the source, at one moment */
    struct clone_selection selection;
};

static void clone_deinit(struct clone *clone)
{
    clone_selection_deinit(&clone->selection);
    reader_close(clone->reader);
}

/* What was there when it was looked up and is not any more: the statement looks again. */
static enum err_code gone(enum err_code code)
{
    return code == ERR_NOT_FOUND || code == ERR_TABLE_NOT_FOUND ? ERR_CONFLICT : code;
}

/* ---- source ---- */

static enum err_code source_find(const struct statement_call *call, struct clone *clone,
                                 struct err *err)
{
    const struct name *name = &clone->text->source;
    if (name->system)
        return err_set(err, ERR_SEMANTIC,
                       "%.*s is a view of SYSTEM_CATALOG: CLONE TABLE takes tables",
                       SPAN_PRINTF(name->object));
    enum err_code code = lookup_any(call, name, ACTION_SELECT, &clone->source, err);
    if (code == ERR_NOT_FOUND)
        return err_wrap(err, "CLONE TABLE stays within its region (from another one: CREATE "
                             "SNAPSHOT TABLE there, XCOPY SNAPSHOT here)");
    TRY(code);
    if (clone->source.kind != NAME_TABLE)
        return err_set(err, ERR_SEMANTIC,
                       "%.*s.%.*s is a snapshot; CLONE TABLE takes a table: use CREATE TABLE ... "
                       "CLONE %.*s.%.*s",
                       SPAN_PRINTF(clone->source.project.name), SPAN_PRINTF(name->object),
                       SPAN_PRINTF(clone->source.project.name), SPAN_PRINTF(name->object));
    return lookup_has_rows(&clone->source, "CLONE TABLE", err);
}

/* One moment of it: what becomes of the name afterwards does not matter any more. */
static enum err_code source_open(const struct statement_call *call, struct clone *clone,
                                 struct err *err)
{
    struct err reason;
    enum err_code code =
        reader_open(call->services->store, clone->source.id, &clone->reader, &reason);
    if (code != ERR_OK)
        return err_set(err, gone(code), "%s", reason.message);
    return clone_selection_make(call, &clone->text->partitions, clone->reader, &clone->selection,
                                err);
}

/* ---- destination ---- */

static enum err_code destination_allowed(const struct statement_call *call, struct clone *clone,
                                         struct err *err)
{
    TRY(lookup_new(call, &clone->text->destination, &clone->project, err));
    enum err_code code = authorise(call->principal, ACTION_CREATE_INSTANCE,
                                   object_project(call->services->store, &clone->project), err);
    return statement_noted(call, code, &clone->project, (struct span){0});
}

static enum err_code already_exists(const struct clone *clone, struct err *err)
{
    return err_set(err, ERR_EXISTS,
                   "AlreadyExistsException(message:%.*s.%.*s already exists; CLONE TABLE ... IF "
                   "EXISTS OVERWRITE replaces its partitions, IF EXISTS IGNORE adds the missing "
                   "ones)",
                   SPAN_PRINTF(clone->project.name), SPAN_PRINTF(clone->text->destination.object));
}

static enum err_code clone_new(const struct statement_call *call, struct clone *clone,
                               struct err *err)
{
    const struct table_property *transactional = lookup_transactional(&clone->source);
    struct table_property kept =
        transactional != NULL ? *transactional : (struct table_property){0};
    const struct table_spec spec = {
        .project = clone->project.id,
        .name = clone->text->destination.object,
        .comment = clone->source.table.comment,
        .properties = &kept, /* what it is */
        .property_count = transactional != NULL,
    };
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(content_open(call->services->store, clone->project.owner, &content, err));
    struct change_note note = statement_note(call);
    struct table_id id;
    struct err reason;
    enum err_code code =
        clone_create(content, &spec, clone->reader, &clone->selection.ranges, &note, &id, &reason);
    if (code == ERR_EXISTS && clone->text->existing == CLONE_EXISTING_FAIL)
        return already_exists(clone, err);
    if (code == ERR_EXISTS) /* made since it was looked for */
        code = ERR_CONFLICT;
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

/* May this table take these partitions? Asked before anything is done. */
static enum err_code existing_check(const struct clone *clone, const struct table_write *write,
                                    struct err *err)
{
    uint64_t count;
    TRY(clone_schema_check(&reader_version(clone->reader)->schema,
                           &table_write_version(write)->schema, err));
    TRY(clone_count(clone->reader, &clone->selection.ranges, LIMIT_CLONE_PARTITIONS + 1, &count,
                    err));
    if (count > LIMIT_CLONE_PARTITIONS)
        return err_set(err, ERR_LIMIT,
                       "CLONE TABLE takes at most %d partitions into a table that exists, and any "
                       "number into a new one; nothing was cloned: name fewer with PARTITION(...)",
                       LIMIT_CLONE_PARTITIONS);
    return ERR_OK;
}

/* All that was asked before the wait for the destination's turn, but its own right; of the projects as
 * they are now. */
static enum err_code allowed_again(const struct statement_call *call, const struct clone *clone,
                                   struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 4 * CATALOG_ARENA_BYTES);
    struct project_record from, to;
    TRY(lookup_again(call, &clone->source, ACTION_SELECT, &arena, &from, err));
    TRY(lookup_project_again(call, &clone->project, ACTION_CREATE_TABLE, err));
    TRY(lookup_project_again(call, &clone->project, ACTION_CREATE_INSTANCE, err));
    TRY(project_get(call->services->store, NULL, clone->project.id, &arena, &to, err));
    return authorise_clone(call->principal, &from, &to, err);
}

static enum err_code clone_existing(const struct statement_call *call, struct clone *clone,
                                    const struct lookup *destination, struct err *err)
{
    bool adds = clone->text->existing == CLONE_EXISTING_IGNORE;
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(content_open(call->services->store, clone->project.owner, &content, err));
    TABLE_TURN_CLEANUP struct table_id turn = {0};
    TRY(lookup_turn(call, destination, ACTION_UPDATE, &turn, err));
    TRY(allowed_again(call, clone, err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    struct err reason;
    enum err_code code = table_begin(content, destination->id, &write, &reason);
    if (code != ERR_OK)
        return err_set(err, gone(code), "%s", reason.message);
    TRY(existing_check(clone, write, err));
    struct change_note note = statement_note(call);
    return clone_into(write, clone->reader, &clone->selection.ranges,
                      adds ? CLONE_ADD : CLONE_REPLACE, &note, err);
}

/* ---- the statement ---- */

static enum err_code existing_allowed(const struct statement_call *call, const struct clone *clone,
                                      struct name_target target, struct lookup *ret_lookup,
                                      struct err *err)
{
    struct span name = clone->text->destination.object;
    struct lookup lookup = {
        .name = name, .project = clone->project, .kind = target.kind, .id = target.id};
    struct err reason;
    if (target.id.n == clone->source.id.n)
        return err_set(err, ERR_SEMANTIC, "%.*s.%.*s cannot be cloned onto itself",
                       SPAN_PRINTF(clone->project.name), SPAN_PRINTF(name));
    if (target.kind != NAME_TABLE)
        return err_set(err, ERR_SEMANTIC, "%.*s.%.*s is a snapshot and cannot be cloned into",
                       SPAN_PRINTF(clone->project.name), SPAN_PRINTF(name));
    if (clone->text->existing == CLONE_EXISTING_FAIL)
        return already_exists(clone, err);
    if (table_get(call->services->store, NULL, target.id, call->arena, &lookup.table, &reason) !=
        ERR_OK)
        return err_set(err, gone(reason.code), "%s", reason.message);
    TRY(statement_noted(
        call, authorise(call->principal, ACTION_UPDATE, lookup_object(call, &lookup), err),
        &clone->project, name));
    TRY(lookup_has_rows(&lookup, "CLONE TABLE", err));
    TRY(lookup_not_transactional(&lookup, "CLONE TABLE into a table that exists",
                                 "clone into a new one", err));
    *ret_lookup = lookup;
    return ERR_OK;
}

static enum err_code clone_run(const struct statement_call *call, struct clone *clone,
                               struct err *err)
{
    struct name_target target;
    struct lookup destination = {0};
    bool exists;
    TRY(source_find(call, clone, err));
    TRY(destination_allowed(call, clone, err));
    TRY(authorise_clone(call->principal, &clone->source.project, &clone->project, err));
    TRY(name_look(call->services->store, NULL, clone->project.id, clone->text->destination.object,
                  &target, &exists, err));
    if (exists)
        TRY(existing_allowed(call, clone, target, &destination, err));
    TRY(source_open(call, clone, err));
    return exists ? clone_existing(call, clone, &destination, err) : clone_new(call, clone, err);
}

enum err_code statement_clone_table(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    (void)answer;
    __attribute__((cleanup(clone_deinit))) struct clone clone = {.text =
                                                                     &call->statement->clone_table};
    return clone_run(call, &clone, err);
}
