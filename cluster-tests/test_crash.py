"""kill -9 of either node at random moments and at every named crash point: the task finishes by itself after the restart,
what was indexed is not pulled again, the replica is right, fsck finds nothing."""
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, command

# Points that an XCOPY of this size passes at the destination; the store's own tests walk over all of store/crash.h.
PASSED = ["pack.reserved", "pack.appended", "pack.synced", "pack.ingested", "pack.index_step", "pack.indexed",
          "staged.written",
          *(f"catalog.{step}:{nth}" for step in ("checked", "written") for nth in (1, 2, 3))]
SOURCE_PASSED = ["catalog.checked:1", "catalog.written:1", "catalog.checked:2"]
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


def test_indexed_files_are_not_pulled_again(pair, tmp_path):
    """After a kill in mid-transfer at most a pack and a window come twice; here everything is sealed before the kill."""
    source, destination = pair
    load_source(source, tmp_path, 60, 12000)
    whole = int(destination.xcopy("s", to="first")["bytes_moved"])
    assert whole > 0
    source.cluster.kill(DESTINATION)
    source.cluster.start(DESTINATION)
    assert int(destination.xcopy("s", to="second")["bytes_moved"]) == 0
