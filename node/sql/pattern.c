#include "node/sql/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "node/sql/resources.h"
#include "proto/bytes.h"
#include "proto/limits.h"

#define PATTERNS_KEPT     16
#define MATCH_STEPS_QUICK 10000    /* from one place, in the quick form */
#define MATCH_STEPS_MAX   10000000 /* from one place */
#define MATCH_STEPS_LOOK  10000    /* between two looks at the meter, in the other form */
#define MATCH_PLACES      16384    /* that the quick form tries between two looks at the meter */
#define MATCH_HEAP_KIB    16384
#define PATTERN_DEPTH_MAX 100 /* parentheses */

struct compiled {
    struct bytes text; /* the pattern */
    pcre2_code *quick;
    pcre2_code *careful; /* NULL: not needed yet */
    uint32_t group_count;
};

struct patterns {
    struct meter *meter;
    uint64_t steps; /* of the careful form, ever */
    pcre2_general_context *memory;
    pcre2_compile_context *compile;
    pcre2_match_context *quick;
    pcre2_match_context *careful;
    pcre2_match_data *match;
    struct compiled kept[PATTERNS_KEPT];
    size_t kept_count;
    size_t oldest; /* which one goes next */
};

/* ---- memory ---- */

static void *memory_take(PCRE2_SIZE bytes, void *context)
{
    (void)context;
    return bytes > INT32_MAX ? NULL : resources_malloc((int)bytes);
}

static void memory_give(void *memory, void *context)
{
    (void)context;
    resources_free(memory);
}

static enum err_code memory_fail(struct err *err)
{
    return err_set(err, ERR_LIMIT,
                   "a regular expression needs more memory than select_memory leaves");
}

/* ---- compiling ---- */

static enum err_code code_compile(struct span pattern, uint32_t more,
                                  pcre2_compile_context *context, pcre2_code **ret_code,
                                  struct err *err)
{
    int failure = 0;
    PCRE2_SIZE at = 0;
    if (pattern.len > LIMIT_PATTERN_BYTES)
        return err_set(err, ERR_LIMIT, "a regular expression has %zu bytes, at most %d are allowed",
                       pattern.len, LIMIT_PATTERN_BYTES);
    pcre2_code *code =
        pcre2_compile(pattern.len > 0 ? pattern.data : (PCRE2_SPTR) "", pattern.len,
                      PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT | more, &failure,
                      &at, context);
    if (code == NULL && failure == PCRE2_ERROR_HEAP_FAILED)
        return memory_fail(err);
    if (code == NULL) {
        char message[120] = "";
        pcre2_get_error_message(failure, (PCRE2_UCHAR *)message, sizeof(message));
        int shown = pattern.len < 60 ? (int)pattern.len : 60;
        return err_set(err, ERR_SEMANTIC, "'%.*s' is no regular expression: byte %zu: %s", shown,
                       pattern.len > 0 ? (const char *)pattern.data : "", (size_t)at, message);
    }
    *ret_code = code;
    return ERR_OK;
}

static enum err_code group_count_get(const pcre2_code *code, uint32_t *ret_count, struct err *err)
{
    uint32_t count = 0;
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &count);
    if (count > PATTERN_GROUPS_MAX)
        return err_set(err, ERR_LIMIT, "a regular expression has %u groups, at most %d are allowed",
                       count, PATTERN_GROUPS_MAX);
    *ret_count = count;
    return ERR_OK;
}

enum err_code pattern_check(struct span pattern, size_t *ret_group_count, struct err *err)
{
    pcre2_code *code = NULL;
    uint32_t count = 0;
    TRY(code_compile(pattern, 0, NULL, &code, err));
    enum err_code result = group_count_get(code, &count, err);
    pcre2_code_free(code);
    if (result == ERR_OK)
        *ret_group_count = count;
    return result;
}

static void compiled_drop(struct compiled *compiled)
{
    bytes_deinit(&compiled->text);
    pcre2_code_free(compiled->quick);
    pcre2_code_free(compiled->careful);
    *compiled = (struct compiled){0};
}

/* The compiled pattern, of those kept or in the oldest one's place. */
static enum err_code compiled_get(struct patterns *patterns, struct span pattern,
                                  struct compiled **ret_compiled, struct err *err)
{
    for (size_t i = 0; i < patterns->kept_count; i++) {
        if (span_equal(bytes_span(&patterns->kept[i].text), pattern)) {
            *ret_compiled = &patterns->kept[i];
            return ERR_OK;
        }
    }
    pcre2_code *code = NULL;
    uint32_t count = 0;
    TRY(code_compile(pattern, 0, patterns->compile, &code, err));
    enum err_code result = group_count_get(code, &count, err);
    if (result != ERR_OK) {
        pcre2_code_free(code);
        return result;
    }
    struct compiled *compiled = &patterns->kept[patterns->oldest];
    patterns->oldest = (patterns->oldest + 1) % PATTERNS_KEPT;
    if (patterns->kept_count < PATTERNS_KEPT)
        patterns->kept_count++;
    compiled_drop(compiled);
    bytes_append_span(&compiled->text, pattern);
    compiled->quick = code;
    compiled->group_count = count;
    *ret_compiled = compiled;
    return ERR_OK;
}

/* ---- open, free ---- */

static int on_step(pcre2_callout_block *block, void *context)
{
    struct patterns *patterns = context;
    (void)block;
    bool look = ++patterns->steps % MATCH_STEPS_LOOK == 0;
    return look && meter_is_over(patterns->meter) ? PCRE2_ERROR_CALLOUT : 0;
}

struct patterns *patterns_new(struct meter *meter)
{
    struct patterns *patterns = mem_calloc(1, sizeof(*patterns));
    patterns->meter = meter;
    return patterns;
}

/* At the first use: few queries have a pattern. */
static enum err_code contexts_create(struct patterns *patterns, struct err *err)
{
    if (patterns->match != NULL)
        return ERR_OK;
    if (patterns->memory == NULL)
        patterns->memory = pcre2_general_context_create(memory_take, memory_give, NULL);
    if (patterns->memory == NULL)
        return memory_fail(err);
    if (patterns->compile == NULL)
        patterns->compile = pcre2_compile_context_create(patterns->memory);
    if (patterns->quick == NULL)
        patterns->quick = pcre2_match_context_create(patterns->memory);
    if (patterns->careful == NULL)
        patterns->careful = pcre2_match_context_create(patterns->memory);
    if (patterns->compile == NULL || patterns->quick == NULL || patterns->careful == NULL)
        return memory_fail(err);
    pcre2_set_parens_nest_limit(patterns->compile, PATTERN_DEPTH_MAX);
    pcre2_set_match_limit(patterns->quick, MATCH_STEPS_QUICK);
    pcre2_set_heap_limit(patterns->quick, MATCH_HEAP_KIB);
    pcre2_set_match_limit(patterns->careful, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(patterns->careful, MATCH_HEAP_KIB);
    pcre2_set_callout(patterns->careful, on_step, patterns);
    patterns->match = pcre2_match_data_create(PATTERN_GROUPS_MAX + 1, patterns->memory);
    return patterns->match == NULL ? memory_fail(err) : ERR_OK;
}

void patterns_free(struct patterns *patterns)
{
    if (patterns == NULL)
        return;
    for (size_t i = 0; i < patterns->kept_count; i++)
        compiled_drop(&patterns->kept[i]);
    pcre2_match_data_free(patterns->match);
    pcre2_match_context_free(patterns->careful);
    pcre2_match_context_free(patterns->quick);
    pcre2_compile_context_free(patterns->compile);
    pcre2_general_context_free(patterns->memory);
    mem_free(patterns);
}

/* ---- matching ---- */

/* What a failed match means; PCRE2_ERROR_NOMATCH is none. */
static enum err_code match_failed(const struct patterns *patterns, int failure, struct err *err)
{
    switch (failure) {
    case PCRE2_ERROR_CALLOUT:
        return meter_over(patterns->meter, err);
    case PCRE2_ERROR_NOMEMORY:
        return memory_fail(err);
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
        return err_set(err, ERR_LIMIT,
                       "a regular expression takes too many steps on this text: write it so that "
                       "fewer ways to match exist");
    default:
        return err_set(err, ERR_SEMANTIC, "a regular expression cannot be applied (%d)", failure);
    }
}

static enum err_code find_carefully(struct patterns *patterns, struct compiled *compiled,
                                    struct span text, size_t from, uint32_t options,
                                    int *ret_result, struct err *err)
{
    if (compiled->careful == NULL)
        TRY(code_compile(bytes_span(&compiled->text), PCRE2_AUTO_CALLOUT, patterns->compile,
                         &compiled->careful, err));
    *ret_result = pcre2_match(compiled->careful, text.data, text.len, from, options,
                              patterns->match, patterns->careful);
    return ERR_OK;
}

/* The place behind the window that begins at `from`. */
static size_t window_end(struct span text, size_t from)
{
    if (text.len - from <= MATCH_PLACES)
        return text.len + 1;
    size_t end = from + MATCH_PLACES;
    while ((text.data[end] & 0xC0) == 0x80)
        end--;
    return end;
}

static enum err_code find(struct patterns *patterns, struct compiled *compiled, struct span text,
                          size_t from, uint32_t options, int *ret_result, struct err *err)
{
    int result = PCRE2_ERROR_NOMATCH;
    while (result == PCRE2_ERROR_NOMATCH && from <= text.len) {
        size_t end = window_end(text, from);
        pcre2_set_offset_limit(patterns->quick, end - 1);
        result = pcre2_match(compiled->quick, text.data, text.len, from, options, patterns->match,
                             patterns->quick);
        if (result == PCRE2_ERROR_MATCHLIMIT)
            return find_carefully(patterns, compiled, text, from, options, ret_result, err);
        if (meter_is_over(patterns->meter))
            return meter_over(patterns->meter, err);
        from = end;
        options &= ~(uint32_t)PCRE2_NOTEMPTY_ATSTART;
    }
    *ret_result = result;
    return ERR_OK;
}

enum err_code pattern_find(struct patterns *patterns, struct span pattern, struct span text,
                           size_t from, bool advance, struct pattern_match *ret_match,
                           struct err *err)
{
    struct compiled *compiled = NULL;
    int result = 0;
    if (text.len == 0)
        text = span_text("");
    TRY(contexts_create(patterns, err));
    TRY(compiled_get(patterns, pattern, &compiled, err));
    uint32_t options = PCRE2_NO_UTF_CHECK | (advance ? PCRE2_NOTEMPTY_ATSTART : 0);
    TRY(find(patterns, compiled, text, from, options, &result, err));
    if (result < 0 && result != PCRE2_ERROR_NOMATCH)
        return match_failed(patterns, result, err);
    *ret_match = (struct pattern_match){.found = result > 0,
                                        .group_count = compiled->group_count,
                                        .offsets = pcre2_get_ovector_pointer(patterns->match)};
    return ERR_OK;
}
