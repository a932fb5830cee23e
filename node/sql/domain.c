#include "node/sql/domain.h"

#include "proto/limits.h"

/* Intervals ascending and apart (neither overlapping nor touching), and perhaps NULL. */
struct set {
    bool null;
    struct bytes intervals;
};

static void set_deinit(struct set *set)
{
    bytes_deinit(&set->intervals);
}
#define SET_CLEANUP __attribute__((cleanup(set_deinit)))

static size_t set_count(const struct set *set)
{
    return set->intervals.len / sizeof(struct select_interval);
}

static const struct select_interval *set_at(const struct set *set, size_t i)
{
    return (const struct select_interval *)(const void *)set->intervals.data + i;
}

static void set_add(struct set *set, const struct select_interval *interval)
{
    bytes_append(&set->intervals, interval, sizeof(*interval));
}

/* ---- algebra ---- */

/* By lower end: which begins first. */
static int lows_compare(struct type type, const struct select_interval *a,
                        const struct select_interval *b)
{
    if (!a->has_low || !b->has_low)
        return (a->has_low ? 1 : 0) - (b->has_low ? 1 : 0);
    int order = value_compare(type, a->low, b->low);
    return order != 0 ? order : (a->low_open ? 1 : 0) - (b->low_open ? 1 : 0);
}

static int highs_compare(struct type type, const struct select_interval *a,
                         const struct select_interval *b)
{
    if (!a->has_high || !b->has_high)
        return (b->has_high ? 1 : 0) - (a->has_high ? 1 : 0);
    int order = value_compare(type, a->high, b->high);
    return order != 0 ? order : (b->high_open ? 1 : 0) - (a->high_open ? 1 : 0);
}

/* `next` begins no earlier than `interval`: whether nothing lies between the two. */
static bool intervals_touch(struct type type, const struct select_interval *interval,
                            const struct select_interval *next)
{
    if (!interval->has_high || !next->has_low)
        return true;
    int order = value_compare(type, next->low, interval->high);
    return order < 0 || (order == 0 && !(next->low_open && interval->high_open));
}

/* Adds an interval that begins no earlier than those in the set. */
static void set_extend(struct set *set, struct type type, const struct select_interval *next)
{
    size_t count = set_count(set);
    if (count == 0 || !intervals_touch(type, set_at(set, count - 1), next)) {
        set_add(set, next);
        return;
    }
    struct select_interval joined = *set_at(set, count - 1);
    if (highs_compare(type, &joined, next) >= 0)
        return;
    joined.has_high = next->has_high;
    joined.high_open = next->high_open;
    joined.high = next->high;
    set->intervals.len -= sizeof(joined);
    set_add(set, &joined);
}

static struct set set_union(struct type type, const struct set *a, const struct set *b)
{
    struct set both = {.null = a->null || b->null};
    size_t i = 0, k = 0;
    while (i < set_count(a) || k < set_count(b)) {
        bool first = k == set_count(b) ||
                     (i < set_count(a) && lows_compare(type, set_at(a, i), set_at(b, k)) <= 0);
        set_extend(&both, type, first ? set_at(a, i++) : set_at(b, k++));
    }
    return both;
}

static struct set set_complement(const struct set *set)
{
    struct set rest = {.null = !set->null};
    struct select_interval gap = {0};
    bool open = true; /* there is a gap behind what was seen */
    for (size_t i = 0; i < set_count(set); i++) {
        const struct select_interval *interval = set_at(set, i);
        gap.has_high = true;
        gap.high = interval->low;
        gap.high_open = !interval->low_open;
        if (interval->has_low)
            set_add(&rest, &gap);
        open = interval->has_high;
        gap = (struct select_interval){
            .has_low = true, .low = interval->high, .low_open = !interval->high_open};
    }
    if (open)
        set_add(&rest, &gap);
    return rest;
}

static struct set set_intersection(struct type type, const struct set *a, const struct set *b)
{
    SET_CLEANUP struct set not_a = set_complement(a);
    SET_CLEANUP struct set not_b = set_complement(b);
    SET_CLEANUP struct set not_both = set_union(type, &not_a, &not_b);
    return set_complement(&not_both);
}

static struct set set_of(const struct select_interval *interval)
{
    struct set set = {0};
    set_add(&set, interval);
    return set;
}

static struct set set_of_values(void) /* all but NULL */
{
    const struct select_interval unbounded = {0};
    return set_of(&unbounded);
}

static struct set set_of_all(void)
{
    struct set set = set_of_values();
    set.null = true;
    return set;
}

static bool set_is_all(const struct set *set)
{
    return set->null && set_count(set) == 1 && !set_at(set, 0)->has_low &&
           !set_at(set, 0)->has_high;
}

/* ---- conditions ---- */

struct domain_search {
    struct arena *arena;
    const struct relation *relation;
    size_t column;
    struct type type;
};

/* The values with which the node may be `truth`. */
static struct set node_set(const struct domain_search *search, const struct node *node, bool truth);

static bool is_column(const struct domain_search *search, const struct node *node)
{
    return node->kind == NODE_COLUMN && node->relation == search->relation &&
           node->column == search->column;
}

/* The operator that holds where this one does not; with the sides exchanged likewise. */
static enum binary_op op_negated(enum binary_op op)
{
    static const enum binary_op negated[] = {
        [OP_EQUAL] = OP_NOT_EQUAL,    [OP_NOT_EQUAL] = OP_EQUAL,    [OP_LESS] = OP_GREATER_EQUAL,
        [OP_GREATER_EQUAL] = OP_LESS, [OP_GREATER] = OP_LESS_EQUAL, [OP_LESS_EQUAL] = OP_GREATER,
    };
    return negated[op];
}

static enum binary_op op_mirrored(enum binary_op op)
{
    static const enum binary_op mirrored[] = {
        [OP_EQUAL] = OP_EQUAL,  [OP_NOT_EQUAL] = OP_NOT_EQUAL,
        [OP_LESS] = OP_GREATER, [OP_GREATER_EQUAL] = OP_LESS_EQUAL,
        [OP_GREATER] = OP_LESS, [OP_LESS_EQUAL] = OP_GREATER_EQUAL,
    };
    return mirrored[op];
}

/* column op value; with NULL it is neither true nor false. */
static struct set compared_set(enum binary_op op, struct value value)
{
    if (value.null)
        return (struct set){0};
    struct select_interval interval = {.low = value, .high = value};
    interval.has_low =
        op == OP_EQUAL || op == OP_NOT_EQUAL || op == OP_GREATER || op == OP_GREATER_EQUAL;
    interval.has_high =
        op == OP_EQUAL || op == OP_NOT_EQUAL || op == OP_LESS || op == OP_LESS_EQUAL;
    interval.low_open = op == OP_GREATER;
    interval.high_open = op == OP_LESS;
    struct set set = set_of(&interval);
    if (op != OP_NOT_EQUAL)
        return set;
    struct set rest = set_complement(&set);
    rest.null = false;
    set_deinit(&set);
    return rest;
}

static struct set compare_set(const struct domain_search *search, const struct node *column,
                              enum binary_op op, const struct node *literal, bool truth)
{
    if (!is_column(search, column) || literal->kind != NODE_LITERAL)
        return set_of_all();
    return compared_set(truth ? op : op_negated(op), literal->value);
}

static struct set comparison_set(const struct domain_search *search, const struct node *node,
                                 bool truth)
{
    if (is_column(search, node->args[0]))
        return compare_set(search, node->args[0], node->op, node->args[1], truth);
    return compare_set(search, node->args[1], op_mirrored(node->op), node->args[0], truth);
}

/* value >= low AND value <= high */
static struct set between_set(const struct domain_search *search, const struct node *node,
                              bool truth)
{
    SET_CLEANUP struct set low =
        compare_set(search, node->args[0], OP_GREATER_EQUAL, node->args[1], truth);
    SET_CLEANUP struct set high =
        compare_set(search, node->args[0], OP_LESS_EQUAL, node->args[2], truth);
    return truth ? set_intersection(search->type, &low, &high)
                 : set_union(search->type, &low, &high);
}

/* Of the literals at .. end of an IN; the NULLs among them add nothing. Halves, not one by one:
 * lists are long. */
static struct set items_set(const struct domain_search *search, struct node *const *items,
                            size_t count)
{
    if (count == 1)
        return compared_set(OP_EQUAL, items[0]->value);
    SET_CLEANUP struct set left = items_set(search, items, count / 2);
    SET_CLEANUP struct set right = items_set(search, items + count / 2, count - count / 2);
    return set_union(search->type, &left, &right);
}

static struct set in_set(const struct domain_search *search, const struct node *node, bool truth)
{
    bool has_null = false;
    for (size_t i = 1; i < node->arg_count; i++) {
        if (node->args[i]->kind != NODE_LITERAL)
            return set_of_all();
        has_null = has_null || node->args[i]->value.null;
    }
    if (!is_column(search, node->args[0]) || node->arg_count < 2)
        return set_of_all();
    struct set items = items_set(search, node->args + 1, node->arg_count - 1);
    if (truth)
        return items;
    struct set rest = {0}; /* x NOT IN (1, NULL) is never true */
    if (!has_null)
        rest = set_complement(&items);
    rest.null = false;
    set_deinit(&items);
    return rest;
}

/* All texts with the prefix: up to the prefix with its last byte raised, which need not be UTF-8 (no
 * byte of UTF-8 is 0xFF). */
static struct set prefix_set(const struct domain_search *search, struct span prefix)
{
    struct span above = arena_copy(search->arena, prefix);
    if (prefix.len == 0 || above.data == NULL)
        return set_of_values();
    ((uint8_t *)(uintptr_t)above.data)[above.len - 1]++;
    const struct select_interval interval = {.has_low = true,
                                             .low.text = prefix,
                                             .has_high = true,
                                             .high.text = above,
                                             .high_open = true};
    return set_of(&interval);
}

static struct set like_set(const struct domain_search *search, const struct node *node, bool truth)
{
    if (!is_column(search, node->args[0]) || node->args[1]->kind != NODE_LITERAL ||
        search->type.kind != TYPE_STRING)
        return set_of_all();
    if (node->args[1]->value.null)
        return (struct set){0};
    if (!truth)
        return set_of_values();
    struct span pattern = node->args[1]->value.text;
    size_t len = 0;
    while (len < pattern.len && pattern.data[len] != '%' && pattern.data[len] != '_' &&
           pattern.data[len] != '\\')
        len++;
    if (len == pattern.len)
        return compared_set(OP_EQUAL, node->args[1]->value);
    return prefix_set(search, span_of(pattern.data, len));
}

static struct set null_set(const struct domain_search *search, const struct node *node, bool truth)
{
    if (!is_column(search, node->args[0]))
        return set_of_all();
    return truth ? (struct set){.null = true} : set_of_values();
}

/* AND of what is true, OR of what is false: intersections. Halves, as above. */
static struct set chain_set(const struct domain_search *search, struct node *const *nodes,
                            size_t count, bool all, bool truth)
{
    if (count == 1)
        return node_set(search, nodes[0], truth);
    SET_CLEANUP struct set left = chain_set(search, nodes, count / 2, all, truth);
    SET_CLEANUP struct set right =
        chain_set(search, nodes + count / 2, count - count / 2, all, truth);
    return all ? set_intersection(search->type, &left, &right)
               : set_union(search->type, &left, &right);
}

static struct set constant_set(const struct node *node, bool truth)
{
    bool is = !node->value.null && (node->value.i64 != 0) == truth;
    return is ? set_of_all() : (struct set){0};
}

static struct set node_set(const struct domain_search *search, const struct node *node, bool truth)
{
    bool said = node->negated ? !truth : truth;
    if (node->kind == NODE_AND || node->kind == NODE_OR)
        return chain_set(search, node->args, node->arg_count, (node->kind == NODE_AND) == truth,
                         truth);
    if (node->kind == NODE_NOT)
        return node_set(search, node->args[0], !truth);
    if (node->kind == NODE_COMPARE)
        return comparison_set(search, node, truth);
    if (node->kind == NODE_BETWEEN)
        return between_set(search, node, said);
    if (node->kind == NODE_IN)
        return in_set(search, node, said);
    if (node->kind == NODE_LIKE)
        return like_set(search, node, said);
    if (node->kind == NODE_IS_NULL)
        return null_set(search, node, said);
    if (node->kind == NODE_LITERAL)
        return constant_set(node, truth);
    if (is_column(search, node)) /* BOOLEAN */
        return compared_set(OP_EQUAL, (struct value){.i64 = truth ? 1 : 0});
    return set_of_all();
}

/* ---- for the binder ---- */

static void set_narrow(const struct domain_search *search, struct set *set,
                       const struct node *condition, bool null_counts)
{
    SET_CLEANUP struct set said = node_set(search, condition, true);
    if (said.null && !null_counts)
        return;
    struct set both = set_intersection(search->type, set, &said);
    set_deinit(set);
    *set = both;
}

enum err_code domain_find(struct arena *arena, const struct relation *relation, size_t column,
                          struct select_domain *ret_domain, bool *ret_limits, struct err *err)
{
    const struct domain_search search = {arena, relation, column,
                                         relation_column_type(relation, column)};
    SET_CLEANUP struct set set = set_of_all();
    if (relation->owner->where != NULL)
        set_narrow(&search, &set, relation->owner->where, relation->owner->relation_count == 1);
    for (const struct filter *filter = relation->filters; filter != NULL; filter = filter->next)
        set_narrow(&search, &set, filter->node, false);
    size_t count = set_count(&set);
    *ret_limits = !set_is_all(&set);
    if (count > SELECT_INTERVALS_MAX) { /* from the least to the greatest */
        struct select_interval hull = *set_at(&set, 0);
        const struct select_interval *last = set_at(&set, count - 1);
        hull.has_high = last->has_high;
        hull.high_open = last->high_open;
        hull.high = last->high;
        bytes_clear(&set.intervals);
        set_add(&set, &hull);
        count = 1;
    }
    struct select_interval *intervals = arena_alloc(arena, count + 1, sizeof(*intervals));
    if (intervals == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs more memory than it may");
    if (count > 0)
        memcpy(intervals, set.intervals.data, set.intervals.len);
    *ret_domain = (struct select_domain){
        .column = column, .null = set.null, .intervals = intervals, .interval_count = count};
    return ERR_OK;
}

/* ---- pruning ---- */

void select_bounds_add(struct select_bounds *bounds, struct type type, struct value value)
{
    bounds->has_null = bounds->has_null || value.null;
    bounds->has_value = bounds->has_value || !value.null;
    if (value.null)
        return;
    if (type.kind == TYPE_DOUBLE && isnan(value.f64)) {
        bounds->has_nan = true;
        return;
    }
    if (!bounds->has_min || value_compare(type, value, bounds->min) < 0)
        bounds->min = value;
    if (!bounds->has_max || value_compare(type, value, bounds->max) > 0)
        bounds->max = value;
    bounds->has_min = bounds->has_max = true;
}

/* All of the interval is below the value, which is the least there is. */
static bool interval_below(const struct select_interval *interval, struct type type,
                           struct value least)
{
    if (!interval->has_high)
        return false;
    int order = value_compare(type, interval->high, least);
    return order < 0 || (order == 0 && interval->high_open);
}

static bool interval_above(const struct select_interval *interval, struct type type,
                           struct value greatest)
{
    if (!interval->has_low)
        return false;
    int order = value_compare(type, interval->low, greatest);
    return order > 0 || (order == 0 && interval->low_open);
}

bool select_domain_possible(const struct select_domain *domain, struct type type,
                            const struct select_bounds *bounds)
{
    if (bounds->has_null && domain->null)
        return true;
    if (!bounds->has_value || domain->interval_count == 0)
        return false;
    size_t first = 0, end = domain->interval_count;
    while (bounds->has_min && first < end) { /* the first that reaches up to the least value */
        size_t middle = first + (end - first) / 2;
        if (interval_below(&domain->intervals[middle], type, bounds->min))
            first = middle + 1;
        else
            end = middle;
    }
    if (first < domain->interval_count &&
        (!bounds->has_max || !interval_above(&domain->intervals[first], type, bounds->max)))
        return true;
    const struct select_interval *last = &domain->intervals[domain->interval_count - 1];
    const struct value nan = {.f64 = NAN};
    return type.kind == TYPE_DOUBLE && bounds->has_nan && !interval_below(last, type, nan) &&
           !interval_above(last, type, nan);
}
