#include "node/outcome.h"

#define OUTCOME_FORMAT 1

void outcome_encode(const struct outcome *outcome, struct bytes *out)
{
    bytes_append_u8(out, OUTCOME_FORMAT);
    bytes_append_span(out, digest_span(&outcome->content));
    bytes_append_u64(out, outcome->rows);
    bytes_append_u64(out, outcome->bytes);
    bytes_append_u64(out, outcome->partitions);
    bytes_append_span(out, digest_span(&outcome->version));
    bytes_append_span(out, outcome->notice);
}

enum err_code outcome_decode(struct span encoded, const struct digest *content,
                             struct outcome *ret_outcome, struct err *err)
{
    struct reader reader = reader_of(encoded);
    struct outcome outcome = {0};
    uint8_t format = reader_u8(&reader);
    reader_copy(&reader, outcome.content.b, DIGEST_BYTES);
    outcome.rows = reader_u64(&reader);
    outcome.bytes = reader_u64(&reader);
    outcome.partitions = reader_u64(&reader);
    reader_copy(&reader, outcome.version.b, DIGEST_BYTES);
    if (!reader_ok(&reader) || format != OUTCOME_FORMAT)
        return err_set(err, ERR_CORRUPT, "record of a statement's outcome cannot be read");
    outcome.notice = reader.left;
    if (content != NULL && !digest_equal(&outcome.content, content))
        return err_set(err, ERR_PARAMETER, "this statement id belongs to another statement");
    *ret_outcome = outcome;
    return ERR_OK;
}
