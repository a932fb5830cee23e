"""The audit log of a live pair: who, what, when, from where, outcome; its head in receipts, status and log; a cut shows."""
import hashlib
import re
import subprocess
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, Cluster, Failed, command
from test_accounts import Principal, proof, public

VIEW = "SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("audit") / "cluster")
    yield made.up(SOURCE, DESTINATION)
    made.end()


def entries(region, where="true"):
    return region.sql(f"SELECT * FROM {VIEW} WHERE {where} ORDER BY sequence;")


def head(region):
    text = region.strait("status", "--format", "csv")
    return int(re.search(r"audit entries,(\d+)", text)[1]), re.search(r"audit head,([0-9a-f]{64})", text)[1]


def waited(region, where):
    """Entries that follow something by themselves."""
    for _ in range(300):
        found = entries(region, where)
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no entry where {where}: {entries(region)}")


def fsck(region, *options, code=0):
    """Of a node that does not run: what it prints."""
    try:
        text = command(BIN / "straitd", "--fsck", "-c", region.home / "straitd.conf", *options)
    except Failed as failed:
        assert failed.code == code, failed
        return failed.stdout
    assert code == 0, text
    return text


def test_what_was_done_and_refused_is_told_to_the_owner(pair, tmp_path):
    region = pair[0]
    key = tmp_path / "b.key"
    command(BIN / "strait", "keygen", key)
    region.sql(f"CREATE ACCOUNT ALIYUN$b PUBLIC KEY '{proof(region, 'ALIYUN$b', key)}'; CREATE TABLE demo.t (a BIGINT); INSERT INTO demo.t VALUES (1);")
    b = Principal(region, key)
    region.download("demo.t", tmp_path / "t.csv")
    (tmp_path / "in.csv").write_text("2\n")
    b.refused("SELECT * FROM demo.t;")
    for tunnel in (lambda: b.download("demo.t", tmp_path / "b.csv"), lambda: b.upload(tmp_path / "in.csv", "demo.t")):
        with pytest.raises(Failed):
            tunnel()
    rows = entries(region, "object = 't' AND project = 'demo'")
    assert [(row["principal"], row["action"], row["outcome"]) for row in rows] == [
        ("ALIYUN$root", "DOWNLOAD", "OK"),
        ("ALIYUN$b", "SELECT", "ODPS-0130013"),
        ("ALIYUN$b", "DOWNLOAD", "ODPS-0130013"),
        ("ALIYUN$b", "UPLOAD", "ODPS-0130013"),
    ]
    assert all(row["address"].startswith("127.0.0.1:") for row in rows)
    assert rows[1]["public_key"] == public(key) and "has no Select on demo.t" in rows[1]["message"]
    assert b.sql(f"SELECT count(*) n FROM {VIEW};")[0]["n"] == 0
    region.sql("USE demo; SET ProjectProtection=true;")
    with pytest.raises(Failed):
        region.download("demo.t", tmp_path / "t.csv")
    region.sql("USE demo; SET ProjectProtection=false;")
    held = entries(region, "object = 't' AND project = 'demo' AND action = 'DOWNLOAD' AND principal = 'ALIYUN$root' AND outcome <> 'OK'")
    assert len(held) == 1 and "project demo is protected" in held[0]["message"]
    count, digest = head(region)
    last = entries(region, f"sequence = {count}")
    assert [row["digest"] for row in last] == [digest]


def test_a_right_that_ends_in_the_middle_of_a_download_is_told(pair, tmp_path):
    region = pair[0]
    key = tmp_path / "late.key"
    command(BIN / "strait", "keygen", key)
    region.sql(f"CREATE ACCOUNT ALIYUN$late PUBLIC KEY '{proof(region, 'ALIYUN$late', key)}'; USE demo; ADD USER ALIYUN$late; "
               "CREATE TABLE big (a BIGINT, s STRING); GRANT Download ON TABLE big TO USER ALIYUN$late;")
    (tmp_path / "in.csv").write_text("".join(f"{i},{hashlib.sha512(str(i).encode()).hexdigest()}\n" for i in range(120000)))
    region.upload(tmp_path / "in.csv", "demo.big")
    late = Principal(region, key)
    client = subprocess.Popen([*late.client, "tunnel", "download", "demo.big", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    begun = client.stdout.read(1000)  # what is not read stands in the client's way
    region.sql("USE demo; REVOKE Download ON TABLE big FROM USER ALIYUN$late;")
    rest, errors = client.communicate(timeout=60)
    assert client.returncode != 0 and b"has no Download on demo.big" in errors
    assert 1000 == len(begun) and len(rest) < (tmp_path / "in.csv").stat().st_size // 2
    told = entries(region, "principal = 'ALIYUN$late'")
    assert [(row["action"], row["project"], row["object"], row["outcome"]) for row in told] == [
        ("DOWNLOAD", "demo", "big", "OK"), ("DOWNLOAD", "demo", "big", "ODPS-0130013")]
    assert "has no Download on demo.big" in told[1]["message"] and told[1]["public_key"] == public(key)
    region.sql("DROP TABLE demo.big;")


def test_changes_of_who_there_is_are_told_with_the_key_that_made_them(pair, tmp_path):
    """Of accounts, users and keys: read by the account that did it, and by operators."""
    region = pair[0]
    keys = {name: tmp_path / f"{name}.key" for name in ("c", "c2", "u", "u2")}
    for path in keys.values():
        command(BIN / "strait", "keygen", path)
    first = head(region)[0] + 1
    region.sql(f"CREATE ACCOUNT ALIYUN$c PUBLIC KEY '{proof(region, 'ALIYUN$c', keys['c'])}';")
    c = Principal(region, keys["c"])
    for text in (f"CREATE USER RAM$c:u PUBLIC KEY '{proof(region, 'RAM$c:u', keys['u'])}';",
                 f"ALTER USER RAM$c:u ADD PUBLIC KEY '{proof(region, 'RAM$c:u', keys['u2'])}';",
                 f"ALTER USER RAM$c:u DROP PUBLIC KEY '{public(keys['u'])}';",
                 "DROP USER RAM$c:u;",
                 f"ALTER ACCOUNT ALIYUN$c ADD PUBLIC KEY '{proof(region, 'ALIYUN$c', keys['c2'])}';"):
        c.sql(text)
    second = Principal(region, keys["c2"])
    second.sql(f"ALTER ACCOUNT ALIYUN$c DROP PUBLIC KEY '{public(keys['c'])}';")
    mine = second.sql(f"SELECT * FROM {VIEW} WHERE sequence >= {first} ORDER BY sequence;")
    region.sql("DROP ACCOUNT ALIYUN$c;")
    told = entries(region, f"sequence >= {first}")
    keys_changed = "ALTER ACCOUNT | USER ADD | DROP PUBLIC KEY"
    root, by = public(region.cluster.folder / "root.key"), {name: public(path) for name, path in keys.items()}
    assert [(row["principal"], row["public_key"], row["action"], row["object"], row["outcome"]) for row in told] == [
        ("ALIYUN$root", root, "CREATE ACCOUNT", "ALIYUN$c", "OK"),
        ("ALIYUN$c", by["c"], "CREATE USER", "RAM$c:u", "OK"),
        ("ALIYUN$c", by["c"], keys_changed, "RAM$c:u", "OK"),
        ("ALIYUN$c", by["c"], keys_changed, "RAM$c:u", "OK"),
        ("ALIYUN$c", by["c"], "DROP USER", "RAM$c:u", "OK"),
        ("ALIYUN$c", by["c"], keys_changed, "ALIYUN$c", "OK"),
        ("ALIYUN$c", by["c2"], keys_changed, "ALIYUN$c", "OK"),
        ("ALIYUN$root", root, "DROP ACCOUNT", "ALIYUN$c", "OK"),
    ]
    assert mine == told[1:-1]
    assert all(row["address"].startswith("127.0.0.1:") and row["event_time"] and row["statement"] for row in told)


def test_an_xcopy_is_told_at_both_ends_and_the_source_knows_why_it_refused(pair):
    source, destination = pair
    source.sql("CREATE TABLE demo.x (a BIGINT); INSERT INTO demo.x VALUES (1); CREATE SNAPSHOT TABLE demo.x_1 CLONE demo.x;")
    task = destination.xcopy("x_1")["task_id"]
    there = entries(destination, "object = 'x_1'")
    assert [(row["action"], row["outcome"], row["message"]) for row in there] == [("XCOPY SNAPSHOT", "OK", None), ("XCOPY SNAPSHOT", "OK", "published")]
    assert there[1]["id"] == task and there[1]["address"] == SOURCE and there[1]["source_object"] == "x_1"
    receipt = waited(source, "action = 'XCOPY RECEIPT'")[0]
    granted = entries(source, "action = 'XCOPY DESCRIBE'")
    assert [(row["principal"], row["project"], row["object"], row["id"]) for row in granted] == [("ALIYUN$root", "demo", "x_1", task)]
    assert granted[0]["address"].startswith(f"{DESTINATION} 127.0.0.1:") and f"in {DESTINATION}" in granted[0]["message"]
    count, digest = re.search(r"has (\d+) entries, head ([0-9a-f]{64})", receipt["message"]).groups()
    assert entries(destination, f"sequence = {count}")[0]["digest"] == digest
    with pytest.raises(Failed) as caught:
        destination.xcopy("nothing")
    assert "or no right to it" in caught.value.stderr
    refused = entries(source, "object = 'nothing'")
    assert [(row["action"], row["message"]) for row in refused] == [("XCOPY DESCRIBE", "there is no snapshot demo.nothing")]
    failed = entries(destination, "object = 'nothing' AND outcome <> 'OK'")
    assert len(failed) == 1 and "or no right to it" in failed[0]["message"]


def test_count_and_head_are_in_the_log_and_fsck_compares_them(pair):
    source, destination = pair
    count, digest = head(destination)
    assert re.search(r"level=info event=\"audit log\" entries=\d+ head=[0-9a-f]{64}", destination.log)
    destination.cluster.kill(DESTINATION)  # nothing said at a stop: the log's durable part has it all
    text = fsck(destination)
    assert f"audit log: {count} entries, head {digest}" in text and "0 faults" in text
    assert "0 faults" in fsck(destination, "--audit-head", f"{count}:{digest}")
    assert "the tail was cut off" in fsck(destination, "--audit-head", f"{count + 1}:{digest}", code=4)
    assert "is not the one that was there" in fsck(destination, "--audit-head", f"{count - 1}:{digest}", code=4)
    for wrong in ("x", f"{count}", f"{count}:abc", f"-1:{digest}"):
        fsck(destination, "--audit-head", wrong, code=2)
    destination.cluster.start(DESTINATION)
    assert head(destination) == (count, digest)
