/* Batches of changes as bytes (db.h). What writes them is db.c; nothing here knows the library. */
#include "store/db.h"

void db_batch_deinit(struct db_batch *batch)
{
    bytes_deinit(&batch->steps);
    batch->count = 0;
}

void db_batch_clear(struct db_batch *batch)
{
    bytes_clear(&batch->steps);
    batch->count = 0;
}

static void batch_begin(struct db_batch *batch, enum family family, bool put, struct span key)
{
    ASSERT((unsigned)family < FAMILY_COUNT && key.len <= UINT32_MAX);
    bytes_append_u8(&batch->steps, (uint8_t)family);
    bytes_append_u8(&batch->steps, put);
    bytes_append_u32(&batch->steps, (uint32_t)key.len);
    bytes_append_span(&batch->steps, key);
    batch->count++;
}

void db_batch_put_parts(struct db_batch *batch, enum family family, struct span key,
                        struct span head, struct span tail)
{
    ASSERT(tail.len <= UINT32_MAX - head.len);
    batch_begin(batch, family, true, key);
    bytes_append_u32(&batch->steps, (uint32_t)(head.len + tail.len));
    bytes_append_span(&batch->steps, head);
    bytes_append_span(&batch->steps, tail);
}

void db_batch_put(struct db_batch *batch, enum family family, struct span key, struct span value)
{
    db_batch_put_parts(batch, family, key, value, span_of(NULL, 0));
}

void db_batch_delete(struct db_batch *batch, enum family family, struct span key)
{
    batch_begin(batch, family, false, key);
}

bool db_batch_next(struct reader *reader, struct db_batch_step *ret_step)
{
    if (reader->left.len == 0)
        return false;
    ret_step->family = (enum family)reader_u8(reader);
    ret_step->put = reader_u8(reader) != 0;
    ret_step->key = reader_span(reader, reader_u32(reader));
    ret_step->value = ret_step->put ? reader_span(reader, reader_u32(reader)) : span_of(NULL, 0);
    ASSERT(reader_ok(reader));
    return true;
}

bool db_batch_find(const struct db_batch *batch, enum family family, struct span key,
                   struct span *ret_value, bool *ret_there)
{
    struct reader reader = reader_of(bytes_span(&batch->steps));
    struct db_batch_step step;
    bool found = false;
    while (db_batch_next(&reader, &step)) {
        if (step.family != family || !span_equal(step.key, key))
            continue;
        found = true; /* the last one counts */
        *ret_value = step.value;
        *ret_there = step.put;
    }
    return found;
}
