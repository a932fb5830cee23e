/* What a statement says: the tree that the parser builds.
 *
 * Invariants: 1. names and literals are as written (names keep their case, strings have their
 * escapes resolved); nothing is looked up. 2. an absent name, text or option is an empty span or a
 * false flag, said at the field. 3. expressions are at most LIMIT_EXPRESSION_DEPTH deep, AND and OR
 * hold all their operands side by side. 4. queries are at most LIMIT_QUERY_DEPTH deep.
 * Memory: everything lives in the arena given to statement_parse and borrows from the text.
 * Places (`at`) are byte offsets into the text: position_find (lexer.h).
 */
#ifndef NODE_SQL_AST_H
#define NODE_SQL_AST_H

#include "proto/type.h"

/* X(kind, text, changes): changes = it may change what the node stores (and so is remembered under
 * its statement id). */
#define STATEMENT_KINDS(X)                                                                         \
    X(SELECT, "SELECT", 0)                                                                         \
    X(EXPLAIN, "EXPLAIN", 0)                                                                       \
    X(INSERT, "INSERT", 1)                                                                         \
    X(CREATE_TABLE, "CREATE TABLE", 1)                                                             \
    X(DROP_TABLE, "DROP TABLE", 1)                                                                 \
    X(ADD_PARTITIONS, "ALTER TABLE ADD PARTITION", 1)                                              \
    X(DROP_PARTITIONS, "ALTER TABLE DROP PARTITION", 1)                                            \
    X(ALTER_TABLE, "ALTER TABLE", 1)                                                               \
    X(TRUNCATE_TABLE, "TRUNCATE TABLE", 1)                                                         \
    X(ALTER_CLUSTERING, "ALTER TABLE CLUSTERED BY", 1)                                             \
    X(CREATE_SNAPSHOT, "CREATE SNAPSHOT TABLE", 1)                                                 \
    X(ALTER_SNAPSHOT, "ALTER SNAPSHOT TABLE", 1)                                                   \
    X(DROP_SNAPSHOT, "DROP SNAPSHOT TABLE", 1)                                                     \
    X(RESTORE_TABLE, "CREATE TABLE CLONE", 1)                                                      \
    X(CLONE_TABLE, "CLONE TABLE", 1)                                                               \
    X(XCOPY, "XCOPY SNAPSHOT", 1)                                                                  \
    X(VERIFY_SNAPSHOT, "VERIFY SNAPSHOT", 0)                                                       \
    X(SCRUB, "SCRUB", 0)                                                                           \
    X(CANCEL_TASK, "CANCEL TASK", 1)                                                               \
    X(CREATE_PROJECT, "CREATE PROJECT", 1)                                                         \
    X(DROP_PROJECT, "DROP PROJECT", 1)                                                             \
    X(CREATE_ACCOUNT, "CREATE ACCOUNT", 1)                                                         \
    X(CREATE_USER, "CREATE USER", 1)                                                               \
    X(ALTER_KEYS, "ALTER ACCOUNT | USER ADD | DROP PUBLIC KEY", 1)                                 \
    X(DROP_ACCOUNT, "DROP ACCOUNT", 1)                                                             \
    X(DROP_USER, "DROP USER", 1)                                                                   \
    X(ALTER_PROJECT_XCOPY, "ALTER PROJECT XCOPY", 1)                                               \
    X(ALTER_ACCOUNT_CHANNEL, "ALTER ACCOUNT SET XCOPY CHANNEL", 1)                                 \
    X(ALTER_CHANNEL, "ALTER CHANNEL", 1)                                                           \
    X(REVOKE_TOKEN, "REVOKE XCOPY TOKEN", 1)                                                       \
    X(CREATE_SCHEDULE, "CREATE SCHEDULE", 1)                                                       \
    X(ALTER_SCHEDULE, "ALTER SCHEDULE", 1)                                                         \
    X(DROP_SCHEDULE, "DROP SCHEDULE", 1)                                                           \
    X(RUN_SCHEDULE, "RUN SCHEDULE", 1)                                                             \
    X(ADD_USER, "ADD USER", 1)                                                                     \
    X(REMOVE_USER, "REMOVE USER", 1)                                                               \
    X(GRANT, "GRANT", 1)                                                                           \
    X(REVOKE, "REVOKE", 1)                                                                         \
    X(GRANT_ROLE, "GRANT ROLE", 1)                                                                 \
    X(REVOKE_ROLE, "REVOKE ROLE", 1)                                                               \
    X(CREATE_ROLE, "CREATE ROLE", 1)                                                               \
    X(DROP_ROLE, "DROP ROLE", 1)                                                                   \
    X(LIST_ROLES, "LIST ROLES", 0)                                                                 \
    X(DESC_ROLE, "DESC ROLE", 0)                                                                   \
    X(SET_PROTECTION, "SET ProjectProtection", 1)                                                  \
    X(ADD_TRUSTED, "ADD TRUSTEDPROJECT", 1)                                                        \
    X(REMOVE_TRUSTED, "REMOVE TRUSTEDPROJECT", 1)                                                  \
    X(LIST_TRUSTED, "LIST TRUSTEDPROJECTS", 0)                                                     \
    X(SHOW, "SHOW", 0)                                                                             \
    X(DESC, "DESC", 0)                                                                             \
    X(USE, "USE", 0)                                                                               \
    X(SET, "SET", 0)                                                                               \
    X(CLEANUP, "CLEANUP", 0)                                                                       \
    X(WHOAMI, "WHOAMI", 0)                                                                         \
    X(LIST_USERS, "LIST USERS", 0)

enum statement_kind {
#define X(kind, text, changes) STATEMENT_##kind,
    STATEMENT_KINDS(X)
#undef X
        STATEMENT_KIND_COUNT
};

/* project.table, table, project.default.table, SYSTEM_CATALOG.INFORMATION_SCHEMA.view. The parser
 * has turned three parts with schema `default` into two. */
struct name {
    struct span project; /* empty: the current project */
    struct span object;
    bool
        system; /* a view of SYSTEM_CATALOG.INFORMATION_SCHEMA: object is the view, project empty */
    uint32_t at;
};

enum literal_kind {
    LITERAL_NULL,
    LITERAL_BOOLEAN,   /* text "true" or "false" */
    LITERAL_INTEGER,   /* 12: digits, with '-' in front where it was negated */
    LITERAL_BIGINT,    /* 12L */
    LITERAL_SMALL,     /* 12Y, 12S */
    LITERAL_DECIMAL,   /* 299.00BD */
    LITERAL_DOUBLE,    /* 1.5, 1e3, 3.14F */
    LITERAL_STRING,    /* text without quotes, escapes resolved */
    LITERAL_DATE,      /* DATE '2024-01-15': text inside the quotes */
    LITERAL_DATETIME,  /* DATETIME '...' */
    LITERAL_TIMESTAMP, /* TIMESTAMP '...' */
};

struct literal {
    struct span text; /* without suffix */
    enum literal_kind kind;
    uint32_t at;
};

/* OPTIONS(key=value, ...), TBLPROPERTIES("key"="value", ...). Values have their outer blanks
 * trimmed (the product page prints one inside the quotes). Keys are known ones: the parser refuses
 * others for statements whose options it knows. */
struct option {
    struct span key;
    struct literal value;
};

struct option_list {
    struct option *items;
    size_t count;
};

struct partition_item {
    struct span column;
    bool dynamic; /* INSERT: PARTITION(column), the value comes with each row */
    struct literal value;
    uint32_t at;
};

/* PARTITION(a=1, b='x'), in the order written. */
struct partition_spec {
    struct partition_item *items;
    size_t count;
    uint32_t at;
};

struct partition_specs {
    struct partition_spec *specs;
    size_t count;
};

/* ---- expressions ---- */

enum expr_kind {
    EXPR_LITERAL,
    EXPR_COLUMN,   /* qualifier.name */
    EXPR_STAR,     /* the argument of COUNT(*) */
    EXPR_AND,      /* two or more arguments */
    EXPR_OR,       /* two or more arguments */
    EXPR_NOT,      /* 1 */
    EXPR_NEGATE,   /* 1 */
    EXPR_BINARY,   /* 2, by op */
    EXPR_IS_NULL,  /* 1; negated: IS NOT NULL */
    EXPR_BETWEEN,  /* 3: value, low, high; negated */
    EXPR_IN,       /* value, then the list; negated */
    EXPR_LIKE,     /* 2: text, pattern; negated */
    EXPR_CAST,     /* 1, to `type` */
    EXPR_CALL,     /* name(arguments) */
    EXPR_CASE,     /* [operand,] condition, result, ...; [else]: simple, has_else */
    EXPR_DISTINCT, /* 2: a IS DISTINCT FROM b; negated: a <=> b */
    EXPR_RLIKE,    /* 2: text, pattern; negated */
    EXPR_QUERY,    /* (SELECT ...): its one value */
    EXPR_EXISTS,   /* EXISTS (SELECT ...) */
    EXPR_IN_QUERY, /* 1: value IN (SELECT ...); negated */
};

enum binary_op {
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_MODULO,
    OP_CONCAT,
    OP_EQUAL,
    OP_NOT_EQUAL,
    OP_LESS,
    OP_LESS_EQUAL,
    OP_GREATER,
    OP_GREATER_EQUAL,
};

struct select;

struct expr {
    enum expr_kind kind;
    enum binary_op op; /* EXPR_BINARY */
    bool negated;      /* EXPR_IS_NULL, EXPR_BETWEEN, EXPR_IN, EXPR_LIKE, EXPR_IN_QUERY */
    bool distinct;     /* EXPR_CALL: COUNT(DISTINCT x) */
    bool simple;       /* EXPR_CASE: CASE operand WHEN value ... */
    bool has_else;     /* EXPR_CASE */
    uint32_t at;
    uint32_t end;     /* behind the last byte: the text of an unnamed result column */
    uint32_t depth;   /* 1 + the deepest argument's */
    struct type type; /* EXPR_CAST */
    struct literal literal;
    struct span project;   /* EXPR_COLUMN: of project.table.column, or empty */
    struct span qualifier; /* EXPR_COLUMN: table name or alias, or empty */
    struct span name;      /* EXPR_COLUMN, EXPR_CALL */
    struct select *query;  /* EXPR_QUERY, EXPR_EXISTS, EXPR_IN_QUERY */
    struct expr **args;
    size_t arg_count;
    struct expr **within; /* EXPR_CALL: keys of WITHIN GROUP (ORDER BY ...), none: NULL */
    size_t within_count;
    uint32_t descending; /* EXPR_CALL: bit i: within[i] DESC */
};

#define WITHIN_KEYS_MAX 32 /* bits of `descending` */

/* ---- SELECT ---- */

struct select_item {
    struct expr *expr;     /* NULL: *, qualifier.* or project.qualifier.* */
    struct span project;   /* or empty */
    struct span qualifier; /* of qualifier.*, or empty */
    struct span alias;     /* or empty */
    uint32_t at;
};

struct order_item {
    struct expr *expr;
    bool descending;
};

enum from_kind {
    FROM_TABLE, /* a table, or a name of WITH */
    FROM_QUERY, /* (SELECT ...) alias */
    FROM_JOIN,
};

enum join_kind {
    JOIN_CROSS, /* a comma, too */
    JOIN_INNER,
    JOIN_LEFT,
    JOIN_RIGHT,
    JOIN_FULL,
    JOIN_SEMI, /* LEFT SEMI JOIN: the left rows with a match, once each */
    JOIN_ANTI, /* LEFT ANTI JOIN: the left rows without */
};

struct from {
    enum from_kind kind;
    enum join_kind join;
    uint32_t at;
    uint32_t depth;       /* of joins below: 1 for a table */
    struct name name;     /* FROM_TABLE */
    struct span alias;    /* FROM_TABLE: or empty; FROM_QUERY */
    struct select *query; /* FROM_QUERY */
    struct from *left;    /* FROM_JOIN */
    struct from *right;
    struct expr *on; /* NULL: JOIN_CROSS */
};

struct with_item { /* name AS (SELECT ...) */
    struct span name;
    struct select *query;
    uint32_t at;
};

enum set_op {
    SET_UNION_ALL,
    SET_UNION,
    SET_INTERSECT,
    SET_EXCEPT, /* MINUS, too */
};

/* A query: the statement's, one in parentheses, one of WITH.
 *
 *     WITH ... ,-- a block: SELECT items FROM ... HAVING                  --, ORDER BY ... LIMIT
 *              `-- branches: query ops[0] query ops[1] query ..., from    --'
 *                  the left; INTERSECT, which binds tighter, is a branch
 */
struct select {
    struct with_item *with;
    size_t with_count;
    struct select **branches;
    size_t branch_count; /* 0: a block; 1: a query in parentheses with clauses behind them */
    enum set_op *ops;    /* branch_count - 1 */
    bool distinct;       /* from here to `having`: of a block */
    struct select_item *items;
    size_t item_count;
    struct from *from;  /* or NULL */
    struct expr *where; /* or NULL */
    struct expr **group_by;
    size_t group_by_count;
    struct expr *having; /* or NULL */
    struct order_item *order_by;
    size_t order_by_count;
    bool has_limit;
    int64_t limit;
    int64_t offset; /* 0 without OFFSET */
    uint32_t at;
};

/* ---- the other statements ---- */

struct column_def {
    struct span name;
    struct type type;
    bool not_null;
    bool has_default;
    struct literal default_value;
    struct span comment; /* or empty */
    uint32_t at;
};

enum cluster_kind {
    CLUSTER_BY_NOTHING, /* no clause, or NOT CLUSTERED */
    CLUSTER_BY_HASH,
    CLUSTER_BY_RANGE,
};

struct cluster_column {
    struct span name;
    bool descending; /* SORTED BY */
    uint32_t at;
};

/* [RANGE] CLUSTERED BY (...) [SORTED BY (...)] [INTO n BUCKETS] */
struct cluster_clause {
    enum cluster_kind kind;
    struct cluster_column *columns;
    size_t column_count; /* at most LIMIT_CLUSTERING_COLUMNS, as sort_count */
    struct cluster_column *sort_columns;
    size_t sort_count;
    int64_t bucket_count; /* 0: not given, of a range */
    uint32_t at;
};

/* CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t (columns) ... | ... LIKE s | ... AS SELECT */
struct create_table {
    struct name name;
    bool or_replace;
    bool if_not_exists;
    bool has_like;
    struct name like;     /* has_like: no columns then */
    struct select *query; /* AS SELECT, or NULL: no columns then */
    struct column_def *columns;
    size_t column_count;
    struct column_def *partition_columns;
    size_t partition_column_count;
    struct span comment;    /* or empty */
    int64_t lifecycle_days; /* 0: none */
    struct option_list properties;
    struct span external; /* CREATE EXTERNAL TABLE: STORED ... as written; else empty */
    struct span location; /* of it */
    struct cluster_clause clustering;
};

struct drop_object { /* DROP_TABLE, DROP_SNAPSHOT, DROP_SCHEDULE */
    struct name name;
    bool if_exists;
};

struct alter_partitions { /* ADD_PARTITIONS, DROP_PARTITIONS */
    struct name table;
    bool if_exists; /* DROP IF EXISTS; ADD IF NOT EXISTS */
    struct partition_specs partitions;
};

enum alter_kind {
    ALTER_RENAME,
    ALTER_COMMENT,
    ALTER_LIFECYCLE,
    ALTER_LIFECYCLE_SWITCH,
    ALTER_TOUCH,
    ALTER_RENAME_PARTITION,
};

struct alter_table {
    struct name table;
    enum alter_kind kind;
    struct name renamed;             /* ALTER_RENAME */
    struct span comment;             /* ALTER_COMMENT; '' takes it away */
    int64_t lifecycle_days;          /* ALTER_LIFECYCLE */
    bool on;                         /* ALTER_LIFECYCLE_SWITCH: ENABLE */
    struct partition_spec partition; /* of the last three; count 0: the table */
    struct partition_spec renamed_partition;
};

struct truncate_table {
    struct name table;
    struct partition_specs partitions; /* count 0: all */
};

struct alter_clustering {
    struct name table;
    struct cluster_clause clause; /* CLUSTER_BY_NOTHING: NOT CLUSTERED */
};

struct insert {
    struct name table;
    bool overwrite;
    struct partition_spec partition; /* count 0: none */
    struct span *columns;            /* count 0: all, in order */
    size_t column_count;
    struct select *query;   /* INSERT ... SELECT; NULL: VALUES, as follows */
    struct literal *values; /* row_count rows of row_width values, row after row */
    size_t row_count;
    size_t row_width;
};

struct create_snapshot {
    struct name name;
    struct name source;
    bool or_replace;
    bool if_not_exists;
    struct option_list options; /* expiration_timestamp, description */
};

enum alter_snapshot_kind {
    ALTER_SNAPSHOT_OPTIONS,
    ALTER_SNAPSHOT_HOLD,
    ALTER_SNAPSHOT_RELEASE,
};

struct alter_snapshot {
    struct name name;
    enum alter_snapshot_kind kind;
    struct option_list options; /* ALTER_SNAPSHOT_OPTIONS: expiration_timestamp, description */
};

/* CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t CLONE s | base [IN REGION 'r'] TIMESTAMP AS OF '...' */
struct restore_table {
    struct name name;
    struct name source;
    bool as_of;         /* source is a base table, maybe of another region; what follows is set */
    struct span region; /* or empty */
    struct literal time;
    bool or_replace;
    bool if_not_exists;
};

enum clone_existing {
    CLONE_EXISTING_FAIL, /* no IF EXISTS, or neither word behind it */
    CLONE_EXISTING_OVERWRITE,
    CLONE_EXISTING_IGNORE,
};

struct clone_table {
    struct name source;
    struct name destination;
    struct partition_specs partitions; /* count 0: the whole table */
    enum clone_existing existing;
};

struct xcopy {
    struct name source; /* project is never empty */
    struct name destination;
    struct option_list options; /* src_region, wait, queue, expiration_timestamp */
};

struct verify_snapshot {
    struct name name;
    bool deep;
    bool against;       /* VERIFY SNAPSHOT s AGAINST OPTIONS(region=, snapshot=) */
    struct span region; /* against: of the other; its project is empty: named like this one's */
    struct name other;
};

enum scrub_kind {
    SCRUB_ALL, /* SCRUB, SCRUB ALL */
    SCRUB_TABLE,
    SCRUB_SNAPSHOT,
};

struct scrub_scope {
    enum scrub_kind kind;
    struct name name; /* but SCRUB_ALL */
};

struct create_project {
    struct span project;
    bool if_not_exists;
    struct span owner; /* ALIYUN$name, or empty */
};

struct drop_project {
    struct span project;
    bool if_exists;
};

struct create_account {  /* CREATE_ACCOUNT, CREATE_USER */
    struct span account; /* ALIYUN$name, RAM$account:name */
    bool if_not_exists;
    struct span public_key; /* with its proof */
};

struct alter_keys {   /* ALTER_KEYS */
    struct span name; /* of an account or user */
    bool user;        /* ALTER USER was said */
    bool drop;
    bool last; /* DROP LAST PUBLIC KEY */
    struct span public_key;
};

struct drop_principal { /* DROP_ACCOUNT, DROP_USER */
    struct span name;
    bool if_exists;
};

struct alter_switch {    /* ALTER_PROJECT_XCOPY, ALTER_ACCOUNT_CHANNEL */
    struct span project; /* ALTER_PROJECT_XCOPY */
    bool on;             /* ENABLE, ON ACKNOWLEDGE COMPLIANCE */
};

struct alter_channel {
    struct span region;
    bool is_default;
    struct span bandwidth; /* as written: 2 Gbit/s; DEFAULT: empty */
    bool in_window;        /* BETWEEN */
    struct span from, to;  /* as written: 22:00 */
    struct span timezone;  /* as written; or empty */
};

/* What becomes of runs that were planned while the node was down, or its clock doubted. */
enum missed_runs {
    MISSED_RUNS_LATEST, /* the last one runs; also where nothing is said */
    MISSED_RUNS_ALL,
    MISSED_RUNS_SKIP,
};

struct schedule_variable { /* SET name='value' */
    struct span name;
    struct span value;
    uint32_t at;
    uint32_t value_at;
};

/* A statement of BEGIN ... END as written, without its ';': parameters are not replaced, so it is
 * parsed at each run (and once at CREATE, by node/schedule). */
struct schedule_step {
    struct span text;
    uint32_t at;
};

/* CREATE SCHEDULE s CRON '...' | ON SNAPSHOT OF p.t OPTIONS(src_region=r) ... AS BEGIN ...; END */
struct create_schedule {
    struct name name;
    bool if_not_exists;
    bool has_cron; /* or on_snapshot, or both */
    bool on_snapshot;
    struct span cron;
    uint32_t cron_at;
    struct name trigger;                /* on_snapshot: a base table of the source; has a project */
    struct option_list trigger_options; /* src_region */
    struct span timezone;               /* or empty: UTC */
    uint32_t timezone_at;
    bool has_from;
    bool has_to;
    struct literal effective_from; /* has_from: a string, DATE or DATETIME */
    struct literal effective_to;   /* has_to */
    struct span after;             /* a schedule of the same project, or empty */
    uint32_t after_at;
    int64_t retry_count; /* 0: no RETRY */
    int64_t retry_minutes;
    enum missed_runs missed;
    struct schedule_variable *variables;
    size_t variable_count;
    struct span comment;         /* or empty */
    struct schedule_step *steps; /* at least one */
    size_t step_count;
};

struct alter_schedule {
    struct name name;
    bool pause; /* else RESUME */
};

struct run_schedule {
    struct name name;
    struct literal first; /* a string, DATE or DATETIME: the day, or the planned time */
    bool has_last;
    struct literal last;
    struct option_list options; /* allow_past_snapshots */
};

enum grant_object {
    GRANT_ON_TABLE,
    GRANT_ON_PROJECT,
};

struct grant {            /* GRANT, REVOKE */
    struct span *actions; /* as written */
    size_t action_count;
    enum grant_object object;
    struct name name; /* GRANT_ON_PROJECT: object is the project */
    struct span user; /* or the role */
    bool to_role;
    int64_t expires_days; /* 0: never */
};

struct grant_role { /* GRANT_ROLE, REVOKE_ROLE */
    struct span *roles;
    size_t role_count;
    struct span user;
};

struct trusted {        /* ADD_TRUSTED, REMOVE_TRUSTED */
    struct span region; /* or empty: this one */
    struct span project;
};

enum show_kind {
    SHOW_TABLES,
    SHOW_SNAPSHOT_TABLES,
    SHOW_PARTITIONS,
    SHOW_PROJECTS,
    SHOW_TASKS,
    SHOW_CREATE_TABLE,
    SHOW_HISTORY,
    SHOW_CHANNELS,
    SHOW_XCOPY_TOKENS,
    SHOW_GRANTS,
    SHOW_ACL,
    SHOW_ACCOUNTS,
    SHOW_RAM_USERS,
    SHOW_PUBLIC_KEYS,
    SHOW_XCOPY_CHANNEL,
    SHOW_SCHEDULES,
    SHOW_SCHEDULE_RUNS,
    SHOW_CREATE_SCHEDULE,
};

struct show {
    enum show_kind kind;
    /* SHOW_PARTITIONS, SHOW_CREATE_TABLE, SHOW_CREATE_SCHEDULE, SHOW_HISTORY, SHOW_ACL,
     * SHOW_SCHEDULE_RUNS (object empty: all) */
    struct name name;
    struct partition_spec partition; /* SHOW_PARTITIONS t PARTITION(..); count 0: all */
    struct span project;             /* SHOW TABLES | SCHEDULES IN p; or empty */
    bool has_like;
    struct span like;         /* SHOW TABLES LIKE 'x' */
    struct span user;         /* SHOW GRANTS FOR u, SHOW PUBLIC KEYS FOR u; or empty */
    bool of_role;             /* SHOW GRANTS FOR ROLE r: `user` is the role */
    enum grant_object object; /* SHOW_ACL: GRANT_ON_PROJECT: name.object is the project */
};

struct desc {
    struct name name;
    bool extended;
    struct partition_spec partition; /* count 0: none */
};

struct setting {
    struct span key;   /* odps.namespace.schema */
    struct span value; /* rest of the statement, one pair of quotes around it removed */
};

struct statement {
    enum statement_kind kind;
    struct span text; /* what was parsed: positions count from its start */
    union {
        struct select select;
        struct statement *explained; /* EXPLAIN */
        struct insert insert;
        struct create_table create_table;
        struct drop_object drop;            /* DROP_TABLE, DROP_SNAPSHOT, DROP_SCHEDULE */
        struct alter_partitions partitions; /* ADD_PARTITIONS, DROP_PARTITIONS */
        struct alter_table alter_table;
        struct truncate_table truncate;
        struct alter_clustering alter_clustering;
        struct create_snapshot create_snapshot;
        struct alter_snapshot alter_snapshot;
        struct restore_table restore_table;
        struct clone_table clone_table;
        struct xcopy xcopy;
        struct verify_snapshot verify_snapshot;
        struct scrub_scope scrub;
        struct span task;        /* CANCEL_TASK: the id as written */
        struct span xcopy_token; /* REVOKE_TOKEN: the id as written */
        struct create_project create_project;
        struct drop_project drop_project;
        struct span project;                  /* USE */
        struct create_account create_account; /* CREATE_ACCOUNT, CREATE_USER */
        struct alter_keys alter_keys;
        struct drop_principal drop_principal; /* DROP_ACCOUNT, DROP_USER */
        struct alter_switch alter_switch;     /* ALTER_PROJECT_XCOPY, ALTER_ACCOUNT_CHANNEL */
        struct alter_channel alter_channel;
        struct create_schedule create_schedule;
        struct alter_schedule alter_schedule;
        struct run_schedule run_schedule;
        struct span user;             /* ADD_USER, REMOVE_USER */
        struct grant grant;           /* GRANT, REVOKE */
        struct grant_role grant_role; /* GRANT_ROLE, REVOKE_ROLE */
        struct span role;             /* CREATE_ROLE, DROP_ROLE, DESC_ROLE */
        bool protect;                 /* SET_PROTECTION */
        struct trusted trusted;       /* ADD_TRUSTED, REMOVE_TRUSTED */
        struct show show;
        struct desc desc;
        struct setting set;
    };
};

const char *statement_kind_text(enum statement_kind kind); /* "CREATE SNAPSHOT TABLE" */
bool statement_changes(const struct statement *statement);
/* The query whose rows it writes: INSERT ... SELECT, CREATE TABLE ... AS SELECT; else NULL. Such a
 * statement may take long, and ends without a trace when its client says so. */
const struct select *statement_written_query(const struct statement *statement);

/* NULL when absent; key ASCII case folded. */
const struct option *option_find(const struct option_list *options, const char *key);
/* Absent: *ret_value keeps what it is. TRUE, FALSE, 'true', 'false'; else ERR_PARSE. */
enum err_code option_boolean(const struct option_list *options, const char *key, bool *ret_value,
                             struct err *err);

/* A literal as a value of a column's type: the implicit casts of INSERT and PARTITION(...). Numbers
 * and strings go to every type whose text form they have; DATE to DATE and DATETIME, DATETIME and
 * TIMESTAMP (at most milliseconds) to DATETIME. NULL is a null value of any type. ERR_CAST names
 * literal and type. Text borrows from the literal. */
enum err_code literal_value(const struct literal *literal, struct type type,
                            struct value *ret_value, struct err *err);

#endif
