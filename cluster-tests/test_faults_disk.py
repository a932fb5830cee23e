"""A full disk in every phase: a clear error that names the disk, everything acknowledged kept and readable, and work that
goes on as soon as there is space again, in the same process.

Each test walks: it leaves the node a little more space each time until the operation succeeds, so that it fails at every
step that takes space. Once with what the node sees for itself (its reserve refuses first), and once with a node that
believes its disk roomy (faults/preload.c), so that the disk refuses in the middle of whatever it is doing."""
import os
import re
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, Cluster, Failed, command
from disk_image import MIB, DiskImage

CLEAR_TEXT = re.compile(r"/data\S*: .*\d+ bytes are free.*drop snapshots or add space")
CLEAR = re.compile("ODPS-0010035: Not enough disk space - .*" + CLEAR_TEXT.pattern)
WALK_STEPS_MAX = 100
SECONDS = 60
LONG = "STRAIT_LONG" in os.environ
SETTINGS = ['load_memory = "1MiB"', 'disk_reserve = "1MiB"', "clean_up_interval = 1"]
ROOMY = {"LD_PRELOAD": str(BIN / "libstrait-faults.so"), "FAULTS_ROOMY": "1"}


class Full:
    """A cluster, one of whose nodes has its data on a small disk."""

    def __init__(self, folder, mib):
        self.cluster = Cluster(folder / "cluster", SETTINGS)
        self.name, self.env = DESTINATION, {}
        self.disk = DiskImage.make(folder / "disk.img", self.cluster.folder / self.name / "data", mib)

    def up(self, *names, roomy):
        regions = self.cluster.up(*names)
        if roomy:
            self.env = ROOMY
            self.cluster.dev("stop-one", self.name)
            self.cluster.start(self.name, self.env)
        self.region = next(region for region in regions if region.name == self.name)
        self.pid = self.region.pid
        return regions

    def checked(self):
        self.cluster.dev("stop-one", self.name)
        assert " 0 faults" in command(BIN / "straitd", "--fsck", "-c", self.region.config)
        self.cluster.start(self.name, self.env)
        self.pid = self.region.pid

    def restart(self):
        self.cluster.dev("stop-one", self.name)
        self.cluster.start(self.name, self.env)
        self.pid = self.region.pid


@pytest.fixture
def full(tmp_path, rng):
    if os.geteuid() != 0:
        pytest.skip("a disk of the test's own needs root")
    try:
        made = Full(tmp_path, 192)
    except OSError as error:
        pytest.skip(f"no ext4 image can be mounted here: {error}")
    try:
        yield made
        assert made.region.pid == made.pid, f"the node ended by itself\n{made.region.log[-3000:]}"
    finally:
        try:
            if (made.cluster.folder / "cluster.json").exists():
                made.cluster.down()
        finally:
            made.disk.remove()


def random_csv(path, rng, rows, first=0):
    """Rows of 1 KiB that no encoding makes smaller."""
    with open(path, "w", encoding="ascii") as file:
        file.write("id,note,kind\n")
        for i in range(first, first + rows):
            file.write(f"{i},{rng.randbytes(512).hex()},{i % 3}\n")
    return path


TABLE = "CREATE TABLE {} (id BIGINT, note STRING) PARTITIONED BY (kind BIGINT);"
SUMS = "SELECT COUNT(*) AS n, SUM(id) AS ids, MIN(note) AS low, MAX(note) AS high FROM {};"
PARTITIONED = ("-acp=true", "-h=true")


def walk(disk, attempt, holds, step):
    """Attempts with 0, 1, 2 ... steps of free space until one succeeds; the refusals. holds() is checked after each."""
    refusals = []
    for count in range(WALK_STEPS_MAX):
        disk.fill(count * step)
        try:
            attempt()
            return refusals
        except Failed as failed:
            assert failed.code == 1 and CLEAR.search(failed.stderr), failed
            refusals.append(failed.stderr)
        holds()
    pytest.fail(f"still no space after {WALK_STEPS_MAX} steps: {refusals[-1]}")


def until(condition, what):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(what())


both = pytest.mark.parametrize("roomy", [False, True], ids=["reserve", "roomy"])


def rows_of(node, table):
    return int(node.one(f"SELECT COUNT(*) AS n FROM {table};")["n"])


@both
def test_load(full, tmp_path, rng, roomy):
    node, = full.up(full.name, roomy=roomy)
    kept, other = (random_csv(tmp_path / f"{name}.csv", rng, 6000) for name in ("kept", "other"))
    for name in ("base", "walked"):
        node.sql(TABLE.format(name))
    node.upload(kept, "base", *PARTITIONED)
    whole = node.one(SUMS.format("base"))

    def holds():
        assert node.one(SUMS.format("base")) == whole
        assert rows_of(node, "walked") == 0

    refusals = walk(full.disk, lambda: node.upload(other, "walked", *PARTITIONED), holds, MIB // (4 if LONG else 1))
    assert len(refusals) > 3
    assert rows_of(node, "walked") == 6000
    full.disk.relieve()
    node.upload(kept, "walked", "--overwrite", *PARTITIONED)
    assert node.one(SUMS.format("walked")) == whole
    full.checked()


@both
def test_small_commits(full, tmp_path, rng, roomy):
    """They go through the log: what it has taken from the disk ahead is used up first, then a new one is begun."""
    node, = full.up(full.name, roomy=roomy)
    node.sql(TABLE.format("t"))
    acknowledged = tried = 0
    for leave in range(0, 24, 2) if LONG else (0, 12):
        full.disk.fill(leave * MIB)
        for _ in range(2000):
            path = random_csv(tmp_path / "rows.csv", rng, 900, tried * 900)
            tried += 1
            try:
                node.upload(path, "t", *PARTITIONED)
                acknowledged += 1
            except Failed as failed:
                assert failed.code == 1 and CLEAR.search(failed.stderr), failed
                break
        else:
            pytest.fail("the disk was never full")
        assert rows_of(node, "t") >= acknowledged * 900
        full.disk.relieve()
        node.upload(random_csv(tmp_path / "rows.csv", rng, 900, tried * 900), "t", *PARTITIONED)
        tried += 1
        acknowledged += 1
    assert acknowledged * 900 <= rows_of(node, "t") <= tried * 900
    full.checked()
    assert acknowledged * 900 <= rows_of(node, "t") <= tried * 900


def task_row(node, task):
    return next(row for row in node.sql("SHOW TASKS;") if row["task_id"] == task)


def ended_or_waiting(node, task):
    row = task_row(node, task)
    return row if row["state"] != "RUNNING" or "this node's store" in row["phase"] else None


def xcopy_begin(node, snapshot):
    """Whether the XCOPY ended well with the space that there was; else it said clearly that there was none. Its task."""
    try:
        task = node.xcopy(snapshot, wait="false")["task_id"]
    except Failed as failed:
        assert failed.code == 1 and CLEAR.search(failed.stderr), failed
        return False, None
    row = until(lambda: ended_or_waiting(node, task), lambda: f"{task_row(node, task)}\n{node.log[-2000:]}")
    assert row["state"] in ("DONE", "RUNNING"), row
    if row["state"] == "RUNNING":
        assert CLEAR_TEXT.search(row["phase"]), row
    return row["state"] == "DONE", task


def task_done(node, task):
    row = task_row(node, task)
    assert row["state"] in ("RUNNING", "DONE"), row
    return row["state"] == "DONE"


@both
def test_xcopy(full, tmp_path, rng, roomy):
    source, node = full.up(SOURCE, full.name, roomy=roomy)
    node.sql("CREATE TABLE mine (a BIGINT); INSERT INTO mine VALUES (1);")
    waited = 0
    for count in range(WALK_STEPS_MAX):
        source.sql(TABLE.format(f"t{count}"))
        source.upload(random_csv(tmp_path / "rows.csv", rng, 6000), f"t{count}", *PARTITIONED)
        source.sql(f"CREATE SNAPSHOT TABLE s{count} CLONE t{count};")
        full.disk.fill(count * (MIB // 4 if LONG else MIB))
        done, task = xcopy_begin(node, f"s{count}")
        assert node.one("SELECT a FROM mine;") == {"a": 1}
        full.disk.relieve()
        if done:
            break
        if task:
            waited += 1
            until(lambda: task_done(node, task), lambda: f"{task_row(node, task)}\n{node.log[-2000:]}")
        else:
            node.xcopy(f"s{count}")
        assert rows_of(node, f"s{count}") == 6000
    assert done and waited > 0
    full.checked()
    for number in range(count + 1):
        assert node.snapshot(f"s{number}")["version"] == source.snapshot(f"s{number}")["version"]


def replicas(full, source, node, folder, rng, count):
    """Snapshots s0, s1 ... of their own content at the node: what is dropped of them can be freed at once, while a
    dropped table's history is kept for a day."""
    for number in range(count):
        source.sql(TABLE.format(f"t{number}"))
        source.upload(random_csv(folder / "rows.csv", rng, 6000), f"t{number}", *PARTITIONED)
        source.sql(f"CREATE SNAPSHOT TABLE s{number} CLONE t{number};")
        node.xcopy(f"s{number}")


def test_dropping_frees_a_full_disk(full, tmp_path, rng):
    """The reserve is for this: nothing new gets in, DROP and clean-up work, then there is room again."""
    source, node = full.up(SOURCE, full.name, roomy=False)
    replicas(full, source, node, tmp_path, rng, 3)
    node.sql("CREATE TABLE kept (a BIGINT); INSERT INTO kept VALUES (1);")
    whole = node.one(SUMS.format("s0"))
    full.disk.fill(MIB // 2)
    text = node.refused("INSERT INTO kept VALUES (2);")
    assert CLEAR.search(text) and "reserve" in text
    before = full.disk.free_bytes
    node.sql("DROP SNAPSHOT TABLE s1; DROP SNAPSHOT TABLE s2;")
    until(lambda: full.disk.free_bytes > before + 4 * MIB, lambda: node.log[-2000:])
    assert node.one(SUMS.format("s0")) == whole
    node.sql("INSERT INTO kept VALUES (2);")
    full.checked()


@both
def test_clean_up(full, tmp_path, rng, roomy):
    """It runs every second here, with something to free, on a disk with 0, 1, 2 ... steps of space; if the disk stops
    it, it goes on when there is more."""
    source, node = full.up(SOURCE, full.name, roomy=roomy)
    replicas(full, source, node, tmp_path, rng, 1)
    whole = node.one(SUMS.format("s0"))
    for leave in range(0, 20, 1 if LONG else 6):
        source.upload(random_csv(tmp_path / "rows.csv", rng, 6000), "t0", "--overwrite", *PARTITIONED)
        source.sql(f"CREATE SNAPSHOT TABLE gone{leave} CLONE t0;")
        node.xcopy(f"gone{leave}")
        full.disk.fill(leave * MIB)
        cleaned = node.log.count('event="cleaned up"')
        try:
            node.sql(f"DROP SNAPSHOT TABLE gone{leave};")
        except Failed as failed:
            assert CLEAR.search(failed.stderr), failed
            full.disk.relieve()
            node.sql(f"DROP SNAPSHOT TABLE gone{leave};")
        assert node.one(SUMS.format("s0")) == whole
        full.disk.relieve()
        until(lambda: node.log.count('event="cleaned up"') > cleaned, lambda: node.log[-2000:])
        assert node.one(SUMS.format("s0")) == whole
    full.checked()


@both
def test_opening(full, tmp_path, rng, roomy):
    """A node that cannot open its store for want of space says so and ends; it starts once there is some."""
    node, = full.up(full.name, roomy=roomy)
    node.sql(TABLE.format("kept"))
    node.upload(random_csv(tmp_path / "rows.csv", rng, 900), "kept", *PARTITIONED)
    whole = node.one(SUMS.format("kept"))
    refused = 0
    for leave in range(0, 4 * MIB, MIB // (16 if LONG else 2)):
        full.cluster.kill(full.name)
        full.disk.fill(leave)
        try:
            full.cluster.start(full.name, full.env)
        except Failed as failed:
            assert CLEAR.search(failed.stderr), failed
            refused += 1
        full.disk.relieve()
        full.cluster.start(full.name, full.env)
        assert node.one(SUMS.format("kept")) == whole
    assert refused > 0
    full.pid = node.pid
    full.checked()
