#include "node/version_refusals.h"

#include "node/log.h"
#include "node/loop.h"

bool version_refusals_take(struct version_refusals *refusals, uint64_t now_ms, uint64_t *ret_others)
{
    uint64_t due_ms = atomic_load(&refusals->due_ms);
    if (now_ms < due_ms || !atomic_compare_exchange_strong(&refusals->due_ms, &due_ms,
                                                           now_ms + VERSION_REFUSED_EVERY_MS)) {
        atomic_fetch_add(&refusals->untold, 1);
        return false;
    }
    *ret_others = atomic_exchange(&refusals->untold, 0);
    return true;
}

void version_refused(void *context, const struct session *session, const struct err *err)
{
    uint64_t others;
    if (!version_refusals_take(context, loop_now_ms(), &others))
        return;
    log_event(LOG_WARN, "handshake refused",
              LOG_TEXT("for", session->kind == LISTENER_PEERS ? "peers" : "operators"),
              LOG_TEXT("from", session->name), LOG_TEXT("address", session->address),
              LOG_TEXT("error", err->message), LOG_NUMBER("others", others));
}
