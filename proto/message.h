/* Protobuf messages from untrusted bytes. Included by .c files of proto/ only.
 *
 * The wire is looked through before protobuf-c sees it (message.c says why): only known fields,
 * each with its own wire type and at most once unless repeated, every number in its shortest form,
 * lengths within what is left, nesting bounded. So protobuf-c never meets input that it handles
 * badly, and unknown fields never pass, at any depth.
 *
 * The house rules for our .proto files follow from it: proto3, no recursion, at most 64 fields a
 * message, `bytes` instead of `string` (text is checked by its decoder), no repeated numbers.
 */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "proto/arena.h"

/* A fitting budget for the arena that a message of wire_bytes is unpacked into. */
size_t message_arena_bytes(size_t wire_bytes);
/* An arena of that budget, for a message of which the caller keeps nothing: the caller ends it. */
struct arena message_arena(struct span wire);

/* Unpacks into the arena (nothing to free; the message does not borrow from wire). More than
 * wire_bytes_max or than the arena holds: ERR_LIMIT; anything malformed: ERR_BAD_DATA. */
enum err_code message_unpack(const ProtobufCMessageDescriptor *descriptor, struct span wire,
                             size_t wire_bytes_max, struct arena *arena,
                             ProtobufCMessage **ret_message, struct err *err) MUST_USE;

/* The same, and packing the message again gives exactly these bytes: for all that is named by its
 * digest. */
enum err_code message_unpack_canonical(const ProtobufCMessageDescriptor *descriptor,
                                       struct span wire, size_t wire_bytes_max, struct arena *arena,
                                       ProtobufCMessage **ret_message, struct err *err) MUST_USE;

/* Appends. */
void message_pack(const ProtobufCMessage *message, struct bytes *out);

struct span message_span(ProtobufCBinaryData data); /* borrows */
/* A field of just so many bytes, an id or a digest; else ERR_BAD_DATA, which names it. */
enum err_code message_exact(ProtobufCBinaryData data, const char *field, void *ret, size_t bytes,
                            struct err *err) MUST_USE;
ProtobufCBinaryData message_data(struct span span); /* borrows; packing does not write to it */

#endif
