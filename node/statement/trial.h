/* For tests: a node's statements over a store of its own, without network. */
#ifndef NODE_STATEMENT_TRIAL_H
#define NODE_STATEMENT_TRIAL_H

#include "node/statement/statement.h"

struct trial {
    char folder[64];
    struct store *store;
    struct identity *identity;
    struct principal root;  /* owns what it makes, operator */
    struct principal other; /* another account, no operator */
    struct statement_services services;
    uint32_t statements; /* ids are counted up */
    uint32_t projects;
    char project[16]; /* the chosen one: '@' in texts means it */
};

/* Once in a process (SELECT is started with it). */
void trial_start(struct trial *trial);
/* A fresh project, chosen from now on. */
void trial_project(struct trial *trial);
void trial_stop(struct trial *trial);
/* Closes and opens the store. */
void trial_restart(struct trial *trial);

/* Runs one statement as root; rows as text: cells joined by ',', rows by
 * ';', NULL as "NULL". On failure ret_text is the formatted error. */
enum err_code trial_run(struct trial *trial, const char *text, struct bytes *ret_text);
enum err_code trial_run_as(struct trial *trial, const struct principal *principal,
                           const struct statement_id *id, const char *text, struct bytes *ret_text);

/* trial_run with an expectation (cmocka). words: part of the error's text. */
void trial_gives(struct trial *trial, const char *text, const char *rows);
void trial_begins(struct trial *trial, const char *text, const char *start);
void trial_refuses(struct trial *trial, const char *text, enum err_code code, const char *words);

#endif
