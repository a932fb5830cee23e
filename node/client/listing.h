/* Rows that the client itself puts together, printed like results: cell by cell, row after row. */
#ifndef NODE_CLIENT_LISTING_H
#define NODE_CLIENT_LISTING_H

#include "node/client/execution.h"

struct listing_column {
    const char *name;
    enum type_kind kind; /* STRING, BIGINT, BOOLEAN, DATETIME */
};

struct listing {
    struct column *columns;
    size_t count;
    size_t cell; /* next one of the row */
    struct batch batch;
};

void listing_init(struct listing *listing, const struct listing_column *columns, size_t count);
void listing_deinit(struct listing *listing);
#define LISTING_CLEANUP __attribute__((cleanup(listing_deinit)))

void listing_text(struct listing *listing, struct span text);       /* the empty text is NULL */
void listing_number(struct listing *listing, uint64_t number);      /* BIGINT, BOOLEAN */
void listing_time(struct listing *listing, uint64_t since_1970_ms); /* 0 is NULL */
void listing_null(struct listing *listing);

/* To standard output; the listing is empty afterwards. */
enum err_code listing_print(struct listing *listing, const struct format_kind *kind,
                            struct err *err);

#endif
