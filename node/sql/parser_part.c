/* The parts that statements are made of: names, literals, types, partitions, options. */
#include "node/sql/parse.h"

#include "proto/limits.h"

/* ---- names ---- */

static bool parser_at_name(const struct parser *parser)
{
    return parser->token.kind == TOKEN_WORD &&
           (parser->token.quoted || !keyword_reserved(parser->token.keyword));
}

static struct span parser_word(struct parser *parser)
{
    struct span word = parser->token.text;
    if (word.len == 0 || word.len > LIMIT_NAME_BYTES)
        parser_fail(parser, ERR_PARSE, parser->token.at,
                    "found a name of %zu bytes, expected 1 to %d", word.len, LIMIT_NAME_BYTES);
    parser_advance(parser);
    return word;
}

struct span parser_identifier(struct parser *parser, const char *expected)
{
    if (parser_at_name(parser))
        return parser_word(parser);
    if (parser->token.kind == TOKEN_WORD && parser->token.keyword != KEYWORD_NONE) {
        char text[96];
        snprintf(text, sizeof(text), "%s (%s is a keyword: write it in back-quotes)", expected,
                 keyword_text(parser->token.keyword));
        parser_expected(parser, text);
    } else {
        parser_expected(parser, expected);
    }
    return (struct span){0};
}

struct name parser_name(struct parser *parser, const char *expected)
{
    struct name name = {.at = parser->token.at};
    struct span parts[3];
    size_t count = 0;
    parts[count++] = parser_identifier(parser, expected);
    while (count < 3 && parser_accept_symbol(parser, SYMBOL_DOT)) {
        if (parser->token.kind != TOKEN_WORD) { /* behind a dot a keyword is a name as well */
            parser_expected(parser, "a name");
            return name;
        }
        parts[count++] = parser_word(parser);
    }
    name.object = parts[count - 1];
    if (count == 1)
        return name;
    if (count == 2) {
        name.project = parts[0];
    } else if (name_equal(parts[1], span_text("default"))) {
        name.project = parts[0];
    } else if (name_equal(parts[0], span_text("SYSTEM_CATALOG")) &&
               name_equal(parts[1], span_text("INFORMATION_SCHEMA"))) {
        name.system = true;
    } else {
        parser_fail(parser, ERR_PARSE, name.at,
                    "found schema %.*s, expected project.table, project.default.table or "
                    "SYSTEM_CATALOG.INFORMATION_SCHEMA.view",
                    SPAN_PRINTF(parts[1]));
    }
    return name;
}

struct span parser_string(struct parser *parser, const char *expected)
{
    struct span text = parser->token.text;
    if (parser->token.kind != TOKEN_STRING) {
        parser_expected(parser, expected);
        return (struct span){0};
    }
    parser_advance(parser);
    return text;
}

struct span parser_principal(struct parser *parser)
{
    struct span text = parser->token.text;
    bool spelled = parser->token.kind == TOKEN_PRINCIPAL || parser->token.kind == TOKEN_STRING ||
                   (parser->token.kind == TOKEN_WORD && parser->token.quoted);
    if (!spelled) {
        parser_expected(parser, "an account or user such as ALIYUN$name or RAM$account:name");
        return (struct span){0};
    }
    if (text.len == 0 || text.len > LIMIT_PRINCIPAL_BYTES)
        parser_fail(parser, ERR_PARSE, parser->token.at,
                    "found a principal of %zu bytes, expected 1 to %d", text.len,
                    LIMIT_PRINCIPAL_BYTES);
    parser_advance(parser);
    return text;
}

int64_t parser_count(struct parser *parser, int64_t max, const char *expected)
{
    struct value value = {0};
    const struct token *token = &parser->token;
    bool whole =
        token->kind == TOKEN_NUMBER && (token->suffix == NUMBER_PLAIN || token->suffix == NUMBER_L);
    if (!whole ||
        value_parse((struct type){.kind = TYPE_BIGINT}, token->text, &value, NULL) != ERR_OK ||
        value.i64 > max) {
        parser_expected(parser, expected);
        return 0;
    }
    parser_advance(parser);
    return value.i64;
}

/* ---- literals ---- */

static enum literal_kind number_kind(enum number_suffix suffix)
{
    switch (suffix) {
    case NUMBER_PLAIN:
        return LITERAL_INTEGER;
    case NUMBER_Y:
    case NUMBER_S:
        return LITERAL_SMALL;
    case NUMBER_L:
        return LITERAL_BIGINT;
    case NUMBER_BD:
        return LITERAL_DECIMAL;
    case NUMBER_POINT:
    case NUMBER_F:
    case NUMBER_D:
    case NUMBER_BAD:
        break;
    }
    return LITERAL_DOUBLE;
}

static struct span negated(struct parser *parser, struct span digits)
{
    BYTES_CLEANUP struct bytes text = {0};
    bytes_append_u8(&text, '-');
    bytes_append_span(&text, digits);
    size_t len;
    const uint8_t *copy = parser_array(parser, &text, 1, &len);
    return span_of(copy, len);
}

/* Range by suffix, so that 200Y is an error and not 200. */
static void number_check(struct parser *parser, const struct literal *literal,
                         enum number_suffix suffix)
{
    static const struct {
        enum number_suffix suffix;
        int64_t max;
    } ranges[] = {{NUMBER_Y, INT8_MAX},
                  {NUMBER_S, INT16_MAX},
                  {NUMBER_L, INT64_MAX},
                  {NUMBER_PLAIN, INT64_MAX}};
    for (size_t i = 0; i < ARRAY_COUNT(ranges); i++) {
        struct value value;
        if (suffix != ranges[i].suffix)
            continue;
        if (value_parse((struct type){.kind = TYPE_BIGINT}, literal->text, &value, NULL) !=
                ERR_OK ||
            value.i64 > ranges[i].max || value.i64 < -ranges[i].max - 1)
            parser_fail(parser, ERR_PARSE, literal->at, "found %.*s, expected a number in range",
                        literal->text.len < 60 ? (int)literal->text.len : 60,
                        (const char *)literal->text.data);
    }
}

static struct literal number_literal(struct parser *parser)
{
    struct literal literal = {.at = parser->token.at};
    bool minus = parser_accept_symbol(parser, SYMBOL_MINUS);
    if (!minus)
        parser_accept_symbol(parser, SYMBOL_PLUS);
    if (parser->token.kind != TOKEN_NUMBER || parser->token.suffix == NUMBER_BAD) {
        parser_expected(parser, "a number");
        return literal;
    }
    enum number_suffix suffix = parser->token.suffix;
    literal.kind = number_kind(suffix);
    literal.text = minus ? negated(parser, parser->token.text) : parser->token.text;
    number_check(parser, &literal, suffix);
    parser_advance(parser);
    return literal;
}

/* DATE '...' and its kin; false if the next words are not one. */
static bool typed_literal(struct parser *parser, struct literal *literal)
{
    static const struct {
        enum keyword keyword;
        enum literal_kind kind;
    } kinds[] = {{KEYWORD_DATE, LITERAL_DATE},
                 {KEYWORD_DATETIME, LITERAL_DATETIME},
                 {KEYWORD_TIMESTAMP, LITERAL_TIMESTAMP}};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (!parser_is(parser, kinds[i].keyword) || parser_peek(parser).kind != TOKEN_STRING)
            continue;
        literal->kind = kinds[i].kind;
        parser_advance(parser);
        literal->text = parser->token.text;
        struct type type = {.kind = kinds[i].kind == LITERAL_DATE ? TYPE_DATE : TYPE_DATETIME};
        struct value value;
        struct err err;
        if (literal_value(literal, type, &value, &err) != ERR_OK)
            parser_fail(parser, ERR_PARSE, parser->token.at, "%s", err.message);
        parser_advance(parser);
        return true;
    }
    return false;
}

struct literal parser_literal(struct parser *parser)
{
    struct literal literal = {.at = parser->token.at};
    if (parser->token.kind == TOKEN_STRING) {
        literal.kind = LITERAL_STRING;
        literal.text = parser_string(parser, "a string");
        return literal;
    }
    if (parser->token.kind == TOKEN_NUMBER || parser_is_symbol(parser, SYMBOL_MINUS) ||
        parser_is_symbol(parser, SYMBOL_PLUS))
        return number_literal(parser);
    if (parser_accept(parser, KEYWORD_NULL))
        return literal;
    if (parser_is(parser, KEYWORD_TRUE) || parser_is(parser, KEYWORD_FALSE)) {
        literal.kind = LITERAL_BOOLEAN;
        literal.text = span_text(parser_is(parser, KEYWORD_TRUE) ? "true" : "false");
        parser_advance(parser);
        return literal;
    }
    if (!typed_literal(parser, &literal))
        parser_expected(parser, "a literal such as 1, 2.50BD, 'text', DATE '2024-01-15' or NULL");
    return literal;
}

/* ---- types ---- */

struct type parser_type(struct parser *parser)
{
    struct type type = {.kind = TYPE_STRING};
    uint32_t at = parser->token.at;
    if (parser->token.kind != TOKEN_WORD) {
        parser_expected(parser, "a type such as BIGINT or STRING");
        return type;
    }
    parser_advance(parser);
    if (parser_is_symbol(parser, SYMBOL_OPEN)) {
        do {
            parser_advance(parser);
            parser_count(parser, UINT8_MAX, "precision or scale of the type");
        } while (parser_is_symbol(parser, SYMBOL_COMMA));
        parser_expect_symbol(parser, SYMBOL_CLOSE);
    }
    if (parser->code != ERR_OK)
        return type;
    struct err err;
    if (type_parse(span_slice(parser->lexer.text, at, parser->last_end - at), &type, &err) !=
        ERR_OK)
        parser_fail(parser, ERR_PARSE, at, "%s", err.message);
    return type;
}

/* ---- PARTITION(...) ---- */

static struct partition_spec parse_partition(struct parser *parser, bool may_be_dynamic)
{
    struct partition_spec spec = {.at = parser->token.at};
    BYTES_CLEANUP struct bytes items = {0};
    parser_expect(parser, KEYWORD_PARTITION);
    parser_expect_symbol(parser, SYMBOL_OPEN);
    do {
        struct partition_item item = {.at = parser->token.at};
        item.column = parser_identifier(parser, "a partition column");
        if (items.len >= LIMIT_PARTITION_LEVELS * sizeof(item))
            parser_fail(parser, ERR_LIMIT, item.at, "found more than %d partition columns",
                        LIMIT_PARTITION_LEVELS);
        item.dynamic = may_be_dynamic && !parser_is_symbol(parser, SYMBOL_EQUAL);
        if (!item.dynamic) {
            parser_expect_symbol(parser, SYMBOL_EQUAL);
            item.value = parser_literal(parser);
        }
        bytes_append(&items, &item, sizeof(item));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    spec.items = parser_array(parser, &items, sizeof(struct partition_item), &spec.count);
    return spec;
}

struct partition_spec parser_partition(struct parser *parser)
{
    return parse_partition(parser, false);
}

struct partition_spec parser_partition_dynamic(struct parser *parser)
{
    return parse_partition(parser, true);
}

struct partition_specs parser_partitions(struct parser *parser)
{
    struct partition_specs list = {0};
    BYTES_CLEANUP struct bytes specs = {0};
    do {
        struct partition_spec spec = parser_partition(parser);
        bytes_append(&specs, &spec, sizeof(spec));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA) || parser_is(parser, KEYWORD_PARTITION));
    list.specs = parser_array(parser, &specs, sizeof(struct partition_spec), &list.count);
    return list;
}

/* ---- OPTIONS(...) ---- */

static bool blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span trimmed(struct span text)
{
    while (text.len > 0 && blank(text.data[0]))
        text = span_slice(text, 1, text.len - 1);
    while (text.len > 0 && blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* A literal, or an unquoted word with dashes such as cn-hongkong. */
static struct literal option_value(struct parser *parser)
{
    struct token word;
    bool literal_word = parser_is(parser, KEYWORD_TRUE) || parser_is(parser, KEYWORD_FALSE) ||
                        parser_is(parser, KEYWORD_NULL) || parser_peek(parser).kind == TOKEN_STRING;
    if (parser->token.kind != TOKEN_WORD || parser->token.quoted || literal_word ||
        !lexer_bare_word(&parser->lexer, parser->token.at, &word)) {
        struct literal literal = parser_literal(parser);
        literal.text = trimmed(literal.text);
        return literal;
    }
    parser->token = word;
    parser_advance(parser);
    return (struct literal){.kind = LITERAL_STRING, .text = word.text, .at = word.at};
}

static void option_check(struct parser *parser, struct span key, uint32_t at,
                         const char *const *known)
{
    char expected[160] = "";
    size_t len = 0;
    for (; *known != NULL; known++) {
        if (name_equal(key, span_text(*known)))
            return;
        int wrote =
            snprintf(expected + len, sizeof(expected) - len, "%s%s", len > 0 ? ", " : "", *known);
        len += wrote > 0 && (size_t)wrote < sizeof(expected) - len ? (size_t)wrote : 0;
    }
    parser_fail(parser, ERR_PARSE, at, "found option %.*s, expected %s", SPAN_PRINTF(key),
                expected);
}

struct option_list parser_options(struct parser *parser, const char *const *known)
{
    struct option_list list = {0};
    BYTES_CLEANUP struct bytes items = {0};
    parser_expect_symbol(parser, SYMBOL_OPEN);
    if (parser_accept_symbol(parser, SYMBOL_CLOSE))
        return list;
    do {
        struct option option = {0};
        uint32_t at = parser->token.at;
        if (known == NULL && parser->token.kind == TOKEN_STRING)
            option.key = parser_string(parser, "a key");
        else
            option.key = parser_identifier(parser, "an option's name");
        if (known != NULL && parser->code == ERR_OK)
            option_check(parser, option.key, at, known);
        if (items.len >= LIMIT_OPTIONS * sizeof(option))
            parser_fail(parser, ERR_LIMIT, at, "found more than %d options", LIMIT_OPTIONS);
        struct option_list so_far = {(struct option *)(void *)items.data,
                                     items.len / sizeof(option)};
        for (size_t i = 0; i < so_far.count; i++) {
            if (name_equal(so_far.items[i].key, option.key))
                parser_fail(parser, ERR_PARSE, at, "found option %.*s for the second time",
                            (int)(option.key.len < 60 ? option.key.len : 60),
                            (const char *)option.key.data);
        }
        parser_expect_symbol(parser, SYMBOL_EQUAL);
        option.value = option_value(parser);
        bytes_append(&items, &option, sizeof(option));
    } while (parser_accept_symbol(parser, SYMBOL_COMMA));
    parser_expect_symbol(parser, SYMBOL_CLOSE);
    list.items = parser_array(parser, &items, sizeof(struct option), &list.count);
    return list;
}
