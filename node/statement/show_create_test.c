/* SHOW CREATE TABLE: what it says makes the same table again, whatever the table is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/statement/trial.h"
#include "proto/random_test.h"
#include "store/table.h"

#define TABLES      60
#define COLUMNS_MAX 12
#define TEXT_PIECES 6

static struct trial trial;

static int start(void **state)
{
    (void)state;
    trial_start(&trial);
    trial_project(&trial);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    trial_stop(&trial);
    return 0;
}

/* ---- random tables, made below SQL ---- */

/* A text of what is hard to write down again; at most bytes_max. */
static struct span random_text(struct random *random, size_t pieces_max, struct arena *arena)
{
    static const char *const pieces[] = {
        "a",     "Z9_", "'",       "\"",  "`",  "\\", "\\n", "\n", "\t",  "\x7F",
        "\x01",  "%",   "_",       ";",   "--", "/*", "*/",  "“",  "’",   " ",
        "naïve", "雪",  "\\u00e9", "\\'", "😀",  "$",  "''",  ",",  "(x)", "\r",
    };
    BYTES_CLEANUP struct bytes text = {0};
    for (uint64_t n = random_below(random, pieces_max + 1); n > 0; n--)
        bytes_append_text(&text, pieces[random_below(random, ARRAY_COUNT(pieces))]);
    return arena_copy(arena, bytes_span(&text));
}

/* Trimmed at its ends: the grammar trims values of TBLPROPERTIES. */
static struct span random_value_text(struct random *random, struct arena *arena)
{
    struct span text = random_text(random, TEXT_PIECES, arena);
    while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL)
        text = span_slice(text, 1, text.len - 1);
    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL)
        text.len--;
    return text;
}

static struct span numbered(const char *begin, size_t i, struct arena *arena)
{
    char text[64];
    snprintf(text, sizeof(text), "%s%zu", begin, i);
    return arena_copy(arena, span_text(text));
}

static const struct type types[] = {
    {TYPE_BIGINT, 0, 0},  {TYPE_INT, 0, 0},      {TYPE_DOUBLE, 0, 0}, {TYPE_DECIMAL, 38, 18},
    {TYPE_DECIMAL, 1, 0}, {TYPE_DECIMAL, 9, 9},  {TYPE_STRING, 0, 0}, {TYPE_BOOLEAN, 0, 0},
    {TYPE_DATE, 0, 0},    {TYPE_DATETIME, 0, 0},
};
static const struct type partition_types[] = {
    {TYPE_BIGINT, 0, 0}, {TYPE_INT, 0, 0}, {TYPE_STRING, 0, 0}, {TYPE_DATE, 0, 0}};

static void random_default(struct random *random, struct column *column, struct arena *arena)
{
    BYTES_CLEANUP struct bytes ignored = {0};
    BYTES_CLEANUP struct bytes text = {0};
    enum random_shape shape = (enum random_shape)random_below(random, SHAPE_COUNT);
    int64_t last = 0;
    struct value value = random_value(random, column->type, shape, &last, &ignored);
    if (column->type.kind == TYPE_STRING)
        value.text = random_text(random, TEXT_PIECES, arena);
    value_format(column->type, value, &text);
    column->default_text = arena_copy(arena, bytes_span(&text));
    column->has_default = true;
}

static void random_schema(struct random *random, struct schema *schema, struct arena *arena)
{
    static const char *const begins[] = {"c", "Order", "c d", "雪", "c'\"\\", "_-."};
    size_t count = 1 + random_below(random, COLUMNS_MAX);
    size_t parts =
        random_below(random, 3) == 0 ? 0 : random_below(random, LIMIT_PARTITION_LEVELS + 1);
    struct column *columns = arena_alloc(arena, count + parts, sizeof(*columns));
    for (size_t i = 0; i < count + parts; i++) {
        struct column *column = &columns[i];
        bool is_partition = i >= count;
        column->id = (uint32_t)i + 1;
        column->name = numbered(begins[random_below(random, ARRAY_COUNT(begins))], i, arena);
        column->type = is_partition ? partition_types[random_below(random, 4)]
                                    : types[random_below(random, ARRAY_COUNT(types))];
        column->comment = random_text(random, TEXT_PIECES, arena);
        column->not_null = !is_partition && random_below(random, 2) == 0;
        if (!is_partition && random_below(random, 3) == 0)
            random_default(random, column, arena);
    }
    *schema = (struct schema){.columns = columns,
                              .column_count = count,
                              .partition_columns = columns + count,
                              .partition_column_count = parts,
                              .next_column_id = (uint32_t)(count + parts) + 1};
}

static void random_properties(struct random *random, struct table_spec *spec, struct arena *arena)
{
    size_t count = random_below(random, 4);
    spec->properties = arena_alloc(arena, count + 1, sizeof(*spec->properties));
    for (size_t i = 0; i < count; i++)
        spec->properties[i] = (struct table_property){.key = numbered("k.'", i, arena),
                                                      .value = random_value_text(random, arena)};
    spec->property_count = count;
}

/* ---- comparison ---- */

static struct project_record project_of(struct arena *arena)
{
    struct project_record found;
    struct err err;
    if (project_find(trial.store, NULL, span_text(trial.project), arena, &found, &err) != ERR_OK)
        fail_msg("%s", err.message);
    return found;
}

static struct table_record record_of(struct arena *arena)
{
    struct table_record table;
    struct err err;
    if (table_find(trial.store, NULL, project_of(arena).id, span_text("t"), arena, &table, &err) !=
        ERR_OK)
        fail_msg("%s", err.message);
    return table;
}

static void same_table(const struct table_record *a, const struct table_record *b, const char *text)
{
    bool same = digest_equal(&a->version.version, &b->version.version) &&
                span_equal(a->comment, b->comment) && a->lifecycle_days == b->lifecycle_days &&
                a->lifecycle_disabled == b->lifecycle_disabled &&
                a->property_count == b->property_count && span_equal(a->name, b->name);
    for (size_t i = 0; same && i < a->property_count; i++)
        same = span_equal(a->properties[i].key, b->properties[i].key) &&
               span_equal(a->properties[i].value, b->properties[i].value);
    if (!same)
        fail_msg("another table: %s", text);
}

static void spec_create(const struct table_spec *spec, struct account_id owner)
{
    CONTENT_CLEANUP struct content *content = NULL;
    struct table_id id;
    struct err err;
    const struct change_note note = {.now_ms = 1, .principal = span_text(trial.root.name)};
    if (content_open(trial.store, owner, &content, &err) != ERR_OK ||
        table_create(content, spec, &note, &id, &err) != ERR_OK)
        fail_msg("%s", err.message);
}

/* One a time, as the client would send them: a line that begins ALTER begins the second. */
static void statements_run(const char *text)
{
    BYTES_CLEANUP struct bytes first = {0};
    const char *second = strstr(text, ";\nALTER TABLE ");
    size_t len = second != NULL ? (size_t)(second - text) : strlen(text);
    bytes_append(&first, text, len);
    bytes_append_u8(&first, 0);
    trial_gives(&trial, (const char *)first.data, "");
    if (second != NULL)
        trial_gives(&trial, second + 2, "");
}

static void what_it_says_makes_the_same_table(void **state)
{
    (void)state;
    struct random random = random_start();
    for (size_t i = 0; i < TABLES; i++) {
        ARENA_CLEANUP struct arena arena;
        BYTES_CLEANUP struct bytes text = {0};
        BYTES_CLEANUP struct bytes again = {0};
        struct schema schema;
        arena_init(&arena, 8 * CATALOG_ARENA_BYTES);
        const struct project_record project = project_of(&arena);
        struct table_spec spec = {.project = project.id, .name = span_text("t"), .schema = &schema};
        random_schema(&random, &schema, &arena);
        random_properties(&random, &spec, &arena);
        spec.comment = random_text(&random, TEXT_PIECES, &arena);
        spec.lifecycle_days = (uint32_t)random_below(&random, 3) * 17;
        spec_create(&spec, project.owner);
        if (random_below(&random, 4) == 0) /* a second statement */
            trial_gives(&trial, "ALTER TABLE t DISABLE LIFECYCLE", "");
        struct table_record before = record_of(&arena);
        trial_shows(&trial, "SHOW CREATE TABLE t", &text);
        trial_gives(&trial, "DROP TABLE t", "");
        statements_run((const char *)text.data);
        struct table_record after = record_of(&arena);
        same_table(&before, &after, (const char *)text.data);
        trial_shows(&trial, "SHOW CREATE TABLE t", &again);
        assert_string_equal((const char *)again.data, (const char *)text.data);
        trial_gives(&trial, "DROP TABLE t", "");
    }
}

static void its_form_is_the_documented_one(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes text = {0};
    char expected[512];
    trial_gives(
        &trial,
        "CREATE TABLE t (a BIGINT NOT NULL COMMENT 'it\\'s', b DECIMAL(10,2) DEFAULT 1.5BD) "
        "COMMENT 'two\\nlines' PARTITIONED BY (d DATE COMMENT 'day') "
        "TBLPROPERTIES ('owner'='ops', \"n\"=5) LIFECYCLE 30",
        "");
    trial_shows(&trial, "SHOW CREATE TABLE t", &text);
    snprintf(expected, sizeof(expected),
             "CREATE TABLE `%s`.`t` (\n"
             "    `a` BIGINT NOT NULL COMMENT 'it\\'s',\n"
             "    `b` DECIMAL(10,2) DEFAULT '1.50'\n)\n"
             "COMMENT 'two\\u000alines'\n"
             "PARTITIONED BY (\n    `d` DATE COMMENT 'day'\n)\n"
             "TBLPROPERTIES ('owner'='ops', 'n'='5')\nLIFECYCLE 30;\n",
             trial.project);
    assert_string_equal((const char *)text.data, expected);
    trial_gives(&trial, "CREATE SNAPSHOT TABLE s CLONE t", "");
    trial_refuses(&trial, "SHOW CREATE TABLE s", ERR_SEMANTIC,
                  "s is a snapshot, not a table; DESC shows it");
    trial_gives(&trial, "DROP TABLE t", "");
    trial_refuses(&trial, "SHOW CREATE TABLE t", ERR_TABLE_NOT_FOUND, "\"t\"");
}

static void properties_have_limits(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes text = {0};
    trial_refuses(&trial, "CREATE TABLE t (a INT) TBLPROPERTIES (''='x')", ERR_PARAMETER,
                  "TBLPROPERTIES: a key has 1 to 128 bytes");
    bytes_append_text(&text, "CREATE TABLE t (a INT) TBLPROPERTIES ('k'='");
    for (size_t i = 0; i <= LIMIT_COMMENT_BYTES; i++)
        bytes_append_u8(&text, 'x');
    bytes_append_text(&text, "')");
    bytes_append_u8(&text, 0);
    trial_refuses(&trial, (const char *)text.data, ERR_PARAMETER, "a value at most 1024");
    bytes_clear(&text);
    bytes_append_text(&text, "CREATE TABLE t (a INT) TBLPROPERTIES (");
    for (size_t i = 0; i < 17; i++)
        bytes_printf(&text, "%s'k%zu'='%01000d'", i > 0 ? "," : "", i, 0);
    bytes_append_text(&text, ")");
    bytes_append_u8(&text, 0);
    trial_refuses(&trial, (const char *)text.data, ERR_PARAMETER, "at most 64, of 16384 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_form_is_the_documented_one),
        cmocka_unit_test(properties_have_limits),
        cmocka_unit_test(what_it_says_makes_the_same_table),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
