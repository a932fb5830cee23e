/* The documentation's tables of parameters, and what is refused where it stands. */
#include "node/schedule/parameters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <cmocka.h>

static const struct parameter variables[] = {
    {{(const uint8_t *)"var1", 4}, {(const uint8_t *)"$[yyyymmdd]", 11}},
    {{(const uint8_t *)"var2", 4}, {(const uint8_t *)"${yyyymmdd}", 11}},
    {{(const uint8_t *)"day", 3}, {(const uint8_t *)"$bizdate", 8}},
    {{(const uint8_t *)"fixed", 5}, {(const uint8_t *)"it's $$1", 8}},
    {{(const uint8_t *)"bad", 3}, {(const uint8_t *)"${var1}", 7}},
};

static int64_t local_of(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return timegm(&tm);
}

static void expands(const char *planned, const char *text, const char *expected)
{
    BYTES_CLEANUP struct bytes out = {0};
    struct parameters parameters = {local_of(planned), variables, ARRAY_COUNT(variables)};
    struct err err;
    size_t at;
    if (parameters_expand(&parameters, span_text(text), 1000, &out, &at, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.message);
    bytes_append_u8(&out, 0);
    assert_string_equal((const char *)out.data, expected);
}

static void refuses(const char *text, size_t expected_at)
{
    BYTES_CLEANUP struct bytes out = {0};
    struct parameters parameters = {local_of("2025-11-01 02:30:45"), variables,
                                    ARRAY_COUNT(variables)};
    struct err err = {0};
    size_t at = SIZE_MAX;
    if (parameters_expand(&parameters, span_text(text), 1000, &out, &at, &err) != ERR_SEMANTIC)
        fail_msg("%s gave %.*s", text, SPAN_PRINTF(bytes_span(&out)));
    assert_int_equal(at, expected_at);
    assert_non_null(strstr(err.message, "is neither a variable of SET nor a date"));
}

static void test_the_documented_examples(void **state)
{
    (void)state;
    const char *planned = "2025-11-01 02:30:45";
    expands(planned, "${yyyymmdd}", "20251031");
    expands(planned, "$[yyyymmddhh24miss]", "20251101023045");
    expands(planned, "$bizdate $cyctime $gmtdate $bizmonth",
            "20251031 20251101023045 20251101 202510");
    expands(planned, "$[yyyymmdd-1]", "20251031");
    expands(planned, "$[yyyymmdd-1-1/24]", "20251031");
    expands("2025-11-01 00:30:45", "$[yyyymmdd-1-1/24] $[hh24-1/24]", "20251030 23");
    expands(planned, "${yyyymmdd-1} ${yyyymmdd+1} ${yyyymmdd-7*2}", "20251030 20251101 20251017");
    expands(planned, "${yyyymm} ${yyyymm-1} ${yyyymm-10} ${yyyymm+3}",
            "202510 202509 202412 202601");
    expands(planned, "${yyyy} ${yyyy-1} ${yy} ${yy+1} ${mm} ${dd-1}", "2025 2024 25 26 10 30");
    expands(planned, "${yyyy-mm-dd} ${yyyy-mm-dd-1} ${yyyy/mm}", "2025-10-31 2025-10-30 2025/10");
    expands(planned, "$[yyyymmdd+7*1] $[yyyymmdd-7*2]", "20251108 20251018");
    expands(planned, "$[hh24miss-1/24] $[hh24miss-15/24/60] $[hh24mi+30/24/60] $[hh24:mi:ss]",
            "013045 021545 0300 02:30:45");
    expands(planned,
            "$[add_months(yyyymmdd,-1)] $[add_months(yyyymmdd,12*1)] $[add_months(yyyymm,-11)]",
            "20251001 20261101 202412");
    expands("2026-03-31 00:00:00", "$[add_months(yyyymmdd,-1)] $[add_months(yyyymmdd,-1)-1]",
            "20260228 20260227");
    expands("2024-03-31 00:00:00", "$[add_months(yyyymmdd,-1)] $[add_months(yyyymmdd,-13)]",
            "20240229 20230228");
    expands("2026-01-01 01:00:00", "$bizmonth ${yyyymm} $[yyyymmdd-1]", "202512 202512 20251231");
    expands("2026-01-15 01:00:00", "$bizmonth", "202512");
}

static void test_the_pages_scripts_are_of_their_day(void **state)
{
    (void)state;
    expands("2026-01-01 01:00:00",
            "CREATE SNAPSHOT TABLE a_snapshot_${var1} CLONE a; CREATE SNAPSHOT TABLE "
            "b_snapshot_${var1} CLONE b",
            "CREATE SNAPSHOT TABLE a_snapshot_20260101 CLONE a; CREATE SNAPSHOT TABLE "
            "b_snapshot_20260101 CLONE b");
    expands("2026-01-01 02:00:00",
            "XCOPY SNAPSHOT src_project.a_snapshot_$[yyyymmdd] TO SNAPSHOT a_snapshot_$[yyyymmdd] "
            "options(src_region=\"cn-hongkong\")",
            "XCOPY SNAPSHOT src_project.a_snapshot_20260101 TO SNAPSHOT a_snapshot_20260101 "
            "options(src_region=\"cn-hongkong\")");
    expands("2026-01-01 02:00:00", "${var2} ${day} ${fixed}", "20251231 20251231 it's $1");
}

static void test_what_is_no_parameter_stays(void **state)
{
    (void)state;
    const char *planned = "2026-01-01 01:00:00";
    expands(planned, "GRANT Select ON TABLE t TO ALIYUN$a@b.com, ram$root:u, `RAM$x:role/y`",
            "GRANT Select ON TABLE t TO ALIYUN$a@b.com, ram$root:u, `RAM$x:role/y`");
    expands(planned, "'^a$' $ $$ $$bizdate a$", "'^a$' $ $ $bizdate a$");
    expands(planned, "x_$bizdate-y", "x_20251231-y");
    expands(planned, "", "");
}

static void test_what_is_unknown_is_refused_where_it_stands(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "${nothing}",
        "${}",
        "$[]",
        "$[hh]",
        "$[yyyymmdd",
        "${yyyymmdd",
        "${hh24}",
        "$jobid",
        "$bizdate2",
        "$[yyyymmdd-]",
        "$[yyyymmdd-1/]",
        "$[yyyymmdd-1/0]",
        "$[yyyymmdd 1]",
        "$[yyyymmdd =1]",
        "$[yyyymmdd-1/7/7/7/7/7/7/7/7]",
        "${yyyymmdd-1/24}",
        "${yyyymmdd1}",
        "$[add_months(yyyymmdd)]",
        "$[add_months(yyyymmdd,-1]",
        "$[add_months(,1)]",
        "$[YYYYMMDD]",
        "${bad}",
        "${var1 }",
        "$[yyyymmdd-99999999999999999999]",
        "$[yyyymmdd-100000*100000]",
        "$[yyyymmdd-100000-100000-100000-100000-100000-100000-100000-100000-100000]",
        "$[add_months(yyyymmdd,-100000)]",
        "$[yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy]",
        "$[var1]",
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        char text[256];
        snprintf(text, sizeof(text), "é %s", texts[i]);
        refuses(text, 3);
    }
}

static void test_output_is_limited(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes out = {0};
    struct parameters parameters = {0};
    struct err err;
    size_t at;
    const char *text = "$cyctime$cyctime$cyctime";
    assert_int_equal(parameters_expand(&parameters, span_text(text), 20, &out, &at, &err),
                     ERR_LIMIT);
    assert_true(out.len <= 20 + 14);
}

static void test_names_of_variables_are_no_dates(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(parameter_name_check(span_text("var1"), &err), ERR_OK);
    assert_int_equal(parameter_name_check(span_text("yyyymmdd"), &err), ERR_SEMANTIC);
    assert_int_equal(parameter_name_check(span_text("mm"), &err), ERR_SEMANTIC);
    assert_int_equal(parameter_name_check(span_text("a-b"), &err), ERR_SEMANTIC);
    assert_int_equal(parameter_name_check(span_text(""), &err), ERR_SEMANTIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_documented_examples),
        cmocka_unit_test(test_the_pages_scripts_are_of_their_day),
        cmocka_unit_test(test_what_is_no_parameter_stays),
        cmocka_unit_test(test_what_is_unknown_is_refused_where_it_stands),
        cmocka_unit_test(test_output_is_limited),
        cmocka_unit_test(test_names_of_variables_are_no_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
