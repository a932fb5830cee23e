"""The disk answers no sync, and the node is to end: in the middle of its start, and of its stop. It runs as a container's program does,
as the first process of a namespace, for which the kernel drops every signal that nobody handles or waits for."""
import mmap
import os
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from conftest import BIN
from relay import Relay
from test_reload import ROWS, filled, state_of, wait_for

HELD_AT = 1 << 20
STOP_SECONDS = 10     # of the node; they go by at once, by FAULTS_AHEAD
END_SECONDS = 45      # for a machine that is far too busy
LATE = 3              # its exit status then
UNSHARE = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--pid", "--fork", "--kill-child"]


class Disk:
    """Of the nodes that are started with `env`: answers, or not."""

    def __init__(self, folder):
        self.ahead, hold = folder / "ahead", folder / "hold"
        self.ahead.write_bytes(bytes(8))
        hold.write_bytes(bytes(8))
        with open(hold, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 0)
        self.env = {"LD_PRELOAD": str(BIN / "libstrait-faults.so"), "FAULTS_HOLD": str(hold), "FAULTS_AHEAD": str(self.ahead)}

    def silent(self, is_silent):
        self.shared[:8] = struct.pack("=II", is_silent, 0)

    @property
    def waited_for(self):
        return struct.unpack("=II", self.shared[:8])[1] > 0

    def gone_by(self, seconds):
        with open(self.ahead, "r+b") as file:
            file.write(struct.pack("=q", seconds))


class FirstProcess:
    """straitd as process 1. Its log is not the region's: what it says here is no fault."""

    def __init__(self, region, disk, log, *words):
        self.log_file = log
        with open(log, "wb") as out:
            self.outer = subprocess.Popen([*UNSHARE, str(BIN / "straitd"), *words, "-c", str(region.config)], stdin=subprocess.DEVNULL,
                                          stderr=out, env={**os.environ, **disk.env})
        children = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children")
        found = wait_for(lambda: self.outer.poll() is not None or children.read_text().split(), lambda: self.log)
        assert self.outer.poll() is None, self.log
        self.pid = int(found[0])

    @property
    def log(self):
        return self.log_file.read_text(errors="replace")

    def end(self):
        os.kill(self.pid, signal.SIGTERM)

    def status(self):
        """Of its end, which nobody forces."""
        try:
            return self.outer.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return f"it runs:\n{self.log}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.outer.kill()
        self.outer.wait()


@pytest.fixture
def disk(tmp_path):
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no namespace of processes can be made here: {done.stderr.strip()}")
    return Disk(tmp_path)


def test_a_start_and_a_stop_that_hang_end_by_themselves_and_the_task_goes_on(pair, disk, tmp_path):
    source, region = pair
    filled(source)
    region.cluster.dev("stop-one", region.name)
    with Relay(source) as relay:
        disk.silent(True)
        with FirstProcess(region, disk, tmp_path / "start.log") as node:
            wait_for(lambda: disk.waited_for, lambda: node.log)
            node.end()
            assert node.status() == 0
            assert "ended during its start" in node.log and "event=started" not in node.log

        disk.silent(True)
        with FirstProcess(region, disk, tmp_path / "fsck.log", "--fsck") as fsck:
            wait_for(lambda: disk.waited_for, lambda: fsck.log)
            fsck.end()
            assert fsck.status() == 128 + signal.SIGTERM

        disk.silent(False)
        with FirstProcess(region, disk, tmp_path / "stop.log") as node:
            wait_for(lambda: "event=started" in node.log, lambda: node.log)
            relay.hold_after(HELD_AT)
            task = region.xcopy("s", wait="false")["task_id"]
            relay.wait_until_held()
            disk.silent(True)
            node.end()
            wait_for(lambda: "event=stopping" in node.log and disk.waited_for, lambda: node.log)
            assert node.outer.poll() is None
            disk.gone_by(STOP_SECONDS)
            assert node.status() == LATE
            assert "did not stop in time" in node.log and "event=stopped" not in node.log

        relay.go_on()
        region.cluster.start(region.name)
        wait_for(lambda: state_of(region, task)["state"] not in ("QUEUED", "RUNNING"), lambda: state_of(region, task))
        assert state_of(region, task)["state"] == "DONE", state_of(region, task)
    assert region.one("SELECT COUNT(*) AS n FROM s;")["n"] == ROWS
    assert " 0 faults" in region.fsck()
