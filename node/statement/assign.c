#include "node/statement/assign.h"

#include "node/sql/evaluate.h"

static bool assignment_exists(enum type_kind from, enum type_kind to)
{
    bool whole = from == TYPE_BIGINT || from == TYPE_INT;
    if (from == to || from == TYPE_STRING || to == TYPE_STRING)
        return true;
    switch (to) {
    case TYPE_BIGINT:
    case TYPE_INT:
        return whole;
    case TYPE_DOUBLE:
        return whole || from == TYPE_DECIMAL;
    case TYPE_DECIMAL:
        return whole || from == TYPE_DOUBLE;
    case TYPE_DATETIME:
        return from == TYPE_DATE;
    case TYPE_BOOLEAN:
    case TYPE_DATE:
    case TYPE_STRING:
        break;
    }
    return false;
}

enum err_code assignment_check(const struct assignment *assignment, struct err *err)
{
    char from[TYPE_TEXT_BYTES], to[TYPE_TEXT_BYTES];
    if (assignment_exists(assignment->from.kind, assignment->to->type.kind))
        return ERR_OK;
    type_format(assignment->from, from);
    type_format(assignment->to->type, to);
    bool castable = cast_exists(assignment->from, assignment->to->type);
    return err_set(err, ERR_SEMANTIC, "column %.*s is %s, and SELECT gives %s%s%s%s",
                   SPAN_PRINTF(assignment->to->name), to, from,
                   castable ? ": write CAST(... AS " : "", castable ? to : "", castable ? ")" : "");
}

static enum err_code value_assign(const struct assignment *assignment, struct value value,
                                  struct arena *scratch, struct value *ret_value, struct err *err)
{
    bool text = assignment->from.kind == TYPE_STRING;
    if (text && assignment->mode == SELECT_MODE_LENIENT && !value.null)
        return text_cast_lenient(assignment->to->type, value.text, ret_value, err);
    return value_cast(assignment->from, assignment->to->type, value, scratch, ret_value, err);
}

enum err_code assignment_run(const struct assignment *assignment, const struct vector *from,
                             struct arena *scratch, struct vector *to, struct err *err)
{
    const struct column *column = assignment->to;
    if (type_equal(assignment->from, column->type)) {
        vector_append_range(to, from, 0, from->rows);
    } else {
        for (size_t row = 0; row < from->rows; row++) {
            struct value value;
            if (value_assign(assignment, vector_value(from, row), scratch, &value, err) != ERR_OK)
                return err_wrap(err, "column %.*s", SPAN_PRINTF(column->name));
            vector_append(to, value);
            if (scratch->used_bytes > 0)
                arena_reset(scratch);
        }
    }
    if (column->not_null && to->null_count > 0)
        return err_set(err, ERR_SEMANTIC, "column %.*s is NOT NULL, and SELECT gives NULL for it",
                       SPAN_PRINTF(column->name));
    return ERR_OK;
}
