/* A permission check among 10 grants and among many: authorise() alone, on two stores of their own.
 *
 *     rights FOLDER GRANTS    one JSON object: ns a check, of the same ten grants in both, and of all
 *
 * Each grant is on an object of its own, all to one user. The same ten show what the number of grants
 * costs; all of them in turn, what it costs that they are not in the processor's first cache.
 *
 * The three are asked in turns of CHECKS, and the median of ROUNDS is told, so that what else the
 * machine does falls on all. Not a test: cluster-tests/bench/run prints it.
 */
#include "node/authorise.h"
#include "proto/limits.h"
#include "store/directory.h"
#include "store/parts.h"
#include "store/rights_index.h"
#include "store/store.h"

#define FEW    10
#define CHECKS 100000
#define ROUNDS 31

static struct err err;

static void must(enum err_code code, const char *what)
{
    if (code == ERR_OK)
        return;
    fprintf(stderr, "rights: %s: %s\n", what, err.message);
    exit(1);
}

static const struct project_record project = {
    .id = {1}, .owner = {1}, .name = {(const uint8_t *)"p", 1}};
static const struct principal user = {.name = "RAM$a:u", .account = {2}, .number = 7, .user = true};

static struct rights_key grant_nth(uint64_t n)
{
    return (struct rights_key){project.id, {1000 + n}, 1, action_number(ACTION_SELECT)};
}

/* With one user and so many grants in the index. */
static struct store *store_make(const char *folder, const char *name, uint64_t grants)
{
    char path[4096];
    struct store *store;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    const struct store_options options = {
        .data_dir = path, .region = "r", .disk_reserve_bytes = MIB(1)};
    const struct member_record member = {
        .project = project.id, .name = span_text(user.name), .principal = user.number};
    const struct change_note note = {.now_ms = 1, .principal = span_text("ALIYUN$a")};
    must(store_open(&options, &store, &err), "store");
    must(member_add(store, &member, &note, &err), "user");
    for (uint64_t n = 0; n < grants; n++) {
        const struct rights_key key = grant_nth(n);
        rights_grant_put(store->rights, &key, 0);
    }
    return store;
}

/* ns a check, of the first `among` grants in turn. */
static double checks_time(struct store *store, uint64_t among)
{
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (uint64_t i = 0; i < CHECKS; i++) {
        const struct table_record table = {.id = grant_nth(i * 7919 % among).object,
                                           .name = span_text("t"),
                                           .owner = span_text("ALIYUN$a")};
        must(authorise(&user, ACTION_SELECT, object_table(store, &project, &table), &err), "check");
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
    return ns / CHECKS;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double times[ROUNDS])
{
    qsort(times, ROUNDS, sizeof(*times), compare);
    return times[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    static double few[ROUNDS], same[ROUNDS], all[ROUNDS];
    uint64_t grants = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    if (grants < FEW) {
        fprintf(stderr, "rights FOLDER GRANTS\n");
        return 2;
    }
    struct store *small = store_make(argv[1], "few", FEW);
    struct store *large = store_make(argv[1], "many", grants);
    for (size_t i = 0; i < ROUNDS; i++) {
        few[i] = checks_time(small, FEW);
        same[i] = checks_time(large, FEW);
        all[i] = checks_time(large, grants);
    }
    double few_ns = median(few), same_ns = median(same), all_ns = median(all);
    printf("{\"grants\": %" PRIu64 ", \"few_ns\": %.1f, \"same_ns\": %.1f, \"all_ns\": %.1f, "
           "\"same_ratio\": %.3f, \"all_ratio\": %.3f}\n",
           grants, few_ns, same_ns, all_ns, same_ns / few_ns, all_ns / few_ns);
    store_close(small);
    store_close(large);
    return 0;
}
