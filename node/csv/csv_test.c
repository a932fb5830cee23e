/* Files through reader and writer: conversion, matching of columns, bad records, and any batch
 * through any dialect and back. */
#include "node/csv/output.h"
#include "node/csv/reader.h"
#include "node/csv/writer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COLUMN(name_text, ...)                                                                     \
    {                                                                                              \
        .name = {(const uint8_t *)(name_text), sizeof(name_text) - 1}, .type = { __VA_ARGS__ }     \
    }

static struct column sales[] = {
    COLUMN("id", TYPE_BIGINT, 0, 0),
    COLUMN("amount", TYPE_DECIMAL, 10, 2),
    COLUMN("note", TYPE_STRING, 0, 0),
};

static char scratch_path[64];

static const char *file_make(struct span content)
{
    snprintf(scratch_path, sizeof scratch_path, "/tmp/csv_test.%ld", (long)getpid());
    int fd = open(scratch_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.data, content.len), content.len);
    close(fd);
    return scratch_path;
}

static int file_remove(void **state)
{
    (void)state;
    if (scratch_path[0] != 0)
        unlink(scratch_path);
    return 0;
}

static void batch_make(struct batch *batch, struct column *columns, size_t count)
{
    struct schema schema = {.columns = columns, .column_count = count};
    batch_init(batch, &schema);
}

static struct csv_read_options options_make(bool header)
{
    struct csv_read_options options = {.dialect = csv_dialect_default(),
                                       .times = csv_times_default()};
    options.dialect.header = header;
    return options;
}

/* Reads all of it into batch; the message of an error goes to ret_message. */
static enum err_code read_all(struct span content, const struct csv_read_options *options,
                              struct batch *batch, struct csv_reader_counts *ret_counts,
                              struct err *err)
{
    struct csv_reader *reader CSV_READER_CLEANUP = NULL;
    bool end = false;
    TRY(csv_reader_open(file_make(content), sales, ARRAY_COUNT(sales), options, &reader, err));
    while (!end)
        TRY(csv_reader_next(reader, 1000, batch, &end, err));
    if (ret_counts != NULL)
        *ret_counts = csv_reader_counts(reader);
    return ERR_OK;
}

static void expect_rows(const char *file, const struct csv_read_options *options,
                        const char *expected)
{
    struct batch batch;
    struct err err;
    struct bytes out BYTES_CLEANUP = {0};
    struct csv_dialect dialect = csv_dialect_default();
    struct csv_times times = csv_times_default();
    struct csv_writer writer;
    batch_make(&batch, sales, ARRAY_COUNT(sales));
    assert_int_equal(read_all(span_text(file), options, &batch, NULL, &err), ERR_OK);
    csv_writer_init(&writer, &dialect, &times, CSV_DOUBLES_SHORT);
    csv_writer_rows(&writer, &batch, batch.rows, &out);
    bytes_append_u8(&out, 0);
    assert_string_equal(out.data, expected);
    csv_writer_deinit(&writer);
    batch_deinit(&batch);
}

static void expect_error(const char *file, const struct csv_read_options *options,
                         const char *message)
{
    struct batch batch;
    struct err err = {0};
    batch_make(&batch, sales, ARRAY_COUNT(sales));
    assert_int_equal(read_all(span_text(file), options, &batch, NULL, &err), ERR_BAD_DATA);
    const char *at = strstr(err.message, message);
    if (at == NULL)
        print_error("%s\nlacks: %s\n", err.message, message);
    assert_non_null(at);
    batch_deinit(&batch);
}

static void rows_are_taken_by_position_without_a_header(void **state)
{
    (void)state;
    struct csv_read_options options = options_make(false);
    expect_rows("1,2.5,x\n-9223372036854775808,,\"\"\n", &options,
                "1,2.50,x\n-9223372036854775808,,\"\"\n");
}

static void columns_are_matched_by_name_with_a_header(void **state)
{
    (void)state;
    struct csv_read_options options = options_make(true);
    expect_rows("\xef\xbb\xbfNote,ID,amount\r\n\"a,b\",7,1\r\n\r\n", &options, "7,1.00,\"a,b\"\n");
    expect_error("id,amount,extra\n", &options,
                 "the header does not fit the table: unknown column extra, missing column note");
    expect_error("id,amount,note,id\n", &options, "twice id");
    expect_error("", &options, "the file is empty, a header was expected");
}

static void a_loose_schema_drops_and_fills(void **state)
{
    (void)state;
    struct csv_read_options options = options_make(true);
    options.loose_schema = true;
    expect_rows("extra,id\nx,1\n", &options, "1,,\n");
    options.dialect.header = false;
    expect_rows("1\n2,3,a,b\n", &options, "1,,\n2,3.00,a\n");
}

static void errors_name_line_column_text_and_type(void **state)
{
    (void)state;
    struct csv_read_options options = options_make(false);
    expect_error("1,2,\"a\nb\"\n2,12x,c\n", &options,
                 "line 3: column amount: \"12x\" is not a DECIMAL(10,2)");
    expect_error("id,amount,note\n", &options,
                 "\"id\" is not a BIGINT (is it a header? then -h=true)");
    expect_error("1,2\n", &options, "line 1: column mismatch, expected 3 columns, 2 columns found");
    expect_error("1,2,a\n1,2,\xff\n", &options, "line 2: column note: a text that is not valid");
    expect_error("1,2,\"a\n", &options, "line 1: field 3: the quote that opens it is never closed");
    sales[0].not_null = true;
    expect_error(",2,a\n", &options, "line 1: column id is NOT NULL");
    sales[0].not_null = false;
}

static void null_is_the_unquoted_indicator(void **state)
{
    (void)state;
    struct csv_read_options options = options_make(false);
    assert_int_equal(csv_mark_set(span_text("\\N"), &options.dialect.null, NULL), ERR_OK);
    expect_rows("\\N,\\N,\\N\n1,2,\n3,4,\"\\N\"\n", &options, ",,\n1,2.00,\"\"\n3,4.00,\\N\n");
}

static void bad_records_are_passed_over_up_to_the_limit(void **state)
{
    (void)state;
    static const char file[] = "1,2,a\nx,2,b\n\"q\"r,,\n4,5,d\n";
    struct csv_read_options options = options_make(false);
    options.discard_bad = true;
    options.bad_max = 2;
    expect_rows(file, &options, "1,2.00,a\n4,5.00,d\n");
    options.bad_max = 1;
    expect_error(file, &options, "more than 1 bad records, the last one: ");
}

static void a_failed_row_leaves_the_rows_before_it(void **state)
{
    (void)state;
    struct csv_read_options options = options_make(false);
    struct batch batch;
    struct err err;
    batch_make(&batch, sales, ARRAY_COUNT(sales));
    assert_int_equal(read_all(span_text("1,2,a\n2,2,b\n3,z,c\n"), &options, &batch, NULL, &err),
                     ERR_BAD_DATA);
    assert_int_equal(batch.rows, 2);
    for (size_t c = 0; c < batch.vector_count; c++)
        assert_int_equal(batch.vectors[c].rows, 2);
    batch_deinit(&batch);
}

/* Random batches of every type. */

static uint64_t random_state;

static uint64_t draw(void)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static struct column all_types[] = {
    COLUMN("big", TYPE_BIGINT, 0, 0),  COLUMN("small", TYPE_INT, 0, 0),
    COLUMN("real", TYPE_DOUBLE, 0, 0), COLUMN("money", TYPE_DECIMAL, 38, 18),
    COLUMN("text", TYPE_STRING, 0, 0), COLUMN("flag", TYPE_BOOLEAN, 0, 0),
    COLUMN("day", TYPE_DATE, 0, 0),    COLUMN("at", TYPE_DATETIME, 0, 0),
};

static const char *const texts[] = {
    "",  "a",     "Korea, South", "\"", "\n",    "\r",           "a\r", "|", "||",  "\\N",
    "N", "\"a\"", "\t",           " ",  "\r\nb", "\xef\xbb\xbf", "ab|", "1", "ü|\n"};

static struct value value_draw(struct type type)
{
    struct value value = {.null = draw() % 4 == 0};
    if (value.null)
        return value;
    switch (type.kind) {
    case TYPE_BIGINT:
        value.i64 = draw() % 2 == 0 ? (int64_t)draw() : (int64_t)(draw() % 20) - 10;
        break;
    case TYPE_INT:
        value.i64 = (int32_t)draw();
        break;
    case TYPE_DOUBLE: {
        uint64_t bits = draw();
        memcpy(&value.f64, &bits, sizeof bits);
        if (draw() % 3 == 0 || isnan(value.f64))
            value.f64 = (double)(draw() % 100) / 8;
        break;
    }
    case TYPE_DECIMAL:
        value.decimal = (decimal128)(int64_t)draw() * (int64_t)(draw() % 1000000000);
        break;
    case TYPE_STRING:
        value.text = span_text(texts[draw() % ARRAY_COUNT(texts)]);
        break;
    case TYPE_BOOLEAN:
        value.i64 = (int64_t)(draw() % 2);
        break;
    case TYPE_DATE:
        value.i64 = (int64_t)(draw() % 40000) - 20000;
        break;
    case TYPE_DATETIME:
        value.i64 = (int64_t)(draw() % 4000000000000) - 2000000000000;
        break;
    }
    return value;
}

static struct csv_dialect dialect_draw(void)
{
    static const char *const fields[] = {",", "\t", "||", "-", "0", "|a", " "};
    static const char *const records[] = {"", "\r\n", "|\n", ";", "\n"};
    static const char *const nulls[] = {"", "\\N", "NULL", "1", "true", "9"};
    struct csv_dialect dialect;
    do {
        dialect = csv_dialect_default();
        (void)csv_mark_set(span_text(fields[draw() % ARRAY_COUNT(fields)]), &dialect.field, NULL);
        (void)csv_mark_set(span_text(records[draw() % ARRAY_COUNT(records)]), &dialect.record,
                           NULL);
        (void)csv_mark_set(span_text(nulls[draw() % ARRAY_COUNT(nulls)]), &dialect.null, NULL);
        dialect.header = draw() % 2 == 0;
    } while (csv_dialect_validate(&dialect, NULL) != ERR_OK);
    return dialect;
}

static void batches_expect_equal(const struct batch *a, const struct batch *b)
{
    struct bytes x BYTES_CLEANUP = {0}, y BYTES_CLEANUP = {0};
    assert_int_equal(a->rows, b->rows);
    batch_encode(a, &x);
    batch_encode(b, &y);
    assert_true(span_equal(bytes_span(&x), bytes_span(&y)));
}

/* One batch through a file of the dialect. */
static void batch_expect_back(const struct batch *batch, struct column *columns, size_t count,
                              bool compressed)
{
    struct csv_read_options options = {.dialect = dialect_draw(), .times = csv_times_default()};
    struct bytes text BYTES_CLEANUP = {0};
    struct csv_writer writer;
    struct csv_output *output = NULL;
    struct csv_reader *reader CSV_READER_CLEANUP = NULL;
    struct batch back;
    struct err err = {0};
    char path[80];
    uint64_t file_bytes;
    bool end = false;
    if (draw() % 2 == 0)
        assert_int_equal(csv_times_zone_set(&options.times, span_text("-07:30"), NULL), ERR_OK);
    csv_writer_init(&writer, &options.dialect, &options.times,
                    draw() % 2 == 0 ? CSV_DOUBLES_PLAIN : CSV_DOUBLES_SHORT);
    if (options.dialect.header)
        csv_writer_header(&writer, columns, count, &text);
    csv_writer_rows(&writer, batch, batch->rows, &text);
    csv_writer_deinit(&writer);
    snprintf(path, sizeof path, "/tmp/csv_test.%ld.csv%s", (long)getpid(),
             compressed ? ".zst" : "");
    assert_int_equal(csv_output_open(path, &output, &err), ERR_OK);
    assert_int_equal(csv_output_write(output, bytes_span(&text), &err), ERR_OK);
    assert_int_equal(csv_output_finish(output, &file_bytes, &err), ERR_OK);
    batch_make(&back, columns, count);
    enum err_code code = csv_reader_open(path, columns, count, &options, &reader, &err);
    while (code == ERR_OK && !end)
        code = csv_reader_next(reader, SIZE_MAX, &back, &end, &err);
    unlink(path);
    if (code != ERR_OK)
        print_error("%s\n", err.message);
    assert_int_equal(code, ERR_OK);
    batches_expect_equal(batch, &back);
    batch_deinit(&back);
}

static void any_batch_comes_back_through_any_dialect(void **state)
{
    (void)state;
    for (int round = 0; round < 600; round++) {
        size_t first = draw() % ARRAY_COUNT(all_types);
        size_t count = 1 + draw() % (ARRAY_COUNT(all_types) - first);
        struct batch batch;
        batch_make(&batch, all_types + first, count);
        size_t rows = draw() % 20;
        for (size_t row = 0; row < rows; row++, batch.rows++)
            for (size_t c = 0; c < count; c++)
                vector_append(&batch.vectors[c], value_draw(all_types[first + c].type));
        batch_expect_back(&batch, all_types + first, count, draw() % 2 == 0);
        batch_deinit(&batch);
    }
}

static void a_cut_or_damaged_zst_is_an_error(void **state)
{
    (void)state;
    struct csv_output *output = NULL;
    struct csv_reader *reader CSV_READER_CLEANUP = NULL;
    struct bytes rows BYTES_CLEANUP = {0};
    struct batch batch;
    struct err err;
    char path[80];
    uint64_t file_bytes;
    bool end = false;
    struct csv_read_options options = options_make(false);
    for (int i = 0; i < 5000; i++)
        bytes_printf(&rows, "%d,%d.5,note %d\n", i, i * 7919, i * i);
    snprintf(path, sizeof path, "/tmp/csv_test.%ld.cut.zst", (long)getpid());
    assert_int_equal(csv_output_open(path, &output, NULL), ERR_OK);
    assert_int_equal(csv_output_write(output, bytes_span(&rows), NULL), ERR_OK);
    assert_int_equal(csv_output_finish(output, &file_bytes, NULL), ERR_OK);
    assert_int_equal(truncate(path, (off_t)file_bytes - 100), 0);
    batch_make(&batch, sales, ARRAY_COUNT(sales));
    enum err_code code = csv_reader_open(path, sales, ARRAY_COUNT(sales), &options, &reader, &err);
    while (code == ERR_OK && !end)
        code = csv_reader_next(reader, SIZE_MAX, &batch, &end, &err);
    unlink(path);
    assert_int_equal(code, ERR_BAD_DATA);
    assert_non_null(strstr(err.message, "cut off"));
    batch_deinit(&batch);
}

static void records_larger_than_a_read_come_whole(void **state)
{
    (void)state;
    struct bytes file BYTES_CLEANUP = {0};
    struct csv_read_options options = options_make(false);
    struct batch batch;
    struct err err = {0};
    for (int i = 0; i < 3; i++) {
        bytes_printf(&file, "%d,2,\"", i);
        for (size_t k = 0; k < MIB(3) + (size_t)i; k++)
            bytes_append_u8(&file, k % 1000 == 0 ? '\n' : (uint8_t)('a' + k % 26));
        bytes_append_text(&file, "\"\r\n");
    }
    batch_make(&batch, sales, ARRAY_COUNT(sales));
    assert_int_equal(read_all(bytes_span(&file), &options, &batch, NULL, &err), ERR_OK);
    assert_int_equal(batch.rows, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(vector_value(&batch.vectors[2], i).text.len, MIB(3) + i);
    batch_deinit(&batch);
}

static void an_abandoned_download_leaves_no_file(void **state)
{
    (void)state;
    struct csv_output *output = NULL;
    char path[80], partial[96];
    snprintf(path, sizeof path, "/tmp/csv_test.%ld.gone", (long)getpid());
    snprintf(partial, sizeof partial, "%s.partial", path);
    assert_int_equal(csv_output_open(path, &output, NULL), ERR_OK);
    assert_int_equal(csv_output_write(output, span_text("x"), NULL), ERR_OK);
    assert_int_equal(access(partial, F_OK), 0);
    csv_output_abandon(output);
    assert_int_not_equal(access(partial, F_OK), 0);
    assert_int_not_equal(access(path, F_OK), 0);
}

int main(void)
{
    const char *seed = getenv("STRAIT_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("STRAIT_SEED=%" PRIu64 "\n", random_state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_taken_by_position_without_a_header),
        cmocka_unit_test(columns_are_matched_by_name_with_a_header),
        cmocka_unit_test(a_loose_schema_drops_and_fills),
        cmocka_unit_test(errors_name_line_column_text_and_type),
        cmocka_unit_test(null_is_the_unquoted_indicator),
        cmocka_unit_test(bad_records_are_passed_over_up_to_the_limit),
        cmocka_unit_test(a_failed_row_leaves_the_rows_before_it),
        cmocka_unit_test(any_batch_comes_back_through_any_dialect),
        cmocka_unit_test(a_cut_or_damaged_zst_is_an_error),
        cmocka_unit_test(records_larger_than_a_read_come_whole),
        cmocka_unit_test(an_abandoned_download_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, file_remove);
}
