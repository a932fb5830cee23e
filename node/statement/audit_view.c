/* INFORMATION_SCHEMA.AUDIT_LOG: the audit log, as far as the principal may read it.
 *
 *     an entry about               is read by
 *     a project, or two            who may Audit either (its owner, its admins)
 *     accounts, users, keys        the main account whose principal did it; the region's operators
 *     anything else of the region  the region's operators (a project that is not there, too)
 *
 * Entries up to the moment of the opening; conditions on `sequence` choose where reading begins and
 * ends. A chunk of entries is read at a time, so no iterator is open between two calls.
 */
#include "node/statement/system_view.h"

#define CHUNK_ENTRIES 256
#define CHUNK_ROWS    256 /* given out at once, about */
#define PROJECTS_KEPT 256 /* answers of authorise() that are remembered */

static const struct system_view_column columns[] = {
    {"sequence", TYPE_BIGINT, true},        {"event_time", TYPE_DATETIME, true},
    {"principal", TYPE_STRING, true},       {"public_key", TYPE_STRING, false},
    {"address", TYPE_STRING, false},        {"action", TYPE_STRING, true},
    {"project", TYPE_STRING, false},        {"object", TYPE_STRING, false},
    {"source_project", TYPE_STRING, false}, {"source_object", TYPE_STRING, false},
    {"outcome", TYPE_STRING, true},         {"message", TYPE_STRING, false},
    {"statement", TYPE_STRING, false},      {"id", TYPE_STRING, false},
    {"repeats", TYPE_BIGINT, true},         {"digest", TYPE_STRING, true},
};

struct answered {
    struct project_id project;
    bool allowed;
};

struct view {
    struct store *store;
    struct principal principal;
    atomic_bool *cancel; /* or NULL */
    uint64_t last;       /* entry */
    struct answered answered[PROJECTS_KEPT];
    size_t answered_count;
};

struct pass {
    struct view *view;
    struct select_scan scan;
    struct batch batch;
    uint64_t next;
    uint64_t last;
};

static enum err_code view_open(const struct system_view *self, const struct statement_call *call,
                               void **ret_state, struct err *err)
{
    (void)self;
    (void)err;
    struct view *view = mem_calloc(1, sizeof(*view));
    view->store = call->services->store;
    view->principal = *call->principal;
    view->cancel = call->cancel;
    view->last = audit_head_get(view->store).count;
    *ret_state = view;
    return ERR_OK;
}

static void view_close(void *state)
{
    mem_free(state);
}

/* ---- who may read it ---- */

/* Of a project that was dropped: the account that owned it, and the region's operators. */
static bool place_ask(const struct view *view, const struct audit_place *place)
{
    const struct principal *reader = &view->principal;
    struct project_record project;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    enum err_code code = project_get(view->store, NULL, place->project, &arena, &project, NULL);
    if (code == ERR_NOT_FOUND)
        return (place->owner.n != 0 && place->owner.n == reader->account.n && !reader->user) ||
               authorise(reader, ACTION_OPERATE, object_region(), NULL) == ERR_OK;
    return code == ERR_OK &&
           authorise(reader, ACTION_AUDIT, object_project(view->store, &project), NULL) == ERR_OK;
}

static bool place_allowed(struct view *view, const struct audit_place *place)
{
    if (place->project.n == 0)
        return false;
    for (size_t i = 0; i < view->answered_count; i++)
        if (view->answered[i].project.n == place->project.n)
            return view->answered[i].allowed;
    if (view->answered_count == PROJECTS_KEPT)
        view->answered_count = 0;
    struct answered *answered = &view->answered[view->answered_count++];
    *answered = (struct answered){place->project, place_ask(view, place)};
    return answered->allowed;
}

/* A project that was named and is not there counts as named: else who is refused would learn from
 * this view which projects there are. */
static bool record_allowed(struct view *view, const struct audit_record *record)
{
    const struct principal *reader = &view->principal;
    bool of_project = record->object.project_name.len > 0 || record->source.project_name.len > 0;
    bool is_there = record->object.project.n != 0 || record->source.project.n != 0;
    if (place_allowed(view, &record->object) || place_allowed(view, &record->source))
        return true;
    bool its_account = !of_project && reader->account.n != 0 && !reader->user &&
                       record->account.n == reader->account.n;
    bool region = !is_there && authorise(reader, ACTION_OPERATE, object_region(), NULL) == ERR_OK;
    return its_account || region;
}

/* ---- an entry as a row ---- */

static struct value text_or_null(struct span text)
{
    return (struct value){.null = text.len == 0 || !span_is_utf8(text), .text = text};
}

static struct value number(uint64_t n)
{
    return (struct value){.i64 = n > INT64_MAX ? INT64_MAX : (int64_t)n};
}

/* Both halves as the public string, one in hex. */
static struct span key_format(struct span key, struct bytes *out)
{
    bytes_clear(out);
    if (key.len == AUDIT_KEY_BYTES) {
        struct public_identity keys;
        char text[PUBLIC_IDENTITY_TEXT_BYTES];
        memcpy(keys.sign.b, key.data, sizeof(keys.sign.b));
        memcpy(keys.noise.b, key.data + AUDIT_KEY_BYTES / 2, sizeof(keys.noise.b));
        bytes_append_text(out, public_identity_format(&keys, text));
    } else {
        bytes_append_hex(out, key);
    }
    return bytes_span(out);
}

static void row_put(struct pass *pass, const struct audit_entry *entry)
{
    const struct audit_record *record = &entry->record;
    char digest[DIGEST_HEX_BYTES];
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes id = {0};
    bytes_append_hex(&id, record->id);
    const struct value values[] = {
        number(entry->number),
        number(record->time_ms),
        {.text = record->principal},
        text_or_null(key_format(record->key, &key)),
        text_or_null(record->address),
        {.text = record->action},
        text_or_null(record->object.project_name),
        text_or_null(record->object.name),
        text_or_null(record->source.project_name),
        text_or_null(record->source.name),
        {.text = record->outcome},
        text_or_null(record->message),
        text_or_null(record->text),
        text_or_null(bytes_span(&id)),
        number(record->repeats),
        {.text = span_text(digest_hex(&entry->digest, digest))},
    };
    _Static_assert(ARRAY_COUNT(values) == ARRAY_COUNT(columns), "a value for each column");
    system_view_row(&pass->scan, values, &pass->batch);
}

/* ---- a pass ---- */

/* Narrowed to what the condition on `sequence` leaves, from its lowest to its highest value. */
static void range_set(struct pass *pass, const struct select_domain *domain)
{
    if (domain->interval_count == 0) {
        pass->last = 0;
        return;
    }
    const struct select_interval *first = &domain->intervals[0];
    const struct select_interval *final = &domain->intervals[domain->interval_count - 1];
    if (first->has_low && first->low.i64 > 1)
        pass->next = (uint64_t)first->low.i64;
    if (!final->has_high)
        return;
    uint64_t high = final->high.i64 > 0 ? (uint64_t) final->high.i64 : 0;
    pass->last = high < pass->last ? high : pass->last;
}

static enum err_code pass_open(void *table, const struct select_scan *scan, void **ret_pass,
                               struct err *err)
{
    (void)err;
    struct pass *pass = mem_calloc(1, sizeof(*pass));
    pass->view = system_view_state(table);
    pass->scan = *scan;
    pass->next = 1;
    pass->last = pass->view->last;
    for (size_t i = 0; i < scan->domain_count; i++)
        if (scan->domains[i].column == 0)
            range_set(pass, &scan->domains[i]);
    system_view_batch_init(&audit_view, scan, &pass->batch);
    *ret_pass = pass;
    return ERR_OK;
}

static enum err_code on_entry(void *context, const struct audit_entry *entry, bool *ret_stop,
                              struct err *err)
{
    (void)err;
    struct pass *pass = context;
    if (record_allowed(pass->view, &entry->record))
        row_put(pass, entry);
    *ret_stop = entry->number >= pass->last || pass->batch.rows >= CHUNK_ROWS;
    return ERR_OK;
}

static enum err_code pass_next(void *opaque, const struct batch **ret_batch, struct err *err)
{
    struct pass *pass = opaque;
    *ret_batch = NULL;
    batch_clear(&pass->batch);
    while (pass->batch.rows == 0 && pass->next <= pass->last) {
        uint64_t from = pass->next;
        if (pass->view->cancel != NULL && atomic_load(pass->view->cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        TRY(audit_each(pass->view->store, from, CHUNK_ENTRIES, on_entry, pass, &pass->next, err));
        if (pass->next == from)
            return err_set(err, ERR_CORRUPT,
                           "audit log: entry %" PRIu64 " is missing; straitd --fsck says more",
                           from);
    }
    if (pass->batch.rows > 0)
        *ret_batch = &pass->batch;
    return ERR_OK;
}

static void pass_close(void *opaque)
{
    struct pass *pass = opaque;
    batch_deinit(&pass->batch);
    mem_free(pass);
}

/* One part. How many entries it would look at tells how much others do: an operator's to know. */
static enum err_code pass_explain(void *table, const struct select_scan *scan,
                                  select_part_function *on_part, void *context, struct err *err)
{
    void *opened;
    TRY(pass_open(table, scan, &opened, err));
    const struct pass *pass = opened;
    bool all = authorise(&pass->view->principal, ACTION_OPERATE, object_region(), NULL) == ERR_OK;
    const struct select_part part = {
        .reason = SELECT_READ,
        .rows = all && pass->last >= pass->next ? pass->last - pass->next + 1 : 0,
    };
    pass_close(opened);
    return on_part(context, &part, err);
}

static const struct select_source_ops ops = {
    .open = pass_open,
    .next = pass_next,
    .close = pass_close,
    .explain = pass_explain,
};

const struct system_view audit_view = {
    .name = "AUDIT_LOG",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &ops,
    .open = view_open,
    .close = view_close,
};
