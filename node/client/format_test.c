/* The three formats of format.h, byte for byte. */
#include "node/client/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COLUMN(name_text, ...)                                                                     \
    {                                                                                              \
        .name = {(const uint8_t *)(name_text), sizeof(name_text) - 1}, .type = { __VA_ARGS__ }     \
    }

static void cell_put(struct batch *batch, size_t column, const char *text)
{
    struct value value = {.null = true};
    if (text != NULL)
        assert_int_equal(value_parse(batch->vectors[column].type, span_text(text), &value, NULL),
                         ERR_OK);
    vector_append(&batch->vectors[column], value);
}

static void expect(const struct format_kind *kind, struct column *columns, size_t count,
                   const char *const *cells, size_t row_count, const char *expected)
{
    struct schema schema = {.columns = columns, .column_count = count};
    struct bytes out BYTES_CLEANUP = {0};
    struct batch batch;
    batch_init(&batch, &schema);
    for (size_t i = 0; i < row_count * count; i++)
        cell_put(&batch, i % count, cells[i]);
    batch.rows = row_count;
    struct format *format = format_new(kind, columns, count);
    if (row_count > 0)
        format_rows(format, &batch, &out);
    format_end(format, &out);
    bytes_append_u8(&out, 0);
    assert_string_equal(out.data, expected);
    batch_deinit(&batch);
}

static void the_frame_is_that_of_the_product_page(void **state)
{
    (void)state;
    struct column columns[] = {COLUMN("id", TYPE_BIGINT, 0, 0),
                               COLUMN("order_date", TYPE_DATE, 0, 0),
                               COLUMN("amount", TYPE_DECIMAL, 10, 2)};
    static const char *const cells[] = {"1", "2024-01-15", "299.00", "2", "2024-01-16", "450.50"};
    expect(&format_table, columns, 3, cells, 2,
           "+----+------------+--------+\n"
           "| id | order_date | amount |\n"
           "+----+------------+--------+\n"
           "|  1 | 2024-01-15 | 299.00 |\n"
           "|  2 | 2024-01-16 | 450.50 |\n"
           "+----+------------+--------+\n");
    expect(&format_table, columns, 2, cells, 0,
           "+----+------------+\n"
           "| id | order_date |\n"
           "+----+------------+\n"
           "+----+------------+\n");
}

static void widths_are_what_a_terminal_shows(void **state)
{
    (void)state;
    struct column columns[] = {COLUMN("n", TYPE_STRING, 0, 0), COLUMN("v", TYPE_DOUBLE, 0, 0)};
    static const char *const cells[] = {"香港", "1.5", "é", NULL, "a\nb\x1b[m", "-2"};
    expect(&format_table, columns, 2, cells, 3,
           "+------------+------+\n"
           "| n          | v    |\n"
           "+------------+------+\n"
           "| 香港       |  1.5 |\n"
           "| é          | NULL |\n"
           "| a\\nb\\x1b[m |   -2 |\n"
           "+------------+------+\n");
}

static void csv_has_a_header_and_tells_null_from_empty(void **state)
{
    (void)state;
    struct column columns[] = {COLUMN("a,b", TYPE_STRING, 0, 0), COLUMN("c", TYPE_INT, 0, 0)};
    static const char *const cells[] = {"x \"y\"", "1", "", NULL, NULL, "2"};
    expect(&format_csv, columns, 2, cells, 3, "\"a,b\",c\n\"x \"\"y\"\"\",1\n\"\",\n,2\n");
    expect(&format_csv, columns, 2, NULL, 0, "\"a,b\",c\n");
}

static void json_keeps_what_a_double_would_lose(void **state)
{
    (void)state;
    struct column columns[] = {COLUMN("i", TYPE_BIGINT, 0, 0),  COLUMN("d", TYPE_DECIMAL, 5, 1),
                               COLUMN("f", TYPE_DOUBLE, 0, 0),  COLUMN("s\"", TYPE_STRING, 0, 0),
                               COLUMN("b", TYPE_BOOLEAN, 0, 0), COLUMN("t", TYPE_DATE, 0, 0)};
    static const char *const cells[] = {"9007199254740992",
                                        "1.5",
                                        "0.5",
                                        "a\"\\\n\x01é",
                                        "true",
                                        "2024-01-15",
                                        "-9007199254740993",
                                        NULL,
                                        "NaN",
                                        "",
                                        "false",
                                        NULL};
    expect(&format_json, columns, 6, cells, 2,
           "{\"i\": 9007199254740992, \"d\": \"1.5\", \"f\": 0.5, \"s\\\"\": "
           "\"a\\\"\\\\\\n\\u0001é\", \"b\": true, \"t\": \"2024-01-15\"}\n"
           "{\"i\": \"-9007199254740993\", \"d\": null, \"f\": \"NaN\", \"s\\\"\": \"\", \"b\": "
           "false, \"t\": null}\n");
}

static void formats_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(format_find("JSON"), &format_json);
    assert_null(format_find("xml"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frame_is_that_of_the_product_page),
        cmocka_unit_test(widths_are_what_a_terminal_shows),
        cmocka_unit_test(csv_has_a_header_and_tells_null_from_empty),
        cmocka_unit_test(json_keeps_what_a_double_would_lose),
        cmocka_unit_test(formats_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
