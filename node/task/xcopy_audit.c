#include "node/task/xcopy_audit.h"

#include <stdarg.h>

#include "store/project.h"

#define KEY_HALF (AUDIT_KEY_BYTES / 2)

static void entry_begin(struct xcopy_entry *entry, const char *action, const struct task_id *task)
{
    memset(entry, 0, sizeof(*entry));
    entry->task = *task;
    entry->record = (struct audit_record){
        .time_ms = xcopy_now_ms(),
        .action = span_text(action),
        .id = span_of(entry->task.b, sizeof(entry->task.b)),
        .outcome = span_text(AUDIT_OUTCOME_OK),
    };
}

static void key_set(struct xcopy_entry *entry, const struct identity_key *key)
{
    memcpy(entry->key, key->b, KEY_HALF);
    entry->record.key = span_of(entry->key, KEY_HALF);
}

static void address_set(struct xcopy_entry *entry, const struct session *session)
{
    snprintf(entry->address, sizeof(entry->address), "%s %s", session->name, session->address);
    entry->record.address = span_text(entry->address);
}

static void principal_set(struct xcopy_entry *entry, const char *form, const char *name)
{
    snprintf(entry->principal, sizeof(entry->principal), "%s%s", form, name);
    entry->record.principal = span_text(entry->principal);
}

void xcopy_entry_token(const struct xcopy_asker *asker, const char *action, struct span token,
                       struct arena *arena, struct xcopy_entry *ret_entry)
{
    struct xcopy_entry *entry = ret_entry;
    entry_begin(entry, action, &asker->task);
    address_set(entry, asker->session);
    const struct xcopy_ask ask = {
        .token = token, .snapshot = asker->snapshot, .peer = asker->session->identity};
    xcopy_rights_tell(asker->rights, &ask, arena, &entry->told);
    const struct xcopy_told *told = &entry->told;
    principal_set(entry, told->known ? "" : "unknown", told->known ? told->principal.name : "");
    if (told->known) {
        memcpy(entry->key, told->principal.keys.sign.b, KEY_HALF);
        memcpy(entry->key + KEY_HALF, told->principal.keys.noise.b, KEY_HALF);
        entry->record.key = span_of(entry->key, AUDIT_KEY_BYTES);
        entry->record.account = told->principal.account;
    } else if (told->readable) {
        key_set(entry, &told->token.signer);
    }
    if (told->readable)
        entry->record.object = (struct audit_place){told->project.id, told->project.owner,
                                                    told->token.source.project, told->snapshot};
}

void xcopy_entry_peer(const struct xcopy_asker *asker, const char *action,
                      const struct audit_place *object, struct xcopy_entry *ret_entry)
{
    struct xcopy_entry *entry = ret_entry;
    entry_begin(entry, action, &asker->task);
    address_set(entry, asker->session);
    principal_set(entry, "node of ", asker->session->name);
    key_set(entry, &asker->session->identity);
    if (object != NULL)
        entry->record.object = *object;
}

void xcopy_entry_refuse(struct xcopy_entry *entry, const struct err *err)
{
    bool one_answer = err->code == ERR_NOT_FOUND && entry->told.detail.code != ERR_OK;
    const struct err *why = one_answer ? &entry->told.detail : err;
    entry->record.outcome = span_text(err_odps(why->code));
    xcopy_entry_say(entry, "%s", why->message);
}

void xcopy_entry_say(struct xcopy_entry *entry, const char *form, ...)
{
    va_list values;
    va_start(values, form);
    vsnprintf(entry->message, sizeof(entry->message), form, values);
    va_end(values);
    entry->record.message = span_text(entry->message);
}

/* ---- destination ---- */

void xcopy_entry_task(const struct xcopy_record *record, struct store *store, const char *region,
                      struct arena *arena, struct xcopy_entry *ret_entry)
{
    struct xcopy_entry *entry = ret_entry;
    struct token token;
    entry_begin(entry, "XCOPY SNAPSHOT", &record->id);
    entry->record.principal = record->principal;
    entry->record.account = record->account;
    entry->record.text = record->statement;
    snprintf(entry->address, sizeof(entry->address), "%s", region);
    entry->record.address = span_text(entry->address);
    if (xcopy_record_token(record, &token, NULL) == ERR_OK) {
        struct project_record project = {0};
        (void)!project_find(store, NULL, token.destination.project, arena, &project, NULL);
        key_set(entry, &token.signer);
        entry->record.object = (struct audit_place){
            project.id, project.owner, token.destination.project, token.destination.snapshot};
        entry->record.source = (struct audit_place){.project_name = token.source.project,
                                                    .name = token.source.snapshot};
    }
    xcopy_entry_say(entry, "%s", record->published ? "published" : "");
    if (record->state == TASK_FAILED) {
        entry->record.outcome = span_text(err_odps(record->error));
        xcopy_entry_say(entry, "%.*s", SPAN_PRINTF(record->message));
    } else if (record->state == TASK_CANCELLED) {
        entry->record.outcome = span_text(err_odps(ERR_CANCELLED));
        xcopy_entry_say(entry, "cancelled");
    }
}
