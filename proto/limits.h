/* Every maximum has its name here. Sizes in bytes unless the name says otherwise. */
#ifndef PROTO_LIMITS_H
#define PROTO_LIMITS_H

#define KIB(n) ((size_t)(n)*1024)
#define MIB(n) ((size_t)(n)*1024 * 1024)

/* statements and names */
#define LIMIT_STATEMENT_BYTES       (2 * MIB(1))
#define LIMIT_NAME_BYTES            128
#define LIMIT_COMMENT_BYTES         1024
#define LIMIT_EXTERNAL_BYTES        KIB(8) /* STORED ... and LOCATION, each */
#define LIMIT_REGION_BYTES          64
#define LIMIT_PRINCIPAL_BYTES       192
#define LIMIT_ACCOUNT_BYTES         120 /* behind ALIYUN$; with the next within LIMIT_PRINCIPAL_BYTES */
#define LIMIT_USER_BYTES            64 /* behind RAM$account: */
#define LIMIT_PRINCIPAL_KEYS        64
#define LIMIT_ACCOUNT_USERS         10000
#define LIMIT_COLUMNS               1200
#define LIMIT_PARTITION_LEVELS      6
#define LIMIT_PARTITION_VALUE_BYTES 128
#define LIMIT_EXPRESSION_DEPTH      256
#define LIMIT_QUERY_DEPTH           64   /* queries that read from queries */
#define LIMIT_QUERY_WEIGHT          4096 /* queries and tables of a statement, as often as read */
#define LIMIT_SUBQUERY_DEPTH        4    /* queries within others whose columns they use */
#define LIMIT_JOIN_TABLES           32   /* in one FROM */
#define LIMIT_SET_BRANCHES          256  /* queries of one UNION, INTERSECT or EXCEPT */
#define LIMIT_OPTIONS               64
#define LIMIT_PROPERTIES_BYTES      KIB(16) /* TBLPROPERTIES of one table, keys and values */
#define LIMIT_LIFECYCLE_DAYS        37231
#define LIMIT_SCREEN_ROWS           10000
#define LIMIT_PATTERN_BYTES         4096 /* a regular expression */
#define LIMIT_CHARACTER_SET_BYTES   1024 /* looked through for each character of a text: TRIM */
#define LIMIT_AGGREGATE_BYTES       (256 * MIB(1)) /* held for one group of one aggregate */
#define SELECT_TIME_S_DEFAULT       3600
#define SELECT_TIME_S_MAX           (30 * 24 * 3600)
#define SELECT_MEMORY_BYTES_DEFAULT (512 * MIB(1))
#define SELECT_MEMORY_TOTAL_DEFAULT (1024 * MIB(1)) /* of all queries together */
#define SELECT_TEMP_BYTES_DEFAULT   (16384 * MIB(1))
#define SELECT_INTERVALS_MAX        4096 /* of a domain; more become one */
#define EXPLAIN_ROWS_MAX            1000 /* of one table; then partitions are told together */

/* schedules */
#define LIMIT_SCHEDULES              1000    /* of a project */
#define LIMIT_SCHEDULE_BYTES         KIB(32) /* of CREATE SCHEDULE: with tokens in one commit */
#define LIMIT_SCHEDULE_STEPS         100     /* statements of one */
#define LIMIT_SCHEDULE_VARIABLES     100
#define LIMIT_SCHEDULE_RETRIES       100
#define LIMIT_SCHEDULE_RETRY_MINUTES 1440
#define LIMIT_SCHEDULE_RUNS          1000 /* kept of one, whatever their age */
#define LIMIT_SCHEDULE_BACKFILL      400  /* runs of one RUN SCHEDULE */
#define LIMIT_SCHEDULE_PENDING       800  /* of one, that have not ended, with those asked for */
#define SCHEDULE_RUNS_KEPT_DAYS      30

/* rights */
#define LIMIT_TRUSTED_PROJECTS   64 /* of one project */
#define LIMIT_ROLES_OF_MEMBER    32
#define LIMIT_GRANT_ACTIONS      32 /* named in one statement */
#define LIMIT_GRANT_DAYS         36500
#define LIMIT_TOKEN_REVOCATIONS  1000  /* of one principal, kept until the tokens have ended */
#define LIMIT_TOKEN_RUNS_A_DAY   10000 /* of a standing token, whatever it says */
#define RIGHTS_SWEEP_RECORDS     250   /* deleted in one commit */
#define RIGHTS_SWEEP_RECORDS_MAX 10000 /* before others get their turn */

/* column files and row groups (docs/FORMATS.md) */
#define LIMIT_CELL_BYTES           (8 * MIB(1))
#define LIMIT_FILE_BYTES           (16 * MIB(1) + KIB(64))
#define ROW_GROUP_ROWS_MIN         32768
#define ROW_GROUP_ROWS_MAX         196608
#define ROW_GROUP_CUT_ZERO_BITS    16
#define ROW_GROUP_COLUMN_BYTES_MAX (8 * MIB(1))
#define ROW_GROUP_BYTES_MAX        (64 * MIB(1))
#define COLUMN_SHARED_BYTES_MAX    1024
#define STATISTICS_ROWS_MIN        1024
#define STATISTICS_TEXT_BYTES      32
#define LEAF_ENTRY_COLUMNS         32
#define LIMIT_BUCKETS              4096   /* of a clustered partition */
#define LIMIT_CLUSTERING_COLUMNS   16     /* CLUSTERED BY, SORTED BY */
#define SORT_KEY_BYTES_MAX         32     /* of a row group's first and last sort key */
#define RANGE_BUCKET_ROWS          262144 /* of a bucket, where the statement gives no number */

/* batches in memory and as blocks (docs/FORMATS.md) */
#define LIMIT_VECTOR_TEXT_BYTES UINT32_MAX
#define LIMIT_BATCH_ROWS        (1u << 24)

/* manifest tree */
#define LIMIT_PAGE_BYTES         KIB(32) /* a page ends after the entry that reaches this */
#define PAGE_BYTES_MIN           KIB(1)  /* and never before, but for the last of a level */
#define LIMIT_PAGE_MESSAGE_BYTES KIB(64) /* the stored message */
#define LIMIT_ENTRY_BYTES        KIB(24) /* one entry of a page */
#define LIMIT_SCHEMA_BYTES       (2 * MIB(1) - KIB(1))
#define LIMIT_VERSION_BYTES      (2 * MIB(1)) /* the record: mostly schema */
#define LIMIT_TREE_DEPTH         12
#define LIMIT_KEY_BYTES          2048

/* CLONE TABLE */
#define LIMIT_CLONE_PARTITIONS 10000 /* of one statement into a table that is there */

/* loads */
#define LOAD_MEMORY_BYTES_DEFAULT (256 * MIB(1))
#define LOAD_MEMORY_BYTES_MIN     MIB(1)
#define LIMIT_LOAD_PARTITIONS     1000000
#define SPILL_BLOCK_BYTES         MIB(1) /* about: rows are gathered until they pass it */

/* store */
#define PACK_BYTES_MAX           (64 * MIB(1))
#define THIN_LIVE_PERCENT        60 /* of a pack: below it clean-up copies it (store/repack.h) */
#define SMALL_COMMIT_BYTES_MAX   MIB(1) /* a commit below this goes to `small` */
#define SMALL_FAMILY_BYTES_MAX   (64 * MIB(1))
#define CONTENT_COMMIT_BYTES_MAX (4 * MIB(1))
#define CATALOG_COMMIT_BYTES_MAX KIB(64)
#define CATALOG_GROUP_BYTES_MAX  KIB(256) /* changes that are written as one, and one more */

/* messages */
#define LIMIT_MESSAGE_ARENA_FACTOR 64 /* arena budget per wire byte, plus 4 KiB */
#define LIMIT_HEADER_BYTES         KIB(64)
#define LIMIT_BODY_BYTES           LIMIT_FILE_BYTES
#define LIMIT_REQUEST_ITEMS        4096
#define LIMIT_RESULT_CHUNK_BYTES   MIB(1)

/* transport (docs/FORMATS.md, "The wire") */
#define HANDSHAKE_REQUEST_BYTES           180
#define HANDSHAKE_REPLY_BYTES             112
#define HANDSHAKE_TIMEOUT_MS              5000
#define LIMIT_UNAUTHENTICATED             64
#define LIMIT_UNAUTHENTICATED_PER_ADDRESS 8
#define LIMIT_HANDSHAKES_PER_SECOND       200
#define LIMIT_CONNECTIONS_PER_PEER        80
#define LIMIT_CONNECTIONS_PER_PRINCIPAL   16
#define RECORD_PLAIN_BYTES_MAX            65519
#define PING_AFTER_MS                     10000
#define SILENCE_MAX_MS                    30000
#define CONNECTION_LIFE_MS                3600000
#define CONNECTION_LIFE_BYTES             (UINT64_C(1) << 40)
#define LIMIT_CONNECTIONS                 512 /* of one listener */
#define LIMIT_REQUESTS_IN_FLIGHT          32  /* of one connection, at the serving end */
#define LIMIT_PEER_REQUEST_BYTES          MIB(1)
#define LIMIT_LINK_QUEUE                  4096 /* requests of one link, sent and waiting */
#define LIMIT_REPLY_PARTS                 LIMIT_REQUEST_ITEMS
#define LINK_DATA_CONNECTIONS_DEFAULT     4
#define LINK_DIALS_MAX                    4 /* handshakes of one link under way: half of what an address may */
#define LINK_DIAL_PAUSE_MIN_MS            100
#define LINK_DIAL_PAUSE_MAX_MS            5000
#define LINK_SILENT_CLOSES_MAX            3
#define LINK_SMALL_REPLY_BYTES            KIB(256)
#define LINK_DATA_IDLE_MS                 60000
#define LINK_REPLY_BYTES_PER_SECOND_MIN   8000 /* 16 connections share 1 Mbit/s */
#define ACCEPT_PAUSE_MS                   100
#define ACCEPT_BUSY_PAUSE_MS              10  /* while LIMIT_STREAMS_LEAVING are on their way out */
#define LIMIT_STREAMS_LEAVING             128 /* of a pool: refused or evicted, not yet closed */
#define LIMIT_BODIES_BYTES                (64 * MIB(1)) /* of replies on data connections, in memory */

/* tasks and leases */
#define LEASE_MS                   (15 * 60 * 1000)
#define LEASE_RENEW_MS             20000
#define TASK_COMMIT_AFTER_MS       30000 /* of what arrived first, when more arrives */
#define TASK_RETRY_PAUSE_MIN_MS    1000
#define TASK_RETRY_PAUSE_MAX_MS    60000
#define TASK_RETRY_TOTAL_MS        (6 * 3600 * 1000)
#define TASK_WRONG_BYTES_TRIES     3
#define TASKS_PER_PROJECT          128 /* of a destination; the next is refused */
#define TASK_STATEMENT_SHOWN_BYTES 2048

/* windows of a pull (docs/decisions/windows.md) */
#define WINDOW_BYTES_MIN         (4 * MIB(1))
#define WINDOW_BYTES_START       (64 * MIB(1)) /* at least, before it is known */
#define WINDOW_BYTES_MAX         (384 * MIB(1)) /* asked for; what of it is here: LIMIT_BODIES_BYTES */
#define WINDOW_WORK_BYTES        (32 * MIB(1))
#define WINDOW_CONNECTION_BYTES  (2 * MIB(1)) /* half of the kernel's send buffer */
#define WINDOW_CONNECTIONS_START 8
#define WINDOW_CONNECTIONS_EARLY                                                                   \
    2 /* dialled with describe: as many requests for pages come first */
#define WINDOW_REPLIES_BYTES   (64 * MIB(1))
#define WINDOW_BATCH_BYTES_MIN (512 * KIB(1))
#define WINDOW_BATCH_BYTES_MAX (4 * MIB(1))
#define WINDOW_BATCH_BYTES_LIMITED                                                                 \
    (128 * KIB(1)) /* least reply under a narrow channel: 1 s of 1 Mbit/s */
#define WINDOW_REQUESTS_MIN         16
#define WINDOW_DEADLINE_MS_MIN      120000 /* of a request for pages or files; see window_deadline_ms */
#define WINDOW_BYTES_PER_SECOND_MIN 64000 /* reckoned with while nothing is known: 0.5 Mbit/s */

/* CSV and the client */
#define LIMIT_CSV_MARK_BYTES    16 /* a delimiter, the null indicator */
#define LIMIT_CSV_PATTERN_BYTES 64
#define LIMIT_CSV_RECORD_BYTES                                                                     \
    (64 * MIB(1)) /* as ROW_GROUP_BYTES_MAX: a row must fit a row group */
#define LIMIT_TABLE_FORMAT_BYTES (16 * MIB(1)) /* held to find the widths; later rows stream */

/* operators */
#define LIMIT_OUTCOME_BYTES         KIB(16)
#define CLEAN_UP_INTERVAL_S_DEFAULT 900
#define CLEAN_UP_INTERVAL_S_MAX     86400
#define EXPIRY_INTERVAL_MS_MAX      60000 /* never rarer than this */
#define STATEMENT_MEMORY_MS         (24 * 3600 * 1000)
#define HISTORY_MS_DEFAULT          (24 * 3600 * 1000)
#define HISTORY_MS_MAX              (UINT64_C(365) * 24 * 3600 * 1000)
#define LOAD_IDLE_MS                3600000
#define CURSOR_IDLE_MS              60000
#define EXECUTE_WAIT_MAX_MS         10000
#define LIMIT_SETTINGS              64
#define LIMIT_SETTING_BYTES         1024
#define LIMIT_STATEMENT_TOKEN_BYTES 2048
#define LIMIT_STATEMENT_TOKENS      24 /* standing ones, of CREATE SCHEDULE: within a header of 64 KiB */
#define LIMIT_COLUMNS_BYTES         (2 * MIB(1)) /* the message of a result's columns */
#define LIMIT_DISPLAY_BYTES         (4 * MIB(1))
#define LIMIT_BACKUP_FILES          (1 << 20)           /* of a node's database: 64 TiB of packs */
#define LIMIT_BACKUP_FILE_BYTES     (UINT64_C(1) << 43) /* of one of them; all fit u64 */
#define LIMIT_BACKUP_LIST_BYTES     (128 * MIB(1))      /* text of a list or manifest of them */
#define BACKUP_READ_BYTES_MAX       (2 * MIB(1))        /* of one answer */
#define LIMIT_FORMER_KEYS           16                  /* of one node */
#define LIMIT_LISTED_TASKS          4096
#define LIMIT_COUNTERS              4096
#define LIMIT_PEERS                 256

#endif
