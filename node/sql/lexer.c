#include "node/sql/lexer.h"

#include "proto/limits.h"

/* ---- characters ---- */

static bool letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static uint8_t byte_at(struct span text, size_t at)
{
    return at < text.len ? text.data[at] : 0;
}

static bool text_at(struct span text, size_t at, const char *wanted)
{
    size_t len = strlen(wanted);
    return len <= text.len - at && memcmp(text.data + at, wanted, len) == 0;
}

/* Length of the blank at `at`, 0 if there is none. What a web page or an editor puts between words
 * counts too: no-break and wide spaces, the byte order mark. */
static size_t blank_len(struct span text, size_t at)
{
    static const char *const wide[] = {"\xC2\xA0", "\xE2\x80\xAF", "\xE3\x80\x80", "\xEF\xBB\xBF"};
    if (at >= text.len)
        return 0;
    uint8_t c = text.data[at];
    if (c == ' ' || (c >= '\t' && c <= '\r'))
        return 1;
    for (size_t i = 0; c >= 0x80 && i < ARRAY_COUNT(wide); i++) {
        if (text_at(text, at, wide[i]))
            return strlen(wide[i]);
    }
    /* U+2000 to U+200B */
    if (text_at(text, at, "\xE2\x80") && byte_at(text, at + 2) >= 0x80 &&
        byte_at(text, at + 2) <= 0x8B)
        return 3;
    return 0;
}

enum quote {
    QUOTE_NONE,
    QUOTE_SINGLE,
    QUOTE_DOUBLE,
    QUOTE_BACK,
    QUOTE_CURLY_SINGLE, /* U+2018 to U+201B */
    QUOTE_CURLY_DOUBLE, /* U+201C to U+201F */
};

static enum quote quote_at(struct span text, size_t at, size_t *ret_len)
{
    *ret_len = 1;
    switch (byte_at(text, at)) {
    case '\'':
        return QUOTE_SINGLE;
    case '"':
        return QUOTE_DOUBLE;
    case '`':
        return QUOTE_BACK;
    default:
        break;
    }
    uint8_t last = byte_at(text, at + 2);
    if (at >= text.len || !text_at(text, at, "\xE2\x80") || last < 0x98 || last > 0x9F)
        return QUOTE_NONE;
    *ret_len = 3;
    return last <= 0x9B ? QUOTE_CURLY_SINGLE : QUOTE_CURLY_DOUBLE;
}

struct position position_find(struct span text, size_t at)
{
    struct position position = {1, 1};
    for (size_t i = 0; i < at && i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '\n') {
            position.line++;
            position.column = 1;
        } else if ((c & 0xC0) != 0x80) {
            position.column++;
        }
    }
    return position;
}

/* ---- keywords ---- */

static const struct keyword_entry {
    const char *text;
    bool reserved;
} keyword_table[KEYWORD_COUNT] = {[KEYWORD_NONE] = {"", false},
#define X(name, reserved) [KEYWORD_##name] = {#name, reserved},
                                  KEYWORDS(X)
#undef X
};

const char *keyword_text(enum keyword keyword)
{
    return keyword_table[keyword].text;
}

bool keyword_reserved(enum keyword keyword)
{
    return keyword_table[keyword].reserved;
}

bool name_equal(struct span a, struct span b)
{
    return a.len == b.len &&
           (a.len == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0);
}

enum keyword keyword_find(struct span word)
{
    size_t low = 1;
    size_t high = KEYWORD_COUNT;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *text = keyword_table[middle].text;
        int order = strncasecmp(text, (const char *)word.data, word.len);
        if (order == 0 && strlen(text) == word.len)
            return (enum keyword)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle; /* also where text only continues the word */
    }
    return KEYWORD_NONE;
}

/* ---- blanks and comments ---- */

/* Behind the comment at `at`; `at` itself if there is none; SIZE_MAX if it is not closed. */
static size_t comment_end(struct span text, size_t at)
{
    if (at >= text.len)
        return at;
    if (text_at(text, at, "--")) {
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        return end == NULL ? text.len : (size_t)(end - text.data) + 1;
    }
    if (!text_at(text, at, "/*"))
        return at;
    const uint8_t *end = memmem(text.data + at + 2, text.len - at - 2, "*/", 2);
    return end == NULL ? SIZE_MAX : (size_t)(end - text.data) + 2;
}

/* Behind all blanks and comments at `at`. False: a comment is not closed; *ret_at is its start. */
static bool blanks_skip(struct span text, size_t at, size_t *ret_at)
{
    while (true) {
        size_t blank = blank_len(text, at);
        size_t end = blank > 0 ? at + blank : comment_end(text, at);
        if (end == at || end == SIZE_MAX) {
            *ret_at = at;
            return end == at;
        }
        at = end;
    }
}

/* ---- strings ---- */

/* Behind the closing quote of the string or back-quoted name at `at`, which begins with one;
 * SIZE_MAX if it is not closed. */
static size_t string_end(struct span text, size_t at)
{
    size_t len;
    enum quote open = quote_at(text, at, &len);
    at += len;
    while (at < text.len) {
        if (text.data[at] == '\\' && open != QUOTE_BACK) {
            at += 2;
            continue;
        }
        if (quote_at(text, at, &len) == open)
            return at + len;
        at++;
    }
    return SIZE_MAX;
}

static void utf8_append(struct bytes *out, uint32_t c)
{
    if (c < 0x80) {
        bytes_append_u8(out, (uint8_t)c);
    } else if (c < 0x800) {
        bytes_append_u8(out, (uint8_t)(0xC0 | c >> 6));
        bytes_append_u8(out, (uint8_t)(0x80 | (c & 0x3F)));
    } else {
        bytes_append_u8(out, (uint8_t)(0xE0 | c >> 12));
        bytes_append_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3F)));
        bytes_append_u8(out, (uint8_t)(0x80 | (c & 0x3F)));
    }
}

/* The digits of `base` at `at`, exactly `count` of them; false if there are fewer. */
static bool digits_read(struct span text, size_t at, size_t count, unsigned base,
                        uint32_t *ret_value)
{
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t c = byte_at(text, at + i);
        unsigned d = digit(c)                             ? c - '0'
                     : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                          : 99;
        if (d >= base)
            return false;
        value = value * base + d;
    }
    *ret_value = value;
    return true;
}

/* Appends what the escape at `at` (behind its backslash) stands for; returns behind it. */
static size_t escape_append(struct span text, size_t at, struct bytes *out)
{
    static const char names[] = "btnrZ0";
    static const char values[] = "\b\t\n\r\x1A";
    uint32_t code;
    if (digits_read(text, at, 3, 8, &code) && code < 256) {
        utf8_append(out, code);
        return at + 3;
    }
    uint8_t c = text.data[at];
    if (c == 'u' && digits_read(text, at + 1, 4, 16, &code) && (code < 0xD800 || code > 0xDFFF)) {
        utf8_append(out, code);
        return at + 5;
    }
    const char *name = c == 0 ? NULL : strchr(names, c);
    if (name != NULL) {
        bytes_append_u8(out, (uint8_t)values[name - names]);
        return at + 1;
    }
    if (c == '%' || c == '_') /* LIKE resolves these itself */
        bytes_append_u8(out, '\\');
    bytes_append_u8(out, c);
    return at + 1;
}

static void escapes_append(struct span inner, struct bytes *out)
{
    for (size_t at = 0; at < inner.len;) {
        if (inner.data[at] == '\\' && at + 1 < inner.len) {
            at = escape_append(inner, at + 1, out);
            continue;
        }
        bytes_append_u8(out, inner.data[at]);
        at++;
    }
}

static enum err_code fail_at(const struct lexer *lexer, size_t at, struct err *err,
                             const char *problem)
{
    struct position position = position_find(lexer->text, at);
    return err_set(err, ERR_PARSE, "line %u, column %u: %s", position.line, position.column,
                   problem);
}

/* Joins adjacent literals. One without escapes borrows. */
static enum err_code string_read(struct lexer *lexer, struct token *token, struct err *err)
{
    BYTES_CLEANUP struct bytes joined = {0};
    struct span text = lexer->text;
    size_t at = token->at;
    size_t pieces = 0;
    struct span inner = {0};
    while (true) {
        size_t quote_len;
        enum quote quote = quote_at(text, at, &quote_len);
        if (quote == QUOTE_NONE || quote == QUOTE_BACK)
            break;
        size_t end = string_end(text, at);
        if (end == SIZE_MAX)
            return fail_at(lexer, at, err, "found a string without its closing quote");
        if (pieces == 1)
            escapes_append(inner, &joined);
        inner = span_slice(text, at + quote_len, end - at - 2 * quote_len);
        if (pieces > 0)
            escapes_append(inner, &joined);
        pieces++;
        token->end = (uint32_t)end;
        if (!blanks_skip(text, end, &at))
            break;
    }
    token->kind = TOKEN_STRING;
    token->text = inner;
    if (pieces == 1 && (inner.len == 0 || memchr(inner.data, '\\', inner.len) == NULL))
        return ERR_OK;
    if (pieces == 1)
        escapes_append(inner, &joined);
    token->text = arena_copy(lexer->arena, bytes_span(&joined));
    if (token->text.data == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs too much memory");
    return ERR_OK;
}

/* ---- words and numbers ---- */

static bool principal_char(uint8_t c)
{
    return letter(c) || digit(c) || c == '@' || c == '.' || c == ':' || c == '-' || c == '/' ||
           c == '$';
}

static void word_read(const struct lexer *lexer, struct token *token)
{
    struct span text = lexer->text;
    size_t end = token->at;
    while (letter(byte_at(text, end)) || digit(byte_at(text, end)))
        end++;
    token->kind = TOKEN_WORD;
    token->text = span_slice(text, token->at, end - token->at);
    if (byte_at(text, end) == '$' && (name_equal(token->text, span_text("ALIYUN")) ||
                                      name_equal(token->text, span_text("RAM")))) {
        while (principal_char(byte_at(text, end)))
            end++;
        token->kind = TOKEN_PRINCIPAL;
        token->text = span_slice(text, token->at, end - token->at);
    } else {
        token->keyword = keyword_find(token->text);
    }
    token->end = (uint32_t)end;
}

static size_t digits_skip(struct span text, size_t at)
{
    while (digit(byte_at(text, at)))
        at++;
    return at;
}

/* Behind an exponent at `at`, or `at`. */
static size_t exponent_skip(struct span text, size_t at)
{
    if ((byte_at(text, at) | 32) != 'e')
        return at;
    size_t sign = byte_at(text, at + 1) == '+' || byte_at(text, at + 1) == '-' ? 1 : 0;
    size_t end = digits_skip(text, at + 1 + sign);
    return end == at + 1 + sign ? at : end;
}

static void number_read(const struct lexer *lexer, struct token *token)
{
    static const struct {
        const char *text;
        enum number_suffix suffix;
        bool integers_only;
    } suffixes[] = {{"Y", NUMBER_Y, true},    {"S", NUMBER_S, true},  {"L", NUMBER_L, true},
                    {"BD", NUMBER_BD, false}, {"F", NUMBER_F, false}, {"D", NUMBER_D, false}};
    struct span text = lexer->text;
    size_t whole = digits_skip(text, token->at);
    size_t end = whole;
    if (byte_at(text, end) == '.')
        end = digits_skip(text, end + 1);
    end = exponent_skip(text, end);
    token->kind = TOKEN_NUMBER;
    token->text = span_slice(text, token->at, end - token->at);
    token->suffix = end == whole ? NUMBER_PLAIN : NUMBER_POINT;
    size_t letters = end;
    while (letter(byte_at(text, letters)) || digit(byte_at(text, letters)))
        letters++;
    token->end = (uint32_t)letters;
    if (letters == end)
        return;
    struct span written = span_slice(text, end, letters - end);
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        if (name_equal(written, span_text(suffixes[i].text)) &&
            (end == whole || !suffixes[i].integers_only)) {
            token->suffix = suffixes[i].suffix;
            return;
        }
    }
    token->suffix = NUMBER_BAD;
    token->text = span_slice(text, token->at, letters - token->at);
}

static bool symbol_read(const struct lexer *lexer, struct token *token)
{
    /* longer ones first */
    static const struct {
        const char *text;
        enum symbol symbol;
    } symbols[] = {{"<=>", SYMBOL_NULL_SAFE},
                   {"<>", SYMBOL_NOT_EQUAL},
                   {"!=", SYMBOL_NOT_EQUAL},
                   {"<=", SYMBOL_LESS_EQUAL},
                   {">=", SYMBOL_GREATER_EQUAL},
                   {"==", SYMBOL_EQUAL},
                   {"||", SYMBOL_CONCAT},
                   {"(", SYMBOL_OPEN},
                   {")", SYMBOL_CLOSE},
                   {",", SYMBOL_COMMA},
                   {".", SYMBOL_DOT},
                   {"+", SYMBOL_PLUS},
                   {"-", SYMBOL_MINUS},
                   {"*", SYMBOL_STAR},
                   {"/", SYMBOL_SLASH},
                   {"%", SYMBOL_PERCENT},
                   {"=", SYMBOL_EQUAL},
                   {"<", SYMBOL_LESS},
                   {">", SYMBOL_GREATER}};
    for (size_t i = 0; i < ARRAY_COUNT(symbols); i++) {
        if (!text_at(lexer->text, token->at, symbols[i].text))
            continue;
        token->kind = TOKEN_SYMBOL;
        token->symbol = symbols[i].symbol;
        token->end = token->at + (uint32_t)strlen(symbols[i].text);
        token->text = span_slice(lexer->text, token->at, token->end - token->at);
        return true;
    }
    return false;
}

/* ---- the lexer ---- */

enum err_code lexer_init(struct lexer *lexer, struct span text, struct arena *arena,
                         struct err *err)
{
    if (text.len > LIMIT_STATEMENT_BYTES)
        return err_set(err, ERR_LIMIT, "the statement has %zu bytes, at most %zu are allowed",
                       text.len, LIMIT_STATEMENT_BYTES);
    if (!span_is_utf8(text))
        return err_set(err, ERR_PARSE, "the statement is not UTF-8");
    *lexer = (struct lexer){.text = text, .arena = arena};
    return ERR_OK;
}

static enum err_code unknown_fail(const struct lexer *lexer, size_t at, struct err *err)
{
    struct position position = position_find(lexer->text, at);
    uint8_t c = lexer->text.data[at];
    size_t len = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (c < 0x20 || c == 0x7F)
        return err_set(err, ERR_PARSE, "line %u, column %u: found character %u, expected a word",
                       position.line, position.column, c);
    if (c == '$')
        return err_set(err, ERR_PARSE,
                       "line %u, column %u: found '$', expected a word (parameters such as "
                       "${name} are replaced only in schedules)",
                       position.line, position.column);
    return err_set(err, ERR_PARSE,
                   "line %u, column %u: found '%.*s', expected a word, a number or a string",
                   position.line, position.column, (int)len, (const char *)lexer->text.data + at);
}

static enum err_code token_read(struct lexer *lexer, struct token *token, struct err *err)
{
    struct span text = lexer->text;
    size_t at = token->at;
    size_t quote_len;
    enum quote quote = quote_at(text, at, &quote_len);
    if (quote == QUOTE_BACK) {
        size_t end = string_end(text, at);
        if (end == SIZE_MAX)
            return fail_at(lexer, at, err, "found a name without its closing back-quote");
        token->kind = TOKEN_WORD;
        token->quoted = true;
        token->text = span_slice(text, at + 1, end - at - 2);
        token->end = (uint32_t)end;
        return ERR_OK;
    }
    if (quote != QUOTE_NONE)
        return string_read(lexer, token, err);
    uint8_t c = text.data[at];
    if (letter(c)) {
        word_read(lexer, token);
        return ERR_OK;
    }
    if (digit(c) || (c == '.' && digit(byte_at(text, at + 1)))) {
        number_read(lexer, token);
        return ERR_OK;
    }
    return symbol_read(lexer, token) ? ERR_OK : unknown_fail(lexer, at, err);
}

enum err_code lexer_next(struct lexer *lexer, struct token *ret_token, struct err *err)
{
    size_t at;
    if (!blanks_skip(lexer->text, lexer->at, &at))
        return fail_at(lexer, at, err, "found a comment without its closing */");
    struct token token = {.kind = TOKEN_END, .at = (uint32_t)at, .end = (uint32_t)at};
    if (byte_at(lexer->text, at) == ';')
        token.end++;
    else if (at < lexer->text.len)
        TRY(token_read(lexer, &token, err));
    lexer->at = token.end;
    *ret_token = token;
    return ERR_OK;
}

bool lexer_bare_word(struct lexer *lexer, uint32_t at, struct token *ret_token)
{
    struct span text = lexer->text;
    size_t end = at;
    while (letter(byte_at(text, end)) || digit(byte_at(text, end)) || byte_at(text, end) == '-' ||
           byte_at(text, end) == '.')
        end++;
    if (end == at)
        return false;
    *ret_token = (struct token){
        .kind = TOKEN_WORD, .at = at, .end = (uint32_t)end, .text = span_slice(text, at, end - at)};
    ret_token->keyword = keyword_find(ret_token->text);
    lexer->at = (uint32_t)end;
    return true;
}

/* ---- statements ---- */

/* Behind the last byte before the ';' (ret_complete), the end, or where it is asked for a comment. */
static size_t statement_end(struct span text, size_t at, bool until_comment, bool *ret_complete)
{
    *ret_complete = false;
    while (at < text.len) {
        size_t len;
        bool quoted = quote_at(text, at, &len) != QUOTE_NONE;
        size_t end = quoted ? string_end(text, at) : comment_end(text, at);
        if (until_comment && !quoted && end != at)
            return at;
        if (end == SIZE_MAX)
            return text.len;
        if (end > at) {
            at = end;
            continue;
        }
        if (text.data[at] == ';') {
            *ret_complete = true;
            return at;
        }
        at++;
    }
    return text.len;
}

enum err_code lexer_rest(struct lexer *lexer, uint32_t at, struct span *ret_rest, struct err *err)
{
    struct span text = lexer->text;
    size_t begin;
    if (!blanks_skip(text, at, &begin))
        return fail_at(lexer, begin, err, "found a comment without its closing */");
    bool complete;
    size_t end = statement_end(text, begin, true, &complete);
    lexer->at = (uint32_t)end;
    while (end > begin && text.data[end - 1] <= ' ')
        end--;
    *ret_rest = span_slice(text, begin, end - begin);
    size_t quote_len;
    enum quote quote = quote_at(text, begin, &quote_len);
    if (quote == QUOTE_NONE || quote == QUOTE_BACK)
        return ERR_OK;
    struct token token = {.at = (uint32_t)begin};
    TRY(string_read(lexer, &token, err));
    if (token.end == end)
        *ret_rest = token.text;
    return ERR_OK;
}

/* ---- AS BEGIN ...; ...; END ---- */

/* Behind the word at `at`, or `at`. */
static size_t word_end(struct span text, size_t at)
{
    if (!letter(byte_at(text, at)))
        return at;
    while (letter(byte_at(text, at)) || digit(byte_at(text, at)))
        at++;
    return at;
}

/* Behind `word` and the blanks before it. False: something else is there. */
static bool word_skip(struct span text, size_t at, const char *word, size_t *ret_at)
{
    size_t begin;
    if (!blanks_skip(text, at, &begin))
        return false;
    size_t end = word_end(text, begin);
    if (!name_equal(span_slice(text, begin, end - begin), span_text(word)))
        return false;
    *ret_at = end;
    return true;
}

enum body_part lexer_body_next(struct span text, size_t at, struct span *ret_statement,
                               size_t *ret_at)
{
    size_t begin = at;
    bool open = false;
    do {
        at = byte_at(text, begin) == ';' ? begin + 1 : begin;
        open = !blanks_skip(text, at, &begin);
    } while (!open && byte_at(text, begin) == ';'); /* nothing before the ';' */
    bool complete = false;
    size_t end = begin;
    if (!open && word_skip(text, begin, "END", ret_at))
        return BODY_END;
    if (!open)
        end = statement_end(text, begin, false, &complete);
    *ret_at = complete ? end + 1 : begin;
    if (!complete)
        return BODY_OPEN;
    *ret_statement = span_slice(text, begin, end - begin);
    return BODY_STATEMENT;
}

/* Behind AS BEGIN of a CREATE SCHEDULE at `at`; `at` for other statements, and where there is none. */
static size_t body_begin(struct span text, size_t at)
{
    size_t i;
    if (!word_skip(text, at, "CREATE", &i) || !word_skip(text, i, "SCHEDULE", &i))
        return at;
    while (i < text.len && text.data[i] != ';') {
        size_t len;
        size_t behind;
        bool quoted = quote_at(text, i, &len) != QUOTE_NONE;
        size_t end = quoted ? string_end(text, i) : comment_end(text, i);
        if (end == SIZE_MAX)
            return at;
        if (end == i && word_skip(text, i, "AS", &behind) &&
            word_skip(text, behind, "BEGIN", &behind))
            return behind;
        if (end == i)
            end = word_end(text, i);
        i = end > i ? end : i + 1;
    }
    return at;
}

/* Behind END of a CREATE SCHEDULE at `at`; `at` for other statements; text.len if it is open. */
static size_t body_skip(struct span text, size_t at)
{
    size_t begin = body_begin(text, at);
    if (begin == at)
        return at;
    struct span statement;
    enum body_part part = BODY_STATEMENT;
    while (part == BODY_STATEMENT)
        part = lexer_body_next(text, begin, &statement, &begin);
    return part == BODY_END ? begin : text.len;
}

struct splitter splitter_of(struct span script)
{
    return (struct splitter){.text = script};
}

bool splitter_next(struct splitter *splitter, struct span *ret_statement, bool *ret_complete)
{
    struct span text = splitter->text;
    while (true) {
        size_t begin;
        /* An open comment belongs to the statement: the parser complains about it. */
        blanks_skip(text, splitter->at, &begin);
        if (begin >= text.len) {
            splitter->at = text.len;
            return false;
        }
        bool complete;
        size_t end = statement_end(text, body_skip(text, begin), false, &complete);
        splitter->at = end + (complete ? 1 : 0);
        if (end == begin)
            continue; /* nothing before the ';' */
        *ret_statement = span_slice(text, begin, end - begin);
        if (ret_complete != NULL)
            *ret_complete = complete;
        return true;
    }
}
