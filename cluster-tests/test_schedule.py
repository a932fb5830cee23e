"""Schedules on real nodes, whose time goes on to just before the minute and then by itself: a run at its minute, once, also over a
kill -9; and none on a clock that jumped."""
import time
from datetime import datetime

import pytest

from conftest import SOURCE
from test_faults_clock import DAY, YEAR, Ahead, Clock, logged, up

SECONDS = 150  # two minutes of the clock, and some


@pytest.fixture
def ahead(tmp_path):
    return Ahead(tmp_path / "ahead")


def until(condition, what):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    pytest.fail(what())


def runs(region, name, *states):
    return [row for row in region.sql(f"SHOW SCHEDULE RUNS FOR {name};") if not states or row["state"] in states]


def test_the_pages_script_runs_at_its_minute_and_once_over_a_kill(cluster, ahead):
    region, = cluster.up(SOURCE, env=ahead.env)
    region.sql("CREATE TABLE a (n BIGINT); CREATE TABLE b (n BIGINT); INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (3);"
               "CREATE TABLE seen (minute STRING);")
    region.sql("""CREATE SCHEDULE create_daily_snapshots CRON '* * * * *' TIMEZONE 'Asia/Singapore' MISSED RUNS ALL
        SET var1='$[yyyymmddhh24mi]', var2='$[yyyymmddhh24mi]' COMMENT 'Create daily snapshots for tables.' AS BEGIN
        -- This script creates daily snapshots for tables 'a' and 'b'.
        CREATE SNAPSHOT TABLE a_snapshot_${var1} CLONE a; CREATE SNAPSHOT TABLE b_snapshot_${var2} CLONE b;
        INSERT INTO seen VALUES ('${var1}');
        END;
        CREATE SCHEDULE verify CRON '* * * * *' TIMEZONE 'Asia/Singapore' AFTER create_daily_snapshots AS BEGIN
        SET odps.namespace.schema=true;
        SELECT * FROM a_snapshot_$[yyyymmddhh24mi]; SELECT * FROM b_snapshot_$[yyyymmddhh24mi]; END;""")
    listed = {row["schedule"]: row for row in region.sql("SHOW SCHEDULES;")}
    assert listed["verify"]["after"] == "create_daily_snapshots"
    assert "CLONE a;" in listed["create_daily_snapshots"]["statements"]
    assert listed["verify"]["next_run"]

    ahead.go_to_second(58)
    first = until(lambda: runs(region, "verify", "SUCCEEDED"), lambda: str(region.sql("SHOW SCHEDULE RUNS;")) + region.log[-2000:])[0]
    assert (first["cause"], first["statements_done"], first["last_rows"]) == ("CLOCK", 3, 1)
    late = datetime.fromisoformat(first["started"]) - datetime.fromisoformat(first["planned"])
    assert 0 <= late.total_seconds() < 20

    ahead.go_to_second(59)
    cluster.kill(region.name)  # about when the next minute comes; whatever it cuts goes on
    ahead.go_to_second(1)
    cluster.start(region.name, ahead.env)
    until(lambda: len(runs(region, "verify", "SUCCEEDED")) >= 2, lambda: str(region.sql("SHOW SCHEDULE RUNS;")))
    region.sql("ALTER SCHEDULE create_daily_snapshots PAUSE; ALTER SCHEDULE verify PAUSE;")
    until(lambda: not runs(region, "create_daily_snapshots", "RUNNING", "QUEUED"), lambda: region.log[-2000:])

    ended = runs(region, "create_daily_snapshots")
    assert {row["state"] for row in ended} == {"SUCCEEDED"}, ended
    minutes = [row["minute"] for row in region.sql("SELECT minute FROM seen ORDER BY minute;")]
    assert len(minutes) == len(set(minutes)) == len(ended)
    names = {row["snapshot"] for row in region.sql("SHOW SNAPSHOT TABLES;")}
    assert names == {f"{table}_snapshot_{minute}" for table in "ab" for minute in minutes}
    assert region.one(f"SELECT COUNT(*) AS n FROM a_snapshot_{minutes[0]};")["n"] == 2
    region.sql("DROP SCHEDULE verify; DROP SCHEDULE create_daily_snapshots;")
    assert region.sql("SHOW SCHEDULES;") == []
    region.fsck()


def test_the_pages_daily_backup_runs_in_two_regions_at_their_minutes(cluster, ahead):
    """The page's three steps with its scripts; a minute is their day, so each step is of the minute before."""
    primary, backup = cluster.up("cn-hongkong", "ap-southeast-1", env=ahead.env)
    primary.sql("CREATE PROJECT src_project; USE src_project; CREATE TABLE a (n BIGINT) PARTITIONED BY (p STRING); CREATE TABLE b (n BIGINT);"
                "INSERT INTO a PARTITION (p='x') VALUES (1), (2); INSERT INTO b VALUES (3);")
    backup.sql("CREATE PROJECT dest_project;")
    primary.sql("""USE src_project;
        CREATE SCHEDULE create_daily_snapshots CRON '* * * * *' SET var1='$[yyyymmddhh24mi]', var2='$[yyyymmddhh24mi]' AS BEGIN
        CREATE SNAPSHOT TABLE a_snapshot_${var1} CLONE a; CREATE SNAPSHOT TABLE b_snapshot_${var2} CLONE b; END;""")
    ahead.go_to_second(58)
    until(lambda: primary.sql("USE src_project; SHOW SCHEDULE RUNS FOR create_daily_snapshots;"), lambda: primary.log[-2000:])
    backup.sql("""USE dest_project;
        CREATE SCHEDULE xcopy_daily_snapshots CRON '* * * * *' AS BEGIN
        -- This script uses XCOPY to replicate the daily snapshots created in the source region.
        XCOPY SNAPSHOT src_project.a_snapshot_$[yyyymmddhh24mi-1/24/60] TO SNAPSHOT a_snapshot_$[yyyymmddhh24mi-1/24/60]
            options(src_region="cn-hongkong");
        XCOPY SNAPSHOT src_project.b_snapshot_$[yyyymmddhh24mi-1/24/60] TO SNAPSHOT b_snapshot_$[yyyymmddhh24mi-1/24/60]
            options(src_region="cn-hongkong"); END;
        CREATE SCHEDULE verify_daily_snapshots CRON '* * * * *' AFTER xcopy_daily_snapshots AS BEGIN
        VERIFY SNAPSHOT a_snapshot_$[yyyymmddhh24mi-1/24/60] DEEP; VERIFY SNAPSHOT b_snapshot_$[yyyymmddhh24mi-1/24/60] DEEP;
        SET odps.namespace.schema=true;
        SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.tables WHERE table_catalog = 'dest_project'
            AND table_type = 'SNAPSHOT_TABLE' AND table_name LIKE "%_snapshot_$[yyyymmddhh24mi-1/24/60]"; END;""")
    look = "USE dest_project; SHOW SCHEDULE RUNS;"
    ahead.go_to_second(58)
    first = until(lambda: [row for row in backup.sql(look) if row["schedule"] == "verify_daily_snapshots" and row["state"] == "SUCCEEDED"],
                  lambda: str(backup.sql(look)) + backup.log[-2000:])[0]
    assert (first["cause"], first["statements_done"], first["last_rows"]) == ("CLOCK", 4, 2)
    copies = backup.sql("USE dest_project; SHOW SNAPSHOT TABLES;")
    made = {row["snapshot"]: row["version"] for row in primary.sql("USE src_project; SHOW SNAPSHOT TABLES;")}
    assert copies and all(row["version"] == made[row["snapshot"]] for row in copies)
    assert sum(row["proven_deep"] is not None for row in copies) >= 2
    for region in (primary, backup):
        region.fsck()


def test_nothing_runs_on_a_clock_that_jumped(tmp_path, cluster):
    clock = Clock(tmp_path / "clock")
    region = up(cluster, clock, SOURCE, SOURCE)[0]
    region.sql("CREATE SCHEDULE s CRON '0 * * * *' MISSED RUNS ALL AS BEGIN SELECT 1; END;")
    for off in (YEAR, -2 * YEAR, 3 * DAY):
        clock.jump_to(off)
        logged(region, "the clock jumped", 1)
        time.sleep(3)  # passes go by; there is nothing else to wait for
        assert len(runs(region, "s")) <= 1, runs(region, "s")  # an hour that really came
    clock.jump_to(0)
