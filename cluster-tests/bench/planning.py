"""The constants that docs/operations.md reckons with: what a copy costs in bytes, CPU, memory and disk at each end."""
import os
import random
import statistics
import subprocess
import time
from pathlib import Path

from nodes import Peak, cluster, command, cpu_seconds, down, random_csv, restart_empty, say

PARTITIONS = 20_000
CHANGES = (0, 1, 10, 100, 1000)
DRAWS = 5
DATA = os.environ.get("STRAIT_TEST_DATA")


def stored_bytes(region, table):
    return int(next(row for row in region.sql("SHOW TABLES;") if row["table"] == table)["bytes"])


def data_dir_bytes(region):
    return sum(path.stat().st_blocks * 512 for path in (region.folder / "data").rglob("*") if path.is_file())


def pages_of_a_change(folder, source, destination):
    """Partitions of one file each: what of the manifest travels with so many of them changed."""
    path = folder / "rows.csv"
    columns = [f"c{i} {kind}" for i, kind in enumerate(["BIGINT", "STRING", "DOUBLE", "INT", "DATE"] * 2)]
    source.sql(f"CREATE TABLE wide ({', '.join(columns)}) PARTITIONED BY (p BIGINT);")
    row = "{0},text {0},{0}.5,7,2026-01-01,{1},other {1},{1}.25,8,2026-01-02,{0}\n"

    def snapshot(keys, salt, *more):
        with open(path, "w") as file:
            file.writelines(row.format(key, key + salt) for key in keys)
        command(*source.client, "tunnel", "upload", "-acp=true", *more, path, "wide")
        source.sql(f"CREATE SNAPSHOT TABLE wide_{salt} CLONE wide;")
        before = destination.counter("strait_xcopy_page_bytes_received_total")
        answer = destination.xcopy(f"wide_{salt}")
        return destination.counter("strait_xcopy_page_bytes_received_total") - before, answer

    pages, answer = snapshot(range(PARTITIONS), 0)
    files = int(answer["bytes_moved"])
    say(f"{PARTITIONS} partitions of 1 row, 10 columns: pages", f"{pages / PARTITIONS:.0f} B", "a partition, all of them copied once")
    say("column files", f"{files / PARTITIONS:.0f} B", "a partition")
    say("on the wire", f"{int(answer['wire_bytes']) / (files + pages):.2f}", "of files and pages")
    rng, salt = random.Random(7), 1
    for changed in CHANGES:
        draws = []
        for _ in range(DRAWS):
            if changed:
                draws.append(snapshot(rng.sample(range(PARTITIONS), changed), salt, "--overwrite"))
                salt += 1
            else:
                before = destination.counter("strait_xcopy_page_bytes_received_total")
                answer = destination.xcopy(f"wide_{salt - 1}")
                draws.append((destination.counter("strait_xcopy_page_bytes_received_total") - before, answer))
        pages = statistics.mean(draw[0] for draw in draws)
        wire = statistics.mean(int(draw[1]["wire_bytes"]) for draw in draws)
        say(f"{changed} of them changed: pages", f"{pages / 1024:.1f} KiB",
            f"{pages / changed / 1024 if changed else 0:.1f} KiB a changed partition; on the wire {wire / 1024:.1f} KiB")
    path.unlink()


def public_data(folder, source, destination):
    """Six daily versions of one table, loaded and copied each day as a daily backup does."""
    columns = "Country STRING, Confirmed BIGINT, Recovered BIGINT, Deaths BIGINT"
    source.sql(f"CREATE TABLE covid ({columns}) PARTITIONED BY (day STRING);")
    csv_bytes, moved, pages = [], [], []
    for day, packed in enumerate(sorted(Path(DATA, "covid19").glob("*.csv.zst"))):
        text = subprocess.run(["zstd", "-dc", packed], capture_output=True, check=True).stdout.decode()
        lines = text.splitlines()
        path = folder / "day.csv"
        path.write_text("\n".join(line.split(",", 1)[1] + "," + line.split(",", 1)[0] for line in lines[1:]) + "\n")
        csv_bytes.append(path.stat().st_size)
        command(*source.client, "tunnel", "upload", "-acp=true", "--overwrite", path, "covid")
        source.sql(f"CREATE SNAPSHOT TABLE covid_{day} CLONE covid;")
        before = destination.counter("strait_xcopy_page_bytes_received_total")
        answer = destination.xcopy(f"covid_{day}")
        pages.append(destination.counter("strait_xcopy_page_bytes_received_total") - before)
        moved.append((int(answer["partitions_moved"]), int(answer["bytes_moved"]), int(answer["wire_bytes"])))
    stored = stored_bytes(source, "covid")
    packed = len(subprocess.run(["zstd", "-3", "-c", path], capture_output=True, check=True).stdout)
    say(f"public data, {csv_bytes[-1] / 1e6:.2f} MB of CSV in {moved[0][0]} partitions: files", f"{moved[0][1] / csv_bytes[0]:.2f}",
        f"of the CSV moved and kept, {stored / csv_bytes[-1]:.2f} named by its partitions; zstd -3 of it all {packed / csv_bytes[-1]:.2f}")
    for day, (partitions, file_bytes, wire) in enumerate(moved):
        say(f"day {day}: partitions moved", f"{partitions}", f"{file_bytes / 1e3:.1f} kB of files, {pages[day] / 1e3:.1f} kB of pages, {wire / 1e3:.1f} kB wire")
    path.unlink()


def full_copy(folder, source, destination, gib):
    """One table that cannot be compressed, into an empty store, three times; then its disk."""
    path = folder / "random.csv"
    random_csv(path, gib << 30)
    source.sql("CREATE TABLE big (id BIGINT, text STRING);")
    before = cpu_seconds(source.pid)
    command(*source.client, "tunnel", "upload", path, "big")
    load_cpu = cpu_seconds(source.pid) - before
    path.unlink()
    source.sql("CREATE SNAPSHOT TABLE big_1 CLONE big;")
    cpu, over, wire = {source: [], destination: []}, 0, 0
    for run in range(3):
        restart_empty(folder, destination)
        counted = {region: cpu_seconds(region.pid) for region in cpu}
        with Peak([source, destination]) as peak:
            answer = destination.xcopy("big_1")
        moved = int(answer["bytes_moved"]) / 1e9
        wire = int(answer["wire_bytes"]) / int(answer["bytes_moved"])
        for region in cpu:
            cpu[region].append((cpu_seconds(region.pid) - counted[region]) / moved)
        over = max(over, peak.over)
    stored = stored_bytes(source, "big")
    say(f"full copy of {moved:.2f} GB: on the wire", f"{wire:.4f}", "of the files")
    for region, figures in cpu.items():
        say(f"CPU a GB, {'source' if region is source else 'destination'}", f"{statistics.median(figures):.2f} s", f"{min(figures):.2f} to {max(figures):.2f}")
    say("CPU a GB of loading it", f"{load_cpu / (stored / 1e9):.2f} s", "the node's alone")
    say("RssAnon over idle while it copies", f"{over / (1 << 20):.0f} MiB", "larger of the nodes")
    say("idle", f"{destination.anonymous_bytes() / (1 << 20):.0f} MiB", "RssAnon of the destination afterwards")
    packs, live = (destination.counter(f"strait_pack_{what}bytes") for what in ("", "live_"))
    say("packs / column files in them", f"{packs / live:.4f}")
    say("data_dir / stored bytes of its tables", f"{data_dir_bytes(destination) / stored:.3f}", f"{data_dir_bytes(destination) / 1e6:.0f} MB")


def bench_planning(folder, options, bound):
    source, destination = cluster(folder)
    empty = data_dir_bytes(destination)
    say("an empty data_dir", f"{empty / 1e6:.1f} MB")
    started = time.monotonic()
    pages_of_a_change(folder, source, destination)
    if DATA:
        public_data(folder, source, destination)
    else:
        print("no public data: STRAIT_TEST_DATA is not set")
    down(folder)
    source, destination = cluster(folder)
    full_copy(folder, source, destination, options.gib)
    down(folder)
    say("it took", f"{time.monotonic() - started:.0f} s")
