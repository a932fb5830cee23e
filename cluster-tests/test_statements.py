"""The everyday statements, as a user types them."""
import json

import pytest

from conftest import Failed


@pytest.fixture
def region(cluster):
    return cluster.up("ap-southeast-1")[0]


def test_types_and_nulls_come_back(region):
    region.sql("CREATE TABLE t (a BIGINT, b INT, c DOUBLE, d DECIMAL(38,18), e STRING, f BOOLEAN, g DATE, h DATETIME);"
               "INSERT INTO t VALUES (9223372036854775807, -2147483648, 0.1, 12345678901234567890.123456789012345678BD, "
               "'naïve \"quoted\", 雪', true, DATE '2024-02-29', DATETIME '2024-02-29 23:59:59.123'),"
               "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (0, 0, -0.0, 0, '', false, DATE '0001-01-01', "
               "DATETIME '9999-12-31 23:59:59');")
    rows = region.sql("SELECT * FROM t;")
    assert len(rows) == 3
    first = next(row for row in rows if row["b"] == -2147483648)
    assert first == {"a": "9223372036854775807", "b": -2147483648, "c": 0.1,
                     "d": "12345678901234567890.123456789012345678", "e": 'naïve "quoted", 雪', "f": True,
                     "g": "2024-02-29", "h": "2024-02-29 23:59:59.123"}
    assert {key: None for key in first} in rows
    assert any(row["e"] == "" and row["g"] == "0001-01-01" for row in rows)


def test_where_and_limit(region):
    region.sql("CREATE TABLE t (a BIGINT, s STRING) PARTITIONED BY (p INT, q STRING);"
               "INSERT INTO t PARTITION(p=1, q='x') VALUES (1, 'one'), (2, 'two');"
               "INSERT INTO t PARTITION(p=2, q='y') VALUES (3, 'three'), (4, NULL);")
    assert region.one("SELECT count(*) AS n FROM t WHERE p = 1;")["n"] == 2
    assert region.one("SELECT count(*) AS n FROM t WHERE a >= 2 AND s IS NOT NULL;")["n"] == 2
    assert [row["a"] for row in region.sql("SELECT a FROM t WHERE q = 'y' AND NOT a = 3;")] == [4]
    assert len(region.sql("SELECT * FROM t LIMIT 3;")) == 3
    assert region.one("SELECT a, p, q FROM t WHERE s = 'three';") == {"a": 3, "p": 2, "q": "y"}
    assert "nocolumn" in region.refused("SELECT nocolumn FROM t;")


def test_partitions(region):
    region.sql("CREATE TABLE t (a BIGINT) PARTITIONED BY (d DATE, n BIGINT);"
               "ALTER TABLE t ADD PARTITION (d='2024-01-01', n=1) PARTITION (d='2024-01-01', n=-2);")
    names = [row["partition"] for row in region.sql("SHOW PARTITIONS t;")]
    assert names == ["d=2024-01-01/n=-2", "d=2024-01-01/n=1"]
    assert "n=1" in region.refused("ALTER TABLE t ADD PARTITION (d='2024-01-01', n=1);")
    region.sql("ALTER TABLE t ADD IF NOT EXISTS PARTITION (d='2024-01-01', n=1);"
               "ALTER TABLE t DROP PARTITION (d='2024-01-01', n=1);")
    assert [row["partition"] for row in region.sql("SHOW PARTITIONS t;")] == ["d=2024-01-01/n=-2"]
    region.refused("ALTER TABLE t DROP PARTITION (d='2024-01-01', n=1);")
    region.sql("ALTER TABLE t DROP IF EXISTS PARTITION (d='2024-01-01', n=1);")


def test_snapshot_is_frozen_and_restored(region):
    region.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2); CREATE SNAPSHOT TABLE s CLONE t;"
               "INSERT OVERWRITE TABLE t VALUES (3);")
    assert sorted(row["a"] for row in region.sql("SELECT a FROM s;")) == [1, 2]
    region.sql("DROP TABLE t; CREATE TABLE t CLONE s;")
    assert sorted(row["a"] for row in region.sql("SELECT a FROM t;")) == [1, 2]
    region.refused("DROP TABLE s;")
    region.refused("INSERT INTO s VALUES (1);")
    region.refused("CREATE SNAPSHOT TABLE s CLONE t;")
    assert "CLONE TABLE" in region.refused("CREATE TABLE t3 CLONE t;")
    region.sql("DROP SNAPSHOT TABLE s;")
    region.refused("DROP SNAPSHOT TABLE s;")
    region.sql("DROP SNAPSHOT TABLE IF EXISTS s;")


def test_projects_and_names(region):
    region.sql("CREATE PROJECT other; CREATE TABLE other.T1 (A BIGINT COMMENT 'first') COMMENT 'a table';")
    assert region.sql("USE other; SHOW TABLES;")[0]["table"] == "T1"
    assert region.sql("SELECT a FROM OTHER.t1;") == []
    assert {row["project"] for row in region.sql("SHOW PROJECTS;")} == {"demo", "other"}
    assert "other" in region.refused("CREATE PROJECT other;")
    region.sql("CREATE PROJECT IF NOT EXISTS other; CREATE TABLE IF NOT EXISTS other.t1 (b STRING);")
    assert [row["name"] for row in region.sql("DESC other.t1;")] == ["A"]
    region.refused("CREATE TABLE other.t1 (b STRING);")
    region.sql("DROP TABLE IF EXISTS other.nothing; DROP TABLE other.t1;")
    assert "nothing" in region.refused("DROP TABLE other.nothing;")


def test_statement_sent_twice_is_done_once(region):
    words = ("--statement-id", "00112233445566778899aabbccddeeff")
    region.sql("CREATE TABLE t (a BIGINT);")
    for _ in range(2):
        region.sql("INSERT INTO t VALUES (1);", *words)
    assert region.one("SELECT count(*) AS n FROM t;")["n"] == 1


def test_not_null_is_kept(region):
    region.sql("CREATE TABLE t (a BIGINT NOT NULL, b STRING);")
    text = region.refused("INSERT INTO t VALUES (1, 'x'), (NULL, 'y');")
    assert "a" in text and "NULL" in text.upper()
    assert region.one("SELECT count(*) AS n FROM t;")["n"] == 0


def test_formats(region):
    region.sql("CREATE TABLE t (id BIGINT, order_date DATE, amount DECIMAL(10,2));"
               "INSERT INTO t VALUES (1, DATE '2024-01-15', 299.00BD), (2, DATE '2024-01-16', 450.50BD);")
    table = region.strait("sql", "-e", "SELECT * FROM t LIMIT 2;")
    assert table == ("+----+------------+--------+\n| id | order_date | amount |\n+----+------------+--------+\n"
                     "|  1 | 2024-01-15 | 299.00 |\n|  2 | 2024-01-16 | 450.50 |\n+----+------------+--------+\n")
    text = region.strait("sql", "--format", "csv", "-e", "SELECT * FROM t LIMIT 2;")
    assert text == "id,order_date,amount\n1,2024-01-15,299.00\n2,2024-01-16,450.50\n"
    lines = region.strait("sql", "--format", "json", "-e", "SELECT * FROM t LIMIT 1;").splitlines()
    assert json.loads(lines[0]) == {"id": 1, "order_date": "2024-01-15", "amount": "299.00"}


def test_stops_at_the_first_error(region):
    with pytest.raises(Failed) as caught:
        region.sql("CREATE TABLE t (a BIGINT); CREATE TABLE t (a BIGINT); CREATE TABLE u (a BIGINT);")
    assert caught.value.code == 1
    assert [row["table"] for row in region.sql("SHOW TABLES;")] == ["t"]
