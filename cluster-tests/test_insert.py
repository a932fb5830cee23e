"""Rows of a query written into tables, on a running node: what users see, and what is left when it ends early."""
import re
import time

import pytest

from conftest import SOURCE, Failed
from test_hands import TERMINAL_SECONDS, Terminal

DIGITS = "CREATE TABLE d (n BIGINT); INSERT INTO d VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);"
ENDLESS = "SELECT a.n FROM " + ", ".join(f"d {name}" for name in "abcefghijklmnopq")  # 10^16 rows
ID = "00112233445566778899aabbccddee01"


@pytest.fixture
def region(cluster):
    made = cluster.up(SOURCE)[0]
    made.sql(DIGITS + "CREATE TABLE t (n BIGINT);")
    return made


def endless(region, home, text, *options):
    """A statement that has begun to write and will not come to its end."""
    terminal = Terminal([*region.client, "sql", *options, "-e", text], home)
    terminal.read_until("reading rows: ")
    return terminal


def queries_end(region):
    """Waits until no query reads any more."""
    deadline = time.monotonic() + TERMINAL_SECONDS
    while time.monotonic() < deadline:
        if re.search(r"^strait_pinned_versions 0$", region.strait("status", "--format", "prometheus"), re.MULTILINE):
            return
        time.sleep(0.05)
    pytest.fail("a query goes on")


def unchanged(region):
    assert [row["table"] for row in region.sql("SHOW TABLES;")] == ["d", "t"]
    assert region.one("SELECT count(*) AS n FROM t;")["n"] == 0
    assert len(region.sql("SHOW HISTORY FOR TABLE t;")) == 1


def test_everyday_writing(region):
    region.sql("CREATE TABLE p (id BIGINT, note STRING DEFAULT 'none') PARTITIONED BY (shop STRING, day DATE);"
               "INSERT INTO p PARTITION(shop='a', day) (id) SELECT n, CONCAT('2024-01-0', n) FROM d WHERE n IN (1, 2);"
               "INSERT OVERWRITE TABLE p PARTITION(shop='a', day='2024-01-01') SELECT n, 'new' FROM d WHERE n > 7;")
    assert region.sql("SELECT * FROM p ORDER BY id;") == [
        {"id": 2, "note": "none", "shop": "a", "day": "2024-01-02"},
        {"id": 8, "note": "new", "shop": "a", "day": "2024-01-01"},
        {"id": 9, "note": "new", "shop": "a", "day": "2024-01-01"}]
    region.sql("CREATE TABLE c LIFECYCLE 3 AS SELECT shop, count(*) AS rows_of FROM p GROUP BY shop;"
               "CREATE TABLE l LIKE p; CREATE SNAPSHOT TABLE s CLONE p; CREATE OR REPLACE TABLE l CLONE s;"
               "CREATE OR REPLACE TABLE c AS SELECT shop, rows_of * 2 AS twice FROM c;")
    assert region.one("SELECT * FROM c;") == {"shop": "a", "twice": 6}
    assert region.one("SELECT count(*) AS n FROM l;")["n"] == 3
    assert "SELECT gives 1 column, table has 4: id, note, shop, day" in region.refused("INSERT INTO p SELECT 1;")
    assert "column n: 'x'" in region.refused("INSERT INTO t SELECT CONCAT('x', n) FROM d;").replace("x0", "x")
    assert region.one("SELECT count(*) AS n FROM t;")["n"] == 0
    region.sql("INSERT INTO t SELECT n FROM d;", "--statement-id", ID)
    region.sql("INSERT INTO t SELECT n FROM d;", "--statement-id", ID)
    assert region.one("SELECT count(*) AS n FROM t;")["n"] == 10


def test_interrupted_it_ends_and_leaves_nothing(region, tmp_path):
    for change in ("INSERT INTO t ", "CREATE TABLE made AS "):
        terminal = endless(region, tmp_path, change + ENDLESS)
        terminal.type("\x03")
        terminal.read_until("interrupted and cancelled")
        assert terminal.end() == 130
        queries_end(region)
        unchanged(region)
    region.fsck()


def test_a_node_that_stops_or_dies_leaves_nothing_of_it(region, tmp_path):
    terminal = endless(region, tmp_path, "INSERT INTO t " + ENDLESS)
    region.cluster.dev("stop-one", SOURCE)  # SIGTERM; fails when it has to be killed
    assert "level=info event=stopped" in region.log
    terminal.type("\x03")
    assert terminal.end() == 130
    region.cluster.start(SOURCE)
    for change in ("INSERT OVERWRITE TABLE t ", "CREATE OR REPLACE TABLE t AS "):
        terminal = endless(region, tmp_path, change + ENDLESS)
        region.cluster.kill(SOURCE)
        region.cluster.start(SOURCE)
        terminal.type("\x03")  # by now the client may have sent it again
        terminal.end()
        queries_end(region)
        unchanged(region)
    assert list((region.home / "data" / "tmp").iterdir()) == []
    region.fsck()


def test_killed_at_its_commit_the_same_id_does_it_once(region):
    """Before the commit nothing of it is there, after it all; asked again, it is there once."""
    number = 0
    for point, rows in (("catalog.checked", 0), ("catalog.written", 10)):
        for text in ("CREATE OR REPLACE TABLE t AS SELECT n FROM d;", "INSERT OVERWRITE TABLE t SELECT n FROM d;"):
            number += 1
            words = ("--statement-id", ID[:-1] + str(number))
            region.sql("CREATE OR REPLACE TABLE t (n BIGINT);")
            region.cluster.kill(SOURCE)
            region.cluster.start(SOURCE, env={"STRAIT_CRASH": point})
            with pytest.raises(Failed):
                region.sql(text, *words)
            region.cluster.kill(SOURCE)
            region.cluster.start(SOURCE)
            assert region.one("SELECT count(*) AS n FROM t;")["n"] == rows
            region.sql("INSERT INTO t VALUES (4711);")
            region.sql(text, *words)  # if it was done, it is not done again: the row above stays
            assert region.one("SELECT count(*) AS n FROM t;")["n"] == (11 if rows else 10)
    region.fsck()
