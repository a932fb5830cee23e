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
        if (form == NULL) {
            fail_msg("%s: no form", text);
            return; /* for who reads the code by machine */
        }
        snprintf(first, sizeof(first), "%.*s", (int)strcspn(text, " "), text);
        if (strstr(form, first) == NULL)
            fail_msg("%s: its form is \"%s\"", text, form);
    }
}

static void words_choose_forms(void **state)
{
    (void)state;
    static const struct {
        const char *words, *first;
        size_t count;
    } cases[] = {
        {"Create schedule ;\r\n", "  CREATE SCHEDULE ", 2},
        {"hold", "  ALTER SNAPSHOT TABLE s SET", 1},
        {"schedule nonsense", "", 0},
        {"  ", "  [WITH ...] SELECT", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *text = NULL;
        size_t text_len;
        FILE *out = open_memstream(&text, &text_len);
        size_t count = statement_help_print(out, span_text(cases[i].words));
        fclose(out);
        if (strncmp(text, cases[i].first, strlen(cases[i].first)) != 0 ||
            (cases[i].count != count && i + 1 < ARRAY_COUNT(cases)))
            fail_msg("%s: %zu: %s", cases[i].words, count, text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_statement_has_its_form),
                                       cmocka_unit_test(words_choose_forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
