"""Two regions with a bad link between them: strait-link's two network namespaces, and a node in each.

    with Link("rate 500", "delay 50") as link:
        command(*link.a, "iperf3", "-c", link.address_b)      # in namespace A
        link.order("cut")

The namespaces have no names and are held by strait-link alone: they end with it, and it ends with this process, however
that ends.
"""
import ctypes
import json
import os
import re
import socket
import subprocess

import pytest

from conftest import BIN, DESTINATION, SOURCE, Cluster, Region, command


def missing():
    """Why no link can be made here; "" if it can."""
    if os.geteuid() != 0:
        return "network namespaces and TUN devices need root"
    if not os.path.exists("/dev/net/tun"):
        return "this system has no /dev/net/tun"
    done = subprocess.run([str(BIN / "strait-link")], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip()


class Link:
    """Options while it runs: orders of cluster-tests/link/orders.h. The words `a` and `b` before a command run it in that namespace."""

    address_a, address_b = "10.77.0.1", "10.77.0.2"

    def __init__(self, *orders, seed=1, mtu=1500):
        self.process = subprocess.Popen([str(BIN / "strait-link"), "--seed", str(seed), "--mtu", str(mtu), *orders],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().split()
        assert len(line) == 3 and line[0] == "ready", f"strait-link did not start: {line}"
        self.paths = line[1:]
        self.a, self.b = (["nsenter", f"--net={path}"] for path in self.paths)

    def order(self, text):
        """Tells it, and returns when it is done; a refusal raises."""
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            raise RuntimeError(f"strait-link, '{text}': {answer or 'it has ended'}")
        return answer

    def counters(self):
        """{"ab": {"in": packets, "in_bytes", "out", "out_bytes", "lost", "full", "cut", "held_back", "on_wire"}, "ba": ...}"""
        return json.loads(self.order("count"))

    def socket(self, end, kind):
        """A socket of this process that lives in namespace "a" or "b"."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as home, open(self.paths["ab".index(end)]) as there:
            if libc.setns(there.fileno(), 0) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return socket.socket(socket.AF_INET, kind)
            finally:
                libc.setns(home.fileno(), 0)

    def kernel(self, **settings):
        """Sets net.ipv4 settings in both namespaces, as kernel(tcp_rmem="4096 131072 6291456")."""
        for name, value in settings.items():
            for inside in (self.a, self.b):
                command(*inside, "sh", "-c", f"echo {value} > /proc/sys/net/ipv4/{name}")

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class LinkedCluster(Cluster):
    """The source in namespace A, the destination in B; peers meet over the link, clients stay inside on loopback. `env`: {region: its
    environment}, at each start that gives none."""

    def __init__(self, folder, link, extra=(), env=None):
        super().__init__(folder, extra)
        self.link, self.env = link, env or {}
        self.places = {SOURCE: (link.a, link.address_a), DESTINATION: (link.b, link.address_b)}

    def up(self, *names):
        names = names or (SOURCE, DESTINATION)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "cluster.json").write_text(json.dumps({"gated": False, "regions": {}, "extra": self.extra}))
        self.python(f"c.add({list(names)!r})")
        regions = [LinkedRegion(self, name) for name in names]
        for region in regions:
            region.config.write_text(self.over_the_link(region.name, region.config.read_text()))
        for region in regions:
            self.start(region.name)
            region.sql("CREATE PROJECT IF NOT EXISTS demo;")
        return regions

    def over_the_link(self, name, text):
        """A configuration of deploy/dev-cluster with the peers' addresses on the link."""
        mine = self.places[name][1]
        text = re.sub(r'(listen_peers = \{")127\.0\.0\.1', rf"\g<1>{mine}", text)
        for other, (_, address) in self.places.items():
            text = re.sub(rf'(peer "{other}" \{{\n    addresses = \{{")127\.0\.0\.1', rf"\g<1>{address}", text)
        return text

    def start(self, name, env=None):
        self.python(f"c.start({name!r}, {env or self.env.get(name, {})!r}); c.wait([{name!r}])", inside=self.places[name][0])


class LinkedRegion(Region):
    def __init__(self, cluster, name):
        super().__init__(cluster, name)
        self.client = [*cluster.places[name][0], *self.client]

    def received(self, what):
        """Bytes of replies, what: "file" or "page", right or wrong, since the node started."""
        out = self.strait("status", "--format", "prometheus")
        return int(re.search(rf"^strait_xcopy_{what}_bytes_received_total(?:\{{.*\}})? (\d+)", out, re.M)[1])


@pytest.fixture
def make_link():
    """Links as Link(*orders), ended with the test; skips where none can be made."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    made = []

    def make(*orders, **options):
        made.append(Link(*orders, **options))
        return made[-1]

    yield make
    for link in made:
        link.close()


@pytest.fixture
def linked(make_link, tmp_path):
    """linked(*orders) -> (link, source, destination): two running nodes with that link between them."""
    clusters = []

    def make(*orders, **options):
        link = make_link(*orders, **options)
        clusters.append(LinkedCluster(tmp_path / f"cluster{len(clusters)}", link))
        return (link, *clusters[-1].up())

    yield make
    for cluster in clusters:
        cluster.end()
