#include "node/sql/lexer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define TOKENS_MAX 64

struct tokens {
    struct token items[TOKENS_MAX];
    size_t count; /* without the end */
};

static struct arena test_arena;

static enum err_code lex(const char *text, struct tokens *tokens, struct err *err)
{
    struct lexer lexer;
    tokens->count = 0;
    TRY(lexer_init(&lexer, span_text(text), &test_arena, err));
    while (tokens->count < TOKENS_MAX) {
        struct token *token = &tokens->items[tokens->count];
        TRY(lexer_next(&lexer, token, err));
        if (token->kind == TOKEN_END)
            return ERR_OK;
        tokens->count++;
    }
    return err_set(err, ERR_LIMIT, "too many tokens for the test");
}

static struct tokens lex_good(const char *text)
{
    struct tokens tokens;
    struct err err = {0};
    if (lex(text, &tokens, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.message);
    return tokens;
}

static void token_is(const struct token *token, enum token_kind kind, const char *text)
{
    assert_int_equal(token->kind, kind);
    assert_int_equal(token->text.len, strlen(text));
    assert_memory_equal(token->text.data, text, strlen(text));
}

static void string_is(const char *sql, const char *value, size_t len)
{
    struct tokens tokens = lex_good(sql);
    assert_int_equal(tokens.count, 1);
    assert_int_equal(tokens.items[0].kind, TOKEN_STRING);
    assert_int_equal(tokens.items[0].text.len, len);
    assert_memory_equal(tokens.items[0].text.data, value, len);
}

static void error_is(const char *sql, const char *message)
{
    struct tokens tokens;
    struct err err = {0};
    assert_int_equal(lex(sql, &tokens, &err), ERR_PARSE);
    assert_string_equal(err.message, message);
}

static void test_keywords_are_found_in_any_case_and_nothing_else_is(void **state)
{
    (void)state;
    for (int i = 1; i < KEYWORD_COUNT; i++) {
        enum keyword keyword = (enum keyword)i;
        if (i > 1) /* the table is searched by halves */
            assert_true(strcmp(keyword_text((enum keyword)(i - 1)), keyword_text(keyword)) < 0);
        assert_int_equal(keyword_find(span_text(keyword_text(keyword))), keyword);
    }
    assert_int_equal(keyword_find(span_text("xCopy")), KEYWORD_XCOPY);
    assert_int_equal(keyword_find(span_text("SELEC")), KEYWORD_NONE);
    assert_int_equal(keyword_find(span_text("SELECTS")), KEYWORD_NONE);
    assert_int_equal(keyword_find(span_text("A")), KEYWORD_NONE);
    assert_int_equal(keyword_find(span_text("zz")), KEYWORD_NONE);
}

static void test_adjacent_strings_join_and_escapes_resolve(void **state)
{
    (void)state;
    string_is("'plain'", "plain", 5);
    string_is("\"say 'it'\"", "say 'it'", 8);
    string_is("'it' -- and\n \"s\" /* x */ 'ok'", "itsok", 5);
    string_is("'it''s'", "its", 3);
    string_is("'a\\'b\\\"c\\\\d\\n\\t\\;'", "a'b\"c\\d\n\t;", 10);
    string_is("'\\0\\101\\u00e9\\Z'", "\0A\xC3\xA9\x1A", 5);
    string_is("'100\\%\\_'", "100\\%\\_", 7);
    string_is("''", "", 0);
}

static void test_typographic_quotes_are_quotes(void **state)
{
    (void)state;
    string_is("\xE2\x80\x9D ap-southeast-1\xE2\x80\x9D", " ap-southeast-1", 15);
    string_is("\xE2\x80\x9Cx's\xE2\x80\x9D", "x's", 3);
    string_is("\xE2\x80\x98y\xE2\x80\x99", "y", 1);
    /* inside straight quotes they are text */
    string_is("'\xE2\x80\x9C'", "\xE2\x80\x9C", 3);
}

static void test_principals_are_one_token(void **state)
{
    (void)state;
    struct tokens tokens = lex_good("TO USER ALIYUN$destination_owner@aliyunid.com, ram$acc:u-1;");
    assert_int_equal(tokens.count, 5);
    token_is(&tokens.items[2], TOKEN_PRINCIPAL, "ALIYUN$destination_owner@aliyunid.com");
    token_is(&tokens.items[4], TOKEN_PRINCIPAL, "ram$acc:u-1");
}

static void test_numbers_keep_their_digits_and_say_their_suffix(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        const char *text;
        enum number_suffix suffix;
    } cases[] = {{"12", "12", NUMBER_PLAIN},
                 {"1L", "1", NUMBER_L},
                 {"1Y", "1", NUMBER_Y},
                 {"7s", "7", NUMBER_S},
                 {"299.00BD", "299.00", NUMBER_BD},
                 {"3.14F", "3.14", NUMBER_F},
                 {"1.5", "1.5", NUMBER_POINT},
                 {".5e-3", ".5e-3", NUMBER_POINT},
                 {"1e9", "1e9", NUMBER_POINT},
                 {"1.5L", "1.5L", NUMBER_BAD},
                 {"3f2a", "3f2a", NUMBER_BAD},
                 {"1e", "1e", NUMBER_BAD}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct tokens tokens = lex_good(cases[i].sql);
        assert_int_equal(tokens.count, 1);
        token_is(&tokens.items[0], TOKEN_NUMBER, cases[i].text);
        assert_int_equal(tokens.items[0].suffix, cases[i].suffix);
    }
}

static void test_comments_and_pasted_blanks_are_skipped(void **state)
{
    (void)state;
    struct tokens tokens =
        lex_good("\xEF\xBB\xBFSELECT\xC2\xA0/* a; 'b */ x -- rest\n\xE3\x80\x80-1--");
    assert_int_equal(tokens.count, 4);
    token_is(&tokens.items[1], TOKEN_WORD, "x");
    assert_int_equal(tokens.items[2].symbol, SYMBOL_MINUS);
}

static void test_places_are_lines_and_characters(void **state)
{
    (void)state;
    struct span text = span_text("a\n\xC3\xA9\xE4\xBD\xA0 b");
    struct position position = position_find(text, 8);
    assert_int_equal(position.line, 2);
    assert_int_equal(position.column, 4);
    error_is("x\n  'abc", "line 2, column 3: found a string without its closing quote");
    error_is("x /* y", "line 1, column 3: found a comment without its closing */");
    error_is("x # y", "line 1, column 3: found '#', expected a word, a number or a string");
    error_is("`x", "line 1, column 1: found a name without its closing back-quote");
    error_is("a_${v}", "line 1, column 3: found '$', expected a word (parameters such as "
                       "${name} are replaced only in schedules)");
}

static void test_scripts_split_at_semicolons_outside_strings_and_comments(void **state)
{
    (void)state;
    static const char script[] = " -- first; comment\nSELECT ';' , `;`;; /* ; */ SET a=b;\n"
                                 "SELECT \xE2\x80\x9C;\xE2\x80\x9D";
    static const char *const wanted[] = {"SELECT ';' , `;`", "SET a=b",
                                         "SELECT \xE2\x80\x9C;\xE2\x80\x9D"};
    struct splitter splitter = splitter_of(span_text(script));
    struct span statement;
    bool complete;
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
        assert_true(splitter_next(&splitter, &statement, &complete));
        assert_int_equal(statement.len, strlen(wanted[i]));
        assert_memory_equal(statement.data, wanted[i], statement.len);
        assert_int_equal(complete, i < 2);
    }
    assert_false(splitter_next(&splitter, &statement, &complete));
    assert_false(splitter_next(&splitter, &statement, &complete));
}

static void test_a_statement_open_inside_a_string_is_not_complete(void **state)
{
    (void)state;
    static const char *const scripts[] = {"SELECT 'a; b", "SELECT 1 /* ; ", "/* ; "};
    for (size_t i = 0; i < ARRAY_COUNT(scripts); i++) {
        struct splitter splitter = splitter_of(span_text(scripts[i]));
        struct span statement;
        bool complete = true;
        assert_true(splitter_next(&splitter, &statement, &complete));
        assert_false(complete);
        assert_false(splitter_next(&splitter, &statement, NULL));
    }
}

static void test_a_schedule_is_one_statement_with_all_between_begin_and_end(void **state)
{
    (void)state;
    static const char script[] =
        "SELECT 1 AS BEGIN; SELECT 2;\n"
        "create /* ; */ schedule s CRON '0 1 * * *' -- AS BEGIN;\n SET v='AS BEGIN;' AS\nbegin "
        "SELECT "
        "CASE 1 WHEN 1 THEN 2 END; /* END */ SELECT `END`; END_OF; END; SELECT 3;";
    static const char *const ends[] = {"AS BEGIN", "SELECT 2", "END_OF; END", "SELECT 3"};
    struct splitter splitter = splitter_of(span_text(script));
    struct span statement;
    bool complete;
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        assert_true(splitter_next(&splitter, &statement, &complete));
        assert_true(complete);
        size_t len = strlen(ends[i]);
        assert_true(statement.len >= len);
        assert_memory_equal(statement.data + statement.len - len, ends[i], len);
    }
    assert_false(splitter_next(&splitter, &statement, &complete));
}

static void test_a_schedule_without_its_end_is_not_complete(void **state)
{
    (void)state;
    static const char *const scripts[] = {"CREATE SCHEDULE s AS BEGIN SELECT 1; SELECT 2;",
                                          "CREATE SCHEDULE s AS BEGIN SELECT 1; END",
                                          "CREATE SCHEDULE s AS BEGIN SELECT 'END;"};
    for (size_t i = 0; i < ARRAY_COUNT(scripts); i++) {
        struct splitter splitter = splitter_of(span_text(scripts[i]));
        struct span statement;
        bool complete = true;
        assert_true(splitter_next(&splitter, &statement, &complete));
        assert_false(complete);
        assert_int_equal(statement.len, strlen(scripts[i]));
        assert_false(splitter_next(&splitter, &statement, NULL));
    }
}

static void test_text_that_is_not_utf8_is_refused(void **state)
{
    (void)state;
    error_is("SELECT '\xFF'", "the statement is not UTF-8");
}

static int setup(void **state)
{
    (void)state;
    arena_init(&test_arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&test_arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keywords_are_found_in_any_case_and_nothing_else_is),
        cmocka_unit_test(test_adjacent_strings_join_and_escapes_resolve),
        cmocka_unit_test(test_typographic_quotes_are_quotes),
        cmocka_unit_test(test_principals_are_one_token),
        cmocka_unit_test(test_numbers_keep_their_digits_and_say_their_suffix),
        cmocka_unit_test(test_comments_and_pasted_blanks_are_skipped),
        cmocka_unit_test(test_places_are_lines_and_characters),
        cmocka_unit_test(test_scripts_split_at_semicolons_outside_strings_and_comments),
        cmocka_unit_test(test_a_statement_open_inside_a_string_is_not_complete),
        cmocka_unit_test(test_a_schedule_is_one_statement_with_all_between_begin_and_end),
        cmocka_unit_test(test_a_schedule_without_its_end_is_not_complete),
        cmocka_unit_test(test_text_that_is_not_utf8_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
