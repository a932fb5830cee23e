"""EXPLAIN XCOPY: what it says would move is what the XCOPY after it moves, and it leaves nothing behind."""
import csv
import io
import json
import signal
import subprocess
import time

import pytest

from conftest import BIN, SOURCE, Failed, command
from test_audit import entries, waited
from test_daily import DAYS, MOVED, SALES, TABLE, twin_files
from test_usage import agreed

ITEMS = ["new", "changed", "held", "named again", "total", "charged bytes"]


def statement(name, to=None):
    return f'EXPLAIN XCOPY SNAPSHOT demo.{name} TO SNAPSHOT {to or name} OPTIONS(src_region="{SOURCE}");'


def explained(region, name, to=None):
    """{item: row}"""
    rows = region.sql(statement(name, to))
    assert [row["item"] for row in rows] == ITEMS
    return {row["item"]: row for row in rows}


def numbers(region):
    """What the node counts of what it stores; bytes of the network apart."""
    rows = region.strait("status", "--format", "json").splitlines()
    kept = ("strait_pack", "strait_small", "strait_tasks", "strait_snapshots")
    return {row["name"]: row["value"] for row in map(json.loads, rows) if row.get("name", "").startswith(kept)}


def skipped(rows):
    """What the copy does not pull: it is here, or comes for another that names it."""
    return int(rows["held"]["bytes"]) + int(rows["named again"]["bytes"])


def copied_as_explained(region, name, to=None):
    """Both; the rows of the first."""
    before = numbers(region)
    rows = explained(region, name, to)
    assert numbers(region) == before
    total = rows["total"]
    task = region.xcopy(name, to)
    for key in ("partitions", "files", "bytes"):
        assert int(total[key]) == int(rows["new"][key]) + int(rows["changed"][key]) == int(task[f"{key}_moved"]), (rows, task)
    assert skipped(rows) == int(task["bytes_skipped"])
    assert int(total["partitions"]) + int(rows["held"]["partitions"]) == int(task["partitions_total"])
    charged = int(rows["charged bytes"]["bytes"])
    assert int(total["bytes"]) <= charged <= int(task["wire_bytes"])  # those are sealed, and have requests in them
    return rows


def test_the_copy_moves_what_was_explained(pair, tmp_path):
    source, destination = pair
    source.sql(TABLE)
    for number, path in enumerate(twin_files(tmp_path)):
        source.upload(path, "covid", "-acp=true", "-h=true", "--replace-table")
        source.sql(f"CREATE SNAPSHOT TABLE covid_{number} CLONE covid;")
        rows = copied_as_explained(destination, f"covid_{number}")
        assert int(rows["total"]["partitions"]) == MOVED[number]
        if number == 0:
            assert rows["new"]["reason"] == "no snapshot of the table is here" and int(rows["changed"]["partitions"]) == 0
            assert float(rows["total"]["seconds"]) >= 0 and "estimated at " in rows["total"]["reason"]
        else:
            assert rows["new"]["reason"] == "not in the newest snapshot of the table here"
    assert int(rows["changed"]["partitions"]) > 300  # of the last day: most of the past was revised
    unchanged = copied_as_explained(destination, "covid_5", to="again")
    assert int(unchanged["total"]["partitions"]) == 0 == int(unchanged["charged bytes"]["bytes"])
    assert int(unchanged["held"]["files"]) > 0
    overwritten = copied_as_explained(destination, "covid_0", to="again")  # replaces; all of it is held
    assert int(overwritten["total"]["files"]) == 0
    source.sql("CLONE TABLE covid TO twin; INSERT INTO twin PARTITION(Date='2030-01-01') VALUES ('x', 1, 2, 3);"
               "CREATE SNAPSHOT TABLE twin_1 CLONE twin;")
    clone = copied_as_explained(destination, "twin_1")
    assert (int(clone["new"]["partitions"]), int(clone["changed"]["partitions"])) == (1, 0)
    assert len(DAYS) == 6


def test_columns_that_change_and_rows_that_come_are_told_apart(pair, tmp_path):
    source, destination = pair
    source.sql(SALES)
    (tmp_path / "t.csv").write_text(command(BIN / "strait-sales", "--days", 20, "--rows", 2000))
    source.upload(tmp_path / "t.csv", "t", "-acp=true", "-h=true")
    source.sql("CREATE SNAPSHOT TABLE s1 CLONE t;")
    first_rows = copied_as_explained(destination, "s1")
    assert int(first_rows["new"]["partitions"]) == 20
    first = source.sql("SHOW PARTITIONS t;")[0]["partition"].split("=")[1]
    source.sql(f"INSERT INTO t PARTITION(order_date='{first}') VALUES (1, 2.50, 'x', 'more');"
               "INSERT INTO t PARTITION(order_date='2031-01-01') VALUES (2, 3.50, 'y', 'new'); CREATE SNAPSHOT TABLE s2 CLONE t;")
    rows = copied_as_explained(destination, "s2")
    assert [int(rows[item]["partitions"]) for item in ("new", "changed", "held")] == [1, 1, 19]
    # both ends count what was said to be charged, of the copies alone
    (row,) = agreed(source, destination, 2)
    charged = sum(int(said["charged bytes"]["bytes"]) for said in (first_rows, rows))
    assert int(row["payload_bytes"]) + int(row["page_bytes"]) == charged
    assert int(row["saved_bytes"]) == skipped(rows) + skipped(first_rows)
    # the forms
    plain = destination.strait("sql", "--quiet", "--format", "csv", "-e", statement("s2", "s3"))
    table = list(csv.reader(io.StringIO(plain)))
    assert table[0] == ["item", "partitions", "files", "pages", "bytes", "seconds", "reason"]
    assert [row[0] for row in table[1:]] == ITEMS
    assert "charged bytes" in destination.strait("sql", "-e", statement("s2", "s3"))


def test_the_estimate_is_what_the_channel_allows_after_small_copies(pair, tmp_path):
    source, destination = pair
    source.sql("CREATE TABLE x (a BIGINT); INSERT INTO x VALUES (1); CREATE SNAPSHOT TABLE x_1 CLONE x;" + SALES)
    assert "estimated at 10 Gbit/s, the limit of the channel" in explained(destination, "x_1")["total"]["reason"]
    destination.sql(f"ALTER CHANNEL FROM '{SOURCE}' SET BANDWIDTH '100 Mbit/s';")
    for number in range(4):  # a few hundred bytes each, whose rate is that of commits and round trips
        destination.xcopy("x_1", f"copy_{number}")
    (tmp_path / "t.csv").write_text(command(BIN / "strait-sales", "--days", 20, "--rows", 20000))
    source.upload(tmp_path / "t.csv", "t", "-acp=true", "-h=true")
    source.sql("CREATE SNAPSHOT TABLE s1 CLONE t;")
    rows = explained(destination, "s1")
    charged = int(rows["charged bytes"]["bytes"])
    assert charged > 500000
    assert abs(float(rows["total"]["seconds"]) - charged * 8 / 100e6) <= 0.001, rows
    assert rows["total"]["reason"] == f"estimated at 100 Mbit/s, the limit of the channel from {SOURCE}"


def test_what_is_named_twice_is_told_apart_from_what_is_held(pair, tmp_path):
    source, destination = pair
    source.sql(SALES)
    (tmp_path / "t.csv").write_text(command(BIN / "strait-sales", "--days", 3, "--rows", 2000))
    for _ in range(2):
        source.upload(tmp_path / "t.csv", "t", "-acp=true", "-h=true")
    source.sql("CREATE SNAPSHOT TABLE s1 CLONE t;")
    rows = copied_as_explained(destination, "s1")
    moved = (rows["total"]["files"], rows["total"]["bytes"])
    assert int(moved[0]) > 0 and int(moved[1]) > 0
    assert (rows["held"]["files"], rows["held"]["bytes"]) == (0, 0)
    assert (rows["named again"]["files"], rows["named again"]["bytes"]) == moved
    rows = copied_as_explained(destination, "s1", to="again")
    assert (rows["held"]["files"], rows["held"]["bytes"]) == moved
    assert (rows["named again"]["files"], rows["named again"]["bytes"]) == moved


def test_it_is_audited_at_the_source_and_no_task(pair):
    source, destination = pair
    source.sql("CREATE TABLE x (a BIGINT); INSERT INTO x VALUES (1); CREATE SNAPSHOT TABLE x_1 CLONE x;")
    explained(destination, "x_1")
    assert destination.sql("SHOW TASKS;") == [] and destination.sql("SHOW SNAPSHOT TABLES;") == []
    assert [(row["action"], row["outcome"]) for row in entries(source, "action LIKE '%XCOPY%'")] == [("EXPLAIN XCOPY", "OK")]
    assert "or no right to it" in destination.refused(statement("nothing"))
    refused = waited(source, "object = 'nothing'")
    assert [(row["action"], row["message"]) for row in refused] == [("EXPLAIN XCOPY", "there is no snapshot demo.nothing")]
    source.sql("ALTER PROJECT demo DISABLE XCOPY;")
    assert "not on its region's allow-list" in destination.refused(statement("x_1"))
    source.sql("ALTER PROJECT demo ENABLE XCOPY;")
    assert int(explained(destination, "x_1")["new"]["partitions"]) == 1
    assert entries(source, "action = 'XCOPY DESCRIBE' OR action = 'XCOPY RECEIPT'") == []


def statements(region):
    """How many are under way, this question aside."""
    rows = map(json.loads, region.strait("status", "--format", "json").splitlines())
    return next(int(row["value"]) for row in rows if row.get("name") == "strait_statements")


def begun(region, text):
    """A client that runs it, once the node has it."""
    before = statements(region)
    client = subprocess.Popen([*region.client, "sql", "-e", text], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 20
    while statements(region) == before:
        assert time.monotonic() < end and client.poll() is None
    return client


def test_a_source_that_is_gone_ends_it_and_an_interrupt_does_sooner(pair):
    source, destination = pair
    source.sql("CREATE TABLE x (a BIGINT); INSERT INTO x VALUES (1); CREATE SNAPSHOT TABLE x_1 CLONE x;")
    source.cluster.kill(SOURCE)
    waiting, stopped = begun(destination, statement("x_1")), begun(destination, statement("x_1", "y"))
    stopped.send_signal(signal.SIGINT)
    stopped.communicate(timeout=15)
    assert stopped.returncode != 0 and waiting.poll() is None  # which goes on asking
    words = waiting.communicate(timeout=90)[1]
    assert waiting.returncode == 1 and f"peer {SOURCE}: " in words, words
    source.cluster.start(SOURCE)
    assert int(explained(destination, "x_1")["total"]["partitions"]) == 1


def test_a_destination_that_may_not_make_it_is_told_so(pair):
    _, destination = pair
    with pytest.raises(Failed) as caught:
        destination.sql(f'EXPLAIN XCOPY SNAPSHOT demo.x TO SNAPSHOT nowhere.x OPTIONS(src_region="{SOURCE}");')
    assert "nowhere" in caught.value.stderr
    assert "src_region" in destination.refused("EXPLAIN XCOPY SNAPSHOT demo.x TO SNAPSHOT x OPTIONS(wait=true);")
    assert "is none of the peers" in destination.refused('EXPLAIN XCOPY SNAPSHOT demo.x TO SNAPSHOT x OPTIONS(src_region="mars");')
