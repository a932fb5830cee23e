#include "node/sql/whole_sum.h"

void whole_sum_add(struct whole_sum *sum, decimal128 value)
{
    sum->overflow = __builtin_add_overflow(sum->sum, value, &value) || sum->overflow;
    sum->sum = value;
    sum->count++;
}

enum err_code whole_sum_get(const struct whole_sum *sum, struct type type, struct value *ret_value,
                            struct err *err)
{
    struct value value = {.decimal = sum->sum};
    bool wide = type.kind == TYPE_DECIMAL;
    bool fits = !sum->overflow && (wide ? value_in_range(type, value)
                                        : sum->sum >= INT64_MIN && sum->sum <= INT64_MAX);
    if (!fits) {
        char text[TYPE_TEXT_BYTES];
        return err_set(err, ERR_SEMANTIC, "a SUM does not fit %s", type_format(type, text));
    }
    if (!wide)
        value = (struct value){.i64 = (int64_t)sum->sum};
    *ret_value = value;
    return ERR_OK;
}

double whole_sum_average(const struct whole_sum *sum)
{
    return (double)sum->sum / (double)sum->count;
}
