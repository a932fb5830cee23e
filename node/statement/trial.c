#include "node/statement/trial.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "node/sql/select.h"

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
    trial->services = (struct statement_services){
        .store = trial->store,
        .identity = trial->identity,
        .region = "cn-hongkong",
        .load_memory_bytes = 256 * MIB(1),
    };
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
}

void trial_start(struct trial *trial)
{
    memset(trial, 0, sizeof(*trial));
    snprintf(trial->folder, sizeof(trial->folder), "/tmp/statement_test.XXXXXX");
    assert_non_null(mkdtemp(trial->folder));
    trial->identity = identity_generate();
    store_start(trial);
    assert_int_equal(select_start(store_tmp_dir(trial->store), NULL), ERR_OK);
    account_make(trial, &trial->root, "ALIYUN$root");
    account_make(trial, &trial->other, "ALIYUN$other");
    trial->root.operator= true;
}

void trial_project(struct trial *trial)
{
    snprintf(trial->project, sizeof(trial->project), "p%u", ++trial->projects);
    trial_gives(trial, "CREATE PROJECT @", "");
}

/* '@' becomes the project's name; the caller frees it. */
static char *text_fill(const struct trial *trial, const char *text)
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

void trial_restart(struct trial *trial)
{
    store_close(trial->store);
    store_start(trial);
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
    store_close(trial->store);
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

enum err_code trial_run_as(struct trial *trial, const struct principal *principal,
                           const struct statement_id *id, const char *pattern,
                           struct bytes *ret_text)
{
    MEM_CLEANUP char *text = text_fill(trial, pattern);
    struct err err = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, STATEMENT_ARENA_BYTES);
    atomic_bool cancel = false;
    struct statement *statement;
    struct statement_call call = {
        .services = &trial->services,
        .principal = principal,
        .id = *id,
        .content = digest_of(DOMAIN_STATEMENT, span_text(text)),
        .project = span_text(trial->project),
        .arena = &arena,
        .cancel = &cancel,
    };
    ANSWER_CLEANUP struct answer answer;
    answer_init(&answer);
    enum err_code code = statement_parse(span_text(text), &arena, &statement, &err);
    call.statement = statement;
    if (code == ERR_OK)
        code = statement_run(&call, &answer, &err);
    if (code == ERR_OK)
        code = answer_append_text(&answer, ret_text, &err);
    if (code != ERR_OK) {
        char line[ERR_MESSAGE_BYTES + 128];
        bytes_append_text(ret_text, err_format(&err, line, sizeof(line)));
    }
    bytes_append_u8(ret_text, 0);
    return code;
}

enum err_code trial_run(struct trial *trial, const char *text, struct bytes *ret_text)
{
    struct statement_id id = {{0}};
    store_u32(id.b, ++trial->statements);
    return trial_run_as(trial, &trial->root, &id, text, ret_text);
}

void trial_gives(struct trial *trial, const char *text, const char *rows)
{
    BYTES_CLEANUP struct bytes out = {0};
    MEM_CLEANUP char *expected = text_fill(trial, rows);
    if (trial_run(trial, text, &out) != ERR_OK)
        fail_msg("%s: %s", text, (const char *)out.data);
    assert_string_equal((const char *)out.data, expected);
}

void trial_begins(struct trial *trial, const char *text, const char *start)
{
    BYTES_CLEANUP struct bytes out = {0};
    MEM_CLEANUP char *expected = text_fill(trial, start);
    if (trial_run(trial, text, &out) != ERR_OK)
        fail_msg("%s: %s", text, (const char *)out.data);
    if (strncmp((const char *)out.data, expected, strlen(expected)) != 0)
        fail_msg("%s: '%s' does not begin with '%s'", text, (const char *)out.data, expected);
}

void trial_refuses(struct trial *trial, const char *text, enum err_code code, const char *words)
{
    BYTES_CLEANUP struct bytes out = {0};
    MEM_CLEANUP char *expected = text_fill(trial, words);
    enum err_code found = trial_run(trial, text, &out);
    if (found != code || strstr((const char *)out.data, expected) == NULL)
        fail_msg("%s: gave %s '%s', expected %s with '%s'", text, err_name(found),
                 (const char *)out.data, err_name(code), expected);
}
