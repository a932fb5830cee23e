/* For tests: a node's statements over a store of its own, without network. */
#ifndef NODE_STATEMENT_TRIAL_H
#define NODE_STATEMENT_TRIAL_H

#include "node/statement/statement.h"

struct trial {
    char folder[64];
    struct store *store;
    struct expiry *expiry;
    struct identity *identity;
    struct principals *principals;
    struct principal root;      /* owns what it makes, operator */
    struct principal other;     /* another account, no operator */
    struct principal user;      /* RAM$root:u */
    struct principal stranger;  /* RAM$other:u */
    const struct principal *as; /* who runs what names nobody; NULL: root */
    struct statement_services services;
    uint32_t statements; /* ids are counted up */
    uint32_t projects;
    char project[16];                    /* the chosen one: '@' in texts means it */
    struct operator_pair setting;        /* goes with every statement; an empty key: none */
    struct statement_progress *progress; /* of the next ones; or NULL */
    atomic_bool cancel;                  /* of every statement */
};

/* Once in a process (SELECT is started with it). */
void trial_start(struct trial *trial);
/* A fresh project, chosen from now on. */
void trial_project(struct trial *trial);
/* The same with table t of one column a and three rows, and snapshot s of it. */
void trial_project_of_rows(struct trial *trial);
/* A replica in the chosen project: what XCOPY would have made of another region's snapshot, with the rows of s. */
struct trial_origin {
    const char *region, *project, *table;
    uint64_t created_ms; /* as it says */
    uint64_t here_ms;    /* as this node knows */
    uint64_t expires_ms;
    bool forged;              /* by another key than this node's */
    struct table_id table_id; /* 0: the one that s is of */
};
void trial_replica(struct trial *trial, const char *name, const struct trial_origin *origin);
void trial_stop(struct trial *trial);
/* fsck, with every byte read, finds nothing. */
void trial_is_whole(struct trial *trial);
/* Closes and opens the store: together, or with something between. */
void trial_restart(struct trial *trial);
void trial_close(struct trial *trial);
void trial_reopen(struct trial *trial);

/* Runs one statement as `as`; rows as text: cells joined by ',', rows by
 * ';', NULL as "NULL". On failure ret_text is the formatted error. */
enum err_code trial_run(struct trial *trial, const char *text, struct bytes *ret_text);
/* What a screen shows instead of the rows. */
enum err_code trial_display(struct trial *trial, const char *text, struct bytes *ret_text);
/* It succeeds, and its notice has these words. */
void trial_tells(struct trial *trial, const char *text, const char *words);
enum err_code trial_run_as(struct trial *trial, const struct principal *principal,
                           const struct statement_id *id, const char *text, struct bytes *ret_text);

/* '@' becomes the project's name; the caller frees it. */
char *trial_text(const struct trial *trial, const char *text);
/* What a table or snapshot of the chosen project is now. */
struct version_ref trial_version(struct trial *trial, const char *name);
/* A statement whose rows are still to come; trial_rest reads them all, compares and ends it. */
struct trial_cursor;
struct trial_cursor *trial_open(struct trial *trial, const char *text);
void trial_rest(struct trial_cursor *cursor, const char *rows);
/* The same, of one whose rows are refused by now. words: part of the error's text. */
void trial_rest_refused(struct trial_cursor *cursor, enum err_code code, const char *words);
/* What it shows on a screen, ended by a zero. */
void trial_shows(struct trial *trial, const char *text, struct bytes *ret_display);

/* trial_run with an expectation (cmocka). words: part of the error's text. */
void trial_gives(struct trial *trial, const char *text, const char *rows);
void trial_begins(struct trial *trial, const char *text, const char *start);
void trial_refuses(struct trial *trial, const char *text, enum err_code code, const char *words);
/* The same as somebody; afterwards it is root's turn again. */
void trial_root(struct trial *trial, const char *text);
void trial_allows(struct trial *trial, const struct principal *principal, const char *text,
                  const char *rows);
void trial_denies(struct trial *trial, const struct principal *principal, const char *text,
                  const char *words);

#endif
