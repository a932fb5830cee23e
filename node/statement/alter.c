/* ALTER TABLE: name, comment, lifecycle, TOUCH, a partition's name. TRUNCATE TABLE. Not here: ADD and
 * DROP PARTITION (partition.c).
 *
 * Each takes its turn among the table's writers, whether it is the record's alone or rewrites the
 * table's trees: a load that lost eight times against new comments would fail.
 */
#include "node/sql/lexer.h"
#include "node/statement/lookup.h"
#include "node/statement/partition.h"
#include "node/turn.h"
#include "store/table_alter.h"

/* ---- the record ---- */

static enum err_code record_alter(const struct statement_call *call, const struct lookup *lookup,
                                  const struct table_alteration *alteration, struct err *err)
{
    TABLE_TURN_CLEANUP struct table_id turn = {0};
    TRY(lookup_turn(call, lookup, ACTION_ALTER, &turn, err));
    struct change_note note = statement_note(call);
    return table_alter(call->services->store, lookup->id, alteration, &note, err);
}

static enum err_code new_name_check(const struct lookup *lookup, const struct name *name,
                                    struct err *err)
{
    TRY(lookup_name_check(name, err));
    if (name->project.len > 0 && !name_equal(name->project, lookup->project.name))
        return err_set(err, ERR_SEMANTIC,
                       "a table stays in its project %.*s: CLONE TABLE takes it to another",
                       SPAN_PRINTF(lookup->project.name));
    return ERR_OK;
}

static enum err_code alter_rename(const struct statement_call *call, const struct lookup *lookup,
                                  struct err *err)
{
    const struct name *name = &call->statement->alter_table.renamed;
    if (new_name_check(lookup, name, err) != ERR_OK) {
        struct position position = position_find(call->statement->text, name->at);
        return err_wrap(err, "line %u, column %u", position.line, position.column);
    }
    const struct table_alteration alteration = {.kind = TABLE_ALTER_NAME, .text = name->object};
    struct err reason;
    enum err_code code = record_alter(call, lookup, &alteration, &reason);
    if (code == ERR_EXISTS)
        return err_set(err, code,
                       "AlreadyExistsException(message:%s in project %.*s; choose another name, or "
                       "drop that first)",
                       reason.message, SPAN_PRINTF(lookup->project.name));
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

static enum err_code alter_comment(const struct statement_call *call, const struct lookup *lookup,
                                   struct err *err)
{
    const struct table_alteration alteration = {.kind = TABLE_ALTER_COMMENT,
                                                .text = call->statement->alter_table.comment};
    return record_alter(call, lookup, &alteration, err);
}

static enum err_code alter_lifecycle(const struct statement_call *call, const struct lookup *lookup,
                                     struct err *err)
{
    const struct table_alteration alteration = {
        .kind = TABLE_ALTER_LIFECYCLE,
        .lifecycle_days = (uint32_t)call->statement->alter_table.lifecycle_days};
    TRY(lookup_has_rows(lookup, "SET LIFECYCLE", err));
    return record_alter(call, lookup, &alteration, err);
}

/* ---- partitions ---- */

/* A change of a table's trees, made on the table as it is when its turn has come. */
struct alter_write {
    const struct statement_call *call;
    struct table_write *write;
    const struct schema *schema;
    struct change_note note;
};
typedef enum err_code alter_write_function(const struct alter_write *alter, struct err *err);

static enum err_code write_alter(const struct statement_call *call, const struct lookup *lookup,
                                 enum action action, alter_write_function *function,
                                 struct err *err)
{
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(content_open(call->services->store, lookup->project.owner, &content, err));
    TABLE_TURN_CLEANUP struct table_id turn = {0};
    TRY(lookup_turn(call, lookup, action, &turn, err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    TRY(table_begin(content, lookup->id, &write, err));
    const struct alter_write alter = {.call = call,
                                      .write = write,
                                      .schema = &table_write_version(write)->schema,
                                      .note = statement_note(call)};
    return function(&alter, err);
}

/* ERR_EXISTS and ERR_NOT_FOUND of a change name the partition. */
static enum err_code told_of(const struct alter_write *alter, const struct partition_list *list,
                             enum err_code code, const struct err *reason, struct err *err)
{
    if (code == ERR_EXISTS || code == ERR_NOT_FOUND)
        return partition_blame(alter->write, list, code, err);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason->message);
}

static enum err_code spec_key(const struct alter_write *alter, const struct partition_spec *spec,
                              struct span *ret_key, struct err *err)
{
    return partition_spec_place(alter->call, alter->schema, spec, ret_key, err);
}

static enum err_code touch_write(const struct alter_write *alter, struct err *err)
{
    const struct partition_spec *spec = &alter->call->statement->alter_table.partition;
    if (spec->count == 0)
        return table_touch(alter->write, &alter->note, err);
    struct span key;
    struct err reason;
    TRY(spec_key(alter, spec, &key, err));
    const struct partition_list list = {.keys = &key, .count = 1};
    enum err_code code = table_partition_touch(alter->write, key, &alter->note, &reason);
    return told_of(alter, &list, code, &reason, err);
}

static enum err_code alter_touch(const struct statement_call *call, const struct lookup *lookup,
                                 struct err *err)
{
    return write_alter(call, lookup, ACTION_ALTER, touch_write, err);
}

static enum err_code switch_write(const struct alter_write *alter, struct err *err)
{
    const struct alter_table *wanted = &alter->call->statement->alter_table;
    struct span key;
    struct err reason;
    TRY(spec_key(alter, &wanted->partition, &key, err));
    const struct partition_list list = {.keys = &key, .count = 1};
    enum err_code code =
        table_partition_lifecycle(alter->write, key, !wanted->on, &alter->note, &reason);
    return told_of(alter, &list, code, &reason, err);
}

static enum err_code alter_lifecycle_switch(const struct statement_call *call,
                                            const struct lookup *lookup, struct err *err)
{
    const struct alter_table *wanted = &call->statement->alter_table;
    TRY(lookup_has_rows(lookup, wanted->on ? "ENABLE LIFECYCLE" : "DISABLE LIFECYCLE", err));
    if (wanted->partition.count > 0)
        return write_alter(call, lookup, ACTION_ALTER, switch_write, err);
    const struct table_alteration alteration = {.kind = TABLE_ALTER_LIFECYCLE_SWITCH,
                                                .lifecycle_disabled = !wanted->on};
    return record_alter(call, lookup, &alteration, err);
}

static enum err_code rename_partition_write(const struct alter_write *alter, struct err *err)
{
    const struct alter_table *wanted = &alter->call->statement->alter_table;
    struct span from, to;
    struct err reason;
    TRY(spec_key(alter, &wanted->partition, &from, err));
    TRY(spec_key(alter, &wanted->renamed_partition, &to, err));
    enum err_code code = table_partition_rename(alter->write, from, to, &alter->note, &reason);
    const struct partition_list list = {.keys = code == ERR_EXISTS ? &to : &from, .count = 1};
    return told_of(alter, &list, code, &reason, err);
}

static enum err_code alter_rename_partition(const struct statement_call *call,
                                            const struct lookup *lookup, struct err *err)
{
    return write_alter(call, lookup, ACTION_ALTER, rename_partition_write, err);
}

/* ---- the statements ---- */

enum err_code statement_alter_table(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    static enum err_code (*const functions[])(const struct statement_call *call,
                                              const struct lookup *lookup, struct err *err) = {
        [ALTER_RENAME] = alter_rename,       [ALTER_COMMENT] = alter_comment,
        [ALTER_LIFECYCLE] = alter_lifecycle, [ALTER_LIFECYCLE_SWITCH] = alter_lifecycle_switch,
        [ALTER_TOUCH] = alter_touch,         [ALTER_RENAME_PARTITION] = alter_rename_partition,
    };
    (void)answer;
    const struct alter_table *alter = &call->statement->alter_table;
    struct lookup lookup;
    TRY(lookup_table(call, &alter->table, ACTION_ALTER, &lookup, err));
    return functions[alter->kind](call, &lookup, err);
}

static enum err_code truncate_write(const struct alter_write *alter, struct err *err)
{
    const struct partition_specs *specs = &alter->call->statement->truncate.partitions;
    if (specs->count == 0)
        return table_truncate(alter->write, NULL, &alter->note, err);
    struct partition_list list;
    struct err reason;
    TRY(partition_list_make(alter->call, alter->schema, specs, false, &list, err));
    enum err_code code = table_truncate(alter->write, &list, &alter->note, &reason);
    return told_of(alter, &list, code, &reason, err);
}

enum err_code statement_truncate_table(const struct statement_call *call, struct answer *answer,
                                       struct err *err)
{
    (void)answer;
    struct lookup lookup;
    TRY(lookup_table(call, &call->statement->truncate.table, ACTION_UPDATE, &lookup, err));
    TRY(lookup_has_rows(&lookup, "TRUNCATE TABLE", err));
    return write_alter(call, &lookup, ACTION_UPDATE, truncate_write, err);
}
