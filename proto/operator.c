#include "proto/operator.h"

#include "operator.pb-c.h"
#include "proto/message.h"

#define LIMIT_RESULT_COLUMNS (LIMIT_COLUMNS + LIMIT_PARTITION_LEVELS)
#define LIMIT_LISTING_BYTES  (8 * MIB(1)) /* tasks, counters, peers */

/* ---- parts ---- */

/* Unpacks into the arena; where the caller keeps nothing of it, into one of its own. */
static enum err_code unpack(const ProtobufCMessageDescriptor *descriptor, struct span wire,
                            size_t limit, struct arena *arena, void *ret_message, struct err *err)
{
    ProtobufCMessage *message;
    TRY(message_unpack(descriptor, wire, limit, arena, &message, err));
    *(void **)ret_message = message;
    return ERR_OK;
}

static enum err_code text_get(ProtobufCBinaryData data, size_t limit, const char *field,
                              struct span *ret_text, struct err *err)
{
    struct span text = message_span(data);
    if (text.len > limit)
        return err_set(err, ERR_BAD_DATA, "%s: %zu bytes, at most %zu", field, text.len, limit);
    if (!span_is_utf8(text))
        return err_set(err, ERR_BAD_DATA, "%s: not UTF-8", field);
    *ret_text = text;
    return ERR_OK;
}

static ProtobufCBinaryData id_data(const uint8_t id[16])
{
    return message_data(span_of(id, 16));
}

static enum err_code wait_check(uint32_t wait_ms, struct err *err)
{
    if (wait_ms > EXECUTE_WAIT_MAX_MS)
        return err_set(err, ERR_BAD_DATA, "wait_ms: %u, at most %d", wait_ms, EXECUTE_WAIT_MAX_MS);
    return ERR_OK;
}

static enum err_code state_get(uint32_t state, enum operator_state *ret_state, struct err *err)
{
    if (state < OPERATOR_RUNNING || state > OPERATOR_FAILED)
        return err_set(err, ERR_BAD_DATA, "state: %u is unknown", state);
    *ret_state = (enum operator_state)state;
    return ERR_OK;
}

static void *arena_array(struct arena *arena, size_t count, size_t bytes, struct err *err)
{
    void *array = arena_alloc(arena, count == 0 ? 1 : count, bytes);
    if (array == NULL)
        err_set(err, ERR_LIMIT, "message needs more memory than it may");
    return array;
}

/* Messages to be packed hold arrays of pointers: one allocation for both. */
struct packed_array {
    void *items;
    void **pointers;
};

static struct packed_array packed_array_new(size_t count, size_t bytes)
{
    struct packed_array array = {
        .items = mem_calloc(count + 1, bytes),
        .pointers = mem_calloc(count + 1, sizeof(void *)),
    };
    for (size_t i = 0; i < count; i++)
        array.pointers[i] = (char *)array.items + i * bytes;
    return array;
}

static void packed_array_deinit(struct packed_array *array)
{
    mem_free(array->items);
    mem_free(array->pointers);
}
#define PACKED_CLEANUP __attribute__((cleanup(packed_array_deinit)))

static struct packed_array pairs_pack(const struct operator_pair *pairs, size_t count)
{
    struct packed_array array = packed_array_new(count, sizeof(Strait__Operator__Setting));
    for (size_t i = 0; i < count; i++) {
        Strait__Operator__Setting *setting = array.pointers[i];
        strait__operator__setting__init(setting);
        setting->key = message_data(pairs[i].key);
        setting->value = message_data(pairs[i].value);
    }
    return array;
}

static enum err_code pairs_get(Strait__Operator__Setting **settings, size_t count,
                               struct arena *arena, struct operator_pair **ret_pairs,
                               struct err *err)
{
    if (count > LIMIT_SETTINGS)
        return err_set(err, ERR_LIMIT, "%zu settings, at most %d", count, LIMIT_SETTINGS);
    struct operator_pair *pairs = arena_array(arena, count, sizeof(*pairs), err);
    if (pairs == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        TRY(text_get(settings[i]->key, LIMIT_NAME_BYTES, "setting", &pairs[i].key, err));
        TRY(text_get(settings[i]->value, LIMIT_SETTING_BYTES, "value", &pairs[i].value, err));
    }
    *ret_pairs = pairs;
    return ERR_OK;
}

static void columns_pack(const struct column *columns, size_t count, struct bytes *out)
{
    PACKED_CLEANUP struct packed_array array =
        packed_array_new(count, sizeof(Strait__Operator__Column));
    for (size_t i = 0; i < count; i++) {
        Strait__Operator__Column *column = array.pointers[i];
        strait__operator__column__init(column);
        column->name = message_data(columns[i].name);
        column->type = columns[i].type.kind;
        column->precision = columns[i].type.precision;
        column->scale = columns[i].type.scale;
        column->not_null = columns[i].not_null;
    }
    Strait__Operator__Columns message = STRAIT__OPERATOR__COLUMNS__INIT;
    message.n_column = count;
    message.column = (Strait__Operator__Column **)array.pointers;
    message_pack(&message.base, out);
}

static enum err_code column_get(const Strait__Operator__Column *message, struct column *ret_column,
                                struct err *err)
{
    struct type type = {
        .kind = (enum type_kind)message->type,
        .precision = (uint8_t)message->precision,
        .scale = (uint8_t)message->scale,
    };
    if (message->type > TYPE_DATETIME || message->precision > 38 || message->scale > 38 ||
        !type_valid(type))
        return err_set(err, ERR_BAD_DATA, "column type %u(%u,%u) is unknown", message->type,
                       message->precision, message->scale);
    struct column column = {.type = type, .not_null = message->not_null};
    /* names of result columns may be whole expressions */
    TRY(text_get(message->name, LIMIT_STATEMENT_BYTES, "column name", &column.name, err));
    *ret_column = column;
    return ERR_OK;
}

static enum err_code columns_get(struct span wire, struct arena *arena, struct column **ret_columns,
                                 size_t *ret_count, struct err *err)
{
    if (wire.len == 0) {
        *ret_columns = NULL;
        *ret_count = 0;
        return ERR_OK;
    }
    Strait__Operator__Columns *message;
    TRY(unpack(&strait__operator__columns__descriptor, wire, LIMIT_COLUMNS_BYTES, arena, &message,
               err));
    if (message->n_column > LIMIT_RESULT_COLUMNS)
        return err_set(err, ERR_LIMIT, "%zu columns, at most %d", message->n_column,
                       LIMIT_RESULT_COLUMNS);
    struct column *columns = arena_array(arena, message->n_column, sizeof(*columns), err);
    if (columns == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < message->n_column; i++) {
        TRY(column_get(message->column[i], &columns[i], err));
        columns[i].id = (uint32_t)i + 1;
    }
    *ret_columns = columns;
    *ret_count = message->n_column;
    return ERR_OK;
}

struct schema operator_schema(struct column *columns, size_t column_count)
{
    return (struct schema){
        .columns = columns,
        .column_count = column_count,
        .next_column_id = (uint32_t)column_count + 1,
    };
}

static void error_fill(const struct err *error, Strait__Operator__Error *ret_message)
{
    strait__operator__error__init(ret_message);
    ret_message->code = message_data(span_text(err_odps(error->code)));
    ret_message->message = message_data(span_text(error->message));
}

/* Absent: ERR_OK. A code of another release is ERR_INTERNAL with its message. */
static enum err_code error_get(const Strait__Operator__Error *message, struct err *ret_error,
                               struct err *err)
{
    struct err error = {0};
    if (message != NULL) {
        struct span code;
        struct span text;
        TRY(text_get(message->code, LIMIT_NAME_BYTES, "error code", &code, err));
        TRY(text_get(message->message, ERR_MESSAGE_BYTES - 1, "error message", &text, err));
        error.code = ERR_INTERNAL;
        for (enum err_code c = ERR_OK; c < ERR_CODE_COUNT; c++) {
            if (span_equal(code, span_text(err_odps(c))))
                error.code = c;
        }
        if (error.code != ERR_OK)
            err_set(&error, error.code, "%.*s", SPAN_PRINTF(text));
    }
    *ret_error = error;
    return ERR_OK;
}

static void progress_fill(const struct operator_progress *progress,
                          Strait__Operator__Progress *ret_message)
{
    strait__operator__progress__init(ret_message);
    ret_message->phase = message_data(progress->phase);
    if (progress->has_task)
        ret_message->task_id = id_data(progress->task.b);
    ret_message->bytes_done = progress->bytes_done;
    ret_message->bytes_total = progress->bytes_total;
    ret_message->files_done = progress->files_done;
    ret_message->files_total = progress->files_total;
    ret_message->elapsed_ms = progress->elapsed_ms;
}

static enum err_code progress_get(const Strait__Operator__Progress *message,
                                  struct operator_progress *ret_progress, struct err *err)
{
    struct operator_progress progress = {0};
    if (message != NULL) {
        TRY(text_get(message->phase, LIMIT_COMMENT_BYTES, "phase", &progress.phase, err));
        progress.has_task = message->task_id.len > 0;
        if (progress.has_task)
            TRY(message_exact(message->task_id, "task id", progress.task.b, sizeof(progress.task.b),
                              err));
        progress.bytes_done = message->bytes_done;
        progress.bytes_total = message->bytes_total;
        progress.files_done = message->files_done;
        progress.files_total = message->files_total;
        progress.elapsed_ms = message->elapsed_ms;
    }
    *ret_progress = progress;
    return ERR_OK;
}

/* ---- execute, fetch, result ---- */

void operator_execute_encode(const struct operator_execute *m, struct bytes *header,
                             struct bytes *body)
{
    PACKED_CLEANUP struct packed_array settings = pairs_pack(m->settings, m->setting_count);
    Strait__Operator__Execute message = STRAIT__OPERATOR__EXECUTE__INIT;
    message.statement_id = id_data(m->id.b);
    message.project = message_data(m->project);
    message.n_setting = m->setting_count;
    message.setting = (Strait__Operator__Setting **)settings.pointers;
    message.token = message_data(m->token);
    message.wait_ms = m->wait_ms;
    ProtobufCBinaryData tokens[LIMIT_STATEMENT_TOKENS];
    ASSERT(m->token_count <= LIMIT_STATEMENT_TOKENS);
    for (size_t i = 0; i < m->token_count; i++)
        tokens[i] = message_data(m->tokens[i]);
    message.n_tokens = m->token_count;
    message.tokens = tokens;
    message_pack(&message.base, header);
    bytes_append_span(body, m->text);
}

static enum err_code token_get(ProtobufCBinaryData data, struct span *ret_token, struct err *err)
{
    struct span token = message_span(data);
    if (token.len > LIMIT_STATEMENT_TOKEN_BYTES)
        return err_set(err, ERR_BAD_DATA, "token: %zu bytes", token.len);
    *ret_token = token;
    return ERR_OK;
}

static enum err_code tokens_get(const Strait__Operator__Execute *message, struct arena *arena,
                                struct operator_execute *execute, struct err *err)
{
    if (message->n_tokens > LIMIT_STATEMENT_TOKENS)
        return err_set(err, ERR_LIMIT, "%zu tokens, at most %d", message->n_tokens,
                       LIMIT_STATEMENT_TOKENS);
    execute->token_count = message->n_tokens;
    execute->tokens = arena_array(arena, message->n_tokens, sizeof(*execute->tokens), err);
    if (execute->tokens == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < message->n_tokens; i++)
        TRY(token_get(message->tokens[i], &execute->tokens[i], err));
    return token_get(message->token, &execute->token, err);
}

enum err_code operator_execute_decode(struct span header, struct span body, struct arena *arena,
                                      struct operator_execute *ret, struct err *err)
{
    Strait__Operator__Execute *message;
    struct operator_execute m = {0};
    TRY(unpack(&strait__operator__execute__descriptor, header, LIMIT_HEADER_BYTES, arena, &message,
               err));
    TRY(message_exact(message->statement_id, "statement id", m.id.b, sizeof(m.id.b), err));
    TRY(text_get(message->project, LIMIT_NAME_BYTES, "project", &m.project, err));
    m.setting_count = message->n_setting;
    TRY(pairs_get(message->setting, message->n_setting, arena, &m.settings, err));
    TRY(tokens_get(message, arena, &m, err));
    m.wait_ms = message->wait_ms;
    TRY(wait_check(m.wait_ms, err));
    if (body.len > LIMIT_STATEMENT_BYTES)
        return err_set(err, ERR_LIMIT, "the statement has %zu bytes, at most %zu are allowed",
                       body.len, LIMIT_STATEMENT_BYTES);
    if (!span_is_utf8(body))
        return err_set(err, ERR_PARSE, "the statement is not UTF-8");
    m.text = body;
    *ret = m;
    return ERR_OK;
}

void operator_fetch_encode(const struct operator_fetch *m, struct bytes *header)
{
    Strait__Operator__Fetch message = STRAIT__OPERATOR__FETCH__INIT;
    message.statement_id = id_data(m->id.b);
    message.cursor = m->cursor;
    message.wait_ms = m->wait_ms;
    message_pack(&message.base, header);
}

enum err_code operator_fetch_decode(struct span header, struct operator_fetch *ret, struct err *err)
{
    ARENA_CLEANUP struct arena arena = message_arena(header);
    Strait__Operator__Fetch *message;
    struct operator_fetch m = {0};
    TRY(unpack(&strait__operator__fetch__descriptor, header, LIMIT_HEADER_BYTES, &arena, &message,
               err));
    TRY(message_exact(message->statement_id, "statement id", m.id.b, sizeof(m.id.b), err));
    TRY(wait_check(message->wait_ms, err));
    m.cursor = message->cursor;
    m.wait_ms = message->wait_ms;
    *ret = m;
    return ERR_OK;
}

void operator_result_encode(const struct operator_result *m, struct bytes *header,
                            struct bytes *body)
{
    size_t start = body->len;
    if (m->column_count > 0)
        columns_pack(m->columns, m->column_count, body);
    Strait__Operator__Result message = STRAIT__OPERATOR__RESULT__INIT;
    Strait__Operator__Progress progress;
    Strait__Operator__Error error;
    message.state = m->state;
    message.columns_bytes = (uint32_t)(body->len - start);
    message.display_bytes = (uint32_t)m->display.len;
    message.cursor = m->cursor;
    message.notice = message_data(m->notice);
    progress_fill(&m->progress, &progress);
    message.progress = &progress;
    if (m->error.code != ERR_OK) {
        error_fill(&m->error, &error);
        message.error = &error;
    }
    message_pack(&message.base, header);
    bytes_append_span(body, m->display);
    bytes_append_span(body, m->rows);
}

enum err_code operator_result_decode(struct span header, struct span body, struct arena *arena,
                                     struct operator_result *ret, struct err *err)
{
    Strait__Operator__Result *message;
    struct operator_result m = {0};
    TRY(unpack(&strait__operator__result__descriptor, header, LIMIT_HEADER_BYTES, arena, &message,
               err));
    TRY(state_get(message->state, &m.state, err));
    m.cursor = message->cursor;
    TRY(text_get(message->notice, LIMIT_HEADER_BYTES, "notice", &m.notice, err));
    TRY(progress_get(message->progress, &m.progress, err));
    TRY(error_get(message->error, &m.error, err));
    if ((m.state == OPERATOR_FAILED) != (m.error.code != ERR_OK))
        return err_set(err, ERR_BAD_DATA, "result: state and error do not agree");
    struct reader reader = reader_of(body);
    struct span columns = reader_span(&reader, message->columns_bytes);
    m.display = reader_span(&reader, message->display_bytes);
    if (!reader_ok(&reader) || m.display.len > LIMIT_DISPLAY_BYTES || !span_is_utf8(m.display))
        return err_set(err, ERR_BAD_DATA, "result: the body's parts do not fit");
    m.rows = reader.left;
    TRY(columns_get(columns, arena, &m.columns, &m.column_count, err));
    *ret = m;
    return ERR_OK;
}

/* ---- loads ---- */

void operator_load_begin_encode(const struct operator_load_begin *m, struct bytes *header)
{
    PACKED_CLEANUP struct packed_array partition = pairs_pack(m->partition, m->partition_count);
    Strait__Operator__LoadBegin message = STRAIT__OPERATOR__LOAD_BEGIN__INIT;
    message.statement_id = id_data(m->id.b);
    message.project = message_data(m->project);
    message.table = message_data(m->table);
    message.n_partition = m->partition_count;
    message.partition = (Strait__Operator__Setting **)partition.pointers;
    message.auto_partition = m->auto_partition;
    message.mode = m->mode;
    message_pack(&message.base, header);
}

enum err_code operator_load_begin_decode(struct span header, struct arena *arena,
                                         struct operator_load_begin *ret, struct err *err)
{
    Strait__Operator__LoadBegin *message;
    struct operator_load_begin m = {0};
    TRY(unpack(&strait__operator__load_begin__descriptor, header, LIMIT_HEADER_BYTES, arena,
               &message, err));
    TRY(message_exact(message->statement_id, "statement id", m.id.b, sizeof(m.id.b), err));
    TRY(text_get(message->project, LIMIT_NAME_BYTES, "project", &m.project, err));
    TRY(text_get(message->table, LIMIT_NAME_BYTES, "table", &m.table, err));
    m.partition_count = message->n_partition;
    TRY(pairs_get(message->partition, message->n_partition, arena, &m.partition, err));
    m.auto_partition = message->auto_partition;
    if (message->mode < UPLOAD_APPEND || message->mode > UPLOAD_REPLACE_TABLE)
        return err_set(err, ERR_BAD_DATA, "load mode %u is unknown", message->mode);
    m.mode = (enum upload_mode)message->mode;
    *ret = m;
    return ERR_OK;
}

void operator_load_state_encode(const struct operator_load_state *m, struct bytes *header,
                                struct bytes *body)
{
    Strait__Operator__LoadState message = STRAIT__OPERATOR__LOAD_STATE__INIT;
    message.state = m->state;
    message.partition_columns = (uint32_t)m->partition_column_count;
    message.next_chunk = m->next_chunk;
    message_pack(&message.base, header);
    if (m->column_count > 0)
        columns_pack(m->columns, m->column_count, body);
}

enum err_code operator_load_state_decode(struct span header, struct span body, struct arena *arena,
                                         struct operator_load_state *ret, struct err *err)
{
    Strait__Operator__LoadState *message;
    struct operator_load_state m = {0};
    TRY(unpack(&strait__operator__load_state__descriptor, header, LIMIT_HEADER_BYTES, arena,
               &message, err));
    TRY(state_get(message->state, &m.state, err));
    m.next_chunk = message->next_chunk;
    m.partition_column_count = message->partition_columns;
    TRY(columns_get(body, arena, &m.columns, &m.column_count, err));
    if (m.partition_column_count > m.column_count)
        return err_set(err, ERR_BAD_DATA, "%zu partition columns among %zu",
                       m.partition_column_count, m.column_count);
    *ret = m;
    return ERR_OK;
}

void operator_load_chunk_encode(const struct operator_load_chunk *m, struct bytes *header,
                                struct bytes *body)
{
    Strait__Operator__LoadChunk message = STRAIT__OPERATOR__LOAD_CHUNK__INIT;
    message.statement_id = id_data(m->id.b);
    message.number = m->number;
    message_pack(&message.base, header);
    if (body != NULL)
        bytes_append_span(body, m->rows);
}

enum err_code operator_load_chunk_decode(struct span header, struct span body,
                                         struct operator_load_chunk *ret, struct err *err)
{
    ARENA_CLEANUP struct arena arena = message_arena(header);
    Strait__Operator__LoadChunk *message;
    struct operator_load_chunk m = {.rows = body};
    TRY(unpack(&strait__operator__load_chunk__descriptor, header, LIMIT_HEADER_BYTES, &arena,
               &message, err));
    TRY(message_exact(message->statement_id, "statement id", m.id.b, sizeof(m.id.b), err));
    m.number = message->number;
    *ret = m;
    return ERR_OK;
}

void operator_load_commit_encode(const struct operator_load_commit *m, struct bytes *header)
{
    Strait__Operator__LoadCommit message = STRAIT__OPERATOR__LOAD_COMMIT__INIT;
    message.statement_id = id_data(m->id.b);
    message.chunks = m->chunks;
    message.wait_ms = m->wait_ms;
    message_pack(&message.base, header);
}

enum err_code operator_load_commit_decode(struct span header, struct operator_load_commit *ret,
                                          struct err *err)
{
    ARENA_CLEANUP struct arena arena = message_arena(header);
    Strait__Operator__LoadCommit *message;
    struct operator_load_commit m = {0};
    TRY(unpack(&strait__operator__load_commit__descriptor, header, LIMIT_HEADER_BYTES, &arena,
               &message, err));
    TRY(message_exact(message->statement_id, "statement id", m.id.b, sizeof(m.id.b), err));
    TRY(wait_check(message->wait_ms, err));
    m.chunks = message->chunks;
    m.wait_ms = message->wait_ms;
    *ret = m;
    return ERR_OK;
}

void operator_load_outcome_encode(const struct operator_load_outcome *m, struct bytes *header)
{
    Strait__Operator__LoadOutcome message = STRAIT__OPERATOR__LOAD_OUTCOME__INIT;
    Strait__Operator__Error error;
    message.state = m->state;
    message.rows = m->rows;
    message.bytes = m->bytes;
    message.partitions = m->partitions;
    message.version = message_data(digest_span(&m->version));
    if (m->error.code != ERR_OK) {
        error_fill(&m->error, &error);
        message.error = &error;
    }
    message_pack(&message.base, header);
}

enum err_code operator_load_outcome_decode(struct span header, struct operator_load_outcome *ret,
                                           struct err *err)
{
    ARENA_CLEANUP struct arena arena = message_arena(header);
    Strait__Operator__LoadOutcome *message;
    struct operator_load_outcome m = {0};
    TRY(unpack(&strait__operator__load_outcome__descriptor, header, LIMIT_HEADER_BYTES, &arena,
               &message, err));
    TRY(state_get(message->state, &m.state, err));
    m.rows = message->rows;
    m.bytes = message->bytes;
    m.partitions = message->partitions;
    if (message->version.len != DIGEST_BYTES)
        return err_set(err, ERR_BAD_DATA, "version: %zu bytes", message->version.len);
    memcpy(m.version.b, message->version.data, DIGEST_BYTES);
    TRY(error_get(message->error, &m.error, err));
    if ((m.state == OPERATOR_FAILED) != (m.error.code != ERR_OK))
        return err_set(err, ERR_BAD_DATA, "outcome: state and error do not agree");
    *ret = m;
    return ERR_OK;
}

/* ---- export, close ---- */

void operator_export_encode(const struct operator_export *m, struct bytes *header,
                            struct bytes *body)
{
    PACKED_CLEANUP struct packed_array partition = pairs_pack(m->partition, m->partition_count);
    Strait__Operator__Export message = STRAIT__OPERATOR__EXPORT__INIT;
    message.statement_id = id_data(m->id.b);
    message.project = message_data(m->project);
    message.table = message_data(m->table);
    message.n_partition = m->partition_count;
    message.partition = (Strait__Operator__Setting **)partition.pointers;
    message.limit = m->limit;
    message.wait_ms = m->wait_ms;
    message_pack(&message.base, header);
    if (m->name_count == 0)
        return;
    ProtobufCBinaryData *data = mem_calloc(m->name_count, sizeof(*data));
    for (size_t i = 0; i < m->name_count; i++)
        data[i] = message_data(m->names[i]);
    Strait__Operator__Names names = STRAIT__OPERATOR__NAMES__INIT;
    names.n_name = m->name_count;
    names.name = data;
    message_pack(&names.base, body);
    mem_free(data);
}

static enum err_code names_get(struct span wire, struct arena *arena, struct span **ret_names,
                               size_t *ret_count, struct err *err)
{
    Strait__Operator__Names *message;
    TRY(unpack(&strait__operator__names__descriptor, wire, LIMIT_COLUMNS_BYTES, arena, &message,
               err));
    if (message->n_name > LIMIT_RESULT_COLUMNS)
        return err_set(err, ERR_LIMIT, "%zu columns, at most %d", message->n_name,
                       LIMIT_RESULT_COLUMNS);
    struct span *names = arena_array(arena, message->n_name, sizeof(*names), err);
    if (names == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < message->n_name; i++)
        TRY(text_get(message->name[i], LIMIT_NAME_BYTES, "column name", &names[i], err));
    *ret_names = names;
    *ret_count = message->n_name;
    return ERR_OK;
}

enum err_code operator_export_decode(struct span header, struct span body, struct arena *arena,
                                     struct operator_export *ret, struct err *err)
{
    Strait__Operator__Export *message;
    struct operator_export m = {0};
    TRY(unpack(&strait__operator__export__descriptor, header, LIMIT_HEADER_BYTES, arena, &message,
               err));
    TRY(message_exact(message->statement_id, "statement id", m.id.b, sizeof(m.id.b), err));
    TRY(text_get(message->project, LIMIT_NAME_BYTES, "project", &m.project, err));
    TRY(text_get(message->table, LIMIT_NAME_BYTES, "table", &m.table, err));
    m.partition_count = message->n_partition;
    TRY(pairs_get(message->partition, message->n_partition, arena, &m.partition, err));
    TRY(wait_check(message->wait_ms, err));
    m.limit = message->limit;
    m.wait_ms = message->wait_ms;
    TRY(names_get(body, arena, &m.names, &m.name_count, err));
    *ret = m;
    return ERR_OK;
}

void operator_close_encode(const struct operator_close *m, struct bytes *header)
{
    Strait__Operator__Close message = STRAIT__OPERATOR__CLOSE__INIT;
    message.statement_id = id_data(m->id.b);
    message_pack(&message.base, header);
}

enum err_code operator_close_decode(struct span header, struct operator_close *ret, struct err *err)
{
    ARENA_CLEANUP struct arena arena = message_arena(header);
    Strait__Operator__Close *message;
    struct operator_close m;
    TRY(unpack(&strait__operator__close__descriptor, header, LIMIT_HEADER_BYTES, &arena, &message,
               err));
    TRY(message_exact(message->statement_id, "statement id", m.id.b, sizeof(m.id.b), err));
    *ret = m;
    return ERR_OK;
}

/* ---- tasks ---- */

void operator_task_query_encode(const struct operator_task_query *m, struct bytes *header)
{
    Strait__Operator__TaskQuery message = STRAIT__OPERATOR__TASK_QUERY__INIT;
    message.project = message_data(m->project);
    if (m->has_task)
        message.task_id = id_data(m->task.b);
    message.wait_ms = m->wait_ms;
    message.seen = m->seen;
    message_pack(&message.base, header);
}

enum err_code operator_task_query_decode(struct span header, struct arena *arena,
                                         struct operator_task_query *ret, struct err *err)
{
    Strait__Operator__TaskQuery *message;
    struct operator_task_query m = {0};
    TRY(unpack(&strait__operator__task_query__descriptor, header, LIMIT_HEADER_BYTES, arena,
               &message, err));
    TRY(text_get(message->project, LIMIT_NAME_BYTES, "project", &m.project, err));
    m.has_task = message->task_id.len > 0;
    if (m.has_task)
        TRY(message_exact(message->task_id, "task id", m.task.b, sizeof(m.task.b), err));
    TRY(wait_check(message->wait_ms, err));
    m.wait_ms = message->wait_ms;
    m.seen = message->seen;
    *ret = m;
    return ERR_OK;
}

void operator_tasks_encode(const struct operator_tasks *m, struct bytes *body)
{
    struct task_parts {
        Strait__Operator__Task task;
        Strait__Operator__Progress progress;
        Strait__Operator__Error error;
    };
    PACKED_CLEANUP struct packed_array array =
        packed_array_new(m->task_count, sizeof(struct task_parts));
    for (size_t i = 0; i < m->task_count; i++) {
        const struct operator_task *task = &m->tasks[i];
        struct task_parts *parts = array.pointers[i];
        strait__operator__task__init(&parts->task);
        parts->task.task_id = id_data(task->id.b);
        parts->task.statement = message_data(task->statement);
        parts->task.state = message_data(task->state);
        progress_fill(&task->progress, &parts->progress);
        parts->task.progress = &parts->progress;
        parts->task.started_ms = task->started_ms;
        parts->task.ended_ms = task->ended_ms;
        if (task->error.code != ERR_OK) {
            error_fill(&task->error, &parts->error);
            parts->task.error = &parts->error;
        }
    }
    Strait__Operator__Tasks message = STRAIT__OPERATOR__TASKS__INIT;
    message.n_task = m->task_count;
    message.task = (Strait__Operator__Task **)array.pointers; /* task is the parts' first member */
    message.seen = m->seen;
    message_pack(&message.base, body);
}

static enum err_code task_get(const Strait__Operator__Task *message, struct operator_task *ret,
                              struct err *err)
{
    struct operator_task task = {0};
    TRY(message_exact(message->task_id, "task id", task.id.b, sizeof(task.id.b), err));
    TRY(text_get(message->statement, LIMIT_STATEMENT_BYTES, "statement", &task.statement, err));
    TRY(text_get(message->state, LIMIT_NAME_BYTES, "state", &task.state, err));
    TRY(progress_get(message->progress, &task.progress, err));
    TRY(error_get(message->error, &task.error, err));
    task.started_ms = message->started_ms;
    task.ended_ms = message->ended_ms;
    *ret = task;
    return ERR_OK;
}

enum err_code operator_tasks_decode(struct span body, struct arena *arena,
                                    struct operator_tasks *ret, struct err *err)
{
    Strait__Operator__Tasks *message;
    TRY(unpack(&strait__operator__tasks__descriptor, body, LIMIT_LISTING_BYTES, arena, &message,
               err));
    if (message->n_task > LIMIT_LISTED_TASKS)
        return err_set(err, ERR_LIMIT, "%zu tasks", message->n_task);
    struct operator_tasks m = {.task_count = message->n_task, .seen = message->seen};
    m.tasks = arena_array(arena, m.task_count, sizeof(*m.tasks), err);
    if (m.tasks == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < m.task_count; i++)
        TRY(task_get(message->task[i], &m.tasks[i], err));
    *ret = m;
    return ERR_OK;
}

void operator_cancel_encode(const struct operator_cancel *m, struct bytes *header)
{
    Strait__Operator__Cancel message = STRAIT__OPERATOR__CANCEL__INIT;
    message.task_id = id_data(m->task.b);
    message_pack(&message.base, header);
}

enum err_code operator_cancel_decode(struct span header, struct operator_cancel *ret,
                                     struct err *err)
{
    ARENA_CLEANUP struct arena arena = message_arena(header);
    Strait__Operator__Cancel *message;
    struct operator_cancel m;
    TRY(unpack(&strait__operator__cancel__descriptor, header, LIMIT_HEADER_BYTES, &arena, &message,
               err));
    TRY(message_exact(message->task_id, "task id", m.task.b, sizeof(m.task.b), err));
    *ret = m;
    return ERR_OK;
}

void operator_cancelled_encode(const struct operator_cancelled *m, struct bytes *header)
{
    Strait__Operator__Cancelled message = STRAIT__OPERATOR__CANCELLED__INIT;
    message.ended = message_data(m->ended);
    message_pack(&message.base, header);
}

enum err_code operator_cancelled_decode(struct span header, struct arena *arena,
                                        struct operator_cancelled *ret, struct err *err)
{
    Strait__Operator__Cancelled *message;
    struct operator_cancelled m;
    TRY(unpack(&strait__operator__cancelled__descriptor, header, LIMIT_HEADER_BYTES, arena,
               &message, err));
    TRY(text_get(message->ended, LIMIT_NAME_BYTES, "state", &m.ended, err));
    *ret = m;
    return ERR_OK;
}

/* ---- status, peers ---- */

void operator_status_encode(const struct operator_status *m, struct bytes *body)
{
    PACKED_CLEANUP struct packed_array array =
        packed_array_new(m->counter_count, sizeof(Strait__Operator__Counter));
    for (size_t i = 0; i < m->counter_count; i++) {
        Strait__Operator__Counter *counter = array.pointers[i];
        strait__operator__counter__init(counter);
        counter->name = message_data(m->counters[i].name);
        counter->labels = message_data(m->counters[i].labels);
        counter->help = message_data(m->counters[i].help);
        counter->kind = m->counters[i].kind;
        counter->value = m->counters[i].value;
    }
    Strait__Operator__Status message = STRAIT__OPERATOR__STATUS__INIT;
    message.region = message_data(m->region);
    message.version = message_data(m->version);
    message.key = message_data(m->key);
    message.principal = message_data(m->principal);
    message.uptime_ms = m->uptime_ms;
    message.audit_count = m->audit_count;
    message.audit_head = message_data(m->audit_head);
    message.n_counter = m->counter_count;
    message.counter = (Strait__Operator__Counter **)array.pointers;
    message_pack(&message.base, body);
}

static enum err_code counter_get(const Strait__Operator__Counter *message,
                                 struct operator_counter *ret, struct err *err)
{
    struct operator_counter counter = {.value = message->value};
    TRY(text_get(message->name, LIMIT_NAME_BYTES, "counter", &counter.name, err));
    TRY(text_get(message->labels, LIMIT_COMMENT_BYTES, "labels", &counter.labels, err));
    TRY(text_get(message->help, LIMIT_COMMENT_BYTES, "help", &counter.help, err));
    if (message->kind != COUNTER_TOTAL && message->kind != COUNTER_GAUGE)
        return err_set(err, ERR_BAD_DATA, "counter kind %u is unknown", message->kind);
    counter.kind = (enum counter_kind)message->kind;
    *ret = counter;
    return ERR_OK;
}

enum err_code operator_status_decode(struct span body, struct arena *arena,
                                     struct operator_status *ret, struct err *err)
{
    Strait__Operator__Status *message;
    struct operator_status m = {0};
    TRY(unpack(&strait__operator__status__descriptor, body, LIMIT_LISTING_BYTES, arena, &message,
               err));
    TRY(text_get(message->region, LIMIT_REGION_BYTES, "region", &m.region, err));
    TRY(text_get(message->version, LIMIT_NAME_BYTES, "version", &m.version, err));
    TRY(text_get(message->key, LIMIT_SETTING_BYTES, "key", &m.key, err));
    TRY(text_get(message->principal, LIMIT_PRINCIPAL_BYTES, "principal", &m.principal, err));
    TRY(text_get(message->audit_head, DIGEST_HEX_BYTES, "audit head", &m.audit_head, err));
    m.uptime_ms = message->uptime_ms;
    m.audit_count = message->audit_count;
    if (message->n_counter > LIMIT_COUNTERS)
        return err_set(err, ERR_LIMIT, "%zu counters", message->n_counter);
    m.counter_count = message->n_counter;
    m.counters = arena_array(arena, m.counter_count, sizeof(*m.counters), err);
    if (m.counters == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < m.counter_count; i++)
        TRY(counter_get(message->counter[i], &m.counters[i], err));
    *ret = m;
    return ERR_OK;
}

void operator_peers_encode(const struct operator_peers *m, struct bytes *body)
{
    struct peer_parts {
        Strait__Operator__Peer peer;
        Strait__Operator__Error error;
    };
    PACKED_CLEANUP struct packed_array array =
        packed_array_new(m->peer_count, sizeof(struct peer_parts));
    for (size_t i = 0; i < m->peer_count; i++) {
        const struct operator_peer *peer = &m->peers[i];
        struct peer_parts *parts = array.pointers[i];
        strait__operator__peer__init(&parts->peer);
        parts->peer.region = message_data(peer->region);
        parts->peer.addresses = message_data(peer->addresses);
        parts->peer.key = message_data(peer->key);
        parts->peer.connected = peer->connected;
        parts->peer.last_heard_ms = peer->last_heard_ms;
        if (peer->error.code != ERR_OK) {
            error_fill(&peer->error, &parts->error);
            parts->peer.error = &parts->error;
        }
    }
    Strait__Operator__Peers message = STRAIT__OPERATOR__PEERS__INIT;
    message.n_peer = m->peer_count;
    message.peer = (Strait__Operator__Peer **)array.pointers; /* peer is the parts' first member */
    message_pack(&message.base, body);
}

static enum err_code peer_get(const Strait__Operator__Peer *message, struct operator_peer *ret,
                              struct err *err)
{
    struct operator_peer peer = {
        .connected = message->connected,
        .last_heard_ms = message->last_heard_ms,
    };
    TRY(text_get(message->region, LIMIT_REGION_BYTES, "region", &peer.region, err));
    TRY(text_get(message->addresses, LIMIT_HEADER_BYTES, "addresses", &peer.addresses, err));
    TRY(text_get(message->key, LIMIT_SETTING_BYTES, "key", &peer.key, err));
    TRY(error_get(message->error, &peer.error, err));
    *ret = peer;
    return ERR_OK;
}

enum err_code operator_peers_decode(struct span body, struct arena *arena,
                                    struct operator_peers *ret, struct err *err)
{
    Strait__Operator__Peers *message;
    TRY(unpack(&strait__operator__peers__descriptor, body, LIMIT_LISTING_BYTES, arena, &message,
               err));
    if (message->n_peer > LIMIT_PEERS)
        return err_set(err, ERR_LIMIT, "%zu peers", message->n_peer);
    struct operator_peers m = {.peer_count = message->n_peer};
    m.peers = arena_array(arena, m.peer_count, sizeof(*m.peers), err);
    if (m.peers == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < m.peer_count; i++)
        TRY(peer_get(message->peer[i], &m.peers[i], err));
    *ret = m;
    return ERR_OK;
}
