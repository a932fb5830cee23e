"""The page's own checks, as it prints them: the copies of a day in INFORMATION_SCHEMA of the backup region, and the
checksum of a snapshot in both regions, against a computation of its own here."""
import hashlib
import os
import re
import subprocess
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pytest

from conftest import BIN, DESTINATION, SOURCE, Cluster, command, read_csv, write_csv
from test_accounts import Principal, proof

VIEW = "SYSTEM_CATALOG.INFORMATION_SCHEMA"

# As printed; <dest_project> stands for a quoted name.
COUNTED = ("SET odps.namespace.schema=true; SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.tables WHERE table_catalog = "
           "'{project}' AND table_type = 'SNAPSHOT_TABLE' AND table_name LIKE \"%_snapshot_{day}\";")
CHECKED = ("WITH table_hashs AS ( SELECT COUNT(1) row_count, MD5( SUM( MD5( CONCAT_WS('|', {columns}) ) ) ) AS bucket_hash "
           "FROM {table} GROUP BY HASH({first}) % 1000 ) SELECT SUM(row_count) AS row_count, MD5(WM_CONCAT(',', bucket_hash "
           ") WITHIN GROUP (ORDER BY bucket_hash)) AS table_hash FROM table_hashs;")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("schema") / "cluster")
    yield made.up(SOURCE, DESTINATION)
    made.end()


# ---- the documented functions, written again ----

def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def wrapped(number):
    """To 64 bits with a sign."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def hash_of(value):
    """HASH of one argument: a number itself, a text the polynomial of its signed bytes, NULL 0."""
    if not isinstance(value, str):
        return value or 0
    total = 0
    for byte in value.encode():
        total = total * 31 + (byte - 256 if byte > 127 else byte)
    return wrapped(total)


def remainder(number, divisor):
    """With the sign of the number, as % has it in SQL."""
    return -(-number % divisor) if number < 0 else number % divisor


def leading_number(text):
    whole = re.fullmatch(r"([+-]?(?:\d+\.?\d*|\.\d+))[eE]([+-]?\d+)", text)
    if whole and float(text) != float("inf"):
        return Fraction(whole[1]) * Fraction(10) ** int(whole[2])
    found = re.match(r"[+-]?(?:\d+\.?\d*|\.\d+)", text)
    return Fraction(found[0]) if found else Fraction(0)


def worth(row):
    return leading_number(md5("|".join(str(value) for value in row)))


def checksum(rows):
    """What the query gives for rows of int, str and None."""
    buckets = defaultdict(lambda: [0, None])
    for row in rows:
        bucket = buckets[remainder(hash_of(row[0]), 1000)]
        bucket[0] += 1
        if None not in row:
            bucket[1] = (bucket[1] or 0) + worth(row)
    assert all(total is None or total.denominator == 1 for _, total in buckets.values())
    hashes = sorted(md5(str(int(total))) for _, total in buckets.values() if total is not None)
    return {"row_count": sum(count for count, _ in buckets.values()), "table_hash": md5(",".join(hashes)) if hashes else None}


def checked(region, table, *columns):
    return region.one(CHECKED.format(columns=", ".join(columns), first=columns[0], table=table))


# ---- the copies of a day ----

def test_the_copies_of_a_day_are_counted_where_they_went(pair):
    source, destination = pair
    source.sql("CREATE TABLE a (id BIGINT); INSERT INTO a VALUES (1), (2); CREATE TABLE b (id BIGINT) PARTITIONED BY (ds "
               "STRING); INSERT INTO b PARTITION (ds='x') VALUES (1);")
    for name in "ab":
        source.sql(f"CREATE SNAPSHOT TABLE {name}_snapshot_20260101 CLONE {name};"
                   f"CREATE SNAPSHOT TABLE {name}_snapshot_20260102 CLONE {name};")
    count = COUNTED.format(project="demo", day="20260101")
    assert destination.sql(count) == []
    for number, name in enumerate("ab"):
        destination.xcopy(f"{name}_snapshot_20260101")
        assert len(destination.sql(count)) == number + 1  # at once, not hours later
    rows = {row["table_name"]: row for row in destination.sql(count)}
    assert sorted(rows) == ["a_snapshot_20260101", "b_snapshot_20260101"]
    for name, row in rows.items():
        made = source.snapshot(name)
        assert row["table_catalog"] == "demo" and row["table_schema"] == "default"
        assert row["version"] == made["version"] and row["row_count"] == made["row_count"]
        assert row["origin_region"] == SOURCE and row["snapshot_time"] == made["created"]
        assert row["is_partitioned"] is (name[0] == "b") and (row["data_length"] is None) is (name[0] == "b")
    assert len(source.sql(count)) == 2 and len(source.sql(COUNTED.format(project="demo", day="20260102"))) == 2
    assert destination.sql(COUNTED.format(project="other", day="20260101")) == []
    destination.sql("DROP SNAPSHOT TABLE a_snapshot_20260101;")
    assert [row["table_name"] for row in destination.sql(count)] == ["b_snapshot_20260101"]


def test_any_character_stands_for_the_underscore_of_like(pair):
    source, _ = pair
    source.sql("CREATE TABLE c (id BIGINT); CREATE SNAPSHOT TABLE cXsnapshotX20270101 CLONE c;")
    assert len(source.sql(COUNTED.format(project="demo", day="20270101"))) == 1
    like = f"SELECT table_name FROM {VIEW}.TABLES WHERE table_catalog = 'demo' AND table_name LIKE "
    assert source.sql(like + "'%\\\\_snapshot\\\\_20270101';") == []
    assert len(source.sql(like + "'%X%X20270101';")) == 1


def test_views_say_what_show_and_desc_say(pair):
    source, _ = pair
    source.sql("CREATE TABLE d (id BIGINT NOT NULL COMMENT 'k', v STRING) COMMENT 'c' PARTITIONED BY (ds STRING, hh BIGINT) "
               "CLUSTERED BY (id) INTO 4 BUCKETS LIFECYCLE 10;")
    source.sql("INSERT INTO d PARTITION (ds='1', hh=2) VALUES (1, 'x'); INSERT INTO d PARTITION (ds='1', hh=3) VALUES (2, 'y');")
    of = "WHERE table_catalog = 'demo' AND table_name = 'd'"
    table = source.one(f"SELECT * FROM {VIEW}.TABLES {of};")
    shown = next(row for row in source.sql("SHOW TABLES;") if row["table"] == "d")
    assert (table["create_time"], table["last_modified_time"], table["row_count"]) == (
        shown["created"], shown["modified"], shown["row_count"])
    assert (table["life_cycle"], table["table_comment"], table["cluster_type"], table["number_buckets"]) == (10, "c", "HASH", 4)
    parts = source.sql(f"SELECT * FROM {VIEW}.PARTITIONS {of} ORDER BY partition_name;")
    assert [row["partition_name"] for row in parts] == ["ds='1',hh='2'", "ds='1',hh='3'"]
    listed = source.sql("SHOW PARTITIONS d;")
    assert [(row["data_length"], row["row_count"], row["last_modified_time"]) for row in parts] == [
        (row["bytes"], row["row_count"], row["modified"]) for row in listed]
    columns = source.sql(f"SELECT * FROM {VIEW}.COLUMNS {of} ORDER BY ordinal_position;")
    described = source.sql("DESC d;")
    assert [(row["column_name"], row["data_type"], row["is_nullable"], row["is_partition_key"], row["column_comment"] or "")
            for row in columns] == [(row["name"], row["type"], row["nullable"], row["partition_column"], row["comment"])
                                    for row in described]


# ---- who sees what ----

def granted(rows):
    """(who, table, action) of SHOW GRANTS and SHOW ACL; All is each of a table's."""
    found = set()
    for row in rows:
        table = re.fullmatch(r"projects/[^/]+/tables/(.+)", row["object"])
        if table and row["grantee"] not in ("role/project_owner", "role/admin", "user/object_creator"):
            actions = row["actions"].split(" | ")
            found |= {(row["grantee"], table[1], action) for action in actions}
    return found


def privileges(principal):
    rows = principal.sql(f"SELECT * FROM {VIEW}.TABLE_PRIVILEGES WHERE table_catalog = 'held';")
    return {(row["user_name"] if row["user_name"].startswith("role/") else "user/" + row["user_name"], row["table_name"],
             row["privilege_type"]) for row in rows}


def test_privileges_are_those_that_show_grants_and_show_acl_list(pair, tmp_path):
    root = pair[1]
    keys = {name: tmp_path / f"{name}.key" for name in ("a", "b", "u")}
    for path in keys.values():
        command(BIN / "strait", "keygen", path)
    for name in "ab":
        root.sql(f"CREATE ACCOUNT ALIYUN${name} PUBLIC KEY '{proof(root, f'ALIYUN${name}', keys[name])}';")
    root.sql("CREATE PROJECT held OWNER ALIYUN$a;")
    a, b, u = (Principal(root, keys[name]) for name in "abu")
    a.sql(f"CREATE USER RAM$a:u PUBLIC KEY '{proof(root, 'RAM$a:u', keys['u'])}';")
    a.sql("USE held; CREATE TABLE t (i BIGINT); CREATE TABLE w (i BIGINT); CREATE SNAPSHOT TABLE s CLONE t; ADD USER RAM$a:u;"
          "CREATE ROLE reader; GRANT reader TO RAM$a:u; GRANT Select, Describe ON TABLE t TO ROLE reader;"
          "GRANT Update ON TABLE t TO USER RAM$a:u; GRANT Drop ON TABLE s TO USER RAM$a:u; GRANT Select ON TABLE w TO ROLE reader;"
          "CREATE ROLE idle; GRANT Alter ON TABLE w TO ROLE idle;")
    acl = set().union(*(granted(a.sql(f"USE held; SHOW ACL FOR {table};")) for table in "tws"))
    assert privileges(a) == acl and len(acl) == 6
    own = granted(u.sql("USE held; SHOW GRANTS;"))
    assert privileges(u) == own == acl - {("role/idle", "w", "Alter")}
    names = [row["table_name"] for row in u.sql(f"SELECT table_name FROM {VIEW}.TABLES WHERE table_catalog = 'held' ORDER BY 1;")]
    assert names == ["s", "t", "w"]
    assert {row["table_name"] for row in u.sql(f"SELECT table_name FROM {VIEW}.COLUMNS WHERE table_catalog = 'held';")} == {"t"}
    for stranger in (b, root):
        assert privileges(stranger) == set()
        for view in ("TABLES", "PARTITIONS", "COLUMNS"):
            assert stranger.sql(f"SELECT count(*) n FROM {VIEW}.{view} WHERE table_catalog = 'held';") == [{"n": 0}]
    users = {row["user_name"]: row for row in a.sql(f"SELECT * FROM {VIEW}.USERS;")}
    assert sorted(users) == ["ALIYUN$a", "RAM$a:u"]
    assert (users["RAM$a:u"]["user_catalog"], users["RAM$a:u"]["user_schema"]) == ("RAM", "ALIYUN$a")
    assert [row["user_name"] for row in b.sql(f"SELECT user_name FROM {VIEW}.USERS;")] == ["ALIYUN$b"]


# ---- the checksum ----

def rows_of(rng, count):
    """Numbers of both signs, texts of several scripts, and so many rows that some digests begin with many digits."""
    texts = ["", "x", "a|b", "é", "漢字", "long " * 20]
    return [(rng.randrange(-(1 << 63), 1 << 63) if rng.random() < 0.5 else rng.randrange(-500, 500),
             rng.choice(texts) + str(rng.randrange(count)), rng.randrange(1 << 40)) for _ in range(count)]


def test_the_checksum_is_the_documented_one_in_any_order_layout_and_region(pair, tmp_path, rng):
    source, destination = pair
    columns = ("id", "s", "n")
    rows = rows_of(rng, 20000)
    table = "(id BIGINT, s STRING, n BIGINT)"
    source.sql(f"CREATE TABLE r {table}; CREATE TABLE shuffled {table} CLUSTERED BY (s) SORTED BY (n) INTO 8 BUCKETS;")
    source.upload(write_csv(tmp_path / "r.csv", rows), "r")
    rng.shuffle(rows)
    for part in (rows[:7000], rows[7000:]):
        source.upload(write_csv(tmp_path / "part.csv", part), "shuffled")
    source.sql("CREATE SNAPSHOT TABLE r_1 CLONE r;")
    destination.xcopy("r_1")
    want = checksum(rows)
    for region, name in ((source, "r"), (source, "shuffled"), (source, "r_1"), (destination, "r_1")):
        assert checked(region, name, *columns) == want, name
    changed = next(row for row in rows if worth(row) != worth((row[0], "changed", row[2])))  # of 100 rows, 14 are not
    source.sql(f"CREATE TABLE other AS SELECT id, CASE WHEN id = {changed[0]} AND n = {changed[2]} THEN 'changed' ELSE s END s, n "
               "FROM r;")
    with_one = [(i, "changed" if (i, n) == (changed[0], changed[2]) else s, n) for i, s, n in rows]
    assert checked(source, "other", *columns) == checksum(with_one)
    assert checksum(with_one)["table_hash"] != want["table_hash"]


def test_what_the_checksum_cannot_see(pair):
    """A row with a NULL counts and is not summed; no delimiter is escaped; a third of the digests are worth nothing."""
    source, _ = pair
    source.sql("CREATE TABLE n1 (a STRING, b STRING); CREATE TABLE n2 (a STRING, b STRING);"
               "INSERT INTO n1 VALUES ('k', 'v'), ('k', NULL), ('x|y', 'z'); INSERT INTO n2 VALUES ('k', 'v'), (NULL, 'other'), "
               "('x', 'y|z');")
    first, second = [("k", "v"), ("k", None), ("x|y", "z")], [("k", "v"), (None, "other"), ("x", "y|z")]
    assert checked(source, "n1", "a", "b") == checksum(first) == checked(source, "n2", "a", "b") == checksum(second)
    nothing = next(i for i in range(100) if md5(f"{i}|{i}")[0] in "abcdef")
    source.sql(f"CREATE TABLE n3 (a BIGINT, b BIGINT); INSERT INTO n3 VALUES ({nothing}, {nothing});")
    assert checked(source, "n3", "a", "b") == {"row_count": 1, "table_hash": md5(md5("0"))}
    source.sql("CREATE TABLE n4 (a BIGINT, b STRING); INSERT INTO n4 VALUES (1, NULL);")
    assert checked(source, "n4", "a", "b") == {"row_count": 1, "table_hash": None}




def test_the_checksum_of_the_public_data_in_both_regions(pair, tmp_path):
    data = os.environ.get("STRAIT_TEST_DATA")
    if not data:
        pytest.skip("STRAIT_TEST_DATA is not set")
    source, destination = pair
    source.sql("CREATE TABLE covid (Country STRING, Confirmed BIGINT, Recovered BIGINT, Deaths BIGINT) PARTITIONED BY "
               "(Date STRING);")
    path = Path(data) / "covid19" / "countries-aggregated.2021-02-10.csv.zst"
    source.upload(path, "covid", "-acp=true", "-h=true")
    source.sql("CREATE SNAPSHOT TABLE covid_1 CLONE covid;")
    destination.xcopy("covid_1")
    plain = tmp_path / "covid.csv"
    plain.write_bytes(subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout)
    head, *lines = read_csv(plain)
    at = [head.index(name) for name in ("Country", "Date", "Confirmed", "Recovered", "Deaths")]
    rows = [tuple(int(line[i]) if n > 1 else line[i] for n, i in enumerate(at)) for line in lines]
    want = checksum(rows)
    assert want["row_count"] == len(lines) > 70000
    for region in pair:
        assert checked(region, "covid_1", "Country", "Date", "Confirmed", "Recovered", "Deaths") == want
    assert destination.sql(f"SELECT count(*) n, sum(data_length) > 0 b FROM {VIEW}.PARTITIONS WHERE table_catalog = 'demo' AND "
                           "table_name = 'covid_1';") == [{"n": len({row[1] for row in rows}), "b": True}]
