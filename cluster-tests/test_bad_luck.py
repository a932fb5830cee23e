"""XCOPY when something is wrong or goes wrong: each case has a clear end. More of them elsewhere: bad statements, and a source
or snapshot that is not there: test_refusals.py; a source that vanishes, is stopped or cut off: test_faults_network.py,
test_link.py; clocks off by days and years: test_faults_clock.py; rights that end meanwhile: test_rights.py,
node/task/xcopy_rights_test.c; a source or destination of another version: node/task/xcopy_test.c; kill -9 at every step:
test_crash.py."""
import json
import os
import re
import signal
import subprocess
import time
from datetime import datetime, timedelta, timezone

import pytest

from conftest import BIN, DESTINATION, SOURCE, Cluster, Failed, command
from relay import Relay
from test_accounts import Principal, proof
from test_crash import counter
from test_faults_clock import Clock, restart
from test_hands import Terminal

SECONDS = 60
MEGABYTES = 12
HELD_AT = 3 << 20  # bytes of the source's: in mid-transfer
SLOW = 1 << 20  # bytes a second in each connection: time to look, and then to hold it


@pytest.fixture
def pair(cluster):
    """Former versions are kept for a second, expiry looks every second."""
    cluster.extra = ['history_retention = "1s"', "clean_up_interval = 1"]
    return cluster.up(SOURCE, DESTINATION)


def load(source, folder, rng, megabytes=MEGABYTES, table="t", snapshot="s"):
    """A table of text that cannot be compressed to less than so many megabytes, and its snapshot."""
    path = folder / f"{table}.csv"
    with open(path, "w", encoding="ascii") as file:
        for row in range(int(megabytes * 1024)):
            file.write(f"{row},{rng.randbytes(1024).hex()}\n")
    source.sql(f"CREATE TABLE {table} (id BIGINT, noise STRING);")
    source.upload(path, table)
    source.sql(f"CREATE SNAPSHOT TABLE {snapshot} CLONE {table};")


def xcopy_text(snapshot="s", to=None, more="", source=SOURCE):
    return f'XCOPY SNAPSHOT demo.{snapshot} TO SNAPSHOT {to or snapshot} OPTIONS(src_region="{source}"{more});'


def task_row(region, task):
    return next(row for row in region.sql("SHOW TASKS;") if row["task_id"] == task)


def until(condition, what, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(str(what()))


def end_of(region, task, state):
    row = until(lambda: (row := task_row(region, task))["state"] not in ("QUEUED", "RUNNING") and row,
                lambda: f"{task_row(region, task)}\n{region.log[-3000:]}")
    assert row["state"] == state, row
    return row


def checksum(region, name):
    return region.one(f"SELECT count(*) AS n, sum(id) AS ids, min(noise) AS low, max(noise) AS high FROM {name};")


def swept(region, condition):
    """CLEANUP until what it leaves is so: a former version may be kept for a second yet."""
    return until(lambda: condition(row := region.one("CLEANUP;")) and row, lambda: region.one("CLEANUP;"))


def nothing_left(pair, live_bytes, seconds=SECONDS):
    """Of a task that ended without its snapshot: no lease, nothing staged or kept; both stores are whole."""
    source, destination = pair
    until(lambda: counter(source, "strait_leases") == 0, lambda: source.log[-3000:], seconds)
    assert counter(destination, "strait_tasks") == 0
    row = swept(destination, lambda row: int(row["bytes_live"]) <= live_bytes)
    assert int(row["bytes_live"]) == live_bytes
    assert destination.sql("SHOW SNAPSHOT TABLES IN demo;") == []
    for region in pair:
        assert " 0 faults" in region.fsck()


# ---- what is not known ----

@pytest.fixture(scope="module")
def bare_pair(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("unknown") / "cluster")
    yield made.up(SOURCE, DESTINATION)
    made.end()


@pytest.mark.parametrize("text, words", [
    (xcopy_text(more=", wiat=false"), ["wiat", "src_region, wait"]),
    (xcopy_text(more=", wait=maybe"), ["wait"]),
    (xcopy_text(to="nowhere.s"), ["nowhere", DESTINATION]),
    ('XCOPY SNAPSHOT nowhere.s TO SNAPSHOT s OPTIONS(src_region="ap-southeast-1");', ["nowhere.s", SOURCE]),
    (xcopy_text(source="mars-1"), ["mars-1", f"({SOURCE})"])])
def test_what_is_unknown_is_named_with_where_and_what_to_do(bare_pair, text, words):
    told = bare_pair[1].refused(text)
    for word in words:
        assert word in told
    assert re.search(r"ODPS-\d{7}", told)


# ---- the source is down, slow, or lives in another hour ----

def logged_seconds(destination):
    """Of the only task that has ended: all of them, and those without its waits."""
    found = until(lambda: re.search(r'event="task ended".* seconds=(\d+) moving_seconds=(\d+) ', destination.log), lambda: destination.log)
    return int(found[1]), int(found[2])


def test_a_source_that_is_down_is_waited_for(pair, tmp_path, rng):
    source, destination = pair
    load(source, tmp_path, rng, 1)
    source.cluster.kill(SOURCE)
    task = destination.xcopy("s", wait="false")["task_id"]
    row = until(lambda: "waiting for peer" in (row := task_row(destination, task))["phase"] and row,
                lambda: task_row(destination, task))
    assert row["state"] == "RUNNING" and re.search(rf"waiting for peer {SOURCE} since \d+ s: ", row["phase"]), row
    until(lambda: re.search(r" since ([3-9]|\d\d+) s: ", task_row(destination, task)["phase"]), lambda: task_row(destination, task))
    source.cluster.start(SOURCE)
    end_of(destination, task, "DONE")
    seconds, moving = logged_seconds(destination)
    assert seconds >= 3 and moving <= seconds - 2, (seconds, moving)
    assert checksum(destination, "s") == checksum(source, "s")


def test_a_slow_source_just_takes_longer(pair, tmp_path, rng):
    source, destination = pair
    load(source, tmp_path, rng, 4)
    with Relay(source, bytes_per_second=1 << 20):
        row = destination.xcopy("s")
        assert row["state"] == "DONE"
        (more,) = destination.sql("SELECT retries, last_trouble FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_TASKS;")
        assert int(more["retries"]) == 0, more
    seconds, moving = logged_seconds(destination)
    assert 1 <= moving <= seconds <= float(row["seconds"]), (seconds, moving, row)
    assert checksum(destination, "s") == checksum(source, "s")


@pytest.mark.parametrize("jumper, hours", [(SOURCE, 1), (SOURCE, -1), (DESTINATION, 1), (DESTINATION, -1)])
def test_a_clock_that_is_an_hour_off(cluster, tmp_path, rng, jumper, hours):
    """Ahead: nothing happens, a token lives for days. Behind: a token from the future is refused, with both clocks."""
    source, destination = cluster.up(SOURCE, DESTINATION)
    load(source, tmp_path, rng, 1)
    clock = Clock(tmp_path / "clock")
    clock.jump_to(hours * 3600)
    restart(cluster, clock, jumper)
    if hours > 0:
        assert destination.xcopy("s")["state"] == "DONE"
        return
    with pytest.raises(Failed) as caught:
        destination.xcopy("s")
    found = re.search(r"ODPS-0410051: .*the token was issued at ([-0-9]+ [0-9:]+) UTC by its signer's clock, and in "
                      rf"{jumper} it is ([-0-9]+ [0-9:]+) UTC", caught.value.stderr)
    issued, now = (datetime.fromisoformat(text) for text in found.groups()) if found else (None, None)
    assert found and 3500 <= (issued - now).total_seconds() <= 3700, caught.value
    clock.jump_to(0)
    assert destination.xcopy("s")["state"] == "DONE"


# ---- twice at once ----

def test_the_same_copy_by_two_clients_at_once_is_one_task(pair, tmp_path, rng):
    source, destination = pair
    load(source, tmp_path, rng)
    with Relay(source) as relay:
        relay.hold_after(HELD_AT)
        clients = [subprocess.Popen([*destination.client, "sql", "--quiet", "--format", "csv", "-e", xcopy_text()],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        try:
            relay.wait_until_held()
            row, = destination.sql("SHOW TASKS;")
            until(lambda: counter(destination, "strait_statements") >= 2, lambda: "two statements do not wait")
            relay.go_on()
            told = [client.communicate(timeout=SECONDS) for client in clients]
        finally:
            for client in clients:
                client.kill()
                client.wait()
    assert [client.returncode for client in clients] == [0, 0], told
    assert told[0][0] == told[1][0] and row["task_id"] in told[0][0] and "DONE" in told[0][0]
    assert len(destination.sql("SHOW TASKS;")) == 1
    assert checksum(destination, "s") == checksum(source, "s")


def test_the_same_copy_by_who_may_not_see_the_task_is_refused(pair, tmp_path, rng):
    source, destination = pair
    load(source, tmp_path, rng)
    key = tmp_path / "user.key"
    command(BIN / "strait", "keygen", key)
    for region in pair:
        region.sql(f"CREATE USER RAM$root:job PUBLIC KEY '{proof(region, 'RAM$root:job', key)}';"
                   "USE demo; ADD USER RAM$root:job; GRANT CreateTable ON PROJECT demo TO USER RAM$root:job;")
    source.sql("USE demo; GRANT Select ON TABLE s TO USER RAM$root:job;")
    user = Principal(destination, key)
    with Relay(source) as relay:
        relay.hold_after(HELD_AT)
        task = destination.xcopy("s", wait="false")["task_id"]
        relay.wait_until_held()
        told = user.refused(xcopy_text())
        assert "writes demo.s already" in told and "another user" in told and task not in told
        relay.go_on()
        end_of(destination, task, "DONE")
    mine = user.xcopy("s", to="theirs")
    assert mine["state"] == "DONE" and len(user.sql("SHOW TASKS;")) == 1


UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def late_joiner_sees_the_tasks_rate(destination, home):
    """Of a task that gets no more bytes now, and not what its bytes would be over the joiner's moment."""
    def rate_of_a_second():
        row, = map(json.loads, destination.strait("tasks", "--format", "json").splitlines())
        rate = int(row["bytes_per_second"] or 0)
        return rate if 0 < 2 * rate < int(row["bytes_done"]) else 0  # in 2 s and more

    listed = until(rate_of_a_second, lambda: destination.strait("tasks"))
    joiner = Terminal([*destination.client, "sql", "-e", xcopy_text()], home)
    amount, unit = re.search(r"files, ([0-9.]+) ([kMG]?B)/s", joiner.read_until(r"files[^\r]*\r")).groups()
    joiner.type("\x03")
    joiner.end()
    assert float(amount) * UNITS[unit] <= 1.05 * listed, (amount, unit, listed)


def test_a_second_task_onto_one_name_is_refused_with_the_first_ones_id(pair, tmp_path, rng):
    source, destination = pair
    load(source, tmp_path, rng)
    source.sql("CREATE TABLE u (a BIGINT); CREATE SNAPSHOT TABLE other CLONE u;")
    with Relay(source, SLOW) as relay:
        task = destination.xcopy("s", wait="false")["task_id"]
        until(lambda: int(destination.one("SHOW TASKS;")["bytes_done"]) > 0, lambda: destination.sql("SHOW TASKS;"))
        relay.hold_after(0)
        told = destination.refused(xcopy_text("other", to="S"))
        assert task in told and "CANCEL TASK" in told
        late_joiner_sees_the_tasks_rate(destination, tmp_path)
        relay.go_on()
        end_of(destination, task, "DONE")
    assert destination.xcopy("other", to="S")["state"] == "DONE"  # afterwards it replaces


# ---- the source's snapshot goes ----

@pytest.mark.parametrize("how", ["dropped", "expired", "dropped, then killed"])
def test_a_source_snapshot_that_goes_is_kept_until_the_task_ends(pair, tmp_path, rng, how):
    source, destination = pair
    load(source, tmp_path, rng)
    before = checksum(source, "s")
    with Relay(source) as relay:
        if how == "expired":
            soon = (datetime.now(timezone.utc) + timedelta(seconds=4)).strftime("%Y-%m-%d %H:%M:%S")
            source.sql(f"CREATE OR REPLACE SNAPSHOT TABLE s CLONE t OPTIONS(expiration_timestamp=TIMESTAMP '{soon}');")
        relay.hold_after(HELD_AT)
        task = destination.xcopy("s", wait="false", expiration_timestamp="TIMESTAMP '2999-01-01 00:00:00'")["task_id"]
        relay.wait_until_held()
        source.sql("DROP TABLE t;" + ("DROP SNAPSHOT TABLE s;" if how != "expired" else "") +
                   "CREATE TABLE probe (a BIGINT); INSERT INTO probe VALUES (1);")
        until(lambda: source.sql("SHOW SNAPSHOT TABLES;") == [], lambda: source.sql("SHOW SNAPSHOT TABLES;"))
        if how == "dropped, then killed":
            source.cluster.kill(SOURCE)
            source.cluster.start(SOURCE)
        source.sql("DROP TABLE probe;")
        row = swept(source, lambda row: int(row["files_deleted"]) > 0)  # what was dropped later is gone
        assert counter(source, "strait_leases") == 1 and int(row["bytes_live"]) >= MEGABYTES << 20
        assert task_row(destination, task)["state"] == "RUNNING"
        relay.go_on()
        end_of(destination, task, "DONE")
        until(lambda: counter(source, "strait_leases") == 0, lambda: source.log[-3000:])
    assert checksum(destination, "s") == before
    swept(source, lambda row: int(row["bytes_live"]) == 0)
    for region in pair:
        assert " 0 faults" in region.fsck()


# ---- the destination's project goes ----

@pytest.mark.parametrize("again", [False, True])
def test_a_task_into_a_project_that_is_dropped_fails_and_leaves_nothing(pair, tmp_path, rng, again):
    source, destination = pair
    load(source, tmp_path, rng)
    destination.sql("CREATE PROJECT other;")
    with Relay(source) as relay:
        relay.hold_after(HELD_AT)
        task = destination.xcopy("s", to="other.s", wait="false")["task_id"]
        relay.wait_until_held()
        destination.sql("DROP PROJECT other;" + ("CREATE PROJECT other;" if again else ""))
        if not again:
            told = destination.refused("CREATE TABLE t (a BIGINT);", "--project", "other")
            assert "project other does not exist in region" in told and DESTINATION in told
        relay.go_on()
        row = end_of(destination, task, "FAILED")
        assert "project other was dropped while the task ran" in row["error"], row
    nothing_left(pair, 0)
    if again:
        assert destination.sql("SHOW SNAPSHOT TABLES IN other;") == []
    assert task_row(destination, task)["state"] == "FAILED"


@pytest.mark.parametrize("what, words", [
    ("DROP PROJECT other;", "project other was dropped while the task ran"),
    ("USE other; REVOKE CreateTable ON PROJECT other FROM USER RAM$root:job;", "RAM$root:job has no CreateTable"),
    ("DROP USER RAM$root:job;", "the token's signer is not known in")])
def test_what_goes_ends_the_task_though_its_source_is_away(pair, tmp_path, rng, what, words):
    source, destination = pair
    load(source, tmp_path, rng, 1)
    key = tmp_path / "user.key"
    command(BIN / "strait", "keygen", key)
    for region in pair:
        region.sql(f"CREATE USER RAM$root:job PUBLIC KEY '{proof(region, 'RAM$root:job', key)}';")
    destination.sql("CREATE PROJECT other; USE other; ADD USER RAM$root:job;"
                    "GRANT CreateTable ON PROJECT other TO USER RAM$root:job;")
    source.sql("USE demo; ADD USER RAM$root:job; GRANT Select ON TABLE s TO USER RAM$root:job;")
    user = Principal(destination, key)
    source.cluster.kill(SOURCE)
    task = user.xcopy("s", to="other.s", wait="false")["task_id"]
    until(lambda: "waiting for peer" in task_row(destination, task)["phase"], lambda: task_row(destination, task))
    destination.sql(what)
    row = end_of(destination, task, "FAILED")
    assert words in row["error"], row
    assert counter(destination, "strait_tasks") == 0


@pytest.mark.parametrize("ends_at", [SOURCE, DESTINATION])
def test_a_grant_that_ends_ends_the_copy_though_nobody_asks_anything(cluster, tmp_path, rng, ends_at):
    """Where it ends: the lease of a destination that is stopped, the task whose source says nothing."""
    source, destination = pair = cluster.up(SOURCE, DESTINATION)
    load(source, tmp_path, rng)
    clock = Clock(tmp_path / "clock")
    user = brief_user(pair, tmp_path / "user.key", ends_at)
    with Relay(source) as relay:
        restart(cluster, clock, ends_at)
        relay.hold_after(HELD_AT)
        task = user.xcopy("s", wait="false")["task_id"]
        relay.wait_until_held()
        if ends_at == SOURCE:
            lease_ends_unasked(pair, clock)
            refused = source.sql("SELECT message FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG WHERE action = 'XCOPY DESCRIBE' "
                                 "AND principal = 'RAM$root:job' AND outcome <> 'OK';")
            assert len(refused) == 1 and "Select" in refused[0]["message"], refused
            return  # what was served before may come yet
        clock.jump_to(86400 + 3600)
        assert "has no CreateTable" in end_of(destination, task, "FAILED")["error"]


def lease_ends_unasked(pair, clock):
    source, destination = pair
    os.kill(destination.pid, signal.SIGSTOP)
    try:
        clock.jump_to(86400 + 3600)
        until(lambda: counter(source, "strait_leases") == 0, lambda: source.log[-3000:])
    finally:
        os.kill(destination.pid, signal.SIGCONT)


def brief_user(pair, key, ends_at):
    """Who may copy s, for a day at one end."""
    command(BIN / "strait", "keygen", key)
    for region, grant in zip(pair, ("Select ON TABLE s", "CreateTable ON PROJECT demo")):
        brief = ' PRIVILEGEPROPERTIES("expires"="1")' if region.name == ends_at else ""
        region.sql(f"CREATE USER RAM$root:job PUBLIC KEY '{proof(region, 'RAM$root:job', key)}';"
                   f"USE demo; ADD USER RAM$root:job; GRANT {grant} TO USER RAM$root:job{brief};")
    return Principal(pair[1], key)


# ---- 128 tasks and a restart ----

TASKS = 128


@pytest.mark.parametrize("victim", [SOURCE, DESTINATION])
def test_a_restart_with_128_tasks_and_two_in_line_loses_none(pair, tmp_path, rng, victim):
    source, destination = pair
    for n in range(8):
        load(source, tmp_path, rng, 1 / 8, f"t{n}", f"s{n}")
    with Relay(source) as relay:
        relay.hold_after(50000)  # some are described, none has all of its file
        rows = destination.sql("".join(xcopy_text(f"s{n % 8}", to=f"r{n}", more=", wait=false") for n in range(TASKS)))
        ids = {row["task_id"] for row in rows}
        assert len(ids) == TASKS
        told = destination.refused(xcopy_text("s0", to="more", more=", wait=false"))
        assert f"{TASKS} XCOPY tasks of project demo" in told and "OPTIONS(queue=true)" in told
        line = [destination.one(xcopy_text("s0", to=f"r{TASKS + n}", more=", wait=false, queue=true")) for n in range(2)]
        ids |= {row["task_id"] for row in line}
        relay.wait_until_held()
        states = [row["state"] for row in destination.sql("SHOW TASKS;")]
        assert len(states) == TASKS + 2 and set(states) <= {"QUEUED", "RUNNING"} and "RUNNING" in states
        wait_in_line(destination, line)
        source.cluster.kill(victim)
        source.cluster.start(victim)
        wait_in_line(destination, line)
        relay.go_on()
        until(lambda: all(row["state"] == "DONE" for row in destination.sql("SHOW TASKS;")),
              lambda: [row for row in destination.sql("SHOW TASKS;") if row["state"] != "DONE"][:3])
        until(lambda: counter(source, "strait_leases") == 0, lambda: source.log[-3000:])  # the relay's end would cut one's end off
    assert {row["task_id"] for row in destination.sql("SHOW TASKS;")} == ids
    there = {row["snapshot"]: row["version"] for row in source.sql("SHOW SNAPSHOT TABLES;")}
    here = {row["snapshot"]: row["version"] for row in destination.sql("SHOW SNAPSHOT TABLES;")}
    assert here == {f"r{n}": there[f"s{n % 8 if n < TASKS else 0}"] for n in range(TASKS + 2)}
    assert checksum(destination, "r127") == checksum(source, "s7")
    for region in pair:
        assert " 0 faults" in region.fsck()


def wait_in_line(destination, line):
    for n, row in enumerate(line, 1):
        row = task_row(destination, row["task_id"])
        assert (row["state"], row["phase"]) == ("QUEUED", f"queued, number {n} in line of its project"), row


# ---- cancel ----

CANCEL_SECONDS = 10  # of a command that takes less than one: an idle machine's, ten times


def test_a_cancelled_task_stops_at_once_and_leaves_its_record_alone(pair, tmp_path, rng):
    """The source says nothing meanwhile: whatever the end waits for, it is not the source, nor a second look: the first one
    after the answer shows the end. What else it may not wait for: node/task/xcopy_end_test.c, task_test.c."""
    source, destination = pair
    load(source, tmp_path, rng)
    destination.sql("CREATE TABLE kept (a BIGINT); INSERT INTO kept VALUES (1);")
    live = int(destination.one("CLEANUP;")["bytes_live"])
    with Relay(source) as relay:
        relay.hold_after(HELD_AT)
        task = destination.xcopy("s", wait="false")["task_id"]
        relay.wait_until_held()
        destination.strait("cancel", task, timeout=CANCEL_SECONDS)
        row = task_row(destination, task)
        assert row["state"] == "CANCELLED" and 0 < int(row["bytes_total"]), row
        until(lambda: task_row(destination, task)["phase"] == "ended", lambda: task_row(destination, task))
        assert relay.passed >= relay.limit  # still
        relay.go_on()
        until(lambda: counter(source, "strait_leases") == 0, lambda: source.log[-3000:])
    nothing_left(pair, live)
    assert task_row(destination, task)["state"] == "CANCELLED"
    assert destination.xcopy("s")["state"] == "DONE"
    assert checksum(destination, "s") == checksum(source, "s")


def test_cancel_does_not_wait_for_queries(pair, tmp_path, rng):
    """Every worker of statements is in a query without an end."""
    source, destination = pair
    load(source, tmp_path, rng, 1)
    destination.sql("CREATE TABLE many (a BIGINT); INSERT INTO many VALUES " + ",".join(f"({n})" for n in range(500)) + ";")
    source.cluster.kill(SOURCE)
    tasks = [destination.xcopy("s", to=f"s{n}", wait="false")["task_id"] for n in range(2)]
    endless = "SELECT count(*) FROM many a, many b, many c, many d, many e WHERE a.a + b.a + c.a + d.a + e.a = -1;"
    workers = max(4, 2 * (os.cpu_count() or 1))
    clients = [subprocess.Popen([*destination.client, "sql", "--quiet", "-e", endless], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for _ in range(workers + 2)]
    try:
        until(lambda: counter(destination, "strait_statements") == workers, lambda: counter(destination, "strait_statements"))
        destination.strait("cancel", tasks[0])
        destination.sql(f"\n  cancel task '{tasks[1]}';")
        assert all(client.poll() is None for client in clients)
        assert counter(destination, "strait_tasks") == 0
    finally:
        for client in clients:
            client.kill()
            client.wait()
    rows = destination.sql("SHOW TASKS;")
    assert [row["state"] for row in rows] == ["CANCELLED"] * 2
