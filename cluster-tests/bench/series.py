"""Many small XCOPYs: a thousand snapshots of one table in order, and 128 tasks at once beside one large."""
import json
import os
import random
import statistics
import subprocess
import time

from nodes import SOURCE, Peak, cluster, command, cpu_seconds, down, random_csv, restart_empty, say

PARTITIONS, CHANGED = 10_000, 5
TASKS = int(os.environ.get("STRAIT_BENCH_TASKS", "128"))
USAGE = "SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_USAGE"
XCOPY_TASKS = "SYSTEM_CATALOG.INFORMATION_SCHEMA.XCOPY_TASKS"


def copy(name, to=None, more=""):
    return f'XCOPY SNAPSHOT demo.{name} TO SNAPSHOT {to or name} OPTIONS(src_region="{SOURCE}"{more});'


def script(folder, statements):
    """So many do not fit on a command line."""
    path = folder / "statements.sql"
    path.write_text("\n".join(statements))
    return path


def rows_ms(folder, region, statements):
    """Each statement's row and its time within one client, from the row before it to its own."""
    words = [*region.client, "sql", "--quiet", "--format", "json", "-f", script(folder, statements)]
    client = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    times, rows, before = [], [], time.monotonic()
    for line in client.stdout:
        now = time.monotonic()
        times.append((now - before) * 1000)
        rows.append(json.loads(line))
        before = now
    if client.wait() != 0 or len(rows) != len(statements):
        raise SystemExit(f"{len(rows)} of {len(statements)} statements answered")
    return rows, times


def used(region):
    (row,) = region.sql(f"SELECT SUM(wire_bytes) AS wire, SUM(payload_bytes) AS payload, SUM(page_bytes) AS pages FROM {USAGE};")
    return {name: int(value or 0) for name, value in row.items()}


def bench_series(folder, options, bound):
    source, destination = cluster(folder)
    path = folder / "rows.csv"
    columns = "id BIGINT, name STRING, price DOUBLE, day DATE"
    source.sql(f"CREATE TABLE t ({columns}) PARTITIONED BY (p BIGINT);")
    with open(path, "w") as file:
        file.writelines(f"{key},name {key},{key}.5,2026-01-01,{key}\n" for key in range(PARTITIONS))
    command(*source.client, "tunnel", "upload", "-acp=true", path, "t")
    rng = random.Random(3)
    statements = []
    for number in range(options.snapshots + 1):
        values = ", ".join(f"({number}, 'changed {number}', {number}.25, DATE '2026-02-02', {key})"
                           for key in rng.sample(range(PARTITIONS), CHANGED))
        statements += [f"INSERT INTO t VALUES {values};", f"CREATE SNAPSHOT TABLE s_{number} CLONE t;"]
    command(*source.client, "sql", "-f", script(folder, statements))
    destination.sql(copy("s_0"))
    before, cpu = used(destination), [cpu_seconds(region.pid) for region in (source, destination)]
    rows, times = rows_ms(folder, destination, ["WHOAMI;", *(copy(f"s_{number}") for number in range(1, options.snapshots + 1))])
    rows, times, after = rows[1:], times[1:], used(destination)
    assert all(row["state"] == "DONE" for row in rows)
    tenth = max(len(times) // 10, 1)
    mean = {name: (after[name] - before[name]) / len(rows) for name in after}
    say(f"{len(rows)} XCOPYs of {PARTITIONS} partitions, {CHANGED} changed, mean", f"{statistics.mean(times):.1f} ms", "wanted: under 50")
    say("99th percentile", f"{sorted(times)[len(times) * 99 // 100]:.1f} ms")
    say("mean of the last tenth", f"{statistics.mean(times[-tenth:]):.1f} ms",
        f"{statistics.mean(times[-tenth:]) / statistics.mean(times[:tenth]):.2f} of the first tenth's; wanted: at most 1.2")
    say("median of the last tenth", f"{statistics.median(times[-tenth:]):.1f} ms",
        f"{statistics.median(times[-tenth:]) / statistics.median(times[:tenth]):.2f} of the first tenth's")
    say("bytes on the wire, mean", f"{mean['wire'] / 1024:.1f} KiB",
        f"{(mean['wire'] - 16384) / (mean['payload'] + mean['pages']):.2f} of files and pages "
        f"({mean['payload'] / 1024:.1f} + {mean['pages'] / 1024:.1f} KiB) after 16 KiB; wanted: under 1.2")
    for region, then in zip((source, destination), cpu):
        say(f"CPU of one, {region.name}", f"{(cpu_seconds(region.pid) - then) / len(rows) * 1e3:.1f} ms")
    down(folder)


def wait_all(region, count):
    while True:
        rows = region.sql(f"SELECT state, COUNT(*) AS n FROM {XCOPY_TASKS} GROUP BY state;")
        states = {row["state"]: int(row["n"]) for row in rows}
        if states.get("DONE", 0) >= count:
            return
        if states.keys() - {"DONE", "RUNNING", "QUEUED"}:
            raise SystemExit(f"not all are done: {states}")
        time.sleep(0.05)


def begin_all(region, names):
    """One script, as an operator would: each answers as soon as it is recorded."""
    region.sql("\n".join(copy(name, more=", wait=false") for name in names))


def bench_many(folder, options, bound):
    """One large XCOPY, and 128 at once that are as large together; each into an empty store, in turns."""
    source, destination = cluster(folder)
    path = folder / "random.csv"
    total = options.gib << 30
    random_csv(path, total)
    source.sql("CREATE TABLE big (id BIGINT, text STRING);")
    command(*source.client, "tunnel", "upload", path, "big")
    source.sql("CREATE SNAPSHOT TABLE big_s CLONE big;")
    for number in range(TASKS):
        random_csv(path, total // TASKS)
        source.sql(f"CREATE TABLE part_{number} (id BIGINT, text STRING);")
        command(*source.client, "tunnel", "upload", path, f"part_{number}")
        source.sql(f"CREATE SNAPSHOT TABLE part_{number}_s CLONE part_{number};")
    path.unlink()
    rates, cpus = {"one": [], "many": []}, {"one": [], "many": []}
    over = 0
    for turn in range(6):  # the first is the warm-up
        for kind in rates:
            restart_empty(folder, destination)
            names = ["big_s"] if kind == "one" else [f"part_{number}_s" for number in range(TASKS)]
            before = [cpu_seconds(region.pid) for region in (source, destination)]
            started = time.monotonic()
            with Peak([source, destination]) as peak:
                begin_all(destination, names)
                wait_all(destination, len(names))
            seconds = time.monotonic() - started
            spent = [cpu_seconds(region.pid) - then for region, then in zip((source, destination), before)]
            moved = used(destination)["payload"]
            (tried,) = destination.sql(f"SELECT SUM(retries) AS n, MAX(last_trouble) AS why FROM {XCOPY_TASKS};")
            if int(tried["n"]):
                say("tried again", tried["n"], tried["why"])
            if turn:
                rates[kind].append(moved / seconds / 1e9)
                cpus[kind].append([seconds / (moved / 1e9) for seconds in spent])
                over = max(over, peak.over)
    one, many = (statistics.median(rates[kind]) for kind in rates)
    say(f"one XCOPY of {total / 1e9:.1f} GB", f"{one:.3f} GB/s", f"{min(rates['one']):.3f} to {max(rates['one']):.3f}")
    pairs = sorted(both / alone for alone, both in zip(rates["one"], rates["many"]))  # a machine changes within minutes
    say(f"{TASKS} at once, the same bytes", f"{many:.3f} GB/s",
        f"{statistics.median(pairs):.2f} of one in the median turn ({pairs[0]:.2f} to {pairs[-1]:.2f}); wanted: at least 0.9")
    for at, region in enumerate((source, destination)):
        one, many = (statistics.median(cpu[at] for cpu in cpus[kind]) for kind in cpus)
        say(f"CPU of {region.name}, {TASKS} at once", f"{many:.2f} s/GB", f"{many / one:.2f} of one's {one:.2f}")
    say("RssAnon over idle, larger of the nodes", f"{over / (1 << 20):.0f} MiB", "wanted: at most 256")
    down(folder)
