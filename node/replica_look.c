#include "node/replica_look.h"

#include <pthread.h>

#include "node/loop.h"
#include "node/schedule/schedule_store.h"
#include "node/statement/statement.h"

#define LOOK_REST        50
#define TEXTS_BYTES_MAX  (64 * MIB(1))
#define TABLES_GATHERED  (2 * REPLICA_TABLES_MAX)
#define SCHEDULES_LOOKED 100000

struct replica_looks {
    struct store *store;
    struct workers *workers;
    atomic_bool stopped;
    pthread_mutex_t lock;
    struct replica_look *last;
    bool looking;
    uint64_t due_ms; /* loop_now_ms() */
};

/* ---- one look ---- */

struct schedule_state {
    uint64_t id;
    enum run_state last;
    uint64_t ended_ms;
};

struct looking {
    struct replica_looks *looks;
    struct replica_look *look;
    uint64_t floor_s; /* with a full list: what is not further behind is not gathered */
    bool full;
    struct schedule_state *states; /* by id, once all are there */
    size_t state_count, state_capacity;
    struct project_record project; /* of the last schedule */
};

static enum err_code no_room(struct err *err)
{
    return err_set(err, ERR_LIMIT, "there are too many names for one look");
}

static enum err_code text_keep(struct replica_look *look, struct span *text, struct err *err)
{
    *text = arena_copy(&look->texts, *text);
    return text->data != NULL ? ERR_OK : no_room(err);
}

/* ---- tables ---- */

static struct look_region *region_of(struct replica_look *look, struct span name)
{
    for (size_t i = 0; i < look->region_count; i++)
        if (span_equal(look->regions[i].name, name))
            return &look->regions[i];
    struct span kept = arena_copy(&look->texts, name);
    if (look->region_count == REPLICA_REGIONS_MAX || kept.data == NULL)
        return NULL;
    look->regions[look->region_count] = (struct look_region){.name = kept};
    return &look->regions[look->region_count++];
}

static void least_take(uint64_t *least, uint64_t time_ms) /* 0: none yet */
{
    if (*least == 0 || time_ms < *least)
        *least = time_ms;
}

static void region_add(struct replica_look *look, const struct lag *lag)
{
    struct look_region *region = region_of(look, lag->region);
    uint64_t lag_s = lag_seconds(lag);
    if (region == NULL)
        return;
    region->tables++;
    bool known = lag_is_known(lag, statement_now_ms());
    region->known_tables += known;
    if (known && lag_s > region->lag_s_max)
        region->lag_s_max = lag_s;
    if (lag->newest_ms > 0)
        least_take(&region->told_ms_least, lag->told_ms);
    if (lag->is_whole)
        least_take(&region->made_ms_least, lag->made_ms);
    if (lag->replicated_ms > region->replicated_ms)
        region->replicated_ms = lag->replicated_ms;
}

static int furthest_first(const void *one, const void *other)
{
    const struct look_table *a = one, *b = other;
    uint64_t a_s = lag_seconds(&a->lag), b_s = lag_seconds(&b->lag);
    if (a_s != b_s)
        return a_s > b_s ? -1 : 1;
    return a->lag.made_ms < b->lag.made_ms ? -1 : a->lag.made_ms > b->lag.made_ms;
}

static void tables_order(struct replica_look *look)
{
    if (look->table_count > 1)
        qsort(look->tables, look->table_count, sizeof(*look->tables), furthest_first);
}

static void tables_cut(struct looking *looking)
{
    struct replica_look *look = looking->look;
    tables_order(look);
    if (look->table_count < REPLICA_TABLES_MAX)
        return;
    look->table_count = REPLICA_TABLES_MAX;
    looking->full = true;
    looking->floor_s = lag_seconds(&look->tables[REPLICA_TABLES_MAX - 1].lag);
}

static enum err_code table_keep(struct replica_look *look, struct look_table *table,
                                struct err *err)
{
    TRY(text_keep(look, &table->project.name, err));
    TRY(text_keep(look, &table->lag.region, err));
    TRY(text_keep(look, &table->lag.project, err));
    TRY(text_keep(look, &table->lag.name, err));
    TRY(text_keep(look, &table->lag.replica, err));
    return text_keep(look, &table->lag.creator, err);
}

static struct project_record project_short(const struct project_record *project)
{
    return (struct project_record){
        .id = project->id, .owner = project->owner, .name = project->name};
}

static enum err_code lag_take(void *context, const struct project_record *project,
                              const struct lag *lag, struct err *err)
{
    struct looking *looking = context;
    struct replica_look *look = looking->look;
    region_add(look, lag);
    look->tables_total++;
    if (looking->full && lag_seconds(lag) <= looking->floor_s)
        return ERR_OK;
    struct look_table table = {.project = project_short(project), .lag = *lag};
    TRY(table_keep(look, &table, err));
    look->tables[look->table_count++] = table;
    if (look->table_count == TABLES_GATHERED)
        tables_cut(looking);
    return ERR_OK;
}

/* A table that was dropped there and made again is two: the one with the older replica is what was. */
static bool is_former(const struct replica_look *look, size_t i)
{
    const struct look_table *a = &look->tables[i];
    for (size_t k = 0; k < look->table_count; k++) {
        const struct look_table *b = &look->tables[k];
        if (k != i && a->project.id.n == b->project.id.n && span_equal(a->lag.name, b->lag.name) &&
            span_equal(a->lag.project, b->lag.project) &&
            span_equal(a->lag.region, b->lag.region) &&
            (a->lag.made_ms < b->lag.made_ms || (a->lag.made_ms == b->lag.made_ms && k < i)))
            return true;
    }
    return false;
}

static void formers_drop(struct replica_look *look)
{
    bool former[TABLES_GATHERED];
    size_t kept = 0;
    for (size_t i = 0; i < look->table_count; i++)
        former[i] = is_former(look, i);
    for (size_t i = 0; i < look->table_count; i++)
        if (!former[i])
            look->tables[kept++] = look->tables[i];
    look->table_count = kept;
}

static enum err_code tables_look(struct looking *looking, struct err *err)
{
    const struct lag_ask ask = {
        .store = looking->looks->store,
        .cancel = &looking->looks->stopped,
        .callback = lag_take,
        .context = looking,
    };
    enum err_code code = lag_each(&ask, err);
    formers_drop(looking->look);
    tables_cut(looking);
    return code;
}

/* ---- schedules ---- */

static enum err_code schedule_keep(struct looking *looking, struct project_id project,
                                   const struct schedule *schedule, struct err *err)
{
    struct replica_look *look = looking->look;
    if (looking->project.id.n != project.n) {
        ARENA_CLEANUP struct arena arena;
        struct project_record record;
        arena_init(&arena, CATALOG_ARENA_BYTES);
        enum err_code code =
            project_get(looking->looks->store, NULL, project, &arena, &record, err);
        if (code != ERR_OK)
            return code == ERR_NOT_FOUND ? ERR_OK : code; /* dropped meanwhile */
        TRY(text_keep(look, &record.name, err));
        looking->project = project_short(&record);
    }
    struct look_schedule kept = {.project = looking->project,
                                 .name = schedule->name,
                                 .creator = schedule->creator,
                                 .id = schedule->id,
                                 .creator_id = schedule->creator_id};
    TRY(text_keep(look, &kept.name, err));
    TRY(text_keep(look, &kept.creator, err));
    look->schedules[look->schedule_count++] = kept;
    return ERR_OK;
}

static enum err_code schedule_take(void *context, struct project_id project,
                                   const struct schedule *schedule, struct err *err)
{
    struct looking *looking = context;
    if (atomic_load(&looking->looks->stopped))
        return err_set(err, ERR_CANCELLED, "the node stops");
    if (looking->state_count == SCHEDULES_LOOKED)
        return err_set(err, ERR_LIMIT, "there are more than %d schedules", SCHEDULES_LOOKED);
    if (looking->state_count == looking->state_capacity) {
        looking->state_capacity = looking->state_capacity == 0 ? 64 : 2 * looking->state_capacity;
        looking->states =
            mem_realloc(looking->states, looking->state_capacity, sizeof(*looking->states));
    }
    looking->states[looking->state_count++] =
        (struct schedule_state){.id = schedule->id, .last = RUN_QUEUED};
    looking->look->schedules_paused += schedule->paused;
    if (looking->look->schedule_count == SCHEDULES_NAMED_MAX)
        return ERR_OK;
    return schedule_keep(looking, project, schedule, err);
}

static int id_order(const void *one, const void *other)
{
    const struct schedule_state *a = one, *b = other;
    return a->id < b->id ? -1 : a->id > b->id;
}

static struct schedule_state *state_find(const struct looking *looking, uint64_t id)
{
    const struct schedule_state key = {.id = id};
    return looking->state_count == 0
               ? NULL
               : bsearch(&key, looking->states, looking->state_count, sizeof(key), id_order);
}

static enum err_code run_take(void *context, uint64_t id, const struct schedule_run *run,
                              struct err *err)
{
    struct looking *looking = context;
    struct schedule_state *state = state_find(looking, id);
    if (atomic_load(&looking->looks->stopped))
        return err_set(err, ERR_CANCELLED, "the node stops");
    if (state != NULL && run->ended_ms >= state->ended_ms) {
        state->last = run->state;
        state->ended_ms = run->ended_ms;
    }
    return ERR_OK;
}

static enum err_code schedules_look(struct looking *looking, struct err *err)
{
    struct replica_look *look = looking->look;
    struct store *store = looking->looks->store;
    size_t damaged;
    TRY(schedule_each(store, (struct project_id){0}, schedule_take, looking, &damaged, err));
    if (looking->state_count > 1)
        qsort(looking->states, looking->state_count, sizeof(*looking->states), id_order);
    TRY(schedule_run_each(store, 0, true, run_take, looking, err));
    for (size_t i = 0; i < looking->state_count; i++)
        look->schedules_by_last[looking->states[i].last]++;
    for (size_t i = 0; i < look->schedule_count; i++) {
        const struct schedule_state *state = state_find(looking, look->schedules[i].id);
        look->schedules[i].last = state->last;
        look->schedules[i].ended_ms = state->ended_ms;
    }
    return ERR_OK;
}

/* ---- publishing ---- */

static struct replica_look *look_new(void)
{
    struct replica_look *look = mem_calloc(1, sizeof(*look));
    look->refs = 1;
    look->regions = mem_calloc(REPLICA_REGIONS_MAX, sizeof(*look->regions));
    look->tables = mem_calloc(TABLES_GATHERED, sizeof(*look->tables));
    look->schedules = mem_calloc(SCHEDULES_NAMED_MAX, sizeof(*look->schedules));
    arena_init(&look->texts, TEXTS_BYTES_MAX);
    return look;
}

static void look_free(struct replica_look *look)
{
    mem_free(look->regions);
    mem_free(look->tables);
    mem_free(look->schedules);
    arena_deinit(&look->texts);
    mem_free(look);
}

void replica_look_give(struct replica_looks *looks, struct replica_look *look)
{
    if (look == NULL)
        return;
    pthread_mutex_lock(&looks->lock);
    bool goes = --look->refs == 0;
    pthread_mutex_unlock(&looks->lock);
    if (goes)
        look_free(look);
}

struct replica_look *replica_look_take(struct replica_looks *looks)
{
    pthread_mutex_lock(&looks->lock);
    struct replica_look *look = looks->last;
    if (look != NULL)
        look->refs++;
    pthread_mutex_unlock(&looks->lock);
    return look;
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* What cannot be read is left out, and the look says so. */
static void look_fill(struct looking *looking)
{
    struct replica_look *look = looking->look;
    struct err err;
    if (store_disk_get(looking->looks->store, &look->disk, &err) != ERR_OK)
        look->err = err;
    if (tables_look(looking, &err) != ERR_OK)
        look->err = err;
    if (schedules_look(looking, &err) != ERR_OK)
        look->err = err;
    mem_free(looking->states);
}

static void look_on_worker(void *argument)
{
    struct replica_looks *looks = argument;
    uint64_t begun_us = now_us();
    struct looking looking = {.looks = looks, .look = look_new()};
    if (!atomic_load(&looks->stopped))
        look_fill(&looking);
    looking.look->taken_ms = statement_now_ms();
    looking.look->took_us = now_us() - begun_us;
    uint64_t rest_ms = LOOK_REST * looking.look->took_us / 1000;
    pthread_mutex_lock(&looks->lock);
    struct replica_look *former = looks->last;
    looks->last = looking.look;
    looks->looking = false;
    looks->due_ms =
        loop_now_ms() + (rest_ms > REPLICA_LOOK_EVERY_MS ? rest_ms : REPLICA_LOOK_EVERY_MS);
    pthread_mutex_unlock(&looks->lock);
    replica_look_give(looks, former);
}

void replica_look_ask(struct replica_looks *looks)
{
    pthread_mutex_lock(&looks->lock);
    bool begins = !looks->looking && loop_now_ms() >= looks->due_ms && !looks->stopped;
    looks->looking = looks->looking || begins;
    pthread_mutex_unlock(&looks->lock);
    if (!begins || workers_post(looks->workers, look_on_worker, looks, NULL) == ERR_OK)
        return;
    pthread_mutex_lock(&looks->lock);
    looks->looking = false; /* the mailbox is full: the next scrape asks again */
    pthread_mutex_unlock(&looks->lock);
}

/* ---- open, free ---- */

struct replica_looks *replica_looks_new(struct store *store, struct workers *workers)
{
    struct replica_looks *looks = mem_calloc(1, sizeof(*looks));
    looks->store = store;
    looks->workers = workers;
    pthread_mutex_init(&looks->lock, NULL);
    return looks;
}

void replica_looks_stop(struct replica_looks *looks)
{
    if (looks != NULL)
        atomic_store(&looks->stopped, true);
}

void replica_looks_free(struct replica_looks *looks)
{
    if (looks == NULL)
        return;
    replica_look_give(looks, looks->last);
    pthread_mutex_destroy(&looks->lock);
    mem_free(looks);
}
