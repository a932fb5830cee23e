"""What an interface carries of one XCOPY under ALTER CHANNEL, changed while it runs."""
import shutil
import sys
import time

from nodes import ROOT, SOURCE, Peak, Region, random_csv, say

LIMITS = [(50, 30, True), (2000, 13, False), (50, 20, True)]  # Mbit/s, seconds, cut to the MTU: 170,000 packets a second are too many here
WINDOW_SECONDS = 10
SETTLE_SECONDS = 1
TABLE_BYTES = sum(mbit * 125_000 * (seconds + SETTLE_SECONDS + 1) for mbit, seconds, _ in LIMITS)


def set_limit(destination, mbit):
    destination.sql(f"ALTER CHANNEL FROM '{SOURCE}' SET BANDWIDTH '{mbit} Mbit/s';")
    return time.monotonic()


def bench_bandwidth(folder, options, bound):
    sys.path.insert(0, str(ROOT / "cluster-tests"))
    from cable import Cable, Meter
    from emulator import LinkedCluster
    try:
        cable = Cable()
    except (OSError, AssertionError) as reason:
        say("bandwidth", "skipped", str(reason))
        return
    with cable:
        cluster = LinkedCluster(folder / "cluster", cable)
        try:
            source, destination = cluster.up()
            path = folder / "random.csv"
            random_csv(path, TABLE_BYTES)
            source.sql("CREATE TABLE big (id BIGINT, text STRING);")
            source.upload(path, "big", timeout=1200)
            path.unlink()
            source.sql("CREATE SNAPSHOT TABLE big_1 CLONE big;")
            set_limit(destination, LIMITS[0][0])
            with Meter(cable) as meter, Peak([Region(cluster.folder, end.name) for end in (source, destination)]) as peak:
                destination.sql(f'XCOPY SNAPSHOT demo.big_1 TO SNAPSHOT big_1 OPTIONS(src_region="{SOURCE}", wait=false);')
                spans = []
                for mbit, seconds, small in LIMITS:
                    cable.cut(small)
                    changed = set_limit(destination, mbit)
                    time.sleep(seconds + SETTLE_SECONDS)
                    spans.append((mbit, changed + SETTLE_SECONDS, time.monotonic()))
                row = destination.sql("SHOW TASKS;")[-1]
            assert row["state"] == "RUNNING", row
            for mbit, begin, end in spans:
                rates = meter.windows(WINDOW_SECONDS, begin, end)
                say(f"interface at {mbit} Mbit/s, windows of {WINDOW_SECONDS} s from 1 s on",
                    f"{min(rates) / mbit:.3f} to {max(rates) / mbit:.3f}", "of the limit; wanted: 0.95 to 1.05")
                first = meter.windows(1, begin, begin + 1.3)
                say("the first second of them", f"{first[0] / mbit:.3f}", "of the limit")
            say("RssAnon over idle, larger of the nodes", f"{peak.over / (1 << 20):.0f} MiB")
        finally:
            cluster.down()
    shutil.rmtree(folder / "cluster")
