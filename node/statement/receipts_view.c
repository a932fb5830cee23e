/* INFORMATION_SCHEMA.SNAPSHOT_RECEIPTS: for each snapshot here, the regions that have its version whole, by the
 * receipt that each of them signed after its XCOPY. SHOW SNAPSHOT TABLES has their number, `replicas`.
 *
 * One reads what one may DESC. Times are the signer's clock's. A receipt says that the version was whole
 * there then; whether it is there still is asked by VERIFY SNAPSHOT ... AGAINST.
 */
#include "node/statement/row_view.h"
#include "node/task/receipts.h"
#include "store/snapshot.h"

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
    struct arena scratch; /* of one snapshot */
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
    const struct peer *peer = peers != NULL ? peers_find_signer(peers, &receipt->signer) : NULL;
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

static enum err_code name_take(void *context, struct name_target target, struct err *err)
{
    struct receipts *receipts = context;
    const struct statement_call *call = receipts->call;
    struct store *store = call->services->store;
    struct snapshot_record snapshot;
    if (target.kind != NAME_SNAPSHOT)
        return ERR_OK;
    if (call->cancel != NULL && atomic_load(call->cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    arena_reset(&receipts->scratch);
    enum err_code code = snapshot_get(store, NULL, target.id, &receipts->scratch, &snapshot, err);
    if (code == ERR_NOT_FOUND || code == ERR_TABLE_NOT_FOUND) /* dropped meanwhile */
        return ERR_OK;
    if (code != ERR_OK ||
        authorise(call->principal, ACTION_DESCRIBE,
                  object_snapshot(store, receipts->project, &snapshot), NULL) != ERR_OK)
        return code;
    receipts->snapshot = &snapshot;
    return receipts_each(store, snapshot.project, &snapshot.version.version, receipt_put, receipts,
                         err);
}

static enum err_code project_take(void *context, const struct project_record *project,
                                  struct err *err)
{
    struct receipts *receipts = context;
    struct store *store = receipts->call->services->store;
    if (authorise(receipts->call->principal, ACTION_ENTER, object_project(store, project), NULL) !=
        ERR_OK)
        return ERR_OK;
    receipts->project = project;
    return name_each(store, NULL, project->id, name_take, receipts, err);
}

static enum err_code view_open(const struct system_view *self, const struct statement_call *call,
                               void **ret_state, struct err *err)
{
    struct receipts receipts = {.call = call, .rows = row_view_new(self)};
    arena_init(&receipts.scratch, 4 * CATALOG_ARENA_BYTES);
    enum err_code code = project_each(call->services->store, NULL, project_take, &receipts, err);
    arena_deinit(&receipts.scratch);
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
