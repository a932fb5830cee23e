#include "node/statement/trial.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "node/cleanup.h"
#include "node/expiry.h"
#include "node/limits.h"
#include "store/roots.h"
#include "store/snapshot.h"
#include "store/table.h"

static struct limits limits =
    LIMITS_OF(.load_memory_bytes = 256 * MIB(1),
              .select = {.time_ms_max = 600000, .memory_bytes_max = 64 * MIB(1)});

static void store_start(struct trial *trial)
{
    struct err err;
    const struct store_options options = {
        .data_dir = trial->folder,
        .region = "cn-hongkong",
        .identity = identity_public(trial->identity)->sign,
        .disk_reserve_bytes = MIB(1),
    };
    if (store_open(&options, &trial->store, &err) != ERR_OK)
        fail_msg("%s", err.message);
    const struct expiry_options expiry = {.store = trial->store}; /* history goes at once */
    if (expiry_open(&expiry, &trial->expiry, &err) != ERR_OK)
        fail_msg("%s", err.message);
    const struct cleanup_options cleanup = {.store = trial->store, .expiry = trial->expiry};
    trial->services = (struct statement_services){
        .auditor = auditor_new(trial->store),
        .cleanup = cleanup_new(&cleanup),
        .store = trial->store,
        .principals = trial->principals,
        .identity = trial->identity,
        .region = "cn-hongkong",
        .limits = &limits,
    };
}

static void principal_put(struct trial *trial, const struct principal *principal)
{
    principals_put(trial->principals, &(struct principal_spec){.name = span_text(principal->name),
                                                               .account = principal->account,
                                                               .number = principal->number,
                                                               .user = principal->user});
}

static void user_make(struct trial *trial, struct principal *user, const char *name,
                      const struct principal *account)
{
    struct err err;
    struct user_id id;
    const struct user_record spec = {.name = span_text(name), .account = account->account};
    const struct change_note note = {.now_ms = 1, .principal = span_text(account->name)};
    if (user_create(trial->store, &spec, &note, &id, &err) != ERR_OK)
        fail_msg("%s", err.message);
    *user = (struct principal){.account = account->account, .number = id.n, .user = true};
    snprintf(user->name, sizeof(user->name), "%s", name);
    principal_put(trial, user);
}

static void account_make(struct trial *trial, struct principal *principal, const char *name)
{
    struct err err;
    *principal = (struct principal){0};
    snprintf(principal->name, sizeof(principal->name), "%s", name);
    struct public_key key = {.identity = {{(uint8_t)name[strlen(name) - 1]}},
                             .exchange = {(uint8_t)name[strlen(name) - 1]}};
    struct account_record spec = {.name = span_text(name), .keys = &key, .key_count = 1};
    const struct change_note note = {.now_ms = 1, .principal = span_text(name)};
    if (account_create(trial->store, &spec, &note, &principal->account, &err) != ERR_OK)
        fail_msg("%s", err.message);
    principal->number = principal->account.n;
    principal_put(trial, principal);
}

void trial_start(struct trial *trial)
{
    memset(trial, 0, sizeof(*trial));
    snprintf(trial->folder, sizeof(trial->folder), "/tmp/statement_test.XXXXXX");
    assert_non_null(mkdtemp(trial->folder));
    trial->identity = identity_generate();
    assert_int_equal(principals_new(&(struct config_list){0}, &trial->principals, NULL), ERR_OK);
    store_start(trial);
    assert_int_equal(select_start(store_tmp_dir(trial->store), NULL), ERR_OK);
    account_make(trial, &trial->root, "ALIYUN$root");
    account_make(trial, &trial->other, "ALIYUN$other");
    trial->root.operator= true;
    user_make(trial, &trial->user, "RAM$root:u", &trial->root);
    user_make(trial, &trial->stranger, "RAM$other:u", &trial->other);
}

void trial_project(struct trial *trial)
{
    snprintf(trial->project, sizeof(trial->project), "p%u", ++trial->projects);
    trial->as = NULL;
    trial_gives(trial, "CREATE PROJECT @", "");
}

void trial_project_of_rows(struct trial *trial)
{
    trial_project(trial);
    trial_root(trial, "CREATE TABLE t (a BIGINT)");
    trial_root(trial, "INSERT INTO t VALUES (1), (2), (3)");
    trial_root(trial, "CREATE SNAPSHOT TABLE s CLONE t");
}

void trial_replica(struct trial *trial, const char *name, const struct trial_origin *origin)
{
    struct err err;
    struct project_record project;
    struct snapshot_record s;
    struct snapshot_claim claim;
    struct table_id id;
    BYTES_CLEANUP struct bytes encoded = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 4 * CATALOG_ARENA_BYTES);
    struct span here = span_text(trial->project);
    assert_int_equal(project_find(trial->store, NULL, here, &arena, &project, &err), ERR_OK);
    assert_int_equal(
        snapshot_find(trial->store, NULL, project.id, span_text("s"), &arena, &s, &err), ERR_OK);
    assert_int_equal(snapshot_claim_decode(s.claim, &arena, &claim, &err), ERR_OK);
    claim.region = span_text(origin->region);
    claim.project = span_text(origin->project);
    claim.base_table_name = span_text(origin->table);
    claim.created_ms = origin->created_ms;
    if (origin->table_id.n != 0)
        claim.base_table = origin->table_id;
    snapshot_claim_encode(&claim, &encoded);
    struct signature signature;
    identity_sign(trial->identity, SNAPSHOT_SIGN_TEXT, bytes_span(&encoded), &signature);
    struct identity_key maker = s.maker;
    uint8_t key[crypto_sign_SECRETKEYBYTES];
    if (origin->forged)
        crypto_sign_keypair(maker.b, key);
    const struct snapshot_replica replica = {.project = project.id,
                                             .name = span_text(name),
                                             .expires_ms = origin->expires_ms,
                                             .claim = bytes_span(&encoded),
                                             .maker = maker,
                                             .signature = signature.b,
                                             .version = s.version};
    const struct change_note note = {.now_ms = origin->here_ms,
                                     .principal = span_text("ALIYUN$root")};
    if (snapshot_publish(trial->store, &replica, &note, &id, NULL, &err) != ERR_OK)
        fail_msg("%s", err.message);
}

static void fault_print(void *context, const struct digest *digest, const char *what)
{
    (void)context;
    (void)digest;
    fprintf(stderr, "fsck: %s\n", what);
}

void trial_is_whole(struct trial *trial)
{
    struct fsck_counts counts;
    struct err err;
    if (catalog_fsck(trial->store, FSCK_REHASH, fault_print, NULL, &counts, &err) != ERR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(counts.faults, 0);
}

/* '@' becomes the project's name; the caller frees it. */
char *trial_text(const struct trial *trial, const char *text)
{
    BYTES_CLEANUP struct bytes out = {0};
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '@')
            bytes_append_text(&out, trial->project);
        else
            bytes_append_u8(&out, (uint8_t)*c);
    }
    return mem_strndup(bytes_span(&out));
}

void trial_close(struct trial *trial)
{
    cleanup_free(trial->services.cleanup);
    auditor_free(trial->services.auditor);
    expiry_free(trial->expiry);
    store_close(trial->store);
}

void trial_reopen(struct trial *trial)
{
    store_start(trial);
}

void trial_restart(struct trial *trial)
{
    trial_close(trial);
    trial_reopen(trial);
}

static void folder_remove(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char inner[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR)
            folder_remove(inner);
        else
            unlink(inner);
    }
    closedir(dir);
    rmdir(path);
}

void trial_stop(struct trial *trial)
{
    trial_close(trial);
    principals_free(trial->principals);
    identity_free(trial->identity);
    folder_remove(trial->folder);
}

static void batch_append_text(const struct batch *batch, struct bytes *out)
{
    for (size_t row = 0; row < batch->rows; row++) {
        bytes_append_text(out, out->len == 0 ? "" : ";");
        for (size_t i = 0; i < batch->vector_count; i++) {
            struct value value = vector_value(&batch->vectors[i], row);
            bytes_append_text(out, i == 0 ? "" : ",");
            if (value.null)
                bytes_append_text(out, "NULL");
            else
                value_format(batch->vectors[i].type, value, out);
        }
    }
}

static enum err_code answer_append_text(struct answer *answer, struct bytes *out, struct err *err)
{
    bool end = answer->stream.context == NULL;
    if (answer->column_count > 0)
        batch_append_text(&answer->rows, out);
    while (!end) {
        batch_clear(&answer->rows);
        TRY(answer->stream.next(answer->stream.context, LIMIT_RESULT_CHUNK_BYTES, &answer->rows,
                                &end, err));
        batch_append_text(&answer->rows, out);
    }
    return ERR_OK;
}

struct trial_cursor {
    char *text;
    struct arena arena;
    struct statement *statement;
    struct statement_call call;
    struct statement_audit audit;
    struct answer answer;
    struct err err;
};

static enum err_code cursor_run(struct trial *trial, const struct principal *principal,
                                const struct statement_id *id, const char *pattern,
                                struct trial_cursor **ret_cursor)
{
    struct trial_cursor *cursor = mem_calloc(1, sizeof(*cursor));
    cursor->text = trial_text(trial, pattern);
    arena_init(&cursor->arena, STATEMENT_ARENA_BYTES);
    snprintf(cursor->audit.address, sizeof(cursor->audit.address), "127.0.0.1:1");
    cursor->call = (struct statement_call){
        .services = &trial->services,
        .principal = principal,
        .id = *id,
        .content = digest_of(DOMAIN_STATEMENT, span_text(cursor->text)),
        .project = span_text(trial->project),
        .settings = &trial->setting,
        .setting_count = trial->setting.key.len > 0 ? 1 : 0,
        .arena = &cursor->arena,
        .cancel = &trial->cancel,
        .audit = &cursor->audit,
        .progress = trial->progress,
    };
    answer_init(&cursor->answer);
    enum err_code code =
        statement_parse(span_text(cursor->text), &cursor->arena, &cursor->statement, &cursor->err);
    cursor->call.statement = cursor->statement;
    if (code == ERR_OK)
        code = statement_run(&cursor->call, &cursor->answer, &cursor->err);
    *ret_cursor = cursor;
    return code;
}

/* Ends the cursor; the rows that are left, or the error, go to ret_text. */
static enum err_code cursor_end(struct trial_cursor *cursor, enum err_code code,
                                struct bytes *ret_text)
{
    if (code == ERR_OK)
        code = answer_append_text(&cursor->answer, ret_text, &cursor->err);
    if (code != ERR_OK) {
        char line[ERR_MESSAGE_BYTES + 128];
        bytes_append_text(ret_text, err_format(&cursor->err, line, sizeof(line)));
    }
    bytes_append_u8(ret_text, 0);
    answer_deinit(&cursor->answer);
    arena_deinit(&cursor->arena);
    mem_free(cursor->text);
    mem_free(cursor);
    return code;
}

enum err_code trial_run_as(struct trial *trial, const struct principal *principal,
                           const struct statement_id *id, const char *pattern,
                           struct bytes *ret_text)
{
    struct trial_cursor *cursor;
    enum err_code code = cursor_run(trial, principal, id, pattern, &cursor);
    return cursor_end(cursor, code, ret_text);
}

static const struct principal *runner(const struct trial *trial)
{
    return trial->as != NULL ? trial->as : &trial->root;
}

static struct trial_cursor *runner_run(struct trial *trial, const char *text)
{
    struct statement_id id = {{0}};
    struct trial_cursor *cursor;
    store_u32(id.b, ++trial->statements);
    if (cursor_run(trial, runner(trial), &id, text, &cursor) != ERR_OK)
        fail_msg("%s: %s", text, cursor->err.message);
    return cursor;
}

struct trial_cursor *trial_open(struct trial *trial, const char *text)
{
    struct trial_cursor *cursor = runner_run(trial, text);
    assert_non_null(cursor->answer.stream.context);
    return cursor;
}

void trial_rest(struct trial_cursor *cursor, const char *rows)
{
    BYTES_CLEANUP struct bytes out = {0};
    if (cursor_end(cursor, ERR_OK, &out) != ERR_OK)
        fail_msg("%s", (const char *)out.data);
    assert_string_equal((const char *)out.data, rows);
}

void trial_rest_refused(struct trial_cursor *cursor, enum err_code code, const char *words)
{
    BYTES_CLEANUP struct bytes out = {0};
    assert_int_equal(cursor_end(cursor, ERR_OK, &out), code);
    assert_non_null(strstr((const char *)out.data, words));
}

void trial_shows(struct trial *trial, const char *text, struct bytes *ret_display)
{
    BYTES_CLEANUP struct bytes rows = {0};
    struct trial_cursor *cursor = runner_run(trial, text);
    bytes_clear(ret_display);
    bytes_append_span(ret_display, cursor->answer.display);
    bytes_append_u8(ret_display, 0);
    assert_int_equal(cursor_end(cursor, ERR_OK, &rows), ERR_OK);
}

struct version_ref trial_version(struct trial *trial, const char *name)
{
    struct err err;
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    struct name_target target;
    READER_CLEANUP struct reader_handle *reader = NULL;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    if (project_find(trial->store, NULL, span_text(trial->project), &arena, &project, &err) !=
            ERR_OK ||
        name_find(trial->store, NULL, project.id, span_text(name), &target, &err) != ERR_OK ||
        reader_open(trial->store, target.id, &reader, &err) != ERR_OK)
        fail_msg("%s: %s", name, err.message);
    return *reader_ref(reader);
}

enum err_code trial_run(struct trial *trial, const char *text, struct bytes *ret_text)
{
    struct statement_id id = {{0}};
    store_u32(id.b, ++trial->statements);
    return trial_run_as(trial, runner(trial), &id, text, ret_text);
}

/* Of its answer the display, else the notice. */
static enum err_code run_shown(struct trial *trial, const char *text, bool display,
                               struct bytes *ret_text)
{
    struct trial_cursor *cursor;
    struct statement_id id = {{0}};
    store_u32(id.b, ++trial->statements);
    enum err_code code = cursor_run(trial, runner(trial), &id, text, &cursor);
    BYTES_CLEANUP struct bytes shown = {0};
    if (code == ERR_OK)
        bytes_append_span(&shown, display ? cursor->answer.display : cursor->answer.notice);
    BYTES_CLEANUP struct bytes rows = {0};
    code = cursor_end(cursor, code, &rows);
    bytes_append_u8(&shown, 0);
    bytes_append_span(ret_text, bytes_span(code == ERR_OK ? &shown : &rows));
    return code;
}

enum err_code trial_display(struct trial *trial, const char *text, struct bytes *ret_text)
{
    return run_shown(trial, text, true, ret_text);
}

void trial_tells(struct trial *trial, const char *text, const char *words)
{
    BYTES_CLEANUP struct bytes told = {0};
    if (run_shown(trial, text, false, &told) != ERR_OK ||
        strstr((const char *)told.data, words) == NULL)
        fail_msg("%s: told '%s', expected '%s'", text, (const char *)told.data, words);
}

void trial_gives(struct trial *trial, const char *text, const char *rows)
{
    BYTES_CLEANUP struct bytes out = {0};
    MEM_CLEANUP char *expected = trial_text(trial, rows);
    if (trial_run(trial, text, &out) != ERR_OK)
        fail_msg("%s: %s", text, (const char *)out.data);
    assert_string_equal((const char *)out.data, expected);
}

void trial_begins(struct trial *trial, const char *text, const char *start)
{
    BYTES_CLEANUP struct bytes out = {0};
    MEM_CLEANUP char *expected = trial_text(trial, start);
    if (trial_run(trial, text, &out) != ERR_OK)
        fail_msg("%s: %s", text, (const char *)out.data);
    if (strncmp((const char *)out.data, expected, strlen(expected)) != 0)
        fail_msg("%s: '%s' does not begin with '%s'", text, (const char *)out.data, expected);
}

void trial_refuses(struct trial *trial, const char *text, enum err_code code, const char *words)
{
    BYTES_CLEANUP struct bytes out = {0};
    MEM_CLEANUP char *expected = trial_text(trial, words);
    enum err_code found = trial_run(trial, text, &out);
    if (found != code || strstr((const char *)out.data, expected) == NULL)
        fail_msg("%s: gave %s '%s', expected %s with '%s'", text, err_name(found),
                 (const char *)out.data, err_name(code), expected);
}

void trial_root(struct trial *trial, const char *text)
{
    trial->as = NULL;
    trial_gives(trial, text, "");
}

void trial_allows(struct trial *trial, const struct principal *principal, const char *text,
                  const char *rows)
{
    trial->as = principal;
    trial_gives(trial, text, rows);
    trial->as = NULL;
}

void trial_denies(struct trial *trial, const struct principal *principal, const char *text,
                  const char *words)
{
    trial->as = principal;
    trial_refuses(trial, text, ERR_DENIED, words);
    trial->as = NULL;
}
