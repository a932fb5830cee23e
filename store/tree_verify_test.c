/* Page by page a tree is refused exactly when it is refused as a whole: random manifest trees whose
 * partitions go across pages, some with a lie. And: partitions and attributes compared. */
#include "store/page_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/key.h"
#include "proto/random_test.h"

#define TREES          300
#define PARTITIONS_MAX 40
#define KEY_PAD_MAX    400
#define CHANGED_MAX    3

#define MANY_PARTITIONS 6000
#define MANY_CHANGES    4

static struct random chance;

static size_t below(size_t n)
{
    return (size_t)random_below(&chance, n);
}

enum lie { LIE_NONE, LIE_ROWS, LIE_BYTES, LIE_SEGMENTS, LIE_COUNT };

/* A tree as a stream of puts: partition, its row groups, the next partition ... */
struct maker {
    size_t partitions, groups_max, pad;
    size_t liar; /* the partition that lies */
    enum lie lie;
    uint64_t seed;               /* what a partition consists of comes from it, its number */
    size_t changed[CHANGED_MAX]; /* and whether it is one of these */
    size_t changed_count;
    struct random of_partition;
    size_t partition, group, groups; /* of this partition; group 0: its own entry */
    struct bytes key, group_key;
    struct page_entry entry;
    struct page_file file;
    struct page_column column;
};

static void maker_deinit(struct maker *maker)
{
    bytes_deinit(&maker->key);
    bytes_deinit(&maker->group_key);
}

static void maker_partition(struct maker *maker)
{
    char text[KEY_PAD_MAX + 32];
    int len = snprintf(text, sizeof(text), "p%05zu%0*d", maker->partition, (int)maker->pad + 1, 0);
    bytes_clear(&maker->key);
    key_append_text(&maker->key, span_of(text, (size_t)len));
    uint64_t salt = 0;
    for (size_t i = 0; i < maker->changed_count; i++)
        salt += (maker->changed[i] == maker->partition) * (i + 1);
    maker->of_partition = (struct random){maker->seed + 1000 * salt + maker->partition};
    struct random *random = &maker->of_partition;
    maker->groups =
        (size_t)(random_below(random, 4) == 0 ? random_below(random, maker->groups_max + 1)
                                              : random_below(random, 4));
    struct page_partition partition = {.segment_count = maker->groups > 0,
                                       .row_count = 3 * maker->groups,
                                       .byte_count = 50 * maker->groups};
    if (maker->partition == maker->liar) {
        partition.row_count += maker->lie == LIE_ROWS;
        partition.byte_count += maker->lie == LIE_BYTES;
        partition.segment_count -= maker->lie == LIE_SEGMENTS && maker->groups > 0;
    }
    maker->entry = (struct page_entry){
        .kind = PAGE_ENTRY_PARTITION, .key = bytes_span(&maker->key), .partition = partition};
}

static void maker_group(struct maker *maker)
{
    bytes_clear(&maker->group_key);
    row_group_key(
        bytes_span(&maker->key),
        (struct row_group_place){.row_group = (uint32_t)(maker->group - 1), .column_id = 1},
        &maker->group_key);
    maker->file = (struct page_file){.bytes = 50};
    store_u64(maker->file.digest.b, random_next(&maker->of_partition));
    maker->column = (struct page_column){.column_id = 1, .bytes = 50};
    maker->entry = (struct page_entry){.kind = PAGE_ENTRY_ROW_GROUP,
                                       .key = bytes_span(&maker->group_key),
                                       .row_group = {.row_count = 3,
                                                     .files = &maker->file,
                                                     .file_count = 1,
                                                     .columns = &maker->column,
                                                     .column_count = 1}};
}

static enum err_code maker_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                struct err *err)
{
    (void)err;
    struct maker *maker = context;
    *ret_end = maker->partition == maker->partitions;
    if (*ret_end)
        return ERR_OK;
    if (maker->group == 0)
        maker_partition(maker);
    else
        maker_group(maker);
    if (maker->group++ == maker->groups) {
        maker->group = 0;
        maker->partition++;
    }
    *ret_edit = (struct tree_edit){.kind = TREE_PUT, .entry = &maker->entry};
    return ERR_OK;
}

static struct tree tree_make(struct maker *maker, struct page_memory *memory,
                             const struct page_source *source)
{
    struct page_sink sink = page_memory_sink(memory);
    struct tree tree = {.source = source, .kind = TREE_MANIFEST};
    struct tree_edit_source edits = {.next = maker_next, .context = maker};
    struct tree_apply_result result;
    struct err err;
    assert_int_equal(tree_empty(TREE_MANIFEST, &sink, &tree.root, &err), ERR_OK);
    if (tree_apply(&tree, &sink, &edits, &result, &err) != ERR_OK)
        fail_msg("%s", err.message);
    tree.root = result.root;
    return tree;
}

/* Whether each page below passes its own check, as if it stood in the middle of another tree; pages
 * are counted that the check across has refused. */
static bool pages_pass(const struct page_source *source, const struct digest *digest,
                       const struct page_place *place, size_t *inner_refused)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    assert_int_equal(tree_page_read(source, digest, place, &page, NULL), ERR_OK);
    struct page_place middle = {.tree = TREE_MANIFEST, .has_after = true};
    bool pass = tree_page_check(&page.page, &middle, NULL) == ERR_OK;
    struct page_place inner = *place;
    inner.has_after = true; /* before its first key is the empty one */
    enum err_code across = tree_page_check_across(source, &page.page, &inner, NULL, NULL);
    assert_true(across == ERR_OK || across == ERR_BAD_DATA);
    *inner_refused += across != ERR_OK;
    pass = pass && across == ERR_OK;
    for (size_t i = 0; i < page.page.entry_count; i++) {
        const struct page_entry *entry = &page.page.entries[i];
        if (entry->kind != PAGE_ENTRY_CHILD)
            continue;
        struct page_place child = page_place_child(&page.page, place, i);
        pass = pages_pass(source, &entry->child.digest, &child, inner_refused) && pass;
    }
    return pass;
}

static void test_page_by_page_is_as_strict_as_the_whole(void **state)
{
    (void)state;
    chance = random_start();
    size_t across = 0, refused = 0;
    for (size_t i = 0; i < TREES; i++) {
        PAGE_MEMORY_CLEANUP struct page_memory memory = {0};
        struct page_source source = page_memory_source(&memory);
        __attribute__((cleanup(maker_deinit))) struct maker maker = {
            .partitions = 1 + below(PARTITIONS_MAX),
            .groups_max = 1 + below(600),
            .pad = below(2) * KEY_PAD_MAX,
            .lie = (enum lie)below(LIE_COUNT),
            .seed = random_next(&chance),
        };
        maker.liar = below(maker.partitions);
        struct tree tree = tree_make(&maker, &memory, &source);
        struct page_place place = page_place_root(TREE_MANIFEST);
        bool whole = tree_check(&tree, NULL) == ERR_OK;
        bool pages = pages_pass(&source, &tree.root, &place, &across);
        assert_int_equal(pages && tree_root_check(&tree, NULL, NULL) == ERR_OK, whole);
        refused += !whole;
    }
    assert_true(refused > TREES / 4);
    assert_true(across > TREES / 20); /* else nothing that this is about was met */
}

/* Of a page that was here before, too: it was checked where another parent named it. */
static void test_a_parent_that_lies_of_a_child_is_refused(void **state)
{
    (void)state;
    chance = random_start();
    PAGE_MEMORY_CLEANUP struct page_memory memory = {0};
    struct page_source source = page_memory_source(&memory);
    __attribute__((cleanup(maker_deinit))) struct maker maker = {
        .partitions = PARTITIONS_MAX, .groups_max = 8, .pad = KEY_PAD_MAX};
    struct tree tree = tree_make(&maker, &memory, &source);
    struct page_place place = page_place_root(TREE_MANIFEST);
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    assert_int_equal(tree_page_read(&source, &tree.root, &place, &page, NULL), ERR_OK);
    assert_true(page.page.level > 0 && page.page.entry_count > 1);
    assert_int_equal(tree_page_check_across(&source, &page.page, &place, NULL, NULL), ERR_OK);
    for (size_t i = 0; i < page.page.entry_count; i++) {
        struct page_totals *totals = &page.page.entries[i].child.totals;
        uint64_t *const counts[] = {&totals->rows, &totals->bytes, &totals->partitions};
        for (size_t k = 0; k < ARRAY_COUNT(counts); k++) {
            ++*counts[k];
            assert_int_equal(tree_page_check_across(&source, &page.page, &place, NULL, NULL),
                             ERR_BAD_DATA);
            --*counts[k];
        }
    }
}

/* ---- what another tree has proven ---- */

static struct maker maker_random(void)
{
    return (struct maker){.partitions = 2 + below(PARTITIONS_MAX),
                          .groups_max = 1 + below(600),
                          .pad = below(2) * KEY_PAD_MAX,
                          .seed = random_next(&chance)};
}

/* Some partitions of other content, one more or one less, perhaps a lie. */
static void maker_change(struct maker *maker)
{
    maker->partition = 0;
    maker->partitions += below(3);
    maker->partitions--;
    maker->changed_count = below(CHANGED_MAX + 1);
    for (size_t i = 0; i < maker->changed_count; i++)
        maker->changed[i] = below(maker->partitions);
    maker->lie = (enum lie)below(LIE_COUNT);
    maker->liar = below(maker->partitions);
}

/* Pages that are not held pass where they stand; whatever is held was looked at before. */
static bool arrived_pass(const struct tree *tree, const struct digest *digest,
                         const struct page_place *place, const struct page_memory *held,
                         struct tree_cursor *proven)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    if (page_memory_find(held, digest).len > 0)
        return true;
    assert_int_equal(tree_page_read(tree->source, digest, place, &page, NULL), ERR_OK);
    bool pass = tree_page_check(&page.page, place, NULL) == ERR_OK &&
                tree_page_check_across(tree->source, &page.page, place, proven, NULL) == ERR_OK;
    for (size_t i = 0; i < page.page.entry_count; i++) {
        const struct page_entry *entry = &page.page.entries[i];
        struct page_place child;
        if (entry->kind != PAGE_ENTRY_CHILD)
            continue;
        child = page_place_child(&page.page, place, i);
        pass = arrived_pass(tree, &entry->child.digest, &child, held, proven) && pass;
    }
    return pass;
}

static void test_what_arrives_is_refused_as_the_whole_is_whatever_is_proven(void **state)
{
    (void)state;
    chance = random_start();
    size_t refused = 0;
    for (size_t i = 0; i < TREES / 2; i++) {
        PAGE_MEMORY_CLEANUP struct page_memory held = {0}, memory = {0};
        struct page_source held_source = page_memory_source(&held);
        struct page_source source = page_memory_source(&memory);
        __attribute__((cleanup(maker_deinit))) struct maker maker = maker_random();
        struct tree base = tree_make(&maker, &held, &held_source);
        maker.partition = 0;
        struct tree same = tree_make(&maker, &memory, &source);
        assert_true(digest_equal(&same.root, &base.root));
        maker_change(&maker);
        struct tree tree = tree_make(&maker, &memory, &source);
        TREE_CURSOR_CLEANUP struct tree_cursor *proven = tree_cursor_new(&base);
        struct page_place place = page_place_root(TREE_MANIFEST);
        bool pass = arrived_pass(&tree, &tree.root, &place, &held, proven) &&
                    tree_root_check(&tree, proven, NULL) == ERR_OK;
        bool whole = tree_check(&tree, NULL) == ERR_OK;
        assert_int_equal(pass, whole);
        refused += !whole;
    }
    assert_true(refused > TREES / 8);
}

static void test_one_change_reads_its_neighbours_and_not_its_siblings(void **state)
{
    (void)state;
    chance = random_start();
    PAGE_MEMORY_CLEANUP struct page_memory held = {0};
    struct page_source held_source = page_memory_source(&held);
    __attribute__((cleanup(maker_deinit))) struct maker maker = {
        .partitions = MANY_PARTITIONS, .groups_max = 2, .seed = random_next(&chance)};
    struct tree base = tree_make(&maker, &held, &held_source);
    PAGE_MEMORY_CLEANUP struct page_memory memory = {0};
    struct page_source source = page_memory_source(&memory);
    maker.partition = 0;
    (void)tree_make(&maker, &memory, &source);
    maker.changed_count = 1;
    uint64_t reads = 0;
    for (size_t i = 0; i < MANY_CHANGES; i++) {
        maker.partition = 0;
        maker.changed[0] = below(MANY_PARTITIONS / 50); /* most siblings come after it */
        struct tree tree = tree_make(&maker, &memory, &source);
        TREE_CURSOR_CLEANUP struct tree_cursor *proven = tree_cursor_new(&base);
        struct page_place place = page_place_root(TREE_MANIFEST);
        reads -= memory.reads;
        assert_true(arrived_pass(&tree, &tree.root, &place, &held, proven));
        assert_int_equal(tree_root_check(&tree, proven, NULL), ERR_OK);
        reads += memory.reads;
    }
    assert_true(reads / MANY_CHANGES < held.page_count / 5);
}

/* An inner page in hand, and what a parent could say falsely of its children. */
struct told {
    struct tree_page read;
    struct page page;
    struct page_place place;
};

static void told_read(const struct tree *tree, const struct digest *digest,
                      const struct page_place *place, struct told *told)
{
    assert_int_equal(tree_page_read(tree->source, digest, place, &told->read, NULL), ERR_OK);
    told->page = told->read.page;
    told->place = *place;
}

static void told_swap(struct page_entry *a, struct page_entry *b)
{
    struct page_child child = a->child;
    a->child = b->child;
    b->child = child;
}

static void told_falsify(struct told *told, size_t how, const struct digest *other)
{
    struct page_entry *entries = told->page.entries;
    size_t i = below(told->page.entry_count), last = told->page.entry_count - 1;
    struct page_totals *totals = &entries[i].child.totals;
    switch (how) {
    case 0:
        totals->rows++;
        break;
    case 1:
        totals->bytes++;
        break;
    case 2:
        totals->partitions += totals->partitions > 0 && below(2) ? UINT64_MAX : 1;
        break;
    case 3: /* its neighbours become neighbours */
        memmove(&entries[i], &entries[i + 1], (last - i) * sizeof(*entries));
        told->page.entry_count--;
        break;
    case 4:
        told_swap(&entries[i], &entries[below(last + 1)]);
        break;
    case 5:
        entries[i].key.len--;
        break;
    case 6:
        told->place.is_rightmost = !told->place.is_rightmost;
        break;
    case 7:
        told->place.has_after = !told->place.has_after;
        break;
    default: /* its totals may even be right */
        entries[i].child.digest = *other;
        break;
    }
}
#define TOLD_FALSELY 9

struct differs {
    const struct tree *tree;
    struct page_memory *memory;
    struct tree_cursor *proven, *gone;
    struct digest other; /* of a page elsewhere */
    size_t lies, refused;
};

/* Nothing of the page is read again but its way in the other tree; with a lie in it, it is refused
 * exactly when it is without one. */
static void differs_page(struct differs *differs, const struct digest *digest,
                         const struct page_place *place)
{
    const struct page_source *source = differs->tree->source;
    for (size_t how = 0; how < TOLD_FALSELY; how++) {
        struct told told = {0};
        told_read(differs->tree, digest, place, &told);
        if (told.page.level == 0) {
            tree_page_deinit(&told.read);
            return;
        }
        uint64_t reads = differs->memory->reads;
        assert_int_equal(
            tree_page_check_across(source, &told.page, &told.place, differs->proven, NULL), ERR_OK);
        assert_true(differs->memory->reads - reads <= LIMIT_TREE_DEPTH);
        told_falsify(&told, how, &differs->other);
        enum err_code alone = tree_page_check_across(source, &told.page, &told.place, NULL, NULL);
        assert_int_equal(
            tree_page_check_across(source, &told.page, &told.place, differs->proven, NULL), alone);
        assert_int_equal(
            tree_page_check_across(source, &told.page, &told.place, differs->gone, NULL), alone);
        differs->lies++;
        differs->refused += alone != ERR_OK;
        tree_page_deinit(&told.read);
    }
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    assert_int_equal(tree_page_read(source, digest, place, &page, NULL), ERR_OK);
    for (size_t i = 0; i < page.page.entry_count; i++) {
        struct page_place child = page_place_child(&page.page, place, i);
        const struct digest *below = &page.page.entries[i].child.digest;
        differs_page(differs, below, &child);
        differs->other = *below;
    }
}

static void test_a_parent_cannot_lie_of_what_is_proven_either(void **state)
{
    (void)state;
    chance = random_start();
    struct differs differs = {0};
    for (size_t i = 0; i < TREES / 10; i++) {
        PAGE_MEMORY_CLEANUP struct page_memory memory = {0};
        struct page_source source = page_memory_source(&memory);
        __attribute__((cleanup(maker_deinit))) struct maker maker = maker_random();
        struct tree tree = tree_make(&maker, &memory, &source);
        struct tree absent = {&source, TREE_MANIFEST, {{1}}};
        TREE_CURSOR_CLEANUP struct tree_cursor *proven = tree_cursor_new(&tree);
        TREE_CURSOR_CLEANUP struct tree_cursor *gone = tree_cursor_new(&absent);
        struct page_place place = page_place_root(TREE_MANIFEST);
        differs.tree = &tree;
        differs.memory = &memory;
        differs.proven = proven;
        differs.gone = gone;
        differs.other = tree.root;
        differs_page(&differs, &tree.root, &place);
    }
    assert_true(differs.refused > differs.lies / 2 && differs.refused < differs.lies);
}

/* ---- partitions and attributes ---- */

struct names {
    size_t count, at, gone; /* number `gone` is left out */
    enum tree_kind kind;
    struct bytes key;
    struct page_entry entry;
    uint64_t value;
};

static enum err_code names_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                struct err *err)
{
    (void)err;
    struct names *names = context;
    names->at += names->at == names->gone;
    *ret_end = names->at >= names->count;
    if (*ret_end)
        return ERR_OK;
    bytes_clear(&names->key);
    key_append_i64(&names->key, (int64_t)names->at++);
    names->entry = (struct page_entry){.key = bytes_span(&names->key)};
    if (names->kind == TREE_MANIFEST) {
        names->entry.kind = PAGE_ENTRY_PARTITION;
        store_u64(names->entry.partition.checksum.b, names->value);
    } else {
        names->entry.kind = PAGE_ENTRY_ATTRIBUTE;
        names->entry.attribute.created_ms = names->value;
    }
    *ret_edit = (struct tree_edit){.kind = TREE_PUT, .entry = &names->entry};
    return ERR_OK;
}

static struct digest names_make(struct page_memory *memory, enum tree_kind kind, size_t count,
                                size_t gone, uint64_t value)
{
    struct page_source source = page_memory_source(memory);
    struct page_sink sink = page_memory_sink(memory);
    struct tree tree = {.source = &source, .kind = kind};
    struct names names = {.count = count, .gone = gone, .kind = kind, .value = value};
    struct tree_edit_source edits = {.next = names_next, .context = &names};
    struct tree_apply_result result;
    assert_int_equal(tree_empty(kind, &sink, &tree.root, NULL), ERR_OK);
    assert_int_equal(tree_apply(&tree, &sink, &edits, &result, NULL), ERR_OK);
    bytes_deinit(&names.key);
    return result.root;
}

static void test_partitions_and_attributes_are_compared(void **state)
{
    (void)state;
    PAGE_MEMORY_CLEANUP struct page_memory memory = {0};
    struct page_source source = page_memory_source(&memory);
    const size_t none = SIZE_MAX, many = 3000;
    struct digest manifest = names_make(&memory, TREE_MANIFEST, many, none, 1);
    struct tree_pair pair = {&source, manifest,
                             names_make(&memory, TREE_ATTRIBUTES, many, none, 2)};
    assert_int_equal(tree_partitions_match(NULL, &pair, NULL), ERR_OK);
    struct tree_pair less = {&source, manifest,
                             names_make(&memory, TREE_ATTRIBUTES, many, 1700, 2)};
    struct tree_pair more = {&source, names_make(&memory, TREE_MANIFEST, many, 1700, 1),
                             pair.attributes};
    struct tree_pair fewer = {&source, more.manifest, less.attributes};
    struct tree_pair other = {&source, more.manifest,
                              names_make(&memory, TREE_ATTRIBUTES, many, 1701, 2)};
    assert_int_equal(tree_partitions_match(NULL, &less, NULL), ERR_BAD_DATA);
    assert_int_equal(tree_partitions_match(NULL, &more, NULL), ERR_BAD_DATA);
    assert_int_equal(tree_partitions_match(NULL, &other, NULL), ERR_BAD_DATA);
    assert_int_equal(tree_partitions_match(&pair, &less, NULL), ERR_BAD_DATA);
    assert_int_equal(tree_partitions_match(&pair, &more, NULL), ERR_BAD_DATA);
    assert_int_equal(tree_partitions_match(&pair, &other, NULL), ERR_BAD_DATA);
    assert_int_equal(tree_partitions_match(&fewer, &pair, NULL), ERR_OK);
    uint64_t reads = memory.reads; /* below a base only what differs is read */
    assert_int_equal(tree_partitions_match(&pair, &fewer, NULL), ERR_OK);
    assert_true(memory.reads - reads < memory.page_count / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_by_page_is_as_strict_as_the_whole),
        cmocka_unit_test(test_a_parent_that_lies_of_a_child_is_refused),
        cmocka_unit_test(test_what_arrives_is_refused_as_the_whole_is_whatever_is_proven),
        cmocka_unit_test(test_one_change_reads_its_neighbours_and_not_its_siblings),
        cmocka_unit_test(test_a_parent_cannot_lie_of_what_is_proven_either),
        cmocka_unit_test(test_partitions_and_attributes_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
