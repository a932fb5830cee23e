"""What is held is an account's: two accounts with the same content, and neither learns of the other."""
import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from conftest import BIN, SOURCE, Cluster, command
from test_accounts import Principal, proof

ROWS = 40000
COUNTERS = ("partitions_total", "partitions_moved", "files_moved", "bytes_moved", "bytes_skipped")
WORK = ((0, "strait_xcopy_file_bytes_served_total"), (1, "strait_xcopy_page_bytes_received_total"), (1, "strait_xcopy_file_bytes_received_total"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("strangers") / "cluster")
    yield made.up(SOURCE, "cn-hongkong")
    made.end()


@pytest.fixture(scope="module")
def people(pair, tmp_path_factory):
    """{name: (at the source, at the destination)}: accounts a, b and c with a project of their name in both regions, and
    there the same table t and its snapshot s."""
    folder = tmp_path_factory.mktemp("keys")
    rows = folder / "rows.csv"
    rows.write_text("".join(f"{i},{i * 7919 % 1000003},value {i * i % 65537},{i % 3}\n" for i in range(ROWS)))
    made = {}
    for name in "abc":
        key = folder / f"{name}.key"
        command(BIN / "strait", "keygen", key)
        for root in pair:
            root.sql(f"CREATE ACCOUNT ALIYUN${name} PUBLIC KEY '{proof(root, f'ALIYUN${name}', key)}';"
                     f"CREATE PROJECT p{name} OWNER ALIYUN${name};")
        made[name] = tuple(Principal(root, key) for root in pair)
    for name, (source, _) in made.items():
        source.sql(f"USE p{name}; CREATE TABLE t (id BIGINT, n BIGINT, s STRING) PARTITIONED BY (p BIGINT);")
        source.uploaded = subprocess.run([*source.client, "tunnel", "upload", "-acp=true", rows, f"p{name}.t"], capture_output=True, text=True,
                                         check=True, timeout=60).stderr
        source.sql(f"USE p{name}; CREATE SNAPSHOT TABLE s CLONE t;")
    return made


def copy(people, name, to="s"):
    row = people[name][1].xcopy("s", to=f"p{name}.{to}", project=f"p{name}")
    assert row["state"] == "DONE"
    return row


def counted(row):
    return {key: row[key] for key in COUNTERS}


def explained(principal, name):
    """EXPLAIN's rows, without the project's name."""
    rows = principal.sql(f"EXPLAIN SELECT s, sum(n) FROM p{name}.s WHERE p = 1 AND id > 5 GROUP BY s;")
    assert rows
    return [{key: value for key, value in row.items() if key != "table"} for row in rows]


def looked(people, name):
    """EXPLAIN XCOPY's rows, but for the time."""
    rows = people[name][1].sql(f'EXPLAIN XCOPY SNAPSHOT p{name}.s TO SNAPSHOT p{name}.s OPTIONS(src_region="{SOURCE}");')
    return [{key: value for key, value in row.items() if key != "seconds" and row["item"] != "total" or key == "files"} for row in rows]


def worked(pair):
    """Bytes that copies had served and received, so far."""
    rows = [{row["name"]: row["value"] for row in status(root)} for root in pair]
    return [int(rows[side][name]) for side, name in WORK]


def written(root):
    """Bytes that the node has written so far, to files and to connections."""
    return int(re.search(r"wchar: (\d+)", Path(f"/proc/{root.pid}/io").read_text())[1])


def usage(root):
    return {row["name"]: int(row["value"]) for row in status(root) if row["name"] in ("strait_pack_bytes", "strait_pack_live_bytes", "strait_small_bytes")}


def told(principal, name, *statements):
    """What they show, without names and times."""
    text = principal.strait("sql", "--quiet", "-e", f"USE p{name}; {' '.join(statements)}")
    text = re.sub(r"(TableID: +)[0-9a-f]{32}\b", r"\1(id)", text)  # a number would count what others make
    text = re.sub(r"\d{4}-\d\d-\d\d[ T][\d:.]+", "(time)", text)
    return re.sub(rf"ALIYUN\${name}|\bp{name}\b", lambda found: "*" * len(found[0]), text)


def test_a_load_is_answered_the_same_whatever_strangers_hold(people):
    """a was the first to have these bytes here, b and c brought them again."""
    answers = [re.search(r"upload complete.*", people[name][0].uploaded)[0] for name in "abc"]
    assert f"{ROWS} rows in 3 partitions" in answers[0] and answers[1:] == answers[:1] * 2
    asked = ("DESC EXTENDED t;", "SHOW PARTITIONS t;", "SHOW HISTORY FOR TABLE t;", "SHOW SNAPSHOT TABLES;",
             "EXPLAIN SELECT s, sum(n) FROM t WHERE p = 1 GROUP BY s;")
    assert told(people["a"][0], "a", *asked) == told(people["b"][0], "b", *asked) == told(people["c"][0], "c", *asked)
    # written from a query: nobody has the first one's bytes, all of the second one's are a's
    made = [told(people[name][0], name, "CREATE TABLE made AS SELECT id * 3 AS x, s FROM t;", "INSERT INTO made SELECT id * 5, s FROM t;",
                 "DESC EXTENDED made;", "SHOW HISTORY FOR TABLE made;", "DROP TABLE made;") for name in "ab"]
    assert made[0] == made[1]


def test_a_copy_counts_the_same_whatever_strangers_hold(pair, people):
    foreseen = looked(people, "a")
    begun, disk = worked(pair), written(pair[1])
    alone = copy(people, "a")  # nobody has it here
    first, disk_alone = worked(pair), written(pair[1]) - disk
    assert alone["files_moved"] > 0 and alone["partitions_moved"] == 3 and alone["bytes_skipped"] == 0
    plain = explained(people["a"][1], "a")
    assert looked(people, "b") == foreseen and looked(people, "a") != foreseen  # b: as if a were not there
    disk = written(pair[1])
    beside = copy(people, "b")  # a has every byte of it
    assert abs(written(pair[1]) - disk - disk_alone) < alone["bytes_moved"] // 4 < disk_alone // 4
    assert counted(beside) == counted(alone)
    assert abs(beside["wire_bytes"] - alone["wire_bytes"]) <= alone["wire_bytes"] // 50
    # the same was asked for, read and sent at the source, and received and hashed here
    work = [after - before for before, after in zip(begun, first)]
    assert [after - before for before, after in zip(first, worked(pair))] == work and min(work) > 0
    assert explained(people["b"][1], "b") == plain
    assert counted(copy(people, "b", to="s2"))["files_moved"] == 0  # its own, which it holds
    # stored once after a clean-up
    pair[1].sql("CLEANUP;")
    stored = usage(pair[1])
    assert stored["strait_pack_bytes"] + stored["strait_small_bytes"] < 2 * alone["bytes_moved"]


def test_a_load_writes_as_much_beside_a_stranger(pair, people, tmp_path):
    """More than a nursery's commit, so that it goes to packs: the second account's bytes are written like the first one's."""
    rows = tmp_path / "more.csv"
    rows.write_text("".join(f"{i * 104729 % 15485863},{hashlib.sha256(str(i).encode()).hexdigest()},{i % 3}\n" for i in range(ROWS)))
    grown = []
    for name in "ab":
        people[name][0].sql(f"CREATE TABLE p{name}.more (n BIGINT, s STRING) PARTITIONED BY (p BIGINT);")
        before, disk = usage(pair[0]), written(pair[0])
        command(*people[name][0].client, "tunnel", "upload", "-acp=true", rows, f"p{name}.more")
        disk, after = written(pair[0]) - disk, usage(pair[0])
        grown.append([after[which] - before[which] for which in ("strait_pack_bytes", "strait_small_bytes")] + [disk])
    assert grown[0][:2] == grown[1][:2] and grown[0][0] > 2**20
    assert abs(grown[0][2] - grown[1][2]) < grown[0][0] // 4
    pair[0].sql("CLEANUP;")
    stored = usage(pair[0])
    assert stored["strait_pack_bytes"] == stored["strait_pack_live_bytes"]
    assert "0 faults" in pair[0].fsck()


def test_what_was_dropped_is_not_held_because_a_stranger_keeps_it(pair, people):
    alone = copy(people, "c")
    people["c"][1].sql("DROP SNAPSHOT TABLE pc.s;")
    assert copy(people, "c")["files_moved"] == 0  # until the clean-up it is here for c
    people["c"][1].sql("DROP SNAPSHOT TABLE pc.s;")
    pair[1].sql("CLEANUP;")
    again = copy(people, "c")  # a and b keep all of it
    assert counted(again) == counted(alone)
    assert abs(again["wire_bytes"] - alone["wire_bytes"]) <= alone["wire_bytes"] // 50
    assert "0 faults" in pair[1].fsck()


def status(principal):
    return [json.loads(line) for line in principal.strait("status", "--format", "json").splitlines()]


def test_lists_and_counters_are_ones_own(pair, people):
    for name in ("a", "b"):  # the tests before may have run elsewhere
        copy(people, name)
    b = people["b"][1]
    names = {row["name"] for row in status(pair[1])}
    assert "strait_pack_bytes" in names and "strait_statements" in names
    assert not any(row["name"].startswith("strait_") and row["name"] in names for row in status(b)), status(b)
    assert "strait_pack_bytes" in pair[1].strait("status", "--format", "prometheus")
    assert "strait_pack_bytes" not in b.strait("status", "--format", "prometheus")
    assert [row["project"] for row in b.sql("SHOW PROJECTS;")] == ["pb"]
    statements = [row["statement"] for row in b.sql("SHOW TASKS;")]
    assert statements and all("pb." in text for text in statements)
    tasks = [json.loads(line)["task_id"] for line in people["a"][1].strait("sql", "--quiet", "--format", "json", "-e", "SHOW TASKS;").splitlines()]
    unknown = tasks[0][:-1] + ("0" if tasks[0][-1] != "0" else "1")
    assert b.refused(f"CANCEL TASK '{tasks[0]}';").replace(tasks[0], unknown) == b.refused(f"CANCEL TASK '{unknown}';")
