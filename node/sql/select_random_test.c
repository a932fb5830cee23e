/* Random queries against plain SQLite tables with the same rows, within the part of the language in
 * which SQLite means the same: small integers, binary fractions, lower-case texts, no division of
 * integers. What differs on purpose is in select_test.c. */
#include "node/sql/source_memory.h"

#include <sqlite3.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define QUERIES 1200
#define ROWS    60
#define COLUMNS 6

static struct column columns[COLUMNS] = {
    {.id = 1, .name = {(const uint8_t *)"a", 1}, .type = {.kind = TYPE_BIGINT}},
    {.id = 2, .name = {(const uint8_t *)"b", 1}, .type = {.kind = TYPE_INT}},
    {.id = 3, .name = {(const uint8_t *)"d", 1}, .type = {.kind = TYPE_DOUBLE}},
    {.id = 4, .name = {(const uint8_t *)"s", 1}, .type = {.kind = TYPE_STRING}},
    {.id = 5, .name = {(const uint8_t *)"u", 1}, .type = {.kind = TYPE_STRING}},
    {.id = 6, .name = {(const uint8_t *)"p", 1}, .type = {.kind = TYPE_BIGINT}},
};
static const struct schema schema = {columns, COLUMNS - 1, columns + COLUMNS - 1, 1, 7};

static struct source_memory source;
static sqlite3 *plain;
static uint64_t random_state;

/* ---- chance ---- */

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static unsigned below(unsigned n)
{
    return (unsigned)(random_next() >> 33) % n;
}

static const char *pick(const char *const *texts, unsigned count)
{
    return texts[below(count)];
}
#define PICK(...)                                                                                  \
    pick((const char *const[]){__VA_ARGS__}, ARRAY_COUNT(((const char *const[]){__VA_ARGS__})))

/* ---- the same rows on both sides ---- */

static void random_cell(size_t column, char out[32])
{
    switch (columns[column].type.kind) {
    case TYPE_DOUBLE:
        snprintf(out, 32, "%.3f", (double)((int)below(41) - 20) / 8);
        break;
    case TYPE_STRING: {
        unsigned len = below(4);
        for (unsigned i = 0; i < len; i++)
            out[i] = (char)('a' + below(3));
        out[len] = '\0';
        break;
    }
    case TYPE_BIGINT:
    case TYPE_INT:
    case TYPE_DECIMAL:
    case TYPE_BOOLEAN:
    case TYPE_DATE:
    case TYPE_DATETIME:
        snprintf(out, 32, "%d", (int)below(21) - 10);
        break;
    }
}

static void rows_fill(void)
{
    sqlite3_stmt *insert;
    assert_int_equal(sqlite3_exec(plain,
                                  "CREATE TABLE t(a INTEGER, b INTEGER, d REAL, s TEXT, u "
                                  "TEXT, p INTEGER); PRAGMA case_sensitive_like=1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(plain, "INSERT INTO t VALUES(?,?,?,?,?,?)", -1, &insert, NULL),
        SQLITE_OK);
    for (size_t row = 0; row < ROWS; row++) {
        char cells[COLUMNS][32];
        const char *texts[COLUMNS];
        for (size_t i = 0; i < COLUMNS; i++) {
            random_cell(i, cells[i]);
            texts[i] = i + 1 < COLUMNS && below(6) == 0 ? NULL : cells[i];
            sqlite3_bind_text(insert, (int)i + 1, texts[i], -1, SQLITE_TRANSIENT);
        }
        source_memory_add(&source, texts);
        assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
}

/* ---- queries ---- */

static void number(struct bytes *sql, unsigned depth);
static void text(struct bytes *sql, unsigned depth);
static void condition(struct bytes *sql, unsigned depth);

static void number(struct bytes *sql, unsigned depth)
{
    switch (depth == 0 ? below(3) : below(6)) {
    case 0:
        bytes_append_text(sql, PICK("a", "b", "d", "p"));
        break;
    case 1:
        bytes_append_text(sql, PICK("0", "1", "-3", "7", "2.5", "-0.125"));
        break;
    case 2:
        bytes_append_text(sql, PICK("a", "b", "p", "t.a"));
        break;
    case 3:
        bytes_append_text(sql, "(");
        number(sql, depth - 1);
        bytes_append_text(sql, PICK(" + ", " - ", " * "));
        number(sql, depth - 1);
        bytes_append_text(sql, ")");
        break;
    case 4:
        bytes_append_text(sql, "(");
        bytes_append_text(sql, PICK("a", "b", "p"));
        bytes_append_text(sql, " % ");
        bytes_append_text(sql, PICK("3", "b", "-4", "0"));
        bytes_append_text(sql, ")");
        break;
    default:
        bytes_append_text(sql, "-(");
        number(sql, depth - 1);
        bytes_append_text(sql, ")");
        break;
    }
}

static void text(struct bytes *sql, unsigned depth)
{
    switch (depth == 0 ? below(2) : below(3)) {
    case 0:
        bytes_append_text(sql, PICK("s", "u"));
        break;
    case 1:
        bytes_append_text(sql, PICK("'a'", "'ab'", "''", "'cb'", "'bca'"));
        break;
    default:
        bytes_append_text(sql, "(");
        text(sql, depth - 1);
        bytes_append_text(sql, " || ");
        text(sql, depth - 1);
        bytes_append_text(sql, ")");
        break;
    }
}

static void list(struct bytes *sql, void (*item)(struct bytes *sql, unsigned depth))
{
    unsigned count = 1 + below(4);
    bytes_append_text(sql, PICK(" IN (", " NOT IN ("));
    for (unsigned i = 0; i < count; i++) {
        bytes_append_text(sql, i > 0 ? ", " : "");
        if (below(12) == 0)
            bytes_append_text(sql, "NULL");
        else
            item(sql, 0);
    }
    bytes_append_text(sql, ")");
}

static void compared(struct bytes *sql, void (*item)(struct bytes *sql, unsigned depth),
                     unsigned depth)
{
    item(sql, depth);
    switch (below(4)) {
    case 0:
        list(sql, item);
        break;
    case 1:
        bytes_append_text(sql, PICK(" BETWEEN ", " NOT BETWEEN "));
        item(sql, 0);
        bytes_append_text(sql, " AND ");
        item(sql, 0);
        break;
    default:
        bytes_append_text(sql, PICK(" = ", " <> ", " != ", " < ", " <= ", " > ", " >= "));
        item(sql, depth);
        break;
    }
}

static void connected(struct bytes *sql, unsigned depth)
{
    unsigned count = 2 + below(3);
    const char *word = PICK(" AND ", " OR ");
    bytes_append_text(sql, "(");
    for (unsigned i = 0; i < count; i++) {
        bytes_append_text(sql, i > 0 ? word : "");
        condition(sql, depth - 1);
    }
    bytes_append_text(sql, ")");
}

static void condition(struct bytes *sql, unsigned depth)
{
    switch (depth == 0 ? below(4) : below(7)) {
    case 0:
        compared(sql, number, depth > 0 ? 1 : 0);
        break;
    case 1:
        compared(sql, text, depth > 0 ? 1 : 0);
        break;
    case 2:
        text(sql, 0);
        bytes_append_text(sql, PICK(" LIKE ", " NOT LIKE "));
        bytes_append_text(sql, PICK("'a%'", "'%b'", "'_'", "'%a%c%'", "'__'", "''", "u"));
        break;
    case 3:
        number(sql, 0);
        bytes_append_text(sql, PICK(" IS NULL", " IS NOT NULL"));
        break;
    case 4:
        bytes_append_text(sql, "NOT (");
        condition(sql, depth - 1);
        bytes_append_text(sql, ")");
        break;
    default:
        connected(sql, depth);
        break;
    }
}

static void where(struct bytes *sql)
{
    if (below(4) == 0)
        return;
    bytes_append_text(sql, " WHERE ");
    condition(sql, below(4));
}

static void order_all(struct bytes *sql, unsigned items)
{
    if (below(2) == 0)
        return;
    for (unsigned i = 1; i <= items; i++)
        bytes_printf(sql, "%s%u%s", i == 1 ? " ORDER BY " : ", ", i, below(2) == 0 ? " DESC" : "");
    if (below(2) == 0)
        bytes_printf(sql, " LIMIT %u OFFSET %u", below(20), below(5));
}

static void plain_query(struct bytes *sql)
{
    unsigned items = 1 + below(4);
    bytes_append_text(sql, PICK("SELECT ", "SELECT DISTINCT "));
    for (unsigned i = 0; i < items; i++) {
        bytes_append_text(sql, i > 0 ? ", " : "");
        if (below(2) == 0)
            number(sql, 2);
        else
            text(sql, 1);
    }
    bytes_append_text(sql, " FROM t");
    where(sql);
    order_all(sql, items);
}

static void grouped_query(struct bytes *sql)
{
    const char *key = PICK("p", "s", "b", "p % 3", "s || u", "d");
    unsigned items = 1 + below(3);
    bool keyed = below(4) != 0;
    bytes_printf(sql, "SELECT %s", keyed ? key : "count(*)");
    for (unsigned i = 0; i < items; i++) {
        bytes_printf(sql, ", %s(%s", PICK("count", "sum", "min", "max", "avg"),
                     below(4) == 0 ? "DISTINCT " : "");
        number(sql, 1);
        bytes_append_text(sql, ")");
    }
    if (below(3) == 0)
        bytes_printf(sql, ", max(s) || min(u), count(s) + sum(a) * 2"), items += 2;
    bytes_append_text(sql, " FROM t");
    where(sql);
    if (keyed)
        bytes_printf(sql, " GROUP BY %s", key);
    if (keyed && below(3) == 0)
        bytes_append_text(sql, PICK(" HAVING count(*) > 2", " HAVING max(a) > min(b)",
                                    " HAVING sum(d) IS NOT NULL AND count(u) > 1"));
    order_all(sql, items + 1);
}

/* ---- both answers ---- */

static void plain_select(const char *sql, struct bytes *out)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(plain, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(plain));
    int rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            bytes_append_text(out, i > 0 ? "|" : "");
            if (sqlite3_column_type(statement, i) == SQLITE_NULL)
                bytes_append_text(out, "NULL");
            else if (sqlite3_column_type(statement, i) == SQLITE_FLOAT)
                value_format((struct type){.kind = TYPE_DOUBLE},
                             (struct value){.f64 = sqlite3_column_double(statement, i)}, out);
            else
                bytes_append_text(out, (const char *)sqlite3_column_text(statement, i));
        }
        bytes_append_u8(out, '\n');
    }
    assert_int_equal(rc, SQLITE_DONE);
    sqlite3_finalize(statement);
}

static int line_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_edge(uint8_t c)
{
    return c == '|' || c == '\n';
}

/* SQLite stores a negative zero as zero. */
static void zeros_settle(struct bytes *text_)
{
    size_t to = 0;
    for (size_t at = 0; at < text_->len; at++) {
        const uint8_t *c = text_->data + at;
        bool begins = at == 0 || is_edge(c[-1]);
        if (begins && at + 2 < text_->len && c[0] == '-' && c[1] == '0' && is_edge(c[2]))
            continue;
        text_->data[to++] = *c;
    }
    text_->len = to;
}

/* Without ORDER BY the order is open: sorts the lines. */
static void lines_settle(struct bytes *text_, bool ordered)
{
    static const char *lines[ROWS * 2];
    size_t count = 0;
    zeros_settle(text_);
    bytes_append_u8(text_, 0);
    BYTES_CLEANUP struct bytes copy = {0};
    char *save = NULL;
    if (ordered)
        return;
    for (char *line = strtok_r((char *)text_->data, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save))
        lines[count++] = line;
    qsort(lines, count, sizeof(lines[0]), line_order);
    for (size_t i = 0; i < count; i++)
        bytes_printf(&copy, "%s\n", lines[i]);
    bytes_append_u8(&copy, 0);
    struct bytes old = *text_;
    *text_ = copy;
    copy = old;
}

/* COUNT, MIN and MAX alone, and conditions of one column: what summaries may answer. */
static void summary_query(struct bytes *sql)
{
    static const char *const names[] = {"a", "b", "d", "s", "u", "p"};
    bytes_append_text(sql, "SELECT ");
    for (unsigned i = 0, count = 1 + below(4); i < count; i++) {
        bytes_append_text(sql, i > 0 ? ", " : "");
        if (below(4) == 0)
            bytes_append_text(sql, "count(*)");
        else
            bytes_printf(sql, "%s(%s)", PICK("count", "min", "max"), names[below(COLUMNS)]);
    }
    bytes_append_text(sql, " FROM t");
    for (unsigned i = 0, count = below(3); i < count; i++) {
        const char *name = PICK("a", "b", "d", "p");
        bytes_append_text(sql, i > 0 ? " AND " : " WHERE ");
        if (below(5) == 0)
            bytes_printf(sql, "%s IS %sNULL", name, below(3) > 0 ? "NOT " : "");
        else if (below(4) == 0)
            bytes_printf(sql, "%s BETWEEN %d AND %d", name, (int)below(40) - 30, (int)below(30));
        else if (below(4) == 0)
            bytes_printf(sql, "%d %s %s", (int)below(60) - 30, PICK("<", ">="), name);
        else if (below(4) == 0)
            bytes_printf(sql, "p IN (%u, %u)", below(8), below(8));
        else
            bytes_printf(sql, "%s %s %d", name, PICK("<", "<=", ">", ">=", "<>", "="),
                         (int)below(60) - 30);
    }
    if (below(6) == 0)
        bytes_append_text(sql, " HAVING count(*) > 3 OR max(a) < 5");
}

static void test_random_queries_answer_as_plain_tables_do(void **state)
{
    (void)state;
    size_t rows = 0;
    for (unsigned i = 0; i < QUERIES; i++) {
        BYTES_CLEANUP struct bytes sql = {0};
        BYTES_CLEANUP struct bytes ours = {0};
        BYTES_CLEANUP struct bytes theirs = {0};
        struct err err = {0};
        unsigned kind = below(6);
        if (kind == 0)
            summary_query(&sql);
        else if (kind < 3)
            grouped_query(&sql);
        else
            plain_query(&sql);
        bytes_append_u8(&sql, 0);
        const char *query = (const char *)sql.data;
        if (source_memory_select(&source, query, &ours, &err) != ERR_OK)
            fail_msg("%s: %s", query, err.message);
        plain_select(query, &theirs);
        rows += ours.len > 0 ? 1 : 0;
        lines_settle(&ours, strstr(query, "ORDER BY") != NULL);
        lines_settle(&theirs, strstr(query, "ORDER BY") != NULL);
        if (strcmp((const char *)ours.data, (const char *)theirs.data) != 0)
            fail_msg("%s\nours:\n%stheirs:\n%s", query, (const char *)ours.data,
                     (const char *)theirs.data);
    }
    assert_true(rows > QUERIES / 2); /* most say something */
    assert_true(source.pruned > QUERIES / 2);
    assert_true(source.summarised > QUERIES / 4);
}

static int setup(void **state)
{
    (void)state;
    const char *seed = getenv("STRAIT_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    printf("STRAIT_SEED=%" PRIu64 "\n", random_state);
    random_state = random_state * 2654435761U + 88172645463325252U;
    if (select_start("/tmp", NULL) != ERR_OK || sqlite3_open(":memory:", &plain) != SQLITE_OK)
        return 1;
    source_memory_init(&source, &schema, 3);
    rows_fill();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    source_memory_deinit(&source);
    return sqlite3_close(plain) != SQLITE_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_queries_answer_as_plain_tables_do),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
