"""ALTER TABLE, TRUNCATE TABLE, DESC and SHOW CREATE TABLE on a running node, as a user types them."""
import re

import pytest


@pytest.fixture
def region(cluster):
    node = cluster.up("ap-southeast-1")[0]
    node.sql("CREATE TABLE t (a BIGINT NOT NULL COMMENT 'the key', s STRING) PARTITIONED BY (d DATE COMMENT 'day', n INT);"
             "INSERT INTO t VALUES (1, 'x', '2024-01-01', 1), (2, 'y', '2024-01-01', 1), (3, 'z', '2024-01-02', 2);")
    return node


def screen(region, text):
    return region.strait("sql", "-e", text)


def partitions(region, table="t"):
    return [(row["partition"], row["row_count"]) for row in region.sql(f"SHOW PARTITIONS {table};")]


def test_a_table_is_renamed(region):
    history = region.sql("SHOW HISTORY FOR TABLE t;")
    region.sql("CREATE SNAPSHOT TABLE s CLONE t; CREATE TABLE other (b BIGINT); ALTER TABLE T RENAME TO Sales;")
    assert region.one("SELECT count(*) AS n FROM sales;")["n"] == 3
    assert "Table not found" in region.refused("SELECT * FROM t;")
    renamed = region.sql("SHOW HISTORY FOR TABLE sales;")
    assert renamed[1:] == history and renamed[0]["operation"] == "ALTER"
    assert "other exists already" in region.refused("ALTER TABLE sales RENAME TO other;")
    assert "snapshot s exists already" in region.refused("ALTER TABLE sales RENAME TO s;")
    assert "immutable" in region.refused("ALTER TABLE s RENAME TO s2;")
    assert "line 1, column 29" in region.refused("ALTER TABLE sales RENAME TO `a-b`;")
    region.fsck()
    assert region.one("SELECT count(*) AS n FROM sales;")["n"] == 3


def test_partitions_are_renamed_and_truncated(region):
    region.sql("ALTER TABLE t PARTITION (d='2024-01-01', n=1) RENAME TO PARTITION (n=9, d='2024-02-01');")
    assert partitions(region) == [("d=2024-01-02/n=2", 1), ("d=2024-02-01/n=9", 2)]
    assert [row["a"] for row in region.sql("SELECT a FROM t WHERE n = 9 ORDER BY a;")] == [1, 2]
    assert "d=2024-01-02/n=2" in region.refused(
        "ALTER TABLE t PARTITION (d='2024-02-01', n=9) RENAME TO PARTITION (d='2024-01-02', n=2);")
    region.sql("TRUNCATE TABLE t PARTITION (d='2024-02-01', n=9);")
    assert partitions(region) == [("d=2024-01-02/n=2", 1), ("d=2024-02-01/n=9", 0)]
    assert "does not exist" in region.refused("TRUNCATE TABLE t PARTITION (d='2024-02-01', n=8);")
    words = ("--statement-id", "00112233445566778899aabbccddee77")
    region.sql("TRUNCATE TABLE t;", *words)
    region.sql("INSERT INTO t VALUES (4, 'v', '2024-01-02', 2);")
    region.sql("TRUNCATE TABLE t;", *words)  # sent again: done once
    assert region.one("SELECT a FROM t;")["a"] == 4
    region.fsck()


LINE = re.compile(r"\| .{83}\|")


def test_desc_is_the_documented_frame(region):
    region.sql("ALTER TABLE t SET COMMENT 'of \"shops\"'; ALTER TABLE t SET LIFECYCLE 30;")
    out = screen(region, "DESC t;")
    lines = out.splitlines()
    rule = "+" + 84 * "-" + "+"
    assert all(line == rule or LINE.fullmatch(line) for line in lines), out
    blocks = [[line[2:-1].rstrip() for line in block.splitlines()] for block in out.split(rule + "\n") if block]
    size = region.sql("SHOW TABLES LIKE 't';")[0]["bytes"]
    time = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"
    assert blocks[0] == ["Owner:                    ALIYUN$root", "Project:                  demo",
                         'TableComment:             of "shops"']
    assert [re.sub(time, "T", line) for line in blocks[1]] == [
        "CreateTime:               T", "LastDDLTime:              T", "LastModifiedTime:         T",
        "Lifecycle:                30"]
    assert blocks[2] == [f"InternalTable: YES      | Size: {size}"]
    assert blocks[3:] == [["Native Columns:"], ["Field           | Type           | Label | Comment"],
                          ["a               | BIGINT         |       | the key",
                           "s               | STRING         |       |"],
                          ["Partition Columns:"], ["d               | DATE           | day", "n               | INT            |"]]
    extended = screen(region, "DESC EXTENDED t;")
    assert "\n| Field    | Type   | Label | ExtendedLabel | Nullable | DefaultValue | Comment     " in extended
    assert all(line == rule or line.startswith("| ") and line.endswith(" |") for line in extended.splitlines()), extended
    for label in ("TableID:", "IsArchived:               false", f"PhysicalSize:             {size}",
                  "FileNum:                  2"):
        assert f"| {label}" in extended, extended
    rows = region.sql("DESC t;")
    assert rows[0] == {"name": "a", "type": "BIGINT", "nullable": False, "partition_column": False, "comment": "the key"}
    assert [row["name"] for row in rows if row["partition_column"]] == ["d", "n"]
    assert region.strait("sql", "--format", "csv", "-e", "DESC t;").startswith("name,type,nullable,partition_column,comment\n")


def test_desc_of_partition_and_snapshot(region):
    region.sql("ALTER TABLE t PARTITION (d='2024-01-02', n=2) DISABLE LIFECYCLE; CREATE SNAPSHOT TABLE s CLONE t;")
    for name in ("t", "s"):
        out = screen(region, f"DESC EXTENDED {name} PARTITION (d='2024-01-02', n=2);")
        assert re.search(r"\| PartitionSize: [1-9]\d* ", out)
        for label in ("CreateTime:", "LastDDLTime:", "LastModifiedTime:", "LifecycleEnabled:         false",
                      "FileNum:                  1"):
            assert f"| {label}" in out, out
    out = screen(region, "DESC s;")
    assert "| SnapshotTable: YES      | Size: " in out and "BaseTable:                t" in out
    assert "line 1, column 8: m is not a partition column" in region.refused("DESC t PARTITION (m=1);")


def test_what_show_create_table_says_runs_again(region):
    region.sql("ALTER TABLE t SET COMMENT 'it\\'s; 雪 -- \\\\ “x”'; ALTER TABLE t SET LIFECYCLE 7;"
               "ALTER TABLE t DISABLE LIFECYCLE;")
    text = screen(region, "SHOW CREATE TABLE t;")
    desc = region.sql("DESC t;")
    region.sql("DROP TABLE t;")
    region.sql(text)
    assert screen(region, "SHOW CREATE TABLE t;") == text
    assert region.sql("DESC t;") == desc


REFUSED = [
    ("ALTER TABLE t SET LIFECYCLE 0;", "line 1, column 29: found 0, expected the lifecycle in days"),
    ("ALTER TABLE t SET LIFECYCLE -3;", "line 1, column 29: found -"),
    ("ALTER TABLE t SET LIFECYCLE 37232;", "line 1, column 29: found 37232"),
    ("ALTER TABLE nope SET LIFECYCLE 3;", 'ODPS-0130131: Table not found - "demo" "nope"'),
    ("ALTER TABLE t TOUCH PARTITION (d='2024-01-01');", "lacks n"),
    ("ALTER TABLE t PARTITION (d='yesterday', n=1) ENABLE LIFECYCLE;", "line 1, column 15"),
    ("ALTER TABLE t RENAME TO other.t;", "a table stays in its project demo"),
    ("TRUNCATE TABLE;", "expected the table's name"),
]


def test_what_cannot_be_is_refused_with_its_place(region):
    for text, words in REFUSED:
        out = region.refused(text)
        assert "ODPS-" in out and words in out, out
    assert partitions(region) == [("d=2024-01-01/n=1", 2), ("d=2024-01-02/n=2", 1)]
