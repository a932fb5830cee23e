"""What XCOPY carried, as both regions counted it: XCOPY_USAGE; and what tasks say of themselves: XCOPY_TASKS."""
import json
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, Failed, command
from relay import Relay
from test_crash import ended, load_noise, wait_for_end
from test_faults_clock import Clock, restart

USAGE = "SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_USAGE"
TASKS = "SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_TASKS"
COUNTS = "usage_date, state, tasks, wire_bytes, payload_bytes, page_bytes, resent_bytes, saved_bytes"
TABLE = "CREATE TABLE t (id BIGINT, amount DECIMAL(12,2), region STRING, note STRING) PARTITIONED BY (order_date DATE);"


def load_source(source, folder, days=30, rows=20000):
    path = folder / "sales.csv"
    path.write_text(command(BIN / "strait-sales", "--days", days, "--rows", rows))
    source.sql(TABLE)
    source.upload(path, "t", "-acp=true", "-h=true")
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def usage(region, direction):
    return region.sql(f"SELECT {COUNTS} FROM {USAGE} WHERE direction = '{direction}' AND project = 'demo' "
                      "AND state <> 'RUNNING' ORDER BY usage_date, state;")


def agreed(source, destination, tasks):
    """The rows of both ends once they are the same and speak of so many tasks."""
    deadline = time.monotonic() + 30
    while True:
        there, here = usage(source, "OUT"), usage(destination, "IN")
        if there == here and sum(int(row["tasks"]) for row in here) == tasks:
            return here
        if time.monotonic() > deadline:
            pytest.fail(f"the ends count differently\nsource      {there}\ndestination {here}")
        time.sleep(0.1)


def test_both_ends_count_and_agree(pair, tmp_path):
    source, destination = pair
    load_source(source, tmp_path)
    first = destination.xcopy("s")
    (row,) = agreed(source, destination, 1)
    assert row["state"] == "DONE"
    assert int(row["payload_bytes"]) == int(first["bytes_moved"])
    assert int(row["saved_bytes"]) == int(first["bytes_skipped"])
    assert int(row["resent_bytes"]) == 0
    assert int(row["wire_bytes"]) > int(row["payload_bytes"]) + int(row["page_bytes"])
    again = destination.xcopy("s", to="s2")
    (row,) = agreed(source, destination, 2)
    assert int(row["payload_bytes"]) == int(first["bytes_moved"])
    assert int(row["saved_bytes"]) == int(first["bytes_skipped"]) + int(again["bytes_skipped"])
    with pytest.raises(Failed):
        destination.xcopy("nowhere")  # nothing was carried: nothing is counted
    agreed(source, destination, 2)
    assert source.sql(f"SELECT * FROM {USAGE} WHERE direction = 'IN';") == []


@pytest.mark.parametrize("victim, point", [(DESTINATION, "task.checkpoint"), (DESTINATION, "task.published"),
                                           (DESTINATION, "pack.ingested"), (SOURCE, "lease.served"),
                                           (SOURCE, "lease.receipt"), (SOURCE, "lease.ended")])
def test_a_crash_neither_loses_nor_doubles(pair, tmp_path, victim, point):
    source, destination = pair
    load_source(source, tmp_path, 40)
    source.cluster.kill(victim)
    source.cluster.start(victim, env={"STRAIT_CRASH": point})
    try:
        destination.xcopy("s", wait="false")
        deadline = time.monotonic() + 15
        while source.cluster.python(f"print(c.pid({victim!r}))").strip() != "None":
            assert time.monotonic() < deadline, f"{point} was not passed"
            time.sleep(0.05)
    except Failed:
        pass  # the node died under the statement
    source.cluster.kill(victim)
    source.cluster.start(victim)
    deadline = time.monotonic() + 60
    while not (rows := destination.sql(f"SELECT state, bytes_done FROM {TASKS};")) or rows[0]["state"] != "DONE":
        assert time.monotonic() < deadline, destination.sql("SHOW TASKS;")
        time.sleep(0.1)
    (row,) = agreed(source, destination, 1)
    assert int(row["payload_bytes"]) == int(rows[0]["bytes_done"])
    size = int(source.snapshot("s")["bytes"])
    assert int(row["payload_bytes"]) + int(row["saved_bytes"]) == size


def test_a_crash_with_the_counts_of_a_running_copy_neither_loses_nor_doubles(pair, tmp_path, rng):
    """lease.settled is passed with a renewal alone, 20 s into a copy: until then the source's answers are held."""
    source, destination = pair
    load_noise(source, tmp_path, rng, 12)
    with Relay(source) as relay:
        source.cluster.kill(SOURCE)
        source.cluster.start(SOURCE, env={"STRAIT_CRASH": "lease.settled"})
        relay.hold_after(3 << 20)
        task = destination.xcopy("s", wait="false")["task_id"]
        relay.wait_until_held()
        assert ended(source.cluster, SOURCE, 60), "lease.settled was not passed"
        source.cluster.start(SOURCE)
        (row,) = source.sql(f"SELECT tasks, wire_bytes, page_bytes FROM {USAGE} WHERE direction = 'OUT' AND state = 'RUNNING';")
        assert int(row["tasks"]) == 1 and int(row["wire_bytes"]) > 3 << 20  # what was durable
        relay.go_on()
        end = wait_for_end(destination, task)
        assert end["state"] == "DONE", end
        (row,) = agreed(source, destination, 1)
    assert int(row["payload_bytes"]) == int(end["bytes_done"]) == int(source.snapshot("s")["bytes"])
    assert int(row["wire_bytes"]) > int(row["payload_bytes"]) + int(row["resent_bytes"])


def test_the_lag_of_a_table_is_seen(pair, tmp_path):
    source, destination = pair
    load_source(source, tmp_path, 3, 100)
    lag = "SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_LAG;"
    assert destination.sql(lag) == []
    time.sleep(1.1)
    source.sql("CREATE SNAPSHOT TABLE s2 CLONE t;")
    destination.xcopy("s")

    def row(told):
        deadline = time.monotonic() + 20
        while True:
            (row,) = destination.sql(lag)
            if row["source_newest_made"] == told:
                return row
            assert time.monotonic() < deadline, row
            time.sleep(0.1)

    newest = source.snapshot("s2")["created"]
    behind = row(newest)
    assert (behind["project"], behind["source_region"], behind["source_table"]) == ("demo", SOURCE, "t")
    assert behind["newest_replica"] == "s" and int(behind["replicas"]) == 1
    assert 1 <= int(behind["lag_seconds"]) <= int(behind["age_seconds"]) + 1
    destination.xcopy("s2")
    level = row(newest)
    assert level["newest_replica"] == "s2" and int(level["replicas"]) == 2 and int(level["lag_seconds"]) == 0
    source.sql("DROP SNAPSHOT TABLE s2;")
    destination.xcopy("s", to="s3")  # what was told holds until more is
    assert row(newest)["newest_replica"] == "s2"
    assert source.sql(lag) == []
    time.sleep(1.1)
    source.sql("CREATE SNAPSHOT TABLE s4 CLONE t;")  # nobody asks, nobody tells
    newer = source.snapshot("s4")["created"]
    unaware = row(newest)
    assert int(unaware["lag_seconds"]) == 0 and unaware["source_told"] <= newer
    clock = Clock(tmp_path / "clock")
    clock.jump_to(27 * 3600)
    restart(destination.cluster, clock, DESTINATION)
    later = row(newest)
    assert later["lag_seconds"] is None and int(later["told_seconds"]) >= 26 * 3600
    unknown = f'strait_replica_tables_lag_unknown{{source_region="{SOURCE}"}} 1\n'
    wait_until(lambda: unknown in destination.strait("status", "--format", "prometheus"))
    assert "strait_replica_lag_seconds_max{" not in destination.strait("status", "--format", "prometheus")
    clock.jump_to(0)
    destination.xcopy("s", to="s5")
    assert int(row(newer)["lag_seconds"]) >= 1


def test_tasks_say_what_became_of_them(pair, tmp_path):
    source, destination = pair
    load_source(source, tmp_path)
    done = destination.xcopy("s")
    with pytest.raises(Failed):
        destination.xcopy("nowhere")
    source.cluster.kill(SOURCE)
    waiting = destination.xcopy("s", to="s3", wait="false")["task_id"]
    deadline = time.monotonic() + 30
    while True:
        (row,) = destination.sql(f"SELECT * FROM {TASKS} WHERE task_id = '{waiting}';")
        if int(row["retries"]) > 1:
            break
        assert time.monotonic() < deadline, row
        time.sleep(0.1)
    assert row["state"] == "RUNNING" and "waiting for peer" in row["phase"] and "cannot be reached" in row["last_trouble"]
    assert (row["source_region"], row["source_project"], row["source_snapshot"], row["snapshot"]) == (SOURCE, "demo", "s", "s3")
    listed = {row["task_id"]: row for row in map(json.loads, destination.strait("tasks", "--format", "json").splitlines())}
    assert listed[waiting]["seconds_left"] is None and int(listed[done["task_id"]]["bytes_per_second"]) > 0
    destination.strait("cancel", waiting)
    (row,) = destination.sql(f"SELECT state, ended FROM {TASKS} WHERE task_id = '{waiting}';")
    assert row["state"] == "CANCELLED" and row["ended"]
    deadline = time.monotonic() + 30
    while destination.sql(f"SELECT phase FROM {TASKS} WHERE task_id = '{waiting}';")[0]["phase"] != "ended":
        assert time.monotonic() < deadline
    source.cluster.start(SOURCE)
    destination.cluster.kill(DESTINATION)
    destination.cluster.start(DESTINATION)
    rows = {row["state"]: row for row in destination.sql(f"SELECT * FROM {TASKS};")}
    assert set(rows) == {"DONE", "FAILED", "CANCELLED"}
    assert rows["DONE"]["bytes_done"] == done["bytes_moved"] and rows["DONE"]["task_id"] == done["task_id"]
    assert "no snapshot demo.nowhere" in rows["FAILED"]["error"]
    assert int(rows["CANCELLED"]["retries"]) > 1 and "cannot be reached" in rows["CANCELLED"]["last_trouble"]
    for row in rows.values():
        assert row["ended"] and row["phase"] == "ended"
