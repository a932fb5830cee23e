"""Clustered tables between regions: how rows are stored goes where the rows go."""
import re

import pytest

from conftest import DESTINATION, SOURCE, write_csv
from test_hostile import has_ended, hostile, watched  # noqa: F401 (a fixture)

ROWS = 20000
CLUSTERED = {
    "hash": "CLUSTERED BY (id) SORTED BY (id) INTO 16 BUCKETS",
    "range": "RANGE CLUSTERED BY (id) INTO 16 BUCKETS",
}


def counters(region):
    out = region.strait("status", "--format", "prometheus")
    return [int(re.search(rf"^{name} (\d+)", out, re.M)[1])
            for name in ("strait_scan_row_groups_total", "strait_scan_file_bytes_total")]


def buckets_read(region, query):
    """What EXPLAIN says of buckets and row groups; the run's counters say the same."""
    before = counters(region)
    region.sql(query)
    read = [now - value for now, value in zip(counters(region), before)]
    total = region.sql("EXPLAIN " + query)[-1]
    assert total["action"] == "total" and [total["row_groups"], total["bytes"]] == read
    words = total["reason"].split("buckets: ")[1].replace(",", "").split()
    return int(words[0]), int(words[2])


@pytest.mark.parametrize("kind", sorted(CLUSTERED))
def test_clustering_survives_snapshot_xcopy_and_restore(pair, tmp_path, kind):
    source, destination = pair
    path = write_csv(tmp_path / "t.csv", [[n * 7919 % ROWS, f"name {n}", n % 31] for n in range(ROWS)])
    source.sql(f"CREATE TABLE t (id BIGINT, name STRING, unit INT) PARTITIONED BY (p BIGINT) {CLUSTERED[kind]};")
    source.upload(path, 't/p="1"', "-acp=true")
    source.sql("ALTER TABLE t NOT CLUSTERED; INSERT INTO t PARTITION(p=2) VALUES (77, 'two', 2);"
               "INSERT INTO t PARTITION(p=1) VALUES (77, 'late', 1);"  # by the partition's own
               "CREATE SNAPSHOT TABLE s CLONE t;")
    query = "SELECT name, p FROM {} WHERE p = 1 AND id = 77 ORDER BY name;"
    expected = source.sql(query.format("s"))
    assert len(expected) == 2
    assert buckets_read(source, query.format("s")) == (2, 15)  # one of each segment that has it

    done = destination.xcopy("s")
    assert done["state"] == "DONE"
    versions = [region.one("SHOW SNAPSHOT TABLES;")["version"] for region in pair]
    assert versions[0] == versions[1]
    assert destination.sql(query.format("s")) == expected
    assert buckets_read(destination, query.format("s")) == (2, 15)

    destination.sql("CREATE TABLE back CLONE s; INSERT INTO back PARTITION(p=1) VALUES (78, 'x', 1);")
    assert destination.sql(query.format("back")) == expected
    assert buckets_read(destination, "SELECT name FROM back WHERE p = 1 AND id = 78;")[0] == 2
    create = destination.one("SHOW CREATE TABLE back;")["statement"]
    assert "CLUSTERED" not in create  # the table's default is the snapshot's
    extended = destination.strait("sql", "-e", "DESC EXTENDED back PARTITION(p=1);")
    assert f"{kind}" in extended and "BucketNum:" in extended and "[id]" in extended
    assert "ClusterType" not in destination.strait("sql", "-e", "DESC EXTENDED back PARTITION(p=2);")
    for region in pair:
        assert "0 faults" in region.fsck()


def test_equal_loads_are_equal_versions_however_they_come(cluster, tmp_path):
    region = cluster.up(DESTINATION)[0]
    rows = [[n * 7919 % 1000, f"name {n}", n % 31] for n in range(ROWS)]
    values = ",".join(f"({a},'{b}',{c})" for a, b, c in rows)
    path = write_csv(tmp_path / "t.csv", rows)
    for name, clause in CLUSTERED.items():
        made = "(id BIGINT, name STRING, unit INT) " + clause
        statements = tmp_path / "load.sql"
        statements.write_text(f"CREATE TABLE {name}_a {made}; CREATE TABLE {name}_b {made};"
                              f"INSERT INTO {name}_a VALUES {values};")
        region.strait("sql", "-f", statements)
        region.upload(path, f"{name}_b", "-bs", "1")
        region.sql(f"CREATE SNAPSHOT TABLE {name}_sa CLONE {name}_a; CREATE SNAPSHOT TABLE {name}_sb CLONE {name}_b;")
        versions = {row["snapshot"]: row["version"] for row in region.sql("SHOW SNAPSHOT TABLES;")}
        assert versions[f"{name}_sa"] == versions[f"{name}_sb"]


REASONS = {"wrong-bucket": "a bucket that the partition does not have", "sort-order": "sort keys of a bucket out of order",
           "clustering": "clustering of kind 7, from a later version"}


@pytest.mark.parametrize("mode", sorted(REASONS))
def test_pages_that_lie_about_buckets_are_refused(pair, hostile, mode):  # noqa: F811
    source, destination = pair
    values = ",".join(f"({n},'name {n}')" for n in range(64))
    source.sql(f"CREATE TABLE t (id BIGINT, name STRING) RANGE CLUSTERED BY (id) INTO 8 BUCKETS;"
               f"INSERT INTO t VALUES {values}; CREATE SNAPSHOT TABLE s CLONE t;")
    liar = hostile(mode)
    destination.xcopy("s", wait="false")
    row, _ = watched(destination, has_ended)
    assert row["state"] == "FAILED" and SOURCE in row["error"] and REASONS[mode] in row["error"], row
    assert destination.sql("SHOW SNAPSHOT TABLES;") == []
    liar.replaced_by_the_source()
    assert destination.xcopy("s")["state"] == "DONE"
    assert destination.snapshot("s")["version"] == source.snapshot("s")["version"]
