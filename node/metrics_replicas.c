#include "node/metrics_replicas.h"

#include "node/statement/statement.h"

static uint64_t age_s(uint64_t then_ms)
{
    uint64_t now_ms = statement_now_ms();
    return now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
}

/* ---- regions ---- */

static void regions_count(const struct replica_look *look, struct metric_list *list)
{
    metric_family(list, COUNTER_GAUGE, "strait_replica_tables",
                  "tables of which replicas are here, by the region of their source");
    for (size_t i = 0; i < look->region_count; i++)
        metric_labelled(list, look->regions[i].tables,
                        METRIC_LABELS({"source_region", look->regions[i].name}));
    metric_family(list, COUNTER_GAUGE, "strait_replica_lag_seconds_max",
                  "the furthest that the newest replica of a table is behind the source's newest "
                  "snapshot, as of when the source last said what that is");
    for (size_t i = 0; i < look->region_count; i++)
        if (look->regions[i].known_tables > 0)
            metric_labelled(list, look->regions[i].lag_s_max,
                            METRIC_LABELS({"source_region", look->regions[i].name}));
    metric_family(list, COUNTER_GAUGE, "strait_replica_tables_lag_unknown",
                  "tables whose lag is not known: the source has not said for 26 hours what its "
                  "newest snapshot is, and nothing newer was known before; or no replica is whole");
    for (size_t i = 0; i < look->region_count; i++)
        metric_labelled(list, look->regions[i].tables - look->regions[i].known_tables,
                        METRIC_LABELS({"source_region", look->regions[i].name}));
    metric_family(list, COUNTER_GAUGE, "strait_replica_told_age_seconds_max",
                  "the longest since the source said what a table's newest snapshot is");
    for (size_t i = 0; i < look->region_count; i++)
        if (look->regions[i].told_ms_least > 0)
            metric_labelled(list, age_s(look->regions[i].told_ms_least),
                            METRIC_LABELS({"source_region", look->regions[i].name}));
    metric_family(list, COUNTER_GAUGE, "strait_replica_age_seconds_max",
                  "the oldest snapshot that is a table's newest whole replica: since it was made");
    for (size_t i = 0; i < look->region_count; i++)
        if (look->regions[i].made_ms_least > 0)
            metric_labelled(list, age_s(look->regions[i].made_ms_least),
                            METRIC_LABELS({"source_region", look->regions[i].name}));
}

/* ---- tables, to who may describe the newest replica ---- */

static bool table_is_seen(const struct statement_services *services,
                          const struct principal *principal, const struct look_table *table)
{
    const struct snapshot_record snapshot = {.id = table->lag.replica_id,
                                             .project = table->project.id,
                                             .name = table->lag.replica,
                                             .owner = table->lag.creator};
    return authorise(principal, ACTION_ENTER, object_project(services->store, &table->project),
                     NULL) == ERR_OK &&
           authorise(principal, ACTION_DESCRIBE,
                     object_snapshot(services->store, &table->project, &snapshot), NULL) == ERR_OK;
}

static void table_count(const struct look_table *table, uint64_t value, struct metric_list *list)
{
    metric_labelled(
        list, value,
        METRIC_LABELS({"project", table->project.name}, {"source_region", table->lag.region},
                      {"source_project", table->lag.project}, {"source_table", table->lag.name}));
}

static void tables_count(const struct statement_services *services, const struct replica_look *look,
                         const struct principal *principal, struct metric_list *list)
{
    bool seen[REPLICA_TABLES_MAX];
    uint64_t shown = 0;
    for (size_t i = 0; i < look->table_count; i++) {
        seen[i] = table_is_seen(services, principal, &look->tables[i]);
        shown += seen[i];
    }
    metric_family(list, COUNTER_GAUGE, "strait_replica_lag_seconds",
                  "the same of one table; of those furthest behind");
    for (size_t i = 0; i < look->table_count; i++)
        if (seen[i] && lag_is_known(&look->tables[i].lag, statement_now_ms()))
            table_count(&look->tables[i], lag_seconds(&look->tables[i].lag), list);
    metric_family(list, COUNTER_GAUGE, "strait_replica_age_seconds",
                  "the same of one table; of those furthest behind");
    for (size_t i = 0; i < look->table_count; i++)
        if (seen[i] && look->tables[i].lag.is_whole)
            table_count(&look->tables[i], age_s(look->tables[i].lag.made_ms), list);
    metric_add(list, COUNTER_GAUGE, "strait_replica_tables_omitted",
               "replicated tables without samples of their own: beyond the bound, dropped and made "
               "again at the source, or not yours to describe",
               look->tables_total - shown);
}

/* ---- schedules ---- */

static void outcomes_count(const struct replica_look *look, struct metric_list *list)
{
    metric_family(list, COUNTER_GAUGE, "strait_schedules",
                  "schedules by how their last run ended; NONE: none has");
    metric_labelled(list, look->schedules_by_last[RUN_QUEUED],
                    METRIC_LABELS({"last_run", span_text("NONE")}));
    for (size_t state = RUN_SUCCEEDED; state < RUN_STATE_COUNT; state++)
        metric_labelled(
            list, look->schedules_by_last[state],
            METRIC_LABELS({"last_run", span_text(run_state_name((enum run_state)state))}));
    metric_add(list, COUNTER_GAUGE, "strait_schedules_paused", "schedules that are paused",
               look->schedules_paused);
}

static bool schedule_of_look_is_seen(const struct statement_services *services,
                                     const struct principal *principal,
                                     const struct look_schedule *schedule)
{
    const struct statement_call about = {.services = services, .principal = principal};
    const struct schedule same = {.id = schedule->id, .creator_id = schedule->creator_id};
    return authorise(principal, ACTION_ENTER, object_project(services->store, &schedule->project),
                     NULL) == ERR_OK &&
           schedule_is_seen(&about, &schedule->project, &same);
}

static void schedules_count(const struct statement_services *services,
                            const struct replica_look *look, const struct principal *principal,
                            struct metric_list *list)
{
    bool seen[SCHEDULES_NAMED_MAX];
    for (size_t i = 0; i < look->schedule_count; i++)
        seen[i] = look->schedules[i].ended_ms > 0 &&
                  schedule_of_look_is_seen(services, principal, &look->schedules[i]);
    metric_family(list, COUNTER_GAUGE, "strait_schedule_last_run_succeeded",
                  "1: its last run succeeded; 0: it failed or was skipped");
    for (size_t i = 0; i < look->schedule_count; i++)
        if (seen[i])
            metric_labelled(list, look->schedules[i].last == RUN_SUCCEEDED,
                            METRIC_LABELS({"project", look->schedules[i].project.name},
                                          {"schedule", look->schedules[i].name}));
    metric_family(list, COUNTER_GAUGE, "strait_schedule_last_run_timestamp_seconds",
                  "when it ended, since 1970");
    for (size_t i = 0; i < look->schedule_count; i++)
        if (seen[i])
            metric_labelled(list, look->schedules[i].ended_ms / 1000,
                            METRIC_LABELS({"project", look->schedules[i].project.name},
                                          {"schedule", look->schedules[i].name}));
}

/* ---- the disk, the look itself ---- */

static void disk_count(const struct store_disk *disk, struct metric_list *list)
{
    if (disk->total_bytes == 0)
        return;
    metric_add(list, COUNTER_GAUGE, "strait_disk_total_bytes", "of the file system of data_dir",
               disk->total_bytes);
    metric_add(list, COUNTER_GAUGE, "strait_disk_free_bytes",
               "of them free, the reserve among them", disk->free_bytes);
    metric_add(list, COUNTER_GAUGE, "strait_database_bytes",
               "tables of the database that are no packs; what only its log has is not among them",
               disk->database_bytes);
}

void metrics_of_look(const struct statement_services *services, const struct replica_look *look,
                     const struct principal *principal, struct metric_list *list)
{
    metric_add(list, COUNTER_GAUGE, "strait_look_timestamp_seconds",
               "when what is read from the store was read: disk, replicas, schedules",
               look->taken_ms / 1000);
    metric_add(list, COUNTER_GAUGE, "strait_look_duration_microseconds", "how long that took",
               look->took_us);
    metric_add(list, COUNTER_GAUGE, "strait_look_incomplete",
               "1: something could not be read, or was too much", look->err.code != ERR_OK);
    disk_count(&look->disk, list);
    regions_count(look, list);
    outcomes_count(look, list);
    if (principal == NULL)
        return;
    tables_count(services, look, principal, list);
    schedules_count(services, look, principal, list);
}
