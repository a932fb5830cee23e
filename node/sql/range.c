/* Pruning: whether rows within some bounds can satisfy "column op literal". */
#include "node/sql/select.h"

bool select_range_possible(const struct select_range *range, struct type type,
                           const struct select_bounds *bounds)
{
    int low = bounds->has_min ? value_compare(type, bounds->min, range->value) : -1;
    int high = bounds->has_max ? value_compare(type, bounds->max, range->value) : 1;
    switch (range->op) {
    case OP_EQUAL:
        return (low <= 0 && high >= 0) ||
               (bounds->has_nan && type.kind == TYPE_DOUBLE && isnan(range->value.f64));
    case OP_LESS:
        return low < 0;
    case OP_LESS_EQUAL:
        return low <= 0 || (bounds->has_nan && type.kind == TYPE_DOUBLE && isnan(range->value.f64));
    case OP_GREATER:
        return high > 0 || bounds->has_nan;
    case OP_GREATER_EQUAL:
        return high >= 0 || bounds->has_nan;
    case OP_NOT_EQUAL:
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
    case OP_DIVIDE:
    case OP_MODULO:
    case OP_CONCAT:
        break;
    }
    return true;
}
