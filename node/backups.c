#include "node/backups.h"

#include <pthread.h>

#include "node/backup/manifest.h"
#include "node/principals.h"
#include "store/audit.h"
#include "store/checkpoint.h"
#include "store/damage.h"

enum state {
    STATE_NONE,
    STATE_MAKING,   /* by the thread that began it */
    STATE_READY,    /* readers may come */
    STATE_REMOVING, /* by the last one out */
};

struct backups {
    struct backups_options options;
    struct loop_timer timer; /* the loop's */
    bool stopped;            /* the loop's */
    pthread_mutex_t
        lock; /* all below; in STATE_READY checkpoint, list and told are read without it */
    enum state state;
    char principal[LIMIT_PRINCIPAL_BYTES + 1];
    struct statement_id id;
    struct checkpoint *checkpoint;
    struct bytes list;
    struct operator_backup_state told;
    size_t readers;
    bool ended;       /* nobody new may read; removed by the last reader */
    uint64_t used_ms; /* loop_now_ms of the last request */
};

/* ---- removing ---- */

/* Under the lock, which is released. True: the caller removes it. */
static bool remove_claim_unlock(struct backups *backups)
{
    bool claimed = backups->state == STATE_READY && backups->ended && backups->readers == 0;
    if (claimed)
        backups->state = STATE_REMOVING;
    pthread_mutex_unlock(&backups->lock);
    return claimed;
}

static void checkpoint_remove(struct backups *backups)
{
    checkpoint_free(backups->checkpoint);
    bytes_deinit(&backups->list);
    pthread_mutex_lock(&backups->lock);
    backups->checkpoint = NULL;
    backups->state = STATE_NONE;
    pthread_mutex_unlock(&backups->lock);
}

static bool is_idle(const struct backups *backups)
{
    return backups->state == STATE_READY && backups->readers == 0 &&
           loop_now_ms() - backups->used_ms >= backups->options.idle_ms;
}

static void idle_run(void *argument)
{
    struct backups *backups = argument;
    pthread_mutex_lock(&backups->lock);
    backups->ended = backups->ended || is_idle(backups);
    if (remove_claim_unlock(backups))
        checkpoint_remove(backups);
}

static void on_tick(void *argument)
{
    struct backups *backups = argument;
    pthread_mutex_lock(&backups->lock);
    bool idle = is_idle(backups);
    pthread_mutex_unlock(&backups->lock);
    if (idle)
        (void)!workers_post(backups->options.workers, idle_run, backups, NULL); /* else the next */
    loop_timer_start(backups->options.loop, &backups->timer, backups->options.idle_ms);
}

/* ---- life ---- */

static void tick_start(void *argument)
{
    struct backups *backups = argument;
    if (!backups->stopped)
        loop_timer_start(backups->options.loop, &backups->timer, backups->options.idle_ms);
}

static void tick_stop(void *argument)
{
    struct backups *backups = argument;
    backups->stopped = true;
    loop_timer_cancel(backups->options.loop, &backups->timer);
}

struct backups *backups_new(const struct backups_options *options)
{
    struct backups *backups = mem_calloc(1, sizeof(*backups));
    backups->options = *options;
    backups->timer = (struct loop_timer){.run = on_tick, .argument = backups};
    pthread_mutex_init(&backups->lock, NULL);
    (void)loop_post(options->loop, tick_start, backups);
    return backups;
}

void backups_stop(struct backups *backups)
{
    if (backups != NULL)
        (void)loop_call(backups->options.loop, tick_stop, backups);
}

void backups_free(struct backups *backups)
{
    if (backups == NULL)
        return;
    checkpoint_free(backups->checkpoint);
    bytes_deinit(&backups->list);
    pthread_mutex_destroy(&backups->lock);
    mem_free(backups);
}

/* ---- beginning ---- */

static bool is_its(const struct backups *backups, const char *principal,
                   const struct statement_id *id)
{
    return memcmp(backups->id.b, id->b, sizeof(id->b)) == 0 &&
           strcmp(backups->principal, principal) == 0;
}

/* True: the caller makes it. Of one that is there *ret_state is set. */
static enum err_code begin_claim(struct backups *backups, const char *principal,
                                 const struct statement_id *id, bool *ret_mine,
                                 struct operator_backup_state *ret_state, struct err *err)
{
    enum err_code code = ERR_OK;
    pthread_mutex_lock(&backups->lock);
    *ret_mine = backups->state == STATE_NONE;
    bool again = backups->state != STATE_NONE && is_its(backups, principal, id);
    if (*ret_mine) {
        backups->state = STATE_MAKING;
        backups->ended = false;
        backups->id = *id;
        snprintf(backups->principal, sizeof(backups->principal), "%s", principal);
    } else if (again && backups->state == STATE_READY && !backups->ended) {
        *ret_state = backups->told;
    } else if (again && backups->state == STATE_MAKING) {
        code = err_set(err, ERR_BUSY, "the backup is being cut");
    } else {
        code = err_set(err, ERR_LIMIT,
                       "a backup by %s is under way (a node makes one at a time); it ends with its "
                       "client, %u s after its last request at the latest",
                       backups->principal, backups->options.idle_ms / 1000);
    }
    pthread_mutex_unlock(&backups->lock);
    return code;
}

static void state_fill(struct backups *backups, uint64_t now_ms, const struct audit_head *head)
{
    struct operator_backup_state state = {
        .region = span_text(backups->options.region),
        .cut_ms = now_ms,
        .audit_count = head->count,
        .audit_head = head->head,
        .file_count = checkpoint_count(backups->checkpoint),
        .damaged = damage_count(backups->options.store),
    };
    for (size_t i = 0; i < state.file_count; i++) {
        const struct checkpoint_file *file = checkpoint_at(backups->checkpoint, i);
        backup_list_add(&backups->list, file->name, file->bytes,
                        file->is_table ? file->mark : NULL);
        state.bytes += file->bytes;
    }
    state.list_bytes = backups->list.len;
    backups->told = state;
}

static enum err_code cut(struct backups *backups, const struct audit_record *audit, struct err *err)
{
    struct store *store = backups->options.store;
    TRY(audit_commit(store, audit, err));
    struct audit_head head =
        audit_head_get(store); /* those of the moment until the cut may be in it */
    TRY(checkpoint_create(store, &backups->checkpoint, err));
    state_fill(backups, audit->time_ms, &head);
    return ERR_OK;
}

enum err_code backups_begin(struct backups *backups, const char *principal,
                            const struct statement_id *id, const struct audit_record *audit,
                            struct operator_backup_state *ret_state, struct err *err)
{
    bool mine;
    TRY(begin_claim(backups, principal, id, &mine, ret_state, err));
    if (!mine)
        return ERR_OK;
    enum err_code code = cut(backups, audit, err);
    if (code == ERR_OK)
        *ret_state = backups->told;
    pthread_mutex_lock(&backups->lock);
    backups->state = code == ERR_OK ? STATE_READY : STATE_NONE;
    backups->used_ms = loop_now_ms();
    if (remove_claim_unlock(backups)) { /* its client did not wait */
        checkpoint_remove(backups);
        return err_set(err, ERR_CANCELLED, "the backup was ended while it was cut");
    }
    return code;
}

/* ---- reading, ending ---- */

static enum err_code reader_enter(struct backups *backups, const char *principal,
                                  const struct statement_id *id, struct err *err)
{
    pthread_mutex_lock(&backups->lock);
    bool open = backups->state == STATE_READY && !backups->ended && is_its(backups, principal, id);
    if (open) {
        backups->readers++;
        backups->used_ms = loop_now_ms();
    }
    pthread_mutex_unlock(&backups->lock);
    if (open)
        return ERR_OK;
    return err_set(err, ERR_NOT_FOUND,
                   "the backup has ended at the node (it was started again, or nothing was asked "
                   "for %u s): begin again, what has arrived is not moved twice",
                   backups->options.idle_ms / 1000);
}

static void reader_leave(struct backups *backups)
{
    pthread_mutex_lock(&backups->lock);
    backups->readers--;
    backups->used_ms = loop_now_ms();
    if (remove_claim_unlock(backups))
        checkpoint_remove(backups);
}

static enum err_code part_read(const struct backups *backups,
                               const struct operator_backup_read *read, struct bytes *body,
                               struct err *err)
{
    if (read->file > checkpoint_count(backups->checkpoint))
        return err_set(err, ERR_PARAMETER, "the backup has no file %" PRIu64, read->file);
    if (read->file > 0)
        return checkpoint_read(backups->checkpoint, (size_t)read->file - 1, read->offset,
                               read->bytes, body, err);
    if (read->offset < backups->list.len) {
        size_t left = backups->list.len - (size_t)read->offset;
        bytes_append(body, backups->list.data + read->offset,
                     left < read->bytes ? left : read->bytes);
    }
    return ERR_OK;
}

enum err_code backups_read(struct backups *backups, const char *principal,
                           const struct operator_backup_read *read, struct bytes *body,
                           struct err *err)
{
    TRY(reader_enter(backups, principal, &read->id, err));
    enum err_code code = part_read(backups, read, body, err);
    reader_leave(backups);
    return code;
}

void backups_end(struct backups *backups, const char *principal, const struct statement_id *id)
{
    pthread_mutex_lock(&backups->lock);
    bool under_way = backups->state == STATE_READY || backups->state == STATE_MAKING;
    if (under_way && is_its(backups, principal, id))
        backups->ended = true;
    if (remove_claim_unlock(backups))
        checkpoint_remove(backups);
}
