/* For tests: two regions in one process, with real stores and real transport on 127.0.0.1, a table of
 * one column there, and XCOPY here. cmocka's asserts: the test's thread only. */
#ifndef NODE_TASK_XCOPY_TRIAL_H
#define NODE_TASK_XCOPY_TRIAL_H

#include "node/task/xcopy_destination.h"
#include "node/task/xcopy_source.h"
#include "proto/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "store/store.h"

enum tamper {
    TAMPER_NONE,
    TAMPER_PAGES,      /* bytes that are no page */
    TAMPER_FILES,      /* files with a flipped bit */
    TAMPER_PAGES_ONCE, /* the first reply only */
    TAMPER_FILES_ONCE,
    TAMPER_OTHER_PAGE, /* a page, but another one */
    TAMPER_OLDER,      /* nothing, but the asker's program seems to be the first version's */
};

#define TAMPERED_BYTES 40 /* of such a reply */

/* One node, as far as XCOPY needs it. */
struct region {
    const char *name;
    char dir[64];
    struct identity *identity;
    struct store *store;
    struct loop *loop;
    struct workers *workers, *commits;
    struct pool *pool;
    struct listener *listener;
    char address[32];
    struct principals *principals;
    struct peers *peers;
    _Atomic(struct source *) source; /* set while requests come in already */
    struct auditor *auditor;
    struct tasks *tasks;
    struct project_id project;
    _Atomic enum tamper tamper;
    atomic_bool holds_files;   /* a request for files waits until it is false */
    atomic_bool holds_pages;   /* the same for pages */
    atomic_bool holds_all;     /* all requests for files wait */
    atomic_size_t files_asked; /* requests for files that came */
    atomic_bool holds_loop;    /* from its next start on its tasks wait until it is false */
};

extern struct region here, there;
extern struct identity *user;
extern struct err err;
extern uint64_t statement_last;
/* Of the next xcopy_start. */
extern const char *source_region, *destination_project, *statement_text;
extern bool queues;
extern uint64_t expires_ms;
extern uint64_t snapshot_expires_ms;   /* of the next snapshots there */
extern struct walk_limits walk_limits; /* the same; zeroed: the defaults */
extern size_t tasks_per_project;       /* here, from the next start on; 0: the default */
extern uint16_t token_rights;          /* of the next tokens: enum token_right */
extern _Atomic(struct request *) held; /* by there, while holds_files; NULL: none */

#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != ERR_OK)                                                                      \
            fail_msg("%s: %s", #call, err.message);                                                \
    } while (0)

struct change_note note(void);
void listen_at(struct region *region, const char *address);
void region_restart(struct region *region, const struct region *other);
int group_setup(void **state);
int group_teardown(void **state);
struct table_id table_make(const char *name);
extern size_t file_padding;            /* bytes that each file of the next partitions has more */
extern struct clustering clustered_as; /* of the next partitions */
void overwrite(struct table_id table, int64_t first, int64_t last, const char *tag);
void overwrite_wide(struct table_id table, uint64_t lie);
void snapshot_make(struct table_id table, const char *name);
/* Of the project there. */
void project_protect(bool is_protected, struct trusted_project *trusted, size_t trusted_count);
void token_make(const char *source, const char *destination, struct bytes *ret_token);
/* Of `user`, here. */
const struct principal *root_principal(void);
enum err_code xcopy_start(const char *source, const char *destination, struct task_id *ret_id);
struct task_status status_of(const struct task_id *id);
struct task_status wait_for(const struct task_id *id,
                            bool (*there_yet)(const struct task_status *));
bool has_ended(const struct task_status *status);
bool is_tidy(const struct task_status *status); /* and tidied up */
bool waits_for_peer(const struct task_status *status);
struct task_status xcopy(const char *source, const char *destination);
void done(const struct task_status *status);
void equal(const char *source, const char *destination);
void request_let_go(struct region *region);
/* Those that holds_all kept. */
void requests_let_go(struct region *region);
/* Of those the first and only one: under whose lease; waits for it. Then it alone goes on. */
struct lease_id request_held_lease(void);
void request_step(struct region *region);
/* What was posted to the loop before has run. */
void loop_pass(struct region *region);
size_t staged_count(void); /* tasks that have staged pages here */

/* ---- tokens, as somebody may have signed them ---- */

struct token token_base(const char *snapshot); /* of `user`, unsigned; all rights, for one copy */
struct token token_standing(const char *pattern, uint32_t runs); /* of schedule nightly */
/* Sets token->signer. */
void token_sign(struct token *token, const struct identity *signer, struct bytes *ret_bytes);
void token_take_back(const struct token *token); /* by `user`, there */
/* code is expected, and err has the words. */
void says(enum err_code code, enum err_code expected, const char *words);

/* ---- a destination that keeps to no order: requests of `here`, as a node's key may send them ---- */

struct ask { /* the caller frees body */
    atomic_bool answered;
    struct err err;
    struct bytes body;
};

void ask_post(struct ask *ask, enum peer_method method, struct span header, struct span body);
/* The answer's code. */
enum err_code ask_wait(struct ask *ask);
void describe_post(struct ask *ask, uint8_t task, struct span token);
/* snapshot: under a standing token; or "". */
void describe_named_post(struct ask *ask, uint8_t task, struct span token, const char *snapshot);
/* Under the lease that describe gave: its root page; a renewal. */
enum err_code root_ask(const struct ask *described);
/* renew, end: under that lease. */
enum err_code lease_ask(const struct ask *described, enum peer_method method);

#endif
