#include "store/page_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* ---- random, from a printed seed ---- */

static uint64_t seed_state;

static uint64_t next_random(void)
{
    seed_state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = seed_state;
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static size_t below(size_t n)
{
    return (size_t)(next_random() % n);
}

static int seed_setup(void **state)
{
    (void)state;
    const char *given = getenv("STRAIT_SEED");
    seed_state = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("STRAIT_SEED=%" PRIu64 "\n", seed_state);
    return 0;
}

/* ---- a model: sorted array of small attribute or partition entries ---- */

#define KEYS_MAX       4096
#define KEY_TEXT_BYTES 700

/* Bytes that pad each key: long keys make deep trees of few entries a page. */
static size_t key_pad;

struct model {
    uint64_t value[KEYS_MAX]; /* by key number; 0: absent */
    size_t universe;
};

/* "p" partition number "k": so prefixes of two letters cover runs of keys. */
static struct span key_of(size_t n, char text[KEY_TEXT_BYTES])
{
    int len = snprintf(text, KEY_TEXT_BYTES, "p%03zu/%03zu%s", n / 16, n % 16,
                       n % 7 == 0 ? "-longer" : "");
    memset(text + len, 'x', key_pad);
    return span_of(text, (size_t)len + key_pad);
}

static struct page_entry entry_of(struct span key, uint64_t value)
{
    struct page_entry entry = {
        .kind = PAGE_ENTRY_PARTITION,
        .key = key,
        .partition = {.segment_count = 1, .row_count = value % 1000, .byte_count = value},
    };
    store_u64(entry.partition.checksum.b, value);
    return entry;
}

struct model_edits {
    const struct model *model;
    size_t at;
    char text[KEY_TEXT_BYTES];
    struct page_entry entry;
};

static enum err_code model_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                struct err *err)
{
    (void)err;
    struct model_edits *edits = context;
    while (edits->at < edits->model->universe && edits->model->value[edits->at] == 0)
        edits->at++;
    *ret_end = edits->at == edits->model->universe;
    if (*ret_end)
        return ERR_OK;
    edits->entry = entry_of(key_of(edits->at, edits->text), edits->model->value[edits->at]);
    edits->at++;
    *ret_edit = (struct tree_edit){.kind = TREE_PUT, .entry = &edits->entry};
    return ERR_OK;
}

static struct page_memory memory;
static struct page_source source;
static struct page_sink sink;

static int memory_setup(void **state)
{
    seed_setup(state);
    key_pad = 0;
    source = page_memory_source(&memory);
    sink = page_memory_sink(&memory);
    return 0;
}

static int memory_teardown(void **state)
{
    (void)state;
    page_memory_deinit(&memory);
    return 0;
}

static struct tree tree_at(struct digest root)
{
    return (struct tree){.source = &source, .kind = TREE_MANIFEST, .root = root};
}

static struct tree empty_tree(void)
{
    struct digest root;
    assert_int_equal(tree_empty(TREE_MANIFEST, &sink, &root, NULL), ERR_OK);
    return tree_at(root);
}

static struct tree apply(struct tree tree, const struct tree_edit_source *edits)
{
    struct tree_apply_result result;
    struct err err = {0};
    if (tree_apply(&tree, &sink, edits, &result, &err) != ERR_OK)
        fail_msg("%s", err.message);
    return tree_at(result.root);
}

/* The model's content, built in one go from nothing. */
static struct tree build(const struct model *model)
{
    struct model_edits edits = {.model = model};
    struct tree_edit_source pulled = {.next = model_next, .context = &edits};
    return apply(empty_tree(), &pulled);
}

/* Every page of the tree stands as page_decode wants it; entries equal the model's. */
static void check_equal(struct tree tree, const struct model *model)
{
    struct tree_cursor *cursor = tree_cursor_new(&tree);
    struct err err = {0};
    char text[KEY_TEXT_BYTES];
    for (size_t n = 0; n < model->universe; n++) {
        if (model->value[n] == 0)
            continue;
        const struct page_entry *entry = NULL;
        if (tree_cursor_next(cursor, &entry, &err) != ERR_OK)
            fail_msg("%s", err.message);
        assert_non_null(entry);
        assert_true(span_equal(entry->key, key_of(n, text)));
        assert_int_equal(entry->partition.byte_count, model->value[n]);
    }
    const struct page_entry *entry = NULL;
    assert_int_equal(tree_cursor_next(cursor, &entry, &err), ERR_OK);
    assert_null(entry);
    tree_cursor_free(cursor);
}

/* One random change of the model, as edits of the tree. */
struct change {
    struct tree_edit edits[KEYS_MAX + 1];
    struct page_entry entries[KEYS_MAX];
    char text[KEYS_MAX][KEY_TEXT_BYTES];
    char prefix[KEY_TEXT_BYTES];
    size_t count;
};

static struct change change;

static void change_put(struct model *model, size_t n, uint64_t value)
{
    change.entries[n] = entry_of(key_of(n, change.text[n]), value);
    change.edits[change.count++] =
        (struct tree_edit){.kind = TREE_PUT, .entry = &change.entries[n]};
    model->value[n] = value;
}

static void change_random(struct model *model, size_t edit_count)
{
    static uint8_t touched[KEYS_MAX];
    memset(touched, 0, sizeof(touched));
    size_t from = below(model->universe);
    size_t range = below(2) == 0 ? model->universe : 1 + below(model->universe);
    for (size_t i = 0; i < edit_count; i++)
        touched[(from + below(range)) % model->universe] = 1;
    unsigned put_percent = (unsigned)(below(5) * 25);
    change.count = 0;
    for (size_t n = 0; n < model->universe; n++) {
        if (touched[n] == 0)
            continue;
        if (below(100) < put_percent) {
            change_put(model, n, 1 + next_random() % 1000000);
            continue;
        }
        change.edits[change.count++] =
            (struct tree_edit){.kind = TREE_DELETE, .key = key_of(n, change.text[n])};
        model->value[n] = 0;
    }
}

/* Deletes a prefix and puts some of its keys again. */
static void change_prefix(struct model *model)
{
    size_t pick = below(model->universe);
    static const size_t lengths[] = {0, 1, 2, 3, 4, 5};
    size_t len = lengths[below(ARRAY_COUNT(lengths))];
    char whole[KEY_TEXT_BYTES];
    key_of(pick, whole);
    memcpy(change.prefix, whole, len);
    struct span prefix = span_of(change.prefix, len);
    change.count = 0;
    change.edits[change.count++] = (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = prefix};
    bool put_some = below(2) == 0;
    for (size_t n = 0; n < model->universe; n++) {
        struct span key = key_of(n, change.text[n]);
        if (!span_equal(span_slice(key, 0, len), prefix))
            continue;
        model->value[n] = 0;
        if (put_some && below(2) == 0)
            change_put(model, n, 1 + next_random() % 1000000);
    }
}

/* Deletes up to three ranges, as CLONE does with what lies between the partitions that it takes. */
static void change_ranges(struct model *model)
{
    static char bounds[6][KEY_TEXT_BYTES];
    size_t at = 0;
    change.count = 0;
    for (size_t i = 0; i < 3 && at < model->universe; i++) {
        size_t from = at + below(model->universe - at);
        size_t until = from + 1 + below(model->universe - from);
        struct tree_edit edit = {.kind = TREE_DELETE_RANGE, .key = key_of(from, bounds[2 * i])};
        if (until < model->universe)
            edit.until = key_of(until, bounds[2 * i + 1]);
        change.edits[change.count++] = edit;
        memset(model->value + from, 0, (until - from) * sizeof(model->value[0]));
        at = until;
    }
}

static struct tree apply_change(struct tree tree)
{
    struct tree_edit_array array = {.edits = change.edits, .count = change.count};
    struct tree_edit_source pulled = tree_edit_array_source(&array);
    return apply(tree, &pulled);
}

/* ---- tests ---- */

static void test_same_content_gives_the_same_root_whatever_the_history(void **state)
{
    (void)state;
    static struct model model;
    static const size_t universes[] = {3, 40, 300, 1500, KEYS_MAX};
    for (size_t history = 0; history < 120; history++) {
        key_pad = history % 3 == 0 ? 600 : history % 3 == 1 ? 100 : 0;
        memset(&model, 0, sizeof(model));
        model.universe = universes[history % ARRAY_COUNT(universes)];
        if (key_pad > 0 && model.universe > 1000)
            model.universe = 1000; /* long keys are deep trees already, and slow ones */
        struct tree tree = empty_tree();
        for (size_t step = 0; step < 20; step++) {
            size_t kind = below(6);
            if (kind == 0)
                change_prefix(&model);
            else if (kind == 1)
                change_ranges(&model);
            else
                change_random(&model, 1 + below(below(2) == 0 ? 4 : model.universe));
            tree = apply_change(tree);
            struct tree fresh = build(&model);
            if (!digest_equal(&tree.root, &fresh.root))
                fail_msg("history %zu, step %zu: another root", history, step);
        }
        check_equal(tree, &model);
        page_memory_deinit(&memory);
    }
}

static void test_order_of_single_puts_does_not_matter(void **state)
{
    (void)state;
    static struct model model;
    static size_t order[700];
    memset(&model, 0, sizeof(model));
    model.universe = ARRAY_COUNT(order);
    for (size_t i = 0; i < ARRAY_COUNT(order); i++)
        order[i] = i;
    for (size_t i = ARRAY_COUNT(order); i > 1; i--) {
        size_t j = below(i);
        size_t keep = order[i - 1];
        order[i - 1] = order[j];
        order[j] = keep;
    }
    struct tree tree = empty_tree();
    for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
        change.count = 0;
        change_put(&model, order[i], 1 + order[i]);
        tree = apply_change(tree);
    }
    struct tree fresh = build(&model);
    assert_true(digest_equal(&tree.root, &fresh.root));
}

static void test_deleting_everything_gives_the_empty_tree(void **state)
{
    (void)state;
    static struct model model;
    memset(&model, 0, sizeof(model));
    model.universe = 2000;
    for (size_t n = 0; n < model.universe; n++)
        model.value[n] = n + 1;
    struct tree tree = build(&model);
    uint64_t reads = memory.reads;
    change.count = 1;
    change.edits[0] = (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = span_of(NULL, 0)};
    struct tree gone = apply_change(tree);
    struct digest empty = tree_empty_root(TREE_MANIFEST);
    assert_true(digest_equal(&gone.root, &empty));
    /* Only the leftmost path: what goes whole is not read. */
    assert_true(memory.reads - reads <= 4);
}

static void test_keeping_a_part_reads_its_edges_only(void **state)
{
    (void)state;
    static struct model model;
    static char bounds[2][KEY_TEXT_BYTES];
    memset(&model, 0, sizeof(model));
    model.universe = 4000;
    for (size_t n = 0; n < model.universe; n++)
        model.value[n] = n + 1;
    struct tree tree = build(&model);
    size_t pages = memory.page_count;
    uint64_t reads = memory.reads;
    uint64_t writes = memory.writes;
    change.count = 2;
    change.edits[0] =
        (struct tree_edit){.kind = TREE_DELETE_RANGE, .until = key_of(500, bounds[0])};
    change.edits[1] = (struct tree_edit){.kind = TREE_DELETE_RANGE, .key = key_of(3500, bounds[1])};
    struct tree part = apply_change(tree);
    memset(model.value, 0, 500 * sizeof(model.value[0]));
    memset(model.value + 3500, 0, 500 * sizeof(model.value[0]));
    uint64_t read = memory.reads - reads;
    uint64_t wrote = memory.writes - writes;
    assert_true(pages > 40);
    if (read > 20 || wrote > 12)
        fail_msg("%" PRIu64 " of %zu pages read, %" PRIu64 " written", read, pages, wrote);
    struct tree fresh = build(&model);
    assert_true(digest_equal(&part.root, &fresh.root));
    check_equal(part, &model);
}

static void test_no_edits_read_and_write_nothing(void **state)
{
    (void)state;
    struct tree tree = empty_tree();
    uint64_t reads = memory.reads;
    uint64_t writes = memory.writes;
    change.count = 0;
    struct tree same = apply_change(tree);
    assert_true(digest_equal(&tree.root, &same.root));
    assert_int_equal(memory.reads, reads);
    assert_int_equal(memory.writes, writes);
}

static void test_edits_out_of_order_are_refused(void **state)
{
    (void)state;
    static struct model model;
    struct tree tree = empty_tree();
    change.count = 0;
    change_put(&model, 5, 1);
    change_put(&model, 4, 1);
    struct tree_edit_array array = {.edits = change.edits, .count = change.count};
    struct tree_edit_source pulled = tree_edit_array_source(&array);
    struct tree_apply_result result;
    assert_int_equal(tree_apply(&tree, &sink, &pulled, &result, NULL), ERR_INTERNAL);
}

static void fill(struct model *model, size_t universe, unsigned percent)
{
    memset(model, 0, sizeof(*model));
    model->universe = universe;
    for (size_t n = 0; n < universe; n++)
        model->value[n] = below(100) < percent ? 1 + next_random() % 1000000 : 0;
}

/* What a deep tree goes back to must not keep a root with one child. */
static void test_deep_tree_shrinks_to_the_lowest_level_with_one_page(void **state)
{
    (void)state;
    static struct model model;
    key_pad = 600;
    fill(&model, 2000, 100);
    struct tree tree = build(&model);
    TREE_PAGE_CLEANUP struct tree_page root = {0};
    struct page_place place = page_place_root(TREE_MANIFEST);
    assert_int_equal(tree_page_read(&source, &tree.root, &place, &root, NULL), ERR_OK);
    assert_true(root.page.level >= 3);
    /* All but a few of the last go: these stand in the last page of every level. */
    for (size_t keep = 1; keep < 40; keep++) {
        struct model few = model;
        change.count = 0;
        for (size_t n = 0; n < few.universe - keep; n++) {
            few.value[n] = 0;
            change.edits[change.count++] =
                (struct tree_edit){.kind = TREE_DELETE, .key = key_of(n, change.text[n])};
        }
        struct tree shrunk = apply_change(tree);
        struct tree fresh = build(&few);
        assert_true(digest_equal(&shrunk.root, &fresh.root));
    }
}

/* The last page of level 1 may have one entry; left alone in the tree, its child is the root. */
static void test_last_page_with_one_child_left_alone_gives_way_to_its_child(void **state)
{
    (void)state;
    static struct model model;
    memset(&model, 0, sizeof(model));
    key_pad = 600;
    struct tree tree = empty_tree();
    size_t met = 0;
    for (model.universe = 1; model.universe < 900; model.universe++) {
        change.count = 0;
        change_put(&model, model.universe - 1, model.universe);
        tree = apply_change(tree);
        struct span last = key_of(model.universe - 1, change.text[0]);
        TREE_PAGE_CLEANUP struct tree_page page = {0};
        struct page_place place = page_place_root(TREE_MANIFEST);
        assert_int_equal(tree_page_read(&source, &tree.root, &place, &page, NULL), ERR_OK);
        if (page.page.level != 2)
            continue;
        struct digest digest;
        assert_int_equal(tree_get_page(&tree, 1, last, &digest, NULL), ERR_OK);
        struct page_place right = page_place_child(&page.page, &place, page.page.entry_count - 1);
        TREE_PAGE_CLEANUP struct tree_page level_1 = {0};
        assert_int_equal(tree_page_read(&source, &digest, &right, &level_1, NULL), ERR_OK);
        if (level_1.page.entry_count != 1)
            continue;
        met++;
        struct model few = model;
        change.count = 0;
        for (size_t n = 0; span_compare(key_of(n, change.text[n]), right.after) <= 0; n++) {
            few.value[n] = 0;
            change.edits[change.count++] =
                (struct tree_edit){.kind = TREE_DELETE, .key = key_of(n, change.text[n])};
        }
        struct tree left = apply_change(tree);
        assert_true(digest_equal(&left.root, &level_1.page.entries[0].child.digest));
        struct tree fresh = build(&few);
        assert_true(digest_equal(&left.root, &fresh.root));
    }
    assert_true(met > 0);
}

static void test_get_finds_exactly_the_keys_that_are_there(void **state)
{
    (void)state;
    static struct model model;
    fill(&model, 3000, 50);
    struct tree tree = build(&model);
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    char text[KEY_TEXT_BYTES];
    for (size_t n = 0; n < model.universe; n++) {
        const struct page_entry *entry = NULL;
        enum err_code code = tree_get(&tree, key_of(n, text), &page, &entry, NULL);
        assert_int_equal(code, model.value[n] == 0 ? ERR_NOT_FOUND : ERR_OK);
        if (code == ERR_OK)
            assert_int_equal(entry->partition.byte_count, model.value[n]);
    }
}

/* Seeks in any direction land where a scan of the model lands. */
static void test_seek_lands_on_the_first_key_not_before(void **state)
{
    (void)state;
    static struct model model;
    key_pad = 300;
    fill(&model, 3000, 60);
    struct tree tree = build(&model);
    struct tree_cursor *cursor = tree_cursor_new(&tree);
    char text[KEY_TEXT_BYTES];
    for (size_t i = 0; i < 2000; i++) {
        size_t n = below(model.universe);
        bool past = below(3) == 0;
        size_t expected = past ? (n / 16 + 1) * 16 : n;
        struct span key = key_of(n, text);
        if (past)
            tree_cursor_seek_past(cursor, span_slice(key, 0, 5));
        else
            tree_cursor_seek(cursor, key);
        for (size_t step = below(3) == 0 ? 1 + below(40) : 1; step > 0; step--) {
            while (expected < model.universe && model.value[expected] == 0)
                expected++;
            const struct page_entry *entry = NULL;
            assert_int_equal(tree_cursor_next(cursor, &entry, NULL), ERR_OK);
            if (expected >= model.universe) {
                assert_null(entry);
                break;
            }
            assert_non_null(entry);
            assert_true(span_equal(entry->key, key_of(expected, text)));
            expected++;
        }
    }
    tree_cursor_free(cursor);
}

/* The same answers as from the root down, with most pages read once. */
static void test_look_ups_on_a_cursor_agree_and_read_little(void **state)
{
    (void)state;
    static struct model model;
    key_pad = 300;
    fill(&model, 2000, 60);
    struct tree tree = build(&model);
    TREE_CURSOR_CLEANUP struct tree_cursor *cursor = tree_cursor_new(&tree);
    char text[KEY_TEXT_BYTES];
    for (size_t i = 0; i < 3000; i++) {
        struct span key = key_of(below(model.universe), text);
        uint32_t level = (uint32_t)below(5);
        struct digest expected = {0};
        struct digest found = {0};
        enum err_code code = tree_get_page(&tree, level, key, &expected, NULL);
        assert_int_equal(tree_cursor_get_page(cursor, level, key, &found, NULL), code);
        assert_true(digest_equal(&expected, &found));
        const struct page_entry *entry = NULL;
        size_t n = below(model.universe);
        code = tree_cursor_get(cursor, key_of(n, text), &entry, NULL);
        assert_int_equal(code, model.value[n] == 0 ? ERR_NOT_FOUND : ERR_OK);
        if (code == ERR_OK)
            assert_int_equal(entry->partition.byte_count, model.value[n]);
    }
    TREE_CURSOR_CLEANUP struct tree_cursor *ascending = tree_cursor_new(&tree);
    for (size_t n = 0; n < model.universe; n++) {
        const struct page_entry *entry = NULL;
        assert_int_equal(tree_cursor_get(ascending, key_of(n, text), &entry, NULL),
                         model.value[n] == 0 ? ERR_NOT_FOUND : ERR_OK);
    }
    assert_true(tree_cursor_pages(ascending) <= memory.page_count);
}

struct diff_seen {
    const struct model *old;
    const struct model *new;
    size_t at;
    size_t count;
};

static void diff_differs(struct diff_seen *seen, const struct page_entry *old,
                         const struct page_entry *new)
{
    while (seen->old->value[seen->at] == seen->new->value[seen->at])
        seen->at++;
    char text[KEY_TEXT_BYTES];
    uint64_t old_value = seen->old->value[seen->at];
    uint64_t new_value = seen->new->value[seen->at];
    struct span key = key_of(seen->at, text);
    assert_true((old != NULL) == (old_value != 0));
    assert_true((new != NULL) == (new_value != 0));
    if (old != NULL)
        assert_true(span_equal(old->key, key) && old->partition.byte_count == old_value);
    if (new != NULL)
        assert_true(span_equal(new->key, key) && new->partition.byte_count == new_value);
    seen->at++;
    seen->count++;
}

static void test_diff_tells_what_differs_and_nothing_else(void **state)
{
    (void)state;
    static struct model old_model;
    static struct model new_model;
    for (size_t round = 0; round < 40; round++) {
        key_pad = round % 2 == 0 ? 600 : 0;
        fill(&old_model, 1 + below(key_pad > 0 ? 800 : KEYS_MAX - 1), (unsigned)below(101));
        new_model = old_model;
        struct tree old = build(&old_model);
        if (below(4) == 0)
            change_prefix(&new_model);
        else
            change_random(&new_model, 1 + below(below(2) == 0 ? 5 : 500));
        struct tree new = apply_change(old);
        size_t expected = 0;
        for (size_t n = 0; n < old_model.universe; n++)
            expected += old_model.value[n] != new_model.value[n];
        struct diff_seen seen = {.old = &old_model, .new = &new_model};
        TREE_DIFF_CLEANUP struct tree_diff *diff = tree_diff_new(&old, &new);
        for (;;) {
            const struct page_entry *a = NULL;
            const struct page_entry *b = NULL;
            assert_int_equal(tree_diff_next(diff, &a, &b, NULL), ERR_OK);
            if (a == NULL && b == NULL)
                break;
            diff_differs(&seen, a, b);
        }
        assert_int_equal(seen.count, expected);
        page_memory_deinit(&memory);
    }
}

/* An inserted key shifts where pages end, for a while: beyond that, subtrees are equal again. */
static void test_diff_of_one_inserted_key_reads_few_pages(void **state)
{
    (void)state;
    static struct model old_model;
    static struct model new_model;
    key_pad = 300;
    uint64_t pages = 0;
    for (size_t round = 0; round < 20; round++) {
        fill(&old_model, 3000, 100);
        size_t n = below(old_model.universe);
        old_model.value[n] = 0;
        new_model = old_model;
        struct tree old = build(&old_model);
        change.count = 0;
        change_put(&new_model, n, 5);
        struct tree new = apply_change(old);
        TREE_DIFF_CLEANUP struct tree_diff *diff = tree_diff_new(&old, &new);
        for (size_t i = 0; i < 2; i++) {
            const struct page_entry *a = NULL;
            const struct page_entry *b = NULL;
            assert_int_equal(tree_diff_next(diff, &a, &b, NULL), ERR_OK);
            assert_null(a);
            assert_true((b != NULL) == (i == 0));
        }
        pages += tree_diff_pages(diff);
        page_memory_deinit(&memory);
    }
    assert_true(pages / 20 < 15); /* two paths of 4, and the way back into step */
}

struct counted {
    size_t pages;
    const struct digest *stop;
};

static enum err_code count_page(void *context, const struct digest *digest, bool *ret_descend,
                                struct err *err)
{
    (void)err;
    struct counted *counted = context;
    counted->pages++;
    *ret_descend = counted->stop == NULL || !digest_equal(counted->stop, digest);
    return ERR_OK;
}

static void test_mark_visits_every_page_and_stops_where_told(void **state)
{
    (void)state;
    static struct model model;
    fill(&model, 4000, 100);
    struct tree tree = build(&model);
    size_t pages_of_empty = 1;
    struct counted counted = {0};
    struct tree_visitor visitor = {.page = count_page, .context = &counted};
    assert_int_equal(tree_mark(&tree, &visitor, NULL), ERR_OK);
    assert_int_equal(counted.pages, memory.page_count - pages_of_empty);
    counted = (struct counted){.stop = &tree.root};
    assert_int_equal(tree_mark(&tree, &visitor, NULL), ERR_OK);
    assert_int_equal(counted.pages, 1);
}

static void test_page_is_found_by_level_and_last_key(void **state)
{
    (void)state;
    static struct model model;
    fill(&model, 4000, 100);
    struct tree tree = build(&model);
    TREE_PAGE_CLEANUP struct tree_page root = {0};
    struct page_place place = page_place_root(TREE_MANIFEST);
    assert_int_equal(tree_page_read(&source, &tree.root, &place, &root, NULL), ERR_OK);
    assert_true(root.page.level >= 1);
    struct digest found;
    assert_int_equal(tree_get_page(&tree, root.page.level, span_of(NULL, 0), &found, NULL), ERR_OK);
    assert_true(digest_equal(&found, &tree.root));
    for (size_t i = 0; i < root.page.entry_count; i++) {
        const struct page_entry *entry = &root.page.entries[i];
        assert_int_equal(tree_get_page(&tree, root.page.level - 1, entry->key, &found, NULL),
                         ERR_OK);
        assert_true(digest_equal(&found, &entry->child.digest));
    }
    assert_int_equal(tree_get_page(&tree, root.page.level + 1, span_of(NULL, 0), &found, NULL),
                     ERR_NOT_FOUND);
    assert_int_equal(tree_get_page(&tree, 0, span_text("q"), &found, NULL), ERR_NOT_FOUND);
}

static void test_damaged_page_is_never_served(void **state)
{
    (void)state;
    static struct model model;
    fill(&model, 100, 100);
    struct tree tree = build(&model);
    struct span page = page_memory_find(&memory, &tree.root);
    ((uint8_t *)(uintptr_t)page.data)[page.len / 2] ^= 1;
    struct page_totals totals;
    assert_int_equal(tree_totals(&tree, &totals, NULL), ERR_CORRUPT);
}

/* A leaf: row group 2 of a partition that began before; "p" with one file in two row groups; "q". */
struct leaf {
    struct bytes keys[5];
    struct page_file file;
    struct page_entry entries[5];
    struct page page;
};

static void leaf_make(struct leaf *leaf)
{
    static const char *const partitions[] = {"o", "p", "p", "p", "q"};
    static const uint32_t row_groups[] = {2, 0, 0, 1, 0};
    *leaf = (struct leaf){.file = {.bytes = 50}};
    for (size_t i = 0; i < 5; i++) {
        struct page_entry *entry = &leaf->entries[i];
        bool is_partition = i == 1 || i == 4;
        if (is_partition) {
            bytes_append_text(&leaf->keys[i], partitions[i]);
            entry->kind = PAGE_ENTRY_PARTITION;
            entry->partition = (struct page_partition){.segment_count = i == 1 ? 1 : 0,
                                                       .row_count = i == 1 ? 7 : 0,
                                                       .byte_count = i == 1 ? 100 : 0};
        } else {
            row_group_key(span_text(partitions[i]),
                          (struct row_group_place){.row_group = row_groups[i], .column_id = 1},
                          &leaf->keys[i]);
            entry->kind = PAGE_ENTRY_ROW_GROUP;
            entry->row_group = (struct page_row_group){
                .row_count = 3 + i % 2, .files = &leaf->file, .file_count = 1};
        }
        entry->key = bytes_span(&leaf->keys[i]);
    }
    leaf->page = (struct page){.tree = TREE_MANIFEST, .entry_count = 5, .entries = leaf->entries};
}

static void leaf_deinit(struct leaf *leaf)
{
    for (size_t i = 0; i < 5; i++)
        bytes_deinit(&leaf->keys[i]);
}

static void test_a_leaf_whose_partitions_do_not_add_up_is_refused(void **state)
{
    (void)state;
    struct leaf leaf;
    leaf_make(&leaf);
    struct page_place place = {.tree = TREE_MANIFEST, .has_after = true};
    struct page_partition *whole = &leaf.entries[1].partition;
    assert_int_equal(tree_page_check(&leaf.page, &place, NULL), ERR_OK);
    whole->row_count++;
    assert_int_equal(tree_page_check(&leaf.page, &place, NULL), ERR_CORRUPT);
    whole->row_count--;
    whole->byte_count = UINT64_C(1) << 60;
    assert_int_equal(tree_page_check(&leaf.page, &place, NULL), ERR_CORRUPT);
    whole->byte_count = 100;
    whole->segment_count = 0;
    assert_int_equal(tree_page_check(&leaf.page, &place, NULL), ERR_CORRUPT);
    whole->segment_count = 1;
    place.has_after = false; /* then the first row group has no partition */
    assert_int_equal(tree_page_check(&leaf.page, &place, NULL), ERR_CORRUPT);
    place.has_after = true;
    leaf.entries[4].partition.row_count = 1; /* may go on, unless this is the last leaf */
    assert_int_equal(tree_page_check(&leaf.page, &place, NULL), ERR_OK);
    place.is_rightmost = true;
    assert_int_equal(tree_page_check(&leaf.page, &place, NULL), ERR_CORRUPT);
    leaf_deinit(&leaf);
}

/* The partition "p" of a leaf, of two row groups, as a sorted hash clustering of four buckets. */
static void leaf_cluster(struct leaf *leaf)
{
    leaf->entries[1].partition.clustering = (struct clustering){.kind = CLUSTERING_HASH,
                                                                .bucket_count = 4,
                                                                .column_count = 1,
                                                                .columns = {1},
                                                                .sort_count = 1,
                                                                .sort_columns = {1}};
    for (size_t i = 2; i < 4; i++) {
        struct page_row_group *group = &leaf->entries[i].row_group;
        group->bucket = 3;
        group->sort_first = span_text(i == 2 ? "a" : "b");
        group->sort_last = span_text(i == 2 ? "b" : "c");
    }
}

static void bucket_refused(const struct leaf *leaf, const char *words)
{
    struct page_place place = {.tree = TREE_MANIFEST, .has_after = true};
    struct err err = {0};
    assert_int_equal(tree_page_check(&leaf->page, &place, &err), ERR_CORRUPT);
    if (strstr(err.message, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.message, words);
}

static void test_row_groups_that_lie_outside_of_their_clustering_are_refused(void **state)
{
    (void)state;
    struct leaf leaf;
    leaf_make(&leaf);
    struct page_place place = {.tree = TREE_MANIFEST, .has_after = true};
    struct clustering *clustering = &leaf.entries[1].partition.clustering;
    struct page_row_group *first = &leaf.entries[2].row_group, *second = &leaf.entries[3].row_group;
    leaf_cluster(&leaf);
    assert_int_equal(tree_page_check(&leaf.page, &place, NULL), ERR_OK);
    first->bucket = 2; /* two buckets, each of one row group: the order within them starts anew */
    first->sort_last = span_text("z");
    assert_int_equal(tree_page_check(&leaf.page, &place, NULL), ERR_OK);
    clustering->kind = CLUSTERING_RANGE; /* unless it goes on throughout */
    bucket_refused(&leaf, "sort keys of a bucket out of order");
    leaf_cluster(&leaf);
    first->sort_last = span_text("bb");
    bucket_refused(&leaf, "sort keys of a bucket out of order");
    leaf_cluster(&leaf);
    second->bucket = 2;
    bucket_refused(&leaf, "buckets of a segment out of order");
    leaf_cluster(&leaf);
    second->bucket = 4;
    bucket_refused(&leaf, "a bucket that the partition does not have");
    leaf_cluster(&leaf);
    second->sort_first = second->sort_last = (struct span){0};
    bucket_refused(&leaf, "none in one that is");
    leaf_cluster(&leaf);
    clustering->sort_count = 0;
    bucket_refused(&leaf, "not sorted");
    leaf_cluster(&leaf);
    *clustering = (struct clustering){0};
    bucket_refused(&leaf, "a bucket that the partition does not have");
    leaf_deinit(&leaf);
}

/* The entries of one row group's columns, of which the second says something else. */
static void test_columns_of_a_row_group_that_differ_in_bucket_are_refused(void **state)
{
    (void)state;
    struct leaf leaf;
    for (int differs = 0; differs < 4; differs++) {
        leaf_make(&leaf);
        leaf_cluster(&leaf);
        struct page_row_group *second = &leaf.entries[3].row_group;
        bytes_clear(&leaf.keys[3]);
        row_group_key(span_text("p"), (struct row_group_place){.column_id = 33}, &leaf.keys[3]);
        leaf.entries[3].key = bytes_span(&leaf.keys[3]);
        *second = leaf.entries[2].row_group;
        leaf.entries[1].partition.row_count = second->row_count;
        leaf.entries[1].partition.byte_count = 50;
        second->bucket -= differs == 1;
        second->sort_first = differs == 2 ? span_text("aa") : second->sort_first;
        second->sort_last = differs == 3 ? span_text("bb") : second->sort_last;
        struct page_place place = {.tree = TREE_MANIFEST, .has_after = true};
        if (differs == 0)
            assert_int_equal(tree_page_check(&leaf.page, &place, NULL), ERR_OK);
        else
            bucket_refused(&leaf, "differ in bucket");
        leaf_deinit(&leaf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_leaf_whose_partitions_do_not_add_up_is_refused),
        cmocka_unit_test(test_row_groups_that_lie_outside_of_their_clustering_are_refused),
        cmocka_unit_test(test_columns_of_a_row_group_that_differ_in_bucket_are_refused),
        cmocka_unit_test_setup_teardown(test_same_content_gives_the_same_root_whatever_the_history,
                                        memory_setup, memory_teardown),
        cmocka_unit_test_setup_teardown(test_order_of_single_puts_does_not_matter, memory_setup,
                                        memory_teardown),
        cmocka_unit_test_setup_teardown(test_deleting_everything_gives_the_empty_tree, memory_setup,
                                        memory_teardown),
        cmocka_unit_test_setup_teardown(test_keeping_a_part_reads_its_edges_only, memory_setup,
                                        memory_teardown),
        cmocka_unit_test_setup_teardown(test_no_edits_read_and_write_nothing, memory_setup,
                                        memory_teardown),
        cmocka_unit_test_setup_teardown(test_edits_out_of_order_are_refused, memory_setup,
                                        memory_teardown),
        cmocka_unit_test_setup_teardown(test_deep_tree_shrinks_to_the_lowest_level_with_one_page,
                                        memory_setup, memory_teardown),
        cmocka_unit_test_setup_teardown(
            test_last_page_with_one_child_left_alone_gives_way_to_its_child, memory_setup,
            memory_teardown),
        cmocka_unit_test_setup_teardown(test_get_finds_exactly_the_keys_that_are_there,
                                        memory_setup, memory_teardown),
        cmocka_unit_test_setup_teardown(test_seek_lands_on_the_first_key_not_before, memory_setup,
                                        memory_teardown),
        cmocka_unit_test_setup_teardown(test_look_ups_on_a_cursor_agree_and_read_little,
                                        memory_setup, memory_teardown),
        cmocka_unit_test_setup_teardown(test_diff_tells_what_differs_and_nothing_else, memory_setup,
                                        memory_teardown),
        cmocka_unit_test_setup_teardown(test_diff_of_one_inserted_key_reads_few_pages, memory_setup,
                                        memory_teardown),
        cmocka_unit_test_setup_teardown(test_mark_visits_every_page_and_stops_where_told,
                                        memory_setup, memory_teardown),
        cmocka_unit_test_setup_teardown(test_page_is_found_by_level_and_last_key, memory_setup,
                                        memory_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_page_is_never_served, memory_setup,
                                        memory_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
