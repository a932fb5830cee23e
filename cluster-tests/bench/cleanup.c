/* Clean-up alone, on a store of its own: what a threshold for thin packs costs and gives, and what
 * mass deletes of pages do to the clean-ups after them.
 *
 *     cleanup FOLDER thin PERCENT    about 1 GB live, 4 GB replaced table by table; one JSON object
 *     cleanup FOLDER pages COUNT     so many pages named, dropped, cleaned up; one JSON object
 *
 * Not a test: cluster-tests/bench/run prints it. GB = 10^9 bytes.
 */
#include <sys/stat.h>

#include "proto/limits.h"
#include "store/directory.h"
#include "store/parts.h"
#include "store/trial.h"

#define TABLES        200
#define TABLE_FILES   10
#define FILE_BYTES    1000000 /* at most; evenly spread */
#define LOAD_TABLES   4       /* replaced by one commit: they share packs */
#define LOADS         200
#define COLLECT_LOADS 10
#define PAGES_OF_ONE  50000

static struct store *store;
static struct err err;

static void must(enum err_code code, const char *what)
{
    if (code == ERR_OK)
        return;
    fprintf(stderr, "cleanup: %s: %s\n", what, err.message);
    exit(1);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double collect(struct collect_counts *ret_counts)
{
    double from = now_s();
    must(collect_run(store, toy_tree(), ret_counts, &err), "clean-up");
    return now_s() - from;
}

/* ---- thin packs ---- */

static void load(uint64_t *chance, bool first, size_t load_number)
{
    struct content *content;
    struct digest roots[LOAD_TABLES];
    char names[LOAD_TABLES][16];
    must(content_open(store, (struct account_id){1}, &content, &err), "content");
    for (size_t i = 0; i < LOAD_TABLES; i++) {
        struct toy_snapshot snapshot = {.seed = random_next(chance),
                                        .file_count = TABLE_FILES,
                                        .universe = UINT64_MAX,
                                        .file_bytes_max = FILE_BYTES};
        size_t table = first ? load_number * LOAD_TABLES + i : random_below(chance, TABLES);
        snprintf(names[i], sizeof(names[i]), "t%zu", table);
        must(toy_add(content, &snapshot, &roots[i], &err), "a table");
    }
    must(content_commit(content, &err), "commit");
    for (size_t i = 0; i < LOAD_TABLES; i++)
        must(toy_publish(store, names[i], &roots[i], &err), "publish");
    content_close(content);
}

static void thin(unsigned percent)
{
    uint64_t chance = 1;
    struct collect_counts counts, all = {0};
    double seconds = 0, ratio = 0, worst = 0;
    unsigned rounds = 0;
    store->thin_percent = percent;
    for (size_t i = 0; i < TABLES / LOAD_TABLES; i++)
        load(&chance, true, i);
    for (size_t i = 0; i < LOADS; i++) {
        load(&chance, false, i);
        if (i % COLLECT_LOADS != COLLECT_LOADS - 1)
            continue;
        struct store_usage usage;
        seconds += collect(&counts);
        all.file_bytes_deleted += counts.file_bytes_deleted;
        all.repack.file_bytes_copied += counts.repack.file_bytes_copied;
        store_usage_get(store, &usage);
        double now = (double)usage.pack_bytes / (double)usage.pack_live_bytes;
        ratio += now;
        worst = now > worst ? now : worst;
        rounds++;
    }
    double copied = (double)all.repack.file_bytes_copied;
    printf("{\"percent\": %u, \"bytes_per_live_byte\": %.3f, \"worst\": %.3f, "
           "\"copied_per_deleted\": %.3f, \"copied_gb\": %.2f, \"seconds\": %.2f}\n",
           percent, ratio / rounds, worst, copied / (double)all.file_bytes_deleted, copied / 1e9,
           seconds);
}

/* ---- pages ---- */

/* Pages of about 200 bytes, under pages of 50,000, under a root. */
static void pages_publish(const char *name, uint64_t seed, size_t count)
{
    struct content *content;
    struct digest *leaves = mem_calloc(PAGES_OF_ONE, sizeof(*leaves));
    struct digest above[64], root;
    struct bytes page BYTES_CLEANUP = {0};
    size_t above_count = 0, in_one = 0;
    must(content_open(store, (struct account_id){1}, &content, &err), "content");
    for (size_t i = 0; i < count; i++) {
        struct digest files[6] = {{{0}}};
        uint64_t chance = seed << 32 | i;
        for (size_t f = 0; f < ARRAY_COUNT(files); f++) {
            for (size_t at = 0; at < DIGEST_BYTES; at += 8)
                store_u64(files[f].b + at, random_next(&chance));
        }
        leaves[in_one++] = toy_page(0, files, ARRAY_COUNT(files), &page);
        must(content_add_page(content, &leaves[in_one - 1], bytes_span(&page), &err), "page");
        if (in_one == PAGES_OF_ONE || i + 1 == count) {
            above[above_count] = toy_page(1, leaves, in_one, &page);
            must(content_add_page(content, &above[above_count++], bytes_span(&page), &err), "page");
            in_one = 0;
        }
    }
    root = toy_page(2, above, above_count, &page);
    must(content_add_page(content, &root, bytes_span(&page), &err), "root");
    must(content_commit(content, &err), "commit");
    must(toy_publish(store, name, &root, &err), "publish");
    content_close(content);
    mem_free(leaves);
}

static void pages(size_t count)
{
    struct collect_counts counts;
    struct store_usage usage;
    pages_publish("keep", 1, count / 10);
    double small = collect(&counts);
    pages_publish("drop", 2, count);
    double named = collect(&counts);
    must(toy_drop(store, "drop", &err), "drop");
    double deleting = collect(&counts);
    double after = collect(&counts);
    store_usage_get(store, &usage);
    printf("{\"pages\": %zu, \"few_s\": %.3f, \"all_named_s\": %.3f, \"deleting_s\": %.3f, "
           "\"after_s\": %.3f, \"lock_ms_max\": %.1f}\n",
           count, small, named, deleting, after, (double)usage.lock_us_max / 1e3);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: cleanup FOLDER thin PERCENT | pages COUNT\n", stderr);
        return 2;
    }
    const struct store_options options = {.data_dir = argv[1], .region = "bench"};
    must(store_open(&options, &store, &err), "open");
    if (strcmp(argv[2], "thin") == 0)
        thin((unsigned)strtoul(argv[3], NULL, 10));
    else
        pages(strtoul(argv[3], NULL, 10));
    store_close(store);
    return 0;
}
