"""Backups of a node, on live nodes: cut under load, interrupted, damaged, restored; a lost region refilled; a key changed."""
import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from conftest import BIN, DESTINATION, SOURCE, Failed, command

SECONDS = 60


def fill(region, table="t", partitions=6, rows=3000, seed=1):
    """A table whose partitions have files of their own that do not compress away."""
    chance = random.Random(seed)
    region.sql(f"CREATE TABLE IF NOT EXISTS {table} (id BIGINT, note STRING) PARTITIONED BY (p BIGINT);")
    for p in range(partitions):
        values = ",".join(f"({i},'{chance.randbytes(24).hex()}')" for i in range(rows))
        region.strait("sql", "--quiet", "-f", "-", stdin=f"INSERT INTO {table} PARTITION(p={p}) VALUES {values};")


def counted(region, table):
    return region.one(f"SELECT COUNT(*) AS n, SUM(id) AS total FROM {table};")


def versions(region):
    return {row["snapshot"]: row["version"] for row in region.sql("SHOW SNAPSHOT TABLES;")}


def backup(region, folder):
    """What it says: bytes moved are read from its files."""
    done = subprocess.run([*region.client, "backup", str(folder)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr


def moved_bytes(text):
    number, unit = re.search(r"moved \d+ files, ([\d.]+) (k?M?B)", text).groups()
    return float(number) * {"B": 1, "kB": 1e3, "MB": 1e6}[unit]


def whole(folder):
    return command(BIN / "strait", "backup", "--check", folder)


def restore(region, folder, check=True, env=None):
    done = subprocess.run([str(BIN / "straitd"), "--restore", str(folder), "-c", str(region.config)], capture_output=True,
                          text=True, timeout=300, env={**os.environ, **(env or {})})
    if check:
        assert done.returncode == 0, done.stderr
    return done


def lose(region):
    """Node and data_dir are gone."""
    region.cluster.kill(region.name)
    shutil.rmtree(region.home / "data")


def tmp_of(region):
    return sorted(path.name for path in (region.home / "data" / "tmp").iterdir())


def rows_of(region, table, folder):
    return sorted(region.download(table, folder / f"{region.name}-{table}.csv").read_text().splitlines())


def test_cut_under_load_restored_and_copied_both_ways(pair, tmp_path):
    source, destination = pair
    fill(source)
    source.sql("CREATE SNAPSHOT TABLE s1 CLONE t;")
    destination.xcopy("s1")
    backup(source, tmp_path / "b")
    again = backup(source, tmp_path / "b")  # tables stay, log and manifest are new
    assert moved_bytes(again) < 0.3 * sum(path.stat().st_size for path in (tmp_path / "b" / "files").iterdir()), again
    stop, failures = threading.Event(), []

    def load():
        n = 0
        while not stop.is_set():
            try:
                source.sql(f"INSERT INTO t PARTITION(p={n % 6}) VALUES ({n},'under load');"
                           f"CREATE SNAPSHOT TABLE load_{n} CLONE t; CLEANUP;")
                n += 1
            except Failed as failed:
                failures.append(failed)
                return

    loader = threading.Thread(target=load)
    loader.start()
    try:
        for _ in range(3):
            backup(source, tmp_path / "b")
            whole(tmp_path / "b")
    finally:
        stop.set()
        loader.join()
    assert not failures
    source.sql("CREATE SNAPSHOT TABLE s2 CLONE t;")
    head = re.search(r"audit log \d+:(\w{64})", backup(source, tmp_path / "b"))[1]
    assert "is whole" in whole(tmp_path / "b") and tmp_of(source) == []
    before, rows = versions(source), rows_of(source, "t", tmp_path)
    names = {path.name.rsplit(".", 1)[0] for path in (tmp_path / "b" / "files").iterdir()}
    assert "CURRENT" in names and not any("key" in name for name in names)
    assert all(path.stat().st_mode & 0o77 == 0 for path in (tmp_path / "b" / "files").iterdir())
    source.sql("CREATE TABLE later (id BIGINT); CREATE SNAPSHOT TABLE s3 CLONE t;")
    destination.xcopy("s3")
    later = destination.snapshot("s3")["version"]
    lose(source)
    told = restore(source, tmp_path / "b").stdout
    assert "restored" in told and head in told
    source.cluster.start(SOURCE)
    assert versions(source) == before and rows_of(source, "t", tmp_path) == rows
    assert source.one("VERIFY SNAPSHOT s2 DEEP;")
    source.fsck()
    entry = source.sql("SELECT principal, message FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG WHERE action = 'RESTORE';")
    assert len(entry) == 1 and "is not here" in entry[0]["message"]
    destination.xcopy("s2")  # a token that was signed after the restore
    assert destination.snapshot("s2")["version"] == before["s2"]
    assert int(destination.xcopy("s1", to="s1_again")["files_moved"]) == 0
    source.xcopy("s3", source=DESTINATION)  # what was made after the cut comes back, and only what lacks moves
    assert source.snapshot("s3")["version"] == later
    source.sql("CREATE TABLE from_s3 CLONE s3;")
    destination.sql("CREATE TABLE from_s3 CLONE s3;")
    assert rows_of(source, "from_s3", tmp_path) == rows_of(destination, "from_s3", tmp_path)
    for region in pair:
        region.fsck()


def json_rows(text):
    return [json.loads(line) for line in text.splitlines()]


def test_ids_tokens_schedules_and_the_audit_log_of_an_older_state(pair, tmp_path):
    source, destination = pair
    source.sql("CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;"
               'CREATE SCHEDULE each CRON "0 1 * * *" TIMEZONE "UTC" AS BEGIN CREATE SNAPSHOT TABLE x_$[yyyymmdd] CLONE t; END;')
    backup(source, tmp_path / "b")
    destination.sql("XCOPY SNAPSHOT demo.s TO SNAPSHOT s OPTIONS(src_region=\"ap-southeast-1\");",
                    "--statement-id", "11" * 16)
    source.sql("CREATE TABLE t2 (id BIGINT); CREATE SNAPSHOT TABLE since CLONE t;")
    told = source.strait("status", "--format", "json")
    status = {row["name"]: row["value"] for row in json_rows(told)}
    known = f"{status['audit entries']}:{status['audit head']}"
    lose(source)
    restore(source, tmp_path / "b")
    fsck = subprocess.run([str(BIN / "straitd"), "--fsck", "--audit-head", known, "-c", str(source.config)],
                          capture_output=True, text=True, timeout=60)
    assert fsck.returncode == 4 and "audit" in fsck.stdout, fsck.stdout + fsck.stderr
    source.cluster.start(SOURCE)
    schedule = source.one("SHOW SCHEDULES;")
    assert schedule["state"] == "PAUSED", schedule
    assert source.refused("SELECT * FROM t2 LIMIT 1;")
    source.sql("ALTER SCHEDULE each RESUME; CREATE TABLE t3 (id BIGINT);")
    assert int(destination.xcopy("s", to="s_again")["files_moved"]) == 0


def test_a_token_that_was_used_after_the_cut_is_not_used_again(pair, tmp_path):
    """The copy is held up before its token comes to the source, which is restored meanwhile."""
    source, destination = pair
    source.sql("CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;")
    backup(source, tmp_path / "b")
    source.cluster.kill(SOURCE)
    destination.xcopy("s", wait="false")
    signed_s = int(time.time())
    while int(time.time()) == signed_s:  # tokens count seconds: the restore is in a later one
        time.sleep(0.02)
    shutil.rmtree(source.home / "data")
    restore(source, tmp_path / "b")
    source.cluster.start(SOURCE)
    row = task_ended(destination)
    assert row["state"] == "FAILED" and "restored from a backup" in json.dumps(row), row
    destination.xcopy("s")
    assert destination.snapshot("s")["version"] == source.snapshot("s")["version"]


def task_ended(region):
    deadline = time.monotonic() + SECONDS
    while (row := region.sql("SHOW TASKS;")[-1])["state"] not in ("DONE", "FAILED", "CANCELLED"):
        assert time.monotonic() < deadline, row
        time.sleep(0.1)
    return row


def test_an_xcopy_that_ran_at_the_cut_goes_on(pair, tmp_path):
    source, destination = pair
    fill(source, rows=300, partitions=2)
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")
    source.cluster.kill(SOURCE)
    destination.xcopy("s", wait="false")
    backup(destination, tmp_path / "b")
    lose(destination)
    restore(destination, tmp_path / "b")
    destination.cluster.start(DESTINATION)
    source.cluster.start(SOURCE)
    assert task_ended(destination)["state"] == "DONE"
    assert destination.snapshot("s")["version"] == source.snapshot("s")["version"]
    destination.fsck()


def test_interrupted_at_any_point_the_last_whole_backup_stands(pair, tmp_path):
    source, _ = pair
    fill(source, rows=20000)
    source.sql("CREATE SNAPSHOT TABLE s1 CLONE t;")
    folder = tmp_path / "b"
    chance = random.Random(7)
    last = None
    for turn in range(8):
        if turn == 2:
            backup(source, folder)
            last = (folder / "manifest").read_bytes()
        if turn > 2:
            fill(source, table=f"t{turn}", partitions=2, rows=20000, seed=turn)
        client = subprocess.Popen([*source.client, "backup", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            client.wait(timeout=chance.uniform(0.005, 0.12))
        except subprocess.TimeoutExpired:
            client.send_signal(signal.SIGKILL if turn % 2 else signal.SIGINT)
            client.wait(timeout=SECONDS)
        if last is None:
            assert not (folder / "manifest").exists() or "is whole" in whole(folder)
        else:
            assert "is whole" in whole(folder)
        if turn % 2:  # its client is gone: the node still has the cut, until it is started again or a minute has passed
            source.cluster.dev("restart", SOURCE)
        deadline = time.monotonic() + 180
        while tmp_of(source) != []:  # at once, but where the end overtook the beginning
            assert time.monotonic() < deadline
            time.sleep(0.1)
    backup(source, folder)
    assert "is whole" in whole(folder) and not list((folder / "files").glob("*.part"))
    before = versions(source)
    lose(source)
    restore(source, folder)
    source.cluster.start(SOURCE)
    assert versions(source) == before and counted(source, "t")["n"] == 6 * 20000


def test_what_is_wrong_is_said_and_changes_nothing(pair, tmp_path):
    source, destination = pair
    fill(source, rows=500)
    folder = tmp_path / "b"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("x")
    with pytest.raises(Failed, match="is of no backup"):
        source.strait("backup", tmp_path / "other")
    with pytest.raises(Failed, match="no whole backup"):
        source.strait("backup", "--check", tmp_path / "other")
    backup(source, folder)
    with pytest.raises(Failed, match="give another folder"):
        destination.strait("backup", folder)
    done = restore(source, folder, check=False)
    assert done.returncode == 1 and "in use by process" in done.stderr
    source.cluster.dev("stop-one", SOURCE)
    done = restore(source, folder, check=False)
    assert done.returncode == 1 and "is not empty" in done.stderr and "nothing was changed" in done.stderr
    source.cluster.start(SOURCE)
    assert counted(source, "t")["n"] == 3000
    lose(source)
    destination.cluster.dev("stop-one", DESTINATION)
    shutil.move(destination.home / "data", tmp_path / "kept")
    done = restore(destination, folder, check=False)
    assert done.returncode == 1 and f"backup of region {SOURCE}" in done.stderr
    shutil.rmtree(destination.home / "data", ignore_errors=True)
    shutil.move(tmp_path / "kept", destination.home / "data")
    for damage in ("flip", "short", "gone"):
        victim = max((folder / "files").iterdir(), key=lambda path: path.stat().st_size)
        kept = victim.read_bytes()
        if damage == "flip":
            victim.write_bytes(kept[:100] + bytes([kept[100] ^ 1]) + kept[101:])
        elif damage == "short":
            victim.write_bytes(kept[:-1])
        else:
            victim.unlink()
        with pytest.raises(Failed, match=re.escape(victim.name)) as caught:
            command(BIN / "strait", "backup", "--check", folder)
        assert caught.value.code == 1
        done = restore(source, folder, check=False)
        assert done.returncode == 1 and victim.name in done.stderr
        assert not (source.home / "data" / "db").exists() and not (source.home / "data" / "restoring").exists()
        victim.write_bytes(kept)
    restore(source, folder)
    source.cluster.start(SOURCE)
    assert counted(source, "t")["n"] == 3000


def manifest_put(folder, lines):
    """A manifest that somebody made up; its end is right."""
    text = "".join(line + "\n" for line in lines)
    digest = hashlib.blake2b(text.encode(), digest_size=32).hexdigest()
    (folder / "manifest").write_text(f"{text}end {digest}\n")


def test_a_node_that_began_anew_does_not_take_the_place_of_the_backup(cluster, tmp_path):
    """As a timer does that goes on after the region was lost and its node came up empty."""
    region, = cluster.up(SOURCE)
    fill(region, rows=500, partitions=2)
    backup(region, tmp_path / "b")
    kept = (tmp_path / "b" / "manifest").read_bytes()
    lose(region)
    region.cluster.start(SOURCE)
    with pytest.raises(Failed, match="it is another, or older"):
        region.strait("backup", tmp_path / "b")
    assert (tmp_path / "b" / "manifest").read_bytes() == kept and "is whole" in whole(tmp_path / "b")
    assert tmp_of(region) == []
    lose(region)
    restore(region, tmp_path / "b")
    region.cluster.start(SOURCE)
    assert counted(region, "t")["n"] == 1000
    backup(region, tmp_path / "b")
    assert (tmp_path / "b" / "manifest").read_bytes() != kept


def test_what_is_in_the_folder_is_not_written_through_and_not_believed(cluster, tmp_path):
    region, = cluster.up(SOURCE)
    fill(region, rows=2000, partitions=2)
    folder, elsewhere = tmp_path / "b", tmp_path / "elsewhere"
    backup(region, folder)
    victim = max((path for path in (folder / "files").iterdir() if ".sst." in path.name), key=lambda path: path.stat().st_size)
    content, part = victim.read_bytes(), victim.with_name(victim.name + ".part")
    half = content[:len(content) // 2]

    def again():
        backup(region, folder)
        assert "is whole" in whole(folder) and victim.read_bytes() == content and not part.exists()
        assert victim.stat().st_nlink == 1 and not victim.is_symlink() and victim.stat().st_mode & 0o777 == 0o600

    victim.rename(part)
    part.write_bytes(bytes(len(half)))  # as a file system may have it after a power failure
    again()
    for shared in (os.link, os.symlink):  # cp -al of an interrupted one; a link
        elsewhere.write_bytes(half)
        victim.unlink()
        shared(elsewhere, part)
        again()
        assert elsewhere.read_bytes() == half
        elsewhere.unlink()
    victim.write_bytes(content[:-1])  # of the last whole backup, and shorter since
    again()
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Failed, match="another strait backup writes there"):
            region.strait("backup", folder)
    again()


def test_a_restore_that_may_not_be_leaves_nothing(cluster, tmp_path):
    region, = cluster.up(SOURCE)
    fill(region, rows=500, partitions=2)
    folder, data = tmp_path / "b", region.home / "data"
    backup(region, folder)
    lose(region)
    kept, config, key = (folder / "manifest").read_text(), region.config.read_text(), region.home / "node.key"
    lines = kept.splitlines()[:-1]
    table = next(i for i, line in enumerate(lines) if ".sst." in line)

    def refused(words):
        done = restore(region, folder, check=False)
        assert done.returncode == 1 and re.search(words, done.stderr), done.stderr
        assert not (data / "restoring").exists() and not (data / "db").exists()

    other = re.sub(r"[0-9a-f]{16}$", "f" * 16, lines[table])
    (folder / "files" / other.split()[-1]).write_bytes((folder / "files" / lines[table].split()[-1]).read_bytes())
    manifest_put(folder, lines[:table + 1] + [other] + lines[table + 1:])
    refused("has .*sst twice")
    manifest_put(folder, [line for line in lines if "CURRENT" not in line])
    refused("it is no database")
    manifest_put(folder, [f"cut {int(time.time() * 1000) + 3600000}" if line.startswith("cut ") else line for line in lines])
    refused("set the clock")
    (folder / "manifest").write_text(kept)
    region.config.write_text(re.sub(r"(?m)^disk_reserve.*\n", "", config) + 'disk_reserve = "8000TiB"\n')
    refused("are needed")
    region.config.write_text(config)
    own = key.read_bytes()
    key.unlink()
    command(BIN / "strait", "keygen", key)
    refused("belongs to the node with key")
    key.write_bytes(own)
    region.cluster.start(SOURCE)  # as if there had been no restore
    lose(region)
    restore(region, folder)
    region.cluster.start(SOURCE)
    assert counted(region, "t")["n"] == 1000


@pytest.mark.parametrize("point", ["restore.copied:3", "restore.settled", "restore.placed"])
def test_a_restore_killed_at(cluster, tmp_path, point):
    region, = cluster.up(SOURCE)
    fill(region, rows=500, partitions=2)
    backup(region, tmp_path / "b")
    lose(region)
    done = restore(region, tmp_path / "b", check=False, env={"STRAIT_CRASH": point})
    assert done.returncode == -signal.SIGKILL
    if point == "restore.placed":
        assert "is not empty" in restore(region, tmp_path / "b", check=False).stderr
    else:
        with pytest.raises(Failed, match="a restore was ended before its end"):
            region.cluster.start(SOURCE)
        restore(region, tmp_path / "b")
    region.cluster.start(SOURCE)
    assert not (region.home / "data" / "restoring").exists()
    assert counted(region, "t")["n"] == 1000
    region.fsck()


def test_only_operators_back_up_and_it_is_in_the_audit_log(cluster, tmp_path):
    region, = cluster.up(SOURCE)
    key = tmp_path / "ann.key"
    command(BIN / "strait", "keygen", key)
    line = command(BIN / "strait", "pubkey", "--for", SOURCE, "ALIYUN$ann", key).strip()
    region.sql(f"CREATE ACCOUNT ALIYUN$ann PUBLIC KEY '{line}';")
    config = tmp_path / "ann.conf"
    config.write_text(re.sub(r"key_file = .*", f'key_file = "{key}"', (region.home / "strait.conf").read_text()))
    done = subprocess.run([str(BIN / "strait"), "-c", str(config), "backup", str(tmp_path / "b")], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1 and "is not an operator of this region" in done.stderr, done.stderr
    backup(region, tmp_path / "b")
    rows = region.sql("SELECT principal, outcome FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG "
                      "WHERE action IN ('BACKUP', 'backup') ORDER BY sequence;")
    assert [row["principal"] for row in rows] == ["ALIYUN$ann", "ALIYUN$root"] and rows[1]["outcome"] == "OK", rows


def stopped_in_mid_backup(region, folder, tries=20):
    """A client that was stopped when the cut stood and it had next to nothing of it."""
    for turn in range(tries):
        client = subprocess.Popen([*region.client, "backup", str(folder / f"b{turn}")], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True)
        while client.poll() is None and tmp_of(region) != ["checkpoint"]:
            time.sleep(0.001)
        client.send_signal(signal.SIGSTOP)
        while client.poll() is None and " T " not in Path(f"/proc/{client.pid}/stat").read_text():
            time.sleep(0.001)
        if client.poll() is None and not (folder / f"b{turn}" / "manifest").exists() and \
                sum(path.stat().st_size for path in (folder / f"b{turn}").glob("files/*")) < 4e6:
            return client, folder / f"b{turn}"
        client.send_signal(signal.SIGCONT)
        client.communicate(timeout=SECONDS)
    pytest.fail("no client was stopped in time")


def test_an_operator_who_is_none_any_more_gets_no_more(cluster, tmp_path):
    """More than what is in flight is still to come when the key goes, without a restart."""
    region, = cluster.up(SOURCE)
    rows = tmp_path / "rows.csv"
    rows.write_text("".join(f"{i},{random.Random(i).randbytes(60).hex()}\n" for i in range(300000)))
    region.sql("CREATE TABLE big (id BIGINT, note STRING);")
    region.upload(rows, "big")
    client, folder = stopped_in_mid_backup(region, tmp_path)
    key = tmp_path / "other.key"
    command(BIN / "strait", "keygen", key)
    other = command(BIN / "strait", "pubkey", key).strip()
    region.config.write_text(re.sub(r"operator_keys = .*", f'operator_keys = {{"{other}"}}', region.config.read_text()))
    os.kill(region.pid, signal.SIGHUP)
    deadline = time.monotonic() + SECONDS
    while True:
        with pytest.raises(Failed) as refused:  # while it is an operator: that a backup is under way
            region.strait("backup", tmp_path / "second")
        if "is not an operator of this region" in refused.value.stderr:
            break
        assert time.monotonic() < deadline, refused.value
        time.sleep(0.05)
    client.send_signal(signal.SIGCONT)
    told = client.communicate(timeout=SECONDS)[1]
    assert client.returncode == 1 and "is not an operator of this region" in told, told
    assert not (folder / "manifest").exists()


# ---- a lost region, a changed key ----

def change_key(region, others):
    """A new key for the node, as docs/operations.md says; the node is stopped. Returns the former one."""
    client = region.home / "strait.conf"
    former = re.search(r'node_key = "([^"]+)"', client.read_text())[1]
    (region.home / "node.key").unlink()
    command(BIN / "strait", "keygen", region.home / "node.key")
    now = command(BIN / "strait", "pubkey", region.home / "node.key").strip()
    client.write_text(client.read_text().replace(former, now))
    region.config.write_text(f'former_keys = {{"{former}"}}\n' + region.config.read_text())
    for other in others:
        other.cluster.dev("stop-one", other.name)
        other.config.write_text(other.config.read_text().replace(f'key = "{former}"',
                                                                 f'key = "{now}"\n    former_keys = {{"{former}"}}'))
        other.cluster.start(other.name)
    return former


def refill(region, other, *words):
    done = subprocess.run([*region.client, "refill", "--from", str(other.home / "strait.conf"), *words], capture_output=True,
                          text=True, timeout=300)
    return done


def test_a_lost_region_is_refilled_from_the_other_under_a_new_key(pair, tmp_path):
    source, destination = pair
    fill(source, rows=400)
    source.sql("CREATE SNAPSHOT TABLE s1 CLONE t; INSERT INTO t PARTITION(p=0) VALUES (9999,'more'); CREATE SNAPSHOT TABLE s2 CLONE t;")
    destination.xcopy("s1", expiration_timestamp="TIMESTAMP '2999-01-01 00:00:00'")
    destination.xcopy("s2")
    destination.sql("CREATE TABLE own (id BIGINT); INSERT INTO own VALUES (7); CREATE SNAPSHOT TABLE its_own CLONE own;")
    wanted, rows = versions(destination), rows_of(source, "t", tmp_path)
    lose(source)
    change_key(source, [destination])
    source.cluster.start(SOURCE)
    done = refill(source, destination)
    assert done.returncode == 1 and "demo" in done.stderr, done.stderr  # the operator has not made the project yet
    source.sql("CREATE PROJECT demo; USE demo; CREATE TABLE x (id BIGINT); INSERT INTO x VALUES (1); CREATE SNAPSHOT TABLE its_own CLONE x;")
    done = refill(source, destination, "--dry-run")
    assert done.returncode == 1 and done.stdout.count("XCOPY SNAPSHOT") == 2 and "other content" in done.stderr
    assert set(versions(source)) == {"its_own"}
    source.sql("DROP SNAPSHOT TABLE its_own;")
    done = refill(source, destination)
    assert done.returncode == 0 and "3 snapshots came" in done.stderr, done.stderr
    assert versions(source) == wanted
    assert source.snapshot("s1")["expires"].startswith("2999") and source.snapshot("s2")["expires"] is None
    assert source.snapshot("s1")["origin_region"] == SOURCE and source.snapshot("its_own")["origin_region"] == DESTINATION
    assert source.one("VERIFY SNAPSHOT s1 DEEP;")
    done = refill(source, destination)
    assert done.returncode == 0 and "0 snapshots came" in done.stderr and "3 were here" in done.stderr
    source.sql("CREATE TABLE t CLONE demo.t TIMESTAMP AS OF '2998-01-01 00:00:00';")  # its own by its former key
    assert rows_of(source, "t", tmp_path) == rows
    source.sql("INSERT INTO t PARTITION(p=1) VALUES (10000,'goes on'); CREATE SNAPSHOT TABLE s3 CLONE t;")
    destination.xcopy("s3")
    assert destination.snapshot("s3")["version"] == source.snapshot("s3")["version"]


def test_a_former_key_that_is_not_configured_is_refused(pair):
    source, destination = pair
    fill(source, rows=100, partitions=2)
    source.sql("CREATE SNAPSHOT TABLE s1 CLONE t;")
    destination.xcopy("s1")
    lose(source)
    former = change_key(source, [destination])
    text = source.config.read_text()
    source.config.write_text(text.replace(f'former_keys = {{"{former}"}}\n', "", 1))
    source.cluster.start(SOURCE)
    source.sql("CREATE PROJECT demo;")
    done = refill(source, destination)
    assert done.returncode == 1 and "made by a node that is not known here" in done.stderr, done.stderr
    source.cluster.dev("stop-one", SOURCE)
    theirs = re.search(r'node_key = "([^"]+)"', (destination.home / "strait.conf").read_text())[1]
    for bad, words in ((former[:-3] + "xyz", "former_keys"), (theirs, f"is the key of peer {DESTINATION}"), (command(BIN / "strait", "pubkey", source.home / "node.key").strip(),
                                                              "is the key of key_file")):
        source.config.write_text(f'former_keys = {{"{bad}"}}\n' + text.split("\n", 1)[1])
        with pytest.raises(Failed, match=words):
            command(BIN / "straitd", "--check", "-c", source.config)
    source.config.write_text(text)
    source.cluster.start(SOURCE)
    assert refill(source, destination).returncode == 0


def test_a_living_node_changes_its_key(pair, tmp_path):
    source, destination = pair
    fill(source, rows=400)
    source.sql("CREATE SNAPSHOT TABLE s1 CLONE t;")
    destination.xcopy("s1")
    backup(source, tmp_path / "b")
    source.cluster.dev("stop-one", SOURCE)
    former = change_key(source, [destination])
    text = source.config.read_text()
    source.config.write_text(text.split("\n", 1)[1])
    with pytest.raises(Failed, match="belongs to the node with key"):
        source.cluster.start(SOURCE)
    source.config.write_text(text)
    source.cluster.start(SOURCE)
    assert int(destination.xcopy("s1", to="s1_again")["files_moved"]) == 0  # made with the former key
    source.sql("INSERT INTO t PARTITION(p=0) VALUES (9999,'more'); CREATE SNAPSHOT TABLE s2 CLONE t;")
    destination.xcopy("s2")
    source.sql("DROP SNAPSHOT TABLE s1;")
    source.xcopy("s1", source=DESTINATION)
    receipts = source.sql("SELECT region FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.SNAPSHOT_RECEIPTS;")
    assert receipts and all(row["region"] == DESTINATION for row in receipts)
    receipts = destination.sql("SELECT region FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.SNAPSHOT_RECEIPTS;")
    assert receipts and all(row["region"] == SOURCE for row in receipts)
    lose(source)  # and the backup of before is taken under the new key
    restore(source, tmp_path / "b")
    source.cluster.start(SOURCE)
    assert refill(source, destination).returncode == 0
    assert versions(source) | {"s1_again": None} == versions(destination) | {"s1_again": None}
    assert former not in (source.home / "data" / "store").read_text()
    for region in pair:
        region.fsck()
