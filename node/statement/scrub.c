/* SCRUB [TABLE name | SNAPSHOT name | ALL]: reads what is stored again, tells what is damaged and what
 * that hurts, and waits for the repairs.
 *
 *     scrub (here, on this worker) -> places -> repairs begin -> poll until they end -> rows
 */
#include "node/scrubber.h"
#include "node/statement/lookup.h"
#include "node/task/repair.h"
#include "store/damage.h"

/* Beyond it a repair whose peer cannot be reached goes on by itself. */
#define SCRUB_PEER_WAIT_MS 15000
#define SCRUB_ROWS_MAX     10000

/* Something damaged at one place, or of no place: then `what` says what it is. Texts live in the arena. */
struct finding {
    const char *what;  /* "record" and the like; NULL: a page or file */
    const char *state; /* of such */
    bool is_page;
    struct digest digest;
    struct digest version;
    struct span hurts, partitions, columns, reason;
};

struct scrubbed {
    const struct statement_services *services;
    bool one; /* a table's or snapshot's: nothing is told, or waited for, of others */
    struct arena arena;
    struct finding *findings; /* owned */
    size_t count, capacity, left_out;
    struct scrub_counts counts;
    struct repair repairs[REPAIRS_MAX];
    size_t repair_count;
    uint64_t begun_ms;
};

static void scrubbed_close(void *context)
{
    struct scrubbed *scrubbed = context;
    arena_deinit(&scrubbed->arena);
    mem_free(scrubbed->findings);
    mem_free(scrubbed);
}

/* ---- what was found ---- */

static struct finding *finding_add(struct scrubbed *scrubbed)
{
    if (scrubbed->count == SCRUB_ROWS_MAX) {
        scrubbed->left_out++;
        return NULL;
    }
    if (scrubbed->count == scrubbed->capacity) {
        scrubbed->capacity = scrubbed->capacity == 0 ? 16 : 2 * scrubbed->capacity;
        scrubbed->findings =
            mem_realloc(scrubbed->findings, scrubbed->capacity, sizeof(*scrubbed->findings));
    }
    struct finding *finding = &scrubbed->findings[scrubbed->count++];
    *finding = (struct finding){0};
    return finding;
}

static void fault_found(void *context, const struct scrubber_fault *fault)
{
    static const char *const words[][2] = {[FAULT_RECORD] = {"record", "damaged"},
                                           [FAULT_KEY_FILE] = {"key file", "damaged"},
                                           [NOTE_CONFIGURATION] = {"configuration", "changed"}};
    struct scrubbed *scrubbed = context;
    struct finding *finding = finding_add(scrubbed);
    char text[ERR_MESSAGE_BYTES + 64];
    snprintf(text, sizeof(text), "%s%s%s", fault->family != NULL ? fault->family : "",
             fault->family != NULL ? ": " : "", fault->what);
    if (finding == NULL)
        return;
    finding->what = words[fault->kind][0];
    finding->state = words[fault->kind][1];
    finding->reason = arena_copy(&scrubbed->arena, span_text(text));
}

static enum err_code place_found(void *context, const struct damage_place *place, struct err *err)
{
    struct scrubbed *scrubbed = context;
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(project_get(scrubbed->services->store, NULL, place->project, &arena, &project, err));
    struct finding *finding = finding_add(scrubbed);
    if (finding == NULL)
        return ERR_OK;
    BYTES_CLEANUP struct bytes name = {0};
    bytes_printf(&name, "%.*s.%.*s", SPAN_PRINTF(project.name), SPAN_PRINTF(place->name));
    finding->is_page = place->kind == DAMAGE_PAGE;
    finding->digest = place->digest;
    finding->version = place->version->version;
    finding->hurts = arena_copy(&scrubbed->arena, bytes_span(&name));
    finding->partitions = arena_copy(&scrubbed->arena, place->partition);
    finding->columns = arena_copy(&scrubbed->arena, place->columns);
    return ERR_OK;
}

/* Reasons for all, and those that no table or snapshot names: history has them, or nothing. */
static enum err_code list_join(struct scrubbed *scrubbed, bool all, struct err *err)
{
    struct damage *list MEM_CLEANUP = NULL;
    size_t count;
    TRY(damage_list(scrubbed->services->store, &list, &count, err));
    for (size_t i = 0; i < count; i++) {
        bool named = false;
        struct span reason = arena_copy(&scrubbed->arena, span_text(list[i].reason));
        for (size_t k = 0; k < scrubbed->count; k++) {
            struct finding *finding = &scrubbed->findings[k];
            if (finding->what != NULL || !digest_equal(&finding->digest, &list[i].digest))
                continue;
            finding->reason = reason;
            named = true;
        }
        struct finding *finding = named || !all ? NULL : finding_add(scrubbed);
        if (finding != NULL)
            *finding = (struct finding){
                .is_page = list[i].kind == DAMAGE_PAGE, .digest = list[i].digest, .reason = reason};
    }
    return ERR_OK;
}

/* ---- rows ---- */

static void columns_set(struct answer *answer)
{
    static const struct answer_column columns[] = {
        {"what", TYPE_STRING, true},     {"state", TYPE_STRING, true},
        {"hurts", TYPE_STRING, false},   {"partitions", TYPE_STRING, false},
        {"columns", TYPE_STRING, false}, {"digest", TYPE_STRING, false},
        {"peer", TYPE_STRING, false},    {"detail", TYPE_STRING, false},
        {"files", TYPE_BIGINT, false},   {"bytes", TYPE_BIGINT, false},
        {"pages", TYPE_BIGINT, false},   {"records", TYPE_BIGINT, false},
    };
    answer_columns(answer, columns, ARRAY_COUNT(columns));
}

/* The repair that the finding hangs on: of its version, or of another place of the same digest. */
static const struct repair *repair_of(const struct scrubbed *scrubbed,
                                      const struct finding *finding)
{
    for (size_t k = 0; k < scrubbed->count; k++) {
        const struct finding *other = &scrubbed->findings[k];
        if (other->what != NULL || !digest_equal(&other->digest, &finding->digest))
            continue;
        for (size_t i = 0; i < scrubbed->repair_count; i++) {
            if (digest_equal(&scrubbed->repairs[i].version, &other->version))
                return &scrubbed->repairs[i];
        }
    }
    return NULL;
}

/* What became of it; detail has room for an error. */
static const char *finding_state(struct scrubbed *scrubbed, const struct finding *finding,
                                 const struct repair *repair, char detail[2 * ERR_MESSAGE_BYTES])
{
    snprintf(detail, 2 * ERR_MESSAGE_BYTES, "%.*s", SPAN_PRINTF(finding->reason));
    if (finding->what != NULL)
        return finding->state;
    if (!damage_has(scrubbed->services->store, &finding->digest))
        return "repaired";
    if (repair == NULL) {
        snprintf(detail, 2 * ERR_MESSAGE_BYTES,
                 "%.*s; no region that can be asked has a receipt for it: load it again",
                 SPAN_PRINTF(finding->reason));
        return "damaged";
    }
    ARENA_CLEANUP struct arena arena;
    struct task_status status;
    arena_init(&arena, 2 * LIMIT_STATEMENT_BYTES);
    if (tasks_status(scrubbed->services->tasks, &repair->id, &arena, &status, NULL) != ERR_OK)
        return "damaged";
    bool running = status.state <= TASK_RUNNING;
    snprintf(detail, 2 * ERR_MESSAGE_BYTES, "%s", running ? status.phase : status.error.message);
    return running ? "waiting" : "damaged";
}

static void finding_row(struct scrubbed *scrubbed, struct answer *answer,
                        const struct finding *finding)
{
    char hex[DIGEST_HEX_BYTES], detail[2 * ERR_MESSAGE_BYTES];
    const struct repair *repair = finding->what != NULL ? NULL : repair_of(scrubbed, finding);
    const char *what = finding->is_page ? "page" : "file";
    const char *state = finding_state(scrubbed, finding, repair, detail);
    answer_add_text(answer, span_text(finding->what != NULL ? finding->what : what));
    answer_add_text(answer, span_text(state));
    answer_add_text_or_null(answer, finding->hurts);
    answer_add_text_or_null(answer, finding->partitions);
    answer_add_text_or_null(answer, finding->columns);
    if (finding->what != NULL)
        answer_add_null(answer);
    else
        answer_add_text(answer, span_text(digest_hex(&finding->digest, hex)));
    answer_add_text_or_null(answer, span_text(repair != NULL ? repair->region : ""));
    answer_add_text_or_null(answer, span_text(detail));
    for (int i = 0; i < 4; i++)
        answer_add_null(answer);
}

/* Whether one of the findings hangs on the repair. */
static bool repair_wanted(const struct scrubbed *scrubbed, const struct repair *repair)
{
    for (size_t i = 0; i < scrubbed->count; i++) {
        const struct finding *finding = &scrubbed->findings[i];
        if (finding->what == NULL && repair_of(scrubbed, finding) == repair)
            return true;
    }
    return false;
}

static size_t damaged_count(const struct scrubbed *scrubbed)
{
    size_t damaged = scrubbed->counts.faults;
    if (!scrubbed->one)
        return damaged + damage_count(scrubbed->services->store);
    for (size_t i = 0; i < scrubbed->count; i++) {
        const struct finding *finding = &scrubbed->findings[i];
        damaged += finding->what == NULL && damage_has(scrubbed->services->store, &finding->digest);
    }
    return damaged;
}

static void rows_add(struct scrubbed *scrubbed, struct answer *answer)
{
    const struct scrub_counts *counts = &scrubbed->counts;
    size_t damaged = damaged_count(scrubbed);
    answer_add_text(answer, span_text("checked"));
    answer_add_text(answer, span_text(damaged == 0 ? "whole" : "damaged"));
    for (int i = 0; i < 6; i++)
        answer_add_null(answer);
    answer_add_number(answer, counts->files);
    answer_add_number(answer, counts->file_bytes);
    answer_add_number(answer, counts->pages);
    answer_add_number(answer, counts->records);
    for (size_t i = 0; i < scrubbed->count; i++)
        finding_row(scrubbed, answer, &scrubbed->findings[i]);
    if (scrubbed->left_out > 0)
        answer_set_notice(answer, "%zu more places are not listed", scrubbed->left_out);
}

/* ---- waiting ---- */

/* Ended, or out of reach for longer than a statement waits. */
static bool repair_settled(struct scrubbed *scrubbed, const struct repair *repair,
                           struct task_status *ret_status)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * LIMIT_STATEMENT_BYTES);
    if (tasks_status(scrubbed->services->tasks, &repair->id, &arena, ret_status, NULL) != ERR_OK)
        return true;
    bool waits = strncmp(ret_status->phase, "waiting", strlen("waiting")) == 0;
    return ret_status->state > TASK_RUNNING ||
           (waits && loop_now_ms() - scrubbed->begun_ms > SCRUB_PEER_WAIT_MS);
}

static enum err_code scrub_poll(void *context, struct answer *answer,
                                struct operator_progress *progress, bool *ret_ended,
                                struct err *err)
{
    struct scrubbed *scrubbed = context;
    (void)err;
    *progress = (struct operator_progress){.phase = span_text("repairing")};
    *ret_ended = true;
    for (size_t i = 0; i < scrubbed->repair_count; i++) {
        struct task_status status = {0};
        if (scrubbed->one && !repair_wanted(scrubbed, &scrubbed->repairs[i]))
            continue;
        *ret_ended = repair_settled(scrubbed, &scrubbed->repairs[i], &status) && *ret_ended;
        progress->bytes_done += status.counters.bytes_moved;
        progress->bytes_total += status.bytes_planned;
        progress->files_done += status.counters.files_moved;
        progress->files_total += status.files_total;
    }
    if (*ret_ended)
        rows_add(scrubbed, answer);
    return ERR_OK;
}

/* ---- the statement ---- */

static enum err_code scope_find(const struct statement_call *call, struct table_id *ret_id,
                                struct err *err)
{
    const struct scrub_scope *scope = &call->statement->scrub;
    struct lookup lookup = {0};
    if (scope->kind == SCRUB_ALL)
        return authorise(call->principal, ACTION_OPERATE, object_region(), err);
    if (scope->kind == SCRUB_TABLE)
        TRY(lookup_table(call, &scope->name, ACTION_SELECT, &lookup, err));
    else
        TRY(lookup_snapshot(call, &scope->name, ACTION_SELECT, &lookup, err));
    *ret_id = lookup.id;
    return ERR_OK;
}

static enum err_code scrub(const struct statement_call *call, struct table_id id,
                           struct scrubbed *scrubbed, struct err *err)
{
    const struct statement_services *services = call->services;
    TRY(scrubber_run(services->scrubber, id, call->cancel, fault_found, scrubbed, &scrubbed->counts,
                     err));
    TRY(damage_places(services->store, id, place_found, scrubbed, err));
    TRY(list_join(scrubbed, !scrubbed->one, err));
    scrubbed->begun_ms = loop_now_ms();
    return damaged_count(scrubbed) == 0 ? ERR_OK
                                        : repair_begin(services->tasks, true, scrubbed->repairs,
                                                       &scrubbed->repair_count, err);
}

enum err_code statement_scrub(const struct statement_call *call, struct answer *answer,
                              struct err *err)
{
    struct table_id id = {0};
    TRY(scope_find(call, &id, err));
    columns_set(answer);
    struct scrubbed *scrubbed = mem_calloc(1, sizeof(*scrubbed));
    scrubbed->services = call->services;
    scrubbed->one = id.n != 0;
    arena_init(&scrubbed->arena, ANSWER_ARENA_BYTES);
    enum err_code code = scrub(call, id, scrubbed, err);
    if (code != ERR_OK) {
        scrubbed_close(scrubbed);
        return code;
    }
    answer->wait = (struct answer_wait){scrub_poll, scrubbed_close, scrubbed};
    return ERR_OK;
}
