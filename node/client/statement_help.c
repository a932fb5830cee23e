/* The forms of the statements, one for each kind, in the order of STATEMENT_KINDS. What a node does not
 * do yet is not here; README's "Not there yet" names it. */
#include "node/client/statement_help.h"

#include "node/sql/ast.h"

#include <strings.h>

#define WORD_ENDS " \t\r\n;" /* and the NUL */

static const char *const forms[STATEMENT_KIND_COUNT] = {
    [STATEMENT_SELECT] =
        ("[WITH ...] SELECT ... [FROM ...] [WHERE ...] [GROUP BY ...] [HAVING ...] "
         "[ORDER BY ...] [LIMIT n]"),
    [STATEMENT_EXPLAIN] = "EXPLAIN SELECT ... | INSERT ... SELECT ... | XCOPY SNAPSHOT ...",
    [STATEMENT_INSERT] =
        "INSERT INTO | OVERWRITE TABLE t [PARTITION(a='x', b)] VALUES ... | SELECT ...",
    [STATEMENT_CREATE_TABLE] =
        ("CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t (c type [NOT NULL] [DEFAULT x] [COMMENT "
         "'s'], "
         "...)\n"
         "      [COMMENT 's'] [PARTITIONED BY (p type, ...)] [LIFECYCLE days] "
         "[TBLPROPERTIES ('k'='v')]\n"
         "      [[RANGE] CLUSTERED BY (c, ...) [SORTED BY (c [DESC], ...)] [INTO n BUCKETS]]\n"
         "  CREATE [OR REPLACE] TABLE t AS SELECT ... | LIKE s\n"
         "  CREATE [OR REPLACE] EXTERNAL TABLE t (...) STORED BY 'handler' | AS format LOCATION "
         "'...'"),
    [STATEMENT_DROP_TABLE] = "DROP TABLE [IF EXISTS] t",
    [STATEMENT_ADD_PARTITIONS] = "ALTER TABLE t ADD [IF NOT EXISTS] PARTITION(a='x') ...",
    [STATEMENT_DROP_PARTITIONS] = "ALTER TABLE t DROP [IF EXISTS] PARTITION(a='x'), ...",
    [STATEMENT_ALTER_TABLE] = ("ALTER TABLE t RENAME TO u | SET COMMENT 's' | SET LIFECYCLE days | "
                               "TOUCH [PARTITION(...)]\n"
                               "  ALTER TABLE t [PARTITION(...)] ENABLE | DISABLE LIFECYCLE\n"
                               "  ALTER TABLE t PARTITION(...) RENAME TO PARTITION(...)"),
    [STATEMENT_TRUNCATE_TABLE] = "TRUNCATE TABLE t [PARTITION(...), ...]",
    [STATEMENT_ALTER_CLUSTERING] = "ALTER TABLE t [RANGE] CLUSTERED BY ... | NOT CLUSTERED",
    [STATEMENT_CREATE_SNAPSHOT] =
        ("CREATE [OR REPLACE] SNAPSHOT TABLE [IF NOT EXISTS] s CLONE t\n"
         "      [OPTIONS(expiration_timestamp=TIMESTAMP '...', description='...')]"),
    [STATEMENT_ALTER_SNAPSHOT] =
        ("ALTER SNAPSHOT TABLE s SET OPTIONS(expiration_timestamp=TIMESTAMP '...' | NULL,\n"
         "      description='...' | NULL)\n"
         "  ALTER SNAPSHOT TABLE s HOLD | RELEASE     (held: not dropped, expired or replaced)"),
    [STATEMENT_DROP_SNAPSHOT] = "DROP SNAPSHOT TABLE [IF EXISTS] s",
    [STATEMENT_RESTORE_TABLE] =
        ("CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t CLONE s\n"
         "  CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t CLONE [p.]base [IN REGION 'r']\n"
         "      TIMESTAMP AS OF '...'     (the newest snapshot of base that is not later)"),
    [STATEMENT_CLONE_TABLE] = ("CLONE TABLE [p.]t [PARTITION(...), ...] TO [q.]u [IF EXISTS "
                               "OVERWRITE | IGNORE]"),
    [STATEMENT_XCOPY] =
        ("XCOPY SNAPSHOT p.s TO SNAPSHOT [q.]s OPTIONS(src_region='...'\n"
         "      [, expiration_timestamp=TIMESTAMP '...'] [, wait=false] [, queue=true])"),
    [STATEMENT_VERIFY_SNAPSHOT] =
        ("VERIFY SNAPSHOT s [DEEP]     (DEEP decodes every file)\n"
         "  VERIFY SNAPSHOT s AGAINST OPTIONS(region='...' [, snapshot='[p.]s'])"),
    [STATEMENT_SCRUB] = "SCRUB [TABLE t | SNAPSHOT s | ALL]",
    [STATEMENT_CANCEL_TASK] = "CANCEL TASK 'id'",
    [STATEMENT_CREATE_PROJECT] = "CREATE PROJECT [IF NOT EXISTS] p [OWNER ALIYUN$a]",
    [STATEMENT_DROP_PROJECT] = "DROP PROJECT [IF EXISTS] p     (when it is empty)",
    [STATEMENT_CREATE_ACCOUNT] =
        ("CREATE ACCOUNT [IF NOT EXISTS] ALIYUN$a PUBLIC KEY '...'     (of "
         "strait pubkey --for)"),
    [STATEMENT_CREATE_USER] = "CREATE USER [IF NOT EXISTS] RAM$a:u PUBLIC KEY '...'",
    [STATEMENT_ALTER_KEYS] = ("ALTER ACCOUNT ALIYUN$a | USER RAM$a:u ADD | DROP [LAST] PUBLIC KEY "
                              "'...'"),
    [STATEMENT_DROP_ACCOUNT] = "DROP ACCOUNT [IF EXISTS] ALIYUN$a",
    [STATEMENT_DROP_USER] = "DROP USER [IF EXISTS] RAM$a:u",
    [STATEMENT_ALTER_PROJECT_XCOPY] = "ALTER PROJECT p ENABLE | DISABLE XCOPY",
    [STATEMENT_ALTER_ACCOUNT_CHANNEL] =
        ("ALTER ACCOUNT SET XCOPY CHANNEL ON ACKNOWLEDGE COMPLIANCE | OFF     "
         "(of one's own account)"),
    [STATEMENT_REVOKE_TOKEN] =
        "REVOKE XCOPY TOKEN 'id'     (one's own, at the source; of SHOW XCOPY TOKENS)",
    [STATEMENT_CREATE_SCHEDULE] =
        ("CREATE SCHEDULE [IF NOT EXISTS] s CRON '0 1 * * *' | ON SNAPSHOT OF p.t "
         "OPTIONS(src_region='...')\n"
         "      [TIMEZONE 'Asia/Hong_Kong'] [EFFECTIVE FROM '2026-01-01' TO '2026-12-31'] [AFTER "
         "other]\n"
         "      [RETRY n EVERY m MINUTES] [MISSED RUNS ALL | LATEST | SKIP] [SET v='$[yyyymmdd]', "
         "...]\n"
         "      [COMMENT 's'] AS BEGIN statement; ...; END"),
    [STATEMENT_ALTER_SCHEDULE] = "ALTER SCHEDULE s PAUSE | RESUME",
    [STATEMENT_DROP_SCHEDULE] = "DROP SCHEDULE [IF EXISTS] s",
    [STATEMENT_RUN_SCHEDULE] = ("RUN SCHEDULE s FOR '2026-01-01' [TO '2026-01-05'] "
                                "[OPTIONS(allow_past_snapshots=true)]"),
    [STATEMENT_ALTER_CHANNEL] = ("ALTER CHANNEL FROM 'region' SET BANDWIDTH '2 Gbit/s' | DEFAULT\n"
                                 "      [BETWEEN '22:00' AND '06:00']     (each day, UTC; DEFAULT "
                                 "BETWEEN removes a window)"),
    [STATEMENT_ADD_USER] = "ADD USER x     (to the project; x is ALIYUN$a or RAM$a:u)",
    [STATEMENT_REMOVE_USER] = "REMOVE USER x     (and what was granted to it)",
    [STATEMENT_GRANT] = ("GRANT action, ... ON PROJECT p | [TABLE] t TO [USER] x | ROLE r\n"
                         "      [PRIVILEGEPROPERTIES(\"expires\"=\"days\")]"),
    [STATEMENT_REVOKE] = "REVOKE action, ... ON PROJECT p | [TABLE] t FROM [USER] x | ROLE r",
    [STATEMENT_GRANT_ROLE] = "GRANT r, ... TO x",
    [STATEMENT_REVOKE_ROLE] = "REVOKE r, ... FROM x",
    [STATEMENT_CREATE_ROLE] = "CREATE ROLE r",
    [STATEMENT_DROP_ROLE] = "DROP ROLE r",
    [STATEMENT_LIST_ROLES] = "LIST ROLES",
    [STATEMENT_DESC_ROLE] = "DESC ROLE r",
    [STATEMENT_SET_PROTECTION] = "SET ProjectProtection=true | false",
    [STATEMENT_ADD_TRUSTED] = "ADD TRUSTEDPROJECT p | 'region.p'",
    [STATEMENT_REMOVE_TRUSTED] = "REMOVE TRUSTEDPROJECT p | 'region.p'",
    [STATEMENT_LIST_TRUSTED] = "LIST TRUSTEDPROJECTS",
    [STATEMENT_SHOW] =
        ("SHOW TABLES | SNAPSHOT TABLES [IN p] [LIKE 'a*']; SHOW PROJECTS | TASKS | CHANNELS\n"
         "  SHOW PARTITIONS t [PARTITION(...)]; SHOW CREATE TABLE t; SHOW HISTORY FOR TABLE t\n"
         "  SHOW GRANTS [FOR x | FOR ROLE r]; SHOW ACL FOR name [ON TYPE TABLE | PROJECT]\n"
         "  SHOW ACCOUNTS | RAM USERS | PUBLIC KEYS [FOR x] |\n"
         "      XCOPY CHANNEL | XCOPY TOKENS\n"
         "  SHOW SCHEDULES [IN p] [LIKE 'a*']; SHOW CREATE SCHEDULE s; SHOW SCHEDULE RUNS [FOR s]"),
    [STATEMENT_DESC] = "DESC [EXTENDED] t [PARTITION(...)]",
    [STATEMENT_USE] = "USE p",
    [STATEMENT_SET] = "SET name=value     (until the shell or script ends)",
    [STATEMENT_CLEANUP] = "CLEANUP",
    [STATEMENT_WHOAMI] = "WHOAMI",
    [STATEMENT_LIST_USERS] = "LIST USERS",
};

const char *statement_help_form(unsigned kind)
{
    return forms[kind];
}

static bool word_is_in(const char *form, struct span word)
{
    for (; strlen(form) >= word.len; form++)
        if (strncasecmp(form, (const char *)word.data, word.len) == 0)
            return true;
    return false;
}

static bool words_are_in(const char *form, struct span words)
{
    for (size_t at = 0; at < words.len;) {
        struct span word = span_of(words.data + at, 0);
        while (at + word.len < words.len && strchr(WORD_ENDS, word.data[word.len]) == NULL)
            word.len++;
        if (word.len > 0 && !word_is_in(form, word))
            return false;
        at += word.len + 1;
    }
    return true;
}

size_t statement_help_print(FILE *out, struct span words)
{
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        if (forms[i] == NULL || !words_are_in(forms[i], words))
            continue;
        fprintf(out, "  %s;\n", forms[i]);
        count++;
    }
    return count;
}
