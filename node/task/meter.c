#include "node/task/meter.h"

#include "node/task/record_sweep.h"

#define RECORD_FORM 1
#define KEY_BYTES   (1 + 1 + DIGEST_BYTES)
#define DAY_BYTES   (1 + 4 + 1 + 1 + 8) /* before the region */
#define FOLD_MAX    256 /* records a commit: one has some 200 bytes, and a day's sum */
#define DAY_MS      UINT64_C(86400000)

uint32_t meter_day(uint64_t time_ms)
{
    return (uint32_t)(time_ms / DAY_MS);
}

/* ---- counts ---- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void meter_counts_raise(struct meter_counts *counts, const struct meter_counts *other)
{
#define X(name) counts->name = larger(counts->name, other->name);
    METER_COUNTS(X)
#undef X
}

/* Returns by how much it grew. */
static uint64_t believe(uint64_t *count, uint64_t claim, uint64_t lost_bytes)
{
    uint64_t before = *count;
    uint64_t most = before > UINT64_MAX - lost_bytes ? UINT64_MAX : before + lost_bytes;
    *count = larger(before, claim < most ? claim : most);
    return *count - before;
}

void meter_counts_believe(struct meter_counts *counts, const struct meter_counts *claim,
                          uint64_t *lost_bytes)
{
    uint64_t wire = believe(&counts->wire_bytes, claim->wire_bytes, *lost_bytes);
    uint64_t pages = believe(&counts->page_bytes, claim->page_bytes, *lost_bytes);
    uint64_t files = believe(&counts->file_bytes, claim->file_bytes, *lost_bytes);
    *lost_bytes -= larger(wire, larger(pages, files));
}

static void counts_add(struct meter_counts *counts, const struct meter_counts *other)
{
#define X(name) counts->name += other->name;
    METER_COUNTS(X)
#undef X
}

static void counts_encode(const struct meter_counts *counts, struct bytes *out)
{
#define X(name) bytes_append_u64(out, counts->name);
    METER_COUNTS(X)
#undef X
}

static void counts_read(struct reader *reader, struct meter_counts *ret_counts)
{
#define X(name) ret_counts->name = reader_u64(reader);
    METER_COUNTS(X)
#undef X
}

/* ---- records ---- */

static struct span record_key(enum meter_role role, const struct lease_id *lease,
                              uint8_t key[KEY_BYTES])
{
    key[0] = 'm';
    key[1] = (uint8_t)role;
    memcpy(key + 2, lease->digest.b, DIGEST_BYTES);
    return span_of(key, KEY_BYTES);
}

void meter_put(struct catalog_change *change, const struct meter_record *record)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    uint8_t key[KEY_BYTES];
    bytes_append_u8(&encoded, RECORD_FORM);
    bytes_append_u32(&encoded, record->day);
    bytes_append_u8(&encoded, (uint8_t)record->state);
    bytes_append_u64(&encoded, record->project.n);
    bytes_append_u64(&encoded, record->updated_ms);
    bytes_append_u64(&encoded, record->lost_bytes);
    counts_encode(&record->counts, &encoded);
    bytes_append_u8(&encoded, (uint8_t)record->region.len);
    bytes_append_span(&encoded, record->region);
    bytes_append_span(&encoded, record->project_name);
    catalog_put(change, FAMILY_METER, record_key(record->role, &record->lease, key),
                bytes_span(&encoded));
}

static enum err_code record_decode(struct span key, struct span value,
                                   struct meter_record *ret_record, struct err *err)
{
    struct reader keys = reader_of(key);
    struct reader reader = reader_of(value);
    struct meter_record record = {0};
    (void)reader_u8(&keys);
    uint8_t role = reader_u8(&keys);
    reader_copy(&keys, record.lease.digest.b, DIGEST_BYTES);
    uint8_t form = reader_u8(&reader);
    record.day = reader_u32(&reader);
    uint8_t state = reader_u8(&reader);
    record.project.n = reader_u64(&reader);
    record.updated_ms = reader_u64(&reader);
    record.lost_bytes = reader_u64(&reader);
    counts_read(&reader, &record.counts);
    record.region = reader_span(&reader, reader_u8(&reader));
    record.project_name = reader_span(&reader, reader.left.len);
    if (!reader_end(&keys) || !reader_end(&reader) || form != RECORD_FORM ||
        (role != METER_IN && role != METER_OUT) || state > TASK_CANCELLED)
        return err_set(err, ERR_CORRUPT, "a record of the meter is damaged");
    record.role = (enum meter_role)role;
    record.state = (enum task_state)state;
    *ret_record = record;
    return ERR_OK;
}

enum err_code meter_find(struct store *store, enum meter_role role, const struct lease_id *lease,
                         struct bytes *memory, struct meter_record *ret_record, bool *ret_found,
                         struct err *err)
{
    uint8_t raw[KEY_BYTES];
    struct span key = record_key(role, lease, raw);
    TRY(catalog_find(store, NULL, FAMILY_METER, key, memory, ret_found, err));
    return *ret_found ? record_decode(key, bytes_span(memory), ret_record, err) : ERR_OK;
}

/* ---- sums of days ---- */

static struct span day_key(const struct meter_record *record, struct bytes *out)
{
    bytes_clear(out);
    bytes_append_u8(out, 'd');
    bytes_append_u32(out, record->day);
    bytes_append_u8(out, (uint8_t)record->role);
    bytes_append_u8(out, (uint8_t)record->state);
    bytes_append_u64(out, record->project.n);
    bytes_append_span(out, record->region);
    return bytes_span(out);
}

static void day_encode(const struct meter_line *line, struct bytes *out)
{
    bytes_append_u64(out, line->tasks);
    counts_encode(&line->counts, out);
    bytes_append_span(out, line->project_name);
}

static enum err_code day_decode(struct span key, struct span value, struct meter_line *ret_line,
                                struct err *err)
{
    struct reader keys = reader_of(key);
    struct reader reader = reader_of(value);
    struct meter_line line = {0};
    (void)reader_u8(&keys);
    line.day = reader_u32(&keys);
    uint8_t role = reader_u8(&keys);
    uint8_t state = reader_u8(&keys);
    line.project.n = reader_u64(&keys);
    line.region = reader_span(&keys, keys.left.len);
    line.tasks = reader_u64(&reader);
    counts_read(&reader, &line.counts);
    line.project_name = reader_span(&reader, reader.left.len);
    if (!reader_end(&keys) || !reader_end(&reader) || (role != METER_IN && role != METER_OUT) ||
        state > TASK_CANCELLED)
        return err_set(err, ERR_CORRUPT, "a day's sum of the meter is damaged");
    line.role = (enum meter_role)role;
    line.state = (enum task_state)state;
    *ret_line = line;
    return ERR_OK;
}

/* ---- reading ---- */

static struct meter_line line_of(const struct meter_record *record)
{
    return (struct meter_line){.day = record->day,
                               .role = record->role,
                               .state = record->state,
                               .project = record->project,
                               .project_name = record->project_name,
                               .region = record->region,
                               .tasks = 1,
                               .counts = record->counts};
}

static enum err_code line_decode(struct span key, struct span value, struct meter_line *ret_line,
                                 struct err *err)
{
    struct meter_record record;
    if (key.len > 0 && key.data[0] == 'd')
        return day_decode(key, value, ret_line, err);
    TRY(record_decode(key, value, &record, err));
    *ret_line = line_of(&record);
    return ERR_OK;
}

enum err_code meter_each(struct store *store, meter_function *function, void *context,
                         struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(store, NULL, FAMILY_METER, span_of(NULL, 0), span_of(NULL, 0), &iter, err));
    for (;;) {
        struct span key, value;
        struct meter_line line;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len == 0 || (key.data[0] != 'm' && key.data[0] != 'd'))
            continue; /* others' */
        TRY(line_decode(key, value, &line, err));
        TRY(function(context, &line, err));
    }
}

/* ---- folding ---- */

/* What is to be counted into days: copies, for no iterator stays open in a commit. */
struct fold {
    struct bytes keys, values; /* each: u32 length + bytes */
    size_t count;
};

static void part_append(struct bytes *out, struct span part)
{
    bytes_append_u32(out, (uint32_t)part.len);
    bytes_append_span(out, part);
}

static enum err_code fold_collect(struct store *store, uint64_t before_ms, struct fold *fold,
                                  struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(store, NULL, FAMILY_METER, span_text("m"), span_of(NULL, 0), &iter, err));
    while (fold->count < FOLD_MAX) {
        struct span key, value;
        struct meter_record record;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        TRY(record_decode(key, value, &record, err));
        if (record.state <= TASK_RUNNING || record.updated_ms >= before_ms)
            continue;
        part_append(&fold->keys, key);
        part_append(&fold->values, value);
        fold->count++;
    }
    return ERR_OK;
}

/* One record into its day; its key is expected as it was read, so is the day's. */
static enum err_code fold_one(struct store *store, struct span key, struct span value,
                              struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes day = {0};
    BYTES_CLEANUP struct bytes old = {0};
    BYTES_CLEANUP struct bytes sum = {0};
    struct meter_record record;
    bool found;
    TRY(record_decode(key, value, &record, err));
    struct span into = day_key(&record, &day);
    struct meter_line line = line_of(&record);
    TRY(catalog_find(store, NULL, FAMILY_METER, into, &old, &found, err));
    if (found) {
        struct meter_line before;
        TRY(day_decode(into, bytes_span(&old), &before, err));
        line.tasks += before.tasks;
        counts_add(&line.counts, &before.counts);
        catalog_expect(&change, FAMILY_METER, into, bytes_span(&old));
    } else {
        catalog_expect_absent(&change, FAMILY_METER, into);
    }
    day_encode(&line, &sum);
    catalog_expect(&change, FAMILY_METER, key, value);
    catalog_put(&change, FAMILY_METER, into, bytes_span(&sum));
    catalog_delete(&change, FAMILY_METER, key);
    return catalog_commit(store, &change, CATALOG_USE_RESERVE, err);
}

enum err_code meter_fold(struct store *store, uint64_t before_ms, bool *ret_more, struct err *err)
{
    struct fold fold = {0};
    enum err_code code = fold_collect(store, before_ms, &fold, err);
    struct reader keys = reader_of(bytes_span(&fold.keys));
    struct reader values = reader_of(bytes_span(&fold.values));
    while (code == ERR_OK && keys.left.len > 0) {
        struct span key = reader_span(&keys, reader_u32(&keys));
        struct span value = reader_span(&values, reader_u32(&values));
        code = fold_one(store, key, value, err);
        if (code == ERR_CONFLICT) /* told again meanwhile: it waits for its turn anew */
            code = ERR_OK;
    }
    *ret_more = code == ERR_OK && fold.count == FOLD_MAX;
    bytes_deinit(&fold.keys);
    bytes_deinit(&fold.values);
    return code;
}

/* ---- how far behind a region is ---- */

#define NEWEST_BYTES     (8 + 8)
#define NEWEST_KEY_BYTES (1 + 8 + 8) /* before the region */

static struct span newest_key(const struct meter_newest *newest, struct bytes *out)
{
    bytes_append_u8(out, 'n');
    bytes_append_u64(out, newest->account.n);
    bytes_append_u64(out, newest->table.n);
    bytes_append_span(out, newest->region);
    return bytes_span(out);
}

void meter_newest_put(struct catalog_change *change, const struct meter_newest *newest)
{
    BYTES_CLEANUP struct bytes key = {0};
    uint8_t value[NEWEST_BYTES];
    store_u64(value, newest->made_ms);
    store_u64(value + 8, newest->told_ms);
    catalog_put(change, FAMILY_METER, newest_key(newest, &key), span_of(value, sizeof(value)));
}

static enum err_code newest_times(struct span value, struct meter_newest *newest, struct err *err)
{
    if (value.len != NEWEST_BYTES)
        return err_set(err, ERR_CORRUPT, "a record of a source's newest snapshot is damaged");
    newest->made_ms = load_u64(value.data);
    newest->told_ms = load_u64(value.data + 8);
    return ERR_OK;
}

enum err_code meter_newest_find(struct store *store, struct meter_newest *newest, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    bool found;
    TRY(catalog_find(store, NULL, FAMILY_METER, newest_key(newest, &key), &value, &found, err));
    newest->made_ms = newest->told_ms = 0;
    return found ? newest_times(bytes_span(&value), newest, err) : ERR_OK;
}

/* False: of the first form, 'n' table u64 | region. Its ninth byte begins a region's name; here it is the first
 * of a table's number, which does not reach so far. */
static bool newest_decode(struct span key, struct meter_newest *ret_newest)
{
    struct reader keys = reader_of(key);
    (void)reader_u8(&keys);
    ret_newest->account.n = reader_u64(&keys);
    ret_newest->table.n = reader_u64(&keys);
    ret_newest->region = reader_span(&keys, keys.left.len);
    return key.len > NEWEST_KEY_BYTES && key.data[1 + 8] == 0;
}

struct newest_sweep {
    uint64_t before_ms;
    meter_newest_shown *shown;
    void *context;
};

static bool newest_goes(void *context, struct span key, struct span value)
{
    const struct newest_sweep *sweep = context;
    struct meter_newest newest = {0};
    if (!newest_decode(key, &newest))
        return true;
    return newest_times(value, &newest, NULL) == ERR_OK && newest.told_ms < sweep->before_ms &&
           !sweep->shown(sweep->context, &newest);
}

enum err_code meter_newest_sweep(struct store *store, uint64_t before_ms, meter_newest_shown *shown,
                                 void *context, struct err *err)
{
    struct newest_sweep sweep = {before_ms, shown, context};
    return record_sweep(store, FAMILY_METER, span_text("n"), newest_goes, &sweep, err);
}

/* ---- as told ---- */

struct peer_settle meter_told(const struct meter_record *record)
{
    return (struct peer_settle){.lease = record->lease,
                                .day = record->day,
                                .state = (uint32_t)record->state,
#define X(name) .name = record->counts.name,
                                METER_COUNTS(X)
#undef X
    };
}

void meter_counts_of(const struct peer_settle *settle, struct meter_counts *ret_counts)
{
#define X(name) ret_counts->name = settle->name;
    METER_COUNTS(X)
#undef X
}
