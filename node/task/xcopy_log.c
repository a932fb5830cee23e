#include "node/task/xcopy_log.h"

#include "node/task/xcopy_pull.h"
#include "node/task/xcopy_serve.h"

/* ---- destination ---- */

static const char *pull_region(const struct pull *pull)
{
    return pull->peer != NULL ? pull->peer->region : "";
}

void log_task_begun(const struct pull *pull)
{
    char id[TASK_ID_TEXT_BYTES];
    log_event(LOG_INFO, "task begun", LOG_TEXT("task", task_id_format(&pull->record.id, id)),
              LOG_SPAN("source", pull->token.source.region),
              LOG_SPAN("principal", pull->record.principal),
              LOG_SPAN("statement", pull->record.statement));
}

void log_task_step(const struct pull *pull, enum task_phase phase, bool waited)
{
    const struct task *machine = &pull->machine;
    bool waits = task_waits(machine);
    enum log_level level = waits != waited ? LOG_INFO : LOG_DEBUG;
    char id[TASK_ID_TEXT_BYTES], doing[sizeof(pull->status.phase)];
    if ((waits == waited && machine->phase == phase) || task_ended(machine) || !log_writes(level))
        return;
    task_id_format(&pull->record.id, id);
    task_phase_format(machine, loop_now_ms(), doing, sizeof(doing));
    if (waits && !waited)
        log_event(level, "task waits", LOG_TEXT("task", id), LOG_TEXT("source", pull_region(pull)),
                  LOG_TEXT("why", doing));
    else if (waited && !waits)
        log_event(level, "task goes on", LOG_TEXT("task", id),
                  LOG_TEXT("source", pull_region(pull)));
    else
        log_event(LOG_DEBUG, "task phase", LOG_TEXT("task", id), LOG_TEXT("phase", doing));
}

void log_task_ended(const struct job *job)
{
    char id[TASK_ID_TEXT_BYTES];
    bool failed = job->outcome == TASK_FAILED;
    uint64_t elapsed_ms, moving_ms;
    pull_times(job->pull, &elapsed_ms, &moving_ms);
    log_event(failed ? LOG_WARN : LOG_INFO, "task ended",
              LOG_TEXT("task", task_id_format(&job->pull->record.id, id)),
              LOG_SPAN("statement", job->pull->record.statement),
              LOG_TEXT("state", task_state_name(job->outcome)),
              LOG_NUMBER("files", job->counters.files_moved),
              LOG_NUMBER("bytes", job->counters.bytes_moved),
              LOG_NUMBER("seconds", elapsed_ms / 1000),
              LOG_NUMBER("moving_seconds", moving_ms / 1000),
              LOG_TEXT("error", failed ? job->outcome_err.message : ""));
}

/* ---- source ---- */

static const char *lease_kind(const struct lease_subject *subject)
{
    if (subject->receipt.len > 0)
        return "repair";
    return lease_subject_looks(subject) ? "look" : "copy";
}

static void lease_event_write(enum log_level level, const char *event,
                              const struct lease_log *lease, const char *why)
{
    struct lease_subject subject;
    char id[TASK_ID_TEXT_BYTES];
    if (!log_writes(level) || lease_subject_decode(lease->subject, &subject, NULL) != ERR_OK)
        return;
    const struct peer *peer =
        lease->peers != NULL ? peers_find_signer(lease->peers, lease->peer) : NULL;
    task_id_format(&subject.task, id);
    const struct log_field fields[] = {
        LOG_TEXT("task", id),
        LOG_TEXT("destination", peer != NULL ? peer->region : ""),
        LOG_TEXT("kind", lease_kind(&subject)),
        why != NULL ? LOG_TEXT("why", why) : (struct log_field){0},
        {0},
    };
    log_write(level, event, fields);
}

void log_lease_granted(const struct lease_log *lease)
{
    lease_event_write(LOG_INFO, "lease granted", lease, NULL);
}

void log_lease_renewed(const struct lease_log *lease)
{
    lease_event_write(LOG_DEBUG, "lease renewed", lease, NULL);
}

void log_lease_ended(const struct lease_log *lease, const char *why)
{
    lease_event_write(LOG_INFO, "lease ended", lease, why);
}

void log_lease_refused(const char *region, const struct task_id *task, const struct err *why)
{
    char id[TASK_ID_TEXT_BYTES];
    log_event(LOG_DEBUG, "lease refused", LOG_TEXT("task", task_id_format(task, id)),
              LOG_TEXT("destination", region), LOG_TEXT("code", err_odps(why->code)),
              LOG_TEXT("error", why->message));
}
