/* The statements' help: what the grammar knows is there, under its own words. */
#include "node/client/statement_help.h"
#include "node/sql/ast.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void every_statement_has_its_form(void **state)
{
    (void)state;
    for (enum statement_kind kind = 0; kind < STATEMENT_KIND_COUNT; kind++) {
        const char *form = statement_help_form(kind);
        const char *text = statement_kind_text(kind);
        char first[32] = "";
        if (form == NULL)
            fail_msg("%s: no form", text);
        snprintf(first, sizeof(first), "%.*s", (int)strcspn(text, " "), text);
        if (strstr(form, first) == NULL)
            fail_msg("%s: its form is \"%s\"", text, form);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_statement_has_its_form)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
