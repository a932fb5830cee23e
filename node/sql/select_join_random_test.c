/* Random joins, subqueries and set operations against plain SQLite tables with the same rows. Both
 * texts grow side by side. SQLite's knows no RIGHT, FULL, SEMI and ANTI JOIN: they are written out
 * with LEFT JOIN, UNION ALL and EXISTS, each part of a FROM as a query in parentheses whose columns
 * have names of their own, so that little of what is tested decides what is expected.
 *
 *     ours      FROM t x1 RIGHT JOIN u x2 ON x1.a = x2.b
 *     theirs    FROM (SELECT * FROM (SELECT a x2_a, ... FROM u) LEFT JOIN (SELECT ...) ON x1_a = x2_b)
 *
 * All tables and queries have the columns a, b, p (numbers) and s (a text).
 */
#include "node/sql/source_memory.h"

#include <sqlite3.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define QUERIES     800
#define TIME_MS_MAX 500 /* of a query: some multiply all they have; they are left out */
#define TABLES      3
#define ROWS        9
#define SCOPE_MAX   24 /* relations in sight, those around included */

static struct column columns[] = {
    {.id = 1, .name = {(const uint8_t *)"a", 1}, .type = {.kind = TYPE_BIGINT}},
    {.id = 2, .name = {(const uint8_t *)"b", 1}, .type = {.kind = TYPE_INT}},
    {.id = 3, .name = {(const uint8_t *)"s", 1}, .type = {.kind = TYPE_STRING}},
    {.id = 4, .name = {(const uint8_t *)"p", 1}, .type = {.kind = TYPE_BIGINT}},
};
static const struct schema schema = {columns, 3, columns + 3, 1, 5};
static const char *const table_names[TABLES] = {"t", "u", "v"};
static struct source_memory tables[TABLES];
static sqlite3 *plain;
static uint64_t random_state;

/* ---- chance ---- */

static unsigned below(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % n;
}

static const char *pick(const char *const *texts, unsigned count)
{
    return texts[below(count)];
}
#define PICK(...)                                                                                  \
    pick((const char *const[]){__VA_ARGS__}, ARRAY_COUNT(((const char *const[]){__VA_ARGS__})))

/* ---- both texts ---- */

struct pair {
    struct bytes ours;
    struct bytes theirs;
};

static void pair_deinit(struct pair *pair)
{
    bytes_deinit(&pair->ours);
    bytes_deinit(&pair->theirs);
}
#define PAIR_CLEANUP __attribute__((cleanup(pair_deinit)))

static void both(struct pair *pair, const char *text)
{
    bytes_append_text(&pair->ours, text);
    bytes_append_text(&pair->theirs, text);
}

static void pair_append(struct pair *pair, const struct pair *part)
{
    bytes_append_span(&pair->ours, bytes_span(&part->ours));
    bytes_append_span(&pair->theirs, bytes_span(&part->theirs));
}

static void theirs(struct pair *pair, const char *before, const struct bytes *text)
{
    bytes_append_text(&pair->theirs, before);
    bytes_append_span(&pair->theirs, bytes_span(text));
}

/* Relations in sight: those before `own` belong to queries around. */
struct scope {
    unsigned aliases[SCOPE_MAX];
    unsigned count;
    unsigned own;
};

static unsigned alias_count; /* in the statement */
static unsigned with_count;

static void rows(struct pair *out, const struct scope *around, unsigned depth);
static void condition(struct pair *out, const struct scope *scope, unsigned depth);

/* ---- expressions ---- */

static void column(struct pair *out, const struct scope *scope, const char *name)
{
    unsigned from = below(4) == 0 ? 0 : scope->own;
    unsigned alias = scope->aliases[from + below(scope->count - from)];
    bytes_printf(&out->ours, "x%u.%s", alias, name);
    bytes_printf(&out->theirs, "x%u_%s", alias, name);
}

static void number(struct pair *out, const struct scope *scope)
{
    if (below(4) == 0) {
        both(out, PICK("0", "1", "2", "3"));
        return;
    }
    column(out, scope, PICK("a", "b", "p"));
    if (below(8) == 0)
        both(out, PICK(" + 1", " * 2", " % 3"));
}

/* (SELECT one column FROM ...) */
static void column_query(struct pair *out, const struct scope *scope, unsigned depth,
                         const char *before, const char *name, const char *behind)
{
    both(out, "(SELECT ");
    both(out, before);
    bytes_printf(&out->ours, "y.%s%s FROM (", name, behind);
    bytes_printf(&out->theirs, "y.%s%s FROM (", name, behind);
    rows(out, scope, depth);
    both(out, ") y)");
}

static void subquery(struct pair *out, const struct scope *scope, unsigned depth)
{
    switch (below(4)) {
    case 0:
        both(out, PICK("EXISTS (", "NOT EXISTS ("));
        rows(out, scope, depth);
        both(out, ")");
        break;
    case 1:
        number(out, scope);
        both(out, PICK(" IN ", " NOT IN "));
        column_query(out, scope, depth, "", PICK("a", "b", "p"), "");
        break;
    case 2:
        column(out, scope, "s");
        both(out, PICK(" IN ", " NOT IN "));
        column_query(out, scope, depth, "", "s", "");
        break;
    default:
        number(out, scope);
        both(out, PICK(" = ", " < ", " >= "));
        column_query(out, scope, depth, PICK("max(", "min(", "count(", "sum("), PICK("a", "b"),
                     ")");
        break;
    }
}

static void simple(struct pair *out, const struct scope *scope)
{
    switch (below(6)) {
    case 0:
        column(out, scope, "s");
        both(out, PICK(" = ", " <> ", " < ", " >= "));
        column(out, scope, "s");
        break;
    case 1:
        column(out, scope, PICK("a", "b", "p", "s"));
        both(out, PICK(" IS NULL", " IS NOT NULL"));
        break;
    case 2:
        column(out, scope, PICK("a", "b", "p"));
        both(out, PICK(" = 1", " < 2", " BETWEEN 1 AND 2", " IN (0, 2, 3)", " NOT IN (1, 2)",
                       " NOT BETWEEN 1 AND 2", " <> 1", " >= 1"));
        break;
    default:
        number(out, scope);
        both(out, PICK(" = ", " = ", " <> ", " <= ", " > "));
        number(out, scope);
        break;
    }
}

static void condition(struct pair *out, const struct scope *scope, unsigned depth)
{
    unsigned kind = below(depth > 0 ? 10 : 7);
    if (kind < 5) {
        simple(out, scope);
    } else if (kind < 7) {
        const char *word = PICK(" AND ", " AND ", " OR ");
        both(out, below(6) == 0 ? "NOT (" : "(");
        condition(out, scope, 0);
        both(out, word);
        condition(out, scope, depth);
        both(out, ")");
    } else {
        subquery(out, scope, depth - 1);
    }
}

/* ---- FROM ---- */

static void columns_list(struct bytes *out, const unsigned *aliases, unsigned count, bool null)
{
    static const char names[] = {'a', 'b', 's', 'p'};
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < ARRAY_COUNT(names); k++) {
            bytes_append_text(out, i + k > 0 ? ", " : "");
            if (null)
                bytes_append_text(out, "NULL");
            else
                bytes_printf(out, "x%u_%c", aliases[i], names[k]);
        }
    }
}

/* t x1; a name of WITH; (SELECT ...) x1. A query in FROM sees only what is around the whole. */
static void leaf(struct pair *out, struct scope *scope, unsigned depth)
{
    PAIR_CLEANUP struct pair what = {0};
    unsigned alias = ++alias_count;
    if (depth > 0 && below(4) == 0) {
        struct scope around = *scope;
        around.count = scope->own;
        both(&what, "(");
        rows(&what, &around, depth - 1);
        both(&what, ")");
    } else if (with_count > 0 && below(3) == 0) {
        unsigned with = below(with_count);
        bytes_printf(&what.ours, "w%u", with);
        bytes_printf(&what.theirs, "w%u", with);
    } else {
        both(&what, table_names[below(TABLES)]);
    }
    bytes_append_span(&out->ours, bytes_span(&what.ours));
    bytes_printf(&out->ours, " x%u", alias);
    bytes_printf(&out->theirs, "(SELECT a x%u_a, b x%u_b, s x%u_s, p x%u_p FROM ", alias, alias,
                 alias, alias);
    theirs(out, "", &what.theirs);
    bytes_append_text(&out->theirs, ")");
    scope->aliases[scope->count++] = alias;
}

/* The rows of a FULL JOIN: those of the left one, then the right rows without a match. */
static void full_write(struct pair *out, const struct pair *left, const struct pair *right,
                       const struct pair *on, const struct scope *scope, unsigned middle,
                       unsigned first)
{
    bytes_append_text(&out->theirs, "(SELECT ");
    columns_list(&out->theirs, scope->aliases + first, scope->count - first, false);
    theirs(out, " FROM ", &left->theirs);
    theirs(out, " LEFT JOIN ", &right->theirs);
    theirs(out, " ON ", &on->theirs);
    bytes_append_text(&out->theirs, " UNION ALL SELECT ");
    columns_list(&out->theirs, scope->aliases + first, middle - first, true);
    bytes_append_text(&out->theirs, ", ");
    columns_list(&out->theirs, scope->aliases + middle, scope->count - middle, false);
    theirs(out, " FROM ", &right->theirs);
    theirs(out, " WHERE NOT EXISTS (SELECT 1 FROM ", &left->theirs);
    theirs(out, " WHERE ", &on->theirs);
    bytes_append_text(&out->theirs, "))");
}

/* left JOIN right ON: `left` becomes it. Relations of the left side begin at `first`. */
static void join(struct pair *left, struct scope *scope, unsigned first, unsigned depth)
{
    static const char *const words[] = {" JOIN ",      " LEFT JOIN ",      " RIGHT JOIN ",
                                        " FULL JOIN ", " LEFT SEMI JOIN ", " LEFT ANTI JOIN "};
    PAIR_CLEANUP struct pair right = {0};
    PAIR_CLEANUP struct pair on = {0};
    PAIR_CLEANUP struct pair out = {0};
    unsigned kind = below(ARRAY_COUNT(words));
    unsigned middle = scope->count;
    leaf(&right, scope, depth);
    struct scope sides = *scope;
    sides.own = first;
    /* ON sees its own sides and what is around, not what stands before the comma */
    memmove(sides.aliases + scope->own, scope->aliases + first,
            (scope->count - first) * sizeof(sides.aliases[0]));
    sides.own = scope->own;
    sides.count = scope->own + scope->count - first;
    condition(&on, &sides, depth > 0 && below(4) == 0 ? 1 : 0);
    bytes_append_span(&out.ours, bytes_span(&left->ours));
    bytes_append_text(&out.ours, words[kind]);
    bytes_append_span(&out.ours, bytes_span(&right.ours));
    bytes_append_text(&out.ours, " ON ");
    bytes_append_span(&out.ours, bytes_span(&on.ours));
    const struct pair *outer = kind == 2 ? &right : left;
    const struct pair *inner = kind == 2 ? left : &right;
    if (kind == 3) {
        full_write(&out, left, &right, &on, scope, middle, first);
    } else if (kind < 3) {
        theirs(&out, "(SELECT * FROM ", &outer->theirs);
        theirs(&out, kind == 0 ? " JOIN " : " LEFT JOIN ", &inner->theirs);
        theirs(&out, " ON ", &on.theirs);
        bytes_append_text(&out.theirs, ")");
    } else {
        theirs(&out, "(SELECT * FROM ", &left->theirs);
        theirs(&out,
               kind == 4 ? " WHERE EXISTS (SELECT 1 FROM " : " WHERE NOT EXISTS (SELECT 1 FROM ",
               &right.theirs);
        theirs(&out, " WHERE ", &on.theirs);
        bytes_append_text(&out.theirs, "))");
        scope->count = middle;
    }
    struct pair old = *left;
    *left = out;
    out = old;
}

static void chain(struct pair *out, struct scope *scope, unsigned depth)
{
    PAIR_CLEANUP struct pair left = {0};
    unsigned first = scope->count;
    unsigned joins = below(4);
    leaf(&left, scope, depth);
    for (unsigned i = 0; i < joins && i < 2 + depth; i++)
        join(&left, scope, first, depth);
    pair_append(out, &left);
}

static void from(struct pair *out, struct scope *scope, unsigned depth)
{
    both(out, " FROM ");
    if (below(5) > 0) {
        chain(out, scope, depth);
        return;
    }
    PAIR_CLEANUP struct pair left = {0};
    PAIR_CLEANUP struct pair right = {0};
    leaf(&left, scope, depth);
    chain(&right, scope, depth);
    bytes_append_span(&out->ours, bytes_span(&left.ours));
    bytes_append_text(&out->ours, ", ");
    bytes_append_span(&out->ours, bytes_span(&right.ours));
    theirs(out, "(SELECT * FROM ", &left.theirs);
    theirs(out, " JOIN ", &right.theirs);
    bytes_append_text(&out->theirs, ")");
}

/* ---- queries: a, b, s, p ---- */

static void items(struct pair *out, const struct scope *scope)
{
    static const char *const names[] = {"a", "b", "s", "p"};
    both(out, PICK("SELECT ", "SELECT ", "SELECT DISTINCT "));
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        both(out, i > 0 ? ", " : "");
        if (i == 2 || below(3) > 0)
            column(out, scope, i == 2 ? "s" : PICK("a", "b", "p"));
        else
            number(out, scope);
        both(out, " AS ");
        both(out, names[i]);
    }
}

static void grouped_items(struct pair *out, const struct scope *scope, struct pair *key)
{
    struct scope own = *scope;
    memmove(own.aliases, scope->aliases + scope->own,
            (scope->count - scope->own) * sizeof(own.aliases[0]));
    own.count = scope->count - scope->own;
    own.own = 0;
    column(key, &own, PICK("a", "b", "p"));
    both(out, "SELECT ");
    pair_append(out, key);
    both(out, " AS a, count(*) AS b, min(");
    column(out, &own, "s");
    both(out, ") AS s, sum(");
    column(out, &own, PICK("a", "b", "p"));
    both(out, ") AS p");
}

static void block(struct pair *out, const struct scope *around, unsigned depth)
{
    PAIR_CLEANUP struct pair source = {0};
    PAIR_CLEANUP struct pair key = {0};
    struct scope scope = *around;
    scope.own = around->count;
    from(&source, &scope, depth);
    bool grouped = below(5) == 0;
    if (grouped)
        grouped_items(out, &scope, &key);
    else
        items(out, &scope);
    pair_append(out, &source);
    if (below(3) > 0) {
        both(out, " WHERE ");
        condition(out, &scope, depth);
    }
    if (!grouped)
        return;
    both(out, " GROUP BY ");
    pair_append(out, &key);
    if (below(3) == 0)
        both(out, PICK(" HAVING count(*) > 1", " HAVING count(*) < 3"));
}

/* Whole rows are ordered, so that LIMIT takes the same ones. */
static void limited(struct pair *out, const struct scope *around, unsigned depth)
{
    const char *order = PICK(" ORDER BY 1, 2, 3, 4", " ORDER BY 4 DESC, a, s, b DESC");
    block(out, around, depth);
    both(out, order);
    both(out, PICK(" LIMIT 1", " LIMIT 5", " LIMIT 3 OFFSET 1"));
}

static void branch(struct pair *out, const struct scope *around, unsigned depth)
{
    PAIR_CLEANUP struct pair inner = {0};
    if (below(3) > 0) {
        block(out, around, depth);
        return;
    }
    limited(&inner, around, depth);
    bytes_append_text(&out->ours, "(");
    bytes_append_span(&out->ours, bytes_span(&inner.ours));
    bytes_append_text(&out->ours, ")");
    theirs(out, "SELECT * FROM (", &inner.theirs);
    bytes_append_text(&out->theirs, ")");
}

static void rows(struct pair *out, const struct scope *around, unsigned depth)
{
    if (depth > 0 && below(5) == 0) {
        branch(out, around, depth - 1);
        both(out, PICK(" UNION ALL ", " UNION ", " EXCEPT ", " INTERSECT "));
        branch(out, around, depth - 1);
    } else if (below(8) == 0) {
        limited(out, around, depth);
    } else {
        block(out, around, depth);
    }
}

static void statement(struct pair *out)
{
    struct scope none = {0};
    unsigned count = below(3);
    alias_count = 0;
    with_count = 0;
    for (unsigned i = 0; i < count; i++) {
        both(out, i == 0 ? "WITH " : ", ");
        bytes_printf(&out->ours, "w%u AS (", i);
        bytes_printf(&out->theirs, "w%u AS (", i);
        rows(out, &none, 1);
        both(out, ")");
        with_count = i + 1;
    }
    both(out, count > 0 ? " " : "");
    rows(out, &none, 2);
    bytes_append_u8(&out->ours, 0);
    bytes_append_u8(&out->theirs, 0);
}

/* ---- both answers ---- */

static int on_late(void *context)
{
    unsigned *left = context;
    return *left == 0 || --*left == 0;
}

/* False: too deep for SQLite's parser, or too long a run. */
/* Longer than what cmocka prints. */
static void give_up(const char *ours, const char *theirs_, const char *what)
{
    fprintf(stderr, "ours:   %s\ntheirs: %s\n%s\n", ours, theirs_, what);
    fail();
}

static bool plain_select(const char *sql, struct bytes *out)
{
    sqlite3_stmt *run;
    unsigned left = 300;
    if (sqlite3_prepare_v2(plain, sql, -1, &run, NULL) != SQLITE_OK) {
        if (strstr(sqlite3_errmsg(plain), "overflow") == NULL)
            fail_msg("%s: %s", sql, sqlite3_errmsg(plain));
        return false;
    }
    sqlite3_progress_handler(plain, 10000, on_late, &left);
    int rc;
    while ((rc = sqlite3_step(run)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(run); i++) {
            const char *text = (const char *)sqlite3_column_text(run, i);
            bytes_printf(out, "%s%s", i > 0 ? "|" : "", text == NULL ? "NULL" : text);
        }
        bytes_append_u8(out, '\n');
    }
    sqlite3_finalize(run);
    return rc == SQLITE_DONE;
}

static int line_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void lines_sort(struct bytes *text)
{
    BYTES_CLEANUP struct bytes lines = {0};
    BYTES_CLEANUP struct bytes sorted = {0};
    char *save = NULL;
    bytes_append_u8(text, 0);
    for (char *line = strtok_r((char *)text->data, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save))
        bytes_append(&lines, &line, sizeof(line));
    size_t count = lines.len / sizeof(char *);
    if (count > 0)
        qsort(lines.data, count, sizeof(char *), line_order);
    for (size_t i = 0; i < count; i++) {
        bytes_append_text(&sorted, ((char **)(void *)lines.data)[i]);
        bytes_append_u8(&sorted, '\n');
    }
    bytes_append_u8(&sorted, 0);
    struct bytes old = *text;
    *text = sorted;
    sorted = old;
}

static void test_random_joins_and_subqueries_answer_as_written_out(void **state)
{
    (void)state;
    unsigned compared = 0, filled = 0;
    for (unsigned i = 0; i < QUERIES; i++) {
        PAIR_CLEANUP struct pair sql = {0};
        PAIR_CLEANUP struct pair result = {0};
        struct err err = {0};
        statement(&sql);
        const char *ours = (const char *)sql.ours.data;
        if (!plain_select((const char *)sql.theirs.data, &result.theirs))
            continue;
        enum err_code code = source_memory_select(&tables[0], ours, &result.ours, &err);
        if (code == ERR_TIMEOUT ||
            (code == ERR_LIMIT && strstr(err.message, "nested deeper") != NULL))
            continue;
        if (code != ERR_OK)
            give_up(ours, (const char *)sql.theirs.data, err.message);
        compared++;
        filled += result.ours.len > 0 ? 1 : 0;
        lines_sort(&result.ours);
        lines_sort(&result.theirs);
        if (strcmp((const char *)result.ours.data, (const char *)result.theirs.data) != 0) {
            fprintf(stderr, "ours gave\n%stheirs gave\n%s", (const char *)result.ours.data,
                    (const char *)result.theirs.data);
            give_up(ours, (const char *)sql.theirs.data, "not the same rows");
        }
    }
    printf("%u queries compared, %u with rows\n", compared, filled);
    assert_true(compared > QUERIES / 2 && filled > QUERIES / 4); /* most say something */
}

/* ---- the same rows on both sides ---- */

static void table_fill(unsigned table)
{
    char sql[160];
    snprintf(sql, sizeof(sql), "CREATE TABLE %s(a INTEGER, b INTEGER, s TEXT, p INTEGER)",
             table_names[table]);
    assert_int_equal(sqlite3_exec(plain, sql, NULL, NULL, NULL), SQLITE_OK);
    for (unsigned row = 0; row < ROWS; row++) {
        char cells[4][8];
        const char *texts[4];
        for (unsigned i = 0; i < 4; i++) {
            snprintf(cells[i], sizeof(cells[i]), "%u", below(4));
            if (i == 2)
                snprintf(cells[i], sizeof(cells[i]), "%s", PICK("", "a", "ab", "b"));
            texts[i] = i < 3 && below(5) == 0 ? NULL : cells[i];
        }
        source_memory_add(&tables[table], texts);
        snprintf(sql, sizeof(sql), "INSERT INTO %s VALUES(%s, %s, %s%s%s, %s)", table_names[table],
                 texts[0] == NULL ? "NULL" : texts[0], texts[1] == NULL ? "NULL" : texts[1],
                 texts[2] == NULL ? "" : "'", texts[2] == NULL ? "NULL" : texts[2],
                 texts[2] == NULL ? "" : "'", texts[3]);
        assert_int_equal(sqlite3_exec(plain, sql, NULL, NULL, NULL), SQLITE_OK);
    }
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
    for (unsigned i = 0; i < TABLES; i++)
        source_memory_init(&tables[i], &schema, 4);
    tables[0].time_ms_max = TIME_MS_MAX;
    for (unsigned i = 0; i < TABLES; i++) {
        tables[i].name = table_names[i];
        tables[i].next = i + 1 < TABLES ? &tables[i + 1] : NULL;
        table_fill(i);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TABLES; i++)
        source_memory_deinit(&tables[i]);
    return sqlite3_close(plain) != SQLITE_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_joins_and_subqueries_answer_as_written_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
