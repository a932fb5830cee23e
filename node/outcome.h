/* What a statement or load that changed something answered, as bytes: the store keeps them for 24 h
 * under (principal, statement id), in the very commit of the change (store/project.h). Sent again, it
 * answers the same and does nothing twice.
 *
 *     u8 1 | content 32 | rows u64 | bytes u64 | partitions u64 | version 32 | notice
 */
#ifndef NODE_OUTCOME_H
#define NODE_OUTCOME_H

#include "proto/digest.h"

struct outcome {
    struct digest content; /* of the request: the same id with other content is refused */
    uint64_t rows;         /* loads, as the next three */
    uint64_t bytes;        /* of the column files made, held before or not */
    uint64_t partitions;
    struct digest version; /* of the table after it */
    struct span notice;    /* borrows */
};

void outcome_encode(const struct outcome *outcome, struct bytes *out);
/* ERR_CORRUPT; ERR_PARAMETER when the id belongs to other content (NULL: not asked). Borrows from
 * encoded. */
enum err_code outcome_decode(struct span encoded, const struct digest *content,
                             struct outcome *ret_outcome, struct err *err);

#endif
