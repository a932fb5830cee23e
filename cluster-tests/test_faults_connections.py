"""A thousand connections that mean no good, on both listeners, while an operator works and an XCOPY goes through; then
everything they cost is given back."""
import contextlib
import os
import re
import resource
import selectors
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import DESTINATION, SOURCE

CONNECTIONS = 1000
SECONDS = 60
HANDSHAKE_BYTES = 180
DESCRIPTORS_MAX = 600   # over what it had: the listeners' limits before authentication, and some
MEMORY_MAX = 64 << 20   # the same, of memory
ROWS = 4000
SILENT = 8             # of the 16 connections that a principal may have


class Swarm(threading.Thread):
    """Keeps `count` connections to a port open, each opened again as soon as it is closed, from addresses of their
    own. Its manner says what one sends at once and how much it drips later."""

    MANNERS = {
        "idle": lambda rng: (b"", b""),
        "half a handshake": lambda rng: (rng.randbytes(HANDSHAKE_BYTES // 2), b""),
        "a false handshake": lambda rng: (b"\x01\x01\0\0" + rng.randbytes(HANDSHAKE_BYTES - 4), b""),
        "garbage": lambda rng: (rng.randbytes(4096), b""),
        "a slow drip": lambda rng: (b"\x01", b"\x01"),
    }

    def __init__(self, port, count, rng):
        super().__init__()
        self.port, self.count, self.rng = port, count, rng
        self.manners = list(self.MANNERS.values())
        self.over = threading.Event()
        self.opened = 0
        self.most = 0
        self.selector = selectors.DefaultSelector()

    def open(self):
        one = socket.socket()
        one.setblocking(False)
        number = self.opened
        one.bind((f"127.{1 + number % 4}.{1 + number // 4 % 250}.1", 0))
        with contextlib.suppress(BlockingIOError):
            one.connect(("127.0.0.1", self.port))
        self.opened += 1
        first, drip = self.manners[number % len(self.manners)](self.rng)
        self.selector.register(one, selectors.EVENT_READ | selectors.EVENT_WRITE, [first, drip])

    def close(self, one):
        self.selector.unregister(one)
        one.close()

    def serve(self, key, mask):
        state = key.data
        try:
            if mask & selectors.EVENT_READ and not key.fileobj.recv(65536):
                self.close(key.fileobj)
                return
            if mask & selectors.EVENT_WRITE:
                key.fileobj.send(state[0])
                state[0] = b""
                self.selector.modify(key.fileobj, selectors.EVENT_READ, state)
        except BlockingIOError:
            pass
        except OSError:
            self.close(key.fileobj)

    def drip(self):
        for key in list(self.selector.get_map().values()):
            if key.data[1] and not key.data[0]:
                with contextlib.suppress(OSError):
                    key.fileobj.send(key.data[1])

    def run(self):
        while not self.over.is_set():
            for _ in range(min(100, self.count - len(self.selector.get_map()))):
                self.open()
            self.most = max(self.most, len(self.selector.get_map()))
            for key, mask in self.selector.select(0.02):
                self.serve(key, mask)
            self.drip()
        for key in list(self.selector.get_map().values()):
            self.close(key.fileobj)

    def end(self):
        self.over.set()
        self.join()


def until(condition, what):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(what())


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cost(region):
    return descriptors(region.pid), region.anonymous_bytes


@pytest.fixture
def swarm(rng):
    made = []

    def make(region, count):
        for port in (region.operators_port, region.peers_port):
            one = Swarm(port, count // 2, rng)
            one.start()
            made.append(one)
        until(lambda: all(one.opened >= one.count for one in made), lambda: "the swarm cannot be opened")
        return made

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * CONNECTIONS:
        if hard < 2 * CONNECTIONS:
            pytest.skip(f"this process may open {hard} files only")
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * CONNECTIONS, hard))
    yield make
    for one in made:
        one.end()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def silent_clients(region, count):
    """Whose handshakes were right, who then neither ask nor read nor answer."""
    clients = [subprocess.Popen([*region.client, "tasks", "--watch"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for _ in range(count)]
    try:
        until(lambda: gauge(region, "strait_connections") > count, lambda: "the clients do not connect")
        for client in clients:
            client.send_signal(signal.SIGSTOP)
        yield
    finally:
        for client in clients:
            client.kill()
            client.wait()


def gauge(region, name):
    return int(re.search(rf"^{name} (\d+)", region.strait("status", "--format", "prometheus"), re.M)[1])


def load_source(source, folder, rng):
    path = folder / "rows.csv"
    path.write_text("".join(f"{i},{rng.randbytes(512).hex()}\n" for i in range(ROWS)))
    source.sql("CREATE TABLE t (a BIGINT, b STRING);")
    source.upload(path, "t")
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")


def test_a_thousand_hostile_connections(pair, swarm, tmp_path, rng):
    source, destination = pair
    load_source(source, tmp_path, rng)
    before = cost(source)
    with silent_clients(source, SILENT):
        hostile = swarm(source, CONNECTIONS)
        for number in range(5):
            assert source.one("SELECT COUNT(*) AS n FROM s;") == {"n": ROWS}
            assert destination.xcopy("s", to=f"s{number}")["state"] == "DONE"
            now = cost(source)
            assert now[1] - before[1] < MEMORY_MAX, (before, now)
            # what is closed has its descriptor until a thread of the library's had its turn: on a busy machine that is a while
            until(lambda: descriptors(source.pid) - before[0] < DESCRIPTORS_MAX, lambda: f"{before} {cost(source)}")
        print(f"{sum(one.opened for one in hostile)} opened, {[one.most for one in hostile]} at once, {before} {now}")
    for one in hostile:
        one.end()
    until(lambda: descriptors(source.pid) <= before[0] + 16, lambda: f"{before} {cost(source)}")
    assert source.anonymous_bytes - before[1] < MEMORY_MAX
