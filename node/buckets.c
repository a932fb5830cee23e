#include "node/buckets.h"

void bucket_filter_deinit(struct bucket_filter *filter)
{
    for (size_t i = 0; i < filter->key_count; i++) {
        bytes_deinit(&filter->lows[i]);
        bytes_deinit(&filter->highs[i]);
    }
    mem_free(filter->lows);
    mem_free(filter->highs);
    *filter = (struct bucket_filter){0};
}

static const struct select_domain *domain_of(const struct select_domain *domains, size_t count,
                                             size_t column)
{
    for (size_t i = 0; i < count; i++) {
        if (domains[i].column == column)
            return &domains[i];
    }
    return NULL;
}

static bool is_point(struct type type, const struct select_interval *interval)
{
    return interval->has_low && interval->has_high &&
           value_compare(type, interval->low, interval->high) == 0; /* closed, or it were empty */
}

/* ---- buckets of a hash ---- */

/* How many values the column may have; 0: not so few that they can be counted. */
static size_t choice_count(const struct select_domain *domain, struct type type)
{
    if (domain == NULL)
        return 0;
    for (size_t i = 0; i < domain->interval_count; i++) {
        if (!is_point(type, &domain->intervals[i]))
            return 0;
    }
    return domain->interval_count + (domain->null ? 1 : 0);
}

static struct value choice(const struct select_domain *domain, size_t i)
{
    return i < domain->interval_count ? domain->intervals[i].low : (struct value){.null = true};
}

static void buckets_choose(struct bucket_filter *filter, const struct cluster_layout *layout,
                           const struct schema *schema, const struct select_domain *domains,
                           size_t domain_count)
{
    const struct select_domain *of[LIMIT_CLUSTERING_COLUMNS];
    size_t choices[LIMIT_CLUSTERING_COLUMNS], all = 1;
    for (size_t i = 0; i < layout->key_count; i++) {
        of[i] = domain_of(domains, domain_count, layout->keys[i]);
        choices[i] = choice_count(of[i], schema->columns[layout->keys[i]].type);
        if (choices[i] == 0 || choices[i] > BUCKETS_TRIED_MAX / all)
            return;
        all *= choices[i];
    }
    BYTES_CLEANUP struct bytes key = {0};
    for (size_t n = 0; n < all; n++) {
        bytes_clear(&key);
        size_t left = n;
        for (size_t i = 0; i < layout->key_count; i++) {
            cluster_key_append(&key, schema->columns[layout->keys[i]].type,
                               choice(of[i], left % choices[i]));
            left /= choices[i];
        }
        uint32_t bucket = cluster_bucket(bytes_span(&key), layout->bucket_count);
        filter->wanted[bucket / 8] |= (uint8_t)(1U << bucket % 8);
    }
    filter->limits_buckets = true;
}

/* ---- sort keys ---- */

/* One end of an interval; an end that is not there: before or behind all values but NULL. */
static void end_append(struct bytes *key, struct type type, bool has_end, struct value end,
                       bool descending)
{
    if (has_end)
        sort_key_append(key, type, end, descending);
    else
        bytes_append_u8(key, descending ? 0xFE : 0x01); /* what a value begins with */
}

static void ends_append(const struct select_interval *interval, struct type type, bool descending,
                        struct bytes *low, struct bytes *high)
{
    end_append(descending ? high : low, type, interval->has_low, interval->low, descending);
    end_append(descending ? low : high, type, interval->has_high, interval->high, descending);
}

static void null_append(bool descending, struct bytes *low, struct bytes *high)
{
    const struct value null = {.null = true};
    sort_key_append(low, (struct type){.kind = TYPE_BIGINT}, null, descending);
    sort_key_append(high, (struct type){.kind = TYPE_BIGINT}, null, descending);
}

/* The one interval that a later column lies in; false: it has several, or NULLs, or is free. */
static const struct select_interval *only_interval(const struct select_domain *domain)
{
    bool one = domain != NULL && !domain->null && domain->interval_count == 1;
    return one ? &domain->intervals[0] : NULL;
}

/* Keys whose first column lies in `interval` (NULL: is NULL). */
static void keys_add(struct bucket_filter *filter, const struct cluster_layout *layout,
                     const struct schema *schema, const struct select_domain *domains,
                     size_t domain_count, const struct select_interval *interval)
{
    struct bytes *low = &filter->lows[filter->key_count];
    struct bytes *high = &filter->highs[filter->key_count++];
    bool point = interval == NULL;
    if (interval == NULL)
        null_append(layout->descending[0], low, high);
    for (size_t i = 0; i < layout->sort_count; i++) {
        struct type type = schema->columns[layout->sort[i]].type;
        if (i > 0)
            interval =
                point ? only_interval(domain_of(domains, domain_count, layout->sort[i])) : NULL;
        if (interval == NULL && i > 0)
            break;
        if (interval == NULL)
            continue;
        ends_append(interval, type, layout->descending[i], low, high);
        point = is_point(type, interval);
    }
    if (low->len > SORT_KEY_BYTES_MAX)
        low->len = SORT_KEY_BYTES_MAX;
    if (high->len > SORT_KEY_BYTES_MAX)
        high->len = SORT_KEY_BYTES_MAX;
}

static void keys_choose(struct bucket_filter *filter, const struct cluster_layout *layout,
                        const struct schema *schema, const struct select_domain *domains,
                        size_t domain_count)
{
    const struct select_domain *first = NULL;
    if (layout->sort_count > 0)
        first = domain_of(domains, domain_count, layout->sort[0]);
    if (first == NULL)
        return;
    size_t count = first->interval_count + (first->null ? 1 : 0);
    filter->lows = mem_calloc(count + 1, sizeof(*filter->lows));
    filter->highs = mem_calloc(count + 1, sizeof(*filter->highs));
    for (size_t i = 0; i < first->interval_count; i++)
        keys_add(filter, layout, schema, domains, domain_count, &first->intervals[i]);
    if (first->null)
        keys_add(filter, layout, schema, domains, domain_count, NULL);
    filter->limits_keys = true;
}

/* ---- the filter ---- */

void bucket_filter_set(struct bucket_filter *filter, const struct clustering *clustering,
                       const struct schema *schema, const struct select_domain *domains,
                       size_t domain_count)
{
    struct cluster_layout layout;
    if (clustering_equal(&filter->clustering, clustering))
        return;
    bucket_filter_deinit(filter);
    filter->clustering = *clustering;
    if (clustering->kind == CLUSTERING_NONE || !cluster_layout_of(clustering, schema, &layout))
        return; /* by a column that is gone: nothing can be told */
    if (layout.kind == CLUSTERING_HASH)
        buckets_choose(filter, &layout, schema, domains, domain_count);
    keys_choose(filter, &layout, schema, domains, domain_count);
}

bool bucket_wanted(const struct bucket_filter *filter, uint32_t bucket)
{
    return !filter->limits_buckets || bucket >= LIMIT_BUCKETS ||
           (filter->wanted[bucket / 8] >> bucket % 8 & 1) != 0;
}

bool sort_keys_wanted(const struct bucket_filter *filter, struct span first, struct span last)
{
    if (!filter->limits_keys || first.len == 0)
        return true;
    for (size_t i = 0; i < filter->key_count; i++) {
        struct span low = bytes_span(&filter->lows[i]), high = bytes_span(&filter->highs[i]);
        /* The key of a row with this value begins with `high`: what is behind it does not count. */
        struct span begin = span_slice(first, 0, first.len < high.len ? first.len : high.len);
        struct span end = span_slice(high, 0, begin.len);
        if (span_compare(last, low) >= 0 && span_compare(begin, end) <= 0)
            return true;
    }
    return false;
}
