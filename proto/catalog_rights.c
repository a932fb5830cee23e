/* Records of users, roles and grants: catalog.h. What they mean: store/rights.h. */
#include "proto/catalog.h"

#include "catalog.pb-c.h"
#include "proto/message.h"

static enum err_code unpack(const ProtobufCMessageDescriptor *descriptor, struct span encoded,
                            struct arena *arena, ProtobufCMessage **ret_message, struct err *err)
{
    return message_unpack_canonical(descriptor, encoded, CATALOG_COMMIT_BYTES_MAX, arena,
                                    ret_message, err);
}

static enum err_code take_name(ProtobufCBinaryData data, size_t bytes_max, struct span *ret_name,
                               struct err *err)
{
    struct span name = message_span(data);
    if (name.len == 0 || name.len > bytes_max || !span_is_utf8(name))
        return err_set(err, ERR_BAD_DATA, "rights record: a name of %zu bytes", name.len);
    *ret_name = name;
    return ERR_OK;
}

/* ---- user ---- */

void member_record_encode(const struct member_record *from, struct bytes *out)
{
    Strait__MemberRecord record = STRAIT__MEMBER_RECORD__INIT;
    record.project = from->project.n;
    record.id = from->id;
    record.name = message_data(from->name);
    record.principal = from->principal;
    record.added_ms = from->added_ms;
    record.added_by = message_data(from->added_by);
    message_pack(&record.base, out);
}

enum err_code member_record_decode(struct span encoded, struct arena *arena,
                                   struct member_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__member_record__descriptor, encoded, arena, &message, err));
    const Strait__MemberRecord *record = (const Strait__MemberRecord *)message;
    struct member_record member = {
        .project = {record->project},
        .id = record->id,
        .principal = record->principal,
        .added_ms = record->added_ms,
    };
    if (record->id == 0)
        return err_set(err, ERR_BAD_DATA, "rights record: a user without an id");
    TRY(take_name(record->name, LIMIT_PRINCIPAL_BYTES, &member.name, err));
    TRY(take_name(record->added_by, LIMIT_PRINCIPAL_BYTES, &member.added_by, err));
    *ret_record = member;
    return ERR_OK;
}

/* ---- role ---- */

void role_record_encode(const struct role_record *from, struct bytes *out)
{
    Strait__RoleRecord record = STRAIT__ROLE_RECORD__INIT;
    record.project = from->project.n;
    record.id = from->id;
    record.name = message_data(from->name);
    record.created_ms = from->created_ms;
    record.created_by = message_data(from->created_by);
    message_pack(&record.base, out);
}

enum err_code role_record_decode(struct span encoded, struct arena *arena,
                                 struct role_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__role_record__descriptor, encoded, arena, &message, err));
    const Strait__RoleRecord *record = (const Strait__RoleRecord *)message;
    struct role_record role = {
        .project = {record->project}, .id = record->id, .created_ms = record->created_ms};
    if (record->id == 0)
        return err_set(err, ERR_BAD_DATA, "rights record: a role without an id");
    TRY(take_name(record->name, LIMIT_NAME_BYTES, &role.name, err));
    TRY(take_name(record->created_by, LIMIT_PRINCIPAL_BYTES, &role.created_by, err));
    *ret_record = role;
    return ERR_OK;
}

void role_member_record_encode(const struct role_member_record *from, struct bytes *out)
{
    Strait__RoleMemberRecord record = STRAIT__ROLE_MEMBER_RECORD__INIT;
    record.project = from->project.n;
    record.member = from->member;
    record.role = from->role;
    record.given_ms = from->given_ms;
    record.given_by = message_data(from->given_by);
    message_pack(&record.base, out);
}

enum err_code role_member_record_decode(struct span encoded, struct arena *arena,
                                        struct role_member_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__role_member_record__descriptor, encoded, arena, &message, err));
    const Strait__RoleMemberRecord *record = (const Strait__RoleMemberRecord *)message;
    struct role_member_record in_role = {
        .project = {record->project},
        .member = record->member,
        .role = record->role,
        .given_ms = record->given_ms,
    };
    TRY(take_name(record->given_by, LIMIT_PRINCIPAL_BYTES, &in_role.given_by, err));
    *ret_record = in_role;
    return ERR_OK;
}

/* ---- grant ---- */

void grant_record_encode(const struct grant_record *from, struct bytes *out)
{
    Strait__GrantRecord record = STRAIT__GRANT_RECORD__INIT;
    record.project = from->project.n;
    record.object = from->object.n;
    record.grantee = from->grantee;
    record.action = from->action;
    record.expires_ms = from->expires_ms;
    record.given_ms = from->given_ms;
    record.given_by = message_data(from->given_by);
    message_pack(&record.base, out);
}

enum err_code grant_record_decode(struct span encoded, struct arena *arena,
                                  struct grant_record *ret_record, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(unpack(&strait__grant_record__descriptor, encoded, arena, &message, err));
    const Strait__GrantRecord *record = (const Strait__GrantRecord *)message;
    struct grant_record grant = {
        .project = {record->project},
        .object = {record->object},
        .grantee = record->grantee,
        .action = record->action,
        .expires_ms = record->expires_ms,
        .given_ms = record->given_ms,
    };
    if (record->grantee == 0 || record->action == 0 || record->action > GRANT_ACTION_MAX)
        return err_set(err, ERR_BAD_DATA, "rights record: grantee %" PRIu64 ", action %u",
                       record->grantee, record->action);
    TRY(take_name(record->given_by, LIMIT_PRINCIPAL_BYTES, &grant.given_by, err));
    *ret_record = grant;
    return ERR_OK;
}
