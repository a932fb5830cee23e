"""The daily job on data with known revisions: XCOPY moves exactly the partitions that changed, and the replica is the
source. On the public table where STRAIT_TEST_DATA names the folder of test data, and always on a generated twin."""
import os
import subprocess
from pathlib import Path

import pytest

from conftest import BIN, command, read_csv

DAYS = ["2021-02-05", "2021-02-06", "2021-02-07", "2021-02-08", "2021-02-09", "2021-02-10"]
MOVED = [380, 2, 2, 2, 7, 326]
TABLE = """CREATE TABLE covid (Country STRING, Confirmed BIGINT, Recovered BIGINT, Deaths BIGINT)
           PARTITIONED BY (Date STRING);"""

SALES = "CREATE TABLE t (id BIGINT, amount DECIMAL(12,2), region STRING, note STRING) PARTITIONED BY (order_date DATE);"


def real_files(folder):
    data = os.environ.get("STRAIT_TEST_DATA")
    if not data:
        pytest.skip("STRAIT_TEST_DATA is not set")
    return [Path(data) / "covid19" / f"countries-aggregated.{day}.csv.zst" for day in DAYS]


def twin_files(folder):
    paths = [folder / f"twin-{version}.csv" for version in range(len(DAYS))]
    for version, path in enumerate(paths):
        path.write_text(command(BIN / "strait-sales", "--covid-twin", version))
    return paths


def plain_rows(path):
    if path.suffix == ".zst":
        plain = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout
        copy = path.parent / path.stem if os.access(path.parent, os.W_OK) else Path("/tmp") / f"strait-{os.getpid()}.csv"
        copy.write_bytes(plain)
        rows = read_csv(copy)
        copy.unlink()
        return rows
    return read_csv(path)


@pytest.mark.parametrize("files", [real_files, twin_files], ids=["public", "twin"])
def test_only_new_and_revised_partitions_move(pair, tmp_path, files):
    source, destination = pair
    paths = files(tmp_path)
    assert len(paths) == len(DAYS)
    source.sql(TABLE)
    for number, path in enumerate(paths):
        source.upload(path, "covid", "-acp=true", "-h=true", "--replace-table")
        source.sql(f"CREATE SNAPSHOT TABLE covid_{number} CLONE covid;")
        task = destination.xcopy(f"covid_{number}")
        assert int(task["partitions_moved"]) == MOVED[number], task
        assert task["state"] == "DONE"
    for number, path in enumerate(paths):
        name = f"covid_{number}"
        assert int(destination.xcopy(name)["files_moved"]) == 0
        assert destination.snapshot(name)["version"] == source.snapshot(name)["version"]
        got = read_csv(destination.download(f"demo.{name}", tmp_path / "out.csv", "-h=true"))
        want = plain_rows(path)
        order = [want[0].index(column) for column in ("Country", "Confirmed", "Recovered", "Deaths", "Date")]
        assert [c.lower() for c in got[0]] == [want[0][i].lower() for i in order]
        assert sorted(got[1:]) == sorted([row[i] for i in order] for row in want[1:])


def test_equal_partitions_and_older_content_move_nothing(pair, tmp_path):
    """Two partitions with equal rows are stored and sent once; a partition that returns to what it was is held."""
    source, destination = pair
    source.sql("CREATE TABLE t (a BIGINT, b STRING) PARTITIONED BY (p STRING);")
    rows = ", ".join(f"({i}, 'text {i} {i * i % 97}')" for i in range(500))
    source.sql(f"INSERT OVERWRITE TABLE t PARTITION(p='1') VALUES {rows};"
               f"INSERT OVERWRITE TABLE t PARTITION(p='2') VALUES {rows};"
               "CREATE SNAPSHOT TABLE s1 CLONE t;")
    first = destination.xcopy("s1")
    assert int(first["partitions_moved"]) in (1, 2) and int(first["files_moved"]) >= 1
    files_of_one = int(first["files_moved"])
    source.sql(f"INSERT OVERWRITE TABLE t PARTITION(p='2') VALUES (1, 'other'); CREATE SNAPSHOT TABLE s2 CLONE t;")
    assert int(destination.xcopy("s2")["partitions_moved"]) == 1
    source.sql(f"INSERT OVERWRITE TABLE t PARTITION(p='2') VALUES {rows}; CREATE SNAPSHOT TABLE s3 CLONE t;")
    third = destination.xcopy("s3")
    assert int(third["files_moved"]) == 0 and int(third["partitions_moved"]) == 0
    assert source.snapshot("s3")["version"] == source.snapshot("s1")["version"]
    assert destination.snapshot("s3")["version"] == source.snapshot("s1")["version"]
    assert files_of_one <= 2  # two columns at the most, once for both partitions


def test_same_rows_again_give_the_same_version(pair, tmp_path):
    source, _ = pair
    source.sql(SALES)
    (tmp_path / "t.csv").write_text(command(BIN / "strait-sales", "--days", 20, "--rows", 1000))
    versions = []
    for name in ("a", "b"):
        source.upload(tmp_path / "t.csv", "t", "-acp=true", "-h=true", "--overwrite")
        source.sql(f"CREATE SNAPSHOT TABLE {name} CLONE t;")
        versions.append(source.snapshot(name)["version"])
    assert versions[0] == versions[1]


def test_restored_and_copied_back_moves_nothing(pair, tmp_path):
    source, destination = pair
    source.sql(SALES)
    (tmp_path / "t.csv").write_text(command(BIN / "strait-sales", "--days", 10, "--rows", 2000))
    source.upload(tmp_path / "t.csv", "t", "-acp=true", "-h=true")
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")
    assert int(destination.xcopy("s")["partitions_moved"]) == 10
    destination.sql("CREATE TABLE t2 CLONE s; CREATE SNAPSHOT TABLE back CLONE t2;")
    row = source.xcopy("back", to="returned", source=destination.name)
    assert int(row["files_moved"]) == 0 and int(row["partitions_moved"]) == 0
    assert source.snapshot("returned")["version"] == source.snapshot("s")["version"]
