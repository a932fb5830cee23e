"""VERIFY SNAPSHOT: a snapshot proven restorable, here and against another region's; and the receipts that say where else it is."""
import json
import signal
import subprocess
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, Failed, command
from test_bad_luck import until
from test_scrub import ANSWER, DAYS, copied, damage, scrub, wait_until_whole  # noqa: F401 - copied is a fixture


def refused(region, text):
    """(the rows that came, the error behind them) of a statement that fails."""
    with pytest.raises(Failed) as caught:
        region.sql(text)
    assert caught.value.code == 1, caught.value
    return caught.value.stdout, caught.value.stderr


def verified(region, name="s", deep=False):
    """The row of a snapshot that is whole."""
    row = region.one(f"VERIFY SNAPSHOT {name}{' DEEP' if deep else ''};")
    assert (row["what"], row["state"], row["faults"]) == ("snapshot", "whole", 0), row
    return row


def test_a_proof_is_noted_at_each_end_for_itself(copied):  # noqa: F811
    source, destination, answer = copied
    assert destination.snapshot("s")["proven"] is None
    row = verified(destination)
    assert (row["rows"], row["partitions"]) == (answer["n"], DAYS)
    assert row["bytes"] == destination.snapshot("s")["bytes"]
    shown = destination.snapshot("s")
    assert shown["proven"] is not None and shown["proven_deep"] is None
    verified(destination, deep=True)
    shown = destination.snapshot("s")
    assert shown["proven_deep"] is not None
    assert source.snapshot("s")["proven"] is None  # another region's disks are another matter
    destination.cluster.kill(destination.name)
    destination.cluster.start(destination.name)
    assert destination.snapshot("s")["proven_deep"] == shown["proven_deep"]
    assert "ProvenDeep:" in destination.strait("sql", "--quiet", "-e", "DESC s;")


def test_a_flipped_byte_is_named_and_comes_back(copied):  # noqa: F811
    source, destination, answer = copied
    damage(destination, 0.5)
    source.cluster.kill(SOURCE)  # else what is found is mended before it is looked for again
    for deep in ("DEEP", ""):
        rows, error = refused(destination, f"VERIFY SNAPSHOT s {deep};")
        assert "is damaged at" in error and "ODPS-0010095" in error
        assert "order_date=" in rows and "SCRUB SNAPSHOT brings it back" in rows
    assert destination.snapshot("s")["proven"] is None
    source.cluster.start(SOURCE)
    verified(source, deep=True)
    _, found = scrub(destination, "SNAPSHOT s")
    assert {row["state"] for row in found} <= {"repaired"}  # none when the node was faster
    wait_until_whole(destination)
    verified(destination, deep=True)
    assert destination.one(ANSWER.format("s")) == answer


def test_it_ends_with_its_client_and_reads_what_is_dropped(copied):  # noqa: F811
    _, destination, _ = copied
    words = [*destination.client, "sql", "--format", "json", "-e", "VERIFY SNAPSHOT s DEEP;"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        destination.sql("DROP SNAPSHOT TABLE s;\nCLEANUP;")
        out, error = process.communicate(timeout=120)
    assert '"damaged"' not in out  # whole, or not found: never something in between
    assert process.returncode == 0 or "not found" in error.lower(), error


# ---- AGAINST another region ----

FRESH = "CREATE TABLE c (id BIGINT, amount BIGINT, note STRING) PARTITIONED BY (day BIGINT);"


def against(_, name="s", other=None, source=SOURCE):
    more = f", snapshot='{other}'" if other else ""
    return f"VERIFY SNAPSHOT {name} AGAINST OPTIONS(region='{source}'{more});"


def rows_of(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def compared(pair):
    """A table of days 1 to 5 at the source; its snapshot c0 at both ends."""
    source, destination = pair
    source.sql(FRESH)
    for day in range(1, 6):
        values = ", ".join(f"({day * 1000 + i}, {i % 7}, 'note {i}')" for i in range(50))
        source.sql(f"INSERT INTO c PARTITION (day={day}) VALUES {values};")
    source.sql("CREATE SNAPSHOT TABLE c0 CLONE c;")
    destination.xcopy("c0")
    return source, destination


def test_equal_after_a_copy_and_not_after_a_change(compared):
    source, destination = compared
    row = destination.one(against(destination, "c0"))
    assert (row["difference"], row["rows_here"], row["rows_there"]) == ("equal", 250, 250)
    assert "0 pages were asked for" in row["detail"]
    # another row, one more partition, one less, and one whose rows lie otherwise
    source.sql("INSERT INTO c PARTITION (day=2) VALUES (7, 7, 'seven');")
    source.sql("INSERT INTO c PARTITION (day=6) VALUES (8, 8, 'eight');")
    source.sql("ALTER TABLE c DROP PARTITION (day=4);")
    source.sql("CREATE TABLE again AS SELECT id, amount, note FROM c WHERE day=3 AND id % 2 = 0;")
    source.sql("CREATE TABLE rest AS SELECT id, amount, note FROM c WHERE day=3 AND id % 2 = 1;")
    source.sql("INSERT OVERWRITE TABLE c PARTITION (day=3) SELECT id, amount, note FROM again;")
    source.sql("INSERT INTO c PARTITION (day=3) SELECT id, amount, note FROM rest;")
    source.sql("INSERT OVERWRITE TABLE c PARTITION (day=5) SELECT id, amount, CONCAT(note, '!') FROM c WHERE day=5;")
    source.sql("CREATE SNAPSHOT TABLE c1 CLONE c;")
    out, error = refused(destination, against(destination, "c0", "c1"))
    assert "ODPS-1010091" in error and "the snapshots differ: 4 partitions" in error
    first, *rest = rows_of(out)
    assert (first["kind"], first["difference"], first["rows_here"], first["rows_there"]) == ("snapshot", "different rows", 250, 202)
    assert [(row["partition"], row["difference"]) for row in rest] == [
        ("day=2", "different rows"), ("day=3", "same rows, other layout"), ("day=4", "only here"),
        ("day=5", "different rows"), ("day=6", "only there")]
    assert (rest[1]["rows_here"], rest[1]["rows_there"]) == (50, 50)
    assert rest[2]["rows_there"] is None and rest[4]["rows_here"] is None
    assert rest[3]["columns"] == "note"  # its length shows it, though all three share a file
    # the other way round: the same, seen from there, with a name in the project of this name
    destination.xcopy("c1")
    out, _ = refused(source, against(source, "c1", "c0", DESTINATION))
    assert [(row["partition"], row["difference"]) for row in rows_of(out)[1:]][2] == ("day=4", "only there")


def test_the_same_rows_in_another_layout_are_no_failure(compared):
    source, destination = compared
    source.sql("INSERT OVERWRITE TABLE c PARTITION (day=1) SELECT id, amount, note FROM c WHERE day=1 ORDER BY id DESC;")
    source.sql("CREATE SNAPSHOT TABLE c1 CLONE c;")
    rows = destination.sql(against(destination, "c0", "demo.c1"))
    assert [row["difference"] for row in rows] == ["same rows, other layout"] * 2


def test_columns_that_differ(compared):
    source, destination = compared
    source.sql("CREATE TABLE d (id BIGINT, amount INT, extra STRING) PARTITIONED BY (day BIGINT);")
    source.sql("INSERT INTO d PARTITION (day=1) VALUES (1, 1, 'x');\nCREATE SNAPSHOT TABLE d0 CLONE d;")
    out, error = refused(destination, against(destination, "c0", "d0"))
    schema = {row["columns"]: row["detail"] for row in rows_of(out) if row["kind"] == "schema"}
    assert schema == {"amount": "BIGINT here, INT there", "note": "only here", "extra": "only there"}
    assert "3 columns of their schemas" in error


def test_who_cannot_be_asked_and_what_is_not_there(compared):
    source, destination = compared
    assert "region cn-hongkong is this one" in destination.refused(against(destination, "c0", source=DESTINATION))
    assert "no region" in destination.refused(against(destination, "c0", source="mars")).lower() or \
        "mars" in destination.refused(against(destination, "c0", source="mars"))
    assert "no snapshot demo.none, or no right to it" in destination.refused(against(destination, "c0", "none"))
    assert "no snapshot hidden.c0, or no right to it" in destination.refused(against(destination, "c0", "hidden.c0"))
    assert "nothing" in destination.refused(against(destination, "nothing"))
    source.sql("ALTER PROJECT demo DISABLE XCOPY;")
    assert "allow-list" in destination.refused(against(destination, "c0"))
    source.sql("ALTER PROJECT demo ENABLE XCOPY;")
    source.cluster.kill(source.name)
    words = [*destination.client, "sql", "-e", against(destination, "c0")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(1)
        process.send_signal(signal.SIGINT)  # while it asks again
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert destination.sql("SHOW TASKS;")[0]["state"] == "DONE"  # no task was made of it
    source.cluster.start(source.name)
    assert destination.one(against(destination, "c0"))["difference"] == "equal"


# ---- receipts ----

RECEIPTS = "SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.SNAPSHOT_RECEIPTS ORDER BY snapshot;"


def test_the_source_shows_who_has_a_replica(compared):
    source, destination = compared
    until(lambda: source.sql(RECEIPTS) != [], lambda: source.log[-2000:])
    row = source.one(RECEIPTS)
    shown = source.snapshot("c0")
    assert (row["project"], row["snapshot"], row["version"], row["region"], row["signature"]) == (
        "demo", "c0", shown["version"], DESTINATION, "right")
    assert (row["row_count"], row["bytes"], row["partitions"]) == (250, shown["bytes"], 5)
    assert shown["replicas"] == 1 and destination.snapshot("c0")["replicas"] == 0
    assert destination.sql(RECEIPTS) == []  # it has given one, and taken none
    # one more copy of it there is the same replica; another version is another
    destination.xcopy("c0", "again")
    source.sql("INSERT INTO c PARTITION (day=9) VALUES (1, 1, 'x');\nCREATE SNAPSHOT TABLE c1 CLONE c;")
    assert source.snapshot("c1")["replicas"] == 0
    destination.xcopy("c1")
    until(lambda: source.snapshot("c1")["replicas"] == 1, lambda: source.sql(RECEIPTS))
    assert [row["snapshot"] for row in source.sql(RECEIPTS)] == ["c0", "c1"]
    source.cluster.kill(source.name)
    source.cluster.start(source.name)
    assert [row["signature"] for row in source.sql(RECEIPTS)] == ["right"] * 2
    source.sql("DROP SNAPSHOT TABLE c0;")
    assert [row["snapshot"] for row in source.sql(RECEIPTS)] == ["c1"]
