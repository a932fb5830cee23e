#include "node/sql/function.h"

#include "node/sql/lexer.h"
#include "proto/limits.h"

static const struct function_table *const tables[] = {&function_text_table, &function_number_table,
                                                      &function_day_table, &function_hash_table,
                                                      &function_pattern_table};

const struct function *function_at(size_t i)
{
    for (size_t table = 0; table < ARRAY_COUNT(tables); table++) {
        if (i < tables[table]->count)
            return &tables[table]->rows[i];
        i -= tables[table]->count;
    }
    return NULL;
}

const struct function *function_find(struct span name, size_t arg_count)
{
    const struct function *function;
    for (size_t i = 0; (function = function_at(i)) != NULL; i++) {
        size_t min, max;
        if (!name_equal(name, span_text(function->name)))
            continue;
        function_arg_count(function->args, &min, &max);
        if (arg_count == FUNCTION_ARGS_ANY || (arg_count >= min && arg_count <= max))
            return function;
    }
    return NULL;
}

/* ---- rules of arguments ---- */

static const char *letters(const char *args)
{
    while (*args == '?' || *args == '=')
        args++;
    return args;
}

void function_arg_count(const char *args, size_t *ret_min, size_t *ret_max)
{
    size_t min = 0, max = 0;
    bool optional = false;
    for (const char *at = letters(args); *at != '\0'; at++) {
        if (*at == '*') {
            max = SIZE_MAX;
            break;
        }
        optional = optional || *at == '[';
        max += *at != '[' ? 1 : 0;
        min += optional ? 0 : 1;
    }
    *ret_min = min;
    *ret_max = max;
}

char function_arg_letter(const char *args, size_t i)
{
    char letter = 'a';
    for (const char *at = letters(args); *at != '\0' && *at != '*'; at++) {
        if (*at == '[')
            continue;
        letter = *at;
        if (i-- == 0)
            break;
    }
    return letter;
}

bool function_sees_nulls(const struct function *function)
{
    return function->args[0] == '?';
}

bool function_unifies(const struct function *function)
{
    return function->args[0] == '=' || (function->args[0] != '\0' && function->args[1] == '=');
}

/* ---- results ---- */

enum err_code function_text_new(const struct function_call *call, size_t len, uint8_t **ret_text,
                                struct err *err)
{
    if (len > LIMIT_CELL_BYTES)
        return err_set(err, ERR_LIMIT, "%s gives a text of %zu bytes, at most %zu are allowed",
                       call->node->function->name, len, LIMIT_CELL_BYTES);
    uint8_t *text = arena_alloc(call->scratch, 1, len + 1);
    if (text == NULL)
        return err_set(err, ERR_LIMIT, "a text needs too much memory");
    *ret_text = text;
    return ERR_OK;
}

enum err_code function_undefined(const struct function_call *call, struct value *ret_value,
                                 struct err *err, const char *format, ...)
{
    char what[ERR_MESSAGE_BYTES];
    if (call->node->lenient) {
        *ret_value = (struct value){.null = true};
        return ERR_OK;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return err_set(err, ERR_SEMANTIC, "%s: %s", call->node->function->name, what);
}

struct type function_first_type(const struct node *node)
{
    return node->args[0]->type;
}
