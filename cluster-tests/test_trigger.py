"""Schedules that wait for a snapshot in another region, on a live pair: nobody asks, the replica comes. Also through
SIGKILL of either node at its worst moment, with a gate that closes, a pause, and several snapshots at once. No test
asserts how fast: each polls for what has to happen."""
import time

import pytest

from conftest import DESTINATION, SOURCE

SECONDS = 60
LAG = "SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_LAG;"


def follow(name="follow", more="", table="t"):
    return (f"CREATE SCHEDULE {name} ON SNAPSHOT OF demo.{table} OPTIONS(src_region='{SOURCE}') {more} AS BEGIN "
            f"XCOPY SNAPSHOT demo.${{snapshot}} TO SNAPSHOT {name}_${{snapshot}} OPTIONS(src_region='{SOURCE}'); END;")


def until(condition, *what):
    end = time.monotonic() + SECONDS
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, ("did not happen", *[look() for look in what])
        time.sleep(0.1)


def replicas(region):
    return sorted(row["snapshot"] for row in region.sql("SHOW SNAPSHOT TABLES;"))


def runs(region, name="follow"):
    return region.sql(f"SHOW SCHEDULE RUNS FOR {name};")


def shown(region, name="follow"):
    return next(row for row in region.sql("SHOW SCHEDULES;") if row["schedule"] == name)


def seal(source, *snapshots, table="t"):
    for snapshot in snapshots:
        source.sql(f"INSERT INTO {table} VALUES (7); CREATE SNAPSHOT TABLE {snapshot} CLONE {table};")


def waits(region, name="follow"):
    """The source has answered once: what is sealed from now on is new, whatever the clocks say."""
    until(lambda: shown(region, name)["answered"], lambda: shown(region, name))


def comes(region, *snapshots, name="follow"):
    wanted = {f"{name}_{snapshot}" for snapshot in snapshots}
    until(lambda: wanted <= set(replicas(region)), lambda: runs(region, name), lambda: shown(region, name))


@pytest.fixture
def following(pair):
    source, destination = pair
    source.sql("CREATE TABLE t (a BIGINT); CREATE TABLE other (a BIGINT); INSERT INTO t VALUES (1), (2);")
    yield source, destination


def states(region, name="follow"):
    return [(row["snapshot"], row["state"]) for row in runs(region, name)]


def test_a_replica_comes_without_anybody_asking(following):
    source, destination = following
    seal(source, "s_0")
    destination.sql(follow())
    expires = shown(destination)["expires"]
    assert expires and expires > time.strftime("%Y-%m-%d", time.gmtime(time.time() + 390 * 86400))
    time.sleep(1.1)  # the schedule is made in whole milliseconds of one clock: what was before is before
    seal(source, "other_1", table="other")
    seal(source, "s_1")
    comes(destination, "s_1")
    until(lambda: states(destination) == [("s_1", "SUCCEEDED")], lambda: runs(destination))
    assert replicas(destination) == ["follow_s_1"]
    row = destination.one(LAG)
    assert row["source_newest_made"] == row["snapshot_made"] and int(row["lag_seconds"]) == 0
    assert source.one("SELECT COUNT(*) AS n FROM s_1;") == destination.one("SELECT COUNT(*) AS n FROM follow_s_1;")
    seal(source, "s_2")
    comes(destination, "s_2")
    assert replicas(destination) == ["follow_s_1", "follow_s_2"]
    destination.sql("DROP SCHEDULE follow;")
    seal(source, "s_3")
    destination.sql(follow("again"))
    waits(destination, "again")
    assert replicas(destination) == ["follow_s_1", "follow_s_2"]


def test_the_lag_is_known_without_a_copy(following):
    """A schedule that copies nothing still watches: the view says what the source has."""
    source, destination = following
    seal(source, "s_1")
    destination.xcopy("s_1")
    made = destination.one(LAG)["snapshot_made"]
    destination.sql(f"CREATE SCHEDULE look ON SNAPSHOT OF demo.t OPTIONS(src_region='{SOURCE}') AS BEGIN SELECT 1; END;")
    waits(destination, "look")
    time.sleep(1.1)
    seal(source, "s_2")
    row = until(lambda: next((row for row in destination.sql(LAG) if row["source_newest_made"] > made), None))
    assert row["snapshot_made"] == made and int(row["lag_seconds"]) >= 1


@pytest.mark.parametrize("missed, expected", [("ALL", ["s_1", "s_2", "s_3"]), ("LATEST", ["s_3"])])
def test_what_was_sealed_while_the_destination_was_down_is_found_once(following, missed, expected):
    source, destination = following
    destination.sql(follow(more=f"MISSED RUNS {missed}"))
    waits(destination)
    destination.cluster.kill(DESTINATION)
    seal(source, "s_1", "s_2", "s_3")
    destination.cluster.start(DESTINATION)
    comes(destination, *expected)
    seal(source, "s_4")
    comes(destination, "s_4")
    assert replicas(destination) == [f"follow_{name}" for name in [*expected, "s_4"]]
    until(lambda: states(destination) == [(name, "SUCCEEDED") for name in [*expected, "s_4"]], lambda: runs(destination))


def test_a_source_that_was_killed_is_watched_again(following):
    source, destination = following
    destination.sql(follow())
    waits(destination)
    source.cluster.kill(SOURCE)
    until(lambda: shown(destination)["trigger_error"])
    source.cluster.start(SOURCE)
    seal(source, "s_1")
    comes(destination, "s_1")
    until(lambda: shown(destination)["trigger_error"] is None)


@pytest.mark.parametrize("point", ["schedule.fired", "schedule.begun", "schedule.step_done", "task.published"])
def test_a_destination_killed_at_its_worst_moment_copies_once(following, point):
    source, destination = following
    destination.sql(follow())
    destination.cluster.kill(DESTINATION)
    destination.cluster.start(DESTINATION, {"STRAIT_CRASH": point})
    seal(source, "s_1")
    until(lambda: destination.pid is None)
    destination.cluster.start(DESTINATION)
    comes(destination, "s_1")
    until(lambda: states(destination) == [("s_1", "SUCCEEDED")], lambda: runs(destination))
    seal(source, "s_2")
    comes(destination, "s_2")
    until(lambda: states(destination) == [("s_1", "SUCCEEDED"), ("s_2", "SUCCEEDED")], lambda: runs(destination))


def test_a_gate_that_closes_is_told_and_ends_it(following):
    source, destination = following
    destination.sql(follow())
    waits(destination)
    source.sql("ALTER ACCOUNT SET XCOPY CHANNEL OFF;")
    seal(source, "s_1")
    until(lambda: "the XCOPY channel of ALIYUN$root is off" in (shown(destination)["trigger_error"] or ""))
    assert replicas(destination) == []
    source.sql("ALTER ACCOUNT SET XCOPY CHANNEL ON ACKNOWLEDGE COMPLIANCE;")
    comes(destination, "s_1")


def test_a_token_that_is_revoked_at_the_source_begins_nothing(following):
    source, destination = following
    destination.sql(follow())
    waits(destination)
    watch, copy = shown(destination)["tokens"].split()
    source.sql(f"REVOKE XCOPY TOKEN '{watch}';")
    seal(source, "s_1")  # which ends the wait, or the wait ends: the answer is that of absent things
    until(lambda: "no table demo.t, or no right to it" in (shown(destination)["trigger_error"] or ""))
    assert replicas(destination) == [] and runs(destination) == []
    destination.sql("DROP SCHEDULE follow;" + follow())
    waits(destination)
    time.sleep(1.1)
    source.sql(f"REVOKE XCOPY TOKEN '{shown(destination)['tokens'].split()[1]}';")
    seal(source, "s_2")
    row = until(lambda: next((row for row in runs(destination) if row["state"] == "FAILED"), None))
    assert row["snapshot"] == "s_2" and "was revoked by ALIYUN$root" in row["error"]
    assert replicas(destination) == []


def test_a_paused_one_copies_nothing_and_does_not_make_up_for_it(following):
    source, destination = following
    destination.sql(follow())
    waits(destination)
    destination.sql("ALTER SCHEDULE follow PAUSE;")
    seal(source, "s_1")
    time.sleep(1.1)
    destination.sql("ALTER SCHEDULE follow RESUME;")
    waits(destination)
    time.sleep(1.1)
    seal(source, "s_2")
    comes(destination, "s_2")
    assert replicas(destination) == ["follow_s_2"]


def test_both_nodes_stop_while_one_waits(following):
    source, destination = following
    destination.sql(follow())
    waits(destination)
    source.fsck()
    destination.fsck()
    seal(source, "s_1")
    comes(destination, "s_1")


def test_what_cannot_be_signed_is_refused_by_the_client(following):
    _, destination = following
    assert "would be signed for every snapshot of the project" in destination.refused(follow(table="t").replace(
        "OF demo.t", "OF elsewhere.t"))
    assert "is none of the peers" in destination.refused(follow().replace(SOURCE, "eu-nowhere"))
