/* What column_encode.c and column_decode.c share: the codec's memory. Private to the two. */
#ifndef STORE_COLUMN_CODEC_H
#define STORE_COLUMN_CODEC_H

#include <zstd.h>

#include "store/column.h"
#include "store/dictionary.h"

#define COLUMN_ZSTD_LEVEL 3

struct column_codec {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
    struct bytes payload;
    struct bytes compressed;
    struct dictionary dictionary;
    struct bytes scratch[4]; /* arrays of one column: see scratch_array */
};

/* Array `which` with room for `count` items; its content is undefined. */
void *scratch_array(struct column_codec *codec, size_t which, size_t count, size_t item_bytes);

/* A payload can't be larger than this, whatever the encoding: what a zstd frame may claim. */
size_t payload_bytes_max(struct type type, size_t rows);

#endif
