"""What deploy/README.md says of the three regions in containers: the tour, what is secret, what a container may, its end."""
import json
import re
import subprocess
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from compose import (ALIASES, BUILD, DEPLOY_README, HONGKONG, NAME, REGIONS, ROOT, TOKYO, block_of, blocks, command, docker, drop_all,
                     for_region, opened, settled, until)
from documents import blocks_read

KEY_FILES = ("node.key", "operator.key", "straitd.conf", "strait.conf", "client.conf")
IMAGE_BYTES = 120_000_000  # of which Debian has 75


@pytest.fixture(scope="module")
def compose():
    yield from opened("tour")


@pytest.fixture
def regions(compose):
    yield compose.regions
    assert settled(compose) >= 0


def test_the_tour_runs_as_it_is_written(compose, regions, tmp_path):
    """deploy/README.md's first step, then README.md's five minutes, with its aliases."""
    compose.shell(next(block for block in blocks(DEPLOY_README, "Three regions in containers") if "ENABLE XCOPY" in block), tmp_path)
    tour = next(block for block in blocks(ROOT / "README.md", "Five minutes by hand") if "XCOPY SNAPSHOT" in block)
    lines = [line for line in tour.splitlines() if not re.match(r"alias |deploy/dev-cluster |docker-compose ", line)]
    out = compose.shell("\n".join(lines), tmp_path)
    assert "299.00" in out and "450.50" in out, out
    assert "DONE" in out, out


def test_the_daily_backup_runs_as_it_is_written(regions):
    """The `sql` blocks of docs/operations.md, done for a day whose hours have come: Hong Kong copies by its schedule, Tokyo when there is a snapshot."""
    section = re.search(r"^## A backup every day\n.*?(?=^## )", (ROOT / "docs/operations.md").read_text(), re.M | re.S)[0]
    by_alias = dict(zip(ALIASES.values(), regions))
    for block in blocks_read(section):
        if block.kind == "sql":
            by_alias[block.words[0]].sql(block.text)
    source, *backups = regions
    day = (datetime.now(ZoneInfo("Asia/Singapore")) - timedelta(hours=3)).strftime("%Y-%m-%d")
    snapshot = f"sales_{day.replace('-', '')}"
    ended = lambda region, project: [row["state"] for row in region.sql(f"USE {project}; SHOW SCHEDULE RUNS;")]  # noqa: E731
    for region, project, schedule, more in ((source, "shop", "daily_snapshots", "OPTIONS(allow_past_snapshots=true)"),
                                            (backups[0], "backup", "daily_copies", "")):
        region.sql(f"USE {project}; RUN SCHEDULE {schedule} FOR '{day}' {more};")
        until(lambda: "SUCCEEDED" in ended(region, project), lambda: region.sql(f"USE {project}; SHOW SCHEDULE RUNS;"))
    until(lambda: "SUCCEEDED" in ended(backups[1], "backup"), lambda: backups[1].sql("USE backup; SHOW SCHEDULE RUNS;"))
    made = source.one(f"SHOW SNAPSHOT TABLES IN shop LIKE '{snapshot}';")
    for region in backups:
        assert region.one(f"SHOW SNAPSHOT TABLES IN backup LIKE '{snapshot}';")["version"] == made["version"]
    for region, project in zip(regions, ("shop", "backup", "backup")):
        drop_all(region, project)
        region.sql(f"DROP PROJECT {project};")


def test_a_second_up_changes_nothing(compose, regions):
    def state():
        keys = [docker("exec", region.container, "sha256sum", *(f"/etc/strait/{name}" for name in KEY_FILES)) for region in regions]
        return keys, [region.inspect("{{.Id}} {{.State.StartedAt}} {{.RestartCount}}") for region in regions]

    before = state()
    compose.up()
    assert state() == before


def test_keys_are_in_the_volumes_alone(compose, regions):
    """Neither in the image nor in its history, nor in any environment; and for their owner alone."""
    files = [f"/etc/strait/{name}" for name in KEY_FILES]
    inside = docker("run", "--rm", "--network", "none", "--label", f"strait.test={NAME}", "--user", "0", compose.image,
                    "find", "/etc/strait", "/var/lib/strait", "/regions", "-type", "f")
    assert inside == ""
    made_by = docker("inspect", f"{compose.project}_init_1")
    secrets = set()
    for region in regions:
        told = docker("inspect", region.container) + docker("exec", region.container, "env") + made_by
        told += docker("history", "--no-trunc", compose.image)
        mine = [word for word in docker("exec", region.container, "cat", *files[:2]).split() if word != "strait-secret-1"]
        assert len(mine) == 2 and not any(word in told for word in mine)
        secrets.update(mine)
        modes = docker("exec", region.container, "stat", "-c", "%a %u %g", "/etc/strait", *files).splitlines()
        assert modes == ["700 10001 10001"] + ["600 10001 10001"] * len(files)
    assert len(secrets) == len(REGIONS) + 1  # each node's, and the operator's


def test_the_image_has_what_runs_and_nothing_that_builds(compose):
    assert int(docker("image", "inspect", "--format", "{{.Size}}", compose.image)) < IMAGE_BYTES
    tools = "gcc cc c++ clang as ld make cmake ninja git python3"
    found = docker("run", "--rm", "--network", "none", "--label", f"strait.test={NAME}", compose.image,
                   "sh", "-c", f"for tool in {tools}; do command -v $tool || true; done")
    assert found == ""


def test_a_container_may_do_nothing_but_its_work(regions):
    for region in regions:
        assert region.inspect("{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Privileged}} {{.HostConfig.CapDrop}}") == "true false [ALL]"
        for path in ("/usr/bin/x", "/etc/strait/x", "/x"):
            done = subprocess.run(["docker", "exec", region.container, "touch", path], capture_output=True, text=True)
            assert done.returncode != 0 and "Read-only file system" in done.stderr, (path, done)
        status = docker("exec", region.container, "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == ["10001"] * 4 and fields["Gid"].split() == ["10001"] * 4
        assert (fields["CapEff"], fields["CapPrm"], fields["CapBnd"]) == ("0000000000000000",) * 3
        assert fields["NoNewPrivs"].strip() == "1"
        assert re.search(r"Max open files +16384 +16384", docker("exec", region.container, "cat", "/proc/1/limits"))


def test_operators_are_reached_in_their_own_network_alone(compose, regions):
    """From the backbone only the peers' port answers, and from one region's operators nothing of another's."""
    probe = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"

    def reached(network, host, port):
        words = ["run", "--rm", "--label", f"strait.test={NAME}", "--network", f"{compose.project}_{network}", BUILD,
                 "python3", "-c", probe, host, str(port)]
        return subprocess.run(["docker", *words], capture_output=True, timeout=60).returncode == 0

    assert reached(f"{HONGKONG}-operators", "operators", 7071)
    assert reached("backbone", HONGKONG, 7070)
    assert not reached("backbone", HONGKONG, 7071)
    assert not reached(f"{TOKYO}-operators", HONGKONG, 7070)
    networks = ["backbone", *(f"{name}-operators" for name in REGIONS)]
    assert docker("network", "inspect", "--format", "{{.Internal}}", *(f"{compose.project}_{name}" for name in networks)).split() == ["true"] * 4
    for region in regions:
        assert region.inspect("{{json .HostConfig.PortBindings}} {{.HostConfig.PublishAllPorts}}") in ("{} false", "null false")
        joined = json.loads(region.inspect("{{json .NetworkSettings.Networks}}"))
        assert set(joined) == {f"{compose.project}_backbone", f"{compose.project}_{region.name}-operators"}


def test_health_follows_the_node(compose, regions):
    node = regions[2]
    health = lambda: node.inspect("{{.State.Health.Status}}")  # noqa: E731
    until(lambda: health() == "healthy", health)
    test = json.loads(node.inspect("{{json .Config.Healthcheck}}"))["Test"]
    assert test == ["CMD", "strait", "status"]
    docker("kill", "-s", "STOP", node.container)  # it is there, and answers nothing
    until(lambda: health() == "unhealthy", health)
    docker("kill", "-s", "CONT", node.container)
    until(lambda: health() == "healthy", health)


def test_the_end_is_orderly_in_the_middle_of_a_copy(regions, rng):
    """SIGTERM to the destination, then to the source: each ends by itself within the grace (a killed one says 137), and the
    copy goes on."""
    source, destination, _ = regions
    source.fill("stopped", rng)
    task = destination.begin("stopped_1", source)
    for node in (destination, source):
        node.stop()
        assert node.inspect("{{.State.ExitCode}} {{.State.OOMKilled}}") == "0 false", node.log[-2000:]
        assert "stopped" in node.log.splitlines()[-1]
        node.start()
    assert destination.task(task)["state"] == "RUNNING"
    destination.full_speed(source)
    destination.ends_well(task)


def test_a_setting_is_taken_up_and_one_with_a_fault_is_not(compose, regions, tmp_path):
    region = regions[1]
    taken = block_of("kill -s HUP")
    compose.shell(taken, tmp_path, edit='1i log_level = "debug"')
    until(lambda: "reloaded" in region.log, lambda: region.log[-3000:])
    assert re.search(r"reloaded.*log_level", region.log), region.log[-3000:]
    before = compose.run("run", "--rm", "-T", "init", "regions", "show", region.name)
    assert before.startswith('log_level = "debug"\n')
    with pytest.raises(Exception) as caught:
        compose.shell(taken, tmp_path, edit="1i no_such_setting = 1")
    assert "no_such_setting" in str(caught.value) and "stays as it was" in str(caught.value)
    assert compose.run("run", "--rm", "-T", "init", "regions", "show", region.name) == before
    assert region.log.count("reloaded") == 1


def test_a_node_gets_a_new_key(compose, regions, tmp_path):
    """deploy/README.md's steps; copies to the node and from it go by the new key."""
    region = regions[1]
    old = region.strait("pubkey", "/etc/strait/node.key").strip()
    here, there = block_of("node.key.old").split("init regions show", 1)
    assert compose.shell(here, tmp_path).split() == [old]
    new = region.strait("pubkey", "/etc/strait/node.key").strip()
    assert new != old
    for other in (regions[0], regions[2]):
        edit = f's|key = "{old}"|key = "{new}"\\n    former_keys = {{"{old}"}}|'
        compose.shell(for_region(block_of("kill -s HUP"), other), tmp_path, edit=edit)
    compose.shell(f"init regions show{there}", tmp_path, edit=f'1i former_keys = {{"{old}"}}')
    region.answers()
    compose.shell("client -c cn-hongkong/client.conf status", tmp_path)
    assert "does not know" not in compose.run_told("run", "--rm", "-T", "init")
    for source, destination in ((regions[0], region), (region, regions[2])):
        name = f"keyed_{ALIASES[source.name]}"
        source.sql(f"CREATE TABLE {name} (a BIGINT); INSERT INTO {name} VALUES (1); CREATE SNAPSHOT TABLE {name}_1 CLONE {name};")
        assert destination.xcopy(f"{name}_1", source=source.name)["state"] == "DONE"
