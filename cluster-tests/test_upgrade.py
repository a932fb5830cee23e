"""An upgrade one region at a time: nodes of an earlier release and of this one together, XCOPYs under way in both directions
while each is replaced, stores of the earlier release opened, and stores of this one refused by it.

What is copied is held back by ALTER CHANNEL, so that it is under way whatever the machine's speed; nothing is timed."""
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, Failed, command
from old_programs import client, old_bin, replace, start
from test_scrub import damage, scrub

END_SECONDS = 120
SLOW, FAST = "'1 Mbit/s'", "'10 Gbit/s'"
DAYS, ROWS = 30, 10000
TABLE = "CREATE TABLE {} (id BIGINT, amount DECIMAL(12,2), region STRING, note STRING) PARTITIONED BY (order_date DATE);"
ASK = "SELECT COUNT(*) AS n, SUM(id) AS ids, SUM(amount) AS amount, MAX(note) AS note FROM {};"
VIEW = "SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.{};"
VIEWS = ("TABLES", "PARTITIONS", "COLUMNS", "TABLE_PRIVILEGES", "USERS", "AUDIT_LOG", "XCOPY_TASKS", "XCOPY_LAG", "XCOPY_USAGE",
         "SNAPSHOT_RECEIPTS", "SCHEDULE_RUNS")
RAISED = "the store was of an older format"


@pytest.fixture
def old_pair(cluster):
    """(programs, one, other): two regions of the earlier release."""
    programs = old_bin()
    cluster.extra = ['scrub_rate = "0"']
    return programs, *cluster.up(SOURCE, DESTINATION, env={"STRAIT_BIN": str(programs)})


def until(condition, *told):
    deadline = time.monotonic() + END_SECONDS
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, [look() for look in told]
        time.sleep(0.1)


def load(region, folder, table, seed, rows=ROWS):
    """A table, and the snapshot TABLE_s of it."""
    path = folder / f"{table}.csv"
    path.write_text(command(BIN / "strait-sales", "--days", DAYS, "--rows", rows, "--seed", seed))
    region.sql(TABLE.format(table))
    region.upload(path, table, "-acp=true", "-h=true")
    region.sql(f"CREATE SNAPSHOT TABLE {table}_s CLONE {table};")


def limit(to, source, bandwidth):
    to.sql(f"ALTER CHANNEL FROM '{source.name}' SET BANDWIDTH {bandwidth};")


def task(region, task_id):
    return next(row for row in region.sql("SHOW TASKS;") if row["task_id"] == task_id)


class Copy:
    """An XCOPY of a table's snapshot, which goes on until let_end."""

    def __init__(self, source, to, table):
        self.source, self.to, self.snapshot = source, to, f"{table}_s"
        limit(to, source, SLOW)
        self.id = to.xcopy(self.snapshot, source=source.name, wait="false")["task_id"]

    def look(self):
        return task(self.to, self.id)

    def is_under_way(self):
        until(lambda: int(self.look()["bytes_done"] or 0) > 0, self.look, lambda: self.to.log[-2000:])
        assert self.look()["state"] == "RUNNING"

    def let_end(self):
        limit(self.to, self.source, FAST)
        row = until(lambda: (row := self.look())["state"] not in ("QUEUED", "RUNNING") and row,
                    self.look, lambda: self.to.log[-3000:])
        assert row["state"] == "DONE", row
        self.is_right()

    def is_right(self):
        assert self.look()["state"] == "DONE"
        assert self.to.snapshot(self.snapshot)["version"] == self.source.snapshot(self.snapshot)["version"]
        assert self.to.one(ASK.format(self.snapshot)) == self.source.one(ASK.format(self.snapshot))

    def receipt(self):
        """What the source has of it."""
        return until(lambda: [row for row in self.source.sql(VIEW.format("SNAPSHOT_RECEIPTS"))
                              if (row["snapshot"], row["region"]) == (self.snapshot, self.to.name)],
                     lambda: self.source.sql(VIEW.format("SNAPSHOT_RECEIPTS")), lambda: self.source.log[-3000:])[0]


def both_ways(one, other, table):
    copies = [Copy(one, other, f"{table}_one"), Copy(other, one, f"{table}_other")]
    for copy in copies:
        copy.is_under_way()
    return copies


def test_regions_are_replaced_one_by_one_while_copies_run_both_ways(old_pair, tmp_path):
    programs, one, other = old_pair
    for n, table in enumerate(("first", "second")):
        load(one, tmp_path, f"{table}_one", 2 * n + 1)
        load(other, tmp_path, f"{table}_other", 2 * n + 2)
    copies = both_ways(one, other, "first")
    replace(one)
    assert one.log.count(RAISED) == 1 and "format_before=2" in one.log
    for copy in copies:
        copy.let_end()
    old_client = client(one, programs)
    assert old_client.one("SELECT COUNT(*) AS n FROM first_one;") == {"n": DAYS * ROWS}
    assert len(old_client.sql("SHOW TASKS;")) == 1
    for words in (("status",), ("status", "--format", "prometheus"), ("tasks",), ("peers",)):
        old_client.strait(*words)

    second = both_ways(one, other, "second")
    replace(other)
    for copy in second:
        copy.let_end()
    for region in (one, other):
        replace(region)
        assert region.log.count(RAISED) == 1  # once, and not of what this release wrote
    for copy in (*copies, *second):
        copy.is_right()
        row = copy.receipt()
        assert row["signature"] == "right" and row["version"] == copy.source.snapshot(copy.snapshot)["version"]
        # what an older end gave, or could read, is without totals
        assert row["row_count"] == (None if copy in copies else DAYS * ROWS)
        assert copy.to.sql(f"VERIFY SNAPSHOT {copy.snapshot} DEEP;")
    for region in (one, other):
        for view in VIEWS:
            region.sql(VIEW.format(view))
        assert " 0 faults" in region.fsck()


def test_an_older_source_serves_and_mends_what_it_can_and_says_what_it_cannot(old_pair, tmp_path):
    programs, source, destination = old_pair
    load(source, tmp_path, "t", 1, rows=20000)
    replace(destination)
    assert destination.sql('EXPLAIN XCOPY SNAPSHOT demo.t_s TO SNAPSHOT t_s OPTIONS(src_region="ap-southeast-1");')
    assert int(destination.xcopy("t_s")["files_moved"]) > 0
    answer = source.one(ASK.format("t_s"))
    assert destination.one(ASK.format("t_s")) == answer
    destination.sql(f"VERIFY SNAPSHOT t_s AGAINST OPTIONS(region='{SOURCE}');")

    damage(destination, 0.3)  # comes again under the receipt, which has to be one that the source knows
    checked, found = scrub(destination)
    assert checked["state"] == "whole" and {(row["state"], row["peer"]) for row in found} == {("repaired", SOURCE)}
    assert destination.one(ASK.format("t_s")) == answer

    destination.sql(f"CREATE SCHEDULE nightly CRON '0 1 * * *' AS BEGIN XCOPY SNAPSHOT demo.t_s TO SNAPSHOT nightly_s "
                    f"OPTIONS(src_region='{SOURCE}'); END; RUN SCHEDULE nightly FOR '2026-01-02';"
                    f"CREATE SCHEDULE follow ON SNAPSHOT OF demo.t OPTIONS(src_region='{SOURCE}') AS BEGIN XCOPY SNAPSHOT "
                    f"demo.${{snapshot}} TO SNAPSHOT f_${{snapshot}} OPTIONS(src_region='{SOURCE}'); END;")
    until(lambda: [row["state"] for row in destination.sql("SHOW SCHEDULE RUNS FOR nightly;")] == ["SUCCEEDED"],
          lambda: destination.sql("SHOW SCHEDULE RUNS FOR nightly;"))

    def trouble():
        row = next(row for row in destination.sql("SHOW SCHEDULES;") if row["schedule"] == "follow")
        return "the program of region ap-southeast-1 is older" in str(row)
    until(trouble, lambda: destination.sql("SHOW SCHEDULES;"))
    replace(source)
    until(lambda: not trouble(), lambda: destination.sql("SHOW SCHEDULES;"))
    source.sql("INSERT INTO t PARTITION(order_date=DATE '2025-12-31') VALUES (7, 7.00BD, 'here', 'more');"
               "CREATE SNAPSHOT TABLE t_later CLONE t;")
    until(lambda: any(row["snapshot"] == "f_t_later" for row in destination.sql("SHOW SNAPSHOT TABLES;")),
          lambda: destination.sql("SHOW SCHEDULE RUNS FOR follow;"), lambda: destination.sql("SHOW SCHEDULES;"))


def test_an_older_program_refuses_the_store_and_changes_nothing(old_pair, tmp_path):
    programs, one, other = old_pair
    load(one, tmp_path, "t", 1, rows=10)
    replace(one)
    one.sql("ALTER SNAPSHOT TABLE t_s HOLD;")
    before = one.one(ASK.format("t"))
    one.cluster.dev("stop-one", one.name)
    with pytest.raises(Failed) as refused:
        start(one, programs)
    assert "store format 3 is newer than this program's 2" in str(refused.value)
    with pytest.raises(Failed) as refused:
        command(programs / "straitd", "--fsck", "-c", one.config)
    assert "store format 3 is newer" in refused.value.stderr
    start(one)
    assert one.one(ASK.format("t")) == before
    assert one.log.count(RAISED) == 1
    assert int(other.xcopy("t_s")["files_moved"]) > 0  # the older region still copies from this one
    assert " 0 faults" in one.fsck()
