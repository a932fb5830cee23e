#include "node/loads.h"

#include <pthread.h>

#include "node/limits.h"
#include "node/load_rows.h"

#define LOADS_TICK_MS 100

struct load_run {
    struct loads *loads;
    struct load_run *next; /* loads->lock, as the next */
    size_t references;
    struct principal principal; /* who began it */
    struct statement_id id;
    struct digest content;

    size_t memory_bytes;
    struct load_rows *rows; /* set at begin, then the worker's that is in it (`busy`) */

    pthread_mutex_t lock; /* all below */
    bool busy;
    bool ended;      /* committed, being committed, or dropped: takes no chunks any more */
    bool committing; /* a worker commits it, or has done so */
    bool committed;
    struct outcome outcome; /* committed */
    struct err failure;
    uint64_t next_chunk;
    struct request *parked[LOAD_PARKED_MAX]; /* by number modulo the size */
    struct request *committer;               /* waits for the outcome */
    uint64_t committer_due_ms;
    uint64_t used_ms;
};

struct loads {
    const struct statement_services *services;
    struct loop *loop;
    pthread_mutex_t lock;
    struct load_run *first;
    size_t count;
    size_t memory_bytes; /* given to loads */
    bool stopping;
    struct loop_timer tick;
};

/* ---- references ---- */

static void load_run_free(struct load_run *load)
{
    load_rows_close(load->rows);
    pthread_mutex_destroy(&load->lock);
    mem_free(load);
}

static void load_run_unref(struct load_run *load)
{
    struct loads *loads = load->loads;
    pthread_mutex_lock(&loads->lock);
    bool last = --load->references == 0;
    pthread_mutex_unlock(&loads->lock);
    if (!last)
        return;
    size_t memory_bytes = load->memory_bytes;
    load_run_free(load);
    pthread_mutex_lock(&loads->lock);
    loads->memory_bytes -= memory_bytes;
    pthread_mutex_unlock(&loads->lock);
}

static void load_run_unref_pointer(struct load_run **load)
{
    if (*load != NULL)
        load_run_unref(*load);
}
#define LOAD_RUN_CLEANUP __attribute__((cleanup(load_run_unref_pointer)))

static void load_run_forget(struct load_run *load)
{
    struct loads *loads = load->loads;
    pthread_mutex_lock(&loads->lock);
    struct load_run **at = &loads->first;
    while (*at != NULL && *at != load)
        at = &(*at)->next;
    bool found = *at != NULL;
    if (found) {
        *at = load->next;
        loads->count--;
    }
    pthread_mutex_unlock(&loads->lock);
    if (found)
        load_run_unref(load);
}

/* With a reference for the caller; NULL when absent. */
static struct load_run *load_run_find_locked(struct loads *loads, const struct principal *principal,
                                             const struct statement_id *id)
{
    struct load_run *load = loads->first;
    while (load != NULL && (load->principal.number != principal->number ||
                            memcmp(load->id.b, id->b, sizeof(id->b)) != 0))
        load = load->next;
    if (load != NULL)
        load->references++;
    return load;
}

static struct load_run *load_run_find(struct loads *loads, const struct principal *principal,
                                      const struct statement_id *id)
{
    pthread_mutex_lock(&loads->lock);
    struct load_run *load = load_run_find_locked(loads, principal, id);
    pthread_mutex_unlock(&loads->lock);
    return load;
}

/* ---- begin ---- */

static struct digest begin_content(const struct operator_load_begin *begin)
{
    struct digest_state state;
    digest_init(&state, DOMAIN_STATEMENT);
    digest_update_part(&state, begin->project);
    digest_update_part(&state, begin->table);
    digest_update_u64(&state, begin->mode);
    digest_update_u64(&state, begin->auto_partition);
    for (size_t i = 0; i < begin->partition_count; i++) {
        digest_update_part(&state, begin->partition[i].key);
        digest_update_part(&state, begin->partition[i].value);
    }
    return digest_final(&state);
}

/* Half of what is left of twice load_memory: the first load has load_memory, all together never
 * more than twice that and the least that each needs. */
static size_t loads_memory_take(struct loads *loads)
{
    size_t all = 2 * limits_get(loads->services->limits).load_memory_bytes;
    pthread_mutex_lock(&loads->lock);
    size_t bytes = loads->memory_bytes < all ? (all - loads->memory_bytes) / 2 : 0;
    bytes = bytes < LOAD_MEMORY_BYTES_MIN ? LOAD_MEMORY_BYTES_MIN : bytes;
    loads->memory_bytes += bytes;
    pthread_mutex_unlock(&loads->lock);
    return bytes;
}

static size_t loads_of_locked(const struct loads *loads, const struct principal *principal)
{
    size_t count = 0;
    for (const struct load_run *load = loads->first; load != NULL; load = load->next)
        count += load->principal.number == principal->number;
    return count;
}

/* *ret_other: somebody else has begun it meanwhile; a reference to theirs. */
static enum err_code load_run_add(struct loads *loads, struct load_run *load,
                                  struct load_run **ret_other, struct err *err)
{
    enum err_code code = ERR_OK;
    pthread_mutex_lock(&loads->lock);
    *ret_other = load_run_find_locked(loads, &load->principal, &load->id);
    if (loads->stopping)
        code = err_set(err, ERR_BUSY, "the node is stopping");
    else if (*ret_other == NULL && loads->count >= LOADS_MAX)
        code = err_set(err, ERR_BUSY, "%d loads are under way already; try again later", LOADS_MAX);
    else if (*ret_other == NULL &&
             loads_of_locked(loads, &load->principal) >= LOADS_PER_PRINCIPAL_MAX)
        code = err_set(err, ERR_BUSY, "%d loads of %s are under way already; try again later",
                       LOADS_PER_PRINCIPAL_MAX, load->principal.name);
    if (code == ERR_OK && *ret_other == NULL) {
        load->references++;
        load->next = loads->first;
        loads->first = load;
        loads->count++;
    }
    pthread_mutex_unlock(&loads->lock);
    return code;
}

static enum err_code load_run_new(struct loads *loads, const struct load_asker *asker,
                                  const struct operator_load_begin *begin,
                                  struct load_run **ret_load, struct err *err)
{
    LOAD_RUN_CLEANUP struct load_run *load = mem_calloc(1, sizeof(*load));
    load->loads = loads;
    load->references = 1;
    load->principal = *asker->principal;
    load->id = begin->id;
    load->content = begin_content(begin);
    load->used_ms = loop_now_ms();
    load->memory_bytes = loads_memory_take(loads);
    pthread_mutex_init(&load->lock, NULL);
    const struct load_rows_options options = {
        .services = loads->services,
        .principal = asker->principal,
        .address = asker->address,
        .begin = begin,
        .memory_bytes = load->memory_bytes,
    };
    struct load_run *other;
    TRY(load_rows_open(&options, &load->rows, err));
    TRY(load_run_add(loads, load, &other, err));
    *ret_load = other != NULL ? other : load;
    load = other != NULL ? load : NULL;
    return ERR_OK;
}

/* Was it committed before? */
static enum err_code outcome_lookup(struct loads *loads, const struct principal *principal,
                                    const struct statement_id *id, const struct digest *content,
                                    struct outcome *ret_outcome, bool *ret_found, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct outcome_record record;
    struct err reason;
    enum err_code code = outcome_find(loads->services->store, span_text(principal->name), id,
                                      &arena, &record, &reason);
    *ret_found = code == ERR_OK;
    if (code == ERR_NOT_FOUND)
        return ERR_OK;
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    TRY(outcome_decode(record.outcome, content, ret_outcome, err));
    ret_outcome->notice = (struct span){0};
    return ERR_OK;
}

/* Columns copied into the caller's arena: the load may end before they are sent. */
static enum err_code state_fill(struct load_run *load, struct arena *arena,
                                struct operator_load_state *ret_state, struct err *err)
{
    struct load_columns columns = load_rows_columns(load->rows);
    struct schema schema = operator_schema(columns.columns, columns.count);
    struct schema copy = schema_copy(&schema, arena);
    if (arena->exhausted)
        return err_set(err, ERR_LIMIT, "too many columns");
    pthread_mutex_lock(&load->lock);
    uint64_t next_chunk = load->next_chunk;
    pthread_mutex_unlock(&load->lock);
    *ret_state = (struct operator_load_state){
        .state = OPERATOR_RUNNING,
        .next_chunk = next_chunk,
        .columns = copy.columns,
        .column_count = copy.column_count,
        .partition_column_count = columns.partition_count,
    };
    return ERR_OK;
}

/* Takes no rows any more, and may end well. */
static bool load_run_committing(struct load_run *load, uint64_t *ret_chunks)
{
    pthread_mutex_lock(&load->lock);
    bool committing = load->committing;
    *ret_chunks = load->next_chunk;
    pthread_mutex_unlock(&load->lock);
    return committing;
}

enum err_code loads_begin(struct loads *loads, const struct load_asker *asker,
                          const struct operator_load_begin *begin, struct arena *arena,
                          struct operator_load_state *ret_state, struct err *err)
{
    const struct principal *principal = asker->principal;
    struct digest content = begin_content(begin);
    LOAD_RUN_CLEANUP struct load_run *load = load_run_find(loads, principal, &begin->id);
    if (load == NULL) {
        struct outcome outcome;
        bool found;
        TRY(outcome_lookup(loads, principal, &begin->id, &content, &outcome, &found, err));
        if (found) {
            *ret_state = (struct operator_load_state){.state = OPERATOR_DONE};
            return ERR_OK;
        }
        TRY(load_run_new(loads, asker, begin, &load, err));
    }
    if (!digest_equal(&load->content, &content))
        return err_set(err, ERR_PARAMETER, "this id belongs to another load");
    if (load_run_committing(load, &ret_state->next_chunk)) {
        /* Its asker gave up waiting and asks again: the answer to the commit says how it ended. */
        *ret_state = (struct operator_load_state){.state = OPERATOR_DONE,
                                                  .next_chunk = ret_state->next_chunk};
        return ERR_OK;
    }
    return state_fill(load, arena, ret_state, err);
}

/* ---- chunks ---- */

static void reply_next(struct request *request, uint64_t next_chunk)
{
    BYTES_CLEANUP struct bytes header = {0};
    struct bytes body = {0};
    const struct operator_load_state state = {.state = OPERATOR_RUNNING, .next_chunk = next_chunk};
    operator_load_state_encode(&state, &header, &body);
    request_reply_bytes(request, bytes_span(&header), &body);
}

static enum err_code chunk_take(struct load_run *load, struct request *request, struct err *err)
{
    struct operator_load_chunk chunk;
    TRY(operator_load_chunk_decode(request_header(request), request_body(request), &chunk, err));
    return load_rows_append(load->rows, chunk.rows, err);
}

/* What to do with a chunk that came: nothing (parked), a reply, or the work. */
static enum err_code chunk_place_locked(struct load_run *load, uint64_t number,
                                        struct request **request, bool *ret_work, struct err *err)
{
    load->used_ms = loop_now_ms();
    *ret_work = false;
    if (load->failure.code != ERR_OK)
        return err_set(err, load->failure.code, "%s", load->failure.message);
    if (load->ended)
        return err_set(err, ERR_NOT_FOUND, "the load has ended");
    if (number < load->next_chunk)
        return ERR_OK;
    if (number >= load->next_chunk + LOAD_PARKED_MAX)
        return err_set(err, ERR_PARAMETER, "chunk %" PRIu64 " came while %" PRIu64 " is awaited",
                       number, load->next_chunk);
    if (number == load->next_chunk && !load->busy) {
        load->busy = true;
        *ret_work = true;
        return ERR_OK;
    }
    struct request **place = &load->parked[number % LOAD_PARKED_MAX];
    struct request *older = *place;
    *place = *request;
    *request = older; /* asked again: the older one is answered, the newer waits */
    return ERR_OK;
}

/* Works through the chunk in hand and those parked behind it. False: one failed, and so the load. */
static bool chunks_work(struct load_run *load, struct request *request)
{
    bool fine = true;
    while (request != NULL) {
        struct err err = {0};
        enum err_code code = chunk_take(load, request, &err);
        pthread_mutex_lock(&load->lock);
        load->used_ms = loop_now_ms();
        if (code == ERR_OK)
            load->next_chunk++;
        else
            load->failure = err;
        uint64_t next_chunk = load->next_chunk;
        struct request **place = &load->parked[next_chunk % LOAD_PARKED_MAX];
        struct request *next = code == ERR_OK ? *place : NULL;
        if (next != NULL)
            *place = NULL;
        else
            load->busy = false;
        pthread_mutex_unlock(&load->lock);
        if (code == ERR_OK)
            reply_next(request, next_chunk);
        else
            request_reply_error(request, &err);
        fine = code == ERR_OK;
        request = next;
    }
    return fine;
}

/* Answers all that wait in vain. */
static void parked_refuse(struct load_run *load)
{
    struct request *parked[LOAD_PARKED_MAX];
    struct err err;
    pthread_mutex_lock(&load->lock);
    memcpy(parked, load->parked, sizeof(parked));
    memset(load->parked, 0, sizeof(load->parked));
    if (load->failure.code != ERR_OK)
        err = load->failure;
    else
        err_set(&err, ERR_CANCELLED, "the load has ended");
    pthread_mutex_unlock(&load->lock);
    for (size_t i = 0; i < LOAD_PARKED_MAX; i++) {
        if (parked[i] != NULL)
            request_reply_error(parked[i], &err);
    }
}

static enum err_code load_run_get(struct loads *loads, const struct principal *principal,
                                  const struct statement_id *id, struct load_run **ret_load,
                                  struct err *err)
{
    struct load_run *load = load_run_find(loads, principal, id);
    if (load == NULL)
        return err_set(err, ERR_NOT_FOUND,
                       "no such load; one ends with the node that it was begun at, and after %d "
                       "minutes of silence: begin it again",
                       LOAD_IDLE_MS / 60000);
    *ret_load = load;
    return ERR_OK;
}

void loads_chunk(struct loads *loads, const struct principal *principal, struct request *request)
{
    struct operator_load_chunk chunk;
    struct err err = {0};
    LOAD_RUN_CLEANUP struct load_run *load = NULL;
    bool work = false;
    uint64_t next_chunk = 0;
    enum err_code code =
        operator_load_chunk_decode(request_header(request), (struct span){0}, &chunk, &err);
    if (code == ERR_OK)
        code = load_run_get(loads, principal, &chunk.id, &load, &err);
    if (code == ERR_OK) {
        pthread_mutex_lock(&load->lock);
        code = chunk_place_locked(load, chunk.number, &request, &work, &err);
        next_chunk = load->next_chunk;
        pthread_mutex_unlock(&load->lock);
    }
    if (code != ERR_OK) {
        request_reply_error(request, &err);
    } else if (work) {
        if (!chunks_work(load, request))
            parked_refuse(load);
    } else if (request != NULL) {
        reply_next(request, next_chunk);
    }
}

/* ---- commit ---- */

static void reply_outcome(struct request *request, enum operator_state state,
                          const struct outcome *outcome)
{
    BYTES_CLEANUP struct bytes header = {0};
    struct bytes body = {0};
    const struct operator_load_outcome m = {
        .state = state,
        .rows = outcome->rows,
        .bytes = outcome->bytes,
        .partitions = outcome->partitions,
        .version = outcome->version,
    };
    operator_load_outcome_encode(&m, &header);
    request_reply_bytes(request, bytes_span(&header), &body);
}

/* What a commit request meets. */
struct commit_place {
    bool work; /* the caller commits */
    bool done; /* committed already */
    struct outcome outcome;
    struct request *displaced; /* an older one that waited */
};

static enum err_code commit_place_locked(struct load_run *load,
                                         const struct operator_load_commit *commit,
                                         struct request *request, struct commit_place *ret_place,
                                         struct err *err)
{
    load->used_ms = loop_now_ms();
    if (load->failure.code != ERR_OK)
        return err_set(err, load->failure.code, "%s", load->failure.message);
    if (load->committed) {
        ret_place->done = true;
        ret_place->outcome = load->outcome;
        return ERR_OK;
    }
    if (load->ended && !load->committing)
        return err_set(err, ERR_NOT_FOUND, "the load has ended");
    if (commit->chunks != load->next_chunk || (load->busy && !load->committing))
        return err_set(err, ERR_PARAMETER, "%" PRIu64 " chunks of %" PRIu64 " have arrived",
                       load->next_chunk, commit->chunks);
    ret_place->work = !load->committing;
    ret_place->displaced = load->committer;
    load->ended = load->committing = load->busy = true;
    load->committer = request;
    load->committer_due_ms = loop_now_ms() + commit->wait_ms;
    return ERR_OK;
}

static void commit_run(struct load_run *load)
{
    struct err err = {0};
    struct outcome outcome = {0};
    const struct load_rows_commit commit = {
        .principal = &load->principal,
        .id = load->id,
        .content = load->content,
    };
    enum err_code code = load_rows_commit(load->rows, &commit, &outcome, &err);
    pthread_mutex_lock(&load->lock);
    struct request *request = load->committer;
    load->committer = NULL;
    load->busy = false;
    load->committed = code == ERR_OK;
    load->outcome = outcome;
    load->failure = err;
    pthread_mutex_unlock(&load->lock);
    load_run_forget(load);
    if (request != NULL && code == ERR_OK)
        reply_outcome(request, OPERATOR_DONE, &outcome);
    else if (request != NULL)
        request_reply_error(request, &err);
}

/* The load is not here: committed, or never begun. Only its id is known then. */
static enum err_code commit_replay(struct loads *loads, const struct principal *principal,
                                   const struct statement_id *id, struct outcome *ret_outcome,
                                   struct err *err)
{
    bool found;
    TRY(outcome_lookup(loads, principal, id, NULL, ret_outcome, &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND,
                       "no such load; one ends with the node that it was begun at, and after %d "
                       "minutes of silence: begin it again",
                       LOAD_IDLE_MS / 60000);
    return ERR_OK;
}

/* Finds where the request belongs: a load here, or the outcome of one that was. */
static enum err_code commit_find(struct loads *loads, const struct principal *principal,
                                 struct request *request, struct load_run **ret_load,
                                 struct commit_place *place, struct err *err)
{
    struct operator_load_commit commit;
    TRY(operator_load_commit_decode(request_header(request), &commit, err));
    struct load_run *load = load_run_find(loads, principal, &commit.id);
    *ret_load = load;
    if (load == NULL) {
        place->done = true;
        return commit_replay(loads, principal, &commit.id, &place->outcome, err);
    }
    pthread_mutex_lock(&load->lock);
    enum err_code code = commit_place_locked(load, &commit, request, place, err);
    pthread_mutex_unlock(&load->lock);
    return code;
}

void loads_commit(struct loads *loads, const struct principal *principal, struct request *request)
{
    struct err err = {0};
    struct commit_place place = {0};
    LOAD_RUN_CLEANUP struct load_run *load = NULL;
    if (commit_find(loads, principal, request, &load, &place, &err) != ERR_OK)
        request_reply_error(request, &err);
    else if (place.done)
        reply_outcome(request, OPERATOR_DONE, &place.outcome);
    if (place.displaced != NULL)
        reply_outcome(place.displaced, OPERATOR_RUNNING, &(struct outcome){0});
    if (place.work)
        commit_run(load);
}

/* ---- the end of a load without commit ---- */

/* One that is being committed ends with its commit, which answers who waits and forgets it: until then whoever
 * asks finds it. */
static void load_run_drop(struct load_run *load)
{
    pthread_mutex_lock(&load->lock);
    bool committing = load->committing;
    load->ended = true;
    pthread_mutex_unlock(&load->lock);
    parked_refuse(load);
    if (!committing)
        load_run_forget(load);
}

void loads_abort(struct loads *loads, const struct principal *principal,
                 const struct statement_id *id)
{
    LOAD_RUN_CLEANUP struct load_run *load = load_run_find(loads, principal, id);
    if (load != NULL)
        load_run_drop(load);
}

/* ---- the tick ---- */

static void load_run_tick(struct load_run *load, uint64_t now_ms)
{
    pthread_mutex_lock(&load->lock);
    struct request *expired = NULL;
    if (load->committer != NULL && now_ms >= load->committer_due_ms) {
        expired = load->committer;
        load->committer = NULL;
    }
    uint64_t patience_ms = load->failure.code == ERR_OK ? LOAD_IDLE_MS : CURSOR_IDLE_MS;
    bool idle = !load->busy && now_ms >= load->used_ms + patience_ms;
    pthread_mutex_unlock(&load->lock);
    if (expired != NULL)
        reply_outcome(expired, OPERATOR_RUNNING, &(struct outcome){0});
    if (idle)
        load_run_drop(load);
}

/* References to all loads, in an array that the caller frees. */
static struct load_run **loads_all(struct loads *loads, size_t *ret_count)
{
    pthread_mutex_lock(&loads->lock);
    struct load_run **all = mem_calloc(loads->count + 1, sizeof(struct load_run *));
    size_t count = 0;
    for (struct load_run *load = loads->first; load != NULL; load = load->next) {
        load->references++;
        all[count++] = load;
    }
    pthread_mutex_unlock(&loads->lock);
    *ret_count = count;
    return all;
}

static void on_tick(void *argument)
{
    struct loads *loads = argument;
    size_t count;
    struct load_run **all = loads_all(loads, &count);
    for (size_t i = 0; i < count; i++) {
        load_run_tick(all[i], loop_now_ms());
        load_run_unref(all[i]);
    }
    mem_free(all);
    loop_timer_start(loads->loop, &loads->tick, LOADS_TICK_MS);
}

static void tick_start(void *argument)
{
    struct loads *loads = argument;
    loads->tick = (struct loop_timer){.run = on_tick, .argument = loads};
    loop_timer_start(loads->loop, &loads->tick, LOADS_TICK_MS);
}

static void tick_cancel(void *argument)
{
    struct loads *loads = argument;
    loop_timer_cancel(loads->loop, &loads->tick);
}

/* ---- all of them ---- */

enum err_code loads_new(const struct statement_services *services, struct loop *loop,
                        struct loads **ret_loads, struct err *err)
{
    struct loads *loads = mem_calloc(1, sizeof(*loads));
    loads->services = services;
    loads->loop = loop;
    pthread_mutex_init(&loads->lock, NULL);
    if (!loop_post(loop, tick_start, loads)) {
        loads_free(loads);
        return err_set(err, ERR_BUSY, "the loop is stopping");
    }
    *ret_loads = loads;
    return ERR_OK;
}

void loads_stop(struct loads *loads)
{
    pthread_mutex_lock(&loads->lock);
    loads->stopping = true;
    pthread_mutex_unlock(&loads->lock);
    loop_call(loads->loop, tick_cancel, loads);
    size_t count;
    struct load_run **all = loads_all(loads, &count);
    for (size_t i = 0; i < count; i++) {
        load_run_drop(all[i]);
        load_run_unref(all[i]);
    }
    mem_free(all);
}

void loads_free(struct loads *loads)
{
    if (loads == NULL)
        return;
    ASSERT(loads->count == 0);
    pthread_mutex_destroy(&loads->lock);
    mem_free(loads);
}

size_t loads_count(struct loads *loads)
{
    pthread_mutex_lock(&loads->lock);
    size_t count = loads->count;
    pthread_mutex_unlock(&loads->lock);
    return count;
}
