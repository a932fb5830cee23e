/* CREATE TABLE t CLONE base [IN REGION 'r'] TIMESTAMP AS OF '...': a table of the newest whole snapshot of a
 * base table that was made, as its maker dates it, at the time or before. Which one it was is said in the
 * answer and in the audit log.
 *
 *     snapshots of the projects that are meant ─► claims of the base ─► Select? ─► the newest ─► table_clone
 *
 * What the principal may not read is passed over as if it were not there. Which region a snapshot is of is its
 * maker's word, so those whose key is that region's come first: no other node puts its own in their place. */
#include <time.h>

#include "node/sql/lexer.h"
#include "node/statement/new_table.h"
#include "store/damage.h"

#define PROJECTS_MAX   3           /* the new table's, the current one, the one that base names */
#define CLOCK_SLACK_MS (60 * 1000) /* clocks that differ by less are not told of */
#define NOTICE_BYTES   640
#define TIME_BYTES     32
#define SPAN_BYTES     48
#define DAMAGED_MAX    64 /* snapshots of a base that are passed over; more: damage is the error */

/* ---- what is looked for, and what is found ---- */

struct base {
    struct span project, table; /* as they are called there */
    struct span region;         /* empty: any */
    bool is_local;              /* a table of this region: what was its under another name, too */
    struct table_id id;         /* is_local: the table that has the name now; 0: none */
    uint64_t as_of_ms;
};

struct candidate {
    struct table_id id;  /* 0: none */
    size_t project;      /* of recovery's */
    uint64_t created_ms; /* as its maker says */
    uint64_t here_ms;    /* by this node's clock */
    uint64_t expires_ms; /* 0: never, or not while it is held */
    bool is_replica;
    char name[LIMIT_NAME_BYTES + 1];
    char region[LIMIT_REGION_BYTES + 1];
};

/* The snapshots of the base whose maker has the key of the region that it says (proven), or not. */
struct group {
    struct candidate newest; /* not later than the time, and not damaged */
    struct candidate oldest;
    struct candidate other; /* of another region than the oldest */
    struct candidate
        ahead; /* dated later than the time, and here before it: that clock was ahead */
};

struct recovery {
    const struct statement_call *call;
    struct base base;
    struct project_record projects[PROJECTS_MAX];
    size_t project_count;
    size_t project;     /* being looked through */
    struct arena arena; /* of the snapshot being looked at */
    struct table_id damaged[DAMAGED_MAX];
    size_t damaged_count;
    size_t unread_count; /* records that cannot be read, of whichever base; for who may List */
    struct group proven, unproven;
    const struct group *taken; /* the one of the two whose newest it is */
    struct candidate denied;   /* may be seen, and not be read */
};

static bool is_one(const struct candidate *candidate)
{
    return candidate->id.n != 0;
}

/* A region is its maker's word: nothing of it moves a screen, or is cut in the middle. */
static void text_copy(char *to, size_t to_bytes, struct span text)
{
    snprintf(to, to_bytes, "%.*s", SPAN_PRINTF(text));
    for (; *to != '\0'; to++)
        if (*to < ' ' || *to > '~')
            *to = '?';
}

static struct candidate candidate_of(const struct recovery *recovery,
                                     const struct snapshot_record *snapshot,
                                     const struct snapshot_claim *claim)
{
    struct candidate candidate = {
        .id = snapshot->id,
        .project = recovery->project,
        .created_ms = claim->created_ms,
        .here_ms = snapshot->created_ms,
        .expires_ms = snapshot->hold.by.len > 0 ? 0 : snapshot->expires_ms,
        .is_replica = snapshot->is_replica,
    };
    text_copy(candidate.name, sizeof(candidate.name), snapshot->name);
    text_copy(candidate.region, sizeof(candidate.region), claim->region);
    return candidate;
}

/* Of two of one moment the one that came last. */
static bool is_newer(const struct candidate *a, const struct candidate *b)
{
    return a->created_ms != b->created_ms ? a->created_ms > b->created_ms : a->id.n > b->id.n;
}

static bool is_damaged(const struct recovery *recovery, struct table_id id)
{
    for (size_t i = 0; i < recovery->damaged_count; i++)
        if (recovery->damaged[i].n == id.n)
            return true;
    return false;
}

/* ---- the search ---- */

static bool is_of_base(const struct recovery *recovery, const struct snapshot_record *snapshot,
                       const struct snapshot_claim *claim)
{
    const struct base *base = &recovery->base;
    bool named = name_equal(claim->project, base->project) &&
                 name_equal(claim->base_table_name, base->table);
    bool numbered = base->is_local && !snapshot->is_replica && claim->base_table.n == base->id.n;
    return (named || numbered) &&
           (base->region.len == 0 || span_equal(claim->region, base->region));
}

static void candidate_take(struct recovery *recovery, struct group *group,
                           const struct candidate *candidate)
{
    if (!is_one(&group->oldest))
        group->oldest = *candidate;
    if (strcmp(candidate->region, group->oldest.region) != 0)
        group->other = *candidate;
    else if (is_newer(&group->oldest, candidate))
        group->oldest = *candidate;
    uint64_t as_of_ms = recovery->base.as_of_ms;
    bool in_time = candidate->created_ms <= as_of_ms;
    if (in_time && !is_damaged(recovery, candidate->id) &&
        (!is_one(&group->newest) || is_newer(candidate, &group->newest)))
        group->newest = *candidate;
    if (!in_time && candidate->is_replica && candidate->here_ms <= as_of_ms &&
        candidate->created_ms > candidate->here_ms + CLOCK_SLACK_MS)
        group->ahead = *candidate;
}

/* Has its maker the key of the region that it says? */
static bool is_proven(const struct statement_services *services,
                      const struct snapshot_record *snapshot, struct span region)
{
    if (!snapshot->is_replica)
        return true; /* made here */
    if (span_equal(region, span_text(services->region)))
        return services->peers == NULL
                   ? identity_key_equal(&snapshot->maker,
                                        &identity_public(services->identity)->sign)
                   : peers_key_is_own(services->peers, &snapshot->maker);
    const struct peer *peer =
        services->peers == NULL ? NULL : peers_find_region(services->peers, region);
    if (peer == NULL)
        return false;
    const struct public_identity keys = peer_keys(peer);
    return identity_key_equal(&snapshot->maker, &keys.sign) ||
           peer_key_is_former(peer, &snapshot->maker);
}

static enum err_code snapshot_look(void *context, struct name_target target, struct err *err)
{
    struct recovery *recovery = context;
    struct store *store = recovery->call->services->store;
    struct snapshot_record snapshot;
    struct snapshot_claim claim;
    struct err reason;
    if (target.kind != NAME_SNAPSHOT)
        return ERR_OK;
    arena_reset(&recovery->arena);
    enum err_code code = snapshot_get(store, NULL, target.id, &recovery->arena, &snapshot, &reason);
    if (code == ERR_TABLE_NOT_FOUND || code == ERR_NOT_FOUND) /* dropped meanwhile */
        return ERR_OK;
    if (code == ERR_OK)
        code = snapshot_claim_decode(snapshot.claim, &recovery->arena, &claim, &reason);
    if (code == ERR_BAD_DATA || code == ERR_CORRUPT) { /* the others are there all the same */
        const struct project_record *project = &recovery->projects[recovery->project];
        struct object any = object_absent(store, project, recovery->base.table);
        recovery->unread_count += object_seen(recovery->call->principal, any);
        return ERR_OK;
    }
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    if (!is_of_base(recovery, &snapshot, &claim))
        return ERR_OK;
    const struct candidate candidate = candidate_of(recovery, &snapshot, &claim);
    struct object object =
        object_snapshot(store, &recovery->projects[recovery->project], &snapshot);
    if (authorise(recovery->call->principal, ACTION_SELECT, object, NULL) == ERR_OK)
        candidate_take(recovery,
                       is_proven(recovery->call->services, &snapshot, claim.region)
                           ? &recovery->proven
                           : &recovery->unproven,
                       &candidate);
    else if (object_seen(recovery->call->principal, object))
        recovery->denied = candidate;
    return ERR_OK;
}

static enum err_code search(struct recovery *recovery, struct err *err)
{
    recovery->proven = recovery->unproven = (struct group){0};
    recovery->denied = (struct candidate){0};
    recovery->unread_count = 0;
    for (size_t i = 0; i < recovery->project_count; i++) {
        recovery->project = i;
        TRY(name_each(recovery->call->services->store, NULL, recovery->projects[i].id,
                      snapshot_look, recovery, err));
    }
    return ERR_OK;
}

/* Whole is what nothing is known to be missing of. *ret_whole false: it is passed over from now on. */
static enum err_code whole_ask(struct recovery *recovery, bool *ret_whole, struct err *err)
{
    struct store *store = recovery->call->services->store;
    struct snapshot_record snapshot;
    bool damaged = false;
    arena_reset(&recovery->arena);
    struct err reason;
    if (snapshot_get(store, NULL, recovery->taken->newest.id, &recovery->arena, &snapshot,
                     &reason) != ERR_OK)
        return err_set(err, ERR_CONFLICT, "%s", reason.message); /* dropped meanwhile: again */
    TRY(damage_of_version(store, &snapshot.version, &damaged, err));
    *ret_whole = !damaged;
    if (!damaged)
        return ERR_OK;
    if (recovery->damaged_count == DAMAGED_MAX)
        return err_set(
            err, ERR_CORRUPT,
            "%d snapshots of %.*s.%.*s are damaged, %s the oldest of them; SCRUB SNAPSHOT "
            "brings back what another region has",
            DAMAGED_MAX, SPAN_PRINTF(recovery->base.project), SPAN_PRINTF(recovery->base.table),
            recovery->taken->newest.name);
    recovery->damaged[recovery->damaged_count++] = recovery->taken->newest.id;
    return ERR_OK;
}

/* ---- words ---- */

static const char *time_words(uint64_t time_ms, char words[TIME_BYTES])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    words[0] = '\0';
    if (gmtime_r(&seconds, &tm) == NULL)
        return words;
    size_t len = strftime(words, TIME_BYTES, "%Y-%m-%d %H:%M:%S", &tm);
    if (time_ms % 1000 != 0)
        snprintf(words + len, TIME_BYTES - len, ".%03u", (unsigned)(time_ms % 1000));
    return words;
}

/* "2 d 3 h 4 min 5 s", the two largest parts; "no time". */
static const char *distance_words(uint64_t distance_ms, char words[SPAN_BYTES])
{
    static const struct {
        const char *name;
        uint64_t ms;
    } parts[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};
    size_t len = 0, said = 0;
    snprintf(words, SPAN_BYTES, "no time");
    for (size_t i = 0; i < ARRAY_COUNT(parts) && said < 2; i++) {
        uint64_t count = distance_ms / parts[i].ms;
        distance_ms %= parts[i].ms;
        if (count == 0 && said == 0)
            continue;
        said++;
        if (count > 0)
            len += (size_t)snprintf(words + len, SPAN_BYTES - len, "%s%" PRIu64 " %s",
                                    len > 0 ? " " : "", count, parts[i].name);
    }
    return words;
}

/* A snapshot that was left out because of the time that its source gave it. */
static size_t ahead_words(const struct candidate *ahead, char *words, size_t words_bytes)
{
    char created[TIME_BYTES], here[TIME_BYTES];
    if (!is_one(ahead))
        return 0;
    int len = snprintf(words, words_bytes,
                       "; %s was here by %s and is left out, because its source dates it %s: that "
                       "clock was ahead",
                       ahead->name, time_words(ahead->here_ms, here),
                       time_words(ahead->created_ms, created));
    return len < 0 ? 0 : (size_t)len < words_bytes ? (size_t)len : words_bytes - 1;
}

static void notice_words(const struct recovery *recovery, char words[NOTICE_BYTES])
{
    const struct candidate *taken = &recovery->taken->newest;
    const struct project_record *project = &recovery->projects[taken->project];
    char created[TIME_BYTES], distance[SPAN_BYTES], end[TIME_BYTES];
    int len = snprintf(words, NOTICE_BYTES,
                       "taken from %.*s.%s, made in %s at %s (UTC), %s before the time asked for",
                       SPAN_PRINTF(project->name), taken->name, taken->region,
                       time_words(taken->created_ms, created),
                       distance_words(recovery->base.as_of_ms - taken->created_ms, distance));
    size_t used = (size_t)len;
    if (taken->expires_ms != 0 && taken->expires_ms <= statement_now_ms() && used < NOTICE_BYTES)
        used += (size_t)snprintf(words + used, NOTICE_BYTES - used,
                                 "; it expired at %s and may go any time",
                                 time_words(taken->expires_ms, end));
    if (recovery->damaged_count > 0 && used < NOTICE_BYTES)
        used += (size_t)snprintf(words + used, NOTICE_BYTES - used,
                                 "; %zu newer ones are damaged and were passed over",
                                 recovery->damaged_count);
    if (recovery->unread_count > 0 && used < NOTICE_BYTES)
        used +=
            (size_t)snprintf(words + used, NOTICE_BYTES - used,
                             "; %zu records of snapshots cannot be read", recovery->unread_count);
    if (recovery->taken == &recovery->unproven && used < NOTICE_BYTES)
        used += (size_t)snprintf(words + used, NOTICE_BYTES - used,
                                 "; its maker's key is not the one of region %s", taken->region);
    if (used < NOTICE_BYTES)
        (void)ahead_words(&recovery->taken->ahead, words + used, NOTICE_BYTES - used);
}

/* ---- what is wrong ---- */

static enum err_code regions_differ(const struct recovery *recovery, const char *one,
                                    const char *other, struct err *err)
{
    return err_set(
        err, ERR_SEMANTIC,
        "%.*s.%.*s is the base of snapshots from regions %s and %s: write IN REGION '%s' "
        "or IN REGION '%s' before TIMESTAMP AS OF",
        SPAN_PRINTF(recovery->base.project), SPAN_PRINTF(recovery->base.table), one, other, one,
        other);
}

/* Who may not see all that there may be is told what they would be told of one that they may not read. */
static enum err_code none_found(const struct recovery *recovery, struct err *err)
{
    const struct statement_call *call = recovery->call;
    const struct base *base = &recovery->base;
    for (size_t i = 0; i < recovery->project_count; i++) {
        const struct project_record *project = &recovery->projects[i];
        struct object absent = object_absent(call->services->store, project, base->table);
        absent.project = base->project; /* as it was written */
        bool told = is_one(&recovery->denied) && recovery->denied.project == i;
        if (told || !object_seen(call->principal, absent))
            TRY(statement_noted(call, authorise(call->principal, ACTION_SELECT, absent, err),
                                project, base->table));
    }
    return err_set(err, ERR_NOT_FOUND,
                   "no snapshot here is of table %.*s.%.*s%s%.*s; SHOW SNAPSHOT TABLES lists base "
                   "tables and regions%s",
                   SPAN_PRINTF(base->project), SPAN_PRINTF(base->table),
                   base->region.len > 0 ? " of region " : "", SPAN_PRINTF(base->region),
                   base->is_local ? "; of another region's table write project.table or IN REGION"
                                  : "");
}

static enum err_code none_in_time(const struct recovery *recovery, struct err *err)
{
    const struct group *group =
        is_one(&recovery->proven.oldest) ? &recovery->proven : &recovery->unproven;
    const struct candidate *oldest = &group->oldest;
    char as_of[TIME_BYTES], created[TIME_BYTES], ahead[200] = "";
    (void)ahead_words(&group->ahead, ahead, sizeof(ahead));
    if (recovery->damaged_count > 0)
        return err_set(err, ERR_CORRUPT,
                       "all %zu snapshots of %.*s.%.*s of that time are damaged: SCRUB SNAPSHOT %s "
                       "brings back what another region has",
                       recovery->damaged_count, SPAN_PRINTF(recovery->base.project),
                       SPAN_PRINTF(recovery->base.table), oldest->name);
    return err_set(err, ERR_NOT_FOUND,
                   "no snapshot of %.*s.%.*s was made by %s (UTC); the oldest one, %s, was made at "
                   "%s%s",
                   SPAN_PRINTF(recovery->base.project), SPAN_PRINTF(recovery->base.table),
                   time_words(recovery->base.as_of_ms, as_of), oldest->name,
                   time_words(oldest->created_ms, created), ahead);
}

/* ---- the statement ---- */

static enum err_code time_parse(const struct literal *literal, uint64_t *ret_time_ms,
                                struct err *err)
{
    struct value value;
    if (literal_value(literal, (struct type){.kind = TYPE_DATETIME}, &value, NULL) != ERR_OK ||
        value.null)
        return err_set(err, ERR_SEMANTIC,
                       "TIMESTAMP AS OF: write a time like '2026-01-01 00:00:00' (UTC)");
    *ret_time_ms = value.i64 > 0 ? (uint64_t)value.i64 : 0;
    return ERR_OK;
}

static void project_add(struct recovery *recovery, const struct project_record *project)
{
    for (size_t i = 0; i < recovery->project_count; i++)
        if (recovery->projects[i].id.n == project->id.n)
            return;
    recovery->projects[recovery->project_count++] = *project;
}

/* One that the principal is no user of has nothing for it, and is as if it were not there. */
static enum err_code project_add_named(struct recovery *recovery, struct span name, struct err *err)
{
    const struct statement_call *call = recovery->call;
    struct project_record project;
    struct err reason;
    if (name.len == 0)
        return ERR_OK;
    enum err_code code =
        project_find(call->services->store, NULL, name, call->arena, &project, &reason);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return err_set(err, code, "%s", reason.message);
    if (code == ERR_OK &&
        authorise(call->principal, ACTION_ENTER, object_project(call->services->store, &project),
                  NULL) == ERR_OK)
        project_add(recovery, &project);
    return ERR_OK;
}

/* base alone: a table of this region's current project. project.base: of any region. */
static enum err_code base_set(struct recovery *recovery, const struct restore_table *restore,
                              struct err *err)
{
    const struct statement_call *call = recovery->call;
    struct base *base = &recovery->base;
    const struct name *name = &restore->source;
    struct span here = span_text(call->services->region);
    if (name->system)
        return err_set(err, ERR_SEMANTIC, "a view has no snapshots");
    base->table = name->object;
    base->project = name->project.len > 0 ? name->project : call->project;
    if (base->project.len == 0)
        return err_set(err, ERR_SEMANTIC,
                       "no project is chosen: write project.%.*s, or USE project first",
                       SPAN_PRINTF(base->table));
    base->region = restore->region;
    if (name->project.len == 0 && base->region.len == 0)
        base->region = here;
    base->is_local = span_equal(base->region, here);
    TRY(time_parse(&restore->time, &base->as_of_ms, err));
    struct project_record project;
    struct name_target target;
    struct store *store = call->services->store;
    if (base->is_local &&
        project_find(store, NULL, base->project, call->arena, &project, NULL) == ERR_OK &&
        name_find(store, NULL, project.id, base->table, &target, NULL) == ERR_OK &&
        target.kind == NAME_TABLE)
        base->id = target.id;
    return ERR_OK;
}

/* Sets recovery->taken, whose newest there is then. */
static enum err_code group_choose(struct recovery *recovery, struct err *err)
{
    const struct group *proven = &recovery->proven, *unproven = &recovery->unproven;
    if (!is_one(&proven->oldest) && !is_one(&unproven->oldest))
        return none_found(recovery, err);
    if (is_one(&proven->other))
        return regions_differ(recovery, proven->oldest.region, proven->other.region, err);
    recovery->taken = is_one(&proven->newest) ? proven : unproven;
    if (recovery->taken == proven)
        return ERR_OK;
    if (is_one(&unproven->other))
        return regions_differ(recovery, unproven->oldest.region, unproven->other.region, err);
    if (is_one(&unproven->oldest) && is_one(&proven->oldest) &&
        strcmp(unproven->oldest.region, proven->oldest.region) != 0)
        return regions_differ(recovery, proven->oldest.region, unproven->oldest.region, err);
    return is_one(&unproven->newest) ? ERR_OK : none_in_time(recovery, err);
}

static enum err_code newest_find(struct recovery *recovery, struct err *err)
{
    bool whole = false;
    while (!whole) {
        TRY(search(recovery, err));
        TRY(group_choose(recovery, err));
        TRY(whole_ask(recovery, &whole, err));
    }
    return ERR_OK;
}

static void row_add(const struct recovery *recovery, struct answer *answer)
{
    static const struct answer_column columns[] = {
        {"project", TYPE_STRING, true},        {"snapshot", TYPE_STRING, true},
        {"origin_region", TYPE_STRING, true},  {"created", TYPE_DATETIME, true},
        {"seconds_before", TYPE_DOUBLE, true},
    };
    const struct candidate *taken = &recovery->taken->newest;
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    answer_add_text(answer, recovery->projects[taken->project].name);
    answer_add_text(answer, span_text(taken->name));
    answer_add_text(answer, span_text(taken->region));
    answer_add_time(answer, taken->created_ms);
    answer_add_real(answer, (double)(recovery->base.as_of_ms - taken->created_ms) / 1000.0);
}

static enum err_code recover(struct recovery *recovery, const struct new_table *new,
                             struct answer *answer, struct err *err)
{
    const struct statement_call *call = recovery->call;
    char notice[NOTICE_BYTES];
    TRY(newest_find(recovery, err));
    const struct candidate *taken = &recovery->taken->newest;
    const struct project_record *from = &recovery->projects[taken->project];
    TRY(statement_noted(call, authorise_clone(call->principal, from, &new->project, err), from,
                        recovery->base.table));
    notice_words(recovery, notice);
    const struct table_spec spec = {
        .project = new->project.id, .name = new->name, .replaces = new->replaces};
    struct change_note note = statement_note_saying(call, notice);
    struct span name;
    TRY(statement_copy(call, span_text(notice), &call->audit->record.message, err));
    TRY(statement_copy(call, span_text(taken->name), &name, err));
    call->audit->record.source = (struct audit_place){from->id, from->owner, from->name, name};
    struct table_id id;
    struct err reason;
    enum err_code code = table_clone(call->services->store, &spec, taken->id, &note, &id, &reason);
    if (code == ERR_NOT_FOUND)
        code = ERR_CONFLICT; /* it went meanwhile: the next one */
    TRY(new_table_result(new, code, &reason, err));
    row_add(recovery, answer);
    answer_set_notice(answer, "%s", notice);
    return ERR_OK;
}

enum err_code statement_recover_table(const struct statement_call *call, struct answer *answer,
                                      struct err *err)
{
    const struct restore_table *restore = &call->statement->restore_table;
    struct new_table new;
    TRY(new_table_look(call, &restore->name, restore->or_replace, restore->if_not_exists, &new,
                       err));
    if (new.taken)
        return new_table_taken(&new, err);
    struct recovery *recovery = mem_calloc(1, sizeof(*recovery));
    recovery->call = call;
    arena_init(&recovery->arena, 2 * CATALOG_ARENA_BYTES);
    enum err_code code = base_set(recovery, restore, err);
    project_add(recovery, &new.project);
    if (code == ERR_OK)
        code = project_add_named(recovery, call->project, err);
    if (code == ERR_OK)
        code = project_add_named(recovery, restore->source.project, err);
    if (code == ERR_OK)
        code = recover(recovery, &new, answer, err);
    arena_deinit(&recovery->arena);
    mem_free(recovery);
    return code;
}
