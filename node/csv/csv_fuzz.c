/* The first byte chooses a dialect, the rest is a file, read in windows of the size that the second
 * byte says: whatever it holds, reading ends, and in one window or many gives the same fields. */
#include "node/csv/split.h"

#include "proto/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct csv_dialect dialect_of(uint8_t choice)
{
    static const char *const fields[] = {",", "\t", "||", "ab"};
    static const char *const records[] = {"", "\r\n", ";", "|\n"};
    struct csv_dialect dialect = csv_dialect_default();
    (void)csv_mark_set(span_text(fields[choice & 3]), &dialect.field, NULL);
    (void)csv_mark_set(span_text(records[choice >> 2 & 3]), &dialect.record, NULL);
    return dialect;
}

/* Splits all of it, growing the window by `step`; what came out, in one digest. */
static struct digest file_split(const struct csv_dialect *dialect, struct span file, size_t step)
{
    struct bytes copy BYTES_CLEANUP = {0};
    struct csv_split split;
    struct digest_state state;
    size_t at = 0, end = 0;
    bytes_reserve(&copy, file.len + 1); /* never NULL */
    bytes_append_span(&copy, file);
    csv_split_init(&split, dialect);
    digest_init(&state, DOMAIN_STATEMENT);
    while (true) {
        size_t used = 0;
        struct err err = {0};
        enum split_result result =
            csv_split_next(&split, copy.data + at, end - at, end == copy.len, &used, &err);
        if (result == SPLIT_MORE && end == copy.len)
            break;
        if (result == SPLIT_MORE) {
            end = copy.len - end < step ? copy.len : end + step;
            continue;
        }
        ASSERT(used > 0 && used <= end - at);
        at += used;
        digest_update_u64(&state, result);
        digest_update_u64(&state, split.line);
        for (size_t i = 0; result == SPLIT_RECORD && i < split.field_count; i++) {
            digest_update_u64(&state, split.fields[i].quoted);
            digest_update_part(&state, split.fields[i].text);
        }
    }
    ASSERT(at == copy.len);
    csv_split_deinit(&split);
    return digest_final(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2 || len > KIB(64))
        return 0;
    struct csv_dialect dialect = dialect_of(data[0]);
    struct span file = span_of(data + 2, len - 2);
    struct digest whole = file_split(&dialect, file, file.len + 1);
    struct digest parts = file_split(&dialect, file, 1 + data[1] % 16u);
    ASSERT(digest_equal(&whole, &parts));
    return 0;
}
