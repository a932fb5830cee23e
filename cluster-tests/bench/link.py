"""An XCOPY over a slow link with a long way, beside iperf3 over the same."""
import json
import os
import shutil
import subprocess
import sys
import time

from nodes import DESTINATION, ROOT, SOURCE, Peak, Region, command, random_csv, say

RATE_MBIT, DELAY_MS, SECONDS = 500, 50, 30  # 100 ms of round trip
TABLE_BYTES = RATE_MBIT * 125_000 * (SECONDS + 8)


def iperf_mbit(link, streams):
    """What iperf3 receives after its first second, in Mbit/s of TCP payload."""
    server = subprocess.Popen([*link.b, "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    try:
        while not command(*link.b, "ss", "-Hltn", "sport = :5201"):
            time.sleep(0.02)
        out = command(*link.a, "iperf3", "-c", link.address_b, "-P", streams, "-O", 1, "-t", 15, "-J")
    finally:
        server.wait()
    return json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e6


def received(destination):
    """(time, bytes of column files that arrived so far in its one task)"""
    before = time.monotonic()
    row = destination.sql("SHOW TASKS;")[-1]
    return (before + time.monotonic()) / 2, int(row["bytes_done"])


def xcopy_mbit(destination, name):
    """Mbit/s of column-file bytes over SECONDS after the first second of an XCOPY; ends before the table does."""
    destination.sql(f'XCOPY SNAPSHOT demo.{name} TO SNAPSHOT {name} OPTIONS(src_region="{SOURCE}", wait=false);')
    time.sleep(1)
    first = last = received(destination)
    while last[0] - first[0] < SECONDS:
        time.sleep(min(1, SECONDS - (last[0] - first[0]) + 0.01))
        last = received(destination)
        if os.environ.get("STRAIT_BENCH_TRACE"):
            print(f"    {last[0] - first[0]:5.1f} s  {(last[1] - first[1]) / 1e6:7.1f} MB", flush=True)
    return (last[1] - first[1]) * 8 / (last[0] - first[0]) / 1e6


def bench_link(folder, options, bound):
    sys.path.insert(0, str(ROOT / "cluster-tests"))
    from emulator import Link, LinkedCluster, missing
    if missing():
        say("link", "skipped", missing())
        return
    with Link(f"rate {RATE_MBIT}", f"delay {DELAY_MS}", "queue 100") as link:
        cluster = LinkedCluster(folder / "cluster", link)
        try:
            source, destination = cluster.up()
            path = folder / "random.csv"
            random_csv(path, TABLE_BYTES)
            source.sql("CREATE TABLE big (id BIGINT, text STRING);")
            source.upload(path, "big", timeout=1200)
            path.unlink()
            source.sql("CREATE SNAPSHOT TABLE big_1 CLONE big;")
            for loss in (0, 0.1):
                link.order(f"loss {loss}")
                under = f"{RATE_MBIT} Mbit/s, {2 * DELAY_MS} ms" + (f", {loss} % lost" if loss else "")
                for streams in (1, 8):
                    say(f"iperf3, {streams} streams, {under}", f"{iperf_mbit(link, streams):.0f} Mbit/s")
                cluster.kill(destination.name)
                shutil.rmtree(destination.home / "data")
                cluster.start(destination.name)
                destination.sql("CREATE PROJECT IF NOT EXISTS demo;")
                with Peak([Region(cluster.folder, name) for name in (SOURCE, DESTINATION)]) as peak:
                    mbit = xcopy_mbit(destination, "big_1")
                say(f"XCOPY, {under}", f"{mbit:.0f} Mbit/s", f"RssAnon over idle {peak.over / (1 << 20):.0f} MiB")
                say("column-file bytes / (rate x time)", f"{mbit / RATE_MBIT:.3f}", "" if loss else "wanted: 0.88")
        finally:
            cluster.down()
    shutil.rmtree(folder / "cluster")
