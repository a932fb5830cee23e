/* One statement's text -> its tree (ast.h).
 *
 *     statement_parse --- parser_table.c      CREATE / DROP / ALTER TABLE
 *                     `-- parser_cluster.c    CLUSTERED BY
 *      (parser.c: the     parser_snapshot.c   SNAPSHOT TABLE, CLONE, XCOPY, VERIFY
 *       table of          parser_insert.c     INSERT
 *       statements)       parser_session.c    SHOW, DESC, USE, SET, WHOAMI, CANCEL
 *                         parser_rights.c     PROJECT, ACCOUNT, CHANNEL, USER, GRANT
 *                         parser_schedule.c   SCHEDULE
 *                         parser_select.c     SELECT;  parser_expr.c  expressions
 *
 * Errors are ERR_PARSE "line L, column C: found X, expected Y"; ERR_SEMANTIC "... is not supported
 * yet" for statements that are known but later; ERR_LIMIT above LIMIT_STATEMENT_BYTES,
 * LIMIT_EXPRESSION_DEPTH or the arena's budget.
 * Nothing here looks anything up: binding is bind.h (SELECT) and node/statement (the others).
 */
#ifndef NODE_SQL_PARSER_H
#define NODE_SQL_PARSER_H

#include "node/sql/ast.h"
#include "proto/arena.h"
#include "proto/limits.h"

/* A budget in which every statement within LIMIT_STATEMENT_BYTES fits but freak ones. */
#define STATEMENT_ARENA_BYTES (96 * MIB(1))

/* One statement; one ';' may follow it. The result lives in the arena and borrows from text. */
enum err_code statement_parse(struct span text, struct arena *arena,
                              struct statement **ret_statement, struct err *err);

#endif
