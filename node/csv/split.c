/* See split.h. The scan touches each byte once: a table look-up outside quotes, memchr within. */
#include "node/csv/split.h"

enum delimiter {
    DELIMITER_NONE,
    DELIMITER_FIELD,
    DELIMITER_RECORD,
    DELIMITER_SHORT, /* the window ends within what may be one */
};

/* Where the scan stands. */
struct cursor {
    uint8_t *at;
    uint8_t *end;
    bool last;
    uint64_t lines; /* LFs within quotes so far */
};

void csv_split_init(struct csv_split *split, const struct csv_dialect *dialect)
{
    *split = (struct csv_split){.dialect = *dialect, .line = 1, .record = 1};
    const struct csv_mark *record = &split->dialect.record;
    split->special[split->dialect.field.data[0]] = 1;
    split->special[record->len > 0 ? record->data[0] : '\n'] = 1;
    split->lines_meaningful = record->len == 0 || record->data[record->len - 1] == '\n';
}

void csv_split_deinit(struct csv_split *split)
{
    mem_free(split->fields);
    *split = (struct csv_split){0};
}

static enum delimiter mark_at(const struct csv_mark *mark, const struct cursor *cursor,
                              enum delimiter kind)
{
    size_t left = (size_t)(cursor->end - cursor->at);
    if (*cursor->at != mark->data[0])
        return DELIMITER_NONE;
    if (mark->len == 1)
        return kind;
    if (left >= mark->len)
        return memcmp(cursor->at, mark->data, mark->len) == 0 ? kind : DELIMITER_NONE;
    if (cursor->last || memcmp(cursor->at, mark->data, left) != 0)
        return DELIMITER_NONE;
    return DELIMITER_SHORT;
}

/* What stands at the cursor, which is not at the end. The record delimiter is tried first. */
static inline enum delimiter delimiter_at(const struct csv_split *split,
                                          const struct cursor *cursor, size_t *ret_len)
{
    static const struct csv_mark line_end = {.data = {'\n'}, .len = 1};
    const struct csv_mark *record =
        split->dialect.record.len > 0 ? &split->dialect.record : &line_end;
    const struct csv_mark *field = &split->dialect.field;
    *ret_len = 1;
    if (record->len == 1 && *cursor->at == record->data[0])
        return DELIMITER_RECORD;
    if (record->len == 1 && field->len == 1)
        return *cursor->at == field->data[0] ? DELIMITER_FIELD : DELIMITER_NONE;
    *ret_len = record->len;
    enum delimiter found = mark_at(record, cursor, DELIMITER_RECORD);
    if (found != DELIMITER_NONE)
        return found;
    *ret_len = field->len;
    return mark_at(field, cursor, DELIMITER_FIELD);
}

static void fields_grow(struct csv_split *split)
{
    split->field_capacity = split->field_capacity == 0 ? 32 : 2 * split->field_capacity;
    split->fields = mem_realloc(split->fields, split->field_capacity, sizeof *split->fields);
}

static inline void field_push(struct csv_split *split, struct csv_field field)
{
    if (split->field_count == split->field_capacity)
        fields_grow(split);
    split->fields[split->field_count++] = field;
}

/* One unquoted field up to its delimiter, which is passed. */
static enum delimiter unquoted_scan(struct csv_split *split, struct cursor *cursor)
{
    uint8_t *start = cursor->at;
    while (true) {
        uint8_t *at = cursor->at;
        while (at < cursor->end && !split->special[*at])
            at++;
        cursor->at = at;
        if (at == cursor->end && !cursor->last)
            return DELIMITER_SHORT;
        size_t len = 0;
        enum delimiter found =
            at == cursor->end ? DELIMITER_RECORD : delimiter_at(split, cursor, &len);
        if (found == DELIMITER_SHORT)
            return found;
        if (found == DELIMITER_NONE) {
            cursor->at++;
            continue;
        }
        size_t text_len = (size_t)(at - start);
        if (found == DELIMITER_RECORD && len == 1 && split->dialect.record.len == 0 &&
            text_len > 0 && at[-1] == '\r')
            text_len--;
        cursor->at += len;
        field_push(split, (struct csv_field){.text = span_of(start, text_len)});
        return found;
    }
}

static uint64_t lines_count(const uint8_t *at, const uint8_t *end)
{
    uint64_t count = 0;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        count++;
        at++;
    }
    return count;
}

/* The closing quote's place; NULL when the window has none (or, before its end, cannot tell). */
static uint8_t *quote_find(struct cursor *cursor, bool *ret_doubled)
{
    uint8_t *at = cursor->at + 1;
    *ret_doubled = false;
    while (at < cursor->end && (at = memchr(at, '"', (size_t)(cursor->end - at))) != NULL) {
        if (at + 1 == cursor->end)
            return cursor->last ? at : NULL;
        if (at[1] != '"')
            return at;
        *ret_doubled = true;
        at += 2;
    }
    return NULL;
}

/* One quoted field, its closing quote and the delimiter after it. DELIMITER_NONE: there is none
 * after the quote; DELIMITER_SHORT: also when the quote is never closed. */
static enum delimiter quoted_scan(struct csv_split *split, struct cursor *cursor)
{
    struct csv_field field = {.quoted = true};
    uint8_t *start = cursor->at + 1;
    uint8_t *close = quote_find(cursor, &field.doubled);
    if (close == NULL)
        return DELIMITER_SHORT;
    field.text = span_of(start, (size_t)(close - start));
    cursor->lines += lines_count(start, close);
    cursor->at = close + 1;
    if (cursor->at == cursor->end) {
        field_push(split, field);
        return cursor->last ? DELIMITER_RECORD : DELIMITER_SHORT;
    }
    if (split->dialect.record.len == 0 && *cursor->at == '\r' &&
        split->dialect.field.data[0] != '\r') {
        if (cursor->end - cursor->at < 2)
            return cursor->last ? DELIMITER_NONE : DELIMITER_SHORT;
        if (cursor->at[1] == '\n')
            cursor->at++;
    }
    size_t len = 0;
    enum delimiter found = delimiter_at(split, cursor, &len);
    if (found == DELIMITER_FIELD || found == DELIMITER_RECORD) {
        cursor->at += len;
        field_push(split, field);
    }
    return found;
}

/* Takes the doubling out of the finished record's fields. */
static void quotes_undo(struct csv_split *split)
{
    for (size_t i = 0; i < split->field_count; i++) {
        struct csv_field *field = &split->fields[i];
        if (!field->doubled)
            continue;
        /* The window is the caller's writable memory; the span only says that it never owns. */
        uint8_t *to = (uint8_t *)(uintptr_t)field->text.data;
        const uint8_t *from = to, *end = to + field->text.len;
        while (from < end) {
            const uint8_t *quote = memchr(from, '"', (size_t)(end - from));
            size_t run = (size_t)((quote == NULL ? end : quote + 1) - from);
            memmove(to, from, run);
            to += run;
            from += run + (quote != NULL);
        }
        field->text.len = (size_t)(to - field->text.data);
    }
}

static void record_pass(struct csv_split *split, uint64_t lines)
{
    split->line += lines + 1;
    split->record++;
}

/* Text after a closing quote: goes on behind the next record delimiter. */
static enum split_result bad_skip(struct csv_split *split, struct cursor *cursor,
                                  const uint8_t *window, size_t *ret_used, struct err *err)
{
    size_t len = 0;
    enum delimiter found = DELIMITER_NONE;
    while (cursor->at < cursor->end) {
        found = delimiter_at(split, cursor, &len);
        if (found == DELIMITER_RECORD || found == DELIMITER_SHORT)
            break;
        cursor->at++;
    }
    if (found != DELIMITER_RECORD && !cursor->last)
        return SPLIT_MORE;
    if (found == DELIMITER_RECORD)
        cursor->at += len;
    *ret_used = (size_t)(cursor->at - window);
    size_t field = split->field_count + 1;
    record_pass(split, cursor->lines);
    (void)err_set(err, ERR_BAD_DATA,
                  "field %zu: text after the closing quote (a quote within quotes is doubled)",
                  field);
    return SPLIT_BAD;
}

enum split_result csv_split_next(struct csv_split *split, uint8_t *window, size_t len, bool last,
                                 size_t *ret_used, struct err *err)
{
    struct cursor cursor = {.at = window, .end = window + len, .last = last};
    enum delimiter found = DELIMITER_FIELD;
    split->field_count = 0;
    if (len == 0)
        return SPLIT_MORE;
    while (found == DELIMITER_FIELD) {
        bool quoted = cursor.at < cursor.end && *cursor.at == '"';
        found = quoted ? quoted_scan(split, &cursor) : unquoted_scan(split, &cursor);
    }
    if (found == DELIMITER_NONE)
        return bad_skip(split, &cursor, window, ret_used, err);
    if (found == DELIMITER_SHORT && !last)
        return SPLIT_MORE;
    if (found == DELIMITER_SHORT) {
        *ret_used = len;
        (void)err_set(err, ERR_PARSE, "field %zu: the quote that opens it is never closed",
                      split->field_count + 1);
        return SPLIT_BAD;
    }
    quotes_undo(split);
    record_pass(split, cursor.lines);
    *ret_used = (size_t)(cursor.at - window);
    return SPLIT_RECORD;
}
