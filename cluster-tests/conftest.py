"""Fixtures: clusters of real nodes on loopback, driven as an operator drives them, by deploy/dev-cluster and strait."""
import csv
import io
import itertools
import json
import os
import random
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("STRAIT_BIN", ROOT / "build/release/bin"))
COMMAND_SECONDS = 180
BROKEN = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:",
          "assertion failed", "did not stop in time")
SOURCE, DESTINATION = "ap-southeast-1", "cn-hongkong"


class Failed(Exception):
    """A command that ended with another code than 0."""

    def __init__(self, words, done):
        super().__init__(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        self.code, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr


def command(*words, stdin=None, timeout=COMMAND_SECONDS, env=None):
    words = [str(word) for word in words]
    done = subprocess.run(words, capture_output=True, text=True, input=stdin, timeout=timeout,
                          env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise Failed(words, done)
    return done.stdout


class Region:
    """One node and its client."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.home = cluster.folder / name
        self.client = [str(BIN / "strait"), "-c", str(self.home / "strait.conf")]

    def strait(self, *words, **options):
        return command(*self.client, *words, **options)

    def sql(self, text, *options, **more):
        """Statements; the rows of all of them as dicts of text, numbers and null as JSON gives them."""
        out = self.strait("sql", "--quiet", "--format", "json", *options, "-e", text, **more)
        return [json.loads(line) for line in out.splitlines()]

    def one(self, text):
        rows = self.sql(text)
        assert len(rows) == 1, rows
        return rows[0]

    def refused(self, text, *options):
        """The error text of a statement that must fail with exit code 1."""
        with pytest.raises(Failed) as caught:
            self.sql(text, *options)
        assert caught.value.code == 1, caught.value
        return caught.value.stderr

    def upload(self, path, table, *options, **more):
        return self.strait("tunnel", "upload", *options, path, table, **more)

    def download(self, table, path, *options):
        self.strait("tunnel", "download", *options, table, path)
        return Path(path)

    def snapshot(self, name):
        return next(row for row in self.sql("SHOW SNAPSHOT TABLES;") if row["snapshot"] == name)

    def xcopy(self, snapshot, to=None, source=SOURCE, project="demo", **options):
        more = "".join(f", {key}={value}" for key, value in options.items())
        return self.one(f'XCOPY SNAPSHOT {project}.{snapshot} TO SNAPSHOT {to or snapshot} '
                        f'OPTIONS(src_region="{source}"{more});')

    def fsck(self):
        """Stops the node, checks its store offline, starts it again."""
        self.cluster.dev("stop-one", self.name)
        try:
            return command(BIN / "straitd", "--fsck", "-c", self.home / "straitd.conf")
        finally:
            self.cluster.start(self.name)

    @property
    def peers_port(self):
        return int(re.search(r'listen_peers = \{"127\.0\.0\.1:(\d+)"', self.config.read_text())[1])

    @property
    def operators_port(self):
        return int(re.search(r'listen_operators = \{"127\.0\.0\.1:(\d+)"', self.config.read_text())[1])

    def move_peers(self, port):
        """Restarts the node with its listener of peers at another port; nobody else learns of it."""
        self.cluster.dev("stop-one", self.name)
        text = self.config.read_text()
        self.config.write_text(re.sub(r"listen_peers = .*", f'listen_peers = {{"127.0.0.1:{port}"}}', text))
        self.cluster.start(self.name)

    @property
    def anonymous_bytes(self):
        """Memory of its own that the node has in use."""
        return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1]) * 1024

    @property
    def pid(self):
        """Of the node as it runs; None when it has ended."""
        found = self.cluster.python(f"print(c.pid({self.name!r}))").strip()
        return None if found == "None" else int(found)

    @property
    def config(self):
        return self.home / "straitd.conf"

    @property
    def log(self):
        return (self.home / "log").read_text(errors="replace")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Cluster:
    def __init__(self, folder, extra=()):
        self.folder = folder
        self.extra = list(extra)

    def dev(self, verb, *words, env=None):
        if verb == "stop-one":
            return self.python(f"c.stop([{words[0]!r}])")
        return command(ROOT / "deploy/dev-cluster", verb, self.folder, *words, env=env)

    def python(self, text, inside=()):
        """Runs a line against deploy/dev-cluster's own Cluster object `c`; `inside`: words that run a command elsewhere."""
        code = ("import importlib.machinery, importlib.util\n"
                f"loader = importlib.machinery.SourceFileLoader('dev', {str(ROOT / 'deploy/dev-cluster')!r})\n"
                "spec = importlib.util.spec_from_loader('dev', loader); dev = importlib.util.module_from_spec(spec)\n"
                f"loader.exec_module(dev); c = dev.Cluster({str(self.folder)!r})\n{text}\n")
        return command(*inside, "/usr/bin/python3", "-B", "-c", code)

    def up(self, *names, env=None):
        if self.extra:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "cluster.json").exists():
                (self.folder / "cluster.json").write_text(
                    json.dumps({"gated": False, "regions": {}, "extra": self.extra}))
        self.dev("up", *names, env=env)
        return [Region(self, name) for name in names]

    def start(self, name, env=None):
        """Starts one node and waits for its answer; env reaches the node (crash points)."""
        self.python(f"c.start({name!r}, {env or {}!r}); c.wait([{name!r}])")

    def kill(self, name):
        self.dev("kill", name)

    def down(self):
        self.dev("down")

    def end(self):
        """Stops it and looks for what no log may hold."""
        if not self.folder.exists():
            return
        self.down()
        for log in self.folder.glob("*/log"):
            text = log.read_text(errors="replace")
            found = next((word for word in BROKEN if word in text), None)
            assert not found, f"{log}: {text[max(0, text.index(found) - 300):][:6000]}"


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path / "cluster")
    yield made
    made.end()


@pytest.fixture
def pair(cluster):
    """(source, destination): two regions that know each other."""
    return cluster.up(SOURCE, DESTINATION)


@pytest.fixture
def rng():
    seed = int(os.environ.get("STRAIT_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"STRAIT_SEED={seed}")
    return random.Random(seed)


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path
