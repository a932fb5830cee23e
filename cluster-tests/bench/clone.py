"""CLONE TABLE into a new table: ten partitions beside a million, statement by statement in turns."""
import os
import statistics
import subprocess
import time

from nodes import cluster, command, down, say

MILLION = int(os.environ.get("STRAIT_BENCH_PARTITIONS", "1000000"))
CLONES = 50


def statement_ms(region, statements):
    """Of each statement within one client, from the answer before it to its own; the first is not counted."""
    words = [*region.client, "sql", "-e", "WHOAMI;\n" + "\n".join(statements)]
    client = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    ends = [time.monotonic() for line in client.stderr if line.strip() == "OK"]
    if client.wait() != 0 or len(ends) != len(statements):
        raise SystemExit(f"{len(ends)} of {len(statements)} statements answered OK")
    return [None, *((end - before) * 1000 for before, end in zip(ends, ends[1:]))]


def clones_beside_ten(region, partitions):
    """Of tables `ten` and `million`."""
    tables = ("ten", "million")
    times = statement_ms(region, [f"CLONE TABLE {table} TO {table}_c{turn};" for turn in range(CLONES + 1) for table in tables])
    ten, all_of_them = (statistics.median(times[2 + at::2]) for at in range(2))
    say(f"CLONE TABLE, 10 partitions, median of {CLONES}", f"{ten:.2f} ms")
    say(f"CLONE TABLE, {partitions} partitions, median of {CLONES}", f"{all_of_them:.2f} ms",
        f"{all_of_them / ten:.2f} of ten partitions'; wanted: 1.5")


def bench_clone(folder, options, bound):
    region = cluster(folder)[0]
    path = folder / "rows.csv"
    for table, count in (("ten", 10), ("million", MILLION)):
        region.sql(f"CREATE TABLE {table} (a BIGINT) PARTITIONED BY (p BIGINT);")
        with open(path, "w") as file:
            file.writelines(f"{key},{key}\n" for key in range(count))
        command(*region.client, "tunnel", "upload", "-acp=true", path, table)
    clones_beside_ten(region, MILLION)
    down(folder)
