"""Snapshots as backups, on a live pair: holds, ends, recovery to a point in time at both sides, and the way back."""
import subprocess
import time
from datetime import datetime, timedelta, timezone

from conftest import BIN, DESTINATION, SOURCE, command
from test_accounts import Principal, proof

SECONDS = 60


def stamp(seconds_from_now=0):
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds_from_now)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def names(region, project="demo"):
    return sorted(row["snapshot"] for row in region.sql(f"SHOW SNAPSHOT TABLES IN {project};"))


def gone(region, name):
    """CLEANUP takes what has expired."""
    deadline = time.monotonic() + SECONDS
    while name in names(region):
        assert time.monotonic() < deadline, names(region)
        region.sql("CLEANUP;")


def told(region, text):
    """What a statement that succeeds says beside its rows."""
    return subprocess.run([*region.client, "sql", "-e", text], capture_output=True, text=True, check=True, timeout=60).stderr


def counted(region, table):
    return region.one(f"SELECT COUNT(*) AS n, SUM(id) AS total FROM {table};")


def orders(source, partitions=8, rows=2000):
    """A table of partitions, each of files of its own."""
    source.sql("CREATE TABLE orders (id BIGINT, note STRING) PARTITIONED BY (p BIGINT);")
    for p in range(partitions):
        values = ",".join(f"({p * rows + i},'order {p} {i * 7919 % 104729}')" for i in range(rows))
        source.strait("sql", "-f", "-", stdin=f"INSERT INTO orders PARTITION(p={p}) VALUES {values};")


def test_a_held_replica_outlives_everything_but_its_release(pair):
    source, destination = pair
    source.sql("CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;"
               "INSERT INTO t VALUES (2); CREATE SNAPSHOT TABLE s2 CLONE t;")
    ends = stamp(3)
    destination.xcopy("s", expiration_timestamp=f"TIMESTAMP '{ends}'")
    assert destination.snapshot("s")["expires"].startswith(ends[:19]) and source.snapshot("s")["expires"] is None
    destination.sql("ALTER SNAPSHOT TABLE s HOLD;")
    held = destination.snapshot("s")
    assert held["held_by"] == "ALIYUN$root" and held["held_since"]
    assert source.snapshot("s")["held_by"] is None  # a replica's hold is the replica's
    time.sleep(3.5)
    destination.sql("CLEANUP;")
    for statement in ("DROP SNAPSHOT TABLE s;", "DROP SNAPSHOT TABLE IF EXISTS s;",
                      f'XCOPY SNAPSHOT demo.s2 TO SNAPSHOT s OPTIONS(src_region="{SOURCE}");',
                      f'EXPLAIN XCOPY SNAPSHOT demo.s2 TO SNAPSHOT s OPTIONS(src_region="{SOURCE}");'):
        words = destination.refused(statement)
        assert "snapshot s is held by ALIYUN$root since 20" in words and "ALTER SNAPSHOT TABLE s RELEASE" in words
    destination.cluster.kill(DESTINATION)
    destination.cluster.start(DESTINATION)
    destination.sql("CLEANUP;")
    assert destination.snapshot("s")["version"] == held["version"] == source.snapshot("s")["version"]
    source.sql("DROP SNAPSHOT TABLE s;")  # the replica is its own
    assert "s has expired while it was held" in told(destination, "ALTER SNAPSHOT TABLE s RELEASE;")
    gone(destination, "s")
    audit = destination.sql("SELECT action, statement FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG WHERE object = 's' "
                            "AND action IN ('ALTER SNAPSHOT TABLE', 'SNAPSHOT EXPIRED') ORDER BY sequence;")
    assert [(row["action"], row["statement"]) for row in audit] == [
        ("ALTER SNAPSHOT TABLE", "ALTER SNAPSHOT TABLE s HOLD"), ("ALTER SNAPSHOT TABLE", "ALTER SNAPSHOT TABLE s RELEASE"),
        ("SNAPSHOT EXPIRED", None)]


def test_what_expires_is_changed_and_taken_back(pair):
    source, _ = pair
    source.sql("CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1);"
               f"CREATE SNAPSHOT TABLE kept CLONE t OPTIONS(expiration_timestamp=TIMESTAMP '{stamp(2)}');"
               f"CREATE SNAPSHOT TABLE ends CLONE t OPTIONS(expiration_timestamp=TIMESTAMP '{stamp(2)}', description='short');"
               "ALTER SNAPSHOT TABLE kept SET OPTIONS(expiration_timestamp=NULL);")
    gone(source, "ends")
    assert names(source) == ["kept"]
    source.sql(f"ALTER SNAPSHOT TABLE kept SET OPTIONS(expiration_timestamp=TIMESTAMP '{stamp(1)}');")
    gone(source, "kept")
    assert "later than now" in source.refused("CREATE SNAPSHOT TABLE s CLONE t OPTIONS(expiration_timestamp='2001-01-01');")


def test_recovery_at_both_sides_and_the_way_back(pair):
    """The region is lost: the backup's table is restored there, goes on, and comes back as what differs."""
    source, destination = pair
    orders(source)
    source.sql("CREATE SNAPSHOT TABLE orders_1 CLONE orders;")
    first = counted(source, "orders_1")
    between = stamp()
    source.sql("INSERT INTO orders PARTITION(p=0) VALUES (1000000, 'late'); CREATE SNAPSHOT TABLE orders_2 CLONE orders;"
               "DROP TABLE orders;")
    for name in ("orders_1", "orders_2"):
        destination.xcopy(name)
    made = source.snapshot("orders_1")["created"]

    # at home: by its own name, though it is dropped; said with which, and how far off
    row = source.one(f"CREATE TABLE orders CLONE orders TIMESTAMP AS OF '{between}';")
    assert (row["project"], row["snapshot"], row["origin_region"], row["created"]) == ("demo", "orders_1", SOURCE, made)
    assert 0 <= row["seconds_before"] < 60 and counted(source, "orders") == first
    # in the backup region there is no such table: by what it is at its origin
    words = destination.refused(f"CREATE TABLE orders CLONE orders TIMESTAMP AS OF '{between}';")
    assert "no snapshot here is of table demo.orders" in words and "write project.table" in words
    row = destination.one(f"CREATE TABLE orders CLONE demo.orders IN REGION '{SOURCE}' TIMESTAMP AS OF '{between}';")
    assert row["snapshot"] == "orders_1" and row["origin_region"] == SOURCE and counted(destination, "orders") == first
    words = told(destination, "CREATE OR REPLACE TABLE orders CLONE demo.orders TIMESTAMP AS OF '2100-01-01';")
    assert f"taken from demo.orders_2, made in {SOURCE} at 20" in words and " d " in words and "before the time asked for" in words
    words = destination.refused("CREATE TABLE o CLONE demo.orders TIMESTAMP AS OF '2001-01-01';")
    assert "the oldest one, orders_1, was made at" in words

    # business goes on there; a snapshot of it goes home
    destination.sql("INSERT INTO orders PARTITION(p=3) VALUES (2000000, 'made in the backup region');"
                    "ALTER TABLE orders DROP PARTITION (p=7); CREATE SNAPSHOT TABLE orders_back CLONE orders;")
    moved = source.xcopy("orders_back", source=DESTINATION)
    assert moved["state"] == "DONE" and moved["partitions_total"] == 7
    assert moved["partitions_moved"] == 1 and 0 < moved["files_moved"] <= 2  # the new segment's; the rest was here
    assert moved["bytes_skipped"] > 20 * moved["bytes_moved"]
    assert source.snapshot("orders_back")["version"] == destination.snapshot("orders_back")["version"]
    back = counted(destination, "orders")
    # two regions have snapshots of a table of that name here now: one has to be said
    words = source.refused("CREATE OR REPLACE TABLE orders CLONE demo.orders TIMESTAMP AS OF '2100-01-01';")
    assert f"IN REGION '{SOURCE}'" in words and f"IN REGION '{DESTINATION}'" in words
    source.sql(f"CREATE OR REPLACE TABLE orders CLONE demo.orders IN REGION '{DESTINATION}' TIMESTAMP AS OF '2100-01-01';")
    assert counted(source, "orders") == back
    # and what is made at home from then on goes out the same way
    source.sql("INSERT INTO orders PARTITION(p=4) VALUES (3000000, 'home again'); CREATE SNAPSHOT TABLE orders_4 CLONE orders;")
    moved = destination.xcopy("orders_4")
    assert moved["partitions_moved"] == 1 and moved["files_moved"] <= 2
    for region in pair:
        assert "0 faults" in region.fsck()


def test_strangers_learn_nothing_of_snapshots(pair, tmp_path):
    """Another account, a user of the project without rights: what is there and what is not is told in the same words."""
    source, _ = pair
    key = tmp_path / "b.key"
    command(BIN / "strait", "keygen", key)
    source.sql(f"CREATE ACCOUNT ALIYUN$b PUBLIC KEY '{proof(source, 'ALIYUN$b', key)}'; CREATE PROJECT pb OWNER ALIYUN$b;"
               "CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;"
               "ALTER SNAPSHOT TABLE s HOLD;")
    stranger = Principal(source, key)

    def same(form, there, absent):
        told = [stranger.refused(form.format(name)).replace(f"demo.{name}", "?") for name in (there, absent)]
        assert told[0] == told[1], told

    forms = ("DROP SNAPSHOT TABLE demo.{};", "ALTER SNAPSHOT TABLE demo.{} HOLD;", "ALTER SNAPSHOT TABLE demo.{} RELEASE;",
             "ALTER SNAPSHOT TABLE demo.{} SET OPTIONS(expiration_timestamp=NULL);")
    recoveries = ("CREATE TABLE pb.r CLONE demo.{} TIMESTAMP AS OF '2100-01-01';",
                  f"CREATE TABLE pb.r CLONE demo.{{}} IN REGION '{SOURCE}' TIMESTAMP AS OF '2100-01-01';")
    for member in (False, True):
        if member:
            source.sql("USE demo; ADD USER ALIYUN$b;")
        for form in forms:
            same(form, "s", "x")
        for form in recoveries:
            same(form, "t", "x")
    source.sql("USE demo; GRANT Select ON TABLE s TO USER ALIYUN$b;")
    assert stranger.one("CREATE TABLE pb.r CLONE demo.t TIMESTAMP AS OF '2100-01-01';")["snapshot"] == "s"
