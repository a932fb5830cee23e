#include "node/sql/parser_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct arena parser_trial_arena;

const struct statement *parse(const char *sql)
{
    struct statement *statement = NULL;
    struct err err = {0};
    if (statement_parse(span_text(sql), &parser_trial_arena, &statement, &err) != ERR_OK)
        fail_msg("%s: %s", sql, err.message);
    return statement;
}

void span_is(struct span span, const char *text)
{
    assert_int_equal(span.len, strlen(text));
    if (span.len > 0)
        assert_memory_equal(span.data, text, span.len);
}

void name_is(struct name name, const char *project, const char *object)
{
    span_is(name.project, project);
    span_is(name.object, object);
}

void error_is(const char *sql, enum err_code code, const char *message)
{
    struct statement *statement = NULL;
    struct err err = {0};
    assert_int_equal(statement_parse(span_text(sql), &parser_trial_arena, &statement, &err), code);
    assert_null(statement);
    assert_string_equal(err.message, message);
}
