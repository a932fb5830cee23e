#include "store/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "store/audit.h"
#include "store/directory.h"
#include "store/files.h"
#include "store/pages.h"
#include "store/parts.h"

#define TOY_PAGE_ENTRIES 5

static char template_dir[64];

/* ---- stores ---- */

static void directory_copy(const char *from, const char *to)
{
    assert_true(from[0] != '\0'); /* trial_group_setup has not run: "/." would be all there is */
    char source[80];
    assert_true(from[0] != '\0'); /* else everything there is would be copied */
    snprintf(source, sizeof(source), "%s/.", from);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execlp("cp", "cp", "-a", source, to, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int trial_group_setup(void **state)
{
    (void)state;
    struct store *store;
    struct err err;
    snprintf(template_dir, sizeof(template_dir), "/tmp/strait-trial-XXXXXX");
    assert_non_null(mkdtemp(template_dir));
    struct store_options options = {.data_dir = template_dir, .region = "here"};
    assert_int_equal(store_open(&options, &store, &err), ERR_OK);
    store_close(store);
    return 0;
}

int trial_group_teardown(void **state)
{
    (void)state;
    assert_int_equal(directory_clear(template_dir, NULL), ERR_OK);
    assert_int_equal(rmdir(template_dir), 0);
    return 0;
}

int trial_setup(void **state)
{
    if (template_dir[0] == '\0')
        fail_msg(
            "trial_group_setup comes first: cmocka_run_group_tests(tests, trial_group_setup, ...)");
    struct trial *trial = mem_calloc(1, sizeof(*trial));
    snprintf(trial->dir, sizeof(trial->dir), "/tmp/strait-trial-XXXXXX");
    assert_non_null(mkdtemp(trial->dir));
    directory_copy(template_dir, trial->dir);
    trial->options = (struct store_options){.data_dir = trial->dir, .region = "here"};
    trial_open(trial);
    *state = trial;
    return 0;
}

int trial_teardown(void **state)
{
    struct trial *trial = *state;
    store_close(trial->store);
    assert_int_equal(directory_clear(trial->dir, NULL), ERR_OK);
    assert_int_equal(rmdir(trial->dir), 0);
    mem_free(trial);
    return 0;
}

void trial_open(struct trial *trial)
{
    if (store_open(&trial->options, &trial->store, &trial->err) != ERR_OK)
        fail_msg("%s", trial->err.message);
}

void trial_reopen(struct trial *trial)
{
    store_close(trial->store);
    trial->store = NULL;
    trial_open(trial);
}

struct store_usage trial_usage(const struct trial *trial)
{
    struct store_usage usage;
    store_usage_get(trial->store, &usage);
    return usage;
}

void trial_line_hold(struct trial *trial, bool held)
{
    struct catalog_line *line = &trial->store->catalog_line;
    pthread_mutex_lock(&line->lock);
    line->led = held;
    pthread_cond_broadcast(&line->moved);
    pthread_mutex_unlock(&line->lock);
}

/* ---- chance ---- */

uint64_t trial_seed(void)
{
    const char *text = getenv("STRAIT_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)now.tv_nsec;
    printf("STRAIT_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    return seed;
}

/* splitmix64 */
uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return random_next(state) % limit;
}

/* ---- toy content ---- */

struct digest toy_file(uint64_t n, size_t len, struct bytes *ret_file)
{
    bytes_resize(ret_file, len);
    if (len > 0)
        memset(ret_file->data, (int)(n & 0xFF), len);
    for (size_t at = 0; at + 8 <= len; at += 1024)
        store_u64(ret_file->data + at, n ^ at << 20);
    return digest_of(DOMAIN_FILE, bytes_span(ret_file));
}

struct digest toy_page(uint8_t level, const struct digest *digests, size_t count,
                       struct bytes *ret_page)
{
    bytes_clear(ret_page);
    bytes_append_u8(ret_page, level);
    for (size_t i = 0; i < count; i++)
        bytes_append_span(ret_page, digest_span(&digests[i]));
    return digest_of(DOMAIN_PAGE, bytes_span(ret_page));
}

struct digest toy_snapshot_file(const struct toy_snapshot *snapshot, uint64_t *chance,
                                struct bytes *ret_file)
{
    uint64_t n = random_below(chance, snapshot->universe);
    uint64_t len_chance = n;
    return toy_file(n, (size_t)random_below(&len_chance, snapshot->file_bytes_max + 1), ret_file);
}

/* One level up; in place. */
static enum err_code toy_level(struct content *content, uint8_t level, struct digest *digests,
                               size_t *count, struct err *err)
{
    struct bytes page BYTES_CLEANUP = {0};
    size_t pages = 0;
    for (size_t at = 0; at < *count; at += TOY_PAGE_ENTRIES) {
        size_t take = *count - at < TOY_PAGE_ENTRIES ? *count - at : TOY_PAGE_ENTRIES;
        struct digest digest = toy_page(level, digests + at, take, &page);
        TRY(content_add_page(content, &digest, bytes_span(&page), err));
        digests[pages++] = digest;
    }
    *count = pages;
    return ERR_OK;
}

enum err_code toy_add(struct content *content, const struct toy_snapshot *snapshot,
                      struct digest *ret_root, struct err *err)
{
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digests[TOY_FILES_MAX];
    uint64_t chance = snapshot->seed;
    size_t count = snapshot->file_count;
    for (size_t i = 0; i < count; i++) {
        digests[i] = toy_snapshot_file(snapshot, &chance, &file);
        TRY(content_add_file(content, &digests[i], bytes_span(&file), CONTENT_HASHED, err));
    }
    for (uint8_t level = 0; level == 0 || count > 1; level++)
        TRY(toy_level(content, level, digests, &count, err));
    *ret_root = digests[0];
    return ERR_OK;
}

enum err_code toy_check(struct store *store, const struct toy_snapshot *snapshot, struct err *err)
{
    struct bytes file BYTES_CLEANUP = {0};
    struct bytes found BYTES_CLEANUP = {0};
    uint64_t chance = snapshot->seed;
    for (size_t i = 0; i < snapshot->file_count; i++) {
        struct digest digest = toy_snapshot_file(snapshot, &chance, &file);
        TRY(file_read(store, &digest, FILE_CHECK_DIGEST, &found, err));
    }
    return ERR_OK;
}

/* ---- toy names ---- */

static void root_key(const char *name, struct bytes *key)
{
    bytes_printf(key, "root/%s", name);
}

/* What the change does, said in the audit log as well. */
static void toy_audit(struct catalog_change *change, const char *name, const struct digest *root)
{
    char hex[DIGEST_HEX_BYTES];
    const struct audit_record record = {
        .principal = span_text("toy"),
        .action = span_text("TOY"),
        .object.name = span_text(name),
        .outcome = span_text(AUDIT_OUTCOME_OK),
        .message = span_text(digest_hex(root, hex)),
    };
    audit_put(change, &record);
}

enum err_code toy_publish(struct store *store, const char *name, const struct digest *root,
                          struct err *err)
{
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    struct bytes key BYTES_CLEANUP = {0};
    root_key(name, &key);
    toy_audit(&change, name, root);
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), digest_span(root));
    return catalog_commit(store, &change, CATALOG_KEEP_RESERVE, err);
}

enum err_code toy_drop(struct store *store, const char *name, struct err *err)
{
    static const struct digest none;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    struct bytes key BYTES_CLEANUP = {0};
    root_key(name, &key);
    toy_audit(&change, name, &none);
    catalog_delete(&change, FAMILY_CATALOG, bytes_span(&key));
    return catalog_commit(store, &change, CATALOG_USE_RESERVE, err);
}

enum err_code toy_find(struct store *store, const char *name, struct digest *ret_root,
                       struct err *err)
{
    struct bytes key BYTES_CLEANUP = {0};
    struct bytes value BYTES_CLEANUP = {0};
    bool found;
    root_key(name, &key);
    TRY(catalog_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), &value, &found, err));
    *ret_root = (struct digest){{0}};
    if (found && value.len == DIGEST_BYTES)
        memcpy(ret_root->b, value.data, DIGEST_BYTES);
    return ERR_OK;
}

/* ---- the toy tree, for clean-up ---- */

static enum err_code toy_roots(void *context, struct store *store, struct collect_mark *mark,
                               struct err *err)
{
    (void)context;
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span none = {0}, key, value;
    bool found;
    TRY(catalog_scan(store, NULL, FAMILY_CATALOG, span_text("root/"), none, &iter, err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        struct digest root;
        memcpy(root.b, value.data, DIGEST_BYTES);
        collect_mark_page(mark, &root);
    }
}

/* Every name is the first account's. */
static enum err_code toy_owners(void *context, struct store *store, struct collect_owned *owned,
                                bool *ret_several, struct err *err)
{
    (void)context;
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span none = {0}, key, value;
    bool found;
    TRY(catalog_scan(store, NULL, FAMILY_CATALOG, span_text("root/"), none, &iter, err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            break;
        struct digest root;
        memcpy(root.b, value.data, DIGEST_BYTES);
        collect_own_root(owned, (struct account_id){1}, &root);
    }
    *ret_several = true;
    return ERR_OK;
}

static enum err_code toy_children(void *context, struct span page, struct collect_mark *mark,
                                  uint32_t *ret_level, struct err *err)
{
    (void)context;
    if (page.len % DIGEST_BYTES != 1)
        return err_set(err, ERR_CORRUPT, "no toy page");
    for (size_t at = 1; at < page.len; at += DIGEST_BYTES) {
        struct digest digest;
        memcpy(digest.b, page.data + at, DIGEST_BYTES);
        if (page.data[0] == 0)
            collect_mark_file(mark, &digest);
        else
            collect_mark_page(mark, &digest);
    }
    *ret_level = page.data[0];
    return ERR_OK;
}

const struct collect_tree *toy_tree(void)
{
    static const struct collect_tree tree = {
        .roots = toy_roots, .children = toy_children, .owners = toy_owners};
    return &tree;
}
