#include "proto/audit.h"

#include "audit.pb-c.h"
#include "proto/limits.h"
#include "proto/message.h"

bool audit_place_is_none(const struct audit_place *place)
{
    return place->project.n == 0 && place->owner.n == 0 && place->project_name.len == 0 &&
           place->name.len == 0;
}

/* At most as long as a text may be, and whole characters of UTF-8. */
static struct span cut(struct span text)
{
    if (text.len <= AUDIT_TEXT_BYTES_MAX)
        return text;
    size_t len = AUDIT_TEXT_BYTES_MAX;
    while (len > 0 && (text.data[len] & 0xC0) == 0x80)
        len--;
    return span_slice(text, 0, len);
}

static ProtobufCBinaryData data_of(struct span text)
{
    return message_data(cut(text));
}

static void place_encode(const struct audit_place *from, Strait__AuditPlace *place,
                         Strait__AuditPlace **ret_place)
{
    strait__audit_place__init(place);
    place->project = from->project.n;
    place->owner = from->owner.n;
    place->project_name = data_of(from->project_name);
    place->name = data_of(from->name);
    *ret_place = audit_place_is_none(from) ? NULL : place;
}

void audit_record_encode(const struct audit_record *from, struct bytes *out)
{
    Strait__AuditRecord record = STRAIT__AUDIT_RECORD__INIT;
    Strait__AuditPlace object, source;
    record.time_ms = from->time_ms;
    record.principal = data_of(from->principal);
    record.key = data_of(from->key);
    record.account = from->account.n;
    record.address = data_of(from->address);
    record.action = data_of(from->action);
    place_encode(&from->object, &object, &record.object);
    place_encode(&from->source, &source, &record.source);
    record.id = data_of(from->id);
    record.outcome = data_of(from->outcome);
    record.message = data_of(from->message);
    record.text = data_of(from->text);
    record.repeats = from->repeats;
    message_pack(&record.base, out);
}

/* ---- decoding ---- */

static enum err_code text_take(ProtobufCBinaryData data, struct span *ret_text, struct err *err)
{
    if (data.len > AUDIT_TEXT_BYTES_MAX)
        return err_set(err, ERR_BAD_DATA, "audit record: a text of %zu bytes, at most %d", data.len,
                       AUDIT_TEXT_BYTES_MAX);
    *ret_text = message_span(data);
    return ERR_OK;
}

static enum err_code place_take(const Strait__AuditPlace *from, struct audit_place *ret_place,
                                struct err *err)
{
    struct audit_place place = {0};
    *ret_place = place;
    if (from == NULL)
        return ERR_OK;
    place.project.n = from->project;
    place.owner.n = from->owner;
    TRY(text_take(from->project_name, &place.project_name, err));
    TRY(text_take(from->name, &place.name, err));
    if (audit_place_is_none(&place))
        return err_set(err, ERR_BAD_DATA, "audit record: a place that says nothing");
    *ret_place = place;
    return ERR_OK;
}

static enum err_code lengths_check(const struct audit_record *record, struct err *err)
{
    size_t key = record->key.len;
    if (key != 0 && key != AUDIT_KEY_BYTES && key != AUDIT_KEY_BYTES / 2)
        return err_set(err, ERR_BAD_DATA, "audit record: a key of %zu bytes", key);
    if (record->id.len != 0 && record->id.len != 16)
        return err_set(err, ERR_BAD_DATA, "audit record: an id of %zu bytes", record->id.len);
    if (record->principal.len == 0 || record->action.len == 0 || record->outcome.len == 0)
        return err_set(err, ERR_BAD_DATA, "audit record: who, what or the outcome is missing");
    return ERR_OK;
}

enum err_code audit_record_decode(struct span encoded, struct arena *arena,
                                  struct audit_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(message_unpack_canonical(&strait__audit_record__descriptor, encoded, AUDIT_RECORD_BYTES_MAX,
                                 arena, &message, err));
    const Strait__AuditRecord *from = (const Strait__AuditRecord *)message;
    struct audit_record record = {
        .time_ms = from->time_ms, .account = {from->account}, .repeats = from->repeats};
    TRY(text_take(from->principal, &record.principal, err));
    TRY(text_take(from->key, &record.key, err));
    TRY(text_take(from->address, &record.address, err));
    TRY(text_take(from->action, &record.action, err));
    TRY(place_take(from->object, &record.object, err));
    TRY(place_take(from->source, &record.source, err));
    TRY(text_take(from->id, &record.id, err));
    TRY(text_take(from->outcome, &record.outcome, err));
    TRY(text_take(from->message, &record.message, err));
    TRY(text_take(from->text, &record.text, err));
    TRY(lengths_check(&record, err));
    *ret_record = record;
    return ERR_OK;
}
