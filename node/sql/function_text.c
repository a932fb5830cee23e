/* Functions of text. Places and lengths count characters, from 1. */
#include "node/sql/function.h"

#include <utf8proc.h>

#include "node/sql/evaluate.h"
#include "proto/limits.h"

#define CHARACTER_BYTES_MAX 4

/* ---- characters ---- */

static bool begins_character(uint8_t byte)
{
    return (byte & 0xC0) != 0x80;
}

static size_t characters(struct span text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += begins_character(text.data[i]) ? 1 : 0;
    return count;
}

/* The byte at which character `count` (from 0) begins; the end behind the last one. */
static size_t offset_of(struct span text, size_t count)
{
    size_t at = 0;
    for (; at < text.len; at++) {
        if (begins_character(text.data[at]) && count-- == 0)
            break;
    }
    return at;
}

static struct span rest_from(struct span text, size_t at)
{
    return span_slice(text, at, text.len - at);
}

/* Where `wanted` begins in `text` from byte `at` on; SIZE_MAX: nowhere. */
static size_t text_find(struct span text, struct span wanted, size_t at)
{
    if (wanted.len == 0)
        return at <= text.len ? at : SIZE_MAX;
    if (at >= text.len)
        return SIZE_MAX;
    const uint8_t *found = memmem(text.data + at, text.len - at, wanted.data, wanted.len);
    return found == NULL ? SIZE_MAX : (size_t)(found - text.data);
}

static void copy_text(uint8_t *to, struct span from)
{
    if (from.len > 0)
        memcpy(to, from.data, from.len);
}

static struct value text_value(struct span text)
{
    return (struct value){.text = text};
}

/* What costs the product of two lengths, and cannot be stopped on the way. */
static enum err_code set_check(const struct function_call *call, size_t i, struct err *err)
{
    if (call->args[i].text.len <= LIMIT_CHARACTER_SET_BYTES)
        return ERR_OK;
    return err_set(err, ERR_LIMIT, "%s: argument %zu has %zu bytes, at most %d are allowed here",
                   call->node->function->name, i + 1, call->args[i].text.len,
                   LIMIT_CHARACTER_SET_BYTES);
}

/* ---- length ---- */

enum { COUNT_CHARACTERS, COUNT_BYTES };

static enum err_code length(const struct function_call *call, struct value *ret_value,
                            struct err *err)
{
    (void)err;
    struct span text = call->args[0].text;
    bool bytes = call->node->function->variant == COUNT_BYTES;
    *ret_value = (struct value){.i64 = (int64_t)(bytes ? text.len : characters(text))};
    return ERR_OK;
}

/* ---- parts ---- */

/* SUBSTR(text, from[, count]): from 0 and from before the text give '', as the original says. */
static enum err_code substr(const struct function_call *call, struct value *ret_value,
                            struct err *err)
{
    (void)err;
    struct span text = call->args[0].text;
    int64_t from = call->args[1].i64;
    int64_t count = call->arg_count > 2 ? call->args[2].i64 : INT64_MAX;
    int64_t all = (int64_t)characters(text);
    *ret_value = text_value(span_slice(text, 0, 0));
    if (from == 0 || count <= 0 || from > all || from < -all)
        return ERR_OK;
    size_t begin = offset_of(text, (size_t)(from > 0 ? from - 1 : all + from));
    struct span rest = rest_from(text, begin);
    size_t end = count >= all ? rest.len : offset_of(rest, (size_t)count);
    *ret_value = text_value(span_slice(rest, 0, end));
    return ERR_OK;
}

/* SPLIT_PART(text, separator, first[, last]) */
static enum err_code split_part(const struct function_call *call, struct value *ret_value,
                                struct err *err)
{
    struct span text = call->args[0].text;
    struct span separator = call->args[1].text;
    int64_t first = call->args[2].i64;
    int64_t last = call->arg_count > 3 ? call->args[3].i64 : first;
    size_t begin = 0, end = text.len;
    if (first < 1 || last < first)
        return function_undefined(call, ret_value, err,
                                  "parts count from 1, and the last is not before the first");
    *ret_value = text_value(text);
    if (separator.len == 0)
        return ERR_OK;
    for (int64_t part = 1; part <= last; part++) {
        size_t at = part == 1 ? 0 : end + separator.len;
        if (part > 1 && end == text.len) { /* there are fewer */
            begin = part <= first ? text.len : begin;
            break;
        }
        size_t next = text_find(text, separator, at);
        begin = part == first ? at : begin;
        end = next == SIZE_MAX ? text.len : next;
    }
    *ret_value = text_value(span_slice(text, begin, end - begin));
    return ERR_OK;
}

/* ---- search ---- */

/* INSTR(text, wanted[, from[, occurrence]]): a place, 0 where there is none. */
static enum err_code instr(const struct function_call *call, struct value *ret_value,
                           struct err *err)
{
    struct span text = call->args[0].text;
    int64_t from = call->arg_count > 2 ? call->args[2].i64 : 1;
    int64_t occurrence = call->arg_count > 3 ? call->args[3].i64 : 1;
    if (from < 1 || occurrence < 1)
        return function_undefined(call, ret_value, err,
                                  "the place and the occurrence count from 1");
    if (occurrence > 1) /* they may overlap */
        TRY(set_check(call, 1, err));
    *ret_value = (struct value){.i64 = 0};
    if ((uint64_t)from > text.len + 1)
        return ERR_OK;
    size_t at = text_find(text, call->args[1].text, offset_of(text, (size_t)from - 1));
    while (at != SIZE_MAX && --occurrence > 0) {
        size_t next = at + 1;
        while (next < text.len && !begins_character(text.data[next]))
            next++;
        at = text_find(text, call->args[1].text, next);
    }
    if (at != SIZE_MAX)
        ret_value->i64 = (int64_t)characters(span_slice(text, 0, at)) + 1;
    return ERR_OK;
}

/* LOCATE(wanted, text[, from]) */
static enum err_code locate(const struct function_call *call, struct value *ret_value,
                            struct err *err)
{
    struct value args[3] = {call->args[1], call->args[0]};
    struct function_call turned = *call;
    turned.args = args;
    if (call->arg_count > 2)
        args[2] = call->args[2];
    return instr(&turned, ret_value, err);
}

enum { AT_START, AT_END };

static enum err_code starts_or_ends(const struct function_call *call, struct value *ret_value,
                                    struct err *err)
{
    (void)err;
    struct span text = call->args[0].text;
    struct span piece = call->args[1].text;
    bool holds = piece.len <= text.len;
    if (holds && piece.len > 0) {
        size_t at = call->node->function->variant == AT_START ? 0 : text.len - piece.len;
        holds = memcmp(text.data + at, piece.data, piece.len) == 0;
    }
    *ret_value = (struct value){.i64 = holds};
    return ERR_OK;
}

/* FIND_IN_SET(text, 'a,b,c'[, separator]): which of them, 0 for none. */
static enum err_code find_in_set(const struct function_call *call, struct value *ret_value,
                                 struct err *err)
{
    struct span list = call->args[1].text;
    struct span separator = call->arg_count > 2 ? call->args[2].text : span_text(",");
    if (separator.len == 0)
        return function_undefined(call, ret_value, err, "the separator is empty");
    size_t at = 0;
    *ret_value = (struct value){.i64 = 0};
    for (int64_t place = 1;; place++) {
        size_t end = text_find(list, separator, at);
        size_t len = (end == SIZE_MAX ? list.len : end) - at;
        if (span_equal(span_slice(list, at, len), call->args[0].text)) {
            ret_value->i64 = place;
            return ERR_OK;
        }
        if (end == SIZE_MAX)
            return ERR_OK;
        at = end + separator.len;
    }
}

/* ---- putting together ---- */

/* The texts from `first` on, with `separator` between them. */
static enum err_code join(const struct function_call *call, struct span separator, size_t first,
                          struct value *ret_value, struct err *err)
{
    size_t len = 0, at = 0;
    uint8_t *joined = NULL;
    for (size_t i = first; i < call->arg_count; i++) /* each at most a cell: no overflow */
        len += call->args[i].text.len + (i > first ? separator.len : 0);
    TRY(function_text_new(call, len, &joined, err));
    for (size_t i = first; i < call->arg_count; i++) {
        struct span between = i > first ? separator : (struct span){0};
        copy_text(joined + at, between);
        copy_text(joined + at + between.len, call->args[i].text);
        at += between.len + call->args[i].text.len;
    }
    *ret_value = text_value(span_of(joined, len));
    return ERR_OK;
}

static enum err_code concat(const struct function_call *call, struct value *ret_value,
                            struct err *err)
{
    return join(call, (struct span){0}, 0, ret_value, err);
}

/* One NULL, and the whole is NULL: so says the original, unlike others. */
static enum err_code concat_ws(const struct function_call *call, struct value *ret_value,
                               struct err *err)
{
    return join(call, call->args[0].text, 1, ret_value, err);
}

/* `piece` over and over into `to`, until it is full. */
static void fill(uint8_t *to, size_t len, struct span piece)
{
    for (size_t at = 0; at < len; at++)
        to[at] = piece.data[at % piece.len];
}

static enum err_code repeat_text(const struct function_call *call, struct span piece, int64_t times,
                                 struct value *ret_value, struct err *err)
{
    uint8_t *text = NULL;
    size_t len = 0;
    if (times > 0 && __builtin_mul_overflow(piece.len, (size_t)times, &len))
        len = SIZE_MAX;
    TRY(function_text_new(call, len, &text, err));
    fill(text, len, piece);
    *ret_value = text_value(span_of(text, len));
    return ERR_OK;
}

static enum err_code repeat(const struct function_call *call, struct value *ret_value,
                            struct err *err)
{
    return repeat_text(call, call->args[0].text, call->args[1].i64, ret_value, err);
}

static enum err_code space(const struct function_call *call, struct value *ret_value,
                           struct err *err)
{
    return repeat_text(call, span_text(" "), call->args[0].i64, ret_value, err);
}

enum { PAD_LEFT, PAD_RIGHT };

/* LPAD, RPAD(text, length, with): what is longer is cut at its end. */
static enum err_code pad(const struct function_call *call, struct value *ret_value, struct err *err)
{
    struct span text = call->args[0].text;
    struct span with = call->args[2].text;
    int64_t wanted = call->args[1].i64;
    size_t have = characters(text);
    if (wanted < 0)
        return function_undefined(call, ret_value, err, "a length of %" PRId64, wanted);
    if ((uint64_t)wanted <= have) {
        *ret_value = text_value(span_slice(text, 0, offset_of(text, (size_t)wanted)));
        return ERR_OK;
    }
    if (with.len == 0)
        return function_undefined(call, ret_value, err, "the text to fill with is empty");
    size_t missing = (size_t)wanted - have;
    size_t piece = characters(with);
    size_t filled = 0;
    if (__builtin_mul_overflow(missing / piece, with.len, &filled) ||
        __builtin_add_overflow(filled, offset_of(with, missing % piece), &filled) ||
        filled > LIMIT_CELL_BYTES)
        filled = LIMIT_CELL_BYTES + 1; /* refused below */
    uint8_t *padded = NULL;
    TRY(function_text_new(call, filled + text.len, &padded, err));
    bool left = call->node->function->variant == PAD_LEFT;
    fill(padded + (left ? 0 : text.len), filled, with);
    copy_text(padded + (left ? filled : 0), text);
    *ret_value = text_value(span_of(padded, filled + text.len));
    return ERR_OK;
}

/* ---- changing ---- */

static enum err_code replace(const struct function_call *call, struct value *ret_value,
                             struct err *err)
{
    struct span text = call->args[0].text, old = call->args[1].text, new = call->args[2].text;
    size_t found = 0, len = text.len;
    *ret_value = text_value(text);
    if (old.len == 0)
        return ERR_OK;
    for (size_t at = text_find(text, old, 0); at != SIZE_MAX; found++)
        at = text_find(text, old, at + old.len);
    if (found == 0)
        return ERR_OK;
    len -= found * old.len;
    if (__builtin_mul_overflow(found, new.len, &found) || __builtin_add_overflow(len, found, &len))
        len = SIZE_MAX;
    uint8_t *replaced = NULL;
    TRY(function_text_new(call, len, &replaced, err));
    size_t to = 0, from = 0;
    for (size_t at = text_find(text, old, 0); at != SIZE_MAX; at = text_find(text, old, from)) {
        copy_text(replaced + to, span_slice(text, from, at - from));
        copy_text(replaced + to + (at - from), new);
        to += at - from + new.len;
        from = at + old.len;
    }
    copy_text(replaced + to, rest_from(text, from));
    *ret_value = text_value(span_of(replaced, len));
    return ERR_OK;
}

static enum err_code reverse(const struct function_call *call, struct value *ret_value,
                             struct err *err)
{
    struct span text = call->args[0].text;
    uint8_t *reversed = NULL;
    TRY(function_text_new(call, text.len, &reversed, err));
    for (size_t at = 0; at < text.len;) {
        size_t len = 1;
        while (at + len < text.len && !begins_character(text.data[at + len]))
            len++;
        memcpy(reversed + text.len - at - len, text.data + at, len);
        at += len;
    }
    *ret_value = text_value(span_of(reversed, text.len));
    return ERR_OK;
}

enum { CASE_UPPER, CASE_LOWER, CASE_INITIAL };

/* One character for one (the Unicode simple mapping). */
static utf8proc_int32_t character_cased(utf8proc_int32_t character, int variant, bool word_begins)
{
    if (variant == CASE_UPPER || (variant == CASE_INITIAL && word_begins))
        return utf8proc_toupper(character);
    return utf8proc_tolower(character);
}

/* Writes the text in its other case, returns its bytes; `to` NULL: only counts. */
static size_t cased_write(struct span text, int variant, uint8_t *to)
{
    size_t len = 0;
    bool word_begins = true;
    for (size_t at = 0; at < text.len;) {
        uint8_t bytes[CHARACTER_BYTES_MAX];
        utf8proc_int32_t character = 0;
        utf8proc_ssize_t step =
            utf8proc_iterate(text.data + at, (utf8proc_ssize_t)(text.len - at), &character);
        ASSERT(step > 0); /* texts are UTF-8 */
        size_t count = (size_t)utf8proc_encode_char(
            character_cased(character, variant, word_begins), to == NULL ? bytes : to + len);
        len += count;
        at += (size_t)step;
        word_begins = character == ' ';
    }
    return len;
}

static enum err_code change_case(const struct function_call *call, struct value *ret_value,
                                 struct err *err)
{
    int variant = call->node->function->variant;
    size_t len = cased_write(call->args[0].text, variant, NULL);
    uint8_t *cased = NULL;
    TRY(function_text_new(call, len, &cased, err));
    cased_write(call->args[0].text, variant, cased);
    *ret_value = text_value(span_of(cased, len));
    return ERR_OK;
}

enum { TRIM_BOTH, TRIM_LEFT, TRIM_RIGHT };

/* Whether the character in text[at .. at + len) is one of `set`. */
static bool in_set(struct span text, size_t at, size_t len, struct span set)
{
    for (size_t i = 0; i + len <= set.len; i++) {
        if (begins_character(set.data[i]) && memcmp(set.data + i, text.data + at, len) == 0 &&
            (i + len == set.len || begins_character(set.data[i + len])))
            return true;
    }
    return false;
}

/* TRIM, LTRIM, RTRIM(text[, characters]): a set of characters, blanks by default. */
static enum err_code trim(const struct function_call *call, struct value *ret_value,
                          struct err *err)
{
    if (call->arg_count > 1)
        TRY(set_check(call, 1, err));
    struct span text = call->args[0].text;
    struct span set = call->arg_count > 1 ? call->args[1].text : span_text(" ");
    int variant = call->node->function->variant;
    while (variant != TRIM_RIGHT && text.len > 0) {
        size_t len = offset_of(text, 1);
        if (!in_set(text, 0, len, set))
            break;
        text = rest_from(text, len);
    }
    while (variant != TRIM_LEFT && text.len > 0) {
        size_t at = text.len - 1;
        while (at > 0 && !begins_character(text.data[at]))
            at--;
        if (!in_set(text, at, text.len - at, set))
            break;
        text = span_slice(text, 0, at);
    }
    *ret_value = text_value(text);
    return ERR_OK;
}

/* TRANSLATE(text, from, to): each character of `from` becomes that of `to` at its place, or goes. */
static enum err_code translate(const struct function_call *call, struct value *ret_value,
                               struct err *err)
{
    struct span text = call->args[0].text, from = call->args[1].text, to = call->args[2].text;
    TRY(set_check(call, 1, err));
    TRY(set_check(call, 2, err));
    size_t to_count = characters(to);
    BYTES_CLEANUP struct bytes out = {0};
    for (size_t at = 0; at < text.len;) {
        struct span character = span_slice(text, at, offset_of(rest_from(text, at), 1));
        size_t place = 0, i = 0;
        bool found = false;
        for (; i < from.len && !found; place += found ? 0 : 1) {
            struct span wanted = span_slice(from, i, offset_of(rest_from(from, i), 1));
            found = span_equal(wanted, character);
            i += wanted.len;
        }
        if (!found) {
            bytes_append_span(&out, character);
        } else if (place < to_count) {
            size_t begin = offset_of(to, place);
            bytes_append_span(&out, span_slice(to, begin, offset_of(rest_from(to, begin), 1)));
        }
        at += character.len;
    }
    uint8_t *translated = NULL;
    TRY(function_text_new(call, out.len, &translated, err));
    copy_text(translated, bytes_span(&out));
    *ret_value = text_value(span_of(translated, out.len));
    return ERR_OK;
}

/* TO_CHAR(value): its text form */
static enum err_code to_char(const struct function_call *call, struct value *ret_value,
                             struct err *err)
{
    return value_cast(call->node->args[0]->type, (struct type){.kind = TYPE_STRING}, call->args[0],
                      call->scratch, ret_value, err);
}

static const struct function rows[] = {
    FUNCTION("LENGTH", "t", TYPE_BIGINT, length, .variant = COUNT_CHARACTERS),
    FUNCTION("CHAR_LENGTH", "t", TYPE_BIGINT, length, .variant = COUNT_CHARACTERS),
    FUNCTION("LENGTHB", "t", TYPE_BIGINT, length, .variant = COUNT_BYTES),
    FUNCTION("SUBSTR", "ti[i", TYPE_STRING, substr),
    FUNCTION("SUBSTRING", "ti[i", TYPE_STRING, substr),
    FUNCTION("SPLIT_PART", "tti[i", TYPE_STRING, split_part),
    FUNCTION("INSTR", "tt[ii", TYPE_BIGINT, instr),
    FUNCTION("LOCATE", "tt[i", TYPE_BIGINT, locate),
    FUNCTION("STARTS_WITH", "tt", TYPE_BOOLEAN, starts_or_ends, .variant = AT_START),
    FUNCTION("ENDS_WITH", "tt", TYPE_BOOLEAN, starts_or_ends, .variant = AT_END),
    FUNCTION("FIND_IN_SET", "tt[t", TYPE_BIGINT, find_in_set),
    FUNCTION("CONCAT", "t*", TYPE_STRING, concat),
    FUNCTION("CONCAT_WS", "tt*", TYPE_STRING, concat_ws),
    FUNCTION("REPEAT", "ti", TYPE_STRING, repeat),
    FUNCTION("SPACE", "i", TYPE_STRING, space),
    FUNCTION("LPAD", "tit", TYPE_STRING, pad, .variant = PAD_LEFT),
    FUNCTION("RPAD", "tit", TYPE_STRING, pad, .variant = PAD_RIGHT),
    FUNCTION("REPLACE", "ttt", TYPE_STRING, replace),
    FUNCTION("REVERSE", "t", TYPE_STRING, reverse),
    FUNCTION("UPPER", "t", TYPE_STRING, change_case, .variant = CASE_UPPER),
    FUNCTION("TOUPPER", "t", TYPE_STRING, change_case, .variant = CASE_UPPER),
    FUNCTION("LOWER", "t", TYPE_STRING, change_case, .variant = CASE_LOWER),
    FUNCTION("TOLOWER", "t", TYPE_STRING, change_case, .variant = CASE_LOWER),
    FUNCTION("INITCAP", "t", TYPE_STRING, change_case, .variant = CASE_INITIAL),
    FUNCTION("TRIM", "t[t", TYPE_STRING, trim, .variant = TRIM_BOTH),
    FUNCTION("LTRIM", "t[t", TYPE_STRING, trim, .variant = TRIM_LEFT),
    FUNCTION("RTRIM", "t[t", TYPE_STRING, trim, .variant = TRIM_RIGHT),
    FUNCTION("TRANSLATE", "ttt", TYPE_STRING, translate),
    FUNCTION("TO_CHAR", "a", TYPE_STRING, to_char),
};

const struct function_table function_text_table = {rows, ARRAY_COUNT(rows)};
