"""What befalls containers, in the middle of an XCOPY: cut off, killed, paused for hours, a wrong clock, a lost volume."""
import re

import pytest

from compose import block_of, drop_all, for_region, opened, settled, until

HOUR = 3600


@pytest.fixture(scope="module")
def compose():
    yield from opened("faults", faults=True)


@pytest.fixture
def regions(compose):
    yield compose.regions
    assert settled(compose) > 0


@pytest.fixture
def filled(regions, rng, request):
    """(source, destination, name): `name`_1 is a snapshot of 6 MB that do not compress."""
    source, destination, _ = regions
    name = re.sub(r"\W+", "_", request.node.name.removeprefix("test_")).strip("_")
    source.fill(name, rng)
    return source, destination, name


def waits(destination, task, source):
    row = destination.task(task)
    assert row["state"] == "RUNNING", row
    return row["phase"].startswith(f"waiting for peer {source.name} since ")


def test_a_region_is_cut_off_and_joined_again(filled):
    source, destination, name = filled
    task = destination.begin(f"{name}_1", source)
    source.cut_off()
    source.answers()  # its operators have another network
    until(lambda: waits(destination, task, source), lambda: destination.task(task))
    source.join()
    destination.full_speed(source)
    destination.ends_well(task)


@pytest.mark.parametrize("who", ["source", "destination"])
def test_killed_and_started_again(filled, who):
    source, destination, name = filled
    task = destination.begin(f"{name}_1", source)
    victim = {"source": source, "destination": destination}[who]
    victim.kill()
    victim.start()
    assert destination.task(task)["state"] == "RUNNING"
    destination.full_speed(source)
    destination.ends_well(task)


@pytest.mark.parametrize("who, hours", [("source", 5), ("destination", 7)])
def test_paused_for_longer_than_every_deadline(filled, compose, who, hours):
    """Hours go by for all: leases (15 minutes), connections (an hour) and all requests have ended, and the paused one has not
    seen it. A destination gives up after six hours of failures; one that is paused itself has none."""
    source, destination, name = filled
    task = destination.begin(f"{name}_1", source)
    victim = {"source": source, "destination": destination}[who]
    victim.pause()
    if who == "source":
        until(lambda: waits(destination, task, source), lambda: destination.task(task))
    compose.gone_by(hours * HOUR)
    victim.unpause()
    assert destination.task(task)["state"] == "RUNNING"
    destination.full_speed(source)
    destination.ends_well(task)


def test_a_clock_is_an_hour_off(filled, compose):
    """In the middle of a copy nobody notices; a new one is refused with both clocks named, until the clock is right."""
    source, destination, name = filled
    task = destination.begin(f"{name}_1", source)
    compose.clock(destination.name, HOUR)
    destination.full_speed(source)
    destination.ends_well(task)
    told = destination.refused(f'XCOPY SNAPSHOT demo.{name}_1 TO SNAPSHOT {name}_2 OPTIONS(src_region="{source.name}");')
    assert "ODPS-0410051" in told and f"by its signer's clock, and in {source.name} it is" in told, told
    compose.clock(destination.name, 0)
    assert destination.xcopy(f"{name}_1", to=f"{name}_2", source=source.name)["state"] == "DONE"
    assert destination.snapshot(f"{name}_2")["version"] == source.snapshot(f"{name}_1")["version"]


@pytest.fixture
def uncluttered(compose):
    """Nothing of other tests is copied again."""
    for region in compose.regions:
        drop_all(region)


def test_a_region_is_restored_and_a_lost_one_filled_again(uncluttered, filled, compose, tmp_path):
    """By deploy/README.md: a region comes back from its backup, with what has no replica, and from the others what it got since. Then the
    one that all came from is lost without a backup."""
    source, destination, name = filled
    third = compose.regions[2]
    destination.xcopy(f"{name}_1", source=source.name)
    destination.sql("CREATE TABLE own (a BIGINT); INSERT INTO own VALUES (1), (2);")
    make_folder, backup = block_of(" backup /backup").splitlines()
    compose.shell(f"{make_folder}\n{backup}", tmp_path)
    source.sql(f"INSERT INTO {name} PARTITION (p=0) VALUES (1, 'since'); CREATE SNAPSHOT TABLE {name}_2 CLONE {name};")
    for region in (destination, third):
        region.xcopy(f"{name}_2", source=source.name)
    compose.shell(block_of("--restore"), tmp_path)
    assert sorted(row["a"] for row in destination.sql("SELECT a FROM own;")) == [1, 2]
    made = {row["snapshot"]: row["version"] for row in source.sql("SHOW SNAPSHOT TABLES;")}
    held = {row["snapshot"]: row["version"] for row in destination.sql("SHOW SNAPSHOT TABLES;")}
    assert held == made and len(made) == 2

    rows = source.lines(name)
    source.lose("data")
    told = compose.shell(for_region(block_of('-e "$open"'), source), tmp_path)
    assert {row["snapshot"]: row["version"] for row in source.sql("SHOW SNAPSHOT TABLES;")} == made, told
    source.sql(f"CREATE TABLE {name} CLONE {name}_2;")
    assert source.lines(name) == rows


def test_a_region_that_lost_its_key_is_told_of(compose, regions):
    third = regions[2]
    old = third.strait("pubkey", "/etc/strait/node.key").strip()
    third.lose("data", "config")
    told = compose.run_told("run", "--rm", "-T", "init")
    compose.up()
    new = third.strait("pubkey", "/etc/strait/node.key").strip()
    assert new != old
    for other in regions[:2]:
        assert f"{other.name} does not know the key of {third.name}" in told, told
        text = compose.run("run", "--rm", "-T", "init", "regions", "show", other.name)
        assert f'key = "{old}"' in text
        named = text.replace(f'key = "{old}"', f'key = "{new}"\n    former_keys = {{"{old}"}}')
        compose.run("run", "--rm", "-T", "init", "regions", "set", other.name, stdin=named)
        compose.run("restart", other.name)
        other.answers()
    assert "does not know" not in compose.run_told("run", "--rm", "-T", "init")
    compose.open()
    regions[0].sql("CREATE TABLE told (a BIGINT); INSERT INTO told VALUES (1); CREATE SNAPSHOT TABLE told_1 CLONE told;")
    assert third.xcopy("told_1", source=regions[0].name)["state"] == "DONE"
