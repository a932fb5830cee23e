/* INFORMATION_SCHEMA.SNAPSHOT_RECEIPTS: for each snapshot here, the regions that have its version whole, by the
 * receipt that each of them signed after its XCOPY. SHOW SNAPSHOT TABLES has their number, `replicas`.
 *
 * One reads what one may DESC. Times are the signer's clock's. A receipt says that the version was whole
 * there then; whether it is there still is asked by VERIFY SNAPSHOT ... AGAINST.
 */
#include "node/statement/row_view.h"
#include "node/statement/snapshot_walk.h"
#include "node/task/receipts.h"

static const struct system_view_column columns[] = {
    {"project", TYPE_STRING, true},     {"snapshot", TYPE_STRING, true},
    {"version", TYPE_STRING, true},     {"region", TYPE_STRING, false},
    {"signer", TYPE_STRING, true},      {"published", TYPE_DATETIME, false},
    {"row_count", TYPE_BIGINT, false},  {"bytes", TYPE_BIGINT, false},
    {"partitions", TYPE_BIGINT, false}, {"audit_entries", TYPE_BIGINT, false},
    {"signature", TYPE_STRING, true},
};

struct receipts {
    const struct statement_call *call;
    const struct project_record *project;   /* that is looked at */
    const struct snapshot_record *snapshot; /* the same */
    struct row_view *rows;
};

static struct value number_or_null(bool is_known, uint64_t number)
{
    return is_known ? row_number(number) : (struct value){.null = true};
}

static enum err_code receipt_put(void *context, const struct receipt_kept *kept, struct err *err)
{
    const struct receipts *receipts = context;
    const struct receipt *receipt = &kept->receipt;
    const struct peers *peers = receipts->call->services->peers; /* NULL: a node without */
    const struct peer *peer = peers != NULL ? peers_find_maker(peers, &receipt->signer) : NULL;
    char version[DIGEST_HEX_BYTES], signer[DIGEST_HEX_BYTES];
    struct digest key;
    _Static_assert(sizeof(key) == sizeof(receipt->signer), "a key is shown as a digest is");
    memcpy(key.b, receipt->signer.b, sizeof(key.b));
    const struct value values[] = {
        row_text(receipts->project->name),
        row_text(receipts->snapshot->name),
        row_text(span_text(digest_hex(&receipts->snapshot->version.version, version))),
        row_text(span_text(peer != NULL ? peer->region : "")),
        row_text(span_text(digest_hex(&key, signer))),
        row_time(receipt->published_ms),
        number_or_null(receipt->has_totals, receipt->rows),
        number_or_null(receipt->has_totals, receipt->bytes),
        number_or_null(receipt->has_totals, receipt->partitions),
        number_or_null(receipt->has_audit, receipt->audit_count),
        row_text(span_text(kept->is_true ? "right" : "wrong")),
    };
    _Static_assert(ARRAY_COUNT(values) == ARRAY_COUNT(columns), "a value for each column");
    return row_view_add(receipts->rows, values, err);
}

static enum err_code snapshot_take(void *context, const struct project_record *project,
                                   const struct snapshot_record *snapshot, struct err *err)
{
    struct receipts *receipts = context;
    receipts->project = project;
    receipts->snapshot = snapshot;
    return receipts_each(receipts->call->services->store, snapshot->project,
                         &snapshot->version.version, receipt_put, receipts, err);
}

static enum err_code view_open(const struct system_view *self, const struct statement_call *call,
                               void **ret_state, struct err *err)
{
    struct receipts receipts = {.call = call, .rows = row_view_new(self)};
    const struct snapshot_walk walk = {
        .store = call->services->store,
        .principal = call->principal,
        .cancel = call->cancel,
        .snapshot = snapshot_take,
        .context = &receipts,
    };
    enum err_code code = snapshot_walk(&walk, err);
    if (code != ERR_OK) {
        row_view_free(receipts.rows);
        return code;
    }
    *ret_state = receipts.rows;
    return ERR_OK;
}

const struct system_view receipts_view = {
    .name = "SNAPSHOT_RECEIPTS",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &row_view_ops,
    .open = view_open,
    .close = row_view_free,
};

/* ---- SHOW SNAPSHOT TABLES ---- */

static enum err_code receipt_count(void *context, const struct receipt_kept *kept, struct err *err)
{
    (void)err;
    *(uint64_t *)context += kept->is_true;
    return ERR_OK;
}

enum err_code receipts_count(struct store *store, const struct snapshot_record *snapshot,
                             uint64_t *ret_count, struct err *err)
{
    *ret_count = 0;
    return receipts_each(store, snapshot->project, &snapshot->version.version, receipt_count,
                         ret_count, err);
}
