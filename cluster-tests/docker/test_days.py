"""The daily backup over two days: the schedules of its documentation, from one region to both others, by clocks that the test
sets forward for all three."""
import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from compose import opened, settled, until

ZONE = ZoneInfo("Asia/Singapore")
BEFORE = timedelta(seconds=5)  # so long before its minute a step is waited for


@pytest.fixture(scope="module")
def compose():
    yield from opened("days", faults=True)


def snapshots_made(region, schedule, count):
    """`count` runs of it have succeeded and none has failed."""
    rows = region.sql(f"SHOW SCHEDULE RUNS FOR {schedule};")
    assert not [row for row in rows if row["state"] == "FAILED"], rows
    return len([row for row in rows if row["state"] == "SUCCEEDED"]) == count


def test_two_days_of_daily_backups(compose):
    primary, *backups = compose.regions
    now = datetime.now(ZONE)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if now.hour < 12:  # else the hours of a night that has begun might be missed by the first jump, and made up
        compose.set_to(today + timedelta(hours=12))
    primary.sql("CREATE TABLE a (n BIGINT) PARTITIONED BY (day STRING); CREATE TABLE b (n BIGINT);"
                "INSERT INTO a PARTITION (day='1') VALUES (1), (2); INSERT INTO b VALUES (3);")
    primary.sql("""CREATE SCHEDULE create_daily_snapshots CRON '0 1 * * *' TIMEZONE 'Asia/Singapore'
        SET var1='$[yyyymmdd]', var2='$[yyyymmdd]' AS BEGIN
        CREATE SNAPSHOT TABLE a_snapshot_${var1} CLONE a; CREATE SNAPSHOT TABLE b_snapshot_${var2} CLONE b; END;""")
    for backup in backups:
        backup.sql(f"""CREATE SCHEDULE xcopy_daily_snapshots CRON '0 2 * * *' TIMEZONE 'Asia/Singapore' RETRY 3 EVERY 1 MINUTES AS BEGIN
            XCOPY SNAPSHOT demo.a_snapshot_$[yyyymmdd] TO SNAPSHOT a_snapshot_$[yyyymmdd] OPTIONS(src_region="{primary.name}");
            XCOPY SNAPSHOT demo.b_snapshot_$[yyyymmdd] TO SNAPSHOT b_snapshot_$[yyyymmdd] OPTIONS(src_region="{primary.name}"); END;
            CREATE SCHEDULE verify_daily_snapshots CRON '0 3 * * *' TIMEZONE 'Asia/Singapore' AS BEGIN
            VERIFY SNAPSHOT a_snapshot_$[yyyymmdd] DEEP; VERIFY SNAPSHOT b_snapshot_$[yyyymmdd] DEEP;
            SELECT COUNT(*) FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.tables WHERE table_catalog = 'demo'
                AND table_type = 'SNAPSHOT_TABLE' AND table_name LIKE "%_snapshot_$[yyyymmdd]"; END;""")
    days = []
    for number in (1, 2):
        day = today + timedelta(days=number)
        days.append(day.strftime("%Y%m%d"))
        compose.set_to(day + timedelta(hours=1) - BEFORE)
        until(lambda: snapshots_made(primary, "create_daily_snapshots", number), lambda: primary.sql("SHOW SCHEDULE RUNS;"))
        primary.sql(f"INSERT INTO a PARTITION (day='{number + 1}') VALUES (4); INSERT INTO b VALUES (5);")
        for hour, schedule in ((2, "xcopy_daily_snapshots"), (3, "verify_daily_snapshots")):
            compose.set_to(day + timedelta(hours=hour) - BEFORE)
            for backup in backups:
                until(lambda: snapshots_made(backup, schedule, number), lambda: f"{backup.sql('SHOW SCHEDULE RUNS;')}\n{backup.log[-3000:]}")
    wanted = sorted(f"{table}_snapshot_{day}" for table in "ab" for day in days)
    made = {row["snapshot"]: row["version"] for row in primary.sql("SHOW SNAPSHOT TABLES;")}
    assert sorted(made) == wanted
    for backup in backups:
        rows = backup.sql("SHOW SNAPSHOT TABLES;")
        assert {row["snapshot"]: row["version"] for row in rows} == made
        assert all(row["proven_deep"] for row in rows), rows
        counted = [row for row in backup.sql("SHOW SCHEDULE RUNS;") if row["schedule"] == "verify_daily_snapshots"]
        assert [row["last_rows"] for row in counted] == [1, 1]
        moved = {row["statement"]: int(row["partitions_moved"]) for row in backup.sql(
            "SELECT statement, partitions_moved FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_TASKS;")}
        second = [count for text, count in moved.items() if re.search(rf"a_snapshot_{days[1]}", text)]
        assert second == [1], moved  # of two partitions, the new one
    assert settled(compose) == len(wanted) * len(backups)
