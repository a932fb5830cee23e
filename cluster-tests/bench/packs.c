/* What a store of many packs costs to write to and to open, beside an empty one.
 *
 *     packs FOLDER COUNT     one JSON object; milliseconds, medians of SAMPLES
 *
 * A pack here is the smallest that a commit makes: one column file just too large for the nursery.
 * The store is ours, the account and the digests are made up; nothing names what is written.
 */
#include <sys/stat.h>

#include "proto/limits.h"
#include "store/content.h"
#include "store/store.h"

#define SAMPLES          41
#define FILE_BYTES       (SMALL_COMMIT_BYTES_MAX + 1)
#define SMALL_FILE_BYTES KIB(10)

static uint8_t *file;
static uint64_t files_made;

static void must(enum err_code code, const struct err *err)
{
    if (code != ERR_OK) {
        fprintf(stderr, "packs: %s\n", err->message);
        exit(1);
    }
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* One commit of one new file; returns its time in ms without the hashing. */
static double commit(struct store *store, size_t bytes)
{
    struct err err;
    CONTENT_CLEANUP struct content *content = NULL;
    memcpy(file, &(uint64_t){++files_made}, sizeof(uint64_t));
    struct digest digest = digest_of(DOMAIN_FILE, span_of(file, bytes));
    double start = now_ms();
    must(content_open(store, (struct account_id){1}, &content, &err), &err);
    must(content_add_file(content, &digest, span_of(file, bytes), CONTENT_HASHED, &err), &err);
    must(content_commit(content, &err), &err);
    return now_ms() - start;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_ms(struct store *store, size_t bytes)
{
    double times[SAMPLES];
    for (size_t i = 0; i < SAMPLES; i++)
        times[i] = commit(store, bytes);
    qsort(times, SAMPLES, sizeof(times[0]), by_size);
    return times[SAMPLES / 2];
}

int main(int argc, char **argv)
{
    struct err err;
    struct store *store;
    char folder[256];
    if (argc != 3) {
        fprintf(stderr, "packs FOLDER COUNT\n");
        return 2;
    }
    snprintf(folder, sizeof(folder), "%s/packs", argv[1]);
    const struct store_options options = {.data_dir = folder, .region = "bench"};
    unsigned long count = strtoul(argv[2], NULL, 10);
    file = mem_calloc(1, FILE_BYTES);
    for (size_t i = 0; i < FILE_BYTES; i++) /* any bytes that do not compress */
        file[i] = (uint8_t)((i * UINT64_C(0x9E3779B97F4A7C15)) >> 56);
    must(store_open(&options, &store, &err), &err);
    median_ms(store, FILE_BYTES); /* warm-up */
    double empty_ms = median_ms(store, FILE_BYTES);
    double empty_small_ms = median_ms(store, SMALL_FILE_BYTES);
    for (size_t i = 0; i < count; i++)
        commit(store, FILE_BYTES);
    double full_ms = median_ms(store, FILE_BYTES);
    double full_small_ms = median_ms(store, SMALL_FILE_BYTES);
    struct store_usage usage;
    store_usage_get(store, &usage);
    double start = now_ms();
    must(store_flush(store, &err), &err);
    double flush_ms = now_ms() - start;
    store_close(store);
    start = now_ms();
    must(store_open(&options, &store, &err), &err);
    double open_ms = now_ms() - start;
    store_close(store);
    printf("{\"packs\": %" PRIu64 ", \"empty_ms\": %.3f, \"full_ms\": %.3f, "
           "\"empty_small_ms\": %.3f, \"full_small_ms\": %.3f, \"flush_ms\": %.1f, "
           "\"open_ms\": %.1f}\n",
           usage.pack_count, empty_ms, full_ms, empty_small_ms, full_small_ms, flush_ms, open_ms);
    mem_free(file);
    return 0;
}
