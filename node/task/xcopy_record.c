#include "node/task/xcopy_record.h"

#include <time.h>

#define RECORD_FORM        4
#define RECORD_FORM_NAMED  3 /* without the project's id and a schedule */
#define RECORD_FORM_PLAIN  2 /* without queues and troubles either */
#define RECORD_FORM_OLDEST 1 /* without held_since either: the task begins anew */

uint64_t xcopy_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct span xcopy_key(char kind, const struct task_id *id, uint8_t key[XCOPY_KEY_BYTES])
{
    key[0] = (uint8_t)kind;
    memcpy(key + 1, id->b, sizeof(id->b));
    return span_of(key, XCOPY_KEY_BYTES);
}

static void append_span(struct bytes *out, struct span span)
{
    bytes_append_u32(out, (uint32_t)span.len);
    bytes_append_span(out, span);
}

#define COUNTERS(X)                                                                                \
    X(partitions_total)                                                                            \
    X(partitions_moved)                                                                            \
    X(rows_total)                                                                                  \
    X(bytes_total)                                                                                 \
    X(files_moved)                                                                                 \
    X(bytes_moved)                                                                                 \
    X(bytes_skipped)                                                                               \
    X(wire_bytes)

void xcopy_record_encode(const struct xcopy_record *record, struct bytes *out)
{
    bytes_append_u8(out, RECORD_FORM);
    bytes_append(out, record->id.b, sizeof(record->id.b));
    bytes_append_u8(out, (uint8_t)record->state);
    bytes_append_u8(out, record->published);
    bytes_append_u8(out, record->queues);
    bytes_append_u64(out, record->account.n);
    bytes_append_u16(out, (uint16_t)record->error);
    bytes_append_u64(out, record->expires_ms);
    bytes_append_u64(out, record->created_ms);
    bytes_append_u64(out, record->started_ms);
    bytes_append_u64(out, record->ended_ms);
    bytes_append_u64(out, record->held_since);
#define X(name) bytes_append_u64(out, record->counters.name);
    COUNTERS(X)
#undef X
    bytes_append_span(out, digest_span(&record->version));
    bytes_append_span(out, digest_span(&record->root));
    append_span(out, record->principal);
    append_span(out, record->statement);
    append_span(out, record->token);
    append_span(out, record->message);
    bytes_append_u64(out, record->tries_again);
    bytes_append_u16(out, (uint16_t)record->trouble);
    append_span(out, record->trouble_message);
    bytes_append_u64(out, record->project.n);
    append_span(out, record->schedule);
    append_span(out, record->source_snapshot);
    append_span(out, record->destination_snapshot);
}

static struct span read_span(struct reader *reader)
{
    return reader_span(reader, reader_u32(reader));
}

enum err_code xcopy_record_decode(struct span encoded, struct xcopy_record *ret_record,
                                  struct err *err)
{
    struct reader reader = reader_of(encoded);
    struct xcopy_record record = {0};
    uint8_t form = reader_u8(&reader);
    reader_copy(&reader, record.id.b, sizeof(record.id.b));
    uint8_t state = reader_u8(&reader);
    record.published = reader_u8(&reader) != 0;
    record.queues = form > RECORD_FORM_PLAIN && reader_u8(&reader) != 0;
    record.account.n = reader_u64(&reader);
    uint16_t error = reader_u16(&reader);
    record.expires_ms = reader_u64(&reader);
    record.created_ms = reader_u64(&reader);
    record.started_ms = reader_u64(&reader);
    record.ended_ms = reader_u64(&reader);
    record.held_since = form == RECORD_FORM_OLDEST ? 0 : reader_u64(&reader);
#define X(name) record.counters.name = reader_u64(&reader);
    COUNTERS(X)
#undef X
    reader_copy(&reader, record.version.b, DIGEST_BYTES);
    reader_copy(&reader, record.root.b, DIGEST_BYTES);
    record.principal = read_span(&reader);
    record.statement = read_span(&reader);
    record.token = read_span(&reader);
    record.message = read_span(&reader);
    uint16_t trouble = 0;
    if (form > RECORD_FORM_PLAIN) {
        record.tries_again = reader_u64(&reader);
        trouble = reader_u16(&reader);
        record.trouble_message = read_span(&reader);
    }
    if (form > RECORD_FORM_NAMED) {
        record.project.n = reader_u64(&reader);
        record.schedule = read_span(&reader);
        record.source_snapshot = read_span(&reader);
        record.destination_snapshot = read_span(&reader);
    }
    bool known = form >= RECORD_FORM_OLDEST && form <= RECORD_FORM;
    if (!known || !reader_end(&reader) || state > TASK_CANCELLED || error >= ERR_CODE_COUNT ||
        trouble >= ERR_CODE_COUNT)
        return err_set(err, ERR_CORRUPT, "the record of a task is damaged");
    record.state = (enum task_state)state;
    record.error = (enum err_code)error;
    record.trouble = (enum err_code)trouble;
    *ret_record = record;
    return ERR_OK;
}

enum err_code xcopy_record_token(const struct xcopy_record *record, struct token *ret_token,
                                 struct err *err)
{
    struct token token;
    TRY(token_decode(record->token, &token, err));
    TRY(token_copy_set(&token, record->source_snapshot, record->destination_snapshot, err));
    *ret_token = token;
    return ERR_OK;
}

void xcopy_record_put(struct catalog_change *change, const struct xcopy_record *record)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    uint8_t key[XCOPY_KEY_BYTES];
    xcopy_record_encode(record, &encoded);
    catalog_put(change, FAMILY_TASKS, xcopy_key('t', &record->id, key), bytes_span(&encoded));
}

enum err_code xcopy_record_commit(struct store *store, const struct xcopy_record *record,
                                  enum catalog_space space, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    xcopy_record_put(&change, record);
    return catalog_commit(store, &change, space, err);
}
