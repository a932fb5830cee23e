"""Tables of extreme shapes through the whole path: a million partitions, one partition of gigabytes, a thousand columns;
and a store of many packs. Each step's RssAnon over idle stands beside it."""
import json
import os
import random
import shutil
import statistics
import time

from clone import clones_beside_ten
from nodes import BIN, Peak, cluster, command, down, random_csv, say

MILLION = int(os.environ.get("STRAIT_BENCH_PARTITIONS", "1000000"))
PACKS = 10_000
COLUMNS = 1000
COLUMN_ROWS = 30_000
DRAWS = 20
REPEATS = 15


def step(name, regions, run, note=""):
    """Runs it; prints seconds and the larger node's RssAnon over idle."""
    started = time.monotonic()
    with Peak(regions) as peak:
        result = run()
    say(name, f"{time.monotonic() - started:.2f} s", f"RssAnon over idle {peak.over / (1 << 20):.0f} MiB{note}")
    return result


def whole_path(source, destination, path, table, create, upload, sum_of):
    """Load, snapshot, XCOPY, SELECT and download of one table; the download's lines are counted."""
    both = [source, destination]
    source.sql(create)
    step("upload", both, lambda: command(*source.client, "tunnel", "upload", *upload, path, table),
         f", {path.stat().st_size / 1e6:.0f} MB of CSV")
    path.unlink()
    step("CREATE SNAPSHOT", both, lambda: source.sql(f"CREATE SNAPSHOT TABLE {table}_1 CLONE {table};"))
    row = step("XCOPY", both, lambda: destination.xcopy(f"{table}_1"), "; wanted: at most 256")
    say("", f"{int(row['bytes_moved']) / 1e6:.0f} MB", f"{row['files_moved']} files, {int(row['wire_bytes']) / 1e6:.0f} MB on the wire")
    query = f"SELECT count(*) AS n, sum({sum_of}) AS s FROM {{}};"
    there = step("SELECT count(*), sum", both, lambda: destination.sql(query.format(f"{table}_1")))
    if there != source.sql(query.format(table)):
        raise SystemExit(f"the replica of {table} differs")
    step("download", both, lambda: command(*destination.client, "tunnel", "download", f"{table}_1", path))
    with open(path, "rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    if lines != int(there[0]["n"]):
        raise SystemExit(f"{lines} lines of {there[0]['n']} rows")
    path.unlink()


def million(folder, source, destination):
    columns = [f"c{i} {kind}" for i, kind in enumerate(["BIGINT", "STRING", "DOUBLE", "INT", "DATE"] * 2)]
    create = f"CREATE TABLE million ({', '.join(columns)}) PARTITIONED BY (p BIGINT);"
    row = "{0},text {0},{0}.5,7,2026-01-01,{1},other {1},{1}.25,8,2026-01-02,{0}\n"
    path = folder / "million.csv"

    def write(keys, salt):
        with open(path, "w") as file:
            file.writelines(row.format(key, key + salt) for key in keys)

    say(f"-- {MILLION} partitions of 10 columns", "")
    write(range(MILLION), 0)
    whole_path(source, destination, path, "million", create, ["-acp=true"], "c0")
    rng, pages, times = random.Random(7), [], []
    for draw in range(2, DRAWS + 2):
        write(rng.sample(range(MILLION), 10), draw)
        command(*source.client, "tunnel", "upload", "-acp=true", "--overwrite", path, "million")
        source.sql(f"CREATE SNAPSHOT TABLE million_{draw} CLONE million;")
        before = destination.counter("strait_xcopy_page_bytes_received_total")
        times.append(float(destination.xcopy(f"million_{draw}")["seconds"]) * 1000)
        pages.append(destination.counter("strait_xcopy_page_bytes_received_total") - before)
    path.unlink()
    say(f"pages on the wire, 10 changed, 95th percentile of {DRAWS}", f"{sorted(pages)[DRAWS * 95 // 100] / 1024:.0f} KiB",
        "wanted: under 250")
    say("XCOPY of it, median", f"{statistics.median(times):.0f} ms", "wanted: under 200")


def beside_ten(source):
    """Snapshot and restore of the million beside those of ten partitions, in turns."""
    source.sql("CREATE TABLE ten (a BIGINT) PARTITIONED BY (p BIGINT);")
    for key in range(10):
        source.sql(f"INSERT INTO ten PARTITION(p={key}) VALUES ({key});")
    source.sql("CREATE SNAPSHOT TABLE ten_1 CLONE ten;")
    for what, text in (("CREATE SNAPSHOT", "CREATE SNAPSHOT TABLE {0}_s{1} CLONE {0};"),
                       ("restore", "CREATE TABLE {0}_r{1} CLONE {0}_1;")):
        times = {"ten": [], "million": []}
        for turn in range(REPEATS):
            for table in times:
                started = time.monotonic()
                source.sql(text.format(table, turn))
                times[table].append((time.monotonic() - started) * 1000)
        ten, all_of_them = (statistics.median(times[table]) for table in ("ten", "million"))
        say(f"{what}, as a client sees it", f"{all_of_them:.1f} ms", f"{all_of_them / ten:.2f} of ten partitions'; wanted: 1.5")
    clones_beside_ten(source, MILLION)


def huge(folder, source, destination, gib):
    path = folder / "huge.csv"
    say(f"-- one partition of {gib} GiB", "")
    random_csv(path, gib << 30)
    whole_path(source, destination, path, "huge", "CREATE TABLE huge (id BIGINT, text STRING);", [], "id")


def thousand(folder, source, destination):
    kinds = ["BIGINT", "STRING", "DOUBLE", "INT", "DATE"]
    columns = [f"c{i} {kinds[i % 5]}" for i in range(COLUMNS)]
    path = folder / "thousand.csv"
    say(f"-- {COLUMNS} columns, {COLUMN_ROWS} rows in 5 partitions", "")
    rng = random.Random(7)
    with open(path, "w") as file:
        for key in range(COLUMN_ROWS):
            cells = (f"{rng.getrandbits(40)},text {rng.getrandbits(64):x},{rng.random():.12f},{rng.getrandbits(20)},2026-01-01"
                     for _ in range(COLUMNS // 5))
            file.write(",".join(cells) + f",{key % 5}\n")
    whole_path(source, destination, path, "thousand", f"CREATE TABLE thousand ({', '.join(columns)}) PARTITIONED BY (p BIGINT);",
               ["-acp=true"], "c0")


def many_packs(folder):
    out = json.loads(command(BIN / "packs", folder, PACKS))
    say(f"-- a store of {out['packs']} packs", "")
    for what, key in (("commit of a pack", ""), ("commit of 10 KB", "small_")):
        empty, full = out[f"empty_{key}ms"], out[f"full_{key}ms"]
        say(what, f"{full:.2f} ms", f"{full / empty:.2f} of the empty store's {empty:.2f}; wanted: 1.5")
    say("opening it", f"{out['open_ms']:.0f} ms")
    shutil.rmtree(folder / "packs")


def bench_sizes(folder, options, bound):
    source, destination = cluster(folder)
    million(folder, source, destination)
    beside_ten(source)
    down(folder)
    source, destination = cluster(folder)
    thousand(folder, source, destination)
    huge(folder, source, destination, 2 * options.gib)
    down(folder)
    many_packs(folder)
