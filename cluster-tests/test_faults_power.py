"""A power cut: the data directory is on an ext4 image, and the image is copied at a random moment without unmounting.
What was acknowledged before the copy began is in the copy, after the file system has replayed its journal and the store
its log; fsck finds nothing.

What the copy models: the disk holds what the file system had handed to it, whole and in order; what waited in memory is
lost. The node is stopped (SIGSTOP, it notices nothing) while two copies are taken, again until both are equal: then
nothing was written between, and the copy is one moment and not a mixture. What it does not model: a disk that loses or
reorders what it took before a flush.

With a node that never syncs (faults/preload.c) the same test finds a loss, which proves that it can."""
import filecmp
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, Cluster, Failed, Region, command, free_port
from disk_image import DiskImage

CUTS = 20 if "STRAIT_LONG" in os.environ else 4
COPIES_MAX = 100
DISK_MIB = 160
NO_SYNC = {"LD_PRELOAD": str(BIN / "libstrait-faults.so"), "FAULTS_NO_SYNC": "1"}
ROWS = 2000


class Journal:
    """What was acknowledged, in order: rows of `log`, loads, snapshots, drops, replicas; grants, accounts, clones, changes of tables."""

    def __init__(self):
        self.lock = threading.Lock()
        self.rows = 0            # of table log
        self.loads = []          # tables of ROWS rows each
        self.snapshots = set()   # that exist
        self.dropped = set()
        self.replicas = set()
        self.facts = {}          # what was said: a statement, and text that its answer has from then on

    def copy(self):
        with self.lock:
            taken = Journal()
            taken.rows, taken.loads, taken.facts = self.rows, list(self.loads), dict(self.facts)
            taken.snapshots, taken.dropped, taken.replicas = (
                set(self.snapshots), set(self.dropped), set(self.replicas))
            return taken


class Patient(Region):
    """Asks again when its connection did not come about because the node was stopped: nothing was asked then."""

    def strait(self, *words, **options):
        while True:
            try:
                return super().strait(*words, **options)
            except Failed as failed:
                if "the handshake took too long" not in failed.stderr:
                    raise


class Worker(threading.Thread):
    """Changes the node without end and notes each change once it is acknowledged."""

    def __init__(self, node, folder, rng, journal):
        super().__init__()
        self.node, self.folder, self.rng, self.journal = Patient(node.cluster, node.name), folder, rng, journal
        self.over = threading.Event()
        self.failure = None

    def load(self, number):
        path = self.folder / "load.csv"
        path.write_text("".join(f"{i},{self.rng.randbytes(200).hex()}\n" for i in range(ROWS)))
        self.node.sql(f"CREATE TABLE load{number} (a BIGINT, b STRING);")
        self.node.upload(path, f"load{number}")
        with self.journal.lock:
            self.journal.loads.append(f"load{number}")

    def insert(self, number):
        self.node.sql(f"INSERT INTO log VALUES ({number});")
        with self.journal.lock:
            self.journal.rows += 1

    def snapshot(self, number):
        self.node.sql(f"CREATE SNAPSHOT TABLE snap{number} CLONE log;")
        with self.journal.lock:
            self.journal.snapshots.add(f"snap{number}")

    def drop(self, number):
        if not self.journal.snapshots:
            return
        name = sorted(self.journal.snapshots)[0]
        with self.journal.lock:  # from here on it may be gone
            self.journal.snapshots.remove(name)
        self.node.sql(f"DROP SNAPSHOT TABLE {name};")
        with self.journal.lock:
            self.journal.dropped.add(name)

    def xcopy(self, number):
        self.node.xcopy("s", to=f"copy{number}")
        with self.journal.lock:
            self.journal.replicas.add(f"copy{number}")

    def fact(self, statements, question, answer):
        self.node.sql(statements)
        with self.journal.lock:
            self.journal.facts[statements] = (question, answer)

    def account(self, number):
        name, key = f"ALIYUN$a{number}", self.folder / f"a{number}.key"
        command(BIN / "strait", "keygen", key)
        proof = command(BIN / "strait", "pubkey", "--for", self.node.name, name, key).strip()
        self.fact(f"CREATE ACCOUNT {name} PUBLIC KEY '{proof}';", "LIST ACCOUNTS;", f'"{name}"')
        self.fact(f"ADD USER {name};", "LIST USERS;", f'"{name}"')
        self.fact(f"GRANT Select ON TABLE log TO USER {name};", f"SHOW GRANTS FOR {name};", "Select")

    def role(self, number):
        self.fact(f"CREATE ROLE r{number};", "LIST ROLES;", f'"r{number}"')
        self.fact(f"GRANT Describe ON TABLE log TO ROLE r{number};", f"DESC ROLE r{number};", "Describe")

    def clone(self, number):
        rows = self.journal.rows  # this thread alone changes them
        self.fact(f"CLONE TABLE log TO demo.clone{number};", f"SELECT COUNT(*) AS n FROM clone{number};", f'"n": {rows}}}')
        self.fact(f"CREATE TABLE made{number} AS SELECT a FROM log;", f"SELECT COUNT(*) AS n FROM made{number};",
                  f'"n": {rows}}}')

    def change(self, number):
        self.fact(f"ALTER TABLE clone{number} SET LIFECYCLE {number + 3};", f"SHOW CREATE TABLE clone{number};",
                  f"LIFECYCLE {number + 3}")
        with self.journal.lock:  # from here on it may have the other name
            self.journal.facts.pop(f"CREATE TABLE made{number} AS SELECT a FROM log;")
        self.fact(f"ALTER TABLE made{number} RENAME TO renamed{number};", "SHOW TABLES;", f'"renamed{number}"')

    def run(self):
        steps = [self.insert, self.account, self.insert, self.snapshot, self.role, self.load, self.clone, self.xcopy,
                 self.change, self.drop]
        try:
            number = 0
            while not self.over.is_set():
                for step in steps:
                    step(number)
                number += 1
        except Exception as error:  # noqa: BLE001  the test tells it
            self.failure = error

    def end(self):
        self.over.set()
        self.join()


def cut(disk, pid, folder, journal):
    """The disk at one moment, as a file, and what had been acknowledged by then."""
    first, second = folder / "cut.img", folder / "again.img"
    os.kill(pid, signal.SIGSTOP)
    try:
        before = journal.copy()
        disk.copy(first)
        for _ in range(COPIES_MAX):
            disk.copy(second)
            if filecmp.cmp(first, second, shallow=False):
                return first, before
            second.replace(first)
        pytest.fail("the disk was written to all the time")
    finally:
        os.kill(pid, signal.SIGCONT)
        second.unlink(missing_ok=True)


class After:
    """A node on the cut disk, at ports of its own."""

    def __init__(self, node, image):
        self.cluster = Cluster(image.mount.parent.parent)
        self.node, self.image = node, image
        self.region = Region(self.cluster, node.name)

    def config(self):
        """The same node; its data elsewhere, its listeners too."""
        home = self.region.home
        for name in ("straitd.conf", "strait.conf", "node.key"):
            (home / name).write_bytes((self.node.home / name).read_bytes())
            (home / name).chmod(0o600)
        state = (self.node.cluster.folder / "cluster.json").read_text()
        (self.cluster.folder / "cluster.json").write_text(state)
        (self.cluster.folder / "root.key").write_bytes((self.node.cluster.folder / "root.key").read_bytes())
        (self.cluster.folder / "root.key").chmod(0o600)
        text = self.region.config.read_text().replace(str(self.node.cluster.folder), str(self.cluster.folder))
        client = (home / "strait.conf").read_text().replace(str(self.node.cluster.folder), str(self.cluster.folder))
        for port in (self.node.peers_port, self.node.operators_port):
            fresh = str(free_port())
            text, client = text.replace(f":{port}\"", f":{fresh}\""), client.replace(f":{port}\"", f":{fresh}\"")
        self.region.config.write_text(text)
        (home / "strait.conf").write_text(client)


def losses(region, journal):
    """What was acknowledged and is not there."""
    lost = []
    try:
        tables = {row["table"] for row in region.sql("SHOW TABLES;")}
        snapshots = {row["snapshot"] for row in region.sql("SHOW SNAPSHOT TABLES;")}
        rows = int(region.one("SELECT COUNT(*) AS n FROM log;")["n"])
        if rows < journal.rows:
            lost.append(f"{journal.rows - rows} of {journal.rows} rows")
        for name in journal.loads:
            if name not in tables or int(region.one(f"SELECT COUNT(*) AS n FROM {name};")["n"]) != ROWS:
                lost.append(f"load {name}")
        lost += [f"snapshot {name}" for name in journal.snapshots | journal.replicas if name not in snapshots]
        lost += [f"drop of {name}" for name in journal.dropped if name in snapshots]
        for name in journal.replicas & snapshots:
            if int(region.one(f"SELECT COUNT(*) AS n FROM {name};")["n"]) != ROWS:
                lost.append(f"rows of replica {name}")
        for statement, (question, answer) in journal.facts.items():
            if answer not in json.dumps(region.sql(question)):
                lost.append(statement)
    except Failed as failed:
        lost.append(f"a readable store: {failed}")
    return lost


def survived(node, file, folder, journal):
    """What the copy lost; nothing of it may be broken."""
    image = DiskImage(file, folder / "after" / node.name / "data")
    image.attach()  # replays the journal
    after = After(node, image)
    try:
        after.config()
        try:
            after.cluster.start(node.name)
        except Failed as failed:
            return [f"the node does not start: {failed}"]
        lost = losses(after.region, journal)
        after.cluster.python(f"c.stop([{node.name!r}])")
        if not lost:
            assert " 0 faults" in command(BIN / "straitd", "--fsck", "-c", after.region.config)
        image.detach()
        command("e2fsck", "-fn", file)
        return lost
    finally:
        try:
            after.cluster.python(f"c.stop([{node.name!r}])")
        finally:
            image.remove()


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a disk of the test's own needs root")
    try:
        made = DiskImage.make(tmp_path / "disk.img", tmp_path / "cluster" / DESTINATION / "data", DISK_MIB)
    except OSError as error:
        pytest.skip(f"no ext4 image can be mounted here: {error}")
    cluster = Cluster(tmp_path / "cluster", ['disk_reserve = "1MiB"'])
    try:
        made.cluster = cluster
        yield made
    finally:
        try:
            if (cluster.folder / "cluster.json").exists():
                cluster.down()
        finally:
            made.remove()


def begin(disk, folder, rng):
    source, node = disk.cluster.up(SOURCE, DESTINATION)
    path = folder / "source.csv"
    path.write_text("".join(f"{i},{rng.randbytes(200).hex()}\n" for i in range(ROWS)))
    source.sql("CREATE TABLE t (a BIGINT, b STRING);")
    source.upload(path, "t")
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")
    node.sql("CREATE TABLE log (a BIGINT);")
    return node


def test_a_power_cut_loses_nothing_acknowledged(disk, tmp_path, rng):
    node = begin(disk, tmp_path, rng)
    journal = Journal()
    worker = Worker(node, tmp_path, rng, journal)
    worker.start()
    try:
        for _ in range(CUTS):
            time.sleep(rng.uniform(0.3, 1.5))  # the moment is the test's input
            file, before = cut(disk, node.pid, tmp_path, journal)
            assert survived(node, file, tmp_path, before) == []
            assert worker.failure is None, worker.failure
    finally:
        worker.end()
    assert journal.rows > CUTS and journal.replicas and journal.facts


def test_a_node_that_never_syncs_loses_something(disk, tmp_path, rng):
    node = begin(disk, tmp_path, rng)
    disk.cluster.dev("stop-one", node.name)
    disk.cluster.start(node.name, NO_SYNC)
    journal = Journal()
    worker = Worker(node, tmp_path, rng, journal)
    worker.start()
    lost = []
    try:
        for _ in range(COPIES_MAX):
            time.sleep(rng.uniform(0.3, 1.5))
            file, before = cut(disk, node.pid, tmp_path, journal)
            lost = survived(node, file, tmp_path, before)
            if lost:
                break
    finally:
        worker.end()
    print(lost)
    assert lost
