/* What stands for a number that the node counts by, where users see it: one of its own, for ever, and
 * without order; the number itself would tell how many others there are. The node's signature is what
 * nobody else can compute from the number. */
#ifndef NODE_STATEMENT_OPAQUE_ID_H
#define NODE_STATEMENT_OPAQUE_ID_H

#include "transport/identity.h"

#define OPAQUE_ID_TEXT_BYTES 33

/* 32 hex digits and a zero. purpose: "strait/1 ..." of what is counted. */
void opaque_id(const struct identity *identity, const char *purpose, uint64_t number,
               char ret_text[OPAQUE_ID_TEXT_BYTES]);

#endif
