/* CREATE SNAPSHOT TABLE, ALTER SNAPSHOT TABLE, CREATE TABLE ... CLONE: one record each, whatever the
 * size. */
#include "node/statement/new_table.h"

/* ---- the maker's signature ---- */

static enum err_code claim_sign(void *context, struct span message,
                                uint8_t ret_signature[SIGNATURE_BYTES], struct err *err)
{
    const struct identity *identity = context;
    size_t domain_bytes = strlen(SNAPSHOT_SIGN_TEXT) + 1; /* with its zero */
    if (message.len < domain_bytes || memcmp(message.data, SNAPSHOT_SIGN_TEXT, domain_bytes) != 0)
        return err_set(err, ERR_INTERNAL, "a snapshot's claim begins with its domain");
    struct span claim = span_slice(message, domain_bytes, message.len - domain_bytes);
    struct signature signature;
    identity_sign(identity, SNAPSHOT_SIGN_TEXT, claim, &signature);
    memcpy(ret_signature, signature.b, SIGNATURE_BYTES);
    return ERR_OK;
}

static struct snapshot_signer signer_of(const struct statement_call *call)
{
    return (struct snapshot_signer){
        .maker = identity_public(call->services->identity)->sign,
        .sign = claim_sign,
        .context = (void *)call->services->identity,
    };
}

/* ---- options ---- */

enum err_code snapshot_expiration_parse(const struct option *option, uint64_t *ret_expires_ms,
                                        struct err *err)
{
    const char *form = "expiration_timestamp: write a time that is later than now, like TIMESTAMP "
                       "'2030-01-01 00:00:00' (UTC)";
    struct value value;
    if (literal_value(&option->value, (struct type){.kind = TYPE_DATETIME}, &value, NULL) != ERR_OK)
        return err_set(err, ERR_SEMANTIC, "%s", form);
    if (!value.null && value.i64 <= (int64_t)statement_now_ms())
        return err_set(err, ERR_SEMANTIC, "%s", form);
    *ret_expires_ms = value.null ? 0 : (uint64_t)value.i64;
    return ERR_OK;
}

static enum err_code description_parse(const struct option *option, struct span *ret_description,
                                       struct err *err)
{
    const struct literal *value = &option->value;
    if (value->kind != LITERAL_NULL &&
        (value->kind != LITERAL_STRING || value->text.len > LIMIT_COMMENT_BYTES))
        return err_set(err, ERR_SEMANTIC,
                       "description is a string of at most %d bytes, or NULL for none",
                       LIMIT_COMMENT_BYTES);
    *ret_description = value->kind == LITERAL_NULL ? (struct span){0} : value->text;
    return ERR_OK;
}

static enum err_code options_apply(const struct option_list *options, struct snapshot_spec *spec,
                                   struct err *err)
{
    const struct option *expiration = option_find(options, "expiration_timestamp");
    const struct option *description = option_find(options, "description");
    if (expiration != NULL)
        TRY(snapshot_expiration_parse(expiration, &spec->expires_ms, err));
    return description == NULL ? ERR_OK : description_parse(description, &spec->description, err);
}

/* ---- CREATE SNAPSHOT TABLE ---- */

static enum err_code name_taken(const struct statement_call *call,
                                const struct project_record *project,
                                const struct create_snapshot *create, struct err *err)
{
    struct name_target target;
    enum err_code code =
        name_find(call->services->store, NULL, project->id, create->name.object, &target, NULL);
    bool table = code == ERR_OK && target.kind == NAME_TABLE;
    if (!table && create->if_not_exists)
        return ERR_OK;
    return err_set(err, ERR_EXISTS, "AlreadyExistsException(message:%s %.*s.%.*s already exists%s)",
                   table ? "table" : "snapshot", SPAN_PRINTF(project->name),
                   SPAN_PRINTF(create->name.object),
                   table ? "" : "; CREATE OR REPLACE SNAPSHOT TABLE replaces it");
}

enum err_code statement_create_snapshot(const struct statement_call *call, struct answer *answer,
                                        struct err *err)
{
    (void)answer;
    const struct create_snapshot *create = &call->statement->create_snapshot;
    struct project_record project;
    struct lookup source;
    TRY(lookup_new(call, &create->name, &project, err));
    TRY(lookup_any(call, &create->source, ACTION_SELECT, &source, err));
    TRY(authorise_clone(call->principal, &source.project, &project, err));
    struct table_id replaces = {0};
    if (create->or_replace)
        TRY(lookup_replaced(call, &project, create->name.object, &replaces, err));
    if (source.kind != NAME_TABLE)
        return err_set(err, ERR_SEMANTIC, "%.*s is a snapshot; a snapshot is made of a table",
                       SPAN_PRINTF(create->source.object));
    TRY(lookup_has_rows(&source, "CREATE SNAPSHOT TABLE", err));
    TRY(lookup_not_transactional(
        &source, "CREATE SNAPSHOT TABLE",
        "CREATE TABLE ... AS SELECT copies its rows into one that can be frozen", err));
    struct snapshot_signer signer = signer_of(call);
    struct snapshot_spec spec = {
        .project = project.id,
        .name = create->name.object,
        .table = source.id,
        .or_replace = create->or_replace,
        .replaces = replaces,
        .region = span_text(call->services->region),
        .signer = &signer,
    };
    TRY(options_apply(&create->options, &spec, err));
    struct change_note note = statement_note(call);
    struct table_id id;
    struct err reason;
    enum err_code code = snapshot_create(call->services->store, &spec, &note, &id, &reason);
    if (code == ERR_EXISTS)
        return name_taken(call, &project, create, err);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

/* ---- ALTER SNAPSHOT TABLE ---- */

static enum err_code alter_options(const struct option_list *options,
                                   struct snapshot_change *change, struct err *err)
{
    const struct option *expiration = option_find(options, "expiration_timestamp");
    const struct option *description = option_find(options, "description");
    change->sets_expires = expiration != NULL;
    change->sets_description = description != NULL;
    if (expiration != NULL)
        TRY(snapshot_expiration_parse(expiration, &change->expires_ms, err));
    return description == NULL ? ERR_OK : description_parse(description, &change->description, err);
}

static enum err_code alter_parse(const struct alter_snapshot *alter,
                                 struct snapshot_change *ret_change, struct err *err)
{
    struct snapshot_change change = {.sets_hold = alter->kind != ALTER_SNAPSHOT_OPTIONS,
                                     .held = alter->kind == ALTER_SNAPSHOT_HOLD};
    if (!change.sets_hold)
        TRY(alter_options(&alter->options, &change, err));
    *ret_change = change;
    return ERR_OK;
}

/* What is so already is not done again: who holds it, and since when, stays. True: it was. */
static bool alter_is_done(const struct snapshot_record *snapshot,
                          const struct snapshot_change *change, struct answer *answer)
{
    if (!change->sets_hold || change->held != (snapshot->hold.by.len > 0))
        return false;
    if (change->held)
        answer_set_notice(answer, "%.*s is held by %.*s already", SPAN_PRINTF(snapshot->name),
                          SPAN_PRINTF(snapshot->hold.by));
    else
        answer_set_notice(answer, "%.*s is not held", SPAN_PRINTF(snapshot->name));
    return true;
}

enum err_code statement_alter_snapshot(const struct statement_call *call, struct answer *answer,
                                       struct err *err)
{
    const struct alter_snapshot *alter = &call->statement->alter_snapshot;
    struct lookup lookup;
    struct snapshot_change change;
    TRY(lookup_snapshot(call, &alter->name, ACTION_ALTER, &lookup, err));
    TRY(alter_parse(alter, &change, err));
    if (alter_is_done(&lookup.snapshot, &change, answer))
        return ERR_OK;
    struct change_note note = statement_note(call);
    TRY(snapshot_change(call->services->store, lookup.id, &change, &note, err));
    if (change.sets_hold && !change.held && lookup.snapshot.expires_ms != 0 &&
        lookup.snapshot.expires_ms <= statement_now_ms())
        answer_set_notice(
            answer,
            "%.*s has expired while it was held, and goes with the next expiry; ALTER "
            "SNAPSHOT TABLE %.*s SET OPTIONS(expiration_timestamp=NULL) keeps it",
            SPAN_PRINTF(lookup.name), SPAN_PRINTF(lookup.name));
    return ERR_OK;
}

/* ---- CREATE TABLE ... CLONE ---- */

enum err_code statement_restore_table(const struct statement_call *call, struct answer *answer,
                                      struct err *err)
{
    const struct restore_table *restore = &call->statement->restore_table;
    if (restore->as_of)
        return statement_recover_table(call, answer, err);
    struct new_table new;
    struct lookup source;
    TRY(new_table_look(call, &restore->name, restore->or_replace, restore->if_not_exists, &new,
                       err));
    TRY(lookup_any(call, &restore->source, ACTION_SELECT, &source, err));
    TRY(authorise_clone(call->principal, &source.project, &new.project, err));
    if (source.kind != NAME_SNAPSHOT)
        return err_set(err, ERR_SEMANTIC,
                       "%.*s is a table; CREATE TABLE ... CLONE takes a snapshot: use CLONE TABLE",
                       SPAN_PRINTF(restore->source.object));
    if (new.taken)
        return new_table_taken(&new, err);
    const struct table_spec spec = {
        .project = new.project.id, .name = restore->name.object, .replaces = new.replaces};
    struct change_note note = statement_note(call);
    struct table_id id;
    struct err reason;
    enum err_code code = table_clone(call->services->store, &spec, source.id, &note, &id, &reason);
    return new_table_result(&new, code, &reason, err);
}
