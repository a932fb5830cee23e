/* VERIFY SNAPSHOT s [DEEP]: proves that a snapshot can be restored, or tells what of it cannot, and notes
 * the proof in its record. AGAINST: verify_against.c.
 *
 *     what      | state   | partition | columns | digest | detail              | partitions | rows | ...
 *     snapshot  | damaged | NULL      | NULL    | NULL   | what was proven     |         31 | 9000 | ...
 *     file      | damaged | day=3     | a, b    | 3f...  | ...; SCRUB ...      |       NULL | NULL | ...
 *
 * and then, if anything is damaged, an error: a script sees it by the exit code.
 */
#include "node/loop.h"
#include "node/statement/lookup.h"
#include "store/verify.h"

#define FINDINGS_MAX 10000

/* Texts live in the drill's arena. */
struct finding {
    enum verify_what what;
    bool has_digest;
    struct digest digest;
    struct span partition, columns, reason;
};

struct drill {
    const struct statement_call *call;
    struct arena arena;
    struct finding *findings; /* owned */
    size_t count, capacity;
    struct verify_counts counts;
    uint64_t began_ms;
};

static void drill_deinit(struct drill *drill)
{
    mem_free(drill->findings);
    arena_deinit(&drill->arena);
}
#define DRILL_CLEANUP __attribute__((cleanup(drill_deinit)))

/* ---- while it runs ---- */

static void on_fault(void *context, const struct verify_fault *fault)
{
    struct drill *drill = context;
    if (drill->count == FINDINGS_MAX)
        return;
    if (drill->count == drill->capacity) {
        drill->capacity = drill->capacity == 0 ? 16 : 2 * drill->capacity;
        drill->findings = mem_realloc(drill->findings, drill->capacity, sizeof(*drill->findings));
    }
    struct finding finding = {
        .what = fault->what,
        .has_digest = fault->digest != NULL,
        .partition = arena_copy(&drill->arena, fault->partition),
        .columns = arena_copy(&drill->arena, fault->columns),
        .reason = arena_copy(&drill->arena, span_text(fault->reason)),
    };
    if (fault->digest != NULL)
        finding.digest = *fault->digest;
    drill->findings[drill->count++] = finding;
}

static void on_bytes(void *context, uint64_t bytes)
{
    struct drill *drill = context;
    if (drill->call->progress != NULL)
        atomic_store(&drill->call->progress->bytes, bytes);
}

static bool is_stopped(void *context)
{
    const struct drill *drill = context;
    return atomic_load(drill->call->cancel);
}

/* ---- rows ---- */

static void columns_set(struct answer *answer)
{
    static const struct answer_column columns[] = {
        {"what", TYPE_STRING, true},        {"state", TYPE_STRING, true},
        {"partition", TYPE_STRING, false},  {"columns", TYPE_STRING, false},
        {"digest", TYPE_STRING, false},     {"detail", TYPE_STRING, false},
        {"partitions", TYPE_BIGINT, false}, {"rows", TYPE_BIGINT, false},
        {"files", TYPE_BIGINT, false},      {"bytes", TYPE_BIGINT, false},
        {"pages", TYPE_BIGINT, false},      {"faults", TYPE_BIGINT, false},
        {"seconds", TYPE_DOUBLE, false},
    };
    answer_columns(answer, columns, ARRAY_COUNT(columns));
}

static void summary_add(struct answer *answer, const struct drill *drill, bool deep)
{
    static const char *const proofs[] = {
        "every page and file is what its digest says; DEEP decodes them, too",
        "every page and file is what its digest says, every row is there and as it was written",
    };
    const struct verify_counts *counts = &drill->counts;
    bool whole = counts->faults == 0;
    answer_add_text(answer, span_text("snapshot"));
    answer_add_text(answer, span_text(whole ? "whole" : "damaged"));
    for (int i = 0; i < 3; i++)
        answer_add_null(answer);
    answer_add_text(answer, span_text(whole ? proofs[deep] : "it cannot be restored as it is"));
    answer_add_number(answer, counts->partitions);
    answer_add_number(answer, counts->rows);
    answer_add_number(answer, counts->files);
    answer_add_number(answer, counts->file_bytes);
    answer_add_number(answer, counts->pages);
    answer_add_number(answer, counts->faults);
    answer_add_real(answer, (double)(loop_now_ms() - drill->began_ms) / 1000.0);
}

static void finding_add(struct answer *answer, const struct finding *finding)
{
    /* What to do. A page or file that is right somewhere comes again; the rest was written so. */
    static const struct {
        const char *name, *advice;
    } words[] = {
        [VERIFY_RECORD] = {"record", "; DROP it, and XCOPY it again from where it is whole"},
        [VERIFY_PAGE] = {"page", "; nothing below it was looked at; SCRUB SNAPSHOT brings it back"
                                 " from a region that has it"},
        [VERIFY_TREE] = {"tree", "; it was stored so: no repair helps; restore another snapshot"},
        [VERIFY_FILE] = {"file", "; SCRUB SNAPSHOT brings it back from a region that has it"},
        [VERIFY_COLUMN] = {"column", "; it was stored so: no repair helps; load its partition"
                                     " again"},
        [VERIFY_PARTITION] = {"partition", "; it was stored so: no repair helps; load it again"},
    };
    BYTES_CLEANUP struct bytes detail = {0};
    char hex[DIGEST_HEX_BYTES];
    bytes_append_span(&detail, finding->reason);
    bytes_append_text(&detail, words[finding->what].advice);
    answer_add_text(answer, span_text(words[finding->what].name));
    answer_add_text(answer, span_text("damaged"));
    answer_add_text_or_null(answer, finding->partition);
    answer_add_text_or_null(answer, finding->columns);
    answer_add_text_or_null(
        answer, span_text(finding->has_digest ? digest_hex(&finding->digest, hex) : ""));
    answer_add_text(answer, bytes_span(&detail));
    for (int i = 0; i < 7; i++)
        answer_add_null(answer);
}

static void rows_add(struct answer *answer, const struct drill *drill, bool deep)
{
    const struct verify_snapshot *verify = &drill->call->statement->verify_snapshot;
    summary_add(answer, drill, deep);
    for (size_t i = 0; i < drill->count; i++)
        finding_add(answer, &drill->findings[i]);
    if (drill->counts.faults > 0)
        answer_fail_after(answer, ERR_CORRUPT,
                          "snapshot %.*s is damaged at %" PRIu64 " places%s: the rows above say "
                          "where and what helps",
                          SPAN_PRINTF(verify->name.object), drill->counts.faults,
                          drill->counts.faults > drill->count ? ", of which some are listed" : "");
}

/* ---- the statement ---- */

/* Noted for who may still see it. One that was dropped meanwhile was whole all the same. */
static enum err_code proof_note(const struct statement_call *call, const struct lookup *lookup,
                                enum proof_depth depth, struct answer *answer, struct err *err)
{
    const struct snapshot_proof proof = {.proven_ms = statement_now_ms(),
                                         .by = span_text(call->principal->name)};
    struct err reason;
    enum err_code code = verify_note(call->services->store, lookup->id, depth, &proof, &reason);
    if (code == ERR_TABLE_NOT_FOUND || code == ERR_NO_SPACE)
        answer_set_notice(answer, "the proof is not noted: %s", reason.message);
    else if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    return ERR_OK;
}

static enum err_code drill_run(struct drill *drill, const struct lookup *lookup,
                               struct answer *answer, struct err *err)
{
    const struct statement_call *call = drill->call;
    bool deep = call->statement->verify_snapshot.deep;
    enum proof_depth depth = deep ? PROOF_DEEP : PROOF_STORED;
    const struct verify_watch watch = {on_fault, on_bytes, is_stopped, drill};
    if (call->progress != NULL)
        atomic_store(&call->progress->phase, deep ? "decoding every file" : "reading every file");
    TRY(verify_snapshot(call->services->store, lookup->id, depth, &watch, &drill->counts, err));
    TRY(lookup_again(call, lookup, ACTION_SELECT, &drill->arena, NULL, err));
    columns_set(answer);
    if (drill->counts.faults == 0)
        TRY(proof_note(call, lookup, depth, answer, err));
    rows_add(answer, drill, deep);
    return ERR_OK;
}

enum err_code statement_verify(const struct statement_call *call, struct answer *answer,
                               struct err *err)
{
    DRILL_CLEANUP struct drill drill = {.call = call, .began_ms = loop_now_ms()};
    struct lookup lookup = {0};
    if (call->statement->verify_snapshot.against)
        return statement_verify_against(call, answer, err);
    arena_init(&drill.arena, ANSWER_ARENA_BYTES);
    TRY(lookup_snapshot(call, &call->statement->verify_snapshot.name, ACTION_SELECT, &lookup, err));
    return drill_run(&drill, &lookup, answer, err);
}
