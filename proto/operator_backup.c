/* Requests of a backup, from the wire and to it. */
#include "operator.pb-c.h"
#include "proto/message.h"
#include "proto/operator.h"

void operator_backup_begin_encode(const struct operator_backup_begin *m, struct bytes *header)
{
    Strait__Operator__BackupBegin message = STRAIT__OPERATOR__BACKUP_BEGIN__INIT;
    message.statement_id = message_data(span_of(m->id.b, sizeof(m->id.b)));
    message_pack(&message.base, header);
}

enum err_code operator_backup_begin_decode(struct span header, struct operator_backup_begin *ret,
                                           struct err *err)
{
    ARENA_CLEANUP struct arena arena = message_arena(header);
    ProtobufCMessage *unpacked;
    TRY(message_unpack(&strait__operator__backup_begin__descriptor, header, LIMIT_HEADER_BYTES,
                       &arena, &unpacked, err));
    const Strait__Operator__BackupBegin *message = (const Strait__Operator__BackupBegin *)unpacked;
    return message_exact(message->statement_id, "statement id", ret->id.b, sizeof(ret->id.b), err);
}

void operator_backup_state_encode(const struct operator_backup_state *m, struct bytes *header)
{
    Strait__Operator__BackupState message = STRAIT__OPERATOR__BACKUP_STATE__INIT;
    message.region = message_data(m->region);
    message.cut_ms = m->cut_ms;
    message.audit_count = m->audit_count;
    message.audit_head = message_data(digest_span(&m->audit_head));
    message.files = m->file_count;
    message.bytes = m->bytes;
    message.list_bytes = m->list_bytes;
    message.damaged = m->damaged;
    message_pack(&message.base, header);
}

enum err_code operator_backup_state_decode(struct span header, struct arena *arena,
                                           struct operator_backup_state *ret, struct err *err)
{
    ProtobufCMessage *unpacked;
    TRY(message_unpack(&strait__operator__backup_state__descriptor, header, LIMIT_HEADER_BYTES,
                       arena, &unpacked, err));
    const Strait__Operator__BackupState *message = (const Strait__Operator__BackupState *)unpacked;
    struct operator_backup_state m = {
        .region = message_span(message->region),
        .cut_ms = message->cut_ms,
        .audit_count = message->audit_count,
        .file_count = message->files,
        .bytes = message->bytes,
        .list_bytes = message->list_bytes,
        .damaged = message->damaged,
    };
    if (m.region.len == 0 || m.region.len > LIMIT_REGION_BYTES || !span_is_utf8(m.region))
        return err_set(err, ERR_BAD_DATA, "region: %zu bytes", m.region.len);
    TRY(message_exact(message->audit_head, "audit head", m.audit_head.b, sizeof(m.audit_head.b),
                      err));
    if (m.list_bytes > LIMIT_BACKUP_LIST_BYTES || m.file_count > LIMIT_BACKUP_FILES)
        return err_set(err, ERR_BAD_DATA, "a list of %" PRIu64 " files, %" PRIu64 " bytes",
                       m.file_count, m.list_bytes);
    *ret = m;
    return ERR_OK;
}

void operator_backup_read_encode(const struct operator_backup_read *m, struct bytes *header)
{
    Strait__Operator__BackupRead message = STRAIT__OPERATOR__BACKUP_READ__INIT;
    message.statement_id = message_data(span_of(m->id.b, sizeof(m->id.b)));
    message.file = m->file;
    message.offset = m->offset;
    message.bytes = m->bytes;
    message_pack(&message.base, header);
}

enum err_code operator_backup_read_decode(struct span header, struct operator_backup_read *ret,
                                          struct err *err)
{
    ARENA_CLEANUP struct arena arena = message_arena(header);
    ProtobufCMessage *unpacked;
    struct operator_backup_read m;
    TRY(message_unpack(&strait__operator__backup_read__descriptor, header, LIMIT_HEADER_BYTES,
                       &arena, &unpacked, err));
    const Strait__Operator__BackupRead *message = (const Strait__Operator__BackupRead *)unpacked;
    TRY(message_exact(message->statement_id, "statement id", m.id.b, sizeof(m.id.b), err));
    m.file = message->file;
    m.offset = message->offset;
    m.bytes = message->bytes;
    if (m.bytes == 0 || m.bytes > BACKUP_READ_BYTES_MAX)
        return err_set(err, ERR_BAD_DATA, "bytes: %u, from 1 to %zu", m.bytes,
                       (size_t)BACKUP_READ_BYTES_MAX);
    *ret = m;
    return ERR_OK;
}
