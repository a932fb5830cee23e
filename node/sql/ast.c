#include "node/sql/ast.h"

#include "node/sql/lexer.h"

#define DATE_TEXT_BYTES     10 /* 2024-01-15 */
#define DATETIME_TEXT_BYTES 23 /* 2024-01-15 10:00:00.123 */

static const struct {
    const char *text;
    bool changes;
} kind_table[STATEMENT_KIND_COUNT] = {
#define X(kind, text, changes) [STATEMENT_##kind] = {text, changes},
    STATEMENT_KINDS(X)
#undef X
};

const char *statement_kind_text(enum statement_kind kind)
{
    ASSERT(kind < STATEMENT_KIND_COUNT);
    return kind_table[kind].text;
}

bool statement_changes(const struct statement *statement)
{
    ASSERT(statement->kind < STATEMENT_KIND_COUNT);
    return kind_table[statement->kind].changes;
}

const struct select *statement_written_query(const struct statement *statement)
{
    if (statement->kind == STATEMENT_INSERT)
        return statement->insert.query;
    return statement->kind == STATEMENT_CREATE_TABLE ? statement->create_table.query : NULL;
}

/* ---- options ---- */

const struct option *option_find(const struct option_list *options, const char *key)
{
    for (size_t i = 0; i < options->count; i++) {
        if (name_equal(options->items[i].key, span_text(key)))
            return &options->items[i];
    }
    return NULL;
}

enum err_code option_boolean(const struct option_list *options, const char *key, bool *ret_value,
                             struct err *err)
{
    const struct option *option = option_find(options, key);
    if (option == NULL)
        return ERR_OK;
    bool on = name_equal(option->value.text, span_text("true"));
    bool right_kind = option->value.kind == LITERAL_BOOLEAN || option->value.kind == LITERAL_STRING;
    if (!right_kind || (!on && !name_equal(option->value.text, span_text("false"))))
        return err_set(err, ERR_PARSE, "option %s: expected true or false", key);
    *ret_value = on;
    return ERR_OK;
}

/* ---- literals ---- */

static const char *const literal_names[] = {
    [LITERAL_NULL] = "NULL",           [LITERAL_BOOLEAN] = "boolean",
    [LITERAL_INTEGER] = "integer",     [LITERAL_BIGINT] = "BIGINT",
    [LITERAL_SMALL] = "SMALLINT",      [LITERAL_DECIMAL] = "DECIMAL",
    [LITERAL_DOUBLE] = "DOUBLE",       [LITERAL_STRING] = "string",
    [LITERAL_DATE] = "DATE",           [LITERAL_DATETIME] = "DATETIME",
    [LITERAL_TIMESTAMP] = "TIMESTAMP",
};

static bool literal_fits(enum literal_kind literal, enum type_kind type)
{
    if (literal == LITERAL_STRING || type == TYPE_STRING)
        return true;
    switch (type) {
    case TYPE_BIGINT:
    case TYPE_INT:
        return literal == LITERAL_INTEGER || literal == LITERAL_BIGINT || literal == LITERAL_SMALL;
    case TYPE_DOUBLE:
    case TYPE_DECIMAL:
        return literal >= LITERAL_INTEGER && literal <= LITERAL_DOUBLE;
    case TYPE_BOOLEAN:
        return literal == LITERAL_BOOLEAN;
    case TYPE_DATE:
        return literal == LITERAL_DATE;
    case TYPE_DATETIME:
        return literal >= LITERAL_DATE;
    case TYPE_STRING:
        break;
    }
    return false;
}

/* The text forms that value_parse does not know: a date alone is its midnight, zeros behind the
 * milliseconds say nothing. `buffer` holds what the result borrows. */
static struct span datetime_text(struct span text, char buffer[DATETIME_TEXT_BYTES + 1])
{
    if (text.len == DATE_TEXT_BYTES) {
        snprintf(buffer, DATETIME_TEXT_BYTES + 1, "%.*s 00:00:00", SPAN_PRINTF(text));
        return span_text(buffer);
    }
    while (text.len > DATETIME_TEXT_BYTES && text.data[text.len - 1] == '0')
        text.len--;
    return text;
}

enum err_code literal_value(const struct literal *literal, struct type type,
                            struct value *ret_value, struct err *err)
{
    if (literal->kind == LITERAL_NULL) {
        *ret_value = (struct value){.null = true};
        return ERR_OK;
    }
    if (!literal_fits(literal->kind, type.kind)) {
        char type_text[TYPE_TEXT_BYTES];
        return err_set(err, ERR_CAST, "the %s literal %.*s does not fit type %s",
                       literal_names[literal->kind],
                       literal->text.len < 40 ? (int)literal->text.len : 40,
                       (const char *)literal->text.data, type_format(type, type_text));
    }
    struct span text = literal->text;
    char buffer[DATETIME_TEXT_BYTES + 1];
    if (type.kind == TYPE_DATETIME)
        text = datetime_text(text, buffer);
    return value_parse(type, text, ret_value, err);
}
