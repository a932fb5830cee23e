"""What an operator does to a cluster in service: a new image, one region at a time, while XCOPYs run; a volume that filled up,
enlarged. The cluster begins with the image of an earlier release, and Hong Kong's data is on a small disk of the test's own."""
import os
import shutil

import pytest

from compose import HONGKONG, absent, conftest, image, opened, settled, until
from disk_image import MIB, DiskImage
from old_image import old_image

UID = 10001  # deploy/Dockerfile's
RAISED = "the store was of an older format"
NO_ROOM = ("bytes are free", "drop snapshots or add space")


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """None where no disk of one's own can be mounted."""
    if absent() or os.geteuid() != 0:
        yield None
        return
    folder = tmp_path_factory.mktemp("disk")
    try:
        made = DiskImage.make(folder / "image", folder / "mount", 640)
    except OSError:
        yield None
        return
    try:
        for folder in (made.mount, made.mount / "lost+found"):
            os.chown(folder, UID, UID)
        made.mount.chmod(0o700)
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    yield old_image(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def compose(old, disk):
    for made in opened("upkeep", tag=old, bound={f"{HONGKONG}-data": disk.mount} if disk else {}):
        yield made
        for region in made.regions:  # also after a test that failed before it did: what comes now is asked of today's programs
            made.replace(region, image())


@pytest.fixture
def regions(compose):
    yield compose.regions
    assert settled(compose) > 0


def seal(region, folder, rng, table, rows):
    """A table of text that becomes half of a KiB a row, in five partitions, and TABLE_1 of it."""
    path = folder / f"{table}.csv"
    path.write_text("".join(f"{i},{rng.randbytes(512).hex()},{i % 5}\n" for i in range(rows)))
    region.sql(f"CREATE TABLE {table} (id BIGINT, text STRING) PARTITIONED BY (p BIGINT);")
    region.upload(path, table, "-acp=true")
    region.sql(f"CREATE SNAPSHOT TABLE {table}_1 CLONE {table};")


def test_an_image_is_replaced_region_by_region_while_copies_run(compose, regions, old, tmp_path, rng):
    neighbours = [(regions[i - 1], region, regions[i - 2]) for i, region in enumerate(regions)]
    for number, (before, region, _) in enumerate(neighbours):
        seal(region, tmp_path, rng, f"from_{number}", 16000)  # a minute at their bandwidth
        seal(before, tmp_path, rng, f"to_{number}", 16000)
    for number, (before, region, after) in enumerate(neighbours):
        copies = [(after, region, after.post(f"from_{number}_1", region, "1 Mbit/s")),
                  (region, before, region.post(f"to_{number}_1", before, "1 Mbit/s"))]
        for to, _, task in copies:
            to.under_way(task)
        assert RAISED not in region.log
        compose.replace(region, image())
        for to, _, task in copies:
            assert to.task(task)["state"] == "RUNNING", to.task(task)
        assert region.log.count(RAISED) == 1 and "format_before=2" in region.log
        for to, source, task in copies:
            to.full_speed(source)
            to.ends_well(task)  # versions and rows: settled()
    first = regions[0]
    first.stop()
    compose.environment["STRAIT_IMAGE"] = old
    try:
        with pytest.raises(conftest.Failed) as refused:
            compose.run("run", "--rm", "-T", "--no-deps", first.name, "straitd", "-c", "/etc/strait/straitd.conf")
    finally:
        compose.environment["STRAIT_IMAGE"] = image()
    assert "store format 3 is newer than this program's 2" in str(refused.value)
    first.start()
    assert first.log.count(RAISED) == 1


def paused(region, task):
    row = region.task(task)
    assert row["state"] == "RUNNING", row
    return "this node's store" in row["phase"] and all(words in row["phase"] for words in NO_ROOM)


def test_a_volume_that_filled_up_is_enlarged(compose, regions, disk, tmp_path, rng):
    """What is under way pauses, what is new is refused, what is there is read; with more room all goes on. (In the same process:
    test_faults_disk.py.)"""
    if disk is None:
        pytest.skip("a disk of the test's own needs root and loop devices")
    source, region, _ = regions
    region.configure('disk_reserve = "16MiB"')
    region.sql("CREATE TABLE mine (a BIGINT); INSERT INTO mine VALUES (1);")
    seal(source, tmp_path, rng, "large", 24000)
    task = region.begin("large_1", source)
    disk.fill(8 * MIB)
    until(lambda: paused(region, task), lambda: region.task(task))
    told = region.refused("INSERT INTO mine VALUES (2);")
    assert "ODPS-0010035" in told and all(words in told for words in NO_ROOM), told
    assert region.sql("SELECT a FROM mine;") == [{"a": 1}]
    assert region.sql("SHOW SNAPSHOT TABLES LIKE 'large_1';") == []
    region.stop()
    disk.enlarge(128)
    region.start()
    region.full_speed(source)
    region.ends_well(task)
    region.sql("INSERT INTO mine VALUES (2);")
    assert region.sql("SELECT COUNT(*) AS n FROM mine;") == [{"n": 2}]
    disk.relieve()
