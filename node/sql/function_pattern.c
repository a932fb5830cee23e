/* Functions of regular expressions (pattern.h). */
#include "node/sql/function.h"

#include "node/sql/pattern.h"
#include "proto/limits.h"

static struct span group_text(struct span text, const struct pattern_match *match, size_t group)
{
    size_t begin = match->offsets[2 * group], end = match->offsets[2 * group + 1];
    return begin >= end || end > text.len ? span_slice(text, 0, 0)
                                          : span_slice(text, begin, end - begin);
}

/* ---- RLIKE ---- */

enum { FITS, FITS_NOT };

static enum err_code rlike(const struct function_call *call, struct value *ret_value,
                           struct err *err)
{
    struct pattern_match match;
    TRY(pattern_find(call->patterns, call->args[1].text, call->args[0].text, 0, false, &match,
                     err));
    bool negated = call->node->function->variant == FITS_NOT;
    *ret_value = (struct value){.i64 = match.found != negated};
    return ERR_OK;
}

/* ---- REGEXP_EXTRACT ---- */

static enum err_code group_check(const char *name, int64_t group, size_t group_count,
                                 struct err *err)
{
    if (group >= 0 && (uint64_t)group <= group_count)
        return ERR_OK;
    return err_set(err, ERR_SEMANTIC,
                   "%s: there is no group %" PRId64 ": the pattern has %zu, and 0 is the whole",
                   name, group, group_count);
}

/* REGEXP_EXTRACT(text, pattern[, group]): of the first match; NULL where there is none. */
static enum err_code extract(const struct function_call *call, struct value *ret_value,
                             struct err *err)
{
    struct span text = call->args[0].text;
    int64_t group = call->arg_count > 2 ? call->args[2].i64 : 1;
    struct pattern_match match;
    TRY(pattern_find(call->patterns, call->args[1].text, text, 0, false, &match, err));
    TRY(group_check(call->node->function->name, group, match.group_count, err));
    *ret_value = (struct value){.null = !match.found};
    if (match.found)
        ret_value->text = group_text(text, &match, (size_t)group);
    return ERR_OK;
}

/* ---- REGEXP_REPLACE ---- */

/* Appends the replacement: \0 the whole match, \1 to \9 a group, \x any other character itself. */
static enum err_code replacement_append(const struct function_call *call, struct span text,
                                        const struct pattern_match *match, struct bytes *out,
                                        struct err *err)
{
    struct span with = call->args[2].text;
    for (size_t i = 0; i < with.len; i++) {
        bool escaped = with.data[i] == '\\' && i + 1 < with.len;
        uint8_t c = with.data[escaped ? ++i : i];
        if (!escaped || c < '0' || c > '9') {
            bytes_append_u8(out, c);
            continue;
        }
        TRY(group_check(call->node->function->name, c - '0', match->group_count, err));
        bytes_append_span(out, group_text(text, match, (size_t)(c - '0')));
    }
    return ERR_OK;
}

/* The text with matches replaced: all of them, or (from 1) one. */
static enum err_code replace_into(const struct function_call *call, int64_t occurrence,
                                  struct bytes *out, struct err *err)
{
    struct span text = call->args[0].text;
    size_t copied = 0, from = 0;
    bool advance = false;
    for (int64_t number = 1; from <= text.len; number++) {
        struct pattern_match match;
        TRY(pattern_find(call->patterns, call->args[1].text, text, from, advance, &match, err));
        if (!match.found)
            break;
        size_t begin = match.offsets[0], end = match.offsets[1];
        if (occurrence == 0 || number == occurrence) {
            bytes_append_span(out, span_slice(text, copied, begin - copied));
            TRY(replacement_append(call, text, &match, out, err));
            copied = end;
        }
        if (out->len > LIMIT_CELL_BYTES || number == occurrence)
            break;
        advance = begin == end;
        from = end;
    }
    bytes_append_span(out, span_slice(text, copied, text.len - copied));
    return ERR_OK;
}

/* REGEXP_REPLACE(text, pattern, replacement[, occurrence]); occurrence 0: all */
static enum err_code replace(const struct function_call *call, struct value *ret_value,
                             struct err *err)
{
    BYTES_CLEANUP struct bytes replaced = {0};
    int64_t occurrence = call->arg_count > 3 ? call->args[3].i64 : 0;
    uint8_t *text;
    if (occurrence < 0)
        return function_undefined(call, ret_value, err, "occurrences count from 1; 0 is all");
    TRY(replace_into(call, occurrence, &replaced, err));
    TRY(function_text_new(call, replaced.len, &text, err));
    if (replaced.len > 0)
        memcpy(text, replaced.data, replaced.len);
    *ret_value = (struct value){.text = span_of(text, replaced.len)};
    return ERR_OK;
}

/* ---- the table ---- */

/* A constant pattern is no surprise of the run. */
static enum err_code pattern_check_constant(const struct node *node, struct err *err)
{
    const struct node *pattern = node->args[1];
    size_t group_count;
    if (pattern->kind != NODE_LITERAL || pattern->value.null)
        return ERR_OK;
    return pattern_check(pattern->value.text, &group_count, err);
}

static const struct function rows[] = {
    FUNCTION("RLIKE", "tt", TYPE_BOOLEAN, rlike, .variant = FITS, .unfolded = true,
             .check = pattern_check_constant),
    FUNCTION("NOT RLIKE", "tt", TYPE_BOOLEAN, rlike, .variant = FITS_NOT, .unfolded = true,
             .check = pattern_check_constant),
    FUNCTION("REGEXP_EXTRACT", "tt[i", TYPE_STRING, extract, .unfolded = true,
             .check = pattern_check_constant),
    FUNCTION("REGEXP_REPLACE", "ttt[i", TYPE_STRING, replace, .unfolded = true,
             .check = pattern_check_constant),
};

const struct function_table function_pattern_table = {rows, ARRAY_COUNT(rows)};
