/* CLEANUP: the region's operator has the space of what nobody can ask for any more given back now, and
 * is told what that was. It waits for the end. */
#include "node/cleanup.h"

#include "node/statement/lookup.h"

static uint64_t stored_bytes(const struct store_usage *usage)
{
    return usage->pack_bytes + usage->small_bytes;
}

enum err_code statement_cleanup(const struct statement_call *call, struct answer *answer,
                                struct err *err)
{
    static const struct answer_column columns[] = {
        {"bytes_before", TYPE_BIGINT, true},  {"bytes_after", TYPE_BIGINT, true},
        {"bytes_live", TYPE_BIGINT, true},    {"pages_deleted", TYPE_BIGINT, true},
        {"files_deleted", TYPE_BIGINT, true}, {"packs_deleted", TYPE_BIGINT, true},
        {"packs_copied", TYPE_BIGINT, true},  {"bytes_copied", TYPE_BIGINT, true},
        {"packs_skipped", TYPE_BIGINT, true}, {"files_damaged", TYPE_BIGINT, true},
        {"seconds", TYPE_DOUBLE, true},
    };
    TRY(authorise(call->principal, ACTION_OPERATE, object_region(), err));
    struct store_usage before, after;
    struct collect_counts counts;
    uint64_t from_ms = statement_now_ms();
    store_usage_get(call->services->store, &before);
    TRY(cleanup_run(call->services->cleanup, &counts, err));
    store_usage_get(call->services->store, &after);
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    answer_add_number(answer, stored_bytes(&before));
    answer_add_number(answer, stored_bytes(&after));
    answer_add_number(answer, after.pack_live_bytes + after.small_bytes);
    answer_add_number(answer, counts.pages_deleted);
    answer_add_number(answer, counts.files_deleted);
    answer_add_number(answer, counts.packs_dropped);
    answer_add_number(answer, counts.repack.packs_copied);
    answer_add_number(answer, counts.repack.file_bytes_copied);
    answer_add_number(answer, counts.repack.packs_skipped);
    answer_add_number(answer, counts.repack.files_damaged);
    answer_add_real(answer, (double)(statement_now_ms() - from_ms) / 1e3);
    if (counts.repack.packs_skipped > 0)
        answer_set_notice(answer,
                          "%" PRIu64 " packs with dead bytes were not copied together: there is no "
                          "room for the copy; add space or drop something, then CLEANUP again",
                          counts.repack.packs_skipped);
    return ERR_OK;
}
