/* What the parser's files share. Not for others: they want parser.h.
 *
 * A parser fails once: after the first error the token is TOKEN_END, nothing is accepted any more,
 * later errors are dropped, and what the parse functions return is valid memory of no meaning. So a
 * production reads its parts in order and asks nobody; statement_parse looks at `code` at the end.
 */
#ifndef NODE_SQL_PARSE_H
#define NODE_SQL_PARSE_H

#include "node/sql/lexer.h"
#include "node/sql/parser.h"

struct parser {
    struct lexer lexer;
    struct token token; /* the next one */
    uint32_t last_end;  /* behind the last token that was taken */
    unsigned depth;     /* of nested expressions */
    unsigned queries;   /* nested in one another */
    enum err_code code;
    struct err *err;
    union { /* stands in for a node when the arena is spent */
        struct expr expr;
        struct select select;
        struct from from;
        struct statement statement;
    } scratch;
};

/* ---- tokens ---- */

void parser_advance(struct parser *parser);
bool parser_is(const struct parser *parser, enum keyword keyword);
/* A word that is no keyword, in any case, not quoted. */
bool parser_is_word(const struct parser *parser, const char *word);
bool parser_accept_word(struct parser *parser, const char *word);
bool parser_is_symbol(const struct parser *parser, enum symbol symbol);
bool parser_accept(struct parser *parser, enum keyword keyword);
bool parser_accept_symbol(struct parser *parser, enum symbol symbol);
/* IF EXISTS, IF NOT EXISTS: all the words or none. */
bool parser_accept_if_exists(struct parser *parser);
bool parser_accept_if_not_exists(struct parser *parser);
void parser_expect(struct parser *parser, enum keyword keyword);
void parser_expect_symbol(struct parser *parser, enum symbol symbol);
/* The token behind the next one; the parser does not move. */
struct token parser_peek(const struct parser *parser);

/* ---- errors ---- */

/* "found <the next token>, expected <expected>" */
void parser_expected(struct parser *parser, const char *expected);
/* The error is set already. */
void parser_stop(struct parser *parser, enum err_code code);
/* "line L, column C: <what>" */
void parser_fail(struct parser *parser, enum err_code code, uint32_t at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- memory ---- */

/* Zeroed; at most the size of parser.scratch. */
void *parser_node(struct parser *parser, size_t bytes);
/* Moves what was collected into the arena; *ret_count = 0 when that is spent. */
void *parser_array(struct parser *parser, const struct bytes *items, size_t item_bytes,
                   size_t *ret_count);

/* ---- parts of statements ---- */

struct span parser_identifier(struct parser *parser, const char *expected);
struct span parser_string(struct parser *parser, const char *expected);
struct span parser_principal(struct parser *parser);
/* A whole number without sign, at most `max`. */
int64_t parser_count(struct parser *parser, int64_t max, const char *expected);
struct name parser_name(struct parser *parser, const char *expected);
struct literal parser_literal(struct parser *parser);
struct type parser_type(struct parser *parser);
struct partition_spec parser_partition(struct parser *parser); /* from PARTITION on */
/* The same where a column may stand without a value (dynamic). */
struct partition_spec parser_partition_dynamic(struct parser *parser);
/* One or more of them, with or without commas between. */
struct partition_specs parser_partitions(struct parser *parser);
/* `known`: keys allowed, ended by NULL; NULL: any, and keys may be strings. From '(' on. */
struct option_list parser_options(struct parser *parser, const char *const *known);
/* OPTIONS(src_region=..., ...), from that word on; without the region it fails. */
struct option_list parser_source_options(struct parser *parser, const char *const *known);
struct expr *parser_expr(struct parser *parser);
/* [WITH ...] SELECT ... or (SELECT ...), set operations of them, ORDER BY, LIMIT. */
struct select *parser_query(struct parser *parser);
bool parser_at_query(const struct parser *parser); /* at SELECT or WITH */
/* [AS] alias; without AS no word that begins what may follow. Empty: none. */
struct span parser_alias(struct parser *parser);
struct from *parser_from(struct parser *parser); /* behind FROM */
/* Words of a query that other engines have (parser_unsupported.c); refuse fails where they stand. */
bool parser_at_unsupported(const struct parser *parser);
void parser_refuse_unsupported(struct parser *parser);

/* [RANGE] CLUSTERED BY ...; false where there is none. */
bool parse_cluster_clause(struct parser *parser, struct cluster_clause *clause);
/* Behind ALTER TABLE t: CLUSTERED BY ... or NOT CLUSTERED; false where there is neither. */
bool parse_alter_clustering(struct parser *parser, struct statement *statement, struct name table);

/* ---- statements: what follows the words of their row in parser.c ---- */

void parse_insert(struct parser *parser, struct statement *statement, int variant);
void parse_create_table(struct parser *parser, struct statement *statement, int variant);
void parse_create_external(struct parser *parser, struct statement *statement, int variant);
void parse_alter_table(struct parser *parser, struct statement *statement, int variant);
void parse_drop(struct parser *parser, struct statement *statement, int variant);
void parse_truncate(struct parser *parser, struct statement *statement, int variant);
/* What may stand behind ALTER TABLE t beside ADD, DROP; false: none of it is next. parser_alter.c */
bool parse_alter(struct parser *parser, struct statement *statement, struct name table);
struct span parser_comment(struct parser *parser); /* the string behind COMMENT */
int64_t parser_lifecycle(struct parser *parser);   /* the days behind LIFECYCLE */
void parse_create_snapshot(struct parser *parser, struct statement *statement, int variant);
void parse_clone_table(struct parser *parser, struct statement *statement, int variant);
void parse_xcopy(struct parser *parser, struct statement *statement, int variant);
void parse_xcopy_table(struct parser *parser, struct statement *statement, int variant);
void parse_verify(struct parser *parser, struct statement *statement, int variant);
void parse_scrub(struct parser *parser, struct statement *statement, int variant);
void parse_cancel(struct parser *parser, struct statement *statement, int variant);
void parse_revoke_token(struct parser *parser, struct statement *statement, int variant);
void parse_show(struct parser *parser, struct statement *statement, int variant);
void parse_desc(struct parser *parser, struct statement *statement, int variant);
void parse_use(struct parser *parser, struct statement *statement, int variant);
void parse_set(struct parser *parser, struct statement *statement, int variant);
void parse_create_project(struct parser *parser, struct statement *statement, int variant);
void parse_drop_project(struct parser *parser, struct statement *statement, int variant);
void parse_create_account(struct parser *parser, struct statement *statement, int variant);
void parse_alter_user(struct parser *parser, struct statement *statement, int variant);
void parse_drop_principal(struct parser *parser, struct statement *statement, int variant);
void parse_alter_project(struct parser *parser, struct statement *statement, int variant);
void parse_alter_account(struct parser *parser, struct statement *statement, int variant);
void parse_alter_channel(struct parser *parser, struct statement *statement, int variant);
void parse_user(struct parser *parser, struct statement *statement, int variant);
void parse_grant(struct parser *parser, struct statement *statement, int variant);
void parse_role(struct parser *parser, struct statement *statement, int variant);
void parse_trusted(struct parser *parser, struct statement *statement, int variant);
void parse_create_schedule(struct parser *parser, struct statement *statement, int variant);
void parse_alter_schedule(struct parser *parser, struct statement *statement, int variant);
void parse_run_schedule(struct parser *parser, struct statement *statement, int variant);
void parse_show_runs(struct parser *parser, struct show *show); /* behind SHOW SCHEDULE */

#endif
