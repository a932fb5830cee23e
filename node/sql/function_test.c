/* What functions, CASE and casts give: a table of statements without FROM. */
#include "node/sql/parser.h"
#include "node/sql/select.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/random_test.h"

#define NOW_MS INT64_C(1705312800123) /* 2024-01-15 10:00:00.123 */

struct constant {
    const char *expression;
    const char *wanted; /* NULL: it fails with `message` */
    const char *message;
};

/* Runs SELECT <expression>; gives its text, or the error's message in `text` too. */
static enum err_code constant_run(const char *expression, enum select_mode mode, struct bytes *text)
{
    BYTES_CLEANUP struct bytes sql = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 16 << 20);
    struct statement *statement;
    struct select_cursor *cursor;
    struct select_options options = {.mode = mode, .now_ms = NOW_MS};
    struct err err = {0};
    bool end;
    bytes_printf(&sql, "SELECT %s", expression);
    bytes_clear(text);
    enum err_code code = statement_parse(bytes_span(&sql), &arena, &statement, &err);
    if (code == ERR_OK)
        code = select_open(&statement->select, statement->text, &options, &cursor, &err);
    if (code == ERR_OK) {
        struct batch batch;
        select_batch_init(cursor, &batch);
        code = select_next(cursor, 1, &batch, &end, &err);
        if (code == ERR_OK) {
            assert_int_equal(batch.rows, 1);
            struct value value = vector_value(&batch.vectors[0], 0);
            bytes_append_text(text, value.null ? "NULL" : "");
            value_format(batch.vectors[0].type, value, text);
        }
        batch_deinit(&batch);
        select_close(cursor);
    }
    if (code != ERR_OK)
        bytes_append_text(text, err.message);
    bytes_append_u8(text, 0);
    return code;
}

static void constant_is(const struct constant *row, enum select_mode mode)
{
    BYTES_CLEANUP struct bytes text = {0};
    enum err_code code = constant_run(row->expression, mode, &text);
    const char *found = (const char *)text.data;
    if (row->wanted != NULL && (code != ERR_OK || strcmp(found, row->wanted) != 0))
        fail_msg("%s\ngave   %s\nwanted %s", row->expression, found, row->wanted);
    if (row->wanted == NULL &&
        (code == ERR_OK || code == ERR_INTERNAL || strstr(found, row->message) == NULL))
        fail_msg("%s\ngave   %s\nwanted the error %s", row->expression, found, row->message);
}

static void constants_are(const struct constant *rows, size_t count, enum select_mode mode)
{
    for (size_t i = 0; i < count; i++)
        constant_is(&rows[i], mode);
}

static const struct constant pattern_rows[] = {
    {"'abcd' RLIKE 'b.'", "true", NULL},
    {"'abcd' REGEXP '^b'", "false", NULL},
    {"'abcd' NOT RLIKE '^b'", "true", NULL},
    {"NOT 'abcd' RLIKE '^b'", "true", NULL},
    {"'' RLIKE ''", "true", NULL},
    {"'abcd' RLIKE NULL", "NULL", NULL},
    {"NULL NOT RLIKE 'a'", "NULL", NULL},
    {"123 RLIKE '2'", "true", NULL},
    {"'a\\nb' RLIKE 'a.b'", "false", NULL},
    {"'\xC3\xA9t\xC3\xA9' RLIKE '^.t.$'", "true", NULL},
    {"'x' RLIKE '('", NULL, "'(' is no regular expression: byte 1: missing closing parenthesis"},
    {"'x' RLIKE '\\\\C'", NULL, "is no regular expression"},
    {"true RLIKE 'x'", NULL, "needs a text"},
    {"'x' RLIKE REPEAT('a', 5000)", NULL, "has 5000 bytes, at most 4096"},
    {"'x' RLIKE REPEAT('(a)', 100)", NULL, "has 100 groups, at most 99"},
    {"'x' RLIKE '((((((a{900}){900}){900}){900}){900})'", NULL, "is no regular expression"},
    {"REPEAT('a', 40) || 'b' RLIKE '^(a+)+$'", NULL, "too many steps on this text"},
    {"REPEAT('a', 30000) RLIKE '^(a|a)*+$'", "true", NULL},
    {"REPEAT('(', 3000) || REPEAT(')', 3000) RLIKE '^(\\\\((?1)*\\\\))+$'", "true", NULL},
    {"REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)')", "the", NULL},
    {"REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 2)", "bar", NULL},
    {"REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 0)", "foothebar", NULL},
    {"REGEXP_EXTRACT('8d99d8', '8d(\\\\d+)d8')", "99", NULL},
    {"REGEXP_EXTRACT('foo', 'bar(x)')", "NULL", NULL},
    {"REGEXP_EXTRACT('foo', '(bar)|foo')", "", NULL},
    {"REGEXP_EXTRACT('foo', 'foo')", NULL, "there is no group 1: the pattern has 0"},
    {"REGEXP_EXTRACT('foo', '(f)', -1)", NULL, "there is no group -1"},
    {"REGEXP_REPLACE('a1b22', '[0-9]+', '#')", "a#b#", NULL},
    {"REGEXP_REPLACE('a1b22', '[0-9]', '#', 2)", "a1b#2", NULL},
    {"REGEXP_REPLACE('a1b22', '[0-9]', '#', 9)", "a1b22", NULL},
    {"REGEXP_REPLACE('a1b22', '[0-9]', '#', -1)", NULL, "occurrences count from 1"},
    {"REGEXP_REPLACE('123.456', '(\\\\d+)\\\\.(\\\\d+)', '\\\\2.\\\\1')", "456.123", NULL},
    {"REGEXP_REPLACE('ab', '(a)', '\\\\2')", NULL, "there is no group 2: the pattern has 1"},
    {"REGEXP_REPLACE('ab', '(a)', '\\\\\\\\<\\\\0>')", "\\<a>b", NULL},
    {"REGEXP_REPLACE('baac', 'a*', 'x')", "xbxxcx", NULL},
    {"REGEXP_REPLACE('\xC3\xA9t\xC3\xA9', '', '-')", "-\xC3\xA9-t-\xC3\xA9-", NULL},
    {"REGEXP_REPLACE('', 'x', 'y')", "", NULL},
    {"LENGTH(REGEXP_REPLACE(REPEAT('ab', 50000), 'b', ''))", "50000", NULL},
    {"REGEXP_REPLACE(REPEAT('a', 1000000), 'a', '123456789')", NULL, "at most"},
    {"REGEXP_REPLACE('a', 'b', NULL)", "NULL", NULL},
};

static const struct constant text_rows[] = {
    {"LENGTH('hi!')", "3", NULL},
    {"LENGTH('\xC3\xA9t\xC3\xA9')", "3", NULL},
    {"LENGTHB('\xC3\xA9t\xC3\xA9')", "5", NULL},
    {"LENGTH(123)", "3", NULL},
    {"CHAR_LENGTH('')", "0", NULL},
    {"SUBSTR('abc', 2)", "bc", NULL},
    {"SUBSTR('abc', 2, 1)", "b", NULL},
    {"SUBSTR('abc', -2)", "bc", NULL},
    {"SUBSTR('abc', -2, 1)", "b", NULL},
    {"SUBSTR('abc', 0)", "", NULL},
    {"SUBSTR('abc', -4)", "", NULL},
    {"SUBSTR('abc', 4)", "", NULL},
    {"SUBSTR('abc', 1, 0)", "", NULL},
    {"SUBSTR('abc', 1, -1)", "", NULL},
    {"SUBSTR('abc', -9223372036854775808, 9223372036854775807)", "", NULL},
    {"SUBSTRING('\xC3\xA9t\xC3\xA9', 2, 2)", "t\xC3\xA9", NULL},
    {"SUBSTR('abc', NULL)", "NULL", NULL},
    {"SUBSTR('abc', '2')", "bc", NULL},
    {"SUBSTR('abc', 1.5)", NULL, "SUBSTR: argument 2 needs a whole number, found DOUBLE"},
    {"SUBSTR('abc')", NULL, "SUBSTR takes 2 to 3 arguments, found 1"},
    {"LENGTH(TRUE)", NULL, "LENGTH: argument 1 needs a text, found BOOLEAN"},
    {"SPLIT_PART('a,b,c,d', ',', 1)", "a", NULL},
    {"SPLIT_PART('a,b,c,d', ',', 1, 2)", "a,b", NULL},
    {"SPLIT_PART('a,b,c,d', ',', 10)", "", NULL},
    {"SPLIT_PART('a,b,c,d', ':', 1)", "a,b,c,d", NULL},
    {"SPLIT_PART('a,b,c,d', ':', 2)", "", NULL},
    {"SPLIT_PART('a,b,c,d', '', 1)", "a,b,c,d", NULL},
    {"SPLIT_PART('a,b,c,d', ',', 3, 9)", "c,d", NULL},
    {"SPLIT_PART('a,', ',', 2)", "", NULL},
    {"SPLIT_PART('a,,b', ',', 2)", "", NULL},
    {"SPLIT_PART('a::b::c', '::', 2, 3)", "b::c", NULL},
    {"SPLIT_PART('a', ',', 0)", NULL, "SPLIT_PART: parts count from 1"},
    {"INSTR('Tech on the net', 'e')", "2", NULL},
    {"INSTR('Tech on the net', 'e', 1, 2)", "11", NULL},
    {"INSTR('Tech on the net', 'e', 1, 3)", "14", NULL},
    {"INSTR('Tech on the net', 'e', 1, 4)", "0", NULL},
    {"INSTR('Tech on the net', 'e', 3)", "11", NULL},
    {"INSTR('abc', '')", "1", NULL},
    {"INSTR('\xC3\xA9t\xC3\xA9', '\xC3\xA9', 2)", "3", NULL},
    {"INSTR('abc', 'a', 99)", "0", NULL},
    {"INSTR('abc', 'a', 0)", NULL, "INSTR: the place and the occurrence count from 1"},
    {"LOCATE('e', 'Tech on the net')", "2", NULL},
    {"LOCATE('e', 'Tech on the net', 3)", "11", NULL},
    {"STARTS_WITH('abc', 'ab')", "true", NULL},
    {"ENDS_WITH('abc', 'bc')", "true", NULL},
    {"ENDS_WITH('abc', 'abcd')", "false", NULL},
    {"FIND_IN_SET('ab', 'abc,hello,ab,c')", "3", NULL},
    {"FIND_IN_SET('hi', 'abc,hello,ab,c')", "0", NULL},
    {"FIND_IN_SET('', 'a,')", "2", NULL},
    {"CONCAT('aabc','abcde')", "aabcabcde", NULL},
    {"CONCAT('aabc','abcde',NULL)", "NULL", NULL},
    {"CONCAT(1, 2.5, 3BD, DATE '2024-01-15')", "12.532024-01-15", NULL},
    {"CONCAT_WS(':','name','hanmeimei')", "name:hanmeimei", NULL},
    {"CONCAT_WS(':','avg',NULL,'34')", "NULL", NULL},
    {"CONCAT_WS(NULL,'a','b')", "NULL", NULL},
    {"CONCAT_WS('|', 'one')", "one", NULL},
    {"CONCAT_WS('|', TRUE)", NULL, "CONCAT_WS: argument 2 needs a text, found BOOLEAN"},
    {"CONCAT_WS('|')", NULL, "CONCAT_WS takes 2 or more arguments, found 1"},
    {"REPEAT('abc', 5)", "abcabcabcabcabc", NULL},
    {"REPEAT('abc', 0)", "", NULL},
    {"REPEAT('abc', 9223372036854775807)", NULL, "at most 8388608 are allowed"},
    {"LENGTH(SPACE(10))", "10", NULL},
    {"LPAD('abcdefgh', 10, '12')", "12abcdefgh", NULL},
    {"LPAD('abcdefgh', 5, '12')", "abcde", NULL},
    {"LPAD('abcdefgh', 0, '12')", "", NULL},
    {"RPAD('abcdefgh', 10, '12')", "abcdefgh12", NULL},
    {"RPAD('ab', 5, '\xC3\xA9-')", "ab\xC3\xA9-\xC3\xA9", NULL},
    {"LPAD('a', -1, 'x')", NULL, "LPAD: a length of -1"},
    {"LPAD('a', 2, '')", NULL, "LPAD: the text to fill with is empty"},
    {"LPAD('a', 9223372036854775807, 'xyz')", NULL, "at most 8388608 are allowed"},
    {"REPLACE('ababab','abab','12')", "12ab", NULL},
    {"REPLACE('abab','c','12')", "abab", NULL},
    {"REPLACE('abc','','12')", "abc", NULL},
    {"REPLACE('a.b.c','.','')", "abc", NULL},
    {"REPLACE('abc', NULL, 'x')", "NULL", NULL},
    {"REVERSE('abcedfg')", "gfdecba", NULL},
    {"REVERSE('a\xC3\xA9')",
     "\xC3\xA9"
     "a",
     NULL},
    {"TOUPPER('aBcd')", "ABCD", NULL},
    {"UPPER('\xC3\xA9t\xC3\xA9')", "\xC3\x89T\xC3\x89", NULL},
    {"LOWER('aBcd')", "abcd", NULL},
    {"TOLOWER('\xC3\x89')", "\xC3\xA9", NULL},
    {"INITCAP('oDps sQL')", "Odps Sql", NULL},
    {"CONCAT('[', TRIM('  yxTxyomxx '), ']')", "[yxTxyomxx]", NULL},
    {"TRIM('yxTxyomxx', 'xyz')", "Txyom", NULL},
    {"LTRIM('yxTxyomxx', 'xyz')", "Txyomxx", NULL},
    {"RTRIM('yxTxyomxx', 'xyz')", "yxTxyom", NULL},
    {"TRIM('\xC3\xA9"
     "a\xC3\xA9', '\xC3\xA9')",
     "a", NULL},
    {"TRIM('   ')", "", NULL},
    {"TRANSLATE('ababc', 'bc', 'xy')", "axaxy", NULL},
    {"TRANSLATE('ababc', 'bc', 'x')", "axax", NULL},
    {"TRIM('a', REPEAT('b', 1024))", "a", NULL},
    {"TRIM('a', REPEAT('b', 1025))", NULL, "TRIM: argument 2 has 1025 bytes, at most 1024"},
    {"TRANSLATE('a', REPEAT('b', 1025), '')", NULL, "TRANSLATE: argument 2 has 1025 bytes"},
    {"TRANSLATE('a', 'b', REPEAT('b', 1025))", NULL, "TRANSLATE: argument 3 has 1025 bytes"},
    {"INSTR('a', REPEAT('b', 1025))", "0", NULL},
    {"INSTR('a', REPEAT('b', 1025), 1, 2)", NULL, "INSTR: argument 2 has 1025 bytes"},
    {"INSTR('aaaa', 'aa', 1, 3)", "3", NULL},
    {"INSTR('\xC3\xA9t', '', 1, 3)", "3", NULL},
    {"TO_CHAR(123)", "123", NULL},
    {"TO_CHAR(TRUE)", "true", NULL},
    {"TO_CHAR(1.23BD)", "1.23", NULL},
};

static void test_text_functions_give_what_is_documented(void **state)
{
    (void)state;
    constants_are(text_rows, ARRAY_COUNT(text_rows), SELECT_MODE_DEFAULT);
}

static void test_regular_expressions_fit_take_and_replace(void **state)
{
    (void)state;
    constants_are(pattern_rows, ARRAY_COUNT(pattern_rows), SELECT_MODE_DEFAULT);
}

static void test_digests_are_the_documented_ones(void **state)
{
    (void)state;
    static const struct constant rows[] = {
        {"MD5('Tech on the net')", "ddc4c4796880633333d77a60fcda9af6", NULL},
        {"MD5('')", "d41d8cd98f00b204e9800998ecf8427e", NULL},
        {"MD5(NULL)", "NULL", NULL},
        {"MD5(1.5) = MD5('1.5')", "true", NULL},
        {"MD5(1.5)", "6008647277c4454cecd97d33c069f0ca", NULL},
        {"MD5(TRUE)", NULL, "MD5: argument 1 needs a text, found BOOLEAN"},
        {"SHA1('ABC')", "3c01bdbb26f358bab27f267924aa2c9a03fcfdb8", NULL},
        {"SHA('ABC') = SHA1('ABC')", "true", NULL},
        {"SHA2('ABC', 256)", "b5d4045c3f466fa91fe2cc6abe79232a1a57cdf104f7a26e716e0a1e2789df78",
         NULL},
        {"SHA2('ABC', 0) = SHA2('ABC', 256)", "true", NULL},
        {"LENGTH(SHA2('x', 224)) + LENGTH(SHA2('x', 384)) + LENGTH(SHA2('x', 512))", "280", NULL},
        {"SHA2('x', 1)", NULL, "SHA2: there are 224, 256, 384 and 512 bits, no 1"},
        {"CRC32('ABC')", "2743272264", NULL},
        {"CRC32('')", "0", NULL},
        {"HASH(0,2,4)", "66", NULL},
        {"HASH(0,'a')", "97", NULL},
        {"HASH(0,NULL)", "0", NULL},
        {"HASH(0,'')", "0", NULL},
        {"HASH('ab')", "3105", NULL},
        {"HASH(7)", "7", NULL},
        {"HASH(TRUE)", "1", NULL},
        {"HASH(9223372036854775807, 1)", "9223372036854775778", NULL},
        {"HASH(0.0) = HASH(-0.0)", "true", NULL},
    };
    constants_are(rows, ARRAY_COUNT(rows), SELECT_MODE_DEFAULT);
}

static const struct constant number_rows[] = {
    {"ABS(-1)", "1", NULL},
    {"ABS(-2147483648)", "2147483648", NULL},
    {"ABS(-1.2)", "1.2", NULL},
    {"ABS(-1.20BD)", "1.20", NULL},
    {"ABS('-2')", "2", NULL},
    {"ABS(-9223372036854775808)", NULL, "ABS: a result does not fit BIGINT"},
    {"ABS(DATE '2024-01-01')", NULL, "ABS: argument 1 needs a number, found DATE"},
    {"SIGN(-2.5)", "-1", NULL},
    {"SIGN(2.5BD)", "1", NULL},
    {"SIGN(0)", "0", NULL},
    {"CEIL(1.1)", "2", NULL},
    {"CEIL(-1.1)", "-1", NULL},
    {"CEIL(1.1BD)", "2", NULL},
    {"CEIL(-1.1BD)", "-1", NULL},
    {"FLOOR(1.2)", "1", NULL},
    {"FLOOR(-1.2BD)", "-2", NULL},
    {"FLOOR(1e19)", NULL, "FLOOR: a result does not fit BIGINT"},
    {"CEIL(CAST('NaN' AS DOUBLE))", NULL, "CEIL: a result does not fit BIGINT"},
    {"ROUND(125.315)", "125", NULL},
    {"ROUND(125.315, 0)", "125", NULL},
    {"ROUND(125.315, 1)", "125.3", NULL},
    {"ROUND(125.315, 2)", "125.32", NULL},
    {"ROUND(125.315, 3)", "125.315", NULL},
    {"ROUND(-125.315, 2)", "-125.32", NULL},
    {"ROUND(123.345, -2)", "100", NULL},
    {"ROUND(NULL)", "NULL", NULL},
    {"ROUND(123.345, 4)", "123.345", NULL},
    {"ROUND(123.345, -4)", "0", NULL},
    {"ROUND(1e300, -299)", "1e+300", NULL},
    {"ROUND(2.5)", "3", NULL},
    {"ROUND(3.5)", "4", NULL},
    {"ROUND(125.315BD, 2)", "125.32", NULL},
    {"ROUND(-125.315BD, 2)", "-125.32", NULL},
    {"ROUND(125.5BD)", "126", NULL},
    {"ROUND(9.99BD, 1)", "10.0", NULL},
    {"ROUND(155.5BD, -2)", "200", NULL},
    {"ROUND(99999999999999999999999999999999999999BD, -1)", NULL,
     "ROUND: a result does not fit DECIMAL(38,0)"},
    {"ROUND(15, -1)", "20", NULL},
    {"ROUND(-15, -1)", "-20", NULL},
    {"ROUND(14, -1)", "10", NULL},
    {"ROUND(9223372036854775807, -1)", NULL, "ROUND: a result does not fit BIGINT"},
    {"ROUND(9223372036854775807, 5)", "9223372036854775807", NULL},
    {"TRUNC(125.815)", "125", NULL},
    {"TRUNC(125.815, 2)", "125.81", NULL},
    {"TRUNC(-125.815, 2)", "-125.81", NULL},
    {"TRUNC(125.815, -1)", "120", NULL},
    {"TRUNC(125.815BD, 1)", "125.8", NULL},
    {"TRUNC(19, -1)", "10", NULL},
    {"7 DIV 2", "3", NULL},
    {"-7 DIV 2", "-3", NULL},
    {"7 DIV 0", "NULL", NULL},
    {"1 + 7 DIV 2 * 2", "7", NULL},
    {"-9223372036854775808 DIV -1", NULL, "DIV: a result does not fit BIGINT"},
    {"MOD(7, 3)", "1", NULL},
    {"MOD(-7.5BD, 2BD)", "-1.5", NULL},
    {"MOD(7, 0)", "NULL", NULL},
    {"FACTORIAL(5)", "120", NULL},
    {"FACTORIAL(20)", "2432902008176640000", NULL},
    {"FACTORIAL(21)", NULL, "FACTORIAL: it takes 0 to 20"},
    {"POW(2, 4)", "16", NULL},
    {"POWER(2, 0.5) = SQRT(2)", "true", NULL},
    {"POW(10, 400)", NULL, "POW: of 10 and 400 it has no value"},
    {"SQRT(16)", "4", NULL},
    {"SQRT(-1)", NULL, "SQRT: of -1 it has no value"},
    {"CBRT(8)", "2", NULL},
    {"EXP(0)", "1", NULL},
    {"EXP(1000)", NULL, "EXP: of 1000 it has no value"},
    {"LN(E())", "1", NULL},
    {"LN(0)", NULL, "LN: of 0 it has no value"},
    {"LOG(2, 8)", "3", NULL},
    {"LOG(10, 1000)", "3", NULL},
    {"LOG(1, 8)", NULL, "LOG: of 1 and 8 it has no value"},
    {"LOG2(8)", "3", NULL},
    {"LOG10(100)", "2", NULL},
    {"SIN(0)", "0", NULL},
    {"COS(0)", "1", NULL},
    {"COT(0)", NULL, "COT: of 0 it has no value"},
    {"ASIN(2)", NULL, "ASIN: of 2 it has no value"},
    {"ACOS(1)", "0", NULL},
    {"ATAN2(0, 1)", "0", NULL},
    {"DEGREES(PI())", "180", NULL},
    {"RADIANS(180) = PI()", "true", NULL},
    {"ISNAN(CAST('NaN' AS DOUBLE))", "true", NULL},
    {"SQRT(CAST('Infinity' AS DOUBLE))", "Infinity", NULL},
};

static void test_number_functions_are_exact_or_fail(void **state)
{
    (void)state;
    constants_are(number_rows, ARRAY_COUNT(number_rows), SELECT_MODE_DEFAULT);
}

static const struct constant choice_rows[] = {
    {"CASE WHEN 1=2 THEN 'a' WHEN 1=1 THEN 'b' ELSE 'c' END", "b", NULL},
    {"CASE 2 WHEN 1 THEN 'a' WHEN 2 THEN 'b' END", "b", NULL},
    {"CASE 3 WHEN 1 THEN 'a' WHEN 2 THEN 'b' END", "NULL", NULL},
    {"CASE NULL WHEN NULL THEN 'a' ELSE 'b' END", "b", NULL},
    {"CASE WHEN NULL THEN 'a' ELSE 'b' END", "b", NULL},
    {"CASE 'b' WHEN 'a' THEN 1 ELSE 2.5 END", "2.5", NULL},
    {"CASE WHEN TRUE THEN 1 ELSE 'x' END", "1", NULL},
    {"CASE WHEN FALSE THEN 1 ELSE 'x' END", "x", NULL},
    {"CASE WHEN TRUE THEN 1 ELSE 2.50BD END", "1.00", NULL},
    {"CASE WHEN TRUE THEN DATE '2024-01-15' ELSE DATETIME '2024-01-15 01:00:00' END",
     "2024-01-15 00:00:00", NULL},
    {"CASE WHEN TRUE THEN 0 ELSE 9223372036854775807 + 1 END", "0", NULL},
    {"CASE WHEN FALSE THEN 0 ELSE 9223372036854775807 + 1 END", NULL,
     "a result does not fit BIGINT"},
    {"CASE WHEN TRUE THEN 0 ELSE CAST('x' AS BIGINT) END", "0", NULL},
    {"CASE 1 WHEN 1 THEN 'y' WHEN CAST('x' AS BIGINT) THEN 'n' END", "y", NULL},
    {"CASE WHEN TRUE THEN 1 ELSE TRUE END", NULL,
     "the results of CASE have no common type: INT and BOOLEAN"},
    {"CASE WHEN 1 THEN 1 END", NULL, "CASE needs a BOOLEAN, found INT"},
    {"CASE END", NULL, "expected"},
    {"CASE WHEN TRUE THEN 1", NULL, "expected WHEN, ELSE or END"},
    {"IF(1=1, 'yes', 'no')", "yes", NULL},
    {"IF(NULL, 'yes', 'no')", "no", NULL},
    {"IF(TRUE, 1, LN(0))", "1", NULL},
    {"IF(TRUE, 1)", NULL, "IF takes 3 arguments, found 2"},
    {"COALESCE(NULL, NULL, 3, 4)", "3", NULL},
    {"COALESCE(NULL)", "NULL", NULL},
    {"COALESCE(1, LN(0))", "1", NULL},
    {"NVL(NULL, 'x')", "x", NULL},
    {"IFNULL(1, 2)", "1", NULL},
    {"NULLIF(1, 1)", "NULL", NULL},
    {"NULLIF(1, 2)", "1", NULL},
    {"NULLIF(NULL, 2)", "NULL", NULL},
    {"NULLIF('a', NULL)", "a", NULL},
    {"GREATEST(2.5, 5, 3.14BD, '9.9')", "9.9", NULL},
    {"GREATEST(DATETIME '2025-10-01 12:00:00', NULL)", "2025-10-01 12:00:00", NULL},
    {"GREATEST(DATE '2025-10-01', DATE '2025-10-03', DATE '2026-01-01')", "2026-01-01", NULL},
    {"GREATEST(1, 9223372036854775807)", "9223372036854775807", NULL},
    {"LEAST(3, 1, 2)", "1", NULL},
    {"LEAST(3, NULL)", "NULL", NULL},
    {"1 <=> NULL", "false", NULL},
    {"NULL <=> NULL", "true", NULL},
    {"1 <=> 1.0", "true", NULL},
    {"1 IS DISTINCT FROM NULL", "true", NULL},
    {"NULL IS NOT DISTINCT FROM NULL", "true", NULL},
    {"(1 > NULL) IS TRUE", "false", NULL},
    {"(1 > NULL) IS NOT TRUE", "true", NULL},
    {"(1 > 2) IS FALSE", "true", NULL},
    {"1 IS TRUE", NULL, "cannot be compared"},
    {"1 IS 2", NULL, "expected NULL, TRUE, FALSE or DISTINCT FROM"},
    {"COALESCE()", NULL, "COALESCE takes 1 or more arguments, found 0"},
    {"LENGTH(DISTINCT 'a')", NULL, "LENGTH is no aggregate"},
    {"LENGHT('a')", NULL, "there is no function LENGHT, did you mean LENGTH?"},
};

static void test_choices_compute_only_what_they_give(void **state)
{
    (void)state;
    constants_are(choice_rows, ARRAY_COUNT(choice_rows), SELECT_MODE_DEFAULT);
}

static const struct constant day_rows[] = {
    {"DATEADD(DATE '2005-02-28', 1, 'dd')", "2005-03-01", NULL},
    {"DATEADD(DATETIME '2005-02-28 00:00:00', -1, 'dd')", "2005-02-27 00:00:00", NULL},
    {"DATEADD(DATETIME '2005-02-28 00:00:00', 20, 'mm')", "2006-10-28 00:00:00", NULL},
    {"DATEADD(DATETIME '2005-03-30 00:00:00', -1, 'mm')", "2005-02-28 00:00:00", NULL},
    {"DATEADD('2005-02-18 00:00:00', 1, 'mm')", "2005-03-18 00:00:00", NULL},
    {"DATEADD(DATE '2024-02-29', 1, 'year')", "2025-02-28", NULL},
    {"DATEADD(DATE '2024-01-31', 1, 'q')", "2024-04-30", NULL},
    {"DATEADD(DATE '2024-01-31', 1, 'week')", "2024-02-07", NULL},
    {"DATEADD(DATETIME '2024-01-31 23:59:59.999', 1, 'ff3')", "2024-02-01 00:00:00", NULL},
    {"DATEADD(DATETIME '2024-01-31 23:00:00', 1, 'hour')", "2024-02-01 00:00:00", NULL},
    {"DATEADD(DATE '2024-01-31', 1, 'hour')", NULL, "DATEADD: a DATE has no hour"},
    {"DATEADD(DATE '2024-01-31', 1, 'fortnight')", NULL, "there is no unit 'fortnight'"},
    {"DATEADD(DATE '9999-12-31', 1, 'dd')", NULL, "years go from 0000 to 9999"},
    {"DATEADD(DATE '0000-01-01', -1, 'mm')", NULL, "years go from 0000 to 9999"},
    {"DATEADD(DATE '2024-01-31', 9223372036854775807, 'yyyy')", NULL, "years go from"},
    {"DATEADD(NULL, 1, 'dd')", "NULL", NULL},
    {"DATEADD(DATE '2024-01-31', NULL, 'dd')", "NULL", NULL},
    {"DATEADD(DATE '2024-01-31', 1, NULL)", "NULL", NULL},
    {"DATEDIFF('2006-01-01 00:00:00', '2005-12-31 23:59:59', 'dd')", "1", NULL},
    {"DATEDIFF('2006-01-01 00:00:00', '2005-12-31 23:59:59', 'mm')", "1", NULL},
    {"DATEDIFF('2006-01-01 00:00:00', '2005-12-31 23:59:59', 'yyyy')", "1", NULL},
    {"DATEDIFF('2006-01-01 00:00:00', '2005-12-31 23:59:59', 'hh')", "1", NULL},
    {"DATEDIFF('2006-01-01 00:00:00', '2005-12-31 23:59:59', 'ss')", "1", NULL},
    {"DATEDIFF('2013-05-31 13:00:00', '2013-05-31 12:30:00', 'ss')", "1800", NULL},
    {"DATEDIFF('2013-05-31 13:00:00', '2013-05-31 12:30:00', 'mi')", "30", NULL},
    {"DATEDIFF('2013-05-31', '2013-06-01')", "-1", NULL},
    {"DATETRUNC('2011-12-07 16:28:46', 'yyyy')", "2011-01-01 00:00:00", NULL},
    {"DATETRUNC('2011-12-07 16:28:46', 'q')", "2011-10-01 00:00:00", NULL},
    {"DATETRUNC('2011-12-07 16:28:46', 'month')", "2011-12-01 00:00:00", NULL},
    {"DATETRUNC('2011-12-07 16:28:46', 'week')", "2011-12-05 00:00:00", NULL},
    {"DATETRUNC('1969-12-31 16:28:46', 'dd')", "1969-12-31 00:00:00", NULL},
    {"DATETRUNC('2011-12-07 16:28:46', 'mi')", "2011-12-07 16:28:00", NULL},
    {"DATETRUNC(DATE '2011-12-07', 'mm')", "2011-12-01", NULL},
    {"DATEPART('2013-06-08 01:10:00', 'yyyy')", "2013", NULL},
    {"DATEPART('2013-06-08 01:10:00', 'mm')", "6", NULL},
    {"EXTRACT(YEAR FROM DATE '2013-06-08')", "2013", NULL},
    {"EXTRACT(MINUTE FROM DATETIME '2013-06-08 01:10:00')", "10", NULL},
    {"YEAR('1970-01-01 12:30:00')", "1970", NULL},
    {"MONTH('2014-09-01')", "9", NULL},
    {"DAY('1969-12-31')", "31", NULL},
    {"HOUR('2014-09-01 12:00:00')", "12", NULL},
    {"MINUTE('1969-12-31 23:59:58')", "59", NULL},
    {"SECOND('1969-12-31 23:59:58.5')", "58", NULL},
    {"QUARTER('1970-11-12')", "4", NULL},
    {"WEEKDAY(DATE '2024-01-15')", "0", NULL},
    {"WEEKDAY(DATE '1969-12-28')", "6", NULL},
    {"DAYOFWEEK(DATE '2024-01-14')", "1", NULL},
    {"DAYOFYEAR(DATE '2024-12-31')", "366", NULL},
    {"WEEKOFYEAR('2014-12-29')", "1", NULL},
    {"WEEKOFYEAR('2021-01-03')", "53", NULL},
    {"DATE_ADD('2005-02-28', 1)", "2005-03-01", NULL},
    {"DATE_SUB('2005-03-01', 1)", "2005-02-28", NULL},
    {"DATE_SUB('2005-03-01', -9223372036854775808)", NULL, "years go from"},
    {"ADD_MONTHS('2017-02-14', 3)", "2017-05-14", NULL},
    {"ADD_MONTHS(DATE '2017-12-31', -10)", "2017-02-28", NULL},
    {"LAST_DAY('2017-03-04')", "2017-03-31", NULL},
    {"LAST_DAY(DATE '9999-12-01')", "9999-12-31", NULL},
    {"LASTDAY(DATE '2024-02-04')", "2024-02-29 00:00:00", NULL},
    {"UNIX_TIMESTAMP(DATETIME '2009-03-20 11:11:00')", "1237547460", NULL},
    {"UNIX_TIMESTAMP(DATETIME '1969-12-31 23:59:59.5')", "-1", NULL},
    {"FROM_UNIXTIME(123456789)", "1973-11-29 21:33:09", NULL},
    {"FROM_UNIXTIME(9223372036854775807)", NULL, "years go from"},
    {"TO_DATE('2010/09*03', 'yyyy/mm*dd')", "2010-09-03 00:00:00", NULL},
    {"TO_DATE('20080718', 'yyyymmdd')", "2008-07-18 00:00:00", NULL},
    {"TO_DATE('200807182030', 'yyyymmddhhmi')", "2008-07-18 20:30:00", NULL},
    {"TO_DATE('2010-24-01', 'yyyy-mm-dd')", NULL, "TO_DATE: '2010-24-01' is not of the form"},
    {"TO_DATE('2023-02-29', 'yyyy-mm-dd')", NULL, "TO_DATE: '2023-02-29' is not of the form"},
    {"TO_DATE('2018 12', 'yyyy mm dd')", NULL, "is not of the form"},
    {"TO_DATE('2018-12-31x', 'yyyy-mm-dd')", NULL, "is not of the form"},
    {"TO_DATE('2009-07-30 04:17:52')", "2009-07-30", NULL},
    {"TO_DATE(DATETIME '2009-07-30 04:17:52')", "2009-07-30", NULL},
    {"ISDATE('2021-10-11', 'yyyy-mm-dd')", "true", NULL},
    {"ISDATE('2021-13-11', 'yyyy-mm-dd')", "false", NULL},
    {"TO_CHAR(DATETIME '2010-12-03 00:00:00', '\xE9\x98\xBFyyyy-mm*dd')",
     "\xE9\x98\xBF"
     "2010-12*03",
     NULL},
    {"TO_CHAR(DATETIME '2008-07-18 20:30:05.007', 'yyyymmddhhmiss.ff3')", "20080718203005.007",
     NULL},
    {"GETDATE()", "2024-01-15 10:00:00.123", NULL},
    {"NOW() = GETDATE() AND CURRENT_TIMESTAMP() = NOW()", "true", NULL},
    {"CURRENT_DATE()", "2024-01-15", NULL},
    {"UNIX_TIMESTAMP()", "1705312800", NULL},
    {"NOW(1)", NULL, "NOW takes 0 arguments, found 1"},
    {"YEAR(1)", NULL, "YEAR: argument 1 needs a DATE or DATETIME, found INT"},
    {"YEAR('yesterday')", NULL, "'yesterday' is not a valid DATETIME"},
    {"DATE '2023-02-29'", NULL, "is not a valid DATE"},
};

static void test_days_move_and_measure(void **state)
{
    (void)state;
    constants_are(day_rows, ARRAY_COUNT(day_rows), SELECT_MODE_DEFAULT);
}

static void test_casts_are_as_strict_as_the_setting(void **state)
{
    (void)state;
    static const struct constant strict[] = {
        {"CAST('123abc' AS BIGINT)", NULL, "'123abc' is not a valid BIGINT"},
        {"CAST('' AS DOUBLE)", NULL, "'' is not a valid DOUBLE"},
        {"CAST('1e3' AS BIGINT)", "1000", NULL},
        {"'12x' + 1", NULL, "'12x' is not a valid DOUBLE"},
        {"'12' + 1", "13", NULL},
        {"SUM('5')", "5", NULL},
        {"1Y + 2S + 3L", "6", NULL},
        {"299.00BD", "299.00", NULL},
        {"'a' 'b' \"c\"", "abc", NULL},
    };
    static const struct constant lenient[] = {
        {"CAST('123abc' AS BIGINT)", "123", NULL},
        {"CAST('-12.9x' AS BIGINT)", "-12", NULL},
        {"CAST('+1.25x' AS DECIMAL(5,1))", "1.3", NULL},
        {"CAST('1e3' AS BIGINT)", "1000", NULL},
        {"CAST('12e34ab' AS DOUBLE)", "12", NULL},
        {"CAST('9e999' AS DOUBLE)", "9", NULL},
        {"CAST('.5.5' AS DOUBLE)", "0.5", NULL},
        {"CAST('abc' AS BIGINT)", "NULL", NULL},
        {"CAST('-' AS DOUBLE)", "NULL", NULL},
        {"CAST('' AS DOUBLE)", "NULL", NULL},
        {"CAST('99999999999999999999x' AS BIGINT)", NULL, "does not fit BIGINT"},
        {"CAST('2024-13-01' AS DATE)", "NULL", NULL},
        {"CAST('perhaps' AS BOOLEAN)", "NULL", NULL},
        {"'12x' + 1", "13", NULL},
        {"SQRT(-1)", "NULL", NULL},
        {"LN(0)", "NULL", NULL},
        {"TO_DATE('2010-24-01', 'yyyy-mm-dd')", "NULL", NULL},
        {"ABS(-9223372036854775808)", NULL, "ABS: a result does not fit BIGINT"},
        {"SUM('abc')", "0", NULL},
    };
    static const struct constant summands[] = {
        {"SUM('12abc')", "12", NULL},
        {"SUM('abc')", "0", NULL},
        {"AVG('3x')", "3", NULL},
    };
    constants_are(strict, ARRAY_COUNT(strict), SELECT_MODE_DEFAULT);
    constants_are(strict, ARRAY_COUNT(strict), SELECT_MODE_STRICT);
    constants_are(lenient, ARRAY_COUNT(lenient), SELECT_MODE_LENIENT);
    constants_are(summands, ARRAY_COUNT(summands), SELECT_MODE_DEFAULT);
    struct constant refused = {"SUM('12abc')", NULL, "'12abc' is not a valid DOUBLE"};
    constant_is(&refused, SELECT_MODE_STRICT);
}

static void test_settings_choose_the_mode(void **state)
{
    (void)state;
    enum select_mode mode = SELECT_MODE_DEFAULT;
    struct err err;
    assert_int_equal(
        select_mode_set(span_text("odps.namespace.schema"), span_text("maybe"), &mode, &err),
        ERR_OK);
    assert_int_equal(mode, SELECT_MODE_DEFAULT);
    assert_int_equal(
        select_mode_set(span_text("odps.sql.udf.strict.mode"), span_text("TRUE"), &mode, &err),
        ERR_OK);
    assert_int_equal(mode, SELECT_MODE_STRICT);
    assert_int_equal(
        select_mode_set(span_text("odps.function.strictmode"), span_text("false"), &mode, &err),
        ERR_OK);
    assert_int_equal(mode, SELECT_MODE_LENIENT);
    assert_int_equal(
        select_mode_set(span_text("odps.function.strictmode"), span_text("maybe"), &mode, &err),
        ERR_PARAMETER);
    assert_string_equal(err.message, "SET odps.function.strictmode=maybe: expected true or false");
    assert_int_equal(mode, SELECT_MODE_LENIENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_functions_give_what_is_documented),
        cmocka_unit_test(test_regular_expressions_fit_take_and_replace),
        cmocka_unit_test(test_digests_are_the_documented_ones),
        cmocka_unit_test(test_number_functions_are_exact_or_fail),
        cmocka_unit_test(test_choices_compute_only_what_they_give),
        cmocka_unit_test(test_days_move_and_measure),
        cmocka_unit_test(test_casts_are_as_strict_as_the_setting),
        cmocka_unit_test(test_settings_choose_the_mode),
    };
    if (select_start("/tmp", NULL) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
