/* Options of `strait tunnel`: those of the original tool, which all take a value, in single or
 * double dash form (-acp=true, -acp true, --acp=true), and Strait's own.
 *
 * Taken without effect here, because of how Strait works: -cp (the link decides), -bs (blocks have
 * one size), -s true|false (a load is checked as it runs, and a failed one leaves nothing).
 * Refused: -te (the node stands in the configuration), -sd (there is no session folder), charsets
 * other than UTF-8.
 */
#ifndef NODE_CLIENT_TUNNEL_OPTIONS_H
#define NODE_CLIENT_TUNNEL_OPTIONS_H

#include "node/client/command.h"
#include "node/csv/reader.h"
#include "node/csv/writer.h"

struct tunnel_options {
    bool upload; /* else download */
    struct csv_dialect dialect;
    struct csv_times times;
    bool auto_partition; /* -acp */
    bool discard_bad;    /* -dbr */
    uint64_t bad_max;    /* -mbr */
    bool loose_schema;   /* -ss false */
    bool scan_only;      /* -s only */
    unsigned threads;    /* -threads: blocks in flight, at least LOAD_WINDOW_MIN */
    uint64_t limit;      /* -limit; 0: all */
    const char *names;   /* -cn; NULL: all; borrows from argv */
    const char *indexes; /* -ci; NULL: all */
    enum csv_doubles doubles;
    enum upload_mode mode;
    const char *project; /* --project; or NULL */
    bool has_id;
    struct statement_id id;
    const char *path; /* borrow from argv */
    const char *target;
};

/* argv[0] is "upload" or "download", and afterwards the whole name, for getopt. EXIT_USAGE was explained on stderr. *ret_help: it was asked
 * for, and is printed. */
enum exit_code tunnel_options_read(struct client *client, int argc, char **argv,
                                   struct tunnel_options *ret_options, bool *ret_help);

/* [PROJECT.]TABLE[/p1="a",p2="b"]: quotes of either kind, or none. */
struct tunnel_target {
    struct span project; /* empty: none written; spans borrow from the text */
    struct span table;
    struct operator_pair partition[LIMIT_PARTITION_LEVELS];
    size_t partition_count;
};

/* ERR_PARAMETER saying what is wrong where. */
enum err_code tunnel_target_parse(struct span text, struct tunnel_target *ret_target,
                                  struct err *err);

#endif
