/* What differs between two versions: random trees against a model, and each kind of difference. */
#include "store/version_diff.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/key.h"
#include "proto/random_test.h"
#include "store/page_memory.h"
#include "store/rowsum.h"

#define PARTITIONS_MAX 400
#define COLUMNS        3

static struct err err;
#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != ERR_OK)                                                                      \
            fail_msg("%s: %s", #call, err.message);                                                \
    } while (0)

static struct column data_columns[COLUMNS] = {
    {.id = 1, .type = {.kind = TYPE_BIGINT}},
    {.id = 2, .type = {.kind = TYPE_BIGINT}},
    {.id = 3, .type = {.kind = TYPE_STRING}},
};
static struct column partition_columns[] = {{.id = 4, .type = {.kind = TYPE_BIGINT}}};
static const struct schema schema = {.columns = data_columns,
                                     .column_count = COLUMNS,
                                     .partition_columns = partition_columns,
                                     .partition_column_count = 1,
                                     .next_column_id = 5};

/* ---- a model: what each partition consists of ---- */

struct model_partition {
    bool exists;
    uint32_t content[COLUMNS]; /* of a column; a and b share a file, c has its own */
    uint32_t groups;           /* row groups of one row each */
    uint32_t layout;           /* moves no checksum */
    bool seen;                 /* by the diff */
};

struct model {
    struct page_memory pages;
    struct page_source source;
    struct page_sink sink;
    struct digest root;
    struct model_partition partitions[PARTITIONS_MAX];
};

static struct digest digest_of_numbers(uint32_t a, uint32_t b)
{
    uint32_t numbers[2] = {a, b};
    return digest_of(DOMAIN_FILE, span_of((uint8_t *)numbers, sizeof(numbers)));
}

/* As a writer would sum its rows: equal content and count, equal sum. */
static struct row_checksum checksum_of(const struct model_partition *p)
{
    struct row_checksum sum = {0};
    for (size_t i = 0; i < COLUMNS; i++)
        memcpy(sum.b + 4 * i, &p->content[i], 4);
    memcpy(sum.b + 12, &p->groups, 4);
    return sum;
}

struct group {
    struct bytes key;
    struct page_file files[2];
    struct page_column columns[COLUMNS];
    struct page_entry entry;
};

static void group_make(struct group *group, struct span partition, uint32_t at,
                       const struct model_partition *p)
{
    row_group_key(partition,
                  (struct row_group_place){.segment = p->layout, .row_group = at, .column_id = 1},
                  &group->key);
    group->files[0] = (struct page_file){digest_of_numbers(p->content[0], p->content[1]), 200};
    group->files[1] = (struct page_file){digest_of_numbers(p->content[2], 77), 1000};
    group->columns[0] = (struct page_column){.column_id = 1, .bytes = 100};
    group->columns[1] = (struct page_column){.column_id = 2, .offset = 100, .bytes = 100};
    group->columns[2] = (struct page_column){.column_id = 3, .file = 1, .bytes = 1000};
    /* what is even shows in the NULLs, what is odd does not */
    group->columns[0].null_count = p->content[0] % 2 == 0 ? 1 : 0;
    group->entry = (struct page_entry){.kind = PAGE_ENTRY_ROW_GROUP,
                                       .key = bytes_span(&group->key),
                                       .row_group = {.row_count = 1,
                                                     .files = group->files,
                                                     .file_count = 2,
                                                     .columns = group->columns,
                                                     .column_count = COLUMNS}};
}

static void partition_edit(struct model *model, int64_t number)
{
    const struct model_partition *p = &model->partitions[number];
    BYTES_CLEANUP struct bytes key = {0};
    key_append_i64(&key, number);
    struct group *groups = mem_calloc(p->groups + 1, sizeof(*groups));
    struct tree_edit *edits = mem_calloc(p->groups + 2, sizeof(*edits));
    struct page_entry entry = {.kind = PAGE_ENTRY_PARTITION,
                               .key = bytes_span(&key),
                               .partition = {.segment_count = p->layout + 1,
                                             .row_count = p->groups,
                                             .byte_count = 1200 * (uint64_t)p->groups,
                                             .checksum = checksum_of(p)}};
    size_t count = 0;
    edits[count++] = (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = bytes_span(&key)};
    if (p->exists)
        edits[count++] = (struct tree_edit){.kind = TREE_PUT, .entry = &entry};
    for (uint32_t i = 0; p->exists && i < p->groups; i++) {
        group_make(&groups[i], bytes_span(&key), i, p);
        edits[count++] = (struct tree_edit){.kind = TREE_PUT, .entry = &groups[i].entry};
    }
    struct tree_edit_array array = {.edits = edits, .count = count};
    struct tree_edit_source source = tree_edit_array_source(&array);
    const struct tree tree = {&model->source, TREE_MANIFEST, model->root};
    struct tree_apply_result result;
    ok(tree_apply(&tree, &model->sink, &source, &result, &err));
    model->root = result.root;
    for (uint32_t i = 0; i < p->groups; i++)
        bytes_deinit(&groups[i].key);
    mem_free(groups);
    mem_free(edits);
}

static void model_init(struct model *model)
{
    *model = (struct model){0};
    model->source = page_memory_source(&model->pages);
    model->sink = page_memory_sink(&model->pages);
    ok(tree_empty(TREE_MANIFEST, &model->sink, &model->root, &err));
}

/* The same partitions, in a memory of its own. */
static void model_set(struct model *model, const struct model_partition *partitions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        model->partitions[i] = partitions[i];
        if (partitions[i].exists)
            partition_edit(model, (int64_t)i);
    }
}

static void model_deinit(struct model *model)
{
    page_memory_deinit(&model->pages);
}
#define MODEL_CLEANUP __attribute__((cleanup(model_deinit)))

/* ---- the diff against both models ---- */

struct check {
    struct model *here, *there;
    const struct version_diff_counts *counts;
    size_t told;
    char last_columns[64], last_perhaps[64], last_detail[128];
    enum version_change_kind last;
};

static bool content_equal(const struct model_partition *a, const struct model_partition *b)
{
    return memcmp(a->content, b->content, sizeof(a->content)) == 0 && a->groups == b->groups;
}

static bool names(struct span list, const char *name)
{
    char text[64];
    snprintf(text, sizeof(text), ", %.*s,", SPAN_PRINTF(list));
    char word[16];
    snprintf(word, sizeof(word), ", %s,", name);
    return strstr(text, word) != NULL;
}

/* What shared files hide is allowed to be `perhaps`, and nothing else. */
static void columns_check(const struct version_change *change, const struct model_partition *a,
                          const struct model_partition *b)
{
    bool aligned = a->groups > 0 && a->groups == b->groups && a->layout == b->layout;
    bool first = a->content[0] != b->content[0], second = a->content[1] != b->content[1];
    if (!aligned) {
        assert_int_equal(change->columns.len + change->perhaps.len, 0);
        assert_non_null(change->detail);
        return;
    }
    bool shows = a->content[0] % 2 != b->content[0] % 2;
    assert_int_equal(names(change->columns, "c"), a->content[2] != b->content[2]);
    assert_int_equal(names(change->columns, "a"), shows);
    assert_false(names(change->columns, "b"));
    assert_int_equal(names(change->perhaps, "a"), (first || second) && !shows);
    assert_int_equal(names(change->perhaps, "b"), first || second);
}

static enum err_code on_change(void *context, const struct version_change *change, struct err *out)
{
    struct check *check = context;
    int number = -1;
    (void)out;
    check->told++;
    check->last = change->kind;
    snprintf(check->last_columns, sizeof(check->last_columns), "%.*s",
             SPAN_PRINTF(change->columns));
    snprintf(check->last_perhaps, sizeof(check->last_perhaps), "%.*s",
             SPAN_PRINTF(change->perhaps));
    snprintf(check->last_detail, sizeof(check->last_detail), "%s",
             change->detail == NULL ? "" : change->detail);
    if (change->kind == CHANGE_SCHEMA)
        return ERR_OK;
    char text[64];
    snprintf(text, sizeof(text), "%.*s", SPAN_PRINTF(change->partition));
    assert_int_equal(sscanf(text, "p=%d", &number), 1);
    struct model_partition *a = &check->here->partitions[number];
    struct model_partition *b = &check->there->partitions[number];
    assert_false(a->seen); /* once each */
    a->seen = true;
    assert_int_equal(change->here != NULL, a->exists);
    assert_int_equal(change->there != NULL, b->exists);
    if (!a->exists || !b->exists)
        assert_int_equal(change->kind, a->exists ? CHANGE_ONLY_HERE : CHANGE_ONLY_THERE);
    else
        assert_int_equal(change->kind,
                         content_equal(a, b) ? CHANGE_OTHER_LAYOUT : CHANGE_OTHER_ROWS);
    if (change->kind == CHANGE_OTHER_ROWS)
        columns_check(change, a, b);
    return ERR_OK;
}

static struct version_diff_counts compare(struct check *check, const struct schema *here,
                                          const struct schema *there)
{
    const struct version_record a = {.schema = *here, .root = check->here->root};
    const struct version_record b = {.schema = *there, .root = check->there->root};
    const struct version_side side_a = {&a, &check->here->source};
    const struct version_side side_b = {&b, &check->there->source};
    const struct version_diff_watch watch = {.on_change = on_change, .context = check};
    struct version_diff_counts counts;
    ok(version_diff(&side_a, &side_b, &watch, &counts, &err));
    return counts;
}

static void all_were_seen(const struct check *check)
{
    for (size_t i = 0; i < PARTITIONS_MAX; i++) {
        const struct model_partition *a = &check->here->partitions[i];
        const struct model_partition *b = &check->there->partitions[i];
        bool differs = a->exists != b->exists ||
                       (a->exists && (!content_equal(a, b) || a->layout != b->layout));
        if (differs != a->seen)
            fail_msg("partition %zu %s", i, differs ? "was not told" : "was told");
    }
}

static void partition_change(struct random *random, struct model_partition *p)
{
    switch (random_below(random, 5)) {
    case 0:
        p->exists = !p->exists;
        break;
    case 1:
        p->layout++;
        break;
    case 2:
        p->groups++;
        break;
    default:
        p->content[random_below(random, COLUMNS)] += 1 + (uint32_t)random_below(random, 2);
    }
}

static void test_random_trees_differ_as_they_were_made(void **state)
{
    (void)state;
    struct random random = random_start();
    static struct model_partition base[PARTITIONS_MAX];
    for (int round = 0; round < 30; round++) {
        MODEL_CLEANUP struct model here;
        MODEL_CLEANUP struct model there;
        model_init(&here);
        model_init(&there);
        size_t count = 1 + random_below(&random, PARTITIONS_MAX);
        memset(base, 0, sizeof(base));
        for (size_t i = 0; i < count; i++)
            base[i] = (struct model_partition){.exists = random_below(&random, 8) > 0,
                                               .content = {1, 2, 3},
                                               .groups = (uint32_t)random_below(&random, 4)};
        model_set(&here, base, count);
        for (size_t changes = random_below(&random, 20); changes > 0; changes--)
            partition_change(&random, &base[random_below(&random, count)]);
        model_set(&there, base, count);
        struct check check = {.here = &here, .there = &there};
        struct version_diff_counts counts = compare(&check, &schema, &schema);
        uint64_t told = 0;
        for (size_t i = 0; i < CHANGE_KINDS; i++)
            told += counts.of[i];
        assert_int_equal(told, check.told);
        all_were_seen(&check);
        if (digest_equal(&here.root, &there.root))
            assert_int_equal(counts.pages, 0);
    }
}

static void test_three_changes_among_many_read_few_pages(void **state)
{
    (void)state;
    static struct model_partition base[PARTITIONS_MAX];
    MODEL_CLEANUP struct model here;
    MODEL_CLEANUP struct model there;
    model_init(&here);
    model_init(&there);
    for (size_t i = 0; i < PARTITIONS_MAX; i++)
        base[i] = (struct model_partition){.exists = true, .content = {1, 2, 3}, .groups = 8};
    model_set(&here, base, PARTITIONS_MAX);
    size_t all = here.pages.page_count;
    base[7].content[2]++;
    base[150].content[2]++;
    base[399].layout++;
    model_set(&there, base, PARTITIONS_MAX);
    struct check check = {.here = &here, .there = &there};
    struct version_diff_counts counts = compare(&check, &schema, &schema);
    assert_int_equal(counts.of[CHANGE_OTHER_ROWS], 2);
    assert_int_equal(counts.of[CHANGE_OTHER_LAYOUT], 1);
    all_were_seen(&check);
    print_message("%zu pages written, %" PRIu64 " read\n", all, counts.pages);
    assert_true(counts.pages < 40);
}

/* ---- schemas ---- */

struct schema_case {
    const char *name;
    struct column data[COLUMNS + 1];
    size_t data_count;
    struct column partition;
    const char *columns, *words; /* of the last change */
    size_t told;
};

static void test_columns_that_differ_are_told(void **state)
{
    (void)state;
    const struct column a = data_columns[0], b = data_columns[1], c = data_columns[2];
    const struct column p = partition_columns[0];
    struct column int_b = b, whole_b = b, said_c = c, text_p = p;
    int_b.type.kind = TYPE_INT;
    whole_b.not_null = true;
    said_c.comment = span_text("x");
    text_p.type.kind = TYPE_STRING;
    const struct column d = {.id = 9, .name = span_text("d"), .type = {.kind = TYPE_INT}};
    const struct schema_case cases[] = {
        {"the same", {a, b, c}, 3, p, "", "", 0},
        {"more there", {a, b, c, d}, 4, p, "d", "only there", 1},
        {"more here", {a, b}, 2, p, "c", "only here", 1},
        {"a type", {a, int_b, c}, 3, p, "b", "BIGINT here, INT there", 1},
        {"NOT NULL", {a, whole_b, c}, 3, p, "b", "NOT NULL there", 1},
        {"a comment", {a, b, said_c}, 3, p, "c", "comment", 1},
        {"a partition's type", {a, b, c}, 3, text_p, "", "partitions were not compared", 2},
    };
    static struct model_partition base[1] = {{.exists = true, .content = {1, 2, 3}, .groups = 1}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        MODEL_CLEANUP struct model here;
        MODEL_CLEANUP struct model there;
        model_init(&here);
        model_init(&there);
        model_set(&here, base, 1);
        model_set(&there, base, 1);
        struct column data[COLUMNS + 1], partition = cases[i].partition;
        memcpy(data, cases[i].data, sizeof(data));
        const struct schema other = {.columns = data,
                                     .column_count = cases[i].data_count,
                                     .partition_columns = &partition,
                                     .partition_column_count = 1};
        struct check check = {.here = &here, .there = &there};
        struct version_diff_counts counts = compare(&check, &schema, &other);
        if (check.told != cases[i].told || counts.of[CHANGE_SCHEMA] != cases[i].told ||
            strcmp(check.last_columns, cases[i].columns) != 0 ||
            strstr(check.last_detail, cases[i].words) == NULL)
            fail_msg("%s: %zu told, '%s' '%s'", cases[i].name, check.told, check.last_columns,
                     check.last_detail);
    }
}

/* Rows of other columns cannot have the same checksum, whatever it says. */
static void test_rows_of_other_columns_are_never_the_same(void **state)
{
    (void)state;
    static struct model_partition base[1] = {{.exists = true, .content = {1, 2, 3}, .groups = 1}};
    MODEL_CLEANUP struct model here;
    MODEL_CLEANUP struct model there;
    model_init(&here);
    model_init(&there);
    model_set(&here, base, 1);
    base[0].layout = 1;
    model_set(&there, base, 1);
    struct column data[COLUMNS] = {data_columns[0], data_columns[1], data_columns[2]};
    data[2].type.kind = TYPE_BIGINT;
    const struct schema other = {.columns = data,
                                 .column_count = COLUMNS,
                                 .partition_columns = partition_columns,
                                 .partition_column_count = 1};
    here.partitions[0].groups = 2; /* so that the model, too, says that its rows differ */
    struct check check = {.here = &here, .there = &there};
    struct version_diff_counts counts = compare(&check, &schema, &other);
    assert_int_equal(counts.of[CHANGE_OTHER_ROWS], 1);
    assert_non_null(strstr(check.last_detail, "its columns differ"));
}

static bool always(void *context)
{
    (void)context;
    return true;
}

static void test_it_stops_when_told(void **state)
{
    (void)state;
    static struct model_partition base[1] = {{.exists = true, .content = {1, 2, 3}}};
    MODEL_CLEANUP struct model here;
    MODEL_CLEANUP struct model there;
    model_init(&here);
    model_init(&there);
    model_set(&here, base, 1);
    const struct version_record a = {.schema = schema, .root = here.root};
    const struct version_record b = {.schema = schema, .root = there.root};
    const struct version_side side_a = {&a, &here.source}, side_b = {&b, &there.source};
    struct check check = {.here = &here, .there = &there};
    const struct version_diff_watch watch = {on_change, always, &check};
    struct version_diff_counts counts;
    assert_int_equal(version_diff(&side_a, &side_b, &watch, &counts, &err), ERR_CANCELLED);
    assert_int_equal(check.told, 0);
}

int main(void)
{
    const char *const names_of_columns[] = {"a", "b", "c"};
    for (size_t i = 0; i < COLUMNS; i++)
        data_columns[i].name = span_text(names_of_columns[i]);
    partition_columns[0].name = span_text("p");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_trees_differ_as_they_were_made),
        cmocka_unit_test(test_three_changes_among_many_read_few_pages),
        cmocka_unit_test(test_columns_that_differ_are_told),
        cmocka_unit_test(test_rows_of_other_columns_are_never_the_same),
        cmocka_unit_test(test_it_stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
