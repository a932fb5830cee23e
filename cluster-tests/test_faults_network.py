"""Peers that vanish, stop, or turn out to be somebody else: found by silence, waited for, gone on from, and nobody else
is held up meanwhile. Real seconds pass (a silence is 30 s); states are waited for, no time is asserted."""
import contextlib
import os
import re
import signal
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, Failed, command
from network_fault import Network

SECONDS = 120
OVER_IDLE_BYTES = 128 << 20
ROWS = 12000
RATE = "20mbit"


@pytest.fixture
def network():
    if os.geteuid() != 0:
        pytest.skip("a network of the test's own needs root")
    try:
        made = Network()
    except OSError as error:
        pytest.skip(f"no network namespace or firewall here: {error}")
    yield made
    made.leave()


def until(condition, what, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(what())


def task_row(node, task):
    return next(row for row in node.sql("SHOW TASKS;") if row["task_id"] == task)


def gauge(node, name):
    return int(re.search(rf"^{name} (\d+)", node.strait("status", "--format", "prometheus"), re.M)[1])


def load_source(source, folder, rng):
    path = folder / f"{source.name}.csv"
    path.write_text("".join(f"{i},{rng.randbytes(512).hex()}\n" for i in range(ROWS)))
    source.sql("CREATE TABLE t (a BIGINT, b STRING);")
    source.upload(path, "t")
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")


def begin(destination, source, to):
    """An XCOPY of which something is on its way."""
    task = destination.xcopy("s", to=to, source=source.name, wait="false")["task_id"]
    until(lambda: in_flight(destination, task), lambda: str(task_row(destination, task)))
    return task


def in_flight(node, task):
    row = task_row(node, task)
    assert row["state"] == "RUNNING", f"too fast to be cut: {row}"
    return int(row["bytes_total"] or 0) > 0


def waits_for(node, task, peer):
    row = task_row(node, task)
    assert row["state"] == "RUNNING", row
    return row["phase"].startswith(f"waiting for peer {peer} since ")


def ends_well(node, task):
    until(lambda: task_row(node, task)["state"] != "RUNNING", lambda: f"{task_row(node, task)}\n{node.log[-3000:]}")
    row = task_row(node, task)
    assert row["state"] == "DONE", row


@contextlib.contextmanager
def continued(pid):
    """Whoever was stopped goes on afterwards, whatever happens."""
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def stopped(pid):
    """Neither reads nor answers; its kernel still does."""
    with continued(pid):
        os.kill(pid, signal.SIGSTOP)
        yield


def test_sources_that_vanish_in_mid_transfer(network, cluster, tmp_path, rng):
    """Cut off both ways, one way, the other way, and stopped: each is waited for, and each task goes on by itself; one
    of them is killed while it is cut off, so that its connections are half open when it is back. A healthy source and
    the operator are served meanwhile."""
    names = ["cut-both", "cut-to", "cut-from", "stopped", "healthy"]
    *sources, destination = cluster.up(*names, DESTINATION)
    for source in sources:
        load_source(source, tmp_path, rng)
    network.slow_down(RATE)
    gone = dict(zip(names, sources))
    healthy = gone.pop("healthy")
    vanish = {
        "cut-both": lambda port: network.cut(port),
        "cut-to": lambda port: network.cut(port, from_it=False),
        "cut-from": lambda port: network.cut(port, to_it=False),
        "stopped": lambda port: os.kill(pids["stopped"], signal.SIGSTOP),
    }
    pids = {name: source.pid for name, source in gone.items()}
    tasks = {}
    with continued(pids["stopped"]):
        for name, source in gone.items():
            tasks[name] = begin(destination, source, name.replace("-", "_"))
            vanish[name](source.peers_port)
        network.full_speed()
        destination.xcopy("s", to="well", source=healthy.name)
        for name, task in tasks.items():
            until(lambda name=name, task=task: waits_for(destination, task, name),
                  lambda task=task: str(task_row(destination, task)))
        assert destination.one("SELECT COUNT(*) AS n FROM well;") == {"n": ROWS}
        # the other end finds it out as well, and keeps nothing for a peer that is gone
        for name in ("cut-both", "cut-from"):
            until(lambda name=name: peers_gone(gone[name]), lambda name=name: gone[name].log[-2000:])
        cluster.kill("cut-both")
        cluster.start("cut-both")
        network.mend()
    for name, task in tasks.items():
        ends_well(destination, task)
        made = destination.snapshot(name.replace("-", "_"))
        assert made["version"] == gone[name].snapshot("s")["version"]
    destination.fsck()


def peers_gone(source):
    """Only the operator who asks is connected."""
    return gauge(source, "strait_connections") <= 1


def test_a_destination_that_stops_reading(network, cluster, tmp_path, rng):
    """The source keeps neither memory nor threads for it: others pull, operators are served, and it is dropped after
    its silence; when it is back its task goes on."""
    source, stuck, other = cluster.up(SOURCE, "stuck", "other")
    load_source(source, tmp_path, rng)
    source.strait("status")
    idle = source.anonymous_bytes
    network.slow_down(RATE)
    task = begin(stuck, source, "s")
    with stopped(stuck.pid):
        network.full_speed()
        for number in range(3):
            other.xcopy("s", to=f"s{number}")
            assert source.one("SELECT COUNT(*) AS n FROM s;") == {"n": ROWS}
        assert source.anonymous_bytes - idle < OVER_IDLE_BYTES
        cluster.dev("stop-one", "other")
        until(lambda: peers_gone(source), lambda: source.log[-2000:])
    ends_well(stuck, task)
    assert stuck.snapshot("s")["version"] == source.snapshot("s")["version"]


def test_a_source_with_another_key(cluster, tmp_path, rng):
    """At the same address: refused at once, both before and in the middle of a task, naming the key."""
    source, destination = cluster.up(SOURCE, DESTINATION)
    load_source(source, tmp_path, rng)
    os.kill(source.pid, signal.SIGSTOP)
    task = destination.xcopy("s", wait="false")["task_id"]
    cluster.kill(SOURCE)
    key = source.home / "node.key"
    kept = key.rename(source.home / "kept.key")
    data = (source.home / "data").rename(source.home / "kept.data")
    command(BIN / "strait", "keygen", key)
    other = command(BIN / "strait", "pubkey", key).strip()
    client = (source.home / "strait.conf").read_text()
    (source.home / "strait.conf").write_text(re.sub(r'node_key = ".*"', f'node_key = "{other}"', client))
    cluster.start(SOURCE)
    until(lambda: task_row(destination, task)["state"] != "RUNNING", lambda: str(task_row(destination, task)))
    row = task_row(destination, task)
    assert row["state"] == "FAILED" and "ODPS-1010041" in row["error"] and SOURCE in row["error"], row
    known = re.search(r'key = "(\S+)"', destination.config.read_text().split("peer ", 1)[1])[1]
    assert known in row["error"], (row["error"], known)
    with pytest.raises(Failed) as caught:
        destination.xcopy("s")
    assert "ODPS-1010041" in caught.value.stderr
    cluster.kill(SOURCE)
    kept.replace(key)
    os.rename(source.home / "data", source.home / "other.data")
    data.replace(source.home / "data")
    (source.home / "strait.conf").write_text(client)
    cluster.start(SOURCE)
    assert destination.xcopy("s")["state"] == "DONE"
