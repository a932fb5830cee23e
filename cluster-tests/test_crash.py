"""kill -9 of either node at random moments and at every named crash point: the task finishes by itself after the restart,
what was indexed is not pulled again, the replica is right, fsck finds nothing."""
import shutil
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, Failed, command

# Points that an XCOPY of this size passes at the destination; the store's own tests walk over all of store/crash.h.
PASSED = ["pack.reserved", "pack.appended", "pack.synced", "pack.ingested", "pack.index_step", "pack.indexed",
          "staged.written", "task.recorded", "task.begun", "task.described", "task.checkpoint", "task.published",
          "task.finished",
          *(f"catalog.{step}:{nth}" for step in ("checked", "written") for nth in (1, 2, 3))]
SOURCE_PASSED = ["lease.granted", "lease.served", "lease.receipt", "lease.ended", "catalog.checked:1", "catalog.written:1", "catalog.checked:2"]
TABLE = "CREATE TABLE t (id BIGINT, amount DECIMAL(12,2), region STRING, note STRING) PARTITIONED BY (order_date DATE);"
END_SECONDS = 90


def load_source(source, folder, days, rows):
    path = folder / "sales.csv"
    path.write_text(command(BIN / "strait-sales", "--days", days, "--rows", rows))
    source.sql(TABLE)
    source.upload(path, "t", "-acp=true", "-h=true")
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")


def wait_for_end(region, task_id=None):
    """The newest (or named) task's row once it has ended; the node may be down for moments."""
    deadline = time.monotonic() + END_SECONDS
    rows = []
    while time.monotonic() < deadline:
        rows = region.sql("SHOW TASKS;")
        rows = [row for row in rows if task_id in (None, row["task_id"])]
        if rows and all(row["state"] in ("DONE", "FAILED", "CANCELLED") for row in rows):
            return rows[-1]
        time.sleep(0.1)
    pytest.fail(f"the task did not end: {rows}\n{region.log[-3000:]}")


def finished_right(source, destination):
    end = wait_for_end(destination)
    assert end["state"] == "DONE", end
    assert destination.snapshot("s")["version"] == source.snapshot("s")["version"]
    assert int(destination.xcopy("s")["files_moved"]) == 0
    for region in (source, destination):
        region.fsck()


def ended(cluster, name, seconds):
    """Whether the node has ended by itself, within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if cluster.python(f"print(c.pid({name!r}))").strip() == "None":
            return True
        time.sleep(0.05)
    return False


def crash_in_xcopy(pair, victim, point):
    """Restarts the victim with the point armed, starts the XCOPY, waits until the victim is dead, starts it again."""
    source, destination = pair
    source.cluster.kill(victim)
    died = False
    try:
        source.cluster.start(victim, env={"STRAIT_CRASH": point})
        destination.xcopy("s", wait="false")
    except Exception:  # noqa: BLE001  the node died under the statement, or at its start: that is the point
        died = True
    died = ended(source.cluster, victim, 1 if died else 15)
    source.cluster.kill(victim)
    source.cluster.start(victim)
    return died


@pytest.mark.parametrize("point", PASSED)
def test_destination_killed_at(pair, tmp_path, point):
    source, destination = pair
    load_source(source, tmp_path, 40, 20000)
    assert crash_in_xcopy(pair, DESTINATION, point), f"{point} was not passed"
    if not destination.sql("SHOW TASKS;"):  # killed before the task was durable: never acknowledged
        destination.xcopy("s")
    finished_right(source, destination)


def test_destination_killed_when_a_second_start_has_joined(pair, tmp_path):
    """The second statement, asked again, waits for the first one's task, before and after its end."""
    source, destination = pair
    load_source(source, tmp_path, 12, 4000)
    source.cluster.kill(SOURCE)
    source.cluster.kill(DESTINATION)
    source.cluster.start(DESTINATION, env={"STRAIT_CRASH": "task.joined"})
    first = destination.xcopy("s", wait="false")["task_id"]
    text = f'XCOPY SNAPSHOT demo.s TO SNAPSHOT demo.s OPTIONS(src_region="{SOURCE}", wait=false);'
    again = ("--statement-id", "00112233445566778899aabbccddeeff")
    with pytest.raises(Failed):
        destination.sql(text, *again)
    assert ended(source.cluster, DESTINATION, 15)
    source.cluster.start(DESTINATION)
    (row,) = destination.sql(text, *again)
    assert row["task_id"] == first
    source.cluster.start(SOURCE)
    assert wait_for_end(destination, first)["state"] == "DONE"
    (row,) = destination.sql(text, *again)
    assert row["task_id"] == first and row["state"] == "DONE"
    assert len(destination.sql("SHOW TASKS;")) == 1
    finished_right(source, destination)


@pytest.mark.parametrize("point", SOURCE_PASSED)
def test_source_killed_at(pair, tmp_path, point):
    source, destination = pair
    load_source(source, tmp_path, 12, 4000)
    assert crash_in_xcopy(pair, SOURCE, point), f"{point} was not passed"
    finished_right(source, destination)


@pytest.mark.parametrize("victim", [SOURCE, DESTINATION])
def test_killed_at_random_moments(pair, tmp_path, rng, victim):
    source, destination = pair
    load_source(source, tmp_path, 60, 12000)
    task = destination.xcopy("s", wait="false")["task_id"]
    for _ in range(4):
        time.sleep(rng.uniform(0.02, 0.5))
        source.cluster.kill(victim)
        source.cluster.start(victim)
    assert wait_for_end(destination, task)["state"] == "DONE"
    finished_right(source, destination)


# A window begins with 64 MiB (proto/limits.h) and follows the round trip: on a busy machine it grows.
PACK_BYTES, WINDOW_BYTES = 64 << 20, 128 << 20
WIDE = "CREATE TABLE t (id BIGINT, noise STRING) PARTITIONED BY (p BIGINT);"


def load_noise(source, folder, rng, megabytes):
    """A table of so many megabytes of text that compresses to half at best; its snapshot's bytes."""
    path = folder / "noise.csv"
    with open(path, "w", encoding="ascii") as file:
        for n in range(megabytes * 4):
            file.write(f"{n},{rng.randbytes(128 << 10).hex()},{n % 8}\n")
    source.sql(WIDE)
    source.upload(path, "t", "-acp=true")
    path.unlink()
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")
    return int(source.snapshot("s")["bytes"])


def counter(region, name):
    out = region.strait("status", "--format", "prometheus")
    return next(int(float(line.split()[1])) for line in out.splitlines() if line.startswith(name + " "))


def counted_right(destination, row, whole):
    """What was moved counts once, whatever was moved twice."""
    assert int(row["bytes_done"]) == whole == int(row["bytes_total"]), row
    assert int(row["files_done"]) == int(row["files_total"]), row


@pytest.mark.parametrize("point", ["pack.synced:2", "pack.index_step:3", "task.checkpoint:2"])
def test_a_killed_destination_pulls_a_pack_and_a_window_again_at_most(pair, tmp_path, rng, point):
    source, destination = pair
    whole = load_noise(source, tmp_path, rng, 560)
    assert whole > 4 * PACK_BYTES
    before = counter(source, "strait_xcopy_file_bytes_served_total")
    assert crash_in_xcopy(pair, DESTINATION, point), f"{point} was not passed"
    row = wait_for_end(destination)
    assert row["state"] == "DONE", row
    served = counter(source, "strait_xcopy_file_bytes_served_total") - before
    print(f"{point}: {whole} bytes, {served} served, {served - whole} more")
    assert whole <= served <= whole + PACK_BYTES + WINDOW_BYTES
    counted_right(destination, row, whole)
    finished_right(source, destination)


@pytest.mark.parametrize("nth", [5, 40])
def test_a_killed_source_serves_a_window_again_at_most(pair, tmp_path, rng, nth):
    source, destination = pair
    whole = load_noise(source, tmp_path, rng, 560)
    assert crash_in_xcopy(pair, SOURCE, f"lease.served:{nth}"), "it served less"
    row = wait_for_end(destination)
    assert row["state"] == "DONE", row
    received = counter(destination, "strait_xcopy_file_bytes_received_total")
    print(f"{nth}: {whole} bytes, {received} received")
    assert whole <= received <= whole + WINDOW_BYTES
    counted_right(destination, row, whole)
    finished_right(source, destination)


def test_indexed_files_are_not_pulled_again(pair, tmp_path):
    """After a kill in mid-transfer at most a pack and a window come twice; here everything is sealed before the kill."""
    source, destination = pair
    load_source(source, tmp_path, 60, 12000)
    whole = int(destination.xcopy("s", to="first")["bytes_moved"])
    assert whole > 0
    source.cluster.kill(DESTINATION)
    source.cluster.start(DESTINATION)
    assert int(destination.xcopy("s", to="second")["bytes_moved"]) == 0


@pytest.mark.parametrize("point", ["nursery.ingested", "nursery.step"])
def test_killed_while_small_files_move_to_a_pack(cluster, tmp_path, rng, point):
    """Commits below 1 MiB until the nursery is full (64 MiB): every one that was answered is there."""
    (region,) = cluster.up(SOURCE)
    region.sql("CREATE TABLE t (id BIGINT, noise STRING);")
    cluster.kill(SOURCE)
    cluster.start(SOURCE, env={"STRAIT_CRASH": point})
    answered = 0
    with pytest.raises(Failed):
        for number in range(100):
            path = tmp_path / "small.csv"
            path.write_text("".join(f"{number},{rng.randbytes(4000).hex()}\n" for _ in range(200)))
            region.upload(path, "t")
            answered += 1
    assert ended(cluster, SOURCE, 15), f"{point} was not passed"
    cluster.kill(SOURCE)
    cluster.start(SOURCE)
    row = region.one("SELECT count(DISTINCT id) AS loads, count(*) AS n FROM t;")
    assert row["loads"] in (answered, answered + 1) and row["n"] == 200 * row["loads"]
    region.fsck()


def test_killed_while_the_store_is_made(cluster):
    (region,) = cluster.up(SOURCE)
    cluster.kill(SOURCE)
    shutil.rmtree(region.home / "data")
    with pytest.raises(Exception):  # noqa: B017  it is dead before it answers
        cluster.start(SOURCE, env={"STRAIT_CRASH": "store.created"})
    cluster.kill(SOURCE)
    cluster.start(SOURCE)
    assert region.sql("SHOW PROJECTS;") == []  # the one of before went with the data
    region.fsck()
