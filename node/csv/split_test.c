/* Records and fields of split.h, written out as [field|field] with q before a quoted one. */
#include "node/csv/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct csv_dialect dialect_of(const char *field, const char *record)
{
    struct csv_dialect dialect = csv_dialect_default();
    assert_int_equal(csv_mark_set(span_text(field), &dialect.field, NULL), ERR_OK);
    assert_int_equal(csv_mark_set(span_text(record), &dialect.record, NULL), ERR_OK);
    return dialect;
}

static void expect(const struct csv_dialect *dialect, const char *file, const char *expected)
{
    struct bytes seen BYTES_CLEANUP = {0}, window BYTES_CLEANUP = {0};
    struct csv_split split;
    size_t at = 0, used = 0;
    bytes_append_text(&window, file);
    csv_split_init(&split, dialect);
    while (true) {
        struct err err;
        enum split_result result =
            csv_split_next(&split, window.data + at, window.len - at, true, &used, &err);
        if (result == SPLIT_MORE)
            break;
        at += used;
        bytes_append_text(&seen, result == SPLIT_BAD ? "<bad>" : "[");
        for (size_t i = 0; result == SPLIT_RECORD && i < split.field_count; i++)
            bytes_printf(&seen, "%s%s%.*s", i > 0 ? "|" : "", split.fields[i].quoted ? "q" : "",
                         SPAN_PRINTF(split.fields[i].text));
        bytes_append_text(&seen, result == SPLIT_BAD ? "" : "]");
    }
    csv_split_deinit(&split);
    bytes_append_u8(&seen, 0);
    assert_string_equal(seen.data, expected);
}

static void records_end_in_lf_crlf_or_the_file(void **state)
{
    (void)state;
    struct csv_dialect dialect = dialect_of(",", "");
    expect(&dialect, "a,b\nc,d\r\ne,f", "[a|b][c|d][e|f]");
    expect(&dialect, "a,b\n", "[a|b]");
    expect(&dialect, "a,\n,b\n\n", "[a|][|b][]");
    expect(&dialect, "a\rb,c\n", "[a\rb|c]");
    expect(&dialect, "a,", "[a|]");
    expect(&dialect, "\"a\"\r\n\"b\",c\r\n", "[qa][qb|c]");
}

static void quotes_hold_delimiters_and_line_ends(void **state)
{
    (void)state;
    struct csv_dialect dialect = dialect_of(",", "");
    expect(&dialect, "\"Korea, South\",1\n", "[qKorea, South|1]");
    expect(&dialect, "\"a\nb\r\nc\",\"\"\n", "[qa\nb\r\nc|q]");
    expect(&dialect, "\"say \"\"hi\"\"\",\"\"\"\"\n", "[qsay \"hi\"|q\"]");
    expect(&dialect, "5\" pipe,a\"b\n", "[5\" pipe|a\"b]");
    expect(&dialect, "x,\"end\"", "[x|qend]");
}

static void text_after_a_closing_quote_spoils_its_record_only(void **state)
{
    (void)state;
    struct csv_dialect dialect = dialect_of(",", "");
    expect(&dialect, "\"a\"b,c\nd\n", "<bad>[d]");
    expect(&dialect, "\"a\" ,c", "<bad>");
}

static void an_unclosed_quote_ends_the_file(void **state)
{
    (void)state;
    struct csv_dialect dialect = dialect_of(",", "");
    expect(&dialect, "a\nb,\"c\nd,e\n", "[a]<bad>");
}

static void delimiters_may_have_several_bytes(void **state)
{
    (void)state;
    struct csv_dialect dialect = dialect_of("||", "|\n");
    expect(&dialect, "a||b|c|\nd|||\n\"x||\"||y", "[a|b|c][d|][qx|||y]");
    dialect = dialect_of("\t", "\r\n");
    expect(&dialect, "a\nb\tc\r\n\rd\r\n", "[a\nb|c][\rd]");
}

static void lines_are_counted_through_quotes(void **state)
{
    (void)state;
    struct csv_dialect dialect = dialect_of(",", "");
    struct csv_split split;
    struct err err;
    uint8_t file[] = "a,\"b\nc\n\"\nd\n";
    size_t used = 0;
    csv_split_init(&split, &dialect);
    assert_true(split.lines_meaningful);
    assert_int_equal(csv_split_next(&split, file, sizeof file - 1, true, &used, &err),
                     SPLIT_RECORD);
    assert_int_equal(split.line, 4);
    assert_int_equal(split.record, 2);
    csv_split_deinit(&split);
}

static void a_window_that_ends_within_a_record_asks_for_more(void **state)
{
    (void)state;
    static const char *const windows[] = {"a", "a,", "a,\"b", "a,\"b\"", "a,\"b\"\r", "a|", ""};
    struct csv_dialect dialect = dialect_of(",", "");
    struct csv_split split;
    csv_split_init(&split, &dialect);
    for (size_t i = 0; i < ARRAY_COUNT(windows); i++) {
        struct bytes window BYTES_CLEANUP = {0};
        size_t used = 99;
        struct err err;
        bytes_append_text(&window, windows[i]);
        assert_int_equal(csv_split_next(&split, window.data, window.len, false, &used, &err),
                         SPLIT_MORE);
        assert_int_equal(used, 99);
    }
    csv_split_deinit(&split);
}

static void escapes_of_delimiters_are_understood(void **state)
{
    (void)state;
    struct csv_mark mark;
    assert_int_equal(csv_mark_parse(span_text("\\t|\\u0001\\\\"), &mark, NULL), ERR_OK);
    assert_true(span_equal(csv_mark_span(&mark), span_text("\t|\001\\")));
    assert_int_equal(csv_mark_parse(span_text("\\x"), &mark, NULL), ERR_PARAMETER);
    assert_int_equal(csv_mark_parse(span_text("\\u00ff"), &mark, NULL), ERR_PARAMETER);
    assert_int_equal(csv_mark_parse(span_text(""), &mark, NULL), ERR_PARAMETER);
    assert_int_equal(csv_mark_parse(span_text("12345678901234567"), &mark, NULL), ERR_PARAMETER);
}

static void dialects_that_cannot_be_read_back_are_refused(void **state)
{
    (void)state;
    struct csv_dialect dialect = dialect_of("a\nb", "");
    assert_int_equal(csv_dialect_validate(&dialect, NULL), ERR_PARAMETER);
    dialect = dialect_of(";;", ";");
    assert_int_equal(csv_dialect_validate(&dialect, NULL), ERR_PARAMETER);
    dialect = dialect_of("\"", "");
    assert_int_equal(csv_dialect_validate(&dialect, NULL), ERR_PARAMETER);
    dialect = dialect_of("|", "");
    assert_int_equal(csv_mark_set(span_text("|N"), &dialect.null, NULL), ERR_OK);
    assert_int_equal(csv_dialect_validate(&dialect, NULL), ERR_PARAMETER);
    dialect = dialect_of("||", "|\n");
    assert_int_equal(csv_dialect_validate(&dialect, NULL), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_end_in_lf_crlf_or_the_file),
        cmocka_unit_test(quotes_hold_delimiters_and_line_ends),
        cmocka_unit_test(text_after_a_closing_quote_spoils_its_record_only),
        cmocka_unit_test(an_unclosed_quote_ends_the_file),
        cmocka_unit_test(delimiters_may_have_several_bytes),
        cmocka_unit_test(lines_are_counted_through_quotes),
        cmocka_unit_test(a_window_that_ends_within_a_record_asks_for_more),
        cmocka_unit_test(escapes_of_delimiters_are_understood),
        cmocka_unit_test(dialects_that_cannot_be_read_back_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
