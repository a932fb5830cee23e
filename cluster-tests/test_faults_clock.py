"""A wall clock that jumps under one node (faults/preload.c; the monotonic clock goes on): nothing is deleted because of
it, leases and retries do not notice, tokens are refused with both clocks named."""
import json
import os
import re
import signal
import struct
import subprocess
import time
from datetime import datetime, timedelta, timezone

import pytest

from conftest import BIN, DESTINATION, SOURCE, Cluster, Failed

LONG = "STRAIT_LONG" in os.environ
DAY, YEAR = 86400, 365 * 86400
SECONDS = 60
BOTH_CLOCKS = re.compile(r"ODPS-0410051: .*the token (ended|was issued) at [-0-9]+ [0-9:]+ UTC by its signer's clock, and in [-a-z0-9]+ it is [-0-9]+ [0-9:]+ UTC")


class Clock:
    """The wall clock of the nodes that are started with `env`."""

    def __init__(self, file):
        self.file = file
        self.jump_to(0)
        self.env = {"LD_PRELOAD": str(BIN / "libstrait-faults.so"), "FAULTS_CLOCK": str(file)}

    def jump_to(self, seconds):
        """So many seconds off the right time; at once."""
        with open(self.file, "r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))


class Ahead:
    """Time of the nodes that are started with `env`: more of it goes by than does, by both of their clocks, so that none doubts it."""

    def __init__(self, file):
        self.file, self.seconds = file, 0
        file.write_bytes(struct.pack("=q", 0))
        self.env = {"LD_PRELOAD": str(BIN / "libstrait-faults.so"), "FAULTS_AHEAD": str(file)}

    def go_to_second(self, second):
        """On to the next moment whose minute is so many seconds old, if it is not in that second."""
        self.seconds += (second - int(time.time() + self.seconds)) % 60
        with open(self.file, "r+b") as file:
            file.write(struct.pack("=q", self.seconds))


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path / "clock")


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path / "cluster", ["clean_up_interval = 1"])
    try:
        yield made
    finally:
        made.down()


def up(cluster, clock, jumper, *names):
    regions = cluster.up(*names)
    restart(cluster, clock, jumper)
    return regions


def restart(cluster, clock, name, jump=None):
    """jump: of the clock, while the node is down."""
    cluster.dev("stop-one", name)
    if jump is not None:
        clock.jump_to(jump)
    cluster.start(name, clock.env)


def until(condition, what):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(what())


def logged(node, text, count):
    until(lambda: node.log.count(text) >= count, lambda: f"{count} times '{text}':\n{node.log[-3000:]}")


def collections(node):
    return int(re.search(r"^strait_collections_total (\d+)", node.strait("status", "--format", "prometheus"), re.M)[1])


def ticks_pass(node):
    """A clean-up begins after this, and what expires is looked at as often."""
    end = collections(node) + 1
    until(lambda: collections(node) >= end, lambda: node.log[-3000:])


def stamp(seconds_from_now):
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds_from_now)).strftime("%Y-%m-%d %H:%M:%S")


def snapshot_names(node):
    return sorted(row["snapshot"] for row in node.sql("SHOW SNAPSHOT TABLES;"))


def lifecycles(node):
    """Which tables there are, and which partitions of one with a lifecycle."""
    return ([row["table"] for row in node.sql("SHOW TABLES;")],
            [row["partition"] for row in node.sql("SHOW PARTITIONS parts;")])


ALL_LIVE = (["daily", "parts", "t"], ["n=1", "n=2"])


JUMPED, BELIEVED = "the clock jumped", "the clock is believed again"


def snapshots(node):
    """One that never expires, one that does in a month; a history; and tables with a lifecycle."""
    node.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);"
             "CREATE TABLE daily (a BIGINT) LIFECYCLE 1;"
             "CREATE TABLE parts (a BIGINT) PARTITIONED BY (n INT) LIFECYCLE 1; INSERT INTO parts VALUES (1, 1), (2, 2);"
             "ALTER TABLE parts PARTITION (n=2) DISABLE LIFECYCLE;"
             "CREATE SNAPSHOT TABLE always CLONE t;"
             f"CREATE SNAPSHOT TABLE month CLONE t OPTIONS(expiration_timestamp=TIMESTAMP '{stamp(30 * DAY)}');")
    return json.dumps(node.sql("SHOW HISTORY FOR TABLE t;"))


def test_a_sources_clock_dates_no_replica_away(cluster, clock):
    """Made in 1970 and in years to come, by its maker's clock, with an end by that clock: the replica's region keeps what
    it has, by its own, and a recovery to a time says what the dates did."""
    source, destination = up(cluster, clock, SOURCE, SOURCE, DESTINATION)
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1);")
    jumps = {"early": -int(time.time()) + 1000, "ahead": 3 * YEAR}
    for name, jump in jumps.items():
        clock.jump_to(jump)
        source.sql(f"CREATE SNAPSHOT TABLE {name} CLONE t OPTIONS(expiration_timestamp=TIMESTAMP '{stamp(jump + 3600)}');")
    clock.jump_to(0)
    until(lambda: "early" not in snapshot_names(source), lambda: source.log[-3000:])  # its end has passed there
    source.sql("CREATE SNAPSHOT TABLE good CLONE t;")
    for name in ("ahead", "good"):
        destination.xcopy(name)
    ticks_pass(destination)
    assert snapshot_names(destination) == ["ahead", "good"]
    assert [destination.snapshot(name)["expires"] for name in ("ahead", "good")] == [None, None]
    told = subprocess.run([*destination.client, "sql", "-e", f"CREATE TABLE r CLONE demo.t TIMESTAMP AS OF '{stamp(0)}.999';"],
                          capture_output=True, text=True, check=True, timeout=SECONDS).stderr
    assert f"taken from demo.good, made in {SOURCE} at 20" in told
    assert "ahead was here by 20" in told and "that clock was ahead" in told
    destination.sql("CREATE TABLE r2 CLONE ahead;")  # by its name it is as good as any


@pytest.mark.parametrize("jump", [3 * YEAR, -2**62, *([-3 * YEAR] if LONG else [])])
def test_nothing_expires_by_a_clock_that_jumped(cluster, clock, jump):
    node, = up(cluster, clock, DESTINATION, DESTINATION)
    history = snapshots(node)
    jump = max(jump, -int(time.time()) + 1000)  # the first hour of 1970
    for count in (1, 2) if LONG else (1,):
        clock.jump_to(jump)
        logged(node, JUMPED, count)
        ticks_pass(node)
        clock.jump_to(0)
        logged(node, BELIEVED, count)
        ticks_pass(node)
    assert snapshot_names(node) == ["always", "month"]
    assert lifecycles(node) == ALL_LIVE
    assert json.dumps(node.sql("SHOW HISTORY FOR TABLE t;")) == history


def test_nothing_expires_at_a_node_that_starts_with_a_wrong_clock(cluster, clock):
    node, = up(cluster, clock, DESTINATION, DESTINATION)
    snapshots(node)
    ticks_pass(node)
    for count in (1, 2):  # the second start knows no more than the first
        restart(cluster, clock, DESTINATION, 3 * YEAR)
        logged(node, JUMPED, count)
        ticks_pass(node)
        assert snapshot_names(node) == ["always", "month"]
        assert lifecycles(node) == ALL_LIVE
    clock.jump_to(0)
    logged(node, BELIEVED, 1)


def test_a_believed_clock_expires_what_has_ended(cluster, clock):
    """Else the tests above would prove nothing. Five minutes are no jump."""
    node, = up(cluster, clock, DESTINATION, DESTINATION)
    node.sql("CREATE TABLE t (a BIGINT); CREATE SNAPSHOT TABLE always CLONE t;"
             f"CREATE SNAPSHOT TABLE soon CLONE t OPTIONS(expiration_timestamp=TIMESTAMP '{stamp(240)}');")
    clock.jump_to(300)
    until(lambda: snapshot_names(node) == ["always"], lambda: node.log[-3000:])
    assert JUMPED not in node.log


def test_lifecycles_act_at_a_node_that_was_down_for_days(cluster, clock):
    """Three days later by a clock that is believed: a node may have been down so long."""
    node, = up(cluster, clock, DESTINATION, DESTINATION)
    snapshots(node)
    node.sql("CREATE SNAPSHOT TABLE kept CLONE parts;")
    ticks_pass(node)
    restart(cluster, clock, DESTINATION, 3 * DAY)
    until(lambda: lifecycles(node) == (["parts", "t"], ["n=2"]), lambda: node.log[-3000:])
    assert JUMPED not in node.log
    assert node.one("SELECT count(*) AS n FROM kept;")["n"] == 2
    history = node.sql("SHOW HISTORY FOR TABLE parts;")[0]
    assert (history["operation"], history["principal"]) == ("DROP PARTITION", "LIFECYCLE")


def with_source(cluster, clock, jumper):
    source, destination = up(cluster, clock, jumper, SOURCE, DESTINATION)
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;")
    return source, destination


@pytest.mark.parametrize("jumper, jump, word", [
    (SOURCE, 30 * DAY, "ended"), (DESTINATION, -30 * DAY, "issued"),
    *([(DESTINATION, 30 * DAY, "ended"), (SOURCE, -30 * DAY, "issued")] if LONG else [])])
def test_a_token_out_of_time_names_both_clocks(cluster, clock, jumper, jump, word):
    source, destination = with_source(cluster, clock, jumper)
    clock.jump_to(jump)
    with pytest.raises(Failed) as caught:
        destination.xcopy("s")
    found = BOTH_CLOCKS.search(caught.value.stderr)
    assert found and word in found[1], caught.value
    clock.jump_to(0)
    assert destination.xcopy("s")["state"] == "DONE"


@pytest.mark.parametrize("jumper", [SOURCE, DESTINATION])
def test_leases_and_retries_do_not_notice(cluster, clock, jumper):
    """The source stands still while the clock jumps by days, forward and back, within what a token allows."""
    source, destination = with_source(cluster, clock, jumper)
    os.kill(source.pid, signal.SIGSTOP)
    try:
        task = destination.xcopy("s", wait="false")["task_id"]
        for jump in (3 * DAY, 0, 2 * DAY):
            clock.jump_to(jump)
            row = next(row for row in destination.sql("SHOW TASKS;") if row["task_id"] == task)
            assert row["state"] == "RUNNING", row
    finally:
        os.kill(source.pid, signal.SIGCONT)
    until(lambda: destination.sql("SHOW TASKS;")[0]["state"] != "RUNNING", lambda: destination.log[-3000:])
    row, = destination.sql("SHOW TASKS;")
    assert row["state"] == "DONE", row
