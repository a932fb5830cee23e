#include "node/sql/parse.h"

#include "proto/limits.h"

#define STATEMENT_WORDS_MAX 5
#define EXPECTED_BYTES      160

enum variant {
    VARIANT_NONE,
    VARIANT_REPLACE, /* OR REPLACE; INSERT OVERWRITE */
};

static void parse_explain(struct parser *parser, struct statement *statement, int variant);
static void parse_nothing(struct parser *parser, struct statement *statement, int variant);

/* The statements by their first words, but SELECT, which may begin with WITH or a parenthesis. The longest row that fits is taken; parse NULL: known, but
 * not yet. */
static const struct production {
    enum keyword words[STATEMENT_WORDS_MAX + 1];
    enum statement_kind kind;
    int variant;
    void (*parse)(struct parser *parser, struct statement *statement, int variant);
} productions[] = {
#define K(word) KEYWORD_##word
    {{K(EXPLAIN)}, STATEMENT_EXPLAIN, 0, parse_explain},
    {{K(INSERT), K(INTO)}, STATEMENT_INSERT, VARIANT_NONE, parse_insert},
    {{K(INSERT), K(OVERWRITE)}, STATEMENT_INSERT, VARIANT_REPLACE, parse_insert},
    {{K(CREATE), K(TABLE)}, STATEMENT_CREATE_TABLE, VARIANT_NONE, parse_create_table},
    {{K(CREATE), K(EXTERNAL), K(TABLE)},
     STATEMENT_CREATE_TABLE,
     VARIANT_NONE,
     parse_create_external},
    {{K(CREATE), K(OR), K(REPLACE), K(TABLE)},
     STATEMENT_CREATE_TABLE,
     VARIANT_REPLACE,
     parse_create_table},
    {{K(CREATE), K(OR), K(REPLACE), K(EXTERNAL), K(TABLE)},
     STATEMENT_CREATE_TABLE,
     VARIANT_REPLACE,
     parse_create_external},
    {{K(CREATE), K(SNAPSHOT), K(TABLE)},
     STATEMENT_CREATE_SNAPSHOT,
     VARIANT_NONE,
     parse_create_snapshot},
    {{K(CREATE), K(OR), K(REPLACE), K(SNAPSHOT), K(TABLE)},
     STATEMENT_CREATE_SNAPSHOT,
     VARIANT_REPLACE,
     parse_create_snapshot},
    {{K(CREATE), K(PROJECT)}, STATEMENT_CREATE_PROJECT, 0, parse_create_project},
    {{K(CREATE), K(ACCOUNT)}, STATEMENT_CREATE_ACCOUNT, 0, parse_create_account},
    {{K(CREATE), K(USER)}, STATEMENT_CREATE_USER, 0, parse_create_account},
    {{K(DROP), K(ACCOUNT)}, STATEMENT_DROP_ACCOUNT, 0, parse_drop_principal},
    {{K(DROP), K(USER)}, STATEMENT_DROP_USER, 0, parse_drop_principal},
    {{K(DROP), K(TABLE)}, STATEMENT_DROP_TABLE, 0, parse_drop},
    {{K(DROP), K(SNAPSHOT), K(TABLE)}, STATEMENT_DROP_SNAPSHOT, 0, parse_drop},
    {{K(DROP), K(PROJECT)}, STATEMENT_DROP_PROJECT, 0, parse_drop_project},
    {{K(ALTER), K(TABLE)}, STATEMENT_ADD_PARTITIONS, 0, parse_alter_table},
    {{K(ALTER), K(SNAPSHOT), K(TABLE)}, STATEMENT_ALTER_SNAPSHOT, 0, parse_alter_snapshot},
    {{K(TRUNCATE), K(TABLE)}, STATEMENT_TRUNCATE_TABLE, 0, parse_truncate},
    {{K(ALTER), K(PROJECT)}, STATEMENT_ALTER_PROJECT_XCOPY, 0, parse_alter_project},
    {{K(ALTER), K(ACCOUNT)}, STATEMENT_ALTER_ACCOUNT_CHANNEL, 0, parse_alter_account},
    {{K(ALTER), K(USER)}, STATEMENT_ALTER_KEYS, 0, parse_alter_user},
    {{K(ALTER), K(CHANNEL)}, STATEMENT_ALTER_CHANNEL, 0, parse_alter_channel},
    {{K(CLONE), K(TABLE)}, STATEMENT_CLONE_TABLE, 0, parse_clone_table},
    {{K(XCOPY), K(SNAPSHOT)}, STATEMENT_XCOPY, 0, parse_xcopy},
    {{K(XCOPY), K(TABLE)}, STATEMENT_XCOPY, 0, parse_xcopy_table},
    {{K(VERIFY), K(SNAPSHOT)}, STATEMENT_VERIFY_SNAPSHOT, 0, parse_verify},
    {{K(SCRUB)}, STATEMENT_SCRUB, 0, parse_scrub},
    {{K(CANCEL), K(TASK)}, STATEMENT_CANCEL_TASK, 0, parse_cancel},
    {{K(SHOW), K(TABLES)}, STATEMENT_SHOW, SHOW_TABLES, parse_show},
    {{K(SHOW), K(SNAPSHOT), K(TABLES)}, STATEMENT_SHOW, SHOW_SNAPSHOT_TABLES, parse_show},
    {{K(SHOW), K(PARTITIONS)}, STATEMENT_SHOW, SHOW_PARTITIONS, parse_show},
    {{K(SHOW), K(PROJECTS)}, STATEMENT_SHOW, SHOW_PROJECTS, parse_show},
    {{K(SHOW), K(TASKS)}, STATEMENT_SHOW, SHOW_TASKS, parse_show},
    {{K(SHOW), K(CREATE), K(TABLE)}, STATEMENT_SHOW, SHOW_CREATE_TABLE, parse_show},
    {{K(SHOW), K(CREATE), K(SCHEDULE)}, STATEMENT_SHOW, SHOW_CREATE_SCHEDULE, parse_show},
    {{K(SHOW), K(HISTORY), K(FOR), K(TABLE)}, STATEMENT_SHOW, SHOW_HISTORY, parse_show},
    {{K(SHOW), K(HISTORY), K(FOR), K(TABLES)}, STATEMENT_SHOW, SHOW_HISTORY, parse_show},
    {{K(SHOW), K(CHANNELS)}, STATEMENT_SHOW, SHOW_CHANNELS, parse_show},
    {{K(SHOW), K(XCOPY), K(CHANNEL)}, STATEMENT_SHOW, SHOW_XCOPY_CHANNEL, parse_show},
    {{K(SHOW), K(XCOPY), K(TOKENS)}, STATEMENT_SHOW, SHOW_XCOPY_TOKENS, parse_show},
    {{K(SHOW), K(GRANTS)}, STATEMENT_SHOW, SHOW_GRANTS, parse_show},
    {{K(SHOW), K(ACCOUNTS)}, STATEMENT_SHOW, SHOW_ACCOUNTS, parse_show},
    {{K(LIST), K(ACCOUNTS)}, STATEMENT_SHOW, SHOW_ACCOUNTS, parse_show},
    {{K(SHOW), K(RAM), K(USERS)}, STATEMENT_SHOW, SHOW_RAM_USERS, parse_show},
    {{K(LIST), K(RAM), K(USERS)}, STATEMENT_SHOW, SHOW_RAM_USERS, parse_show},
    {{K(SHOW), K(PUBLIC), K(KEYS)}, STATEMENT_SHOW, SHOW_PUBLIC_KEYS, parse_show},
    {{K(LIST), K(PUBLIC), K(KEYS)}, STATEMENT_SHOW, SHOW_PUBLIC_KEYS, parse_show},
    {{K(DESC)}, STATEMENT_DESC, 0, parse_desc},
    {{K(DESCRIBE)}, STATEMENT_DESC, 0, parse_desc},
    {{K(USE)}, STATEMENT_USE, 0, parse_use},
    {{K(SET)}, STATEMENT_SET, 0, parse_set},
    {{K(WHOAMI)}, STATEMENT_WHOAMI, 0, parse_nothing},
    {{K(CLEANUP)}, STATEMENT_CLEANUP, 0, parse_nothing},
    {{K(LIST), K(USERS)}, STATEMENT_LIST_USERS, 0, parse_nothing},
    {{K(ADD), K(USER)}, STATEMENT_ADD_USER, 0, parse_user},
    {{K(REMOVE), K(USER)}, STATEMENT_REMOVE_USER, 0, parse_user},
    {{K(SHOW), K(ACL), K(FOR)}, STATEMENT_SHOW, SHOW_ACL, parse_show},
    {{K(CREATE), K(ROLE)}, STATEMENT_CREATE_ROLE, 0, parse_role},
    {{K(DROP), K(ROLE)}, STATEMENT_DROP_ROLE, 0, parse_role},
    {{K(LIST), K(ROLES)}, STATEMENT_LIST_ROLES, 0, parse_nothing},
    {{K(ADD), K(TRUSTEDPROJECT)}, STATEMENT_ADD_TRUSTED, 0, parse_trusted},
    {{K(REMOVE), K(TRUSTEDPROJECT)}, STATEMENT_REMOVE_TRUSTED, 0, parse_trusted},
    {{K(LIST), K(TRUSTEDPROJECTS)}, STATEMENT_LIST_TRUSTED, 0, parse_nothing},
    {{K(GRANT)}, STATEMENT_GRANT, 0, parse_grant},
    {{K(REVOKE)}, STATEMENT_REVOKE, 0, parse_grant},
    {{K(REVOKE), K(XCOPY), K(TOKEN)}, STATEMENT_REVOKE_TOKEN, 0, parse_revoke_token},
    {{K(CREATE), K(SCHEDULE)}, STATEMENT_CREATE_SCHEDULE, 0, parse_create_schedule},
    {{K(ALTER), K(SCHEDULE)}, STATEMENT_ALTER_SCHEDULE, 0, parse_alter_schedule},
    {{K(DROP), K(SCHEDULE)}, STATEMENT_DROP_SCHEDULE, 0, parse_drop},
    {{K(RUN), K(SCHEDULE)}, STATEMENT_RUN_SCHEDULE, 0, parse_run_schedule},
    {{K(SHOW), K(SCHEDULES)}, STATEMENT_SHOW, SHOW_SCHEDULES, parse_show},
    {{K(SHOW), K(SCHEDULE)}, STATEMENT_SHOW, SHOW_SCHEDULE_RUNS, parse_show},
    /* later */
    {{K(WITH)}, 0, 0, NULL},
    {{K(SHOW), K(RECYCLEBIN)}, 0, 0, NULL},
    {{K(SETPROJECT)}, 0, 0, NULL},
    {{K(RESTORE), K(TABLE)}, 0, 0, NULL},
    {{K(PURGE)}, 0, 0, NULL},
    {{K(DELETE)}, 0, 0, NULL},
    {{K(UPDATE)}, 0, 0, NULL},
    {{K(MERGE)}, 0, 0, NULL},
#undef K
};

/* ---- errors ---- */

void parser_stop(struct parser *parser, enum err_code code)
{
    parser->code = code;
    parser->token = (struct token){.kind = TOKEN_END};
}

void parser_fail(struct parser *parser, enum err_code code, uint32_t at, const char *format, ...)
{
    if (parser->code != ERR_OK)
        return;
    char what[ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    struct position position = position_find(parser->lexer.text, at);
    parser_stop(parser, err_set(parser->err, code, "line %u, column %u: %s", position.line,
                                position.column, what));
}

void parser_expected(struct parser *parser, const char *expected)
{
    const struct token *token = &parser->token;
    int len = token->text.len < 40 ? (int)token->text.len : 40;
    while (len < (int)token->text.len && len > 0 && (token->text.data[len] & 0xC0) == 0x80)
        len--; /* whole characters */
    const char *text = (const char *)token->text.data;
    switch (token->kind) {
    case TOKEN_END:
        parser_fail(parser, ERR_PARSE, token->at, "found the end of the statement, expected %s",
                    expected);
        break;
    case TOKEN_STRING:
        parser_fail(parser, ERR_PARSE, token->at, "found the string '%.*s', expected %s", len, text,
                    expected);
        break;
    case TOKEN_NUMBER:
    case TOKEN_PRINCIPAL:
    case TOKEN_WORD:
    case TOKEN_SYMBOL:
        parser_fail(parser, ERR_PARSE, token->at, "found %.*s, expected %s", len, text, expected);
        break;
    }
}

/* ---- tokens ---- */

void parser_advance(struct parser *parser)
{
    if (parser->code != ERR_OK)
        return;
    parser->last_end = parser->token.end;
    enum err_code code = lexer_next(&parser->lexer, &parser->token, parser->err);
    if (code != ERR_OK)
        parser_stop(parser, code);
}

bool parser_is(const struct parser *parser, enum keyword keyword)
{
    return parser->token.kind == TOKEN_WORD && parser->token.keyword == keyword;
}

bool parser_is_word(const struct parser *parser, const char *word)
{
    return parser->token.kind == TOKEN_WORD && !parser->token.quoted &&
           name_equal(parser->token.text, span_text(word));
}

bool parser_is_symbol(const struct parser *parser, enum symbol symbol)
{
    return parser->token.kind == TOKEN_SYMBOL && parser->token.symbol == symbol;
}

bool parser_accept(struct parser *parser, enum keyword keyword)
{
    if (!parser_is(parser, keyword))
        return false;
    parser_advance(parser);
    return true;
}

bool parser_accept_word(struct parser *parser, const char *word)
{
    if (!parser_is_word(parser, word))
        return false;
    parser_advance(parser);
    return true;
}

bool parser_accept_symbol(struct parser *parser, enum symbol symbol)
{
    if (!parser_is_symbol(parser, symbol))
        return false;
    parser_advance(parser);
    return true;
}

void parser_expect(struct parser *parser, enum keyword keyword)
{
    if (!parser_accept(parser, keyword))
        parser_expected(parser, keyword_text(keyword));
}

void parser_expect_symbol(struct parser *parser, enum symbol symbol)
{
    static const char *const texts[] = {
        [SYMBOL_OPEN] = "(", [SYMBOL_CLOSE] = ")", [SYMBOL_COMMA] = ",", [SYMBOL_EQUAL] = "="};
    ASSERT(symbol < ARRAY_COUNT(texts) && texts[symbol] != NULL);
    if (!parser_accept_symbol(parser, symbol))
        parser_expected(parser, texts[symbol]);
}

struct token parser_peek(const struct parser *parser)
{
    struct lexer ahead = parser->lexer;
    struct token token = {.kind = TOKEN_END};
    if (parser->token.kind != TOKEN_END && lexer_next(&ahead, &token, NULL) != ERR_OK)
        return (struct token){.kind = TOKEN_END};
    return token;
}

bool parser_accept_if_exists(struct parser *parser)
{
    if (!parser_is(parser, KEYWORD_IF) || parser_peek(parser).keyword != KEYWORD_EXISTS)
        return false;
    parser_advance(parser);
    parser_advance(parser);
    return true;
}

bool parser_accept_if_not_exists(struct parser *parser)
{
    if (!parser_is(parser, KEYWORD_IF) || parser_peek(parser).keyword != KEYWORD_NOT)
        return false;
    parser_advance(parser);
    parser_advance(parser);
    parser_expect(parser, KEYWORD_EXISTS);
    return true;
}

/* ---- memory ---- */

static void parser_exhausted(struct parser *parser)
{
    if (parser->code == ERR_OK)
        parser_stop(parser, err_set(parser->err, ERR_LIMIT, "the statement needs too much memory"));
}

void *parser_node(struct parser *parser, size_t bytes)
{
    ASSERT(bytes <= sizeof(parser->scratch));
    void *node = arena_alloc(parser->lexer.arena, 1, bytes);
    if (node != NULL)
        return node;
    parser_exhausted(parser);
    return memset(&parser->scratch, 0, sizeof(parser->scratch));
}

void *parser_array(struct parser *parser, const struct bytes *items, size_t item_bytes,
                   size_t *ret_count)
{
    *ret_count = 0;
    if (items->len == 0)
        return NULL;
    void *array = arena_alloc(parser->lexer.arena, 1, items->len);
    if (array == NULL) {
        parser_exhausted(parser);
        return NULL;
    }
    *ret_count = items->len / item_bytes;
    return memcpy(array, items->data, items->len);
}

/* ---- statements ---- */

static void parse_nothing(struct parser *parser, struct statement *statement, int variant)
{
    (void)parser;
    (void)statement;
    (void)variant;
}

/* The next words that could follow `depth` words which fit, each once: "PROJECT, SNAPSHOT, TABLE". */
static void words_expected(const struct token *tokens, size_t depth, char *out, size_t out_bytes)
{
    bool seen[KEYWORD_COUNT] = {false};
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_COUNT(productions); i++) {
        const struct production *row = &productions[i];
        size_t same = 0;
        while (same < depth && row->words[same] == tokens[same].keyword)
            same++;
        enum keyword next = row->words[same < depth ? STATEMENT_WORDS_MAX : depth];
        if (same < depth || next == KEYWORD_NONE || row->parse == NULL || seen[next])
            continue;
        seen[next] = true;
        int wrote =
            snprintf(out + len, out_bytes - len, "%s%s", len > 0 ? ", " : "", keyword_text(next));
        if (wrote < 0 || (size_t)wrote >= out_bytes - len) {
            out[len] = '\0';
            return;
        }
        len += (size_t)wrote;
    }
}

static const struct production *production_find(struct parser *parser)
{
    struct token tokens[STATEMENT_WORDS_MAX];
    struct lexer ahead = parser->lexer;
    tokens[0] = parser->token;
    for (size_t i = 1; i < STATEMENT_WORDS_MAX; i++) {
        if (lexer_next(&ahead, &tokens[i], NULL) != ERR_OK)
            tokens[i] = (struct token){.kind = TOKEN_END};
    }
    const struct production *best = NULL;
    size_t best_len = 0;
    size_t deepest = 0;
    for (size_t i = 0; i < ARRAY_COUNT(productions); i++) {
        const enum keyword *words = productions[i].words;
        size_t len = 0;
        while (words[len] != KEYWORD_NONE && words[len] == tokens[len].keyword)
            len++;
        if (len > deepest)
            deepest = len;
        if (words[len] == KEYWORD_NONE && len > best_len) {
            best = &productions[i];
            best_len = len;
        }
    }
    size_t taken = best != NULL ? best_len : deepest;
    for (size_t i = 0; i < taken; i++)
        parser_advance(parser);
    if (best == NULL) {
        char expected[EXPECTED_BYTES] = "a statement such as SELECT, CREATE TABLE or XCOPY";
        if (deepest > 0)
            words_expected(tokens, deepest, expected, sizeof(expected));
        parser_expected(parser, expected);
    }
    return best;
}

static void not_supported(struct parser *parser, const struct production *row, uint32_t at)
{
    char words[EXPECTED_BYTES];
    size_t len = 0;
    for (size_t i = 0; row->words[i] != KEYWORD_NONE; i++)
        len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s", i > 0 ? " " : "",
                                keyword_text(row->words[i]));
    parser_fail(parser, ERR_SEMANTIC, at, "%s is not supported yet", words);
}

static void parse_statement(struct parser *parser, struct statement *statement)
{
    uint32_t at = parser->token.at;
    if (parser_at_query(parser) || parser_is_symbol(parser, SYMBOL_OPEN)) {
        statement->kind = STATEMENT_SELECT;
        statement->text = parser->lexer.text;
        statement->select = *parser_query(parser);
        return;
    }
    const struct production *row = production_find(parser);
    if (row == NULL)
        return;
    if (row->parse == NULL) {
        not_supported(parser, row, at);
        return;
    }
    statement->kind = row->kind;
    statement->text = parser->lexer.text;
    row->parse(parser, statement, row->variant);
}

static void parse_explain(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    if (!parser_is(parser, KEYWORD_SELECT) && !parser_is(parser, KEYWORD_WITH) &&
        !parser_is_symbol(parser, SYMBOL_OPEN) && !parser_is(parser, KEYWORD_XCOPY) &&
        !parser_is(parser, KEYWORD_CLONE) && !parser_is(parser, KEYWORD_INSERT)) {
        parser_expected(parser, "SELECT, INSERT ... SELECT, XCOPY SNAPSHOT or CLONE TABLE");
        return;
    }
    statement->explained = parser_node(parser, sizeof(struct statement));
    parse_statement(parser, statement->explained);
}

/* Nothing but ';' may follow. */
static void parser_finish(struct parser *parser)
{
    while (parser->code == ERR_OK) {
        if (parser->token.kind != TOKEN_END) {
            parser_expected(parser, "the end of the statement");
            return;
        }
        if (parser->token.at == parser->lexer.text.len)
            return;
        parser_advance(parser);
    }
}

enum err_code statement_parse(struct span text, struct arena *arena,
                              struct statement **ret_statement, struct err *err)
{
    struct parser parser = {.err = err};
    TRY(lexer_init(&parser.lexer, text, arena, err));
    parser_advance(&parser);
    struct statement *statement = arena_alloc(arena, 1, sizeof(*statement));
    if (statement == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs too much memory");
    parse_statement(&parser, statement);
    parser_finish(&parser);
    if (parser.code == ERR_OK)
        *ret_statement = statement;
    return parser.code;
}
