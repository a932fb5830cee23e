"""Too few descriptors: refused at the start, a clear error or patience at work, and everything as before once there are
more; nothing acknowledged is lost and the node does not end."""
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BIN, DESTINATION, Failed, command

LONG = "STRAIT_LONG" in os.environ
SECONDS = 60
ROWS = 3000
FIRST_BYTES = 5 << 20  # sent as a chunk, and too little for a row group: no pack is begun
TOO_MANY = "ODPS-0010135"
CLEAR = (TOO_MANY, "ODPS-1010011", "ODPS-1010021")  # or no connection came about
SPARE_COUNT = 12 if LONG else 3


def until(condition, what):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(what())


class Descriptors:
    """How many a running node may have."""

    def __init__(self, region):
        self.pid = region.pid
        self.soft, self.hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)

    def leave(self, spare):
        """Only so many numbers are free from now on."""
        used = {int(name) for name in os.listdir(f"/proc/{self.pid}/fd")}
        free = (number for number in range(self.soft) if number not in used)
        for _ in range(spare):
            next(free)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (next(free), self.hard))

    def give_back(self):
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (self.soft, self.hard))


def test_a_start_with_too_few_is_refused(cluster):
    node, = cluster.up(DESTINATION)
    cluster.dev("stop-one", DESTINATION)
    with pytest.raises(Failed) as caught:
        command("prlimit", "--nofile=1000:1000", BIN / "straitd", "-c", node.config)
    for words in ("ODPS-0810011", "1000", "are needed", "LimitNOFILE"):
        assert words in caught.value.stderr, caught.value


def connections(port):
    """Sockets that the listener at this port still has open, whatever their other ends did."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[1].split(":")[1], 16) == port and row[3] in ("01", "08") for row in rows)


def attempt(words):
    """The error; None: it succeeded. It must say why."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=SECONDS)
    if done.returncode == 0:
        return None
    assert done.returncode in (1, 3) and any(code in done.stderr for code in CLEAR), (done.returncode, done.stderr)
    return done.stderr


def ends_well(node, task):
    row = next(row for row in node.sql("SHOW TASKS;") if row["task_id"] == task)
    assert row["state"] in ("QUEUED", "RUNNING", "DONE"), row
    return row["state"] == "DONE"


def test_exhaustion_at_work(pair, tmp_path, rng):
    source, node = pair
    path = tmp_path / "rows.csv"
    acknowledged = 0
    node.sql("CREATE TABLE t (a BIGINT, b STRING);")
    limit = Descriptors(node)
    try:
        for count in range(SPARE_COUNT):
            path.write_text("".join(f"{i},{rng.randbytes(512).hex()}\n" for i in range(ROWS)))
            source.sql(f"CREATE TABLE t{count} (a BIGINT, b STRING);")
            source.upload(path, f"t{count}")
            source.sql(f"CREATE SNAPSHOT TABLE s{count} CLONE t{count};")
            os.kill(source.pid, signal.SIGSTOP)  # the transfer falls into the shortage
            try:
                task = node.xcopy(f"s{count}", wait="false")["task_id"]
                limit.leave(count)
            finally:
                os.kill(source.pid, signal.SIGCONT)
            acknowledged += attempt([*node.client, "tunnel", "upload", path, "t"]) is None
            attempt([*node.client, "sql", "-e", "SELECT COUNT(*) FROM t;"])
            limit.give_back()
            assert node.pid == limit.pid, node.log[-3000:]
            until(lambda: ends_well(node, task), lambda: f"{node.sql('SHOW TASKS;')}\n{node.log[-2000:]}")
            assert node.one(f"SELECT COUNT(*) AS n FROM s{count};") == {"n": ROWS}
            rows = int(node.one("SELECT COUNT(*) AS n FROM t;")["n"])
            assert rows >= acknowledged * ROWS
            acknowledged = rows // ROWS
        node.upload(path, "t")
        assert node.one("SELECT COUNT(*) AS n FROM t;") == {"n": (acknowledged + 1) * ROWS}
        assert node.pid == limit.pid
    finally:
        limit.give_back()
    node.fsck()


def test_a_load_that_finds_none(cluster, tmp_path, rng):
    """It is under way when there are no more: its first pack cannot be begun. The connection is there to say so."""
    node, = cluster.up(DESTINATION)
    node.sql("CREATE TABLE t (a BIGINT, b STRING); INSERT INTO t VALUES (1, 'kept');")
    rows = "".join(f"{i},{rng.randbytes(512).hex()}\n" for i in range(40000))
    limit = Descriptors(node)
    until(lambda: connections(node.operators_port) == 0, lambda: "earlier ones stay open")
    load = subprocess.Popen([*node.client, "tunnel", "upload", "-", "t"], stdin=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    try:
        assert load.stderr.readline().startswith("Upload session")
        load.stdin.write(rows[:FIRST_BYTES])
        load.stdin.flush()
        until(lambda: connections(node.operators_port) == 1, lambda: "the load does not connect")
        limit.leave(0)
        _, error = load.communicate(rows[FIRST_BYTES:], timeout=SECONDS)
    finally:
        limit.give_back()
        load.kill()
    assert load.returncode == 1 and TOO_MANY in error and "raise the limit" in error, (load.returncode, error)
    assert node.pid == limit.pid
    assert node.one("SELECT COUNT(*) AS n FROM t;") == {"n": 1}
    path = tmp_path / "rows.csv"
    path.write_text(rows)
    node.upload(path, "t")
    assert node.one("SELECT COUNT(*) AS n FROM t;") == {"n": 40001}
    node.fsck()
