"""Single calls that the disk refuses, by file and by count: what the full image of test_faults_disk.py meets by chance is
met here exactly, at the database's own log and manifest, at packs that are taken in, at spilled runs; in every statement
that stores something.

Each operation first runs while its calls are counted; then again and again, each time on content of its own, and from one
of those calls on the disk is full, until the refusal has been looked at. What was acknowledged stays readable meanwhile;
the operation is there whole or not at all; with space again it succeeds, in the same process."""
import errno
import os

import pytest

from conftest import BIN, DESTINATION, SOURCE, Cluster, Failed, command
from refusals import Refusals
from test_faults_disk import CLEAR, CLEAR_TEXT, SUMS, ended_or_waiting, task_done, task_row, until

LONG = "STRAIT_LONG" in os.environ
ROWS = 2700  # of 1 KiB: more than load_memory, so that runs are spilled
SETTINGS = ['load_memory = "1MiB"', 'history_retention = "1s"']
ALL, LOG, MANIFEST = "*/data/*", "*/data/db/*.log", "*/data/db/MANIFEST*"
SPILLED, TAKEN_IN = "*/data/tmp/#", "*/data/db/*.sst"
MORE = 1 << 40


class Node:
    """One whose calls can be refused, and what is kept there."""

    def __init__(self, region, refusals, folder, rng):
        self.region, self.refusals, self.folder, self.rng = region, refusals, folder, rng
        self.count = 0
        cluster = region.cluster
        cluster.dev("stop-one", region.name)
        cluster.start(region.name, refusals.env)
        self.pid = region.pid
        region.sql(PARTITIONED.format("kept"))
        region.upload(self.rows(), "kept", "-acp=true")
        self.whole = region.one(SUMS.format("kept"))

    def rows(self):
        """Rows that were never there before."""
        path = self.folder / "rows.csv"
        path.write_text("".join(f"{i},{self.rng.randbytes(512).hex()},{i % 3}\n" for i in range(ROWS)))
        return path

    def fresh(self):
        """A name, and a query whose rows were never there before."""
        self.count += 1
        salt = self.rng.randbytes(8).hex()
        return f"x{self.count}", f"SELECT id, CONCAT('{salt}', note) AS note, kind FROM kept"

    def row_count(self, table):
        """None: there is no such table."""
        try:
            return int(self.region.one(f"SELECT COUNT(*) AS n FROM {table};")["n"])
        except Failed as failed:
            assert "ODPS-0130131" in failed.stderr, failed
            return None

    def holds(self):
        assert self.region.one(SUMS.format("kept")) == self.whole

    def checked(self):
        """The same process to the end, and what it leaves."""
        assert self.region.pid == self.pid, f"the node ended by itself\n{self.region.log[-3000:]}"
        self.region.cluster.dev("stop-one", self.region.name)
        assert " 0 faults" in command(BIN / "straitd", "--fsck", "-c", self.region.config)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The node of all tests here, made by the first."""
    folder = tmp_path_factory.mktemp("writes")
    cluster = Cluster(folder / "cluster", SETTINGS)
    made = []

    def get(rng):
        if not made:
            source, region = cluster.up(SOURCE, DESTINATION)
            made.append(Node(region, Refusals(folder / "refusal"), folder, rng))
            made[0].source = source
        made[0].rng = rng
        return made[0]
    yield get
    try:
        for node in made:
            node.checked()
    finally:
        cluster.end()


@pytest.fixture
def node(shared, rng):
    made = shared(rng)
    yield made
    made.refusals.disarm()


TABLE = "CREATE TABLE {} (id BIGINT, note STRING, kind BIGINT) {};"
PARTITIONED = "CREATE TABLE {} (id BIGINT, note STRING) PARTITIONED BY (kind BIGINT);"
HASH = "CLUSTERED BY (id) SORTED BY (note) INTO 4 BUCKETS"
RANGE = "RANGE CLUSTERED BY (note) INTO 4 BUCKETS"


def uploads(clause):
    def begin(node):
        name, _ = node.fresh()
        node.region.sql(TABLE.format(name, clause))
        path = node.rows()
        return lambda: node.region.upload(path, name), lambda: node.row_count(name), 0, ROWS
    return begin


def inserts(create, into):
    def begin(node):
        name, query = node.fresh()
        node.region.sql(create.format(name))
        return lambda: node.region.sql(f"INSERT INTO {name} {into} {query};"), lambda: node.row_count(name), 0, ROWS
    return begin


def makes(text, rows):
    """A statement that makes a table."""
    def begin(node):
        name, query = node.fresh()
        return lambda: node.region.sql(text.format(name=name, query=query)), lambda: node.row_count(name), None, rows
    return begin


def renames(node):
    name, query = node.fresh()
    node.region.sql(f"CREATE TABLE {name} AS {query} LIMIT 5;")
    return (lambda: node.region.sql(f"ALTER TABLE {name} RENAME TO {name}_new;"),
            lambda: node.row_count(f"{name}_new"), None, 5)


def cleans_up(node):
    """Of what the operations before it have left, whose history is a second old by now, or of a part of that."""
    name, query = node.fresh()
    node.region.sql(f"CREATE TABLE {name} AS {query}; DROP TABLE {name};")
    ended = []
    return lambda: ended.append(node.region.one("CLEANUP;")), lambda: bool(ended), False, True


OPERATIONS = {  # name: what begins it, and the files that get a walk of their own
    "load": (uploads(""), [LOG, MANIFEST]),
    "insert-select": (inserts(PARTITIONED, "PARTITION(kind)"), [SPILLED, LOG]),
    "create-as": (makes("CREATE TABLE {name} AS {query};", ROWS), [LOG]),
    "hash-clustered-load": (uploads(HASH), [SPILLED]),
    "range-clustered-insert": (inserts(TABLE.format("{}", RANGE), ""), [SPILLED]),
    "clone-of-a-subset": (makes("CLONE TABLE kept PARTITION(kind=1) TO demo.{name};", ROWS // 3), []),
    "snapshot": (makes("CREATE SNAPSHOT TABLE {name} CLONE kept;", ROWS), []),
    "rename": (renames, []),
    "clean-up": (cleans_up, [LOG]),
}


def calls_of(node, begin, pattern):
    """How many calls the operation makes on such files."""
    run, state, _, after = begin(node)
    node.refusals.arm(pattern, after=MORE)
    run()
    node.refusals.disarm()
    assert state() == after
    return node.refusals.met


def places(rng, count, wanted):
    """The first, the last, and some between."""
    if LONG or count <= wanted:
        return range(count)
    return sorted({0, count - 1, *(rng.randrange(count) for _ in range(wanted - 2))})


def refused_at(node, begin, pattern, place):
    """Whether the disk was full from this call on; the operation is done in the end."""
    run, state, before, after = begin(node)
    node.refusals.arm(pattern, after=place)
    try:
        run()
        met = False
    except Failed as failed:
        assert failed.code == 1 and CLEAR.search(failed.stderr), (pattern, place, failed)
        assert state() in (before, after)
        met = True
    assert node.refusals.refused > 0 or not met
    node.holds()
    node.refusals.disarm()
    node.region.sql("ALTER TABLE kept TOUCH;")  # a refused write may be there from here on, as after a lost answer
    assert state() in (before, after) if met else state() == after
    if state() == before:
        run()
    assert state() == after
    return met


@pytest.mark.parametrize("name", OPERATIONS)
def test_statements(node, rng, name):
    begin, files = OPERATIONS[name]
    for pattern, wanted in [(ALL, 4), *((pattern, 3) for pattern in files)]:
        count = calls_of(node, begin, pattern)
        assert count > 0, pattern
        met = [place for place in places(rng, count, wanted) if refused_at(node, begin, pattern, place)]
        print(f"{pattern}: {count} calls, refused from {met} on")
        assert met, (pattern, count)
    assert node.region.pid == node.pid, node.region.log[-3000:]


def far_snapshot(node):
    """A snapshot at the source, of content that is not here."""
    name, _ = node.fresh()
    node.source.sql(TABLE.format(name, ""))
    node.source.upload(node.rows(), name)
    node.source.sql(f"CREATE SNAPSHOT TABLE {name}_1 CLONE {name};")
    return f"{name}_1"


def xcopy_refused_at(node, pattern, place):
    """Whether the copy met a full disk; it goes on by itself when there is room, or was never begun."""
    snapshot, task = far_snapshot(node), None
    node.refusals.arm(pattern, after=place)
    try:
        task = node.region.xcopy(snapshot, wait="false")["task_id"]
        row = until(lambda: ended_or_waiting(node.region, task), lambda: node.region.log[-2000:])
        assert row["state"] == "DONE" or row["state"] == "RUNNING" and CLEAR_TEXT.search(row["phase"]), row
    except Failed as failed:
        assert failed.code == 1 and CLEAR.search(failed.stderr), failed
    met = node.refusals.refused > 0
    node.holds()
    node.refusals.disarm()
    if task:
        until(lambda: task_done(node.region, task), lambda: f"{task_row(node.region, task)}\n{node.region.log[-2000:]}")
    else:
        node.region.xcopy(snapshot)
    assert node.row_count(snapshot) == ROWS
    assert node.region.snapshot(snapshot)["version"] == node.source.snapshot(snapshot)["version"]
    return met


def test_xcopy_from_its_first_record_to_its_publishing(node):
    """The last writes to the log are the publishing and what follows it."""
    snapshot = far_snapshot(node)
    node.refusals.arm(LOG, after=MORE)
    node.region.xcopy(snapshot)
    count = node.refusals.met
    met = [place for place in (range(count) if LONG else (0, 1, count // 2, *range(count - 4, count)))
           if xcopy_refused_at(node, LOG, place)]
    print(f"{count} calls, refused from {met} on")
    assert len(met) > 3
    assert node.region.pid == node.pid, node.region.log[-3000:]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_a_pack_that_is_refused_once_is_taken_in_after_all(node, number):
    """Whatever call it was: a link, a write or the sync of the manifest. After the last of these the database deletes the
    file and the manifest names it. The load does not notice."""
    for pattern in (TAKEN_IN, MANIFEST):
        begin = uploads("")
        count = calls_of(node, begin, pattern)
        assert count > 0, pattern
        met = 0
        for place in range(count):
            run, state, _, after = begin(node)
            node.refusals.arm(pattern, after=place, times=1, number=number)
            run()
            met += node.refusals.refused
            node.refusals.disarm()
            node.holds()
            assert state() == after
        assert met >= count - 1 > 0, (pattern, met, count)  # not each load makes as many calls as the one that was counted
    assert not list((node.region.home / "data").glob("db-taking-*"))
    assert node.region.pid == node.pid, node.region.log[-3000:]
