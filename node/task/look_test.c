/* A look against a model: random tables, of which an account holds random parts. */
#include "node/task/look.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "proto/key.h"
#include "store/page_memory.h"

#define PARTITIONS_MAX 1500
#define GROUPS_MAX     700 /* of one wide partition: several leaves */
#define FILES          4000
#define ROUNDS         40

static struct err err;
static uint64_t chance;
static size_t padding; /* of keys: long ones make deep trees */

static uint64_t below(uint64_t n)
{
    chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return n == 0 ? 0 : (chance >> 33) % n;
}

static void ok(enum err_code code)
{
    if (code != ERR_OK)
        fail_msg("%s", err.message);
}

static void partition_key(size_t partition, struct bytes *ret_key)
{
    static const uint8_t zeros[500];
    bytes_clear(ret_key);
    key_append_i64(ret_key, (int64_t)partition);
    bytes_append(ret_key, zeros, padding);
}

/* ---- a table: of each partition how many row groups, each with files ---- */

struct part {
    bool is_there;
    size_t groups;
    uint64_t seed; /* which files */
};

struct table {
    struct part parts[PARTITIONS_MAX];
    struct digest manifest, attributes;
};

static size_t group_files(const struct part *part, size_t group)
{
    return 1 + (part->seed + group) % 3;
}

static uint64_t file_number(const struct part *part, size_t group, size_t file)
{
    return (part->seed * 31 + group * 7 + file * 1009) % FILES;
}

static struct page_file file_of(uint64_t number)
{
    struct page_file file = {.bytes = 100 + number};
    store_u64(file.digest.b, number);
    return file;
}

static uint64_t part_bytes(const struct part *part)
{
    uint64_t bytes = 0;
    for (size_t g = 0; g < part->groups; g++)
        for (size_t f = 0; f < group_files(part, g); f++)
            bytes += file_of(file_number(part, g, f)).bytes;
    return bytes;
}

/* Edits in order of key, one at a time: borrows from itself. */
struct writing {
    const struct table *table;
    bool attributes;
    size_t part, group; /* group 0: the partition's own entry */
    struct bytes partition_key, key;
    struct page_file files[3];
    struct page_column columns[3];
    struct page_entry entry;
};

static void write_group(struct writing *writing, const struct part *part)
{
    size_t g = writing->group - 1;
    size_t count = group_files(part, g);
    row_group_key(bytes_span(&writing->partition_key),
                  (struct row_group_place){.row_group = (uint32_t)g, .column_id = 1},
                  &writing->key);
    for (size_t f = 0; f < count; f++) {
        writing->files[f] = file_of(file_number(part, g, f));
        writing->columns[f] = (struct page_column){.column_id = (uint32_t)f + 1,
                                                   .file = (uint32_t)f,
                                                   .bytes = (uint32_t)writing->files[f].bytes};
    }
    writing->entry = (struct page_entry){.kind = PAGE_ENTRY_ROW_GROUP,
                                         .key = bytes_span(&writing->key),
                                         .row_group = {.row_count = 2,
                                                       .files = writing->files,
                                                       .file_count = count,
                                                       .columns = writing->columns,
                                                       .column_count = count}};
}

static enum err_code write_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                struct err *ignored)
{
    (void)ignored;
    struct writing *writing = context;
    const struct part *parts = writing->table->parts;
    while (writing->part < PARTITIONS_MAX &&
           (!parts[writing->part].is_there ||
            writing->group > (writing->attributes ? 0 : parts[writing->part].groups))) {
        writing->part++;
        writing->group = 0;
    }
    *ret_end = writing->part == PARTITIONS_MAX;
    if (*ret_end)
        return ERR_OK;
    const struct part *part = &parts[writing->part];
    bytes_clear(&writing->key);
    partition_key(writing->part, &writing->partition_key);
    struct span key = bytes_span(&writing->partition_key);
    if (writing->attributes)
        writing->entry = (struct page_entry){
            .kind = PAGE_ENTRY_ATTRIBUTE, .key = key, .attribute = {.created_ms = 1 + part->seed}};
    else if (writing->group == 0)
        writing->entry = (struct page_entry){.kind = PAGE_ENTRY_PARTITION,
                                             .key = key,
                                             .partition = {.segment_count = 1,
                                                           .row_count = 2 * part->groups,
                                                           .byte_count = part_bytes(part)}};
    else
        write_group(writing, part);
    writing->group++;
    *ret_edit = (struct tree_edit){.kind = TREE_PUT, .entry = &writing->entry};
    return ERR_OK;
}

static void table_write(struct table *table, struct page_memory *memory)
{
    const struct page_source source = page_memory_source(memory);
    const struct page_sink sink = page_memory_sink(memory);
    for (int i = 0; i < 2; i++) {
        struct writing writing = {.table = table, .attributes = i == 1};
        struct tree tree = {.source = &source, .kind = i == 1 ? TREE_ATTRIBUTES : TREE_MANIFEST};
        const struct tree_edit_source edits = {.next = write_next, .context = &writing};
        struct tree_apply_result result;
        ok(tree_empty(tree.kind, &sink, &tree.root, &err));
        ok(tree_apply(&tree, &sink, &edits, &result, &err));
        *(i == 1 ? &table->attributes : &table->manifest) = result.root;
        bytes_deinit(&writing.partition_key);
        bytes_deinit(&writing.key);
    }
}

static void table_fill(struct table *table)
{
    size_t count = 1 + below(below(3) == 0 ? PARTITIONS_MAX : 40);
    for (size_t i = 0; i < count; i++) {
        struct part *part = &table->parts[i];
        *part = (struct part){below(8) > 0, below(4), below(2000)};
        if (below(60) == 0)
            part->groups = GROUPS_MAX;
    }
}

static void table_change(struct table *table)
{
    size_t changes = below(below(2) == 0 ? 4 : 200);
    for (size_t i = 0; i < changes; i++)
        table->parts[below(PARTITIONS_MAX)] = (struct part){below(3) > 0, below(4), below(2000)};
}

/* ---- what is here ---- */

struct holding {
    struct digest *pages; /* sorted once `sorted` */
    size_t count, capacity;
    bool files[FILES];
    const struct table *base; /* NULL: none */
    struct bytes asked;       /* of the base: ascending */
    uint64_t file_asks;
};

static int digest_order(const void *a, const void *b)
{
    return digest_compare(a, b);
}

static struct digest *holding_find(const struct holding *holding, const struct digest *digest)
{
    return holding->count == 0
               ? NULL
               : bsearch(digest, holding->pages, holding->count, sizeof(*digest), digest_order);
}

static enum err_code hold_page(void *context, const struct digest *digest, bool *ret_descend,
                               struct err *ignored)
{
    (void)ignored;
    struct holding *holding = context;
    if (holding->count == holding->capacity) {
        holding->capacity = holding->capacity == 0 ? 64 : 2 * holding->capacity;
        holding->pages = mem_realloc(holding->pages, holding->capacity, sizeof(*holding->pages));
    }
    holding->pages[holding->count++] = *digest;
    *ret_descend = true;
    return ERR_OK;
}

static void hold_table(struct holding *holding, struct page_memory *memory,
                       const struct table *table)
{
    const struct page_source source = page_memory_source(memory);
    const struct tree_visitor visitor = {.page = hold_page, .context = holding};
    const struct tree trees[] = {{&source, TREE_MANIFEST, table->manifest},
                                 {&source, TREE_ATTRIBUTES, table->attributes}};
    for (size_t i = 0; i < 2; i++)
        ok(tree_mark(&trees[i], &visitor, &err));
    qsort(holding->pages, holding->count, sizeof(*holding->pages), digest_order);
    for (size_t p = 0; p < PARTITIONS_MAX; p++) {
        const struct part *part = &table->parts[p];
        for (size_t g = 0; part->is_there && g < part->groups; g++)
            for (size_t f = 0; f < group_files(part, g); f++)
                holding->files[file_number(part, g, f)] = true;
    }
}

static enum err_code has_page(void *context, const struct digest *digest, bool *ret_has,
                              struct err *ignored)
{
    (void)ignored;
    *ret_has = holding_find(context, digest) != NULL;
    return ERR_OK;
}

static enum err_code has_file(void *context, const struct digest *digest, bool *ret_has,
                              struct err *ignored)
{
    (void)ignored;
    struct holding *holding = context;
    holding->file_asks++;
    *ret_has = holding->files[load_u64(digest->b)];
    return ERR_OK;
}

static enum err_code base_has(void *context, struct span partition, bool *ret_has,
                              struct err *ignored)
{
    (void)ignored;
    struct holding *holding = context;
    BYTES_CLEANUP struct bytes key = {0};
    assert_true(holding->asked.len == 0 ||
                span_compare(bytes_span(&holding->asked), partition) < 0);
    bytes_clear(&holding->asked);
    bytes_append_span(&holding->asked, partition);
    *ret_has = false;
    for (size_t i = 0; holding->base != NULL && i < PARTITIONS_MAX; i++) {
        partition_key(i, &key);
        if (holding->base->parts[i].is_there && span_equal(bytes_span(&key), partition))
            *ret_has = true;
    }
    return ERR_OK;
}

/* ---- the model ---- */

static struct look_counts model_counts(const struct table *table, const struct holding *holding)
{
    struct look_counts counts = {0};
    static bool seen[FILES];
    memset(seen, 0, sizeof(seen));
    uint64_t partitions = 0;
    for (size_t p = 0; p < PARTITIONS_MAX; p++) {
        const struct part *part = &table->parts[p];
        bool moves = false;
        if (!part->is_there)
            continue;
        partitions++;
        counts.rows += 2 * part->groups;
        bool in_base = holding->base != NULL && holding->base->parts[p].is_there;
        for (size_t g = 0; g < part->groups; g++) {
            for (size_t f = 0; f < group_files(part, g); f++) {
                uint64_t number = file_number(part, g, f);
                bool is_held = holding->files[number];
                enum look_fate fate = is_held ? LOOK_HELD : (in_base ? LOOK_CHANGED : LOOK_NEW);
                if (!is_held && !moves)
                    counts.of[fate].partitions++;
                moves = moves || !is_held;
                struct look_tally *tally = &counts.of[seen[number] ? LOOK_AGAIN : fate];
                tally->files++;
                tally->bytes += file_of(number).bytes;
                seen[number] = true;
            }
        }
    }
    for (int i = LOOK_NEW; i <= LOOK_CHANGED; i++)
        partitions -= counts.of[i].partitions;
    counts.of[LOOK_HELD].partitions = partitions;
    return counts;
}

/* ---- a look ---- */

struct trial {
    struct page_memory memory;
    struct holding holding;
    struct look look;
    uint64_t missed;
    uint64_t missing_bytes;
    uint64_t chance_to_miss; /* one in so many held pages; 0: none */
    uint32_t level_max;      /* of pages but roots */
};

static void page_take(struct trial *trial, struct look_item *item)
{
    struct span encoded = page_memory_find(&trial->memory, &item->digest);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, PAGE_ARENA_BYTES);
    struct page page;
    ok(page_decode(encoded, &item->place, &arena, &page, &err));
    ok(look_take(&trial->look, item, &page, encoded.len, &err));
}

static void batch_check(struct trial *trial, struct look_item **items, size_t count)
{
    const struct look *look = &trial->look;
    bool is_inner = items[0]->place.level > 0;
    size_t max = !is_inner                                   ? LOOK_BATCH
                 : look->item_count < look->limits.items_max ? LOOK_BATCH_INNER
                                                             : 1;
    assert_true(count <= max);
    for (size_t i = 1; i < count; i++) {
        assert_int_equal(items[i]->is_held, items[0]->is_held);
        assert_int_equal(items[i]->place.level, items[0]->place.level);
        assert_true(span_compare(items[i - 1]->place.last, items[i]->place.last) < 0);
    }
    assert_false(items[0]->is_held && items[0]->place.tree == TREE_ATTRIBUTES);
    const struct look_item *item = items[0], *next;
    for (; (next = TAILQ_NEXT(item, link)) != NULL; item = next) /* deepest first */
        assert_true(next->place.is_root || next->place.level >= item->place.level);
    if (items[0]->place.level > trial->level_max)
        trial->level_max = items[0]->place.level;
}

static void look_all(struct trial *trial, const struct table *table)
{
    struct look_item *items[LOOK_BATCH];
    size_t count;
    ok(look_begin(&trial->look, &table->manifest, &table->attributes, &err));
    while ((count = look_batch(&trial->look, items)) > 0) {
        batch_check(trial, items, count);
        count = below(3) == 0 ? 1 + below(count) : count; /* a reply may bring less */
        for (size_t i = 0; i < count; i++) {
            if (items[i]->is_held && trial->chance_to_miss > 0 &&
                below(trial->chance_to_miss) == 0) {
                trial->missed++;
                trial->missing_bytes += page_memory_find(&trial->memory, &items[i]->digest).len;
                look_missed(items[i]);
                break;
            }
            page_take(trial, items[i]);
        }
    }
}

static void pages_count(const struct trial *trial, const struct digest *digest,
                        const struct page_place *place, struct look_counts *counts)
{
    if (holding_find(&trial->holding, digest) != NULL)
        return;
    struct span encoded = page_memory_find(&trial->memory, digest);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, PAGE_ARENA_BYTES);
    struct page page;
    ok(page_decode(encoded, place, &arena, &page, &err));
    counts->pages++;
    counts->page_bytes += encoded.len;
    for (size_t i = 0; page.level > 0 && i < page.entry_count; i++) {
        struct page_place child = page_place_child(&page, place, i);
        pages_count(trial, &page.entries[i].child.digest, &child, counts);
    }
}

static void trial_compare(const struct trial *trial, const struct table *table)
{
    struct look_counts got = look_counts_get(&trial->look);
    struct look_counts want = model_counts(table, &trial->holding);
    const struct page_place manifest = page_place_root(TREE_MANIFEST);
    const struct page_place attributes = page_place_root(TREE_ATTRIBUTES);
    pages_count(trial, &table->manifest, &manifest, &want);
    pages_count(trial, &table->attributes, &attributes, &want);
    uint64_t got_bytes = 0, want_bytes = 0;
    for (int i = 0; i < LOOK_FATE_COUNT; i++) {
        bool is_partial = i >= LOOK_HELD && got.files_unknown;
        assert_int_equal(got.of[i].partitions, want.of[i].partitions);
        got_bytes += got.of[i].bytes;
        want_bytes += want.of[i].bytes;
        assert_true(is_partial || got.of[i].bytes == want.of[i].bytes);
        assert_true(is_partial ? got.of[i].files <= want.of[i].files
                               : got.of[i].files == want.of[i].files);
    }
    assert_int_equal(got_bytes, want_bytes); /* all that the snapshot names */
    assert_true(got.of[LOOK_HELD].bytes >= want.of[LOOK_HELD].bytes);
    assert_int_equal(got.rows, want.rows);
    assert_int_equal(got.pages, want.pages + trial->missed);
    assert_int_equal(got.page_bytes, want.page_bytes + trial->missing_bytes);
    assert_false(got.at_most);
}

static struct look_limits limits_random(void)
{
    struct look_limits limits = look_limits_default();
    if (below(2) == 0)
        limits.items_max = below(30);
    if (below(3) == 0)
        limits.held_pages_max = below(6);
    store_u64(limits.seed, below(UINT64_MAX));
    return limits;
}

static void trial_begin(struct trial *trial, const struct look_limits *limits)
{
    const struct look_store store = {.has_page = has_page,
                                     .has_file = has_file,
                                     .base_has = base_has,
                                     .context = &trial->holding};
    look_init(&trial->look, limits, &store);
}

static void trial_end(struct trial *trial)
{
    look_deinit(&trial->look);
    page_memory_deinit(&trial->memory);
    bytes_deinit(&trial->holding.asked);
    mem_free(trial->holding.pages);
    *trial = (struct trial){0};
}

static void test_random_tables_are_told_as_the_model_does(void **state)
{
    (void)state;
    static struct table old, new;
    static struct trial trial;
    uint64_t unknown = 0, deep = 0;
    for (int round = 0; round < ROUNDS; round++) {
        memset(&old, 0, sizeof(old));
        padding = below(2) == 0 ? 0 : 500;
        table_fill(&old);
        table_write(&old, &trial.memory);
        new = old;
        table_change(&new);
        table_write(&new, &trial.memory);
        if (below(4) > 0)
            hold_table(&trial.holding, &trial.memory, &old);
        for (uint64_t i = below(3) == 0 ? FILES / 2 : 0; i > 0; i--)
            trial.holding.files[below(FILES)] = true;
        trial.holding.base = below(3) > 0 ? &old : NULL;
        trial.chance_to_miss = below(3) == 0 ? 5 : 0;
        const struct look_limits limits = limits_random();
        trial_begin(&trial, &limits);
        look_all(&trial, &new);
        trial_compare(&trial, &new);
        unknown += trial.look.counts.files_unknown;
        deep += trial.level_max > 0;
        bytes_clear(&trial.holding.asked);
        trial.missed = trial.missing_bytes = 0;
        look_all(&trial, &new); /* anew: it forgets what it counted */
        trial_compare(&trial, &new);
        trial_end(&trial);
    }
    assert_true(unknown > 0 && deep > 0);
}

static void test_of_what_is_held_whole_nothing_is_asked(void **state)
{
    (void)state;
    static struct table table;
    static struct trial trial;
    for (size_t i = 0; i < 200; i++)
        table.parts[i] = (struct part){true, 3, i};
    table_write(&table, &trial.memory);
    hold_table(&trial.holding, &trial.memory, &table);
    const struct look_limits limits = look_limits_default();
    trial_begin(&trial, &limits);
    look_all(&trial, &table);
    trial_compare(&trial, &table);
    assert_int_equal(look_counts_get(&trial.look).pages, 0);
    assert_int_equal(look_counts_get(&trial.look).of[LOOK_HELD].partitions, 200);
    assert_int_equal(trial.holding.file_asks, 0);
    trial_end(&trial);
}

static void test_files_beyond_what_is_remembered_may_count_twice_and_it_says_so(void **state)
{
    (void)state;
    static struct table table;
    static struct trial trial;
    for (size_t i = 0; i < 40; i++)
        table.parts[i] = (struct part){true, 3, i % 20}; /* each file twice */
    table_write(&table, &trial.memory);
    struct look_limits limits = look_limits_default();
    trial_begin(&trial, &limits);
    look_all(&trial, &table);
    uint64_t exact = look_counts_get(&trial.look).of[LOOK_NEW].files;
    assert_false(look_counts_get(&trial.look).at_most);
    look_deinit(&trial.look);
    limits.files_max = exact / 2;
    bytes_clear(&trial.holding.asked);
    trial_begin(&trial, &limits);
    look_all(&trial, &table);
    assert_true(look_counts_get(&trial.look).at_most);
    assert_true(look_counts_get(&trial.look).of[LOOK_NEW].files > exact);
    assert_true(trial.look.file_count <= limits.files_max);
    uint64_t twice = look_counts_get(&trial.look).of[LOOK_NEW].files;
    bytes_clear(&trial.holding.asked);
    look_all(&trial, &table); /* anew, with room for as many */
    assert_int_equal(look_counts_get(&trial.look).of[LOOK_NEW].files, twice);
    trial_end(&trial);
}

int main(void)
{
    const char *seed = getenv("STRAIT_SEED");
    chance = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    printf("STRAIT_SEED=%" PRIu64 "\n", chance);
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_tables_are_told_as_the_model_does),
        cmocka_unit_test(test_of_what_is_held_whole_nothing_is_asked),
        cmocka_unit_test(test_files_beyond_what_is_remembered_may_count_twice_and_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
