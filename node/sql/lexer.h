/* Statement text -> tokens, one at a time.
 *
 *     SELECT id, 'it' 's', 299.00BD FROM `order` -- said
 *     word  word , string(its) , number . word  word(quoted)  end
 *
 * Invariants: 1. the text is UTF-8 (lexer_init checks). 2. a token's place is a byte offset into
 * the text; lines and columns (in characters) are computed when an error is written, by
 * position_find.
 * 3. a lexer is a value: copy it to look ahead, copy it back to return.
 * Memory: token text borrows from the statement where it stands there unchanged, else from the
 * arena. Keywords are words like others; the parser asks for them by number. Which of them may not
 * be names is in the table below.
 */
#ifndef NODE_SQL_LEXER_H
#define NODE_SQL_LEXER_H

#include "proto/arena.h"

/* X(name, reserved): a reserved word is a name only in back-quotes. */
#define KEYWORDS(X)                                                                                \
    X(ACCOUNT, 0)                                                                                  \
    X(ACCOUNTS, 0)                                                                                 \
    X(ACKNOWLEDGE, 0)                                                                              \
    X(ACL, 0)                                                                                      \
    X(ADD, 0)                                                                                      \
    X(ALL, 1)                                                                                      \
    X(ALTER, 1)                                                                                    \
    X(AND, 1)                                                                                      \
    X(ANTI, 0)                                                                                     \
    X(AS, 1)                                                                                       \
    X(ASC, 0)                                                                                      \
    X(BANDWIDTH, 0)                                                                                \
    X(BETWEEN, 1)                                                                                  \
    X(BY, 1)                                                                                       \
    X(CANCEL, 0)                                                                                   \
    X(CASE, 1)                                                                                     \
    X(CAST, 1)                                                                                     \
    X(CHANNEL, 0)                                                                                  \
    X(CHANNELS, 0)                                                                                 \
    X(CLEANUP, 0)                                                                                  \
    X(CLONE, 0)                                                                                    \
    X(CLUSTERED, 0)                                                                                \
    X(COLUMN, 0)                                                                                   \
    X(COLUMNS, 0)                                                                                  \
    X(COMMENT, 0)                                                                                  \
    X(COMPLIANCE, 0)                                                                               \
    X(CREATE, 1)                                                                                   \
    X(CROSS, 1)                                                                                    \
    X(DATE, 0)                                                                                     \
    X(DATETIME, 0)                                                                                 \
    X(DEFAULT, 0)                                                                                  \
    X(DELETE, 0)                                                                                   \
    X(DESC, 1)                                                                                     \
    X(DESCRIBE, 0)                                                                                 \
    X(DISABLE, 0)                                                                                  \
    X(DISTINCT, 1)                                                                                 \
    X(DIV, 1)                                                                                      \
    X(DROP, 1)                                                                                     \
    X(ELSE, 1)                                                                                     \
    X(ENABLE, 0)                                                                                   \
    X(END, 1)                                                                                      \
    X(EXCEPT, 0)                                                                                   \
    X(EXISTS, 1)                                                                                   \
    X(EXPLAIN, 0)                                                                                  \
    X(EXTENDED, 0)                                                                                 \
    X(EXTERNAL, 0)                                                                                 \
    X(FALSE, 1)                                                                                    \
    X(FOR, 0)                                                                                      \
    X(FROM, 1)                                                                                     \
    X(FULL, 1)                                                                                     \
    X(GRANT, 0)                                                                                    \
    X(GRANTS, 0)                                                                                   \
    X(GROUP, 1)                                                                                    \
    X(HAVING, 1)                                                                                   \
    X(HISTORY, 0)                                                                                  \
    X(HOLD, 0)                                                                                     \
    X(IF, 0)                                                                                       \
    X(IGNORE, 0)                                                                                   \
    X(IN, 1)                                                                                       \
    X(INNER, 1)                                                                                    \
    X(INSERT, 1)                                                                                   \
    X(INTERSECT, 0)                                                                                \
    X(INTO, 1)                                                                                     \
    X(IS, 1)                                                                                       \
    X(JOIN, 1)                                                                                     \
    X(KEY, 0)                                                                                      \
    X(KEYS, 0)                                                                                     \
    X(LAST, 0)                                                                                     \
    X(LEFT, 1)                                                                                     \
    X(LIFECYCLE, 0)                                                                                \
    X(LIKE, 1)                                                                                     \
    X(LIMIT, 1)                                                                                    \
    X(LIST, 0)                                                                                     \
    X(MERGE, 0)                                                                                    \
    X(MINUS, 0)                                                                                    \
    X(NATURAL, 0)                                                                                  \
    X(NOT, 1)                                                                                      \
    X(NULL, 1)                                                                                     \
    X(OFF, 0)                                                                                      \
    X(OFFSET, 0)                                                                                   \
    X(ON, 1)                                                                                       \
    X(OPTIONS, 0)                                                                                  \
    X(OR, 1)                                                                                       \
    X(ORDER, 1)                                                                                    \
    X(OUTER, 1)                                                                                    \
    X(OVERWRITE, 0)                                                                                \
    X(OWNER, 0)                                                                                    \
    X(PARTITION, 1)                                                                                \
    X(PARTITIONED, 0)                                                                              \
    X(PARTITIONS, 0)                                                                               \
    X(PRIMARY, 0)                                                                                  \
    X(PROJECT, 0)                                                                                  \
    X(PROJECTS, 0)                                                                                 \
    X(PUBLIC, 0)                                                                                   \
    X(PURGE, 0)                                                                                    \
    X(RAM, 0)                                                                                      \
    X(RECYCLEBIN, 0)                                                                               \
    X(REGEXP, 1)                                                                                   \
    X(RELEASE, 0)                                                                                  \
    X(REMOVE, 0)                                                                                   \
    X(RENAME, 0)                                                                                   \
    X(REPLACE, 0)                                                                                  \
    X(RESTORE, 0)                                                                                  \
    X(REVOKE, 0)                                                                                   \
    X(RIGHT, 1)                                                                                    \
    X(RLIKE, 1)                                                                                    \
    X(ROLE, 0)                                                                                     \
    X(ROLES, 0)                                                                                    \
    X(RUN, 0)                                                                                      \
    X(SCHEDULE, 0)                                                                                 \
    X(SCHEDULES, 0)                                                                                \
    X(SCRUB, 0)                                                                                    \
    X(SELECT, 1)                                                                                   \
    X(SEMI, 0)                                                                                     \
    X(SET, 1)                                                                                      \
    X(SETPROJECT, 0)                                                                               \
    X(SHOW, 0)                                                                                     \
    X(SNAPSHOT, 0)                                                                                 \
    X(TABLE, 1)                                                                                    \
    X(TABLES, 0)                                                                                   \
    X(TASK, 0)                                                                                     \
    X(TASKS, 0)                                                                                    \
    X(TBLPROPERTIES, 0)                                                                            \
    X(THEN, 1)                                                                                     \
    X(TIMESTAMP, 0)                                                                                \
    X(TO, 1)                                                                                       \
    X(TOKEN, 0)                                                                                    \
    X(TOKENS, 0)                                                                                   \
    X(TOUCH, 0)                                                                                    \
    X(TRUE, 1)                                                                                     \
    X(TRUNCATE, 0)                                                                                 \
    X(TRUSTEDPROJECT, 0)                                                                           \
    X(TRUSTEDPROJECTS, 0)                                                                          \
    X(UNION, 1)                                                                                    \
    X(UPDATE, 0)                                                                                   \
    X(USE, 0)                                                                                      \
    X(USER, 0)                                                                                     \
    X(USERS, 0)                                                                                    \
    X(USING, 0)                                                                                    \
    X(VALUES, 1)                                                                                   \
    X(VERIFY, 0)                                                                                   \
    X(WHEN, 1)                                                                                     \
    X(WHERE, 1)                                                                                    \
    X(WHOAMI, 0)                                                                                   \
    X(WITH, 1)                                                                                     \
    X(WITHIN, 0)                                                                                   \
    X(XCOPY, 0)

enum keyword {
    KEYWORD_NONE,
#define X(name, reserved) KEYWORD_##name,
    KEYWORDS(X)
#undef X
        KEYWORD_COUNT
};

enum token_kind {
    TOKEN_END,       /* of the text, or ';' */
    TOKEN_WORD,      /* a name or keyword; text as written, or inside the back-quotes */
    TOKEN_STRING,    /* text: escapes resolved, adjacent literals joined */
    TOKEN_NUMBER,    /* text: digits as written without suffix */
    TOKEN_PRINCIPAL, /* ALIYUN$a@b.com, RAM$a:u */
    TOKEN_SYMBOL,
};

enum symbol {
    SYMBOL_NONE,
    SYMBOL_OPEN,
    SYMBOL_CLOSE,
    SYMBOL_COMMA,
    SYMBOL_DOT,
    SYMBOL_PLUS,
    SYMBOL_MINUS,
    SYMBOL_STAR,
    SYMBOL_SLASH,
    SYMBOL_PERCENT,
    SYMBOL_EQUAL,
    SYMBOL_NOT_EQUAL, /* <> and != */
    SYMBOL_LESS,
    SYMBOL_LESS_EQUAL,
    SYMBOL_GREATER,
    SYMBOL_GREATER_EQUAL,
    SYMBOL_CONCAT,    /* || */
    SYMBOL_NULL_SAFE, /* <=> */
};

enum number_suffix {
    NUMBER_PLAIN, /* without a suffix and without '.' or exponent: an integer */
    NUMBER_POINT, /* without a suffix, with '.' or exponent: DOUBLE */
    NUMBER_Y,     /* 1Y, 1S, 1L, 3.5BD, 3.14F, 3.14D */
    NUMBER_S,
    NUMBER_L,
    NUMBER_BD,
    NUMBER_F,
    NUMBER_D,
    NUMBER_BAD, /* runs into letters that are no suffix: an id, or a mistake; text has them all */
};

struct token {
    enum token_kind kind;
    enum keyword keyword; /* TOKEN_WORD outside back-quotes, else KEYWORD_NONE */
    enum symbol symbol;
    enum number_suffix suffix;
    bool quoted;  /* TOKEN_WORD in back-quotes */
    uint32_t at;  /* byte offset of the first byte */
    uint32_t end; /* behind the last byte, quotes included */
    struct span text;
};

struct lexer {
    struct span text;
    uint32_t at;
    struct arena *arena;
};

/* Line and column from 1, column in characters. */
struct position {
    uint32_t line;
    uint32_t column;
};

struct position position_find(struct span text, size_t at);

/* ERR_LIMIT above LIMIT_STATEMENT_BYTES, ERR_PARSE where the text is not UTF-8. */
enum err_code lexer_init(struct lexer *lexer, struct span text, struct arena *arena,
                         struct err *err);
/* ERR_PARSE with line and column: an open string or comment, a character that begins nothing. */
enum err_code lexer_next(struct lexer *lexer, struct token *ret_token, struct err *err);
/* Reads again from `at` as a bare word of letters, digits, '_', '-', '.': unquoted region names
 * inside OPTIONS. False where there is none. */
bool lexer_bare_word(struct lexer *lexer, uint32_t at, struct token *ret_token);
/* The rest of the statement from `at`, without blanks and comments around it, up to ';', a
 * comment or the end: the value of SET. One pair of quotes around it is removed. */
enum err_code lexer_rest(struct lexer *lexer, uint32_t at, struct span *ret_rest, struct err *err);

const char *keyword_text(enum keyword keyword); /* "SELECT" */
enum keyword keyword_find(struct span word);    /* KEYWORD_NONE if it is none */
bool keyword_reserved(enum keyword keyword);
bool name_equal(struct span a, struct span b); /* ASCII case folded */

/* The next of the statements between BEGIN and END, each with its ';', from `at` on: behind BEGIN, or behind the
 * last ';'. END is a word where a statement could begin, so CASE ... END is none. */
enum body_part {
    BODY_STATEMENT, /* *ret_statement without its ';', *ret_at behind it */
    BODY_END,       /* *ret_at behind END */
    BODY_OPEN, /* the text ends before END, or inside a string or comment; *ret_at: the place */
};
enum body_part lexer_body_next(struct span text, size_t at, struct span *ret_statement,
                               size_t *ret_at);

/* Splits a script at ';' outside strings, back-quotes and comments. CREATE SCHEDULE ... AS BEGIN ...; END
 * is one statement. */
struct splitter {
    struct span text;
    size_t at;
};

struct splitter splitter_of(struct span script);
/* The next statement that is more than blanks and comments, without its ';'. False at the end.
 * ret_complete (may be NULL): a ';' ended it, so that a shell knows when to read another line; a
 * statement that ends inside a string or comment is not complete. Never fails: what is malformed is
 * handed on for the parser to complain about. */
bool splitter_next(struct splitter *splitter, struct span *ret_statement, bool *ret_complete);

#endif
