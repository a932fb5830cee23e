/* Column files: one column of one row group, encoded and compressed (docs/FORMATS.md).
 *
 *     header 24 | payload: [validity bits] [encoded values without the NULLs], perhaps as one zstd frame
 *
 * Small ones (COLUMN_SHARED_BYTES_MAX) stand one after another in a file that the row group's small
 * columns share (store/segment.h); an entry of the tree says where. What is here knows no file, no
 * digest and no tree: a vector in, bytes out, and back.
 *
 * Invariants: 1. Equal rows give equal bytes within one libzstd version, whatever was encoded
 * before with the same codec. 2. Decoding trusts nothing: every length is compared before memory is
 * taken, and a decoded column has at most ROW_GROUP_ROWS_MAX rows and ROW_GROUP_COLUMN_BYTES_MAX
 * bytes of text. 3. Floats keep their bits.
 * Threads: a codec serves one thread at a time.
 */
#ifndef STORE_COLUMN_H
#define STORE_COLUMN_H

#include "proto/vector.h"

#define COLUMN_FORMAT       1
#define COLUMN_ENCODER      1
#define COLUMN_HEADER_BYTES 24

/* The numbers are stored: never reuse one. Their order breaks ties. */
enum column_encoding {
    ENCODING_FRAME = 1,      /* integers: smallest value, differences in whole bytes, by planes */
    ENCODING_DELTA = 2,      /* integers: the same of the steps between neighbours */
    ENCODING_DICTIONARY = 3, /* distinct values in order of appearance, then indexes */
    ENCODING_RUNS = 4,       /* one value a run, then run lengths */
    ENCODING_PLAIN = 5,
};

struct column_header {
    uint8_t encoder;
    struct type type;
    enum column_encoding encoding;
    bool compressed;
    uint32_t rows;
    uint32_t nulls;
    uint32_t plain_bytes;  /* payload as encoded */
    uint32_t stored_bytes; /* payload in the file */
};

/* zstd contexts and scratch memory, reused from call to call. */
struct column_codec;
struct column_codec *column_codec_new(void);
void column_codec_free(struct column_codec *codec);
void column_codec_free_pointer(struct column_codec **codec);
#define COLUMN_CODEC_CLEANUP __attribute__((cleanup(column_codec_free_pointer)))

/* Appends rows at .. at + rows of the vector (1 to ROW_GROUP_ROWS_MAX) as one column. */
void column_encode(struct column_codec *codec, const struct vector *vector, size_t at, size_t rows,
                   struct bytes *out);

/* The header alone, all of it checked against the given bytes, which are exactly one column.
 * ERR_CORRUPT; ERR_VERSION for a newer format. */
enum err_code column_header_decode(struct span encoded, struct column_header *ret_header,
                                   struct err *err);

/* Appends the column's rows to `vector`, whose type must be the stored one. On failure the vector
 * is as it was. ERR_CORRUPT, ERR_VERSION. */
enum err_code column_decode(struct column_codec *codec, struct span encoded, struct vector *vector,
                            struct err *err);

/* The same of the first `rows` rows, at least 1, or of all when there are fewer. Values behind them are not
 * looked at: a column that is malformed there is found by column_decode only. */
enum err_code column_decode_front(struct column_codec *codec, struct span encoded, size_t rows,
                                  struct vector *vector, struct err *err);

#endif
