"""Space comes back: after drops, overwrites, cancelled tasks and loads that were given up, CLEANUP brings the data directory
within a stated bound of what is left, while a cursor reads and a load runs.

Bound: column files take at most 100/60 of their live bytes (THIN_LIVE_PERCENT) and 5 % for their packs' own records; the
rest (pages, indexes, catalog) is small beside them here. The log of the database is bounded by itself."""
import contextlib
import os
import subprocess
import time

import pytest

from conftest import DESTINATION, SOURCE, Cluster, Failed

LIVE_FACTOR, OWN_BYTES, LOG_BYTES = 100 / 60 * 1.05, 12 << 20, 150 << 20
ROWS = 150000
SECONDS = 60


@pytest.fixture
def pair(tmp_path):
    """Two regions that keep former versions for a second only."""
    cluster = Cluster(tmp_path / "cluster", ['history_retention = "1s"'])
    yield cluster.up(SOURCE, DESTINATION)
    cluster.down()


def rows_file(folder, rng, name, rows=ROWS, parts=6):
    """Values that do not compress, spread over partitions."""
    path = folder / name
    with open(path, "w", encoding="ascii") as file:
        for i in range(rows):
            file.write(f"{i},{rng.randbytes(120).hex()},p{i * parts // rows}\n")
    return path


def disk(region):
    """(bytes of everything but logs, bytes of logs) under the data directory."""
    stored = logs = 0
    for folder, _, names in os.walk(region.home / "data"):
        for name in names:
            try:
                size = os.stat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
            logs, stored = (logs + size, stored) if name.endswith(".log") else (logs, stored + size)
    return stored, logs


def cleaned(region, live_bytes):
    """CLEANUP until what was replaced has left the history; then the bound holds."""
    deadline = time.monotonic() + SECONDS
    while True:
        row = region.one("CLEANUP;")
        if int(row["bytes_live"]) <= live_bytes * 1.02 + (1 << 20):
            break
        assert time.monotonic() < deadline, (row, live_bytes)
        time.sleep(0.3)
    region.sql("CLEANUP;")  # files that the last one's readers may have had open
    stored, logs = disk(region)
    assert stored <= live_bytes * LIVE_FACTOR + OWN_BYTES, (stored, live_bytes, row)
    assert logs <= LOG_BYTES
    return row


def table_bytes(region, name):
    return next(int(row["bytes"]) for row in region.sql("SHOW TABLES;") if row["table"] == name)


def make(region, name):
    region.sql(f"CREATE TABLE {name} (id BIGINT, value STRING) PARTITIONED BY (p STRING);")


def test_drops_and_overwrites_give_their_space_back(pair, tmp_path, rng):
    source, destination = pair
    for name in ("t", "u"):
        make(source, name)
        source.upload(rows_file(tmp_path, rng, f"{name}.csv"), name, "-acp=true")
    source.sql("CREATE SNAPSHOT TABLE s1 CLONE t;")
    whole = table_bytes(source, "t")
    assert whole > 15 << 20
    cleaned(source, 2 * whole)
    source.sql("DROP TABLE u;")
    cleaned(source, whole)
    source.upload(rows_file(tmp_path, rng, "half.csv", ROWS // 2, 3), "t", "-acp=true", "--overwrite")
    changed = table_bytes(source, "t")
    cleaned(source, whole + changed * 0.6)  # s1 keeps what it names
    destination.xcopy("s1", to="s")
    assert int(destination.one("CLEANUP;")["files_deleted"]) == 0
    source.sql("DROP SNAPSHOT TABLE s1;")
    row = cleaned(source, changed)
    source.sql("ALTER TABLE t DROP PARTITION (p='p5'); ALTER TABLE t DROP PARTITION (p='p4');")
    row = cleaned(source, table_bytes(source, "t"))
    source.sql("CREATE SNAPSHOT TABLE s2 CLONE t;")
    destination.xcopy("s2", to="s")  # overwrites: the first one's files go
    row = cleaned(destination, table_bytes(source, "t"))
    assert int(row["packs_skipped"]) == 0 and int(row["files_damaged"]) == 0
    destination.sql("DROP SNAPSHOT TABLE s;")
    cleaned(destination, 0)
    for region in pair:
        assert " 0 faults" in region.fsck()


def ended(region, task):
    """The task's row once it has ended."""
    deadline = time.monotonic() + SECONDS
    while True:
        row = next(row for row in region.sql("SHOW TASKS;") if row["task_id"] == task)
        if row["state"] in ("DONE", "CANCELLED", "FAILED"):
            return row
        assert time.monotonic() < deadline, row
        time.sleep(0.05)


def cancel_in_transfer(region, snapshot, rng):
    """An XCOPY is cancelled with some files pulled and some not; what it left is still here."""
    keeps = int(region.one("CLEANUP;")["bytes_live"])
    for attempt in range(15):
        task = region.xcopy(snapshot, to=f"x{attempt}", wait="false")["task_id"]
        time.sleep(rng.uniform(0.0, 0.3))
        try:
            region.sql(f"CANCEL TASK {task};")
        except Failed:
            pass  # it had ended
        row = ended(region, task)
        if row["state"] == "CANCELLED" and int(row["bytes_done"]) > 0:
            return
        if row["state"] == "DONE":
            region.sql(f"DROP SNAPSHOT TABLE x{attempt};")
        deadline = time.monotonic() + SECONDS
        while int(region.one("CLEANUP;")["bytes_live"]) > keeps:  # so that the next one has to pull
            assert time.monotonic() < deadline
            time.sleep(0.3)
    pytest.fail("no XCOPY could be cancelled in mid-transfer")


def upload_from_pipe(region, table):
    return subprocess.Popen([*region.client, "tunnel", "upload", "-acp=true", "-", table], stdin=subprocess.PIPE, text=True)


def test_a_reader_and_a_load_go_on_while_space_comes_back(pair, tmp_path, rng):
    source, destination = pair
    make(source, "big")
    source.upload(rows_file(tmp_path, rng, "big.csv", ROWS * 3), "big", "-acp=true")
    source.sql("CREATE SNAPSHOT TABLE big_s CLONE big;")
    make(destination, "read")
    make(destination, "loaded")
    first = rows_file(tmp_path, rng, "first.csv")
    destination.upload(first, "read", "-acp=true")
    lines = sorted(first.read_text().splitlines(keepends=True))
    half = len(lines) // 2
    reader = subprocess.Popen([*destination.client, "tunnel", "download", "read", "-"], stdout=subprocess.PIPE, text=True)
    load = upload_from_pipe(destination, "loaded")
    got = [reader.stdout.readline()]  # the cursor is open; the pipe holds the rest back
    load.stdin.writelines(lines[:half])
    destination.sql("DROP TABLE read;")
    cancel_in_transfer(destination, "big_s", rng)
    destination.sql("CLEANUP;")
    got += reader.stdout
    assert reader.wait(timeout=SECONDS) == 0
    assert sorted(got) == lines
    load.stdin.writelines(lines[half:])
    load.stdin.close()
    assert load.wait(timeout=SECONDS) == 0
    cleaned(destination, table_bytes(destination, "loaded"))
    out = destination.download("loaded", tmp_path / "out.csv")
    assert sorted(out.read_text().splitlines(keepends=True)) == lines
    given_up = upload_from_pipe(destination, "loaded")
    given_up.stdin.writelines(lines[:half])
    given_up.kill()
    with contextlib.suppress(BrokenPipeError):  # it is gone, with what it had not read
        given_up.stdin.close()
    given_up.wait(timeout=SECONDS)
    cleaned(destination, table_bytes(destination, "loaded"))
    for region in pair:
        assert " 0 faults" in region.fsck()


@pytest.mark.parametrize("point", ["repack.ingested", "repack.step", "repack.switched", "pack.dying", "pack.dropped",
                                   "collect.raised", "collect.page_step", "collect.file_step"])
def test_killed_while_it_cleans_up(cluster, tmp_path, rng, point):
    cluster.extra = ['history_retention = "1s"']
    (region,) = cluster.up(SOURCE)
    make(region, "t")
    region.upload(rows_file(tmp_path, rng, "a.csv"), "t", "-acp=true")
    region.upload(rows_file(tmp_path, rng, "b.csv", ROWS // 2, 4), "t", "-acp=true", "--overwrite")
    expected = sorted(region.download("t", tmp_path / "before.csv").read_text().splitlines())
    cluster.kill(SOURCE)
    time.sleep(1.1)  # the first version leaves the history
    cluster.start(SOURCE, env={"STRAIT_CRASH": point})
    with pytest.raises(Failed):
        region.sql("CLEANUP;")
    cluster.kill(SOURCE)
    cluster.start(SOURCE)
    assert sorted(region.download("t", tmp_path / "after.csv").read_text().splitlines()) == expected
    cleaned(region, table_bytes(region, "t"))
    assert sorted(region.download("t", tmp_path / "end.csv").read_text().splitlines()) == expected
    assert " 0 faults" in region.fsck()


def test_versions_within_the_retention_keep_their_bytes(cluster, tmp_path, rng):
    (region,) = cluster.up(SOURCE)
    make(region, "t")
    region.upload(rows_file(tmp_path, rng, "a.csv"), "t", "-acp=true")
    whole = table_bytes(region, "t")
    region.upload(rows_file(tmp_path, rng, "b.csv"), "t", "-acp=true", "--overwrite")
    region.sql("DROP TABLE t;")
    row = region.one("CLEANUP;")
    assert int(row["files_deleted"]) == 0
    assert int(row["bytes_live"]) >= 2 * whole * 0.95
