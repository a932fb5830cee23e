#include "node/task/walk.h"

#define WALK_PAGE_REPLY_BYTES_MIN LIMIT_PAGE_MESSAGE_BYTES
#define WALK_BATCH_PLACE_BYTES    KIB(256) /* of one request's places, which name the keys */
#define WALK_BUCKETS_MIN          256
#define BATCH_FEW_DIVISOR         16 /* of a reply: so many bytes go along with a large file */

struct walk_limits walk_limits_default(void)
{
    return (struct walk_limits){
        .window_bytes = 32 * MIB(1),
        .batch_bytes = 4 * MIB(1),
        .batch_items = 1024,
        .requests = 16,
        .plans = 4,
        .pages_open = 4096,
        .commit_bytes = PACK_BYTES_MAX,
        .commit_pages = 1024,
        .commit_files = 8192,
        .wrong_bytes_tries = TASK_WRONG_BYTES_TRIES,
    };
}

/* ---- the table of files on their way, by digest ---- */

static size_t bucket_of(const struct walk *walk, const struct digest *digest)
{
    return load_u64(digest->b) & (walk->bucket_count - 1);
}

static void table_grow(struct walk *walk)
{
    size_t old_count = walk->bucket_count;
    struct walk_item **old = walk->buckets;
    walk->bucket_count = old_count == 0 ? WALK_BUCKETS_MIN : 2 * old_count;
    walk->buckets = mem_calloc(walk->bucket_count, sizeof(struct walk_item *));
    for (size_t i = 0; i < old_count; i++) {
        struct walk_item *item = old[i];
        while (item != NULL) {
            struct walk_item *next = item->bucket_next;
            size_t at = bucket_of(walk, &item->digest);
            item->bucket_next = walk->buckets[at];
            walk->buckets[at] = item;
            item = next;
        }
    }
    mem_free(old);
}

static struct walk_item *table_find(const struct walk *walk, const struct digest *digest)
{
    if (walk->bucket_count == 0)
        return NULL;
    struct walk_item *item = walk->buckets[bucket_of(walk, digest)];
    while (item != NULL && !digest_equal(&item->digest, digest))
        item = item->bucket_next;
    return item;
}

static void table_add(struct walk *walk, struct walk_item *item)
{
    if (walk->file_count >= walk->bucket_count)
        table_grow(walk);
    size_t at = bucket_of(walk, &item->digest);
    item->bucket_next = walk->buckets[at];
    walk->buckets[at] = item;
    walk->file_count++;
}

static void table_remove(struct walk *walk, struct walk_item *item)
{
    struct walk_item **at = &walk->buckets[bucket_of(walk, &item->digest)];
    while (*at != item)
        at = &(*at)->bucket_next;
    *at = item->bucket_next;
    walk->file_count--;
}

/* ---- items ---- */

static struct walk_item *item_new(const struct walk_need *need, struct walk_item *parent)
{
    struct walk_item *item = mem_calloc(1, sizeof(*item) + need->place.len);
    item->kind = need->kind;
    item->level = need->level;
    item->digest = need->digest;
    item->bytes = need->bytes;
    item->parent = parent;
    item->place_bytes = (uint16_t)need->place.len;
    if (need->place.len > 0)
        memcpy(item->place, need->place.data, need->place.len);
    return item;
}

static void item_free(struct walk_item *item)
{
    mem_free(item->waiters);
    mem_free(item);
}

static void items_free(struct walk_items *items)
{
    struct walk_item *item;
    while ((item = TAILQ_FIRST(items)) != NULL) {
        TAILQ_REMOVE(items, item, link);
        item_free(item);
    }
}

static void waiter_add(struct walk_item *file, struct walk_item *page)
{
    file->waiters = mem_realloc(file->waiters, file->waiter_count + 1, sizeof(struct walk_item *));
    file->waiters[file->waiter_count++] = page;
    page->waiting++;
}

/* ---- life ---- */

static void lists_init(struct walk *walk)
{
    TAILQ_INIT(&walk->pending[WALK_PAGE]);
    TAILQ_INIT(&walk->pending[WALK_FILE]);
    TAILQ_INIT(&walk->elsewhere);
    TAILQ_INIT(&walk->requests);
    for (size_t i = 0; i < ARRAY_COUNT(walk->to_plan); i++)
        TAILQ_INIT(&walk->to_plan[i]);
    TAILQ_INIT(&walk->planning);
    TAILQ_INIT(&walk->open);
    TAILQ_INIT(&walk->complete);
    TAILQ_INIT(&walk->arrived);
    TAILQ_INIT(&walk->committing);
}

void walk_init(struct walk *walk, const struct walk_limits *limits)
{
    *walk = (struct walk){.limits = *limits};
    lists_init(walk);
}

void walk_set_window(struct walk *walk, size_t window_bytes, size_t batch_bytes, size_t requests)
{
    walk->limits.window_bytes = window_bytes;
    walk->limits.batch_bytes = batch_bytes;
    walk->limits.requests = requests;
}

bool walk_wants_window(const struct walk *walk)
{
    return walk->pending_count[WALK_PAGE] > 0 || walk->pending_count[WALK_FILE] > 0;
}

size_t walk_reply_bytes(const struct walk *walk)
{
    size_t in_flight = walk->request_count[WALK_PAGE] + walk->request_count[WALK_FILE];
    return in_flight == 0 ? 0 : walk->reserved_bytes / in_flight;
}

static void requests_free(struct walk *walk)
{
    struct walk_request *request;
    while ((request = TAILQ_FIRST(&walk->requests)) != NULL) {
        TAILQ_REMOVE(&walk->requests, request, link);
        for (size_t i = 0; i < request->item_count; i++)
            item_free(request->items[i]);
        mem_free(request);
    }
}

void walk_deinit(struct walk *walk)
{
    requests_free(walk);
    items_free(&walk->pending[WALK_PAGE]);
    items_free(&walk->pending[WALK_FILE]);
    items_free(&walk->elsewhere);
    for (size_t i = 0; i < ARRAY_COUNT(walk->to_plan); i++)
        items_free(&walk->to_plan[i]);
    items_free(&walk->planning);
    items_free(&walk->open);
    items_free(&walk->complete);
    items_free(&walk->arrived);
    items_free(&walk->committing);
    mem_free(walk->buckets);
    walk->buckets = NULL;
}

void walk_reset(struct walk *walk)
{
    struct walk_limits limits = walk->limits;
    struct walk_counters counters = walk->counters;
    uint64_t generation = walk->generation + 1;
    walk_deinit(walk);
    walk_init(walk, &limits);
    walk->counters = counters;
    walk->generation = generation;
}

void walk_begin(struct walk *walk)
{
    ASSERT(!walk->begun);
    static const struct walk_need top = {.kind = WALK_PAGE, .level = LIMIT_TREE_DEPTH + 1};
    struct walk_item *item = item_new(&top, NULL);
    item->state = WALK_TO_PLAN;
    TAILQ_INSERT_HEAD(&walk->to_plan[item->level], item, link);
    walk->page_count = 1;
    walk->begun = true;
}

bool walk_done(const struct walk *walk)
{
    return walk->done;
}

/* ---- upwards: what has arrived ---- */

/* The page has nothing on its way any more: it waits for a commit, and no longer keeps its parent
 * waiting, because the commit takes it first. */
static void page_completed(struct walk *walk, struct walk_item *page)
{
    while (page != NULL && page->waiting == 0 && page->state == WALK_OPEN) {
        TAILQ_REMOVE(&walk->open, page, link);
        page->state = WALK_COMPLETE;
        TAILQ_INSERT_TAIL(&walk->complete, page, link);
        walk->complete_count++;
        page = page->parent;
        if (page != NULL)
            page->waiting--;
    }
}

static void page_released(struct walk *walk, struct walk_item *page)
{
    ASSERT(page->waiting > 0);
    page->waiting--;
    page_completed(walk, page);
}

static void file_arrived(struct walk *walk, struct walk_item *file, bool moved)
{
    file->state = WALK_COMPLETE;
    TAILQ_INSERT_TAIL(&walk->arrived, file, link);
    walk->arrived_count++;
    walk->arrived_bytes += moved ? file->bytes : 0;
    if (moved) {
        walk->counters.files_moved++;
        walk->counters.bytes_moved += file->bytes;
    } else {
        walk->counters.files_planned--;
        walk->counters.bytes_planned -= file->bytes;
    }
    page_released(walk, file->parent);
    for (size_t i = 0; i < file->waiter_count; i++)
        page_released(walk, file->waiters[i]);
    mem_free(file->waiters);
    file->waiters = NULL;
    file->waiter_count = 0;
    file->parent = NULL; /* it may be gone before this file is durable */
}

static void page_arrived(struct walk *walk, struct walk_item *page)
{
    page->state = WALK_TO_PLAN;
    TAILQ_INSERT_HEAD(&walk->to_plan[page->level], page, link);
    walk->counters.pages_moved++;
}

/* ---- downwards: plans ---- */

static bool plan_allowed(const struct walk *walk)
{
    const struct walk_limits *limits = &walk->limits;
    if (walk->planning_count >= limits->plans)
        return false;
    bool others = !TAILQ_EMPTY(&walk->requests) || walk->planning_count > 0 ||
                  walk->pending_count[WALK_PAGE] > 0 || walk->pending_count[WALK_FILE] > 0 ||
                  walk->elsewhere_count > 0;
    bool full = walk->pending_bytes + walk->elsewhere_bytes >= limits->window_bytes ||
                walk->pending_count[WALK_FILE] + walk->elsewhere_count >= LIMIT_REQUEST_ITEMS ||
                walk->page_count >= limits->pages_open;
    return !full || !others;
}

const struct walk_item *walk_plan_next(struct walk *walk, uint64_t id)
{
    if (!plan_allowed(walk))
        return NULL;
    for (size_t level = 0; level < ARRAY_COUNT(walk->to_plan); level++) {
        struct walk_item *page = TAILQ_FIRST(&walk->to_plan[level]);
        if (page == NULL)
            continue;
        TAILQ_REMOVE(&walk->to_plan[level], page, link);
        page->state = WALK_PLANNING;
        page->plan = id;
        TAILQ_INSERT_TAIL(&walk->planning, page, link);
        walk->planning_count++;
        return page;
    }
    return NULL;
}

static struct walk_item *plan_find(const struct walk *walk, uint64_t id)
{
    struct walk_item *page;
    TAILQ_FOREACH(page, &walk->planning, link)
    if (page->plan == id)
        return page;
    return NULL;
}

bool walk_plan_known(const struct walk *walk, uint64_t id)
{
    return plan_find(walk, id) != NULL;
}

static bool need_possible(const struct walk_item *page, const struct walk_need *need)
{
    if (need->place.len > WALK_PLACE_BYTES_MAX)
        return false;
    if (need->kind == WALK_PAGE)
        return need->level < page->level;
    return need->kind == WALK_FILE && !need->staged && need->bytes <= LIMIT_FILE_BYTES;
}

static void need_page(struct walk *walk, const struct walk_need *need, struct walk_item *parent)
{
    struct walk_item *page = item_new(need, parent);
    parent->waiting++;
    walk->page_count++;
    if (need->staged) {
        page->state = WALK_TO_PLAN;
        TAILQ_INSERT_HEAD(&walk->to_plan[page->level], page, link);
        return;
    }
    TAILQ_INSERT_TAIL(&walk->pending[WALK_PAGE], page, link);
    walk->pending_count[WALK_PAGE]++;
}

static void need_file(struct walk *walk, const struct walk_need *need, struct walk_item *parent)
{
    struct walk_item *known = table_find(walk, &need->digest);
    if (known != NULL) { /* invariants 3, 4: arrived is durable with this page's commit or before */
        if (known->parent != NULL)
            waiter_add(known, parent);
        return;
    }
    struct walk_item *file = item_new(need, parent);
    parent->waiting++;
    table_add(walk, file);
    TAILQ_INSERT_TAIL(&walk->pending[WALK_FILE], file, link);
    walk->pending_count[WALK_FILE]++;
    walk->pending_bytes += file->bytes;
    walk->counters.files_planned++;
    walk->counters.bytes_planned += file->bytes;
}

bool walk_planned(struct walk *walk, uint64_t id, const struct walk_plan *plan)
{
    struct walk_item *page = plan_find(walk, id);
    if (page == NULL)
        return false;
    const struct walk_need *needs = plan->needs;
    for (size_t i = 0; i < plan->need_count; i++)
        if (!need_possible(page, &needs[i]))
            return false;
    TAILQ_REMOVE(&walk->planning, page, link);
    walk->planning_count--;
    page->state = WALK_OPEN;
    TAILQ_INSERT_TAIL(&walk->open, page, link);
    for (size_t i = 0; i < plan->need_count; i++) {
        if (needs[i].kind == WALK_PAGE)
            need_page(walk, &needs[i], page);
        else
            need_file(walk, &needs[i], page);
    }
    page_completed(walk, page);
    return true;
}

/* ---- downwards: requests ---- */

/* Pages first, so that there is always something to plan; but files never starve. */
static enum walk_kind request_kind(const struct walk *walk)
{
    if (walk->pending_count[WALK_PAGE] == 0)
        return WALK_FILE;
    if (walk->pending_count[WALK_FILE] == 0)
        return WALK_PAGE;
    return walk->request_count[WALK_PAGE] < 2 ? WALK_PAGE : WALK_FILE;
}

/* A large file takes those few bytes before it along: alone they would hold a connection for a round
 * trip, and tables whose columns are of very different sizes have such files in turns. */
static bool batch_takes(const struct walk_limits *limits, size_t bytes, size_t more)
{
    if (bytes + more <= limits->batch_bytes)
        return true;
    return bytes <= limits->batch_bytes / BATCH_FEW_DIVISOR && bytes + more <= LIMIT_BODY_BYTES;
}

/* How many of the pending items go into one request, and what its reply may take. */
static size_t batch_size(const struct walk *walk, enum walk_kind kind, size_t *ret_reply_bytes)
{
    const struct walk_limits *limits = &walk->limits;
    size_t count = 0;
    size_t bytes = 0;
    size_t place_bytes = 0;
    struct walk_item *item;
    TAILQ_FOREACH(item, &walk->pending[kind], link)
    {
        size_t more = kind == WALK_PAGE ? WALK_PAGE_REPLY_BYTES_MIN : (size_t)item->bytes;
        place_bytes += item->place_bytes;
        if (count == limits->batch_items || (count > 0 && place_bytes > WALK_BATCH_PLACE_BYTES))
            break;
        if (kind == WALK_FILE && count > 0 && !batch_takes(limits, bytes, more))
            break;
        count++;
        bytes += more;
    }
    /* Pages are mostly far smaller than they may be: the source answers as many as fit. */
    if (kind == WALK_PAGE && bytes > limits->batch_bytes)
        bytes = limits->batch_bytes;
    *ret_reply_bytes = bytes;
    return count;
}

/* Invariant 5. Without anything in flight or in a commit there is nothing to wait for. */
static bool volatile_full(const struct walk *walk, enum walk_kind kind, size_t reply_bytes)
{
    const struct walk_limits *limits = &walk->limits;
    bool waits = walk->commit_runs || !TAILQ_EMPTY(&walk->requests);
    return kind == WALK_FILE && waits &&
           walk->reserved_bytes + reply_bytes + walk->arrived_bytes + walk->committing_bytes >
               limits->commit_bytes + limits->window_bytes;
}

const struct walk_request *walk_request_next(struct walk *walk, uint64_t id)
{
    const struct walk_limits *limits = &walk->limits;
    enum walk_kind kind = request_kind(walk);
    size_t in_flight = walk->request_count[WALK_PAGE] + walk->request_count[WALK_FILE];
    if (walk->pending_count[kind] == 0 || in_flight >= limits->requests)
        return NULL;
    if (kind == WALK_PAGE && in_flight == 0 && walk->planning_count > 0)
        return NULL; /* what that plan finds goes along: a small table's two roots are one request */
    size_t reply_bytes;
    size_t count = batch_size(walk, kind, &reply_bytes);
    if (in_flight > 0 && walk->reserved_bytes + reply_bytes > limits->window_bytes)
        return NULL;
    if (volatile_full(walk, kind, reply_bytes))
        return NULL;
    struct walk_request *request =
        mem_calloc(1, sizeof(*request) + count * sizeof(struct walk_item *));
    request->id = id;
    request->kind = kind;
    request->reply_bytes = reply_bytes;
    request->item_count = count;
    for (size_t i = 0; i < count; i++) {
        struct walk_item *item = TAILQ_FIRST(&walk->pending[kind]);
        TAILQ_REMOVE(&walk->pending[kind], item, link);
        item->state = WALK_IN_FLIGHT;
        request->items[i] = item;
        walk->pending_count[kind]--;
        walk->pending_bytes -= item->bytes;
    }
    TAILQ_INSERT_TAIL(&walk->requests, request, link);
    walk->request_count[kind]++;
    walk->reserved_bytes += reply_bytes;
    return request;
}

const struct walk_request *walk_request_find(const struct walk *walk, uint64_t id)
{
    struct walk_request *request;
    TAILQ_FOREACH(request, &walk->requests, link)
    if (request->id == id)
        return request;
    return NULL;
}

/* Back to the head of the queue: what is deepest goes on first. One that came wrong goes to the end:
 * what the peer has right is not held up by what it has lost. */
static void item_again(struct walk *walk, struct walk_item *item)
{
    item->state = WALK_PENDING;
    if (item->tries > 0)
        TAILQ_INSERT_TAIL(&walk->pending[item->kind], item, link);
    else
        TAILQ_INSERT_HEAD(&walk->pending[item->kind], item, link);
    walk->pending_count[item->kind]++;
    walk->pending_bytes += item->bytes;
}

static void item_elsewhere(struct walk *walk, struct walk_item *file)
{
    file->state = WALK_ELSEWHERE;
    TAILQ_INSERT_TAIL(&walk->elsewhere, file, link);
    walk->elsewhere_count++;
    walk->elsewhere_bytes += file->bytes;
}

void walk_released(struct walk *walk)
{
    struct walk_item *file;
    while ((file = TAILQ_LAST(&walk->elsewhere, walk_items)) != NULL) {
        TAILQ_REMOVE(&walk->elsewhere, file, link);
        item_again(walk, file);
    }
    walk->elsewhere_count = 0;
    walk->elsewhere_bytes = 0;
}

unsigned walk_answered(struct walk *walk, uint64_t id, const enum walk_result *results,
                       enum walk_result all)
{
    struct walk_request *request;
    TAILQ_FOREACH(request, &walk->requests, link)
    if (request->id == id)
        break;
    if (request == NULL)
        return 0;
    TAILQ_REMOVE(&walk->requests, request, link);
    walk->request_count[request->kind]--;
    walk->reserved_bytes -= request->reply_bytes;
    unsigned tries = 0;
    for (size_t i = request->item_count; i-- > 0;) { /* backwards: again keeps their order */
        struct walk_item *item = request->items[i];
        enum walk_result result = results != NULL ? results[i] : all;
        if (result == WALK_WRONG && ++item->tries > tries)
            tries = item->tries;
        bool is_file = item->kind == WALK_FILE;
        if (is_file && result == WALK_TAKEN)
            item_elsewhere(walk, item);
        else if (is_file && (result == WALK_STORED || result == WALK_HELD))
            file_arrived(walk, item, result == WALK_STORED);
        else if (!is_file && result == WALK_STORED)
            page_arrived(walk, item);
        else
            item_again(walk, item);
    }
    mem_free(request);
    return tries;
}

/* ---- upwards: commits ---- */

bool walk_holds(const struct walk *walk)
{
    return walk->complete_count > 0 || walk->arrived_count > 0;
}

static bool commit_due(const struct walk *walk, bool stalled, bool overdue)
{
    const struct walk_limits *limits = &walk->limits;
    if (!walk_holds(walk))
        return false;
    if (overdue || walk->arrived_bytes >= limits->commit_bytes ||
        walk->arrived_count >= limits->commit_files || walk->complete_count >= limits->commit_pages)
        return true;
    bool pending = walk->pending_count[WALK_PAGE] > 0 || walk->pending_count[WALK_FILE] > 0;
    if (!TAILQ_EMPTY(&walk->requests) || walk->planning_count > 0 || (pending && !stalled))
        return false;
    for (size_t level = 0; level < ARRAY_COUNT(walk->to_plan); level++)
        if (!TAILQ_EMPTY(&walk->to_plan[level]))
            /* planning waits for the window, the window for the peer or for other tasks, which may
             * wait for what is to be committed here */
            return pending || walk->elsewhere_count > 0;
    return true;
}

bool walk_commit_next(struct walk *walk, bool stalled, bool overdue)
{
    if (walk->commit_runs || !commit_due(walk, stalled, overdue))
        return false;
    struct walk_item *item;
    while ((item = TAILQ_FIRST(&walk->arrived)) != NULL) {
        TAILQ_REMOVE(&walk->arrived, item, link);
        item->state = WALK_COMMITTING;
        TAILQ_INSERT_TAIL(&walk->committing, item, link);
    }
    walk->arrived_count = 0;
    walk->committing_bytes = walk->arrived_bytes;
    walk->arrived_bytes = 0;
    for (size_t i = 0; i < walk->limits.commit_pages && walk->complete_count > 0; i++) {
        item = TAILQ_FIRST(&walk->complete);
        TAILQ_REMOVE(&walk->complete, item, link);
        walk->complete_count--;
        item->state = WALK_COMMITTING;
        TAILQ_INSERT_TAIL(&walk->committing, item, link);
    }
    walk->commit_runs = true;
    return true;
}

void walk_committed(struct walk *walk)
{
    ASSERT(walk->commit_runs);
    walk->commit_runs = false;
    walk->committing_bytes = 0;
    struct walk_item *item;
    while ((item = TAILQ_FIRST(&walk->committing)) != NULL) {
        TAILQ_REMOVE(&walk->committing, item, link);
        if (item->kind == WALK_FILE)
            table_remove(walk, item);
        else
            walk->page_count--;
        if (item->kind == WALK_PAGE && item->parent == NULL)
            walk->done = true;
        item_free(item);
    }
}
