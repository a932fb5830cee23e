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


def test_desc_of_a_partition(region):
    region.sql("CREATE TABLE t (a BIGINT) PARTITIONED BY (d DATE, n BIGINT);"
               "INSERT INTO t PARTITION(d='2024-01-01', n=1) VALUES (1), (2);"
               "INSERT INTO t PARTITION(d='2024-01-02', n=1) VALUES (3); CREATE SNAPSHOT TABLE s CLONE t;")
    listed = {row["partition"]: row for row in region.sql("SHOW PARTITIONS t;")}
    for name in ("t", "s"):
        row = region.one(f"DESC {name} PARTITION(n=1, d='2024-01-01');")
        assert {key: row[key] for key in listed[row["partition"]]} == listed["d=2024-01-01/n=1"]
    assert "PartitionSize:" in region.strait("sql", "-e", "DESC EXTENDED t PARTITION(d='2024-01-02', n=1);")
    assert "SHOW PARTITIONS" in region.refused("DESC t PARTITION(d='2024-01-03', n=1);")
    assert "lacks n" in region.refused("DESC t PARTITION(d='2024-01-01');")


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


def test_joins_subqueries_and_set_operations(region):
    region.sql("CREATE TABLE e (id BIGINT, dept BIGINT, pay DECIMAL(10,2)) PARTITIONED BY (y INT);"
               "CREATE TABLE d (id BIGINT, title STRING);"
               "INSERT INTO e PARTITION(y=1) VALUES (1, 10, 5.00BD), (2, 20, 3.50BD);"
               "INSERT INTO e PARTITION(y=2) VALUES (3, NULL, 1.25BD);"
               "INSERT INTO d VALUES (10, 'sales'), (30, 'law');")
    assert region.sql("SELECT e.id, title FROM e FULL JOIN d ON dept = d.id ORDER BY 1, 2;") == [
        {"id": None, "title": "law"}, {"id": 1, "title": "sales"}, {"id": 2, "title": None}, {"id": 3, "title": None}]
    assert region.sql("WITH rich AS (SELECT id, pay FROM e WHERE pay > (SELECT avg(pay) FROM e)) "
                      "SELECT e.id FROM e LEFT ANTI JOIN rich r ON e.id = r.id AND e.y = 1 ORDER BY 1;") == [
        {"id": 3}]
    assert region.sql("SELECT id FROM e WHERE dept NOT IN (SELECT id FROM d) UNION ALL SELECT id FROM d x "
                      "WHERE NOT EXISTS (SELECT 1 FROM e WHERE e.dept = x.id) ORDER BY id;") == [{"id": 2}, {"id": 30}]
    assert "line 1, column 8: column id could be " in region.refused("SELECT id FROM e JOIN d ON dept = d.id;")
    assert "has more than one row" in region.refused("SELECT (SELECT id FROM e);")
    assert "absent" in region.refused("SELECT id FROM e WHERE id IN (SELECT id FROM absent);")


def test_a_table_named_twice_is_one_version(region):
    region.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2);")
    project = region.one("SHOW PROJECTS;")
    name = next(value for value in project.values() if isinstance(value, str))
    assert region.one(f"SELECT count(*) AS n FROM t JOIN {name}.t AS u ON t.a = u.a;")["n"] == 2


def test_refusals_say_what_to_do(region, tmp_path):
    """Where another system would have done it, or the next try would fail the same way."""
    region.sql("CREATE TABLE t (a BIGINT); CREATE SNAPSHOT TABLE s CLONE t;")
    assert "IF NOT EXISTS" in region.refused("CREATE TABLE t (a BIGINT);")
    assert "IF NOT EXISTS" in region.refused("CREATE TABLE t CLONE s;")
    assert "INFORMATION_SCHEMA has CATALOGS, TABLES, " in region.refused("SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.tasks_history;")
    assert "SYSTEM_CATALOG.INFORMATION_SCHEMA" in region.refused("SELECT * FROM INFORMATION_SCHEMA.TABLES;")
    assert "SHOW SCHEDULES" in region.refused("SHOW SCHEDULE;")
    assert "SHOW TASKS" in region.refused(f"CANCEL TASK '{'0' * 32}';")
    assert "select_rows" in region.refused("SET select_row=1; SELECT * FROM t;")
    large = tmp_path / "large.sql"
    large.write_text(f"INSERT INTO t VALUES {', '.join(['(1234567)'] * 250000)};")
    with pytest.raises(Failed, match="in parts"):
        region.strait("sql", "-f", large)
