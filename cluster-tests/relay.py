"""What stands between a destination and its source, at the port where the source was: passes bytes on, holds them from a
given count on, or passes so many a second. For tests that need a task in mid-transfer, and a source that is slow.

    with Relay(source) as relay:
        relay.hold_after(1 << 20)      # of what the source sends, from now on
        ...
        relay.go_on()

ClientRelay stands between a client and its node.
"""
import socket
import threading
import time
from types import SimpleNamespace

from conftest import free_port

PIECE = 64 << 10


class Relay:
    """bytes_per_second None: as they come. The source is moved away, and back at the end."""

    def __init__(self, source, bytes_per_second=None):
        self.source, self.port, self.rate = source, source.peers_port, bytes_per_second
        self.real = free_port()
        source.move_peers(self.real)
        self.changed = threading.Condition()
        self.passed, self.limit, self.ended = 0, None, False
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def hold_after(self, count):
        """Nothing more of the source's passes after so many bytes, in all connections together."""
        with self.changed:
            self.limit = self.passed + count

    def wait_until_held(self, seconds=60):
        deadline = time.monotonic() + seconds
        with self.changed:
            while self.passed < self.limit:
                assert self.changed.wait(max(0, deadline - time.monotonic())), f"{self.passed} of {self.limit} bytes"

    def go_on(self):
        with self.changed:
            self.limit = None
            self.changed.notify_all()

    def close(self):
        with self.changed:
            self.ended = True
            self.changed.notify_all()
            sockets = [self.listener, *self.sockets]
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
        self.source.move_peers(self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.real))
            except ConnectionRefusedError:  # the source is down: so is this connection
                near.close()
                continue
            except OSError:
                return
            with self.changed:
                self.sockets += [near, far]
            for words in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._carry, args=words, daemon=True).start()

    def _room(self):
        """How many bytes may pass now; waits while none may. 0: it is over."""
        with self.changed:
            while not self.ended and self.limit is not None and self.passed >= self.limit:
                self.changed.wait()
            left = PIECE if self.limit is None else min(PIECE, self.limit - self.passed)
            return 0 if self.ended else left

    def _count(self, count):
        with self.changed:
            self.passed += count
            self.changed.notify_all()

    def _carry(self, here, there, counts):
        try:
            while True:
                data = here.recv(self._room() if counts else PIECE)
                if not data:
                    break
                if counts:
                    self._count(len(data))
                    if self.rate:
                        time.sleep(len(data) / self.rate)
                there.sendall(data)
        except OSError:
            pass
        for one in (here, there):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class ClientRelay(Relay):
    """`client`: the command of the region's client, by way of it; its configuration is in the folder."""

    def __init__(self, region, folder):
        port = free_port()
        super().__init__(SimpleNamespace(peers_port=port, move_peers=lambda port: None))
        self.real = region.operators_port
        path = folder / "by-relay.conf"
        text = (region.home / "strait.conf").read_text()
        path.write_text(text.replace(f":{self.real}", f":{port}"))
        self.client = [region.client[0], "-c", str(path)]
