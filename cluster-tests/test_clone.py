"""CLONE TABLE as its product page prints it: the transcript of one account, and that of two."""
import threading

import pytest

from conftest import BIN, SOURCE, Failed, command
from test_accounts import Principal, proof

FRAME = """\
+----+------------+--------+
| id | order_date | amount |
+----+------------+--------+
|  1 | 2024-01-15 | 299.00 |
|  2 | 2024-01-16 | 450.50 |
+----+------------+--------+
"""
SALES = ("CREATE TABLE sales_data (id BIGINT COMMENT 'of the order', order_date DATE, amount DECIMAL(10,2)) "
         "COMMENT 'orders as paid';"
         "INSERT INTO sales_data VALUES (1, DATE '2024-01-15', 299.00BD), (2, DATE '2024-01-16', 450.50BD);")


@pytest.fixture
def region(cluster):
    return cluster.up(SOURCE)[0]


# ---- the first transcript: one account, in the source project ----

ONE_ACCOUNT = """\
-- Run in the source project
SET odps.namespace.schema=false;

-- Clone the sales_data table from project_analytics to project_reporting
CLONE TABLE project_analytics.sales_data TO project_reporting.sales_data IF EXISTS OVERWRITE;
"""
VERIFY = """\
   -- Check a sample of rows
   SELECT * FROM sales_data LIMIT 2;
"""


def test_the_page_within_one_account(region):
    region.sql("CREATE PROJECT project_analytics; CREATE PROJECT project_reporting;")
    region.sql(SALES, "--project", "project_analytics")
    for _ in range(2):  # into a new table, and over the one that is there then
        region.sql(ONE_ACCOUNT, "--project", "project_analytics")
        shown = region.strait("sql", "--quiet", "--project", "project_reporting", "-e", VERIFY)
        assert shown == FRAME
    described = region.strait("sql", "--project", "project_reporting", "-e",
                              "   -- Check the table structure and size\n   DESC sales_data;")
    assert "| TableComment:             orders as paid" in described and "| of the order" in described
    source, clone = (region.sql("SHOW TABLES;", "--project", name)[0] for name in ("project_analytics", "project_reporting"))
    assert all(clone[key] == source[key] for key in ("table", "row_count", "bytes", "partitions"))
    region.sql("DROP TABLE project_analytics.sales_data; CLEANUP;")
    assert region.strait("sql", "--quiet", "--project", "project_reporting", "-e", VERIFY) == FRAME
    history = region.sql("SHOW HISTORY FOR TABLE project_reporting.sales_data;")
    assert [row["operation"] for row in history] == ["CLONE", "CLONE"]
    assert "0 faults" in region.fsck()


# ---- the second: across accounts ----

GRANTS = """\
   -- Run in the source project (project_analytics)
   USE project_analytics;

   -- Add the destination project owner to the source project
   ADD USER ALIYUN$destination_owner@aliyunid.com;

   -- Grant project-level permissions
   GRANT CreateTable, CreateInstance ON PROJECT project_analytics TO USER ALIYUN$destination_owner@aliyunid.com;

   -- Grant read access to the source table
   GRANT Select ON TABLE sales_data TO USER ALIYUN$destination_owner@aliyunid.com;
"""
ACROSS = """\
   -- Run in the destination project (project_reporting)
   USE project_reporting;

   -- Clone the table from project_analytics to project_reporting
   CLONE TABLE project_analytics.sales_data TO project_reporting.sales_data IF EXISTS OVERWRITE;
"""
CHECK = """\
   -- Check a sample of rows
   SELECT * FROM sales_data LIMIT 2;
   -- Check the table structure and size
   DESC sales_data;
"""


@pytest.fixture
def owners(region, tmp_path):
    """The owners of project_analytics and project_reporting, each with a key and a client configuration of its own."""
    made = []
    for name, project in (("source_owner", "project_analytics"), ("destination_owner", "project_reporting")):
        account, key = f"ALIYUN${name}@aliyunid.com", tmp_path / f"{name}.key"
        command(BIN / "strait", "keygen", key)
        region.sql(f"CREATE ACCOUNT {account} PUBLIC KEY '{proof(region, account, key)}';"
                   f"CREATE PROJECT {project} OWNER {account};")
        made.append(Principal(region, key))
    made[0].sql("USE project_analytics;" + SALES)
    return made


def test_the_page_across_accounts(region, owners):
    source, destination = owners
    assert "has no Select on project_analytics.sales_data" in destination.refused(ACROSS)
    source.sql(GRANTS)
    for _ in range(2):  # into a new table, and over the one that is there then
        destination.sql(ACROSS)
        shown = destination.strait("sql", "--quiet", "-e", "USE project_reporting;\n" + CHECK)
        assert shown.startswith(FRAME) and "| TableComment:             orders as paid" in shown
    clone = destination.sql("SHOW TABLES IN project_reporting;")[0]
    assert (clone["table"], clone["row_count"]) == ("sales_data", 2)
    assert clone["bytes"] == source.sql("SHOW TABLES IN project_analytics;")[0]["bytes"]

    source.sql("USE project_analytics;\n-- Remove the destination project owner\nREMOVE USER ALIYUN$destination_owner@aliyunid.com;")
    assert source.sql("USE project_analytics; LIST USERS;") == []
    assert "has no Select on project_analytics.sales_data" in destination.refused(ACROSS)
    assert "is not a user of project project_analytics" in destination.refused("USE project_analytics;")
    source.sql("DROP TABLE project_analytics.sales_data;")
    region.sql("CLEANUP;")
    assert destination.strait("sql", "--quiet", "-e", "USE project_reporting;\n" + VERIFY) == FRAME
    destination.sql("USE project_reporting; INSERT INTO sales_data VALUES (3, DATE '2024-01-17', 1.00BD);")
    assert destination.one("SELECT count(*) AS n FROM project_reporting.sales_data;")["n"] == 3
    assert "0 faults" in region.fsck()


def test_a_ram_user_clones_with_the_rights_of_the_page(region, owners, tmp_path):
    """Select there, CreateTable and CreateInstance here, each asked for by name; and never across accounts."""
    source, destination = owners
    name, key = "RAM$source_owner@aliyunid.com:worker", tmp_path / "worker.key"
    command(BIN / "strait", "keygen", key)
    source.sql(f"CREATE USER {name} PUBLIC KEY '{proof(region, name, key)}';")
    region.sql("CREATE PROJECT project_archive OWNER ALIYUN$source_owner@aliyunid.com;")
    worker = Principal(region, key)
    clone = ONE_ACCOUNT.replace("project_reporting", "project_archive")
    source.sql(f"USE project_analytics; ADD USER {name}; USE project_archive; ADD USER {name};")
    for missing, given in (
            ("has no Select on project_analytics.sales_data", "GRANT Select ON TABLE project_analytics.sales_data"),
            ("has no CreateTable on project project_archive", "GRANT CreateTable ON PROJECT project_archive"),
            ("has no CreateInstance on project project_archive", "GRANT CreateInstance ON PROJECT project_archive")):
        assert missing in worker.refused(clone, "--project", "project_analytics")
        assert source.sql("SHOW TABLES IN project_archive;") == []
        source.sql(f"{given} TO USER {name};")
    worker.sql(clone, "--project", "project_analytics")
    worker.sql(clone, "--project", "project_analytics")  # who made it may write over it
    assert worker.strait("sql", "--quiet", "--project", "project_archive", "-e", VERIFY) == FRAME
    destination.sql(f"USE project_reporting; ADD USER {name};"
                    f"GRANT CreateTable, CreateInstance ON PROJECT project_reporting TO USER {name};")
    assert f"{name} is a RAM user: between projects of two accounts only main accounts clone" in worker.refused(
        ONE_ACCOUNT, "--project", "project_analytics")
    assert destination.sql("SHOW TABLES IN project_reporting;") == []


# ---- external tables ----

def test_rows_do_not_go_into_or_out_of_an_external_table(region, tmp_path):
    region.sql("CREATE EXTERNAL TABLE x (a BIGINT) STORED AS ORC LOCATION 'oss://bucket/x/';")
    (tmp_path / "x.csv").write_text("1\n")
    for tunnel in (lambda: region.upload(tmp_path / "x.csv", "x"), lambda: region.download("x", tmp_path / "out.csv")):
        with pytest.raises(Failed) as caught:
            tunnel()
        assert "external table" in caught.value.stderr
    assert "| ExternalTable: YES      | Size: 0 " in region.strait("sql", "-e", "DESC x;")
    region.sql("DROP TABLE x;")


# ---- beside others ----

def test_clones_of_a_table_that_is_loaded_are_whole(region, tmp_path):
    """Loads replace a table of many partitions while it is cloned: each clone is one of them."""
    region.sql("CREATE TABLE t (n BIGINT) PARTITIONED BY (p BIGINT);")
    path = tmp_path / "rows.csv"
    loads, failures = 6, []

    def load(number):
        path.write_text("".join(f"{number},{p}\n" for p in range(300)))
        region.upload(path, "t", "-acp=true", "--overwrite")

    def clone(number):
        try:
            region.sql(f"CLONE TABLE t TO c{number};")
            row = region.one(f"SELECT count(*) AS n, count(DISTINCT n) AS d FROM c{number};")
            assert (row["n"], row["d"]) == (300, 1), row
        except (Failed, AssertionError) as failed:
            failures.append(failed)

    load(0)
    for number in range(1, loads):
        thread = threading.Thread(target=clone, args=(number,))
        thread.start()
        load(number)
        thread.join()
    assert not failures, failures
    assert "0 faults" in region.fsck()
