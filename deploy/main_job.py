"""The main job on sample data, as deploy/quickstart shows it: two regions, a table of sales partitioned by day,
snapshot, XCOPY, some days revised, snapshot, XCOPY, restore; then a report that proves what it says.

usage: main_job.py [--keep]
"""
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"
SOURCE, DESTINATION = "ap-southeast-1", "cn-hongkong"
DAYS, ROWS_A_DAY, REVISED_DAYS = 60, 5000, (7, 31, 58)
TABLE = """CREATE TABLE IF NOT EXISTS demo.sales (
    id BIGINT NOT NULL, amount DECIMAL(12,2), region STRING, note STRING COMMENT 'free text')
    COMMENT 'sample sales' PARTITIONED BY (order_date DATE);"""


def call(*words, quiet=False):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"quickstart: {' '.join(map(str, words))} failed ({done.returncode}):\n{done.stderr.strip()}")
    if not quiet and done.stderr.strip():
        print(done.stderr.strip(), file=sys.stderr)
    return done.stdout


class Region:
    def __init__(self, folder, name):
        self.name, self.client = name, [BIN / "strait", "-c", folder / name / "strait.conf"]

    def sql(self, text, quiet=False):
        if not quiet:
            print(f"  {self.name}> {' '.join(text.split())}")
        out = call(*self.client, "sql", "--quiet", "--format", "json", "-e", text, quiet=True)
        return [json.loads(line) for line in out.splitlines()]

    def load(self, path, *options):
        print(f"  {self.name}> tunnel upload {' '.join(options)} {path.name} demo.sales")
        call(*self.client, "tunnel", "upload", "-acp=true", "-h=true", *options, path, "demo.sales", quiet=True)

    def snapshot(self, name):
        return next(row for row in self.sql("SHOW SNAPSHOT TABLES;", quiet=True) if row["snapshot"] == name)


def sample(path, revised):
    words = [BIN / "strait-sales", "--days", DAYS, "--rows", ROWS_A_DAY]
    if revised:
        words += ["--revise", ",".join(map(str, revised))]
    path.write_text(call(*words))
    return path


def size(count):
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000


def xcopy(region, name):
    return region.sql(f'XCOPY SNAPSHOT demo.{name} TO SNAPSHOT demo.{name} OPTIONS(src_region="{SOURCE}");')[0]


def report(first, second, again, proofs, restored):
    def row(title, task):
        print(f"  {title:<22}{task['partitions_moved']:>5} of {task['partitions_total']:<6}{task['files_moved']:>6}"
              f"{size(task['bytes_moved']):>12}{size(task['bytes_skipped']):>14}{size(task['wire_bytes']):>12}"
              f"{float(task['seconds']):>9.2f} s")

    print(f"\n  {'':<22}{'partitions':<15}{'files':>3}{'moved':>12}{'not pulled':>14}{'on the wire':>12}{'time':>10}")
    row("first XCOPY", first)
    row(f"after {len(REVISED_DAYS)} days changed", second)
    row("the same once more", again)
    print()
    for name, here, there in proofs:
        print(f"  {name}: version {here['version'][:16]}.. at the source, {there['version'][:16]}.. at the replica: equal,"
              f" {here['row_count']} rows")
    print(f"  restored table: {restored} rows, snapshot of it has the replica's version\n")


def main_job(folder):
    source, destination = Region(folder, SOURCE), Region(folder, DESTINATION)
    print(f"\n1. {SOURCE}: load {DAYS} days of sales, take a snapshot")
    source.sql(TABLE)
    source.load(sample(folder / "sales-1.csv", ()), "--replace-table")
    source.sql("CREATE SNAPSHOT TABLE demo.sales_1 CLONE demo.sales;")
    print(f"\n2. {DESTINATION}: pull it")
    first = xcopy(destination, "sales_1")
    print(f"\n3. {SOURCE}: {len(REVISED_DAYS)} days are revised; snapshot; {DESTINATION} pulls only what it lacks")
    source.load(sample(folder / "sales-2.csv", REVISED_DAYS), "--overwrite")
    source.sql("CREATE SNAPSHOT TABLE demo.sales_2 CLONE demo.sales;")
    second = xcopy(destination, "sales_2")
    again = xcopy(destination, "sales_2")
    print(f"\n4. {DESTINATION}: restore, without copying")
    destination.sql("CREATE TABLE demo.sales CLONE demo.sales_2;")
    restored = int(destination.sql("SELECT count(*) AS n FROM demo.sales;")[0]["n"])
    destination.sql("CREATE SNAPSHOT TABLE demo.sales_restored CLONE demo.sales;")
    proofs = [(name, source.snapshot(name), destination.snapshot(name)) for name in ("sales_1", "sales_2")]
    check(second, again, proofs, restored, destination.snapshot("sales_restored"))
    report(first, second, again, proofs, restored)


def check(second, again, proofs, restored, back):
    """What the report claims is asserted, not printed on trust."""
    wrong = [name for name, here, there in proofs if here["version"] != there["version"]]
    if wrong:
        sys.exit(f"quickstart: the replica differs from its source: {', '.join(wrong)}")
    if back["version"] != proofs[1][1]["version"] or restored != int(proofs[1][1]["row_count"]):
        sys.exit("quickstart: the restored table differs from the replica")
    if int(second["partitions_moved"]) != len(REVISED_DAYS) or int(again["files_moved"]) != 0:
        sys.exit("quickstart: the second XCOPY did not move exactly what had changed")


def main(words):
    folder = Path(tempfile.mkdtemp(prefix="strait-quickstart-"))
    cluster = ROOT / "deploy/dev-cluster"
    keep = "--keep" in words
    try:
        print(f"two regions under {folder}")
        call(cluster, "up", folder, SOURCE, DESTINATION)
        main_job(folder)
    except BaseException:
        keep = False
        raise
    finally:
        if keep:
            print(f"still running. A shell:  build/release/bin/strait -c {folder}/{DESTINATION}/strait.conf sql\n"
                  f"to stop it:              deploy/dev-cluster down {folder}; rm -r {folder}")
        else:
            call(cluster, "down", folder, quiet=True)
            shutil.rmtree(folder)


main(sys.argv[1:])
