"""Damage on the disk: found, named, never served, and fetched again by place from the region that gave or took a receipt."""
import contextlib
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, Failed, command
from test_crash import ended

DAYS, ROWS = 30, 20000
TABLE = "CREATE TABLE t (id BIGINT, amount DECIMAL(12,2), region STRING, note STRING) PARTITIONED BY (order_date DATE);"
ANSWER = "SELECT COUNT(*) AS n, SUM(id) AS ids, MAX(note) AS note, SUM(amount) AS amount FROM {};"
PACK_BYTES_MIN = 500_000
REPAIR_SECONDS = 60
# Durable steps of a repair; the store's own tests walk over all of store/crash.h.
STEPS = ["staged.written", "content.step", "content.written", "content.synced", "staged.step"]


@pytest.fixture
def copied(cluster, tmp_path):
    """A snapshot s at both ends, and what it answers. Nodes that scrub only when they are told to: damage stays unfound
    until the test looks."""
    cluster.extra = ['scrub_rate = "0"']
    source, destination = cluster.up(SOURCE, DESTINATION)
    path = tmp_path / "sales.csv"
    path.write_text(command(BIN / "strait-sales", "--days", DAYS, "--rows", ROWS))
    source.sql(TABLE)
    source.upload(path, "t", "-acp=true", "-h=true")
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")
    assert int(destination.xcopy("s")["files_moved"]) > 0
    return source, destination, source.one(ANSWER.format("s"))


def packs(region):
    found = [path for path in (region.home / "data" / "db").glob("*.sst") if path.stat().st_size > PACK_BYTES_MIN]
    assert found, "no pack: the table is too small for this test"
    return sorted(found)


def flip(path, part):
    """One bit at this part (0 to 1) of the file."""
    with open(path, "r+b") as file:
        file.seek(int(path.stat().st_size * part))
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 4]))


def damage(region, *parts, down=False):
    if down:
        region.cluster.kill(region.name)
    for part in parts:
        flip(packs(region)[0], part)
    if down:
        region.cluster.start(region.name)


def damage_elsewhere(region, other, part):
    """In another column file than damage(other, part) was in: each region has its own order of files in a pack."""
    there, here = packs(other)[0].read_bytes(), packs(region)[0]
    probe = int(len(there) * part) + 1  # behind the flipped bit
    size, same = here.stat().st_size, here.read_bytes().find(there[probe:probe + 32])
    flip(here, 0.5 if same < 0 else same / size + (1 / 3 if same < size / 2 else -1 / 3))


def scrub(region, scope=""):
    """(the row of what was checked, the rows of what was found)"""
    rows = region.sql(f"SCRUB {scope};")
    assert rows[0]["what"] == "checked"
    return rows[0], rows[1:]


def repaired(region, answer, name="s"):
    assert region.one(ANSWER.format(name)) == answer
    checked, found = scrub(region)
    assert (checked["state"], found) == ("whole", [])
    assert "0 faults" in region.fsck()


def wait_until_whole(region):
    deadline = time.monotonic() + REPAIR_SECONDS
    while time.monotonic() < deadline:
        if "strait_damaged_items 0" in region.strait("status", "--format", "prometheus"):
            return
        time.sleep(0.2)
    pytest.fail(f"not repaired: {region.sql('SHOW TASKS;')}\n{region.log[-3000:]}")


@pytest.mark.parametrize("down", [True, False], ids=["while it is down", "while it runs"])
@pytest.mark.parametrize("victim", [0, 1], ids=["source", "destination"])
def test_damage_is_named_never_served_and_repaired(copied, victim, down):
    answer = copied[2]
    region, peer = copied[victim], copied[1 - victim]
    damage(region, 0.2, 0.5, down=down)
    refused = region.refused(ANSWER.format("s"))
    assert refused.count("file ") == 1 and "SCRUB" in refused, refused
    assert "ODPS-0010095" in refused and "snapshot demo.s, order_date=" in refused and "column " in refused
    checked, found = scrub(region)
    assert checked["state"] == "whole" and checked["files"] > 0 and checked["pages"] > 0 and checked["bytes"] > 0
    assert {row["hurts"] for row in found} == ({"demo.t", "demo.s"} if victim == 0 else {"demo.s"})
    assert {row["state"] for row in found} == {"repaired"}
    assert {row["peer"] for row in found} == {peer.name}
    for row in found:
        assert row["what"] == "file" and row["partitions"].startswith("order_date=") and row["columns"]
    repaired(region, answer)
    assert region.snapshot("s")["version"] == peer.snapshot("s")["version"]


def test_both_ends_repair_from_each_other(copied):
    source, destination, answer = copied
    damage(source, 0.25)
    damage_elsewhere(destination, source, 0.25)
    assert scrub(destination)[0]["state"] == "whole"
    assert scrub(source)[0]["state"] == "whole"
    repaired(source, answer)
    repaired(destination, answer)


def test_a_peer_that_is_away_is_waited_for(copied):
    source, destination, answer = copied
    damage(destination, 0.5)
    source.cluster.kill(SOURCE)
    with pytest.raises(Failed) as caught:
        destination.strait("scrub", "--format", "csv")
    assert caught.value.code == 1
    assert ",waiting," in caught.value.stdout and "waiting for peer" in caught.value.stdout
    source.cluster.start(SOURCE)
    wait_until_whole(destination)
    repaired(destination, answer)


def test_a_peer_that_dropped_the_snapshot_cannot_help(copied):
    source, destination, _ = copied
    source.sql("DROP SNAPSHOT TABLE s;")
    damage(destination, 0.5)
    checked, found = scrub(destination)
    assert checked["state"] == "damaged"
    assert {row["state"] for row in found} == {"damaged"} and "was dropped" in found[0]["detail"]
    assert "ODPS-0010095" in destination.refused(ANSWER.format("s"))


def test_gates_hold_for_repairs(copied):
    source, destination, answer = copied
    source.sql("ALTER PROJECT demo DISABLE XCOPY;")
    damage(destination, 0.5)
    assert "allow-list" in scrub(destination)[1][0]["detail"]
    source.sql("ALTER PROJECT demo ENABLE XCOPY;")
    assert scrub(destination)[0]["state"] == "whole"
    repaired(destination, answer)


def test_an_xcopy_heals_what_it_brings(copied):
    """What is damaged does not count as held: the same content comes again, and nothing else."""
    source, destination, answer = copied
    source.sql("DROP SNAPSHOT TABLE s;")
    damage(destination, 0.5)
    assert scrub(destination)[0]["state"] == "damaged"
    source.sql("CREATE SNAPSHOT TABLE again CLONE t;")
    assert int(destination.xcopy("again")["files_moved"]) == 1
    repaired(destination, answer)


def test_an_xcopy_of_what_is_damaged_says_so_and_brings_the_rest(pair, tmp_path):
    source, destination = pair
    path = tmp_path / "sales.csv"
    path.write_text(command(BIN / "strait-sales", "--days", DAYS, "--rows", ROWS))
    source.sql(TABLE)
    source.upload(path, "t", "-acp=true", "-h=true")
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")
    damage(source, 0.5)
    refused = destination.refused(f'XCOPY SNAPSHOT demo.s TO SNAPSHOT s OPTIONS(src_region="{SOURCE}");')
    assert "ODPS-1010031" in refused and "damaged" in refused
    checked, found = scrub(source)
    assert checked["state"] == "damaged" and "no region" in found[0]["detail"]
    source.upload(path, "t", "-acp=true", "-h=true", "--replace-table")  # equal content: equal files
    assert scrub(source)[0]["state"] == "whole"
    again = destination.xcopy("s")
    assert 0 < int(again["files_moved"]) < 20, again
    repaired(destination, source.one(ANSWER.format("s")))


def test_one_snapshot_can_be_scrubbed(copied):
    source = copied[0]
    assert scrub(source, "SNAPSHOT s")[0]["state"] == "whole"
    assert scrub(source, "TABLE t")[0]["files"] == scrub(source, "SNAPSHOT s")[0]["files"]
    assert "Table not found" in source.refused("SCRUB TABLE nothing;")
    damage(source, 0.5)
    assert [row["state"] for row in scrub(source, "SNAPSHOT s")[1]] == ["repaired"]


def test_scrub_of_one_table_does_not_tell_of_others(copied):
    source, destination, _ = copied
    source.sql("CREATE TABLE v (a BIGINT); INSERT INTO v VALUES (1);")
    destination.cluster.kill(destination.name)  # nobody to repair from
    damage(source, 0.5)
    with pytest.raises(Failed):
        source.one(ANSWER.format("s"))
    assert scrub(source, "TABLE v")[0]["state"] == "whole"
    assert "strait_damaged_items 0" not in source.strait("status", "--format", "prometheus")
    destination.cluster.start(destination.name)


def test_scrub_reads_what_an_open_database_does_not(copied):
    """The end of a table is in memory from the opening on: what becomes of it on the disk would be met by the next start."""
    source = copied[0]
    table = min((source.home / "data" / "db").glob("*.sst"))
    for state, found in (("damaged", [table.name]), ("whole", [])):
        with open(table, "r+b") as file:
            file.seek(-4, 2)  # of the number that every table ends with
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 4]))
        checked, rows = scrub(source)
        assert checked["state"] == state
        assert [name for name in found if name in rows[0]["detail"]] == found and len(rows) == len(found), rows
    assert source.one(ANSWER.format("s")) == copied[2]


def test_scrub_of_a_whole_store_ends_well(copied):
    assert "whole" in copied[1].strait("scrub", "--format", "csv")


def tables(region, family):
    """The database's files of this family: each has its name among its properties, behind a prefix it shares."""
    if family == "packs":  # taken in as they are
        return packs(region)
    mark = f"name{family}".encode()
    return [path for path in (region.home / "data" / "db").glob("*.sst") if mark in path.read_bytes()[-4096:]]


@pytest.mark.parametrize("families", [["pages"], ["packs"], ["files", "held"]], ids="-".join)
def test_a_database_that_does_not_open_is_mended_as_it_says(copied, families):
    """A damaged footer: the node is down until its operator does what the error says; then it repairs itself."""
    source, destination, answer = copied
    cluster, config = destination.cluster, destination.home / "straitd.conf"
    cluster.dev("stop-one", DESTINATION)
    cluster.start(DESTINATION)  # from the log into tables
    cluster.kill(DESTINATION)
    cluster.kill(SOURCE)
    damaged = [path for family in families for path in tables(destination, family)]
    assert damaged
    for path in damaged:
        flip(path, 1 - 4 / path.stat().st_size)
    with pytest.raises(Failed) as caught:
        command(BIN / "straitd", "-c", config)
    assert any(str(path) in caught.value.stderr for path in damaged), caught.value.stderr
    assert "straitd --mend -c FILE" in caught.value.stderr
    told = command(BIN / "straitd", "--mend", "-c", config)
    assert all(path.name in told for path in damaged) and f"mended: {len(damaged)} files" in told
    aside, = (destination.home / "data" / "set-aside").glob("db-*")
    assert all((aside / path.name).exists() for path in damaged)
    cluster.start(DESTINATION)
    if "files" not in families:  # else all is made from what is here
        refused = destination.refused(ANSWER.format("s"))
        assert "ODPS-0010095" in refused and "SCRUB" in refused
        assert "strait_damaged_items 0" not in destination.strait("status", "--format", "prometheus")
    cluster.start(SOURCE)
    checked, found = scrub(destination)
    assert checked["state"] == "whole" and {row["hurts"] for row in found} <= {"demo.s"}
    repaired(destination, answer)
    assert "the database opens" in mended_again(destination)


def test_a_node_that_was_stopped_rests_on_no_log(copied):
    """What is flipped while it is down has a second copy, or is told; the log has none."""
    source, _, answer = copied
    logs = (source.home / "data" / "db").glob
    source.sql("CREATE TABLE u (id BIGINT); INSERT INTO u VALUES (1);")
    assert any(log.stat().st_size for log in logs("*.log"))
    source.cluster.dev("stop-one", source.name)
    assert not any(log.stat().st_size for log in logs("*.log"))
    source.cluster.start(source.name)
    assert source.one("SELECT COUNT(*) AS n FROM u;")["n"] == 1
    assert source.one(ANSWER.format("s")) == answer


def test_the_nodes_own_files_are_looked_at(copied):
    """Which it does not read again until the next start. An edited configuration is no damage."""
    source = copied[0]
    key, conf = source.home / "node.key", source.config
    before = key.read_bytes(), conf.read_bytes()
    conf.write_bytes(before[1] + b"# edited\n")
    checked, found = scrub(source)
    assert checked["state"] == "whole"
    assert [(row["what"], row["state"]) for row in found] == [("configuration", "changed")]
    assert str(conf) in found[0]["detail"]
    conf.write_bytes(before[1])
    flip(key, 0.5)
    checked, found = scrub(source)
    assert checked["state"] == "damaged"
    assert [(row["what"], row["state"]) for row in found] == [("key file", "damaged")]
    assert str(key) in found[0]["detail"] and before[0].decode().split()[1] not in str(found)
    assert "strait_damaged_records 1" in source.strait("status", "--format", "prometheus")
    key.write_bytes(before[0])
    assert scrub(source)[1] == []


def mended_again(region):
    region.cluster.dev("stop-one", region.name)
    try:
        return command(BIN / "straitd", "--mend", "-c", region.home / "straitd.conf")
    finally:
        region.cluster.start(region.name)


@pytest.mark.parametrize("point", STEPS)
def test_killed_in_a_repair(copied, point):
    destination, answer = copied[1:]
    cluster = destination.cluster
    cluster.kill(DESTINATION)
    damage(destination, 0.3, 0.6)
    with contextlib.suppress(Failed):  # the node's own scrub may be there first
        cluster.start(DESTINATION, env={"STRAIT_CRASH": point})
        destination.sql("SCRUB;")
    assert ended(cluster, DESTINATION, REPAIR_SECONDS), f"{point} was not passed"
    cluster.kill(DESTINATION)
    cluster.start(DESTINATION)
    wait_until_whole(destination)
    repaired(destination, answer)
